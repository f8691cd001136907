//! [`Store`]: the trusted repository of one workspace, with the pool as its alternate.
//!
//! ```text
//! refs/created              the first snapshot
//! refs/runs/RUN/before      snapshots of a run
//! refs/runs/RUN/after
//! refs/kept/OID             every tip (branch, HEAD, stash entry, tag) imported from the agent's .git
//! ```
//!
//! Limits: [`Store::repository`] must not be asked for `odb().foreach`, which has no answer for objects in memory.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use git2::{ObjectType, OdbLookupFlags, Oid};

use crate::error::{Failure, Kind, Result};
use crate::git::import::Taken;
use crate::git::packing;
use crate::git::snapshot::Read;
use crate::store::fs::{Durability, write_atomic};

/// So many objects are written one by one rather than as a pack: packs slow every lookup, forever. The first are a pack in
/// any case: each object on its own costs two fsyncs.
const FEW: usize = 24;

/// More refs than this are written together.
const MANY: usize = 64;

/// Blobs above this size are no part of a pack of few objects.
const LARGE: usize = 64 << 10;

/// More bytes than these are worth a pack of their own: libgit2 deflates in one thread, and what does not shrink too.
const BULK: usize = 16 << 20;

/// Bytes collected in memory above which a pack is written without waiting for [`Store::flush`].
const COLLECT: usize = 64 << 20;

/// Names everything that could otherwise come from the user's own configuration and change what is stored or compared.
/// libgit2 takes `pack.deltaCacheSize` for the size above which it seeks no delta; seeking costs more than it saves: a minute
/// and more for 100 MB that have nothing in common.
const CONFIG: &str = "\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tlogallrefupdates = false
\tautocrlf = false
\tfsyncObjectFiles = true
[diff]
\tnoprefix = false
\tmnemonicprefix = false
[gc]
\tauto = 0
[pack]
\tdeltaCacheSize = 1
";

/// Whether new objects go to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// New objects stay in memory (a mempack in front of the store); nothing is written. For readers.
    Read,
    /// New objects go to disk: those of [`Store::write`] together, by [`Store::flush`]; others at once.
    Write,
}

pub(crate) struct Store {
    path: PathBuf,
    repository: git2::Repository,
    access: Access,
    collected: RefCell<HashMap<Oid, (ObjectType, Vec<u8>)>>,
    collected_bytes: Cell<usize>,
    taken: Cell<Taken>,
    read: Cell<Read>,
}

impl Store {
    /// Makes an empty store at `path` that borrows the objects of `pool` (a pool's directory).
    pub(crate) fn create(path: &Path, pool: Option<&Path>) -> Result<Self> {
        for directory in ["", "objects/info", "objects/pack", "refs"] {
            let directory = path.join(directory);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .with_context(|| format!("cannot make `{}`", directory.display()))?;
        }
        if let Some(pool) = pool {
            let mut alternate = pool.join("objects").into_os_string().into_encoded_bytes();
            alternate.push(b'\n');
            write_atomic(&path.join("objects/info/alternates"), &alternate, Durability::Synced)?;
            Self::end_history_as(path, pool)?;
        }
        configure(path, Durability::Synced)?;
        write_atomic(&path.join("HEAD"), b"ref: refs/heads/none\n", Durability::Synced)?;
        Self::open(path, Access::Write)
    }

    /// Makes the history in the store at `path` end where that of its pool does: a shallow pool has no parents of some
    /// commits, and they are not missed. Call it before opening the store when the pool was brought up to date.
    pub(crate) fn end_history_as(path: &Path, pool: &Path) -> Result<()> {
        let read = |path: &Path| match fs::read(path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        };
        let (from, to) = (pool.join("shallow"), path.join("shallow"));
        match (read(&from)?, read(&to)?) {
            (ends, known) if ends == known => Ok(()),
            (Some(ends), _) => write_atomic(&to, &ends, Durability::Synced),
            (None, _) => fs::remove_file(&to).with_context(|| format!("cannot remove `{}`", to.display())),
        }
    }

