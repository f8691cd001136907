#![expect(clippy::disallowed_methods, reason = "git is the oracle")]

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::progress::Silent;

mod submodules;

struct Place {
    dir: tempfile::TempDir,
    store: Store,
    limits: config::Capture,
    base: Option<Oid>,
    brought: Vec<PathBuf>,
}

impl Place {
    /// A tree with a few files, committed, and a store that borrows its objects.
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("tree")).expect("a directory");
        let mut place = Self {
            store: Store::create(&dir.path().join("store.git"), Some(&dir.path().join("pool"))).expect("a store"),
            dir,
            limits: config::Capture {
                max_file: 1000,
                max_new: 100_000,
                keep_size: 0,
                disposable: vec!["target".to_owned()],
            },
            base: None,
            brought: Vec::new(),
        };
        place.git(&["init", "-q", "-b", "main", "."]);
        place.write(".gitignore", "*.log\n/build/\n");
        place.write("a.txt", "one\n");
        place.write("src/deep/b.rs", "fn main() {}\n");
        place.write("src/c.sh", "#!/bin/sh\n");
        place.chmod("src/c.sh", 0o755);
        place.write("kept.log", "tracked all the same\n");
        symlink("a.txt", place.tree().join("link")).expect("a link");
        place.git(&["add", "-f", "."]);
        place.git(&["commit", "-q", "-m", "base"]);
        place.git(&["init", "-q", "--bare", "-b", "main", "../pool"]);
        place.git(&["push", "-q", "../pool", "main"]);
        // The pool came after the store: open it again.
        place.store = Store::open(&place.dir.path().join("store.git"), Access::Write).expect("a store");
        place.base = Some(place.git(&["rev-parse", "HEAD"]).parse().expect("an id"));
        place
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.tree().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, content).expect("a file");
    }

    fn chmod(&self, path: &str, mode: u32) {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.tree().join(path), permissions).expect("a mode");
    }

    fn git(&self, args: &[&str]) -> String {
        let output = crate::git::oracle::git()
            .current_dir(self.tree())
            .args(["-c", "user.name=A", "-c", "user.email=a@example.com"])
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .expect("git");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn capture(&self) -> Snapshot {
        self.capture_by(&self.store, 2)
    }

    fn capture_by(&self, store: &Store, threads: usize) -> Snapshot {
        let tree = self.tree();
        let seen = self.dir.path().join("seen");
        let spec = CaptureSpec {
            tree: &tree,
            seen: &seen,
            base: self.base,
            limits: &self.limits,
            excludes: None,
            brought: &self.brought,
            alone: false,
            threads,
        };
        capture(store, &spec, &Silent).expect("a snapshot")
    }

    /// What git would commit of everything that it does not ignore.
    fn oracle(&self) -> Oid {
        self.git(&["add", "-A"]);
        self.git(&["write-tree"]).parse().expect("an id")
    }
}

fn paths<T>(list: &[(Vec<u8>, T)]) -> Vec<String> {
    list.iter().map(|(path, _)| String::from_utf8_lossy(path).into_owned()).collect()
}

#[test]
fn the_files_are_those_that_git_would_commit() {
    let place = Place::new();
    let first = place.capture();
    assert_eq!(first.files, place.oracle());
    place.write("new/file", "x");
    place.write("a.txt", "two\n");
    place.chmod("src/deep/b.rs", 0o755);
    std::fs::remove_file(place.tree().join("src/c.sh")).expect("removed");
    place.write("src/c.sh/now/a/directory", "y");
    place.write("other.log", "ignored");
    place.write("build/out", "ignored");
    let second = place.capture();
    assert_eq!(second.files, place.oracle());
    assert!(second.meta.newly_ignored.is_empty());
    assert_eq!(load(&place.store, second.commit).expect("the snapshot").meta, second.meta);
}

#[test]
fn a_tree_that_is_as_it_was_is_the_same_commit() {
    let place = Place::new();
    let first = place.capture();
    let second = place.capture();
    assert_eq!(first.commit, second.commit);
    let reader = Store::open(place.store.path(), Access::Read).expect("a store");
    for threads in [1, 4] {
        assert_eq!(place.capture_by(&reader, threads).id, first.id);
    }
}

