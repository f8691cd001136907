//! The two transports that stead registers with git2 in place of libgit2's own: http(s) over rustls, ssh by the user's
//! `ssh`; and the transfers over them.
//!
//! Credentials and settings come from the user alone, never from the configuration of a repository. Limits: protocol
//! version 0; a negotiation offers at most 256 commits, which is enough for mirrors.

mod http;
mod ssh;

use std::sync::Arc;

use crate::config::Environment;
use crate::error::Result;
use crate::git::Oid;
use crate::git::source::Source;
use crate::progress::Progress;

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
    let _ = (source, net, progress);
    todo!("transports")
}

/// Fetches `refspecs` of `source` into `repository`, which must be trusted (a pool); `depth` counts commits, `None` is all
/// of them. Refs whose source is gone are removed where a refspec with `*` covers them. Writes no `FETCH_HEAD`, follows no
/// tags by itself.
pub(crate) fn fetch(
    repository: &git2::Repository,
    source: &Source,
    refspecs: &[String],
    depth: Option<u32>,
    net: &Net,
    progress: &dyn Progress,
) -> Result<RemoteRefs> {
    let _ = (repository, source, refspecs, depth, net, progress);
    todo!("transports")
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
    let _ = (repository, source, refspec, net, progress);
    todo!("transports")
}
