//! Submodules: their git directories are below `.git/modules`, and a file `.git` in each leads there.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{exec, files, first_run, full, killed, small_files, state};
use crate::support::{Place, describe, write};

/// The trees of submodules: one of a submodule, one whose name is not its path.
const SUBMODULES: [&str; 3] = ["sm", "sm/inner", "deps/two"];

fn file_allowed<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["-c", "protocol.file.allow=always"], args].concat()
}

/// Makes a workspace as [`full`] does, with submodules in which something is staged, stashed and on a branch.
fn with_submodules(place: &Place) -> PathBuf {
    let tree = full(place);
    let (inner, library) = (place.project("inner"), place.project("library"));
    let (inner, at) = (inner.to_str().expect("UTF-8"), library.to_str().expect("UTF-8"));
    place.git(&library, file_allowed(&["submodule", "--quiet", "add", inner, "inner"]));
    place.git(&library, ["commit", "-q", "-m", "inner"]);
    place.git(&tree, file_allowed(&["submodule", "--quiet", "add", at, "sm"]));
    place.git(&tree, file_allowed(&["submodule", "--quiet", "add", "--name", "libs/two", inner, "deps/two"]));
    place.git(&tree, file_allowed(&["submodule", "--quiet", "update", "--init", "--recursive"]));
    place.git(&tree, ["commit", "-q", "-m", "submodules"]);
    let sm = tree.join("sm");
    write(&sm, "README.md", "stashed\n");
    place.git(&sm, ["stash", "-q"]);
    place.git(&sm, ["commit", "-q", "--allow-empty", "-m", "only here"]);
    place.git(&sm, ["branch", "side"]);
    place.git(&sm, ["reset", "-q", "--hard", "HEAD~1"]);
    write(&sm, "staged", "staged in the submodule\n");
    place.git(&sm, ["add", "staged"]);
    write(&sm, "untracked", "untracked\n");
    tree
}

/// What there is of all repositories, by git's word and by their small files.
type All = (BTreeMap<Vec<u8>, String>, Vec<[String; 7]>, [String; 2], Vec<BTreeMap<Vec<u8>, String>>);

fn all(place: &Place, tree: &Path) -> All {
    let dirs = || std::iter::once(tree.to_owned()).chain(SUBMODULES.map(|path| tree.join(path)));
    let status = [
        place.git(tree, ["submodule", "status", "--recursive"]),
        SUBMODULES.map(|path| std::fs::read_to_string(tree.join(path).join(".git")).expect("a file")).concat(),
    ];
    let modules = ["modules/sm", "modules/sm/modules/inner", "modules/libs/two"];
    let small = modules.map(|module| small_files(&tree.join(".git").join(module)));
    (files(tree), dirs().map(|dir| state(place, &dir)).collect(), status, small.to_vec())
}

