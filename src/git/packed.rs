//! Reading objects out of packs, faster than libgit2 does: for who reads thousands.
//!
//! Only for packs that this program brought in. Whatever is not found or not as expected here (a loose object, an index of
//! version 1, damage) is no error but left to libgit2, which then says what is wrong.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use libdeflater::Decompressor;
use memmap2::Mmap;

use crate::git::Oid;
use crate::git::import::delta;
use crate::sys;

/// Longer chains of deltas are left to libgit2.
const MAX_CHAIN: usize = 100;
/// Larger objects are left to libgit2.
const MAX_SIZE: usize = 256 << 20;
/// Bytes of delta bases that a reader keeps.
const KEPT: usize = 8 << 20;

const HEADER: usize = 8;
const FAN_OUT: usize = 256 * 4;
const ID: usize = 20;

/// The packs of a repository, for any number of readers.
#[derive(Default)]
pub(super) struct Packs(Vec<Pack>);

struct Pack {
    index: Mmap,
    content: Mmap,
    count: usize,
}

/// Where an object is: the pack's position in the list, and the offset in it.
type Place = (usize, usize);

impl Packs {
    /// Opens the packs of the repository at `path`, those that it borrows left out.
    pub(super) fn open(path: &Path) -> Self {
        Self(Self::within(&path.join("objects")).collect())
    }

    /// Opens the packs of the store at `path` and those of its pool.
    pub(super) fn of_store(path: &Path) -> Self {
        let objects = path.join("objects");
        let borrowed = std::fs::read(objects.join("info/alternates")).unwrap_or_default();
        let pools = borrowed.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"/"));
        let pools = pools.map(|line| Path::new(OsStr::from_bytes(line)));
        Self(Self::within(&objects).chain(pools.flat_map(Self::within)).collect())
    }

    fn within(objects: &Path) -> impl Iterator<Item = Pack> + use<> {
        let entries = std::fs::read_dir(objects.join("pack")).into_iter().flatten().flatten();
        let indexes = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "idx"));
        indexes.filter_map(Pack::open)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { packs: self, inflater: Decompressor::new(), bases: HashMap::new(), kept: 0 }
    }
}

/// Returns the objects of a pack by its index, and how many bytes of it each takes; `None` for what is not as expected.
pub(super) fn listed(index: &Path) -> Option<Vec<(Oid, u64)>> {
    let pack = Pack::open(index.to_owned())?;
    let at = |position| {
        let name = HEADER + FAN_OUT + position * ID;
        Some((pack.offset(position)?, Oid::from_bytes(pack.index.get(name..name + ID)?).ok()?))
    };
    let mut objects: Vec<(usize, Oid)> = (0..pack.count).map(at).collect::<Option<_>>()?;
    objects.sort_unstable();
    let is_whole = number(&pack.content, HEADER)? == pack.count
        && pack.index.len() >= HEADER + FAN_OUT + pack.count * (ID + 8) + 2 * ID;
    let end = pack.content.len().checked_sub(ID).filter(|_| is_whole)?;
    let ends = objects.iter().skip(1).map(|(offset, _)| *offset).chain([end]);
    objects
        .iter()
        .zip(ends)
        .map(|((offset, id), end)| Some((*id, u64::try_from(end.checked_sub(*offset)?).ok()?)))
        .collect()
}

impl Pack {
    fn open(index: std::path::PathBuf) -> Option<Self> {
        let content = sys::map(&File::open(index.with_extension("pack")).ok()?).ok()?;
        let index = sys::map(&File::open(index).ok()?).ok()?;
        if !index.starts_with(b"\xfftOc\0\0\0\x02") || !content.starts_with(b"PACK\0\0\0\x02") {
            return None;
        }
        let count = number(&index, HEADER + FAN_OUT - 4)?;
        Some(Self { index, content, count })
    }

    fn find(&self, id: Oid) -> Option<usize> {
        let id = id.as_bytes();
        let first = usize::from(id[0]);
        let mut low = if first == 0 { 0 } else { number(&self.index, HEADER + 4 * (first - 1))? };
        let mut high = number(&self.index, HEADER + 4 * first)?;
        let names = HEADER + FAN_OUT;
        while low < high {
            let middle = low.midpoint(high);
            let name = self.index.get(names + middle * ID..names + (middle + 1) * ID)?;
            match name.cmp(id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.offset(middle),
            }
        }
        None
    }

    fn offset(&self, position: usize) -> Option<usize> {
        const FAR: usize = 1 << 31;
        // Behind the names is a checksum of four bytes for each.
        let offsets = HEADER + FAN_OUT + self.count * (ID + 4);
        let offset = number(&self.index, offsets + 4 * position)?;
        if offset & FAR == 0 {
            return Some(offset);
        }
        let far = offsets + 4 * self.count + 8 * (offset & !FAR);
        usize::try_from(u64::from_be_bytes(self.index.get(far..far + 8)?.try_into().ok()?)).ok()
    }
}

/// Reads objects; keeps the bases of deltas, which the next object often needs too.
pub(super) struct Reader<'a> {
    packs: &'a Packs,
    inflater: Decompressor,
    bases: HashMap<Place, Rc<Vec<u8>>>,
    kept: usize,
}

