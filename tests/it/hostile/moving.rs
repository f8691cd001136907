//! A tree that changes as fast as it can while stead works in it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Place, describe, write};

/// Stops the thread also when the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `action` while a thread renames, rewrites and swaps what is in the tree.
fn restless(tree: &Path, elsewhere: &Path, action: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (docs, aside, file) = (tree.join("docs"), tree.join("aside"), tree.join("README.md"));
            let mut number = 0_usize;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                // Each may fail when another command of stead has just moved it.
                std::fs::rename(&docs, &aside).ok();
                symlink(elsewhere, &docs).ok();
                std::fs::write(&file, format!("# {number}\n{}", "x".repeat(number % 5000))).ok();
                std::fs::remove_file(&docs).ok();
                std::fs::rename(&aside, &docs).ok();
                std::fs::remove_file(&file).ok();
                symlink(elsewhere.join("secret"), &file).ok();
                std::fs::remove_file(&file).ok();
            }
        });
        let _done = Done(&done);
        action();
    });
}

#[test]
fn what_moves_while_it_is_looked_at_leads_nowhere() {
    let place = Place::new();
    let project = place.project("api");
    place.ok(["create", "x", "--from", "api"]);
    let tree = place.tree("x");
    let elsewhere = place.path().join("elsewhere");
    write(&elsewhere, "secret", "a secret of somebody else\n");
    write(&elsewhere, "guide.md", "theirs\n");
    let folder = place.path().join("folder");
    restless(&tree, &elsewhere, || {
        for round in 0..2 {
            write(&project, "docs/guide.md", format!("{round}\n"));
            place.git(&project, ["commit", "-q", "-a", "-m", "more"]);
            std::fs::create_dir(&folder).expect("a folder");
            let to = folder.to_str().expect("text");
            for args in [
                vec!["status", "x"],
                vec!["diff", "x", "--patch"],
                vec!["sync", "x"],
                vec!["sync", "x", "--to", to, "--apply", "--allow-exec"],
                vec!["exec", "x", "--isolation", "none", "--", "true"],
            ] {
                let output = place.stead(&args).output().expect("stead starts");
                let said = describe(&output);
                assert!(matches!(output.status.code(), Some(0 | 1 | 6 | 7 | 125)), "{args:?}: {said}");
                assert!(!said.contains("a secret of") && !said.contains("panicked"), "{args:?}: {said}");
            }
            assert_eq!(std::fs::read_to_string(elsewhere.join("guide.md")).expect("a file"), "theirs\n");
            assert_eq!(std::fs::read_dir(&elsewhere).expect("a directory").count(), 2);
            // A link that was allowed comes over as one.
            let applied = folder.join("README.md");
            let is_link = applied.symlink_metadata().is_ok_and(|stat| stat.is_symlink());
            let applied = std::fs::read_to_string(applied).unwrap_or_default();
            assert!(is_link || !applied.contains("secret"), "{applied}");
            std::fs::remove_dir_all(&folder).expect("the folder");
        }
    });
    place.git(&place.trusted("x"), ["fsck"]);
    place.ok(["status", "x"]);
}
