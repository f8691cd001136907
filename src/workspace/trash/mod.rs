//! The trash: where removed workspaces go, whole, and come back from.
//!
//! ```text
//! trash/ID/
//!   why.toml       who removed it, when, why, and what was unsaved in it
//!   state/         moved first and back last: without it there is no workspace
//!   tree/  homes/
//! ```
//!
//! IDs sort by time. An entry is locked by its own descriptor while it is filled, emptied or restored from.

mod restore;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Kind, Result};
use crate::progress::Progress;
use crate::store::directory_lock::DirectoryLock;
use crate::store::fs::{self, Durability};
use crate::store::lease::Lease;
use crate::store::name::WorkspaceName;
use crate::store::root::{Root, UserRoot, read_small};
use crate::store::staging::Staging;
use crate::workspace::LeasedWorkspace;
use crate::workspace::record::{self, Record};
pub(crate) use restore::{find, restore};

const SCHEMA: u32 = 1;
const WHY: &str = "why.toml";
/// Work that was saved nowhere else is kept for at least so long.
const UNSAVED_AGE: Duration = Duration::from_hours(30 * 24);

/// Why something is in the trash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Why {
    pub(crate) schema: u32,
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) removed: Timestamp,
    /// The subcommand, `rm` or `gc`.
    pub(crate) command: String,
    pub(crate) reason: String,
    /// What was not saved anywhere else; empty when all was.
    #[serde(default)]
    pub(crate) unsaved: Vec<String>,
    /// The name under which a restore has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restoring_as: Option<String>,
    #[serde(flatten)]
    pub(crate) unknown: toml::Table,
}

/// A removal that has been decided and not yet done; holds the lease of the name.
#[must_use = "nothing is removed before it is applied"]
#[derive(Debug)]
pub(crate) struct RemovalPlan {
    at: UserRoot,
    name: WorkspaceName,
    why: Why,
    /// The entry that already has the first half.
    into: Option<PathBuf>,
    _lease: Lease,
}

impl RemovalPlan {
    /// Plans to move a workspace to the trash. `unsaved` is what would be lost with it.
    pub(crate) fn of(workspace: LeasedWorkspace, command: &str, reason: &str, unsaved: Vec<String>) -> Self {
        let LeasedWorkspace { workspace, lease, .. } = workspace;
        let why = Why::new(&workspace.at, &workspace.name, command, reason, unsaved);
        Self { at: workspace.at, name: workspace.name, why, into: None, _lease: lease }
    }

    /// Plans to move a workspace to the trash that cannot be looked at, for what `damage` says. `lease` is the lease of the name.
    pub(crate) fn of_damaged(
        at: &UserRoot,
        name: &WorkspaceName,
        lease: Lease,
        (command, reason): (&str, &str),
        damage: String,
    ) -> Self {
        let why = Why::new(at, name, command, reason, vec![damage]);
        Self { at: at.clone(), name: name.clone(), why, into: None, _lease: lease }
    }

    /// Plans to move what is left of a half-made or half-removed workspace to the trash; `None` when the name has
    /// nothing or is whole. `lease` is the lease of the name.
    pub(crate) fn of_half(at: &UserRoot, name: &WorkspaceName, lease: Lease, command: &str) -> Result<Option<Self>> {
        let has_tree = exists(&at.tree(name))?;
        if exists(&at.state(name))? || !(has_tree || exists(&at.homes(name))?) {
            return Ok(None);
        }
        let other_half = entries(at.root())?.into_iter().rfind(|entry| {
            entry.names(at, name) && entry.has_record() && !(has_tree && entry.path.join("tree").exists())
        });
        let unsaved = if has_tree { vec!["nothing is known of the tree".to_owned()] } else { Vec::new() };
        let why = Why::new(at, name, command, "half-made or half-removed", unsaved);
        let into = other_half.map(|entry| entry.path);
        Ok(Some(Self { at: at.clone(), name: name.clone(), why, into, _lease: lease }))
    }

