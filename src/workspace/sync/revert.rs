//! Taking an apply back from the project or folder that it went to.
//!
//! A path that still has what was applied gets what was there before; one on which somebody has gone on is merged with it.
//! Where that is not clean nothing is written. The taking back is an apply like any other: journaled, with both sides kept.
//!
//! In the store, `refs/applies/ID` is an apply, or the undo of one, that came to its end: a commit that keeps both sides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::pending::{self, Apply};
use crate::error::{Failure, Kind, Result};
use crate::git::Oid;
use crate::git::change::{self, Change};
use crate::git::repository::{Access, Store};
use crate::git::sync::found::{Found, NEW, NEW_EXECUTABLE, look};
use crate::git::sync::moving::{self, Move, Moves};
use crate::git::sync::trees::{self, Entry, LINK};
use crate::git::sync::{Conflict, conflict};
use crate::store::beneath::Dir;
use crate::workspace::{LeasedWorkspace, Workspace};

/// An apply that came to its end, or the undo of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) id: String,
    pub(crate) target: String,
    pub(crate) at: jiff::Timestamp,
    /// The apply that it has taken back.
    pub(crate) undoes: Option<String>,
    /// Both sides of what it wrote.
    pub(super) moves: Oid,
}

impl Applied {
    /// Counts the paths that it wrote.
    pub(crate) fn paths(&self, store: &Store) -> Result<usize> {
        Ok(Moves::load(store, self.moves, &self.id)?.moves.len())
    }
}

/// What taking an apply back would do.
pub(crate) struct RevertPlan {
    store: Store,
    pub(crate) applied: Applied,
    pub(crate) changes: Vec<Change>,
    moves: Vec<Move>,
    /// What the target holds of the work afterwards.
    previous: Option<String>,
}

/// The message of the commit that keeps the sides of an apply, or of the undo of one.
pub(super) fn message(target: &str, undoes: Option<&str>) -> String {
    match undoes {
        Some(id) => format!("undo of {id} in {target}"),
        None => format!("apply to {target}"),
    }
}

/// Returns the applies of a workspace and their undos, oldest first.
pub(crate) fn applies(store: &Store) -> Result<Vec<Applied>> {
    let mut found = Vec::new();
    for reference in store.repository().references_glob("refs/applies/*")?.flatten() {
        let (Ok(name), Ok(commit)) = (reference.name(), reference.peel_to_commit()) else { continue };
        let Ok(message) = commit.message() else { continue };
        let message = message.strip_suffix('\n').unwrap_or(message);
        let (target, undoes) = match message.strip_prefix("apply to ") {
            Some(target) => (target, None),
            None => match message.strip_prefix("undo of ").and_then(|rest| rest.split_once(" in ")) {
                Some((id, target)) => (target, Some(id.to_owned())),
                None => continue,
            },
        };
        found.push(Applied {
            id: name.trim_start_matches("refs/applies/").to_owned(),
            target: target.to_owned(),
            at: jiff::Timestamp::from_second(commit.time().seconds())?,
            undoes,
            moves: commit.id(),
        });
    }
    found.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(found)
}

/// Plans to take back the last apply to `target` that is not undone yet, or the one with this id.
pub(crate) fn plan(workspace: &Workspace, target: &Path, id: Option<&str>) -> Result<RevertPlan> {
    let target = super::outside_root(workspace, target)?;
    let shown = target.display().to_string();
    let store = workspace.store(Access::Read)?;
    let mut open = applies(&store)?;
    open.retain(|one| one.target == shown);
    let undone: BTreeSet<String> = open.iter().filter_map(|one| one.undoes.clone()).collect();
    open.retain(|one| one.undoes.is_none() && !undone.contains(&one.id));
    let wanted = open.iter().rposition(|one| id.is_none_or(|id| one.id == id));
    let applied = open.remove(wanted.ok_or_else(|| nothing(workspace, &shown))?);
    let reference = |one: &Applied| store.repository().refname_to_id(&format!("refs/applied/{}", one.id)).ok();
    let previous = open.last().and_then(reference).map(|commit| commit.to_string());
    let old = Moves::load(&store, applied.moves, &applied.id)?;
    let dir = Dir::open(&target)?;
    let (moves, trees) = back(&store, &dir, &old)?
        .map_err(|conflicts| conflict(&format!("cannot take back what was applied to `{shown}`"), &conflicts))?;
    let changes = change::between_trees(&store, Some(trees.0), Some(trees.1))?;
    Ok(RevertPlan { store, applied, changes, moves, previous })
}

