//! Attempts on the kernel: more power, mounts, namespaces, calls with a history of holes, the network.

use std::fs::File;
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::Command;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, MountFlags, OpenTreeFlags, UnmountFlags};
use rustix::net::{AddressFamily, RawProtocol, SocketType};

use super::scene::Told;
use super::sys::{call, in_copy};
use super::table::{Answer, NO_FAMILY, NOENT, NOSYS, Open, PERM, Row, WORKS, row};

/// What the filter refuses behind both walls.
fn filtered(name: &'static str, attempt: fn(&Told) -> io::Result<()>, open: Open) -> Row {
    row(name, attempt, open, PERM, PERM)
}

pub(super) fn rows() -> Vec<Row> {
    [mounts(), namespaces(), calls(), architectures(), sockets()].into_iter().flatten().collect()
}

fn mounts() -> Vec<Row> {
    vec![
        filtered(
            "a file system is mounted",
            |told| {
                rustix::mount::mount("tmpfs", told.place.join("projects"), "tmpfs", MountFlags::empty(), None)?;
                Ok(rustix::mount::unmount(told.place.join("projects"), UnmountFlags::DETACH)?)
            },
            Open::BareRoot,
        ),
        filtered(
            "a mount is made writable",
            |_| Ok(rustix::mount::mount_remount("/nowhere", MountFlags::BIND, "")?),
            Open::Says(&[Errno::NOENT, Errno::PERM]),
        ),
        filtered(
            "a mount is taken away",
            |_| Ok(rustix::mount::unmount("/nowhere", UnmountFlags::DETACH)?),
            Open::Says(&[Errno::NOENT, Errno::PERM]),
        ),
        filtered(
            "a file system is opened",
            |_| Ok(rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map(drop)?),
            Open::BareRoot,
        ),
        filtered(
            "a part of the tree of files is taken",
            |_| {
                let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
                Ok(rustix::mount::open_tree(CWD, "/", flags).map(drop)?)
            },
            Open::BareRoot,
        ),
        filtered(
            "the flags of a mount are changed",
            |_| call(libc::SYS_mount_setattr, [(-1).into(), 0.into(), 0.into(), 0.into(), 0.into()]).map(drop),
            Open::Says(&[Errno::INVAL, Errno::PERM]),
        ),
        filtered("the root is changed", |told| in_copy(|| Ok(rustix::process::chroot(&told.tree)?)), Open::BareRoot),
        filtered(
            "the root is swapped",
            |_| in_copy(|| Ok(rustix::process::pivot_root("/nowhere", "/nowhere")?)),
            Open::Says(&[Errno::NOENT, Errno::PERM]),
        ),
        filtered(
            "a file is opened by its number",
            |_| call(libc::SYS_open_by_handle_at, [(-1).into(), 0.into(), 0.into()]).map(drop),
            Open::Says(&[Errno::FAULT, Errno::PERM]),
        ),
        row("every mount is as it should be", mounts_are_held, Open::NoWall, WORKS, Answer::Open),
        row(
            "a program takes its owner's power",
            |told| {
                let output = Command::new(told.place.join("tools/id")).arg("-u").output()?;
                let gained = output.stdout == b"0\n" && told.uid != 0;
                if gained { Ok(()) } else { Err(Errno::PERM.into()) }
            },
            Open::NoWall,
            PERM,
            PERM,
        ),
    ]
}

fn namespaces() -> Vec<Row> {
    vec![
        filtered(
            "a user namespace is made",
            |_| in_copy(|| call(libc::SYS_unshare, [libc::CLONE_NEWUSER.into()]).map(drop)),
            Open::Bare,
        ),
        filtered(
            "a process is made in a user namespace",
            |_| {
                call(
                    libc::SYS_clone,
                    [(libc::CLONE_NEWUSER | libc::CLONE_FS).into(), 0.into(), 0.into(), 0.into(), 0.into()],
                )
                .map(drop)
            },
            Open::Says(&[Errno::INVAL]),
        ),
        filtered(
            "a mount namespace is made",
            |_| in_copy(|| call(libc::SYS_unshare, [libc::CLONE_NEWNS.into()]).map(drop)),
            Open::BareRoot,
        ),
        row(
            "a process is made with flags that no filter sees",
            |_| call(libc::SYS_clone3, [0.into(), 0.into()]).map(drop),
            Open::Says(&[Errno::INVAL]),
            NOSYS,
            NOSYS,
        ),
        filtered(
            "another namespace is entered",
            |_| {
                let own = File::open("/proc/self/ns/uts")?;
                in_copy(|| Ok(rustix::thread::move_into_link_name_space(own.as_fd(), None)?))
            },
            Open::BareRoot,
        ),
    ]
}

