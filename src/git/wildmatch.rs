//! git's own globs (`wildmatch.c`): `*`, `?`, sets, and `**` between slashes.
//!
//! A star is only ever tried further, never again from before the last one, so that no pattern takes more than the product
//! of both lengths: what a hostile tree holds is compared here.

/// Returns whether `text` matches `pattern`; where `by_path`, only `**` goes beyond a slash.
pub(super) fn wildmatch(pattern: &[u8], text: &[u8], by_path: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    let (mut shallow, mut deep): (Option<Retry>, Option<Retry>) = (None, None);
    loop {
        if pattern.get(p) == Some(&b'*') {
            let star = Star::at(pattern, p, by_path);
            p = star.end;
            if !star.is_deep {
                shallow = Some(Retry { pattern: p, text: t + 1 });
            } else if by_path && pattern.get(p) == Some(&b'/') {
                // `**/` also stands for no directory at all.
                (shallow, deep) = (None, Some(Retry { pattern: p, text: t }));
                p += 1;
            } else {
                (shallow, deep) = (None, Some(Retry { pattern: p, text: t + 1 }));
            }
            continue;
        }
        if p == pattern.len() && t == text.len() {
            return true;
        }
        if let (Some(sign), Some(byte)) = (pattern.get(p), text.get(t))
            && let Some(next) = one(pattern, p, *sign, *byte, by_path)
        {
            (p, t) = (next, t + 1);
            continue;
        }
        let again = match (&mut shallow, &mut deep) {
            (Some(star), _) if star.text <= text.len() && text[star.text - 1] != b'/' => star,
            // What stands between two of these is matched as early as can be: the later has all the more to choose from.
            (_, Some(star)) if star.text <= text.len() => {
                shallow = None;
                star
            }
            _ => return false,
        };
        (p, t) = (again.pattern, again.text);
        again.text += 1;
    }
}

/// Where to go on after a mismatch.
struct Retry {
    /// Behind the star.
    pattern: usize,
    /// How far the star goes next time.
    text: usize,
}

struct Star {
    end: usize,
    /// Whether it goes beyond a slash.
    is_deep: bool,
}

impl Star {
    fn at(pattern: &[u8], start: usize, by_path: bool) -> Self {
        let length = pattern[start..].iter().take_while(|byte| **byte == b'*').count();
        let end = start + length;
        let begins = start == 0 || pattern[start - 1] == b'/';
        let ends = matches!(pattern[end..], [] | [b'/', ..] | [b'\\', b'/', ..]);
        Self { end, is_deep: !by_path || (length > 1 && begins && ends) }
    }
}

/// Compares a sign of the pattern, no star, with a byte and returns where the pattern goes on.
fn one(pattern: &[u8], p: usize, sign: u8, byte: u8, by_path: bool) -> Option<usize> {
    match sign {
        b'?' => (!by_path || byte != b'/').then_some(p + 1),
        b'[' => {
            let (found, next) = set(pattern, p + 1, byte)?;
            (found && !(by_path && byte == b'/')).then_some(next)
        }
        b'\\' => (pattern.get(p + 1) == Some(&byte)).then_some(p + 2),
        sign => (sign == byte).then_some(p + 1),
    }
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
            let end = pattern[p + 2..].iter().position(|byte| *byte == b']')? + p + 2;
            if end > p + 2 && pattern[end - 1] == b':' {
                found |= in_class(&pattern[p + 2..end - 1], byte)?;
                (p, last) = (end + 1, None);
                continue;
            }
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
        b"space" => matches!(byte, b' ' | b'\t' | b'\n' | b'\r'),
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
            ("d/***/a.c", "d/e/f/a.c", true),
            ("**/d/**/*.c", "e/d/f/d/a.c", true),
            ("a**c", "a/c", false),
            ("?.c", "/.c", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[[:digit:]]", "7", true),
            ("[[:digit]", ":", true),
            ("[]-]", "]", true),
            ("\\*", "*", true),
            ("a[", "a[", false),
            ("a\\", "a\\", false),
        ] {
            assert_eq!(wildmatch(pattern.as_bytes(), text.as_bytes(), true), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let text = [b"a".repeat(4000), b"/".to_vec()].concat();
        for by_path in [false, true] {
            assert!(!wildmatch(&b"*a".repeat(1000), &text, by_path));
            assert!(!wildmatch(&[b"**/a*".repeat(500), b"b".to_vec()].concat(), &b"a/".repeat(2000), by_path));
        }
    }
}
