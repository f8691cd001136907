//! Reading objects out of an untrusted `objects/` directory: loose ones and packs, with everything that they claim checked
//! against a budget before memory is taken for it.
//!
//! An index of a pack is only a hint of where to look; the caller compares the hash of what was found.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::ZlibDecoder;
use git2::ObjectType;
use rustix::fs::FileType;
use sha1::{Digest as _, Sha1};

use super::delta;
use crate::git::Oid;
use crate::store::beneath::Dir;

/// What is read, or why it cannot be.
type Answer<T> = Result<T, String>;
type Object = (ObjectType, Vec<u8>);

/// Nothing that is larger is unpacked, nor what stands on it.
const MAX_OBJECT: u64 = 512 << 20;
const MAX_PACKS: usize = 512;
const MAX_INDEX: u64 = 256 << 20;
/// git's own bound of a chain of deltas is 4095.
const MAX_CHAIN: usize = 4096;
const CACHE: usize = 64 << 20;
const CACHED: usize = 1 << 20;

pub(super) struct Objects<'a> {
    git: &'a Dir,
    packs: OnceCell<Answer<Vec<Pack>>>,
    /// Unpacked bytes that may still be read.
    budget: Cell<u64>,
    limit: u64,
    cache: RefCell<HashMap<(usize, u64), Rc<Object>>>,
    cached: Cell<usize>,
}

struct Pack {
    path: PathBuf,
    file: File,
    index: Vec<u8>,
    count: usize,
}

impl<'a> Objects<'a> {
    /// Takes the directory `objects` of a git directory; reads at most `bytes` of unpacked objects out of it.
    pub(super) fn open(git: &'a Dir, bytes: u64) -> Self {
        Self {
            git,
            packs: OnceCell::new(),
            budget: Cell::new(bytes),
            limit: bytes,
            cache: RefCell::default(),
            cached: Cell::new(0),
        }
    }

    /// Reads an object; `None` when it is not here. What is returned may not be what `id` names; but where one copy is not,
    /// another one is looked for.
    pub(super) fn read(&self, id: Oid) -> Answer<Option<Object>> {
        let loose = self.loose(id);
        if let Ok(Some(object)) = &loose
            && is_named(id, object)
        {
            return loose;
        }
        match (self.find(id), loose) {
            (Ok(Some((pack, offset))), _) => {
                let object = self.packed(pack, offset)?;
                self.spend(object.1.len() as u64)?;
                Ok(Some((object.0, object.1.clone())))
            }
            (Err(reason), Ok(None)) => Err(reason),
            (_, loose) => loose,
        }
    }

    /// Returns the ids of what is here, by its names alone; at most about `most`.
    pub(super) fn ids(&self, most: usize) -> Vec<Oid> {
        let mut ids = self.loose_ids(most);
        if let Ok(packs) = self.packs() {
            ids.extend(packs.iter().flat_map(Pack::ids).take(most));
        }
        ids
    }

