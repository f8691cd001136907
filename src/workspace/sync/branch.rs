//! `--to PATH`: head's history and at most one commit for uncommitted work, as a branch of a project; nothing is checked out.

use std::path::Path;

use super::{Outline, Said, State};
use crate::error::{Failure, Kind, Result};
use crate::git::change::{self, Change};
use crate::git::sync::{branch, join, trees, work};
use crate::git::{Commit, Oid};
use crate::workspace::{LeasedWorkspace, Workspace};

/// A commit that holds all work of a workspace.
pub(super) struct Tip {
    pub(super) commit: Oid,
    /// It was made of uncommitted work.
    pub(super) uncommitted: bool,
    /// What it changes, seen from the base.
    pub(super) changes: Vec<Change>,
    pub(super) runs_code: Vec<(Vec<u8>, String)>,
}

/// What `--to` would do.
pub(crate) struct BranchPlan {
    project: crate::git::Repository,
    target: String,
    refname: String,
    tip: Option<Tip>,
    expected: Option<Oid>,
    outline: Outline,
}

/// Plans a branch in the project at `path`; `dry` lists what would need `--allow-exec` instead of refusing it.
pub(crate) fn plan(workspace: &Workspace, state: &State, path: &Path, said: &Said, dry: bool) -> Result<BranchPlan> {
    let project = branch::open(&super::outside_root(workspace, path)?)?;
    let place = project.workdir().unwrap_or(project.path()).to_owned();
    let target = super::outside_root(workspace, &place)?.display().to_string();
    let refname = format!("refs/heads/stead/{}", workspace.name());
    let own = super::own_commits(workspace, &state.store, &target, &refname);
    let tip = tip(workspace, state, said, &own, dry)?;
    let expected = branch::target(&project, &refname)?;
    let mut outline = Outline {
        target: target.clone(),
        branch: Some(short(&refname).to_owned()),
        old_commit: expected,
        left_out: state.left_out(),
        unread: state.work.unread,
        ..Outline::default()
    };
    let commit = tip.as_ref().map(|tip| tip.commit);
    outline.commit = commit;
    outline.up_to_date = commit.is_none() || commit == expected;
    if let Some(tip) = &tip {
        if !outline.up_to_date {
            outline.changes.clone_from(&tip.changes);
        }
        outline.runs_code.clone_from(&tip.runs_code);
        outline.uncommitted = tip.uncommitted;
        outline.commits = beyond(state, &project, tip.commit)?;
    }
    outline.other_refs = other_refs(state, &project, commit.or(state.head))?;
    let refs = &state.imported.refs;
    outline.stashes.clone_from(&refs.stash);
    // Without its log there is one entry.
    outline.stashes.extend(refs.find("refs/stash").filter(|last| !refs.stash.contains(last)));
    if !outline.up_to_date {
        if let Some(directory) = branch::checked_out(&project, &refname)? {
            return Err(Failure::new(
                Kind::Refused,
                format!("branch `{}` is checked out in `{}`", short(&refname), directory.display()),
            )
            .hint("switch to another branch there, or bring the work into the working tree with `--apply`")
            .into());
        }
        if let Some(other) = branch::in_the_way(&project, &refname)? {
            let (other, name) = (short(&other), short(&refname));
            return Err(Failure::new(
                Kind::Conflict,
                format!("branch `{other}` of `{target}` is in the way: git cannot have `{name}` beside it"),
            )
            .hint(format!("rename it (`git branch -m {other} OTHER`), or bring the work over with `--apply`"))
            .into());
        }
        if let Some(there) = expected
            && !own.contains(&there)
        {
            return Err(Failure::new(
                Kind::Conflict,
                format!("branch `{}` of `{target}` is at {there}, which stead did not write", short(&refname)),
            )
            .hint(format!("rename it (`git branch -m {} OTHER`) or bring it in with `--from`", short(&refname)))
            .into());
        }
    }
    Ok(BranchPlan { project, target, refname, tip, expected, outline })
}

impl BranchPlan {
    pub(crate) fn into_outline(self) -> Outline {
        self.outline
    }

    pub(crate) fn apply(self, workspace: &mut LeasedWorkspace, state: &State) -> Result<Outline> {
        let Some(tip) = &self.tip else { return Ok(self.outline) };
        super::announce(workspace, &state.store, &self.target, &self.refname, self.expected, tip.commit)?;
        if !self.outline.up_to_date {
            branch::deliver(&state.store, &self.project, &self.refname, tip.commit, self.expected)?;
        }
        super::remember(workspace, &self.target, Some(&self.refname), tip.commit)?;
        Ok(self.outline)
    }
}

