//! `stead create`, with git as the oracle of what is in the tree.

use crate::checkout::assert_clean;
use crate::support::{Place, describe, write};

#[test]
fn a_workspace_is_made_of_the_repository_around_the_current_directory() {
    let place = Place::new();
    let project = place.project("api");
    write(&project, "draft.txt", "not committed\n");
    let output = place.stead(["create", "fix"]).current_dir(project.join("src")).output().expect("stead starts");
    assert!(output.status.success(), "{}", describe(&output));
    let head = place.git(&project, ["rev-parse", "HEAD"]);
    let stdout = String::from_utf8(output.stdout).expect("text");
    assert_eq!(
        stdout.lines().next().expect("a line"),
        format!(
            "Made workspace `fix` from commit {} of `{}`; 1 uncommitted file was left out (`--with-changes` brings it).",
            &head[..10],
            project.display()
        )
    );
    let tree = place.tree("fix");
    assert_clean(&place, &tree);
    assert!(!tree.join("draft.txt").exists());
    assert_eq!(place.git(&tree, ["symbolic-ref", "HEAD"]), "refs/heads/stead/fix\n");
    assert_eq!(place.git(&tree, ["rev-parse", "HEAD", "@{upstream}"]), format!("{head}{head}"));
    assert_eq!(place.git(&tree, ["rev-parse", "--abbrev-ref", "@{upstream}"]), "origin/main\n");
    assert_eq!(place.git(&tree, ["remote", "get-url", "origin"]).trim_end(), project.to_str().expect("text"));
    assert_eq!(place.git(&tree, ["log", "--format=%s"]), "second\nfirst\n");
}

#[test]
fn nothing_is_shared_with_the_project_by_hard_links_and_it_may_go_away() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    let project = place.project("api");
    place.git(&project, ["gc", "-q"]);
    write(&project, "more", "loose\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "loose"]);
    place.ok(["create", "one", "--from", "api"]);
    let mut waiting = vec![place.root().join("pools"), project.join(".git/objects")];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).expect("directory") {
            let path = entry.expect("entry").path();
            let metadata = path.symlink_metadata().expect("metadata");
            if metadata.is_dir() {
                waiting.push(path);
            } else {
                assert_eq!(metadata.nlink(), 1, "{}", path.display());
            }
        }
    }
    std::fs::remove_dir_all(&project).expect("removed");
    assert_clean(&place, &place.tree("one"));
    assert_eq!(place.git(&place.tree("one"), ["log", "--format=%s"]), "loose\nsecond\nfirst\n");
}

#[test]
fn a_pool_follows_its_project() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "one", "--from", "api"]);
    write(&project, "later", "x\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "later"]);
    place.git(&project, ["branch", "topic"]);
    place.git(&project, ["tag", "-m", "annotated", "v1"]);
    // Repacked: one new pack of mostly known objects.
    place.git(&project, ["gc", "-q"]);
    place.ok(["create", "two", "--from", "api"]);
    let tree = place.tree("two");
    assert_clean(&place, &tree);
    assert_eq!(place.git(&tree, ["log", "-1", "--format=%s"]), "later\n");
    assert_eq!(
        place.git(&tree, ["for-each-ref", "--format=%(refname)"]),
        "refs/heads/stead/two\nrefs/remotes/origin/HEAD\nrefs/remotes/origin/main\nrefs/remotes/origin/topic\nrefs/tags/v1\n"
    );
    place.git(&project, ["branch", "-D", "topic"]);
    place.ok(["create", "three", "--from", "api"]);
    assert!(!place.git(&place.tree("three"), ["for-each-ref"]).contains("topic"));
    assert_clean(&place, &place.tree("one"));
}

