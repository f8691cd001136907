//! The namespaces wall: user, mount, process, IPC and host name, and the network when it is off.
//!
//! ```text
//! stead __supervise
//!   stead __enter     outside: waits, so that what all below used is counted
//!     init            process 1 inside: builds the root, reaps; its end is the end of everything inside
//!       COMMAND       without capabilities, held by Landlock and seccomp as well
//! ```
//!
//! Each dies with the one above it. Until the command itself, all have one thread.

mod root;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::UnshareFlags;

use crate::confine::landlock::{AllowList, Rights, Tcp};
use crate::confine::policy::Policy;
use crate::confine::privileges;
use crate::confine::report::{Message, Teller};
use crate::confine::seccomp::{self, Filter, Sockets};
use crate::confine::spawn::Group;
use crate::sys::{self, Waited};

/// The command's number inside: the first that init starts.
pub(crate) const COMMAND: u32 = 2;

/// An attempt at such a wall, in a copy of this process and beside it.
#[derive(Debug)]
pub(crate) struct Probe {
    /// With the pipe of its answer.
    child: io::Result<(u32, OwnedFd)>,
}

impl Probe {
    pub(crate) fn start(net: bool) -> Self {
        let child = (|| {
            let (answer, told) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            let Some(child) = sys::fork()? else {
                let number = try_out(net).err().map_or(0, |error| error.raw_os_error().clamp(1, 255));
                rustix::io::write(&told, &[u8::try_from(number).unwrap_or(u8::MAX)]).ok();
                // What it has built is taken down while nobody waits for it.
                sys::exit_now(0);
            };
            io::Result::Ok((child, answer))
        })();
        Self { child }
    }

    /// Waits for the answer: why this host can have no such wall; `None` when it can.
    pub(crate) fn missing(&self) -> Option<String> {
        let (_, answer) = match &self.child {
            Ok(child) => child,
            Err(error) => return Some(error.to_string()),
        };
        let mut number = [0];
        match rustix::io::retry_on_intr(|| rustix::io::read(answer, &mut number)) {
            Ok(1) if number[0] == 0 => None,
            Ok(1) => Some(io::Error::from_raw_os_error(number[0].into()).to_string()),
            // A filter may kill for trying.
            Ok(_) => Some(io::Error::from_raw_os_error(libc::EPERM).to_string()),
            Err(error) => Some(error.to_string()),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Ok((child, _)) = &self.child {
            sys::wait_for(Some(*child)).ok();
        }
    }
}

/// Runs `action` in a copy of this process and returns its error's number, or 0. It must only make system calls.
fn attempt(action: impl FnOnce() -> rustix::io::Result<()>) -> io::Result<i32> {
    let Some(child) = sys::fork()? else {
        sys::exit_now(action().err().map_or(0, |error| error.raw_os_error().clamp(1, 255)));
    };
    match sys::wait_for(Some(child))? {
        (_, Waited::Exited(code)) => Ok(code),
        _ => Ok(libc::EPERM),
    }
}

fn try_out(net: bool) -> rustix::io::Result<()> {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    sys::unshare(flags(net))?;
    map(uid.as_raw(), gid.as_raw())?;
    rustix::mount::mount_change(
        "/",
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC,
    )?;
    // A process table is mounted from inside: some containers forbid just that.
    let inside = attempt(|| root::process_table().map(drop));
    match inside {
        Ok(0) => Ok(()),
        Ok(error) => Err(rustix::io::Errno::from_raw_os_error(error)),
        Err(_) => Err(rustix::io::Errno::PERM),
    }
}

fn flags(net: bool) -> UnshareFlags {
    let flags = UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS;
    if net { flags } else { flags | UnshareFlags::NEWNET }
}

/// Maps the own user and group to themselves, and nobody else.
fn map(uid: u32, gid: u32) -> rustix::io::Result<()> {
    let write = |path: &str, text: std::fmt::Arguments<'_>| {
        let mut file = File::options().write(true).open(path)?;
        // In one write: the kernel takes no second.
        file.write_all(text.to_string().as_bytes())
    };
    let failed =
        |error: io::Error| error.raw_os_error().map_or(rustix::io::Errno::IO, rustix::io::Errno::from_raw_os_error);
    write("/proc/self/setgroups", format_args!("deny")).map_err(failed)?;
    write("/proc/self/uid_map", format_args!("{uid} {uid} 1")).map_err(failed)?;
    write("/proc/self/gid_map", format_args!("{gid} {gid} 1")).map_err(failed)
}

