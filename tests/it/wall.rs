//! What a run behind a wall can and cannot do, for each wall.

use crate::support::{Place, describe, write};

const WALLS: [&str; 2] = ["namespaces", "landlock"];

/// Runs a script behind a wall; returns what it printed on stdout.
fn behind(place: &Place, wall: &str, script: &str) -> String {
    let output = place
        .stead(["exec", "x", "--empty", "--isolation", wall, "--", "sh", "-c", script])
        .output()
        .expect("stead starts");
    assert_eq!(output.status.code(), Some(0), "{wall}: {}", describe(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn only_the_own_tree_home_and_tmp_are_written() {
    for wall in WALLS {
        let place = Place::new();
        write(&place.home(), ".ssh/id", "secret");
        let home = place.home();
        let script = format!(
            "echo a > file && echo b > ~/file && echo c > $TMPDIR/file && ! cat '{}/.ssh/id' && ! (echo >> '{}/workspace.toml')",
            home.display(),
            place.root().join("state/local/x").display(),
        );
        behind(&place, wall, &script);
        assert_eq!(std::fs::read_to_string(place.tree("x").join("file")).expect("made"), "a\n", "{wall}");
        assert!(place.root().join("homes/local/x/home/file").exists(), "{wall}");
        assert!(!home.join("file").exists(), "{wall}");
    }
}

#[test]
fn secrets_of_the_system_are_not_read() {
    for wall in WALLS {
        behind(&Place::new(), wall, "cat /etc/passwd > /dev/null && ! cat /etc/shadow");
    }
}

#[test]
fn no_capability_is_left_and_none_is_gained() {
    for wall in WALLS {
        let status = behind(&Place::new(), wall, "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
        for line in status.lines() {
            let value = line.split_whitespace().nth(1).expect("a value");
            let wanted = match line.split(':').next() {
                Some("NoNewPrivs") => "1",
                Some("Seccomp") => "2",
                _ => "0000000000000000",
            };
            assert_eq!(value, wanted, "{wall}: {line}");
        }
        behind(&Place::new(), wall, "! unshare -U true");
    }
}

#[test]
fn no_signal_is_blocked_or_ignored() {
    for wall in WALLS {
        let status = behind(&Place::new(), wall, "grep -E '^Sig(Blk|Ign)' /proc/self/status");
        for line in status.lines() {
            let set = line.split_whitespace().nth(1).expect("a set");
            let set = u64::from_str_radix(set, 16).expect("in hex");
            // Two above these are the C library's own.
            assert_eq!(set & 0x7fff_ffff, 0, "{wall}: {line}");
        }
    }
}

#[test]
fn nothing_outside_is_seen_in_namespaces() {
    let place = Place::new();
    let outside = place.path().join("projects");
    assert!(outside.exists());
    let script = "test \"$(ls /proc | grep -c '^[0-9]')\" -le 6 && ! touch /file && test -w /tmp";
    behind(&place, "namespaces", &format!("test ! -e '{}' && {script}", outside.display()));
}
