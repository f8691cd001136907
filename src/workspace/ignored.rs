//! What git ignores in a tree: no work, but gone for good with the workspace once the trash is emptied, so that it is
//! named when a workspace goes. Repositories in there may hold work all the same.

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
    /// Each `.git` that is among them.
    pub(crate) gits: Vec<Vec<u8>>,
}

/// Adds up what the ignored `paths` of a tree take.
pub(crate) fn measure(tree: &Path, paths: Vec<Vec<u8>>) -> Ignored {
    let mut left = MOST;
    let mut ignored = Ignored::default();
    for path in &paths {
        let within = walk::within(tree, path, b".git", &mut left);
        ignored.bytes += within.bytes;
        ignored.gits.extend(within.found);
    }
    Ignored { paths, complete: left > 0, ..ignored }
}