#[test]
fn several_are_made_at_once_and_one_that_fails_leaves_the_others() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "b", "--from", "api"]);
    let (code, answer) = place.json(["create", "a", "b", "c", "-j", "2", "--from", "api"]);
    assert_eq!(code, 1, "{answer}");
    let workspaces = answer["workspaces"].as_array().expect("a list");
    let names: Vec<&str> = workspaces.iter().map(|item| item["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(workspaces[1]["error"]["kind"], "exists");
    for name in ["a", "c"] {
        assert_clean(&place, &place.tree(name));
    }
    let (code, answer) = place.json(["create", "a", "c", "--from", "api"]);
    assert_eq!(code, 4, "{answer}");
    let (code, answer) = place.json(["create", "A", "--from", "api"]);
    assert_eq!((code, answer["error"]["kind"].as_str()), (4, Some("exists")), "{answer}");
}

#[test]
fn branches_are_chosen_as_asked() {
    let place = Place::new();
    let project = place.project("api");
    let first = place.git(&project, ["rev-parse", "HEAD~1"]);
    let head = place.git(&project, ["rev-parse", "HEAD"]);
    place.git(&project, ["branch", "topic", "HEAD~1"]);
    place.git(&project, ["tag", "v1", "HEAD~1"]);
    place.git(&project, ["update-ref", "refs/pull/7/head", "HEAD~1"]);
    let head_of = |name: &str| {
        let tree = place.tree(name);
        (place.git(&tree, ["rev-parse", "--abbrev-ref", "HEAD"]), place.git(&tree, ["rev-parse", "HEAD"]))
    };
    place.ok(["create", "existing", "--from", "api", "--branch", "topic"]);
    assert_eq!(head_of("existing"), ("topic\n".into(), first.clone()));
    place.ok(["create", "new", "--from", "api", "--branch", "feature/x"]);
    assert_eq!(head_of("new"), ("feature/x\n".into(), head.clone()));
    place.ok(["create", "based", "--from", "api", "--base", "v1"]);
    assert_eq!(head_of("based"), ("stead/based\n".into(), first.clone()));
    place.ok(["create", "abbreviated", "--from", "api", "--base", &first[..8]]);
    assert_eq!(head_of("abbreviated"), ("stead/abbreviated\n".into(), first.clone()));
    let (code, answer) = place.json(["create", "request", "--from", "api", "--branch", "pr/7"]);
    assert_eq!(code, 0, "{answer}");
    assert_eq!(head_of("request"), ("pr/7\n".into(), first.clone()));
    assert_eq!(answer["workspaces"][0]["base"].as_str(), Some(first.trim_end()));
    assert_eq!(answer["workspaces"][0]["upstream"], "main");
    for (arguments, kind, hint) in [
        (["--branch", "pr/8"], "not-found", None),
        (["--base", "topci"], "not-found", Some("there is `topic`")),
        (["--branch", "a..b"], "usage", None),
        (["--base", "-x"], "usage", None),
    ] {
        let (_, answer) = place.json([&["create", "bad", "--from", "api"], arguments.as_slice()].concat());
        assert_eq!(answer["error"]["kind"], kind, "{answer}");
        if let Some(hint) = hint {
            assert_eq!(answer["error"]["hint"], hint);
        }
    }
    assert!(!place.tree("bad").exists());
}

#[test]
fn an_empty_workspace_has_the_layout_the_files_and_the_identity_asked_for() {
    let place = Place::new();
    write(place.path(), "projects/notes/a.md", "note\n");
    let identity = "Ada Lovelace <ada@example.com>";
    let arguments =
        ["create", "own", "--empty", "--layout", "agent", "--import", "notes:imports/notes", "--ttl", "1.5h"];
    place.ok([arguments.as_slice(), &["--identity", identity, "--env", "A=b c", "--ports", "2"]].concat());
    let tree = place.tree("own");
    for directory in ["workspace", "imports", "repos", ".claude"] {
        assert!(tree.join(directory).is_dir(), "{directory}");
    }
    assert_eq!(std::fs::read_to_string(tree.join("imports/notes/a.md")).expect("file"), "note\n");
    assert_eq!(place.git(&tree, ["config", "user.name"]), "Ada Lovelace\n");
    assert_eq!(place.git(&tree, ["status", "--porcelain"]), "?? imports/\n");
    let record = std::fs::read_to_string(place.root().join("state/local/own/workspace.toml")).expect("record");
    let record: toml::Table = record.parse().expect("TOML");
    assert_eq!(record["ttl"].as_integer(), Some(5400));
    assert_eq!(record["env"]["A"].as_str(), Some("b c"));
    assert_eq!(record["identity"].as_str(), Some(identity));
    let own = record["ports"].as_array().expect("ports").clone();
    assert_eq!(own.len(), 2);
    place.ok(["create", "other", "--empty", "--ports", "2"]);
    let record = std::fs::read_to_string(place.root().join("state/local/other/workspace.toml")).expect("record");
    let record: toml::Table = record.parse().expect("TOML");
    assert!(record["ports"].as_array().expect("ports").iter().all(|port| !own.contains(port)));
}

#[test]
fn uncommitted_changes_and_named_ignored_files_come_along() {
    let place = Place::new();
    let project = place.project("api");
    write(&project, ".gitignore", "*.env\nbuild/\n");
    write(&project, ".worktreeinclude", "*.env\n!secret.env\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "rules"]);
    write(&project, "README.md", "changed\n");
    write(&project, "new/file", "new\n");
    std::fs::remove_file(project.join("docs/guide.md")).expect("removed");
    write(&project, "config/dev.env", "A=1\n");
    write(&project, "secret.env", "S=1\n");
    write(&project, "build/out", "x\n");
    place.ok(["create", "without", "--from", "api"]);
    let tree = place.tree("without");
    assert_eq!(place.git(&tree, ["status", "--porcelain", "-uall"]), "");
    assert_eq!(std::fs::read_to_string(tree.join("config/dev.env")).expect("file"), "A=1\n");
    assert!(!tree.join("secret.env").exists() && !tree.join("build").exists());
    let (_, answer) = place.json(["create", "with", "--from", "api", "--with-changes"]);
    assert_eq!(answer["workspaces"][0]["left_out"], 0);
    let expected = place.git(&project, ["status", "--porcelain", "-uall"]);
    assert_eq!(place.git(&place.tree("with"), ["status", "--porcelain", "-uall"]), expected);
}

#[test]
fn a_fork_has_the_commits_of_the_other_workspace() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "one", "--from", "api"]);
    let tree = place.tree("one");
    write(&tree, "work", "x\n");
    place.git(&tree, ["add", "."]);
    place.git(&tree, ["commit", "-q", "-m", "by the agent"]);
    place.ok(["create", "two", "--from", tree.to_str().expect("text")]);
    let fork = place.tree("two");
    assert_clean(&place, &fork);
    assert_eq!(place.git(&fork, ["log", "-1", "--format=%s"]), "by the agent\n");
    assert_eq!(place.git(&fork, ["rev-parse", "HEAD"]), place.git(&tree, ["rev-parse", "HEAD"]));
}

