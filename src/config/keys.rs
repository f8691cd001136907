//! Every key of a configuration file: its name, its shape, its default and what a project may set by itself.

use std::path::Path;

use crate::config::units;

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Text,
    /// A duration as text, or whole seconds.
    Duration,
    /// A size as text, or bytes.
    Size,
    Switch,
    Texts,
    /// Absolute, or below HOME as `~/…`.
    Path,
    Paths,
    Choice(&'static [&'static str]),
    /// `FIRST-LAST`.
    Ports,
    /// A number, as such or as text.
    Number,
    /// `env:VARIABLE` or `cmd:COMMAND`, never the value itself.
    Secret,
    /// `[agents.NAME]` is checked by its reader.
    Any,
}

/// What a project's own file may set before it is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Project {
    Harmless,
    /// Only to a lower value than everybody else's.
    Lower,
    Trusted,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) project: Project,
    /// As it would stand in a file; empty for none.
    pub(super) default: &'static str,
}

const fn key(name: &'static str, shape: Shape, project: Project, default: &'static str) -> Key {
    Key { name, shape, project, default }
}

use Project::{Harmless, Lower, Trusted};

pub(super) const KEYS: &[Key] = &[
    key("root", Shape::Path, Trusted, ""),
    key("agent", Shape::Text, Harmless, "'claude'"),
    key("exec.timeout", Shape::Duration, Trusted, ""),
    key("exec.idle_timeout", Shape::Duration, Trusted, ""),
    key("exec.isolation", Shape::Choice(&["auto", "namespaces", "landlock", "container", "none"]), Trusted, "'auto'"),
    key("exec.net", Shape::Choice(&["on", "off"]), Trusted, "'on'"),
    key("exec.pass_env", Shape::Texts, Trusted, "[]"),
    key("exec.read", Shape::Paths, Trusted, "[]"),
    key("exec.share", Shape::Texts, Trusted, "[]"),
    key("exec.keep_git_config", Shape::Switch, Trusted, "false"),
    key("container.image", Shape::Text, Trusted, ""),
    key("container.engine", Shape::Text, Trusted, ""),
    key("gc.max_age", Shape::Duration, Trusted, "'7d'"),
    key("gc.trash_age", Shape::Duration, Trusted, "'7d'"),
    key("gc.max_size", Shape::Size, Trusted, ""),
    key("create.ttl", Shape::Duration, Harmless, ""),
    key("create.layout", Shape::Choice(&["agent"]), Harmless, ""),
    key("create.branch", Shape::Text, Harmless, ""),
    key("create.setup", Shape::Texts, Trusted, "[]"),
    key("create.ports", Shape::Ports, Trusted, "'10000-10100'"),
    key("capture.max_file", Shape::Size, Trusted, "'100M'"),
    key("capture.max_new", Shape::Size, Trusted, "'1G'"),
    key("capture.keep_size", Shape::Size, Trusted, "'1G'"),
    key(
        "capture.disposable",
        Shape::Texts,
        Trusted,
        "['node_modules', 'target', '.venv', 'venv', '__pycache__', '.mypy_cache', '.pytest_cache', '.ruff_cache', \
         '.tox', '.gradle', '.next', '.nuxt', '.turbo', '.parcel-cache', 'dist', 'build', 'coverage']",
    ),
    key("net.git", Shape::Switch, Trusted, "false"),
];

/// The keys of `[limits]` and `[users."ID".limits]`.
pub(super) const LIMITS: &[Key] = &[
    key("memory", Shape::Size, Lower, ""),
    key("cpus", Shape::Number, Lower, ""),
    key("pids", Shape::Number, Lower, ""),
    key("file_size", Shape::Size, Lower, ""),
    key("open_files", Shape::Number, Lower, ""),
    key("disk_free", Shape::Size, Trusted, ""),
];

/// Returns the names of all keys that are not of an agent or a user.
pub(crate) fn names() -> impl Iterator<Item = String> {
    let limits = LIMITS.iter().map(|key| format!("limits.{}", key.name));
    KEYS.iter().map(|key| key.name.to_owned()).chain(["user".to_owned()]).chain(limits)
}

