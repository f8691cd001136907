//! Undo: a workspace put back to where it was before a run, planned first.
//!
//! ```text
//! refs/runs/UNDO/before   the state that the undo replaces, recorded as before a run: an undo can be undone
//! runs/UNDO/git/          the `.git` that were replaced, at their paths in the tree
//! runs/UNDO/aside/        what had come into its way after the plan
//! ```
//!
//! The two snapshots and the [`Order`] are all that it needs, so that the journal finishes one that was cut off. What was
//! ignored and not recorded then stays as it is, wherever it may have been there before.

mod before;
mod gitdirs;
mod links;
mod modes;
mod order;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::error::{Failure, Kind, Result};
use crate::git::Oid;
use crate::git::change::{self, Change, ChangeKind};
use crate::git::gitdir;
use crate::git::recorded::{Entry, Recorded, Rules, is_at_or_below, is_covered, join};
use crate::git::repository::Store;
use crate::git::snapshot::Snapshot;
use crate::store::beneath::Dir;
use crate::workspace::Workspace;
use crate::workspace::agentgit::rebuild::Lacks;
use gitdirs::Replacement;
use links::{Link, Targets};
use modes::Modes;
use tree::{Step, Steps, as_path, look_at};

pub(crate) use before::{Before, Undone};
pub(crate) use order::{Order, finish};

/// What is to be put back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Only these and what is below them, and no `.git`; all when there are none.
    pub(crate) paths: &'a [Vec<u8>],
    /// The user's global ignore rules.
    pub(crate) excludes: &'a [u8],
}

/// A ref, HEAD or stash entry that is not as it was; `None` where it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefChange {
    pub(crate) name: String,
    pub(crate) now: Option<String>,
    pub(crate) then: Option<String>,
}

/// What a plan tells about itself.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) changes: Vec<Change>,
    pub(crate) refs: Vec<RefChange>,
    /// Repositories whose `.git` is built anew or goes, by their paths; that of the tree itself is empty.
    pub(crate) repositories: Vec<Vec<u8>>,
    /// What cannot be put back, or stays because nobody can say whether it was there, with the reason.
    pub(crate) left: Vec<(Vec<u8>, String)>,
    /// What in these `.git` would run commands, as it was before.
    pub(crate) held: Vec<String>,
    /// Refs of which the objects are nowhere, known once it is done.
    pub(crate) lost: Vec<String>,
    /// What is in a `.git` that was put aside and cannot come over to the new one, with the reason.
    pub(crate) not_taken_over: Vec<(Vec<u8>, String)>,
    /// What came into its way after the plan and was moved into the directory of the run.
    pub(crate) aside: Vec<Vec<u8>>,
}

/// Why something that is there now, and was not before, is there when all is done.
const STAYS: &str = "it cannot be recorded, so it stays";

/// The same of a directory that was closed: what the run has added in it.
const ADDED_STAYS: &str = "what has come into it is not known, so it stays";

/// Why something is another one than before the run, or not there.
const NOT_RECORDED: &str = "it was not recorded before the run";

/// Why a directory has other permission bits than it should have.
const MODE_STAYS: &str = "its permission bits cannot be put back";

impl Outline {
    /// Returns whether nothing stays that should have gone or be another one, and nothing is gone that should be there.
    pub(crate) fn is_complete(&self) -> bool {
        self.lost.is_empty()
            && self.not_taken_over.is_empty()
            && !self.left.iter().any(|(_, reason)| {
                [STAYS, ADDED_STAYS, NOT_RECORDED, MODE_STAYS].iter().any(|start| reason.starts_with(start))
            })
    }

    fn add(&mut self, gitdir: &[u8], lacks: Lacks) {
        self.lost.extend(lacks.refs);
        let left = lacks.left.into_iter();
        let left = left.map(|(path, reason)| (join(gitdir, path.as_os_str().as_encoded_bytes()), reason.to_owned()));
        self.not_taken_over.extend(left);
    }
}

pub(crate) struct UndoPlan {
    /// The run that is undone.
    run: String,
    then: Oid,
    aside: Option<Oid>,
    now: Oid,
    paths: Vec<Vec<u8>>,
    /// What stays although it is not recorded, uppermost paths.
    spared: BTreeSet<Vec<u8>>,
    work: Work,
    outline: Outline,
}

/// All that is done.
struct Work {
    steps: Steps,
    replacements: Vec<Replacement>,
    links: Vec<Link>,
    modes: Modes,
}

