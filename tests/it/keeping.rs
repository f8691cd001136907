//! What `rm`, `gc` and `restore` keep: everything that comes back, every kind of work, whatever the clock says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Place, write};

/// Kind, mode and content of everything below `top`.
fn manifest(top: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut pending = vec![top.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = std::fs::symlink_metadata(&path).expect("metadata");
        let content = if metadata.is_dir() {
            pending.extend(std::fs::read_dir(&path).expect("directory").map(|entry| entry.expect("entry").path()));
            Vec::new()
        } else if metadata.is_symlink() {
            std::fs::read_link(&path).expect("link").into_os_string().into_encoded_bytes()
        } else {
            std::fs::read(&path).expect("file")
        };
        found.insert(path.strip_prefix(top).expect("below").to_owned(), (metadata.mode(), content));
    }
    found
}

/// The same of all parts of a workspace; of the record only what a restore must not change.
fn parts(place: &Place, name: &str) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for part in ["workspaces", "state", "homes"] {
        let found = manifest(&place.root().join(part).join("local").join(name));
        all.extend(found.into_iter().map(|(path, entry)| (Path::new(part).join(path), entry)));
    }
    let record = all.get_mut(Path::new("state/workspace.toml")).expect("a record");
    let text = String::from_utf8(record.1.clone()).expect("text");
    let kept = text.lines().filter(|line| !line.starts_with("last_used = ") && !line.starts_with("name = "));
    record.1 = kept.collect::<Vec<_>>().join("\n").into_bytes();
    all
}

/// Sets a time in a TOML file.
fn set_time(path: &Path, key: &str, time: &str) {
    let text = std::fs::read_to_string(path).expect("file");
    let set = |line: &str| {
        if line.starts_with(&format!("{key} = ")) { format!("{key} = \"{time}\"") } else { line.to_owned() }
    };
    std::fs::write(path, text.lines().map(set).collect::<Vec<_>>().join("\n")).expect("file");
}

fn trash(place: &Place) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place.root().join("trash")).expect("trash");
    entries.map(|entry| entry.expect("entry").path()).collect()
}

#[test]
fn every_byte_and_mode_comes_back_under_any_name() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api", "--env", "A=1"]);
    place.ok([
        "exec",
        "x",
        "--",
        "sh",
        "-c",
        "echo one > made; git commit -q --allow-empty -m made; mkdir -p empty/deep",
    ]);
    let tree = place.tree("x");
    write(&tree, "src/main.rs", "changed\n");
    place.git(&tree, ["stash", "-q"]);
    write(&tree, "secret", "s");
    std::fs::set_permissions(tree.join("secret"), std::fs::Permissions::from_mode(0o4751)).expect("mode");
    std::os::unix::fs::symlink("nowhere", tree.join("link")).expect("link");
    write(&place.root(), "homes/local/x/home/.config/agent", "login");
    let before = parts(&place, "x");
    place.ok(["rm", "-f", "x"]);
    place.ok(["restore", "x", "--as", "y"]);
    assert_eq!(parts(&place, "y"), before);
    assert!(!place.tree("x").exists());
    let (_, log) = place.json(["log", "y"]);
    assert_eq!(log["runs"][0]["workspace"], "y");
    assert_eq!(place.git(&place.tree("y"), ["stash", "list"]).lines().count(), 1);
    place.ok(["exec", "y", "--", "true"]);
    let before = parts(&place, "y");
    place.ok(["rm", "-f", "y"]);
    place.ok(["restore", "y"]);
    assert_eq!(parts(&place, "y"), before);
    assert_eq!(trash(&place).len(), 0);
}

