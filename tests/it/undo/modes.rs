//! Permission bits of directories: told, and put back.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::json;

use super::stubborn::ordinary_under;
use super::{chmod, exec, files, first_run, full};
use crate::support::{Place, describe, write};

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().expect("it is there").permissions().mode() & 0o7777
}

/// What is said of a run.
fn said(place: &Place, script: &str) -> Vec<String> {
    let output = place.stead(["exec", "x", "--", "sh", "-ec", script]).output().expect("stead starts");
    assert!(output.status.success(), "{}", describe(&output));
    String::from_utf8(output.stderr).expect("UTF-8").lines().map(str::to_owned).collect()
}

const NEXT: &str = "Next: `stead diff x`, `stead sync x --to`";

/// The full workspace, with modes that no umask gives.
fn place() -> (Place, std::path::PathBuf) {
    let place = Place::new();
    let tree = full(&place);
    for (path, mode) in [(".", 0o755), ("docs", 0o755), ("src", 0o755), ("new", 0o750), ("new/deep", 0o1711)] {
        chmod(&tree.join(path), mode);
    }
    for (path, mode) in [("empty", 0o755), ("empty/below", 0o700)] {
        chmod(&tree.join(path), mode);
    }
    (place, tree)
}

const CHANGE: &str = "chmod 2775 .; chmod 700 src; chmod 1777 empty/below; rm -r new; mkdir made; chmod 1777 made";

#[test]
fn modes_of_directories_are_told_and_come_back_and_go_again() {
    let (place, tree) = place();
    let states = || (mode(&tree), files(&tree));
    let before = states();
    let told = said(&place, CHANGE);
    let expected = [
        "update ./ (mode 755 -> mode 2775)",
        "update empty/below/ (mode 700 -> mode 1777)",
        "delete new/deep/file (+0 -1, mode 775)",
        "update src/ (mode 755 -> mode 700)",
        NEXT,
    ];
    assert_eq!(told, expected);
    let (_, diff) = place.json(["diff", "x", "--run", "last", "--content"]);
    let top = json!({
        "path": ".", "operation": "update", "old_path": null, "old_mode": "040755", "mode": "042775", "old_id": null,
        "id": null, "binary": false, "additions": 0, "deletions": 0,
    });
    assert_eq!(diff["changes"][0], top);
    let after = states();
    // It has the group's bit from the directory that it is made in.
    assert_eq!((after.0, mode(&tree.join("made")) & 0o1777), (0o2775, 0o1777));

    let planned = place.ok(["undo", "x", "--dry-run"]);
    for line in ["update ./ (mode 2775 -> mode 755)", "update src/ (mode 700 -> mode 755)"] {
        assert!(planned.contains(&format!("  {line}\n")), "{planned}");
    }
    assert_eq!(states(), after);
    assert!(place.ok(["undo", "x"]).contains("  update empty/below/ (mode 1777 -> mode 700)\n"));
    assert_eq!(states(), before);
    // And the undo itself.
    place.ok(["undo", "x"]);
    assert_eq!(states(), after);
}

#[test]
fn a_run_that_only_closes_a_directory_has_changed_something() {
    let (place, tree) = place();
    assert_eq!(said(&place, "chmod 700 src"), ["update src/ (mode 755 -> mode 700)", NEXT]);
    assert_eq!(said(&place, "true"), ["Nothing changed."]);
    let run = first_run(&place);
    let record = std::fs::read(place.root().join("state/local/x/runs").join(&run).join("changes.json"));
    let record: serde_json::Value = serde_json::from_slice(&record.expect("a record")).expect("JSON");
    assert_eq!((&record["changes"][0]["path"], &record["changes"][0]["mode"]), (&"src".into(), &"040700".into()));
    assert_eq!(place.json(["log", "x"]).1["runs"][1]["changes"], 1);
    let of_run = |form: &str| place.ok(["diff", "x", "--run", &run, form]);
    assert!(of_run("--stat").starts_with(" src/ |     0\n 0 files changed, "), "{}", of_run("--stat"));
    assert_eq!((of_run("--name-only").as_str(), of_run("--patch").as_str()), ("src\n", ""));
    // It is nothing that a commit could hold.
    assert!(!place.ok(["diff", "x"]).contains("src"));
    chmod(&tree.join("src"), 0o755);
    assert!(place.ok(["undo", "x", &run]).contains("is as it was before the run"));
    chmod(&tree.join("src"), 0o710);
    place.ok(["undo", "x", &run]);
    assert_eq!(mode(&tree.join("src")), 0o755);
}

