//! Reading the agent's `.git` as a directory of untrusted files: HEAD, refs, packed-refs, stash log, configuration; by
//! descriptors beneath the tree, regular files only, size-capped. Never as a repository.
//!
//! `.git` as a file or link, `commondir` and reftables are named as bad and not followed.

pub(crate) mod config;
mod held;
mod index;
mod linked;
mod modules;

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FileType;

use crate::error::Result;
use crate::git::{Oid, tracked};
use crate::store::beneath::Dir;

pub(crate) use held::{held_config, held_nested, held_recorded, runs_as_file, runs_something, target_of_file};
pub(crate) use index::index;
pub(crate) use linked::{linked, place_of_linked};
pub(crate) use modules::{is_git_dir, is_git_dir_at, modules, place_of};

pub(crate) const MAX_LOOSE: u64 = 4096;
const MAX_PACKED: u64 = 64 << 20;
const MAX_LOG: u64 = 16 << 20;
pub(crate) const MAX_INDEX: u64 = 256 << 20;
const MAX_REFS: usize = 200_000;
const MAX_DEPTH: usize = 32;
/// So much is named that cannot be read; the rest of a file is not looked at then.
const MAX_BAD: usize = 1000;
/// Loose refs are read for so long: it takes a million files to need more.
const LONGEST: Duration = Duration::from_secs(1);
pub(crate) const MAX_WORKTREES: usize = 1000;
/// So many entries of a log are looked at, the newest.
const MAX_LOGGED: usize = 10_000;

/// What the agent's `.git` says, taken by its word: no object has been looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AgentRefs {
    pub(crate) head: Head,
    /// Full ref names (raw bytes as text, invalid ones dropped into `bad`), sorted.
    pub(crate) refs: Vec<(String, Oid)>,
    /// Entries of the stash log, newest first.
    pub(crate) stash: Vec<Oid>,
    /// Detached heads of linked worktrees: the name in `.git/worktrees` and the commit.
    pub(crate) worktrees: Vec<(String, Oid)>,
    /// A merge, rebase, cherry-pick, revert or bisect that is under way.
    pub(crate) operation: Option<String>,
    /// What could not be read, with the reason.
    pub(crate) bad: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Head {
    /// On a branch (full ref name), which may be unborn.
    Branch(String),
    Detached(Oid),
    /// No `.git`, no HEAD, or not readable.
    #[default]
    Missing,
}

impl AgentRefs {
    /// Returns the commit that HEAD names; `None` when unborn or missing.
    pub(crate) fn head_commit(&self) -> Option<Oid> {
        match &self.head {
            Head::Branch(name) => self.find(name),
            Head::Detached(id) => Some(*id),
            Head::Missing => None,
        }
    }

    /// Returns what a full ref name points at.
    pub(crate) fn find(&self, name: &str) -> Option<Oid> {
        let at = self.refs.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()?;
        Some(self.refs[at].1)
    }

    /// Returns every tip that may hold work: HEAD, heads, tags, stash entries and other refs but `refs/remotes/`; no
    /// duplicates.
    pub(crate) fn tips(&self) -> Vec<Oid> {
        let refs = self.refs.iter().filter(|(name, _)| !is_copy_of_remote(name)).map(|(_, id)| *id);
        let worktrees = self.worktrees.iter().map(|(_, id)| *id);
        let mut tips: Vec<Oid> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for id in self.head_commit().into_iter().chain(refs).chain(self.stash.iter().copied()).chain(worktrees) {
            if seen.insert(id) {
                tips.push(id);
            }
        }
        tips
    }

    /// Returns the stash entries, but for what something else names as well.
    pub(crate) fn stashed(&self) -> HashSet<Oid> {
        const STASH: &str = "refs/stash";
        let others = self.refs.iter().filter(|(name, _)| name != STASH).map(|(_, id)| *id);
        let others: HashSet<Oid> =
            others.chain(self.head_commit()).chain(self.worktrees.iter().map(|(_, id)| *id)).collect();
        let stash = self.stash.iter().copied().chain(self.find(STASH));
        stash.filter(|id| !others.contains(id)).collect()
    }

    /// Returns what copies of remote branches point at.
    pub(crate) fn copies_of_remote(&self) -> impl Iterator<Item = Oid> {
        self.refs.iter().filter(|(name, _)| is_copy_of_remote(name)).map(|(_, id)| *id)
    }
}

fn is_copy_of_remote(name: &str) -> bool {
    name.starts_with("refs/remotes/") || name.starts_with("refs/prefetch/")
}

