//! Opening and writing below a directory that somebody hostile may change at the same time.
//!
//! Every path is relative to an opened [`Dir`] and resolved without following any link and without leaving it
//! (`openat2` with `BENEATH | NO_SYMLINKS | NO_MAGICLINKS | NO_XDEV`, or one `O_NOFOLLOW` open per component where the kernel lacks
//! it). An escape is `refused` with "destination path escapes workspace: X".

use std::borrow::Cow;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use anyhow::Context;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, fstat, mkdirat, openat, openat2, readlinkat,
    renameat, renameat_with, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::error::{Failure, Kind, Result};
use crate::progress::Silent;
use crate::store::{fs, remove};

/// An opened directory below which paths are resolved.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
}

impl From<OwnedFd> for Dir {
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl Dir {
    /// Opens a directory by a trusted path; the last component must not be a link.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let fd = openat(rustix::fs::CWD, path, LIST | OFlags::NOFOLLOW, Mode::empty())
            .with_context(|| format!("cannot open `{}`", path.display()))?;
        Ok(Self { fd })
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Opens the directory `path` below this one.
    pub(crate) fn dir(&self, path: &Path) -> Result<Self> {
        self.resolve(path, LIST).map(|fd| Self { fd }).map_err(|error| fault("open", path, error))
    }

    /// Returns the attributes of the entry at `path` itself; `None` when it is not there.
    pub(crate) fn stat(&self, path: &Path) -> Result<Option<Stat>> {
        let Some((parent, name)) = self.existing(path)? else { return Ok(None) };
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(fault("read", path, error)),
        }
    }

    /// Opens a regular file for reading; never blocks on a FIFO. `None` when there is none or it is not regular.
    pub(crate) fn file(&self, path: &Path) -> Result<Option<File>> {
        let Some((parent, name)) = self.existing(path)? else { return Ok(None) };
        // Opening a device may already do something, so it is looked at first.
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_regular(&stat) => {}
            Ok(_) | Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(fault("read", path, error)),
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = match open_beneath(parent.as_fd(), Path::new(name), flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(fault("read", path, error)),
        };
        let stat = fstat(&fd).map_err(|error| fault("read", path, error))?;
        Ok(is_regular(&stat).then(|| fd.into()))
    }

