//! The root: the directory that holds everything, and the only type that knows a name under it.

pub(crate) mod private;
mod user;

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Kind, Result};
use crate::store::fs::{self, Durability};
use crate::store::name::UserId;
pub(crate) use user::UserRoot;
use user::{Identity, USER_FILE};

/// The layout that this version reads and writes.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "stead.toml";
const PARTS: [&str; 7] = ["locks", "workspaces", "state", "homes", "pools", "staging", "trash"];

/// An opened root whose format, owner and mode have been checked.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    path: Arc<Path>,
}

#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
}

impl Root {
    /// Opens a root for reading; `None` when there is nothing at `path`, or an empty directory. Writes nothing.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        let path = absolute(path)?;
        if !check_directory(&path)? {
            return Ok(None);
        }
        if read_format(&path)? {
            return Ok(Some(Self { path: path.into() }));
        }
        if is_empty(&path)? {
            return Ok(None);
        }
        // Another process may have made the root since the first look.
        if read_format(&path)? { Ok(Some(Self { path: path.into() })) } else { Err(not_a_root(&path)) }
    }

    /// Opens a root, or makes one where nothing is or an empty directory is.
    pub(crate) fn open_or_create(path: &Path) -> Result<Self> {
        let root = match Self::open(path)? {
            Some(root) => root,
            None => Self::create(&absolute(path)?)?,
        };
        root.make_parts()?;
        Ok(root)
    }

    /// Writes anew what says the format of a root, where that is gone or was cut off while all parts of a root are there. What
    /// else it may say is a newer stead's. Returns whether it did.
    pub(crate) fn repair_format(path: &Path) -> Result<bool> {
        let path = absolute(path)?;
        if !check_directory(&path)? || !looks_like_a_root(&path) {
            return Ok(false);
        }
        let text = read_small(&path.join(FORMAT_FILE))?.unwrap_or_default();
        let is_whole = toml::from_str::<Format>(&text).is_ok();
        let is_cut_off = text.bytes().all(|byte| byte == 0) || (format_text().starts_with(&text) && !is_whole);
        if is_cut_off {
            write_format(&path)?;
        }
        Ok(is_cut_off)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn pools(&self) -> PathBuf {
        self.path.join("pools")
    }

    /// Returns where the pool `key` is.
    pub(crate) fn pool(&self, key: &str) -> PathBuf {
        self.pools().join(format!("{key}.git"))
    }

    /// Returns the lock that is held while the pool `key` is made or brought up to date.
    pub(crate) fn pool_lock(&self, key: &str) -> PathBuf {
        self.pools().join(format!("{key}.lock"))
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.path.join("staging")
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.path.join("trash")
    }

    /// Returns the lock that is held while ports are handed out.
    pub(crate) fn ports_lock(&self) -> PathBuf {
        self.path.join("ports.lock")
    }

    /// Returns the lock that one `gc --watch` of all users holds.
    pub(crate) fn watch_lock(&self) -> PathBuf {
        // Never a user's directory: those names have no dot.
        self.path.join("locks/.watch")
    }

    /// Returns where `gc` notes the time of its runs.
    pub(crate) fn clock_mark(&self) -> PathBuf {
        self.path.join("locks/.clock")
    }

    /// Returns the part of the root that belongs to `user`; makes nothing. Two identities never share a directory.
    pub(crate) fn user(&self, user: &UserId) -> Result<UserRoot> {
        for directory in [user.directory(), user.second_directory()] {
            let identity = self.identity(&directory)?;
            if identity.is_none_or(|identity| identity == user.as_str()) {
                let at = UserRoot { root: self.clone(), user: user.clone(), directory };
                at.check()?;
                return Ok(at);
            }
        }
        let path = self.path.join("state").join(user.second_directory());
        Err(Failure::new(Kind::Refused, format!("`{}` belongs to another user than `{user}`", path.display())).into())
    }

    /// Returns every user that has a directory, sorted by its name.
    pub(crate) fn users(&self) -> Result<Vec<UserRoot>> {
        let mut users = Vec::new();
        for path in fs::entries(&self.path.join("state"))? {
            let Some(directory) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let Some(identity) = self.identity(directory)? else { continue };
            let at = UserRoot { root: self.clone(), user: UserId::parse(&identity)?, directory: directory.to_owned() };
            at.check()?;
            users.push(at);
        }
        Ok(users)
    }

    fn make_parts(&self) -> Result<()> {
        PARTS.iter().try_for_each(|part| make_private(&self.path.join(part)))
    }

    fn create(path: &Path) -> Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
        }
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                check_directory(path)?;
                // An empty directory that was made for it: what comes into it is nobody else's business.
                rustix::fs::chmod(path, Mode::RWXU)
                    .with_context(|| format!("cannot make `{}` private", path.display()))?;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot make the root `{}`", path.display())),
        }
        write_format(path)?;
        Ok(Self { path: path.into() })
    }

    /// Returns the identity that has taken a user directory; `None` when nobody has.
    fn identity(&self, directory: &str) -> Result<Option<String>> {
        let path = self.path.join("state").join(directory).join(USER_FILE);
        let Some(text) = read_small(&path)? else { return Ok(None) };
        match toml::from_str::<Identity>(&text) {
            Ok(identity) => Ok(Some(identity.user)),
            Err(error) => Err(damaged(&path, error.message())),
        }
    }
}

