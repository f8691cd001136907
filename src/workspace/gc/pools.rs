//! Pools that nothing refers to.
//!
//! A record names its pool, and so do the records in staging and in the trash. A pool is removed under its own lock,
//! which a fetch holds, and not while anything is under construction or shortly after a fetch: a workspace in the making
//! has no record yet.

use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};

use crate::error::Result;
use crate::progress::Progress;
use crate::store::fs::{self, Durability};
use crate::store::lease::{Holder, Lease};
use crate::store::root::{Root, read_small};
use crate::store::staging::{self, Staging};
use crate::workspace::record;

/// Longer than it takes from the end of a fetch to the beginning of a staging directory.
const RECENT: SignedDuration = SignedDuration::from_mins(10);

/// A pool on its way out; holds its lock.
pub(super) struct PoolRemoval {
    pub(super) key: String,
    path: PathBuf,
    _lease: Lease,
}

/// Returns the pools that nothing refers to but what is `leaving` the trash (ids of entries).
pub(super) fn unreferenced(root: &Root, leaving: &[String], now: Timestamp) -> Result<Vec<PoolRemoval>> {
    let mut found = Vec::new();
    if staging::dead(root)?.len() < fs::entries(&root.staging())?.len() {
        return Ok(found);
    }
    for path in fs::entries(&root.pools())? {
        let Some(key) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".git"))
        else {
            continue;
        };
        let lock = root.pools().join(format!("{key}.lock"));
        // Taking the lock writes a new time, so the last one is read first.
        let last = Holder::last(&lock)?.map(|holder| holder.since);
        if last.is_some_and(|last| now.duration_since(last).abs() < RECENT) || is_referenced(root, key, leaving)? {
            continue;
        }
        let Some(lease) = Lease::try_acquire(&lock, "gc")? else { continue };
        if !is_referenced(root, key, leaving)? {
            found.push(PoolRemoval { key: key.to_owned(), path: path.clone(), _lease: lease });
        }
    }
    Ok(found)
}

impl PoolRemoval {
    /// Removes it unless something refers to it by now; returns whether it did.
    pub(super) fn apply(self, root: &Root, progress: &dyn Progress) -> Result<bool> {
        if is_referenced(root, &self.key, &[])? {
            return Ok(false);
        }
        // Whole or not at all: half a pool would look like a damaged one.
        let staging = Staging::create(root)?;
        let aside = staging.path().join("pool");
        fs::publish(&self.path, &aside, Durability::Lazy)
            .with_context(|| format!("cannot remove the pool `{}`", self.key))?;
        fs::remove_tree(&aside, progress)?;
        Ok(true)
    }
}

/// Returns whether any record names the pool, wherever the record is, or any store borrows from it: a record that is lost is
/// made anew from the store. The text is searched, so that records that are damaged or newer than this program count as well.
fn is_referenced(root: &Root, key: &str, leaving: &[String]) -> Result<bool> {
    let mut records: Vec<PathBuf> = Vec::new();
    for user in fs::entries(&root.path().join("state"))? {
        records.extend(fs::entries_of_directory(&user)?.iter().flat_map(|state| names_pool(state)));
    }
    for entry in fs::entries(&root.trash())? {
        if !leaving.iter().any(|id| entry.file_name().is_some_and(|name| name == id.as_str())) {
            records.extend(names_pool(&entry.join("state")));
        }
    }
    for staging in fs::entries(&root.staging())? {
        records.extend(fs::entries_of_directory(&staging)?.into_iter().map(|part| part.join(record::FILE)));
    }
    for record in records {
        if read_small(&record).map_or(true, |text| text.is_some_and(|text| text.contains(key))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the files of a state that name its pool.
fn names_pool(state: &Path) -> [PathBuf; 2] {
    [state.join(record::FILE), state.join("store.git/objects/info/alternates")]
}
