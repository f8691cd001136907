//! What of a project's working tree is not in its commit, where names or the index are unusual.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::support::{Place, succeed, write};

/// A name that is not UTF-8.
fn odd(suffix: &str) -> OsString {
    [OsStr::from_bytes(b"odd \xff"), OsStr::new(suffix)].into_iter().collect()
}

/// The paths of `diff`, which has what was brought in although it is ignored.
fn names(place: &Place, workspace: &str) -> Vec<u8> {
    place.stead(["diff", workspace, "-z", "--name-only"]).output().expect("stead starts").stdout
}

#[test]
fn a_file_whose_name_is_not_utf_8_comes_along_and_stays_known() {
    let place = Place::new();
    let project = place.project("p");
    std::fs::write(project.join(odd("")), "odd\n").expect("file");
    write(&project, "plain", "x\n");
    place.ok(["create", "x", "--from", "p", "--with-changes"]);
    let tree = place.tree("x");
    assert_eq!(std::fs::read_to_string(tree.join(odd(""))).expect("file"), "odd\n");
    // It is captured although ignored, also after the record was written anew.
    place.ok(["exec", "x", "--isolation", "none", "--", "sh", "-c", "echo '*' > .gitignore"]);
    assert_eq!(names(&place, "x"), b"odd \xff\0plain\0");
}

#[test]
fn import_and_context_take_names_that_are_not_utf_8() {
    let place = Place::new();
    let projects = place.path().join("projects");
    for name in ["in", "context", "made"] {
        std::fs::write(projects.join(odd(name)), name).expect("file");
    }
    let mut create = place.stead(["create", "x", "--empty", "--import"]);
    succeed(create.arg(odd("made")));
    let mut import = place.stead(["import", "x"]);
    assert_eq!(succeed(import.arg(odd("in"))), "\"odd \\377in\"\n");
    let mut exec = place.stead(["exec", "x", "--isolation", "none", "--context"]);
    let asked = odd("context:d/");
    succeed(exec.arg(asked).args(["--", "sh", "-c", "echo '*' > .gitignore; cat d/*"]));
    assert_eq!(names(&place, "x"), b"d/odd \xffcontext\0odd \xffin\0odd \xffmade\0");
}

/// Makes a workspace of a project whose index libgit2 cannot read: it works, and says what nobody knows.
fn of_an_unreadable_index(place: &Place, project: &Path, what: &str, mend: &str) {
    write(project, ".worktreeinclude", "*.env\n");
    write(project, ".gitignore", "*.env\n");
    write(project, "dev.env", "A=1\n");
    let said = place.ok(["create", "x", "--from", "p"]);
    let reason = format!("cannot read the state of `{}`: {what} is not supported", project.display());
    let first = said.lines().next().expect("a line");
    assert!(first.ends_with(&format!("; its uncommitted files were not looked for: {reason}.")), "{said}");
    assert_eq!(place.git(&place.tree("x"), ["log", "-1", "--format=%s"]), "second\n");
    assert_eq!(std::fs::read_to_string(place.tree("x").join("dev.env")).expect("file"), "A=1\n");
    let (code, answer) = place.json(["create", "y", "--from", "p"]);
    assert_eq!((code, &answer["workspaces"][0]["left_out_unread"]), (0, &reason.as_str().into()));
    let (code, answer) = place.json(["create", "z", "--from", "p", "--with-changes"]);
    assert_eq!((code, &answer["error"]["kind"]), (8, &"unsupported".into()), "{answer}");
    assert_eq!(answer["error"]["message"], reason);
    assert_eq!(answer["error"]["hint"], format!("`{mend}` makes it whole"));
    assert!(!place.tree("z").exists());
    place.git(project, mend.split(' ').skip(1));
    place.ok(["create", "z", "--from", "p", "--with-changes"]);
    assert_eq!(place.ok(["diff", "z", "--dirty", "--name-only"]), ".gitignore\n.worktreeinclude\ndev.env\n");
}

#[test]
fn a_split_index_keeps_no_workspace_from_being_made() {
    let place = Place::new();
    let project = place.project("p");
    place.git(&project, ["update-index", "--split-index"]);
    of_an_unreadable_index(&place, &project, "a split index", "git update-index --no-split-index");
}

