//! Work that becomes a branch: `--to`, `--push`.

use super::{commit, read, workspace};
use crate::support::{Place, write};

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
fn uncommitted_work_is_cleaned_by_the_attributes_that_lie_in_the_tree() {
    let place = Place::new();
    let project = place.project("app");
    write(&project, ".gitattributes", "*.u text eol=crlf\n*.bin filter=lfs diff=lfs merge=lfs\n");
    let pointer = "version https://git-lfs.github.com/spec/v1\n\
                   oid sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\nsize 6\n";
    write(&project, "large.bin", pointer);
    write(&project, "old.w", "o\0");
    commit(&place, &project, "d/old.u", "one\ntwo\n");
    place.ok(["create", "work", "--from", "app"]);
    let tree = place.tree("work");
    assert_eq!(read(&tree, "d/old.u"), "one\r\ntwo\r\n");
    write(&tree, ".gitattributes", "*.u text eol=crlf\n*.w working-tree-encoding=UTF-16LE\n");
    write(&tree, "d/.gitattributes", "*.u -text\n");
    write(&tree, "new.w", "u\0t\0f\0");
    write(&tree, "new.u", "one\r\n");
    write(&tree, "d/new.u", "one\r\n");
    place.ok(["sync", "work", "--to", "--allow-exec"]);
    let is_as_git_has_it = || {
        place.git(&tree, ["add", "-A"]);
        let expected = place.git(&tree, ["ls-tree", "-r", place.git(&tree, ["write-tree"]).trim()]);
        assert_eq!(place.git(&project, ["ls-tree", "-r", "stead/work"]), expected);
    };
    is_as_git_has_it();
    assert_eq!(place.git(&project, ["show", "stead/work:new.w"]), "utf");
    place.git(&tree, ["reset", "-q"]);
    std::fs::remove_file(tree.join(".gitattributes")).expect("a file");
    write(&tree, "new.u", "two\r\n");
    place.ok(["sync", "work", "--to", "--allow-exec"]);
    is_as_git_has_it();
    // What `git lfs` has fetched is no work, without any other attribute too.
    place.git(&tree, ["reset", "-q", "--hard"]);
    write(&tree, "d/old.u", "three\r\n");
    write(&tree, "large.bin", "hello\n");
    place.ok(["sync", "work", "--to", "--allow-exec"]);
    assert_eq!(place.git(&project, ["diff", "--name-only", "main", "stead/work"]), "d/old.u\n");
}

