#![expect(clippy::disallowed_methods, reason = "git is the oracle")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::*;
use crate::git::repository::Access;

/// A repository of git's own, and a store that borrows its objects.
struct Place {
    dir: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::create(&dir.path().join("store.git"), Some(&dir.path().join("tree/.git"))).expect("a store");
        std::fs::create_dir(dir.path().join("tree")).expect("a directory");
        let mut place = Self { dir, store };
        place.git(&["init", "-q", "."], b"");
        place.store = Store::open(&place.dir.path().join("store.git"), Access::Read).expect("a store");
        place
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    fn git(&self, args: &[&str], input: &[u8]) -> String {
        let mut child = crate::git::oracle::git()
            .current_dir(self.tree())
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("git");
        child.stdin.take().expect("its input").write_all(input).expect("the input");
        let output = child.wait_with_output().expect("git");
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.tree().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, content).expect("a file");
    }

    fn remove(&self, path: &str) {
        let path = self.tree().join(path);
        if path.is_dir() {
            std::fs::remove_dir_all(path).expect("removed");
        } else {
            std::fs::remove_file(path).expect("removed");
        }
    }

    fn run(&self, program: &str, args: &[&str]) {
        let status = Command::new(program).current_dir(self.tree()).args(args).status().expect("a program");
        assert!(status.success());
    }

    fn written(&self) -> Oid {
        self.git(&["add", "-A"], b"");
        self.git(&["write-tree"], b"").parse().expect("an id")
    }
}

fn first(place: &Place) -> Oid {
    for number in 0..12 {
        place.write(
            &format!("dir{}/file{number}.txt", number % 3),
            format!("{number}\nsome\nlines\nof\ntext\n").repeat(4),
        );
    }
    place.write("binary", (0..=255_u8).cycle().take(5000).collect::<Vec<_>>());
    place.write("empty", "");
    place.write("no newline", "end");
    place.write("name\twith \"odd\" bytes\n", "x\n");
    place.write("becomes/a/file", "x\n");
    place.write("becomes-dir", "x\n");
    place.write("becomes-link", "x\n");
    place.run("ln", &["-s", "empty", "link"]);
    place.written()
}

fn second(place: &Place) -> Oid {
    place.write("dir0/file0.txt", "0\nother\n");
    place.write("dir1/crlf.txt", "a\r\nb\r\n");
    place.remove("dir1/file1.txt");
    place.run("mv", &["dir2/file2.txt", "moved.txt"]);
    place.run("chmod", &["+x", "dir0/file3.txt"]);
    place.write("binary", (0..=255_u8).rev().cycle().take(5100).collect::<Vec<_>>());
    place.write("empty too", "");
    place.write("no newline", "end\nmore");
    place.write("name\twith \"odd\" bytes\n", "y\n");
    place.remove("becomes");
    place.write("becomes", "a file\n");
    place.remove("becomes-dir");
    place.write("becomes-dir/now", "x\n");
    place.remove("becomes-link");
    place.run("ln", &["-s", "dir0", "becomes-link"]);
    place.remove("link");
    place.run("ln", &["-s", "binary", "link"]);
    place.written()
}

/// Returns the changes as stead and as git name them, sorted.
fn named(place: &Place, before: Oid, after: Oid) -> (Vec<String>, Vec<String>) {
    let changes = between_trees(&place.store, Some(before), Some(after)).expect("changes");
    let mut ours = Vec::new();
    for change in &changes {
        let (letter, from) = match change.kind {
            ChangeKind::Create => ("A", None),
            ChangeKind::Delete => ("D", None),
            ChangeKind::Rename => ("R", change.old_path.clone()),
            ChangeKind::Update => ("M", None),
        };
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        ours.push(format!(
            "{:06o} {:06o} {letter} {}{}",
            change.old_mode.unwrap_or(0),
            change.mode.unwrap_or(0),
            from.map(|from| format!("{} -> ", text(&from))).unwrap_or_default(),
            text(&change.path)
        ));
    }
    let raw = place.git(&["diff-tree", "-r", "-z", "-M", &before.to_string(), &after.to_string()], b"");
    let mut fields = raw.split('\0');
    let mut theirs = Vec::new();
    while let (Some(head), Some(path)) = (fields.next().filter(|head| !head.is_empty()), fields.next()) {
        let words: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
        let letter = &words[4][..1].replace('T', "M");
        let path =
            if letter == "R" { format!("{path} -> {}", fields.next().expect("a path")) } else { path.to_owned() };
        theirs.push(format!("{} {} {letter} {path}", words[0], words[1]));
    }
    ours.sort();
    theirs.sort();
    (ours, theirs)
}

