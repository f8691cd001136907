//! Files that git can hold and nothing outside does.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::brought::Brought;
use super::{Code, Unsaved};
use crate::error::Result;
use crate::git::change::{self, Change, ChangeKind};
use crate::git::delivered::Outside;
use crate::git::import::Imported;
use crate::git::repository::Store;
use crate::git::snapshot::Snapshot;
use crate::git::sync::indexed::Indexed;
use crate::git::sync::trees::{self, Entry, LINK};
use crate::git::sync::work::work;
use crate::git::{ObjectType, Oid, Repository, lfs};
use crate::store::beneath::Dir;
use crate::workspace::Workspace;

const FILE: u32 = 0o100_000;

/// Returns what git can hold and the head does not, unless it is outside all the same.
pub(super) fn of_files(
    workspace: &Workspace,
    store: &Store,
    (snapshot, created): (&Snapshot, Option<Oid>),
    imported: &Imported,
    outside: &Outside,
) -> Result<Vec<Unsaved>> {
    let repository = store.repository();
    let head = imported.refs.head_commit().and_then(|head| repository.find_commit(head).ok());
    let index = Indexed::of_snapshot(repository, snapshot);
    let work = work(store, snapshot, head.as_ref().map(crate::git::Commit::id), (workspace.base(), created), &index)?;
    let head = head.map(|head| head.tree_id());
    let mut differences = change::files_between(store, head, Some(work.tree))?;
    // The content that a pointer of the head stands for has been fetched, not written.
    let mut large = work.lfs;
    large.retain(|path| !is_fetched(repository, head, snapshot.files, path));
    // What a submodule has is told as a nested repository.
    differences
        .retain(|change| [change.old_mode, change.mode].iter().flatten().all(|mode| mode & 0o170_000 != 0o160_000));
    // What is not tracked is work where it has become another than it was at first.
    let mut ignored = work.ignored;
    let base = trees::of_commit(repository, workspace.base().filter(|base| repository.find_commit(*base).is_ok()))?;
    let at = |tree: Oid, path: &[u8]| trees::entry(repository, tree, path).ok().flatten();
    let was = |path: &[u8]| {
        [Some(base), created].into_iter().flatten().any(|tree| at(tree, path) == at(snapshot.files, path))
    };
    let brought = Brought::of(workspace, store, (created, snapshot.files), outside);
    // Ignored files that `.worktreeinclude` names are copies of the project's own configuration: while they are as they came
    // they are no work, whatever becomes of the project's. What was imported was chosen by hand and may be the last copy.
    ignored.retain(|path| !was(path) || brought.is_last_import(path));
    let ignored = Unsaved::paths(Code::NewlyIgnored, ignored).into_iter();
    let ignored = ignored.chain(Unsaved::paths(Code::Unreadable, work.hidden));
    if large.is_empty()
        && (differences.is_empty() || outside.holds_tree(work.tree)? || is_applied(workspace, store, work.tree)?)
    {
        return Ok(ignored.collect());
    }
    let mut differences = undelivered(workspace, store, outside, differences)?;
    brought.take_out_copies(&mut differences)?;
    let (new, old): (Vec<_>, Vec<_>) = differences.into_iter().partition(|change| change.kind == ChangeKind::Create);
    let paths = |changes: Vec<Change>| changes.into_iter().map(|change| change.path).collect::<Vec<_>>();
    let changed = [paths(old), large].concat();
    let found = [Unsaved::paths(Code::Uncommitted, changed), Unsaved::paths(Code::Untracked, paths(new))];
    Ok(found.into_iter().flatten().chain(ignored).collect())
}

