//! Packs of what one repository has and another lacks.

use std::collections::{HashMap, HashSet};
use std::num::NonZero;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::SyncSender;

use anyhow::Context;
use git2::{Odb, Repository};

use crate::error::Result;
use crate::git::packed::Packs;
use crate::git::{ObjectType, Oid, local, packing};
use crate::store::walk::{self, Queue};

/// Writes what `tips` need of `from` and the repository at `to` lacks into the objects of `to`, as one pack.
pub(crate) fn write_missing(from: &Repository, tips: &[Oid], to: &Path) -> Result<()> {
    let target = local::open(to)?;
    let known = target.odb().context("cannot open the objects of the target")?;
    write_pack(from, tips, &|oid| known.exists(oid), &to.join("objects/pack"))
}

/// Writes what `tips` need of `from` and the alternates of the git directory at `to` lack into the objects of `to`.
pub(crate) fn write_beyond_alternates(from: &Repository, tips: &[Oid], to: &Path) -> Result<()> {
    let known = Odb::new().context("cannot open objects")?;
    let list = std::fs::read_to_string(to.join("objects/info/alternates")).unwrap_or_default();
    for directory in list.lines() {
        known.add_disk_alternate(directory).with_context(|| format!("cannot open `{directory}`"))?;
    }
    write_pack(from, tips, &|oid| known.exists(oid), &to.join("objects/pack"))
}

/// Blobs above this size are not looked for versions of each other, nor deflated by one thread.
const LARGE: usize = 1 << 20;
/// Nor is anything when it is more than this in all, or so many.
const MUCH: usize = 256 << 20;
const MANY: usize = 20_000;
/// So much is in memory at once.
const TOGETHER: usize = 64 << 20;
/// Fewer objects are read through libgit2 alone.
const FEW: usize = 16;

/// An object that is to be written elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    pub(super) id: Oid,
    pub(super) kind: ObjectType,
    /// In bytes, unpacked.
    pub(super) size: usize,
}

/// Writes what `tips` need and `known` does not name into the directory `into`: one pack (with its index) in general, more for
/// large blobs, none when nothing is missing.
///
/// What `known` names must be there with all that it needs.
pub(crate) fn write_pack(from: &Repository, tips: &[Oid], known: &dyn Fn(Oid) -> bool, into: &Path) -> Result<()> {
    write_objects(from, missing(from, tips, known)?, into)
}

/// Writes what `tips` need of `from` and is not among `here` into the objects of the git directory at `to`, as one pack in general.
/// What is here may lack some of what it needs.
pub(crate) fn write_absent(from: &Repository, tips: &[Oid], here: &HashSet<Oid>, to: &Path) -> Result<()> {
    let odb = from.odb().context("cannot open objects")?;
    // Where a history was cut off, what is before it is nowhere.
    let mut absent = missing(from, tips, &|oid| !odb.exists(oid))?;
    absent.retain(|object| !here.contains(&object.id));
    write_objects(from, absent, &to.join("objects/pack"))
}

fn write_objects(from: &Repository, missing: Vec<Object>, into: &Path) -> Result<()> {
    let total: usize = missing.iter().map(|object| object.size).sum();
    let most = if total > MUCH || missing.len() > MANY { 0 } else { LARGE };
    let is_first = |object: &Object| object.kind == ObjectType::Blob && (most == 0 || object.size > most);
    let (first, last): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_first);
    copy(from, &first, into)?;
    // What names others comes last and all at once: whoever finds it here takes all that it names to be here.
    if last.is_empty() {
        return Ok(());
    }
    if most == 0 && last.iter().map(|object| object.size).sum::<usize>() <= MUCH {
        let odb = from.odb().context("cannot open objects")?;
        return packing::write(&read(&odb, &packs_of(from, &last), &last)?, into);
    }
    let mut builder = from.packbuilder().context("cannot start a pack")?;
    for Object { id, .. } in last {
        builder.insert_object(id, None).with_context(|| format!("cannot pack `{id}`"))?;
    }
    builder.write(into, 0o444).with_context(|| format!("cannot write a pack in `{}`", into.display()))
}

