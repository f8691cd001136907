//! What `stead exec` answers: of a run, or of one that would be.

use serde::Serialize;

use crate::cmd::changes::{self, Beside, ChangeObject};
use crate::cmd::exec::plan::Plan;
use crate::error::{Exit, Result};
use crate::run::limits::Bound;
use crate::run::record::Outcome as End;
use crate::ui::text::{Page, times};
use crate::ui::{Report, Ui};

/// The answer: of a run, whose stdout belongs to the command, or of `--dry-run`.
pub(crate) enum Answer {
    Ran(Box<Ran>),
    Plan(Box<Plan>),
}

impl Answer {
    /// Returns the exit code without saying anything.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Ran(ran) => ran.exit(),
            Self::Plan(_) => Exit::DONE,
        }
    }

    pub(crate) fn give(&self, ui: &Ui) -> Result<Exit> {
        match self {
            Self::Ran(ran) if ui.json() => ui.answer(ran.as_ref()),
            Self::Ran(ran) => {
                ui.aside(ran.as_ref());
                Ok(ran.exit())
            }
            Self::Plan(plan) => ui.answer(plan.as_ref()),
        }
    }
}

/// How a run ended and what it changed.
#[derive(Debug, Serialize)]
pub(crate) struct Ran {
    pub(crate) workspace: String,
    pub(crate) run: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    pub(crate) command: Vec<String>,
    pub(crate) wall: String,
    /// The command's own exit code, or the one that stands for how it ended.
    pub(crate) exit: u8,
    pub(crate) outcome: End,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signal: Option<i32>,
    /// The limit that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<Bound>,
    /// Seconds.
    pub(crate) duration: f64,
    pub(crate) usage: Usage,
    /// What it printed on stdout.
    #[serde(flatten)]
    pub(crate) output: Option<Output>,
    pub(crate) changes: Vec<ChangeObject>,
    /// Commits that the run made, newest first.
    pub(crate) commits: Vec<String>,
    /// New stash entries.
    pub(crate) stashes: Vec<String>,
    #[serde(flatten)]
    pub(crate) beside: Beside,
    /// What in `.git` would run commands.
    pub(crate) git_config_held: Vec<String>,
    /// Whether that was left in place.
    pub(crate) git_config_kept: bool,
    /// What stead itself could not do after the run.
    pub(crate) problems: Vec<String>,
    /// The snapshot after, as `sync --snapshot` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot: Option<String>,
    #[serde(skip)]
    pub(crate) lines: Vec<String>,
    #[serde(skip)]
    pub(crate) notes: Vec<String>,
    #[serde(skip)]
    pub(crate) has_project: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Usage {
    /// Seconds of processor time; none in a container, where they are the engine's to know.
    pub(crate) cpu_user: Option<f64>,
    pub(crate) cpu_system: Option<f64>,
    /// Bytes; of all of the run where its memory is limited, else of the largest process.
    pub(crate) peak_memory: Option<u64>,
    /// Bytes by which the file system of the tree had less room at the end than at the start, whoever took them.
    pub(crate) disk_delta: i64,
}

/// The end of what a command printed.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "they are fields of the answer")]
pub(crate) struct Output {
    pub(crate) output: String,
    pub(crate) output_truncated: bool,
    pub(crate) error: String,
    pub(crate) error_truncated: bool,
}

impl Ran {
    fn nothing_changed(&self) -> bool {
        self.changes.is_empty() && self.commits.is_empty() && self.stashes.is_empty() && self.beside.is_empty()
    }
}

impl Report for Ran {
    fn text(&self, page: &mut Page) {
        for note in &self.notes {
            page.line(note);
        }
        for line in &self.lines {
            page.line(line);
        }
        self.beside.text(page);
        for (count, noun) in [(self.commits.len(), "new commit"), (self.stashes.len(), "new stash entry")] {
            if count > 0 {
                page.line(times(count, noun));
            }
        }
        changes::held(page, &self.git_config_held, self.git_config_kept);
        if self.problems.is_empty() && self.nothing_changed() {
            page.line("Nothing changed.");
        } else if self.snapshot.is_some() {
            let to = if self.has_project { "--to" } else { "--to PATH" };
            page.line(format!("Next: `stead diff {0}`, `stead sync {0} {to}`", self.workspace));
        }
    }

    fn exit(&self) -> Exit {
        if self.problems.is_empty() { Exit(self.exit) } else { Exit::EXEC_FAILURE }
    }
}
