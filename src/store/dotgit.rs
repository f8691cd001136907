//! Names that some file system takes for `.git`: never recorded, never written.

/// Returns whether a path component is `.git` in any case, or one of the forms in which NTFS and HFS+ would open it:
/// `git~1`, `.git` with dots, spaces or a stream behind it, `.git` with invisible characters in it.
pub(crate) fn is_dot_git(component: &[u8]) -> bool {
    // Nearly every name ends here: the others begin with a dot, the short name or a character that HFS+ may ignore.
    if !matches!(component.first(), Some(b'.' | b'g' | b'G' | 0x80..)) {
        return false;
    }
    let visible: Vec<u8> = match std::str::from_utf8(component) {
        Ok(text) if !text.is_ascii() => {
            text.chars().filter(|character| !is_ignored_by_hfs(*character)).collect::<String>().into_bytes()
        }
        _ => component.to_vec(),
    };
    let lower = visible.to_ascii_lowercase();
    // NTFS ends a name at a stream's colon, git takes a backslash for a separator there.
    let stem = lower.split(|byte| matches!(byte, b':' | b'\\')).next().unwrap_or_default();
    let end = stem.iter().rposition(|byte| !matches!(byte, b' ' | b'.')).map_or(0, |last| last + 1);
    matches!(&stem[..end], b".git" | b"git~1")
}

/// Returns whether HFS+ ignores the character when it compares names (the list is git's own, `utf8.c`).
fn is_ignored_by_hfs(character: char) -> bool {
    matches!(
        character,
        '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_dot_git_are_known() {
        for name in
            [".git", ".GIT", ".Git ", ".git.", ".git. .", "git~1", "GIT~1", ".git::$INDEX_ALLOCATION", ".git\\x"]
        {
            assert!(is_dot_git(name.as_bytes()), "{name}");
        }
        assert!(is_dot_git(".g\u{200c}it".as_bytes()));
    }

    #[test]
    fn other_names_are_not() {
        for name in [".gitignore", ".github", "git", "git~2", ".git2", "x.git", "é.git", ""] {
            assert!(!is_dot_git(name.as_bytes()), "{name}");
        }
    }
}
