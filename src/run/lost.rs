//! Directories of runs without a record that can be read: what a kill between the making of the directory and the writing of
//! the record leaves, or a power cut, since records are not synced.

use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;

use crate::error::Result;
use crate::git::repository::{Access, Store};
use crate::git::snapshot;
use crate::progress::Silent;
use crate::run::RunId;
use crate::run::record::{self, End, Outcome, RunRecord, SCHEMA};
use crate::store::fs::{self, Durability};
use crate::workspace::{LeasedWorkspace, prune};

/// A directory of a run, and what is the matter with it.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) id: RunId,
    pub(crate) what: What,
}

/// What is the matter with the directory of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Nothing was started: there is no record, nothing was printed, and there is no snapshot.
    Unborn,
    /// There is no record, and there was one.
    Gone,
    /// The record is none.
    Damaged,
    /// The record is one of a newer stead, and not readable by this one.
    Newer,
}

impl Lost {
    /// Says what is wrong.
    pub(crate) fn words(&self) -> String {
        let id = &self.id;
        match self.what {
            What::Unborn => format!("the run {id} was cut off before its command was started"),
            What::Gone => format!("the record of the run {id} is gone"),
            What::Damaged => format!("the record of the run {id} is damaged"),
            What::Newer => format!("the record of the run {id} was written by a newer stead"),
        }
    }

    /// Mends it and says how; fails for what only a newer stead can. Nothing of the run may be alive.
    pub(crate) fn mend(&self, workspace: &LeasedWorkspace) -> Result<&'static str> {
        let directory = record::directory(&workspace.runs(), &self.id);
        match self.what {
            What::Newer => anyhow::bail!("cannot be mended"),
            What::Unborn => {
                fs::remove_tree(&directory, &Silent)?;
                return Ok("what is left of it is removed");
            }
            What::Damaged => {
                let path = directory.join(record::FILE);
                let aside = directory.join(format!("{}.damaged-{}", record::FILE, fs::unique_id()));
                fs::publish(&path, &aside, Durability::Synced)?;
            }
            What::Gone => {}
        }
        let store = workspace.store(Access::Read)?;
        let snapshot = |name: &str| -> Option<String> {
            let commit = store.repository().refname_to_id(name).ok()?;
            Some(snapshot::load(&store, commit).ok()?.id.to_string())
        };
        let started = prune::time(self.id.as_str()).unwrap_or_else(Timestamp::now);
        let mut record = RunRecord::new(self.id.clone(), started, vec!["?".to_owned()]);
        let (before, after) = self.id.refs();
        record.before = snapshot(&before);
        record.end = Some(End { after: snapshot(&after), ..End::unmeasured(started, Outcome::Lost, 125) });
        fs::write_atomic(&directory.join(record::FILE), record.text().as_bytes(), Durability::Synced)?;
        Ok("it is made anew of its snapshots")
    }
}

/// Returns the directories in `runs` that have no record that can be read, oldest first. The caller holds the lease: a run
/// that goes on has none at first.
pub(crate) fn look(runs: &Path, store: &Path) -> Result<Vec<Lost>> {
    let mut lost = Vec::new();
    for id in record::ids(runs)? {
        let what = what(&record::directory(runs, &id), store, &id)?;
        lost.extend(what.map(|what| Lost { id, what }));
    }
    Ok(lost)
}

/// Says what is the matter with the directory of a run, if anything is.
pub(crate) fn what(directory: &Path, store: &Path, id: &RunId) -> Result<Option<What>> {
    let path = directory.join(record::FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Some(if is_unborn(directory, store, id)? { What::Unborn } else { What::Gone }));
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    let Some(table) = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<toml::Table>().ok()) else {
        return Ok(Some(What::Damaged));
    };
    let is_newer = table.get("schema").and_then(toml::Value::as_integer).is_some_and(|schema| schema > SCHEMA.into());
    Ok(match table.try_into::<RunRecord>() {
        Ok(_) => None,
        Err(_) if is_newer => Some(What::Newer),
        Err(_) => Some(What::Damaged),
    })
}

/// Returns whether nothing was started for a run without a record.
fn is_unborn(directory: &Path, store: &Path, id: &RunId) -> Result<bool> {
    for path in fs::entries_of_directory(directory)? {
        let stat = path.symlink_metadata().with_context(|| format!("cannot read `{}`", path.display()))?;
        let is_empty = stat.is_file() && stat.len() == 0;
        if !is_empty && !path.file_name().is_some_and(fs::is_temporary) {
            return Ok(false);
        }
    }
    let store = Store::open(store, Access::Read)?;
    Ok(store.repository().refname_to_id(&id.refs().0).is_err())
}