#[test]
fn a_reader_sees_what_is_new_and_writes_nothing() {
    let place = Place::new();
    place.capture();
    place.write("a.txt", "changed\n");
    let reader = Store::open(place.store.path(), Access::Read).expect("a store");
    let seen = std::fs::read(place.dir.path().join("seen")).expect("the cache");
    let looked = place.capture_by(&reader, 1);
    let blob = reader.repository().find_tree(looked.files).expect("the files");
    let blob = blob.get_name("a.txt").expect("a.txt").id();
    assert_eq!(reader.repository().find_blob(blob).expect("a blob").content(), b"changed\n");
    assert_eq!(std::fs::read(place.dir.path().join("seen")).expect("the cache"), seen);
    assert!(place.store.repository().find_tree(looked.id).is_err());
    assert_eq!(place.capture().id, looked.id);
}

#[test]
fn an_edit_of_the_same_size_with_the_old_times_is_seen() {
    let place = Place::new();
    place.capture();
    let path = place.tree().join("a.txt");
    let times = std::fs::metadata(&path).expect("attributes").modified().expect("a time");
    place.write("a.txt", "ONE\n");
    std::fs::File::options().write(true).open(&path).expect("the file").set_modified(times).expect("a time");
    let tree = place.store.repository().find_tree(place.capture().files).expect("the files");
    let blob = place.store.repository().find_blob(tree.get_name("a.txt").expect("a.txt").id()).expect("a blob");
    assert_eq!(blob.content(), b"ONE\n");
}

#[test]
fn what_only_the_live_rules_ignore_is_named_and_the_agents_excludes_count_for_nothing() {
    let place = Place::new();
    place.write(".gitignore", "*.log\n/build/\n/hidden/\nsecret*\ntarget/\n");
    place.write(".git/info/exclude", "*\n");
    place.write("hidden/deep/file", "x");
    place.write("src/secret.txt", "x");
    place.write("target/debug/x", "x");
    place.write("seen.txt", "x");
    for _ in 0..2 {
        let snapshot = place.capture();
        assert_eq!(snapshot.meta.newly_ignored, [b"hidden".to_vec(), b"src/secret.txt".to_vec()]);
        let files = place.store.repository().find_tree(snapshot.files).expect("the files");
        assert!(files.get_name("seen.txt").is_some());
        assert!(files.get_name("hidden").is_none());
    }
}

#[test]
fn what_stead_brought_in_is_recorded_though_ignored() {
    let mut place = Place::new();
    place.write("build/deep/in.txt", "x");
    place.write("build/out.txt", "x");
    place.brought = vec!["build/deep".into()];
    let snapshot = place.capture();
    let files = place.store.repository().find_tree(snapshot.files).expect("the files");
    assert!(files.get_path(Path::new("build/deep/in.txt")).is_ok());
    assert!(files.get_path(Path::new("build/out.txt")).is_err());
}

#[test]
fn what_a_tree_cannot_hold_is_in_the_meta() {
    let place = Place::new();
    place.write("big", [0; 1001]);
    place.write("private", "x");
    place.chmod("private", 0o600);
    place.write(".GIT/config", "x");
    std::fs::create_dir_all(place.tree().join("empty/er")).expect("directories");
    let fifo = place.tree().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, fifo, rustix::fs::Mode::RUSR).expect("a fifo");
    for _ in 0..2 {
        let meta = place.capture().meta;
        assert_eq!(meta.too_large, [(b"big".to_vec(), 1001)]);
        assert_eq!(meta.modes, [(b"private".to_vec(), 0o600)]);
        assert_eq!(meta.empty_dirs, [b"empty/er".to_vec()]);
        assert_eq!(paths(&meta.special), [".GIT", "fifo"]);
    }
}

#[test]
fn what_is_over_the_cap_of_a_capture_is_named() {
    let mut place = Place::new();
    place.limits.max_new = 1500;
    for number in 0..4_u8 {
        place.write(&number.to_string(), [number; 700]);
    }
    let first = place.capture();
    assert_eq!(first.meta.too_large.len(), 2);
    // What was passed by would seem to be new otherwise.
    assert_eq!(place.capture().files, first.files);
    place.store = Store::open(place.store.path(), Access::Write).expect("a store");
    assert_eq!(place.capture().meta.too_large, [], "the next command goes on from there");
}

