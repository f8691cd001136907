//! Walking a tree by directory descriptors in several threads: no link is followed, nothing is opened but directories and
//! regular files, and nothing blocks.
//!
//! Limits: a directory stays open until everything below it is done, so that descriptors grow with depth and threads; trees
//! deeper than [`MAX_DEPTH`] are for the caller to stop at.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};
use rustix::io::{Errno, retry_on_intr};

use crate::error::Result;

/// Directories nested deeper are named, not entered.
pub(crate) const MAX_DEPTH: usize = 256;

/// What changes when a file's content or permissions do; nobody can set `ctime`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    /// The low half of the inode number, as git's index has it.
    pub(crate) inode: u32,
    pub(crate) size: u64,
    pub(crate) mtime: (i64, u32),
    pub(crate) ctime: (i64, u32),
}

/// The attributes of one entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes {
    pub(crate) kind: FileType,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) device: u64,
    /// Bytes on disk.
    pub(crate) allocated: u64,
    pub(crate) inode: u64,
    /// Names that it has.
    pub(crate) links: u64,
    pub(crate) stamp: Stamp,
}

impl Attributes {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "the types of `stat` differ between platforms; only the inode is cut, on purpose"
    )]
    fn of(stat: &rustix::fs::Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: u32::from(stat.st_mode) & 0o7777,
            device: stat.st_dev as u64,
            allocated: stat.st_blocks as u64 * 512,
            inode: stat.st_ino as u64,
            links: stat.st_nlink as u64,
            stamp: Stamp {
                inode: stat.st_ino as u32,
                size: stat.st_size as u64,
                mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
                ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
            },
        }
    }
}

/// Opens a directory by a trusted path, whose last component must not be a link.
pub(crate) fn open(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, DIRECTORY, Mode::empty()).with_context(|| format!("cannot open `{}`", path.display()))
}

/// Opens the directory `name` in `directory`.
pub(crate) fn open_in(directory: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let name = OsStr::from_bytes(name);
    Ok(retry_on_intr(|| rustix::fs::openat(&directory, name, DIRECTORY, Mode::empty()))?)
}

/// Returns the names in a directory without `.` and `..`, sorted by their bytes; reads on from where it was read to.
pub(crate) fn names(directory: impl AsFd) -> io::Result<Vec<Vec<u8>>> {
    let mut buffer = [MaybeUninit::uninit(); 16 << 10];
    let mut entries = RawDir::new(directory, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Goes back to the first name of a directory, for another call of [`names`].
pub(crate) fn rewind(directory: impl AsFd) {
    // Nothing to be done where it fails: the names are then missing, and seen to be.
    rustix::fs::seek(directory, rustix::fs::SeekFrom::Start(0)).ok();
}

/// Returns the attributes of the entry `name` itself; `None` when it is not there.
pub(crate) fn attributes(directory: impl AsFd, name: &[u8]) -> io::Result<Option<Attributes>> {
    match rustix::fs::statat(directory, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Attributes::of(&stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the attributes of an open file or directory.
pub(crate) fn attributes_of(file: impl AsFd) -> io::Result<Attributes> {
    Ok(Attributes::of(&rustix::fs::fstat(file)?))
}

/// Returns the text of a link.
pub(crate) fn link(directory: impl AsFd, name: &[u8]) -> io::Result<Vec<u8>> {
    Ok(rustix::fs::readlinkat(directory, OsStr::from_bytes(name), Vec::new())?.into_bytes())
}

/// What came of reading a file.
#[derive(Debug)]
pub(crate) enum Content {
    /// Everything, and the attributes that it had before and after.
    Whole(Vec<u8>, Attributes),
    /// Longer than the cap, in bytes, or not admitted.
    TooLarge(u64),
    /// It is gone.
    Gone,
    /// Somebody wrote to it meanwhile, twice, or it is not a regular file any more.
    Unsteady,
}

/// Reads the regular file `name` in `directory`, a second time when it changes under the first.
pub(crate) fn read(directory: impl AsFd, name: &[u8], cap: u64) -> io::Result<Content> {
    read_if(directory, name, cap, |_, _| true)
}

/// The same for a file that `admit` lets through, asked with the attributes and with the bytes that are holes.
pub(crate) fn read_if(
    directory: impl AsFd,
    name: &[u8],
    cap: u64,
    admit: impl Fn(&Attributes, u64) -> bool,
) -> io::Result<Content> {
    for _ in 0..2 {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| rustix::fs::openat(&directory, OsStr::from_bytes(name), flags, Mode::empty()));
        let file = match opened {
            Ok(file) => std::fs::File::from(file),
            Err(Errno::NOENT) => return Ok(Content::Gone),
            Err(Errno::LOOP | Errno::NXIO) => return Ok(Content::Unsteady),
            Err(error) => return Err(error.into()),
        };
        let before = attributes_of(&file)?;
        if before.kind != FileType::RegularFile {
            return Ok(Content::Unsteady);
        }
        if before.stamp.size > cap || !admit(&before, holes(&file, &before)) {
            return Ok(Content::TooLarge(before.stamp.size));
        }
        let mut content = Vec::with_capacity(usize::try_from(before.stamp.size).unwrap_or_default() + 1);
        (&file).take(before.stamp.size + 1).read_to_end(&mut content)?;
        let after = attributes_of(&file)?;
        if content.len() as u64 == before.stamp.size && after.stamp == before.stamp && after.mode == before.mode {
            return Ok(Content::Whole(content, after));
        }
    }
    Ok(Content::Unsteady)
}

/// Returns how many bytes of a file are not on disk because nobody has written them; of a small one it is not asked.
///
/// A file system that compresses has fewer bytes on disk, but no holes; one that tells nothing has none either.
fn holes(file: &std::fs::File, attributes: &Attributes) -> u64 {
    const SMALL: u64 = 64 << 10;
    let size = attributes.stamp.size;
    if size <= SMALL || attributes.allocated >= size {
        return 0;
    }
    let first = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(0)).unwrap_or(size);
    // Where it fails, what is read is too short, and seen to be.
    rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0)).ok();
    if first < size { size - attributes.allocated } else { 0 }
}

/// Jobs that are still to be done, newest first, so that a walk goes deep before it goes wide.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    wake: Condvar,
}

