//! The only owner of stdout and stderr.
//!
//! stdout is the answer (a [`Report`], as text or JSON), stderr is the talk (status lines, progress, failures).

pub(crate) mod progress;
pub(crate) mod text;

use serde::Serialize;

use crate::error::{Exit, Result};
use crate::progress::Progress;
use crate::ui::text::Page;

/// The answer of a command: one struct for people and programs, so that the two cannot drift.
///
/// In JSON its fields stand beside `"schema": 1`; fields are only ever added.
pub(crate) trait Report: Serialize {
    /// Writes the answer for people; nothing when nothing happened.
    fn text(&self, page: &mut Page);

    /// Returns the exit code; not 0 when some of several items failed.
    fn exit(&self) -> Exit {
        Exit::DONE
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// How the program talks, from the global flags and the terminal.
pub(crate) struct Ui {
    _private: (),
}

impl Ui {
    /// Prints a status line (a sentence with a full stop) on stderr; silent with `-q`.
    pub(crate) fn status(&self, line: &str) {
        let _ = line;
        todo!("front")
    }

    /// Prints a line that only `-v` shows.
    pub(crate) fn detail(&self, line: &str) {
        let _ = line;
        todo!("front")
    }

    /// Prints a warning on stderr, also with `-q`.
    pub(crate) fn warn(&self, line: &str) {
        let _ = line;
        todo!("front")
    }

    /// Prints the answer on stdout and returns its exit code; a broken pipe counts as done.
    pub(crate) fn answer(&self, report: &dyn ErasedReport) -> Result<Exit> {
        let _ = report;
        todo!("front")
    }

    /// Prints raw bytes on stdout (a patch, `-z` output).
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<Exit> {
        let _ = bytes;
        todo!("front")
    }

    /// Prints the answer's text on stderr: for `exec`, whose stdout belongs to the command.
    pub(crate) fn aside(&self, report: &impl Report) {
        let _ = report;
        todo!("front")
    }

    pub(crate) fn json(&self) -> bool {
        todo!("front")
    }

    /// Returns whether stdin and stderr are terminals, so that a question can be asked.
    pub(crate) fn interactive(&self) -> bool {
        todo!("front")
    }

    /// Asks a yes-or-no question on a terminal; elsewhere fails as `refused`, naming the `flag` that answers it.
    pub(crate) fn confirm(&self, question: &str, flag: &str) -> Result<bool> {
        let _ = (question, flag);
        todo!("front")
    }

    /// Returns the progress bars (or nothing at all, where stderr is not a terminal, `--json` or `-q`); it also answers
    /// whether the user pressed Ctrl-C.
    pub(crate) fn progress(&self) -> &dyn Progress {
        todo!("front")
    }
}

/// A [`Report`] behind a pointer.
pub(crate) trait ErasedReport {
    fn json(&self) -> serde_json::Result<serde_json::Value>;
    fn text(&self, page: &mut Page);
    fn exit(&self) -> Exit;
}

impl<R: Report> ErasedReport for R {
    fn json(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(self)
    }

    fn text(&self, page: &mut Page) {
        Report::text(self, page);
    }

    fn exit(&self) -> Exit {
        Report::exit(self)
    }
}
