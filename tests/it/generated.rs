//! Random edits, done by a run in a workspace and by hand in a clone: what stead says of the one is what git says of the
//! other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Place, succeed, write};

/// A generator of numbers that is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn path(&mut self) -> String {
        let name =
            ["one", "two", "three.txt", "ünï", "with space", "x.bat"][usize::try_from(self.below(6)).expect("small")];
        match self.below(4) {
            0 => name.to_owned(),
            folder => format!("d{folder}/{}{name}", if self.below(3) == 0 { "deep/" } else { "" }),
        }
    }
}

/// Returns a script of edits, each of which is skipped where it cannot be done.
fn edits(random: &mut Random, count: usize) -> String {
    let mut script = "exec 2>/dev/null\nfresh() { rm -rf \"$1\"; mkdir -p \"$(dirname \"$1\")\"; }\n".to_owned();
    for number in 0..count {
        let (path, other) = (random.path(), random.path());
        let edit = match random.below(21) {
            0 | 1 => format!("test -f '{path}' && echo 'line {number}' >> '{path}'"),
            2 | 3 => format!("fresh '{path}'; seq {number} 40 > '{path}'"),
            4 => format!("rm -rf '{path}'"),
            5 => format!("test -f '{path}' && fresh '{other}' && mv '{path}' '{other}'"),
            6 => format!("test -f '{path}' && chmod +x '{path}'"),
            7 => format!("fresh '{path}'; printf 'a\\0b%s' {number} > '{path}'"),
            8 => format!("fresh '{path}'; mkdir -p '{path}'; echo {number} > '{path}/inner'"),
            9 => format!("fresh '{path}'; ln -s '../{other}' '{path}'"),
            10 => format!(
                "test -f '{path}' && touch -r '{path}' .stamp && tr a-z0-8 b-za1-9 < '{path}' > .copy && cat .copy > '{path}' \
                 && touch -r .stamp '{path}'; rm -f .stamp .copy"
            ),
            // git compares whole seconds, and may overlook the edit above right after a checkout.
            11 => "rm -f .git/index; git add -A . ':!nested' && git commit -q -m work".to_owned(),
            12 => format!("mkdir -p build; echo {number} > build/out; echo {number} > 'debug{number}.log'"),
            13 => format!("fresh '{path}'; : > '{path}'"),
            14 => format!("test -d d1 && fresh 'd{number}' && mv d1 'd{number}'"),
            15 => format!("test -f '{path}' && chmod -x '{path}'"),
            // The pointer of a large file gives way to another, and to what it stands for.
            16 => format!("sed -i 's/^size .*/size {number}/' big.bin"),
            17 => format!("printf 'abc{number}' > big.bin"),
            // The ends of lines alone are no change to git, whichever they are.
            18 => "test -f x.bat && tr -d '\\r' < x.bat > .copy && cat .copy > x.bat; rm -f .copy".to_owned(),
            19 => "test -f x.bat && printf 'three\\r\\n' >> x.bat".to_owned(),
            _ => format!("mkdir -p nested; git -C nested init -q; echo {number} > nested/file"),
        };
        writeln!(script, "{edit}").expect("text");
    }
    script + "true\n"
}

fn project(place: &Place, random: &mut Random) -> std::path::PathBuf {
    let project = place.project("p");
    write(&project, ".gitignore", "*.log\n/build/\n");
    write(&project, ".gitattributes", "*.bat text eol=crlf\n*.bin filter=lfs -text\n");
    write(
        &project,
        "big.bin",
        "version https://git-lfs.github.com/spec/v1\n\
         oid sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\nsize 3\n",
    );
    write(&project, "x.bat", "echo one\necho two\n");
    for number in 0..12 {
        let path = random.path();
        if !project.join(&path).exists() {
            write(&project, &path, format!("{number}\nsome\ntext\n"));
        }
    }
    place.git(&project, ["add", "-A"]);
    place.git(&project, ["commit", "-q", "-m", "base"]);
    project
}

/// What a path was and is: mode before, mode and id after.
type Paths = BTreeMap<String, (String, String, String)>;

const NONE: &str = "000000";

/// Returns what stead says of each path, a rename as two.
fn ours(answer: &Value) -> Paths {
    let mut paths = Paths::new();
    let nothing = || (NONE.to_owned(), NONE.to_owned(), "0".repeat(40));
    for change in answer["changes"].as_array().expect("changes") {
        let text = |key: &str| change[key].as_str().unwrap_or(NONE).to_owned();
        let is_rename = change["operation"] == "rename";
        if is_rename {
            paths.entry(text("old_path")).or_insert_with(nothing).0 = text("old_mode");
        }
        let path = paths.entry(text("path")).or_insert_with(nothing);
        if !is_rename {
            path.0 = text("old_mode");
        }
        if change["operation"] != "delete" {
            (path.1, path.2) = (text("mode"), text("id"));
        }
    }
    paths
}

/// Returns the same of git.
fn theirs(place: &Place, dir: &Path, before: &str, after: &str) -> Paths {
    let raw = place.git(dir, ["diff-tree", "-r", "-z", "--no-renames", before, after]);
    let mut fields = raw.split('\0');
    let mut paths = Paths::new();
    while let (Some(head), Some(path)) = (fields.next().filter(|head| !head.is_empty()), fields.next()) {
        let words: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
        paths.insert(path.to_owned(), (words[0].to_owned(), words[1].to_owned(), words[3].to_owned()));
    }
    paths
}