    fn loose_ids(&self, most: usize) -> Vec<Oid> {
        let mut ids = Vec::new();
        let Ok(objects) = self.git.dir(Path::new("objects")) else { return ids };
        // Looked at once: most of the 256 directories are not there.
        let fans = objects.names().unwrap_or_default().into_iter().filter_map(|name| name.into_string().ok());
        let mut fans: Vec<String> =
            fans.filter(|name| name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit())).collect();
        fans.sort();
        for fan in fans {
            if ids.len() >= most {
                break;
            }
            let Ok(directory) = objects.dir(Path::new(&fan)) else { continue };
            let names = directory.names().unwrap_or_default();
            ids.extend(names.iter().filter_map(|name| format!("{fan}{}", name.to_str()?).parse::<Oid>().ok()));
        }
        ids
    }

    fn loose(&self, id: Oid) -> Answer<Option<Object>> {
        let hex = id.to_string();
        let path = Path::new("objects").join(&hex[..2]).join(&hex[2..]);
        // A component that is not there, a link or a file is the same here: no such object.
        let Ok(Some(file)) = self.git.file(&path) else { return Ok(None) };
        let mut inflated = BufReader::new(ZlibDecoder::new(BufReader::new(file)));
        let mut header = Vec::new();
        (&mut inflated).take(32).read_until(0, &mut header).map_err(|error| format!("cannot inflate: {error}"))?;
        header.pop();
        let (kind, size) = std::str::from_utf8(&header)
            .ok()
            .and_then(|header| header.split_once(' '))
            .and_then(|(kind, size)| Some((ObjectType::from_str(kind)?, size.parse().ok()?)))
            .ok_or("no object")?;
        Ok(Some((kind, self.inflate(inflated, size)?)))
    }

    fn inflate(&self, inflated: impl Read, size: u64) -> Answer<Vec<u8>> {
        self.spend(size)?;
        // The size is only claimed: memory grows with what really comes.
        let mut content = Vec::with_capacity(usize::try_from(size.min(1 << 20)).expect("a megabyte fits"));
        inflated
            .take(size.saturating_add(1))
            .read_to_end(&mut content)
            .map_err(|error| format!("cannot inflate: {error}"))?;
        if content.len() as u64 == size { Ok(content) } else { Err("its size is not as it says".into()) }
    }

    fn spend(&self, bytes: u64) -> Answer<()> {
        if bytes > MAX_OBJECT {
            return Err(format!("more than {MAX_OBJECT} bytes in one object"));
        }
        match self.budget.get().checked_sub(bytes) {
            Some(left) => {
                self.budget.set(left);
                Ok(())
            }
            None => Err(format!("more than {} bytes to import", self.limit)),
        }
    }

    fn packs(&self) -> Answer<&[Pack]> {
        match self.packs.get_or_init(|| open_packs(self.git)) {
            Ok(packs) => Ok(packs),
            Err(reason) => Err(reason.clone()),
        }
    }

    fn find(&self, id: Oid) -> Answer<Option<(usize, u64)>> {
        let packs = self.packs()?;
        Ok(packs.iter().enumerate().find_map(|(number, pack)| Some((number, pack.find(id)?))))
    }

    /// Reads the entry at `offset`: down the chain of deltas to an object, and up again.
    fn packed(&self, pack: usize, offset: u64) -> Answer<Rc<Object>> {
        let mut chain = Vec::new();
        let (mut pack, mut offset) = (pack, offset);
        let mut object = loop {
            if let Some(object) = self.cache.borrow().get(&(pack, offset)) {
                break Rc::clone(object);
            }
            if chain.len() == MAX_CHAIN {
                return Err("its chain of deltas is too long".into());
            }
            let entry = self.packs()?[pack].entry(offset)?;
            let base = match entry.kind {
                EntryKind::Whole(kind) => {
                    let content = self.inflate(self.packs()?[pack].inflated(entry.content), entry.size)?;
                    let object = Rc::new((kind, content));
                    self.remember(pack, offset, &object);
                    break object;
                }
                EntryKind::Offset(base) => (pack, base),
                EntryKind::Reference(base) => match self.find(base)? {
                    Some(base) => base,
                    None => match self.loose(base)? {
                        Some(object) => {
                            chain.push((pack, offset, entry));
                            break Rc::new(object);
                        }
                        None => return Err(format!("its base {base} is missing")),
                    },
                },
            };
            chain.push((pack, offset, entry));
            (pack, offset) = base;
        };
        while let Some((pack, offset, entry)) = chain.pop() {
            let delta = self.inflate(self.packs()?[pack].inflated(entry.content), entry.size)?;
            self.spend(delta::result_size(&delta).ok_or("a delta cannot be understood")?)?;
            let content = delta::apply(&object.1, &delta).ok_or("a delta cannot be applied")?;
            object = Rc::new((object.0, content));
            self.remember(pack, offset, &object);
        }
        Ok(object)
    }

    fn remember(&self, pack: usize, offset: u64, object: &Rc<Object>) {
        if object.1.len() > CACHED {
            return;
        }
        let mut cache = self.cache.borrow_mut();
        if self.cached.get() > CACHE {
            cache.clear();
            self.cached.set(0);
        }
        cache.insert((pack, offset), Rc::clone(object));
        self.cached.set(self.cached.get() + object.1.len() + 100);
    }
}

fn is_named(id: Oid, (kind, content): &Object) -> bool {
    let header = format!("{} {}\0", kind.str(), content.len());
    Sha1::new().chain_update(header).chain_update(content).finalize().as_slice() == id.as_bytes()
}