impl Work {
    /// `undone` is the directory of the run that is undone.
    fn new(
        workspace: &Workspace,
        store: &Store,
        (was, is): (&Recorded, &Recorded),
        (paths, spared): (&[Vec<u8>], &BTreeSet<Vec<u8>>),
        undone: Option<&Path>,
    ) -> Result<Self> {
        let steps = steps(was, is, paths, spared);
        let tree = Dir::open(&workspace.tree())?;
        let modes = Modes::of(&tree, was, is, paths);
        if !paths.is_empty() {
            return Ok(Self { steps, replacements: Vec::new(), links: Vec::new(), modes });
        }
        let replacements = gitdirs::replacements(workspace, store, &tree, was, is)?;
        let links = links::links(store, &workspace.tree(), was, is, undone)?;
        Ok(Self { steps, replacements, links, modes })
    }

    /// Returns the repositories that get another `.git`.
    fn repositories(&self) -> Vec<Vec<u8>> {
        let replaced = self.replacements.iter().map(|one| one.path.clone());
        let all: BTreeSet<Vec<u8>> = replaced.chain(self.links.iter().map(|one| one.repository.clone())).collect();
        all.into_iter().collect()
    }

    fn held(&self, store: &Store) -> Result<Vec<String>> {
        let mut held = gitdirs::held(store, &self.replacements)?;
        held.extend(self.links.iter().filter_map(Link::held));
        held.sort();
        Ok(held)
    }
}

/// Plans to bring the workspace from the state `now`, as it is, to `then`. Writes nothing.
pub(crate) fn plan(
    workspace: &Workspace,
    store: &Store,
    now: &Snapshot,
    before: &Before,
    asked: Asked<'_>,
) -> Result<UndoPlan> {
    let (was, is) = (before.recorded(store)?, Recorded::of(store, now)?);
    for path in asked.paths {
        if !was.has(path) && !is.has(path) {
            let path = String::from_utf8_lossy(path);
            return Err(Failure::new(Kind::NotFound, format!("`{path}` is not there now and was not there before"))
                .hint("paths count from the top of the tree")
                .into());
        }
    }
    let mut rules = Rules::new(store, asked.excludes);
    let brought = &workspace.record.brought;
    let mut spared = BTreeSet::new();
    for path in is.files.keys().chain(&is.empty_dirs).filter(|path| !was.files.contains_key(*path)) {
        let is_brought = brought.iter().any(|top| is_at_or_below(path, top.as_os_str().as_encoded_bytes()));
        if !is_brought
            && let Some(part) = was.ignored(&mut rules, path)
            && !is_below_file(&was, path)
        {
            spared.insert(part.to_vec());
        }
    }
    let work = Work::new(workspace, store, (&was, &is), (asked.paths, &spared), Some(&before.run.directory))?;
    let outline = Outline {
        changes: changes(store, now, &before.snapshot, &work)?,
        refs: if asked.paths.is_empty() { refs(store, &was, &is)? } else { Vec::new() },
        repositories: work.repositories(),
        held: work.held(store)?,
        left: left(workspace, store, (&was, &is), (asked.paths, &spared), &work)?,
        ..Outline::default()
    };
    let aside = before.aside.as_ref().map(|aside| aside.commit);
    let (then, now, paths) = (before.snapshot.commit, now.commit, asked.paths.to_vec());
    Ok(UndoPlan { run: before.run.id.clone(), then, aside, now, paths, spared, work, outline })
}

impl UndoPlan {
    pub(crate) fn outline(&self) -> &Outline {
        &self.outline
    }

    pub(crate) fn into_outline(self) -> Outline {
        self.outline
    }

    /// Returns whether everything is as it was.
    pub(crate) fn is_empty(&self) -> bool {
        let Work { steps, replacements, links, modes } = &self.work;
        steps.is_empty() && replacements.is_empty() && links.is_empty() && modes.is_empty()
    }

