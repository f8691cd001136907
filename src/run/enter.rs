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
use crate::confine::{held, namespaces, rlimit, spawn};
use crate::run::supervise::Request;

/// The hidden first argument that makes stead this process.
pub(crate) const WORD: &str = "__enter";

/// Runs as this process if `arguments` (the program's name first) ask for it.
pub(crate) fn entry(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, word, request, pipe, gate] = arguments else { return None };
    if word != WORD {
        return None;
    }
    let done = (|| {
        let request = read(&File::from(spawn::adopt(request)?))?;
        let mut teller = Teller::new(spawn::adopt(pipe)?);
        let gate = File::from(spawn::adopt(gate)?);
        // The numbers that were handed on stay open here, and go no further.
        crate::sys::close_on_exec_from(3)?;
        enter(&request, &gate, &mut teller);
        io::Result::Ok(())
    })();
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
