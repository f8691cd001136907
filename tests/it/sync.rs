//! `stead sync`, with git as the oracle: every repository is whole afterwards, every tree is what git would make.

use std::path::Path;

use crate::support::{Place, describe, write};

fn read(dir: &Path, path: &str) -> String {
    std::fs::read_to_string(dir.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A project and a workspace `work` of it.
fn workspace(place: &Place) -> (std::path::PathBuf, std::path::PathBuf) {
    let project = place.project("app");
    place.ok(["create", "work", "--from", "app"]);
    (project, place.tree("work"))
}

fn commit(place: &Place, dir: &Path, path: &str, content: &str) -> String {
    write(dir, path, content);
    place.git(dir, ["add", "-A"]);
    place.git(dir, ["commit", "-q", "-m", path]);
    place.git(dir, ["rev-parse", "HEAD"]).trim().to_owned()
}

#[test]
fn uncommitted_work_becomes_one_commit_on_a_branch_of_the_project() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    let before = place.git(&project, ["rev-parse", "HEAD"]);
    write(&tree, "new.txt", "new\n");
    write(&tree, "src/main.rs", "fn main() { run() }\n");
    std::fs::remove_file(tree.join("docs/guide.md")).expect("a file");
    let (code, answer) = place.json(["sync", "work", "--to", "-n"]);
    assert_eq!((code, &answer["dry_run"], &answer["commits"]), (0, &true.into(), &1.into()));
    assert_eq!(place.git(&project, ["branch", "--list", "stead/*"]), "");
    place.ok(["sync", "work", "--to", "-m", "the work"]);
    assert_eq!(
        place.git(&project, ["log", "-1", "--format=%s", "--name-status", "stead/work"]),
        "the work\n\nD\tdocs/guide.md\nA\tnew.txt\nM\tsrc/main.rs\n"
    );
    assert_eq!(place.git(&project, ["rev-parse", "HEAD", "stead/work~1"]), format!("{before}{before}"));
    assert_eq!(place.git(&project, ["status", "--porcelain"]), "");
    place.git(&project, ["fsck", "--strict"]);
    // The tree is what git itself would commit.
    place.git(&tree, ["add", "-A"]);
    assert_eq!(place.git(&tree, ["write-tree"]), place.git(&project, ["rev-parse", "stead/work^{tree}"]));
}

#[test]
fn a_second_sync_is_up_to_date_and_a_third_follows_the_work() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&tree, "new.txt", "one\n");
    place.ok(["sync", "work", "--to"]);
    let first = place.git(&project, ["rev-parse", "stead/work"]);
    let (_, answer) = place.json(["sync", "work", "--to"]);
    assert_eq!(answer["up_to_date"], true);
    assert_eq!(place.git(&project, ["rev-parse", "stead/work"]), first);
    write(&tree, "new.txt", "two\n");
    place.ok(["sync", "work", "--to"]);
    assert_eq!(place.git(&project, ["show", "stead/work:new.txt"]), "two\n");
    // The agent commits; the commit made of uncommitted work gives way to it.
    let head = commit(&place, &tree, "more.txt", "more\n");
    place.ok(["sync", "work", "--to"]);
    assert_eq!(place.git(&project, ["rev-parse", "stead/work"]).trim(), head);
    place.git(&project, ["fsck"]);
}

#[test]
fn work_on_another_branch_comes_over_and_the_rest_is_named() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    commit(&place, &tree, "one.txt", "one\n");
    place.git(&tree, ["checkout", "-q", "-b", "other", "origin/main"]);
    let head = commit(&place, &tree, "two.txt", "two\n");
    write(&tree, "two.txt", "stashed\n");
    place.git(&tree, ["stash", "--quiet"]);
    let stashed = place.git(&tree, ["rev-parse", "stash"]);
    let text = place.ok(["sync", "work", "--to", "-n"]);
    let other = "Other refs with commits of their own, and 1 stash entry, not part of it:\n  refs/heads/stead/work (1 commit)\n";
    assert!(text.contains(other), "{text}");
    let (_, answer) = place.json(["sync", "work", "--to"]);
    assert_eq!(place.git(&project, ["rev-parse", "stead/work"]).trim(), head);
    assert_eq!(answer["other_refs"], serde_json::json!([{ "ref": "refs/heads/stead/work", "commits": 1 }]));
    assert_eq!(answer["stashes"], serde_json::json!([stashed.trim()]));
    // What upstream has by now is named no longer; the log of the stash is not all there is of it.
    place.git(&tree, ["branch", "-D", "-q", "stead/work"]);
    std::fs::remove_file(tree.join(".git/logs/refs/stash")).expect("the log");
    let text = place.ok(["sync", "work", "--to"]);
    assert!(text.contains("Not part of it: 1 stash entry.\n"), "{text}");
}

