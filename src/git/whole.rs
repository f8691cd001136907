//! Whether the objects of pools and stores are all there and what they were.

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use git2::{Odb, Oid};

use crate::error::Result;
use crate::git::reach::Walk;
use crate::git::repository::Store;
use crate::progress::{self, Progress};
use crate::store::fs;

/// Bytes of a checksum, which a pack ends with, and an index twice: the pack's and its own.
const CHECKSUM: usize = 20;

/// Says what is wrong with a directory of objects as far as it can be seen without reading it: that each pack has an index,
/// which is that of this pack, and that no loose object is empty, as a power cut leaves one. An index without a pack is what
/// a crash leaves; nothing reads it.
pub(crate) fn outside(objects: &Path) -> Result<Option<String>> {
    for pack in fs::entries(&objects.join("pack"))? {
        if pack.extension().is_none_or(|extension| extension != "pack") {
            continue;
        }
        let index = pack.with_extension("idx");
        if !index.exists() {
            return Ok(Some(format!("`{}` has no index", pack.display())));
        }
        if checksum(&index)?
            .is_none_or(|checksum| end(&pack, CHECKSUM).ok().flatten().is_none_or(|end| end != checksum))
        {
            return Ok(Some(format!("`{}` is damaged: it is not what its index says", pack.display())));
        }
    }
    empty_object(objects)
}

fn empty_object(objects: &Path) -> Result<Option<String>> {
    // One that has gone meanwhile is packed.
    let is_empty =
        |path: &PathBuf| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
    let empty = loose(objects)?.into_iter().find(is_empty);
    Ok(empty.map(|path| format!("`{}` is damaged: it is empty", path.display())))
}

/// Returns what is where a directory of objects has those with a file of their own.
pub(super) fn loose(objects: &Path) -> Result<Vec<PathBuf>> {
    let is_fan = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.len() == 2 && name.iter().all(u8::is_ascii_hexdigit)
    };
    let fans: Vec<_> = fs::entries(objects)?
        .into_iter()
        .filter(is_fan)
        .map(|fan| fs::entries_of_directory(&fan))
        .collect::<Result<_>>()?;
    Ok(fans.concat())
}

/// Returns the checksum that the pack of an index must end with; `None` when there is no such index.
pub(super) fn checksum(index: &Path) -> Result<Option<Vec<u8>>> {
    let end = end(index, 2 * CHECKSUM)?;
    Ok(end.filter(|end| end.len() == 2 * CHECKSUM).map(|end| end[..CHECKSUM].to_vec()))
}

/// Returns the last bytes of a file, all of a shorter one; `None` when it is not there.
fn end(path: &Path, count: usize) -> Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.with_context(|| format!("cannot read `{}`", path.display()))?,
    };
    let mut read = || {
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(count as u64)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    read().map(Some).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Opens directories of objects, and what they borrow, by themselves.
pub(super) fn open(directories: &[&Path]) -> Result<Odb<'static>> {
    let odb = Odb::new().context("cannot open objects")?;
    for objects in directories {
        let text = objects.to_str().with_context(|| format!("`{}` is not UTF-8", objects.display()))?;
        odb.add_disk_alternate(text).with_context(|| format!("cannot open `{text}`"))?;
    }
    Ok(odb)
}

/// Reads every object in a directory of objects and in what it borrows, but for those that are `known` to be whole already,
/// and says which is not what its name says.
pub(crate) fn objects(objects: &Path, known: &mut HashSet<Oid>, progress: &dyn Progress) -> Result<Option<String>> {
    let odb = open(&[objects])?;
    let mut ids = Vec::new();
    let listed = odb.foreach(|id| {
        ids.push(*id);
        true
    });
    if let Err(error) = listed {
        return Ok(Some(format!("the objects in `{}` cannot be listed: {}", objects.display(), error.message())));
    }
    for id in ids {
        progress::check(progress)?;
        if known.contains(&id) {
            continue;
        }
        // Reading compares the content with the name.
        if let Err(error) = odb.read(id) {
            return Ok(Some(format!("the object {id} in `{}` is damaged: {}", objects.display(), error.message())));
        }
        known.insert(id);
    }
    Ok(None)
}

/// Says what is missing of all that the refs of a store or pool need.
pub(crate) fn connections(path: &Path, progress: &dyn Progress) -> Result<Option<String>> {
    let store = Store::open(path, crate::git::repository::Access::Read)?;
    let mut walk = Walk::new(&store)?;
    for reference in store.repository().references().context("cannot list refs")? {
        progress::check(progress)?;
        let reference = reference.context("cannot read a ref")?;
        let (Ok(name), Some(target)) = (reference.name(), reference.target()) else { continue };
        if let Err(error) = walk.add(target).and_then(|()| history(&store, target)) {
            return Ok(Some(format!("what `{name}` needs is not there: {error:#}")));
        }
    }
    Ok(None)
}

/// Fails when a commit before `tip` is missing that the end of a shallow history does not explain, or the tree of one.
fn history(store: &Store, tip: Oid) -> Result<()> {
    let repository = store.repository();
    if repository.find_object(tip, None)?.peel_to_commit().is_err() {
        return Ok(());
    }
    let odb = repository.odb()?;
    let mut walk = repository.revwalk()?;
    walk.push(tip)?;
    for commit in walk {
        let tree = repository.find_commit(commit?)?.tree_id();
        anyhow::ensure!(odb.exists(tree), "cannot read `{tree}`");
    }
    Ok(())
}
