//! Everything that knows git, and the only user of git2.
//!
//! Trusted repositories (the user's project, pools, stores) are opened with git2; the agent's `.git` never is:
//! [`agentdir`] reads its refs and [`import`] copies objects out of it, both by descriptors beneath the tree.
//!
//! | what for | rooms |
//! | --- | --- |
//! | where objects come from | [`source`], [`transport`], [`credential`], [`userconfig`], `local`, [`pool`], [`pack`], `packed` |
//! | a tree from a commit | [`checkout`], [`convert`] (attributes), [`index`] |
//! | what a tree holds now | `scan`, [`seen`] (its cache), [`ignore`] (by `pattern` and `wildmatch`), [`tracked`], [`meta`], [`snapshot`] |
//! | what is different | [`change`], [`gone`], [`uncommitted`] (in a project), [`lfs`] |
//! | what the agent's `.git` holds | [`agentdir`], [`import`] |
//! | where work goes | [`repository`] (the store, by `packing`; [`repack`]), [`delivered`], [`sync`], [`identity`] |
//! | health | [`whole`] |

pub(crate) mod agentdir;
pub(crate) mod change;
pub(crate) mod checkout;
pub(crate) mod convert;
pub(crate) mod credential;
pub(crate) mod delivered;
pub(crate) mod gitdir;
pub(crate) mod gone;
pub(crate) mod identity;
pub(crate) mod ignore;
pub(crate) mod import;
pub(crate) mod index;
pub(crate) mod lfs;
pub(crate) mod linked;
mod local;
pub(crate) mod meta;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests compare with git's own command")]
#[path = "../../tests/it/support/oracle.rs"]
pub(crate) mod oracle;
pub(crate) mod pack;
mod packed;
mod packing;
mod pattern;
pub(crate) mod pool;
pub(crate) mod reach;
pub(crate) mod recorded;
pub(crate) mod repack;
pub(crate) mod repository;
mod scan;
pub(crate) mod seen;
pub(crate) mod snapshot;
pub(crate) mod source;
pub(crate) mod sync;
pub(crate) mod tracked;
pub(crate) mod transport;
pub(crate) mod uncommitted;
pub(crate) mod userconfig;
pub(crate) mod whole;
mod wildmatch;

// What the layers above may hold of trusted repositories; nobody else names the crate.
pub(crate) use git2::{
    Commit, ObjectType, Oid, Reference, Repository, Revwalk, Signature, TreeWalkMode, TreeWalkResult,
};
