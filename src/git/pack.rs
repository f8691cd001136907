//! Packs of what one repository has and another lacks.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Context;
use git2::Repository;

use crate::error::Result;
use crate::git::{Oid, local, packing};

/// Writes what `tips` need of `from` and the repository at `to` lacks into the objects of `to`, as one pack.
pub(crate) fn write_missing(from: &Repository, tips: &[Oid], to: &Path) -> Result<()> {
    let target = local::open(to)?;
    let known = target.odb().context("cannot open the objects of the target")?;
    write_pack(from, tips, &|oid| known.exists(oid), &to.join("objects/pack"))
}

/// Writes what `tips` need of `from` and the alternates of the git directory at `to` lack into the objects of `to`.
pub(crate) fn write_beyond_alternates(from: &Repository, tips: &[Oid], to: &Path) -> Result<()> {
    let known = git2::Odb::new().context("cannot open objects")?;
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
    absent.retain(|(oid, _)| !here.contains(oid));
    write_objects(from, absent, &to.join("objects/pack"))
}

fn write_objects(from: &Repository, missing: Vec<(Oid, usize)>, into: &Path) -> Result<()> {
    let total: usize = missing.iter().map(|(_, size)| size).sum();
    let most = if total > MUCH || missing.len() > MANY { 0 } else { LARGE };
    let (large, small): (Vec<_>, Vec<_>) = missing.into_iter().partition(|(_, size)| most == 0 || *size > most);
    let odb = from.odb().context("cannot open objects")?;
    let (mut objects, mut bytes) = (HashMap::new(), 0);
    for (oid, size) in large {
        let object = odb.read(oid).with_context(|| format!("cannot read `{oid}`"))?;
        objects.insert(oid, (object.kind(), object.data().to_vec()));
        bytes += size;
        if bytes > TOGETHER {
            packing::write(&objects, into)?;
            (objects, bytes) = (HashMap::new(), 0);
        }
    }
    if !objects.is_empty() {
        packing::write(&objects, into)?;
    }
    if small.is_empty() {
        return Ok(());
    }
    let mut builder = from.packbuilder().context("cannot start a pack")?;
    for (oid, _) in small {
        builder.insert_object(oid, None).with_context(|| format!("cannot pack `{oid}`"))?;
    }
    builder.write(into, 0o444).with_context(|| format!("cannot write a pack in `{}`", into.display()))
}

/// Returns what `tips` need and `known` does not name, with its size.
fn missing(from: &Repository, tips: &[Oid], known: &dyn Fn(Oid) -> bool) -> Result<Vec<(Oid, usize)>> {
    let odb = from.odb().context("cannot open objects")?;
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut pending: Vec<Oid> = tips.to_vec();
    while let Some(oid) = pending.pop() {
        if !seen.insert(oid) || known(oid) {
            continue;
        }
        let (size, kind) = odb.read_header(oid).with_context(|| format!("cannot read `{oid}`"))?;
        found.push((oid, size));
        if kind == git2::ObjectType::Blob {
            continue;
        }
        let object = from.find_object(oid, None).with_context(|| format!("cannot read `{oid}`"))?;
        match object.kind() {
            Some(git2::ObjectType::Commit) => {
                let commit = object.peel_to_commit().with_context(|| format!("cannot read `{oid}`"))?;
                pending.push(commit.tree_id());
                pending.extend(commit.parent_ids());
            }
            Some(git2::ObjectType::Tree) => {
                let tree = object.peel_to_tree().with_context(|| format!("cannot read `{oid}`"))?;
                pending.extend(
                    tree.iter().filter(|entry| entry.kind() != Some(git2::ObjectType::Commit)).map(|entry| entry.id()),
                );
            }
            Some(git2::ObjectType::Tag) => {
                let tag = object.as_tag().with_context(|| format!("cannot read `{oid}`"))?;
                pending.push(tag.target_id());
            }
            _ => {}
        }
    }
    Ok(found)
}
