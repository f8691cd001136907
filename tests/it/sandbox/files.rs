//! Attempts on files: of the root, of projects, of the user.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::scene::{SECRETS, Told};
use super::sys;
use super::table::{ACCES, APART, Answer, NOENT, Open, ROFS, Row, WORKS, row};

/// What is not there in namespaces, and cannot be opened under Landlock.
pub(super) fn kept(name: &'static str, attempt: fn(&Told) -> io::Result<()>, open: Open) -> Row {
    row(name, attempt, open, NOENT, ACCES)
}

pub(super) fn rows() -> Vec<Row> {
    [root(), projects(), users(), changed(), tricks()].into_iter().flatten().collect()
}

fn root() -> Vec<Row> {
    vec![
        kept(
            "another workspace's tree is read",
            |told| read(told.root.join("workspaces/local/other/file")),
            Open::Works,
        ),
        kept(
            "another workspace's tree is written",
            |told| append(told.root.join("workspaces/local/other/new")),
            Open::Works,
        ),
        kept(
            "another workspace's home is read",
            |told| read(told.root.join("homes/local/other/home/file")),
            Open::Works,
        ),
        kept("the names of the workspaces are listed", |told| list(told.root.join("state/local")), Open::Works),
        kept(
            "another workspace's record is read",
            |told| read(told.root.join("state/local/other/workspace.toml")),
            Open::Works,
        ),
        kept("the own record is read", |told| read(told.root.join("state/local/x/workspace.toml")), Open::Works),
        kept("the own record is written", |told| extend(told.root.join("state/local/x/workspace.toml")), Open::Works),
        kept(
            "the record of the own run is written",
            |told| append(told.root.join("state/local/x/runs/new")),
            Open::Works,
        ),
        kept("the own store is read", |told| read(told.root.join("state/local/x/store.git/HEAD")), Open::Works),
        kept("the own store is written", |told| append(told.root.join("state/local/x/store.git/new")), Open::Works),
        kept("another store is read", |told| read(told.root.join("state/local/other/store.git/HEAD")), Open::Works),
        row("the own pool's objects are read", |told| list(told.pools[0].join("objects")), Open::Works, WORKS, WORKS),
        row("the own pool is written", |told| append(told.pools[0].join("objects/new")), Open::Works, ROFS, ACCES),
        row("an object of the own pool is linked into the tree", link_of_an_object, Open::Works, APART, APART),
        kept("the own pool's references are read", |told| read(told.pools[0].join("HEAD")), Open::Works),
        kept("another pool is read", |told| list(told.pools[1].join("objects")), Open::Works),
        kept("the own lease is opened", |told| extend(told.root.join("locks/local/x")), Open::Works),
        kept(
            "another lease is removed",
            |told| there_and_back(&told.root.join("locks/local/other"), &told.root.join("locks/local/moved")),
            Open::Works,
        ),
        kept("the audit log is read", |told| read(told.root.join("audit.jsonl")), Open::Works),
        kept("the audit log is written", |told| extend(told.root.join("audit.jsonl")), Open::Works),
        kept("the root's own file is read", |told| read(told.root.join("stead.toml")), Open::Works),
        kept("something is put into staging", |told| made(&told.root.join("staging/evil")), Open::Works),
        kept("something is put into the trash", |told| made(&told.root.join("trash/evil")), Open::Works),
    ]
}

fn projects() -> Vec<Row> {
    vec![
        kept("the project is read", |told| read(told.place.join("projects/own/file")), Open::Works),
        kept("the project is written", |told| append(told.place.join("projects/own/new")), Open::Works),
        kept("a hook is put into the project", |told| extend(told.place.join("projects/own/.git/config")), Open::Works),
        kept("another project is read", |told| read(told.place.join("projects/other/file")), Open::Works),
    ]
}

