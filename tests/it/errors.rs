//! Every kind of failure: its text, its JSON, its exit code, and that nothing has changed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use snapbox::{assert_data_eq, str};

use crate::support::{Place, write};

/// Asserts that `stead ARGS` fails in both forms alike: with this code, this kind, and the message of the text.
fn assert_fails(place: &Place, args: &[&str], code: i32, kind: &str) -> String {
    let text = place.transcript(&mut place.stead(args));
    let (json_code, answer) = place.json(args.iter().copied());
    assert_eq!(json_code, code, "{answer}");
    assert_eq!(answer["schema"], 1);
    assert_eq!(answer["error"]["kind"], kind, "{answer}");
    assert!(answer["error"]["causes"].is_array(), "{answer}");
    let message = answer["error"]["message"].as_str().expect("a message");
    let message = message.replace(place.path().to_str().expect("UTF-8"), "[PLACE]");
    assert!(text.contains(&format!("error: {message}\n")), "{message}\n{text}");
    text
}

#[test]
fn failed() {
    let place = Place::new();
    // Nothing listens on this port.
    let text = assert_fails(&place, &["create", "one", "--from", "http://127.0.0.1:9/x.git"], 1, "failed");
    assert!(text.contains("127.0.0.1"), "{text}");
    assert!(!place.tree("one").exists());
}

#[test]
fn usage() {
    let place = Place::new();
    let text = assert_fails(&place, &["path", "../up"], 2, "usage");
    assert_data_eq!(
        text,
        str![[r#"
exit status: 2
--- stdout
--- stderr
error: `../up` is not a workspace name: it starts with a dot or a dash
  hint: try `up`

"#]]
    );
    assert!(!place.root().exists());
}

#[test]
fn not_found() {
    let place = Place::new();
    place.ok(["create", "fix-login", "--empty"]);
    let text = assert_fails(&place, &["path", "fix-logn"], 3, "not-found");
    assert_data_eq!(
        text,
        str![[r#"
exit status: 3
--- stdout
--- stderr
error: there is no workspace `fix-logn`
  hint: did you mean `fix-login`?

"#]]
    );
}

#[test]
fn exists() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    let text = assert_fails(&place, &["create", "one", "--empty"], 4, "exists");
    assert_data_eq!(
        text,
        str![[r#"
exit status: 4
--- stdout
--- stderr
error: workspace `one` exists
  hint: use it with `stead exec one`, or choose another name

"#]]
    );
}

#[test]
fn busy() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    let mut run = place
        .stead(["exec", "one", "--", "sh", "-c", "echo ready; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("stead starts");
    let mut line = String::new();
    BufReader::new(run.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    let text = assert_fails(&place, &["rm", "one"], 5, "busy");
    assert!(text.contains("error: workspace `one` is in use by `exec` (process "), "{text}");
    run.stdin.take().expect("a pipe").write_all(b"\n").expect("written");
    assert!(run.wait().expect("an end").success());
    place.ok(["rm", "one"]);
}

#[test]
fn conflict() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "one", "--from", project.to_str().expect("UTF-8")]);
    write(&place.tree("one"), "docs/guide.md", "one\nTWO\nthree\n");
    write(&project, "docs/guide.md", "one\nzwei\nthree\n");
    let text =
        assert_fails(&place, &["sync", "one", "--to", project.to_str().expect("UTF-8"), "--apply"], 6, "conflict");
    assert!(text.contains("docs/guide.md"), "{text}");
    let kept = std::fs::read_to_string(project.join("docs/guide.md")).expect("file");
    assert_eq!(kept, "one\nzwei\nthree\n");
}

#[test]
fn refused() {
    let place = Place::new();
    write(place.path(), "other/file", "x");
    let other = place.path().join("other");
    let text = assert_fails(&place, &["--root", other.to_str().expect("UTF-8"), "log"], 7, "refused");
    assert_data_eq!(
        text,
        str![[r#"
exit status: 7
--- stdout
--- stderr
error: `[PLACE]/other` is not empty and has no `stead.toml`
  hint: choose an empty or new directory with `--root` or `STEAD_ROOT`

"#]]
    );
    assert_eq!(other.read_dir().expect("directory").count(), 1);
}

#[test]
fn a_root_that_cannot_be_made_or_is_not_ours_is_refused_before_anything_is_changed() {
    let place = Place::new();
    // To an ordinary user it is somebody else's, to root a directory that holds other things.
    assert_fails(&place, &["--root", "/usr", "create", "one", "--empty"], 7, "refused");
    // Nothing can be made there, whoever asks.
    let text = assert_fails(&place, &["--root", "/proc/stead", "create", "one", "--empty"], 1, "failed");
    assert!(text.contains("`/proc/stead`"), "{text}");
    let file = place.path().join("file");
    write(place.path(), "file", "x");
    assert_fails(&place, &["--root", file.to_str().expect("UTF-8"), "create", "one", "--empty"], 7, "refused");
    assert_eq!(std::fs::read_to_string(file).expect("file"), "x");
}

#[test]
fn bad_input_is_usage_and_leaves_no_root() {
    let place = Place::new();
    for args in [
        &["create", "-x"][..],
        &["create", "a/b", "--empty"],
        &["create", "one", "--from", "ext::sh -c id"],
        &["create", "one", "--from", "ftp://example.com/x"],
        &["create", "one", "--empty", "--ttl", "1 day"],
        &["create", "one", "--empty", "--ports", "-1"],
        &["create", "one", "--empty", "--identity", "nobody"],
        &["create", "one", "--empty", "--env", "NOVALUE"],
        &["gc", "--max-size", "4 GB"],
        &["log", "--limit", "x"],
        &["--user", "../up", "create", "one", "--empty"],
    ] {
        let (code, answer) = place.json(args.iter().copied());
        assert_eq!((code, answer["error"]["kind"].as_str()), (2, Some("usage")), "{args:?} {answer}");
        assert!(!place.root().join("state").exists() || !place.root().join("state/local/one").exists(), "{args:?}");
    }
}

#[test]
fn unsupported() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    // Of exec, so with its own code for failures of stead itself.
    let args = ["exec", "one", "--isolation", "none", "--net", "off", "--", "true"];
    let text = assert_fails(&place, &args, 125, "unsupported");
    assert_data_eq!(
        text,
        str![[r#"
exit status: 125
--- stdout
--- stderr
error: without a wall the network of a run cannot be shut off
  hint: run it with `--net on`, or with `--isolation namespaces` or `landlock`

"#]]
    );
}

#[test]
fn damaged() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    write(&place.root(), "state/local/one/workspace.toml", "schema = 1\n");
    let text = assert_fails(&place, &["path", "one"], 9, "damaged");
    assert_data_eq!(
        text,
        str![[r#"
exit status: 9
--- stdout
--- stderr
error: `[PLACE]/root/state/local/one/workspace.toml` is damaged: missing field `name`
  hint: run `stead doctor --repair`

"#]]
    );
    assert!(place.tree("one").exists());
}