    /// Opens a store; `damaged` when there is none.
    pub(crate) fn open(path: &Path, access: Access) -> Result<Self> {
        if access == Access::Write && path.is_dir() {
            configure(path, Durability::Lazy)?;
        }
        let repository = open(path).map_err(|error| {
            anyhow::Error::new(error).context(
                Failure::new(Kind::Damaged, format_args!("cannot open the store `{}`", path.display()))
                    .hint("`stead doctor` says what is left of it"),
            )
        })?;
        if access == Access::Read {
            // The mempack belongs to the object database from here on; the handle is only for dumping it.
            repository.odb()?.add_new_mempack_backend(1000).context("cannot hold objects in memory")?;
        }
        Ok(Self {
            path: path.to_owned(),
            repository,
            access,
            collected: RefCell::default(),
            collected_bytes: Cell::default(),
            taken: Cell::default(),
            read: Cell::default(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn access(&self) -> Access {
        self.access
    }

    pub(crate) fn repository(&self) -> &git2::Repository {
        &self.repository
    }

    /// Returns what imports have taken since the store was opened.
    pub(super) fn taken(&self) -> Taken {
        self.taken.get()
    }

    pub(super) fn take(&self, taken: Taken) {
        self.taken.set(taken);
    }

    /// Returns what captures have read since the store was opened.
    pub(super) fn read(&self) -> Read {
        self.read.get()
    }

    pub(super) fn set_read(&self, read: Read) {
        self.read.set(read);
    }

    /// Opens the store's objects on disk once more, for another thread.
    pub(crate) fn reopen(&self) -> Result<git2::Repository> {
        open(&self.path).with_context(|| format!("cannot open the store `{}`", self.path.display()))
    }

    /// Adds an object that the store and its pool lack. Under [`Access::Write`] it can be read after
    /// [`Store::flush`].
    pub(crate) fn write(&self, kind: ObjectType, content: Vec<u8>) -> Result<Oid> {
        let id = Oid::hash_object(kind, &content)?;
        self.write_known(id, kind, content)?;
        Ok(id)
    }

    /// Like [`Store::write`], of an object whose id the caller has computed.
    pub(crate) fn write_known(&self, id: Oid, kind: ObjectType, content: Vec<u8>) -> Result<()> {
        // `Odb::write` would look for new packs at each unknown object and touch the files of known ones.
        if self.repository.odb()?.exists_ext(id, OdbLookupFlags::NO_REFRESH) {
            return Ok(());
        }
        self.write_unknown(id, kind, content)
    }

    /// Like [`Store::write_known`], of an object that was looked for and was not there.
    pub(crate) fn write_unknown(&self, id: Oid, kind: ObjectType, content: Vec<u8>) -> Result<()> {
        if self.collected.borrow().contains_key(&id) {
            return Ok(());
        }
        match self.access {
            Access::Read => {
                let odb = self.repository.odb()?;
                odb.write(kind, &content).with_context(|| format!("cannot hold object {id} in memory"))?;
            }
            // It names nothing that would have to be there first.
            Access::Write if kind == ObjectType::Blob && content.len() > packing::HUGE => {
                packing::write_loose(id, &content, &self.path.join("objects"))?;
            }
            Access::Write => {
                self.collected_bytes.set(self.collected_bytes.get() + content.len());
                self.collected.borrow_mut().insert(id, (kind, content));
                if self.collected_bytes.get() > COLLECT {
                    self.flush()?;
                }
            }
        }
        Ok(())
    }

    /// Adds a commit of stead itself and returns it.
    pub(crate) fn commit(&self, tree: Oid, parents: &[Oid], message: &str) -> Result<Oid> {
        let parents = parents.iter().fold(String::new(), |text, parent| text + "parent " + &parent.to_string() + "\n");
        let who = format!("stead <stead@localhost> {} +0000", jiff::Timestamp::now().as_second());
        let text = format!("tree {tree}\n{parents}author {who}\ncommitter {who}\n\n{message}\n");
        self.write(ObjectType::Commit, text.into_bytes())
    }

    /// Writes all objects collected so far to disk as one durable pack (or loose ones when few); nothing under
    /// [`Access::Read`].
    pub(crate) fn flush(&self) -> Result<()> {
        let mut collected = self.collected.borrow_mut();
        if collected.len() > FEW || self.collected_bytes.get() > BULK {
            self.write_pack(&collected)?;
        } else if collected.len() > 1 && !self.has_packs() {
            // In a pack they would be deflated harder, which takes long for the agent's index. Blobs need nothing else first.
            let is_large = |(kind, content): &(ObjectType, Vec<u8>)| *kind == ObjectType::Blob && content.len() > LARGE;
            for (id, (kind, content)) in collected.iter().filter(|(_, object)| is_large(object)) {
                self.repository
                    .odb()?
                    .write(*kind, content)
                    .with_context(|| format!("cannot write object {id} into `{}`", self.path.display()))?;
            }
            collected.retain(|_, object| !is_large(object));
            if !collected.is_empty() {
                self.write_pack(&collected)?;
            }
        } else {
            let odb = self.repository.odb()?;
            for id in needed_first(&collected) {
                let (kind, content) = &collected[&id];
                odb.write(*kind, content)
                    .with_context(|| format!("cannot write object {id} into `{}`", self.path.display()))?;
            }
        }
        // Only now: what could not be written is written by the next flush, and missed by no ref.
        collected.clear();
        self.collected_bytes.set(0);
        Ok(())
    }

    /// Points a ref at an object, after flushing what was collected.
    ///
    /// Only the holder of the workspace's lease writes here, so a lock of libgit2's on a ref is what a crash has left.
    pub(crate) fn set_ref(&self, name: &str, id: Oid) -> Result<()> {
        self.flush()?;
        let set = || self.repository.reference(name, id, true, "stead").map(drop);
        set()
            .or_else(|error| match error.code() {
                git2::ErrorCode::Locked if fs::remove_file(self.path.join(format!("{name}.lock"))).is_ok() => set(),
                _ => Err(error),
            })
            .with_context(|| format!("cannot write `{name}` in `{}`", self.path.display()))
    }

    /// Points many refs at objects; all or none of them where they are many.
    pub(crate) fn set_refs(&self, refs: Vec<(String, Oid)>) -> Result<()> {
        if refs.len() <= MANY {
            return refs.into_iter().try_for_each(|(name, id)| self.set_ref(&name, id));
        }
        self.flush()?;
        let path = self.path.join("packed-refs");
        let packed = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            packed => packed.with_context(|| format!("cannot read `{}`", path.display()))?,
        };
        let is_ref = |line: &&str| !line.starts_with(['#', '^']);
        let mut all: std::collections::BTreeMap<&str, Oid> = packed
            .lines()
            .filter(is_ref)
            .filter_map(|line| Some((line.get(41..)?, line.get(..40)?.parse().ok()?)))
            .collect();
        all.extend(refs.iter().map(|(name, id)| (name.as_str(), *id)));
        let mut text = String::from("# pack-refs with: sorted \n");
        for (name, id) in all {
            text.extend([id.to_string().as_str(), " ", name, "\n"]);
        }
        write_atomic(&path, text.as_bytes(), Durability::Synced)
    }

    fn has_packs(&self) -> bool {
        fs::read_dir(self.path.join("objects/pack")).is_ok_and(|mut entries| entries.next().is_some())
    }

    fn write_pack(&self, objects: &HashMap<Oid, (ObjectType, Vec<u8>)>) -> Result<()> {
        let failed = || format!("cannot write a pack into `{}`", self.path.display());
        packing::write(objects, &self.path.join("objects/pack")).with_context(failed)?;
        self.repository.odb()?.refresh().with_context(failed)
    }
}

/// Returns the ids so that each comes after all that it names: whoever finds an object may take it for whole, also
/// when not all of them were written.
fn needed_first(objects: &HashMap<Oid, (ObjectType, Vec<u8>)>) -> Vec<Oid> {
    let mut order = Vec::with_capacity(objects.len());
    let mut begun = HashSet::new();
    // The flag says that all that it names was looked at.
    let mut pending: Vec<(Oid, bool)> = objects.keys().map(|id| (*id, false)).collect();
    while let Some((id, looked_at)) = pending.pop() {
        if looked_at {
            order.push(id);
        } else if let Some((kind, content)) = objects.get(&id)
            && begun.insert(id)
        {
            pending.push((id, true));
            pending.extend(named(*kind, content).into_iter().map(|id| (id, false)));
        }
    }
    order
}

/// Returns the ids that an object names.
pub(super) fn named(kind: ObjectType, content: &[u8]) -> Vec<Oid> {
    let mut ids = Vec::new();
    match kind {
        ObjectType::Tree => {
            let mut rest = content;
            while let Some(end) = rest.iter().position(|byte| *byte == 0)
                && let Some(id) = rest.get(end + 1..end + 21)
            {
                ids.extend(Oid::from_bytes(id));
                rest = &rest[end + 21..];
            }
        }
        ObjectType::Commit | ObjectType::Tag => {
            for line in content.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty()) {
                let id = [&b"tree "[..], b"parent ", b"object "].iter().find_map(|key| line.strip_prefix(*key));
                ids.extend(id.and_then(|id| std::str::from_utf8(id).ok()).and_then(|id| id.parse::<Oid>().ok()));
            }
        }
        _ => {}
    }
    ids
}

/// Gives a store the configuration of this version.
fn configure(path: &Path, durability: Durability) -> Result<()> {
    let path = path.join("config");
    if fs::read(&path).is_ok_and(|found| found == CONFIG.as_bytes()) {
        return Ok(());
    }
    write_atomic(&path, CONFIG.as_bytes(), durability)
}

fn open(path: &Path) -> Result<git2::Repository, git2::Error> {
    let flags = git2::RepositoryOpenFlags::NO_SEARCH | git2::RepositoryOpenFlags::BARE;
    git2::Repository::open_ext(path, flags, std::iter::empty::<&Path>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pack_of_a_store_is_made_smaller_by_deltas_also_of_one_from_before() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("store.git");
        drop(Store::create(&path, None).expect("a store"));
        let older = CONFIG.split("[pack]").next().expect("the rest");
        write_atomic(&path.join("config"), older.as_bytes(), Durability::Lazy).expect("an older one");
        let store = Store::open(&path, Access::Write).expect("a store");
        let noise: Vec<u8> = (0..8000_u32)
            .map(|number| number.wrapping_mul(2_654_435_761).rotate_left(number % 31).to_be_bytes()[0])
            .collect();
        for number in 0..40_u8 {
            store.write(ObjectType::Blob, [noise.as_slice(), &[number]].concat()).expect("a blob");
        }
        store.flush().expect("written");
        let packs = fs::read_dir(path.join("objects/pack")).expect("packs");
        let size: u64 = packs.map(|pack| pack.expect("a pack").metadata().expect("metadata").len()).sum();
        assert!(size > 100_000, "{size}");
    }

    #[test]
    fn readers_write_nothing_and_read_what_they_wrote() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("store.git");
        drop(Store::create(&path, None).expect("a store"));
        let before = files(&path);
        let store = Store::open(&path, Access::Read).expect("a store");
        let id = store.write(ObjectType::Blob, b"hello".to_vec()).expect("a blob");
        assert_eq!(store.repository().find_blob(id).expect("the blob").content(), b"hello");
        store.flush().expect("nothing to do");
        assert_eq!(files(&path), before);
    }

    #[test]
    fn a_lock_that_a_crash_has_left_keeps_no_ref_from_moving() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("store.git");
        let store = Store::create(&path, None).expect("a store");
        let id = store.write(ObjectType::Blob, b"hello".to_vec()).expect("a blob");
        for name in ["refs/kept/new", "refs/kept/new"] {
            fs::create_dir_all(path.join("refs/kept")).expect("a directory");
            fs::File::create(path.join(name).with_extension("lock")).expect("a lock");
            store.set_ref(name, id).expect("written all the same");
            assert_eq!(store.repository().refname_to_id(name).expect("the ref"), id);
        }
    }

