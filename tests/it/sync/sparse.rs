//! Sparse checkouts: what is not checked out is as in head, not deleted.

use super::{commit, read};
use crate::support::{Place, write};

/// A project with two directories, of which only `docs` is checked out in `sparse`, and a file at the top.
fn project(place: &Place) -> std::path::PathBuf {
    let project = place.project("app");
    commit(place, &project, "b.txt", "one\n");
    project
}

fn sparse(place: &Place, dir: &std::path::Path) {
    place.git(dir, ["sparse-checkout", "set", "--cone", "docs"]);
    assert!(!dir.join("src").exists());
}

#[test]
fn what_an_agent_does_not_check_out_is_not_deleted() {
    let place = Place::new();
    let project = project(&place);
    place.ok(["create", "work", "--from", "app"]);
    let tree = place.tree("work");
    sparse(&place, &tree);
    let (_, answer) = place.json(["sync", "work", "--to"]);
    assert_eq!(answer["up_to_date"], true, "{answer}");
    let (_, answer) = place.json(["status", "work"]);
    assert_eq!((&answer["workspaces"][0]["dirty"], &answer["workspaces"][0]["changes"]), (&0.into(), &0.into()));
    write(&tree, "b.txt", "two\n");
    place.git(&tree, ["commit", "-qam", "w"]);
    write(&tree, "docs/guide.md", "uncommitted\n");
    let (_, answer) = place.json(["diff", "work"]);
    let paths: Vec<_> = answer["changes"].as_array().expect("a list").iter().map(|change| &change["path"]).collect();
    assert_eq!(paths, ["b.txt", "docs/guide.md"], "{answer}");
    place.ok(["sync", "work", "--to"]);
    let changed = ["diff", "--name-status", "main", "stead/work"];
    assert_eq!(place.git(&project, changed), "M\tb.txt\nM\tdocs/guide.md\n");
    place.ok(["sync", "work", "--to", "app", "--apply"]);
    assert_eq!(place.git(&project, ["status", "--porcelain"]), " M b.txt\n M docs/guide.md\n");
    place.git(&project, ["reset", "-q", "--hard"]);
    // What comes in from upstream leaves it so.
    place.git(&tree, ["checkout", "-q", "."]);
    commit(&place, &project, "docs/new.md", "new\n");
    place.ok(["sync", "work", "--merge"]);
    assert_eq!((read(&tree, "docs/new.md"), tree.join("src").exists()), ("new\n".to_owned(), false));
    assert_eq!(place.git(&tree, ["status", "--porcelain"]), "");
    // Nor is what was there before, and is gone, not checked out.
    std::fs::remove_file(tree.join("docs/guide.md")).expect("a file");
    place.ok(["sync", "work", "--to"]);
    assert_eq!(place.git(&project, changed), "M\tb.txt\nD\tdocs/guide.md\n");
    // A change beyond the cone.
    let tip = commit(&place, &project, "src/main.rs", "fn main() { new() }\n");
    place.git(&tree, ["checkout", "-q", "."]);
    place.ok(["sync", "work", "--merge"]);
    assert_eq!(place.git(&tree, ["merge-base", "HEAD", "origin/main"]).trim(), tip);
    assert_eq!(place.git(&tree, ["status", "--porcelain"]), "");
    place.git(&tree, ["fsck"]);
}

#[test]
fn what_a_project_does_not_check_out_is_not_deleted() {
    let place = Place::new();
    let project = project(&place);
    place.ok(["create", "work", "--from", "app"]);
    let tree = place.tree("work");
    sparse(&place, &project);
    let text = place.ok(["create", "plain", "--from", "app"]);
    assert!(!text.contains("left out"), "{text}");
    write(&project, "docs/guide.md", "uncommitted\n");
    place.ok(["create", "with", "--from", "app", "--with-changes"]);
    let with = place.tree("with");
    assert_eq!(place.git(&with, ["status", "--porcelain"]), " M docs/guide.md\n");
    place.ok(["sync", "work", "--from", "app"]);
    assert_eq!(place.git(&tree, ["status", "--porcelain"]), " M docs/guide.md\n");
    // A linked worktree has an index of its own.
    let linked = place.path().join("projects/linked");
    place.git(&project, ["worktree", "add", "-q", "--no-checkout", linked.to_str().expect("UTF-8")]);
    sparse(&place, &linked);
    place.git(&linked, ["checkout", "-q"]);
    place.ok(["sync", "work", "--from", "linked"]);
    assert!(tree.join("src/main.rs").exists());
    // Work on what is not checked out.
    write(&tree, "src/main.rs", "fn main() { work() }\n");
    write(&tree, "b.txt", "work\n");
    place.ok(["sync", "work", "--to", "app", "--apply"]);
    assert_eq!(read(&project, "src/main.rs"), "fn main() { work() }\n");
    place.ok(["undo", "work", "--apply"]);
    assert_eq!(place.git(&project, ["status", "--porcelain"]), " M docs/guide.md\n");
    std::fs::remove_file(tree.join("src/main.rs")).expect("a file");
    place.ok(["sync", "work", "--to", "app", "--apply"]);
    assert_eq!(place.git(&project, ["status", "--porcelain"]), " M b.txt\n M docs/guide.md\n");
}
