//! The small files of an agent's `.git` as a snapshot recorded them, and the objects that they name. Read as text: they are
//! the agent's, and nothing in them is believed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use git2::Repository;

use crate::error::Result;
use crate::git::tracked::Index;
use crate::git::{Oid, agentdir, recorded, snapshot};

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

/// Files by their path in a git directory.
pub(crate) type Files = BTreeMap<Vec<u8>, File>;

/// The files, by their path in `.git`.
pub(crate) fn files(repository: &Repository, gitdir: Oid) -> Result<Files> {
    let mut files = BTreeMap::new();
    recorded::each(repository, gitdir, &mut |path, mode, id| {
        files.insert(path.to_vec(), File { mode, id });
    })?;
    Ok(files)
}

/// Returns the files of each git directory by its path in `.git`: that of `.git` itself is empty, the others are submodules'.
pub(crate) fn parts(files: Files) -> BTreeMap<Vec<u8>, Files> {
    // Nothing but directories lead to one, so the first that holds such a file is one, whatever else there is below.
    let tops: BTreeSet<Vec<u8>> = files
        .keys()
        .filter(|path| path.starts_with(MODULES))
        .filter_map(|path| path.iter().rposition(|byte| *byte == b'/').map(|slash| path.split_at(slash)))
        .filter(|(_, name)| snapshot::records_of_git(&name[1..]))
        .map(|(top, _)| top.to_vec())
        .collect();
    let mut parts = BTreeMap::from([(Vec::new(), Files::new())]);
    for (path, file) in files {
        let module = module_of(&tops, &path);
        let start = if module.is_empty() { 0 } else { module.len() + 1 };
        let (module, path) = (module.to_vec(), path[start..].to_vec());
        parts.entry(module).or_default().insert(path, file);
    }
    parts
}

/// Where the git directories of submodules are in one.
const MODULES: &[u8] = b"modules/";

/// Returns the innermost git directory that a path is in.
fn module_of<'p>(tops: &BTreeSet<Vec<u8>>, path: &'p [u8]) -> &'p [u8] {
    let mut module = &path[..0];
    loop {
        let start = if module.is_empty() { 0 } else { module.len() + 1 };
        if !path[start..].starts_with(MODULES) {
            return module;
        }
        let start = start + MODULES.len();
        let ends = path[start..].iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| start + at);
        match ends.map(|end| &path[..end]).find(|part| tops.contains(*part)) {
            Some(inner) => module = inner,
            None => return module,
        }
    }
}

/// Returns whether two recorded git directories are the same; but for those of submodules in them where these are not known of
/// both.
pub(crate) fn is_same(repository: &Repository, one: Oid, other: Oid, with_modules: bool) -> Result<bool> {
    let entries = |id: Oid| -> Result<Vec<(Vec<u8>, Oid)>> {
        let tree = repository.find_tree(id).with_context(|| format!("cannot read tree {id}"))?;
        let names = tree.iter().map(|entry| (entry.name_bytes().to_vec(), entry.id()));
        Ok(names.filter(|(name, _)| name != b"modules").collect())
    };
    Ok(one == other || !with_modules && entries(one)? == entries(other)?)
}

/// Returns what HEAD and the refs say, by their full names: an id in hex, or `ref: NAME`; and under `stash@{N}` the entries of
/// the stash. Each git directory of a submodule has its own, by its path; that of `.git` itself is empty.
pub(crate) fn all_refs(repository: &Repository, gitdir: Oid) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    let parts = parts(files(repository, gitdir)?);
    let named = |module: &[u8]| String::from_utf8_lossy(module).into_owned();
    Ok(parts.iter().map(|(module, files)| (named(module), refs(repository, files))).collect())
}

