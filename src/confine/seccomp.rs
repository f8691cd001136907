//! Seccomp: system calls that a thread, and all that it starts, are refused for ever. A filter is data: a list of [`Refusal`]s.
//!
//! All else is allowed: a list of what programs need would be wrong on the next host. Programs of another architecture are
//! killed, as their numbers mean other calls.

use std::collections::BTreeMap;
use std::io;

use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

use crate::confine::landlock::Enforced;

/// A system call that is refused when its arguments are so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    call: i64,
    /// All must hold; none: always.
    when: Vec<When>,
    answer: Errno,
}

/// A condition on the low 32 bits of an argument, by its position; what the kernel takes is not wider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Is(u8, i32),
    IsNot(u8, i32),
    /// All these bits are set.
    Has(u8, i32),
    /// None of these bits is set.
    Lacks(u8, i32),
}

/// Newer than the list of the C library's names; of one number everywhere.
const OPEN_TREE_ATTR: i64 = 467;

/// What is refused to the command of a run behind a wall.
///
/// What else it may reach by `sockets` is for the wall to know: in a network namespace of its own all are harmless.
pub(crate) fn wall(sockets: Sockets) -> Vec<Refusal> {
    let mut refusals = never();
    refusals.extend(sockets.refusals());
    refusals
}

/// What is refused where the filter and Landlock are the only wall: [`wall`], and what Landlock has no say in and a filter can
/// tell from what is harmless.
pub(crate) fn alone(sockets: Sockets, landlock: Enforced) -> Vec<Refusal> {
    let mut refusals = wall(sockets);
    // The limits of another process; one of no time for the processor ends it.
    refusals.push(Refusal { call: libc::SYS_prlimit64, when: vec![When::IsNot(0, 0)], answer: Errno::PERM });
    // Landlock lets nobody open a queue of messages, and has no say in its removal.
    refusals.push(always(libc::SYS_mq_unlink, Errno::ACCESS));
    if !landlock.truncation() {
        // A file that may be read, or only be named, can be cut short by these; the flags of the last are in memory.
        refusals.push(always(libc::SYS_truncate, Errno::ACCESS));
        let cut = |flags| vec![When::Has(flags, libc::O_TRUNC), When::Lacks(flags, libc::O_ACCMODE)];
        refusals.push(Refusal { call: libc::SYS_openat, when: cut(2), answer: Errno::ACCESS });
        #[cfg(target_arch = "x86_64")]
        refusals.push(Refusal { call: libc::SYS_open, when: cut(1), answer: Errno::ACCESS });
        refusals.push(always(libc::SYS_openat2, Errno::NOSYS));
    }
    refusals
}

/// What is refused to a process of stead's own that reads what a run has left: [`wall`] without any socket, and no other
/// program, no look into another process.
pub(crate) fn helper() -> Vec<Refusal> {
    let mut refusals = wall(Sockets { internet: false, named: false });
    let calls = [
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_pidfd_open,
    ];
    refusals.extend(calls.map(|call| always(call, Errno::PERM)));
    refusals
}

/// Which sockets may be opened; pairs of connected ones always may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sockets {
    /// IPv4, IPv6, and the netlink that tells of addresses and routes.
    pub(crate) internet: bool,
    /// Unix sockets, which reach whatever listens at a path.
    pub(crate) named: bool,
}

impl Sockets {
    fn refusals(self) -> Vec<Refusal> {
        let mut families = Vec::new();
        if self.internet {
            families.extend([libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK]);
        }
        if self.named {
            families.push(libc::AF_UNIX);
        }
        // The others: packets, virtual machines, kernel crypto, bluetooth, and what else there is with a history of holes.
        let other = families.iter().map(|&family| When::IsNot(0, family)).collect();
        let mut refusals = vec![Refusal { call: libc::SYS_socket, when: other, answer: Errno::AFNOSUPPORT }];
        if self.internet {
            refusals.push(Refusal {
                call: libc::SYS_socket,
                when: vec![When::Is(0, libc::AF_NETLINK), When::IsNot(2, libc::NETLINK_ROUTE)],
                answer: Errno::AFNOSUPPORT,
            });
        }
        refusals
    }
}