#[test]
fn whatever_a_run_does_to_submodules_is_taken_back() {
    let place = Place::new();
    let tree = with_submodules(&place);
    // What no run has touched yet is in the store all the same.
    let before = all(&place, &tree);
    for script in [
        "cd sm; git add -A; git commit -q -m mine; git branch -f side; git stash drop -q; rm -r ../.git/modules/sm/logs",
        "rm -rf .git/modules/sm",
        "rm -rf sm",
        "rm -rf sm deps .git/modules",
        "rm -rf .git sm deps/two",
        "git submodule --quiet deinit -f --all",
        "rm -rf .git/modules/sm/objects .git/modules/libs/two/objects/*",
        "rm -rf sm/.git; git init -q sm; git -C sm add -A; git -C sm commit -q -m other",
        "cp .git/modules/libs/two/HEAD deps/two/.git",
        "cd sm; git checkout -q -f --detach HEAD~1; git stash clear; git branch -q -D side; \
         git reflog expire --expire=now --all; git gc -q --prune=now",
        "rm -rf .git/modules/sm/modules sm/inner",
        "rm .git/modules/sm/HEAD",
        "rm -rf .git/modules; ln -s /etc .git/modules",
        "rm -rf .git/modules; echo > .git/modules",
        "rm .git/modules/sm/HEAD; mkfifo .git/modules/sm/HEAD .git/modules/fifo; ln -s /etc .git/modules/link",
        "cd .git/modules; rm -r sm/refs; ln -s /etc sm/refs; rm -r libs/two/logs; echo > libs/two/logs",
        "chmod 600 sm/.git deps/two/.git",
    ] {
        exec(&place, script);
        let (code, answer) = place.json(["undo", "x"]);
        assert_eq!((code, &answer["left"]), (0, &serde_json::json!([])), "{script}: {answer}");
        assert_eq!((&answer["lost"], &answer["git_config_held"]), (&serde_json::json!([]), &serde_json::json!([])));
        assert_eq!(all(&place, &tree), before, "{script}");
    }
    assert_eq!(tree.join("sm/.git").metadata().expect("a file").permissions().mode() & 0o777, 0o644);
    // git itself has refreshed the index since.
    place.ok(["undo", "x", &first_run(&place)]);
    let said = place.ok(["undo", "x", &first_run(&place)]);
    assert!(said.starts_with("`x` is as it was before the run "), "{said}");
    place.ok(["doctor"]);
}

#[test]
fn what_an_undo_took_from_submodules_comes_back() {
    let place = Place::new();
    let tree = with_submodules(&place);
    let before = all(&place, &tree);
    exec(
        &place,
        "for at in sm sm/inner deps/two; do (cd $at; echo new > new; git add new; git commit -q -m new; git tag t; \
         echo more > new; git stash -q; echo staged > staged2; git add staged2); done; git -C sm stash drop -q",
    );
    let after = all(&place, &tree);
    let planned = place.ok(["undo", "x", "-n"]);
    assert!(
        planned.contains("modules/sm/refs/heads/main: ") && planned.contains("modules/sm/refs/tags/t: "),
        "{planned}"
    );
    assert_eq!(all(&place, &tree), after);
    place.ok(["undo", "x"]);
    assert_eq!(all(&place, &tree), before);
    place.ok(["undo", "x"]);
    assert_eq!(all(&place, &tree), after);
    exec(&place, "rm -rf sm deps .git/modules");
    let said = place.ok(["diff", "x", "--run", "last"]);
    assert!(said.contains("modules/sm/refs/heads/side: ") && said.contains("modules/libs/two/refs/tags/t: "), "{said}");
    let ruined = files(&tree);
    place.ok(["undo", "x"]);
    assert_eq!(all(&place, &tree), after);
    place.ok(["undo", "x"]);
    assert_eq!(files(&tree), ruined);
    assert!(!tree.join("sm").exists() && !tree.join(".git/modules").exists());
}

#[test]
fn a_submodule_that_was_not_there_or_not_checked_out_is_not_so_again() {
    let place = Place::new();
    let tree = full(&place);
    let library = place.project("library");
    let library = library.to_str().expect("UTF-8");
    place.git(&tree, file_allowed(&["submodule", "--quiet", "add", library, "sm"]));
    place.git(&tree, ["commit", "-q", "-m", "submodule"]);
    place.git(&tree, ["submodule", "--quiet", "deinit", "-f", "--all"]);
    std::fs::remove_dir_all(tree.join(".git/modules")).expect("removed");
    let seen = || (files(&tree), state(&place, &tree), place.git(&tree, ["submodule", "status"]));
    let before = seen();
    let script = format!(
        "git -c protocol.file.allow=always submodule --quiet update --init; \
         git -c protocol.file.allow=always submodule --quiet add --name b/c '{library}' other; git -C sm tag t"
    );
    let run = || {
        let args = ["exec", "x", "--isolation", "none", "--", "sh", "-ec", &script];
        let output = place.stead(args).output().expect("stead starts");
        assert!(output.status.success(), "{}", describe(&output));
    };
    run();
    let after = seen();
    place.ok(["undo", "x"]);
    assert_eq!(seen(), before);
    assert!(tree.join("sm").is_dir() && !tree.join(".git/modules").exists());
    place.ok(["undo", "x"]);
    assert_eq!(seen(), after);
    place.git(&tree.join("sm"), ["rev-parse", "t"]);
}

