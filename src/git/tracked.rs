//! Which paths a git index file (versions 2 to 4) tracks, and what git saw of them.
//!
//! The file may be the agent's: nothing in it is believed but that a path is to be looked at. A shared index
//! (`split-index`) gives only its own part.

use std::collections::HashSet;

use git2::{ObjectType, Repository};

use crate::git::Oid;
use crate::store::walk::Stamp;

/// One entry of stage 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) id: Oid,
    /// As git saw it; a size is cut to 32 bits.
    pub(crate) stamp: Stamp,
    /// It is not to be checked out (`skip-worktree`), as `git sparse-checkout` has it; a whole directory ends in a slash.
    pub(crate) skipped: bool,
}

/// No path on disk is longer.
const MAX_PATH: usize = 4096;

/// Adds the ids of all files and folders of a tree, or of a commit's; of what cannot be read none.
pub(crate) fn blobs(repository: &Repository, id: Oid, into: &mut HashSet<Oid>) {
    let found = repository.find_object(id, None).and_then(|object| object.peel_to_tree());
    let mut waiting: Vec<Oid> = found.into_iter().map(|tree| tree.id()).collect();
    while let Some(tree) = waiting.pop() {
        let Ok(tree) = repository.find_tree(tree) else { continue };
        for entry in &tree {
            // A tree may name another one a million times.
            if into.insert(entry.id()) && entry.kind() == Some(ObjectType::Tree) {
                waiting.push(entry.id());
            }
        }
    }
}

/// Returns the entries in the order of the file, which is that of their paths; up to the first that makes no sense.
pub(crate) fn entries(bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    each(bytes, |entry, stage| {
        if stage == 0 {
            entries.push(entry);
        }
    });
    entries
}

/// Returns the entries when all of them could be read.
pub(crate) fn all_entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    each(bytes, |entry, stage| {
        if stage == 0 {
            entries.push(entry);
        }
    })?;
    Some(entries)
}

/// Returns the paths that have entries of other stages: a merge that is not resolved.
pub(crate) fn unmerged(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    each(bytes, |entry, stage| {
        if stage != 0 && paths.last() != Some(&entry.path) {
            paths.push(entry.path);
        }
    });
    paths
}

/// Adds an entry to the content of a tree, as git writes it.
pub(super) fn add_to_tree(content: &mut Vec<u8>, mode: u32, name: &[u8], id: Oid) {
    content.extend_from_slice(format!("{mode:o} ").as_bytes());
    content.extend_from_slice(name);
    content.push(0);
    content.extend_from_slice(id.as_bytes());
}

/// Returns the id of the tree that a commit of these entries would have. Entries that are not in git's order make a tree that
/// no repository has.
pub(crate) fn tree(entries: &[Entry]) -> Option<Oid> {
    fn close<'a>(open: &mut Vec<(&'a [u8], Vec<u8>)>) -> Option<(&'a [u8], Oid)> {
        let (name, content) = open.pop()?;
        Some((name, Oid::hash_object(ObjectType::Tree, &content).ok()?))
    }
    const DIRECTORY: u32 = 0o040_000;
    let mut open: Vec<(&[u8], Vec<u8>)> = vec![(b"", Vec::new())];
    // The directory of the entry before, with a slash at its end.
    let mut at: &[u8] = b"";
    for entry in entries {
        let (directory, name) =
            entry.path.split_at(entry.path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1));
        while !directory.starts_with(at) {
            let (closed, id) = close(&mut open)?;
            add_to_tree(&mut open.last_mut()?.1, DIRECTORY, closed, id);
            at = at.strip_suffix(b"/")?;
            at = &at[..at.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1)];
        }
        let deeper = directory[at.len()..].split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        open.extend(deeper.map(|name| (name, Vec::new())));
        at = directory;
        add_to_tree(&mut open.last_mut()?.1, entry.mode, name, entry.id);
    }
    loop {
        let (closed, id) = close(&mut open)?;
        match open.last_mut() {
            Some((_, parent)) => add_to_tree(parent, DIRECTORY, closed, id),
            None => return Some(id),
        }
    }
}

/// Returns the ids of all objects that the file names: contents at all stages, and trees that it remembers.
pub(crate) fn named(bytes: &[u8]) -> Vec<Oid> {
    const GITLINK: u32 = 0o160_000;
    let mut ids = Vec::new();
    let Some(mut rest) = each(bytes, |entry, _| {
        if entry.mode != GITLINK {
            ids.push(entry.id);
        }
    }) else {
        return ids;
    };
    // Extensions, and a checksum at the end.
    while let (Some(name), Some(size)) = (rest.take(4), rest.number()) {
        let Some(content) = rest.take(size as usize) else { break };
        if name == b"TREE" {
            ids.extend(trees(content));
        }
    }
    ids.retain(|id| !id.is_zero());
    ids
}

/// Reads the cached trees: path, number of entries (-1 where it is not known), number of subtrees, id.
fn trees(content: &[u8]) -> Vec<Oid> {
    let mut ids = Vec::new();
    let mut reader = Reader { bytes: content };
    while reader.until_nul().is_some() {
        let Some(end) = reader.bytes.iter().position(|byte| *byte == b'\n') else { break };
        let Some(line) = reader.take(end + 1) else { break };
        if !line.starts_with(b"-") {
            ids.extend(reader.take(20).and_then(|id| Oid::from_bytes(id).ok()));
        }
    }
    ids
}

