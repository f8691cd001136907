//! Doing what a plan says, and finishing it after it was cut off.

use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{MODE_STAYS, Outline, UndoPlan, Work, before};
use crate::error::Result;
use crate::git::Oid;
use crate::git::recorded::Recorded;
use crate::git::repository::{Access, Store};
use crate::git::snapshot;
use crate::git::sync::{list, shown};
use crate::store::beneath::Dir;
use crate::store::fs::{self, Durability};
use crate::workspace::agentgit::Running;
use crate::workspace::journal::Operation;
use crate::workspace::{LeasedWorkspace, Workspace, keep};

/// All that an undo needs to be done, or gone on with. Paths are in base64, for they need not be text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The id under which it is recorded as a run.
    pub(crate) id: String,
    /// The run that is undone.
    #[serde(default)]
    undoes: String,
    /// Commits of the two snapshots, in hex.
    then: String,
    now: String,
    /// The commit of what was put aside by the undo that is undone, where `then` lacks something of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aside: Option<String>,
    paths: Vec<String>,
    spared: Vec<String>,
    /// Whether `.git` keeps what would run commands.
    keep: bool,
    /// The record of the run, once it is done.
    record: String,
}

impl UndoPlan {
    /// Does it; `record` is what becomes the record of the run `id` then. The state before must be in the store.
    pub(crate) fn apply(
        self,
        workspace: &mut LeasedWorkspace,
        store: &Store,
        (id, record): (&str, String),
        running: Running,
    ) -> Result<Outline> {
        let encode = |path: &Vec<u8>| STANDARD.encode(path);
        let order = Order {
            id: id.to_owned(),
            undoes: self.run,
            then: self.then.to_string(),
            now: self.now.to_string(),
            aside: self.aside.map(|aside| aside.to_string()),
            paths: self.paths.iter().map(encode).collect(),
            spared: self.spared.iter().map(encode).collect(),
            keep: running == Running::Kept,
            record,
        };
        let journal = workspace.begin(Operation::Undo(order.clone()))?;
        let mut outline = self.outline;
        order.carry_out(workspace, store, &self.work, &mut outline)?;
        journal.end()?;
        Ok(outline)
    }
}

/// Goes on with an undo that was cut off, and says what is done.
pub(crate) fn finish(order: &Order, workspace: &mut LeasedWorkspace) -> Result<String> {
    let store = workspace.store(Access::Write)?;
    let commit = |hex: &str| Oid::from_str(hex).with_context(|| format!("`{hex}` is no commit"));
    let load = |hex: &str| snapshot::load(&store, commit(hex)?);
    let aside = order.aside.as_deref().map(load).transpose()?;
    let was = before::recorded(&store, &load(&order.then)?, aside.as_ref())?;
    let now = load(&order.now)?;
    let is = Recorded::of(&store, &now)?;
    // What was committed since it was cut off goes aside with the `.git`.
    let imported = keep::commits(workspace, &store)?;
    keep::nested(workspace, &store, &now.meta)?;
    store.flush()?;
    let decode = |paths: &[String]| -> Result<Vec<Vec<u8>>> {
        paths.iter().map(|path| STANDARD.decode(path).context("a path in the journal cannot be read")).collect()
    };
    let paths = decode(&order.paths)?;
    let spared = decode(&order.spared)?.into_iter().collect();
    let undone = order.undone(workspace);
    let work = Work::new(workspace, &store, (&was, &is), (&paths, &spared), undone.as_deref())?;
    let mut outline = Outline::default();
    order.carry_out(workspace, &store, &work, &mut outline)?;
    let told = |said: &str, names: &mut dyn ExactSizeIterator<Item = String>| match names.len() {
        0 => String::new(),
        _ => format!("; {said}: {}", list(names)),
    };
    let aside = format!("what came meanwhile is in `{}`", order.directory(workspace).join("aside").display());
    Ok([
        format!("the undo {} is done", order.id),
        told(&aside, &mut outline.aside.iter().map(|path| shown(path))),
        told("its store keeps what was committed meanwhile", &mut imported.commits.iter().map(ToString::to_string)),
        told("permission bits not put back", &mut outline.left.iter().map(|(path, _)| shown(path))),
        told(
            "not brought back, since the objects are gone",
            &mut outline.lost.iter().map(|name| shown(name.as_bytes())),
        ),
    ]
    .concat())
}

impl Order {
    fn directory(&self, workspace: &Workspace) -> PathBuf {
        workspace.runs().join(&self.id)
    }

    /// Returns the directory of the run that is undone.
    fn undone(&self, workspace: &Workspace) -> Option<PathBuf> {
        (!self.undoes.is_empty()).then(|| workspace.runs().join(&self.undoes))
    }

    fn carry_out(&self, workspace: &Workspace, store: &Store, work: &Work, outline: &mut Outline) -> Result<()> {
        let directory = self.directory(workspace);
        let running = if self.keep { Running::Kept } else { Running::Dropped };
        let tree = Dir::open(&workspace.tree())?;
        for replacement in work.replacements.iter().filter(|replacement| replacement.then.is_none()) {
            replacement.remove(&tree, &directory)?;
        }
        outline.aside = work.steps.apply(store, &tree, &directory)?;
        for replacement in &work.replacements {
            if let Some(then) = replacement.then {
                let undone = self.undone(workspace);
                let places = (directory.as_path(), undone.as_deref(), running);
                outline.add(&replacement.gitdir(), replacement.put(then, workspace, store, &tree, places)?);
            }
        }
        for link in &work.links {
            link.put(&tree, &directory, running)?;
        }
        let failed = work.modes.put(&tree).into_iter();
        outline.left.extend(failed.map(|(path, reason)| (path, format!("{MODE_STAYS} ({reason})"))));
        fs::sync_file_system(&workspace.tree())?;
        fs::write_atomic(&directory.join("run.toml"), self.record.as_bytes(), Durability::Synced)
    }
}
