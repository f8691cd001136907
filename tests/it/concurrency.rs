//! Many processes on one root: no lost update, no torn file, no orphan, no false success.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::Place;

const PROCESSES: u64 = 32;
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What succeeded.
#[derive(Default)]
struct Count {
    created: AtomicUsize,
    removed: AtomicUsize,
    restored: AtomicUsize,
    collected: AtomicUsize,
    listed: AtomicUsize,
    ran: AtomicUsize,
}

impl Count {
    /// Returns whether something of each kind happened; a test of nothing would pass as well.
    fn is_enough(&self) -> bool {
        let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        load(&self.created) > 5
            && load(&self.removed) + load(&self.collected) > 1
            && load(&self.listed) > 5
            && load(&self.ran) > 0
    }
}

/// How long a test goes on: for its time, and on a slow host until enough has happened.
struct Until(Instant);

impl Until {
    fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    fn is_over(&self, enough: impl FnOnce() -> bool) -> bool {
        let now = Instant::now();
        now >= self.0 && (enough() || now >= self.0 + Duration::from_mins(1))
    }
}

/// Runs one command; it must succeed or fail with one of `kinds`. Returns its answer when it succeeded.
fn run(place: &Place, args: &[&str], kinds: &[&str]) -> Option<serde_json::Value> {
    let (code, answer) = place.json(args);
    if code == 0 {
        return Some(answer);
    }
    let kind = answer["error"]["kind"].as_str().unwrap_or("none").to_owned();
    assert!(kinds.contains(&kind.as_str()), "{args:?} ended with {code}: {answer}");
    None
}

