//! The supervisor's own process; see [`super::supervise`] for its place.
//!
//! One loop over signals, the parent's pipe, the streams and the clock. It never waits for anything else, so that neither a
//! slow reader nor a pipe that somebody keeps open delays the end of a run.

mod contained;
mod entrance;
mod start;
mod suspend;
mod walled;
mod watch;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};

use crate::confine::cgroup::Cgroup;
use crate::confine::container;
use crate::confine::policy::Wall;
use crate::confine::processes;
use crate::confine::report::Listener;
use crate::confine::signals::Signals;
use crate::confine::spawn::{self, Group};
use crate::confine::terminal::Terminal;
use crate::run::stream::{Activity, Lost, Stream};
use crate::run::supervise::{self, Ended, GO, Outcome, Request, Stop, WALLED, WORD};
use crate::run::supervisor::entrance::Entrance;
use crate::run::supervisor::start::{Started, not_started, start, start_held};
use crate::run::supervisor::watch::Watch;
use crate::sys::{self, Used, Waited};

/// How long a command has between TERM and KILL.
const GRACE: Duration = Duration::from_secs(2);
/// How long what a command left behind has between TERM and KILL, once the command itself has ended.
const GRACE_LEFT: Duration = Duration::from_millis(200);
/// How often the processes are looked at while some are being killed.
const ROUND: Duration = Duration::from_millis(5);

/// Runs as the supervisor if `arguments` (the program's name first) ask for it.
pub(crate) fn entry(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, word, obeyed, answer, walled] = arguments else { return None };
    if word != WORD {
        return None;
    }
    let done = (|| {
        let obeyed = File::from(spawn::adopt(obeyed)?);
        let mut answer = File::from(spawn::adopt(answer)?);
        sys::close_on_exec_from(3)?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let entrance = if walled == WALLED { Some(Entrance::start()?) } else { None };
        // The lease stays with this process and never reaches the command.
        let (told, _lease) = supervise::told(&obeyed)?;
        // At once: from a reader it would be taken byte by byte.
        let request = serde_json::from_str(&io::read_to_string(&told)?)?;
        let outcome = supervise(&request, entrance, &told, &obeyed)?;
        answer.write_all(&serde_json::to_vec(&outcome)?)?;
        drop(answer);
        // What takes a wall down is of no interest to the parent, but is to be gone when this process is. What was given up
        // may never be.
        while outcome.alive == 0 && sys::wait_for(None).is_ok() {}
        io::Result::Ok(())
    })();
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn supervise(request: &Request, entrance: Option<Entrance>, told: &File, obeyed: &File) -> io::Result<Outcome> {
    let terminal = Terminal::save();
    // The keys are for the command and for the parent, which passes on what is meant for the run.
    let signals = Signals::note(&[
        libc::SIGCHLD,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGTSTP,
        libc::SIGCONT,
    ])?;
    // Removed at the end, when nothing of the run is alive.
    let cgroup = match &request.cgroup {
        Some(path) => Some(Cgroup::make(Path::new(path), &request.limits.settings())?),
        None => None,
    };
    // A wall is built ahead; a command without one cannot be held back once it is started.
    let gate = if request.is_held() {
        let entrance = entrance.map_or_else(Entrance::start, Ok)?;
        Some(start_held(request, entrance, told, cgroup.as_ref())?)
    } else {
        if let Some(entrance) = entrance {
            entrance.close();
        }
        None
    };
    wait_for_the_word(obeyed)?;
    let room = watch::free(Path::new(&request.directory));
    let started = match gate {
        Some(started) => Ok(started.open()),
        None => start(request, cgroup.as_ref()),
    };
    let outcome = started.and_then(|started| match started {
        Started::Running(child, listener, streams, activity, _) => {
            let mut supervision = Supervision::new(request, &child, terminal.as_ref(), streams, activity);
            supervision.listener = listener;
            supervision.run(&signals, obeyed)
        }
        Started::Not(error) => Ok(Outcome { ended: not_started(request, &error), ..Outcome::lost() }),
    });
    if let Some(terminal) = terminal {
        terminal.restore();
    }
    let mut outcome = outcome?;
    if let Some(container) = &request.container {
        contained::conclude(&mut outcome, request, container);
    }
    watch::account(&mut outcome, request, room, cgroup.as_ref());
    Ok(outcome)
}

