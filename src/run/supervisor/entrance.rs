//! The process that builds a wall, started before it is known which: what it takes to start is over when it is.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::Child;

use crate::confine::cgroup::Cgroup;
use crate::confine::report::Listener;
use crate::confine::{handover, spawn};
use crate::run::enter::{self, Streams};

pub(super) struct Entrance {
    child: Child,
    listener: Listener,
    gate: OwnedFd,
}

impl Entrance {
    pub(super) fn start() -> io::Result<Self> {
        let (listener, teller) = Listener::pipe()?;
        let (held, gate) = handover::pair()?;
        let child = spawn::enter(enter::WORD, &[teller.as_fd(), held.as_fd()]).spawn()?;
        Ok(Self { child, listener, gate })
    }

    /// Has it build the wall of the run in `request`, for a command with these streams (the others are stead's), inside
    /// `cgroup`.
    pub(super) fn tell(
        self,
        request: &File,
        [stdin, stdout, stderr]: [Option<BorrowedFd<'_>>; 3],
        cgroup: Option<&Cgroup>,
    ) -> io::Result<(Child, Listener, OwnedFd)> {
        if let Some(cgroup) = cgroup {
            cgroup.add(self.child.id())?;
        }
        let streams = Streams { stdin: stdin.is_some(), output: stdout.is_some() };
        let files: Vec<BorrowedFd<'_>> = [Some(request.as_fd()), stdin, stdout, stderr].into_iter().flatten().collect();
        handover::give(&self.gate, streams.byte(), &files)?;
        Ok((self.child, self.listener, self.gate))
    }

    /// Ends it; the run has no such wall.
    pub(super) fn close(mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
