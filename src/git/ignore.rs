//! Ignore rules: the base's `.gitignore` files, the user's global excludes and the live `.gitignore` files, from contents
//! that the walker read itself; the agent's `info/exclude` counts for nothing.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::config::Environment;

/// A `.gitignore` file above this size has no rules.
pub(crate) const MAX_SIZE: u64 = 1 << 20;

/// Returns the user's own excludes file: `core.excludesFile` of the user's git configuration, or git's default.
pub(crate) fn global_excludes(environment: &Environment) -> Option<PathBuf> {
    let configured = git2::Config::open_default().and_then(|config| config.get_path("core.excludesfile"));
    configured.ok().or_else(|| {
        let home = || Some(environment.home()?.join(".config"));
        let config = environment.get("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)?;
        Some(config.join("git/ignore"))
    })
}

/// The rules of one file, for paths relative to its directory.
#[derive(Clone, Debug)]
pub(crate) struct Patterns(Gitignore);

impl Patterns {
    /// Reads a file; lines that make no sense are passed by, as git does.
    pub(crate) fn parse(content: &[u8]) -> Self {
        let mut builder = GitignoreBuilder::new("");
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        for line in String::from_utf8_lossy(content).lines() {
            // A bad pattern matches nothing; the others still count.
            drop(builder.add_line(None, &without_alternatives(line)));
        }
        Self(builder.build().unwrap_or_else(|_| Gitignore::empty()))
    }

    /// Returns whether the last rule that matches `path` ignores it; `None` when none does.
    pub(crate) fn verdict(&self, path: &[u8], is_directory: bool) -> Option<bool> {
        if self.0.is_empty() {
            return None;
        }
        match self.0.matched(Path::new(OsStr::from_bytes(path)), is_directory) {
            Match::None => None,
            Match::Ignore(_) => Some(true),
            Match::Whitelist(_) => Some(false),
        }
    }
}

/// Escapes braces outside of character classes: they mean nothing to git.
fn without_alternatives(line: &str) -> Cow<'_, str> {
    if !line.contains(['{', '}']) {
        return line.into();
    }
    let mut out = String::with_capacity(line.len() + 4);
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => {
                out.push(character);
                out.extend(rest.next());
            }
            '[' => {
                out.push(character);
                // The first character of a class is not its end.
                let class = rest.as_str();
                let first = class.char_indices().nth(1).map_or(class.len(), |(index, _)| index);
                if let Some(end) = class[first..].find(']') {
                    out.push_str(&class[..=first + end]);
                    rest = class[first + end + 1..].chars();
                }
            }
            '{' | '}' => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_matches_decides() {
        let patterns = Patterns::parse(b"*.log\n!keep.log\n/build/\ndoc/*.txt\n# comment\n\n\\#odd\n");
        assert_eq!(patterns.verdict(b"a/b.log", false), Some(true));
        assert_eq!(patterns.verdict(b"keep.log", false), Some(false));
        assert_eq!(patterns.verdict(b"build", true), Some(true));
        assert_eq!(patterns.verdict(b"build", false), None);
        assert_eq!(patterns.verdict(b"a/build", true), None);
        assert_eq!(patterns.verdict(b"doc/a.txt", false), Some(true));
        assert_eq!(patterns.verdict(b"doc/a/b.txt", false), None);
        assert_eq!(patterns.verdict(b"#odd", false), Some(true));
    }

    #[test]
    fn braces_are_escaped_but_in_classes() {
        assert_eq!(without_alternatives("*.{c,h}"), "*.\\{c,h\\}");
        assert_eq!(without_alternatives("\\{[{}]}["), "\\{[{}]\\}[");
        assert_eq!(without_alternatives("[]{"), "[]\\{");
    }
}
