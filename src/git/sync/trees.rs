//! Trees compared, edited and merged by path, in memory.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context;
use git2::{DiffOptions, ErrorCode, Index, IndexEntry, IndexTime, MergeOptions, Repository};

use super::Conflict;
use crate::error::Result;
use crate::git::Oid;

pub(crate) const LINK: u32 = 0o120_000;
pub(crate) const GITLINK: u32 = 0o160_000;

/// What a tree holds at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mode: u32,
    pub(crate) id: Oid,
}

/// One path at which two trees differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) path: Vec<u8>,
    pub(crate) before: Option<Entry>,
    pub(crate) after: Option<Entry>,
}

/// Returns the tree of a commit, the empty tree for none.
pub(crate) fn of_commit(repository: &Repository, commit: Option<Oid>) -> Result<Oid> {
    match commit {
        Some(commit) => {
            let found = repository.find_commit(commit).with_context(|| format!("cannot read commit {commit}"))?;
            Ok(found.tree_id())
        }
        None => repository.treebuilder(None)?.write().context("cannot write the empty tree"),
    }
}

/// Returns where two trees differ, sorted by path; renames are a deletion and a creation.
pub(crate) fn differences(repository: &Repository, before: Oid, after: Oid) -> Result<Vec<Difference>> {
    let before = repository.find_tree(before).with_context(|| format!("cannot read tree {before}"))?;
    let after = repository.find_tree(after).with_context(|| format!("cannot read tree {after}"))?;
    let mut options = DiffOptions::new();
    options.include_typechange(true);
    let diff = repository
        .diff_tree_to_tree(Some(&before), Some(&after), Some(&mut options))
        .context("cannot compare trees")?;
    let entry = |file: &git2::DiffFile<'_>| {
        (!file.id().is_zero()).then(|| Entry { mode: u32::from(file.mode()), id: file.id() })
    };
    Ok(diff
        .deltas()
        .map(|delta| Difference {
            path: delta.new_file().path_bytes().or(delta.old_file().path_bytes()).unwrap_or_default().to_owned(),
            before: entry(&delta.old_file()),
            after: entry(&delta.new_file()),
        })
        .collect())
}

/// Returns what `tree` holds at `path`; `None` for nothing or a directory.
pub(crate) fn entry(repository: &Repository, tree: Oid, path: &[u8]) -> Result<Option<Entry>> {
    let tree = repository.find_tree(tree).with_context(|| format!("cannot read tree {tree}"))?;
    match tree.get_path(Path::new(OsStr::from_bytes(path))) {
        Ok(entry) => {
            let mode = u32::try_from(entry.filemode()).unwrap_or_default();
            Ok((mode != 0o040_000).then(|| Entry { mode, id: entry.id() }))
        }
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error).context("cannot read a tree"),
    }
}

/// Writes `base` with some paths changed, and returns the new tree.
pub(crate) fn edited(repository: &Repository, base: Oid, edits: &BTreeMap<Vec<u8>, Option<Entry>>) -> Result<Oid> {
    if edits.is_empty() {
        return Ok(base);
    }
    let tree = repository.find_tree(base).with_context(|| format!("cannot read tree {base}"))?;
    let mut index = Index::new()?;
    index.read_tree(&tree).context("cannot read a tree")?;
    for (path, entry) in edits {
        let path = Path::new(OsStr::from_bytes(path));
        if entry.is_none() && index.get_path(path, 0).is_some() {
            index.remove(path, 0).with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
    }
    for (path, entry) in edits {
        let Some(entry) = entry else { continue };
        index.add(&index_entry(path, *entry)).with_context(|| format!("cannot add `{}`", path.escape_ascii()))?;
    }
    index.write_tree_to(repository).context("cannot write a tree")
}

fn index_entry(path: &[u8], entry: Entry) -> IndexEntry {
    IndexEntry {
        ctime: IndexTime::new(0, 0),
        mtime: IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode: entry.mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id: entry.id,
        flags: 0,
        flags_extended: 0,
        path: path.to_owned(),
    }
}

/// Merges two trees over their ancestor; the inner error lists what both changed differently.
pub(crate) fn merged(
    repository: &Repository,
    ancestor: Oid,
    ours: Oid,
    theirs: Oid,
) -> Result<Result<Oid, Vec<Conflict>>> {
    if ours == theirs || theirs == ancestor {
        return Ok(Ok(ours));
    }
    if ours == ancestor {
        return Ok(Ok(theirs));
    }
    let tree = |id| repository.find_tree(id).with_context(|| format!("cannot read tree {id}"));
    let mut options = MergeOptions::new();
    options.find_renames(true);
    let mut index = repository
        .merge_trees(&tree(ancestor)?, &tree(ours)?, &tree(theirs)?, Some(&options))
        .context("cannot merge")?;
    written(repository, &mut index)
}

/// Writes the tree of a merged index, or returns its conflicts.
pub(crate) fn written(repository: &Repository, index: &mut Index) -> Result<Result<Oid, Vec<Conflict>>> {
    if !index.has_conflicts() {
        return index.write_tree_to(repository).map(Ok).context("cannot write the merged tree");
    }
    let mut conflicts = Vec::new();
    for conflict in index.conflicts().context("cannot list conflicts")? {
        let conflict = conflict.context("cannot read a conflict")?;
        let reason = match (&conflict.ancestor, &conflict.our, &conflict.their) {
            (Some(_), Some(_), Some(_)) => "changed on both sides",
            (None, Some(_), Some(_)) => "made on both sides",
            (Some(_), None, Some(_)) | (Some(_), Some(_), None) => "changed on one side and removed on the other",
            _ => "renamed on one side and changed on the other",
        };
        let path = [conflict.our, conflict.their, conflict.ancestor].into_iter().flatten().next();
        conflicts.push(Conflict::new(&path.map(|entry| entry.path).unwrap_or_default(), reason));
    }
    conflicts.sort_by(|one, other| one.path.cmp(&other.path));
    conflicts.dedup_by(|one, other| one.path == other.path);
    Ok(Err(conflicts))
}
