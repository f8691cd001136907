//! What a snapshot recorded, path by path: nested repositories are taken for directories, so that two snapshots can be
//! compared whatever became a repository in between.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use git2::{ObjectType, Repository};

use crate::error::Result;
use crate::git::Oid;
use crate::git::ignore::Patterns;
use crate::git::meta::{GitFile, Meta};
use crate::git::repository::Store;
use crate::git::snapshot::{Snapshot, is_in_git};
use crate::store::walk::Stamp;

const TYPE: u32 = 0o170_000;
const TREE: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const GITLINK: u32 = 0o160_000;

/// A file or link: git's type with the full permission bits, and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mode: u32,
    pub(crate) id: Oid,
}

impl Entry {
    pub(crate) fn is_link(self) -> bool {
        self.mode & TYPE == 0o120_000
    }

    /// Returns the permission bits.
    pub(crate) fn permissions(self) -> u32 {
        self.mode & 0o7777
    }
}

#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) files: BTreeMap<Vec<u8>, Entry>,
    pub(crate) empty_dirs: BTreeSet<Vec<u8>>,
    /// What was there and could not be recorded, with the reason.
    pub(crate) unrecorded: BTreeMap<Vec<u8>, String>,
    /// What tells whether any of that has changed, as in [`Meta`].
    stamps: BTreeMap<Vec<u8>, Stamp>,
    /// What the run's own rules ignored, and is named alone.
    pub(crate) newly_ignored: BTreeSet<Vec<u8>>,
    /// The small files of each repository's `.git`, by the repository's path; that of the tree itself is empty.
    pub(crate) gitdirs: BTreeMap<Vec<u8>, Oid>,
    /// Permission bits in these that are not as usual, by their paths in the tree.
    pub(crate) git_modes: BTreeMap<Vec<u8>, u32>,
    pub(crate) nested: BTreeSet<Vec<u8>>,
    gitlinks: BTreeSet<Vec<u8>>,
    /// As in [`Meta`], of nested repositories too.
    plain_dir: Option<u32>,
    dir_modes: BTreeMap<Vec<u8>, u32>,
    /// The `.git` files of those that have one.
    pub(crate) git_files: BTreeMap<Vec<u8>, GitFile>,
    /// The repositories of which the git directories of submodules are recorded, if there are any.
    pub(crate) with_modules: BTreeSet<Vec<u8>>,
}

impl Recorded {
    pub(crate) fn of(store: &Store, snapshot: &Snapshot) -> Result<Self> {
        let meta = &snapshot.meta;
        let mut recorded = Self { plain_dir: meta.plain_dir, ..Self::default() };
        recorded.add(store.repository(), b"", snapshot.id, meta)?;
        for (path, id) in &meta.nested {
            let tree = store.repository().find_tree(*id).with_context(|| format!("cannot read tree {id}"))?;
            let blob = tree.get_name("meta").context("a nested snapshot has no meta")?.id();
            let meta = Meta::decode(store.repository().find_blob(blob).context("cannot read a blob")?.content())?;
            recorded.add(store.repository(), path, *id, &meta)?;
            recorded.nested.insert(path.clone());
        }
        let unrecorded = &mut recorded.unrecorded;
        unrecorded.extend(meta.special.iter().cloned());
        unrecorded.extend(meta.too_large.iter().map(|(path, size)| (path.clone(), format!("{size} bytes"))));
        unrecorded.extend(meta.unreadable.iter().cloned());
        recorded.stamps.extend(meta.stamps.iter().cloned());
        recorded.git_files.extend(meta.git_files.iter().cloned());
        recorded.newly_ignored.extend(meta.newly_ignored.iter().cloned());
        Ok(recorded)
    }

    /// Returns whether something that is recorded neither here nor in `other` is the same there, as far as that can be known.
    pub(crate) fn has_unchanged(&self, path: &[u8], other: &Self) -> bool {
        let Some((one, two)) = self.stamps.get(path).zip(other.stamps.get(path)) else {
            return self.unrecorded.get(path) == other.unrecorded.get(path);
        };
        // Other permission bits of a directory, which are recorded, set the time of change too.
        one == two
            || (Stamp { ctime: two.ctime, ..*one } == *two && self.dir_modes.get(path) != other.dir_modes.get(path))
    }

    fn add(&mut self, repository: &Repository, top: &[u8], root: Oid, meta: &Meta) -> Result<()> {
        let root = repository.find_tree(root).with_context(|| format!("cannot read tree {root}"))?;
        let files = root.get_name("files").context("a snapshot has no files")?.id();
        if let Some(gitdir) = root.get_name("gitdir") {
            self.gitdirs.insert(top.to_vec(), gitdir.id());
        }
        if meta.has_modules {
            self.with_modules.insert(top.to_vec());
        }
        each(repository, files, &mut |path, mode, id| {
            let mode = if mode & TYPE == FILE { FILE | meta.mode(path, mode & 0o100 != 0) } else { mode };
            if mode & TYPE == GITLINK {
                self.gitlinks.insert(join(top, path));
                if meta.nested.binary_search_by(|(nested, _)| nested.as_slice().cmp(path)).is_err() {
                    // A submodule that is not checked out: git misses the directory where it is not there.
                    self.empty_dirs.insert(join(top, path));
                }
            } else {
                self.files.insert(join(top, path), Entry { mode, id });
            }
        })?;
        self.empty_dirs.extend(meta.empty_dirs.iter().map(|path| join(top, path)));
        self.dir_modes.extend(meta.dir_modes.iter().map(|(path, mode)| (join(top, path), *mode)));
        self.git_modes.extend(meta.git_modes.iter().map(|(path, mode)| (join(top, path), *mode)));
        Ok(())
    }

