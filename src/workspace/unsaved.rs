//! What would be lost with a workspace: work that is neither delivered nor as it was at creation.
//!
//! In doubt work counts as unsaved, and the reason says why. Nothing is written: it is asked of snapshots and objects in
//! memory, so that it can be asked on a full disk and for a dry run.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::git::{ObjectType, Repository};
use anyhow::Context;
use serde::Serialize;

use crate::config::Config;
use crate::error::Result;
use crate::git::change::{self, Change, ChangeKind};
use crate::git::delivered::{self, Outside};
use crate::git::import::{self, Imported};
use crate::git::pool::{self, Pool};
use crate::git::repository::{Access, Store};
use crate::git::snapshot::Snapshot;
use crate::git::source::Source;
use crate::git::sync::indexed::Indexed;
use crate::git::sync::trees;
use crate::git::sync::work::work;
use crate::git::{Oid, agentdir, lfs};
use crate::store::beneath::Dir;
use crate::workspace::{Workspace, staged};

/// The kind of a reason; stable, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// Tracked files that differ from the head.
    Uncommitted,
    /// Files that the head does not have.
    Untracked,
    /// Commits or annotated tags that no ref outside reaches.
    Commits,
    Stash,
    /// A merge, rebase or the like is under way.
    Operation,
    /// Nested repositories that are not as they were.
    Nested,
    NewlyIgnored,
    TooLarge,
    Special,
    Unreadable,
    /// Linked worktrees outside of the tree, of whose files nothing is known here.
    LinkedWorktree,
    /// Tips of the agent's `.git` that could not be read whole.
    ImportFailed,
}

/// One reason why a workspace holds unsaved work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsaved {
    pub(crate) code: Code,
    pub(crate) count: usize,
    /// Raw bytes, for the reasons that are about files.
    pub(crate) paths: Vec<Vec<u8>>,
    /// What else is to be said: the operation, the error.
    pub(crate) detail: Option<String>,
}

impl Unsaved {
    fn paths(code: Code, paths: Vec<Vec<u8>>) -> Option<Self> {
        (!paths.is_empty()).then_some(Self { code, count: paths.len(), paths, detail: None })
    }

    fn counted(code: Code, count: usize, detail: Option<String>) -> Option<Self> {
        (count > 0).then_some(Self { code, count, paths: Vec::new(), detail })
    }
}

impl fmt::Display for Unsaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, many) = match self.code {
            Code::Uncommitted => ("uncommitted change", "uncommitted changes"),
            Code::Untracked => ("untracked file", "untracked files"),
            Code::Commits => ("undelivered commit", "undelivered commits"),
            Code::Stash => ("stash entry", "stash entries"),
            Code::Operation => ("operation under way", "operations under way"),
            Code::Nested => ("nested repository", "nested repositories"),
            Code::NewlyIgnored => ("newly ignored entry", "newly ignored entries"),
            Code::TooLarge => ("file too large to look at", "files too large to look at"),
            Code::Special => ("special file", "special files"),
            Code::Unreadable => ("unreadable entry", "unreadable entries"),
            Code::LinkedWorktree => ("linked worktree elsewhere", "linked worktrees elsewhere"),
            Code::ImportFailed => ("unreadable ref or commit", "unreadable refs or commits"),
        };
        write!(f, "{} {}", self.count, if self.count == 1 { one } else { many })?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

/// What goes with a workspace.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// Work that would be lost.
    pub(crate) unsaved: Vec<Unsaved>,
    /// Raw paths of what git ignores, the topmost only.
    pub(crate) ignored: Vec<Vec<u8>>,
}

/// Looks at a workspace and returns what would go with it; what cannot be looked at is unsaved too.
pub(crate) fn look(workspace: &Workspace, config: &Config) -> Looked {
    let found = (|| {
        let store = workspace.store(Access::Read)?;
        let snapshot = workspace.look(&store, config, 2)?;
        Ok::<_, anyhow::Error>(Looked { unsaved: unsaved(workspace, &store, &snapshot)?, ignored: snapshot.ignored })
    })();
    found.unwrap_or_else(|error| Looked {
        unsaved: Unsaved::counted(Code::Unreadable, 1, Some(format!("{error:#}"))).into_iter().collect(),
        ignored: Vec::new(),
    })
}

