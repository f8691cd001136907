//! Bringing work across, planned first: what `--dry-run` prints is the value that `apply` consumes.
//!
//! ```text
//! upstream  origin's branch → workspace        branch    workspace → stead/NAME in a project
//! from      a project → workspace              apply     workspace → a working tree or plain folder
//!                                              push      workspace → stead/NAME at origin
//! ```
//!
//! In the store, `refs/kept/OID` keeps every commit that was delivered, `refs/sent/HASH` the last one of each branch somewhere,
//! `refs/applied/ID` the tree that was applied somewhere, `refs/backups/ID` what was replaced there and what took its place.

pub(crate) mod apply;
pub(crate) mod branch;
pub(crate) mod from;
pub(crate) mod pending;
pub(crate) mod push;
mod renew;
pub(crate) mod revert;
pub(crate) mod upstream;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;

use crate::config::Config;
use crate::error::{Failure, Kind, Result};
use crate::git::agentdir::Head;
use crate::git::change::Change;
use crate::git::import::{self, Imported};
use crate::git::repository::{Access, Store};
use crate::git::snapshot::Snapshot;
use crate::git::source::Source;
use crate::git::sync::indexed::Indexed;
use crate::git::sync::moving::Moves;
use crate::git::sync::work::{self, Work};
use crate::git::sync::{list, runs_code, shown, trees};
use crate::git::{ObjectType, Oid, identity, pack};
use crate::progress::Progress;
use crate::store::beneath::Dir;
use crate::workspace::agentgit::{self, Running, split_identity};
use crate::workspace::record::Delivery;
use crate::workspace::{LeasedWorkspace, Workspace};

/// What a workspace holds now: its tree and its commits, in the store.
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) imported: Imported,
    pub(crate) snapshot: Snapshot,
    pub(crate) head: Option<Oid>,
    pub(crate) work: Work,
    pub(crate) index: Indexed,
    /// What becomes of hooks and the like when the `.git` is built anew.
    pub(crate) running: Running,
}

impl State {
    /// Looks at a workspace without changing anything: for plans that are only shown.
    pub(crate) fn look(workspace: &Workspace, config: &Config) -> Result<Self> {
        let store = workspace.store(Access::Read)?;
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let snapshot = workspace.look(&store, config, threads)?;
        Self::of(workspace, store, snapshot)
    }

    /// Records the state of a workspace, for plans that are applied.
    pub(crate) fn take(workspace: &mut LeasedWorkspace, config: &Config, progress: &dyn Progress) -> Result<Self> {
        if let Some(pool) = agentgit::pool_path(workspace) {
            Store::end_history_as(&workspace.state().join("store.git"), &pool)?;
        }
        let store = workspace.store(Access::Write)?;
        let snapshot = workspace.capture(&store, config, progress)?;
        store.flush()?;
        Self::of(workspace, store, snapshot)
    }

    fn of(workspace: &Workspace, store: Store, snapshot: Snapshot) -> Result<Self> {
        let imported = import::import(&store, &Dir::open(&workspace.tree())?)?;
        let head = imported.refs.head_commit();
        if let Some((_, reason)) = imported.failed.iter().find(|(tip, _)| Some(*tip) == head) {
            return Err(Failure::new(
                Kind::Failed,
                format!("cannot read the head of workspace `{}`: {reason}", workspace.name()),
            )
            .hint("repair its `.git` (`git fsck` tells more), or start over from a new workspace")
            .into());
        }
        // A `.git` that is gone or new takes no work away: it goes on from where it began.
        let base = || workspace.base().filter(|base| store.repository().find_commit(*base).is_ok());
        let head = head.or_else(base);
        let index = Indexed::of_snapshot(store.repository(), &snapshot);
        let created = workspace.created(&store)?.map(|created| created.files);
        let work = work::work(&store, &snapshot, head, (workspace.base(), created), &index)?;
        Ok(Self { store, imported, snapshot, head, work, index, running: Running::default() })
    }

    /// Returns whether git would call the tree clean.
    pub(crate) fn is_clean(&self) -> Result<bool> {
        Ok(self.work.tree == trees::of_commit(self.store.repository(), self.head)? && self.work.lfs.is_empty())
    }

    /// Returns what never comes over, with the reason: files that are no work, refs that cannot be read whole.
    fn left_out(&self) -> Vec<(Vec<u8>, String)> {
        let refs = &self.imported.refs;
        // The first name of each.
        let names: HashMap<Oid, &String> = refs.refs.iter().rev().map(|(name, id)| (*id, name)).collect();
        let name = |id: &Oid| names.get(id).map_or_else(|| id.to_string(), |name| (*name).clone());
        let lost = self.imported.failed.iter().map(|(id, reason)| (name(id).into_bytes(), reason.clone()));
        let bad = refs.bad.iter().map(|(name, reason)| {
            ((if name == ".git" { name.clone() } else { format!(".git/{name}") }).into_bytes(), reason.clone())
        });
        self.work.left_out.iter().cloned().chain(lost).chain(bad).collect()
    }

