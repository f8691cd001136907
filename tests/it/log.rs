//! `stead log`: runs, and the audit trail.

use snapbox::{assert_data_eq, str};

use crate::support::Place;

#[test]
fn runs_are_listed_newest_first() {
    let place = Place::new();
    place.ok(["exec", "one", "--empty", "--", "sh", "-c", "echo a > a; echo b > b"]);
    let failed = place.stead(["exec", "one", "--", "sh", "-c", "rm a; exit 3"]).output().expect("stead starts");
    assert_eq!(failed.status.code(), Some(3));
    place.ok(["exec", "two", "--empty", "--", "true"]);
    let (code, answer) = place.json(["log"]);
    assert_eq!(code, 0);
    let runs = answer["runs"].as_array().expect("an array");
    let lines: Vec<String> = runs
        .iter()
        .map(|run| format!("{} {} {} {}", run["workspace"], run["exit"], run["changes"], run["outcome"]))
        .collect();
    assert_data_eq!(
        lines.join("\n"),
        str![[r#"
"two" 0 0 "exited"
"one" 3 1 "exited"
"one" 0 2 "exited"
"#]]
    );
    let text = place.ok(["log", "one", "--limit", "1"]);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("sh -c rm a; exit 3"), "{text}");
}

#[test]
fn what_was_applied_is_listed_with_whether_it_can_be_taken_back() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "one", "--from", "api"]);
    let apply = |text: &str| {
        crate::support::write(&place.tree("one"), "new", text);
        place.ok(["sync", "one", "--to", "api", "--apply"]);
    };
    apply("1\n");
    apply("2\n");
    place.ok(["undo", "one", "--apply", "api"]);
    let (_, answer) = place.json(["log", "one"]);
    let applies = answer["applies"].as_array().expect("applies");
    let of = |key: &str| applies.iter().map(|one| one[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("undoable"), [false, false, true], "{answer}");
    assert_eq!(of("undoes"), [applies[1]["id"].clone(), serde_json::Value::Null, serde_json::Value::Null]);
    assert_eq!(of("changes"), [1, 1, 1]);
    let day = &applies[2]["id"].as_str().expect("an id")[..8];
    let until = applies[2]["undoable_until"].as_str().expect("a time, for it is not the last").replace('-', "");
    assert!(until.as_str() > day, "{answer}");
    let target = place.path().join("projects/api");
    assert!(of("target").iter().all(|path| path.as_str() == target.to_str()), "{answer}");
    place.ok(["exec", "one", "--", "true"]);
    let text = place.ok(["log", "one", "--limit", "3"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() == 4 && lines[1].ends_with("yes   true"), "{text}");
    assert!(lines[2].contains("undo of ") && lines[3].contains("  -     apply to "), "{text}");
    // What it says is so.
    place.ok(["undo", "one", "--apply", "api"]);
    assert!(!target.join("new").exists());
    place.fails(&["undo", "one", "--apply", "api"], 3, "can be taken back");
}

#[test]
fn without_runs_and_without_a_root_there_is_nothing_to_list() {
    let place = Place::new();
    assert_eq!(place.ok(["log"]), "No runs.\n");
    assert_eq!(place.ok(["log", "--audit"]), "No events.\n");
    let (code, answer) = place.json(["log", "nope"]);
    assert_eq!((code, answer["error"]["kind"].as_str()), (3, Some("not-found")));
    assert!(!place.root().exists());
}

#[test]
fn the_audit_trail_has_every_change_and_no_secret() {
    let place = Place::new();
    place.ok(["create", "one", "--empty", "--env", "TOKEN=s3cret"]);
    place.ok(["exec", "one", "--", "sh", "-c", "echo s3cret"]);
    // Readers and dry runs leave no line.
    place.ok(["path", "one"]);
    place.ok(["gc", "--dry-run"]);
    assert_eq!(place.stead(["create", "one", "--empty"]).output().expect("stead starts").status.code(), Some(4));
    place.ok(["rm", "one"]);
    let (_, answer) = place.json(["log", "--audit"]);
    let events = answer["events"].as_array().expect("an array");
    let lines: Vec<String> = events
        .iter()
        .map(|event| {
            format!(
                "{} {} {} {} {}",
                event["command"], event["workspaces"], event["options"], event["exit"], event["kind"]
            )
        })
        .collect();
    assert_data_eq!(
        lines.join("\n"),
        str![[r#"
"rm" ["one"] [] 0 null
"create" ["one"] ["empty"] 4 "exists"
"exec" ["one"] [] 0 null
"create" ["one"] ["empty","env"] 0 null
"#]]
    );
    let text = std::fs::read_to_string(place.root().join("audit.jsonl")).expect("the trail");
    assert!(!text.contains("s3cret"));
    // Another user sees none of it.
    let (_, answer) = place.json(["--user", "a@example.com", "log", "--audit"]);
    assert_eq!(answer["events"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_trail_that_cannot_be_written_fails_no_command() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    let trail = place.root().join("audit.jsonl");
    std::fs::remove_file(&trail).expect("removed");
    std::fs::create_dir(&trail).expect("in the way");
    place.ok(["create", "two", "--empty"]);
    assert!(place.tree("two").exists());
}
