//! What must be true after a command, however it ended.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::operation::Operation;
use super::scene::{End, Scene, names, store};
use crate::support::{Place, describe};

/// Work that only a workspace has.
pub(super) struct Work {
    commit: String,
    stash: String,
}

impl Work {
    pub(super) fn of(place: &Place, name: &str) -> Self {
        let read = |rev| place.git(&place.tree(name), ["rev-parse", rev]).trim().to_owned();
        Self { commit: read("HEAD"), stash: read("refs/stash") }
    }

    /// Looks whether a tree has it.
    fn is_in(&self, scene: &Scene, name: &str) -> Result<()> {
        let tree = scene.place.tree(name);
        for (path, text) in
            [("untracked", "untracked\n"), ("staged", "staged\n"), ("docs/guide.md", "one\ntwo\nthree\nmore\n")]
        {
            is_text(&tree.join(path), text)?;
        }
        ensure!(tree.join("late").is_file(), "`late` is lost");
        git(scene, &tree, &["merge-base", "--is-ancestor", &self.commit, "HEAD"])?;
        let stashes = git(scene, &tree, &["stash", "list", "--format=%H"])?;
        ensure!(stashes.contains(&self.stash), "the stash is lost: {stashes}");
        Ok(())
    }
}

/// Looks at everything after an operation.
pub(super) fn check(scene: &Scene, operation: &Operation, end: &End) -> Result<()> {
    leases_end(scene)?;
    match end.code {
        None => {}
        Some(0) => {
            let said = String::from_utf8_lossy(&end.output.stdout);
            (operation.effect)(scene, &said).context("done, it said")?;
        }
        Some(101) => anyhow::bail!("it panicked"),
        Some(_) => {
            let told = describe(&end.output);
            let words = ["error: ", "warning: ", "Not done: ", "problem", "Left as it is: "];
            ensure!(words.iter().any(|word| told.contains(word)), "it does not say what failed");
        }
    }
    let repaired = stead(scene, &["--json", "doctor", "--repair"]).context("`doctor --repair`")?;
    let healthy = stead(scene, &["--json", "doctor"]).context("`doctor` after a repair")?;
    for check in array(&healthy, "checks")? {
        let (name, status) = (&check["name"], &check["status"]);
        let of_root = ["root", "staging", "trash", "workspace", "pool", "journal"].iter().any(|own| name == own);
        // Half a workspace without a record has no name but in the reason, for which a full disk has no room.
        let is_kept = name == "trash" && ["gc", "repair"].contains(&operation.name);
        ensure!(!of_root || is_kept || status == "ok" || status == "info", "after a repair ({repaired}) still {check}");
    }
    (operation.settled)(scene).context("after a repair")?;
    workspaces_are_whole(scene)?;
    for (name, work) in [("x", &scene.x), ("y", &scene.y)] {
        if !operation.ends.contains(&name) {
            comes_back(scene, name)?;
            work.is_in(scene, name).with_context(|| format!("the work of `{name}`"))?;
        }
    }
    if !operation.ends.contains(&"z") {
        comes_back(scene, "z")?;
    }
    let name = if scene.place.tree("x").exists() { "x" } else { "z" };
    stead(scene, &["--json", "exec", name, "--no-create", "--isolation", "none", "--", "true"])
        .context("another exec")?;
    stead(scene, &["--json", "gc", "--max-age", "100000d"]).context("`gc` after that")?;
    let left = names(&scene.place.root().join("staging"));
    ensure!(left.is_empty(), "left in staging: {left:?}");
    Ok(())
}

/// What a killed command has started ends by itself, and its leases with it.
fn leases_end(scene: &Scene) -> Result<()> {
    let until = Instant::now() + Duration::from_mins(1);
    for directory in ["locks/local", "pools"] {
        for path in files(&scene.place.root().join(directory)) {
            let lock = std::fs::File::open(&path)?;
            while lock.try_lock().is_err() {
                ensure!(Instant::now() < until, "`{}` is held for ever", path.display());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    Ok(())
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.expect("entry").path()).filter(|path| path.is_file()).collect()
}

/// Each workspace that is listed has all of its parts and nothing broken in it, and no part is without its workspace.
fn workspaces_are_whole(scene: &Scene) -> Result<()> {
    let root = scene.place.root();
    let at_home = names(&root.join("state/local"));
    for part in ["workspaces/local", "homes/local"] {
        let found = names(&root.join(part));
        ensure!(found == at_home, "{part} has {found:?}, state has {at_home:?}");
    }
    let listed = stead(scene, &["--json", "status"]).context("`status`")?;
    let listed = array(&listed, "workspaces")?;
    ensure!(listed.len() == at_home.len(), "{} of {at_home:?} are listed", listed.len());
    for workspace in listed {
        let name = workspace["name"].as_str().context("a name")?;
        ensure!(workspace["state"] == "ready", "{workspace}");
        git(scene, &scene.place.tree(name), &["fsck", "--no-dangling", "--no-progress"])?;
        git(scene, &store(&scene.place, name), &["fsck", "--connectivity-only", "--no-dangling", "--no-progress"])?;
        git(scene, &scene.place.tree(name), &["status", "--porcelain"])?;
    }
    Ok(())
}

/// Restores a workspace unless it is at home.
fn comes_back(scene: &Scene, name: &str) -> Result<()> {
    if scene.place.root().join("state/local").join(name).exists() {
        return Ok(());
    }
    stead(scene, &["--json", "restore", name])
        .with_context(|| format!("`{name}` is neither at home nor in the trash"))?;
    git(scene, &scene.place.tree(name), &["fsck", "--no-dangling", "--no-progress"]).map(drop)
}

/// Runs stead, which must succeed, and returns its answer.
pub(super) fn stead(scene: &Scene, args: &[&str]) -> Result<Value> {
    let output = scene.place.stead(args).output()?;
    ensure!(output.status.success(), "{}", describe(&output));
    serde_json::from_slice(&output.stdout).with_context(|| describe(&output))
}

/// Runs git, which must succeed, and returns what it prints.
pub(super) fn git(scene: &Scene, directory: &Path, args: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    scene.place.isolate(&mut command);
    let output = command.arg("-C").arg(directory).args(args).output()?;
    ensure!(output.status.success(), "git {args:?} in `{}`: {}", directory.display(), describe(&output));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(super) fn is_text(path: &Path, text: &str) -> Result<()> {
    let found = std::fs::read_to_string(path).with_context(|| format!("`{}`", path.display()))?;
    ensure!(found == text, "`{}` is {found:?}", path.display());
    Ok(())
}

pub(super) fn array<'a>(answer: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    answer[name].as_array().with_context(|| format!("no {name} in {answer}"))
}
