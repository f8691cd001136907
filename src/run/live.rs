//! What a run uses now, as `/proc` says.

use std::collections::HashMap;
use std::fs;

use serde::Serialize;

use crate::confine::processes::{self, Process};

/// What Linux counts CPU time in for programs, whatever its own clock does.
const TICKS: f64 = 100.0;

/// The processes of a run, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Live {
    pub(crate) processes: usize,
    pub(crate) threads: u64,
    /// CPU time in seconds.
    pub(crate) cpu_seconds: f64,
    pub(crate) memory_bytes: u64,
}

/// Adds up the processes below `pid`, which holds the lease; itself does not count.
pub(crate) fn below(pid: u32) -> Live {
    let mut children: HashMap<u32, Vec<Entry>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some((parent, process)) = process(pid)
        {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut live = Live::default();
    let mut ticks = 0;
    let mut left = vec![pid];
    while let Some(parent) = left.pop() {
        // Taken out, so that a cycle (a process id that was used again meanwhile) ends.
        for process in children.remove(&parent).unwrap_or_default() {
            live.processes += 1;
            live.threads += process.threads;
            ticks += process.ticks;
            live.memory_bytes += process.memory;
            left.push(process.pid);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a run takes less than 2^52 ticks")]
    let cpu = ticks as f64 / TICKS;
    live.cpu_seconds = cpu;
    live
}

/// Returns the bytes of the processes below `pid` with what they share counted once; `None` when that cannot be read of any.
pub(crate) fn proportional_memory(pid: u32) -> Option<u64> {
    let kilobytes = |line: &str| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok();
    let of = |process: Process| {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", process.id)).ok()?;
        text.lines().find_map(kilobytes)
    };
    let each: Vec<u64> = processes::descendants(pid).into_iter().filter_map(of).collect();
    (!each.is_empty()).then(|| each.into_iter().sum::<u64>() * 1024)
}

struct Entry {
    pid: u32,
    ticks: u64,
    threads: u64,
    /// Bytes that are in memory now.
    memory: u64,
}

fn process(pid: u32) -> Option<(u32, Entry)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let parent = fields.get(1)?.parse().ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = |line: &str| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok();
    // A process that has ended and waits to be seen has no memory.
    let memory = status.lines().find_map(kilobytes).unwrap_or_default() * 1024;
    Some((parent, Entry { pid, ticks: number(11)? + number(12)?, threads: number(17)?, memory }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_below_its_parent() {
        let (parent, process) = process(std::process::id()).expect("this process");
        assert!(process.memory > 0);
        assert!(below(parent).processes >= 1);
    }
}
