//! Text for people: pages, tables, sizes, ages, and the quoting of names from outside.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::time::Duration;

use base64::Engine as _;
use jiff::Timestamp;

/// Text under construction. Whatever comes in is made harmless for a terminal; styles are the page's own.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
    color: bool,
}

impl Page {
    pub(super) fn colored(color: bool) -> Self {
        Self { text: String::new(), color }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(&escape(line.as_ref()));
        self.text.push('\n');
    }

    /// Adds a table with a heading, its columns aligned.
    pub(crate) fn table(&mut self, heading: &[&str], rows: &[Vec<String>]) {
        let rows: Vec<Vec<Cow<'_, str>>> =
            rows.iter().map(|row| row.iter().map(|cell| escape(cell)).collect()).collect();
        let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let heading = aligned(&widths, heading.iter().copied());
        self.styled(&heading, Style::Strong);
        self.text.push('\n');
        for row in &rows {
            self.text.push_str(&aligned(&widths, row.iter().map(AsRef::as_ref)));
            self.text.push('\n');
        }
    }

    /// Adds a `hint:` line: what to do next.
    pub(crate) fn hint(&mut self, hint: &str) {
        self.text.push_str("  ");
        self.styled("hint:", Style::Hint);
        self.text.push(' ');
        self.line(hint);
    }

    /// Adds a line that begins with a label, `error:` for instance.
    pub(super) fn labelled(&mut self, label: &str, style: Style, line: &str) {
        self.styled(label, style);
        self.text.push(' ');
        self.line(line);
    }

    fn styled(&mut self, text: &str, style: Style) {
        if self.color {
            self.text.push_str(style.code());
            self.text.push_str(text);
            self.text.push_str("\x1b[0m");
        } else {
            self.text.push_str(text);
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Style {
    Error,
    Warning,
    Hint,
    Strong,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Error => "\x1b[1;31m",
            Self::Warning => "\x1b[1;33m",
            Self::Hint => "\x1b[36m",
            Self::Strong => "\x1b[1m",
        }
    }
}

fn aligned<'a>(widths: &[usize], cells: impl Iterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (width, cell) in widths.iter().zip(cells) {
        // The padding counts characters as `chars` does; wide ones cost a little alignment, nothing else.
        write!(line, "{cell:width$}  ").expect("writing to a string cannot fail");
    }
    line.truncate(line.trim_end().len());
    line
}

/// Quotes a name from outside as git does (`core.quotePath=false`, but with bidi and other invisible characters
/// escaped): C quoting when it holds a quote, backslash, control character or invalid UTF-8, else unchanged.
pub(crate) fn quote(name: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(name)
        && !text.chars().any(|character| matches!(character, '"' | '\\') || invisible(character))
    {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::from("\"");
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                '\u{7}' => quoted.push_str("\\a"),
                '\u{8}' => quoted.push_str("\\b"),
                '\t' => quoted.push_str("\\t"),
                '\n' => quoted.push_str("\\n"),
                '\u{b}' => quoted.push_str("\\v"),
                '\u{c}' => quoted.push_str("\\f"),
                '\r' => quoted.push_str("\\r"),
                _ if invisible(character) => octal(&mut quoted, character.encode_utf8(&mut [0; 4]).as_bytes()),
                _ => quoted.push(character),
            }
        }
        octal(&mut quoted, chunk.invalid());
    }
    quoted.push('"');
    Cow::Owned(quoted)
}

fn octal(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(text, "\\{byte:03o}").expect("writing to a string cannot fail");
    }
}