fn calls() -> Vec<Row> {
    vec![
        filtered(
            "a keyring is read",
            |_| {
                // The user's, whatever the namespace.
                call(libc::SYS_keyctl, [0.into(), (-4).into(), 1.into()]).map(drop)
            },
            Open::Bare,
        ),
        filtered(
            "a key is added",
            |_| call(libc::SYS_add_key, [0.into(), 0.into(), 0.into(), 0.into(), 0.into()]).map(drop),
            Open::Says(&[Errno::FAULT]),
        ),
        filtered(
            "a key is asked for",
            |_| call(libc::SYS_request_key, [0.into(), 0.into(), 0.into(), 0.into()]).map(drop),
            Open::Says(&[Errno::FAULT]),
        ),
        row(
            "an io_uring is set up",
            |_| call(libc::SYS_io_uring_setup, [0.into(), [0; 120].as_mut_slice().into()]).map(drop),
            Open::Says(&[Errno::INVAL, Errno::PERM]),
            NOSYS,
            NOSYS,
        ),
        row(
            "an io_uring is used",
            |_| {
                call(libc::SYS_io_uring_enter, [(-1).into(), 0.into(), 0.into(), 0.into(), 0.into(), 0.into()])
                    .map(drop)
            },
            Open::Says(&[Errno::BADF]),
            NOSYS,
            NOSYS,
        ),
        filtered(
            "a program is put into the kernel",
            |_| call(libc::SYS_bpf, [999.into(), [0; 128].as_mut_slice().into(), 128.into()]).map(drop),
            Open::Says(&[Errno::INVAL, Errno::PERM]),
        ),
        filtered(
            "page faults are taken over",
            |_| {
                // `UFFD_USER_MODE_ONLY`, which everybody may have, and a flag that there is not.
                call(libc::SYS_userfaultfd, [0x4001.into()]).map(drop)
            },
            Open::Says(&[Errno::INVAL, Errno::NOSYS]),
        ),
        filtered(
            "events of the processor are counted",
            |_| call(libc::SYS_perf_event_open, [0.into(), 0.into(), (-1).into(), (-1).into(), 0.into()]).map(drop),
            Open::Says(&[Errno::FAULT, Errno::ACCESS, Errno::NOSYS]),
        ),
        filtered(
            "all file access is watched",
            |_| call(libc::SYS_fanotify_init, [0x4000_0000.into(), 0.into()]).map(drop),
            Open::Says(&[Errno::INVAL, Errno::PERM, Errno::NOSYS]),
        ),
        filtered(
            "the kernel's log is read",
            |_| call(libc::SYS_syslog, [99.into(), 0.into(), 0.into()]).map(drop),
            Open::Says(&[Errno::INVAL, Errno::PERM]),
        ),
        filtered(
            "the host's name is changed",
            |_| call(libc::SYS_sethostname, [[0; 1].as_mut_slice().into(), (-1).into()]).map(drop),
            Open::Says(&[Errno::INVAL, Errno::PERM]),
        ),
        filtered(
            "the clock is set",
            |_| call(libc::SYS_clock_settime, [99.into(), [0; 16].as_mut_slice().into()]).map(drop),
            Open::Says(&[Errno::INVAL]),
        ),
        filtered(
            "a module is loaded",
            |_| call(libc::SYS_finit_module, [(-1).into(), 0.into(), 99.into()]).map(drop),
            Open::Says(&[Errno::INVAL, Errno::PERM, Errno::NOSYS]),
        ),
        filtered(
            "a quota is asked for by a descriptor",
            |_| call(libc::SYS_quotactl_fd, [(-1).into(), 0.into(), 0.into(), 0.into()]).map(drop),
            Open::Says(&[Errno::BADF, Errno::NOSYS]),
        ),
        filtered(
            "something is typed into the terminal",
            |_| call(libc::SYS_ioctl, [0.into(), ioctl(libc::TIOCSTI).into(), [b'x'].as_mut_slice().into()]).map(drop),
            Open::Says(&[Errno::NOTTY]),
        ),
        filtered(
            "something is pasted into the terminal",
            |_| {
                call(libc::SYS_ioctl, [0.into(), ioctl(libc::TIOCLINUX).into(), [2; 16].as_mut_slice().into()])
                    .map(drop)
            },
            Open::Says(&[Errno::NOTTY]),
        ),
    ]
}

