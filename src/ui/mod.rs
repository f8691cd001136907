//! The only owner of stdout and stderr.
//!
//! stdout is the answer (a [`Report`], as text or JSON), stderr is the talk (status lines, progress, failures).

mod progress;
pub(crate) mod text;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;
use serde::Serialize;

use crate::config::Environment;
use crate::error::{Excerpt, Exit, Failure, Kind, Result};
use crate::progress::Progress;
use crate::ui::progress::Bars;
use crate::ui::text::{Page, Style};

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

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Quiet,
    #[default]
    Normal,
    Verbose,
}

/// What form the answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

/// How the program talks, from the global flags and the terminal.
pub(crate) struct Ui {
    form: Form,
    level: Level,
    color_out: bool,
    color_err: bool,
    bars: Bars,
}

const TO_STDOUT: &str = "cannot write to stdout";

/// What to do when the disk is full.
const NO_SPACE: &str =
    "`stead gc` collects what is old and safe elsewhere, `stead gc --purge` empties the trash; both need no room";

impl Ui {
    pub(crate) fn new(form: Form, level: Level, color: Color, environment: &Environment) -> Self {
        let dumb = environment.text("TERM") == Some("dumb");
        let bars = form == Form::Text && level > Level::Quiet && !dumb && io::stderr().is_terminal();
        Self {
            form,
            level,
            color_out: form == Form::Text && colored(color, environment, io::stdout().is_terminal()),
            color_err: colored(color, environment, io::stderr().is_terminal()),
            bars: Bars::new(bars),
        }
    }

    /// Prints a status line (a sentence with a full stop) on stderr; silent with `-q`.
    pub(crate) fn status(&self, line: &str) {
        if self.level >= Level::Normal {
            let mut page = self.talk();
            page.line(line);
            self.say(&page);
        }
    }

    /// Prints a line that only `-v` shows.
    pub(crate) fn detail(&self, line: &str) {
        if self.level >= Level::Verbose {
            let mut page = self.talk();
            page.line(line);
            self.say(&page);
        }
    }

    /// Prints a warning on stderr, also with `-q`.
    pub(crate) fn warn(&self, line: &str) {
        let mut page = self.talk();
        page.labelled("warning:", Style::Warning, line);
        self.say(&page);
    }

    /// Prints the answer on stdout and returns its exit code; a broken pipe counts as done.
    pub(crate) fn answer(&self, report: &dyn ErasedReport) -> Result<Exit> {
        match self.form {
            Form::Text => {
                let mut page = Page::colored(self.color_out);
                report.text(&mut page);
                self.raw(page.as_str().as_bytes())?;
            }
            Form::Json => {
                self.object(&report.json().context("cannot write the answer as JSON")?)?;
            }
        }
        Ok(report.exit())
    }

