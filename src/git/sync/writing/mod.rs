//! Bringing a merged tree into a directory that others may change at the same time: planned against what is there, all or
//! nothing.
//!
//! The plan looks only at paths that matter: those that the other side changed. Each is read and cleaned as git would, merged,
//! and checked again through the opened file right before it is replaced. What is written is undone when a later path
//! fails.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use git2::{ObjectType, Repository};
use rustix::fs::FileType;

use crate::error::{Failure, Kind, Result};
use crate::git::Oid;
use crate::git::change::{self, Change};
use crate::git::checkout::is_refused;
use crate::git::convert::Attributes;
use crate::git::repository::Store;
use crate::git::sync::trees::{self, Entry, GITLINK, LINK};
use crate::git::sync::{Conflict, conflict, list, shown};
use crate::store::beneath::Dir;

/// A file of the target is not merged beyond this.
const MAX_FILE: u64 = 1 << 30;
/// Files below a directory that stands where a file shall be.
const MAX_BELOW: usize = 10_000;
/// A merge follows renames, which may touch paths that nobody had looked at; it settles after one or two more looks.
const LOOKS: usize = 16;

/// What is at a path of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// Raw content and permission bits.
    File {
        id: Oid,
        mode: u32,
    },
    Link {
        id: Oid,
    },
    Directory,
    /// Behind a link, special, unreadable or too large.
    Other(String),
}

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

/// Merges `sides` with what is in `dir` now; the inner error lists what needs a decision.
pub(crate) fn plan(store: &Store, dir: &Dir, sides: Sides) -> Result<Result<Writing, Vec<Conflict>>> {
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
            let clean = clean(store, &attributes, &path, &here)?;
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

fn look(store: &Store, dir: &Dir, path: &[u8]) -> Result<Found> {
    let at = as_path(path);
    let stat = match dir.stat(at) {
        Ok(None) => return Ok(Found::Nothing),
        Ok(Some(stat)) => stat,
        Err(error) if Kind::of(&error) == Kind::Refused => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Found::Directory,
        FileType::Symlink => Found::Link { id: store.write(ObjectType::Blob, dir.link(at)?)? },
        FileType::RegularFile => match read(dir, at) {
            Ok(Some((content, mode))) => Found::File { id: store.write(ObjectType::Blob, content)?, mode },
            Ok(None) => Found::Other("not a regular file".into()),
            Err(error) => Found::Other(format!("{error:#}")),
        },
        _ => Found::Other("not a regular file".into()),
    })
}

/// Reads content and permission bits through one descriptor.
fn read(dir: &Dir, path: &Path) -> Result<Option<(Vec<u8>, u32)>> {
    use std::os::unix::fs::MetadataExt;
    let Some(file) = dir.file(path)? else { return Ok(None) };
    let mode = file.metadata()?.mode() & 0o777;
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content).with_context(|| format!("cannot read `{}`", path.display()))?;
    anyhow::ensure!(content.len() as u64 <= MAX_FILE, "too large");
    Ok(Some((content, mode)))
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

