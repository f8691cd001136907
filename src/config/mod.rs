//! Settings: defaults < system < user < project < environment < flags, each value with where it came from.
//!
//! Owns the only reading of the environment ([`Environment`]) and of `config.toml` and `.stead.toml`.

mod environment;
pub(crate) mod units;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use environment::Environment;

use crate::error::Result;

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
    pub(crate) gc: Gc,
    pub(crate) create: Create,
    pub(crate) capture: Capture,
    pub(crate) net: Net,
    /// `[agents.NAME]` as written; `run::agent` gives it meaning.
    pub(crate) agents: BTreeMap<String, toml::Table>,
    /// `[limits]` merged with the user's `[users."ID".limits]`.
    pub(crate) limits: BTreeMap<String, String>,
    /// Where each key came from, for `config show`.
    pub(crate) origins: BTreeMap<String, Origin>,
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

#[derive(Clone, Debug)]
pub(crate) struct Exec {
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) isolation: String,
    pub(crate) net: String,
    pub(crate) pass_env: Vec<String>,
    pub(crate) read: Vec<PathBuf>,
    pub(crate) keep_git_config: bool,
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
}

/// What a capture reads and what it passes by.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    /// Bytes of one file above which it is named and not read.
    pub(crate) max_file: u64,
    /// Bytes of new content of one capture above which files are named and not read.
    pub(crate) max_new: u64,
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

impl Config {
    /// Resolves all settings. Reads the system's and the user's file and, when the current directory is inside a git
    /// working tree, the project's `.stead.toml`.
    ///
    /// Fails as usage for an unknown key or a bad value, naming file, line and column.
    pub(crate) fn load(environment: Environment, overrides: &Overrides) -> Result<Self> {
        let _ = (environment, overrides);
        todo!("front")
    }
}
