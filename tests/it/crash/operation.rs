//! The commands that are killed, and what each must have done when it says so.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::check::{array, git, is_text, stead};
use super::scene::{Scene, names, store};
use crate::support::{describe, write};

/// Which process is killed, or has a call fail.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Traced {
    Command,
    Supervisor,
}

/// One command.
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) args: &'static [&'static str],
    pub(super) traced: Traced,
    /// What is there besides the scene.
    pub(super) prepare: fn(&Scene),
    /// What exit 0 promises, but for what it says on stdout that it has kept.
    pub(super) effect: fn(&Scene, &str) -> Result<()>,
    /// What is true after any end, once `doctor --repair` has been.
    pub(super) settled: fn(&Scene) -> Result<()>,
    /// Workspaces that it may end for good.
    pub(super) ends: &'static [&'static str],
}

/// More work of each kind, on top of the scene's.
const MORE: &str = "echo two > second && git add second && git commit -q -m second -- second && \
                    echo again >> README.md && git stash push -q -- README.md && echo made > made";

const NOTHING: Operation = Operation {
    name: "",
    args: &[],
    traced: Traced::Command,
    prepare: |_| {},
    effect: |_, _| Ok(()),
    settled: |_| Ok(()),
    ends: &[],
};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "create",
        args: &["create", "n", "--from", "api"],
        effect: |scene, _| is_fresh(scene, "n"),
        settled: |scene| is_fresh_or_can_be_made(scene, "n", &["--json", "create", "n", "--from", "api"]),
        ..NOTHING
    },
    Operation {
        name: "clone",
        args: &["clone", "api", "c"],
        effect: |scene, _| is_fresh(scene, "c"),
        settled: |scene| is_fresh_or_can_be_made(scene, "c", &["--json", "clone", "api", "c"]),
        ..NOTHING
    },
    Operation {
        name: "exec",
        args: &["exec", "x", "--no-create", "--isolation", "none", "--", "sh", "-c", MORE],
        effect: |scene, _| has_run(scene),
        ..NOTHING
    },
    Operation {
        name: "supervisor",
        args: &["exec", "x", "--no-create", "--isolation", "none", "--", "sh", "-c", MORE],
        traced: Traced::Supervisor,
        effect: |scene, _| has_run(scene),
        ..NOTHING
    },
    Operation {
        name: "sync-apply",
        args: &["sync", "x", "--to", "--apply"],
        effect: |scene, _| applied(scene, &[5]),
        settled: |scene| {
            // The next command finishes what was cut off.
            stead(scene, &["--json", "exec", "x", "--no-create", "--isolation", "none", "--", "true"])?;
            applied(scene, &[0, 5])
        },
        ..NOTHING
    },
    Operation {
        name: "sync-to",
        args: &["sync", "x", "--to"],
        effect: |scene, _| {
            let project = scene.place.path().join("projects/api");
            let files = git(scene, &project, &["ls-tree", "--name-only", "stead/x"])?;
            ensure!(["committed", "staged", "late"].iter().all(|name| files.contains(name)), "{files}");
            Ok(())
        },
        settled: |scene| {
            let project = scene.place.path().join("projects/api");
            git(scene, &project, &["fsck", "--no-dangling", "--no-progress"])?;
            ensure!(git(scene, &project, &["status", "--porcelain"])?.is_empty(), "the project is touched");
            let lock = project.join(".git/refs/heads/stead/x.lock");
            deliver_once_more(scene, &lock, &["--json", "sync", "x", "--to"])
        },
        ..NOTHING
    },
    Operation {
        name: "sync",
        args: &["sync", "z"],
        effect: |scene, _| is_text(&scene.place.tree("z").join("upstream"), "upstream\n"),
        settled: |scene| {
            stead(scene, &["--json", "exec", "z", "--no-create", "--isolation", "none", "--", "true"])?;
            let status = git(scene, &scene.place.tree("z"), &["status", "--porcelain"])?;
            ensure!(status.is_empty(), "neither before nor after: {status}");
            Ok(())
        },
        ..NOTHING
    },
    Operation {
        name: "sync-from",
        args: &["sync", "z", "--from", "api"],
        prepare: |scene| write(&scene.place.path().join("projects/api"), "loose", "loose\n"),
        effect: |scene, _| {
            is_text(&scene.place.tree("z").join("upstream"), "upstream\n")?;
            is_text(&scene.place.tree("z").join("loose"), "loose\n")
        },
        settled: |scene| {
            stead(scene, &["--json", "exec", "z", "--no-create", "--isolation", "none", "--", "true"])?;
            let tree = scene.place.tree("z");
            let has = ["upstream", "loose"].map(|name| tree.join(name).exists());
            let status = git(scene, &tree, &["status", "--porcelain"])?;
            let expected = if has[1] { "?? loose\n" } else { "" };
            ensure!(has[0] == has[1] && status == expected, "neither before nor after: {has:?} {status}");
            Ok(())
        },
        ..NOTHING
    },
    Operation {
        name: "sync-push",
        args: &["sync", "p", "--push"],
        prepare: make_pushable,
        effect: |scene, _| is_pushed(scene),
        settled: |scene| {
            let bare = scene.place.path().join("projects/bare.git");
            git(scene, &bare, &["fsck", "--no-dangling", "--no-progress"])?;
            deliver_once_more(scene, &bare.join("refs/heads/stead/p.lock"), &["--json", "sync", "p", "--push"])?;
            is_pushed(scene)
        },
        ..NOTHING
    },
    Operation {
        name: "undo-apply",
        args: &["undo", "x", "--apply"],
        prepare: |scene| drop(scene.place.ok(["sync", "x", "--to", "--apply"])),
        effect: |scene, _| applied(scene, &[0]),
        settled: |scene| {
            stead(scene, &["--json", "exec", "x", "--no-create", "--isolation", "none", "--", "true"])?;
            applied(scene, &[0, 5])?;
            if applied(scene, &[0]).is_err() {
                stead(scene, &["--json", "undo", "x", "--apply"]).context("once more")?;
            }
            applied(scene, &[0])
        },
        ..NOTHING
    },
    Operation {
        name: "undo",
        args: &["undo", "x"],
        effect: |scene, _| {
            let tree = scene.place.tree("x");
            let left = ["committed", "staged", "untracked"].iter().find(|name| tree.join(name).exists());
            ensure!(left.is_none(), "{left:?} is still there");
            Ok(())
        },
        settled: |scene| {
            // Finishes what was cut off, and does nothing else.
            stead(scene, &["--json", "sync", "x", "--to", "--dry-run"])?;
            // A file that could not be recorded at the time stays, and all else is undone.
            let tree = scene.place.tree("x");
            if ["committed", "staged", "untracked"].iter().any(|name| !tree.join(name).exists()) {
                let (code, answer) = scene.place.json(["undo", "x"]);
                let named = answer["left"].as_array().is_some_and(|left| !left.is_empty());
                ensure!(code == 0 || (code == 1 && named), "the undo of the undo: {code}, {answer}");
            }
            Ok(())
        },
        ..NOTHING
    },
    Operation { name: "rm", args: &["rm", "-f", "x"], effect: |scene, _| is_away(scene, "x"), ..NOTHING },
    Operation {
        name: "restore",
        args: &["restore", "y"],
        effect: |scene, _| {
            is_text(&scene.place.tree("y").join("late"), "y")?;
            ensure!(names(&scene.place.root().join("state/local")).contains(&"y".to_owned()), "`y` is not there");
            Ok(())
        },
        ..NOTHING
    },
    Operation {
        name: "gc",
        args: &["gc", "--all"],
        prepare: leave_halves,
        effect: |scene, said| {
            // What it cannot look at, it keeps, and a pool of which it cannot be sure.
            if !said.contains("Kept `z`") {
                is_away(scene, "z")?;
            }
            is_away(scene, "half")?;
            let root = scene.place.root();
            ensure!(!root.join("staging/dead").exists(), "the dead staging directory is there");
            let mut pools = names(&root.join("pools"));
            pools.retain(|name| !name.contains("lock"));
            ensure!((pools.len() == 1) == said.contains("Removed 1 pool"), "{pools:?}");
            ensure!(scene.place.tree("x").exists(), "`x` has unsaved work and is collected");
            Ok(())
        },
        ..NOTHING
    },
    Operation {
        name: "purge",
        args: &["gc", "--purge", "--yes"],
        effect: |scene, _| {
            let left = names(&scene.place.root().join("trash"));
            ensure!(left.is_empty(), "left in the trash: {left:?}");
            Ok(())
        },
        ends: &["y"],
        ..NOTHING
    },
    Operation {
        name: "repair",
        args: &["doctor", "--repair"],
        prepare: leave_halves,
        effect: |scene, _| {
            is_away(scene, "half")?;
            let found = names(&scene.place.root().join("staging"));
            ensure!(found.is_empty(), "{found:?}");
            is_text(&scene.place.root().join("state/local/z/workspace.toml"), "").err().context("no record is made")?;
            Ok(())
        },
        ..NOTHING
    },
];

