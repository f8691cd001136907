//! Files that came along at creation and are in no commit: uncommitted changes of the project (`create --with-changes`), and
//! what was copied from elsewhere (`create --import`). They are unchanged, and still no more than a copy only for as long as what
//! they were copied from is there.

use std::path::Path;

use super::files::{as_path, has};
use super::outside::came_with;
use crate::error::Result;
use crate::git::Oid;
use crate::git::change::Change;
use crate::git::delivered::Outside;
use crate::git::recorded::is_at_or_below;
use crate::git::repository::Store;
use crate::git::source::Source;
use crate::git::sync::trees::{self, Entry};
use crate::store::beneath::Dir;
use crate::workspace::Workspace;

pub(super) struct Brought<'a> {
    workspace: &'a Workspace,
    store: &'a Store,
    /// The trees of files at creation and now.
    created: Option<Oid>,
    now: Oid,
    outside: &'a Outside,
    /// The working tree of the local project.
    project: Option<Dir>,
}

impl<'a> Brought<'a> {
    pub(super) fn of(
        workspace: &'a Workspace,
        store: &'a Store,
        (created, now): (Option<Oid>, Oid),
        outside: &'a Outside,
    ) -> Self {
        let project = || {
            let text = workspace.record.source.as_deref().filter(|_| !workspace.record.brought.is_empty())?;
            match Source::of_record(text, workspace.at().root().path()).ok()? {
                Source::Local(path) => Dir::open(&path).ok(),
                _ => None,
            }
        };
        let project = project();
        Self { workspace, store, created, now, outside, project }
    }

    /// Takes out what came along, was not touched since, and is where it came from or in a commit outside. A deletion that came
    /// along has nothing that could be lost.
    pub(super) fn take_out_copies(&self, differences: &mut Vec<Change>) -> Result<()> {
        if self.workspace.record.brought.is_empty() {
            return Ok(());
        }
        differences.retain(|change| !(self.is_unchanged(&change.path) && self.has_origin(&change.path)));
        let came_along = differences.iter().filter(|change| self.is_unchanged(&change.path));
        let wanted: Vec<(Vec<u8>, Entry)> = came_along
            .filter_map(|change| Some((change.path.clone(), Entry { mode: change.mode?, id: change.id? })))
            .collect();
        let found = self.outside.hold_since(&wanted, || came_with(self.workspace, self.store))?;
        differences.retain(|change| !found.contains(&change.path));
        Ok(())
    }

    /// Returns whether a path was imported at creation and is not where it came from any more.
    pub(super) fn is_last_import(&self, path: &[u8]) -> bool {
        self.import_of(path).is_some() && !self.has_origin(path)
    }

    fn is_unchanged(&self, path: &[u8]) -> bool {
        self.created.is_some_and(|created| self.entry(created, path) == self.entry(self.now, path))
    }

    /// Returns whether what is at `path` is where it came from too, as it is on disk.
    fn has_origin(&self, path: &[u8]) -> bool {
        let Some(entry) = self.entry(self.now, path) else { return true };
        let imported = self.import_of(path).is_some_and(|(from, rest)| match (from.parent(), from.file_name()) {
            (Some(parent), Some(name)) => {
                let path =
                    if rest.is_empty() { Path::new(name).to_path_buf() } else { Path::new(name).join(as_path(rest)) };
                Dir::open(parent).is_ok_and(|parent| has(&parent, &path, entry))
            }
            _ => false,
        });
        imported || self.project.as_ref().is_some_and(|project| has(project, as_path(path), entry))
    }

    /// Returns from where a path was imported at creation, and its place below that.
    fn import_of<'p>(&self, path: &'p [u8]) -> Option<(&Path, &'p [u8])> {
        self.workspace.record.imports.iter().find_map(|import| {
            let to = import.to.as_bytes();
            let rest = path.get(to.len()..).unwrap_or_default();
            is_at_or_below(path, to).then(|| (Path::new(&import.from), rest.strip_prefix(b"/").unwrap_or(rest)))
        })
    }

    fn entry(&self, tree: Oid, path: &[u8]) -> Option<Entry> {
        trees::entry(self.store.repository(), tree, path).ok().flatten()
    }
}
