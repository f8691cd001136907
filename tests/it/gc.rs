//! `stead gc`.

use std::path::Path;

use crate::support::{Place, describe, write};

/// Sets a time in a TOML file.
fn set_time(path: &Path, key: &str, time: &str) {
    let text = std::fs::read_to_string(path).expect("file");
    let lines: Vec<String> = text
        .lines()
        .map(|line| if line.starts_with(&format!("{key} = ")) { format!("{key} = \"{time}\"") } else { line.into() })
        .collect();
    std::fs::write(path, lines.join("\n")).expect("file");
}

fn entries(place: &Place, part: &str) -> Vec<std::path::PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(place.root().join(part))
        .expect("directory")
        .map(|entry| entry.expect("entry").path())
        .collect();
    entries.sort();
    entries
}

#[test]
fn what_is_unused_and_saved_goes_and_the_rest_is_kept_with_the_reason() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "clean", "fresh", "pinned", "work", "--from", "api"]);
    write(&place.tree("work"), "new.txt", "work\n");
    let state = place.root().join("state/local");
    for name in ["clean", "pinned", "work"] {
        set_time(&state.join(name).join("workspace.toml"), "last_used", "2020-01-01T00:00:00Z");
    }
    let record = std::fs::read_to_string(state.join("pinned/workspace.toml")).expect("record");
    std::fs::write(state.join("pinned/workspace.toml"), record.replace("pinned = false", "pinned = true"))
        .expect("record");
    let shown = place.ok(["gc", "-n"]);
    assert!(shown.starts_with("Would move `clean` to the trash: not used for "), "{shown}");
    assert!(
        shown.ends_with(
            " days.\nKept `fresh`: it is due in 7 days.\nKept `pinned`: it is pinned.\n\
             Kept `work`: it has unsaved work.\n  1 untracked file: `new.txt`\n"
        ),
        "{shown}"
    );
    assert!(place.tree("clean").exists());
    let (_, answer) = place.json(["gc", "-n"]);
    let codes: Vec<_> = answer["workspaces"].as_array().unwrap().iter().map(|one| one["code"].clone()).collect();
    assert_eq!(codes, ["expired", "not_due", "pinned", "unsaved"]);
    let output = place.stead(["gc"]).output().expect("stead starts");
    let shown: String =
        shown.split_inclusive('\n').filter(|line| !line.contains("fresh") && !line.contains("pinned")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), shown.replace("Would move", "Moved"));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "Also kept: 1 not due yet, 1 pinned.\n");
    let output = place.stead(["gc", "--max-age", "36500d"]).output().expect("stead starts");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "Nothing to collect: 2 not due yet, 1 pinned. `stead gc -n` tells of each.\n"
    );
    let left: Vec<_> = entries(&place, "workspaces/local");
    assert_eq!(left, ["fresh", "pinned", "work"].map(|name| place.tree(name)));
    place.ok(["restore", "clean"]);
}

#[test]
fn all_takes_idle_workspaces_of_any_age_and_nothing_in_use() {
    let place = Place::new();
    place.ok(["create", "idle", "used", "--empty"]);
    let lock = std::fs::File::options().write(true).open(place.root().join("locks/local/used")).expect("lock");
    lock.lock().expect("lock");
    assert_eq!(place.ok(["gc"]), "");
    let text = place.ok(["gc", "--all"]);
    assert!(text.starts_with("Moved `idle` to the trash: idle.\nKept `used`: it is in use"), "{text}");
    drop(lock);
}