#[test]
fn changes_are_those_that_git_names() {
    let place = Place::new();
    let (before, after) = (first(&place), second(&place));
    let (ours, theirs) = named(&place, before, after);
    assert_eq!(ours, theirs);
    let changes = between_trees(&place.store, Some(before), Some(after)).expect("changes");
    let stat = place.git(&["diff-tree", "-r", "-M", "--numstat", &before.to_string(), &after.to_string()], b"");
    let (mut additions, mut deletions, mut binary) = (0, 0, 0);
    for line in stat.lines() {
        let mut words = line.split('\t');
        match (words.next().expect("a count"), words.next().expect("a count")) {
            ("-", "-") => binary += 1,
            (added, deleted) => {
                additions += added.parse::<u64>().expect("a number");
                deletions += deleted.parse::<u64>().expect("a number");
            }
        }
    }
    assert_eq!(changes.iter().map(|change| change.additions).sum::<u64>(), additions);
    assert_eq!(changes.iter().map(|change| change.deletions).sum::<u64>(), deletions);
    assert_eq!(changes.iter().filter(|change| change.binary).count(), binary);
}

#[test]
fn lines_of_many_files_are_counted_as_git_counts_them_wherever_their_contents_are() {
    let place = Place::new();
    let nul_at = |at: usize| {
        let mut content = b"a line\n".repeat(2000);
        content[at] = 0;
        content
    };
    for number in 0..150_usize {
        place.write(&format!("changed/{number}"), format!("{number}\n").repeat(number % 7));
        place.write(&format!("deleted/{number}"), "x\n".repeat(number + 1));
    }
    place.write("text at first", nul_at(8000));
    place.write("becomes-link", nul_at(8000));
    let before = place.written();
    place.remove("deleted");
    place.remove("becomes-link");
    place.run("ln", &["-s", "text at first", "becomes-link"]);
    for number in 0..150_usize {
        place.write(&format!("changed/{number}"), format!("{number}\nmore\n").repeat(number % 5) + "end");
        place.write(&format!("created/{number}"), format!("new {number}\n").repeat(number % 3));
    }
    place.write("text at first", nul_at(8001));
    place.write("binary", nul_at(7999));
    place.write("large", vec![b'\n'; 17 << 20]);
    let after = place.written();
    let numbers = || {
        let changes = between_trees(&place.store, Some(before), Some(after)).expect("changes");
        let number = |change: &Change, number: u64| if change.binary { "-".to_owned() } else { number.to_string() };
        let of = |change: &Change| (number(change, change.additions), number(change, change.deletions));
        let path = |change: &Change| String::from_utf8(change.path.clone()).expect("UTF-8");
        changes.iter().map(|change| (path(change), of(change))).collect::<Vec<_>>()
    };
    let (before, after) = (before.to_string(), after.to_string());
    let ends = ["-c", "core.bigFileThreshold=16m", "diff-tree", "-r", "--no-renames", "--numstat", &before, &after];
    let stat = place.git(&ends, b"");
    let mut words = stat.lines().map(|line| line.splitn(3, '\t').map(str::to_owned).collect::<Vec<_>>());
    let theirs: Vec<_> = words.by_ref().map(|line| (line[2].clone(), (line[0].clone(), line[1].clone()))).collect();
    // Loose files, which libgit2 reads; then packs, half of it first.
    assert_eq!(numbers(), theirs);
    let there = theirs.iter().filter(|(path, _)| !path.starts_with("deleted/")).step_by(2);
    let half: String = there.map(|(path, _)| place.git(&["rev-parse", &format!(":{path}")], b"") + "\n").collect();
    let _name = place.git(&["pack-objects", "-q", ".git/objects/pack/pack"], half.as_bytes());
    assert_eq!(numbers(), theirs);
    place.git(&["repack", "-q", "-a", "-d", "-k"], b"");
    assert_eq!(numbers(), theirs);
}

#[test]
fn renames_are_those_that_git_finds() {
    const WORDS: [&str; 8] = ["a\n", "bb bb\n", "\n", "ccc\r\n", "dddd", "a long line of its own\n", "\0", "e\n"];
    let place = Place::new();
    place.write("guide.md", "one\ntwo\nthree\n");
    place.write("kept", "x\n");
    let before = place.written();
    place.remove("guide.md");
    place.write("hello.txt", "hello\n");
    let after = place.written();
    let (ours, theirs) = named(&place, before, after);
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 2);
    place.write("random/there", "");
    // Files of a few words, so that many are alike to some degree, under names that are alike too.
    let mut number: u32 = 7;
    let mut random = move |below: u32| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (number >> 8) % below
    };
    for _ in 0..30 {
        let mut tree = || {
            place.remove("random");
            place.write("random/there", "");
            for _ in 0..random(9) {
                let path = format!("random/{}/{}", random(3), ["a", "b", "c.txt"][random(3) as usize]);
                let mut content = String::new();
                for _ in 0..random(8) {
                    content.push_str(&WORDS[random(8) as usize].repeat(random(30) as usize));
                }
                place.write(&path, content);
            }
            place.written()
        };
        let (before, after) = (tree(), tree());
        let (ours, theirs) = named(&place, before, after);
        assert_eq!(ours, theirs, "{before} {after}");
    }
}

