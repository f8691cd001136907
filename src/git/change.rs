//! Changes: the differences between two snapshots, with renames, modes and line counts, and as a patch for `git apply`.

use serde::Serialize;

use crate::error::Result;
use crate::git::Oid;
use crate::git::repository::Store;
use crate::git::snapshot::Snapshot;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeKind {
    Create,
    Update,
    Delete,
    Rename,
}

/// One difference between two snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Raw bytes; the reports quote it.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: ChangeKind,
    pub(crate) old_path: Option<Vec<u8>>,
    /// Git mode with full permission bits (0o100644, 0o120000, …); `None` on the side where it is not there.
    pub(crate) old_mode: Option<u32>,
    pub(crate) mode: Option<u32>,
    pub(crate) old_id: Option<Oid>,
    pub(crate) id: Option<Oid>,
    pub(crate) binary: bool,
    pub(crate) additions: u64,
    pub(crate) deletions: u64,
}

/// Computes the changes from `before` to `after`, sorted by path.
pub(crate) fn between(store: &Store, before: &Snapshot, after: &Snapshot) -> Result<Vec<Change>> {
    let _ = (store, before, after);
    todo!("capture")
}

/// Computes the changes between two trees that hold files as a commit does.
pub(crate) fn between_trees(store: &Store, before: Option<Oid>, after: Option<Oid>) -> Result<Vec<Change>> {
    let _ = (store, before, after);
    todo!("capture")
}

/// Returns a patch (binary hunks included) that `git apply` takes.
pub(crate) fn patch(store: &Store, before: Option<Oid>, after: Option<Oid>) -> Result<Vec<u8>> {
    let _ = (store, before, after);
    todo!("capture")
}
