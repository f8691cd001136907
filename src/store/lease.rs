//! Leases: an exclusive hold for as long as the value lives, kept by the kernel (`flock`) and freed when the holder dies.
//!
//! The file's content (the [`Holder`]) is for messages only; whether someone holds it is asked of the lock alone.
//! Lock order: a pool's lock is released before a lease is taken; no command waits for a second lock. A lease is never
//! upgraded from shared to exclusive (a failed upgrade drops the shared lock), its file is never unlinked (two holders
//! at once) and its descriptor is closed on exec (a child would keep it for longer than its owner).

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Kind, Result};

/// How long a lock that is held may still be on its way to being free: a process that ended a moment ago, or a child
/// between fork and exec.
const GRACE: Duration = Duration::from_millis(50);
/// How long lock probes of readers (see [`Lease::holder`]) are waited for; each lasts for microseconds.
const PROBES: Duration = Duration::from_secs(2);
/// The pause between two tries while only readers are in the way.
const GAP: Duration = Duration::from_micros(200);
/// The longest pause between two other tries.
const PAUSE: Duration = Duration::from_millis(40);

/// How long to wait for somebody else to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    No,
    For(Duration),
    Forever,
}

/// Who holds a lease, as they wrote it themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    /// Start of the process in clock ticks since boot, from `/proc/PID/stat`.
    pub(crate) start_time: u64,
    /// The subcommand, `exec` for instance.
    pub(crate) command: String,
    pub(crate) since: Timestamp,
}

#[must_use = "the lease ends when the value is dropped"]
#[derive(Debug)]
pub(crate) struct Lease {
    file: File,
}

impl Lease {
    /// Takes the lease at `path`, making the file when it is missing.
    ///
    /// `what` is the thing in messages (``workspace `fix-login` ``). Fails as busy, naming the holder.
    pub(crate) fn acquire(path: &Path, what: &str, command: &str, wait: Wait) -> Result<Self> {
        let patience = match wait {
            Wait::No => Some(GRACE),
            Wait::For(duration) => Some(duration.max(GRACE)),
            Wait::Forever => None,
        };
        Self::take(path, command, patience)?.ok_or_else(|| busy(path, what).into())
    }

    /// Takes the lease if nobody holds it.
    pub(crate) fn try_acquire(path: &Path, command: &str) -> Result<Option<Self>> {
        Self::take(path, command, Some(GRACE))
    }

    /// Returns who holds the lease at `path` now, without taking it for longer than the question; works on a
    /// read-only root.
    pub(crate) fn holder(path: &Path) -> Result<Option<Holder>> {
        let Some(file) = open(path, OpenOptions::new().read(true))? else { return Ok(None) };
        if try_shared(&file, path)? {
            return Ok(None);
        }
        // A new holder writes its name a moment after it has the lock.
        for _ in 0..20 {
            if let Some(holder) = Holder::read(&file) {
                return Ok(Some(holder));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Some(Holder { pid: 0, start_time: 0, command: String::new(), since: Timestamp::now() }))
    }

    /// Returns the descriptor that keeps the lease, for handing it on to the supervisor.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    fn take(path: &Path, command: &str, patience: Option<Duration>) -> Result<Option<Self>> {
        let file = open(path, OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600))?
            .with_context(|| format!("cannot make the lock `{}`", path.display()))?;
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if try_exclusive(&file, path)? {
                let mut lease = Self { file };
                lease.sign(command);
                return Ok(Some(lease));
            }
            let waited = start.elapsed();
            let over = patience.is_some_and(|patience| waited >= patience);
            // Only readers' probes leave room for a shared lock; they are not a holder.
            let only_probed = only_probed(path)?;
            if over && (waited >= PROBES.max(patience.unwrap_or_default()) || !only_probed) {
                return Ok(None);
            }
            if only_probed {
                // The gap between the probes of several readers is short, and on a busy host rare: it has to be looked for.
                std::thread::sleep(GAP);
            } else {
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSE);
            }
        }
    }

    /// Writes who holds it. A full disk must not keep anybody from cleaning up, so a failure only costs the name.
    pub(crate) fn sign(&mut self, command: &str) {
        let pid = std::process::id();
        let holder = Holder {
            pid,
            start_time: start_time(pid).unwrap_or(0),
            command: command.to_owned(),
            since: Timestamp::now(),
        };
        let text = toml::to_string(&holder).expect("a holder has only plain values");
        let file = &mut self.file;
        let _written: std::io::Result<()> = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)).map(drop))
            .and_then(|()| file.write_all(text.as_bytes()));
    }
}