/// Reads the refs of the `.git` directory in `tree`.
pub(crate) fn refs(tree: &Dir) -> AgentRefs {
    let mut bad = Vec::new();
    let Some(git) = git_dir(tree, &mut bad) else { return AgentRefs { bad, ..AgentRefs::default() } };
    refs_in(&git)
}

/// Reads the refs of a git directory that is at hand already, such as one of a submodule.
pub(crate) fn refs_in(git: &Dir) -> AgentRefs {
    let mut reader = Reader { git, loose: BTreeMap::new(), bad: Vec::new(), deadline: Instant::now() + LONGEST };
    for (name, reason) in [
        ("commondir", "refs of another directory are not followed"),
        ("reftable", "refs in the reftable format cannot be read"),
    ] {
        if reader.exists(name) {
            reader.refuse(name, reason);
        }
    }
    let head = reader.head();
    let mut refs = reader.packed();
    reader.loose_below("refs");
    for (name, value) in &reader.loose {
        if let Value::Id(id) = value {
            refs.insert(name.clone(), *id);
        }
    }
    for (name, value) in &reader.loose {
        if let Value::Symbolic(target) = value
            && let Some(id) = resolve(&refs, &reader.loose, target)
        {
            refs.insert(name.clone(), id);
        }
    }
    let stash = reader.stash();
    let worktrees = reader.worktrees();
    let operation = reader.operation();
    AgentRefs { head, refs: refs.into_iter().collect(), stash, worktrees, operation, bad: reader.bad }
}

/// Returns what HEAD has been at by its log, the newest first: commits that were dropped again are named nowhere else. A log
/// that cannot be read is none.
pub(crate) fn logged(git: &Dir) -> Vec<Oid> {
    let Ok(Some(content)) = read(git, Path::new("logs/HEAD"), MAX_LOG) else { return Vec::new() };
    let mut seen = HashSet::new();
    let lines = content.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(MAX_LOGGED);
    lines.filter_map(|line| id(line.get(41..81)?)).filter(|id| seen.insert(*id)).collect()
}

/// Returns what the last fetch has brought.
pub(crate) fn fetched(git: &Dir) -> Vec<Oid> {
    let content = read(git, Path::new("FETCH_HEAD"), MAX_LOG).ok().flatten().unwrap_or_default();
    content.split(|byte| *byte == b'\n').filter_map(|line| id(line.get(..40)?)).take(MAX_REFS).collect()
}

/// Returns what the index, those of linked worktrees, and an operation under way name: contents that were staged, and what is
/// to be joined; without the contents where the tree that they make is known with all that is in it.
pub(crate) fn staged(git: &Dir, is_known: impl Fn(Oid) -> bool) -> Vec<Oid> {
    let linked = git.dir(Path::new("worktrees")).and_then(|worktrees| worktrees.names()).unwrap_or_default();
    let linked = linked.iter().take(MAX_WORKTREES).map(|name| Path::new("worktrees").join(name));
    let (mut named, mut room) = (Vec::new(), MAX_INDEX);
    for path in std::iter::once(PathBuf::new()).chain(linked) {
        let Ok(Some(index)) = index(git, &path, &mut room) else { continue };
        let mut staged = index.named();
        // Mostly it is that of a commit, which is cheaper to find out than to look for each.
        let entries = index.into_entries();
        if tracked::tree(&entries).is_some_and(&is_known) {
            let contents: HashSet<Oid> = entries.iter().map(|entry| entry.id).collect();
            staged.retain(|id| !contents.contains(id));
        }
        named.extend(staged);
    }
    let operations =
        ["ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "AUTO_MERGE", "MERGE_AUTOSTASH"];
    for name in operations {
        let content = read(git, Path::new(name), MAX_LOOSE).ok().flatten().unwrap_or_default();
        named.extend(content.split(|byte| *byte == b'\n').filter_map(id));
    }
    named
}

/// Returns the commits before which history is cut off; none where that cannot be read.
pub(crate) fn shallow(git: &Dir) -> HashSet<Oid> {
    let content = read(git, Path::new("shallow"), MAX_LOG).ok().flatten().unwrap_or_default();
    content.split(|byte| *byte == b'\n').filter_map(id).collect()
}

/// Opens `.git` in `tree` when it is a directory; otherwise says in `bad` why not (nothing when it is not there).
pub(crate) fn git_dir(tree: &Dir, bad: &mut Vec<(String, String)>) -> Option<Dir> {
    let path = Path::new(".git");
    let reason = match tree.stat(path) {
        Ok(None) => return None,
        Ok(Some(stat)) => match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => match tree.dir(path) {
                Ok(git) => return Some(git),
                Err(error) => format!("{error:#}"),
            },
            FileType::Symlink => "a link is not followed".into(),
            FileType::RegularFile => "a git directory elsewhere is not followed".into(),
            _ => "not a directory".into(),
        },
        Err(error) => format!("{error:#}"),
    };
    bad.push((".git".into(), reason));
    None
}

