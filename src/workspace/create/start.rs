//! Where a new workspace starts: commit, branch, upstream and base, out of what was asked for and what the pool has.

use crate::error::{Failure, Kind, Result};
use crate::git::Oid;
use crate::git::pool::{Pool, Tip, request};
use crate::store::name::WorkspaceName;
use crate::workspace::create::{BranchChoice, CreateSpec};

/// Where a workspace starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// What is checked out; `None` for an empty workspace or source.
    pub(crate) commit: Option<Oid>,
    /// The branch that is checked out; `None` when HEAD is detached.
    pub(crate) branch: Option<String>,
    /// The branch of the source that the work is measured against.
    pub(crate) upstream: Option<String>,
    /// The merge base of the commit and the upstream branch.
    pub(crate) base: Option<Oid>,
}

pub(super) fn choose(spec: &CreateSpec, name: &WorkspaceName, pool: Option<&Pool>) -> Result<Start> {
    let own = || format!("stead/{name}");
    let Some(pool) = pool else {
        let branch = match &spec.branch {
            BranchChoice::Named(branch) => branch.clone(),
            BranchChoice::Own | BranchChoice::Default => "main".to_owned(),
        };
        check_branch(&branch)?;
        return Ok(Start { branch: Some(branch), ..Start::default() });
    };
    let (head, default) = pool.head_of(&spec.source)?;
    // Where a new branch starts, and what it follows.
    let from = |base: Option<&str>| -> Result<(Option<Oid>, Option<String>)> {
        match base {
            Some(base) if base != "HEAD" => {
                let tip = pool.resolve(base)?;
                Ok((Some(tip.commit), tip.branch.or_else(|| default.clone())))
            }
            _ => Ok((head.as_ref().map(|tip| tip.commit), default.clone())),
        }
    };
    let (commit, branch, upstream) = match &spec.branch {
        BranchChoice::Own => {
            let (commit, upstream) = from(spec.base.as_deref())?;
            (commit, Some(own()), upstream)
        }
        BranchChoice::Default if spec.base.is_some() => {
            let (commit, upstream) = from(spec.base.as_deref())?;
            (commit, upstream.clone(), upstream)
        }
        BranchChoice::Default => (head.as_ref().map(|tip| tip.commit), default.clone(), default.clone()),
        BranchChoice::Named(branch) => {
            check_branch(branch)?;
            match pool.resolve(branch) {
                // An existing branch and another base contradict each other.
                Ok(Tip { branch: Some(existing), .. }) if spec.base.is_some() => {
                    return Err(Failure::new(Kind::Usage, format!("the source has a branch `{existing}` already"))
                        .hint("leave `--base` out to check it out, or choose another name for a new branch")
                        .into());
                }
                Ok(Tip { commit, branch: Some(existing) }) => (Some(commit), Some(existing.clone()), Some(existing)),
                Ok(Tip { commit, branch: None }) if request(branch).is_some() => {
                    (Some(commit), Some(branch.clone()), default.clone())
                }
                Ok(Tip { commit, branch: None }) if spec.base.is_none() => (Some(commit), None, default.clone()),
                Err(error) if Kind::of(&error) != Kind::NotFound => return Err(error),
                _ => {
                    let (commit, upstream) = from(spec.base.as_deref())?;
                    (commit, Some(branch.clone()), upstream)
                }
            }
        }
    };
    let base = match (commit, &upstream) {
        (Some(commit), Some(upstream)) => {
            let theirs = pool.refs()?.into_iter().find(|(name, _)| name.strip_prefix("refs/heads/") == Some(upstream));
            Some(theirs.and_then(|(_, theirs)| pool.merge_base(commit, theirs)).unwrap_or(commit))
        }
        (commit, _) => commit,
    };
    Ok(Start { commit, branch, upstream, base })
}

/// Fails as usage when git would not take the name for a branch.
fn check_branch(name: &str) -> Result<()> {
    if crate::git::pool::is_branch_name(name) {
        return Ok(());
    }
    Err(Failure::new(Kind::Usage, format!("`{name}` is not a name for a branch")).into())
}
