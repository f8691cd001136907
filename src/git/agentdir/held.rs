//! What in a `.git` runs commands when somebody uses git, a prompt or an editor there.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::config::{Entry, is_tree_of_submodule, parse};
use super::{git_dir, read};
use crate::store::beneath::Dir;

const MAX_CONFIG: u64 = 1 << 20;
const MAX_DEPTH: usize = 8;
const MAX_MODULES: usize = 1000;

/// Returns what in `.git` would run commands when somebody uses git there: hooks and configuration keys, sorted.
///
/// Git directories of submodules (`modules/`) count too, since `git status` enters them.
pub(crate) fn held_config(tree: &Dir) -> Vec<String> {
    let mut bad = Vec::new();
    let mut held = Vec::new();
    if let Some(git) = git_dir(tree, &mut bad) {
        held_in(&git, "", &mut held);
        modules(&git, &mut held);
    }
    // `.git` that points elsewhere makes git use configuration and hooks of there.
    held.extend(bad.into_iter().map(|(name, _)| name));
    held.sort();
    held.dedup();
    held
}

fn held_in(git: &Dir, prefix: &str, held: &mut Vec<String>) {
    match read(git, Path::new("config"), MAX_CONFIG) {
        Ok(None) => {}
        Ok(Some(content)) => {
            let (entries, broken) = parse(&content);
            let usual = |entry: &Entry| {
                let value = entry.value.as_deref().unwrap_or_default();
                !prefix.is_empty() && entry.name() == "core.worktree" && is_tree_of_submodule(Path::new(prefix), value)
            };
            let running = entries.iter().filter(|entry| runs(entry) && !usual(entry));
            held.extend(running.map(|entry| format!("{prefix}{}", entry.name())));
            if let Some(line) = broken {
                held.push(format!("{prefix}config (line {line} cannot be read)"));
            }
        }
        Err(reason) => held.push(format!("{prefix}config ({reason})")),
    }
    for name in ["config.worktree", "commondir"] {
        if !matches!(git.stat(Path::new(name)), Ok(None)) {
            held.push(format!("{prefix}{name}"));
        }
    }
    hooks(git, prefix, held);
}

fn hooks(git: &Dir, prefix: &str, held: &mut Vec<String>) {
    let path = Path::new("hooks");
    match git.stat(path) {
        Ok(None) => return,
        Ok(Some(stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {}
        _ => {
            held.push(format!("{prefix}hooks"));
            return;
        }
    }
    let Ok(names) = git.dir(path).and_then(|dir| dir.names()) else {
        held.push(format!("{prefix}hooks"));
        return;
    };
    for name in names {
        if name.as_bytes().ends_with(b".sample") {
            continue;
        }
        let runs = match git.stat(&path.join(&name)) {
            Ok(None) => false,
            Ok(Some(stat)) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => stat.st_mode & 0o111 != 0,
                FileType::Symlink => true,
                _ => false,
            },
            Err(_) => true,
        };
        if runs {
            held.push(format!("{prefix}hooks/{}", name.to_string_lossy()));
        }
    }
}

/// Looks at every git directory below `modules/`; their names may hold slashes.
fn modules(git: &Dir, held: &mut Vec<String>) {
    let mut waiting = vec![(PathBuf::from("modules"), 0)];
    let mut looked = 0;
    while let Some((path, depth)) = waiting.pop() {
        let Ok(Some(stat)) = git.stat(&path) else { continue };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            continue;
        }
        let shown = path.to_string_lossy().into_owned();
        looked += 1;
        let Ok(dir) = git.dir(&path) else {
            held.push(shown);
            continue;
        };
        if depth == MAX_DEPTH || looked > MAX_MODULES {
            held.push(shown);
            continue;
        }
        if depth > 0 && !matches!(dir.stat(Path::new("HEAD")), Ok(None)) {
            held_in(&dir, &format!("{shown}/"), held);
            waiting.push((path.join("modules"), depth + 1));
            continue;
        }
        match dir.names() {
            Ok(names) => waiting.extend(names.into_iter().map(|name| (path.join(name), depth + 1))),
            Err(_) => held.push(shown),
        }
    }
}

/// Returns whether git or a tool around it runs what this key says, or looks for configuration or code elsewhere.
fn runs(entry: &Entry) -> bool {
    let key = entry.key.as_str();
    let value = entry.value.as_deref().unwrap_or("true");
    let sub = entry.subsection.is_some();
    match entry.section.as_str() {
        "core" => match key {
            "fsmonitor" => !is_false(value),
            "hookspath"
            | "sshcommand"
            | "editor"
            | "pager"
            | "askpass"
            | "gitproxy"
            | "worktree"
            | "alternaterefscommand"
            | "attributesfile"
            | "excludesfile" => true,
            _ => false,
        },
        "alias" => value.trim_start().starts_with(['!', '-']),
        "browser" | "man" | "difftool" | "mergetool" | "guitool" => matches!(key, "cmd" | "path"),
        "credential" => key == "helper",
        "diff" => matches!(key, "command" | "textconv" | "external"),
        "extensions" => key == "worktreeconfig" && !is_false(value),
        "filter" => matches!(key, "clean" | "smudge" | "process"),
        "gpg" => matches!(key, "program" | "defaultkeycommand"),
        "hook" | "tar" => key == "command",
        "imap" => key == "tunnel",
        "include" | "includeif" => key == "path",
        "init" => key == "templatedir",
        "instaweb" => matches!(key, "httpd" | "browser"),
        "interactive" => key == "difffilter",
        "lfs" => sub && matches!(key, "path" | "clean" | "smudge"),
        "merge" => key == "driver",
        "pager" => !is_false(value) && !is_true(value),
        "protocol" => key == "allow",
        "remote" => {
            matches!(key, "uploadpack" | "receivepack" | "vcs" | "proxy")
                || (matches!(key, "url" | "pushurl") && runs_transport(value))
        }
        "sendemail" => key.ends_with("cmd") || matches!(key, "smtpserver" | "aliasesfile"),
        "sequence" => key == "editor",
        "submodule" => {
            (key == "update" && value.trim_start().starts_with('!')) || (key == "url" && runs_transport(value))
        }
        "trailer" => matches!(key, "command" | "cmd"),
        "uploadpack" => key == "packobjectshook",
        "url" => matches!(key, "insteadof" | "pushinsteadof"),
        "web" => key == "browser",
        _ => false,
    }
}

/// `ext::sh -c …` and other remote helpers, and hosts that ssh would take for options.
fn runs_transport(url: &str) -> bool {
    url.contains("::") && !url.contains("://") || url.starts_with('-') || url.contains("://-")
}

fn is_false(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "false" | "no" | "off" | "0" | "")
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1")
}
