//! What a run may consume: memory, processors, processes, sizes of files, open files, and how much of the disk stays free.
//!
//! | limit | with a delegated cgroup (version 2) | else |
//! | --- | --- | --- |
//! | `memory` | all of the run, by the kernel | all of the run, looked at ten times a second |
//! | `cpus` | all of the run, by the kernel | cannot be had |
//! | `pids` (threads count) | all of the run, by the kernel | all of the run, looked at ten times a second |
//! | `file_size`, `open_files` | each process, by the kernel | each process, by the kernel |
//! | `disk_free` | looked at ten times a second | looked at ten times a second |
//!
//! In a container the engine keeps all but `disk_free`, as far as it says that it can. A run that is looked at and is over its
//! limit is ended; one whose limit is the kernel's gets an error or is killed by it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::units;
use crate::confine::cgroup;
use crate::confine::container::Engine;
use crate::confine::policy::Wall;
use crate::error::{Failure, Kind, Result};

/// The names of the limits, as records and the configuration have them.
const NAMES: [&str; 6] = ["memory", "cpus", "pids", "file_size", "open_files", "disk_free"];

/// A limit that ends a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Bound {
    Memory,
    Pids,
    FileSize,
    DiskFree,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::FileSize => "file-size",
            Self::DiskFree => "disk-free",
        })
    }
}

/// What a run may consume; bytes where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) memory: Option<u64>,
    /// Thousandths of a processor.
    pub(crate) cpus: Option<u64>,
    pub(crate) pids: Option<u64>,
    pub(crate) file_size: Option<u64>,
    pub(crate) open_files: Option<u64>,
    pub(crate) disk_free: Option<u64>,
    /// As they were given, in the order of their names.
    shown: Vec<(String, String)>,
}

impl Limits {
    /// Puts limits together; what stands further down wins, and `none` lifts one.
    pub(crate) fn of(layers: &[&BTreeMap<String, String>]) -> Result<Self> {
        let mut limits = Self::default();
        for name in NAMES {
            let Some(value) = layers.iter().rev().find_map(|layer| layer.get(name)) else { continue };
            if value == "none" {
                continue;
            }
            let bad = || {
                Failure::new(Kind::Usage, format!("`{value}` is no limit for `{}`", dashed(name)))
                    .hint("sizes are written as `512M` or `4G`, `cpus` as `2` or `1.5`, numbers as `512`")
            };
            let size = || units::size(value).ok().filter(|&size| size > 0).ok_or_else(bad);
            let count = || value.parse().ok().filter(|&count: &u64| count > 0).ok_or_else(bad);
            match name {
                "memory" => limits.memory = Some(size()?),
                "cpus" => limits.cpus = Some(thousandths(value).ok_or_else(bad)?),
                "pids" => limits.pids = Some(count()?),
                "file_size" => limits.file_size = Some(size()?),
                "open_files" => limits.open_files = Some(count()?),
                _ => limits.disk_free = Some(size()?),
            }
            limits.shown.push((dashed(name), value.clone()));
        }
        Ok(limits)
    }

    /// Fails for what cannot be enforced on this host, in a container by what its engine says.
    pub(crate) fn enforce(&self, wall: Wall, engine: Option<&Engine>) -> Result<()> {
        if let Some(engine) = engine.filter(|_| wall == Wall::Container) {
            let kept = engine.limits;
            let asked = [
                ("memory", self.memory.is_some(), kept.memory),
                ("cpus", self.cpus.is_some(), kept.cpus),
                ("pids", self.pids.is_some(), kept.pids),
            ];
            if let Some((name, ..)) = asked.into_iter().find(|(_, asked, kept)| *asked && !kept) {
                let program = engine.program.display();
                return Err(Failure::new(Kind::Unsupported, format!("`{program}` cannot limit the `{name}` of a container"))
                    .hint(format!(
                        "without root an engine takes delegated cgroups (version 2); `--limit {name}=none` runs without the \
                         limit"
                    ))
                    .into());
            }
        }
        if wall != Wall::Container && self.cpus.is_some() && self.cgroup().is_none() {
            return Err(Failure::new(Kind::Unsupported, "this host cannot limit the `cpus` of a run")
                .hint("it takes a delegated cgroup, see `stead doctor`; `--limit cpus=none` runs without the limit")
                .into());
        }
        Ok(())
    }

