//! What git trees cannot hold about a snapshot, as one blob.
//!
//! ```text
//! stead meta 1 NUL
//! KEY PATH NUL VALUE NUL …        sorted by key, then by path
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Failure, Kind, Result};
use crate::git::Oid;
use crate::store::walk::Stamp;

const HEADER: &[u8] = b"stead meta 1";

/// A `.git` file above so many bytes is not recorded: git itself writes a path.
pub(crate) const MAX_GIT_FILE: u64 = 8192;

/// A `.git` that is a file: of a submodule or a linked worktree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GitFile {
    /// Permission bits.
    pub(crate) mode: u32,
    pub(crate) content: Vec<u8>,
}

/// What git trees cannot hold; paths relative to the tree, raw bytes, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Permission bits of most files and of most executable ones, where these are not 0644 and 0755.
    pub(crate) plain: Option<(u32, u32)>,
    /// Permission bits of the files that differ from that.
    pub(crate) modes: Vec<(Vec<u8>, u32)>,
    /// Permission bits of most directories; not known of snapshots from before these were recorded.
    pub(crate) plain_dir: Option<u32>,
    /// Permission bits of the directories that differ from that, and of those that could not be opened. The path of the tree
    /// itself is empty; those in `.git` are not recorded, since git makes them alike.
    pub(crate) dir_modes: Vec<(Vec<u8>, u32)>,
    /// Permission bits of the files in `.git` that people make private or executable, where these are not 0644 and 0755.
    pub(crate) git_modes: Vec<(Vec<u8>, u32)>,
    /// The `.git` files, by their repositories; a sub-snapshot has none, since the one around it has them all.
    pub(crate) git_files: Vec<(Vec<u8>, GitFile)>,
    /// Whether the git directories of submodules are recorded with the others; older snapshots lack them.
    pub(crate) has_modules: bool,
    pub(crate) empty_dirs: Vec<Vec<u8>>,
    /// FIFOs, sockets and devices, with their kind; and names that git reserves for itself.
    pub(crate) special: Vec<(Vec<u8>, String)>,
    /// Files over a cap, with their size in bytes.
    pub(crate) too_large: Vec<(Vec<u8>, u64)>,
    /// Permission bits of those; not known of snapshots from before they were recorded.
    pub(crate) large_modes: Vec<(Vec<u8>, u32)>,
    /// What could not be read, with the reason.
    pub(crate) unreadable: Vec<(Vec<u8>, String)>,
    /// What tells whether any of those has changed although nobody has read it; not known of all, nor of older snapshots.
    pub(crate) stamps: Vec<(Vec<u8>, Stamp)>,
    /// Nested repositories, with the sub-snapshot's root tree id.
    pub(crate) nested: Vec<(Vec<u8>, Oid)>,
    /// Top-level entries that only rules newer than the base ignore.
    pub(crate) newly_ignored: Vec<Vec<u8>>,
}

impl Meta {
    /// Returns the permission bits of a recorded file.
    pub(crate) fn mode(&self, path: &[u8], executable: bool) -> u32 {
        let (file, program) = self.plain.unwrap_or(PLAIN);
        listed(&self.modes, path).unwrap_or(if executable { program } else { file })
    }

    /// Returns the permission bits of what is known to be a directory of the snapshot.
    pub(crate) fn dir_mode(&self, path: &[u8]) -> Option<u32> {
        let plain = self.plain_dir?;
        Some(listed(&self.dir_modes, path).unwrap_or(plain))
    }

    /// Returns the permission bits of what was not read, where they are known.
    pub(crate) fn mode_of_unread(&self, path: &[u8]) -> Option<u32> {
        listed(&self.large_modes, path).or_else(|| listed(&self.dir_modes, path))
    }

