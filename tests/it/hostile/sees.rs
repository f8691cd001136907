//! What hides a change from git hides nothing from stead.

use std::time::SystemTime;

use crate::support::{Place, write};

#[test]
fn changes_that_git_is_told_to_overlook_are_seen() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    write(&tree, ".git/info/exclude", "*\n");
    place.git(&tree, ["config", "core.fileMode", "false"]);
    place.git(&tree, ["update-index", "--assume-unchanged", "README.md"]);
    place.git(&tree, ["update-index", "--skip-worktree", "src/main.rs"]);
    write(&tree, "README.md", "# changed\n");
    write(&tree, "src/main.rs", "fn main() { evil() }\n");
    write(&tree, "hidden", "x");
    // The same size, and the times it had.
    let path = tree.join("docs/guide.md");
    let times = path.metadata().expect("attributes").modified().expect("a time");
    write(&tree, "docs/guide.md", "one\nTWO\nthree\n");
    let file = std::fs::File::options().write(true).open(&path).expect("a file");
    file.set_times(std::fs::FileTimes::new().set_modified(times).set_accessed(SystemTime::now())).expect("times");
    assert!(place.git(&tree, ["status", "--porcelain"]).lines().count() <= 1, "git sees more than one");
    let text = place.ok(["diff", "x"]);
    for line in ["update README.md", "update src/main.rs", "create hidden", "update docs/guide.md"] {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
    let text = place.ok(["gc", "--all"]);
    assert!(text.contains("Kept `x`"), "{text}");
}

#[test]
fn a_file_that_git_is_told_not_to_miss_is_named() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let script = "git update-index --skip-worktree docs/guide.md && rm docs/guide.md && git status --porcelain";
    let output = place.stead(["exec", "x", "--", "sh", "-ec", script]).output().expect("stead starts");
    assert!(output.stdout.is_empty(), "git sees it");
    assert!(String::from_utf8_lossy(&output.stderr).contains("delete docs/guide.md"));
    let text = place.ok(["diff", "x"]);
    assert!(text.contains("docs/guide.md (not checked out, by its index)"), "{text}");
    write(&place.tree("x"), "new", "new\n");
    place.ok(["sync", "x", "--to"]);
    assert_eq!(place.git(&project, ["diff", "--name-status", "main", "stead/x"]), "A\tnew\n");
}

#[test]
fn a_mode_that_git_is_told_to_overlook_is_seen() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    place.git(&tree, ["config", "core.fileMode", "false"]);
    std::fs::set_permissions(tree.join("README.md"), PermissionsExt::from_mode(0o755)).expect("a mode");
    assert!(place.ok(["diff", "x"]).contains("README.md"));
}

#[test]
fn work_that_cannot_be_read_is_named_and_the_sync_is_not_called_done() {
    let place = Place::new();
    let project = place.project("app");
    place.ok(["create", "work", "--from", "app"]);
    let tree = place.tree("work");
    write(&tree, "new.txt", "new\n");
    write(&tree, &format!("{}file", "deep/".repeat(300)), "too deep to be read\n");
    assert_eq!(place.json(["sync", "work", "--to", "-n"]).0, 0);
    let (code, answer) = place.json(["sync", "work", "--to"]);
    assert_eq!((code, &answer["complete"]), (1, &false.into()), "{answer}");
    assert_eq!(place.git(&project, ["show", "stead/work:new.txt"]), "new\n");
    std::fs::remove_dir_all(tree.join("deep")).expect("a directory");
    assert_eq!(place.json(["sync", "work", "--to"]).1["complete"], true);
}
