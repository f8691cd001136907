//! Replacing what is below a directory so that it can be checked afterwards and put back: new content is made whole beside
//! its place, and the two change places.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Uid, fchmod, fchown, renameat_with, statat};
use rustix::io::Errno;

use super::beneath::{Dir, fault, open_beneath};
use crate::error::Result;
use crate::sys;

/// How an entry that is to be replaced could be exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchanged {
    Both,
    /// The file system does not know how: the new one has replaced the old one.
    Replaced,
}

impl Dir {
    /// Makes a file with this content and syncs it; parents are there, and nothing is at `path`. `mode` is exact, or under
    /// the umask without it; the owner is that of `like` as far as we may.
    pub(crate) fn stage(&self, path: &Path, content: &[u8], executable: bool, like: Option<Kept>) -> Result<()> {
        let (parent, name) = self.parent(path).map_err(|error| fault("write", path, error))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
        let mut file: File = open_beneath(parent.as_fd(), Path::new(name), flags, mode)
            .map_err(|error| fault("write", path, error))?
            .into();
        if let Some(kept) = like {
            if let Some((user, group)) = kept.owner {
                // Only root may give a file away; to whom it belongs then is not what the change is about.
                let _ours = fchown(&file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
            }
            fchmod(&file, Mode::from_raw_mode(kept.mode)).map_err(|error| fault("write", path, error))?;
        }
        file.write_all(content)
            .and_then(|()| file.sync_all())
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Moves an entry to where nothing is; false when something is there.
    pub(crate) fn move_new(&self, from: &Path, to: &Path) -> Result<bool> {
        let (old, old_name) = self.parent(from).map_err(|error| fault("move", from, error))?;
        let (new, new_name) = self.made_parent(to).map_err(|error| fault("move to", to, error))?;
        let moved = match renameat_with(&old, old_name, &new, new_name, RenameFlags::NOREPLACE) {
            // The file system does not know the flag.
            Err(Errno::INVAL | Errno::NOSYS) => match statat(&new, new_name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => rustix::fs::renameat(&old, old_name, &new, new_name),
                _ => Err(Errno::EXIST),
            },
            moved => moved,
        };
        match moved {
            Ok(()) => Ok(true),
            Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot move `{}` to `{}`", from.display(), to.display())),
        }
    }

    /// Exchanges two entries; where the file system cannot, `new` takes the place of `old`.
    pub(crate) fn exchange(&self, new: &Path, old: &Path) -> Result<Exchanged> {
        let (from, from_name) = self.parent(new).map_err(|error| fault("move", new, error))?;
        let (to, to_name) = self.parent(old).map_err(|error| fault("move to", old, error))?;
        let failed = || format!("cannot exchange `{}` and `{}`", new.display(), old.display());
        match renameat_with(&from, from_name, &to, to_name, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(Exchanged::Both),
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::renameat(&from, from_name, &to, to_name).with_context(failed)?;
                Ok(Exchanged::Replaced)
            }
            Err(error) => Err(error).with_context(failed),
        }
    }

    /// Returns whether somebody has the file at `path` open for writing, as far as the kernel tells.
    pub(crate) fn is_being_written(&self, path: &Path) -> bool {
        self.file(path).ok().flatten().is_some_and(|file| sys::has_writers(file.as_fd()))
    }

    /// fsyncs the directory `path`, so that names in it last; one that is not there any more needs nothing.
    pub(crate) fn sync(&self, path: &Path) -> Result<()> {
        let opened = if path.as_os_str().is_empty() { self.dir(Path::new(".")) } else { self.dir(path) };
        let Ok(directory) = opened else { return Ok(()) };
        match rustix::fs::fsync(directory.fd()) {
            // Some network and user-space file systems cannot, and need not.
            Ok(()) | Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(fault("sync", path, error)),
        }
    }
}

/// What a new file takes over from the one that it replaces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) owner: Option<(u32, u32)>,
}
