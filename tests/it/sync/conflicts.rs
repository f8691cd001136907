//! A merge that is under way in the workspace.

use super::commit;
use crate::support::{Place, describe, oracle, write};

#[test]
fn conflicts_that_are_not_resolved_are_not_brought_over() {
    let place = Place::new();
    let project = place.project("app");
    place.git(&place.path().join("projects"), ["clone", "-q", "--bare", "app", "bare.git"]);
    place.ok(["create", "work", "--from", "bare.git"]);
    let tree = place.tree("work");
    commit(&place, &tree, "a.txt", "ours\n");
    place.git(&tree, ["checkout", "-q", "-b", "other", "HEAD~1"]);
    commit(&place, &tree, "a.txt", "theirs\n");
    for (operation, onto) in [("merge", "stead/work"), ("rebase", "stead/work")] {
        let mut command = oracle::git();
        place.isolate(&mut command);
        let output = command.arg("-C").arg(&tree).args([operation, onto]).output().expect("git starts");
        assert!(!output.status.success(), "{}", describe(&output));
        let copy = place.path().join("copy");
        std::fs::create_dir_all(&copy).expect("directory");
        let before = place.git(&project, ["for-each-ref"]);
        let ways: [&[&str]; 4] = [
            &["sync", "work", "--to", "app"],
            &["sync", "work", "--push"],
            &["sync", "work", "--to", "app", "--apply"],
            &["sync", "work", "--to", "../copy", "--apply"],
        ];
        write(&copy, "a.txt", "copy\n");
        for way in ways {
            place.fails(way, 7, "workspace `work` has unresolved conflicts: `a.txt`");
            place.fails(way, 7, &format!("or abort the {operation}"));
        }
        assert_eq!(place.git(&project, ["for-each-ref"]), before);
        assert_eq!(place.git(&project, ["status", "--porcelain"]), "");
        assert_eq!(std::fs::read_to_string(copy.join("a.txt")).expect("a file"), "copy\n");
        place.git(&tree, [operation, "--abort"]);
    }
    // One that a stash has left is no operation under way.
    write(&tree, "a.txt", "stashed\n");
    place.git(&tree, ["stash", "-q"]);
    commit(&place, &tree, "a.txt", "again\n");
    let mut command = oracle::git();
    place.isolate(&mut command);
    command.arg("-C").arg(&tree).args(["stash", "pop"]).output().expect("git starts");
    place.fails(&["sync", "work", "--to", "app"], 7, "hint: resolve and `git add` them in the workspace\n");
    write(&tree, "a.txt", "both\n");
    place.git(&tree, ["add", "a.txt"]);
    place.ok(["sync", "work", "--to", "app"]);
    assert_eq!(place.git(&project, ["show", "stead/work:a.txt"]), "both\n");
}

#[test]
fn a_project_with_unresolved_conflicts_is_not_brought_in() {
    let place = Place::new();
    let project = place.project("app");
    place.ok(["create", "work", "--from", "app"]);
    commit(&place, &project, "a.txt", "ours\n");
    place.git(&project, ["checkout", "-q", "-b", "other", "HEAD~1"]);
    commit(&place, &project, "a.txt", "theirs\n");
    let mut command = oracle::git();
    place.isolate(&mut command);
    let output = command.arg("-C").arg(&project).args(["merge", "main"]).output().expect("git starts");
    assert!(!output.status.success(), "{}", describe(&output));
    let before = place.git(&project, ["status", "--porcelain"]);
    for way in [&["sync", "work", "--from", "app"][..], &["sync", "work", "--from", "app", "--dry-run"]] {
        place.fails(way, 7, "app` has unresolved conflicts: `a.txt`");
    }
    assert_eq!(place.git(&project, ["status", "--porcelain"]), before);
    let read = || std::fs::read_to_string(place.tree("work").join("a.txt")).unwrap_or_default();
    assert_eq!(read(), "");
    write(&project, "a.txt", "both\n");
    place.git(&project, ["add", "a.txt"]);
    place.ok(["sync", "work", "--from", "app"]);
    assert_eq!(read(), "both\n");
}
