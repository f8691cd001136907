//! The landlock wall, for hosts without user namespaces: the same lists, held by Landlock, and what Landlock cannot hold by
//! seccomp. It cannot stop chmod, chown and utimes elsewhere, nor stat of any path.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::confine::etc;
use crate::confine::landlock::{AllowList, Enforced, Rights, Tcp};
use crate::confine::policy::Policy;
use crate::confine::privileges;
use crate::confine::seccomp::{self, Filter, Sockets};

/// Devices that every program may use.
const DEVICES: [&str; 9] = ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"];

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
        etc::secrets().into_iter().chain(policy.hidden.iter().map(|place| place.as_ref().to_owned())).collect();
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
    let private = policy.home.iter().chain(&policy.temporary).map(|private| private.from.as_ref());
    let caches = policy.caches.iter().map(|cache| cache.changes.as_ref());
    for path in private.chain(caches).chain(policy.write.iter().map(AsRef::as_ref)) {
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
    Filter::new(&seccomp::wall(sockets))?.enforce()
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
        let name = entry.file_name();
        allow_but(list, &path.join(OsStr::from_bytes(name.as_bytes())), hidden)?;
    }
    Ok(())
}
