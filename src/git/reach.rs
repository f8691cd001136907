//! What objects need: everything that can be reached from some tips in a store itself, what it borrows left out.

use std::collections::HashSet;

use anyhow::Context as _;
use git2::{ObjectType, Odb, Oid};

use crate::error::Result;
use crate::git::gitdir;
use crate::git::pack::Object;
use crate::git::repository::{Store, named};

/// A walk that goes on from each tip that is added.
pub(crate) struct Walk<'a> {
    store: &'a Store,
    borrowed: Odb<'static>,
    seen: HashSet<Oid>,
    own: Vec<Object>,
    bytes: u64,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(store: &'a Store) -> Result<Self> {
        let borrowed = Odb::new().context("cannot open objects")?;
        let list = std::fs::read_to_string(store.path().join("objects/info/alternates")).unwrap_or_default();
        for directory in list.lines() {
            borrowed.add_disk_alternate(directory).with_context(|| format!("cannot open `{directory}`"))?;
        }
        Ok(Self { store, borrowed, seen: HashSet::new(), own: Vec::new(), bytes: 0 })
    }

    /// Returns the bytes of all objects so far, unpacked.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns all objects so far.
    pub(super) fn own(&self) -> &[Object] {
        &self.own
    }

    /// Returns whether an object is among those so far, or borrowed.
    pub(crate) fn has(&self, id: Oid) -> bool {
        self.seen.contains(&id) || self.borrowed.exists(id)
    }

    /// Adds what `tip` needs. A snapshot also needs what the agent's index and logs named, as far as it is there.
    pub(crate) fn add(&mut self, tip: Oid) -> Result<()> {
        self.reach(vec![tip])?;
        let repository = self.store.repository();
        let Some(root) = repository.find_commit(tip).ok().and_then(|commit| commit.tree().ok()) else { return Ok(()) };
        if root.get_name("meta").is_none() {
            return Ok(());
        }
        if let Some(git) = root.get_name("gitdir") {
            let odb = repository.odb().context("cannot open objects")?;
            let named = gitdir::all_named(repository, git.id())?;
            self.reach(named.into_iter().filter(|id| odb.exists(*id)).collect())?;
        }
        let meta = root.get_name("meta").and_then(|meta| repository.find_blob(meta.id()).ok());
        let meta = meta.and_then(|meta| crate::git::meta::Meta::decode(meta.content()).ok()).unwrap_or_default();
        for (_, id) in meta.nested {
            self.reach(vec![id])?;
            let Some(git) = repository.find_tree(id).ok().and_then(|tree| Some(tree.get_name("gitdir")?.id())) else {
                continue;
            };
            let odb = repository.odb().context("cannot open objects")?;
            let named = gitdir::all_named(repository, git)?;
            self.reach(named.into_iter().filter(|id| odb.exists(*id)).collect())?;
        }
        Ok(())
    }

    fn reach(&mut self, mut pending: Vec<Oid>) -> Result<()> {
        let odb = self.store.repository().odb().context("cannot open objects")?;
        while let Some(id) = pending.pop() {
            if !self.seen.insert(id) || self.borrowed.exists(id) {
                continue;
            }
            let (size, kind) = odb.read_header(id).with_context(|| format!("cannot read `{id}`"))?;
            self.own.push(Object { id, kind, size });
            self.bytes += size as u64;
            if kind != ObjectType::Blob {
                let object = odb.read(id).with_context(|| format!("cannot read `{id}`"))?;
                let mut next = named(kind, object.data());
                if kind == ObjectType::Commit {
                    // Where the history of the pool ends, parents are missing and not missed.
                    next.retain(|id| odb.exists(*id));
                } else if kind == ObjectType::Tree {
                    next = without_gitlinks(object.data(), next);
                }
                pending.extend(next);
            }
        }
        Ok(())
    }
}

/// Leaves out the commits of submodules, which are in no store of this repository. `ids` are in the order of the entries.
fn without_gitlinks(tree: &[u8], ids: Vec<Oid>) -> Vec<Oid> {
    let mut rest = tree;
    let mut kept = Vec::with_capacity(ids.len());
    for id in ids {
        let is_gitlink = rest.starts_with(b"160000 ");
        if !is_gitlink {
            kept.push(id);
        }
        let Some(end) = rest.iter().position(|byte| *byte == 0) else { break };
        rest = rest.get(end + 21..).unwrap_or_default();
    }
    kept
}
