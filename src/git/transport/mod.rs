//! The two transports that stead registers with git2 in place of libgit2's own: http(s) over rustls, ssh by the user's
//! `ssh`; and the transfers over them.
//!
//! Credentials and settings come from the user alone, never from the configuration of a repository. Every remote of the
//! program is opened here. Limits: protocol version 0; a negotiation offers at most 256 commits, which is enough for
//! mirrors.

mod cli;
mod client;
mod forward;
mod http;
mod proxy;
mod ssh;
mod transfer;

use std::cell::RefCell;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use git2::transport::Transport;
use git2::{AutotagOption, Direction, ErrorCode, FetchOptions, FetchPrune, PushOptions, RemoteCallbacks};

use crate::config::Environment;
use crate::error::{Failure, Kind, Result};
use crate::git::Oid;
use crate::git::source::{Address, Source};
use crate::progress::{Phase, Progress};
use crate::sys;

pub(crate) use transfer::Transfer;

/// What a transfer may use.
#[derive(Clone, Debug)]
pub(crate) struct Net {
    pub(crate) environment: Arc<Environment>,
    /// Whether a person can be asked (ssh then may prompt).
    pub(crate) interactive: bool,
    /// Fetch with the user's git into the pool instead (`[net] git`).
    pub(crate) git: bool,
}

/// What a source advertises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RemoteRefs {
    /// Full ref names and what they point to (tags not peeled), sorted; without HEAD.
    pub(crate) refs: Vec<(String, Oid)>,
    /// Where HEAD is; `None` for an empty repository.
    pub(crate) head: Option<Oid>,
    /// The full name of the branch that HEAD is on; `None` when detached, empty or not told.
    pub(crate) head_branch: Option<String>,
}

/// Asks a source for its refs.
pub(crate) fn list(source: &Source, net: &Net, progress: &dyn Progress) -> Result<RemoteRefs> {
    if net.git {
        return cli::list(source, net, progress);
    }
    run(source, Direction::Fetch, net, progress, |url, transfer| {
        let mut remote = git2::Remote::create_detached(url)?;
        let connection = remote.connect_auth(Direction::Fetch, Some(callbacks(transfer, progress)), None)?;
        Ok(heads(connection.list()?))
    })
}

/// Fetches `refspecs` of `source` into `repository`, which must be trusted (a pool); `depth` counts commits, `None` is all
/// of them. Refs whose source is gone are removed where a refspec with `*` covers them. Follows no tags by itself; an
/// empty `FETCH_HEAD` may be left.
pub(crate) fn fetch(
    repository: &git2::Repository,
    source: &Source,
    refspecs: &[String],
    depth: Option<u32>,
    net: &Net,
    progress: &dyn Progress,
) -> Result<RemoteRefs> {
    if net.git {
        return cli::fetch(repository, source, refspecs, depth, net, progress);
    }
    run(source, Direction::Fetch, net, progress, |url, transfer| {
        let mut remote = repository.remote_anonymous(url)?;
        let mut connection = remote.connect_auth(Direction::Fetch, Some(callbacks(transfer, progress)), None)?;
        let refs = heads(connection.list()?);
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(callbacks(transfer, progress))
            .download_tags(AutotagOption::None)
            .update_fetchhead(false)
            .prune(FetchPrune::On);
        // 0 would mean all of it, and take back an earlier depth.
        if let Some(depth) = depth.filter(|depth| *depth > 0) {
            options.depth(i32::try_from(depth).unwrap_or(i32::MAX));
        }
        connection.remote().fetch(refspecs, Some(&mut options), None)?;
        Ok(refs)
    })
}

/// Pushes one `refspec` (`SOURCE:DESTINATION`, full names, `+` to force) of `repository` to `source`. A destination that
/// moved elsewhere is a `conflict`, a refusal of the other side `failed` with its words.
pub(crate) fn push(
    repository: &git2::Repository,
    source: &Source,
    refspec: &str,
    net: &Net,
    progress: &dyn Progress,
) -> Result<()> {
    if net.git {
        return cli::push(repository, source, refspec, net, progress);
    }
    let refusal: RefCell<Option<(String, String)>> = RefCell::new(None);
    run(source, Direction::Push, net, progress, |url, transfer| {
        let mut remote = repository.remote_anonymous(url)?;
        let mut callbacks = callbacks(transfer, progress);
        callbacks.push_update_reference(|name, status| {
            if let Some(status) = status {
                *refusal.borrow_mut() = Some((name.to_owned(), status.to_owned()));
            }
            Ok(())
        });
        remote.push(&[refspec], Some(PushOptions::new().remote_callbacks(callbacks)))
    })?;
    match refusal.into_inner() {
        None => Ok(()),
        Some((name, status)) => Err(refused(source, &name, &status).into()),
    }
}

/// Gives a command of git's the user's environment, without what would point it at another repository, and keeps it from
/// asking where nobody is there to answer.
pub(crate) fn environment_of_git(command: &mut Command, net: &Net) {
    const LOCAL: [&str; 14] = [
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_PROTOCOL",
        "GIT_QUARANTINE_PATH",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    ];
    command.env_clear();
    command.envs(net.environment.iter().filter(|(name, _)| !LOCAL.iter().any(|local| name == local)));
    if !net.interactive {
        command.env("GIT_TERMINAL_PROMPT", "0").env_remove("SSH_ASKPASS");
    }
}

