//! `stead doctor`: what it finds, and what it mends. Each check has a test that breaks just that.

mod host;
mod objects;
mod runs;
mod state;

use serde_json::Value;
use snapbox::{assert_data_eq, str};

use crate::support::{Place, write};

fn checks<'a>(answer: &'a Value, name: &str) -> Vec<(&'a str, &'a str)> {
    let all = answer["checks"].as_array().expect("an array").iter();
    let named = all.filter(|check| check["name"] == name);
    named.map(|check| (check["status"].as_str().expect("text"), check["message"].as_str().expect("text"))).collect()
}

#[test]
fn a_host_without_a_root_is_healthy_and_stays_without_one() {
    let place = Place::new();
    let (code, answer) = place.json(["doctor"]);
    assert_eq!((code, answer["healthy"].as_bool()), (0, Some(true)));
    assert_eq!(answer["workspace_dir"].as_str(), place.root().to_str());
    assert!(answer["timestamp"].as_str().expect("text").ends_with('Z'));
    let (status, message) = checks(&answer, "wall")[0];
    let best = message == "runs are kept behind namespaces, Landlock and seccomp";
    assert_eq!(status, if best { "ok" } else { "warning" }, "{message}");
    assert!(!place.root().exists());
}

#[test]
fn a_root_that_others_may_write_is_a_problem() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    std::fs::set_permissions(place.root(), std::fs::Permissions::from_mode(0o777)).expect("mode");
    let (code, answer) = place.json(["doctor"]);
    assert_eq!((code, answer["healthy"].as_bool()), (9, Some(false)));
    assert_eq!(checks(&answer, "root")[0].0, "problem");
    // What somebody else may have written by now is not for a program to judge.
    let text = place.transcript(&mut place.stead(["doctor", "--repair"]));
    assert!(text.starts_with("exit status: 9") && text.contains("run `chmod go-w '[PLACE]/root'` if nobody"), "{text}");
    std::fs::set_permissions(place.root(), std::fs::Permissions::from_mode(0o700)).expect("mode");
    assert_eq!(place.json(["doctor"]).0, 0);
}

#[test]
fn a_root_of_another_format_is_a_problem() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    for (text, says) in
        [("format = 2\n", "has format 2, and this stead knows"), ("format = \"x\"", "stead.toml` is damaged")]
    {
        write(&place.root(), "stead.toml", text);
        let (code, answer) = place.json(["doctor", "--repair"]);
        let (status, message) = checks(&answer, "root")[0];
        assert!((code, status) == (9, "problem") && message.contains(says), "{answer}");
        assert_eq!(std::fs::read_to_string(place.root().join("stead.toml")).expect("a file"), text);
    }
    write(&place.root(), "stead.toml", "format = 1\n");
    assert_eq!(place.json(["doctor"]).0, 0);
}

#[test]
fn a_root_that_has_lost_its_format_gets_it_back() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    let path = place.root().join("stead.toml");
    for text in [None, Some(""), Some("\0\0\0"), Some("format =")] {
        std::fs::remove_file(&path).expect("removed");
        if let Some(text) = text {
            write(&place.root(), "stead.toml", text);
        }
        assert_eq!(checks(&place.json(["doctor"]).1, "root")[0].0, "problem");
        place.fails(&["status"], if text.is_none() { 7 } else { 9 }, "`stead doctor --repair`");
        let (code, answer) = place.json(["doctor", "--repair"]);
        assert_eq!((code, checks(&answer, "root")[1].0), (0, "repaired"), "{answer}");
        place.ok(["exec", "one", "--", "true"]);
    }
    std::fs::remove_dir_all(place.root().join("locks")).expect("removed");
    place.ok(["exec", "one", "--", "true"]);
    // A directory of somebody else's is none.
    std::fs::remove_file(&path).expect("removed");
    std::fs::remove_dir_all(place.root().join("staging")).expect("removed");
    assert_eq!(place.json(["doctor", "--repair"]).0, 9);
    assert!(!path.exists());
}

