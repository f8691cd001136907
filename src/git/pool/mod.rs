//! Pools: the git objects of one source, shared by its workspaces through alternates; append-only.
//!
//! A pool is a bare repository that mirrors the source's heads and tags. Objects never leave it; it is removed whole, when no
//! record, staging or trash refers to it.
//!
//! ```text
//! pools/KEY.git/            objects; HEAD as the source's; packed-refs: heads, tags and requests as last fetched
//!   refs/stead/head         (in packed-refs) where a detached HEAD of the source is
//!   refs/stead/linked-ID    (in packed-refs) where a detached HEAD of a linked worktree of the source is
//! pools/KEY.lock            held while it is made or brought up to date
//! ```
//!
//! Who uses a pool that no record names yet shares a lock of its directory, which its removal takes alone: no time is long
//! enough for a rule by the clock.
//!
//! Refs are written last, so what they name is there whole. A pool of a workspace (a fork) mirrors that workspace's branches as
//! far as its store has their commits.

mod fetch;
mod mend;

use std::path::{Path, PathBuf};

use anyhow::Context;
use git2::{Repository, RepositoryInitOptions, RepositoryOpenFlags};

use crate::config::closest::closest;
use crate::error::{Failure, Kind, Result};
use crate::git::pool::fetch::Fetch;
use crate::git::source::Source;
use crate::git::transport::Net;
use crate::git::{Oid, local};
use crate::progress::Progress;
use crate::store::directory_lock::DirectoryLock;
use crate::store::fs::{self, Durability};
use crate::store::lease::{Lease, Wait};
use crate::store::root::UserRoot;
use crate::store::staging::Staging;

/// Where a detached HEAD of the source is kept.
const DETACHED: &str = "refs/stead/head";

pub(crate) use fetch::workspace_around;
pub(crate) use mend::Mended;

pub(crate) struct Pool {
    path: PathBuf,
    key: String,
    repository: Repository,
    /// Keeps it from being removed.
    _held: Option<DirectoryLock>,
}

/// A revision of a pool, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) commit: Oid,
    /// The branch it was named by or that HEAD is on; `None` for a detached HEAD, tag or commit.
    pub(crate) branch: Option<String>,
}

/// What a source says that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Advertised {
    /// Full names of heads, tags and requests, sorted, each with its object.
    pub(crate) refs: Vec<(String, Oid)>,
    pub(crate) head: Option<SourceHead>,
    /// The `shallow` file.
    pub(crate) shallow: Option<Vec<u8>>,
}

/// Where the HEAD of a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceHead {
    /// A full ref name, which may be unborn.
    Branch(String),
    Detached(Oid),
}

impl Pool {
    /// Brings the pool of `source` up to date, making it when missing: takes the pool's lock, fetches heads, tags and `requests`
    /// (full ref names such as `refs/pull/1/head`), releases. A failed or cancelled first fetch leaves nothing. For as long as the
    /// value lives the pool is not removed.
    pub(crate) fn update(
        at: &UserRoot,
        source: &Source,
        depth: Option<u32>,
        requests: &[String],
        net: &Net,
        progress: &dyn Progress,
    ) -> Result<Self> {
        // A local source is copied whole: depth would only cost a second pool.
        let depth = depth.filter(|_| matches!(source, Source::Remote { .. }));
        let key = source.pool_key(at.user(), depth);
        let path = at.root().pool(&key);
        let lock = at.root().pool_lock(&key);
        let lease = Lease::acquire(&lock, &format!("the pool of `{source}`"), "fetch", Wait::Forever)?;
        let fetch = Fetch { at, source, depth, requests, net, progress };
        if path.exists() {
            fetch.update(&path)?;
        } else {
            let staging = Staging::create(at.root())?;
            let fresh = staging.path().join("pool.git");
            init(&fresh)?;
            fetch.update(&fresh)?;
            fs::publish(&fresh, &path, Durability::Synced)?;
        }
        let held = Self::hold(at, &key)?;
        drop(lease);
        Ok(Self { _held: held, ..Self::open(at, &key)? })
    }

    /// Keeps the pool from being removed for as long as the value lives; `None` when there is none.
    pub(crate) fn hold(at: &UserRoot, key: &str) -> Result<Option<DirectoryLock>> {
        DirectoryLock::share(&at.root().pool(key))
    }

