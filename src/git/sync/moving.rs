//! Files that take the place of others, all or none, whatever ends in between.
//!
//! ```text
//! DIR/.stead-tmp-ID/N       what is to come to the path of move N; after the exchange, what was there
//! DIR/.stead-tmp-ID/N.part  is being written
//! DIR/.stead-tmp-ID/N.dir   an empty directory that was there
//! ```
//!
//! Nothing is destroyed before all have changed places and each old one has been looked at where nobody else finds it: it
//! must be what the plan saw, and nobody may have it open for writing. Until then everything is taken back by exchanging it
//! again, which needs no room on the disk; what is missing then comes from the store, where both sides of every move are
//! kept first. What somebody has changed since is left as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::FileType;

use super::found::{Found, NEW, NEW_EXECUTABLE, as_path, files_below, look};
use super::trees::{self, Entry, LINK};
use super::{Conflict, conflict};
use crate::error::Result;
use crate::git::repository::Store;
use crate::git::{ObjectType, Oid};
use crate::store::beneath::Dir;
use crate::store::swap::{Exchanged, Kept};

/// One path with what it holds before and after, as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) path: Vec<u8>,
    pub(crate) before: Found,
    pub(crate) after: Found,
    /// So many directories above it are not there before.
    pub(crate) made: usize,
}

/// Moves of one directory, sorted by path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moves {
    pub(crate) id: String,
    pub(crate) moves: Vec<Move>,
}

/// Returns how many of the directories above `path` are not there.
pub(crate) fn missing(dir: &Dir, path: &[u8]) -> Result<usize> {
    let mut count = 0;
    let mut parent = as_path(path).parent();
    while let Some(path) = parent.filter(|parent| !parent.as_os_str().is_empty()) {
        let is_directory = |mode| FileType::from_raw_mode(mode) == FileType::Directory;
        if dir.stat(path)?.is_some_and(|stat| is_directory(stat.st_mode)) {
            break;
        }
        count += 1;
        parent = path.parent();
    }
    Ok(count)
}

impl Moves {
    /// Keeps both sides in the store, in one commit: `before/` and `after/` as trees, and `moves` that says all of it.
    pub(crate) fn keep(&self, store: &Store, message: &str) -> Result<Oid> {
        store.flush()?;
        let repository = store.repository();
        let empty = trees::of_commit(repository, None)?;
        let side = |side: fn(&Move) -> &Found| {
            let entries = self.moves.iter().filter_map(|one| Some((one.path.clone(), Some(entry(side(one))?))));
            trees::edited(repository, empty, &entries.collect())
        };
        let list = store.write(ObjectType::Blob, self.to_bytes())?;
        store.flush()?;
        let mut edits = BTreeMap::from([(b"moves".to_vec(), Some(Entry { mode: 0o100_644, id: list }))]);
        for (name, tree) in [("before", side(|one| &one.before)?), ("after", side(|one| &one.after)?)] {
            for difference in trees::differences(repository, empty, tree)? {
                edits.insert([name.as_bytes(), b"/", &difference.path].concat(), difference.after);
            }
        }
        let commit = store.commit(trees::edited(repository, empty, &edits)?, &[], message)?;
        store.flush()?;
        Ok(commit)
    }

    /// Reads what [`Moves::keep`] has kept.
    pub(crate) fn load(store: &Store, commit: Oid, id: &str) -> Result<Self> {
        let tree = trees::of_commit(store.repository(), Some(commit))?;
        let entry = trees::entry(store.repository(), tree, b"moves")?.context("the store lacks a list of moves")?;
        let blob = store.repository().find_blob(entry.id).context("cannot read a list of moves")?;
        let moves = blob.content().split(|byte| *byte == 0).filter(|line| !line.is_empty());
        let moves = moves.map(|line| parse(line).context("a list of moves makes no sense")).collect::<Result<_>>()?;
        Ok(Self { id: id.to_owned(), moves })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let lines = self.moves.iter().flat_map(|one| {
            let head = format!("{} {} {} ", text(&one.before), text(&one.after), one.made);
            [head.as_bytes(), &one.path, b"\0"].concat()
        });
        lines.collect()
    }

