//! The uncommitted work of a workspace as git would commit it: the files of a snapshot, cleaned by attributes as git does.

use std::collections::BTreeMap;

use anyhow::Context;
use git2::{Repository, Signature};

use super::indexed::{Filled, Indexed};
use super::trees::{self, Difference, Entry, GITLINK, LINK};
use crate::error::Result;
use crate::git::Oid;
use crate::git::checkout::is_lfs_pointer;
use crate::git::convert::Attributes;
use crate::git::lfs;
use crate::git::recorded::{self, Recorded, Rules, is_covered};
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
    /// What the base tracks, and head does not any more, or what came along at first: by the tree's own rules it is ignored.
    pub(crate) ignored: Vec<Vec<u8>>,
    /// What is left out since it is ignored and the index cannot be read: what it holds now is not known.
    pub(crate) hidden: Vec<Vec<u8>>,
}

/// Why these are left out.
pub(crate) const HIDDEN: &str = "ignored, and `.git/index` cannot be read";

/// Computes the work of `snapshot`, whose walk knew `base`, on top of `head`. `created` is the tree of the files that were there
/// at first.
pub(crate) fn work(
    store: &Store,
    snapshot: &Snapshot,
    head: Option<Oid>,
    (base, created): (Option<Oid>, Option<Oid>),
    index: &Indexed,
) -> Result<Work> {
    let repository = store.repository();
    let head_tree = trees::of_commit(repository, head)?;
    let mut left_out = left_out(snapshot);
    let Filled { files, hidden, .. } = index.filled(store, snapshot, head_tree)?;
    left_out.extend(hidden.iter().map(|path| (path.clone(), HIDDEN.to_owned())));
    let mut differences = trees::differences(repository, head_tree, files)?;
    differences.retain(|difference| {
        let is_gitlink = |entry: Option<Entry>| entry.is_some_and(|entry| entry.mode == GITLINK);
        // A gitlink stays what head says: its commit is not in this repository.
        !is_gitlink(difference.before)
            && !is_gitlink(difference.after)
            && !is_covered(&difference.path, |top| left_out.contains_key(top))
    });
    let attributes = Cleaning::of(repository, head_tree, &differences)?;
    let base_tree = trees::of_commit(repository, base.filter(|base| repository.find_commit(*base).is_ok()))?;
    let mut new_lfs = Vec::new();
    let mut ignored = Vec::new();
    let mut edits: BTreeMap<Vec<u8>, Option<Entry>> = BTreeMap::new();
    for difference in differences {
        let Some(mut entry) = difference.after else {
            edits.insert(difference.path, None);
            continue;
        };
        let path = &difference.path;
        if difference.before.is_none()
            && !index.tracks(path)
            // What was imported since, or is only ignored since, is work that somebody did.
            && (trees::entry(repository, base_tree, path)?.is_some()
                || (created.map(|created| trees::entry(repository, created, path)).transpose()?.flatten().is_some()
                    && is_ignored(store, base_tree, path)?))
            && is_ignored(store, snapshot.files, path)?
        {
            ignored.push(difference.path);
            continue;
        }
        if entry.mode != LINK && !attributes.are_trivial() {
            let blob = repository.find_blob(entry.id).with_context(|| format!("cannot read blob {}", entry.id))?;
            match attributes.clean(repository, &difference, blob.content())? {
                Clean::AsIs => {}
                Clean::AsBefore(before) => entry.id = before,
                Clean::Content(clean) => entry.id = store.write(git2::ObjectType::Blob, clean)?,
                Clean::NewLfs => {
                    new_lfs.push(difference.path);
                    continue;
                }
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
    Ok(Work { tree, left_out: left_out.into_iter().collect(), unread, lfs: new_lfs, ignored, hidden })
}

/// Returns whether the `.gitignore` files of the tree `files` ignore a path in it.
fn is_ignored(store: &Store, files: Oid, path: &[u8]) -> Result<bool> {
    let mut recorded = Recorded::default();
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
    for end in ends.chain([0]) {
        let rules = [&path[..end], b".gitignore"].concat();
        if let Some(Entry { mode, id }) = trees::entry(store.repository(), files, &rules)? {
            recorded.files.insert(rules, recorded::Entry { mode, id });
        }
    }
    Ok(recorded.ignored(&mut Rules::new(store, b""), path).is_some())
}

/// The attributes by which changes go into git.
struct Cleaning {
    head: Attributes,
    /// Those of the working tree, which git goes by, where they are others.
    live: Option<Attributes>,
}

/// What becomes of a content on its way into git.
enum Clean {
    AsIs,
    /// It is what head's own content is in a working tree.
    AsBefore(Oid),
    Content(Vec<u8>),
    /// Only `git lfs` can take it.
    NewLfs,
}

impl Cleaning {
    fn of(repository: &Repository, head_tree: Oid, differences: &[Difference]) -> Result<Self> {
        let after = |entry: Entry| (entry.mode != LINK).then_some(entry.id);
        let changed = differences.iter().map(|one| (one.path.as_slice(), one.after.and_then(after)));
        let live = Attributes::changed(repository, head_tree, changed)?;
        Ok(Self { head: Attributes::of_tree(repository, head_tree)?, live })
    }

    fn are_trivial(&self) -> bool {
        [Some(&self.head), self.live.as_ref()].into_iter().flatten().all(|one| one.is_trivial() && !one.has_filters())
    }

    fn clean(&self, repository: &Repository, change: &Difference, content: &[u8]) -> Result<Clean> {
        // What nobody touched since it was checked out is no change to git, whatever attributes it has by now.
        if self.live.is_some()
            && let Some(before) = change.before
        {
            let same = match by(&self.head, repository, change, content) {
                Clean::AsBefore(_) => true,
                Clean::Content(clean) => Oid::hash_object(git2::ObjectType::Blob, &clean)? == before.id,
                Clean::AsIs | Clean::NewLfs => false,
            };
            if same {
                return Ok(Clean::AsBefore(before.id));
            }
        }
        Ok(by(self.live.as_ref().unwrap_or(&self.head), repository, change, content))
    }
}

fn by(attributes: &Attributes, repository: &Repository, change: &Difference, content: &[u8]) -> Clean {
    if attributes.is_lfs(&change.path) && !is_lfs_pointer(content) {
        let before = change.before.and_then(|before| repository.find_blob(before.id).ok());
        let fetched = before.filter(|pointer| lfs::is_of(pointer.content(), content));
        return fetched.map_or(Clean::NewLfs, |pointer| Clean::AsBefore(pointer.id()));
    }
    attributes.clean(&change.path, content).map_or(Clean::AsIs, Clean::Content)
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
