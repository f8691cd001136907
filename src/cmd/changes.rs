//! Changes as commands show them: one line each for people, one object each for programs.

use std::collections::HashSet;
use std::hash::Hash;
use std::path::PathBuf;

use serde::Serialize;

use crate::error::Result;
use crate::git::agentdir::AgentRefs;
use crate::git::change::{self, Change, ChangeKind, Content};
use crate::git::gone::{self, Was};
use crate::git::meta::Meta;
use crate::git::repository::Store;
use crate::ui::text::{self, JsonPath, Page, quote};

/// Bytes of a file above which its content is left out.
const MAX_CONTENT: u64 = 1 << 20;

/// So many files of one directory are named that were passed by for the same reason.
const SHOWN: usize = 10;

const TYPE: u32 = 0o170_000;
const LINK: u32 = 0o120_000;
const REPOSITORY: u32 = 0o160_000;

/// A change as an object, perhaps with the content that the file has now.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChangeObject {
    #[serde(flatten)]
    change: Change,
    #[serde(flatten)]
    content: Option<Content>,
}

impl ChangeObject {
    pub(crate) fn new(change: Change) -> Self {
        Self { change, content: None }
    }

    pub(crate) fn with_content(change: Change, store: &Store) -> Result<Self> {
        let content = change::content(store, &change, MAX_CONTENT)?;
        Ok(Self { change, content })
    }
}

/// Returns the path of a change for people: that of a directory ends in a slash.
pub(crate) fn shown(change: &Change) -> String {
    if change.is_of_directory() {
        quote(&[&change.path, b"/".as_slice()].concat()).into_owned()
    } else {
        quote(&change.path).into_owned()
    }
}

/// Returns a change as a line: `create hello.txt (+1 -0)`, `update src/x.rs (+3 -1)`, `rename a -> b`,
/// `update src/ (mode 755 -> mode 700)`.
pub(crate) fn line(change: &Change) -> String {
    let path = shown(change);
    let mut line = match change.kind {
        ChangeKind::Create => format!("create {path}"),
        ChangeKind::Delete => format!("delete {path}"),
        ChangeKind::Update => format!("update {path}"),
        ChangeKind::Rename => {
            format!("rename {} -> {path}", quote(change.old_path.as_deref().unwrap_or_default()))
        }
    };
    let mut notes = Vec::new();
    if change.binary {
        if change.old_id != change.id || change.id.is_none() {
            notes.push("binary".to_owned());
        }
    } else if change.additions + change.deletions > 0 {
        notes.push(format!("+{} -{}", change.additions, change.deletions));
    }
    match (change.old_mode, change.mode) {
        (Some(old), Some(new)) if old != new => notes.push(format!("{} -> {}", mode(old), mode(new))),
        // What a plain file is, goes without saying.
        (None, Some(one)) | (Some(one), None) if one & TYPE == LINK || one & TYPE == REPOSITORY || one & 0o111 != 0 => {
            notes.push(mode(one));
        }
        _ => {}
    }
    if !notes.is_empty() {
        line = format!("{line} ({})", notes.join(", "));
    }
    line
}

fn mode(mode: u32) -> String {
    match mode & TYPE {
        LINK => "link".into(),
        REPOSITORY => "repository".into(),
        _ => format!("mode {:o}", mode & 0o7777),
    }
}

/// Adds a line of what in `.git` would run commands, if there is any.
pub(crate) fn held(page: &mut Page, held: &[String], kept: bool) {
    name_held(page, held, kept, "Taken out of `.git`, because it would run commands");
}

/// The same of what was there before and is not put back.
pub(crate) fn not_put_back(page: &mut Page, held: &[String], kept: bool) {
    name_held(page, held, kept, "Not put back in `.git`, because it would run commands");
    if !held.is_empty() && !kept {
        page.hint("`--keep-git-config` puts it back too");
    }
}

fn name_held(page: &mut Page, held: &[String], kept: bool, gone: &str) {
    if held.is_empty() {
        return;
    }
    let names: Vec<_> = held.iter().map(|name| quote(name.as_bytes())).collect();
    let what = if kept { "`.git` holds what would run commands" } else { gone };
    page.line(format!("{what}: {}", names.join(", ")));
}

/// What a snapshot names apart from its files.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Beside {
    /// Nested repositories, which are no part of the changes.
    nested: Vec<JsonPath>,
    /// What only rules newer than the base ignore.
    newly_ignored: Vec<JsonPath>,
    /// What could not be recorded: special files, too large or unreadable ones.
    unrecorded: Vec<Unrecorded>,
    /// Linked worktrees that a run has made where nothing is recorded.
    linked_worktrees: Vec<JsonPath>,
    #[serde(flatten)]
    gone: Gone,
}

