//! Which caches there are, where a run has its own, and what becomes of each thing in them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::store::beneath::Dir;

/// A package or build cache of the user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cache {
    /// cargo's own directory.
    Cargo,
    /// Modules that go has downloaded and unpacked.
    Modules,
    /// What go has built.
    Builds,
    Npm,
    Pip,
}

/// What becomes of an entry of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The run has a directory of its own, so that it can add to it.
    Enter,
    /// Nobody writes into it: the tool replaces it, or never changes it.
    Link,
    /// The tool writes into it where it is.
    Copy,
    Leave,
}

/// What go has downloaded of a module: not the list of its versions, nor the locks, which go writes anew.
const DOWNLOADED: &[&str] = &["info", "mod", "zip", "ziphash"];

/// So many directories of a tree are looked into for what tells that it needs a cache.
const AROUND: usize = 200;

impl Cache {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Modules => "go-modules",
            Self::Builds => "go-builds",
            Self::Npm => "npm",
            Self::Pip => "pip",
        }
    }

    /// Returns what of the user's directory is filled from.
    pub(super) fn host(self, directory: &Path) -> PathBuf {
        match self {
            Self::Cargo => directory.join("registry"),
            Self::Npm => directory.join("_cacache"),
            Self::Modules | Self::Builds | Self::Pip => directory.to_owned(),
        }
    }

    /// Returns where the tool looks for it below a HOME, no variable telling otherwise.
    pub(super) fn own(self) -> &'static Path {
        Path::new(match self {
            Self::Cargo => ".cargo/registry",
            Self::Modules => "go/pkg/mod",
            Self::Builds => ".cache/go-build",
            Self::Npm => ".npm/_cacache",
            Self::Pip => ".cache/pip",
        })
    }

    /// Returns how deep its directories are, as far as they are entered.
    pub(super) fn depth(self) -> usize {
        match self {
            Self::Builds => 1,
            Self::Cargo => 2,
            Self::Npm => 4,
            Self::Pip => 6,
            // Names of modules have no more parts than that.
            Self::Modules => 20,
        }
    }

    /// Returns how many things of it a run gets; what else it needs is fetched again.
    pub(super) fn most(self) -> usize {
        match self {
            Self::Cargo | Self::Modules => 20_000,
            // Each takes a block or two of the disk, in directories of few.
            Self::Builds | Self::Npm | Self::Pip => 5_000,
        }
    }

    /// Returns whether a run in `tree` is to have it: what is large and seldom needed is there where a project of its kind is,
    /// at the top or one directory below, and for the tool's own command.
    pub(super) fn is_wanted(self, tree: &Dir, program: &OsStr) -> bool {
        let (files, programs): (&[&str], &[&str]) = match self {
            Self::Cargo | Self::Modules => return true,
            Self::Builds => (&["go.mod", "go.work"], &["go"]),
            Self::Npm => (&["package.json"], &["npm", "npx"]),
            Self::Pip => (
                &["pyproject.toml", "requirements.txt", "setup.py", "setup.cfg", "Pipfile", "tox.ini"],
                &["pip", "pip3", "python", "python3"],
            ),
        };
        let program = Path::new(program).file_name().unwrap_or_default();
        let has = |around: &Path| files.iter().any(|file| tree.stat(&around.join(file)).is_ok_and(|it| it.is_some()));
        programs.iter().any(|name| program == *name)
            || has(Path::new(""))
            || tree.names().unwrap_or_default().iter().take(AROUND).any(|name| has(Path::new(name)))
    }

    /// Returns what becomes of what is at `below` in the cache.
    pub(super) fn way(self, below: &Path, is_directory: bool) -> Way {
        let (depth, name) = (below.components().count(), below.file_name().unwrap_or_default().as_encoded_bytes());
        let top = below.components().next().map(|part| part.as_os_str().as_encoded_bytes()).unwrap_or_default();
        let entered = |then: Way| if is_directory { Way::Enter } else { then };
        match self {
            // `index`, `cache` and `src`; registries; what is linked.
            Self::Cargo if depth < 3 => entered(Way::Leave),
            Self::Cargo => Way::Link,
            Self::Modules => module(below, is_directory),
            Self::Builds if depth < 2 && name.len() == 2 => entered(Way::Leave),
            Self::Builds if depth == 2 && name.ends_with(b"-d") => Way::Link,
            Self::Builds if depth == 2 && name.ends_with(b"-a") && !is_directory => Way::Copy,
            Self::Npm if top == b"content-v2" => entered(Way::Link),
            Self::Npm if top == b"index-v5" => entered(Way::Copy),
            // Nothing in it is used, but it changes with whatever is added.
            Self::Npm if top == b"tmp" && depth == 1 => entered(Way::Leave),
            Self::Pip if matches!(top, b"http" | b"http-v2") && !name.ends_with(b".tmp") => entered(Way::Link),
            Self::Pip if top == b"wheels" && name.ends_with(b".whl") && !is_directory => Way::Link,
            Self::Pip if top == b"wheels" && name == b"origin.json" => entered(Way::Copy),
            Self::Pip if top == b"wheels" => entered(Way::Leave),
            Self::Builds | Self::Npm | Self::Pip => Way::Leave,
        }
    }
}

