//! Changes as commands show them: one line each for people, one object each for programs.

use base64::Engine as _;
use serde::Serialize;

use crate::error::Result;
use crate::git::change::{Change, ChangeKind};
use crate::git::repository::Store;
use crate::ui::text::{JsonPath, quote};

/// Bytes of a file above which its content is left out.
const CONTENT_CAP: usize = 1 << 20;

/// A change as an object.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChangeObject {
    #[serde(flatten)]
    path: JsonPath,
    operation: ChangeKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_path_base64: Option<String>,
    /// As git writes modes, `100644` for instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    binary: bool,
    additions: u64,
    deletions: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
    /// Whether the content was asked for and is too large to be here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    content_omitted: bool,
}

impl ChangeObject {
    pub(crate) fn new(change: &Change) -> Self {
        let old = change.old_path.as_deref().map(JsonPath::of);
        let mode = |mode: u32| format!("{mode:06o}");
        Self {
            path: JsonPath::of(&change.path),
            operation: change.kind,
            old_path_base64: old.as_ref().and_then(|path| path.path_base64.clone()),
            old_path: old.map(|path| path.path),
            old_mode: change.old_mode.map(mode),
            mode: change.mode.map(mode),
            binary: change.binary,
            additions: change.additions,
            deletions: change.deletions,
            content: None,
            content_base64: None,
            content_omitted: false,
        }
    }

    /// Like [`Self::new`], with the content that the file has now: as text, or in base64 when it is not UTF-8.
    pub(crate) fn with_content(change: &Change, store: &Store) -> Result<Self> {
        let mut object = Self::new(change);
        let Some(id) = change.id else { return Ok(object) };
        match store.content(id, CONTENT_CAP)? {
            None => object.content_omitted = true,
            Some(bytes) => match String::from_utf8(bytes) {
                Ok(text) => object.content = Some(text),
                Err(error) => {
                    let bytes = error.as_bytes();
                    object.content_base64 = Some(base64::engine::general_purpose::STANDARD.encode(bytes));
                }
            },
        }
        Ok(object)
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
