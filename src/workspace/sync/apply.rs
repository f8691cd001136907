//! `--to PATH --apply`: the work into a working tree or plain folder, merged with what is there; all or nothing.
//!
//! The target's index and branches stay as they are. What is replaced is kept in the store first.

use std::path::{Path, PathBuf};

use crate::git::Repository;
use anyhow::Context;

use super::pending::{self, Apply};
use super::{Outline, Said, State, revert};
use crate::error::{Failure, Kind, Result};
use crate::git::Oid;
use crate::git::repository::Store;
use crate::git::sync::indexed::Indexed;
use crate::git::sync::writing::{self, Sides, Writing};
use crate::git::sync::{borrow, branch, conflict, join, trees};
use crate::store::beneath::Dir;
use crate::workspace::{LeasedWorkspace, Workspace};

/// What `--apply` would do.
pub(crate) struct ApplyPlan {
    path: PathBuf,
    /// Knows the target's objects too and keeps nothing; `None` when the state's own store does.
    scratch: Option<Store>,
    writing: Writing,
    outline: Outline,
}

/// Plans to bring the work into the directory at `path`.
pub(crate) fn plan(workspace: &Workspace, state: &State, path: &Path, said: &Said, dry: bool) -> Result<ApplyPlan> {
    state.check_merged(workspace)?;
    state.check_lfs()?;
    let path = super::outside_root(workspace, path)?;
    let target = path.display().to_string();
    let opened = state.scratch(workspace)?;
    let scratch = opened.as_ref().unwrap_or(&state.store);
    let applied = super::delivered_commit(workspace, &target, None);
    let project = project(&path)?;
    let index = project.as_ref().map(Indexed::of_project).unwrap_or_default();
    let sides = sides(workspace, state, scratch, &path, project.as_ref(), applied)?;
    let runs_code = super::check_runs_code(scratch, sides.ancestor, sides.theirs, said, dry)?;
    let writing = writing::plan(scratch, &Dir::open(&path)?, &index, sides)?
        .map_err(|conflicts| conflict(&format!("cannot apply to `{target}`"), &conflicts))?;
    let changes = writing.changes(scratch)?;
    let outline = Outline {
        target,
        up_to_date: writing.steps.is_empty(),
        changes,
        left_out: state.left_out(),
        unread: state.work.unread,
        runs_code,
        uncommitted: !state.is_clean()?,
        ..Outline::default()
    };
    Ok(ApplyPlan { path, scratch: opened, writing, outline })
}

fn sides(
    workspace: &Workspace,
    state: &State,
    scratch: &Store,
    path: &Path,
    project: Option<&Repository>,
    applied: Option<Oid>,
) -> Result<Sides> {
    let repository = scratch.repository();
    let applied = applied.and_then(|applied| repository.find_commit(applied).ok()).map(|applied| applied.tree_id());
    let theirs = state.work.tree;
    let Some(project) = project else {
        check_not_inside(workspace, path)?;
        // A copy of the project's files, unless it is empty: then all of them are new.
        let is_empty =
            std::fs::read_dir(path).with_context(|| format!("cannot list `{}`", path.display()))?.next().is_none();
        let base = if is_empty { trees::of_commit(repository, None)? } else { super::base_tree(workspace, scratch)? };
        let (target, ancestor) = if applied.is_some() {
            let empty = trees::of_commit(repository, None)?;
            let base = super::base_tree(workspace, scratch)?;
            let was_empty = !is_empty && !holds_base(path, repository, base)?;
            if was_empty { (empty, empty) } else { (base, base) }
        } else {
            (base, base)
        };
        return Ok(Sides { target, ancestor, theirs, applied });
    };
    borrow::objects(scratch, project)?;
    let head = branch::head(project)?;
    let base = match (state.head, head) {
        (Some(ours), Some(head)) => join::merge_base(repository, ours, head)?,
        _ => None,
    };
    let ancestor = match base {
        Some(base) => trees::of_commit(repository, Some(base))?,
        None => super::base_tree(workspace, scratch)?,
    };
    let target = trees::of_commit(repository, head)?;
    Ok(Sides { target, ancestor, theirs, applied })
}

/// Returns whether a folder holds a file of the base: it is a copy of the project then, not one that only got the work.
fn holds_base(path: &Path, repository: &Repository, base: Oid) -> Result<bool> {
    use std::os::unix::ffi::OsStrExt;
    let tree = repository.find_tree(base)?;
    Ok(tree.iter().any(|entry| path.join(std::ffi::OsStr::from_bytes(entry.name_bytes())).symlink_metadata().is_ok()))
}

/// Opens the repository whose working tree `path` is; `None` for a plain folder.
pub(super) fn project(path: &Path) -> Result<Option<Repository>> {
    match path.join(".git").symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        found => found.with_context(|| format!("cannot look at `{}`", path.join(".git").display()))?,
    };
    let project = branch::open(path)?;
    if project.is_bare() {
        return Err(Failure::new(Kind::Usage, format!("`{}` has no working tree", path.display())).into());
    }
    Ok(Some(project))
}

/// A directory inside of the project itself would get the whole tree once more.
fn check_not_inside(workspace: &Workspace, path: &Path) -> Result<()> {
    let Ok(project) = branch::open(path) else { return Ok(()) };
    let (Some(top), Some(base)) = (project.workdir(), workspace.base()) else { return Ok(()) };
    if project.find_commit(base).is_ok() {
        return Err(Failure::new(
            Kind::Usage,
            format!("`{}` is inside of the project `{}`", path.display(), top.display()),
        )
        .hint("name the top of the project")
        .into());
    }
    Ok(())
}

impl ApplyPlan {
    pub(crate) fn into_outline(self) -> Outline {
        self.outline
    }

    pub(crate) fn apply(self, workspace: &mut LeasedWorkspace, state: &State) -> Result<Outline> {
        let applied = state.store.commit(state.work.tree, &[], &format!("applied to {}", self.outline.target))?;
        let stamp = super::stamp();
        state.store.set_ref(&format!("refs/applied/{stamp}"), applied)?;
        if self.writing.steps.is_empty() {
            super::remember(workspace, &self.outline.target, None, applied)?;
            return Ok(self.outline);
        }
        let scratch = self.scratch.as_ref().unwrap_or(&state.store);
        let dir = Dir::open(&self.path)?;
        let moves = self.writing.moves(scratch, &dir, &stamp)?;
        let kept = super::backup(&moves, scratch, &state.store, &revert::message(&self.outline.target, None))?;
        let apply = Apply {
            id: stamp,
            target: self.outline.target.clone(),
            moves: kept.to_string(),
            applied: Some(applied.to_string()),
            decided: false,
        };
        pending::make(workspace, &state.store, &dir, &moves, apply)?;
        Ok(self.outline)
    }
}
