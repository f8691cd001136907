//! The walk of a capture: every directory compared with what was seen last time, what differs hashed, trees built from
//! the bottom up.
//!
//! A directory is done when its own entries and all its subdirectories are; then it becomes a tree and an entry of its
//! parent. Names are looked up in ignore rules only where they or the rules are new.

mod budget;
mod gitdir;
mod names;
mod record;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use git2::{ObjectType, OdbLookupFlags};
use rustix::fs::FileType;

pub(super) use self::budget::{Budget, Read};
pub(super) use self::gitdir::records_of_git;
use self::gitdir::{MAX_GITDIR_NAMES, Part};
pub(super) use self::names::reason;
use self::names::{Inside, Tracked, blank, combine, join, kind_of, owned, special};
use crate::config;
use crate::git::Oid;
use crate::git::ignore::{self, Patterns};
use crate::git::meta::Meta;
use crate::git::seen::{self, EntryKind, Seen};
use crate::progress::Progress;
use crate::store::walk::{self, Attributes, Content, MAX_DEPTH, Queue};

type Entry = seen::Entry<Vec<u8>>;

/// Files of one directory that are hashed by one thread at a time, and their bytes.
const BATCH: usize = 16;
const BATCH_BYTES: u64 = 4 << 20;

/// An index of the agent above this size is not read.
const MAX_INDEX: u64 = 256 << 20;

/// An object on its way to the store.
pub(super) struct Object {
    pub(super) id: Oid,
    pub(super) kind: ObjectType,
    pub(super) content: Vec<u8>,
}

/// One walk.
pub(super) struct Scan<'a> {
    pub(super) seen: &'a Seen,
    pub(super) limits: &'a config::Capture,
    pub(super) global: Patterns,
    /// What stands for the rules from outside of the tree: when it changes, every name is looked at again.
    pub(super) rules: Vec<u8>,
    pub(super) brought: &'a [PathBuf],
    /// The objects on disk, for looking up what is known and what the base holds.
    pub(super) known: Mutex<git2::Repository>,
    pub(super) device: u64,
    pub(super) progress: &'a dyn Progress,
    pub(super) meta: Mutex<Meta>,
    /// All directories but those in `.git`, with their permission bits.
    pub(super) directories: Mutex<Vec<(Vec<u8>, u32)>>,
    /// What the base's rules ignore, too: names that nothing is recorded of.
    pub(super) ignored: Mutex<Vec<Vec<u8>>>,
    pub(super) writer: Mutex<seen::Writer>,
    /// The tops that were walked, with their trees.
    pub(super) tops: Mutex<Vec<(Top, Option<Oid>)>>,
    pub(super) files: AtomicU64,
    pub(super) budget: Budget,
    /// Names of git directories, which nobody needs more of than that.
    pub(super) gitdir_names: AtomicUsize,
    /// Those of submodules apart: many must not hide what is in `.git` itself.
    pub(super) module_names: AtomicUsize,
    /// Whether anything is not as it was seen.
    pub(super) differs: AtomicBool,
    pub(super) cancelled: AtomicBool,
}

/// A directory that a snapshot of its own, or the `gitdir` of one, is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Top {
    pub(super) kind: TopKind,
    /// The path of the repository in the tree.
    pub(super) path: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopKind {
    Files,
    GitDir,
}

pub(super) enum Job {
    Directory { parent: Arc<Node>, entry: Entry, inside: Inside, gitlink: Option<Oid> },
    Top { top: Top, directory: OwnedFd, base: Option<Oid>, depth: usize },
    Files { node: Arc<Node>, names: Vec<Unread> },
}

/// A file to be read: its name, its attributes, and whether it was so already when it was read last.
type Unread = (Vec<u8>, Attributes, bool);

/// A directory being walked.
pub(super) struct Node {
    parent: Option<Arc<Self>>,
    top: Arc<TopState>,
    name: Vec<u8>,
    path: Vec<u8>,
    directory: OwnedFd,
    depth: usize,
    inside: Inside,
    /// In a git directory, what it is there.
    part: Part,
    rules: u64,
    has_rules: bool,
    live: OnceLock<Option<Patterns>>,
    base_rules: OnceLock<Option<Patterns>>,
    base: OnceLock<Vec<(Vec<u8>, u32, Oid)>>,
    /// Jobs that are not done, and one for the directory's own.
    pending: AtomicUsize,
    entries: Mutex<Vec<Entry>>,
    clean: AtomicBool,
    seen_tree: Oid,
}

struct TopState {
    top: Top,
    base: Option<Oid>,
    tracked: OnceLock<Tracked>,
}

