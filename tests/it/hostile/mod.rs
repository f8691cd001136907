//! What a hostile or careless run leaves: nothing is lost, and nothing goes without being named.

mod addresses;
mod blocks;
mod elsewhere;
mod helper;
mod large;
mod moving;
mod names;
mod objects;
mod runs_nothing;
mod sees;

use std::path::PathBuf;
use std::process::Output;

use crate::support::{Place, describe, write};

impl Place {
    /// Runs a script in the workspace `x`.
    fn hostile(&self, script: &str) -> Output {
        self.stead(["exec", "x", "--isolation", "none", "--", "sh", "-c", script]).output().expect("stead starts")
    }

    /// Runs a script in the workspace `x`, which stead must record whole, and returns what stead said.
    fn tamed(&self, script: &str) -> String {
        let output = self.hostile(script);
        assert_eq!(output.status.code(), Some(0), "{}", describe(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn trusted(&self, name: &str) -> PathBuf {
        self.root().join("state/local").join(name).join("store.git")
    }
}

/// Commits on a branch of its own and leaves it.
const COMMIT: &str = "git checkout -q -b o && echo work > n && git add n && git commit -q -m n && git rev-parse HEAD && \
                      git checkout -q stead/x && ";

#[test]
fn refs_that_cannot_be_read_outlive_the_hooks_beside_them() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let said = place.tamed(&format!(
        "{COMMIT} git pack-refs --all && sed -i 's/^.* refs.heads.o/?&/' .git/packed-refs && echo ? > .git/refs/heads/p && \
         printf '#!/bin/sh\\n' > .git/hooks/pre-commit && chmod +x .git/hooks/pre-commit"
    ));
    assert!(said.contains("not recorded .git/packed-refs (cannot read `?"), "{said}");
    assert!(said.contains("not recorded .git/refs/heads/p (neither an object nor a ref)"), "{said}");
    assert!(said.contains("Taken out of `.git`, because it would run commands: hooks/pre-commit"), "{said}");
    let git = place.tree("x").join(".git");
    assert!(!git.join("hooks/pre-commit").exists());
    assert!(std::fs::read_to_string(git.join("packed-refs")).unwrap().contains(" refs/heads/o\n"));
    let text = place.ok(["gc", "--all"]);
    assert!(text.contains("Kept `x`: it has unsaved work.\n  2 unreadable refs or commits"), "{text}");
    place.git(&project, ["commit", "-q", "--allow-empty", "-m", "more"]);
    for sync in [vec!["sync", "x"], vec!["sync", "x", "--from", project.to_str().expect("text")]] {
        let (code, answer) = place.json(sync);
        assert_eq!((code, &answer["error"]["kind"]), (7, &"refused".into()), "{answer}");
    }
    assert!(std::fs::read_to_string(git.join("packed-refs")).unwrap().contains(" refs/heads/o\n"));
}

#[test]
fn a_git_directory_that_became_something_else_is_missed() {
    for swap in ["mkfifo .git", "ln -s /etc .git", "echo 'gitdir: /etc' > .git", "true"] {
        let place = Place::new();
        place.ok(["create", "x", "--empty"]);
        place.tamed("echo work > n && git add n && git commit -q -m n && rm n");
        place.tamed(&format!("rm -rf .git && {swap}"));
        let text = place.ok(["gc", "--all"]);
        assert!(text.contains("Kept `x`: it has unsaved work.\n"), "{swap}: {text}");
        assert!(text.contains("(`.git` is missing)"), "{swap}: {text}");
        assert!(place.tree("x").join(".git").symlink_metadata().is_err(), "{swap}");
    }
}

#[test]
fn commits_that_a_run_drops_again_are_kept() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    for drop in [
        format!("{COMMIT} git branch -q -D o"),
        "echo 1 > m && git add m && git commit -q -m m && git rev-parse HEAD && git reset -q --hard HEAD~1".to_owned(),
        "echo 2 > m && git add m && git commit -q -m m && git rev-parse HEAD && git commit -q --amend -m other"
            .to_owned(),
    ] {
        let output = place.hostile(&drop);
        assert_eq!(output.status.code(), Some(0), "{}", describe(&output));
        let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(String::from_utf8_lossy(&output.stderr).contains(" new commit"), "{drop}: {}", describe(&output));
        place.tamed("git reflog expire --expire=now --all && git gc -q --prune=now");
        assert_eq!(place.git(&place.trusted("x"), ["rev-parse", &format!("refs/kept/{commit}")]).trim(), commit);
        place.git(&place.trusted("x"), ["fsck", "--connectivity-only", &commit]);
    }
}

#[test]
fn a_fork_is_kept_when_it_alone_has_the_work_of_a_removed_workspace() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    place.tamed("echo work > n && git add n && git commit -q -m n");
    place.ok(["create", "fork", "--from", place.tree("x").to_str().unwrap()]);
    let text = place.ok(["gc", "--all", "-n"]);
    assert!(text.contains("Would move `fork`") && text.contains("Kept `x`"), "{text}");
    place.ok(["rm", "-f", "x"]);
    // One of the same name is not the one that had it.
    place.ok(["create", "x", "--from", "api"]);
    let text = place.ok(["gc", "--all"]);
    assert!(text.contains("Kept `fork`: it has unsaved work.\n  3 undelivered commits"), "{text}");
    write(&place.tree("fork"), "more", "work");
    place.git(&place.tree("fork"), ["add", "more"]);
    place.git(&place.tree("fork"), ["commit", "-q", "-m", "more"]);
    place.ok(["sync", "fork", "--to", project.to_str().unwrap()]);
    let text = place.ok(["gc", "--all"]);
    assert!(text.contains("Moved `fork`"), "{text}");
}