#[test]
fn only_what_belongs_to_the_user_is_touched_unless_all_users_are_asked_for() {
    let place = Place::new();
    place.ok(["create", "mine", "gone", "--empty"]);
    place.ok(["--user", "ann", "create", "hers", "lost", "--empty"]);
    place.ok(["rm", "gone"]);
    place.ok(["--user", "ann", "rm", "lost"]);
    assert_eq!(place.ok(["gc", "--all"]), "Moved `mine` to the trash: idle.\n");
    place.ok(["restore", "mine"]);
    let text = place.ok(["gc", "--purge", "--yes", "--max-size", "1", "--max-age", "36500d"]);
    assert!(text.contains("`gone`") && !text.contains("`lost`") && !text.contains("hers"), "{text}");
    let text = place.ok(["gc", "--all-users", "--all"]);
    assert_eq!(text, "Moved `ann/hers` to the trash: idle.\n");
    place.ok(["--user", "ann", "restore", "lost"]);
}

#[test]
fn a_delivered_commit_lets_it_go() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    write(&tree, "new.txt", "work\n");
    place.git(&tree, ["add", "."]);
    place.git(&tree, ["commit", "-q", "-m", "work"]);
    let text = place.ok(["gc", "--all"]);
    assert_eq!(text, "Kept `x`: it has unsaved work.\n  1 undelivered commit\n");
    place.git(&project, ["pull", "-q", tree.to_str().expect("text"), "stead/x"]);
    assert_eq!(place.ok(["gc", "--all"]), "Moved `x` to the trash: idle.\n");
}

#[test]
fn what_was_brought_to_the_project_lets_it_go_as_long_as_it_is_there() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "branch", "folder", "--from", "api"]);
    for name in ["branch", "folder"] {
        write(&place.tree(name), "new.txt", "work\n");
        write(&place.tree(name), "README.md", name);
        std::fs::remove_file(place.tree(name).join("docs/guide.md")).expect("file");
    }
    place.ok(["sync", "branch", "--to"]);
    place.ok(["sync", "folder", "--to", project.to_str().expect("text"), "--apply"]);
    write(&project, "new.txt", "changed since\n");
    let text = place.ok(["gc", "--all"]);
    assert_eq!(
        text,
        "Moved `branch` to the trash: idle.\nKept `folder`: it has unsaved work.\n  1 untracked file: `new.txt`\n"
    );
    write(&project, "new.txt", "work\n");
    assert_eq!(place.ok(["gc", "--all"]), "Moved `folder` to the trash: idle.\n");
}

#[test]
fn a_damaged_workspace_is_never_collected() {
    let place = Place::new();
    place.ok(["create", "x", "y", "--empty"]);
    std::fs::write(place.root().join("state/local/x/workspace.toml"), "?").expect("file");
    std::fs::remove_file(place.root().join("state/local/y/workspace.toml")).expect("file");
    let text = place.ok(["gc", "--all"]);
    assert!(text.starts_with("Kept `x`: it is damaged: "), "{text}");
    assert!(text.contains("Kept `y`: it is damaged: its record is missing.\n"), "{text}");
    assert!(place.tree("x").exists() && place.tree("y").exists());
}

#[test]
fn what_a_crash_leaves_is_finished() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    place.ok(["rm", "x"]);
    // A removal that was cut off after its first step, a creation before its last, and something under construction.
    let [entry] = &entries(&place, "trash")[..] else { panic!("one entry") };
    std::fs::rename(entry.join("tree"), place.tree("x")).expect("moved");
    std::fs::create_dir(place.tree("half")).expect("directory");
    std::fs::create_dir_all(place.root().join("staging/dead/deep")).expect("directory");
    let text = place.ok(["gc"]);
    assert_eq!(
        text,
        "Moved `half` to the trash: half-made or half-removed.\n\
         Moved `x` to the trash: half-made or half-removed.\n\
         Removed what was left of 1 command that never ended.\n"
    );
    assert_eq!(entries(&place, "workspaces/local").len(), 0);
    assert_eq!(entries(&place, "staging").len(), 0);
    place.ok(["restore", "x"]);
    assert!(place.tree("x").exists());
    assert_eq!(place.ok(["gc"]), "");
}

