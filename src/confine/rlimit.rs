//! Limits that the kernel keeps for each process by itself.

use std::io;
use std::process::Command;

use rustix::process::{Resource, Rlimit};

use crate::sys;

/// Has a command start with these limits; see [`set`].
pub(crate) fn start_with(command: &mut Command, file_size: Option<u64>, open_files: Option<u64>) {
    sys::before_exec(command, move || set(file_size, open_files));
}

/// Sets these limits, in bytes and in files, for this process; what it starts has them too and cannot raise them. Only makes
/// system calls.
pub(crate) fn set(file_size: Option<u64>, open_files: Option<u64>) -> io::Result<()> {
    for (resource, limit) in [(Resource::Fsize, file_size), (Resource::Nofile, open_files)] {
        if limit.is_some() {
            rustix::process::setrlimit(resource, Rlimit { current: limit, maximum: limit })?;
        }
    }
    Ok(())
}
