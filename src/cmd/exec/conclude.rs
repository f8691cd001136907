//! What is done when nothing of a run is alive. Each step is tried whatever became of the others: what the command did and
//! printed is told although something cannot be recorded.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;

use crate::cmd::changes::{self, Beside, ChangeObject, Gone};
use crate::cmd::exec::report::{Output, Ran, Usage};
use crate::config::Config;
use crate::error::Result;
use crate::git::Oid;
use crate::git::agentdir;
use crate::git::change::{self, Change};
use crate::git::gone;
use crate::git::linked;
use crate::git::repository::Store;
use crate::git::snapshot::{Meta, Snapshot};
use crate::run::RunSpec;
use crate::run::limits::Bound;
use crate::run::record::{self, End, Outcome as How, RunRecord};
use crate::run::supervise::{Ended, Outcome, Stop, Streams};
use crate::store::beneath::Dir;
use crate::store::fs::{Durability, write_atomic};
use crate::ui::Ui;
use crate::ui::text::{self, JsonPath};
use crate::workspace::passed::{self, Passed};
use crate::workspace::{LeasedWorkspace, Workspace, agentgit, keep};

/// Bytes of one stream in the JSON answer.
const OUTPUT_CAP: u64 = 1 << 20;

/// So many commits that cannot be kept are named.
const NAMED: usize = 10;

pub(super) struct Conclusion<'a> {
    pub(super) spec: &'a RunSpec,
    pub(super) outcome: &'a Outcome,
    pub(super) before: &'a Snapshot,
    /// What it has passed by.
    pub(super) passed: &'a Passed,
    /// What could not be kept before the run.
    pub(super) unkept: &'a [(Oid, String)],
    /// Whether `.git` keeps what would run commands.
    pub(super) keep: bool,
    /// Whether the answer holds contents.
    pub(super) content: bool,
}

/// Collects what went wrong on stead's side.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.0.push(format!("{error:#}"))).ok()
    }
}

/// Keeps what only `.git` has before a run that may destroy it; returns the commits that cannot be kept.
pub(super) fn keep_before(workspace: &LeasedWorkspace, store: &Store, meta: &Meta, ui: &Ui) -> Vec<(Oid, String)> {
    let kept = keep::commits(workspace, store);
    let nested = keep::nested(workspace, store, meta);
    if let Some(error) = kept.as_ref().err().or(nested.as_ref().err()) {
        ui.warn(&format!("{error:#}; an undo of this run may not bring them back"));
    }
    kept.map(|kept| kept.failed).unwrap_or_default()
}

