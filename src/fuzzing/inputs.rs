//! The properties themselves, each of one input.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use crate::config::{file, units};
use crate::git::ignore::Patterns;
use crate::git::meta::Meta;
use crate::git::seen::{Seen, sealed};
use crate::git::source::Source;
use crate::git::tracked;
use crate::run::record::RunRecord;
use crate::run::redact::{Hidden, Redactor};
use crate::store::dotgit::is_dot_git;
use crate::store::name::{UserId, WorkspaceName};
use crate::ui::text::{escape, quote};
use crate::workspace::files::Pair;
use crate::workspace::journal::Operation;
use crate::workspace::record::Record;

/// A name that is taken is a plain component, and what is made of any text is such a name and stays as it is.
pub(crate) fn name(text: &str) {
    let derived = WorkspaceName::derive(text);
    assert_eq!(WorkspaceName::derive(derived.as_str()), derived, "{text:?}");
    assert_eq!(WorkspaceName::parse(derived.as_str()).expect("what is derived is valid"), derived);
    if let Ok(name) = WorkspaceName::parse(text) {
        assert_eq!(name.as_str(), text);
        assert_eq!(derived, name);
        assert_component(name.as_str());
        assert_component(&name.folded());
    }
    if let Ok(user) = UserId::parse(text) {
        assert_component(&user.directory());
        assert_component(&user.second_directory());
        assert_ne!(user.directory(), user.second_directory());
    }
}

fn assert_component(name: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    assert!(
        !name.is_empty() && name.len() <= 255 && !name.starts_with(['.', '-']) && name.bytes().all(plain),
        "{name:?}"
    );
}

/// What is taken as a source begins as it may, keeps no password, and is read back from a record as the same.
pub(crate) fn source(text: &str) {
    let nowhere = Path::new("/nowhere");
    let Ok(source) = Source::parse(text, nowhere, nowhere) else { return };
    let shown = source.to_string();
    assert!(!shown.starts_with('-') && !names_helper(&shown) && !shown.chars().any(char::is_control), "{shown:?}");
    if let Source::Remote { url, login } = &source {
        assert!(!url.starts_with("http") || !url.split('/').nth(2).unwrap_or_default().contains('@'), "{url:?}");
        assert!(!format!("{login:?}").contains("password"));
        let again =
            Source::of_record(&shown, nowhere).unwrap_or_else(|error| panic!("{text:?} as {shown:?}: {error:#}"));
        assert_eq!(again, Source::Remote { url: url.clone(), login: None }, "{text:?}");
    }
}

/// Returns whether git would take a text for one that names the program to fetch it with: `ext::sh -c …`.
fn names_helper(text: &str) -> bool {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    text.split_once("::").is_some_and(|(name, _)| is_name(name))
}

/// What is quoted shows nothing that steers a terminal, and git reads it back.
pub(crate) fn quoting(name: &[u8]) {
    let quoted = quote(name);
    assert_eq!(escape(&quoted), quoted);
    assert_eq!(unquoted(&quoted), name, "{quoted:?}");
}

/// Reads C quotes as git does.
fn unquoted(text: &str) -> Vec<u8> {
    let Some(inner) = text.strip_prefix('"') else { return text.as_bytes().to_vec() };
    let mut bytes = inner.strip_suffix('"').expect("an end").bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next().expect("what is escaped") {
            b'a' => 7,
            b'b' => 8,
            b't' => 9,
            b'n' => 10,
            b'v' => 11,
            b'f' => 12,
            b'r' => 13,
            digit @ b'0'..=b'3' => {
                let mut digit_of = || bytes.next().expect("a digit") - b'0';
                (digit - b'0') << 6 | digit_of() << 3 | digit_of()
            }
            byte => byte,
        });
    }
    out
}

/// Numbers with units are read or refused, and are never more than fits.
pub(crate) fn unit(text: &str) {
    if let Ok(duration) = units::duration(text) {
        assert!(jiff::SignedDuration::try_from(duration).is_ok(), "{text:?}");
    }
    // Nothing but refusals and numbers.
    drop(units::size(text));
}

