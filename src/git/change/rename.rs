//! Which deleted and new files are one that was renamed, decided as git decides it (`diffcore-rename.c`, `diffcore-delta.c`):
//! equal content first, then equal names that are similar by three quarters, then whatever is similar by half.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Context as _;
use git2::Repository;

use super::{Change, ChangeKind, MAX_TEXT, REGULAR, TYPE};
use crate::error::Result;
use crate::git::Oid;

/// More pairs of files than this squared are not compared by content; git's own limit.
const LIMIT: usize = 1000;
const MOST: u64 = 60_000;
/// Half of the larger file comes from the other.
const LEAST: u64 = MOST / 2;
/// Asked of two files that have the same name in different directories.
const LEAST_OF_NAMESAKES: u64 = MOST * 3 / 4;
/// So many candidates are kept for each new file.
const CANDIDATES: usize = 4;

/// Turns pairs of a deletion and a creation into renames.
pub(super) fn pair(repository: &Repository, changes: &mut Vec<Change>) -> Result<()> {
    let of = |kind| (0..changes.len()).filter(|&at| changes[at].kind == kind).collect::<Vec<_>>();
    let (sources, targets) = (of(ChangeKind::Delete), of(ChangeKind::Create));
    if sources.is_empty() || targets.is_empty() {
        return Ok(());
    }
    let mut search = Search { repository, changes, sources, targets, pairs: BTreeMap::new(), files: HashMap::new() };
    search.identical();
    search.namesakes()?;
    search.similar()?;
    let pairs = search.pairs;
    let mut gone: Vec<usize> = Vec::new();
    for (target, source) in pairs {
        let old = changes[source].clone();
        let change = &mut changes[target];
        change.kind = ChangeKind::Rename;
        (change.old_path, change.old_mode, change.old_id) = (Some(old.path), old.old_mode, old.old_id);
        gone.push(source);
    }
    let mut at = 0;
    gone.sort_unstable();
    changes.retain(|_| {
        at += 1;
        gone.binary_search(&(at - 1)).is_err()
    });
    Ok(())
}

struct Search<'a> {
    repository: &'a Repository,
    changes: &'a [Change],
    /// What is left of both; indices of changes, by path.
    sources: Vec<usize>,
    targets: Vec<usize>,
    /// The source of each target found so far.
    pairs: BTreeMap<usize, usize>,
    files: HashMap<Oid, File>,
}

/// What is known of a content.
#[derive(Default)]
struct File {
    size: u64,
    /// Bytes by the hash of the piece that they are in; read when it is first needed.
    pieces: Option<Vec<(u32, u64)>>,
}