#[test]
fn the_trash_is_listed_with_the_day_on_which_each_goes() {
    let place = Place::new();
    assert_eq!(place.ok(["restore"]), "The trash is empty.\n");
    place.ok(["create", "safe", "work", "--empty"]);
    write(&place.tree("work"), "new.txt", "work\n");
    place.ok(["rm", "safe"]);
    place.ok(["rm", "-f", "work"]);
    place.ok(["--user", "ann", "create", "hers", "--empty"]);
    place.ok(["--user", "ann", "rm", "hers"]);
    let text = place.ok(["restore"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("work  just now  rm  in 30 days  1 untracked file  20"), "{text}");
    assert!(lines[2].starts_with("safe  just now  rm  in 7 days   -                 20"), "{text}");
    assert_eq!(lines.len(), 4, "{text}");
    let (_, answer) = place.json(["--user", "ann", "restore"]);
    assert_eq!(answer["trash"][0]["name"], "hers");
    assert_eq!(answer["trash"][0]["safe"], true);
    let id = answer["trash"][0]["id"].as_str().expect("an id");
    place.fails(&["restore", id], 7, "is not of user `local`");
    place.ok(["--user", "ann", "restore", id]);
}

#[test]
fn the_latest_of_a_name_says_so_and_the_others_come_by_their_ids() {
    let place = Place::new();
    for content in ["old", "new"] {
        place.ok(["create", "x", "--empty"]);
        write(&place.tree("x"), "file", content);
        place.ok(["rm", "-f", "x"]);
    }
    let text = place.ok(["restore", "x"]);
    assert!(text.contains("It is the one removed last; 1 older one of the name in the trash.\n"), "{text}");
    let id = text.split("stead restore ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an id");
    place.fails(&["restore", id], 4, "there is already a workspace `x`");
    place.ok(["restore", id, "--as", "y"]);
    for (name, content) in [("x", "new"), ("y", "old")] {
        assert_eq!(std::fs::read_to_string(place.tree(name).join("file")).expect("file"), content);
    }
}

#[test]
fn what_git_ignores_is_named_when_it_goes_along() {
    let place = Place::new();
    let project = place.project("api");
    write(&project, ".gitignore", "*.log\nout/\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "ignore"]);
    place.ok(["create", "x", "y", "--from", "api"]);
    for name in ["x", "y"] {
        write(&place.tree(name), "out/a/big", vec![1; 100_000]);
        write(&place.tree(name), "docs/run.log", "x");
    }
    let text = place.ok(["rm", "x"]);
    assert!(text.contains("that git ignores: `docs/run.log`, `out`\n"), "{text}");
    let (_, answer) = place.json(["gc", "--all"]);
    let ignored = &answer["workspaces"][0]["ignored"];
    assert!(ignored["bytes"].as_u64().expect("bytes") >= 100_000, "{answer}");
    assert_eq!((&ignored["complete"], &ignored["paths"][1]["path"]), (&true.into(), &"out".into()));
}

#[test]
fn no_kind_of_unsaved_work_is_collected_at_any_age() {
    let place = Place::new();
    place.project("api");
    let names = [
        "untracked",
        "modified",
        "staged",
        "deleted",
        "committed",
        "stashed",
        "elsewhere",
        "nested",
        "merging",
        "hidden",
    ];
    place.ok(["create", "--from", "api"].iter().chain(&names).collect::<Vec<_>>());
    let tree = |name: &str| place.tree(name);
    let git = |name: &str, args: &[&str]| place.git(&tree(name), args.iter());
    write(&tree("untracked"), "new.txt", "work");
    write(&tree("modified"), "README.md", "work");
    write(&tree("staged"), "README.md", "staged work");
    git("staged", &["add", "README.md"]);
    write(&tree("staged"), "README.md", "# project\n");
    std::fs::remove_file(tree("deleted").join("README.md")).expect("file");
    git("committed", &["commit", "-q", "--allow-empty", "-m", "work"]);
    write(&tree("stashed"), "README.md", "work");
    git("stashed", &["stash", "-q"]);
    git("elsewhere", &["checkout", "-q", "-b", "topic"]);
    git("elsewhere", &["commit", "-q", "--allow-empty", "-m", "work"]);
    git("elsewhere", &["checkout", "-q", "stead/elsewhere"]);
    std::fs::create_dir(tree("nested").join("sub")).expect("directory");
    place.git(&tree("nested").join("sub"), ["init", "-q"]);
    place.git(&tree("nested").join("sub"), ["commit", "-q", "--allow-empty", "-m", "work"]);
    git("merging", &["checkout", "-q", "-b", "one"]);
    let head = git("merging", &["rev-parse", "HEAD"]);
    write(&tree("merging"), ".git/MERGE_HEAD", head);
    write(&tree("hidden"), ".git/info/exclude", "*\n");
    write(&tree("hidden"), ".gitignore", "notes\n");
    write(&tree("hidden"), "notes", "work");
    let (code, answer) = place.json(["gc", "--max-age", "0s"]);
    assert_eq!(code, 0);
    let items = answer["workspaces"].as_array().expect("workspaces");
    assert_eq!(items.len(), names.len());
    for item in items {
        assert_eq!((item["action"].as_str(), item["code"].as_str()), (Some("keep"), Some("unsaved")), "{item}");
        assert!(!item["unsaved"].as_array().expect("reasons").is_empty(), "{item}");
    }
    let said: BTreeMap<&str, &str> =
        items.iter().filter_map(|item| Some((item["name"].as_str()?, item["unsaved"][0]["code"].as_str()?))).collect();
    for (name, code) in [("stashed", "stash"), ("elsewhere", "commits"), ("nested", "nested"), ("merging", "operation")]
    {
        assert_eq!(said[name], code);
    }
    assert!(names.iter().all(|name| place.tree(name).exists()));
}

#[test]
fn a_dry_run_prints_the_plan_that_the_real_one_applies() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "gone", "work", "pinned", "--from", "api"]);
    place.ok(["create", "mine", "--empty"]);
    write(&place.tree("work"), "new.txt", "work");
    write(&place.root(), "workspaces/local/half/file", "x");
    write(&place.root(), "staging/dead/file", "x");
    place.ok(["rm", "mine"]);
    let comparable = |mut answer: Value| {
        answer["dry_run"].take();
        for item in answer["workspaces"].as_array_mut().expect("workspaces") {
            item.as_object_mut().expect("an object").remove("trash");
        }
        answer
    };
    let args = ["gc", "--all", "--purge", "--yes"];
    let planned = comparable(place.json([&args[..], &["-n"]].concat()).1);
    assert_eq!(comparable(place.json(args).1), planned);
    assert_eq!(planned["workspaces"].as_array().expect("workspaces").len(), 4, "{planned}");
}

