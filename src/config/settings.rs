//! The layers of settings while they are put on each other.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::config::project::{self, Project, Trust};
use crate::config::{Environment, Origin, Overrides, Setting, expand, file, keys, may_be_root, units};
use crate::error::{Failure, Kind, Result};

/// Values by the parts of their keys; the later one wins.
pub(super) struct Settings {
    values: BTreeMap<Vec<String>, Setting>,
}

impl Settings {
    pub(super) fn defaults() -> Self {
        let mut values = BTreeMap::new();
        for key in keys::KEYS.iter().filter(|key| !key.default.is_empty()) {
            let value = key.default.parse().expect("the defaults are TOML");
            values.insert(parts(key.name), Setting { value, origin: Origin::Default });
        }
        Self { values }
    }

    pub(super) fn add_file(&mut self, path: &Path, origin: fn(PathBuf) -> Origin) -> Result<()> {
        let Some(text) = file::read(path)? else { return Ok(()) };
        for (key, value) in file::parse(path, &text)? {
            self.values.insert(key, Setting { value, origin: origin(path.to_owned()) });
        }
        Ok(())
    }

    /// Adds what the project around `dir` may set.
    pub(super) fn add_project(&mut self, dir: &Path, trust: Option<&Path>) -> Result<Option<Project>> {
        let Some(top) = project::top(dir) else { return Ok(None) };
        let trust = trust.map(Trust::read).transpose()?.unwrap_or_default();
        let Some(mut found) = project::read(top, &trust)? else { return Ok(None) };
        for (key, value) in found.entries.clone() {
            let names: Vec<&str> = key.iter().map(String::as_str).collect();
            let known = keys::find(&names).expect("the file was checked");
            let allowed = found.trusted
                || match known.project {
                    keys::Project::Harmless => true,
                    keys::Project::Trusted => false,
                    keys::Project::Lower => {
                        let weight = |value| known.shape.weight(value).unwrap_or(f64::INFINITY);
                        self.values.get(&key).is_none_or(|setting| weight(&value) <= weight(&setting.value))
                    }
                };
            if allowed {
                self.values.insert(key, Setting { value, origin: Origin::Project(found.path.clone()) });
            } else {
                found.ignored.push(dotted(&key));
            }
        }
        Ok(Some(found))
    }

    pub(super) fn add_environment(&mut self, environment: &Environment) -> Result<()> {
        if let Some(agent) = checked(environment, "STEAD_AGENT", |text| Some(text.to_owned()), "a name")? {
            self.set("agent", agent.into(), Origin::Environment("STEAD_AGENT".into()));
        }
        let duration = |unit| {
            move |text: &str| {
                let digits = text.ends_with(|character: char| character.is_ascii_digit() || character == '.');
                let text = format!("{text}{unit}");
                (digits && units::duration(&text).is_ok()).then_some(text)
            }
        };
        for (variable, key, unit, words) in [
            ("CLAUDE_EXEC_TIMEOUT", "exec.timeout", "s", "a number of seconds"),
            ("WORKSPACE_CLEANUP_AGE_DAYS", "gc.max_age", "d", "a number of days"),
        ] {
            if let Some(text) = checked(environment, variable, duration(unit), words)? {
                self.set(key, text.into(), Origin::Environment(variable.into()));
            }
        }
        let (start, end) = ("WORKSPACE_PORT_RANGE_START", "WORKSPACE_PORT_RANGE_END");
        let port = |text: &str| text.parse::<u16>().ok().filter(|&port| port > 0);
        let first = checked(environment, start, port, "a port")?;
        let last = checked(environment, end, port, "a port")?;
        if first.is_some() || last.is_some() {
            let (first, last) = (first.unwrap_or(self.ports().0), last.unwrap_or(self.ports().1));
            if first > last {
                return Err(usage(format!("`{start}` ({first}) is above `{end}` ({last})")));
            }
            let variable = if environment.get(start).is_some() { start } else { end };
            self.set("create.ports", format!("{first}-{last}").into(), Origin::Environment(variable.into()));
        }
        Ok(())
    }

    pub(super) fn user(&mut self, environment: &Environment, overrides: &Overrides) -> String {
        let (user, origin) = match (&overrides.user, environment.text("STEAD_USER")) {
            (Some(user), _) => (user.clone(), Origin::Flag("--user".into())),
            (None, Some(user)) => (user.to_owned(), Origin::Environment("STEAD_USER".into())),
            (None, None) => ("local".to_owned(), Origin::Default),
        };
        self.set("user", user.clone().into(), origin);
        user
    }

    /// Lets the limits of one user stand for the general ones.
    pub(super) fn add_user_limits(&mut self, user: &str) {
        let own: Vec<(Vec<String>, Setting)> = self
            .values
            .iter()
            .filter(|(key, _)| key[0] == "users" && key[1] == user)
            .map(|(key, setting)| (key[2..].to_vec(), setting.clone()))
            .collect();
        self.values.extend(own);
    }

