//! What a run may read, write, reach and consume, and by which wall of those that the host can have.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::config::Config;
use crate::confine::container::{self, Engine};
pub(crate) use crate::confine::held::gives_terminals;
pub(crate) use crate::confine::landlock::Enforced;
pub(crate) use crate::confine::policy::{Cache, Place, Policy, Private, Wall};
use crate::confine::{held, namespaces};
use crate::error::{Failure, Kind, Result};
use crate::run::toolchain::which;

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
    /// What is not, although it is below that.
    pub(crate) hidden: &'a BTreeSet<PathBuf>,
    /// Directories of the host that the run changes for itself alone.
    pub(crate) caches: &'a BTreeSet<PathBuf>,
    /// Sockets that the user shares.
    pub(crate) sockets: &'a [PathBuf],
    pub(crate) net: NetAccess,
}

/// Decides what a run may do.
pub(crate) fn decide(parts: &Parts<'_>) -> Policy {
    // An image has a system of its own.
    let system: &[&str] = if parts.wall == Wall::Container { &[] } else { SYSTEM };
    let system = system.iter().map(|path| Place::from(*path));
    // Landlock can lay nothing over a cache: it is read, and changed elsewhere.
    let caches = parts.caches.iter().filter(|_| parts.wall == Wall::Landlock).map(Place::from);
    let more = parts.read.iter().map(Place::from).chain(parts.pool.map(Place::from)).chain(caches);
    Policy {
        wall: parts.wall,
        read: without_doubles(system.chain(more)),
        hidden: parts.hidden.iter().map(Place::from).collect(),
        write: vec![Place::from(parts.tree)],
        caches: parts.caches.iter().map(|at| cache(at, parts.homes)).collect(),
        home: Some(Private { at: Place::from(seen_home(parts)), from: Place::from(parts.homes.join("home")) }),
        temporary: Some(Private { at: Place::from("/tmp"), from: Place::from(parts.homes.join("tmp")) }),
        net: parts.net == NetAccess::On,
        sockets: parts.sockets.iter().map(Place::from).collect(),
    }
}

/// Leaves out what is below something that stands before it.
fn without_doubles(places: impl Iterator<Item = Place>) -> Vec<Place> {
    let mut kept: Vec<Place> = Vec::new();
    for place in places {
        if !kept.iter().any(|above| place.as_ref().starts_with(above.as_ref())) {
            kept.push(place);
        }
    }
    kept
}

/// Returns a cache whose changes are kept beside the private HOME.
fn cache(at: &Path, homes: &Path) -> Cache {
    let changes = homes.join(format!("cache{}", at.to_string_lossy().replace('/', "-")));
    Cache { at: Place::from(at), changes: Place::from(changes) }
}

/// Returns where the run sees its HOME: at the user's, unless there is none to be moved or the system lives there.
fn seen_home(parts: &Parts<'_>) -> PathBuf {
    let taken = |home: &Path| {
        let system = SYSTEM.iter().chain(&["/proc", "/dev", "/sys", "/run", "/tmp", "/var/tmp"]).map(Path::new);
        home.is_relative() || home.parent().is_none() || system.into_iter().any(|path| home == path)
    };
    match parts.home {
        Some(home) if has_own_paths(parts.wall) && !taken(home) => home.to_owned(),
        _ => parts.homes.join("home"),
    }
}

/// Returns where the run sees its own directory for temporary files.
pub(crate) fn seen_temporary(wall: Wall, homes: &Path) -> PathBuf {
    if has_own_paths(wall) { "/tmp".into() } else { homes.join("tmp") }
}

/// Returns whether a run sees its private directories elsewhere than where they are.
fn has_own_paths(wall: Wall) -> bool {
    matches!(wall, Wall::Namespaces | Wall::Container)
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Isolation {
    /// The best that the host can do
    Auto,
    /// User, mount, process and IPC namespaces of its own
    Namespaces,
    /// Landlock and seccomp
    Landlock,
    /// A container of docker or podman, of the image that `[container]` in the configuration names
    Container,
    /// No wall: the command may do whatever you may
    None,
}

impl Isolation {
    /// Returns whether a process of stead's own may have to build a wall for it.
    pub(crate) fn may_be_built(self) -> bool {
        matches!(self, Self::Auto | Self::Namespaces | Self::Landlock)
    }

    /// Reads the setting `exec.isolation` or the record's.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        clap::ValueEnum::from_str(text, false).map_err(|_| {
            Failure::new(Kind::Usage, format!("`{text}` is not an isolation"))
                .hint("it is one of `auto`, `namespaces`, `landlock`, `container`, `none`")
                .into()
        })
    }

    /// Returns the wall for this run out of those that the host can have; what was named and cannot be had is a failure.
    pub(crate) fn wall(self, walls: &Walls) -> Result<Wall> {
        let (name, missing, wall) = match self {
            Self::Auto if walls.namespaces.is_none() => return Ok(Wall::Namespaces),
            Self::Auto if walls.landlock.is_none() => return Ok(Wall::Landlock),
            Self::Auto | Self::None => return Ok(Wall::None),
            Self::Namespaces => ("namespaces", &walls.namespaces, Wall::Namespaces),
            Self::Landlock => ("landlock", &walls.landlock, Wall::Landlock),
            Self::Container => ("a container", &walls.container, Wall::Container),
        };
        match missing {
            None => Ok(wall),
            Some(reason) => {
                Err(Failure::new(Kind::Unsupported, format!("this host cannot isolate a run by {name}: {reason}"))
                    .hint(if self == Self::Container {
                        "start the engine, or install docker or podman; `--isolation auto` takes the best that there is"
                    } else {
                        "`stead doctor` says what is missing; `--isolation auto` takes the best that there is"
                    })
                    .into())
            }
        }
    }
}

