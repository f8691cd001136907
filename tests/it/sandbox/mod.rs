//! The proof that the wall holds: a table of attempts, each made behind every wall and, to show that it is one, without any.
//!
//! The attempts of one wall are made in one run: this test binary is started in it as the probe and prints how each ended.

mod ends;
mod files;
mod filter;
mod hosts;
mod kernel;
mod own;
mod processes;
mod roots;
pub(crate) mod scene;
#[expect(unsafe_code, reason = "attempts are system calls that no library makes")]
mod sys;
mod system;
mod table;
pub(crate) mod walls;

use std::collections::BTreeSet;

use scene::{PROBE, Scene, User};
use serde::{Deserialize, Serialize};
use table::{End, Host, Row};

use crate::support::describe;

fn rows() -> Vec<Row> {
    [files::rows(), system::rows(), kernel::rows(), filter::rows(), processes::rows(), own::rows()]
        .into_iter()
        .flatten()
        .collect()
}

/// What the probe is told to do, by the variable [`PROBE`].
#[derive(Debug, Serialize, Deserialize)]
enum Told<S, H> {
    /// Make the attempts of the table.
    Attempt(S),
    /// Start something on a host that has less.
    Host(H),
}

/// The probe itself, where it is told what to do; elsewhere the table is looked at.
#[test]
fn the_probe() {
    let Ok(told) = std::env::var(PROBE) else {
        let rows = rows();
        let names: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), rows.len(), "two rows have one name");
        assert!(rows.len() >= 100, "{} rows", rows.len());
        return;
    };
    match serde_json::from_str(&told).expect("what the probe is told") {
        Told::Attempt::<scene::Told, hosts::Host>(told) => {
            let rows = if told.net { rows() } else { kernel::without_net() };
            scene::print(rows.iter().map(|row| serde_json::to_string(&End::of(row, &told)).expect("plain data")));
        }
        Told::Host(host) => host.enter(),
    }
}

/// Makes the attempts of `rows` once, in a run of `user` behind `wall`, and compares.
fn compare(user: User, wall: &str, rows: &[Row]) {
    let mut scene = Scene::new(user);
    let net = rows.len() >= 100;
    scene.told.net = net;
    let ends = scene.probe(wall, if net { &[] } else { &["--net", "off"] });
    let host = Host { is_root: user.is_root(), ..walls::host() };
    assert_eq!(ends.len(), rows.len(), "after {:?}", ends.last());
    let complaints: Vec<String> = rows
        .iter()
        .zip(&ends)
        .filter_map(|(row, end)| match wall {
            "none" => end.against_open(row.open, host),
            "namespaces" => end.against(wall, row.namespaces, host),
            _ => end.against(wall, row.landlock, host),
        })
        .collect();
    assert!(complaints.is_empty(), "{user:?}:\n{}", complaints.join("\n"));
    if net {
        outside_is_as_it_was(&scene, wall);
    }
}

/// Looks at what a run could have changed where it saw something of its own.
fn outside_is_as_it_was(scene: &Scene, wall: &str) {
    let place = scene.place.path();
    let private = scene.place.root().join("homes/local/x");
    let in_tmp = scene.told.in_tmp();
    let left = in_tmp.exists();
    drop(std::fs::remove_file(&in_tmp));
    let is_walled = wall != "none";
    assert_eq!(left, !is_walled, "/tmp is the host's own");
    assert_eq!(private.join("tmp").join(in_tmp.file_name().expect("a name")).exists(), wall == "namespaces");
    let victim = std::fs::read_to_string(place.join("victim")).expect("readable");
    assert_eq!(victim == "untouched", is_walled, "{victim}");
    assert_eq!(private.join("home/.bashrc").exists(), wall == "namespaces");
    for written in [".ssh/authorized_keys", ".cargo/registry/new"] {
        assert_eq!(scene.place.home().join(written).exists(), !is_walled, "{written}");
    }
}

#[test]
fn without_a_wall_the_attempts_work() {
    for user in User::all() {
        compare(user, "none", &rows());
    }
}

#[test]
fn behind_namespaces_the_attempts_end_as_the_table_says() {
    for user in walls::who_can_have("namespaces") {
        compare(user, "namespaces", &rows());
    }
}

#[test]
fn behind_landlock_the_attempts_end_as_the_table_says() {
    for user in walls::who_can_have("landlock") {
        compare(user, "landlock", &rows());
    }
}

#[test]
fn where_a_run_keeps_its_changes_no_link_is_followed() {
    for user in walls::who_can_have("namespaces") {
        let scene = Scene::new(user);
        let run = |script: &str| {
            let args = ["exec", "x", "--isolation", "namespaces", "--", "sh", "-c", script];
            scene::start(&scene.place, user).args(args).output().expect("stead starts")
        };
        let write = "echo evil > ~/.cargo/registry/evil";
        assert!(run(write).status.success());
        let homes = scene.place.root().join("homes/local/x");
        let entries = homes.read_dir().expect("directory").map(|entry| entry.expect("entry").path());
        let caches: Vec<_> = entries.filter(|path| path.to_string_lossy().contains("registry")).collect();
        assert_eq!(caches.len(), 1, "{caches:?}");
        let upper = caches[0].join("upper");
        assert!(upper.join("evil").exists());
        // As a run without a wall could.
        std::fs::rename(&upper, caches[0].join("kept")).expect("renamed");
        std::os::unix::fs::symlink(scene.place.home().join(".ssh"), &upper).expect("a link");
        let output = run(write);
        assert!(output.status.success(), "{}", describe(&output));
        let news = "a run has put something else in the place of its directory `upper`: it is `upper.aside";
        assert!(String::from_utf8_lossy(&output.stderr).contains(news), "{}", describe(&output));
        assert!(!scene.place.home().join(".ssh/evil").exists());
        assert!(upper.join("evil").exists(), "it goes on with an empty one");
    }
}

#[test]
fn a_run_cannot_keep_the_next_one_from_its_directories() {
    for wall in walls::WALLS {
        for user in walls::who_can_have(wall) {
            let scene = Scene::new(user);
            let run = |script: &str| {
                let args = ["exec", "x", "--isolation", wall, "--", "sh", "-c", script];
                let output = scene::start(&scene.place, user).args(args).output().expect("stead starts");
                assert!(output.status.success(), "{wall}: {}", describe(&output));
                output
            };
            let used = "echo x > ~/new && echo x > \"$TMPDIR/new\" && cat ~/kept";
            run("echo x > ~/kept");
            run("chmod 000 ~ \"$TMPDIR\"");
            run(used);
            if wall == "namespaces" {
                run("chmod 000 ~/.cargo/registry");
                run("echo x > ~/.cargo/registry/new");
            }
            let tmp = scene.place.root().join("homes/local/x/tmp");
            std::fs::rename(&tmp, tmp.with_extension("kept")).expect("renamed");
            std::fs::write(&tmp, "in the way").expect("written");
            let output = run(used);
            assert!(String::from_utf8_lossy(&output.stderr).contains("directory `tmp`"), "{}", describe(&output));
            assert!(tmp.join("new").exists());
        }
    }
}

#[test]
fn a_network_that_is_off_reaches_nothing() {
    for wall in walls::WALLS {
        for user in walls::who_can_have(wall) {
            compare(user, wall, &kernel::without_net());
        }
    }
}
