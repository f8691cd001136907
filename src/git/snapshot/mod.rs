//! Snapshots: the state of a tree at one moment, read by stead's own walker, as a commit in the store (format 1).
//!
//! ```text
//! commit
//!   files/    tree: raw bytes as they are in the tree, no conversion; .git is never recorded
//!   meta      blob: what git trees cannot hold, sorted by path
//!   gitdir/   tree: the small files of the agent's .git and of submodules' in it, as opaque bytes
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use anyhow::Context as _;
use git2::ObjectType;
use rustix::fs::FileType;

use crate::config;
use crate::error::{Failure, Kind, Result};
use crate::git::Oid;
use crate::git::ignore::Patterns;
use crate::git::meta::{PLAIN, PLAIN_DIR};
use crate::git::repository::{Access, Store};
use crate::git::scan::{self, Budget, Job, Object, Scan, Top, TopKind, reason};
use crate::git::seen::{self, EntryKind, Seen};
use crate::progress::{self, Phase, Progress};
use crate::store::walk;

pub(crate) use crate::git::meta::Meta;
pub(super) use crate::git::scan::Read;

/// Returns whether a snapshot records what is at `name` in the agent's `.git`.
pub(crate) fn records_of_git(name: &[u8]) -> bool {
    scan::records_of_git(name)
}

/// What to capture and how.
#[derive(Clone, Debug)]
pub(crate) struct CaptureSpec<'a> {
    pub(crate) tree: &'a Path,
    /// The stat cache of the last capture; read, and rewritten by [`capture`] under `Access::Write`.
    pub(crate) seen: &'a Path,
    /// The commit whose `.gitignore` files count.
    pub(crate) base: Option<Oid>,
    pub(crate) limits: &'a config::Capture,
    /// The user's global excludes file.
    pub(crate) excludes: Option<&'a Path>,
    /// Paths that stead itself brought in: always captured, ignored or not.
    pub(crate) brought: &'a [PathBuf],
    /// Nobody else can write to the tree meanwhile: what was written shortly before need not be read again next time.
    pub(crate) alone: bool,
    /// Threads for one tree.
    pub(crate) threads: usize,
}

/// The state of a tree at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// The commit; zero for one that was only taken in memory.
    pub(crate) commit: Oid,
    /// The root tree (files, meta, gitdir): the identity of the content, printed as the snapshot's id.
    pub(crate) id: Oid,
    /// The tree `files/`.
    pub(crate) files: Oid,
    pub(crate) meta: Meta,
    /// What is ignored and not part of it, the topmost paths only; not known of one that was read back.
    pub(crate) ignored: Vec<Vec<u8>>,
}

