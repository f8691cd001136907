//! Commands with signals at their defaults and nothing inherited by accident.

use std::ffi::OsStr;
use std::process::Command;

/// Returns a command to which the caller gives arguments, environment and descriptors.
#[expect(clippy::disallowed_methods, reason = "this is the one place that makes commands")]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}
