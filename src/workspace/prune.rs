//! Letting go of old snapshots, so that a store does not grow for ever.
//!
//! Kept are: the last [`LAST`] runs; older ones for [`AGE`], the newest first, as far as `[capture] keep_size` goes; what was
//! replaced by a sync likewise, but the last of its kind and what was delivered in any case; and for ever the first snapshot and
//! all commits (`refs/kept`).
//!
//! The objects of what is kept get into a new directory, which is exchanged for the old one when it is on disk: at every moment
//! all that an object names is there, which is what an import goes by. A reader at the same time has the old
//! files open, or does not find them, looks again and finds the new ones. Only the holder of the lease writes to a store.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;

use crate::config::Config;
use crate::error::Result;
use crate::git::repository::{Access, Store};
use crate::git::{reach, repack};
use crate::progress::Silent;
use crate::store::fs;
use crate::store::walk;
use crate::workspace::{LeasedWorkspace, Workspace};

/// So many runs are kept whatever their age and size.
const LAST: usize = 20;
const AGE: Duration = Duration::from_hours(30 * 24);

/// How long the state before a run is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// At most until then; `None` while it is one of the last.
    pub(crate) until: Option<Timestamp>,
}

/// What was let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    pub(crate) snapshots: usize,
    /// Bytes that the store is smaller.
    pub(crate) bytes: u64,
}

/// Returns the runs whose state before is kept, by their ids.
pub(crate) fn kept(workspace: &Workspace) -> Result<BTreeMap<String, Kept>> {
    let Ok(store) = workspace.store(Access::Read) else { return Ok(BTreeMap::new()) };
    let ids = runs(&store)?;
    let last = ids.len().saturating_sub(LAST);
    let until = |id: &str| time(id).and_then(|time| time.checked_add(AGE).ok());
    Ok(ids
        .into_iter()
        .enumerate()
        .map(|(number, id)| {
            let until = if number < last { until(&id) } else { None };
            (id, Kept { until })
        })
        .collect())
}

/// Returns how long what an apply needs to be taken back is kept.
pub(crate) fn kept_apply(id: &str, is_last: bool) -> Kept {
    Kept { until: if is_last { None } else { time(id).and_then(|time| time.checked_add(AGE).ok()) } }
}

/// Returns whether there may be enough to win, by a look at every so many runs.
pub(crate) fn is_due(workspace: &Workspace, config: &Config) -> bool {
    let Ok(runs) = fs::entries(&workspace.runs()) else { return false };
    runs.len() > LAST && runs.len().is_multiple_of(LAST) && has_much(workspace, config)
}

/// Returns whether the store is well above its budget, or keeps runs that are over their age.
pub(crate) fn has_much(workspace: &Workspace, config: &Config) -> bool {
    let Ok(kept) = kept(workspace) else { return false };
    let now = Timestamp::now();
    let size = walk::usage(&workspace.state().join("store.git"), 1).bytes;
    kept.len() > LAST
        && (kept.values().any(|kept| kept.until.is_some_and(|until| until < now))
            || size > config.capture.keep_size.saturating_add(config.capture.keep_size / 4))
}

/// Lets go of what is not to be kept, now.
pub(crate) fn prune(workspace: &LeasedWorkspace, keep_size: u64, now: Timestamp) -> Result<Pruned> {
    let store = workspace.store(Access::Write)?;
    let dropped = choose(workspace, &store, keep_size, now)?;
    let ids = dropped.iter().filter_map(|name| name.strip_prefix("refs/runs/")?.split('/').next());
    // Before the refs go: nobody would know of it any more.
    for id in ids.collect::<HashSet<_>>() {
        forget(&workspace.runs().join(id), time(id).is_none_or(|time| is_old(time, now)))?;
    }
    for name in &dropped {
        let mut reference = store.repository().find_reference(name).with_context(|| format!("cannot read `{name}`"))?;
        reference.delete().with_context(|| format!("cannot remove `{name}`"))?;
    }
    let path = workspace.state().join("store.git");
    let before = walk::usage(&path, 1).bytes;
    repack::repack(&store)?;
    let bytes = before.saturating_sub(walk::usage(&path, 1).bytes);
    Ok(Pruned { snapshots: dropped.len(), bytes })
}

