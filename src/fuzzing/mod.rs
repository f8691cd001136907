//! What must hold for every input, however strange: the properties that the tests try with made-up cases, and the targets of
//! `fuzz/` with whatever the fuzzer finds. Not part of the program.
//!
//! A property is a function that panics where it does not hold. Tests make their cases from a fixed seed, so that a failure
//! comes again; `PROPTEST_RNG_SEED` chooses another.

#[cfg(test)]
mod made;
#[cfg(test)]
mod rules;

#[cfg(test)]
use made::cases;