#[cfg(target_arch = "x86_64")]
fn architectures() -> Vec<Row> {
    vec![row(
        "a system call of 32 bits is made",
        |_| match in_copy(|| if super::sys::number_by_32_bits() > 0 { Ok(()) } else { Err(Errno::NOSYS.into()) }) {
            // A kernel that knows none answers by a fault, whatever the wall.
            Err(error) if error.raw_os_error().is_none() => {
                if is_bare() {
                    Ok(())
                } else {
                    Err(Errno::PERM.into())
                }
            }
            result => result,
        },
        Open::Bare,
        PERM,
        PERM,
    )]
}

#[cfg(not(target_arch = "x86_64"))]
fn architectures() -> Vec<Row> {
    Vec::new()
}

fn ioctl(request: libc::Ioctl) -> i32 {
    i32::try_from(request).expect("small")
}

fn sockets() -> Vec<Row> {
    vec![
        row(
            "an abstract socket outside is connected to",
            |told| UnixStream::connect_addr(&SocketAddr::from_abstract_name(&told.abstract_name)?).map(drop),
            Open::Works,
            Answer::Scoped(&[Errno::PERM]),
            NO_FAMILY,
        ),
        row(
            "a container engine is connected to",
            |told| UnixStream::connect(told.place.join("docker.sock")).map(drop),
            Open::Works,
            NOENT,
            NO_FAMILY,
        ),
        row(
            "the SSH agent is connected to",
            |told| UnixStream::connect(told.place.join("agent.sock")).map(drop),
            Open::Works,
            NOENT,
            NO_FAMILY,
        ),
        row("a pair of connected sockets is made", |_| UnixStream::pair().map(drop), Open::Works, WORKS, WORKS),
        row("a socket for packets is opened", |_| socket(libc::AF_PACKET, 0), Open::BareRoot, NO_FAMILY, NO_FAMILY),
        row(
            "a socket for virtual machines is opened",
            |_| socket(libc::AF_VSOCK, 0),
            Open::NoWall,
            NO_FAMILY,
            NO_FAMILY,
        ),
        row(
            "a socket of the kernel's ciphers is opened",
            |_| socket(libc::AF_ALG, 0),
            Open::NoWall,
            NO_FAMILY,
            NO_FAMILY,
        ),
        row(
            "the kernel is asked for all sockets",
            |_| socket(libc::AF_NETLINK, libc::NETLINK_SOCK_DIAG),
            Open::Bare,
            NO_FAMILY,
            NO_FAMILY,
        ),
        row(
            "the kernel is asked for routes",
            |_| socket(libc::AF_NETLINK, libc::NETLINK_ROUTE),
            Open::Works,
            WORKS,
            WORKS,
        ),
        row(
            "a port of this machine is connected to",
            |told| TcpStream::connect(("127.0.0.1", told.tcp)).map(drop),
            Open::Works,
            WORKS,
            WORKS,
        ),
        row(
            "a datagram is sent to this machine",
            |told| UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", ("127.0.0.1", told.udp)).map(drop),
            Open::Works,
            WORKS,
            WORKS,
        ),
    ]
}

