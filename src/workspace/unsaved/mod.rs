//! What would be lost with a workspace: work that is neither delivered nor as it was at creation.
//!
//! In doubt work counts as unsaved, and the reason says why. Nothing is written: it is asked of snapshots and objects in
//! memory, so that it can be asked on a full disk and for a dry run.

mod brought;
mod commits;
mod files;
mod outside;
mod repositories;

use std::fmt;

use serde::Serialize;

use crate::config::Config;
use crate::error::Result;
use crate::git::import;
use crate::git::repository::{Access, Store};
use crate::git::snapshot::Snapshot;
use crate::store::beneath::Dir;
use crate::workspace::ignored::{self, Ignored};
use crate::workspace::{Workspace, staged};

pub(crate) use commits::dropped;
pub(crate) use outside::outside;
pub(crate) use repositories::of_ignored;

/// The kind of a reason; stable, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// Tracked files that differ from the head.
    Uncommitted,
    /// Files that the head does not have.
    Untracked,
    /// Commits or annotated tags that no ref outside reaches.
    Commits,
    Stash,
    /// A merge, rebase or the like is under way.
    Operation,
    /// Nested repositories that are not as they were, or hold what they were not cloned with.
    Nested,
    NewlyIgnored,
    TooLarge,
    Special,
    Unreadable,
    /// Linked worktrees outside of the tree or in an ignored directory, of whose files nothing is known here.
    LinkedWorktree,
    /// Tips of the agent's `.git` that could not be read whole.
    ImportFailed,
}

/// One reason why a workspace holds unsaved work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsaved {
    pub(crate) code: Code,
    pub(crate) count: usize,
    /// Raw bytes, for the reasons that are about files.
    pub(crate) paths: Vec<Vec<u8>>,
    /// What else is to be said: the operation, the error.
    pub(crate) detail: Option<String>,
}

impl Unsaved {
    fn paths(code: Code, paths: Vec<Vec<u8>>) -> Option<Self> {
        (!paths.is_empty()).then_some(Self { code, count: paths.len(), paths, detail: None })
    }

    fn counted(code: Code, count: usize, detail: Option<String>) -> Option<Self> {
        (count > 0).then_some(Self { code, count, paths: Vec::new(), detail })
    }

    fn with(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

impl fmt::Display for Unsaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, many) = match self.code {
            Code::Uncommitted => ("uncommitted change", "uncommitted changes"),
            Code::Untracked => ("untracked file", "untracked files"),
            Code::Commits => ("undelivered commit", "undelivered commits"),
            Code::Stash => ("stash entry", "stash entries"),
            Code::Operation => ("operation under way", "operations under way"),
            Code::Nested => ("nested repository", "nested repositories"),
            Code::NewlyIgnored => ("newly ignored entry", "newly ignored entries"),
            Code::TooLarge => ("file too large to look at", "files too large to look at"),
            Code::Special => ("special file", "special files"),
            Code::Unreadable => ("unreadable entry", "unreadable entries"),
            // The detail says where.
            Code::LinkedWorktree if self.detail.is_some() => ("linked worktree", "linked worktrees"),
            Code::LinkedWorktree => ("linked worktree elsewhere", "linked worktrees elsewhere"),
            Code::ImportFailed => ("unreadable ref or commit", "unreadable refs or commits"),
        };
        write!(f, "{} {}", self.count, if self.count == 1 { one } else { many })?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

/// What goes with a workspace.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// Work that would be lost.
    pub(crate) unsaved: Vec<Unsaved>,
    /// What git ignores.
    pub(crate) ignored: Ignored,
}

/// When what git ignores is walked through, which takes longer than all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    Always,
    /// For who keeps a workspace for any one reason.
    UnlessUnsaved,
}

/// Looks at a workspace and returns what would go with it; what cannot be looked at is unsaved too.
pub(crate) fn look(workspace: &Workspace, config: &Config, walk: Walk) -> Looked {
    let found = (|| {
        let store = workspace.store(Access::Read)?;
        let snapshot = workspace.look(&store, config, 2)?;
        let mut unsaved = unsaved(workspace, &store, &snapshot)?;
        if walk == Walk::UnlessUnsaved && !unsaved.is_empty() {
            return Ok(Looked { unsaved, ignored: Ignored::default() });
        }
        let ignored = ignored::measure(&workspace.tree(), snapshot.ignored);
        unsaved.extend(of_ignored(workspace, &ignored.gits));
        Ok::<_, anyhow::Error>(Looked { unsaved, ignored })
    })();
    found.unwrap_or_else(|error| Looked {
        unsaved: Unsaved::counted(Code::Unreadable, 1, Some(format!("{error:#}"))).into_iter().collect(),
        ignored: Ignored::default(),
    })
}

/// Returns what would be lost with a workspace whose tree is as in `snapshot`.
pub(crate) fn unsaved(workspace: &Workspace, store: &Store, snapshot: &Snapshot) -> Result<Vec<Unsaved>> {
    let tree = Dir::open(&workspace.tree())?;
    let imported = import::import(store, &tree)?;
    let outside = outside(workspace)?;
    let created = workspace.created(store)?;
    let mut reasons = Vec::new();
    // What came along uncommitted may be the last copy by now, though nobody has touched it.
    if !workspace.record.brought.is_empty() || created.as_ref().is_none_or(|created| created.files != snapshot.files) {
        reasons.extend(files::of_files(
            workspace,
            store,
            (snapshot, created.as_ref().map(|created| created.files)),
            &imported,
            &outside,
        )?);
    }
    reasons.extend(commits::of_commits(workspace, store, &imported, &outside)?);
    let there = [imported.refs.head_commit(), Some(snapshot.files)];
    reasons.extend(match staged::only(workspace, store, &tree, there, &outside) {
        Ok(staged) => Unsaved::paths(Code::Uncommitted, staged).map(|staged| staged.with("staged only")),
        Err(reason) => Unsaved::paths(Code::Unreadable, vec![b".git/index".to_vec()])
            .map(|index| index.with(format!("what it stages is not known: {reason}"))),
    });
    reasons.extend(of_meta(snapshot, created.as_ref()));
    reasons.extend(repositories::of_modules(workspace, store, &tree, snapshot, created.as_ref()));
    reasons.extend(repositories::of_worktrees(workspace, &tree, snapshot));
    Ok(reasons)
}

/// Returns what git cannot hold and was not so at creation.
fn of_meta(snapshot: &Snapshot, created: Option<&Snapshot>) -> Vec<Unsaved> {
    let meta = &snapshot.meta;
    let first = created.map(|created| &created.meta);
    let nested = meta.nested.iter().filter(|nested| first.is_none_or(|first| !first.nested.contains(nested)));
    let ignored =
        meta.newly_ignored.iter().filter(|path| first.is_none_or(|first| !first.newly_ignored.contains(path)));
    [
        Unsaved::paths(Code::Nested, nested.map(|(path, _)| path.clone()).collect()),
        Unsaved::paths(Code::NewlyIgnored, ignored.cloned().collect()),
        Unsaved::paths(Code::TooLarge, meta.too_large.iter().map(|(path, _)| path.clone()).collect()),
        Unsaved::paths(Code::Special, meta.special.iter().map(|(path, _)| path.clone()).collect()),
        Unsaved::paths(Code::Unreadable, meta.unreadable.iter().map(|(path, _)| path.clone()).collect()),
    ]
    .into_iter()
    .flatten()
    .collect()
}
