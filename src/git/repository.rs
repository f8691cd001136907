//! [`Store`]: the trusted repository of one workspace, with the pool as its alternate.
//!
//! ```text
//! refs/created              the first snapshot
//! refs/runs/RUN/before      snapshots of a run
//! refs/runs/RUN/after
//! refs/kept/OID             every tip (branch, HEAD, stash entry, tag) imported from the agent's .git
//! ```

use std::path::{Path, PathBuf};

use crate::error::Result;

/// Whether new objects go to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// New objects stay in memory (a mempack in front of the store); nothing is written. For readers.
    Read,
    /// New objects are collected in memory and written by [`Store::flush`].
    Write,
}

pub(crate) struct Store {
    path: PathBuf,
    repository: git2::Repository,
}

impl Store {
    /// Makes an empty store at `path` that borrows the objects of `pool` (a pool's directory).
    pub(crate) fn create(path: &Path, pool: Option<&Path>) -> Result<Self> {
        let _ = (path, pool);
        todo!("capture")
    }

    pub(crate) fn open(path: &Path, access: Access) -> Result<Self> {
        let _ = (path, access);
        todo!("capture")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn repository(&self) -> &git2::Repository {
        &self.repository
    }

    /// Writes all objects collected so far to disk as one durable pack (or loose ones when few); nothing under
    /// [`Access::Read`].
    pub(crate) fn flush(&self) -> Result<()> {
        todo!("capture")
    }
}
