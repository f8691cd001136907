//! What the attempts are made on: a user with secrets, projects and workspaces, and what runs beside them.

use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use portable_pty::{PtyPair, PtySize, native_pty_system};
use serde::{Deserialize, Serialize};

use super::sys::{Given, call};
use super::table::End;
use crate::support::{Place, describe, succeed, write};

/// The variable that makes the test binary the probe; its value is what the probe is told.
pub(super) const PROBE: &str = "STEAD_TEST_PROBE";
/// The name and the value of a variable that no run is to see.
pub(super) const PLANTED: (&str, &str) = ("PLANTED_SECRET", "planted-value");

/// Files of the user that are nobody's business.
pub(super) const SECRETS: [&str; 9] = [
    ".ssh/id_ed25519",
    ".aws/credentials",
    ".gnupg/private-keys-v1.d/key",
    ".netrc",
    ".git-credentials",
    ".cargo/credentials.toml",
    ".config/gh/hosts.yml",
    ".docker/config.json",
    ".bash_history",
];

/// Who uses stead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Whoever runs the tests.
    Own,
    /// Root's tests run as somebody else as well.
    Other(u32),
}

impl User {
    /// Returns the users that these tests can be: an ordinary one, and root where they run as root.
    pub(super) fn all() -> Vec<Self> {
        if Self::Own.is_root() { vec![Self::Own, Self::Other(54_321)] } else { vec![Self::Own] }
    }

    /// Returns the ordinary one.
    pub(super) fn ordinary() -> Self {
        *Self::all().last().expect("there is one")
    }

    pub(super) fn is_root(self) -> bool {
        self == Self::Own && rustix::process::getuid().is_root()
    }

    fn number(self) -> u32 {
        match self {
            Self::Own => rustix::process::getuid().as_raw(),
            Self::Other(number) => number,
        }
    }

    /// Has a command start as this user, without any group of root's.
    pub(super) fn start(self, command: &mut Command) {
        if let Self::Other(number) = self {
            command.uid(number).gid(number);
        }
    }

    /// Makes the user the owner of a directory and of all in it.
    pub(super) fn own(self, directory: &Path) {
        if let Self::Other(number) = self {
            let mut below = vec![directory.to_owned()];
            while let Some(path) = below.pop() {
                std::os::unix::fs::lchown(&path, Some(number), Some(number)).expect("owner");
                if path.is_dir() && !path.is_symlink() {
                    below.extend(path.read_dir().expect("directory").map(|entry| entry.expect("entry").path()));
                }
            }
        }
    }
}

/// What the probe is told: where things are, as the host has them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) place: PathBuf,
    pub(super) root: PathBuf,
    pub(super) home: PathBuf,
    pub(super) tree: PathBuf,
    /// The own and the other workspace's pool, below the root.
    pub(super) pools: [PathBuf; 2],
    /// A process of the same user, and an address of what it may write.
    pub(super) process: i32,
    pub(super) address: u64,
    pub(super) tcp: u16,
    pub(super) udp: u16,
    pub(super) abstract_name: String,
    /// A terminal that another shell of the user could have.
    pub(super) terminal: PathBuf,
    /// A segment of System V's shared memory.
    pub(super) segment: i64,
    /// A POSIX queue of messages.
    pub(super) queue: String,
    pub(super) namespaces: Vec<(String, PathBuf)>,
    pub(super) uid: u32,
    /// Whether the run has the network.
    pub(super) net: bool,
}

/// A place with all of it, and what runs beside.
pub(super) struct Scene {
    pub(super) place: Place,
    pub(super) user: User,
    pub(super) told: Told,
    process: Child,
    _listeners: (TcpListener, UdpSocket, [UnixListener; 3]),
    _terminal: PtyPair,
}

