use std::collections::BTreeSet;

use super::*;
use crate::git::meta::GitFile;
use crate::git::{gitdir, pack, reach};

/// What is recorded of `.git` below `modules`.
fn modules(place: &Place, snapshot: &Snapshot) -> BTreeSet<String> {
    let root = place.store.repository().find_tree(snapshot.id).expect("the snapshot");
    let files = gitdir::files(place.store.repository(), root.get_name("gitdir").expect("the `.git`").id());
    let paths = files.expect("its files").into_keys().map(|path| String::from_utf8(path).expect("UTF-8"));
    paths.filter(|path| path.starts_with("modules")).collect()
}

fn mkfifo(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR).expect("a fifo");
}

#[test]
fn git_directories_of_submodules_are_recorded_as_git_itself_is() {
    let place = Place::new();
    for name in ["mod", "libs/foo"] {
        let args = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "--name", name, "../pool", name];
        place.git(&args);
    }
    place.write(".git/modules/libs/foo/hooks/pre-commit", "#!/bin/sh\n");
    place.chmod(".git/modules/libs/foo/hooks/pre-commit", 0o750);
    place.chmod(".git/modules/mod/config", 0o600);
    place.write(".git/modules/mod/lfs/large", "opaque");
    place.write(".git/modules/mod/modules/in/HEAD", "ref: refs/heads/main\n");
    place.write("mod/staged", "only staged");
    place.git(&["-C", "mod", "add", "staged"]);
    std::fs::remove_file(place.tree().join("mod/staged")).expect("removed");
    for _ in 0..2 {
        let snapshot = place.capture();
        let found = modules(&place, &snapshot);
        for path in ["mod/HEAD", "mod/config", "mod/index", "mod/modules/in/HEAD", "libs/foo/hooks/pre-commit"] {
            assert!(found.contains(&format!("modules/{path}")), "{path}: {found:?}");
        }
        let unknown =
            |path: &&String| ["objects", "lfs", "description", ".sample"].iter().any(|part| path.contains(part));
        assert_eq!(found.iter().find(unknown), None);
        let meta = load(&place.store, snapshot.commit).expect("the snapshot").meta;
        let modes: [(Vec<u8>, u32); 2] =
            [(b".git/modules/libs/foo/hooks/pre-commit".to_vec(), 0o750), (b".git/modules/mod/config".to_vec(), 0o600)];
        assert_eq!(meta.git_modes, modes);
        let file = |content: &str| GitFile { mode: 0o644, content: content.into() };
        let expected = [
            (b"libs/foo".to_vec(), file("gitdir: ../../.git/modules/libs/foo\n")),
            (b"mod".to_vec(), file("gitdir: ../.git/modules/mod\n")),
        ];
        assert!(meta.has_modules && meta.unreadable.is_empty() && meta.special.is_empty());
        assert_eq!(meta.git_files, expected);
    }
    // What a submodule stages is needed for as long as the snapshot is.
    let staged = place.store.write(ObjectType::Blob, b"only staged".to_vec()).expect("a blob");
    place.store.flush().expect("on disk");
    let mut walk = reach::Walk::new(&place.store).expect("a walk");
    walk.add(place.capture().commit).expect("all of it is there");
    let packs = tempfile::tempdir().expect("a directory");
    pack::copy(place.store.repository(), walk.own(), packs.path()).expect("a pack");
    let odb = git2::Odb::new().expect("objects");
    std::fs::create_dir(packs.path().join("pack")).expect("a directory");
    for entry in packs.path().read_dir().expect("packs").flatten().filter(|entry| entry.path().is_file()) {
        std::fs::rename(entry.path(), packs.path().join("pack").join(entry.file_name())).expect("moved");
    }
    odb.add_disk_alternate(packs.path().to_str().expect("UTF-8")).expect("a pack");
    assert!(odb.exists(staged));
}

#[test]
fn what_is_no_git_directory_is_passed_by_and_named() {
    let place = Place::new();
    let git = place.tree().join(".git");
    for name in ["headless", "fifo", "good"] {
        place.write(&format!(".git/modules/{name}/objects/ab/cd"), "an object");
        place.write(&format!(".git/modules/{name}/logs/HEAD"), "a log");
        place.write(&format!(".git/modules/{name}/refs/remotes/origin/HEAD"), "a ref");
    }
    mkfifo(&git.join("modules/fifo/HEAD"));
    mkfifo(&git.join("modules/good/index"));
    place.write(".git/modules/good/HEAD", "ref: refs/heads/main\n");
    place.write(".git/modules/stray", "a file");
    symlink("/etc", git.join("modules/link")).expect("a link");
    for _ in 0..2 {
        let snapshot = place.capture();
        let good = ["HEAD", "logs/HEAD", "refs/remotes/origin/HEAD"].map(|path| format!("modules/good/{path}"));
        assert_eq!(modules(&place, &snapshot), BTreeSet::from(good));
        assert_eq!(paths(&snapshot.meta.unreadable), [".git/modules/fifo", ".git/modules/headless"]);
        let special = [".git/modules/good/index", ".git/modules/link", ".git/modules/stray"];
        assert_eq!(paths(&snapshot.meta.special), special);
    }
    for instead in [|path: &Path| symlink("/etc", path).expect("a link"), |path: &Path| mkfifo(path)] {
        if git.join("modules").is_dir() {
            std::fs::remove_dir_all(git.join("modules")).expect("removed");
        } else {
            std::fs::remove_file(git.join("modules")).expect("removed");
        }
        instead(&git.join("modules"));
        let snapshot = place.capture();
        assert_eq!(
            (modules(&place, &snapshot), paths(&snapshot.meta.special)),
            (BTreeSet::new(), vec![".git/modules".into()])
        );
    }
}

#[test]
fn many_names_below_modules_hide_nothing_of_git_itself() {
    let place = Place::new();
    place.write(".git/modules/many/0", "x");
    let many = place.tree().join(".git/modules/many");
    for number in 1..=20_000 {
        std::fs::hard_link(many.join("0"), many.join(number.to_string())).expect("a link");
    }
    // By one thread, so that they come before some of the others.
    let snapshot = place.capture_by(&place.store, 1);
    assert_eq!(paths(&snapshot.meta.unreadable), [".git/modules/many"]);
    assert_eq!(modules(&place, &snapshot), BTreeSet::new());
}

#[test]
fn only_a_small_git_file_is_recorded() {
    let place = Place::new();
    place.write("odd/.git", b"gitdir: \xff\n");
    place.write("large/.git", [b'x'; 8193]);
    for path in ["fifo", "linked"] {
        std::fs::create_dir(place.tree().join(path)).expect("a directory");
    }
    mkfifo(&place.tree().join("fifo/.git"));
    symlink("/etc/passwd", place.tree().join("linked/.git")).expect("a link");
    let meta = place.capture().meta;
    assert_eq!(paths(&meta.nested), ["fifo", "large", "linked", "odd"]);
    assert_eq!(meta.git_files, [(b"odd".to_vec(), GitFile { mode: 0o644, content: b"gitdir: \xff\n".to_vec() })]);
}
