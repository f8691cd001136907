//! What was taken away between two snapshots and no change to a file tells: refs, stash entries, nested repositories, and what
//! is only named because it is ignored or could not be read.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use git2::Repository;

use crate::error::Result;
use crate::git::meta::Meta;
use crate::git::recorded::{is_at_or_below, is_covered, join};
use crate::git::repository::Store;
use crate::git::snapshot::{Snapshot, is_in_git};
use crate::git::{Oid, gitdir};

/// What only copies a remote, or is a trace of an operation of git's own.
const OF_NO_ACCOUNT: [&str; 5] =
    ["refs/remotes/", "refs/bisect/", "refs/rewritten/", "refs/prefetch/", "refs/worktree/"];

/// So long histories are looked through; whatever has moved is told after that.
const LONGEST: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Gone {
    pub(crate) refs: Vec<RefGone>,
    pub(crate) paths: Vec<(Vec<u8>, Was)>,
}

/// A ref, a stash entry or a detached HEAD that no longer leads to where it did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RefGone {
    pub(crate) name: String,
    pub(crate) old: Oid,
    /// Where it leads instead; `None` where it is not there or cannot be read.
    pub(crate) new: Option<Oid>,
}

/// What something was that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Was {
    Nested,
    NewlyIgnored,
    Unrecorded,
}

/// Returns what `before` had and `after` has not. What is hidden from `after` is not gone, as far as anybody knows.
pub(crate) fn between(store: &Store, before: &Snapshot, after: &Snapshot) -> Result<Gone> {
    Ok(Gone { refs: refs(store.repository(), before, after)?, paths: paths(store.repository(), before, after)? })
}

fn paths(repository: &Repository, before: &Snapshot, after: &Snapshot) -> Result<Vec<(Vec<u8>, Was)>> {
    let files = repository.find_tree(after.files).context("cannot read a snapshot")?;
    let named = named(&after.meta, &after.ignored);
    let is_there = |path: &[u8]| {
        let below = join(path, b"");
        let mut below = named.range::<[u8], _>((Bound::Included(below.as_slice()), Bound::Unbounded));
        is_covered(path, |top| named.contains(top))
            || below.next().is_some_and(|found| is_at_or_below(found, path))
            || files.get_path(Path::new(OsStr::from_bytes(path))).is_ok()
    };
    let hidden: BTreeSet<&[u8]> = {
        let meta = &after.meta;
        let unreadable = meta.unreadable.iter().map(|(path, _)| path.as_slice());
        unreadable.chain(meta.newly_ignored.iter().chain(&after.ignored).map(Vec::as_slice)).collect()
    };
    let known: BTreeSet<&[u8]> = before.meta.nested.iter().map(|(path, _)| path.as_slice()).collect();
    let still: BTreeSet<&[u8]> = after.meta.nested.iter().map(|(path, _)| path.as_slice()).collect();
    // One that was moved is named where it is now.
    let moved: BTreeSet<Oid> =
        after.meta.nested.iter().filter(|(path, _)| !known.contains(path.as_slice())).map(|(_, id)| *id).collect();
    let mut gone = Vec::new();
    for (path, id) in &before.meta.nested {
        if !still.contains(path.as_slice()) && !moved.contains(id) && !is_covered(path, |top| hidden.contains(top)) {
            gone.push((path.clone(), Was::Nested));
        }
    }
    let ignored = before.meta.newly_ignored.iter().filter(|path| !is_there(path));
    gone.extend(ignored.map(|path| (path.clone(), Was::NewlyIgnored)));
    let unreadable = before.meta.unreadable.iter().map(|(path, _)| path);
    let unreadable = unreadable.filter(|path| !is_in_git(path) && !is_there(path));
    gone.extend(unreadable.map(|path| (path.clone(), Was::Unrecorded)));
    Ok(gone)
}

/// Returns all that a snapshot names and holds no file of.
fn named<'a>(meta: &'a Meta, ignored: &'a [Vec<u8>]) -> BTreeSet<&'a [u8]> {
    let plain = meta.newly_ignored.iter().chain(&meta.empty_dirs).chain(ignored).map(Vec::as_slice);
    let nested = meta.nested.iter().map(|(path, _)| path.as_slice());
    let large = meta.too_large.iter().map(|(path, _)| path.as_slice());
    let other = meta.special.iter().chain(&meta.unreadable).map(|(path, _)| path.as_slice());
    plain.chain(nested).chain(large).chain(other).collect()
}