/// Attempts on a network that is off; without a wall it cannot be.
pub(super) fn without_net() -> Vec<Row> {
    const UNREACHABLE: Answer = Answer::Refused(&[Errno::CONNREFUSED, Errno::NETUNREACH]);
    vec![
        row(
            "a port of this machine is connected to",
            |told| TcpStream::connect(("127.0.0.1", told.tcp)).map(drop),
            Open::Works,
            UNREACHABLE,
            NO_FAMILY,
        ),
        row(
            "a port is listened on",
            |_| std::net::TcpListener::bind("127.0.0.1:0").map(drop),
            Open::Works,
            WORKS,
            NO_FAMILY,
        ),
        row(
            "a port of another machine is connected to",
            |_| {
                // Of the block for documentation; nobody answers, and here nothing is asked.
                let socket = rustix::net::socket_with(
                    AddressFamily::INET,
                    SocketType::STREAM,
                    rustix::net::SocketFlags::NONBLOCK,
                    None,
                )?;
                let address: std::net::SocketAddr = "192.0.2.1:9".parse().expect("an address");
                Ok(rustix::net::connect(&socket, &address)?)
            },
            Open::NoWall,
            Answer::Refused(&[Errno::NETUNREACH]),
            NO_FAMILY,
        ),
        row(
            "a name server is asked",
            |_| UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", ("192.0.2.1", 53)).map(drop),
            Open::NoWall,
            Answer::Refused(&[Errno::NETUNREACH]),
            NO_FAMILY,
        ),
        row(
            "a datagram is received from this machine",
            |told| {
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                socket.connect(("127.0.0.1", told.udp))?;
                socket.send(b"x")?;
                // Nobody has the port: the second time the first has been answered so.
                socket.send(b"x").map(drop)
            },
            Open::Works,
            Answer::Refused(&[Errno::CONNREFUSED]),
            NO_FAMILY,
        ),
        row(
            "there is no other interface",
            |told| {
                let interfaces = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
                let names: Vec<&str> = interfaces
                    .lines()
                    .skip(2)
                    .filter_map(|line| line.split_once(':'))
                    .map(|(name, _)| name.trim())
                    .collect();
                let own = std::fs::read_link("/proc/self/ns/net")?;
                let outside = told.namespaces.iter().find(|(name, _)| name == "net").map(|(_, link)| link);
                if names == ["lo"] && outside != Some(&own) {
                    Ok(())
                } else {
                    Err(io::Error::other(format!("{names:?} in {}", own.display())))
                }
            },
            Open::NoWall,
            WORKS,
            Answer::Open,
        ),
    ]
}

fn socket(family: i32, protocol: i32) -> io::Result<()> {
    let family = AddressFamily::from_raw(u16::try_from(family).map_err(io::Error::other)?);
    let protocol =
        RawProtocol::new(u32::try_from(protocol).map_err(io::Error::other)?).map(rustix::net::Protocol::from_raw);
    Ok(rustix::net::socket(family, SocketType::RAW, protocol).map(drop)?)
}

/// Looks at the table of mounts: nothing is executed with another's power, devices are only those that were put there, and
/// nothing can be written but what is the run's own.
fn mounts_are_held(told: &Told) -> io::Result<()> {
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    let home = std::env::var("HOME").map_err(io::Error::other)?;
    let tree = told.tree.to_string_lossy().into_owned();
    let mut wrong = Vec::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (at, options) = (fields[4].replace("\\040", " "), fields[5]);
        let has = |option: &str| options.split(',').any(|other| other == option);
        let device = at.starts_with("/dev/") && at != "/dev/shm";
        let own = ["/tmp", "/var/tmp", "/run", "/dev/shm", "/dev/pts", &home, &tree].contains(&at.as_str());
        let is_cache = fields.contains(&"overlay") || at.ends_with("/registry");
        if !has("nosuid") || (!device && !has("nodev")) || (device && !has("noexec")) {
            wrong.push(line);
        }
        if !has("ro") && !own && !device && !is_cache {
            wrong.push(line);
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(io::Error::other(wrong.join("\n"))) }
}

/// Returns whether nothing has been taken from this process: no filter of system calls, and of root no capability that these
/// attempts need.
pub(super) fn is_bare() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let effective = u64::from_str_radix(field("CapEff:"), 16).unwrap_or_default();
    // Of the administrator, of devices, of the network's raw packets, of others' processes, of modules.
    let needed = [21, 27, 13, 19, 16].iter().all(|bit| effective & (1 << bit) != 0);
    field("Seccomp:") == "0" && (needed || !rustix::process::getuid().is_root())
}