#[test]
fn what_would_run_commands_in_a_submodule_comes_back_only_when_it_is_asked_for() {
    let place = Place::new();
    let tree = with_submodules(&place);
    let module = tree.join(".git/modules/sm");
    place.git(&tree.join("sm"), ["config", "core.fsmonitor", "./evil"]);
    write(&module, "hooks/pre-commit", "#!/bin/sh\n");
    write(&module, "config.worktree", "[core]\n\tpager = evil\n");
    let mode = |path: &Path, bits| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).expect("a mode");
    };
    mode(&module.join("hooks/pre-commit"), 0o750);
    mode(&module.join("config"), 0o600);
    write(&tree, "elsewhere/HEAD", "ref: refs/heads/main\n");
    write(&tree, "deps/two/.git", "gitdir: ../../elsewhere\n");
    // Not a submodule's git directory, but in one.
    write(&tree, "odd/.git", "gitdir: ../.git/modules/sm/evil\n");
    write(&module, "evil/HEAD", "ref: refs/heads/main\n");
    let before = small_files(&module);
    exec(&place, "rm -rf .git/modules deps odd");
    let run = first_run(&place);
    let held = [
        "deps/two/.git",
        "modules/sm/config.worktree",
        "modules/sm/core.fsmonitor",
        "modules/sm/hooks/pre-commit",
        "odd/.git",
    ];
    for args in [&["undo", "x", "-n"][..], &["undo", "x"]] {
        let (code, answer) = place.json(args);
        assert_eq!((code, &answer["git_config_held"]), (0, &held.as_slice().into()), "{answer}");
    }
    let config = || std::fs::read_to_string(module.join("config")).expect("the configuration");
    assert!(!config().contains("evil") && config().contains("worktree = ../../../sm"), "{}", config());
    assert!(!module.join("hooks/pre-commit").exists() && !module.join("config.worktree").exists());
    assert!(tree.join("deps/two").is_dir() && tree.join("deps/two/.git").symlink_metadata().is_err());
    assert!(tree.join("odd/.git").symlink_metadata().is_err());
    place.git(&tree.join("sm"), ["fsck"]);
    place.ok(["undo", "x", &run, "--keep-git-config"]);
    assert_eq!(small_files(&module), before);
    assert!(module.join("config.worktree").exists());
    assert_eq!(std::fs::read_to_string(tree.join("deps/two/.git")).expect("a file"), "gitdir: ../../elsewhere\n");
}

#[test]
fn what_a_submodule_borrows_or_has_lost_is_no_reason_to_break_it() {
    let place = Place::new();
    let tree = full(&place);
    let (library, lender) = (place.project("library"), place.project("lender"));
    // No other repository has it.
    place.git(&lender, ["commit", "-q", "--allow-empty", "-m", "lent"]);
    let (library, lender) = (library.to_str().expect("UTF-8"), lender.to_str().expect("UTF-8"));
    place.git(&tree, file_allowed(&["submodule", "--quiet", "add", library, "sm"]));
    place.git(&tree, file_allowed(&["submodule", "--quiet", "add", "--reference", lender, lender, "borrows"]));
    place.git(&tree, ["commit", "-q", "-m", "submodules"]);
    let borrows = tree.join("borrows");
    let objects = tree.join(".git/modules/borrows/objects");
    assert!(objects.join("info/alternates").exists());
    // A clone of what is on the same disk takes them along.
    for entry in objects.read_dir().expect("objects").flatten().filter(|entry| entry.file_name() != "info") {
        std::fs::remove_dir_all(entry.path()).expect("removed");
    }
    place.git(&borrows, ["fsck"]);
    let sm = state(&place, &tree.join("sm"));
    write(&tree, ".git/modules/sm/refs/heads/broken", format!("{}\n", "1".repeat(40)));
    let before = state(&place, &borrows);
    let script = "git -C borrows commit -q --allow-empty -m more; rm -r .git/modules/sm/refs";
    let args = ["exec", "x", "--isolation", "none", "--", "sh", "-ec", script];
    let output = place.stead(args).output().expect("stead starts");
    assert!(output.status.success(), "{}", describe(&output));
    let (code, answer) = place.json(["undo", "x"]);
    assert_eq!((code, &answer["lost"]), (1, &serde_json::json!(["modules/sm/refs/heads/broken"])), "{answer}");
    assert_eq!(state(&place, &borrows), before);
    assert_eq!(state(&place, &tree.join("sm")), sm);
}

