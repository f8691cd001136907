//! One pattern of a `.gitignore` or `.gitattributes` file, read and compared as git does (`dir.c`).

use crate::git::wildmatch::wildmatch;

/// A pattern for paths relative to the directory of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) form: Form,
    /// It had a slash at its end.
    pub(super) directories_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A last component.
    Name(Vec<u8>),
    /// What a last component ends in.
    Suffix(Vec<u8>),
    /// A glob for the last component.
    Glob(Vec<u8>),
    /// A whole path: what it begins with, and the glob for the rest.
    Path(Vec<u8>, Vec<u8>),
}

impl Pattern {
    /// Reads a pattern that has no `!` before it.
    pub(super) fn parse(text: &[u8]) -> Self {
        let (text, directories_only) = match text.strip_suffix(b"/") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let literal = text.iter().position(|byte| is_special(*byte)).unwrap_or(text.len());
        let form = if text.contains(&b'/') {
            // Split before it is compared: a `**` right behind the literal part counts as one at the beginning.
            let begin = usize::from(text[0] == b'/');
            Form::Path(text[begin..literal].to_vec(), text[literal..].to_vec())
        } else if literal == text.len() {
            Form::Name(text.to_vec())
        } else if text[0] == b'*' && !text[1..].iter().any(|byte| is_special(*byte)) {
            Form::Suffix(text[1..].to_vec())
        } else {
            Form::Glob(text.to_vec())
        };
        Self { form, directories_only }
    }

    /// Returns whether the pattern is one for `path`.
    pub(super) fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        if self.directories_only && !is_directory {
            return false;
        }
        match &self.form {
            Form::Name(name) => name == file_name(path),
            Form::Suffix(suffix) => file_name(path).ends_with(suffix),
            Form::Glob(glob) => wildmatch(glob, file_name(path), false),
            Form::Path(literal, glob) => {
                path.strip_prefix(&literal[..]).is_some_and(|rest| wildmatch(glob, rest, true))
            }
        }
    }
}

/// Returns the last component of a path.
pub(super) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_inside_makes_it_one_for_whole_paths() {
        for (pattern, path, expected) in [
            ("a", "d/a", true),
            ("/a", "d/a", false),
            ("/a", "a", true),
            ("d/a", "d/a", true),
            ("d/a", "e/d/a", false),
            ("*a", "d/ba", true),
            ("a?", "d/ab", true),
            ("d/*", "d/a", true),
            ("d**/a", "dd/e/a", true),
            ("", "a", false),
        ] {
            assert_eq!(
                Pattern::parse(pattern.as_bytes()).matches(path.as_bytes(), false),
                expected,
                "{pattern} {path}"
            );
        }
        assert!(!Pattern::parse(b"a/").matches(b"a", false));
        assert!(Pattern::parse(b"a/").matches(b"d/a", true));
        assert!(!Pattern::parse(b"/").matches(b"a", true));
    }
}