/// Reads a regular file below `dir`: `Ok(None)` when nothing is there, `Err` with the reason when it is something else,
/// longer than `cap` or not readable.
fn read(dir: &Dir, path: &Path, cap: u64) -> Result<Option<Vec<u8>>, String> {
    match dir.stat(path) {
        Ok(None) => return Ok(None),
        Ok(Some(stat)) => match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Symlink => return Err("a link is not followed".into()),
            FileType::Directory => return Err("a directory".into()),
            _ => return Err("not a regular file".into()),
        },
        Err(error) => return Err(format!("{error:#}")),
    }
    dir.read(path, cap).map_err(|error| format!("{error:#}"))
}

/// Reads an id in full; `None` for anything but 40 hex digits.
fn id(text: &[u8]) -> Option<Oid> {
    let text = std::str::from_utf8(text).ok()?;
    if text.len() != 40 {
        return None;
    }
    Oid::from_str(text).ok().filter(|id| !id.is_zero())
}

fn resolve(refs: &BTreeMap<String, Oid>, loose: &BTreeMap<String, Value>, name: &str) -> Option<Oid> {
    let mut name = name;
    // As deep as git itself follows.
    for _ in 0..5 {
        match loose.get(name) {
            Some(Value::Symbolic(next)) => name = next,
            _ => return refs.get(name).copied(),
        }
    }
    None
}

enum Value {
    Id(Oid),
    Symbolic(String),
}

struct Reader<'a> {
    git: &'a Dir,
    loose: BTreeMap<String, Value>,
    bad: Vec<(String, String)>,
    deadline: Instant,
}