/// What a run took away that no change to a file tells.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Gone {
    /// Refs, stash entries and a detached HEAD that no longer lead to where they did.
    refs_gone: Vec<RefGone>,
    /// What else is gone.
    gone: Vec<PathGone>,
}

#[derive(Debug, Serialize)]
struct RefGone {
    /// The full name, or `stash@{N}`.
    name: String,
    old: String,
    /// Where it leads instead; none where it is not there any more.
    new: Option<String>,
}

#[derive(Debug, Serialize)]
struct PathGone {
    #[serde(flatten)]
    path: JsonPath,
    /// The list that it was named in: `nested`, `newly_ignored` or `unrecorded`.
    was: &'static str,
    #[serde(skip)]
    shown: String,
}

impl Gone {
    /// Returns how much is gone.
    pub(crate) fn count(&self) -> u64 {
        (self.refs_gone.len() + self.gone.len()) as u64
    }

    fn text(&self, page: &mut Page) {
        let lines = self.gone.iter().map(|gone| {
            let what = match gone.was {
                "nested" => "nested repository",
                "newly_ignored" => "newly ignored",
                _ => "not recorded",
            };
            format!("gone {what} {}", gone.shown)
        });
        let short = |id: &str| id[..7].to_owned();
        let refs = self.refs_gone.iter().map(|gone| {
            let new = gone.new.as_deref().map_or_else(|| "nothing".to_owned(), short);
            format!("{}: {} -> {new}", quote(gone.name.as_bytes()), short(&gone.old))
        });
        some(page, lines.collect(), "gone");
        some(page, refs.collect(), "refs");
    }
}

/// Adds the lines, or the first of them and how many more there are.
fn some(page: &mut Page, mut lines: Vec<String>, what: &str) {
    let count = lines.len();
    if count > 2 * SHOWN {
        lines.truncate(SHOWN);
        lines.push(format!("{what}: {} more", count - SHOWN));
    }
    for line in lines {
        page.line(line);
    }
}

#[derive(Debug, Serialize)]
struct Unrecorded {
    #[serde(flatten)]
    path: JsonPath,
    reason: String,
    #[serde(skip)]
    shown: String,
}

impl Unrecorded {
    fn is_like(&self, other: &Self) -> bool {
        self.reason == other.reason && parent(&self.path.path) == parent(&other.path.path)
    }
}

fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(directory, _)| directory)
}

/// Returns what only `after` has.
fn new<'a, T: Eq + Hash>(before: &'a [T], after: &'a [T]) -> impl Iterator<Item = &'a T> {
    new_or(before, after, |_| false)
}

/// Returns what only `after` has, and what is `other` in it.
fn new_or<'a, T: Eq + Hash>(
    before: &'a [T],
    after: &'a [T],
    other: impl Fn(&T) -> bool,
) -> impl Iterator<Item = &'a T> {
    let known: HashSet<&T> = before.iter().collect();
    after.iter().filter(move |entry| !known.contains(entry) || other(entry))
}

impl Beside {
    /// Returns what `after` names and `before` did not, and what is not read in both and yet another one.
    pub(crate) fn between(before: &Meta, after: &Meta) -> Self {
        let nested = new(&before.nested, &after.nested);
        let ignored = new(&before.newly_ignored, &after.newly_ignored);
        let mut unrecorded = Vec::new();
        let mut add = |path: &[u8], reason: String| {
            unrecorded.push(Unrecorded { path: JsonPath::of(path), reason, shown: quote(path).into_owned() });
        };
        for (path, kind) in new(&before.special, &after.special) {
            add(path, kind.clone());
        }
        let large = new_or(&before.too_large, &after.too_large, |(path, _)| after.is_rewritten(before, path));
        for (path, size) in large {
            add(path, format!("too large: {}", text::bytes(*size)));
        }
        let closed = new_or(&before.unreadable, &after.unreadable, |(path, _)| after.is_rewritten(before, path));
        for (path, reason) in closed {
            add(path, reason.clone());
        }
        Self {
            nested: nested.map(|(path, _)| JsonPath::of(path)).collect(),
            newly_ignored: ignored.map(|path| JsonPath::of(path)).collect(),
            unrecorded,
            ..Self::default()
        }
    }

    /// Adds the linked worktrees that a run has made where nothing is recorded.
    pub(crate) fn with_linked(self, linked: &[PathBuf]) -> Self {
        let linked = linked.iter().map(|place| JsonPath::of(place.as_os_str().as_encoded_bytes()));
        Self { linked_worktrees: linked.collect(), ..self }
    }

    pub(crate) fn linked(&self) -> &[JsonPath] {
        &self.linked_worktrees
    }

