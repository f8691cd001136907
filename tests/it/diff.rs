use std::path::Path;

use snapbox::str;

use crate::support::{Place, write};

fn workspace(place: &Place) -> std::path::PathBuf {
    let project = place.project("p");
    place.ok(["create", "w", "--from", project.to_str().expect("text")]);
    place.tree("w")
}

fn files(path: &Path) -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
    let mut files: Vec<_> = walkdir::WalkDir::new(path)
        .into_iter()
        .map(|entry| {
            let entry = entry.expect("an entry");
            let modified = entry.metadata().expect("attributes").modified().expect("a time");
            (entry.into_path(), modified)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_new_workspace_has_no_changes() {
    let place = Place::new();
    workspace(&place);
    let (code, answer) = place.json(["diff", "w"]);
    assert_eq!((code, answer["changes"].as_array().map(Vec::len)), (0, Some(0)));
    assert_eq!(place.ok(["diff", "w", "--patch"]), "");
}

#[test]
fn the_list_names_what_changed_and_the_snapshot() {
    let place = Place::new();
    let tree = workspace(&place);
    write(&tree, "README.md", "# another\n");
    write(&tree, "new file", "x\n");
    std::fs::remove_file(tree.join("src/main.rs")).expect("removed");
    std::fs::rename(tree.join("docs/guide.md"), tree.join("docs/moved.md")).expect("renamed");
    let list = place.ok(["diff", "w"]);
    let (_, answer) = place.json(["diff", "w"]);
    let id = answer["snapshot"].as_str().expect("an id");
    snapbox::assert_data_eq!(
        list.replace(id, "ID"),
        str![[r#"
update README.md (+1 -1)
rename docs/guide.md -> docs/moved.md
create new file (+1 -0)
delete src/main.rs (+0 -1)
snapshot ID

"#]]
    );
    snapbox::assert_data_eq!(
        place.ok(["diff", "w", "--stat"]).replace(id, "ID"),
        str![[r#"
 README.md                      |     2 +-
 docs/guide.md => docs/moved.md |     0
 new file                       |     1 +
 src/main.rs                    |     1 -
 4 files changed, 2 insertions(+), 2 deletions(-)
snapshot ID

"#]]
    );
    assert_eq!(place.ok(["diff", "w", "--name-only"]), "README.md\ndocs/moved.md\nnew file\nsrc/main.rs\n");
    assert_eq!(
        place.ok(["diff", "w", "-z"]),
        "M\0README.md\0R\0docs/guide.md\0docs/moved.md\0A\0new file\0D\0src/main.rs\0"
    );
}

#[test]
fn dirty_leaves_out_what_is_committed() {
    let place = Place::new();
    let tree = workspace(&place);
    write(&tree, "committed", "x\n");
    place.git(&tree, ["add", "."]);
    place.git(&tree, ["commit", "-q", "-m", "work"]);
    write(&tree, "open", "x\n");
    assert_eq!(place.ok(["diff", "w", "--name-only"]), "committed\nopen\n");
    assert_eq!(place.ok(["diff", "w", "--dirty", "--name-only"]), "open\n");
}

#[test]
fn content_is_added_to_json_as_text_or_base64() {
    let place = Place::new();
    let tree = workspace(&place);
    write(&tree, "binary", b"\xff\x00");
    write(&tree, "text", "hello\n");
    let (_, answer) = place.json(["diff", "w", "--content"]);
    let changes = answer["changes"].as_array().expect("changes");
    assert_eq!((&changes[0]["content"], &changes[0]["encoding"]), (&"/wA=".into(), &"base64".into()));
    assert_eq!((&changes[1]["content"], &changes[1]["encoding"]), (&"hello\n".into(), &"utf-8".into()));
    assert_eq!(changes[1]["operation"], "create");
}

#[test]
fn a_run_is_shown_by_its_id_or_as_the_last() {
    let place = Place::new();
    workspace(&place);
    for name in ["one", "two"] {
        place.ok(["exec", "w", "--isolation", "none", "--", "touch", name]);
    }
    assert_eq!(place.ok(["diff", "w", "--run", "last", "--name-only"]), "two\n");
    assert_eq!(place.ok(["diff", "w", "--name-only"]), "one\ntwo\n");
    let output = place.stead(["diff", "w", "--run", "20200101-000000-0000"]).output().expect("stead");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_file_that_attributes_convert_is_no_change_until_its_text_changes() {
    let place = Place::new();
    let project = place.project("p");
    write(&project, ".gitattributes", "*.bat text eol=crlf\n");
    write(&project, "run.bat", "echo one\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "batch"]);
    place.ok(["create", "w", "--from", project.to_str().expect("text")]);
    let batch = place.tree("w").join("run.bat");
    assert_eq!(std::fs::read(&batch).expect("the file"), b"echo one\r\n");
    assert_eq!(place.ok(["diff", "w", "--name-only"]), "");
    std::fs::write(&batch, "echo one\r\necho two\r\n").expect("the file");
    assert_eq!(place.ok(["diff", "w", "--name-only"]), "run.bat\n");
    let patch = place.ok(["diff", "w", "-p"]);
    assert!(patch.contains("+echo two\n") && !patch.contains('\r'), "{patch}");
}

#[test]
fn the_content_of_an_lfs_pointer_is_no_change_and_other_content_is() {
    let place = Place::new();
    let project = place.project("p");
    let pointer = "version https://git-lfs.github.com/spec/v1\n\
                   oid sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\nsize 3\n";
    write(&project, ".gitattributes", "*.bin filter=lfs -text\n");
    write(&project, "a.bin", pointer);
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "large"]);
    place.ok(["create", "w", "--from", project.to_str().expect("text")]);
    let tree = place.tree("w");
    assert_eq!(std::fs::read_to_string(tree.join("a.bin")).expect("the file"), pointer);
    write(&tree, "a.bin", "abc");
    assert_eq!(place.ok(["diff", "w", "--name-only"]), "");
    write(&tree, "a.bin", "abd");
    assert_eq!(place.ok(["diff", "w", "--name-only"]), "a.bin\n");
}

#[test]
fn what_is_not_recorded_is_named() {
    let place = Place::new();
    let tree = workspace(&place);
    write(&tree, ".gitignore", "hidden\n");
    write(&tree, "hidden", "x");
    write(&tree, "sub/file", "x");
    place.git(&tree.join("sub"), ["init", "-q"]);
    rustix::fs::mkfifoat(rustix::fs::CWD, tree.join("fifo"), rustix::fs::Mode::RUSR).expect("a fifo");
    let (_, answer) = place.json(["diff", "w"]);
    assert_eq!(answer["newly_ignored"][0]["path"], "hidden");
    assert_eq!(answer["nested"][0]["path"], "sub");
    assert_eq!(answer["unrecorded"][0]["path"], "fifo");
    assert_eq!(answer["changes"].as_array().map(Vec::len), Some(1));
}

#[test]
fn looking_writes_nothing_and_works_on_a_read_only_root() {
    let place = Place::new();
    let tree = workspace(&place);
    write(&tree, "README.md", "changed\n");
    let before = files(&place.root());
    let patch = place.ok(["diff", "w", "-p"]);
    place.ok(["status"]);
    place.ok(["status", "w", "--stats"]);
    assert_eq!(files(&place.root()), before);
    let directories = || {
        let entries = walkdir::WalkDir::new(place.root()).into_iter().map(|entry| entry.expect("an entry"));
        entries.filter(|entry| entry.file_type().is_dir()).map(walkdir::DirEntry::into_path).collect::<Vec<_>>()
    };
    let all = directories();
    let set = |mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        for directory in &all {
            std::fs::set_permissions(directory, std::fs::Permissions::from_mode(mode)).expect("a mode");
        }
    };
    set(0o500);
    let again = place.stead(["diff", "w", "-p"]).output().expect("stead");
    let status = place.stead(["status"]).output().expect("stead");
    set(0o700);
    assert_eq!(String::from_utf8_lossy(&again.stdout), patch);
    assert!(status.status.success());
}

#[test]
fn a_workspace_that_is_not_there_is_not_found() {
    let place = Place::new();
    assert_eq!(place.stead(["diff", "w"]).output().expect("stead").status.code(), Some(3));
    workspace(&place);
    let (code, answer) = place.json(["diff", "x"]);
    assert_eq!((code, &answer["error"]["kind"]), (3, &"not-found".into()));
}
