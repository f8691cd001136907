//! Writing the objects of a store anew, without those that its refs do not need.
//!
//! A large pack of which most is needed is not written again but linked into the new directory, and so is a huge blob: a store of
//! gigabytes is done in a second, and needs no room for a second copy of them. What a linked pack has beyond that is blobs alone,
//! so that all that an object names is there.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use git2::{ObjectType, Oid};

use crate::error::Result;
use crate::git::pack::{self, Object};
use crate::git::reach::Walk;
use crate::git::repository::Store;
use crate::git::{packed, packing, whole};
use crate::progress::Silent;
use crate::store::fs::{self, Durability};

/// The new directory, beside that which it replaces.
pub(crate) const NEW: &str = "objects.new";

/// Smaller packs become one: each pack slows every lookup.
const SMALL: u64 = 4 << 20;
/// So many hundredths of a pack must be needed for it to stay as it is.
const NEEDED: u64 = 90;

/// Puts all that the refs of a store need into a new directory of objects, and exchanges it for the old one when it is on disk.
pub(crate) fn repack(store: &Store) -> Result<()> {
    let (old, new) = (store.path().join("objects"), store.path().join(NEW));
    // What an exchange that was cut off has left.
    fs::remove_tree(&new, &Silent)?;
    let mut walk = Walk::new(store)?;
    for reference in store.repository().references().context("cannot list the refs of a store")? {
        let target = reference.context("cannot read a ref of a store")?.target();
        target.map(|target| walk.add(target)).transpose()?;
    }
    let staying = Staying::choose(store, &walk, &old)?;
    let rest: Vec<Object> = walk.own().iter().copied().filter(|object| !staying.objects.contains(&object.id)).collect();
    if rest.is_empty() && staying.is_all {
        return Ok(());
    }
    for directory in ["info", "pack"] {
        let directory = new.join(directory);
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    }
    match std::fs::read(old.join("info/alternates")) {
        Ok(alternates) => fs::write_atomic(&new.join("info/alternates"), &alternates, Durability::Synced)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", old.display())),
    }
    for file in &staying.files {
        link(&old.join(file), &new.join(file))?;
    }
    pack::copy(store.repository(), &rest, &new.join("pack"))?;
    fs::sync_file_system(&new)?;
    fs::exchange(&new, &old)?;
    fs::sync_dir(store.path())?;
    fs::remove_tree(&new, &Silent)
}

/// What is not written again.
struct Staying {
    /// Below the directory of objects.
    files: Vec<PathBuf>,
    objects: HashSet<Oid>,
    /// Whether that is all there is.
    is_all: bool,
}

impl Staying {
    fn choose(store: &Store, walk: &Walk<'_>, objects: &Path) -> Result<Self> {
        let needed: HashSet<Oid> = walk.own().iter().map(|object| object.id).collect();
        let odb = store.repository().odb().context("cannot open objects")?;
        let kind = |id: Oid| odb.read_header(id).map(|(_, kind)| kind);
        let mut staying = Self { files: Vec::new(), objects: HashSet::new(), is_all: true };
        for index in fs::entries(&objects.join("pack"))? {
            if index.extension().is_none_or(|extension| extension != "idx") {
                // Else what a crash has left.
                staying.is_all &= index.with_extension("idx").exists();
                continue;
            }
            let is_large = index.with_extension("pack").metadata().is_ok_and(|pack| pack.len() >= SMALL);
            let listed = if is_large { packed::listed(&index) } else { None };
            let (mut useful, mut total) = (0, 0);
            let is_closed = listed.iter().flatten().all(|(id, bytes)| {
                total += bytes;
                if needed.contains(id) && !staying.objects.contains(id) {
                    useful += bytes;
                }
                walk.has(*id) || matches!(kind(*id), Ok(ObjectType::Blob))
            });
            match listed {
                Some(listed) if is_closed && useful * 100 >= total * NEEDED => {
                    staying.objects.extend(listed.into_iter().map(|(id, _)| id));
                    let name = Path::new("pack").join(index.file_name().unwrap_or_default());
                    staying.files.extend([name.with_extension("pack"), name]);
                }
                _ => staying.is_all = false,
            }
        }
        for path in whole::loose(objects)? {
            // Others are what a crash has left.
            let Some((id, file)) = of_loose(objects, &path) else { continue };
            let is_huge = || odb.read_header(id).is_ok_and(|(size, _)| size > packing::HUGE);
            if needed.contains(&id) && !staying.objects.contains(&id) && is_huge() {
                staying.objects.insert(id);
                staying.files.push(file);
            } else {
                staying.is_all = false;
            }
        }
        Ok(staying)
    }
}

/// Returns the object that a file of its own holds by its name, and the file below the directory of objects.
fn of_loose(objects: &Path, path: &Path) -> Option<(Oid, PathBuf)> {
    let file = path.strip_prefix(objects).ok()?;
    Some((file.to_str()?.replace('/', "").parse().ok()?, file.to_owned()))
}

