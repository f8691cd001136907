//! What blocks whoever opens it, in every place where git has a file, keeps no command from answering.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use crate::support::{Place, describe, succeed};

/// Runs a command that must end by itself.
fn answer(place: &Place, args: &[&str]) -> Output {
    let mut command = assert_cmd::Command::from_std(place.stead(args));
    let output = command.timeout(Duration::from_mins(2)).output().expect("stead starts");
    assert!(output.status.code().is_some(), "it hangs: {args:?}\n{}", describe(&output));
    output
}

fn replace_by_fifo(path: &Path) {
    let stat = path.symlink_metadata();
    match stat {
        Ok(stat) if stat.is_dir() => std::fs::remove_dir_all(path).expect("a directory"),
        Ok(_) => std::fs::remove_file(path).expect("a file"),
        Err(_) => std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories"),
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).expect("a fifo");
}

#[test]
fn a_fifo_anywhere_in_a_git_directory_blocks_nobody() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    let copy = place.path().join("copy");
    place.git(&tree, ["commit", "-q", "--allow-empty", "-m", "more"]);
    let head = place.git(&tree, ["rev-parse", "HEAD"]);
    let object = format!(".git/objects/{}/{}", &head[..2], head[2..].trim());
    succeed(std::process::Command::new("cp").arg("-a").arg(&tree).arg(&copy));
    for path in [
        ".git",
        ".git/config",
        ".git/config.worktree",
        ".git/HEAD",
        ".git/index",
        ".git/packed-refs",
        ".git/shallow",
        ".git/commondir",
        ".git/refs",
        ".git/refs/heads/stead/x",
        ".git/refs/stash",
        ".git/logs/HEAD",
        ".git/logs/refs/stash",
        ".git/info/exclude",
        ".git/info",
        ".git/hooks",
        ".git/objects",
        ".git/objects/pack",
        ".git/objects/pack/pack-1.idx",
        ".git/objects/info/alternates",
        ".git/modules",
        ".git/worktrees",
        ".git/MERGE_HEAD",
        object.as_str(),
        ".gitignore",
        ".gitattributes",
        ".gitmodules",
        ".stead.toml",
        "README.md",
    ] {
        replace_by_fifo(&tree.join(path));
        answer(&place, &["status", "x"]);
        let said = answer(&place, &["diff", "x"]);
        answer(&place, &["sync", "x", "--to", "-n"]);
        answer(&place, &["gc", "--all", "-n"]);
        answer(&place, &["exec", "x", "--isolation", "none", "--", "true"]);
        if !path.starts_with(".git/") {
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(said.contains(&format!("not recorded {path}")), "{path}: {said}");
        }
        std::fs::remove_dir_all(&tree).expect("the tree");
        succeed(std::process::Command::new("cp").arg("-a").arg(&copy).arg(&tree));
    }
}

#[test]
fn fifos_sockets_and_devices_are_named_and_kept() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    replace_by_fifo(&tree.join("fifo"));
    let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).expect("a socket");
    let said = answer(&place, &["diff", "x"]);
    let said = String::from_utf8_lossy(&said.stdout);
    for line in ["not recorded fifo (fifo)", "not recorded socket (socket)"] {
        assert!(said.contains(line), "{said}");
    }
    let text = place.ok(["gc", "--all"]);
    assert!(text.contains("Kept `x`") && text.contains("2 special files"), "{text}");
}
