//! The git directories of submodules, below `modules/` of a git directory: found by looking, since their names need not be
//! their paths in the tree.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::linked::clean;
use super::{MAX_LOOSE, read};
use crate::store::beneath::Dir;

/// A name of so many components in a submodule in a submodule… is no name any more.
const MAX_DEPTH: usize = 16;
const MAX_LOOKS: usize = 10_000;

/// Returns whether a directory below `modules` is a git directory, by what it holds. Without HEAD it is none to git, but still
/// not one on the way to others.
pub(crate) fn is_git_dir(has: impl Fn(&[u8]) -> bool) -> bool {
    has(b"HEAD") || has(b"objects") && has(b"refs")
}

/// The same for one that is open.
pub(crate) fn is_git_dir_at(directory: &Dir) -> bool {
    is_git_dir(|name| matches!(directory.stat(Path::new(OsStr::from_bytes(name))), Ok(Some(_))))
}

/// Returns the paths below `git` of the git directories of submodules, sorted; those of their own submodules too.
pub(crate) fn modules(git: &Dir) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![(PathBuf::from("modules"), 0)];
    let mut looks = 0;
    while let Some((path, depth)) = waiting.pop() {
        looks += 1;
        let Ok(directory) = git.dir(&path) else { continue };
        if depth == MAX_DEPTH || looks > MAX_LOOKS {
            continue;
        }
        if depth > 0 && is_git_dir_at(&directory) {
            waiting.push((path.join("modules"), depth + 1));
            found.push(path);
        } else {
            let names = directory.names().unwrap_or_default();
            waiting.extend(names.into_iter().map(|name| (path.join(name), depth + 1)));
        }
    }
    found.sort();
    found
}

/// Returns where the git directory of the repository at `path` is, relative to the tree at `top`: its own `.git`, or what a file
/// of that name says; `None` when that is outside of the tree.
pub(crate) fn place_of(tree: &Dir, top: &Path, path: &Path) -> Option<PathBuf> {
    let git = path.join(".git");
    if tree.dir(&git).is_ok() {
        return Some(git);
    }
    let file = read(tree, &git, MAX_LOOSE).ok()??;
    let text = file.strip_prefix(b"gitdir: ")?.trim_ascii_end();
    let place = clean(&top.join(path).join(OsStr::from_bytes(text)));
    place.strip_prefix(top).ok().map(Path::to_path_buf)
}
