//! The record of a workspace (`workspace.toml`): only what git cannot know. Unknown fields survive a rewrite; a newer
//! schema may be read, not written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The schema that this version writes.
pub(crate) const SCHEMA: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Creating,
    Ready,
    Error,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) schema: u32,
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) state: State,
    pub(crate) created: Timestamp,
    pub(crate) last_used: Timestamp,
    /// Seconds after the last use at which it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<u64>,
    #[serde(default)]
    pub(crate) pinned: bool,
    #[serde(default)]
    pub(crate) ephemeral: bool,
    /// Credentials stripped; `None` for an empty workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) depth: Option<u32>,
    /// The branch that was checked out at creation, `stead/NAME` for instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) branch: Option<String>,
    /// The branch of the source that the work is measured against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) upstream: Option<String>,
    /// The commit that the work is measured against, in hex; `None` for an empty workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<String>,
    /// The first snapshot's commit, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_snapshot: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pool: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ports: Vec<u16>,
    /// `Name <mail>` of author and committer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) layout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) isolation: Option<String>,
    /// Paths that stead brought in (import, context, `.worktreeinclude`, `--with-changes`): always captured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) brought: Vec<PathBuf>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) limits: BTreeMap<String, String>,
    /// What was last written where, one for each target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) deliveries: Vec<Delivery>,
    #[serde(flatten)]
    pub(crate) unknown: toml::Table,
}

/// What `sync` last wrote to one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// A path or URL, credentials stripped.
    pub(crate) target: String,
    /// The ref that was written; `None` for `--apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refname: Option<String>,
    /// The commit written (branch, push) or the snapshot applied.
    pub(crate) commit: String,
    pub(crate) at: Timestamp,
}

impl Record {
    /// Reads a record; `damaged` when it is not one, or of another name.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let _ = path;
        todo!("store")
    }

    /// Writes a record atomically and durably; refused for a newer schema.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let _ = path;
        todo!("store")
    }
}
