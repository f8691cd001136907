//! How much a capture reads. What nobody had to write (holes, the same file under many names) is worth little, so that a
//! tree which takes no time to make takes none to look at.
//!
//! A budget that is spent names what is left instead of reading it. It stays in place and keeps the workspace from being
//! collected; where it was read before, the next capture goes on from there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::TopKind;
use crate::git::Oid;
use crate::git::repository::Access;
use crate::store::walk::{Attributes, Stamp};

/// Why something is named that was not looked at.
pub(super) const LATE: &str = "it takes too long to read all that is new";

/// So many new bytes of git directories are recorded in a capture.
const MAX_GITDIR: u64 = 512 << 20;
/// So many bytes are read for each that may be new: most of what is read is known, when the cache of the last capture is
/// gone.
const READS: u64 = 4;
/// So many bytes of holes are read.
const MAX_HOLES: u64 = 64 << 20;
/// Larger files leave a quarter of the budget to smaller ones: those are what people and agents write.
const LARGE: u64 = 1 << 20;
/// For who only looks, the processor's time of one thread, and the time in all, where a disk or others are slow.
const PROCESSOR: Duration = Duration::from_millis(1500);
const LONGEST: Duration = Duration::from_secs(8);

/// What captures have read so far of the budget of one command: the second is not to read what the first has passed by, or it
/// would seem to have come in between.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::git) struct Read {
    new: u64,
    read: u64,
    holes: u64,
    gitdir: u64,
}

pub(in crate::git) struct Budget {
    max_new: u64,
    new: AtomicU64,
    read: AtomicU64,
    holes: AtomicU64,
    gitdir: AtomicU64,
    /// When reading ends at the latest; somebody waits for it.
    deadline: Option<Instant>,
    /// What the thread that takes what is read had used of the processor when reading began, and has used since, in
    /// nanoseconds.
    began: Duration,
    taking: AtomicU64,
    /// Ids of files that are there under several names.
    links: Mutex<HashMap<(u64, Stamp), Oid>>,
}

impl Budget {
    /// Returns the budget of a capture in a command that has read `read` already.
    pub(in crate::git) fn new(max_new: u64, access: Access, read: Read) -> Self {
        Self {
            max_new,
            new: AtomicU64::new(read.new),
            read: AtomicU64::new(read.read),
            holes: AtomicU64::new(read.holes),
            gitdir: AtomicU64::new(read.gitdir),
            deadline: (access == Access::Read).then(|| Instant::now() + LONGEST),
            began: processor(),
            taking: AtomicU64::default(),
            links: Mutex::default(),
        }
    }

    pub(in crate::git) fn into_read(self) -> Read {
        Read {
            new: self.new.into_inner(),
            read: self.read.into_inner(),
            holes: self.holes.into_inner(),
            gitdir: self.gitdir.into_inner(),
        }
    }

    /// Notes what has been used by the thread that takes what is read: all others wait for it.
    pub(in crate::git) fn note_taking(&self) {
        let used = processor().saturating_sub(self.began).as_nanos();
        self.taking.store(u64::try_from(used).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns whether the time of this thread, of the one that takes what is read, or of all is over.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| {
            let taking = Duration::from_nanos(self.taking.load(Ordering::Relaxed));
            processor().max(taking) > PROCESSOR || Instant::now() > deadline
        })
    }

    /// Returns whether a file may be read, with `holes` bytes of it that are not on disk; one that `was_read` is hardly new.
    pub(super) fn admits(&self, kind: TopKind, size: u64, holes: u64, was_read: bool) -> bool {
        let (new, most) = self.counter(kind, size);
        (was_read || new.load(Ordering::Relaxed).saturating_add(size) <= most)
            && (was_read || holes == 0 || taken(&self.holes, holes, MAX_HOLES))
            && taken(&self.read, size, self.max_new.saturating_mul(READS))
    }

