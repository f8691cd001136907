//! Snapshots: the state of a tree at one moment, read by stead's own walker, as a commit in the store (format 1).
//!
//! ```text
//! commit
//!   files/    tree: raw bytes as they are in the tree, no conversion; .git is never recorded
//!   meta      blob: what git trees cannot hold, sorted by path
//!   gitdir/   tree: the small files of the agent's .git as opaque bytes
//! ```

use std::path::{Path, PathBuf};

use crate::config;
use crate::error::Result;
use crate::git::Oid;
use crate::git::repository::Store;
use crate::progress::Progress;

/// What to capture and how.
#[derive(Clone, Debug)]
pub(crate) struct CaptureSpec<'a> {
    pub(crate) tree: &'a Path,
    /// The stat cache of the last capture; read, and rewritten by [`capture`] under `Access::Write`.
    pub(crate) seen: &'a Path,
    /// The commit whose `.gitignore` files count.
    pub(crate) base: Option<Oid>,
    pub(crate) limits: &'a config::Capture,
    /// The user's global excludes file.
    pub(crate) excludes: Option<&'a Path>,
    /// Paths that stead itself brought in: always captured, ignored or not.
    pub(crate) brought: &'a [PathBuf],
    /// Threads for one tree.
    pub(crate) threads: usize,
}

/// The state of a tree at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// The commit; `Oid::ZERO_SHA1`-like for one that was only taken in memory.
    pub(crate) commit: Oid,
    /// The root tree (files, meta, gitdir): the identity of the content, printed as the snapshot's id.
    pub(crate) id: Oid,
    /// The tree `files/`.
    pub(crate) files: Oid,
    pub(crate) meta: Meta,
}

/// What git trees cannot hold; paths relative to the tree, raw bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Modes of files that are not 0644 or 0755 (permission bits).
    pub(crate) modes: Vec<(Vec<u8>, u32)>,
    pub(crate) empty_dirs: Vec<Vec<u8>>,
    /// FIFOs, sockets and devices, with their kind.
    pub(crate) special: Vec<(Vec<u8>, String)>,
    /// Files over a cap, with their size in bytes.
    pub(crate) too_large: Vec<(Vec<u8>, u64)>,
    /// What could not be read, with the reason.
    pub(crate) unreadable: Vec<(Vec<u8>, String)>,
    /// Nested repositories, with the sub-snapshot's root tree id.
    pub(crate) nested: Vec<(Vec<u8>, Oid)>,
    /// Top-level entries that only rules newer than the base ignore.
    pub(crate) newly_ignored: Vec<Vec<u8>>,
}

/// Records the tree in the store (in memory only under `Access::Read`). Follows no link, blocks on nothing.
pub(crate) fn capture(store: &Store, spec: &CaptureSpec<'_>, progress: &dyn Progress) -> Result<Snapshot> {
    let _ = (store, spec, progress);
    todo!("capture")
}

/// Reads a recorded snapshot back.
pub(crate) fn load(store: &Store, commit: Oid) -> Result<Snapshot> {
    let _ = (store, commit);
    todo!("capture")
}