/// Runs one transfer of libgit2 and gives its error the kind and words of what went wrong.
fn run<T>(
    source: &Source,
    direction: Direction,
    net: &Net,
    progress: &dyn Progress,
    work: impl FnOnce(&str, &Transfer) -> Result<T, git2::Error>,
) -> Result<T> {
    register()?;
    crate::progress::check(progress)?;
    let transfer = Transfer::new(source, net)?;
    let url = effective(source, direction, &transfer)?;
    let done = transfer.run(progress, || work(&url, &transfer));
    for phase in [Phase::Receive, Phase::Resolve] {
        progress.finish(phase);
    }
    done.map_err(|error| explain(&error, &transfer, source).into())
}

/// Returns the URL that the user's configuration puts in place of the source's.
fn effective(source: &Source, direction: Direction, transfer: &Transfer) -> Result<String> {
    let url = source.url();
    let rewritten = transfer.config.rewrite(&url, direction);
    // What libgit2 would look up by itself (`git://`, a path) has not passed the list of accepted forms.
    if rewritten != url && !rewritten.starts_with("file:///") && Address::parse(&rewritten).is_err() {
        let message = format!("`insteadOf` of git's configuration makes an address of `{source}` that is not accepted");
        return Err(Failure::new(Kind::Unsupported, message)
            .hint("it may name https://, http://, ssh://, user@host:path or file:///")
            .into());
    }
    Ok(rewritten)
}

/// Registers the transports, once in this process.
fn register() -> Result<()> {
    static DONE: OnceLock<Result<(), git2::Error>> = OnceLock::new();
    let done = DONE.get_or_init(|| {
        for (prefix, rpc) in [("https", true), ("http", true), ("ssh", false), ("git+ssh", false), ("ssh+git", false)] {
            sys::register_transport(prefix, move |remote| {
                let transfer = Transfer::current().ok_or_else(|| git2::Error::from_str("no transfer is under way"))?;
                if rpc {
                    Transport::smart(remote, true, http::Http::new(transfer))
                } else {
                    Transport::smart(remote, false, ssh::Ssh { transfer })
                }
            })?;
        }
        Ok(())
    });
    match done {
        Ok(()) => Ok(()),
        Err(error) => {
            Err(Failure::new(Kind::Failed, format!("cannot register the transports: {}", error.message())).into())
        }
    }
}

fn callbacks<'a>(transfer: &'a Transfer, progress: &'a dyn Progress) -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(move |stats| {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        if stats.received_objects() < stats.total_objects() || stats.total_deltas() == 0 {
            progress.report(Phase::Receive, count(stats.received_objects()), count(stats.total_objects()));
        } else {
            progress.finish(Phase::Receive);
            progress.report(Phase::Resolve, count(stats.indexed_deltas()), count(stats.total_deltas()));
        }
        if progress.cancelled() {
            transfer.cancel();
        }
        !transfer.cancelled()
    });
    callbacks.sideband_progress(|_| !transfer.cancelled());
    callbacks
}

fn heads(heads: &[git2::RemoteHead<'_>]) -> RemoteRefs {
    let mut found = RemoteRefs::default();
    for head in heads {
        match head.name() {
            "HEAD" => {
                found.head = Some(head.oid());
                found.head_branch = head.symref_target().map(str::to_owned);
            }
            // `^{}` lines say what a tag points to, `capabilities^{}` that there is nothing.
            name if name.ends_with("^{}") => {}
            name => found.refs.push((name.to_owned(), head.oid())),
        }
    }
    found.refs.sort();
    found
}

fn explain(error: &git2::Error, transfer: &Transfer, source: &Source) -> Failure {
    if transfer.cancelled() {
        return transfer::interrupted();
    }
    if let Some(failure) = transfer.failure() {
        return failure;
    }
    let mut text = error.message().to_owned();
    if let Some((_, login)) = &transfer.login {
        for secret in login.password.iter().chain([&login.user]).filter(|secret| secret.len() > 2) {
            text = text.replace(secret.as_str(), "***");
        }
    }
    if error.code() == ErrorCode::NotFastForward {
        return Failure::new(Kind::Conflict, format!("`{source}` has work that is not in what is pushed"))
            .hint("bring it in first with `stead sync NAME`");
    }
    let lower = text.to_lowercase();
    if lower.contains("not found") && lower.contains("repository") || lower.contains("does not exist") {
        return Failure::new(Kind::NotFound, format!("no repository at `{source}`: {text}"));
    }
    Failure::new(Kind::Failed, format!("the transfer with `{source}` failed: {text}"))
}

/// Returns what the other side's word about a pushed ref means.
fn refused(source: &Source, name: &str, status: &str) -> Failure {
    let moved =
        ["non-fast-forward", "fetch first", "stale info", "already exists", "failed to update ref", "cannot lock"];
    let message = format!("`{source}` refuses `{name}`: {status}");
    if moved.iter().any(|text| status.contains(text)) {
        return Failure::new(Kind::Conflict, message).hint("bring its work in first with `stead sync NAME`");
    }
    if status.contains("failed to lock file") {
        return Failure::new(Kind::Busy, message.trim_end_matches([' ', ':']))
            .hint("try again; if no git is at work there, one was cut off: remove the `.lock` file");
    }
    Failure::new(Kind::Failed, message)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests start git and read where it is")]
mod tests;