    /// Takes the bytes of a file that turned out to be new; `false` when others took the last ones meanwhile.
    pub(super) fn take(&self, kind: TopKind, size: u64) -> bool {
        let (new, most) = self.counter(kind, size);
        taken(new, size, most)
    }

    fn counter(&self, kind: TopKind, size: u64) -> (&AtomicU64, u64) {
        match kind {
            TopKind::Files if size > LARGE => (&self.new, self.max_new / 4 * 3),
            TopKind::Files => (&self.new, self.max_new),
            TopKind::GitDir => (&self.gitdir, MAX_GITDIR),
        }
    }

    /// Returns the id of a file that was read under another name.
    pub(super) fn linked(&self, attributes: &Attributes) -> Option<Oid> {
        if attributes.links < 2 {
            return None;
        }
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.get(&(attributes.inode, attributes.stamp)).copied()
    }

    pub(super) fn remember(&self, attributes: &Attributes, id: Oid) {
        if attributes.links > 1 {
            let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            links.insert((attributes.inode, attributes.stamp), id);
        }
    }
}

/// Returns what this thread has used of the processor.
fn processor() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Adds `more` unless it would be more than `most` then.
fn taken(counter: &AtomicU64, more: u64, most: u64) -> bool {
    let is_in = counter.fetch_add(more, Ordering::Relaxed).saturating_add(more) <= most;
    if !is_in {
        counter.fetch_sub(more, Ordering::Relaxed);
    }
    is_in
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: TopKind = TopKind::Files;

    fn budget(max_new: u64, access: Access) -> Budget {
        Budget::new(max_new, access, Read::default())
    }

    #[test]
    fn nothing_is_read_when_the_budget_is_spent() {
        let budget = budget(1000, Access::Write);
        assert!(budget.admits(FILES, 900, 0, false) && budget.take(FILES, 900));
        assert!(!budget.admits(FILES, 101, 0, false) && !budget.take(FILES, 101));
        assert!(budget.admits(FILES, 100, 0, false) && budget.take(FILES, 100));
        assert!(budget.admits(FILES, 900, 0, true));
        assert!(budget.admits(TopKind::GitDir, 1000, 0, false), "what `.git` holds is counted apart");
        let next = Budget::new(1000, Access::Write, budget.into_read());
        assert!(!next.admits(FILES, 1, 0, false), "nor by the next capture of the same command");
    }

    #[test]
    fn what_is_known_is_not_read_again_and_again() {
        let budget = budget(1000, Access::Write);
        assert_eq!((0..100).filter(|_| budget.admits(FILES, 100, 0, false)).count(), 40);
    }

    #[test]
    fn holes_are_worth_little() {
        let budget = budget(1 << 40, Access::Write);
        assert!(budget.admits(FILES, 1 << 30, MAX_HOLES, false) && !budget.admits(FILES, 1 << 20, 1, false));
        assert!(budget.admits(FILES, 1 << 30, 0, false));
    }

    #[test]
    fn large_files_leave_a_part_to_small_ones() {
        let budget = budget(8 << 20, Access::Write);
        assert!(budget.take(FILES, 6 << 20));
        assert!(!budget.admits(FILES, (1 << 20) + 1, 0, false) && budget.admits(FILES, 1 << 20, 0, false));
    }

    #[test]
    fn only_who_looks_is_in_a_hurry() {
        for (access, is_late) in [(Access::Read, true), (Access::Write, false)] {
            let mut budget = budget(1000, access);
            assert!(!budget.is_late());
            budget.deadline = budget.deadline.map(|_| Instant::now());
            std::thread::sleep(Duration::from_millis(1));
            assert_eq!(budget.is_late(), is_late);
        }
    }

    #[test]
    fn who_takes_what_is_read_may_be_the_slowest() {
        for (access, is_late) in [(Access::Read, true), (Access::Write, false)] {
            let budget = budget(1000, access);
            budget.note_taking();
            assert!(!budget.is_late());
            budget.taking.store(2 * 1_500_000_000, Ordering::Relaxed);
            assert_eq!(budget.is_late(), is_late);
        }
    }
}