#[test]
fn only_directories_at_or_below_the_paths_get_their_modes_back() {
    let (place, tree) = place();
    exec(&place, &format!("chmod 1777 empty; {CHANGE}"));
    let run = first_run(&place);
    let modes = || ["", "src", "empty", "empty/below"].map(|path| mode(&tree.join(path)));
    place.ok(["undo", "x", &run, "empty/below"]);
    assert_eq!(modes(), [0o2775, 0o700, 0o1777, 0o700]);
    // What is made anew for a path is as it was.
    place.ok(["undo", "x", &run, "src", "new/deep/file"]);
    assert_eq!(modes(), [0o2775, 0o755, 0o1777, 0o700]);
    assert_eq!(["new", "new/deep"].map(|path| mode(&tree.join(path))), [0o750, 0o1711]);
}

#[test]
fn directories_of_nested_repositories_get_their_modes_back() {
    let (place, tree) = place();
    place.git(&tree, ["init", "-q", "lib"]);
    write(&tree, "lib/in/er/a", "a\n");
    write(&tree, "lib/gone/b", "b\n");
    for (path, mode) in [("lib", 0o755), ("lib/in", 0o711), ("lib/in/er", 0o755), ("lib/gone", 0o1750)] {
        chmod(&tree.join(path), mode);
    }
    let before = files(&tree);
    let told = said(&place, "chmod 750 lib lib/in/er; rm -r lib/gone");
    assert_eq!(told, ["update lib/ (mode 755 -> mode 750)", "nested repository lib", NEXT]);
    let text = place.ok(["undo", "x"]);
    for line in ["update lib/ (mode 750 -> mode 755)", "update lib/in/er/ (mode 750 -> mode 755)"] {
        assert!(text.contains(&format!("  {line}\n")), "{text}");
    }
    assert_eq!(files(&tree), before);
    // Also when all of it has to be made anew.
    exec(&place, "rm -rf lib");
    place.ok(["undo", "x"]);
    assert_eq!(files(&tree), before);
}

#[test]
fn where_most_directories_change_each_is_told_and_comes_back() {
    let (place, tree) = place();
    let before = (mode(&tree), files(&tree));
    let told = said(&place, "find . -name .git -prune -o -type d -exec chmod 700 '{}' +");
    let expected = ["./ (mode 755", "docs/ (mode 755", "empty/ (mode 755", "new/ (mode 750", "new/deep/ (mode 1711"];
    let expected = expected.iter().chain(&["src/ (mode 755"]).map(|line| format!("update {line} -> mode 700)"));
    assert_eq!(told, expected.chain([NEXT.to_owned()]).collect::<Vec<_>>());
    place.ok(["undo", "x"]);
    assert_eq!((mode(&tree), files(&tree)), before);
}

#[test]
fn a_snapshot_that_does_not_know_them_leaves_the_modes_of_directories_alone() {
    let (place, tree) = place();
    exec(&place, "chmod 700 src; echo more > work");
    let run = first_run(&place);
    let store = place.root().join("state/local/x/store.git");
    let before = format!("refs/runs/{run}/before");
    let meta = place.git(&store, ["cat-file", "blob", &format!("{before}:meta")]);
    let fields: Vec<&str> = meta.split('\0').collect();
    assert!(fields.contains(&"plaindir ") && fields.contains(&"dirmode new/deep"), "{meta}");
    let known = |pair: &&[&str]| pair.len() < 2 || !pair[0].contains("dir");
    let old = fields[1..].chunks(2).filter(known).flatten().copied();
    let old = [fields[0]].into_iter().chain(old).collect::<Vec<_>>().join("\0");
    let meta = place.git_in(&store, ["hash-object", "-w", "--stdin"], &old);
    let entries = place.git(&store, ["ls-tree", &before]);
    let own = format!("100644 blob {}\tmeta", meta.trim());
    let lines: Vec<&str> = entries.lines().filter(|line| !line.ends_with("\tmeta")).chain([own.as_str()]).collect();
    let tree_id = place.git_in(&store, ["mktree"], &(lines.join("\n") + "\n"));
    let commit = place.git(&store, ["commit-tree", "-m", "snapshot", tree_id.trim()]);
    place.git(&store, ["update-ref", &before, commit.trim()]);
    assert!(!place.ok(["diff", "x", "--run", &run]).contains("src/"));
    let text = place.ok(["undo", "x"]);
    assert!(text.contains("update work") && !text.contains("src/"), "{text}");
    assert_eq!(mode(&tree.join("src")), 0o700);
}

