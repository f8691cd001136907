//! Limits: what is over one is ended and said, what cannot be had is refused.

use super::{code, text};
use crate::support::{Place, describe, write};

#[test]
fn more_processes_than_allowed_end_the_run() {
    let place = Place::new();
    // Nine that sleep, over a limit of six; with a cgroup the ninth cannot be started.
    let script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 600 & done; wait";
    let output = place.run_sh(&["--limit", "pids=6", "--timeout", "50s"], script);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("limit `pids=6`") || stderr.contains("fork"), "{}", describe(&output));
    if code(&output) == 137 {
        let (_, log) = place.json(["log", "x"]);
        let run = &log["runs"][0];
        assert_eq!((run["outcome"].as_str(), run["limit"].as_str()), (Some("limit"), Some("pids")), "{log}");
    }
}

#[test]
fn more_memory_than_allowed_ends_the_run() {
    let place = Place::new();
    // A shell that doubles a text; it would need gigabytes to end by itself.
    let script = "x=0123456789; while :; do x=$x$x; done";
    let output = place.run_sh(&["--limit", "memory=64M", "--timeout", "50s"], script);
    assert_eq!(code(&output), 137, "{}", describe(&output));
    assert!(text(&output.stderr).contains("it reached its limit `memory=64M`"), "{}", describe(&output));
    let (_, log) = place.json(["log", "x"]);
    assert!(log["runs"][0]["usage"]["peak_memory"].as_u64().unwrap() > 32 << 20, "{log}");
}

#[test]
fn a_file_larger_than_allowed_cannot_be_written_and_none_is_cut() {
    let place = Place::new();
    let output =
        place.run_sh(&["--limit", "file-size=64K,open-files=20"], "ulimit -n; exec head -c 200000 /dev/zero > big");
    assert_eq!((code(&output), text(&output.stdout).as_str()), (153, "20\n"), "{}", describe(&output));
    assert!(text(&output.stderr).contains("it reached its limit `file-size=64K`"), "{}", describe(&output));
    assert_eq!(std::fs::metadata(place.tree("x").join("big")).unwrap().len(), 64 << 10);
}

#[test]
fn too_little_room_on_the_disk_ends_the_run() {
    let place = Place::new();
    let output = place.run_sh(&["--limit", "disk-free=1000000T", "--timeout", "50s"], "sleep 600");
    assert_eq!(code(&output), 137, "{}", describe(&output));
    assert!(text(&output.stderr).contains("`disk-free=1000000T`"), "{}", describe(&output));
}

#[test]
fn limits_come_from_the_configuration_the_workspace_and_the_command_line() {
    let place = Place::new();
    write(
        &place.home(),
        ".config/stead/config.toml",
        "[limits]\nopen_files = 40\n[users.local.limits]\nopen_files = 30\n",
    );
    let run = |options: &[&str]| text(&place.run_sh(options, "ulimit -n").stdout);
    assert_eq!(run(&[]), "30\n");
    place.ok(["rm", "x"]);
    place.ok(["create", "x", "--empty", "--limit", "open-files=25"]);
    assert_eq!(run(&[]), "25\n");
    assert_eq!(run(&["--limit", "open-files=20"]), "20\n");
    assert!(run(&["--limit", "open-files=none"]) != "25\n");
    let output = place.stead(["exec", "x", "-n", "--", "true"]).output().unwrap();
    assert!(text(&output.stdout).contains("limits       open-files=25\n"), "{}", describe(&output));
}

#[test]
fn a_project_may_lower_a_limit_and_not_raise_it() {
    let place = Place::new();
    let project = place.project("api");
    write(&place.home(), ".config/stead/config.toml", "[limits]\nopen_files = 40\n");
    place.ok(["create", "x", "--empty"]);
    for (asked, got) in [("20", "20\n"), ("60", "40\n")] {
        write(&project, ".stead.toml", format!("[limits]\nopen_files = {asked}\n"));
        let mut command = place.sh(&[], "ulimit -n");
        assert_eq!(text(&command.current_dir(&project).output().unwrap().stdout), got);
    }
}

#[test]
fn what_the_host_cannot_limit_is_refused_before_anything_is_made() {
    let place = Place::new();
    let (_, doctor) = place.json(["doctor"]);
    let checks = doctor["checks"].as_array().unwrap();
    let delegated = checks.iter().any(|check| check["name"] == "cgroup" && check["status"] == "ok");
    let (code, object) = place.json(["exec", "x", "--empty", "--limit", "cpus=2", "--", "true"]);
    if !delegated {
        assert_eq!((code, object["error"]["kind"].as_str()), (125, Some("unsupported")), "{object}");
        assert!(!place.root().exists());
    }
    for wrong in ["cpus=0", "colour=red", "memory"] {
        let (code, object) = place.json(["exec", "y", "--empty", "--limit", wrong, "--", "true"]);
        assert_eq!((code, object["error"]["kind"].as_str()), (125, Some("usage")), "{object}");
        assert!(!place.tree("y").exists());
    }
}

#[test]
fn what_works_on_in_the_background_is_counted_too() {
    let place = Place::new();
    let work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; touch done";
    let script = format!("setsid sh -c '{work}' & while [ ! -e done ]; do sleep 0.01; done");
    let (code, object) = place.json(["exec", "x", "--empty", "--isolation", "none", "--", "sh", "-c", &script]);
    assert_eq!(code, 0, "{object}");
    let cpu = object["usage"]["cpu_user"].as_f64().unwrap() + object["usage"]["cpu_system"].as_f64().unwrap();
    assert!(cpu > 0.02, "{object}");
    assert!(object["usage"]["disk_delta"].is_i64() || object["usage"]["disk_delta"].is_u64(), "{object}");
    let (_, log) = place.json(["log", "x"]);
    assert_eq!(log["runs"][0]["usage"], object["usage"]);
}
