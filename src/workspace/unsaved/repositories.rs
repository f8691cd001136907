//! Repositories in a tree beside its own: of submodules, in directories that git ignores, and linked worktrees. What a snapshot
//! takes of nested repositories is told by [`super`].

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Code, Unsaved};
use crate::git::import::{self, Bounds};
use crate::git::repository::{Access, Store};
use crate::git::snapshot::Snapshot;
use crate::git::sync::trees::{self, GITLINK};
use crate::git::{Oid, agentdir, recorded};
use crate::store::beneath::Dir;
use crate::workspace::Workspace;

/// So many repositories are looked at.
const MOST: usize = 1000;

/// Returns what the git directories of submodules hold that these were not cloned with, below `.git/modules`: it stays there when
/// a submodule is not checked out any more. Those that are checked out are told as nested repositories.
pub(super) fn of_modules(
    workspace: &Workspace,
    store: &Store,
    tree: &Dir,
    snapshot: &Snapshot,
    created: Option<&Snapshot>,
) -> Option<Unsaved> {
    let mut places = modules(tree, Path::new(".git"));
    if places.is_empty() {
        return None;
    }
    let first = created.map(|created| &created.meta.nested);
    let top = workspace.top();
    for (path, _) in snapshot.meta.nested.iter().filter(|nested| first.is_none_or(|first| !first.contains(nested))) {
        if let Some(told) = agentdir::place_of(tree, &top, Path::new(OsStr::from_bytes(path))) {
            places.remove(&told);
        }
    }
    look_into(tree, &places, &gitlinks(workspace, store, created))
}

/// Returns what the repositories in ignored directories hold that they were not cloned with; `gits` is each `.git` there. Their
/// files are ignored by the project, changed or not: commits and stash entries are what nobody can make again.
pub(crate) fn of_ignored(workspace: &Workspace, gits: &[Vec<u8>]) -> Option<Unsaved> {
    if gits.is_empty() {
        return None;
    }
    let tree = Dir::open(&workspace.tree()).ok()?;
    let top = workspace.top();
    let mut places = BTreeSet::new();
    for git in gits {
        let repository = Path::new(OsStr::from_bytes(git)).parent().unwrap_or(Path::new(""));
        let place = agentdir::place_of(&tree, &top, repository);
        // What lies in another `.git` belongs to that, and is looked at with it.
        let is_own = |place: &PathBuf| place.parent().is_none_or(|above| above.iter().all(|name| name != ".git"));
        if let Some(place) = place.filter(is_own) {
            places.extend(modules(&tree, &place));
            places.insert(place);
        }
    }
    look_into(&tree, &places, &HashSet::new())
}

/// Returns the worktrees that the agent has linked from outside of its tree, or from where git ignores everything: they may hold
/// work, and they end with it.
pub(super) fn of_worktrees(workspace: &Workspace, tree: &Dir, snapshot: &Snapshot) -> Vec<Unsaved> {
    let Some(git) = agentdir::git_dir(tree, &mut Vec::new()) else { return Vec::new() };
    let top = workspace.top();
    let homes = workspace.at().homes(workspace.name());
    let private = ["home", "tmp"].map(|part| homes.join(part));
    let (mut within, mut elsewhere) = (Vec::new(), Vec::new());
    for place in agentdir::linked(&git, &top, &private) {
        match place.strip_prefix(&top) {
            Ok(path) => within.push(path.as_os_str().as_bytes().to_vec()),
            Err(_) => elsewhere.push(place.into_os_string().into_vec()),
        }
    }
    within.retain(|path| !snapshot.meta.nested.iter().any(|(nested, _)| nested == path));
    let within = Unsaved::paths(Code::LinkedWorktree, within).map(|within| within.with("in an ignored directory"));
    Unsaved::paths(Code::LinkedWorktree, elsewhere).into_iter().chain(within).collect()
}

/// Returns every commit that is named in the git directories of submodules, copies of remote branches included.
pub(super) fn named_by_modules(tree: &Dir) -> Vec<Oid> {
    let gits = modules(tree, Path::new(".git")).into_iter().filter_map(|place| tree.dir(&place).ok());
    gits.flat_map(|git| {
        let refs = agentdir::refs_in(&git);
        [refs.tips(), refs.copies_of_remote().collect()].concat()
    })
    .collect()
}

/// Returns the git directories of submodules below another, relative to the tree.
fn modules(tree: &Dir, git: &Path) -> BTreeSet<PathBuf> {
    let Ok(directory) = tree.dir(git) else { return BTreeSet::new() };
    agentdir::modules(&directory).into_iter().map(|module| git.join(module)).collect()
}

/// Looks into the git directories at `places` for what is their own; `known` is not.
fn look_into(tree: &Dir, places: &BTreeSet<PathBuf>, known: &HashSet<Oid>) -> Option<Unsaved> {
    let mut bounds = Bounds::of(Access::Read);
    let until = Instant::now() + bounds.time;
    let (mut paths, mut commits, mut stash) = (Vec::new(), 0, 0);
    let mut unread = (places.len() > MOST).then(|| format!("there are more than {MOST}"));
    for place in places.iter().take(MOST) {
        let Ok(git) = tree.dir(place) else { continue };
        bounds.time = until.saturating_duration_since(Instant::now());
        let own = import::own(&git, known, bounds);
        if own.is_empty() {
            continue;
        }
        commits += own.commits;
        stash += own.stash;
        unread = unread.or(own.unread);
        let is_plain = place.ends_with(".git");
        let path = if is_plain { place.parent().unwrap_or(place) } else { place };
        paths.push(path.as_os_str().as_bytes().to_vec());
    }
    let counted = |count: usize, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let said = [
        counted(commits, "commit of its own", "commits of their own"),
        counted(stash, "stash entry", "stash entries"),
        unread.map(|reason| format!("not all could be read: {reason}")),
    ];
    let said: Vec<String> = said.into_iter().flatten().collect();
    Unsaved::paths(Code::Nested, paths).map(|nested| nested.with(said.join(", ")))
}

/// Returns the commits that the base, and the files at creation, name for submodules.
fn gitlinks(workspace: &Workspace, store: &Store, created: Option<&Snapshot>) -> HashSet<Oid> {
    let repository = store.repository();
    let base = workspace.base().and_then(|base| trees::of_commit(repository, Some(base)).ok());
    let mut found = HashSet::new();
    for tree in base.into_iter().chain(created.map(|created| created.files)) {
        // Of a tree that cannot be read all is their own.
        recorded::each(repository, tree, &mut |_, mode, id| {
            if mode == GITLINK {
                found.insert(id);
            }
        })
        .ok();
    }
    found
}
