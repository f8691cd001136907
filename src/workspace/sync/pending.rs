//! What a sync has begun and the journal keeps, and how it ends when it was cut off.
//!
//! Before the point of no return it is taken back: the command has not said that it is done, the files that were there
//! are at hand, and to put them back needs no room on the disk. After it, what is left is tidied up. For files alone that
//! point is the journal saying `decided`; with a new `.git` it is the exchange of the two, which the file `MARK` in it tells.
//! A path that somebody has changed in between is left as it is, and named.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Kind, Result};
use crate::git::Oid;
use crate::git::agentdir;
use crate::git::repository::{Access, Store};
use crate::git::sync::moving::Moves;
use crate::git::sync::{list, shown};
use crate::progress::Silent;
use crate::store::beneath::Dir;
use crate::store::fs::{self, Durability};
use crate::workspace::LeasedWorkspace;
use crate::workspace::journal::{Journal, Operation};
use crate::workspace::sync::{State, renew};

/// The new `.git`, in the state until it is exchanged; the old one after that.
pub(in crate::workspace) const GIT: &str = "pending-git";
/// In a new `.git`: the id of the sync that has made it. It goes when that is done.
pub(super) const MARK: &str = "stead-sync";

/// Files that are being brought into the tree, and perhaps a `.git` that fits them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tree {
    pub(super) id: String,
    /// The commit in the store that keeps both sides of all files.
    pub(super) moves: String,
    /// The base when it is done.
    pub(super) base: Option<String>,
    pub(super) decided: bool,
}

/// Files that are being brought into a project or a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Apply {
    pub(super) id: String,
    pub(super) target: String,
    pub(super) moves: String,
    /// What the target holds of the work when it is done; `None` for nothing any more.
    pub(super) applied: Option<String>,
    pub(super) decided: bool,
}

impl Tree {
    pub(super) fn moves(&self, store: &Store) -> Result<Moves> {
        Moves::load(store, parse(&self.moves)?, &self.id)
    }

    /// Goes on with it, or takes it back; returns which.
    pub(crate) fn finish(&self, workspace: &mut LeasedWorkspace, journal: &mut Journal) -> Result<String> {
        let store = workspace.store(Access::Read)?;
        let tree = Dir::open(&workspace.tree())?;
        // The mark goes last; the old `.git` in its place says it as well.
        if self.decided || is_exchanged(&tree, &self.id) || renew::is_kept(workspace, &self.id) {
            self.decide(workspace, journal, &store)?;
            return Ok("the sync is done".to_owned());
        }
        let left = self.moves(&store)?.take_back(&store, &tree)?;
        fs::remove_tree(&workspace.state().join(GIT), &Silent)?;
        Ok(taken_back("the sync", &left))
    }

    /// Puts on record that there is no way back, before the mark goes that may be all that says so, and tidies up.
    fn decide(&self, workspace: &mut LeasedWorkspace, journal: &mut Journal, store: &Store) -> Result<()> {
        if !self.decided {
            journal.change(Operation::Sync(Self { decided: true, ..self.clone() }))?;
        }
        let tree = Dir::open(&workspace.tree())?;
        let old = workspace.state().join(GIT);
        if old.symlink_metadata().is_ok() {
            let keep = renew::keep(workspace)?.join(&self.id);
            fs::publish(&old, &keep, Durability::Synced)?;
        }
        self.moves(store)?.settle(&tree)?;
        if let Some(base) = &self.base {
            workspace.record_mut().base = Some(base.clone());
        }
        workspace.record_mut().last_used = jiff::Timestamp::now();
        workspace.save()?;
        if is_exchanged(&tree, &self.id) {
            tree.unlink(&Path::new(".git").join(MARK))?;
        }
        Ok(())
    }
}

impl Apply {
    pub(super) fn moves(&self, store: &Store) -> Result<Moves> {
        Moves::load(store, parse(&self.moves)?, &self.id)
    }

    /// Goes on with it, or takes it back; returns which.
    pub(crate) fn finish(&self, workspace: &mut LeasedWorkspace) -> Result<String> {
        let what = format!("the sync to `{}`", self.target);
        let store = workspace.store(Access::Read)?;
        let dir = match PathBuf::from(&self.target).canonicalize() {
            Ok(target) => Dir::open(&target)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(format!("{what} is gone with it")),
            Err(error) => return Err(error).with_context(|| format!("cannot open `{}`", self.target)),
        };
        if self.decided {
            self.settle(workspace, &store, &dir)?;
            return Ok(format!("{what} is done"));
        }
        let left = self.moves(&store)?.take_back(&store, &dir)?;
        Ok(taken_back(&what, &left))
    }