    /// Returns whether something recorded, or named as not recorded, is at `path` or below it.
    pub(crate) fn has(&self, path: &[u8]) -> bool {
        let below = |found: Option<&Vec<u8>>| found.is_some_and(|found| is_at_or_below(found, path));
        let from = || path.to_vec()..;
        let below_slash = join(path, b"");
        self.files.contains_key(path)
            || self.empty_dirs.contains(path)
            || self.dir_modes.contains_key(path)
            || below(self.files.range(below_slash.clone()..).next().map(|(path, _)| path))
            || below(self.empty_dirs.range(below_slash.clone()..).next())
            || below(self.dir_modes.range(below_slash.clone()..).next().map(|(path, _)| path))
            || below(self.nested.range(from()).next())
            || below(self.nested.range(below_slash.clone()..).next())
            || below(self.unrecorded.range(from()).next().map(|(path, _)| path))
            || below(self.unrecorded.range(below_slash..).next().map(|(path, _)| path))
    }

    /// Returns the directories with their permission bits, those in `.git` apart; that of the tree itself has an empty path. None
    /// where the snapshot is from before these were recorded.
    ///
    /// One that holds nothing but ignored files is known when its mode is not the usual one.
    pub(crate) fn directories(&self) -> BTreeMap<Vec<u8>, u32> {
        let Some(plain) = self.plain_dir else { return BTreeMap::new() };
        let mut found = BTreeMap::from([(Vec::new(), plain)]);
        let mut add_parents = |path: &[u8]| {
            let mut path = path;
            while let Some(slash) = path.iter().rposition(|byte| *byte == b'/') {
                path = &path[..slash];
                // Where one is known those above it are.
                if found.insert(path.to_vec(), plain).is_some() {
                    break;
                }
            }
        };
        let whole = || self.empty_dirs.iter().chain(&self.nested).chain(&self.gitlinks).chain(self.dir_modes.keys());
        let outside = |path: &&Vec<u8>| !is_in_git(path);
        let inside = self.files.keys().chain(self.unrecorded.keys().filter(outside)).chain(&self.newly_ignored);
        whole().chain(inside).for_each(|path| add_parents(path));
        found.extend(whole().map(|path| (path.clone(), plain)));
        found.extend(self.dir_modes.iter().map(|(path, mode)| (path.clone(), *mode)));
        found
    }

    /// Returns the uppermost component of `path` that the rules in these files, or `global` ones, ignore.
    pub(crate) fn ignored<'p>(&self, rules: &mut Rules<'_>, path: &'p [u8]) -> Option<&'p [u8]> {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([path.len()]);
        ends.map(|end| &path[..end]).find(|part| rules.ignore(self, part, part.len() < path.len()))
    }
}

/// The `.gitignore` files of a snapshot, read when they are asked for.
pub(crate) struct Rules<'a> {
    store: &'a Store,
    global: Patterns,
    read: BTreeMap<Vec<u8>, Option<Patterns>>,
}

impl<'a> Rules<'a> {
    pub(crate) fn new(store: &'a Store, global: &[u8]) -> Self {
        Self { store, global: Patterns::parse(global), read: BTreeMap::new() }
    }

    fn ignore(&mut self, recorded: &Recorded, path: &[u8], is_directory: bool) -> bool {
        let mut directory = path;
        while let Some(slash) = directory.iter().rposition(|byte| *byte == b'/') {
            directory = &directory[..slash];
            if let Some(verdict) = self.verdict(recorded, directory, &path[slash + 1..], is_directory) {
                return verdict;
            }
        }
        let top = self.verdict(recorded, b"", path, is_directory);
        top.or_else(|| self.global.verdict(path, is_directory)).unwrap_or(false)
    }

    fn verdict(&mut self, recorded: &Recorded, directory: &[u8], path: &[u8], is_directory: bool) -> Option<bool> {
        let store = self.store;
        let patterns = self.read.entry(directory.to_vec()).or_insert_with(|| {
            let entry = recorded.files.get(&join(directory, b".gitignore")).filter(|entry| !entry.is_link())?;
            Some(Patterns::parse(store.repository().find_blob(entry.id).ok()?.content()))
        });
        patterns.as_ref()?.verdict(path, is_directory)
    }
}

/// Calls `found` with the path, mode and id of everything in a tree that is no tree itself.
pub(crate) fn each(repository: &Repository, tree: Oid, found: &mut dyn FnMut(&[u8], u32, Oid)) -> Result<()> {
    let mut waiting = vec![(Vec::new(), tree)];
    while let Some((top, id)) = waiting.pop() {
        let tree = repository.find_tree(id).with_context(|| format!("cannot read tree {id}"))?;
        for entry in &tree {
            let path = join(&top, entry.name_bytes());
            let mode = entry.filemode_raw().cast_unsigned();
            if mode & TYPE == TREE || entry.kind() == Some(ObjectType::Tree) {
                waiting.push((path, entry.id()));
            } else {
                found(&path, mode, entry.id());
            }
        }
    }
    Ok(())
}

/// Returns whether `path` or a directory that it is in is one of those that `is_top` names.
pub(crate) fn is_covered(path: &[u8], is_top: impl Fn(&[u8]) -> bool) -> bool {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end).chain([path.len()]);
    ends.into_iter().any(|end| is_top(&path[..end]))
}

pub(crate) fn is_at_or_below(path: &[u8], top: &[u8]) -> bool {
    top.is_empty() || path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Joins two paths; an empty name ends in the slash below which everything in `top` is.
pub(crate) fn join(top: &[u8], name: &[u8]) -> Vec<u8> {
    if top.is_empty() { name.to_vec() } else { [top, b"/", name].concat() }
}
