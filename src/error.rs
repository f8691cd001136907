//! What a command ends with: [`Failure`] for an error that its reader can act on, [`Kind`] for its class, [`Exit`] for
//! the exit code. All other errors travel as `anyhow` with context and end as [`Kind::Failed`].

use std::fmt;

use serde::Serialize;

pub(crate) type Result<T, E = anyhow::Error> = std::result::Result<T, E>;

/// The class of a failure; decides the exit code and is the `kind` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The machine failed us, or some of several items failed.
    Failed,
    /// The command line is wrong.
    Usage,
    /// No such workspace, source or run.
    NotFound,
    /// The name is taken.
    Exists,
    /// Another process holds the lease.
    Busy,
    /// A sync needs a decision.
    Conflict,
    /// It would lose work or cross a wall, and was not told to.
    Refused,
    /// This host lacks a feature that was asked for.
    Unsupported,
    /// A file under the root is not as this version expects.
    Damaged,
}

impl Kind {
    pub(crate) fn exit(self) -> Exit {
        Exit(match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Exists => 4,
            Self::Busy => 5,
            Self::Conflict => 6,
            Self::Refused => 7,
            Self::Unsupported => 8,
            Self::Damaged => 9,
        })
    }

    /// Returns the kind of the first [`Failure`] in the chain of `error`, else [`Kind::Failed`].
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        Failure::of(error).map_or(Self::Failed, |failure| failure.kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not-found",
            Self::Exists => "exists",
            Self::Busy => "busy",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
            Self::Damaged => "damaged",
        })
    }
}

/// An error that a reader can act on: what, where, and (as the hint) what next.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string(), hint: None }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Returns the first failure in the chain of `error`.
    pub(crate) fn of(error: &anyhow::Error) -> Option<&Self> {
        // A failure that was added as context is not in the chain by its own type; anyhow's downcast finds it.
        error.downcast_ref().or_else(|| error.chain().find_map(|cause| cause.downcast_ref()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The place in a file that a failure is about: a line and the columns in it. A cause of a [`Failure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    pub(crate) width: usize,
    pub(crate) text: String,
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.text.trim())
    }
}

impl std::error::Error for Excerpt {}

/// The exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u8);

impl Exit {
    pub(crate) const DONE: Self = Self(0);
    /// stead's own failure in `exec`, whatever its kind.
    pub(crate) const EXEC_FAILURE: Self = Self(125);
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.0.into()
    }
}
