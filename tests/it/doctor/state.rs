//! What can be wrong with the state of a workspace, and with what lies beside it.

use crate::support::{Place, write};

use super::checks;

/// Makes the workspace `one` of a project and returns the path of its record.
fn made(place: &Place) -> std::path::PathBuf {
    place.project("api");
    place.ok(["create", "one", "--from", "api"]);
    place.root().join("state/local/one/workspace.toml")
}

/// Changes the line of a record that begins with `key`.
fn change(record: &std::path::Path, key: &str, value: &str) {
    let text = std::fs::read_to_string(record).expect("a record");
    let lines =
        text.lines().map(|line| if line.starts_with(key) { format!("{key} = {value}") } else { line.to_owned() });
    std::fs::write(record, lines.collect::<Vec<_>>().join("\n")).expect("a record");
}

type Break = fn(&std::path::Path);

#[test]
fn a_record_that_is_gone_or_of_another_workspace_is_made_anew() {
    let place = Place::new();
    let record = made(&place);
    let before: toml::Table = std::fs::read_to_string(&record).expect("a record").parse().expect("TOML");
    let break_it: [(Break, &str); 2] = [
        (|record| std::fs::remove_file(record).expect("a record"), "`one`: it has no record"),
        (|record| change(record, "name", "\"other\""), "`one`: its record is of another workspace, `other`"),
    ];
    for (break_it, says) in break_it {
        break_it(&record);
        let (code, answer) = place.json(["doctor"]);
        assert_eq!((code, checks(&answer, "workspace")), (9, vec![("problem", says)]));
        let (code, answer) = place.json(["doctor", "--repair"]);
        let says = format!("{says}; its record is made anew; look at it with `stead status`");
        assert_eq!((code, checks(&answer, "workspace")), (0, vec![("repaired", says.as_str())]));
        let after: toml::Table = std::fs::read_to_string(&record).expect("a record").parse().expect("TOML");
        for key in ["name", "user", "source", "pool", "branch", "base"] {
            assert_eq!(after.get(key), before.get(key), "{key}");
        }
    }
}

#[test]
fn a_record_of_a_newer_stead_is_left() {
    let place = Place::new();
    let record = made(&place);
    change(&record, "schema", "99");
    assert_eq!(checks(&place.json(["doctor"]).1, "workspace"), [], "what can be read is read");
    change(&record, "name", "7");
    let text = std::fs::read_to_string(&record).expect("a record");
    for args in [&["doctor"][..], &["doctor", "--repair"]] {
        let (code, answer) = place.json(args);
        let (status, message) = checks(&answer, "workspace")[0];
        assert!((code, status) == (9, "problem") && message.contains("it has schema 99"), "{answer}");
        assert!(answer.to_string().contains("use the stead that wrote it, or a newer one"), "{answer}");
    }
    assert_eq!(std::fs::read_to_string(&record).expect("a record"), text);
}

#[test]
fn a_store_without_its_first_snapshot_is_a_problem() {
    let place = Place::new();
    made(&place);
    let store = place.root().join("state/local/one/store.git");
    place.git(&store, ["update-ref", "-d", "refs/created"]);
    for args in [&["doctor"][..], &["doctor", "--repair"]] {
        let (code, answer) = place.json(args);
        let says = vec![("problem", "`one`: its store lacks the first snapshot")];
        assert_eq!((code, checks(&answer, "workspace")), (9, says));
        assert!(answer.to_string().contains("its files are untouched: copy them from"), "{answer}");
    }
}

#[test]
fn what_is_half_done_by_a_command_that_goes_on_is_no_problem() {
    let place = Place::new();
    made(&place);
    std::fs::remove_dir_all(place.root().join("homes/local/one")).expect("a home");
    let lock = std::fs::File::options().write(true).open(place.root().join("locks/local/one")).expect("a lock");
    lock.lock().expect("a lock");
    for args in [&["doctor"][..], &["doctor", "--repair"]] {
        let (code, answer) = place.json(args);
        assert_eq!((code, checks(&answer, "workspace")), (0, vec![("info", "`one` is in use")]));
    }
    drop(lock);
    let (code, answer) = place.json(["doctor"]);
    assert_eq!((code, checks(&answer, "workspace")), (9, vec![("problem", "`one`: its home is gone")]));
}

#[test]
fn a_pool_that_lacks_what_a_workspace_is_based_on_is_a_problem() {
    let place = Place::new();
    let record = made(&place);
    change(&record, "base", &format!("\"{}\"", "1".repeat(40)));
    let (code, answer) = place.json(["doctor"]);
    let (status, message) = checks(&answer, "pool")[0];
    let says = format!("it lacks {}, which `one` is based on", "1".repeat(40));
    assert!((code, status) == (9, "problem") && message.ends_with(&says), "{answer}");
    // No source has it.
    let (code, answer) = place.json(["doctor", "--repair"]);
    let (status, message) = checks(&answer, "pool")[0];
    let says = format!("what can be had was kept and fetched, and still {says}");
    assert!((code, status) == (9, "problem") && message.ends_with(&says), "{answer}");
}

#[test]
fn pools_that_nobody_uses_and_entries_that_say_nothing_are_told() {
    let place = Place::new();
    made(&place);
    std::fs::create_dir(place.root().join("pools/unused.git")).expect("a directory");
    std::fs::set_permissions(
        place.root().join("pools/unused.git"),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .expect("a mode");
    write(&place.root(), "trash/20260101-000000-000000-0000/tree/file", "work");
    for args in [&["doctor"][..], &["doctor", "--repair"]] {
        let (code, answer) = place.json(args);
        let pools = [("ok", "1 in use, whole"), ("info", "1 that no workspace uses")];
        assert_eq!((code, checks(&answer, "pools").as_slice()), (0, pools.as_slice()));
        assert_eq!(checks(&answer, "trash"), [("warning", "1 entries do not say what they are; they are kept")]);
    }
    assert!(place.root().join("trash/20260101-000000-000000-0000/tree/file").exists());
}

#[test]
fn without_a_home_there_are_no_toolchains() {
    let place = Place::new();
    let output = place.stead(["--json", "doctor"]).env_remove("HOME").output().expect("stead starts");
    let answer = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(checks(&answer, "toolchains"), [("info", "there is no HOME to look for them in")]);
    // What is private and on the PATH is not for a run, and that is told.
    let private = place.home().join(".ssh");
    std::fs::create_dir_all(&private).expect("a directory");
    let path = std::env::join_paths([private.as_path(), std::path::Path::new("/usr/bin")]).expect("a path");
    let output = place.stead(["doctor"]).env("PATH", path).output().expect("stead starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("on the PATH, and not for a run, since they are or hold what is private"), "{said}");
}

#[test]
fn a_tree_that_nobody_may_enter_is_named_and_opened() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    made(&place);
    for path in [place.tree("one"), place.tree("one").join(".git")] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o055)).expect("a mode");
        let says = "`one`: nobody may enter its tree, or its `.git`";
        let (code, answer) = place.json(["doctor"]);
        assert_eq!((code, checks(&answer, "workspace")), (9, vec![("problem", says)]));
        let (code, answer) = place.json(["doctor", "--repair"]);
        let says = format!("{says}; you may again");
        assert_eq!((code, checks(&answer, "workspace")), (0, vec![("repaired", says.as_str())]));
        assert_eq!(path.metadata().expect("attributes").permissions().mode() & 0o777, 0o755);
        assert_eq!(place.json(["doctor"]).0, 0);
    }
}