    /// Brings everything to its place and checks what was there. What fails is to be taken back.
    pub(crate) fn make(&self, store: &Store, dir: &Dir) -> Result<()> {
        dir.create_dir_all(&self.place())?;
        // Removals first, the deepest first: a directory may have to make room for a file.
        for (number, one) in self.numbered().rev().filter(|(_, one)| one.after == Found::Nothing) {
            check(store, dir, as_path(&one.path), one)?;
            dir.move_new(as_path(&one.path), &self.aside(number))?;
        }
        for (number, one) in self.numbered().filter(|(_, one)| one.before == Found::Directory) {
            dir.move_new(as_path(&one.path), &self.emptied(number))?;
        }
        for (number, one) in self.numbered().filter(|(_, one)| one.after != Found::Nothing) {
            self.stage(store, dir, number, one, &one.after)?;
        }
        dir.sync(&self.place())?;
        for (number, one) in self.numbered().filter(|(_, one)| one.after != Found::Nothing) {
            if matches!(one.before, Found::File { .. } | Found::Link { .. }) {
                check(store, dir, as_path(&one.path), one)?;
                dir.exchange(&self.aside(number), as_path(&one.path))?;
            } else if !dir.move_new(&self.aside(number), as_path(&one.path))? {
                return Err(changed(one, "changed meanwhile"));
            }
        }
        for (number, one) in self.numbered() {
            match one.before {
                Found::File { .. } | Found::Link { .. } => {
                    if dir.is_being_written(&self.aside(number)) {
                        return Err(changed(one, "is open for writing in another process"));
                    }
                    // Where the file system cannot exchange, it was checked just before.
                    if dir.stat(&self.aside(number))?.is_some() {
                        check(store, dir, &self.aside(number), one)?;
                    }
                }
                Found::Directory if !files_below(dir, bytes(&self.emptied(number)))?.is_empty() => {
                    return Err(changed(one, "changed meanwhile"));
                }
                _ => {}
            }
        }
        self.sync(dir)
    }

    /// Lets go of what was replaced: there is no way back after it.
    pub(crate) fn settle(&self, dir: &Dir) -> Result<()> {
        dir.remove_all(&self.place())?;
        for one in self.moves.iter().rev().filter(|one| one.after == Found::Nothing) {
            remove_empty(dir, as_path(&one.path), usize::MAX);
        }
        self.sync(dir)
    }

    /// Puts everything back, from whatever point, and returns what was left as it is because somebody has changed it.
    pub(crate) fn take_back(&self, store: &Store, dir: &Dir) -> Result<Vec<Vec<u8>>> {
        let mut left = Vec::new();
        let (removals, creations): (Vec<_>, Vec<_>) = self.numbered().partition(|(_, one)| one.after == Found::Nothing);
        for (number, one) in creations.into_iter().rev() {
            if !self.replaced_back(store, dir, number, one)? {
                left.push(one.path.clone());
            }
            remove_empty(dir, as_path(&one.path), one.made);
        }
        for (number, one) in removals {
            if !self.removed_back(store, dir, number, one)? {
                left.push(one.path.clone());
            }
        }
        let mut others = BTreeSet::new();
        if dir.stat(&self.place())?.is_some() {
            for (number, one) in self.numbered() {
                let found = look(store, dir, bytes(&self.aside(number)))?;
                if ![&one.before, &one.after, &Found::Nothing].iter().any(|known| found.is(known)) {
                    others.insert(one.path.clone());
                }
            }
            if others.is_empty() {
                dir.remove_all(&self.place())?;
            } else {
                left.extend(others.iter().map(|_| bytes(&self.place()).to_vec()));
            }
        }
        self.sync(dir)?;
        left.sort();
        left.dedup();
        Ok(left)
    }

    fn replaced_back(&self, store: &Store, dir: &Dir, number: usize, one: &Move) -> Result<bool> {
        let (path, aside) = (as_path(&one.path), self.aside(number));
        let now = look(store, dir, &one.path)?;
        if !now.is(&one.after) {
            if now == Found::Nothing && one.before == Found::Directory {
                return self.emptied_back(dir, number, path);
            }
            return Ok(now.is(&one.before));
        }
        if !matches!(one.before, Found::File { .. } | Found::Link { .. }) {
            dir.remove_all(&aside)?;
            if !dir.move_new(path, &aside)? {
                return Ok(false);
            }
            // Somebody was quicker than the move.
            if !look(store, dir, bytes(&aside))?.is(&one.after) {
                dir.move_new(&aside, path)?;
                return Ok(false);
            }
            return if one.before == Found::Directory { self.emptied_back(dir, number, path) } else { Ok(true) };
        }
        if dir.stat(&aside)?.is_none() {
            self.stage(store, dir, number, one, &one.before)?;
        }
        if dir.exchange(&aside, path)? == Exchanged::Both && !look(store, dir, bytes(&aside))?.is(&one.after) {
            dir.exchange(&aside, path)?;
            return Ok(false);
        }
        Ok(true)
    }

    fn emptied_back(&self, dir: &Dir, number: usize, path: &Path) -> Result<bool> {
        if dir.stat(&self.emptied(number))?.is_some() {
            return dir.move_new(&self.emptied(number), path);
        }
        dir.create_dir_all(path)?;
        Ok(true)
    }

    fn removed_back(&self, store: &Store, dir: &Dir, number: usize, one: &Move) -> Result<bool> {
        let now = look(store, dir, &one.path)?;
        if now != Found::Nothing {
            return Ok(now.is(&one.before));
        }
        if dir.stat(&self.aside(number))?.is_none() {
            self.stage(store, dir, number, one, &one.before)?;
        }
        dir.move_new(&self.aside(number), as_path(&one.path))
    }