#[test]
fn the_trash_is_emptied_by_age_and_unsaved_work_later() {
    let place = Place::new();
    place.ok(["create", "safe", "work", "--empty"]);
    write(&place.tree("work"), "new.txt", "work\n");
    place.ok(["rm", "-f", "safe", "work"]);
    let ago = |days: i64| {
        let time = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(days * 86_400);
        for entry in entries(&place, "trash") {
            set_time(&entry.join("why.toml"), "removed", &time.to_string());
        }
    };
    ago(6);
    assert_eq!(place.ok(["gc"]), "");
    ago(8);
    assert_eq!(place.ok(["gc"]), "Removed `safe` from the trash: removed 8 days ago.\n");
    ago(29);
    assert_eq!(place.ok(["gc"]), "");
    ago(31);
    assert_eq!(place.ok(["gc"]), "Removed `work` from the trash: removed 31 days ago.\n  unsaved: 1 untracked file\n");
    assert_eq!(entries(&place, "trash").len(), 0);
}

#[test]
fn a_time_in_the_future_keeps_the_trash_until_a_second_run() {
    let place = Place::new();
    place.ok(["create", "x", "y", "--empty"]);
    place.ok(["rm", "x"]);
    set_time(&entries(&place, "trash")[0].join("why.toml"), "removed", "2020-01-01T00:00:00Z");
    set_time(&place.root().join("state/local/y/workspace.toml"), "last_used", "2999-01-01T00:00:00Z");
    let text = place.ok(["gc"]);
    assert!(
        text.starts_with("Nothing was taken out of the trash by its age: a stored time is in the future"),
        "{text}"
    );
    assert_eq!(entries(&place, "trash").len(), 1);
    let text = place.ok(["gc"]);
    assert!(text.starts_with("Removed `x` from the trash"), "{text}");
}

#[test]
fn purging_asks_and_takes_the_pool_along_when_nothing_refers_to_it() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    place.ok(["rm", "x"]);
    let output = place.stead(["gc", "--purge"]).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(7), "{}", describe(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--yes"), "{}", describe(&output));
    assert_eq!(entries(&place, "trash").len(), 1);
    let before = place.ok(["gc", "-n"]);
    assert_eq!(before, "", "the trash refers to the pool");
    let text = place.ok(["gc", "--purge", "--yes"]);
    assert_eq!(text, "Removed `x` from the trash: purged.\nRemoved 1 pool that nothing refers to.\n");
    assert!(entries(&place, "pools").iter().all(|path| path.extension().is_some_and(|end| end == "lock")));
    place.ok(["create", "x", "--from", "api"]);
}

#[test]
fn a_size_takes_the_longest_unused_and_saved_work_for_good() {
    let place = Place::new();
    place.ok(["create", "older", "newer", "work", "--empty"]);
    for (name, year) in [("older", 2024), ("newer", 2025), ("work", 2023)] {
        write(&place.tree(name), ".git/info/padding", vec![1; 3 << 20]);
        set_time(
            &place.root().join("state/local").join(name).join("workspace.toml"),
            "last_used",
            &format!("{year}-01-01T00:00:00Z"),
        );
    }
    write(&place.tree("work"), "new.txt", "work\n");
    let text = place.ok(["gc", "--max-age", "100000d", "--max-size", "8M"]);
    assert_eq!(
        text,
        "Removed `older` for good: space is short.\n\
         Kept `work`: it has unsaved work.\n  1 untracked file: `new.txt`\n"
    );
    assert!(place.tree("newer").exists() && !place.tree("older").exists());
    assert_eq!(entries(&place, "trash").len(), 0);
}

#[test]
fn one_watch_per_user() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    let lock = std::fs::File::create(place.root().join("locks/local/.watch")).expect("lock");
    lock.lock().expect("lock");
    let output = place.stead(["gc", "--watch", "1h"]).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(5), "{}", describe(&output));
    drop(lock);
}