    /// Adds what the run took away.
    pub(crate) fn with_gone(self, gone: gone::Gone) -> Self {
        let refs = gone.refs.into_iter().map(|gone::RefGone { name, old, new }| RefGone {
            name,
            old: old.to_string(),
            new: new.map(|id| id.to_string()),
        });
        let paths = gone.paths.into_iter().map(|(path, was)| PathGone {
            path: JsonPath::of(&path),
            was: match was {
                Was::Nested => "nested",
                Was::NewlyIgnored => "newly_ignored",
                Was::Unrecorded => "unrecorded",
            },
            shown: quote(&path).into_owned(),
        });
        Self { gone: Gone { refs_gone: refs.collect(), gone: paths.collect() }, ..self }
    }

    pub(crate) fn gone(&self) -> &Gone {
        &self.gone
    }

    /// Adds repositories in ignored directories in which a run has done something.
    pub(crate) fn add_passed<'a>(&mut self, paths: impl Iterator<Item = &'a Vec<u8>>) {
        self.unrecorded.extend(paths.map(|path| Unrecorded {
            path: JsonPath::of(path),
            reason: "a repository in an ignored directory".to_owned(),
            shown: quote(path).into_owned(),
        }));
    }

    /// Adds what of the agent's refs cannot be read, whether or not it could be before: commits may hide there.
    pub(crate) fn add_unread_refs(&mut self, refs: &AgentRefs) {
        let named: HashSet<String> = self.unrecorded.iter().map(|other| other.path.path.clone()).collect();
        let mut last = "";
        // What is in the place of `.git` itself is named by the snapshot.
        for (name, reason) in refs.bad.iter().filter(|(name, _)| name != ".git") {
            let path = format!(".git/{name}");
            if name != last && !named.contains(&path) {
                let shown = quote(path.as_bytes()).into_owned();
                self.unrecorded.push(Unrecorded { path: JsonPath::of(path.as_bytes()), reason: reason.clone(), shown });
            }
            last = name;
        }
    }

    /// Adds a line for each.
    pub(crate) fn text(&self, page: &mut Page) {
        for path in &self.nested {
            page.line(format!("nested repository {}", quote(path.path.as_bytes())));
        }
        for path in &self.linked_worktrees {
            let path = quote(path.path.as_bytes());
            page.line(format!("linked worktree {path} (its files are not recorded)"));
        }
        for path in &self.newly_ignored {
            page.line(format!("newly ignored {}", quote(path.path.as_bytes())));
        }
        for alike in self.unrecorded.chunk_by(Unrecorded::is_like) {
            // A hundred thousand lines would hide what else there is to say.
            let shown = if alike.len() > 2 * SHOWN { SHOWN } else { alike.len() };
            for unrecorded in &alike[..shown] {
                page.line(format!("not recorded {} ({})", unrecorded.shown, unrecorded.reason));
            }
            if let [Unrecorded { path, reason, .. }, ..] = &alike[shown..] {
                let count = alike.len() - shown;
                let directory = parent(&path.path).map_or("the top".into(), |directory| quote(directory.as_bytes()));
                page.line(format!("not recorded {count} more in {directory} ({reason})"));
            }
        }
        self.gone.text(page);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nested.is_empty()
            && self.linked_worktrees.is_empty()
            && self.newly_ignored.is_empty()
            && self.unrecorded.is_empty()
            && self.gone.count() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: ChangeKind) -> Change {
        Change {
            path: b"a b".to_vec(),
            kind,
            old_path: None,
            old_mode: Some(0o100_644),
            mode: Some(0o100_644),
            old_id: None,
            id: None,
            binary: false,
            additions: 0,
            deletions: 0,
        }
    }

    #[test]
    fn a_change_is_one_line() {
        assert_eq!(line(&Change { old_mode: None, ..change(ChangeKind::Create) }), "create a b");
        let program = Change { old_mode: None, mode: Some(0o100_755), additions: 2, ..change(ChangeKind::Create) };
        assert_eq!(line(&program), "create a b (+2 -0, mode 755)");
        let update = Change { additions: 3, deletions: 1, mode: Some(0o100_755), ..change(ChangeKind::Update) };
        assert_eq!(line(&update), "update a b (+3 -1, mode 644 -> mode 755)");
        let rename = Change { old_path: Some(b"x\ny".to_vec()), ..change(ChangeKind::Rename) };
        assert_eq!(line(&rename), "rename \"x\\ny\" -> a b");
        let link = Change { mode: Some(0o120_000), ..change(ChangeKind::Update) };
        assert_eq!(line(&link), "update a b (mode 644 -> link)");
        assert_eq!(line(&Change::of_directory(b"a\nb", 0o755, 0o1777)), "update \"a\\nb/\" (mode 755 -> mode 1777)");
        assert_eq!(line(&Change::of_directory(b"", 0o755, 0)), "update ./ (mode 755 -> mode 0)");
    }
}
