//! Copying files and folders from the host into a tree: beneath it, no link followed there, replaced only when told to.
//!
//! Each thing is copied beside its destination under a name of its own and moved there whole. Links inside a folder are
//! copied as links; FIFOs, sockets and devices are refused.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use rustix::fs::{Mode, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::error::{Failure, Kind, Result};
use crate::git::recorded::is_at_or_below;
use crate::git::snapshot::Meta;
use crate::git::sync::shown;
use crate::store::beneath::Dir;
use crate::store::dotgit::is_dot_git;

/// One thing to bring in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// On the host, absolute.
    pub(crate) source: PathBuf,
    /// Below the tree; the source's own name unless one was given.
    pub(crate) destination: PathBuf,
}

impl Pair {
    /// Reads `SRC[:DEST]`; a relative source is taken from `current_dir`. A destination that leaves the tree is refused; one that
    /// ends in `/` gets the source's name. A colon in the name of an existing source is part of it.
    pub(crate) fn parse(text: &OsStr, current_dir: &Path) -> Result<Self> {
        let bytes = text.as_bytes();
        let colon = bytes.iter().rposition(|byte| *byte == b':').filter(|_| !current_dir.join(text).exists());
        let (source, destination) = match colon {
            Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
            None => (bytes, None),
        };
        let text = text.display();
        if source.is_empty() || destination == Some(b"") {
            return Err(Failure::new(Kind::Usage, format!("`{text}` is not SRC or SRC:DEST")).into());
        }
        let (source, destination) = (OsStr::from_bytes(source), destination.map(OsStr::from_bytes));
        let source = current_dir.join(source);
        let name = match source.file_name() {
            Some(name) => name.to_owned(),
            // `.`, `..` and `/` have no name of their own.
            None => source.canonicalize().ok().and_then(|path| path.file_name().map(ToOwned::to_owned)).ok_or_else(
                || Failure::new(Kind::Usage, format!("`{text}` has no name")).hint("say where it goes with `SRC:DEST`"),
            )?,
        };
        let destination = match destination {
            None => PathBuf::from(name),
            Some(here) if here == "." || here == "./" => PathBuf::from(name),
            Some(directory) if directory.as_bytes().ends_with(b"/") => Path::new(directory).join(name),
            Some(destination) => PathBuf::from(destination),
        };
        Ok(Self { source, destination: beneath(&destination)? })
    }
}

/// Copies each pair beneath `tree` (a leased workspace's, or one in staging), metadata kept, and returns the
/// destinations, for `record.brought`.
///
/// A missing source is `not-found`, an existing destination `exists` unless `replace`, an escape `refused`; all pairs are
/// checked before the first is copied.
pub(crate) fn import(tree: &Dir, pairs: &[Pair], replace: bool) -> Result<Vec<PathBuf>> {
    let mut copies = Vec::new();
    for pair in pairs {
        // What was named is what is meant, also through a link.
        let source = pair.source.canonicalize().map_err(|error| missing(&pair.source, error))?;
        copies.push(Pair { source, destination: pair.destination.clone() });
    }
    import_as_is(tree, &copies, replace)
}

/// Returns the destinations at which something is already.
pub(crate) fn existing(tree: &Dir, pairs: &[Pair]) -> Result<Vec<PathBuf>> {
    let mut existing = Vec::new();
    for Pair { destination, .. } in pairs {
        if tree.stat(destination)?.is_some() {
            existing.push(destination.clone());
        }
    }
    Ok(existing)
}

/// Refuses to replace what the snapshot does not hold.
pub(crate) fn check_recorded(meta: &Meta, replaced: &[PathBuf]) -> Result<()> {
    let nested = meta.nested.iter().map(|(path, _)| (path, "it is a git repository"));
    let large = meta.too_large.iter().map(|(path, _)| (path, "it is too large"));
    let special = meta.special.iter().map(|(path, kind)| (path, kind.as_str()));
    let unreadable = meta.unreadable.iter().map(|(path, reason)| (path, reason.as_str()));
    let mut all = nested.chain(large).chain(special).chain(unreadable);
    let is_replaced = |path: &[u8]| replaced.iter().any(|top| is_at_or_below(path, top.as_os_str().as_bytes()));
    let Some((path, reason)) = all.find(|(path, _)| is_replaced(path)) else { return Ok(()) };
    Err(Failure::new(Kind::Refused, format!("cannot record {}, and it would be lost: {reason}", shown(path)))
        .hint("move it away first")
        .into())
}

/// Like [`import`], but a link is copied as a link: what was found rather than named must not bring in what it leads to.
pub(crate) fn import_as_is(tree: &Dir, pairs: &[Pair], replace: bool) -> Result<Vec<PathBuf>> {
    let mut copies = Vec::new();
    for pair in pairs {
        let destination = beneath(&pair.destination)?;
        let exists = tree.stat(&destination)?.is_some();
        if exists && !replace {
            return Err(exists_already(&destination));
        }
        copies.push((&pair.source, destination));
    }
    for (source, destination) in &copies {
        copy(source, tree, destination, replace)
            .with_context(|| format!("cannot import `{}` as `{}`", source.display(), destination.display()))?;
    }
    Ok(copies.into_iter().map(|(_, destination)| destination).collect())
}