#[test]
fn a_record_that_is_no_file_is_damaged() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    let path = place.root().join("state/local/one/workspace.toml");
    std::fs::remove_file(&path).expect("removed");
    std::fs::create_dir(&path).expect("a directory");
    place.fails(&["status", "one"], 9, "workspace.toml` is damaged: it is not a file");
    assert_eq!(checks(&place.json(["doctor"]).1, "workspace")[0].0, "problem");
    assert_eq!(place.json(["doctor", "--repair"]).0, 0);
    place.ok(["exec", "one", "--", "true"]);
}

#[test]
fn a_lost_record_is_made_anew_from_store_and_pool() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "one", "--from", project.to_str().expect("UTF-8")]);
    let path = place.root().join("state/local/one/workspace.toml");
    let before: toml::Table = std::fs::read_to_string(&path).expect("record").parse().expect("TOML");
    std::fs::write(&path, "schema = 1\nname =").expect("file");
    let text = place.transcript(&mut place.stead(["doctor"]));
    assert!(text.starts_with("exit status: 9") && text.contains("PROBLEM   workspace    `one`: "), "{text}");

    let (code, answer) = place.json(["doctor", "--repair"]);
    assert_eq!(code, 0, "{answer}");
    assert_eq!(checks(&answer, "workspace")[0].0, "repaired");
    let after: toml::Table = std::fs::read_to_string(&path).expect("record").parse().expect("TOML");
    for key in ["name", "user", "source", "pool", "branch", "upstream", "base", "created", "created_snapshot"] {
        assert_eq!(after.get(key), before.get(key), "{key}");
    }
    assert_eq!(place.json(["doctor"]).0, 0);
    // The damaged one is kept beside it.
    let kept = path.parent().expect("state").read_dir().expect("directory");
    assert!(
        kept.map(|entry| entry.expect("entry").file_name()).any(|name| name.to_string_lossy().contains(".damaged-"))
    );
}

#[test]
fn halves_go_to_the_trash_and_dead_staging_goes() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    write(&place.root(), "workspaces/local/half/file", "x");
    write(&place.root(), "staging/dead/file", "x");
    let (code, answer) = place.json(["doctor"]);
    assert_eq!(code, 9);
    assert_eq!(checks(&answer, "workspace"), [("problem", "`half`: it is half-made or half-removed")]);
    assert_eq!(checks(&answer, "staging"), [("warning", "1 left by commands that never ended")]);

    assert_eq!(place.json(["doctor", "--repair"]).0, 0);
    assert!(!place.tree("half").exists() && place.tree("one").exists());
    let kept = place.root().join("trash").read_dir().expect("directory").next().expect("one").expect("entry").path();
    assert_eq!(std::fs::read_to_string(kept.join("tree/file")).expect("file"), "x");
    assert!(!place.root().join("staging/dead").exists());
}

#[test]
fn a_home_or_a_tree_without_the_other_is_named_and_a_home_is_mended() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    write(&place.root(), "homes/local/ghost/home/.cache/file", "x");
    let (code, answer) = place.json(["doctor"]);
    assert_eq!(code, 9);
    assert_eq!(checks(&answer, "workspace"), [("problem", "`ghost`: it is half-made or half-removed")]);
    assert_eq!(place.json(["doctor", "--repair"]).0, 0);
    let kept = place.root().join("trash").read_dir().expect("directory").next().expect("one").expect("entry").path();
    assert_eq!(std::fs::read_to_string(kept.join("homes/home/.cache/file")).expect("file"), "x");

    std::fs::remove_dir_all(place.root().join("homes/local/one")).expect("removed");
    assert_eq!(checks(&place.json(["doctor"]).1, "workspace"), [("problem", "`one`: its home is gone")]);
    let (code, answer) = place.json(["doctor", "--repair"]);
    assert_eq!((code, checks(&answer, "workspace")[0].0), (0, "repaired"), "{answer}");
    place.ok(["exec", "one", "--", "true"]);
    assert_eq!(place.json(["doctor"]).0, 0);

    std::fs::remove_dir_all(place.tree("one")).expect("removed");
    std::fs::write(place.tree("one"), "").expect("written");
    let named = [("problem", "`one`: its tree is not a directory any more")];
    assert_eq!(checks(&place.json(["doctor"]).1, "workspace"), named);
    std::fs::remove_file(place.tree("one")).expect("removed");
    for args in [&["doctor"][..], &["doctor", "--repair"]] {
        let text = place.transcript(&mut place.stead(args));
        let says = "PROBLEM   workspace    `one`: its tree is gone\n  hint: `stead rm -f one` moves the rest of it to the trash\n";
        assert!(text.starts_with("exit status: 9") && text.contains(says), "{text}");
    }
    place.ok(["rm", "-f", "one"]);
    assert_eq!(place.json(["doctor"]).0, 0);
}

