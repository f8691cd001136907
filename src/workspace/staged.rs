//! Work that is in a workspace's index and nowhere else.

use std::collections::HashSet;
use std::path::Path;

use crate::git::pool::Pool;
use crate::git::repository::Store;
use crate::git::{ObjectType, Oid, agentdir, tracked};
use crate::store::beneath::Dir;
use crate::workspace::Workspace;

/// The index itself, where nobody can say what is staged in it.
const INDEX: &[u8] = b".git/index";

/// Returns the paths of what only the index names: neither the head nor the tree, `there`, has its content, nor the pool. An
/// index that cannot be read may name anything.
pub(crate) fn only(workspace: &Workspace, store: &Store, tree: &Dir, there: [Option<Oid>; 2]) -> Vec<Vec<u8>> {
    find(workspace, store, tree, there).unwrap_or_default()
}

fn find(workspace: &Workspace, store: &Store, tree: &Dir, there: [Option<Oid>; 2]) -> Option<Vec<Vec<u8>>> {
    let repository = store.repository();
    // Where the pool is gone all would seem to be nowhere.
    if workspace.base().is_some_and(|base| repository.find_commit(base).is_err()) {
        return None;
    }
    let git = agentdir::git_dir(tree, &mut Vec::new())?;
    let index = match agentdir::index(&git, Path::new(""), &mut { agentdir::MAX_INDEX }) {
        Ok(index) => index?,
        Err(_) => return Some(vec![INDEX.to_vec()]),
    };
    if !index.is_whole {
        return Some(vec![INDEX.to_vec()]);
    }
    let mut staged = index.into_entries();
    // Mostly it is the head's own, which is cheaper to find out than to look for each.
    let head = there[0].and_then(|head| Some(repository.find_commit(head).ok()?.tree_id()));
    let whole = tracked::tree(&staged);
    if whole.is_some() && (whole == head || whole == there[1]) {
        return None;
    }
    let pool = workspace.record.pool.as_deref().and_then(|key| Pool::open(workspace.at(), key).ok());
    let pool = pool.as_ref().and_then(|pool| pool.repository().odb().ok());
    // The store keeps what was staged too, so that it is not asked.
    let mut known = HashSet::new();
    for tree in there.into_iter().flatten() {
        tracked::blobs(repository, tree, &mut known);
    }
    // An entry that is only intended to be added has it.
    let empty = Oid::hash_object(ObjectType::Blob, b"").ok()?;
    staged.retain(|entry| entry.mode != 0o160_000 && entry.id != empty && !known.contains(&entry.id));
    staged.retain(|entry| !pool.as_ref().is_some_and(|pool| pool.exists(entry.id)));
    Some(staged.into_iter().map(|entry| entry.path).collect())
}
