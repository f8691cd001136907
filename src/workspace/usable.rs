//! The directories that stead has made for the agent and has to enter itself: the tree and the `.git` in it.
//!
//! A run may take its own permission from them, and then nobody could say what it did. Whoever holds the lease gives it back;
//! what else a run closes in its tree stays as it is, and is named.

use std::path::Path;

use crate::error::Result;
use crate::store::beneath::Dir;

const GIT: &str = ".git";

/// Returns whether the tree or the `.git` in it may not be entered.
pub(super) fn is_closed(tree: &Path) -> bool {
    let Some((around, name)) = around(tree) else { return false };
    let is_closed = |dir: &Dir, name: &Path| dir.is_closed(name).unwrap_or_default();
    is_closed(&around, name) || Dir::open(tree).is_ok_and(|tree| is_closed(&tree, Path::new(GIT)))
}

/// Makes both usable again, where they are directories.
pub(super) fn make(tree: &Path) -> Result<()> {
    if let Some((around, name)) = around(tree) {
        around.make_usable(name)?;
        if let Ok(tree) = Dir::open(tree) {
            tree.make_usable(Path::new(GIT))?;
        }
    }
    Ok(())
}

/// Returns the directory that the tree is in, which is not the agent's, and its name there.
fn around(tree: &Path) -> Option<(Dir, &Path)> {
    Some((Dir::open(tree.parent()?).ok()?, Path::new(tree.file_name()?)))
}
