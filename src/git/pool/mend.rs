//! Making the objects of a damaged pool anew.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context;
use git2::Repository;
use rustix::fs::Mode;

use crate::error::{Failure, Kind, Result};
use crate::git::pool::{Pool, init, open_bare, path_of};
use crate::git::source::Source;
use crate::git::transport::Net;
use crate::git::whole;
use crate::progress::{self, Progress, Silent};
use crate::store::fs::{self, Durability};
use crate::store::lease::Lease;
use crate::store::root::UserRoot;

/// The new objects until they are exchanged for the old ones.
const NEW: &str = "objects.new";
/// Packs that are damaged, so that what is whole in them can be read.
const DAMAGED: &str = "objects.tmp";

impl Pool {
    /// Makes the pool `key`, the one of `source`, whole: keeps each object that can be read, puts the rest aside, and fetches
    /// everything that the source has once more.
    pub(crate) fn mend(
        at: &UserRoot,
        key: &str,
        source: &Source,
        depth: Option<u32>,
        net: &Net,
        progress: &dyn Progress,
    ) -> Result<()> {
        anyhow::ensure!(source.pool_key(at.user(), depth) == key, "`{source}` has another pool");
        let path = path_of(at, key);
        if path.exists() {
            let lock = at.root().pools().join(format!("{key}.lock"));
            let Some(lease) = Lease::try_acquire(&lock, "doctor")? else {
                return Err(Failure::new(Kind::Busy, format!("the pool of `{source}` is in use")).into());
            };
            salvage(&path, progress).with_context(|| format!("cannot mend `{}`", path.display()))?;
            drop(lease);
        }
        Self::update(at, source, depth, &[], net, progress).map(drop)
    }
}

/// Exchanges the objects for those of them that can be read, and forgets the refs: a fetch then asks for all of their
/// history, and not only for what is newer.
fn salvage(pool: &Path, progress: &dyn Progress) -> Result<()> {
    let [old, new, damaged] = ["objects", NEW, DAMAGED].map(|name| pool.join(name));
    fs::remove_tree(&new, &Silent)?;
    fs::remove_tree(&damaged, &Silent)?;
    for directory in [new.join("info"), new.join("pack"), old.join("pack"), damaged.join("pack"), pool.join("refs")] {
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    }
    if open_bare(pool).is_err() {
        fs::write_atomic(&pool.join("HEAD"), b"ref: refs/heads/main\n", Durability::Synced)?;
        init_config(pool)?;
    }
    for pack in fs::entries(&old.join("pack"))? {
        progress::check(progress)?;
        let is_pack = pack.extension().is_some_and(|extension| extension == "pack");
        if is_pack && copy_pack(&pack, &new.join("pack")).is_err() {
            make_readable(&pack, &damaged.join("pack"))?;
        }
    }
    copy_objects(&[&damaged, &old], &new, progress)?;
    fs::remove_tree(&damaged, &Silent)?;
    fs::sync_file_system(&new)?;
    let refs = pool.join("packed-refs");
    match rustix::fs::unlink(&refs) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error).with_context(|| format!("cannot remove `{}`", refs.display())),
    }
    fs::exchange(&new, &old)?;
    fs::publish(&new, &pool.join(format!("objects.damaged-{}", fs::unique_id())), Durability::Synced)
}

/// Copies a pack that is whole, and makes its index anew.
fn copy_pack(pack: &Path, into: &Path) -> Result<()> {
    let mut file = File::open(pack)?;
    let mut indexer = git2::Indexer::new(None, into, 0o444, true)?;
    io::copy(&mut file, &mut indexer)?;
    indexer.commit()?;
    Ok(())
}

/// Copies a pack with the end that its index asks for, without which none of its objects would be read.
fn make_readable(pack: &Path, into: &Path) -> Result<()> {
    let index = pack.with_extension("idx");
    let Some(checksum) = whole::checksum(&index)? else { return Ok(()) };
    let place = into.join(pack.file_name().unwrap_or_default());
    fs::copy_file(&index, &place.with_extension("idx"))?;
    fs::copy_file(pack, &place)?;
    rustix::fs::chmod(&place, Mode::RUSR | Mode::WUSR)?;
    OpenOptions::new().append(true).open(&place)?.write_all(&checksum)?;
    Ok(())
}

/// Copies, as one pack, what can be read of `old` and is not in `new` yet.
fn copy_objects(old: &[&Path], new: &Path, progress: &dyn Progress) -> Result<()> {
    let known = whole::open(&[new])?;
    let repository = Repository::from_odb(whole::open(old)?)?;
    let from = repository.odb()?;
    let mut ids = Vec::new();
    // An index that cannot be read ends the list early; the objects of its pack are out of reach then.
    let _listed = from.foreach(|id| {
        ids.push(*id);
        true
    });
    let mut builder = repository.packbuilder()?;
    let mut count = 0;
    for id in ids {
        progress::check(progress)?;
        if !known.exists(id) && from.read(id).is_ok() {
            builder.insert_object(id, None)?;
            count += 1;
        }
    }
    if count > 0 {
        builder.write(&new.join("pack"), 0o444)?;
    }
    Ok(())
}

/// Gives a pool that lost it its configuration back.
fn init_config(pool: &Path) -> Result<()> {
    let fresh = pool.join("fresh.git");
    fs::remove_tree(&fresh, &Silent)?;
    init(&fresh)?;
    let config = std::fs::read(fresh.join("config")).context("cannot read a new configuration")?;
    fs::write_atomic(&pool.join("config"), &config, Durability::Synced)?;
    fs::remove_tree(&fresh, &Silent)
}
