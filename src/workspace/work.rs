//! The work in a workspace as it is now: its tree, its head, and what they are compared with. Nothing is written.

use anyhow::Context as _;

use crate::config::Config;
use crate::error::Result;
use crate::git::Oid;
use crate::git::agentdir::{self, AgentRefs, Head};
use crate::git::change::{self, Change};
use crate::git::import;
use crate::git::repository::{Access, Store};
use crate::git::snapshot::Snapshot;
use crate::git::sync::indexed::{Filled, Indexed};
use crate::git::sync::trees;
use crate::store::beneath::Dir;
use crate::workspace::Workspace;

/// A look at a workspace.
pub(crate) struct Work {
    /// Holds in memory what the trusted store lacks.
    pub(crate) store: Store,
    pub(crate) snapshot: Snapshot,
    /// The snapshot with what is not deleted although it is not in it as the head has it.
    whole: Snapshot,
    /// The paths of what is only not checked out.
    pub(crate) skipped: Vec<Vec<u8>>,
    /// The paths of what is ignored while the index cannot be read.
    pub(crate) hidden: Vec<Vec<u8>>,
    /// What the agent's `.git` says.
    pub(crate) refs: AgentRefs,
    /// The commit that HEAD names, when it could be read.
    pub(crate) head: Option<Oid>,
    /// The commit that the work is measured against, when its pool is still there.
    pub(crate) base: Option<Oid>,
}

impl Work {
    /// Looks at the tree in `threads` threads, and at the head; takes no lease.
    pub(crate) fn look(workspace: &Workspace, config: &Config, threads: usize) -> Result<Self> {
        let store = workspace.store(Access::Read)?;
        let snapshot = workspace.look(&store, config, threads)?;
        let tree = Dir::open(&workspace.tree())?;
        let refs = agentdir::refs(&tree);
        let known = |commit: &Oid| store.repository().find_commit(*commit).is_ok();
        let mut head = refs.head_commit();
        if head.is_some_and(|head| !known(&head)) {
            import::import(&store, &tree)?;
            head = head.filter(known);
        }
        let base = workspace.base().filter(known);
        let (mut whole, mut skipped, mut hidden) = (snapshot.clone(), Vec::new(), Vec::new());
        if let Some(head) = head {
            let head = trees::of_commit(store.repository(), Some(head))?;
            // Where nothing is missing the index has nothing to say of it, and a large one takes longer to read than all else.
            if head != snapshot.files {
                let index = Indexed::of_snapshot(store.repository(), &snapshot);
                Filled { files: whole.files, skipped, hidden } = index.filled(&store, &snapshot, head)?;
            }
        }
        Ok(Self { store, snapshot, whole, skipped, hidden, refs, head, base })
    }

    /// Returns the branch that HEAD is on, without `refs/heads/`.
    pub(crate) fn branch(&self) -> Option<&str> {
        match &self.refs.head {
            Head::Branch(name) => Some(name.strip_prefix("refs/heads/").unwrap_or(name)),
            _ => None,
        }
    }

    /// Computes how the tree differs from a commit, and from which trees a patch of that is made.
    pub(crate) fn since(&self, commit: Option<Oid>) -> Result<(Vec<Change>, Sides)> {
        let after = change::committed(&self.store, commit, &self.whole)?;
        let changes = change::since(&self.store, commit, after, &self.whole)?;
        Ok((changes, Sides { before: commit, after }))
    }

    /// Counts how many paths of the tree differ from a commit.
    pub(crate) fn count_since(&self, commit: Option<Oid>) -> Result<usize> {
        let commit = match commit {
            Some(commit) => {
                Some(self.store.repository().find_commit(commit).context("cannot read a commit")?.tree_id())
            }
            None => None,
        };
        change::count(&self.store, commit, &self.whole)
    }
}

/// Two states of files: a commit or tree, and a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides {
    pub(crate) before: Option<Oid>,
    pub(crate) after: Oid,
}