/// Returns the moves that take `old` back, and the trees of its paths before and after that.
#[expect(clippy::type_complexity, reason = "taken apart at once")]
fn back(store: &Store, dir: &Dir, old: &Moves) -> Result<Result<(Vec<Move>, (Oid, Oid)), Vec<Conflict>>> {
    let repository = store.repository();
    let empty = trees::of_commit(repository, None)?;
    let mut now = BTreeMap::new();
    let mut conflicts = Vec::new();
    for one in &old.moves {
        let found = look(store, dir, &one.path)?;
        match &found {
            Found::Other(reason) => conflicts.push(Conflict::new(&one.path, reason.clone())),
            Found::Directory if one.after != Found::Nothing => {
                conflicts.push(Conflict::new(&one.path, "is a directory now"));
            }
            _ => {}
        }
        now.insert(one.path.clone(), found);
    }
    if !conflicts.is_empty() {
        return Ok(Err(conflicts));
    }
    store.flush()?;
    let tree = |side: &dyn Fn(&Move) -> Option<Entry>| {
        let entries = old.moves.iter().filter_map(|one| Some((one.path.clone(), Some(side(one)?))));
        trees::edited(repository, empty, &entries.collect())
    };
    let ours = tree(&|one| moving::entry(&now[&one.path]))?;
    let (ancestor, theirs) = (tree(&|one| moving::entry(&one.after))?, tree(&|one| moving::entry(&one.before))?);
    let merged = match trees::merged(repository, ancestor, ours, theirs)? {
        Ok(merged) => merged,
        Err(conflicts) => return Ok(Err(conflicts)),
    };
    let known: BTreeMap<&[u8], &Move> = old.moves.iter().map(|one| (one.path.as_slice(), one)).collect();
    let mut moves = Vec::new();
    for difference in trees::differences(repository, ours, merged)? {
        let path = difference.path;
        let before = now.remove(&path).unwrap_or(Found::Nothing);
        let after = match difference.after {
            None => Found::Nothing,
            Some(entry) if entry.mode == LINK => Found::Link { id: entry.id },
            Some(entry) => file(entry, &before, known.get(path.as_slice()).map(|one| &one.before)),
        };
        moves.push(Move { made: moving::missing(dir, &path)?, path, before, after });
    }
    Ok(Ok((moves, (ours, merged))))
}

/// A file with the permission bits that it had before the apply, or has now.
fn file(entry: Entry, now: &Found, old: Option<&Found>) -> Found {
    let executable = entry.mode == 0o100_755;
    let bits = [old, Some(now)].into_iter().flatten().find_map(|found| match found {
        Found::File { mode, .. } => Some(*mode),
        _ => None,
    });
    let mode = match (bits, executable) {
        (Some(mode), true) => mode | ((mode & 0o444) >> 2),
        (Some(mode), false) => mode & !0o111,
        (None, true) => NEW_EXECUTABLE,
        (None, false) => NEW,
    };
    Found::File { id: entry.id, mode }
}

impl RevertPlan {
    /// Takes it back and returns the id under which that is kept.
    pub(crate) fn apply(self, workspace: &mut LeasedWorkspace) -> Result<String> {
        let store = workspace.store(Access::Write)?;
        let moves = Moves { id: super::stamp(), moves: self.moves };
        let message = message(&self.applied.target, Some(&self.applied.id));
        let kept = super::backup(&moves, &self.store, &store, &message)?;
        let apply = Apply {
            id: moves.id.clone(),
            target: self.applied.target.clone(),
            moves: kept.to_string(),
            applied: self.previous,
            decided: false,
        };
        let dir = Dir::open(Path::new(&self.applied.target))?;
        pending::make(workspace, &store, &dir, &moves, apply)?;
        Ok(moves.id)
    }
}