/// The same for one git directory.
pub(crate) fn refs(repository: &Repository, files: &Files) -> BTreeMap<String, String> {
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

/// Returns what the files of a git directory would run commands by, sorted, by the names of `agentdir::held_config`; `module` is
/// its path in `.git`.
pub(crate) fn held(repository: &Repository, module: &[u8], files: &Files) -> Vec<String> {
    let config = files.get(&b"config"[..]).filter(|file| !file.is_link());
    let config = config.and_then(|file| repository.find_blob(file.id).ok());
    let names = files.iter().map(|(path, file)| (path.as_slice(), file.mode));
    agentdir::held_recorded(module, names, config.as_ref().map(git2::Blob::content))
}

/// Returns the index that was recorded, with the shared one of that name, which `file` finds.
pub(crate) fn index(repository: &Repository, content: &[u8], file: impl FnOnce(&[u8]) -> Option<File>) -> Index {
    Index::read(content, |name| {
        let shared = repository.find_blob(file(name.as_bytes()).filter(|file| !file.is_link())?.id).ok()?;
        Some(shared.content().to_vec())
    })
}

/// Returns every id that a recorded `.git` names, and the git directories of submodules in it.
pub(crate) fn all_named(repository: &Repository, gitdir: Oid) -> Result<BTreeSet<Oid>> {
    let parts = parts(files(repository, gitdir)?);
    Ok(parts.values().flat_map(|files| named(repository, files)).collect())
}

/// Returns every id that the files of a git directory name: of refs, logs and operations under way, and what the index stages.
pub(crate) fn named(repository: &Repository, files: &Files) -> BTreeSet<Oid> {
    let mut named = BTreeSet::new();
    for (path, file) in files {
        let Ok(blob) = repository.find_blob(file.id) else { continue };
        let content = blob.content();
        if content.len() > MAX_TEXT {
            continue;
        }
        let beside = &path[..path.len() - in_worktree(path).len()];
        let path = in_worktree(path);
        if path == b"index" {
            // A linked worktree has a shared index of its own.
            let shared = |name: &[u8]| files.get(&[beside, name].concat()).copied();
            named.extend(index(repository, content, shared).named());
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

/// Returns the path in its own git directory of what belongs to a linked worktree.
pub(crate) fn in_worktree(path: &[u8]) -> &[u8] {
    let inner = path.strip_prefix(b"worktrees/").and_then(|rest| rest.splitn(2, |byte| *byte == b'/').nth(1));
    inner.unwrap_or(path)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn split(paths: &[&str]) -> Vec<(String, Vec<String>)> {
        let file = File { mode: 0o100_644, id: Oid::ZERO_SHA1 };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let parts = parts(paths.iter().map(|path| (path.as_bytes().to_vec(), file)).collect());
        parts.iter().map(|(top, files)| (text(top), files.keys().map(|path| text(path)).collect())).collect()
    }

    #[test]
    fn each_submodule_has_its_own_files() {
        let found = split(&[
            "HEAD",
            "logs/HEAD",
            "refs/heads/modules/x/HEAD",
            "modules/a/HEAD",
            "modules/a/logs/refs/remotes/origin/HEAD",
            "modules/a/refs/remotes/origin/HEAD",
            "modules/a/modules/b/c/HEAD",
            "modules/a/modules/b/c/hooks/config",
            "modules/libs/foo/config",
            "modules/libs/foo/refs/heads/index",
            "modules/modules/HEAD",
            "modules/odd/refs/heads/main",
        ]);
        let expected: &[(&str, &[&str])] = &[
            ("", &["HEAD", "logs/HEAD", "modules/odd/refs/heads/main", "refs/heads/modules/x/HEAD"]),
            ("modules/a", &["HEAD", "logs/refs/remotes/origin/HEAD", "refs/remotes/origin/HEAD"]),
            ("modules/a/modules/b/c", &["HEAD", "hooks/config"]),
            ("modules/libs/foo", &["config", "refs/heads/index"]),
            ("modules/modules", &["HEAD"]),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(top, paths)| ((*top).to_owned(), paths.iter().map(|path| (*path).to_owned()).collect()))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(split(&[]), [(String::new(), Vec::new())]);
    }
}
