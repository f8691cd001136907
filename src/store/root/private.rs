//! Which of stead's own directories and files others could read or enter. What is below a tree or a home is the agent's.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::Mode;

use super::{PARTS, Root};
use crate::error::Result;
use crate::store::fs;

/// One that is not as private as it was made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Loose {
    pub(crate) path: PathBuf,
    /// It belongs to somebody else; only its owner can mend that.
    pub(crate) foreign: bool,
}

/// Returns what others could read or enter, or own, of the root's parts, users, states and runs.
pub(crate) fn loose(root: &Root) -> Result<Vec<Loose>> {
    let me = rustix::process::geteuid().as_raw();
    let mut found = Vec::new();
    for path in own(root)? {
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        let foreign = metadata.uid() != me;
        if !metadata.is_symlink() && (foreign || metadata.mode() & 0o077 != 0) {
            found.push(Loose { path, foreign });
        }
    }
    Ok(found)
}

/// Takes the others' permissions away.
pub(crate) fn tighten(path: &Path) -> Result<()> {
    let mode = std::fs::symlink_metadata(path).map(|metadata| metadata.mode() & 0o700);
    let mode = mode.with_context(|| format!("cannot read `{}`", path.display()))?;
    rustix::fs::chmod(path, Mode::from_raw_mode(mode))
        .with_context(|| format!("cannot make `{}` private", path.display()))
}

fn own(root: &Root) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = PARTS.iter().map(|part| root.path().join(part)).collect();
    for part in ["locks", "workspaces", "state", "homes"] {
        let users = fs::entries(&root.path().join(part))?;
        if part == "state" || part == "homes" {
            for user in &users {
                paths.extend(fs::entries_of_directory(user)?);
            }
        }
        paths.extend(users);
    }
    for user in fs::entries_of_directory(&root.path().join("state"))? {
        for state in fs::entries_of_directory(&user)? {
            let runs = fs::entries_of_directory(&state.join("runs"))?;
            for run in &runs {
                // A `.git` file that was put aside is as the agent had made it.
                let files = fs::entries_of_directory(run)?.into_iter().filter(|path| !path.ends_with("git"));
                paths.extend(files.filter(|path| path.is_file()));
            }
            paths.extend(runs);
            paths.push(state.join("runs"));
        }
    }
    Ok(paths)
}
