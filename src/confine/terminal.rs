//! The state of the terminal: saved before a run, put back on every way out.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::process::Pid;
use rustix::termios::{OptionalActions, Termios};

use crate::sys;

/// Returns the path of the terminal that one of the streams is.
pub(crate) fn name() -> Option<PathBuf> {
    [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()]
        .into_iter()
        .filter(|stream| rustix::termios::isatty(stream))
        .find_map(|stream| rustix::termios::ttyname(stream, Vec::new()).ok())
        .map(|name| PathBuf::from(OsStr::from_bytes(name.as_bytes())))
}

/// The modes and the foreground group of a terminal as they were.
#[derive(Debug)]
pub(crate) struct Terminal {
    descriptor: BorrowedFd<'static>,
    modes: Termios,
    group: Pid,
}

impl Terminal {
    /// Looks at the terminal of this process; `None` when it has none or is in its background.
    pub(crate) fn save() -> Option<Self> {
        let descriptor = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()]
            .into_iter()
            .find(|descriptor| rustix::termios::isatty(descriptor))?;
        let group = rustix::termios::tcgetpgrp(descriptor).ok()?;
        if group != rustix::process::getpgrp() {
            return None;
        }
        let modes = rustix::termios::tcgetattr(descriptor).ok()?;
        Some(Self { descriptor, modes, group })
    }

    /// Returns the group that has the terminal now.
    pub(crate) fn foreground(&self) -> Option<Pid> {
        rustix::termios::tcgetpgrp(self.descriptor).ok()
    }

    /// Gives the terminal from this process's own group to another.
    pub(crate) fn hand_to(&self, group: Pid) {
        if self.foreground() == Some(self.group) {
            rustix::termios::tcsetpgrp(self.descriptor, group).ok();
        }
    }

    /// Puts the terminal back as it was, unless a shell has taken it over meanwhile.
    pub(crate) fn restore(&self) {
        let Ok(now) = rustix::termios::tcgetpgrp(self.descriptor) else { return };
        let deserted =
            rustix::process::test_kill_process_group(now).is_err_and(|error| error == rustix::io::Errno::SRCH);
        if now != self.group && !deserted {
            return;
        }
        // From the background both calls below would stop this process.
        sys::ignore_signal(libc::SIGTTOU);
        // A terminal that is gone has no state to put back.
        rustix::termios::tcsetpgrp(self.descriptor.as_fd(), self.group).ok();
        rustix::termios::tcsetattr(self.descriptor.as_fd(), OptionalActions::Now, &self.modes).ok();
        sys::default_signal(libc::SIGTTOU);
    }
}