#[test]
fn a_patch_applies_with_git_both_ways() {
    let place = Place::new();
    let (before, after) = (first(&place), second(&place));
    for (from, to) in [(before, after), (after, before)] {
        let patch = patch(&place.store, Some(from), Some(to)).expect("a patch");
        place.git(&["read-tree", "-u", "--reset", &from.to_string()], b"");
        place.git(&["apply", "--index", "--binary", "-"], &patch);
        assert_eq!(place.git(&["write-tree"], b""), to.to_string());
    }
}

#[test]
fn a_patch_from_nothing_makes_everything() {
    let place = Place::new();
    let tree = first(&place);
    let patch = patch(&place.store, None, Some(tree)).expect("a patch");
    place.git(&["rm", "-q", "-r", "-f", "."], b"");
    place.git(&["apply", "--index", "-"], &patch);
    assert_eq!(place.git(&["write-tree"], b""), tree.to_string());
}

#[test]
fn an_unread_file_is_not_deleted_and_a_large_one_is_named() {
    let place = Place::new();
    let before = first(&place);
    place.remove("binary");
    place.remove("dir0");
    let after = place.written();
    let snapshot = |files, meta| Snapshot { commit: files, id: files, files, meta, ignored: Vec::new() };
    let meta = Meta {
        too_large: vec![(b"binary".to_vec(), 9), (b"new".to_vec(), 9)],
        unreadable: vec![(b"dir0".to_vec(), "permission denied".to_owned())],
        modes: vec![(b"empty".to_vec(), 0o600)],
        ..Meta::default()
    };
    let changes = between(&place.store, &snapshot(before, Meta::default()), &snapshot(after, meta)).expect("changes");
    let named: Vec<_> = changes.iter().map(|change| (change.path.as_slice(), change.kind, change.mode)).collect();
    assert_eq!(
        named,
        [
            (&b"binary"[..], ChangeKind::Update, None),
            (b"empty", ChangeKind::Update, Some(0o100_600)),
            (b"new", ChangeKind::Create, None),
        ]
    );
}

#[test]
fn permission_bits_that_most_have_are_compared_too() {
    let place = Place::new();
    let files = first(&place);
    place.remove("becomes");
    place.write("dir9/file", "x\n");
    let later = place.written();
    let snapshot = |files: Oid, meta| {
        let root = place.git(&["mktree"], format!("040000 tree {files}\tfiles\n").as_bytes());
        Snapshot { commit: files, id: root.parse().expect("an id"), files, meta, ignored: Vec::new() }
    };
    let told = |before: &Snapshot, after: &Snapshot| {
        let changes = between(&place.store, before, after).expect("changes").into_iter();
        let modes = changes.filter(|change| change.kind == ChangeKind::Update);
        modes.map(|change| (String::from_utf8(change.path).expect("UTF-8"), change.old_mode, change.mode)).collect()
    };
    let (plain, dir_modes) = (Some((0o600, 0o700)), vec![(b"dir2".to_vec(), 0o755)]);
    let meta = Meta { plain, plain_dir: Some(0o700), dir_modes, ..Meta::default() };
    let before = snapshot(files, Meta { plain_dir: Some(0o755), ..Meta::default() });
    let all: Vec<(String, Option<u32>, Option<u32>)> = told(&before, &snapshot(later, meta.clone()));
    let of = |bits: u32| all.iter().filter(move |(_, _, mode)| *mode == Some(bits)).map(|(path, ..)| path.as_str());
    assert_eq!(of(0o100_600).filter(|path| path.starts_with("dir")).count(), 12);
    assert_eq!(of(0o040_700).collect::<Vec<_>>(), [".", "dir0", "dir1"], "what is gone, new or as it was is not told");
    // Each listed alone.
    let one = |mode| Meta { plain_dir: Some(0o755), dir_modes: vec![(b"dir1".to_vec(), mode)], ..Meta::default() };
    assert_eq!(
        told(&snapshot(files, one(0o1777)), &snapshot(files, one(0o700))),
        [("dir1".to_owned(), Some(0o041_777), Some(0o040_700))]
    );
    // A snapshot that does not know them.
    let unknown: Vec<_> = told(&snapshot(files, Meta::default()), &snapshot(files, Meta { plain: None, ..meta }));
    assert_eq!(unknown, []);
}

#[test]
fn content_is_text_or_base64_up_to_a_cap() {
    let place = Place::new();
    let tree = first(&place);
    let changes = between_trees(&place.store, None, Some(tree)).expect("changes");
    let find = |path: &str| changes.iter().find(|change| change.path == path.as_bytes()).expect("a change");
    let read = |path: &str, cap| content(&place.store, find(path), cap).expect("an answer").expect("content");
    assert_eq!(read("no newline", 10).content.as_deref(), Some("end"));
    assert_eq!(read("no newline", 2).content, None);
    assert_eq!((read("binary", 10_000).encoding, read("binary", 10_000).size), ("base64", 5000));
}