fn users() -> Vec<Row> {
    fn secret<const NUMBER: usize>(told: &Told) -> io::Result<()> {
        read(told.home.join(SECRETS[NUMBER]))
    }
    vec![
        kept("~/.ssh is read", secret::<0>, Open::Works),
        kept("~/.aws is read", secret::<1>, Open::Works),
        kept("~/.gnupg is read", secret::<2>, Open::Works),
        kept("~/.netrc is read", secret::<3>, Open::Works),
        kept("~/.git-credentials is read", secret::<4>, Open::Works),
        kept("~/.cargo/credentials.toml is read", secret::<5>, Open::Works),
        kept("~/.config/gh is read", secret::<6>, Open::Works),
        kept("~/.docker is read", secret::<7>, Open::Works),
        kept("~/.bash_history is read", secret::<8>, Open::Works),
        kept("a key is let into ~/.ssh", |told| append(told.home.join(".ssh/authorized_keys")), Open::Works),
        // In namespaces it is the private one at the same place; the caller looks at the user's.
        row("~/.bashrc is written", |told| append(told.home.join(".bashrc")), Open::Works, WORKS, ACCES),
        row("a toolchain is read", |told| read(told.home.join(".cargo/bin/tool")), Open::Works, WORKS, WORKS),
        row(
            "the credentials beside a toolchain are read",
            |told| read(told.home.join(".nvm/.npmrc")),
            Open::Works,
            ACCES,
            ACCES,
        ),
        row(
            "what is beside a toolchain's credentials is read",
            |told| read(told.home.join(".nvm/node")),
            Open::Works,
            WORKS,
            WORKS,
        ),
        kept(
            "a link beside a toolchain's credentials leads to a secret",
            |told| read(told.home.join(".nvm/escape")),
            Open::Works,
        ),
        row("a package cache is read", |told| read(told.home.join(".cargo/registry/index")), Open::Works, WORKS, WORKS),
        // In namespaces beside the host's.
        row(
            "a package cache is written",
            |told| append(told.home.join(".cargo/registry/new")),
            Open::Works,
            WORKS,
            ACCES,
        ),
        row("a toolchain is written", |told| extend(told.home.join(".cargo/bin/tool")), Open::Works, ROFS, ACCES),
        row(
            "a program is put into a toolchain",
            |told| made(&told.home.join(".cargo/bin/new")),
            Open::Works,
            ROFS,
            ACCES,
        ),
    ]
}

/// What Landlock has no say in.
fn changed() -> Vec<Row> {
    vec![
        row(
            "the mode of a file outside is changed",
            |told| std::fs::set_permissions(told.place.join("victim"), std::fs::Permissions::from_mode(0o640)),
            Open::Works,
            NOENT,
            WORKS,
        ),
        row(
            "the owner of a file outside is set",
            |told| {
                let metadata = std::fs::metadata(&told.home)?;
                std::os::unix::fs::chown(told.place.join("victim"), Some(metadata.uid()), Some(metadata.gid()))
            },
            Open::Works,
            NOENT,
            WORKS,
        ),
        row(
            "the times of a file outside are changed",
            |told| {
                let time = Timespec { tv_sec: 1, tv_nsec: 0 };
                let times = Timestamps { last_access: time, last_modification: time };
                Ok(rustix::fs::utimensat(CWD, told.place.join("victim"), &times, AtFlags::empty())?)
            },
            Open::Works,
            NOENT,
            WORKS,
        ),
        row(
            "an attribute of a file outside is set",
            |told| {
                match rustix::fs::setxattr(told.place.join("victim"), "user.test", b"1", XattrFlags::empty()) {
                    // Not every file system has them.
                    Err(Errno::OPNOTSUPP) => Ok(()),
                    result => Ok(result?),
                }
            },
            Open::Works,
            NOENT,
            WORKS,
        ),
        row(
            "a file outside is looked at",
            |told| std::fs::metadata(told.place.join("victim")).map(drop),
            Open::Works,
            NOENT,
            WORKS,
        ),
        kept(
            "a file outside is cut short",
            |told| {
                let path = std::ffi::CString::new(told.place.join("victim").into_os_string().into_encoded_bytes())?;
                let mut path = path.into_bytes_with_nul();
                sys::call(libc::SYS_truncate, [path.as_mut_slice().into(), 5.into()]).map(drop)
            },
            Open::Works,
        ),
        kept(
            "a file outside is cut short by opening it",
            |told| OpenOptions::new().read(true).custom_flags(libc::O_TRUNC).open(told.place.join("victim")).map(drop),
            Open::Works,
        ),
    ]
}

