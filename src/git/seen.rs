//! The stat cache of the last capture (`seen`): which entry had which content when it was last read.
//!
//! A file whose inode, size, mtime and ctime are as remembered is not read again, unless it was written so shortly before
//! the capture that a later write could have left the same times (git's rule for racy entries). A directory whose entries
//! are all as remembered keeps its tree id. The file is only a cache: one that is missing or damaged costs time.
//!
//! ```text
//! magic, checksum of the rest, time of the capture, device, commit and root of the snapshot, directories:
//!   path, id of the ignore rules, tree, entries: kind, name, and of files: stamp, mode, id
//! ```

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::error::Result;
use crate::git::{Oid, tracked};
use crate::store::fs::{Durability, write_atomic};
use crate::store::walk::Stamp;

const MAGIC: &[u8; 8] = b"STDSEEN2";

/// The clock that stamps files ticks at least so often; slower where it has no fractions of seconds.
const TICK: i128 = 20_000_000;
const SLOW_TICK: i128 = 2_000_000_000;

/// What an entry of a directory was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    Program,
    Link,
    Directory,
    /// A submodule, as the commit that it is at.
    Gitlink,
    /// A repository of its own, not recorded in the tree.
    Nested,
    Ignored,
    NewlyIgnored,
    /// Ignored, but something in it is recorded.
    IgnoredDirectory,
    NewlyIgnoredDirectory,
}

impl EntryKind {
    const ALL: [Self; 10] = [
        Self::File,
        Self::Program,
        Self::Link,
        Self::Directory,
        Self::Gitlink,
        Self::Nested,
        Self::Ignored,
        Self::NewlyIgnored,
        Self::IgnoredDirectory,
        Self::NewlyIgnoredDirectory,
    ];

    fn byte(self) -> u8 {
        let index = Self::ALL.iter().position(|kind| *kind == self).expect("all kinds are in the list");
        u8::try_from(index).expect("there are few kinds")
    }

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }

    pub(crate) fn has_content(self) -> bool {
        matches!(self, Self::File | Self::Program | Self::Link)
    }

    pub(crate) fn is_directory(self) -> bool {
        matches!(self, Self::Directory | Self::IgnoredDirectory | Self::NewlyIgnoredDirectory)
    }

    /// Returns how it is ignored, if it is.
    pub(crate) fn ignored(self) -> Option<Self> {
        match self {
            Self::Ignored | Self::IgnoredDirectory => Some(Self::Ignored),
            Self::NewlyIgnored | Self::NewlyIgnoredDirectory => Some(Self::NewlyIgnored),
            _ => None,
        }
    }

    /// Returns the mode in a git tree; `None` for what is not recorded in one.
    pub(crate) fn git_mode(self) -> Option<u32> {
        match self {
            Self::File => Some(0o100_644),
            Self::Program => Some(0o100_755),
            Self::Link => Some(0o120_000),
            Self::Directory | Self::IgnoredDirectory | Self::NewlyIgnoredDirectory => Some(0o040_000),
            Self::Gitlink => Some(0o160_000),
            Self::Nested | Self::Ignored | Self::NewlyIgnored => None,
        }
    }
}

/// One remembered entry; `stamp`, `mode` and `id` have a meaning as its kind says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry<N> {
    pub(crate) name: N,
    pub(crate) kind: EntryKind,
    pub(crate) stamp: Stamp,
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) id: Oid,
}

/// What the last capture remembered.
#[derive(Debug)]
pub(crate) struct Seen {
    bytes: Vec<u8>,
    captured: i128,
    device: u64,
    commit: Oid,
    root: Oid,
    directories: HashMap<Vec<u8>, Directory>,
}

#[derive(Clone, Copy, Debug)]
struct Directory {
    rules: u64,
    tree: Oid,
    start: usize,
    end: usize,
}

/// A remembered directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenDirectory<'a> {
    pub(crate) rules: u64,
    /// Zero when it is not known.
    pub(crate) tree: Oid,
    body: &'a [u8],
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            captured: 0,
            device: 0,
            commit: Oid::ZERO_SHA1,
            root: Oid::ZERO_SHA1,
            directories: HashMap::new(),
        }
    }
}

impl Seen {
    /// Reads the cache; nothing is remembered when it is missing or damaged.
    pub(crate) fn read(path: &Path) -> Self {
        std::fs::read(path).ok().and_then(Self::parse).unwrap_or_default()
    }

    pub(crate) fn parse(bytes: Vec<u8>) -> Option<Self> {
        let mut reader = Reader { bytes: &bytes, at: 0 };
        if reader.take(8)? != MAGIC || reader.u32()? != checksum(&bytes[12..]) {
            return None;
        }
        let captured = i128::from(reader.i64()?);
        let device = reader.u64()?;
        let (commit, root) = (reader.id()?, reader.id()?);
        let mut directories = HashMap::new();
        while reader.at < bytes.len() {
            let (path, rules, tree, body) = reader.directory()?;
            let start = reader.at - body.len();
            directories.insert(path.to_vec(), Directory { rules, tree, start, end: reader.at });
        }
        Some(Self { bytes, captured, device, commit, root, directories })
    }

