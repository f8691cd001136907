//! Trees and their `.git`, with git as the oracle: what is checked out, and what is left when `.git` was built anew.

use std::path::Path;

use crate::support::{Place, write};

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
pub(crate) fn assert_clean(place: &Place, tree: &Path) {
    assert_eq!(place.git(tree, ["status", "--porcelain=v2", "-uall"]), "");
    place.git(tree, ["fsck", "--strict", "--no-dangling"]);
    // The index was right from the first, not repaired by git.
    assert_eq!(place.git(tree, ["diff-files", "--raw"]), "");
    assert_eq!(place.git(tree, ["diff-index", "--cached", "--raw", "HEAD"]), "");
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
fn a_submodule_of_the_agents_stays_as_it_is_and_only_what_runs_commands_is_taken_out_of_it() {
    let place = Place::new();
    place.project("api");
    let library = place.project("library");
    place.ok(["create", "one", "--from", "api"]);
    let tree = place.tree("one");
    place.git(
        &tree,
        ["-c", "protocol.file.allow=always", "submodule", "add", "-q", library.to_str().expect("text"), "sub"],
    );
    place.git(&tree, ["commit", "-q", "-m", "a submodule"]);
    let (_, answer) = place.json(["exec", "one", "--", "true"]);
    assert_eq!(answer["git_config_held"], serde_json::json!([]), "{answer}");
    place.git(&tree, ["-C", "sub", "config", "core.fsmonitor", "./evil"]);
    write(&tree, ".git/modules/sub/hooks/keep", "");
    let (_, answer) = place.json(["exec", "one", "--", "true"]);
    assert_eq!(answer["git_config_held"], serde_json::json!(["modules/sub/core.fsmonitor"]), "{answer}");
    assert_eq!(place.git(&tree, ["status", "--porcelain"]), "");
    assert_eq!(place.git(&tree, ["-C", "sub", "log", "-1", "--format=%s"]), "second\n");
    assert_eq!(place.git(&tree, ["-C", "sub", "status", "--porcelain"]), "");
    // Up to the wrong place, and into `.git`.
    for elsewhere in ["../../../../sub", "../../hooks", "../../../.git/hooks", "/tmp"] {
        place.git(&tree, ["config", "-f", ".git/modules/sub/config", "core.worktree", elsewhere]);
        let (_, answer) = place.json(["exec", "one", "--", "true"]);
        assert_eq!(answer["git_config_held"], serde_json::json!(["modules/sub/core.worktree"]), "{elsewhere} {answer}");
    }
}

#[test]
fn large_file_pointers_are_counted() {
    let place = Place::new();
    let project = place.project("media");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n";
    write(&project, ".gitattributes", "*.mp4 filter=lfs diff=lfs merge=lfs -text\n");
    write(&project, "film.mp4", pointer);
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "a pointer"]);
    let (_, answer) = place.json(["create", "one", "--from", "media"]);
    assert_eq!(answer["workspaces"][0]["lfs_pointers"], 1, "{answer}");
    assert_eq!(std::fs::read_to_string(place.tree("one").join("film.mp4")).expect("file"), pointer);
    assert_clean(&place, &place.tree("one"));
}
