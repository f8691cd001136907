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
    let references = References::read(root, leaving)?;
    for path in fs::entries(&root.pools())? {
        let Some(key) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".git"))
        else {
            continue;
        };
        let is_used = Lease::holder(&root.pool_lock(key))?.is_some() || DirectoryLock::try_take(&path)?.is_none();
        if !is_used && !references.have(key) {
            found.push(key.to_owned());
        }
    }
    Ok(found)
}

/// Removes a pool unless somebody uses it or something refers to it by now; returns whether it did.
pub(super) fn remove(root: &Root, key: &str, progress: &dyn Progress) -> Result<bool> {
    let path = root.pool(key);
    let Some(lease) = Lease::try_acquire(&root.pool_lock(key), "gc")? else { return Ok(false) };
    let Some(alone) = DirectoryLock::try_take(&path)? else { return Ok(false) };
    if References::read(root, &[])?.have(key) {
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

/// The text of all that may name a pool: of records, wherever they are, and of what stores borrow from, since a record that is
/// lost is made anew from the store. It is searched as it is, so that records that are damaged or newer than this program count
/// as well; what cannot be read may name any.
struct References {
    texts: Vec<String>,
    unreadable: bool,
}

impl References {
    fn read(root: &Root, leaving: &[String]) -> Result<Self> {
        let mut files: Vec<PathBuf> = Vec::new();
        for user in fs::entries(&root.path().join("state"))? {
            files.extend(fs::entries_of_directory(&user)?.iter().flat_map(|state| names_pool(state)));
        }
        for entry in fs::entries(&root.trash())? {
            if !leaving.iter().any(|id| entry.file_name().is_some_and(|name| name == id.as_str())) {
                files.extend(names_pool(&entry.join("state")));
            }
        }
        for staging in fs::entries(&root.staging())? {
            files.extend(fs::entries_of_directory(&staging)?.into_iter().map(|part| part.join(record::FILE)));
        }
        let mut references = Self { texts: Vec::new(), unreadable: false };
        for file in files {
            match read_small(&file) {
                Ok(text) => references.texts.extend(text),
                Err(_) => references.unreadable = true,
            }
        }
        Ok(references)
    }

    fn have(&self, key: &str) -> bool {
        self.unreadable || self.texts.iter().any(|text| text.contains(key))
    }
}

/// Returns the files of a state that name its pool.
fn names_pool(state: &Path) -> [PathBuf; 2] {
    [state.join(record::FILE), state.join("store.git/objects/info/alternates")]
}
