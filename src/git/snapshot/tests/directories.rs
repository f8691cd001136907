//! Permission bits of directories.

use super::*;
use crate::git::recorded::Recorded;

#[test]
fn under_another_umask_only_the_odd_modes_of_directories_are_listed() {
    let place = Place::new();
    for number in 0..20 {
        place.write(&format!("d{number}/file"), "x");
        place.chmod(&format!("d{number}"), 0o700);
    }
    for (path, mode) in [("", 0o700), ("src", 0o755), ("src/deep", 0o2700)] {
        place.chmod(path, mode);
    }
    let snapshot = place.capture();
    assert_eq!(snapshot.meta.plain_dir, Some(0o700));
    assert_eq!(snapshot.meta.dir_modes, [(b"src".to_vec(), 0o755), (b"src/deep".to_vec(), 0o2700)]);
    let directories = Recorded::of(&place.store, &snapshot).expect("what is recorded").directories();
    assert_eq!((directories.len(), directories[&b""[..]], directories[&b"d7"[..]]), (23, 0o700, 0o700));
    assert_eq!(directories[&b"src"[..]], 0o755);
}

#[test]
fn another_mode_of_a_directory_is_another_snapshot_and_the_old_one_the_first_again() {
    let place = Place::new();
    for path in ["", "src", "src/deep"] {
        place.chmod(path, 0o755);
    }
    let first = place.capture();
    assert_eq!((first.meta.plain_dir, &first.meta.dir_modes), (Some(0o755), &Vec::new()));
    let reader = Store::open(place.store.path(), Access::Read).expect("a store");
    for (path, mode) in [("src/deep", 0o1777), ("", 0o2755)] {
        place.chmod(path, mode);
        let second = place.capture();
        assert_eq!(second.meta.dir_modes, [(path.as_bytes().to_vec(), mode)]);
        assert!(second.id != first.id && second.files == first.files);
        assert_eq!(place.capture().commit, second.commit);
        assert_eq!(place.capture_by(&reader, 4).id, second.id);
        assert_eq!(load(&place.store, second.commit).expect("the snapshot").meta, second.meta);
        place.chmod(path, 0o755);
        assert_eq!(place.capture().id, first.id);
    }
}

#[test]
fn modes_of_directories_are_in_the_snapshot_of_the_repository_around_them() {
    let place = Place::new();
    place.write("sub/inner/file", "x");
    place.git(&["init", "-q", "sub"]);
    place.git(&["init", "-q", "sub/inner/more"]);
    place.write("sub/inner/more/in/file", "y");
    let modes = [("sub", 0o711), ("sub/inner", 0o750), ("sub/inner/more", 0o1755), ("sub/inner/more/in", 0o705)];
    for (path, mode) in modes.into_iter().chain([("", 0o755), ("src", 0o755), ("src/deep", 0o755)]) {
        place.chmod(path, mode);
    }
    for _ in 0..2 {
        let snapshot = place.capture();
        let repository = place.store.repository();
        let listed = |meta: &Meta| paths(&meta.dir_modes);
        let inner = |index: usize| {
            let root = repository.find_tree(snapshot.meta.nested[index].1).expect("a snapshot");
            let meta = repository.find_blob(root.get_name("meta").expect("a meta").id()).expect("a blob");
            Meta::decode(meta.content()).expect("a meta")
        };
        assert_eq!(listed(&snapshot.meta), ["sub"]);
        assert_eq!(
            (listed(&inner(0)), listed(&inner(1))),
            (vec!["inner".into(), "inner/more".into()], vec!["in".into()])
        );
        let directories = Recorded::of(&place.store, &snapshot).expect("what is recorded").directories();
        let expected = modes.map(|(path, mode)| (path.as_bytes().to_vec(), mode));
        assert_eq!(directories.into_iter().filter(|(_, mode)| *mode != 0o755).collect::<Vec<_>>(), expected);
    }
}