    /// Moves it, state first, and returns the entry's id.
    pub(crate) fn apply(self) -> Result<String> {
        let (path, lock) = match &self.into {
            Some(path) => (path.clone(), DirectoryLock::try_take(path)?.ok_or_else(|| busy(path))?),
            None => make_entry(self.at.root(), &self.why)?,
        };
        for (from, part) in self.parts() {
            move_directory(&from, &path.join(part))
                .with_context(|| format!("cannot move workspace `{}` to the trash", self.name))?;
        }
        drop(lock);
        Ok(path.file_name().and_then(|id| id.to_str()).expect("an entry has an id").to_owned())
    }

    fn parts(&self) -> [(PathBuf, &'static str); 3] {
        [(self.at.state(&self.name), "state"), (self.at.tree(&self.name), "tree"), (self.at.homes(&self.name), "homes")]
    }
}

impl Why {
    fn new(at: &UserRoot, name: &WorkspaceName, command: &str, reason: &str, unsaved: Vec<String>) -> Self {
        Self {
            schema: SCHEMA,
            name: name.as_str().to_owned(),
            user: at.user().as_str().to_owned(),
            removed: Timestamp::now(),
            command: command.to_owned(),
            reason: reason.to_owned(),
            unsaved,
            restoring_as: None,
            unknown: toml::Table::new(),
        }
    }

    fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).with_context(|| format!("cannot write `{}`", path.display()))?;
        fs::write_atomic(path, text.as_bytes(), Durability::Synced)
    }
}

/// One entry of the trash.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    /// `None` when neither it nor the record can be read: then the entry is nobody's and never emptied by its age.
    pub(crate) why: Option<Why>,
}

impl Entry {
    /// Returns whether a workspace can be restored from it.
    pub(crate) fn has_record(&self) -> bool {
        self.path.join("state").join(record::FILE).exists()
    }

    /// Returns whether all work in it was saved elsewhere when it was removed.
    pub(crate) fn is_safe(&self) -> bool {
        self.why.as_ref().is_some_and(|why| why.unsaved.is_empty())
    }

    /// Returns whether nothing is in it but its reason: what a restore leaves.
    pub(crate) fn is_spent(&self) -> bool {
        ["state", "tree", "homes"].iter().all(|part| self.path.join(part).symlink_metadata().is_err())
    }

    /// Returns whether the user has removed it.
    pub(crate) fn is_of(&self, at: &UserRoot) -> bool {
        self.why.as_ref().is_some_and(|why| why.user == at.user().as_str())
    }

    /// Returns whether it holds a workspace of this name, or one that is on its way to it.
    fn names(&self, at: &UserRoot, name: &WorkspaceName) -> bool {
        self.why.as_ref().is_some_and(|why| {
            why.user == at.user().as_str() && why.restoring_as.as_ref().unwrap_or(&why.name) == name.as_str()
        })
    }

    /// Returns when it may go, by its age alone; never what is nobody's.
    pub(crate) fn goes(&self, trash_age: Duration) -> Option<Timestamp> {
        let age = SignedDuration::try_from(self.least_age(trash_age)).ok()?;
        self.why.as_ref()?.removed.checked_add(age).ok()
    }

    /// Returns how long it is kept: what was saved for `trash_age`, other work for longer.
    pub(crate) fn least_age(&self, trash_age: Duration) -> Duration {
        if self.is_safe() { trash_age } else { trash_age.max(UNSAVED_AGE) }
    }

    /// Removes it for ever; false when somebody works with it. It leaves the trash in one step, so that what a crash
    /// leaves is dead staging and not half a workspace; the lock moves along.
    pub(crate) fn purge(&self, root: &Root, progress: &dyn Progress) -> Result<bool> {
        let Some(lock) = DirectoryLock::try_take(&self.path)? else { return Ok(!self.path.exists()) };
        let aside = root.staging().join(fs::unique_id());
        fs::publish(&self.path, &aside, Durability::Synced)?;
        fs::remove_tree(&aside, progress)?;
        drop(lock);
        Ok(true)
    }

