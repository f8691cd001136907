//! A directory under construction: leased while it is built, garbage when nobody holds it.
//!
//! The lock is on the directory itself, so that it moves with it and there is no file to forget.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rustix::fs::Mode;

use crate::error::Result;
use crate::progress::Silent;
use crate::store::directory_lock::DirectoryLock;
use crate::store::fs;
use crate::store::root::Root;

/// No write takes so long.
const OLD: Duration = Duration::from_hours(24);

/// A new private directory in `staging/`, locked by its own descriptor and removed on drop with what is left in it.
#[must_use = "the directory is removed when the value is dropped"]
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    _lock: DirectoryLock,
}

impl Staging {
    pub(crate) fn create(root: &Root) -> Result<Self> {
        // A sweep may come between making and locking; then the next one is made.
        for _ in 0..100 {
            let path = root.staging().join(fs::unique_id());
            rustix::fs::mkdir(&path, Mode::RWXU).with_context(|| format!("cannot make `{}`", path.display()))?;
            if let Some(lock) = DirectoryLock::try_take(&path)? {
                return Ok(Self { path, _lock: lock });
            }
        }
        anyhow::bail!("cannot keep a directory in `{}`: somebody removes it at once", root.staging().display())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What stays behind is unlocked, and the next sweep takes it.
        let _removed: Result<()> = fs::remove_tree(&self.path, &Silent);
    }
}

/// Returns what commands that never ended have left: the staging directories that nobody holds now, and old temporary
/// files.
pub(crate) fn dead(root: &Root) -> Result<Vec<PathBuf>> {
    let mut dead = temporary_files(root)?;
    for path in fs::entries(&root.staging())? {
        if !path.is_dir() || DirectoryLock::try_take(&path)?.is_some() {
            dead.push(path);
        }
    }
    Ok(dead)
}

/// Returns the temporary files of atomic writes that nobody can be writing any more, wherever stead writes.
fn temporary_files(root: &Root) -> Result<Vec<PathBuf>> {
    let mut directories = vec![root.path().to_owned(), root.pools()];
    directories.extend(fs::entries_of_directory(&root.pools())?);
    directories.extend(fs::entries_of_directory(&root.trash())?);
    for user in fs::entries_of_directory(&root.path().join("state"))? {
        for state in fs::entries_of_directory(&user)? {
            let runs = state.join("runs");
            directories.extend(fs::entries_of_directory(&runs)?);
            let store = ["store.git", "store.git/objects/info", "store.git/objects/pack"];
            directories.extend(store.map(|below| state.join(below)));
            directories.extend([runs, state]);
        }
        directories.push(user);
    }
    let mut found = Vec::new();
    for directory in directories {
        let paths = fs::entries_of_directory(&directory)?.into_iter();
        found.extend(paths.filter(|path| path.file_name().is_some_and(fs::is_temporary) && is_old_file(path)));
    }
    Ok(found)
}

fn is_old_file(path: &Path) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return false };
    // A time in the future is no age.
    let age = metadata.modified().ok().and_then(|modified| modified.elapsed().ok());
    metadata.is_file() && age.is_some_and(|age| age > OLD)
}

/// Removes what [`dead`] returns, and returns how much that was.
pub(crate) fn sweep(root: &Root) -> Result<usize> {
    let mut count = 0;
    for path in temporary_files(root)? {
        fs::remove_tree(&path, &Silent)?;
        count += 1;
    }
    for path in fs::entries(&root.staging())? {
        let is_file = std::fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_dir());
        let lock = DirectoryLock::try_take(&path)?;
        if is_file || lock.is_some() {
            fs::remove_tree(&path, &Silent)?;
            count += 1;
        }
        drop(lock);
    }
    Ok(count)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make and break files by hand")]
mod tests {
    use super::*;

    #[test]
    fn staging_is_removed_with_its_content_when_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open_or_create(&dir.path().join("root")).unwrap();
        let staging = Staging::create(&root).unwrap();
        std::fs::create_dir_all(staging.path().join("a/b")).unwrap();
        let path = staging.path().to_owned();
        drop(staging);
        assert!(!path.exists());
    }

    #[test]
    fn a_sweep_takes_what_nobody_holds() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open_or_create(&dir.path().join("root")).unwrap();
        let held = Staging::create(&root).unwrap();
        std::fs::create_dir_all(root.staging().join("dead/deep")).unwrap();
        std::fs::write(root.staging().join("file"), "").unwrap();
        assert_eq!(dead(&root).unwrap().len(), 2);
        assert_eq!(sweep(&root).unwrap(), 2);
        assert!(held.path().exists());
        assert_eq!(sweep(&root).unwrap(), 0);
    }

    #[test]
    fn making_and_sweeping_at_once_never_takes_what_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open_or_create(&dir.path().join("root")).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    sweep(&root).unwrap();
                }
            });
            for _ in 0..300 {
                let staging = Staging::create(&root).unwrap();
                std::fs::create_dir(staging.path().join("x")).unwrap();
                assert!(staging.path().join("x").exists());
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
