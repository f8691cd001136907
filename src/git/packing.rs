//! Writing objects that are in memory as one pack with its index (version 2), deflated in several threads, without deltas; a
//! huge one on its own.
//!
//! libgit2 writes and seeks in one thread, in a second copy of all objects; what comes new into a store at once are seldom
//! versions of each other, so that seeking deltas costs more than it saves.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use libdeflater::{CompressionLvl, Compressor};
use rustix::fs::Mode;
use sha1::{Digest as _, Sha1};

use crate::error::Result;
use crate::git::import::helper;
use crate::git::{ObjectType, Oid};
use crate::store::fs::{Durability, sync_dir, temporary_name, write_atomic};

/// Blobs above this size are better [`write_loose`]d.
pub(super) const HUGE: usize = 8 << 20;

/// An object of a pack: type and size, and the deflated content.
struct Entry {
    bytes: Vec<u8>,
    crc: u32,
}

/// Content of so many bytes is worth a thread of its own.
const PER_THREAD: usize = 1 << 20;
/// A content of which so much does not shrink is stored as it is.
const SAMPLE: usize = 64 << 10;
/// So many bytes tell whether any of them shrink.
const NOISE: usize = 4096;
/// Above this size speed counts for more than the last bytes saved.
const LARGE: usize = 256 << 10;

/// Writes `objects` (at least one, less than 2 GB in all) into the directory `into`, durably, for
/// whoever may read that.
///
/// A pack counts when both of its files are there; the index comes last.
pub(super) fn write(objects: &HashMap<Oid, (ObjectType, Vec<u8>)>, into: &Path) -> Result<()> {
    let mut ids: Vec<Oid> = objects.keys().copied().collect();
    ids.sort_unstable();
    let entries = deflated(&ids, objects);
    let count = u32::try_from(ids.len()).context("too many objects for one pack")?;
    let mut pack = Vec::with_capacity(entries.iter().map(|entry| entry.bytes.len()).sum::<usize>() + 64);
    pack.extend(b"PACK\0\0\0\x02");
    pack.extend(count.to_be_bytes());
    let mut offsets = Vec::with_capacity(entries.len());
    for entry in &entries {
        let offset = i32::try_from(pack.len()).context("too many bytes for one pack")?;
        offsets.push(offset);
        pack.extend_from_slice(&entry.bytes);
    }
    let checksum = Sha1::digest(&pack);
    pack.extend_from_slice(&checksum);
    let index = index(&ids, &entries, &offsets, &checksum);
    let hex = checksum.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let path = into.join(format!("pack-{hex}.pack"));
    let failed = || format!("cannot read the mode of `{}`", into.display());
    let mode = Mode::from_raw_mode(rustix::fs::stat(into).with_context(failed)?.st_mode & 0o444);
    for (path, content) in [(&path, &pack), (&path.with_extension("idx"), &index)] {
        write_atomic(path, content, Durability::Synced)?;
        rustix::fs::chmod(path, mode).with_context(|| format!("cannot change the mode of `{}`", path.display()))?;
    }
    Ok(())
}

/// Writes a blob durably, on its own, into the directory of objects `into`: in a pack it would be hashed once more, for the
/// checksum of that.
pub(super) fn write_loose(id: Oid, content: &[u8], into: &Path) -> Result<()> {
    let hex = id.to_string();
    let directory = into.join(&hex[..2]);
    match rustix::fs::mkdir(&directory, Mode::RWXU) {
        Ok(()) => sync_dir(into)?,
        Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make `{}`", directory.display())),
    }
    let object = [format!("blob {}\0", content.len()).as_bytes(), content].concat();
    // There what a crash leaves is looked for.
    let ready = into.join("pack").join(temporary_name());
    write_atomic(&ready, &Deflater::default().deflated(Vec::new(), &object), Durability::Synced)?;
    let path = directory.join(&hex[2..]);
    rustix::fs::chmod(&ready, Mode::RUSR)
        .and_then(|()| rustix::fs::rename(&ready, &path))
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    sync_dir(&directory)
}

fn index(ids: &[Oid], entries: &[Entry], offsets: &[i32], pack: &[u8]) -> Vec<u8> {
    let mut index = Vec::with_capacity(ids.len() * 28 + 1100);
    index.extend(b"\xfftOc\0\0\0\x02");
    let mut below = 0;
    for first in 0..=255_u8 {
        below += ids[below..].partition_point(|id| id.as_bytes()[0] <= first);
        index.extend(u32::try_from(below).unwrap_or(u32::MAX).to_be_bytes());
    }
    index.extend(ids.iter().flat_map(Oid::as_bytes));
    index.extend(entries.iter().flat_map(|entry| entry.crc.to_be_bytes()));
    index.extend(offsets.iter().flat_map(|offset| offset.to_be_bytes()));
    index.extend_from_slice(pack);
    let checksum = Sha1::digest(&index);
    index.extend_from_slice(&checksum);
    index
}

