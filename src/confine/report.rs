//! What the process that builds a wall tells the supervisor through a pipe: one message a write, read back in order.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::sys::Used;

/// A message; one JSON line, far below what a pipe takes at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// The wall could not be built; nothing was run.
    NoWall(String),
    /// The system refused to execute the command, by the number of the error.
    NotExecuted(i32),
    Exited {
        code: i32,
        left: bool,
    },
    Signaled {
        signal: i32,
        left: bool,
    },
    Stopped,
    Continued,
    /// Nothing inside is alive, and this is what all of it has used; the wall itself is still to be taken down.
    Over(Used),
}

/// The end that tells.
#[derive(Debug)]
pub(crate) struct Teller(File);

impl Teller {
    pub(crate) fn new(pipe: OwnedFd) -> Self {
        Self(pipe.into())
    }

    /// Tells it; a supervisor that is gone has no use for it.
    pub(crate) fn tell(&mut self, message: &Message) {
        let mut line = serde_json::to_vec(message).expect("plain data");
        line.push(b'\n');
        self.0.write_all(&line).ok();
    }
}

/// The end that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    pipe: File,
    buffer: Vec<u8>,
    pub(crate) is_over: bool,
}

impl Listener {
    /// Makes both ends of a pipe.
    pub(crate) fn pipe() -> io::Result<(Self, OwnedFd)> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&read, true)?;
        Ok((Self { pipe: read.into(), buffer: Vec::new(), is_over: false }, write))
    }

    /// Returns what was told since the last call.
    pub(crate) fn take(&mut self) -> Vec<Message> {
        let mut chunk = [0; 4096];
        loop {
            match self.pipe.read(&mut chunk) {
                Ok(0) => {
                    self.is_over = true;
                    break;
                }
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let mut messages = Vec::new();
        while let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            messages.extend(serde_json::from_slice::<Message>(&line));
        }
        messages
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
