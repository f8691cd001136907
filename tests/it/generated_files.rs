//! `completions/` and `man/` hold what the command line's definition generates.
//!
//! `SNAPSHOTS=overwrite cargo test --test it generated_files` writes them anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::Place;

fn same(path: &Path, content: &str) {
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("directory");
        std::fs::write(path, content).expect("file");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == content, "`{}` is not what is generated; write it with SNAPSHOTS=overwrite", path.display());
}

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_completions_are_what_is_generated() {
    let place = Place::new();
    for (shell, file) in [("bash", "stead.bash"), ("zsh", "_stead"), ("fish", "stead.fish")] {
        same(&top().join("completions").join(file), &place.ok(["completions", shell]));
    }
}

#[test]
fn the_man_pages_are_what_is_generated() {
    let place = Place::new();
    let out = place.path().join("man");
    place.ok(["man", "--out", out.to_str().expect("UTF-8")]);
    let names: BTreeSet<_> =
        out.read_dir().expect("directory").map(|entry| entry.expect("entry").file_name()).collect();
    assert_eq!(names.len(), 1 + stead::command().get_subcommands().count());
    for name in &names {
        let page = std::fs::read_to_string(out.join(name)).expect("page");
        for section in
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES", "EXAMPLES"]
        {
            assert!(page.contains(&format!("\n.SH {section}\n")), "{} lacks {section}", name.display());
        }
        same(&top().join("man").join(name), &page);
    }
    let kept: BTreeSet<_> =
        top().join("man").read_dir().expect("directory").map(|entry| entry.expect("entry").file_name()).collect();
    assert_eq!(kept, names);
}

#[test]
fn a_page_is_printed_and_an_unknown_one_is_not_found() {
    let place = Place::new();
    assert!(place.ok(["man", "exec"]).contains(".TH stead-exec 1"));
    let (code, answer) = place.json(["man", "nothing"]);
    assert_eq!((code, answer["error"]["kind"].as_str()), (3, Some("not-found")));
}

#[test]
fn the_bash_completion_is_taken_by_bash() {
    let place = Place::new();
    let script = place.path().join("stead.bash");
    std::fs::write(&script, place.ok(["completions", "bash"])).expect("file");
    let output = std::process::Command::new("bash").arg("-n").arg(&script).output().expect("bash starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
