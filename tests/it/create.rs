//! `stead create`, with git as the oracle of what is in the tree.

use std::path::Path;

use crate::support::{Place, describe, write};

/// Asserts that two directories hold the same files, links and executable bits, `.git` aside.
fn assert_same_files(one: &Path, other: &Path) {
    let list = |top: &Path| {
        let mut found = Vec::new();
        let mut waiting = vec![top.to_owned()];
        while let Some(directory) = waiting.pop() {
            for entry in std::fs::read_dir(&directory).expect("directory") {
                let path = entry.expect("entry").path();
                let relative = path.strip_prefix(top).expect("inside").to_owned();
                if relative == Path::new(".git") {
                    continue;
                }
                let metadata = path.symlink_metadata().expect("metadata");
                let content = if metadata.is_symlink() {
                    format!("link {}", path.read_link().expect("link").display()).into_bytes()
                } else if metadata.is_dir() {
                    waiting.push(path);
                    continue;
                } else {
                    use std::os::unix::fs::PermissionsExt;
                    let executable = metadata.permissions().mode() & 0o100 != 0;
                    [if executable { "x " } else { "- " }.as_bytes(), &std::fs::read(&path).expect("file")].concat()
                };
                found.push((relative, content));
            }
        }
        found.sort();
        found
    };
    let (one, other) = (list(one), list(other));
    for (left, right) in one.iter().zip(&other) {
        assert_eq!(
            (&left.0, String::from_utf8_lossy(&left.1)),
            (&right.0, String::from_utf8_lossy(&right.1)),
            "the first difference"
        );
    }
    assert_eq!(one.len(), other.len());
}

/// Asserts that git takes the workspace for a whole and clean checkout.
fn assert_clean(place: &Place, tree: &Path) {
    assert_eq!(place.git(tree, ["status", "--porcelain=v2", "-uall"]), "");
    place.git(tree, ["fsck", "--strict", "--no-dangling"]);
    // The index was right from the first, not repaired by git.
    assert_eq!(place.git(tree, ["diff-files", "--raw"]), "");
    assert_eq!(place.git(tree, ["diff-index", "--cached", "--raw", "HEAD"]), "");
}

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
fn what_is_checked_out_is_what_git_checks_out() {
    let place = Place::new();
    let project = place.project("mixed");
    write(
        &project,
        ".gitattributes",
        "*.txt text\n*.win text eol=crlf\n*.auto text=auto eol=crlf\n*.id ident\n*.u16 working-tree-encoding=UTF-16LE-BOM eol=lf\n\
         *.latin text working-tree-encoding=ISO-8859-1\n*.bin binary\n[attr]dos text eol=crlf\nodd* dos\n\"sp ace.*\" dos\n\
         deep/**/x.c eol=crlf\n",
    );
    write(&project, "sub/.gitattributes", "*.win eol=lf\n/only.here eol=crlf\n");
    for (path, content) in [
        ("a.txt", "one\ntwo\n"),
        ("a.win", "one\ntwo\n"),
        ("sub/b.win", "one\ntwo\n"),
        ("sub/only.here", "x\ny\n"),
        ("sub/deeper/only.here", "x\ny\n"),
        ("a.auto", "one\ntwo\n"),
        ("bin.auto", "one\n\0two\n"),
        ("k.id", "a $Id$ b $Id: old $ c $Id: with more words $ $Id\n$\n"),
        ("e.u16", "né 日本\n"),
        ("e.latin", "né\n"),
        ("z.bin", "one\ntwo\n"),
        ("odd.thing", "one\n"),
        ("sp ace.x", "one\n"),
        ("deep/x.c", "one\n"),
        ("deep/a/b/x.c", "one\n"),
        ("empty.win", ""),
        ("no-newline.win", "one\ntwo"),
    ] {
        // Committed as they are: the encoding is of the working tree.
        let id = place.git_in(&project, ["hash-object", "-w", "--no-filters", "--stdin"], content);
        place.git(&project, ["update-index", "--add", "--cacheinfo", &format!("100644,{},{path}", id.trim_end())]);
    }
    place.git(&project, ["add", ".gitattributes", "sub/.gitattributes"]);
    write(&project, "run.sh", "#!/bin/sh\n");
    write(&project, "name \"with\" é\n.txt", "odd name\n");
    std::os::unix::fs::symlink("docs/guide.md", project.join("link")).expect("link");
    std::os::unix::fs::symlink("/nowhere", project.join("dangling")).expect("link");
    place.git(&project, ["add", "run.sh", "link", "dangling", "name \"with\" é\n.txt"]);
    place.git(&project, ["update-index", "--chmod=+x", "run.sh"]);
    place.git(&project, ["commit", "-q", "-m", "attributes"]);
    for user in ["", "[core]\n\tautocrlf = true\n", "[core]\n\teol = crlf\n", "[core]\n\tautocrlf = input\n"] {
        write(&place.home(), ".gitconfig", user);
        let name = format!("w{}", user.len());
        place.ok(["create", &name, "--from", "mixed"]);
        let oracle = place.path().join(&name);
        place.git(place.path(), ["clone", "-q", project.to_str().expect("text"), oracle.to_str().expect("text")]);
        assert_same_files(&oracle, &place.tree(&name));
        assert_clean(&place, &place.tree(&name));
    }
}

