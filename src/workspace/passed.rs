//! Repositories in directories that the rules ignore: no snapshot has them, so that a run asks for them by itself. A short look,
//! from the top down and not into what is disposable, whatever lies there.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::config::Config;
use crate::git::snapshot::Snapshot;
use crate::store::beneath::Dir;
use crate::workspace::Workspace;

/// So many directories are looked into, and so many names are read: it takes a few milliseconds at most.
const MOST: usize = 250;
const MOST_NAMES: usize = 10_000;

/// What changes when git works in a repository: its `.git` by inode and time, by the path of the repository.
pub(crate) type Passed = BTreeMap<Vec<u8>, (u64, (i64, i64))>;

/// Finds the repositories in what `snapshot` has passed by; submodules and linked worktrees, whose `.git` is a file, are not
/// among them.
pub(crate) fn repositories(workspace: &Workspace, snapshot: &Snapshot, config: &Config) -> Passed {
    let mut found = Passed::new();
    let Ok(tree) = Dir::open(&workspace.tree()) else { return found };
    let tops = snapshot.ignored.iter().chain(&snapshot.meta.newly_ignored);
    let mut waiting: VecDeque<PathBuf> = tops.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect();
    let mut names = MOST_NAMES;
    for _ in 0..MOST {
        let Some(path) = waiting.pop_front() else { break };
        let is_disposable =
            |name: &OsStr| config.capture.disposable.iter().any(|disposable| name == disposable.as_str());
        if path.file_name().is_some_and(is_disposable) {
            continue;
        }
        let Ok(directory) = tree.dir(&path) else { continue };
        match directory.stat(Path::new(".git")) {
            Ok(Some(stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let changed = (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or_default());
                found.insert(path.into_os_string().into_vec(), (stat.st_ino, changed));
            }
            Ok(None) => waiting.extend(directories(&directory, &mut names).into_iter().map(|name| path.join(name))),
            _ => {}
        }
    }
    found
}

/// Returns what may be directories in one, as far as `left` names go.
fn directories(directory: &Dir, left: &mut usize) -> Vec<PathBuf> {
    let Ok(entries) = rustix::fs::Dir::read_from(directory.fd()) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten().take(*left) {
        *left -= 1;
        let name = entry.file_name().to_bytes();
        if matches!(entry.file_type(), FileType::Directory | FileType::Unknown) && name != b"." && name != b".." {
            found.push(PathBuf::from(OsStr::from_bytes(name)));
        }
    }
    found
}
