//! `stead log`: the runs of workspaces, and the audit trail.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::cmd::{no_workspace, reader, settled};
use crate::config::Config;
use crate::error::{Kind, Result};
use crate::git::repository::Access;
use crate::run::limits::Bound;
use crate::run::record::{self, End, Outcome, RunRecord};
use crate::store::audit::{self, Event};
use crate::store::name::WorkspaceName;
use crate::store::root::UserRoot;
use crate::ui::text::{Page, age, bytes, duration, quote};
use crate::ui::{Report, Ui};
use crate::workspace::prune::{self, Kept};
use crate::workspace::sync::revert;
use crate::workspace::{Listed, Workspace};

/// Show runs and events
///
/// Lists the runs of one workspace or of all of them, and what was applied to projects and folders, the newest first, each
/// with how long it can be undone: a run with `stead undo NAME RUN`, an apply with `stead undo NAME --apply PATH`. With
/// `--audit`, lists what was done instead: one line for each command that changed something.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this workspace
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Show who did what instead of the runs
    #[arg(long)]
    audit: bool,
    /// Show at most so many
    #[arg(short, long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Runs { runs: Vec<Line>, applies: Vec<ApplyLine> },
    Events { events: Vec<Event> },
}

/// One run.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    workspace: String,
    id: String,
    started: Timestamp,
    agent: Option<String>,
    command: Vec<String>,
    prompt: Option<String>,
    /// `running`, or how it ended: `exited`, `signaled`, `timed-out`, `idle`, `limit`, `not-started`, `lost`.
    outcome: String,
    exit: Option<u8>,
    signal: Option<i32>,
    changes: Option<u64>,
    commits: Option<u64>,
    /// How much went that is no change: refs, stash entries, nested repositories, ignored files.
    gone: Option<u64>,
    /// Linked worktrees that the run made where nothing is recorded.
    linked_worktrees: Option<u64>,
    /// Seconds.
    duration: Option<f64>,
    limit: Option<Bound>,
    usage: Option<Usage>,
    wall: String,
    before: Option<String>,
    after: Option<String>,
    /// The run that this one, an undo, took back.
    undoes: Option<String>,
    /// Whether the state before it is still kept.
    undoable: bool,
    /// Until when that is so at most; none while it is one of the last runs, which are kept in any case.
    undoable_until: Option<Timestamp>,
}

/// What `sync --to PATH --apply` wrote, or the undo of that.
#[derive(Debug, Serialize)]
pub(crate) struct ApplyLine {
    workspace: String,
    id: String,
    at: Timestamp,
    target: String,
    changes: Option<usize>,
    /// The apply that this one took back.
    undoes: Option<String>,
    /// Whether `undo --apply` can take it back: the last one first.
    undoable: bool,
    /// Until when that is so at most; none while it is the last one, which is kept in any case.
    undoable_until: Option<Timestamp>,
}

/// What a run consumed, what it left in the background included.
#[derive(Debug, Serialize)]
struct Usage {
    /// Seconds of processor time; none of what was not measured.
    cpu_user: Option<f64>,
    cpu_system: Option<f64>,
    /// Bytes; of all of the run where its memory is limited, else of the largest process.
    peak_memory: Option<u64>,
    /// Bytes by which the file system of the tree had less room at the end than at the start, whoever took them.
    disk_delta: i64,
}

impl Usage {
    fn of(end: &End) -> Self {
        let measured = end.peak_memory > 0;
        Self {
            cpu_user: measured.then_some(end.cpu_user),
            cpu_system: measured.then_some(end.cpu_system),
            peak_memory: measured.then_some(end.peak_memory),
            disk_delta: end.disk_delta,
        }
    }

    fn cpu(&self) -> String {
        let seconds = self.cpu_user.zip(self.cpu_system).map(|(user, system)| user + system);
        let time = seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
        time.map_or_else(|| "-".to_owned(), duration)
    }
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        let now = Timestamp::now();
        match self {
            Self::Runs { runs, applies } if runs.is_empty() && applies.is_empty() => page.line("No runs."),
            Self::Runs { runs, applies } => {
                let runs = runs.iter().map(|line| (line.started, line.row(now)));
                let mut rows: Vec<_> = runs.chain(applies.iter().map(|line| (line.at, line.row(now)))).collect();
                rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
                let rows: Vec<Vec<String>> = rows.into_iter().map(|(_, row)| row).collect();
                let heading = ["RUN", "WORKSPACE", "WHEN", "EXIT", "CHANGES", "TOOK", "CPU", "MEMORY", "UNDO", "WHAT"];
                page.table(&heading, &rows);
            }
            Self::Events { events } if events.is_empty() => page.line("No events."),
            Self::Events { events } => {
                let rows: Vec<Vec<String>> = events.iter().map(row).collect();
                page.table(&["WHEN", "COMMAND", "WORKSPACES", "OPTIONS", "EXIT"], &rows);
            }
        }
    }
}

