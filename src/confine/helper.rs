//! Holding this process, a helper of stead's own, to the little that it needs: one directory to read, and what it was
//! started with.
//!
//! Limits: where the kernel has no Landlock or no seccomp only the resource limits remain, and the parent's deadline.

use std::io;
use std::os::fd::AsFd;

use rustix::process::{Resource, Rlimit, Signal};

use crate::confine::landlock::{AllowList, Rights, Tcp};
use crate::confine::seccomp::{self, Filter};

/// What a helper may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Bytes of address space.
    pub(crate) memory: u64,
    /// Seconds of the processor.
    pub(crate) cpu: u64,
}

/// Takes from this process, for ever, all but reading below `directory`; it ends with the thread that started it.
///
/// No file grows by it, it starts no program, opens no socket, reaches no other process and leaves no core.
pub(crate) fn hold(directory: impl AsFd, share: Share) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    for (resource, most) in [
        (Resource::As, share.memory),
        (Resource::Cpu, share.cpu),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nproc, 0),
    ] {
        let most = rustix::process::getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
        rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    // A second wall: a host that lacks it has the first, which is that nothing a helper says is trusted.
    let mut list = AllowList::new(&Tcp::Ports { connect: Vec::new(), bind: Vec::new() })?;
    list.allow(directory, Rights::Read)?;
    list.enforce()?;
    match Filter::new(&seccomp::helper()).and_then(|filter| filter.enforce()) {
        Err(error) if !matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => Err(error),
        _ => Ok(()),
    }
}