#[test]
fn nothing_of_a_git_directory_that_was_made_a_mess_of_is_recorded_as_files() {
    let place = Place::new();
    let tree = with_submodules(&place);
    write(place.path(), "secret", "a secret\n");
    let secret = place.path().join("secret").display().to_string();
    exec(
        &place,
        "cd .git/modules; rm sm/HEAD; mkdir many; cd many; for i in $(seq 300); do mkdir -p $i/a $i/b; done; \
         mkdir -p objects/ab; echo x > objects/ab/cd; mkfifo fifo",
    );
    std::os::unix::fs::symlink(&secret, tree.join(".git/modules/many/link")).expect("a link");
    exec(&place, "true");
    let store = place.root().join("state/local/x/store.git");
    let run = place.json(["log", "x"]).1["runs"][0]["id"].as_str().expect("an id").to_owned();
    let recorded = place.git(&store, ["ls-tree", "-r", "--name-only", &format!("refs/runs/{run}/before:gitdir")]);
    let bad = |path: &&str| path.starts_with("modules/") && !path.starts_with("modules/libs/two/");
    assert_eq!(recorded.lines().find(bad), None);
    assert!(!recorded.contains("objects") && recorded.contains("modules/libs/two/HEAD\n"), "{recorded}");
    let meta = place.git(&store, ["cat-file", "blob", &format!("refs/runs/{run}/before:meta")]);
    for (path, reason) in [
        ("unreadable .git/modules/sm", "a git directory without HEAD"),
        ("special .git/modules/many/fifo", "not a submodule's git directory"),
        ("special .git/modules/many/link", "not a submodule's git directory"),
    ] {
        assert!(meta.contains(&format!("{path}\0{reason}\0")), "{path}");
    }
    // All of it goes aside, and comes back from there.
    let first = first_run(&place);
    place.ok(["undo", "x", &first]);
    place.git(&tree.join("sm"), ["fsck"]);
    place.json(["undo", "x"]);
    assert!(tree.join(".git/modules/sm/objects").is_dir() && !tree.join(".git/modules/sm/HEAD").exists());
}

#[test]
fn a_nested_repository_has_submodules_of_its_own() {
    let place = Place::new();
    let tree = full(&place);
    let library = place.project("library");
    place.git(&tree, ["init", "-q", "lib"]);
    let (lib, sub) = (tree.join("lib"), tree.join("lib/sub"));
    place.git(&lib, file_allowed(&["submodule", "--quiet", "add", library.to_str().expect("UTF-8"), "sub"]));
    place.git(&lib, ["commit", "-q", "-m", "submodule"]);
    place.git(&sub, ["commit", "-q", "--allow-empty", "-m", "here"]);
    // And a linked worktree with something that is only staged.
    place.git(&tree, ["worktree", "add", "-q", "wt"]);
    write(&tree, "wt/staged", "only staged\n");
    place.git(&tree.join("wt"), ["add", "staged"]);
    std::fs::remove_file(tree.join("wt/staged")).expect("removed");
    let seen =
        || (files(&tree), [tree.clone(), lib.clone(), sub.clone(), tree.join("wt")].map(|dir| state(&place, &dir)));
    let before = seen();
    for script in ["rm -rf lib/.git wt", "rm -rf lib wt .git/worktrees", "rm -rf lib/.git/modules lib/sub/.git .git"] {
        exec(&place, script);
        let (code, answer) = place.json(["undo", "x"]);
        assert_eq!((code, &answer["left"]), (0, &serde_json::json!([])), "{script}: {answer}");
        assert_eq!(seen(), before, "{script}");
    }
    assert_eq!(place.git(&tree.join("wt"), ["show", ":staged"]), "only staged\n");
}

