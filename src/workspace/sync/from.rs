//! `--from PATH`: a project's new commits and its uncommitted work into the workspace.

use std::path::{Path, PathBuf};

use super::pending::{self, Tree};
use super::{Outline, State, apply, upstream};
use crate::config::Config;
use crate::error::Result;
use crate::git::pool::Pool;
use crate::git::repository::Store;
use crate::git::snapshot::{self, CaptureSpec};
use crate::git::sync::indexed::Indexed;
use crate::git::sync::join::{self, Relation, Way};
use crate::git::sync::work::{self, Work};
use crate::git::sync::writing::{self, Sides, Writing};
use crate::git::sync::{borrow, branch, conflict, trees};
use crate::git::{Oid, ignore, pack};
use crate::progress::Silent;
use crate::store::beneath::Dir;
use crate::workspace::{LeasedWorkspace, Workspace};

/// What `--from` would do.
pub(crate) struct FromPlan {
    scratch: Option<Store>,
    /// The branch's full name and its new commit, when the project has commits that the workspace lacks.
    target: Option<(String, Oid)>,
    writing: Writing,
    outline: Outline,
}

/// Plans to bring the work of the project or plain folder at `path`.
pub(crate) fn plan(workspace: &Workspace, state: &State, path: &Path, way: Way, config: &Config) -> Result<FromPlan> {
    state.check_refs(workspace)?;
    let path = super::outside_root(workspace, path)?;
    let opened = state.scratch(workspace)?;
    let scratch = opened.as_ref().unwrap_or(&state.store);
    let repository = scratch.repository();
    let project = apply::project(&path)?;
    let mut head = None;
    if let Some(project) = &project {
        borrow::objects(scratch, project)?;
        head = branch::head(project)?;
    }
    let index = project.as_ref().map(Indexed::of_project).unwrap_or_default();
    index.check_merged(&format!("`{}`", path.display()), "resolve and `git add` them there first")?;
    let theirs = work_of(scratch, &path, head, &index, config)?;
    let head_tree = trees::of_commit(repository, state.head)?;
    let dir = Dir::open(&workspace.tree())?;
    let mut outline = Outline {
        target: path.display().to_string(),
        left_out: theirs.left_out.clone(),
        unread: theirs.unread,
        ..Outline::default()
    };
    let relation = head.map(|head| join::relation(repository, state.head, head)).transpose()?;
    let (target, sides) = match (head, relation) {
        (Some(head), Some(relation)) if relation != Relation::Held => {
            let branch = upstream::branch_of(workspace, state)?;
            upstream::check_ready(workspace, state)?;
            let shown = path.display().to_string();
            let target = upstream::joined_in(repository, workspace, state, head, relation, way, &shown)?;
            outline.commits = join::commits_beyond(repository, target, state.head)?;
            outline.branch = Some(branch.strip_prefix("refs/heads/").unwrap_or(&branch).to_owned());
            let tree = trees::of_commit(repository, Some(head))?;
            let merged = trees::merged(repository, tree, trees::of_commit(repository, Some(target))?, theirs.tree)?
                .map_err(|conflicts| conflict(&format!("cannot bring in `{shown}`"), &conflicts))?;
            outline.uncommitted = theirs.tree != tree;
            (Some((branch, target)), Sides { target: head_tree, ancestor: head_tree, theirs: merged, applied: None })
        }
        (head, _) => {
            let ancestor = match head {
                Some(head) => trees::of_commit(repository, Some(head))?,
                None => super::base_tree(workspace, scratch)?,
            };
            outline.uncommitted = theirs.tree != ancestor;
            (None, Sides { target: head_tree, ancestor, theirs: theirs.tree, applied: None })
        }
    };
    let writing = writing::plan(scratch, &dir, &state.index, sides)?
        .map_err(|conflicts| conflict(&format!("cannot bring in `{}`", path.display()), &conflicts))?;
    outline.changes = writing.changes(scratch)?;
    outline.commit = target.as_ref().map(|(_, commit)| *commit).or(state.head);
    outline.old_commit = state.head;
    outline.up_to_date = target.is_none() && writing.steps.is_empty();
    Ok(FromPlan { scratch: opened, target, writing, outline })
}

/// Reads the files of a project as the workspace's own are read; nothing is kept.
fn work_of(scratch: &Store, path: &Path, head: Option<Oid>, index: &Indexed, config: &Config) -> Result<Work> {
    let excludes = ignore::global_excludes(&config.environment);
    let spec = CaptureSpec {
        tree: path,
        seen: &PathBuf::from("/dev/null/none"),
        base: head,
        limits: &config.capture,
        excludes: excludes.as_deref(),
        brought: &[],
        alone: false,
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    let snapshot = snapshot::capture(scratch, &spec, &Silent)?;
    work::work(scratch, &snapshot, head, (head, None), index)
}

impl FromPlan {
    pub(crate) fn into_outline(self) -> Outline {
        self.outline
    }

    pub(crate) fn apply(self, workspace: &mut LeasedWorkspace, state: &State) -> Result<Outline> {
        let scratch = self.scratch.as_ref().unwrap_or(&state.store);
        if let Some((branch, target)) = &self.target {
            pack::write_missing(scratch.repository(), &[*target], state.store.path())?;
            state.store.repository().odb()?.refresh()?;
            let pool = workspace.record.pool.as_ref().map(|key| Pool::open(workspace.at(), key)).transpose()?;
            let base = base(workspace, state, pool.as_ref(), *target)?;
            let to = upstream::Move { branch, target: Some(*target), base };
            upstream::move_to(workspace, state, pool.as_ref(), scratch, to, Some(&self.writing))?;
        } else if !self.writing.steps.is_empty() {
            let id = super::stamp();
            state.store.set_ref(&format!("refs/backups/{id}-tree"), state.snapshot.commit)?;
            let moves = self.writing.moves(scratch, &Dir::open(&workspace.tree())?, &id)?;
            let kept = super::backup(&moves, scratch, &state.store, "files before and after a sync")?;
            let sync = Tree { id, moves: kept.to_string(), base: None, decided: false };
            pending::make_tree(workspace, &state.store, &moves, &sync, None)?;
        }
        workspace.record_mut().last_used = jiff::Timestamp::now();
        workspace.save()?;
        Ok(self.outline)
    }
}

/// Returns the merge base with upstream, which may have come along.
fn base(workspace: &Workspace, state: &State, pool: Option<&Pool>, head: Oid) -> Result<Option<Oid>> {
    let (Some(pool), Some(upstream)) = (pool, workspace.record.upstream.clone()) else { return Ok(None) };
    let name = format!("refs/heads/{upstream}");
    let Some((_, tip)) = pool.refs()?.into_iter().find(|(other, _)| *other == name) else { return Ok(None) };
    join::merge_base(state.store.repository(), head, tip)
}
