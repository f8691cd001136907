//! The process between the supervisor and the command of a run: builds the wall, then becomes or starts the command.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::ExitCode;

use crate::confine::policy::Wall;
use crate::confine::report::{Message, Teller};
use crate::confine::spawn::Group;
use crate::confine::{etc, handover, held, namespaces, rlimit, spawn};
use crate::run::supervise::Request;

/// The hidden first argument that makes stead this process.
pub(crate) const WORD: &str = "__enter";

/// Runs as this process if `arguments` (the program's name first) ask for it.
pub(crate) fn entry(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, word, pipe, gate] = arguments else { return None };
    if word != WORD {
        return None;
    }
    let done = (|| {
        let mut teller = Teller::new(spawn::adopt(pipe)?);
        let gate = File::from(spawn::adopt(gate)?);
        // The numbers that were handed on stay open here, and go no further.
        crate::sys::close_on_exec_from(3)?;
        // Ahead of the request, which is not there yet.
        etc::secrets();
        let request = told(&gate)?;
        enter(&request, &gate, &mut teller);
        io::Result::Ok(())
    })();
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Which streams of the command are not stead's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Streams {
    pub(crate) stdin: bool,
    /// stdout and stderr.
    pub(crate) output: bool,
}

impl Streams {
    /// Returns the byte that the request is handed over with.
    pub(crate) fn byte(self) -> u8 {
        u8::from(self.stdin) | u8::from(self.output) << 1
    }

    fn of(byte: u8) -> Self {
        Self { stdin: byte & 1 != 0, output: byte & 2 != 0 }
    }
}

/// Waits for the request, which may come long after the start or never, and takes the streams and the group of its command.
fn told(gate: &File) -> io::Result<Request> {
    let (byte, files) = handover::take(gate)?;
    let streams = Streams::of(byte);
    let mut files = files.into_iter();
    let mut next = || files.next().ok_or(io::ErrorKind::InvalidData);
    let request = File::from(next()?);
    if streams.stdin {
        rustix::stdio::dup2_stdin(next()?)?;
    }
    if streams.output {
        rustix::stdio::dup2_stdout(next()?)?;
        rustix::stdio::dup2_stderr(next()?)?;
    }
    let request = read(&request)?;
    if request.group == Group::Own {
        rustix::process::setpgid(None, None)?;
    }
    Ok(request)
}

/// Reads the request from its start; the supervisor has the same description, and is at its end.
fn read(file: &File) -> io::Result<Request> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn enter(request: &Request, gate: &File, teller: &mut Teller) {
    let execute = || {
        let mut gate = gate;
        // Held until the record of the run is in place; the supervisor's end is this one's too.
        if let Err(error) = gate.read_exact(&mut [0]) {
            return error;
        }
        // Only now: building the wall may take more files than the command may have.
        match rlimit::set(request.limits.file_size, request.limits.open_files) {
            Ok(()) => spawn::become_command(&request.argv, &request.environment, Path::new(&request.directory)),
            Err(error) => error,
        }
    };
    match request.policy.wall {
        Wall::Namespaces => namespaces::enter(&request.policy, request.group, teller, execute),
        Wall::Landlock => match held::confine(&request.policy) {
            Ok(()) => teller.tell(&Message::NotExecuted(execute().raw_os_error().unwrap_or(libc::EINVAL))),
            Err(error) => teller.tell(&Message::NoWall(error.to_string())),
        },
        Wall::None | Wall::Container => teller.tell(&Message::NoWall("there is none to build".into())),
    }
}
