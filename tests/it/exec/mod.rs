#![expect(clippy::unwrap_used, reason = "a test ends by a panic")]

mod agents;
mod container;
mod ends;
mod gone;
mod interrupts;
mod limits;
mod linked;
mod login;
mod secrets;
mod share;
mod variables;

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Place, describe, write};

/// Ends a test that would hang; far more than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{}", describe(output)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Place {
    /// Runs `stead exec x OPTIONS -- sh -c SCRIPT` in an empty workspace, without a word about the wall.
    fn sh(&self, options: &[&str], script: &str) -> Command {
        let mut command = self.stead(["exec", "x", "--isolation", "none"]);
        if !self.tree("x").exists() {
            command.arg("--empty");
        }
        command.args(options).args(["--", "sh", "-c", script]);
        command
    }

    fn run_sh(&self, options: &[&str], script: &str) -> Output {
        self.sh(options, script).output().unwrap()
    }

    /// Starts a script and waits until it has made the file `started` in its tree.
    fn start_sh(&self, options: &[&str], script: &str) -> Child {
        drop(std::fs::remove_file(self.tree("x").join("started")));
        let mut command = self.sh(options, script);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until("the script starts", || self.tree("x").join("started").exists());
        child
    }

    /// Waits for the file that a script writes a process id into.
    fn process_id(&self, file: &str) -> u32 {
        let path = self.tree("x").join(file);
        let read = || std::fs::read_to_string(&path).ok()?.trim().parse().ok();
        until(file, || read().is_some());
        read().unwrap()
    }

    /// Puts a program on a PATH of its own, which is returned.
    fn program(&self, name: &str, script: &str) -> String {
        let path = self.path().join("bin").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // By another process: a fork elsewhere in this one must not hold it open for writing.
        write(self.path(), "script", script);
        assert!(Command::new("cp").arg(self.path().join("script")).arg(&path).status().unwrap().success());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        format!("{}:{}", path.parent().unwrap().display(), std::env::var("PATH").unwrap())
    }
}

fn is_alive(id: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim().chars().next());
        !matches!(state, Some('Z' | 'X') | None)
    })
}

fn signal(id: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), id.to_string()]).status().unwrap();
    assert!(status.success());
}

/// Returns the children of a process that have not ended.
fn children(id: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let alive = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    list.split_whitespace().map(|id| id.parse().unwrap()).filter(alive).collect()
}

#[test]
fn a_run_makes_its_workspace_and_tells_what_changed() {
    let place = Place::new();
    let project = place.project("api");
    let script =
        "echo out; echo hello > hello.txt; echo more >> README.md; git rm -q docs/guide.md; mv src/main.rs src/lib.rs";
    let output = place.stead(["exec", "fix", "--", "sh", "-c", script]).current_dir(&project).output().unwrap();
    assert_eq!(code(&output), 0, "{}", describe(&output));
    assert_eq!(text(&output.stdout), "out\n");
    let stderr = text(&output.stderr);
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(lines[0].starts_with("Made workspace `fix` from commit "), "{stderr}");
    assert_eq!(
        lines[1..],
        [
            "update README.md (+1 -0)",
            "delete docs/guide.md (+0 -3)",
            "create hello.txt (+1 -0)",
            "rename src/main.rs -> src/lib.rs",
            "Next: `stead diff fix`, `stead sync fix --to`"
        ]
    );
}

#[test]
fn a_run_that_changes_nothing_says_so_in_one_line() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let output = place.run_sh(&[], "true");
    assert_eq!(text(&output.stderr), "Nothing changed.\n");
}

