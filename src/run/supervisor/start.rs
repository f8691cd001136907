//! The start of a run's command: its streams, its limits, its wall.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Stdio};

use crate::confine::cgroup::Cgroup;
use crate::confine::report::Listener;
use crate::confine::{handover, rlimit, spawn};
use crate::run::container::Container;
use crate::run::stream::{self, Activity, Stream};
use crate::run::supervise::{Ended, GO, Request, Stdin, Streams};
use crate::run::supervisor::entrance::Entrance;

/// Says why the system refused the command.
pub(super) fn not_started(request: &Request, error: &io::Error) -> Ended {
    let program = request.argv[0].to_string_lossy();
    let message = |reason: &str| format!("cannot run `{program}`: {reason}");
    match error.kind() {
        io::ErrorKind::NotFound => Ended::NotFound(message(&crate::run::reason(error))),
        // A directory on the PATH that may not be searched gives this error too.
        io::ErrorKind::PermissionDenied if !is_on_path(request) => {
            Ended::NotFound(message("no such file or directory"))
        }
        _ => Ended::NotExecutable(message(&crate::run::reason(error))),
    }
}

/// Returns whether the program is named by a path, or found in a directory of the PATH.
fn is_on_path(request: &Request) -> bool {
    let program = Path::new(&request.argv[0]);
    let path = request.environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path);
    program.components().count() > 1
        || path.is_some_and(|path| std::env::split_paths(path).any(|directory| directory.join(program).exists()))
}

/// Returns the engine's client as a command. Its environment is stead's own, for the engine's settings, with what the run gets
/// beside it: from there it takes the values that are to be inside.
fn client(container: &Container, request: &Request) -> std::process::Command {
    let words: Vec<OsString> = container.client.iter().chain(&request.argv).cloned().collect();
    let inside = request.environment.iter().filter(|(name, _)| !container.literal.contains(name)).cloned();
    let environment: Vec<(OsString, OsString)> = request.client_environment.iter().cloned().chain(inside).collect();
    // podman's monitor writes to where it is started, which must not be the tree.
    spawn::run(&words, &environment, Path::new(&request.logs), request.group)
}

pub(super) enum Started {
    /// With the gate that the command is held by, if it is.
    Running(Child, Option<Listener>, Vec<Stream>, Activity, Option<OwnedFd>),
    /// The system refused the command, not stead.
    Not(io::Error),
}

impl Started {
    /// Lets a command go that is held.
    pub(super) fn open(mut self) -> Self {
        if let Self::Running(_, _, _, _, gate) = &mut self
            && let Some(gate) = gate.take()
        {
            // One that is gone has said why.
            handover::say(&gate, GO);
        }
        self
    }
}

/// Starts the command, which no wall of stead's holds.
pub(super) fn start(request: &Request, cgroup: Option<&Cgroup>) -> io::Result<Started> {
    let mut command = if let Some(container) = &request.container {
        client(container, request)
    } else {
        let directory = Path::new(&request.directory);
        let mut command = spawn::run(&request.argv, &request.environment, directory, request.group);
        rlimit::start_with(&mut command, request.limits.file_size, request.limits.open_files);
        command
    };
    if let Some(cgroup) = cgroup {
        cgroup.take(&mut command)?;
    }
    command.stdin(match request.stdin {
        Stdin::Inherit => Stdio::inherit(),
        Stdin::Null => Stdio::null(),
        Stdin::Text(_) => Stdio::piped(),
    });
    if request.streams != Streams::Terminal {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let logs = logs(request)?;
    // From here on an error ends this process, and with it the command.
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Started::Not(error)),
    };
    let stdin = child.stdin.take().map(OwnedFd::from);
    let outputs = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
    let (streams, activity) = attach(request, stdin, outputs, logs)?;
    Ok(Started::Running(child, None, streams, activity, None))
}

/// Has the wall built and the command wait behind it.
pub(super) fn start_held(
    request: &Request,
    entrance: Entrance,
    told: &File,
    cgroup: Option<&Cgroup>,
) -> io::Result<Started> {
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (stdin, writer) = match request.stdin {
        Stdin::Inherit => (None, None),
        Stdin::Null => (Some(File::open("/dev/null")?.into()), None),
        Stdin::Text(_) => {
            let (reader, writer) = pipe()?;
            (Some(reader), Some(writer))
        }
    };
    let logs = logs(request)?;
    let (mut own, mut outputs) = ([None, None], [None, None]);
    if request.streams != Streams::Terminal {
        for (own, output) in own.iter_mut().zip(&mut outputs) {
            let (reader, writer) = pipe()?;
            (*own, *output) = (Some(reader), Some(writer));
        }
    }
    let [stdout, stderr] = &outputs;
    let streams = [&stdin, stdout, stderr].map(|stream: &Option<OwnedFd>| stream.as_ref().map(OwnedFd::as_fd));
    let (child, listener, gate) = entrance.tell(told, streams, cgroup)?;
    // Here they are to end with the command.
    drop((stdin, outputs));
    let (streams, activity) = attach(request, writer, own, logs)?;
    Ok(Started::Running(child, Some(listener), streams, activity, Some(gate)))
}

/// Makes the files that record the output.
fn logs(request: &Request) -> io::Result<Vec<File>> {
    if request.streams == Streams::Terminal {
        return Ok(Vec::new());
    }
    ["out", "err"].iter().map(|name| stream::log(&Path::new(&request.logs).join(name))).collect()
}

/// Feeds the command its text, and passes on and records what it prints.
fn attach(
    request: &Request,
    stdin: Option<OwnedFd>,
    [stdout, stderr]: [Option<OwnedFd>; 2],
    logs: Vec<File>,
) -> io::Result<(Vec<Stream>, Activity)> {
    if let (Stdin::Text(text), Some(stdin)) = (&request.stdin, stdin) {
        let (text, mut stdin) = (text.clone(), File::from(stdin));
        // A command that does not read its prompt must not hold anything up.
        std::thread::Builder::new().spawn(move || drop(stdin.write_all(text.as_bytes())))?;
    }
    let activity = Activity::new();
    let pipes =
        [stdout.map(|pipe| (pipe, rustix::stdio::stdout())), stderr.map(|pipe| (pipe, rustix::stdio::stderr()))];
    let mut streams = Vec::new();
    for (index, ((pipe, to), log)) in pipes.into_iter().flatten().zip(logs).enumerate() {
        let to = (index == 1 || request.streams == Streams::Live).then_some(to);
        streams.push(Stream::start(pipe, to, log, activity.clone(), &request.hidden)?);
    }
    Ok((streams, activity))
}
