//! What stead's own eyes see of a tree that nobody made hostile, against `git status`: trees as the topics of git's own tests
//! make them, looked at after each step.

mod conflicts;
mod files;
mod ignore;
mod names;
mod racy;
mod states;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Place, oracle, succeed};

/// A path and what became of it since the head: `A`, `M` or `D`.
type Seen = BTreeSet<(Vec<u8>, char)>;

/// A workspace of a project, changed step by step.
pub(crate) struct Tree {
    place: Place,
    path: PathBuf,
}

impl Tree {
    /// Makes a project by `script`, which is run in its empty repository, and a workspace of what it has then.
    pub(crate) fn of(script: &str) -> Self {
        let place = Place::new();
        let project = place.path().join("projects/p");
        std::fs::create_dir(&project).expect("directory");
        place.git(&project, ["init", "-q", "-b", "main"]);
        shell(&place, &project, script);
        place.git(&project, ["add", "-A"]);
        place.git(&project, ["commit", "-q", "--allow-empty", "-m", "base"]);
        place.ok(["create", "w", "--from", project.to_str().expect("UTF-8")]);
        let path = place.tree("w");
        let tree = Self { place, path };
        tree.is_seen_as_by_git("at first");
        tree
    }

    /// Runs `script` in the tree as whoever works there would; then stead must see what git sees.
    #[track_caller]
    pub(crate) fn step(&self, script: &str) -> &Self {
        shell(&self.place, &self.path, script);
        self.is_seen_as_by_git(script);
        self
    }

    /// As [`Self::step`], as a run: its own report must be what git sees, too. To begin with nothing may be changed.
    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> &Self {
        assert_eq!(self.by_git(), Seen::new(), "not clean before {script}");
        let script = format!("set -e; {script}");
        let (code, answer) = self.place.json(["exec", "w", "--isolation", "none", "--", "sh", "-c", &script]);
        assert_eq!(code, 0, "{answer}");
        let reported = reported(&answer["changes"]);
        assert_eq!(show(&reported), show(&self.is_seen_as_by_git(&script)), "reported of {script}");
        self
    }

    /// Runs `script` without looking.
    pub(crate) fn quietly(&self, script: &str) -> &Self {
        shell(&self.place, &self.path, script);
        self
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Compares what `diff`, `status` and git say, and returns it.
    #[track_caller]
    fn is_seen_as_by_git(&self, after: &str) -> Seen {
        let expected = self.by_git();
        let output = self.place.stead(["diff", "w", "--dirty", "-z"]).output().expect("stead starts");
        assert!(output.status.success(), "{}", crate::support::describe(&output));
        assert_eq!(show(&listed(&output.stdout)), show(&expected), "after {after}");
        let (code, answer) = self.place.json(["status", "w"]);
        assert_eq!(code, 0, "{answer}");
        let dirty = answer["workspaces"][0]["dirty"].as_u64().expect("a number");
        assert_eq!(dirty, expected.len() as u64, "dirty after {after}: {answer}");
        expected
    }

    /// Returns what git sees, of the index and of the tree, as differences of the tree from the head.
    fn by_git(&self) -> Seen {
        let mut command = oracle::git();
        self.place.isolate(&mut command);
        command.arg("-C").arg(&self.path);
        command.args(["-c", "core.quotePath=false", "status", "--porcelain=v2", "-uall", "--no-renames", "-z"]);
        let output = command.output().expect("git starts");
        assert!(output.status.success(), "{}", crate::support::describe(&output));
        let mut paths: BTreeSet<Vec<u8>> = BTreeSet::new();
        for line in output.stdout.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            // Fields before the path, by the kind of line: git-status(1), "Porcelain Format Version 2".
            let fields = match line[0] {
                b'1' => 8,
                b'u' => 10,
                b'?' => 1,
                _ => panic!("{}", String::from_utf8_lossy(line)),
            };
            let path = line.splitn(fields + 1, |byte| *byte == b' ').nth(fields).expect("a path");
            paths.insert(path.to_owned());
        }
        let head = self.head();
        let paths = paths.into_iter().filter(|path| !path.ends_with(b"/"));
        paths.filter_map(|path| Some((path.clone(), self.difference(&path, head.get(&path))?))).collect()
    }