fn open_packs(git: &Dir) -> Answer<Vec<Pack>> {
    for path in ["objects", "objects/pack"] {
        match git.stat(Path::new(path)) {
            Ok(None) => return Ok(Vec::new()),
            Ok(Some(stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {}
            _ => return Err(format!("`{path}` is not a directory")),
        }
    }
    let path = Path::new("objects/pack");
    let names = git.dir(path).and_then(|dir| dir.names()).map_err(|error| format!("{error:#}"))?;
    let mut packs = Vec::new();
    let mut left = MAX_INDEX;
    for name in names.iter().filter(|name| name.as_bytes().ends_with(b".idx")) {
        let index = path.join(name);
        let Ok(Some(file)) = git.file(&index.with_extension("pack")) else { continue };
        let Ok(Some(stat)) = git.stat(&index) else { continue };
        if packs.len() == MAX_PACKS {
            return Err(format!("more than {MAX_PACKS} packs"));
        }
        left = left
            .checked_sub(u64::try_from(stat.st_size).unwrap_or(u64::MAX))
            .ok_or("the indexes of its packs are too large")?;
        let Ok(Some(content)) = git.read(&index, MAX_INDEX) else { continue };
        if let Some(pack) = Pack::open(index, file, content) {
            packs.push(pack);
        }
    }
    Ok(packs)
}

struct Entry {
    kind: EntryKind,
    /// Unpacked, as it says.
    size: u64,
    /// Where the deflated bytes begin.
    content: u64,
}

enum EntryKind {
    Whole(ObjectType),
    Offset(u64),
    Reference(Oid),
}

/// Where the parts of an index of version 2 begin: names behind the header and the fan-out, then checksums, then offsets.
const NAMES: usize = 8 + 256 * 4;

impl Pack {
    fn open(path: PathBuf, file: File, index: Vec<u8>) -> Option<Self> {
        if !index.starts_with(&[0xff, b't', b'O', b'c', 0, 0, 0, 2]) {
            return None;
        }
        let count = usize::try_from(word(&index, NAMES - 4)?).ok()?;
        let whole = NAMES.checked_add(count.checked_mul(28)?)?.checked_add(40)?;
        (index.len() >= whole).then_some(Self { path, file, index, count })
    }

    fn ids(&self) -> impl Iterator<Item = Oid> {
        self.index[NAMES..].chunks_exact(20).take(self.count).filter_map(|id| Oid::from_bytes(id).ok())
    }

    fn find(&self, id: Oid) -> Option<u64> {
        let id = id.as_bytes();
        let first = usize::from(id[0]);
        let mut low = if first == 0 { 0 } else { self.fan(first - 1)? };
        let mut high = self.fan(first)?;
        while low < high {
            let middle = usize::midpoint(low, high);
            let name = self.index.get(NAMES + middle * 20..NAMES + middle * 20 + 20)?;
            match name.cmp(id) {
                std::cmp::Ordering::Equal => return self.offset(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn fan(&self, byte: usize) -> Option<usize> {
        let fan = usize::try_from(word(&self.index, 8 + byte * 4)?).ok()?;
        (fan <= self.count).then_some(fan)
    }

    fn offset(&self, number: usize) -> Option<u64> {
        let offsets = NAMES + self.count * 24;
        let offset = word(&self.index, offsets + number * 4)?;
        if offset & 0x8000_0000 == 0 {
            return Some(offset.into());
        }
        let at = offsets + self.count * 4 + usize::try_from(offset & 0x7fff_ffff).ok()? * 8;
        Some(u64::from(word(&self.index, at)?) << 32 | u64::from(word(&self.index, at + 4)?))
    }

    fn entry(&self, offset: u64) -> Answer<Entry> {
        let mut header = [0; 64];
        let length = read_at(&self.file, &mut header, offset)
            .map_err(|error| format!("cannot read `{}`: {error}", self.path.with_extension("pack").display()))?;
        parse_entry(&header[..length], offset).ok_or_else(|| "its pack cannot be understood".into())
    }

    fn inflated(&self, offset: u64) -> impl Read {
        ZlibDecoder::new(BufReader::new(From { file: &self.file, offset }))
    }
}

fn parse_entry(header: &[u8], offset: u64) -> Option<Entry> {
    let mut bytes = header.iter().copied();
    let mut byte = bytes.next()?;
    let kind = byte >> 4 & 7;
    let mut size = u64::from(byte & 15);
    let mut shift = 4;
    let mut length = 1;
    while byte & 0x80 != 0 {
        byte = bytes.next()?;
        length += 1;
        if shift > 57 {
            return None;
        }
        size |= u64::from(byte & 0x7f) << shift;
        shift += 7;
    }
    let kind = match kind {
        1 => EntryKind::Whole(ObjectType::Commit),
        2 => EntryKind::Whole(ObjectType::Tree),
        3 => EntryKind::Whole(ObjectType::Blob),
        4 => EntryKind::Whole(ObjectType::Tag),
        6 => {
            let mut byte = bytes.next()?;
            length += 1;
            let mut back = u64::from(byte & 0x7f);
            while byte & 0x80 != 0 {
                byte = bytes.next()?;
                length += 1;
                back = back.checked_add(1)?.checked_mul(128)? | u64::from(byte & 0x7f);
            }
            EntryKind::Offset(offset.checked_sub(back).filter(|_| back > 0)?)
        }
        7 => {
            let id = header.get(length..length + 20)?;
            length += 20;
            EntryKind::Reference(Oid::from_bytes(id).ok()?)
        }
        _ => return None,
    };
    Some(Entry { kind, size, content: offset + length as u64 })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn read_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < into.len() {
        match file.read_at(&mut into[length..], offset + length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Reads a file from an offset on, without a position that others share.
struct From<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for From<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(into, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
