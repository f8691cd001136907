//! Keeping what only the agent's `.git` has: commits, stash entries and staged contents go into the store, after each run and
//! before anything that may destroy them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use rustix::fs::FileType;

use crate::error::Result;
use crate::git::agentdir;
use crate::git::import::{self, Bounds, Imported};
use crate::git::repository::Store;
use crate::git::snapshot::Meta;
use crate::store::beneath::Dir;
use crate::workspace::Workspace;

/// Keeps what the `.git` of the tree has.
pub(crate) fn commits(workspace: &Workspace, store: &Store) -> Result<Imported> {
    const FAILED: &str = "cannot keep the commits of the workspace";
    let tree = Dir::open(&workspace.tree())?;
    let imported = import::import(store, &tree).context(FAILED)?;
    // Whatever else is in its place is named by the snapshot.
    if let Some((name, reason)) = imported.refs.bad.iter().find(|(name, _)| name == ".git")
        && tree.stat(Path::new(name))?.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
    {
        return Err(anyhow::anyhow!("{reason}").context(FAILED));
    }
    Ok(imported)
}

/// Keeps the commits of nested repositories and submodules too. What cannot come over whole stays in the tree alone: it is
/// told as nested, and keeps the workspace from being collected. Returns how many were not looked at, since there are so many
/// that it would take too long.
pub(crate) fn nested(workspace: &Workspace, store: &Store, meta: &Meta) -> Result<usize> {
    let tree = Dir::open(&workspace.tree())?;
    let tops = std::iter::once(&[][..]).chain(meta.nested.iter().map(|(name, _)| name.as_slice()));
    let mut paths = Vec::new();
    for top in tops {
        // What the agent's `.git` file says is not followed: submodules are found below `modules/`.
        let path = Path::new(OsStr::from_bytes(top)).join(".git");
        let Ok(git) = tree.dir(&path) else { continue };
        paths.extend(agentdir::modules(&git).into_iter().map(|module| path.join(module)));
        if !top.is_empty() {
            paths.push(path);
        }
    }
    let mut bounds = Bounds::left(store);
    let until = Instant::now() + bounds.time;
    let mut left = paths.len();
    for path in paths {
        bounds.time = until.saturating_duration_since(Instant::now());
        if bounds.time.is_zero() {
            break;
        }
        left -= 1;
        let Ok(git) = tree.dir(&path) else { continue };
        let failed = || format!("cannot keep the commits of `{}`", path.display().to_string().escape_debug());
        import::import_from(store, &git, bounds).with_context(failed)?;
    }
    Ok(left)
}
