//! `stead rm`.

use snapbox::str;

use crate::support::{Place, describe, write};

/// Makes a workspace `x` of a project and returns the project.
fn workspace(place: &Place) -> std::path::PathBuf {
    let project = place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    project
}

#[test]
fn a_workspace_without_work_is_removed_and_can_be_restored() {
    let place = Place::new();
    workspace(&place);
    assert_eq!(place.ok(["rm", "x"]), "Removed `x`; `stead restore x` brings it back.\n");
    assert!(!place.tree("x").exists());
    let (code, answer) = place.json(["path", "x"]);
    assert_eq!((code, answer["error"]["kind"].as_str()), (3, Some("not-found")));
    place.ok(["restore", "x"]);
    assert!(place.tree("x").join("src/main.rs").exists());
    assert_eq!(place.git(&place.tree("x"), ["status", "--porcelain"]), "");
}

#[test]
fn unsaved_work_is_refused_and_named() {
    let place = Place::new();
    workspace(&place);
    write(&place.tree("x"), "new file.txt", "work\n");
    write(&place.tree("x"), "README.md", "changed\n");
    snapbox::assert_data_eq!(
        place.transcript(&mut place.stead(["rm", "x"])),
        str![[r#"
exit status: 7
--- stdout
--- stderr
error: workspace `x` has unsaved work: 1 uncommitted change: `README.md`; 1 untracked file: `new file.txt`
  hint: see it with `stead diff x`, take it over with `stead sync x --to`, or remove it with `--force`

"#]]
    );
    let (code, answer) = place.json(["rm", "x"]);
    assert_eq!((code, answer["error"]["kind"].as_str()), (7, Some("refused")));
    assert!(place.tree("x").join("new file.txt").exists());
}

#[test]
fn force_keeps_the_work_in_the_trash() {
    let place = Place::new();
    workspace(&place);
    write(&place.tree("x"), "new.txt", "work\n");
    let (code, answer) = place.json(["rm", "--force", "x"]);
    assert_eq!(code, 0);
    assert_eq!(answer["workspaces"][0]["unsaved"][0]["code"], "untracked");
    assert_eq!(answer["workspaces"][0]["unsaved"][0]["paths"][0]["path"], "new.txt");
    place.ok(["restore", "x"]);
    assert_eq!(std::fs::read_to_string(place.tree("x").join("new.txt")).expect("file"), "work\n");
}

#[test]
fn commits_count_until_a_ref_outside_has_them() {
    let place = Place::new();
    let project = workspace(&place);
    let tree = place.tree("x");
    write(&tree, "new.txt", "work\n");
    place.git(&tree, ["add", "."]);
    place.git(&tree, ["commit", "-q", "-m", "work"]);
    let output = place.stead(["rm", "x"]).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(7), "{}", describe(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("has unsaved work: 1 undelivered commit\n"), "{stderr}");
    place.git(&project, ["fetch", "-q", tree.to_str().expect("text"), "HEAD:refs/heads/taken-over"]);
    place.ok(["rm", "x"]);
}

#[test]
fn a_stash_a_merge_and_a_special_file_are_work() {
    let place = Place::new();
    workspace(&place);
    let tree = place.tree("x");
    write(&tree, "README.md", "changed\n");
    place.git(&tree, ["stash", "-q"]);
    write(&tree, ".git/MERGE_HEAD", place.git(&tree, ["rev-parse", "HEAD"]));
    let socket = std::os::unix::net::UnixListener::bind(place.path().join("s")).expect("socket");
    std::fs::rename(place.path().join("s"), tree.join("socket")).expect("moved");
    let (_, answer) = place.json(["rm", "-n", "-f", "x"]);
    let codes: Vec<&str> = answer["workspaces"][0]["unsaved"]
        .as_array()
        .expect("reasons")
        .iter()
        .filter_map(|reason| reason["code"].as_str())
        .collect();
    assert_eq!(codes, ["stash", "operation", "special"], "{answer}");
    drop(socket);
}

#[test]
fn a_worktree_that_is_linked_from_elsewhere_may_hold_work() {
    let place = Place::new();
    workspace(&place);
    let elsewhere = place.path().join("elsewhere");
    let run = |args: &[&str]| place.ok([&["exec", "x", "--isolation", "none", "--"], args].concat());
    run(&["git", "worktree", "add", "-q", "-b", "side", elsewhere.to_str().expect("text")]);
    write(&elsewhere, "draft", "work\n");
    let said = format!("1 linked worktree elsewhere: `{}`", elsewhere.display());
    place.fails(&["rm", "x"], 7, &said);
    let (_, answer) = place.json(["gc", "-n", "--all"]);
    let unsaved = &answer["workspaces"][0]["unsaved"][0];
    assert_eq!(
        (&unsaved["code"], &unsaved["paths"][0]["path"]),
        (&"linked_worktree".into(), &elsewhere.to_str().expect("text").into())
    );
    // One that is gone, or lies in the tree and is looked at there, is none; what only leads there is not read.
    let places = place.tree("x").join(".git/worktrees");
    let link = places.join("link");
    std::fs::create_dir(&link).expect("directory");
    std::os::unix::fs::symlink(elsewhere.join(".git"), link.join("gitdir")).expect("link");
    std::fs::rename(&elsewhere, place.path().join("moved")).expect("moved");
    place.ok(["rm", "x", "-n"]);
    write(&places, "relative/gitdir", "../../../../../../../moved/.git\n");
    place.fails(&["rm", "x"], 7, "1 linked worktree elsewhere: ");
    place.ok(["rm", "x", "--force"]);
}

#[test]
fn a_dry_run_changes_nothing() {
    let place = Place::new();
    workspace(&place);
    assert_eq!(place.ok(["rm", "-n", "x"]), "Would remove `x`.\n");
    assert!(place.tree("x").exists());
    assert_eq!(std::fs::read_dir(place.root().join("trash")).expect("trash").count(), 0);
    write(&place.tree("x"), "new.txt", "work\n");
    let output = place.stead(["rm", "-n", "x"]).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(7), "{}", describe(&output));
}

#[test]
fn of_several_each_succeeds_or_fails_by_itself() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "a", "b", "--from", "api"]);
    let (code, answer) = place.json(["rm", "a", "missing", "b", "a"]);
    assert_eq!(code, 1);
    let items = answer["workspaces"].as_array().expect("workspaces");
    let removed: Vec<_> = items.iter().map(|item| (item["name"].as_str(), item["removed"].as_bool())).collect();
    assert_eq!(removed, [(Some("a"), Some(true)), (Some("missing"), Some(false)), (Some("b"), Some(true))]);
    assert_eq!(items[1]["error"]["kind"], "not-found");
}