/// Takes out what a tree that was delivered, and is still there, holds with the same content.
fn undelivered(
    workspace: &Workspace,
    store: &Store,
    outside: &Outside,
    mut differences: Vec<Change>,
) -> Result<Vec<Change>> {
    let repository = store.repository();
    for delivery in &workspace.record.deliveries {
        let Some(commit) = Oid::from_str(&delivery.commit).ok().and_then(|id| repository.find_commit(id).ok()) else {
            continue;
        };
        let folder = match &delivery.refname {
            Some(_) if outside.undelivered(store, &[commit.id()], Vec::new)?.is_empty() => None,
            None if Path::new(&delivery.target).is_absolute() => match Dir::open(Path::new(&delivery.target)) {
                Ok(folder) => Some(folder),
                Err(_) => continue,
            },
            _ => continue,
        };
        let tree = commit.tree_id();
        let at = |path: &[u8]| trees::entry(repository, tree, path).ok();
        let is_in = |change: &Change| {
            let same = at(&change.path).is_some_and(|entry| entry.map(|entry| entry.id) == change.id);
            same && change.old_path.as_deref().is_none_or(|old| at(old) == Some(None))
        };
        differences.retain(|change| !(is_in(change) && folder.as_ref().is_none_or(|folder| holds(folder, change))));
    }
    Ok(differences)
}

fn is_fetched(repository: &Repository, head: Option<Oid>, files: Oid, path: &[u8]) -> bool {
    let blob = |tree: Oid| {
        let path = Path::new(OsStr::from_bytes(path));
        repository.find_blob(repository.find_tree(tree).ok()?.get_path(path).ok()?.id()).ok()
    };
    match (head.and_then(blob), blob(files)) {
        (Some(pointer), Some(content)) => lfs::is_of(pointer.content(), content.content()),
        _ => false,
    }
}

/// Returns whether `tree` was applied to a folder that still holds all that it changed since the base.
fn is_applied(workspace: &Workspace, store: &Store, tree: Oid) -> Result<bool> {
    let repository = store.repository();
    let tree_of = |commit: &str| {
        let commit = Oid::from_str(commit).ok()?;
        repository.find_commit(commit).ok().map(|commit| commit.tree_id())
    };
    let base = workspace.record.base.as_deref().and_then(tree_of);
    for delivery in &workspace.record.deliveries {
        let target = Path::new(&delivery.target);
        if delivery.refname.is_none()
            && target.is_absolute()
            && tree_of(&delivery.commit) == Some(tree)
            && let Ok(folder) = Dir::open(target)
            && change::files_between(store, base, Some(tree))?.iter().all(|change| holds(&folder, change))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns whether a folder has what a change made.
fn holds(folder: &Dir, change: &Change) -> bool {
    let gone = |bytes: &[u8]| matches!(folder.stat(as_path(bytes)), Ok(None));
    if change.old_path.as_deref().is_some_and(|old| change.kind == ChangeKind::Rename && !gone(old)) {
        return false;
    }
    match (change.id, change.mode) {
        (Some(id), Some(mode)) => has(folder, as_path(&change.path), Entry { mode, id }),
        _ => gone(&change.path),
    }
}

/// Returns whether a folder has this very file or link at `path`: its type, its content, and whether it is executable.
pub(super) fn has(folder: &Dir, path: &Path, entry: Entry) -> bool {
    let content = match entry.mode & 0o170_000 {
        LINK => folder.link(path).ok(),
        FILE => file(folder, path, entry.mode),
        _ => None,
    };
    content.is_some_and(|content| Oid::hash_object(ObjectType::Blob, &content).is_ok_and(|found| found == entry.id))
}

/// Reads a file that is as executable as `mode`, by what git goes by: the bit of the owner.
fn file(folder: &Dir, path: &Path, mode: u32) -> Option<Vec<u8>> {
    const EXECUTABLE: u32 = 0o100;
    const LARGEST: u64 = 1 << 30;
    let file = folder.file(path).ok()??;
    let metadata = file.metadata().ok()?;
    if metadata.mode() & EXECUTABLE != mode & EXECUTABLE || metadata.len() > LARGEST {
        return None;
    }
    let mut content = Vec::new();
    file.take(LARGEST).read_to_end(&mut content).ok()?;
    Some(content)
}

pub(super) fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
