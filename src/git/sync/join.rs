//! Two histories that become one: fast-forward, merge, rebase; in memory.

use anyhow::Context;
use git2::{Repository, Signature, Sort};

use super::{Conflict, trees};
use crate::error::{Failure, Kind, Result};
use crate::git::Oid;

/// How another commit stands to head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// Head holds it already.
    Held,
    /// Head can be moved forward to it.
    Ahead,
    /// Each side has commits of its own; the merge base, if there is one.
    Diverged(Option<Oid>),
}

/// How to bring a diverged branch up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    FastForward,
    Merge,
    Rebase,
}

/// Returns how `other` stands to `head`.
pub(crate) fn relation(repository: &Repository, head: Option<Oid>, other: Oid) -> Result<Relation> {
    let Some(head) = head else { return Ok(Relation::Ahead) };
    let base = merge_base(repository, head, other)?;
    Ok(match base {
        Some(base) if base == other => Relation::Held,
        Some(base) if base == head => Relation::Ahead,
        base => Relation::Diverged(base),
    })
}

/// Returns the best common ancestor.
pub(crate) fn merge_base(repository: &Repository, one: Oid, other: Oid) -> Result<Option<Oid>> {
    match repository.merge_base(one, other) {
        Ok(base) => Ok(Some(base)),
        Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error).context("cannot find the merge base"),
    }
}

/// Returns how many commits `commit` has that `other` lacks.
pub(crate) fn commits_beyond(repository: &Repository, commit: Oid, other: Option<Oid>) -> Result<usize> {
    let mut walk = repository.revwalk().context("cannot walk the store")?;
    walk.push(commit)?;
    if let Some(other) = other {
        walk.hide(other)?;
    }
    Ok(walk.flatten().count())
}

/// Merges `other` into `head` and returns the merge commit.
pub(crate) fn merge(
    repository: &Repository,
    head: Oid,
    other: Oid,
    signature: &Signature<'_>,
    message: &str,
) -> Result<Result<Oid, Vec<Conflict>>> {
    let commit = |id| repository.find_commit(id).with_context(|| format!("cannot read commit {id}"));
    let (head, other) = (commit(head)?, commit(other)?);
    let mut index = repository.merge_commits(&head, &other, None).context("cannot merge")?;
    let tree = match trees::written(repository, &mut index)? {
        Ok(tree) => repository.find_tree(tree)?,
        Err(conflicts) => return Ok(Err(conflicts)),
    };
    repository
        .commit(None, signature, signature, message, &tree, &[&head, &other])
        .map(Ok)
        .context("cannot write the merge commit")
}

/// Puts the commits that `head` has and `onto` lacks on top of `onto`, and returns the last one. What `onto` holds already
/// falls away; a history with merges is refused.
pub(crate) fn rebase(
    repository: &Repository,
    head: Oid,
    onto: Oid,
    committer: &Signature<'_>,
) -> Result<Result<Oid, Vec<Conflict>>> {
    let mut walk = repository.revwalk().context("cannot walk the store")?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
    walk.push(head)?;
    walk.hide(onto)?;
    let mut tip = repository.find_commit(onto).with_context(|| format!("cannot read commit {onto}"))?;
    for id in walk {
        let commit = repository.find_commit(id?).context("cannot read a commit to rebase")?;
        if commit.parent_count() > 1 {
            return Err(Failure::new(
                Kind::Conflict,
                format!("commit {} is a merge and cannot be rebased", commit.id()),
            )
            .hint("use `--merge`")
            .into());
        }
        if commit.parent_count() == 0 {
            return Err(Failure::new(Kind::Conflict, "the histories have nothing in common")
                .hint("use `--merge`")
                .into());
        }
        let mut index = repository.cherrypick_commit(&commit, &tip, 0, None).context("cannot rebase")?;
        let tree = match trees::written(repository, &mut index)? {
            Ok(tree) => tree,
            Err(conflicts) => return Ok(Err(conflicts)),
        };
        if tree == tip.tree_id() {
            continue;
        }
        let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
        let tree = repository.find_tree(tree)?;
        let id = repository
            .commit(None, &commit.author(), committer, &message, &tree, &[&tip])
            .context("cannot write a rebased commit")?;
        tip = repository.find_commit(id)?;
    }
    Ok(Ok(tip.id()))
}
