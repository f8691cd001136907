//! Commands with signals at their defaults and nothing inherited by accident.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::io::FdFlags;
use rustix::process::Signal;

use crate::sys;

/// Returns a command to which the caller gives arguments, environment and descriptors.
#[expect(clippy::disallowed_methods, reason = "this is the one place that makes commands")]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// Which process group a command of a run is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Group {
    /// One of its own: signals of the terminal reach it through stead.
    Own,
    /// stead's: it can use the terminal, and signals of the terminal reach both.
    Shared,
}

/// Returns stead itself as the process that builds a wall and becomes, or starts, the command of a run.
pub(crate) fn enter(word: &str, inherited: &[BorrowedFd<'_>]) -> Command {
    let mut command = stead(word, inherited);
    start_apart(&mut command, Group::Shared);
    command
}

/// Has a command start in its group, with all signals at their defaults, and be killed when the thread that starts it ends.
fn start_apart(command: &mut Command, group: Group) {
    if group == Group::Own {
        command.process_group(0);
    }
    let parent = rustix::process::getpid();
    sys::before_exec(command, move || {
        default_signals();
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the line above.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    });
}

fn default_signals() {
    for signal in 1..=64 {
        sys::default_signal(signal);
    }
}

/// Becomes the command of a run, in this process; returns only when that is refused.
pub(crate) fn become_command(argv: &[OsString], environment: &[(OsString, OsString)], directory: &Path) -> io::Error {
    let mut command = of_run(argv, environment, directory);
    // This program ignores one, as it started.
    default_signals();
    if let Err(error) = sys::close_on_exec_from(3) {
        return error;
    }
    command.exec()
}

/// Returns stead itself as another process, with `word` and the numbers of `inherited` as its arguments.
pub(crate) fn stead(word: &str, inherited: &[BorrowedFd<'_>]) -> Command {
    let mut command = command("/proc/self/exe");
    command.arg0("stead").arg(word).env_clear();
    let numbers: Vec<i32> = inherited.iter().map(AsRawFd::as_raw_fd).collect();
    command.args(numbers.iter().map(ToString::to_string));
    sys::before_exec(&mut command, move || {
        for number in &numbers {
            let descriptor = sys::inherited(*number);
            rustix::io::fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        Ok(())
    });
    command
}

/// Returns the command of a run: exactly this environment, all signals at their defaults, no descriptor but the three,
/// killed when the thread that starts it ends.
pub(crate) fn run(argv: &[OsString], environment: &[(OsString, OsString)], directory: &Path, group: Group) -> Command {
    let mut command = of_run(argv, environment, directory);
    start_apart(&mut command, group);
    sys::before_exec(&mut command, || sys::close_on_exec_from(3));
    command
}

fn of_run(argv: &[OsString], environment: &[(OsString, OsString)], directory: &Path) -> Command {
    let (program, arguments) = argv.split_first().expect("a run has a program");
    let mut command = command(program);
    command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    command.current_dir(directory);
    command
}

/// Takes over a descriptor that [`stead`] handed on by number.
pub(crate) fn adopt(number: &OsStr) -> io::Result<std::os::fd::OwnedFd> {
    let number: i32 = number.to_str().and_then(|text| text.parse().ok()).ok_or(io::ErrorKind::InvalidInput)?;
    // Fails for a number that is not open.
    rustix::io::fcntl_getfd(sys::inherited(number))?;
    sys::inherited(number).as_fd().try_clone_to_owned()
}
