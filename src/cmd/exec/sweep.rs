//! Runs whose stead was killed: what is left of them is ended, and their end is recorded.

use std::path::Path;

use jiff::Timestamp;

use crate::confine::{cgroup, container, processes};
use crate::error::{Failure, Kind, Result};
use crate::progress::Silent;
use crate::run::container::forget;
use crate::run::lost::{self, What};
use crate::run::record::{self, End, Outcome, RunRecord};
use crate::store::fs::remove_tree;
use crate::ui::Ui;
use crate::workspace::LeasedWorkspace;

/// Ends what is left of runs whose stead was killed, and records their end.
pub(super) fn sweep(workspace: &LeasedWorkspace, ui: &Ui) -> Result<()> {
    let runs = workspace.runs();
    for id in record::ids(&runs)?.iter().rev() {
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
            0 => "nothing of it was left".to_owned(),
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
        lost.end = Some(End::unmeasured(lost.started, Outcome::Lost, 125));
        lost.write(&directory)?;
    }
    Ok(())
}

/// Records that a run came to nothing before its command was started: nobody was killed, and the next run is not to say so.
pub(super) fn not_started(mut record: RunRecord, directory: &Path) {
    record.end = Some(End::unmeasured(Timestamp::now(), Outcome::NotStarted, 125));
    // The failure that comes after this says more than that of the record would.
    drop(record.write(directory));
}
