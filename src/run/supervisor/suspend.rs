//! Ctrl-Z and its end: the command, stead and the shell stop and go on together.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::confine::processes::Process;
use crate::confine::terminal::Terminal;
use crate::run::supervisor::Supervision;

/// How long a stopped command is looked at before stead stops as well: when a shell continues them all, this process may be
/// the first to run and see a command that is about to be continued.
const SETTLE: Duration = Duration::from_millis(30);

impl Supervision<'_> {
    /// The command has stopped: its clocks stand still.
    pub(super) fn suspend(&mut self) {
        let now = Instant::now();
        self.suspended = Some(now);
        self.stop_parent = Some(now + SETTLE);
        self.foreground = self.terminal.and_then(Terminal::foreground);
    }

    /// Stops stead, for the shell that waits for it, when the command is still stopped.
    pub(super) fn suspend_parent(&mut self) {
        self.stop_parent = None;
        if let Some(parent) = rustix::process::getppid()
            && !self.parent_is_gone
            && self.command().is_some_and(|process| process.is_stopped())
        {
            // It does not stop by itself. A parent that has just died is nobody's parent any more.
            rustix::process::kill_process(parent, Signal::STOP).ok();
        }
    }

    /// The shell has continued stead's group: so does the command, wherever it is, and with the terminal if it had it.
    pub(super) fn resume(&mut self) {
        self.resumed();
        if let Some(process) = self.command().filter(Process::is_stopped)
            && let Some(group) = i32::try_from(process.group).ok().and_then(Pid::from_raw)
        {
            if let Some(terminal) = self.terminal
                && self.foreground.take() == Some(group)
            {
                terminal.hand_to(group);
            }
            rustix::process::kill_process_group(group, Signal::CONT).ok();
        }
    }

    pub(super) fn resumed(&mut self) {
        self.stop_parent = None;
        if let Some(since) = self.suspended.take() {
            self.paused += since.elapsed();
        }
    }
}
