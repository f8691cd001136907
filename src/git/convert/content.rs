//! Ends of lines and `$Id$` in contents, both ways, as git's `convert.c` does it.

use git2::{ObjectType, Oid};

/// What git looks at when it guesses whether a content is text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stats {
    nul: usize,
    lone_cr: usize,
    lone_lf: usize,
    pub(super) crlf: usize,
    printable: usize,
    nonprintable: usize,
}

impl Stats {
    pub(super) fn of(content: &[u8]) -> Self {
        let mut stats = Self::default();
        let mut bytes = content.iter().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\r' if bytes.peek() == Some(&&b'\n') => {
                    bytes.next();
                    stats.crlf += 1;
                }
                b'\r' => stats.lone_cr += 1,
                b'\n' => stats.lone_lf += 1,
                0 => {
                    stats.nul += 1;
                    stats.nonprintable += 1;
                }
                8 | b'\t' | 27 | 12 => stats.printable += 1,
                127 | 0..32 => stats.nonprintable += 1,
                _ => stats.printable += 1,
            }
        }
        // The end-of-file sign of DOS.
        if content.last() == Some(&26) {
            stats.nonprintable -= 1;
        }
        stats
    }

    pub(super) fn is_binary(self) -> bool {
        self.lone_cr > 0 || self.nul > 0 || (self.printable >> 7) < self.nonprintable
    }
}

/// Returns the content with CRLF at every end of line; `None` when it stays. What was guessed to be text is left alone when it
/// has carriage returns already or looks binary.
pub(super) fn to_crlf(content: &[u8], guessed: bool) -> Option<Vec<u8>> {
    let stats = Stats::of(content);
    if stats.lone_lf == 0 || (guessed && (stats.lone_cr > 0 || stats.crlf > 0 || stats.is_binary())) {
        return None;
    }
    let mut converted = Vec::with_capacity(content.len() + stats.lone_lf);
    let mut last = 0;
    for &byte in content {
        if byte == b'\n' && last != b'\r' {
            converted.push(b'\r');
        }
        converted.push(byte);
        last = byte;
    }
    Some(converted)
}

/// Returns the content with LF in the place of every CRLF.
pub(super) fn to_lf(content: &[u8]) -> Vec<u8> {
    let mut converted = Vec::with_capacity(content.len());
    let mut bytes = content.iter().peekable();
    while let Some(&byte) = bytes.next() {
        if byte != b'\r' || bytes.peek() != Some(&&b'\n') {
            converted.push(byte);
        }
    }
    converted
}

/// Puts the object name of the content behind every `$Id`; `None` when there is none.
pub(super) fn expand_ident(content: &[u8]) -> Option<Vec<u8>> {
    let mut expanded = Vec::new();
    let mut rest = content;
    let mut id: Option<String> = None;
    while let Some(dollar) = find(rest, b'$') {
        expanded.extend_from_slice(&rest[..=dollar]);
        rest = &rest[dollar + 1..];
        if rest.len() < 3 || !rest.starts_with(b"Id") {
            continue;
        }
        match rest[2] {
            b'$' => rest = &rest[3..],
            b':' => {
                let Some(end) = find(&rest[3..], b'$').map(|end| end + 3) else { break };
                if rest[3..end].contains(&b'\n') {
                    continue;
                }
                // Spaces inside are those of another version control system: its keyword stays.
                let space = rest.get(4..end).and_then(|inside| find(inside, b' ')).map(|space| space + 4);
                if space.is_some_and(|space| space < end - 1) {
                    continue;
                }
                rest = &rest[end + 1..];
            }
            _ => continue,
        }
        let id = id.get_or_insert_with(|| {
            Oid::hash_object(ObjectType::Blob, content).map(|id| id.to_string()).unwrap_or_default()
        });
        expanded.extend_from_slice(b"Id: ");
        expanded.extend_from_slice(id.as_bytes());
        expanded.extend_from_slice(b" $");
    }
    id?;
    expanded.extend_from_slice(rest);
    Some(expanded)
}

/// Takes what is behind every `$Id` away; `None` when there is nothing.
pub(super) fn collapse_ident(content: &[u8]) -> Option<Vec<u8>> {
    let mut collapsed = Vec::with_capacity(content.len());
    let mut rest = content;
    let mut found = false;
    while let Some(dollar) = find(rest, b'$') {
        collapsed.extend_from_slice(&rest[..=dollar]);
        rest = &rest[dollar + 1..];
        if rest.len() > 3 && rest.starts_with(b"Id:") {
            let Some(end) = find(&rest[3..], b'$').map(|end| end + 3) else { break };
            if rest[3..end].contains(&b'\n') {
                continue;
            }
            collapsed.extend_from_slice(b"Id$");
            rest = &rest[end + 1..];
            found = true;
        }
    }
    collapsed.extend_from_slice(rest);
    found.then_some(collapsed)
}

fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|byte| *byte == wanted)
}
