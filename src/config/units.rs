//! Durations (`30s 5m 24h 7d`, fractions allowed) and sizes (`512M 4G`), as typed on the command line and in files.

use std::time::Duration;

use crate::error::{Failure, Kind, Result};

/// Reads a duration: a number, fractions allowed, and one of `s m h d w`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let fail = || {
        Failure::new(Kind::Usage, format!("`{text}` is not a duration")).hint("write it as `30s`, `5m`, `24h` or `7d`")
    };
    let (number, unit) = split(text);
    let seconds = match unit {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        "w" => 604_800.0,
        _ => return Err(fail().into()),
    };
    let number: f64 = decimal(number).ok_or_else(fail)?;
    // Ten thousand years: what is added to a time must stay a time.
    Duration::try_from_secs_f64(number * seconds)
        .ok()
        .filter(|duration| duration.as_secs() < 315_569_520_000)
        .ok_or_else(|| fail().into())
}

/// Reads a size in bytes: a number, fractions allowed, and one of `K M G T` (powers of 1024), `B` optional behind it.
pub(crate) fn size(text: &str) -> Result<u64> {
    let fail =
        || Failure::new(Kind::Usage, format!("`{text}` is not a size")).hint("write it as `512M`, `4G` or `100000`");
    let (number, unit) = split(text);
    let unit = unit.to_ascii_uppercase();
    let unit = unit.strip_suffix("IB").filter(|rest| !rest.is_empty()).or(unit.strip_suffix('B')).unwrap_or(&unit);
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(fail().into()),
    };
    let factor = 1u64 << shift;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(|| fail().into());
    }
    #[expect(clippy::cast_precision_loss, reason = "a power of two up to 2^40 is exact")]
    let bytes = decimal(number).ok_or_else(fail)? * factor as f64;
    if bytes >= 9e18 {
        return Err(fail().into());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above; a part of a byte goes")]
    Ok(bytes as u64)
}

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len()))
}

/// Reads digits with at most one point; no sign, exponent or name, which `f64` would take.
fn decimal(text: &str) -> Option<f64> {
    text.bytes().any(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, seconds) in [
            ("30", 30.0),
            ("30s", 30.0),
            ("1.5m", 90.0),
            ("24h", 86400.0),
            ("7d", 604_800.0),
            (".5w", 302_400.0),
            ("0", 0.0),
        ] {
            assert_eq!(duration(text).expect(text), Duration::from_secs_f64(seconds), "{text}");
        }
        for text in
            ["", "s", ".", "1.2.3", "-1s", "+1", "1e3", "inf", "nan", "1 h", "5min", "١s", "99999999999999999999d"]
        {
            assert_eq!(Kind::of(&duration(text).expect_err(text)), Kind::Usage, "{text}");
        }
    }

    #[test]
    fn sizes_are_a_number_and_a_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("100", 100),
            ("1K", 1024),
            ("1.5k", 1536),
            ("512M", 512 << 20),
            ("4GB", 4 << 30),
            ("2TiB", 2 << 40),
            ("10B", 10),
        ] {
            assert_eq!(size(text).expect(text), bytes, "{text}");
        }
        for text in ["", "B", "iB", "-1", "4X", "4 G", "1e9", "99999999999999999999", "99999999T", "1iB"] {
            assert_eq!(Kind::of(&size(text).expect_err(text)), Kind::Usage, "{text}");
        }
    }
}
