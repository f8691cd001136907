//! `.gitattributes`: lines of a pattern and attributes, and which of them hold for a path.

use std::collections::{BTreeMap, HashMap};

use crate::git::pattern::Pattern;

/// Attributes that decide over contents; of the others only macros are kept.
const KNOWN: [&str; 6] = ["text", "crlf", "eol", "ident", "working-tree-encoding", "filter"];
/// Longer lines are passed by, as git does.
const MAX_LINE: usize = 2047;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Set,
    Unset,
    /// `!name`: as if no rule of less weight named it.
    Unspecified,
    Value(String),
}

type Assignments = Vec<(String, State)>;

#[derive(Debug)]
struct Rule {
    pattern: Pattern,
    assignments: Assignments,
}

/// All rules of one commit and of the user.
#[derive(Debug)]
pub(crate) struct Rules {
    /// By directory (empty, or with a slash at its end); the user's own under `None`.
    files: HashMap<Option<Vec<u8>>, Vec<Rule>>,
    macros: HashMap<String, Assignments>,
}

impl Default for Rules {
    fn default() -> Self {
        let binary = ["diff", "merge", "text"].map(|name| (name.to_owned(), State::Unset));
        Self { files: HashMap::new(), macros: HashMap::from([("binary".to_owned(), binary.to_vec())]) }
    }
}

impl Rules {
    /// Adds the file of `directory`.
    pub(crate) fn add(&mut self, directory: Option<&[u8]>, content: &[u8]) {
        // Macros may be defined at the top only.
        let defines = directory.is_none_or(<[u8]>::is_empty);
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let mut rules = Vec::new();
        for line in content.split(|byte| *byte == b'\n') {
            if line.len() > MAX_LINE {
                continue;
            }
            // git reads a string of C.
            let line = trim(line.split(|byte| *byte == 0).next().unwrap_or(line));
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let (pattern, rest) = unquote(line).unwrap_or_else(|| {
                let (pattern, rest) = split(line);
                (pattern.to_vec(), rest)
            });
            let defined = pattern.strip_prefix(b"[attr]").filter(|name| !name.is_empty());
            // One word that makes no sense spoils the line.
            let Some(assignments) = parse(rest) else { continue };
            if let Some(name) = defined {
                let name = split(trim(name)).0;
                if defines && let Some(name) = valid_name(name) {
                    self.macros.insert(name, assignments);
                }
                continue;
            }
            // Patterns of git's own ignore files that attributes do not have.
            if pattern.starts_with(b"!") || pattern.ends_with(b"/") {
                continue;
            }
            rules.push(Rule { pattern: Pattern::parse(&pattern), assignments });
        }
        if !rules.is_empty() {
            self.files.insert(directory.map(<[u8]>::to_vec), rules);
        }
    }

    /// Returns the attributes of a path that decide over contents.
    pub(crate) fn of(&self, path: &[u8]) -> BTreeMap<String, State> {
        let mut found = BTreeMap::new();
        let mut end = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        loop {
            let directory = &path[..end];
            self.apply(Some(directory), path, end, &mut found);
            if end == 0 {
                break;
            }
            end = directory[..end - 1].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        }
        self.apply(None, path, 0, &mut found);
        found
    }

    /// Returns whether some rule can change a content in one direction or the other.
    pub(crate) fn convert(&self) -> bool {
        self.any(&|name, state| match name {
            "text" | "crlf" | "eol" => !matches!(state, State::Unset | State::Unspecified),
            "ident" => *state == State::Set,
            "working-tree-encoding" => matches!(state, State::Value(_)),
            _ => false,
        })
    }

    /// Returns whether some rule can change a content on its way into the working tree.
    pub(crate) fn smudge(&self) -> bool {
        self.any(&|name, state| match (name, state) {
            ("eol", State::Value(value)) => value == "crlf",
            ("ident", State::Set) | ("working-tree-encoding", State::Value(_)) => true,
            _ => false,
        })
    }

    /// Returns whether some rule names a filter.
    pub(crate) fn filters(&self) -> bool {
        self.any(&|name, _| name == "filter")
    }

    fn any(&self, test: &dyn Fn(&str, &State) -> bool) -> bool {
        let rules = self.files.values().flatten().flat_map(|rule| &rule.assignments);
        rules.chain(self.macros.values().flatten()).any(|(name, state)| test(name, state))
    }

