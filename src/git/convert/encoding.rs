//! `working-tree-encoding`: between UTF-8 in git and another encoding in the working tree.

use encoding_rs::Encoding;

/// A byte order: what git and `iconv` write for the names without one is little-endian with a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unicode {
    bytes: usize,
    big: bool,
    /// Whether the tree's file starts with a byte order mark.
    mark: bool,
}

/// Returns whether a name means what git has anyway.
pub(super) fn is_utf8(name: &str) -> bool {
    ["utf-8", "utf8"].iter().any(|utf8| name.eq_ignore_ascii_case(utf8))
}

/// Returns UTF-8 text in the encoding; `None` when it is not text, the encoding is not known or lacks a character.
pub(super) fn encode(content: &[u8], name: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(content).ok()?;
    if text.is_empty() {
        return None;
    }
    if let Some(unicode) = unicode(name) {
        let mark = unicode.mark.then_some('\u{feff}');
        let mut encoded = Vec::new();
        for character in mark.into_iter().chain(text.chars()) {
            if unicode.bytes == 4 {
                unicode.push(&mut encoded, u32::from(character));
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    unicode.push(&mut encoded, u32::from(*unit));
                }
            }
        }
        return Some(encoded);
    }
    if is_latin1(name) {
        return text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
    }
    let (encoded, _, lost) = encoding(name)?.encode(text);
    (!lost).then(|| encoded.into_owned())
}

/// Returns text in the encoding as UTF-8; `None` when it is not such text or the encoding is not known.
pub(super) fn decode(content: &[u8], name: &str) -> Option<Vec<u8>> {
    if content.is_empty() {
        return None;
    }
    if let Some(unicode) = unicode(name) {
        let (order, rest) = unicode.without_mark(content)?;
        let units = rest.chunks_exact(unicode.bytes);
        if !units.remainder().is_empty() {
            return None;
        }
        let units = units.map(|unit| {
            let fold = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
            if order { unit.iter().fold(0, fold) } else { unit.iter().rev().fold(0, fold) }
        });
        let text: Option<String> = if unicode.bytes == 4 {
            units.map(char::from_u32).collect()
        } else {
            char::decode_utf16(units.map(|unit| u16::try_from(unit).unwrap_or(0xfffd))).map(Result::ok).collect()
        };
        return text.map(String::into_bytes);
    }
    if is_latin1(name) {
        return Some(content.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes());
    }
    let text = encoding(name)?.decode_without_bom_handling_and_without_replacement(content)?;
    Some(text.into_owned().into_bytes())
}

impl Unicode {
    fn push(self, into: &mut Vec<u8>, unit: u32) {
        let bytes = unit.to_be_bytes();
        let bytes = &bytes[4 - self.bytes..];
        if self.big { into.extend_from_slice(bytes) } else { into.extend(bytes.iter().rev()) }
    }

    /// Returns whether what follows is big-endian, and it; `None` where git demands a mark and there is none, or the other way
    /// round.
    fn without_mark(self, content: &[u8]) -> Option<(bool, &[u8])> {
        let (mut big, mut little) = (Vec::new(), Vec::new());
        Self { big: true, ..self }.push(&mut big, 0xfeff);
        Self { big: false, ..self }.push(&mut little, 0xfeff);
        let found = content
            .strip_prefix(big.as_slice())
            .map(|rest| (true, rest))
            .or_else(|| content.strip_prefix(little.as_slice()).map(|rest| (false, rest)));
        match found {
            Some(found) => self.mark.then_some(found),
            None => (!self.mark).then_some((self.big, content)),
        }
    }
}

fn unicode(name: &str) -> Option<Unicode> {
    let name = name.to_ascii_uppercase();
    let rest = name.strip_prefix("UTF")?;
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    let (bytes, order) = match (rest.strip_prefix("16"), rest.strip_prefix("32")) {
        (Some(order), _) => (2, order),
        (_, Some(order)) => (4, order),
        _ => return None,
    };
    let (big, mark) = match order.strip_prefix('-').unwrap_or(order) {
        "" => (false, true),
        "LE" => (false, false),
        "BE" => (true, false),
        "LE-BOM" if bytes == 2 => (false, true),
        "BE-BOM" if bytes == 2 => (true, true),
        _ => return None,
    };
    Some(Unicode { bytes, big, mark })
}

/// The web calls Windows-1252 by this name, `iconv` does not.
fn is_latin1(name: &str) -> bool {
    ["iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1"]
        .iter()
        .any(|latin1| name.eq_ignore_ascii_case(latin1))
}

fn encoding(name: &str) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label_no_replacement(name.as_bytes()).or_else(|| {
        // `iconv` has CP1252 where the web has windows-1252.
        let page = name.to_ascii_lowercase();
        Encoding::for_label_no_replacement(format!("windows-{}", page.strip_prefix("cp")?).as_bytes())
    })?;
    (encoding.output_encoding() == encoding).then_some(encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_back() {
        for name in ["UTF-16", "UTF-16LE", "UTF-16BE", "UTF-16LE-BOM", "UTF-32", "UTF-32BE", "ISO-8859-1", "CP1252"] {
            let encoded = encode("né\n".as_bytes(), name).expect(name);
            assert_eq!(decode(&encoded, name).as_deref(), Some("né\n".as_bytes()), "{name}");
        }
        assert_eq!(encode("é\n".as_bytes(), "UTF-16"), Some(vec![0xff, 0xfe, 0xe9, 0, b'\n', 0]));
        assert_eq!(encode("日".as_bytes(), "ISO-8859-1"), None);
        assert_eq!(encode(b"x", "nonsense"), None);
    }
}
