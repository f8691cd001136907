//! The words by which programs know why a workspace goes or stays; they stay the same between versions.

use serde::Serialize;

/// Why a workspace, or an entry of the trash, goes or stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    Expired,
    Ephemeral,
    Idle,
    NoSpace,
    HalfMade,
    Purged,
    NotDue,
    Pinned,
    InUse,
    Unsaved,
    Unfinished,
    Damaged,
    Failed,
}

/// Every code as JSON has it, and what it says.
pub(crate) const CODES: [(&str, &str); 13] = [
    ("expired", "Goes: it was not used for its ttl or --max-age, or was in the trash for long enough."),
    ("ephemeral", "Goes: it is ephemeral and idle."),
    ("idle", "Goes: it is idle, and --all takes those of any age."),
    ("no_space", "Goes: space is short (--max-size), and it is the one unused for the longest time."),
    ("half_made", "Goes: half of it is left of a creation, a removal or a restore that was cut off."),
    ("purged", "Goes: --purge empties the trash."),
    ("not_due", "Stays: it was used lately."),
    ("pinned", "Stays: it is pinned."),
    ("in_use", "Stays: another process works in it."),
    ("unsaved", "Stays: it holds work that is nowhere else; each kind is listed."),
    ("unfinished", "Stays: a command was cut off in it, and that cannot be finished."),
    ("damaged", "Stays: its record cannot be read; stead doctor --repair makes it anew."),
    ("failed", "Stays: it could not be looked at."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_for_programs_never_change() {
        use Code::*;
        let codes = [
            Expired, Ephemeral, Idle, NoSpace, HalfMade, Purged, NotDue, Pinned, InUse, Unsaved, Unfinished, Damaged,
            Failed,
        ];
        let words: Vec<String> = codes.iter().map(|code| serde_json::to_string(code).unwrap()).collect();
        let told: Vec<String> = CODES.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        assert_eq!(words, told);
    }
}