#[test]
fn a_wrong_clock_empties_nothing_at_once() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    place.ok(["rm", "x"]);
    set_time(&trash(&place)[0].join("why.toml"), "removed", "2020-01-01T00:00:00Z");
    let text = place.ok(["gc"]);
    assert!(text.contains("there is no earlier run to compare the clock with"), "{text}");
    let mark = place.root().join("locks/.clock");
    let day = |days: i64| jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    for days in [-400, -2, 2, 400] {
        set_time(&mark, "wall", &day(days).to_string());
        let text = std::fs::read_to_string(&mark).expect("mark").replace("suspect = true", "suspect = false");
        std::fs::write(&mark, text).expect("mark");
        let text = place.ok(["gc"]);
        assert!(text.contains("the clock has jumped since the last run"), "{days}: {text}");
    }
    // Another boot, long before.
    set_time(&mark, "wall", &day(-400).to_string());
    set_time(&mark, "boot", "another");
    let text = place.ok(["gc"]);
    assert!(text.contains("the clock has jumped since the last run"), "{text}");
    assert_eq!(trash(&place).len(), 1);
    let text = place.ok(["gc"]);
    assert!(text.starts_with("Removed `x` from the trash"), "{text}");
}

#[test]
fn a_workspace_in_which_a_command_was_cut_off_is_kept() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    write(&place.root(), "state/local/x/journal.toml", "");
    let (_, answer) = place.json(["gc", "--all"]);
    assert_eq!(answer["workspaces"][0]["code"], "unfinished");
    assert!(place.tree("x").exists());
}

#[test]
fn several_collect_and_create_at_once_and_none_takes_what_another_uses() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "used", "--from", "api"]);
    let lock = std::fs::File::options().write(true).open(place.root().join("locks/local/used")).expect("lock");
    lock.lock().expect("lock");
    let mut collecting: Vec<_> = (0..2).map(|_| place.stead(["gc", "--all", "--purge", "--yes"])).collect();
    let collecting: Vec<_> = collecting
        .iter_mut()
        .map(|command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("stead starts"))
        .collect();
    for number in 0..3 {
        let name = format!("new{number}");
        place.ok(["create", &name, "--from", project.to_str().expect("text")]);
    }
    for mut child in collecting {
        child.wait().expect("an end");
    }
    assert!(place.tree("used").join("README.md").exists());
    drop(lock);
    place.git(&place.tree("used"), ["fsck", "--connectivity-only"]);
    let (code, answer) = place.json(["doctor"]);
    assert_eq!(code, 0, "{answer}");
}

#[test]
fn a_watch_goes_on_after_an_error_and_ends_at_once_when_told_to() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    std::fs::create_dir(place.root().join("locks/.clock")).expect("directory");
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut watch = place.stead(["gc", "--watch", "1h"]).stderr(Stdio::piped()).spawn().expect("stead starts");
        let mut line = String::new();
        let mut errors = BufReader::new(watch.stderr.take().expect("stderr"));
        errors.read_line(&mut line).expect("a line");
        assert!(line.starts_with("warning: "), "{line}");
        assert!(watch.try_wait().expect("a look").is_none());
        rustix::process::kill_process(rustix::process::Pid::from_child(&watch), signal).expect("signal");
        assert!(!watch.wait().expect("an end").success());
    }
    assert!(place.tree("x").exists());
}

#[test]
fn work_that_is_unsaved_never_goes_for_lack_of_space() {
    let place = Place::new();
    place.ok(["create", "safe", "work", "--empty"]);
    write(&place.tree("work"), "new.txt", "work");
    place.ok(["rm", "safe"]);
    place.ok(["rm", "-f", "work"]);
    assert_eq!(place.ok(["gc", "--max-size", "1"]), "Removed `safe` from the trash: space is short.\n");
    place.ok(["restore", "work"]);
}
