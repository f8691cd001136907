//! The part of a root that belongs to one user.

use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{Root, make_private, not_a_directory};
use crate::error::{Failure, Kind, Result};
use crate::store::fs::{self, Durability};
use crate::store::name::{UserId, WorkspaceName};

/// Holds the identity in `state/USER/`; no workspace name starts with a dot.
pub(super) const USER_FILE: &str = ".user.toml";
/// The parts that have a directory for each user.
const USER_PARTS: [&str; 4] = ["locks", "workspaces", "state", "homes"];

#[derive(Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) user: String,
}

/// The part of a root that belongs to one user.
#[derive(Clone, Debug)]
pub(crate) struct UserRoot {
    pub(super) root: Root,
    pub(super) user: UserId,
    pub(super) directory: String,
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
        // The root may be on its way still, in another process.
        self.root.make_parts()?;
        for part in USER_PARTS {
            make_private(&self.part(part))?;
        }
        if self.root.identity(&self.directory)?.is_none() {
            let identity = toml::to_string(&Identity { user: self.user.as_str().to_owned() }).expect("text is plain");
            let path = self.part("state").join(USER_FILE);
            let temporary = self.part("state").join(fs::temporary_name());
            fs::write_atomic(&temporary, identity.as_bytes(), Durability::Synced)?;
            // Of two identities that come at once, one gets it.
            if let Err(error) = fs::publish(&temporary, &path, Durability::Synced) {
                rustix::fs::unlink(&temporary).with_context(|| format!("cannot remove `{}`", temporary.display()))?;
                if Kind::of(&error) != Kind::Exists {
                    return Err(error);
                }
            }
        }
        match self.root.identity(&self.directory)? {
            Some(identity) if identity == self.user.as_str() => Ok(()),
            _ => Err(Failure::new(Kind::Busy, format!("another user has just taken `{}`", self.directory))
                .hint("run the command again")
                .into()),
        }
    }

    /// Makes the directory of the leases anew if somebody has removed it: no lease is held then, and none is lost by it.
    pub(crate) fn ensure_locks(&self) -> Result<()> {
        make_private(&self.root.path.join("locks"))?;
        make_private(&self.part("locks"))
    }

    /// Returns the names that have a directory in `state/`, sorted; whole or not.
    pub(crate) fn names(&self) -> Result<Vec<WorkspaceName>> {
        self.names_in("state")
    }

    /// Returns the names that have a directory in `workspaces/`, `homes/` or `state/`, sorted.
    pub(crate) fn names_of_any_part(&self) -> Result<Vec<WorkspaceName>> {
        let mut names = self.names_in("state")?;
        names.extend(self.names_in("workspaces")?);
        names.extend(self.names_in("homes")?);
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Returns the names that have something in `locks/`, sorted; a lock stays when its workspace goes.
    pub(crate) fn names_of_locks(&self) -> Result<Vec<WorkspaceName>> {
        self.names_in("locks")
    }

    /// Returns the existing name that is the same as `name` when case is folded, `name` itself included.
    pub(crate) fn taken(&self, name: &WorkspaceName) -> Result<Option<WorkspaceName>> {
        if self.state(name).symlink_metadata().is_ok() {
            return Ok(Some(name.clone()));
        }
        let folded = name.folded();
        Ok(self.names()?.into_iter().find(|other| other.folded() == folded))
    }

    /// Returns the lease file of a name; names that differ in case alone share it.
    pub(crate) fn lock(&self, name: &WorkspaceName) -> PathBuf {
        self.part("locks").join(name.folded())
    }

    /// Returns the lock that one `gc --watch` of this user holds; no name begins with a dot.
    pub(crate) fn watch_lock(&self) -> PathBuf {
        self.part("locks").join(".watch")
    }

    pub(crate) fn tree(&self, name: &WorkspaceName) -> PathBuf {
        self.part("workspaces").join(name.as_str())
    }

    pub(crate) fn state(&self, name: &WorkspaceName) -> PathBuf {
        self.part("state").join(name.as_str())
    }

    pub(crate) fn homes(&self, name: &WorkspaceName) -> PathBuf {
        self.part("homes").join(name.as_str())
    }

    fn names_in(&self, part: &str) -> Result<Vec<WorkspaceName>> {
        let mut names = Vec::new();
        for path in fs::entries(&self.part(part))? {
            let name = path.file_name().and_then(|name| name.to_str()).map(WorkspaceName::parse);
            if let Some(Ok(name)) = name {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Refuses user directories that are not directories of ours: a link would lead out of the root.
    pub(super) fn check(&self) -> Result<()> {
        for part in USER_PARTS {
            for path in [self.root.path.join(part), self.part(part)] {
                match std::fs::symlink_metadata(&path) {
                    Ok(metadata) if metadata.is_dir() => {}
                    Ok(_) => return Err(not_a_directory(&path)),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
                }
            }
        }
        Ok(())
    }

    fn part(&self, part: &str) -> PathBuf {
        self.root.path.join(part).join(&self.directory)
    }
}
