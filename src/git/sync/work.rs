//! The uncommitted work of a workspace as git would commit it: the files of a snapshot, cleaned by the attributes of head.

use std::collections::BTreeMap;

use anyhow::Context;
use git2::Signature;

use super::trees::{self, Entry, GITLINK, LINK};
use crate::error::Result;
use crate::git::Oid;
use crate::git::checkout::is_lfs_pointer;
use crate::git::convert::Attributes;
use crate::git::lfs;
use crate::git::repository::Store;
use crate::git::snapshot::{Snapshot, is_in_git};

/// A tree that git would commit, and what could not be part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) tree: Oid,
    /// Paths that stay as they are in head, with the reason: too large, unreadable, special, nested repositories.
    pub(crate) left_out: Vec<(Vec<u8>, String)>,
    /// How many of these could not be read, and are missing by no rule.
    pub(crate) unread: usize,
    /// Large files whose content is here instead of its pointer; only `git lfs` can bring these across.
    pub(crate) lfs: Vec<Vec<u8>>,
}

/// Computes the work of `snapshot` on top of `head`.
pub(crate) fn work(store: &Store, snapshot: &Snapshot, head: Option<Oid>) -> Result<Work> {
    let repository = store.repository();
    let head_tree = trees::of_commit(repository, head)?;
    let attributes = Attributes::of_tree(repository, head_tree)?;
    let left_out = left_out(snapshot);
    let mut new_lfs = Vec::new();
    let mut edits: BTreeMap<Vec<u8>, Option<Entry>> = BTreeMap::new();
    for difference in trees::differences(repository, head_tree, snapshot.files)? {
        let is_gitlink = |entry: Option<Entry>| entry.is_some_and(|entry| entry.mode == GITLINK);
        // A gitlink stays what head says: its commit is not in this repository.
        if is_gitlink(difference.before) || is_gitlink(difference.after) || covered(&left_out, &difference.path) {
            continue;
        }
        let Some(mut entry) = difference.after else {
            edits.insert(difference.path, None);
            continue;
        };
        if entry.mode != LINK && !attributes.is_trivial() {
            let blob = repository.find_blob(entry.id).with_context(|| format!("cannot read blob {}", entry.id))?;
            if attributes.is_lfs(&difference.path) && !is_lfs_pointer(blob.content()) {
                let pointer = difference.before.and_then(|before| repository.find_blob(before.id).ok());
                if !pointer.is_some_and(|pointer| lfs::is_of(pointer.content(), blob.content())) {
                    new_lfs.push(difference.path);
                }
                continue;
            }
            if let Some(clean) = attributes.clean(&difference.path, blob.content()) {
                entry.id = store.write(git2::ObjectType::Blob, clean)?;
            }
        }
        if difference.before != Some(entry) {
            edits.insert(difference.path, Some(entry));
        }
    }
    // The tree is written by libgit2, which looks for each blob.
    store.flush()?;
    let tree = trees::edited(repository, head_tree, &edits)?;
    let unread = snapshot.meta.unreadable.iter().filter(|(path, _)| !is_in_git(path)).count();
    Ok(Work { tree, left_out: left_out.into_iter().collect(), unread, lfs: new_lfs })
}

fn left_out(snapshot: &Snapshot) -> BTreeMap<Vec<u8>, String> {
    let meta = &snapshot.meta;
    let mut found = BTreeMap::new();
    found.extend(meta.too_large.iter().map(|(path, _)| (path.clone(), "too large".to_owned())));
    found.extend(meta.unreadable.iter().map(|(path, reason)| (path.clone(), reason.clone())));
    found.extend(meta.special.iter().map(|(path, kind)| (path.clone(), kind.clone())));
    found.extend(meta.nested.iter().map(|(path, _)| (path.clone(), "nested repository".to_owned())));
    found
}

/// Returns whether the path or a directory above it is left out.
fn covered(left_out: &BTreeMap<Vec<u8>, String>, path: &[u8]) -> bool {
    let above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
    above.chain([path]).any(|path| left_out.contains_key(path))
}

/// Writes a commit of the uncommitted work on top of `head`.
pub(crate) fn commit(
    store: &Store,
    tree: Oid,
    head: Option<Oid>,
    (name, mail): (&str, &str),
    message: &str,
) -> Result<Oid> {
    let repository = store.repository();
    let signature = Signature::now(name, mail).context("cannot make a signature")?;
    let parents = head.map(|head| repository.find_commit(head)).transpose().context("cannot read head")?;
    let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
    let tree = repository.find_tree(tree).context("cannot read the tree of the work")?;
    repository.commit(None, &signature, &signature, message, &tree, &parents).context("cannot write a commit")
}
