//! How runs end, and that nothing of them is left.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{children, code, is_alive, signal, text, until};
use crate::support::{Place, describe};

#[test]
fn at_the_deadline_the_whole_tree_of_processes_ends() {
    let place = Place::new();
    let script = "setsid sh -c 'trap \"\" TERM; echo $$ > grandchild; while :; do sleep 1000; done' & \
                  trap '' TERM; echo partial > file; while :; do sleep 1000; done";
    let output = place.run_sh(&["--timeout", "2"], script);
    assert_eq!(code(&output), 124, "{}", describe(&output));
    assert!(!is_alive(place.process_id("grandchild")));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("Running `sh` for at most 2 s"), "{stderr}");
    assert!(stderr.contains("The run was ended after 2 s: its time was over."), "{stderr}");
    assert!(stderr.contains("create file (+1 -0)\n"), "{stderr}");
}

#[test]
fn a_command_has_time_for_its_own_end_at_the_deadline() {
    let place = Place::new();
    let script = "trap 'sleep 1; echo work > saved; exit 3' TERM; while :; do sleep 0.05; done";
    let output = place.run_sh(&["--timeout", "1"], script);
    assert_eq!(code(&output), 124, "{}", describe(&output));
    assert!(text(&output.stderr).contains("create saved (+1 -0)\n"), "{}", describe(&output));
}

#[test]
fn what_is_left_when_the_command_has_ended_at_the_deadline_has_less_time() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let script = "setsid sh -c 'trap \"echo told > told\" TERM; echo $$ > left; while :; do sleep 0.05; done' & \
                  until [ -s left ]; do :; done; touch started; while :; do sleep 0.05; done";
    let stead = place.start_sh(&[], script);
    let start = Instant::now();
    signal(stead.id(), "TERM");
    let output = stead.wait_with_output().unwrap();
    // As long as the command itself may take.
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(code(&output), 143, "{}", describe(&output));
    assert!(!is_alive(place.process_id("left")));
    assert!(text(&output.stderr).contains("create told (+1 -0)\n"), "{}", describe(&output));
}

#[test]
fn a_silent_run_ends_after_its_idle_timeout() {
    let place = Place::new();
    let output = place.run_sh(&["--idle-timeout", "1"], "echo once; sleep 1000");
    assert_eq!(code(&output), 124, "{}", describe(&output));
    assert!(text(&output.stderr).contains("it printed nothing for 1 s"), "{}", describe(&output));
}

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    let place = Place::new();
    // It keeps the pipe open as well, which must not be waited for.
    let script = "setsid sh -c 'trap \"\" TERM HUP; echo $$ > left; while :; do sleep 1000; done' & \
                  until [ -s left ]; do :; done; echo done";
    let output = place.run_sh(&[], script);
    assert_eq!((code(&output), text(&output.stdout)), (0, "done\n".into()), "{}", describe(&output));
    assert!(!is_alive(place.process_id("left")));
    assert!(text(&output.stderr).contains("left behind"), "{}", describe(&output));
}

#[test]
fn killing_stead_ends_the_run_and_the_next_one_says_so() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let script = "setsid sh -c 'trap \"\" TERM; echo $$ > left; while :; do sleep 1000; done' & \
                  echo $$ > main; until [ -s left ]; do :; done; touch started; while :; do sleep 1000; done";
    let mut stead = place.start_sh(&[], script);
    stead.kill().unwrap();
    stead.wait().unwrap();
    let (main, left) = (place.process_id("main"), place.process_id("left"));
    until("the run ends", || !is_alive(main) && !is_alive(left));
    let output = place.run_sh(&["--wait"], "true");
    assert_eq!(code(&output), 0, "{}", describe(&output));
    assert!(text(&output.stderr).contains("has no end on record: stead was killed"), "{}", describe(&output));
    // What it had changed is told like that of any other run.
    assert!(text(&output.stderr).contains("What changed since it began is on record"), "{}", describe(&output));
    let (_, answer) = place.json(["log", "x"]);
    let lost = &answer["runs"][1];
    assert_eq!((&lost["outcome"], &lost["changes"]), (&"lost".into(), &3.into()), "{answer}");
    let diff = place.ok(["diff", "x", "--run", lost["id"].as_str().unwrap(), "--stat"]);
    assert!(diff.contains("3 files changed"), "{diff}");
    let output = place.run_sh(&[], "true");
    assert_eq!(text(&output.stderr), "Nothing changed.\n");
}