fn refs(repository: &Repository, before: &Snapshot, after: &Snapshot) -> Result<Vec<RefGone>> {
    let (old, new) = (gitdir_of(repository, before)?, gitdir_of(repository, after)?);
    if old == new {
        return Ok(Vec::new());
    }
    let read = |id: Option<Oid>| id.map_or_else(|| Ok(BTreeMap::new()), |id| gitdir::all_refs(repository, id));
    let (old, new) = (read(old)?, read(new)?);
    let hidden: BTreeSet<&[u8]> = {
        let meta = &after.meta;
        let large = meta.too_large.iter().map(|(path, _)| path.as_slice());
        large.chain(meta.special.iter().chain(&meta.unreadable).map(|(path, _)| path.as_slice())).collect()
    };
    let until = Instant::now() + LONGEST;
    let none = BTreeMap::new();
    let mut gone = Vec::new();
    for (module, old) in &old {
        let prefix = if module.is_empty() { String::new() } else { format!("{module}/") };
        let is_hidden = |file: &str| is_covered(format!(".git/{prefix}{file}").as_bytes(), |top| hidden.contains(top));
        let found = refs_of(repository, old, new.get(module).unwrap_or(&none), until, is_hidden);
        gone.extend(found.into_iter().map(|one| RefGone { name: format!("{prefix}{}", one.name), ..one }));
    }
    Ok(gone)
}

/// Returns what one git directory has no more. A submodule's whose git directory is gone has nothing any more.
fn refs_of(
    repository: &Repository,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    until: Instant,
    is_hidden: impl Fn(&str) -> bool,
) -> Vec<RefGone> {
    let stash_hidden = is_hidden("logs/refs/stash");
    let packed_hidden = is_hidden("packed-refs");
    let is_stash = |name: &str| name.starts_with("stash@") || name == "refs/stash";
    let stashed: BTreeSet<&String> = new.iter().filter(|(name, _)| is_stash(name)).map(|(_, id)| id).collect();
    let mut told = BTreeSet::new();
    let mut gone = Vec::new();
    // An entry of the stash comes before the ref that is the same.
    for (name, value) in old.iter().rev().filter(|(name, value)| new.get(*name) != Some(value)) {
        let Ok(was) = value.parse::<Oid>() else { continue };
        if is_stash(name) {
            if !stashed.contains(value) && !stash_hidden && told.insert(was) {
                gone.push(RefGone { name: name.clone(), old: was, new: None });
            }
            continue;
        }
        if OF_NO_ACCOUNT.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let now = new.get(name).and_then(|value| resolve(new, value));
        let is_kept = match now {
            None => is_hidden(name) || packed_hidden,
            Some(now) => Instant::now() < until && contains(repository, now, was),
        };
        // Work on a detached HEAD may have got a branch meanwhile.
        if !is_kept && (name != "HEAD" || !is_reached(repository, new, was)) {
            gone.push(RefGone { name: name.clone(), old: was, new: now });
        }
    }
    gone.reverse();
    gone
}

fn gitdir_of(repository: &Repository, snapshot: &Snapshot) -> Result<Option<Oid>> {
    let root = repository.find_tree(snapshot.id).context("cannot read a snapshot")?;
    Ok(root.get_name("gitdir").map(|entry| entry.id()))
}

/// Returns the id that a value of a ref leads to, by way of one other ref at most.
fn resolve(refs: &BTreeMap<String, String>, value: &str) -> Option<Oid> {
    let value = match value.strip_prefix("ref:") {
        Some(name) => refs.get(name.trim())?,
        None => value,
    };
    value.parse().ok()
}

/// Returns whether the history of `now` has `was`; not where either is not in the store.
fn contains(repository: &Repository, now: Oid, was: Oid) -> bool {
    let commit = |id: Oid| Some(repository.find_object(id, None).ok()?.peel_to_commit().ok()?.id());
    let (Some(now), Some(was)) = (commit(now), commit(was)) else { return now == was };
    now == was || repository.graph_descendant_of(now, was).unwrap_or(false)
}

/// Returns whether any ref reaches `was`.
fn is_reached(repository: &Repository, refs: &BTreeMap<String, String>, was: Oid) -> bool {
    let walk = || -> Result<bool, git2::Error> {
        let mut walk = repository.revwalk()?;
        walk.push(was)?;
        for id in refs.values().filter_map(|value| value.parse::<Oid>().ok()) {
            // What is no commit, or not in the store, reaches nothing.
            drop(walk.hide(id));
        }
        Ok(walk.next().is_none())
    };
    walk().unwrap_or(false)
}
