//! What is different for a command behind a wall: its process is not the supervisor's child, and what becomes of it is told.

use std::io;
use std::time::Instant;

use crate::confine::namespaces;
use crate::confine::policy::Wall;
use crate::confine::processes::{self, Process};
use crate::confine::report::Message;
use crate::run::supervise::Ended;
use crate::run::supervisor::{Phase, Supervision, not_started};

impl Supervision<'_> {
    /// Takes note of what the process that builds the wall has said.
    pub(super) fn listen(&mut self) {
        let Some(listener) = &mut self.listener else { return };
        if listener.is_over {
            return;
        }
        for message in listener.take() {
            let ended = match message {
                Message::NoWall(reason) => Ended::NoWall(reason),
                Message::NotExecuted(number) => {
                    // What could not become the command has started nothing.
                    self.alone = true;
                    not_started(self.request, &io::Error::from_raw_os_error(number))
                }
                Message::Exited { code, left } => {
                    self.alone = !left;
                    Ended::Exited(code)
                }
                Message::Signaled { signal, left } => {
                    self.alone = !left;
                    Ended::Signaled(signal)
                }
                Message::Stopped => {
                    if self.request.group == crate::confine::spawn::Group::Shared {
                        self.suspend();
                    }
                    continue;
                }
                Message::Continued => {
                    self.resumed();
                    continue;
                }
                Message::Over(used) => {
                    // A cgroup can only be removed when the wall is gone as well.
                    if self.request.cgroup.is_none() {
                        self.used.add(used);
                        self.phase = Phase::Over;
                    }
                    continue;
                }
            };
            // The first says why; that the process ended afterwards says nothing more.
            if self.ended.is_none() {
                self.ended = Some((ended, Instant::now()));
            }
        }
    }

    /// Returns the processes of the run itself, without those that keep its wall.
    pub(super) fn inhabitants(&self) -> Vec<Process> {
        let mut below = processes::descendants(std::process::id());
        if self.request.policy.wall == Wall::Namespaces {
            below.retain(|process| process.id != self.child && process.parent() != self.child);
        }
        below
    }

    /// Returns the command's own process, if it is still there.
    pub(super) fn command(&self) -> Option<Process> {
        if self.request.policy.wall != Wall::Namespaces {
            return Process::read(self.child);
        }
        self.inhabitants().into_iter().find(|process| process.inner_id() == Some(namespaces::COMMAND))
    }
}
