//! A directory under construction: leased while it is built, garbage when nobody holds it.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::store::root::Root;

/// A new private directory in `staging/`, locked by its own descriptor and removed on drop with what is left in it.
#[must_use = "the directory is removed when the value is dropped"]
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    lock: File,
}

impl Staging {
    pub(crate) fn create(root: &Root) -> Result<Self> {
        let _ = root;
        todo!("store")
    }

    pub(crate) fn path(&self) -> &Path {
        let _ = &self.lock;
        &self.path
    }
}

/// Removes the staging directories that nobody holds and returns how many there were.
pub(crate) fn sweep(root: &Root) -> Result<usize> {
    let _ = root;
    todo!("store")
}
