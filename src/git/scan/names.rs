//! What a name in a tree means: ignored, tracked all the same, brought in by stead, a submodule, or not to be recorded.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::PoisonError;

use rustix::fs::FileType;

use super::{Entry, MAX_INDEX, Node, Scan, TopKind};
use crate::git::ignore::{self, Patterns};
use crate::git::seen::{self, EntryKind};
use crate::git::{Oid, tracked};
use crate::store::dotgit::is_dot_git;
use crate::store::walk::{self, Attributes, Content};

/// What the ignore rules say of everything in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::git) enum Inside {
    /// Nothing: look at each name.
    Plain,
    /// It is ignored, but something in it is tracked.
    Ignored(EntryKind),
    /// stead brought it in, so that all of it is recorded.
    Brought,
}

impl Inside {
    /// Returns what such a directory is remembered as.
    pub(super) fn directory(self) -> EntryKind {
        match self {
            Self::Ignored(EntryKind::NewlyIgnored) => EntryKind::NewlyIgnoredDirectory,
            Self::Ignored(_) => EntryKind::IgnoredDirectory,
            Self::Plain | Self::Brought => EntryKind::Directory,
        }
    }
}

impl Scan<'_> {
    /// Returns how a name is ignored, if it is: only what the live rules ignore is, and it is newly so unless the base's
    /// rules ignore it too.
    pub(super) fn verdict(&self, node: &Node, name: &[u8], is_directory: bool) -> Option<EntryKind> {
        let path = join(&node.path, name);
        if !self.is_ignored(node, &path, is_directory, |node| node.live_rules()) {
            return None;
        }
        let is_nested = !node.top.top.path.is_empty();
        let is_disposable = || {
            path.split(|byte| *byte == b'/')
                .any(|component| self.limits.disposable.iter().any(|name| name.as_bytes() == component))
        };
        if is_nested || is_disposable() || self.is_ignored(node, &path, is_directory, |node| node.base_rules(self)) {
            Some(EntryKind::Ignored)
        } else {
            Some(EntryKind::NewlyIgnored)
        }
    }

    fn is_ignored<'n>(
        &self,
        node: &'n Node,
        path: &[u8],
        is_directory: bool,
        rules: impl Fn(&'n Node) -> Option<&'n Patterns>,
    ) -> bool {
        let mut current = node;
        loop {
            let relative = if current.path.is_empty() { path } else { &path[current.path.len() + 1..] };
            if let Some(verdict) = rules(current).and_then(|rules| rules.verdict(relative, is_directory)) {
                return verdict;
            }
            match &current.parent {
                Some(parent) => current = parent,
                None => return self.global.verdict(relative, is_directory).unwrap_or(false),
            }
        }
    }

    /// Returns whether git tracks what is at `name`, or something below it: in the base, or by the agent's own index.
    pub(super) fn is_tracked(&self, node: &Node, name: &[u8], is_directory: bool) -> bool {
        if node.base_entry(self, name).is_some() {
            return true;
        }
        let path = node.in_repository(name);
        let tracked = node.tracked(self);
        let is_in_index = if is_directory {
            let below = join(&path, b"");
            let first = tracked.index.partition_point(|entry| entry.path < below);
            tracked.index.get(first).is_some_and(|entry| entry.path.starts_with(&below))
        } else {
            tracked.index.binary_search_by(|entry| entry.path.cmp(&path)).is_ok()
        };
        is_in_index || tracked.is_in_head(self, &path)
    }

    /// Returns whether the base has files in the directory at `name`.
    pub(super) fn is_tracked_directory(&self, node: &Node, name: &[u8]) -> bool {
        node.base_entry(self, name).is_some_and(|(_, mode, _)| *mode == 0o040_000)
    }

    /// Returns what it means for a path, ignored as `kind`, that stead brought it in or something below it.
    pub(super) fn brought(&self, path: &[u8], kind: EntryKind) -> Option<Inside> {
        let mut leads = None;
        for brought in self.brought {
            let brought = brought.as_os_str().as_bytes();
            if is_at_or_below(path, brought) {
                return Some(Inside::Brought);
            }
            if is_at_or_below(brought, path) {
                leads = Some(Inside::Ignored(kind));
            }
        }
        leads
    }

    /// Returns the commit of the submodule at `name`, by the base or by the agent's index.
    pub(super) fn gitlink(&self, node: &Node, name: &[u8]) -> Option<Oid> {
        const GITLINK: u32 = 0o160_000;
        if let Some((_, mode, id)) = node.base_entry(self, name) {
            return (*mode == GITLINK).then_some(*id);
        }
        let path = node.in_repository(name);
        let index = &node.tracked(self).index;
        let at = index.binary_search_by(|entry| entry.path.as_slice().cmp(&path)).ok()?;
        (index[at].mode == GITLINK).then_some(index[at].id)
    }

    /// Returns the commit that the submodule at `name` is at, if it is checked out.
    pub(super) fn head_of(parent: &Node, name: &[u8]) -> Option<Oid> {
        let directory = walk::open_in(&parent.directory, name).ok()?;
        let gitdir = match walk::open_in(&directory, b".git") {
            Ok(gitdir) => gitdir,
            Err(_) => parent.module(&join(&parent.path, name), &small(&directory, b".git")?)?,
        };
        head_in(&gitdir)
    }
}

