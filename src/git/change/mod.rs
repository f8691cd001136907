//! Changes: the differences between two snapshots, with renames, modes and line counts, and as a patch for `git apply`.
//!
//! Snapshots are compared raw with raw. A snapshot is compared with a commit in the form that git would commit it in
//! ([`committed`]): only paths that differ are cleaned by the commit's attributes.

mod lines;
mod modes;
mod rename;
mod unread;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use git2::build::TreeUpdateBuilder;
use git2::{Delta, Diff, DiffDelta, DiffFile, DiffFormat, DiffOptions, FileMode, ObjectType, Repository, Tree};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::error::Result;
use crate::git::convert::Attributes;
use crate::git::meta::Meta;
use crate::git::repository::Store;
use crate::git::snapshot::Snapshot;
use crate::git::{Oid, lfs};
use modes::full_mode;
use unread::unread;

/// Content above this size is compared as a whole, not by lines.
const MAX_TEXT: i64 = 16 << 20;

const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeKind {
    Create,
    Update,
    Delete,
    Rename,
}

/// One difference between two snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Raw bytes; the reports quote it.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: ChangeKind,
    pub(crate) old_path: Option<Vec<u8>>,
    /// Git mode with full permission bits (0o100644, 0o120000, …, 0o040700 of a directory that only has other ones); `None` on the
    /// side where it is not there.
    pub(crate) old_mode: Option<u32>,
    pub(crate) mode: Option<u32>,
    /// `None` also for content that was not read: over a cap, or not readable.
    pub(crate) old_id: Option<Oid>,
    pub(crate) id: Option<Oid>,
    pub(crate) binary: bool,
    pub(crate) additions: u64,
    pub(crate) deletions: u64,
}

impl Change {
    /// Returns a directory that is there before and after with other permission bits; the tree itself, with an empty path, is `.`.
    pub(crate) fn of_directory(path: &[u8], old_mode: u32, mode: u32) -> Self {
        Self {
            path: if path.is_empty() { b".".to_vec() } else { path.to_vec() },
            kind: ChangeKind::Update,
            old_path: None,
            old_mode: Some(DIRECTORY | old_mode),
            mode: Some(DIRECTORY | mode),
            old_id: None,
            id: None,
            binary: false,
            additions: 0,
            deletions: 0,
        }
    }

    pub(crate) fn is_of_directory(&self) -> bool {
        self.mode.is_some_and(|mode| mode & TYPE == DIRECTORY)
    }
}

/// The content of a changed file, for programs.
#[expect(clippy::struct_field_names, reason = "these are the names in JSON")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Content {
    /// `None` when it is over the cap.
    pub(crate) content: Option<String>,
    /// `utf-8` or `base64`.
    pub(crate) encoding: &'static str,
    pub(crate) size: u64,
}

/// Computes the changes from `before` to `after`, sorted by path.
pub(crate) fn between(store: &Store, before: &Snapshot, after: &Snapshot) -> Result<Vec<Change>> {
    let mut changes = between_trees(store, Some(before.files), Some(after.files))?;
    for change in &mut changes {
        let old_path = change.old_path.as_ref().unwrap_or(&change.path);
        change.old_mode = change.old_mode.map(|mode| full_mode(&before.meta, old_path, mode));
        change.mode = change.mode.map(|mode| full_mode(&after.meta, &change.path, mode));
    }
    modes::of_files(store, before, after, &mut changes)?;
    unread(&before.meta, &after.meta, &mut changes);
    modes::of_directories(store, before, after, &mut changes)?;
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(changes)
}

/// Computes the changes from a commit's tree (or nothing) to a snapshot; `committed` is the snapshot's [`committed`]
/// form for that commit.
pub(crate) fn since(store: &Store, before: Option<Oid>, committed: Oid, after: &Snapshot) -> Result<Vec<Change>> {
    let mut changes = between_trees(store, before, Some(committed))?;
    unread(&Meta::default(), &after.meta, &mut changes);
    Ok(changes)
}

