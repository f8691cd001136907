//! Reading the agent's `.git` as a directory of untrusted files: HEAD, refs, packed-refs, stash log, configuration; by
//! descriptors beneath the tree, regular files only, size-capped. Never as a repository.

use crate::error::Result;
use crate::git::Oid;
use crate::store::beneath::Dir;

/// What the agent's `.git` says, taken by its word: no object has been looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AgentRefs {
    pub(crate) head: Head,
    /// Full ref names (raw bytes as text, invalid ones dropped into `bad`), sorted.
    pub(crate) refs: Vec<(String, Oid)>,
    /// Entries of the stash log, newest first.
    pub(crate) stash: Vec<Oid>,
    /// A merge, rebase, cherry-pick, revert or bisect that is under way.
    pub(crate) operation: Option<String>,
    /// What could not be read, with the reason.
    pub(crate) bad: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Head {
    /// On a branch (full ref name), which may be unborn.
    Branch(String),
    Detached(Oid),
    /// No `.git`, no HEAD, or not readable.
    #[default]
    Missing,
}

impl AgentRefs {
    /// Returns the commit that HEAD names; `None` when unborn or missing.
    pub(crate) fn head_commit(&self) -> Option<Oid> {
        todo!("import")
    }

    /// Returns every tip that may hold work: HEAD, heads, tags, stash entries and other refs but `refs/remotes/`; no
    /// duplicates.
    pub(crate) fn tips(&self) -> Vec<Oid> {
        todo!("import")
    }
}

/// Reads the refs of the `.git` directory in `tree`.
pub(crate) fn refs(tree: &Dir) -> Result<AgentRefs> {
    let _ = tree;
    todo!("import")
}

/// Returns what in `.git` would run commands when somebody uses git there: hooks and configuration keys, sorted.
pub(crate) fn held_config(tree: &Dir) -> Result<Vec<String>> {
    let _ = tree;
    todo!("import")
}
