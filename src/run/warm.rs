//! The user's cargo behind Landlock: nothing can be laid over a directory there, so the run's own cargo directory gets links
//! to what the user's has unpacked and downloaded, and whatever else it fetches is its own.
//!
//! ```text
//! homes/USER/NAME/home/.cargo/registry/{index,cache,src}/REGISTRY/NAME  ->  ~/.cargo/registry/…/NAME
//! homes/USER/NAME/home/.cargo/config.toml                               ->  ~/.cargo/config.toml
//! ```

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;

use crate::error::Result;
use crate::store::beneath::Dir;

/// Links at most so many things; more is fetched again.
const MOST: usize = 20_000;
/// Below `registry`: `index`, `cache` and `src`; registries; what is linked.
const DEPTH: usize = 3;

/// Fills the private HOME with links to the user's own `cargo` directory, as far as it may be read.
pub(crate) fn link_cargo(cargo: &Path, private: &Dir, may_read: impl Fn(&Path) -> bool) -> Result<()> {
    let own = private.create_dir_all(Path::new(".cargo"))?;
    let registry = cargo.join("registry");
    if registry.is_dir() && may_read(&registry) {
        let mut left = MOST;
        fill(&registry, &own.create_dir_all(Path::new("registry"))?, DEPTH, &mut left)?;
    }
    for name in ["config.toml", "config"] {
        let file = cargo.join(name);
        if file.is_file() && may_read(&file) && own.stat(Path::new(name))?.is_none() {
            own.create_link(file.as_os_str(), Path::new(name))?;
        }
    }
    Ok(())
}

fn fill(host: &Path, own: &Dir, depth: usize, left: &mut usize) -> Result<()> {
    let there: HashSet<OsString> = own.names()?.into_iter().collect();
    for entry in host.read_dir().into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        if depth > 1 {
            // Directories are the run's own down to the last, so that it can add to them.
            if entry.file_type().is_ok_and(|kind| kind.is_dir())
                && let Ok(directory) = own.create_dir_all(Path::new(&name))
            {
                fill(&path, &directory, depth - 1, left)?;
            }
        } else if !there.contains(&name) && *left > 0 {
            *left -= 1;
            own.create_link(path.as_os_str(), Path::new(&name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make files by hand")]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_linked_and_what_is_added_stays_apart() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for file in ["registry/src/r/a-1/lib.rs", "registry/cache/r/a-1.crate", "credentials.toml", "config.toml"] {
            let path = at("cargo").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        std::fs::create_dir_all(at("home/.cargo/registry/src/r/a-2")).unwrap();
        let home = Dir::open(&at("home")).unwrap();
        for _ in 0..2 {
            link_cargo(&at("cargo"), &home, |path| !path.ends_with("config.toml")).unwrap();
        }
        let own = at("home/.cargo/registry");
        assert_eq!(own.join("src/r/a-1").read_link().unwrap(), at("cargo/registry/src/r/a-1"));
        assert_eq!(std::fs::read_to_string(own.join("cache/r/a-1.crate")).unwrap(), "registry/cache/r/a-1.crate");
        std::fs::write(own.join("cache/r/b-1.crate"), "").unwrap();
        assert!(!at("cargo/registry/cache/r/b-1.crate").exists());
        assert!(!at("home/.cargo/credentials.toml").exists() && !at("home/.cargo/config.toml").exists());
        // A link that the run has put in the way is not followed.
        std::fs::remove_dir_all(own.join("src")).unwrap();
        std::fs::create_dir(at("elsewhere")).unwrap();
        std::os::unix::fs::symlink(at("elsewhere"), own.join("src")).unwrap();
        link_cargo(&at("cargo"), &home, |_| true).unwrap();
        assert_eq!(std::fs::read_dir(at("elsewhere")).unwrap().count(), 0);
    }
}
