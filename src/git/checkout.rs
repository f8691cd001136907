//! Writing a commit's files into a directory that no agent has touched yet, and the index that makes git see it as clean.
//!
//! Objects are read without hashing them again: they come from a pool or a store, which only this program writes and
//! which verified them when they came in. Each thread writes its own contiguous part of the sorted paths, so that two
//! seldom want the same directory, and helps another when it is done.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use git2::{ObjectType, Repository};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};

use crate::error::{Failure, Kind, Result};
use crate::git::convert::Attributes;
use crate::git::index::{Entry, Index, Stat};
use crate::git::packed::{Packs, Reader};
use crate::git::{Oid, local};
use crate::progress::{self, Phase, Progress};
use crate::store::dotgit::is_dot_git;

/// Directories deeper than this are not written: nothing real is, and every tool breaks there.
const MAX_DEPTH: usize = 256;
/// Fewer files than this are written by one thread: starting another takes longer.
const FILES_FOR_TWO_THREADS: usize = 200;
/// Files that a thread takes at once.
const BATCH: usize = 32;
/// How far back modification times are set: git hashes every file again whose second is not older than the index.
const BACK_SECONDS: u64 = 2;
/// An LFS pointer is at most this long.
const MAX_POINTER: usize = 1024;

/// What a checkout left behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkout {
    /// The index file (v2 with stat data and the TREE extension), for the agent's `.git`.
    pub(crate) index: Vec<u8>,
    pub(crate) files: u64,
    /// Git LFS pointers among the files.
    pub(crate) lfs_pointers: u64,
    /// Paths of submodules (gitlinks), left empty.
    pub(crate) submodules: Vec<Vec<u8>>,
    /// Paths that git refuses (`.GIT`, `GIT~1`, …), not written.
    pub(crate) refused: Vec<Vec<u8>>,
    /// Whether every file holds the very bytes of its blob: nothing was converted.
    pub(crate) verbatim: bool,
}