/// Checks that a path stays below the tree and out of `.git`, and returns it without `.` components.
pub(crate) fn beneath(path: &Path) -> Result<PathBuf> {
    let escapes = || Failure::new(Kind::Refused, format!("destination path escapes workspace: {}", path.display()));
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) if is_dot_git(name.as_bytes()) => {
                return Err(Failure::new(
                    Kind::Refused,
                    format!("destination `{}` is inside of a git directory", path.display()),
                )
                .into());
            }
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            _ => return Err(escapes().into()),
        }
    }
    if clean.as_os_str().is_empty() {
        return Err(escapes().into());
    }
    Ok(clean)
}

fn missing(path: &Path, error: std::io::Error) -> anyhow::Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        Failure::new(Kind::NotFound, format!("there is no `{}`", path.display())).into()
    } else {
        anyhow::Error::new(error).context(format!("cannot read `{}`", path.display()))
    }
}

fn exists_already(destination: &Path) -> anyhow::Error {
    Failure::new(Kind::Exists, format!("`{}` exists already", destination.display()))
        .hint("replace it with `--replace`")
        .into()
}

fn copy(source: &Path, tree: &Dir, destination: &Path, replace: bool) -> Result<()> {
    let name = Path::new(destination.file_name().expect("checked by `beneath`"));
    let parent = match destination.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => tree.create_dir_all(parent)?,
        None => tree.dir(Path::new("."))?,
    };
    let fresh = PathBuf::from(fresh_name());
    let result = copy_all(source, &parent, &fresh).and_then(|()| publish(&parent, &fresh, name, replace, destination));
    if result.is_err() {
        // The first error is the one to tell.
        parent.remove_all(&fresh).ok();
    }
    result
}

fn copy_all(source: &Path, parent: &Dir, fresh: &Path) -> Result<()> {
    // Directories get their modes and times at the end: a read-only one could not be filled.
    let mut directories = Vec::new();
    for entry in walkdir::WalkDir::new(source).follow_links(false).follow_root_links(false) {
        let entry = entry.with_context(|| format!("cannot read `{}`", source.display()))?;
        let metadata = entry.metadata().with_context(|| format!("cannot read `{}`", entry.path().display()))?;
        let below = entry.path().strip_prefix(source).expect("walked from there");
        let path = if below.as_os_str().is_empty() { fresh.to_owned() } else { fresh.join(below) };
        let kind = entry.file_type();
        if kind.is_dir() {
            parent.create_dir_all(&path)?;
            directories.push((path, metadata));
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path())
                .with_context(|| format!("cannot read `{}`", entry.path().display()))?;
            parent.create_link(target.as_os_str(), &path)?;
        } else if kind.is_file() {
            copy_file(entry.path(), parent, &path, &metadata)?;
        } else {
            return Err(Failure::new(
                Kind::Refused,
                format!("`{}` is neither a file, a folder nor a link", entry.path().display()),
            )
            .into());
        }
    }
    for (path, metadata) in directories.iter().rev() {
        let failed = || format!("cannot set the mode of `{}`", path.display());
        let directory = parent.dir(path)?;
        rustix::fs::futimens(directory.fd(), &times(metadata)).with_context(failed)?;
        rustix::fs::fchmod(directory.fd(), mode(metadata)).with_context(failed)?;
    }
    Ok(())
}

fn copy_file(from: &Path, parent: &Dir, path: &Path, metadata: &Metadata) -> Result<()> {
    let failed = || format!("cannot copy `{}`", from.display());
    let mut source = File::open(from).with_context(failed)?;
    let mut target = parent.create_file(path, 0o600)?;
    std::io::copy(&mut source, &mut target).with_context(failed)?;
    rustix::fs::fchmod(&target, mode(metadata)).with_context(failed)?;
    rustix::fs::futimens(&target, &times(metadata)).with_context(failed)
}

/// Permission bits only: a set-uid file would be a gift.
fn mode(metadata: &Metadata) -> Mode {
    Mode::from_raw_mode(metadata.mode() & 0o777)
}

fn times(metadata: &Metadata) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: metadata.atime(), tv_nsec: metadata.atime_nsec() },
        last_modification: Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() },
    }
}

fn publish(parent: &Dir, fresh: &Path, name: &Path, replace: bool, shown: &Path) -> Result<()> {
    let rename = |from: &Path, to: &Path, flags| rustix::fs::renameat_with(parent.fd(), from, parent.fd(), to, flags);
    match rename(fresh, name, RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(()),
        Err(Errno::EXIST) if replace => {}
        Err(Errno::EXIST) => return Err(exists_already(shown)),
        Err(error) => return Err(error).with_context(|| format!("cannot publish `{}`", shown.display())),
    }
    match rename(fresh, name, RenameFlags::EXCHANGE) {
        Ok(()) => parent.remove_all(fresh),
        // Not every file system can exchange two names; then the old one is away for a moment.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let old = PathBuf::from(fresh_name());
            parent.rename(name, parent, &old)?;
            if let Err(error) = parent.rename(fresh, parent, name) {
                parent.rename(&old, parent, name)?;
                return Err(error);
            }
            parent.remove_all(&old)
        }
        Err(error) => Err(error).with_context(|| format!("cannot replace `{}`", shown.display())),
    }
}