impl Scan<'_> {
    pub(super) fn run(&self, job: Job, queue: &Queue<Job>, out: &SyncSender<Object>) {
        if self.progress.cancelled() {
            self.cancelled.store(true, Ordering::Relaxed);
        }
        if self.cancelled.load(Ordering::Relaxed) {
            return;
        }
        match job {
            Job::Top { top, directory, base, depth } => {
                let path = match top.kind {
                    TopKind::Files => top.path.clone(),
                    TopKind::GitDir => join(&top.path, b".git"),
                };
                let state = Arc::new(TopState { top, base, tracked: OnceLock::new() });
                match walk::names(&directory) {
                    Ok(names) => {
                        let opened = (directory, names);
                        let marks = (depth, Inside::Plain, Part::Top);
                        self.directory(None, state, (Vec::new(), path), opened, marks, queue, out);
                    }
                    Err(error) => {
                        self.finish_top(&state.top, None);
                        self.unreadable(path, reason(&error));
                    }
                }
            }
            Job::Directory { parent, entry, inside, gitlink } => {
                self.subdirectory(&parent, entry, inside, gitlink, queue, out);
                self.done(parent, out);
            }
            Job::Files { node, names } => {
                for (name, attributes, was_read) in names {
                    self.file(&node, name, &attributes, was_read, out);
                }
                self.done(node, out);
            }
        }
    }

    fn subdirectory(
        &self,
        parent: &Arc<Node>,
        entry: Entry,
        inside: Inside,
        gitlink: Option<Oid>,
        queue: &Queue<Job>,
        out: &SyncSender<Object>,
    ) {
        let path = join(&parent.path, &entry.name);
        if parent.top.top.kind == TopKind::Files {
            self.directories.lock().unwrap_or_else(PoisonError::into_inner).push((path.clone(), entry.mode));
        }
        let opened = if parent.depth >= MAX_DEPTH {
            Err(format!("deeper than {MAX_DEPTH} directories"))
        } else if self.seen.directory(self.device, &path).is_none() && self.budget.is_late() {
            Err(budget::LATE.to_owned())
        } else {
            walk::open_in(&parent.directory, &entry.name).map_err(|error| reason(&error))
        };
        let opened = opened.and_then(|directory| match walk::names(&directory) {
            Ok(names) if parent.top.top.kind == TopKind::GitDir => {
                let part = Part::of(parent, &entry.name, &directory, &names).ok_or("a git directory without HEAD")?;
                if self.has_room_for(&path, &names) {
                    Ok((directory, names, part))
                } else {
                    Err(format!("more than {MAX_GITDIR_NAMES} files in `.git`"))
                }
            }
            Ok(names) => Ok((directory, names, Part::Top)),
            Err(error) => Err(reason(&error)),
        });
        let (directory, names, part) = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                parent.clean.store(false, Ordering::Release);
                if let Ok(Some(attributes)) = walk::attributes(&parent.directory, &entry.name) {
                    self.stamp(parent, &path, &attributes);
                }
                return self.unreadable(path, reason);
            }
        };
        let mut is_repository = parent.top.top.kind == TopKind::Files
            && names.binary_search_by(|name| name.as_slice().cmp(b".git")).is_ok();
        if is_repository && self.is_tracked_directory(parent, &entry.name) {
            // The files stay the outer repository's, whatever somebody puts beside them.
            is_repository = false;
            let path = join(&path, b".git");
            self.note(|meta| meta.special.push((path, "a repository around tracked files".to_owned())));
        }
        if !is_repository && gitlink.is_none() {
            let state = Arc::clone(&parent.top);
            let depth = parent.depth + 1;
            return self.directory(
                Some(Arc::clone(parent)),
                state,
                (entry.name, path),
                (directory, names),
                (depth, inside, part),
                queue,
                out,
            );
        }
        if !names.is_empty() {
            walk::rewind(&directory);
            self.nest(directory, path.clone(), parent.depth + 1, queue);
        }
        let kind = if gitlink.is_some() { EntryKind::Gitlink } else { EntryKind::Nested };
        let id = gitlink.map(|recorded| Self::head_of(parent, &entry.name).unwrap_or(recorded));
        parent.add(Entry { kind, id: id.unwrap_or(Oid::ZERO_SHA1), ..entry });
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of the node that it makes")]
    fn directory(
        &self,
        parent: Option<Arc<Node>>,
        top: Arc<TopState>,
        (name, path): (Vec<u8>, Vec<u8>),
        (directory, names): (OwnedFd, Vec<Vec<u8>>),
        (depth, inside, part): (usize, Inside, Part),
        queue: &Queue<Job>,
        out: &SyncSender<Object>,
    ) {
        let seen = self.seen.directory(self.device, &path);
        let (rules, has_rules) = self.rules_of(parent.as_deref(), &top, &directory, seen, &names);
        let node = Arc::new(Node {
            parent,
            top,
            name,
            path,
            directory,
            depth,
            inside,
            part,
            rules,
            has_rules,
            live: OnceLock::new(),
            base_rules: OnceLock::new(),
            base: OnceLock::new(),
            pending: AtomicUsize::new(1),
            entries: Mutex::new(Vec::with_capacity(names.len())),
            clean: AtomicBool::new(seen.is_some()),
            seen_tree: seen.map_or(Oid::ZERO_SHA1, |seen| seen.tree),
        });
        if let Some(parent) = &node.parent {
            parent.pending.fetch_add(1, Ordering::Relaxed);
        }
        if names.is_empty() && node.parent.is_some() && node.top.top.kind == TopKind::Files {
            let path = node.path.clone();
            self.note(|meta| meta.empty_dirs.push(path));
        }
        self.compare(&node, names, seen, queue);
        self.done(node, out);
    }

    /// Returns the id of the rules that count in a directory, and whether it has some of its own.
    fn rules_of(
        &self,
        parent: Option<&Node>,
        top: &TopState,
        directory: &OwnedFd,
        seen: Option<seen::SeenDirectory<'_>>,
        names: &[Vec<u8>],
    ) -> (u64, bool) {
        if top.top.kind == TopKind::GitDir {
            return (0, false);
        }
        let above = match parent {
            Some(parent) => parent.rules,
            None => combine(1, &self.rules),
        };
        if names.binary_search_by(|name| name.as_slice().cmp(b".gitignore")).is_err() {
            return (above, false);
        }
        let Ok(Some(attributes)) = walk::attributes(directory, b".gitignore") else { return (above, false) };
        if attributes.kind != FileType::RegularFile {
            return (above, false);
        }
        let remembered = seen.and_then(|seen| {
            seen.entries().find(|entry| entry.name == b".gitignore" && self.is_as_seen(entry, &attributes))
        });
        let id =
            remembered.map(|entry| entry.id).or_else(|| match walk::read(directory, b".gitignore", ignore::MAX_SIZE) {
                Ok(Content::Whole(content, _)) => Oid::hash_object(ObjectType::Blob, &content).ok(),
                _ => None,
            });
        match id {
            Some(id) => (combine(above, id.as_bytes()), true),
            None => (above, false),
        }
    }

    fn compare(
        &self,
        node: &Arc<Node>,
        names: Vec<Vec<u8>>,
        seen: Option<seen::SeenDirectory<'_>>,
        queue: &Queue<Job>,
    ) {
        let same_rules = seen.is_some_and(|seen| seen.rules == node.rules);
        let all_tracked = seen.is_some_and(|seen| seen.rules == seen::TRACKED);
        let mut remembered = seen.map(seen::SeenDirectory::entries).into_iter().flatten().peekable();
        let mut batch = Vec::new();
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            while remembered.next_if(|entry| entry.name < name.as_slice()).is_some() {
                node.clean.store(false, Ordering::Relaxed);
            }
            let entry = remembered.next_if(|entry| entry.name == name.as_slice());
            if !node.records(&name) {
                if node.top.top.kind == TopKind::Files && name != b".git" {
                    let path = join(&node.path, &name);
                    self.note(|meta| meta.special.push((path, "a name that git reserves".to_owned())));
                }
                continue;
            }
            let attributes = match walk::attributes(&node.directory, &name) {
                Ok(Some(attributes)) => attributes,
                Ok(None) => {
                    node.clean.store(false, Ordering::Relaxed);
                    continue;
                }
                Err(error) => {
                    node.clean.store(false, Ordering::Relaxed);
                    self.unreadable(join(&node.path, &name), reason(&error));
                    continue;
                }
            };
            if node.leads_on(&name) && attributes.kind != FileType::Directory {
                node.clean.store(false, Ordering::Relaxed);
                let path = join(&node.path, &name);
                self.note(|meta| meta.special.push((path, "not a submodule's git directory".to_owned())));
                continue;
            }
            if let Some(entry) = entry.as_ref().filter(|entry| entry.kind.has_content())
                && (same_rules || all_tracked || node.inside == Inside::Brought)
                && self.is_as_seen(entry, &attributes)
            {
                self.count(node, &name, &attributes);
                entries.push(Entry { name, mode: attributes.mode, ..owned(entry) });
                continue;
            }
            self.new_name(node, name, &attributes, entry, same_rules, &mut entries, &mut batch, queue);
        }
        if remembered.next().is_some() {
            node.clean.store(false, Ordering::Relaxed);
        }
        node.entries.lock().unwrap_or_else(PoisonError::into_inner).append(&mut entries);
        while !batch.is_empty() {
            let mut bytes = 0_u64;
            let sizes = batch.iter().rev().take(BATCH).map(|(_, attributes, _): &Unread| attributes.stamp.size);
            let fits = sizes.take_while(|size| {
                let is_in = bytes < BATCH_BYTES;
                bytes = bytes.saturating_add(*size);
                is_in
            });
            let names = batch.split_off(batch.len() - fits.count());
            node.pending.fetch_add(1, Ordering::Relaxed);
            queue.push(Job::Files { node: Arc::clone(node), names });
        }
    }

    /// Decides about a name that is not simply as it was seen.
    #[expect(clippy::too_many_arguments, reason = "the rest of `compare`, which would be too long")]
    fn new_name(
        &self,
        node: &Arc<Node>,
        name: Vec<u8>,
        attributes: &Attributes,
        seen: Option<seen::Entry<&[u8]>>,
        same_rules: bool,
        entries: &mut Vec<Entry>,
        batch: &mut Vec<Unread>,
        queue: &Queue<Job>,
    ) {
        let is_directory = attributes.kind == FileType::Directory;
        let known = seen.as_ref().filter(|_| same_rules).map(|entry| entry.kind);
        let mut inside = node.inside;
        if node.top.top.kind == TopKind::Files && inside != Inside::Brought {
            let verdict = match (known, inside) {
                (_, Inside::Ignored(kind)) => Some(kind),
                (Some(kind), _) => kind.ignored(),
                (None, _) => self.verdict(node, &name, is_directory),
            };
            if let Some(kind) = verdict {
                let path = join(&node.path, &name);
                inside = match self.brought(&path, kind) {
                    Some(inside) => inside,
                    None if self.is_tracked(node, &name, is_directory) => Inside::Ignored(kind),
                    None => {
                        if seen.as_ref().is_none_or(|entry| entry.kind != kind) {
                            node.clean.store(false, Ordering::Relaxed);
                        }
                        if kind == EntryKind::NewlyIgnored {
                            self.note(|meta| meta.newly_ignored.push(path));
                        } else {
                            self.ignored.lock().unwrap_or_else(PoisonError::into_inner).push(path);
                        }
                        entries.push(blank(name, kind));
                        return;
                    }
                };
            }
        }
        match attributes.kind {
            FileType::Directory if attributes.device != self.device => {
                node.clean.store(false, Ordering::Relaxed);
                let path = join(&node.path, &name);
                self.note(|meta| meta.special.push((path, "another file system".to_owned())));
            }
            FileType::Directory => {
                if seen.as_ref().is_none_or(|entry| !entry.kind.is_directory()) {
                    node.clean.store(false, Ordering::Relaxed);
                }
                let gitlink = match known {
                    Some(kind) if kind.is_directory() => None,
                    _ if node.top.top.kind == TopKind::GitDir => None,
                    _ => self.gitlink(node, &name),
                };
                let entry = Entry { mode: attributes.mode, ..blank(name, EntryKind::Directory) };
                node.pending.fetch_add(1, Ordering::Relaxed);
                queue.push(Job::Directory { parent: Arc::clone(node), entry, inside, gitlink });
            }
            FileType::RegularFile | FileType::Symlink => {
                let was_read = seen.as_ref().is_some_and(|entry| entry.stamp == attributes.stamp);
                if let Some(entry) = seen.filter(|entry| self.is_as_seen(entry, attributes)) {
                    self.count(node, &name, attributes);
                    entries.push(Entry { name, mode: attributes.mode, ..owned(&entry) });
                } else {
                    node.clean.store(false, Ordering::Relaxed);
                    batch.push((name, *attributes, was_read));
                }
            }
            kind => {
                node.clean.store(false, Ordering::Relaxed);
                let path = join(&node.path, &name);
                self.note(|meta| meta.special.push((path, special(kind).to_owned())));
            }
        }
    }

    fn is_as_seen<N>(&self, entry: &seen::Entry<N>, attributes: &Attributes) -> bool {
        entry.kind == kind_of(attributes)
            && entry.kind.has_content()
            && entry.stamp == attributes.stamp
            && !self.seen.is_racy(&entry.stamp)
    }

    fn is_known(&self, id: Oid) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.odb().is_ok_and(|odb| odb.exists_ext(id, OdbLookupFlags::NO_REFRESH))
    }
}
