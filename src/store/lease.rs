//! Leases: an exclusive hold for as long as the value lives, kept by the kernel (`flock`) and freed when the holder dies.
//!
//! The file's content (the [`Holder`]) is for messages only; whether someone holds it is asked of the lock alone.
//! Lock order: a pool's lock is released before a lease is taken; no command waits for a second lock.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// How long to wait for somebody else to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    No,
    For(Duration),
    Forever,
}

/// Who holds a lease, as they wrote it themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    /// Start of the process in clock ticks since boot, from `/proc/PID/stat`.
    pub(crate) start_time: u64,
    /// The subcommand, `exec` for instance.
    pub(crate) command: String,
    pub(crate) since: Timestamp,
}

#[must_use = "the lease ends when the value is dropped"]
#[derive(Debug)]
pub(crate) struct Lease {
    file: File,
}

impl Lease {
    /// Takes the lease at `path`, making the file when it is missing.
    ///
    /// `what` is the thing in messages (``workspace `fix-login` ``). Fails as busy, naming the holder.
    pub(crate) fn acquire(path: &Path, what: &str, command: &str, wait: Wait) -> Result<Self> {
        let _ = (path, what, command, wait);
        todo!("store")
    }

    /// Takes the lease if nobody holds it.
    pub(crate) fn try_acquire(path: &Path, command: &str) -> Result<Option<Self>> {
        let _ = (path, command);
        todo!("store")
    }

    /// Returns who holds the lease at `path` now, without taking it for longer than the question; works on a
    /// read-only root.
    pub(crate) fn holder(path: &Path) -> Result<Option<Holder>> {
        let _ = path;
        todo!("store")
    }

    /// Returns the descriptor that keeps the lease, for handing it on to the supervisor.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}
