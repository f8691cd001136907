//! The agent's `.git` after its tree was brought forward: the branch at its new commit, origin's branches as last fetched, an
//! index that fits the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::git::{TreeWalkMode, TreeWalkResult};
use anyhow::Context;

use super::{State, pending};
use crate::error::Result;
use crate::git::index::{Entry, Index, Stat};
use crate::git::pool::Pool;
use crate::git::sync::trees::{self, GITLINK};
use crate::git::sync::{Conflict, conflict};
use crate::git::{Oid, agentdir};
use crate::progress::Silent;
use crate::store::beneath::Dir;
use crate::store::fs::{self, Durability};
use crate::store::staging::Staging;
use crate::workspace::LeasedWorkspace;
use crate::workspace::agentgit::{self, AgentGit, Running};

/// In the state: old git directories of syncs, by the syncs' ids.
const OLD: &str = "synced";
/// How many of them are kept.
const KEPT: usize = 3;
const MAX_SHALLOW: u64 = 16 << 20;

/// Builds a new `.git` with `branch` (a full name) at `commit` in the state; [`exchange`] puts it in place. The tree holds
/// the files of `commit` then, but perhaps for those that are `written` with it.
pub(super) fn build(
    workspace: &LeasedWorkspace,
    id: &str,
    state: &State,
    pool: Option<&Pool>,
    branch: &str,
    commit: Option<Oid>,
    written: &BTreeSet<Vec<u8>>,
) -> Result<()> {
    let tree = Dir::open(&workspace.tree())?;
    let mut refs: BTreeMap<String, Oid> = state.imported.refs.refs.iter().cloned().collect();
    let mut tips = Vec::new();
    if let Some(commit) = commit {
        refs.insert(branch.to_owned(), commit);
        tips.push(commit);
    }
    if let Some(pool) = pool {
        refs.retain(|name, _| !name.starts_with("refs/remotes/origin/"));
        for (name, id) in pool.refs()? {
            if let Some(short) = name.strip_prefix("refs/heads/") {
                refs.insert(format!("refs/remotes/origin/{short}"), id);
            } else if name.starts_with("refs/tags/") {
                // A tag of the agent's own stays.
                refs.entry(name).or_insert(id);
            }
        }
    }
    let index = commit.map(|commit| index(state, commit, &tree, written)).transpose()?;
    let shallow = shallow(&tree, pool)?;
    let record = &workspace.record;
    let mut spec = AgentGit {
        head: state.imported.refs.head.clone(),
        refs: refs.into_iter().collect(),
        origin_head: record.upstream.clone(),
        pool: pool.map(Pool::path),
        config: if state.running == Running::Kept { agentgit::whole_config(&tree) } else { None },
        settings: agentgit::harmless(&tree),
        index: index.as_deref(),
        shallow,
        objects: Some((&state.store, &tips)),
    };
    if let Some(source) = &record.source {
        spec.set_origin(source);
    }
    let staging = Staging::create(workspace.at().root())?;
    let built = staging.path().join("git");
    agentgit::build(&spec, &built)?;
    Dir::open(&built)?.replace(Path::new(pending::MARK), id.as_bytes(), 0o644)?;
    let place = workspace.state().join(pending::GIT);
    // Of a sync that ended before it was on record.
    fs::remove_tree(&place, &Silent)?;
    fs::publish(&built, &place, Durability::Synced)
}

/// Exchanges the `.git` that was built with the old one, which must be as it was.
pub(super) fn exchange(workspace: &LeasedWorkspace, state: &State) -> Result<()> {
    if agentdir::refs(&Dir::open(&workspace.tree())?) != state.imported.refs {
        return Err(conflict("cannot write", &[Conflict::new(b".git", "changed meanwhile")]).into());
    }
    agentgit::exchange(workspace, &workspace.state().join(pending::GIT), state.running)
}

/// Returns whether the git directory that a sync has replaced is in the place of old ones.
pub(super) fn is_kept(workspace: &LeasedWorkspace, id: &str) -> bool {
    workspace.state().join(OLD).join(id).symlink_metadata().is_ok()
}

/// Returns the place of old git directories, and lets go of the oldest ones.
pub(super) fn keep(workspace: &LeasedWorkspace) -> Result<std::path::PathBuf> {
    let place = workspace.state().join(OLD);
    std::fs::create_dir_all(&place).with_context(|| format!("cannot make `{}`", place.display()))?;
    let mut old = Vec::new();
    for entry in std::fs::read_dir(&place).with_context(|| format!("cannot list `{}`", place.display()))? {
        old.push(entry?.path());
    }
    old.sort();
    for path in old.iter().rev().skip(KEPT - 1) {
        fs::remove_tree(path, &Silent)?;
    }
    Ok(place)
}

/// Makes the index of a commit, with the stat data of the files as they are in the tree; without those that were written,
/// so that git looks at them itself. What was not checked out and is not there still is not.
fn index(state: &State, commit: Oid, dir: &Dir, written: &BTreeSet<Vec<u8>>) -> Result<Vec<u8>> {
    let repository = state.store.repository();
    let tree = repository.find_tree(trees::of_commit(repository, Some(commit))?)?;
    let mut entries = Vec::new();
    tree.walk(TreeWalkMode::PreOrder, |parent, entry| {
        let mode = u32::try_from(entry.filemode()).unwrap_or_default();
        if mode != 0o040_000 {
            let path = [parent.as_bytes(), entry.name_bytes()].concat();
            entries.push(Entry { path, mode, id: entry.id(), stat: Stat::default(), skipped: false });
        }
        TreeWalkResult::Ok
    })
    .context("cannot read a tree")?;
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    for entry in entries.iter_mut().filter(|entry| entry.mode != GITLINK && !written.contains(&entry.path)) {
        // One that cannot be asked is looked at by git itself, later.
        match dir.stat(Path::new(OsStr::from_bytes(&entry.path))) {
            Ok(Some(stat)) => entry.stat = Stat::of(&stat),
            Ok(None) => entry.skipped = state.index.skips(&entry.path),
            Err(_) => {}
        }
    }
    Ok(Index { entries, trees: Vec::new() }.to_bytes())
}

/// The boundaries of shallow histories: the agent's and the pool's.
fn shallow(tree: &Dir, pool: Option<&Pool>) -> Result<Option<Vec<u8>>> {
    let mut boundaries: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut add = |content: &[u8]| {
        boundaries.extend(content.split(|byte| *byte == b'\n').filter(|line| line.len() == 40).map(<[u8]>::to_vec));
    };
    if let Some(git) = agentdir::git_dir(tree, &mut Vec::new())
        && let Ok(Some(content)) = git.read(Path::new("shallow"), MAX_SHALLOW)
    {
        add(&content);
    }
    if let Some(pool) = pool
        && let Some(content) = Dir::open(pool.path())?.read(Path::new("shallow"), MAX_SHALLOW)?
    {
        add(&content);
    }
    if boundaries.is_empty() {
        return Ok(None);
    }
    Ok(Some(
        boundaries
            .into_iter()
            .flat_map(|mut line| {
                line.push(b'\n');
                line
            })
            .collect(),
    ))
}
