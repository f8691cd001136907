//! The supervisor of a run as the process that is traced, instead of the command that starts it.
//!
//! A first `strace` stops every process that the command executes before its first instruction; the supervisor then gets a
//! second one, with the injection, and goes on.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::strace::{self, Injection};

/// The argument that makes stead a supervisor.
const WORD: &[u8] = b"__supervise";

/// Runs `stead` with its supervisor under `strace`, whose log is at `log`. `None` where the first `strace` gave up, as it does
/// now and then when it lets go of what it has stopped ("Unexpected wait status 0"): then all has to begin again.
pub(super) fn run(stead: &Command, log: &Path, injection: Option<&Injection>) -> Option<Output> {
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "120", "strace", "-f", "-b", "execve", "-qq", "-o", "/dev/null"]);
    command.args(["-e", "trace=execve", "-e", "inject=execve:signal=STOP:when=1"]);
    strace::pass_on(stead, &mut command);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("strace starts");
    let own = child.id();
    let mut streams = [
        Box::new(child.stdout.take().expect("a pipe")) as Box<dyn std::io::Read + Send>,
        Box::new(child.stderr.take().expect("a pipe")),
    ];
    std::thread::scope(|scope| {
        let read = streams.each_mut().map(|stream| {
            scope.spawn(move || {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).expect("a stream is read");
                all
            })
        });
        let mut tracers = Vec::new();
        let status = loop {
            if let Some(status) = child.try_wait().expect("a status") {
                break status;
            }
            for stopped in stopped_below(own) {
                if is_supervisor(stopped) {
                    tracers.push(trace(stopped, log, injection));
                }
                let stopped = rustix::process::Pid::from_raw(stopped.cast_signed()).expect("not 0");
                // It may have been killed meanwhile.
                rustix::process::kill_process(stopped, rustix::process::Signal::CONT).ok();
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let count = tracers.len();
        for mut tracer in tracers {
            tracer.wait().expect("strace ends with what it traces");
        }
        let [stdout, stderr] = read.map(|read| read.join().expect("a stream"));
        let output = Output { status, stdout, stderr };
        if String::from_utf8_lossy(&output.stderr).contains("strace: Unexpected wait status") {
            return None;
        }
        assert_eq!(count, 1, "a run has one supervisor\n{}", crate::support::describe(&output));
        Some(output)
    })
}

/// Attaches `strace` to a process that is stopped.
fn trace(process: u32, log: &Path, injection: Option<&Injection>) -> std::process::Child {
    let mut command = strace::command(log, injection);
    command.args(["-p", &process.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.spawn().expect("strace starts");
    while field(process, "TracerPid").is_none_or(|tracer| tracer == "0") {
        assert!(child.try_wait().expect("a status").is_none(), "strace cannot attach to the supervisor");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

/// Returns the processes below `top` that are stopped and traced by nobody.
fn stopped_below(top: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let processes = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let stopped = processes.filter(|&process| {
        field(process, "State").is_some_and(|state| state.starts_with('T'))
            && field(process, "TracerPid").is_some_and(|tracer| tracer == "0")
    });
    stopped.filter(|&process| ancestors(process).any(|ancestor| ancestor == top)).collect()
}

fn ancestors(process: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(process), |&process| field(process, "PPid")?.parse().ok().filter(|&parent| parent > 1))
}

fn is_supervisor(process: u32) -> bool {
    let arguments = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    arguments.split(|&byte| byte == 0).nth(1) == Some(WORD)
}

fn field(process: u32, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}
