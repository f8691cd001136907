//! What `rm` and `gc` take for safe: never the last copy of anything that somebody has made.

use std::path::{Path, PathBuf};

use crate::sandbox::scene::User;
use crate::sandbox::walls::{WALLS, who_can_have};
use crate::support::{Place, write};

/// Runs a shell command in a workspace, as an agent without a wall would.
fn run(place: &Place, name: &str, script: &str) {
    place.ok(["exec", name, "--isolation", "none", "--", "sh", "-ec", script]);
}

/// Demands that `gc`, `rm` and `status` hold a workspace back and name `text`.
fn is_kept(place: &Place, name: &str, text: &str) {
    place.fails(&["rm", name], 7, text);
    place.fails(&["rm", "-n", name], 7, text);
    let planned = place.ok(["gc", "--all", "-n"]);
    assert!(planned.contains(&format!("Kept `{name}`: it has unsaved work.\n  ")), "{planned}");
    assert!(planned.contains(text), "no `{text}` in\n{planned}");
    let (_, answer) = place.json(["status", name]);
    assert_eq!(answer["workspaces"][0]["delivered"], false, "{answer}");
}

/// Demands that a workspace goes without a question, and that the trash calls it safe.
fn is_safe(place: &Place, name: &str) {
    let (_, answer) = place.json(["status", name]);
    assert_eq!(answer["workspaces"][0]["delivered"], true, "{answer}");
    place.ok(["rm", name]);
    assert_eq!(unsaved_in_trash(place), Vec::<String>::new());
    place.ok(["restore", name]);
}

/// What the trash says would be lost, of all that is in it.
fn unsaved_in_trash(place: &Place) -> Vec<String> {
    let entries = std::fs::read_dir(place.root().join("trash")).expect("trash");
    let mut unsaved = Vec::new();
    for entry in entries {
        let text = std::fs::read_to_string(entry.expect("entry").path().join("why.toml")).expect("a reason");
        let why: toml::Table = text.parse().expect("TOML");
        let list = why["unsaved"].as_array().expect("a list").iter();
        unsaved.extend(list.map(|one| one.as_str().expect("text").to_owned()));
    }
    unsaved
}

fn forget(place: &Place, project: &Path) {
    place.git(project, ["reflog", "expire", "--expire=now", "--all"]);
    place.git(project, ["gc", "-q", "--prune=now"]);
}

#[test]
fn what_a_project_had_once_is_not_delivered_any_more_when_it_is_gone_there() {
    let place = Place::new();
    let project = place.project("app");
    place.ok(["create", "work", "clean", "--from", "app"]);
    let tree = place.tree("work");
    write(&tree, "commit.txt", "work\n");
    place.git(&tree, ["add", "."]);
    place.git(&tree, ["commit", "-q", "-m", "work"]);
    write(&tree, "file.txt", "work\n");
    place.ok(["sync", "work", "--to"]);
    // From now on the pool has it too.
    place.ok(["create", "other", "--from", "app"]);
    is_safe(&place, "work");
    place.git(&project, ["branch", "-q", "-D", "stead/work"]);
    forget(&place, &project);
    is_kept(&place, "work", "1 undelivered commit");
    is_kept(&place, "work", "1 untracked file: `file.txt`");
    is_safe(&place, "clean");
    place.ok(["rm", "-f", "work"]);
    assert_eq!(unsaved_in_trash(&place), ["1 untracked file", "1 undelivered commit"]);
}

#[test]
fn where_the_project_is_gone_only_what_came_with_a_workspace_is_no_work() {
    let place = Place::new();
    let project = place.project("app");
    place.git(&project, ["checkout", "-q", "-b", "side", "HEAD~1"]);
    place.git(&project, ["commit", "-q", "--allow-empty", "-m", "side"]);
    place.git(&project, ["tag", "-m", "a tag", "v1"]);
    place.git(&project, ["checkout", "-q", "main"]);
    place.ok(["create", "clean", "work", "moved", "--from", "app"]);
    place.git(&place.tree("work"), ["commit", "-q", "--allow-empty", "-m", "work"]);
    // Merged there, taken over from there, and dropped there again.
    place.git(&place.tree("moved"), ["commit", "-q", "--allow-empty", "-m", "moved"]);
    place.ok(["sync", "moved", "--to"]);
    place.git(&project, ["merge", "-q", "stead/moved"]);
    place.ok(["sync", "moved"]);
    is_safe(&place, "moved");
    place.git(&project, ["reset", "-q", "--hard", "HEAD~1"]);
    place.git(&project, ["branch", "-q", "-D", "stead/moved", "side"]);
    place.git(&project, ["tag", "-d", "v1"]);
    is_kept(&place, "moved", "1 undelivered commit");
    is_safe(&place, "clean");
    std::fs::rename(&project, place.path().join("elsewhere")).expect("moved");
    is_kept(&place, "work", "1 undelivered commit");
    is_safe(&place, "clean");
}

