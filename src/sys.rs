//! The only `unsafe` of the program: one call per function, each with the argument why it holds.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

/// Has `action` run in the new process between fork and exec.
///
/// The action must be safe there: system calls on what was captured before, no allocation, no locks.
pub(crate) fn before_exec(command: &mut Command, action: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    // SAFETY: the callers, all in `confine::spawn`, only make direct system calls on values made before the fork, and
    // neither allocate nor take a lock.
    unsafe { command.pre_exec(action) };
}

/// Sets what a signal does to its default.
pub(crate) fn default_signal(signal: i32) {
    // SAFETY: `SIG_DFL` installs no code; a number that is no signal is an error, which means that there is nothing to do.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Ignores a signal in this process.
pub(crate) fn ignore_signal(signal: i32) {
    // SAFETY: `SIG_IGN` installs no code.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Marks every descriptor from `first` on as close-on-exec.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: only flags of descriptors change, none is closed here, and no memory is passed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How a child was found by [`wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Ended with this code.
    Exited(i32),
    /// Ended by this signal.
    Signaled(i32),
    Stopped,
    Continued,
}

/// What a process has used, the children that it waited for included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Used {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    /// Bytes.
    pub(crate) peak_memory: u64,
}

/// Collects the next event of any child without waiting; `None` when there is none now. No children at all is `ECHILD`.
pub(crate) fn wait() -> io::Result<Option<(u32, Waited, Used)>> {
    let mut status = 0;
    // SAFETY: all fields are integers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let options = libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED;
    // SAFETY: both pointers are to live locals of the types that the call expects.
    let pid = unsafe { libc::wait4(-1, &raw mut status, options, &raw mut usage) };
    let Ok(pid) = u32::try_from(pid) else { return Err(io::Error::last_os_error()) };
    if pid == 0 {
        return Ok(None);
    }
    Ok(Some((pid, waited(status), Used::read(&usage))))
}

/// Returns what this process and the children that it has waited for have used.
pub(crate) fn used() -> Used {
    let mut all = Used::default();
    for who in [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN] {
        // SAFETY: all fields are integers, for which zero is a value, and the pointer is to a live local.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(who, &raw mut usage);
            usage
        };
        all.add(Used::read(&usage));
    }
    all
}

impl Used {
    /// Adds what another process has used.
    pub(crate) fn add(&mut self, other: Self) {
        self.user += other.user;
        self.system += other.system;
        self.peak_memory = self.peak_memory.max(other.peak_memory);
    }

    fn read(usage: &libc::rusage) -> Self {
        let time = |time: libc::timeval| {
            Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_usec).unwrap_or(0) * 1000)
        };
        // Linux counts in kibibytes.
        let peak_memory = u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024;
        Self { user: time(usage.ru_utime), system: time(usage.ru_stime), peak_memory }
    }
}

fn waited(status: i32) -> Waited {
    if libc::WIFEXITED(status) {
        Waited::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSTOPPED(status) {
        Waited::Stopped
    } else if libc::WIFCONTINUED(status) {
        Waited::Continued
    } else {
        Waited::Signaled(libc::WTERMSIG(status))
    }
}

/// Returns a view of a descriptor by its number.
pub(crate) fn inherited(number: i32) -> BorrowedFd<'static> {
    // SAFETY: the numbers are those that `confine::spawn` hands from one stead to the next, which keeps them open for as long
    // as it lives; what is not open is answered with an error by the kernel.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Returns whether this process ignores a signal.
pub(crate) fn ignores_signal(signal: i32) -> bool {
    // SAFETY: a structure of integers, a set and an optional pointer, for all of which zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: only asks; the pointer is to a live local of the type that the call expects.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Maps a file of a pool into memory.
pub(crate) fn map(file: &std::fs::File) -> io::Result<memmap2::Mmap> {
    // SAFETY: a pack and its index get their names when they are whole, and are never written to or cut short then; nobody
    // but this program and its user can reach them.
    unsafe { memmap2::Mmap::map(file) }
}

/// Moves this thread into new namespaces.
pub(crate) fn unshare(flags: rustix::thread::UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: only `UnshareFlags::FILES` parts descriptors from what believes to own them; nobody passes it.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Returns whether somebody has a file open for writing; `file` must be open for reading only. False where that cannot be
/// asked (another's file, a file system of the network).
pub(crate) fn has_writers(file: BorrowedFd<'_>) -> bool {
    use std::os::fd::AsRawFd as _;
    // Linux's number; whoever opens the file while it is asked makes a signal, which would otherwise be one that kills.
    const F_SETSIG: i32 = 10;
    // SAFETY: takes numbers alone; the signal is one that is ignored unless somebody listens.
    unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) };
    // SAFETY: takes numbers alone. A read lease is granted only while nobody has the file open for writing.
    let taken = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) };
    if taken != 0 {
        return io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN);
    }
    // SAFETY: as above; it was only asked for, and nobody is to be kept waiting for it.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    false
}

