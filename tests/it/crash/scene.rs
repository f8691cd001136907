//! The scene of every try: a small root with work of each kind, kept beside itself and put back each time.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::check::{self, Work};
use super::operation::{Operation, Traced};
use super::strace::{self, Injection, Site};
use super::supervisor;
use crate::support::{Place, describe, succeed, write};

/// What a run leaves in a workspace: a commit, a stash, and uncommitted work of each kind.
const WORK: &str = "echo one > committed && git add committed && git commit -q -m committed && \
                    echo stashed >> README.md && git stash -q && \
                    echo staged > staged && git add staged && echo more >> docs/guide.md && echo untracked > untracked";

pub(super) struct Scene {
    pub(super) place: Place,
    /// The work in the workspaces `x` (at home) and `y` (in the trash).
    pub(super) x: Work,
    pub(super) y: Work,
}

/// How a command ended under an injection.
pub(super) struct End {
    /// `None` when it was killed.
    pub(super) code: Option<i32>,
    pub(super) output: Output,
}

/// What a try has shown.
pub(super) struct Found {
    pub(super) reached: bool,
    pub(super) outcome: anyhow::Result<()>,
}

impl Scene {
    pub(super) fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let place = Place::within(&if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() });
        let project = place.project("api");
        // Of another source, whose pool nothing refers to in the end; a `gc` would take that along.
        place.project("other");
        place.ok(["create", "w", "--from", "other"]);
        for part in ["state", "workspaces", "homes"] {
            std::fs::remove_dir_all(place.root().join(part).join("local/w")).expect("removed");
        }
        let [x, y] = ["x", "y"].map(|name| {
            place.ok(["create", name, "--from", "api"]);
            place.ok(["exec", name, "--isolation", "none", "--", "sh", "-c", WORK]);
            // No snapshot has this one yet.
            write(&place.tree(name), "late", name);
            Work::of(&place, name)
        });
        place.ok(["rm", "-f", "y"]);
        place.ok(["create", "z", "--from", "api"]);
        write(&project, "upstream", "upstream\n");
        place.git(&project, ["add", "."]);
        place.git(&project, ["commit", "-q", "-m", "third"]);
        let kept = place.path().join("kept");
        std::fs::create_dir(&kept).expect("directory");
        for part in PARTS {
            copy(&place.path().join(part), &kept);
        }
        Self { place, x, y }
    }

    /// Returns the calls that an operation makes when nothing is wrong.
    pub(super) fn sites(&self, operation: &Operation) -> Vec<Site> {
        let end = strace::on_one_processor(|| self.run(operation, None));
        assert_eq!(end.code, Some(0), "{}: {}", operation.name, describe(&end.output));
        let log = self.log();
        if let Err(error) = check::check(self, operation, &end) {
            panic!("{} without any fault: {error:#}\n{}", operation.name, describe(&end.output));
        }
        let place = self.place.path().to_str().expect("ASCII");
        match operation.traced {
            Traced::Command => strace::sites(&log, place),
            // Its pipes have no path.
            Traced::Supervisor => strace::sites(&log, ""),
        }
    }

    /// Runs an operation with an injection from the beginning, and looks at what it leaves.
    pub(super) fn attempt(&self, operation: &Operation, injection: &Injection) -> Found {
        let end = self.run(operation, Some(injection));
        // A command that is killed says nothing of the call; its supervisor has a log up to its end.
        let killed = operation.traced == Traced::Supervisor && injection.is_kill();
        let reached = end.code.is_none() || killed || self.log().contains("(INJECTED)");
        let outcome = check::check(self, operation, &end)
            .map_err(|error| error.context(format!("exit {:?}\n{}", end.code, describe(&end.output))));
        Found { reached, outcome }
    }

    pub(super) fn attempt_on_one_processor(&self, operation: &Operation, injection: &Injection) -> Found {
        strace::on_one_processor(|| self.attempt(operation, injection))
    }

    fn run(&self, operation: &Operation, injection: Option<&Injection>) -> End {
        const TRIES: usize = 20;
        let log = self.place.path().join("trace");
        let traced = || {
            self.put_back();
            (operation.prepare)(self);
            let stead = self.place.stead(operation.args);
            match operation.traced {
                Traced::Command => {
                    let mut command = strace::command(&log, injection);
                    strace::pass_on(&stead, &mut command);
                    Some(command.output().expect("strace starts"))
                }
                Traced::Supervisor => supervisor::run(&stead, &log, injection),
            }
        };
        let output = std::iter::repeat_with(traced).take(TRIES).flatten().next().expect("strace stops the supervisor");
        let code =
            if output.status.signal() == Some(9) { None } else { output.status.code().filter(|&code| code != 137) };
        End { code, output }
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.place.path().join("trace")).expect("a log")).into_owned()
    }

    fn put_back(&self) {
        for part in PARTS {
            let path = self.place.path().join(part);
            let gone = self.place.path().join("gone");
            if path.exists() {
                std::fs::rename(&path, &gone).expect("moved");
                std::fs::remove_dir_all(&gone).expect("removed");
            }
            copy(&self.place.path().join("kept").join(part), self.place.path());
        }
    }
}

const PARTS: [&str; 3] = ["home", "projects", "root"];

fn copy(from: &Path, into: &Path) {
    succeed(Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(into));
}

/// Returns the names in a directory of the root.
pub(super) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != "user.toml")
        .collect();
    names.sort();
    names
}

/// Returns the store of a workspace.
pub(super) fn store(place: &Place, name: &str) -> PathBuf {
    place.root().join("state/local").join(name).join("store.git")
}