/// Returns the definition of a dotted key, its parts unquoted.
pub(super) fn find(parts: &[&str]) -> Option<Key> {
    let limit = |name: &str| LIMITS.iter().find(|key| key.name == name).copied();
    match parts {
        ["agents", _, _] => Some(key("agents", Shape::Any, Trusted, "")),
        ["limits", name] => limit(name),
        ["secrets", _] => Some(key("secrets", Shape::Secret, Trusted, "")),
        // Only the owner of the machine limits one user by name.
        ["users", _, "limits", name] => limit(name).map(|key| Key { project: Trusted, ..key }),
        _ => {
            let name = parts.join(".");
            KEYS.iter().find(|key| key.name == name).copied()
        }
    }
}

/// Returns whether the parts are a table on the way to a key.
pub(super) fn is_table(parts: &[&str]) -> bool {
    match parts {
        ["agents" | "limits" | "secrets" | "users"] | ["agents" | "users", _] | ["users", _, "limits"] => true,
        [name] => KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(table, _)| table == *name)),
        _ => false,
    }
}

/// Returns the names that may stand where the last of `parts` stands.
pub(super) fn siblings(parts: &[&str]) -> Vec<&'static str> {
    match parts {
        [_] => {
            let mut names: Vec<&str> = KEYS.iter().filter_map(|key| key.name.split('.').next()).collect();
            names.extend(["agents", "limits", "secrets", "users"]);
            names.dedup();
            names
        }
        ["users", _, _] => vec!["limits"],
        ["limits", _] | ["users", _, "limits", _] => LIMITS.iter().map(|key| key.name).collect(),
        [table, _] => KEYS.iter().filter_map(|key| key.name.strip_prefix(table)?.strip_prefix('.')).collect(),
        _ => Vec::new(),
    }
}

impl Shape {
    /// Says what is wrong with a value, in words that follow the key's name.
    pub(super) fn check(self, value: &toml::Value) -> Result<(), String> {
        let text = value.as_str();
        let right = match self {
            Self::Text => text.is_some_and(|text| !text.is_empty()),
            Self::Switch => value.is_bool(),
            Self::Texts => strings(value).is_some(),
            Self::Duration => whole(value).is_some() || text.is_some_and(|text| units::duration(text).is_ok()),
            Self::Size => whole(value).is_some() || text.is_some_and(|text| units::size(text).is_ok()),
            Self::Number => number(value).is_some(),
            Self::Path => text.is_some_and(is_place),
            Self::Paths => strings(value).is_some_and(|paths| paths.into_iter().all(is_place)),
            Self::Choice(choices) => text.is_some_and(|text| choices.contains(&text)),
            Self::Ports => text.is_some_and(|text| ports(text).is_some()),
            Self::Secret => text.is_some_and(|text| text.starts_with("env:") || text.starts_with("cmd:")),
            Self::Any => true,
        };
        if right { Ok(()) } else { Err(format!("must be {}", self.words())) }
    }

    fn words(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Duration => "a duration such as `30s`, `5m`, `24h` or `7d`".into(),
            Self::Size => "a size such as `512M` or `4G`".into(),
            Self::Switch => "`true` or `false`".into(),
            Self::Texts => "a list of texts".into(),
            Self::Path => "an absolute path, or one that begins with `~/`".into(),
            Self::Paths => "a list of absolute paths, or of ones that begin with `~/`".into(),
            Self::Choice(choices) => {
                choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(" or ")
            }
            Self::Ports => "two ports, the lower first: `10000-10100`".into(),
            Self::Number => "a number above 0".into(),
            Self::Secret => "`env:VARIABLE` or `cmd:COMMAND`".into(),
            Self::Any => "anything".into(),
        }
    }

    /// Returns a limit as a number, to compare two.
    #[expect(clippy::cast_precision_loss, reason = "only compared")]
    pub(super) fn weight(self, value: &toml::Value) -> Option<f64> {
        match (self, value.as_str()) {
            (Self::Size, Some(text)) => units::size(text).ok().map(|bytes| bytes as f64),
            _ => number(value),
        }
    }
}

fn is_place(path: &str) -> bool {
    path.starts_with("~/") || Path::new(path).is_absolute()
}

fn whole(value: &toml::Value) -> Option<u64> {
    value.as_integer().and_then(|number| u64::try_from(number).ok())
}

#[expect(clippy::cast_precision_loss, reason = "a limit beyond 2^52 is none")]
fn number(value: &toml::Value) -> Option<f64> {
    let number = match value {
        toml::Value::Integer(number) => *number as f64,
        toml::Value::Float(number) => *number,
        toml::Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    (number.is_finite() && number > 0.0).then_some(number)
}

pub(super) fn strings(value: &toml::Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(toml::Value::as_str).collect()
}

pub(super) fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (0 < first && first <= last).then_some((first, last))
}