#[test]
fn the_streams_stay_apart_and_are_recorded() {
    let place = Place::new();
    let output = place.run_sh(&[], "echo to out; echo to err >&2");
    assert_eq!(text(&output.stdout), "to out\n");
    assert!(text(&output.stderr).contains("\nto err\n"));
    let runs = place.root().join("state/local/x/runs");
    let run = std::fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_to_string(run.join("out")).unwrap(), "to out\n");
    assert_eq!(std::fs::read_to_string(run.join("err")).unwrap(), "to err\n");
    for file in ["out", "err", "run.toml", "changes.json"] {
        assert_eq!(std::fs::metadata(run.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn the_exit_code_is_the_commands_own() {
    let place = Place::new();
    place.run_sh(&[], "true");
    for (script, expected) in [("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
        assert_eq!(code(&place.run_sh(&[], script)), expected, "{script}");
    }
    for (command, expected) in [("no-such-command", 127), ("/etc/passwd", 126), ("/", 126)] {
        let output = place.stead(["exec", "x", "--isolation", "none", "--", command]).output().unwrap();
        assert_eq!(code(&output), expected, "{}", describe(&output));
        assert!(text(&output.stderr).contains(&format!("cannot run `{command}`")), "{}", describe(&output));
    }
}

#[test]
fn every_failure_of_stead_itself_is_125() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let cases: &[(&[&str], &str)] = &[
        (&["exec"], "usage"),
        (&["exec", "x", "--no-such-flag"], "usage"),
        (&["exec", "-x"], "usage"),
        (&["exec", "../x", "--", "true"], "usage"),
        (&["exec", "x", "--timeout", "soon", "--", "true"], "usage"),
        (&["exec", "x", "--env", "novalue", "--", "true"], "usage"),
        (&["exec", "x", "--identity", "nobody", "--", "true"], "usage"),
        (&["exec", "x", "-m", " ", "--", "true"], "usage"),
        (&["exec", "other", "--no-create", "--", "true"], "not-found"),
        (&["exec", "x", "-a", "nobody"], "not-found"),
        (&["exec", "x", "--from", "/nowhere", "--", "true"], "not-found"),
        (&["exec", "x", "--isolation", "none", "--net", "off", "--", "true"], "unsupported"),
        (&["exec", "x", "--context", "/etc/hostname:../../out", "--", "true"], "refused"),
    ];
    for (args, kind) in cases {
        let (code, object) = place.json(*args);
        assert_eq!((code, object["error"]["kind"].as_str()), (125, Some(*kind)), "{args:?}: {object}");
        assert_eq!(place.stead(*args).output().unwrap().status.code(), Some(125), "{args:?}");
    }
}

#[test]
fn a_second_exec_is_told_who_is_first_and_can_wait() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let mut first = place.start_sh(&[], "touch started; until [ -e go ]; do :; done; echo first > file");
    let output = place.run_sh(&[], "true");
    assert_eq!(code(&output), 125);
    let expected = format!("error: workspace `x` is in use by `exec` (process {}", first.id());
    assert!(text(&output.stderr).starts_with(&expected), "{}", describe(&output));
    assert!(text(&output.stderr).contains("--wait"), "{}", describe(&output));
    let output = place.run_sh(&["--wait=1ms"], "true");
    assert_eq!(code(&output), 125, "{}", describe(&output));
    let second = place.sh(&["--wait"], "cat file").stdout(Stdio::piped()).spawn().unwrap();
    write(&place.tree("x"), "go", "");
    assert_eq!(text(&second.wait_with_output().unwrap().stdout), "first\n");
    first.wait().unwrap();
}

#[test]
fn a_command_inherits_stdin() {
    let place = Place::new();
    let mut stead = place.sh(&[], "cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    stead.stdin.take().unwrap().write_all(b"from outside").unwrap();
    assert_eq!(text(&stead.wait_with_output().unwrap().stdout), "from outside");
}

#[test]
fn no_descriptor_of_the_caller_reaches_the_command() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let output = place.run_sh(&[], "ls -l /proc/self/fd | grep -c -e locks/ -e memfd -e 'runs/'");
    assert_eq!(text(&output.stdout), "0\n");
}

#[test]
fn the_answer_in_json_is_one_object() {
    let place = Place::new();
    place.run_sh(&[], "echo a > old; echo x > gone");
    let script = "echo out; echo err >&2; mv old new; rm gone; printf '\\377' > bytes; echo text > text; exit 3";
    let (code, object) = place.json(["exec", "x", "--isolation", "none", "--content", "--", "sh", "-c", script]);
    assert_eq!(code, 3);
    assert_eq!(object["schema"], 1);
    assert_eq!((&object["exit"], &object["outcome"]), (&3.into(), &"exited".into()));
    assert_eq!((&object["output"], &object["error"]), (&"out\n".into(), &"err\n".into()));
    assert_eq!((&object["output_truncated"], &object["wall"]), (&false.into(), &"none".into()));
    assert!(object["duration"].as_f64().unwrap() > 0.0);
    assert!(object["usage"]["peak_memory"].as_u64().unwrap() > 0);
    let changes = object["changes"].as_array().unwrap();
    let change = |path: &str| changes.iter().find(|change| change["path"] == path).unwrap();
    assert_eq!(changes.len(), 4, "{object}");
    assert_eq!((&change("new")["operation"], &change("new")["old_path"]), (&"rename".into(), &"old".into()));
    assert_eq!(change("gone")["operation"], "delete");
    assert_eq!((&change("text")["operation"], &change("text")["content"]), (&"create".into(), &"text\n".into()));
    assert_eq!((&change("bytes")["content"], &change("bytes")["encoding"]), (&"/w==".into(), &"base64".into()));
    // All but the content is there for each, as in `diff`.
    for change in changes {
        for field in ["path", "operation", "old_path", "old_mode", "mode", "binary", "additions", "deletions"] {
            assert!(change.get(field).is_some(), "{field}: {change}");
        }
    }
    let (_, diff) = place.json(["diff", "x", "--run", "last", "--content"]);
    assert_eq!(diff["changes"], object["changes"]);
    for list in ["nested", "newly_ignored", "refs_gone", "gone", "git_config_held", "commits", "problems"] {
        assert_eq!(object[list], serde_json::json!([]), "{list}");
    }
}

#[test]
fn of_long_output_the_answer_has_the_end() {
    let place = Place::new();
    let (code, object) =
        place.json(["exec", "x", "--empty", "--", "sh", "-c", "head -c 2000000 /dev/zero | tr '\\0' x; echo end"]);
    assert_eq!((code, &object["output_truncated"]), (0, &true.into()));
    let output = object["output"].as_str().unwrap();
    assert!(output.len() <= 1 << 20 && output.ends_with("xend\n"), "{}", output.len());
}

#[test]
fn an_ignored_file_that_a_context_file_replaces_comes_back_by_undo() {
    let place = Place::new();
    let project = place.project("app");
    write(&project, ".gitignore", ".env\n");
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "ignore"]);
    place.ok(["create", "x", "--from", "app"]);
    write(&place.tree("x"), ".env", "OWN=1\n");
    write(&place.path().join("projects"), "env", "NEW=1\n");
    place.ok(["exec", "x", "--context", "env:.env", "--", "grep", "-q", "NEW", ".env"]);
    place.ok(["undo", "x"]);
    assert_eq!(std::fs::read_to_string(place.tree("x").join(".env")).unwrap(), "OWN=1\n");
}

