//! Landlock: an allow-list of paths and ports that this thread, and all that it starts, can never widen again.
//!
//! The newest rules that the kernel knows are used; [`Enforced`] says which those were. What it cannot stop, however new the
//! kernel: chmod, chown and utimes of any path, stat of any path, and (before version 9) connecting to a socket that has one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use rustix::fs::{CWD, FileType, Mode, OFlags};

use crate::sys;

/// The newest version that this module has been tried with; later ones may know rights that are not thought of here.
const NEWEST: ABI = ABI::V9;

/// What may be done with a path and all that is below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// Read, list, execute.
    Read,
    /// [`Self::Read`], and write, make, remove, rename; devices excepted.
    Write,
    /// Read and write devices, and control them.
    Device,
    /// Connect to a socket.
    Connect,
}

/// Which TCP ports may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tcp {
    All,
    Ports { connect: Vec<u16>, bind: Vec<u16> },
}

/// What the kernel enforces of an allow-list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Enforced {
    /// The version of Landlock; 0 when there is none, and nothing is enforced.
    pub(crate) version: u32,
}

impl Enforced {
    /// Returns what this kernel could enforce.
    pub(crate) fn possible() -> Self {
        Self { version: sys::landlock_abi().unwrap_or(0) }
    }

    /// Opening, making, removing and executing files.
    pub(crate) fn files(self) -> bool {
        self.version >= 1
    }

    /// Cutting files short.
    pub(crate) fn truncation(self) -> bool {
        self.version >= 3
    }

    /// TCP ports.
    pub(crate) fn tcp(self) -> bool {
        self.version >= 4
    }

    /// Controlling devices.
    pub(crate) fn devices(self) -> bool {
        self.version >= 5
    }

    /// Signals to processes outside, and abstract sockets of processes outside.
    pub(crate) fn scopes(self) -> bool {
        self.version >= 6
    }

    /// Connecting to sockets that have a path.
    pub(crate) fn sockets(self) -> bool {
        self.version >= 9
    }
}

/// An allow-list under construction; nothing is allowed but what is added.
#[must_use = "nothing is enforced before `enforce`"]
#[derive(Debug)]
pub(crate) struct AllowList {
    ruleset: RulesetCreated,
}