#[test]
fn one_file_of_many_names_is_read_once() {
    let mut place = Place::new();
    place.limits.max_new = 5000;
    place.write("0", [7; 900]);
    for number in 1..100 {
        std::fs::hard_link(place.tree().join("0"), place.tree().join(number.to_string())).expect("a link");
    }
    assert_eq!(place.capture().meta.too_large, []);
    assert_eq!(place.capture().files, place.oracle());
}

#[test]
fn a_nested_repository_is_a_snapshot_of_its_own() {
    let place = Place::new();
    place.write("sub/inner/file", "x");
    place.write("sub/ignored.log", "x");
    place.git(&["init", "-q", "sub"]);
    place.git(&["init", "-q", "sub/inner/more"]);
    place.write("sub/inner/more/file", "y");
    for _ in 0..2 {
        let snapshot = place.capture();
        let repository = place.store.repository();
        assert!(repository.find_tree(snapshot.files).expect("the files").get_name("sub").is_none());
        assert_eq!(paths(&snapshot.meta.nested), ["sub", "sub/inner/more"]);
        let sub = repository.find_tree(snapshot.meta.nested[0].1).expect("the sub-snapshot");
        assert!(sub.get_path(Path::new("files/inner/file")).is_ok());
        assert!(sub.get_path(Path::new("files/inner/more")).is_err());
        assert!(sub.get_path(Path::new("gitdir/HEAD")).is_ok());
    }
}

#[test]
fn a_repository_put_around_tracked_files_hides_nothing() {
    let place = Place::new();
    let first = place.capture();
    place.write("src/.git", "gitdir: nowhere\n");
    let second = place.capture();
    assert_eq!(second.files, first.files);
    assert!(second.meta.nested.is_empty());
    assert_eq!(paths(&second.meta.special), ["src/.git"]);
}

#[test]
fn a_submodule_stays_the_commit_that_it_is_at() {
    let mut place = Place::new();
    place.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../pool", "mod"]);
    place.git(&["commit", "-q", "-m", "submodule"]);
    place.git(&["push", "-q", "../pool", "main"]);
    place.base = Some(place.git(&["rev-parse", "HEAD"]).parse().expect("an id"));
    assert_eq!(place.capture().files, place.oracle());
    place.git(&["-C", "mod", "commit", "-q", "--allow-empty", "-m", "moved"]);
    let snapshot = place.capture();
    assert_eq!(snapshot.files, place.oracle());
    assert_eq!(paths(&snapshot.meta.nested), ["mod"]);
    std::fs::remove_dir_all(place.tree().join("mod")).expect("removed");
    std::fs::create_dir(place.tree().join("mod")).expect("a directory");
    let files = place.store.repository().find_tree(place.capture().files).expect("the files");
    let base = place.base.and_then(|base| place.store.repository().find_commit(base).ok()).expect("the base");
    let recorded = base.tree().expect("its tree").get_name("mod").expect("the submodule").id();
    assert_eq!(files.get_name("mod").expect("the submodule").id(), recorded);
}

#[test]
fn a_cache_made_from_the_index_saves_reading_the_files() {
    let place = Place::new();
    let index = std::fs::read(place.tree().join(".git/index")).expect("the index");
    let seen = place.dir.path().join("seen");
    seen::prefill(&seen, &index).expect("a cache");
    assert!(Seen::read(&seen).directory(1, b"src").is_some_and(|directory| directory.entries().count() == 1));
    assert_eq!(place.capture().files, place.oracle());
}

#[test]
fn a_tree_deeper_than_the_limit_is_captured_as_far_as_that() {
    let place = Place::new();
    let mut path = place.tree();
    for _ in 0..300 {
        path.push("d");
    }
    std::fs::create_dir_all(&path).expect("directories");
    let meta = place.capture().meta;
    assert_eq!(meta.unreadable.len(), 1);
    assert_eq!(meta.unreadable[0].0.len(), 2 * 257 - 1);
}

