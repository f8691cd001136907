//! What leads out of the tree: nothing is read there, and nothing written.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::support::{Place, describe, write};

/// Returns every file below a directory with its content.
fn listing(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in walk(dir) {
        let content = std::fs::read(&entry).unwrap_or_default();
        found.insert(entry, content);
    }
    found
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().expect("a kind").is_dir() {
                waiting.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

/// Changes a git directory so that it leads to a place elsewhere.
type Point = fn(&Path, &Path);

#[test]
fn a_git_directory_that_points_elsewhere_takes_nobody_there() {
    let point: [(&str, Point); 6] = [
        ("core.worktree", |git, elsewhere| {
            let config = std::fs::read_to_string(git.join("config")).expect("a configuration");
            write(git, "config", format!("{config}[core]\n\tworktree = {}\n", elsewhere.display()));
        }),
        ("include.path", |git, elsewhere| {
            write(git, "more", format!("[core]\n\tworktree = {}\n", elsewhere.display()));
            let config = std::fs::read_to_string(git.join("config")).expect("a configuration");
            write(git, "config", format!("{config}[include]\n\tpath = more\n"));
        }),
        ("commondir", |git, elsewhere| write(git, "commondir", elsewhere.join(".git").to_str().expect("text"))),
        ("insteadOf", |git, elsewhere| {
            let config = std::fs::read_to_string(git.join("config")).expect("a configuration");
            let source = elsewhere.with_file_name("api");
            let (to, from) = (elsewhere.display(), source.display());
            write(git, "config", format!("{config}[url \"{to}\"]\n\tinsteadOf = {from}\n"));
        }),
        (".git as a file", |git, elsewhere| {
            std::fs::remove_dir_all(git).expect("a directory");
            std::fs::write(git, format!("gitdir: {}\n", elsewhere.join(".git").display())).expect("a file");
        }),
        (".git as a link", |git, elsewhere| {
            std::fs::remove_dir_all(git).expect("a directory");
            symlink(elsewhere.join(".git"), git).expect("a link");
        }),
    ];
    for (what, point) in point {
        let place = Place::new();
        let project = place.project("api");
        let elsewhere = place.project("other");
        write(&elsewhere, "secret", "x");
        place.git(&elsewhere, ["add", "."]);
        place.git(&elsewhere, ["commit", "-q", "-m", "theirs"]);
        let theirs = place.git(&elsewhere, ["rev-parse", "HEAD"]);
        place.ok(["create", "x", "--from", "api"]);
        let tree = place.tree("x");
        point(&tree.join(".git"), &elsewhere);
        let before = listing(&elsewhere);
        place.git(&project, ["commit", "-q", "--allow-empty", "-m", "more"]);
        write(&tree, "docs/new.md", "x");
        for args in [
            vec!["status", "x"],
            vec!["diff", "x"],
            vec!["sync", "x"],
            vec!["sync", "x", "--from", project.to_str().expect("text")],
            vec!["exec", "x", "--isolation", "none", "--", "true"],
            vec!["gc", "--all"],
        ] {
            let output = place.stead(&args).output().expect("stead starts");
            assert!(matches!(output.status.code(), Some(0 | 6 | 7 | 125)), "{what}: {args:?}: {}", describe(&output));
            assert!(!String::from_utf8_lossy(&output.stdout).contains("secret"), "{what}: {}", describe(&output));
        }
        assert_eq!(listing(&elsewhere), before, "{what}");
        let known = place.trusted("x").join("objects").join(&theirs[..2]).join(theirs[2..].trim());
        assert!(!known.exists(), "{what}");
        let found = place.git(&place.trusted("x"), ["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]);
        assert!(!found.contains(theirs.trim()), "{what}");
    }
}

#[test]
fn a_directory_that_became_a_link_is_not_written_through() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    let elsewhere = place.path().join("elsewhere");
    write(&elsewhere, "guide.md", "theirs\n");
    for args in [vec!["sync", "x"], vec!["sync", "x", "--from", project.to_str().expect("text")]] {
        std::fs::remove_dir_all(tree.join("docs")).or_else(|_| std::fs::remove_file(tree.join("docs"))).expect("docs");
        symlink(&elsewhere, tree.join("docs")).expect("a link");
        write(&project, "docs/guide.md", format!("{args:?}\n"));
        place.git(&project, ["commit", "-q", "-a", "-m", "more"]);
        let output = place.stead(&args).output().expect("stead starts");
        assert!(matches!(output.status.code(), Some(0 | 6 | 7)), "{}", describe(&output));
        assert_eq!(listing(&elsewhere).into_values().collect::<Vec<_>>(), [b"theirs\n"], "{args:?}");
    }
    // Nothing is compared before these write.
    let source = format!("{}:docs/guide.md", project.join("README.md").display());
    let inner = format!("{}:docs/deep/new.md", project.join("README.md").display());
    for args in [
        vec!["import", "x", source.as_str(), "--replace"],
        vec!["import", "x", inner.as_str()],
        vec!["exec", "x", "--isolation", "none", "--context", inner.as_str(), "--", "true"],
    ] {
        let output = place.stead(&args).output().expect("stead starts");
        assert!(!output.status.success(), "{args:?}: {}", describe(&output));
        assert_eq!(listing(&elsewhere).into_values().collect::<Vec<_>>(), [b"theirs\n"], "{args:?}");
    }
    // The other way round: a link in the folder that the work is applied to.
    let folder = place.path().join("folder");
    std::fs::create_dir(&folder).expect("a folder");
    symlink(&elsewhere, folder.join("docs")).expect("a link");
    std::fs::remove_file(tree.join("docs")).expect("the link");
    write(&tree, "docs/guide.md", "ours\n");
    let to = folder.to_str().expect("text");
    place.stead(["sync", "x", "--to", to, "--apply"]).output().expect("stead starts");
    assert_eq!(listing(&elsewhere).into_values().collect::<Vec<_>>(), [b"theirs\n"]);
}

#[test]
fn no_file_is_shared_between_what_is_trusted_and_what_is_not() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    place
        .tamed("echo work > n && git add n && git commit -q -m n && git repack -q -a -d && git config core.pager evil");
    place.ok(["create", "fork", "--from", place.tree("x").to_str().expect("text")]);
    place.ok(["sync", "x", "--to", project.to_str().expect("text")]);
    for name in ["pools", "state"] {
        for path in walk(&place.root().join(name)) {
            let stat = path.symlink_metadata().expect("attributes");
            // What a run had in `.git` is kept beside it; both are the agent's.
            let is_kept = path.components().any(|part| part.as_os_str() == "runs");
            assert!(!stat.is_file() || stat.nlink() == 1 || is_kept, "{} has {} names", path.display(), stat.nlink());
        }
    }
}

#[test]
fn alternates_of_the_agent_are_not_borrowed_from() {
    let place = Place::new();
    place.project("api");
    let other = place.project("other");
    write(&other, "more", "x");
    place.git(&other, ["add", "."]);
    place.git(&other, ["commit", "-q", "-m", "theirs"]);
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    let alternates = tree.join(".git/objects/info/alternates");
    let ours = std::fs::read_to_string(&alternates).expect("alternates");
    std::fs::write(&alternates, format!("{ours}{}\n", other.join(".git/objects").display())).expect("alternates");
    let theirs = place.git(&other, ["rev-parse", "HEAD"]);
    write(&tree, ".git/refs/heads/theirs", &theirs);
    let output = place.hostile("true");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(125) && said.contains("is missing"), "{}", describe(&output));
}
