//! No flag: origin's branch into the workspace, fast-forward unless a merge or rebase is asked for.

use crate::git::Signature;

use super::pending::{self, Tree};
use super::{Outline, State, head_branch, renew};
use crate::error::{Failure, Kind, Result};
use crate::git::Oid;
use crate::git::change::{self, Change};
use crate::git::pool::Pool;
use crate::git::repository::Store;
use crate::git::sync::join::{self, Relation, Way};
use crate::git::sync::moving::Moves;
use crate::git::sync::writing::{self, Sides, Writing};
use crate::git::sync::{conflict, list, shown, trees};
use crate::store::beneath::Dir;
use crate::workspace::{LeasedWorkspace, Workspace, staged, unsaved};

/// What a sync from upstream would do.
pub(crate) struct UpstreamPlan {
    pool: Pool,
    /// Full name of the workspace's branch.
    branch: String,
    upstream: Oid,
    /// The branch's new commit; `None` when it stays.
    target: Option<Oid>,
    writing: Option<Writing>,
    outline: Outline,
}

/// Plans to bring the workspace's branch up to its upstream as `pool` has it.
pub(crate) fn plan(workspace: &Workspace, state: &State, pool: Pool, way: Way) -> Result<UpstreamPlan> {
    state.check_refs(workspace)?;
    let name = workspace.name();
    let Some(upstream_name) = workspace.record.upstream.clone() else {
        return Err(Failure::new(Kind::Conflict, format!("workspace `{name}` follows no branch of its source")).into());
    };
    let refname = format!("refs/heads/{upstream_name}");
    let Some((_, upstream)) = pool.refs()?.into_iter().find(|(other, _)| *other == refname) else {
        return Err(Failure::new(
            Kind::NotFound,
            format!("branch `{upstream_name}`, which workspace `{name}` follows, is gone from its source"),
        )
        .into());
    };
    let branch = branch_of(workspace, state)?;
    let repository = state.store.repository();
    let relation = join::relation(repository, state.head, upstream)?;
    let mut outline = Outline {
        target: workspace.record.source.clone().unwrap_or_default(),
        branch: Some(branch.strip_prefix("refs/heads/").unwrap_or(&branch).to_owned()),
        commit: state.head,
        old_commit: state.head,
        ..Outline::default()
    };
    if relation == Relation::Held {
        outline.up_to_date = true;
        return Ok(UpstreamPlan { pool, branch, upstream, target: None, writing: None, outline });
    }
    check_ready(workspace, state)?;
    let target = joined(workspace, state, upstream, relation, way, &format!("origin/{upstream_name}"))?;
    let (writing, changes) = forward(workspace, state, target)?;
    outline.commits = join::commits_beyond(repository, target, state.head)?;
    outline.commit = Some(target);
    outline.changes = changes;
    Ok(UpstreamPlan { pool, branch, upstream, target: Some(target), writing: Some(writing), outline })
}

impl UpstreamPlan {
    pub(crate) fn into_outline(self) -> Outline {
        self.outline
    }

    pub(crate) fn apply(self, workspace: &mut LeasedWorkspace, state: &State) -> Result<Outline> {
        let repository = state.store.repository();
        let head = self.target.or(state.head);
        let base = match head {
            Some(head) => join::merge_base(repository, head, self.upstream)?,
            None => None,
        };
        if self.target.is_some() || remotes_differ(state, &self.pool)? {
            let to = Move { branch: &self.branch, target: self.target, base };
            move_to(workspace, state, Some(&self.pool), &state.store, to, self.writing.as_ref())?;
        } else if let Some(base) = base {
            workspace.record_mut().base = Some(base.to_string());
        }
        workspace.record_mut().last_used = jiff::Timestamp::now();
        workspace.save()?;
        Ok(self.outline)
    }
}

/// Returns the branch that HEAD is on, which a sync may move.
pub(super) fn branch_of(workspace: &Workspace, state: &State) -> Result<String> {
    match head_branch(state) {
        Some(branch) => Ok(branch.to_owned()),
        None => Err(Failure::new(Kind::Conflict, format!("HEAD of workspace `{}` is on no branch", workspace.name()))
            .hint("check out a branch in it first")
            .into()),
    }
}

/// Fails, saying exactly why, when the branch cannot be moved without touching somebody's work.
pub(super) fn check_ready(workspace: &Workspace, state: &State) -> Result<()> {
    let name = workspace.name();
    if let Some(operation) = &state.imported.refs.operation {
        return Err(Failure::new(Kind::Conflict, format!("a {operation} is under way in workspace `{name}`"))
            .hint("finish or abort it first")
            .into());
    }
    let uncommitted = |paths: String| {
        Failure::new(Kind::Conflict, format!("workspace `{name}` has uncommitted changes{paths}"))
            .hint("commit them in the workspace first")
    };
    if state.is_clean()? {
        let there = [state.head, Some(state.snapshot.files)];
        // A new index would not have it.
        let (tree, outside) = (Dir::open(&workspace.tree())?, unsaved::outside(workspace)?);
        let staged = staged::only(workspace, &state.store, &tree, there, &outside).map_err(|reason| {
            Failure::new(Kind::Conflict, format!("cannot read the index of workspace `{name}`: {reason}"))
                .hint("remove `.git/index` in the workspace; `git reset` there makes a new one")
        })?;
        if staged.is_empty() {
            return Ok(());
        }
        let paths = list(staged.iter().map(|path| shown(path)));
        return Err(uncommitted(format!(" (staged only): {paths}")).into());
    }
    let head_tree = trees::of_commit(state.store.repository(), state.head)?;
    let differences = trees::differences(state.store.repository(), head_tree, state.work.tree)?;
    let paths: Vec<_> = differences.iter().map(|difference| &difference.path).chain(&state.work.lfs).collect();
    let paths = list(paths.iter().map(|path| shown(path)));
    Err(uncommitted(format!(": {paths}")).into())
}

