//! What must hold for every input, however strange: the properties that the tests try with made-up cases, and the targets of
//! `fuzz/` with whatever the fuzzer finds. Not part of the program.
//!
//! A property is a function that panics where it does not hold. Tests make their cases from a fixed seed, so that a failure
//! comes again; `PROPTEST_RNG_SEED` chooses another.

pub(crate) mod inputs;
#[cfg(test)]
mod made;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod tests;

#[cfg(test)]
use made::cases;

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
        "rules" => inputs::rules(bytes),
        _ => panic!("no target `{target}`"),
    }
}