/// Says how many commits the store has kept that were dropped again (by a reset, an amend, a deleted branch) and are nowhere
/// outside. They do not keep a workspace from being removed, but in the trash they are unsaved work.
pub(crate) fn dropped(workspace: &Workspace) -> Option<String> {
    let count = || -> Result<usize> {
        let store = workspace.store(Access::Read)?;
        let repository = store.repository();
        let kept = repository.references_glob("refs/kept/*").context("cannot list what is kept")?;
        let mut tips: Vec<Oid> = kept.flatten().filter_map(|reference| reference.target()).collect();
        tips.retain(|tip| repository.find_commit(*tip).is_ok());
        let commits = outside(workspace)?.undelivered(&store, &tips)?.len();
        let base = workspace.base().filter(|_| commits > 0 && !is_orphan(workspace));
        Ok(base.and_then(|base| since(repository, &tips, base)).map_or(commits, |own| own.min(commits)))
    };
    match count() {
        Ok(0) => None,
        Ok(1) => Some("1 commit that was dropped again".to_owned()),
        Ok(count) => Some(format!("{count} commits that were dropped again")),
        Err(error) => Some(format!("commits that may have been dropped again ({error:#})")),
    }
}

/// Returns what would be lost with a workspace whose tree is as in `snapshot`.
pub(crate) fn unsaved(workspace: &Workspace, store: &Store, snapshot: &Snapshot) -> Result<Vec<Unsaved>> {
    let tree = Dir::open(&workspace.tree())?;
    let imported = import::import(store, &tree)?;
    let outside = outside(workspace)?;
    let created = workspace.created(store)?;
    let mut reasons = Vec::new();
    if created.as_ref().is_none_or(|created| created.files != snapshot.files) {
        reasons.extend(of_files(
            workspace,
            store,
            (snapshot, created.as_ref().map(|created| created.files)),
            &imported,
            &outside,
        )?);
    }
    reasons.extend(of_commits(workspace, store, &imported, &outside)?);
    let staged = staged::only(workspace, store, &tree, [imported.refs.head_commit(), Some(snapshot.files)]);
    reasons.extend(
        Unsaved::paths(Code::Uncommitted, staged)
            .map(|unsaved| Unsaved { detail: Some("staged only".to_owned()), ..unsaved }),
    );
    reasons.extend(of_meta(snapshot, created.as_ref()));
    reasons.extend(of_worktrees(workspace, &tree));
    Ok(reasons)
}

/// Returns what git can hold and the head does not, unless it is outside all the same.
fn of_files(
    workspace: &Workspace,
    store: &Store,
    (snapshot, created): (&Snapshot, Option<Oid>),
    imported: &Imported,
    outside: &Outside,
) -> Result<Vec<Unsaved>> {
    let repository = store.repository();
    let head = imported.refs.head_commit().and_then(|head| repository.find_commit(head).ok());
    let index = Indexed::of_snapshot(repository, snapshot);
    let work = work(store, snapshot, head.as_ref().map(crate::git::Commit::id), (workspace.base(), created), &index)?;
    let head = head.map(|head| head.tree_id());
    let mut differences = change::files_between(store, head, Some(work.tree))?;
    // The content that a pointer of the head stands for has been fetched, not written.
    let mut large = work.lfs;
    large.retain(|path| !is_fetched(repository, head, snapshot.files, path));
    // What a submodule has is told as a nested repository.
    differences
        .retain(|change| [change.old_mode, change.mode].iter().flatten().all(|mode| mode & 0o170_000 != 0o160_000));
    // What is not tracked is work where it has become another than it was at first.
    let mut ignored = work.ignored;
    let base = trees::of_commit(repository, workspace.base().filter(|base| repository.find_commit(*base).is_ok()))?;
    let at = |tree: Oid, path: &[u8]| trees::entry(repository, tree, path).ok().flatten();
    let was = |path: &[u8]| {
        [Some(base), created].into_iter().flatten().any(|tree| at(tree, path) == at(snapshot.files, path))
    };
    ignored.retain(|path| !was(path));
    let ignored = Unsaved::paths(Code::NewlyIgnored, ignored).into_iter();
    let ignored = ignored.chain(Unsaved::paths(Code::Unreadable, work.hidden));
    if large.is_empty()
        && (differences.is_empty() || outside.holds_tree(work.tree)? || is_applied(workspace, store, work.tree)?)
    {
        return Ok(ignored.collect());
    }
    let differences = undelivered(workspace, store, outside, differences)?;
    let (new, old): (Vec<_>, Vec<_>) = differences.into_iter().partition(|change| change.kind == ChangeKind::Create);
    let paths = |changes: Vec<Change>| changes.into_iter().map(|change| change.path).collect::<Vec<_>>();
    let changed = [paths(old), large].concat();
    let found = [Unsaved::paths(Code::Uncommitted, changed), Unsaved::paths(Code::Untracked, paths(new))];
    Ok(found.into_iter().flatten().chain(ignored).collect())
}