fn packs_of(from: &Repository, objects: &[Object]) -> Packs {
    if objects.len() > FEW { Packs::of_store(from.path()) } else { Packs::default() }
}

fn read(odb: &Odb<'_>, packs: &Packs, objects: &[Object]) -> Result<HashMap<Oid, (ObjectType, Vec<u8>)>> {
    let mut read = read_packed(packs, objects);
    for Object { id, kind, .. } in objects {
        if !read.contains_key(id) {
            let object = odb.read(*id).with_context(|| format!("cannot read `{id}`"))?;
            read.insert(*id, (*kind, object.data().to_vec()));
        }
    }
    Ok(read)
}

/// Writes objects of a repository into the directory `into`, as packs of some size: the next is read while one is written. What
/// one of them names may come later.
pub(super) fn copy(from: &Repository, objects: &[Object], into: &Path) -> Result<()> {
    let odb = from.odb().context("cannot open objects")?;
    let packs = packs_of(from, objects);
    let (sender, receiver) = std::sync::mpsc::sync_channel(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || receiver.iter().try_for_each(|read| packing::write(&read, into)));
        let mut rest = objects;
        while !rest.is_empty() {
            let mut bytes = 0;
            let is_full = |object: &Object| {
                bytes += object.size;
                bytes > TOGETHER
            };
            let count = rest.iter().position(is_full).map_or(rest.len(), |last| last + 1);
            let (batch, others) = rest.split_at(count);
            // The writer that is gone says why.
            if sender.send(read(&odb, &packs, batch)?).is_err() {
                break;
            }
            rest = others;
        }
        drop(sender);
        writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Reads what of some objects is in packs and is as it should be.
fn read_packed(packs: &Packs, objects: &[Object]) -> HashMap<Oid, (ObjectType, Vec<u8>)> {
    let mut all = HashMap::with_capacity(objects.len());
    if packs.is_empty() {
        return all;
    }
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    // A reader keeps the bases of what it reads next.
    let parts = objects.chunks(objects.len().div_ceil(threads * 4).max(FEW)).collect();
    let read = |part: &[Object], _: &Queue<&[Object]>, out: &SyncSender<Vec<_>>| {
        let mut reader = packs.reader();
        let whole = part.iter().filter_map(|Object { id, kind, .. }| {
            let content = reader.read(*id)?;
            // Finds collisions, too.
            let is_whole = Oid::hash_object(*kind, &content).is_ok_and(|found| found == *id);
            is_whole.then(|| (*id, (*kind, Rc::unwrap_or_clone(content))))
        });
        out.send(whole.collect()).expect("all is received");
    };
    walk::work(threads, parts, read, |whole| all.extend(whole));
    all
}

/// Returns what `tips` need and `known` does not name.
fn missing(from: &Repository, tips: &[Oid], known: &dyn Fn(Oid) -> bool) -> Result<Vec<Object>> {
    let odb = from.odb().context("cannot open objects")?;
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut pending: Vec<Oid> = tips.to_vec();
    while let Some(oid) = pending.pop() {
        if !seen.insert(oid) || known(oid) {
            continue;
        }
        let (size, kind) = odb.read_header(oid).with_context(|| format!("cannot read `{oid}`"))?;
        found.push(Object { id: oid, kind, size });
        if kind == ObjectType::Blob {
            continue;
        }
        let object = from.find_object(oid, None).with_context(|| format!("cannot read `{oid}`"))?;
        match object.kind() {
            Some(ObjectType::Commit) => {
                let commit = object.peel_to_commit().with_context(|| format!("cannot read `{oid}`"))?;
                pending.push(commit.tree_id());
                pending.extend(commit.parent_ids());
            }
            Some(ObjectType::Tree) => {
                let tree = object.peel_to_tree().with_context(|| format!("cannot read `{oid}`"))?;
                pending.extend(
                    tree.iter().filter(|entry| entry.kind() != Some(ObjectType::Commit)).map(|entry| entry.id()),
                );
            }
            Some(ObjectType::Tag) => {
                let tag = object.as_tag().with_context(|| format!("cannot read `{oid}`"))?;
                pending.push(tag.target_id());
            }
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_is_whole_wherever_it_is_and_what_is_missing_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let from = Repository::init_bare(dir.path().join("from")).expect("a repository");
        let mut builder = from.packbuilder().expect("a builder");
        let mut objects = Vec::new();
        for number in 0..300_usize {
            let content = format!("{number}\n").repeat(70_000);
            let id = from.blob(content.as_bytes()).expect("a blob");
            if number % 3 == 0 {
                builder.insert_object(id, None).expect("an object");
            }
            objects.push(Object { id, kind: ObjectType::Blob, size: content.len() });
        }
        builder.write(&from.path().join("objects/pack"), 0o600).expect("a pack");
        // More than are in memory at once.
        assert!(objects.iter().map(|object| object.size).sum::<usize>() > TOGETHER);
        let from = Repository::open(from.path()).expect("a repository");
        let to = Repository::init_bare(dir.path().join("to")).expect("a repository");
        copy(&from, &objects, &to.path().join("objects/pack")).expect("copied");
        let to = Repository::open(to.path()).expect("a repository");
        for object in &objects {
            assert_eq!(to.find_blob(object.id).expect("a blob").size(), object.size);
        }
        let missing = Object { id: Oid::hash_object(ObjectType::Blob, b"nowhere").expect("an id"), ..objects[0] };
        for at in [0, 150, 300] {
            let mut objects = objects.clone();
            objects.insert(at, missing);
            let error = copy(&from, &objects, &dir.path().join("to/objects/pack")).expect_err("an error");
            assert!(error.to_string().contains(&missing.id.to_string()), "{error:#}");
        }
        let error = copy(&from, &objects, &dir.path().join("nowhere")).expect_err("an error");
        assert!(format!("{error:#}").contains("nowhere"), "{error:#}");
    }

    #[test]
    fn what_names_others_comes_last_and_all_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let from = Repository::init_bare(dir.path().join("from")).expect("a repository");
        let mut objects = Vec::new();
        let mut top = from.treebuilder(None).expect("a tree");
        // More than one pack of blobs, and so much that it is no work for libgit2.
        let count = MUCH / (1 << 20) + 2;
        for number in 0..count {
            let id = from.blob(&[number.to_le_bytes()[0]].repeat(1 << 20)).expect("a blob");
            let mut below = from.treebuilder(None).expect("a tree");
            below.insert(number.to_string(), id, 0o100_644).expect("an entry");
            top.insert(number.to_string(), below.write().expect("a tree"), 0o040_000).expect("an entry");
            objects.push(id);
        }
        let top = top.write().expect("a tree");
        let to = Repository::init_bare(dir.path().join("to")).expect("a repository");
        let packs = to.path().join("objects/pack");
        // The last that is read cannot be: nothing that names a blob may have come.
        let last = from.path().join(format!("objects/{}/{}", &top.to_string()[..2], &top.to_string()[2..]));
        let missing = missing(&from, &[top], &|_| false).expect("objects");
        std::fs::remove_file(&last).expect("removed");
        let from = Repository::open(from.path()).expect("a repository");
        write_objects(&from, missing.clone(), &packs).expect_err("an error");
        let kinds = |repository: &Repository| {
            let odb = repository.odb().expect("objects");
            let found = missing.iter().filter(|object| odb.exists(object.id));
            found.map(|object| object.kind).collect::<Vec<_>>()
        };
        let came = kinds(&Repository::open(to.path()).expect("a repository"));
        assert!(came.contains(&ObjectType::Blob) && !came.contains(&ObjectType::Tree), "{came:?}");
    }
}
