//! Crashes and faults at every system call that changes something: nothing is lost, and nothing is said to be done that is
//! not.
//!
//! Each try starts from the same scene, runs one command under `strace`, which kills it or lets one call fail, and then
//! looks at everything: `doctor`, trees, stores, work, and whether the next commands go on. A few tries are made each time,
//! chosen by a seed; `STEAD_CRASH_SEED=N` repeats them. `STEAD_CRASH=all` makes all there are, `STEAD_CRASH=NAME` those of
//! one operation.

mod check;
mod operation;
mod scene;
mod strace;

use std::collections::BTreeMap;
use std::sync::Mutex;

use operation::{OPERATIONS, Operation};
use scene::Scene;
use strace::{Injection, Site};

/// Tries of one test when not all are made.
const SAMPLE: usize = 60;

/// One try.
struct Try {
    operation: &'static Operation,
    injection: Injection,
}

#[test]
fn a_kill_at_any_system_call_loses_nothing() {
    sweep(|site| site.kill().into_iter().collect());
}

#[test]
fn a_fault_at_any_system_call_is_told_and_loses_nothing() {
    sweep(Site::faults);
}

/// Makes the tries that `injections` has for each call of each operation, or a sample of them.
fn sweep(injections: impl Fn(&Site) -> Vec<Injection>) {
    strace::require();
    let chosen = std::env::var("STEAD_CRASH").unwrap_or_default();
    let scene = Scene::new();
    let mut all = BTreeMap::new();
    for operation in OPERATIONS.iter().filter(|operation| ["", "all", operation.name].contains(&chosen.as_str())) {
        let sites = scene.sites(operation);
        let tries: Vec<Injection> = sites.iter().flat_map(&injections).collect();
        assert!(tries.len() > 10, "{} tries for {}", tries.len(), operation.name);
        all.insert(operation.name, (operation, tries));
    }
    assert!(!all.is_empty(), "no operation `{chosen}`");
    let (tries, seed) = if chosen.is_empty() { sample(all) } else { (every(all), String::new()) };
    let count = tries.len();
    let left = Mutex::new(tries);
    let findings = Mutex::new(Findings::default());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (left, findings) = (&left, &findings);
            let mut own = None;
            scope.spawn(move || {
                strace::stay_on_one_processor(worker);
                loop {
                    let Some(attempt) = left.lock().expect("no worker panics").pop() else { return };
                    let scene = own.get_or_insert_with(Scene::new);
                    let found = scene.attempt(attempt.operation, &attempt.injection);
                    findings.lock().expect("no worker panics").note(&attempt, found);
                }
            });
        }
    });
    let findings = findings.into_inner().expect("no worker panics");
    println!("{count} tries{seed}\n{}", findings.figures());
    assert!(findings.wrong.is_empty(), "{} of {count}{seed}:\n{}", findings.wrong.len(), findings.wrong.join("\n\n"));
    assert!(
        findings.reached() * 10 > count * 8,
        "the calls come in another order than in the first run\n{}",
        findings.figures()
    );
}

fn every(all: BTreeMap<&str, (&'static Operation, Vec<Injection>)>) -> Vec<Try> {
    all.into_values()
        .flat_map(|(operation, tries)| tries.into_iter().map(move |injection| Try { operation, injection }))
        .collect()
}

/// Chooses some tries of each operation, and returns how they are chosen again.
fn sample(all: BTreeMap<&str, (&'static Operation, Vec<Injection>)>) -> (Vec<Try>, String) {
    let seed = std::env::var("STEAD_CRASH_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) ^ now());
    let mut random = crate::concurrency::Random::new(seed);
    let each = SAMPLE.div_ceil(all.len());
    let mut tries = Vec::new();
    for (operation, mut injections) in all.into_values() {
        for _ in 0..each.min(injections.len()) {
            let injection = injections.swap_remove(random.below(injections.len()));
            tries.push(Try { operation, injection });
        }
    }
    (tries, format!(" with STEAD_CRASH_SEED={seed}"))
}

fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    now.as_secs() << 20 | u64::from(now.subsec_micros())
}

#[derive(Default)]
struct Findings {
    /// Tries and those of them that came to their call, for each operation.
    counts: BTreeMap<&'static str, (usize, usize)>,
    wrong: Vec<String>,
}

impl Findings {
    fn note(&mut self, attempt: &Try, found: scene::Found) {
        let name = attempt.operation.name;
        let (tried, reached) = self.counts.entry(name).or_default();
        *tried += 1;
        *reached += usize::from(found.reached);
        if let Err(error) = found.outcome {
            self.wrong.push(format!("{name}, {}: {error:#}", attempt.injection));
        }
    }

    fn reached(&self) -> usize {
        self.counts.values().map(|(_, reached)| reached).sum()
    }

    fn figures(&self) -> String {
        let line =
            |(name, (tried, reached)): (&&str, &(usize, usize))| format!("  {name}: {reached} of {tried} reached\n");
        self.counts.iter().map(line).collect()
    }
}
