//! Runs: one execution of a command in a workspace, from its specification to its record.

pub(crate) mod agent;
pub(crate) mod environment;
pub(crate) mod policy;
pub(crate) mod record;
pub(crate) mod supervise;

use std::fmt;

use crate::error::Result;

/// The id of a run: `YYYYMMDD-HHMMSS-xxxx` (UTC, four random hex digits); sorts by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunId(String);

impl RunId {
    pub(crate) fn new() -> Self {
        todo!("run")
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let _ = text;
        todo!("run")
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that a run is, decided before it starts: a pure function of arguments, configuration and record.
#[derive(Clone, Debug)]
pub(crate) struct RunSpec {
    pub(crate) id: RunId,
}
