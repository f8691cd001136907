//! A `.git` built anew from what a snapshot recorded of it: the small files as they were, and a pack of all objects that
//! they name and the pool lacks.
//!
//! Submodules' git directories, below `modules/`, are made in the same way. Their objects come over from another `.git` as far as
//! they are there, and the pack has the others.
//!
//! What was not recorded and no command changes (`lfs/`, descriptions) comes over from another `.git`, and so does what could
//! not be read when the rest was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use anyhow::Context;

use super::{Left, Running, carry, settings};
use crate::error::Result;
use crate::git::gitdir::{self, File, Files};
use crate::git::recorded::{is_at_or_below, join};
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
    /// Whether submodules' git directories are recorded with it, if there were any.
    pub(crate) with_modules: bool,
    /// Those that are in [`Source::Later`] as they were, with their objects.
    pub(crate) settled: &'a BTreeSet<Vec<u8>>,
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
    fill(recorded, source, &into).with_context(|| format!("cannot build `{}`", into.display()))
}

fn fill(recorded: &Recorded<'_>, source: &Source, into: &Path) -> Result<Lacks> {
    let parts = gitdir::parts(gitdir::files(recorded.store.repository(), recorded.gitdir)?);
    let modules: BTreeSet<Vec<u8>> = parts.keys().filter(|module| !module.is_empty()).cloned().collect();
    let mut lacks = Lacks::default();
    for (module, files) in parts {
        one(recorded, source, (into, &module), files, &mut lacks)?;
    }
    let dir = Dir::open(into)?;
    if let Some(from) = source.dir(b"") {
        if recorded.with_modules {
            for path in recorded.unread.iter().filter(|path| is_outside(path, &modules)) {
                carry::module(&from, &dir, as_path(path), recorded.running, &mut lacks.left)?;
            }
        } else {
            carry::all_modules(&from, &dir, recorded.running, &mut lacks.left)?;
        }
    }
    if recorded.running == Running::Dropped {
        calm(recorded, &dir, &modules)?;
    }
    Ok(lacks)
}

/// Fills one git directory: `.git` itself, where `module` is empty, or that of a submodule.
fn one(
    recorded: &Recorded<'_>,
    source: &Source,
    (into, module): (&Path, &[u8]),
    mut files: Files,
    lacks: &mut Lacks,
) -> Result<()> {
    let repository = recorded.store.repository();
    if recorded.running == Running::Dropped {
        files.retain(|path, file| !agentdir::runs_as_file(path, file.mode));
    }
    let place = into.join(as_path(module));
    // A run may have put a file in the place of one of these.
    let directories = ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "hooks"];
    for directory in directories.iter().filter(|one| !files.keys().any(|file| is_at_or_below(one.as_bytes(), file))) {
        let path = place.join(directory);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
    }
    let (top, dir) = (Dir::open(into)?, Dir::open(&place)?);
    if let Some(pool) = recorded.pool.filter(|_| module.is_empty()) {
        let line = [pool.join("objects").as_os_str().as_bytes(), b"\n"].concat();
        super::put(&dir, "objects/info/alternates", &line)?;
    }
    let odb = repository.odb().context("cannot open objects")?;
    let (known, missing): (Vec<Oid>, Vec<Oid>) =
        gitdir::named(repository, &files).into_iter().partition(|id| odb.exists(*id));
    let mut missing: BTreeSet<Oid> = missing.into_iter().collect();
    let unread: Vec<&[u8]> = recorded.unread.iter().filter_map(|path| within(path, module)).collect();
    let from = source.dir(module);
    let is_settled = matches!(source, Source::Later(_)) && recorded.settled.contains(module);
    let mut left = Left::new();
    match (&from, source) {
        (None, _) | (_, Source::Nothing) => {}
        (Some(from), _) if is_settled => carry::all_objects(from, &dir, &mut left)?,
        (Some(_), Source::Later(_)) if module.is_empty() && missing.is_empty() && unread.is_empty() => {}
        // Those of another format, and what no file names that is known here. No pool has what a submodule's are, and they may
        // be many.
        (Some(from), _) => carry::objects(from, &dir, &mut left)?,
    }
    if !missing.is_empty() && !is_settled {
        missing = import::lacking(&dir, None, &missing)?;
        if let Some(from) = from.as_ref().filter(|_| !module.is_empty() && !missing.is_empty())
            && carry::alternates(from, &dir)?
        {
            missing.clear();
        }
        if !missing.is_empty() {
            let lost = without(recorded.store, &mut files, &missing)?;
            let name = |name: String| join(module, name.as_bytes());
            lacks.refs.extend(lost.into_iter().map(|lost| String::from_utf8_lossy(&name(lost)).into_owned()));
        }
    }
    for (path, file) in &files {
        write(recorded, &top, &join(module, path), *file)?;
    }
    if module.is_empty() {
        pack::write_beyond_alternates(repository, &known, &place)?;
    } else if !is_settled {
        pack::write_absent(repository, &known, &import::ids(&dir), &place)?;
    }
    if let Some(from) = &from {
        carry::unrecorded(from, &dir, &mut left)?;
        for path in unread {
            carry::as_it_is(from, &dir, as_path(path), &mut left)?;
        }
    }
    lacks.left.extend(left.into_iter().map(|(path, reason)| (as_path(module).join(path), reason)));
    Ok(())
}