#[test]
fn a_watch_collects_and_ends_when_it_is_told_to() {
    use std::io::Read;
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    let mut watch = place
        .stead(["gc", "--all", "--watch", "1h"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("stead starts");
    let mut line = [0; 6];
    watch.stdout.as_mut().expect("stdout").read_exact(&mut line).expect("a line");
    assert_eq!(&line, b"Moved ");
    let pid = rustix::process::Pid::from_child(&watch);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signal");
    assert!(!watch.wait().expect("end").success());
    assert!(!place.tree("x").exists());
}

#[test]
fn a_pool_stays_for_a_workspace_whose_record_is_lost() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let record = place.root().join("state/local/x/workspace.toml");
    std::fs::remove_file(&record).expect("removed");
    assert_eq!(place.ok(["gc", "--all"]), "Kept `x`: it is damaged: its record is missing.\n");
    place.ok(["doctor", "--repair"]);
    place.git(&place.tree("x"), ["fsck", "--strict"]);
}

#[test]
fn a_pool_stays_for_a_workspace_that_is_being_made() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let record = std::fs::read(place.root().join("state/local/x/workspace.toml")).expect("a record");
    let pools = || entries(&place, "pools").into_iter().filter(|path| path.is_dir()).collect::<Vec<_>>();
    let pool = pools().remove(0);
    // As a `create` has it from the end of its fetch on: shared with others.
    let used: Vec<_> = (0..2).map(|_| std::fs::File::open(&pool).expect("a directory")).collect();
    for user in &used {
        user.lock_shared().expect("a lock");
    }
    place.ok(["rm", "x"]);
    place.ok(["gc", "--all", "--purge", "--yes"]);
    assert_eq!(pools().len(), 1);
    // What was left in staging counts until it is swept.
    let staging = place.root().join("staging/20260101-000000-000000-0000");
    write(&staging, "state/workspace.toml", record);
    drop(used);
    place.ok(["gc"]);
    assert_eq!((pools().len(), staging.exists()), (1, false));
    place.ok(["gc"]);
    assert_eq!(pools().len(), 0);
}

#[test]
fn nothing_is_collected_where_there_is_no_root() {
    let place = Place::new();
    let (code, answer) = place.json(["gc"]);
    assert_eq!(code, 0);
    assert_eq!(answer["workspaces"].as_array().map(Vec::len), Some(0));
    assert!(!place.root().exists());
}

#[test]
fn temporary_files_of_writes_that_never_ended_go_after_a_day() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    place.ok(["exec", "x", "--", "true"]);
    let runs = place.root().join("state/local/x/runs");
    let run = runs.read_dir().expect("runs").next().expect("a run").expect("a run").path();
    let state = place.root().join("state/local/x");
    let packs = state.join("store.git/objects/pack");
    let directories = [place.root(), place.root().join("pools"), state, packs, run];
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(25);
    for directory in &directories {
        write(directory, ".stead-tmp-new", "");
        write(directory, ".stead-tmp-old", "");
        let file = std::fs::File::open(directory.join(".stead-tmp-old")).expect("file");
        file.set_modified(old).expect("a time");
    }
    // The agent's own.
    write(&place.tree("x"), ".stead-tmp-old", "");
    std::fs::File::open(place.tree("x").join(".stead-tmp-old")).expect("file").set_modified(old).expect("a time");
    let (_, answer) = place.json(["doctor"]);
    let staging = answer["checks"].as_array().expect("checks").iter().find(|check| check["name"] == "staging");
    assert_eq!(staging.expect("a check")["message"], "5 left by commands that never ended", "{answer}");
    place.ok(["gc", "--dry-run"]);
    assert!(directories[0].join(".stead-tmp-old").exists());
    place.ok(["gc"]);
    for directory in &directories {
        assert!(!directory.join(".stead-tmp-old").exists(), "{}", directory.display());
        assert!(directory.join(".stead-tmp-new").exists(), "{}", directory.display());
    }
    assert!(place.tree("x").join(".stead-tmp-old").exists());
}
