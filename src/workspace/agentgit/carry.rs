//! Taking over what a new `.git` does not understand: by hard links beneath both directories, links as links, nothing
//! else. Regular files are never opened.
//!
//! A directory that is closed, or too deep, does not come over: whoever runs something in `.git` could keep it from ever being
//! built anew. It is named, and is in the old one, which nobody throws away.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::error::Result;
use crate::git::{agentdir, snapshot};
use crate::store::beneath::Dir;
use crate::workspace::agentgit::{Running, settings};

/// Small files of an old `.git` are not read beyond this.
pub(super) const MAX_FILE: u64 = 64 << 20;
const MAX_DEPTH: usize = 64;

/// Paths in a `.git` that did not come over, with the reason.
pub(crate) type Left = Vec<(PathBuf, &'static str)>;

/// Brings everything from `old` to `new` that is not there yet and cannot lead elsewhere; what runs commands only if it is kept.
pub(super) fn over(old: &Dir, new: &Dir, running: Running) -> Result<Left> {
    let mut left = Left::new();
    for name in old.names()? {
        let path = Path::new(&name);
        match name.as_bytes() {
            b"hooks" | b"config.worktree" | b"modules" if running == Running::Kept => entry(old, new, path, &mut left)?,
            // Built anew, or not to come along: configuration, hooks, and what makes git look elsewhere.
            b"HEAD" | b"config" | b"packed-refs" | b"refs" | b"reftable" | b"shallow" | b"hooks"
            | b"config.worktree" | b"commondir" | b"gitdir" | b"branches" | b"remotes" => {}
            b"objects" => objects(old, new, &mut left)?,
            b"info" => info(old, new, &mut left)?,
            b"modules" => modules(old, new, path, true, &mut left)?,
            name if name.ends_with(b".lock") || name == b"stead-sync" => {}
            _ if new.stat(path)?.is_some() => {}
            _ => entry(old, new, path, &mut left)?,
        }
    }
    Ok(left)
}

/// Brings what no snapshot records of a git directory from `old` to `new`, but for objects and those of submodules.
pub(super) fn unrecorded(old: &Dir, new: &Dir, left: &mut Left) -> Result<()> {
    for name in old.names()? {
        let path = Path::new(&name);
        match name.as_bytes() {
            b"modules" | b"objects" | b"reftable" | b"commondir" | b"gitdir" | b"branches" | b"remotes" => {}
            name if name.ends_with(b".lock") || snapshot::records_of_git(name) => {}
            _ if new.stat(path)?.is_some() => {}
            _ => entry(old, new, path, left)?,
        }
    }
    Ok(())
}

/// Brings the git directories of all submodules from one `.git` to another.
pub(super) fn all_modules(old: &Dir, new: &Dir, running: Running, left: &mut Left) -> Result<()> {
    module(old, new, Path::new("modules"), running, left)
}

/// Brings that at `path` alone, or all below `path` where it only leads to some.
pub(super) fn module(old: &Dir, new: &Dir, path: &Path, running: Running, left: &mut Left) -> Result<()> {
    match running {
        Running::Kept => entry(old, new, path, left),
        Running::Dropped => modules(old, new, path, path == Path::new("modules"), left),
    }
}

/// Brings `path` as it is in the place of what was built; none of what runs commands or makes git look elsewhere.
pub(super) fn as_it_is(old: &Dir, new: &Dir, path: &Path, left: &mut Left) -> Result<()> {
    let name = path.components().next().map_or(OsStr::new(""), |first| first.as_os_str());
    if !["HEAD", "packed-refs", "refs", "logs", "index"].iter().any(|known| name == OsStr::new(known)) {
        return Ok(());
    }
    new.remove_all(path)?;
    entry(old, new, path, left)
}

/// Puts HEAD and all refs as they are in the place of those that were built: some cannot be read, and must neither be lost
/// nor be taken for never having been there.
pub(super) fn refs(old: &Dir, new: &Dir, left: &mut Left) -> Result<()> {
    for name in ["HEAD", "packed-refs", "refs", "reftable"] {
        let path = Path::new(name);
        new.remove_all(path)?;
        entry(old, new, path, left)?;
    }
    Ok(())
}

/// Loose objects and packs; not what makes git read objects elsewhere or differently.
pub(super) fn objects(old: &Dir, new: &Dir, left: &mut Left) -> Result<()> {
    if !is_dir(old, Path::new("objects"))? {
        return Ok(());
    }
    for name in old.dir(Path::new("objects"))?.names()? {
        let fan = name.len() == 2 && name.as_bytes().iter().all(u8::is_ascii_hexdigit);
        let path = Path::new("objects").join(&name);
        if (fan || name == OsStr::new("pack")) && is_dir(old, &path)? {
            entry(old, new, &path, left)?;
        }
    }
    Ok(())
}

/// The same with all that makes git read objects elsewhere or faster.
pub(super) fn all_objects(old: &Dir, new: &Dir, left: &mut Left) -> Result<()> {
    let path = Path::new("objects");
    if is_dir(old, path)? { entry(old, new, path, left) } else { Ok(()) }
}

/// Brings the list of the places where git reads objects too, if there is one; returns whether there is.
pub(super) fn alternates(old: &Dir, new: &Dir) -> Result<bool> {
    let path = Path::new("objects/info/alternates");
    let Some(list) = old.read(path, MAX_FILE).ok().flatten() else { return Ok(false) };
    new.replace(path, &list, 0o644)?;
    Ok(true)
}

fn info(old: &Dir, new: &Dir, left: &mut Left) -> Result<()> {
    if !is_dir(old, Path::new("info"))? {
        return Ok(());
    }
    for name in ["exclude", "sparse-checkout", "attributes"] {
        let path = Path::new("info").join(name);
        let regular =
            old.stat(&path)?.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        if regular {
            new.unlink(&path)?;
            entry(old, new, &path, left)?;
        }
    }
    Ok(())
}

/// Submodules: each a git directory of its own (names may hold slashes), without its hooks and with what is harmless of its
/// configuration.
fn modules(old: &Dir, new: &Dir, path: &Path, is_top: bool, left: &mut Left) -> Result<()> {
    if !is_dir(old, path)? {
        return Ok(());
    }
    let Some(from) = opened(old, path, left)? else { return Ok(()) };
    new.create_dir_all(path)?;
    if !is_top && agentdir::is_git_dir_at(&from) {
        let kept = settings::harmless_in(&from);
        let worktree = settings::worktree_in(&from, path);
        for name in from.names()? {
            match name.as_bytes() {
                b"config" | b"hooks" | b"config.worktree" | b"commondir" => {}
                b"modules" => modules(old, new, &path.join("modules"), true, left)?,
                _ => entry(old, new, &path.join(&name), left)?,
            }
        }
        let text = settings::text(&[kept, worktree.into_iter().collect()].concat());
        return new.replace(&path.join("config"), text.as_bytes(), 0o644);
    }
    for name in from.names()? {
        modules(old, new, &path.join(&name), false, left)?;
    }
    Ok(())
}

/// Brings one entry with all below it; sockets and the like stay behind.
fn entry(old: &Dir, new: &Dir, path: &Path, left: &mut Left) -> Result<()> {
    let Some(stat) = old.stat(path)? else { return Ok(()) };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let Some(from) = opened(old, path, left)? else { return Ok(()) };
            new.create_dir_all(path)?;
            for name in from.names()? {
                // A list over several packs may speak of some that did not come along.
                if name != OsStr::new("multi-pack-index") {
                    entry(old, new, &path.join(&name), left)?;
                }
            }
        }
        FileType::RegularFile => {
            let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
            let (from, to) = (beneath(old, parent)?, beneath(new, parent)?);
            match rustix::fs::linkat(from.fd(), name, to.fd(), name, AtFlags::empty()) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error).with_context(|| format!("cannot link `.git/{}`", path.display())),
            }
        }
        FileType::Symlink if new.stat(path)?.is_none() => {
            let target = old.link(path)?;
            new.create_link(OsStr::from_bytes(&target), path)?;
        }
        _ => {}
    }
    Ok(())
}

/// Opens a directory that is to come over; `None` when it cannot, and is named.
fn opened(old: &Dir, path: &Path, left: &mut Left) -> Result<Option<Dir>> {
    if path.components().count() > MAX_DEPTH {
        left.push((path.to_owned(), "it is nested too deep"));
        return Ok(None);
    }
    match old.dir(path) {
        Err(error) if error.downcast_ref() == Some(&Errno::ACCESS) => {
            left.push((path.to_owned(), "permission denied"));
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

fn beneath(dir: &Dir, path: &Path) -> Result<Dir> {
    dir.dir(if path.as_os_str().is_empty() { Path::new(".") } else { path })
}

fn is_dir(dir: &Dir, path: &Path) -> Result<bool> {
    Ok(dir.stat(path)?.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory))
}