#[test]
fn a_sparse_index_keeps_no_workspace_from_being_made() {
    let place = Place::new();
    let project = place.project("p");
    place.git(&project, ["sparse-checkout", "set", "--cone", "--sparse-index", "docs"]);
    let mend = "git sparse-checkout reapply --no-sparse-index";
    of_an_unreadable_index(&place, &project, "a sparse index", mend);
    // What is not checked out is not deleted.
    assert!(place.tree("z").join("src/main.rs").exists());
}

#[test]
fn a_special_file_that_is_to_come_along_is_named_and_left_out() {
    let place = Place::new();
    let project = place.project("p");
    write(&project, ".worktreeinclude", "run/\n*.sock\n");
    write(&project, ".gitignore", "run/\n*.sock\n");
    write(&project, "run/file", "x\n");
    for path in ["run/fifo", "a.sock"] {
        succeed(std::process::Command::new("mkfifo").arg(project.join(path)));
    }
    let said = place.ok(["create", "x", "--from", "p"]);
    assert!(said.contains("; special files were left out: `a.sock`, `run/fifo`."), "{said}");
    assert_eq!(std::fs::read_to_string(place.tree("x").join("run/file")).expect("file"), "x\n");
    assert!(!place.tree("x").join("run/fifo").exists());
    let (code, answer) = place.json(["create", "y", "--from", "p", "--with-changes"]);
    let named = serde_json::json!([{ "path": "a.sock" }, { "path": "run/fifo" }]);
    assert_eq!((code, &answer["workspaces"][0]["left_out_special"]), (0, &named), "{answer}");
}

#[test]
fn changed_submodules_are_named_as_left_out() {
    let place = Place::new();
    let (library, project) = (place.project("lib"), place.project("p"));
    for name in ["a", "b", "c", "same", "empty"] {
        let library = library.to_str().expect("UTF-8");
        place.git(&project, ["-c", "protocol.file.allow=always", "submodule", "add", "-q", library, name]);
    }
    place.git(&project, ["commit", "-q", "-m", "submodules"]);
    place.git(&project, ["submodule", "deinit", "-q", "-f", "empty"]);
    let said = place.ok(["create", "none", "--from", "p"]);
    assert!(!said.contains("left out"), "{said}");
    // A new commit, a changed file, a new file.
    place.git(&project.join("a"), ["commit", "-q", "--allow-empty", "-m", "x"]);
    write(&project, "b/README.md", "changed\n");
    write(&project, "c/new", "new\n");
    write(&project, "file", "x\n");
    let listed = place.git(&project, ["status", "--porcelain"]);
    assert_eq!(listed, " M a\n M b\n M c\n?? file\n");
    let expected = "; 1 uncommitted file was left out (`--with-changes` brings it); changes in submodules were left out: `a`, `b`, `c`.";
    let said = place.ok(["create", "x", "--from", "p"]);
    assert!(said.contains(expected), "{said}");
    let said = place.ok(["create", "y", "--from", "p", "--with-changes"]);
    assert!(said.contains("/p`; changes in submodules were left out: `a`, `b`, `c`."), "{said}");
    // Also when they are staged.
    place.git(&project, ["add", "a"]);
    let (_, answer) = place.json(["create", "z", "--from", "p", "--with-changes"]);
    let named: Vec<_> = ["a", "b", "c"].into_iter().map(|path| serde_json::json!({ "path": path })).collect();
    assert_eq!(answer["workspaces"][0]["left_out_submodules"], serde_json::json!(named), "{answer}");
}

#[test]
fn a_project_whose_path_is_not_utf_8_is_named_once() {
    let place = Place::new();
    let project = place.project("p");
    let project = {
        let renamed = project.with_file_name(odd(""));
        std::fs::rename(&project, &renamed).expect("renamed");
        renamed
    };
    succeed(place.stead(["create", "x"]).current_dir(&project));
    let path = String::from_utf8_lossy(project.as_os_str().as_bytes()).into_owned();
    place.fails(&["sync", "x", "--to"], 7, &format!("error: the path `{path}` is not UTF-8"));
}