    /// Returns what is remembered of a directory of the tree that is on `device`.
    pub(crate) fn directory(&self, device: u64, path: &[u8]) -> Option<SeenDirectory<'_>> {
        if self.device != device && self.device != ANY_DEVICE {
            return None;
        }
        let Directory { rules, tree, start, end } = *self.directories.get(path)?;
        Some(SeenDirectory { rules, tree, body: &self.bytes[start..end] })
    }

    /// Returns whether a file with these times may have been written after it was read.
    pub(crate) fn is_racy(&self, stamp: &Stamp) -> bool {
        let (seconds, nanoseconds) = stamp.ctime;
        let tick = if nanoseconds == 0 { SLOW_TICK } else { TICK };
        i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds) + tick >= self.captured
    }

    /// Returns the commit that holds the snapshot with this root, if the last capture made it.
    pub(crate) fn commit_of(&self, root: Oid) -> Option<Oid> {
        (self.root == root && !self.commit.is_zero()).then_some(self.commit)
    }

    pub(crate) fn root(&self) -> Oid {
        self.root
    }
}

impl<'a> SeenDirectory<'a> {
    /// Returns the entries, sorted by name.
    pub(crate) fn entries(self) -> impl Iterator<Item = Entry<&'a [u8]>> {
        let mut reader = Reader { bytes: self.body, at: 0 };
        std::iter::from_fn(move || {
            let kind = EntryKind::of(reader.u8()?)?;
            let length = reader.u16()?;
            let name = reader.take(usize::from(length))?;
            let mut entry = Entry { name, kind, stamp: Stamp::default(), mode: 0, id: Oid::ZERO_SHA1 };
            if kind.has_content() {
                entry.stamp = Stamp {
                    inode: reader.u32()?,
                    size: reader.u64()?,
                    mtime: (reader.i64()?, reader.u32()?),
                    ctime: (reader.i64()?, reader.u32()?),
                };
                entry.mode = reader.u32()?;
            }
            if kind.has_content() || kind == EntryKind::Gitlink {
                entry.id = reader.id()?;
            }
            Some(entry)
        })
    }
}

/// The cache for the next capture, under construction.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    directories: Vec<u8>,
}

impl Writer {
    /// Adds a directory; `entries` are sorted by name.
    pub(crate) fn directory<N: AsRef<[u8]>>(&mut self, path: &[u8], rules: u64, tree: Oid, entries: &[Entry<N>]) {
        let out = &mut self.directories;
        out.extend(length(path.len()).to_le_bytes());
        out.extend(path);
        out.extend(rules.to_le_bytes());
        out.extend(tree.as_bytes());
        let at = out.len();
        out.extend([0; 4]);
        for entry in entries {
            let name = entry.name.as_ref();
            out.push(entry.kind.byte());
            out.extend(u16::try_from(name.len()).expect("a name has at most 255 bytes").to_le_bytes());
            out.extend(name);
            if entry.kind.has_content() {
                let Stamp { inode, size, mtime, ctime } = entry.stamp;
                out.extend(inode.to_le_bytes());
                out.extend(size.to_le_bytes());
                for (seconds, nanoseconds) in [mtime, ctime] {
                    out.extend(seconds.to_le_bytes());
                    out.extend(nanoseconds.to_le_bytes());
                }
                out.extend(entry.mode.to_le_bytes());
            }
            if entry.kind.has_content() || entry.kind == EntryKind::Gitlink {
                out.extend(entry.id.as_bytes());
            }
        }
        let body = length(out.len() - at - 4).to_le_bytes();
        out[at..at + 4].copy_from_slice(&body);
    }

    /// Calls `look` with each entry that was added, and the path of its directory.
    pub(crate) fn each(&self, mut look: impl FnMut(&[u8], &Entry<&[u8]>)) {
        let mut reader = Reader { bytes: &self.directories, at: 0 };
        while let Some((path, _, _, body)) = reader.directory() {
            for entry in (SeenDirectory { rules: 0, tree: Oid::ZERO_SHA1, body }).entries() {
                look(path, &entry);
            }
        }
    }

    /// Writes the cache. `captured` is when the capture began.
    pub(crate) fn write(
        self,
        path: &Path,
        captured: jiff::Timestamp,
        device: u64,
        commit: Oid,
        root: Oid,
    ) -> Result<()> {
        let mut rest = Vec::with_capacity(self.directories.len() + 64);
        let captured = i64::try_from(captured.as_nanosecond()).unwrap_or(0);
        rest.extend(captured.to_le_bytes());
        rest.extend(device.to_le_bytes());
        rest.extend(commit.as_bytes());
        rest.extend(root.as_bytes());
        rest.extend(self.directories);
        write_atomic(path, &sealed(&rest), Durability::Lazy)
    }
}

