//! Taking objects out of the agent's `.git` into the store: read beneath, verified by their own hash, complete or not at
//! all.
//!
//! An object is written after everything that it names, so an object that the store has is whole, and the walk stops there.
//! What inflates and follows deltas is a process of its own with less, [`helper`]; it is not believed, and not started where all
//! is known. The agent's alternates, `shallow` and indexes of packs are never trusted: what is not found beneath is missing, and
//! what is found must have the hash that it is asked for by.

mod dangling;
pub(super) mod delta;
pub(crate) mod helper;
mod objects;
mod own;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod reader;
mod structure;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use git2::{ObjectType, OdbLookupFlags};

use crate::error::Result;
use crate::git::Oid;
use crate::git::agentdir::{self, AgentRefs};
use crate::git::repository::{Access, Store};
use crate::store::beneath::Dir;
pub(crate) use own::own;
use reader::Reader;
use structure::{children, tree};

/// libgit2 compares trees by recursion, and ends the process where the stack does. No path on disk is so deep.
const MAX_DEPTH: usize = 1024;
/// A few small trees can name each other so often that to compare them has no end. No checkout has so many files.
const MAX_ENTRIES: u64 = 2_000_000;
/// So many next steps are looked through for objects to ask for ahead.
const LOOK_AHEAD: usize = 64;

/// What came over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Imported {
    pub(crate) refs: AgentRefs,
    /// Commits that the store did not know before, newest first; those that only stash entries are made of are no work of
    /// their own.
    pub(crate) commits: Vec<Oid>,
    /// Stash entries that it did not know before.
    pub(crate) stashes: Vec<Oid>,
    /// Tips that could not be imported whole, with the reason; they block collection.
    pub(crate) failed: Vec<(Oid, String)>,
}

/// Bounds of one import.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of all objects, unpacked, however few there are on disk.
    pub(crate) bytes: u64,
    /// The same, however many there are on disk.
    pub(crate) most: u64,
    /// The time for it, however few there are on disk.
    pub(crate) time: Duration,
    /// The same, however many there are on disk.
    pub(crate) longest: Duration,
}

/// What imports have taken so far of the bounds of one command.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    /// Bytes of all objects, unpacked.
    bytes: u64,
    time: Duration,
}

impl Bounds {
    /// Returns the bounds for who keeps what comes, and for who only looks: that is in memory, and somebody waits for it.
    pub(crate) fn of(access: Access) -> Self {
        let (bytes, time) = (256 << 20, Duration::from_secs(3));
        match access {
            Access::Read => Self { bytes, most: bytes, time, longest: time },
            Access::Write => Self { bytes, most: 4 << 30, time, longest: Duration::from_mins(2) },
        }
    }

    /// Returns the bounds of one import more in the command that `store` was opened for: half of the time at least, since
    /// the one before may have waited for others.
    pub(crate) fn left(store: &Store) -> Self {
        let bounds = Self::of(store.access());
        let time = bounds.time.saturating_sub(store.taken().time).max(bounds.time / 2);
        Self { time, ..bounds }
    }
}

/// Imports every tip of the `.git` in `tree` that the store lacks, and keeps each by `refs/kept/OID` (under
/// `Access::Write`; in memory only under `Access::Read`). Under `Access::Write` commits come along that only the log of HEAD
/// still names, or nothing does, and what only the index does.
pub(crate) fn import(store: &Store, tree: &Dir) -> Result<Imported> {
    let mut bad = Vec::new();
    match agentdir::git_dir(tree, &mut bad) {
        Some(git) => import_from(store, &git, Bounds::left(store)),
        None => Ok(Imported { refs: AgentRefs { bad, ..AgentRefs::default() }, ..Imported::default() }),
    }
}

