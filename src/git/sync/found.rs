//! What is at a path of a directory that others may change at the same time.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context;
use git2::ObjectType;
use rustix::fs::FileType;

use crate::error::{Kind, Result};
use crate::git::Oid;
use crate::git::repository::Store;
use crate::store::beneath::Dir;

/// A file of the target is not merged beyond this.
const MAX_FILE: u64 = 1 << 30;
/// Files below a directory that stands where a file shall be.
const MAX_BELOW: usize = 10_000;

/// The modes of new files, which are under the umask.
pub(crate) const NEW: u32 = 0o666;
pub(crate) const NEW_EXECUTABLE: u32 = 0o777;

/// What is at a path of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// Raw content and permission bits.
    File {
        id: Oid,
        mode: u32,
    },
    Link {
        id: Oid,
    },
    Directory,
    /// Behind a link, special, unreadable or too large.
    Other(String),
}

impl Found {
    /// Returns whether it is the same to git: content and executable bit.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { id, mode }, Self::File { id: other, mode: others }) => {
                id == other && mode & 0o100 == others & 0o100
            }
            (one, other) => one == other,
        }
    }
}

/// Looks at a path, and puts its content into `store`.
pub(crate) fn look(store: &Store, dir: &Dir, path: &[u8]) -> Result<Found> {
    let at = as_path(path);
    let stat = match dir.stat(at) {
        Ok(None) => return Ok(Found::Nothing),
        Ok(Some(stat)) => stat,
        Err(error) if Kind::of(&error) == Kind::Refused => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Found::Directory,
        FileType::Symlink => Found::Link { id: store.write(ObjectType::Blob, dir.link(at)?)? },
        FileType::RegularFile => match read(dir, at) {
            Ok(Some((content, mode))) => Found::File { id: store.write(ObjectType::Blob, content)?, mode },
            Ok(None) => Found::Other("not a regular file".into()),
            Err(error) => Found::Other(format!("{error:#}")),
        },
        _ => Found::Other("not a regular file".into()),
    })
}

/// Reads content and permission bits through one descriptor.
fn read(dir: &Dir, path: &Path) -> Result<Option<(Vec<u8>, u32)>> {
    use std::os::unix::fs::MetadataExt;
    let Some(file) = dir.file(path)? else { return Ok(None) };
    let mode = file.metadata()?.mode() & 0o777;
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content).with_context(|| format!("cannot read `{}`", path.display()))?;
    anyhow::ensure!(content.len() as u64 <= MAX_FILE, "too large");
    Ok(Some((content, mode)))
}

/// Returns the files below a directory, so many that there is no doubt.
pub(crate) fn files_below(dir: &Dir, path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut files = Vec::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        for name in dir.dir(as_path(&path))?.names()? {
            let below = [&path, b"/".as_slice(), name.as_bytes()].concat();
            let stat = dir.stat(as_path(&below))?;
            match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
                Some(FileType::Directory) => waiting.push(below),
                _ => files.push(below),
            }
            if files.len() + waiting.len() > MAX_BELOW {
                return Ok(files);
            }
        }
    }
    Ok(files)
}

pub(crate) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}