/// Writes the cache that the first capture after a checkout finds, so that it reads no file again, from the checkout's
/// index.
///
/// The files must hold what git stores, unconverted, and must not have been in anybody's hands yet.
pub(crate) fn prefill(path: &Path, index: &[u8]) -> Result<()> {
    let mut directories: BTreeMap<Vec<u8>, Vec<Entry<Vec<u8>>>> = BTreeMap::new();
    for entry in tracked::entries(index) {
        let (kind, mode) = match entry.mode {
            0o100_644 => (EntryKind::File, 0o644),
            0o100_755 => (EntryKind::Program, 0o755),
            0o120_000 => (EntryKind::Link, 0o777),
            _ => continue,
        };
        let (directory, name) = match entry.path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&entry.path[..slash], &entry.path[slash + 1..]),
            None => (&[][..], &entry.path[..]),
        };
        let entry = Entry { name: name.to_vec(), kind, stamp: entry.stamp, mode, id: entry.id };
        directories.entry(directory.to_vec()).or_default().push(entry);
    }
    let mut writer = Writer::default();
    for (path, entries) in &directories {
        writer.directory(path, TRACKED, Oid::ZERO_SHA1, entries);
    }
    // Nobody else can write to the tree before it is published, so that nothing in it is racy.
    let never = jiff::Timestamp::from_nanosecond(i64::MAX.into()).expect("a time in the year 2262");
    writer.write(path, never, ANY_DEVICE, Oid::ZERO_SHA1, Oid::ZERO_SHA1)
}

/// The rules of a directory in which everything remembered is tracked.
pub(crate) const TRACKED: u64 = u64::MAX;

/// Of a cache that was made for a tree before it was looked at.
const ANY_DEVICE: u64 = u64::MAX;

/// Returns the whole file: what it is, a checksum, and the rest.
pub(crate) fn sealed(rest: &[u8]) -> Vec<u8> {
    [MAGIC.as_slice(), &checksum(rest).to_le_bytes(), rest].concat()
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("a directory's entries take less than 4 GB")
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// Reads a directory: path, rules, tree, entries.
    fn directory(&mut self) -> Option<(&'a [u8], u64, Oid, &'a [u8])> {
        let length = self.u32()? as usize;
        let path = self.take(length)?;
        let (rules, tree) = (self.u64()?, self.id()?);
        let length = self.u32()? as usize;
        Some((path, rules, tree, self.take(length)?))
    }

    fn id(&mut self) -> Option<Oid> {
        Oid::from_bytes(self.take(20)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, ctime: i64) -> Entry<Vec<u8>> {
        Entry {
            name: name.into(),
            kind: EntryKind::Program,
            stamp: Stamp { inode: 7, size: 1 << 33, mtime: (-1, 2), ctime: (ctime, 3) },
            mode: 0o755,
            id: Oid::hash_object(git2::ObjectType::Blob, name.as_bytes()).expect("an id"),
        }
    }

    #[test]
    fn what_is_written_is_remembered_and_damage_forgets_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("seen");
        let mut writer = Writer::default();
        let entries = [file("a", 1), file("b\n", 2)];
        writer.directory(b"dir", 5, Oid::ZERO_SHA1, &entries);
        writer.write(&path, jiff::Timestamp::now(), 9, Oid::ZERO_SHA1, Oid::ZERO_SHA1).expect("a file");
        let seen = Seen::read(&path);
        let directory = seen.directory(9, b"dir").expect("the directory");
        assert_eq!(directory.rules, 5);
        let read: Vec<_> = directory.entries().map(|entry| (entry.name.to_vec(), entry.stamp, entry.id)).collect();
        let written: Vec<_> = entries.into_iter().map(|entry| (entry.name, entry.stamp, entry.id)).collect();
        assert_eq!(read, written);
        assert!(seen.directory(8, b"dir").is_none());
        let mut bytes = std::fs::read(&path).expect("the file");
        *bytes.last_mut().expect("a byte") ^= 1;
        assert!(Seen::parse(bytes).is_none());
    }

    #[test]
    fn an_entry_written_in_the_tick_of_the_capture_is_racy() {
        let seen = Seen { captured: 1_000_000_000_000, ..Seen::default() };
        let stamp = |seconds, nanoseconds| Stamp { ctime: (seconds, nanoseconds), ..Stamp::default() };
        assert!(seen.is_racy(&stamp(1000, 1)));
        assert!(seen.is_racy(&stamp(999, 990_000_000)));
        assert!(!seen.is_racy(&stamp(999, 900_000_000)));
        assert!(seen.is_racy(&stamp(999, 0)), "a clock of whole seconds");
        assert!(!seen.is_racy(&stamp(997, 0)));
    }
}