/// Fails when the parent ends without it.
fn wait_for_the_word(mut obeyed: &File) -> io::Result<()> {
    let mut word = [GO];
    obeyed.read_exact(&mut word)
}

/// Where a run is between its start and the end of its last process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// TERM was sent; KILL follows then.
    Stopping(Instant),
    /// KILL is sent each round, since the moment named.
    Killing(Instant),
    /// Nothing is alive.
    Over,
}

struct Supervision<'a> {
    request: &'a Request,
    child: u32,
    /// What the process that builds the wall says.
    listener: Option<Listener>,
    /// Whether init said that nothing was left when the command had ended.
    alone: bool,
    terminal: Option<&'a Terminal>,
    /// The group that had the terminal when the command stopped.
    foreground: Option<Pid>,
    streams: Vec<Stream>,
    activity: Activity,
    watch: Watch,
    started: Instant,
    phase: Phase,
    ended: Option<(Ended, Instant)>,
    stop: Option<Stop>,
    used: Used,
    left_behind: usize,
    /// Whether what the command left behind was asked to end.
    left_is_told: bool,
    alive: usize,
    parent_is_gone: bool,
    /// Whether a reader that does not read is no longer waited for.
    hurry: bool,
    /// Since when the user has the run suspended; its clocks stand still.
    suspended: Option<Instant>,
    /// When the parent is to be stopped, if the command is still stopped then.
    stop_parent: Option<Instant>,
    /// How long it was suspended before.
    paused: Duration,
}

impl<'a> Supervision<'a> {
    fn new(
        request: &'a Request,
        child: &Child,
        terminal: Option<&'a Terminal>,
        streams: Vec<Stream>,
        activity: Activity,
    ) -> Self {
        Self {
            request,
            child: child.id(),
            listener: None,
            alone: false,
            terminal,
            foreground: None,
            streams,
            activity,
            watch: Watch::new(
                &request.limits,
                request.cgroup.is_some() || request.container.is_some(),
                Path::new(&request.directory),
            ),
            started: Instant::now(),
            phase: Phase::Running,
            ended: None,
            stop: None,
            used: Used::default(),
            left_behind: 0,
            left_is_told: false,
            alive: 0,
            parent_is_gone: false,
            hurry: false,
            suspended: None,
            stop_parent: None,
            paused: Duration::ZERO,
        }
    }

    fn run(mut self, signals: &Signals, obeyed: &File) -> io::Result<Outcome> {
        while self.phase != Phase::Over {
            self.wait(signals, obeyed)?;
            for (signal, _) in signals.take() {
                self.signaled(signal);
            }
            self.listen();
            if self.phase != Phase::Over {
                self.reap()?;
            }
            self.advance(Instant::now());
        }
        for stream in &mut self.streams {
            stream.stop();
        }
        // A reader that has stopped reading holds this up, as it holds up any command, until a signal or the parent's end.
        while !self.parent_is_gone && !self.hurry && self.streams.iter().any(|stream| !stream.is_done()) {
            self.wait(signals, obeyed)?;
            signals.take();
        }
        let (ended, at) = self.ended.unwrap_or((Ended::Lost, Instant::now()));
        let mut lost = Lost::default();
        if !self.parent_is_gone && !self.hurry {
            for stream in self.streams {
                lost = lost.or(stream.join());
            }
        }
        Ok(Outcome {
            ended,
            stop: self.stop,
            duration: at - self.started,
            user: self.used.user,
            system: self.used.system,
            peak_memory: self.used.peak_memory.max(self.watch.peak_memory),
            disk_delta: 0,
            left_behind: self.left_behind,
            alive: self.alive,
            log_error: lost.unrecorded,
            output_error: lost.unsaid,
        })
    }

