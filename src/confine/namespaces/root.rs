//! The root that a run sees: empty, then what the policy allows is put where it is on the host.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use crate::confine::etc;
use crate::confine::policy::{Cache, Policy};
use crate::confine::terminal;
use crate::sys;

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// What of the process table tells of the host, or lets uid 0 change it; the table itself is read-only.
const HIDDEN_PROC: [&str; 17] = [
    "acpi",
    "asound",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "sched_debug",
    "scsi",
    "slabinfo",
    "sysrq-trigger",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
];

/// What is put somewhere: a mount that is nowhere yet.
struct Detached {
    mount: OwnedFd,
    is_directory: bool,
}

/// Builds the root of this process's mount namespace, and leaves the host's.
pub(super) fn build(policy: &Policy) -> io::Result<()> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    // Everything is opened while paths still mean the host's.
    let mut mounts: BTreeMap<PathBuf, Detached> = BTreeMap::new();
    let mut links: Vec<(PathBuf, PathBuf)> = Vec::new();
    for place in &policy.read {
        let path = place.as_ref();
        match top_link(path) {
            Some(target) => links.push((path.into(), target)),
            None => drop(bind(path, path, Access::Read, &mut mounts).map_err(named(path))?),
        }
    }
    if let Some(resolver) = etc::resolver() {
        bind(&resolver, &resolver, Access::Read, &mut mounts).map_err(named(&resolver))?;
    }
    for device in DEVICES {
        let path = Path::new("/dev").join(device);
        bind(&path, &path, Access::Device, &mut mounts).map_err(named(&path))?;
    }
    if let Some(terminal) = terminal::name() {
        bind(&terminal, Path::new("/dev/console"), Access::Device, &mut mounts).map_err(named(&terminal))?;
    }
    for socket in &policy.sockets {
        bind(socket.as_ref(), socket.as_ref(), Access::Write, &mut mounts).map_err(named(socket.as_ref()))?;
    }
    for path in ["/run", "/dev/shm"] {
        mounts.insert(path.into(), Detached { mount: memory("1777")?, is_directory: true });
    }
    mounts.insert("/dev/pts".into(), Detached { mount: terminals()?, is_directory: true });
    mounts.insert("/proc".into(), Detached { mount: process_table()?, is_directory: true });
    if let Some(temporary) = &policy.temporary {
        for at in [temporary.at.as_ref(), Path::new("/var/tmp")] {
            required(temporary.from.as_ref(), at, &mut mounts)?;
        }
    }
    if let Some(home) = &policy.home {
        required(home.from.as_ref(), home.at.as_ref(), &mut mounts)?;
    }
    for cache in &policy.caches {
        cached(cache, &mut mounts).map_err(named(cache.at.as_ref()))?;
    }
    for place in &policy.write {
        required(place.as_ref(), place.as_ref(), &mut mounts)?;
    }
    let hidden: Vec<PathBuf> =
        etc::secrets().iter().cloned().chain(policy.hidden.iter().map(|place| place.as_ref().into())).collect();

    let root = memory("0755")?;
    rustix::mount::move_mount(root.as_fd(), "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    for (at, detached) in &mounts {
        put(&root, at, detached).map_err(named(at))?;
    }
    for (at, target) in &links {
        let name = at.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        rustix::fs::symlinkat(target, &root, name)?;
    }
    rustix::fs::symlinkat("pts/ptmx", &root, "dev/ptmx")?;
    for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        rustix::fs::symlinkat(target, &root, Path::new("dev").join(name))?;
    }
    hide(&root, &hidden)?;

    rustix::process::fchdir(&root)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    sys::set_mount_flags(root.as_fd(), u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits()), false)
}

/// Returns a new process table, of this process's namespace; read-only, as uid 0 may write to the kernel's settings in it.
pub(super) fn process_table() -> rustix::io::Result<OwnedFd> {
    let flags = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mount_new("proc", &[], flags)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    Device,
}

/// Takes what is at `from` for `at`; false when there is nothing.
fn bind(from: &Path, at: &Path, access: Access, mounts: &mut BTreeMap<PathBuf, Detached>) -> io::Result<bool> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    if access == Access::Write {
        flags |= OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    }
    let mount = match rustix::mount::open_tree(CWD, from, flags) {
        Ok(mount) => mount,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP) if access != Access::Write => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&mount)?.st_mode);
    if kind.is_symlink() {
        return Err(Errno::LOOP.into());
    }
    let attributes = match access {
        Access::Read => {
            MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV
        }
        Access::Write => MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
        Access::Device => MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    };
    sys::set_mount_flags(mount.as_fd(), attributes.bits().into(), true)?;
    mounts.insert(at.into(), Detached { mount, is_directory: kind.is_dir() });
    Ok(true)
}

fn required(from: &Path, at: &Path, mounts: &mut BTreeMap<PathBuf, Detached>) -> io::Result<()> {
    bind(from, at, Access::Write, mounts).map(drop).map_err(named(from))
}