#[test]
fn a_branch_that_stead_did_not_write_is_a_conflict() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&tree, "new.txt", "one\n");
    place.git(&project, ["branch", "stead/work"]);
    place.fails(&["sync", "work", "--to"], 6, "which stead did not write");
    place.git(&project, ["branch", "-D", "stead/work"]);
    place.ok(["sync", "work", "--to"]);
    let theirs = place.git(&project, ["commit-tree", "-m", "x", "HEAD^{tree}"]);
    place.git(&project, ["branch", "-f", "stead/work", theirs.trim()]);
    write(&tree, "new.txt", "two\n");
    place.fails(&["sync", "work", "--to"], 6, "which stead did not write");
    assert_eq!(place.git(&project, ["rev-parse", "stead/work"]), theirs);
}

#[test]
fn a_branch_that_is_checked_out_is_refused() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&tree, "new.txt", "one\n");
    place.ok(["sync", "work", "--to"]);
    write(&tree, "new.txt", "two\n");
    let linked = place.path().join("projects/linked");
    place.git(&project, ["worktree", "add", "-q", linked.to_str().expect("UTF-8"), "stead/work"]);
    place.fails(&["sync", "work", "--to"], 7, "is checked out in");
    place.git(&project, ["worktree", "remove", linked.to_str().expect("UTF-8")]);
    place.git(&project, ["checkout", "-q", "stead/work"]);
    place.fails(&["sync", "work", "--to"], 7, "is checked out in");
    assert_eq!(read(&project, "new.txt"), "one\n");
}

#[test]
fn what_was_reviewed_is_what_is_synced() {
    let place = Place::new();
    let (_, tree) = workspace(&place);
    write(&tree, "new.txt", "one\n");
    let (_, answer) = place.json(["sync", "work", "--to", "-n"]);
    let id = answer["snapshot"].as_str().expect("an id").to_owned();
    write(&tree, "new.txt", "two\n");
    place.fails(&["sync", "work", "--to", "--snapshot", &id], 6, "is not snapshot");
    write(&tree, "new.txt", "one\n");
    place.ok(["sync", "work", "--to", "--snapshot", &id[..12]]);
}

#[test]
fn files_that_run_code_need_to_be_allowed() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&tree, ".envrc", "rm -rf /\n");
    std::os::unix::fs::symlink("/etc/passwd", tree.join("link")).expect("a link");
    place.fails(&["sync", "work", "--to"], 7, "`.envrc` (runs code when opened), `link` (link to /etc/passwd)");
    place.fails(&["sync", "work", "--to", "--apply"], 7, "--allow-exec");
    assert_eq!(place.git(&project, ["branch", "--list", "stead/*"]), "");
    let (_, answer) = place.json(["sync", "work", "--to", "--allow-exec"]);
    assert_eq!(answer["runs_code"].as_array().expect("a list").len(), 2);
    place.git(&project, ["rev-parse", "stead/work:.envrc"]);
}

#[test]
fn apply_merges_into_the_working_tree() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&tree, "docs/guide.md", "ONE\ntwo\nthree\n");
    write(&tree, "new/deep.txt", "deep\n");
    std::fs::remove_file(tree.join("src/main.rs")).expect("a file");
    write(&project, "docs/guide.md", "one\ntwo\nTHREE\n");
    place.ok(["sync", "work", "--to", "--apply"]);
    assert_eq!(read(&project, "new/deep.txt"), "deep\n");
    assert!(!project.join("src").exists());
    // Adjacent lines are git's own idea of a conflict; these are two apart.
    assert_eq!(read(&project, "docs/guide.md"), "ONE\ntwo\nTHREE\n");
    let (_, answer) = place.json(["sync", "work", "--to", "--apply"]);
    assert_eq!(answer["up_to_date"], true);
    // What was applied before is the base of what comes next.
    write(&tree, "docs/guide.md", "ONE\ntwo\nthree\nfour\n");
    std::fs::remove_file(tree.join("new/deep.txt")).expect("a file");
    place.fails(&["sync", "work", "--to", "--apply"], 6, "`docs/guide.md` (changed on both sides)");
    assert!(project.join("new/deep.txt").exists());
    write(&tree, "docs/guide.md", "Ones\ntwo\nthree\n");
    place.ok(["sync", "work", "--to", "--apply"]);
    assert_eq!(read(&project, "docs/guide.md"), "Ones\ntwo\nTHREE\n");
    assert!(!project.join("new").exists());
}