#[test]
fn with_a_snapshot_from_before_submodules_were_recorded_they_stay_as_they_are() {
    let place = Place::new();
    let tree = with_submodules(&place);
    exec(
        &place,
        "cd sm; echo more > more; git add -A; git commit -q -m mine; cd ..; git commit -q --allow-empty -m mine",
    );
    let run = first_run(&place);
    let (store, name) = (place.root().join("state/local/x/store.git"), format!("refs/runs/{run}/before"));
    let list = |tree: &str| place.git(&store, ["ls-tree", tree]);
    let make = |list: String| place.git_in(&store, ["mktree"], &list).trim().to_owned();
    let without: String =
        list(&format!("{name}:gitdir")).split_inclusive('\n').filter(|line| !line.ends_with("\tmodules\n")).collect();
    let meta = place.git(&store, ["cat-file", "blob", &format!("{name}:meta")]);
    let fields: Vec<&str> = meta.split('\0').collect();
    let is_new = |key: &str| key.starts_with("modules ") || key.starts_with("gitfile ");
    let kept = fields[1..].chunks(2).filter(|pair| !is_new(pair[0])).flatten().copied();
    let meta = std::iter::once(fields[0]).chain(kept).collect::<Vec<_>>().join("\0");
    assert!(meta.len() < place.git(&store, ["cat-file", "blob", &format!("{name}:meta")]).len());
    let meta = place.git_in(&store, ["hash-object", "-w", "--stdin"], &meta);
    let files = list(&name).lines().find(|line| line.ends_with("\tfiles")).expect("files").to_owned();
    let root = make(format!("{files}\n040000 tree {}\tgitdir\n100644 blob {}\tmeta\n", make(without), meta.trim()));
    let commit = place.git(&store, ["commit-tree", "-m", "snapshot", &root]);
    place.git(&store, ["update-ref", &name, commit.trim()]);
    let head = place.git(&tree.join("sm"), ["rev-parse", "HEAD"]);
    let said = place.ok(["undo", "x"]);
    assert!(!said.contains("modules/sm/"), "{said}");
    let left = "Left as it is: sm/.git (a submodule's or linked worktree's, which no snapshot has)";
    assert!(said.contains(left) && !tree.join("sm/more").exists(), "{said}");
    assert_eq!(place.git(&tree, ["log", "-1", "--format=%s"]), "submodules\n");
    assert_eq!(place.git(&tree.join("sm"), ["rev-parse", "HEAD"]), head);
    place.git(&tree.join("sm"), ["fsck"]);
    let said = place.ok(["undo", "x", &run]);
    assert!(said.starts_with("`x` is as it was before the run "), "{said}");
}

#[test]
fn an_undo_of_submodules_that_was_killed_anywhere_is_finished() {
    let place = Place::new();
    let tree = with_submodules(&place);
    let ruin = "rm -rf .git/modules/sm deps; rm sm/.git; git init -q sm; git -C sm commit -q --allow-empty -m x";
    let before = all(&place, &tree);
    let mut unfinished = 0;
    for nth in (1..).step_by(17) {
        exec(&place, ruin);
        let run = place.json(["log", "x"]).1["runs"][0]["id"].as_str().expect("an id").to_owned();
        let ended = killed(&place, &["undo", "x", &run], nth);
        if place.root().join("state/local/x/journal.toml").exists() {
            unfinished += 1;
            place.ok(["doctor", "--repair"]);
        } else if !ended {
            place.ok(["undo", "x", &run]);
        }
        assert_eq!(all(&place, &tree), before, "{nth}");
        if ended {
            break;
        }
    }
    assert!(unfinished > 2, "{unfinished}");
}
