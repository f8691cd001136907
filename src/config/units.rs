//! Durations (`30s 5m 24h 7d`, fractions allowed) and sizes (`512M 4G`), as typed on the command line and in files.

use std::time::Duration;

use crate::error::Result;

/// Reads a duration: a number, fractions allowed, and one of `s m h d w`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let _ = text;
    todo!("front")
}

/// Reads a size in bytes: a number, fractions allowed, and one of `K M G T` (powers of 1024), `B` optional behind it.
pub(crate) fn size(text: &str) -> Result<u64> {
    let _ = text;
    todo!("front")
}