struct State<J> {
    jobs: Vec<J>,
    busy: usize,
    /// Threads that wait for a job: waking when there are none would be a system call for nothing.
    waiting: usize,
}

impl<J> Queue<J> {
    pub(crate) fn push(&self, job: J) {
        let mut state = self.state();
        state.jobs.push(job);
        let waiting = state.waiting > 0;
        drop(state);
        if waiting {
            self.wake.notify_one();
        }
    }

    /// Waits for a job; `None` when there is none and nobody is busy who could add one.
    fn next(&self) -> Option<J> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop() {
                state.busy += 1;
                return Some(job);
            }
            if state.busy == 0 {
                return None;
            }
            state.waiting += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a job also when it panics: the other threads would wait for it for ever.
struct Busy<'a, J>(&'a Queue<J>);

impl<J> Drop for Busy<'_, J> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.busy -= 1;
        if state.busy == 0 && state.jobs.is_empty() {
            self.0.wake.notify_all();
        }
    }
}

/// Runs `jobs`, and those that they add, in `threads` threads; `receive` takes what they send, on this one.
pub(crate) fn work<J: Send, O: Send>(
    threads: usize,
    jobs: Vec<J>,
    run: impl Fn(J, &Queue<J>, &SyncSender<O>) + Sync,
    mut receive: impl FnMut(O),
) {
    let queue = Queue { state: Mutex::new(State { jobs, busy: 0, waiting: 0 }), wake: Condvar::new() };
    let (sender, receiver) = sync_channel(8);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (queue, run, sender) = (&queue, &run, sender.clone());
            scope.spawn(move || {
                while let Some(job) = queue.next() {
                    let busy = Busy(queue);
                    run(job, queue, &sender);
                    drop(busy);
                }
            });
        }
        drop(sender);
        for object in receiver {
            receive(object);
        }
    });
}

/// How much a directory holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes on disk, directories included.
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    pub(crate) directories: u64,
}

/// Adds up what is at and below `path`; what cannot be read counts as nothing, and so does what is not there.
pub(crate) fn usage(path: &Path, threads: usize) -> Usage {
    let Ok(top) = open(path) else { return Usage::default() };
    let [bytes, files, directories] = [const { AtomicU64::new(0) }; 3];
    if let Ok(attributes) = attributes_of(&top) {
        bytes.fetch_add(attributes.allocated, Ordering::Relaxed);
    }
    let first: (Arc<OwnedFd>, Option<Vec<u8>>, usize) = (Arc::new(top), None, 0);
    work(
        threads,
        vec![first],
        |(parent, name, depth), queue, _: &SyncSender<()>| {
            let directory = match name {
                None => parent,
                Some(name) => match open_in(&*parent, &name) {
                    Ok(directory) => Arc::new(directory),
                    Err(_) => return,
                },
            };
            for name in names(&*directory).unwrap_or_default() {
                let Ok(Some(attributes)) = attributes(&*directory, &name) else { continue };
                bytes.fetch_add(attributes.allocated, Ordering::Relaxed);
                if attributes.kind == FileType::Directory {
                    directories.fetch_add(1, Ordering::Relaxed);
                    if depth < MAX_DEPTH {
                        queue.push((Arc::clone(&directory), Some(name), depth + 1));
                    }
                } else {
                    files.fetch_add(1, Ordering::Relaxed);
                }
            }
        },
        |()| (),
    );
    Usage { bytes: bytes.into_inner(), files: files.into_inner(), directories: directories.into_inner() }
}

