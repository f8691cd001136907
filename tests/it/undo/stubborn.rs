//! What a run leaves behind to keep an undo from being done, and what comes in between when it is cut off.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use super::{exec, files, full, killed, state};
use crate::support::{Place, describe, succeed, write};

/// What an ordinary user's stead answers; root's tests are somebody else for it.
pub(super) fn as_ordinary(place: &Place, args: &[&str]) -> std::process::Output {
    ordinary_under(place, &[], args)
}

/// The same, started by the command `under`.
pub(super) fn ordinary_under(place: &Place, under: &[&str], args: &[&str]) -> std::process::Output {
    let stead = place.stead(args);
    let program = place.path().join("stead");
    if !program.exists() {
        std::fs::copy(stead.get_program(), &program).expect("copied");
        if rustix::process::geteuid().is_root() {
            succeed(Command::new("chown").args(["-R", "54321:54321"]).arg(place.path()));
        }
    }
    let mut words = under.iter().map(std::ffi::OsStr::new).chain([program.as_os_str()]);
    let mut command = Command::new(words.next().expect("the program"));
    place.isolate(&mut command);
    command.args(words).args(args).env("STEAD_ROOT", place.root()).env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.current_dir(place.path().join("projects"));
    if rustix::process::geteuid().is_root() {
        command.uid(54321).gid(54321);
    }
    command.output().expect("stead starts")
}

