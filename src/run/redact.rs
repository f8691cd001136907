//! Taking secret values out of what a command prints, as it comes: whatever a chunk ends with that may be the start of a
//! value is kept back until the next one.
//!
//! A value is known raw, percent-encoded, as base64 (wherever it stands in the encoded text) and as JSON escapes it; of two that
//! begin at the same place the longest is taken. Limits: base64 that is broken into lines, and encodings of encodings.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};

/// Bytes below which a value is not looked for: it would be found in text that has nothing to do with it.
pub(crate) const SHORTEST: usize = 6;

/// A value that is not to be seen, and the name that stands for it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hidden {
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hidden({})", self.name)
    }
}

/// Replaces values in a stream of bytes.
pub(crate) struct Redactor {
    patterns: Vec<Pattern>,
    /// Which patterns begin with a byte, the longest first.
    by_first: Vec<Vec<usize>>,
    /// What is not decided yet.
    kept: Vec<u8>,
    /// So many bytes at the start of `kept` are part of a value that is replaced already.
    covered: usize,
}

struct Pattern {
    bytes: Vec<u8>,
    mark: Vec<u8>,
}

impl Redactor {
    pub(crate) fn new(hidden: &[Hidden]) -> Self {
        let mut patterns = Vec::new();
        for Hidden { name, value } in hidden.iter().filter(|hidden| hidden.value.len() >= SHORTEST) {
            let mark = format!("[{name} redacted]").into_bytes();
            patterns.extend(forms(value).into_iter().map(|bytes| Pattern { bytes, mark: mark.clone() }));
        }
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.bytes.len()));
        let mut by_first = vec![Vec::new(); 256];
        for (index, pattern) in patterns.iter().enumerate() {
            by_first[usize::from(pattern.bytes[0])].push(index);
        }
        Self { patterns, by_first, kept: Vec::new(), covered: 0 }
    }

    /// Takes the next bytes and returns what can be shown.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        if self.patterns.is_empty() {
            return chunk.to_owned();
        }
        self.kept.extend_from_slice(chunk);
        self.decide(false)
    }

    /// Returns what was kept back: nothing more comes.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.decide(true)
    }

    fn decide(&mut self, is_end: bool) -> Vec<u8> {
        let mut shown = Vec::with_capacity(self.kept.len());
        let mut at = 0;
        while at < self.kept.len() {
            let rest = &self.kept[at..];
            let mut open = false;
            for pattern in self.by_first[usize::from(rest[0])].iter().map(|&index| &self.patterns[index]) {
                if rest.starts_with(&pattern.bytes) {
                    // Inside another value it only reaches further.
                    if at >= self.covered {
                        shown.extend_from_slice(&pattern.mark);
                    }
                    self.covered = self.covered.max(at + pattern.bytes.len());
                    break;
                }
                open |= !is_end && pattern.bytes.starts_with(rest);
                if open && at >= self.covered {
                    break;
                }
            }
            if open {
                break;
            }
            if at >= self.covered {
                shown.push(rest[0]);
            }
            at += 1;
        }
        self.kept.drain(..at);
        self.covered = self.covered.saturating_sub(at);
        shown
    }
}

