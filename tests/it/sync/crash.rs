//! A sync that is killed at any system call that changes something: the next command leaves project and workspace either as
//! before or as after, and nothing temporary.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{Place, describe, succeed, write};

/// What changes names or makes them last, and how many calls of each kind are passed by between two that are tried when not all are.
const CALLS: [(&str, usize); 8] = [
    ("renameat2", 1),
    ("renameat", 3),
    ("rename", 5),
    ("unlinkat", 3),
    ("unlink", 1),
    ("mkdirat", 1),
    ("fchmod", 1),
    ("fsync", 9),
];

/// Path, kind and mode, content.
type Files = BTreeMap<PathBuf, (u32, String)>;

/// Everything in a directory but `.git`.
fn files(dir: &Path) -> Files {
    let entries = walkdir::WalkDir::new(dir).min_depth(1).into_iter().filter_entry(|entry| entry.file_name() != ".git");
    entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let content = match entry.file_type() {
                kind if kind.is_dir() => String::new(),
                kind if kind.is_symlink() => entry.path().read_link().expect("a link").display().to_string(),
                _ => std::fs::read_to_string(entry.path()).expect("a file"),
            };
            (entry.path().to_owned(), (entry.metadata().expect("metadata").mode(), content))
        })
        .collect()
}

/// A project and a workspace of it that can be put back to where they were.
struct Scene {
    place: Place,
    project: PathBuf,
    tree: PathBuf,
}

impl Scene {
    fn new(change: impl Fn(&Place, &Path, &Path)) -> Self {
        let place = Place::new();
        let project = place.project("app");
        write(&project, "d/e/file", "in a directory\n");
        write(&project, "f", "a file\n");
        symlink("README.md", project.join("link")).expect("a link");
        place.git(&project, ["add", "-A"]);
        place.git(&project, ["commit", "-q", "-m", "third"]);
        place.ok(["create", "work", "--from", "app"]);
        let tree = place.tree("work");
        change(&place, &project, &tree);
        std::fs::set_permissions(project.join("README.md"), PermissionsExt::from_mode(0o640)).expect("a mode");
        let scene = Self { place, project, tree };
        scene.copy("", "kept");
        scene
    }

    fn copy(&self, from: &str, to: &str) {
        for part in ["root", "projects"] {
            let (from, to) = (self.place.path().join(from).join(part), self.place.path().join(to).join(part));
            if to.exists() {
                std::fs::remove_dir_all(&to).expect("removed");
            }
            std::fs::create_dir_all(to.parent().expect("a parent")).expect("a directory");
            succeed(Command::new("cp").arg("-a").arg(&from).arg(&to));
        }
    }

    /// Runs `stead ARGS` until it makes the call for the nth time, which kills it; `None` when it comes to its end.
    fn killed(&self, args: &[&str], call: &str, nth: usize) -> Option<Output> {
        let mut command = Command::new("strace");
        self.place.isolate(&mut command);
        let inject = format!("inject={call}:signal=KILL:when={nth}");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
        command.arg(assert_cmd::cargo::cargo_bin!("stead")).args(args);
        command.env("STEAD_ROOT", self.place.root()).current_dir(self.place.path().join("projects"));
        let output = command.output().expect("strace starts");
        if output.status.success() {
            return None;
        }
        assert_eq!(output.status.signal(), Some(9), "{call} {nth}\n{}", describe(&output));
        Some(output)
    }

    fn state(&self) -> (Files, Files, String) {
        let git = |args: [&str; 2]| self.place.git(&self.tree, args);
        (files(&self.project), files(&self.tree), git(["rev-parse", "HEAD"]) + &git(["status", "--porcelain"]))
    }

    /// Kills `stead ARGS` everywhere and looks at what the next command makes of it.
    fn sweep(&self, args: &[&str]) {
        let all = std::env::var("STEAD_CRASH").is_ok_and(|value| value == "all");
        let before = self.state();
        self.place.ok(args);
        let after = self.state();
        assert_ne!(before, after);
        let (mut tried, mut backward, mut cut) = (0, 0, 0);
        for (call, step) in CALLS {
            for nth in (1..).step_by(if all { 1 } else { step }) {
                self.copy("kept", "");
                if self.killed(args, call, nth).is_none() {
                    break;
                }
                tried += 1;
                let journal = self.place.root().join("state/local/work/journal.toml");
                let was_cut = journal.exists();
                if was_cut {
                    cut += 1;
                    let (_, answer) = self.place.json(["status", "work"]);
                    assert_eq!(answer["workspaces"][0]["state"], "unfinished sync", "{call} {nth}");
                }
                // Either is enough.
                let next: &[&str] = if nth % 2 == 0 {
                    &["create", "work", "--reuse", "--from", "app"]
                } else {
                    &["doctor", "--repair"]
                };
                self.place.ok(next);
                assert!(!journal.exists(), "{call} {nth}");
                let state = self.state();
                assert!(state == before || state == after, "{call} {nth}: neither before nor after\n{state:#?}");
                backward += usize::from(was_cut && state == before);
                self.place.ok(["doctor"]);
                if state == before {
                    self.place.ok(args);
                    assert_eq!(self.state(), after, "{call} {nth}: the second try");
                }
            }
        }
        assert!(cut > backward && backward > 0, "{tried} tried, {cut} within, {backward} taken back");
    }
}

