//! What of a local project comes along that is not in the commit: its uncommitted changes when asked for, and the ignored files
//! that its `.worktreeinclude` names.

use std::path::{Path, PathBuf};

use crate::error::{Failure, Result};
use crate::git::uncommitted::Uncommitted;
use crate::store::beneath::Dir;
use crate::workspace::files::{self, Pair};
use crate::workspace::record::Import;

#[derive(Debug, Default)]
pub(super) struct Brought {
    pub(super) brought: Vec<PathBuf>,
    pub(super) left_out: usize,
    /// Why nobody knows what was left out.
    pub(super) unread: Option<Failure>,
    /// FIFOs and the like that were to come along, and cannot.
    pub(super) special: Vec<PathBuf>,
    /// Submodules whose changes stay where they are.
    pub(super) submodules: Vec<PathBuf>,
}

/// Brings into `tree` what is wanted of what was found in the project.
pub(super) fn from_project(project: &Path, state: Uncommitted, tree: &Dir, with_changes: bool) -> Result<Brought> {
    let mut wanted = state.included;
    let mut left_out = state.changed.len() + state.deleted.len();
    if with_changes {
        if let Some(unread) = state.unread {
            return Err(unread.into());
        }
        left_out = 0;
        wanted.extend(state.changed);
        for path in &state.deleted {
            tree.unlink(path)?;
        }
    }
    wanted.sort();
    wanted.dedup();
    for path in &wanted {
        // A file that became a directory or a link, or the other way round.
        tree.remove_all(path)?;
    }
    let pairs: Vec<Pair> =
        wanted.into_iter().map(|path| Pair { source: project.join(&path), destination: path }).collect();
    let brought = files::import_as_is(tree, &pairs, true)?;
    Ok(Brought { brought, left_out, unread: state.unread, special: state.special, submodules: state.submodules })
}

/// Returns from where the `destinations` of `pairs` were copied, as far as both are text.
pub(super) fn origins(pairs: &[Pair], destinations: &[PathBuf]) -> Vec<Import> {
    let origin = |(pair, destination): (&Pair, &PathBuf)| {
        let from = pair.source.canonicalize().ok()?.into_os_string().into_string().ok()?;
        Some(Import { from, to: destination.to_str()?.to_owned() })
    };
    pairs.iter().zip(destinations).filter_map(origin).collect()
}