/// What is at an entry and below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Within {
    /// On disk.
    pub(crate) bytes: u64,
    /// The paths of the entries of the name that was looked for.
    pub(crate) found: Vec<Vec<u8>>,
}

/// Adds up the bytes on disk of the entry `path` below `top` and of all below it, and finds what is called `wanted`. Each entry
/// takes one of `left`; at 0 it stops, and what was not looked at counts as nothing, like what cannot be read.
pub(crate) fn within(top: &Path, path: &[u8], wanted: &[u8], left: &mut u64) -> Within {
    let mut within = Within::default();
    let (above, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&b""[..], path),
    };
    let Ok(mut directory) = open(top) else { return within };
    for component in above.split(|byte| *byte == b'/').filter(|component| !component.is_empty()) {
        let Ok(below) = open_in(&directory, component) else { return within };
        directory = below;
    }
    let mut entries = vec![(Rc::new((directory, above.to_vec())), name.to_vec(), 0)];
    while *left > 0
        && let Some((parent, name, depth)) = entries.pop()
    {
        *left -= 1;
        let Ok(Some(attributes)) = attributes(&parent.0, &name) else { continue };
        within.bytes += attributes.allocated;
        let path = || if parent.1.is_empty() { name.clone() } else { [&parent.1[..], b"/", &name].concat() };
        if name == wanted {
            within.found.push(path());
        }
        if attributes.kind == FileType::Directory
            && depth < MAX_DEPTH
            && let Ok(directory) = open_in(&parent.0, &name)
        {
            let names = names(&directory).unwrap_or_default();
            let directory = Rc::new((directory, path()));
            entries.extend(names.into_iter().map(|name| (Rc::clone(&directory), name, depth + 1)));
        }
    }
    within
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_or_a_link_in_place_of_a_file_is_seen_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("fifo"), Mode::RUSR).expect("a fifo");
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).expect("a link");
        let fd = open(dir.path()).expect("the directory");
        let (sender, receiver) = sync_channel(2);
        // In a thread, so that it fails where it would block.
        std::thread::spawn(move || {
            for name in [b"fifo", b"link"] {
                sender.send(read(&fd, name, 100).expect("an answer")).expect("somebody who waits");
            }
        });
        for _ in 0..2 {
            let answer = receiver.recv_timeout(std::time::Duration::from_mins(1)).expect("an answer");
            assert!(matches!(answer, Content::Unsteady));
        }
    }

    #[test]
    fn holes_are_what_nobody_has_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let fd = open(dir.path()).expect("the directory");
        let file = std::fs::File::create(dir.path().join("file")).expect("a file");
        let holes = || {
            let found = std::cell::Cell::new(0);
            let content = read_if(&fd, b"file", 10 << 20, |_, holes| {
                found.set(holes);
                true
            });
            assert!(matches!(content.expect("a file"), Content::Whole(content, _) if content.len() == 1 << 20));
            found.get()
        };
        std::os::unix::fs::FileExt::write_all_at(&file, &vec![0; 1 << 20], 0).expect("zeros");
        assert_eq!(holes(), 0);
        file.set_len(0).and_then(|()| file.set_len(1 << 20)).expect("a size");
        std::os::unix::fs::FileExt::write_all_at(&file, b"x", 500_000).expect("a byte");
        // A file system that has no holes has all on disk.
        let allocated = attributes(&fd, b"file").expect("a file").expect("a file").allocated;
        assert_eq!(holes(), (1_u64 << 20).saturating_sub(allocated));
    }

    #[test]
    fn usage_counts_each_file_once_in_any_number_of_threads() {
        let dir = tempfile::tempdir().expect("a directory");
        for number in 0..50 {
            let at = dir.path().join(format!("{}", number % 7)).join(format!("{}", number % 3));
            std::fs::create_dir_all(&at).expect("directories");
            std::fs::File::create(at.join(number.to_string())).expect("a file");
        }
        let one = usage(dir.path(), 1);
        assert_eq!((one.files, one.directories), (50, 7 + 21));
        assert_eq!(usage(dir.path(), 4), one);
    }

    #[test]
    fn bytes_are_added_up_to_a_number_of_entries() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("a/b");
        std::fs::create_dir_all(&at).expect("directories");
        for number in 0..10 {
            std::fs::copy("/proc/self/stat", at.join(number.to_string())).expect("a file");
        }
        let (mut left, mut few, mut none) = (1000, 5, 1000);
        let bytes = |path: &[u8], left: &mut u64| within(dir.path(), path, b"7", left);
        let all = bytes(b"a", &mut left);
        assert_eq!(all.bytes, usage(&dir.path().join("a"), 1).bytes);
        assert_eq!(all.found, [b"a/b/7"]);
        assert_eq!(left, 1000 - 12);
        assert!(bytes(b"a/b", &mut few).bytes < all.bytes);
        assert_eq!(few, 0);
        assert_eq!(bytes(b"a/b/none", &mut none), Within::default());
    }
}
