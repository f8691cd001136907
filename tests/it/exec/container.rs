//! Runs in containers, with a stand-in for the engine: a client that is a script, and a daemon that is this process. So what a
//! container is here outlives its client, as a real one does.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{code, is_alive, text, until};
use crate::support::{Place, describe, write};

/// The client: tells the daemon by files beside it. Everything it is called with is in `log`.
const CLIENT: &str = r#"#!/bin/sh
dir=$(dirname "$0")/engine
printf '%s\n' "$*" >> "$dir/log"
case $1 in
info) [ -e "$dir/down" ] && { echo 'the daemon is down' >&2; exit 1; }; echo "[name=seccomp,profile=builtin]|true|true|$([ -e "$dir/rootless" ] && echo false || echo true)" ;;
ps) name=${5#name=^/?}; name=${name%\$}; [ ! -e "$dir/$name.pid" ] || echo 0123456789ab ;;
rm) touch "$dir/$3.kill"; while [ -e "$dir/$3.pid" ] || [ -e "$dir/$3.job" ]; do sleep 0.01; done ;;
run)
  [ -e "$dir/refuse" ] && { echo 'no such image' >&2; exit 125; }
  env > "$dir/environment"
  shift
  while :; do
    case $1 in
    --name) name=$2 ;;
    --cidfile) echo 0123456789ab > "$2" ;;
    --workdir) workdir=$2 ;;
    esac
    case $1 in
    --rm|--init|--interactive|--tty) shift ;;
    --*) shift 2 ;;
    *) shift; break ;;
    esac
  done
  printf '%s\0' "$workdir" "$@" > "$dir/$name.new"
  # As podman does without root: what makes the container is a child, which finishes what it has begun.
  [ -e "$dir/slow" ] && (trap '' TERM; sleep 2; mv "$dir/$name.new" "$dir/$name.job") & wait
  [ -e "$dir/slow" ] || mv "$dir/$name.new" "$dir/$name.job"
  # As podman's monitor, which clears up.
  (trap 'echo killed > "$dir/monitor"' TERM; sleep 0.5) > /dev/null 2>&1 &
  [ -e "$dir/oom" ] && : > oom
  while [ ! -e "$dir/$name.exit" ]; do sleep 0.01; done
  cat "$dir/$name.out"
  exit "$(cat "$dir/$name.exit")" ;;
esac
"#;

/// The engine is named, for this host may have a real one.
const SETTINGS: &str = "[container]\nengine = 'docker'\nimage = 'debian:stable'\n";

struct Engine {
    place: Place,
    path: String,
    over: Arc<AtomicBool>,
}

impl Engine {
    fn new() -> Self {
        let place = Place::within(&std::env::temp_dir());
        let path = place.program("docker", CLIENT);
        write(&place.home(), ".config/stead/config.toml", SETTINGS);
        let dir = place.path().join("bin/engine");
        std::fs::create_dir(&dir).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let engine = Self { place, path, over: Arc::clone(&over) };
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                    let path = entry.path();
                    if path.extension().is_some_and(|end| end == "job") {
                        contain(&path);
                    }
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
        engine
    }

