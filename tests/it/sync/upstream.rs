//! What comes into a workspace: from upstream, and `--from`.

use super::{commit, read, workspace};
use crate::support::{Place, describe, write};

#[test]
fn upstream_is_fast_forwarded_into_a_clean_workspace() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&project, "src/main.rs", "fn main() { old() }\n");
    std::fs::remove_file(project.join("docs/guide.md")).expect("a file");
    let tip = commit(&place, &project, "docs/new/guide.md", "new\n");
    let (code, answer) = place.json(["sync", "work", "-n"]);
    assert_eq!((code, answer["commits"].as_u64()), (0, Some(1)), "{answer}");
    assert_eq!(read(&tree, "src/main.rs"), "fn main() {}\n");
    place.ok(["sync", "work"]);
    assert_eq!(place.git(&tree, ["rev-parse", "HEAD", "origin/main"]), format!("{tip}\n{tip}\n"));
    assert_eq!(place.git(&tree, ["status", "--porcelain", "-b"]), "## stead/work...origin/main\n");
    assert_eq!(read(&tree, "docs/new/guide.md"), "new\n");
    assert!(!tree.join("docs/guide.md").exists());
    place.git(&tree, ["fsck"]);
    let (_, answer) = place.json(["sync", "work"]);
    assert_eq!(answer["up_to_date"], true);
}

#[test]
fn a_dirty_workspace_is_told_why_it_stays_behind() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    commit(&place, &project, "new.txt", "new\n");
    write(&tree, "README.md", "# dirty\n");
    place.fails(&["sync", "work"], 6, "has uncommitted changes: `README.md`");
    place.git(&tree, ["checkout", "-q", "."]);
    // An ignored file that upstream has too.
    write(&tree, ".git/info/exclude", "*\n");
    write(&tree, ".gitignore", "new.txt\n");
    place.git(&tree, ["add", "-f", ".gitignore"]);
    place.git(&tree, ["commit", "-q", "-m", "ignore"]);
    write(&tree, "new.txt", "mine\n");
    place.fails(&["sync", "work", "--merge"], 6, "`new.txt` (made on both sides)");
    assert_eq!(read(&tree, "new.txt"), "mine\n");
    std::fs::remove_file(tree.join("new.txt")).expect("a file");
    place.git(&tree, ["checkout", "-q", "--detach"]);
    place.fails(&["sync", "work"], 6, "is on no branch");
}

#[test]
fn what_is_staged_and_nowhere_else_is_not_dropped_with_the_index() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&tree, "q", "only staged\n");
    place.git(&tree, ["add", "q"]);
    std::fs::remove_file(tree.join("q")).expect("a file");
    let readme = read(&tree, "README.md");
    write(&tree, "README.md", "# staged\n");
    place.git(&tree, ["add", "README.md"]);
    write(&tree, "README.md", readme);
    commit(&place, &project, "new.txt", "new\n");
    let staged = place.git(&tree, ["ls-files", "-s"]);
    let ways: [&[&str]; 4] = [
        &["sync", "work"],
        &["sync", "work", "--merge"],
        &["sync", "work", "--rebase"],
        &["sync", "work", "--from", "app"],
    ];
    for way in ways {
        place.fails(way, 6, "workspace `work` has uncommitted changes (staged only): `README.md`, `q`");
        assert_eq!(place.git(&tree, ["ls-files", "-s"]), staged, "{way:?}");
        assert!(!tree.join("new.txt").exists(), "{way:?}");
    }
    // What is the same elsewhere is not lost, and a deletion that is staged holds nothing.
    place.git(&tree, ["reset", "-q", "--hard"]);
    place.git(
        &tree,
        [
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("100644,{},copy", place.git(&tree, ["rev-parse", "HEAD:README.md"]).trim()),
        ],
    );
    place.ok(["sync", "work"]);
    assert_eq!(read(&tree, "new.txt"), "new\n");
    place.ok(["clone", "app", "cloned"]);
    let tree = place.tree("cloned");
    write(&tree, "q", "only staged\n");
    place.git(&tree, ["add", "q"]);
    std::fs::remove_file(tree.join("q")).expect("a file");
    commit(&place, &project, "newer.txt", "newer\n");
    place.fails(&["clone", "app", "cloned"], 6, "(staged only): `q`");
}

