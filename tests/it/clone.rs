//! `stead clone`.

use crate::support::{Place, write};

#[test]
fn a_clone_is_on_the_default_branch_and_the_second_one_brings_it_up_to_date() {
    let place = Place::new();
    let project = place.project("api");
    place.git(&project, ["checkout", "-q", "-b", "trunk"]);
    let (code, answer) = place.json(["clone", "api"]);
    assert_eq!(code, 0, "{answer}");
    assert_eq!(answer["workspaces"][0]["name"], "api");
    assert_eq!(answer["workspaces"][0]["result"], "created");
    let tree = place.tree("api");
    assert_eq!(place.git(&tree, ["status", "-b", "--porcelain"]), "## trunk...origin/trunk\n");
    assert_eq!(place.ok(["clone", "api"]), format!("Workspace `api` is up to date with `{}`.\n", project.display()));

    write(&project, "later", "x\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "later"]);
    assert_eq!(
        place.ok(["clone", "api"]),
        format!("Brought workspace `api` up to `{}`: 1 commit.\n", project.display())
    );
    assert_eq!(place.git(&tree, ["status", "-b", "--porcelain"]), "## trunk...origin/trunk\n");
    assert_eq!(place.git(&tree, ["log", "-1", "--format=%s"]), "later\n");
    assert!(tree.join("later").exists());

    write(&tree, "README.md", "the agent's\n");
    write(&project, "README.md", "the project's\n");
    place.git(&project, ["commit", "-q", "-a", "-m", "newer"]);
    let (code, answer) = place.json(["clone", "api"]);
    assert_eq!((code, answer["error"]["kind"].as_str()), (6, Some("conflict")), "{answer}");
    assert_eq!(std::fs::read_to_string(tree.join("README.md")).expect("file"), "the agent's\n");
}

#[test]
fn a_name_that_holds_another_source_is_taken() {
    let place = Place::new();
    place.project("api");
    place.project("other");
    place.ok(["clone", "api"]);
    let (code, answer) = place.json(["clone", "other", "api"]);
    assert_eq!((code, answer["error"]["kind"].as_str()), (4, Some("exists")), "{answer}");
    let (code, answer) = place.json(["clone", "api", "--branch", "elsewhere"]);
    assert_eq!((code, answer["error"]["kind"].as_str()), (4, Some("exists")), "{answer}");
    place.ok(["clone", "other", "second"]);
    place.git(&place.tree("second"), ["fsck", "--strict"]);
}

#[test]
fn an_extra_repository_goes_into_a_workspace_and_owns_its_objects() {
    let place = Place::new();
    place.project("api");
    let library = place.project("library");
    place.git(&library, ["branch", "old", "HEAD~1"]);
    place.ok(["create", "one", "--empty"]);
    let text = place.ok(["clone", "library", "--into", "one"]);
    let head = place.git(&library, ["rev-parse", "HEAD"]);
    assert_eq!(
        text,
        format!("Put {} of `{}` into `repos/library` of workspace `one`.\n", &head[..10], library.display())
    );
    place.ok(["clone", "library", "--into", "one", "--dest", "deep/er/lib", "--branch", "old"]);
    std::fs::remove_dir_all(place.root().join("pools")).expect("removed");
    std::fs::remove_dir_all(&library).expect("removed");
    for (path, branch) in [("repos/library", "main"), ("deep/er/lib", "old")] {
        let tree = place.tree("one").join(path);
        assert_eq!(place.git(&tree, ["status", "-b", "--porcelain"]), format!("## {branch}...origin/{branch}\n"));
        place.git(&tree, ["fsck", "--strict"]);
    }
    for (destination, kind) in [("repos/library", "exists"), ("../out", "refused"), ("/tmp/out", "refused")] {
        let (_, answer) = place.json(["clone", "api", "--into", "one", "--dest", destination]);
        assert_eq!(answer["error"]["kind"], kind, "{destination} {answer}");
    }
    std::os::unix::fs::symlink(place.path(), place.tree("one").join("way-out")).expect("link");
    let (_, answer) = place.json(["clone", "api", "--into", "one", "--dest", "way-out/x"]);
    assert_eq!(answer["error"]["kind"], "refused", "{answer}");
    assert!(!place.path().join("x").exists());
}

#[test]
fn a_project_is_found_by_its_name() {
    let place = Place::new();
    let project = place.project("api");
    std::fs::create_dir(place.home().join("src")).expect("directory");
    std::fs::rename(&project, place.home().join("src/mine")).expect("moved");
    place.ok(["clone", "mine"]);
    assert!(place.tree("mine").join("README.md").exists());
    let (code, answer) = place.json(["clone", "yours"]);
    assert_eq!((code, answer["error"]["kind"].as_str()), (3, Some("not-found")), "{answer}");
}

#[test]
fn the_agents_commits_and_stash_survive_an_update() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["clone", "api"]);
    let tree = place.tree("api");
    place.git(&tree, ["checkout", "-q", "-b", "side"]);
    write(&tree, "side", "x\n");
    place.git(&tree, ["add", "."]);
    place.git(&tree, ["commit", "-q", "-m", "side work"]);
    place.git(&tree, ["checkout", "-q", "main"]);
    write(&tree, "README.md", "stashed\n");
    place.git(&tree, ["stash", "-q"]);
    write(&project, "later", "x\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "later"]);
    place.ok(["clone", "api"]);
    assert_eq!(place.git(&tree, ["log", "-1", "--format=%s", "side"]), "side work\n");
    assert_eq!(place.git(&tree, ["show", "stash@{0}:README.md"]), "stashed\n");
    assert_eq!(place.git(&tree, ["log", "-1", "--format=%s"]), "later\n");
    place.git(&tree, ["fsck", "--strict", "--no-dangling"]);
}
