use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::git::repository::Access;

struct Fixture {
    dir: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    /// A directory that holds `files`.
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::create(&dir.path().join("store.git"), None).unwrap());
        let store = Store::open(&dir.path().join("store.git"), Access::Read).unwrap();
        let fixture = Self { dir, store };
        std::fs::create_dir(fixture.path()).unwrap();
        for (path, content) in files {
            fixture.put(path, content);
        }
        fixture
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("target")
    }

    #[expect(clippy::disallowed_methods, reason = "a file of a test")]
    fn put(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn tree(&self, files: &[(&str, &str)]) -> Oid {
        let repository = self.store.repository();
        let mut edits = BTreeMap::new();
        for (path, content) in files {
            let (mode, content) = match content.strip_prefix("->") {
                Some(target) => (LINK, target),
                None => (0o100_644, *content),
            };
            let id = repository.blob(content.as_bytes()).unwrap();
            edits.insert(path.as_bytes().to_vec(), Some(Entry { mode, id }));
        }
        trees::edited(repository, trees::of_commit(repository, None).unwrap(), &edits).unwrap()
    }

    fn plan(&self, base: Oid, theirs: Oid) -> Result<Writing, Vec<Conflict>> {
        let sides = Sides { target: base, ancestor: base, theirs, applied: None };
        plan(&self.store, &Dir::open(&self.path()).unwrap(), &Indexed::default(), sides).unwrap()
    }

    fn moves(&self, writing: &Writing) -> Moves {
        let moves = writing.moves(&self.store, &self.open(), "id").unwrap();
        let kept = moves.keep(&self.store, "kept").unwrap();
        assert_eq!(Moves::load(&self.store, kept, "id").unwrap(), moves);
        moves
    }

    fn open(&self) -> Dir {
        Dir::open(&self.path()).unwrap()
    }

    /// Applies all of it, or takes it back; nothing temporary is there afterwards.
    fn apply(&self, writing: &Writing) -> Result<()> {
        let (moves, dir) = (self.moves(writing), self.open());
        let made = moves.make(&self.store, &dir);
        match &made {
            Ok(()) => moves.settle(&dir).unwrap(),
            Err(_) => assert_eq!(moves.take_back(&self.store, &dir).unwrap(), Vec::<Vec<u8>>::new()),
        }
        assert!(!self.path().join(".stead-tmp-id").exists());
        made
    }

    /// Everything that is there, links as `->TEXT`.
    fn files(&self) -> Vec<(String, String)> {
        let mut files: Vec<_> = walkdir::WalkDir::new(self.path())
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| !entry.file_type().is_dir())
            .map(|entry| {
                let content = if entry.file_type().is_symlink() {
                    format!("->{}", std::fs::read_link(entry.path()).unwrap().display())
                } else {
                    std::fs::read_to_string(entry.path()).unwrap()
                };
                (entry.path().strip_prefix(self.path()).unwrap().display().to_string(), content)
            })
            .collect();
        files.sort();
        files
    }
}

fn owned(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
}

#[test]
fn files_directories_and_links_take_each_others_place() {
    let before = [("a", "file\n"), ("b/c", "file\n"), ("d", "->a"), ("e/f", "x\n")];
    let after = [("a/b", "now a directory\n"), ("b", "now a file\n"), ("d/e", "now a directory\n"), ("e", "->b")];
    let fixture = Fixture::new(&[("a", "file\n"), ("b/c", "file\n"), ("e/f", "x\n")]);
    symlink("a", fixture.path().join("d")).unwrap();
    let writing = fixture.plan(fixture.tree(&before), fixture.tree(&after)).unwrap();
    fixture.apply(&writing).unwrap();
    assert_eq!(fixture.files(), owned(&after));
}

