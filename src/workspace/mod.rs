//! Workspaces: a named tree and its record.
//!
//! [`Workspace`] is for readers; what changes one is a method of [`LeasedWorkspace`].

pub(crate) mod agentgit;
pub(crate) mod create;
pub(crate) mod files;
pub(crate) mod gc;
pub(crate) mod ignored;
pub(crate) mod journal;
pub(crate) mod keep;
pub(crate) mod passed;
pub(crate) mod prune;
pub(crate) mod record;
pub(crate) mod repair;
pub(crate) mod staged;
pub(crate) mod sync;
pub(crate) mod trash;
pub(crate) mod undo;
pub(crate) mod unsaved;
mod usable;
pub(crate) mod work;

use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use rustix::io::Errno;

use crate::config::Config;
use crate::config::closest::closest;
use crate::error::{Failure, Kind, Result};
use crate::git::repository::{Access, Store};
use crate::git::snapshot::{self, CaptureSpec, Snapshot};
use crate::git::{Oid, ignore};
use crate::progress::{Progress, Silent};
use crate::store::beneath::Dir;
use crate::store::fs::Durability;
use crate::store::lease::{Holder, Lease, Wait};
use crate::store::name::WorkspaceName;
use crate::store::root::{self, UserRoot};
use crate::workspace::record::Record;

/// A workspace as its record says; opening one writes nothing.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    at: UserRoot,
    name: WorkspaceName,
    pub(crate) record: Record,
}

/// One line of a listing.
#[expect(clippy::large_enum_variant, reason = "nearly all are whole, and each is taken apart at once")]
pub(crate) enum Listed {
    Whole(Workspace),
    /// The record cannot be read; never collected.
    Damaged {
        name: WorkspaceName,
        reason: String,
    },
}

impl Workspace {
    /// Opens a workspace; `not-found` with close names as the hint, `damaged` when its record cannot be read.
    ///
    /// A tree that is a link or a file is refused; one that is missing is not, so that what is left can be removed.
    pub(crate) fn open(at: &UserRoot, name: &WorkspaceName) -> Result<Self> {
        let workspace = Self::find(at, name)?;
        workspace.check_tree()?;
        Ok(workspace)
    }

    /// Opens a workspace of which nothing but the state will be touched, whatever its tree has become.
    pub(crate) fn find(at: &UserRoot, name: &WorkspaceName) -> Result<Self> {
        match Self::published(at, name)? {
            Ok(workspace) => Ok(workspace),
            Err(Gap::NoRecord) => Err(root::damaged(&at.state(name).join(record::FILE), "the record is missing")),
            Err(Gap::NoState) => Err(not_found(at, name)),
        }
    }

    /// Returns the workspace that a record under construction will be.
    pub(crate) fn of(at: UserRoot, name: WorkspaceName, record: Record) -> Self {
        Self { at, name, record }
    }

