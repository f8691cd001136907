//! An extra repository inside a workspace's tree. It owns its objects: the record names one pool only, and a pool that nothing
//! names is collected.

use std::path::{Path, PathBuf};

use crate::error::{Failure, Kind, Result};
use crate::git::checkout::{self, Checkout};
use crate::git::pool::Pool;
use crate::progress::Progress;
use crate::store::beneath::Dir;
use crate::store::staging::Staging;
use crate::workspace::create::{CreateSpec, Start, agent_git, start};
use crate::workspace::{LeasedWorkspace, agentgit, files};

/// What was put into the tree.
#[derive(Debug)]
pub(crate) struct Added {
    /// Relative to the tree.
    pub(crate) destination: PathBuf,
    pub(crate) start: Start,
    pub(crate) checkout: Checkout,
}

/// Checks a repository out at `destination` below the tree, where nothing may be yet.
pub(crate) fn add(
    workspace: &mut LeasedWorkspace,
    spec: &CreateSpec,
    pool: &Pool,
    destination: &Path,
    progress: &dyn Progress,
) -> Result<Added> {
    let destination = files::beneath(destination)?;
    let tree = Dir::open(&workspace.tree())?;
    let taken = || Failure::new(Kind::Exists, format!("`{}` exists in the tree", destination.display()));
    if tree.stat(&destination)?.is_some() {
        return Err(taken().into());
    }
    let start = start::choose(spec, workspace.name(), Some(pool))?;
    let staging = Staging::create(workspace.at().root())?;
    let built = Dir::open(staging.path())?;
    built.create_dir_all(Path::new("tree"))?;
    let place = staging.path().join("tree");
    let checkout = match start.commit {
        Some(commit) => checkout::checkout(pool.path(), commit, &place, progress)?,
        None => Checkout::default(),
    };
    let mut git = agent_git(spec, Some(pool), &start, &checkout)?;
    git.pool = None;
    agentgit::build(&git, &place.join(".git"))?;
    pool.copy_objects_to(&place.join(".git"), progress)?;
    if let Some(parent) = destination.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        tree.create_dir_all(parent)?;
    }
    if tree.stat(&destination)?.is_some() {
        return Err(taken().into());
    }
    built.rename(Path::new("tree"), &tree, &destination)?;
    workspace.touch()?;
    Ok(Added { destination, start, checkout })
}
