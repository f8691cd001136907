//! Putting the `.git` files of submodules and linked worktrees back.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use super::gitdirs::ASIDE;
use super::tree::{as_path, find_at};
use crate::error::Result;
use crate::git::gitdir::Files;
use crate::git::meta::{GitFile, MAX_GIT_FILE};
use crate::git::recorded::{Recorded, join};
use crate::git::repository::Store;
use crate::git::{agentdir, gitdir};
use crate::store::beneath::Dir;
use crate::workspace::agentgit::Running;

/// A `.git` that was a file and is not as it was.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) repository: Vec<u8>,
    file: GitFile,
    /// It leads to a repository of which nobody knows what it would run.
    is_held: bool,
}

/// Returns what is to be put back in the tree at `at`. What the snapshot has not recorded is taken from what the undo which is
/// undone had put aside into `undone`.
pub(super) fn links(
    store: &Store,
    at: &Path,
    was: &Recorded,
    is: &Recorded,
    undone: Option<&Path>,
) -> Result<Vec<Link>> {
    let aside = undone.and_then(|undone| Dir::open(&undone.join(ASIDE)).ok());
    let mut targets = Targets::new(store, at, was);
    let mut links = Vec::new();
    for path in was.nested.iter().filter(|path| !was.gitdirs.contains_key(*path)) {
        let read = || aside.as_ref()?.read(as_path(&join(path, b".git")), MAX_GIT_FILE).ok()?;
        let known = was.git_files.get(path).cloned();
        let Some(file) = known.or_else(|| Some(GitFile { mode: 0o644, content: read()? })) else { continue };
        if is.git_files.get(path) != Some(&file) {
            let is_held = !targets.has(path, &file)?;
            links.push(Link { repository: path.clone(), file, is_held });
        }
    }
    Ok(links)
}

/// What the `.git` files of a snapshot may lead to; each `.git` is read once.
pub(super) struct Targets<'a> {
    store: &'a Store,
    /// The path of the tree.
    at: &'a Path,
    was: &'a Recorded,
    read: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Files>>,
}

impl<'a> Targets<'a> {
    pub(super) fn new(store: &'a Store, at: &'a Path, was: &'a Recorded) -> Self {
        Self { store, at, was, read: BTreeMap::new() }
    }

    /// Returns whether the `.git` file of the repository at `path` leads to the git directory of a submodule or of a linked
    /// worktree that is recorded too: what that would run is found there.
    pub(super) fn has(&mut self, path: &[u8], file: &GitFile) -> Result<bool> {
        let Some((around, below)) = agentdir::target_of_file(&file.content, self.at, as_path(path)) else {
            return Ok(false);
        };
        let (around, below) = (around.as_os_str().as_encoded_bytes(), below.as_os_str().as_encoded_bytes());
        let Some(git) = self.was.gitdirs.get(around) else { return Ok(false) };
        let repository = self.store.repository();
        if !self.read.contains_key(around) {
            self.read.insert(around.to_vec(), gitdir::parts(gitdir::files(repository, *git)?));
        }
        let parts = &self.read[around];
        if let Some(name) = below.strip_prefix(b"worktrees/") {
            let of_it = |file: &[u8]| parts.get(&b""[..])?.get(&join(below, file));
            let common = of_it(b"commondir").filter(|file| !file.is_link()).map(|file| repository.find_blob(file.id));
            let is_usual = matches!(common, Some(Ok(blob)) if blob.content().trim_ascii() == b"../..");
            return Ok(is_usual && !name.contains(&b'/') && of_it(b"config.worktree").is_none());
        }
        if !below.starts_with(b"modules/") {
            return Ok(false);
        }
        // Of one that nobody could read, or that an older snapshot lacks, nothing but what is harmless comes over.
        let is_unread = self.was.unrecorded.contains_key(&join(&join(around, b".git"), below));
        Ok(is_unread || !self.was.with_modules.contains(around) || parts.contains_key(below))
    }
}

/// Returns whether this very file is at `place`.
pub(super) fn is_at(tree: &Dir, place: &Path, file: &GitFile) -> bool {
    let is_its = |stat: rustix::fs::Stat| stat.st_mode & 0o777 == file.mode & 0o777;
    matches!(tree.stat(place), Ok(Some(stat)) if is_its(stat))
        && matches!(tree.read(place, MAX_GIT_FILE), Ok(Some(content)) if content == file.content)
}

impl Link {
    /// Returns its path when it stays out unless what runs commands is put back.
    pub(super) fn held(&self) -> Option<String> {
        self.is_held.then(|| String::from_utf8_lossy(&self.gitdir()).into_owned())
    }

    pub(super) fn gitdir(&self) -> Vec<u8> {
        join(&self.repository, b".git")
    }

    /// Puts it back where nothing is; `own` is the directory of the undo's record, so that nothing half-made is ever in the tree.
    pub(super) fn put(&self, tree: &Dir, own: &Path, running: Running) -> Result<()> {
        let (place, fresh) = (self.gitdir(), Path::new("git-file"));
        let place = as_path(&place);
        if self.is_held && running == Running::Dropped || find_at(tree, place.as_os_str().as_encoded_bytes())?.is_some()
        {
            return Ok(());
        }
        let own = Dir::open(own)?;
        own.unlink(fresh)?;
        let mut file = own.create_file(fresh, 0o600)?;
        file.write_all(&self.file.content)
            .and_then(|()| file.set_permissions(Permissions::from_mode(self.file.mode & 0o777)))
            .with_context(|| format!("cannot write `{}`", place.display()))?;
        let around = as_path(&self.repository);
        tree.with_access(around, || tree.create_dir_all(around))?;
        tree.with_access(place, || own.rename(fresh, tree, place))
    }
}
