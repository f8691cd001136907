//! What a row of the table is.

use std::io;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::scene::Told;

/// An attempt and what comes of it.
pub(super) struct Row {
    /// What would be so if it worked.
    pub(super) name: &'static str,
    pub(super) attempt: fn(&Told) -> io::Result<()>,
    pub(super) open: Open,
    pub(super) namespaces: Answer,
    pub(super) landlock: Answer,
}

pub(super) fn row(
    name: &'static str,
    attempt: fn(&Told) -> io::Result<()>,
    open: Open,
    namespaces: Answer,
    landlock: Answer,
) -> Row {
    Row { name, attempt, open, namespaces, landlock }
}

/// What comes of an attempt where there is no wall: a row that is refused there as well would prove nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Open {
    Works,
    /// Works for root.
    Root,
    /// Works for root where no container has taken things away.
    BareRoot,
    /// Works where no container filters system calls.
    Bare,
    /// The kernel looks at it, where no container filters system calls, and answers so.
    Says(&'static [Errno]),
    /// Works where the kernel lets processes of one user look into each other.
    Traced,
    /// Is refused without a wall too.
    Never(&'static [Errno]),
    /// It is the state of the wall that is looked at.
    NoWall,
}

/// What comes of an attempt behind a wall.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Works,
    Refused(&'static [Errno]),
    /// Refused where the kernel's Landlock has scopes; otherwise it works.
    Scoped(&'static [Errno]),
    /// Not asked of this wall.
    Open,
}

pub(super) const NOENT: Answer = Answer::Refused(&[Errno::NOENT]);
pub(super) const ACCES: Answer = Answer::Refused(&[Errno::ACCESS]);
pub(super) const PERM: Answer = Answer::Refused(&[Errno::PERM]);
pub(super) const ROFS: Answer = Answer::Refused(&[Errno::ROFS]);
pub(super) const SRCH: Answer = Answer::Refused(&[Errno::SRCH]);
pub(super) const NOSYS: Answer = Answer::Refused(&[Errno::NOSYS]);
pub(super) const NO_FAMILY: Answer = Answer::Refused(&[Errno::AFNOSUPPORT]);
/// What moves or links between places that the wall keeps apart.
pub(super) const APART: Answer = Answer::Refused(&[Errno::ACCESS, Errno::XDEV]);
pub(super) const WORKS: Answer = Answer::Works;

/// How an attempt ended, as the probe prints it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) name: String,
    /// `None`: it worked.
    pub(super) error: Option<String>,
    pub(super) number: Option<i32>,
}

impl End {
    pub(super) fn of(row: &Row, told: &Told) -> Self {
        let error = (row.attempt)(told).err();
        Self {
            name: row.name.into(),
            number: error.as_ref().and_then(io::Error::raw_os_error),
            error: error.map(|error| error.to_string()),
        }
    }

    fn is(&self, errors: &[Errno]) -> bool {
        errors.iter().any(|error| self.number == Some(error.raw_os_error()))
    }

    /// Returns what is wrong with it where there is no wall.
    pub(super) fn against_open(&self, open: Open, host: Host) -> Option<String> {
        let works = self.error.is_none();
        let right = match open {
            Open::Works => works,
            Open::Root => works || !host.is_root,
            Open::BareRoot => works || !host.is_root || !host.is_bare,
            Open::Bare => works || !host.is_bare,
            Open::Says(errors) => self.is(errors) || !host.is_bare,
            Open::Traced => works || !host.may_trace,
            Open::Never(errors) => self.is(errors),
            Open::NoWall => true,
        };
        (!right).then(|| format!("none: {}: {self:?} instead of {open:?}", self.name))
    }

    /// Returns what is wrong with it behind a wall.
    pub(super) fn against(&self, wall: &str, answer: Answer, host: Host) -> Option<String> {
        let right = match answer {
            Answer::Scoped(_) if !host.has_scopes => self.error.is_none(),
            Answer::Works => self.error.is_none(),
            Answer::Refused(errors) | Answer::Scoped(errors) => self.is(errors),
            Answer::Open => true,
        };
        (!right).then(|| format!("{wall}: {}: {self:?} instead of {answer:?}", self.name))
    }
}

/// What the answers depend on beside the wall.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    /// Whether the run is root's.
    pub(super) is_root: bool,
    /// Whether nothing has been taken from the tests themselves: neither system calls nor root's capabilities.
    pub(super) is_bare: bool,
    pub(super) may_trace: bool,
    pub(super) has_scopes: bool,
}