impl Reader<'_> {
    fn refuse(&mut self, name: impl Into<String>, reason: impl Into<String>) {
        // A million bad entries are as bad as a few.
        if !self.is_hopeless() {
            self.bad.push((name.into(), reason.into()));
        }
    }

    fn is_hopeless(&self) -> bool {
        self.bad.len() >= MAX_BAD
    }

    fn exists(&self, name: &str) -> bool {
        !matches!(self.git.stat(Path::new(name)), Ok(None))
    }

    fn read(&mut self, name: &Path, cap: u64) -> Option<Vec<u8>> {
        match read(self.git, name, cap) {
            Ok(content) => content,
            Err(reason) => {
                self.refuse(name.to_string_lossy(), reason);
                None
            }
        }
    }

    fn head(&mut self) -> Head {
        let Some(content) = self.read(Path::new("HEAD"), MAX_LOOSE) else { return Head::Missing };
        match value(&content) {
            Some(Value::Id(id)) => Head::Detached(id),
            Some(Value::Symbolic(name)) => Head::Branch(name),
            None => {
                self.refuse("HEAD", "neither a commit nor a branch");
                Head::Missing
            }
        }
    }

    fn packed(&mut self) -> BTreeMap<String, Oid> {
        let mut refs = BTreeMap::new();
        let Some(content) = self.read(Path::new("packed-refs"), MAX_PACKED) else { return refs };
        for line in content.split(|byte| *byte == b'\n') {
            if line.is_empty() || line.starts_with(b"#") || line.starts_with(b"^") {
                continue;
            }
            if refs.len() == MAX_REFS {
                self.refuse("packed-refs", format!("more than {MAX_REFS} refs"));
                break;
            }
            let entry = line
                .split_at_checked(40)
                .and_then(|(hex, rest)| Some((id(hex)?, std::str::from_utf8(rest.strip_prefix(b" ")?).ok()?)))
                .filter(|(_, name)| git2::Reference::is_valid_name(name));
            match entry {
                Some((id, name)) => {
                    refs.insert(name.to_owned(), id);
                }
                None if self.is_hopeless() => break,
                None => self.refuse("packed-refs", format!("cannot read `{}`", String::from_utf8_lossy(clip(line)))),
            }
        }
        refs
    }

    fn loose_below(&mut self, top: &str) {
        let mut waiting = vec![(PathBuf::from(top), 0)];
        while let Some((path, depth)) = waiting.pop() {
            let names = match self.git.stat(&path) {
                Ok(None) => continue,
                Ok(Some(stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                    self.git.dir(&path).and_then(|dir| dir.names())
                }
                Ok(Some(_)) => Err(anyhow::anyhow!("not a directory")),
                Err(error) => Err(error),
            };
            let names = match names {
                Ok(names) => names,
                Err(error) => {
                    self.refuse(path.to_string_lossy(), format!("{error:#}"));
                    continue;
                }
            };
            for name in names {
                if self.loose.len() >= MAX_REFS {
                    self.refuse(top, format!("more than {MAX_REFS} refs"));
                    return;
                }
                if Instant::now() > self.deadline {
                    // Before all that is bad with single ones: that the list ends here must be told.
                    self.bad.insert(0, (top.to_owned(), "it takes too long to read them all".to_owned()));
                    return;
                }
                let path = path.join(&name);
                match self.git.stat(&path) {
                    Ok(Some(stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                        if depth == MAX_DEPTH {
                            self.refuse(path.to_string_lossy(), "nested too deeply");
                        } else {
                            waiting.push((path, depth + 1));
                        }
                    }
                    Ok(None) => {}
                    _ => self.loose(&path, &name),
                }
            }
        }
    }

    fn loose(&mut self, path: &Path, file: &OsStr) {
        // A ref that is being written, or was when its writer died; git passes it by too.
        if file.as_bytes().ends_with(b".lock") {
            return;
        }
        let Some(name) = path.to_str().filter(|name| git2::Reference::is_valid_name(name)) else {
            self.refuse(path.to_string_lossy(), "not a valid ref name");
            return;
        };
        let Some(content) = self.read(path, MAX_LOOSE) else { return };
        match value(&content) {
            Some(value) => {
                self.loose.insert(name.to_owned(), value);
            }
            None => self.refuse(name, "neither an object nor a ref"),
        }
    }

    fn stash(&mut self) -> Vec<Oid> {
        let Some(content) = self.read(Path::new("logs/refs/stash"), MAX_LOG) else { return Vec::new() };
        let mut entries = Vec::new();
        for line in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match line.get(41..81).and_then(id) {
                Some(id) => entries.push(id),
                None if self.is_hopeless() => break,
                None => {
                    self.refuse("logs/refs/stash", format!("cannot read `{}`", String::from_utf8_lossy(clip(line))));
                }
            }
        }
        entries.reverse();
        entries
    }

    fn worktrees(&mut self) -> Vec<(String, Oid)> {
        let mut found = Vec::new();
        if !self.exists("worktrees") {
            return found;
        }
        let names = match self.git.dir(Path::new("worktrees")).and_then(|dir| dir.names()) {
            Ok(names) => names,
            Err(error) => {
                self.refuse("worktrees", format!("{error:#}"));
                return found;
            }
        };
        if names.len() > MAX_WORKTREES {
            self.refuse("worktrees", format!("more than {MAX_WORKTREES} linked worktrees"));
        }
        for name in names.into_iter().take(MAX_WORKTREES) {
            let path = Path::new("worktrees").join(&name).join("HEAD");
            if let Some(Value::Id(id)) = self.read(&path, MAX_LOOSE).as_deref().and_then(value) {
                found.push((name.to_string_lossy().into_owned(), id));
            }
        }
        found.sort();
        found
    }

    fn operation(&self) -> Option<String> {
        // A rebase stops with CHERRY_PICK_HEAD in place, so it is asked for first.
        const OPERATIONS: [(&str, &str); 8] = [
            ("rebase-merge", "rebase"),
            ("rebase-apply/applying", "am"),
            ("rebase-apply", "rebase"),
            ("MERGE_HEAD", "merge"),
            ("CHERRY_PICK_HEAD", "cherry-pick"),
            ("REVERT_HEAD", "revert"),
            ("sequencer", "cherry-pick"),
            ("BISECT_LOG", "bisect"),
        ];
        OPERATIONS.iter().find(|(name, _)| self.exists(name)).map(|(_, operation)| (*operation).into())
    }
}

fn value(content: &[u8]) -> Option<Value> {
    let content = content.trim_ascii();
    if let Some(name) = content.strip_prefix(b"ref:") {
        let name = std::str::from_utf8(name.trim_ascii()).ok()?;
        return git2::Reference::is_valid_name(name).then(|| Value::Symbolic(name.to_owned()));
    }
    id(content).map(Value::Id)
}

fn clip(line: &[u8]) -> &[u8] {
    &line[..line.len().min(80)]
}

#[cfg(test)]
mod tests;