    fn stead(&self, options: &[&str], script: &str) -> Command {
        let mut command = self.place.stead(["exec", "x", "--isolation", "container"]);
        if !self.place.tree("x").exists() {
            command.arg("--empty");
        }
        command.args(options).args(["--", "sh", "-c", script]).env("PATH", &self.path);
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.place.path().join("bin/engine/log")).unwrap_or_default()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Starts what a job says, as a container that is: in a group of its own, a child of nobody's but the daemon.
fn contain(job: &Path) {
    let words = std::fs::read(job).unwrap();
    let words: Vec<&str> = std::str::from_utf8(&words).unwrap().trim_end_matches('\0').split('\0').collect();
    let file = job.to_owned();
    let with = move |end: &str| file.with_extension(end);
    let output = std::fs::File::create(with("out")).unwrap();
    let mut command = Command::new(words[1]);
    command.args(&words[2..]).current_dir(words[0]).stdin(Stdio::null()).stdout(output).process_group(0);
    let mut child = command.spawn().unwrap();
    std::fs::write(with("pid"), child.id().to_string()).unwrap();
    std::fs::remove_file(job).unwrap();
    std::thread::spawn(move || {
        let status = loop {
            if with("kill").exists() {
                let group = format!("-{}", child.id());
                Command::new("kill").args(["-KILL", "--", &group]).status().unwrap();
            }
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        std::fs::write(with("exit"), status.code().unwrap_or(137).to_string()).unwrap();
        std::fs::remove_file(with("pid")).unwrap();
    });
}

#[test]
fn a_run_in_a_container_is_given_its_policy_and_its_changes_are_told() {
    let engine = Engine::new();
    let options =
        ["--net", "off", "--limit", "memory=64M,cpus=1.5,pids=9", "--secret", "TOKEN", "--env", "PLAIN=words"];
    let output = engine.stead(&options, "pwd; echo a > file; exit 7").env("TOKEN", "s3cret-value").output().unwrap();
    assert_eq!(code(&output), 7, "{}", describe(&output));
    let tree = engine.place.tree("x");
    assert_eq!(text(&output.stdout), format!("{}\n", tree.display()), "{}", describe(&output));
    assert!(text(&output.stderr).contains("file"), "{}", describe(&output));
    let log = engine.log();
    let run = log.lines().find(|line| line.starts_with("run ")).unwrap();
    for part in [
        "--rm --init --cap-drop ALL --security-opt no-new-privileges",
        "--network none --memory 67108864 --memory-swap 67108864 --cpus 1.500 --pids-limit 9",
        &format!("type=bind,\"source={0}\",\"target={0}\"", tree.display()),
        &format!("\"target={}\"", engine.place.home().display()),
        "\"target=/tmp\"",
        "--env TOKEN",
        "--env PLAIN",
        "--entrypoint  --workdir",
        "debian:stable sh -c",
    ] {
        assert!(run.contains(part), "no {part} in {run}");
    }
    assert!(!run.contains("s3cret") && !run.contains("sock") && !run.contains("--env PATH"), "{run}");
    let environment = std::fs::read_to_string(engine.place.path().join("bin/engine/environment")).unwrap();
    for line in ["TOKEN=s3cret-value", "PLAIN=words", &format!("HOME={}", engine.place.home().display())] {
        assert!(environment.lines().any(|other| other == line), "no {line} in {environment}");
    }
    let (_, log) = engine.place.json(["log", "x"]);
    assert_eq!(log["runs"][0]["wall"], "container", "{log}");
    assert!(!log.to_string().contains("s3cret"), "{log}");
}

#[test]
fn a_container_is_ended_at_its_timeout_and_when_stead_is_killed() {
    let engine = Engine::new();
    let script = "echo $$ > pid; trap '' TERM; sleep 600 & wait; wait; sleep 600";
    let output = engine.stead(&["--timeout", "1s"], script).output().unwrap();
    assert_eq!(code(&output), 124, "{}", describe(&output));
    let id = engine.place.process_id("pid");
    assert!(!is_alive(id), "{}", describe(&output));
    assert!(engine.log().contains("rm --force stead-"), "{}", engine.log());

    std::fs::remove_file(engine.place.tree("x").join("pid")).unwrap();
    let mut stead = engine.stead(&[], script).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let id = engine.place.process_id("pid");
    stead.kill().unwrap();
    stead.wait().unwrap();
    until("the container ends", || !is_alive(id));
}

#[test]
fn what_the_engine_leaves_behind_is_left_to_end_by_itself() {
    let engine = Engine::new();
    let output = engine.stead(&[], "echo a > file").output().unwrap();
    assert_eq!(code(&output), 0, "{}", describe(&output));
    assert!(!text(&output.stderr).contains("left behind"), "{}", describe(&output));
    let dir = engine.place.path().join("bin/engine");
    assert!(!dir.join("monitor").exists(), "{}", describe(&output));
    let (_, log) = engine.place.json(["log", "x"]);
    assert!(log["runs"][0]["usage"]["peak_memory"].is_null(), "it was the client's: {log}");

    // A container that is only made when its client is gone already.
    write(&dir, "slow", "");
    let output = engine.stead(&["--timeout", "1s"], "echo $$ > pid; exec sleep 600").output().unwrap();
    assert_eq!(code(&output), 124, "{}", describe(&output));
    let names = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
    let left: Vec<_> = names.filter(|path| path.extension().is_some_and(|end| end == "pid" || end == "job")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_an_engine_cannot_limit_is_refused_and_what_it_kills_for_memory_is_told() {
    let engine = Engine::new();
    let dir = engine.place.path().join("bin/engine");
    write(&dir, "rootless", "");
    let output = engine.stead(&["--limit", "pids=9"], "touch file").output().unwrap();
    assert_eq!(code(&output), 125, "{}", describe(&output));
    assert!(text(&output.stderr).contains("cannot limit the `pids` of a container"), "{}", describe(&output));
    assert!(!engine.place.tree("x").exists());

    write(&dir, "oom", "");
    let output = engine.stead(&["--limit", "memory=64M"], "exit 137").output().unwrap();
    assert_eq!(code(&output), 137, "{}", describe(&output));
    assert!(text(&output.stderr).contains("reached its limit `memory=64M`"), "{}", describe(&output));
    assert!(!engine.place.tree("x").join("oom").exists(), "the monitor writes to where it is started");
    let runs = engine.place.root().join("state/local/x/runs");
    let run = runs.read_dir().unwrap().next().unwrap().unwrap().path();
    assert!(!run.join("oom").exists() && !run.join("container").exists(), "files of the engine, which others may read");
}

#[test]
fn without_an_engine_or_an_image_nothing_is_run() {
    let engine = Engine::new();
    let refused = |text: &str, kind: &str| {
        let mut command = engine.stead(&[], "touch file");
        command.env("HOME", engine.place.home());
        let output = command.output().unwrap();
        assert_eq!(code(&output), 125, "{}", describe(&output));
        assert!(super::text(&output.stderr).contains(text), "{kind}: {}", describe(&output));
        assert!(!engine.place.tree("x").exists());
    };
    let dir = engine.place.path().join("bin/engine");
    write(&dir, "down", "");
    refused("the daemon is down", "unsupported");
    std::fs::remove_file(dir.join("down")).unwrap();
    write(&engine.place.home(), ".config/stead/config.toml", "[container]\nengine = 'no-such-engine'\n");
    refused("there is no no-such-engine", "unsupported");
    write(&engine.place.home(), ".config/stead/config.toml", "[container]\nengine = 'docker'\n");
    refused("which image", "usage");
    write(&engine.place.home(), ".config/stead/config.toml", SETTINGS);
    write(&dir, "refuse", "");
    let output = engine.stead(&[], "touch file").output().unwrap();
    assert_eq!(code(&output), 125, "{}", describe(&output));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("no such image") && stderr.contains("makes no container"), "{}", describe(&output));
}