    /// Returns whether what nobody has read, now or `before`, is another one than then or was written to. Other permission bits
    /// alone are no such change.
    pub(crate) fn is_rewritten(&self, before: &Self, path: &[u8]) -> bool {
        let (Some(old), Some(new)) = (listed(&before.stamps, path), listed(&self.stamps, path)) else { return false };
        // A time of change is all that a run cannot set, but other permission bits set it too.
        old != new
            && (Stamp { ctime: new.ctime, ..old } != new || before.mode_of_unread(path) == self.mode_of_unread(path))
    }

    /// Returns whether what it names shows that there is a directory at `path`, whatever the files say.
    pub(crate) fn has_directory(&self, path: &[u8]) -> bool {
        fn names<T>(list: &[T], path: &[u8], name: impl Fn(&T) -> &[u8]) -> bool {
            list.get(list.partition_point(|entry| name(entry) < path)).is_some_and(|entry| name(entry) == path)
        }
        fn goes_below<T>(list: &[T], below: &[u8], name: impl Fn(&T) -> &[u8]) -> bool {
            list.get(list.partition_point(|entry| name(entry) < below))
                .is_some_and(|entry| name(entry).starts_with(below))
        }
        let below = [path, b"/"].concat();
        names(&self.dir_modes, path, |(name, _)| name)
            || names(&self.nested, path, |(name, _)| name)
            || names(&self.empty_dirs, path, |name| name)
            || goes_below(&self.dir_modes, &below, |(name, _)| name)
            || goes_below(&self.nested, &below, |(name, _)| name)
            || goes_below(&self.empty_dirs, &below, |name| name)
            || goes_below(&self.newly_ignored, &below, |name| name)
            || goes_below(&self.special, &below, |(name, _)| name)
            || goes_below(&self.too_large, &below, |(name, _)| name)
            || goes_below(&self.unreadable, &below, |(name, _)| name)
    }

    /// Returns the part below `directory`, with paths relative to it.
    pub(crate) fn below(&self, directory: &[u8]) -> Self {
        let below = |path: &[u8]| path.strip_prefix(directory)?.strip_prefix(b"/").map(<[u8]>::to_vec);
        Self {
            plain: self.plain,
            modes: pick(&self.modes, below),
            plain_dir: self.plain_dir,
            dir_modes: pick(&self.dir_modes, below),
            git_modes: pick(&self.git_modes, below),
            git_files: Vec::new(),
            has_modules: self.has_modules,
            empty_dirs: self.empty_dirs.iter().filter_map(|path| below(path)).collect(),
            special: pick(&self.special, below),
            too_large: pick(&self.too_large, below),
            large_modes: pick(&self.large_modes, below),
            unreadable: pick(&self.unreadable, below),
            stamps: pick(&self.stamps, below),
            nested: pick(&self.nested, below),
            newly_ignored: self.newly_ignored.iter().filter_map(|path| below(path)).collect(),
        }
    }

