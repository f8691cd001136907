//! Settings: defaults < system < user < project < environment < flags, each value with where it came from.
//!
//! Owns the only reading of the environment ([`Environment`]) and of `config.toml` and `.stead.toml`.

pub(crate) mod closest;
mod environment;
pub(crate) mod file;
mod keys;
pub(crate) mod project;
mod settings;
pub(crate) mod units;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use environment::Environment;
pub(crate) use keys::names;
pub(crate) use settings::dotted;

use crate::config::project::Project;
use crate::error::{Failure, Kind, Result};

/// All settings, resolved; what a command reads instead of files and variables.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) environment: Environment,
    pub(crate) root: PathBuf,
    /// The user id as typed; `local` unless one is named.
    pub(crate) user: String,
    /// The agent that `exec` runs when neither `-a` nor a command is given.
    pub(crate) agent: String,
    pub(crate) exec: Exec,
    pub(crate) container: Container,
    pub(crate) gc: Gc,
    pub(crate) create: Create,
    pub(crate) capture: Capture,
    pub(crate) net: Net,
    /// `[agents.NAME]` as written; `run::agent` gives it meaning.
    pub(crate) agents: BTreeMap<String, toml::Table>,
    /// `[limits]` merged with the user's `[users."ID".limits]`.
    pub(crate) limits: BTreeMap<String, String>,
    /// `[secrets]`: where each is, as written; `run::secret` gives it meaning.
    pub(crate) secrets: BTreeMap<String, String>,
    /// Each key that has a value, for `config show`.
    pub(crate) settings: BTreeMap<String, Setting>,
    /// The project's own file, when there is one.
    pub(crate) project: Option<Project>,
    /// Where `config trust` keeps what the user agreed to; `None` without a home directory.
    pub(crate) trust: Option<PathBuf>,
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    pub(crate) value: toml::Value,
    pub(crate) origin: Origin,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    System(PathBuf),
    User(PathBuf),
    Project(PathBuf),
    Environment(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::System(path) | Self::User(path) | Self::Project(path) => path.display().fmt(f),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Exec {
    /// `None`: 300 s for a run with a prompt, none for a command. Zero: none at all.
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) isolation: String,
    pub(crate) net: String,
    pub(crate) pass_env: Vec<String>,
    /// What else of the host a run reads.
    pub(crate) read: Vec<PathBuf>,
    /// What of the user's own a run gets.
    pub(crate) share: Vec<String>,
    pub(crate) keep_git_config: bool,
}

/// Runs in containers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Container {
    pub(crate) image: Option<String>,
    /// `docker`, `podman` or a path; `None`: the first of these that is there.
    pub(crate) engine: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Gc {
    pub(crate) max_age: Duration,
    pub(crate) trash_age: Duration,
    pub(crate) max_size: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Create {
    pub(crate) ttl: Option<Duration>,
    pub(crate) layout: Option<String>,
    pub(crate) branch: Option<String>,
    /// A command that runs in a new workspace; empty for none.
    pub(crate) setup: Vec<String>,
    /// First and last port that a workspace may get.
    pub(crate) ports: (u16, u16),
}

/// What a capture reads and what it passes by.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    /// Bytes of one file above which it is named and not read.
    pub(crate) max_file: u64,
    /// Bytes of new content of one capture above which files are named and not read.
    pub(crate) max_new: u64,
    /// Bytes of snapshots that a store keeps beyond those of the last runs.
    pub(crate) keep_size: u64,
    /// Names of directories whose contents are never work when ignored.
    pub(crate) disposable: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Net {
    /// Fetch with the user's git instead of libgit2.
    pub(crate) git: bool,
}

/// The global flags that override settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) root: Option<PathBuf>,
    pub(crate) user: Option<String>,
}

/// The places of this system and of this user that settings come from.
#[derive(Clone, Debug, Default)]
struct Places {
    system: PathBuf,
    user: Option<PathBuf>,
    trust: Option<PathBuf>,
    data: Option<PathBuf>,
}

