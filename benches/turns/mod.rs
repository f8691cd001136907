//! Whole commands, started in turns, so that what else a host does strikes both alike.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Returns where everything goes: below `STEAD_BENCH_DIR` when that is set.
pub(crate) fn place() -> TempDir {
    match std::env::var_os("STEAD_BENCH_DIR") {
        Some(directory) => tempfile::tempdir_in(directory),
        None => tempfile::tempdir(),
    }
    .expect("a directory")
}

/// Returns how many pairs there are: `STEAD_BENCH_ROUNDS`, or as given.
pub(crate) fn rounds(usual: usize) -> usize {
    std::env::var("STEAD_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Times a command; it must succeed.
pub(crate) fn time(command: &mut Command) -> Duration {
    let start = Instant::now();
    let status = command.status().expect("the command starts");
    let time = start.elapsed();
    assert!(status.success(), "{command:?}");
    time
}

/// Returns the seconds of both. Who comes second finds warmer caches, so they change places from round to round.
pub(crate) fn both(round: usize, one: &mut Command, other: &mut Command) -> (f64, f64) {
    let (one, other) = if round.is_multiple_of(2) {
        let one = time(one);
        (one, time(other))
    } else {
        let other = time(other);
        (time(one), other)
    };
    (one.as_secs_f64(), other.as_secs_f64())
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the kind of file system at a path.
pub(crate) fn file_system(path: &Path) -> String {
    let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(path).output().expect("stat starts");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}
