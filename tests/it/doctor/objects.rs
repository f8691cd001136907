//! Pools and stores: what is missing or damaged in them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::checks;
use crate::support::{Place, write};

/// A workspace of a project whose objects are all in one pack, in the pool as well.
fn packed(place: &Place) -> PathBuf {
    let project = place.project("api");
    for number in 0..40 {
        write(&project, &format!("many/{number}"), format!("{number} {}\n", "text ".repeat(number)));
    }
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "many"]);
    place.git(&project, ["repack", "-q", "-a", "-d"]);
    place.ok(["create", "one", "--from", "api"]);
    project
}

const FETCHED: &str = "; it is fetched once more";
const KEPT: &str = "; it is put aside, and nothing is missing";

fn pool(place: &Place) -> PathBuf {
    let entries = place.root().join("pools").read_dir().expect("pools").map(|entry| entry.expect("entry").path());
    entries.into_iter().find(|path| path.extension().is_some_and(|end| end == "git")).expect("a pool")
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = directory.join("objects/pack").read_dir().expect("packs").map(|entry| entry.expect("entry").path());
    entries.filter(|path| path.extension().is_some_and(|end| end == extension)).collect()
}

fn file(directory: &Path, extension: &str) -> PathBuf {
    files(directory, extension).into_iter().next().expect("a pack")
}

fn overwrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("file");
    change(&mut bytes);
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).expect("mode");
    std::fs::write(path, bytes).expect("written");
}

/// Doctor names `says` of the pool, mends it and says `how`, and is content; git is as well.
fn is_mended(place: &Place, deep: &[&str], says: &str, how: &str) {
    let (code, answer) = place.json(["doctor"].iter().chain(deep));
    let (status, message) = checks(&answer, "pool")[0];
    assert!((code, status) == (9, "problem") && message.contains(says), "{answer}");
    let (code, answer) = place.json(["doctor", "--repair"].iter().chain(deep));
    let (status, message) = checks(&answer, "pool")[0];
    assert!((code, status) == (0, "repaired") && message.ends_with(how), "{answer}");
    assert_eq!(place.json(["doctor", "--deep"]).0, 0);
    place.git(&pool(place), ["fsck", "--strict"]);
    place.git(&place.tree("one"), ["fsck", "--strict"]);
    place.ok(["exec", "one", "--", "git", "log", "-p"]);
}

#[test]
fn a_pool_that_lost_its_objects_is_fetched_once_more() {
    let place = Place::new();
    packed(&place);
    std::fs::remove_dir_all(pool(&place).join("objects")).expect("removed");
    std::fs::create_dir(pool(&place).join("objects")).expect("made");
    is_mended(&place, &[], "` names ", FETCHED);
}

#[test]
fn a_pool_that_is_gone_is_made_anew() {
    let place = Place::new();
    packed(&place);
    let lost = pool(&place);
    std::fs::remove_dir_all(&lost).expect("removed");
    let (_, answer) = place.json(["doctor"]);
    let objects = lost.join("objects");
    let borrows = |whose| format!("`one`: its {whose} borrows from `{}`, which is not there", objects.display());
    let named: Vec<_> = checks(&answer, "workspace").iter().map(|(_, message)| (*message).to_owned()).collect();
    assert_eq!(named, [borrows("store"), borrows("`.git`")]);
    is_mended(&place, &[], "it is not there", FETCHED);
}

#[test]
fn a_pack_whose_end_is_missing_is_found_and_what_only_the_pool_has_is_kept() {
    let place = Place::new();
    let project = packed(&place);
    // The source has this no more.
    let gone = place.git(&project, ["rev-parse", "HEAD"]).trim().to_owned();
    place.git(&project, ["reset", "-q", "--hard", "HEAD~1"]);
    place.git(&project, ["reflog", "expire", "--expire=now", "--all"]);
    place.git(&project, ["gc", "-q", "--prune=now"]);
    overwrite(&file(&pool(&place), "pack"), |bytes| *bytes.last_mut().expect("a byte") ^= 1);
    is_mended(&place, &[], "is damaged: it is not what its index says", KEPT);
    place.git(&pool(&place), ["cat-file", "-e", &gone]);
}

#[test]
fn an_empty_object_is_found_at_once() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "one", "--from", project.to_str().expect("UTF-8")]);
    write(&place.root().join("state/local/one/store.git/objects"), "12/34567890123456789012345678901234567890", "");
    let (code, answer) = place.json(["doctor"]);
    assert!(code == 9 && answer.to_string().contains("is damaged: it is empty"), "{answer}");
}

#[test]
fn a_pack_without_its_index_gets_one() {
    let place = Place::new();
    packed(&place);
    std::fs::remove_file(file(&pool(&place), "idx")).expect("removed");
    is_mended(&place, &[], "has no index", KEPT);
}

#[test]
fn a_byte_that_is_another_in_the_middle_of_a_pack_is_found_by_a_deep_look() {
    let place = Place::new();
    packed(&place);
    overwrite(&file(&pool(&place), "pack"), |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
    });
    assert_eq!(place.json(["doctor"]).0, 0, "nothing at its end says so");
    is_mended(&place, &["--deep"], "is damaged: ", FETCHED);
}

#[test]
fn a_source_that_cannot_be_reached_leaves_the_problem_named() {
    let place = Place::new();
    let project = packed(&place);
    std::fs::remove_dir_all(pool(&place)).expect("removed");
    let aside = place.path().join("aside");
    std::fs::rename(&project, &aside).expect("moved");
    let text = place.transcript(&mut place.stead(["doctor", "--repair"]));
    let hint = "hint: run `stead doctor --repair` again when the source can be reached";
    assert!(
        text.starts_with("exit status: 9") && text.contains("is not a git repository") && text.contains(hint),
        "{text}"
    );
    std::fs::rename(&aside, &project).expect("moved");
    place.ok(["doctor", "--repair"]);
    assert_eq!(place.json(["doctor", "--deep"]).0, 0);
}

#[test]
fn what_a_store_has_lost_is_named_with_what_to_do() {
    let place = Place::new();
    packed(&place);
    let store = place.root().join("state/local/one/store.git");
    let first = files(&store, "pack");
    place.ok(["exec", "one", "--", "sh", "-c", "for n in $(seq 40); do echo $n > new$n; done"]);
    let pack = files(&store, "pack").into_iter().find(|pack| !first.contains(pack)).expect("a pack of the run");
    let whole = std::fs::read(&pack).expect("a pack");
    let named = |deep: &[&str], says: &str| {
        for args in [&["doctor"][..], &["doctor", "--repair"]] {
            let (code, answer) = place.json(args.iter().chain(deep));
            let (status, message) = checks(&answer, "workspace")[0];
            assert!((code, status) == (9, "problem") && message.contains(says), "{answer}");
            assert!(answer.to_string().contains("its files are untouched: copy them from"), "{answer}");
        }
    };
    overwrite(&pack, |bytes| bytes.truncate(100));
    named(&[], "is damaged: it is not what its index says");
    std::fs::write(&pack, &whole).expect("written");
    assert_eq!(place.json(["doctor", "--deep"]).0, 0);
    overwrite(&pack, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
    });
    named(&["--deep"], "is damaged: ");
    std::fs::write(&pack, &whole).expect("written");
    for extension in ["idx", "pack"] {
        std::fs::remove_file(pack.with_extension(extension)).expect("removed");
    }
    assert_eq!(place.json(["doctor"]).0, 0, "no pack says so");
    named(&["--deep"], "/after` needs is not there: ");
}
