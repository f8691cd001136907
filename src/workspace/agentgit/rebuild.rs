//! A `.git` built anew from what a snapshot recorded of it: the small files as they were, and a pack of all objects that
//! they name and the pool lacks.
//!
//! What was not recorded and no command changes (submodules' git directories, `lfs/`, descriptions) comes over from the `.git`
//! that is there now, objects only where the store lacks some.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context;

use super::{Running, carry, settings};
use crate::error::Result;
use crate::git::gitdir::{self, File};
use crate::git::repository::Store;
use crate::git::{ObjectType, Oid, agentdir, pack};
use crate::store::beneath::Dir;

/// What a new `.git` is made of.
pub(crate) struct Recorded<'a> {
    pub(crate) store: &'a Store,
    /// The tree of the small files in the store.
    pub(crate) gitdir: Oid,
    /// The pool whose objects are borrowed.
    pub(crate) pool: Option<&'a Path>,
    /// Permission bits that are not as usual, by the paths in `.git`.
    pub(crate) modes: &'a BTreeMap<Vec<u8>, u32>,
    pub(crate) running: Running,
}

/// Builds the `.git` in the empty directory `place`. `old` is the one that is there now. Returns the refs that could not be
/// brought back, because their objects are nowhere.
pub(crate) fn rebuild(recorded: &Recorded<'_>, old: Option<&Dir>, place: &Path) -> Result<Vec<String>> {
    let into = place.join(".git");
    fill(recorded, old, place, &into).with_context(|| format!("cannot build `{}`", into.display()))
}

fn fill(recorded: &Recorded<'_>, old: Option<&Dir>, place: &Path, into: &Path) -> Result<Vec<String>> {
    let repository = recorded.store.repository();
    let mut files = gitdir::files(repository, recorded.gitdir)?;
    if recorded.running == Running::Dropped {
        files.retain(|path, file| !agentdir::runs_as_file(path, file.mode));
    }
    for directory in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "hooks"] {
        let path = into.join(directory);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
    }
    let dir = Dir::open(into)?;
    if let Some(pool) = recorded.pool {
        let line = [pool.join("objects").as_os_str().as_bytes(), b"\n"].concat();
        super::put(&dir, "objects/info/alternates", &line)?;
    }
    let odb = repository.odb().context("cannot open objects")?;
    let (known, missing): (Vec<Oid>, Vec<Oid>) =
        gitdir::named(repository, &files).into_iter().partition(|id| odb.exists(*id));
    let mut lost = Vec::new();
    if !missing.is_empty() {
        match old {
            // They may be there: nobody can say before git reads them.
            Some(old) => carry::objects(old, &dir)?,
            None => lost = without(recorded.store, &mut files, &missing.into_iter().collect())?,
        }
    }
    for (path, file) in &files {
        write(recorded, &dir, path, *file)?;
    }
    if recorded.running == Running::Dropped && !agentdir::held_config(&Dir::open(place)?).is_empty() {
        let text = settings::text(&settings::harmless_in(&dir));
        dir.replace(Path::new("config"), text.as_bytes(), recorded.mode(b"config").unwrap_or(0o644))?;
    }
    pack::write_beyond_alternates(repository, &known, into)?;
    if let Some(old) = old {
        carry::unrecorded(old, &dir, recorded.running)?;
    }
    Ok(lost)
}

/// Takes refs and log entries out that name what is nowhere, and returns the names of the refs: git would find fault with
/// the whole repository.
fn without(store: &Store, files: &mut BTreeMap<Vec<u8>, File>, missing: &BTreeSet<Oid>) -> Result<Vec<String>> {
    let repository = store.repository();
    let refs = gitdir::refs(repository, files);
    let is_missing = |text: &[u8]| {
        std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).is_some_and(|id| missing.contains(&id))
    };
    let lost: Vec<String> = refs
        .into_iter()
        .filter(|(name, value)| name.starts_with("refs/") && is_missing(value.as_bytes()))
        .map(|(name, _)| name)
        .collect();
    files.retain(|path, _| !lost.iter().any(|name| name.as_bytes() == path.as_slice()));
    let is_text = |path: &[u8]| path == b"packed-refs" || path.starts_with(b"logs/");
    for (_, file) in files.iter_mut().filter(|(path, _)| is_text(path)) {
        let blob = repository.find_blob(file.id).context("cannot read a blob")?;
        let mut peeled = false;
        let kept: Vec<&[u8]> = blob
            .content()
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| {
                let ids = [line.get(..40), line.get(41..81)];
                let drop = if line.starts_with(b"^") { peeled } else { ids.into_iter().flatten().any(is_missing) };
                peeled = drop;
                !drop
            })
            .collect();
        file.id = store.write(ObjectType::Blob, kept.concat())?;
    }
    store.flush()?;
    Ok(lost)
}

impl Recorded<'_> {
    /// Returns the permission bits of a file that are not as usual.
    fn mode(&self, path: &[u8]) -> Option<u32> {
        self.modes.get(path).map(|mode| mode & 0o777)
    }
}

fn write(recorded: &Recorded<'_>, dir: &Dir, path: &[u8], file: File) -> Result<()> {
    use std::io::Write;
    let mode = recorded.mode(path);
    let path = Path::new(OsStr::from_bytes(path));
    let shown = || format!("cannot write `.git/{}`", path.display());
    let blob = recorded.store.repository().find_blob(file.id).with_context(shown)?;
    if file.is_link() {
        return dir.create_link(OsStr::from_bytes(blob.content()), path);
    }
    let usual = if file.mode & 0o100 == 0 { 0o644 } else { 0o755 };
    // One that is private is so before there is something in it.
    let mut to = dir.create_file(path, usual & mode.unwrap_or(usual))?;
    if let Some(mode) = mode {
        rustix::fs::fchmod(&to, rustix::fs::Mode::from_raw_mode(mode)).with_context(shown)?;
    }
    to.write_all(blob.content()).with_context(shown)
}