/// Takes out what a tree that was delivered, and is still there, holds with the same content.
fn undelivered(
    workspace: &Workspace,
    store: &Store,
    outside: &Outside,
    mut differences: Vec<Change>,
) -> Result<Vec<Change>> {
    let repository = store.repository();
    for delivery in &workspace.record.deliveries {
        let Some(commit) = Oid::from_str(&delivery.commit).ok().and_then(|id| repository.find_commit(id).ok()) else {
            continue;
        };
        let folder = match &delivery.refname {
            Some(_) if outside.undelivered(store, &[commit.id()])?.is_empty() => None,
            None if Path::new(&delivery.target).is_absolute() => match Dir::open(Path::new(&delivery.target)) {
                Ok(folder) => Some(folder),
                Err(_) => continue,
            },
            _ => continue,
        };
        let tree = commit.tree_id();
        let at = |path: &[u8]| trees::entry(repository, tree, path).ok();
        let is_in = |change: &Change| {
            let same = at(&change.path).is_some_and(|entry| entry.map(|entry| entry.id) == change.id);
            same && change.old_path.as_deref().is_none_or(|old| at(old) == Some(None))
        };
        differences.retain(|change| !(is_in(change) && folder.as_ref().is_none_or(|folder| holds(folder, change))));
    }
    Ok(differences)
}

fn is_fetched(repository: &Repository, head: Option<Oid>, files: Oid, path: &[u8]) -> bool {
    let blob = |tree: Oid| {
        let path = Path::new(OsStr::from_bytes(path));
        repository.find_blob(repository.find_tree(tree).ok()?.get_path(path).ok()?.id()).ok()
    };
    match (head.and_then(blob), blob(files)) {
        (Some(pointer), Some(content)) => lfs::is_of(pointer.content(), content.content()),
        _ => false,
    }
}

/// Returns what the agent's `.git` has and no ref outside reaches.
fn of_commits(workspace: &Workspace, store: &Store, imported: &Imported, outside: &Outside) -> Result<Vec<Unsaved>> {
    let repository = store.repository();
    let base = workspace.base().filter(|_| !is_orphan(workspace));
    let stash: HashSet<Oid> = imported.refs.stash.iter().copied().collect();
    let failed: HashSet<Oid> = imported.failed.iter().map(|(tip, _)| *tip).collect();
    let tips: Vec<Oid> = imported
        .refs
        .tips()
        .into_iter()
        .filter(|tip| !stash.contains(tip) && !failed.contains(tip) && Some(*tip) != base)
        .collect();
    let mut commits = outside.undelivered(store, &tips)?.len();
    // Where the pool is gone the base's own history is not work.
    if let (Some(base), true) = (base, commits > 0) {
        commits = commits.min(since(repository, &tips, base).unwrap_or(commits));
    }
    // A tag is more than its commit; a tree or file that a ref names is in no commit.
    let is_own = |tip: &Oid| delivered::kind(repository, *tip) != Some(ObjectType::Commit) && !outside.names(*tip);
    let tags = tips.iter().filter(|tip| is_own(tip)).count();
    let mut broken: Vec<String> =
        imported.failed.iter().map(|(tip, reason)| format!("{:.12}: {reason}", tip.to_string())).collect();
    broken.extend(imported.refs.bad.iter().map(|(name, reason)| format!("{name}: {reason}")));
    // A tree that never had a commit cannot have lost one.
    let had = || {
        workspace.record.base.is_some()
            || repository.references_glob("refs/kept/*").is_ok_and(|mut kept| kept.next().is_some())
    };
    let lost = matches!(imported.refs.head, agentdir::Head::Missing) && had();
    if lost && broken.is_empty() {
        broken.push("`.git` is missing".into());
    }
    Ok([
        Unsaved::counted(Code::Commits, commits + tags, None),
        Unsaved::counted(Code::Stash, imported.refs.stash.len(), None),
        Unsaved::counted(Code::Operation, imported.refs.operation.iter().len(), imported.refs.operation.clone()),
        Unsaved::counted(Code::ImportFailed, broken.len(), broken.first().cloned()),
    ]
    .into_iter()
    .flatten()
    .collect())
}

