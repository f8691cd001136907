//! What a signal to stead does while there is no command that it could be meant for.

use std::net::TcpListener;
use std::process::{Child, Output, Stdio};

use super::{children, code, signal, text, until};
use crate::support::{Place, describe, write};

const SIGNALS: [(&str, i32); 2] = [("INT", 130), ("TERM", 143)];

/// So many files keep a capture busy for long enough to be stopped within it.
const MANY: usize = 4000;

/// A signal that comes when all is done but the telling is too late; it is sent again so often.
const TRIES: usize = 20;

#[test]
fn while_a_missing_workspace_is_made() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.git", listener.local_addr().unwrap());
    for (name, expected) in SIGNALS {
        let mut stead = place.stead(["exec", "x", "--from", &url, "--", "true"]);
        let stead = stead.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // From here on it waits for an answer that never comes.
        let connection = listener.accept().unwrap();
        signal(stead.id(), name);
        let output = stead.wait_with_output().unwrap();
        assert_eq!(code(&output), expected, "{}", describe(&output));
        drop(connection);
        assert!(!place.tree("x").exists());
        assert_eq!(place.root().join("staging").read_dir().unwrap().count(), 0);
    }
}

#[test]
fn before_the_command_starts() {
    let place = Place::new();
    place.ok(["create", "x", "--empty"]);
    for number in 0..MANY {
        write(&place.tree("x"), &format!("many/{number}"), number.to_string());
    }
    let lock = place.root().join("locks/local/x");
    for (name, expected) in SIGNALS {
        let output = interrupted(
            || {
                std::fs::write(&lock, "").unwrap();
                let stead = place.sh(&[], "touch started").stderr(Stdio::piped()).spawn().unwrap();
                until("the lease is taken", || !std::fs::read(&lock).unwrap().is_empty());
                signal(stead.id(), "STOP");
                // Too late: the run has begun.
                let runs = std::fs::read_dir(place.root().join("state/local/x/runs")).unwrap();
                let begun = runs.flatten().any(|run| run.path().join("run.toml").exists());
                if begun { Err(stead) } else { Ok(stead) }
            },
            name,
        );
        assert_eq!(code(&output), expected, "{}", describe(&output));
        assert!(text(&output.stderr).contains("error: "), "{}", describe(&output));
        assert!(!place.tree("x").join("started").exists());
    }
    let output = place.run_sh(&[], "true");
    assert_eq!((code(&output), text(&output.stderr)), (0, "Nothing changed.\n".into()), "{}", describe(&output));
    place.ok(["doctor"]);
}

#[test]
fn after_the_command_has_ended() {
    let place = Place::new();
    place.run_sh(&[], "true");
    let script = format!("n=0; while [ $n -lt {MANY} ]; do n=$((n+1)); echo $$ > $n; done; touch started; read line");
    let stopped_within = || {
        place.run_sh(&[], "rm -f [0-9]*");
        let mut stead = place.sh(&[], &script);
        let mut stead = stead.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until("the script is at its end", || place.tree("x").join("started").exists());
        std::fs::remove_file(place.tree("x").join("started")).unwrap();
        drop(stead.stdin.take());
        until("the supervisor ends", || children(stead.id()).is_empty());
        signal(stead.id(), "STOP");
        if over(&mut stead) { Err(stead) } else { Ok(stead) }
    };
    for (name, expected) in SIGNALS {
        let mut tries = (0..TRIES).map(|_| interrupted(stopped_within, name));
        // What `read` answers at the end of its input.
        let output = tries.find(|output| code(output) != 1).expect("a signal that is heard");
        assert_eq!(code(&output), expected, "{}", describe(&output));
    }
    let output = place.run_sh(&[], "true");
    assert_eq!(code(&output), 0, "{}", describe(&output));
    place.ok(["doctor"]);
}

/// Starts stead and stops it at a moment until that works, then sends the signal that arrives when it goes on.
fn interrupted(mut stop: impl FnMut() -> Result<Child, Child>, name: &str) -> Output {
    loop {
        match stop() {
            Ok(stead) => {
                signal(stead.id(), name);
                signal(stead.id(), "CONT");
                return stead.wait_with_output().unwrap();
            }
            Err(stead) => {
                signal(stead.id(), "CONT");
                stead.wait_with_output().unwrap();
            }
        }
    }
}

/// Returns whether it has told what changed.
fn over(stead: &mut Child) -> bool {
    let stderr = stead.stderr.as_mut().unwrap();
    let mut polled = [rustix::event::PollFd::new(stderr, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&rustix::event::Timespec::default())).unwrap() > 0
}