#[test]
fn a_flood_of_bad_refs_is_named_in_a_few_lines() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let said = place.tamed("yes a | head -c 60000000 > .git/packed-refs");
    assert_eq!(said.lines().filter(|line| line.starts_with("not recorded")).count(), 1, "{said}");
    let refs: Vec<String> = (1..=5000).map(|number| format!("{number:040} refs/heads/b{number}\n")).collect();
    write(place.path(), "refs", refs.concat());
    let output = place.hostile(&format!("cp '{}' .git/packed-refs", place.path().join("refs").display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("cannot keep 4990 more commits"), "{said}");
    assert!(said.lines().count() < 20, "{said}");
}

#[test]
fn a_link_that_a_project_names_does_not_bring_in_what_it_leads_to() {
    let place = Place::new();
    let project = place.project("api");
    write(&place.home(), "key", "secret");
    let key = place.home().join("key");
    for name in ["ignored", "changed"] {
        std::os::unix::fs::symlink(&key, project.join(name)).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", project.join("dangling")).unwrap();
    write(&project, ".gitignore", "ignored\n");
    write(&project, ".worktreeinclude", "ignored\n");
    place.git(&project, ["add", "-f", "ignored", ".gitignore", ".worktreeinclude"]);
    place.git(&project, ["commit", "-q", "-m", "a trap"]);
    place.ok(["create", "x", "--from", "api", "--with-changes"]);
    for name in ["ignored", "changed"] {
        assert_eq!(std::fs::read_link(place.tree("x").join(name)).unwrap(), key, "{name}");
    }
    assert_eq!(std::fs::read_link(place.tree("x").join("dangling")).unwrap(), std::path::Path::new("nowhere"));
}

#[test]
fn dropped_commits_are_unsaved_work_in_the_trash() {
    let place = Place::new();
    place.project("api");
    for (command, options) in [("gc", vec!["--all"]), ("gc", vec!["--max-size", "1"]), ("rm", vec!["x"])] {
        place.ok(["create", "x", "--from", "api"]);
        place.tamed("echo work > n && git add n && git commit -q -m n");
        place.tamed("git reset -q --hard HEAD~1");
        place.ok([vec![command], options].concat());
        assert!(!place.tree("x").exists());
        let entry = std::fs::read_dir(place.root().join("trash")).unwrap().next().expect("an entry").unwrap().path();
        let why = std::fs::read_to_string(entry.join("why.toml")).unwrap();
        assert!(why.contains("1 commit that was dropped again"), "{why}");
        place.ok(["gc", "--purge", "--yes"]);
    }
}

#[test]
fn directories_in_each_other_without_end_are_named_and_break_nothing() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    for (count, onto, code) in [(20_000, false, 125), (1000, false, 0), (40, true, 125)] {
        let what = if onto {
            format!("M 040000 {} ", place.git(&tree, ["rev-parse", "HEAD^{tree}"]).trim())
        } else {
            "M 100644 inline ".to_owned()
        };
        let input = format!(
            "commit refs/heads/stead/x\ncommitter a <a> 0 +0000\ndata 1\nx\n{what}{}f\n{}",
            "d/".repeat(count),
            if onto { "" } else { "data 1\nx\n" }
        );
        place.git_in(&tree, ["fast-import", "--quiet", "--force"], &input);
        let output = place.hostile("true");
        assert_eq!(output.status.code(), Some(code), "{count}: {}", describe(&output));
        let is_named = String::from_utf8_lossy(&output.stderr).contains("more than 1024 directories in each other");
        assert_eq!(is_named, code == 125, "{count}: {}", describe(&output));
        place.ok(["status", "x"]);
        place.ok(["status"]);
        place.ok(["diff", "x"]);
        place.ok(["diff", "--dirty", "x"]);
        let text = place.ok(["gc", "--all"]);
        assert!(text.starts_with("Kept `x`"), "{count}: {text}");
    }
}