#[test]
fn many_files_are_written_by_several_threads_and_the_index_is_gits() {
    let place = Place::new();
    let project = place.project("large");
    for directory in 0..40 {
        for file in 0..30 {
            write(&project, &format!("d{directory}/e{}/f{file}", directory % 3), format!("{directory} {file}\n"));
        }
    }
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "many"]);
    place.git(&project, ["gc", "-q"]);
    place.ok(["create", "many", "--from", "large"]);
    assert_clean(&place, &place.tree("many"));
    assert_same_files(&project, &place.tree("many"));
    let oracle = place.path().join("oracle");
    place.git(place.path(), ["clone", "-q", project.to_str().expect("text"), oracle.to_str().expect("text")]);
    assert_eq!(place.git(&place.tree("many"), ["ls-files", "-s"]), place.git(&oracle, ["ls-files", "-s"]));
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
fn paths_that_git_refuses_are_not_written_and_submodules_are_left_empty() {
    let place = Place::new();
    let project = place.project("odd");
    let blob = place.git_in(&project, ["hash-object", "-w", "--stdin"], "evil\n");
    let blob = blob.trim_end();
    let inner = place.git_in(&project, ["mktree"], &format!("100644 blob {blob}\tconfig\n"));
    let inner = inner.trim_end();
    let listing = format!(
        "040000 tree {inner}\t.GIT\n040000 tree {inner}\tgit~1\n100644 blob {blob}\tfine\n160000 commit {}\tsub\n\
         120000 blob {blob}\t.gitmodules\n",
        place.git(&project, ["rev-parse", "HEAD"]).trim_end()
    );
    let tree = place.git_in(&project, ["mktree", "--missing"], &listing);
    let commit = place.git(&project, ["commit-tree", tree.trim_end(), "-m", "odd"]);
    place.git(&project, ["update-ref", "refs/heads/odd", commit.trim_end()]);
    let (code, answer) = place.json(["create", "one", "--from", "odd", "--branch", "odd"]);
    assert_eq!(code, 0, "{answer}");
    let paths = |list: &serde_json::Value| -> Vec<String> {
        let list = list.as_array().expect("a list");
        list.iter().map(|item| item["path"].as_str().expect("a path").to_owned()).collect()
    };
    let made = &answer["workspaces"][0];
    assert_eq!(paths(&made["refused"]), [".GIT", ".gitmodules", "git~1"]);
    assert_eq!(paths(&made["submodules"]), ["sub"]);
    let mut names: Vec<_> = std::fs::read_dir(place.tree("one"))
        .expect("directory")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    assert_eq!(names, [".git", "fine", "sub"]);
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
fn what_a_run_put_into_git_is_taken_out_and_nothing_else_is_lost() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "one", "--from", "api"]);
    let tree = place.tree("one");
    let script = "set -e; git config user.name Agent; git config user.email a@example.com; \
        echo stashed > README.md; git stash -q; echo x > committed; git add .; git commit -qm agent; \
        echo staged > staged; git add staged; git tag mark; echo dangling | git hash-object -w --stdin; \
        git config core.fsmonitor ./evil; git config core.autocrlf input; printf '#!/bin/sh\\n' > .git/hooks/pre-commit; \
        chmod +x .git/hooks/pre-commit";
    place.ok(["exec", "one", "--", "sh", "-c", script]);
    let config = std::fs::read_to_string(tree.join(".git/config")).expect("config");
    assert!(!config.contains("fsmonitor") && config.contains("autocrlf = input"), "{config}");
    assert!(!tree.join(".git/hooks/pre-commit").exists());
    place.git(&tree, ["fsck", "--strict", "--no-dangling"]);
    assert_eq!(place.git(&tree, ["status", "--porcelain"]), "A  staged\n");
    assert_eq!(place.git(&tree, ["show", ":staged"]), "staged\n");
    assert_eq!(place.git(&tree, ["log", "--format=%s", "-1", "mark"]), "agent\n");
    assert_eq!(place.git(&tree, ["stash", "list", "--format=%gd"]), "stash@{0}\n");
    assert_eq!(place.git(&tree, ["config", "user.name"]), "Agent\n");
    assert_eq!(place.git(&tree, ["rev-parse", "--abbrev-ref", "@{upstream}"]), "origin/main\n");
    assert!(place.git(&tree, ["reflog", "--format=%gs"]).contains("commit: agent"));
    let id = place.git_in(&tree, ["hash-object", "--stdin"], "dangling\n");
    assert_eq!(place.git(&tree, ["cat-file", "-p", id.trim_end()]), "dangling\n");
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
    // A linked working tree stands for its repository.
    for (name, log) in [("shallow", "second\n"), ("borrowing", "second\nfirst\n"), ("linked", "second\nfirst\n")] {
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
