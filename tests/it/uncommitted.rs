//! What of a project's working tree is not in its commit, where names or the index are unusual.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

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