#[test]
fn output_that_cannot_be_passed_on_is_told() {
    let place = Place::new();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = |script: &str| {
        let mut command = place.stead(["exec", "x", "--empty", "--", "sh", "-c", script]);
        command.stdin(Stdio::null()).stdout(full()).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
    };
    for (script, exit) in [("echo lost", 125), ("echo lost; exit 3", 125), ("true", 0)] {
        let output = run(script);
        let is_told = text(&output.stderr).contains("cannot pass the output of the command on: No space left");
        assert_eq!((code(&output), is_told), (exit, script != "true"), "{}", describe(&output));
    }
}

#[test]
fn a_workspace_of_a_newer_stead_is_not_run_in() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    let record = place.root().join("state/local/x/workspace.toml");
    let text = std::fs::read_to_string(&record).unwrap().replace("schema = 1\n", "schema = 2\n");
    write(&place.root(), "state/local/x/workspace.toml", &text);
    let said = "workspace `x` was written by a newer stead (schema 2, this one knows 1)";
    place.fails(&["exec", "x", "--", "touch", "ran"], 125, said);
    assert!(!place.tree("x").join("ran").exists());
    place.fails(&["undo", "x"], 7, said);
    assert!(place.ok(["status", "x"]).contains('x'));
    place.ok(["rm", "x"]);
}

