//! Filling a run's own cache from the user's, without following or replacing anything that the run has made.

use std::collections::{HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{DirEntry, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::Result;
use crate::run::warm::cache::{Cache, Way};
use crate::store::beneath::Dir;

/// Bytes of one file that is copied, and of all.
const LARGEST: u64 = 256 << 10;
const MOST_BYTES: u64 = 64 << 20;
/// Directories whose times tell whether a cache has changed.
const LOOKED_AT: usize = 2_000;

/// Links and copies what is not there yet, the `most` newest things, and takes away the links to what is no longer.
pub(super) fn fill(cache: Cache, host: &Path, own: &Dir, most: usize) -> Result<()> {
    let plan = Plan { cache, taken: taken(cache, host, most) };
    fill_directory(&plan, (host, Path::new("")), own, cache.depth(), &mut MOST_BYTES.clone())
}

struct Plan {
    cache: Cache,
    /// Below the cache: what is linked or copied, and the directories around it.
    taken: HashSet<PathBuf>,
}

fn fill_directory(plan: &Plan, (host, below): (&Path, &Path), own: &Dir, depth: usize, left: &mut u64) -> Result<()> {
    let mut there: HashSet<OsString> = own.names()?.into_iter().collect();
    for entry in host.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let (from, at) = (entry.path(), below.join(&name));
        let is_there = there.remove(&name);
        match way(plan.cache, &at, &entry) {
            Way::Enter if depth > 0 && (is_there || plan.taken.contains(&at)) => {
                // What the run has put in the way stays there, and is not followed.
                if let Ok(directory) = own.create_dir_all(Path::new(&name)) {
                    fill_directory(plan, (&from, &at), &directory, depth - 1, left)?;
                }
            }
            Way::Link if !is_there && plan.taken.contains(&at) => {
                own.create_link(from.as_os_str(), Path::new(&name))?;
            }
            Way::Copy if !is_there && plan.taken.contains(&at) => copy(&from, own, &name, left)?,
            Way::Enter | Way::Link | Way::Copy | Way::Leave => {}
        }
    }
    // A tool that writes a file where a link leads nowhere would write behind the wall.
    for name in there {
        let (from, at) = (host.join(&name), below.join(&name));
        if own.link(Path::new(&name)).is_ok_and(|target| target == from.as_os_str().as_encoded_bytes()) {
            own.unlink(Path::new(&name))?;
        } else if depth > 0
            && plan.cache.way(&at, true) == Way::Enter
            && let Ok(directory) = own.dir(Path::new(&name))
        {
            fill_directory(plan, (&from, &at), &directory, depth - 1, left)?;
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

/// Returns the `most` newest things of a cache, and the directories around them.
fn taken(cache: Cache, host: &Path, most: usize) -> HashSet<PathBuf> {
    let mut directories = vec![(host.to_owned(), PathBuf::new())];
    let mut things = Vec::new();
    while let Some((directory, below)) = directories.pop() {
        let depth = below.components().count();
        for entry in directory.read_dir().into_iter().flatten().flatten() {
            let at = below.join(entry.file_name());
            match way(cache, &at, &entry) {
                Way::Enter if depth < cache.depth() => directories.push((entry.path(), at)),
                Way::Link | Way::Copy => things.push((entry.metadata().and_then(|it| it.modified()).ok(), at)),
                Way::Enter | Way::Leave => {}
            }
        }
    }
    if things.len() > most {
        things.select_nth_unstable_by(most, |(one, _), (other, _)| other.cmp(one));
        things.truncate(most);
    }
    things.iter().flat_map(|(_, at)| at.ancestors()).map(Path::to_owned).collect()
}

/// Copies a small file; one that cannot be read is none.
fn copy(from: &Path, own: &Dir, name: &OsStr, left: &mut u64) -> Result<()> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let Ok(file) = File::options().read(true).custom_flags(flags).open(from) else { return Ok(()) };
    let most = LARGEST.min(*left);
    let mut bytes = Vec::new();
    if file.take(most + 1).read_to_end(&mut bytes).is_err() || bytes.len() as u64 > most {
        return Ok(());
    }
    *left -= bytes.len() as u64;
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
