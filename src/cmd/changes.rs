//! Changes as commands show them: one line each for people, one object each for programs.

use serde::Serialize;

use crate::error::Result;
use crate::git::change::{self, Change, ChangeKind, Content};
use crate::git::repository::Store;
use crate::ui::text::quote;

/// Bytes of a file above which its content is left out.
const MAX_CONTENT: u64 = 1 << 20;

/// A change as an object, perhaps with the content that the file has now.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChangeObject {
    #[serde(flatten)]
    pub(crate) change: Change,
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

/// Returns a change as a line: `create hello.txt`, `update src/x.rs (+3 -1)`, `rename a -> b`.
pub(crate) fn line(change: &Change) -> String {
    let path = quote(&change.path);
    let mut line = match change.kind {
        ChangeKind::Create => return format!("create {path}"),
        ChangeKind::Delete => return format!("delete {path}"),
        ChangeKind::Update => format!("update {path}"),
        ChangeKind::Rename => {
            format!("rename {} -> {path}", quote(change.old_path.as_deref().unwrap_or_default()))
        }
    };
    let mut notes = Vec::new();
    if change.binary {
        if change.old_id != change.id {
            notes.push("binary".to_owned());
        }
    } else if change.additions + change.deletions > 0 {
        notes.push(format!("+{} -{}", change.additions, change.deletions));
    }
    if let (Some(old), Some(new)) = (change.old_mode, change.mode)
        && old != new
    {
        notes.push(format!("{} -> {}", mode(old), mode(new)));
    }
    if !notes.is_empty() {
        line = format!("{line} ({})", notes.join(", "));
    }
    line
}

fn mode(mode: u32) -> String {
    match mode & 0o170_000 {
        0o120_000 => "link".into(),
        0o160_000 => "repository".into(),
        _ => format!("mode {:o}", mode & 0o7777),
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
        assert_eq!(line(&change(ChangeKind::Create)), "create a b");
        let update = Change { additions: 3, deletions: 1, mode: Some(0o100_755), ..change(ChangeKind::Update) };
        assert_eq!(line(&update), "update a b (+3 -1, mode 644 -> mode 755)");
        let rename = Change { old_path: Some(b"x\ny".to_vec()), ..change(ChangeKind::Rename) };
        assert_eq!(line(&rename), "rename \"x\\ny\" -> a b");
        let link = Change { mode: Some(0o120_000), ..change(ChangeKind::Update) };
        assert_eq!(line(&link), "update a b (mode 644 -> link)");
    }
}
