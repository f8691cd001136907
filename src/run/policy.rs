//! What a run may read, write, reach and consume, and how that is enforced. The only way so far is [`Wall::None`]; what
//! asks for more is refused.

use std::fmt;

use crate::error::{Failure, Kind, Result};

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

/// How a policy is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wall {
    None,
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
        }
    }
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