/// Registers a transport with libgit2.
pub(crate) fn register_transport<F>(prefix: &str, factory: F) -> Result<(), git2::Error>
where
    F: Fn(&git2::Remote<'_>) -> Result<git2::transport::Transport, git2::Error> + Send + Sync + 'static,
{
    // SAFETY: it must not run beside a look-up of transports. `git::transport` is the only module that opens remotes, and
    // passes through the once-only registration before it does.
    unsafe { git2::transport::register(prefix, factory) }
}

/// Returns the version of Landlock that the kernel has; `None` when it has none or it is off.
pub(crate) fn landlock_abi() -> Option<u32> {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call reads no memory and only returns a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0usize, VERSION) };
    u32::try_from(version).ok().filter(|&version| version > 0)
}

/// Has libgit2 look nowhere for the configuration of the user and of the system.
pub(crate) fn forget_user_git_configuration() -> Result<(), git2::Error> {
    use git2::ConfigLevel::{Global, ProgramData, System, XDG};
    for level in [ProgramData, System, XDG, Global] {
        // SAFETY: it must not run beside anything else of libgit2. Its one caller is the start of the program, which has
        // one thread.
        unsafe { git2::opts::set_search_path(level, "")? };
    }
    Ok(())
}

/// Makes a copy of this process, which must have one thread; `None` in the copy.
pub(crate) fn fork() -> io::Result<Option<u32>> {
    // SAFETY: with one thread nobody else holds a lock or is half-way through anything when memory is copied. The callers are
    // the processes that build a wall, and the probe, which makes nothing but system calls in the copy.
    let pid = unsafe { libc::fork() };
    match u32::try_from(pid) {
        Ok(0) => Ok(None),
        Ok(pid) => Ok(Some(pid)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Ends this process at once, without destructors: for a copy that [`fork`] made.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: nothing of this process runs afterwards.
    unsafe { libc::_exit(code) }
}

/// Waits for the next event of any child, or of the one named; no children is `ECHILD`.
pub(crate) fn wait_for(child: Option<u32>) -> io::Result<(u32, Waited)> {
    let mut status = 0;
    let child = child.map_or(-1, u32::cast_signed);
    // SAFETY: the pointer is to a live local of the type that the call expects.
    let pid = unsafe { libc::waitpid(child, &raw mut status, libc::WUNTRACED | libc::WCONTINUED) };
    match u32::try_from(pid) {
        Ok(pid) => Ok((pid, waited(status))),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Blocks all signals that can be blocked, or none.
pub(crate) fn block_signals(all_of_them: bool) {
    // SAFETY: a set of integers, for which zero is a value; both pointers are to it or null.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        if all_of_them {
            libc::sigfillset(&raw mut all);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
    }
}

/// Sets flags (`MOUNT_ATTR_*`) of a detached or attached mount, and with `all` of those below it.
pub(crate) fn set_mount_flags(mount: BorrowedFd<'_>, flags: u64, all: bool) -> io::Result<()> {
    // `struct mount_attr` of `linux/mount.h`: set, clear, propagation, user namespace.
    let attributes: [u64; 4] = [flags, 0, 0, 0];
    let at = libc::AT_EMPTY_PATH | if all { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty text, and the structure a live local whose size is told.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            at,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Brings the loopback interface of this thread's network namespace up.
pub(crate) fn bring_loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: a name and a union of integers and pointers, for all of which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).map_err(io::Error::other)?;
    // SAFETY: the request takes a pointer to this structure, and only reads it.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
