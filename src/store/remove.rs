//! Removing a tree that somebody hostile has made, and may still change.
//!
//! Directories are opened one by one beneath each other, so that no link is followed and no other file system entered.
//! A directory deeper than [`DEEPEST`] is first renamed up to the top of the tree: the number of descriptors stays
//! constant at any depth. Two threads share the work.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use anyhow::Context;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, fstat, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::error::Result;
use crate::progress::{Phase, Progress};

const THREADS: usize = 2;
/// Levels of directories that are open at once in each thread.
const DEEPEST: usize = 60;
/// Entries that appear while others go (somebody is still writing) are given this many rounds.
const ROUNDS: usize = 4;

/// Removes a tree of any depth, mode-000 directories included, with a bounded number of descriptors; follows no link
/// and enters no other device. Not there is success.
pub(crate) fn remove_tree(path: &Path, progress: &dyn Progress) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        anyhow::bail!("cannot remove `{}`: it has no parent", path.display());
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = match openat(rustix::fs::CWD, parent, flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot remove `{}`", path.display())),
    };
    let name = CString::new(name.as_bytes()).with_context(|| format!("cannot remove `{}`", path.display()))?;
    remove_at(directory.as_fd(), &name, progress).with_context(|| format!("cannot remove `{}`", path.display()))
}

/// Removes whatever `name` (one component) is in `parent`, like [`remove_tree`].
pub(crate) fn remove_at(parent: BorrowedFd<'_>, name: &CStr, progress: &dyn Progress) -> Result<()> {
    for round in 1.. {
        match unlink(parent, name) {
            Ok(Was::Removed) => return Ok(()),
            Ok(Was::Directory) => {}
            Err(error) => return Err(error.into()),
        }
        let work = Work::new(progress);
        work.remove_directory(parent, name);
        let outcome = work.outcome.into_inner().expect("no thread panicked");
        if let Some(fault) = outcome.fault {
            return Err(fault);
        }
        if !outcome.left {
            return Ok(());
        }
        anyhow::ensure!(round < ROUNDS, "somebody is still writing to it");
    }
    unreachable!("the loop ends by itself")
}

/// A directory that is removed, through its parent, when nothing below it is left to do.
struct Node<'a> {
    fd: OwnedFd,
    parent: Option<Arc<Self>>,
    name: CString,
    depth: usize,
    work: &'a Work<'a>,
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        let Some(parent) = &self.parent else { return };
        match unlinkat(&parent.fd, &*self.name, AtFlags::REMOVEDIR) {
            Ok(()) => self.work.count(1),
            Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => self.work.outcome().left = true,
            Err(error) => self.work.fail(&self.name, error),
        }
    }
}

/// A directory that is still to be opened.
type Job<'a> = (Arc<Node<'a>>, CString);

#[derive(Default)]
struct Outcome {
    fault: Option<anyhow::Error>,
    /// Some directory was not empty in the end.
    left: bool,
}

struct Work<'a> {
    progress: &'a dyn Progress,
    removed: AtomicU64,
    outcome: Mutex<Outcome>,
}

/// Jobs, last in first out, and how many threads may still add some.
struct Queue<'a> {
    state: Mutex<(Vec<Job<'a>>, usize)>,
    changed: Condvar,
}

impl<'a> Work<'a> {
    fn new(progress: &'a dyn Progress) -> Self {
        Self { progress, removed: AtomicU64::new(0), outcome: Mutex::default() }
    }

