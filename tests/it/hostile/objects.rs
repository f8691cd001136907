//! Objects and refs that lie: named, never believed, never followed for longer than they are worth.

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1::{Digest as _, Sha1};

use crate::support::{Place, describe, write};

fn deflate(parts: &[&[u8]]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    for part in parts {
        encoder.write_all(part).expect("memory");
    }
    encoder.finish().expect("memory")
}

fn hex(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from_digit(four.into(), 16).expect("four bits");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn raw(id: &str) -> Vec<u8> {
    (0..20).map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).expect("hex")).collect()
}

fn put(tree: &Path, id: &str, deflated: &[u8]) {
    write(tree, &format!(".git/objects/{}/{}", &id[..2], &id[2..]), deflated);
}

/// Writes a loose object as it should be and returns its id.
fn object(tree: &Path, kind: &str, content: &[u8]) -> String {
    let header = format!("{kind} {}\0", content.len());
    let id = hex(&Sha1::new().chain_update(&header).chain_update(content).finalize());
    put(tree, &id, &deflate(&[header.as_bytes(), content]));
    id
}

/// Points the branch `name` at a commit with one file, which is the object `blob`.
fn branch(tree: &Path, name: &str, blob: &str) {
    let entry = [b"100644 f\0".as_slice(), &raw(blob)].concat();
    let root = object(tree, "tree", &entry);
    let commit = object(
        tree,
        "commit",
        format!("tree {root}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\n{name}\n").as_bytes(),
    );
    write(tree, &format!(".git/refs/heads/{name}"), commit + "\n");
}

/// Id, kind, size, what stands before the deflated bytes, content.
type Entry<'a> = (&'a str, u8, usize, Vec<u8>, Vec<u8>);

/// Writes a pack of entries and its index.
fn pack(tree: &Path, entries: &[Entry<'_>]) {
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend(u32::try_from(entries.len()).expect("few").to_be_bytes());
    let mut found = Vec::new();
    for (id, kind, size, before, content) in entries {
        found.push((raw(id), u32::try_from(pack.len()).expect("small")));
        let mut byte = kind << 4 | u8::try_from(size & 15).expect("four bits");
        let mut rest = size >> 4;
        while rest > 0 {
            pack.push(byte | 0x80);
            byte = u8::try_from(rest & 127).expect("seven bits");
            rest >>= 7;
        }
        pack.push(byte);
        pack.extend(before);
        pack.extend(deflate(&[content]));
    }
    let sum = Sha1::digest(&pack);
    pack.extend(sum);
    found.sort();
    let mut index = b"\xfftOc\0\0\0\x02".to_vec();
    for first in 0..=255_u8 {
        let count = found.iter().filter(|(id, _)| id[0] <= first).count();
        index.extend(u32::try_from(count).expect("few").to_be_bytes());
    }
    index.extend(found.iter().flat_map(|(id, _)| id));
    index.extend(vec![0; 4 * found.len()]);
    index.extend(found.iter().flat_map(|(_, offset)| offset.to_be_bytes()));
    index.extend(sum);
    index.extend(Sha1::digest(&index));
    write(tree, ".git/objects/pack/pack-a.pack", pack);
    write(tree, ".git/objects/pack/pack-a.idx", index);
}

fn size(mut size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(size & 127).expect("seven bits");
        size >>= 7;
        bytes.push(byte | if size > 0 { 0x80 } else { 0 });
        if size == 0 {
            return bytes;
        }
    }
}

