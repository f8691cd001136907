//! What must hold for every input, however strange: the properties that the tests try with made-up cases, and the targets of
//! `fuzz/` with whatever the fuzzer finds. Not part of the program.
//!
//! A property is a function that panics where it does not hold. Tests make their cases from a fixed seed, so that a failure
//! comes again; `PROPTEST_RNG_SEED` chooses another.

pub(crate) mod disk;
pub(crate) mod inputs;
#[cfg(test)]
mod made;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod untrusted;

#[cfg(test)]
use made::cases;

#[cfg(fuzzing)]
use crate::git::import::properties;

/// Returns a directory that only this process uses.
#[cfg(fuzzing)]
fn place(target: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("stead-fuzz-{target}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    dir
}

/// Tries the property named `target` with the bytes; what must be text is passed by when it is none.
#[cfg(fuzzing)]
pub fn check(target: &str, bytes: &[u8]) {
    let text = |property: fn(&str)| std::str::from_utf8(bytes).map(property).unwrap_or_default();
    match target {
        "name" => text(inputs::name),
        "source" => text(inputs::source),
        "quoting" => inputs::quoting(bytes),
        "unit" => text(inputs::unit),
        "record" => text(inputs::record),
        "meta" => inputs::meta(bytes),
        "index" => inputs::index(bytes),
        "split" => {
            inputs::split_index(bytes);
        }
        "rules" => inputs::rules(bytes),
        "run" => text(|text| {
            inputs::run(text);
        }),
        "config" => text(inputs::config),
        "seen" => {
            inputs::seen(bytes);
        }
        "pair" => text(inputs::pair),
        "porcelain" => text(inputs::porcelain),
        "redaction" => {
            let parts: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
            inputs::redaction(parts[0], &parts[1..]);
        }
        "beneath" => disk::beneath(&place(target), bytes),
        "refs" => {
            let third = bytes.len() / 3;
            disk::refs(&place(target), &bytes[..third], &bytes[third..2 * third], &bytes[2 * third..]);
        }
        "pack" => properties::pack(&place(target), bytes),
        "loose" => properties::loose(&place(target), bytes),
        "delta" => {
            let (base, delta) = bytes.split_at(bytes.len() / 2);
            properties::delta(base, delta);
        }
        _ => panic!("no target `{target}`"),
    }
}