    /// Returns what stands where something has to be put back and is not recorded as it is now: it would be lost.
    pub(crate) fn obstacles(&self, tree: &Dir) -> Result<Vec<Vec<u8>>> {
        use rustix::fs::FileType;
        let known: BTreeMap<&[u8], &Step> =
            self.work.steps.steps.iter().map(|step| (step.path.as_slice(), step)).collect();
        let mut found = BTreeSet::new();
        let places = self.work.steps.steps.iter().filter(|step| step.then.is_some()).map(|step| &step.path);
        let gitdirs = self.work.replacements.iter().filter(|one| one.then.is_some()).map(Replacement::gitdir);
        let gitdirs = gitdirs.chain(self.work.links.iter().map(Link::gitdir));
        for path in places.clone().chain(&self.work.steps.empty).cloned().chain(gitdirs) {
            for parent in path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| &path[..end]) {
                let is_known = known.get(parent).is_some_and(|step| step.now.is_some());
                match tree::plan_at(tree, parent)? {
                    None | Some(FileType::Directory) => {}
                    Some(_) if is_known => {}
                    Some(_) => drop(found.insert(parent.to_vec())),
                }
            }
        }
        for path in places.chain(&self.work.steps.empty) {
            let is_directory = self.work.steps.empty.contains(path);
            match tree::plan_at(tree, path)? {
                Some(FileType::Directory) if !is_directory => {
                    if self.has_unknown(tree, path, &known)? {
                        found.insert(path.clone());
                    }
                }
                None | Some(FileType::Directory) => {}
                Some(_) if known.get(path.as_slice()).is_some_and(|step| step.now.is_some()) => {}
                Some(_) => drop(found.insert(path.clone())),
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Returns whether anything below `top` would be left over.
    fn has_unknown(&self, tree: &Dir, top: &[u8], known: &BTreeMap<&[u8], &Step>) -> Result<bool> {
        use std::os::unix::ffi::OsStrExt;
        let mut waiting = vec![top.to_vec()];
        while let Some(path) = waiting.pop() {
            let Ok(directory) = tree.dir(as_path(&path)) else { return Ok(true) };
            for name in directory.names()? {
                let path = [&path, b"/".as_slice(), name.as_bytes()].concat();
                if name == ".git" && self.work.replacements.iter().any(|one| path.starts_with(&one.path)) {
                    continue;
                }
                match tree::plan_at(tree, &path)? {
                    Some(rustix::fs::FileType::Directory) => waiting.push(path),
                    _ if known.get(path.as_slice()).is_some_and(|step| step.now.is_some()) => {}
                    _ => return Ok(true),
                }
            }
        }
        Ok(false)
    }
}

fn is_below_file(was: &Recorded, path: &[u8]) -> bool {
    path.iter().enumerate().any(|(end, byte)| *byte == b'/' && was.files.contains_key(&path[..end]))
}

fn steps(was: &Recorded, is: &Recorded, paths: &[Vec<u8>], spared: &BTreeSet<Vec<u8>>) -> Steps {
    let asked = |path: &[u8]| paths.is_empty() || paths.iter().any(|top| is_at_or_below(path, top));
    let stays = |path: &[u8]| is_covered(path, |part| was.unrecorded.contains_key(part) || spared.contains(part));
    let all: BTreeSet<&Vec<u8>> = was.files.keys().chain(is.files.keys()).collect();
    let mut steps = Steps::default();
    for path in all {
        let (now, then) = (is.files.get(path).copied(), was.files.get(path).copied());
        if now == then || !asked(path) || (then.is_none() && stays(path)) {
            continue;
        }
        if then.is_none() {
            let parents = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| &path[..end]);
            steps.gone.extend(parents.filter(|parent| !was.has(parent)).map(<[u8]>::to_vec));
        }
        steps.steps.push(Step { path: path.clone(), now, then });
    }
    let repositories = is.nested.iter().filter(|_| paths.is_empty());
    let gone = is.empty_dirs.iter().chain(repositories);
    let gone = gone.filter(|path| asked(path) && !was.has(path) && !stays(path));
    steps.gone.extend(gone.cloned());
    // Parents that only this one needed.
    let parents: Vec<Vec<u8>> = steps
        .gone
        .iter()
        .flat_map(|path| {
            path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| path[..end].to_vec())
        })
        .filter(|parent| !was.has(parent) && asked(parent))
        .collect();
    steps.gone.extend(parents);
    steps.empty.extend(was.empty_dirs.iter().filter(|path| asked(path) && !is.empty_dirs.contains(*path)).cloned());
    steps
}

/// Returns what is done to the files and directories as changes of what is there now.
fn changes(store: &Store, now: &Snapshot, then: &Snapshot, work: &Work) -> Result<Vec<Change>> {
    let steps = &work.steps;
    let paths: BTreeSet<&[u8]> = steps.steps.iter().map(|step| step.path.as_slice()).collect();
    let mut changes = change::between(store, now, then)?;
    changes.retain(|change| {
        paths.contains(change.path.as_slice()) && change.old_path.as_deref().is_none_or(|old| paths.contains(old))
    });
    let told: BTreeSet<Vec<u8>> =
        changes.iter().flat_map(|change| [Some(change.path.clone()), change.old_path.clone()]).flatten().collect();
    // Files of nested repositories, which are no part of the others.
    for step in steps.steps.iter().filter(|step| !told.contains(&step.path)) {
        let mode = |entry: Option<Entry>| entry.map(|entry| entry.mode);
        changes.push(Change {
            path: step.path.clone(),
            kind: match (step.now, step.then) {
                (None, _) => ChangeKind::Create,
                (_, None) => ChangeKind::Delete,
                _ => ChangeKind::Update,
            },
            old_path: None,
            old_mode: mode(step.now),
            mode: mode(step.then),
            old_id: step.now.map(|entry| entry.id),
            id: step.then.map(|entry| entry.id),
            binary: false,
            additions: 0,
            deletions: 0,
        });
    }
    // Known by the plan, those in nested repositories too.
    changes.extend(work.modes.changes());
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(changes)
}