#[test]
fn a_diverged_branch_is_merged_or_rebased_when_asked() {
    for (flag, parents) in [("--merge", 2), ("--rebase", 1)] {
        let place = Place::new();
        let (project, tree) = workspace(&place);
        commit(&place, &tree, "mine.txt", "mine\n");
        let tip = commit(&place, &project, "theirs.txt", "theirs\n");
        place.fails(&["sync", "work"], 6, "have diverged: 1 here, 1 there");
        place.ok(["sync", "work", flag]);
        let shown = place.git(&tree, ["log", "-1", "--format=%P"]);
        assert_eq!(shown.split_whitespace().count(), parents, "{flag}");
        assert_eq!(place.git(&tree, ["merge-base", "HEAD", "origin/main"]).trim(), tip);
        assert_eq!(place.git(&tree, ["status", "--porcelain"]), "");
        assert_eq!(read(&tree, "theirs.txt"), "theirs\n");
        place.git(&tree, ["fsck", "--strict"]);
        let (_, answer) = place.json(["sync", "work", "--to"]);
        assert_eq!(answer["changes"].as_array().expect("a list").len(), 1, "only its own work: {answer}");
        place.git(&project, ["fsck"]);
    }
}

#[test]
fn a_merge_with_conflicts_writes_nothing() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    let head = commit(&place, &tree, "README.md", "# mine\n");
    commit(&place, &project, "README.md", "# theirs\n");
    for flag in ["--merge", "--rebase"] {
        place.fails(&["sync", "work", flag], 6, "`README.md` (changed on both sides)");
        assert_eq!(place.git(&tree, ["rev-parse", "HEAD"]).trim(), head);
        assert_eq!(place.git(&tree, ["status", "--porcelain"]), "");
    }
}

#[test]
fn a_projects_commits_and_changes_come_into_the_workspace() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    let tip = commit(&place, &project, "committed.txt", "committed\n");
    write(&project, "changed.txt", "changed\n");
    write(&project, "src/main.rs", "fn main() { changed() }\n");
    place.ok(["sync", "work", "--from", "app"]);
    assert_eq!(place.git(&tree, ["rev-parse", "HEAD"]).trim(), tip);
    assert_eq!(place.git(&tree, ["status", "--porcelain"]), " M src/main.rs\n?? changed.txt\n");
    place.git(&tree, ["fsck"]);
    let (_, answer) = place.json(["sync", "work", "--from", "app"]);
    assert_eq!(answer["up_to_date"], true, "{answer}");
    write(&project, "changed.txt", "again\n");
    write(&tree, "changed.txt", "otherwise\n");
    place.fails(&["sync", "work", "--from", "app"], 6, "`changed.txt`");
    assert_eq!(read(&tree, "changed.txt"), "otherwise\n");
}

#[test]
fn what_would_run_commands_is_taken_out_with_the_old_git_directory() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    place.git(&tree, ["config", "core.fsmonitor", "evil"]);
    place.git(&tree, ["stash", "list"]);
    commit(&place, &project, "new.txt", "new\n");
    let (_, answer) = place.json(["sync", "work"]);
    assert_eq!(answer["git_config_held"][0], "core.fsmonitor", "{answer}");
    assert!(!read(&tree, ".git/config").contains("evil"));
}

#[test]
fn a_shallow_workspace_keeps_up_with_upstream() {
    let place = Place::new();
    let project = place.project("app");
    let ssh = place.path().join("ssh");
    write(place.path(), "ssh", "#!/bin/sh\nfor last; do :; done\neval \"$last\"\n");
    std::fs::set_permissions(&ssh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let stead = |args: &[&str]| {
        let output = place.stead(args).env("GIT_SSH", &ssh).output().expect("stead starts");
        assert!(output.status.success(), "{args:?}\n{}", describe(&output));
    };
    stead(&["clone", &format!("ssh://host{}", project.display()).replace(' ', "%20"), "work", "--depth", "1"]);
    let tree = place.tree("work");
    assert_eq!(place.git(&tree, ["rev-list", "--count", "HEAD"]), "1\n");
    for path in ["one", "two", "three"] {
        commit(&place, &project, path, "x\n");
    }
    stead(&["sync", "work"]);
    assert_eq!(place.git(&tree, ["rev-list", "--count", "HEAD"]), "4\n");
    commit(&place, &tree, "mine", "x\n");
    commit(&place, &project, "four", "x\n");
    stead(&["sync", "work", "--rebase"]);
    assert_eq!(place.git(&tree, ["rev-list", "--count", "HEAD"]), "6\n");
    assert_eq!(place.git(&tree, ["status", "--porcelain"]), "");
    place.git(&tree, ["fsck"]);
}
