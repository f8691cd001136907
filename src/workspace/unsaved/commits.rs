//! Commits, tags and stash entries that no ref outside reaches.

use std::collections::HashSet;

use anyhow::Context as _;

use super::outside::{came_with, outside};
use super::repositories::named_by_modules;
use super::{Code, Unsaved};
use crate::error::Result;
use crate::git::delivered::{self, Outside};
use crate::git::import::{self, Imported};
use crate::git::repository::{Access, Store};
use crate::git::{ObjectType, Oid, agentdir};
use crate::store::beneath::Dir;
use crate::workspace::Workspace;

/// Says how many commits were dropped again (by a reset, an amend, a deleted branch) and are nowhere outside: those that the store
/// has kept, and those that the agent's `.git` still has. They do not keep a workspace from being removed, but in the trash they
/// are unsaved work.
pub(crate) fn dropped(workspace: &Workspace) -> Option<String> {
    match count_dropped(workspace) {
        Ok(0) => None,
        Ok(1) => Some("1 commit that was dropped again".to_owned()),
        Ok(count) => Some(format!("{count} commits that were dropped again")),
        Err(error) => Some(format!("commits that may have been dropped again ({error:#})")),
    }
}

fn count_dropped(workspace: &Workspace) -> Result<usize> {
    let store = workspace.store(Access::Read)?;
    let repository = store.repository();
    let kept = repository.references_glob("refs/kept/*").context("cannot list what is kept")?;
    let mut tips: Vec<Oid> = kept.flatten().filter_map(|reference| reference.target()).collect();
    let tree = Dir::open(&workspace.tree())?;
    if let Some(git) = agentdir::git_dir(&tree, &mut Vec::new()) {
        import::import(&store, &tree)?;
        tips.extend(import::forgotten(&store, &git)?);
    }
    tips.retain(|tip| repository.find_commit(*tip).is_ok());
    // What submodules still name was not dropped; what is their own has been told.
    let besides = || [came_with(workspace, &store), named_by_modules(&tree)].concat();
    Ok(outside(workspace)?.undelivered(&store, &tips, besides)?.len())
}

/// Returns what the agent's `.git` has and no ref outside reaches.
pub(super) fn of_commits(
    workspace: &Workspace,
    store: &Store,
    imported: &Imported,
    outside: &Outside,
) -> Result<Vec<Unsaved>> {
    let repository = store.repository();
    let stash: HashSet<Oid> = imported.refs.stash.iter().copied().collect();
    let failed: HashSet<Oid> = imported.failed.iter().map(|(tip, _)| *tip).collect();
    let tips: Vec<Oid> =
        imported.refs.tips().into_iter().filter(|tip| !stash.contains(tip) && !failed.contains(tip)).collect();
    let commits = outside.undelivered(store, &tips, || came_with(workspace, store))?.len();
    // A tag is more than its commit; a tree or file that a ref names is in no commit.
    let is_own = |tip: &Oid| delivered::kind(repository, *tip) != Some(ObjectType::Commit) && !outside.names(*tip);
    let mut tags: Vec<Oid> = tips.iter().copied().filter(is_own).collect();
    if !tags.is_empty() {
        let known = came_with(workspace, store);
        tags.retain(|tag| !known.contains(tag));
    }
    let mut broken: Vec<String> =
        imported.failed.iter().map(|(tip, reason)| format!("{:.12}: {reason}", tip.to_string())).collect();
    broken.extend(imported.refs.bad.iter().map(|(name, reason)| format!("{name}: {reason}")));
    // A tree that never had a commit cannot have lost one.
    let had = || {
        workspace.record.base.is_some()
            || repository.references_glob("refs/kept/*").is_ok_and(|mut kept| kept.next().is_some())
    };
    let lost = matches!(imported.refs.head, agentdir::Head::Missing) && had();
    if lost && broken.is_empty() {
        broken.push("`.git` is missing".into());
    }
    Ok([
        Unsaved::counted(Code::Commits, commits + tags.len(), None),
        Unsaved::counted(Code::Stash, imported.refs.stash.len(), None),
        Unsaved::counted(Code::Operation, imported.refs.operation.iter().len(), imported.refs.operation.clone()),
        Unsaved::counted(Code::ImportFailed, broken.len(), broken.first().cloned()),
    ]
    .into_iter()
    .flatten()
    .collect())
}
