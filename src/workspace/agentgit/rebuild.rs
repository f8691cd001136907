//! A `.git` built anew from what a snapshot recorded of it: the small files as they were, and a pack of all objects that
//! they name and the pool lacks.
//!
//! What was not recorded and no command changes (submodules' git directories, `lfs/`, descriptions) comes over from another
//! `.git`, and so does what could not be read when the rest was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context;

use super::{Left, Running, carry, settings};
use crate::error::Result;
use crate::git::gitdir::{self, File};
use crate::git::recorded::is_at_or_below;
use crate::git::repository::Store;
use crate::git::{ObjectType, Oid, agentdir, import, pack};
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
    /// Paths in `.git` that could not be read when it was recorded.
    pub(crate) unread: &'a [Vec<u8>],
    pub(crate) running: Running,
}

/// What a new `.git` is without.
#[derive(Debug, Default)]
pub(crate) struct Lacks {
    /// Refs of which the objects are nowhere.
    pub(crate) refs: Vec<String>,
    /// What is in the old one and could not come over.
    pub(crate) left: Left,
}

/// Where what is not recorded comes from.
pub(crate) enum Source {
    Nothing,
    /// From what the `.git` has become since.
    Later(Dir),
    /// From the very one that was recorded.
    Same(Dir),
}

/// Builds the `.git` in the empty directory `place`.
pub(crate) fn rebuild(recorded: &Recorded<'_>, source: &Source, place: &Path) -> Result<Lacks> {
    let into = place.join(".git");
    fill(recorded, source, place, &into).with_context(|| format!("cannot build `{}`", into.display()))
}

fn fill(recorded: &Recorded<'_>, source: &Source, place: &Path, into: &Path) -> Result<Lacks> {
    let repository = recorded.store.repository();
    let mut files = gitdir::files(repository, recorded.gitdir)?;
    if recorded.running == Running::Dropped {
        files.retain(|path, file| !agentdir::runs_as_file(path, file.mode));
    }
    // A run may have put a file in the place of one of these.
    let directories = ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "hooks"];
    for directory in directories.iter().filter(|one| !files.keys().any(|file| is_at_or_below(one.as_bytes(), file))) {
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
    let mut lacks = Lacks::default();
    let mut missing: BTreeSet<Oid> = missing.into_iter().collect();
    match source {
        Source::Nothing => {}
        // Those of another format, and what no file names that is known here.
        Source::Same(same) => carry::objects(same, &dir, &mut lacks.left)?,
        Source::Later(_) if missing.is_empty() && recorded.unread.is_empty() => {}
        Source::Later(later) => carry::objects(later, &dir, &mut lacks.left)?,
    }
    if !missing.is_empty() {
        missing = import::lacking(&dir, None, &missing)?;
    }
    if !missing.is_empty() {
        lacks.refs = without(recorded.store, &mut files, &missing)?;
    }
    for (path, file) in &files {
        write(recorded, &dir, path, *file)?;
    }
    if recorded.running == Running::Dropped && !agentdir::held_config(&Dir::open(place)?).is_empty() {
        let text = settings::text(&settings::harmless_in(&dir));
        dir.replace(Path::new("config"), text.as_bytes(), recorded.mode(b"config").unwrap_or(0o644))?;
    }
    pack::write_beyond_alternates(repository, &known, into)?;
    if let Source::Later(from) | Source::Same(from) = source {
        carry::unrecorded(from, &dir, recorded.running, &mut lacks.left)?;
        for path in recorded.unread {
            carry::as_it_is(from, &dir, Path::new(OsStr::from_bytes(path)), &mut lacks.left)?;
        }
    }
    Ok(lacks)
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
