//! Putting the `.git` of the tree and of nested repositories back: built anew beside the run's record and exchanged. May be
//! cut off and begun again at any point.
//!
//! ```text
//! runs/UNDO/git-N-build/.git    under construction
//! runs/UNDO/git-N-new-INODE     whole; after the exchange it is the old one, which its inode tells
//! runs/UNDO/git/PATH/.git       the old one
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::links;
use super::tree::{as_path, find_at};
use crate::error::Result;
use crate::git::meta::GitFile;
use crate::git::recorded::{Recorded, join};
use crate::git::repository::Store;
use crate::git::{Oid, agentdir, gitdir, import};
use crate::progress::Silent;
use crate::store::beneath::Dir;
use crate::store::fs::{self, Durability};
use crate::workspace::Workspace;
use crate::workspace::agentgit::rebuild::{self, Lacks, Recorded as Files};
use crate::workspace::agentgit::{self, Running};

/// Where in the directory of the run the old ones are.
pub(super) const ASIDE: &str = "git";

/// A `.git` that is to be as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    /// The path of the repository; that of the tree itself is empty.
    pub(super) path: Vec<u8>,
    /// The tree of its small files; `None` when there was none.
    pub(super) then: Option<Oid>,
    /// Permission bits that are not as usual, by the paths in it.
    modes: BTreeMap<Vec<u8>, u32>,
    /// Paths in it that could not be read then.
    unread: Vec<Vec<u8>>,
    /// The file that comes into its place.
    file: Option<GitFile>,
    /// Whether submodules' git directories are recorded with it, if there were any.
    with_modules: bool,
    /// Those that are in the tree as they were, with their objects.
    settled: BTreeSet<Vec<u8>>,
    /// Its place among all repositories of both snapshots.
    number: usize,
}

/// Returns what has to be replaced: what differs by its small files, and what has lost objects.
pub(super) fn replacements(
    workspace: &Workspace,
    store: &Store,
    tree: &Dir,
    was: &Recorded,
    is: &Recorded,
) -> Result<Vec<Replacement>> {
    // A `.git` that is a file: of submodules and linked worktrees.
    let new = is.nested.iter().filter(|path| !was.nested.contains(*path));
    let changed = was.git_files.iter().filter(|(path, file)| is.git_files.get(*path) != Some(*file));
    let changed = changed.map(|(path, _)| path).filter(|path| is.nested.contains(*path));
    let paths: BTreeSet<&Vec<u8>> = was.gitdirs.keys().chain(is.gitdirs.keys()).chain(new).chain(changed).collect();
    let mut replacements = Vec::new();
    for (number, path) in paths.into_iter().enumerate() {
        let then = was.gitdirs.get(path).copied();
        let modes = modes(was, path);
        let now = is.gitdirs.get(path).copied();
        let is_new = then.is_none() && !path.is_empty();
        let with_modules = was.with_modules.contains(path);
        let differs = match (then, now) {
            _ if is_new => true,
            (Some(then), Some(now)) => !gitdir::is_same(store.repository(), then, now, with_modules)?,
            _ => then != now,
        };
        // One that could not be read cannot be put back.
        let is_known = then.is_some() || !was.unrecorded.contains_key(&join(path, b".git"));
        if !is_known {
            continue;
        }
        let objects = objects(workspace, store, tree, path, (then, now))?;
        if differs || objects.are_missing || modes != self::modes(is, path) {
            let top = join(path, b".git/");
            let unread = was.unrecorded.keys().filter_map(|path| Some(path.strip_prefix(&top[..])?.to_vec())).collect();
            replacements.push(Replacement {
                path: path.clone(),
                then,
                modes,
                unread,
                file: was.git_files.get(path).cloned(),
                with_modules,
                settled: objects.settled,
                number,
            });
        }
    }
    Ok(replacements)
}

/// Returns the unusual modes of the files in the `.git` of the repository at `path`.
fn modes(recorded: &Recorded, path: &[u8]) -> BTreeMap<Vec<u8>, u32> {
    let top = join(path, b".git/");
    let below = recorded.git_modes.range(top.clone()..).take_while(|(path, _)| path.starts_with(&top));
    below.map(|(path, mode)| (path[top.len()..].to_vec(), *mode)).collect()
}

/// Returns what in the `.git` that are put back would run commands, with the paths of nested ones.
pub(super) fn held(store: &Store, replacements: &[Replacement]) -> Result<Vec<String>> {
    let repository = store.repository();
    let mut held = Vec::new();
    for replacement in replacements {
        let Some(then) = replacement.then else { continue };
        let top = String::from_utf8_lossy(&replacement.path);
        let prefix = if top.is_empty() { String::new() } else { format!("{top}/.git/") };
        for (module, files) in gitdir::parts(gitdir::files(repository, then)?) {
            held.extend(gitdir::held(repository, &module, &files).into_iter().map(|name| prefix.clone() + &name));
        }
    }
    Ok(held)
}

/// What of the objects that a recorded `.git` names is in the one in the tree.
#[derive(Default)]
struct Objects {
    /// Some that can be put back are not.
    are_missing: bool,
    /// Submodules' git directories that lack none, and are as they were.
    settled: BTreeSet<Vec<u8>>,
}

