//! The places outside of a workspace in which work is delivered.

use std::path::PathBuf;

use crate::error::Result;
use crate::git::delivered::{self, Outside};
use crate::git::pool::{self, Pool};
use crate::git::repository::{Access, Store};
use crate::git::source::Source;
use crate::git::{Oid, gitdir};
use crate::workspace::Workspace;

/// Opens the places outside: the pool of what is not a project of this host, the local project and every local target of a
/// delivery.
pub(crate) fn outside(workspace: &Workspace) -> Result<Outside> {
    let at = workspace.at();
    let root = at.root().path();
    let source = workspace.record.source.as_deref().and_then(|text| Source::of_record(text, root).ok());
    // A pool that is gone delivers nothing. That of a local project has what was there once: the project is looked at now, and
    // where it is gone nobody has anything.
    let counts = match &source {
        Some(Source::Remote { .. }) => true,
        Some(Source::Workspace(_)) => !is_orphan(workspace),
        Some(Source::Local(_) | Source::Empty) | None => false,
    };
    let pool = workspace.record.pool.as_deref().filter(|_| counts);
    let pool = pool.and_then(|key| Pool::open(at, key).ok());
    let mut places: Vec<PathBuf> = Vec::new();
    if let Some(Source::Local(path)) = source {
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

/// Returns what the refs named at creation: that, and the history before it, is nobody's work here. The base will not do: it
/// moves on with the project, which may have dropped since what it moved to.
pub(super) fn came_with(workspace: &Workspace, store: &Store) -> Vec<Oid> {
    if is_orphan(workspace) {
        return Vec::new();
    }
    let repository = store.repository();
    let refs = || {
        let created = workspace.created(store).ok()??;
        let gitdir = repository.find_tree(created.id).ok()?.get_name("gitdir")?.id();
        Some(gitdir::refs(repository, &gitdir::files(repository, gitdir).ok()?))
    };
    let Some(refs) = refs() else { return workspace.base().into_iter().collect() };
    let mut ids: Vec<Oid> = refs.values().filter_map(|value| Oid::from_str(value).ok()).collect();
    ids.sort();
    ids.dedup();
    ids
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