    /// Fails when the tree is not the one that was reviewed; `id` is as `diff` printed it, or its beginning.
    pub(crate) fn check_snapshot(&self, id: &str) -> Result<()> {
        let now = self.snapshot.id.to_string();
        let id = id.to_ascii_lowercase();
        if id.len() < 7 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Failure::new(Kind::Usage, format!("`{id}` is not the id of a snapshot"))
                .hint("`stead diff NAME` prints it")
                .into());
        }
        if now.starts_with(&id) {
            return Ok(());
        }
        Err(Failure::new(Kind::Conflict, format!("the tree is not snapshot {id} any more, it is {now}"))
            .hint("see what changed with `stead diff`")
            .into())
    }

    /// Fails when some of the agent's refs cannot be read: a new `.git` would not have them.
    fn check_refs(&self, workspace: &Workspace) -> Result<()> {
        let Some((name, reason)) = self.imported.refs.bad.first() else { return Ok(()) };
        let name = if name == ".git" { name.clone() } else { format!(".git/{name}") };
        Err(Failure::new(Kind::Refused, format!("cannot read `{name}` of workspace `{}`: {reason}", workspace.name()))
            .hint("repair its `.git`; what hangs on it would be lost")
            .into())
    }

    /// Fails where a merge is not resolved: the files hold both sides, and marks between them.
    fn check_merged(&self, workspace: &Workspace) -> Result<()> {
        let abort = self.imported.refs.operation.as_ref().map(|operation| format!(", or abort the {operation}"));
        let hint = format!("resolve and `git add` them in the workspace{}", abort.unwrap_or_default());
        self.index.check_merged(&format!("workspace `{}`", workspace.name()), hint)
    }

    /// Fails when large files have come in the place of their pointers.
    fn check_lfs(&self) -> Result<()> {
        let Some(first) = self.work.lfs.first() else { return Ok(()) };
        let first = String::from_utf8_lossy(first).into_owned();
        Err(Failure::new(
            Kind::Refused,
            format!("`{first}` is a Git LFS file with new content, which only git can store"),
        )
        .hint("commit it in the workspace, with git-lfs installed")
        .into())
    }

    /// Returns a store that can be given objects of others, and forgets them at its end.
    fn scratch(&self, workspace: &Workspace) -> Result<Option<Store>> {
        match self.store.access() {
            // Everything is in memory already, and only there.
            Access::Read => Ok(None),
            Access::Write => workspace.store(Access::Read).map(Some),
        }
    }
}

/// What a plan tells about itself.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) target: String,
    pub(crate) branch: Option<String>,
    pub(crate) commit: Option<Oid>,
    pub(crate) old_commit: Option<Oid>,
    /// Commits that come over.
    pub(crate) commits: usize,
    /// One of them is made of uncommitted work.
    pub(crate) uncommitted: bool,
    pub(crate) up_to_date: bool,
    pub(crate) changes: Vec<Change>,
    pub(crate) left_out: Vec<(Vec<u8>, String)>,
    /// How many of these could not be read.
    pub(crate) unread: usize,
    pub(crate) runs_code: Vec<(Vec<u8>, String)>,
    /// Other refs of the workspace with commits that do not come over.
    pub(crate) other_refs: Vec<(String, usize)>,
    /// Its stash entries, which do not come over either, newest first.
    pub(crate) stashes: Vec<Oid>,
}

/// What the user said about a plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) message: Option<String>,
    pub(crate) allow_exec: bool,
}

/// Returns who commits: the workspace's identity, else the user's own, else stead.
fn who(workspace: &Workspace) -> Result<(String, String)> {
    let said = match &workspace.record.identity {
        Some(identity) => Some(identity.clone()),
        None => identity::of_user()?,
    };
    let (name, mail) = said.as_deref().and_then(split_identity).unwrap_or(("stead", "stead@localhost"));
    Ok((name.to_owned(), mail.to_owned()))
}

/// Returns what of `after` needs `--allow-exec`, and refuses it when that was not said.
fn check_runs_code(store: &Store, before: Oid, after: Oid, said: &Said, dry: bool) -> Result<Vec<(Vec<u8>, String)>> {
    let found = runs_code::between(store.repository(), before, after)?;
    if found.is_empty() || said.allow_exec || dry {
        return Ok(found);
    }
    let list = list(found.iter().map(|(path, reason)| format!("{} ({reason})", shown(path))));
    Err(Failure::new(Kind::Refused, format!("some files would run code or lead outside: {list}"))
        .hint("look at them with `stead diff`, then allow them with `--allow-exec`")
        .into())
}

/// Returns the tree that the target has at least: of the base, or nothing.
fn base_tree(workspace: &Workspace, store: &Store) -> Result<Oid> {
    let base = workspace.base().filter(|base| store.repository().find_commit(*base).is_ok());
    trees::of_commit(store.repository(), base)
}

/// Returns the name of the workspace's branch when HEAD is on one.
fn head_branch(state: &State) -> Option<&str> {
    match &state.imported.refs.head {
        Head::Branch(name) => Some(name),
        _ => None,
    }
}

