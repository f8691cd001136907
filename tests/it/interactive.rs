//! What a run does with a terminal, seen through a pseudo-terminal.

#![expect(clippy::unwrap_used, reason = "a test ends by a panic")]

use std::io::{Read as _, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::sandbox::scene::User;
use crate::sandbox::walls::{WALLS, who_can_have};
use crate::support::Place;

const PATIENCE: Duration = Duration::from_mins(1);
const SIZE: PtySize = PtySize { rows: 33, cols: 111, pixel_width: 0, pixel_height: 0 };

/// Returns how a command is run: without a wall, and behind each that there is.
fn runs() -> impl Iterator<Item = String> {
    let walls = WALLS.into_iter().filter(|wall| who_can_have(wall).contains(&User::Own));
    ["none"].into_iter().chain(walls).map(|wall| format!("exec x --empty --isolation {wall} --"))
}

/// A program that is the first of its session on a terminal of its own.
struct Session {
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    seen: Arc<Mutex<String>>,
    /// How much of it was expected already.
    read: usize,
}

impl Session {
    fn start(place: &Place, program: &str, args: &[&str]) -> Self {
        let pair = native_pty_system().openpty(SIZE).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env_clear();
        let stead = place.stead(["--version"]);
        for (name, value) in stead.get_envs() {
            command.env(name, value.unwrap());
        }
        command.env("STEAD", env!("CARGO_BIN_EXE_stead"));
        command.env("TERM", "xterm");
        command.env("PS1", "outer> ");
        command.cwd(stead.get_current_dir().unwrap());
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let seen = Arc::new(Mutex::new(String::new()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        std::thread::spawn({
            let seen = Arc::clone(&seen);
            move || {
                let mut buffer = [0; 4096];
                while let Ok(count) = reader.read(&mut buffer) {
                    if count == 0 {
                        break;
                    }
                    seen.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
                }
            }
        });
        Self { master: pair.master, writer, child, seen, read: 0 }
    }

    /// Starts `stead exec x … -- COMMAND` itself.
    fn stead(place: &Place, run: &str, command: &[&str]) -> Self {
        let args: Vec<&str> = run.split(' ').chain(command.iter().copied()).collect();
        Self::start(place, env!("CARGO_BIN_EXE_stead"), &args)
    }

    /// Starts an interactive shell, as a user has one around stead.
    fn shell(place: &Place) -> Self {
        let mut session = Self::start(place, "bash", &["--norc", "--noprofile", "--noediting", "-i"]);
        session.expect("outer> ");
        session
    }

    fn send(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// Waits until `text` is seen after what was expected before.
    fn expect(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            {
                let seen = self.seen.lock().unwrap();
                if let Some(at) = seen[self.read..].find(text) {
                    self.read += at + text.len();
                    return;
                }
                assert!(start.elapsed() < PATIENCE, "`{text}` is not seen in:\n{}", &seen[self.read..]);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until `signal` is not on its way to the program any more.
    fn await_delivery(&self, signal: i32) {
        let status = format!("/proc/{}/status", self.child.process_id().unwrap());
        let start = Instant::now();
        loop {
            let text = std::fs::read_to_string(&status).unwrap();
            let pending = text.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap();
            if u64::from_str_radix(pending.trim(), 16).unwrap() & (1 << (signal - 1)) == 0 {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "signal {signal} is not delivered");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait(&mut self) -> u32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(start.elapsed() < PATIENCE, "no end:\n{}", self.seen.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the modes of the terminal.
    fn modes(&self) -> String {
        let terminal = self.master.tty_name().unwrap();
        let output = Command::new("stty").arg("-F").arg(terminal).arg("-g").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the one child of a process.
fn child(process: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap();
    let children: Vec<u32> = children.split_whitespace().map(|child| child.parse().unwrap()).collect();
    assert_eq!(children.len(), 1);
    children[0]
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.kill());
    }
}

#[test]
fn a_command_has_the_terminal_itself() {
    for run in runs() {
        let place = Place::new();
        let script = "test -t 0 && test -t 1 && test -t 2 && echo all three; stty size; echo made > file";
        let mut session = Session::stead(&place, &run, &["sh", "-c", script]);
        session.expect("all three\r\n33 111\r\n");
        session.expect("create file");
        session.expect("Next: ");
        assert_eq!(session.wait(), 0);
    }
}

#[test]
fn a_shell_has_job_control_and_the_size_of_the_window() {
    for run in runs() {
        let place = Place::new();
        let mut session = Session::stead(&place, &run, &["bash", "--norc", "--noprofile", "--noediting", "-i"]);
        session.expect("bash-");
        session.send("PS1='in''ner> '\n");
        session.expect("inner> ");
        // The echo of a line is seen before the shell has read it.
        session.send("sh -c 'echo run''ning; exec sleep 1000'\n");
        session.expect("running");
        session.send("\x1a");
        session.expect("Stopped");
        session.expect("inner> ");
        session.send("fg\n");
        session.expect("sleep 1000");
        session.send("\x03");
        session.expect("inner> ");
        session.send("stty size\n");
        session.expect("33 111");
        session.master.resize(PtySize { rows: 44, cols: 99, ..SIZE }).unwrap();
        session.send("stty size\n");
        session.expect("44 99");
        session.expect("inner> ");
        session.send("exit 5\n");
        session.expect("Nothing changed.");
        assert_eq!(session.wait(), 5);
        assert!(!session.seen.lock().unwrap().contains("no job control"));
    }
}

#[test]
fn the_keys_belong_to_the_command() {
    for run in runs() {
        let place = Place::new();
        let script = "trap 'echo caught >> file' INT; echo ready; while [ \"$(wc -l < file)\" != 3 ]; do sleep 0.02; done; exit 9";
        let mut session = Session::stead(&place, &run, &["sh", "-c", &format!("touch file; {script}")]);
        session.expect("ready");
        for count in 1..=3 {
            session.send("\x03");
            let file = place.tree("x").join("file");
            wait_for("an interrupt", || std::fs::read_to_string(&file).unwrap().lines().count() >= count);
        }
        session.expect("create file");
        assert_eq!(session.wait(), 9);
    }
}

#[test]
fn an_interrupt_ends_a_command_that_does_not_catch_it() {
    for run in runs() {
        let place = Place::new();
        let mut session = Session::stead(&place, &run, &["sh", "-c", "echo made > file; echo ready; exec sleep 1000"]);
        // dash may overlook an interrupt while it starts a process, hence `exec`.
        session.expect("ready");
        session.send("\x03");
        session.expect("create file");
        assert_eq!(session.wait(), 130);
    }
}

#[test]
fn the_modes_are_put_back_after_a_command_that_broke_them() {
    for run in runs() {
        let place = Place::new();
        let mut session = Session::shell(&place);
        session.send(&format!("$STEAD {run} sh -c 'stty raw -echo; echo broken; kill -KILL $$'; echo code $?\n"));
        session.expect("broken");
        session.expect("code 137\r\n");
        session.expect("outer> ");
        session.send("stty -a\n");
        for mode in ["\nopost", " icanon", " echo "] {
            session.expect(mode);
        }
    }
}

#[test]
fn the_modes_are_put_back_when_stead_or_its_supervisor_is_killed() {
    // How far below the shell they are.
    let victims = [("supervisor", 2), ("stead", 1)];
    for (run, (victim, depth)) in runs().flat_map(|run| victims.map(|victim| (run.clone(), victim))) {
        let place = Place::new();
        // A shell without job control leaves terminals as it finds them.
        let script = format!(
            "$STEAD {run} sh -c 'echo ready; read go; stty raw -echo; echo bro''ken; sleep 1000'; read end; echo got $end"
        );
        let mut session = Session::start(&place, "sh", &["-c", &script]);
        session.expect("ready");
        let before = session.modes();
        session.send("go\n");
        session.expect("broken");
        let process = (0..depth).fold(session.child.process_id().unwrap(), |process, _| child(process));
        assert!(Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success());
        let mark = format!("PWD={}", place.tree("x").display());
        wait_for(victim, || {
            !std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
                let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
                environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
            })
        });
        wait_for(victim, || session.modes() == before);
        session.send("line\n");
        session.expect("got line");
    }
}

#[test]
fn the_terminal_comes_back_from_a_shell_that_was_killed() {
    for run in runs() {
        let place = Place::new();
        let script =
            format!("$STEAD {run} bash --norc --noprofile --noediting -i; echo code $?; read line; echo got $line");
        let mut session = Session::start(&place, "sh", &["-c", &script]);
        session.expect("bash-");
        session.send("kill -KILL $$\n");
        session.expect("code 137");
        session.send("line\n");
        session.expect("got line");
        assert_eq!(session.wait(), 0);
    }
}

#[test]
fn a_run_is_suspended_and_resumed_by_the_shell_around_it() {
    for run in runs() {
        let place = Place::new();
        let mut session = Session::shell(&place);
        session.send(&format!("$STEAD {run} sh -c 'echo rea''dy; read line; echo got $line'\n"));
        session.expect("ready\r\n");
        session.send("\x1a");
        session.expect("Stopped");
        session.expect("outer> ");
        session.send("echo still; fg\n");
        session.expect("still\r\n");
        session.send("line\n");
        session.expect("got line\r\n");
        session.expect("Nothing changed.");
        session.expect("outer> ");
    }
}

#[test]
fn a_command_that_stops_itself_suspends_stead() {
    for run in runs() {
        let place = Place::new();
        let mut session = Session::shell(&place);
        session.send(&format!("$STEAD {run} bash --norc --noprofile --noediting -i\n"));
        session.expect("bash-");
        session.send("PS1='in''ner> '\n");
        session.expect("inner> ");
        session.send("suspend\n");
        session.expect("Stopped");
        session.expect("outer> ");
        session.send("fg\n");
        session.expect("inner> ");
        session.send("exit 3\n");
        session.expect("outer> ");
        session.send("echo code $?\n");
        session.expect("code 3");
    }
}

#[test]
fn a_command_whose_output_goes_into_a_pipe_still_reads_the_terminal() {
    for run in runs() {
        let place = Place::new();
        let mut session = Session::shell(&place);
        session.send(&format!("$STEAD {run} sh -c 'test -t 1 || echo rea''dy; read line; echo got $line' | cat\n"));
        session.expect("ready\r\n");
        session.send("line\n");
        session.expect("got line\r\n");
        session.expect("outer> ");
    }
}

#[test]
fn a_second_interrupt_ends_a_command_with_a_prompt_that_ignores_it() {
    for run in runs() {
        let place = Place::new();
        let script = "cat; trap 'echo caught' INT; echo ready; while :; do sleep 0.02; done";
        let run = run.trim_end_matches(" --").split(' ');
        let args: Vec<&str> = run.chain(["-m", "the prompt\n", "--", "sh", "-c", script]).collect();
        let mut session = Session::start(&place, env!("CARGO_BIN_EXE_stead"), &args);
        session.expect("for at most 5 min");
        session.expect("the prompt\r\nready\r\n");
        session.send("\x03");
        session.expect("caught");
        // While the first one is on its way to stead, the host's kernel takes a second one for the same.
        session.await_delivery(libc::SIGINT);
        session.send("\x03");
        session.expect("interrupted");
        assert_eq!(session.wait(), 137);
    }
}