/// Lays the run's own changes over a directory of the host; where that cannot be, the run starts with an empty one.
///
/// Where the changes are kept runs behind another wall may write as they like: no link is followed there.
fn cached(cache: &Cache, mounts: &mut BTreeMap<PathBuf, Detached>) -> io::Result<()> {
    let below = |directory: BorrowedFd<'_>, name: &Path| {
        match rustix::fs::mkdirat(directory, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(directory, name, flags, Mode::empty())
    };
    let changes = below(CWD, cache.changes.as_ref())?;
    let [upper, work] = [below(changes.as_fd(), "upper".as_ref())?, below(changes.as_fd(), "work".as_ref())?];
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let lower = rustix::fs::openat(CWD, cache.at.as_ref(), flags, Mode::empty())?;
    // By descriptor: in the options a colon parts directories.
    let [lower, upper_text, work] =
        [&lower, &upper, &work].map(|directory| OsString::from(format!("/proc/self/fd/{}", directory.as_raw_fd())));
    let options = [("lowerdir", &*lower), ("upperdir", &*upper_text), ("workdir", &*work)];
    let overlay = mount_new("overlay", &options, MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV);
    let mount = if let Ok(mount) = overlay {
        mount
    } else {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let mount = rustix::mount::open_tree(&upper, "", flags)?;
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        sys::set_mount_flags(mount.as_fd(), flags.bits().into(), false)?;
        mount
    };
    mounts.insert(cache.at.as_ref().into(), Detached { mount, is_directory: true });
    Ok(())
}

/// Returns a file system in memory.
fn memory(mode: &str) -> rustix::io::Result<OwnedFd> {
    mount_new(
        "tmpfs",
        &[("mode", OsStr::new(mode))],
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
    )
}

/// Returns terminals that are nobody else's.
fn terminals() -> rustix::io::Result<OwnedFd> {
    let options = [("ptmxmode", OsStr::new("0666")), ("mode", OsStr::new("0620"))];
    mount_new("devpts", &options, MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC)
}

fn mount_new(kind: &str, options: &[(&str, &OsStr)], flags: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(context.as_fd(), *key, *value)?;
    }
    if kind == "overlay" {
        rustix::mount::fsconfig_set_flag(context.as_fd(), "userxattr")?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)
}

/// Returns where a link at the top of the host leads, `/bin` for instance.
fn top_link(path: &Path) -> Option<PathBuf> {
    if path.components().count() != 2 {
        return None;
    }
    std::fs::read_link(path).ok()
}

fn put(root: &OwnedFd, at: &Path, detached: &Detached) -> io::Result<()> {
    let target = target(root, at, detached.is_directory)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(detached.mount.as_fd(), "", target.as_fd(), "", flags)?;
    Ok(())
}

/// Opens what is to be mounted over, below `root`, and makes it when it is missing. No link is followed, and what is in the
/// way is moved aside: on the way are directories that earlier runs could write to.
fn target(root: &OwnedFd, at: &Path, is_directory: bool) -> io::Result<OwnedFd> {
    let names: Vec<&OsStr> = at
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    let mut opened = root.try_clone()?;
    for (index, name) in names.iter().enumerate() {
        let wants_directory = is_directory || index + 1 < names.len();
        opened = step(&opened, name, wants_directory)?;
    }
    Ok(opened)
}

fn step(directory: &OwnedFd, name: &OsStr, wants_directory: bool) -> io::Result<OwnedFd> {
    let open = || rustix::fs::openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    match open() {
        Ok(opened) => {
            let kind = FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
            if !kind.is_symlink() && kind.is_dir() == wants_directory {
                return Ok(opened);
            }
            let mut aside = name.to_owned();
            aside.push(".aside");
            aside.push(crate::store::fs::temporary_name());
            rustix::fs::renameat(directory, name, directory, &aside)?;
        }
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    if wants_directory {
        rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o755))?;
    } else {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o644))?;
    }
    Ok(open()?)
}

/// Puts something empty over each path that is there.
fn hide(root: &OwnedFd, hidden: &[PathBuf]) -> io::Result<()> {
    // Nothing is in them, and their own user cannot open them either.
    rustix::fs::mkdirat(root, ".nothing", Mode::RWXU)?;
    let nothing = rustix::fs::openat(root, ".nothing", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::openat(&nothing, "file", flags, Mode::empty())?;
    rustix::fs::mkdirat(&nothing, "directory", Mode::empty())?;
    let of_proc = HIDDEN_PROC.iter().map(|name| Path::new("/proc").join(name));
    for path in hidden.iter().cloned().chain(of_proc) {
        let relative = path.strip_prefix("/").unwrap_or(&path);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(target) = rustix::fs::openat(root, relative, flags, Mode::empty()) else { continue };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&target)?.st_mode);
        if kind.is_symlink() {
            continue;
        }
        let name = if kind.is_dir() { "directory" } else { "file" };
        let mount = rustix::mount::open_tree(
            nothing.as_fd(),
            name,
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
        )?;
        sys::set_mount_flags(mount.as_fd(), MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into(), false)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(mount.as_fd(), "", target.as_fd(), "", flags)
            .map_err(|error| named(&path)(error.into()))?;
    }
    Ok(())
}

fn named(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    let path = path.to_owned();
    move |error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}
