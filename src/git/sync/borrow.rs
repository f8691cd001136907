//! Reading a project's objects as if they were the store's, for as long as a store in memory lives.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context;
use git2::Repository;

use crate::error::Result;
use crate::git::repository::Store;

/// Alternates of alternates, as git bounds them.
const MAX_DEPTH: usize = 5;

/// Adds the objects of a trusted `project`, and those that it borrows itself, to what `store` reads.
pub(crate) fn objects(store: &Store, project: &Repository) -> Result<()> {
    let odb = store.repository().odb()?;
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<(PathBuf, usize)> = vec![(project.commondir().join("objects"), 0)];
    while let Some((directory, depth)) = waiting.pop() {
        if depth > MAX_DEPTH || !seen.insert(directory.clone()) {
            continue;
        }
        let text = directory.to_str().with_context(|| format!("`{}` is not UTF-8", directory.display()))?;
        odb.add_disk_alternate(text).with_context(|| format!("cannot read `{text}`"))?;
        let Ok(list) = std::fs::read_to_string(directory.join("info/alternates")) else { continue };
        for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            // A relative one is relative to the objects directory; `join` leaves an absolute one alone.
            waiting.push((directory.join(line), depth + 1));
        }
    }
    Ok(())
}
