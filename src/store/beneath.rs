//! Opening and writing below a directory that somebody hostile may change at the same time.
//!
//! Every path is relative to an opened [`Dir`] and resolved without following any link and without leaving it
//! (`openat2` with `BENEATH | NO_SYMLINKS | NO_MAGICLINKS | NO_XDEV`, or one `O_NOFOLLOW` open per component where the kernel lacks
//! it). An escape is `refused` with "destination path escapes workspace: X".

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::Stat;

use crate::error::Result;

/// An opened directory below which paths are resolved.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
}

impl Dir {
    /// Opens a directory by a trusted path; the last component must not be a link.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let _ = path;
        todo!("store")
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Opens the directory `path` below this one.
    pub(crate) fn dir(&self, path: &Path) -> Result<Self> {
        let _ = path;
        todo!("store")
    }

    /// Returns the attributes of the entry at `path` itself; `None` when it is not there.
    pub(crate) fn stat(&self, path: &Path) -> Result<Option<Stat>> {
        let _ = path;
        todo!("store")
    }

    /// Opens a regular file for reading; never blocks on a FIFO. `None` when there is none or it is not regular.
    pub(crate) fn file(&self, path: &Path) -> Result<Option<File>> {
        let _ = path;
        todo!("store")
    }

    /// Reads a regular file of at most `cap` bytes; `None` when there is none. Longer is an error.
    pub(crate) fn read(&self, path: &Path, cap: u64) -> Result<Option<Vec<u8>>> {
        let _ = (path, cap);
        todo!("store")
    }

    /// Returns the text of the link at `path`.
    pub(crate) fn link(&self, path: &Path) -> Result<Vec<u8>> {
        let _ = path;
        todo!("store")
    }

    /// Returns the names in this directory, without `.` and `..`, in no order.
    pub(crate) fn names(&self) -> Result<Vec<std::ffi::OsString>> {
        todo!("store")
    }

    /// Makes the directory `path` and its parents; existing ones are fine.
    pub(crate) fn create_dir_all(&self, path: &Path) -> Result<Self> {
        let _ = path;
        todo!("store")
    }

    /// Makes a new file, parents included, which must not exist (`O_CREAT | O_EXCL | O_NOFOLLOW`).
    pub(crate) fn create_file(&self, path: &Path, mode: u32) -> Result<File> {
        let _ = (path, mode);
        todo!("store")
    }

    /// Makes a link with `target` as its text.
    pub(crate) fn create_link(&self, target: &OsStr, path: &Path) -> Result<()> {
        let _ = (target, path);
        todo!("store")
    }

    /// Writes a file by a temporary one beside it and a rename; replaces a file or link, never a directory.
    pub(crate) fn replace(&self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        let _ = (path, content, mode);
        todo!("store")
    }

    /// Renames `from` below this directory to `to` below `target`.
    pub(crate) fn rename(&self, from: &Path, target: &Self, to: &Path) -> Result<()> {
        let _ = (from, target, to);
        todo!("store")
    }

    /// Removes a file or link; not there is success.
    pub(crate) fn unlink(&self, path: &Path) -> Result<()> {
        let _ = path;
        todo!("store")
    }

    /// Removes an empty directory; not there is success.
    pub(crate) fn remove_dir(&self, path: &Path) -> Result<()> {
        let _ = path;
        todo!("store")
    }

    /// Removes whatever is at `path`, like [`crate::store::fs::remove_tree`].
    pub(crate) fn remove_all(&self, path: &Path) -> Result<()> {
        let _ = path;
        todo!("store")
    }
}