impl Search<'_> {
    fn found(&mut self, source: usize, target: usize) {
        self.pairs.insert(target, source);
    }

    fn settle(&mut self) {
        let used: HashSet<usize> = self.pairs.values().copied().collect();
        self.sources.retain(|source| !used.contains(source));
        self.targets.retain(|target| !self.pairs.contains_key(target));
    }

    fn identical(&mut self) {
        let mut by_id: HashMap<Oid, Vec<usize>> = HashMap::new();
        for &source in &self.sources {
            if let Some(id) = self.changes[source].old_id {
                by_id.entry(id).or_default().push(source);
            }
        }
        for target in self.targets.clone() {
            let new = &self.changes[target];
            let Some(same) = new.id.and_then(|id| by_id.get_mut(&id)) else { continue };
            let fits = |&&source: &&usize| {
                let (old, new) = (self.changes[source].old_mode, new.mode);
                (is_regular(old) && is_regular(new)) || old == new
            };
            let namesake =
                same.iter().filter(fits).find(|&&source| name(&self.changes[source].path) == name(&new.path));
            if let Some(&source) = namesake.or_else(|| same.iter().find(fits)) {
                same.retain(|other| *other != source);
                self.found(source, target);
            }
        }
        self.settle();
    }

    /// Compares files whose name is there once on each side.
    fn namesakes(&mut self) -> Result<()> {
        let once = |all: &[usize]| {
            let mut names: HashMap<&[u8], Option<usize>> = HashMap::new();
            for &at in all {
                names.entry(name(&self.changes[at].path)).and_modify(|only| *only = None).or_insert(Some(at));
            }
            names
        };
        let (sources, targets) = (once(&self.sources), once(&self.targets));
        let mut both: Vec<(usize, usize)> =
            sources.iter().filter_map(|(name, source)| Some(((*source)?, (*targets.get(name)?)?))).collect();
        both.sort_unstable();
        for (source, target) in both {
            if self.score(source, target)? >= LEAST_OF_NAMESAKES {
                self.found(source, target);
            }
        }
        self.settle();
        Ok(())
    }

    fn similar(&mut self) -> Result<()> {
        if self.sources.len().saturating_mul(self.targets.len()) > LIMIT * LIMIT {
            return Ok(());
        }
        let mut all = Vec::new();
        for target in self.targets.clone() {
            let mut best = Vec::new();
            for source in self.sources.clone() {
                let score = self.score(source, target)?;
                if score >= LEAST {
                    let is_namesake = name(&self.changes[source].path) == name(&self.changes[target].path);
                    best.push((score, is_namesake, source, target));
                }
            }
            best.sort_by_key(|&(score, is_namesake, ..)| std::cmp::Reverse((score, is_namesake)));
            best.truncate(CANDIDATES);
            all.append(&mut best);
        }
        all.sort_by_key(|&(score, is_namesake, ..)| std::cmp::Reverse((score, is_namesake)));
        let mut used = Vec::new();
        for (_, _, source, target) in all {
            if !used.contains(&source) && !self.pairs.contains_key(&target) {
                used.push(source);
                self.found(source, target);
            }
        }
        Ok(())
    }

    /// Returns how much of the larger file is in the other, of [`MOST`]; 0 for less than half.
    fn score(&mut self, source: usize, target: usize) -> Result<u64> {
        let (old, new) = (&self.changes[source], &self.changes[target]);
        let (Some(old_id), Some(new_id)) = (old.old_id, new.id) else { return Ok(0) };
        if !is_regular(old.old_mode) || !is_regular(new.mode) {
            return Ok(0);
        }
        let (old_size, new_size) = (self.size(old_id)?, self.size(new_id)?);
        let (larger, smaller) = (old_size.max(new_size), old_size.min(new_size));
        if new_size == 0 || larger > MAX_TEXT.unsigned_abs() || larger * LEAST < (larger - smaller) * MOST {
            return Ok(0);
        }
        self.read(old_id)?;
        self.read(new_id)?;
        let pieces = |id| self.files.get(id).and_then(|file| file.pieces.as_deref()).unwrap_or_default();
        let score = common(pieces(&old_id), pieces(&new_id)) * MOST / larger;
        Ok(if score < LEAST { 0 } else { score })
    }

    fn size(&mut self, id: Oid) -> Result<u64> {
        if let Some(file) = self.files.get(&id) {
            return Ok(file.size);
        }
        let header = self.repository.odb().and_then(|odb| odb.read_header(id));
        let (size, _) = header.with_context(|| format!("cannot read object {id}"))?;
        self.files.insert(id, File { size: size as u64, pieces: None });
        Ok(size as u64)
    }

    fn read(&mut self, id: Oid) -> Result<()> {
        let file = self.files.entry(id).or_default();
        if file.pieces.is_none() {
            let blob = self.repository.find_blob(id).with_context(|| format!("cannot read object {id}"))?;
            file.pieces = Some(pieces(blob.content(), !blob.is_binary()));
        }
        Ok(())
    }
}

fn is_regular(mode: Option<u32>) -> bool {
    mode.is_some_and(|mode| mode & TYPE == REGULAR)
}

fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Cuts a content into lines, long ones every 64 bytes, and counts the bytes of each by its hash; sorted by hash.
fn pieces(content: &[u8], is_text: bool) -> Vec<(u32, u64)> {
    const HASHES: u32 = 107_927;
    let mut counts: HashMap<u32, u64> = HashMap::new();
    let (mut one, mut other, mut length) = (0_u32, 0_u32, 0_u64);
    for (at, &byte) in content.iter().enumerate() {
        if is_text && byte == b'\r' && content.get(at + 1) == Some(&b'\n') {
            continue;
        }
        let old = one;
        one = ((one << 7) ^ (other >> 25)).wrapping_add(u32::from(byte));
        other = (other << 7) ^ (old >> 25);
        length += 1;
        if length == 64 || byte == b'\n' {
            *counts.entry(one.wrapping_add(other.wrapping_mul(0x61)) % HASHES).or_default() += length;
            (one, other, length) = (0, 0, 0);
        }
    }
    if length > 0 {
        *counts.entry(one.wrapping_add(other.wrapping_mul(0x61)) % HASHES).or_default() += length;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable();
    counts
}

/// Counts the bytes that both have.
fn common(one: &[(u32, u64)], other: &[(u32, u64)]) -> u64 {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut sum = 0;
    while let (Some((hash, count)), Some((other_hash, other_count))) = (one.peek(), other.peek()) {
        match hash.cmp(other_hash) {
            std::cmp::Ordering::Less => drop(one.next()),
            std::cmp::Ordering::Greater => drop(other.next()),
            std::cmp::Ordering::Equal => {
                sum += count.min(other_count);
                one.next();
                other.next();
            }
        }
    }
    sum
}
