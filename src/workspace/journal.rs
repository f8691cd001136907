//! The journal: what a command of several steps has begun in a workspace, so that the next one can end it.
//!
//! ```text
//! state/USER/NAME/journal.toml   there for as long as something is under way
//! ```
//!
//! It is on disk before the first step and goes after the last, each time with its directory synced. An operation changes
//! nothing outside of the state before [`LeasedWorkspace::begin`] has returned, and calls [`Journal::end`] only when all that it
//! wrote is on disk. Whoever takes the lease of a workspace finishes first what is written here ([`finish`]), for a dry run
//! too: what is shown then is what will be.
//!
//! What a kind of operation needs to be finished, and whether it goes on or is taken back, is the business of the module that
//! owns it. It needs no more than its own data, the store and the tree, may be cut off and begun again at any point, and
//! never touches what somebody else has changed since.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Kind, Result};
use crate::store::fs::{self, Durability};
use crate::store::root;
use crate::workspace::sync::pending;
use crate::workspace::{LeasedWorkspace, undo};

/// The journal's file in the state of a workspace.
pub(crate) const FILE: &str = "journal.toml";
/// The schema that this version writes. A new kind of operation needs no new one: what is not known is refused.
const SCHEMA: u32 = 1;

/// What is under way, with all that is needed to finish it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Operation {
    /// Work is coming into the tree.
    Sync(pending::Tree),
    /// Work is going to a project or a folder.
    Apply(pending::Apply),
    /// Brings the workspace to where it was before a run.
    Undo(undo::Order),
    /// Makes the file `made` in the state.
    #[cfg(test)]
    Test { made: PathBuf },
}

impl Operation {
    /// Returns what `status` calls a workspace in which it was cut off.
    fn state(&self) -> &'static str {
        match self {
            Self::Sync(_) | Self::Apply(_) => "unfinished sync",
            Self::Undo(_) => "unfinished undo",
            #[cfg(test)]
            Self::Test { .. } => "unfinished test",
        }
    }

    /// Goes on with it or takes it back, and returns what was done as the end of a sentence: "the undo of run 7 is done".
    fn finish(&self, workspace: &mut LeasedWorkspace, journal: &mut Journal) -> Result<String> {
        match self {
            Self::Sync(sync) => sync.finish(workspace, journal),
            Self::Apply(apply) => apply.finish(workspace),
            Self::Undo(order) => undo::finish(order, workspace),
            #[cfg(test)]
            Self::Test { made } => {
                fs::write_atomic(&workspace.state().join(made), b"made", Durability::Synced)?;
                Ok("the test is done".to_owned())
            }
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    schema: u32,
    begun: Timestamp,
    operation: Operation,
}

/// An operation that is on record; dropped without [`Journal::end`] it stays so, and the next command finishes it.
#[must_use = "an operation that is done must end its journal"]
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
}

impl LeasedWorkspace {
    /// Puts on record, durably, what is about to be done.
    pub(crate) fn begin(&self, operation: Operation) -> Result<Journal> {
        let path = self.state().join(FILE);
        anyhow::ensure!(path.symlink_metadata().is_err(), "another operation is under way: `{}`", path.display());
        let journal = Journal { path };
        journal.write(&Entry { schema: SCHEMA, begun: Timestamp::now(), operation })?;
        Ok(journal)
    }
}

impl Journal {
    /// Puts on record, durably, that the operation has come to another point.
    pub(crate) fn change(&mut self, operation: Operation) -> Result<()> {
        self.write(&Entry { schema: SCHEMA, begun: Timestamp::now(), operation })
    }

    /// Says that all is done, or taken back, and on disk.
    pub(crate) fn end(self) -> Result<()> {
        let gone = rustix::fs::unlink(&self.path);
        gone.with_context(|| format!("cannot remove `{}`", self.path.display()))?;
        fs::sync_dir(self.path.parent().expect("a journal is in a state"))
    }

    fn write(&self, entry: &Entry) -> Result<()> {
        let text = toml::to_string(entry).with_context(|| format!("cannot write `{}`", self.path.display()))?;
        // Nobody could read it back.
        anyhow::ensure!(
            text.len() as u64 <= root::SMALL,
            "too much is to be done at once: {} bytes of names",
            text.len()
        );
        fs::write_atomic(&self.path, text.as_bytes(), Durability::Synced)
    }
}

/// Finishes what was cut off in a workspace, if anything was, and returns a sentence that says so.
///
/// What this version does not know is refused, and nothing else is done in the workspace then.
pub(crate) fn finish(workspace: &mut LeasedWorkspace) -> Result<Option<String>> {
    let path = workspace.state().join(FILE);
    let Some(entry) = read(&path)? else { return Ok(None) };
    let name = workspace.name().clone();
    let mut journal = Journal { path };
    workspace.open_up();
    let finished = entry.operation.finish(workspace, &mut journal);
    let done = finished.with_context(|| format!("cannot finish what was cut off in workspace `{name}`"))?;
    journal.end()?;
    Ok(Some(format!("A command was cut off in workspace `{name}`: {done}.")))
}

/// Returns what `status` calls a workspace with this state in which something was cut off, or is under way; `None` when
/// nothing is. Writes nothing.
pub(crate) fn unfinished(state: &Path) -> Option<&'static str> {
    match read(&state.join(FILE)) {
        Ok(None) => None,
        Ok(Some(entry)) => Some(entry.operation.state()),
        Err(_) => Some("unfinished"),
    }
}

