//! Making the objects of a damaged pool anew.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context;
use git2::Repository;
use rustix::fs::Mode;

use crate::error::{Failure, Kind, Result};
use crate::git::pool::{Pool, init, open_bare};
use crate::git::source::Source;
use crate::git::transport::Net;
use crate::git::whole;
use crate::progress::{self, Progress, Silent};
use crate::store::fs::{self, Durability};
use crate::store::lease::Lease;
use crate::store::root::UserRoot;

/// The pool as it will be, until its objects are exchanged for the old ones.
const NEW: &str = "mend.git";
/// Packs that are damaged, so that what is whole in them can be read.
const DAMAGED: &str = "mend.tmp";

/// What it took to make a pool whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mended {
    /// All that its refs need could be read.
    Kept,
    /// Everything that the source has was fetched once more.
    Fetched,
}

impl Pool {
    /// Makes the pool `key`, the one of `source`, whole: keeps each object that can be read and puts the rest aside; where
    /// something is missing then, fetches everything that the source has once more.
    pub(crate) fn mend(
        at: &UserRoot,
        key: &str,
        source: &Source,
        depth: Option<u32>,
        net: &Net,
        progress: &dyn Progress,
    ) -> Result<Mended> {
        anyhow::ensure!(source.pool_key(at.user(), depth) == key, "`{source}` has another pool");
        let path = at.root().pool(key);
        if path.exists() {
            let lock = at.root().pool_lock(key);
            let Some(lease) = Lease::try_acquire(&lock, "doctor")? else {
                return Err(Failure::new(Kind::Busy, format!("the pool of `{source}` is in use")).into());
            };
            let whole = salvage(&path, progress).with_context(|| format!("cannot mend `{}`", path.display()))?;
            drop(lease);
            if whole {
                return Ok(Mended::Kept);
            }
        }
        Self::update(at, source, depth, &[], net, progress)?;
        Ok(Mended::Fetched)
    }
}

/// Exchanges the objects for those of them that can be read, and returns whether these are all that the refs need. If not
/// it forgets the refs: a fetch then asks for all of their history, and not only for what is newer.
fn salvage(pool: &Path, progress: &dyn Progress) -> Result<bool> {
    let [objects, scratch, damaged] = ["objects", NEW, DAMAGED].map(|name| pool.join(name));
    fs::remove_tree(&scratch, &Silent)?;
    fs::remove_tree(&damaged, &Silent)?;
    init(&scratch)?;
    for directory in [objects.join("pack"), damaged.join("pack"), pool.join("refs")] {
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    }
    for name in ["packed-refs", "shallow", "HEAD"].iter().filter(|name| pool.join(name).exists()) {
        fs::write_atomic(&scratch.join(name), &read(&pool.join(name))?, Durability::Lazy)?;
    }
    let new = scratch.join("objects");
    for pack in fs::entries(&objects.join("pack"))? {
        progress::check(progress)?;
        let is_pack = pack.extension().is_some_and(|extension| extension == "pack");
        if is_pack && copy_pack(&pack, &new.join("pack")).is_err() {
            make_readable(&pack, &damaged.join("pack"))?;
        }
    }
    copy_objects(&[&damaged, &objects], &new, progress)?;
    fs::remove_tree(&damaged, &Silent)?;
    fs::sync_file_system(&new)?;
    let refs = pool.join("packed-refs");
    let whole = refs.exists() && whole::connections(&scratch, progress)?.is_none();
    if !whole && refs.exists() {
        rustix::fs::unlink(&refs).with_context(|| format!("cannot remove `{}`", refs.display()))?;
    }
    fs::exchange(&new, &objects)?;
    fs::publish(&new, &pool.join(format!("objects.damaged-{}", fs::unique_id())), Durability::Synced)?;
    for name in ["HEAD", "config"].iter().filter(|_| open_bare(pool).is_err()) {
        fs::write_atomic(&pool.join(name), &read(&scratch.join(name))?, Durability::Synced)?;
    }
    fs::remove_tree(&scratch, &Silent)?;
    Ok(whole)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
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
