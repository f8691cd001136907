//! Bringing work across: upstream to workspace, workspace to project, project to workspace, workspace to origin.
//!
//! All merging is done in memory on trees of the store; nothing is written before it is known to be clean. Trees are written
//! only through [`crate::store::beneath`].

pub(crate) mod borrow;
pub(crate) mod branch;
pub(crate) mod join;
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
    let mut message = format!("{what}: {}", count(conflicts.len(), "path needs a decision", "paths need a decision"));
    for conflict in conflicts.iter().take(100) {
        message.push_str(&format!("\n  {} ({})", shown(&conflict.path), conflict.reason));
    }
    if conflicts.len() > 100 {
        message.push_str(&format!("\n  … and {} more", conflicts.len() - 100));
    }
    Failure::new(Kind::Conflict, message).hint("nothing was written")
}

fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A path for a message; the messages are made harmless where they are printed.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).replace('\n', "\\n")
}
