//! How runs behind each wall end: whoever is killed, nothing of them stays alive.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::scene::{User, ready, start};
use super::walls::{WALLS, who_can_have};
use crate::support::{Place, describe};

/// Ends a test that would hang; far more than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Ignores whatever asks it to end.
const BUSY: &str = "trap '' TERM HUP INT; while :; do sleep 1000; done";
/// Leaves such processes in a group, in a set of groups and below nobody, all with the output open.
const LEAVE: &str = "sh -c \"$1\" & setsid sh -c \"$1\" & (setsid sh -c \"$1\" & ) ; \
                     until [ \"$(grep -lsz '^LEFT=yes' /proc/[0-9]*/environ | wc -l)\" -ge 4 ]; do :; done; touch started; ";

struct Behind {
    place: Place,
    wall: &'static str,
}

impl Behind {
    /// Returns one for each wall that this user can have.
    fn each() -> impl Iterator<Item = Self> {
        WALLS.into_iter().filter(|wall| who_can_have(wall).contains(&User::Own)).map(|wall| {
            let behind = Self { place: ready(User::Own), wall };
            assert!(behind.exec(&["--empty"], "true").status.success());
            behind
        })
    }

    fn command(&self, options: &[&str], script: &str) -> Command {
        let mut command = start(&self.place, User::Own);
        command.args(["exec", "x", "--isolation", self.wall, "--env", "LEFT=yes"]).args(options);
        command.args(["--", "sh", "-c", script, "sh", BUSY]).stdin(Stdio::null());
        command
    }

    fn exec(&self, options: &[&str], script: &str) -> Output {
        self.command(options, script).output().expect("stead starts")
    }

    /// Starts a run that leaves processes and does not end; returns when they are there.
    fn start(&self) -> Child {
        let mut command = self.command(&[], &format!("{LEAVE} eval \"$1\""));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("stead starts");
        until("the script starts", || self.place.tree("x").join("started").exists());
        assert!(self.alive() >= 4, "{}", self.wall);
        child
    }

    /// Counts the processes of runs, and of stead, in this place.
    fn alive(&self) -> usize {
        let mark = format!("PWD={}", self.place.tree("x").display());
        let of_place = |process: &Path| {
            let program = std::fs::read_link(process.join("exe")).unwrap_or_default();
            let environment = std::fs::read(process.join("environ")).unwrap_or_default();
            program.starts_with(self.place.path())
                || environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
        };
        let processes = std::fs::read_dir("/proc").expect("processes").flatten().map(|entry| entry.path());
        processes.filter(|process| of_place(process)).count()
    }

    #[track_caller]
    fn nothing_is_alive(&self) {
        assert_eq!(self.alive(), 0, "{}", self.wall);
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn kill(id: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), id.to_string()]).status().expect("kill starts");
    assert!(status.success());
}

fn supervisor(stead: &Child) -> u32 {
    let list = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", stead.id())).expect("children");
    let ids: Vec<u32> = list.split_whitespace().map(|id| id.parse().expect("a number")).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    ids[0]
}

#[test]
fn at_the_deadline_nothing_is_left() {
    for behind in Behind::each() {
        let output = behind.exec(&["--timeout", "1"], &format!("{LEAVE} eval \"$1\""));
        behind.nothing_is_alive();
        assert_eq!(output.status.code(), Some(124), "{}: {}", behind.wall, describe(&output));
    }
}

#[test]
fn a_pipe_that_is_held_open_holds_nothing_up() {
    for behind in Behind::each() {
        let output = behind.exec(&[], &format!("{LEAVE} echo over; exit 3"));
        behind.nothing_is_alive();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*output.stdout), (Some(3), &b"over\n"[..]), "{}", describe(&output));
        assert!(stderr.contains("left behind"), "{}: {stderr}", behind.wall);
    }
}

#[test]
fn when_stead_is_killed_nothing_is_left() {
    for behind in Behind::each() {
        let mut stead = behind.start();
        stead.kill().expect("alive");
        stead.wait().expect("ended");
        until("all of it ends", || behind.alive() == 0);
        let output = behind.exec(&["--wait"], "true");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("has no end on record: stead was killed"), "{}: {stderr}", behind.wall);
    }
}