/// Returns the canonical path of a target; refused below the root.
fn outside_root(workspace: &Workspace, path: &Path) -> Result<PathBuf> {
    let canonical = path.canonicalize().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::new(Kind::NotFound, format!("there is no `{}`", path.display())).into()
        }
        _ => anyhow::Error::new(error).context(format!("cannot open `{}`", path.display())),
    })?;
    let root = workspace.at().root().path();
    let root = root.canonicalize().with_context(|| format!("cannot open `{}`", root.display()))?;
    if canonical.starts_with(&root) {
        return Err(Failure::new(Kind::Refused, format!("`{}` is inside of stead's own root", path.display()))
            .hint("to start from another workspace's work use `stead create --from PATH`")
            .into());
    }
    if canonical.to_str().is_none() {
        // It is put on record as text, by which a later command finds it again.
        return Err(Failure::new(
            Kind::Refused,
            format!("the path {} is not UTF-8", shown(path.as_os_str().as_encoded_bytes())),
        )
        .hint("rename it and name its new path, or another directory")
        .into());
    }
    Ok(canonical)
}

/// Returns the project that the workspace came from; a usage failure when that is no local one.
pub(crate) fn project_of(workspace: &Workspace) -> Result<PathBuf> {
    let source = match &workspace.record.source {
        Some(text) => Some(Source::of_record(text, workspace.at().root().path())?),
        None => None,
    };
    match source {
        Some(Source::Local(path)) => Ok(path),
        _ => Err(Failure::new(Kind::Usage, format!("workspace `{}` has no local project", workspace.name()))
            .hint("say where to, or bring it to origin with `--push`")
            .into()),
    }
}

fn delivery<'a>(workspace: &'a Workspace, target: &str, refname: Option<&str>) -> Option<&'a Delivery> {
    workspace.record.deliveries.iter().find(|one| one.target == target && one.refname.as_deref() == refname)
}

fn delivered_commit(workspace: &Workspace, target: &str, refname: Option<&str>) -> Option<Oid> {
    delivery(workspace, target, refname).and_then(|one| one.commit.parse().ok())
}

/// Returns the commits that stead has written to a ref of a target, or was cut off in writing to it, the last first.
fn own_commits(workspace: &Workspace, store: &Store, target: &str, refname: &str) -> Vec<Oid> {
    let delivered = delivered_commit(workspace, target, Some(refname));
    announced(store, target, refname).into_iter().chain(delivered).collect()
}

/// Keeps a commit that is about to be written to a ref of a target, which is at `there`, and puts on record that it is: whoever
/// comes after a cut knows the ref for stead's own.
fn announce(
    workspace: &mut LeasedWorkspace,
    store: &Store,
    target: &str,
    refname: &str,
    there: Option<Oid>,
    commit: Oid,
) -> Result<()> {
    // What was announced before a cut, and has arrived, is announced no longer after this.
    if let Some(arrived) = announced(store, target, refname)
        && there == Some(arrived)
        && arrived != commit
        && delivered_commit(workspace, target, Some(refname)) != there
    {
        remember(workspace, target, Some(refname), arrived)?;
    }
    store.set_ref(&format!("refs/kept/{commit}"), commit)?;
    store.set_ref(&announcement(target, refname), commit)
}

fn announced(store: &Store, target: &str, refname: &str) -> Option<Oid> {
    store.repository().refname_to_id(&announcement(target, refname)).ok()
}

fn announcement(target: &str, refname: &str) -> String {
    let name = Oid::hash_object(ObjectType::Blob, format!("{target}\0{refname}").as_bytes());
    format!("refs/sent/{}", name.expect("bytes have a hash"))
}

/// Remembers what was written where, and that the workspace was used.
fn remember(workspace: &mut LeasedWorkspace, target: &str, refname: Option<&str>, commit: Oid) -> Result<()> {
    let now = Timestamp::now();
    let record = workspace.record_mut();
    record.deliveries.retain(|one| !(one.target == target && one.refname.as_deref() == refname));
    record.deliveries.push(Delivery {
        target: target.to_owned(),
        refname: refname.map(str::to_owned),
        commit: commit.to_string(),
        at: now,
    });
    record.last_used = now;
    workspace.save()
}

/// Forgets what was applied to a target, which has been taken back.
fn forget(workspace: &mut LeasedWorkspace, target: &str) -> Result<()> {
    let record = workspace.record_mut();
    record.deliveries.retain(|one| one.target != target || one.refname.is_some());
    record.last_used = Timestamp::now();
    workspace.save()
}

/// Keeps both sides of moves in the workspace's own store, whichever store they were made in.
fn backup(moves: &Moves, scratch: &Store, store: &Store, message: &str) -> Result<Oid> {
    let kept = moves.keep(scratch, message)?;
    pack::write_missing(scratch.repository(), &[kept], store.path())?;
    store.repository().odb()?.refresh()?;
    store.set_ref(&format!("refs/backups/{}", moves.id), kept)?;
    Ok(kept)
}

/// A name for refs and files of one sync.
fn stamp() -> String {
    let now = Timestamp::now();
    format!("{}-{:06}", now.strftime("%Y%m%d-%H%M%S"), now.subsec_nanosecond() / 1000)
}