    pub(crate) fn sort(&mut self) {
        self.modes.sort();
        self.dir_modes.sort();
        self.git_modes.sort();
        self.git_files.sort();
        self.empty_dirs.sort();
        self.special.sort();
        self.too_large.sort();
        self.large_modes.sort();
        self.unreadable.sort();
        self.stamps.sort_by(|one, other| one.0.cmp(&other.0));
        self.nested.sort();
        self.newly_ignored.sort();
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        bytes.push(0);
        let mut record = |key: &str, path: &[u8], value: &str| {
            bytes.extend_from_slice(key.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(path);
            bytes.push(0);
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(0);
        };
        self.dir_modes.iter().for_each(|(path, mode)| record("dirmode", path, &format!("{mode:o}")));
        self.empty_dirs.iter().for_each(|path| record("empty", path, ""));
        for (path, GitFile { mode, content }) in &self.git_files {
            record("gitfile", path, &format!("{mode:o} {}", STANDARD.encode(content)));
        }
        self.git_modes.iter().for_each(|(path, mode)| record("gitmode", path, &format!("{mode:o}")));
        self.newly_ignored.iter().for_each(|path| record("ignored", path, ""));
        self.too_large.iter().for_each(|(path, size)| record("large", path, &size.to_string()));
        self.large_modes.iter().for_each(|(path, mode)| record("largemode", path, &format!("{mode:o}")));
        self.modes.iter().for_each(|(path, mode)| record("mode", path, &format!("{mode:o}")));
        if self.has_modules {
            record("modules", b"", "");
        }
        self.nested.iter().for_each(|(path, id)| record("nested", path, &id.to_string()));
        if let Some((file, program)) = self.plain {
            record("plain", b"file", &format!("{file:o}"));
            record("plain", b"program", &format!("{program:o}"));
        }
        if let Some(mode) = self.plain_dir {
            record("plaindir", b"", &format!("{mode:o}"));
        }
        self.special.iter().for_each(|(path, kind)| record("special", path, kind));
        for (path, Stamp { inode, size, mtime, ctime }) in &self.stamps {
            record("stamp", path, &format!("{inode} {size} {} {} {} {}", mtime.0, mtime.1, ctime.0, ctime.1));
        }
        self.unreadable.iter().for_each(|(path, reason)| record("unreadable", path, reason));
        bytes
    }

    /// Reads a blob of this version; keys that it does not know are passed by.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged = || Failure::new(Kind::Damaged, "the `meta` of a snapshot cannot be read");
        let mut fields = bytes.split(|byte| *byte == 0);
        if fields.next() != Some(HEADER) {
            return Err(damaged().into());
        }
        let mut meta = Self::default();
        while let (Some(key), Some(value)) = (fields.next(), fields.next()) {
            let space = key.iter().position(|byte| *byte == b' ').ok_or_else(damaged)?;
            let path = key[space + 1..].to_vec();
            let value = std::str::from_utf8(value).map_err(|_| damaged())?;
            let octal = || u32::from_str_radix(value, 8).map_err(|_| damaged());
            match &key[..space] {
                b"dirmode" => meta.dir_modes.push((path, octal()?)),
                b"empty" => meta.empty_dirs.push(path),
                b"gitfile" => meta.git_files.push((path, GitFile::decode(value).ok_or_else(damaged)?)),
                b"gitmode" => meta.git_modes.push((path, octal()?)),
                b"ignored" => meta.newly_ignored.push(path),
                b"large" => meta.too_large.push((path, value.parse().map_err(|_| damaged())?)),
                b"largemode" => meta.large_modes.push((path, octal()?)),
                b"mode" => meta.modes.push((path, octal()?)),
                b"modules" => meta.has_modules = true,
                b"nested" => meta.nested.push((path, value.parse().map_err(|_| damaged())?)),
                b"plain" => {
                    let plain = meta.plain.get_or_insert(PLAIN);
                    *(if path == b"file" { &mut plain.0 } else { &mut plain.1 }) = octal()?;
                }
                b"plaindir" => meta.plain_dir = Some(octal()?),
                b"special" => meta.special.push((path, value.to_owned())),
                b"stamp" => meta.stamps.push((path, stamp(value).ok_or_else(damaged)?)),
                b"unreadable" => meta.unreadable.push((path, value.to_owned())),
                _ => {}
            }
        }
        Ok(meta)
    }
}

impl GitFile {
    /// Reads permission bits in octal, a space, and the content in base64.
    fn decode(value: &str) -> Option<Self> {
        let (mode, content) = value.split_once(' ')?;
        Some(Self { mode: u32::from_str_radix(mode, 8).ok()?, content: STANDARD.decode(content).ok()? })
    }
}

fn stamp(value: &str) -> Option<Stamp> {
    let mut words = value.split(' ');
    let mut next = || words.next();
    Some(Stamp {
        inode: next()?.parse().ok()?,
        size: next()?.parse().ok()?,
        mtime: (next()?.parse().ok()?, next()?.parse().ok()?),
        ctime: (next()?.parse().ok()?, next()?.parse().ok()?),
    })
}

/// Permission bits of a file and of an executable one under the usual umask.
pub(crate) const PLAIN: (u32, u32) = (0o644, 0o755);

