//! The root and what is under it, as a user meets it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Place, describe, write};

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("mode");
}

/// Runs a command that must fail and returns its exit code and stderr.
fn fail(place: &Place, args: &[&str]) -> (i32, String) {
    let output = place.stead(args).output().expect("stead starts");
    assert!(!output.status.success(), "{}", describe(&output));
    assert!(output.stdout.is_empty(), "{}", describe(&output));
    (output.status.code().expect("an exit code"), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_root_is_private_and_has_a_format() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    for path in ["", "state", "state/local", "workspaces/local", "homes/local", "locks/local", "trash", "pools"] {
        let mode = std::fs::metadata(place.root().join(path)).expect("directory").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{path}");
    }
    assert_eq!(std::fs::read_to_string(place.root().join("stead.toml")).expect("format"), "format = 1\n");
    assert!(place.root().join("locks/local/x").exists());
}

#[test]
fn a_root_that_others_can_write_is_refused() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    chmod(&place.root(), 0o770);
    for args in [&["path", "x"][..], &["create", "y", "--empty"], &["gc"], &["rm", "x"]] {
        let (code, stderr) = fail(&place, args);
        assert_eq!(code, 7, "{stderr}");
        assert!(stderr.contains("can be written by others") && stderr.contains("hint: run `chmod go-w"), "{stderr}");
    }
    chmod(&place.root(), 0o700);
    place.ok(["path", "x"]);
}

#[test]
fn somebody_elses_root_is_refused() {
    let place = Place::new();
    // An ordinary user cannot give a directory away, but has one of somebody else's at hand; root has the first alone.
    let other = place.path().join("other");
    std::fs::create_dir(&other).expect("directory");
    let root = if std::os::unix::fs::chown(&other, Some(65_533), None).is_ok() { other } else { "/".into() };
    let (code, stderr) = fail(&place, &["--root", root.to_str().expect("text"), "create", "x", "--empty"]);
    assert_eq!(code, 7, "{stderr}");
    assert!(stderr.contains("belongs to somebody else"), "{stderr}");
}

#[test]
fn a_link_a_file_and_a_full_directory_are_no_root() {
    let place = Place::new();
    let real = place.path().join("real");
    std::fs::create_dir(&real).expect("directory");
    std::os::unix::fs::symlink(&real, place.path().join("link")).expect("link");
    std::fs::write(place.path().join("file"), "").expect("file");
    std::fs::create_dir(place.path().join("full")).expect("directory");
    std::fs::write(place.path().join("full/thesis.tex"), "").expect("file");
    for (name, words) in [("link", "is a link"), ("file", "is not a directory"), ("full", "is not empty")] {
        let root = place.path().join(name);
        let (code, stderr) = fail(&place, &["--root", root.to_str().expect("text"), "create", "x", "--empty"]);
        assert_eq!(code, 7, "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
    assert_eq!(std::fs::read_dir(real).expect("directory").count(), 0);
    assert_eq!(std::fs::read_dir(place.path().join("full")).expect("directory").count(), 1);
}

#[test]
fn a_newer_format_is_refused_with_a_sentence() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    std::fs::write(place.root().join("stead.toml"), "format = 2\n").expect("file");
    let (code, stderr) = fail(&place, &["path", "x"]);
    assert_eq!(code, 9);
    assert!(stderr.contains("has format 2, and this stead knows formats up to 1"), "{stderr}");
}

#[test]
fn readers_work_on_a_root_that_cannot_be_written() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    for path in ["locks/local/x", "locks/local", "locks", "state/local", "workspaces/local", ""] {
        let path = place.root().join(path);
        chmod(&path, std::fs::metadata(&path).expect("metadata").permissions().mode() & 0o555);
    }
    assert_eq!(place.ok(["path", "x"]).trim_end(), place.tree("x").to_str().expect("text"));
    place.ok(["status"]);
    for path in ["", "locks", "locks/local", "state/local", "workspaces/local"] {
        chmod(&place.root().join(path), 0o700);
    }
}