    /// Opens all workspaces of a user, sorted by name.
    pub(crate) fn all(at: &UserRoot) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for name in at.names()? {
            let reason = match Self::published(at, &name) {
                Ok(Ok(workspace)) => match workspace.check_tree() {
                    Ok(()) => {
                        listed.push(Listed::Whole(workspace));
                        continue;
                    }
                    Err(error) => format!("{error:#}"),
                },
                Ok(Err(Gap::NoRecord)) => "its record is missing".to_owned(),
                // Removed meanwhile.
                Ok(Err(Gap::NoState)) => continue,
                Err(error) => format!("{error:#}"),
            };
            listed.push(Listed::Damaged { name, reason });
        }
        Ok(listed)
    }

    pub(crate) fn at(&self) -> &UserRoot {
        &self.at
    }

    pub(crate) fn name(&self) -> &WorkspaceName {
        &self.name
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.at.tree(&self.name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.at.state(&self.name)
    }

    /// Returns the objects of the pool that the agent's repository borrows from.
    pub(crate) fn borrowed_objects(&self) -> Option<PathBuf> {
        let key = self.record.pool.as_ref()?;
        Some(self.at.root().pool(key).join("objects"))
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.state().join("runs")
    }

    /// Returns who works in it now.
    pub(crate) fn holder(&self) -> Result<Option<Holder>> {
        Lease::holder(&self.at.lock(&self.name))
    }

    pub(crate) fn store(&self, access: Access) -> Result<Store> {
        Store::open(&self.state().join("store.git"), access)
    }

    /// Captures the tree in memory, for readers.
    pub(crate) fn look(&self, store: &Store, config: &Config, threads: usize) -> Result<Snapshot> {
        self.snapshot(store, config, (threads, &[]), &Silent)
    }

    /// The same, ignored paths of `also` included.
    pub(crate) fn look_also(&self, store: &Store, config: &Config, also: &[PathBuf]) -> Result<Snapshot> {
        self.snapshot(store, config, (1, also), &Silent)
    }

    /// Takes the lease, reads the record again under it and finishes what an earlier command has left half done (see
    /// [`LeasedWorkspace::finished`]); `command` is the subcommand.
    ///
    /// The hint of a command that can be told to wait says so.
    pub(crate) fn lease(self, command: &str, wait: Wait) -> Result<LeasedWorkspace> {
        let lease = lease(&self.at, &self.name, command, wait)?;
        let mut leased = LeasedWorkspace::new(Self::find(&self.at, &self.name)?, lease);
        leased.finished = journal::finish(&mut leased)?;
        Ok(leased)
    }

    /// Returns the path of the tree as git writes it down.
    pub(crate) fn top(&self) -> PathBuf {
        let tree = self.tree();
        tree.canonicalize().unwrap_or(tree)
    }

    /// Returns the commit that the work is measured against.
    pub(crate) fn base(&self) -> Option<Oid> {
        self.record.base.as_deref().and_then(|base| base.parse().ok())
    }

    /// Returns the snapshot of what was there at first.
    pub(crate) fn created(&self, store: &Store) -> Result<Option<Snapshot>> {
        let Some(id) = &self.record.created_snapshot else { return Ok(None) };
        snapshot::load(store, Oid::from_str(id).context("cannot read the first snapshot's id")?).map(Some)
    }

    fn snapshot(
        &self,
        store: &Store,
        config: &Config,
        (threads, also): (usize, &[PathBuf]),
        progress: &dyn Progress,
    ) -> Result<Snapshot> {
        let excludes = ignore::global_excludes(&config.environment);
        let brought: Vec<PathBuf> = self.record.brought.iter().chain(also).cloned().collect();
        let spec = CaptureSpec {
            tree: &self.tree(),
            seen: &self.state().join("seen"),
            base: self.base(),
            limits: &config.capture,
            excludes: excludes.as_deref(),
            brought: &brought,
            alone: false,
            threads,
        };
        snapshot::capture(store, &spec, progress)
    }

    /// Reads a record, or says why there is none, while others may publish and remove workspaces of the name.
    fn published(at: &UserRoot, name: &WorkspaceName) -> Result<std::result::Result<Self, Gap>> {
        loop {
            if let Some(workspace) = Self::read(at, name)? {
                return Ok(Ok(workspace));
            }
            // One directory holds its record for as long as it is anywhere.
            match Dir::open(&at.state(name)).and_then(|state| state.stat(Path::new(record::FILE))) {
                // Published since.
                Ok(Some(_)) => {}
                Err(error) if error.downcast_ref() == Some(&Errno::NOENT) => return Ok(Err(Gap::NoState)),
                Ok(None) | Err(_) => return Ok(Err(Gap::NoRecord)),
            }
        }
    }

    fn read(at: &UserRoot, name: &WorkspaceName) -> Result<Option<Self>> {
        let path = at.state(name).join(record::FILE);
        let Some(record) = Record::read(&path)? else { return Ok(None) };
        if record.name != name.as_str() {
            return Err(root::damaged(&path, &format!("it is the record of `{}`", record.name)));
        }
        Ok(Some(Self { at: at.clone(), name: name.clone(), record }))
    }

    fn check_tree(&self) -> Result<()> {
        let tree = self.tree();
        match std::fs::symlink_metadata(&tree) {
            Ok(metadata) if !metadata.is_dir() => {
                Err(Failure::new(Kind::Refused, format!("the tree `{}` is not a directory", tree.display()))
                    .hint(format!("something has replaced it; `stead rm --force {}` removes what it is now", self.name))
                    .into())
            }
            _ => Ok(()),
        }
    }
}

/// Why there is no record.
enum Gap {
    /// There is no workspace.
    NoState,
    NoRecord,
}

/// Takes the lease of a name, whether or not there is a workspace of it.
pub(crate) fn lease(at: &UserRoot, name: &WorkspaceName, command: &str, wait: Wait) -> Result<Lease> {
    at.ensure_locks()?;
    let taken = Lease::acquire(&at.lock(name), &format!("workspace `{name}`"), command, wait);
    taken.map_err(|error| match Failure::of(&error) {
        Some(failure) if failure.kind == Kind::Busy => {
            let wait = if command == "exec" { "wait for it with `--wait`, or see" } else { "try again later, or see" };
            failure.clone().hint(format!("{wait} `stead status {name}`")).into()
        }
        _ => error,
    })
}

