//! The small files of an agent's `.git` as a snapshot recorded them, and the objects that they name. Read as text: they are
//! the agent's, and nothing in them is believed.

use std::collections::{BTreeMap, BTreeSet};

use git2::Repository;

use crate::error::Result;
use crate::git::tracked::Index;
use crate::git::{Oid, agentdir, recorded};

/// No file that is read for the ids in it is larger.
const MAX_TEXT: usize = 64 << 20;

/// A recorded file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) mode: u32,
    pub(crate) id: Oid,
}

impl File {
    pub(crate) fn is_link(self) -> bool {
        self.mode & 0o170_000 == 0o120_000
    }
}

/// The files, by their path in `.git`.
pub(crate) fn files(repository: &Repository, gitdir: Oid) -> Result<BTreeMap<Vec<u8>, File>> {
    let mut files = BTreeMap::new();
    recorded::each(repository, gitdir, &mut |path, mode, id| {
        files.insert(path.to_vec(), File { mode, id });
    })?;
    Ok(files)
}

/// Returns what HEAD and the refs say, by their full names: an id in hex, or `ref: NAME`; and under `stash@{N}` the entries of
/// the stash.
pub(crate) fn refs(repository: &Repository, files: &BTreeMap<Vec<u8>, File>) -> BTreeMap<String, String> {
    let mut refs = BTreeMap::new();
    let read = |file: &File| repository.find_blob(file.id).map(|blob| blob.content().to_vec()).unwrap_or_default();
    if let Some(file) = files.get(&b"packed-refs"[..]) {
        for line in read(file).split(|byte| *byte == b'\n') {
            if let (Some(id), Some(name)) = (line.get(..40).and_then(id), line.get(41..)) {
                refs.insert(String::from_utf8_lossy(name).into_owned(), id.to_string());
            }
        }
    }
    for (path, file) in files.iter().filter(|(path, _)| *path == b"HEAD" || path.starts_with(b"refs/")) {
        let value = String::from_utf8_lossy(read(file).trim_ascii()).into_owned();
        refs.insert(String::from_utf8_lossy(path).into_owned(), value);
    }
    if let Some(file) = files.get(&b"logs/refs/stash"[..]) {
        let log = read(file);
        let entries: Vec<Oid> =
            log.split(|byte| *byte == b'\n').filter_map(|line| line.get(41..81).and_then(id)).collect();
        for (number, entry) in entries.iter().rev().enumerate() {
            refs.insert(format!("stash@{{{number}}}"), entry.to_string());
        }
    }
    refs
}

/// Returns what the files would run commands by, sorted, by the names of `agentdir::held_config`.
pub(crate) fn held(repository: &Repository, files: &BTreeMap<Vec<u8>, File>) -> Vec<String> {
    let config = files.get(&b"config"[..]).filter(|file| !file.is_link());
    let config = config.and_then(|file| repository.find_blob(file.id).ok());
    let names = files.iter().map(|(path, file)| (path.as_slice(), file.mode));
    agentdir::held_recorded(names, config.as_ref().map(git2::Blob::content))
}

/// Returns the index that was recorded, with the shared one of that name, which `file` finds.
pub(crate) fn index(repository: &Repository, content: &[u8], file: impl FnOnce(&[u8]) -> Option<File>) -> Index {
    Index::read(content, |name| {
        let shared = repository.find_blob(file(name.as_bytes()).filter(|file| !file.is_link())?.id).ok()?;
        Some(shared.content().to_vec())
    })
}

/// Returns every id that the files name: of refs, logs and operations under way, and what the index stages.
pub(crate) fn named(repository: &Repository, files: &BTreeMap<Vec<u8>, File>) -> BTreeSet<Oid> {
    let mut named = BTreeSet::new();
    for (path, file) in files {
        let Ok(blob) = repository.find_blob(file.id) else { continue };
        let content = blob.content();
        if content.len() > MAX_TEXT {
            continue;
        }
        if path == b"index" {
            named.extend(index(repository, content, |name| files.get(name).copied()).named());
        } else if names_objects(path) {
            for line in content.split(|byte| *byte == b'\n') {
                named.extend(line.get(..40).and_then(id));
                if path.starts_with(b"logs/") {
                    named.extend(line.get(41..81).and_then(id));
                }
            }
        }
    }
    named
}

fn names_objects(path: &[u8]) -> bool {
    let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    path.starts_with(b"refs/")
        || path.starts_with(b"logs/")
        || path == b"packed-refs"
        || file.ends_with(b"HEAD")
        || matches!(path, b"AUTO_MERGE" | b"MERGE_AUTOSTASH")
        || matches!(file, b"onto" | b"orig-head" | b"stopped-sha" | b"autostash" | b"squash-onto")
}

fn id(text: &[u8]) -> Option<Oid> {
    let id: Oid = std::str::from_utf8(text).ok()?.parse().ok()?;
    (text.len() == 40 && !id.is_zero()).then_some(id)
}