/// Records the tree in the store (in memory only under `Access::Read`). Follows no link, blocks on nothing.
///
/// Under `Access::Write` everything is on disk, durably, when it returns; a tree that is as the last capture found it
/// is the same commit again.
pub(crate) fn capture(store: &Store, spec: &CaptureSpec<'_>, progress: &dyn Progress) -> Result<Snapshot> {
    let captured = jiff::Timestamp::now();
    let mut seen = Seen::read(spec.seen);
    if !seen.root().is_zero() && !store.repository().odb()?.exists(seen.root()) {
        seen = Seen::default();
    }
    let tree = walk::open(spec.tree)?;
    let top = walk::attributes_of(&tree).with_context(|| format!("cannot read `{}`", spec.tree.display()))?;
    let base = spec.base.and_then(|base| Some(store.repository().find_commit(base).ok()?.tree_id()));
    let excludes = spec.excludes.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    let scan = Scan {
        seen: &seen,
        limits: spec.limits,
        rules: seen_rules(&excludes, base),
        global: Patterns::parse(&excludes),
        brought: spec.brought,
        known: Mutex::new(store.reopen()?),
        device: top.device,
        progress,
        meta: Mutex::default(),
        directories: Mutex::new(vec![(Vec::new(), top.mode)]),
        ignored: Mutex::default(),
        writer: Mutex::default(),
        tops: Mutex::default(),
        files: AtomicU64::new(0),
        budget: Budget::new(spec.limits.max_new, store.access(), store.read()),
        gitdir_names: AtomicUsize::new(0),
        module_names: AtomicUsize::new(0),
        differs: AtomicBool::new(false),
        cancelled: AtomicBool::new(false),
    };
    let mut meta = Meta::default();
    let mut jobs = Vec::new();
    match walk::open_in(&tree, b".git") {
        Ok(directory) => {
            let top = Top { kind: TopKind::GitDir, path: Vec::new() };
            jobs.push(Job::Top { top, directory, base: None, depth: 1 });
        }
        Err(error) => {
            if let Ok(Some(attributes)) = walk::attributes(&tree, b".git") {
                match attributes.kind {
                    FileType::Directory => meta.unreadable.push((b".git".to_vec(), reason(&error))),
                    FileType::Symlink => meta.special.push((b".git".to_vec(), "a link".to_owned())),
                    _ => meta.special.push((b".git".to_vec(), "not a directory".to_owned())),
                }
            }
        }
    }
    jobs.push(Job::Top { top: Top { kind: TopKind::Files, path: Vec::new() }, directory: tree, base, depth: 0 });
    let mut written = Ok(());
    walk::work(
        spec.threads,
        jobs,
        |job, queue, out| scan.run(job, queue, out),
        |Object { id, kind, content }| {
            if written.is_ok() {
                written = store.write_unknown(id, kind, content);
                scan.budget.note_taking();
                if written.is_err() {
                    scan.cancelled.store(true, Ordering::Relaxed);
                }
            }
        },
    );
    progress.finish(Phase::Scan);
    written?;
    progress::check(progress)?;
    let Scan { writer, tops, files, differs, meta: found, directories, ignored, budget, .. } = scan;
    store.set_read(budget.into_read());
    let poisoned = "no thread of the walk panicked, or its panic would have come through";
    let (writer, tops) = (writer.into_inner().expect(poisoned), tops.into_inner().expect(poisoned));
    let mut found = found.into_inner().expect(poisoned);
    found.special.append(&mut meta.special);
    found.unreadable.append(&mut meta.unreadable);
    found.has_modules = true;
    settle_modes(&mut found, &writer, files.into_inner());
    settle_dir_modes(&mut found, directories.into_inner().expect(poisoned));
    found.sort();
    let mut ignored = ignored.into_inner().expect(poisoned);
    ignored.sort();
    let root = assemble(store, &tops, found).with_context(|| format!("cannot capture `{}`", spec.tree.display()))?;
    let root = Snapshot { ignored, ..root };
    if store.access() == Access::Read {
        return Ok(root);
    }
    let known = seen.commit_of(root.id).filter(|commit| store.repository().find_commit(*commit).is_ok());
    let commit = match known {
        Some(commit) => commit,
        None => store.commit(root.id, &[], "snapshot")?,
    };
    store.flush()?;
    if known.is_none() || differs.into_inner() {
        let captured = if spec.alone { jiff::Timestamp::now() } else { captured };
        writer.write(spec.seen, captured, top.device, commit, root.id)?;
    }
    Ok(Snapshot { commit, ..root })
}

/// Reads a recorded snapshot back.
pub(crate) fn load(store: &Store, commit: Oid) -> Result<Snapshot> {
    let failed = || {
        Failure::new(Kind::Damaged, format_args!("cannot read the snapshot {commit} in `{}`", store.path().display()))
    };
    let repository = store.repository();
    let read = || -> Result<Snapshot> {
        let tree = repository.find_commit(commit)?.tree()?;
        let entry = |name: &str| tree.get_name(name).map(|entry| entry.id());
        let files = entry("files").context("it has no files")?;
        let meta = repository.find_blob(entry("meta").context("it has no meta")?)?;
        let meta = Meta::decode(meta.content())?;
        Ok(Snapshot { commit, id: tree.id(), files, meta, ignored: Vec::new() })
    };
    read().with_context(failed)
}

/// Returns what stands for the rules from outside of the tree.
fn seen_rules(excludes: &[u8], base: Option<Oid>) -> Vec<u8> {
    [base.as_ref().map_or(&[][..], Oid::as_bytes), excludes].concat()
}