fn files_below(dir: &Dir, path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut files = Vec::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        for name in dir.dir(as_path(&path))?.names()? {
            let below = [&path, b"/".as_slice(), name.as_bytes()].concat();
            let stat = dir.stat(as_path(&below))?;
            match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
                Some(FileType::Directory) => waiting.push(below),
                _ => files.push(below),
            }
            if files.len() + waiting.len() > MAX_BELOW {
                return Ok(files);
            }
        }
    }
    Ok(files)
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

    /// Returns a tree of everything that will be gone or replaced, as it is now: the backup.
    pub(crate) fn backup(&self, store: &Store) -> Result<Oid> {
        let mut entries = BTreeMap::new();
        for step in &self.steps {
            match step.before {
                Found::File { id, mode } => {
                    let mode = if mode & 0o100 == 0 { 0o100_644 } else { 0o100_755 };
                    entries.insert(step.path.clone(), Some(Entry { mode, id }));
                }
                Found::Link { id } => {
                    entries.insert(step.path.clone(), Some(Entry { mode: LINK, id }));
                }
                _ => {}
            }
        }
        store.flush()?;
        let repository = store.repository();
        trees::edited(repository, trees::of_commit(repository, None)?, &entries)
    }

    /// Writes everything, or nothing: what was written is undone when a path has changed since the plan or fails.
    pub(crate) fn apply(self, store: &Store, dir: &Dir) -> Result<()> {
        let attributes = Attributes::of_tree(store.repository(), self.tree)?;
        // Removals first, the deepest first: a directory may have to make room for a file.
        let (mut removals, creations): (Vec<&Step>, Vec<&Step>) =
            self.steps.iter().partition(|step| step.after.is_none());
        removals.reverse();
        let mut done = Vec::new();
        for step in removals.into_iter().chain(creations) {
            let result = step.check(store, dir).and_then(|()| step.write(store, &attributes, dir));
            if let Err(error) = result {
                return Err(undo(store, dir, &done, error));
            }
            done.push(step);
        }
        Ok(())
    }
}

impl Step {
    fn check(&self, store: &Store, dir: &Dir) -> Result<()> {
        let now = look(store, dir, &self.path)?;
        // A directory that was in the way is gone by now with its files.
        if now == self.before || (self.before == Found::Directory && now == Found::Nothing) {
            return Ok(());
        }
        Err(conflict("cannot write", &[Conflict::new(&self.path, "changed meanwhile")]).into())
    }

    fn write(&self, store: &Store, attributes: &Attributes, dir: &Dir) -> Result<()> {
        let Some(after) = self.after else { return remove(dir, &self.path) };
        let blob = store.repository().find_blob(after.id).with_context(|| format!("cannot read blob {}", after.id))?;
        if after.mode == LINK {
            return put_link(dir, &self.path, blob.content());
        }
        let converted = attributes.smudge(&self.path, blob.content());
        let mode = if after.mode == 0o100_755 { 0o777 } else { 0o666 };
        dir.replace(as_path(&self.path), converted.as_deref().unwrap_or(blob.content()), mode)
    }

    fn undo(&self, store: &Store, dir: &Dir) -> Result<()> {
        store.flush()?;
        match self.before {
            Found::Nothing | Found::Directory | Found::Other(_) => remove(dir, &self.path),
            Found::File { id, mode } => {
                let blob = store.repository().find_blob(id)?;
                dir.replace(as_path(&self.path), blob.content(), mode)
            }
            Found::Link { id } => put_link(dir, &self.path, store.repository().find_blob(id)?.content()),
        }
    }
}

fn undo(store: &Store, dir: &Dir, done: &[&Step], error: anyhow::Error) -> anyhow::Error {
    let lost: Vec<Conflict> = done
        .iter()
        .rev()
        .filter_map(|step| step.undo(store, dir).err().map(|error| Conflict::new(&step.path, format!("{error:#}"))))
        .collect();
    if lost.is_empty() {
        return error;
    }
    error.context(Failure::new(
        Kind::Failed,
        format!(
            "cannot put back what was written before the failure: {}",
            list(lost.iter().map(|conflict| shown(&conflict.path)))
        ),
    ))
}

fn remove(dir: &Dir, path: &[u8]) -> Result<()> {
    dir.unlink(as_path(path))?;
    let mut parent = as_path(path).parent();
    while let Some(path) = parent.filter(|parent| !parent.as_os_str().is_empty()) {
        // It has other entries: that is where it ends.
        if dir.remove_dir(path).is_err() {
            break;
        }
        parent = path.parent();
    }
    Ok(())
}

/// Makes a link under another name first, so that the old entry is there until the new one is.
fn put_link(dir: &Dir, path: &[u8], target: &[u8]) -> Result<()> {
    let path = as_path(path);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".stead-link");
    let fresh: PathBuf = path.with_file_name(name);
    dir.create_link(OsStr::from_bytes(target), &fresh)?;
    dir.rename(&fresh, dir, path)
}

fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

#[cfg(test)]
mod tests;
