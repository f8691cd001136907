//! The command line as a whole: what is wrong with it, help, colours, pipes.

use std::io::Read as _;
use std::process::{Command, Stdio};

use snapbox::{assert_data_eq, str};

use crate::support::Place;

#[test]
fn a_wrong_command_line_says_what_is_wrong_and_what_is_close() {
    let place = Place::new();
    assert_data_eq!(
        place.transcript(&mut place.stead(["stauts"])),
        str![[r#"
exit status: 2
--- stdout
--- stderr
error: unrecognized subcommand 'stauts'
  hint: did you mean `status`?

"#]]
    );
    assert_data_eq!(
        place.transcript(&mut place.stead(["doctor", "--jsn"])),
        str![[r#"
exit status: 2
--- stdout
--- stderr
error: unexpected argument '--jsn' found
  hint: did you mean `--json`?

"#]]
    );
}

#[test]
fn with_json_a_wrong_command_line_is_an_object() {
    let place = Place::new();
    assert_data_eq!(
        place.transcript(&mut place.stead(["completions", "tcsh", "--json"])),
        str![[r#"
exit status: 2
--- stdout
{"schema":1,"error":{"kind":"usage","message":"invalid value 'tcsh' for '<SHELL>' [possible values: bash, zsh, fish]","causes":[],"hint":"did you mean `zsh`?"}}
--- stderr

"#]]
    );
}

#[test]
fn a_wrong_command_line_of_exec_is_125_and_keeps_its_kind() {
    let place = Place::new();
    let (code, answer) = place.json(["exec", "--no-such-flag"]);
    assert_eq!((code, answer["error"]["kind"].as_str()), (125, Some("usage")));
    // What stands behind `--` is the command's, also in a line that is wrong.
    let output = place.stead(["exec", "--no-such-flag", "--", "--json"]).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(125));
    assert!(output.stdout.is_empty());
}

#[test]
fn without_a_command_there_is_help_on_stderr() {
    let place = Place::new();
    let output = place.stead([""; 0]).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: stead"));
    assert!(place.ok(["--help"]).contains("Usage: stead"));
    assert!(place.ok(["--version"]).starts_with("stead "));
}

#[test]
fn colours_are_used_when_they_are_asked_for() {
    let place = Place::new();
    let escapes = |command: &mut Command| {
        let output = command.output().expect("stead starts");
        [output.stdout, output.stderr].concat().contains(&b'\x1b')
    };
    assert!(!escapes(&mut place.stead(["nope"])));
    assert!(
        escapes(&mut place.stead(["nope", "--color", "always"]))
            || escapes(&mut place.stead(["--color", "always", "nope"]))
    );
    assert!(escapes(place.stead(["nope"]).env("CLICOLOR_FORCE", "1")));
    assert!(!escapes(place.stead(["nope"]).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1")));
    assert!(!escapes(place.stead(["--color", "never", "nope"]).env("CLICOLOR_FORCE", "1")));
    assert!(!escapes(&mut place.stead(["--json", "--color=always", "config", "show"])));
    assert!(escapes(&mut place.stead(["--color=always", "--help"])));
}

#[test]
fn a_message_cannot_steer_the_terminal() {
    let place = Place::new();
    let output =
        place.stead(["config", "show", "a\x1b]0;title\x07\u{202e}\nerror: forged"]).output().expect("stead starts");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(r"a\u{1b}]0;title\u{7}\u{202e}\nerror: forged"), "{text}");
}

#[test]
fn a_reader_that_goes_away_is_not_an_error() {
    let place = Place::new();
    let mut child = place
        .stead(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("stead starts");
    drop(child.stdout.take());
    let mut text = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut text).expect("UTF-8");
    assert_eq!(child.wait().expect("an end").code(), Some(0), "{text}");
    assert_eq!(text, "");
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let place = Place::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let output = place.stead(["completions", "zsh"]).stdout(full).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: cannot write to stdout\n  caused by: No space left on device (os error 28)\n"
    );
}

#[test]
fn a_bad_duration_is_told_by_the_flag_that_holds_it() {
    let place = Place::new();
    let (code, answer) = place.json(["create", "x", "--empty", "--ttl", "soon"]);
    assert_eq!(code, 2);
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(message.contains("--ttl") && message.contains("`soon` is not a duration"), "{message}");
}