    /// Reads a regular file of at most `cap` bytes; `None` when there is none. Longer is an error.
    pub(crate) fn read(&self, path: &Path, cap: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.file(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(cap.saturating_add(1))
            .read_to_end(&mut bytes)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        anyhow::ensure!(bytes.len() as u64 <= cap, "`{}` has more than {cap} bytes", path.display());
        Ok(Some(bytes))
    }

    /// Returns the text of the link at `path`.
    pub(crate) fn link(&self, path: &Path) -> Result<Vec<u8>> {
        let (parent, name) = self.parent(path).map_err(|error| fault("read", path, error))?;
        readlinkat(&parent, name, Vec::new())
            .map(CString::into_bytes)
            .map_err(|error| fault("read the link", path, error))
    }

    /// Returns the names in this directory, without `.` and `..`, in no order.
    pub(crate) fn names(&self) -> Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).context("cannot list a directory")? {
            let entry = entry.context("cannot list a directory")?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name.to_owned()));
            }
        }
        Ok(names)
    }

    /// Makes the directory `path` and its parents; existing ones are fine.
    pub(crate) fn create_dir_all(&self, path: &Path) -> Result<Self> {
        self.make(path, LIST).map(|fd| Self { fd }).map_err(|error| fault("make", path, error))
    }

    /// Makes a new file, parents included, which must not exist (`O_CREAT | O_EXCL | O_NOFOLLOW`); `mode` is under the
    /// umask.
    pub(crate) fn create_file(&self, path: &Path, mode: u32) -> Result<File> {
        let (parent, name) = self.made_parent(path).map_err(|error| fault("make", path, error))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match open_beneath(parent.as_fd(), Path::new(name), flags, Mode::from_raw_mode(mode)) {
            Ok(fd) => Ok(fd.into()),
            Err(Errno::EXIST) => Err(Failure::new(Kind::Exists, format!("`{}` already exists", path.display())).into()),
            Err(error) => Err(fault("make", path, error)),
        }
    }

    /// Makes a link with `target` as its text, parents included; nothing may be at `path`.
    pub(crate) fn create_link(&self, target: &OsStr, path: &Path) -> Result<()> {
        let (parent, name) = self.made_parent(path).map_err(|error| fault("make", path, error))?;
        match symlinkat(target, &parent, name) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(Failure::new(Kind::Exists, format!("`{}` already exists", path.display())).into()),
            Err(error) => Err(fault("make the link", path, error)),
        }
    }

    /// Writes a file by a temporary one beside it and a rename; replaces a file or link, never a directory.
    pub(crate) fn replace(&self, path: &Path, content: &[u8], mode: u32) -> Result<()> {
        let (parent, name) = self.made_parent(path).map_err(|error| fault("write", path, error))?;
        let temporary = fs::temporary_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file: File = open_beneath(parent.as_fd(), Path::new(&temporary), flags, Mode::from_raw_mode(mode))
            .map_err(|error| fault("write", path, error))?
            .into();
        let written = file
            .write_all(content)
            .with_context(|| format!("cannot write `{}`", path.display()))
            .and_then(|()| renameat(&parent, &temporary, &parent, name).map_err(|error| fault("write", path, error)));
        if written.is_err() {
            // The first error is the one to tell.
            let _gone = unlinkat(&parent, &temporary, AtFlags::empty());
        }
        written
    }

    /// Exchanges `path` below this directory with `other_path` below `other`, falling back to three renames where the file
    /// system cannot.
    pub(crate) fn exchange_with(&self, path: &Path, other: &Self, other_path: &Path) -> Result<()> {
        let (one, one_name) = self.parent(path).map_err(|error| fault("move", path, error))?;
        let (two, two_name) = other.parent(other_path).map_err(|error| fault("move", other_path, error))?;
        let swapped = match renameat_with(&one, one_name, &two, two_name, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS) => {
                let aside = fs::temporary_name();
                renameat(&two, two_name, &one, &aside)
                    .and_then(|()| renameat(&one, one_name, &two, two_name))
                    .and_then(|()| renameat(&one, &aside, &one, one_name))
            }
            swapped => swapped,
        };
        swapped.map_err(|error| fault("exchange", other_path, error))
    }

    /// Renames `from` below this directory to `to` below `target`.
    pub(crate) fn rename(&self, from: &Path, target: &Self, to: &Path) -> Result<()> {
        let (old, old_name) = self.parent(from).map_err(|error| fault("move", from, error))?;
        let (new, new_name) = target.parent(to).map_err(|error| fault("move to", to, error))?;
        renameat(&old, old_name, &new, new_name)
            .with_context(|| format!("cannot move `{}` to `{}`", from.display(), to.display()))
    }

    /// Removes a file or link; not there is success.
    pub(crate) fn unlink(&self, path: &Path) -> Result<()> {
        self.remove(path, AtFlags::empty())
    }

    /// Removes an empty directory; not there is success.
    pub(crate) fn remove_dir(&self, path: &Path) -> Result<()> {
        self.remove(path, AtFlags::REMOVEDIR)
    }

    /// Removes whatever is at `path`, like [`crate::store::fs::remove_tree`].
    pub(crate) fn remove_all(&self, path: &Path) -> Result<()> {
        let Some((parent, name)) = self.existing(path)? else { return Ok(()) };
        let name = CString::new(name.as_bytes()).map_err(|_| fault("remove", path, Errno::INVAL))?;
        remove::remove_at(parent.as_fd(), &name, &Silent).with_context(|| format!("cannot remove `{}`", path.display()))
    }

    fn remove(&self, path: &Path, flags: AtFlags) -> Result<()> {
        let Some((parent, name)) = self.existing(path)? else { return Ok(()) };
        match unlinkat(&parent, name, flags) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(fault("remove", path, error)),
        }
    }

    /// Opens the parent of `path`; `None` when it is not there or not a directory.
    fn existing<'p>(&self, path: &'p Path) -> Result<Option<(Parent<'_>, &'p OsStr)>> {
        match self.parent(path) {
            Ok(parent) => Ok(Some(parent)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(fault("open", path, error)),
        }
    }

    pub(super) fn parent<'p>(&self, path: &'p Path) -> Result<(Parent<'_>, &'p OsStr), Errno> {
        let (parent, name) = split(path)?;
        if parent.as_os_str().is_empty() {
            return Ok((Parent::Borrowed(self.fd.as_fd()), name));
        }
        Ok((Parent::Owned(self.resolve(parent, PASS)?), name))
    }

    pub(super) fn made_parent<'p>(&self, path: &'p Path) -> Result<(Parent<'_>, &'p OsStr), Errno> {
        let (parent, name) = split(path)?;
        if parent.as_os_str().is_empty() {
            return Ok((Parent::Borrowed(self.fd.as_fd()), name));
        }
        Ok((Parent::Owned(self.make(parent, PASS)?), name))
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        open_beneath(self.fd.as_fd(), &inside(path)?, flags, Mode::empty())
    }

    /// Makes the directories of `path` one by one and opens the last.
    fn make(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = inside(path)?;
        match open_beneath(self.fd.as_fd(), &path, flags, Mode::empty()) {
            Err(Errno::NOENT) => {}
            opened => return opened,
        }
        let mut at = open_beneath(self.fd.as_fd(), Path::new("."), PASS, Mode::empty())?;
        for component in path.components() {
            match mkdirat(&at, component.as_os_str(), Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            at = open_beneath(at.as_fd(), Path::new(component.as_os_str()), PASS, Mode::empty())?;
        }
        open_beneath(at.as_fd(), Path::new("."), flags, Mode::empty())
    }
}

