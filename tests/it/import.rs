//! `stead import`.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::{Place, write};

#[test]
fn files_and_folders_come_in_and_count_as_work_though_ignored() {
    let place = Place::new();
    let project = place.project("app");
    write(&project, ".gitignore", "data\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "ignore"]);
    place.ok(["create", "work", "--from", "app"]);
    let host = place.path().join("projects/host");
    write(&host, "data/deep/run.sh", "#!/bin/sh\n");
    std::fs::set_permissions(host.join("data/deep/run.sh"), PermissionsExt::from_mode(0o755)).expect("a mode");
    write(&host, "note.md", "note\n");
    assert_eq!(place.ok(["import", "work", "host/data", "host/note.md:docs/"]), "data\ndocs/note.md\n");
    let tree = place.tree("work");
    let mode = std::fs::metadata(tree.join("data/deep/run.sh")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    let (_, answer) = place.json(["sync", "work", "--to", "-n"]);
    let paths: Vec<&str> =
        answer["changes"].as_array().expect("a list").iter().filter_map(|change| change["path"].as_str()).collect();
    assert_eq!(paths, ["data/deep/run.sh", "docs/note.md"]);
}

#[test]
fn what_exists_is_replaced_only_when_told_to() {
    let place = Place::new();
    place.project("app");
    place.ok(["create", "work", "--from", "app"]);
    write(&place.path().join("projects"), "src/new.rs", "new\n");
    place.fails(&["import", "work", "src"], 4, "`src` exists already");
    place.ok(["import", "work", "src", "--replace"]);
    let tree = place.tree("work");
    assert!(tree.join("src/new.rs").exists());
    assert!(!tree.join("src/main.rs").exists(), "nothing of the old folder stays");
}

#[test]
fn nothing_is_written_outside_or_into_git_directories() {
    let place = Place::new();
    place.project("app");
    place.ok(["create", "work", "--from", "app"]);
    write(&place.path().join("projects"), "file", "x\n");
    let outside = place.path().join("outside");
    std::fs::create_dir(&outside).expect("a directory");
    symlink(&outside, place.tree("work").join("out")).expect("a link");
    place.fails(&["import", "work", "file:../evil"], 7, "destination path escapes workspace: ../evil");
    place.fails(&["import", "work", "file:/tmp/evil"], 7, "destination path escapes workspace: /tmp/evil");
    place.fails(&["import", "work", "file:out/evil"], 7, "destination path escapes workspace: out/evil");
    place.fails(&["import", "work", "file:.git/hooks/pre-commit"], 7, "inside of a git directory");
    assert!(std::fs::read_dir(&outside).expect("a directory").next().is_none());
}

#[test]
fn a_missing_source_or_workspace_is_said() {
    let place = Place::new();
    place.project("app");
    place.fails(&["import", "work", "file"], 3, "work");
    place.ok(["create", "work", "--from", "app"]);
    place.fails(&["import", "work", "file"], 3, "there is no");
    place.fails(&["import", "work"], 2, "SRC");
}

#[test]
fn what_is_replaced_comes_back_by_undo() {
    let place = Place::new();
    let project = place.project("app");
    write(&project, ".gitignore", "*.env\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "ignore"]);
    place.ok(["create", "work", "--from", "app"]);
    let tree = place.tree("work");
    write(&tree, "src/draft.rs", "draft\n");
    write(&tree, "src/local.env", "SECRET=1\n");
    write(&tree, "top.env", "SECRET=2\n");
    write(&place.path().join("projects"), "src/new.rs", "new\n");
    let (_, answer) = place.json(["import", "work", "src", "--replace"]);
    assert_eq!(answer["replaced"][0]["path"], "src", "{answer}");
    assert!(!tree.join("src/draft.rs").exists() && !tree.join("src/local.env").exists());
    let (_, log) = place.json(["log", "work"]);
    assert_eq!(log["runs"][0]["id"], answer["run"], "{log}");
    assert_eq!(log["runs"][0]["undoable"], true, "{log}");
    place.ok(["undo", "work"]);
    let read = |path: &str| std::fs::read_to_string(tree.join(path)).unwrap_or_default();
    assert_eq!((read("src/draft.rs").as_str(), read("src/local.env").as_str()), ("draft\n", "SECRET=1\n"));
    assert_eq!((read("src/main.rs").as_str(), read("top.env").as_str()), ("fn main() {}\n", "SECRET=2\n"));
    assert!(!tree.join("src/new.rs").exists());
    place.ok(["undo", "work"]);
    assert_eq!((read("src/new.rs").as_str(), read("src/draft.rs").as_str()), ("new\n", ""));
}

#[test]
fn what_cannot_be_recorded_is_not_replaced() {
    let place = Place::new();
    place.project("app");
    place.ok(["create", "work", "--from", "app"]);
    let tree = place.tree("work");
    place.git(&tree, ["init", "-q", "lib/inner"]);
    place.git(&tree.join("lib/inner"), ["commit", "-q", "--allow-empty", "-m", "inner"]);
    let head = place.git(&tree.join("lib/inner"), ["rev-parse", "HEAD"]);
    write(&place.path().join("projects"), "lib/new.rs", "new\n");
    let text = "cannot record `lib/inner`, and it would be lost: it is a git repository";
    place.fails(&["import", "work", "lib", "--replace"], 7, text);
    assert_eq!(place.git(&tree.join("lib/inner"), ["rev-parse", "HEAD"]), head);
    assert!(!tree.join("lib/new.rs").exists());
    place.fails(&["exec", "work", "--context", "lib", "--", "true"], 125, text);
    assert_eq!(place.git(&tree.join("lib/inner"), ["rev-parse", "HEAD"]), head);
    place.ok(["import", "work", "lib:lib/other", "--replace"]);
}
