//! Commits that nothing names any more: an entry of the stash that was dropped, a branch that is gone with its log.

use std::collections::{HashMap, HashSet};

use git2::ObjectType;

use super::Walk;
use super::objects::Objects;
use crate::error::Result;
use crate::git::Oid;
use crate::git::agentdir::AgentRefs;
use crate::store::beneath::Dir;

/// So many ids are asked for; in what is larger than that nothing is looked for.
const MAX_IDS: usize = 200_000;
/// So many objects that the store lacks are read. Those of the run's own files are in the store by then.
const MAX_OBJECTS: usize = 10_000;
/// So many commits are passed by that were fetched and not made here.
const MAX_FETCHED: usize = 10_000;

impl Walk<'_> {
    /// Returns the commits that the store lacks, those first that no other of them goes on from; without what copies of
    /// remote branches reach.
    pub(super) fn dangling(&mut self, git: &Dir, refs: &AgentRefs) -> Result<Vec<Oid>> {
        let mut unknown = Vec::new();
        for id in Objects::open(git, 0).ids(MAX_IDS) {
            if !self.refused.contains_key(&id) && !self.known(id)? {
                unknown.push(id);
            }
        }
        unknown.truncate(MAX_OBJECTS);
        let mut parents: HashMap<Oid, Vec<Oid>> = HashMap::new();
        for (index, id) in unknown.iter().enumerate() {
            if self.objects.is_late() {
                break;
            }
            // What it says of itself only decides about an order here; it is checked when it is taken.
            if let Ok(Some((ObjectType::Commit, content))) =
                self.objects.read(*id, unknown[index + 1..].iter().copied())
            {
                let named = super::structure::commit(&content).unwrap_or_default().into_iter();
                let commits = named.filter(|(_, kind)| *kind == ObjectType::Commit);
                parents.insert(*id, commits.map(|(id, _)| id).collect());
            }
        }
        let mut fetched: Vec<Oid> = refs.copies_of_remote().collect();
        for _ in 0..MAX_FETCHED {
            let Some(id) = fetched.pop() else { break };
            fetched.extend(parents.remove(&id).unwrap_or_default());
        }
        let continued: HashSet<Oid> = parents.values().flatten().copied().collect();
        let mut found: Vec<Oid> = parents.into_keys().collect();
        found.sort_unstable_by_key(|id| (continued.contains(id), *id));
        Ok(found)
    }
}
