//! Agents: how they are called and how they get their prompt.

use std::io::Write as _;
use std::process::Stdio;

use super::{code, text};
use crate::support::{Place, describe, write};

const FAKE_AGENT: &str = "#!/bin/sh\necho \"args: $*\"\necho \"key: $ANTHROPIC_API_KEY\"\necho \"stdin: $(cat)\"\n";

#[test]
fn an_agent_gets_its_prompt_on_stdin_and_behind_a_wall_is_asked_nothing() {
    let place = Place::new();
    let path = place.program("claude", FAKE_AGENT);
    let run = |args: &[&str]| {
        let mut command = place.stead(["exec", "x"]);
        command.args(args).env("PATH", &path).env("CLAUDE_MODEL", "opus").env("CLAUDE_API_KEY", "k");
        command
    };
    let output = run(&["--empty", "-m", "do it"]).output().unwrap();
    let expected = "args: -p --dangerously-skip-permissions --model opus\nkey: k\nstdin: do it\n";
    assert_eq!(text(&output.stdout), expected, "{}", describe(&output));
    assert!(text(&output.stderr).contains("Running `claude` for at most 5 min"), "{}", describe(&output));

    let output =
        run(&["-a", "claude", "--", "sh", "-c", "echo $IS_SANDBOX"]).env("IS_SANDBOX", "yes").output().unwrap();
    assert_eq!(text(&output.stdout), "1\n", "what claude asks for, not what the host has: {}", describe(&output));

    let mut command = run(&["-a", "claude", "--prompt", "-", "--isolation", "none"]);
    let mut stead = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    stead.stdin.take().unwrap().write_all("größer".as_bytes()).unwrap();
    assert!(text(&stead.wait_with_output().unwrap().stdout).ends_with("stdin: größer\n"));

    write(place.path(), "prompt", "of a file");
    let file = place.path().join("prompt");
    let output = run(&["--message-file", file.to_str().unwrap()]).env("CLAUDE_EXEC_TIMEOUT", "77").output().unwrap();
    assert!(text(&output.stdout).ends_with("stdin: of a file\n"), "{}", describe(&output));
    assert!(text(&output.stderr).contains("for at most 1 min 17 s"), "{}", describe(&output));
}

#[test]
fn an_agent_without_a_prompt_or_a_terminal_reads_nothing() {
    let place = Place::new();
    let path = place.program("claude", FAKE_AGENT);
    let mut command = place.stead(["exec", "x", "--empty"]);
    // Nobody ever closes this pipe.
    let (_keep, stdin) = std::os::unix::net::UnixStream::pair().unwrap();
    let output = command.env("PATH", path).stdin(std::os::fd::OwnedFd::from(stdin)).output().unwrap();
    assert_eq!(text(&output.stdout), "args: \nkey: \nstdin: \n", "{}", describe(&output));
}

#[test]
fn an_agent_that_asks_for_nothing_runs_behind_a_wall_or_with_consent() {
    let place = Place::new();
    let path = place.program("pi", FAKE_AGENT);
    let run = |args: &[&str]| {
        place.stead(["exec", "x", "--empty", "-a", "pi", "-m", "hi"]).args(args).env("PATH", &path).output()
    };
    let output = run(&[]).unwrap();
    assert_eq!(text(&output.stdout), "args: -p\nkey: \nstdin: hi\n", "{}", describe(&output));
    let output = run(&["--isolation", "none"]).unwrap();
    assert_eq!(text(&output.stdout), "args: -p\nkey: \nstdin: hi\n", "{}", describe(&output));
}

/// Prints its arguments, the content of the last one when it is a file, its variables and its stdin.
const TELL_ALL: &str = "#!/bin/sh\nfor arg; do case $arg in\n*/prompt-*) echo \"file: $(cat \"$arg\")\";;\n\
                        *) echo \"arg: $arg\";;\nesac; done\nenv | grep -E '_KEY=|_MODEL=|_SANDBOX=|_TOKEN=' | sort\n\
                        echo \"stdin: $(cat)\"\necho edited > by-\"${0##*/}\"\n";

#[test]
fn each_of_the_six_is_called_as_it_expects() {
    let place = Place::new();
    let keys = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY", "DEEPSEEK_API_KEY"];
    let cases: [(&str, &[&str], bool, &[&str]); 6] = [
        ("claude", &["-p", "--permission-mode", "acceptEdits"], true, &["ANTHROPIC_API_KEY"]),
        ("codex", &["exec", "--skip-git-repo-check", "--sandbox", "workspace-write", "-"], true, &["OPENAI_API_KEY"]),
        ("gemini", &["--skip-trust", "--approval-mode", "auto_edit"], true, &["GEMINI_API_KEY"]),
        ("opencode", &["run"], true, &["ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY"]),
        ("pi", &["-p"], true, &["ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY"]),
        (
            "aider",
            &[
                "--no-gitignore",
                "--no-check-update",
                "--no-show-release-notes",
                "--yes-always",
                "--no-suggest-shell-commands",
                "--message-file",
            ],
            false,
            &["ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY"],
        ),
    ];
    for (agent, args, on_stdin, passed) in cases {
        let path = place.program(agent, TELL_ALL);
        let mut command = place.stead(["exec", "x", "--create", "--isolation", "none", "-a", agent, "-m", "do\nit"]);
        if !place.tree("x").exists() {
            command.arg("--empty");
        }
        command.env("PATH", path).env("GITHUB_TOKEN", "s3cret").envs(keys.map(|key| (key, "k")));
        let output = command.output().unwrap();
        let mut expected: Vec<String> = args.iter().map(|arg| format!("arg: {arg}")).collect();
        expected.extend((!on_stdin).then(|| "file: do\nit".to_owned()));
        expected.extend(passed.iter().map(|key| format!("{key}=k")));
        expected.push(if on_stdin { "stdin: do\nit\n".into() } else { "stdin: \n".into() });
        let expected = expected.join("\n");
        assert_eq!(text(&output.stdout), expected, "{agent}: {}", describe(&output));
        let stderr = text(&output.stderr);
        assert!(stderr.contains(&format!("create by-{agent} (+1 -0)\n")), "{agent}: {stderr}");
    }
}

#[test]
fn agents_can_be_described_in_the_configuration() {
    let place = Place::new();
    let path = place.program("mine", "#!/bin/sh\necho \"$1\"; cat \"$2\"; echo \" $KEY\"\n");
    write(
        &place.home(),
        ".config/stead/config.toml",
        "agent = 'my'\n[agents.my]\ncommand = 'mine'\nprompt = 'file'\nprompt_args = ['--file']\nopen = []\nenv = ['KEY']\n",
    );
    let mut command = place.stead(["exec", "x", "--empty", "-m", "text of the prompt"]);
    let output = command.env("PATH", &path).env("KEY", "k").output().unwrap();
    assert_eq!(text(&output.stdout), "--file\ntext of the prompt k\n", "{}", describe(&output));
    let left = std::fs::read_dir(place.root().join("homes/local/x/tmp")).unwrap();
    assert!(!left.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("prompt-")));
}

#[test]
fn an_agent_that_is_not_installed_is_not_found_with_the_way_to_get_it() {
    let place = Place::new();
    let output =
        place.stead(["exec", "x", "--empty", "-a", "codex", "-m", "hi"]).env("PATH", "/nowhere").output().unwrap();
    assert_eq!(code(&output), 127);
    assert!(text(&output.stderr).contains("npm install -g @openai/codex"), "{}", describe(&output));
}
