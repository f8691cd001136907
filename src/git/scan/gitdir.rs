//! What of git directories is recorded: the small files that say where the agent is, of submodules as well, and `.git` files.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::fs::FileType;

use super::{Job, Node, Scan, Top, TopKind};
use crate::git::agentdir;
use crate::git::meta::{GitFile, MAX_GIT_FILE};
use crate::store::walk::{self, Content, Queue};

/// What of the agent's `.git` is small and says where it is; the rest is objects and caches.
const GITDIR: [&[u8]; 16] = [
    b"AUTO_MERGE",
    b"HEAD",
    b"SQUASH_MSG",
    b"config",
    b"config.worktree",
    b"hooks",
    b"index",
    b"info",
    b"logs",
    b"packed-refs",
    b"rebase-apply",
    b"rebase-merge",
    b"refs",
    b"sequencer",
    b"shallow",
    b"worktrees",
];

/// Where the git directories of submodules are in one.
const MODULES: &[u8] = b"modules";

/// So many names of git directories are looked at in a capture; objects are not among them.
pub(super) const MAX_GITDIR_NAMES: usize = 20_000;

/// What a directory of a git directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A git directory itself.
    Top,
    /// `modules`, or a directory in it that only leads to git directories: names of submodules may hold slashes.
    Modules,
    /// One that is recorded with all that is in it; people choose permission bits in hooks and info.
    Whole { has_modes: bool },
}

impl Part {
    /// Returns what the directory `name` is, which holds `names`; `None` for what is no git directory any more and has objects.
    pub(super) fn of(parent: &Node, name: &[u8], directory: &OwnedFd, names: &[Vec<u8>]) -> Option<Self> {
        let has = |name: &[u8]| names.binary_search_by(|other| other.as_slice().cmp(name)).is_ok();
        match parent.part {
            Self::Whole { .. } => Some(parent.part),
            Self::Top if name == MODULES => Some(Self::Modules),
            Self::Top => Some(Self::Whole { has_modes: matches!(name, b"hooks" | b"info") }),
            Self::Modules if agentdir::is_git_dir(has) => {
                let head = walk::attributes(directory, b"HEAD").ok().flatten()?;
                matches!(head.kind, FileType::RegularFile | FileType::Symlink).then_some(Self::Top)
            }
            Self::Modules => Some(Self::Modules),
        }
    }
}

/// Returns whether a snapshot records what is at `name` in the agent's `.git`.
pub(in crate::git) fn records_of_git(name: &[u8]) -> bool {
    GITDIR.binary_search(&name).is_ok()
        || name.ends_with(b"_HEAD")
        || [&b"MERGE_"[..], b"BISECT_", b"sharedindex."].iter().any(|start| name.starts_with(start))
}

impl Scan<'_> {
    /// Walks a nested repository as a snapshot of its own.
    pub(super) fn nest(&self, directory: OwnedFd, path: Vec<u8>, depth: usize, queue: &Queue<Job>) {
        if let Ok(gitdir) = walk::open_in(&directory, b".git") {
            let top = Top { kind: TopKind::GitDir, path: path.clone() };
            queue.push(Job::Top { top, directory: gitdir, base: None, depth: depth + 1 });
        } else if let Ok(Content::Whole(content, attributes)) = walk::read(&directory, b".git", MAX_GIT_FILE) {
            let file = GitFile { mode: attributes.mode, content };
            self.note(|meta| meta.git_files.push((path.clone(), file)));
        }
        queue.push(Job::Top { top: Top { kind: TopKind::Files, path }, directory, base: None, depth });
    }

    /// Returns whether so many names more may be looked at, in the directory at `path`.
    pub(super) fn has_room_for(&self, path: &[u8], names: &[Vec<u8>]) -> bool {
        let is_modules = |pair: &[&[u8]]| matches!(pair, [b".git", b"modules"]);
        let components: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let counter = if components.windows(2).any(is_modules) { &self.module_names } else { &self.gitdir_names };
        counter.fetch_add(names.len(), Ordering::Relaxed) + names.len() <= MAX_GITDIR_NAMES
    }
}

impl Node {
    /// Returns whether what is at `name` in this directory of a git directory belongs into a snapshot.
    pub(super) fn records_in_git(&self, name: &[u8]) -> bool {
        match self.part {
            Part::Top => name == MODULES || records_of_git(name),
            Part::Modules => true,
            // git puts samples there that do nothing.
            Part::Whole { has_modes } => !(has_modes && self.name == b"hooks" && name.ends_with(b".sample")),
        }
    }

    /// Returns whether there can only be a directory at `name`: in a git directory, on the way to those of submodules.
    pub(super) fn leads_on(&self, name: &[u8]) -> bool {
        self.top.top.kind == TopKind::GitDir
            && (self.part == Part::Modules || self.part == Part::Top && name == MODULES)
    }

    /// Returns whether the mode of a file in a git directory is anybody's choice: git itself makes all of its files alike.
    pub(super) fn has_a_mode(&self, name: &[u8]) -> bool {
        match self.part {
            Part::Top => matches!(name, b"config" | b"config.worktree"),
            Part::Modules => false,
            Part::Whole { has_modes } => has_modes,
        }
    }
}
