//! How many lines of a file are new and how many are gone.

use std::sync::mpsc::SyncSender;

use anyhow::Context as _;
use git2::{Blob, DiffOptions, Repository};

use super::{Change, MAX_TEXT, TYPE};
use crate::error::Result;
use crate::git::Oid;
use crate::git::packed::{Packs, Reader};
use crate::git::repository::Store;
use crate::store::walk::{self, Queue};

/// Fewer changes are counted through libgit2 alone: to open packs and start threads takes longer.
const FEW: usize = 100;
/// Changes that a thread takes at once.
const BATCH: usize = 64;
/// Where a file is looked at for what text does not have, as git does (`FIRST_FEW_BYTES` of its xdiff-interface.c).
const FIRST: usize = 8000;

/// Fills in what is read from the contents.
pub(super) fn count(store: &Store, changes: &mut [Change]) -> Result<()> {
    let mut left: Vec<&mut Change> = changes.iter_mut().filter(|change| has_lines(change)).collect();
    if left.len() >= FEW {
        left = count_packed(&Packs::of_store(store.path()), left)?;
    }
    for change in left {
        let [old, new] = [change.old_id, change.id].map(|id| read(store.repository(), id));
        let (old, new) = (old?, new?);
        fill(change, old.as_ref().map(Content::bytes), new.as_ref().map(Content::bytes))?;
    }
    Ok(())
}

fn has_lines(change: &Change) -> bool {
    let is_repository = |mode: Option<u32>| mode.is_some_and(|mode| mode & TYPE == 0o160_000);
    !is_repository(change.old_mode) && !is_repository(change.mode) && change.old_id != change.id
}

/// Counts what is all in packs, in several threads, and returns the other changes.
fn count_packed<'a>(packs: &Packs, mut changes: Vec<&'a mut Change>) -> Result<Vec<&'a mut Change>> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut batches = Vec::new();
    while !changes.is_empty() {
        batches.push(changes.split_off(changes.len().saturating_sub(BATCH)));
    }
    let mut left = Ok(Vec::new());
    let count = |batch: Vec<&'a mut Change>, _: &Queue<_>, out: &SyncSender<Result<Vec<_>>>| {
        let mut reader = packs.reader();
        let other = |change: &'a mut Change| match is_counted(&mut reader, change) {
            Ok(is_counted) => (!is_counted).then_some(Ok(change)),
            Err(error) => Some(Err(error)),
        };
        out.send(batch.into_iter().filter_map(other).collect()).expect("all is received");
    };
    walk::work(threads, batches, count, |others: Result<Vec<_>>| match (&mut left, others) {
        (Ok(left), Ok(mut others)) => left.append(&mut others),
        (Ok(_), others) => left = others,
        (Err(_), _) => {}
    });
    left
}

/// Counts a change whose contents are in packs.
fn is_counted(reader: &mut Reader<'_>, change: &mut Change) -> Result<bool> {
    let mut read = |id: Option<Oid>| id.map_or_else(|| Some(std::rc::Rc::default()), |id| reader.read(id));
    let (Some(old), Some(new)) = (read(change.old_id), read(change.id)) else { return Ok(false) };
    let small = |content: &'_ [u8]| i64::try_from(content.len()).is_ok_and(|size| size <= MAX_TEXT);
    fill(change, Some(&old[..]).filter(|old| small(old)), Some(&new[..]).filter(|new| small(new)))?;
    Ok(true)
}

/// What libgit2 has read.
enum Content<'r> {
    None,
    Blob(Blob<'r>),
}

impl Content<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Blob(blob) => blob.content(),
        }
    }
}

/// Reads a content through libgit2; `None` for one that is compared as a whole, which is not read.
fn read(repository: &Repository, id: Option<Oid>) -> Result<Option<Content<'_>>> {
    let Some(id) = id else { return Ok(Some(Content::None)) };
    let header = repository.odb().and_then(|odb| odb.read_header(id));
    if header.is_ok_and(|(size, _)| i64::try_from(size).is_ok_and(|size| size > MAX_TEXT)) {
        return Ok(None);
    }
    let blob = repository.find_blob(id).with_context(|| format!("cannot read object {id}"))?;
    Ok(Some(Content::Blob(blob)))
}

/// Compares two contents; `None` is one that is compared as a whole.
fn fill(change: &mut Change, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<()> {
    if let (Some(old_mode), Some(mode), Some(_), Some(_)) = (change.old_mode, change.mode, change.old_id, change.id)
        && old_mode & TYPE != mode & TYPE
    {
        // As git counts it: one file gone, another made.
        let all = |content: Option<&[u8]>| content.filter(|content| !is_binary(content)).map_or(0, lines);
        (change.additions, change.deletions) = (all(new), all(old));
        return Ok(());
    }
    // What is large is called as it would be if it were read.
    let (Some(old), Some(new)) = (old, new) else {
        change.binary = true;
        return Ok(());
    };
    change.binary = is_binary(old) || is_binary(new);
    if change.binary {
        return Ok(());
    }
    if old.is_empty() || new.is_empty() {
        (change.additions, change.deletions) = (lines(new), lines(old));
        return Ok(());
    }
    let mut options = DiffOptions::new();
    options.max_size(MAX_TEXT);
    let patch = git2::Patch::from_buffers(old, None, new, None, Some(&mut options));
    let patch = patch.context("cannot compare two files")?;
    let (_, added, deleted) = patch.line_stats().context("cannot count lines")?;
    (change.additions, change.deletions) = (added as u64, deleted as u64);
    Ok(())
}

fn is_binary(content: &[u8]) -> bool {
    content[..content.len().min(FIRST)].contains(&0)
}

fn lines(content: &[u8]) -> u64 {
    content.split_inclusive(|byte| *byte == b'\n').count() as u64
}