#[test]
fn what_is_only_staged_is_unsaved() {
    let place = Place::new();
    place.project("api");
    for (script, kept) in [
        ("echo work > n && git add n && rm n", true),
        ("echo work >> README.md && git add README.md && git checkout -q HEAD~0 -- . ; true", false),
        ("touch n && git add -N n && rm n", false),
        ("echo work >> README.md && git add . && git show HEAD:README.md > README.md", true),
    ] {
        place.ok(["create", "x", "--from", "api"]);
        place.tamed(script);
        let text = place.ok(["gc", "--all"]);
        assert_eq!(text.contains("Kept `x`") && text.contains("(staged only)"), kept, "{script}: {text}");
        if kept {
            place.ok(["rm", "-f", "x"]);
        }
    }
}

#[test]
fn a_file_or_tree_that_only_a_ref_names_is_unsaved() {
    let place = Place::new();
    place.project("api");
    for script in [
        "git update-ref refs/notes/file $(echo work | git hash-object -w --stdin)",
        "git update-ref refs/notes/tree $(printf '100644 blob %s\\tn\\n' $(echo work | git hash-object -w --stdin) | git mktree)",
        "git tag -a -m file large $(echo work | git hash-object -w --stdin)",
    ] {
        place.ok(["create", "x", "--from", "api"]);
        place.tamed(script);
        let text = place.ok(["gc", "--all"]);
        assert!(text.contains("Kept `x`") && text.contains("1 undelivered commit"), "{script}: {text}");
        place.ok(["rm", "-f", "x"]);
    }
}

#[test]
fn what_stands_where_the_prompt_was_hides_nothing() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let settings = "[agents.evil]\ncommand = [\"sh\", \"-c\", \"rm \\\"$1\\\" && mkdir -p \\\"$1/x\\\" && echo work > new && \
                    git config core.fsmonitor evil\", \"sh\"]\nprompt = \"file\"\n";
    write(&place.home(), ".config/stead/config.toml", settings);
    let (code, answer) = place.json(["exec", "x", "-a", "evil", "-m", "do it", "--isolation", "none"]);
    assert_eq!(code, 0, "{answer}");
    assert_eq!((&answer["changes"][0]["path"], &answer["outcome"]), (&"new".into(), &"exited".into()), "{answer}");
    assert_eq!(answer["git_config_held"], serde_json::json!(["core.fsmonitor"]), "{answer}");
    let said = place.tamed("true");
    assert!(!said.contains("no end on record"), "{said}");
}