/// Makes the trees of nested repositories, innermost first, and then that of the tree itself.
fn assemble(store: &Store, tops: &[(Top, Option<Oid>)], mut meta: Meta) -> Result<Snapshot> {
    let of = |kind: TopKind| {
        let all = tops.iter().filter(move |(top, _)| top.kind == kind);
        all.filter_map(|(top, tree)| Some((top.path.as_slice(), (*tree)?))).collect::<HashMap<&[u8], Oid>>()
    };
    let (trees, gitdirs) = (of(TopKind::Files), of(TopKind::GitDir));
    let mut nested: Vec<(&[u8], Oid)> =
        trees.iter().filter(|(path, _)| !path.is_empty()).map(|(path, files)| (*path, *files)).collect();
    nested.sort_unstable_by_key(|(path, _)| (std::cmp::Reverse(path.len()), *path));
    for (path, files) in nested {
        let below = meta.below(path);
        let id = root(store, files, gitdirs.get(path).copied(), &below)?;
        let entry = (path.to_vec(), id);
        let at = meta.nested.binary_search(&entry).unwrap_or_else(|at| at);
        meta.nested.insert(at, entry);
        // The sub-snapshot has these; what is not recorded stays named here too.
        let is_below = |other: &[u8]| other.strip_prefix(path).is_some_and(|rest| rest.starts_with(b"/"));
        meta.modes.retain(|(other, _)| !is_below(other));
        meta.dir_modes.retain(|(other, _)| !is_below(other));
        meta.git_modes.retain(|(other, _)| !is_below(other));
        meta.empty_dirs.retain(|other| !is_below(other));
    }
    let files = trees.get(&b""[..]).copied().context("it cannot be read")?;
    let id = root(store, files, gitdirs.get(&b""[..]).copied(), &meta)?;
    Ok(Snapshot { commit: Oid::ZERO_SHA1, id, files, meta, ignored: Vec::new() })
}

fn root(store: &Store, files: Oid, gitdir: Option<Oid>, meta: &Meta) -> Result<Oid> {
    let meta = store.write(ObjectType::Blob, meta.encode())?;
    let mut tree = Vec::new();
    let mut add = |mode_and_name: &str, id: Oid| {
        tree.extend_from_slice(mode_and_name.as_bytes());
        tree.push(0);
        tree.extend_from_slice(id.as_bytes());
    };
    add("40000 files", files);
    if let Some(gitdir) = gitdir {
        add("40000 gitdir", gitdir);
    }
    add("100644 meta", meta);
    store.write(ObjectType::Tree, tree)
}

/// Returns whether a path in a tree is a `.git` or below one.
pub(crate) fn is_in_git(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|component| component == b".git")
}

/// Where most files have other permissions than 0644 and 0755 (another umask), names those once and lists the rest.
fn settle_modes(meta: &mut Meta, writer: &seen::Writer, files: u64) {
    if (meta.modes.len() as u64) * 2 <= files {
        return;
    }
    let most = |kind: EntryKind, usual: u32| {
        let mut counts = BTreeMap::new();
        writer.each(|path, entry| {
            if entry.kind == kind && !is_in_git(path) {
                *counts.entry(entry.mode).or_insert(0_u64) += 1;
            }
        });
        counts.into_iter().max_by_key(|(_, count)| *count).map_or(usual, |(mode, _)| mode)
    };
    let plain = (most(EntryKind::File, PLAIN.0), most(EntryKind::Program, PLAIN.1));
    meta.plain = Some(plain);
    meta.modes.clear();
    writer.each(|path, entry| {
        let differs = match entry.kind {
            EntryKind::File => entry.mode != plain.0,
            EntryKind::Program => entry.mode != plain.1,
            _ => false,
        };
        if differs && !is_in_git(path) {
            let path = if path.is_empty() { entry.name.to_vec() } else { [path, b"/", entry.name].concat() };
            meta.modes.push((path, entry.mode));
        }
    });
}

/// Does the same for directories. One that could not be opened is listed in any case: nothing else tells that it is one.
fn settle_dir_modes(meta: &mut Meta, directories: Vec<(Vec<u8>, u32)>) {
    let mut counts = BTreeMap::new();
    for (_, mode) in &directories {
        *counts.entry(*mode).or_insert(0_usize) += 1;
    }
    let usual = counts.get(&PLAIN_DIR).copied().unwrap_or_default();
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    let plain = most.filter(|_| usual * 2 < directories.len()).map_or(PLAIN_DIR, |(mode, _)| mode);
    let unreadable: HashSet<&[u8]> = meta.unreadable.iter().map(|(path, _)| path.as_slice()).collect();
    let listed = directories.into_iter().filter(|(path, mode)| *mode != plain || unreadable.contains(path.as_slice()));
    meta.dir_modes = listed.collect();
    meta.plain_dir = Some(plain);
}

#[cfg(test)]
mod tests;