/// Builds the wall around `execute`, which does not return when it succeeds, and waits until nothing inside is alive.
pub(crate) fn enter(policy: &Policy, group: Group, teller: &mut Teller, execute: impl FnOnce() -> io::Error) {
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let parent = rustix::process::getppid();
    let done = (|| {
        sys::unshare(flags(policy.net))?;
        map(uid.as_raw(), gid.as_raw())?;
        // Anew: new credentials have undone what was asked for at the start, and the parent may have died since.
        die_with_parent()?;
        if rustix::process::getppid() != parent {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        sys::block_signals(true);
        let alive = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        io::Result::Ok((sys::fork()?, alive))
    })();
    match done {
        Ok((Some(init), _alive)) => {
            release_streams();
            while !matches!(sys::wait_for(Some(init)), Ok((_, Waited::Exited(_) | Waited::Signaled(_))) | Err(_)) {}
            // The end of this process takes all mounts down, which nobody has to wait for.
            teller.tell(&Message::Over(sys::used()));
        }
        Ok((None, (alive, own))) => {
            drop(own);
            if let Err(error) = inside(policy, group, alive, teller, execute) {
                teller.tell(&Message::NoWall(error.to_string()));
            }
            sys::exit_now(0);
        }
        Err(error) => teller.tell(&Message::NoWall(error.to_string())),
    }
}

fn die_with_parent() -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
}

/// Builds the wall from inside; `alive` is a pipe whose other end the parent has.
fn inside(
    policy: &Policy,
    group: Group,
    alive: OwnedFd,
    teller: &mut Teller,
    execute: impl FnOnce() -> io::Error,
) -> io::Result<()> {
    die_with_parent()?;
    // Its number says nothing here: from inside, no process outside has one.
    if rustix::event::poll(&mut [PollFd::new(&alive, PollFlags::IN)], Some(&Timespec::default()))? > 0 {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    drop(alive);
    root::build(policy)?;
    if !policy.net {
        let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
        sys::bring_loopback_up(std::os::fd::AsFd::as_fd(&socket))?;
    }
    match sys::fork()? {
        None => {
            match confine(policy, group) {
                Ok(()) => {
                    sys::block_signals(false);
                    let error = execute();
                    teller.tell(&Message::NotExecuted(error.raw_os_error().unwrap_or(libc::EINVAL)));
                }
                Err(error) => teller.tell(&Message::NoWall(error.to_string())),
            }
            sys::exit_now(127);
        }
        Some(command) => {
            privileges::drop_all()?;
            // Of the same user as all inside: they could otherwise look into it, and act through it.
            rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
            release_streams();
            reap(command, teller);
            Ok(())
        }
    }
}

/// The second wall, for what the first may have overlooked.
fn confine(policy: &Policy, group: Group) -> io::Result<()> {
    if group == Group::Own {
        rustix::process::setpgid(None, None)?;
    }
    privileges::drop_all()?;
    let mut list = AllowList::new(&Tcp::All)?;
    list.allow_path("/".as_ref(), Rights::Read)?;
    list.allow_path("/dev".as_ref(), Rights::Device)?;
    let own = ["/tmp", "/var/tmp", "/run", "/dev/shm"].map(std::path::Path::new);
    let private = policy.home.iter().chain(&policy.temporary).map(|private| private.at.as_ref());
    let written = policy.write.iter().map(AsRef::as_ref).chain(policy.caches.iter().map(|cache| cache.at.as_ref()));
    for path in own.into_iter().chain(private).chain(written) {
        list.allow_path(path, Rights::Write)?;
    }
    for socket in &policy.sockets {
        list.allow_path(socket.as_ref(), Rights::Connect)?;
    }
    list.enforce()?;
    Filter::new(&seccomp::wall(Sockets { internet: true, named: true }))?.enforce()
}

/// Lets go of the command's streams: whoever reads them sees their end when the command's own processes are gone.
fn release_streams() {
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        rustix::stdio::dup2_stdin(&null).ok();
        rustix::stdio::dup2_stdout(&null).ok();
        rustix::stdio::dup2_stderr(&null).ok();
    }
}

/// Collects whatever ends inside until nothing is left, and tells how the command fares.
fn reap(command: u32, teller: &mut Teller) {
    let mut ended = None;
    loop {
        let next = if ended.is_some() { without_waiting() } else { sys::wait_for(None).map(Some) };
        match next {
            Ok(Some((pid, waited))) if pid == command => match waited {
                Waited::Exited(_) | Waited::Signaled(_) => ended = Some(waited),
                Waited::Stopped => teller.tell(&Message::Stopped),
                Waited::Continued => teller.tell(&Message::Continued),
            },
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                let left = next.is_ok();
                match ended {
                    Some(Waited::Exited(code)) => teller.tell(&Message::Exited { code, left }),
                    Some(Waited::Signaled(signal)) => teller.tell(&Message::Signaled { signal, left }),
                    _ => {}
                }
                break;
            }
        }
    }
    while sys::wait_for(None).is_ok() {}
}

fn without_waiting() -> io::Result<Option<(u32, Waited)>> {
    Ok(sys::wait()?.map(|(pid, waited, _)| (pid, waited)))
}