fn seconds() -> u64 {
    std::env::var("STEAD_STRESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8)
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        std::fs::read_dir(path).expect("directory").map(|entry| entry.expect("entry").path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

fn names(path: &Path) -> Vec<String> {
    directories(path).iter().map(|path| path.file_name().expect("name").to_string_lossy().into_owned()).collect()
}

#[test]
fn many_processes_create_run_list_remove_restore_and_collect() {
    let place = Place::new();
    place.project("api");
    let count = Count::default();
    let until = Until::after(Duration::from_secs(seconds()));
    // A run that ended well has written its line; wherever its workspace went, the line is there.
    let written: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..PROCESSES)
            .map(|worker| {
                let (place, until, count) = (&place, &until, &count);
                scope.spawn(move || work(place, worker, until, count))
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no worker fails")).collect()
    });
    let root = place.root();
    let at_home = names(&root.join("workspaces/local"));
    assert_eq!(names(&root.join("state/local")), at_home, "no half of a workspace");
    assert!(names(&root.join("homes/local")).iter().all(|name| at_home.contains(name)), "no half of a workspace");
    assert_eq!(names(&root.join("staging")), [""; 0], "nothing is left under construction");
    let trash = directories(&root.join("trash"));
    assert!(trash.iter().all(|entry| has_record(entry) && entry.join("tree").exists()));
    let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    let (created, gone) = (load(&count.created), load(&count.removed) + load(&count.collected));
    assert_eq!(trash.len() + load(&count.restored), gone, "what was removed is in the trash");
    assert_eq!(at_home.len() + trash.len(), created, "what was made is somewhere");

    let logs = at_home.iter().map(|name| place.tree(name)).chain(trash.iter().map(|entry| entry.join("tree")));
    let lines: Vec<String> = logs
        .filter_map(|tree| std::fs::read_to_string(tree.join("log")).ok())
        .flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let unique: BTreeSet<&String> = lines.iter().collect();
    assert_eq!(unique.len(), lines.len(), "no line twice");
    for line in &written {
        assert!(unique.contains(line), "{line} is lost");
    }
    let (code, answer) = place.json(["status"]);
    assert_eq!(code, 0, "{answer}");
    let listed = answer["workspaces"].as_array().expect("workspaces");
    assert_eq!(listed.len(), at_home.len());
    assert!(listed.iter().all(|workspace| workspace["state"] == "ready"), "{answer}");
    for name in &at_home {
        place.git(&place.tree(name), ["fsck", "--no-dangling"]);
    }
    assert!(count.is_enough(), "{created} made, {gone} gone");
}

#[test]
fn a_pool_that_comes_and_goes_is_never_taken_from_anybody() {
    let place = Place::new();
    place.project("api");
    let until = Until::after(Duration::from_secs(seconds()) / 2);
    let (created, restored, gone) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let (place, until, created, restored, gone) = (&place, &until, &created, &restored, &gone);
        let is_enough = || created.load(Ordering::Relaxed) > 6 && gone.load(Ordering::Relaxed) > 1;
        for (name, seed) in NAMES[..2].iter().zip(0..) {
            scope.spawn(move || {
                let mut random = Random::new(seed);
                while !until.is_over(is_enough) {
                    // Anywhere in the work of the others, who would find a workspace there at any time without it.
                    std::thread::sleep(Duration::from_millis(random.below(150) as u64));
                    run(place, &["create", name, "--from", "api"], &[]).expect("nobody else has the name");
                    place.git(&place.tree(name), ["fsck", "--strict"]);
                    created.fetch_add(1, Ordering::Relaxed);
                    run(place, &["rm", "--force", name], &[]).expect("it is there");
                    // Its entry may be gone by now, or about to go.
                    if run(place, &["restore", name], &["not-found", "busy"]).is_some() {
                        place.git(&place.tree(name), ["fsck", "--strict"]);
                        restored.fetch_add(1, Ordering::Relaxed);
                        run(place, &["rm", "--force", name], &[]).expect("it is there");
                    }
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(move || {
                while !until.is_over(is_enough) {
                    let answer = run(place, &["gc", "--purge", "--yes"], &[]).expect("gc fails for nobody");
                    assert_eq!(answer["faults"].as_array().map(Vec::len), Some(0), "{answer}");
                    gone.fetch_add(answer["pools"].as_array().map_or(0, Vec::len), Ordering::Relaxed);
                }
            });
        }
    });
    let [created, restored, gone] = [created, restored, gone].map(AtomicUsize::into_inner);
    assert!(created > 6 && gone > 1, "{created} made, {restored} restored, {gone} gone");
}

#[test]
fn processes_that_are_killed_leave_every_workspace_whole_or_absent() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "a", "b", "--from", "api"]);
    let until = Instant::now() + Duration::from_secs(seconds()) / 2;
    let killed = AtomicUsize::new(0);
    // A run that has ended, and said that all was well, has written its line.
    let written: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..=PROCESSES)
            .map(|worker| {
                let (place, killed) = (&place, &killed);
                scope.spawn(move || work_and_die(place, worker, until, killed))
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no worker fails")).collect()
    });
    assert!(killed.load(Ordering::Relaxed) > 3, "nothing was killed");
    let root = place.root();
    // What a killed run has left ends by itself, and nothing else holds a lease.
    for name in NAMES {
        if let Ok(lock) = std::fs::File::open(root.join("locks/local").join(name)) {
            lock.lock().expect("the lease becomes free");
        }
    }
    place.ok(["doctor", "--repair"]);
    let (code, answer) = place.json(["doctor"]);
    assert_eq!(code, 0, "{answer}");
    place.ok(["gc", "--max-age", "100000d"]);
    assert_eq!(names(&root.join("staging")), [""; 0]);
    assert_eq!(names(&root.join("state/local")), names(&root.join("workspaces/local")));
    for (number, name) in (0..1000).flat_map(|number| NAMES.map(|name| (number, name))) {
        if number > 0 && !directories(&root.join("trash")).iter().any(|entry| has_record(entry)) {
            break;
        }
        let new = format!("{name}-{number}");
        run(&place, &["restore", name, "--as", &new], &["not-found"]);
    }
    let (code, answer) = place.json(["status"]);
    assert_eq!(code, 0, "{answer}");
    let listed = answer["workspaces"].as_array().expect("workspaces");
    assert!(listed.len() >= 2, "what was there is still somewhere");
    let mut lines = BTreeSet::new();
    for workspace in listed {
        assert_eq!(workspace["state"], "ready");
        let tree = place.tree(workspace["name"].as_str().expect("name"));
        place.git(&tree, ["fsck", "--no-dangling"]);
        let log = std::fs::read_to_string(tree.join("log")).unwrap_or_default();
        lines.extend(log.lines().map(str::to_owned));
    }
    for line in &written {
        assert!(lines.contains(line), "{line} is lost");
    }
    assert!(!written.is_empty(), "no run ended");
}

