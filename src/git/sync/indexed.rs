//! What an index says that decides over the work in its tree: what is tracked, not checked out, or not merged.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use git2::Repository;

use super::{list, shown, trees};
use crate::error::{Failure, Kind, Result};
use crate::git::recorded::is_covered;
use crate::git::repository::Store;
use crate::git::snapshot::Snapshot;
use crate::git::tracked::{Entry, Index};
use crate::git::{Oid, gitdir};

/// The index of a working tree; of one that cannot be read nothing is known.
#[derive(Debug, Default)]
pub(crate) struct Indexed {
    entries: Vec<Entry>,
    /// Paths with conflicts.
    unmerged: Vec<Vec<u8>>,
    /// Whether it is there and could be read.
    is_known: bool,
}

/// The files of a snapshot, and of its head what is not deleted although the snapshot does not have it.
#[derive(Clone, Debug)]
pub(crate) struct Filled {
    pub(crate) files: Oid,
    /// What is only not checked out: whoever sees no deletion there is to know why.
    pub(crate) skipped: Vec<Vec<u8>>,
    /// What the rules ignore and only an index that cannot be read may track: nobody has looked at it.
    pub(crate) hidden: Vec<Vec<u8>>,
}

impl Indexed {
    /// Reads the index that a snapshot has recorded.
    pub(crate) fn of_snapshot(repository: &Repository, snapshot: &Snapshot) -> Self {
        let read = || {
            let root = repository.find_tree(snapshot.id).ok()?;
            let gitdir = repository.find_tree(root.get_name("gitdir")?.id()).ok()?;
            let file = |name: &[u8]| {
                let entry = gitdir.get_name_bytes(name)?;
                Some(gitdir::File { mode: entry.filemode().cast_unsigned(), id: entry.id() })
            };
            let index = repository.find_blob(file(b"index").filter(|file| !file.is_link())?.id).ok()?;
            Some(Self::of(gitdir::index(repository, index.content(), file)))
        };
        read().unwrap_or_default()
    }

    /// Reads the index of a project of the user's own.
    pub(crate) fn of_project(project: &Repository) -> Self {
        let file = |name: &str| std::fs::read(project.path().join(name)).ok();
        file("index").map(|content| Self::of(Index::read(&content, file))).unwrap_or_default()
    }

    fn of(index: Index) -> Self {
        Self { unmerged: index.unmerged(), is_known: index.is_whole, entries: index.into_entries() }
    }

    /// Fails where a merge is not resolved in `what`: its files hold both sides, and marks between them.
    pub(crate) fn check_merged(&self, what: &str, hint: impl std::fmt::Display) -> Result<()> {
        if self.unmerged.is_empty() {
            return Ok(());
        }
        let paths = list(self.unmerged.iter().map(|path| shown(path)));
        Err(Failure::new(Kind::Refused, format!("{what} has unresolved conflicts: {paths}")).hint(hint).into())
    }

    /// Returns whether git tracks a file.
    pub(crate) fn tracks(&self, path: &[u8]) -> bool {
        self.find(path).is_some() || self.unmerged.iter().any(|unmerged| unmerged == path)
    }

    /// Returns whether a file that is not there is only not checked out.
    pub(crate) fn skips(&self, path: &[u8]) -> bool {
        let directories = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..=at]);
        directories.chain([path]).any(|path| self.find(path).is_some_and(|entry| entry.skipped))
    }

    /// Returns the files of `snapshot` with what is not deleted as the tree `head` has it.
    ///
    /// The walk passes by what the rules ignore and no index tracks. A file of the head that is there may have been added in
    /// spite of the rules; by an index that can be read it is known whether it has been taken out of git since.
    pub(crate) fn filled(&self, store: &Store, snapshot: &Snapshot, head: Oid) -> Result<Filled> {
        let repository = store.repository();
        let mut filled = Filled { files: snapshot.files, skipped: Vec::new(), hidden: Vec::new() };
        let ignored = snapshot.ignored.iter().chain(&snapshot.meta.newly_ignored).map(Vec::as_slice);
        let ignored: BTreeSet<&[u8]> = ignored.filter(|_| !self.is_known).collect();
        if ignored.is_empty() && !self.entries.iter().any(|entry| entry.skipped) {
            return Ok(filled);
        }
        let mut missing = BTreeMap::new();
        for difference in trees::differences(repository, head, snapshot.files)? {
            if difference.after.is_some() || !is_vacant(repository, snapshot.files, &difference.path)? {
                continue;
            }
            let found = if self.skips(&difference.path) {
                &mut filled.skipped
            } else if is_covered(&difference.path, |top| ignored.contains(top)) {
                &mut filled.hidden
            } else {
                continue;
            };
            found.push(difference.path.clone());
            missing.insert(difference.path, difference.before);
        }
        // The tree is written by libgit2, which looks for each blob.
        store.flush()?;
        filled.files = trees::edited(repository, snapshot.files, &missing)?;
        Ok(filled)
    }

    fn find(&self, path: &[u8]) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.path.as_slice().cmp(path)).ok()?;
        Some(&self.entries[at])
    }
}

/// Returns whether nothing in a tree is at `path`, nor in the place of a directory above it.
fn is_vacant(repository: &Repository, tree: Oid, path: &[u8]) -> Result<bool> {
    let above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
    for directory in above {
        if trees::entry(repository, tree, directory)?.is_some() {
            return Ok(false);
        }
    }
    let tree = repository.find_tree(tree)?;
    Ok(tree.get_path(Path::new(OsStr::from_bytes(path))).is_err())
}
