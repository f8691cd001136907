//! Attempts on other processes and terminals, and what a run's own may do with each other.

use std::fs::{File, OpenOptions};
use std::io;
use std::process::{Command, Stdio};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Resource, Signal, WaitOptions};

use super::files::read;
use super::scene::Told;
use super::sys::{Given, call};
use super::table::{ACCES, Answer, NOENT, Open, PERM, ROFS, Row, SRCH, WORKS, row};

/// What is out of sight in namespaces, and out of the domain under Landlock.
fn kept(name: &'static str, attempt: fn(&Told) -> io::Result<()>, open: Open) -> Row {
    row(name, attempt, open, SRCH, PERM)
}

pub(super) fn rows() -> Vec<Row> {
    [looked_into(), signaled(), terminals(), inside()].into_iter().flatten().collect()
}

fn looked_into() -> Vec<Row> {
    fn of(told: &Told, what: &str) -> String {
        format!("/proc/{}/{what}", told.process)
    }
    let unseen = |name, attempt| row(name, attempt, Open::Traced, NOENT, ACCES);
    vec![
        unseen("the environment of a process outside is read", |told| {
            // What is shown is empty for who may not look.
            let shown = std::fs::read(of(told, "environ"))?;
            let planted = shown.split(|byte| *byte == 0).any(|entry| entry.starts_with(b"PLANTED_SECRET="));
            if planted { Ok(()) } else { Err(Errno::ACCESS.into()) }
        }),
        unseen("the memory of a process outside is opened", |told| {
            OpenOptions::new().write(true).open(of(told, "mem")).map(drop)
        }),
        unseen("the root of a process outside is gone through", |told| read(of(told, "root/etc/hostname"))),
        unseen("the directory of a process outside is gone through", |told| {
            std::fs::read_dir(of(told, "cwd")).map(drop)
        }),
        unseen("the files of a process outside are named", |told| std::fs::read_link(of(told, "fd/0")).map(drop)),
        row(
            "the root of the first process is gone through",
            |_| std::fs::read_dir("/proc/1/root/").map(drop),
            Open::NoWall,
            Answer::Refused(&[Errno::ACCESS, Errno::PERM]),
            ACCES,
        ),
        row("the environment of the first process is read", |_| read("/proc/1/environ"), Open::NoWall, ACCES, ACCES),
        kept(
            "a process outside is traced",
            |told| {
                // `PTRACE_SEIZE`, which does not stop it.
                call(libc::SYS_ptrace, [0x4206.into(), told.process.into(), 0.into(), 0.into()])?;
                Err(io::Error::other("it ends with this process"))
            },
            Open::NoWall,
        ),
        kept("the memory of a process outside is read", |told| vectors(libc::SYS_process_vm_readv, told), Open::Traced),
        kept(
            "the memory of a process outside is written",
            |told| vectors(libc::SYS_process_vm_writev, told),
            Open::Traced,
        ),
        kept(
            "a file of a process outside is taken",
            |told| {
                let process = rustix::process::pidfd_open(outside(told), PidfdFlags::empty())?;
                Ok(rustix::process::pidfd_getfd(process, 0, PidfdGetfdFlags::empty()).map(drop)?)
            },
            Open::Traced,
        ),
        row("how a process outside was called is seen", |told| read(of(told, "cmdline")), Open::Works, NOENT, WORKS),
    ]
}

fn signaled() -> Vec<Row> {
    // Ignored unless somebody listens.
    const HARMLESS: Signal = Signal::URG;
    const SCOPED: Answer = Answer::Scoped(&[Errno::PERM]);
    vec![
        row(
            "a signal is sent to a process outside",
            |told| Ok(rustix::process::kill_process(outside(told), HARMLESS)?),
            Open::Works,
            SRCH,
            SCOPED,
        ),
        row(
            "a signal is sent to a process outside by its descriptor",
            |told| {
                let process = rustix::process::pidfd_open(outside(told), PidfdFlags::empty())?;
                Ok(rustix::process::pidfd_send_signal(process, HARMLESS)?)
            },
            Open::Works,
            SRCH,
            SCOPED,
        ),
        row(
            "a signal is sent to the first process",
            |_| Ok(rustix::process::kill_process(Pid::INIT, HARMLESS)?),
            Open::Root,
            SCOPED,
            Answer::Refused(&[Errno::PERM]),
        ),
        kept(
            "the limits of a process outside are set",
            |told| {
                let limit = rustix::process::getrlimit(Resource::Core);
                let limit = rustix::process::Rlimit { current: Some(0), ..limit };
                Ok(rustix::process::prlimit(Some(outside(told)), Resource::Core, limit).map(drop)?)
            },
            Open::Works,
        ),
        row(
            "the priority of a process outside is lowered",
            |told| Ok(rustix::process::setpriority_process(Some(outside(told)), 1)?),
            Open::Works,
            SRCH,
            Answer::Open,
        ),
        row(
            "memory that is shared by number is attached",
            |told| {
                // For reading only.
                let at = call(libc::SYS_shmat, [Given::Number(told.segment), 0.into(), 0o10_000.into()])?;
                call(libc::SYS_shmdt, [Given::Number(at)]).map(drop)
            },
            Open::Works,
            Answer::Refused(&[Errno::INVAL]),
            WORKS,
        ),
        row(
            "a queue of messages that has a name is opened",
            |told| {
                let mut name = format!("{}\0", told.queue).into_bytes();
                let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_CLOEXEC;
                call(libc::SYS_mq_open, [name.as_mut_slice().into(), flags.into(), 0.into(), 0.into()]).map(drop)
            },
            Open::Works,
            NOENT,
            ACCES,
        ),
        row(
            "a queue of messages is removed",
            // None has this name.
            |_| call(libc::SYS_mq_unlink, [b"stead-test-none\0".to_owned().as_mut_slice().into()]).map(drop),
            Open::Says(&[Errno::NOENT]),
            NOENT,
            ACCES,
        ),
    ]
}

