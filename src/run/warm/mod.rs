//! The user's package and build caches behind Landlock: nothing can be laid over a directory there, so the run's own directories
//! get links to what the user's hold and copies of what its tool would write into; whatever else is fetched is the run's own.
//!
//! ```text
//! homes/USER/NAME/home/.cargo/registry/{index,cache,src}/REGISTRY/NAME  ->  ~/.cargo/registry/…/NAME
//! homes/USER/NAME/home/.cargo/config.toml                               ->  ~/.cargo/config.toml
//! homes/USER/NAME/home/go/pkg/mod/MODULE@VERSION                        ->  ~/go/pkg/mod/MODULE@VERSION
//! homes/USER/NAME/home/go/pkg/mod/cache/download/MODULE/@v/FILE         ->  ~/go/pkg/mod/cache/download/MODULE/@v/FILE
//! homes/USER/NAME/home/.cache/go-build/XX/ID-d                          ->  ~/.cache/go-build/XX/ID-d
//! homes/USER/NAME/home/.cache/go-build/XX/ID-a                              a copy
//! homes/USER/NAME/home/.npm/_cacache/content-v2/ALGORITHM/XX/XX/REST    ->  ~/.npm/_cacache/content-v2/…/REST
//! homes/USER/NAME/home/.npm/_cacache/index-v5/XX/XX/REST                    a copy
//! homes/USER/NAME/home/.cache/pip/{http,http-v2,wheels}/…/NAME          ->  ~/.cache/pip/…/NAME
//! homes/USER/NAME/warm                                                      marks of what was filled, a line a cache
//! ```
//!
//! npm's, pip's and what go has built is there for projects of their kind alone, and for the tool's own command.
//!
//! Limits: a cache is filled again when one of its directories has changed; where there are thousands, a change deep down is seen
//! with the next one further up. What is there is not brought up to date. Of a cache that is larger than its bound the
//! newest is there.

mod cache;
mod fill;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::Result;
pub(crate) use crate::run::warm::cache::Cache;
use crate::store::beneath::Dir;

/// Beside the private HOME, where no run can write.
const MARKS: &str = "warm";
/// Bytes of it; there is one line a cache.
const LONGEST: u64 = 4096;

/// The directories of the user's caches, as far as there may be some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Warm(pub(crate) BTreeMap<Cache, PathBuf>);

impl Warm {
    /// Returns those that the run of a program in a tree is to have.
    pub(crate) fn wanted(&self, tree: &Dir, program: &OsStr) -> Self {
        let wanted = self.0.iter().filter(|(cache, _)| cache.is_wanted(tree, program));
        Self(wanted.map(|(cache, directory)| (*cache, directory.clone())).collect())
    }

    /// Fills the private HOME, which is in `homes`, from the user's own, as far as that may be read. What cannot be filled
    /// keeps nothing else from it; the first reason is returned.
    pub(crate) fn fill(&self, homes: &Dir, private: &Dir, may_read: impl Fn(&Path) -> bool) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let known = homes.read(Path::new(MARKS), LONGEST).ok().flatten().unwrap_or_default();
        let known: BTreeSet<String> = String::from_utf8_lossy(&known).lines().map(str::to_owned).collect();
        let mut marks = known.clone();
        marks.retain(|mark| !self.0.keys().any(|cache| mark.split(' ').next() == Some(cache.name())));
        let mut failed = Ok(());
        for (cache, directory) in &self.0 {
            match fill_one(*cache, directory, private, &may_read, &known) {
                Ok(mark) => marks.extend(mark),
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        if marks != known {
            let lines: String = marks.iter().flat_map(|mark| [mark, "\n"]).collect();
            homes.replace(Path::new(MARKS), lines.as_bytes(), 0o600)?;
        }
        failed
    }
}

/// Fills one cache unless its mark is known; returns the mark.
fn fill_one(
    cache: Cache,
    directory: &Path,
    private: &Dir,
    may_read: impl Fn(&Path) -> bool,
    known: &BTreeSet<String>,
) -> Result<Option<String>> {
    if cache == Cache::Cargo {
        link_settings(directory, private, &may_read)?;
    }
    let host = cache.host(directory);
    let own = if host.is_dir() && may_read(&host) {
        private.create_dir_all(cache.own())?
    } else {
        // Links to a cache that the user has removed are removed as well.
        match private.dir(cache.own()) {
            Ok(own) if !host.exists() => own,
            _ => return Ok(None),
        }
    };
    let mark = format!("{} {:016x}", cache.name(), fill::mark(cache, &host, &own)?);
    if !known.contains(&mark) {
        fill::fill(cache, &host, &own, cache.most())?;
    }
    Ok(Some(mark))
}

/// Links cargo's settings.
fn link_settings(cargo: &Path, private: &Dir, may_read: impl Fn(&Path) -> bool) -> Result<()> {
    let own = private.create_dir_all(Path::new(".cargo"))?;
    for name in ["config.toml", "config"] {
        let file = cargo.join(name);
        if file.is_file() && may_read(&file) && own.stat(Path::new(name))?.is_none() {
            own.create_link(file.as_os_str(), Path::new(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make files by hand")]
mod tests;
