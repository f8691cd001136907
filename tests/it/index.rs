//! What an agent's index says where it is split over two files, gone or broken. The project ignores `ig/`, in which the agent
//! has a file of its own that only its index or its head tells of.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Place, write};

/// Makes a workspace of a project that ignores `ig/`.
fn place() -> (Place, PathBuf) {
    let place = Place::new();
    let project = place.project("p");
    write(&project, ".gitignore", "ig/\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "ignore"]);
    place.ok(["create", "w", "--from", "p"]);
    let tree = place.tree("w");
    (place, tree)
}

impl Place {
    /// Runs a script in the workspace, and returns the answer.
    fn run_in(&self, script: &str) -> Value {
        let script = format!("set -e; {script}");
        let (code, answer) = self.json(["exec", "w", "--isolation", "none", "--", "sh", "-c", &script]);
        assert_eq!(code, 0, "{answer}");
        answer
    }

    fn project_is_at(&self, tree: &[&str]) {
        let project = self.path().join("projects/p");
        let listed = self.git(&project, ["ls-tree", "-r", "--name-only", "stead/w"]);
        assert_eq!(listed.lines().collect::<Vec<_>>(), tree);
    }
}

/// Returns the paths of changes with what became of each.
fn changes(answer: &Value) -> Vec<String> {
    let changes = answer["changes"].as_array().expect("a list").iter();
    let word = |value: &Value| value.as_str().expect("text").to_owned();
    changes.map(|change| format!("{} {}", word(&change["operation"]), word(&change["path"]))).collect()
}

const FILES: [&str; 4] = [".gitignore", "README.md", "docs/guide.md", "src/main.rs"];
const SPLIT: &str =
    "git config core.splitIndex true; git config splitIndex.maxPercentChange 100; git update-index --split-index";

#[test]
fn what_a_split_index_tracks_in_spite_of_the_rules_is_told_and_delivered() {
    for version in ["2", "4"] {
        let (place, tree) = place();
        let answer = place.run_in(&format!(
            "git update-index --index-version {version}; mkdir ig; echo one > ig/f; echo > ig/no; git add -f ig/f; {SPLIT}"
        ));
        assert_eq!(changes(&answer), ["create ig/f"], "{answer}");
        assert!(
            tree.join(".git")
                .read_dir()
                .expect("names")
                .flatten()
                .any(|entry| { entry.file_name().to_string_lossy().starts_with("sharedindex.") })
        );
        let answer = place.run_in("git commit -q -m f; echo two > ig/f");
        assert_eq!(changes(&answer), ["update ig/f"], "{answer}");
        assert_eq!(changes(&place.json(["diff", "w", "--dirty"]).1), ["update ig/f"]);
        assert_eq!(place.json(["status", "w"]).1["workspaces"][0]["dirty"], 1);
        place.ok(["sync", "w", "--to"]);
        let mut files = FILES.to_vec();
        files.insert(3, "ig/f");
        place.project_is_at(&files);
        let project = place.path().join("projects/p");
        assert_eq!(place.git(&project, ["show", "stead/w:ig/f"]), "two\n");
    }
}

#[test]
fn what_is_staged_in_a_split_index_alone_is_kept_and_put_back() {
    let (place, tree) = place();
    place.run_in(&format!(
        "{SPLIT}; echo staged > n; touch -d @1000000000 n; git add n; git update-index --no-split-index; git update-index --split-index; rm n; echo more >> README.md"
    ));
    // It is in the shared file alone, since its time is long past.
    place.fails(&["rm", "w"], 7, "staged only");
    let listed = || place.git(&tree, ["ls-files", "-s"]);
    let before = (listed(), place.git(&tree, ["status", "--porcelain=v2"]));
    assert!(before.0.contains("\tn\n"), "{}", before.0);
    place.run_in("git rm -q -r --cached -f . ; git commit -q -m gone; rm -f .git/index .git/sharedindex.*; git reset -q --hard; git prune --expire=now");
    place.ok(["undo", "w"]);
    assert_eq!((listed(), place.git(&tree, ["status", "--porcelain=v2"])), before);
    assert_eq!(place.git(&tree, ["show", ":n"]), "staged\n");
    place.git(&tree, ["fsck"]);
}

#[test]
fn a_merge_in_a_split_index_is_not_resolved() {
    let (place, _) = place();
    let conflict = "git branch o; echo ours > README.md; git commit -q -a -m ours; git checkout -q o; echo theirs > README.md; \
                    git commit -q -a -m theirs; ! git merge -q stead/w > /dev/null; git update-index --split-index";
    place.run_in(conflict);
    place.fails(&["sync", "w", "--to"], 7, "unresolved conflicts: `README.md`");
}

#[test]
fn a_sparse_checkout_with_a_split_index_deletes_nothing() {
    let (place, tree) = place();
    place.run_in(&format!("git sparse-checkout set --cone docs; {SPLIT}"));
    assert!(!tree.join("src").exists());
    let (_, answer) = place.json(["sync", "w", "--to"]);
    assert_eq!(answer["up_to_date"], true, "{answer}");
    // The same of a project.
    let project = place.path().join("projects/p");
    place.git(&project, ["sparse-checkout", "set", "--cone", "docs"]);
    place.git(&project, ["update-index", "--split-index"]);
    let (_, answer) = place.json(["sync", "w", "--from", "p"]);
    assert_eq!(answer["up_to_date"], true, "{answer}");
}

/// Ways in which an index cannot be read.
const BROKEN: [&str; 6] = [
    "rm .git/index",
    "echo junk > .git/index",
    "truncate -s 100 .git/index",
    "rm .git/index; ln -s HEAD .git/index",
    "rm .git/index; mkfifo .git/index",
    "git update-index --split-index; rm .git/sharedindex.*",
];

#[test]
fn what_is_ignored_is_not_deleted_where_the_index_cannot_be_read() {
    for broken in BROKEN {
        let (place, tree) = place();
        let answer = place.run_in(&format!("mkdir ig; echo one > ig/f; git add -f ig/f; git commit -q -m f; {broken}"));
        assert_eq!(changes(&answer), ["create ig/f"], "{broken}: {answer}");
        assert_eq!(changes(&place.json(["diff", "w", "--dirty"]).1), [""; 0], "{broken}");
        assert_eq!(place.json(["status", "w"]).1["workspaces"][0]["dirty"], 0, "{broken}");
        let (_, answer) = place.json(["sync", "w", "--to", "-n"]);
        assert_eq!(changes(&answer), ["create ig/f"], "{broken}: {answer}");
        // The head tells of it, so that what is done to it is seen.
        write(&tree, "ig/f", "two\n");
        assert_eq!(changes(&place.json(["diff", "w", "--dirty"]).1), ["update ig/f"], "{broken}");
        place.ok(["sync", "w", "--to"]);
        let project = place.path().join("projects/p");
        assert_eq!(place.git(&project, ["show", "stead/w:ig/f"]), "two\n", "{broken}");
        std::fs::remove_file(tree.join("ig/f")).expect("a file");
        assert_eq!(changes(&place.json(["diff", "w", "--dirty"]).1), ["delete ig/f"], "{broken}");
    }
}

#[test]
fn a_head_that_is_not_known_yet_deletes_nothing_either() {
    for broken in BROKEN {
        let (place, tree) = place();
        write(&tree, "ig/f", "one\n");
        for args in [&["add", "-f", "ig/f"][..], &["commit", "-q", "-m", "f"]] {
            place.git(&tree, args);
        }
        let script = format!("cd '{}' && {broken}", tree.display());
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().expect("sh").success());
        write(&tree, "ig/f", "two\n");
        let reason = "ignored, and `.git/index` cannot be read";
        let (_, answer) = place.json(["diff", "w", "--dirty"]);
        let named = serde_json::json!({ "path": "ig/f", "reason": reason });
        assert_eq!(changes(&answer), [""; 0], "{broken}: {answer}");
        assert!(answer["unrecorded"].as_array().expect("a list").contains(&named), "{broken}: {answer}");
        assert_eq!(place.json(["status", "w"]).1["workspaces"][0]["dirty"], 0, "{broken}");
        write(&tree, "new", "new\n");
        place.fails(&["rm", "w"], 7, "1 unreadable entry");
        std::fs::remove_file(tree.join("new")).expect("a file");
        let (_, answer) = place.json(["sync", "w", "--to"]);
        assert!(answer["left_out"].as_array().expect("a list").contains(&named), "{broken}: {answer}");
        let project = place.path().join("projects/p");
        assert_eq!(place.git(&project, ["show", "stead/w:ig/f"]), "one\n", "{broken}");
        // By now the head is known.
        assert_eq!(changes(&place.json(["diff", "w", "--dirty"]).1), ["update ig/f"], "{broken}");
    }
}

#[test]
fn what_an_index_does_not_have_any_more_is_deleted() {
    let (place, _) = place();
    place.run_in("mkdir ig; echo one > ig/f; git add -f ig/f; git commit -q -m f");
    let answer = place.run_in("git rm -q --cached ig/f");
    assert!(!changes(&answer).contains(&"update ig/f".to_owned()), "{answer}");
    place.ok(["sync", "w", "--to"]);
    place.project_is_at(&FILES);
}

#[test]
fn what_a_nested_repository_tracks_in_spite_of_its_rules_is_seen() {
    let (place, _) = place();
    place.run_in(
        "git init -q sub; cd sub; echo ig/ > .gitignore; mkdir ig; echo one > ig/f; git add -f .; git commit -q -m n",
    );
    let answer = place.run_in("echo two > sub/ig/f");
    assert_eq!(answer["nested"][0]["path"], "sub", "{answer}");
    place.ok(["undo", "w"]);
    assert_eq!(std::fs::read_to_string(place.tree("w").join("sub/ig/f")).expect("a file"), "one\n");
}
