//! Writing a commit's files into a directory that no agent has touched yet, and the index that makes git see it as clean.

use std::path::Path;

use crate::error::Result;
use crate::git::Oid;
use crate::progress::Progress;

/// What a checkout left behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkout {
    /// The index file (v2 with stat data and the TREE extension), for the agent's `.git`.
    pub(crate) index: Vec<u8>,
    pub(crate) files: u64,
    /// Git LFS pointers among the files.
    pub(crate) lfs_pointers: u64,
    /// Paths of submodules (gitlinks), left empty.
    pub(crate) submodules: Vec<Vec<u8>>,
    /// Paths that git refuses (`.GIT`, `GIT~1`, …), not written.
    pub(crate) refused: Vec<Vec<u8>>,
}

/// Writes the files of `commit` (of the repository at `repository`, a pool or store) into the empty directory `into`,
/// converting what its attributes ask for; several threads.
pub(crate) fn checkout(repository: &Path, commit: Oid, into: &Path, progress: &dyn Progress) -> Result<Checkout> {
    let _ = (repository, commit, into, progress);
    todo!("pool")
}
