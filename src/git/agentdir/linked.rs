//! Worktrees that an agent has linked from places of which no snapshot is taken.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Instant;

use super::{LONGEST, MAX_LOOSE, MAX_WORKTREES, read};
use crate::store::beneath::Dir;

/// Returns where the linked worktrees of `git`, the `.git` of the tree at `top`, are that are still there: in the tree or elsewhere,
/// in one of the directories `private` too, which a run may have seen somewhere else.
pub(crate) fn linked(git: &Dir, top: &Path, private: &[PathBuf]) -> Vec<PathBuf> {
    let names = git.dir(Path::new("worktrees")).and_then(|dir| dir.names()).unwrap_or_default();
    let deadline = Instant::now() + LONGEST;
    let mut found: Vec<PathBuf> = names
        .into_iter()
        .take(MAX_WORKTREES)
        .take_while(|_| Instant::now() < deadline)
        .filter_map(|name| {
            let text = read(git, &Path::new("worktrees").join(&name).join("gitdir"), MAX_LOOSE).ok()??;
            let place = place_of_linked(top, name.as_bytes(), &text)?;
            if place.join(".git").symlink_metadata().is_ok() { Some(place) } else { end_below(private, &place) }
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Returns where the worktree is whose entry in `worktrees` has that name and, in the file `gitdir`, that text; `top` is the path of
/// the tree. Whether it is there is not asked.
pub(crate) fn place_of_linked(top: &Path, name: &[u8], text: &[u8]) -> Option<PathBuf> {
    // Newer versions of git may write it relative to the entry.
    let entry = top.join(".git/worktrees").join(OsStr::from_bytes(name));
    let path = clean(&entry.join(OsStr::from_bytes(text.trim_ascii_end())));
    path.parent().filter(|_| path.file_name() == Some(OsStr::new(".git"))).map(Path::to_path_buf)
}

/// Returns where a worktree is whose path has an end that is one below one of the directories `private`: what a run has called
/// `/tmp/a` is `a` in the one that it saw there.
fn end_below(private: &[PathBuf], path: &Path) -> Option<PathBuf> {
    let names: Vec<&OsStr> = path.iter().skip(1).collect();
    for directory in private {
        let Ok(beneath) = Dir::open(directory) else { continue };
        let mut ends = (0..names.len()).map(|start| names[start..].iter().collect::<PathBuf>());
        if let Some(end) = ends.find(|end| matches!(beneath.stat(&end.join(".git")), Ok(Some(_)))) {
            return Some(directory.join(end));
        }
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_worktree_is_what_its_entry_says() {
        let place = |text: &str| place_of_linked(Path::new("/top"), b"name", text.as_bytes());
        assert_eq!(place("/top/a/b/.git\n"), Some("/top/a/b".into()));
        assert_eq!(place("/elsewhere/.git\n"), Some("/elsewhere".into()));
        assert_eq!(place("../../../a/.git\n"), Some("/top/a".into()));
        assert_eq!(place("../../../../a/.git"), Some("/a".into()));
        assert_eq!(place("/top/../a/.git"), Some("/a".into()));
        assert_eq!(place("/topmost/.git"), Some("/topmost".into()));
        for text in ["", "\n", "/top/a", "/", "..", "/.git/.."] {
            assert_eq!(place(text), None, "{text:?}");
        }
    }
}