impl Conclusion<'_> {
    pub(super) fn report(
        &self,
        workspace: &mut LeasedWorkspace,
        store: &Store,
        mut record: RunRecord,
        config: &Config,
        ui: &Ui,
    ) -> Ran {
        let mut problems = Problems::default();
        let directory = record::directory(&workspace.runs(), &self.spec.id);
        // The commits first: where the index is gone or broken, the head says what is tracked.
        workspace.open_up();
        let imported = problems.note(keep::commits(workspace, store)).unwrap_or_default();
        let after = problems.note(workspace.capture(store, config, ui.progress()).context("cannot capture the tree"));
        let mut failed = imported.failed.clone();
        let told: HashSet<Oid> = failed.iter().map(|(id, _)| *id).collect();
        failed.extend(self.unkept.iter().filter(|(id, _)| !told.contains(id)).cloned());
        for (id, reason) in failed.iter().take(NAMED) {
            problems.0.push(format!("cannot keep the commit {id}: {reason}"));
        }
        if let Some(more @ 1..) = failed.len().checked_sub(NAMED) {
            problems.0.push(format!("cannot keep {more} more commits"));
        }
        let left = after.as_ref().and_then(|after| problems.note(keep::nested(workspace, store, &after.meta)));
        if let Some(left @ 1..) = left {
            problems.0.push(format!("{left} nested repositories were not looked at for commits: there are too many"));
        }
        problems.note(store.flush());
        let changes = after.as_ref().and_then(|after| problems.note(change::between(store, self.before, after)));
        let changes = changes.unwrap_or_default();
        if let Some(after) = &after {
            problems.note(store.set_ref(&self.spec.id.refs().1, after.commit));
        }
        let mut held = problems.note(held(workspace)).unwrap_or_default();
        let mut kept = self.keep;
        if !held.is_empty() && !kept {
            let cleaned = agentgit::clean(workspace, &directory.join("git"))
                .context("cannot take out of `.git` what runs commands");
            let left = problems.note(cleaned);
            kept = left.is_none();
            for (path, reason) in left.iter().flatten().take(NAMED) {
                let path = text::quote(path.as_os_str().as_encoded_bytes());
                problems.0.push(format!("cannot take `.git/{path}` over from the `.git` that was put aside: {reason}"));
            }
        }
        let nested = after.as_ref().map(tops).unwrap_or_default();
        let held_nested = problems.note(agentgit::nested::held(workspace, &nested)).unwrap_or_default();
        if !held_nested.is_empty() && !self.keep {
            let cleaned = agentgit::nested::clean(workspace, &nested, &directory.join("git-nested"))
                .context("cannot take out of nested repositories what runs commands");
            kept |= problems.note(cleaned).is_none();
        }
        held.extend(held_nested);
        let objects = problems.note(self.objects(&changes, store)).unwrap_or_default();
        let gone = after.as_ref().and_then(|after| problems.note(gone::between(store, self.before, after)));
        let beside = after.as_ref().map(|after| Beside::between(&self.before.meta, &after.meta));
        let linked = after.as_ref().and_then(|after| problems.note(linked(workspace, store, self.before, after)));
        let beside = beside.unwrap_or_default().with_gone(gone.unwrap_or_default());
        let mut beside = beside.with_linked(&linked.unwrap_or_default());
        beside.add_unread_refs(&imported.refs);
        let mut passed = after.as_ref().map(|after| passed::repositories(workspace, after, config)).unwrap_or_default();
        passed.retain(|path, state| self.passed.get(path) != Some(state));
        beside.add_passed(passed.keys());
        problems.note(write_changes(&directory, &objects, &beside));
        match self.outcome.alive {
            0 => {}
            1 => problems.0.push("1 process of the run cannot be ended".to_owned()),
            count => problems.0.push(format!("{count} processes of the run cannot be ended")),
        }
        if let Some(error) = &self.outcome.log_error {
            problems.0.push(format!("cannot record the output: {error}"));
        }
        if let Some(error) = &self.outcome.output_error {
            problems.0.push(format!("cannot pass the output of the command on: {error}"));
        }
        if let Ended::NoWall(reason) = &self.outcome.ended {
            problems.0.push(format!("cannot build the wall `{}`: {reason}; nothing was run", self.spec.policy.wall));
        }
        if self.outcome.ended == Ended::Lost {
            problems.0.push(
                "the supervisor of the run was killed, or lacked something that it needs, and has ended the run".into(),
            );
        }
        let (code, how, signal) = self.exit();
        record.end = Some(End {
            at: Timestamp::now(),
            outcome: how,
            code,
            signal,
            duration: self.outcome.duration.as_secs_f64(),
            cpu_user: self.outcome.user.as_secs_f64(),
            cpu_system: self.outcome.system.as_secs_f64(),
            peak_memory: self.outcome.peak_memory,
            disk_delta: self.outcome.disk_delta,
            limit: self.limit(),
            after: after.as_ref().map(|after| after.id.to_string()),
            changes: changes.len() as u64,
            commits: imported.commits.len() as u64,
            gone: beside.gone().count(),
            linked_worktrees: beside.linked().len() as u64,
        });
        problems.note(record.write(&directory));
        problems.note(workspace.touch());
        for problem in &problems.0 {
            ui.warn(problem);
        }
        let output = if ui.json() { problems.note(output(&directory)) } else { None };
        let measured = self.outcome.peak_memory > 0;
        Ran {
            workspace: workspace.name().to_string(),
            run: self.spec.id.to_string(),
            agent: self.spec.agent.clone(),
            command: self.spec.shown.clone(),
            wall: self.spec.policy.wall.to_string(),
            exit: code,
            outcome: how,
            signal,
            limit: self.limit(),
            duration: self.outcome.duration.as_secs_f64(),
            usage: Usage {
                cpu_user: measured.then_some(self.outcome.user.as_secs_f64()),
                cpu_system: measured.then_some(self.outcome.system.as_secs_f64()),
                peak_memory: measured.then_some(self.outcome.peak_memory),
                disk_delta: self.outcome.disk_delta,
            },
            output,
            lines: changes.iter().map(changes::line).collect(),
            changes: objects,
            commits: imported.commits.iter().map(ToString::to_string).collect(),
            stashes: imported.stashes.iter().map(ToString::to_string).collect(),
            beside,
            git_config_held: held,
            git_config_kept: kept,
            problems: problems.0,
            snapshot: after.map(|after| after.id.to_string()),
            notes: self.notes(),
            has_project: workspace.record.source.is_some(),
        }
    }

    fn objects(&self, changes: &[Change], store: &Store) -> Result<Vec<ChangeObject>> {
        changes
            .iter()
            .map(|change| {
                if self.content {
                    ChangeObject::with_content(change.clone(), store)
                } else {
                    Ok(ChangeObject::new(change.clone()))
                }
            })
            .collect()
    }

    /// Returns the exit code, what it stands for and the signal.
    fn exit(&self) -> (u8, How, Option<i32>) {
        let (code, how, signal) = match self.outcome.ended {
            Ended::Exited(code) => (code, How::Exited, None),
            Ended::Signaled(signal) => (128 + signal, How::Signaled, Some(signal)),
            Ended::NotFound(_) => (127, How::NotStarted, None),
            Ended::NotExecutable(_) => (126, How::NotStarted, None),
            Ended::NoWall(_) => (125, How::NotStarted, None),
            Ended::Lost => (125, How::Lost, None),
        };
        let code = u8::try_from(code).unwrap_or(u8::MAX);
        match self.outcome.stop {
            Some(Stop::Timeout) => (124, How::TimedOut, signal),
            Some(Stop::Idle) => (124, How::Idle, signal),
            // As a shell says it of what the kernel killed; a limit that the kernel keeps has its own signal.
            Some(Stop::Limit(Bound::FileSize)) => (code, How::Limit, signal),
            Some(Stop::Limit(_)) => (137, How::Limit, signal),
            Some(Stop::Asked) | None => (code, how, signal),
        }
    }

    fn limit(&self) -> Option<Bound> {
        match self.outcome.stop {
            Some(Stop::Limit(bound)) => Some(bound),
            _ => None,
        }
    }

    /// Says how the command ended where its own output cannot.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match &self.outcome.ended {
            Ended::NotFound(message) | Ended::NotExecutable(message) => {
                let mut line = format!("{message}.");
                if let (Ended::NotFound(_), Some(install)) = (&self.outcome.ended, &self.spec.install) {
                    write!(line, " It is installed by `{install}`.").expect("a String takes any text");
                }
                notes.push(line);
            }
            Ended::Signaled(signal) if self.outcome.stop.is_none() && self.spec.streams != Streams::Terminal => {
                notes.push(format!("The command was ended by signal {signal}."));
            }
            _ => {}
        }
        let limit = |limit: Option<std::time::Duration>| text::duration(limit.unwrap_or_default());
        match self.outcome.stop {
            Some(Stop::Timeout) => {
                notes.push(format!("The run was ended after {}: its time was over.", limit(self.spec.timeout)));
            }
            Some(Stop::Idle) => {
                let idle = limit(self.spec.idle_timeout);
                notes.push(format!("The run was ended because it printed nothing for {idle}."));
            }
            Some(Stop::Limit(bound)) => {
                let limit = self.spec.limits.text(bound);
                notes.push(format!("The run was ended: it reached its limit `{bound}={limit}`."));
            }
            Some(Stop::Asked) => notes.push("The run was interrupted.".into()),
            None => {}
        }
        match self.outcome.left_behind {
            0 => {}
            1 => notes.push("1 process that the command left behind was ended.".into()),
            count => notes.push(format!("{count} processes that the command left behind were ended.")),
        }
        notes
    }
}