    /// Waits for the next thing to happen and obeys the parent.
    fn wait(&mut self, signals: &Signals, obeyed: &File) -> io::Result<()> {
        let wake = self.wake();
        let mut told = false;
        {
            let mut polled: Vec<PollFd<'_>> = Vec::new();
            if !self.parent_is_gone {
                polled.push(PollFd::new(obeyed, PollFlags::IN));
            }
            if let Some(listener) = self.listener.as_ref().filter(|listener| !listener.is_over) {
                polled.push(PollFd::new(listener, PollFlags::IN));
            }
            polled.extend(signals.descriptors().map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN)));
            if self.phase == Phase::Over {
                let running = self.streams.iter().filter(|stream| !stream.is_done());
                polled.extend(running.map(|stream| PollFd::from_borrowed_fd(stream.done(), PollFlags::IN)));
            }
            let timeout = wake.map(|wake| {
                let left = wake.saturating_duration_since(Instant::now());
                Timespec {
                    tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                    tv_nsec: left.subsec_nanos().into(),
                }
            });
            match rustix::event::poll(&mut polled, timeout.as_ref()) {
                Ok(_) => told = !self.parent_is_gone && !polled[0].revents().is_empty(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if told {
            let mut buffer = [0; 16];
            let mut obeyed = obeyed;
            let count = obeyed.read(&mut buffer).unwrap_or(0);
            if count == 0 {
                self.parent_is_gone = true;
                self.kill();
            }
            for &signal in &buffer[..count] {
                self.told(i32::from(signal));
            }
        }
        Ok(())
    }

    /// Returns when something has to be done although nothing happens.
    fn wake(&self) -> Option<Instant> {
        let now = Instant::now();
        match self.phase {
            Phase::Running => {
                let deadline = self.deadline().map(|(at, _)| at);
                [deadline, self.stop_parent, self.watch.next()].into_iter().flatten().min()
            }
            Phase::Stopping(until) => Some(until),
            Phase::Killing(_) => Some(now + ROUND),
            // Between the last bytes and the end of its thread a stream has nothing to poll for.
            Phase::Over => Some(now + Duration::from_millis(20)),
        }
    }

    /// Returns the next deadline and what it means; none while the user has the run suspended.
    fn deadline(&self) -> Option<(Instant, Stop)> {
        if self.suspended.is_some() {
            return None;
        }
        let timeout = self.request.timeout.map(|timeout| (self.started + self.paused + timeout, Stop::Timeout));
        let idle = self.request.idle_timeout.map(|idle| {
            let last = self.activity.last().max(self.started) + self.paused;
            (last + idle, Stop::Idle)
        });
        [timeout, idle].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Obeys the parent, which got a signal that is meant for the run.
    fn told(&mut self, signal: i32) {
        match signal {
            _ if self.phase == Phase::Over => self.hurry = true,
            libc::SIGKILL => {
                self.stop = self.stop.or(Some(Stop::Asked));
                self.kill();
            }
            libc::SIGTERM | libc::SIGHUP if self.phase == Phase::Running => {
                self.stop = Some(Stop::Asked);
                self.terminate(signal, GRACE);
            }
            _ => self.to_group(signal),
        }
    }

    /// Reacts to the terminal's own signals.
    fn signaled(&mut self, signal: i32) {
        match signal {
            libc::SIGTSTP if self.request.group == Group::Own => {
                self.suspended = Some(Instant::now());
                self.to_group(libc::SIGTSTP);
            }
            libc::SIGCONT => self.resume(),
            _ => {}
        }
    }

    fn reap(&mut self) -> io::Result<()> {
        loop {
            match sys::wait() {
                Ok(None) => return Ok(()),
                Ok(Some((id, waited, used))) => self.waited(id, waited, used),
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                    self.phase = Phase::Over;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn waited(&mut self, id: u32, waited: Waited, used: Used) {
        let ended = match waited {
            Waited::Exited(code) => Ended::Exited(code),
            Waited::Signaled(signal) => Ended::Signaled(signal),
            Waited::Stopped if id == self.child && self.request.group == Group::Shared => return self.suspend(),
            Waited::Continued if id == self.child => return self.resumed(),
            Waited::Stopped | Waited::Continued => return,
        };
        if id == self.child {
            // What was said before the end says more than the end.
            self.listen();
            if self.ended.is_none() {
                self.ended = Some((ended, Instant::now()));
            }
        }
        // Otherwise it was told, this process's own use among it.
        if self.phase != Phase::Over {
            self.used.add(used);
        }
    }

    fn advance(&mut self, now: Instant) {
        match self.phase {
            Phase::Running | Phase::Stopping(_) if self.ended.is_some() && self.has_client_to_clear_up() => {
                self.phase = self.clear_up(now);
            }
            Phase::Running if self.ended.is_some() => {
                self.left_behind = self.end_left();
                self.phase = Phase::Stopping(now + GRACE_LEFT);
            }
            Phase::Running => {
                if self.stop_parent.is_some_and(|at| at <= now) {
                    self.suspend_parent();
                }
                if let Some(bound) = self.watch.look(now) {
                    // What eats the host up gets no time to eat more.
                    self.stop = Some(Stop::Limit(bound));
                    return self.kill();
                }
                if let Some((at, stop)) = self.deadline()
                    && at <= now
                {
                    self.stop = Some(stop);
                    self.terminate(libc::SIGTERM, GRACE);
                }
            }
            Phase::Stopping(until) if until <= now => self.kill(),
            // The time was for the command's own end; what it leaves has not heard of it yet.
            Phase::Stopping(until) if self.ended.is_some() && !self.left_is_told => {
                self.end_left();
                self.phase = Phase::Stopping(until.min(now + GRACE_LEFT));
            }
            Phase::Stopping(_) | Phase::Over => {}
            Phase::Killing(since) => {
                if let Some(alive) = processes::kill_descendants(since) {
                    self.alive = alive;
                    self.phase = Phase::Over;
                }
            }
        }
    }

    /// Asks what the command left behind to end, and returns how many processes that are.
    fn end_left(&mut self) -> usize {
        self.left_is_told = true;
        if self.alone {
            return 0;
        }
        let left = self.inhabitants();
        for process in &left {
            process.signal(Signal::TERM);
            process.signal(Signal::CONT);
        }
        left.len()
    }

    fn terminate(&mut self, signal: i32, grace: Duration) {
        self.to_group(signal);
        self.to_group(libc::SIGCONT);
        self.phase = Phase::Stopping(Instant::now() + grace);
    }

    fn kill(&mut self) {
        if !matches!(self.phase, Phase::Killing(_) | Phase::Over) {
            if let Some(container) = &self.request.container {
                // It outlives its client, and is looked for again when that has ended.
                container::end(&container.named);
            }
            self.phase = Phase::Killing(Instant::now());
            self.advance(Instant::now());
        }
    }

    /// Sends a signal to the command's process group; in a shared one to those of the run only.
    fn to_group(&self, signal: i32) {
        let Some(signal) = Signal::from_named_raw(signal) else { return };
        match self.request.group {
            Group::Own if self.request.policy.wall != Wall::Namespaces => {
                // Until it is reaped the command keeps the number of its group from being given to another.
                if self.ended.is_none()
                    && let Some(group) = i32::try_from(self.child).ok().and_then(Pid::from_raw)
                {
                    // What has not taken its group yet is alone.
                    rustix::process::kill_process_group(group, signal)
                        .or_else(|_| rustix::process::kill_process(group, signal))
                        .ok();
                }
            }
            Group::Own | Group::Shared => {
                let group = self.command().map(|process| process.group);
                for process in self.inhabitants() {
                    if Some(process.group) == group {
                        process.signal(signal);
                    }
                }
            }
        }
    }
}
