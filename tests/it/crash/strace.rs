//! `strace`: which system calls a command makes, and how one of them is made to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::Command;

use crate::support::describe;

/// Calls that change something; those that a machine does not have are left out.
const TRACED: &str = "trace=?open,?creat,openat,openat2,write,pwrite64,writev,pwritev,?pwritev2,copy_file_range,sendfile,\
                      ?rename,?renameat,renameat2,?link,linkat,?unlink,unlinkat,?rmdir,?mkdir,mkdirat,?symlink,symlinkat,\
                      fsync,fdatasync,ftruncate,fallocate,?chmod,fchmod,fchmodat,flock,ioctl,utimensat";

/// Ends the tests with one sentence where nothing can be traced: they would say nothing.
pub(crate) fn require() {
    let output = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("strace may not trace here, which these tests need: {}", describe(&output)),
        Err(error) => panic!("these tests need strace: {error}"),
    }
}

/// Keeps this thread and what it starts on one processor, where stead takes no more threads than it needs and makes the
/// same calls in the same order each time.
pub(super) fn stay_on_one_processor(worker: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(all) = sched_getaffinity(None) else { return };
    let allowed: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&processor| all.is_set(processor)).collect();
    let mut one = CpuSet::new();
    one.set(allowed[worker % allowed.len()]);
    sched_setaffinity(None, &one).expect("one of the processors that are allowed");
}

/// Runs something on one processor.
pub(super) fn on_one_processor<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    let ended = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                stay_on_one_processor(0);
                run()
            })
            .join()
    });
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Returns `strace` of what comes behind, into the file `log`: this process alone, for what stead starts is left alone.
pub(super) fn command(log: &std::path::Path, injection: Option<&Injection>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "120", "strace", "-f", "-b", "execve", "-qq", "-y", "-e"]).arg(TRACED);
    if let Some(injection) = injection {
        command.arg("-e").arg(format!("inject={}", injection.expression));
    }
    command.arg("-o").arg(log);
    command
}

/// Makes `command` end with the program, arguments, environment and directory of `stead`.
pub(crate) fn pass_on(stead: &Command, command: &mut Command) {
    command.arg(stead.get_program()).args(stead.get_args()).env_clear();
    command.envs(stead.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(stead.get_current_dir().expect("set"));
}

/// One call of a command.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) call: String,
    /// The how manieth call of its name in its thread, from 1.
    nth: usize,
    /// As `strace` shows it.
    pub(super) line: String,
}

/// What is done to one call.
#[derive(Clone, Debug)]
pub(super) struct Injection {
    pub(super) expression: String,
    line: String,
}

impl Injection {
    pub(super) fn is_kill(&self) -> bool {
        self.expression.contains("signal=KILL")
    }
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.expression, self.line)
    }
}

/// Reads which calls of a log name something below `place`.
pub(super) fn sites(log: &str, place: &str) -> Vec<Site> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut known = BTreeSet::new();
    let mut sites = Vec::new();
    for line in log.lines() {
        let Some((thread, shown)) = line.split_once(' ') else { continue };
        let shown = shown.trim_start();
        let Some((call, arguments)) = shown.split_once('(') else { continue };
        if !call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let nth = counts.entry((thread, call)).or_default();
        *nth += 1;
        // Where the command was started is no part of what it touches.
        let touched = match arguments.strip_prefix("AT_FDCWD<").and_then(|rest| rest.split_once('>')) {
            Some((_, rest)) => rest,
            None => arguments,
        };
        if touched.contains(place) && known.insert((call, *nth)) {
            sites.push(Site { call: call.to_owned(), nth: *nth, line: shown.replace(place, "[PLACE]") });
        }
    }
    sites
}

impl Site {
    /// Returns the end of the process just before the call, if the call changes anything.
    pub(super) fn kill(&self) -> Option<Injection> {
        let reads = self.call.starts_with("open") && !self.line.contains("O_CREAT");
        (!reads).then(|| self.injection("signal=KILL"))
    }

    /// Returns each way in which the call may fail.
    pub(super) fn faults(&self) -> Vec<Injection> {
        let makes = self.line.contains("O_CREAT");
        let ways: &[&str] = match self.call.as_str() {
            "open" | "openat" | "openat2" if !makes => &["error=EACCES", "error=EMFILE", "error=EIO", "error=EINTR"],
            "open" | "openat" | "openat2" | "creat" => {
                &["error=ENOSPC", "error=EACCES", "error=EMFILE", "error=EIO", "error=EINTR"]
            }
            // Nothing written is the shortest of short writes.
            "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" => {
                &["error=ENOSPC", "error=EIO", "error=EINTR", "retval=0"]
            }
            "copy_file_range" | "sendfile" | "fallocate" | "ftruncate" => &["error=ENOSPC", "error=EIO", "error=EINTR"],
            "fsync" | "fdatasync" => &["error=EIO", "error=ENOSPC", "error=EINTR"],
            "flock" => &["error=EIO", "error=ENOLCK", "error=EINTR"],
            "chmod" | "fchmod" | "fchmodat" | "utimensat" => &["error=EIO", "error=EACCES"],
            "ioctl" => &["error=EIO", "error=ENOSPC"],
            _ => &["error=ENOSPC", "error=EIO", "error=EACCES", "error=EINTR"],
        };
        ways.iter().map(|way| self.injection(way)).collect()
    }

    fn injection(&self, way: &str) -> Injection {
        let expression = format!("{}:{way}:when={}", self.call, self.nth);
        Injection { expression, line: self.line.clone() }
    }
}
