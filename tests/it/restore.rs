//! `stead restore`.

use crate::support::{Place, describe, write};

#[test]
fn the_last_of_a_name_comes_back_and_another_under_a_new_name() {
    let place = Place::new();
    place.project("api");
    for content in ["old\n", "new\n"] {
        place.ok(["create", "x", "--from", "api"]);
        write(&place.tree("x"), "work.txt", content);
        place.ok(["rm", "-f", "x"]);
    }
    place.ok(["restore", "x"]);
    let output = place.stead(["restore", "x"]).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(4), "{}", describe(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("there is already a workspace `x`"), "{stderr}");
    assert!(stderr.contains("`stead restore x --as NEW`"), "{stderr}");
    let text = place.ok(["restore", "x", "--as", "y"]);
    assert!(text.starts_with("Restored `x` as `y`.\n"), "{text}");
    for (name, content) in [("x", "new\n"), ("y", "old\n")] {
        assert_eq!(std::fs::read_to_string(place.tree(name).join("work.txt")).expect("file"), content);
        assert_eq!(place.git(&place.tree(name), ["status", "--porcelain"]), "?? work.txt\n");
    }
    assert_eq!(std::fs::read_dir(place.root().join("trash")).expect("trash").count(), 0);
    place.ok(["rm", "-f", "y"]);
}

#[test]
fn what_is_not_in_the_trash_is_not_found() {
    let place = Place::new();
    place.ok(["create", "other", "--empty"]);
    place.ok(["rm", "other"]);
    let output = place.stead(["restore", "x"]).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(3), "{}", describe(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "error: there is no workspace `x` in the trash\n  hint: the trash has `other`\n");
    let (code, answer) = place.json(["restore", "other", "--as", "no/name"]);
    assert_eq!((code, answer["error"]["kind"].as_str()), (2, Some("usage")));
}

#[test]
fn a_restored_workspace_is_not_collected_at_once() {
    let place = Place::new();
    place.ok(["create", "x", "--empty", "--ttl", "1h"]);
    let record = place.root().join("state/local/x/workspace.toml");
    let text = std::fs::read_to_string(&record).expect("record");
    let old: Vec<String> =
        text.lines()
            .map(|line| {
                if line.starts_with("last_used") { "last_used = \"2020-01-01T00:00:00Z\"".into() } else { line.into() }
            })
            .collect();
    std::fs::write(&record, old.join("\n")).expect("record");
    let text = place.ok(["gc"]);
    assert!(text.starts_with("Moved `x` to the trash: not used for "), "{text}");
    let (_, answer) = place.json(["restore", "x"]);
    assert_eq!((answer["workspace"].as_str(), answer["was"].as_str()), (Some("x"), Some("x")));
    assert_eq!(place.ok(["gc"]), "");
    assert!(place.tree("x").exists());
}
