//! Whether work is delivered: reachable from a ref outside, in origin as last fetched (the pool) or in the local project
//! looked at now.
//!
//! Only trusted repositories are looked at: the pool and the places that the user named. A place that is gone or no
//! repository any more delivers nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use git2::{ErrorCode, ObjectType, Repository, Sort};

use crate::error::Result;
use crate::git::Oid;
use crate::git::pool::Pool;
use crate::git::repository::Store;

/// How many commits of each place are compared by [`Outside::holds_tree`].
const COMPARED: usize = 10_000;

/// The refs outside of a workspace, looked at once.
pub(crate) struct Outside {
    places: Vec<Place>,
}

struct Place {
    repository: Repository,
    /// Peeled to commits.
    tips: Vec<Oid>,
    /// As the refs name them: annotated tags are not peeled.
    named: BTreeSet<Oid>,
}

/// Looks at the pool as last fetched, and at the repositories in `places`: the local project and every local target of
/// a delivery. Never pass a path below the root.
pub(crate) fn outside(pool: Option<&Pool>, places: &[PathBuf]) -> Result<Outside> {
    let mut found = Vec::new();
    if let Some(pool) = pool {
        found.push(Place::of(open(pool.path())?)?);
    }
    for path in places {
        if let Ok(repository) = open(path) {
            found.push(Place::of(repository)?);
        }
    }
    Ok(Outside { places: found })
}

impl Outside {
    /// Returns every commit that is reachable from `tips` and from no ref outside, newest first; empty when all is
    /// delivered. Tips that the store does not hold are left out: the import has named them.
    pub(crate) fn undelivered(&self, store: &Store, tips: &[Oid]) -> Result<Vec<Oid>> {
        let repository = store.repository();
        let mut left = Vec::new();
        for tip in tips {
            if let Some(commit) = commit_of(repository, *tip) {
                left.push(commit);
            }
        }
        left.sort();
        left.dedup();
        left.retain(|tip| !self.places.iter().any(|place| place.tips.contains(tip)));
        for place in &self.places {
            left = place.missing(left)?;
        }
        if left.is_empty() {
            return Ok(left);
        }
        let mut walk = repository.revwalk().context("cannot walk the store")?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME)?;
        for tip in &left {
            walk.push(*tip)?;
        }
        for tip in self.places.iter().flat_map(|place| &place.tips) {
            if repository.find_commit(*tip).is_ok() {
                walk.hide(*tip)?;
            }
        }
        let commits: Vec<Oid> =
            walk.collect::<Result<_, _>>().with_context(|| format!("cannot walk `{}`", store.path().display()))?;
        // What the store does not know of a place (its newer commits) can still hold some of these.
        let mut undelivered: BTreeSet<Oid> = commits.iter().copied().collect();
        for place in &self.places {
            undelivered = place.missing(undelivered.into_iter().collect())?.into_iter().collect();
        }
        Ok(commits.into_iter().filter(|commit| undelivered.contains(commit)).collect())
    }

    /// Returns whether an outside commit has exactly this tree (`tree` as git would commit it, not the raw files of a
    /// converted tree): the work is there, whatever the commit is called.
    ///
    /// Compares the newest 10,000 commits of each place.
    pub(crate) fn holds_tree(&self, tree: Oid) -> Result<bool> {
        for place in &self.places {
            if place.holds_tree(tree)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns whether a ref outside names exactly this object, such as an annotated tag.
    pub(crate) fn names(&self, id: Oid) -> bool {
        self.places.iter().any(|place| place.named.contains(&id))
    }
}

impl Place {
    fn of(repository: Repository) -> Result<Self> {
        let mut tips = BTreeSet::new();
        let mut named = BTreeSet::new();
        {
            let references = repository
                .references()
                .with_context(|| format!("cannot list the refs of `{}`", repository.path().display()))?;
            for reference in references.flatten() {
                // A stash is nobody's delivery: it goes away with one command.
                if reference.name_bytes() == b"refs/stash" {
                    continue;
                }
                named.extend(reference.target());
                if let Ok(commit) = reference.peel_to_commit() {
                    tips.insert(commit.id());
                }
            }
            match repository.head() {
                Ok(head) => tips.extend(head.peel_to_commit().map(|commit| commit.id()).ok()),
                Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {}
                Err(error) => return Err(error).context("cannot read HEAD"),
            }
        }
        Ok(Self { repository, tips: tips.into_iter().collect(), named })
    }

    /// Returns those of `commits` that no ref here reaches.
    fn missing(&self, commits: Vec<Oid>) -> Result<Vec<Oid>> {
        let odb = self.repository.odb()?;
        let (here, mut missing): (Vec<Oid>, Vec<Oid>) = commits.into_iter().partition(|commit| odb.exists(*commit));
        if here.is_empty() {
            return Ok(missing);
        }
        let mut walk = self.repository.revwalk()?;
        for commit in &here {
            walk.push(*commit)?;
        }
        for tip in &self.tips {
            walk.hide(*tip)?;
        }
        let beyond: BTreeSet<Oid> = walk
            .collect::<Result<_, _>>()
            .with_context(|| format!("cannot walk `{}`", self.repository.path().display()))?;
        missing.extend(here.into_iter().filter(|commit| beyond.contains(commit)));
        Ok(missing)
    }

    fn holds_tree(&self, tree: Oid) -> Result<bool> {
        if !self.repository.odb()?.exists(tree) {
            return Ok(false);
        }
        let mut walk = self.repository.revwalk()?;
        walk.set_sorting(Sort::TIME)?;
        for tip in &self.tips {
            walk.push(*tip)?;
        }
        for commit in walk.take(COMPARED) {
            // A shallow history ends in a missing parent.
            let Ok(commit) = commit else { break };
            if self.repository.find_commit(commit).is_ok_and(|commit| commit.tree_id() == tree) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn open(path: &Path) -> Result<Repository> {
    Repository::open(path).with_context(|| format!("cannot open the repository `{}`", path.display()))
}

fn commit_of(repository: &Repository, id: Oid) -> Option<Oid> {
    let object = repository.find_object(id, None).ok()?;
    object.peel(ObjectType::Commit).ok().map(|commit| commit.id())
}
