//! What attributes do to contents: eol, ident and working-tree-encoding, in both directions, by the attributes of one commit.
//!
//! Filters (`filter=…`) are never run.

use crate::error::Result;
use crate::git::Oid;

/// The attributes of one commit.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    _private: (),
}

impl Attributes {
    /// Reads the `.gitattributes` files of a tree.
    pub(crate) fn of_tree(repository: &git2::Repository, tree: Oid) -> Result<Self> {
        let _ = (repository, tree);
        Ok(Self::default())
    }

    /// Returns whether no path can be converted: the usual case, found without looking at each path.
    pub(crate) fn is_trivial(&self) -> bool {
        true
    }

    /// Returns the bytes as they belong into the working tree; `None` when they stay as they are.
    pub(crate) fn smudge(&self, path: &[u8], content: &[u8]) -> Result<Option<Vec<u8>>> {
        let _ = (path, content);
        Ok(None)
    }

    /// Returns the bytes as they belong into git; `None` when they stay as they are.
    pub(crate) fn clean(&self, path: &[u8], content: &[u8]) -> Result<Option<Vec<u8>>> {
        let _ = (path, content);
        Ok(None)
    }

    /// Returns whether `filter=lfs` is set for the path.
    pub(crate) fn is_lfs(&self, path: &[u8]) -> bool {
        let _ = path;
        false
    }
}
