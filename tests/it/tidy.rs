//! The rules of the house that neither the compiler nor clippy checks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each uses only what stands to its right; the last four may use each other.
const LAYERS: [&[&str]; 9] = [
    &["cli"],
    &["cmd"],
    &["ui"],
    &["run"],
    &["workspace"],
    &["git"],
    &["confine"],
    &["store"],
    &["config", "progress", "error", "sys"],
];

/// Crates and the only places that name them.
const HOMES: &[(&str, &[&str])] = &[
    ("git2", &["src/git/", "src/sys.rs"]),
    ("libgit2_sys", &["src/sys.rs"]),
    ("fs2", &["src/store/"]),
    ("indicatif", &["src/ui/progress.rs"]),
    ("ureq", &["src/git/transport/"]),
    ("clap_complete", &["src/cmd/completions.rs"]),
    ("clap_mangen", &["src/cmd/man/"]),
    ("directories", &["src/config/"]),
    ("encoding_rs", &["src/git/convert"]),
    ("landlock", &["src/confine/landlock.rs"]),
    ("seccompiler", &["src/confine/seccomp.rs"]),
];

const ELSEWHERE: [&str; 7] = ["session", "sandbox", "worktree", "manager", "service", "handler", "utils"];

pub(crate) fn files(dir: &str) -> Vec<(String, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut dirs: Vec<PathBuf> = vec![top.join(dir)];
    dirs.retain(|dir| dir.exists());
    while let Some(dir) = dirs.pop() {
        for entry in dir.read_dir().expect("directory").map(|entry| entry.expect("entry").path()) {
            if entry.is_dir() {
                dirs.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&entry).expect("UTF-8");
                found.push((entry.strip_prefix(top).expect("below").to_str().expect("UTF-8").to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

fn all() -> Vec<(String, String)> {
    let mut all = files("src");
    all.extend(files("tests"));
    all.extend(files("benches"));
    all
}

/// Returns the lines that are code, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line.split(" // ").next().unwrap_or(line)))
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Returns the modules that a line names as `crate::MODULE` or `crate::{…}`.
fn named(line: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let end = rest.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(rest.len());
        modules.push(&rest[..end]);
    }
    modules
}

fn holds_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let part = |character: char| character.is_alphanumeric() || character == '_';
        !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part)
    })
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_module_uses_only_what_stands_to_its_right() {
    let mut complaints = Vec::new();
    for (path, text) in files("src") {
        let inner = path.strip_prefix("src/").expect("below src");
        let own = inner.split(['/', '.']).next().expect("a name");
        // Looks at all of them from outside.
        if matches!(own, "lib" | "main" | "fuzzing") {
            continue;
        }
        let Some(own) = layer(own) else {
            complaints.push(format!("{path}: belongs to no layer"));
            continue;
        };
        for (number, line) in code(&text) {
            for module in named(line) {
                if layer(module).is_some_and(|layer| layer < own) {
                    complaints.push(format!("{path}:{number}: uses `{module}`, which stands to its left"));
                }
            }
            if line.contains("use crate::{") || line.contains("super::super::super") {
                complaints.push(format!("{path}:{number}: name the module after `crate::`, one a line"));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let long = all().into_iter().filter(|(_, text)| text.lines().count() > 500);
    assert_none(&long.map(|(path, text)| format!("{path}: {} lines", text.lines().count())).collect::<Vec<_>>());
}

#[test]
fn a_crate_is_named_by_one_module() {
    let mut complaints = Vec::new();
    for (path, text) in files("src") {
        for (number, line) in code(&text) {
            for (name, homes) in HOMES {
                let used = line.contains(&format!("{name}::")) && holds_word(line, name);
                let method = line.contains("crate::") && line.contains(&format!("::{name}::"));
                if used && !method && !homes.iter().any(|home| path.starts_with(home)) {
                    complaints.push(format!("{path}:{number}: `{name}` belongs to {}", homes.join(" and ")));
                }
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn unsafe_code_is_in_one_file() {
    let mut complaints = Vec::new();
    for (path, text) in all() {
        // The second makes the system calls that no program should.
        if matches!(path.as_str(), "src/sys.rs" | "tests/it/sandbox/sys.rs" | "tests/it/tidy.rs") {
            continue;
        }
        let lines = code(&text).filter(|(_, line)| holds_word(line, "unsafe"));
        complaints.extend(lines.map(|(number, _)| format!("{path}:{number}: `unsafe`")));
    }
    assert_none(&complaints);
}

#[test]
fn only_ui_writes_to_the_terminal() {
    let mut complaints = Vec::new();
    for (path, text) in files("src") {
        let allowed = path.starts_with("src/ui/");
        for (number, line) in code(&text) {
            let writes = ["stdout", "stderr"].map(|stream| format!("io::{stream}()"));
            // Asking whether it is a terminal writes nothing.
            let line = line.replace("stdio::", "").replace("io::stdout().is_terminal()", "");
            let writes = writes.iter().any(|write| line.contains(write));
            if !allowed
                && (writes
                    || ["print", "println", "eprint", "eprintln"].iter().any(|name| line.contains(&format!("{name}!"))))
            {
                complaints.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn things_have_the_names_of_the_map() {
    let mut complaints = Vec::new();
    for (path, text) in files("src") {
        let stem = Path::new(&path).file_stem().and_then(|stem| stem.to_str()).expect("UTF-8").to_owned();
        if ELSEWHERE.iter().any(|word| stem.contains(word)) {
            complaints.push(format!("{path}: the file's name"));
        }
        for (number, line) in code(&text) {
            let words: Vec<&str> = line.split_whitespace().collect();
            for pair in words.windows(2) {
                let name = pair[1].to_lowercase();
                if matches!(pair[0], "struct" | "enum" | "trait" | "type" | "mod")
                    && ELSEWHERE.iter().any(|word| name.contains(word))
                {
                    complaints.push(format!("{path}:{number}: {}", line.trim()));
                }
            }
        }
    }
    for (command, page) in help() {
        for word in ELSEWHERE {
            if holds_word(&page.to_lowercase(), word) {
                complaints.push(format!("help of {command}: `{word}`"));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn help_begins_with_an_imperative_and_has_no_full_stop_in_its_first_line() {
    let mut complaints = Vec::new();
    for (name, page) in help() {
        let first = page.lines().next().unwrap_or_default();
        let word = first.split(' ').next().unwrap_or_default();
        if first.is_empty() || first.ends_with('.') || (name != "stead" && word.ends_with('s')) {
            complaints.push(format!("help of {name}: {first}"));
        }
    }
    assert_none(&complaints);
}

/// Returns the long help of every command, subcommands of subcommands included.
fn help() -> Vec<(String, String)> {
    fn collect(command: &clap::Command, pages: &mut Vec<(String, String)>) {
        pages.push((command.get_name().to_owned(), command.clone().render_long_help().to_string()));
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set()) {
            collect(inner, pages);
        }
    }
    let mut pages = Vec::new();
    collect(&stead::command(), &mut pages);
    pages
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["todo!", "unimplemented!", "FIXME", "#[ignore"];
    let mut complaints = Vec::new();
    for (path, text) in all() {
        if path == "tests/it/tidy.rs" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                complaints.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn every_file_is_part_of_the_program() {
    let all = all();
    let mut reachable: BTreeSet<String> =
        ["src/lib.rs", "src/main.rs", "tests/it/main.rs"].map(str::to_owned).into_iter().collect();
    reachable.extend(all.iter().map(|(path, _)| path.clone()).filter(|path| path.starts_with("benches/")));
    loop {
        let before = reachable.len();
        for (path, text) in all.iter().filter(|(path, _)| reachable.contains(path)).cloned().collect::<Vec<_>>() {
            let path = Path::new(&path);
            let dir = match path.file_stem().and_then(|stem| stem.to_str()) {
                Some("lib" | "main" | "mod") => path.parent().expect("a directory").to_owned(),
                _ => path.with_extension(""),
            };
            for (_, line) in code(&text) {
                let words: Vec<&str> = line.trim().trim_end_matches(';').split_whitespace().collect();
                if let (Some(position), true) = (words.iter().position(|word| *word == "mod"), line.ends_with(';')) {
                    let name = words[position + 1];
                    for file in [dir.join(format!("{name}.rs")), dir.join(name).join("mod.rs")] {
                        reachable.insert(file.to_str().expect("UTF-8").to_owned());
                    }
                }
            }
        }
        if reachable.len() == before {
            break;
        }
    }
    let orphans = all.into_iter().map(|(path, _)| path).filter(|path| !reachable.contains(path));
    assert_none(&orphans.collect::<Vec<_>>());
}
