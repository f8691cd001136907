//! Packs of what one repository has and another lacks.

use std::path::Path;

use anyhow::Context;
use git2::Repository;

use crate::error::Result;
use crate::git::{Oid, local};

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

/// Writes what `tips` need and `known` does not name as one pack (with its index) into the directory `into`; nothing when
/// nothing is missing.
///
/// What `known` names must be there with all that it needs.
pub(crate) fn write_pack(from: &Repository, tips: &[Oid], known: &dyn Fn(Oid) -> bool, into: &Path) -> Result<()> {
    let mut builder = from.packbuilder().context("cannot start a pack")?;
    let mut seen = std::collections::HashSet::new();
    let mut pending: Vec<Oid> = tips.to_vec();
    while let Some(oid) = pending.pop() {
        if !seen.insert(oid) || known(oid) {
            continue;
        }
        builder.insert_object(oid, None).with_context(|| format!("cannot pack `{oid}`"))?;
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
    if builder.object_count() > 0 {
        builder.write(into, 0o444).with_context(|| format!("cannot write a pack in `{}`", into.display()))?;
    }
    Ok(())
}
