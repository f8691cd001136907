//! The README: its tour is run, and its output is what comes out.
//!
//! `SNAPSHOTS=overwrite cargo test --test it readme` writes the tour's output anew.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Place, write};

const FENCE: &str = "```console\n";

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md")
}

/// Returns each command of a block of the tour with the output that is written below it.
fn steps(block: &str) -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => writeln!(output, "{line}").expect("text"),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    steps
}

/// Runs the commands in one shell, standing in the home directory, and returns what each printed.
fn run(place: &Place, commands: &[&str]) -> Vec<String> {
    let mut script = "exec 2>&1\n".to_owned();
    for command in commands {
        writeln!(script, "echo '@@@@'\n{command}").expect("text");
    }
    let bin = Path::new(env!("CARGO_BIN_EXE_stead")).parent().expect("a directory").to_str().expect("UTF-8");
    let path = std::env::var("PATH").expect("PATH");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", format!("{bin}:{path}"))
        .env("HOME", place.home())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C.UTF-8")
        .current_dir(place.home())
        .stdin(Stdio::null())
        .output()
        .expect("sh starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let text = text.replace(place.home().to_str().expect("UTF-8"), "/home/you");
    text.split("@@@@\n").skip(1).map(str::to_owned).collect()
}

/// Makes equal what differs from run to run: object ids, run ids, times; and the width of columns.
fn plain(output: &str) -> Vec<String> {
    let words = |line: &str| {
        let mut words: Vec<String> = line.split_whitespace().map(word).collect();
        // A duration and what was used of the memory is a number and its unit.
        for at in 1..words.len() {
            if matches!(words[at].as_str(), "kB" | "MB") && words[at - 1].parse::<f64>().is_ok() {
                "#".clone_into(&mut words[at - 1]);
            }
            if matches!(words[at].as_str(), "ms" | "s") && words[at - 1].parse::<f64>().is_ok() {
                "#".clone_into(&mut words[at - 1]);
                "s".clone_into(&mut words[at]);
            }
        }
        words.join(" ")
    };
    let words = |line: &str| {
        let line = words(line);
        let parts: Vec<&str> = line.split(' ').collect();
        match parts.iter().position(|part| *part == "ago") {
            Some(at) if at >= 2 => [&parts[..at - 2], &["just", "now"], &parts[at + 1..]].concat().join(" "),
            _ => line,
        }
    };
    output.lines().map(words).filter(|line| !line.is_empty()).collect()
}

fn word(word: &str) -> String {
    let kernel = word.trim_matches(|character: char| !character.is_ascii_alphanumeric());
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    // One in a thousand short ids has no digit; no word in the tour is of such letters alone.
    let id = kernel.len() >= 7 && hex(kernel);
    let run = kernel.len() == 20 && kernel.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let range = kernel.split_once("..").is_some_and(|(one, other)| hex(one) && hex(other));
    let time = kernel.len() >= 20 && kernel.ends_with('Z') && kernel.contains('T');
    if id || run || range || time { word.replace(kernel, "#") } else { word.to_owned() }
}

#[test]
fn the_tour_goes_as_it_is_written() {
    let place = Place::new();
    write(&place.home(), ".gitconfig", "[user]\n\tname = You\n\temail = you@example.com\n");
    let text = readme();
    let mut blocks = text.split(FENCE);
    let mut anew = blocks.next().expect("a beginning").to_owned();
    let blocks: Vec<(&str, &str)> = blocks.map(|rest| rest.split_once("```\n").expect("an end")).collect();
    let written: Vec<Vec<(String, String)>> = blocks.iter().map(|(block, _)| steps(block)).collect();
    let commands: Vec<&str> = written.iter().flatten().map(|(command, _)| command.as_str()).collect();
    assert!(commands.len() > 8, "{commands:?}");
    let printed = run(&place, &commands);
    assert_eq!(printed.len(), commands.len(), "{printed:?}");

    let mut outputs = printed.iter();
    for (steps, (_, rest)) in written.iter().zip(&blocks) {
        anew.push_str(FENCE);
        for ((command, _), output) in steps.iter().zip(&mut outputs) {
            write!(anew, "$ {command}\n{output}").expect("text");
        }
        write!(anew, "```\n{rest}").expect("text");
    }
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"), &anew).expect("README.md");
        return;
    }
    for ((command, expected), output) in written.iter().flatten().zip(&printed) {
        assert_eq!(plain(output), plain(expected), "{command}\n{output}");
    }
}

#[test]
fn the_two_commands_are_there_and_the_first_does_what_is_said() {
    let text = readme();
    assert!(text.contains("    cargo run --release -- exec try -- sh -c 'echo hello > hello.txt'\n"));
    assert!(text.contains("    cargo test --locked\n"));

    let place = Place::new();
    let project = place.project("api");
    let mut command = place.stead(["exec", "try", "--", "sh", "-c", "echo hello > hello.txt"]);
    // As a stranger would: no settings, no root named, no git configuration.
    command.env_remove("STEAD_ROOT").current_dir(&project);
    let output = command.output().expect("stead starts");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("create hello.txt"));
    let tree = place.home().join(".local/share/stead/workspaces/local/try");
    assert_eq!(std::fs::read_to_string(tree.join("hello.txt")).expect("file"), "hello\n");
    assert_eq!(place.git(&project, ["status", "--porcelain"]), "");
}

#[test]
fn every_file_that_is_named_is_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["man", "completions", "LICENSE-MIT", "LICENSE-APACHE", "CONTRIBUTING.md", "CHANGELOG.md"] {
        assert!(top.join(name).exists(), "{name}");
    }
}