#[test]
fn directories_that_their_owner_may_not_write_to_are_no_obstacle() {
    let place = Place::new();
    let run = |args: &[&str]| {
        let output = as_ordinary(&place, args);
        assert!(output.status.success(), "{args:?}: {}", describe(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    run(&["create", "x", "--empty"]);
    let script = |script: &str| {
        run(&["exec", "x", "--isolation", "none", "--", "sh", "-ec", script]);
    };
    script(
        "mkdir -p kept/deep; echo 1 > kept/deep/file; echo 1 > kept/gone; git init -q lib; chmod 555 kept/deep kept",
    );
    let tree = place.tree("x");
    let before = files(&tree);
    script(
        "chmod 755 kept; rm kept/gone; chmod 555 kept; mkdir -p made/deep; echo x > made/deep/x; chmod 555 made/deep made; \
         git init -q other; chmod 555 other/.git lib/.git",
    );
    run(&["undo", "x"]);
    assert_eq!(files(&tree), before);
    let mode =
        |path: &str| std::os::unix::fs::PermissionsExt::mode(&tree.join(path).metadata().expect("there").permissions());
    assert_eq!((mode("kept") & 0o777, mode("kept/deep") & 0o777), (0o555, 0o555), "they are closed again");
    run(&["undo", "x"]);
    assert!(tree.join("made/deep/x").exists() && tree.join("other/.git").is_dir() && !tree.join("kept/gone").exists());
    run(&["rm", "x", "--force"]);
}

#[test]
fn what_stands_in_odd_places_does_not_stop_it() {
    for script in [
        // Too deep to be taken over, and told.
        "p=.git/x; for i in $(seq 70); do p=$p/d; done; mkdir -p $p",
        "rm -rf .git/info; echo x > .git/info",
        "rm -rf .git/refs/tags; echo x > .git/refs/tags",
        "git init -q empty/lib; rm -rf deep; mkdir -p deep/er; git init -q deep/er/lib",
        "for i in $(seq 30); do d=$(printf %0200d 0); mkdir $d; cd $d; done; echo x > file",
    ] {
        let place = Place::new();
        let tree = full(&place);
        let (before, git) = (files(&tree), state(&place, &tree));
        exec(&place, script);
        exec(&place, "echo more > more; git add more; git commit -q -m more");
        place.ok(["undo", "x", "--dry-run"]);
        for _ in 0..2 {
            let run = place.json(["log", "x"]).1["runs"][1]["id"].as_str().expect("an id").to_owned();
            let (code, answer) = place.json(["undo", "x", &run]);
            let told = answer["not_taken_over"].as_array().is_some_and(|told| !told.is_empty());
            assert_eq!(code, i32::from(told), "{script}: {answer}");
            exec(&place, "true");
        }
        let first = place.json(["log", "x"]).1["runs"].as_array().expect("runs").last().expect("one")["id"].clone();
        let (_, answer) = place.json(["undo", "x", first.as_str().expect("an id")]);
        assert_eq!(answer["lost"], serde_json::json!([]), "{script}: {answer}");
        assert_eq!((files(&tree), state(&place, &tree)), (before, git), "{script}");
        place.ok(["doctor"]);
    }
}

#[test]
fn what_no_snapshot_can_have_in_the_way_of_a_repository_is_refused_before_anything_is_done() {
    let place = Place::new();
    let tree = full(&place);
    exec(&place, "git init -q lib");
    exec(&place, "rm -rf lib; mkfifo lib; echo more > more");
    place.fails(&["undo", "x"], 7, "cannot record what stands in the way, and it would be lost: `lib`");
    assert!(tree.join("more").exists());
    exec(&place, "rm lib");
    place.ok(["undo", "x", place.json(["log", "x"]).1["runs"][1]["id"].as_str().expect("an id")]);
    assert!(tree.join("lib/.git").is_dir() && !tree.join("more").exists());
}

#[test]
fn a_git_file_goes_aside_as_it_is_and_is_no_fault_of_the_root() {
    let place = Place::new();
    let tree = full(&place);
    let git = state(&place, &tree);
    exec(&place, "git init -q --separate-git-dir=\"$PWD/elsewhere\" .");
    place.ok(["doctor"]);
    place.ok(["undo", "x"]);
    assert_eq!(state(&place, &tree), git);
    place.ok(["doctor"]);
}

#[test]
fn what_an_undo_put_aside_is_all_there_when_that_is_undone() {
    let place = Place::new();
    let tree = full(&place);
    let library = place.project("library");
    let library = library.to_str().expect("UTF-8");
    place.git(&tree, ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", library, "sub"]);
    place.git(&tree, ["commit", "-q", "-m", "submodule"]);
    exec(
        &place,
        "git add -A; git commit -q -m rest; echo only > sub/only; git -C sub add only; git -C sub commit -q -m only; \
         git worktree add -q --detach wt; echo staged > wt/staged; git -C wt add staged; rm wt/staged; \
         git checkout -q -b theirs; echo theirs > both; git add both; git commit -q -m theirs; git checkout -q -b ours HEAD~1; \
         echo ours > both; git add both; git commit -q -m ours; echo mine >> .gitignore; \
         git merge -q --autostash theirs || true; test -e .git/MERGE_AUTOSTASH; mkdir .git/lfs; echo large > .git/lfs/object",
    );
    let sub = place.git(&tree.join("sub"), ["rev-parse", "HEAD"]);
    place.ok(["undo", "x"]);
    place.ok(["undo", "x"]);
    assert_eq!(place.git(&tree.join("sub"), ["rev-parse", "HEAD"]), sub);
    place.git(&tree.join("sub"), ["fsck"]);
    assert_eq!(place.git(&tree.join("wt"), ["show", ":staged"]), "staged\n");
    let stashed = std::fs::read_to_string(tree.join(".git/MERGE_AUTOSTASH")).expect("a merge under way");
    assert!(place.git(&tree, ["show", &format!("{}:.gitignore", stashed.trim())]).contains("mine"));
    // Of this no snapshot knows.
    assert_eq!(std::fs::read_to_string(tree.join(".git/lfs/object")).expect("a file"), "large\n");
    place.git(&tree, ["fsck"]);
}

#[test]
fn what_came_after_an_undo_was_cut_off_is_kept_and_told() {
    let place = Place::new();
    let tree = full(&place);
    exec(&place, "echo run > work; echo run > late; git add late; git commit -q -m run");
    let run = place.json(["log", "x"]).1["runs"][0]["id"].as_str().expect("an id").to_owned();
    for nth in 1.. {
        assert!(!killed(&place, &["undo", "x", &run], nth), "it was never cut off");
        if place.root().join("state/local/x/journal.toml").exists() {
            break;
        }
    }
    write(&tree, "mine", "mine\n");
    place.git(&tree, ["add", "mine"]);
    place.git(&tree, ["commit", "-q", "-m", "mine"]);
    let mine = place.git(&tree, ["rev-parse", "HEAD"]);
    write(&tree, "work", "mine\n");
    let output = place.stead(["exec", "x", "--", "true"]).output().expect("stead starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", describe(&output));
    assert!(told.contains(&format!("; its store keeps what was committed meanwhile: {}", mine.trim())), "{told}");
    assert!(told.contains("; what came meanwhile is in `") && told.contains("/aside`: `work`"), "{told}");
    place.git(&place.root().join("state/local/x/store.git"), ["rev-parse", &format!("refs/kept/{}", mine.trim())]);
}

#[test]
fn a_workspace_that_cannot_be_finished_can_still_go_to_the_trash_and_come_back() {
    let place = Place::new();
    full(&place);
    exec(&place, "echo run > work");
    let journal = place.root().join("state/local/x/journal.toml");
    let none = "0".repeat(40);
    let order = format!(
        "id = \"20260131-154500-0f3a\"\nthen = \"{none}\"\nnow = \"{none}\"\npaths = []\nspared = []\nkeep = false\nrecord = \"\"\n"
    );
    let text = format!("schema = 1\nbegun = \"2026-01-31T15:45:00Z\"\n[operation]\nkind = \"undo\"\n{order}");
    write(Path::new("/"), journal.to_str().expect("UTF-8").trim_start_matches('/'), &text);
    for args in [&["exec", "x", "--", "true"][..], &["rm", "x"], &["undo", "x"]] {
        let output = place.stead(args).output().expect("stead starts");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("cannot finish what was cut off"),
            "{}",
            describe(&output)
        );
    }
    place.ok(["rm", "x", "--force"]);
    assert!(!journal.exists());
    place.ok(["restore", "x"]);
    assert_eq!(std::fs::read_to_string(&journal).expect("it came back"), text);
}

#[test]
fn a_submodule_and_a_linked_worktree_go_whole_and_come_back() {
    let place = Place::new();
    let tree = full(&place);
    let library = place.project("library");
    let before = (files(&tree), state(&place, &tree));
    let add = format!(
        "git -c protocol.file.allow=always submodule --quiet add '{}' sub; git commit -q -m sub; git worktree add -q wt",
        library.display()
    );
    let output =
        place.stead(["exec", "x", "--isolation", "none", "--", "sh", "-ec", &add]).output().expect("stead starts");
    assert!(output.status.success(), "{}", describe(&output));
    let after = (files(&tree), place.git(&tree, ["submodule", "status"]), place.git(&tree, ["worktree", "list"]));
    let (_, answer) = place.json(["undo", "x"]);
    assert_eq!((&answer["left"], &answer["complete"]), (&serde_json::json!([]), &true.into()), "{answer}");
    assert_eq!((files(&tree), state(&place, &tree)), before);
    let (_, answer) = place.json(["undo", "x"]);
    assert_eq!((&answer["left"], &answer["complete"]), (&serde_json::json!([]), &true.into()), "{answer}");
    assert_eq!(
        (files(&tree), place.git(&tree, ["submodule", "status"]), place.git(&tree, ["worktree", "list"])),
        after
    );
    let sub = state(&place, &tree.join("sub"));
    exec(&place, "echo more > sub/more; git -C sub add more; git -C sub commit -q -m more");
    let (_, answer) = place.json(["undo", "x"]);
    assert_eq!((&answer["left"], &answer["complete"]), (&serde_json::json!([]), &true.into()), "{answer}");
    assert_eq!(state(&place, &tree.join("sub")), sub);
}