fn fresh_name() -> OsString {
    let mut random = [0; 8];
    let count = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
    let mut name = b".stead-import-".to_vec();
    for byte in &random[..count] {
        name.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    OsString::from_vec(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf, Dir) {
        let dir = tempfile::tempdir().unwrap();
        let host = dir.path().join("host");
        std::fs::create_dir_all(host.join("folder/deep")).unwrap();
        put(&host.join("file"), "file\n");
        put(&host.join("folder/deep/script"), "script\n");
        std::fs::set_permissions(host.join("folder/deep/script"), PermissionsExt::from_mode(0o750)).unwrap();
        symlink("deep/script", host.join("folder/link")).unwrap();
        std::fs::create_dir(dir.path().join("tree")).unwrap();
        let tree = Dir::open(&dir.path().join("tree")).unwrap();
        (dir, host, tree)
    }

    #[expect(clippy::disallowed_methods, reason = "a file of a test")]
    fn put(path: &Path, content: &str) {
        std::fs::write(path, content).unwrap();
    }

    fn kind(result: Result<Vec<PathBuf>>) -> Kind {
        Kind::of(&result.unwrap_err())
    }

    #[test]
    fn a_pair_is_read_with_and_without_a_destination() {
        let dir = tempfile::tempdir().unwrap();
        let pair = |text: &str| Pair::parse(text.as_ref(), dir.path()).map(|pair| (pair.source, pair.destination));
        let at = |path: &str| dir.path().join(path);
        assert_eq!(pair("a/b").unwrap(), (at("a/b"), "b".into()));
        assert_eq!(pair("a/b:c/d").unwrap(), (at("a/b"), "c/d".into()));
        assert_eq!(pair("/a/b:./c/").unwrap(), ("/a/b".into(), "c/b".into()));
        put(&at("x:y"), "");
        assert_eq!(pair("x:y").unwrap(), (at("x:y"), "x:y".into()));
        for escape in ["a:../b", "a:/b", "a:b/../../c", "a:.git/hooks/x", "a:sub/.GIT/x"] {
            assert_eq!(Kind::of(&pair(escape).unwrap_err()), Kind::Refused, "{escape}");
        }
        for bad in ["", "a:", ":b"] {
            assert_eq!(Kind::of(&pair(bad).unwrap_err()), Kind::Usage, "{bad}");
        }
    }

    #[test]
    fn folders_come_with_modes_times_and_links() {
        let (dir, host, tree) = place();
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        let script = File::options().write(true).open(host.join("folder/deep/script")).unwrap();
        script.set_modified(time).unwrap();
        std::fs::set_permissions(host.join("folder/deep"), PermissionsExt::from_mode(0o555)).unwrap();
        let pair = Pair { source: host.join("folder"), destination: "in/here".into() };
        assert_eq!(import(&tree, &[pair], false).unwrap(), [PathBuf::from("in/here")]);
        let here = dir.path().join("tree/in/here");
        let metadata = std::fs::metadata(here.join("deep/script")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o750);
        assert_eq!(metadata.modified().unwrap(), time);
        assert_eq!(std::fs::read_link(here.join("link")).unwrap(), Path::new("deep/script"));
        assert_eq!(std::fs::metadata(here.join("deep")).unwrap().permissions().mode() & 0o777, 0o555);
        for path in [host.join("folder/deep"), here.join("deep")] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn what_exists_is_replaced_only_when_told_to() {
        let (dir, host, tree) = place();
        let pair = |source: &str| Pair { source: host.join(source), destination: "x".into() };
        import(&tree, &[pair("folder")], false).unwrap();
        assert_eq!(kind(import(&tree, &[pair("file")], false)), Kind::Exists);
        import(&tree, &[pair("file")], true).unwrap();
        assert_eq!(std::fs::read(dir.path().join("tree/x")).unwrap(), b"file\n");
        import(&tree, &[pair("folder")], true).unwrap();
        assert!(dir.path().join("tree/x/deep/script").exists());
        assert_eq!(tree.names().unwrap(), ["x"]);
    }

    #[test]
    fn nothing_is_copied_when_one_source_is_missing() {
        let (_dir, host, tree) = place();
        let pairs = ["file", "none"].map(|name| Pair { source: host.join(name), destination: name.into() });
        assert_eq!(kind(import(&tree, &pairs, false)), Kind::NotFound);
        assert!(tree.names().unwrap().is_empty());
    }

    #[test]
    fn a_link_in_the_tree_leads_nowhere() {
        let (dir, host, tree) = place();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        symlink(&outside, dir.path().join("tree/out")).unwrap();
        let pair = Pair { source: host.join("file"), destination: "out/file".into() };
        assert_eq!(kind(import(&tree, &[pair], true)), Kind::Refused);
        assert!(std::fs::read_dir(&outside).unwrap().next().is_none());
    }
}
