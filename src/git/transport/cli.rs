//! Transfers by the user's own git (`[net] git = true`): for what stead does not speak itself, such as a proxy with its own
//! login, Kerberos or client certificates. Only ever on trusted repositories.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::confine::spawn;
use crate::error::{Failure, Kind, Result};
use crate::git::Oid;
use crate::git::source::{Address, Source};
use crate::git::transport::transfer::{TICK, interrupted};
use crate::git::transport::{Net, RemoteRefs, environment_of_git, refused};
use crate::progress::Progress;

/// How long git may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How much of what git says is kept.
const STDERR_TAIL: usize = 64 * 1024;

pub(super) fn list(source: &Source, net: &Net, progress: &dyn Progress) -> Result<RemoteRefs> {
    let mut git = git(None, source, net);
    git.args(["ls-remote", "--symref", "--", &source.url()]);
    Ok(parse_refs(&run(git, source, progress)?))
}

pub(super) fn fetch(
    repository: &git2::Repository,
    source: &Source,
    refspecs: &[String],
    depth: Option<u32>,
    net: &Net,
    progress: &dyn Progress,
) -> Result<RemoteRefs> {
    let refs = list(source, net, progress)?;
    // Unlike libgit2, git fails when a ref that is named in full is not there.
    let known = |refspec: &&String| {
        let name = refspec.trim_start_matches('+').split(':').next().unwrap_or_default();
        name.contains('*') || name == "HEAD" || refs.refs.iter().any(|(known, _)| known == name)
    };
    let refspecs: Vec<&String> = refspecs.iter().filter(known).collect();
    let mut git = git(Some(repository), source, net);
    git.args(["fetch", "--quiet", "--no-tags", "--prune", "--no-write-fetch-head", "--no-auto-gc"]);
    git.arg("--no-recurse-submodules");
    if let Some(depth) = depth.filter(|depth| *depth > 0) {
        git.arg(format!("--depth={depth}"));
    }
    git.args(["--", &source.url()]).args(refspecs);
    run(git, source, progress)?;
    Ok(refs)
}

pub(super) fn push(
    repository: &git2::Repository,
    source: &Source,
    refspec: &str,
    net: &Net,
    progress: &dyn Progress,
) -> Result<()> {
    let mut git = git(Some(repository), source, net);
    git.args(["push", "--porcelain", "--no-verify", "--", &source.url(), refspec]);
    let name = refspec.rsplit(':').next().unwrap_or_default();
    let (status, stdout, stderr) = wait(git, progress)?;
    // `!<TAB>SOURCE:DESTINATION<TAB>[rejected] (fetch first)`
    if let Some(line) = stdout.lines().find(|line| line.starts_with("!\t")) {
        return Err(refused(source, name, line.rsplit('\t').next().unwrap_or_default()).into());
    }
    if status.success() { Ok(()) } else { Err(failed(source, &stderr).into()) }
}

/// Returns git on a trusted repository (on none at all in `/`).
fn git(repository: Option<&git2::Repository>, source: &Source, net: &Net) -> Command {
    let mut git = spawn::command("git");
    environment_of_git(&mut git, net);
    match repository {
        Some(repository) => _ = git.arg("--git-dir").arg(repository.path()),
        None => _ = git.current_dir("/"),
    }
    // Pools keep every object, and nothing that lies in a repository is run.
    for setting in ["gc.auto=0", "maintenance.auto=false", "core.hooksPath=/dev/null", "core.fsmonitor=false"] {
        git.args(["-c", setting]);
    }
    if let (Source::Remote { url, login: Some(login) }, Ok((address, _))) = (source, Address::parse(&source.url())) {
        // In the environment and not among the arguments, which everybody on this host may read.
        if address.is_http() {
            let count = net.environment.text("GIT_CONFIG_COUNT").and_then(|count| count.parse().ok()).unwrap_or(0_u32);
            let text = format!("{}:{}", login.user, login.password.as_deref().unwrap_or_default());
            git.env("GIT_CONFIG_COUNT", (count + 1).to_string())
                .env(format!("GIT_CONFIG_KEY_{count}"), format!("http.{url}.extraHeader"))
                .env(
                    format!("GIT_CONFIG_VALUE_{count}"),
                    format!("Authorization: Basic {}", BASE64_STANDARD.encode(text)),
                );
        }
    }
    git
}

fn run(git: Command, source: &Source, progress: &dyn Progress) -> Result<String> {
    let (status, stdout, stderr) = wait(git, progress)?;
    if status.success() { Ok(stdout) } else { Err(failed(source, &stderr).into()) }
}

fn wait(mut git: Command, progress: &dyn Progress) -> Result<(ExitStatus, String, String)> {
    git.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = git.spawn().map_err(|error| {
        Failure::new(Kind::Failed, format!("cannot start `git`: {error}"))
            .hint("install git, or leave out `git = true` under `[net]`")
    })?;
    let stdout = child.stdout.take().map(|pipe| std::thread::spawn(move || read(pipe, usize::MAX)));
    let stderr = child.stderr.take().map(|pipe| std::thread::spawn(move || read(pipe, STDERR_TAIL)));
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if progress.cancelled() {
            // git removes its temporary files when it is asked to end.
            if let Some(process) = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap_or(0)) {
                _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
            }
            let since = Instant::now();
            while child.try_wait()?.is_none() && since.elapsed() < GRACE {
                std::thread::sleep(TICK);
            }
            drop(child.kill());
            child.wait()?;
            return Err(interrupted().into());
        }
        std::thread::sleep(TICK / 5);
    };
    let text = |reader: Option<std::thread::JoinHandle<Vec<u8>>>| {
        let bytes = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok((status, text(stdout), text(stderr)))
}

fn read(mut pipe: impl Read, limit: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(length @ 1..) = pipe.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..length]);
        let excess = kept.len().saturating_sub(limit);
        kept.drain(..excess);
    }
    kept
}

fn failed(source: &Source, stderr: &str) -> Failure {
    let lines = stderr.lines().map(|line| line.trim_start_matches("fatal: ")).filter(|line| !line.is_empty());
    let text = lines.collect::<Vec<_>>().join("\n");
    let lower = text.to_lowercase();
    let kind =
        if lower.contains("not found") || lower.contains("does not exist") { Kind::NotFound } else { Kind::Failed };
    Failure::new(kind, format!("git cannot reach `{source}`: {text}"))
}

/// Reads what `git ls-remote --symref` prints.
fn parse_refs(text: &str) -> RemoteRefs {
    let mut found = RemoteRefs::default();
    for line in text.lines() {
        match line.split_once('\t') {
            Some((target, "HEAD")) if target.starts_with("ref: ") => found.head_branch = Some(target[5..].to_owned()),
            Some((oid, "HEAD")) => found.head = Oid::from_str(oid).ok(),
            Some((oid, name)) if !name.ends_with("^{}") && !oid.starts_with("ref: ") => {
                found.refs.extend(Oid::from_str(oid).ok().map(|oid| (name.to_owned(), oid)));
            }
            _ => {}
        }
    }
    found.refs.sort();
    found
}