    #[test]
    fn many_objects_become_one_pack_and_few_become_loose_objects() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("store.git");
        let store = Store::create(&path, None).expect("a store");
        let few = store.write(ObjectType::Blob, b"hello".to_vec()).expect("a blob");
        store.flush().expect("a loose object");
        let many: Vec<Oid> = (0..100)
            .map(|number| store.write(ObjectType::Blob, format!("{number}\n").into_bytes()).expect("a blob"))
            .collect();
        store.flush().expect("a pack");
        let packs = files(&path).iter().filter(|path| path.contains("/pack-") && !path.ends_with("idx")).count();
        assert_eq!(packs, 1);
        let reader = Store::open(&path, Access::Read).expect("a store");
        for id in many.into_iter().chain([few]) {
            assert!(reader.repository().find_blob(id).is_ok());
            assert!(store.repository().find_blob(id).is_ok());
        }
    }

    #[test]
    fn an_object_comes_after_all_that_it_names() {
        let mut objects = HashMap::new();
        let mut add = |kind, content: Vec<u8>| {
            let id = Oid::hash_object(kind, &content).expect("an id");
            objects.insert(id, (kind, content));
            id
        };
        let mut expected = vec![add(ObjectType::Blob, b"x".to_vec())];
        for (depth, name) in ["file", "sub", "top", "more"].iter().enumerate() {
            let mode = if depth == 0 { "100644" } else { "40000" };
            let below = expected[depth].as_bytes();
            expected.push(add(ObjectType::Tree, [format!("{mode} {name}\0").as_bytes(), below].concat()));
        }
        let tree = expected[4];
        for parent in ["", "parent"] {
            let parent = if parent.is_empty() { String::new() } else { format!("{parent} {}\n", expected[5]) };
            expected.push(add(ObjectType::Commit, format!("tree {tree}\n{parent}author\n\nparent x\n").into_bytes()));
        }
        expected.push(add(ObjectType::Tag, format!("object {}\ntype commit\n", expected[6]).into_bytes()));
        assert_eq!(needed_first(&objects), expected);
    }

    #[test]
    fn what_could_not_be_written_is_written_by_the_next_flush() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("store.git");
        let store = Store::create(&path, None).expect("a store");
        let id = store.write(ObjectType::Blob, b"hello".to_vec()).expect("a blob");
        let in_the_way = path.join("objects").join(&id.to_string()[..2]);
        fs::File::create(&in_the_way).expect("a file");
        store.flush().expect_err("no directory");
        fs::remove_file(&in_the_way).expect("the file");
        store.flush().expect("an object");
        assert!(Store::open(&path, Access::Read).expect("a store").repository().find_blob(id).is_ok());
    }

    fn files(path: &Path) -> Vec<String> {
        let mut files: Vec<String> = walkdir::WalkDir::new(path)
            .into_iter()
            .map(|entry| entry.expect("an entry").path().display().to_string())
            .collect();
        files.sort();
        files
    }
}
