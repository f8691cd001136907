//! The root: the directory that holds everything, and the only type that knows a name under it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;
use crate::store::name::{UserId, WorkspaceName};

/// An opened root whose format, owner and mode have been checked.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    path: Arc<Path>,
}

impl Root {
    /// Opens a root for reading; `None` when there is nothing at `path`. Writes nothing.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        let _ = path;
        todo!("store")
    }

    /// Opens a root, or makes one where nothing is or an empty directory is.
    pub(crate) fn open_or_create(path: &Path) -> Result<Self> {
        let _ = path;
        todo!("store")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn pools(&self) -> PathBuf {
        self.path.join("pools")
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.path.join("staging")
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.path.join("trash")
    }

    pub(crate) fn audit(&self) -> PathBuf {
        self.path.join("audit.jsonl")
    }

    /// Returns the part of the root that belongs to `user`; makes nothing. Two identities never share a directory.
    pub(crate) fn user(&self, user: &UserId) -> Result<UserRoot> {
        let _ = user;
        todo!("store")
    }

    /// Returns every user that has a directory.
    pub(crate) fn users(&self) -> Result<Vec<UserRoot>> {
        todo!("store")
    }
}

/// The part of a root that belongs to one user.
#[derive(Clone, Debug)]
pub(crate) struct UserRoot {
    root: Root,
    user: UserId,
    directory: String,
}

impl UserRoot {
    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    pub(crate) fn user(&self) -> &UserId {
        &self.user
    }

    /// Makes the user's directories (0700) and records the identity; call before the first lease of a new name.
    pub(crate) fn ensure(&self) -> Result<()> {
        todo!("store")
    }

    /// Returns the names that have a directory in `state/`, sorted; whole or not.
    pub(crate) fn names(&self) -> Result<Vec<WorkspaceName>> {
        todo!("store")
    }

    pub(crate) fn lock(&self, name: &WorkspaceName) -> PathBuf {
        self.below("locks", name)
    }

    pub(crate) fn tree(&self, name: &WorkspaceName) -> PathBuf {
        self.below("workspaces", name)
    }

    pub(crate) fn state(&self, name: &WorkspaceName) -> PathBuf {
        self.below("state", name)
    }

    pub(crate) fn homes(&self, name: &WorkspaceName) -> PathBuf {
        self.below("homes", name)
    }

    fn below(&self, part: &str, name: &WorkspaceName) -> PathBuf {
        self.root.path.join(part).join(&self.directory).join(name.as_str())
    }
}