/// Calls `found` with each entry and its stage; returns what is behind them when all could be read.
fn each(bytes: &[u8], mut found: impl FnMut(Entry, u16)) -> Option<Reader<'_>> {
    let mut reader = Reader { bytes };
    let (b"DIRC", version, count) = (reader.take(4)?, reader.number()?, reader.number()?) else { return None };
    if !(2..=4).contains(&version) {
        return None;
    }
    let mut previous = Vec::new();
    for _ in 0..count {
        let (entry, stage) = entry(&mut reader, version, &previous)?;
        // With prefixes left out, a small file could say very long paths again and again.
        if entry.path.len() > MAX_PATH {
            return None;
        }
        previous.clone_from(&entry.path);
        found(entry, stage);
    }
    Some(reader)
}

fn entry(reader: &mut Reader<'_>, version: u32, previous: &[u8]) -> Option<(Entry, u16)> {
    let start = reader.bytes.len();
    let mut number = || reader.number();
    let ctime = (i64::from(number()?), number()?);
    let mtime = (i64::from(number()?), number()?);
    let (_device, inode, mode) = (number()?, number()?, number()?);
    let (_user, _group, size) = (number()?, number()?, number()?);
    let id = Oid::from_bytes(reader.take(20)?).ok()?;
    let flags = u16::from_be_bytes(reader.take(2)?.try_into().ok()?);
    let mut skipped = false;
    if flags & 0x4000 != 0 && version >= 3 {
        skipped = u16::from_be_bytes(reader.take(2)?.try_into().ok()?) & 0x4000 != 0;
    }
    let path = if version == 4 {
        let strip = reader.offset()?;
        let mut path = previous.get(..previous.len().checked_sub(strip)?)?.to_vec();
        path.extend_from_slice(reader.until_nul()?);
        path
    } else {
        let path = reader.until_nul()?.to_vec();
        // One to eight NULs pad the entry; one is read.
        let used = start - reader.bytes.len();
        reader.take((8 - used % 8) % 8)?;
        path
    };
    let stamp = Stamp { inode, size: u64::from(size), mtime, ctime };
    Some((Entry { path, mode, id, stamp, skipped }, (flags >> 12) & 3))
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn until_nul(&mut self) -> Option<&'a [u8]> {
        let end = self.bytes.iter().position(|byte| *byte == 0)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }

    /// Reads the variable-width number of version 4, like the offsets of packs.
    fn offset(&mut self) -> Option<usize> {
        let mut byte = self.take(1)?[0];
        let mut value = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.take(1)?[0];
            value = value.checked_add(1)?.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_does_not_become_many_long_paths() {
        let entry = |strip: u8, suffix: &[u8]| [&[0; 62][..], &[strip], suffix, &[0]].concat();
        let file = |length: usize| {
            let long = vec![b'a'; length];
            [b"DIRC\0\0\0\x04\0\0\0\x03".as_slice(), &entry(0, &long), &entry(0, b""), &entry(1, b"")].concat()
        };
        assert_eq!(entries(&file(4096)).len(), 3);
        assert!(entries(&file(4097)).is_empty());
    }

    #[test]
    fn the_tree_of_entries_is_that_of_git() {
        let entry = |path: &str, mode: u32| Entry {
            path: path.into(),
            mode,
            id: Oid::hash_object(ObjectType::Blob, path.as_bytes()).expect("a hash"),
            stamp: Stamp::default(),
            skipped: false,
        };
        let paths = ["a-b", "a.x", "a/b/c", "a/b/d/e", "a/c", "a0", "b/x/y/z", "c", "é/ü"];
        let entries: Vec<Entry> = paths.iter().map(|path| entry(path, 0o100_644)).collect();
        let dir = tempfile::tempdir().expect("a directory");
        let git = |args: &[&str], input: &str| {
            use std::io::Write as _;
            use std::process::Stdio;
            let mut command = crate::git::oracle::git();
            command.arg("-C").arg(dir.path()).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = command.spawn().expect("git starts");
            child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("git reads");
            String::from_utf8(child.wait_with_output().expect("git ends").stdout).expect("text").trim().to_owned()
        };
        git(&["init", "-q"], "");
        let lines: Vec<String> = entries
            .iter()
            .map(|entry| format!("{:o} {}\t{}", entry.mode, entry.id, String::from_utf8_lossy(&entry.path)))
            .collect();
        git(&["update-index", "--index-info"], &lines.join("\n"));
        let expected = git(&["write-tree", "--missing-ok"], "");
        assert_eq!(tree(&entries).map(|id| id.to_string()), Some(expected.clone()));
        let mut turned = entries;
        turned.swap(0, 5);
        assert_ne!(tree(&turned).map(|id| id.to_string()), Some(expected));
        assert_eq!(tree(&[]), Oid::hash_object(ObjectType::Tree, b"").ok());
    }

    #[test]
    fn nonsense_has_no_entries() {
        assert!(entries(b"").is_empty());
        assert!(entries(b"DIRC\0\0\0\x02\xff\xff\xff\xff").is_empty());
        assert!(entries(&[b"DIRC\0\0\0\x04\0\0\0\x01".as_slice(), &[0xff; 80]].concat()).is_empty());
    }
}