    /// Makes what is to come to a path, whole and on disk under its name.
    fn stage(&self, store: &Store, dir: &Dir, number: usize, one: &Move, content: &Found) -> Result<()> {
        let (aside, part) = (self.aside(number), self.place().join(format!("{number}.part")));
        dir.create_dir_all(&self.place())?;
        dir.remove_all(&part)?;
        match content {
            Found::File { id, mode } => {
                let blob = store.repository().find_blob(*id).with_context(|| format!("cannot read blob {id}"))?;
                let is_new = matches!(*mode, NEW | NEW_EXECUTABLE);
                let stat = dir.stat(as_path(&one.path))?;
                let owner = stat.filter(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
                let kept = Kept { mode: *mode, owner: owner.map(|stat| (stat.st_uid, stat.st_gid)) };
                dir.stage(&part, blob.content(), mode & 0o100 != 0, (!is_new).then_some(kept))?;
            }
            Found::Link { id } => {
                use std::os::unix::ffi::OsStrExt as _;
                let blob = store.repository().find_blob(*id).with_context(|| format!("cannot read blob {id}"))?;
                dir.create_link(std::ffi::OsStr::from_bytes(blob.content()), &part)?;
            }
            Found::Nothing | Found::Directory | Found::Other(_) => anyhow::bail!("nothing to write"),
        }
        anyhow::ensure!(dir.move_new(&part, &aside)?, "`{}` is in the way", aside.display());
        Ok(())
    }

    /// Syncs every directory in which names have changed.
    fn sync(&self, dir: &Dir) -> Result<()> {
        let mut directories = BTreeSet::from([Path::new("")]);
        for one in &self.moves {
            directories.extend(as_path(&one.path).ancestors().skip(1));
        }
        directories.into_iter().try_for_each(|directory| dir.sync(directory))
    }

    fn numbered(&self) -> std::iter::Enumerate<std::slice::Iter<'_, Move>> {
        self.moves.iter().enumerate()
    }

    fn place(&self) -> PathBuf {
        format!(".stead-tmp-{}", self.id).into()
    }

    fn aside(&self, number: usize) -> PathBuf {
        self.place().join(number.to_string())
    }

    fn emptied(&self, number: usize) -> PathBuf {
        self.place().join(format!("{number}.dir"))
    }
}

/// Removes the directories above `path` that are empty, at most so many.
fn remove_empty(dir: &Dir, path: &Path, most: usize) {
    for parent in path.ancestors().skip(1).take(most).take_while(|parent| !parent.as_os_str().is_empty()) {
        // It has other entries: that is where it ends.
        if dir.remove_dir(parent).is_err() {
            break;
        }
    }
}

/// Fails unless what is `at` a path is what was there before.
fn check(store: &Store, dir: &Dir, at: &Path, one: &Move) -> Result<()> {
    let found = look(store, dir, bytes(at))?;
    if found == one.before { Ok(()) } else { Err(changed(one, "changed meanwhile")) }
}

fn changed(one: &Move, reason: &str) -> anyhow::Error {
    conflict("cannot write", &[Conflict::new(&one.path, reason)]).into()
}

fn bytes(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes()
}

/// Returns what a tree holds for it.
pub(crate) fn entry(found: &Found) -> Option<Entry> {
    match found {
        Found::File { id, mode } => {
            Some(Entry { mode: if mode & 0o100 == 0 { 0o100_644 } else { 0o100_755 }, id: *id })
        }
        Found::Link { id } => Some(Entry { mode: LINK, id: *id }),
        Found::Nothing | Found::Directory | Found::Other(_) => None,
    }
}

fn text(found: &Found) -> String {
    match found {
        Found::File { id, mode } => format!("file:{mode:o}:{id}"),
        Found::Link { id } => format!("link:0:{id}"),
        Found::Directory => "directory".to_owned(),
        Found::Nothing | Found::Other(_) => "nothing".to_owned(),
    }
}

fn parse(line: &[u8]) -> Option<Move> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let mut word = || std::str::from_utf8(parts.next()?).ok();
    let (before, after, made) = (of_text(word()?)?, of_text(word()?)?, word()?.parse().ok()?);
    Some(Move { path: parts.next()?.to_vec(), before, after, made })
}

fn of_text(text: &str) -> Option<Found> {
    let mut parts = text.split(':');
    let kind = parts.next()?;
    let mut content = || Some((u32::from_str_radix(parts.next()?, 8).ok()?, parts.next()?.parse().ok()?));
    match kind {
        "file" => content().map(|(mode, id)| Found::File { id, mode }),
        "link" => content().map(|(_, id)| Found::Link { id }),
        "directory" => Some(Found::Directory),
        "nothing" => Some(Found::Nothing),
        _ => None,
    }
}