fn not_found(at: &UserRoot, name: &WorkspaceName) -> anyhow::Error {
    let failure = Failure::new(Kind::NotFound, format!("there is no workspace `{name}`"));
    match close_name(at, name) {
        Some(close) => failure.hint(format!("did you mean `{close}`?")),
        None => failure.hint("`stead status` lists all workspaces"),
    }
    .into()
}

/// Returns the existing name that is closest to `name`, if it is close at all.
pub(crate) fn close_name(at: &UserRoot, name: &WorkspaceName) -> Option<WorkspaceName> {
    let mut names = at.names().ok()?;
    names.retain(|other| at.state(other).join(record::FILE).exists());
    let folded: Vec<String> = names.iter().map(WorkspaceName::folded).collect();
    let close = closest(&name.folded(), folded.iter().map(String::as_str))?;
    folded.iter().position(|other| other == close).map(|at| names.swap_remove(at))
}

/// A workspace whose lease this process holds: the only way to change one.
#[must_use = "the lease ends when the value is dropped"]
#[derive(Debug)]
pub(crate) struct LeasedWorkspace {
    workspace: Workspace,
    lease: Lease,
    finished: Option<String>,
}

impl Deref for LeasedWorkspace {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        &self.workspace
    }
}

impl LeasedWorkspace {
    /// Returns a workspace that was made just now under `lease`, the lease of its name.
    pub(crate) fn new(workspace: Workspace, lease: Lease) -> Self {
        Self { workspace, lease, finished: None }
    }

