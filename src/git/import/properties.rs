//! What must hold for every object that somebody hostile may offer.

#![expect(clippy::disallowed_methods, reason = "only tests and fuzzers write what these read")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use git2::ObjectType;

use super::delta;
use super::objects::Objects;
use super::structure::children;
use crate::git::Oid;
use crate::store::beneath::Dir;

/// More than any object of the cases.
const BUDGET: u64 = 1 << 20;

/// A pack as git writes it, of objects with deltas among them.
struct Good {
    pack: Vec<u8>,
    index: Vec<u8>,
    objects: BTreeMap<Oid, (ObjectType, Vec<u8>)>,
}

fn good() -> &'static Good {
    static GOOD: OnceLock<Good> = OnceLock::new();
    GOOD.get_or_init(|| make().expect("libgit2 makes a pack"))
}

fn make() -> Result<Good, git2::Error> {
    let dir = std::env::temp_dir().join(format!("stead-pack-{}", std::process::id()));
    let repository = git2::Repository::init_bare(&dir)?;
    let odb = repository.odb()?;
    let mut objects = BTreeMap::new();
    let mut builder = repository.packbuilder()?;
    let text = (0..30).map(|line| format!("line {line}")).collect::<Vec<_>>().join("\n");
    for number in 0..3 {
        let content = text.replace(&format!("line {number}7\n"), "another\n").into_bytes();
        let id = odb.write(ObjectType::Blob, &content)?;
        objects.insert(id, (ObjectType::Blob, content));
        builder.insert_object(id, Some("file"))?;
    }
    let mut buffer = git2::Buf::new();
    builder.write_buf(&mut buffer)?;
    let pack = buffer.to_vec();
    let mut indexer = git2::Indexer::new(None, &dir, 0o600, true)?;
    std::io::Write::write_all(&mut indexer, &pack).map_err(|error| git2::Error::from_str(&error.to_string()))?;
    let name = indexer.commit()?;
    let index = std::fs::read(dir.join(format!("pack-{name}.idx")))
        .map_err(|error| git2::Error::from_str(&error.to_string()))?;
    std::fs::remove_dir_all(&dir).map_err(|error| git2::Error::from_str(&error.to_string()))?;
    Ok(Good { pack, index, objects })
}

/// Reading a damaged pack ends, and what has the right hash is the right object. `damage` is read as triples: an offset of two
/// bytes and what is put there; an odd first byte damages the index, an even one the pack.
pub(crate) fn pack(dir: &Path, damage: &[u8]) {
    let good = good();
    let (mut pack, mut index) = (good.pack.clone(), good.index.clone());
    let Some((which, damage)) = damage.split_first() else { return };
    let target = if which & 1 == 1 { &mut index } else { &mut pack };
    for change in damage.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % target.len();
        target[at] = change[2];
    }
    if which & 2 == 2 {
        target.truncate(target.len() * usize::from(*which) / 256);
    }
    let packs = dir.join("objects/pack");
    std::fs::create_dir_all(&packs).expect("a directory");
    std::fs::write(packs.join("pack-x.pack"), &pack).expect("a pack");
    std::fs::write(packs.join("pack-x.idx"), &index).expect("an index");
    let git = Dir::open(dir).expect("it was made");
    let objects = Objects::open(&git, BUDGET);
    for (id, object) in &good.objects {
        if let Ok(Some((kind, content))) = objects.read(*id)
            && Oid::hash_object(kind, &content).is_ok_and(|hash| hash == *id)
        {
            assert_eq!((kind, &content), (object.0, &object.1));
        }
    }
    // Looks for loose objects as well, in every directory that there could be.
    if which & 0x1c == 0 {
        assert!(objects.ids(1000).len() <= index.len() / 20);
    }
}

/// A loose object of any bytes is read or refused, and never more than it may be.
pub(crate) fn loose(dir: &Path, bytes: &[u8]) {
    let id = Oid::hash_object(ObjectType::Blob, b"").expect("a hash");
    let hex = id.to_string();
    std::fs::create_dir_all(dir.join("objects").join(&hex[..2])).expect("a directory");
    std::fs::write(dir.join("objects").join(&hex[..2]).join(&hex[2..]), bytes).expect("an object");
    let git = Dir::open(dir).expect("it was made");
    if let Ok(Some((_, content))) = Objects::open(&git, BUDGET).read(id) {
        assert!(content.len() as u64 <= BUDGET);
    }
}

/// A delta makes what it says or is refused.
pub(crate) fn delta(base: &[u8], delta: &[u8]) {
    if let Some(result) = delta::apply(base, delta) {
        assert_eq!(delta::result_size(delta), Some(result.len() as u64));
    }
}

/// Returns an empty repository at `path` for [`structure`].
pub(crate) fn repository(path: &Path) -> git2::Repository {
    git2::opts::strict_object_creation(false);
    git2::Repository::init_bare(path).expect("a repository")
}

/// What is taken for a well-formed object is one to libgit2 as well, and names the same.
pub(crate) fn structure(repository: &git2::Repository, kind: &str, content: &[u8]) {
    let kind = ObjectType::from_str(kind).expect("a kind");
    let Some(found) = children(kind, content) else { return };
    let id = repository.odb().and_then(|odb| odb.write(kind, content)).expect("it is written as it is");
    let mut found: Vec<Oid> = found.into_iter().map(|(id, _)| id).collect();
    found.sort();
    let mut theirs: Vec<Oid> = match kind {
        ObjectType::Commit => {
            let commit = repository.find_commit(id).expect("libgit2 reads the commit");
            commit.parent_ids().chain([commit.tree_id()]).collect()
        }
        ObjectType::Tree => {
            let tree = repository.find_tree(id).expect("libgit2 reads the tree");
            tree.iter().filter(|entry| entry.kind() != Some(ObjectType::Commit)).map(|entry| entry.id()).collect()
        }
        ObjectType::Tag => vec![repository.find_tag(id).expect("libgit2 reads the tag").target_id()],
        _ => return,
    };
    theirs.sort();
    assert_eq!(found, theirs);
}