    /// Prints raw bytes on stdout (a patch, `-z` output).
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<Exit> {
        self.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context(TO_STDOUT),
                _ => Ok(Exit::DONE),
            }
        })
    }

    /// Prints the answer's text on stderr: for `exec`, whose stdout belongs to the command. Silent with `-q`.
    pub(crate) fn aside(&self, report: &impl Report) {
        if self.level >= Level::Normal {
            let mut page = self.talk();
            report.text(&mut page);
            self.say(&page);
        }
    }

    /// Prints help or the version on stdout; it is stead's own text.
    pub(crate) fn help(&self, text: &clap::builder::StyledStr) -> Result<Exit> {
        let text = if self.color_out { text.ansi().to_string() } else { text.to_string() };
        self.raw(text.as_bytes())
    }

    /// Prints help on stderr, for a command line that names nothing to do.
    pub(crate) fn usage(&self, text: &clap::builder::StyledStr) {
        let text = if self.color_err { text.ansi().to_string() } else { text.to_string() };
        drop(io::stderr().lock().write_all(text.as_bytes()));
    }

    /// Prints a failure: on stderr for people, as the answer with `--json`.
    pub(crate) fn fail(&self, error: &anyhow::Error) {
        let hint = Failure::of(error).and_then(|failure| failure.hint.as_deref());
        // Wherever it struck, but for what somebody else reads; libgit2 has only the words.
        let is_full = |cause: &(dyn std::error::Error + 'static)| cause.to_string().contains("No space left on device");
        let full = || error.to_string() != TO_STDOUT && error.chain().any(is_full);
        let hint = hint.or_else(|| full().then_some(NO_SPACE));
        let mut causes = error.chain();
        let message = causes.next().map(ToString::to_string).unwrap_or_default();
        match self.form {
            Form::Text => {
                let mut page = self.talk();
                page.labelled("error:", Style::Error, &message);
                for cause in causes {
                    if let Some(excerpt) = cause.downcast_ref::<Excerpt>() {
                        let gutter = excerpt.line.to_string();
                        page.line(format!("  {gutter} | {}", excerpt.text));
                        let (blank, indent) = (" ".repeat(gutter.len()), " ".repeat(excerpt.column - 1));
                        page.line(format!("  {blank} | {indent}{}", "^".repeat(excerpt.width.max(1))));
                    } else {
                        page.line(format!("  caused by: {cause}"));
                    }
                }
                if let Some(hint) = hint {
                    page.hint(hint);
                }
                self.say(&page);
            }
            Form::Json => {
                let causes: Vec<String> = causes.map(ToString::to_string).collect();
                let error = Failed { error: Told { kind: Kind::of(error), message, causes, hint } };
                // There is nobody left to tell when this does not get out.
                drop(serde_json::to_string(&error).map(|json| self.object(&json)));
            }
        }
    }

    pub(crate) fn json(&self) -> bool {
        self.form == Form::Json
    }

    /// Returns whether more is to be said than usual.
    pub(crate) fn verbose(&self) -> bool {
        self.level >= Level::Verbose
    }

    /// Returns whether stdin and stderr are terminals, so that a question can be asked.
    #[expect(clippy::unused_self, reason = "asked of the one that asks questions")]
    pub(crate) fn interactive(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a yes-or-no question on a terminal; elsewhere fails as `refused`, naming the `flag` that answers it.
    pub(crate) fn confirm(&self, question: &str, flag: &str) -> Result<bool> {
        if !self.interactive() || self.json() {
            return Err(Failure::new(Kind::Refused, format!("cannot ask without a terminal: {question}"))
                .hint(format!("answer it with `{flag}`"))
                .into());
        }
        self.bars.suspend(|| {
            let mut stderr = io::stderr().lock();
            write!(stderr, "{} [y/N] ", text::escape(question)).and_then(|()| stderr.flush())?;
            let mut answer = String::new();
            io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
            Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
        })
    }

    /// Returns the progress bars (or nothing at all, where stderr is not a terminal, `--json` or `-q`); it also answers
    /// whether the user pressed Ctrl-C.
    pub(crate) fn progress(&self) -> &dyn Progress {
        &self.bars
    }

    /// From now on SIGINT and SIGTERM make [`Progress::cancelled`] true; a second one ends the process at once.
    pub(crate) fn catch_interrupts(&self) -> Result<()> {
        self.bars.catch_interrupts().context("cannot catch signals")
    }

    /// Ends what [`Ui::catch_interrupts`] has begun: from now on somebody else watches for them.
    pub(crate) fn release_interrupts(&self) {
        self.bars.release_interrupts();
    }

    /// Returns the exit code that a caught signal asks for.
    pub(crate) fn interrupted(&self) -> Option<Exit> {
        self.bars.interrupted()
    }

    fn talk(&self) -> Page {
        Page::colored(self.color_err)
    }

    fn say(&self, page: &Page) {
        self.bars.suspend(|| {
            // A closed stderr must not end the work.
            drop(io::stderr().lock().write_all(page.as_str().as_bytes()));
        });
    }

    /// Prints an object on stdout with `"schema": 1` as its first field.
    fn object(&self, json: &str) -> Result<Exit> {
        let fields = json.strip_prefix('{').context("the answer is not an object")?;
        let comma = if fields == "}" { "" } else { "," };
        self.raw(format!("{{\"schema\":1{comma}{}\n", text::escape_json(fields)).as_bytes())
    }
}

/// Returns whether a stream gets colours: the flag, else `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR`, `TERM`.
pub(crate) fn colored(color: Color, environment: &Environment, terminal: bool) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if environment.get("NO_COLOR").is_some() => false,
        Color::Auto if environment.get("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        Color::Auto => {
            terminal && environment.text("TERM") != Some("dumb") && environment.text("CLICOLOR") != Some("0")
        }
    }
}

#[derive(Serialize)]
struct Failed<'a> {
    error: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    kind: Kind,
    message: String,
    causes: Vec<String>,
    hint: Option<&'a str>,
}

/// A [`Report`] behind a pointer.
pub(crate) trait ErasedReport {
    fn json(&self) -> serde_json::Result<String>;
    fn text(&self, page: &mut Page);
    fn exit(&self) -> Exit;
}

impl<R: Report> ErasedReport for R {
    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    fn text(&self, page: &mut Page) {
        Report::text(self, page);
    }

    fn exit(&self) -> Exit {
        Report::exit(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_environment_and_the_environment_over_the_terminal() {
        let of = |variables| Environment::of(variables, "/");
        assert!(colored(Color::Always, &of(&[("NO_COLOR", "1")]), false));
        assert!(!colored(Color::Auto, &of(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]), true));
        assert!(colored(Color::Auto, &of(&[("CLICOLOR_FORCE", "1")]), false));
        assert!(!colored(Color::Auto, &of(&[("CLICOLOR_FORCE", "0")]), false));
        assert!(!colored(Color::Auto, &of(&[("TERM", "dumb")]), true));
        assert!(!colored(Color::Never, &of(&[]), true));
        assert!(colored(Color::Auto, &of(&[("NO_COLOR", "")]), true));
    }
}