#[test]
fn an_empty_repository_gives_a_workspace_on_a_branch_without_commits() {
    let place = Place::new();
    let project = place.path().join("projects/fresh");
    std::fs::create_dir(&project).expect("directory");
    place.git(&project, ["init", "-q", "-b", "trunk"]);
    let text = place.ok(["create", "one", "--from", "fresh"]);
    assert!(text.contains("which has no commits yet"), "{text}");
    assert_eq!(place.git(&place.tree("one"), ["symbolic-ref", "HEAD"]), "refs/heads/stead/one\n");
    place.git(&place.tree("one"), ["commit", "-q", "--allow-empty", "-m", "first"]);
}

#[test]
fn what_cannot_be_read_is_said_before_anything_is_made() {
    let place = Place::new();
    let sha256 = place.path().join("projects/sha256");
    std::fs::create_dir(&sha256).expect("directory");
    place.git(&sha256, ["init", "-q", "--object-format=sha256"]);
    place.git(&sha256, ["commit", "-q", "--allow-empty", "-m", "first"]);
    // An older git cannot make one of these.
    let reftable = place.project("reftable");
    write(&reftable, ".git/config", "[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefstorage = reftable\n");
    let partial = place.path().join("projects/partial");
    let complete = place.project("complete");
    place.git(&complete, ["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", complete.display().to_string().replace(' ', "%20"));
    place.git(
        place.path(),
        ["clone", "-q", "--no-checkout", "--filter=blob:none", &url, partial.to_str().expect("text")],
    );
    for name in ["sha256", "reftable", "partial"] {
        let (code, answer) = place.json(["create", "one", "--from", name]);
        assert_eq!((code, answer["error"]["kind"].as_str()), (8, Some("unsupported")), "{name} {answer}");
    }
    place.project("api");
    for arguments in [
        vec!["create", "one", "--from", "api", "--import", "missing"],
        vec!["create", "one", "--from", "nowhere"],
        vec!["create", "one", "--from", "api", "--identity", "nobody"],
        vec!["create", "one", "--from", "api", "--env", "=x"],
        vec!["create", "one", "--from", "ext::sh -c true"],
        vec!["create", ".one", "--from", "api"],
        vec!["create", "one", "one", "--from", "api"],
        vec!["create", "one", "--from", "api", "--depth", "0"],
    ] {
        let (code, answer) = place.json(&arguments);
        assert!(code == 2 || code == 3, "{arguments:?} {answer}");
    }
    assert!(!place.tree("one").exists());
    let left = std::fs::read_dir(place.root().join("staging")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[test]
fn a_workspace_that_exists_is_reused_only_when_told_to() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "one", "--from", "api"]);
    write(&place.tree("one"), "work", "x\n");
    let (code, answer) = place.json(["create", "one", "--from", "api", "--reuse"]);
    assert_eq!(code, 0, "{answer}");
    assert_eq!(answer["workspaces"][0]["reused"], true);
    assert!(place.tree("one").join("work").exists());
    let (_, answer) = place.json(["create", "new", "--from", "api", "--reuse"]);
    assert_eq!(answer["workspaces"][0]["reused"], false);
}

