//! One output stream of a command: read as it comes, passed on, and recorded up to a cap.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::run::redact::{Hidden, Redactor};

/// Bytes of one stream that are recorded.
pub(crate) const CAP: u64 = 64 << 20;

/// When something was last printed.
#[derive(Clone, Debug)]
pub(crate) struct Activity {
    start: Instant,
    milliseconds: Arc<AtomicU64>,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), milliseconds: Arc::default() }
    }

    pub(crate) fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.milliseconds.load(Ordering::Relaxed))
    }

    fn note(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.milliseconds.store(elapsed, Ordering::Relaxed);
    }
}

/// Makes the file that records a stream.
pub(crate) fn log(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Why some of the output was lost.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    /// It could not be recorded.
    pub(crate) unrecorded: Option<String>,
    /// It could not be passed on, although its reader has not ended.
    pub(crate) unsaid: Option<String>,
}

impl Lost {
    /// Returns the first reasons of both.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { unrecorded: self.unrecorded.or(other.unrecorded), unsaid: self.unsaid.or(other.unsaid) }
    }
}

/// A thread that reads one stream. A reader of stead's output that is slow or stopped holds up this thread and, by the
/// full pipe, the command; never the supervisor.
#[derive(Debug)]
pub(crate) struct Stream {
    thread: JoinHandle<Lost>,
    stop: Option<OwnedFd>,
    done: OwnedFd,
}

impl Stream {
    /// Passes `pipe` on to `to` and records it in `file`, both without what is hidden.
    pub(crate) fn start(
        pipe: OwnedFd,
        to: Option<BorrowedFd<'static>>,
        file: File,
        activity: Activity,
        hidden: &[Hidden],
    ) -> io::Result<Self> {
        let (stopped, stop) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let (done, finished) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let mut redactor = Redactor::new(hidden);
        let thread = std::thread::Builder::new().spawn(move || {
            let mut sinks = Sinks { to, log: Log { file, cap: CAP, written: 0, error: None } };
            // What was kept back is all there is at the end.
            let passed = pass(&pipe, &stopped, &mut redactor, &mut sinks, &activity)
                .and_then(|()| sinks.write(&redactor.finish()));
            drop(pipe);
            drop(finished);
            Lost {
                unrecorded: sinks.log.error.map(|error| error.to_string()),
                unsaid: passed.err().filter(|error| *error != Errno::PIPE).map(|error| error.to_string()),
            }
        })?;
        Ok(Self { thread, stop: Some(stop), done })
    }

    /// Has the thread take what is in the pipe now and end: whoever else still holds the pipe is not waited for.
    pub(crate) fn stop(&mut self) {
        self.stop = None;
    }

    /// Returns what can be polled for a hang-up: the thread has ended.
    pub(crate) fn done(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the thread; returns what was lost.
    pub(crate) fn join(self) -> Lost {
        let panicked = || Lost { unrecorded: Some("the thread panicked".into()), unsaid: None };
        self.thread.join().unwrap_or_else(|_| panicked())
    }
}

/// Where a stream goes.
struct Sinks {
    to: Option<BorrowedFd<'static>>,
    log: Log,
}

impl Sinks {
    /// Fails when nobody reads any more.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.log.write(bytes);
        self.to.map_or(Ok(()), |to| write_all(to, bytes))
    }
}

fn pass(
    pipe: &OwnedFd,
    stopped: &OwnedFd,
    redactor: &mut Redactor,
    sinks: &mut Sinks,
    activity: &Activity,
) -> Result<(), Errno> {
    let mut buffer = vec![0; 64 << 10];
    let mut draining = false;
    loop {
        if !draining {
            let mut polled = [PollFd::new(pipe, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
            match rustix::event::poll(&mut polled, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return Ok(()),
            }
            if !polled[1].revents().is_empty() {
                draining = true;
                // Only this end changes; the command's end has a description of its own.
                if rustix::io::ioctl_fionbio(pipe, true).is_err() {
                    return Ok(());
                }
            }
        }
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                activity.note();
                // When nobody reads any more, closing the pipe tells the command so, by SIGPIPE.
                sinks.write(&redactor.push(&buffer[..count]))?;
            }
            Err(Errno::INTR) => {}
            Err(_) => return Ok(()),
        }
    }
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            // Somebody else made the shared description non-blocking.
            Err(Errno::AGAIN) => {
                rustix::event::poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

struct Log {
    file: File,
    cap: u64,
    written: u64,
    error: Option<io::Error>,
}

impl Log {
    /// Records up to the cap, and then says so once. A log that cannot be written does not stop the stream.
    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_some() || self.written > self.cap {
            return;
        }
        let room = usize::try_from(self.cap - self.written).unwrap_or(usize::MAX).min(bytes.len());
        let mut result = self.file.write_all(&bytes[..room]);
        self.written += room as u64;
        if room < bytes.len() {
            self.written = self.cap + 1;
            let note = format!("\n[stead: only the first {} MiB were recorded]\n", self.cap >> 20);
            result = result.and_then(|()| self.file.write_all(note.as_bytes()));
        }
        self.error = result.err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_ends_at_its_cap_and_says_so_once() {
        let path = std::env::temp_dir().join(format!("stead-log-{}", std::process::id()));
        let mut log = Log { file: log(&path).unwrap(), cap: 1 << 20, written: 0, error: None };
        for _ in 0..3 {
            log.write(&vec![b'x'; 700 << 10]);
        }
        assert!(log.error.is_none());
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text.trim_start_matches('x'), "\n[stead: only the first 1 MiB were recorded]\n");
        assert_eq!(text.find('\n'), Some(1 << 20));
    }
}
