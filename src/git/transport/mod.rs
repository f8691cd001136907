//! The two transports that stead registers with git2 in place of libgit2's own: http(s) over rustls, ssh by the user's
//! `ssh`.

mod http;
mod ssh;

use std::sync::Arc;

use crate::config::Environment;
use crate::error::Result;

/// What a transfer may use.
#[derive(Clone, Debug)]
pub(crate) struct Net {
    pub(crate) environment: Arc<Environment>,
    /// Whether a person can be asked (ssh then may prompt).
    pub(crate) interactive: bool,
    /// Fetch with the user's git into the pool instead (`[net] git`).
    pub(crate) git: bool,
}

/// Registers the transports; further calls do nothing. Call it before the first transfer.
pub(crate) fn register(net: &Net) -> Result<()> {
    let _ = net;
    todo!("transports")
}
