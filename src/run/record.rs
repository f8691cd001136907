//! The record of a run: `runs/RUN/{run.toml,out,err,changes.json}`, all 0600.
//!
//! `run.toml` is written before anything starts, without an end; the end is added when nothing of the run is alive. So a
//! record without an end under a free lease is a run whose stead was killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use crate::confine::container::Named as Container;
use crate::error::{Failure, Kind, Result};
use crate::run::RunId;
use crate::run::limits::Bound;
use crate::store::fs::{Durability, write_atomic};

pub(super) const SCHEMA: u32 = 1;

/// The name of the record in the directory of a run.
pub(crate) const FILE: &str = "run.toml";

/// The complete request of a run and, once it is over, its end. Holds no values of variables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    pub(crate) schema: u32,
    pub(crate) id: RunId,
    pub(crate) started: Timestamp,
    /// The preset's name; `None` for a plain command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    /// Program and arguments; the prompt itself is never among them.
    pub(crate) command: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) context: Vec<String>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<f64>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idle_timeout: Option<f64>,
    /// How the policy was enforced.
    pub(crate) wall: String,
    /// The limits, `NAME=VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) limits: Vec<String>,
    /// The cgroup that was made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<PathBuf>,
    /// The container that was made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<Container>,
    /// Whether the command had the terminal itself, so that no output was recorded.
    #[serde(default)]
    pub(crate) terminal: bool,
    /// Names of the variables that the command got.
    #[serde(default)]
    pub(crate) environment: Vec<String>,
    /// The run that was taken back, if this is an undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undoes: Option<RunId>,
    /// The id of the snapshot before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<End>,
    #[serde(flatten)]
    pub(crate) unknown: BTreeMap<String, toml::Value>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The command ended with a code.
    Exited,
    /// A signal ended the command.
    Signaled,
    /// The deadline passed.
    TimedOut,
    /// Nothing was printed for too long.
    Idle,
    /// A limit was reached.
    Limit,
    /// The command could not be started.
    NotStarted,
    /// stead itself was killed; found later.
    Lost,
}

impl Outcome {
    /// Returns the word that stands for it in records and answers.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Signaled => "signaled",
            Self::TimedOut => "timed-out",
            Self::Idle => "idle",
            Self::Limit => "limit",
            Self::NotStarted => "not-started",
            Self::Lost => "lost",
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) at: Timestamp,
    pub(crate) outcome: Outcome,
    /// The exit code that stead answered.
    pub(crate) code: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signal: Option<i32>,
    /// Seconds of wall-clock time.
    pub(crate) duration: f64,
    /// Seconds of processor time in user mode.
    pub(crate) cpu_user: f64,
    /// Seconds of processor time in the kernel.
    pub(crate) cpu_system: f64,
    /// Bytes; of all of the run where its memory is limited, else of the largest process.
    pub(crate) peak_memory: u64,
    /// Bytes by which the file system of the tree had less room at the end than at the start, whoever took them.
    #[serde(default)]
    pub(crate) disk_delta: i64,
    /// The limit that was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<Bound>,
    /// The id of the snapshot after; `None` when it could not be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
    /// How many changes there are between the snapshots.
    #[serde(default)]
    pub(crate) changes: u64,
    /// Commits that the run made.
    #[serde(default)]
    pub(crate) commits: u64,
    /// How much went that is no change: refs, stash entries, nested repositories, ignored files.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(crate) gone: u64,
    /// Linked worktrees that the run made where nothing is recorded.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(crate) linked_worktrees: u64,
}

impl End {
    /// Returns the end of something of which nothing was measured and nothing is known to have changed.
    pub(crate) fn unmeasured(at: Timestamp, outcome: Outcome, code: u8) -> Self {
        Self {
            at,
            outcome,
            code,
            signal: None,
            duration: 0.0,
            cpu_user: 0.0,
            cpu_system: 0.0,
            peak_memory: 0,
            disk_delta: 0,
            limit: None,
            after: None,
            changes: 0,
            commits: 0,
            gone: 0,
            linked_worktrees: 0,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl RunRecord {
    pub(crate) fn new(id: RunId, started: Timestamp, command: Vec<String>) -> Self {
        Self {
            schema: SCHEMA,
            id,
            started,
            agent: None,
            command,
            prompt: None,
            context: Vec::new(),
            timeout: None,
            idle_timeout: None,
            wall: "none".into(),
            limits: Vec::new(),
            cgroup: None,
            container: None,
            terminal: false,
            environment: Vec::new(),
            undoes: None,
            before: None,
            end: None,
            unknown: BTreeMap::new(),
        }
    }

    /// Reads the record in `directory` (`runs/RUN`).
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        toml::from_str(&text).map_err(|error| {
            Failure::new(Kind::Damaged, format!("`{}` is not the record of a run: {}", path.display(), error.message()))
                .into()
        })
    }

    /// Returns the text of the record's file.
    pub(crate) fn text(&self) -> String {
        toml::to_string(self).expect("every field is a value of TOML")
    }

    /// Writes the record into `directory`.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let text = self.text();
        write_atomic(&directory.join(FILE), text.as_bytes(), Durability::Lazy)
    }
}

/// Returns the ids in `runs`, oldest first; none when the directory is missing.
pub(crate) fn ids(runs: &Path) -> Result<Vec<RunId>> {
    let entries = match std::fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", runs.display())),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read `{}`", runs.display()))?;
        ids.extend(entry.file_name().to_str().and_then(|name| RunId::parse(name).ok()));
    }
    ids.sort();
    Ok(ids)
}

/// Returns the records in `runs` that can be read, oldest first.
pub(crate) fn all(runs: &Path) -> Result<Vec<RunRecord>> {
    Ok(ids(runs)?.iter().filter_map(|id| RunRecord::read(&directory(runs, id)).ok()).collect())
}

/// Returns the directory of a run.
pub(crate) fn directory(runs: &Path, id: &RunId) -> PathBuf {
    runs.join(id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_with_fields_of_a_later_version() {
        let mut record =
            RunRecord::new(RunId::parse("20260131-154500-0f3a").unwrap(), Timestamp::UNIX_EPOCH, vec!["make".into()]);
        record.timeout = Some(1.5);
        record.end = Some(End {
            at: Timestamp::UNIX_EPOCH,
            outcome: Outcome::TimedOut,
            code: 124,
            signal: Some(15),
            duration: 1.5,
            cpu_user: 0.25,
            cpu_system: 0.0,
            peak_memory: 1 << 20,
            disk_delta: -7,
            limit: Some(Bound::Memory),
            after: None,
            changes: 3,
            commits: 0,
            gone: 0,
            linked_worktrees: 0,
        });
        let mut text = toml::to_string(&record).unwrap();
        assert_eq!(toml::from_str::<RunRecord>(&text).unwrap(), record);
        text.insert_str(0, "later = 7\n");
        let read: RunRecord = toml::from_str(&text).unwrap();
        assert!(toml::to_string(&read).unwrap().contains("later = 7"));
    }
}