#[test]
fn a_journal_that_cannot_be_read_is_put_aside_and_one_of_a_newer_stead_is_left() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    let state = place.root().join("state/local/one");
    let journal = state.join("journal.toml");
    write(&state, "journal.toml", "schema = 2\n");
    for args in [&["doctor"][..], &["doctor", "--repair"]] {
        let (code, answer) = place.json(args);
        let (status, message) = checks(&answer, "workspace")[0];
        assert!((code, status) == (9, "problem") && message.contains("was written by a newer stead"), "{answer}");
        assert!(answer.to_string().contains("use the stead that wrote it, or a newer one"), "{answer}");
    }
    write(&state, "journal.toml", "schema = ");
    write(&state, "pending-git/HEAD", "half");
    place.fails(&["exec", "one", "--", "true"], 125, "is damaged");
    let (code, answer) = place.json(["doctor"]);
    let (status, message) = checks(&answer, "workspace")[0];
    assert!((code, status) == (9, "problem") && message.contains("journal.toml` is damaged"), "{answer}");
    let (code, answer) = place.json(["doctor", "--repair"]);
    let (status, message) = checks(&answer, "workspace")[0];
    let says = "; it is set aside; what was under way may be half done: look at `stead diff one`";
    assert!((code, status) == (0, "repaired") && message.ends_with(says), "{answer}");
    assert!(!journal.exists() && !state.join("pending-git").exists());
    let names = state.read_dir().expect("directory").map(|entry| entry.expect("entry").file_name());
    let aside: Vec<_> = names.filter(|name| name.to_string_lossy().contains(".damaged-")).collect();
    assert_eq!(aside.len(), 2, "{aside:?}");
    assert_eq!(place.json(["doctor"]).0, 0);
    place.ok(["exec", "one", "--", "true"]);
}

#[test]
fn what_is_in_the_place_of_a_lock_is_put_aside() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    let lock = place.root().join("locks/local/one");
    std::fs::remove_file(&lock).expect("removed");
    std::os::unix::fs::symlink("/dev/null", &lock).expect("link");
    place.fails(&["rm", "one"], 1, "cannot open the lock");
    let (code, answer) = place.json(["doctor"]);
    let (status, message) = checks(&answer, "lock")[0];
    assert!((code, status) == (9, "problem") && message.ends_with("is not a file, and nobody can work in `one`"));
    let (code, answer) = place.json(["doctor", "--repair"]);
    assert_eq!((code, checks(&answer, "lock")[0].0), (0, "repaired"), "{answer}");
    assert_eq!(place.json(["doctor"]).0, 0);
    place.ok(["rm", "one"]);
}

#[test]
fn a_time_in_the_future_is_named_and_no_more() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    let path = place.root().join("state/local/one/workspace.toml");
    let record = std::fs::read_to_string(&path).expect("record");
    let lines = record
        .lines()
        .map(|line| if line.starts_with("last_used") { "last_used = \"2999-01-01T00:00:00Z\"" } else { line });
    std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).expect("written");
    let (code, answer) = place.json(["doctor"]);
    assert_eq!(code, 0);
    assert_eq!(
        checks(&answer, "workspace"),
        [("warning", "`one`: it was last used in the future, at 2999-01-01T00:00:00Z")]
    );
    place.ok(["exec", "one", "--", "true"]);
    assert_eq!(checks(&place.json(["doctor"]).1, "workspace"), []);
}