impl Line {
    fn of(workspace: &Workspace, run: RunRecord, running: bool, kept: Option<&Kept>) -> Self {
        let outcome = match &run.end {
            Some(end) => end.outcome.word(),
            None if running => "running",
            None => Outcome::Lost.word(),
        };
        let end = run.end.as_ref();
        Self {
            workspace: workspace.name().as_str().to_owned(),
            outcome: outcome.to_owned(),
            exit: end.map(|end| end.code),
            signal: end.and_then(|end| end.signal),
            changes: end.map(|end| end.changes),
            commits: end.map(|end| end.commits),
            gone: end.map(|end| end.gone),
            linked_worktrees: end.map(|end| end.linked_worktrees),
            duration: end.map(|end| end.duration),
            limit: end.and_then(|end| end.limit),
            usage: end.map(Usage::of),
            after: end.and_then(|end| end.after.clone()),
            id: run.id.as_str().to_owned(),
            started: run.started,
            agent: run.agent,
            command: run.command,
            prompt: run.prompt,
            undoes: run.undoes.map(|id| id.to_string()),
            undoable: kept.is_some(),
            undoable_until: kept.and_then(|kept| kept.until),
            wall: run.wall,
            before: run.before,
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let exit = match (self.outcome.as_str(), self.exit) {
            ("exited", Some(code)) => code.to_string(),
            (outcome, Some(code)) => format!("{code} ({outcome})"),
            (outcome, None) => outcome.to_owned(),
        };
        let beside = [
            (self.commits, "+", " commits"),
            (self.linked_worktrees, "+", " linked worktrees"),
            (self.gone, "", " gone"),
        ];
        let beside: Vec<String> = beside
            .into_iter()
            .filter_map(|(count, sign, noun)| Some(format!("{sign}{}{noun}", count.filter(|count| *count > 0)?)))
            .collect();
        let changes = match self.changes {
            None => "-".to_owned(),
            Some(changes) if beside.is_empty() => changes.to_string(),
            Some(changes) => format!("{changes} ({})", beside.join(", ")),
        };
        let none = || "-".to_owned();
        // Of what stead itself did, or was killed in, nothing is measured.
        let usage = self.usage.as_ref().filter(|usage| usage.peak_memory.is_some());
        let seconds = self.duration.filter(|_| usage.is_some());
        let took = seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
        vec![
            self.id.clone(),
            self.workspace.clone(),
            age(self.started, now),
            exit,
            changes,
            took.map_or_else(none, duration),
            usage.map_or_else(none, Usage::cpu),
            usage.and_then(|usage| usage.peak_memory).map_or_else(none, bytes),
            undoable(self.undoable, self.undoable_until),
            self.what(),
        ]
    }

    /// Returns what ran, in one line that fits a terminal.
    fn what(&self) -> String {
        let what = match (&self.agent, &self.prompt) {
            _ if self.undoes.is_some() => format!("undo of {}", self.undoes.as_deref().unwrap_or_default()),
            (Some(agent), Some(prompt)) => format!("{agent}: {prompt}"),
            (Some(agent), None) => agent.clone(),
            (None, _) => self.command.join(" "),
        };
        short(&what)
    }
}

impl ApplyLine {
    /// Returns the applies of a workspace and their undos.
    fn all(workspace: &Workspace) -> Result<Vec<Self>> {
        let store = workspace.store(Access::Read)?;
        let all = revert::applies(&store)?;
        let undone: BTreeSet<&str> = all.iter().filter_map(|one| one.undoes.as_deref()).collect();
        let last = all.last().map(|one| one.id.as_str());
        Ok(all
            .iter()
            .map(|one| {
                let undoable = one.undoes.is_none() && !undone.contains(one.id.as_str());
                Self {
                    workspace: workspace.name().as_str().to_owned(),
                    id: one.id.clone(),
                    at: one.at,
                    target: one.target.clone(),
                    changes: one.paths(&store).ok(),
                    undoes: one.undoes.clone(),
                    undoable,
                    undoable_until: prune::kept_apply(&one.id, last == Some(&one.id)).until.filter(|_| undoable),
                }
            })
            .collect())
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let none = || "-".to_owned();
        let what = match &self.undoes {
            Some(id) => format!("undo of {id} in {}", quote(self.target.as_bytes())),
            None => format!("apply to {}", quote(self.target.as_bytes())),
        };
        vec![
            self.id.clone(),
            self.workspace.clone(),
            age(self.at, now),
            none(),
            self.changes.map_or_else(none, |count| count.to_string()),
            none(),
            none(),
            none(),
            undoable(self.undoable, self.undoable_until),
            short(&what),
        ]
    }
}

/// Says whether, and until when, something can be undone.
fn undoable(is: bool, until: Option<Timestamp>) -> String {
    match until {
        _ if !is => "-".to_owned(),
        None => "yes".to_owned(),
        Some(until) => format!("until {}", until.strftime("%Y-%m-%d")),
    }
}

/// Returns a text in one line that fits a terminal.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > 48 { line.chars().take(47).chain(['…']).collect() } else { line }
}