impl Scene {
    pub(super) fn new(user: User) -> Self {
        let place = ready(user);
        let (home, projects) = (place.home(), place.path().join("projects"));
        for secret in SECRETS {
            write(&home, secret, "secret");
        }
        write(&home, ".bashrc", "# the user's\n");
        write(&home, ".cargo/bin/tool", "#!/bin/sh\n");
        write(&home, ".cargo/registry/index", "the user's\n");
        write(&home, ".nvm/node", "a program\n");
        // What is beside a toolchain's own credentials, which are kept from it.
        write(&home, ".nvm/.npmrc", "secret");
        symlink("../.ssh/id_ed25519", home.join(".nvm/escape")).expect("a link");
        for name in ["victim", "moved"] {
            write(place.path(), name, "untouched");
            user.own(&place.path().join(name));
        }
        user.own(&home);
        for name in ["own", "other"] {
            let project = projects.join(name);
            std::fs::create_dir(&project).expect("directory");
            write(&project, "file", name);
            user.own(&project);
            for args in [&["init", "-q"][..], &["add", "."], &["commit", "-q", "-m", name]] {
                let mut git = crate::support::oracle::git();
                place.isolate(&mut git);
                user.start(&mut git);
                succeed(git.arg("-C").arg(&project).args(args));
            }
        }
        for (name, from) in [("x", "own"), ("other", "other")] {
            succeed(start(&place, user).args(["create", name, "--from"]).arg(projects.join(from)));
        }
        let root = place.root();
        let pools = ["x", "other"].map(|name| {
            let record = std::fs::read_to_string(root.join("state/local").join(name).join("workspace.toml"));
            let record: toml::Table = record.expect("a record").parse().expect("TOML");
            root.join("pools").join(format!("{}.git", record["pool"].as_str().expect("a pool")))
        });
        std::fs::create_dir_all(root.join("homes/local/other/home")).expect("directory");
        write(&root, "homes/local/other/home/file", "other's");
        user.own(&root.join("homes/local/other"));
        suid(&place.path().join("tools/id"), user);

        let mut process = Command::new("sleep");
        place.isolate(&mut process);
        user.start(&mut process);
        let process = process.arg("1000").env(PLANTED.0, PLANTED.1).stdin(Stdio::null()).spawn().expect("sleep starts");
        let sockets = ["docker.sock", "agent.sock"].map(|name| {
            let path = place.path().join(name);
            let listener = UnixListener::bind(&path).expect("a socket");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("mode");
            listener
        });
        let abstract_name = format!("stead-test-{}-{}", std::process::id(), process.id());
        let address = SocketAddr::from_abstract_name(&abstract_name).expect("a name");
        let [docker, agent] = sockets;
        let unix = [docker, agent, UnixListener::bind_addr(&address).expect("a socket")];
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let terminal = native_pty_system().openpty(PtySize::default()).expect("a terminal");
        let terminal_path = terminal.master.tty_name().expect("a name");
        chown(&terminal_path, Some(user.number()), None).expect("owner");
        // For everybody to read and write, as its owner is who runs the tests.
        let segment = call(libc::SYS_shmget, [libc::IPC_PRIVATE.into(), 4096.into(), 0o666.into()]).expect("a segment");
        let told = Told {
            root,
            home,
            tree: place.tree("x"),
            pools,
            address: writable_address(process.id()),
            process: i32::try_from(process.id()).expect("small"),
            tcp: tcp.local_addr().expect("an address").port(),
            udp: udp.local_addr().expect("an address").port(),
            abstract_name,
            terminal: terminal_path,
            queue: queue(segment),
            segment,
            namespaces: super::own::namespaces(),
            uid: user.number(),
            net: true,
            place: place.path().to_owned(),
        };
        Self { place, user, told, process, _listeners: (tcp, udp, unix), _terminal: terminal }
    }

