//! Limits that the kernel keeps for each process by itself.

use std::process::Command;

use rustix::process::{Resource, Rlimit};

use crate::sys;

/// Has a command start with these limits, in bytes and in files; what it starts has them too and cannot raise them.
pub(crate) fn set(command: &mut Command, file_size: Option<u64>, open_files: Option<u64>) {
    let limits = [(Resource::Fsize, file_size), (Resource::Nofile, open_files)];
    sys::before_exec(command, move || {
        for (resource, limit) in limits {
            if limit.is_some() {
                rustix::process::setrlimit(resource, Rlimit { current: limit, maximum: limit })?;
            }
        }
        Ok(())
    });
}