/// A record that can be read is written and read back with all that it holds.
pub(crate) fn record(text: &str) {
    let Ok(record) = toml::from_str::<Record>(text) else { return };
    let Ok(written) = toml::to_string(&record) else { return };
    let again: Record = toml::from_str(&written).unwrap_or_else(|error| panic!("{written}\n{error}"));
    // Not by value: a float may be none.
    assert_eq!(toml::to_string(&again).expect("as before"), written);
}

/// The `meta` of a snapshot that can be read is written and read back.
pub(crate) fn meta(bytes: &[u8]) {
    if let Ok(meta) = Meta::decode(bytes) {
        assert_eq!(Meta::decode(&meta.encode()).expect("what was written"), meta);
    }
}

/// An index has no more entries than its bytes can hold, and none with a path beyond bounds.
pub(crate) fn index(bytes: &[u8]) {
    let entries = tracked::entries(bytes);
    assert!(entries.len() <= bytes.len() / 62);
    assert!(entries.iter().all(|entry| entry.path.len() <= 4096));
}

/// A split index of any bitmaps is all that both files have, or what it has itself: the number of entries in the shared file,
/// of those in the file itself, and of these without a name; then the bitmaps.
pub(crate) fn split_index(bytes: &[u8]) -> bool {
    let [shared, own, nameless, bitmaps @ ..] = bytes else { return false };
    let nameless = nameless.min(own);
    let file = |count: u8, name: &dyn Fn(u8) -> String, rest: &[u8]| {
        let entry = |number: u8| {
            let mut entry = [&[0; 60][..], &[0, 0], name(number).as_bytes(), &[0]].concat();
            entry[40] = number;
            entry.resize(entry.len().next_multiple_of(8), 0);
            entry
        };
        let entries: Vec<u8> = (0..count).flat_map(entry).collect();
        [b"DIRC\0\0\0\x02\0\0\0".as_slice(), &[count], &entries, rest].concat()
    };
    let mut all = file(*shared, &|number| format!("{:03}", u16::from(number) * 2), b"");
    let id = <sha1::Sha1 as sha1::Digest>::digest(&all);
    all.extend_from_slice(&id);
    let size = u32::try_from(20 + bitmaps.len()).expect("a small input").to_be_bytes();
    let link = [b"link", &size[..], &id, bitmaps, &[0; 20]].concat();
    let name = |number: u8| if number < *nameless { String::new() } else { format!("{:03}", number - nameless) };
    let index = tracked::Index::read(&file(*own, &name, &link), |_| Some(all));
    let is_whole = index.is_whole;
    let entries = index.into_entries();
    assert!(entries.is_sorted_by(|one, other| one.path < other.path));
    let named = usize::from(own - nameless);
    if is_whole {
        assert!((named..=usize::from(*shared) + named).contains(&entries.len()));
    } else {
        assert_eq!(entries.len(), named);
    }
    is_whole
}

/// Rules of any bytes say something of any path: `rules NUL path`.
pub(crate) fn rules(bytes: &[u8]) {
    let (rules, path) = bytes.split_at(bytes.iter().rposition(|byte| *byte == 0).unwrap_or(bytes.len()));
    let patterns = Patterns::parse(rules);
    let path = path.strip_prefix(b"\0").unwrap_or(path);
    if patterns.verdict(path, false).is_some() {
        assert!(patterns.verdict(path, true).is_some());
    }
}

/// The record of a run that can be read is written and read back, and so is a journal. Returns which of them could be read.
pub(crate) fn run(text: &str) -> [bool; 2] {
    let mut read = [false; 2];
    if let Ok(record) = toml::from_str::<RunRecord>(text) {
        let written = record.text();
        let again: RunRecord = toml::from_str(&written).unwrap_or_else(|error| panic!("{written}\n{error}"));
        // Not by value: a float may be none.
        assert_eq!(again.text(), written);
        read[0] = true;
    }
    if let Ok(operation) = toml::from_str::<Operation>(text) {
        let written = toml::to_string(&operation).expect("every field is a value of TOML");
        assert_eq!(toml::from_str::<Operation>(&written).expect("what was written"), operation);
        read[1] = true;
    }
    read
}