#[test]
fn a_workspace_in_use_is_busy() {
    let place = Place::new();
    workspace(&place);
    let lock = std::fs::File::options().write(true).open(place.root().join("locks/local/x")).expect("lock");
    lock.lock().expect("lock");
    let output = place.stead(["rm", "-f", "x"]).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(5), "{}", describe(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.starts_with("error: workspace `x` is in use by "), "{stderr}");
    assert!(stderr.contains("hint: try again later, or see `stead status x`"), "{stderr}");
    drop(lock);
    place.ok(["rm", "x"]);
}

#[test]
fn a_damaged_workspace_needs_force() {
    let place = Place::new();
    workspace(&place);
    std::fs::write(place.root().join("state/local/x/workspace.toml"), "x").expect("file");
    let output = place.stead(["rm", "x"]).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(9), "{}", describe(&output));
    place.ok(["rm", "-f", "x"]);
    assert!(!place.tree("x").exists());
}

#[test]
fn a_missing_workspace_brings_the_closest_name() {
    let place = Place::new();
    let output = place.stead(["rm", "x"]).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(3), "{}", describe(&output));
    assert!(!place.root().exists(), "nothing is made to find out that nothing is there");
    place.ok(["create", "fix-login", "--empty"]);
    let output = place.stead(["rm", "fix-logn"]).output().expect("stead starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("hint: did you mean `fix-login`?"), "{stderr}");
}

#[test]
fn what_was_delivered_is_not_named_as_unsaved_with_what_came_after_it() {
    for (to, gone) in [(&["sync", "work", "--to"][..], "branch"), (&["sync", "work", "--to", "--apply"], "file")] {
        let place = Place::new();
        let project = place.project("app");
        place.ok(["create", "work", "--from", "app"]);
        write(&place.tree("work"), "delivered.txt", "x\n");
        write(&place.tree("work"), "README.md", "# delivered\n");
        place.ok(to);
        write(&place.tree("work"), "new.txt", "x\n");
        let output = place.stead(["rm", "work"]).output().expect("stead starts");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains("1 untracked file: `new.txt`"), "{stderr}");
        assert!(!stderr.contains("delivered.txt") && !stderr.contains("README.md"), "{stderr}");
        // It counts for as long as it is there.
        if gone == "branch" {
            place.git(&project, ["branch", "-D", "stead/work"]);
        } else {
            std::fs::remove_file(project.join("delivered.txt")).expect("a file");
        }
        place.fails(&["rm", "work"], 7, "delivered.txt");
    }
}
