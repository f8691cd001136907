//! The agent's index, with the shared one that a split index names.

use std::path::Path;

use super::read;
use crate::git::tracked::Index;
use crate::store::beneath::Dir;

/// Reads the index in `directory` of a git directory: that itself, or the one of a linked worktree. Takes the bytes that it
/// reads out of `room`.
///
/// `Ok(None)` where there is none, `Err` with the reason where no part of it can be read; one that only makes no sense is not
/// whole.
pub(crate) fn index(git: &Dir, directory: &Path, room: &mut u64) -> Result<Option<Index>, String> {
    let mut file = |name: &str| {
        let content = read(git, &directory.join(name), *room)?;
        *room -= content.as_ref().map_or(0, Vec::len) as u64;
        Ok::<_, String>(content)
    };
    let content = file("index")?;
    Ok(content.map(|content| Index::read(&content, |shared| file(shared).ok().flatten())))
}
