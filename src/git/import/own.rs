//! Work that a git directory of the agent's holds besides what it was cloned or fetched from: of submodules and nested
//! repositories, whose sources nobody here knows.
//!
//! Copies of remote branches stand for the source, by the word of the directory itself. Only commits are read, from the newest
//! on, until all that is left is in the history of those copies.

use std::collections::{BinaryHeap, HashMap, HashSet};

use git2::ObjectType;

use super::reader::Reader;
use super::{Bounds, structure};
use crate::git::Oid;
use crate::git::agentdir::{self, Head};
use crate::store::beneath::Dir;

/// So many commits are read; a longer history is not looked through.
const MAX_COMMITS: usize = 200_000;
/// So many commits of the source are read on when all others are found: clocks differ.
const SLOP: usize = 256;

/// What a git directory has of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Own {
    /// Reachable from HEAD, branches and tags, and from no copy of a remote branch.
    pub(crate) commits: usize,
    /// Entries of the stash.
    pub(crate) stash: usize,
    /// Why there may be more.
    pub(crate) unread: Option<String>,
}

impl Own {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Looks at a git directory; `known` are more commits that are not its own. What is not in it, as with objects that are
/// borrowed from elsewhere, cannot be lost with it.
pub(crate) fn own(git: &Dir, known: &HashSet<Oid>, bounds: Bounds) -> Own {
    let refs = agentdir::refs_in(git);
    if refs.head == Head::Missing && refs.bad.is_empty() {
        return Own::default();
    }
    let stashed = refs.stashed();
    let fetched: HashSet<Oid> =
        refs.copies_of_remote().chain(agentdir::fetched(git)).chain(known.iter().copied()).collect();
    let tips: Vec<Oid> =
        refs.tips().into_iter().filter(|tip| !stashed.contains(tip) && !fetched.contains(tip)).collect();
    let mut walk = Walk::new(git, bounds);
    let walked = if tips.is_empty() { Ok(()) } else { walk.walk(&tips, &fetched) };
    let unread = refs.bad.first().map(|(name, reason)| format!("{name}: {reason}"));
    Own { commits: walk.own.len(), stash: stashed.len().max(refs.stash.len()), unread: unread.or(walked.err()) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Own,
    Fetched,
}

struct Commit {
    whose: Whose,
    time: i64,
    parents: Vec<Oid>,
}

struct Walk<'a> {
    objects: Reader<'a>,
    commits: HashMap<Oid, Commit>,
    /// By their time; one that changes hands is here twice.
    queue: BinaryHeap<(i64, Oid)>,
    /// Those of its own in the queue.
    waiting: HashSet<Oid>,
    /// Those that came out of it.
    own: HashSet<Oid>,
}

impl<'a> Walk<'a> {
    fn new(git: &'a Dir, bounds: Bounds) -> Self {
        Self {
            objects: Reader::new(git, bounds, 0),
            commits: HashMap::new(),
            queue: BinaryHeap::new(),
            waiting: HashSet::new(),
            own: HashSet::new(),
        }
    }

    /// Finds the commits that `tips` reach and `fetched` do not; the error says why there may be more.
    fn walk(&mut self, tips: &[Oid], fetched: &HashSet<Oid>) -> Result<(), String> {
        for id in fetched {
            self.mark(*id, Whose::Fetched)?;
        }
        for id in tips {
            self.mark(*id, Whose::Own)?;
        }
        let mut slop = SLOP;
        while let Some((_, id)) = self.queue.pop() {
            let Commit { whose, parents, .. } = &self.commits[&id];
            let (whose, parents) = (*whose, parents.clone());
            match whose {
                Whose::Own if self.waiting.remove(&id) => drop(self.own.insert(id)),
                Whose::Own => continue,
                Whose::Fetched if !self.waiting.is_empty() => {}
                Whose::Fetched if self.own.is_empty() || slop == 0 => break,
                Whose::Fetched => slop -= 1,
            }
            for parent in parents {
                self.mark(parent, whose)?;
            }
        }
        Ok(())
    }

    /// Says whose a commit is, or what a tag names; what was fetched stays that.
    fn mark(&mut self, id: Oid, whose: Whose) -> Result<(), String> {
        let known = self.commits.get_mut(&id);
        let (id, time) = match known {
            Some(commit) if commit.whose == whose || commit.whose == Whose::Fetched => return Ok(()),
            Some(commit) => {
                commit.whose = whose;
                (id, commit.time)
            }
            None => match self.read(id) {
                Ok(Some((found, _, _))) if self.commits.contains_key(&found) => return self.mark(found, whose),
                Ok(Some((found, time, parents))) => {
                    self.commits.insert(found, Commit { whose, time, parents });
                    (found, time)
                }
                Ok(None) => return Ok(()),
                // Only what is its own has to be known.
                Err(_) if whose == Whose::Fetched => return Ok(()),
                Err(reason) => return Err(reason),
            },
        };
        self.queue.push((time, id));
        match whose {
            Whose::Own => drop(self.waiting.insert(id)),
            Whose::Fetched => {
                self.waiting.remove(&id);
                self.own.remove(&id);
            }
        }
        Ok(())
    }

