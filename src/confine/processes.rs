//! Processes as `/proc` shows them: the descendants of one, those with a mark in their environment, and how to signal
//! them without ever meeting another process that got the same id.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

use crate::sys;

/// How long what was killed may take: the kernel lets a process go when it is done with what the process waits for, and on a
/// disk under load or a network file system that is late.
const LATE: Duration = Duration::from_mins(1);
/// How long it is tried when all that is left cannot be killed, being another user's.
const REFUSED: Duration = Duration::from_secs(5);

/// A process at the moment it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) group: u32,
    parent: u32,
    /// In clock ticks since boot; with the id it names one process for ever.
    start_time: u64,
    state: u8,
}

impl Process {
    /// Reads `/proc/ID/stat`; `None` when there is no such process.
    pub(crate) fn read(id: u32) -> Option<Self> {
        parse(id, &fs::read(format!("/proc/{id}/stat")).ok()?)
    }

    pub(crate) fn parent(&self) -> u32 {
        self.parent
    }

    /// Returns its id in the innermost namespace that it is in.
    pub(crate) fn inner_id(&self) -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        line.split_ascii_whitespace().next_back()?.parse().ok()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Sends a signal to this process and to no other; returns whether it has got it.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let Some(pid) = i32::try_from(self.id).ok().and_then(Pid::from_raw) else { return false };
        let Ok(descriptor) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return false };
        // The descriptor holds whatever has the id now; only then is it known to be the same process.
        Self::read(self.id).is_some_and(|now| now.start_time == self.start_time)
            // It may end at any time; a process of another user (sudo) is found alive by whoever waits for it.
            && rustix::process::pidfd_send_signal(descriptor, signal).is_ok()
    }

    fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    /// Waits until the process is gone or a zombie, at most for `limit`, and returns whether it is.
    fn wait(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        loop {
            match Self::read(self.id) {
                Some(now) if now.start_time == self.start_time && !now.is_dead() => {}
                _ => return true,
            }
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Returns all processes below `ancestor`, parents first.
pub(crate) fn descendants(ancestor: u32) -> Vec<Process> {
    let mut children: BTreeMap<u32, Vec<Process>> = BTreeMap::new();
    for process in all() {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found: Vec<Process> = children.remove(&ancestor).unwrap_or_default();
    let mut next = 0;
    while next < found.len() {
        found.extend(children.remove(&found[next].id).unwrap_or_default());
        next += 1;
    }
    found
}

/// What is left of a run whose end nobody saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) ended: usize,
    /// Processes that could not be ended: another user's, or stuck in the kernel.
    pub(crate) alive: usize,
}

/// Kills the processes that have `mark` (`NAME=value`) in the environment they were started with, and waits for their
/// end. This process and its ancestors are spared: somebody may well type the command inside such a run.
pub(crate) fn sweep(mark: &[u8]) -> Swept {
    let spared = ancestors();
    let mut swept = Swept::default();
    // What a process forks while the others are being killed is found in the next round.
    for _ in 0..100 {
        let marked: Vec<Process> =
            all().into_iter().filter(|process| !spared.contains(&process.id) && is_marked(process, mark)).collect();
        if marked.is_empty() {
            swept.alive = 0;
            break;
        }
        for process in &marked {
            process.signal(Signal::KILL);
        }
        let until = Instant::now() + LATE;
        let ended =
            marked.iter().filter(|process| process.wait(until.saturating_duration_since(Instant::now()))).count();
        swept.ended += ended;
        swept.alive = marked.len() - ended;
        if ended == 0 {
            break;
        }
    }
    swept
}

/// Kills everything below this process once, for `since` a time; returns how many processes are given up, if it is time to.
pub(crate) fn kill_descendants(since: Instant) -> Option<usize> {
    let left = descendants(std::process::id());
    // Each of them, and then how many that reached; a zombie is its parent's to let go of.
    let obey = left.iter().filter(|process| process.signal(Signal::KILL) && !process.is_dead()).count();
    let patience = if obey > 0 { LATE } else { REFUSED };
    (since.elapsed() >= patience).then_some(left.len())
}

/// Kills everything below this process until nothing is left or all of that is given up; returns how many those are.
pub(crate) fn end_descendants() -> usize {
    let since = Instant::now();
    loop {
        let given_up = kill_descendants(since);
        loop {
            match sys::wait() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return 0,
            }
        }
        if let Some(alive) = given_up {
            return alive;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn is_marked(process: &Process, mark: &[u8]) -> bool {
    !process.is_dead()
        && fs::read(format!("/proc/{}/environ", process.id))
            .is_ok_and(|environment| environment.split(|&byte| byte == 0).any(|entry| entry == mark))
}

fn ancestors() -> Vec<u32> {
    let mut line = vec![std::process::id()];
    while let Some(process) = line.last().and_then(|&id| Process::read(id)) {
        if process.parent == 0 {
            break;
        }
        line.push(process.parent);
    }
    line
}

fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let id = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    entries.filter_map(id).filter_map(Process::read).collect()
}

fn parse(id: u32, stat: &[u8]) -> Option<Process> {
    // The second field is the command's name in parentheses and may hold anything, `) R 1` included.
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Process {
        id,
        state: *fields.first()?.as_bytes().first()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_move_the_fields() {
        let stat = b"42 (a) R 1 1 (b) S 7 8 9 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        let process = parse(42, stat).unwrap();
        assert_eq!(process, Process { id: 42, parent: 7, group: 8, start_time: 12345, state: b'S' });
    }

    #[test]
    fn this_process_is_found_below_its_parent() {
        let own = Process::read(std::process::id()).unwrap();
        assert!(descendants(own.parent).iter().any(|process| process.id == own.id));
        assert!(ancestors().contains(&own.parent));
    }
}
