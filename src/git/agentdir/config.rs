//! git's configuration format, read without git: sections, subsections, quotes, escapes, continued lines, comments.
//! Includes are not followed; the reader sees them as the keys that they are.

use std::path::{Component, Path};

use crate::store::dotgit::is_dot_git;

/// One `key = value`, section and key in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) section: String,
    pub(crate) subsection: Option<String>,
    pub(crate) key: String,
    /// `None` for a key without `=`, which means true.
    pub(crate) value: Option<String>,
}

impl Entry {
    /// Returns `section.subsection.key`.
    pub(crate) fn name(&self) -> String {
        match &self.subsection {
            Some(subsection) => format!("{}.{subsection}.{}", self.section, self.key),
            None => format!("{}.{}", self.section, self.key),
        }
    }
}

/// Reads a configuration; bytes that are not UTF-8 become U+FFFD. Fails with the number of the line where git would
/// stop too; what is before it counts nevertheless.
pub(crate) fn parse(content: &[u8]) -> (Vec<Entry>, Option<usize>) {
    let text = String::from_utf8_lossy(content);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n");
    let mut parser = Parser { rest: text.chars().peekable(), line: 1 };
    let mut entries = Vec::new();
    let mut place: Option<(String, Option<String>)> = None;
    loop {
        parser.skip_blank();
        let Some(next) = parser.rest.peek().copied() else { return (entries, None) };
        let line = parser.line;
        match next {
            '#' | ';' => parser.skip_line(),
            '[' => match parser.section() {
                Some(section) => place = Some(section),
                None => return (entries, Some(line)),
            },
            _ => {
                let Some((section, subsection)) = place.clone() else { return (entries, Some(line)) };
                let Some((key, value)) = parser.entry() else { return (entries, Some(line)) };
                entries.push(Entry { section, subsection, key, value });
            }
        }
    }
}

/// Returns whether `value`, the `core.worktree` of the submodule's git directory at `.git/PATH`, leads to a directory of the
/// tree as git writes it: all the way up, then down again.
pub(crate) fn is_tree_of_submodule(path: &Path, value: &str) -> bool {
    let up = "../".repeat(path.components().count() + 1);
    value.strip_prefix(&up).is_some_and(|down| {
        !down.is_empty()
            && Path::new(down)
                .components()
                .all(|part| matches!(part, Component::Normal(name) if !is_dot_git(name.as_encoded_bytes())))
    })
}

struct Parser<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        if next == Some('\n') {
            self.line += 1;
        }
        next
    }

    fn skip_blank(&mut self) {
        while self.rest.peek().is_some_and(|next| next.is_whitespace()) {
            self.next();
        }
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|next| next != '\n') {}
    }

    /// Reads `[section]`, `[section "subsection"]` or the old `[section.subsection]`.
    fn section(&mut self) -> Option<(String, Option<String>)> {
        self.next();
        let mut name = String::new();
        loop {
            match self.next()? {
                ']' => {
                    let name = name.to_lowercase();
                    return Some(match name.split_once('.') {
                        Some((section, subsection)) => (section.to_owned(), Some(subsection.to_owned())),
                        None => (name, None),
                    });
                }
                ' ' | '\t' => break,
                other if other.is_ascii_alphanumeric() || other == '-' || other == '.' => name.push(other),
                _ => return None,
            }
        }
        while matches!(self.rest.peek(), Some(' ' | '\t')) {
            self.next();
        }
        if self.next()? != '"' {
            return None;
        }
        let mut subsection = String::new();
        loop {
            match self.next()? {
                '"' => break,
                '\\' => subsection.push(self.next()?),
                '\n' => return None,
                other => subsection.push(other),
            }
        }
        (self.next()? == ']').then(|| (name.to_lowercase(), Some(subsection)))
    }

    fn entry(&mut self) -> Option<(String, Option<String>)> {
        let mut key = String::new();
        while let Some(next) = self.rest.peek().copied().filter(|next| next.is_ascii_alphanumeric() || *next == '-') {
            key.push(next.to_ascii_lowercase());
            self.next();
        }
        if !key.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return None;
        }
        while matches!(self.rest.peek(), Some(' ' | '\t')) {
            self.next();
        }
        match self.rest.peek().copied() {
            None | Some('\n') => Some((key, None)),
            Some('#' | ';') => {
                self.skip_line();
                Some((key, None))
            }
            Some('=') => {
                self.next();
                Some((key, Some(self.value()?)))
            }
            Some(_) => None,
        }
    }

    fn value(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut kept = 0;
        let mut quoted = false;
        while matches!(self.rest.peek(), Some(' ' | '\t')) {
            self.next();
        }
        loop {
            match self.next() {
                None | Some('\n') if quoted => return None,
                None | Some('\n') => break,
                Some('"') => {
                    quoted = !quoted;
                    kept = value.len();
                }
                Some('\\') => {
                    match self.next()? {
                        '\n' => continue,
                        'n' => value.push('\n'),
                        't' => value.push('\t'),
                        'b' => value.push('\u{8}'),
                        other @ ('"' | '\\') => value.push(other),
                        _ => return None,
                    }
                    kept = value.len();
                }
                Some('#' | ';') if !quoted => {
                    self.skip_line();
                    break;
                }
                Some(other) => {
                    value.push(other);
                    if quoted || !other.is_whitespace() {
                        kept = value.len();
                    }
                }
            }
        }
        value.truncate(kept);
        Some(value)
    }
}
