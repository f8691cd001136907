//! Ignore rules: the base's `.gitignore` files, the user's global excludes and the live `.gitignore` files, from contents
//! that the walker read itself; the agent's `info/exclude` counts for nothing. What a line means is what it means to git.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::config::Environment;
use crate::git::pattern::{Form, Pattern, file_name};

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

/// So many patterns with wildcards may be in a file; with more it has no rules. Each is compared with each name.
const MAX_GLOBS: usize = 5000;

/// The rules of one file, for paths relative to its directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patterns {
    names: HashMap<Vec<u8>, Last>,
    paths: HashMap<Vec<u8>, Last>,
    suffixes: HashMap<Vec<u8>, Last>,
    /// How long the suffixes are.
    lengths: Vec<usize>,
    /// All that has other wildcards, the last first.
    globs: Vec<(Pattern, Rule)>,
}

/// A rule's line and what it says.
#[derive(Clone, Copy, Debug)]
struct Rule {
    line: usize,
    ignores: bool,
}

/// The last rules with one text: the one for everything and the one for directories only.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    any: Option<Rule>,
    directory: Option<Rule>,
}

impl Last {
    fn set(&mut self, rule: Rule, directories_only: bool) {
        *(if directories_only { &mut self.directory } else { &mut self.any }) = Some(rule);
    }

    fn of(&self, is_directory: bool) -> Option<Rule> {
        last(self.any, self.directory.filter(|_| is_directory))
    }
}

fn last(one: Option<Rule>, other: Option<Rule>) -> Option<Rule> {
    one.into_iter().chain(other).max_by_key(|rule| rule.line)
}

impl Patterns {
    /// Reads a file; lines that make no sense match nothing, as in git.
    pub(crate) fn parse(content: &[u8]) -> Self {
        let mut patterns = Self::default();
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        for (number, line) in content.split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // git reads a string of C.
            let line = line.split(|byte| *byte == 0).next().unwrap_or(line);
            let line = without_trailing_spaces(line);
            let (text, ignores) = match line.strip_prefix(b"!") {
                Some(text) => (text, false),
                None => (line, true),
            };
            patterns.add(Pattern::parse(text), Rule { line: number, ignores });
        }
        if patterns.globs.len() > MAX_GLOBS {
            return Self::default();
        }
        patterns.globs.reverse();
        patterns.lengths = patterns.suffixes.keys().map(Vec::len).collect();
        patterns.lengths.sort_unstable();
        patterns.lengths.dedup();
        patterns
    }

    fn add(&mut self, pattern: Pattern, rule: Rule) {
        let (map, text) = match pattern.form {
            Form::Name(name) => (&mut self.names, name),
            Form::Suffix(suffix) => (&mut self.suffixes, suffix),
            Form::Path(literal, glob) if glob.is_empty() => (&mut self.paths, literal),
            _ => return self.globs.push((pattern, rule)),
        };
        map.entry(text).or_default().set(rule, pattern.directories_only);
    }

    /// Returns whether the last rule that matches `path` ignores it; `None` when none does.
    pub(crate) fn verdict(&self, path: &[u8], is_directory: bool) -> Option<bool> {
        let name = file_name(path);
        let mut found = None;
        let mut look = |map: &HashMap<Vec<u8>, Last>, text: &[u8]| {
            found = last(found, map.get(text).and_then(|rules| rules.of(is_directory)));
        };
        look(&self.names, name);
        look(&self.paths, path);
        for length in self.lengths.iter().take_while(|length| **length <= name.len()) {
            look(&self.suffixes, &name[name.len() - length..]);
        }
        let later = |rule: &Rule| found.is_none_or(|found| found.line < rule.line);
        let glob = self.globs.iter().take_while(|(_, rule)| later(rule));
        let glob = glob.filter(|(pattern, _)| pattern.matches(path, is_directory)).map(|(_, rule)| *rule).next();
        Some(glob.or(found)?.ignores)
    }

    /// Returns the verdict on a file, by its own name or that of the deepest directory above it that has one.
    pub(crate) fn decide(&self, path: &[u8]) -> Option<bool> {
        let slashes = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
        let mut above = slashes.map(|(at, _)| &path[..at]);
        self.verdict(path, false).or_else(|| above.find_map(|directory| self.verdict(directory, true)))
    }
}

/// Cuts spaces off the end, but for one behind a backslash.
fn without_trailing_spaces(line: &[u8]) -> &[u8] {
    let mut end = 0;
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        at += if *byte == b'\\' { 2 } else { 1 };
        if *byte != b' ' {
            end = at.min(line.len());
        }
    }
    &line[..end]
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
    fn lines_are_read_as_git_reads_them() {
        let patterns = Patterns::parse(b"\xef\xbb\xbftop  \r\nkept\\ \n*.{c,h}\nback\\\na\0b\n \xff\n!\n/\nlast");
        for (path, ignored) in [
            (&b"top"[..], true),
            (b"kept ", true),
            (b"kept\\", false),
            (b"x.c", false),
            (b"x.{c,h}", true),
            (b"back\\", false),
            (b"a", true),
            (b" \xff", true),
            (b"last", true),
        ] {
            let shown = String::from_utf8_lossy(path);
            assert_eq!(patterns.verdict(path, false), ignored.then_some(true), "{shown}");
        }
    }

    #[test]
    fn the_last_of_all_forms_decides() {
        for (rules, ignored) in [
            ("a.c\n!*.c", false),
            ("!*.c\na.c", true),
            ("a.*\n!/a.c", false),
            ("!/a.c\na.*", true),
            ("!/a.c\n[a].c\n!x", true),
            ("a.c\n!a.c/", true),
            ("*\n!*.c", false),
        ] {
            assert_eq!(Patterns::parse(rules.as_bytes()).verdict(b"a.c", false), Some(ignored), "{rules}");
        }
    }

    #[test]
    fn a_file_of_wildcards_without_end_has_no_rules() {
        assert_eq!(Patterns::parse(&b"a*b\n".repeat(MAX_GLOBS)).verdict(b"ab", false), Some(true));
        assert_eq!(Patterns::parse(&b"a*b\n".repeat(MAX_GLOBS + 1)).verdict(b"ab", false), None);
    }
}