#[test]
fn a_root_that_moved_is_whole_again_after_a_repair() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "one", "--from", project.to_str().expect("UTF-8")]);
    let moved = place.path().join("moved ü");
    std::fs::rename(place.root(), &moved).expect("rename");
    let doctor = |repair: bool| {
        let mut command = place.stead(["--json", "doctor"]);
        command.args(repair.then_some("--repair")).env("STEAD_ROOT", &moved);
        let output = command.output().expect("stead starts");
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).expect("JSON"))
    };
    let (code, answer) = doctor(false);
    assert_eq!((code, checks(&answer, "workspace").len()), (Some(9), 2), "{answer}");
    assert_eq!(doctor(true).0, Some(0));
    assert_eq!(doctor(false).0, Some(0));
    let tree = moved.join("workspaces/local/one");
    assert_eq!(place.git(&tree, ["status", "--porcelain"]), "");
    assert_eq!(place.git(&tree, ["log", "--format=%s"]), "second\nfirst\n");
}

#[test]
fn text_is_one_line_a_check() {
    let place = Place::new();
    let text = place.ok(["doctor"]);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("  hint:"))
        .map(|line| line.split_whitespace().nth(1).unwrap_or("end"))
        .collect();
    assert_data_eq!(
        format!("{}\n", lines.join("\n")),
        str![[r#"
root
space
git
agents
toolchains
namespaces
landlock
overlayfs
cgroup
wall
container
clock
end

"#]]
    );
}

#[test]
fn what_others_may_read_is_named_and_made_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    place.ok(["exec", "one", "--", "echo", "secret"]);
    assert_eq!(checks(&place.json(["doctor"]).1, "permissions")[0].0, "ok");
    let runs = place.root().join("state/local/one/runs");
    let run = runs.read_dir().expect("runs").next().expect("a run").expect("an entry").path();
    for path in [run.join("out"), run, runs, place.root().join("state"), place.root().join("homes/local/one")] {
        let mode = path.metadata().expect("metadata").permissions().mode();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode | 0o055)).expect("mode");
        let (code, answer) = place.json(["doctor"]);
        assert_eq!((code, checks(&answer, "permissions")[0].0), (9, "problem"), "{answer}");
        assert!(checks(&answer, "permissions")[0].1.contains(path.to_str().expect("text")), "{answer}");
        let (code, answer) = place.json(["doctor", "--repair"]);
        assert_eq!((code, checks(&answer, "permissions")[0].0), (0, "repaired"), "{answer}");
        assert_eq!(path.metadata().expect("metadata").permissions().mode() & 0o77, 0);
        assert_eq!(checks(&place.json(["doctor"]).1, "permissions")[0].0, "ok");
    }
}

#[test]
fn what_belongs_to_somebody_else_is_named_and_left() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    // Only root can give a file away.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    let state = place.root().join("state/local/one");
    chown(&state, Some(12345), None).expect("another owner");
    for arguments in [&["doctor"][..], &["doctor", "--repair"]] {
        let (code, answer) = place.json(arguments);
        let (status, message) = checks(&answer, "permissions")[0];
        assert_eq!((code, status), (9, "problem"), "{answer}");
        assert!(message.contains("state/local/one` belongs to somebody else"), "{answer}");
    }
    assert_eq!(state.metadata().expect("metadata").uid(), 12345);
    chown(&state, Some(0), None).expect("the owner");
    assert_eq!(checks(&place.json(["doctor"]).1, "permissions")[0].0, "ok");
}

#[test]
fn what_a_restore_leaves_in_the_trash_goes() {
    let place = Place::new();
    place.ok(["create", "one", "--empty"]);
    write(&place.root(), "trash/20260101-000000-000000-0000/why.toml", "x");
    let (code, answer) = place.json(["doctor"]);
    assert_eq!((code, checks(&answer, "trash")[0].0), (0, "warning"), "{answer}");
    let (_, answer) = place.json(["doctor", "--repair"]);
    assert_eq!(checks(&answer, "trash"), [("repaired", "1 that a restore has left empty, removed")]);
    assert_eq!(checks(&place.json(["doctor"]).1, "trash"), [("ok", "0 kept")]);
}