impl Holder {
    fn read(mut file: &File) -> Option<Self> {
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).ok()?;
        file.take(4096).read_to_string(&mut text).ok()?;
        toml::from_str(&text).ok()
    }

    /// Returns the local time since when it is held: `14:02`, with the date when it is not today's.
    pub(crate) fn since_text(&self) -> String {
        let zone = TimeZone::system();
        let since = self.since.to_zoned(zone.clone());
        let today = Timestamp::now().to_zoned(zone).date();
        since.strftime(if since.date() == today { "%H:%M" } else { "%Y-%m-%d %H:%M" }).to_string()
    }
}

/// Returns the start of a process in clock ticks since boot; `None` when there is no such process.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything; the 22nd is the start.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn busy(path: &Path, what: &str) -> Failure {
    let holder = Lease::holder(path).ok().flatten().filter(|holder| holder.pid != 0);
    Failure::new(
        Kind::Busy,
        match holder {
            Some(holder) => format!(
                "{what} is in use by `{}` (process {}, since {})",
                holder.command,
                holder.pid,
                holder.since_text()
            ),
            None => format!("{what} is in use by another process"),
        },
    )
}

/// Opens a lock file (close-on-exec, as the standard library always does); `None` when it is missing.
fn open(path: &Path, options: &mut OpenOptions) -> Result<Option<File>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match options.custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot open the lock `{}`", path.display())),
    }
}

fn only_probed(path: &Path) -> Result<bool> {
    match open(path, OpenOptions::new().read(true))? {
        Some(probe) => try_shared(&probe, path),
        None => Ok(false),
    }
}

fn try_exclusive(file: &File, path: &Path) -> Result<bool> {
    answer(fs2::FileExt::try_lock_exclusive(file), path)
}

fn try_shared(file: &File, path: &Path) -> Result<bool> {
    answer(fs2::FileExt::try_lock_shared(file), path)
}

/// Returns whether a try to lock what is at `path` took the lock, or somebody else has it.
pub(super) fn answer(locked: std::io::Result<()>, path: &Path) -> Result<bool> {
    match locked {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot lock `{}`", path.display())),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make and break files by hand")]
mod tests {
    use super::*;

    #[test]
    fn a_second_lease_is_told_who_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lease::acquire(&path, "workspace `x`", "exec", Wait::No).unwrap();
        let error = Lease::acquire(&path, "workspace `x`", "rm", Wait::No).unwrap_err();
        let failure = Failure::of(&error).unwrap();
        assert_eq!(failure.kind, Kind::Busy);
        let since = Lease::holder(&path).unwrap().unwrap().since_text();
        assert_eq!(
            failure.message,
            format!("workspace `x` is in use by `exec` (process {}, since {since})", std::process::id())
        );
        let flags = rustix::io::fcntl_getfd(first.file()).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "a child would keep it");
        drop(first);
        // What another test starts has all descriptors until it is executed, this lock among them.
        let until = Instant::now() + Duration::from_mins(1);
        while Lease::holder(&path).unwrap().is_some() {
            assert!(Instant::now() < until, "nobody holds it");
            std::thread::yield_now();
        }
        drop(Lease::acquire(&path, "workspace `x`", "rm", Wait::No).unwrap());
        assert!(path.exists(), "a lock file is never unlinked");
    }

    #[test]
    fn a_waiting_lease_comes_when_the_first_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lease::acquire(&path, "x", "exec", Wait::No).unwrap();
        assert!(Lease::acquire(&path, "x", "rm", Wait::For(Duration::from_millis(80))).is_err());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Lease::acquire(&path, "x", "rm", Wait::Forever));
            drop(first);
            drop(waiting.join().unwrap().unwrap());
        });
    }

    #[test]
    fn a_readers_question_never_makes_a_lease_busy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        drop(Lease::acquire(&path, "x", "exec", Wait::No).unwrap());
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        Lease::holder(&path).unwrap();
                    }
                });
            }
            let free = (0..50).all(|_| Lease::try_acquire(&path, "exec").is_ok_and(|lease| lease.is_some()));
            // A failure before this would wait for the reader for ever.
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(free, "nobody holds it");
        });
    }

    #[test]
    fn a_missing_or_stale_lock_file_has_no_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(Lease::holder(&path).unwrap(), None);
        std::fs::write(&path, "pid = 1").unwrap();
        assert_eq!(Lease::holder(&path).unwrap(), None);
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        assert!(Lease::try_acquire(&dir.path().join("link"), "x").is_err());
    }

    #[test]
    fn the_start_of_this_process_is_known() {
        assert!(start_time(std::process::id()).unwrap() > 0);
    }
}