/// Returns the commit that holds all work: head, or one on top of it; of `own` ones when that is among them already. `None`
/// when there is no work at all.
pub(super) fn tip(workspace: &Workspace, state: &State, said: &Said, own: &[Oid], dry: bool) -> Result<Option<Tip>> {
    state.check_merged(workspace)?;
    state.check_lfs()?;
    let repository = state.store.repository();
    let head_tree = trees::of_commit(repository, state.head)?;
    let uncommitted = state.work.tree != head_tree;
    let commit = match (uncommitted, state.head) {
        (false, None) => return Ok(None),
        // Nothing has been done since the workspace was made, or since upstream took it all.
        (false, Some(head)) if Some(head) == workspace.base() => return Ok(None),
        (false, Some(head)) => head,
        (true, head) => {
            let holds_it = |own: &Commit<'_>| {
                own.tree_id() == state.work.tree
                    && own.parent_ids().eq(head)
                    && said.message.as_deref().is_none_or(|message| own.message_bytes() == message.as_bytes())
            };
            let mut own = own.iter().filter_map(|own| repository.find_commit(*own).ok());
            if let Some(commit) = own.find(holds_it) {
                commit.id()
            } else {
                let message = match &said.message {
                    Some(message) => message.clone(),
                    None => format!("Uncommitted work of workspace {}\n", workspace.name()),
                };
                let (name, mail) = super::who(workspace)?;
                work::commit(&state.store, state.work.tree, head, (&name, &mail), &message)?
            }
        }
    };
    let base = super::base_tree(workspace, &state.store)?;
    let runs_code = super::check_runs_code(&state.store, base, state.work.tree, said, dry)?;
    let changes = change::between_trees(&state.store, Some(base), Some(state.work.tree))?;
    Ok(Some(Tip { commit, uncommitted, changes, runs_code }))
}

/// Counts the commits that the project does not have.
fn beyond(state: &State, project: &crate::git::Repository, commit: Oid) -> Result<usize> {
    let mut walk = state.store.repository().revwalk()?;
    walk.push(commit)?;
    hide(state, project, &mut walk)?;
    Ok(walk.flatten().count())
}

/// Returns the other refs of the workspace with commits that neither the project nor `commit` holds.
fn other_refs(state: &State, project: &crate::git::Repository, commit: Option<Oid>) -> Result<Vec<(String, usize)>> {
    let refs = &state.imported.refs;
    let repository = state.store.repository();
    // libgit2 would look through its packs anew for each.
    let failed: std::collections::HashSet<Oid> = state.imported.failed.iter().map(|(id, _)| *id).collect();
    let others = refs
        .refs
        .iter()
        .filter(|(_, id)| !failed.contains(id))
        .filter(|(name, _)| name.starts_with("refs/heads/") || name.starts_with("refs/tags/"))
        .filter(|(name, _)| Some(name.as_str()) != super::head_branch(state));
    let mut found = Vec::new();
    for (name, id) in others {
        let Ok(tip) = repository.find_object(*id, None).and_then(|object| object.peel_to_commit()) else { continue };
        let mut walk = repository.revwalk()?;
        walk.push(tip.id())?;
        commit.map(|commit| walk.hide(commit)).transpose()?;
        hide(state, project, &mut walk)?;
        let count = walk.flatten().count();
        if count > 0 {
            found.push((name.clone(), count));
        }
    }
    Ok(found)
}

fn hide(state: &State, project: &crate::git::Repository, walk: &mut crate::git::Revwalk<'_>) -> Result<()> {
    let store = state.store.repository();
    for reference in project.references()?.flatten() {
        if let Ok(commit) = reference.peel_to_commit()
            && store.find_commit(commit.id()).is_ok()
        {
            walk.hide(commit.id())?;
        }
    }
    Ok(())
}

fn short(refname: &str) -> &str {
    refname.strip_prefix("refs/heads/").unwrap_or(refname)
}

/// Returns whether `commit` holds `other`.
pub(super) fn holds(state: &State, commit: Oid, other: Oid) -> bool {
    let relation = join::relation(state.store.repository(), Some(commit), other);
    matches!(relation, Ok(join::Relation::Held))
}
