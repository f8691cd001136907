//! Locks of directories by their own descriptors: they move with the directory, and there is no file to forget.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;
use rustix::fs::OFlags;

use crate::error::Result;
use crate::store::lease;

/// A hold of a directory, for one alone or shared with others; freed by the kernel when the holder dies.
#[must_use = "the lock ends when the value is dropped"]
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Locks the directory at `path` for itself; `None` when somebody else holds it or it is not there (any more).
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>> {
        let Some(file) = open(path)? else { return Ok(None) };
        if lease::answer(fs2::FileExt::try_lock_exclusive(&file), path)? { still_at(path, file) } else { Ok(None) }
    }

    /// Holds the directory at `path` together with others, when nobody has it for itself any more; `None` when it is not there
    /// (any more).
    pub(crate) fn share(path: &Path) -> Result<Option<Self>> {
        let Some(file) = open(path)? else { return Ok(None) };
        loop {
            match fs2::FileExt::lock_shared(&file) {
                Ok(()) => return still_at(path, file),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(|| format!("cannot lock `{}`", path.display())),
            }
        }
    }
}

fn open(path: &Path) -> Result<Option<File>> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    match File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot open `{}`", path.display())),
    }
}

/// Between opening and locking it may have been moved away, and another have come.
fn still_at(path: &Path, file: File) -> Result<Option<DirectoryLock>> {
    let held = file.metadata().with_context(|| format!("cannot read `{}`", path.display()))?;
    let same =
        std::fs::symlink_metadata(path).is_ok_and(|named| named.dev() == held.dev() && named.ino() == held.ino());
    Ok(same.then_some(DirectoryLock { _file: file }))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make and break files by hand")]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_by_one_alone_or_by_several_together() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("held");
        std::fs::create_dir(&path).unwrap();
        let shared = [DirectoryLock::share(&path).unwrap().unwrap(), DirectoryLock::share(&path).unwrap().unwrap()];
        assert!(DirectoryLock::try_take(&path).unwrap().is_none());
        drop(shared);
        // What another test starts has all descriptors until it is executed.
        let alone = std::iter::repeat_with(|| DirectoryLock::try_take(&path).unwrap()).flatten().next().unwrap();
        assert!(DirectoryLock::try_take(&path).unwrap().is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| DirectoryLock::share(&path));
            // It goes away from under the one who waits, who may not take what has come in its place for it.
            std::fs::rename(&path, dir.path().join("aside")).unwrap();
            drop(alone);
            assert!(waiting.join().unwrap().unwrap().is_none());
        });
        assert!(DirectoryLock::share(&path).unwrap().is_none(), "it is gone");
    }
}