/// Returns the failure for a file under the root that is not as this version expects.
pub(crate) fn damaged(path: &Path, reason: &str) -> anyhow::Error {
    Failure::new(Kind::Damaged, format!("`{}` is damaged: {reason}", path.display()))
        .hint("run `stead doctor --repair`")
        .into()
}

/// The most bytes that a small file of the root may have.
pub(crate) const SMALL: u64 = 64 << 20;

/// Reads a small trusted file, of at most [`SMALL`] bytes; `None` when it is not there.
pub(crate) fn read_small(path: &Path) -> Result<Option<String>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        // Of a link, which is not followed, or a socket.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => {
            return Err(damaged(path, "it is not a file"));
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    let is_file = file.metadata().with_context(|| format!("cannot read `{}`", path.display()))?.is_file();
    if !is_file {
        return Err(damaged(path, "it is not a file"));
    }
    let mut bytes = Vec::new();
    Read::take(&file, SMALL).read_to_end(&mut bytes).with_context(|| format!("cannot read `{}`", path.display()))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(damaged(path, "it is not text")),
    }
}

/// Returns the absolute path without a trailing slash, which would make the kernel follow a link.
fn absolute(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).with_context(|| format!("cannot find the root `{}`", path.display()))?;
    Ok(path.components().collect())
}

/// Checks that a root is a directory that nobody else can write; false when nothing is there.
fn check_directory(path: &Path) -> Result<bool> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("cannot open the root `{}`", path.display())),
    };
    let me = rustix::process::geteuid().as_raw();
    let refused = |reason: &str| Failure::new(Kind::Refused, format!("the root `{}` {reason}", path.display()));
    if metadata.is_symlink() {
        return Err(refused("is a link").hint("name the directory that it points to").into());
    }
    if !metadata.is_dir() {
        return Err(refused("is not a directory").into());
    }
    if metadata.uid() != me {
        let owner = metadata.uid();
        return Err(refused(&format!("belongs to somebody else (user id {owner}, yours is {me})"))
            .hint("choose a directory of your own with `--root` or `STEAD_ROOT`")
            .into());
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(refused("can be written by others")
            .hint(format!("run `chmod go-w '{}'` if nobody else has changed it", path.display()))
            .into());
    }
    Ok(true)
}

/// Checks the format of a root; false when the file that says it is missing.
fn read_format(path: &Path) -> Result<bool> {
    let file = path.join(FORMAT_FILE);
    let Some(text) = read_small(&file)? else { return Ok(false) };
    match toml::from_str::<Format>(&text) {
        Ok(Format { format: FORMAT }) => Ok(true),
        Ok(Format { format }) if format > FORMAT => Err(Failure::new(
            Kind::Damaged,
            format!("the root `{}` has format {format}, and this stead knows formats up to {FORMAT}", path.display()),
        )
        .hint("use a newer stead, or another root with `--root`")
        .into()),
        Ok(Format { format }) => Err(damaged(&file, &format!("there is no format {format}"))),
        Err(error) => Err(damaged(&file, error.message())),
    }
}

fn format_text() -> String {
    toml::to_string(&Format { format: FORMAT }).expect("a number is plain")
}

fn write_format(path: &Path) -> Result<()> {
    fs::write_atomic(&path.join(FORMAT_FILE), format_text().as_bytes(), Durability::Synced)
}

/// Returns whether all parts of a root are in a directory.
fn looks_like_a_root(path: &Path) -> bool {
    PARTS.iter().all(|part| path.join(part).symlink_metadata().is_ok_and(|metadata| metadata.is_dir()))
}

/// Returns whether a directory holds nothing but what a root under construction has.
fn is_empty(path: &Path) -> Result<bool> {
    Ok(fs::entries(path)?.iter().all(|entry| {
        entry.file_name().is_some_and(|name| fs::is_temporary(name) || name == FORMAT_FILE || name == "lost+found")
    }))
}

fn not_a_root(path: &Path) -> anyhow::Error {
    let failure = Failure::new(Kind::Refused, format!("`{}` is not empty and has no `{FORMAT_FILE}`", path.display()));
    if looks_like_a_root(path) {
        return failure.hint("if it is a root of stead, `stead doctor --repair` says so in it again").into();
    }
    failure.hint("choose an empty or new directory with `--root` or `STEAD_ROOT`").into()
}

fn not_a_directory(path: &Path) -> anyhow::Error {
    Failure::new(Kind::Refused, format!("`{}` is not a directory", path.display()))
        .hint("something has replaced a directory of the root; move it away")
        .into()
}

/// Makes a directory that only its owner can enter; an existing one is fine, anything else in its place is refused.
fn make_private(path: &Path) -> Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => match path.parent() {
            Some(parent) => File::open(parent)
                .and_then(|parent| parent.sync_all())
                .with_context(|| format!("cannot sync `{}`", parent.display())),
            None => Ok(()),
        },
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let metadata =
                std::fs::symlink_metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            if metadata.is_dir() { Ok(()) } else { Err(not_a_directory(path)) }
        }
        Err(error) => Err(error).with_context(|| format!("cannot make `{}`", path.display())),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make and break files by hand")]
