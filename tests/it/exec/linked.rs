//! Linked worktrees that a run makes where nothing is recorded are told.

use serde_json::json;

use super::text;
use crate::support::{Place, write};

/// A workspace of a project that ignores `.worktrees/`.
fn place() -> Place {
    let place = Place::new();
    let project = place.project("p");
    write(&project, ".gitignore", ".worktrees/\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "ignore"]);
    place.ok(["create", "x", "--from", project.to_str().unwrap()]);
    place
}

/// Runs a script and returns what is said of it; git may leave its own maintenance behind.
fn said(place: &Place, script: &str) -> Vec<String> {
    let said = text(&place.run_sh(&[], script).stderr);
    said.lines().filter(|line| !line.contains("left behind")).map(str::to_owned).collect()
}

const NEXT: &str = "Next: `stead diff x`, `stead sync x --to`";

#[test]
fn a_linked_worktree_in_an_ignored_directory_is_named() {
    let place = place();
    let said = |script: &str| said(&place, script);
    let line = "linked worktree .worktrees/a b (its files are not recorded)";
    let add = "git worktree add -q -b feature '.worktrees/a b' && cd '.worktrees/a b' && echo new > new && echo >> README.md \
               && git add README.md";
    assert_eq!(said(add), [line, NEXT]);
    assert!(place.ok(["diff", "x", "--run", "last"]).starts_with(line));
    let (_, diff) = place.json(["diff", "x", "--run", "last"]);
    assert_eq!(diff["linked_worktrees"], json!([{ "path": ".worktrees/a b" }]));
    assert!(place.ok(["log", "x"]).contains("0 (+1 linked worktrees)"), "{}", place.ok(["log", "x"]));
    let (_, log) = place.json(["log", "x"]);
    assert_eq!(log["runs"][0]["linked_worktrees"], 1);
    let run = place.root().join("state/local/x/runs").join(log["runs"][0]["id"].as_str().unwrap());
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(run.join("changes.json")).unwrap()).unwrap();
    assert_eq!(record["linked_worktrees"], diff["linked_worktrees"]);
    // It is there already.
    assert_eq!(said("echo more > '.worktrees/a b/more'"), ["Nothing changed."]);
    // A commit in it is one of the repository.
    assert_eq!(said("cd '.worktrees/a b' && git commit -q -m x"), ["1 new commit", NEXT]);
    // What only the tree's own rules ignore.
    let add = "echo new/ >> .gitignore; git worktree add -q new/one";
    let line = "linked worktree new/one (its files are not recorded)";
    assert_eq!(said(add), ["update .gitignore (+1 -0)", line, "newly ignored new", NEXT]);
}

#[test]
fn a_linked_worktree_elsewhere_is_named_and_one_that_is_seen_is_a_nested_repository() {
    let place = place();
    let elsewhere = place.path().join("elsewhere");
    let add = format!("git worktree add -q '{}'; git worktree add -q seen", elsewhere.display());
    let (code, answer) = place.json(["exec", "x", "--isolation", "none", "--", "sh", "-c", &add]);
    assert_eq!(code, 0, "{answer}");
    let elsewhere = elsewhere.canonicalize().unwrap();
    assert_eq!(answer["linked_worktrees"], json!([{ "path": elsewhere.to_str().unwrap() }]), "{answer}");
    assert_eq!(answer["nested"], json!([{ "path": "seen" }]), "{answer}");
    // One that is gone again was none.
    let add = "git worktree add -q .worktrees/t && git worktree remove .worktrees/t && git branch -q -D t";
    let said = text(&place.run_sh(&[], add).stderr);
    assert_eq!(said, "Nothing changed.\n");
}

#[test]
fn a_repository_in_an_ignored_directory_is_named_when_a_run_works_in_it() {
    let place = place();
    let said = |script: &str| said(&place, script);
    let line = |path: &str| format!("not recorded .worktrees/{path} (a repository in an ignored directory)");
    assert_eq!(
        said("git init -q '.worktrees/deep/a b'; git init -q .worktrees/node_modules/x"),
        [&line("deep/a b"), NEXT]
    );
    assert_eq!(said("echo more > '.worktrees/deep/a b/file'; git init -q .worktrees/x"), [&line("x"), NEXT]);
    assert_eq!(said("true"), ["Nothing changed."]);
    let commit = "cd '.worktrees/deep/a b' && git add . && git commit -q -m x";
    assert_eq!(said(commit), [&line("deep/a b"), NEXT]);
    let (_, answer) = place.json(["exec", "x", "--", "rm", "-rf", ".worktrees"]);
    assert_eq!(answer["unrecorded"], json!([]), "{answer}");
    // What is too much to be looked at costs no more than it takes to see that.
    let many = "mkdir -p .worktrees/a; cd .worktrees/a; mkdir $(seq 3000); git init -q .";
    assert_eq!(said(many), [&line("a"), NEXT]);
}