/// Writes the files of `commit` (of the repository at `repository`, a pool or store) into the empty directory `into`,
/// converting what its attributes ask for; several threads.
pub(crate) fn checkout(repository: &Path, commit: Oid, into: &Path, progress: &dyn Progress) -> Result<Checkout> {
    let opened = local::open(repository)?;
    let _unchecked = Unchecked::begin();
    let tree = opened
        .find_commit(commit)
        .and_then(|commit| commit.tree())
        .with_context(|| format!("cannot read commit `{commit}`"))?;
    let mut plan = Plan::default();
    plan.add(&opened, tree.id(), &mut Vec::new(), 0)?;
    let attributes = Attributes::of_files(&opened, tree.id(), plan.attribute_files())?;

    let root = rustix::fs::openat(CWD, into, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .with_context(|| format!("cannot open `{}`", into.display()))?;
    for directory in &plan.directories {
        let path = Path::new(std::ffi::OsStr::from_bytes(directory));
        rustix::fs::mkdirat(&root, path, Mode::from_raw_mode(0o777)).map_err(|error| twice_or(error, directory))?;
    }
    let writing = Writing {
        repository,
        packs: &Packs::open(repository),
        root: &root,
        items: &plan.items,
        attributes: &attributes,
        modified: back(),
        progress,
        done: AtomicU64::new(0),
        lfs_pointers: AtomicU64::new(0),
        converted: AtomicBool::new(false),
        failed: AtomicBool::new(false),
    };
    let stats = writing.run()?;
    progress.finish(Phase::Checkout);

    let converted = writing.converted.load(Ordering::Relaxed);
    let lfs_pointers = writing.lfs_pointers.load(Ordering::Relaxed);
    let submodules: Vec<Vec<u8>> =
        plan.items.iter().filter(|item| item.mode == GITLINK).map(|item| item.path.clone()).collect();
    let files = (plan.items.len() - submodules.len()) as u64;
    let entries = plan
        .items
        .into_iter()
        .zip(stats)
        .map(|(item, stat)| Entry { path: item.path, mode: item.mode, id: item.id, stat, skipped: false })
        .collect();
    let index = Index { entries, trees: plan.trees }.to_bytes();
    Ok(Checkout { index, files, lfs_pointers, submodules, refused: plan.refused, verbatim: !converted })
}

const LINK: u32 = 0o120_000;
const GITLINK: u32 = 0o160_000;
const EXECUTABLE: u32 = 0o100_755;
const REGULAR: u32 = 0o100_644;

/// Returns whether git refuses to write an entry of this name.
pub(crate) fn is_refused(name: &[u8], mode: u32) -> bool {
    name.is_empty()
        || name == b"."
        || name == b".."
        || name.contains(&b'/')
        || is_dot_git(name)
        // Through a link here git would read its submodule settings from elsewhere.
        || (mode == LINK && name.eq_ignore_ascii_case(b".gitmodules"))
}

/// Hashing of objects as they are read, off for as long as the value lives.
///
/// The switch is libgit2's own and of the whole process; nothing in this program reads an agent's objects in the same
/// process as it checks out.
struct Unchecked;

impl Unchecked {
    fn begin() -> Self {
        git2::opts::strict_hash_verification(false);
        Self
    }
}

impl Drop for Unchecked {
    fn drop(&mut self) {
        git2::opts::strict_hash_verification(true);
    }
}

struct Item {
    path: Vec<u8>,
    mode: u32,
    id: Oid,
}

/// Everything that is to be written, in the order of the index.
#[derive(Default)]
struct Plan {
    directories: Vec<Vec<u8>>,
    items: Vec<Item>,
    trees: Vec<crate::git::index::CachedTree>,
    refused: Vec<Vec<u8>>,
}

impl Plan {
    /// Adds the tree `id` at `prefix` (which ends in a slash unless empty); returns whether all of it was taken.
    fn add(&mut self, repository: &Repository, id: Oid, prefix: &mut Vec<u8>, depth: usize) -> Result<bool> {
        let tree = repository.find_tree(id).with_context(|| format!("cannot read tree `{id}`"))?;
        let slot = self.trees.len();
        let name = prefix.strip_suffix(b"/").unwrap_or(prefix).rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        self.trees.push(crate::git::index::CachedTree { name: name.to_owned(), entries: 0, subtrees: 0, id: None });
        let (first, mut whole, mut subtrees) = (self.items.len(), true, 0);
        for entry in &tree {
            let name = entry.name_bytes();
            let kind = entry.kind();
            let mode = match (kind, entry.filemode_raw().cast_unsigned() & 0o170_000) {
                (Some(ObjectType::Commit), _) => GITLINK,
                (_, LINK) => LINK,
                _ if entry.filemode_raw() & 0o100 != 0 => EXECUTABLE,
                _ => REGULAR,
            };
            let start = prefix.len();
            prefix.extend_from_slice(name);
            if is_refused(name, mode) || depth >= MAX_DEPTH {
                self.refused.push(prefix.clone());
                whole = false;
            } else if kind == Some(ObjectType::Tree) {
                self.directories.push(prefix.clone());
                prefix.push(b'/');
                whole &= self.add(repository, entry.id(), prefix, depth + 1)?;
                subtrees += 1;
            } else {
                if mode == GITLINK {
                    self.directories.push(prefix.clone());
                }
                self.items.push(Item { path: prefix.clone(), mode, id: entry.id() });
            }
            prefix.truncate(start);
        }
        let cached = &mut self.trees[slot];
        cached.entries = self.items.len() - first;
        cached.subtrees = subtrees;
        cached.id = whole.then_some(id);
        Ok(whole)
    }
}

impl Plan {
    fn attribute_files(&self) -> Vec<(Vec<u8>, Oid)> {
        let own = |item: &&Item| item.path.rsplit(|byte| *byte == b'/').next() == Some(b".gitattributes");
        let regular = |item: &&Item| matches!(item.mode, REGULAR | EXECUTABLE);
        self.items.iter().filter(own).filter(regular).map(|item| (item.path.clone(), item.id)).collect()
    }
}

/// The writing of all files, shared by the threads.
struct Writing<'a> {
    repository: &'a Path,
    packs: &'a Packs,
    root: &'a OwnedFd,
    items: &'a [Item],
    attributes: &'a Attributes,
    modified: Timestamps,
    progress: &'a dyn Progress,
    done: AtomicU64,
    lfs_pointers: AtomicU64,
    converted: AtomicBool,
    failed: AtomicBool,
}

/// Where a thread reads objects.
struct Objects<'a> {
    repository: &'a Path,
    packed: Reader<'a>,
    /// For what is not in a pack; opened when it is needed.
    opened: Option<Repository>,
}

impl Objects<'_> {
    fn read(&mut self, id: Oid) -> Result<Rc<Vec<u8>>> {
        if let Some(content) = self.packed.read(id) {
            return Ok(content);
        }
        let opened = match &mut self.opened {
            Some(opened) => opened,
            opened => opened.insert(local::open(self.repository)?),
        };
        Ok(Rc::new(opened.odb()?.read(id)?.data().to_vec()))
    }
}

/// A thread's part of the items: where the next batch starts, and the end.
struct Part {
    next: AtomicUsize,
    end: usize,
}

impl Part {
    fn take(&self) -> Option<std::ops::Range<usize>> {
        let start = self.next.fetch_add(BATCH, Ordering::Relaxed);
        (start < self.end).then(|| start..(start + BATCH).min(self.end))
    }

    fn left(&self) -> usize {
        self.end.saturating_sub(self.next.load(Ordering::Relaxed))
    }
}

