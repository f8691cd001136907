//! Work that is applied to a working tree or a plain folder: `--to --apply`.

use super::{read, workspace};
use crate::support::{Place, write};

#[test]
fn apply_merges_into_the_working_tree() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&tree, "docs/guide.md", "ONE\ntwo\nthree\n");
    write(&tree, "new/deep.txt", "deep\n");
    std::fs::remove_file(tree.join("src/main.rs")).expect("a file");
    write(&project, "docs/guide.md", "one\ntwo\nTHREE\n");
    place.ok(["sync", "work", "--to", "--apply"]);
    assert_eq!(read(&project, "new/deep.txt"), "deep\n");
    assert!(!project.join("src").exists());
    // Adjacent lines are git's own idea of a conflict; these are two apart.
    assert_eq!(read(&project, "docs/guide.md"), "ONE\ntwo\nTHREE\n");
    let (_, answer) = place.json(["sync", "work", "--to", "--apply"]);
    assert_eq!(answer["up_to_date"], true);
    // What was applied before is the base of what comes next.
    write(&tree, "docs/guide.md", "ONE\ntwo\nthree\nfour\n");
    std::fs::remove_file(tree.join("new/deep.txt")).expect("a file");
    place.fails(&["sync", "work", "--to", "--apply"], 6, "`docs/guide.md` (changed on both sides)");
    assert!(project.join("new/deep.txt").exists());
    write(&tree, "docs/guide.md", "Ones\ntwo\nthree\n");
    place.ok(["sync", "work", "--to", "--apply"]);
    assert_eq!(read(&project, "docs/guide.md"), "Ones\ntwo\nTHREE\n");
    assert!(!project.join("new").exists());
}

#[test]
fn a_conflict_writes_nothing() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&tree, "README.md", "# theirs\n");
    write(&tree, "new.txt", "theirs\n");
    write(&project, "README.md", "# ours\n");
    place.fails(&["sync", "work", "--to", "--apply"], 6, "`README.md` (changed on both sides)");
    assert_eq!(place.git(&project, ["status", "--porcelain"]), " M README.md\n");
    place.git(&project, ["checkout", "-q", "."]);
    write(&project, "new.txt", "ours\n");
    place.fails(&["sync", "work", "--to", "--apply"], 6, "`new.txt` (made on both sides)");
    assert_eq!(read(&project, "README.md"), "# project\n");
}

#[test]
fn a_link_in_the_way_leads_nowhere() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    let outside = place.path().join("outside");
    std::fs::create_dir(&outside).expect("a directory");
    write(&tree, "out/file", "x\n");
    std::os::unix::fs::symlink(&outside, project.join("out")).expect("a link");
    place.fails(&["sync", "work", "--to", "--apply"], 6, "`out` (in the way of a directory)");
    assert!(std::fs::read_dir(&outside).expect("a directory").next().is_none());
}

#[test]
fn apply_goes_to_plain_folders_too() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    let plain = place.path().join("projects/plain");
    std::fs::create_dir(&plain).expect("a directory");
    write(&tree, "new.txt", "new\n");
    place.ok(["sync", "work", "--to", "plain", "--apply"]);
    assert_eq!(read(&plain, "README.md"), "# project\n");
    assert_eq!(read(&plain, "new.txt"), "new\n");
    write(&tree, "new.txt", "newer\n");
    write(&plain, "README.md", "# mine\n");
    place.ok(["sync", "work", "--to", "plain", "--apply"]);
    assert_eq!(read(&plain, "new.txt"), "newer\n");
    assert_eq!(read(&plain, "README.md"), "# mine\n");
    // A directory inside of the project is not a plain folder.
    place.fails(&["sync", "work", "--to", "app/src", "--apply"], 2, "is inside of the project");
    assert!(!project.join("src/README.md").exists());
}

#[test]
fn an_apply_is_taken_back_from_the_project() {
    let place = Place::new();
    let (project, tree) = workspace(&place);
    write(&project, "README.md", "# mine\n");
    write(&tree, "docs/guide.md", "ONE\ntwo\nthree\n");
    write(&tree, "new/deep.txt", "deep\n");
    std::fs::remove_file(tree.join("src/main.rs")).expect("a file");
    place.fails(&["undo", "work", "--apply"], 3, "nothing of workspace `work` that was applied to");
    place.ok(["sync", "work", "--to", "--apply"]);
    write(&project, "docs/guide.md", "two\n");
    place.fails(&["undo", "work", "--apply"], 6, "`docs/guide.md` (changed on both sides)");
    assert!(project.join("new/deep.txt").exists());
    write(&project, "docs/guide.md", "ONE\ntwo\nthree\n");
    let (code, answer) = place.json(["undo", "work", "--apply", "-n"]);
    assert_eq!((code, answer["changes"].as_array().expect("a list").len()), (0, 3), "{answer}");
    assert!(
        place.ok(["undo", "work", "--apply", "app"]).starts_with("Took back what workspace `work` had applied to ")
    );
    assert_eq!(place.git(&project, ["status", "--porcelain"]), " M README.md\n");
    assert!(!project.join("new").exists());
    // It is work again that is nowhere else, and can be applied again.
    place.fails(&["rm", "work"], 7, "unsaved work");
    place.ok(["sync", "work", "--to", "--apply"]);
    assert_eq!(read(&project, "new/deep.txt"), "deep\n");
}

#[test]
fn a_folder_whose_path_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new();
    let (_, tree) = workspace(&place);
    write(&tree, "new.txt", "new\n");
    let folder = place.path().join(std::ffi::OsStr::from_bytes(b"folder\xff"));
    std::fs::create_dir(&folder).expect("directory");
    let mut command = place.stead(["sync", "work", "--apply", "--to"]);
    let output = command.arg(&folder).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(folder.read_dir().expect("directory").count(), 0);
}