/// Runs random commands and kills most of them, until the time is over; returns the lines that its runs have written.
fn work_and_die(place: &Place, worker: u64, until: Instant, killed: &AtomicUsize) -> Vec<String> {
    let mut written = Vec::new();
    let mut random = Random::new(worker);
    for step in 0.. {
        if Instant::now() >= until {
            break;
        }
        let name = NAMES[random.below(3)];
        let line = format!("{worker}-{step}");
        let script = format!("echo {line} >> log");
        let run = ["exec", name, "--no-create", "--isolation", "none", "--", "sh", "-c", &script];
        let choice = random.below(6);
        let args: &[&str] = match choice {
            0 => &["create", name, "--from", "api"],
            1 | 2 => &run,
            3 => &["rm", "--force", name],
            4 => &["restore", name],
            _ => &["gc", "--all"],
        };
        let mut command = place.stead(args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("stead starts");
        if random.below(4) > 0 {
            // Anywhere in its work: there is no event for that.
            std::thread::sleep(Duration::from_millis(random.below(120) as u64));
            child.kill().expect("it is not yet waited for");
        }
        match child.wait().expect("end").code() {
            None => drop(killed.fetch_add(1, Ordering::Relaxed)),
            Some(0) if matches!(choice, 1 | 2) => written.push(line),
            Some(_) => {}
        }
    }
    written
}

fn has_record(entry: &Path) -> bool {
    entry.join("state/workspace.toml").exists()
}

/// Random numbers (xorshift) that are the same in each run of a worker.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 8).expect("64 bits") % limit
    }
}

/// Runs random commands until the time is over; returns the lines that its runs have written.
fn work(place: &Place, worker: u64, until: &Until, count: &Count) -> Vec<String> {
    let mut written = Vec::new();
    let mut random = Random::new(worker);
    let add = |counter: &AtomicUsize, by: usize| counter.fetch_add(by, Ordering::Relaxed);
    for step in 0.. {
        if until.is_over(|| count.is_enough()) {
            break;
        }
        let name = NAMES[random.below(NAMES.len())];
        match random.below(16) {
            0..4 => {
                if run(place, &["create", name, "--from", "api"], &["exists", "busy"]).is_some() {
                    add(&count.created, 1);
                }
            }
            4..8 => {
                let line = format!("{worker}-{step}");
                let script = format!("echo {line} >> log");
                let args = ["exec", name, "--no-create", "--isolation", "none", "--", "sh", "-c", &script];
                if run(place, &args, &["not-found", "busy"]).is_some() {
                    add(&count.ran, 1);
                    written.push(line);
                }
            }
            8..10 => {
                if run(place, &["status"], &[]).is_some() {
                    add(&count.listed, 1);
                }
            }
            10..12 => {
                if run(place, &["rm", "--force", name], &["not-found", "busy"]).is_some() {
                    add(&count.removed, 1);
                }
            }
            12..15 => {
                if run(place, &["restore", name], &["not-found", "exists", "busy"]).is_some() {
                    add(&count.restored, 1);
                }
            }
            _ => {
                let answer = run(place, &["gc", "--all"], &[]).expect("gc waits for nobody and fails for nobody");
                assert_eq!(answer["faults"].as_array().map(Vec::len), Some(0), "{answer}");
                let moved = answer["workspaces"].as_array().expect("workspaces").iter();
                add(&count.collected, moved.filter(|item| item["action"] == "remove").count());
            }
        }
    }
    written
}
