//! Linked worktrees that came between two snapshots and that the walk does not see: outside of the tree, or where the rules
//! ignore everything, as many keep them. Their files are in no snapshot.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use git2::Repository;

use crate::error::Result;
use crate::git::agentdir::{self, MAX_LOOSE, MAX_WORKTREES};
use crate::git::snapshot::Snapshot;

/// Returns the places of those that `after` has and `before` had not; relative to `top`, the path of the tree, where they are in
/// it. One that the walk has seen is a nested repository.
pub(crate) fn between(
    repository: &Repository,
    top: &Path,
    before: &Snapshot,
    after: &Snapshot,
) -> Result<Vec<PathBuf>> {
    let mut new = all(repository, top, after)?;
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let known = all(repository, top, before)?;
    new.retain(|place| {
        let path = place.as_os_str().as_encoded_bytes();
        !known.contains(place) && after.meta.nested.binary_search_by(|(nested, _)| nested.as_slice().cmp(path)).is_err()
    });
    Ok(new.into_iter().collect())
}

/// Returns the places of all that a snapshot has recorded.
fn all(repository: &Repository, top: &Path, snapshot: &Snapshot) -> Result<BTreeSet<PathBuf>> {
    let root = repository.find_tree(snapshot.id)?;
    let Ok(worktrees) = root.get_path(Path::new("gitdir/worktrees")) else { return Ok(BTreeSet::new()) };
    let Ok(worktrees) = repository.find_tree(worktrees.id()) else { return Ok(BTreeSet::new()) };
    let place = |name: &[u8], entry| {
        let text = repository.find_blob(repository.find_tree(entry).ok()?.get_name("gitdir")?.id()).ok()?;
        let is_small = u64::try_from(text.size()).is_ok_and(|size| size <= MAX_LOOSE);
        let place = agentdir::place_of_linked(top, name, text.content()).filter(|_| is_small)?;
        Some(place.strip_prefix(top).map(Path::to_path_buf).unwrap_or(place))
    };
    Ok(worktrees.iter().take(MAX_WORKTREES).filter_map(|entry| place(entry.name_bytes(), entry.id())).collect())
}
