//! Pools that nothing refers to.
//!
//! A record names its pool, and so do the records in staging and in the trash. A pool is removed under its own lock, which a
//! fetch holds, and under that of its directory, which everybody shares who uses it before a record of theirs is in its place.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::error::Result;
use crate::progress::Progress;
use crate::store::directory_lock::DirectoryLock;
use crate::store::fs::{self, Durability};
use crate::store::lease::Lease;
use crate::store::root::{Root, read_small};
use crate::store::staging::Staging;
use crate::workspace::record;

/// Returns the keys of the pools that nobody uses and nothing refers to but what is `leaving` the trash (ids of entries).
pub(super) fn unreferenced(root: &Root, leaving: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in fs::entries(&root.pools())? {
        let Some(key) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".git"))
        else {
            continue;
        };
        let is_used = Lease::holder(&lock_of(root, key))?.is_some() || DirectoryLock::try_take(&path)?.is_none();
        if !is_used && !is_referenced(root, key, leaving)? {
            found.push(key.to_owned());
        }
    }
    Ok(found)
}

/// Removes a pool unless somebody uses it or something refers to it by now; returns whether it did.
pub(super) fn remove(root: &Root, key: &str, progress: &dyn Progress) -> Result<bool> {
    let path = root.pools().join(format!("{key}.git"));
    let Some(lease) = Lease::try_acquire(&lock_of(root, key), "gc")? else { return Ok(false) };
    let Some(alone) = DirectoryLock::try_take(&path)? else { return Ok(false) };
    if is_referenced(root, key, &[])? {
        return Ok(false);
    }
    // Whole or not at all: half a pool would look like a damaged one.
    let staging = Staging::create(root)?;
    let aside = staging.path().join("pool");
    fs::publish(&path, &aside, Durability::Lazy).with_context(|| format!("cannot remove the pool `{key}`"))?;
    // Whoever waits makes a new one.
    drop((alone, lease));
    fs::remove_tree(&aside, progress)?;
    Ok(true)
}

fn lock_of(root: &Root, key: &str) -> PathBuf {
    root.pools().join(format!("{key}.lock"))
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