/// Runs git in `dir` with an index that knows what `HEAD` has and nothing of the files.
fn with_fresh_index(place: &Place, dir: &Path, calls: &[&[&str]]) -> String {
    let index = place.path().join("fresh index");
    if index.exists() {
        std::fs::remove_file(&index).expect("the old index");
    }
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args(args).current_dir(dir).env("GIT_INDEX_FILE", &index).env("HOME", place.home());
        succeed(command.env("GIT_CONFIG_NOSYSTEM", "1"))
    };
    git(&["read-tree", "HEAD"]);
    calls.iter().fold(String::new(), |_, args| git(args))
}

/// Returns the tree that git would commit of everything.
fn tree_of(place: &Place, dir: &Path) -> String {
    with_fresh_index(place, dir, &[&["add", "-A", ".", ":!nested"], &["write-tree"]]).trim().to_owned()
}

/// Returns the tree of the bytes as they lie there, converted by nothing.
fn raw_tree_of(place: &Place, dir: &Path) -> String {
    let attributes = dir.join(".git/info/attributes");
    write(dir, ".git/info/attributes", "* -text -eol -filter\n");
    let tree = tree_of(place, dir);
    std::fs::remove_file(attributes).expect("the attributes");
    tree
}

fn check(seed: u64) {
    let place = Place::new();
    let mut random = Random(seed);
    let project = project(&place, &mut random);
    place.ok(["create", "w", "--from", project.to_str().expect("text")]);
    let clone = place.path().join("projects/clone");
    place.git(&place.path().join("projects"), ["clone", "-q", "p", "clone"]);
    let base = place.git(&project, ["rev-parse", "HEAD"]).trim().to_owned();
    let runs = 1 + random.below(2);
    for run in 0..runs {
        let before = raw_tree_of(&place, &clone);
        let script = edits(&mut random, 14);
        write(place.path(), "script", &script);
        let script = place.path().join("script");
        let script = script.to_str().expect("text");
        place.ok(["exec", "w", "--isolation", "none", "--", "sh", script]);
        let mut by_hand = Command::new("sh");
        by_hand.arg(script).current_dir(&clone).env("HOME", place.home()).env("GIT_CONFIG_NOSYSTEM", "1");
        for (name, value) in [("NAME", "A U Thor"), ("EMAIL", "author@example.com")] {
            by_hand.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
        }
        succeed(&mut by_hand);
        let after = tree_of(&place, &clone);

        let (_, since_base) = place.json(["diff", "w"]);
        assert_eq!(ours(&since_base), theirs(&place, &clone, &base, &after), "seed {seed}, run {run}, since base");
        let (_, dirty) = place.json(["diff", "w", "--dirty"]);
        assert_eq!(ours(&dirty), theirs(&place, &clone, "HEAD", &after), "seed {seed}, run {run}, dirty");
        let (_, of_run) = place.json(["diff", "w", "--run", "last"]);
        // A run is compared raw with raw, so that the end of a line alone is a change too.
        let raw = theirs(&place, &clone, &before, &raw_tree_of(&place, &clone));
        assert_eq!(ours(&of_run), raw, "seed {seed}, run {run}, of the run");

        let (_, status) = place.json(["status", "w"]);
        // git's own index would have it that a converted file has changed because its size has.
        let git_status = with_fresh_index(
            &place,
            &clone,
            &[&["status", "--porcelain=v1", "-uall", "--no-renames", "-z", "--", ".", ":!nested"]],
        );
        let different: BTreeSet<&str> =
            git_status.split('\0').filter(|line| line.len() > 3).map(|line| &line[3..]).collect();
        assert_eq!(status["workspaces"][0]["dirty"], different.len(), "seed {seed}, run {run}: {git_status:?}");
        assert_eq!(status["workspaces"][0]["changes"], theirs(&place, &clone, &base, &after).len(), "seed {seed}");

        let nested = clone.join("nested/.git").exists();
        assert_eq!(since_base["nested"].as_array().expect("nested").len(), usize::from(nested), "seed {seed}");

        let patch = place.stead(["-q", "diff", "w", "--patch"]).output().expect("stead").stdout;
        let applied = place.path().join(format!("projects/applied {run}"));
        place.git(&project, ["worktree", "add", "-q", "--detach", applied.to_str().expect("text"), &base]);
        std::fs::write(place.path().join("patch"), patch).expect("the patch");
        let patch = place.path().join("patch");
        if std::fs::metadata(&patch).expect("the patch").len() > 0 {
            place.git(&applied, ["apply", "--index", "--binary", patch.to_str().expect("text")]);
        }
        assert_eq!(place.git(&applied, ["write-tree"]).trim(), after, "seed {seed}, run {run}: the patch");
    }
}

#[test]
fn what_stead_says_of_random_edits_is_what_git_says() {
    for seed in 1..=6 {
        check(seed);
    }
}

#[test]
fn what_stead_says_of_more_random_edits_is_what_git_says() {
    for seed in 100..=105 {
        check(seed);
    }
}
