//! What differs in nothing but permission bits that git does not keep: of files, and of directories.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::Context as _;
use git2::{ObjectType, Tree};

use super::{Change, ChangeKind, REGULAR, TYPE, tree};
use crate::error::Result;
use crate::git::meta::Meta;
use crate::git::recorded::{Recorded, each, is_covered};
use crate::git::repository::Store;
use crate::git::snapshot::Snapshot;

pub(super) fn full_mode(meta: &Meta, path: &[u8], mode: u32) -> u32 {
    if mode & TYPE == REGULAR { REGULAR | meta.mode(path, mode & 0o100 != 0) } else { mode }
}

/// Adds the files.
pub(super) fn of_files(store: &Store, before: &Snapshot, after: &Snapshot, changes: &mut Vec<Change>) -> Result<()> {
    let (was, is) = (&before.meta, &after.meta);
    if was.plain == is.plain && was.modes == is.modes {
        return Ok(());
    }
    let reported: BTreeSet<&[u8]> = changes.iter().map(|change| change.path.as_slice()).collect();
    let mut found = Vec::new();
    let mut compare = |path: &[u8], mode: u32, id| {
        let (old_mode, mode) = (full_mode(was, path, mode), full_mode(is, path, mode));
        if old_mode != mode && !reported.contains(path) {
            found.push(Change {
                path: path.to_vec(),
                kind: ChangeKind::Update,
                old_path: None,
                old_mode: Some(old_mode),
                mode: Some(mode),
                old_id: Some(id),
                id: Some(id),
                binary: false,
                additions: 0,
                deletions: 0,
            });
        }
    };
    if was.plain == is.plain {
        let files = files(store, after)?;
        let listed: BTreeSet<&[u8]> = was.modes.iter().chain(&is.modes).map(|(path, _)| path.as_slice()).collect();
        for path in listed {
            if let Ok(entry) = files.get_path(as_path(path)) {
                compare(path, entry.filemode().cast_unsigned(), entry.id());
            }
        }
    } else {
        // Most files have another mode, and none of these is listed.
        each(store.repository(), after.files, &mut compare)?;
    }
    changes.append(&mut found);
    Ok(())
}

/// Adds the directories that are there before and after, those in nested repositories apart, where both snapshots know their
/// modes.
pub(super) fn of_directories(
    store: &Store,
    before: &Snapshot,
    after: &Snapshot,
    changes: &mut Vec<Change>,
) -> Result<()> {
    let (was, is) = (&before.meta, &after.meta);
    if was.plain_dir == is.plain_dir && was.dir_modes == is.dir_modes {
        return Ok(());
    }
    let mut paths: BTreeSet<Vec<u8>> =
        was.dir_modes.iter().chain(&is.dir_modes).map(|(path, _)| path.clone()).collect();
    if was.plain_dir != is.plain_dir {
        // Most directories have another mode, and none of these is listed.
        let recorded = Recorded::of(store, after)?;
        let parent = |path: &[u8]| path.iter().rposition(|byte| *byte == b'/').unwrap_or_default();
        let in_nested = |path: &[u8]| is_covered(&path[..parent(path)], |top| recorded.nested.contains(top));
        paths.extend(recorded.directories().into_keys().filter(|path| !in_nested(path)));
    }
    let (old_files, new_files) = (files(store, before)?, files(store, after)?);
    for path in paths {
        if let (Some(old), Some(new)) = (was.dir_mode(&path), is.dir_mode(&path))
            && old != new
            && is_directory(&old_files, was, &path)
            && is_directory(&new_files, is, &path)
        {
            changes.push(Change::of_directory(&path, old, new));
        }
    }
    Ok(())
}

fn is_directory(files: &Tree<'_>, meta: &Meta, path: &[u8]) -> bool {
    let is_in_files = || {
        let entry = files.get_path(as_path(path));
        entry.is_ok_and(|entry| matches!(entry.kind(), Some(ObjectType::Tree | ObjectType::Commit)))
    };
    path.is_empty() || meta.has_directory(path) || is_in_files()
}

fn files<'s>(store: &'s Store, snapshot: &Snapshot) -> Result<Tree<'s>> {
    tree(store.repository(), Some(snapshot.files))?.context("a snapshot without files")
}

fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}
