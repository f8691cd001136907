#![expect(clippy::disallowed_methods, reason = "tests start git and write files")]

use std::io::{Seek as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;

struct Place {
    dir: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(&dir.path().join("store.git"), None).unwrap();
        let place = Self { dir, store };
        std::fs::create_dir(place.tree()).unwrap();
        place.git(&["init", "-q", "-b", "main"]);
        place.commit("a", "one\n");
        place
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    fn git(&self, args: &[&str]) -> String {
        self.git_in(args, "")
    }

    fn git_in(&self, args: &[&str], input: &str) -> String {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(input.as_bytes()).unwrap();
        file.rewind().unwrap();
        let output = crate::git::oracle::git()
            .stdin(file)
            .args(["-C"])
            .arg(self.tree())
            .args(["-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"])
            .args(args)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, path: &str, content: &str) -> Oid {
        std::fs::write(self.tree().join(path), content).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", path]);
        Oid::from_str(&self.git(&["rev-parse", "HEAD"])).unwrap()
    }

    fn import(&self) -> Imported {
        import(&self.store, &Dir::open(&self.tree()).unwrap()).unwrap()
    }

    fn fsck(&self) {
        let output =
            crate::git::oracle::git().arg("-C").arg(self.store.path()).args(["fsck", "--full"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn loose(&self, id: &str) -> PathBuf {
        self.tree().join(".git/objects").join(&id[..2]).join(&id[2..])
    }
}

fn replace(path: &Path, content: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, content).unwrap();
}

#[test]
fn branches_tags_and_stash_entries_come_over_whole() {
    let place = Place::new();
    let second = place.commit("b", "two\n");
    place.git(&["tag", "-a", "-m", "a tag", "v1"]);
    place.git(&["checkout", "-q", "-b", "side", "HEAD~1"]);
    let side = place.commit("c", "three\n");
    std::fs::write(place.tree().join("c"), "stashed\n").unwrap();
    place.git(&["stash"]);
    let imported = place.import();
    assert_eq!(imported.failed, []);
    assert_eq!(imported.refs.head_commit(), Some(side));
    assert!(imported.commits.contains(&second));
    assert_eq!(imported.commits.len(), 3);
    assert_eq!(imported.stashes, imported.refs.stash);
    for tip in imported.refs.tips() {
        assert!(place.store.repository().refname_to_id(&format!("refs/kept/{tip}")).is_ok());
    }
    place.fsck();
    let again = place.import();
    assert_eq!((again.commits, again.stashes), (vec![], vec![]));
}

#[test]
fn what_a_branch_has_too_is_told_although_it_is_part_of_a_stash_entry() {
    let place = Place::new();
    std::fs::write(place.tree().join("a"), "stashed\n").unwrap();
    std::fs::write(place.tree().join("new"), "untracked\n").unwrap();
    place.git(&["stash", "--include-untracked"]);
    place.git(&["branch", "index", "stash@{0}^2"]);
    let imported = place.import();
    assert_eq!((imported.commits.len(), imported.stashes.len()), (2, 1));
    place.git(&["branch", "entry", "stash@{0}"]);
    std::fs::write(place.tree().join("a"), "stashed again\n").unwrap();
    place.git(&["stash"]);
    place.git(&["branch", "-f", "entry", "stash@{0}"]);
    let imported = place.import();
    assert!(imported.commits.contains(&imported.refs.stash[0]), "all that a branch names is told");
    assert_eq!(imported.stashes, []);
    place.fsck();
}

#[test]
fn packs_with_deltas_come_over_whole() {
    let place = Place::new();
    let lines = (0..200).map(|number| format!("line {number} of a file that is long enough to be stored as a delta\n"));
    let text: String = lines.collect();
    for number in 0..40 {
        place.commit("long", &format!("{number}\n{text}"));
    }
    place.git(&["repack", "-q", "-a", "-d", "-f", "--depth=50", "--window=50"]);
    place.git(&["pack-refs", "--all"]);
    let imported = place.import();
    assert_eq!(imported.failed, []);
    assert_eq!(imported.commits.len(), 41);
    assert_eq!(imported.commits[0], imported.refs.head_commit().unwrap());
    place.fsck();
}

#[test]
fn a_reader_imports_into_memory_only() {
    let place = Place::new();
    let store = Store::open(place.store.path(), Access::Read).unwrap();
    let imported = import(&store, &Dir::open(&place.tree()).unwrap()).unwrap();
    let head = imported.refs.head_commit().unwrap();
    assert!(store.repository().find_commit(head).is_ok());
    assert!(Store::open(place.store.path(), Access::Read).unwrap().repository().find_commit(head).is_err());
}

#[test]
fn a_corrupt_object_fails_its_tip_and_no_other() {
    let place = Place::new();
    let good = place.commit("b", "two\n");
    place.git(&["checkout", "-q", "-b", "bad"]);
    let bad = place.commit("c", "three\n");
    let blob = place.git(&["rev-parse", "HEAD:c"]);
    let other = std::fs::read(place.loose(&place.git(&["rev-parse", "HEAD:b"]))).unwrap();
    replace(&place.loose(&blob), &other);
    let imported = place.import();
    assert_eq!(imported.failed, [(bad, format!("object {blob} is corrupt"))]);
    assert_eq!(imported.commits[0], good);
    assert!(place.store.repository().find_commit(bad).is_err());
    place.fsck();
    replace(&place.loose(&blob), b"no zlib");
    assert_eq!(place.import().failed.len(), 1);
}

#[test]
fn objects_behind_links_and_alternates_are_missing() {
    let place = Place::new();
    let objects = place.tree().join(".git/objects");
    let elsewhere = place.dir.path().join("elsewhere");
    std::fs::rename(&objects, &elsewhere).unwrap();
    symlink(&elsewhere, &objects).unwrap();
    let imported = place.import();
    assert_eq!(imported.failed.len(), 1);
    assert!(imported.failed[0].1.ends_with("`objects` is not a directory"), "{:?}", imported.failed);

    std::fs::remove_file(&objects).unwrap();
    std::fs::create_dir_all(objects.join("info")).unwrap();
    std::fs::write(objects.join("info/alternates"), elsewhere.to_str().unwrap()).unwrap();
    let imported = place.import();
    assert!(imported.failed[0].1.ends_with("is missing"), "{:?}", imported.failed);
}

#[test]
fn too_much_is_refused() {
    let place = Place::new();
    place.commit("long", &"x".repeat(10_000));
    let tree = Dir::open(&place.tree()).unwrap();
    let git = tree.dir(Path::new(".git")).unwrap();
    let bounds = Bounds { bytes: 5_000, most: 5_000, ..Bounds::of(Access::Write) };
    let imported = import_from(&place.store, &git, bounds).unwrap();
    assert!(imported.failed[0].1.ends_with("more than 5000 bytes to import"), "{:?}", imported.failed);
}

#[test]
fn a_pack_that_lies_is_refused() {
    let place = Place::new();
    for number in 0..5 {
        place.commit("a", &format!("{number}\n"));
    }
    place.git(&["repack", "-q", "-a", "-d"]);
    let pack = std::fs::read_dir(place.tree().join(".git/objects/pack"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "pack"))
        .unwrap();
    let content = std::fs::read(&pack).unwrap();
    for at in (12..content.len()).step_by(7) {
        let mut broken = content.clone();
        broken[at] ^= 0xff;
        replace(&pack, &broken);
        for (_, reason) in place.import().failed {
            assert!(!reason.is_empty());
        }
    }
    place.fsck();
}

#[test]
fn what_nothing_names_any_more_is_kept_but_not_what_was_fetched() {
    let place = Place::new();
    std::fs::write(place.tree().join("a"), "stashed\n").unwrap();
    place.git(&["stash"]);
    let stash = place.git(&["rev-parse", "stash"]);
    place.git(&["stash", "drop", "-q"]);
    place.git(&["checkout", "-q", "-b", "gone"]);
    let (below, top) = (place.commit("b", "two\n"), place.commit("c", "three\n"));
    place.git(&["checkout", "-q", "main"]);
    place.git(&["branch", "-D", "gone"]);
    let copy = place.git(&["commit-tree", "-m", "fetched", "HEAD^{tree}"]);
    place.git(&["update-ref", "refs/remotes/origin/x", &copy]);
    std::fs::remove_dir_all(place.tree().join(".git/logs")).unwrap();
    // Some of it in a pack, as deltas or not.
    place.git(&["config", "gc.pruneExpire", "never"]);
    place.git(&["gc", "-q"]);
    let imported = place.import();
    assert_eq!(imported.commits.len(), 1, "only what a ref names is told");
    let kept = |id: Oid| place.store.repository().refname_to_id(&format!("refs/kept/{id}")).is_ok();
    assert!(kept(Oid::from_str(&stash).unwrap()) && kept(top));
    assert!(!kept(below) && place.store.repository().find_commit(below).is_ok());
    assert!(place.store.repository().find_commit(Oid::from_str(&copy).unwrap()).is_err());
    place.fsck();
}

#[test]
fn a_history_that_was_fetched_in_part_is_said_to_be() {
    let place = Place::new();
    place.commit("b", "two\n");
    let source = format!("file://{}", place.tree().display());
    let shallow = place.dir.path().join("shallow");
    std::fs::create_dir(&shallow).unwrap();
    let tree = shallow.to_str().unwrap();
    place.git(&["clone", "-q", "--depth=1", &source, tree]);
    let imported = import(&place.store, &Dir::open(&shallow).unwrap()).unwrap();
    let [(tip, reason)] = imported.failed.as_slice() else { panic!("{:?}", imported.failed) };
    assert_eq!(Some(*tip), imported.refs.head_commit());
    assert_eq!(
        *reason,
        format!("the history before {tip} was not fetched (`git fetch --unshallow` in the workspace completes it)")
    );
}

#[test]
fn a_good_copy_in_a_pack_counts_where_the_loose_one_is_bad() {
    for bad in [b"no zlib".as_slice(), &[]] {
        let place = Place::new();
        place.commit("b", "two\n");
        place.git(&["repack", "-q", "-a"]);
        let other = std::fs::read(place.loose(&place.git(&["rev-parse", "HEAD:a"]))).unwrap();
        let blob = place.git(&["rev-parse", "HEAD:b"]);
        replace(&place.loose(&blob), if bad.is_empty() { &other } else { bad });
        assert_eq!(place.import().failed, []);
        place.fsck();
    }
}

#[test]
fn all_imports_of_a_command_share_one_allowance() {
    let place = Place::new();
    let tree = Dir::open(&place.tree()).unwrap();
    let git = tree.dir(Path::new(".git")).unwrap();
    let bounds = Bounds { bytes: 5_000, most: 5_000, ..Bounds::of(Access::Write) };
    place.commit("one", &"1".repeat(3_000));
    assert_eq!(import_from(&place.store, &git, bounds).unwrap().failed, []);
    place.commit("two", &"2".repeat(3_000));
    let failed = import_from(&place.store, &git, bounds).unwrap().failed;
    assert!(failed[0].1.ends_with("more than 5000 bytes to import"), "{failed:?}");
    let next = Store::open(place.store.path(), Access::Write).unwrap();
    assert_eq!(import_from(&next, &git, bounds).unwrap().failed, []);
}

#[test]
fn what_takes_too_long_is_refused() {
    let place = Place::new();
    let tree = Dir::open(&place.tree()).unwrap();
    let git = tree.dir(Path::new(".git")).unwrap();
    let none = Duration::ZERO;
    let bounds = Bounds { time: none, longest: none, ..Bounds::of(Access::Write) };
    let failed = import_from(&place.store, &git, bounds).unwrap().failed;
    assert!(failed[0].1.ends_with("it took too long to read"), "{failed:?}");
}

#[test]
fn a_mode_is_made_of_digits() {
    let id = [1; 20];
    for (mode, is_tree) in
        [("100644", true), ("40000", true), ("+100644", false), ("-1", false), ("", false), ("9", false)]
    {
        assert_eq!(tree(&[mode.as_bytes(), b" f\0", &id].concat()).is_some(), is_tree, "{mode}");
    }
}

#[test]
fn small_trees_that_are_endless_when_spread_out_are_refused() {
    const REASON: &str = "more than 2000000 files in one tree";
    let place = Place::new();
    let ten_of = |mode: &str, id: Oid| {
        let lines: Vec<String> = (0..10).map(|number| format!("{mode} {id}\t{number}\n")).collect();
        Oid::from_str(&place.git_in(&["mktree"], &lines.concat())).unwrap()
    };
    let commit = |tree: Oid, branch: &str| {
        let commit = place.git(&["commit-tree", "-m", "x", &tree.to_string()]);
        place.git(&["update-ref", &format!("refs/heads/{branch}"), &commit]);
        Oid::from_str(&commit).unwrap()
    };
    let blob = Oid::from_str(&place.git(&["rev-parse", "HEAD:a"])).unwrap();
    let million = (0..5).fold(ten_of("100644 blob", blob), |tree, _| ten_of("040000 tree", tree));
    commit(million, "large");
    assert_eq!(place.import().failed, []);
    // Once with a part that is in the store by now, and once all anew.
    let endless = commit(ten_of("040000 tree", million), "endless");
    assert_eq!(place.import().failed, [(endless, REASON.to_owned())]);
    let store = Store::create(&place.dir.path().join("other.git"), None).unwrap();
    assert_eq!(Place { store, ..place }.import().failed, [(endless, REASON.to_owned())]);
}