#[test]
fn killing_the_supervisor_ends_the_run_and_the_changes_are_told() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let script = "setsid sh -c 'trap \"\" TERM; echo $$ > left; while :; do sleep 1000; done' & \
                  until [ -s left ]; do :; done; touch started; while :; do sleep 1000; done";
    let stead = place.start_sh(&[], script);
    let supervisors = children(stead.id());
    assert_eq!(supervisors.len(), 1);
    signal(supervisors[0], "KILL");
    let output = stead.wait_with_output().unwrap();
    assert_eq!(code(&output), 125, "{}", describe(&output));
    assert!(!is_alive(place.process_id("left")));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("warning: the supervisor of the run was killed") && stderr.contains("create left (+1 -0)\n"),
        "{stderr}"
    );
}

#[test]
fn what_survives_both_is_swept_by_the_next_run() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let script = "setsid sh -c 'trap \"\" TERM; echo $$ > left; while :; do sleep 1000; done' & \
                  until [ -s left ]; do :; done; touch started; while :; do sleep 1000; done";
    let mut stead = place.start_sh(&[], script);
    let supervisor = children(stead.id())[0];
    // Stopped, neither can see the other's end.
    signal(stead.id(), "STOP");
    signal(supervisor, "KILL");
    stead.kill().unwrap();
    stead.wait().unwrap();
    let left = place.process_id("left");
    assert!(is_alive(left));
    let output = place.run_sh(&["--wait"], "true");
    assert_eq!(code(&output), 0, "{}", describe(&output));
    assert!(!is_alive(left));
    assert!(text(&output.stderr).contains("of it were ended"), "{}", describe(&output));
}

#[test]
fn an_interrupt_is_passed_on_and_a_second_one_kills() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let script = "trap 'echo caught; touch caught' INT; touch started; while :; do sleep 0.05; done";
    let stead = place.start_sh(&[], script);
    signal(stead.id(), "INT");
    until("the trap runs", || place.tree("x").join("caught").exists());
    signal(stead.id(), "INT");
    let output = stead.wait_with_output().unwrap();
    assert_eq!((code(&output), text(&output.stdout)), (137, "caught\n".into()), "{}", describe(&output));
    assert!(text(&output.stderr).contains("create caught\n"), "{}", describe(&output));
}

#[test]
fn a_run_that_is_terminated_tells_its_changes() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let script = "setsid sh -c 'trap \"\" TERM; echo $$ > left; while :; do sleep 1000; done' & \
                  trap '' TERM; until [ -s left ]; do :; done; touch started; while :; do sleep 1000; done";
    let stead = place.start_sh(&[], script);
    signal(stead.id(), "TERM");
    let output = stead.wait_with_output().unwrap();
    assert_eq!(code(&output), 137, "{}", describe(&output));
    assert!(!is_alive(place.process_id("left")));
    assert!(text(&output.stderr).contains("create started\n"), "{}", describe(&output));
}

#[test]
fn signals_are_at_their_defaults_in_the_command() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let stead = place.sh(&[], "grep -E 'Sig(Ign|Blk)' /proc/self/status");
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' INT QUIT PIPE HUP USR1; exec \"$@\"", "sh"]).arg(stead.get_program());
    shell.args(stead.get_args()).current_dir(stead.get_current_dir().unwrap());
    for (name, value) in stead.get_envs() {
        shell.env(name, value.unwrap());
    }
    let output = shell.output().unwrap();
    // The C library keeps 32 and 33 to itself.
    let masks: Vec<u64> = text(&output.stdout)
        .lines()
        .map(|line| u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap() & !(0b11 << 31))
        .collect();
    assert_eq!(masks, [0, 0], "{}", describe(&output));
}

#[test]
fn a_reader_that_goes_away_ends_the_command_by_sigpipe() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let mut stead = place.stead(["exec", "x", "--isolation", "none", "--", "yes"]);
    let mut stead = stead.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = stead.stdout.take().unwrap();
    std::io::Read::read_exact(&mut stdout, &mut [0; 2]).unwrap();
    drop(stdout);
    assert_eq!(code(&stead.wait_with_output().unwrap()), 128 + 13);
}