/// Returns the refs that are not to be kept.
fn choose(workspace: &Workspace, store: &Store, keep_size: u64, now: Timestamp) -> Result<Vec<String>> {
    let repository = store.repository();
    let ids = runs(store)?;
    let last: HashSet<&String> = ids.iter().rev().take(LAST).collect();
    let delivered: HashSet<&str> = workspace.record.deliveries.iter().map(|one| one.commit.as_str()).collect();
    let mut size = reach::Walk::new(store)?;
    let (mut always, mut aging) = (Vec::new(), Vec::new());
    for reference in repository.references().context("cannot list the refs of a store")? {
        let reference = reference.context("cannot read a ref of a store")?;
        let (Ok(name), Some(target)) = (reference.name().map(str::to_owned), reference.target()) else { continue };
        let id = name.strip_prefix("refs/runs/").and_then(|rest| rest.split('/').next());
        let stamp = ["refs/backups/", "refs/applied/", "refs/applies/"].iter().find_map(|top| name.strip_prefix(top));
        match (id, stamp) {
            (Some(id), _) if last.contains(&id.to_owned()) => always.push(target),
            (Some(id), _) => aging.push((id.to_owned(), name.clone(), target)),
            (None, Some(_)) if delivered.contains(target.to_string().as_str()) => always.push(target),
            (None, Some(stamp)) => aging.push((stamp.to_owned(), name.clone(), target)),
            (None, None) => always.push(target),
        }
    }
    // The newest first; both refs of a run go or stay together.
    aging.sort();
    aging.reverse();
    for target in always {
        size.add(target)?;
    }
    let mut newest: HashSet<&str> = HashSet::new();
    let mut dropped = Vec::new();
    let mut full: Option<String> = None;
    for (id, name, target) in &aging {
        let kind = name.split('/').nth(1).unwrap_or_default();
        let is_last = kind != "runs" && newest.insert(kind);
        let too_old = time(id).is_some_and(|time| is_old(time, now));
        if !is_last && (too_old || full.as_ref().is_some_and(|full| full != id)) {
            dropped.push(name.clone());
            continue;
        }
        size.add(*target)?;
        if size.bytes() > keep_size && full.is_none() {
            full = Some(id.clone());
        }
    }
    Ok(dropped)
}

/// Removes what is large of a run that cannot be undone any more; its output too when it is old.
fn forget(directory: &Path, is_old: bool) -> Result<()> {
    for entry in fs::entries(directory)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("git") || (is_old && matches!(name.as_str(), "out" | "err" | "aside")) {
            fs::remove_tree(&entry, &Silent)?;
        }
    }
    Ok(())
}

/// Returns the ids of the runs whose state before is kept, the oldest first.
fn runs(store: &Store) -> Result<Vec<String>> {
    let references = store.repository().references_glob("refs/runs/*").context("cannot list the refs of a store")?;
    let mut ids: Vec<String> = references
        .flatten()
        .filter_map(|reference| {
            Some(reference.name().ok()?.strip_prefix("refs/runs/")?.strip_suffix("/before")?.to_owned())
        })
        .collect();
    ids.sort();
    Ok(ids)
}