fn refs(store: &Store, was: &Recorded, is: &Recorded) -> Result<Vec<RefChange>> {
    let read = |recorded: &Recorded| -> Result<BTreeMap<String, String>> {
        let Some(gitdir) = recorded.gitdirs.get(&b""[..]) else { return Ok(BTreeMap::new()) };
        let mut all = BTreeMap::new();
        for (module, refs) in gitdir::all_refs(store.repository(), *gitdir)? {
            let named = |name| if module.is_empty() { name } else { format!("{module}/{name}") };
            all.extend(refs.into_iter().map(|(name, value)| (named(name), value)));
        }
        Ok(all)
    };
    let (then, mut now) = (read(was)?, read(is)?);
    if !was.with_modules.contains(&b""[..]) {
        now.retain(|name, _| !name.starts_with("modules/"));
    }
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    Ok(names
        .into_iter()
        .filter(|name| then.get(*name) != now.get(*name))
        // One that could not be read then stays as it is.
        .filter(|name| !is_covered(&join(b".git", name.as_bytes()), |part| was.unrecorded.contains_key(part)))
        .map(|name| RefChange { name: name.clone(), now: now.get(name).cloned(), then: then.get(name).cloned() })
        .collect())
}

/// Returns what is not as it was, or may not be, when everything is done.
fn left(
    workspace: &Workspace,
    store: &Store,
    (was, is): (&Recorded, &Recorded),
    (paths, spared): (&[Vec<u8>], &BTreeSet<Vec<u8>>),
    work: &Work,
) -> Result<Vec<(Vec<u8>, String)>> {
    let (at, tree) = (workspace.tree(), Dir::open(&workspace.tree())?);
    let asked = |path: &[u8]| paths.is_empty() || paths.iter().any(|top| is_at_or_below(path, top));
    let mut left: BTreeMap<Vec<u8>, String> = BTreeMap::new();
    for (path, reason) in was.unrecorded.iter().filter(|(path, _)| !was.has_unchanged(path, is)) {
        left.insert(path.clone(), format!("{NOT_RECORDED} ({reason})"));
    }
    let directories = was.directories();
    for (path, reason) in is.unrecorded.iter().filter(|(path, _)| !was.unrecorded.contains_key(*path)) {
        // That of a replaced `.git` is put aside with it, for the undo of this one.
        if !work.replacements.iter().any(|one| is_at_or_below(path, &one.gitdir())) {
            let stays = if directories.contains_key(path) { ADDED_STAYS } else { STAYS };
            left.insert(path.clone(), format!("{stays} ({reason})"));
        }
    }
    for path in spared {
        left.insert(path.clone(), "it was ignored before the run, and may have been there".to_owned());
    }
    let is_there = |path: &[u8]| !matches!(look_at(&tree, path), Ok(None));
    for path in was.newly_ignored.iter().filter(|path| !is_there(path)) {
        left.insert(path.clone(), "it is gone, and was not recorded: it was ignored".to_owned());
    }
    for path in is.newly_ignored.iter().filter(|path| !was.newly_ignored.contains(*path) && !was.has(path)) {
        left.insert(path.clone(), "it was not recorded, since it is ignored".to_owned());
    }
    let mut targets = Targets::new(store, &at, was);
    for path in was.nested.iter().filter(|path| !was.gitdirs.contains_key(*path)) {
        let is_changed = || work.steps.steps.iter().any(|step| is_at_or_below(&step.path, path));
        if is.nested.contains(path) && !is_changed() {
            continue;
        }
        let is_recorded = match was.git_files.get(path) {
            Some(file) => targets.has(path, file)?,
            None => work.links.iter().any(|link| link.repository == *path),
        };
        if !is_recorded {
            left.insert(join(path, b".git"), "a submodule's or linked worktree's, which no snapshot has".to_owned());
        }
    }
    Ok(left.into_iter().filter(|(path, _)| asked(path)).collect())
}
