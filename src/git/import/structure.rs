//! Whether an object is as git writes it, and what it names. What passes here libgit2 can read: what it could not, no command
//! could go on from.

use git2::ObjectType;

use crate::git::Oid;

/// Returns what an object names, in the order in which it is put on the stack: a commit's tree comes off before its parents.
/// `None` for an object that is not as git writes them.
pub(super) fn children(kind: ObjectType, content: &[u8]) -> Option<Vec<(Oid, ObjectType)>> {
    match kind {
        ObjectType::Commit => commit(content),
        ObjectType::Tree => tree(content),
        ObjectType::Tag => tag(content),
        _ => Some(Vec::new()),
    }
}

pub(super) fn commit(content: &[u8]) -> Option<Vec<(Oid, ObjectType)>> {
    let (line, mut rest) = line(content)?;
    let tree = hex(line.strip_prefix(b"tree ")?)?;
    let mut found = Vec::new();
    while let Some((parent, after)) = header(rest, b"parent ") {
        found.push((hex(parent)?, ObjectType::Commit));
        rest = after;
    }
    // Some tools write several.
    let mut authors = 0;
    while let Some((author, after)) = header(rest, b"author ") {
        signature(author)?;
        authors += 1;
        rest = after;
    }
    let (committer, _) = header(rest, b"committer ")?;
    signature(committer)?;
    found.push((tree, ObjectType::Tree));
    (authors > 0).then_some(found)
}

/// Returns when a commit says that it was made; 0 when it does not say.
pub(super) fn time(commit: &[u8]) -> i64 {
    let lines = commit.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    let committer = lines.into_iter().find_map(|line| line.strip_prefix(b"committer "));
    let end = |line: &[u8]| line.iter().rposition(|byte| *byte == b'>');
    let time = committer.and_then(|line| line.get(end(line)? + 2..)).unwrap_or_default();
    let time = time.split(|byte| *byte == b' ').next().unwrap_or_default();
    std::str::from_utf8(time).ok().and_then(|time| time.parse().ok()).unwrap_or_default()
}

pub(super) fn tree(mut content: &[u8]) -> Option<Vec<(Oid, ObjectType)>> {
    let mut found = Vec::new();
    while !content.is_empty() {
        let space = content.iter().position(|byte| *byte == b' ')?;
        // A sign is a number to others, but no mode to git.
        let mode = std::str::from_utf8(&content[..space]).ok().filter(|mode| !mode.starts_with('+'))?;
        let mode = u32::from(u16::from_str_radix(mode, 8).ok()?);
        let end = space + content[space..].iter().position(|byte| *byte == 0)?;
        let name = end - space - 1;
        if name == 0 || name > usize::from(u16::MAX) {
            return None;
        }
        let id = content.get(end + 1..end + 21)?;
        match mode & 0o170_000 {
            0o040_000 => found.push((Oid::from_bytes(id).ok()?, ObjectType::Tree)),
            // A submodule's commit is not in this repository.
            0o160_000 => {}
            _ => found.push((Oid::from_bytes(id).ok()?, ObjectType::Blob)),
        }
        content = &content[end + 21..];
    }
    Some(found)
}

fn tag(content: &[u8]) -> Option<Vec<(Oid, ObjectType)>> {
    let (target, rest) = header(content, b"object ")?;
    let target = hex(target)?;
    let (kind, rest) = header(rest, b"type ")?;
    let kind = match kind {
        b"commit" => ObjectType::Commit,
        b"tree" => ObjectType::Tree,
        b"blob" => ObjectType::Blob,
        b"tag" => ObjectType::Tag,
        _ => return None,
    };
    let (_, mut rest) = header(rest, b"tag ")?;
    if !rest.is_empty() && !rest.starts_with(b"\n") {
        let (tagger, after) = header(rest, b"tagger ")?;
        signature(tagger)?;
        rest = after;
    }
    let has_end = rest.is_empty() || rest.starts_with(b"\n") || rest.windows(2).any(|pair| pair == b"\n\n");
    has_end.then(|| vec![(target, kind)])
}

/// Returns a line without its end, and what follows it.
fn line(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = content.iter().position(|byte| *byte == b'\n')?;
    Some((&content[..end], &content[end + 1..]))
}

/// Returns the value of the line that `content` begins with, if that is its key, and what follows the line.
fn header<'a>(content: &'a [u8], key: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (line, rest) = line(content)?;
    Some((line.strip_prefix(key)?, rest))
}

/// Checks `Name <mail> seconds zone`; only a mail address, and a number where there is more, is asked for.
fn signature(text: &[u8]) -> Option<()> {
    let start = text.iter().rposition(|byte| *byte == b'<')?;
    let end = text.iter().rposition(|byte| *byte == b'>').filter(|end| *end > start)?;
    let Some(time) = text.get(end + 2..).filter(|time| !time.is_empty()) else { return Some(()) };
    let time = time.trim_ascii_start();
    let time = time.strip_prefix(b"-").or_else(|| time.strip_prefix(b"+")).unwrap_or(time);
    let digits = time.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&time[..digits]).ok()?.parse::<i64>().ok().map(drop)
}

fn hex(text: &[u8]) -> Option<Oid> {
    if text.len() != 40 {
        return None;
    }
    Oid::from_str(std::str::from_utf8(text).ok()?).ok()
}
