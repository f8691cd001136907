use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::progress::Silent;
use crate::workspace::tests::{place, plain};

fn name(text: &str) -> WorkspaceName {
    WorkspaceName::parse(text).unwrap()
}

fn remove(at: &UserRoot, text: &str) -> String {
    let leased = Workspace::open(at, &name(text)).unwrap().lease("rm", Wait::No).unwrap();
    RemovalPlan::of(leased, "rm", "removed by hand", Vec::new()).apply().unwrap()
}

#[test]
fn what_is_removed_comes_back_whole() {
    let (_dir, at) = place();
    plain(&at, "x");
    let id = remove(&at, "x");
    for path in [at.tree(&name("x")), at.state(&name("x")), at.homes(&name("x"))] {
        assert!(!path.exists(), "{}", path.display());
    }
    let [entry] = &entries(at.root()).unwrap()[..] else { panic!("one entry") };
    assert_eq!((&entry.id, &entry.why.as_ref().unwrap().name), (&id, &"x".to_owned()));
    let restored = restore(&at, &name("x"), &name("x")).unwrap();
    assert!(restored.workspace.record.last_used > "2026-02-01T00:00:00Z".parse().unwrap());
    drop(restored);
    let workspace = Workspace::open(&at, &name("x")).unwrap();
    assert_eq!(std::fs::read_to_string(workspace.tree().join("file")).unwrap(), "x");
    assert!(at.homes(&name("x")).join("home").exists());
    assert!(entries(at.root()).unwrap().is_empty());
    assert_eq!(fs::entries(&at.root().staging()).unwrap().len(), 0);
}

#[test]
fn the_latest_of_a_name_comes_back_first_and_a_taken_name_is_refused() {
    let (_dir, at) = place();
    for content in ["old", "new"] {
        std::fs::write(plain(&at, "x").tree().join("file"), content).unwrap();
        remove(&at, "x");
    }
    plain(&at, "X");
    assert_eq!(Kind::of(&restore(&at, &name("x"), &name("x")).unwrap_err()), Kind::Exists);
    for (target, content) in [("y", "new"), ("z", "old")] {
        let restored = restore(&at, &name("x"), &name(target)).unwrap();
        assert_eq!(restored.workspace.record.name, target);
        drop(restored);
        let tree = Workspace::open(&at, &name(target)).unwrap().tree();
        assert_eq!(std::fs::read_to_string(tree.join("file")).unwrap(), content);
    }
    let error = restore(&at, &name("x"), &name("q")).unwrap_err();
    assert_eq!(Kind::of(&error), Kind::NotFound);
    assert_eq!(Failure::of(&error).unwrap().hint.as_deref(), Some("the trash is empty"));
}

#[test]
fn a_removal_that_was_cut_off_is_finished_into_the_same_entry() {
    let (_dir, at) = place();
    let workspace = plain(&at, "x");
    remove(&at, "x");
    let entry = entries(at.root()).unwrap().remove(0);
    std::fs::rename(entry.path.join("tree"), workspace.tree()).unwrap();
    std::fs::rename(entry.path.join("homes"), workspace.state().with_file_name("aside")).unwrap();
    std::fs::rename(workspace.state().with_file_name("aside"), at.homes(&name("x"))).unwrap();
    let lease = Lease::try_acquire(&at.lock(&name("x")), "gc").unwrap().unwrap();
    let plan = RemovalPlan::of_half(&at, &name("x"), lease, "gc").unwrap().unwrap();
    assert_eq!(plan.apply().unwrap(), entry.id);
    drop(restore(&at, &name("x"), &name("x")).unwrap());
    assert!(Workspace::open(&at, &name("x")).unwrap().tree().join("file").exists());
}

#[test]
fn an_entry_without_a_reason_is_known_by_its_record_and_counts_as_unsaved() {
    let (_dir, at) = place();
    plain(&at, "x");
    let id = remove(&at, "x");
    std::fs::remove_file(at.root().trash().join(id).join(WHY)).unwrap();
    let entry = entries(at.root()).unwrap().remove(0);
    assert!(!entry.is_safe());
    let age = Timestamp::now().duration_since(entry.why.unwrap().removed);
    assert!(age.abs() < jiff::SignedDuration::from_mins(5), "{age}");
    drop(restore(&at, &name("x"), &name("x")).unwrap());
    assert!(Workspace::open(&at, &name("x")).unwrap().tree().join("file").exists());
}

#[test]
fn a_restore_that_was_cut_off_is_finished_by_the_next_one() {
    let (_dir, at) = place();
    plain(&at, "x");
    remove(&at, "x");
    let mut entry = entries(at.root()).unwrap().remove(0);
    let why = entry.why.as_mut().unwrap();
    why.restoring_as = Some("y".into());
    why.write(&entry.path.join(WHY)).unwrap();
    std::fs::rename(entry.path.join("tree"), at.tree(&name("y"))).unwrap();
    drop(restore(&at, &name("x"), &name("y")).unwrap());
    assert!(Workspace::open(&at, &name("y")).unwrap().tree().join("file").exists());
}

#[test]
fn a_tree_that_nothing_is_known_of_goes_to_the_trash_as_unsaved() {
    let (_dir, at) = place();
    std::fs::create_dir(at.tree(&name("half"))).unwrap();
    let lease = Lease::try_acquire(&at.lock(&name("half")), "gc").unwrap().unwrap();
    RemovalPlan::of_half(&at, &name("half"), lease, "gc").unwrap().unwrap().apply().unwrap();
    let entry = entries(at.root()).unwrap().remove(0);
    assert!(!entry.why.as_ref().unwrap().unsaved.is_empty());
    assert!(!entry.has_record() && !entry.is_spent());
    let whole = plain(&at, "whole");
    let lease = Lease::try_acquire(&at.lock(whole.name()), "gc").unwrap().unwrap();
    assert!(RemovalPlan::of_half(&at, whole.name(), lease, "gc").unwrap().is_none());
}

#[test]
fn purging_is_the_end_and_waits_for_nobody() {
    let (_dir, at) = place();
    plain(&at, "x");
    remove(&at, "x");
    let entry = entries(at.root()).unwrap().remove(0);
    assert!(!entry.remove_spent().unwrap());
    let lock = DirectoryLock::try_take(&entry.path).unwrap().unwrap();
    assert!(!entry.purge(&Silent).unwrap());
    assert_eq!(Kind::of(&restore(&at, &name("x"), &name("x")).unwrap_err()), Kind::Busy);
    drop(lock);
    assert!(entry.purge(&Silent).unwrap());
    assert!(!entry.path.exists());
}

#[test]
fn a_tree_without_permissions_is_moved_and_keeps_its_mode() {
    let (_dir, at) = place();
    let tree = plain(&at, "x").tree();
    std::fs::set_permissions(&tree, std::fs::Permissions::from_mode(0o000)).unwrap();
    remove(&at, "x");
    let moved = entries(at.root()).unwrap().remove(0).path.join("tree");
    assert_eq!(std::fs::metadata(&moved).unwrap().permissions().mode() & 0o777, 0o000);
    std::fs::set_permissions(&moved, std::fs::Permissions::from_mode(0o755)).unwrap();
}