#[test]
fn when_the_supervisor_is_killed_nothing_is_left() {
    for behind in Behind::each() {
        let stead = behind.start();
        kill(supervisor(&stead), "KILL");
        let output = stead.wait_with_output().expect("ended");
        behind.nothing_is_alive();
        assert_eq!(output.status.code(), Some(125), "{}: {}", behind.wall, describe(&output));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("the supervisor of the run was killed"), "{}: {stderr}", behind.wall);
        assert!(stderr.contains("create started"), "{}: {stderr}", behind.wall);
    }
}

#[test]
fn when_both_are_killed_at_once_nothing_is_left_for_the_next_run() {
    for behind in Behind::each() {
        let mut stead = behind.start();
        let supervisor = supervisor(&stead);
        // Stopped, neither can see the other's end.
        kill(stead.id(), "STOP");
        kill(supervisor, "KILL");
        stead.kill().expect("alive");
        stead.wait().expect("ended");
        if behind.wall == "namespaces" {
            // The first process inside goes with them, and all the others with it.
            until("all of it ends", || behind.alive() == 0);
        }
        assert!(behind.exec(&["--wait"], "true").status.success());
        behind.nothing_is_alive();
    }
}

#[test]
fn what_only_somebody_else_could_end_is_told_and_waited_for_shortly() {
    let user = User::ordinary();
    // Only root can make a program that takes another's power.
    let User::Other(_) = user else { return };
    let place = ready(user);
    let program = place.path().join("tools/setpriv");
    assert!(Command::new("cp").arg("/usr/bin/setpriv").arg(&program).status().expect("cp starts").success());
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).expect("mode");
    let mut command = start(&place, user);
    command.args(["exec", "x", "--empty", "--isolation", "none", "--timeout", "1", "--", "sh", "-c"]);
    command.arg("\"$1\" --reuid 0 --clear-groups sleep 1000 & echo $! > left; sleep 1000").arg("sh").arg(&program);
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).output().expect("stead starts");
    let left = std::fs::read_to_string(place.tree("x").join("left")).expect("its id");
    let state = std::fs::read_to_string(format!("/proc/{}/status", left.trim())).unwrap_or_default();
    kill(left.trim().parse().expect("a number"), "KILL");
    assert!(state.contains("Uid:\t0\t0\t0\t0"), "{state}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("warning: 1 process of the run cannot be ended"), "{}", describe(&output));
    assert!(stderr.contains("create left"), "{}", describe(&output));
    assert_eq!(output.status.code(), Some(125), "{}", describe(&output));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn signals_are_at_their_defaults() {
    for behind in Behind::each() {
        let output = behind.exec(&[], "grep -E '^Sig(Blk|Ign)' /proc/self/status");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let set = line.split_whitespace().nth(1).and_then(|set| u64::from_str_radix(set, 16).ok()).expect("a set");
            // The C library keeps 32 and 33 to itself.
            assert_eq!(set & !(0b11 << 31), 0, "{}: {line}", behind.wall);
        }
    }
}

#[test]
fn debuggers_and_leak_checkers_work() {
    let works = |program: &str, option: &str| {
        Command::new(program).arg(option).output().is_ok_and(|output| output.status.success())
    };
    for behind in Behind::each() {
        if works("gdb", "--version") {
            // Both write to the memory of what they look at.
            let script = "gdb -nx -batch -ex 'break _exit' -ex run -ex 'info breakpoints' \"$(command -v true)\" 2>&1";
            let output = behind.exec(&[], script);
            let stdout = String::from_utf8_lossy(&output.stdout);
            assert!(stdout.contains("breakpoint already hit 1 time"), "{}: {stdout}", behind.wall);
        }
        let tree = behind.place.tree("x");
        let source = "#include <stdlib.h>\nint main(void) { char *volatile p = malloc(77); p = 0; return !!p; }\n";
        std::fs::write(tree.join("leak.c"), source).expect("file");
        let mut gcc = Command::new("gcc");
        gcc.args(["-fsanitize=leak", "-o", "leak", "leak.c"]).current_dir(&tree);
        // Not every compiler brings the checker along.
        if gcc.output().is_ok_and(|output| output.status.success()) {
            let output = behind.exec(&[], "./leak");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(stderr.contains("Direct leak of 77 byte(s)"), "{}: {stderr}", behind.wall);
        }
    }
}