#[test]
fn an_apply_that_is_killed_anywhere_is_whole_or_was_never_there() {
    let scene = Scene::new(|_, _, tree| {
        write(tree, "README.md", "# changed\n");
        write(tree, "new/deep/file", "new\n");
        std::fs::remove_file(tree.join("src/main.rs")).expect("a file");
        std::fs::remove_file(tree.join("link")).expect("a link");
        symlink("docs/guide.md", tree.join("link")).expect("a link");
        // A directory becomes a file, and a file a directory.
        std::fs::remove_dir_all(tree.join("d")).expect("a directory");
        write(tree, "d", "a file now\n");
        std::fs::remove_file(tree.join("f")).expect("a file");
        write(tree, "f/file", "in a directory now\n");
    });
    scene.sweep(&["sync", "work", "--to", "app", "--apply"]);
}

#[test]
fn an_undo_of_an_apply_that_is_killed_anywhere_is_whole_or_was_never_there() {
    let scene = Scene::new(|place, _, tree| {
        write(tree, "README.md", "# changed\n");
        write(tree, "new/deep/file", "new\n");
        std::fs::remove_file(tree.join("src/main.rs")).expect("a file");
        place.ok(["sync", "work", "--to", "app", "--apply"]);
    });
    scene.sweep(&["undo", "work", "--apply", "app"]);
}

#[test]
fn a_sync_from_upstream_that_is_killed_anywhere_leaves_tree_and_head_together() {
    let scene = Scene::new(|place, project, _| {
        write(project, "README.md", "# changed\n");
        write(project, "new/deep/file", "new\n");
        std::fs::remove_file(project.join("src/main.rs")).expect("a file");
        place.git(project, ["add", "-A"]);
        place.git(project, ["commit", "-q", "-m", "fourth"]);
    });
    scene.sweep(&["sync", "work"]);
}

#[test]
fn a_branch_that_was_written_right_before_a_cut_is_known_later() {
    let place = Place::new();
    let project = place.project("app");
    let bare = place.path().join("projects/origin.git");
    place.git(&project, ["clone", "-q", "--bare", ".", bare.to_str().expect("UTF-8")]);
    place.ok(["create", "work", "--from", "origin.git"]);
    let (tree, record) = (place.tree("work"), place.root().join("state/local/work/workspace.toml"));
    let ways = [(&bare, &["sync", "work", "--push"][..]), (&project, &["sync", "work", "--to", "app"])];
    for (target, arguments) in ways {
        let before = std::fs::read(&record).expect("the record");
        write(&tree, "new.txt", "one\n");
        place.ok(arguments);
        let first = place.git(target, ["rev-parse", "stead/work"]);
        // As when it is killed before it remembers; a commit of another second would be another one.
        std::fs::write(&record, &before).expect("the record");
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert_eq!(place.json(arguments).1["up_to_date"], true, "{arguments:?}");
        assert_eq!(place.git(target, ["rev-parse", "stead/work"]), first);
        // Nor is it somebody else's when the work has gone on.
        std::fs::write(&record, &before).expect("the record");
        write(&tree, "new.txt", "two\n");
        place.ok(arguments);
        assert_eq!(place.git(target, ["show", "stead/work:new.txt"]), "two\n");
        // Nor after a second cut, between the announcement of what comes next and the branch.
        std::fs::write(&record, &before).expect("the record");
        write(&tree, "new.txt", "three\n");
        let in_the_way = place.git(target, ["rev-parse", "--git-path", "refs/heads/stead/work.lock"]);
        let in_the_way = target.join(in_the_way.trim());
        std::fs::write(&in_the_way, "").expect("a lock");
        assert_ne!(place.json(arguments).0, 0, "{arguments:?}");
        std::fs::remove_file(&in_the_way).expect("the lock");
        place.ok(arguments);
        assert_eq!(place.git(target, ["show", "stead/work:new.txt"]), "three\n");
    }
}
