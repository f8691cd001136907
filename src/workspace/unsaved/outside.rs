//! The places outside of a workspace in which work is delivered.

use std::path::PathBuf;

use crate::error::Result;
use crate::git::delivered::{self, Outside};
use crate::git::pool::{self, Pool};
use crate::git::repository::Access;
use crate::git::source::Source;
use crate::workspace::Workspace;

/// Opens the places outside: the pool, the local project and every local target of a delivery.
pub(super) fn outside(workspace: &Workspace) -> Result<Outside> {
    let at = workspace.at();
    let root = at.root().path();
    // A pool that is gone delivers nothing.
    let pool = workspace.record.pool.as_deref().filter(|_| !is_orphan(workspace));
    let pool = pool.and_then(|key| Pool::open(at, key).ok());
    let mut places: Vec<PathBuf> = Vec::new();
    if let Some(source) = &workspace.record.source
        && let Ok(Source::Local(path)) = Source::of_record(source, root)
    {
        places.push(path);
    }
    for delivery in workspace.record.deliveries.iter().filter(|delivery| delivery.refname.is_some()) {
        places.push(PathBuf::from(&delivery.target));
    }
    places.retain(|path| path.is_absolute() && !path.starts_with(root));
    places.sort();
    places.dedup();
    delivered::outside(pool.as_ref(), &places)
}

/// Returns whether it is a fork of a workspace that does not have the commit any more on which it was made: then the fork
/// alone may hold that one's work, and its pool is no place outside.
pub(super) fn is_orphan(workspace: &Workspace) -> bool {
    let at = workspace.at();
    let source = workspace.record.source.as_deref().and_then(|text| Source::of_record(text, at.root().path()).ok());
    let (Some(Source::Workspace(tree)), Some(base)) = (source, workspace.base()) else { return false };
    let other = pool::workspace_around(at, &tree).and_then(|name| Workspace::open(at, &name));
    let store = other.and_then(|other| other.store(Access::Read));
    !store.is_ok_and(|store| store.repository().find_commit(base).is_ok())
}
