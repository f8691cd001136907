//! The settings of the agent's `.git`: which of the old ones come over, and how they are written.

use std::path::Path;

use crate::git::agentdir::{self, config};
use crate::store::beneath::Dir;

/// A configuration file is not read beyond this.
pub(super) const MAX_CONFIG: u64 = 1 << 20;

/// One `key = value`, section and key in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    section: String,
    subsection: Option<String>,
    key: String,
    value: String,
}

impl Setting {
    pub(super) fn new(section: &str, subsection: Option<&str>, key: &str, value: &str) -> Self {
        Self {
            section: section.to_owned(),
            subsection: subsection.map(str::to_owned),
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    pub(super) fn is_same_key(&self, other: &Self) -> bool {
        self.section == other.section && self.subsection == other.subsection && self.key == other.key
    }
}

/// Reads the configuration of the `.git` in `tree` and returns what of it can come over: nothing in it runs a command or names
/// a file that git would read or write.
pub(crate) fn harmless(tree: &Dir) -> Vec<Setting> {
    let Some(git) = agentdir::git_dir(tree, &mut Vec::new()) else { return Vec::new() };
    harmless_in(&git)
}

/// The same for a git directory that is at hand. A file that cannot be read counts as empty: it would not be one to keep.
pub(super) fn harmless_in(git: &Dir) -> Vec<Setting> {
    let content = git.read(Path::new("config"), MAX_CONFIG).ok().flatten().unwrap_or_default();
    let (entries, _) = config::parse(&content);
    entries
        .into_iter()
        .map(|entry| Setting {
            section: entry.section,
            subsection: entry.subsection,
            key: entry.key,
            value: entry.value.unwrap_or_else(|| "true".to_owned()),
        })
        .filter(is_harmless)
        .collect()
}

/// Returns the `core.worktree` of the submodule's git directory at `.git/PATH`, when it leads to a directory of the tree.
pub(super) fn worktree_in(git: &Dir, path: &Path) -> Option<Setting> {
    let content = git.read(Path::new("config"), MAX_CONFIG).ok().flatten()?;
    let (entries, _) = config::parse(&content);
    let value = entries.into_iter().rfind(|entry| entry.name() == "core.worktree")?.value?;
    config::is_tree_of_submodule(path, &value).then(|| Setting::new("core", None, "worktree", &value))
}

fn is_harmless(setting: &Setting) -> bool {
    let key = setting.key.as_str();
    match (setting.section.as_str(), setting.subsection.as_deref()) {
        ("core", None) => matches!(
            key,
            "filemode"
                | "symlinks"
                | "ignorecase"
                | "precomposeunicode"
                | "autocrlf"
                | "eol"
                | "safecrlf"
                | "quotepath"
                | "abbrev"
                | "commentchar"
                | "compression"
                | "bigfilethreshold"
                | "preloadindex"
                | "untrackedcache"
                | "sparsecheckout"
                | "sparsecheckoutcone"
        ),
        ("user", None) => matches!(key, "name" | "email"),
        ("author" | "committer", None) => matches!(key, "name" | "email"),
        ("branch", Some(_)) => matches!(key, "remote" | "merge" | "rebase" | "description" | "pushremote"),
        ("branch", None) => matches!(key, "autosetupmerge" | "autosetuprebase" | "sort"),
        ("remote", Some(_)) => match key {
            "url" | "pushurl" => is_plain_url(&setting.value),
            _ => matches!(key, "fetch" | "push" | "tagopt" | "prune" | "prunetags"),
        },
        ("remote", None) => key == "pushdefault",
        ("submodule", _) => match key {
            "url" => is_plain_url(&setting.value),
            _ => matches!(key, "active" | "branch" | "ignore" | "fetchrecursesubmodules"),
        },
        ("push" | "pull" | "fetch" | "rebase" | "rerere" | "merge" | "status" | "log" | "advice" | "stash", None) => {
            !matches!(key, "tool" | "guitool" | "output" | "showroot" | "recursesubmodules")
        }
        ("diff", None) => {
            matches!(key, "algorithm" | "renames" | "renamelimit" | "context" | "mnemonicprefix" | "noprefix")
        }
        ("color", _) => true,
        ("lfs", None) => key == "repositoryformatversion",
        ("gc", None) => matches!(key, "auto" | "autodetach"),
        _ => false,
    }
}

/// Returns whether a URL names no remote helper and nothing that ssh would take for an option.
fn is_plain_url(url: &str) -> bool {
    !(url.contains("::") && !url.contains("://") || url.starts_with('-') || url.contains("://-"))
}

/// Returns the file: the format first, then the settings grouped as they come.
pub(super) fn text(settings: &[Setting]) -> String {
    let mut all = vec![
        Setting::new("core", None, "repositoryformatversion", "0"),
        Setting::new("core", None, "filemode", "true"),
        Setting::new("core", None, "bare", "false"),
        Setting::new("core", None, "logallrefupdates", "true"),
        // Otherwise a commit in a run may leave a process behind, which is then ended half-way.
        Setting::new("gc", None, "autodetach", "false"),
    ];
    all.retain(|fixed| fixed.key != "filemode" || !settings.iter().any(|own| own.is_same_key(fixed)));
    all.extend(settings.iter().cloned());
    let mut text = String::new();
    let mut written: Vec<bool> = vec![false; all.len()];
    for first in 0..all.len() {
        if written[first] {
            continue;
        }
        let group = (all[first].section.clone(), all[first].subsection.clone());
        match &group.1 {
            Some(subsection) => {
                let subsection = subsection.replace('\\', "\\\\").replace('"', "\\\"");
                text.extend(["[", &group.0, " \"", &subsection, "\"]\n"]);
            }
            None => text.extend(["[", &group.0, "]\n"]),
        }
        for (setting, written) in all.iter().zip(&mut written).skip(first) {
            if !*written && setting.section == group.0 && setting.subsection == group.1 {
                *written = true;
                text.extend(["\t", &setting.key, " = ", &quoted(&setting.value), "\n"]);
            }
        }
    }
    text
}

fn quoted(value: &str) -> String {
    let plain =
        !value.is_empty() && value.trim() == value && !value.contains(['"', '\\', '#', ';', '\n', '\t', '\u{8}']);
    if plain {
        return value.to_owned();
    }
    let escaped = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
        .replace('\t', "\\t")
        .replace('\u{8}', "\\b");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(content: &str) -> Vec<String> {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir(dir.path().join(".git")).expect("directory");
        let mut file = std::fs::File::create(dir.path().join(".git/config")).expect("file");
        std::io::Write::write_all(&mut file, content.as_bytes()).expect("content");
        let tree = Dir::open(dir.path()).expect("directory");
        let settings = harmless(&tree);
        settings.iter().map(|setting| format!("{}.{}={}", setting.section, setting.key, setting.value)).collect()
    }

    #[test]
    fn what_runs_commands_does_not_come_over() {
        let found = settings(
            "[core]\n fsmonitor = evil\n autocrlf = input\n hooksPath = x\n worktree = /\n[include]\n path = /x\n\
             [alias]\n st = !evil\n[remote \"a\"]\n url = ext::sh -c evil\n uploadpack = evil\n[user]\n name = A\n",
        );
        assert_eq!(found, ["core.autocrlf=input", "user.name=A"]);
    }

    #[test]
    fn values_are_read_back_as_they_were() {
        let value = "a \"b\" \\ c # d ; e\n\tf ";
        let text = text(&[Setting::new("remote", Some("x \"y\" \\"), "url", value)]);
        let (entries, broken) = config::parse(text.as_bytes());
        assert_eq!(broken, None);
        let entry = entries.last().expect("an entry");
        assert_eq!(entry.subsection.as_deref(), Some("x \"y\" \\"));
        assert_eq!(entry.value.as_deref(), Some(value));
    }
}