/// Returns everything that a value may look like in output.
fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![value.to_owned()];
    for keep in [&b"-_.~"[..], b"-_.!~*'()", b"-_.~/"] {
        let encoded = percent_encoded(value, keep);
        let bytes = encoded.as_bytes();
        forms.push(lowered(bytes));
        // A form sends spaces as `+`.
        forms.push(encoded.replace("%20", "+").into_bytes());
        forms.push(encoded.into_bytes());
    }
    for engine in [&STANDARD, &URL_SAFE] {
        for shift in 0..3 {
            let mut bytes = vec![0; shift];
            bytes.extend_from_slice(value);
            let encoded = engine.encode(&bytes).into_bytes();
            // The characters that neighbours have a part in are not the same everywhere.
            let first = (shift * 8).div_ceil(6);
            let last = bytes.len() * 8 / 6;
            forms.push(encoded[first..last].to_owned());
        }
    }
    if let Ok(text) = std::str::from_utf8(value) {
        let json = serde_json::to_string(text).expect("a text is JSON");
        let json = &json[1..json.len() - 1];
        forms.push(json.replace('/', "\\/").into_bytes());
        forms.push(ascii_json(json).into_bytes());
        // Some escape what means something in HTML.
        forms.push(json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").into_bytes());
        forms.push(json.to_owned().into_bytes());
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms.sort();
    forms.dedup();
    forms
}

fn percent_encoded(value: &[u8], keep: &[u8]) -> String {
    let mut text = String::new();
    for &byte in value {
        if byte.is_ascii_alphanumeric() || keep.contains(&byte) {
            text.push(byte.into());
        } else {
            write!(text, "%{byte:02X}").expect("a String takes any text");
        }
    }
    text
}

/// Returns percent-encoded bytes with small hexadecimal digits.
fn lowered(encoded: &[u8]) -> Vec<u8> {
    let mut bytes = encoded.to_owned();
    for at in 0..bytes.len() {
        if encoded[at] == b'%' {
            bytes[at + 1..at + 3].make_ascii_lowercase();
        }
    }
    bytes
}

/// Returns JSON in which all but ASCII is escaped too, as some writers do it.
fn ascii_json(json: &str) -> String {
    let mut text = String::new();
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(text, "\\u{unit:04x}").expect("a String takes any text");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(values: &[(&str, &str)]) -> Redactor {
        let hidden: Vec<Hidden> = values
            .iter()
            .map(|(name, value)| Hidden { name: (*name).into(), value: value.as_bytes().into() })
            .collect();
        Redactor::new(&hidden)
    }

    fn whole(values: &[(&str, &str)], text: &[u8]) -> String {
        let mut redactor = redactor(values);
        let mut shown = redactor.push(text);
        shown.extend(redactor.finish());
        String::from_utf8(shown).unwrap()
    }

    const KEY: &[(&str, &str)] = &[("KEY", "s3cret/ü \"x\"")];

    #[test]
    fn each_form_of_a_value_is_replaced() {
        for form in [
            "s3cret/ü \"x\"",
            "s3cret%2F%C3%BC%20%22x%22",
            "s3cret%2f%c3%bc%20%22x%22",
            "s3cret%2F%C3%BC+%22x%22",
            "s3cret/%C3%BC%20%22x%22",
            "s3cret/ü \\\"x\\\"",
            "s3cret\\/ü \\\"x\\\"",
            "s3cret/\\u00fc \\\"x\\\"",
        ] {
            assert_eq!(whole(KEY, format!("a {form} b").as_bytes()), "a [KEY redacted] b", "{form}");
        }
        assert_eq!(whole(&[("KEY", "s3<&>ret")], b"s3\\u003c\\u0026\\u003eret"), "[KEY redacted]");
    }

    #[test]
    fn base64_is_found_at_all_three_alignments_and_in_both_alphabets() {
        let value = "s3cret-\u{3ff}\u{3fe}-value??>>";
        for before in ["", "a", "ab", "abc"] {
            for after in ["", "y", "yz", "xyz"] {
                for engine in [&STANDARD, &URL_SAFE] {
                    let encoded = engine.encode(format!("{before}{value}{after}"));
                    let shown = whole(&[("KEY", value)], encoded.as_bytes());
                    assert!(shown.contains("[KEY redacted]") && shown.len() < 24, "{encoded}: {shown}");
                }
            }
        }
    }

    #[test]
    fn a_value_is_found_wherever_the_chunks_are_cut() {
        let text = "before s3cret-value after s3cret s3cret-valu".as_bytes();
        for size in 1..text.len() {
            let mut redactor = redactor(&[("KEY", "s3cret-value")]);
            let mut shown = Vec::new();
            for chunk in text.chunks(size) {
                shown.extend(redactor.push(chunk));
                assert!(!String::from_utf8_lossy(&shown).contains("s3cret-value"));
            }
            shown.extend(redactor.finish());
            assert_eq!(String::from_utf8(shown).unwrap(), "before [KEY redacted] after s3cret s3cret-valu", "{size}");
        }
    }

    #[test]
    fn what_cannot_be_a_value_is_not_kept_back() {
        let mut redactor = redactor(&[("KEY", "s3cret-value")]);
        assert_eq!(redactor.push(b"Continue? [y/N] "), b"Continue? [y/N] ");
        assert_eq!(redactor.push(b"yes s3"), b"yes ");
        assert_eq!(redactor.push(b"x"), b"s3x");
    }

    #[test]
    fn the_longest_of_two_is_taken_and_overlaps_leave_nothing() {
        let two = [("SHORT", "s3cret"), ("LONG", "s3cret-value")];
        assert_eq!(whole(&two, b"s3cret-value s3cret-v"), "[LONG redacted] [SHORT redacted]-v");
        assert_eq!(whole(&[("A", "abcdef"), ("B", "defghi")], b"abcdefghi!"), "[A redacted]!");
        for size in 1..9 {
            let mut redactor = redactor(&[("A", "aaaaaa")]);
            let mut shown: Vec<u8> = b"aaaaaaaab".chunks(size).flat_map(|chunk| redactor.push(chunk)).collect();
            shown.extend(redactor.finish());
            assert_eq!(String::from_utf8(shown).unwrap(), "[A redacted]b", "{size}");
        }
    }

    #[test]
    fn a_short_value_is_not_looked_for() {
        assert_eq!(whole(&[("KEY", "12345")], b"12345"), "12345");
    }
}