    /// Opens the pool of a record as it is, without the network. The record keeps it, or a hold of its own.
    pub(crate) fn open(at: &UserRoot, key: &str) -> Result<Self> {
        let path = at.root().pool(key);
        let repository = open_bare(&path).map_err(|error| {
            Failure::new(Kind::Damaged, format!("cannot open the pool `{}`: {error:#}", path.display()))
                .hint("see what is wrong with `stead doctor`")
        })?;
        Ok(Self { path, key: key.to_owned(), repository, _held: None })
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns where the source's HEAD is; `None` for an empty repository.
    pub(crate) fn head(&self) -> Result<Option<Tip>> {
        let Some(name) = self.head_ref()? else { return Ok(None) };
        // libgit2 takes what it cannot read for what is not there.
        if !read_refs(&self.path)?.iter().any(|(known, _)| *known == name) {
            return Ok(None);
        }
        let reference = self.repository.find_reference(&name).with_context(|| format!("cannot read `{name}`"))?;
        let commit = reference.peel_to_commit().with_context(|| format!("cannot read the commit of `{name}`"))?;
        Ok(Some(Tip { commit: commit.id(), branch: name.strip_prefix("refs/heads/").map(str::to_owned) }))
    }

    /// Returns the short name of the branch that the source's HEAD is on, unborn ones included.
    pub(crate) fn head_branch(&self) -> Result<Option<String>> {
        Ok(self.head_ref()?.and_then(|name| name.strip_prefix("refs/heads/").map(str::to_owned)))
    }

    /// Returns where the HEAD of `source` is and the short name of its branch, unborn ones included. That of a linked worktree is
    /// its own, looked at now: the pool is shared with the other working trees and has the HEAD of the first.
    pub(crate) fn head_of(&self, source: &Source) -> Result<(Option<Tip>, Option<String>)> {
        let linked = match source {
            Source::Local(path) => local::linked_head(path)?,
            _ => None,
        };
        match linked {
            None => Ok((self.head()?, self.head_branch()?)),
            Some(SourceHead::Detached(commit)) => {
                let known = self.repository.find_commit(commit);
                known.with_context(|| format!("commit {commit} of `{source}` was not fetched"))?;
                Ok((Some(Tip { commit, branch: None }), None))
            }
            Some(SourceHead::Branch(name)) => {
                let branch = name.strip_prefix("refs/heads/").map(str::to_owned);
                let Ok(reference) = self.repository.find_reference(&name) else { return Ok((None, branch)) };
                let commit =
                    reference.peel_to_commit().with_context(|| format!("cannot read the commit of `{name}`"))?;
                Ok((Some(Tip { commit: commit.id(), branch: branch.clone() }), branch))
            }
        }
    }

    /// Resolves a branch, tag, `pr/N`, `mr/N` or (abbreviated) commit; `not-found` with close names as the hint.
    pub(crate) fn resolve(&self, revision: &str) -> Result<Tip> {
        let commit_of = |name: &str| -> Result<Option<Oid>> {
            let Ok(reference) = self.repository.find_reference(name) else { return Ok(None) };
            let commit = reference
                .peel_to_commit()
                .map_err(|_| Failure::new(Kind::Usage, format!("`{revision}` does not name a commit")))?;
            Ok(Some(commit.id()))
        };
        if let Some(name) = request(revision)
            && let Some(commit) = commit_of(&name)?
        {
            return Ok(Tip { commit, branch: None });
        }
        let branch = revision.strip_prefix("refs/heads/").or(revision.strip_prefix("origin/")).unwrap_or(revision);
        for branch in [revision, branch] {
            if let Some(commit) = commit_of(&format!("refs/heads/{branch}"))? {
                return Ok(Tip { commit, branch: Some(branch.to_owned()) });
            }
        }
        for name in [format!("refs/tags/{revision}"), revision.to_owned()] {
            if name.starts_with("refs/")
                && let Some(commit) = commit_of(&name)?
            {
                return Ok(Tip { commit, branch: None });
            }
        }
        if revision == "HEAD"
            && let Some(tip) = self.head()?
        {
            return Ok(tip);
        }
        match self.repository.revparse_single(revision) {
            Ok(object) => {
                let commit = object
                    .peel_to_commit()
                    .map_err(|_| Failure::new(Kind::Usage, format!("`{revision}` does not name a commit")))?;
                Ok(Tip { commit: commit.id(), branch: None })
            }
            Err(error) if error.code() == git2::ErrorCode::Ambiguous => {
                Err(Failure::new(Kind::Usage, format!("`{revision}` is the beginning of several commits"))
                    .hint("write more of its digits")
                    .into())
            }
            Err(_) => Err(self.no_such(revision)),
        }
    }

    /// Returns the source's refs as last fetched: full name and object, sorted by name.
    pub(crate) fn refs(&self) -> Result<Vec<(String, Oid)>> {
        let mut refs = read_refs(&self.path)?;
        refs.retain(|(name, _)| name != DETACHED);
        Ok(refs)
    }

    /// Returns the `shallow` file of a pool whose history is cut.
    pub(crate) fn shallow(&self) -> Result<Option<Vec<u8>>> {
        read_shallow(&self.path)
    }

    /// Copies all objects into the git directory at `to`, which lacks them.
    pub(crate) fn copy_objects_to(&self, to: &Path, progress: &dyn Progress) -> Result<()> {
        local::copy_objects(&self.repository, to, progress)
    }

    /// Returns the best common ancestor.
    pub(crate) fn merge_base(&self, one: Oid, other: Oid) -> Option<Oid> {
        self.repository.merge_base(one, other).ok()
    }

    fn head_ref(&self) -> Result<Option<String>> {
        let path = self.path.join("HEAD");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Ok(text.strip_prefix("ref: ").map(|name| name.trim_end().to_owned()))
    }

    fn no_such(&self, revision: &str) -> anyhow::Error {
        let failure = Failure::new(Kind::NotFound, format!("the source has no branch, tag or commit `{revision}`"));
        let refs = self.refs().unwrap_or_default();
        let names =
            refs.iter().filter_map(|(name, _)| name.strip_prefix("refs/heads/").or(name.strip_prefix("refs/tags/")));
        let wanted = revision.to_lowercase();
        let mut close: Vec<&str> = names
            .filter(|name| {
                let name = name.to_lowercase();
                name.contains(&wanted) || wanted.contains(&name) || closest(&wanted, [name.as_str()]).is_some()
            })
            .collect();
        close.truncate(3);
        if close.is_empty() {
            return failure.into();
        }
        let names: Vec<String> = close.iter().map(|name| format!("`{name}`")).collect();
        failure.hint(format!("there is {}", names.join(", "))).into()
    }
}

/// Returns the ref of a request that `pr/N` or `mr/N` names.
pub(crate) fn request(revision: &str) -> Option<String> {
    let (kind, number) = revision.split_once('/')?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match kind {
        "pr" => Some(format!("refs/pull/{number}/head")),
        "mr" => Some(format!("refs/merge-requests/{number}/head")),
        _ => None,
    }
}

/// Returns whether git takes the name for a branch.
pub(crate) fn is_branch_name(name: &str) -> bool {
    git2::Branch::name_is_valid(name).unwrap_or(false)
}

/// Reads `packed-refs`, where this program keeps all refs of a pool.
fn read_refs(pool: &Path) -> Result<Vec<(String, Oid)>> {
    let path = pool.join("packed-refs");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    let mut refs = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with(['#', '^'])) {
        if let Some((oid, name)) = line.split_once(' ')
            && let Ok(oid) = Oid::from_str(oid)
        {
            refs.push((name.to_owned(), oid));
        }
    }
    Ok(refs)
}

