//! The landlock wall, for hosts without user namespaces: the same lists, held by Landlock, and what Landlock cannot hold by
//! seccomp.
//!
//! It cannot stop chmod, chown, utimes and setxattr elsewhere, nor stat of any path, nor memory that processes of one user
//! share by System V's numbers; before version 6 of Landlock neither signals. `/dev/shm` is not the run's: what it made there
//! would be beside what others have.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Stat;

use crate::confine::etc;
use crate::confine::landlock::{AllowList, Enforced, Rights, Tcp};
use crate::confine::policy::Policy;
use crate::confine::privileges;
use crate::confine::seccomp::{self, Filter, Sockets};
use crate::confine::terminal;

/// Devices that every program may use.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Where terminals are; a rule for it is one for those that are made later too.
const TERMINALS: &str = "/dev/pts";

/// Returns why this host can have no such wall; `None` when it can.
pub(crate) fn missing() -> Option<String> {
    if !Enforced::possible().files() {
        return Some("the kernel has no Landlock, or it is off".into());
    }
    Filter::new(&seccomp::wall(Sockets { internet: true, named: true })).err().map(|error| error.to_string())
}

/// Holds this process, and all that it will be and start, to the policy.
pub(crate) fn confine(policy: &Policy) -> io::Result<()> {
    privileges::drop_all()?;
    let tcp = if policy.net { Tcp::All } else { Tcp::Ports { connect: Vec::new(), bind: Vec::new() } };
    let mut list = AllowList::new(&tcp)?;
    let hidden: Vec<PathBuf> =
        etc::secrets().iter().cloned().chain(policy.hidden.iter().map(|place| place.as_ref().to_owned())).collect();
    for place in &policy.read {
        allow_but(&mut list, place.as_ref(), &hidden)?;
    }
    if let Some(resolver) = etc::resolver() {
        list.allow_path(&resolver, Rights::Read)?;
    }
    list.allow_path(Path::new("/proc"), Rights::Read)?;
    for device in DEVICES {
        list.allow_path(&Path::new("/dev").join(device), Rights::Device)?;
    }
    let own = terminal::name();
    if let Some(terminal) = &own {
        list.allow_path(terminal, Rights::Device)?;
    }
    if !has_other_terminals(own.as_deref()) {
        for makes_terminals in ["/dev/ptmx", TERMINALS] {
            list.allow_path(Path::new(makes_terminals), Rights::Device)?;
        }
    }
    let private = policy.home.iter().chain(&policy.temporary).map(|private| private.from.as_ref());
    for path in private.chain(policy.write.iter().map(AsRef::as_ref)) {
        list.allow_path(path, Rights::Write)?;
    }
    for socket in &policy.sockets {
        list.allow_path(socket.as_ref(), Rights::Connect)?;
    }
    if !list.enforce()?.files() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel does not enforce Landlock"));
    }
    // A socket with a path is out of Landlock's reach, and one of a container engine is as good as root.
    let sockets = Sockets { internet: policy.net, named: !policy.sockets.is_empty() };
    Filter::new(&seccomp::alone(sockets, Enforced::possible()))?.enforce()
}

/// Returns whether a run behind this wall, started from here and now, can make terminals of its own.
pub(crate) fn gives_terminals() -> bool {
    !has_other_terminals(terminal::name().as_deref())
}

/// Returns whether the user can open a terminal that is not the run's: what is typed there could be read, passwords too.
fn has_other_terminals(own: Option<&Path>) -> bool {
    let (user, mut groups) = (rustix::process::geteuid().as_raw(), rustix::process::getgroups().unwrap_or_default());
    groups.push(rustix::process::getegid());
    let groups: Vec<u32> = groups.into_iter().map(rustix::process::Gid::as_raw).collect();
    let others = std::fs::read_dir(TERMINALS).into_iter().flatten().flatten().map(|entry| entry.path());
    others
        .filter(|path| Some(path.as_path()) != own && !path.ends_with("ptmx"))
        .any(|path| rustix::fs::lstat(&path).is_ok_and(|terminal| may_open(&terminal, user, &groups)))
}

/// Returns whether a user without capabilities can open a file; its owner can always come to that.
fn may_open(file: &Stat, user: u32, groups: &[u32]) -> bool {
    let bits = if groups.contains(&file.st_gid) { 0o060 } else { 0o006 };
    file.st_uid == user || file.st_mode & bits != 0
}

/// Allows a path without what is hidden below it.
fn allow_but(list: &mut AllowList, path: &Path, hidden: &[PathBuf]) -> io::Result<()> {
    if hidden.iter().any(|hidden| hidden == path) {
        return Ok(());
    }
    if !hidden.iter().any(|hidden| hidden.starts_with(path)) {
        return match list.allow_path(path, Rights::Read) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            result => result.map(drop),
        };
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        // A link needs no right of its own, and what it leads to is not below: it may be hidden.
        if entry.file_type().is_ok_and(|kind| !kind.is_symlink()) {
            allow_but(list, &entry.path(), hidden)?;
        }
    }
    Ok(())
}