/// The same of a directory.
pub(crate) const PLAIN_DIR: u32 = 0o755;

fn listed<T: Copy>(list: &[(Vec<u8>, T)], path: &[u8]) -> Option<T> {
    list.binary_search_by(|(other, _)| other.as_slice().cmp(path)).ok().map(|at| list[at].1)
}

fn pick<T: Clone>(list: &[(Vec<u8>, T)], below: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Vec<(Vec<u8>, T)> {
    list.iter().filter_map(|(path, value)| Some((below(path)?, value.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_survives_encoding() {
        let id = Oid::hash_object(git2::ObjectType::Blob, b"x").expect("an id");
        let meta = Meta {
            plain: Some((0o664, 0o775)),
            modes: vec![(b"a b\nc".to_vec(), 0o600)],
            plain_dir: Some(0o775),
            dir_modes: vec![(Vec::new(), 0o2775), (b"e".to_vec(), 0o1777), (b"n/m/x".to_vec(), 0o700)],
            git_modes: vec![(b".git/config".to_vec(), 0o640)],
            git_files: vec![(b"n/m".to_vec(), GitFile { mode: 0o600, content: b"gitdir: \xff\0\n".to_vec() })],
            has_modules: true,
            empty_dirs: vec![b"e".to_vec()],
            special: vec![(b"\xff".to_vec(), "fifo".to_owned())],
            too_large: vec![(b"big".to_vec(), 1 << 40)],
            large_modes: vec![(b"big".to_vec(), 0o600)],
            unreadable: vec![(b"u".to_vec(), "permission denied".to_owned())],
            stamps: vec![(
                b"u".to_vec(),
                Stamp { inode: 7, size: 1 << 40, mtime: (-1, 2), ctime: (1 << 40, 999_999_999) },
            )],
            nested: vec![(b"n/m".to_vec(), id)],
            newly_ignored: vec![b"i".to_vec()],
        };
        assert_eq!(Meta::decode(&meta.encode()).expect("its own encoding"), meta);
        assert_eq!(Meta::decode(&Meta::default().encode()).expect("nothing"), Meta::default());
        assert_eq!(meta.mode(b"a b\nc", false), 0o600);
        assert_eq!(meta.mode(b"other", true), 0o775);
        assert_eq!([&b""[..], b"e", b"n"].map(|path| meta.dir_mode(path)), [0o2775, 0o1777, 0o775].map(Some));
        assert_eq!(Meta::default().dir_mode(b""), None);
        assert!(Meta::decode(b"stead meta 2\0").is_err());
        assert!(Meta::decode(b"stead meta 1\0gitfile n\x00644 %\0").is_err());
    }

    #[test]
    fn the_part_below_a_directory_has_the_modes_below_it_and_not_its_own() {
        let modes = vec![(b"n".to_vec(), 0o700), (b"n/in".to_vec(), 0o711), (b"no".to_vec(), 0o777)];
        let meta = Meta { plain_dir: Some(0o750), dir_modes: modes, ..Meta::default() };
        let below = meta.below(b"n");
        assert_eq!((below.plain_dir, below.dir_modes), (Some(0o750), vec![(b"in".to_vec(), 0o711)]));
    }

    #[test]
    fn what_is_named_below_a_path_shows_a_directory() {
        let meta = Meta {
            dir_modes: vec![(b"closed/in".to_vec(), 0)],
            empty_dirs: vec![b"e".to_vec()],
            special: vec![(b"s-2".to_vec(), "fifo".to_owned()), (b"s/fifo".to_vec(), "fifo".to_owned())],
            newly_ignored: vec![b"i/x".to_vec()],
            ..Meta::default()
        };
        for path in ["closed", "closed/in", "e", "s", "i"] {
            assert!(meta.has_directory(path.as_bytes()), "{path}");
        }
        for path in ["s-2", "s/fifo", "i/x", "clos", "x"] {
            assert!(!meta.has_directory(path.as_bytes()), "{path}");
        }
    }
}