impl AllowList {
    /// Starts a list that also keeps signals and abstract sockets inside.
    pub(crate) fn new(tcp: &Tcp) -> io::Result<Self> {
        let mut ruleset = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))
            .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
            .map_err(io::Error::other)?;
        if matches!(tcp, Tcp::Ports { .. }) {
            ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST)).map_err(io::Error::other)?;
        }
        let mut list = Self { ruleset: ruleset.create().map_err(io::Error::other)? };
        if let Tcp::Ports { connect, bind } = tcp {
            for (ports, access) in [(connect, AccessNet::ConnectTcp), (bind, AccessNet::BindTcp)] {
                for &port in ports {
                    (&mut list.ruleset).add_rule(NetPort::new(port, access)).map_err(io::Error::other)?;
                }
            }
        }
        Ok(list)
    }

    /// Allows an open file, or an open directory and all below it.
    pub(crate) fn allow(&mut self, opened: impl AsFd, rights: Rights) -> io::Result<()> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
        let access = rights.access() & if kind.is_dir() { AccessFs::from_all(NEWEST) } else { files() };
        let rule = PathBeneath::new(opened.as_fd(), access);
        (&mut self.ruleset).add_rule(rule).map_err(io::Error::other)?;
        Ok(())
    }

    /// Allows what a path leads to, and returns whether there is anything; a list is made for hosts of all kinds.
    pub(crate) fn allow_path(&mut self, path: &Path, rights: Rights) -> io::Result<bool> {
        match open(path) {
            Ok(opened) => self.allow(&opened, rights).map(|()| true),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Holds this thread, and all that it starts, to the list for ever, and takes the gain of privileges by execution away.
    pub(crate) fn enforce(self) -> io::Result<Enforced> {
        let version = sys::landlock_abi().unwrap_or(0);
        let status = self.ruleset.no_new_privs(true).restrict_self().map_err(io::Error::other)?;
        match status.ruleset {
            RulesetStatus::NotEnforced => Ok(Enforced { version: 0 }),
            _ => Ok(Enforced { version }),
        }
    }
}

impl Rights {
    fn access(self) -> BitFlags<AccessFs> {
        let devices = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
        match self {
            Self::Read => AccessFs::from_read(NEWEST),
            Self::Write => AccessFs::from_all(NEWEST) & !devices,
            Self::Device => AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile | AccessFs::IoctlDev,
            Self::Connect => AccessFs::ResolveUnix.into(),
        }
    }
}

/// Returns the rights that mean something for what is not a directory.
fn files() -> BitFlags<AccessFs> {
    AccessFs::from_file(NEWEST)
}

/// Opens a path, links followed, only to name it.
fn open(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make files by hand")]
mod tests {
    use std::fs::{self, File, OpenOptions};
    use std::net::{TcpListener, TcpStream};
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    use super::*;

    /// The kernel keeps to the list the one thread that enforces it.
    fn held<T: Send>(list: AllowList, action: impl FnOnce() -> T + Send) -> T {
        let action = move || {
            assert!(list.enforce().unwrap().files(), "this host has no Landlock");
            action()
        };
        std::thread::scope(|scope| scope.spawn(action).join().unwrap())
    }

    fn denied<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    }

    #[test]
    fn only_what_is_on_the_list_is_read_and_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["read", "write", "other"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("file"), "text").unwrap();
        }
        let mut list = AllowList::new(&Tcp::All).unwrap();
        assert!(list.allow_path(&path("read"), Rights::Read).unwrap());
        list.allow(File::open(path("write")).unwrap(), Rights::Write).unwrap();
        assert!(!list.allow_path(&path("missing"), Rights::Read).unwrap());
        held(list, || {
            fs::read(path("read/file")).unwrap();
            assert!(denied(OpenOptions::new().write(true).open(path("read/file"))));
            assert!(denied(fs::remove_file(path("read/file"))));
            fs::write(path("write/new"), "").unwrap();
            fs::rename(path("write/new"), path("write/newer")).unwrap();
            fs::remove_file(path("write/newer")).unwrap();
            assert!(denied(File::open(path("other/file"))));
            assert!(denied(fs::read_dir(path("other"))));
            assert!(fs::hard_link(path("read/file"), path("write/link")).is_err());
        });
        fs::read(path("other/file")).unwrap();
    }

    #[test]
    fn a_file_is_allowed_without_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("file"), dir.path().join("other"));
        fs::write(&file, "text").unwrap();
        fs::write(&other, "text").unwrap();
        let mut list = AllowList::new(&Tcp::All).unwrap();
        assert!(list.allow_path(&file, Rights::Write).unwrap());
        held(list, || {
            fs::write(&file, "new").unwrap();
            assert!(denied(File::open(&other)));
        });
    }

    #[test]
    fn only_ports_on_the_list_are_reached() {
        let listeners = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
        let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
        let tcp = Tcp::Ports { connect: vec![ports[0]], bind: Vec::new() };
        held(AllowList::new(&tcp).unwrap(), || {
            TcpStream::connect(("127.0.0.1", ports[0])).unwrap();
            assert!(denied(TcpStream::connect(("127.0.0.1", ports[1]))));
            assert!(denied(TcpListener::bind("127.0.0.1:0")));
        });
    }

    #[test]
    fn sockets_and_processes_outside_are_out_of_reach() {
        let name = format!("stead-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        UnixStream::connect_addr(&address).unwrap();
        let mut child = crate::confine::spawn::command("sleep").arg("60").spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        held(AllowList::new(&Tcp::All).unwrap(), || {
            assert!(denied(UnixStream::connect_addr(&address)));
            let killed = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            assert_eq!(killed, Err(rustix::io::Errno::PERM));
        });
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
