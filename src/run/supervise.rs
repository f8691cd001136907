//! How a run is executed: stead starts itself once more as the supervisor, and waits.
//!
//! ```text
//! stead exec            holds the lease; forwards signals; sweeps when the supervisor is killed
//!   stead __supervise   holds the lease too; starts, times and ends everything of the run; dies with its parent
//!     COMMAND           dies with the supervisor
//! ```
//!
//! The supervisor is started ahead, while stead still decides about the run, and is told of it as soon as that is done: while
//! stead then looks at the tree, it builds the wall and waits for the word. Nothing of the user's is executed before a record
//! of the run is in place.
//!
//! Both are subreapers, so that whatever the command leaves behind becomes a child of theirs and can be found. The request
//! crosses in a memory file: no value of a variable and no prompt is ever in an argument or on disk for it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags};
use serde::{Deserialize, Serialize};

use crate::confine::policy::{Policy, Wall};
use crate::confine::processes;
use crate::confine::signals::{Ignored, Signals};
use crate::confine::spawn::{self, Group};
use crate::confine::terminal::Terminal;
use crate::confine::{cgroup, container, handover};
use crate::error::Result;
use crate::run::container::Container;
use crate::run::limits::{Bound, Limits};
use crate::run::redact::Hidden;
use crate::store::lease::Lease;
use crate::sys;

/// The hidden first argument that makes stead a supervisor.
pub(crate) const WORD: &str = "__supervise";
/// With this argument behind it, the supervisor starts at once what builds a wall.
pub(crate) const WALLED: &str = "walled";
/// With this one it waits until it knows of a wall.
pub(crate) const BARE: &str = "bare";

/// What the command reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stdin {
    /// What stead reads.
    Inherit,
    /// Nothing.
    Null,
    Text(String),
}

/// Where the command's output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Streams {
    /// The command has the terminal itself; nothing is recorded.
    Terminal,
    /// To stead's own streams as it comes, and into `out` and `err`.
    Live,
    /// As `Live`, but stdout only into `out`.
    Captured,
}

/// What the supervisor is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) argv: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) directory: OsString,
    pub(crate) stdin: Stdin,
    pub(crate) streams: Streams,
    pub(crate) group: Group,
    pub(crate) policy: Policy,
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    /// `runs/RUN`, where `out` and `err` are made.
    pub(crate) logs: OsString,
    pub(crate) limits: Limits,
    /// The cgroup that is made for the run.
    pub(crate) cgroup: Option<OsString>,
    /// The container that is the wall.
    pub(crate) container: Option<Container>,
    /// What the engine's client has of stead's own environment.
    pub(crate) client_environment: Vec<(OsString, OsString)>,
    /// What is taken out of the output.
    pub(crate) hidden: Vec<Hidden>,
}

impl Request {
    /// Whether a process of stead's own builds a wall first, and can wait behind it.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.policy.wall, Wall::Namespaces | Wall::Landlock)
    }
}

/// Why stead ended the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stop {
    Timeout,
    Idle,
    /// A limit was reached.
    Limit(Bound),
    /// The user asked: by a signal to stead, or by a second Ctrl-C.
    Asked,
}

/// How the command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    Exited(i32),
    Signaled(i32),
    NotFound(String),
    NotExecutable(String),
    /// The wall could not be built, and nothing was run.
    NoWall(String),
    /// The supervisor was killed; the parent ended the run.
    Lost,
}

/// What the supervisor answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) ended: Ended,
    pub(crate) stop: Option<Stop>,
    pub(crate) duration: Duration,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    /// Bytes; of all of the run where its memory is limited, else of the largest process. 0 when nothing was measured, which
    /// goes for the time of processors as well.
    pub(crate) peak_memory: u64,
    /// Bytes by which the file system of the tree had less room at the end than at the start, whoever took them.
    pub(crate) disk_delta: i64,
    /// Processes of the run that were still there when the command had ended, and were ended.
    pub(crate) left_behind: usize,
    /// Processes of the run that could not be ended.
    pub(crate) alive: usize,
    /// What kept output from being recorded.
    pub(crate) log_error: Option<String>,
    /// What kept output from being passed on, but for a reader that has ended.
    pub(crate) output_error: Option<String>,
}

impl Outcome {
    pub(crate) fn lost() -> Self {
        Self {
            ended: Ended::Lost,
            stop: None,
            duration: Duration::ZERO,
            user: Duration::ZERO,
            system: Duration::ZERO,
            peak_memory: 0,
            disk_delta: 0,
            left_behind: 0,
            alive: 0,
            log_error: None,
            output_error: None,
        }
    }
}

/// Watches for the signals that are meant for a run, from before its start until after its end, so that there is no moment
/// in which one leaves the command behind.
pub(crate) fn signals() -> Result<Signals> {
    Signals::note(&[libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP]).context("cannot watch for signals")
}

/// The word, where otherwise the numbers of signals are told.
pub(crate) const GO: u8 = 0;

/// A supervisor that is started and knows of no run yet. What is dropped ends without a trace.
#[derive(Debug)]
pub(crate) struct Supervisor {
    child: Child,
    /// What it obeys, and whose end it takes as the end of its parent.
    control: Option<File>,
    /// Its answer.
    result: OwnedFd,
}

