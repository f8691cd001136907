//! Worktrees that an agent has linked from places of which no snapshot is taken.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Instant;

use super::{LONGEST, MAX_LOOSE, MAX_WORKTREES, read};
use crate::store::beneath::Dir;

/// Returns the linked worktrees that are outside of `top`, the path of the tree, and still there. Their files are in no snapshot.
pub(crate) fn linked_elsewhere(git: &Dir, top: &Path) -> Vec<PathBuf> {
    linked(git, top).into_iter().filter(|path| !path.starts_with(top)).collect()
}

/// Returns those in the tree, relative to it. Their files are in a snapshot, unless they are where git ignores everything.
pub(crate) fn linked_within(git: &Dir, top: &Path) -> Vec<PathBuf> {
    linked(git, top).iter().filter_map(|path| Some(path.strip_prefix(top).ok()?.to_path_buf())).collect()
}

fn linked(git: &Dir, top: &Path) -> Vec<PathBuf> {
    let names = git.dir(Path::new("worktrees")).and_then(|dir| dir.names()).unwrap_or_default();
    let deadline = Instant::now() + LONGEST;
    let mut found: Vec<PathBuf> = names
        .into_iter()
        .take(MAX_WORKTREES)
        .take_while(|_| Instant::now() < deadline)
        .filter_map(|name| {
            let place = Path::new("worktrees").join(name);
            let text = read(git, &place.join("gitdir"), MAX_LOOSE).ok()??;
            let text = text.trim_ascii_end();
            // Newer versions of git may write it relative to the place.
            let path = clean(&top.join(".git").join(place).join(OsStr::from_bytes(text)));
            let is_one = path.is_absolute() && path.file_name()? == ".git";
            let is_there = is_one && path.symlink_metadata().is_ok();
            is_there.then(|| path.parent().map(Path::to_path_buf))?
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Returns a path without `.` and `..`, as its text says it.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}
