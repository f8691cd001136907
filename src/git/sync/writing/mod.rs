//! Bringing a merged tree into a directory that others may change at the same time: planned against what is there, all or
//! nothing.
//!
//! The plan looks only at paths that matter: those that the other side changed. Each is read and cleaned as git would, merged,
//! and becomes a part of [`Moves`], which check again what they replace.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use git2::{ObjectType, Repository};
use rustix::fs::FileType;

use crate::error::{Kind, Result};
use crate::git::Oid;
use crate::git::change::{self, Change};
use crate::git::checkout::is_refused;
use crate::git::convert::Attributes;
use crate::git::repository::Store;
use crate::git::sync::Conflict;
use crate::git::sync::found::{self, Found, as_path, files_below, look};
use crate::git::sync::indexed::Indexed;
use crate::git::sync::moving::{self, Move, Moves};
use crate::git::sync::trees::{self, Entry, GITLINK, LINK};
use crate::store::beneath::Dir;

/// A merge follows renames, which may touch paths that nobody had looked at; it settles after one or two more looks.
const LOOKS: usize = 16;

/// One path to write.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) path: Vec<u8>,
    before: Found,
    /// As git has it; converted when it is written.
    pub(crate) after: Option<Entry>,
}

/// What is to be written into a directory.
#[derive(Debug)]
pub(crate) struct Writing {
    pub(crate) steps: Vec<Step>,
    /// What is there now, as git would commit it.
    before: Oid,
    /// The merged tree; its attributes convert what is written.
    pub(crate) tree: Oid,
}

/// The trees of a three-way merge into a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides {
    /// What the target's directory holds where nobody has touched it: its own commit.
    pub(crate) target: Oid,
    pub(crate) ancestor: Oid,
    pub(crate) theirs: Oid,
    /// What was applied there before; where the target still has it or went on from it, it is the ancestor.
    pub(crate) applied: Option<Oid>,
}

/// Merges `sides` with what is in `dir` now, whose own index is `index`; the inner error lists what needs a decision.
pub(crate) fn plan(store: &Store, dir: &Dir, index: &Indexed, sides: Sides) -> Result<Result<Writing, Vec<Conflict>>> {
    let repository = store.repository();
    let attributes = Attributes::of_tree(repository, sides.target)?;
    let mut found: BTreeMap<Vec<u8>, (Found, Option<Entry>)> = BTreeMap::new();
    let mut waiting = changed(repository, sides.ancestor, sides.theirs)?;
    if let Some(applied) = sides.applied {
        waiting.extend(changed(repository, sides.ancestor, applied)?);
    }
    for _ in 0..LOOKS {
        for path in std::mem::take(&mut waiting) {
            let here = look(store, dir, &path)?;
            let clean = if here == Found::Nothing && index.skips(&path) {
                // It is only not checked out.
                trees::entry(repository, sides.target, &path)?
            } else {
                clean(store, &attributes, &path, &here)?
            };
            found.insert(path, (here, clean));
        }
        store.flush()?;
        let mut edits = BTreeMap::new();
        for (path, (_, clean)) in &found {
            let known = trees::entry(repository, sides.target, path)?;
            if known.is_some_and(|known| known.mode == GITLINK) {
                continue;
            }
            if known != *clean {
                edits.insert(path.clone(), *clean);
            }
        }
        let ours = trees::edited(repository, sides.target, &edits)?;
        let ancestor = ancestor(repository, sides, ours, &found)?;
        let tree = match trees::merged(repository, ancestor, ours, sides.theirs)? {
            Ok(tree) => tree,
            Err(conflicts) => return Ok(Err(conflicts)),
        };
        let differences: Vec<_> = trees::differences(repository, ours, tree)?
            .into_iter()
            .filter(|difference| {
                ![difference.before, difference.after].iter().flatten().any(|entry| entry.mode == GITLINK)
            })
            .collect();
        waiting = differences
            .iter()
            .map(|difference| &difference.path)
            .filter(|path| !found.contains_key(*path))
            .cloned()
            .collect();
        if !waiting.is_empty() {
            continue;
        }
        let steps: Vec<Step> = differences
            .into_iter()
            .map(|difference| {
                let (before, _) = found.remove(&difference.path).expect("every difference has been looked at");
                Step { path: difference.path, before, after: difference.after }
            })
            .filter(|step| step.before != Found::Nothing || step.after.is_some())
            .collect();
        let conflicts = in_the_way(dir, &steps)?;
        return Ok(if conflicts.is_empty() { Ok(Writing { steps, before: ours, tree }) } else { Err(conflicts) });
    }
    anyhow::bail!("the merge does not settle")
}

fn changed(repository: &Repository, before: Oid, after: Oid) -> Result<BTreeSet<Vec<u8>>> {
    let differences = trees::differences(repository, before, after)?;
    Ok(differences.into_iter().map(|difference| difference.path).collect())
}

/// The ancestor, with what was applied before in the place of what it became.
fn ancestor(
    repository: &Repository,
    sides: Sides,
    ours: Oid,
    found: &BTreeMap<Vec<u8>, (Found, Option<Entry>)>,
) -> Result<Oid> {
    let Some(applied) = sides.applied else { return Ok(sides.ancestor) };
    let mut edits = BTreeMap::new();
    for path in found.keys() {
        let base = trees::entry(repository, sides.ancestor, path)?;
        let last = trees::entry(repository, applied, path)?;
        if base != last && trees::entry(repository, ours, path)? != base {
            edits.insert(path.clone(), last);
        }
    }
    trees::edited(repository, sides.ancestor, &edits)
}

