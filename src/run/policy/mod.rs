//! What a run may read, write, reach and consume, and how that is enforced. The only way so far is [`Wall::None`]; what
//! asks for more is refused.

use std::path::{Path, PathBuf};

pub(crate) use crate::confine::policy::{Place, Policy, Private, Wall};
use crate::error::{Failure, Kind, Result};

/// What every run reads of the host. Of `/etc` its secrets are hidden, and so is what others may not read.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix",
    "/etc",
    "/sys/devices/system/cpu",
];

/// What a policy is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) wall: Wall,
    pub(crate) tree: &'a Path,
    /// The workspace's private directories, `home` and `tmp`.
    pub(crate) homes: &'a Path,
    /// The user's HOME.
    pub(crate) home: Option<&'a Path>,
    /// The objects of the pool that the agent's repository borrows from.
    pub(crate) pool: Option<&'a Path>,
    /// What else is read.
    pub(crate) read: &'a [PathBuf],
    pub(crate) net: NetAccess,
}

/// Decides what a run may do.
pub(crate) fn decide(parts: &Parts<'_>) -> Policy {
    let system = SYSTEM.iter().map(|path| Place::from(*path));
    let more = parts.read.iter().map(Place::from).chain(parts.pool.map(Place::from));
    Policy {
        wall: parts.wall,
        read: system.chain(more).collect(),
        hidden: Vec::new(),
        write: vec![Place::from(parts.tree)],
        caches: Vec::new(),
        home: Some(Private { at: Place::from(seen_home(parts)), from: Place::from(parts.homes.join("home")) }),
        temporary: Some(Private { at: Place::from("/tmp"), from: Place::from(parts.homes.join("tmp")) }),
        net: parts.net == NetAccess::On,
        sockets: Vec::new(),
    }
}

/// Returns where the run sees its HOME: at the user's, unless the system lives there.
fn seen_home(parts: &Parts<'_>) -> PathBuf {
    let taken = |home: &Path| {
        let system = SYSTEM.iter().chain(&["/proc", "/dev", "/sys", "/run", "/tmp", "/var/tmp"]).map(Path::new);
        home.is_relative() || home.parent().is_none() || system.into_iter().any(|path| home == path)
    };
    match parts.home {
        Some(home) if !taken(home) => home.to_owned(),
        _ => parts.homes.join("home"),
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Isolation {
    /// The best that this version and the host can do
    Auto,
    /// User, mount, process and IPC namespaces of its own
    Namespaces,
    /// Landlock and seccomp
    Landlock,
    /// No wall: the command may do whatever you may
    None,
}

impl Isolation {
    /// Reads the setting `exec.isolation` or the record's.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        clap::ValueEnum::from_str(text, false).map_err(|_| {
            Failure::new(Kind::Usage, format!("`{text}` is not an isolation"))
                .hint("it is one of `auto`, `namespaces`, `landlock`, `none`")
                .into()
        })
    }

    /// Returns the wall for this run; what cannot be enforced is a failure.
    pub(crate) fn wall(self) -> Result<Wall> {
        match self {
            Self::Auto | Self::None => Ok(Wall::None),
            Self::Namespaces | Self::Landlock => {
                let name = if self == Self::Namespaces { "namespaces" } else { "landlock" };
                Err(Failure::new(Kind::Unsupported, format!("this version cannot isolate a run by {name}"))
                    .hint("run it without a wall: `--isolation none`")
                    .into())
            }
        }
    }
}

/// Whether the command may use the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum NetAccess {
    On,
    Off,
}

impl NetAccess {
    /// Reads the setting `exec.net`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        clap::ValueEnum::from_str(text, false).map_err(|_| {
            Failure::new(Kind::Usage, format!("`{text}` is neither `on` nor `off`")).hint("see `exec.net`").into()
        })
    }

    /// Fails when the network cannot be shut off as asked.
    pub(crate) fn enforce(self) -> Result<()> {
        match self {
            Self::On => Ok(()),
            Self::Off => Err(Failure::new(Kind::Unsupported, "this version cannot shut off the network of a run")
                .hint("run it with `--net on`")
                .into()),
        }
    }
}