/// What no run is to do, whatever its wall: ways to more power, ways around the rules, ways into the user's terminal.
fn never() -> Vec<Refusal> {
    let refused = [
        // Namespaces and mounts: each new one is a way to capabilities, and so to most holes of the kernel.
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_mount_setattr,
        OPEN_TREE_ATTR,
        libc::SYS_setns,
        // Opens any file by its number.
        libc::SYS_open_by_handle_at,
        // Keyrings are the user's, and no namespace parts them.
        libc::SYS_add_key,
        libc::SYS_keyctl,
        libc::SYS_request_key,
        libc::SYS_bpf,
        libc::SYS_userfaultfd,
        libc::SYS_perf_event_open,
        libc::SYS_fanotify_init,
        libc::SYS_kexec_load,
        #[cfg(not(target_arch = "riscv64"))]
        libc::SYS_kexec_file_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_quotactl_fd,
        libc::SYS_syslog,
        libc::SYS_vhangup,
        libc::SYS_sethostname,
        libc::SYS_setdomainname,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_ioperm,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_iopl,
    ];
    let mut refusals: Vec<Refusal> = refused.into_iter().map(|call| always(call, Errno::PERM)).collect();
    // Its operations pass no filter. Without it programs use the calls that do.
    let absent = [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];
    refusals.extend(absent.map(|call| always(call, Errno::NOSYS)));
    // Its flags are in memory, where no filter sees them; the C library then uses `clone`.
    refusals.push(always(libc::SYS_clone3, Errno::NOSYS));
    for call in [libc::SYS_clone, libc::SYS_unshare] {
        refusals.push(Refusal { call, when: vec![When::Has(0, libc::CLONE_NEWUSER)], answer: Errno::PERM });
    }
    // Both type into the terminal, for the shell that reads there when the run is over.
    for request in [libc::TIOCSTI, libc::TIOCLINUX] {
        let request = i32::try_from(request).expect("requests of terminals are small");
        refusals.push(Refusal { call: libc::SYS_ioctl, when: vec![When::Is(1, request)], answer: Errno::PERM });
    }
    refusals
}

fn always(call: i64, answer: Errno) -> Refusal {
    Refusal { call, when: Vec::new(), answer }
}

/// A filter that the kernel takes: one program, since it asks every program at every call, and translates each when it is
/// given.
#[derive(Debug)]
pub(crate) struct Filter {
    program: BpfProgram,
}

impl Filter {
    pub(crate) fn new(refusals: &[Refusal]) -> io::Result<Self> {
        let architecture = std::env::consts::ARCH.try_into().map_err(|_| io::ErrorKind::Unsupported)?;
        let mut by_answer: BTreeMap<i32, BTreeMap<i64, Vec<SeccompRule>>> = BTreeMap::new();
        for refusal in refusals {
            let rules = by_answer.entry(refusal.answer.raw_os_error()).or_default().entry(refusal.call).or_default();
            // No rule at all stands for always, which a condition beside it would narrow.
            if !refusals.contains(&always(refusal.call, refusal.answer)) {
                rules.push(refusal.rule().map_err(io::Error::other)?);
            }
        }
        let mut programs = vec![other_numbers()];
        for (answer, rules) in by_answer {
            let answer = SeccompAction::Errno(answer.unsigned_abs());
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, architecture);
            programs.push(filter.and_then(BpfProgram::try_from).map_err(io::Error::other)?);
        }
        Ok(Self { program: one_after_the_other(programs)? })
    }

    /// Holds this thread, and all that it starts, to the filter for ever, and takes the gain of privileges by execution away.
    pub(crate) fn enforce(&self) -> io::Result<()> {
        seccompiler::apply_filter(&self.program).map_err(|error| match error {
            seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
            error => io::Error::other(error),
        })
    }
}

impl Refusal {
    fn rule(&self) -> Result<SeccompRule, seccompiler::BackendError> {
        SeccompRule::new(self.when.iter().map(|when| when.condition()).collect::<Result<_, _>>()?)
    }
}

impl When {
    fn condition(self) -> Result<SeccompCondition, seccompiler::BackendError> {
        let bits = |value: i32| u64::from(value.cast_unsigned());
        let (argument, operator, value) = match self {
            Self::Is(argument, value) => (argument, SeccompCmpOp::Eq, value),
            Self::IsNot(argument, value) => (argument, SeccompCmpOp::Ne, value),
            Self::Has(argument, mask) => (argument, SeccompCmpOp::MaskedEq(bits(mask)), mask),
            Self::Lacks(argument, mask) => (argument, SeccompCmpOp::MaskedEq(bits(mask)), 0),
        };
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, bits(value))
    }
}

// As `linux/filter.h` and `linux/bpf_common.h` put them together.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Makes one program of several: what one would allow is for the next to decide.
///
/// # Errors
///
/// More instructions than a jump can pass over.
fn one_after_the_other(programs: Vec<BpfProgram>) -> io::Result<BpfProgram> {
    let mut whole = BpfProgram::new();
    let last = programs.len().saturating_sub(1);
    for (index, mut program) in programs.into_iter().enumerate() {
        let length = program.len();
        let allows =
            |instruction: &sock_filter| instruction.code == RETURN && instruction.k == u32::from(SeccompAction::Allow);
        for (at, instruction) in program.iter_mut().enumerate().filter(|(_, instruction)| allows(instruction)) {
            if index < last {
                let over = u32::try_from(length - at - 1).map_err(io::Error::other)?;
                *instruction = sock_filter { code: JUMP, jt: 0, jf: 0, k: over };
            }
        }
        whole.append(&mut program);
    }
    Ok(whole)
}

