//! git's own globs (`wildmatch.c`): `*`, `?`, sets, and `**` between slashes.

/// Returns whether `text` matches `pattern`; where `by_path`, only `**` goes beyond a slash.
pub(super) fn wildmatch(pattern: &[u8], text: &[u8], by_path: bool) -> bool {
    matches(pattern, 0, text, 0, by_path)
}

fn matches(pattern: &[u8], mut p: usize, text: &[u8], mut t: usize, by_path: bool) -> bool {
    while let Some(&sign) = pattern.get(p) {
        match sign {
            b'*' => return star(pattern, p, text, t, by_path),
            b'?' => {
                if text.get(t).is_none_or(|byte| by_path && *byte == b'/') {
                    return false;
                }
                p += 1;
            }
            b'[' => {
                let Some(&byte) = text.get(t) else { return false };
                let Some((found, next)) = set(pattern, p + 1, byte) else { return false };
                if !found || (by_path && byte == b'/') {
                    return false;
                }
                p = next;
            }
            sign => {
                let (sign, length) = match (sign, pattern.get(p + 1)) {
                    (b'\\', Some(&escaped)) => (escaped, 2),
                    (b'\\', None) => return false,
                    _ => (sign, 1),
                };
                if text.get(t) != Some(&sign) {
                    return false;
                }
                p += length;
            }
        }
        t += 1;
    }
    t == text.len()
}

fn star(pattern: &[u8], start: usize, text: &[u8], t: usize, by_path: bool) -> bool {
    let mut p = start;
    while pattern.get(p) == Some(&b'*') {
        p += 1;
    }
    let bounded = (start == 0 || pattern[start - 1] == b'/') && matches!(pattern.get(p), None | Some(b'/'));
    let deep = !by_path || (p - start == 2 && bounded);
    // `**/` also stands for no directory at all.
    if by_path && deep && pattern.get(p) == Some(&b'/') && matches(pattern, p + 1, text, t, by_path) {
        return true;
    }
    (t..=text.len())
        .take_while(|end| deep || !text[t..*end].contains(&b'/'))
        .any(|end| matches(pattern, p, text, end, by_path))
}

/// Returns whether the set that starts at `p` has the byte, and where the pattern goes on; `None` for a set without end.
fn set(pattern: &[u8], mut p: usize, byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(p), Some(b'!' | b'^'));
    p += usize::from(negated);
    let (mut found, mut first) = (false, true);
    let mut last: Option<u8> = None;
    loop {
        let sign = *pattern.get(p)?;
        if sign == b']' && !first {
            return Some((found != negated, p + 1));
        }
        first = false;
        if sign == b'[' && pattern.get(p + 1) == Some(&b':') {
            let end = pattern[p + 2..].windows(2).position(|pair| pair == b":]")? + p + 2;
            found |= in_class(&pattern[p + 2..end], byte)?;
            (p, last) = (end + 2, None);
            continue;
        }
        if sign == b'-' && last.is_some() && pattern.get(p + 1).is_some_and(|next| *next != b']') {
            let (to, next) = literal(pattern, p + 1)?;
            found |= last.is_some_and(|from| (from..=to).contains(&byte));
            (p, last) = (next, None);
            continue;
        }
        let (sign, next) = literal(pattern, p)?;
        found |= sign == byte;
        (p, last) = (next, Some(sign));
    }
}

fn literal(pattern: &[u8], p: usize) -> Option<(u8, usize)> {
    match *pattern.get(p)? {
        b'\\' => Some((*pattern.get(p + 1)?, p + 2)),
        byte => Some((byte, p + 1)),
    }
}

fn in_class(name: &[u8], byte: u8) -> Option<bool> {
    Some(match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte.is_ascii_whitespace() || byte == 11,
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_git() {
        for (pattern, text, expected) in [
            ("*.c", "a.c", true),
            ("*.c", "d/a.c", false),
            ("d/*.c", "d/a.c", true),
            ("d/*.c", "d/e/a.c", false),
            ("d/**", "d/e/a.c", true),
            ("**/a.c", "a.c", true),
            ("**/a.c", "d/e/a.c", true),
            ("d/**/a.c", "d/a.c", true),
            ("d/**/a.c", "d/e/f/a.c", true),
            ("a**c", "a/c", false),
            ("?.c", "/.c", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[[:digit:]]", "7", true),
            ("[]-]", "]", true),
            ("\\*", "*", true),
            ("a[", "a[", false),
        ] {
            assert_eq!(wildmatch(pattern.as_bytes(), text.as_bytes(), true), expected, "{pattern} {text}");
        }
    }
}
