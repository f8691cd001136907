//! What a capture names without reading it, told as changes all the same.

use std::collections::{HashMap, HashSet};

use super::{Change, ChangeKind, REGULAR};
use crate::git::meta::Meta;
use crate::git::recorded::is_covered;
use crate::git::snapshot::is_in_git;

/// Corrects the changes for what a capture names without reading it: such a file is there, so it is not deleted; and adds what
/// became of the files over a cap.
pub(super) fn unread(before: &Meta, after: &Meta, changes: &mut Vec<Change>) {
    let hidden: HashSet<&[u8]> = after.unreadable.iter().map(|(path, _)| path.as_slice()).collect();
    let known: HashMap<&[u8], u64> = before.too_large.iter().map(|(path, size)| (path.as_slice(), *size)).collect();
    let large: HashMap<&[u8], u64> = after.too_large.iter().map(|(path, size)| (path.as_slice(), *size)).collect();
    let (old_modes, modes) = (modes(before), modes(after));
    let mut told = HashSet::new();
    changes.retain_mut(|change| {
        if change.kind == ChangeKind::Create && known.contains_key(change.path.as_slice()) {
            // It was there, but nobody has read it.
            change.kind = ChangeKind::Update;
            change.old_mode = old_modes.get(change.path.as_slice()).copied();
            (change.binary, change.additions) = (true, 0);
        }
        if change.kind != ChangeKind::Delete {
            return true;
        }
        let Some(size) = large.get(change.path.as_slice()) else {
            return !is_covered(&change.path, |top| hidden.contains(top));
        };
        if known.get(change.path.as_slice()) != Some(size) {
            change.kind = ChangeKind::Update;
            (change.binary, change.deletions) = (true, 0);
            told.insert(change.path.clone());
        }
        change.kind == ChangeKind::Update
    });
    for (path, size) in after.too_large.iter().filter(|(path, _)| !told.contains(path)) {
        let (old_mode, mode) = (old_modes.get(path.as_slice()).copied(), modes.get(path.as_slice()).copied());
        let plain = of_unread(path, ChangeKind::Create);
        let with_modes = |change: Change| match (old_mode, mode) {
            (Some(old), Some(new)) if old != new => Some(Change { old_mode, mode, ..change }),
            _ => None,
        };
        match known.get(path.as_slice()) {
            None => changes.push(plain),
            Some(old) if old != size || after.is_rewritten(before, path) => {
                let update = Change { kind: ChangeKind::Update, ..plain };
                changes.push(with_modes(update.clone()).unwrap_or(update));
            }
            Some(_) => changes.extend(with_modes(Change { kind: ChangeKind::Update, binary: false, ..plain })),
        }
    }
    let still = before.unreadable.iter().map(|(path, _)| path.as_slice()).filter(|path| hidden.contains(path));
    // One with other permission bits is told with these.
    let has_other_mode =
        |path: &[u8]| before.mode_of_unread(path).zip(after.mode_of_unread(path)).is_some_and(|(old, new)| old != new);
    let rewritten = still.filter(|path| after.is_rewritten(before, path) && !has_other_mode(path));
    changes.extend(rewritten.map(|path| Change { binary: false, ..of_unread(path, ChangeKind::Update) }));
    let mut aside = hidden;
    aside.extend(after.newly_ignored.iter().map(Vec::as_slice));
    aside.extend(after.special.iter().map(|(path, _)| path.as_slice()));
    let there: HashSet<&[u8]> = changes.iter().map(|change| change.path.as_slice()).collect();
    let gone: Vec<Change> = before
        .too_large
        .iter()
        .map(|(path, _)| path.as_slice())
        .filter(|path| !large.contains_key(path) && !there.contains(path) && !is_in_git(path))
        .filter(|path| !is_covered(path, |top| aside.contains(top)))
        .map(|path| Change { old_mode: old_modes.get(path).copied(), ..of_unread(path, ChangeKind::Delete) })
        .collect();
    changes.extend(gone);
    changes.sort_by(|one, other| one.path.cmp(&other.path));
}

fn of_unread(path: &[u8], kind: ChangeKind) -> Change {
    Change {
        path: path.to_vec(),
        kind,
        old_path: None,
        old_mode: None,
        mode: None,
        old_id: None,
        id: None,
        binary: true,
        additions: 0,
        deletions: 0,
    }
}

fn modes(meta: &Meta) -> HashMap<&[u8], u32> {
    meta.large_modes.iter().map(|(path, mode)| (path.as_slice(), REGULAR | *mode)).collect()
}