    /// Reads a commit, or the one that a tag names: its id, time and parents. `None` when it is not here or names none.
    fn read(&mut self, id: Oid) -> Result<Option<(Oid, i64, Vec<Oid>)>, String> {
        const MAX_TAGS: usize = 8;
        let mut id = id;
        for _ in 0..MAX_TAGS {
            if self.commits.len() >= MAX_COMMITS {
                return Err(format!("more than {MAX_COMMITS} commits"));
            }
            let Some((kind, content)) = self.objects.read(id, std::iter::empty())? else { return Ok(None) };
            let named =
                structure::children(kind, &content).ok_or_else(|| format!("object {id} cannot be understood"))?;
            match (kind, named.first()) {
                (ObjectType::Tag, Some((target, _))) => id = *target,
                (ObjectType::Commit, _) => {
                    let parents = named.iter().filter(|(_, kind)| *kind == ObjectType::Commit).map(|(id, _)| *id);
                    return Ok(Some((id, structure::time(&content), parents.collect())));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make and break files by hand")]
mod tests {
    use super::*;
    use crate::git::repository::Access;

    struct Fixture {
        dir: tempfile::TempDir,
    }

    impl Fixture {
        /// A clone of a project with a branch behind a tag.
        fn new() -> Self {
            let fixture = Self { dir: tempfile::tempdir().expect("a directory") };
            fixture.git(&["init", "-q", "-b", "main", "origin"]);
            for number in 0..4 {
                fixture.git(&["-C", "origin", "commit", "-q", "--allow-empty", "-m", &number.to_string()]);
            }
            fixture.git(&["-C", "origin", "tag", "-m", "old", "v1", "HEAD~2"]);
            fixture.git(&["clone", "-q", "origin", "clone"]);
            fixture
        }

        fn git(&self, args: &[&str]) -> String {
            let output = crate::git::oracle::git()
                .current_dir(self.dir.path())
                .args(["-c", "user.name=A", "-c", "user.email=a@b"])
                .args(args)
                .output()
                .expect("git starts");
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }

        fn own(&self, known: &[Oid]) -> Own {
            let git = Dir::open(&self.dir.path().join("clone/.git")).expect("a directory");
            own(&git, &known.iter().copied().collect(), Bounds::of(Access::Read))
        }
    }

    #[test]
    fn a_clone_has_nothing_of_its_own() {
        let fixture = Fixture::new();
        assert!(fixture.own(&[]).is_empty());
        fixture.git(&["-C", "clone", "checkout", "-q", "-b", "old", "HEAD~3"]);
        fixture.git(&["-C", "clone", "gc", "-q"]);
        assert!(fixture.own(&[]).is_empty());
    }

    #[test]
    fn what_was_made_in_it_is_counted_until_it_is_known_elsewhere() {
        let fixture = Fixture::new();
        fixture.git(&["-C", "clone", "checkout", "-q", "-b", "work", "HEAD~1"]);
        for text in ["one", "two"] {
            fixture.git(&["-C", "clone", "commit", "-q", "--allow-empty", "-m", text]);
        }
        let tip: Oid = fixture.git(&["-C", "clone", "rev-parse", "HEAD"]).parse().expect("an id");
        fixture.git(&["-C", "clone", "checkout", "-q", "main"]);
        assert_eq!(fixture.own(&[]), Own { commits: 2, ..Own::default() });
        assert!(fixture.own(&[tip]).is_empty());
        std::fs::write(fixture.dir.path().join("clone/file"), "x").expect("a file");
        fixture.git(&["-C", "clone", "stash", "-q", "-u"]);
        assert_eq!(fixture.own(&[tip]), Own { stash: 1, ..Own::default() });
        fixture.git(&["-C", "clone", "stash", "drop", "-q"]);
        fixture.git(&["-C", "clone", "push", "-q", "origin", "work"]);
        assert!(fixture.own(&[]).is_empty());
    }

    #[test]
    fn without_a_source_all_is_its_own_and_without_a_head_there_is_nothing() {
        let fixture = Fixture::new();
        fixture.git(&["-C", "clone", "remote", "remove", "origin"]);
        std::fs::remove_file(fixture.dir.path().join("clone/.git/FETCH_HEAD")).ok();
        assert_eq!(fixture.own(&[]), Own { commits: 4, ..Own::default() });
        std::fs::write(fixture.dir.path().join("clone/.git/refs/heads/broken"), "?").expect("a file");
        assert!(fixture.own(&[]).unread.is_some());
        std::fs::remove_file(fixture.dir.path().join("clone/.git/HEAD")).expect("removed");
        std::fs::remove_file(fixture.dir.path().join("clone/.git/refs/heads/broken")).expect("removed");
        assert!(fixture.own(&[]).is_empty());
    }
}
