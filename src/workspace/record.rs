//! The record of a workspace (`workspace.toml`): only what git cannot know. Unknown fields survive a rewrite; a newer
//! schema may be read, not written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Kind, Result};
use crate::store::fs::{self, Durability};
use crate::store::root;

/// The record's file in the state of a workspace.
pub(crate) const FILE: &str = "workspace.toml";

/// A copy in the store, as of the creation, for when the record is lost.
pub(crate) const COPY: &str = "record.toml";

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
    #[serde(flatten, with = "brought")]
    pub(crate) brought: Vec<PathBuf>,
    /// What `create --import` brought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) imports: Vec<Import>,
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

/// The paths that were brought in: text under the field's own name, and what is not UTF-8 in base64 under one that an older
/// stead passes on.
mod brought {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::path::PathBuf;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Brought {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        brought: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        brought_base64: Vec<String>,
    }

    #[expect(clippy::ptr_arg, reason = "serde hands over the field")]
    pub(super) fn serialize<S: Serializer>(paths: &Vec<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = paths.iter().filter(|path| path.to_str().is_none()).map(|path| path.as_os_str().as_bytes());
        Brought {
            brought: paths.iter().filter_map(|path| path.to_str()).map(str::to_owned).collect(),
            brought_base64: bytes.map(|bytes| STANDARD.encode(bytes)).collect(),
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
        let Brought { brought, brought_base64 } = Brought::deserialize(deserializer)?;
        let mut paths: Vec<PathBuf> = brought.into_iter().map(PathBuf::from).collect();
        for text in brought_base64 {
            let bytes = STANDARD.decode(&text).map_err(serde::de::Error::custom)?;
            paths.push(OsString::from_vec(bytes).into());
        }
        Ok(paths)
    }
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

/// From where one thing was copied at creation. Paths that are not text are not remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Import {
    /// On the host, absolute.
    pub(crate) from: String,
    /// Below the tree.
    pub(crate) to: String,
}

impl Record {
    /// Reads a record; `None` when there is none, `damaged` when it is not one. A newer schema may be read.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let Some(text) = root::read_small(path)? else { return Ok(None) };
        match toml::from_str(&text) {
            Ok(record) => Ok(Some(record)),
            Err(error) => Err(root::damaged(path, &reason(&text, &error))),
        }
    }

    /// Writes a record atomically and durably; refused for a newer schema.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        self.write_as(path, Durability::Synced)
    }

    /// Writes a record atomically; refused for a newer schema.
    pub(crate) fn write_as(&self, path: &Path, durability: Durability) -> Result<()> {
        self.check_writable()?;
        let text = toml::to_string(self).with_context(|| format!("cannot write `{}`", path.display()))?;
        fs::write_atomic(path, text.as_bytes(), durability)
    }

    /// Refuses a record of a newer schema.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.schema <= SCHEMA {
            return Ok(());
        }
        let message = format!(
            "workspace `{}` was written by a newer stead (schema {}, this one knows {SCHEMA})",
            self.name, self.schema
        );
        Err(Failure::new(Kind::Refused, message).hint("use the newer stead to change it").into())
    }
}

/// Returns why a text is not a record, naming a newer schema rather than what it has changed.
fn reason(text: &str, error: &toml::de::Error) -> String {
    let schema = toml::from_str::<toml::Table>(text).ok().and_then(|table| table.get("schema")?.as_integer());
    match schema {
        Some(schema) if schema > i64::from(SCHEMA) => {
            format!("it has schema {schema}, and this stead knows schemas up to {SCHEMA}")
        }
        _ => error.message().lines().collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make and break files by hand")]
pub(crate) mod tests {
    use super::*;

    /// Returns a plain record.
    pub(crate) fn record(name: &str) -> Record {
        toml::from_str(&format!(
            "schema = 1\nname = \"{name}\"\nuser = \"local\"\nstate = \"ready\"\n\
             created = \"2026-01-21T14:02:00Z\"\nlast_used = \"2026-01-21T14:02:00Z\"\n"
        ))
        .unwrap()
    }

    #[test]
    fn a_record_survives_being_written_and_read_with_what_this_version_does_not_know() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("workspace.toml");
        let text = "schema = 1\nname = \"x\"\nuser = \"local\"\nstate = \"ready\"\n\
                    created = \"2026-11-21T14:02:00Z\"\nlast_used = \"2026-11-21T14:02:00Z\"\n\
                    mood = \"fine\"\n[env]\nA = \"1\"\n[future]\nkey = [1, 2]\n\
                    [[deliveries]]\ntarget = \"/p\"\ncommit = \"c\"\nat = \"2026-11-21T14:02:00Z\"\n";
        std::fs::write(&path, text).unwrap();
        let mut record = Record::read(&path).unwrap().unwrap();
        record.pinned = true;
        record.base = Some("b".into());
        record.write(&path).unwrap();
        let again = Record::read(&path).unwrap().unwrap();
        assert_eq!(again, record);
        assert_eq!(again.unknown["mood"].as_str(), Some("fine"));
        assert_eq!(again.unknown["future"]["key"].as_array().unwrap().len(), 2);
        assert_eq!(again.deliveries.len(), 1);
        assert_eq!(again.env["A"], "1");
    }

    #[test]
    fn paths_of_any_bytes_survive_and_an_older_program_keeps_them() {
        use std::os::unix::ffi::OsStrExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("workspace.toml");
        let odd = PathBuf::from(std::ffi::OsStr::from_bytes(b"odd \xff name"));
        let mut written = record("x");
        written.brought = vec!["a/b".into(), odd];
        written.write(&path).unwrap();
        assert_eq!(Record::read(&path).unwrap().unwrap(), written);
        let table: toml::Table = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(table["brought"].as_array().unwrap()[..], ["a/b".into()]);
        assert_eq!(table["brought_base64"].as_array().unwrap()[..], ["b2RkIP8gbmFtZQ==".into()]);
        std::fs::write(&path, toml::to_string(&record("x")).unwrap() + "brought = [\"old\"]\n").unwrap();
        assert_eq!(Record::read(&path).unwrap().unwrap().brought, [PathBuf::from("old")]);
    }

    #[test]
    fn a_newer_schema_is_read_but_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("workspace.toml");
        let mut newer = record("x");
        newer.schema = 2;
        std::fs::write(&path, toml::to_string(&newer).unwrap()).unwrap();
        let read = Record::read(&path).unwrap().unwrap();
        assert_eq!(Kind::of(&read.write(&path).unwrap_err()), Kind::Refused);
        std::fs::write(&path, "schema = 2\nname = 7").unwrap();
        let error = Record::read(&path).unwrap_err();
        assert!(error.to_string().ends_with("it has schema 2, and this stead knows schemas up to 1"), "{error}");
    }

    #[test]
    fn what_is_not_a_record_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("workspace.toml");
        assert_eq!(Record::read(&path).unwrap(), None);
        for text in [&b""[..], b"\0\0\0", b"schema = 1", b"\xff"] {
            std::fs::write(&path, text).unwrap();
            let error = Record::read(&path).unwrap_err();
            assert_eq!(Kind::of(&error), Kind::Damaged);
            assert_eq!(Failure::of(&error).unwrap().hint.as_deref(), Some("run `stead doctor --repair`"));
        }
    }
}