fn row(event: &Event) -> Vec<String> {
    let exit = match &event.kind {
        Some(kind) => format!("{} ({kind})", event.exit),
        None => event.exit.to_string(),
    };
    vec![
        event.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        event.command.clone(),
        event.workspaces.join(" "),
        event.options.join(" "),
        exit,
    ]
}

pub(crate) fn run(args: &Args, config: &Config, _ui: &Ui) -> Result<Answer> {
    let name = args.name.as_deref().map(WorkspaceName::parse).transpose()?;
    let limit = args.limit.unwrap_or(usize::MAX);
    let at = reader(config)?;
    if args.audit {
        let all = if at.is_some() { audit::read(&config.root) } else { Vec::new() };
        // A user sees only their own.
        let own = all.into_iter().rev().filter(|event| event.user == config.user);
        let named =
            own.filter(|event| name.as_ref().is_none_or(|name| event.workspaces.iter().any(|of| of == name.as_str())));
        return Ok(Answer::Events { events: named.take(limit).collect() });
    }
    let names = match (&name, &at) {
        (Some(name), Some(_)) => vec![name.clone()],
        (Some(name), None) => return Err(no_workspace(name)),
        (None, Some(at)) => whole(at)?,
        (None, None) => Vec::new(),
    };
    let (mut runs, mut applies) = (Vec::new(), Vec::new());
    for (one, at) in names.iter().zip(at.iter().cycle()) {
        match settled(at, one, Workspace::find, of) {
            Ok(lines) => {
                runs.extend(lines.0);
                applies.extend(lines.1);
            }
            // Removed since all were listed.
            Err(error) if name.is_none() && Kind::of(&error) == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    runs.sort_by_key(|line| std::cmp::Reverse(line.started));
    applies.sort_by(|one, other| (other.at, &other.id).cmp(&(one.at, &one.id)));
    // The newest of both.
    let mut times: Vec<_> = runs.iter().map(|line| (line.started, true)).collect();
    times.extend(applies.iter().map(|line| (line.at, false)));
    times.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let of_runs = times.iter().take(limit).filter(|(_, is_run)| *is_run).count();
    applies.truncate(times.len().min(limit) - of_runs);
    runs.truncate(of_runs);
    Ok(Answer::Runs { runs, applies })
}

fn of(workspace: &Workspace) -> Result<(Vec<Line>, Vec<ApplyLine>)> {
    let running = workspace.holder()?.is_some();
    let all = record::all(&workspace.runs())?;
    let kept = prune::kept(workspace)?;
    // Of a store that cannot be read nothing can be undone; `doctor` says what is wrong with it.
    let applies = ApplyLine::all(workspace).unwrap_or_default();
    anyhow::ensure!(workspace.state().exists(), "workspace `{}` was removed meanwhile", workspace.name());
    let runs = all.into_iter().map(|run| {
        let kept = kept.get(run.id.as_str());
        Line::of(workspace, run, running, kept)
    });
    Ok((runs.collect(), applies))
}

fn whole(at: &UserRoot) -> Result<Vec<WorkspaceName>> {
    let listed = Workspace::all(at)?.into_iter().filter_map(|listed| match listed {
        Listed::Whole(workspace) => Some(workspace.name().clone()),
        Listed::Damaged { .. } => None,
    });
    Ok(listed.collect())
}
