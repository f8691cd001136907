//! How files come, move and go under the root: atomic writes, publishing by rename, copies, removal.
//!
//! All paths here are trusted; below a tree that somebody hostile may change, [`crate::store::beneath`] is used.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::error::{Failure, Kind, Result};
pub(crate) use crate::store::remove::remove_tree;

/// Whether a write must survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// fsync of the file and its directory: where a loss would lose work or a listing.
    Synced,
    /// Left to the kernel: last used, logs, caches.
    Lazy,
}

/// Writes a file by a temporary one in the same directory and a rename; mode 0600.
pub(crate) fn write_atomic(path: &Path, content: &[u8], durability: Durability) -> Result<()> {
    let directory = parent(path);
    let temporary = directory.join(temporary_name());
    let written = write_new(&temporary, content, durability)
        .and_then(|()| rustix::fs::rename(&temporary, path).map_err(Into::into));
    if let Err(error) = written {
        // The first error is the one to tell.
        let _gone = rustix::fs::unlink(&temporary);
        return Err(error).with_context(|| format!("cannot write `{}`", path.display()));
    }
    match durability {
        Durability::Synced => sync_dir(directory),
        Durability::Lazy => Ok(()),
    }
}

/// Moves `from` to `to` where nothing may be yet (`RENAME_NOREPLACE`); fails as `exists` otherwise.
pub(crate) fn publish(from: &Path, to: &Path, durability: Durability) -> Result<()> {
    let moved = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system does not know the flag.
        Err(Errno::INVAL | Errno::NOSYS) => match std::fs::symlink_metadata(to) {
            Ok(_) => Err(Errno::EXIST),
            Err(_) => rustix::fs::rename(from, to),
        },
        moved => moved,
    };
    match moved {
        Ok(()) => {}
        Err(Errno::EXIST | Errno::NOTEMPTY) => {
            return Err(Failure::new(Kind::Exists, format!("`{}` already exists", to.display())).into());
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot move `{}` to `{}`", from.display(), to.display()));
        }
    }
    if durability == Durability::Synced {
        sync_dir(parent(to))?;
        sync_dir(parent(from))?;
    }
    Ok(())
}

/// Exchanges two entries (`RENAME_EXCHANGE`), falling back to three renames where the file system cannot.
pub(crate) fn exchange(one: &Path, other: &Path) -> Result<()> {
    let swapped = match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            let aside = parent(other).join(temporary_name());
            rustix::fs::rename(other, &aside).and_then(|()| {
                let second = rustix::fs::rename(one, other);
                let back = if second.is_ok() { one } else { other };
                rustix::fs::rename(&aside, back).and(second)
            })
        }
        swapped => swapped,
    };
    swapped.with_context(|| format!("cannot exchange `{}` and `{}`", one.display(), other.display()))
}

/// Copies a regular file's content by reflink where possible; the new file must not exist yet and gets the permission
/// bits of the old one under the umask.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let mut source = File::open(from).with_context(|| format!("cannot read `{}`", from.display()))?;
    let mode = source.metadata().with_context(|| format!("cannot read `{}`", from.display()))?.mode() & 0o777;
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(to)
        .with_context(|| format!("cannot make `{}`", to.display()))?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        return Ok(());
    }
    if let Err(error) = std::io::copy(&mut source, &mut target) {
        // The first error is the one to tell.
        let _gone = rustix::fs::unlink(to);
        return Err(error).with_context(|| format!("cannot copy `{}` to `{}`", from.display(), to.display()));
    }
    Ok(())
}

/// fsyncs a directory, so that names published in it last.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    match synced {
        // Some network and user-space file systems cannot, and need not.
        Err(error) if error.kind() == ErrorKind::InvalidInput || error.kind() == ErrorKind::Unsupported => Ok(()),
        synced => synced.with_context(|| format!("cannot sync the directory `{}`", path.display())),
    }
}

