//! Pools: the git objects of one source, shared by its workspaces through alternates; append-only.
//!
//! A pool is a bare repository that mirrors the source's heads and tags. Objects never leave it; it is removed whole, when no
//! record, staging or trash refers to it.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::git::Oid;
use crate::git::source::Source;
use crate::git::transport::Net;
use crate::progress::Progress;
use crate::store::root::UserRoot;

pub(crate) struct Pool {
    path: PathBuf,
    key: String,
    repository: git2::Repository,
}

/// A revision of a pool, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) commit: Oid,
    /// The branch it was named by or that HEAD is on; `None` for a detached HEAD, tag or commit.
    pub(crate) branch: Option<String>,
}

impl Pool {
    /// Brings the pool of `source` up to date, making it when missing: takes the pool's lock, fetches heads, tags and `requests`
    /// (full ref names such as `refs/pull/1/head`), releases. A failed or cancelled first fetch leaves nothing.
    pub(crate) fn update(
        at: &UserRoot,
        source: &Source,
        depth: Option<u32>,
        requests: &[String],
        net: &Net,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let _ = (at, source, depth, requests, net, progress);
        todo!("pool")
    }

    /// Opens the pool of a record as it is, without the network.
    pub(crate) fn open(at: &UserRoot, key: &str) -> Result<Self> {
        let _ = (at, key);
        todo!("pool")
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn repository(&self) -> &git2::Repository {
        &self.repository
    }

    /// Returns where the source's HEAD is; `None` for an empty repository.
    pub(crate) fn head(&self) -> Result<Option<Tip>> {
        todo!("pool")
    }

    /// Resolves a branch, tag, `pr/N`, `mr/N` or (abbreviated) commit; `not-found` with close names as the hint.
    pub(crate) fn resolve(&self, revision: &str) -> Result<Tip> {
        let _ = revision;
        todo!("pool")
    }

    /// Returns the source's refs as last fetched: full name and object, sorted by name.
    pub(crate) fn refs(&self) -> Result<Vec<(String, Oid)>> {
        todo!("pool")
    }
}
