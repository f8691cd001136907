//! What an index says that decides over the work in its tree: what is tracked, not checked out, or not merged.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use git2::Repository;

use super::trees;
use crate::error::Result;
use crate::git::Oid;
use crate::git::repository::Store;
use crate::git::snapshot::Snapshot;
use crate::git::tracked::{self, Entry};

/// The index of a working tree; of one that cannot be read nothing is known.
#[derive(Debug, Default)]
pub(crate) struct Indexed {
    entries: Vec<Entry>,
    /// Paths with conflicts.
    pub(crate) unmerged: Vec<Vec<u8>>,
}

impl Indexed {
    /// Reads the index that a snapshot has recorded.
    pub(crate) fn of_snapshot(repository: &Repository, snapshot: &Snapshot) -> Self {
        let read = || {
            let root = repository.find_tree(snapshot.id).ok()?;
            let gitdir = repository.find_tree(root.get_name("gitdir")?.id()).ok()?;
            Some(Self::of(repository.find_blob(gitdir.get_name("index")?.id()).ok()?.content()))
        };
        read().unwrap_or_default()
    }

    /// Reads the index of a project of the user's own.
    pub(crate) fn of_project(project: &Repository) -> Self {
        std::fs::read(project.path().join("index")).map(|content| Self::of(&content)).unwrap_or_default()
    }

    fn of(content: &[u8]) -> Self {
        Self { entries: tracked::entries(content), unmerged: tracked::unmerged(content) }
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

    /// Returns the tree `files` with what is only not checked out as the tree `head` has it, and the paths of that: whoever sees
    /// no deletion there is to know why.
    pub(crate) fn filled(&self, store: &Store, files: Oid, head: Oid) -> Result<(Oid, Vec<Vec<u8>>)> {
        let repository = store.repository();
        if !self.entries.iter().any(|entry| entry.skipped) {
            return Ok((files, Vec::new()));
        }
        let mut missing = BTreeMap::new();
        for difference in trees::differences(repository, head, files)? {
            if difference.after.is_none()
                && self.skips(&difference.path)
                && is_vacant(repository, files, &difference.path)?
            {
                missing.insert(difference.path, difference.before);
            }
        }
        // The tree is written by libgit2, which looks for each blob.
        store.flush()?;
        let filled = trees::edited(repository, files, &missing)?;
        Ok((filled, missing.into_keys().collect()))
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