/// Like [`import`], from a git directory that is at hand already, such as one of a submodule. All imports into one opened store
/// share the bytes.
pub(crate) fn import_from(store: &Store, git: &Dir, bounds: Bounds) -> Result<Imported> {
    let started = Instant::now();
    let refs = agentdir::refs_in(git);
    let stashed = refs.stashed();
    let mut tips = refs.tips();
    // Last, so that what is in a branch too is known by then.
    tips.sort_by_key(|tip| stashed.contains(tip));
    let mut walk = Walk::new(store, git, bounds);
    let mut failed = Vec::new();
    let mut stashes = Vec::new();
    for tip in &tips {
        let others = walk.commits.len();
        if let Err(stop) = walk.take(*tip)? {
            failed.push((*tip, stop));
        }
        if stashed.contains(tip) {
            stashes.extend(walk.take_stash(*tip, others));
        }
    }
    if store.access() == Access::Write {
        // Committed and dropped again since the last import. What is pruned by now is nobody's fault.
        for id in agentdir::logged(git) {
            if !walk.known(id)? && walk.take(id)?.is_ok() {
                tips.push(id);
            }
        }
    }
    let mut commits = walk.commits.clone();
    commits.reverse();
    if store.access() == Access::Write {
        // Nothing names these, so that they are kept but not told.
        for id in walk.dangling(git, &refs)? {
            if !walk.known(id)? && walk.take(id)?.is_ok() {
                tips.push(id);
            }
        }
        // A snapshot of the index keeps these.
        for id in agentdir::staged(git, |tree| walk.known(tree).unwrap_or_default()) {
            if !walk.known(id)? {
                // What is not there was missing to git itself.
                walk.take(id)?.ok();
            }
        }
    }
    if store.access() == Access::Write {
        let lost: HashSet<Oid> = failed.iter().map(|(tip, _)| *tip).collect();
        keep(store, &refs, &tips, &walk.written, &lost)?;
    }
    let time = store.taken().time + started.elapsed();
    store.take(Taken { bytes: walk.objects.taken(), time });
    Ok(Imported { refs, commits, stashes, failed })
}

/// Returns the ids of all objects in a git directory, by their names alone.
pub(crate) fn ids(git: &Dir) -> HashSet<Oid> {
    objects::Objects::open(git, 0).ids(usize::MAX).into_iter().collect()
}

/// Brings, in memory only, the commits that nothing but the log of HEAD names in a git directory, and those that nothing does;
/// returns them with what the log names and the store has already. The refs are to be imported first.
pub(crate) fn forgotten(store: &Store, git: &Dir) -> Result<Vec<Oid>> {
    let mut walk = Walk::new(store, git, Bounds::left(store));
    let mut found = Vec::new();
    for id in agentdir::logged(git) {
        if walk.known(id)? || walk.take(id)?.is_ok() {
            found.push(id);
        }
    }
    for id in walk.dangling(git, &agentdir::refs_in(git))? {
        if !walk.known(id)? && walk.take(id)?.is_ok() {
            found.push(id);
        }
    }
    anyhow::ensure!(!walk.objects.is_late(), reader::late());
    Ok(found)
}

/// Returns which of `ids` are neither in a git directory nor in the pool, by the names of objects alone.
pub(crate) fn lacking(git: &Dir, pool: Option<&Path>, ids: &BTreeSet<Oid>) -> Result<BTreeSet<Oid>> {
    let here = self::ids(git);
    let borrowed = git2::Odb::new().context("cannot open objects")?;
    if let Some(pool) = pool.and_then(|pool| pool.join("objects").to_str().map(str::to_owned)) {
        borrowed.add_disk_alternate(&pool).with_context(|| format!("cannot open `{pool}`"))?;
    }
    Ok(ids.iter().copied().filter(|id| !here.contains(id) && !borrowed.exists(*id)).collect())
}

/// Points `refs/kept/OID` at every tip that came over, and at the heads and stash entries that were known before: their
/// refs may be missing after a crash.
fn keep(store: &Store, refs: &AgentRefs, tips: &[Oid], written: &HashSet<Oid>, lost: &HashSet<Oid>) -> Result<()> {
    store.flush()?;
    let heads: HashSet<Oid> = refs
        .head_commit()
        .into_iter()
        .chain(refs.refs.iter().filter(|(name, _)| name.starts_with("refs/heads/")).map(|(_, id)| *id))
        .chain(refs.stash.iter().copied())
        .collect();
    let mut new = Vec::new();
    for tip in tips.iter().filter(|tip| !lost.contains(tip)) {
        let name = format!("refs/kept/{tip}");
        if (written.contains(tip) || heads.contains(tip)) && store.repository().refname_to_id(&name).is_err() {
            new.push((name, *tip));
        }
    }
    store.set_refs(new)
}