#[test]
fn context_files_are_written_beneath_the_tree() {
    let place = Place::new();
    write(place.path(), "projects/notes.md", "notes");
    let output =
        place.run_sh(&["--context", "notes.md:deep/down/n.md"], "cat deep/down/n.md; echo more >> deep/down/n.md");
    assert_eq!(text(&output.stdout), "notes", "{}", describe(&output));
    let output = place.run_sh(&["--context", "notes.md:deep/down/n.md"], "cat deep/down/n.md");
    assert_eq!(text(&output.stdout), "notes", "{}", describe(&output));

    let outside = place.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, place.tree("x").join("link")).unwrap();
    for destination in ["../n.md", "link/n.md", ".git/config", "/n.md/../../n.md"] {
        let output = place.run_sh(&["--context", &format!("notes.md:{destination}")], "touch ran");
        assert_eq!(code(&output), 125, "{destination}: {}", describe(&output));
    }
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert!(!place.tree("x").join("ran").exists());
}

#[test]
fn the_environment_is_an_allow_list() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let secrets = [
        ("SSH_AUTH_SOCK", "/agent"),
        ("GITHUB_TOKEN", "s3cret"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ("LC_TIME", "C"),
    ];
    let output = place.sh(&["-v"], "env").envs(secrets).output().unwrap();
    let stdout = text(&output.stdout);
    let names: Vec<&str> = stdout.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    for name in ["PATH", "HOME", "LC_TIME", "TMPDIR", "STEAD_RUN", "STEAD_WORKSPACE"] {
        assert!(names.contains(&name), "{name}: {stdout}");
    }
    assert!(
        !stdout.contains("s3cret") && !names.contains(&"SSH_AUTH_SOCK") && !names.contains(&"STEAD_ROOT"),
        "{stdout}"
    );
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("Not passed on: AWS_SECRET_ACCESS_KEY, GITHUB_TOKEN, GIT_CONFIG_NOSYSTEM, SSH_AUTH_SOCK"),
        "{stderr}"
    );

    let options = ["--pass-env", "GITHUB_TOKEN", "--env", "MINE=s3cret=2", "--identity", "Ada <ada@example.com>"];
    let output =
        place.sh(&options, "echo $GITHUB_TOKEN $MINE $GIT_AUTHOR_NAME $GIT_COMMITTER_EMAIL").envs(secrets).output();
    assert_eq!(text(&output.unwrap().stdout), "s3cret s3cret=2 Ada ada@example.com\n");
    let recorded = Command::new("grep").args(["-r", "s3cret"]).arg(place.root().join("state/local/x/runs")).output();
    let recorded = text(&recorded.unwrap().stdout);
    assert!(recorded.lines().all(|line| line.contains("/out:")), "{recorded}");
}

#[test]
fn the_temporary_directory_is_the_workspaces_own() {
    let place = Place::new();
    let output = place.run_sh(&[], "echo $TMPDIR; touch $TMPDIR/file");
    let directory = place.root().join("homes/local/x/tmp");
    assert_eq!(text(&output.stdout).trim_end(), directory.to_str().unwrap());
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_name_that_looks_like_a_typing_error_is_not_made() {
    let place = Place::new();
    assert_eq!(code(&place.stead(["exec", "fix-login", "--empty", "--", "true"]).output().unwrap()), 0);
    let output = place.stead(["exec", "fix-logn", "--empty", "--", "true"]).output().unwrap();
    assert_eq!(code(&output), 125);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("hint: did you mean `fix-login`? `--create` makes `fix-logn`"), "{stderr}");
    assert!(!place.tree("fix-logn").exists());
    assert_eq!(code(&place.stead(["exec", "fix-logn", "--empty", "--create", "--", "true"]).output().unwrap()), 0);
    for name in ["a1", "b1", "task-1", "task-2", "task-12"] {
        assert_eq!(code(&place.stead(["exec", name, "--empty", "--", "true"]).output().unwrap()), 0, "{name}");
    }
}

#[test]
fn a_workspace_of_another_source_is_not_mistaken() {
    let place = Place::new();
    let (one, other) = (place.project("one"), place.project("other"));
    let from = |source: &Path| place.json(["exec", "x", "--from", source.to_str().unwrap(), "--", "true"]);
    assert_eq!(from(&one).0, 0);
    assert_eq!(from(&one).0, 0);
    let (code, object) = from(&other);
    assert_eq!((code, object["error"]["kind"].as_str()), (125, Some("exists")), "{object}");
}