#[test]
fn two_users_with_names_that_look_alike_never_meet() {
    let place = Place::new();
    place.ok(["--user", "nick@example.com", "create", "x", "--empty"]);
    place.ok(["--user", "nick_example.com", "create", "x", "--empty"]);
    let first = place.ok(["--user", "nick@example.com", "path", "x"]);
    let second = place.ok(["--user", "nick_example.com", "path", "x"]);
    assert!(first.ends_with("/workspaces/nick_example_com/x\n"), "{first}");
    assert_ne!(first, second);
    let (code, stderr) = fail(&place, &["path", "x"]);
    assert_eq!(code, 3, "{stderr}");
}

#[test]
fn a_tree_that_became_a_link_is_refused_and_can_be_removed() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    let outside = place.path().join("outside");
    std::fs::create_dir(&outside).expect("directory");
    std::fs::write(outside.join("precious"), "").expect("file");
    std::fs::remove_dir_all(place.tree("x")).expect("gone");
    std::os::unix::fs::symlink(&outside, place.tree("x")).expect("link");
    let (code, stderr) = fail(&place, &["path", "x"]);
    assert_eq!(code, 7);
    assert!(stderr.contains("is not a directory"), "{stderr}");
    place.ok(["rm", "-f", "x"]);
    place.ok(["gc", "--purge", "-y"]);
    assert!(outside.join("precious").exists());
}

#[test]
fn a_name_that_differs_in_case_alone_is_taken() {
    let place = Place::new();
    place.ok(["create", "Fix", "--empty"]);
    let (code, stderr) = fail(&place, &["create", "fix", "--empty"]);
    assert_eq!(code, 4, "{stderr}");
}

#[test]
fn a_write_that_fails_is_never_success_and_leaves_nothing() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "whole", "--from", "api"]);
    let limited = |args: &[&str]| {
        let stead = place.stead(args);
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"]).arg(stead.get_program()).args(args);
        command.env_clear().current_dir(place.path().join("projects"));
        command.envs(stead.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.output().expect("sh starts");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", describe(&output));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("File too large"), "{}", describe(&output));
        assert!(stderr.contains(place.root().to_str().expect("UTF-8")), "{}", describe(&output));
    };
    limited(&["create", "x", "--from", "api"]);
    limited(&["create", "y", "--empty"]);
    limited(&["rm", "whole"]);
    for part in ["workspaces/local", "state/local", "homes/local"] {
        let mut names: Vec<_> = std::fs::read_dir(place.root().join(part))
            .expect("directory")
            .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        assert_eq!(names, ["whole"], "{part}");
    }
    for part in ["staging", "trash"] {
        assert_eq!(std::fs::read_dir(place.root().join(part)).expect("directory").count(), 0, "{part}");
    }
    place.ok(["rm", "whole"]);
    limited(&["restore", "whole"]);
    assert!(!place.root().join("state/local/whole").exists() && !place.tree("whole").exists());
    place.ok(["restore", "whole"]);
    limited(&["rm", "whole"]);
    place.ok(["path", "whole"]);
}

#[test]
fn a_broken_git_configuration_of_the_user_is_an_error_only_where_it_is_needed() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    place.ok(["create", "empty", "--empty"]);
    let broken = place.home().join(".gitconfig");
    std::fs::write(&broken, "[user\n").expect("a file");
    let (code, stderr) = fail(&place, &["create", "y", "--from", "api"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("cannot read your git configuration") && stderr.contains(".gitconfig"), "{stderr}");
    assert!(!place.tree("y").exists());
    assert!(place.ok(["status"]).contains("empty"));
    assert_eq!(place.ok(["exec", "empty", "--", "sh", "-c", "echo hello | tee new"]), "hello\n");
    assert!(place.ok(["diff", "empty", "--run", "last"]).contains("new"));
    place.ok(["rm", "empty", "-f"]);
    place.ok(["restore", "empty"]);
    std::fs::remove_file(&broken).expect("the file");
    place.ok(["create", "y", "--from", "api"]);
}