/// Counts the paths that differ between a commit (or nothing) and a snapshot, a renamed file as two.
pub(crate) fn count(store: &Store, before: Option<Oid>, after: &Snapshot) -> Result<usize> {
    let committed = committed(store, before, after)?;
    if before == Some(committed) {
        return Ok(after.meta.too_large.len());
    }
    let diff = diff(store.repository(), before, Some(committed), DiffOptions::new().include_typechange(true))?;
    let mut changes: Vec<Change> = diff.deltas().map(|delta| plain(&delta)).collect();
    unread(&Meta::default(), &after.meta, &mut changes);
    Ok(changes.len())
}

/// Computes the changes between two trees (or commits) that hold files as a commit does.
pub(crate) fn between_trees(store: &Store, before: Option<Oid>, after: Option<Oid>) -> Result<Vec<Change>> {
    let mut changes = files_between(store, before, after)?;
    lines::count(store, &mut changes)?;
    Ok(changes)
}

/// Computes which files differ between two trees (or commits), sorted by path, without counting their lines.
pub(crate) fn files_between(store: &Store, before: Option<Oid>, after: Option<Oid>) -> Result<Vec<Change>> {
    if before == after {
        return Ok(Vec::new());
    }
    let repository = store.repository();
    let mut options = DiffOptions::new();
    options.include_typechange(true).max_size(MAX_TEXT);
    let diff = diff(repository, before, after, &mut options)?;
    let mut changes: Vec<Change> = diff.deltas().map(|delta| plain(&delta)).collect();
    rename::pair(repository, &mut changes)?;
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(changes)
}

/// Returns a patch (binary hunks included) that `git apply` takes.
pub(crate) fn patch(store: &Store, before: Option<Oid>, after: Option<Oid>) -> Result<Vec<u8>> {
    let mut options = DiffOptions::new();
    options.show_binary(true).id_abbrev(40).old_prefix("a").new_prefix("b").max_size(i64::MAX);
    let diff = diff(store.repository(), before, after, &mut options)?;
    let mut patch = Vec::new();
    diff.print(DiffFormat::Patch, |_, _, line| {
        if matches!(line.origin(), '+' | '-' | ' ') {
            patch.push(line.origin() as u8);
        }
        patch.extend_from_slice(line.content());
        true
    })
    .context("cannot make a patch")?;
    Ok(patch)
}

/// Returns the tree that git would commit for a snapshot on top of `commit` (a commit or tree; `None`: nothing): the
/// snapshot's files, with what the attributes convert converted back, and LFS files that are as their pointers say as
/// pointers.
pub(crate) fn committed(store: &Store, commit: Option<Oid>, snapshot: &Snapshot) -> Result<Oid> {
    let repository = store.repository();
    let Some(before) = tree(repository, commit)? else { return Ok(snapshot.files) };
    if before.id() == snapshot.files {
        return Ok(snapshot.files);
    }
    let attributes = Attributes::of_tree(repository, before.id())?;
    if attributes.is_trivial() && !attributes.has_filters() {
        return Ok(snapshot.files);
    }
    let diff = diff(repository, Some(before.id()), Some(snapshot.files), &mut DiffOptions::new())?;
    let mut update = TreeUpdateBuilder::new();
    let mut updated = false;
    for delta in diff.deltas() {
        let (old, new) = (delta.old_file(), delta.new_file());
        if !matches!(new.mode(), FileMode::Blob | FileMode::BlobExecutable) || delta.status() == Delta::Deleted {
            continue;
        }
        let path = new.path_bytes().context("a change without a path")?;
        let blob = repository.find_blob(new.id())?;
        let id = if attributes.is_lfs(path) {
            let pointer = repository.find_blob(old.id()).ok();
            pointer.filter(|pointer| lfs::is_of(pointer.content(), blob.content())).map(|pointer| pointer.id())
        } else {
            let cleaned = attributes.clean(path, blob.content());
            cleaned.map(|content| store.write(ObjectType::Blob, content)).transpose()?
        };
        if let Some(id) = id {
            update.upsert(path, id, new.mode());
            updated = true;
        }
    }
    if !updated {
        return Ok(snapshot.files);
    }
    // What a tree names must be there when it is made.
    store.flush()?;
    let files = repository.find_tree(snapshot.files)?;
    update.create_updated(repository, &files).context("cannot convert a snapshot")
}

