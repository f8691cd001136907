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
