//! What in a `.git` runs commands when somebody uses git, a prompt or an editor there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::FileType;

use super::config::{Entry, is_tree_of_submodule, parse};
use super::{git_dir, is_git_dir_at, read};
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

/// Returns what the repository in the directory `top` of the tree at `at` would run commands by, like [`held_config`], with
/// its path in the tree; sorted.
///
/// A `.git` that leads elsewhere counts, unless it is of a submodule or of a linked worktree in the same tree.
pub(crate) fn held_nested(tree: &Dir, at: &Path, top: &Path) -> Vec<String> {
    let place = top.join(".git");
    let shown = place.to_string_lossy();
    let kind = match tree.stat(&place) {
        Ok(Some(stat)) => FileType::from_raw_mode(stat.st_mode),
        // One that cannot be looked at is named by the snapshot.
        _ => return Vec::new(),
    };
    match kind {
        FileType::Directory => match tree.dir(&place) {
            Ok(git) => {
                let mut held = Vec::new();
                held_in(&git, "", &mut held);
                modules(&git, &mut held);
                held.sort();
                held.dedup();
                held.into_iter().map(|name| format!("{shown}/{name}")).collect()
            }
            Err(_) => vec![shown.into_owned()],
        },
        FileType::RegularFile if leads_within(tree, at, top) => Vec::new(),
        _ => vec![shown.into_owned()],
    }
}

/// Returns whether something in a git directory itself would run commands; `module` is its path below `.git` when it is one of
/// a submodule.
pub(crate) fn runs_something(git: &Dir, module: Option<&Path>) -> bool {
    let mut held = Vec::new();
    held_in(git, &module.map(|path| format!("{}/", path.display())).unwrap_or_default(), &mut held);
    !held.is_empty()
}

/// Returns what the recorded small files of a git directory would run commands by, like [`held_config`]; paths in it with their
/// modes in git, and the content of its configuration. `module` is its path below `.git` when it is one of a submodule.
pub(crate) fn held_recorded<'a>(
    module: &[u8],
    files: impl Iterator<Item = (&'a [u8], u32)>,
    config: Option<&[u8]>,
) -> Vec<String> {
    let mut held = Vec::new();
    let prefix = if module.is_empty() { String::new() } else { format!("{}/", String::from_utf8_lossy(module)) };
    if let Some(content) = config {
        held_by_config(content, &prefix, &mut held);
    }
    let running = files.filter(|(path, mode)| runs_as_file(path, *mode));
    held.extend(running.map(|(path, _)| format!("{prefix}{}", String::from_utf8_lossy(path))));
    held.sort();
    held.dedup();
    held
}

/// Returns whether a file in a git directory, by its path there and its mode in git, makes git run something by being there.
pub(crate) fn runs_as_file(path: &[u8], mode: u32) -> bool {
    match path.strip_prefix(b"hooks/") {
        Some(name) => !name.ends_with(b".sample") && mode != 0o100_644,
        None => path == b"config.worktree" || path == b"hooks",
    }
}

/// Returns whether the file `.git` in `top` leads to the git directory of a submodule or of a linked worktree that belongs to
/// the tree's own repository or to one around `top`: what these would run is found with that one.
fn leads_within(tree: &Dir, at: &Path, top: &Path) -> bool {
    let Ok(Some(content)) = read(tree, &top.join(".git"), super::MAX_LOOSE) else { return false };
    let Some((around, below)) = target_of_file(&content, at, top) else { return false };
    let Ok(git) = tree.dir(&around.join(".git")) else { return false };
    is_module(&git, &below) || is_worktree(&git, &below)
}

/// Returns where in the tree at `at` the text of the file `.git` in `top` leads, when that is below the `.git` of a repository
/// around `top`: the directory of this one, and the path below its `.git`.
pub(crate) fn target_of_file(content: &[u8], at: &Path, top: &Path) -> Option<(PathBuf, PathBuf)> {
    let target = content.strip_prefix(b"gitdir: ")?;
    let target = Path::new(OsStr::from_bytes(target.trim_ascii_end()));
    let mut path = if target.is_absolute() { PathBuf::new() } else { top.to_owned() };
    for part in target.strip_prefix(at).unwrap_or(target).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir if path.pop() => {}
            Component::CurDir => {}
            _ => return None,
        }
    }
    let repository = path.ancestors().filter(|above| above.file_name() == Some(OsStr::new(".git"))).last()?;
    let around = repository.parent().unwrap_or(Path::new(""));
    let below = path.strip_prefix(repository).unwrap_or(&path);
    (around != top && top.starts_with(around)).then(|| (around.to_owned(), below.to_owned()))
}

/// Returns whether a path below a git directory is that of a submodule's, as [`modules`] finds them.
fn is_module(git: &Dir, path: &Path) -> bool {
    let mut at = PathBuf::new();
    let mut is_inside = false;
    for part in path.components() {
        at.push(part);
        if is_inside {
            is_inside = !matches!(git.stat(&at.join("HEAD")), Ok(Some(_)));
        } else if part.as_os_str() == "modules" {
            is_inside = true;
        } else {
            return false;
        }
    }
    !is_inside && !path.as_os_str().is_empty()
}

/// Returns whether a path below a git directory is that of a linked worktree, which takes everything from there.
fn is_worktree(git: &Dir, path: &Path) -> bool {
    let common = read(git, &path.join("commondir"), super::MAX_LOOSE).ok().flatten().unwrap_or_default();
    path.components().count() == 2
        && path.starts_with("worktrees")
        && common.trim_ascii() == b"../.."
        && matches!(git.stat(&path.join("config.worktree")), Ok(None))
}

fn held_in(git: &Dir, prefix: &str, held: &mut Vec<String>) {
    match read(git, Path::new("config"), MAX_CONFIG) {
        Ok(None) => {}
        Ok(Some(content)) => held_by_config(&content, prefix, held),
        Err(reason) => held.push(format!("{prefix}config ({reason})")),
    }
    for name in ["config.worktree", "commondir"] {
        if !matches!(git.stat(Path::new(name)), Ok(None)) {
            held.push(format!("{prefix}{name}"));
        }
    }
    hooks(git, prefix, held);
}

fn held_by_config(content: &[u8], prefix: &str, held: &mut Vec<String>) {
    let (entries, broken) = parse(content);
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
        if depth > 0 && is_git_dir_at(&dir) {
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