#[test]
fn on_a_full_or_read_only_disk_what_is_made_is_whole_or_not_there_and_cleaning_up_works() {
    let place = Place::new();
    let project = place.project("big");
    write(
        &project,
        "large",
        (0..2_000_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<_>>(),
    );
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "large"]);
    let script = r#"
        mkdir "$STEAD_ROOT" && mount -t tmpfs -o size=4m,mode=0700 tmpfs "$STEAD_ROOT" || exit 77
        fails() { "$STEAD" "$@" 2> err && exit 1; grep "$STEAD_ROOT" err > found || { cat err; exit 2; }; }
        set -e
        "$STEAD" create x --empty
        "$STEAD" exec x -- sh -c "echo x > file"
        fails create large --from big
        head -c 8m /dev/zero > "$STEAD_ROOT/fill" || true
        fails create y --empty
        grep "hint: .stead gc. collects what is old" err
        fails exec x -- sh -c "echo y > file"
        "$STEAD" status --porcelain | cut -f 1 > listed
        "$STEAD" rm x -f
        fails restore x
        "$STEAD" status --porcelain >> listed
        rm "$STEAD_ROOT/fill"
        "$STEAD" restore x
        grep x "$("$STEAD" path x)/file"
        "$STEAD" doctor > /dev/null
        ls -A "$STEAD_ROOT/staging" >> listed
        "$STEAD" rm x -f
        head -c 8m /dev/zero > "$STEAD_ROOT/fill" || true
        fails create y --empty
        "$STEAD" status --porcelain >> listed
        "$STEAD" gc --purge --yes
        "$STEAD" create y --empty
        mount -o remount,ro "$STEAD_ROOT"
        for reader in "status" "path y" "diff y" "log y"; do "$STEAD" $reader > /dev/null; done
        fails create z --empty
        fails exec y -- true
        fails rm y
        "$STEAD" gc --all > found && exit 3
        grep "Not done: .*$STEAD_ROOT.*Read-only" found
    "#;
    if in_a_namespace(&place, script) {
        let listed = std::fs::read_to_string(place.path().join("projects/listed")).expect("names");
        assert_eq!(listed, "x\n");
    }
}

#[test]
fn without_a_free_inode_it_is_said_what_cannot_be_made_and_emptying_the_trash_works() {
    let script = r#"
        mkdir "$STEAD_ROOT" && mount -t tmpfs -o nr_inodes=500,mode=0700 tmpfs "$STEAD_ROOT" || exit 77
        fails() { "$STEAD" "$@" 2> err && exit 1; grep "$STEAD_ROOT" err > found || { cat err; exit 2; }; }
        set -e
        for name in x y; do "$STEAD" create $name --empty; done
        "$STEAD" rm y
        mkdir "$STEAD_ROOT/fill"
        i=0; while touch "$STEAD_ROOT/fill/$i" 2> err; do i=$((i + 1)); done
        fails create z --empty
        fails exec x -- true
        fails rm x
        "$STEAD" status --porcelain | cut -f 1 | grep x
        "$STEAD" gc --purge --yes
        "$STEAD" rm x
        "$STEAD" restore x
        "$STEAD" doctor > /dev/null
    "#;
    in_a_namespace(&Place::new(), script);
}

/// Runs a script that mounts; false where that may not be, and the test of failing writes has to do.
fn in_a_namespace(place: &Place, script: &str) -> bool {
    let stead = place.stead([""; 0]);
    let mut command = std::process::Command::new("unshare");
    command.args(["-rm", "sh", "-c", script]).env_clear().current_dir(place.path().join("projects"));
    command.envs(stead.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("STEAD", stead.get_program());
    let Ok(output) = command.output() else { return false };
    if output.stderr.starts_with(b"unshare:") || output.status.code() == Some(77) {
        return false;
    }
    assert!(output.status.success(), "{}", describe(&output));
    true
}