struct Walk<'a> {
    store: &'a Store,
    objects: Reader<'a>,
    written: HashSet<Oid>,
    /// Of the trees that were measured.
    extents: HashMap<Oid, Extent>,
    /// What cannot be whole, with the reason: many tips may lead there.
    refused: HashMap<Oid, String>,
    commits: Vec<Oid>,
    /// Commits before which the agent's own history is cut off, by its word.
    shallow: HashSet<Oid>,
}

/// How large a tree is once it is spread out.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    /// Trees below each other, itself included.
    height: usize,
    /// Entries of it and of all trees below.
    entries: u64,
}

impl Extent {
    fn check(self) -> Result<(), String> {
        if self.height > MAX_DEPTH {
            return Err(too_deep());
        }
        if self.entries > MAX_ENTRIES {
            return Err(format!("more than {MAX_ENTRIES} files in one tree"));
        }
        Ok(())
    }
}

/// An object and what it names.
type Object = (ObjectType, Vec<u8>, Vec<(Oid, ObjectType)>);

enum Step {
    /// The number of trees that this one is in.
    Enter(Oid, Option<ObjectType>, usize),
    /// Everything that the object names is in the store.
    Leave(Oid, ObjectType, Vec<u8>),
}

impl<'a> Walk<'a> {
    fn new(store: &'a Store, git: &'a Dir, bounds: Bounds) -> Self {
        Self {
            store,
            objects: Reader::new(git, bounds, store.taken().bytes),
            written: HashSet::new(),
            extents: HashMap::new(),
            refused: HashMap::new(),
            commits: Vec::new(),
            shallow: agentdir::shallow(git),
        }
    }

    /// Brings `tip` and all that it names; the inner error says why it cannot be whole.
    fn take(&mut self, tip: Oid) -> Result<Result<(), String>> {
        let mut stack = vec![Step::Enter(tip, None, 0)];
        let taken = self.walk(&mut stack)?;
        if let Err(reason) = &taken {
            for step in stack {
                if let Step::Leave(id, ..) = step {
                    self.refused.insert(id, reason.clone());
                }
            }
        }
        Ok(taken)
    }

    fn walk(&mut self, stack: &mut Vec<Step>) -> Result<Result<(), String>> {
        while let Some(step) = stack.pop() {
            if self.objects.is_late() {
                return Ok(Err(reader::late()));
            }
            match step {
                Step::Enter(id, expected, depth) => {
                    if self.known(id)? {
                        // What was brought earlier must not be piled up.
                        if expected == Some(ObjectType::Tree) {
                            self.measure(id);
                        }
                        continue;
                    }
                    if depth > MAX_DEPTH {
                        return Ok(Err(too_deep()));
                    }
                    let (kind, content, children) = match self.read(id, expected, stack) {
                        Ok(object) => object,
                        Err(reason) => {
                            self.refused.insert(id, reason.clone());
                            return Ok(Err(reason));
                        }
                    };
                    stack.push(Step::Leave(id, kind, content));
                    let below = if kind == ObjectType::Tree { depth + 1 } else { 0 };
                    stack.extend(children.into_iter().map(|(id, kind)| Step::Enter(id, Some(kind), below)));
                }
                Step::Leave(id, kind, content) => {
                    if kind == ObjectType::Tree {
                        let extent = self.extent(&content);
                        if let Err(reason) = extent.check() {
                            self.refused.insert(id, reason.clone());
                            return Ok(Err(reason));
                        }
                        self.extents.insert(id, extent);
                    }
                    self.store.write_known(id, kind, content)?;
                    self.written.insert(id);
                    if kind == ObjectType::Commit {
                        self.commits.push(id);
                    }
                }
            }
        }
        Ok(Ok(()))
    }

