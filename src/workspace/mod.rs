//! Workspaces: a named tree and its record.
//!
//! [`Workspace`] is for readers; what changes one is a method of [`LeasedWorkspace`].

pub(crate) mod agentgit;
pub(crate) mod create;
pub(crate) mod files;
pub(crate) mod record;
pub(crate) mod trash;

use std::ops::Deref;
use std::path::PathBuf;

use crate::config::Config;
use crate::error::Result;
use crate::git::repository::{Access, Store};
use crate::git::snapshot::Snapshot;
use crate::progress::Progress;
use crate::store::lease::{Holder, Lease, Wait};
use crate::store::name::WorkspaceName;
use crate::store::root::UserRoot;
use crate::workspace::record::Record;

/// A workspace as its record says; opening one writes nothing.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    at: UserRoot,
    name: WorkspaceName,
    pub(crate) record: Record,
}

/// One line of a listing.
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
    pub(crate) fn open(at: &UserRoot, name: &WorkspaceName) -> Result<Self> {
        let _ = (at, name);
        todo!("store")
    }

    /// Opens all workspaces of a user, sorted by name.
    pub(crate) fn all(at: &UserRoot) -> Result<Vec<Listed>> {
        let _ = at;
        todo!("store")
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
        let _ = (store, config, threads);
        todo!("capture")
    }

    /// Takes the lease and reads the record again under it; `command` is the subcommand.
    pub(crate) fn lease(self, command: &str, wait: Wait) -> Result<LeasedWorkspace> {
        let _ = (command, wait);
        todo!("store")
    }
}

/// A workspace whose lease this process holds: the only way to change one.
#[must_use = "the lease ends when the value is dropped"]
#[derive(Debug)]
pub(crate) struct LeasedWorkspace {
    workspace: Workspace,
    lease: Lease,
}

impl Deref for LeasedWorkspace {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        &self.workspace
    }
}

impl LeasedWorkspace {
    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    pub(crate) fn record_mut(&mut self) -> &mut Record {
        &mut self.workspace.record
    }

    /// Writes the record; refused for one of a newer schema.
    pub(crate) fn save(&mut self) -> Result<()> {
        todo!("store")
    }

    /// Sets last used to now, without fsync.
    pub(crate) fn touch(&mut self) -> Result<()> {
        todo!("store")
    }

    /// Captures the tree into the store.
    pub(crate) fn capture(&mut self, store: &Store, config: &Config, progress: &dyn Progress) -> Result<Snapshot> {
        let _ = (store, config, progress);
        todo!("capture")
    }
}