#[test]
fn an_ephemeral_name_carries_the_time() {
    let place = Place::new();
    let (_, answer) = place.json(["create", "scratch", "--empty", "--ephemeral"]);
    let name = answer["workspaces"][0]["name"].as_str().expect("a name");
    let stamp = name.strip_prefix("scratch_").expect("the name in front");
    assert!(stamp.len() == 15 && stamp.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_'), "{name}");
    assert!(place.tree(name).is_dir());
}

#[test]
fn the_set_up_command_runs_in_a_new_workspace() {
    let place = Place::new();
    place.project("api");
    write(
        &place.home(),
        ".config/stead/config.toml",
        "[create]\nsetup = [\"sh\", \"-c\", \"echo made > set-up; exit ${CODE:-0}\"]\n",
    );
    place.ok(["create", "one", "--from", "api"]);
    assert_eq!(std::fs::read_to_string(place.tree("one").join("set-up")).expect("file"), "made\n");
    let (code, answer) = place.json(["create", "two", "--from", "api", "--env", "CODE=3"]);
    assert_eq!(code, 1);
    assert_eq!(answer["error"]["message"], "the set-up of workspace `two` ended with 3");
    assert!(place.tree("two").join("set-up").exists());
}

#[test]
fn shallow_borrowing_and_linked_projects_are_sources_like_others() {
    let place = Place::new();
    let project = place.project("api");
    place.git(&project, ["branch", "side", "HEAD~1"]);
    let projects = place.path().join("projects");
    let url = format!("file://{}", project.display().to_string().replace(' ', "%20"));
    place.git(&projects, ["clone", "-q", "--depth", "1", &url, "shallow"]);
    place.git(&projects, ["clone", "-q", "--shared", "api", "borrowing"]);
    place.git(&project, ["worktree", "add", "-q", "../linked", "side"]);
    for (name, log) in [("shallow", "second\n"), ("borrowing", "second\nfirst\n"), ("linked", "first\n")] {
        place.ok(["create", name, "--from", name]);
        let tree = place.tree(name);
        assert_clean(&place, &tree);
        assert_eq!(place.git(&tree, ["log", "--format=%s"]), log);
        place.ok(["exec", name, "--", "sh", "-c", "echo x > new; git add new; git commit -qm more"]);
        let (code, answer) = place.json(["status", name]);
        assert_eq!(code, 0, "{answer}");
        assert_eq!(answer["workspaces"][0]["ahead"], 1, "{answer}");
        place.ok(["sync", name, "--to"]);
        let branch = format!("stead/{name}");
        assert_eq!(place.git(&projects.join(name), ["log", "-1", "--format=%s", &branch]), "more\n");
    }
}

#[test]
fn a_linked_working_tree_starts_at_its_own_head_with_its_own_files() {
    let place = Place::new();
    let project = place.project("api");
    let projects = place.path().join("projects");
    write(&project, "README.md", "not the linked one's\n");
    place.git(&project, ["worktree", "add", "-q", "-b", "side", "../linked", "HEAD~1"]);
    place.git(&project, ["worktree", "add", "-q", "--detach", "../detached", "HEAD~1"]);
    for name in ["linked", "detached"] {
        let dir = projects.join(name);
        write(&dir, "own", "committed\n");
        place.git(&dir, ["add", "."]);
        place.git(&dir, ["commit", "-q", "-m", name]);
        write(&dir, "own", "changed\n");
        write(&dir, "new", "untracked\n");
    }
    place.ok(["create", "main", "--from", "api"]);
    for name in ["linked", "detached"] {
        let (code, answer) = place.json(["create", name, "--from", name]);
        assert_eq!(code, 0, "{answer}");
        assert_eq!(answer["workspaces"][0]["left_out"], 2, "{answer}");
        let tree = place.tree(name);
        assert_clean(&place, &tree);
        assert_eq!(place.git(&tree, ["log", "--format=%s"]), format!("{name}\nfirst\n"));
        assert_eq!(place.git(&tree, ["branch", "--show-current"]), format!("stead/{name}\n"));
        let with = format!("{name}-with");
        place.ok(["create", &with, "--with-changes", "--base", "HEAD", "--from", name]);
        assert_eq!(place.git(&place.tree(&with), ["status", "--short"]), " M own\n?? new\n");
    }
    // One pool, and it has the HEAD of the repository itself.
    let pools = std::fs::read_dir(place.root().join("pools")).expect("pools").map(|entry| entry.expect("entry").path());
    let pools: Vec<_> = pools.filter(|path| path.is_dir()).collect();
    let [pool] = &pools[..] else { panic!("one pool: {pools:?}") };
    assert_eq!(place.git(pool, ["symbolic-ref", "HEAD"]), "refs/heads/main\n");
    place.ok(["create", "again", "--from", "api"]);
    assert_eq!(place.git(&place.tree("again"), ["log", "-1", "--format=%s"]), "second\n");
    // `clone` and `exec` start there too, and what is inside of it counts as it.
    place.ok(["clone", "linked", "cloned"]);
    assert_eq!(place.git(&place.tree("cloned"), ["branch", "--show-current"]), "side\n");
    assert_eq!(place.git(&place.tree("cloned"), ["rev-parse", "--abbrev-ref", "origin/HEAD"]), "origin/side\n");
    std::fs::create_dir(projects.join("linked/deep")).expect("directory");
    let run = ["exec", "here", "--isolation", "none", "--", "cat", "own"];
    let mut run = place.stead(run);
    assert_eq!(crate::support::succeed(run.current_dir(projects.join("linked/deep"))), "committed\n");
    // New work upstream and back goes to that very place.
    place.git(&projects.join("linked"), ["commit", "-q", "-a", "-m", "more"]);
    place.ok(["sync", "linked"]);
    assert_eq!(place.git(&place.tree("linked"), ["log", "-1", "--format=%s"]), "more\n");
    write(&place.tree("linked"), "answer", "42\n");
    place.ok(["sync", "linked", "--to", "--apply"]);
    assert_eq!(std::fs::read_to_string(projects.join("linked/answer")).expect("file"), "42\n");
    assert!(!project.join("answer").exists());
    place.ok(["sync", "linked", "--to"]);
    assert_eq!(place.git(&project, ["show", "stead/linked:answer"]), "42\n");
}

#[test]
fn processes_that_make_workspaces_of_one_new_source_at_once_share_its_pool() {
    let place = Place::new();
    let project = place.project("api");
    for number in 0..300 {
        write(&project, &format!("f{number}"), format!("{number}\n"));
    }
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "loose objects"]);
    let children: Vec<_> = (0..6)
        .map(|number| {
            let mut command = place.stead(["create", &format!("w{number}"), "--from", "api"]);
            command
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .expect("stead starts")
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().expect("stead ends");
        assert!(output.status.success(), "{}", describe(&output));
    }
    for number in 0..6 {
        assert_clean(&place, &place.tree(&format!("w{number}")));
    }
    let pools = std::fs::read_dir(place.root().join("pools")).expect("pools");
    let pools: Vec<_> = pools.map(|entry| entry.expect("entry").path()).filter(|path| path.is_dir()).collect();
    assert_eq!(pools.len(), 1, "{pools:?}");
    assert_eq!(std::fs::read_dir(place.root().join("staging")).map_or(0, Iterator::count), 0);
}

#[test]
fn a_file_of_an_odd_name_below_refs_is_no_ref_of_the_pool() {
    let place = Place::new();
    let project = place.project("app");
    let head = place.git(&project, ["rev-parse", "HEAD"]);
    let odd = format!(".git/refs/heads/x\n{} refs/heads/injected", head.trim());
    write(&project, &odd, &head);
    write(&project, ".git/refs/heads/a\nb", &head);
    place.ok(["create", "work", "--from", "app"]);
    let pool = std::fs::read_dir(place.root().join("pools")).expect("pools").flatten().map(|entry| entry.path());
    let pool = pool.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "git")).expect("a pool");
    assert_eq!(place.git(&pool, ["for-each-ref", "--format=%(refname)"]), "refs/heads/main\n");
    place.ok(["status", "work"]);
    assert_eq!(place.json(["doctor"]).0, 0);
}
