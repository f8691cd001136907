//! Limits that the supervisor looks after itself: the memory and the processes of the whole run where no cgroup does, and
//! what is free on the disk.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::confine::cgroup::Cgroup;
use crate::run::limits::{Bound, Limits};
use crate::run::live;
use crate::run::supervise::{Ended, Outcome, Request, Stop};

/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(100);
/// Looking takes at most one part in so many of a processor.
const SHARE: u32 = 20;

pub(super) struct Watch {
    memory: Option<u64>,
    pids: Option<u64>,
    disk_free: Option<u64>,
    disk: PathBuf,
    next: Instant,
    /// The most bytes that the run was seen to have.
    pub(super) peak_memory: u64,
}

impl Watch {
    /// Returns what looks after `limits`; `by_kernel` says that a cgroup keeps those of memory and processes.
    pub(super) fn new(limits: &Limits, by_kernel: bool, disk: &Path) -> Self {
        let watched = |limit: Option<u64>| limit.filter(|_| !by_kernel);
        Self {
            memory: watched(limits.memory),
            pids: watched(limits.pids),
            disk_free: limits.disk_free,
            disk: disk.to_owned(),
            next: Instant::now(),
            peak_memory: 0,
        }
    }

    /// Returns when to look next; `None` when there is nothing to look after.
    pub(super) fn next(&self) -> Option<Instant> {
        (self.memory.is_some() || self.pids.is_some() || self.disk_free.is_some()).then_some(self.next)
    }

    /// Looks, if it is time, and returns the limit that the run is over.
    pub(super) fn look(&mut self, now: Instant) -> Option<Bound> {
        if self.next()? > now {
            return None;
        }
        let over = self.over();
        let end = Instant::now();
        self.next = end + PAUSE.max((end - now) * SHARE);
        over
    }

    fn over(&mut self) -> Option<Bound> {
        if self.disk_free.is_some_and(|floor| free(&self.disk).is_some_and(|free| free < floor)) {
            return Some(Bound::DiskFree);
        }
        if self.memory.is_none() && self.pids.is_none() {
            return None;
        }
        let own = std::process::id();
        let live = live::below(own);
        if self.pids.is_some_and(|pids| live.threads > pids) {
            return Some(Bound::Pids);
        }
        let limit = self.memory?;
        let mut memory = live.memory_bytes;
        if memory > limit {
            // What processes share was counted for each of them.
            memory = live::proportional_memory(own).unwrap_or(memory);
        }
        self.peak_memory = self.peak_memory.max(memory);
        (memory > limit).then_some(Bound::Memory)
    }
}

/// Returns the bytes that this user can still write on the file system of `path`.
pub(super) fn free(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Adds what is known when nothing of the run is alive; `room` is what was free before it.
pub(super) fn account(outcome: &mut Outcome, request: &Request, room: Option<u64>, cgroup: Option<&Cgroup>) {
    if let (Some(before), Some(after)) = (room, free(Path::new(&request.directory))) {
        outcome.disk_delta = before.cast_signed().saturating_sub(after.cast_signed());
    }
    if let Some(cgroup) = cgroup {
        outcome.peak_memory = cgroup.peak_memory().unwrap_or(outcome.peak_memory);
    }
    if outcome.stop.is_some() {
        return;
    }
    if cgroup.is_some_and(|cgroup| cgroup.killed_for_memory() > 0) {
        outcome.stop = Some(Stop::Limit(Bound::Memory));
    } else if request.limits.file_size.is_some() && matches!(outcome.ended, Ended::Signaled(libc::SIGXFSZ)) {
        outcome.stop = Some(Stop::Limit(Bound::FileSize));
    }
}