/// Returns head joined with `other`; a conflict when that needs a decision.
pub(super) fn joined(
    workspace: &Workspace,
    state: &State,
    other: Oid,
    relation: Relation,
    way: Way,
    shown: &str,
) -> Result<Oid> {
    joined_in(state.store.repository(), workspace, state, other, relation, way, shown)
}

/// The same in another store that holds both sides.
pub(super) fn joined_in(
    repository: &crate::git::Repository,
    workspace: &Workspace,
    state: &State,
    other: Oid,
    relation: Relation,
    way: Way,
    shown: &str,
) -> Result<Oid> {
    let (Relation::Diverged(base), Some(head)) = (relation, state.head) else { return Ok(other) };
    let name = workspace.name();
    let (author, mail) = super::who(workspace)?;
    let signature = Signature::now(&author, &mail)?;
    let joined = match way {
        Way::FastForward => {
            let here = join::commits_beyond(repository, head, base)?;
            let there = join::commits_beyond(repository, other, base)?;
            return Err(Failure::new(
                Kind::Conflict,
                format!("workspace `{name}` and `{shown}` have diverged: {here} here, {there} there"),
            )
            .hint("bring them together with `--merge` or `--rebase`")
            .into());
        }
        Way::Merge => join::merge(repository, head, other, &signature, &format!("Merge {shown}\n"))?,
        Way::Rebase => join::rebase(repository, head, other, &signature)?,
    };
    joined.map_err(|conflicts| {
        let verb = if way == Way::Merge { "merge" } else { "rebase onto" };
        conflict(&format!("cannot {verb} `{shown}`"), &conflicts).into()
    })
}

/// Plans the writing that brings a clean tree from head to `target`.
pub(super) fn forward(workspace: &Workspace, state: &State, target: Oid) -> Result<(Writing, Vec<Change>)> {
    let repository = state.store.repository();
    let head_tree = trees::of_commit(repository, state.head)?;
    let theirs = trees::of_commit(repository, Some(target))?;
    let dir = Dir::open(&workspace.tree())?;
    let sides = Sides { target: head_tree, ancestor: head_tree, theirs, applied: None };
    let writing = writing::plan(&state.store, &dir, &state.index, sides)?
        .map_err(|conflicts| conflict("files of the workspace are in the way", &conflicts))?;
    Ok((writing, change::between_trees(&state.store, Some(head_tree), Some(theirs))?))
}

/// Where a branch (its full name) goes.
#[derive(Clone, Copy)]
pub(super) struct Move<'a> {
    pub(super) branch: &'a str,
    /// `None` when it stays.
    pub(super) target: Option<Oid>,
    /// The base of the workspace then, where it is another one.
    pub(super) base: Option<Oid>,
}

/// Writes the tree and the `.git` that fits it, both or neither; `scratch` is the store that knows what is written. The
/// tree before is kept as a snapshot.
pub(super) fn move_to(
    workspace: &mut LeasedWorkspace,
    state: &State,
    pool: Option<&Pool>,
    scratch: &Store,
    to: Move<'_>,
    writing: Option<&Writing>,
) -> Result<()> {
    let (store, id) = (&state.store, super::stamp());
    if let Some(target) = to.target {
        store.set_ref(&format!("refs/kept/{target}"), target)?;
    }
    store.set_ref(&format!("refs/backups/{id}-tree"), state.snapshot.commit)?;
    let dir = Dir::open(&workspace.tree())?;
    let moves = match writing {
        Some(writing) => writing.moves(scratch, &dir, &id)?,
        None => Moves { id: id.clone(), moves: Vec::new() },
    };
    let kept = super::backup(&moves, scratch, store, "files before and after a sync")?;
    let written = writing.map(Writing::paths).unwrap_or_default();
    renew::build(workspace, &id, state, pool, to.branch, to.target, &written)?;
    let base = to.base.map(|base| base.to_string());
    let sync = Tree { id, moves: kept.to_string(), base, decided: false };
    pending::make_tree(workspace, store, &moves, &sync, Some(state))
}

fn remotes_differ(state: &State, pool: &Pool) -> Result<bool> {
    const REMOTE: &str = "refs/remotes/origin/";
    let mut here: Vec<(String, Oid)> = state
        .imported
        .refs
        .refs
        .iter()
        .filter_map(|(name, id)| Some((name.strip_prefix(REMOTE)?.to_owned(), *id)))
        .filter(|(name, _)| name != "HEAD")
        .collect();
    let mut there: Vec<(String, Oid)> = pool
        .refs()?
        .into_iter()
        .filter_map(|(name, id)| Some((name.strip_prefix("refs/heads/")?.to_owned(), id)))
        .collect();
    here.sort();
    there.sort();
    Ok(here != there)
}