/// Refuses the numbers of x32: the same calls again, of the same architecture, which no rule would meet.
fn other_numbers() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    vec![
        // The number of the call is what a filter sees first.
        sock_filter { code: LOAD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: X32 },
        sock_filter {
            code: RETURN,
            jt: 0,
            jf: 0,
            k: SeccompAction::Errno(Errno::NOSYS.raw_os_error().unsigned_abs()).into(),
        },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: SeccompAction::Allow.into() },
    ]
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use rustix::net::{AddressFamily, SocketType};
    use rustix::thread::UnshareFlags;

    use super::*;

    /// The kernel keeps to a filter the one thread that enforces it.
    fn held<T: Send>(refusals: &[Refusal], action: impl FnOnce() -> T + Send) -> T {
        let filter = Filter::new(refusals).unwrap();
        let action = move || {
            filter.enforce().unwrap();
            action()
        };
        std::thread::scope(|scope| scope.spawn(action).join().unwrap())
    }

    fn socket(family: i32) -> Option<i32> {
        let family = AddressFamily::from_raw(u16::try_from(family).unwrap());
        rustix::net::socket(family, SocketType::DGRAM, None).err().map(Errno::raw_os_error)
    }

    const OPEN: Sockets = Sockets { internet: true, named: true };

    #[test]
    fn a_run_gets_no_new_namespace_and_no_mount() {
        held(&wall(OPEN), || {
            for flags in [UnshareFlags::NEWUSER, UnshareFlags::NEWUSER | UnshareFlags::NEWNS] {
                assert_eq!(crate::sys::unshare(flags), Err(Errno::PERM));
            }
            assert_eq!(rustix::mount::unmount("/", rustix::mount::UnmountFlags::DETACH), Err(Errno::PERM));
            let opened = rustix::mount::fsopen("tmpfs", rustix::mount::FsOpenFlags::empty());
            assert_eq!(opened.unwrap_err(), Errno::PERM);
        });
    }

    #[test]
    fn threads_and_programs_still_start() {
        held(&wall(OPEN), || {
            std::thread::spawn(|| ()).join().unwrap();
            assert!(crate::confine::spawn::command("true").status().unwrap().success());
        });
    }

    #[test]
    fn only_known_families_of_sockets_are_opened() {
        held(&wall(OPEN), || {
            TcpListener::bind("127.0.0.1:0").unwrap();
            UnixDatagram::unbound().unwrap();
            for family in [libc::AF_VSOCK, libc::AF_ALG, libc::AF_PACKET] {
                assert_eq!(socket(family), Some(libc::EAFNOSUPPORT), "{family}");
            }
        });
        held(&wall(Sockets { internet: true, named: false }), || {
            assert_eq!(socket(libc::AF_UNIX), Some(libc::EAFNOSUPPORT));
            UnixStream::pair().unwrap();
            UdpSocket::bind("127.0.0.1:0").unwrap();
        });
        held(&wall(Sockets { internet: false, named: true }), || {
            assert_eq!(socket(libc::AF_INET), Some(libc::EAFNOSUPPORT));
            UnixDatagram::unbound().unwrap();
        });
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "tests make files by hand")]
    fn where_landlock_does_not_know_it_nothing_is_cut_short() {
        use std::fs::{self, OpenOptions};
        use std::os::unix::fs::OpenOptionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "text").unwrap();
        let denied =
            |result: io::Result<fs::File>| result.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        let cut = || OpenOptions::new().read(true).custom_flags(libc::O_TRUNC).open(&file);
        held(&alone(OPEN, Enforced { version: 2 }), || {
            assert!(denied(cut()));
            let flags = rustix::fs::OFlags::RDONLY;
            let how = rustix::fs::ResolveFlags::empty();
            let opened = rustix::fs::openat2(rustix::fs::CWD, &file, flags, rustix::fs::Mode::empty(), how);
            assert_eq!(opened.unwrap_err(), Errno::NOSYS);
            // What may be written may be cut short, and the rest may be read.
            assert_eq!(fs::read(&file).unwrap(), b"text");
            fs::write(&file, "new").unwrap();
        });
        held(&alone(OPEN, Enforced { version: 3 }), || cut().unwrap());
    }

    #[test]
    fn only_the_own_limits_are_set() {
        use rustix::process::{Resource, getppid, prlimit};
        let limit = rustix::process::getrlimit(Resource::Core);
        held(&alone(OPEN, Enforced { version: 9 }), || {
            prlimit(None, Resource::Core, limit).unwrap();
            assert_eq!(prlimit(getppid(), Resource::Core, limit).unwrap_err(), Errno::PERM);
        });
    }

    #[test]
    fn a_helper_starts_nothing_and_talks_to_nobody() {
        held(&helper(), || {
            assert!(crate::confine::spawn::command("true").status().is_err());
            assert_eq!(socket(libc::AF_INET), Some(libc::EAFNOSUPPORT));
            assert_eq!(socket(libc::AF_UNIX), Some(libc::EAFNOSUPPORT));
        });
    }
}