/// What git tracks beside what is in the base.
pub(super) struct Tracked {
    /// By the agent's own index, with paths from the top of the repository.
    index: Vec<tracked::Entry>,
    /// The tree of the agent's head where the index is gone or broken: the head alone says then what was added in spite of the
    /// rules, and would seem to be deleted if it was passed by.
    head: Option<Oid>,
}

impl Tracked {
    fn read(top: &OwnedFd, scan: &Scan<'_>) -> Self {
        let gitdir = walk::open_in(top, b".git").ok();
        let file = |name: &[u8]| match walk::read(gitdir.as_ref()?, name, MAX_INDEX) {
            Ok(Content::Whole(content, _)) => Some(content),
            _ => None,
        };
        let index = file(b"index").map(|content| tracked::Index::read(&content, |shared| file(shared.as_bytes())));
        let index = index.unwrap_or_default();
        let head = gitdir.as_ref().filter(|_| !index.is_whole).and_then(head_in).and_then(|head| {
            let known = scan.known.lock().unwrap_or_else(PoisonError::into_inner);
            Some(known.find_commit(head).ok()?.tree_id())
        });
        Self { index: index.into_entries(), head }
    }

    fn is_in_head(&self, scan: &Scan<'_>, path: &[u8]) -> bool {
        self.head.is_some_and(|head| {
            let known = scan.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.find_tree(head).is_ok_and(|tree| tree.get_path(Path::new(OsStr::from_bytes(path))).is_ok())
        })
    }
}

/// Returns the commit that the HEAD of a git directory is at.
fn head_in(gitdir: &OwnedFd) -> Option<Oid> {
    let head = small(gitdir, b"HEAD")?;
    let Some(reference) = head.strip_prefix(b"ref: ") else { return id(&head) };
    let (folder, file) = split(reference);
    let loose = descend(gitdir, folder).and_then(|folder| id(&small(&folder, file)?));
    loose.or_else(|| {
        let packed = small(gitdir, b"packed-refs")?;
        let line = packed.split(|byte| *byte == b'\n').find(|line| line.get(41..) == Some(reference))?;
        id(line)
    })
}

impl Node {
    pub(super) fn add(&self, entry: Entry) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// Returns whether a name belongs into a snapshot at all.
    pub(super) fn records(&self, name: &[u8]) -> bool {
        match self.top.top.kind {
            TopKind::Files => !is_dot_git(name),
            TopKind::GitDir => self.records_in_git(name),
        }
    }

    fn live_rules(&self) -> Option<&Patterns> {
        if !self.has_rules {
            return None;
        }
        let read = || match walk::read(&self.directory, b".gitignore", ignore::MAX_SIZE) {
            Ok(Content::Whole(content, _)) => Some(Patterns::parse(&content)),
            _ => None,
        };
        self.live.get_or_init(read).as_ref()
    }

    fn base_rules(&self, scan: &Scan<'_>) -> Option<&Patterns> {
        let read = || {
            let (_, mode, id) = self.base_entry(scan, b".gitignore")?;
            let known = scan.known.lock().unwrap_or_else(PoisonError::into_inner);
            let blob = known.find_blob(*id).ok().filter(|_| mode & 0o170_000 == 0o100_000)?;
            Some(Patterns::parse(blob.content()))
        };
        self.base_rules.get_or_init(read).as_ref()
    }

