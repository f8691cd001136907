//! Runs whose record a kill or a power cut has taken.

use crate::support::{Place, write};

use super::checks;

const UNBORN: &str = "20260131-154500-0f3a";

/// Makes a workspace with one run and returns the directory of its runs and the id.
fn ran(place: &Place) -> (std::path::PathBuf, String) {
    place.ok(["exec", "one", "--empty", "--", "sh", "-c", "echo work > file"]);
    let (_, answer) = place.json(["log", "one"]);
    let id = answer["runs"][0]["id"].as_str().expect("an id").to_owned();
    (place.root().join("state/local/one/runs"), id)
}

#[test]
fn what_a_run_leaves_that_never_began_is_named_and_goes() {
    let place = Place::new();
    let (runs, id) = ran(&place);
    // It sorts behind the one that ended, as a later one does.
    let late = "29991231-235959-ffff";
    for (unborn, name) in [(UNBORN, "out"), (late, ".stead-tmp-0123456789abcdef")] {
        write(&runs, &format!("{unborn}/{name}"), "");
        let mode = std::os::unix::fs::PermissionsExt::from_mode;
        std::fs::set_permissions(runs.join(unborn), mode(0o700)).expect("a mode");
        std::fs::set_permissions(runs.join(unborn).join(name), mode(0o600)).expect("a mode");
    }
    let says = |id: &str| format!("`one`: the run {id} was cut off before its command was started");
    let (code, answer) = place.json(["doctor"]);
    let found = checks(&answer, "run");
    assert_eq!((code, found), (0, vec![("warning", says(UNBORN).as_str()), ("warning", says(late).as_str())]));
    for args in [&["log", "one"][..], &["status", "one"], &["diff", "one"], &["gc", "-n"], &["undo", "one", "-n"]] {
        place.ok(args);
    }
    // The next run takes the latest away; it says nothing, since there is nothing to say.
    let output = place.stead(["exec", "one", "--", "true"]).output().expect("stead starts");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "Nothing changed.\n");
    assert!(!runs.join(late).exists() && runs.join(UNBORN).exists());
    let (code, answer) = place.json(["doctor", "--repair"]);
    let words = says(UNBORN) + "; what is left of it is removed";
    assert_eq!((code, checks(&answer, "run")), (0, vec![("repaired", words.as_str())]));
    assert!(!runs.join(UNBORN).exists() && runs.join(id).join("run.toml").exists());
    assert_eq!(checks(&place.json(["doctor"]).1, "run"), []);
}

#[test]
fn a_record_of_a_run_that_is_gone_or_damaged_is_made_anew() {
    for (content, says) in [(None, "gone"), (Some("schema = 1\nid ="), "damaged"), (Some(""), "damaged")] {
        let place = Place::new();
        let (runs, id) = ran(&place);
        let record = runs.join(&id).join("run.toml");
        std::fs::remove_file(&record).expect("a record");
        if let Some(content) = content {
            write(&runs, &format!("{id}/run.toml"), content);
            std::fs::set_permissions(&record, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
        }
        place.ok(["exec", "one", "--", "true"]);
        assert!(runs.join(&id).join("out").exists(), "{says}");
        let words = format!("`one`: the record of the run {id} is {says}");
        let (code, answer) = place.json(["doctor"]);
        assert_eq!((code, checks(&answer, "run")), (9, vec![("problem", words.as_str())]));
        let (code, answer) = place.json(["doctor", "--repair"]);
        let words = words + "; it is made anew of its snapshots";
        assert_eq!((code, checks(&answer, "run")), (0, vec![("repaired", words.as_str())]));
        let (_, answer) = place.json(["log", "one"]);
        let runs = answer["runs"].as_array().expect("runs");
        let run = runs.iter().find(|run| run["id"] == id.as_str()).expect("the run");
        assert_eq!((&run["outcome"], &run["undoable"]), (&"lost".into(), &true.into()), "{answer}");
        let (_, answer) = place.json(["doctor"]);
        assert_eq!(checks(&answer, "run"), []);
        assert_eq!(place.json(["doctor"]).0, 0);
        place.ok(["undo", "one", &id]);
        assert!(!place.tree("one").join("file").exists());
    }
}

#[test]
fn a_record_of_a_run_by_a_newer_stead_is_left() {
    let place = Place::new();
    let (runs, id) = ran(&place);
    write(&runs, &format!("{id}/run.toml"), "schema = 2\n");
    for args in [&["doctor"][..], &["doctor", "--repair"]] {
        let (code, answer) = place.json(args);
        let words = format!("`one`: the record of the run {id} was written by a newer stead");
        assert_eq!((code, checks(&answer, "run")), (9, vec![("problem", words.as_str())]));
    }
}
