//! What git ignores in a tree: no work, but gone for good with the workspace once the trash is emptied, so that it is
//! named when a workspace goes.

use std::path::Path;

use crate::store::walk;

/// So many entries are looked at.
const MOST: u64 = 100_000;

/// The ignored entries of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ignored {
    /// The topmost ones, raw bytes.
    pub(crate) paths: Vec<Vec<u8>>,
    /// On disk.
    pub(crate) bytes: u64,
    /// False when there is more than was looked at.
    pub(crate) complete: bool,
}

/// Adds up what the ignored `paths` of a tree take.
pub(crate) fn measure(tree: &Path, paths: Vec<Vec<u8>>) -> Ignored {
    let mut left = MOST;
    let bytes = paths.iter().map(|path| walk::bytes_within(tree, path, &mut left)).sum();
    Ignored { paths, bytes, complete: left > 0 }
}