impl Reader<'_> {
    /// Returns the content of an object; `None` leaves it to libgit2.
    pub(super) fn read(&mut self, id: Oid) -> Option<Rc<Vec<u8>>> {
        let place = self.packs.0.iter().enumerate().find_map(|(pack, found)| Some((pack, found.find(id)?)))?;
        self.object(place)
    }

    fn object(&mut self, place: Place) -> Option<Rc<Vec<u8>>> {
        let (number, mut at) = place;
        let pack = &self.packs.0[number];
        let mut deltas = Vec::new();
        let mut content = loop {
            if let Some(base) = self.bases.get(&(number, at)) {
                break Rc::clone(base);
            }
            let (kind, size, start) = header(&pack.content, at)?;
            match kind {
                1..=4 => break Rc::new(self.inflate(pack, start, size)?),
                6 => {
                    let (distance, start) = distance(&pack.content, start)?;
                    deltas.push((at, self.inflate(pack, start, size)?));
                    at = at.checked_sub(distance)?;
                }
                7 => {
                    let base = Oid::from_bytes(pack.content.get(start..start + ID)?).ok()?;
                    deltas.push((at, self.inflate(pack, start + ID, size)?));
                    at = pack.find(base)?;
                }
                _ => return None,
            }
            if deltas.len() > MAX_CHAIN {
                return None;
            }
        };
        while let Some((next, delta)) = deltas.pop() {
            let result = Rc::new(delta::apply(&content, &delta)?);
            self.keep((number, at), content);
            (content, at) = (result, next);
        }
        Some(content)
    }

    fn keep(&mut self, place: Place, content: Rc<Vec<u8>>) {
        if content.len() > KEPT / 4 {
            return;
        }
        if self.kept + content.len() > KEPT {
            self.bases.clear();
            self.kept = 0;
        }
        let length = content.len();
        if self.bases.insert(place, content).is_none() {
            self.kept += length;
        }
    }

    fn inflate(&mut self, pack: &Pack, start: usize, size: usize) -> Option<Vec<u8>> {
        if size > MAX_SIZE {
            return None;
        }
        let mut content = vec![0; size];
        let length = self.inflater.zlib_decompress(pack.content.get(start..)?, &mut content).ok()?;
        (length == size).then_some(content)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)).ok()
}

/// Reads kind and size of the object at `at`, and where it goes on.
fn header(pack: &[u8], mut at: usize) -> Option<(u8, usize, usize)> {
    let mut byte = *pack.get(at)?;
    let kind = byte >> 4 & 7;
    let (mut size, mut shift) = (usize::from(byte & 15), 4);
    while byte & 0x80 != 0 {
        at += 1;
        byte = *pack.get(at)?;
        size |= usize::from(byte & 0x7f).checked_shl(shift).filter(|_| shift < 57)?;
        shift += 7;
    }
    Some((kind, size, at + 1))
}

/// Reads how far before a delta its base is, and where the delta goes on.
fn distance(pack: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut byte = *pack.get(at)?;
    let mut distance = usize::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        at += 1;
        byte = *pack.get(at)?;
        distance = distance.checked_add(1)?.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
    }
    Some((distance, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_of_a_pack_is_as_libgit2_reads_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let repository = git2::Repository::init_bare(dir.path()).expect("a repository");
        let mut ids = Vec::new();
        let mut builder = repository.packbuilder().expect("a builder");
        for number in 0..200_u32 {
            // Alike enough for deltas, and one that is empty.
            let lines: Vec<String> = (0..number * 3).map(|line| (line * 7919 % 1000).to_string()).collect();
            let text = lines.join("\n");
            let id = repository.blob(text.as_bytes()).expect("a blob");
            builder.insert_object(id, None).expect("an object");
            ids.push(id);
        }
        builder.write(&dir.path().join("objects/pack"), 0o600).expect("a pack");
        let packs = Packs::open(dir.path());
        let deltas = ids
            .iter()
            .filter(|id| {
                let pack = &packs.0[0];
                header(&pack.content, pack.find(**id).expect("it is there")).is_some_and(|(kind, ..)| kind > 4)
            })
            .count();
        assert!(deltas > 50, "{deltas}");
        let mut reader = packs.reader();
        for id in ids {
            let expected = repository.find_blob(id).expect("a blob");
            assert_eq!(reader.read(id).as_deref().map(Vec::as_slice), Some(expected.content()));
        }
        assert_eq!(reader.read(Oid::hash_object(git2::ObjectType::Blob, b"elsewhere").expect("an id")), None);
    }

    #[test]
    fn damage_is_left_to_libgit2() {
        let dir = tempfile::tempdir().expect("a directory");
        let repository = git2::Repository::init_bare(dir.path()).expect("a repository");
        let id = repository.blob(&[b'x'; 5000]).expect("a blob");
        let mut builder = repository.packbuilder().expect("a builder");
        builder.insert_object(id, None).expect("an object");
        builder.write(&dir.path().join("objects/pack"), 0o600).expect("a pack");
        assert!(Packs::open(dir.path()).reader().read(id).is_some());
        let pack = crate::store::fs::entries(&dir.path().join("objects/pack")).expect("packs");
        let pack = pack.iter().find(|path| path.extension().is_some_and(|end| end == "pack")).expect("a pack");
        let mut bytes = std::fs::read(pack).expect("the pack");
        bytes[20] ^= 0x55;
        crate::store::fs::write_atomic(pack, &bytes, crate::store::fs::Durability::Lazy).expect("written");
        assert!(Packs::open(dir.path()).reader().read(id).is_none());
    }
}