impl Supervisor {
    /// Starts one for a run that is likely to be behind a wall, or not.
    pub(crate) fn start(is_walled: bool) -> Result<Self> {
        // Ignored, as some callers leave it, it would take the children's ends away.
        sys::default_signal(libc::SIGCHLD);
        let start = || -> io::Result<Self> {
            let (obeyed, control) = handover::pair()?;
            let (result, answer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            let mut child = spawn::stead(WORD, &[obeyed.as_fd(), answer.as_fd()]);
            let child = child.arg(if is_walled { WALLED } else { BARE }).spawn()?;
            Ok(Self { child, control: Some(control.into()), result })
        };
        start().context("cannot start the supervisor")
    }

    /// Has it start a run under `lease` as far as that can be without the command.
    pub(crate) fn prepare(self, request: &Request, lease: &Lease) -> Result<Waiting> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("cannot become a subreaper")?;
        let terminal = Terminal::save();
        self.tell(request, lease).context("cannot tell the supervisor of the run")?;
        Ok(Waiting { supervisor: self, terminal })
    }

    /// Hands over the request, in a memory file, and the lease.
    fn tell(&self, request: &Request, lease: &Lease) -> io::Result<()> {
        let told = rustix::fs::memfd_create("request", rustix::fs::MemfdFlags::CLOEXEC)?;
        let mut told = File::from(told);
        told.write_all(&serde_json::to_vec(request)?)?;
        told.rewind()?;
        let control = self.control.as_ref().expect("it is only taken at the end");
        let handed = [told.as_fd(), lease.file().as_fd()];
        handover::give(control, GO, &handed)
    }
}

/// Waits to be told of a run, in the supervisor: returns the request's file and the lease.
pub(crate) fn told(obeyed: &File) -> io::Result<(File, OwnedFd)> {
    let mut files = handover::take(obeyed)?.1.into_iter();
    match (files.next(), files.next()) {
        (Some(request), Some(lease)) => Ok((request.into(), lease)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

impl Supervisor {
    fn end(&mut self) {
        // Its end is the supervisor's, which holds the lease as well.
        drop(self.control.take());
        self.child.wait().ok();
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.end();
    }
}

/// A run that is started but for its command: the supervisor is there and builds the wall, and waits for the word. What is
/// dropped instead ends without a trace.
#[must_use = "nothing is executed before `go`"]
pub(crate) struct Waiting {
    supervisor: Supervisor,
    terminal: Option<Terminal>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.supervisor.end();
        rustix::process::set_child_subreaper(None).ok();
    }
}

impl Waiting {
    /// Has the command executed, and waits until nothing of the run is alive.
    ///
    /// Until this value is dropped, what is left of its wall may still be taken down.
    pub(crate) fn go(&mut self, request: &Request, signals: &Signals) -> Result<Outcome> {
        let started = std::time::Instant::now();
        // The command is to stop first, and then the supervisor stops this process: a command that is about to read would
        // take what is typed for the shell.
        let _keys = (request.group == Group::Shared).then(|| Ignored::new(libc::SIGTSTP));
        let supervisor = &mut self.supervisor;
        let control = supervisor.control.take().expect("it is only taken at the end");
        // One that is gone is noticed by its answer.
        handover::say(&control, GO);
        let answer =
            attend(request, signals, &control, &supervisor.result).context("cannot wait for the supervisor")?;
        drop(control);
        let outcome = serde_json::from_slice(&answer).unwrap_or_else(|_| {
            supervisor.end();
            let alive = processes::end_descendants();
            Outcome { duration: started.elapsed(), alive, ..Outcome::lost() }
        });
        Ok(ended(request, self.terminal.take(), outcome))
    }
}

/// Makes sure of the end of a run whatever its supervisor has done.
fn ended(request: &Request, terminal: Option<Terminal>, mut outcome: Outcome) -> Outcome {
    if let Some(container) = &request.container
        && outcome.ended == Ended::Lost
        && !container::end(&container.named)
    {
        outcome.alive += 1;
    }
    if let Some(path) = &request.cgroup {
        // The supervisor has done so, unless it was killed.
        cgroup::end(Path::new(path));
    }
    if let Some(terminal) = terminal {
        terminal.restore();
    }
    outcome
}

/// Forwards signals until the supervisor has answered.
fn attend(request: &Request, signals: &Signals, control: &File, result: &OwnedFd) -> Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut interrupts = 0;
    loop {
        let readable = {
            let mut polled = vec![PollFd::new(result, PollFlags::IN)];
            polled.extend(signals.descriptors().map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN)));
            match rustix::event::poll(&mut polled, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            !polled[0].revents().is_empty()
        };
        for signal in signals.take().into_iter().flat_map(|(signal, times)| std::iter::repeat_n(signal, times)) {
            if let Some(forwarded) = forwarded(request, signal, &mut interrupts) {
                handover::say(control, forwarded);
            }
        }
        if readable {
            let mut buffer = [0; 4096];
            match rustix::io::read(result, &mut buffer) {
                Ok(0) => return Ok(answer),
                Ok(count) => answer.extend_from_slice(&buffer[..count]),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Returns what to pass on when stead itself gets a signal.
fn forwarded(request: &Request, signal: i32, interrupts: &mut usize) -> Option<u8> {
    let keyboard = signal == libc::SIGINT || signal == libc::SIGQUIT;
    // The keys belong to the command that has the terminal.
    if keyboard && request.streams == Streams::Terminal {
        return None;
    }
    if signal == libc::SIGINT {
        *interrupts += 1;
        if *interrupts > 1 {
            return u8::try_from(libc::SIGKILL).ok();
        }
    }
    // In stead's own group the command has got it from the terminal already.
    if keyboard && request.group == Group::Shared {
        return None;
    }
    u8::try_from(signal).ok()
}
