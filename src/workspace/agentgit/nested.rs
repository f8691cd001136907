//! Taking out of the git directories of nested repositories what would run commands: their configuration keeps what is
//! harmless, hooks and the like go.
//!
//! Everything else stays where it is, since nobody but the agent builds these. What is taken out is kept under the path that
//! it had; no git directory is without its configuration at any moment.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::settings;
use crate::error::Result;
use crate::git::agentdir;
use crate::store::beneath::Dir;
use crate::workspace::Workspace;

/// Returns what nested repositories, in the directories `tops` of the tree, would run commands by; with its paths.
pub(crate) fn held(workspace: &Workspace, tops: &[PathBuf]) -> Result<Vec<String>> {
    let at = workspace.tree();
    let tree = Dir::open(&at)?;
    Ok(tops.iter().flat_map(|top| agentdir::held_nested(&tree, &at, top)).collect())
}

/// Moves that away, into the new directory `keep`.
pub(crate) fn clean(workspace: &Workspace, tops: &[PathBuf], keep: &Path) -> Result<()> {
    let at = workspace.tree();
    let tree = Dir::open(&at)?;
    std::fs::create_dir_all(keep).with_context(|| format!("cannot make `{}`", keep.display()))?;
    let keep = Dir::open(keep)?;
    for top in tops.iter().filter(|top| !agentdir::held_nested(&tree, &at, top).is_empty()) {
        let place = top.join(".git");
        let Ok(git) = tree.dir(&place) else {
            // It leads elsewhere, or nobody may enter it.
            keep.create_dir_all(top)?;
            tree.rename(&place, &keep, &place)?;
            continue;
        };
        one(&git, None, &keep, &place)?;
        for module in agentdir::modules(&git) {
            one(&git.dir(&module)?, Some(&module), &keep, &place.join(&module))?;
        }
    }
    Ok(())
}

/// Cleans one git directory; `module` is its path below `.git` when it is one of a submodule, `at` the one that it has in `keep`.
fn one(git: &Dir, module: Option<&Path>, keep: &Dir, at: &Path) -> Result<()> {
    if !agentdir::runs_something(git, module) {
        return Ok(());
    }
    let keep = keep.create_dir_all(at)?;
    let config = Path::new("config");
    if git.stat(config)?.is_some() {
        let worktree = module.and_then(|module| settings::worktree_in(git, module));
        let kept = [settings::harmless_in(git), worktree.into_iter().collect()].concat();
        super::put(&keep, "config", settings::text(&kept).as_bytes())?;
        keep.exchange_with(config, git, config)?;
    }
    for name in ["hooks", "config.worktree", "commondir"].map(Path::new) {
        if git.stat(name)?.is_some() {
            git.rename(name, &keep, name)?;
        }
    }
    Ok(())
}