fn terminals() -> Vec<Row> {
    vec![
        row(
            "another terminal is read",
            |told| {
                let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
                Ok(rustix::fs::open(&told.terminal, flags, rustix::fs::Mode::empty()).map(drop)?)
            },
            Open::Works,
            NOENT,
            ACCES,
        ),
        row(
            "another terminal is written to",
            |told| OpenOptions::new().write(true).open(&told.terminal).map(drop),
            Open::Works,
            NOENT,
            ACCES,
        ),
        row(
            "a terminal of one's own is made",
            |_| {
                let pair = native_pty_system().openpty(PtySize::default()).map_err(io::Error::other);
                let pair = pair.map_err(|_| io::Error::from(Errno::ACCESS))?;
                let mut child = pair.slave.spawn_command(CommandBuilder::new("true")).map_err(io::Error::other)?;
                if child.wait()?.success() { Ok(()) } else { Err(io::Error::other("`true` failed")) }
            },
            Open::Works,
            WORKS,
            ACCES,
        ),
    ]
}

fn inside() -> Vec<Row> {
    vec![
        row(
            "threads and programs start",
            |_| {
                let status = std::thread::spawn(|| Command::new("true").status()).join().expect("it does not panic")?;
                if status.success() { Ok(()) } else { Err(io::Error::other("`true` failed")) }
            },
            Open::Works,
            WORKS,
            WORKS,
        ),
        row("a process of the run is traced and read", traced, Open::Traced, WORKS, WORKS),
        row(
            "a process of the run is signaled",
            |_| {
                let mut child = Command::new("sleep").arg("1000").spawn()?;
                child.kill()?;
                child.wait().map(drop)
            },
            Open::Works,
            WORKS,
            WORKS,
        ),
        row(
            "the first process's settings are written",
            |_| OpenOptions::new().write(true).open("/proc/1/oom_score_adj").map(drop),
            Open::BareRoot,
            Answer::Refused(&[Errno::ROFS, Errno::ACCESS]),
            ACCES,
        ),
        row(
            "one's own process table is written",
            |_| OpenOptions::new().write(true).open("/proc/self/comm").map(drop),
            Open::Works,
            ROFS,
            ACCES,
        ),
        row(
            "git commits",
            |told| {
                let output = Command::new("git")
                    .args([
                        "-c",
                        "user.name=n",
                        "-c",
                        "user.email=m",
                        "commit",
                        "-q",
                        "--allow-empty",
                        "-m",
                        "made inside",
                    ])
                    .current_dir(&told.tree)
                    .output()?;
                if output.status.success() {
                    Ok(())
                } else {
                    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
                }
            },
            Open::Works,
            WORKS,
            WORKS,
        ),
    ]
}

fn outside(told: &Told) -> Pid {
    Pid::from_raw(told.process).expect("a process")
}

/// Reads, or writes, one byte of a process outside.
fn vectors(number: i64, told: &Told) -> io::Result<()> {
    let mut byte = [0_u8; 1];
    let here = byte.as_mut_ptr().expose_provenance() as u64;
    let vector = |address: u64| [address.to_ne_bytes(), 1_u64.to_ne_bytes()].concat();
    let (mut here, mut there) = (vector(here), vector(told.address));
    call(
        number,
        [told.process.into(), here.as_mut_slice().into(), 1.into(), there.as_mut_slice().into(), 1.into(), 0.into()],
    )
    .map(drop)
}

/// Attaches to a child, reads its memory and lets go: what a debugger and a leak checker do.
fn traced(_: &Told) -> io::Result<()> {
    let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn()?;
    let number = i32::try_from(child.id()).map_err(io::Error::other)?;
    let end = (|| {
        // Until then it is not yet what it is to be.
        let stat = || std::fs::read_to_string(format!("/proc/{number}/stat"));
        while !stat()?.contains(") S ") {
            std::thread::yield_now();
        }
        let maps = std::fs::read_to_string(format!("/proc/{number}/maps"))?;
        let start = maps.split('-').next().and_then(|start| i64::from_str_radix(start, 16).ok());
        let start = start.ok_or_else(|| io::Error::other("no mapping"))?;
        // `PTRACE_ATTACH`, `PTRACE_PEEKTEXT`, `PTRACE_DETACH`.
        call(libc::SYS_ptrace, [16.into(), number.into(), 0.into(), 0.into()])?;
        rustix::process::waitpid(Pid::from_raw(number), WaitOptions::UNTRACED)?;
        let mut word = [0; 8];
        call(libc::SYS_ptrace, [1.into(), number.into(), Given::Number(start), word.as_mut_slice().into()])?;
        if &word[..4] != b"\x7fELF" {
            return Err(io::Error::other(format!("read {word:?}")));
        }
        File::open(format!("/proc/{number}/mem")).map(drop)?;
        call(libc::SYS_ptrace, [17.into(), number.into(), 0.into(), 0.into()]).map(drop)
    })();
    child.kill()?;
    child.wait()?;
    end
}