    pub(super) fn root(
        &mut self,
        environment: &Environment,
        overrides: &Overrides,
        data: Option<PathBuf>,
    ) -> Result<PathBuf> {
        let (path, origin) = if let Some(path) = &overrides.root {
            (path.clone(), Origin::Flag("--root".into()))
        } else if let Some(path) = environment.get("STEAD_ROOT") {
            (path.into(), Origin::Environment("STEAD_ROOT".into()))
        } else if let Some((name, path)) =
            ["WORKSPACE_DIR", "DATA_DIR"].into_iter().find_map(|name| Some((name, environment.get(name)?)))
        {
            let path = absolute(Path::new(path), environment)?;
            may_be_root(&path, name)?;
            (path, Origin::Environment(name.into()))
        } else if let Some(setting) = self.get("root") {
            (expand(setting.value.as_str().expect("checked"), environment), setting.origin.clone())
        } else if let Some(path) = data {
            (path, Origin::Default)
        } else {
            return Err(Failure::new(Kind::Usage, "cannot tell where the root is: there is no home directory")
                .hint("name it with `--root DIR` or `STEAD_ROOT`")
                .into());
        };
        let path = absolute(&path, environment)?;
        self.set("root", path.to_string_lossy().into_owned().into(), origin);
        Ok(path)
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(|setting| setting.value.as_str()).map(str::to_owned)
    }

    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        let texts = self.get(key).and_then(|setting| keys::strings(&setting.value)).unwrap_or_default();
        texts.into_iter().map(str::to_owned).collect()
    }

    pub(super) fn switch(&self, key: &str) -> bool {
        self.get(key).and_then(|setting| setting.value.as_bool()).unwrap_or_default()
    }

    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        self.get(key).map(|setting| units::duration(&plain(&setting.value)).expect("checked"))
    }

    pub(super) fn size(&self, key: &str) -> Option<u64> {
        self.get(key).map(|setting| units::size(&plain(&setting.value)).expect("checked"))
    }

    pub(super) fn ports(&self) -> (u16, u16) {
        self.text("create.ports").and_then(|text| keys::ports(&text)).expect("checked, and there is a default")
    }

    pub(super) fn agents(&self) -> BTreeMap<String, toml::Table> {
        let mut agents: BTreeMap<String, toml::Table> = BTreeMap::new();
        for (key, setting) in self.values.iter().filter(|(key, _)| key[0] == "agents") {
            agents.entry(key[1].clone()).or_default().insert(key[2].clone(), setting.value.clone());
        }
        agents
    }

    pub(super) fn limits(&self) -> BTreeMap<String, String> {
        self.table("limits")
    }

    pub(super) fn secrets(&self) -> BTreeMap<String, String> {
        self.table("secrets")
    }

    fn table(&self, name: &str) -> BTreeMap<String, String> {
        let entries = self.values.iter().filter(|(key, _)| key[0] == name);
        entries.map(|(key, setting)| (key[1].clone(), plain(&setting.value))).collect()
    }

    /// Returns all values under their dotted names.
    pub(super) fn into_map(self) -> BTreeMap<String, Setting> {
        self.values.into_iter().map(|(key, setting)| (dotted(&key), setting)).collect()
    }

    fn get(&self, key: &str) -> Option<&Setting> {
        self.values.get(&parts(key))
    }

    fn set(&mut self, key: &str, value: toml::Value, origin: Origin) {
        self.values.insert(parts(key), Setting { value, origin });
    }
}

/// Returns a key as it would be typed, parts that need it quoted.
pub(crate) fn dotted(parts: &[String]) -> String {
    let bare = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    let parts = parts.iter().map(|part| if bare(part) { part.clone() } else { format!("{part:?}") });
    parts.collect::<Vec<_>>().join(".")
}

fn parts(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

/// Returns a text or number as it would be typed.
fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn usage(message: impl std::fmt::Display) -> anyhow::Error {
    Failure::new(Kind::Usage, message).into()
}

/// Reads a variable; `None` when it is not set.
fn checked<T>(
    environment: &Environment,
    variable: &str,
    read: impl Fn(&str) -> Option<T>,
    words: &str,
) -> Result<Option<T>> {
    let Some(value) = environment.get(variable) else { return Ok(None) };
    let text = value.to_string_lossy();
    match read(&text) {
        Some(value) => Ok(Some(value)),
        None => Err(usage(format!("`{variable}` must be {words}, not `{text}`"))),
    }
}

fn absolute(path: &Path, environment: &Environment) -> Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(usage("the root must not be empty"));
    }
    if path.is_relative() && environment.current_dir().as_os_str().is_empty() {
        return Err(usage(format!("`{}` is relative to a directory that is gone", path.display())));
    }
    // Without `.` parts.
    let parts: Vec<Component<'_>> = path.components().collect();
    let path = |parts: &[Component<'_>]| environment.current_dir().join(parts.iter().collect::<PathBuf>());
    let Some(last) = parts.iter().rposition(|part| *part == Component::ParentDir) else { return Ok(path(&parts)) };
    // The directory before a `..` may be a link: what it leads out of is asked of the system, not of the text. A run behind a
    // wall has no such directory.
    let up = path(&parts[..=last]);
    let up = up.canonicalize().map_err(|error| usage(format!("there is no `{}`: {error}", up.display())))?;
    Ok(up.join(parts[last + 1..].iter().collect::<PathBuf>()))
}
