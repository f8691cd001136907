//! Runs whose stead was killed: what is left of them is ended, and their end is recorded.

use std::path::Path;

use jiff::Timestamp;

use crate::cmd::changes::{Beside, ChangeObject};
use crate::cmd::exec::conclude::{linked, write_changes};
use crate::config::Config;
use crate::confine::{cgroup, container, processes};
use crate::error::{Failure, Kind, Result};
use crate::git::repository::Access;
use crate::git::{change, gone, snapshot};
use crate::progress::Silent;
use crate::run::RunId;
use crate::run::container::forget;
use crate::run::lost::{self, What};
use crate::run::record::{self, End, Outcome, RunRecord};
use crate::store::fs::remove_tree;
use crate::ui::Ui;
use crate::workspace::{LeasedWorkspace, keep};

/// Ends what is left of runs whose stead was killed, and records their end, the last one's with what it has changed.
pub(super) fn sweep(workspace: &mut LeasedWorkspace, config: &Config, ui: &Ui) -> Result<()> {
    let runs = workspace.runs();
    let ids = record::ids(&runs)?;
    for id in ids.iter().rev() {
        let directory = record::directory(&runs, id);
        let Ok(mut lost) = RunRecord::read(&directory) else {
            // One that never got as far as its request has started nothing. What else it may be is for `doctor` to say.
            if lost::what(&directory, &workspace.state().join("store.git"), id)? == Some(What::Unborn) {
                remove_tree(&directory, &Silent)?;
            }
            continue;
        };
        if lost.end.is_some() {
            break;
        }
        if let Some(path) = &lost.cgroup {
            cgroup::end(path);
        }
        if let Some(container) = &lost.container
            && !container::end(container)
        {
            return Err(Failure::new(Kind::Failed, format!("the container of the run {id} cannot be ended"))
                .hint(format!("remove `{}` with `{}`", container.name, container.engine.display()))
                .into());
        }
        if lost.container.is_some() {
            forget(&directory);
        }
        let swept = processes::sweep(format!("STEAD_RUN={id}").as_bytes());
        let ended = match swept.ended {
            0 => "none of its processes was left".to_owned(),
            1 => "1 process of it was ended".to_owned(),
            count => format!("{count} processes of it were ended"),
        };
        ui.warn(&format!("the run {id} has no end on record: stead was killed; {ended}"));
        if swept.alive > 0 {
            let processes =
                if swept.alive == 1 { "1 process".to_owned() } else { format!("{} processes", swept.alive) };
            return Err(Failure::new(Kind::Failed, format!("{processes} of the run {id} cannot be ended"))
                .hint(format!("look for `STEAD_RUN={id}` in `/proc/*/environ`"))
                .into());
        }
        // When it ended cannot be known; a record is not to claim more than that it began.
        let mut end = End::unmeasured(lost.started, Outcome::Lost, 125);
        if ids.last() == Some(id) {
            match look_after(workspace, &mut end, id, config, ui) {
                Ok(true) => ui.status(&format!(
                    "What changed since it began is on record: `stead diff {} --run {id}` shows it.",
                    workspace.name()
                )),
                Ok(false) => {}
                Err(error) => ui.warn(&format!("what the run {id} changed is not known: {error:#}")),
            }
        }
        lost.end = Some(end);
        lost.write(&directory)?;
    }
    Ok(())
}

/// Records what is there now as the state after a run, and what that changed; returns whether it changed anything.
fn look_after(workspace: &mut LeasedWorkspace, end: &mut End, id: &RunId, config: &Config, ui: &Ui) -> Result<bool> {
    let store = workspace.store(Access::Write)?;
    let (before, after) = id.refs();
    // Where there is none, nothing was started.
    let Ok(commit) = store.repository().refname_to_id(&before) else { return Ok(false) };
    let before = snapshot::load(&store, commit)?;
    let now = workspace.capture(&store, config, ui.progress())?;
    let imported = keep::commits(workspace, &store)?;
    keep::nested(workspace, &store, &now.meta)?;
    store.flush()?;
    store.set_ref(&after, now.commit)?;
    let changes = change::between(&store, &before, &now)?;
    let linked = linked(workspace, &store, &before, &now)?;
    let beside = Beside::between(&before.meta, &now.meta).with_gone(gone::between(&store, &before, &now)?);
    let beside = beside.with_linked(&linked);
    end.after = Some(now.id.to_string());
    end.changes = changes.len() as u64;
    end.commits = imported.commits.len() as u64;
    end.gone = beside.gone().count();
    end.linked_worktrees = linked.len() as u64;
    let objects: Vec<ChangeObject> = changes.into_iter().map(ChangeObject::new).collect();
    write_changes(&record::directory(&workspace.runs(), id), &objects, &beside)?;
    Ok(end.changes + end.commits + end.gone + end.linked_worktrees > 0)
}

/// Records that a run came to nothing before its command was started: nobody was killed, and the next run is not to say so.
pub(super) fn not_started(mut record: RunRecord, directory: &Path) {
    record.end = Some(End::unmeasured(Timestamp::now(), Outcome::NotStarted, 125));
    // The failure that comes after this says more than that of the record would.
    drop(record.write(directory));
}
