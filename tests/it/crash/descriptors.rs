//! Fewer and fewer descriptors: what cannot be done is said, and nothing else comes of it.

use std::process::{Command, Output};

use crate::support::{Place, describe, write};

/// Runs `stead ARGS` with at most `limit` descriptors.
fn with(place: &Place, limit: u32, args: &[&str]) -> Output {
    let stead = place.stead(args);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {limit} && exec \"$@\""), "sh"]);
    super::strace::pass_on(&stead, &mut command);
    command.output().expect("sh starts")
}

/// Arguments, and whether what they ask for is done, by what is said on stdout.
type Case<'a> = (&'a [&'a str], &'a dyn Fn(&str) -> bool);

#[test]
fn with_few_descriptors_everything_is_done_or_said_not_to_be() {
    let place = Place::new();
    place.project("api");
    place.ok(["create", "a", "b", "c", "--from", "api"]);
    for name in ["a", "b", "c"] {
        write(&place.tree(name), "work", name);
    }
    let (mut failed, mut done) = (0, 0);
    for limit in (10..60).step_by(7) {
        let new = format!("n{limit}");
        let is_whole = |name: &str| place.tree(name).join("src/main.rs").exists();
        let project = place.path().join("projects/api");
        let commands: [Case<'_>; 5] = [
            (&["--json", "status"], &|said| ["a", "b", "c"].iter().all(|name| said.contains(&format!("\"{name}\"")))),
            (&["exec", "a", "--isolation", "none", "--", "touch", "made"], &|_| place.tree("a").join("made").exists()),
            (&["create", &new, "--from", "api"], &|_| is_whole(&new)),
            (&["sync", "b", "--to", "api"], &|_| {
                place.git(&project, ["branch", "--list", "stead/b"]).contains("stead/b")
            }),
            (&["gc", "--all", "--dry-run"], &|said| {
                !["`a`", "`c`"].iter().any(|name| said.contains(&format!("Would move {name}")))
            }),
        ];
        for (args, is_done) in commands {
            let output = with(&place, limit, args);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let told = describe(&output);
            match output.status.code() {
                Some(0) => {
                    assert!(is_done(&said), "{limit}: {args:?} is done, it says: {told}");
                    done += 1;
                }
                // Without a library there is no stead that could say something.
                Some(127) if told.contains("error while loading shared libraries") => failed += 1,
                Some(code) if code != 101 => {
                    let words = ["error: ", "\"error\":", "warning: ", "cannot run "];
                    assert!(words.iter().any(|word| told.contains(word)), "{limit}: {args:?} says nothing: {told}");
                    failed += 1;
                }
                _ => panic!("{limit}: {args:?}: {told}"),
            }
        }
        let next =
            place.stead(["exec", "a", "--isolation", "none", "--", "rm", "-f", "made"]).output().expect("stead starts");
        let told = describe(&next);
        assert!(next.status.success() && !told.contains("stead was killed"), "{limit}: {told}");
        place.ok(["doctor"]);
    }
    assert!(failed > 2 && done > 10, "{failed} failed, {done} were done");
}