#[test]
fn a_conflict_writes_nothing() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&tree, "README.md", "# theirs\n");
    write(&tree, "new.txt", "theirs\n");
    write(&project, "README.md", "# ours\n");
    place.fails(&["sync", "work", "--to", "--apply"], 6, "`README.md` (changed on both sides)");
    assert_eq!(place.git(&project, ["status", "--porcelain"]), " M README.md\n");
    place.git(&project, ["checkout", "-q", "."]);
    write(&project, "new.txt", "ours\n");
    place.fails(&["sync", "work", "--to", "--apply"], 6, "`new.txt` (made on both sides)");
    assert_eq!(read(&project, "README.md"), "# project\n");
}

#[test]
fn a_link_in_the_way_leads_nowhere() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    let outside = place.path().join("outside");
    std::fs::create_dir(&outside).expect("a directory");
    write(&tree, "out/file", "x\n");
    std::os::unix::fs::symlink(&outside, project.join("out")).expect("a link");
    place.fails(&["sync", "work", "--to", "--apply"], 6, "`out` (in the way of a directory)");
    assert!(std::fs::read_dir(&outside).expect("a directory").next().is_none());
}

#[test]
fn apply_goes_to_plain_folders_too() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    let plain = place.path().join("projects/plain");
    std::fs::create_dir(&plain).expect("a directory");
    write(&tree, "new.txt", "new\n");
    place.ok(["sync", "work", "--to", "plain", "--apply"]);
    assert_eq!(read(&plain, "README.md"), "# project\n");
    assert_eq!(read(&plain, "new.txt"), "new\n");
    write(&tree, "new.txt", "newer\n");
    write(&plain, "README.md", "# mine\n");
    place.ok(["sync", "work", "--to", "plain", "--apply"]);
    assert_eq!(read(&plain, "new.txt"), "newer\n");
    assert_eq!(read(&plain, "README.md"), "# mine\n");
    // A directory inside of the project is not a plain folder.
    place.fails(&["sync", "work", "--to", "app/src", "--apply"], 2, "is inside of the project");
    assert!(!project.join("src/README.md").exists());
}

#[test]
fn nothing_is_brought_into_the_root() {
    let place = Place::new();
    let (_, tree) = workspace(&place);
    write(&tree, "new.txt", "new\n");
    let path = tree.display().to_string();
    place.fails(&["sync", "work", "--to", &path, "--apply"], 7, "is inside of stead's own root");
    place.fails(&["sync", "work", "--to", &path], 7, "is inside of stead's own root");
    place.fails(&["sync", "work", "--from", &path], 7, "is inside of stead's own root");
}

#[test]
fn nested_repositories_are_never_part_of_it() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&tree, "new.txt", "new\n");
    write(&tree, "nested/file", "x\n");
    place.git(&tree.join("nested"), ["init", "-q"]);
    place.git(&tree.join("nested"), ["add", "."]);
    place.git(&tree.join("nested"), ["commit", "-q", "-m", "x"]);
    let (_, answer) = place.json(["sync", "work", "--to"]);
    assert_eq!(answer["left_out"][0]["path"], "nested");
    assert_eq!(place.git(&project, ["diff", "--name-only", "main", "stead/work"]), "new.txt\n");
}

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
fn work_is_pushed_to_a_branch_of_origin() {
    let place = Place::new();
    let project = place.project("app");
    let bare = place.path().join("projects/origin.git");
    place.git(&project, ["clone", "-q", "--bare", ".", bare.to_str().expect("UTF-8")]);
    place.ok(["create", "work", "--from", "origin.git"]);
    let tree = place.tree("work");
    write(&tree, "new.txt", "one\n");
    place.ok(["sync", "work", "--push"]);
    assert_eq!(place.git(&bare, ["show", "stead/work:new.txt"]), "one\n");
    // A commit of uncommitted work gives way to the next.
    write(&tree, "new.txt", "two\n");
    place.ok(["sync", "work", "--push"]);
    assert_eq!(place.git(&bare, ["log", "--format=%s", "main..stead/work"]).lines().count(), 1);
    let (_, answer) = place.json(["sync", "work", "--push"]);
    assert_eq!(answer["up_to_date"], true);
    place.ok(["sync", "work", "--push", "--as", "topic"]);
    assert_eq!(place.git(&bare, ["show", "topic:new.txt"]), "two\n");
    let other = place.git(&bare, ["commit-tree", "-m", "x", "main^{tree}"]);
    place.git(&bare, ["branch", "-f", "topic", other.trim()]);
    write(&tree, "new.txt", "three\n");
    place.fails(&["sync", "work", "--push", "--as", "topic"], 6, "has commits that the workspace lacks");
    place.git(&bare, ["symbolic-ref", "HEAD", "refs/heads/stead/work"]);
    place.fails(&["sync", "work", "--push"], 7, "is the default branch");
    place.ok(["sync", "work", "--push", "--as", "stead/work"]);
    assert_eq!(place.git(&bare, ["show", "stead/work:new.txt"]), "three\n");
    place.git(&bare, ["fsck"]);
}