impl Writing<'_> {
    /// Writes everything and returns the attributes of each item.
    fn run(&self) -> Result<Vec<Stat>> {
        let count = self.items.len();
        let threads = if count < FILES_FOR_TWO_THREADS {
            1
        } else {
            std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(1, 8)
        };
        let parts: Vec<Part> = (0..threads)
            .map(|part| Part { next: AtomicUsize::new(count * part / threads), end: count * (part + 1) / threads })
            .collect();
        let stats = Mutex::new(vec![Stat::default(); count]);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|own| {
                    scope.spawn({
                        let (parts, stats) = (&parts, &stats);
                        move || self.part(parts, own, stats)
                    })
                })
                .collect();
            let mut result = self.part(&parts, 0, &stats);
            for other in others {
                let ended = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result = result.and(ended);
            }
            result
        })?;
        Ok(stats.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn part(&self, parts: &[Part], own: usize, stats: &Mutex<Vec<Stat>>) -> Result<()> {
        let result = self.write_batches(parts, own, stats);
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }

    fn write_batches(&self, parts: &[Part], own: usize, stats: &Mutex<Vec<Stat>>) -> Result<()> {
        let mut objects = Objects { repository: self.repository, packed: self.packs.reader(), opened: None };
        let mut directory: Option<(Vec<u8>, OwnedFd)> = None;
        let mut written = Vec::new();
        let mut part = &parts[own];
        loop {
            let Some(batch) = part.take() else {
                match parts.iter().max_by_key(|part| part.left()).filter(|part| part.left() > 0) {
                    Some(busiest) => part = busiest,
                    None => break,
                }
                continue;
            };
            if self.failed.load(Ordering::Relaxed) {
                break;
            }
            progress::check(self.progress)?;
            let length = batch.len() as u64;
            for position in batch {
                written.push((position, self.item(&mut objects, &self.items[position], &mut directory)?));
            }
            let done = self.done.fetch_add(length, Ordering::Relaxed) + length;
            self.progress.report(Phase::Checkout, done, self.items.len() as u64);
        }
        let mut stats = stats.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (position, stat) in written {
            stats[position] = stat;
        }
        Ok(())
    }

    fn item(&self, objects: &mut Objects<'_>, item: &Item, directory: &mut Option<(Vec<u8>, OwnedFd)>) -> Result<Stat> {
        if item.mode == GITLINK {
            return Ok(Stat::default());
        }
        let (parent, name) = match item.path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&item.path[..slash], &item.path[slash + 1..]),
            None => (&b"."[..], &item.path[..]),
        };
        if directory.as_ref().is_none_or(|(path, _)| path != parent) {
            let opened = rustix::fs::openat(
                self.root,
                Path::new(std::ffi::OsStr::from_bytes(parent)),
                OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::PATH,
                Mode::empty(),
            )
            .with_context(|| format!("cannot open `{}`", String::from_utf8_lossy(parent)))?;
            *directory = Some((parent.to_owned(), opened));
        }
        let (_, parent) = directory.as_ref().expect("it was opened above");
        let content = objects
            .read(item.id)
            .with_context(|| format!("cannot read the content of `{}`", String::from_utf8_lossy(&item.path)))?;
        self.write(parent, name, item, &content)
    }

    fn write(&self, parent: &OwnedFd, name: &[u8], item: &Item, content: &[u8]) -> Result<Stat> {
        let path = std::ffi::OsStr::from_bytes(name);
        let named = || format!("cannot write `{}`", String::from_utf8_lossy(&item.path));
        if item.mode == LINK {
            rustix::fs::symlinkat(std::ffi::OsStr::from_bytes(content), parent, path)
                .map_err(|error| twice_or(error, &item.path))?;
            rustix::fs::utimensat(parent, path, &self.modified, AtFlags::SYMLINK_NOFOLLOW).with_context(named)?;
            let stat = rustix::fs::statat(parent, path, AtFlags::SYMLINK_NOFOLLOW).with_context(named)?;
            return Ok(Stat::of(&stat));
        }
        let converted =
            if self.attributes.smudges_nothing() { None } else { self.attributes.smudge(&item.path, content) };
        if is_lfs_pointer(content) {
            self.lfs_pointers.fetch_add(1, Ordering::Relaxed);
        }
        if converted.is_some() {
            self.converted.store(true, Ordering::Relaxed);
        }
        let mode = if item.mode == EXECUTABLE { 0o777 } else { 0o666 };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, path, flags, Mode::from_raw_mode(mode))
            .map_err(|error| twice_or(error, &item.path))?;
        let mut file = File::from(file);
        file.write_all(converted.as_deref().unwrap_or(content)).with_context(named)?;
        rustix::fs::futimens(&file, &self.modified).with_context(named)?;
        Ok(Stat::of(&rustix::fs::fstat(&file).with_context(named)?))
    }
}

/// Returns whether content is a Git LFS pointer.
pub(crate) fn is_lfs_pointer(content: &[u8]) -> bool {
    content.len() < MAX_POINTER && content.starts_with(b"version https://git-lfs.github.com/spec/v1\n")
}

fn twice_or(error: rustix::io::Errno, path: &[u8]) -> anyhow::Error {
    let path = String::from_utf8_lossy(path);
    if error == rustix::io::Errno::EXIST {
        // Only a forged tree names a path twice; git's own fsck refuses it.
        return Failure::new(Kind::Unsupported, format!("the commit names `{path}` twice")).into();
    }
    anyhow::Error::new(error).context(format!("cannot write `{path}`"))
}

fn back() -> Timestamps {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = Timespec { tv_sec: now.as_secs().saturating_sub(BACK_SECONDS).cast_signed(), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
