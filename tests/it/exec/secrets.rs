//! Secrets: they reach the command, and nothing that is kept or shown.

use std::path::Path;
use std::process::Stdio;

use super::{code, text};
use crate::support::{Place, describe, write};

/// Fails when a file below `directory` holds `value`.
fn assert_nowhere(directory: &Path, value: &str) {
    for entry in walkdir::WalkDir::new(directory).into_iter().map(|entry| entry.unwrap()) {
        if entry.file_type().is_file() {
            let content = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
            assert!(!content.contains(value), "{}: {content}", entry.path().display());
        }
    }
}

#[test]
fn a_secret_reaches_the_command_and_no_record_log_or_answer() {
    let place = Place::new();
    let script = "printf 'raw %s\\n' \"$TOKEN\"; printf %s \"x$TOKEN\" | base64 >&2; test \"$TOKEN\" = s3cret/value";
    let run = |options: &[&str]| {
        let mut command = place.stead(options);
        command.args(["exec", "x", "--isolation", "none", "--secret", "TOKEN"]);
        if !place.tree("x").exists() {
            command.arg("--empty");
        }
        command.args(["--", "sh", "-c", script]).env("TOKEN", "s3cret/value").output().unwrap()
    };
    let output = run(&["-v"]);
    assert_eq!((code(&output), text(&output.stdout).as_str()), (0, "raw [TOKEN redacted]\n"), "{}", describe(&output));
    assert!(!text(&output.stderr).contains("czNjcmV0L3Zhb") && !text(&output.stderr).contains("Not passed on: TOKEN"));
    assert!(text(&output.stderr).contains("[TOKEN redacted]"), "{}", describe(&output));
    let output = run(&["--json"]);
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((code(&output), &object["output"]), (0, &"raw [TOKEN redacted]\n".into()), "{object}");
    assert_nowhere(&place.root(), "s3cret/value");
    assert_nowhere(&place.root(), "NjcmV0L3ZhbHV");
    let log = std::fs::read_to_string(place.root().join("audit.jsonl")).unwrap();
    assert!(log.contains("\"secret\""), "{log}");
}

#[test]
fn a_secret_that_is_printed_bit_by_bit_is_taken_out() {
    let place = Place::new();
    // Each half is read by stead before the next is written: the file appears after it.
    let script = "printf s3cr; touch half; until [ -e go ]; do sleep 0.01; done; printf et-value; echo";
    let mut command = place.sh(&["--secret", "TOKEN=cmd:echo s3cret-value"], script);
    let stead = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    super::until("the first half", || place.tree("x").join("half").exists());
    write(&place.tree("x"), "go", "");
    let output = stead.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "[TOKEN redacted]\n", "{}", describe(&output));
}

#[test]
fn no_process_but_the_command_has_the_value() {
    let place = Place::new();
    let script = "touch started; until [ -e go ]; do sleep 0.01; done";
    let mut stead = place.start_sh(&["--secret", "TOKEN=cmd:echo s3cret-value"], script);
    let supervisor = super::children(stead.id());
    assert_eq!(supervisor.len(), 1);
    for id in [stead.id(), supervisor[0]] {
        for file in ["cmdline", "environ"] {
            let content = text(&std::fs::read(format!("/proc/{id}/{file}")).unwrap());
            assert!(!content.replace("echo s3cret-value", "").contains("s3cret-value"), "{file}: {content}");
        }
    }
    let commands = super::children(supervisor[0]);
    assert!(text(&std::fs::read(format!("/proc/{}/environ", commands[0])).unwrap()).contains("TOKEN=s3cret-value"));
    write(&place.tree("x"), "go", "");
    assert!(stead.wait().unwrap().success());
}

#[test]
fn a_secret_is_named_in_the_configuration_and_given_when_asked_for() {
    let place = Place::new();
    write(&place.home(), ".config/stead/config.toml", "[secrets]\nDEPLOY = 'cmd:echo from-a-command'\n");
    let script = "test \"${DEPLOY-none}\" = \"$1\"";
    let run = |options: &[&str], expected: &str| {
        let mut command = place.stead(["exec", "x", "--isolation", "none"]);
        if !place.tree("x").exists() {
            command.arg("--empty");
        }
        command.args(options).args(["--", "sh", "-c", script, "sh", expected]).output().unwrap()
    };
    assert_eq!(code(&run(&["--secret", "DEPLOY"], "from-a-command")), 0);
    assert_eq!(code(&run(&[], "none")), 0);
    let output = place.stead(["exec", "x", "-n", "--secret", "DEPLOY", "--", "true"]).output().unwrap();
    assert!(text(&output.stdout).contains(" DEPLOY "), "{}", describe(&output));
}

#[test]
fn a_project_may_not_say_where_secrets_are() {
    let place = Place::new();
    let project = place.project("api");
    write(&project, ".stead.toml", "[secrets]\nDEPLOY = 'cmd:touch ran'\n");
    let mut command = place.stead(["exec", "x", "--isolation", "none", "--secret", "DEPLOY", "--", "true"]);
    let output = command.current_dir(&project).output().unwrap();
    assert_eq!(code(&output), 125, "{}", describe(&output));
    assert!(text(&output.stderr).contains("there is no variable `DEPLOY`"), "{}", describe(&output));
    assert!(!project.join("ran").exists() && !place.tree("x").exists());
}

#[test]
fn what_makes_no_secret_is_told_before_anything_is_made() {
    let place = Place::new();
    let cases = [
        ("TOKEN", "there is no variable `TOKEN`"),
        ("TOKEN=s3cret-value", "`env:VARIABLE` or `cmd:COMMAND`"),
        ("TOKEN=cmd:echo short", "has less than 6 bytes"),
        ("TOKEN=cmd:echo s3cret-value; exit 3", "the command of the secret `TOKEN` ended with exit status: 3"),
    ];
    for (secret, message) in cases {
        let output = place.stead(["exec", "x", "--empty", "--secret", secret, "--", "true"]).output().unwrap();
        assert_eq!(code(&output), 125, "{secret}: {}", describe(&output));
        let stderr = text(&output.stderr);
        assert!(stderr.contains(message) && !stderr.contains("s3cret"), "{secret}: {stderr}");
        assert!(!place.tree("x").exists());
    }
}

#[test]
fn an_agents_own_key_is_taken_out_of_what_it_prints() {
    let place = Place::new();
    let path = place.program("claude", "#!/bin/sh\necho \"$ANTHROPIC_API_KEY $ANTHROPIC_BASE_URL\"\n");
    let mut command = place.stead(["exec", "x", "--empty", "--isolation", "none", "-m", "the key is sk-ant-0123"]);
    command.env("PATH", path).env("CLAUDE_API_KEY", "sk-ant-0123").env("ANTHROPIC_BASE_URL", "http://127.0.0.1:1");
    let output = command.output().unwrap();
    assert_eq!(text(&output.stdout), "[ANTHROPIC_API_KEY redacted] http://127.0.0.1:1\n", "{}", describe(&output));
    // The prompt is the user's own text.
    assert_eq!(place.json(["log", "x"]).1["runs"][0]["prompt"], "the key is sk-ant-0123");
}