    /// Runs the probe in workspace `x`; returns how its attempts ended.
    pub(super) fn probe(&self, wall: &str, options: &[&str]) -> Vec<End> {
        let told = super::Told::Attempt::<&Told, &Told>(&self.told);
        let told = serde_json::to_string(&told).expect("plain data");
        // What is read on stdin is opened for reading only, and one more descriptor is not closed.
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$@\" < ../victim 7< /", "sh"]);
        let mut stead = start(&self.place, self.user);
        stead.args(["exec", "x", "--isolation", wall, "--env", &format!("{PROBE}={told}")]).args(options);
        stead.arg("--").arg(self.place.path().join("tools/it"));
        stead.args(["--exact", "sandbox::the_probe", "--nocapture", "--test-threads=1"]);
        shell.arg(stead.get_program()).args(stead.get_args());
        shell.env_clear().envs(stead.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env(PLANTED.0, PLANTED.1).env("SSH_AUTH_SOCK", self.place.path().join("agent.sock"));
        shell.current_dir(stead.get_current_dir().expect("a directory"));
        self.user.start(&mut shell);
        let output = shell.output().expect("a shell");
        assert_eq!(output.status.code(), Some(0), "{wall}: {}", describe(&output));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let lines = text.lines().filter_map(|line| line.strip_prefix("row "));
        lines.map(|line| serde_json::from_str(line).expect("an end")).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(call(libc::SYS_shmctl, [Given::Number(self.told.segment), libc::IPC_RMID.into(), 0.into()]));
        let mut queue = format!("{}\0", self.told.queue).into_bytes();
        drop(call(libc::SYS_mq_unlink, [queue.as_mut_slice().into()]));
    }
}

/// Makes a queue of messages that everybody may read; `number` is nobody else's.
fn queue(number: i64) -> String {
    let name = format!("stead-test-{number}");
    let mut bytes = format!("{name}\0").into_bytes();
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    let queue = call(libc::SYS_mq_open, [bytes.as_mut_slice().into(), flags.into(), 0o644.into(), 0.into()]);
    call(libc::SYS_close, [Given::Number(queue.expect("a queue"))]).expect("closed");
    name
}

/// Makes a place that is `user`'s, with stead and the probe where the user and every run can read them.
pub(super) fn ready(user: User) -> Place {
    let place = Place::new();
    equip(&place, user);
    place
}

/// Makes a place `user`'s own, and puts stead and the probe in it.
pub(super) fn equip(place: &Place, user: User) {
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).expect("mode");
    user.own(place.path());
    let tools = place.path().join("tools");
    // Not the user's: links to files of whoever runs the tests are in it.
    std::fs::create_dir(&tools).expect("directory");
    let own = std::env::current_exe().expect("a path");
    for (name, from) in [("stead", Path::new(env!("CARGO_BIN_EXE_stead"))), ("it", own.as_path())] {
        if std::fs::hard_link(from, tools.join(name)).is_err() {
            std::fs::copy(from, tools.join(name)).expect("copied");
        }
    }
    let read = toml::Value::from(tools.to_str().expect("UTF-8"));
    write(&place.home(), ".config/stead/config.toml", format!("[exec]\nread = [{read}]\n"));
    user.own(&place.home());
}

/// Returns `stead` as `user` in `place`.
pub(super) fn start(place: &Place, user: User) -> Command {
    let mut command = Command::new(place.path().join("tools/stead"));
    place.isolate(&mut command);
    // Of whoever runs the tests the PATH may lead into a home.
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("STEAD_ROOT", place.root());
    command.current_dir(place.path().join("projects"));
    user.start(&mut command);
    command
}

/// Puts a program that tells whose power it has, and takes its owner's where the tests can make it so.
fn suid(path: &Path, user: User) {
    assert!(Command::new("cp").arg("/usr/bin/id").arg(path).status().expect("cp starts").success());
    let mode = if let User::Other(_) = user { 0o4755 } else { 0o755 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("mode");
}

/// Returns an address in a process that it may write to.
fn writable_address(process: u32) -> u64 {
    // Until then it is not yet what it is to be.
    let stat = || std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
    while !stat().contains(") S ") {
        std::thread::yield_now();
    }
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).expect("maps");
    let line = maps.lines().find(|line| line.contains(" rw-p ")).expect("a writable mapping");
    u64::from_str_radix(line.split('-').next().expect("a start"), 16).expect("in hex")
}

/// Writes what the probe found, one line for each row, past what the test harness says.
pub(super) fn print(lines: impl Iterator<Item = String>) {
    let mut out = std::io::stdout().lock();
    writeln!(out).expect("stdout");
    for line in lines {
        writeln!(out, "row {line}").expect("stdout");
    }
    out.flush().expect("stdout");
}
