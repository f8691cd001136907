//! Files without end, directories without bottom, and what must not be read.

use std::os::unix::fs::PermissionsExt;

use rustix::fs::{Mode, OFlags};

use crate::support::{Place, write};

#[test]
fn files_that_are_too_large_are_named_and_count_as_work() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    for (name, size) in [("sparse", 60_u64 << 30), ("large", 3 << 30)] {
        std::fs::File::create(tree.join(name)).and_then(|file| file.set_len(size)).expect("a file");
    }
    for args in [vec!["status", "x"], vec!["sync", "x", "--to", project.to_str().expect("text"), "-n"]] {
        place.ok(args);
    }
    let text = place.ok(["diff", "x"]);
    assert!(text.contains("not recorded sparse (") && text.contains("not recorded large ("), "{text}");
    place.tamed("true");
    let text = place.ok(["gc", "--all"]);
    assert!(text.contains("Kept `x`") && text.contains("2 files too large to look at"), "{text}");
    assert_eq!(tree.join("sparse").metadata().expect("the file").len(), 60 << 30);
}

#[test]
fn files_that_nobody_has_written_are_not_read() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    for number in 0..50 {
        let file = std::fs::File::create(tree.join(format!("sparse{number}"))).expect("a file");
        file.set_len(99_000_000).expect("a size");
    }
    write(&tree, "small", "work");
    let (code, answer) = place.json(["diff", "x"]);
    let is_read = |change: &&serde_json::Value| change["id"].is_string();
    assert_eq!(answer["changes"].as_array().expect("changes").iter().filter(is_read).count(), 1, "{answer}");
    assert_eq!((code, answer["unrecorded"].as_array().expect("a list").len()), (0, 50), "{answer}");
    let text = place.ok(["diff", "x"]);
    assert!(text.contains("create small"), "{text}");
    assert_eq!(text.matches("not recorded sparse").count(), 10, "{text}");
    assert!(text.contains("not recorded 40 more in the top (too large: 99.0 MB)"), "{text}");
    place.tamed("true");
    place.ok(["status", "x"]);
    place.ok(["sync", "x", "--to", project.to_str().expect("text")]);
    let text = place.ok(["gc", "--all"]);
    assert!(text.contains("Kept `x`") && text.contains("50 files too large to look at"), "{text}");
}

#[test]
fn directories_without_bottom_are_named_and_can_be_removed() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let mut at = rustix::fs::open(place.tree("x"), OFlags::DIRECTORY, Mode::empty()).expect("the tree");
    for _ in 0..5000 {
        rustix::fs::mkdirat(&at, "d", Mode::RWXU).expect("a directory");
        at = rustix::fs::openat(&at, "d", OFlags::DIRECTORY, Mode::empty()).expect("the directory");
    }
    drop(at);
    write(&place.tree("x"), "beside", "work");
    let text = place.ok(["diff", "x"]);
    assert!(text.contains("create beside") && text.contains("deeper than 256 directories"), "{text}");
    place.ok(["status", "x"]);
    assert!(place.ok(["gc", "--all"]).contains("Kept `x`"));
    place.ok(["rm", "-f", "x"]);
    place.ok(["gc", "--purge", "--yes"]);
    assert_eq!(std::fs::read_dir(place.root().join("trash")).expect("the trash").count(), 0);
}

#[test]
fn a_directory_that_nobody_may_enter_is_seen_or_named() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    write(&tree, "closed/file", "work");
    write(&tree, "open", "work");
    std::fs::set_permissions(tree.join("closed"), PermissionsExt::from_mode(0o000)).expect("a mode");
    let text = place.ok(["diff", "x"]);
    // The superuser may enter it.
    let is_named = text.contains("create closed/file") || text.contains("not recorded closed (permission denied)");
    assert!(is_named && text.contains("create open"), "{text}");
    assert!(place.ok(["gc", "--all"]).contains("Kept `x`"));
    place.ok(["rm", "-f", "x"]);
    place.ok(["gc", "--purge", "--yes"]);
}

#[test]
fn a_tree_that_a_run_closes_is_opened_before_it_is_looked_at() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    let said = place.tamed("echo work > new && git commit -q --allow-empty -m new && chmod 000 .git . ");
    assert!(said.contains("create new") && said.contains("1 new commit"), "{said}");
    for path in [&tree, &tree.join(".git")] {
        // The superuser may enter it all the same.
        let mode = path.metadata().expect("attributes").permissions().mode();
        assert_eq!(mode & 0o700, 0o700, "{}: {mode:o}", path.display());
    }
    place.ok(["undo", "x"]);
    assert!(!tree.join("new").exists());
}
