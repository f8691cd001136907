//! The host: what is found on it, and what is warned of.

use std::os::unix::fs::PermissionsExt;

use super::checks;
use crate::support::{Place, write};

/// Makes a program in `bin` of the place and returns a PATH with it in front.
fn with_program(place: &Place, name: &str, text: &str) -> String {
    write(place.path(), &format!("bin/{name}"), format!("#!/bin/sh\n{text}\n"));
    let bin = place.path().join("bin");
    std::fs::set_permissions(bin.join(name), PermissionsExt::from_mode(0o755)).expect("mode");
    format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"))
}

fn doctor(place: &Place, path: &str) -> serde_json::Value {
    let output = place.stead(["--json", "doctor"]).env("PATH", path).output().expect("stead starts");
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn agents_on_the_path_are_found() {
    let place = Place::new();
    let path = with_program(&place, "claude", "true");
    let answer = doctor(&place, &path);
    let (_, message) = checks(&answer, "agents")[0];
    assert!(message.starts_with("claude") && message.contains(" found; not found: "), "{message}");
}

#[test]
fn a_git_that_is_old_or_missing_is_told() {
    let place = Place::new();
    let path = with_program(&place, "git", "echo git version 2.20.1");
    let answer = doctor(&place, &path);
    let (status, message) = checks(&answer, "git")[0];
    assert!(status == "warning" && message.ends_with("; 2.39 is the oldest that is tested"), "{message}");
    let answer = doctor(&place, "/nowhere");
    let (status, message) = checks(&answer, "git")[0];
    assert!(status == "info" && message.starts_with("not found"), "{message}");
}