    /// Returns mode and id of each path in the head.
    fn head(&self) -> BTreeMap<Vec<u8>, String> {
        let list = self.bytes(oracle::git().args(["ls-tree", "-r", "-z", "HEAD"]));
        let entries = list.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).map(|entry| {
            let tab = entry.iter().position(|byte| *byte == b'\t').expect("a tab");
            (entry[tab + 1..].to_owned(), String::from_utf8_lossy(&entry[..tab]).into_owned())
        });
        entries.collect()
    }

    /// Compares one path in the head and in the tree, by git's own hash of it.
    fn difference(&self, path: &[u8], before: Option<&String>) -> Option<char> {
        let name = Path::new(std::ffi::OsStr::from_bytes(path));
        let path = self.path.join(name);
        let is_behind_link = name.ancestors().skip(1).any(|above| self.path.join(above).is_symlink());
        let metadata = path.symlink_metadata().ok().filter(|_| !is_behind_link);
        let after = match (metadata, before) {
            // A submodule, where it is still one.
            (Some(metadata), Some(before)) if metadata.is_dir() && before.starts_with("160000") => Some(before.clone()),
            (Some(metadata), _) if metadata.is_dir() => None,
            (Some(_), None) => return Some('A'),
            (Some(metadata), _) if metadata.is_symlink() => {
                let target = path.read_link().expect("a link");
                Some(format!("120000 blob {}", self.hash(target.as_os_str().as_bytes())))
            }
            (Some(metadata), _) => {
                let mode = if metadata.permissions().mode() & 0o100 != 0 { "100755" } else { "100644" };
                let id = self.bytes(oracle::git().args(["hash-object", "--"]).arg(name));
                Some(format!("{mode} blob {}", String::from_utf8_lossy(&id).trim()))
            }
            (None, _) => None,
        };
        match (before, after) {
            (Some(_), None) => Some('D'),
            (before, after) => (before != after.as_ref()).then_some('M'),
        }
    }

    fn hash(&self, content: &[u8]) -> String {
        let content = std::str::from_utf8(content).expect("links of the tests are UTF-8");
        self.place.git_in(&self.path, ["hash-object", "--stdin", "--no-filters"], content).trim().to_owned()
    }

    fn bytes(&self, command: &mut Command) -> Vec<u8> {
        self.place.isolate(command);
        let output = command.current_dir(&self.path).output().expect("git starts");
        assert!(output.status.success(), "{}", crate::support::describe(&output));
        output.stdout
    }
}

/// Runs a script that must succeed.
fn shell(place: &Place, dir: &Path, script: &str) {
    let mut command = Command::new("sh");
    place.isolate(&mut command);
    succeed(command.args(["-e", "-c", script]).current_dir(dir));
}

/// Reads `diff -z`; a rename is a file that went and one that came.
fn listed(output: &[u8]) -> Seen {
    let mut fields = output.split(|byte| *byte == 0).filter(|field| !field.is_empty());
    let mut seen = Seen::new();
    while let Some(kind) = fields.next() {
        let path = fields.next().expect("a path").to_owned();
        if kind == b"R" {
            seen.insert((path, 'D'));
            seen.insert((fields.next().expect("a second path").to_owned(), 'A'));
        } else {
            seen.insert((path, char::from(kind[0])));
        }
    }
    seen
}

/// Returns whether a change is one of permission bits alone, and of none that git keeps: stead tells more than git there.
fn is_beyond_git(change: &serde_json::Value) -> bool {
    let kept = |key: &str| {
        let mode = u32::from_str_radix(change[key].as_str().unwrap_or("0"), 8).expect("a mode");
        mode & if mode & 0o170_000 == 0o040_000 { 0o170_000 } else { 0o170_100 }
    };
    let lines = ["additions", "deletions"].iter().filter_map(|key| change[key].as_u64()).sum::<u64>();
    change["operation"] == "update"
        && change["old_mode"] != change["mode"]
        && kept("old_mode") == kept("mode")
        && lines == 0
        && change["binary"] == false
}

/// Reads the changes of a JSON answer that git would see as well.
fn reported(changes: &serde_json::Value) -> Seen {
    let mut seen = Seen::new();
    for change in changes.as_array().expect("changes").iter().filter(|change| !is_beyond_git(change)) {
        let path = |key: &str| match change[format!("{key}_base64")].as_str() {
            Some(encoded) => {
                base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).expect("base64")
            }
            None => change[key].as_str().expect("a path").into(),
        };
        match change["operation"].as_str().expect("an operation") {
            "create" => seen.insert((path("path"), 'A')),
            "delete" => seen.insert((path("path"), 'D')),
            "update" => seen.insert((path("path"), 'M')),
            _ => seen.insert((path("old_path"), 'D')) && seen.insert((path("path"), 'A')),
        };
    }
    seen
}

fn show(seen: &Seen) -> Vec<String> {
    seen.iter().map(|(path, kind)| format!("{kind} {}", path.escape_ascii())).collect()
}