fn deflated(ids: &[Oid], objects: &HashMap<Oid, (ObjectType, Vec<u8>)>) -> Vec<Entry> {
    let bytes: usize = objects.values().map(|(_, content)| content.len() + 100).sum();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::with_capacity(ids.len()));
    let work = || {
        let mut deflater = Deflater::default();
        let mut own = Vec::new();
        while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (kind, content) = &objects[id];
            own.push((*id, deflater.entry(*kind, content)));
        }
        all.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
    };
    std::thread::scope(|scope| {
        for _ in 1..cores.min(bytes / PER_THREAD + 1) {
            scope.spawn(work);
        }
        work();
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_unstable_by_key(|(id, _)| *id);
    all.into_iter().map(|(_, entry)| entry).collect()
}

struct Deflater {
    usual: Compressor,
    fast: Compressor,
    none: Compressor,
}

impl Default for Deflater {
    fn default() -> Self {
        let level = |level| Compressor::new(CompressionLvl::new(level).expect("levels are from 0 to 12"));
        Self { usual: level(5), fast: level(1), none: level(0) }
    }
}

impl Deflater {
    fn entry(&mut self, kind: ObjectType, content: &[u8]) -> Entry {
        let bytes = self.deflated(header(kind, content.len()), content);
        let crc = libdeflater::crc32(&bytes);
        Entry { bytes, crc }
    }

    /// Appends what is deflated.
    fn deflated(&mut self, mut bytes: Vec<u8>, content: &[u8]) -> Vec<u8> {
        let compressor = if content.len() <= LARGE {
            let is_noise = is_noise(content) && is_noise(&content[content.len() - NOISE..]);
            if is_noise { &mut self.none } else { &mut self.usual }
        } else if self.shrinks(&content[..SAMPLE]) || self.shrinks(&content[content.len() - SAMPLE..]) {
            &mut self.fast
        } else {
            &mut self.none
        };
        let start = bytes.len();
        bytes.resize(start + compressor.zlib_compress_bound(content.len()), 0);
        let length =
            compressor.zlib_compress(content, &mut bytes[start..]).expect("the bound is for the worst content");
        bytes.truncate(start + length);
        bytes.shrink_to_fit();
        bytes
    }

    fn shrinks(&mut self, sample: &[u8]) -> bool {
        let mut out = vec![0; self.fast.zlib_compress_bound(sample.len())];
        let length = self.fast.zlib_compress(sample, &mut out).expect("the bound is for the worst content");
        length < sample.len() / 16 * 15
    }
}

/// Returns whether the bytes at the beginning are so evenly spread that most likely nothing shrinks: compressed already,
/// encrypted, random.
fn is_noise(content: &[u8]) -> bool {
    // Of noise each byte is there 16 times, and the sum of squares is 256 * (16² + 16); that of text is four times as much.
    const MOST: u32 = 256 * (16 * 16 + 16) * 5 / 4;
    let Some(sample) = content.get(..NOISE) else { return false };
    let mut counts = [0_u32; 256];
    for byte in sample {
        counts[usize::from(*byte)] += 1;
    }
    counts.iter().map(|count| count * count).sum::<u32>() < MOST
}

/// Returns the type and the size as a pack has them: 4 bits of the size, then 7 a byte.
fn header(kind: ObjectType, size: usize) -> Vec<u8> {
    let low = |bits: usize, mask: usize| u8::try_from(bits & mask).expect("few bits");
    let mut header = vec![helper::number(kind) << 4 | low(size, 15)];
    let mut rest = size >> 4;
    while rest > 0 {
        *header.last_mut().expect("it has one byte at least") |= 0x80;
        header.push(low(rest, 127));
        rest >>= 7;
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_finds_no_fault_with_what_is_written_and_reads_all_of_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("store.git");
        let repository = git2::Repository::init_bare(&path).expect("a repository");
        let mut random = 1_u32;
        let mut noise = |length: usize| -> Vec<u8> {
            let mut next = || {
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                random.to_le_bytes()[0]
            };
            (0..length).map(|_| next()).collect()
        };
        let mut objects = HashMap::new();
        let contents = (0..600_usize)
            .map(|number| format!("{number}\n").repeat(number).into_bytes())
            .chain([0, 1, 15, 16, 2047, 2048, 300_000, 3 << 20].map(|length| vec![b'x'; length]))
            .chain([15, 16, 300_000, 3 << 20].map(&mut noise));
        for content in contents {
            let id = Oid::hash_object(ObjectType::Blob, &content).expect("an id");
            objects.insert(id, (ObjectType::Blob, content));
        }
        let tree = [b"100644 a\0".as_slice(), objects.keys().next().expect("an object").as_bytes()].concat();
        let id = Oid::hash_object(ObjectType::Tree, &tree).expect("an id");
        objects.insert(id, (ObjectType::Tree, tree));
        write(&objects, &path.join("objects/pack")).expect("a pack");
        for content in [vec![b'y'; HUGE + 1], noise(HUGE + 1)] {
            let id = Oid::hash_object(ObjectType::Blob, &content).expect("an id");
            for _ in 0..2 {
                write_loose(id, &content, &path.join("objects")).expect("a file");
            }
            objects.insert(id, (ObjectType::Blob, content));
        }
        for (id, (kind, content)) in &objects {
            let object = repository.odb().and_then(|odb| Ok(odb.read(*id)?.data().to_vec())).expect("an object");
            assert_eq!(object, *content);
            assert_eq!(repository.find_object(*id, None).expect("an object").kind(), Some(*kind));
        }
        let output = crate::git::oracle::git()
            .arg("-C")
            .arg(&path)
            .args(["fsck", "--strict", "--full"])
            .output()
            .expect("git starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let idx = std::fs::read_dir(path.join("objects/pack"))
            .expect("a directory")
            .map(|entry| entry.expect("an entry").path())
            .find(|path| path.extension().is_some_and(|extension| extension == "idx"))
            .expect("an index");
        let output = crate::git::oracle::git().arg("verify-pack").arg(&idx).output().expect("git starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