    fn remove_directory(&self, parent: BorrowedFd<'_>, name: &CStr) {
        let fd = match open_directory(parent, name) {
            Ok(Some(fd)) => fd,
            Ok(None) => return,
            Err(error) => return self.fail(name, error),
        };
        let top = Arc::new(Node { fd, parent: None, name: name.to_owned(), depth: 0, work: self });
        let queue = Queue { state: Mutex::new((self.empty(&top, &top), 0)), changed: Condvar::new() };
        let wide = queue.state().0.len() > 1;
        std::thread::scope(|scope| {
            for _ in 1..if wide { THREADS } else { 1 } {
                scope.spawn(|| self.drain(&queue, &top));
            }
            self.drain(&queue, &top);
        });
        drop(top);
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => self.outcome().left = true,
            Err(error) => self.fail(name, error),
        }
    }

    fn drain<'b>(&'b self, queue: &Queue<'b>, top: &Arc<Node<'b>>) {
        while let Some((parent, name)) = queue.take() {
            let found = self.enter(parent, name, top);
            queue.done(found);
        }
    }

    /// Opens a directory and removes the files in it; returns the directories in it.
    fn enter<'b>(&'b self, parent: Arc<Node<'b>>, name: CString, top: &Arc<Node<'b>>) -> Vec<Job<'b>> {
        if self.outcome().fault.is_some() && self.progress.cancelled() {
            return Vec::new();
        }
        match open_directory(parent.fd.as_fd(), &name) {
            Ok(Some(fd)) => {
                let depth = parent.depth + 1;
                self.empty(&Arc::new(Node { fd, parent: Some(parent), name, depth, work: self }), top)
            }
            Ok(None) => Vec::new(),
            Err(error) => {
                self.fail(&name, error);
                Vec::new()
            }
        }
    }

    /// Removes the files in a directory; returns the directories in it.
    fn empty<'b>(&'b self, node: &Arc<Node<'b>>, top: &Arc<Node<'b>>) -> Vec<Job<'b>> {
        let mut directories: Vec<CString> = Vec::new();
        if self.progress.cancelled() {
            self.outcome().fault.get_or_insert_with(|| {
                crate::progress::check(self.progress).err().unwrap_or_else(|| anyhow::anyhow!("interrupted"))
            });
            return Vec::new();
        }
        let mut removed = 0;
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut entries = RawDir::new(&node.fd, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.fail(&node.name, error);
                    break;
                }
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if entry.file_type() == FileType::Directory {
                directories.push(name.to_owned());
                continue;
            }
            match unlink(node.fd.as_fd(), name) {
                Ok(Was::Removed) => removed += 1,
                Ok(Was::Directory) => directories.push(name.to_owned()),
                Err(error) => self.fail(name, error),
            }
        }
        self.count(removed);
        directories
            .into_iter()
            .map(|name| match (node.depth >= DEEPEST).then(|| raise(node, &name, top)).flatten() {
                Some(raised) => (Arc::clone(top), raised),
                None => (Arc::clone(node), name),
            })
            .collect()
    }

    fn count(&self, removed: u64) {
        const STEP: u64 = 512;
        let before = self.removed.fetch_add(removed, Ordering::Relaxed);
        if before / STEP != (before + removed) / STEP {
            self.progress.report(Phase::Remove, before + removed, 0);
        }
    }

    /// Keeps the first fault and goes on, so that as much as possible is gone.
    fn fail(&self, name: &CStr, error: Errno) {
        let name = String::from_utf8_lossy(name.to_bytes());
        self.outcome().fault.get_or_insert_with(|| anyhow::Error::new(error).context(format!("`{name}` is kept")));
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().expect("no thread panicked")
    }
}

impl<'a> Queue<'a> {
    fn take(&self) -> Option<Job<'a>> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.0.pop() {
                state.1 += 1;
                return Some(job);
            }
            if state.1 == 0 {
                self.changed.notify_all();
                return None;
            }
            state = self.changed.wait(state).expect("no thread panicked");
        }
    }

    fn done(&self, found: Vec<Job<'a>>) {
        let mut state = self.state();
        state.0.extend(found);
        state.1 -= 1;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, (Vec<Job<'a>>, usize)> {
        self.state.lock().expect("no thread panicked")
    }
}

enum Was {
    Removed,
    Directory,
}

/// Unlinks what is not a directory; gone is removed. A directory that cannot be written is made writable first.
fn unlink(parent: BorrowedFd<'_>, name: &CStr) -> Result<Was, Errno> {
    let again = |error| match error {
        Errno::ACCESS if rustix::fs::fchmod(parent, Mode::RWXU).is_ok() => unlinkat(parent, name, AtFlags::empty()),
        error => Err(error),
    };
    match unlinkat(parent, name, AtFlags::empty()).or_else(again) {
        Ok(()) | Err(Errno::NOENT) => Ok(Was::Removed),
        Err(Errno::ISDIR) => Ok(Was::Directory),
        Err(error) => Err(error),
    }
}

/// Opens a directory for listing, making it readable and writable when it is not; `None` when it is gone or no
/// directory any more (the next round sees what it is now).
fn open_directory(parent: BorrowedFd<'_>, name: &CStr) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match beneath(parent, name, flags) {
        Err(Errno::ACCESS) => {
            let path = beneath(parent, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC)?;
            // By way of /proc it is this very directory, whatever the name has become meanwhile.
            rustix::fs::chmod(format!("/proc/self/fd/{}", path.as_raw_fd()), Mode::RWXU)?;
            beneath(parent, name, flags)
        }
        opened => opened,
    };
    match opened {
        Ok(fd) => {
            if rustix::process::geteuid().as_raw() != 0 && fstat(&fd).is_ok_and(|stat| stat.st_mode & 0o700 != 0o700) {
                // Where this fails, removing what is in it says so.
                let _changed = rustix::fs::fchmod(&fd, Mode::RWXU);
            }
            Ok(Some(fd))
        }
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens one component without following it or crossing to another file system.
fn beneath(parent: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    match rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve) {
        // An old kernel, or a seccomp filter that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => {
            let fd = openat(parent, name, flags, Mode::empty())?;
            if fstat(&fd)?.st_dev == fstat(parent)?.st_dev { Ok(fd) } else { Err(Errno::XDEV) }
        }
        opened => opened,
    }
}