    /// Returns a sentence on what an earlier command had left half done and was finished when the lease was taken.
    pub(crate) fn finished(&self) -> Option<&str> {
        self.finished.as_deref()
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Says under another subcommand's name who holds the lease.
    pub(crate) fn sign(&mut self, command: &str) {
        self.lease.sign(command);
    }

    pub(crate) fn record_mut(&mut self) -> &mut Record {
        &mut self.workspace.record
    }

    /// Writes the record; refused for one of a newer schema.
    pub(crate) fn save(&mut self) -> Result<()> {
        self.record.write(&self.state().join(record::FILE))
    }

    /// Sets last used to now, without fsync.
    pub(crate) fn touch(&mut self) -> Result<()> {
        self.workspace.record.last_used = Timestamp::now();
        self.record.write_as(&self.state().join(record::FILE), Durability::Lazy)
    }

    /// Captures the tree into the store.
    pub(crate) fn capture(&mut self, store: &Store, config: &Config, progress: &dyn Progress) -> Result<Snapshot> {
        self.open_up();
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.workspace.snapshot(store, config, (threads, &[]), progress)
    }

    /// Makes the tree and its `.git` usable again, if a run has taken that away. Where it cannot be done, whoever goes on is told
    /// why not by what comes next.
    pub(crate) fn open_up(&mut self) {
        usable::make(&self.tree()).ok();
    }

    /// The same, ignored paths of `also` included: what would be lost otherwise.
    pub(crate) fn capture_also(
        &mut self,
        store: &Store,
        config: &Config,
        also: &[PathBuf],
        progress: &dyn Progress,
    ) -> Result<Snapshot> {
        self.open_up();
        let snapshot = self.workspace.snapshot(store, config, (1, also), progress);
        // The next capture must not take them for what it has always recorded.
        rustix::fs::unlink(self.state().join("seen")).ok();
        snapshot
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make and break files by hand")]
pub(crate) mod tests {
    use super::*;
    use crate::store::name::UserId;
    use crate::store::root::Root;

    /// Returns the part of a new root that belongs to `local`.
    pub(crate) fn place() -> (tempfile::TempDir, UserRoot) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open_or_create(&dir.path().join("root")).unwrap();
        let at = root.user(&UserId::parse("local").unwrap()).unwrap();
        at.ensure().unwrap();
        (dir, at)
    }

    /// Makes a workspace with a record, a tree with one file and a home, but no store.
    pub(crate) fn plain(at: &UserRoot, name: &str) -> Workspace {
        let name = WorkspaceName::parse(name).unwrap();
        std::fs::create_dir(at.tree(&name)).unwrap();
        std::fs::write(at.tree(&name).join("file"), name.as_str()).unwrap();
        std::fs::create_dir_all(at.homes(&name).join("home")).unwrap();
        std::fs::create_dir(at.state(&name)).unwrap();
        record::tests::record(name.as_str()).write(&at.state(&name).join(record::FILE)).unwrap();
        Workspace::open(at, &name).unwrap()
    }

    #[test]
    fn a_name_that_is_not_there_brings_the_closest() {
        let (_dir, at) = place();
        plain(&at, "fix-login");
        plain(&at, "other");
        for (typed, hint) in [
            ("fix-logn", "did you mean `fix-login`?"),
            ("Fix-Login", "did you mean `fix-login`?"),
            ("fix-lgoin", "did you mean `fix-login`?"),
            ("nothing-like-it", "`stead status` lists all workspaces"),
        ] {
            let error = Workspace::open(&at, &WorkspaceName::parse(typed).unwrap()).unwrap_err();
            assert_eq!(error.to_string(), format!("there is no workspace `{typed}`"));
            assert_eq!(Kind::of(&error), Kind::NotFound);
            assert_eq!(Failure::of(&error).unwrap().hint.as_deref(), Some(hint));
        }
    }

    #[test]
    fn a_workspace_that_others_publish_and_remove_is_never_damaged() {
        let (_dir, at) = place();
        let workspace = plain(&at, "x");
        let (state, aside) = (workspace.state(), at.root().trash().join("aside"));
        std::thread::scope(|scope| {
            let moving = scope.spawn(|| {
                for _ in 0..5000 {
                    std::fs::rename(&state, &aside).unwrap();
                    std::fs::rename(&aside, &state).unwrap();
                }
            });
            while !moving.is_finished() {
                match Workspace::find(&at, workspace.name()) {
                    Ok(_) => {}
                    Err(error) => assert_eq!(Kind::of(&error), Kind::NotFound, "{error:#}"),
                }
                assert!(Workspace::all(&at).unwrap().iter().all(|listed| matches!(listed, Listed::Whole(_))));
            }
        });
    }

    #[test]
    fn a_damaged_missing_or_moved_record_is_listed_as_damaged_and_half_of_a_workspace_is_not_listed() {
        let (_dir, at) = place();
        for name in ["a-good", "b-broken", "c-moved", "d-missing", "e-link", "f-half"] {
            plain(&at, name);
        }
        let state = at.root().path().join("state/local");
        std::fs::write(state.join("b-broken").join(record::FILE), "x").unwrap();
        std::fs::copy(state.join("a-good").join(record::FILE), state.join("c-moved").join(record::FILE)).unwrap();
        std::fs::remove_file(state.join("d-missing").join(record::FILE)).unwrap();
        std::fs::remove_dir_all(state.join("f-half")).unwrap();
        let tree = at.root().path().join("workspaces/local/e-link");
        std::fs::remove_dir_all(&tree).unwrap();
        std::os::unix::fs::symlink("/tmp", &tree).unwrap();
        let listed: Vec<_> = Workspace::all(&at)
            .unwrap()
            .into_iter()
            .map(|listed| match listed {
                Listed::Whole(workspace) => (workspace.name().to_string(), true),
                Listed::Damaged { name, .. } => (name.to_string(), false),
            })
            .collect();
        assert_eq!(
            listed,
            [
                ("a-good".to_owned(), true),
                ("b-broken".to_owned(), false),
                ("c-moved".to_owned(), false),
                ("d-missing".to_owned(), false),
                ("e-link".to_owned(), false)
            ]
        );
    }

    #[test]
    fn a_busy_workspace_names_its_holder_and_the_next_step() {
        let (_dir, at) = place();
        let leased = plain(&at, "x").lease("exec", Wait::No).unwrap();
        assert_eq!(leased.holder().unwrap().unwrap().command, "exec");
        for (command, hint) in [
            ("exec", "wait for it with `--wait`, or see `stead status x`"),
            ("rm", "try again later, or see `stead status x`"),
            ("import", "try again later, or see `stead status x`"),
        ] {
            let error = Workspace::clone(&leased).lease(command, Wait::No).unwrap_err();
            assert_eq!(Kind::of(&error), Kind::Busy);
            assert_eq!(Failure::of(&error).unwrap().hint.as_deref(), Some(hint));
        }
    }

    #[test]
    fn the_record_is_read_again_under_the_lease() {
        let (_dir, at) = place();
        let stale = plain(&at, "x");
        let mut leased = stale.clone().lease("create", Wait::No).unwrap();
        leased.record_mut().pinned = true;
        leased.save().unwrap();
        let before = leased.record.last_used;
        leased.touch().unwrap();
        drop(leased);
        let leased = stale.lease("exec", Wait::No).unwrap();
        assert!(leased.record.pinned && leased.record.last_used > before);
        std::fs::remove_dir_all(leased.state()).unwrap();
        let stale = Workspace::clone(&leased);
        drop(leased);
        assert_eq!(Kind::of(&stale.lease("exec", Wait::No).unwrap_err()), Kind::NotFound);
    }
}