/// The run has done its work, tells it, and its commits are kept.
fn has_run(scene: &Scene) -> Result<()> {
    is_text(&scene.place.tree("x").join("made"), "made\n")?;
    let answer = stead(scene, &["--json", "diff", "x", "--run", "last"])?;
    ensure!(answer.to_string().contains("\"made\""), "the run does not name `made`: {answer}");
    let head = git(scene, &scene.place.tree("x"), &["rev-parse", "HEAD"])?;
    let stash = git(scene, &scene.place.tree("x"), &["rev-parse", "refs/stash"])?;
    for commit in [head, stash] {
        git(scene, &store(&scene.place, "x"), &["cat-file", "-e", commit.trim()])?;
    }
    Ok(())
}

/// Makes a workspace with work whose origin can be pushed to.
fn make_pushable(scene: &Scene) {
    let projects = scene.place.path().join("projects");
    scene.place.git(&projects, ["clone", "-q", "--bare", "api", "bare.git"]);
    scene.place.ok(["create", "p", "--from", "bare.git"]);
    write(&scene.place.tree("p"), "pushed", "pushed\n");
}

fn is_pushed(scene: &Scene) -> Result<()> {
    let bare = scene.place.path().join("projects/bare.git");
    let files = git(scene, &bare, &["ls-tree", "--name-only", "stead/p"])?;
    ensure!(files.contains("pushed"), "{files}");
    Ok(())
}

