//! One configuration file: read without being fooled, checked key by key, each complaint with line and caret.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::{Mode, OFlags};
use toml::de::{DeTable, DeValue};

use crate::config::closest::closest;
use crate::config::keys;
use crate::error::{Excerpt, Failure, Kind, Result};

/// Larger than any configuration, smaller than what would hurt.
const MAX: u64 = 1 << 20;

/// A key that a file sets, its parts unquoted, and the value.
pub(crate) type Entry = (Vec<String>, toml::Value);

/// Reads a file; `None` when there is none. Never blocks on what only looks like one.
pub(super) fn read(path: &Path) -> Result<Option<String>> {
    let file = match rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    let metadata = file.metadata().with_context(|| format!("cannot read `{}`", path.display()))?;
    if !metadata.is_file() || metadata.len() > MAX {
        return Err(usage(format!("`{}` is not a configuration file", path.display())));
    }
    let mut bytes = Vec::new();
    file.take(MAX).read_to_end(&mut bytes).with_context(|| format!("cannot read `{}`", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|_| usage(format!("`{}` is not UTF-8", path.display())))?;
    Ok(Some(text))
}

/// Returns what the text of the file at `path` sets.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Vec<Entry>> {
    let at = Text { path, text };
    let table =
        DeTable::parse(text).map_err(|error| at.fail(&first_line(error.message()), error.span().unwrap_or(0..0)))?;
    let values: toml::Table = toml::from_str(text)
        .map_err(|error: toml::de::Error| at.fail(&first_line(error.message()), error.span().unwrap_or(0..0)))?;
    let mut entries = Vec::new();
    at.walk(table.get_ref(), &values, &mut Vec::new(), &mut entries)?;
    Ok(entries)
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or("invalid TOML").to_owned()
}

fn usage(message: impl std::fmt::Display) -> anyhow::Error {
    Failure::new(Kind::Usage, message).into()
}

#[derive(Clone, Copy)]
struct Text<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Text<'_> {
    fn walk(
        self,
        table: &DeTable<'_>,
        values: &toml::Table,
        above: &mut Vec<String>,
        entries: &mut Vec<Entry>,
    ) -> Result<()> {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let plain = values.get(name).expect("both were read from the same text");
            above.push(name.to_owned());
            let parts: Vec<&str> = above.iter().map(String::as_str).collect();
            if let Some(known) = keys::find(&parts) {
                if let Err(complaint) = known.shape.check(plain) {
                    if matches!(known.shape, keys::Shape::Secret) {
                        // The line would show what may be the value itself.
                        let path = self.path.display();
                        return Err(usage(format!("`{}` {complaint} in `{path}`", parts.join("."))));
                    }
                    return Err(self.fail(&format!("`{}` {complaint}", parts.join(".")), value.span()));
                }
                entries.push((above.clone(), plain.clone()));
            } else if keys::is_table(&parts) {
                let (DeValue::Table(inner), Some(plain)) = (value.get_ref(), plain.as_table()) else {
                    return Err(self.fail(&format!("`{}` must be a table", parts.join(".")), value.span()));
                };
                self.walk(inner, plain, above, entries)?;
            } else {
                let message = format!("unknown key `{}`", parts.join("."));
                let hint = closest(name, keys::siblings(&parts)).map(|name| format!("did you mean `{name}`?"));
                return Err(self.fail_with(&message, key.span(), hint));
            }
            above.pop();
        }
        Ok(())
    }

    fn fail(self, message: &str, span: Range<usize>) -> anyhow::Error {
        self.fail_with(message, span, None)
    }

    fn fail_with(self, message: &str, span: Range<usize>, hint: Option<String>) -> anyhow::Error {
        let excerpt = excerpt(self.text, span);
        let message =
            format!("{message} in `{}`, line {}, column {}", self.path.display(), excerpt.line, excerpt.column);
        let mut failure = Failure::new(Kind::Usage, message);
        failure.hint = hint;
        anyhow::Error::new(excerpt).context(failure)
    }
}

fn excerpt(text: &str, span: Range<usize>) -> Excerpt {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.floor_char_boundary(span.end.clamp(start, text.len()));
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let width = text[start..end].lines().next().unwrap_or_default().chars().count();
    Excerpt {
        line: text[..line_start].matches('\n').count() + 1,
        column: text[line_start..start].chars().count() + 1,
        width,
        // A tab would move the caret.
        text: line.replace('\t', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> (String, Excerpt, Option<String>) {
        let error = parse(Path::new("/c.toml"), text).expect_err("must fail");
        let failure = Failure::of(&error).expect("a failure");
        assert_eq!(failure.kind, Kind::Usage);
        (failure.message.clone(), error.downcast_ref::<Excerpt>().expect("an excerpt").clone(), failure.hint.clone())
    }

    #[test]
    fn an_unknown_key_is_shown_with_line_and_caret() {
        let (message, excerpt, hint) = complaint("agent = 'x'\n\n[exec]\n  tiemout = '5m'\n");
        assert_eq!(message, "unknown key `exec.tiemout` in `/c.toml`, line 4, column 3");
        assert_eq!(excerpt, Excerpt { line: 4, column: 3, width: 7, text: "  tiemout = '5m'".into() });
        assert_eq!(hint.as_deref(), Some("did you mean `timeout`?"));
    }

    #[test]
    fn a_bad_value_is_shown_with_what_would_be_right() {
        let (message, excerpt, _) = complaint("[gc]\nmax_age = 'soon'");
        assert!(message.starts_with("`gc.max_age` must be a duration"), "{message}");
        assert_eq!((excerpt.line, excerpt.column, excerpt.width), (2, 11, 6));
    }

    #[test]
    fn a_secret_that_is_given_itself_is_not_shown() {
        let error = parse(Path::new("/c.toml"), "secrets.KEY = 's3cret'\n").expect_err("must fail");
        assert_eq!(format!("{error:#}"), "`secrets.KEY` must be `env:VARIABLE` or `cmd:COMMAND` in `/c.toml`");
    }

    #[test]
    fn text_that_is_not_toml_is_shown_where_it_stops_to_be() {
        for text in ["[exec", "a = ", "é = 'x", "a = 1\na = 2", "\u{0}"] {
            let (_, excerpt, _) = complaint(text);
            assert!(excerpt.line >= 1 && excerpt.column >= 1, "{text}");
        }
    }

    #[test]
    fn every_known_key_is_taken() {
        let text = "root = '/r'\nagent = 'a'\n[exec]\ntimeout = 30\npass_env = ['A']\n[agents.x]\ncommand = ['x']\n\
                    [limits]\nmemory = '4G'\n[users.'a@b'.limits]\npids = 5\n[create]\nports = '1-2'\n";
        let names: Vec<String> =
            parse(Path::new("/c"), text).expect("valid").into_iter().map(|(parts, _)| parts.join("/")).collect();
        assert_eq!(names.len(), 8, "{names:?}");
    }

    #[test]
    fn shapes_refuse_what_is_not_theirs() {
        for text in [
            "root = 'relative'",
            "agent = ''",
            "agent = 1",
            "exec = 1",
            "exec.timeout = -1",
            "exec.isolation = 'docker'",
            "exec.keep_git_config = 'yes'",
            "exec.pass_env = [1]",
            "limits.pids = 0",
            "create.ports = '2-1'",
            "agents = ['x']",
            "users.x.limit.pids = 1",
        ] {
            complaint(text);
        }
    }
}
