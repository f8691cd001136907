//! Filling a run's own cache from the user's, without following or replacing anything that the run has made.

use std::collections::{HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{DirEntry, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;

use crate::error::Result;
use crate::run::warm::cache::{Cache, Way};
use crate::store::beneath::Dir;

/// Bytes of one file that is copied, and of all.
const LARGEST: u64 = 256 << 10;
const MOST_BYTES: u64 = 64 << 20;
/// Directories whose times tell whether a cache has changed.
const LOOKED_AT: usize = 2_000;

/// What may still be filled in.
struct Left {
    things: usize,
    bytes: u64,
    /// Nothing that is older, unless there is room for all.
    since: Option<SystemTime>,
}

impl Left {
    /// Takes one thing off.
    fn has_room_for(&mut self, entry: &DirEntry) -> bool {
        let is_new = self.since.is_none_or(|since| modified(entry).is_some_and(|at| at >= since));
        let has_room = is_new && self.things > 0;
        self.things -= usize::from(has_room);
        has_room
    }
}

/// Links and copies what is not there yet, the `most` newest things, and takes away the links to what is no longer.
pub(super) fn fill(cache: Cache, host: &Path, own: &Dir, most: usize) -> Result<()> {
    let mut left = Left { things: most, bytes: MOST_BYTES, since: newest(cache, host, most) };
    fill_directory(cache, (host, Path::new("")), own, cache.depth(), &mut left)
}

fn fill_directory(cache: Cache, (host, below): (&Path, &Path), own: &Dir, depth: usize, left: &mut Left) -> Result<()> {
    let mut there: HashSet<OsString> = own.names()?.into_iter().collect();
    for entry in host.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let (from, at) = (entry.path(), below.join(&name));
        let is_there = there.remove(&name);
        match way(cache, &at, &entry) {
            Way::Enter if depth > 0 => {
                // What the run has put in the way stays there, and is not followed.
                if let Ok(directory) = own.create_dir_all(Path::new(&name)) {
                    fill_directory(cache, (&from, &at), &directory, depth - 1, left)?;
                }
            }
            way @ (Way::Link | Way::Copy) => {
                if left.has_room_for(&entry) && !is_there {
                    match way {
                        Way::Copy => copy(&from, own, &name, left)?,
                        _ => own.create_link(from.as_os_str(), Path::new(&name))?,
                    }
                }
            }
            Way::Enter | Way::Leave => {}
        }
    }
    // A tool that writes a file where a link leads nowhere would write behind the wall.
    for name in there {
        let (from, at) = (host.join(&name), below.join(&name));
        if own.link(Path::new(&name)).is_ok_and(|target| target == from.as_os_str().as_encoded_bytes()) {
            own.unlink(Path::new(&name))?;
        } else if depth > 0
            && cache.way(&at, true) == Way::Enter
            && let Ok(directory) = own.dir(Path::new(&name))
        {
            fill_directory(cache, (&from, &at), &directory, depth - 1, left)?;
        }
    }
    Ok(())
}

fn way(cache: Cache, at: &Path, entry: &DirEntry) -> Way {
    let kind = entry.file_type().ok();
    match cache.way(at, kind.is_some_and(|kind| kind.is_dir())) {
        Way::Copy if !kind.is_some_and(|kind| kind.is_file()) => Way::Leave,
        way => way,
    }
}

/// Returns when the oldest of the `most` newest things was written; `None` when there are no more.
fn newest(cache: Cache, host: &Path, most: usize) -> Option<SystemTime> {
    let mut directories = vec![(host.to_owned(), PathBuf::new())];
    let mut times = Vec::new();
    while let Some((directory, below)) = directories.pop() {
        let depth = below.components().count();
        for entry in directory.read_dir().into_iter().flatten().flatten() {
            let at = below.join(entry.file_name());
            match way(cache, &at, &entry) {
                Way::Enter if depth < cache.depth() => directories.push((entry.path(), at)),
                Way::Link | Way::Copy => times.extend(modified(&entry)),
                Way::Enter | Way::Leave => {}
            }
        }
    }
    let is_more = times.len() > most;
    is_more.then(|| *times.select_nth_unstable_by(most.saturating_sub(1), |one, other| other.cmp(one)).1)
}

fn modified(entry: &DirEntry) -> Option<SystemTime> {
    entry.metadata().ok()?.modified().ok()
}

/// Copies a small file; one that cannot be read is none.
fn copy(from: &Path, own: &Dir, name: &OsStr, left: &mut Left) -> Result<()> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let Ok(file) = File::options().read(true).custom_flags(flags).open(from) else { return Ok(()) };
    let most = LARGEST.min(left.bytes);
    let mut bytes = Vec::new();
    if file.take(most + 1).read_to_end(&mut bytes).is_err() || bytes.len() as u64 > most {
        return Ok(());
    }
    left.bytes -= bytes.len() as u64;
    own.create_file(Path::new(name), 0o600)?.write_all(&bytes)?;
    Ok(())
}

/// Returns a number that is another one when something has been added to a cache or taken out of it, or when the run has
/// another directory for its own. Of a very large cache only so many directories are looked at, the upper ones first.
pub(super) fn mark(cache: Cache, host: &Path, own: &Dir) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(rustix::fs::fstat(own.fd())?.st_ino);
    let mut directories = VecDeque::from([(host.to_owned(), PathBuf::new())]);
    let mut found = 1;
    while let Some((directory, below)) = directories.pop_front() {
        if let Ok(metadata) = directory.symlink_metadata() {
            hasher.write_u64(metadata.ino());
            hasher.write_i64(metadata.mtime());
            hasher.write_i64(metadata.mtime_nsec());
        }
        if found == LOOKED_AT || below.components().count() == cache.depth() {
            continue;
        }
        for entry in directory.read_dir().into_iter().flatten().flatten() {
            let at = below.join(entry.file_name());
            if found < LOOKED_AT && way(cache, &at, &entry) == Way::Enter {
                found += 1;
                directories.push_back((entry.path(), at));
            }
        }
    }
    Ok(hasher.finish())
}