    /// Returns what the base holds at `name` in this directory.
    fn base_entry(&self, scan: &Scan<'_>, name: &[u8]) -> Option<&(Vec<u8>, u32, Oid)> {
        let read = || {
            let tree = match &self.parent {
                None => self.top.base,
                Some(parent) => parent.base_entry(scan, &self.name).map(|(_, _, id)| *id),
            };
            let Some(tree) = tree else { return Vec::new() };
            let known = scan.known.lock().unwrap_or_else(PoisonError::into_inner);
            let Ok(tree) = known.find_tree(tree) else { return Vec::new() };
            let mut entries: Vec<_> = tree
                .iter()
                .map(|entry| (entry.name_bytes().to_vec(), entry.filemode_raw().cast_unsigned(), entry.id()))
                .collect();
            entries.sort_unstable();
            entries
        };
        let entries = self.base.get_or_init(read);
        entries.binary_search_by(|(other, _, _)| other.as_slice().cmp(name)).ok().map(|index| &entries[index])
    }

    /// Returns what git tracks in the repository beside what is in the base.
    fn tracked(&self, scan: &Scan<'_>) -> &Tracked {
        let read = || {
            let mut top = self;
            while let Some(parent) = &top.parent {
                top = parent;
            }
            Tracked::read(&top.directory, scan)
        };
        self.top.tracked.get_or_init(read)
    }

    /// Returns the path of `name` from the top of its repository.
    fn in_repository(&self, name: &[u8]) -> Vec<u8> {
        let path = join(&self.path, name);
        let top = self.top.top.path.len();
        if top == 0 { path } else { path[top + 1..].to_vec() }
    }

    /// Opens what a submodule's `.git` file names, when that is below `.git/modules/` of the tree.
    fn module(&self, path: &[u8], file: &[u8]) -> Option<OwnedFd> {
        let mut components: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        for component in file.strip_prefix(b"gitdir: ")?.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => drop(components.pop()?),
                name => components.push(name),
            }
        }
        if !components.starts_with(&[b".git", b"modules"]) {
            return None;
        }
        let mut top = self;
        while let Some(parent) = &top.parent {
            top = parent;
        }
        descend(&top.directory, &components.join(&b'/'))
    }
}

pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

pub(super) fn blank(name: Vec<u8>, kind: EntryKind) -> Entry {
    Entry { name, kind, stamp: walk::Stamp::default(), mode: 0, id: Oid::ZERO_SHA1 }
}

pub(super) fn owned(entry: &seen::Entry<&[u8]>) -> Entry {
    Entry { name: Vec::new(), kind: entry.kind, stamp: entry.stamp, mode: entry.mode, id: entry.id }
}

pub(super) fn kind_of(attributes: &Attributes) -> EntryKind {
    match attributes.kind {
        FileType::Symlink => EntryKind::Link,
        FileType::Directory => EntryKind::Directory,
        _ if attributes.mode & 0o100 != 0 => EntryKind::Program,
        _ => EntryKind::File,
    }
}

pub(super) fn special(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "unknown",
    }
}

/// Returns the reason of an I/O error, for people.
pub(in crate::git) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Mixes `bytes` into an id of rules (FNV-1a).
pub(super) fn combine(id: u64, bytes: &[u8]) -> u64 {
    let id = bytes
        .iter()
        .fold(id ^ 0xcbf2_9ce4_8422_2325, |id, byte| (id ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    id & (u64::MAX >> 1)
}

/// Returns the bytes by which git sorts an entry of a tree.
pub(super) fn sort_key(entry: &Entry) -> impl Iterator<Item = &u8> {
    let slash: &[u8] = if entry.kind.is_directory() { b"/" } else { b"" };
    entry.name.iter().chain(slash)
}

fn is_at_or_below(path: &[u8], top: &[u8]) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Opens a directory below another, component by component.
fn descend(directory: &OwnedFd, path: &[u8]) -> Option<OwnedFd> {
    let mut current = directory.try_clone().ok()?;
    for component in path.split(|byte| *byte == b'/').filter(|component| !component.is_empty()) {
        if component == b".." {
            return None;
        }
        current = walk::open_in(&current, component).ok()?;
    }
    Some(current)
}

/// Reads a small file of one line or more, without the white space behind it.
fn small(directory: &OwnedFd, name: &[u8]) -> Option<Vec<u8>> {
    match walk::read(directory, name, 1 << 20) {
        Ok(Content::Whole(content, _)) => Some(content.trim_ascii_end().to_vec()),
        _ => None,
    }
}

/// Reads the id at the start of a line.
fn id(line: &[u8]) -> Option<Oid> {
    std::str::from_utf8(line.get(..40)?).ok()?.parse().ok()
}