/// Returns the linked worktrees that came with a run and that the walk does not see.
pub(super) fn linked(
    workspace: &Workspace,
    store: &Store,
    before: &Snapshot,
    after: &Snapshot,
) -> Result<Vec<PathBuf>> {
    linked::between(store.repository(), &workspace.top(), before, after).context("cannot look for linked worktrees")
}

fn held(workspace: &LeasedWorkspace) -> Result<Vec<String>> {
    Ok(agentdir::held_config(&Dir::open(&workspace.tree())?))
}

/// Returns the directories in which there is another repository, or may be. What is deep in ignored ones is not looked for.
fn tops(after: &Snapshot) -> Vec<PathBuf> {
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let beside = after.meta.special.iter().filter_map(|(special, _)| special.strip_suffix(b"/.git"));
    let nested = after.meta.nested.iter().map(|(nested, _)| nested.as_slice());
    let ignored = after.ignored.iter().chain(&after.meta.newly_ignored).map(Vec::as_slice);
    let mut tops: Vec<PathBuf> = nested.chain(beside).chain(ignored).map(path).collect();
    tops.sort();
    tops.dedup();
    tops
}

/// Writes down beside the record of a run what it changed.
pub(super) fn write_changes(directory: &Path, changes: &[ChangeObject], beside: &Beside) -> Result<()> {
    #[derive(Serialize)]
    struct File<'a> {
        schema: u32,
        changes: &'a [ChangeObject],
        linked_worktrees: &'a [JsonPath],
        #[serde(flatten)]
        gone: &'a Gone,
    }
    let (linked_worktrees, gone) = (beside.linked(), beside.gone());
    let text = serde_json::to_vec(&File { schema: 1, changes, linked_worktrees, gone })
        .context("cannot record the changes")?;
    write_atomic(&directory.join("changes.json"), &text, Durability::Lazy)
}

fn output(directory: &Path) -> Result<Output> {
    let (output, output_truncated) = super::tail(&directory.join("out"), OUTPUT_CAP)?;
    let (error, error_truncated) = super::tail(&directory.join("err"), OUTPUT_CAP)?;
    Ok(Output { output, output_truncated, error, error_truncated })
}
