//! Runs: one execution of a command in a workspace, from its specification to its record.

pub(crate) mod agent;
mod behind;
pub(crate) mod container;
pub(crate) mod enter;
pub(crate) mod environment;
pub(crate) mod limits;
pub(crate) mod live;
pub(crate) mod login;
pub(crate) mod lost;
pub(crate) mod policy;
pub(crate) mod record;
pub(crate) mod redact;
pub(crate) mod secret;
pub(crate) mod share;
mod spec;
mod stream;
pub(crate) mod supervise;
pub(crate) mod supervisor;
pub(crate) mod toolchain;
pub(crate) mod warm;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Kind, Result};
pub(crate) use crate::run::redact::Hidden;
pub(crate) use crate::run::spec::{Around, Ask, RunSpec, Terminals, isolation, look_for_tools, net};

/// The id of a run: `YYYYMMDD-HHMMSS-xxxx` (UTC, the fraction of the second in 1/65536); sorts by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct RunId(String);

impl RunId {
    /// Returns an id for a run that starts at `now`.
    pub(crate) fn new(now: Timestamp) -> Self {
        // The fraction of the second, so that ids sort by time; one workspace has one run at a time.
        let fraction = u64::from(now.subsec_nanosecond().unsigned_abs()) * (1 << 16) / 1_000_000_000;
        Self(format!("{}-{fraction:04x}", now.strftime("%Y%m%d-%H%M%S")))
    }

    /// Reads an id, as it stands in `runs/` and as a user types it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let shape = |(index, byte): (usize, u8)| match index {
            8 | 15 => byte == b'-',
            16.. => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            _ => byte.is_ascii_digit(),
        };
        if text.len() == 20 && text.bytes().enumerate().all(shape) {
            return Ok(Self(text.into()));
        }
        Err(Failure::new(Kind::Usage, format!("`{text}` is not the id of a run"))
            .hint("an id looks like `20260131-154500-0f3a`; `stead log NAME` lists them")
            .into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the refs of the run's two snapshots in the store.
    pub(crate) fn refs(&self) -> (String, String) {
        (format!("refs/runs/{self}/before"), format!("refs/runs/{self}/after"))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns what the system says of an error, without its number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string().to_lowercase();
    match text.find(" (os error") {
        Some(end) => text[..end].into(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back() {
        let now: Timestamp = "2026-01-31T15:45:00Z".parse().unwrap();
        let id = RunId::new(now);
        assert!(id.as_str().starts_with("20260131-154500-"));
        assert_eq!(RunId::parse(id.as_str()).unwrap(), id);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "20260131-154500",
            "20260131-154500-0f3",
            "20260131-154500-0F3A",
            "2026013x-154500-0f3a",
            "../../../../etc/pass",
        ] {
            assert_eq!(Kind::of(&RunId::parse(text).unwrap_err()), Kind::Usage, "{text}");
        }
    }
}
