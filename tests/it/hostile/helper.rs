//! What reads the objects of a run has taken everything from itself that it does not need, before it reads the first.

use std::process::Command;

use crate::crash::strace;
use crate::support::{Place, describe};

#[test]
fn what_reads_objects_is_held_before_it_reads() {
    strace::require();
    let place = Place::new();
    place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    place.git(&place.tree("x"), ["commit", "-q", "--allow-empty", "-m", "new"]);
    let log = place.path().join("log");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e"]);
    command.arg("trace=execve,landlock_create_ruleset,landlock_restrict_self,seccomp,prlimit64,openat,openat2");
    command.arg("-o").arg(&log);
    strace::pass_on(&place.stead(["exec", "x", "--isolation", "none", "--", "true"]), &mut command);
    let output = command.output().expect("strace starts");
    assert!(output.status.success(), "{}", describe(&output));
    let text = std::fs::read_to_string(&log).expect("a log");
    let calls = |process: &str| -> Vec<&str> {
        let of = |line: &&str| line.split_whitespace().next() == Some(process);
        text.lines().filter(of).collect()
    };
    let is_helper = |line: &&str| line.contains("execve(") && line.contains("\"__read-objects\"");
    let processes: Vec<&str> =
        text.lines().filter(is_helper).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(!processes.is_empty(), "nothing was read by a helper:\n{text}");
    for process in processes {
        let calls = calls(process);
        let start = calls.iter().rposition(|line| line.contains("__read-objects")).expect("its start");
        let (before, _) = calls[start..]
            .split_at(calls[start..].iter().position(|line| line.contains("\"objects")).expect("it reads"));
        let did = |what: &str| before.iter().any(|line| line.contains(what) && line.ends_with("= 0"));
        for limit in ["RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NPROC"] {
            assert!(did(&format!("{limit}, {{rlim_cur=")), "{limit}: {before:#?}");
        }
        assert!(did("seccomp(SECCOMP_SET_MODE_FILTER"), "{before:#?}");
        // The first question is for the version that the kernel has.
        let asked = before.iter().find(|line| line.contains("landlock_create_ruleset(")).expect("it is asked for");
        let has_landlock = !asked.contains("= -1");
        assert_eq!(did("landlock_restrict_self("), has_landlock, "{before:#?}");
    }
}
