//! Work that is in a workspace's index and nowhere else.

use std::collections::HashSet;
use std::path::Path;

use crate::git::delivered::Outside;
use crate::git::repository::Store;
use crate::git::{ObjectType, Oid, Repository, agentdir, tracked};
use crate::store::beneath::Dir;
use crate::workspace::Workspace;

/// Returns the paths of what only the index names: neither the head nor the tree, `there`, has its content, nor a place outside.
/// The error is the reason why an index that is there cannot be read: it may stage anything. One that is missing stages nothing,
/// as git sees it.
pub(crate) fn only(
    workspace: &Workspace,
    store: &Store,
    tree: &Dir,
    there: [Option<Oid>; 2],
    outside: &Outside,
) -> Result<Vec<Vec<u8>>, String> {
    let repository = store.repository();
    // Where the pool is gone all would seem to be nowhere.
    if workspace.base().is_some_and(|base| repository.find_commit(base).is_err()) {
        return Ok(Vec::new());
    }
    let Some(git) = agentdir::git_dir(tree, &mut Vec::new()) else { return Ok(Vec::new()) };
    let Some(index) = agentdir::index(&git, Path::new(""), &mut { agentdir::MAX_INDEX })? else {
        return Ok(Vec::new());
    };
    if !index.is_whole {
        return Err("it is not as git writes one".to_owned());
    }
    Ok(unknown(repository, index.into_entries(), there, outside))
}

/// Returns the paths of the entries whose content is in none of the trees `there` and in no place outside.
fn unknown(
    repository: &Repository,
    mut staged: Vec<tracked::Entry>,
    there: [Option<Oid>; 2],
    outside: &Outside,
) -> Vec<Vec<u8>> {
    // Mostly it is the head's own, which is cheaper to find out than to look for each.
    let head = there[0].and_then(|head| Some(repository.find_commit(head).ok()?.tree_id()));
    let whole = tracked::tree(&staged);
    if whole.is_some() && (whole == head || whole == there[1]) {
        return Vec::new();
    }
    // The store keeps what was staged too, so that it is not asked.
    let mut known = HashSet::new();
    for tree in there.into_iter().flatten() {
        tracked::blobs(repository, tree, &mut known);
    }
    // An entry that is only intended to be added has it.
    known.extend(Oid::hash_object(ObjectType::Blob, b""));
    staged.retain(|entry| entry.mode != 0o160_000 && !known.contains(&entry.id));
    staged.retain(|entry| !outside.has_object(entry.id));
    staged.into_iter().map(|entry| entry.path).collect()
}
