//! What was found becomes entries of directories, and these become trees.

use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, PoisonError};

use git2::ObjectType;
use rustix::fs::FileType;

use super::budget::LATE;
use super::names::{blank, join, kind_of, reason, sort_key};
use super::{Entry, Node, Object, Scan, Top, TopKind};
use crate::git::Oid;
use crate::git::meta::{Meta, PLAIN};
use crate::git::tracked::add_to_tree;
use crate::progress::Phase;
use crate::store::walk::{self, Attributes, Content};

impl Scan<'_> {
    pub(super) fn file(
        &self,
        node: &Node,
        name: Vec<u8>,
        attributes: &Attributes,
        was_read: bool,
        out: &SyncSender<Object>,
    ) {
        let (content, attributes) = if attributes.kind == FileType::Symlink {
            match walk::link(&node.directory, &name) {
                Ok(text) => (text, *attributes),
                Err(error) => return self.unread(node, &name, reason(&error), attributes),
            }
        } else {
            if self.budget.is_late() {
                return self.unread(node, &name, LATE.to_owned(), attributes);
            }
            if let Some(id) = self.budget.linked(attributes) {
                self.count(node, &name, attributes);
                let (kind, stamp, mode) = (kind_of(attributes), attributes.stamp, attributes.mode);
                return node.add(Entry { name, kind, stamp, mode, id });
            }
            let admit = |file: &Attributes, holes| {
                let was_read = was_read && file.stamp == attributes.stamp;
                self.budget.admits(node.top.top.kind, file.stamp.size, holes, was_read)
            };
            match walk::read_if(&node.directory, &name, self.limits.max_file, admit) {
                Ok(Content::Whole(content, attributes)) => (content, attributes),
                Ok(Content::TooLarge(size)) => return self.too_large(node, &name, size, attributes),
                Ok(Content::Gone) => return,
                Ok(Content::Unsteady) => {
                    return self.unread(node, &name, "it changes while it is read".to_owned(), attributes);
                }
                Err(error) => return self.unread(node, &name, reason(&error), attributes),
            }
        };
        let Ok(id) = Oid::hash_object(ObjectType::Blob, &content) else {
            return self.unread(node, &name, "it cannot be hashed".to_owned(), &attributes);
        };
        if !self.is_known(id) {
            let size = content.len() as u64;
            if !self.budget.take(node.top.top.kind, size) {
                return self.too_large(node, &name, size, &attributes);
            }
            self.send(out, Object { id, kind: ObjectType::Blob, content });
        }
        self.budget.remember(&attributes, id);
        self.count(node, &name, &attributes);
        node.add(Entry { name, kind: kind_of(&attributes), stamp: attributes.stamp, mode: attributes.mode, id });
    }

    /// Ends one job of a directory; the last one makes its tree, and may end its parent's.
    pub(super) fn done(&self, node: Arc<Node>, out: &SyncSender<Object>) {
        let mut node = Some(node);
        while let Some(current) = node.take() {
            if current.pending.fetch_sub(1, Ordering::AcqRel) > 1 {
                return;
            }
            let mut entries = std::mem::take(&mut *current.entries.lock().unwrap_or_else(PoisonError::into_inner));
            entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
            let clean = current.clean.load(Ordering::Acquire);
            let tree = if clean && !current.seen_tree.is_zero() { current.seen_tree } else { self.tree(&entries, out) };
            if !clean || current.seen_tree.is_zero() {
                self.differs.store(true, Ordering::Relaxed);
            }
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.directory(&current.path, current.rules, tree, &entries);
            drop(writer);
            self.progress.report(Phase::Scan, self.files.load(Ordering::Relaxed), 0);
            match &current.parent {
                None => self.finish_top(&current.top.top, Some(tree)),
                Some(parent) => {
                    if tree != current.seen_tree {
                        parent.clean.store(false, Ordering::Release);
                    }
                    let mut entry = blank(current.name.clone(), current.inside.directory());
                    entry.id = tree;
                    parent.add(entry);
                    node = Some(Arc::clone(parent));
                }
            }
        }
    }

    fn tree(&self, entries: &[Entry], out: &SyncSender<Object>) -> Oid {
        let empty = Oid::hash_object(ObjectType::Tree, b"").expect("the empty tree has a hash");
        let mut recorded: Vec<(&Entry, u32)> = entries
            .iter()
            .filter(|entry| !entry.kind.is_directory() || entry.id != empty)
            .filter_map(|entry| Some((entry, entry.kind.git_mode()?)))
            .collect();
        // git sorts a directory as if its name ended in a slash.
        recorded.sort_by(|(one, _), (other, _)| sort_key(one).cmp(sort_key(other)));
        let mut content = Vec::with_capacity(recorded.len() * 48);
        for (entry, mode) in recorded {
            add_to_tree(&mut content, mode, &entry.name, entry.id);
        }
        let id = Oid::hash_object(ObjectType::Tree, &content).expect("a tree has a hash");
        if !self.is_known(id) {
            self.send(out, Object { id, kind: ObjectType::Tree, content });
        }
        id
    }

    pub(super) fn count(&self, node: &Node, name: &[u8], attributes: &Attributes) {
        if attributes.kind != FileType::RegularFile {
            return;
        }
        if node.top.top.kind == TopKind::GitDir {
            if attributes.mode != PLAIN.0 && attributes.mode != PLAIN.1 && node.has_a_mode(name) {
                let path = join(&node.path, name);
                self.note(|meta| meta.git_modes.push((path, attributes.mode)));
            }
            return;
        }
        self.files.fetch_add(1, Ordering::Relaxed);
        if attributes.mode != PLAIN.0 && attributes.mode != PLAIN.1 {
            let path = join(&node.path, name);
            self.note(|meta| meta.modes.push((path, attributes.mode)));
        }
    }

    pub(super) fn send(&self, out: &SyncSender<Object>, object: Object) {
        if out.send(object).is_err() {
            self.cancelled.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn finish_top(&self, top: &Top, tree: Option<Oid>) {
        self.tops.lock().unwrap_or_else(PoisonError::into_inner).push((top.clone(), tree));
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Meta)) {
        change(&mut self.meta.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn unreadable(&self, path: Vec<u8>, reason: String) {
        self.differs.store(true, Ordering::Relaxed);
        self.note(|meta| meta.unreadable.push((path, reason)));
    }

    /// Names what could not be read, and what tells whether it changes.
    fn unread(&self, node: &Node, name: &[u8], reason: String, attributes: &Attributes) {
        let path = join(&node.path, name);
        self.stamp(node, &path, attributes);
        self.unreadable(path, reason);
    }

    fn too_large(&self, node: &Node, name: &[u8], size: u64, attributes: &Attributes) {
        let path = join(&node.path, name);
        self.stamp(node, &path, attributes);
        self.note(|meta| {
            if node.top.top.kind == TopKind::Files {
                meta.large_modes.push((path.clone(), attributes.mode));
            }
            meta.too_large.push((path, size));
        });
    }

    /// git itself writes to what is in `.git` all the time.
    pub(super) fn stamp(&self, node: &Node, path: &[u8], attributes: &Attributes) {
        if node.top.top.kind == TopKind::Files {
            self.note(|meta| meta.stamps.push((path.to_vec(), attributes.stamp)));
        }
    }
}