#[test]
fn what_came_along_uncommitted_counts_once_its_origin_has_it_no_more() {
    let place = Place::new();
    let project = place.project("app");
    write(&project, ".gitignore", ".env\n");
    write(&project, ".worktreeinclude", ".env\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "rules"]);
    write(&project, ".env", "A=1\n");
    write(&project, "new.txt", "work\n");
    write(&project, "README.md", "# changed\n");
    write(&project, "docs/guide.md", "committed later\n");
    std::fs::remove_file(project.join("src/main.rs")).expect("removed");
    place.ok(["create", "x", "--from", "app", "--with-changes"]);
    is_safe(&place, "x");
    // Local configuration is a copy, whatever becomes of it.
    std::fs::remove_file(project.join(".env")).expect("removed");
    place.git(&project, ["commit", "-q", "-m", "the guide", "docs/guide.md"]);
    write(&project, "docs/guide.md", "and changed again\n");
    is_safe(&place, "x");
    place.git(&project, ["checkout", "-q", "."]);
    is_kept(&place, "x", "1 uncommitted change: `README.md`");
    std::fs::remove_file(project.join("new.txt")).expect("removed");
    place.fails(&["rm", "x"], 7, "1 uncommitted change: `README.md`; 1 untracked file: `new.txt`");
    place.ok(["rm", "-f", "x"]);
    assert_eq!(unsaved_in_trash(&place), ["1 uncommitted change", "1 untracked file"]);
}

#[test]
fn what_was_imported_counts_once_its_origin_has_it_no_more() {
    let place = Place::new();
    let project = place.project("app");
    write(&project, ".gitignore", "ignored\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "rules"]);
    let data = place.path().join("data");
    write(&data, "deep/one", "1\n");
    write(&data, "two", "2\n");
    let import = |to: &str| format!("{}:{to}", data.display());
    let args = ["create", "x", "--from", "app", "--import", &import("here/data"), "--import", &import("ignored")];
    place.ok(args);
    is_safe(&place, "x");
    write(&data, "two", "changed\n");
    is_kept(&place, "x", "1 untracked file: `here/data/two`");
    is_kept(&place, "x", "1 newly ignored entry: `ignored/two`");
    std::fs::remove_dir_all(&data).expect("removed");
    is_kept(&place, "x", "2 untracked files: `here/data/deep/one`, `here/data/two`");
}

#[test]
fn an_executable_bit_that_the_target_lost_is_not_delivered() {
    let place = Place::new();
    let project = place.project("app");
    place.ok(["create", "x", "--from", "app"]);
    run(&place, "x", "chmod +x README.md");
    place.ok(["sync", "x", "--to", project.to_str().expect("text"), "--apply"]);
    is_safe(&place, "x");
    place.git(&project, ["checkout", "-q", "."]);
    is_kept(&place, "x", "1 uncommitted change: `README.md`");
}

#[test]
fn an_index_that_cannot_be_read_may_stage_anything() {
    let place = Place::new();
    let project = place.project("app");
    place.ok(["create", "junk", "link", "gone", "--from", "app"]);
    std::fs::write(place.tree("junk").join(".git/index"), "DIRC").expect("a file");
    std::fs::remove_file(place.tree("link").join(".git/index")).expect("removed");
    std::os::unix::fs::symlink("elsewhere", place.tree("link").join(".git/index")).expect("a link");
    std::fs::remove_file(place.tree("gone").join(".git/index")).expect("removed");
    is_kept(
        &place,
        "junk",
        "1 unreadable entry (what it stages is not known: it is not as git writes one): `.git/index`",
    );
    is_kept(&place, "link", "1 unreadable entry (what it stages is not known: a link is not followed): `.git/index`");
    place.git(&project, ["commit", "-q", "--allow-empty", "-m", "more"]);
    place.fails(&["sync", "junk"], 6, "cannot read the index of workspace `junk`: it is not as git writes one");
    place.ok(["rm", "gone"]);
}

/// A project with a submodule `sm`.
fn with_submodule(place: &Place) -> PathBuf {
    let library = place.project("library");
    let project = place.project("app");
    let add = ["-c", "protocol.file.allow=always", "submodule", "add", "-q"];
    place.git(&project, add.iter().copied().chain([library.to_str().expect("text"), "sm"]));
    place.git(&project, ["commit", "-q", "-m", "submodule"]);
    project
}

const UPDATE: &str = "git -c protocol.file.allow=always submodule update -q --init";

#[test]
fn the_work_in_a_submodule_counts_when_that_is_not_checked_out_any_more() {
    let place = Place::new();
    with_submodule(&place);
    place.ok(["create", "plain", "work", "stash", "pushed", "--from", "app"]);
    run(&place, "plain", &format!("{UPDATE}; git submodule deinit -q -f sm"));
    is_safe(&place, "plain");
    let commit =
        "cd sm; git checkout -q -b own; git commit -q --allow-empty -m one; git commit -q --allow-empty -m two";
    run(&place, "work", &format!("{UPDATE}; ({commit}); git submodule deinit -q -f sm"));
    is_kept(&place, "work", "1 nested repository (2 commits of their own): `.git/modules/sm`");
    run(&place, "stash", &format!("{UPDATE}; (cd sm; echo x >>README.md; git stash -q)"));
    // What is checked out is told by its path.
    place.fails(&["rm", "stash"], 7, "has unsaved work: 1 nested repository: `sm`\n");
    run(&place, "stash", "git submodule deinit -q -f sm");
    is_kept(&place, "stash", "1 nested repository (1 stash entry): `.git/modules/sm`");
    run(&place, "pushed", &format!("{UPDATE}; ({commit}; git push -q origin own); git submodule deinit -q -f sm"));
    is_safe(&place, "pushed");
    place.ok(["rm", "-f", "work"]);
    assert_eq!(unsaved_in_trash(&place), ["1 nested repository (2 commits of their own)"]);
}

#[test]
fn repositories_where_git_ignores_everything_may_hold_work() {
    let place = Place::new();
    let project = place.project("app");
    write(&project, ".gitignore", "vendor/\n.venv\nnode_modules\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "rules"]);
    place.ok(["create", "clone", "own", "stash", "apart", "--from", "app"]);
    let from = project.display();
    let clone = format!(
        "git clone -q '{from}' vendor/deep/x; git clone -q '{from}' node_modules/y; git clone -q '{from}' .venv"
    );
    run(&place, "clone", &format!("{clone}; echo changed >vendor/deep/x/README.md"));
    is_safe(&place, "clone");
    run(&place, "own", &format!("{clone}; cd vendor/deep/x; git commit -q --allow-empty -m own"));
    is_kept(&place, "own", "1 nested repository (1 commit of its own): `vendor/deep/x`");
    run(&place, "stash", &format!("{clone}; cd .venv; echo x >>README.md; git stash -q"));
    is_kept(&place, "stash", "1 nested repository (1 stash entry): `.venv`");
    run(
        &place,
        "apart",
        "mkdir vendor; git init -q --separate-git-dir vendor/git vendor/x; cd vendor/x; git commit -q --allow-empty -m own",
    );
    is_kept(&place, "apart", "1 nested repository (1 commit of its own): `vendor/git`");
    let (_, answer) = place.json(["gc", "--all"]);
    let items = answer["workspaces"].as_array().expect("workspaces");
    let own = items.iter().find(|item| item["name"] == "own").expect("a workspace");
    assert_eq!((&own["code"], &own["unsaved"][0]["code"]), (&"unsaved".into(), &"nested".into()));
    place.ok(["rm", "-f", "own"]);
    assert!(unsaved_in_trash(&place).contains(&"1 nested repository (1 commit of its own)".to_owned()));
}

#[test]
fn a_worktree_that_is_linked_where_git_ignores_everything_may_hold_work() {
    let place = Place::new();
    let project = place.project("app");
    write(&project, ".gitignore", ".worktrees/\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "rules"]);
    place.ok(["create", "x", "--from", "app"]);
    run(&place, "x", "git worktree add -q -b feature .worktrees/feature; echo work >.worktrees/feature/new.txt");
    is_kept(&place, "x", "1 linked worktree (in an ignored directory): `.worktrees/feature`");
    run(&place, "x", "git worktree remove -f .worktrees/feature; git branch -q -D feature");
    is_safe(&place, "x");
}

#[test]
fn a_worktree_that_is_linked_into_the_private_directories_of_a_wall_may_hold_work() {
    for wall in WALLS.into_iter().filter(|wall| who_can_have(wall).contains(&User::Own)) {
        for directory in ["$HOME", "${TMPDIR:-/tmp}"] {
            let place = Place::new();
            place.project("app");
            place.ok(["create", "work", "--from", "app"]);
            let script =
                format!("git worktree add -q --detach \"{directory}/wt\" && echo work > \"{directory}/wt/new\"");
            place.ok(["exec", "work", "--isolation", wall, "--", "sh", "-ec", &script]);
            is_kept(&place, "work", "1 linked worktree");
        }
    }
}

#[test]
fn what_was_dropped_again_by_hand_is_not_safe_in_the_trash() {
    let place = Place::new();
    place.project("app");
    place.ok(["create", "commit", "stash", "still", "--from", "app"]);
    let tree = place.tree("commit");
    place.git(&tree, ["commit", "-q", "--allow-empty", "-m", "precious"]);
    place.git(&tree, ["reset", "-q", "--hard", "HEAD~1"]);
    let tree = place.tree("stash");
    write(&tree, "README.md", "# changed\n");
    place.git(&tree, ["stash", "-q"]);
    place.git(&tree, ["stash", "drop", "-q"]);
    let tree = place.tree("still");
    place.git(&tree, ["checkout", "-q", "HEAD~1"]);
    place.git(&tree, ["checkout", "-q", "-"]);
    let (_, answer) = place.json(["gc", "--all"]);
    assert!(answer["workspaces"].as_array().expect("workspaces").iter().all(|item| item["action"] == "remove"));
    let mut unsaved = unsaved_in_trash(&place);
    unsaved.sort();
    assert_eq!(unsaved, ["1 commit that was dropped again", "2 commits that were dropped again"]);
    assert_eq!(place.ok(["gc", "--max-size", "1"]), "Removed `still` from the trash: space is short.\n");
    place.ok(["restore", "commit"]);
    place.ok(["restore", "stash"]);
}