/// Returns the content behind a change as it is now; `None` for what is deleted, no file, or was not read.
pub(crate) fn content(store: &Store, change: &Change, cap: u64) -> Result<Option<Content>> {
    let (Some(mode), Some(id)) = (change.mode, change.id) else { return Ok(None) };
    if mode & TYPE != REGULAR && mode & TYPE != 0o120_000 {
        return Ok(None);
    }
    let blob = store.repository().find_blob(id).with_context(|| format!("cannot read object {id}"))?;
    let bytes = blob.content();
    let size = bytes.len() as u64;
    let text = std::str::from_utf8(bytes);
    let encoding = if text.is_ok() { "utf-8" } else { "base64" };
    let content = (size <= cap).then(|| text.map_or_else(|_| STANDARD.encode(bytes), str::to_owned));
    Ok(Some(Content { content, encoding, size }))
}

impl Serialize for Change {
    /// Writes modes in octal as git does, and paths that are not UTF-8 also in base64.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let lossy = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let base64 = |path: &[u8]| std::str::from_utf8(path).is_err().then(|| STANDARD.encode(path));
        let mode = |mode: u32| format!("{mode:06o}");
        let old_path = self.old_path.as_deref();
        let mut fields = serializer.serialize_struct("Change", 11)?;
        fields.serialize_field("path", &lossy(&self.path))?;
        match base64(&self.path) {
            Some(path) => fields.serialize_field("path_base64", &path)?,
            None => fields.skip_field("path_base64")?,
        }
        fields.serialize_field("operation", &self.kind)?;
        fields.serialize_field("old_path", &old_path.map(lossy))?;
        match old_path.and_then(base64) {
            Some(path) => fields.serialize_field("old_path_base64", &path)?,
            None => fields.skip_field("old_path_base64")?,
        }
        fields.serialize_field("old_mode", &self.old_mode.map(mode))?;
        fields.serialize_field("mode", &self.mode.map(mode))?;
        fields.serialize_field("old_id", &self.old_id.map(|id| id.to_string()))?;
        fields.serialize_field("id", &self.id.map(|id| id.to_string()))?;
        fields.serialize_field("binary", &self.binary)?;
        fields.serialize_field("additions", &self.additions)?;
        fields.serialize_field("deletions", &self.deletions)?;
        fields.end()
    }
}

fn diff<'r>(
    repository: &'r Repository,
    before: Option<Oid>,
    after: Option<Oid>,
    options: &mut DiffOptions,
) -> Result<Diff<'r>> {
    let (before, after) = (tree(repository, before)?, tree(repository, after)?);
    // Submodules are compared by their commits; libgit2 must not look for them in a working tree.
    let diff = repository.diff_tree_to_tree(before.as_ref(), after.as_ref(), Some(options));
    diff.context("cannot compare two trees")
}

fn tree(repository: &Repository, id: Option<Oid>) -> Result<Option<Tree<'_>>> {
    let Some(id) = id else { return Ok(None) };
    let object = repository.find_object(id, None).with_context(|| format!("cannot read object {id}"))?;
    Ok(Some(object.peel_to_tree().with_context(|| format!("object {id} holds no files"))?))
}

/// Returns a difference without looking at contents.
fn plain(delta: &DiffDelta<'_>) -> Change {
    let (old, new) = (delta.old_file(), delta.new_file());
    let kind = match delta.status() {
        Delta::Added | Delta::Copied => ChangeKind::Create,
        Delta::Deleted => ChangeKind::Delete,
        Delta::Renamed => ChangeKind::Rename,
        _ => ChangeKind::Update,
    };
    let path = |file: &DiffFile<'_>| file.path_bytes().map(<[u8]>::to_vec).unwrap_or_default();
    let side = |file: &DiffFile<'_>, there: bool| {
        there.then(|| (u32::from(file.mode()), file.id())).filter(|(mode, _)| *mode != 0).unzip()
    };
    let (old_mode, old_id) = side(&old, kind != ChangeKind::Create);
    let (mode, id) = side(&new, kind != ChangeKind::Delete);
    Change {
        path: path(if kind == ChangeKind::Delete { &old } else { &new }),
        kind,
        old_path: (kind == ChangeKind::Rename).then(|| path(&old)),
        old_mode,
        mode,
        old_id,
        id,
        binary: false,
        additions: 0,
        deletions: 0,
    }
}

#[cfg(test)]
mod tests;
