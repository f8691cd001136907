//! How files come, move and go under the root: atomic writes, publishing by rename, copies, removal.

use std::path::Path;

use crate::error::Result;
use crate::progress::Progress;

/// Whether a write must survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// fsync of the file and its directory: where a loss would lose work or a listing.
    Synced,
    /// Left to the kernel: last used, logs, caches.
    Lazy,
}

/// Writes a file by a temporary one in the same directory and a rename; mode 0600.
pub(crate) fn write_atomic(path: &Path, content: &[u8], durability: Durability) -> Result<()> {
    let _ = (path, content, durability);
    todo!("store")
}

/// Moves `from` to `to` where nothing may be yet (`RENAME_NOREPLACE`); fails as `exists` otherwise.
pub(crate) fn publish(from: &Path, to: &Path, durability: Durability) -> Result<()> {
    let _ = (from, to, durability);
    todo!("store")
}

/// Exchanges two entries (`RENAME_EXCHANGE`), falling back to two renames where the file system cannot.
pub(crate) fn exchange(one: &Path, other: &Path) -> Result<()> {
    let _ = (one, other);
    todo!("store")
}

/// Copies a regular file's content by reflink where possible; the new file must not exist yet.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let _ = (from, to);
    todo!("store")
}

/// fsyncs a directory, so that names published in it last.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    let _ = path;
    todo!("store")
}

/// Removes a tree of any depth, mode-000 directories included, with a bounded number of descriptors; follows no link
/// and enters no other device. Not there is success.
pub(crate) fn remove_tree(path: &Path, progress: &dyn Progress) -> Result<()> {
    let _ = (path, progress);
    todo!("store")
}