fn module(below: &Path, is_directory: bool) -> Way {
    let name = below.file_name().unwrap_or_default();
    if below.parent().is_some_and(|around| around.ends_with("@v")) {
        let is_kept = below.extension().is_some_and(|end| DOWNLOADED.iter().any(|kept| end == *kept));
        return if is_kept { Way::Link } else { Way::Leave };
    }
    match is_directory {
        // The name of a module that is unpacked ends with its version.
        _ if name != "@v" && name.as_encoded_bytes().contains(&b'@') => Way::Link,
        // Repositories, which go changes.
        true if name != "vcs" => Way::Enter,
        _ => Way::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_writes_into_is_not_linked() {
        let way = |cache: Cache, below: &str| cache.way(Path::new(below.trim_end_matches('/')), below.ends_with('/'));
        for (cache, below, expected) in [
            (Cache::Cargo, "src/", Way::Enter),
            (Cache::Cargo, "src/registry/serde-1.0.0/", Way::Link),
            (Cache::Cargo, "CACHEDIR.TAG", Way::Leave),
            (Cache::Modules, "a.org/", Way::Enter),
            (Cache::Modules, "a.org/b@v1.0.0/", Way::Link),
            (Cache::Modules, "cache/vcs/", Way::Leave),
            (Cache::Modules, "cache/download/a.org/b/@v/", Way::Enter),
            (Cache::Modules, "cache/download/a.org/b/@v/v1.0.0.zip", Way::Link),
            (Cache::Modules, "cache/download/a.org/b/@v/list", Way::Leave),
            (Cache::Builds, "0a/", Way::Enter),
            (Cache::Builds, "fuzz/", Way::Leave),
            (Cache::Builds, "0a/0a1-d", Way::Link),
            (Cache::Builds, "0a/0a2-d/", Way::Link),
            (Cache::Builds, "0a/0a1-a", Way::Copy),
            (Cache::Builds, "trim.txt", Way::Leave),
            (Cache::Npm, "content-v2/sha512/0a/1b/", Way::Enter),
            (Cache::Npm, "content-v2/sha512/0a/1b/2c", Way::Link),
            (Cache::Npm, "index-v5/0a/1b/", Way::Enter),
            (Cache::Npm, "index-v5/0a/1b/2c", Way::Copy),
            (Cache::Npm, "tmp/0a1b", Way::Leave),
            (Cache::Npm, "_lastverified", Way::Leave),
            (Cache::Pip, "http-v2/0/a/1/b/2/0a1b2.body", Way::Link),
            (Cache::Pip, "http-v2/0/a/1/b/2/0a1b2x.tmp", Way::Leave),
            (Cache::Pip, "wheels/0a/1b/2c/3d/x-1-py3-none-any.whl", Way::Link),
            (Cache::Pip, "wheels/0a/1b/2c/3d/origin.json", Way::Copy),
            (Cache::Pip, "selfcheck/", Way::Leave),
        ] {
            assert_eq!(way(cache, below), expected, "{cache:?} {below}");
        }
    }
}