impl Config {
    /// Resolves all settings. Reads the system's and the user's file and, when the current directory is inside a git
    /// working tree, the project's `.stead.toml`.
    ///
    /// Fails as usage for an unknown key or a bad value, naming file, line and column.
    pub(crate) fn load(environment: Environment, overrides: &Overrides) -> Result<Self> {
        let dirs = directories::ProjectDirs::from("", "", "stead");
        let places = Places {
            system: PathBuf::from("/etc/stead/config.toml"),
            user: dirs.as_ref().map(|dirs| dirs.config_dir().join("config.toml")),
            trust: dirs.as_ref().map(|dirs| dirs.config_dir().join("trust.toml")),
            data: dirs.as_ref().map(|dirs| dirs.data_dir().to_owned()),
        };
        Self::resolve(environment, overrides, places)
    }

    fn resolve(environment: Environment, overrides: &Overrides, places: Places) -> Result<Self> {
        let mut settings = settings::Settings::defaults();
        settings.add_file(&places.system, Origin::System)?;
        if let Some(path) = &places.user {
            settings.add_file(path, Origin::User)?;
        }
        let project = settings.add_project(environment.current_dir(), places.trust.as_deref())?;
        settings.add_environment(&environment)?;
        let user = settings.user(&environment, overrides);
        settings.add_user_limits(&user);
        let root = settings.root(&environment, overrides, places.data)?;
        Ok(Self {
            root,
            agent: settings.text("agent").unwrap_or_default(),
            exec: Exec {
                timeout: settings.duration("exec.timeout"),
                idle_timeout: settings.duration("exec.idle_timeout"),
                isolation: settings.text("exec.isolation").unwrap_or_default(),
                net: settings.text("exec.net").unwrap_or_default(),
                pass_env: settings.texts("exec.pass_env"),
                read: settings.texts("exec.read").iter().map(|path| expand(path, &environment)).collect(),
                share: settings.texts("exec.share"),
                keep_git_config: settings.switch("exec.keep_git_config"),
            },
            container: Container { image: settings.text("container.image"), engine: settings.text("container.engine") },
            gc: Gc {
                max_age: settings.duration("gc.max_age").unwrap_or_default(),
                trash_age: settings.duration("gc.trash_age").unwrap_or_default(),
                max_size: settings.size("gc.max_size"),
            },
            create: Create {
                ttl: settings.duration("create.ttl"),
                layout: settings.text("create.layout"),
                branch: settings.text("create.branch"),
                setup: settings.texts("create.setup"),
                ports: settings.ports(),
            },
            capture: Capture {
                max_file: settings.size("capture.max_file").unwrap_or_default(),
                max_new: settings.size("capture.max_new").unwrap_or_default(),
                keep_size: settings.size("capture.keep_size").unwrap_or_default(),
                disposable: settings.texts("capture.disposable"),
            },
            net: Net { git: settings.switch("net.git") },
            agents: settings.agents(),
            limits: settings.limits(),
            secrets: settings.secrets(),
            settings: settings.into_map(),
            user,
            environment,
            project,
            trust: places.trust,
        })
    }
}

/// Replaces a leading `~/` by the home directory.
fn expand(path: &str, environment: &Environment) -> PathBuf {
    match (path.strip_prefix("~/"), environment.home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// Checks that a directory that another program's variable names may be taken as a root.
fn may_be_root(path: &Path, variable: &str) -> Result<()> {
    let taken = match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some() && path.join("stead.toml").symlink_metadata().is_err(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => {
            return Err(anyhow::Error::new(error).context(Failure::new(
                Kind::Refused,
                format!("`{variable}` names `{}`, which cannot be read", path.display()),
            )));
        }
    };
    if taken {
        return Err(Failure::new(
            Kind::Refused,
            format!("`{variable}` names `{}`, which holds other things than a root of stead", path.display()),
        )
        .hint(format!("set `STEAD_ROOT`, or let `{variable}` name an empty directory"))
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
