//! Names that mean something to a terminal, to an option parser or to git.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::support::{Place, write};

fn create(dir: &Path, name: &[u8]) -> PathBuf {
    let path = dir.join(OsStr::from_bytes(name));
    std::fs::File::create(&path).expect("a file");
    path
}

/// Names that some file system takes for `.git`.
const RESERVED: [&str; 5] = [".GIT", "GIT~1", ".git ", ".g\u{200c}it", ".git::$INDEX_ALLOCATION"];

#[test]
fn names_reach_a_terminal_quoted_a_program_whole_and_json_as_text() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    let names: [&[u8]; 6] = [b"new\nline", b"\x1b[31mred", b"\xc2\x9bcontrol", b"\xe2\x80\xaeold", b"\xff\xfe", b"-rf"];
    for name in names {
        create(&tree, name);
    }
    for args in [vec!["diff", "x"], vec!["diff", "x", "--stat"], vec!["diff", "x", "--patch"]] {
        let text = place.stead(&args).output().expect("stead starts").stdout;
        for byte in [&b"\x1b"[..], b"\xc2\x9b", b"\xe2\x80\xae", b"\xff", b"new\nline"] {
            assert!(!text.windows(byte.len()).any(|window| window == byte), "{args:?}: {byte:?} as it is");
        }
    }
    // As git quotes them, with its octal numbers.
    let text = place.ok(["diff", "x"]);
    for quoted in
        [r#""new\nline""#, r#""\033[31mred""#, r#""\302\233control""#, r#""\342\200\256old""#, r#""\377\376""#]
    {
        assert!(text.contains(&format!("create {quoted}")), "{quoted} in {text}");
    }
    let raw = place.stead(["diff", "x", "-z"]).output().expect("stead starts").stdout;
    for name in names {
        assert!(raw.windows(name.len()).any(|window| window == name), "{name:?} in {raw:?}");
    }
    let (_, json) = place.json(["diff", "x"]);
    let changes = json["changes"].as_array().expect("changes");
    assert_eq!(changes.len(), names.len(), "{json}");
    let paths: Vec<&str> = changes.iter().filter_map(|change| change["path"].as_str()).collect();
    for name in ["new\nline", "\u{1b}[31mred", "\u{9b}control", "\u{202e}old", "-rf"] {
        assert!(paths.contains(&name), "{name:?} in {paths:?}");
    }
    assert!(changes.iter().any(|change| change["path_base64"] == "//4="), "{json}");
}

#[test]
fn names_that_some_file_system_takes_for_git_are_never_recorded() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    for name in RESERVED {
        write(&tree, &format!("{name}/config"), "[core]\n");
        write(&tree, &format!("deep/{name}/config"), "[core]\n");
    }
    write(&tree, "good", "x");
    let (_, json) = place.json(["diff", "x"]);
    assert_eq!(json["changes"].as_array().map(Vec::len), Some(1), "{json}");
    assert!(place.ok(["diff", "x"]).matches("a name that git reserves").count() >= 2 * RESERVED.len());
    let folder = place.path().join("folder");
    std::fs::create_dir(&folder).expect("a folder");
    for args in [
        vec!["sync", "x", "--to", project.to_str().expect("text")],
        vec!["sync", "x", "--to", folder.to_str().expect("text"), "--apply"],
    ] {
        place.ok(args);
    }
    assert!(folder.join("good").exists());
    for name in RESERVED {
        assert!(!folder.join(name).exists() && !folder.join("deep").join(name).exists(), "{name}");
    }
}

/// Adds a commit with a file at `NAME/config`, which git itself refuses to make, to a repository.
fn commit_with(place: &Place, repository: &Path, branch: &str, name: &str) {
    let blob = place.git_in(repository, ["hash-object", "-w", "--stdin"], "[core]\n\tfsmonitor = evil\n");
    let inner = place.git_in(repository, ["mktree"], &format!("100644 blob {}\tconfig\n", blob.trim()));
    let outer = format!("40000 {name}\0");
    let id: Vec<u8> = (0..20).map(|at| u8::from_str_radix(&inner[2 * at..2 * at + 2], 16).expect("hex")).collect();
    let raw = place.path().join("raw");
    std::fs::write(&raw, [outer.as_bytes(), &id].concat()).expect("a file");
    let args = ["hash-object", "-w", "-t", "tree", "--literally", raw.to_str().expect("text")];
    let root = place.git(repository, args);
    let commit = place.git(repository, ["commit-tree", "-m", "evil", root.trim()]);
    place.git(repository, ["update-ref", branch, commit.trim()]);
}

#[test]
fn a_source_that_holds_such_names_writes_none_of_them() {
    for name in [".git", ".GIT", "git~1", ".g\u{200c}it", ".."] {
        let place = Place::new();
        let project = place.project("api");
        commit_with(&place, &project, "refs/heads/evil", name);
        let output = place.stead(["create", "x", "--from", "api", "--branch", "evil"]).output().expect("stead starts");
        let tree = place.tree("x");
        let is_safe = !std::fs::read_to_string(tree.join(".git/config")).unwrap_or_default().contains("fsmonitor")
            && (name == ".git" || name == ".." || !tree.join(name).exists())
            && !place.root().join("workspaces/local/config").exists();
        assert!(is_safe, "{name}: {}", crate::support::describe(&output));
    }
}

#[test]
fn a_commit_with_such_names_goes_nowhere() {
    for name in [".GIT", "git~1", ".g\u{200c}it"] {
        let place = Place::new();
        place.project("api");
        place.ok(["create", "x", "--from", "api"]);
        let tree = place.tree("x");
        commit_with(&place, &tree, "refs/heads/evil", name);
        place.git(&tree, ["symbolic-ref", "HEAD", "refs/heads/evil"]);
        let folder = place.path().join("folder");
        std::fs::create_dir(&folder).expect("a folder");
        let to = folder.to_str().expect("text");
        place.stead(["sync", "x", "--to", to, "--apply", "--allow-exec"]).output().expect("stead starts");
        assert!(!folder.join(name).exists(), "{name}");
    }
}
