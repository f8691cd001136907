//! Crashes and faults at every system call that changes something: nothing is lost, and nothing is said to be done that is
//! not.
//!
//! Each try starts from the same scene, runs one command under `strace`, which kills it or lets one call fail, and then
//! looks at everything: `doctor`, trees, stores, work, and whether the next commands go on. A few tries are made each time,
//! chosen by a seed; `STEAD_CRASH_SEED=N` repeats them. `STEAD_CRASH=all` makes all there are, `STEAD_CRASH=NAME` those of
//! one operation, `STEAD_CRASH_PART=I/N` every N-th of either, from the I-th on.

mod check;
mod descriptors;
mod operation;
mod scene;
pub(crate) mod strace;
mod supervisor;

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

#[test]
fn a_kill_between_two_renames_leaves_a_workspace_whole_or_absent() {
    focused(&["create", "rm", "restore"], |site| site.kill().filter(|_| site.call.starts_with("rename")));
}

#[test]
fn what_is_published_and_cannot_be_synced_is_taken_back() {
    focused(&["create"], |site| {
        let of_listing = site.call == "fsync" && site.line.contains("/root/state/local>");
        site.faults().into_iter().find(|_| of_listing)
    });
}

#[test]
fn a_kill_at_the_end_of_a_sync_does_not_take_it_back() {
    focused(&["sync"], |site| {
        site.kill().filter(|_| site.line.contains("journal.toml") || site.line.contains("/.git/"))
    });
}

#[test]
fn what_cannot_be_read_of_a_source_is_told() {
    focused(&["create"], |site| {
        let (opened, found) = site.line.rsplit_once(" = ")?;
        let of_source = opened.contains("[PLACE]/projects/api/.git/") && found.contains("[PLACE]");
        let matters = opened.contains("O_DIRECTORY") || opened.contains("/refs/heads/main");
        site.faults().into_iter().find(|fault| of_source && matters && fault.expression.contains("EIO"))
    });
}

#[test]
fn a_head_that_cannot_be_read_is_not_taken_for_none() {
    focused(&["sync-from", "sync-apply"], |site| {
        let (opened, found) = site.line.rsplit_once(" = ")?;
        let of_head = ["/.git/HEAD\"", "/.git/refs/heads/main\""].iter().any(|file| opened.contains(file));
        let of_project = opened.contains("[PLACE]/projects/api/") && found.contains("[PLACE]");
        site.faults().into_iter().find(|fault| of_head && of_project && fault.expression.contains("EMFILE"))
    });
}

#[test]
fn a_record_is_synced_before_it_gets_its_name_and_the_name_after_that() {
    strace::require();
    let scene = Scene::new();
    for name in ["create", "rm", "restore"] {
        let lines: Vec<String> = scene.sites(operation(name)).into_iter().map(|site| site.line).collect();
        let mut records = 0;
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("rename")) {
            let is_record = line.contains("/workspace.toml\")") || line.contains("/why.toml\")");
            if !is_record {
                continue;
            }
            records += 1;
            let temporary = line.split('"').nth(1).expect("a path");
            let synced = format!("<{temporary}>");
            let before = |line: &String| line.starts_with("fsync") && line.contains(&synced);
            assert!(lines[..at].iter().any(before), "{name}: {line}");
        }
        assert!(records > 0, "{name} writes no record by a rename: {lines:#?}");
        let listing = |line: &String| line.starts_with("fsync") && line.contains("/root/state/local>");
        assert!(lines.iter().any(listing), "{name} does not sync the listing: {lines:#?}");
    }
}

fn operation(name: &str) -> &'static Operation {
    OPERATIONS.iter().find(|operation| operation.name == name).expect("an operation")
}

/// Makes all tries at some calls of some operations.
fn focused(names: &[&str], choose: impl Fn(&Site) -> Option<Injection>) {
    strace::require();
    let scene = Scene::new();
    for operation in names.iter().map(|name| operation(name)) {
        let tries: Vec<Injection> = scene.sites(operation).iter().filter_map(&choose).collect();
        assert!(!tries.is_empty(), "{} makes no such call", operation.name);
        for injection in tries {
            if let Err(error) = scene.attempt_on_one_processor(operation, &injection).outcome {
                panic!("{}, {injection}: {error:#}", operation.name);
            }
        }
    }
}

/// Makes the tries that `injections` has for each call of each operation, or a sample of them.
#[expect(clippy::print_stdout, reason = "the figures of a sweep are for whoever runs it")]
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
    let part = std::env::var("STEAD_CRASH_PART").unwrap_or_else(|_| "1/1".to_owned());
    let (first, step) =
        part.split_once('/').and_then(|(i, n)| Some((i.parse::<usize>().ok()?, n.parse().ok()?))).expect("I/N");
    let tries = all
        .into_values()
        .flat_map(|(operation, tries)| tries.into_iter().map(move |injection| Try { operation, injection }));
    tries.skip(first - 1).step_by(step).collect()
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