#[test]
fn what_head_has_let_go_of_and_ignores_is_no_work() {
    let place = Place::new();
    let project = place.project("app");
    write(&project, "d/.env", "secret\n");
    commit(&place, &project, ".env", "secret\n");
    place.ok(["create", "work", "--from", "app"]);
    let tree = place.tree("work");
    place.git(&tree, ["rm", "-q", "--cached", ".env", "d/.env"]);
    let head = commit(&place, &tree, ".gitignore", ".env\n");
    assert_eq!(place.git(&tree, ["status", "--porcelain"]), "");
    place.ok(["sync", "work", "--to"]);
    assert_eq!(place.git(&project, ["rev-parse", "stead/work"]).trim(), head);
    let (_, answer) = place.json(["status", "work"]);
    assert_eq!(answer["workspaces"][0]["unsaved"], serde_json::json!([]), "{answer}");
    // It is still recorded, and kept where it is another one by now.
    write(&tree, ".env", "another\n");
    let text = place.ok(["status", "work"]);
    assert!(text.contains("1 newly ignored entry"), "{text}");
    let (_, answer) = place.json(["sync", "work", "--to"]);
    assert_eq!(answer["up_to_date"], true, "{answer}");
    // What is added again is work.
    place.git(&tree, ["add", "-f", ".env"]);
    write(&tree, "d/.gitignore", "!.env\n");
    place.ok(["sync", "work", "--to"]);
    place.git(&tree, ["add", "-A"]);
    assert_eq!(place.git(&tree, ["write-tree"]), place.git(&project, ["rev-parse", "stead/work^{tree}"]));
    assert_eq!(place.git(&project, ["show", "stead/work:.env", "stead/work:d/.env"]), "another\nsecret\n");
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
    let text = place.ok(["sync", "work", "--to"]);
    let rest = "Not brought over: other refs with commits of their own:\n  refs/heads/stead/work (1 commit)\n";
    assert!(text.starts_with("Workspace `work` has no work to bring to ") && text.contains(rest), "{text}");
    let head = commit(&place, &tree, "two.txt", "two\n");
    write(&tree, "two.txt", "stashed\n");
    place.git(&tree, ["stash", "--quiet"]);
    let stashed = place.git(&tree, ["rev-parse", "stash"]);
    let text = place.ok(["sync", "work", "--to", "-n"]);
    let other = "Not brought over: 1 stash entry, and other refs with commits of their own:\n  refs/heads/stead/work (1 commit)\n";
    assert!(text.contains(other), "{text}");
    let (_, answer) = place.json(["sync", "work", "--to"]);
    assert_eq!(place.git(&project, ["rev-parse", "stead/work"]).trim(), head);
    assert_eq!(answer["other_refs"], serde_json::json!([{ "ref": "refs/heads/stead/work", "commits": 1 }]));
    assert_eq!(answer["stashes"], serde_json::json!([stashed.trim()]));
    // What upstream has by now is named no longer; the log of the stash is not all there is of it.
    place.git(&tree, ["branch", "-D", "-q", "stead/work"]);
    std::fs::remove_file(tree.join(".git/logs/refs/stash")).expect("the log");
    let text = place.ok(["sync", "work", "--to"]);
    assert!(text.contains("Not brought over: 1 stash entry.\n"), "{text}");
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
fn ignored_files_that_came_along_stay_out_of_commits() {
    let place = Place::new();
    let project = place.project("app");
    write(&project, ".gitignore", "*.env\n");
    write(&project, ".worktreeinclude", "*.env\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "rules"]);
    write(&project, "dev.env", "SECRET=1\n");
    place.ok(["create", "work", "--from", "app"]);
    let tree = place.tree("work");
    assert_eq!(read(&tree, "dev.env"), "SECRET=1\n");
    let delivered = || place.json(["status", "work"]).1["workspaces"][0]["unsaved"].clone();
    assert_eq!(delivered(), serde_json::json!([]));
    write(&tree, "new.txt", "new\n");
    place.ok(["sync", "work", "--to"]);
    assert_eq!(place.git(&project, ["diff", "--name-only", "main", "stead/work"]), "new.txt\n");
    assert_eq!(delivered(), serde_json::json!([]));
    // It is never brought over, so it is kept.
    write(&tree, "dev.env", "SECRET=2\n");
    assert_eq!(place.ok(["sync", "work", "--to"]).lines().count(), 1);
    assert_eq!(delivered(), serde_json::json!(["1 newly ignored entry"]));
    place.fails(&["rm", "work"], 7, "1 newly ignored entry: `dev.env`");
}

#[test]
fn a_branch_beside_which_git_can_have_no_other_is_named() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&tree, "new.txt", "new\n");
    place.git(&project, ["branch", "stead"]);
    let text = "git cannot have `stead/work` beside it\n  hint: rename it (`git branch -m stead OTHER`)";
    for way in [&["sync", "work", "--to"][..], &["sync", "work", "--to", "-n"]] {
        place.fails(way, 6, text);
    }
    place.git(&project, ["branch", "-m", "stead", "stead/work/deep"]);
    place.fails(&["sync", "work", "--to"], 6, "branch `stead/work/deep` of");
    place.git(&project, ["branch", "-m", "stead/work/deep", "stead-other"]);
    place.ok(["sync", "work", "--to"]);
}

#[test]
fn words_that_say_nothing_to_a_direction_are_refused() {
    let place = Place::new();
    workspace(&place);
    for way in [
        &["sync", "work", "--to", "--as", "other"][..],
        &["sync", "work", "--from", "app", "--as", "other"],
        &["sync", "work", "--as", "other"],
        &["sync", "work", "--push", "--apply"],
        &["sync", "work", "--from", "app", "--apply"],
    ] {
        place.fails(way, 2, "error: ");
    }
}