#[test]
fn under_another_umask_only_the_odd_modes_are_listed() {
    let place = Place::new();
    for path in [".gitignore", "a.txt", "kept.log"] {
        place.chmod(path, 0o664);
    }
    place.chmod("src/c.sh", 0o775);
    let meta = place.capture().meta;
    assert_eq!(meta.plain, Some((0o664, 0o775)));
    assert_eq!(meta.modes, [(b"src/deep/b.rs".to_vec(), 0o644)]);
}

#[test]
fn ignore_rules_mean_what_they_mean_to_git() {
    let place = Place::new();
    place.write(
        ".gitignore",
        "*.o\n!keep.o\n/top\nonly-dir/\na/**/z\n**/logs\nmid/*/end\n\\!bang\n\\#hash\ntrail   \nsp\\ \n[ab]x\n[!c]y\nq?q\n\
         foo/bar\nfoo/*\n!foo/yes\n/wild*card\ndeep/**\n!deep/not\nCase\n*.{c,h}\nbs\\\\x\n/dir/\n!/dir/kept\n\\*star\n",
    );
    place.write("sub/.gitignore", "!*.o\n/top\n*.txt\n!/in.txt\n");
    place.write("sub/lower/.gitignore", "*\n!.gitignore\n!wanted\n");
    for path in [
        "x.o",
        "keep.o",
        "top",
        "sub/top",
        "sub/x.o",
        "only-dir/f",
        "sub/only-dir",
        "a/z",
        "a/b/z",
        "a/b/c/z/f",
        "z",
        "logs",
        "sub/logs/f",
        "mid/x/end",
        "mid/x/y/end",
        "mid/end",
        "!bang",
        "#hash",
        "trail",
        "trail   ",
        "sp ",
        "sp",
        "ax",
        "cx",
        "cy",
        "dy",
        "qaq",
        "q/q",
        "foo/bar",
        "foo/yes",
        "foo/no",
        "foo/dir/f",
        "wildXcard",
        "wild/x/card",
        "deep/not",
        "deep/x/y",
        "case",
        "Case",
        "m.c",
        "m.{c,h}",
        "bs\\x",
        "dir/kept",
        "dir/x",
        "*star",
        "xstar",
        "sub/in.txt",
        "sub/out.txt",
        "sub/lower/wanted",
        "sub/lower/x",
        "sub/lower/in/wanted",
        "nl\nx.o",
        "nl\nx",
    ] {
        if place.tree().join(path).parent().is_some_and(|parent| !parent.is_file()) {
            place.write(path, "x");
        }
    }
    let snapshot = place.capture();
    let expected = place.oracle();
    if snapshot.files != expected {
        let (ours, theirs) = (snapshot.files.to_string(), expected.to_string());
        place.store.flush().expect("the objects");
        let objects = place.dir.path().join("store.git/objects");
        let link = place.tree().join(".git/objects/info/alternates");
        std::fs::write(link, format!("{}\n", objects.display())).expect("the alternate");
        panic!("{}", place.git(&["diff-tree", "-r", "--name-status", &theirs, &ours]));
    }
}

#[test]
fn a_directory_that_becomes_a_link_is_recorded_as_one() {
    let place = Place::new();
    place.capture();
    let outside = place.dir.path().join("outside");
    std::fs::create_dir(&outside).expect("a directory");
    std::fs::write(outside.join("secret"), "x").expect("a file");
    std::fs::remove_dir_all(place.tree().join("src")).expect("removed");
    symlink(&outside, place.tree().join("src")).expect("a link");
    place.write("b\u{e4}\n\u{1b}[31m", "x");
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    std::fs::write(place.tree().join(odd), "x").expect("a file");
    let snapshot = place.capture();
    assert_eq!(snapshot.files, place.oracle());
    assert!(place.store.repository().find_blob(Oid::hash_object(ObjectType::Blob, b"x").expect("an id")).is_ok());
}

#[test]
fn what_cannot_be_read_is_named_with_the_reason() {
    let place = Place::new();
    place.write("closed/file", "x");
    place.write("locked", "x");
    place.capture();
    place.chmod("closed", 0);
    place.chmod("locked", 0);
    let snapshot = place.capture();
    place.chmod("closed", 0o755);
    // Nothing is closed to root.
    let expected: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["closed", "locked"] };
    assert_eq!(paths(&snapshot.meta.unreadable), expected);
}
