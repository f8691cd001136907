//! Text for people: pages, tables, sizes, ages, and the quoting of names from outside.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;

/// Text under construction.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// Adds a line.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    /// Adds a table with a heading, its columns aligned.
    pub(crate) fn table(&mut self, heading: &[&str], rows: &[Vec<String>]) {
        let _ = (heading, rows);
        todo!("front")
    }

    /// Adds a `hint:` line: what to do next.
    pub(crate) fn hint(&mut self, hint: &str) {
        let _ = hint;
        todo!("front")
    }
}

/// Quotes a name from outside as git does (`core.quotePath=false`, but with bidi and other invisible characters
/// escaped): C quoting when it holds a quote, backslash, control character or invalid UTF-8, else unchanged.
pub(crate) fn quote(name: &[u8]) -> Cow<'_, str> {
    let _ = name;
    todo!("front")
}

/// Returns a size for people: `1.4 MB` (powers of 1000), `512 B`.
pub(crate) fn bytes(count: u64) -> String {
    let _ = count;
    todo!("front")
}

/// Returns how long ago: `3 minutes ago`, `in the future`.
pub(crate) fn age(time: Timestamp, now: Timestamp) -> String {
    let _ = (time, now);
    todo!("front")
}

/// Returns a duration: `1.3 s`, `5 min`, `2 h 10 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let _ = duration;
    todo!("front")
}

/// Serialises a path as `path` (lossy) and, when it is not UTF-8, `path_base64`; use with `#[serde(flatten)]`.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct JsonPath {
    pub(crate) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path_base64: Option<String>,
}

impl JsonPath {
    pub(crate) fn of(path: &[u8]) -> Self {
        let _ = path;
        todo!("front")
    }
}
