//! Sources: where a workspace comes from, checked before anything else looks at them.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::Result;

/// A checked source. Its text (`Display`) never holds credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `https://`, `http://`, `ssh://` or `user@host:path`.
    Remote { url: String, login: Option<Login> },
    /// A local repository (`file://` or a path), canonical.
    Local(PathBuf),
    /// A directory inside the root: a fork of that workspace's store.
    Workspace(PathBuf),
    /// No repository: an empty workspace.
    Empty,
}

/// User and password that were typed in a URL; used for the transfer, never stored or printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

impl Source {
    /// Reads what a user typed. A relative path is taken from `current_dir`. Anything that is not on the list of accepted
    /// forms (`ext::`, a leading `-`, control bytes, unknown schemes) is a usage failure; a path with no repository is
    /// `not-found`.
    pub(crate) fn parse(text: &str, current_dir: &Path, root: &Path) -> Result<Self> {
        let _ = (text, current_dir, root);
        todo!("transports")
    }

    /// Reads the source of a record back (already stripped and canonical).
    pub(crate) fn of_record(text: &str, root: &Path) -> Result<Self> {
        let _ = (text, root);
        todo!("transports")
    }

    /// Returns the repository around `directory`, `None` when there is none.
    pub(crate) fn around(directory: &Path, root: &Path) -> Result<Option<Self>> {
        let _ = (directory, root);
        todo!("transports")
    }

    /// Returns the name of a workspace of this source: `acme__api` for `https://github.com/acme/api`.
    pub(crate) fn workspace_name(&self) -> crate::store::name::WorkspaceName {
        todo!("transports")
    }

    /// Returns the pool's KEY: a hex digest of user, normalised URL and depth.
    pub(crate) fn pool_key(&self, user: &crate::store::name::UserId, depth: Option<u32>) -> String {
        let _ = (user, depth);
        todo!("transports")
    }

    /// Returns the URL for libgit2 (a local path becomes `file://`).
    pub(crate) fn url(&self) -> String {
        todo!("transports")
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!("transports")
    }
}