    /// Returns the cgroup in which one of the run can be made that has what these limits take; `None` when they take none.
    pub(crate) fn cgroup(&self) -> Option<std::path::PathBuf> {
        let needed: Vec<&str> = [("memory", self.memory), ("cpu", self.cpus), ("pids", self.pids)]
            .into_iter()
            .filter_map(|(controller, limit)| limit.map(|_| controller))
            .collect();
        if needed.is_empty() { None } else { cgroup::place(&needed) }
    }

    /// Returns what a cgroup is told: files and values.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let mut settings = Vec::new();
        if let Some(memory) = self.memory {
            settings.push(("memory.max".into(), memory.to_string()));
            // Else what does not fit in memory only makes the host slow.
            settings.push(("memory.swap.max".into(), "0".into()));
        }
        if let Some(cpus) = self.cpus {
            settings.push(("cpu.max".into(), format!("{} 100000", cpus * 100)));
        }
        if let Some(pids) = self.pids {
            settings.push(("pids.max".into(), pids.to_string()));
        }
        settings
    }

    /// Returns each limit as it was given, with its name.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.shown.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// Returns a limit as it was given.
    pub(crate) fn text(&self, bound: Bound) -> &str {
        let name = bound.to_string();
        self.shown.iter().find(|(shown, _)| *shown == name).map_or("", |(_, value)| value)
    }
}

/// Reads `NAME=VALUE,…` as `--limit` takes it, several times.
pub(crate) fn parse(texts: &[String]) -> Result<BTreeMap<String, String>> {
    let mut limits = BTreeMap::new();
    for part in texts.iter().flat_map(|text| text.split(',')) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = name.trim().replace('-', "_");
        if !NAMES.contains(&name.as_str()) {
            let names: Vec<String> = NAMES.iter().map(|name| format!("`{}`", dashed(name))).collect();
            return Err(Failure::new(Kind::Usage, format!("there is no limit `{}`", dashed(&name)))
                .hint(format!("there are {}", names.join(", ")))
                .into());
        }
        limits.insert(name, value.trim().to_owned());
    }
    // What is wrong with a value is said now.
    Limits::of(&[&limits])?;
    Ok(limits)
}

fn dashed(name: &str) -> String {
    name.replace('_', "-")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 10 and a million")]
fn thousandths(text: &str) -> Option<u64> {
    let number: f64 = text.parse().ok()?;
    (0.01..=1000.0).contains(&number).then_some((number * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<BTreeMap<String, String>> {
        parse(&[text.to_owned()])
    }

    #[test]
    fn limits_are_read_as_they_are_typed() {
        let limits = parsed("memory=4G,cpus=1.5,pids=512,file-size=1G,open_files=64,disk-free=512M").unwrap();
        let limits = Limits::of(&[&limits]).unwrap();
        assert_eq!((limits.memory, limits.cpus, limits.pids), (Some(4 << 30), Some(1500), Some(512)));
        assert_eq!((limits.file_size, limits.open_files, limits.disk_free), (Some(1 << 30), Some(64), Some(512 << 20)));
        assert_eq!(limits.settings()[2], ("cpu.max".into(), "150000 100000".into()));
        for wrong in
            ["memory", "memory=0", "memory=much", "pids=-1", "pids=1.5", "cpus=0", "cpus=nan", "colour=red", ""]
        {
            assert_eq!(Kind::of(&parsed(wrong).unwrap_err()), Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn the_flag_wins_over_the_record_and_the_record_over_the_configuration() {
        let (config, record) = (parsed("memory=4G,pids=9,cpus=2").unwrap(), parsed("memory=2G,pids=8").unwrap());
        let asked = parsed("memory=1G,cpus=none").unwrap();
        let limits = Limits::of(&[&config, &record, &asked]).unwrap();
        assert_eq!(limits.shown(), ["memory=1G", "pids=8"]);
    }
}
