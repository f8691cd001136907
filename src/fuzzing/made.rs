//! How the tests make their cases.

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// Cases of each property.
pub(crate) const CASES: u32 = 10_000;

const SEED: u64 = 20_261_121;

/// Returns the configuration for `proptest!`.
pub(crate) fn config() -> Config {
    let mut config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(SEED);
    }
    config
}

/// Returns `count` cases at once, for a property that is cheaper to look at for many.
pub(crate) fn cases<S: Strategy>(count: usize, strategy: &S) -> Vec<S::Value> {
    let mut runner = TestRunner::new(config());
    let case = |_| strategy.new_tree(&mut runner).expect("a case").current();
    (0..count).map(case).collect()
}
