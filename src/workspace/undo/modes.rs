//! Putting the permission bits of directories back, once all else is where it was. May be cut off and begun again at any point:
//! what a directory has by then is what counts.
//!
//! One that is not there then, or is a link, is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rustix::fs::FileType;

use super::tree::as_path;
use crate::git::change::Change;
use crate::git::recorded::{Recorded, is_at_or_below};
use crate::store::beneath::Dir;

/// What its owner needs to do something in a directory.
const OPEN: u32 = 0o700;

/// The directories whose permission bits may be others than they should be.
#[derive(Debug, Default)]
pub(super) struct Modes {
    /// By paths, that of the tree itself being empty: what they have now, if they are there, and what they get.
    directories: BTreeMap<Vec<u8>, (Option<u32>, u32)>,
}

impl Modes {
    /// Finds them, for an undo of all or of `paths`. Where `was` is from before modes of directories were recorded there are none.
    pub(super) fn of(tree: &Dir, was: &Recorded, is: &Recorded, paths: &[Vec<u8>]) -> Self {
        let (then, now) = (was.directories(), is.directories());
        if then.is_empty() {
            return Self::default();
        }
        let asked = |path: &[u8]| paths.is_empty() || paths.iter().any(|top| is_at_or_below(path, top));
        let leads = |path: &[u8]| paths.iter().any(|top| is_at_or_below(top, path));
        let all: BTreeSet<&Vec<u8>> = then.keys().chain(now.keys()).collect();
        let mut directories = BTreeMap::new();
        for path in all {
            let known = now.get(path).copied();
            let target = match (then.get(path).copied(), known) {
                (Some(then), _) if asked(path) => then,
                (_, Some(now)) if asked(path) || leads(path) => now,
                // It is made anew for what is below it.
                (Some(then), None) if leads(path) => then,
                _ => continue,
            };
            // A closed one is opened for a moment when something in it is put back: this may be cut off just then.
            if known != Some(target) || target & OPEN != OPEN {
                let stat =
                    || tree.stat(as_path(path)).ok()?.filter(|stat| FileType::from_raw_mode(stat.st_mode).is_dir());
                directories.insert(path.clone(), (known.or_else(|| Some(stat()?.st_mode & 0o7777)), target));
            }
        }
        Self { directories }
    }

    /// Returns whether there is nothing that has other ones now.
    pub(super) fn is_empty(&self) -> bool {
        self.changed().next().is_none()
    }

    /// Returns what is told of them.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change> {
        self.changed().map(|(path, now, then)| Change::of_directory(path, now, then))
    }

    fn changed(&self) -> impl Iterator<Item = (&[u8], u32, u32)> {
        let all = self.directories.iter().filter_map(|(path, (now, then))| Some((path.as_slice(), (*now)?, *then)));
        all.filter(|(_, now, then)| now != then)
    }

    /// Gives them these, and returns those of which that cannot be done, with the reason. Deepest first, so that one which gets
    /// closed is done with.
    pub(super) fn put(&self, tree: &Dir) -> Vec<(Vec<u8>, String)> {
        let mut failed = Vec::new();
        for (path, (_, mode)) in self.directories.iter().rev() {
            let place = as_path(path);
            let around = place.parent().unwrap_or(Path::new(""));
            // It is not its own mode that is in the way, and what opens it would put that back.
            if let Err(error) = tree.with_access(around, || tree.set_dir_mode(place, *mode)) {
                let path = if path.is_empty() { b".".to_vec() } else { path.clone() };
                failed.push((path, format!("{error:#}")));
            }
        }
        failed
    }
}