#[test]
fn a_file_that_changed_after_the_plan_undoes_all_of_it() {
    let before = [("a", "1\n"), ("b", "1\n"), ("z", "1\n")];
    let fixture = Fixture::new(&before);
    std::fs::set_permissions(fixture.path().join("a"), PermissionsExt::from_mode(0o640)).unwrap();
    let theirs = fixture.tree(&[("b", "2\n"), ("new/file", "2\n"), ("z", "2\n")]);
    let writing = fixture.plan(fixture.tree(&before), theirs).unwrap();
    fixture.put("z", "mine\n");
    let moves = fixture.moves(&writing);
    let error = moves.make(&fixture.store, &fixture.open()).unwrap_err();
    assert_eq!(moves.take_back(&fixture.store, &fixture.open()).unwrap(), [b"z"]);
    assert_eq!(Kind::of(&error), Kind::Conflict);
    assert!(error.to_string().contains("`z` (changed meanwhile)"), "{error}");
    assert_eq!(fixture.files(), owned(&[("a", "1\n"), ("b", "1\n"), ("z", "mine\n")]));
    let mode = std::fs::metadata(fixture.path().join("a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert!(!fixture.path().join("new").exists());
}

#[test]
fn what_stands_in_the_way_is_a_conflict() {
    let base = [("kept", "x\n")];
    let theirs = [("kept", "x\n"), ("one", "x\n"), ("two/file", "x\n"), ("three", "x\n"), ("four/file", "x\n")];
    let fixture = Fixture::new(&base);
    fixture.put("one/untracked", "mine\n");
    fixture.put("two", "mine\n");
    rustix::fs::mknodat(rustix::fs::CWD, fixture.path().join("three"), FileType::Fifo, 0o600.into(), 0).unwrap();
    symlink("/tmp", fixture.path().join("four")).unwrap();
    let conflicts = fixture.plan(fixture.tree(&base), fixture.tree(&theirs)).unwrap_err();
    let paths: Vec<String> = conflicts.iter().map(|one| String::from_utf8(one.path.clone()).unwrap()).collect();
    assert_eq!(paths, ["four", "one", "three", "two"]);
}

#[test]
fn names_that_git_refuses_are_not_written() {
    let fixture = Fixture::new(&[]);
    let repository = fixture.store.repository();
    let id = repository.blob(b"x").unwrap();
    // libgit2 refuses to make such a tree, a hostile one is written by hand.
    let mut content = b"100644 GIT~1\0".to_vec();
    content.extend_from_slice(id.as_bytes());
    let hostile = repository.odb().unwrap().write(ObjectType::Tree, &content).unwrap();
    let conflicts = fixture.plan(fixture.tree(&[]), hostile).unwrap_err();
    assert_eq!(conflicts, [Conflict::new(b"GIT~1", "git refuses this name")]);
}

#[test]
fn what_is_kept_has_both_sides_of_every_path() {
    let before = [("a", "1\n"), ("b", "1\n"), ("kept", "1\n")];
    let fixture = Fixture::new(&before);
    let theirs = fixture.tree(&[("b", "2\n"), ("kept", "1\n"), ("new", "2\n")]);
    let writing = fixture.plan(fixture.tree(&before), theirs).unwrap();
    let kept = fixture.moves(&writing).keep(&fixture.store, "kept").unwrap();
    let tree = fixture.store.repository().find_commit(kept).unwrap().tree().unwrap();
    let side = |name| tree.get_name(name).unwrap().id();
    assert_eq!(side("before"), fixture.tree(&[("a", "1\n"), ("b", "1\n")]));
    assert_eq!(side("after"), fixture.tree(&[("b", "2\n"), ("new", "2\n")]));
}

#[test]
fn permission_bits_stay_and_the_executable_one_follows() {
    let fixture = Fixture::new(&[("a", "1\n")]);
    std::fs::set_permissions(fixture.path().join("a"), PermissionsExt::from_mode(0o640)).unwrap();
    let writing = fixture.plan(fixture.tree(&[("a", "1\n")]), fixture.tree(&[("a", "2\n")])).unwrap();
    fixture.apply(&writing).unwrap();
    let mode = std::fs::metadata(fixture.path().join("a")).unwrap().permissions().mode();
    assert_eq!((fixture.files(), mode & 0o777), (owned(&[("a", "2\n")]), 0o640));
}

#[test]
fn from_every_point_it_is_taken_back_and_what_somebody_changed_is_left() {
    let before = [("a", "file\n"), ("b/c", "file\n"), ("d", "1\n"), ("e/f", "x\n"), ("z", "1\n")];
    let after = [("a/b", "now a directory\n"), ("b", "now a file\n"), ("d", "2\n"), ("e", "->b"), ("z", "2\n")];
    // With what was there at hand, and without: then it comes from the store.
    for at_hand in [true, false] {
        for edited in [None, Some("d")] {
            let fixture = Fixture::new(&before);
            let writing = fixture.plan(fixture.tree(&before), fixture.tree(&after)).unwrap();
            let (moves, dir) = (fixture.moves(&writing), fixture.open());
            moves.make(&fixture.store, &dir).unwrap();
            if !at_hand {
                dir.remove_all(Path::new(".stead-tmp-id")).unwrap();
            }
            let mut expected = owned(&before);
            if let Some(path) = edited {
                fixture.put(path, "mine\n");
                expected.iter_mut().find(|(known, _)| known == path).unwrap().1 = "mine\n".into();
            }
            let left = moves.take_back(&fixture.store, &dir).unwrap();
            assert_eq!(left.len(), edited.iter().len());
            assert_eq!(fixture.files(), expected);
            // Twice is as good as once.
            assert_eq!(moves.take_back(&fixture.store, &dir).unwrap(), left);
            assert_eq!(fixture.files(), expected);
        }
    }
}

#[test]
fn a_file_that_is_open_for_writing_is_not_replaced() {
    use std::io::Write as _;
    let fixture = Fixture::new(&[("a", "1\n"), ("b", "1\n")]);
    let theirs = fixture.tree(&[("a", "2\n"), ("b", "2\n")]);
    let writing = fixture.plan(fixture.tree(&[("a", "1\n"), ("b", "1\n")]), theirs).unwrap();
    let mut editor = std::fs::OpenOptions::new().append(true).open(fixture.path().join("b")).unwrap();
    let error = fixture.apply(&writing).unwrap_err();
    assert!(error.to_string().contains("`b` (is open for writing in another process)"), "{error}");
    editor.write_all(b"more\n").unwrap();
    assert_eq!(fixture.files(), owned(&[("a", "1\n"), ("b", "1\nmore\n")]));
}