/// Takes what would run something out of the configuration, of `.git` itself and of submodules' git directories wherever they came from.
fn calm(recorded: &Recorded<'_>, dir: &Dir, modules: &BTreeSet<Vec<u8>>) -> Result<()> {
    let found = agentdir::modules(dir).into_iter().map(|path| path.into_os_string().into_vec());
    let modules: BTreeSet<Vec<u8>> = found.chain(modules.iter().cloned()).chain([Vec::new()]).collect();
    for module in modules {
        let path = (!module.is_empty()).then(|| as_path(&module));
        let git = dir.dir(path.unwrap_or(Path::new(".")))?;
        if !agentdir::runs_something(&git, path) {
            continue;
        }
        let config = Path::new("config");
        let worktree = path.and_then(|path| settings::worktree_in(&git, path));
        let text = settings::text(&[settings::harmless_in(&git), worktree.into_iter().collect()].concat());
        git.remove_all(config)?;
        git.replace(config, text.as_bytes(), recorded.mode(&join(&module, b"config")).unwrap_or(0o644))?;
    }
    Ok(())
}

/// Returns the path in the git directory `module` of what is in it, and in no submodule's of its own.
fn within<'p>(path: &'p [u8], module: &[u8]) -> Option<&'p [u8]> {
    let inner = if module.is_empty() { path } else { path.strip_prefix(module)?.strip_prefix(b"/")? };
    (!is_at_or_below(inner, b"modules")).then_some(inner)
}

/// Returns whether a path is in none of these, and not in `.git` itself: a submodule's whole git directory, or several.
fn is_outside(path: &[u8], modules: &BTreeSet<Vec<u8>>) -> bool {
    within(path, b"").is_none() && !modules.iter().any(|module| within(path, module).is_some())
}

impl Source {
    /// Returns one git directory of it.
    fn dir(&self, module: &[u8]) -> Option<Dir> {
        match self {
            Self::Nothing => None,
            Self::Later(from) | Self::Same(from) if module.is_empty() => from.dir(Path::new(".")).ok(),
            Self::Later(from) | Self::Same(from) => from.dir(as_path(module)).ok(),
        }
    }
}

/// Takes refs and log entries out that name what is nowhere, and returns the names of the refs: git would find fault with
/// the whole repository.
fn without(store: &Store, files: &mut Files, missing: &BTreeSet<Oid>) -> Result<Vec<String>> {
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
    let is_text = |path: &[u8]| path == b"packed-refs" || gitdir::in_worktree(path).starts_with(b"logs/");
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
    let path = as_path(path);
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

fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}
