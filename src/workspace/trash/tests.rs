use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::progress::Silent;
use crate::store::lease::Wait;
use crate::workspace::Workspace;
use crate::workspace::tests::{place, plain};

fn name(text: &str) -> WorkspaceName {
    WorkspaceName::parse(text).unwrap()
}

fn restore(at: &UserRoot, name: &WorkspaceName, target: &WorkspaceName) -> Result<restore::Restored> {
    super::restore(at, &find(at, name.as_str())?, target, (10_000, 10_100))
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
    assert!(age.abs() < SignedDuration::from_mins(5), "{age}");
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
    assert!(!entry.purge(at.root(), &Silent).unwrap());
    assert_eq!(Kind::of(&restore(&at, &name("x"), &name("x")).unwrap_err()), Kind::Busy);
    drop(lock);
    assert!(entry.purge(at.root(), &Silent).unwrap());
    assert!(!entry.path.exists());
    assert!(fs::entries(&at.root().staging()).unwrap().is_empty());
}

#[test]
fn an_id_names_one_of_several_and_only_what_its_own_user_removed() {
    let (_dir, at) = place();
    let mut ids = Vec::new();
    for content in ["old", "new"] {
        std::fs::write(plain(&at, "x").tree().join("file"), content).unwrap();
        ids.push(remove(&at, "x"));
    }
    let found = find(&at, "x").unwrap();
    assert_eq!((&found.entry.id, &found.others[..]), (&ids[1], &ids[..1]));
    let found = find(&at, &ids[0]).unwrap();
    drop(super::restore(&at, &found, &found.name, (10_000, 10_100)).unwrap());
    assert_eq!(std::fs::read_to_string(at.tree(&name("x")).join("file")).unwrap(), "old");
    let other = at.root().user(&crate::store::name::UserId::parse("ann").unwrap()).unwrap();
    other.ensure().unwrap();
    assert_eq!(Kind::of(&find(&other, &ids[1]).unwrap_err()), Kind::Refused);
    assert_eq!(Kind::of(&find(&other, "x").unwrap_err()), Kind::NotFound);
    // Also where the reason has been lost or changed: the record says whose it is.
    let stolen = find(&at, &ids[1]).unwrap();
    assert_eq!(Kind::of(&super::restore(&other, &stolen, &name("y"), (1, 2)).unwrap_err()), Kind::Refused);
    assert!(!other.tree(&name("y")).exists());
}

#[test]
fn ports_that_others_have_got_are_replaced_and_an_ephemeral_one_stays() {
    let (_dir, at) = place();
    let mut workspace = plain(&at, "x");
    workspace.record.ports = vec![10_001, 10_002];
    workspace.record.ephemeral = true;
    workspace.record.write(&workspace.state().join(record::FILE)).unwrap();
    remove(&at, "x");
    let mut other = plain(&at, "other");
    other.record.ports = vec![10_002];
    other.record.write(&other.state().join(record::FILE)).unwrap();
    let restored = restore(&at, &name("x"), &name("x")).unwrap();
    let ports = &restored.workspace.record.ports;
    assert!(ports[0] == 10_001 && ports.len() == 2 && !ports.contains(&10_002), "{ports:?}");
    assert_eq!(restored.lost_ports, [10_002]);
    assert!(restored.stays && !restored.workspace.record.ephemeral);
    drop(restored);
    assert!(!Workspace::open(&at, &name("x")).unwrap().record.ephemeral);
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