/// A configuration is taken or refused with a place in it; what is taken has names of settings.
pub(crate) fn config(text: &str) {
    let path = Path::new("config.toml");
    let entries = match file::parse(path, text) {
        Ok(entries) => entries,
        Err(error) => {
            let failure = error.downcast_ref::<crate::error::Failure>().expect("a failure that a reader can act on");
            assert_eq!(failure.kind, crate::error::Kind::Usage, "{text:?}");
            return;
        }
    };
    assert!(toml::from_str::<toml::Table>(text).is_ok(), "{text:?}");
    // The names of limits, agents and their keys are looked at by who reads them.
    let is_known = |key: &[String]| key.len() > 1 || key.first().is_some_and(|key| !key.is_empty());
    assert!(entries.iter().all(|(key, _)| is_known(key)), "{entries:?}");
}

/// What was remembered of any bytes is read without an end beyond theirs. Returns whether they could be read.
pub(crate) fn seen(bytes: &[u8]) -> bool {
    let Some(seen) = Seen::parse(sealed(bytes)) else { return false };
    for path in [&b""[..], b"a", b"a/b"] {
        if let Some(directory) = seen.directory(0, path) {
            assert!(directory.entries().count() <= bytes.len());
        }
    }
    true
}

/// A pair never leads out of the tree nor into a git directory.
pub(crate) fn pair(text: &str) {
    let Ok(pair) = Pair::parse(text.as_ref(), Path::new("/nowhere")) else { return };
    assert!(pair.source.is_absolute(), "{text:?}");
    assert!(pair.destination.components().next().is_some(), "{text:?}");
    for component in pair.destination.components() {
        let Component::Normal(name) = component else { panic!("{text:?} leads to `{}`", pair.destination.display()) };
        assert!(!is_dot_git(name.as_bytes()), "{text:?} leads to `{}`", pair.destination.display());
    }
}

/// However a text is cut into chunks, the same is shown of it, and no value in any form.
pub(crate) fn redaction(value: &[u8], text: &[&[u8]]) {
    use base64::Engine as _;
    let hidden = [Hidden { name: "KEY".into(), value: value.to_owned() }];
    let mut redactor = Redactor::new(&hidden);
    let mut shown: Vec<u8> = text.iter().flat_map(|chunk| redactor.push(chunk)).collect();
    shown.extend(redactor.finish());
    let mut whole = Redactor::new(&hidden);
    let mut at_once = whole.push(&text.concat());
    at_once.extend(whole.finish());
    assert_eq!(shown, at_once);
    if value.len() >= crate::run::redact::SHORTEST {
        let encoded = base64::engine::general_purpose::STANDARD.encode(value);
        for form in [value, encoded.trim_end_matches('=').as_bytes()] {
            // Unless the mark itself happens to hold it.
            let is_mark = b"[KEY redacted]".windows(form.len()).any(|part| part == form);
            let is_there = shown.windows(form.len()).any(|part| part == form);
            assert!(!is_there || is_mark, "{:?}", String::from_utf8_lossy(&shown));
        }
    }
}

/// A line of `status --porcelain` has as many fields as it is said to have, and each is read back.
pub(crate) fn porcelain(text: &str) {
    for is_raw in [false, true] {
        let mut out = crate::cmd::status::porcelain_of(text, is_raw);
        assert_eq!(out.pop(), Some(if is_raw { 0 } else { b'\n' }));
        if !is_raw {
            assert!(!out.contains(&b'\n'), "{text:?}");
        }
        let fields: Vec<&[u8]> = out.splitn(13, |byte| *byte == b'\t').collect();
        assert_eq!(fields.len(), 13, "{text:?}");
        let source = std::str::from_utf8(fields[12]).expect("UTF-8");
        let read = if is_raw { source.as_bytes().to_vec() } else { unquoted(source) };
        assert_eq!(read, text.as_bytes());
    }
}
