//! Writing git's index file, version 2 or 3, in one go: entries with their stat data, and the TREE extension, by which
//! `git status` sees at once that nothing is staged.

use git2::Oid;
use sha1::{Digest as _, Sha1};

/// What the index keeps of a file's attributes, each cut to 32 bits as git does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) changed: (u32, u32),
    pub(crate) modified: (u32, u32),
    pub(crate) device: u32,
    pub(crate) inode: u32,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) size: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) id: Oid,
    pub(crate) stat: Stat,
    /// It is not to be checked out (`skip-worktree`).
    pub(crate) skipped: bool,
}

/// A directory of the TREE extension, in depth-first order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CachedTree {
    /// The last component; empty for the top.
    pub(crate) name: Vec<u8>,
    /// Entries of the index below it.
    pub(crate) entries: usize,
    /// Directories right below it.
    pub(crate) subtrees: usize,
    /// `None` when the entries are not all of the tree's.
    pub(crate) id: Option<Oid>,
}

/// An index: entries sorted by path, and the trees that they are of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) entries: Vec<Entry>,
    pub(crate) trees: Vec<CachedTree>,
}

impl Stat {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "git keeps the low 32 bits")]
    pub(crate) fn of(stat: &rustix::fs::Stat) -> Self {
        Self {
            changed: (stat.st_ctime as u32, stat.st_ctime_nsec as u32),
            modified: (stat.st_mtime as u32, stat.st_mtime_nsec as u32),
            device: stat.st_dev as u32,
            inode: stat.st_ino as u32,
            user: stat.st_uid,
            group: stat.st_gid,
            size: stat.st_size as u32,
        }
    }
}

impl Index {
    /// Returns the bytes of the file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        const MAX_NAME_LENGTH: usize = 0xfff;
        const EXTENDED: u16 = 0x4000;
        const SKIPPED: u16 = 0x4000;
        let version: u32 = if self.entries.iter().any(|entry| entry.skipped) { 3 } else { 2 };
        let mut bytes = Vec::with_capacity(self.entries.len() * 100 + self.trees.len() * 40 + 64);
        bytes.extend_from_slice(b"DIRC");
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(self.entries.len()).unwrap_or(u32::MAX).to_be_bytes());
        for entry in &self.entries {
            let begin = bytes.len();
            let stat = &entry.stat;
            for field in [
                stat.changed.0,
                stat.changed.1,
                stat.modified.0,
                stat.modified.1,
                stat.device,
                stat.inode,
                entry.mode,
                stat.user,
                stat.group,
                stat.size,
            ] {
                bytes.extend_from_slice(&field.to_be_bytes());
            }
            bytes.extend_from_slice(entry.id.as_bytes());
            let length = u16::try_from(entry.path.len().min(MAX_NAME_LENGTH)).unwrap_or(u16::MAX);
            if entry.skipped {
                bytes.extend_from_slice(&(length | EXTENDED).to_be_bytes());
                bytes.extend_from_slice(&SKIPPED.to_be_bytes());
            } else {
                bytes.extend_from_slice(&length.to_be_bytes());
            }
            bytes.extend_from_slice(&entry.path);
            let padding = 8 - (bytes.len() - begin) % 8;
            bytes.resize(bytes.len() + padding, 0);
        }
        let mut trees = Vec::new();
        for tree in &self.trees {
            trees.extend_from_slice(&tree.name);
            trees.push(0);
            match tree.id {
                Some(id) => {
                    trees.extend_from_slice(format!("{} {}\n", tree.entries, tree.subtrees).as_bytes());
                    trees.extend_from_slice(id.as_bytes());
                }
                None => trees.extend_from_slice(format!("-1 {}\n", tree.subtrees).as_bytes()),
            }
        }
        if !trees.is_empty() {
            bytes.extend_from_slice(b"TREE");
            bytes.extend_from_slice(&u32::try_from(trees.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(&trees);
        }
        bytes.extend_from_slice(&checksum(&bytes));
        bytes
    }
}

/// Returns the SHA-1 of the bytes: the file ends in it, and libgit2 offers only hashes of objects.
fn checksum(bytes: &[u8]) -> [u8; 20] {
    Sha1::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use git2::ObjectType;

    use super::*;

    #[test]
    fn the_checksum_is_that_of_git() {
        for length in [0, 1, 55, 56, 63, 64, 65, 1000] {
            let content: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).expect("less than 251")).collect();
            let object = [format!("blob {length}\0").as_bytes(), &content].concat();
            let expected = Oid::hash_object(ObjectType::Blob, &content).expect("a hash");
            assert_eq!(checksum(&object), expected.as_bytes(), "{length}");
        }
    }
}