#[test]
fn what_has_come_in_the_place_of_a_directory_keeps_its_mode() {
    let (place, tree) = place();
    let outside = place.path().join("outside");
    std::fs::create_dir(&outside).expect("a directory");
    chmod(&outside, 0o711);
    // Nothing but ignored files was in it, so that nothing of it is put back.
    write(&tree, "logs/x.log", "x\n");
    chmod(&tree.join("logs"), 0o750);
    exec(&place, "chmod 700 logs");
    assert!(place.ok(["undo", "x", "-n"]).contains("update logs/ (mode 700 -> mode 750)"));
    std::fs::remove_dir_all(tree.join("logs")).expect("removed");
    symlink(&outside, tree.join("logs")).expect("a link");
    place.ok(["undo", "x"]);
    assert_eq!(mode(&outside), 0o711);
}

/// The script of an ordinary user's workspace: `closed` is one that its owner may only read.
const ORDINARY: &str = "mkdir -p src/deep closed; echo 1 > src/deep/file; echo 1 > closed/file; chmod 755 src; \
                        chmod 711 src/deep; chmod 555 closed";

/// The run of an ordinary user's after which there were `later` others.
fn latest(place: &Place, later: usize) -> String {
    let output = ordinary_under(place, &[], &["--json", "log", "x"]);
    let log: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    log["runs"][later]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn an_ordinary_users_closed_directories_are_told_and_opened_again() {
    let place = Place::new();
    let run = |args: &[&str]| ordinary_under(&place, &[], args);
    let script = |script: &str| run(&["exec", "x", "--isolation", "none", "--", "sh", "-ec", script]);
    assert!(run(&["create", "x", "--empty"]).status.success());
    assert!(script(ORDINARY).status.success());
    let tree = place.tree("x");
    let before = files(&tree);
    let output = script("echo new > src/new; echo 2 > src/deep/file; chmod 000 src/deep src");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("update src/ (mode 755 -> mode 0)\nnot recorded src (permission denied)\n"), "{told}");
    assert!(String::from_utf8_lossy(&run(&["undo", "x", "-n"]).stdout).contains("update src/ (mode 0 -> mode 755)\n"));
    assert_eq!(mode(&tree.join("src")), 0);
    let output = run(&["undo", "x"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let stays = "Left as it is: src (what has come into it is not known, so it stays (permission denied))\n";
    assert!(output.status.code() == Some(1) && told.contains(stays), "{}", describe(&output));
    let mut expected = before.clone();
    let new = tree.join("src/new").into_os_string().into_encoded_bytes();
    expected.insert(new.clone(), files(&tree)[&new].clone());
    assert_eq!(files(&tree), expected);
    // Now it is known what that is.
    assert!(run(&["undo", "x", &latest(&place, 1)]).status.success());
    assert_eq!(files(&tree), before);
    for _ in 0..2 {
        assert!(run(&["undo", "x"]).status.success());
    }
    assert!(run(&["rm", "x", "--force"]).status.success());
}

#[test]
fn an_undo_that_was_killed_leaves_no_directory_opened_or_closed() {
    let place = Place::new();
    let tree = place.tree("x");
    let run = |under: &[&str], args: &[&str]| ordinary_under(&place, under, args);
    let script = |script: &str| {
        let output = run(&[], &["exec", "x", "--isolation", "none", "--", "sh", "-ec", script]);
        assert!(output.status.success(), "{}", describe(&output));
    };
    assert!(run(&[], &["create", "x", "--empty"]).status.success());
    script(ORDINARY);
    let before = files(&tree);
    let mut unfinished = 0;
    for nth in 1.. {
        // That of `closed` is not what the run has changed in the end.
        script(
            "chmod 755 closed; echo 2 > closed/file; chmod 555 closed; chmod 700 src/deep; echo 2 > src/deep/file; chmod 500 src/deep; \
             chmod 2711 src",
        );
        let calls = "chmod,fchmodat";
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:signal=KILL:when={nth}"));
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        let id = latest(&place, 0);
        let ended = run(&strace, &["undo", "x", &id]).status.success();
        if place.root().join("state/local/x/journal.toml").exists() {
            unfinished += 1;
            assert!(run(&[], &["doctor", "--repair"]).status.success());
        } else if !ended {
            assert!(run(&[], &["undo", "x", &id]).status.success());
        }
        assert_eq!(files(&tree), before, "{nth}");
        if ended {
            break;
        }
    }
    assert!(unfinished > 4, "{unfinished}");
}