mod tests {
    use super::*;
    use crate::store::name::WorkspaceName;

    fn user(text: &str) -> UserId {
        UserId::parse(text).unwrap()
    }

    fn name(text: &str) -> WorkspaceName {
        WorkspaceName::parse(text).unwrap()
    }

    fn chmod(path: &Path, mode: u32) {
        rustix::fs::chmod(path, Mode::from_raw_mode(mode)).unwrap();
    }

    #[test]
    fn a_root_is_made_private_and_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/root");
        assert!(Root::open(&path).unwrap().is_none());
        assert!(!path.exists());
        Root::open_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_to_string(path.join("stead.toml")).unwrap(), "format = 1\n");
        assert!(Root::open(&path).unwrap().is_some());
        Root::open_or_create(&path).unwrap();
    }

    #[test]
    fn an_empty_directory_becomes_a_root_and_a_full_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (empty, full) = (dir.path().join("empty"), dir.path().join("full"));
        for path in [&empty, &full] {
            std::fs::create_dir(path).unwrap();
            chmod(path, 0o755);
        }
        std::fs::write(full.join("thesis.tex"), "").unwrap();
        assert!(Root::open(&empty).unwrap().is_none());
        Root::open_or_create(&empty).unwrap();
        for error in [Root::open(&full).unwrap_err(), Root::open_or_create(&full).unwrap_err()] {
            assert_eq!(Kind::of(&error), Kind::Refused);
        }
        assert_eq!(std::fs::read_dir(&full).unwrap().count(), 1);
    }

    #[test]
    fn a_root_that_others_can_write_a_link_and_a_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        Root::open_or_create(&root).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&root, &link).unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for path in [&link, &dir.path().join("link/"), &file] {
            assert_eq!(Kind::of(&Root::open_or_create(path).unwrap_err()), Kind::Refused, "{}", path.display());
        }
        for mode in [0o770, 0o702] {
            chmod(&root, mode);
            assert_eq!(Kind::of(&Root::open(&root).unwrap_err()), Kind::Refused);
        }
    }

    #[test]
    fn a_newer_or_broken_format_is_refused_with_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        Root::open_or_create(&root).unwrap();
        for (text, message) in [("format = 2", "has format 2, and"), ("format = 0", "no format 0"), ("x", "damaged")] {
            std::fs::write(root.join("stead.toml"), text).unwrap();
            let error = Root::open_or_create(&root).unwrap_err();
            assert_eq!(Kind::of(&error), Kind::Damaged);
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn many_processes_may_make_the_same_root_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for attempt in 0..20 {
            let path = dir.path().join(format!("root{attempt}"));
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        Root::open_or_create(&path).unwrap().user(&user("local")).unwrap().ensure().unwrap();
                    });
                }
            });
        }
    }

    #[test]
    fn two_identities_never_share_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open_or_create(&dir.path().join("root")).unwrap();
        let first = root.user(&user("nick@example.com")).unwrap();
        first.ensure().unwrap();
        let second = root.user(&user("nick_example.com")).unwrap();
        second.ensure().unwrap();
        assert!(first.state(&name("x")).ends_with("state/nick_example_com/x"));
        assert_ne!(first.state(&name("x")), second.state(&name("x")));
        assert_eq!(root.user(&user("nick_example.com")).unwrap().state(&name("x")), second.state(&name("x")));
        assert_eq!(first.names().unwrap(), []);
        let users: Vec<_> = root.users().unwrap().iter().map(|at| at.user().clone()).collect();
        assert_eq!(users, [user("nick@example.com"), user("nick_example.com")]);
    }

    #[test]
    fn of_two_identities_that_come_at_once_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open_or_create(&dir.path().join("root")).unwrap();
        let (first, second) = (root.user(&user("a.b")).unwrap(), root.user(&user("a_b")).unwrap());
        first.ensure().unwrap();
        assert_eq!(Kind::of(&second.ensure().unwrap_err()), Kind::Busy);
    }

    #[test]
    fn a_user_directory_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open_or_create(&dir.path().join("root")).unwrap();
        std::os::unix::fs::symlink("/tmp", root.path().join("workspaces/local")).unwrap();
        assert_eq!(Kind::of(&root.user(&user("local")).unwrap_err()), Kind::Refused);
    }

    #[test]
    fn a_name_is_taken_in_any_case() {
        let dir = tempfile::tempdir().unwrap();
        let at = Root::open_or_create(&dir.path().join("root")).unwrap().user(&user("local")).unwrap();
        at.ensure().unwrap();
        std::fs::create_dir(at.state(&name("Fix-Login"))).unwrap();
        assert_eq!(at.taken(&name("fix-login")).unwrap(), Some(name("Fix-Login")));
        assert_eq!(at.taken(&name("other")).unwrap(), None);
        assert_eq!(at.lock(&name("Fix-Login")), at.lock(&name("fix-login")));
    }
}