#[test]
fn a_path_with_a_working_tree_is_not_pushed_to() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&tree, "new.txt", "one\n");
    let said = "has a working tree, and only a bare repository can be pushed to by its path";
    place.fails(&["sync", "work", "--push"], 8, said);
    place.fails(&["sync", "work", "--push", "--as", "main"], 7, "is checked out");
    assert_eq!(place.git(&project, ["branch", "--list", "stead/*"]), "");
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
fn converted_files_go_across_as_git_would_commit_them() {
    let place = Place::new();
    let project = place.project("app");
    write(&project, ".gitattributes", "*.txt text eol=crlf\n");
    commit(&place, &project, "dos.txt", "one\r\ntwo\r\n");
    place.ok(["create", "work", "--from", "app"]);
    let tree = place.tree("work");
    assert_eq!(read(&tree, "dos.txt"), "one\r\ntwo\r\n");
    let (_, answer) = place.json(["sync", "work", "--to"]);
    assert_eq!(answer["up_to_date"], true, "{answer}");
    write(&tree, "dos.txt", "one\r\ntwo\r\nthree\r\n");
    place.ok(["sync", "work", "--to"]);
    assert_eq!(place.git(&project, ["show", "stead/work:dos.txt"]), "one\ntwo\nthree\n");
    place.ok(["sync", "work", "--to", "--apply"]);
    assert_eq!(read(&project, "dos.txt"), "one\r\ntwo\r\nthree\r\n");
}

#[test]
fn an_empty_workspace_has_no_project_and_says_so() {
    let place = Place::new();
    place.ok(["create", "work", "--empty"]);
    place.fails(&["sync", "work"], 2, "has no source");
    place.fails(&["sync", "work", "--to"], 2, "has no local project");
    place.fails(&["sync", "none"], 3, "none");
    place.fails(&["sync", "work", "--apply"], 2, "--to");
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

#[test]
fn work_survives_a_git_directory_that_is_gone_or_broken() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    commit(&place, &tree, "committed.txt", "x\n");
    place.git(&tree, ["branch", "broken"]);
    write(&tree, ".git/refs/heads/broken", "1234567890123456789012345678901234567890\n");
    let (_, answer) = place.json(["sync", "work", "--to"]);
    assert_eq!(answer["left_out"][0]["path"], "refs/heads/broken", "{answer}");
    std::fs::remove_dir_all(tree.join(".git")).expect("a directory");
    let base = place.git(&project, ["rev-parse", "main"]);
    place.ok(["sync", "work", "--to"]);
    assert_eq!(place.git(&project, ["rev-parse", "stead/work~1"]), base);
    assert_eq!(place.git(&project, ["diff", "--name-only", "main", "stead/work"]), "committed.txt\n");
    // A git directory elsewhere is not followed, whatever it holds.
    write(&tree, ".git", format!("gitdir: {}/.git\n", project.display()));
    write(&tree, "more.txt", "x\n");
    let (_, answer) = place.json(["sync", "work", "--to"]);
    assert_eq!(answer["left_out"][0]["path"], ".git", "{answer}");
    assert_eq!(place.git(&project, ["diff", "--name-only", "main", "stead/work"]), "committed.txt\nmore.txt\n");
}

#[test]
fn an_apply_is_taken_back_from_the_project() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&project, "README.md", "# mine\n");
    write(&tree, "docs/guide.md", "ONE\ntwo\nthree\n");
    write(&tree, "new/deep.txt", "deep\n");
    std::fs::remove_file(tree.join("src/main.rs")).expect("a file");
    place.fails(&["undo", "work", "--apply"], 3, "nothing of workspace `work` that was applied to");
    place.ok(["sync", "work", "--to", "--apply"]);
    write(&project, "docs/guide.md", "two\n");
    place.fails(&["undo", "work", "--apply"], 6, "`docs/guide.md` (changed on both sides)");
    assert!(project.join("new/deep.txt").exists());
    write(&project, "docs/guide.md", "ONE\ntwo\nthree\n");
    let (code, answer) = place.json(["undo", "work", "--apply", "-n"]);
    assert_eq!((code, answer["changes"].as_array().expect("a list").len()), (0, 3), "{answer}");
    assert!(
        place.ok(["undo", "work", "--apply", "app"]).starts_with("Took back what workspace `work` had applied to ")
    );
    assert_eq!(place.git(&project, ["status", "--porcelain"]), " M README.md\n");
    assert!(!project.join("new").exists());
    // It is work again that is nowhere else, and can be applied again.
    place.fails(&["rm", "work"], 7, "unsaved work");
    place.ok(["sync", "work", "--to", "--apply"]);
    assert_eq!(read(&project, "new/deep.txt"), "deep\n");
}
