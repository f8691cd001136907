//! The user's cargo and go behind Landlock: nothing can be laid over a directory there, so the run's own directories get links
//! to what the user's have unpacked and downloaded, and whatever else is fetched is the run's own.
//!
//! ```text
//! homes/USER/NAME/home/.cargo/registry/{index,cache,src}/REGISTRY/NAME  ->  ~/.cargo/registry/…/NAME
//! homes/USER/NAME/home/.cargo/config.toml                               ->  ~/.cargo/config.toml
//! homes/USER/NAME/home/go/pkg/mod/MODULE@VERSION                        ->  ~/go/pkg/mod/MODULE@VERSION
//! homes/USER/NAME/home/go/pkg/mod/cache/download/MODULE/@v/FILE         ->  ~/go/pkg/mod/cache/download/MODULE/@v/FILE
//! ```
//!
//! Limits: what is built (go's build cache), and what npm and pip have downloaded, is each workspace's own there.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::store::beneath::Dir;

/// Links at most so many things of a toolchain; more is fetched again.
const MOST: usize = 20_000;
/// Below `registry`: `index`, `cache` and `src`; registries; what is linked.
const DEPTH: usize = 3;
/// Names of modules have no more parts than that.
const MODULE_DEPTH: usize = 20;
/// What go has downloaded of a module: not the list of its versions, nor the locks, which go writes anew.
const DOWNLOADED: &[&[u8]] = &[b"info", b"mod", b"zip", b"ziphash"];

/// Directories of the user's toolchains, as far as there are some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Warm {
    /// cargo's own directory.
    pub(crate) cargo: Option<PathBuf>,
    /// go's cache of modules.
    pub(crate) modules: Option<PathBuf>,
}

impl Warm {
    /// Fills the private HOME with links to the user's own, as far as it may be read.
    pub(crate) fn link(&self, private: &Dir, may_read: impl Fn(&Path) -> bool) -> Result<()> {
        if let Some(cargo) = &self.cargo {
            link_cargo(cargo, private, &may_read)?;
        }
        if let Some(modules) = self.modules.as_ref().filter(|modules| modules.is_dir() && may_read(modules)) {
            let own = private.create_dir_all(Path::new("go/pkg/mod"))?;
            fill_modules(modules, &own, MODULE_DEPTH, &mut MOST.clone())?;
        }
        Ok(())
    }
}

fn link_cargo(cargo: &Path, private: &Dir, may_read: impl Fn(&Path) -> bool) -> Result<()> {
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

/// Links modules as they are unpacked, and what was downloaded of them.
fn fill_modules(host: &Path, own: &Dir, depth: usize, left: &mut usize) -> Result<()> {
    let there: HashSet<OsString> = own.names()?.into_iter().collect();
    let is_downloads = host.ends_with("@v");
    for entry in host.read_dir().into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let is_linked = if is_downloads {
            path.extension().is_some_and(|end| DOWNLOADED.contains(&end.as_bytes()))
        } else {
            // The name of a module that is unpacked ends with its version.
            name != "@v" && name.as_bytes().contains(&b'@')
        };
        if is_linked {
            if !there.contains(&name) && *left > 0 {
                *left -= 1;
                own.create_link(path.as_os_str(), Path::new(&name))?;
            }
        } else if !is_downloads
            && depth > 0
            // Repositories, which go changes.
            && name != "vcs"
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Ok(directory) = own.create_dir_all(Path::new(&name))
        {
            fill_modules(&path, &directory, depth - 1, left)?;
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

    #[test]
    fn modules_of_go_are_linked_whole_and_downloads_by_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        let downloads = "cache/download/a.org/b/@v";
        for file in ["a.org/b@v1.0.0/b.go", "cache/lock", "cache/vcs/0a/config", "cache/download/a.org/b/@v/v1.0.0.zip"]
        {
            let path = at("mod").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        for file in ["v1.0.0.info", "v1.0.0.lock", "list"] {
            std::fs::write(at("mod").join(downloads).join(file), file).unwrap();
        }
        std::fs::create_dir(at("home")).unwrap();
        let home = Dir::open(&at("home")).unwrap();
        let warm = Warm { cargo: None, modules: Some(at("mod")) };
        warm.link(&home, |_| false).unwrap();
        assert!(!at("home/go").exists());
        for _ in 0..2 {
            warm.link(&home, |_| true).unwrap();
        }
        let own = at("home/go/pkg/mod");
        assert_eq!(own.join("a.org/b@v1.0.0").read_link().unwrap(), at("mod/a.org/b@v1.0.0"));
        let mut names: Vec<_> =
            own.join(downloads).read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["v1.0.0.info", "v1.0.0.zip"]);
        assert!(!own.join("cache/lock").exists() && !own.join("cache/vcs").exists());
    }
}