fn tricks() -> Vec<Row> {
    /// That it would be between two file systems is seen before that it is not there.
    const NOT_HERE: Answer = Answer::Refused(&[Errno::NOENT, Errno::XDEV]);
    vec![
        row(
            "a file outside is linked into the tree",
            |told| {
                let link = told.tree.join("hard");
                std::fs::hard_link(told.place.join("victim"), &link)?;
                std::fs::remove_file(link)
            },
            Open::Works,
            NOT_HERE,
            APART,
        ),
        row(
            "a file outside is moved into the tree",
            |told| there_and_back(&told.place.join("moved"), &told.tree.join("moved")),
            Open::Works,
            NOT_HERE,
            APART,
        ),
        kept(
            "a link in the tree leads outside",
            |told| through(&told.tree.join("soft"), &told.home.join(SECRETS[0])),
            Open::Works,
        ),
        kept(
            "a link in the own home leads outside",
            |told| {
                let home = std::env::var_os("HOME").expect("a home");
                through(&Path::new(&home).join("soft"), &told.root.join("state/local/x/workspace.toml"))
            },
            Open::Works,
        ),
        kept("the way up leads outside", |_| read("../../../state/local/x/workspace.toml"), Open::Works),
        kept(
            "the way over /proc leads outside",
            |told| {
                read(Path::new("/proc/self/root").join(told.place.join("victim").strip_prefix("/").expect("absolute")))
            },
            Open::Works,
        ),
        kept("the way over the working directory leads outside", |_| read("/proc/self/cwd/../other/file"), Open::Works),
        row(
            "stdin is opened again for writing",
            |_| OpenOptions::new().append(true).open("/proc/self/fd/0").map(drop),
            Open::Works,
            ACCES,
            ACCES,
        ),
        row(
            "a descriptor that stead was started with is there",
            |_| rustix::fs::fstat(rustix_fd(7)?).map(drop).map_err(Into::into),
            Open::Never(&[Errno::BADF, Errno::NOENT]),
            Answer::Refused(&[Errno::BADF, Errno::NOENT]),
            Answer::Refused(&[Errno::BADF, Errno::NOENT]),
        ),
        row("only what is needed is open", only_what_is_needed, Open::Works, WORKS, WORKS),
    ]
}

impl Told {
    /// Returns a file in `/tmp` that is this scene's.
    pub(super) fn in_tmp(&self) -> std::path::PathBuf {
        Path::new("/tmp").join(format!("stead-test-{}", self.abstract_name))
    }
}

pub(super) fn read(path: impl AsRef<Path>) -> io::Result<()> {
    File::open(path)?.read(&mut [0]).map(drop)
}

pub(super) fn list(path: impl AsRef<Path>) -> io::Result<()> {
    std::fs::read_dir(path)?.next().transpose().map(drop)
}

/// Opens a file that is there for writing.
fn extend(path: impl AsRef<Path>) -> io::Result<()> {
    OpenOptions::new().append(true).open(path).map(drop)
}

/// Opens a file for writing, made when it is missing.
pub(super) fn append(path: impl AsRef<Path>) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(path).map(drop)
}

/// Makes a file and takes it away again.
pub(super) fn made(path: &Path) -> io::Result<()> {
    append(path)?;
    std::fs::remove_file(path)
}

fn there_and_back(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    std::fs::rename(to, from)
}

fn through(link: &Path, target: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)?;
    let end = read(link);
    std::fs::remove_file(link)?;
    end
}

fn link_of_an_object(told: &Told) -> io::Result<()> {
    let objects = told.pools[0].join("objects");
    let mut below = vec![objects];
    while let Some(path) = below.pop() {
        if path.is_dir() {
            below.extend(path.read_dir()?.flatten().map(|entry| entry.path()));
            continue;
        }
        let link = told.tree.join("object");
        std::fs::hard_link(&path, &link)?;
        return std::fs::remove_file(link);
    }
    Err(io::Error::other("the pool has no object"))
}

/// Opens what a descriptor stands for, to look at it.
fn rustix_fd(number: i32) -> io::Result<rustix::fd::OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    Ok(rustix::fs::open(format!("/proc/self/fd/{number}"), flags, Mode::empty())?)
}

fn only_what_is_needed(_: &Told) -> io::Result<()> {
    let mut open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    open.sort_unstable();
    // The last is the list itself.
    match open.as_slice() {
        [0, 1, 2] | [0, 1, 2, _] => Ok(()),
        _ => Err(io::Error::other(format!("open: {open:?}"))),
    }
}