    fn apply(&self, directory: Option<&[u8]>, path: &[u8], start: usize, found: &mut BTreeMap<String, State>) {
        let Some(rules) = self.files.get(&directory.map(<[u8]>::to_vec)) else { return };
        for rule in rules.iter().rev() {
            if rule.pattern.matches(&path[start..], false) {
                self.fill(&rule.assignments, found);
            }
        }
    }

    /// Takes what is not decided yet; the last of a line counts first.
    fn fill(&self, assignments: &[(String, State)], found: &mut BTreeMap<String, State>) {
        for (name, state) in assignments.iter().rev() {
            if found.contains_key(name) {
                continue;
            }
            let is_macro = self.macros.get(name);
            if is_macro.is_none() && !KNOWN.contains(&name.as_str()) {
                continue;
            }
            found.insert(name.clone(), state.clone());
            if let Some(expansion) = is_macro
                && *state == State::Set
            {
                self.fill(expansion, found);
            }
        }
    }
}

fn parse(text: &[u8]) -> Option<Assignments> {
    text.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty()).map(assignment).collect()
}

fn assignment(word: &[u8]) -> Option<(String, State)> {
    let (name, value) = match word.iter().position(|byte| *byte == b'=') {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    };
    let (name, state) = match (name.first(), value) {
        (Some(b'-'), _) => (&name[1..], State::Unset),
        (Some(b'!'), _) => (&name[1..], State::Unspecified),
        // What is no text names no encoding and no filter that anybody has.
        (_, Some(value)) => (name, State::Value(String::from_utf8_lossy(value).into_owned())),
        (_, None) => (name, State::Set),
    };
    Some((valid_name(name)?, state))
}

fn valid_name(name: &[u8]) -> Option<String> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    if name.is_empty() || name[0] == b'-' || !name.iter().all(plain) || name.starts_with(b"builtin_") {
        return None;
    }
    String::from_utf8(name.to_vec()).ok()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn trim(line: &[u8]) -> &[u8] {
    let begin = line.iter().position(|byte| !is_blank(*byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_blank(*byte)).map_or(begin, |last| last + 1);
    &line[begin..end]
}

fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|byte| is_blank(*byte)).unwrap_or(line.len());
    (&line[..end], &line[end..])
}

/// Reads a pattern in C quotes and returns what is behind it.
fn unquote(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    let mut at = 1;
    if line.first() != Some(&b'"') {
        return None;
    }
    loop {
        match *line.get(at)? {
            b'"' => return Some((text, &line[at + 1..])),
            b'\\' => {
                at += 1;
                match *line.get(at)? {
                    b'n' => text.push(b'\n'),
                    b't' => text.push(b'\t'),
                    b'r' => text.push(b'\r'),
                    b'a' => text.push(7),
                    b'b' => text.push(8),
                    b'f' => text.push(12),
                    b'v' => text.push(11),
                    byte @ (b'"' | b'\\') => text.push(byte),
                    b'0'..=b'3' => {
                        let digits = std::str::from_utf8(line.get(at..at + 3)?).ok()?;
                        text.push(u8::from_str_radix(digits, 8).ok()?);
                        at += 2;
                    }
                    _ => return None,
                }
            }
            byte => text.push(byte),
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(rules: &Rules, path: &str, name: &str) -> Option<State> {
        rules.of(path.as_bytes()).remove(name)
    }

    #[test]
    fn later_lines_and_deeper_files_win() {
        let mut rules = Rules::default();
        rules.add(Some(b""), b"* text=auto\n*.sh eol=lf\n*.bin binary\n");
        rules.add(Some(b"win/"), b"*.sh eol=crlf\n/top text\n");
        assert_eq!(state(&rules, "a.sh", "eol"), Some(State::Value("lf".into())));
        assert_eq!(state(&rules, "win/a.sh", "eol"), Some(State::Value("crlf".into())));
        assert_eq!(state(&rules, "x/y.bin", "text"), Some(State::Unset));
        assert_eq!(state(&rules, "win/top", "text"), Some(State::Set));
        assert_eq!(state(&rules, "win/x/top", "text"), Some(State::Value("auto".into())));
    }

    #[test]
    fn macros_and_quotes_are_read() {
        let mut rules = Rules::default();
        rules.add(Some(b""), b"[attr]dos text eol=crlf\n\"a b\\\"\" dos\nx dos -text\n");
        assert_eq!(state(&rules, "a b\"", "eol"), Some(State::Value("crlf".into())));
        assert_eq!(state(&rules, "x", "text"), Some(State::Unset));
        assert_eq!(state(&rules, "y", "text"), None);
    }
}