/// Opens a directory to list it. Without `NOFOLLOW`, so that a link is answered as one and not as "not a directory".
const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Opens a directory on the way to something in it.
const PASS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

pub(super) enum Parent<'a> {
    Borrowed(BorrowedFd<'a>),
    Owned(OwnedFd),
}

impl AsFd for Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Borrowed(fd) => *fd,
            Self::Owned(fd) => fd.as_fd(),
        }
    }
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Splits off the last component, which must be a name.
fn split(path: &Path) -> Result<(&Path, &OsStr), Errno> {
    match (path.parent(), path.components().next_back()) {
        (Some(parent), Some(Component::Normal(name))) => Ok((parent, name)),
        _ => Err(Errno::XDEV),
    }
}

/// Returns the path without `.`; `..` and `/` lead out of the directory, or may.
fn inside(path: &Path) -> Result<Cow<'_, Path>, Errno> {
    if path
        .components()
        .any(|component| matches!(component, Component::ParentDir | Component::RootDir | Component::Prefix(_)))
    {
        return Err(Errno::XDEV);
    }
    Ok(if path.as_os_str().is_empty() { Cow::Borrowed(Path::new(".")) } else { Cow::Borrowed(path) })
}

pub(super) fn open_beneath(at: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    loop {
        return match openat2(at, path, flags, mode, resolve) {
            // A rename elsewhere made the kernel unsure; it asks for another try.
            Err(Errno::AGAIN) => continue,
            // An old kernel, a seccomp filter that does not know the call, or more than one path may have.
            Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG) => open_by_component(at, path, flags, mode),
            opened => opened,
        };
    }
}

/// Does what `openat2` does, one component at a time.
fn open_by_component(at: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let device = fstat(at)?.st_dev;
    let step = |at: BorrowedFd<'_>, name: &OsStr, flags: OFlags, mode| {
        let fd = openat(at, name, flags | OFlags::NOFOLLOW, mode).map_err(|error| {
            // O_DIRECTORY answers "not a directory" for a link.
            let is_link = error == Errno::NOTDIR
                && statat(at, name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
            if is_link { Errno::LOOP } else { error }
        })?;
        if fstat(&fd)?.st_dev == device { Ok(fd) } else { Err(Errno::XDEV) }
    };
    let mut names: Vec<_> = path.components().filter(|component| *component != Component::CurDir).collect();
    let Some(last) = names.pop() else { return step(at, OsStr::new("."), flags, mode) };
    let mut current: Option<OwnedFd> = None;
    for name in names {
        let from = current.as_ref().map_or(at, OwnedFd::as_fd);
        let next = step(from, name.as_os_str(), PASS, Mode::empty())?;
        current = Some(next);
    }
    step(current.as_ref().map_or(at, OwnedFd::as_fd), last.as_os_str(), flags, mode)
}