/// Writes all that is unwritten on the file system of `path` to disk: for many files at once.
pub(crate) fn sync_file_system(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|directory| Ok(rustix::fs::syncfs(&directory)?));
    synced.with_context(|| format!("cannot sync the file system of `{}`", path.display()))
}

/// Returns the paths in a directory, sorted; none when it is not there.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(paths),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", directory.display())),
    };
    for entry in entries {
        paths.push(entry.with_context(|| format!("cannot read `{}`", directory.display()))?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Like [`entries`]; none also for what is not a directory.
pub(crate) fn entries_of_directory(path: &Path) -> Result<Vec<PathBuf>> {
    if std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) { entries(path) } else { Ok(Vec::new()) }
}

/// Returns a new id that sorts by time: `20261121-140259-123456-9f3a`, in UTC down to microseconds.
pub(crate) fn unique_id() -> String {
    let now = jiff::Timestamp::now();
    let micros = now.subsec_nanosecond().unsigned_abs() / 1000;
    format!("{}-{micros:06}-{:04x}", now.strftime("%Y%m%d-%H%M%S"), random() & 0xffff)
}

/// Returns a name for a file that will be renamed to its real one; recognised by [`is_temporary`].
pub(crate) fn temporary_name() -> OsString {
    format!(".stead-tmp-{:016x}", random()).into()
}

/// Returns whether a name is one of [`temporary_name`]: what a crash left.
pub(crate) fn is_temporary(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".stead-tmp-")
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .expect("8 bytes never block after boot and are never interrupted");
    u64::from_ne_bytes(bytes)
}

fn write_new(path: &Path, content: &[u8], durability: Durability) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    match durability {
        Durability::Synced => file.sync_all(),
        Durability::Lazy => Ok(()),
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make and break files by hand")]
mod tests {
    use super::*;

    #[test]
    fn an_atomic_write_replaces_whole_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for (content, durability) in [(&b"one"[..], Durability::Synced), (b"two", Durability::Lazy)] {
            write_atomic(&path, content, durability).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), content);
        }
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("directory");
        std::fs::create_dir_all(taken.join("full")).unwrap();
        let error = write_atomic(&taken, b"x", Durability::Synced).unwrap_err();
        assert!(error.to_string().contains("cannot write `"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let error = write_new_to("/dev/full").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    fn write_new_to(path: &str) -> std::io::Result<()> {
        OpenOptions::new().write(true).open(path)?.write_all(b"x")
    }

    #[test]
    fn publishing_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::create_dir(&from).unwrap();
        std::fs::create_dir(&to).unwrap();
        let error = publish(&from, &to, Durability::Synced).unwrap_err();
        assert_eq!(Kind::of(&error), Kind::Exists);
        assert!(from.exists());
        std::fs::remove_dir(&to).unwrap();
        publish(&from, &to, Durability::Synced).unwrap();
        assert!(to.exists() && !from.exists());
        assert_eq!(Kind::of(&publish(&from, &to, Durability::Lazy).unwrap_err()), Kind::Failed);
    }

    #[test]
    fn an_exchange_swaps_a_file_and_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        std::fs::write(&one, "1").unwrap();
        std::fs::create_dir(&other).unwrap();
        exchange(&one, &other).unwrap();
        assert!(one.is_dir() && other.is_file());
    }

    #[test]
    fn a_copy_has_the_content_and_the_mode_and_never_overwrites() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::write(&from, vec![7; 100_000]).unwrap();
        rustix::fs::chmod(&from, rustix::fs::Mode::from_raw_mode(0o700)).unwrap();
        copy_file(&from, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), vec![7; 100_000]);
        assert_eq!(std::fs::metadata(&to).unwrap().mode() & 0o777, 0o700);
        assert!(copy_file(&from, &to).is_err());
    }

    #[test]
    fn ids_sort_by_time_and_temporary_names_are_known() {
        let first = unique_id();
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert!(first < unique_id());
        assert!(is_temporary(&temporary_name()));
        assert!(!is_temporary("workspace.toml".as_ref()));
    }
}