/// Moves a directory to the top of the tree; `None` when that cannot be.
fn raise(node: &Node<'_>, name: &CStr, top: &Node<'_>) -> Option<CString> {
    let raised = CString::new(crate::store::fs::temporary_name().into_encoded_bytes()).ok()?;
    let moved = renameat(&node.fd, name, &top.fd, &*raised).or_else(|error| match error {
        // A directory is written to (its `..`) when it is moved.
        Errno::ACCESS => {
            open_directory(node.fd.as_fd(), name)?;
            renameat(&node.fd, name, &top.fd, &*raised)
        }
        error => Err(error),
    });
    moved.ok().map(|()| raised)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make and break files by hand")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::progress::Silent;

    fn descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    #[test]
    fn a_wide_tree_with_links_and_pipes_goes_and_what_links_point_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("precious"), "x").unwrap();
        let tree = dir.path().join("tree");
        for d in 0..20 {
            let sub = tree.join(format!("d{d}/e{d}"));
            std::fs::create_dir_all(&sub).unwrap();
            for f in 0..20 {
                std::fs::write(sub.join(format!("f{f}")), "x").unwrap();
            }
            std::os::unix::fs::symlink(&outside, sub.join("link")).unwrap();
        }
        rustix::fs::mknodat(rustix::fs::CWD, tree.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        remove_tree(&tree, &Silent).unwrap();
        assert!(!tree.exists());
        assert!(outside.join("precious").exists());
        remove_tree(&tree, &Silent).unwrap();
    }

    #[test]
    fn a_link_at_the_top_is_removed_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        std::fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        remove_tree(&link, &Silent).unwrap();
        assert!(target.exists() && link.symlink_metadata().is_err());
    }

    /// Looks how many descriptors are open each time that something is reported.
    struct Watch(AtomicU64);
    impl Progress for Watch {
        fn report(&self, _: Phase, _: u64, _: u64) {
            self.0.fetch_max(descriptors() as u64, Ordering::Relaxed);
        }
        fn finish(&self, _: Phase) {}
        fn cancelled(&self) -> bool {
            false
        }
    }

    #[test]
    fn five_thousand_levels_go_with_few_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let mut at = OwnedFd::from(std::fs::File::open(dir.path()).unwrap());
        for _ in 0..5_000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            for name in ["file", "other"] {
                let flags = OFlags::CREATE | OFlags::WRONLY;
                drop(openat(&at, name, flags, Mode::RWXU).unwrap());
            }
            at = openat(&at, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        drop(at);
        let watch = Watch(AtomicU64::new(0));
        remove_tree(&dir.path().join("d"), &watch).unwrap();
        assert!(!dir.path().join("d").exists());
        assert!(watch.0.load(Ordering::Relaxed) > 0);
        // Other tests of this process have descriptors too.
        assert!(watch.0.load(Ordering::Relaxed) < 400, "{}", watch.0.load(Ordering::Relaxed));
    }

    #[test]
    fn directories_without_permissions_go() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        for mode in [0o000, 0o100, 0o400, 0o500, 0o200] {
            let sub = tree.join(format!("m{mode:o}"));
            std::fs::create_dir_all(sub.join("inner/more")).unwrap();
            std::fs::write(sub.join("file"), "x").unwrap();
            std::fs::set_permissions(sub.join("inner"), std::fs::Permissions::from_mode(mode)).unwrap();
            std::fs::set_permissions(&sub, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        std::fs::set_permissions(&tree, std::fs::Permissions::from_mode(0o000)).unwrap();
        remove_tree(&tree, &Silent).unwrap();
        assert!(tree.symlink_metadata().is_err());
    }

    #[test]
    fn a_cancelled_removal_says_so() {
        struct Cancelled;
        impl Progress for Cancelled {
            fn report(&self, _: Phase, _: u64, _: u64) {}
            fn finish(&self, _: Phase) {}
            fn cancelled(&self) -> bool {
                true
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        assert!(remove_tree(&tree, &Cancelled).is_err());
        remove_tree(&tree, &Silent).unwrap();
    }

    #[test]
    fn removing_while_somebody_writes_ends() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("a")).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if let Err(error) = std::fs::create_dir_all(tree.join("a/b/c")) {
                        drop(error);
                    }
                }
            });
            // Either it is gone at some moment or the failure says that somebody writes; it never hangs.
            drop(remove_tree(&tree, &Silent));
            stop.store(true, Ordering::Relaxed);
        });
        remove_tree(&tree, &Silent).unwrap();
    }
}
