//! Taking objects out of the agent's `.git` into the store: read beneath, verified by their own hash, complete or not at
//! all.

use std::time::Duration;

use crate::error::Result;
use crate::git::Oid;
use crate::git::agentdir::AgentRefs;
use crate::git::repository::Store;
use crate::store::beneath::Dir;

/// What came over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Imported {
    pub(crate) refs: AgentRefs,
    /// Commits that the store did not know before, newest first.
    pub(crate) commits: Vec<Oid>,
    /// Tips that could not be imported whole, with the reason; they block collection.
    pub(crate) failed: Vec<(Oid, String)>,
}

/// Bounds of one import.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
}

/// Imports every tip of the `.git` in `tree` that the store lacks, and keeps each by `refs/kept/OID` (under
/// `Access::Write`; in memory only under `Access::Read`).
pub(crate) fn import(store: &Store, tree: &Dir, bounds: Bounds) -> Result<Imported> {
    let _ = (store, tree, bounds);
    todo!("import")
}