fn read_shallow(pool: &Path) -> Result<Option<Vec<u8>>> {
    let path = pool.join("shallow");
    match std::fs::read(&path) {
        Ok(content) => Ok(Some(content).filter(|content| !content.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

fn init(path: &Path) -> Result<()> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).no_reinit(true).mkdir(true).external_template(false);
    let repository =
        Repository::init_opts(path, &options).with_context(|| format!("cannot make `{}`", path.display()))?;
    let mut config = repository.config().context("cannot open the pool's configuration")?;
    // Somebody's `git gc` in here must not take what workspaces borrow.
    for (key, value) in [("gc.auto", "0"), ("gc.pruneExpire", "never")] {
        config.set_str(key, value).context("cannot write the pool's configuration")?;
    }
    Ok(())
}

fn open_bare(path: &Path) -> Result<Repository, git2::Error> {
    let none: [&std::ffi::OsStr; 0] = [];
    Repository::open_ext(path, RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::BARE, none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_named_by_kind_and_number() {
        assert_eq!(request("pr/12").as_deref(), Some("refs/pull/12/head"));
        assert_eq!(request("mr/7").as_deref(), Some("refs/merge-requests/7/head"));
        assert_eq!(request("pr/"), None);
        assert_eq!(request("pr/1x"), None);
        assert_eq!(request("feature/1"), None);
    }
}