/// Delivers again. A lock that a kill has left in a repository of somebody else's stays there, and is named, unless all is
/// delivered and nothing needs it.
fn deliver_once_more(scene: &Scene, lock: &Path, args: &[&str]) -> Result<()> {
    if lock.exists() {
        let output = scene.place.stead(args).output()?;
        let told = String::from_utf8_lossy(&output.stdout);
        let is_named = output.status.code() == Some(5) && told.contains(&lock.display().to_string());
        let is_done = output.status.success() && told.contains("\"up_to_date\":true");
        ensure!(is_named || is_done, "{}", describe(&output));
        std::fs::remove_file(lock)?;
    }
    stead(scene, args).context("once more").map(drop)
}

/// Leaves a tree without its state, a staging directory without its owner.
fn leave_halves(scene: &Scene) {
    let root = scene.place.root();
    write(&root, "workspaces/local/half/file", "half");
    write(&root, "staging/dead/tree/file", "dead");
}

/// Of the files that `x` has and the project lacks, as many as allowed are in the project.
fn applied(scene: &Scene, allowed: &[usize]) -> Result<()> {
    let project = scene.place.path().join("projects/api");
    let new = ["committed", "staged", "untracked", "late"].iter().filter(|name| project.join(name).exists()).count();
    let guide = std::fs::read_to_string(project.join("docs/guide.md")).context("the guide")?;
    let count = new + usize::from(guide.ends_with("more\n"));
    ensure!(allowed.contains(&count), "{count} of 5 changes are applied");
    Ok(())
}

fn is_away(scene: &Scene, name: &str) -> Result<()> {
    for part in ["state/local", "workspaces/local", "homes/local"] {
        ensure!(!scene.place.root().join(part).join(name).exists(), "`{name}` is still in {part}");
    }
    Ok(())
}

/// A new workspace has what its source has.
fn is_fresh(scene: &Scene, name: &str) -> Result<()> {
    let tree = scene.place.tree(name);
    let status = git(scene, &tree, &["status", "--porcelain"])?;
    ensure!(status.is_empty(), "it is not as its commit: {status}");
    let project = scene.place.path().join("projects/api");
    let commits = [&tree, &project].map(|repository| git(scene, repository, &["rev-parse", "HEAD"]));
    let [own, source] = commits;
    ensure!(own? == source?, "it is of another commit");
    is_text(&tree.join("src/main.rs"), "fn main() {}\n")
}

fn is_fresh_or_can_be_made(scene: &Scene, name: &str, again: &[&str]) -> Result<()> {
    let listed = stead(scene, &["--json", "status"])?;
    if array(&listed, "workspaces")?.iter().all(|workspace| workspace["name"] != name) {
        is_away(scene, name)?;
        stead(scene, again).context("once more")?;
    }
    is_fresh(scene, name)
}