/// Returns what git cannot hold and was not so at creation.
fn of_meta(snapshot: &Snapshot, created: Option<&Snapshot>) -> Vec<Unsaved> {
    let meta = &snapshot.meta;
    let first = created.map(|created| &created.meta);
    let nested = meta.nested.iter().filter(|nested| first.is_none_or(|first| !first.nested.contains(nested)));
    let ignored =
        meta.newly_ignored.iter().filter(|path| first.is_none_or(|first| !first.newly_ignored.contains(path)));
    [
        Unsaved::paths(Code::Nested, nested.map(|(path, _)| path.clone()).collect()),
        Unsaved::paths(Code::NewlyIgnored, ignored.cloned().collect()),
        Unsaved::paths(Code::TooLarge, meta.too_large.iter().map(|(path, _)| path.clone()).collect()),
        Unsaved::paths(Code::Special, meta.special.iter().map(|(path, _)| path.clone()).collect()),
        Unsaved::paths(Code::Unreadable, meta.unreadable.iter().map(|(path, _)| path.clone()).collect()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Returns the worktrees that the agent has linked from outside of its tree: they may hold work, and they end with it.
fn of_worktrees(workspace: &Workspace, tree: &Dir) -> Option<Unsaved> {
    let git = agentdir::git_dir(tree, &mut Vec::new())?;
    let found =
        agentdir::linked_elsewhere(&git, &workspace.top()).into_iter().map(|path| path.into_os_string().into_vec());
    Unsaved::paths(Code::LinkedWorktree, found.collect())
}

/// Opens the places outside: the pool, the local project and every local target of a delivery.
fn outside(workspace: &Workspace) -> Result<Outside> {
    let at = workspace.at();
    let root = at.root().path();
    // A pool that is gone delivers nothing.
    let pool = workspace.record.pool.as_deref().filter(|_| !is_orphan(workspace));
    let pool = pool.and_then(|key| Pool::open(at, key).ok());
    let mut places: Vec<PathBuf> = Vec::new();
    if let Some(source) = &workspace.record.source
        && let Ok(Source::Local(path)) = Source::of_record(source, root)
    {
        places.push(path);
    }
    for delivery in workspace.record.deliveries.iter().filter(|delivery| delivery.refname.is_some()) {
        places.push(PathBuf::from(&delivery.target));
    }
    places.retain(|path| path.is_absolute() && !path.starts_with(root));
    places.sort();
    places.dedup();
    delivered::outside(pool.as_ref(), &places)
}

/// Returns whether it is a fork of a workspace that does not have the commit any more on which it was made: then the fork
/// alone may hold that one's work, and its pool is no place outside.
fn is_orphan(workspace: &Workspace) -> bool {
    let at = workspace.at();
    let source = workspace.record.source.as_deref().and_then(|text| Source::of_record(text, at.root().path()).ok());
    let (Some(Source::Workspace(tree)), Some(base)) = (source, workspace.base()) else { return false };
    let other = pool::workspace_around(at, &tree).and_then(|name| Workspace::open(at, &name));
    let store = other.and_then(|other| other.store(Access::Read));
    !store.is_ok_and(|store| store.repository().find_commit(base).is_ok())
}

/// Returns whether `tree` was applied to a folder that still holds all that it changed since the base.
fn is_applied(workspace: &Workspace, store: &Store, tree: Oid) -> Result<bool> {
    let repository = store.repository();
    let tree_of = |commit: &str| {
        let commit = Oid::from_str(commit).ok()?;
        repository.find_commit(commit).ok().map(|commit| commit.tree_id())
    };
    let base = workspace.record.base.as_deref().and_then(tree_of);
    for delivery in &workspace.record.deliveries {
        let target = Path::new(&delivery.target);
        if delivery.refname.is_none()
            && target.is_absolute()
            && tree_of(&delivery.commit) == Some(tree)
            && let Ok(folder) = Dir::open(target)
            && change::files_between(store, base, Some(tree))?.iter().all(|change| holds(&folder, change))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns whether a folder has what a change made.
fn holds(folder: &Dir, change: &Change) -> bool {
    const LARGEST: u64 = 1 << 30;
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let gone = |bytes: &[u8]| matches!(folder.stat(&path(bytes)), Ok(None));
    if change.old_path.as_deref().is_some_and(|old| change.kind == ChangeKind::Rename && !gone(old)) {
        return false;
    }
    let (Some(id), Some(mode)) = (change.id, change.mode) else { return gone(&change.path) };
    let content = match mode & 0o170_000 {
        0o120_000 => folder.link(&path(&change.path)).ok(),
        0o100_000 => folder.read(&path(&change.path), LARGEST).ok().flatten(),
        _ => None,
    };
    content.is_some_and(|content| Oid::hash_object(ObjectType::Blob, &content).is_ok_and(|found| found == id))
}

/// Counts the commits of `tips` that `base` does not have.
fn since(repository: &Repository, tips: &[Oid], base: Oid) -> Option<usize> {
    let mut walk = repository.revwalk().ok()?;
    for tip in tips {
        match delivered::kind(repository, *tip)? {
            ObjectType::Tree | ObjectType::Blob => {}
            _ => walk.push(delivered::commit_of(repository, *tip)?).ok()?,
        }
    }
    walk.hide(base).ok()?;
    Some(walk.filter_map(Result::ok).count())
}
