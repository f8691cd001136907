//! Names that become directories: [`WorkspaceName`] and [`UserId`].

use std::fmt;

use crate::error::{Failure, Kind, Result};

/// The longest name in bytes, so that suffixes and lock files stay within what file systems take.
const LONGEST: usize = 100;

/// A valid workspace name: letters, digits, `-`, `_`, `.` inside, no leading dot or dash, at most 100 bytes.
///
/// Letters are ASCII and `..` and a trailing `.lock` are out, so that every name is also a part of a branch name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkspaceName(String);

impl WorkspaceName {
    /// Checks a typed name; a bad one is a usage failure with a suggestion.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match Self::fault(text) {
            None => Ok(Self(text.to_owned())),
            Some(fault) => Err(Failure::new(Kind::Usage, format!("`{text}` is not a workspace name: {fault}"))
                .hint(format!("try `{}`", Self::derive(text)))
                .into()),
        }
    }

    /// Makes a name out of any text: `/` becomes `__`, what is not allowed `_`.
    pub(crate) fn derive(text: &str) -> Self {
        let mut name = String::with_capacity(text.len());
        for part in text.split('/').filter(|part| !part.is_empty()) {
            if !name.is_empty() {
                name.push_str("__");
            }
            for c in part.chars() {
                match c {
                    '.' if name.is_empty() || name.ends_with('.') => {}
                    c if is_plain(c) || c == '.' => name.push(c),
                    _ => name.push('_'),
                }
            }
        }
        let mut name = name.trim_start_matches(['.', '-']).trim_end_matches('.').to_owned();
        while let Some(stem) = name.strip_suffix(".lock") {
            name = stem.trim_end_matches('.').to_owned();
        }
        if name.len() > LONGEST {
            let hash = short_hash(&name);
            name.truncate(LONGEST - 1 - hash.len());
            name = format!("{}-{hash}", name.trim_end_matches('.'));
        }
        if name.is_empty() {
            "workspace".clone_into(&mut name);
        }
        debug_assert_eq!(Self::fault(&name), None, "{name}");
        Self(name)
    }

    /// Returns the name as it is compared: two names that fold to the same are one name.
    pub(crate) fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn fault(text: &str) -> Option<&'static str> {
        if text.is_empty() {
            Some("it is empty")
        } else if text.len() > LONGEST {
            Some("it has more than 100 bytes")
        } else if text.starts_with(['.', '-']) {
            Some("it starts with a dot or a dash")
        } else if text.ends_with('.') || text.contains("..") {
            Some("it has a dot at the end or two in a row")
        } else if text.strip_suffix(".lock").is_some() {
            Some("it ends with `.lock`")
        } else if !text.chars().all(|c| is_plain(c) || c == '.') {
            Some("only letters, digits, `-`, `_` and `.` are allowed")
        } else {
            None
        }
    }
}

impl fmt::Display for WorkspaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The namespace a workspace belongs to: a mail address or a plain name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct UserId(String);

impl UserId {
    /// Checks a typed user id.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mail = text
            .split_once('@')
            .is_none_or(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
        let plain = text.chars().all(|c| c.is_alphanumeric() || "._+-@'".contains(c));
        if text.is_empty() || text.len() > LONGEST || text.starts_with(['.', '-']) || !mail || !plain {
            return Err(Failure::new(Kind::Usage, format!("`{text}` is not a user id"))
                .hint("a user id is a mail address or a plain name of at most 100 bytes")
                .into());
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the sanitised directory name, `nick_example_com` for `nick@example.com`.
    ///
    /// Different identities may have the same; [`crate::store::root::Root::user`] tells them apart.
    pub(crate) fn directory(&self) -> String {
        self.0.chars().map(|c| if is_plain(c) { c.to_ascii_lowercase() } else { '_' }).collect()
    }

    /// Returns the directory name of an identity that finds its first choice taken.
    pub(crate) fn second_directory(&self) -> String {
        format!("{}-{}", self.directory(), short_hash(&self.0))
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// Returns eight hex digits of FNV-1a: stable across versions of the program and of Rust.
fn short_hash(text: &str) -> String {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_is_a_usage_failure_with_a_suggestion() {
        for (bad, suggestion) in [
            ("", "workspace"),
            (".hidden", "hidden"),
            ("-rf", "rf"),
            ("a/b", "a__b"),
            ("..", "workspace"),
            ("a..b", "a.b"),
            ("end.", "end"),
            ("x.lock", "x"),
            ("fix login", "fix_login"),
            ("naïve", "na_ve"),
            ("a\nb", "a_b"),
        ] {
            let error = WorkspaceName::parse(bad).unwrap_err();
            let failure = Failure::of(&error).unwrap();
            assert_eq!(failure.kind, Kind::Usage, "{bad}");
            assert_eq!(failure.hint.as_deref(), Some(format!("try `{suggestion}`").as_str()), "{bad}");
        }
        assert!(WorkspaceName::parse(&"x".repeat(101)).is_err());
    }

    #[test]
    fn a_good_name_stays_as_it_is() {
        for good in ["a", "fix-login", "_x", "v1.2.3", "A", &"x".repeat(100)] {
            assert_eq!(WorkspaceName::parse(good).unwrap().as_str(), good);
            assert_eq!(WorkspaceName::derive(good).as_str(), good);
        }
    }

    #[test]
    fn a_derived_name_is_always_valid() {
        for text in ["acme/api", "/", "....", "---", "a.lock.lock", "ö/ü", "x.lock.", "/a//b/", "..lock", "a/../b"] {
            let name = WorkspaceName::derive(text);
            assert_eq!(WorkspaceName::parse(name.as_str()).unwrap(), name, "{text}");
        }
        assert_eq!(WorkspaceName::derive("acme/api").as_str(), "acme__api");
    }

    #[test]
    fn two_long_texts_get_two_names() {
        let one = WorkspaceName::derive(&format!("{}1", "x".repeat(200)));
        let two = WorkspaceName::derive(&format!("{}2", "x".repeat(200)));
        assert_eq!(one.as_str().len(), 100);
        assert_ne!(one, two);
    }

    #[test]
    fn a_user_id_is_a_mail_address_or_a_plain_name() {
        for good in ["local", "nick@example.com", "a+b@c.de", "jürgen", "o'neil"] {
            assert!(UserId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "..", "-x", "a b", "a@b@c", "@b", "a@", "a\0", "a\nb"] {
            assert!(UserId::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(UserId::parse("Nick@example.com").unwrap().directory(), "nick_example_com");
        assert_ne!(
            UserId::parse("nick@example.com").unwrap().second_directory(),
            UserId::parse("nick_example.com").unwrap().second_directory()
        );
    }
}