/// Looks at the workspace in every way: a run names what is wrong, collection keeps it, good work beside it comes over.
fn is_named(shape: &str, prepare: impl FnOnce(&Path), reason: &str) {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    place.git(&tree, ["commit", "-q", "--allow-empty", "-m", "good"]);
    let good = place.git(&tree, ["rev-parse", "HEAD"]);
    prepare(&tree);
    for args in [vec!["status", "x"], vec!["diff", "x"], vec!["sync", "x", "--to", "-n"]] {
        place.ok(args);
    }
    let output = place.hostile("true");
    assert_eq!(output.status.code(), Some(125), "{shape}: {}", describe(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    // On a slow host it may be its time that is over first.
    let is_named = said.contains(reason) || said.contains("it took too long to read");
    assert!(said.contains("cannot keep the commit") && is_named, "{shape}: {said}");
    let text = place.ok(["gc", "--all"]);
    assert!(text.contains("Kept `x`") && text.contains("unreadable ref"), "{shape}: {text}");
    place.git(&place.trusted("x"), ["cat-file", "-e", good.trim()]);
    place.git(&place.trusted("x"), ["fsck"]);
}

#[test]
fn an_object_that_claims_or_unpacks_to_too_much_is_refused() {
    let id = "11".repeat(20);
    is_named(
        "claims",
        |tree| {
            put(tree, &id, &deflate(&[b"blob 8589934592\0", b"x"]));
            branch(tree, "bomb", &id);
        },
        "more than 536870912 bytes in one object",
    );
    is_named(
        "unpacks",
        |tree| {
            // Each of them is as it should be, and 40 MB of nothing; more than the three imports that follow may take together.
            let entries: Vec<u8> = (0..24_u8)
                .flat_map(|number| {
                    let blob = object(tree, "blob", &[vec![number], vec![0; 40 << 20]].concat());
                    [format!("100644 f{number}\0").into_bytes(), raw(&blob)].concat()
                })
                .collect();
            let root = object(tree, "tree", &entries);
            let text = format!("tree {root}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx\n");
            write(tree, ".git/refs/heads/bomb", object(tree, "commit", text.as_bytes()) + "\n");
        },
        "bytes to import",
    );
    is_named(
        "more than it says",
        |tree| {
            put(tree, &id, &deflate(&[b"blob 3\0", &vec![0; 1 << 20]]));
            branch(tree, "bomb", &id);
        },
        "its size is not as it says",
    );
}

/// Makes a commit of sixty trees in each other, each of which names the next one ten times.
fn tenfold(tree: &Path) -> String {
    let blob = object(tree, "blob", b"x");
    let ten = |mode: &str, id: &str| {
        (0..10).flat_map(|number| [format!("{mode} {number}\0").into_bytes(), raw(id)].concat()).collect::<Vec<u8>>()
    };
    let mut root = object(tree, "tree", &ten("100644", &blob));
    for _ in 0..60 {
        root = object(tree, "tree", &ten("40000", &root));
    }
    let text = format!("tree {root}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx\n");
    object(tree, "commit", text.as_bytes()) + "\n"
}

#[test]
fn small_trees_that_are_endless_when_spread_out_are_refused() {
    const REASON: &str = "more than 2000000 files in one tree";
    is_named("a branch", |tree| write(tree, ".git/refs/heads/bomb", tenfold(tree)), REASON);
    // As the head it is what everything else is compared with.
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    write(&tree, ".git/refs/heads/stead/x", tenfold(&tree));
    place.ok(["status", "x"]);
    place.ok(["diff", "x"]);
    place.fails(&["sync", "x", "--to", "-n"], 1, REASON);
    let output = place.hostile("true");
    assert_eq!(output.status.code(), Some(125), "{}", describe(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains(REASON), "{}", describe(&output));
    let text = place.ok(["gc", "--all"]);
    assert!(text.contains("Kept `x`") && text.contains(REASON), "{text}");
}

#[test]
fn deltas_in_a_circle_and_without_end_are_refused() {
    let (one, two) = ("a1".repeat(20), "b1".repeat(20));
    let delta = [size(1), size(1), b"\x01a".to_vec()].concat();
    is_named(
        "circle",
        |tree| {
            let entry = |id, base| (id, 7, delta.len(), raw(base), delta.clone());
            pack(tree, &[entry(one.as_str(), &two), entry(two.as_str(), &one)]);
            branch(tree, "bomb", &one);
        },
        "its chain of deltas is too long",
    );
    is_named(
        "doubling",
        |tree| {
            let ids: Vec<String> = (0..16).map(|number| format!("{:02x}", 0x40 + number).repeat(20)).collect();
            let mut entries = vec![(ids[0].as_str(), 3, 1 << 16, Vec::new(), vec![0; 1 << 16])];
            for number in 1..16 {
                let base = 1_usize << (15 + number);
                // Two copies of the whole base, by pieces of at most 16 MiB.
                let mut delta = [size(base), size(2 * base)].concat();
                for _ in 0..2 {
                    for start in (0..base).step_by(0x00ff_0000) {
                        let length = (base - start).min(0x00ff_0000);
                        delta.push(0xff);
                        delta.extend(u32::try_from(start).expect("small").to_le_bytes());
                        delta.extend(&u32::try_from(length).expect("small").to_le_bytes()[..3]);
                    }
                }
                entries.push((ids[number].as_str(), 7, delta.len(), raw(&ids[number - 1]), delta));
            }
            pack(tree, &entries);
            branch(tree, "bomb", &ids[15]);
        },
        "bytes",
    );
}

#[test]
fn an_index_that_lies_about_its_pack_is_refused() {
    let id = "22".repeat(20);
    let absurd = |tree: &Path, from: usize, to: usize| {
        pack(tree, &[(id.as_str(), 3, 1, Vec::new(), b"x".to_vec())]);
        let path = tree.join(".git/objects/pack/pack-a.idx");
        let mut index = std::fs::read(&path).expect("an index");
        index[from..to].fill(0xff);
        std::fs::write(path, index).expect("an index");
        branch(tree, "bomb", &id);
    };
    is_named("counts", |tree| absurd(tree, 8, 1032), "is missing");
    is_named("offset", |tree| absurd(tree, 1032 + 24, 1032 + 28), "is missing");
    is_named("right index, wrong content", |tree| absurd(tree, 0, 0), "is corrupt");
}

#[test]
fn many_refs_that_lead_to_one_bad_object_are_as_bad_as_one() {
    is_named(
        "many",
        |tree| {
            let id = "77".repeat(20);
            put(tree, &id, &deflate(&[b"blob 31457280\0", &vec![0; 30 << 20]]));
            let root = object(tree, "tree", &[b"100644 f\0".as_slice(), &raw(&id)].concat());
            let lines = (0..400).map(|number| {
                let text = format!("tree {root}\nauthor a <a> {number} +0000\ncommitter a <a> 0 +0000\n\nx\n");
                format!("{} refs/heads/b{number:03}\n", object(tree, "commit", text.as_bytes()))
            });
            let lines: Vec<String> = lines.collect();
            write(tree, ".git/packed-refs", lines.concat());
        },
        "is corrupt",
    );
}

#[test]
fn refs_that_name_each_other_name_nothing() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    write(&tree, ".git/refs/heads/a", "ref: refs/heads/b\n");
    write(&tree, ".git/refs/heads/b", "ref: refs/heads/a\n");
    write(&tree, ".git/HEAD", "ref: refs/heads/a\n");
    place.ok(["status", "x"]);
    place.ok(["diff", "x"]);
    place.tamed("true");
    place.ok(["gc", "--all", "-n"]);
}

#[test]
fn lock_files_left_behind_stop_nothing() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    for name in
        ["index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock", "refs/heads/stead/x.lock"]
    {
        write(&tree, &format!(".git/{name}"), "");
    }
    write(&tree, "README.md", "changed\n");
    place.tamed("true");
    place.ok(["sync", "x", "--to", project.to_str().expect("text")]);
}

#[test]
fn an_index_with_an_absurd_count_is_no_index() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    write(&tree, ".git/index", [b"DIRC\0\0\0\x02\xff\xff\xff\xff".as_slice(), &[0; 100]].concat());
    write(&tree, "new", "x");
    assert!(place.ok(["diff", "x"]).contains("create new"));
    place.tamed("true");
}

#[test]
fn a_flood_of_files_in_a_git_directory_is_named_and_not_recorded() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    let logs = tree.join(".git/logs/more");
    std::fs::create_dir_all(&logs).expect("a directory");
    for number in 0..20_001 {
        std::fs::File::create(logs.join(number.to_string())).expect("a file");
    }
    let output = place.stead(["diff", "x"]).output().expect("stead starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("not recorded .git/logs/more (more than 20000 files in `.git`)"), "{said}");
    assert!(place.ok(["gc", "--all"]).contains("Kept `x`"));
}
