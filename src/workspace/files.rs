//! Copying files and folders from the host into a tree: beneath it, no link followed there, replaced only when told to.

use std::path::PathBuf;

use crate::error::Result;
use crate::store::beneath::Dir;

/// One thing to bring in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// On the host, absolute.
    pub(crate) source: PathBuf,
    /// Below the tree; the source's own name unless one was given.
    pub(crate) destination: PathBuf,
}

impl Pair {
    /// Reads `SRC[:DEST]`; a relative source is taken from `current_dir`. A destination that leaves the tree is refused.
    pub(crate) fn parse(text: &str, current_dir: &std::path::Path) -> Result<Self> {
        let _ = (text, current_dir);
        todo!("import")
    }
}

/// Copies each pair beneath `tree` (a leased workspace's, or one in staging), metadata kept, and returns the
/// destinations, for `record.brought`.
///
/// A missing source is `not-found`, an existing destination `exists` unless `replace`, an escape `refused`; all pairs are
/// checked before the first is copied.
pub(crate) fn import(tree: &Dir, pairs: &[Pair], replace: bool) -> Result<Vec<PathBuf>> {
    let _ = (tree, pairs, replace);
    todo!("import")
}