/// Why each wall cannot be had on this host; `None` for one that can.
#[derive(Debug)]
pub(crate) struct Walls {
    pub(crate) namespaces: Option<String>,
    pub(crate) landlock: Option<String>,
    pub(crate) container: Option<String>,
    /// The engine that answers.
    pub(crate) engine: Option<Engine>,
    /// What is still to be collected of an attempt.
    pub(crate) probe: Mutex<Option<namespaces::Probe>>,
}

impl Walls {
    /// Collects what was tried, before anything else is started.
    pub(crate) fn settle(&self) {
        drop(self.probe.lock().map(|mut probe| probe.take()));
    }

    /// Tries what `isolation` may need, on this host and now; `meanwhile` is done while that is under way.
    pub(crate) fn probe(isolation: Isolation, net: NetAccess, config: &Config, meanwhile: impl FnOnce()) -> Self {
        let untried = || Some("it was not tried".to_owned());
        let probe = match isolation {
            Isolation::Auto | Isolation::Namespaces => Some(namespaces::Probe::start(net == NetAccess::On)),
            Isolation::Landlock | Isolation::Container | Isolation::None => None,
        };
        meanwhile();
        let namespaces = probe.as_ref().map_or_else(untried, namespaces::Probe::missing);
        let landlock = match isolation {
            Isolation::Landlock => held::missing(),
            Isolation::Auto if namespaces.is_some() => held::missing(),
            _ => untried(),
        };
        let engine = if isolation == Isolation::Container { find_engine(config) } else { Err(String::new()) };
        let (engine, container) = match engine {
            Ok(engine) => (Some(engine), None),
            Err(reason) => (None, Some(reason)),
        };
        Self { namespaces, landlock, container, engine, probe: Mutex::new(probe) }
    }
}

/// Returns the configured engine, else docker or podman, if it answers; else why not.
pub(crate) fn find_engine(config: &Config) -> std::result::Result<Engine, String> {
    let named: Vec<&str> =
        config.container.engine.as_deref().map_or_else(|| vec!["docker", "podman"], |name| vec![name]);
    let mut reasons = Vec::new();
    for name in &named {
        let Some(program) = which(&config.environment, Path::new(name)) else { continue };
        match container::probe(&program) {
            Ok(engine) => return Ok(engine),
            Err(reason) => reasons.push(format!("`{name}`: {reason}")),
        }
    }
    if reasons.is_empty() { Err(format!("there is no {}", named.join(" and no "))) } else { Err(reasons.join("; ")) }
}

/// Says what a wall leaves open or takes away, where that is more than one would think; `None` for the best wall. `landlock`
/// is what this kernel's can do, `terminals` whether it [`gives_terminals`].
pub(crate) fn news(wall: Wall, landlock: Enforced, terminals: bool) -> Option<String> {
    match wall {
        Wall::Namespaces | Wall::Container => None,
        Wall::Landlock => {
            let terminals = withheld(wall, terminals).into_iter().map(|what| format!(", and has no {what}"));
            Some(format!(
                "This host has no user namespaces: the run is held by Landlock, which cannot stop {}{}.",
                left_open(wall, landlock).join(", nor "),
                terminals.collect::<String>()
            ))
        }
        Wall::None => Some(
            "There is no wall on this host: the command may do whatever you may (`--isolation none` accepts that)."
                .into(),
        ),
    }
}

/// Returns what of the user's a wall cannot keep a run from, beside what its policy allows.
pub(crate) fn left_open(wall: Wall, landlock: Enforced) -> Vec<&'static str> {
    if wall != Wall::Landlock {
        return Vec::new();
    }
    let mut open = vec![
        "chmod, chown, utimes and setxattr of your other files",
        "looking at their names",
        "the use of your System V shared memory, queues and semaphores",
    ];
    if !landlock.scopes() {
        open.push("signals to your other processes (that takes Linux 6.12)");
    }
    open
}

/// Returns what a wall keeps from a run that it would have without one, beside what its policy says.
pub(crate) fn withheld(wall: Wall, terminals: bool) -> Vec<&'static str> {
    if wall == Wall::Landlock && !terminals {
        vec!["terminals of its own, as another of yours is open"]
    } else {
        Vec::new()
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
    pub(crate) fn enforce(self, wall: Wall) -> Result<()> {
        match (self, wall) {
            (Self::Off, Wall::None) => {
                Err(Failure::new(Kind::Unsupported, "without a wall the network of a run cannot be shut off")
                    .hint("run it with `--net on`, or with `--isolation namespaces` or `landlock`")
                    .into())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_old_landlock_leaves_open_is_said() {
        let news = |version, terminals| news(Wall::Landlock, Enforced { version }, terminals).unwrap();
        assert!(
            news(5, true).ends_with(" and semaphores, nor signals to your other processes (that takes Linux 6.12).")
        );
        assert!(news(6, true).ends_with(" nor the use of your System V shared memory, queues and semaphores."));
        assert!(news(6, false).ends_with(" semaphores, and has no terminals of its own, as another of yours is open."));
        assert!(left_open(Wall::Namespaces, Enforced { version: 0 }).is_empty(), "a process outside is not to be seen");
    }
}
