use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use crate::support::{Place, write};

fn workspace(place: &Place, name: &str) {
    let project = place.path().join("projects/p");
    if !project.exists() {
        place.project("p");
    }
    place.ok(["create", name, "--from", project.to_str().expect("text")]);
}

fn first(answer: &serde_json::Value) -> &serde_json::Value {
    &answer["workspaces"][0]
}

#[test]
fn nothing_is_said_of_an_empty_root() {
    let place = Place::new();
    assert_eq!(place.ok(["status"]), "");
    let (code, answer) = place.json(["status"]);
    assert_eq!((code, answer["workspaces"].as_array().map(Vec::len)), (0, Some(0)));
    assert!(!place.root().exists());
    assert_eq!(place.stead(["status", "w"]).output().expect("stead").status.code(), Some(3));
}

#[test]
fn a_new_workspace_is_clean_and_delivered() {
    let place = Place::new();
    workspace(&place, "w");
    let (code, answer) = place.json(["status", "w"]);
    let item = first(&answer);
    assert_eq!(code, 0);
    assert_eq!((&item["state"], &item["branch"]), (&"ready".into(), &"stead/w".into()));
    assert_eq!((&item["dirty"], &item["changes"]), (&0.into(), &0.into()));
    assert_eq!((&item["ahead"], &item["behind"]), (&0.into(), &0.into()));
    assert_eq!(item["delivered"], true);
    assert_eq!(item["head"], item["base"]);
    assert!(item["running"].is_null());
    assert!(item["expires"].is_string());
}

#[test]
fn work_is_counted_against_head_and_base() {
    let place = Place::new();
    workspace(&place, "w");
    let tree = place.tree("w");
    write(&tree, "one", "x\n");
    place.git(&tree, ["add", "."]);
    place.git(&tree, ["commit", "-q", "-m", "work"]);
    write(&tree, "two", "x\n");
    let (_, answer) = place.json(["status", "w"]);
    let item = first(&answer);
    assert_eq!((&item["dirty"], &item["changes"]), (&1.into(), &2.into()));
    assert_eq!((&item["ahead"], &item["behind"]), (&1.into(), &0.into()));
    assert_eq!(item["delivered"], false);
    assert_eq!(item["head"], place.git(&tree, ["rev-parse", "HEAD"]).trim());
    let facts = place.ok(["status", "w"]);
    assert!(facts.contains("delivered  no: 1 untracked file, 1 undelivered commit"), "{facts}");
}

#[test]
fn several_are_listed_by_name_in_every_form() {
    let place = Place::new();
    for name in ["b", "a", "c"] {
        workspace(&place, name);
    }
    let table = place.ok(["ls"]);
    let names: Vec<&str> = table.lines().map(|line| line.split(' ').next().expect("a name")).collect();
    assert_eq!(names, ["NAME", "a", "b", "c"]);
    let lines = place.ok(["status", "--porcelain", "c", "a"]);
    let head = place.git(&place.tree("a"), ["rev-parse", "HEAD"]);
    let fields: Vec<Vec<&str>> = lines.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(fields.len(), 2);
    assert_eq!(fields[0][..10], ["a", "ready", "stead/a", head.trim(), "0", "0", "0", "0", "yes", "-"]);
    assert_eq!(fields[0].len(), 13);
    assert_eq!(place.ok(["status", "-z"]).split_terminator('\0').count(), 3);
    let (code, answer) = place.json(["status", "a", "nosuch"]);
    assert_eq!(code, 1);
    assert_eq!(answer["workspaces"][1]["error"]["kind"], "not-found");
}

#[test]
fn sizes_and_totals_have_the_names_that_programs_know() {
    let place = Place::new();
    workspace(&place, "w");
    let (_, answer) = place.json(["status", "w", "--stats"]);
    let item = first(&answer);
    for key in ["size_bytes", "shared_bytes", "file_count", "subdirectories"] {
        assert!(item[key].as_u64().is_some_and(|count| count > 0), "{key}: {item}");
    }
    assert!(item["path"].as_str().is_some_and(|path| path.ends_with("workspaces/local/w")));
    let (_, summary) = place.json(["status", "--summary"]);
    assert_eq!((&summary["total"], &summary["active"], &summary["inactive"]), (&1.into(), &1.into(), &0.into()));
    assert!(summary["total_size_mb"].as_f64().is_some_and(|size| size > 0.0));
    assert!(summary["oldest_access"].is_string());
}

#[test]
fn a_workspace_in_use_is_marked_and_still_looked_at() {
    let place = Place::new();
    workspace(&place, "w");
    let mut run = place
        .stead(["exec", "w", "--isolation", "none", "--", "sh", "-c", "touch new; echo ready; read end"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("stead");
    let mut line = String::new();
    BufReader::new(run.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
    let (code, answer) = place.json(["status", "w", "--stats"]);
    run.stdin.take().expect("its input").write_all(b"end\n").expect("the end");
    run.wait().expect("its end");
    let item = first(&answer);
    assert_eq!((code, &item["running"]["command"]), (0, &"exec".into()), "{item}");
    assert_eq!(item["dirty"], 1);
    assert!(item["processes"].as_u64().is_some_and(|count| count > 0), "{item}");
    let (_, after) = place.json(["status", "w"]);
    assert!(first(&after)["running"].is_null());
}

#[test]
fn a_damaged_workspace_is_listed_among_the_others() {
    let place = Place::new();
    workspace(&place, "a");
    workspace(&place, "b");
    std::fs::write(place.root().join("state/local/a/workspace.toml"), "not a record").expect("the damage");
    let (code, answer) = place.json(["status"]);
    assert_eq!(code, 0);
    let states: Vec<_> =
        answer["workspaces"].as_array().expect("workspaces").iter().map(|item| &item["state"]).collect();
    assert_eq!(states, ["damaged", "ready"]);
    assert_eq!(first(&answer)["error"]["kind"], "damaged");
    assert_eq!(place.stead(["status", "a"]).output().expect("stead").status.code(), Some(9));
}

#[test]
fn a_hostile_git_directory_does_not_stop_a_look() {
    let place = Place::new();
    workspace(&place, "w");
    let git = place.tree("w").join(".git");
    std::fs::remove_file(git.join("HEAD")).expect("removed");
    std::fs::remove_file(git.join("config")).expect("removed");
    for name in ["HEAD", "config", "index.lock"] {
        rustix::fs::mkfifoat(rustix::fs::CWD, git.join(name), rustix::fs::Mode::RUSR).expect("a fifo");
    }
    let (code, answer) = place.json(["status", "w"]);
    let item = first(&answer);
    assert_eq!((code, &item["changes"], &item["delivered"]), (0, &0.into(), &false.into()), "{item}");
}
