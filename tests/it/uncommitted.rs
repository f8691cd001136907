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