/// Returns what git would commit of it.
fn clean(store: &Store, attributes: &Attributes, path: &[u8], found: &Found) -> Result<Option<Entry>> {
    match found {
        Found::File { id, mode } => {
            let git_mode = if mode & 0o100 == 0 { 0o100_644 } else { 0o100_755 };
            let mut id = *id;
            if !attributes.is_trivial() {
                store.flush()?;
                let blob = store.repository().find_blob(id).context("cannot read back a file")?;
                if let Some(clean) = attributes.clean(path, blob.content()) {
                    id = store.write(ObjectType::Blob, clean)?;
                }
            }
            Ok(Some(Entry { mode: git_mode, id }))
        }
        Found::Link { id } => Ok(Some(Entry { mode: LINK, id: *id })),
        Found::Nothing | Found::Directory | Found::Other(_) => Ok(None),
    }
}

/// Returns what stands in the way of the steps and is not part of the merge.
fn in_the_way(dir: &Dir, steps: &[Step]) -> Result<Vec<Conflict>> {
    let removed: BTreeSet<&[u8]> =
        steps.iter().filter(|step| step.after.is_none()).map(|step| step.path.as_slice()).collect();
    let mut conflicts = Vec::new();
    let mut checked = BTreeSet::new();
    for step in steps {
        if let Found::Other(reason) = &step.before {
            conflicts.push(Conflict::new(&step.path, reason.clone()));
            continue;
        }
        let Some(after) = step.after else { continue };
        let components: Vec<&[u8]> = step.path.split(|byte| *byte == b'/').collect();
        let last = components.len() - 1;
        let refused = |(number, name): (usize, &&[u8])| is_refused(name, if number == last { after.mode } else { 0 });
        if components.iter().enumerate().any(refused) {
            conflicts.push(Conflict::new(&step.path, "git refuses this name"));
            continue;
        }
        for (at, _) in step.path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let parent = &step.path[..at];
            if !checked.insert(parent.to_owned()) {
                continue;
            }
            let is_directory = match dir.stat(as_path(parent)) {
                Ok(None) => true,
                Ok(Some(stat)) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
                // Behind a link: that link has been asked for already.
                Err(error) if Kind::of(&error) == Kind::Refused => true,
                Err(error) => return Err(error),
            };
            if !is_directory && !removed.contains(parent) {
                conflicts.push(Conflict::new(parent, "in the way of a directory"));
            }
        }
        if step.before == Found::Directory {
            let below = files_below(dir, &step.path)?;
            if below.iter().any(|path| !removed.contains(path.as_slice())) {
                conflicts.push(Conflict::new(&step.path, "a directory with other files is in the way"));
            }
        }
    }
    Ok(conflicts)
}

impl Writing {
    /// Returns what is written, as changes of what is there now.
    pub(crate) fn changes(&self, store: &Store) -> Result<Vec<Change>> {
        let mut changes = change::between_trees(store, Some(self.before), Some(self.tree))?;
        // Gitlinks are left alone.
        let written = self.paths();
        changes.retain(|change| written.contains(&change.path));
        Ok(changes)
    }

    pub(crate) fn paths(&self) -> BTreeSet<Vec<u8>> {
        self.steps.iter().map(|step| step.path.clone()).collect()
    }

    /// Returns what is to be moved, with what is written as it will be on disk: both sides are in `store` then.
    pub(crate) fn moves(&self, store: &Store, dir: &Dir, id: &str) -> Result<Moves> {
        let attributes = Attributes::of_tree(store.repository(), self.tree)?;
        let moves = self.steps.iter().map(|step| {
            let after = step.after(store, &attributes)?;
            Ok(Move {
                made: moving::missing(dir, &step.path)?,
                path: step.path.clone(),
                before: step.before.clone(),
                after,
            })
        });
        let moves = Moves { id: id.to_owned(), moves: moves.collect::<Result<_>>()? };
        store.flush()?;
        Ok(moves)
    }
}

impl Step {
    /// Returns what will be at the path; the permission bits stay, but for the executable ones, which are git's business.
    fn after(&self, store: &Store, attributes: &Attributes) -> Result<Found> {
        let Some(after) = self.after else { return Ok(Found::Nothing) };
        if after.mode == LINK {
            return Ok(Found::Link { id: after.id });
        }
        let blob = store.repository().find_blob(after.id).with_context(|| format!("cannot read blob {}", after.id))?;
        let id = match attributes.smudge(&self.path, blob.content()) {
            Some(converted) => store.write(ObjectType::Blob, converted)?,
            None => after.id,
        };
        let executable = after.mode == 0o100_755;
        let mode = match (&self.before, executable) {
            (Found::File { mode, .. }, true) => mode | ((mode & 0o444) >> 2),
            (Found::File { mode, .. }, false) => mode & !0o111,
            (_, true) => found::NEW_EXECUTABLE,
            (_, false) => found::NEW,
        };
        Ok(Found::File { id, mode })
    }
}

#[cfg(test)]
mod tests;
