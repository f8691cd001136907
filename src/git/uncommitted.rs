//! What a local project's working tree holds that its HEAD does not. The project is the user's own and trusted; nothing in
//! it is written.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use git2::{Repository, Status, StatusOptions, SubmoduleIgnore, SubmoduleStatus};

use crate::error::{Failure, Kind, Result};
use crate::git::ignore::Patterns;
use crate::git::local;
use crate::git::sync::indexed::Indexed;

/// Names the ignored files that new workspaces get, in the syntax of `.gitignore`.
const INCLUDE: &str = ".worktreeinclude";

/// The difference between a working tree and its HEAD; paths relative to the top.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uncommitted {
    /// Files and links that are new or changed.
    pub(crate) changed: Vec<PathBuf>,
    pub(crate) deleted: Vec<PathBuf>,
    /// Ignored files that `.worktreeinclude` names.
    pub(crate) included: Vec<PathBuf>,
    /// FIFOs, sockets and devices that it names too.
    pub(crate) special: Vec<PathBuf>,
    /// Submodules that are at another commit than in HEAD, or have changes of their own.
    pub(crate) submodules: Vec<PathBuf>,
    /// Why nobody can say what is changed or deleted: git keeps the index in a form that libgit2 does not read.
    pub(crate) unread: Option<Failure>,
}

/// Looks at the project at `path`; `None` when it is bare.
pub(crate) fn of(path: &Path) -> Result<Option<Uncommitted>> {
    let repository = local::open(path)?;
    let Some(top) = repository.workdir() else { return Ok(None) };
    let failed = || format!("cannot read the state of `{}`", path.display());
    let mut options = StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).include_ignored(false).exclude_submodules(true);
    let statuses = match repository.statuses(Some(&mut options)) {
        Ok(statuses) => statuses,
        Err(error) => {
            let unread = Some(unsupported(path, &error).ok_or(error).with_context(failed)?);
            return Ok(Some(Uncommitted { unread, ..included(&repository, top)? }));
        }
    };
    let mut found =
        Uncommitted { submodules: submodules(&repository).with_context(failed)?, ..included(&repository, top)? };
    for entry in statuses.iter() {
        // A nested repository shows as a directory: it is not the project's.
        let name = entry.path_bytes();
        if name.ends_with(b"/") {
            continue;
        }
        let relative = PathBuf::from(OsStr::from_bytes(name));
        if entry.status().intersects(Status::IGNORED) {
            continue;
        }
        match top.join(&relative).symlink_metadata() {
            Ok(metadata) if metadata.is_file() || metadata.is_symlink() => found.changed.push(relative),
            // A FIFO or the like is nothing that could come along.
            Ok(_) => {}
            Err(_) => found.deleted.push(relative),
        }
    }
    if !found.deleted.is_empty() {
        // What a sparse checkout leaves out is not deleted.
        let index = Indexed::of_project(&repository);
        found.deleted.retain(|path| !index.skips(path.as_os_str().as_bytes()));
    }
    Ok(Some(found))
}

/// Returns what to say of an index in a form that libgit2 does not read; `None` for another error.
fn unsupported(path: &Path, error: &git2::Error) -> Option<Failure> {
    if !error.message().contains("unsupported mandatory extension") {
        return None;
    }
    let (what, hint) = match error.message() {
        message if message.contains("'link'") => {
            ("a split index", "`git update-index --no-split-index` makes it whole")
        }
        message if message.contains("'sdir'") => {
            ("a sparse index", "`git sparse-checkout reapply --no-sparse-index` makes it whole")
        }
        _ => ("an index with an unknown extension", "`git ls-files --stage` reads it"),
    };
    let message = format!("cannot read the state of `{}`: {what} is not supported", path.display());
    Some(Failure::new(Kind::Unsupported, message).hint(hint))
}

/// Returns the submodules that `git status` names. One that cannot be read counts: what is in it does not come along either.
fn submodules(repository: &Repository) -> Result<Vec<PathBuf>> {
    const GITLINK: u32 = 0o160_000;
    let index = repository.index()?;
    let mut found = Vec::new();
    for entry in index.iter().filter(|entry| entry.mode == GITLINK) {
        let Ok(path) = std::str::from_utf8(&entry.path) else { continue };
        let is_changed = repository.submodule_status(path, SubmoduleIgnore::Unspecified).map_or(true, |status| {
            let staged = SubmoduleStatus::INDEX_ADDED | SubmoduleStatus::INDEX_MODIFIED;
            // Its commit, and what is staged, changed or new in it.
            let changed = SubmoduleStatus::WD_MODIFIED
                | SubmoduleStatus::WD_INDEX_MODIFIED
                | SubmoduleStatus::WD_WD_MODIFIED
                | SubmoduleStatus::WD_UNTRACKED;
            status.intersects(staged | changed)
        });
        if is_changed {
            found.push(PathBuf::from(path));
        }
    }
    Ok(found)
}

/// Looks for what `.worktreeinclude` names.
fn included(repository: &Repository, top: &Path) -> Result<Uncommitted> {
    let mut found = Uncommitted::default();
    let list = top.join(INCLUDE);
    if !list.is_file() {
        return Ok(found);
    }
    let content = std::fs::read(&list).with_context(|| format!("cannot read `{}`", list.display()))?;
    let rules = Patterns::parse(&content);
    let walk = walkdir::WalkDir::new(top).min_depth(1).into_iter().filter_entry(|entry| entry.file_name() != ".git");
    for entry in walk.flatten() {
        if entry.file_type().is_dir() {
            continue;
        }
        let Ok(relative) = entry.path().strip_prefix(top) else { continue };
        if rules.decide(relative.as_os_str().as_bytes()) == Some(true)
            && repository.is_path_ignored(relative).unwrap_or(false)
        {
            let kind = entry.file_type();
            let is_special = !kind.is_file() && !kind.is_symlink();
            if is_special { &mut found.special } else { &mut found.included }.push(relative.to_owned());
        }
    }
    Ok(found)
}