/// Returns the error of an operation: an escape by name, all else with what was tried.
pub(super) fn fault(verb: &str, path: &Path, error: Errno) -> anyhow::Error {
    match error {
        Errno::LOOP | Errno::XDEV => {
            Failure::new(Kind::Refused, format!("destination path escapes workspace: {}", path.display()))
                .hint("the path has a link, another file system or `..` in it")
                .into()
        }
        error => anyhow::Error::new(error).context(format!("cannot {verb} `{}`", path.display())),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make and break files by hand")]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Dir) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("tree/a/b")).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        std::fs::write(dir.path().join("outside/secret"), "s").unwrap();
        std::fs::write(dir.path().join("tree/a/file"), "content").unwrap();
        std::os::unix::fs::symlink("../outside", dir.path().join("tree/out")).unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("tree/in")).unwrap();
        let tree = Dir::open(&dir.path().join("tree")).unwrap();
        (dir, tree)
    }

    fn refused<T: std::fmt::Debug>(result: Result<T>) {
        let error = result.unwrap_err();
        assert_eq!(Kind::of(&error), Kind::Refused, "{error:#}");
        assert!(error.to_string().starts_with("destination path escapes workspace: "), "{error}");
    }

    #[test]
    fn nothing_leads_out() {
        let (dir, tree) = place();
        for path in ["out/secret", "../outside/secret", "/etc/passwd", "a/../../outside/secret", "in/file", "out/new"] {
            let path = Path::new(path);
            refused(tree.file(path));
            refused(tree.create_file(path, 0o644));
            refused(tree.replace(path, b"x", 0o644));
            refused(tree.create_link(OsStr::new("x"), path));
            refused(tree.create_dir_all(path));
            refused(tree.unlink(path));
            refused(tree.remove_all(path));
            refused(tree.rename(Path::new("a/file"), &tree, path));
            refused(tree.stat(path));
        }
        refused(tree.dir(Path::new("out")));
        for path in ["..", ".", "", "a/.."] {
            assert!(tree.remove_all(Path::new(path)).is_err(), "{path}");
            assert!(tree.replace(Path::new(path), b"", 0o644).is_err(), "{path}");
        }
        assert_eq!(std::fs::read_dir(dir.path().join("outside")).unwrap().count(), 1);
    }

    #[test]
    fn one_component_at_a_time_answers_as_one_call_does() {
        let (_dir, tree) = place();
        for path in ["out/secret", "in/file", "out", "in", "a/file", "a/b", "a/file/x", "missing/x", ".", "a/./b"] {
            for flags in [OFlags::RDONLY | OFlags::NOFOLLOW, LIST, PASS] {
                let path = Path::new(path);
                let one = open_beneath(tree.fd.as_fd(), path, flags, Mode::empty()).map(|fd| fstat(fd).unwrap().st_ino);
                let other =
                    open_by_component(tree.fd.as_fd(), path, flags, Mode::empty()).map(|fd| fstat(fd).unwrap().st_ino);
                assert_eq!(one, other, "{} {flags:?}", path.display());
            }
        }
    }

    #[test]
    fn files_are_read_up_to_a_cap_and_only_when_regular() {
        let (dir, tree) = place();
        assert_eq!(tree.read(Path::new("a/file"), 7).unwrap().unwrap(), b"content");
        assert!(tree.read(Path::new("a/file"), 6).is_err());
        rustix::fs::mknodat(tree.fd(), "pipe", FileType::Fifo, Mode::RWXU, 0).unwrap();
        for path in ["missing", "a/file/x", "pipe", "a", "out", "missing/x"] {
            assert!(tree.file(Path::new(path)).unwrap().is_none(), "{path}");
        }
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("tree/socket")).unwrap();
        assert!(tree.file(Path::new("socket")).unwrap().is_none());
        assert_eq!(tree.link(Path::new("out")).unwrap(), b"../outside");
    }

    #[test]
    fn writing_makes_parents_and_replaces_links_but_not_directories() {
        let (dir, tree) = place();
        tree.create_file(Path::new("new/deep/file"), 0o600).unwrap().write_all(b"1").unwrap();
        assert_eq!(Kind::of(&tree.create_file(Path::new("new/deep/file"), 0o600).unwrap_err()), Kind::Exists);
        tree.replace(Path::new("out"), b"2", 0o644).unwrap();
        assert_eq!(std::fs::read(dir.path().join("tree/out")).unwrap(), b"2");
        assert!(tree.replace(Path::new("a"), b"3", 0o644).is_err());
        tree.create_link(OsStr::new("anything"), Path::new("l/link")).unwrap();
        let mut names = tree.names().unwrap();
        names.sort();
        assert_eq!(names, ["a", "in", "l", "new", "out"]);
    }

    #[test]
    fn removing_what_is_not_there_is_success() {
        let (dir, tree) = place();
        for path in ["missing", "missing/x", "a/file/x"] {
            tree.unlink(Path::new(path)).unwrap();
            tree.remove_dir(Path::new(path)).unwrap();
            tree.remove_all(Path::new(path)).unwrap();
        }
        tree.remove_all(Path::new("a")).unwrap();
        tree.unlink(Path::new("out")).unwrap();
        assert!(dir.path().join("outside/secret").exists());
        assert!(tree.stat(Path::new("a")).unwrap().is_none());
    }
}