/// The same, with the reason when the journal is damaged, or a newer stead's.
pub(crate) fn look(state: &Path) -> Result<Option<&'static str>> {
    Ok(read(&state.join(FILE))?.map(|entry| entry.operation.state()))
}

/// Puts a journal that cannot be read aside, and what a sync may have had under way with it, so that the workspace can be
/// used again. The caller holds the lease.
pub(crate) fn set_aside(state: &Path) -> Result<()> {
    let id = fs::unique_id();
    for name in [pending::GIT, FILE] {
        let path = state.join(name);
        if path.symlink_metadata().is_ok() {
            fs::publish(&path, &state.join(format!("{name}.damaged-{id}")), Durability::Synced)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Entry>> {
    let Some(text) = root::read_small(path)? else { return Ok(None) };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| root::damaged(path, error.message()))?;
    match table.get("schema").and_then(toml::Value::as_integer) {
        Some(schema) if schema > i64::from(SCHEMA) => {
            return Err(newer(path, &format!("schema {schema}, this one knows {SCHEMA}")));
        }
        _ => {}
    }
    match toml::from_str(&text) {
        Ok(entry) => Ok(Some(entry)),
        Err(error) if error.message().starts_with("unknown variant") => Err(newer(path, "an operation of its own")),
        Err(error) => Err(root::damaged(path, error.message())),
    }
}

fn newer(path: &Path, what: &str) -> anyhow::Error {
    Failure::new(Kind::Refused, format!("`{}` was written by a newer stead ({what})", path.display()))
        .hint("run any command on the workspace with the newer stead, which finishes what was cut off")
        .into()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make and break files by hand")]
mod tests {
    use super::*;
    use crate::store::lease::Wait;
    use crate::workspace::Workspace;
    use crate::workspace::tests::{place, plain};

    fn test() -> Operation {
        Operation::Test { made: "made".into() }
    }

    #[test]
    fn what_was_cut_off_is_finished_by_whoever_takes_the_lease_next() {
        let (_dir, at) = place();
        let workspace = plain(&at, "x");
        let leased = workspace.clone().lease("sync", Wait::No).unwrap();
        let journal = leased.begin(test()).unwrap();
        assert_eq!(unfinished(&workspace.state()), Some("unfinished test"));
        assert!(leased.begin(test()).is_err(), "one at a time");
        // As a kill would.
        drop((journal, leased));
        assert!(!workspace.state().join("made").exists());
        let leased = workspace.clone().lease("status", Wait::No).unwrap();
        assert_eq!(leased.finished(), Some("A command was cut off in workspace `x`: the test is done."));
        assert_eq!(std::fs::read(workspace.state().join("made")).unwrap(), b"made");
        assert_eq!(unfinished(&workspace.state()), None);
        drop(leased);
        assert_eq!(workspace.lease("status", Wait::No).unwrap().finished(), None);
    }

    #[test]
    fn what_ended_leaves_nothing() {
        let (_dir, at) = place();
        let leased = plain(&at, "x").lease("sync", Wait::No).unwrap();
        leased.begin(test()).unwrap().end().unwrap();
        assert_eq!(unfinished(&leased.state()), None);
        let workspace = Workspace::clone(&leased);
        drop(leased);
        assert_eq!(workspace.lease("sync", Wait::No).unwrap().finished(), None);
    }

    #[test]
    fn what_cannot_be_finished_stays_on_record_and_nothing_else_is_done() {
        let (_dir, at) = place();
        let workspace = plain(&at, "x");
        let leased = workspace.clone().lease("sync", Wait::No).unwrap();
        drop((leased.begin(Operation::Test { made: "none/made".into() }).unwrap(), leased));
        let error = workspace.clone().lease("exec", Wait::No).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot finish what was cut off in workspace `x`: "), "{error:#}");
        std::fs::create_dir(workspace.state().join("none")).unwrap();
        assert!(workspace.lease("exec", Wait::No).unwrap().finished().is_some());
    }

    #[test]
    fn a_journal_of_a_newer_stead_is_refused_with_a_sentence_and_a_damaged_one_is_named() {
        let (_dir, at) = place();
        let workspace = plain(&at, "x");
        let begun = "begun = \"2026-01-21T14:02:00Z\"\n";
        for (text, kind, words) in [
            (format!("schema = 2\n{begun}what = 7\n"), Kind::Refused, "was written by a newer stead (schema 2, this"),
            (format!("schema = 1\n{begun}[operation]\nkind = \"dance\"\n"), Kind::Refused, "by a newer stead"),
            ("schema = ".to_owned(), Kind::Damaged, "is damaged"),
            (format!("schema = 1\n{begun}"), Kind::Damaged, "is damaged"),
        ] {
            std::fs::write(workspace.state().join(FILE), &text).unwrap();
            let error = workspace.clone().lease("exec", Wait::No).unwrap_err();
            assert_eq!(Kind::of(&error), kind, "{text}: {error:#}");
            assert!(error.to_string().contains(words), "{error:#}");
            assert_eq!(unfinished(&workspace.state()), Some("unfinished"));
            assert_eq!(std::fs::read_to_string(workspace.state().join(FILE)).unwrap(), text);
        }
    }
}