/// Returns the time with which an id begins.
pub(crate) fn time(id: &str) -> Option<Timestamp> {
    let time = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", id.get(..15)?).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// A time in the future is not old.
fn is_old(time: Timestamp, now: Timestamp) -> bool {
    time.checked_add(AGE).is_ok_and(|until| until < now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::{ObjectType, Oid};
    use crate::store::lease::Wait;
    use crate::workspace::tests::{place, plain};

    const SIZE: u64 = 100_000;

    /// A snapshot with one file that nothing makes smaller.
    fn snapshot(store: &Store, number: u64) -> Oid {
        let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let noise: Vec<u8> = (0..SIZE)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect();
        let tree = |entries: &[(&str, Oid)]| {
            let entry = |(name, id): &(&str, Oid)| [name.as_bytes(), b"\0", id.as_bytes()].concat();
            store.write(ObjectType::Tree, entries.iter().flat_map(entry).collect()).unwrap()
        };
        let blob = store.write(ObjectType::Blob, noise).unwrap();
        let meta = store.write(ObjectType::Blob, b"stead meta 1\0".to_vec()).unwrap();
        let root = tree(&[("40000 files", tree(&[("100644 noise", blob)])), ("100644 meta", meta)]);
        store.commit(root, &[], &number.to_string()).unwrap()
    }

    fn id(day: u64, number: u64) -> String {
        format!("202601{day:02}-12{:02}{:02}-0000", number / 60, number % 60)
    }

    fn make(workspace: &LeasedWorkspace, count: u64) -> Store {
        let path = workspace.state().join("store.git");
        let store = Store::create(&path, None).unwrap();
        store.set_ref("refs/created", snapshot(&store, 1000)).unwrap();
        for number in [1001, 1002] {
            let kept = snapshot(&store, number);
            store.set_ref(&format!("refs/kept/{kept}"), kept).unwrap();
        }
        for number in 0..count {
            let commit = snapshot(&store, number);
            store.set_ref(&format!("refs/runs/{}/before", id(10, number)), commit).unwrap();
            store.set_ref(&format!("refs/runs/{}/after", id(10, number)), snapshot(&store, number + 1)).unwrap();
        }
        store
    }

    fn whole(workspace: &Workspace) -> usize {
        let store = workspace.store(Access::Read).unwrap();
        let mut walk = reach::Walk::new(&store).unwrap();
        let mut count = 0;
        for reference in store.repository().references().unwrap() {
            walk.add(reference.unwrap().target().unwrap()).unwrap();
            count += 1;
        }
        count
    }

    #[test]
    fn a_store_stays_within_its_budget_and_keeps_the_last_runs_and_all_commits() {
        let (_dir, at) = place();
        let workspace = plain(&at, "x").lease("gc", Wait::No).unwrap();
        drop(make(&workspace, 100));
        let now: Timestamp = "2026-01-11T00:00:00Z".parse().unwrap();
        // Enough for all.
        assert_eq!(prune(&workspace, 200 * SIZE, now).unwrap().snapshots, 0);
        assert_eq!(kept(&workspace).unwrap().len(), 100);
        let pruned = prune(&workspace, 40 * SIZE, now).unwrap();
        let left = kept(&workspace).unwrap();
        assert_eq!(pruned.snapshots, 2 * (100 - left.len()));
        assert!((36..=40).contains(&left.len()), "{}", left.len());
        let objects = workspace.state().join("store.git/objects");
        assert!(walk::usage(&objects, 1).bytes < 45 * SIZE, "no more than the budget");
        assert!(left.contains_key(&id(10, 99)) && !left.contains_key(&id(10, 0)));
        assert_eq!(left.values().filter(|kept| kept.until.is_none()).count(), LAST);
        assert_eq!(whole(&workspace), 3 + 2 * left.len());
        // Less than the last runs take.
        prune(&workspace, 1, now).unwrap();
        let left = kept(&workspace).unwrap().len();
        assert!((LAST..=LAST + 1).contains(&left), "{left}");
        assert_eq!(whole(&workspace), 3 + 2 * left);
    }

    #[test]
    fn what_is_older_than_its_age_goes_and_nothing_does_by_a_clock_that_is_behind() {
        let (_dir, at) = place();
        let workspace = plain(&at, "x").lease("gc", Wait::No).unwrap();
        drop(make(&workspace, 30));
        let runs = workspace.runs();
        std::fs::create_dir_all(runs.join(id(10, 0)).join("git.1")).unwrap();
        std::fs::File::create(runs.join(id(10, 0)).join("run.toml")).unwrap();
        prune(&workspace, u64::MAX, "2020-01-01T00:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(kept(&workspace).unwrap().len(), 30);
        prune(&workspace, u64::MAX, "2026-03-01T00:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(kept(&workspace).unwrap().len(), LAST);
        assert!(runs.join(id(10, 0)).join("run.toml").exists() && !runs.join(id(10, 0)).join("git.1").exists());
    }

    #[test]
    fn a_reader_from_before_reads_on_and_what_was_cut_off_is_begun_again() {
        let (_dir, at) = place();
        let workspace = plain(&at, "x").lease("gc", Wait::No).unwrap();
        drop(make(&workspace, 25));
        let reader = workspace.store(Access::Read).unwrap();
        let commit = reader.repository().refname_to_id(&format!("refs/runs/{}/before", id(10, 24))).unwrap();
        // As a kill before the exchange, and one behind it, would leave it.
        std::fs::create_dir_all(workspace.state().join("store.git").join(repack::NEW).join("pack")).unwrap();
        prune(&workspace, 1, "2026-01-11T00:00:00Z".parse().unwrap()).unwrap();
        assert!(!workspace.state().join("store.git").join(repack::NEW).exists());
        assert!(crate::git::snapshot::load(&reader, commit).is_ok());
        assert!(reader.repository().find_commit(commit).unwrap().tree().is_ok());
    }
}
