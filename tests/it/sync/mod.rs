//! `stead sync`, with git as the oracle: every repository is whole afterwards, every tree is what git would make.

mod apply;
mod branch;
mod conflicts;
mod crash;
mod sparse;
mod upstream;

use std::path::Path;

use crate::support::{Place, write};

fn read(dir: &Path, path: &str) -> String {
    std::fs::read_to_string(dir.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A project and a workspace `work` of it.
fn workspace(place: &Place) -> (std::path::PathBuf, std::path::PathBuf) {
    let project = place.project("app");
    place.ok(["create", "work", "--from", "app"]);
    (project, place.tree("work"))
}

fn commit(place: &Place, dir: &Path, path: &str, content: &str) -> String {
    write(dir, path, content);
    place.git(dir, ["add", "-A"]);
    place.git(dir, ["commit", "-q", "-m", path]);
    place.git(dir, ["rev-parse", "HEAD"]).trim().to_owned()
}