fn nothing(workspace: &Workspace, target: &str) -> anyhow::Error {
    let name = workspace.name();
    Failure::new(
        Kind::NotFound,
        format!("nothing of workspace `{name}` that was applied to `{target}` can be taken back"),
    )
    .hint(format!("`stead sync {name} --to PATH --apply` is what can be undone"))
    .into()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make and break files by hand")]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;
    use crate::git::ObjectType;
    use crate::store::lease::Wait;
    use crate::workspace::tests::{place, plain};

    /// Applies `{path: (before, after)}` to a folder that has the former.
    fn applied(files: &[(&str, Option<&str>, Option<&str>)]) -> (tempfile::TempDir, LeasedWorkspace, PathBuf) {
        let (place, at) = place();
        let mut leased = plain(&at, "x").lease("sync", Wait::No).unwrap();
        let target = place.path().canonicalize().unwrap().join("target");
        std::fs::create_dir(&target).unwrap();
        let store = Store::create(&leased.state().join("store.git"), None).unwrap();
        let found = |text: Option<&str>, mode| match text {
            Some(text) => Found::File { id: store.write(ObjectType::Blob, text.into()).unwrap(), mode },
            None => Found::Nothing,
        };
        let moves = files.iter().map(|(path, before, after)| {
            if let Some(before) = before {
                std::fs::write(target.join(path), before).unwrap();
                std::fs::set_permissions(target.join(path), PermissionsExt::from_mode(0o640)).unwrap();
            }
            let after = found(*after, if before.is_some() { 0o640 } else { NEW });
            Move { path: path.as_bytes().to_vec(), before: found(*before, 0o640), after, made: 0 }
        });
        let moves = Moves { id: super::super::stamp(), moves: moves.collect() };
        let message = message(&target.display().to_string(), None);
        let kept = super::super::backup(&moves, &store, &store, &message).unwrap();
        let apply = Apply {
            id: moves.id.clone(),
            target: target.display().to_string(),
            moves: kept.to_string(),
            applied: Some(kept.to_string()),
            decided: false,
        };
        pending::make(&mut leased, &store, &Dir::open(&target).unwrap(), &moves, apply).unwrap();
        (place, leased, target)
    }

    fn read(target: &Path, path: &str) -> Option<String> {
        std::fs::read_to_string(target.join(path)).ok()
    }

    #[test]
    fn what_was_applied_is_taken_back_and_the_taking_back_is_an_apply_of_its_own() {
        let (_place, mut leased, target) =
            applied(&[("gone", Some("1\n"), None), ("kept", Some("1\n"), Some("2\n")), ("new", None, Some("2\n"))]);
        assert_eq!((read(&target, "gone"), read(&target, "kept")), (None, Some("2\n".into())));
        assert_eq!(leased.record.deliveries.len(), 1);
        let plan = plan(&leased, &target, None).unwrap();
        assert_eq!(plan.changes.len(), 3);
        plan.apply(&mut leased).unwrap();
        assert_eq!((read(&target, "gone"), read(&target, "kept")), (Some("1\n".into()), Some("1\n".into())));
        assert_eq!(read(&target, "new"), None);
        let mode = std::fs::metadata(target.join("gone")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert!(leased.record.deliveries.is_empty());
        assert_eq!(std::fs::read_dir(&target).unwrap().count(), 2);
        let applies = applies(&leased.store(Access::Read).unwrap()).unwrap();
        assert_eq!(applies.iter().map(|one| one.undoes.is_some()).collect::<Vec<_>>(), [false, true]);
        let error = super::plan(&leased, &target, None).err().unwrap();
        assert_eq!(Kind::of(&error), Kind::NotFound, "{error:#}");
    }

    #[test]
    fn what_somebody_went_on_with_is_merged_or_refused() {
        let (before, after) = (Some("1\n2\n3\n4\n5\n"), Some("one\n2\n3\n4\n5\n"));
        let (_place, mut leased, target) = applied(&[("a", before, after), ("b", Some("1\n"), Some("2\n"))]);
        std::fs::write(target.join("a"), "one\n2\n3\n4\nfive\n").unwrap();
        std::fs::write(target.join("b"), "3\n").unwrap();
        let error = plan(&leased, &target, None).err().unwrap();
        assert_eq!(Kind::of(&error), Kind::Conflict);
        assert!(error.to_string().contains("`b` (changed on both sides)"), "{error}");
        assert_eq!(read(&target, "a").unwrap(), "one\n2\n3\n4\nfive\n");
        std::fs::write(target.join("b"), "2\n").unwrap();
        plan(&leased, &target, None).unwrap().apply(&mut leased).unwrap();
        assert_eq!(read(&target, "a").unwrap(), "1\n2\n3\n4\nfive\n");
        assert_eq!(read(&target, "b").unwrap(), "1\n");
    }
}