#[test]
fn a_dry_run_makes_nothing() {
    let place = Place::new();
    let output = place.stead(["exec", "x", "-n", "-m", "hi", "--timeout", "90"]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", describe(&output));
    let stdout = text(&output.stdout);
    for line in [
        "workspace    x (would be made, empty)",
        "command      claude -p --dangerously-skip-permissions",
        "timeout      1 min 30 s",
    ] {
        assert!(stdout.contains(line), "{stdout}");
    }
    assert!(!place.root().exists());
}

#[test]
fn commits_of_a_run_are_kept() {
    let place = Place::new();
    let script = "echo a > a; git add a; git commit -qm one; git commit -q --allow-empty -m two";
    let (code, object) = place.json(["exec", "x", "--empty", "--", "sh", "-c", script]);
    assert_eq!((code, object["commits"].as_array().unwrap().len()), (0, 2), "{object}");
    let tip = object["commits"][0].as_str().unwrap();
    let store = place.root().join("state/local/x/store.git");
    assert_eq!(place.git(&store, ["log", "-1", "--format=%s", tip]), "two\n");
}

#[test]
fn what_would_run_commands_is_taken_out_of_the_git_directory() {
    let place = Place::new();
    let script = "git config core.fsmonitor 'touch ran'; printf '#!/bin/sh\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit";
    let output = place.run_sh(&["--keep-git-config"], script);
    assert!(text(&output.stderr).contains("`.git` holds what would run commands"), "{}", describe(&output));
    assert!(place.tree("x").join(".git/hooks/pre-commit").exists());
    let output = place.run_sh(&[], "true");
    let stderr = text(&output.stderr);
    assert!(stderr.contains("Taken out of `.git`") && stderr.contains("core.fsmonitor"), "{stderr}");
    assert!(!place.tree("x").join(".git/hooks/pre-commit").exists());
    assert!(!std::fs::read_to_string(place.tree("x").join(".git/config")).unwrap().contains("fsmonitor"));
}

#[test]
fn commits_of_nested_repositories_are_kept_and_block_collection() {
    let place = Place::new();
    let module = place.project("module").display().to_string();
    let script = format!(
        "git init -q deep/sub; cd deep/sub; git commit -q --allow-empty -m one; git rev-parse HEAD > ../../ids; \
         cd ../..; git -c protocol.file.allow=always submodule --quiet add --name other/name '{module}' mod; \
         cd mod; echo more > more; git add more; git commit -qm two; git rev-parse HEAD >> ../ids"
    );
    // The module is a project outside.
    let (code, object) = place.json(["exec", "x", "--empty", "--isolation", "none", "--", "sh", "-c", &script]);
    assert_eq!((code, object["problems"].as_array().unwrap().len()), (0, 0), "{object}");
    let store = place.root().join("state/local/x/store.git");
    let ids = std::fs::read_to_string(place.tree("x").join("ids")).unwrap();
    let subjects = |ids: &str| -> Vec<String> {
        ids.lines().map(|id| place.git(&store, ["log", "-1", "--format=%s", &format!("refs/kept/{id}")])).collect()
    };
    assert_eq!(subjects(&ids), ["one\n", "two\n"]);
    // Made and dropped again within one run.
    let script = "cd deep/sub; git commit -q --allow-empty -m three; git rev-parse HEAD; git reset -q --hard HEAD~1";
    let id = place.ok(["exec", "x", "--", "sh", "-c", script]);
    assert_eq!(subjects(&id), ["three\n"]);
    let (_, object) = place.json(["gc", "--all", "--yes"]);
    assert!(object["workspaces"][0]["unsaved"].to_string().contains("nested"), "{object}");
    let output = place.stead(["rm", "x"]).output().unwrap();
    assert_eq!(output.status.code().unwrap(), 7, "{}", describe(&output));
    assert!(text(&output.stderr).contains("2 nested repositories"), "{}", describe(&output));
}
