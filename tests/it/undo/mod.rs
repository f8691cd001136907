//! `stead undo`: a workspace put back to where it was before a run, with git as the judge.

mod modes;
mod stubborn;
mod submodules;
mod unread;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::support::{Place, describe, write};

/// Everything in a tree but `.git`: type, mode and content of each path.
fn files(tree: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(tree).min_depth(1).into_iter().filter_entry(|entry| entry.file_name() != ".git")
    {
        let entry = entry.expect("an entry");
        let metadata = entry.path().symlink_metadata().expect("metadata");
        let what = if metadata.is_symlink() {
            format!("-> {}", std::fs::read_link(entry.path()).expect("a link").display())
        } else if metadata.is_dir() {
            format!("directory {:o}", metadata.permissions().mode() & 0o7777)
        } else {
            let content = std::fs::read(entry.path()).expect("a file");
            format!("{:o} {content:?}", metadata.permissions().mode() & 0o7777)
        };
        found.insert(entry.path().as_os_str().as_bytes().to_owned(), what);
    }
    found
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

/// What git says of a repository.
fn state(place: &Place, tree: &Path) -> [String; 7] {
    place.git(tree, ["fsck", "--no-dangling"]);
    [
        place.git(tree, ["status", "--porcelain=v2", "--branch", "-uall"]),
        place.git(tree, ["for-each-ref"]),
        place.git(tree, ["log", "--all", "--format=%H %s"]),
        place.git(tree, ["stash", "list"]),
        place.git(tree, ["ls-files", "--stage", "--debug"]).lines().filter(|line| !line.starts_with(' ')).collect(),
        place.git(tree, ["reflog", "--all"]),
        place.git(tree, ["diff", "--cached"]),
    ]
}

/// Makes a workspace of a project with commits, a stash entry, staged and uncommitted files, odd modes and links.
fn full(place: &Place) -> std::path::PathBuf {
    let project = place.project("api");
    write(&project, ".gitignore", "*.log\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "ignore"]);
    place.ok(["create", "x", "--from", project.to_str().expect("UTF-8")]);
    let tree = place.tree("x");
    for number in 0..3 {
        write(&tree, "work", format!("{number}\n"));
        place.git(&tree, ["add", "work"]);
        place.git(&tree, ["commit", "-q", "-m", &number.to_string()]);
    }
    write(&tree, "work", "stashed\n");
    place.git(&tree, ["stash", "-q"]);
    place.git(&tree, ["branch", "side", "HEAD~1"]);
    write(&tree, "staged", "staged\n");
    place.git(&tree, ["add", "staged"]);
    write(&tree, "staged", "and changed\n");
    write(&tree, "docs/guide.md", "changed\n");
    write(&tree, "new/deep/file", "uncommitted\n");
    write(&tree, "kept.log", "ignored\n");
    std::fs::create_dir_all(tree.join("empty/below")).expect("directories");
    symlink("new/deep", tree.join("link")).expect("a link");
    write(&tree, "secret", "s\n");
    std::fs::set_permissions(tree.join("secret"), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    std::fs::set_permissions(tree.join("new/deep/file"), std::fs::Permissions::from_mode(0o775)).expect("a mode");
    tree
}

fn exec(place: &Place, script: &str) {
    let output = place.stead(["exec", "x", "--", "sh", "-c", script]).output().expect("stead starts");
    assert!(output.status.success(), "{}", describe(&output));
}

#[test]
fn a_run_that_destroyed_everything_is_taken_back_and_again() {
    let place = Place::new();
    let tree = full(&place);
    let (before, git) = (files(&tree), state(&place, &tree));
    exec(&place, "rm -rf .git * .gitignore; echo ruin > ruin; mkdir docs; git init -q");
    let ruined = files(&tree);
    let planned = place.ok(["undo", "x", "--dry-run"]);
    assert!(planned.starts_with("Would put `x` back to before the run "), "{planned}");
    assert!(planned.contains("delete ruin") && planned.contains("refs/heads/side"), "{planned}");
    assert_eq!(files(&tree), ruined);
    let done = place.ok(["undo", "x"]);
    assert!(done.contains("hint: `stead undo x` takes this back"), "{done}");
    let mut expected = before;
    // Nobody recorded it, and the run has removed it.
    expected.remove(tree.join("kept.log").as_os_str().as_bytes());
    assert_eq!(files(&tree), expected);
    assert_eq!(state(&place, &tree), git);
    place.git(&tree, ["stash", "pop", "-q"]);
    place.git(&tree, ["stash", "-q"]);
    // And the undo itself.
    let (code, answer) = place.json(["undo", "x"]);
    assert_eq!(code, 0, "{answer}");
    assert_eq!(files(&tree), ruined);
    place.git(&tree, ["fsck"]);
    let (_, log) = place.json(["log", "x"]);
    let undoes: Vec<_> = log["runs"].as_array().expect("runs").iter().map(|run| run["undoes"].clone()).collect();
    let run = |at: usize| log["runs"][at]["id"].clone();
    assert_eq!(undoes, [run(1), run(2), serde_json::Value::Null]);
    assert!(log["runs"].as_array().expect("runs").iter().all(|run| run["undoable"] == true), "{log}");
}

#[test]
fn a_rewritten_and_collected_repository_comes_back() {
    let place = Place::new();
    let tree = full(&place);
    let (before, git) = (files(&tree), state(&place, &tree));
    exec(
        &place,
        "git stash drop -q; git branch -q -D side; git reset -q --hard HEAD~2; rm -rf .git/logs; git gc -q --prune=now; \
         chmod 644 secret; rm link; mkdir link; echo x > link/x; rm -r empty new; echo file > new",
    );
    place.ok(["undo", "x"]);
    assert_eq!(files(&tree), before);
    assert_eq!(state(&place, &tree), git);
}

#[test]
fn a_git_directory_that_became_something_else_comes_back() {
    let place = Place::new();
    let tree = full(&place);
    let git = state(&place, &tree);
    for script in ["rm -rf .git; mkfifo .git", "rm -rf .git; ln -s /etc .git", "rm -rf .git/objects", "rm -rf .git"] {
        exec(&place, script);
        place.ok(["undo", "x"]);
        assert_eq!(state(&place, &tree), git, "{script}");
    }
}

#[test]
fn what_is_ignored_stays_and_what_stands_in_the_way_is_recorded() {
    let place = Place::new();
    let tree = full(&place);
    write(&tree, "mine.txt", "mine\n");
    write(&tree, "old.cache", "was untracked\n");
    exec(
        &place,
        "echo more >> kept.log; rm .gitignore; printf '*.cache\\n' > .gitignore; echo new > old.cache; \
         rm mine.txt; mkdir mine.txt; echo hidden > mine.txt/a.cache",
    );
    let (code, answer) = place.json(["undo", "x"]);
    assert_eq!(code, 0, "{answer}");
    let read = |path: &str| std::fs::read_to_string(tree.join(path)).expect("a file");
    assert_eq!(read("kept.log"), "ignored\nmore\n", "it was ignored before, so nobody knows what it was");
    assert_eq!((read("mine.txt"), read("old.cache")), ("mine\n".into(), "was untracked\n".into()));
    assert!(answer["left"][0]["path"] == "kept.log", "{answer}");
    // What was ignored by then and in the way was not lost.
    place.ok(["undo", "x"]);
    assert_eq!((read("mine.txt/a.cache"), read("old.cache")), ("hidden\n".into(), "new\n".into()));
}

#[test]
fn what_cannot_be_recorded_is_not_taken_away() {
    let place = Place::new();
    let tree = full(&place);
    exec(&place, "rm work; mkfifo work");
    place.fails(&["undo", "x"], 7, "cannot record what stands in the way, and it would be lost: `work`");
    assert!(!tree.join("work").is_file());
    place.ok(["undo", "x", "docs"]);
    std::fs::remove_file(tree.join("work")).expect("the fifo");
    place.ok(["undo", "x", &first_run(&place)]);
    assert_eq!(std::fs::read_to_string(tree.join("work")).expect("a file"), "2\n");
}

#[test]
fn what_stays_since_it_cannot_be_recorded_is_named_and_is_a_failure() {
    let place = Place::new();
    let tree = full(&place);
    let before = files(&tree);
    exec(&place, "mkfifo pipe; echo new > new2");
    let (code, answer) = place.json(["undo", "x"]);
    assert_eq!(
        (code, answer["complete"].as_bool(), answer["left"][0]["path"].as_str()),
        (1, Some(false), Some("pipe"))
    );
    std::fs::remove_file(tree.join("pipe")).expect("the fifo");
    assert_eq!(files(&tree), before);
}

fn first_run(place: &Place) -> String {
    let (_, log) = place.json(["log", "x"]);
    log["runs"].as_array().and_then(|runs| runs.last()).expect("a run")["id"].as_str().expect("an id").to_owned()
}

#[test]
fn only_the_paths_that_are_named_come_back() {
    let place = Place::new();
    let tree = full(&place);
    let git = state(&place, &tree);
    exec(&place, "echo a > docs/guide.md; echo b > staged; echo c > docs/more; git commit -qam three");
    let run = first_run(&place);
    place.ok(["undo", "x", &run, "./docs/"]);
    assert_eq!(std::fs::read_to_string(tree.join("docs/guide.md")).expect("a file"), "changed\n");
    assert!(!tree.join("docs/more").exists());
    assert_eq!(std::fs::read_to_string(tree.join("staged")).expect("a file"), "b\n");
    assert_ne!(place.git(&tree, ["log", "--all", "--format=%H %s"]), git[2]);
    place.fails(&["undo", "x", "nowhere"], 3, "`nowhere` is not there now and was not there before");
    place.fails(&["undo", "x", "../x"], 2, "`../x` is not a path in the tree");
    place.ok(["undo", "x", &run]);
    assert_eq!(state(&place, &tree), git);
}

#[test]
fn nested_repositories_come_back_with_their_own_git() {
    let place = Place::new();
    let tree = full(&place);
    place.git(&tree, ["init", "-q", "lib"]);
    write(&tree, "lib/a", "a\n");
    place.git(&tree.join("lib"), ["add", "."]);
    place.git(&tree.join("lib"), ["commit", "-q", "-m", "nested"]);
    write(&tree, "lib/b", "b\n");
    let (before, git) = (files(&tree), state(&place, &tree.join("lib")));
    exec(&place, "rm -rf lib; git init -q new; mkdir other; git -C other init -q; echo x > other/x");
    place.ok(["undo", "x"]);
    assert_eq!(files(&tree), before);
    assert_eq!(state(&place, &tree.join("lib")), git);
    place.ok(["undo", "x"]);
    assert!(!tree.join("lib").exists() && tree.join("other/.git").is_dir());
}

/// What a snapshot records of a `.git`, and stead was not the one to write: mode and content of each file.
fn small_files(git: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = files(git);
    let recorded = |path: &[u8]| {
        let name = &path[git.as_os_str().len() + 1..];
        let tops: [&[u8]; 6] = [b"HEAD", b"config", b"hooks/", b"info/", b"logs/", b"refs/"];
        tops.iter().any(|top| name.starts_with(top)) && !name.ends_with(b".sample")
    };
    found.retain(|path, what| recorded(path) && !what.starts_with("directory"));
    found
}

#[test]
fn what_a_run_made_a_nested_repository_run_is_taken_back_to_the_byte_and_the_mode() {
    let place = Place::new();
    let tree = full(&place);
    let (lib, git) = (tree.join("lib"), tree.join("lib/.git"));
    let mode =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    place.git(&tree, ["init", "-q", "lib"]);
    write(&lib, "a", "a\n");
    place.git(&lib, ["add", "."]);
    place.git(&lib, ["commit", "-q", "-m", "nested"]);
    place.git(&lib, ["branch", "side"]);
    place.git(&lib, ["config", "core.pager", "less -R"]);
    write(&git, "hooks/pre-commit", "#!/bin/sh\n");
    write(&git, "hooks/README", "not run\n");
    write(&git, "config.worktree", "[core]\n\teditor = vi\n");
    for (name, bits) in
        [("config", 0o600), ("hooks/pre-commit", 0o750), ("hooks/README", 0o640), ("config.worktree", 0o444)]
    {
        mode(&git.join(name), bits);
    }
    let (before, now) = (small_files(&git), || small_files(&git));
    exec(
        &place,
        "cd lib && git commit -q --no-verify --allow-empty -m two && git branch -D side && git config core.fsmonitor evil && \
         chmod 644 .git/config && echo evil > .git/hooks/post-merge && chmod 755 .git/hooks/* && rm .git/config.worktree",
    );
    assert!(
        !git.join("hooks").exists() && !std::fs::read_to_string(git.join("config")).expect("text").contains("evil")
    );
    let run = first_run(&place);
    let held = ["lib/.git/config.worktree", "lib/.git/core.pager", "lib/.git/hooks/pre-commit"];
    for args in [&["undo", "x", "-n"][..], &["undo", "x"]] {
        let (code, answer) = place.json(args);
        assert_eq!((code, &answer["git_config_held"]), (0, &held.as_slice().into()), "{answer}");
        assert_eq!(answer["git_config_kept"], false, "{answer}");
    }
    let expected = |path: &[u8]| !path.ends_with(b"config") && !held.iter().any(|held| path.ends_with(held.as_bytes()));
    let without = |mut files: BTreeMap<Vec<u8>, String>| {
        files.retain(|path, _| expected(path));
        files
    };
    assert_eq!(without(now()), without(before.clone()));
    assert!(held.iter().skip(2).all(|name| !tree.join(name).exists()) && !git.join("config.worktree").exists());
    assert_eq!(git.join("config").metadata().expect("the configuration").permissions().mode() & 0o777, 0o600);
    let said = place.ok(["undo", "x", &run, "-n"]);
    let says = format!("Not put back in `.git`, because it would run commands: {}\n", held.join(", "));
    assert!(said.contains(&says) && said.contains("hint: `--keep-git-config` puts it back too"), "{said}");
    let said = place.ok(["undo", "x", &run, "--keep-git-config"]);
    assert!(said.contains(&format!("`.git` holds what would run commands: {}\n", held.join(", "))), "{said}");
    assert_eq!(now(), before);
    place.git(&lib, ["-c", "core.fsmonitor=", "fsck"]);
    // A mode alone is put back too.
    mode(&git.join("config"), 0o600);
    let keep = |args: &[&str]| {
        let output =
            place.stead(args).arg("--keep-git-config").args(["--", "chmod", "640", "lib/.git/config"]).output();
        assert!(output.expect("stead starts").status.success());
    };
    keep(&["exec", "x"]);
    place.ok(["undo", "x", "--keep-git-config"]);
    assert_eq!(now(), before);
}

#[test]
fn an_imported_file_comes_back_although_it_is_ignored() {
    let place = Place::new();
    let tree = full(&place);
    write(place.path(), "in.log", "brought\n");
    place.ok(["import", "x", place.path().join("in.log").to_str().expect("UTF-8")]);
    exec(&place, "echo changed > in.log; echo changed > kept.log");
    place.ok(["undo", "x"]);
    assert_eq!(std::fs::read_to_string(tree.join("in.log")).expect("a file"), "brought\n");
    assert_eq!(std::fs::read_to_string(tree.join("kept.log")).expect("a file"), "changed\n");
}

#[test]
fn hooks_and_settings_that_run_commands_stay_out_unless_kept() {
    let place = Place::new();
    let tree = full(&place);
    place.git(&tree, ["config", "core.fsmonitor", "/bin/true"]);
    write(&tree, ".git/hooks/post-checkout", "#!/bin/sh\n");
    std::fs::set_permissions(tree.join(".git/hooks/post-checkout"), std::fs::Permissions::from_mode(0o755))
        .expect("a mode");
    exec(&place, "rm -rf .git");
    place.ok(["undo", "x"]);
    let config = || std::fs::read_to_string(tree.join(".git/config")).expect("the configuration");
    assert!(!config().contains("fsmonitor") && config().contains("origin"), "{}", config());
    assert!(!tree.join(".git/hooks/post-checkout").exists());
    place.ok(["undo", "x", &first_run(&place), "--keep-git-config"]);
    assert!(config().contains("fsmonitor") && tree.join(".git/hooks/post-checkout").exists());
}

#[test]
fn without_a_run_there_is_nothing_to_undo() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    place.fails(&["undo", "x"], 3, "workspace `x` has no run that can be undone");
    place.fails(&["undo", "x", "20260131-154500-0f3a"], 3, "workspace `x` has no run 20260131-154500-0f3a");
    place.ok(["exec", "x", "--", "true"]);
    assert!(place.ok(["undo", "x"]).starts_with("`x` is as it was before the run "));
}

/// Runs `stead ARGS` under strace with these filters.
fn traced(place: &Place, args: &[&str], filters: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null"]).args(filters);
    let stead = place.stead(args);
    command.arg(stead.get_program()).args(stead.get_args());
    place.isolate(&mut command);
    command.env("STEAD_ROOT", place.root()).output().expect("strace starts: the tests need it")
}

#[test]
fn what_an_undo_cannot_read_of_git_is_put_aside_and_comes_back_from_there() {
    for unreadable in [".git/refs/heads", ".git/refs", "lib/.git/refs/heads"] {
        let place = Place::new();
        let tree = full(&place);
        place.git(&tree, ["init", "-q", "lib"]);
        write(&tree, "lib/a", "a\n");
        place.git(&tree.join("lib"), ["add", "."]);
        place.git(&tree.join("lib"), ["commit", "-q", "-m", "nested"]);
        exec(
            &place,
            "for at in . lib; do (cd $at; git checkout -q -b new; echo more > more; git add more; git commit -q -m more; \
             echo x > more; git stash -q); done",
        );
        let states = || (files(&tree), state(&place, &tree), state(&place, &tree.join("lib")));
        let after = states();
        let path = tree.join(unreadable).display().to_string();
        let filters = ["-P", &path, "-e", "trace=openat,openat2", "-e", "inject=openat,openat2:error=EIO"];
        let output = traced(&place, &["undo", "x"], &filters);
        assert!(output.status.success(), "{unreadable}: {}", describe(&output));
        assert_ne!(states(), after);
        place.git(&tree, ["rev-parse", "-q", "--verify", "refs/heads/side"]);
        let planned = place.ok(["undo", "x", "--dry-run"]);
        assert!(planned.contains("refs/heads/new"), "{unreadable}: {planned}");
        let (code, answer) = place.json(["undo", "x"]);
        assert_eq!((code, &answer["left"]), (0, &serde_json::json!([])), "{unreadable}: {answer}");
        assert_eq!(states(), after, "{unreadable}");
    }
}

/// Ends `stead ARGS` at its `nth` change of a name below the place; returns whether it ended by itself before.
fn killed(place: &Place, args: &[&str], nth: usize) -> bool {
    let calls = "renameat,renameat2,rename,unlinkat,unlink,symlinkat,mkdirat,linkat,chmod,fchmodat,fchmod";
    let inject = format!("inject={calls}:signal=KILL:when={nth}");
    let output = traced(place, args, &["-e", &format!("trace={calls}"), "-e", &inject]);
    output.status.success()
}

#[test]
fn an_undo_that_was_killed_anywhere_is_finished_by_the_next_command() {
    let place = Place::new();
    let tree = full(&place);
    chmod(&tree.join("new/deep"), 0o1711);
    let ruin =
        "rm -rf .git docs/guide.md work link new empty; echo ruin > new; mkdir work; echo x > work/x; chmod 2700 docs";
    let (before, git) = (files(&tree), state(&place, &tree));
    let mut unfinished = 0;
    // Every third, so that it does not take for ever; each run of the loop begins at another.
    for nth in (1..).step_by(3) {
        exec(&place, ruin);
        let run = place.json(["log", "x"]).1["runs"][0]["id"].as_str().expect("an id").to_owned();
        let ended = killed(&place, &["undo", "x", &run], nth);
        if place.root().join("state/local/x/journal.toml").exists() {
            unfinished += 1;
            place.ok(["doctor", "--repair"]);
            assert_eq!(files(&tree), before, "{nth}");
        } else if files(&tree) != before {
            assert!(!ended);
            place.ok(["undo", "x", &run]);
        }
        assert_eq!((files(&tree), state(&place, &tree)), (before.clone(), git.clone()), "{nth}");
        place.ok(["doctor"]);
        if ended {
            break;
        }
    }
    assert!(unfinished > 4, "{unfinished}");
}

#[test]
fn letting_go_of_snapshots_leaves_a_whole_store_wherever_it_is_killed() {
    let place = Place::new();
    write(&place.home(), ".config/stead/config.toml", "[capture]\nkeep_size = 1\n");
    full(&place);
    for number in 0..23 {
        exec(&place, &format!("echo {number} > number"));
    }
    let store = place.root().join("state/local/x/store.git");
    let undoable = || {
        let (_, log) = place.json(["log", "x"]);
        log["runs"].as_array().expect("runs").iter().filter(|run| run["undoable"] == true).count()
    };
    assert_eq!(undoable(), 23, "more than it lets go of by itself");
    let mut nth = 1;
    while !killed(&place, &["gc"], nth) {
        place.git(&store, ["fsck", "--connectivity-only"]);
        assert!(undoable() >= 20, "{nth}");
        place.ok(["doctor"]);
        nth += 1 + nth / 2;
    }
    assert!(nth > 4 && undoable() <= 21, "{nth}");
    assert!(!store.join("objects.new").exists());
    place.git(&store, ["fsck", "--full"]);
    place.ok(["undo", "x"]);
    assert_eq!(std::fs::read_to_string(place.tree("x").join("number")).expect("a file"), "21\n");
}

#[test]
fn what_was_ignored_and_never_recorded_is_named_when_it_is_gone_or_stays() {
    let place = Place::new();
    let tree = full(&place);
    exec(&place, "echo '*.md' > .gitignore; echo 1 > NOTES.md");
    exec(&place, "rm NOTES.md");
    let text = place.ok(["undo", "x"]);
    assert!(text.contains("Left as it is: NOTES.md (it is gone, and was not recorded: it was ignored)"), "{text}");
    exec(&place, "echo 2 > NOTES.md");
    let first = place.json(["log", "x"]).1["runs"].as_array().expect("runs").last().expect("one")["id"].clone();
    let text = place.ok(["undo", "x", first.as_str().expect("an id")]);
    assert!(text.contains("Left as it is: NOTES.md (it was not recorded, since it is ignored)"), "{text}");
    assert!(tree.join("NOTES.md").exists());
}
