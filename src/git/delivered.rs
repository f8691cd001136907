//! Whether work is delivered: reachable from a ref outside, in origin as last fetched (the pool of a remote source) or in the
//! local project looked at now.
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
use crate::git::sync::trees::{self, Entry};

/// How many commits of each place are compared by [`Outside::holds_tree`] and [`Outside::hold_since`].
const COMPARED: usize = 10_000;

/// The refs outside of a workspace, looked at once.
pub(crate) struct Outside {
    places: Vec<Place>,
}

struct Place {
    repository: Repository,
    /// Peeled to commits, sorted.
    tips: Vec<Oid>,
    /// As the refs name them: annotated tags are not peeled.
    named: BTreeSet<Oid>,
}

/// Looks at the pool as last fetched, and at the repositories in `places`: the local project and every local target of
/// a delivery. Never pass a path below the root, nor the pool of a local project: what that has had once may be gone there.
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
    /// delivered. Tips that the store does not hold are left out: the import has named them. So is what `besides` reaches,
    /// which is asked for only where the refs outside do not name all.
    pub(crate) fn undelivered(
        &self,
        store: &Store,
        tips: &[Oid],
        besides: impl FnOnce() -> Vec<Oid>,
    ) -> Result<Vec<Oid>> {
        let repository = store.repository();
        let mut left = Vec::new();
        for tip in tips {
            if let Some(commit) = commit_of(repository, *tip) {
                left.push(commit);
            }
        }
        left.sort();
        left.dedup();
        left.retain(|tip| !self.places.iter().any(|place| place.tips.binary_search(tip).is_ok()));
        if left.is_empty() {
            return Ok(left);
        }
        // Mostly it is what came along, which is cheaper to find out than to look for it in a history that has gone on.
        let besides: BTreeSet<Oid> = besides().into_iter().filter_map(|id| commit_of(repository, id)).collect();
        left.retain(|tip| !besides.contains(tip));
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
        for tip in self.places.iter().flat_map(|place| &place.tips).chain(&besides) {
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

    /// Returns those paths of `wanted` that an outside commit has with this very content and mode: one that a ref names, or one
    /// of the newest 10,000 of each place that are not in the history of `before`.
    pub(crate) fn hold_since(
        &self,
        wanted: &[(Vec<u8>, Entry)],
        before: impl FnOnce() -> Vec<Oid>,
    ) -> Result<BTreeSet<Vec<u8>>> {
        let mut found = BTreeSet::new();
        if wanted.is_empty() {
            return Ok(found);
        }
        let before = before();
        for place in &self.places {
            place.find_since(wanted, &before, &mut found)?;
        }
        Ok(found)
    }

    /// Returns whether a place has an object, whatever names it there.
    pub(crate) fn has_object(&self, id: Oid) -> bool {
        self.places.iter().any(|place| place.repository.odb().is_ok_and(|odb| odb.exists(id)))
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

    fn find_since(&self, wanted: &[(Vec<u8>, Entry)], before: &[Oid], found: &mut BTreeSet<Vec<u8>>) -> Result<()> {
        let mut walk = self.repository.revwalk()?;
        walk.set_sorting(Sort::TIME)?;
        for tip in &self.tips {
            walk.push(*tip)?;
        }
        for commit in before.iter().filter_map(|id| commit_of(&self.repository, *id)) {
            walk.hide(commit)?;
        }
        for commit in self.tips.iter().copied().map(Ok).chain(walk.take(COMPARED)) {
            if found.len() == wanted.len() {
                break;
            }
            // A shallow history ends in a missing parent.
            let Ok(commit) = commit else { break };
            let Ok(commit) = self.repository.find_commit(commit) else { continue };
            for (path, entry) in wanted {
                if trees::entry(&self.repository, commit.tree_id(), path).is_ok_and(|there| there == Some(*entry)) {
                    found.insert(path.clone());
                }
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<Repository> {
    Repository::open(path).with_context(|| format!("cannot open the repository `{}`", path.display()))
}

/// Returns the commit that an object is, or is a tag of.
pub(crate) fn commit_of(repository: &Repository, id: Oid) -> Option<Oid> {
    match kind(repository, id)? {
        ObjectType::Commit => return Some(id),
        ObjectType::Tag => {}
        // To read one to its end may take long, and tells nothing.
        _ => return None,
    }
    let object = repository.find_object(id, None).ok()?;
    object.peel(ObjectType::Commit).ok().map(|commit| commit.id())
}

/// Returns of what kind an object is, without reading all of it; `None` when it cannot be read.
pub(crate) fn kind(repository: &Repository, id: Oid) -> Option<ObjectType> {
    repository.odb().ok()?.read_header(id).ok().map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::repository::Access;

    struct Fixture {
        dir: tempfile::TempDir,
        store: Store,
        project: Repository,
    }

    impl Fixture {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            drop(Store::create(&dir.path().join("store.git"), None).expect("a store"));
            let store = Store::open(&dir.path().join("store.git"), Access::Write).expect("a store");
            let project = Repository::init_bare(dir.path().join("project.git")).expect("a project");
            Self { dir, store, project }
        }

        fn outside(&self) -> Outside {
            let places = [self.dir.path().join("project.git"), self.dir.path().join("gone")];
            outside(None, &places).expect("a look")
        }
    }

    /// Writes the same commit into any repository.
    fn commit(repository: &Repository, text: &str, parents: &[Oid]) -> Oid {
        let signature = git2::Signature::new("A", "a@b", &git2::Time::new(0, 0)).expect("a signature");
        let blob = repository.blob(text.as_bytes()).expect("a blob");
        let mut tree = repository.treebuilder(None).expect("a tree");
        tree.insert("file", blob, 0o100_644).expect("an entry");
        let tree = repository.find_tree(tree.write().expect("a tree")).expect("a tree");
        let parents: Vec<_> = parents.iter().map(|id| repository.find_commit(*id).expect("a parent")).collect();
        let parents: Vec<_> = parents.iter().collect();
        repository.commit(None, &signature, &signature, text, &tree, &parents).expect("a commit")
    }

    #[test]
    fn what_a_ref_outside_reaches_is_delivered() {
        let fixture = Fixture::new();
        let mine = fixture.store.repository();
        let first = commit(mine, "first", &[]);
        let second = commit(mine, "second", &[first]);
        let third = commit(mine, "third", &[second]);
        assert_eq!(
            fixture.outside().undelivered(&fixture.store, &[third], Vec::new).expect("a walk"),
            [third, second, first]
        );
        assert_eq!(fixture.outside().undelivered(&fixture.store, &[third], || vec![second]).expect("a walk"), [third]);
        // The project goes on from the second in a way that the store knows nothing of.
        commit(&fixture.project, "first", &[]);
        commit(&fixture.project, "second", &[first]);
        let beyond = commit(&fixture.project, "theirs", &[second]);
        assert_eq!(fixture.outside().undelivered(&fixture.store, &[second], Vec::new).expect("a walk").len(), 2);
        fixture.project.reference("refs/heads/main", beyond, false, "").expect("a ref");
        let outside = fixture.outside();
        assert_eq!(outside.undelivered(&fixture.store, &[third, second], Vec::new).expect("a walk"), [third]);
        assert!(outside.undelivered(&fixture.store, &[second, first], Vec::new).expect("a walk").is_empty());
    }

    #[test]
    fn an_equal_tree_is_found_under_another_commit() {
        let fixture = Fixture::new();
        let mine = commit(fixture.store.repository(), "same", &[]);
        let tree = fixture.store.repository().find_commit(mine).expect("a commit").tree_id();
        let other = commit(&fixture.project, "other", &[]);
        let same = commit(&fixture.project, "same", &[other]);
        let later = commit(&fixture.project, "later", &[same]);
        assert!(!fixture.outside().holds_tree(tree).expect("a walk"));
        fixture.project.reference("refs/heads/main", later, false, "").expect("a ref");
        assert!(fixture.outside().holds_tree(tree).expect("a walk"));
    }

    #[test]
    fn a_stash_of_the_project_delivers_nothing() {
        let fixture = Fixture::new();
        let mine = commit(fixture.store.repository(), "one", &[]);
        commit(&fixture.project, "one", &[]);
        fixture.project.reference("refs/stash", mine, false, "").expect("a ref");
        assert_eq!(fixture.outside().undelivered(&fixture.store, &[mine], Vec::new).expect("a walk"), [mine]);
    }
}
