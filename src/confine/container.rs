//! Container engines, by their command line: whether one answers, and the sure end of a container.

use std::io;
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
    pub(crate) limits: Enforced,
}

/// Which limits an engine keeps; without root it may have none of the cgroups that they take, and then goes on without them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Enforced {
    pub(crate) memory: bool,
    pub(crate) cpus: bool,
    pub(crate) pids: bool,
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
    let format = if is_podman {
        "{{.Host.Security.Rootless}}|{{.Host.CgroupControllers}}"
    } else {
        "{{.SecurityOptions}}|{{.MemoryLimit}}|{{.CPUCfsQuota}}|{{.PidsLimit}}"
    };
    let (done, text) = call(program, &["info", "--format", format], ANSWER);
    if !done {
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no answer").trim().to_owned();
        return Err(line);
    }
    let (owner, limits) = if is_podman { podman(&text) } else { docker(&text) };
    Ok(Engine { program: program.to_owned(), owner, limits })
}

/// Reads `false|[cpu memory pids]`.
fn podman(told: &str) -> (Owner, Enforced) {
    let (rootless, controllers) = told.trim().split_once('|').unwrap_or_default();
    let has = |name: &str| controllers.trim_matches(['[', ']']).split([' ', ',']).any(|other| other == name);
    let limits = Enforced { memory: has("memory"), cpus: has("cpu"), pids: has("pids") };
    (if rootless == "true" { Owner::Keep } else { Owner::Same }, limits)
}

/// Reads `[name=rootless]|true|true|true`.
fn docker(told: &str) -> (Owner, Enforced) {
    let mut parts = told.trim().rsplit('|').map(|part| part == "true");
    let mut next = || parts.next().unwrap_or_default();
    let (pids, cpus, memory) = (next(), next(), next());
    (if told.contains("rootless") { Owner::Root } else { Owner::Same }, Enforced { memory, cpus, pids })
}

/// Ends a container and removes it; one that is not there is fine. Returns whether none is there afterwards.
pub(crate) fn end(container: &Named) -> bool {
    let removed = call(&container.engine, &["rm", "--force", &container.name], END).0;
    let filter = format!("name=^/?{}$", container.name);
    let (answered, left) = call(&container.engine, &["ps", "--all", "--quiet", "--filter", &filter], ANSWER);
    // An engine that is gone has ended what it had.
    if answered { left.trim().is_empty() } else { removed }
}

/// Returns why process 1 of an engine's container (podman's is catatonit, docker's is tini) could not execute the command, if
/// that is all that `said` says.
pub(crate) fn not_executed(said: &str) -> Option<io::Error> {
    let said = said.trim_end();
    let catatonit = || said.strip_prefix("ERROR (catatonit:")?.split_once("): failed to exec pid1: ");
    let tini = || said.strip_prefix("[FATAL tini (")?.split_once(")] exec ")?.1.rsplit_once(" failed: ");
    let (_, reason) = catatonit().or_else(tini)?;
    let number = if reason == "No such file or directory" { libc::ENOENT } else { libc::EACCES };
    (!said.contains('\n')).then(|| io::Error::from_raw_os_error(number))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_says_what_it_can_keep() {
        let enforced = |memory, cpus, pids| Enforced { memory, cpus, pids };
        assert_eq!(podman("false|[cpuset cpu memory pids]\n"), (Owner::Same, enforced(true, true, true)));
        assert_eq!(podman("true|[memory pids]\n"), (Owner::Keep, enforced(true, false, true)));
        assert_eq!(podman("true|[]\n"), (Owner::Keep, enforced(false, false, false)));
        assert_eq!(
            docker("[name=seccomp,profile=builtin]|true|true|false\n"),
            (Owner::Same, enforced(true, true, false))
        );
        assert_eq!(
            docker("[name=rootless name=cgroupns]|false|false|false\n"),
            (Owner::Root, enforced(false, false, false))
        );
        assert_eq!(docker("28.0\n"), (Owner::Same, Enforced::default()));
    }

    #[test]
    fn a_command_that_an_engine_cannot_execute_is_known_by_its_words() {
        let kind = |said: &str| not_executed(said).map(|error| error.kind());
        let missing = "ERROR (catatonit:6): failed to exec pid1: No such file or directory\n";
        assert_eq!(kind(missing), Some(io::ErrorKind::NotFound));
        let denied = "ERROR (catatonit:2): failed to exec pid1: Permission denied\n";
        assert_eq!(kind(denied), Some(io::ErrorKind::PermissionDenied));
        let missing = "[FATAL tini (7)] exec /nowhere/prog failed: No such file or directory\n";
        assert_eq!(kind(missing), Some(io::ErrorKind::NotFound));
        let denied = "[FATAL tini (7)] exec ./a failed: b failed: Permission denied\n";
        assert_eq!(kind(denied), Some(io::ErrorKind::PermissionDenied));
        for said in [
            "",
            "failed to exec pid1: x",
            "tini (7)] exec x failed: y",
            &format!("a\n{missing}"),
            &format!("{missing}b\n"),
        ] {
            assert_eq!(kind(said), None, "{said}");
        }
    }
}