    /// Removes what a restore leaves of it; false when somebody works with it or it has more than its reason.
    pub(crate) fn remove_spent(&self) -> Result<bool> {
        let Some(lock) = DirectoryLock::try_take(&self.path)? else { return Ok(false) };
        if !self.is_spent() {
            return Ok(false);
        }
        fs::remove_tree(&self.path, &crate::progress::Silent)?;
        drop(lock);
        Ok(true)
    }
}

/// Returns what is in the trash, oldest first.
pub(crate) fn entries(root: &Root) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for path in fs::entries(&root.trash())? {
        let Some(id) = path.file_name().and_then(|id| id.to_str()).map(str::to_owned) else { continue };
        let why = read_small(&path.join(WHY)).ok().flatten().and_then(|text| toml::from_str(&text).ok());
        let why = why.or_else(|| guess(&id, &path));
        entries.push(Entry { id, path, why });
    }
    Ok(entries)
}

/// Returns what the record and the id say of an entry without a reason: one that was made on a full disk.
fn guess(id: &str, path: &Path) -> Option<Why> {
    let record = Record::read(&path.join("state").join(record::FILE)).ok()??;
    let time = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", id.get(..15)?).ok()?;
    Some(Why {
        schema: SCHEMA,
        name: record.name,
        user: record.user,
        removed: time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp(),
        command: "rm".to_owned(),
        reason: "not known".to_owned(),
        unsaved: vec!["not known".to_owned()],
        restoring_as: None,
        unknown: toml::Table::new(),
    })
}

/// Makes an entry with its reason and locks it before anybody can see it.
fn make_entry(root: &Root, why: &Why) -> Result<(PathBuf, DirectoryLock)> {
    let staging = Staging::create(root)?;
    let made = staging.path().join("entry");
    rustix::fs::mkdir(&made, Mode::RWXU).with_context(|| format!("cannot make `{}`", made.display()))?;
    match why.write(&made.join(WHY)) {
        // Cleaning up must work on a full disk, and the renames do.
        Err(error) if !is_full(&error) => return Err(error),
        _ => {}
    }
    let lock = DirectoryLock::try_take(&made)?.ok_or_else(|| busy(&made))?;
    let path = root.trash().join(fs::unique_id());
    fs::publish(&made, &path, Durability::Synced)?;
    Ok((path, lock))
}

/// Moves a directory (or whatever it has become) durably; not there is success, for the second half of a move.
fn move_directory(from: &Path, to: &Path) -> Result<()> {
    if !exists(from)? {
        return Ok(());
    }
    match fs::publish(from, to, Durability::Synced) {
        // Moving a directory writes its `..`, which its mode may forbid.
        Err(error) if is_denied(&error) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(directory) = rustix::fs::open(from, flags, Mode::empty()) else { return Err(error) };
            let mode = Mode::from_raw_mode(rustix::fs::fstat(&directory)?.st_mode & 0o7777);
            // By way of /proc it is this very directory, whatever the name has become meanwhile.
            let itself = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&directory));
            rustix::fs::chmod(&itself, mode | Mode::RWXU)
                .with_context(|| format!("cannot make `{}` movable", from.display()))?;
            let moved = fs::publish(from, to, Durability::Synced);
            rustix::fs::chmod(&itself, mode)
                .with_context(|| format!("cannot give `{}` its mode back", to.display()))?;
            moved
        }
        moved => moved,
    }
}

fn is_full(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}

fn is_denied(error: &anyhow::Error) -> bool {
    error.downcast_ref::<rustix::io::Errno>() == Some(&rustix::io::Errno::ACCESS)
}

fn exists(path: &Path) -> Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

fn busy(path: &Path) -> anyhow::Error {
    Failure::new(Kind::Busy, format!("another process works with `{}`", path.display()))
        .hint("run the command again")
        .into()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make and break files by hand")]
mod tests;
