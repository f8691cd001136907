//! Container engines, by their command line: whether one answers, and the sure end of a container.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::confine::spawn;

/// How long an engine may take to say what it is.
const ANSWER: Duration = Duration::from_secs(10);
/// How long it may take to end a container.
const END: Duration = Duration::from_secs(20);

/// An engine that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Engine {
    pub(crate) program: PathBuf,
    /// Whom the engine makes a file's owner.
    pub(crate) owner: Owner,
}

/// How users inside are users of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Owner {
    /// A user has the same number inside.
    Same,
    /// uid 0 inside is the one who starts it (Docker without root).
    Root,
    /// The engine has to be told to keep the number (Podman without root).
    Keep,
}

/// A container of a run: by its name it is found again, whatever became of the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) engine: PathBuf,
    pub(crate) name: String,
}

/// Asks the engine at `program` what it is; fails with its own words.
pub(crate) fn probe(program: &Path) -> Result<Engine, String> {
    let is_podman = program.file_name().is_some_and(|name| name == "podman");
    let format = if is_podman { "{{.Host.Security.Rootless}}" } else { "{{.ServerVersion}} {{.SecurityOptions}}" };
    let (done, text) = call(program, &["info", "--format", format], ANSWER);
    if !done {
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no answer").trim().to_owned();
        return Err(line);
    }
    let owner = match (is_podman, text.contains(if is_podman { "true" } else { "rootless" })) {
        (_, false) => Owner::Same,
        (false, true) => Owner::Root,
        (true, true) => Owner::Keep,
    };
    Ok(Engine { program: program.to_owned(), owner })
}

/// Ends a container and removes it; one that is not there is fine. Returns whether none is there afterwards.
pub(crate) fn end(container: &Named) -> bool {
    let removed = call(&container.engine, &["rm", "--force", &container.name], END).0;
    let filter = format!("name=^/?{}$", container.name);
    let (answered, left) = call(&container.engine, &["ps", "--all", "--quiet", "--filter", &filter], ANSWER);
    // An engine that is gone has ended what it had.
    if answered { left.trim().is_empty() } else { removed }
}

/// Runs the engine's client; returns whether it succeeded, and what it printed.
fn call(program: &Path, arguments: &[&str], patience: Duration) -> (bool, String) {
    let mut command = spawn::command(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return (false, "it cannot be started".into()) };
    let until = Instant::now() + patience;
    // What it prints fits in a pipe, so it need not be read meanwhile.
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= until {
            child.kill().ok();
            child.wait().ok();
            return (false, "it does not answer".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    match child.wait_with_output() {
        Ok(output) => {
            let text = if output.status.success() { output.stdout } else { output.stderr };
            (output.status.success(), String::from_utf8_lossy(&text).into_owned())
        }
        Err(error) => (false, error.to_string()),
    }
}
