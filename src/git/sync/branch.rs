//! Branches of a project: written by compare-and-swap, never the one that somebody has checked out.

use std::path::{Path, PathBuf};

use anyhow::Context;
use git2::{ErrorCode, Repository, RepositoryOpenFlags};

use crate::error::{Failure, Kind, Result};
use crate::git::repository::Store;
use crate::git::{Oid, pack};

/// Opens the project at `path` or around it; `not-found` when there is none.
pub(crate) fn open(path: &Path) -> Result<Repository> {
    let none: [&std::ffi::OsStr; 0] = [];
    Repository::open_ext(path, RepositoryOpenFlags::CROSS_FS, none).map_err(|error| {
        if error.code() == ErrorCode::NotFound {
            Failure::new(Kind::NotFound, format!("`{}` is not in a git repository", path.display()))
                .hint("for a plain folder use `--apply`")
                .into()
        } else {
            anyhow::Error::new(error).context(format!("cannot open the repository `{}`", path.display()))
        }
    })
}

/// Returns what a ref names; `None` when it is not there.
pub(crate) fn target(project: &Repository, name: &str) -> Result<Option<Oid>> {
    match project.refname_to_id(name) {
        Ok(id) => Ok(Some(id)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{name}`")),
    }
}

/// Returns a branch beside which `name` cannot be: one is a directory to the other.
pub(crate) fn in_the_way(project: &Repository, name: &str) -> Result<Option<String>> {
    let parents = name.match_indices('/').map(|(at, _)| &name[..at]).filter(|parent| parent.len() > "refs/heads".len());
    for parent in parents {
        if target(project, parent)?.is_some() {
            return Ok(Some(parent.to_owned()));
        }
    }
    let below = project.references_glob(&format!("{name}/*")).context("cannot list the project's branches")?;
    let first = below.flatten().find_map(|reference| reference.name().ok().map(str::to_owned));
    Ok(first)
}

/// Returns the commit of a project's HEAD; `None` when it has none yet.
pub(crate) fn head(project: &Repository) -> Result<Option<Oid>> {
    match project.head() {
        Ok(head) => Ok(Some(head.peel_to_commit().context("cannot read the commit of the project's HEAD")?.id())),
        Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
            // libgit2 takes a file that it cannot read for one that is not there.
            let head = project.find_reference("HEAD").context("cannot read the project's HEAD")?;
            let branch = head.symbolic_target().ok().flatten().context("cannot read the project's HEAD")?;
            for (file, names) in [(branch, ""), ("packed-refs", branch)] {
                let path = project.commondir().join(file);
                match std::fs::read_to_string(&path) {
                    Ok(text) if names.is_empty() || text.lines().any(|line| line.ends_with(&format!(" {names}"))) => {
                        return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
                    }
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
                }
            }
            Ok(None)
        }
        Err(error) => Err(error).context("cannot read the project's HEAD"),
    }
}

/// Returns the working tree in which the branch is checked out, linked ones included.
pub(crate) fn checked_out(project: &Repository, name: &str) -> Result<Option<PathBuf>> {
    let common = Repository::open(project.commondir()).context("cannot open the project")?;
    let on_branch = |repository: &Repository| -> Result<Option<String>> {
        let head = repository.find_reference("HEAD");
        let head = head.with_context(|| format!("cannot read the HEAD of `{}`", repository.path().display()))?;
        Ok(head.symbolic_target().ok().flatten().map(str::to_owned))
    };
    if let Some(directory) = common.workdir()
        && on_branch(&common)?.as_deref() == Some(name)
    {
        return Ok(Some(directory.to_owned()));
    }
    for worktree in common.worktrees().context("cannot list the project's working trees")?.iter().flatten().flatten() {
        let worktree = common.find_worktree(worktree)?;
        // One whose directory is gone has nothing checked out.
        let Ok(linked) = Repository::open_from_worktree(&worktree) else { continue };
        if on_branch(&linked)?.as_deref() == Some(name) {
            return Ok(Some(worktree.path().to_owned()));
        }
    }
    Ok(None)
}

/// Copies what `commit` needs and the project lacks, and moves the branch from `expected` (`None`: not there) to it.
///
/// Fails as a conflict when the branch is not where it is expected.
pub(crate) fn deliver(
    store: &Store,
    project: &Repository,
    name: &str,
    commit: Oid,
    expected: Option<Oid>,
) -> Result<()> {
    pack::write_missing(store.repository(), &[commit], project.commondir())?;
    // Opened anew, so that it sees the pack.
    let project = Repository::open(project.commondir()).context("cannot open the project")?;
    let log = "stead: sync";
    let moved = match expected {
        Some(expected) => project.reference_matching(name, commit, true, expected, log),
        None => project.reference(name, commit, false, log),
    };
    match moved {
        Ok(_) => Ok(()),
        Err(error) if error.code() == ErrorCode::Locked => Err(locked(&project.commondir().join(name))),
        Err(error) if matches!(error.code(), ErrorCode::Modified | ErrorCode::Exists) => {
            Err(Failure::new(Kind::Conflict, format!("`{name}` was moved by somebody else meanwhile")).into())
        }
        Err(error) => Err(error).with_context(|| format!("cannot write `{name}`")),
    }
}

/// Somebody writes the ref whose file is at `path`, or was cut off in it and has left the lock behind.
fn locked(path: &Path) -> anyhow::Error {
    let lock = format!("{}.lock", path.display());
    Failure::new(Kind::Busy, format!("a git is writing the branch: `{lock}` is there"))
        .hint("try again; if no git is at work there, one was cut off: remove that file")
        .into()
}