fn objects(
    workspace: &Workspace,
    store: &Store,
    tree: &Dir,
    path: &[u8],
    (then, now): (Option<Oid>, Option<Oid>),
) -> Result<Objects> {
    let mut objects = Objects::default();
    let Some(then) = then else { return Ok(objects) };
    let Ok(git) = tree.dir(as_path(&join(path, b".git"))) else {
        objects.are_missing = true;
        return Ok(objects);
    };
    let repository = store.repository();
    let odb = repository.odb().context("cannot open objects")?;
    let parts = |gitdir: Oid| Ok::<_, anyhow::Error>(gitdir::parts(gitdir::files(repository, gitdir)?));
    let now = now.map(parts).transpose()?.unwrap_or_default();
    for (module, files) in parts(then)? {
        let named = gitdir::named(repository, &files);
        if module.is_empty() {
            let pool = agentgit::pool_path(workspace).filter(|_| path.is_empty());
            objects.are_missing |= !import::lacking(&git, pool.as_deref(), &named)?.is_empty();
            continue;
        }
        let Ok(git) = git.dir(as_path(&module)) else {
            objects.are_missing = true;
            continue;
        };
        // What it borrows is elsewhere, and nobody looks there.
        let borrows = git.stat(Path::new("objects/info/alternates"))?.is_some();
        if !borrows && import::lacking(&git, None, &named)?.into_iter().any(|id| odb.exists(id)) {
            objects.are_missing = true;
        } else if now.get(&module) == Some(&files) {
            objects.settled.insert(module);
        }
    }
    Ok(objects)
}

impl Replacement {
    pub(super) fn gitdir(&self) -> Vec<u8> {
        join(&self.path, b".git")
    }

    fn name(&self) -> String {
        format!("git-{}", self.number)
    }

    /// Returns the directory that takes the old one in.
    fn aside(&self, runs: &Path) -> Result<Dir> {
        let aside = Dir::open(runs)?.create_dir_all(Path::new(ASIDE))?;
        if self.path.is_empty() { Ok(aside) } else { aside.create_dir_all(as_path(&self.path)) }
    }

    /// Takes a `.git` away that was not there.
    pub(super) fn remove(&self, tree: &Dir, runs: &Path) -> Result<()> {
        let (aside, place) = (self.aside(runs)?, self.gitdir());
        if aside.stat(Path::new(".git"))?.is_some() || find_at(tree, &place)?.is_none() {
            return Ok(());
        }
        let place = as_path(&place);
        // It came into this place before it was cut off.
        if self.file.as_ref().is_some_and(|file| links::is_at(tree, place, file)) {
            return Ok(());
        }
        tree.with_access(place, || tree.rename(place, &aside, Path::new(".git")))
    }

    /// Puts a `.git` back; `undone` is the directory of the run that is undone. Where that was an undo itself, what no snapshot
    /// records comes from the one that it had put aside.
    pub(super) fn put(
        &self,
        then: Oid,
        workspace: &Workspace,
        store: &Store,
        tree: &Dir,
        (runs, undone, running): (&Path, Option<&Path>, Running),
    ) -> Result<Lacks> {
        let aside = self.aside(runs)?;
        let mut lacks = Lacks::default();
        if aside.stat(Path::new(".git"))?.is_some() {
            return Ok(lacks);
        }
        let ready = if let Some(ready) = self.ready(runs)? {
            ready
        } else {
            let pool = agentgit::pool_path(workspace).filter(|_| self.path.is_empty());
            let files = Files {
                store,
                gitdir: then,
                pool: pool.as_deref(),
                modes: &self.modes,
                unread: &self.unread,
                with_modules: self.with_modules,
                settled: &self.settled,
                running,
            };
            let aside =
                undone.and_then(|undone| Dir::open(&undone.join(ASIDE)).ok()?.dir(as_path(&self.gitdir())).ok());
            let source = match aside {
                Some(same) => rebuild::Source::Same(same),
                None => self.old(tree).map_or(rebuild::Source::Nothing, rebuild::Source::Later),
            };
            let build = runs.join(format!("{}-build", self.name()));
            fs::remove_tree(&build, &Silent)?;
            std::fs::create_dir(&build).with_context(|| format!("cannot make `{}`", build.display()))?;
            lacks = rebuild::rebuild(&files, &source, &build)?;
            let built = build.join(".git");
            let ready = runs.join(format!("{}-new-{}", self.name(), inode(&built)?));
            fs::sync_file_system(&built)?;
            fs::publish(&built, &ready, Durability::Synced)?;
            fs::remove_tree(&build, &Silent)?;
            ready
        };
        let place = self.gitdir();
        let own = Dir::open(runs)?;
        let name = Path::new(ready.file_name().unwrap_or_default());
        let is_new = ready.to_str().and_then(|path| path.rsplit('-').next()?.parse().ok()) == Some(inode(&ready)?);
        if is_new && find_at(tree, &place)?.is_none() {
            let around = as_path(if self.path.is_empty() { b"." } else { &self.path });
            tree.with_access(around, || tree.create_dir_all(around))?;
            tree.with_access(as_path(&place), || own.rename(name, tree, as_path(&place)))?;
            return Ok(lacks);
        }
        if is_new {
            tree.with_access(as_path(&place), || own.exchange_with(name, tree, as_path(&place)))?;
        }
        own.with_access(name, || own.rename(name, &aside, Path::new(".git")))?;
        Ok(lacks)
    }

    fn old(&self, tree: &Dir) -> Option<Dir> {
        if self.path.is_empty() {
            return agentdir::git_dir(tree, &mut Vec::new());
        }
        agentdir::git_dir(&tree.dir(as_path(&self.path)).ok()?, &mut Vec::new())
    }

    /// Returns the whole new one, or the old one that it was exchanged for.
    fn ready(&self, runs: &Path) -> Result<Option<PathBuf>> {
        let start = format!("{}-new-", self.name());
        let mut entries = fs::entries(runs)?.into_iter();
        Ok(entries.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start))))
    }
}

fn inode(path: &Path) -> Result<u64> {
    let metadata = std::fs::symlink_metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(metadata.ino())
}
