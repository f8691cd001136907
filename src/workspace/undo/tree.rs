//! Putting the files of a tree back: each path from what it is now to what it was, in an order that never needs a place
//! twice. May be cut off and begun again at any point: what is as it was is left alone.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::Result;
use crate::git::recorded::Entry;
use crate::git::repository::Store;
use crate::git::{ObjectType, Oid};
use crate::store::beneath::Dir;

/// One path that is not as it was; `None` is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) path: Vec<u8>,
    pub(crate) now: Option<Entry>,
    pub(crate) then: Option<Entry>,
}

/// All that is done to the files.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// Sorted by path.
    pub(crate) steps: Vec<Step>,
    /// Directories that were not there; those with something in them stay.
    pub(crate) gone: BTreeSet<Vec<u8>>,
    /// Directories that were empty.
    pub(crate) empty: BTreeSet<Vec<u8>>,
}

impl Steps {
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.gone.is_empty() && self.empty.is_empty()
    }

    /// Does it, in the tree `dir`; `own` is the directory of the undo's record. Whatever is neither as it is now nor as it was by
    /// the steps has come since: it is moved into `aside/` there, and its path is returned.
    pub(crate) fn apply(&self, store: &Store, dir: &Dir, own: &Path) -> Result<Vec<Vec<u8>>> {
        let mut writer = Writer { store, dir, own, moved: Vec::new() };
        for step in self.steps.iter().rev().filter(|step| step.then.is_none()) {
            if writer.clear(step)? {
                let path = as_path(&step.path);
                dir.with_access(path, || dir.unlink(path))?;
            }
        }
        for path in self.gone.iter().rev() {
            // It has other entries, which nobody recorded: these stay.
            dir.with_access(as_path(path), || dir.remove_dir(as_path(path))).ok();
        }
        for step in &self.steps {
            let Some(then) = step.then else { continue };
            writer.parents(&step.path)?;
            if writer.clear(step)? {
                writer.put(&step.path, then)?;
            }
        }
        for path in &self.empty {
            writer.parents(&[path, b"/x".as_slice()].concat())?;
            dir.with_access(as_path(path), || dir.create_dir_all(as_path(path)))?;
        }
        Ok(writer.moved)
    }
}

struct Writer<'a> {
    store: &'a Store,
    dir: &'a Dir,
    own: &'a Path,
    moved: Vec<Vec<u8>>,
}

impl Writer<'_> {
    /// Returns whether the step is still to be done; what is in its way and unknown is moved aside.
    fn clear(&mut self, step: &Step) -> Result<bool> {
        let found = self.dir.with_access(as_path(&step.path), || look(self.dir, &step.path))?;
        match found {
            Found::Nothing => Ok(step.then.is_some()),
            Found::Entry(entry) if Some(entry) == step.then => Ok(false),
            Found::Entry(entry)
                if step.now.is_some_and(|now| now.id == entry.id && now.is_link() == entry.is_link()) =>
            {
                Ok(true)
            }
            // The content is as it was: only its permissions are not.
            Found::Entry(entry)
                if step.then.is_some_and(|then| then.id == entry.id && then.is_link() == entry.is_link()) =>
            {
                Ok(true)
            }
            Found::Directory if step.then.is_none() => Ok(false),
            Found::Entry(_) | Found::Directory | Found::Other => {
                self.move_aside(&step.path)?;
                Ok(step.then.is_some())
            }
        }
    }

    /// Moves aside what stands where a directory of `path` has to be.
    fn parents(&mut self, path: &[u8]) -> Result<()> {
        for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            match find_at(self.dir, &path[..end])? {
                None => break,
                Some(FileType::Directory) => {}
                Some(_) => self.move_aside(&path[..end])?,
            }
        }
        Ok(())
    }

    fn move_aside(&mut self, path: &[u8]) -> Result<()> {
        let aside = Dir::open(self.own)?.create_dir_all(Path::new("aside"))?;
        let name = aside.names()?.len();
        let name = PathBuf::from(format!("{name:06}"));
        self.dir.with_access(as_path(path), || self.dir.rename(as_path(path), &aside, &name))?;
        self.moved.push(path.to_vec());
        Ok(())
    }

    /// Makes it beside the record, so that nothing half-made is ever in the tree, and moves it in.
    fn put(&self, path: &[u8], then: Entry) -> Result<()> {
        let (shown, fresh) = (as_path(path), Path::new("restored"));
        let blob = self.store.repository().find_blob(then.id);
        let blob = blob.with_context(|| format!("cannot read what `{}` was", shown.display()))?;
        let own = Dir::open(self.own)?;
        own.unlink(fresh)?;
        if then.is_link() {
            own.create_link(OsStr::from_bytes(blob.content()), fresh)?;
        } else {
            let mut file = own.create_file(fresh, 0o600)?;
            file.write_all(blob.content())
                .and_then(|()| file.set_permissions(Permissions::from_mode(then.permissions())))
                .with_context(|| format!("cannot write `{}`", shown.display()))?;
        }
        if let Some(parent) = shown.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.dir.with_access(parent, || self.dir.create_dir_all(parent))?;
        }
        self.dir.with_access(shown, || own.rename(fresh, self.dir, shown))
    }
}

enum Found {
    Nothing,
    Entry(Entry),
    Directory,
    Other,
}

fn look(dir: &Dir, path: &[u8]) -> Result<Found> {
    let at = as_path(path);
    let stat = match dir.stat(at) {
        Ok(Some(stat)) => stat,
        Ok(None) => return Ok(Found::Nothing),
        // Behind a link: it is not where it is asked for.
        Err(error) if crate::error::Kind::of(&error) == crate::error::Kind::Refused => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Ok(Found::Directory),
        FileType::Symlink => {
            let id = Oid::hash_object(ObjectType::Blob, &dir.link(at)?)?;
            Ok(Found::Entry(Entry { mode: 0o120_000, id }))
        }
        FileType::RegularFile => {
            let Ok(Some(mut file)) = dir.file(at) else { return Ok(Found::Other) };
            let mut content = Vec::new();
            file.read_to_end(&mut content).with_context(|| format!("cannot read `{}`", at.display()))?;
            let mode = 0o100_000 | (stat.st_mode & 0o7777);
            Ok(Found::Entry(Entry { mode, id: Oid::hash_object(ObjectType::Blob, &content)? }))
        }
        _ => Ok(Found::Other),
    }
}

/// Returns the type of what is at `path`; `None` when nothing is.
pub(super) fn look_at(dir: &Dir, path: &[u8]) -> Result<Option<FileType>> {
    match dir.stat(as_path(path)) {
        Ok(stat) => Ok(stat.map(|stat| FileType::from_raw_mode(stat.st_mode))),
        Err(error) if crate::error::Kind::of(&error) == crate::error::Kind::Refused => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same of what may be in a directory that is closed to its owner.
pub(super) fn find_at(dir: &Dir, path: &[u8]) -> Result<Option<FileType>> {
    dir.with_access(as_path(path), || look_at(dir, path))
}

/// The same for a plan, which opens nothing: what is in a closed directory is looked at when it is done, and moved aside where it
/// is unknown.
pub(super) fn plan_at(dir: &Dir, path: &[u8]) -> Result<Option<FileType>> {
    match look_at(dir, path) {
        Err(error) if error.downcast_ref() == Some(&Errno::ACCESS) => Ok(None),
        found => found,
    }
}

pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}