    /// Does what is left to do when there is no way back.
    pub(super) fn settle(&self, workspace: &mut LeasedWorkspace, store: &Store, dir: &Dir) -> Result<()> {
        self.moves(store)?.settle(dir)?;
        store.set_ref(&format!("refs/applies/{}", self.id), parse(&self.moves)?)?;
        match &self.applied {
            Some(applied) => super::remember(workspace, &self.target, None, parse(applied)?),
            None => super::forget(workspace, &self.target),
        }
    }
}

/// Brings files into a directory under the journal: all of them, or none and the reason.
pub(super) fn make(
    workspace: &mut LeasedWorkspace,
    store: &Store,
    dir: &Dir,
    moves: &Moves,
    apply: Apply,
) -> Result<()> {
    let mut journal = workspace.begin(Operation::Apply(apply.clone()))?;
    if let Err(error) = moves.make(store, dir) {
        let left = moves.take_back(store, dir).map_err(|second| unfinished(&error, &second))?;
        journal.end()?;
        return Err(with_left(error, &left));
    }
    let apply = Apply { decided: true, ..apply };
    journal.change(Operation::Apply(apply.clone()))?;
    apply.settle(workspace, store, dir)?;
    journal.end()
}

/// The same for the tree, and with a new `.git` at [`GIT`] if there is a state that the old one must still be in.
pub(super) fn make_tree(
    workspace: &mut LeasedWorkspace,
    store: &Store,
    moves: &Moves,
    sync: &Tree,
    exchange: Option<&State>,
) -> Result<()> {
    let dir = Dir::open(&workspace.tree())?;
    let mut journal = workspace.begin(Operation::Sync(sync.clone()))?;
    let made =
        moves.make(store, &dir).and_then(|()| exchange.map_or(Ok(()), |state| renew::exchange(workspace, state)));
    match made {
        // An exchange that is done is done, whatever came after it.
        Err(error) if !is_exchanged(&dir, &sync.id) => {
            let left = moves.take_back(store, &dir).map_err(|second| unfinished(&error, &second))?;
            fs::remove_tree(&workspace.state().join(GIT), &Silent)?;
            journal.end()?;
            return Err(with_left(error, &left));
        }
        _ => {}
    }
    sync.decide(workspace, &mut journal, store)?;
    journal.end()
}

fn is_exchanged(tree: &Dir, id: &str) -> bool {
    let mark =
        agentdir::git_dir(tree, &mut Vec::new()).and_then(|git| git.read(Path::new(MARK), 1 << 10).ok().flatten());
    mark.is_some_and(|mark| mark == id.as_bytes())
}

fn taken_back(what: &str, left: &[Vec<u8>]) -> String {
    if left.is_empty() {
        return format!("{what} has been taken back");
    }
    format!("{what} has been taken back, but for what somebody has changed since: {}", names(left))
}

fn with_left(error: anyhow::Error, left: &[Vec<u8>]) -> anyhow::Error {
    if left.is_empty() {
        return error;
    }
    // Only a path that changed in the same moment; the reason names most of them.
    let (kind, hint) = (Kind::of(&error), Failure::of(&error).and_then(|failure| failure.hint.clone()));
    let message = format!("{error:#}; left as somebody has changed it meanwhile: {}", names(left));
    let failure = Failure::new(kind, message);
    hint.into_iter().fold(failure, Failure::hint).into()
}

fn unfinished(first: &anyhow::Error, second: &anyhow::Error) -> anyhow::Error {
    Failure::new(Kind::of(first), format!("{first:#}, and it could not be taken back: {second:#}"))
        .hint("the next command on the workspace tries again; both states of every file are kept in its store")
        .into()
}

fn names(paths: &[Vec<u8>]) -> String {
    list(paths.iter().map(|path| shown(path)))
}

fn parse(id: &str) -> Result<Oid> {
    id.parse().with_context(|| format!("`{id}` is not the id of an object"))
}