/// Gives a file a second name, or copies it where that cannot be.
fn link(from: &Path, to: &Path) -> Result<()> {
    let directory = to.parent().unwrap_or(to);
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    if std::fs::hard_link(from, to).is_ok() { Ok(()) } else { fs::copy_file(from, to) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::git::repository::Access;

    const MB: usize = 1 << 20;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    /// Objects by what they are called here, and those that are to become a pack together.
    struct Scene {
        _dir: tempfile::TempDir,
        store: Store,
        together: HashMap<Oid, (ObjectType, Vec<u8>)>,
    }

    impl Scene {
        fn add(&mut self, kind: ObjectType, content: Vec<u8>) -> Oid {
            let id = Oid::hash_object(kind, &content).expect("an id");
            self.together.insert(id, (kind, content));
            id
        }

        fn blobs(&mut self, seeds: std::ops::Range<u64>) -> Vec<Oid> {
            seeds.map(|seed| self.add(ObjectType::Blob, noise(seed, MB))).collect()
        }

        fn tree(&mut self, blobs: &[Oid]) -> Oid {
            let entry =
                |(number, id): (usize, &Oid)| [format!("100644 {number:03}\0").as_bytes(), id.as_bytes()].concat();
            self.add(ObjectType::Tree, blobs.iter().enumerate().flat_map(entry).collect())
        }

        fn commit(&mut self, tree: Oid) -> Oid {
            let text = format!("tree {tree}\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nx\n");
            self.add(ObjectType::Commit, text.into_bytes())
        }

        /// Writes what was added as a pack and returns its inode.
        fn pack(&mut self) -> u64 {
            let before = self.packs();
            packing::write(&self.together, &self.objects().join("pack")).expect("a pack");
            self.together.clear();
            *self.packs().difference(&before).next().expect("a new pack")
        }

        fn objects(&self) -> PathBuf {
            self.store.path().join("objects")
        }

        fn packs(&self) -> HashSet<u64> {
            let files = fs::entries(&self.objects().join("pack")).expect("entries").into_iter();
            files.filter(|file| file.extension().is_some_and(|end| end == "pack")).map(|file| inode(&file)).collect()
        }

        fn keep(&self, name: &str, commit: Oid) {
            let path = self.store.path().join("refs/runs").join(name).join("after");
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write_atomic(&path, format!("{commit}\n").as_bytes(), Durability::Lazy).expect("a ref");
        }

        fn has(&self, id: Oid) -> bool {
            Store::open(self.store.path(), Access::Read).expect("a store").repository().find_object(id, None).is_ok()
        }
    }

    fn inode(path: &Path) -> u64 {
        path.metadata().expect("a file").ino()
    }

    #[test]
    fn what_is_needed_stays_where_it_is_and_no_object_lacks_what_it_names() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::create(&dir.path().join("store.git"), None).expect("a store");
        let mut at = Scene { _dir: dir, store, together: HashMap::new() };
        // Needed as a whole, but for a blob.
        let kept = at.blobs(0..11);
        let (tree, dead_blob) = (at.tree(&kept), at.add(ObjectType::Blob, noise(100, MB)));
        let commit = at.commit(tree);
        at.keep("kept", commit);
        let whole = at.pack();
        // Nearly all of it needed, but the tree is not, nor what it names elsewhere.
        let elsewhere = at.blobs(20..25);
        let dropped = at.pack();
        let shared = at.blobs(30..42);
        let dead_tree = at.tree(&[shared.clone(), elsewhere.clone()].concat());
        let mixed = at.pack();
        let tree = at.tree(&shared);
        let commit = at.commit(tree);
        at.keep("shared", commit);
        let little = at.pack();
        // Too little of it needed.
        let half = at.blobs(50..60);
        let hollow = at.pack();
        let huge = [90, 91].map(|seed| {
            let content = noise(seed, packing::HUGE + 1);
            let id = Oid::hash_object(ObjectType::Blob, &content).expect("an id");
            packing::write_loose(id, &content, &at.objects()).expect("a file");
            id
        });
        let tree = at.tree(&[half[0], huge[0]]);
        let commit = at.commit(tree);
        at.keep("half", commit);
        at.pack();
        let loose = |id: Oid| at.objects().join(&id.to_string()[..2]).join(&id.to_string()[2..]);
        let huge_inode = inode(&loose(huge[0]));

        let store = Store::open(at.store.path(), Access::Write).expect("a store");
        repack(&store).expect("packed");
        let left = at.packs();
        assert!(left.contains(&whole), "what is needed is written again");
        assert!([dropped, mixed, little, hollow].iter().all(|pack| !left.contains(pack)));
        assert_eq!(inode(&loose(huge[0])), huge_inode);
        assert!(!loose(huge[1]).exists());
        for (id, needed) in kept.iter().chain(&shared).chain([&half[0], &huge[0]]).map(|id| (id, true)).chain([
            (&dead_blob, true),
            (&dead_tree, false),
            (&elsewhere[0], false),
            (&half[1], false),
        ]) {
            assert_eq!(at.has(*id), needed, "{id}");
        }
        let fsck = crate::git::oracle::git();
        let output = { fsck }.arg("-C").arg(at.store.path()).args(["fsck", "--strict"]).output().expect("git");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        // The small one and what was rewritten are large enough now: nothing is left to do.
        let before = inode(&at.objects());
        let store = Store::open(at.store.path(), Access::Write).expect("a store");
        repack(&store).expect("packed");
        assert_eq!((inode(&at.objects()), at.packs()), (before, left));
        assert!(!at.store.path().join(NEW).exists());
    }
}