/// Makes any text harmless for a terminal: control, escape, bidi and other invisible characters become visible.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(invisible) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if invisible(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Escapes what [`escape`] escapes, in JSON's own way; JSON itself only asks for it below U+0020.
pub(super) fn escape_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(invisible) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 8);
    for character in json.chars() {
        if invisible(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").expect("writing to a string cannot fail");
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Returns whether a character shows nothing of itself or changes how others are shown.
fn invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Returns a size for people: `1.4 MB` (powers of 1000), `512 B`.
pub(crate) fn bytes(count: u64) -> String {
    if count < 1000 {
        return format!("{count} B");
    }
    // In tenths of a unit, rounded; integers, so that no size is too large to be exact.
    let mut tenths = u128::from(count) * 10;
    for unit in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        tenths = (tenths + 500) / 1000;
        if tenths < 10_000 || unit == "EB" {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    unreachable!("the last unit takes everything")
}

/// Returns how many: `1 commit`, `2 commits`, `3 entries`.
pub(crate) fn times<N: Copy + Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    match noun.strip_suffix("ry") {
        _ if count == N::from(1) => format!("{count} {noun}"),
        Some(stem) => format!("{count} {stem}ries"),
        None => format!("{count} {noun}s"),
    }
}

/// Returns how long ago: `3 minutes ago`, `in the future`.
pub(crate) fn age(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - time.as_second();
    let (count, unit) = match seconds {
        ..0 => return "in the future".into(),
        0..10 => return "just now".into(),
        10..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86400 => (seconds / 3600, "hour"),
        _ => (seconds / 86400, "day"),
    };
    format!("{} ago", times(count, unit))
}

/// Returns in how long: `in 7 days`, `now`.
pub(crate) fn until(time: Timestamp, now: Timestamp) -> String {
    due(Duration::from_secs(u64::try_from(time.as_second() - now.as_second()).unwrap_or(0)))
}

/// The same of a time that is left.
pub(crate) fn due(left: Duration) -> String {
    // Rounded up: what has just been given a week has a week.
    let (count, unit) = match left.as_secs() {
        0 => return "now".into(),
        seconds @ 1..60 => (seconds, "second"),
        seconds @ 60..3600 => (seconds.div_ceil(60), "minute"),
        seconds @ 3600..86400 => (seconds.div_ceil(3600), "hour"),
        seconds => (seconds.div_ceil(86400), "day"),
    };
    format!("in {}", times(count, unit))
}

/// Returns a time without the fractions of its second.
pub(crate) fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Returns a duration: `1.3 s`, `5 min`, `2 h 10 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let pair = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => match duration.subsec_millis() / 100 {
            0 => format!("{seconds} s"),
            tenths => format!("{seconds}.{tenths} s"),
        },
        60..3600 => pair(seconds / 60, "min", seconds % 60, "s"),
        3600..86400 => pair(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => pair(seconds / 86400, "d", seconds % 86400 / 3600, "h"),
    }
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
        let text = String::from_utf8_lossy(path);
        let path_base64 = matches!(text, Cow::Owned(_)).then(|| base64::engine::general_purpose::STANDARD.encode(path));
        Self { path: text.into_owned(), path_base64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!([times(1, "day"), times(0, "day"), times(2, "day")], ["1 day", "0 days", "2 days"]);
        assert_eq!([times(1_u64, "new stash entry"), times(3, "entry")], ["1 new stash entry", "3 entries"]);
    }

    #[test]
    fn names_are_quoted_as_git_quotes_them() {
        assert_eq!(quote(b"src/main.rs"), "src/main.rs");
        assert_eq!(quote("für é.txt".as_bytes()), "für é.txt");
        assert_eq!(quote(b"a\"b\\c\td\ne"), r#""a\"b\\c\td\ne""#);
        assert_eq!(quote(b"\xff\x1b[31m"), r#""\377\033[31m""#);
        assert_eq!(quote("a\u{202e}b".as_bytes()), r#""a\342\200\256b""#);
    }

    #[test]
    fn messages_cannot_steer_the_terminal() {
        assert_eq!(escape("plain – text"), "plain – text");
        assert_eq!(escape("a\x1b[2Jb\r\n\u{9b}\u{202e}"), r"a\u{1b}[2Jb\r\n\u{9b}\u{202e}");
        assert_eq!(escape_json("\"\u{9b}\u{e0041}\""), "\"\\u009b\\udb40\\udc41\"");
    }

    #[test]
    fn a_page_escapes_what_comes_in_and_keeps_its_own_style() {
        let mut page = Page::colored(true);
        page.labelled("error:", Style::Error, "bad\x1b[0m\nerror: forged");
        assert_eq!(page.as_str(), "\x1b[1;31merror:\x1b[0m bad\\u{1b}[0m\\nerror: forged\n");
    }

    #[test]
    fn table_columns_are_aligned_without_trailing_blanks() {
        let mut page = Page::default();
        page.table(&["name", "state"], &[vec!["a".into(), "ready".into()], vec!["longer".into(), "x".into()]]);
        assert_eq!(page.as_str(), "name    state\na       ready\nlonger  x\n");
    }

    #[test]
    fn sizes_are_in_powers_of_1000() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_449_000, "1.4 MB"),
            (999_960, "1.0 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn ages_and_durations_are_words() {
        let now = Timestamp::from_second(1_000_000).expect("in range");
        let at = |seconds: i64| age(Timestamp::from_second(1_000_000 - seconds).expect("in range"), now);
        assert_eq!(
            [at(-5), at(3), at(60), at(7300), at(86400 * 9)].join(", "),
            "in the future, just now, 1 minute ago, 2 hours ago, 9 days ago"
        );
        let until = |seconds: i64| until(Timestamp::from_second(1_000_000 + seconds).expect("in range"), now);
        assert_eq!(
            [until(-5), until(1), until(61), until(7200), until(86400 * 7 - 1)].join(", "),
            "now, in 1 second, in 2 minutes, in 2 hours, in 7 days"
        );
        let of = |millis| duration(Duration::from_millis(millis));
        assert_eq!(
            [of(12), of(1300), of(5000), of(300_000), of(7_800_000)].join(", "),
            "12 ms, 1.3 s, 5 s, 5 min, 2 h 10 min"
        );
    }

    #[test]
    fn a_path_that_is_not_utf8_is_told_in_base64_too() {
        assert_eq!(JsonPath::of(b"a").path_base64, None);
        assert_eq!(JsonPath::of(b"\xff").path_base64.as_deref(), Some("/w=="));
    }
}
