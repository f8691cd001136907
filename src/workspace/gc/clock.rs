//! Whether the clock can be believed. A wrong one must not empty the trash.
//!
//! Each `gc` leaves a mark of the wall clock beside the boot clock. A jump between the two, a clock that has gone
//! backwards, one that is far ahead after a boot, a stored time in the future, or no mark at all where something is to
//! be called old, makes the clock suspect, until a second run finds it going on from there.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::store::fs::{self, Durability};
use crate::store::root::{Root, read_small};

/// A difference that a correction of the clock by the network may make.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(10);
/// How long a machine may have been off without the clock being asked for a second time.
const OFF: SignedDuration = SignedDuration::from_hours(24);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    wall: Timestamp,
    boot: String,
    /// Seconds since boot, suspended time included.
    uptime: i64,
    suspect: bool,
}

/// The clock as this run finds it.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    now: Mark,
    last: Option<Mark>,
    jumped: bool,
    /// The latest stored time that is still to come.
    future: Option<Timestamp>,
    /// There is nothing to compare it with, and something hangs on it.
    first: bool,
}

impl Clock {
    /// Compares the clock with the mark of the last run.
    pub(super) fn read(root: &Root, wall: Timestamp) -> Result<Self> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
        let now = Mark { wall, boot, uptime, suspect: false };
        // A mark that cannot be read is as good as none.
        let last = read_small(&root.clock_mark())?.and_then(|text| toml::from_str(&text).ok());
        Ok(Self::of(now, last))
    }

    /// Takes note of a stored time.
    pub(super) fn see(&mut self, stored: Timestamp, now: Timestamp) {
        if stored.duration_since(now) > TOLERANCE {
            self.future = self.future.max(Some(stored));
        }
    }

    /// Takes note of whether anything is called old by it.
    pub(super) fn decides(&mut self, anything: bool) {
        self.first = anything && self.last.is_none();
    }

    /// Returns whether nothing may be called old in this run.
    pub(crate) fn is_suspect(&self) -> bool {
        let confirmed = !self.jumped && self.last.as_ref().is_some_and(|last| last.suspect);
        self.looks_wrong() && !confirmed
    }

    /// Returns what is wrong with it.
    pub(crate) fn reason(&self) -> Option<String> {
        match (self.is_suspect(), self.future) {
            (false, _) => None,
            (true, Some(future)) if !self.jumped => Some(format!("a stored time is in the future ({future:.0})")),
            (true, _) if !self.jumped => Some("there is no earlier run to compare the clock with".to_owned()),
            (true, _) => Some("the clock has jumped since the last run".to_owned()),
        }
    }

    pub(super) fn write(&self, root: &Root) -> Result<()> {
        let mark = Mark { suspect: self.looks_wrong(), ..self.now.clone() };
        let text = toml::to_string(&mark).expect("a mark has only plain values");
        fs::write_atomic(&root.clock_mark(), text.as_bytes(), Durability::Lazy)
    }

    fn of(now: Mark, last: Option<Mark>) -> Self {
        let jumped = last.as_ref().is_some_and(|last| {
            let wall = now.wall.duration_since(last.wall);
            if last.boot == now.boot {
                let expected = SignedDuration::from_secs(now.uptime - last.uptime);
                (wall - expected).abs() > TOLERANCE
            } else {
                wall < -TOLERANCE || wall - SignedDuration::from_secs(now.uptime) > OFF
            }
        });
        Self { now, last, jumped, future: None, first: false }
    }

    fn looks_wrong(&self) -> bool {
        self.jumped || self.future.is_some() || self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(wall: &str, boot: &str, uptime: i64, suspect: bool) -> Mark {
        Mark { wall: wall.parse().unwrap(), boot: boot.into(), uptime, suspect }
    }

    #[test]
    fn a_jump_is_believed_when_a_second_run_finds_the_clock_going_on() {
        let noon = mark("2026-01-01T12:00:00Z", "a", 1000, false);
        let one = mark("2026-01-01T13:00:00Z", "a", 4600, false);
        let far = mark("2027-01-01T12:00:00Z", "a", 4600, false);
        assert!(!Clock::of(noon.clone(), None).is_suspect());
        assert!(!Clock::of(one, Some(noon.clone())).is_suspect());
        let jumped = Clock::of(far.clone(), Some(noon.clone()));
        assert!(jumped.is_suspect());
        assert_eq!(jumped.reason().unwrap(), "the clock has jumped since the last run");
        let after = mark("2027-01-01T12:10:00Z", "a", 5200, false);
        let far = Mark { suspect: true, ..far };
        assert!(!Clock::of(after.clone(), Some(far)).is_suspect());
    }

    #[test]
    fn after_a_boot_the_clock_may_have_gone_on_for_as_long_as_a_machine_is_off() {
        let noon = mark("2026-01-01T12:00:00Z", "a", 1000, false);
        for (wall, uptime, suspect) in [
            ("2026-01-01T12:01:00Z", 50, false),
            ("2026-01-02T11:00:00Z", 50, false),
            ("2026-01-05T12:00:00Z", 4 * 86_400, false),
            ("2026-01-05T12:00:00Z", 50, true),
            ("2099-01-01T00:00:00Z", 50, true),
            ("2026-01-01T11:00:00Z", 50, true),
            ("1970-01-01T00:01:00Z", 50, true),
        ] {
            let clock = Clock::of(mark(wall, "b", uptime, false), Some(noon.clone()));
            assert_eq!(clock.is_suspect(), suspect, "{wall}");
        }
    }

    #[test]
    fn without_an_earlier_run_nothing_is_called_old() {
        let mut clock = Clock::of(mark("2026-01-01T12:00:00Z", "a", 1000, false), None);
        clock.decides(false);
        assert!(!clock.is_suspect());
        clock.decides(true);
        assert!(clock.is_suspect());
        assert_eq!(clock.reason().unwrap(), "there is no earlier run to compare the clock with");
    }

    #[test]
    fn a_stored_time_in_the_future_is_suspect_until_confirmed() {
        let now = mark("2026-01-01T12:00:00Z", "a", 1000, false);
        let mut clock = Clock::of(now.clone(), None);
        clock.see("2026-01-01T12:05:00Z".parse().unwrap(), now.wall);
        assert!(!clock.is_suspect());
        clock.see("2026-02-01T12:00:00Z".parse().unwrap(), now.wall);
        assert!(clock.is_suspect());
        assert!(clock.reason().unwrap().contains("2026-02-01"));
        let mut second = Clock::of(now.clone(), Some(Mark { suspect: true, ..now.clone() }));
        second.see("2026-02-01T12:00:00Z".parse().unwrap(), now.wall);
        assert!(!second.is_suspect());
    }
}
