//! `stead config`, and where settings come from.

use snapbox::{assert_data_eq, str};

use crate::support::{Place, write};

#[test]
fn each_setting_says_where_it_comes_from() {
    let place = Place::new();
    write(&place.home(), ".config/stead/config.toml", "[gc]\nmax_age = '3d'\n");
    assert_data_eq!(
        place.transcript(place.stead(["config", "show", "gc"]).env("STEAD_AGENT", "pi")),
        str![[r#"
exit status: 0
--- stdout
KEY           VALUE  FROM
gc.max_age    "3d"   [PLACE]/home/.config/stead/config.toml
gc.max_size   -      -
gc.trash_age  "7d"   default
--- stderr

"#]]
    );
    let (code, answer) = place.json(["config", "show", "root"]);
    assert_eq!(code, 0);
    let root = &answer["settings"][0];
    assert_eq!(root["value"].as_str(), place.root().to_str());
    assert_eq!((root["origin"].as_str(), root["from"].as_str()), (Some("environment"), Some("STEAD_ROOT")));
    let (_, answer) = place.json(["config", "show"]);
    assert!(answer["settings"].as_array().expect("an array").len() > 15);
}

#[test]
fn an_unknown_key_in_a_file_is_shown_with_line_and_caret() {
    let place = Place::new();
    write(&place.home(), ".config/stead/config.toml", "agent = 'pi'\n\n[exec]\ntiemout = '5m'\n");
    assert_data_eq!(
        place.transcript(&mut place.stead(["status"])),
        str![[r#"
exit status: 2
--- stdout
--- stderr
error: unknown key `exec.tiemout` in `[PLACE]/home/.config/stead/config.toml`, line 4, column 1
  4 | tiemout = '5m'
    | ^^^^^^^
  hint: did you mean `timeout`?

"#]]
    );
    assert!(!place.root().exists(), "nothing happens before the settings are right");
    // In exec it is stead's own failure, not the command's.
    assert_eq!(place.json(["exec", "x", "--", "true"]).0, 125);
    // What needs no settings goes on working.
    assert!(place.ok(["completions", "bash"]).contains("stead"));
}

#[test]
fn a_bad_value_is_shown_with_what_would_be_right() {
    let place = Place::new();
    write(&place.home(), ".config/stead/config.toml", "exec.isolation = 'docker'");
    let (code, answer) = place.json(["status"]);
    assert_eq!(code, 2);
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(message.contains("must be `auto` or `namespaces` or `landlock` or `container` or `none`"), "{message}");
    assert_eq!(answer["error"]["causes"][0].as_str(), Some("line 1, column 18: exec.isolation = 'docker'"));
}

#[test]
fn what_a_project_may_not_set_is_passed_by_until_it_is_trusted() {
    let place = Place::new();
    let project = place.project("api");
    write(&project, ".stead.toml", "agent = 'pi'\ncreate.setup = ['npm', 'ci']\n");
    let show = |key: &str| {
        let output = place.stead(["--json", "config", "show", key]).current_dir(project.join("src")).output();
        serde_json::from_slice::<serde_json::Value>(&output.expect("stead starts").stdout).expect("JSON")
    };
    assert_eq!(show("agent")["settings"][0]["value"].as_str(), Some("pi"));
    assert_eq!(show("create.setup")["settings"][0]["value"].as_array().map(Vec::len), Some(0));
    assert_eq!(show("agent")["project"]["ignored"][0].as_str(), Some("create.setup"));

    let output = place.stead(["create", "one", "--empty"]).current_dir(&project).output().expect("stead starts");
    let warning = "sets `create.setup`, which counts only after `stead config trust`\n";
    assert!(String::from_utf8_lossy(&output.stderr).contains(warning));

    let output = place.stead(["config", "trust"]).current_dir(&project).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(7), "it asks, and there is no terminal");
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint: answer it with `--yes`"));

    place.ok(["config", "trust", "--yes", project.to_str().expect("UTF-8")]);
    assert_eq!(show("create.setup")["settings"][0]["value"].as_array().map(Vec::len), Some(2));
    assert!(show("agent")["project"].is_null());

    write(&project, ".stead.toml", "agent = 'pi'\ncreate.setup = ['npm', 'install']\n");
    assert_eq!(show("create.setup")["settings"][0]["value"].as_array().map(Vec::len), Some(0), "it has changed");
}

#[test]
fn a_bad_project_file_is_told_too() {
    let place = Place::new();
    let project = place.project("api");
    write(&project, ".stead.toml", "setup = 1\n");
    let output = place.stead(["status"]).current_dir(&project).output().expect("stead starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unknown key `setup`"));
}

#[test]
fn without_a_home_the_root_must_be_named_or_the_password_file_knows_one() {
    let place = Place::new();
    let mut command = place.stead(["config", "show", "root", "--root", "/nowhere"]);
    command.env_remove("HOME").env_remove("STEAD_ROOT");
    let output = command.output().expect("stead starts");
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("--root"));
}

#[test]
fn the_directory_of_another_program_is_refused_as_a_root() {
    let place = Place::new();
    write(place.path(), "data/app.db", "x");
    let data = place.path().join("data");
    assert_data_eq!(
        place.transcript(place.stead(["status"]).env_remove("STEAD_ROOT").env("DATA_DIR", &data)),
        str![[r#"
exit status: 7
--- stdout
--- stderr
error: `DATA_DIR` names `[PLACE]/data`, which holds other things than a root of stead
  hint: set `STEAD_ROOT`, or let `DATA_DIR` name an empty directory

"#]]
    );
}
