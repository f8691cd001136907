//! The state before a run. Where that was an undo and something of `.git` could not be read then, it is read now from the
//! one that the undo put aside.

use std::path::PathBuf;

use crate::config::Config;
use crate::error::Result;
use crate::git::Oid;
use crate::git::recorded::{Recorded, is_at_or_below, join};
use crate::git::repository::Store;
use crate::git::snapshot::{self, CaptureSpec, Snapshot, is_in_git};
use crate::progress::Silent;

/// The run that is undone.
pub(crate) struct Undone {
    pub(crate) id: String,
    /// The directory of its record.
    pub(crate) directory: PathBuf,
    /// It was an undo itself.
    pub(crate) is_undo: bool,
}

pub(crate) struct Before {
    pub(super) run: Undone,
    pub(super) snapshot: Snapshot,
    /// What the undo put aside, recorded where the snapshot lacks something of it.
    pub(super) aside: Option<Snapshot>,
}

impl Before {
    /// Reads the state before `run`, of which `commit` is the snapshot.
    pub(crate) fn of(store: &Store, run: Undone, commit: Oid, config: &Config) -> Result<Self> {
        let snapshot = snapshot::load(store, commit)?;
        let tree = run.directory.join(super::gitdirs::ASIDE);
        let lacks = snapshot.meta.unreadable.iter().any(|(path, _)| is_in_git(path));
        if !lacks || !run.is_undo || !tree.is_dir() {
            return Ok(Self { run, snapshot, aside: None });
        }
        let spec = CaptureSpec {
            tree: &tree,
            seen: &run.directory.join("git-seen"),
            base: None,
            limits: &config.capture,
            excludes: None,
            brought: &[],
            alone: true,
            threads: 1,
        };
        let aside = snapshot::capture(store, &spec, &Silent)?;
        Ok(Self { run, snapshot, aside: Some(aside) })
    }

    pub(super) fn recorded(&self, store: &Store) -> Result<Recorded> {
        recorded(store, &self.snapshot, self.aside.as_ref())
    }
}

pub(super) fn recorded(store: &Store, snapshot: &Snapshot, aside: Option<&Snapshot>) -> Result<Recorded> {
    let mut recorded = Recorded::of(store, snapshot)?;
    if let Some(aside) = aside {
        complete(&mut recorded, &Recorded::of(store, aside)?);
    }
    Ok(recorded)
}

/// Takes from `aside` the git directories of which more is known there.
fn complete(recorded: &mut Recorded, aside: &Recorded) {
    for (path, gitdir) in &aside.gitdirs {
        let top = join(path, b".git");
        let of = |all: &Recorded| {
            let below = all.unrecorded.iter().filter(|(path, _)| is_at_or_below(path, &top));
            below.map(|(path, reason)| (path.clone(), reason.clone())).collect::<Vec<_>>()
        };
        let (lacked, lacks) = (of(recorded), of(aside));
        let is_covered = |path: &[u8]| lacked.iter().any(|(lacked, _)| is_at_or_below(path, lacked));
        if lacked == lacks || !lacks.iter().all(|(path, _)| is_covered(path)) {
            continue;
        }
        recorded.gitdirs.insert(path.clone(), *gitdir);
        recorded.with_modules.insert(path.clone());
        recorded.unrecorded.retain(|path, _| !is_at_or_below(path, &top));
        recorded.unrecorded.extend(lacks);
        recorded.git_modes.retain(|path, _| !is_at_or_below(path, &top));
        let modes = aside.git_modes.iter().filter(|(path, _)| is_at_or_below(path, &top));
        recorded.git_modes.extend(modes.map(|(path, mode)| (path.clone(), *mode)));
    }
}