    /// Takes a stash entry, and the commits of index and untracked files that it is made of, out of the commits from `first`
    /// on; returns it when it was among them.
    fn take_stash(&mut self, entry: Oid, first: usize) -> Option<Oid> {
        // What was taken last is the tip itself.
        self.commits[first..].last().filter(|last| **last == entry)?;
        // The first of what it names is the commit that it was made on, which is work of its own.
        let named = self.read(entry, Some(ObjectType::Commit), &[]).map(|(_, _, named)| named).unwrap_or_default();
        let parts: HashSet<Oid> = named.into_iter().skip(1).map(|(id, _)| id).collect();
        let new = self.commits.split_off(first);
        self.commits.extend(new.into_iter().filter(|id| *id != entry && !parts.contains(id)));
        Some(entry)
    }

    /// Reads an object that must be of the kind and as git writes it, with what it names.
    fn read(&mut self, id: Oid, expected: Option<ObjectType>, next: &[Step]) -> Result<Object, String> {
        if let Some(reason) = self.refused.get(&id) {
            return Err(reason.clone());
        }
        let odb = self.store.repository().odb().map_err(|error| error.to_string())?;
        let (written, refused) = (&self.written, &self.refused);
        let ahead = next.iter().rev().take(LOOK_AHEAD).filter_map(|step| match step {
            Step::Enter(id, ..) => Some(*id),
            Step::Leave(..) => None,
        });
        let ahead = ahead.filter(|id| {
            !written.contains(id) && !refused.contains_key(id) && !odb.exists_ext(*id, OdbLookupFlags::NO_REFRESH)
        });
        let (kind, content) = match self.objects.read(id, ahead) {
            Ok(Some(object)) => object,
            Ok(None) => return Err(self.missing(id, next)),
            Err(reason) => return Err(format!("object {id}: {reason}")),
        };
        if expected.is_some_and(|expected| expected != kind) {
            return Err(format!("object {id} is a {kind}"));
        }
        if Oid::hash_object(kind, &content).map_err(|error| error.to_string())? != id {
            return Err(format!("object {id} is corrupt"));
        }
        let children = children(kind, &content).ok_or_else(|| format!("object {id} cannot be understood"))?;
        Ok((kind, content, children))
    }

    /// Returns the extent of a tree by those of the trees in it, as far as they were measured.
    fn extent(&self, tree_content: &[u8]) -> Extent {
        let mut extent = Extent { height: 1, entries: 0 };
        for (id, _) in tree(tree_content).into_iter().flatten() {
            let below = self.extents.get(&id).copied().unwrap_or_default();
            extent.height = extent.height.max(below.height + 1);
            extent.entries = extent.entries.saturating_add(1).saturating_add(below.entries);
        }
        extent
    }

    /// Measures a tree that the store has.
    fn measure(&mut self, id: Oid) {
        let mut stack = vec![(id, false)];
        while let Some((id, is_done)) = stack.pop() {
            if self.extents.contains_key(&id) {
                continue;
            }
            let content = self.store.repository().odb().and_then(|odb| Ok(odb.read(id)?.data().to_vec()));
            let content = content.unwrap_or_default();
            if is_done {
                let extent = self.extent(&content);
                self.extents.insert(id, extent);
                continue;
            }
            stack.push((id, true));
            let trees = tree(&content).into_iter().flatten().filter(|(_, kind)| *kind == ObjectType::Tree);
            stack.extend(trees.map(|(id, _)| (id, false)));
        }
    }

    /// Says that an object is missing, and why it may be: what asks for it is on the stack.
    fn missing(&self, id: Oid, stack: &[Step]) -> String {
        let child = stack.iter().rev().find_map(|step| match step {
            Step::Leave(id, kind, _) => Some((*id, *kind)),
            Step::Enter(..) => None,
        });
        match child {
            Some((child, ObjectType::Commit)) if self.shallow.contains(&child) => format!(
                "the history before {child} was not fetched (`git fetch --unshallow` in the workspace completes it)"
            ),
            _ => format!("object {id} is missing"),
        }
    }

    fn known(&self, id: Oid) -> Result<bool> {
        Ok(self.written.contains(&id) || self.store.repository().odb()?.exists_ext(id, OdbLookupFlags::NO_REFRESH))
    }
}

fn too_deep() -> String {
    format!("more than {MAX_DEPTH} directories in each other")
}

#[cfg(test)]
mod tests;
