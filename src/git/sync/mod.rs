//! Bringing work across: upstream to workspace, workspace to project, project to workspace, workspace to origin.
//!
//! All merging is done in memory on trees of the store; nothing is written before it is known to be clean. Trees are written
//! only through [`crate::store::beneath`].

pub(crate) mod borrow;
pub(crate) mod branch;
pub(crate) mod found;
pub(crate) mod indexed;
pub(crate) mod join;
pub(crate) mod moving;
pub(crate) mod runs_code;
pub(crate) mod trees;
pub(crate) mod work;
pub(crate) mod writing;

use crate::error::{Failure, Kind};

/// A path that needs a decision, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) path: Vec<u8>,
    pub(crate) reason: String,
}

impl Conflict {
    pub(crate) fn new(path: &[u8], reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), reason: reason.into() }
    }
}

/// Returns the failure that lists `conflicts`; nothing has been written when it is made.
pub(crate) fn conflict(what: &str, conflicts: &[Conflict]) -> Failure {
    let decisions = if conflicts.len() == 1 { "1 path needs a decision" } else { "paths need a decision" };
    let count = if conflicts.len() == 1 { String::new() } else { format!("{} ", conflicts.len()) };
    let paths = list(conflicts.iter().map(|conflict| format!("{} ({})", shown(&conflict.path), conflict.reason)));
    Failure::new(Kind::Conflict, format!("{what}: {count}{decisions}: {paths}")).hint("nothing was written")
}

/// Joins what a message names, and says how many more there are.
pub(crate) fn list(items: impl ExactSizeIterator<Item = String>) -> String {
    const NAMED: usize = 50;
    let more = items.len().saturating_sub(NAMED);
    let mut named: Vec<String> = items.take(NAMED).collect();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named.join(", ")
}

/// A path for a message; what is dangerous in it is made harmless where the message is printed.
pub(crate) fn shown(path: &[u8]) -> String {
    format!("`{}`", String::from_utf8_lossy(path))
}
