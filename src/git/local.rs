//! Sources on this machine: what a local repository advertises, and its objects copied into a pool.
//!
//! Objects are copied file by file (by reflink where possible), never hard-linked and never borrowed: what later happens
//! to the source cannot reach the pool. Each file appears under its final name in one step, a pack before its index.
//! What libgit2 cannot read (sha256, reftable, partial clones with missing objects) is refused by name.

use std::collections::{BTreeMap, HashSet};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use git2::{ErrorCode, ObjectType, Odb, OdbLookupFlags, Oid, Repository, RepositoryOpenFlags};

use crate::error::{Failure, Kind, Result};
use crate::git::pool::{Advertised, SourceHead};
use crate::progress::{self, Phase, Progress};
use crate::store::fs::{self, Durability};

/// Copies under construction; left behind only by a crash, and swept by the next copy.
const TEMPORARY: &str = "tmp_stead_";
/// Alternates of alternates, as git bounds them.
const MAX_ALTERNATES_DEPTH: usize = 5;

/// Opens a repository at `path` itself, not above it.
pub(super) fn open(path: &Path) -> Result<Repository> {
    let none: [&std::ffi::OsStr; 0] = [];
    Repository::open_ext(path, RepositoryOpenFlags::NO_SEARCH, none).map_err(|error| {
        let message = error.message();
        if error.code() == ErrorCode::NotFound {
            Failure::new(Kind::NotFound, format!("`{}` is not a git repository", path.display())).into()
        } else if ["extension", "object format", "repository version", "refstorage", "objectformat"]
            .iter()
            .any(|word| message.contains(word))
        {
            Failure::new(
                Kind::Unsupported,
                format!("cannot read the repository `{}`: {message}", path.display()),
            )
            .hint("repositories with sha256 objects or reftable refs cannot be read; convert it or clone it in the usual format")
            .into()
        } else {
            anyhow::Error::new(error).context(format!("cannot open the repository `{}`", path.display()))
        }
    })
}

/// Returns the HEAD of the linked worktree at `path`; `None` when it is none.
pub(super) fn linked_head(path: &Path) -> Result<Option<SourceHead>> {
    let repository = open(path)?;
    if repository.is_worktree() { head(&repository) } else { Ok(None) }
}

fn head(repository: &Repository) -> Result<Option<SourceHead>> {
    let head = repository.find_reference("HEAD").context("cannot read the source's HEAD")?;
    Ok(match (head.symbolic_target().ok().flatten(), head.target()) {
        (Some(target), _) => Some(SourceHead::Branch(target.to_owned())),
        (None, Some(commit)) => Some(SourceHead::Detached(commit)),
        (None, None) => None,
    })
}

/// Returns the heads, the tags and the `requests` of a local repository, and its HEAD; of a linked worktree those of the
/// repository that it belongs to, and its own HEAD as a ref when no branch is checked out.
pub(super) fn advertised(repository: &Repository, requests: &[String]) -> Result<Advertised> {
    let mut refs = Vec::new();
    if repository.is_worktree() {
        if let Some(SourceHead::Detached(commit)) = head(repository)? {
            let place = repository.path().as_os_str().as_encoded_bytes();
            refs.push((format!("refs/stead/linked-{}", Oid::hash_object(ObjectType::Blob, place)?), commit));
        }
        let common = open(repository.commondir())?;
        let mut advertised = advertised(&common, requests)?;
        advertised.refs.append(&mut refs);
        advertised.refs.sort();
        return Ok(advertised);
    }
    // libgit2 passes over files and directories that it cannot read.
    let mut unread = loose_refs(repository.commondir())?;
    for reference in repository.references().context("cannot list the source's refs")? {
        let reference = reference.context("cannot read a ref of the source")?;
        unread.remove(reference.name_bytes());
        let Ok(name) = reference.name() else { continue };
        let wanted =
            name.starts_with("refs/heads/") || name.starts_with("refs/tags/") || requests.iter().any(|r| r == name);
        if !wanted {
            continue;
        }
        let name = name.to_owned();
        // A symbolic ref that leads nowhere is skipped as git's own advertisement does.
        let direct = reference.target();
        if let Some(target) = direct.or_else(|| reference.resolve().ok().and_then(|reference| reference.target())) {
            refs.push((name, target));
        }
    }
    if let Some(path) = unread.values().find(|path| names_something(path)) {
        anyhow::bail!("cannot read the ref `{}`", path.display());
    }
    refs.sort();
    let head = head(repository)?;
    let cut = repository.commondir().join("shallow");
    let shallow = match std::fs::read(&cut) {
        Ok(content) => Some(content).filter(|content| !content.is_empty()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", cut.display())),
    };
    Ok(Advertised { refs, head, shallow })
}

/// Returns the files of heads and tags by their names.
fn loose_refs(directory: &Path) -> Result<BTreeMap<Vec<u8>, PathBuf>> {
    let mut found = BTreeMap::new();
    for kind in ["refs/heads", "refs/tags"] {
        let top = directory.join(kind);
        if !top.is_dir() {
            continue;
        }
        for entry in walkdir::WalkDir::new(&top) {
            let entry = match entry {
                Ok(entry) => entry,
                // Deleted or packed meanwhile.
                Err(error) if error.io_error().is_some_and(|error| error.kind() == ErrorKind::NotFound) => continue,
                Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", top.display())),
            };
            if entry.file_type().is_file() {
                let name = entry.path().strip_prefix(directory).expect("walked from there");
                found.insert(name.as_os_str().as_bytes().to_vec(), entry.into_path());
            }
        }
    }
    Ok(found)
}

/// Returns whether a file that libgit2 has passed over is a ref after all: not one that went meanwhile, a lock, or nonsense,
/// which git passes over too.
fn names_something(path: &Path) -> bool {
    if path.extension().is_some_and(|ending| ending == "lock") {
        return false;
    }
    match std::fs::read(path) {
        Ok(content) => std::str::from_utf8(content.trim_ascii()).is_ok_and(|text| Oid::from_str(text).is_ok()),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// Fails as unsupported when the repository is a partial clone and objects that its `tips` need are missing.
pub(super) fn check_complete(repository: &Repository, tips: &[Oid]) -> Result<()> {
    let promised = object_directories(&repository.commondir().join("objects"))?.iter().any(|directory| {
        std::fs::read_dir(directory.join("pack")).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.path().extension().is_some_and(|ending| ending == "promisor"))
        })
    });
    if !promised {
        return Ok(());
    }
    let missing = || -> Result<bool, git2::Error> {
        let odb = repository.odb()?;
        let mut seen = HashSet::new();
        let mut walk = repository.revwalk()?;
        for tip in tips {
            if repository.find_object(*tip, None)?.peel_to_commit().is_ok_and(|commit| walk.push(commit.id()).is_err())
            {
                return Ok(true);
            }
        }
        for commit in walk {
            let mut trees = vec![repository.find_commit(commit?)?.tree_id()];
            while let Some(tree) = trees.pop() {
                if !seen.insert(tree) {
                    continue;
                }
                for entry in &repository.find_tree(tree)? {
                    match entry.kind() {
                        Some(ObjectType::Tree) => trees.push(entry.id()),
                        Some(ObjectType::Blob) if seen.insert(entry.id()) && !odb.exists(entry.id()) => {
                            return Ok(true);
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(false)
    };
    if missing().unwrap_or(true) {
        return Err(Failure::new(
            Kind::Unsupported,
            format!("`{}` is a partial clone that lacks objects", repository.path().display()),
        )
        .hint("fetch what is missing with `git fetch --refetch --no-filter`, or name its remote as the source")
        .into());
    }
    Ok(())
}

/// Copies every object of `repository` (and of its alternates) that the pool at `pool` lacks.
pub(super) fn copy_objects(repository: &Repository, pool: &Path, progress: &dyn Progress) -> Result<()> {
    let target = pool.join("objects");
    let known = open(pool)?;
    let odb = known.odb().context("cannot open the pool's objects")?;
    sweep_temporary(&target)?;
    let directories = object_directories(&repository.commondir().join("objects"))?;
    // A source that is repacked meanwhile moves objects from loose to packed: loose ones first, so that what vanishes
    // here is found there. A pack that vanishes has been replaced: list again.
    for directory in &directories {
        copy_loose(directory, &target, &odb, progress)?;
    }
    let mut attempts = 0;
    while !copy_packs(&directories, &target, &odb, progress)? {
        attempts += 1;
        anyhow::ensure!(attempts < 5, "the source `{}` is being repacked again and again", repository.path().display());
    }
    progress.finish(Phase::Receive);
    Ok(())
}

/// Returns `objects` and every directory that it borrows from.
fn object_directories(objects: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![objects.to_owned()];
    let mut level = vec![objects.to_owned()];
    for _ in 0..MAX_ALTERNATES_DEPTH {
        let mut next = Vec::new();
        for directory in level {
            let list = directory.join("info/alternates");
            let text = match std::fs::read_to_string(&list) {
                Ok(text) => text,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", list.display())),
            };
            for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let path = directory.join(line);
                if path.is_dir() && !found.contains(&path) {
                    found.push(path.clone());
                    next.push(path);
                }
            }
        }
        level = next;
    }
    Ok(found)
}

fn copy_loose(from: &Path, to: &Path, odb: &Odb<'_>, progress: &dyn Progress) -> Result<()> {
    let mut done = 0;
    for first in 0..=255_u8 {
        let fan = format!("{first:02x}");
        // What cannot be read would be missing from the pool for ever.
        for path in fs::entries(&from.join(&fan))? {
            let name = path.file_name().unwrap_or_default();
            let Some(rest) = name.to_str().filter(|rest| rest.len() == 38) else { continue };
            let Ok(oid) = Oid::from_str(&format!("{fan}{rest}")) else { continue };
            if odb.exists_ext(oid, OdbLookupFlags::NO_REFRESH) {
                continue;
            }
            progress::check(progress)?;
            std::fs::create_dir_all(to.join(&fan))
                .with_context(|| format!("cannot make `{}`", to.join(&fan).display()))?;
            copy_in(&path, to, &to.join(&fan).join(rest), Durability::Lazy)?;
            done += 1;
            progress.report(Phase::Receive, done, 0);
        }
    }
    Ok(())
}

/// Copies the packs that hold something new; `false` when one vanished meanwhile.
fn copy_packs(directories: &[PathBuf], to: &Path, odb: &Odb<'_>, progress: &dyn Progress) -> Result<bool> {
    let mut packs = Vec::new();
    for directory in directories {
        for path in fs::entries(&directory.join("pack"))? {
            let is_index = path.extension().is_some_and(|ending| ending == "idx");
            if let Some(name) = path.file_stem().filter(|_| is_index)
                && !to.join("pack").join(name).with_extension("idx").exists()
            {
                packs.push(path);
            }
        }
    }
    let total = packs.len() as u64;
    for (done, index) in packs.into_iter().enumerate() {
        progress::check(progress)?;
        progress.report(Phase::Receive, done as u64, total);
        let ids = match std::fs::read(&index) {
            Ok(content) => pack_objects(&content),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read `{}`", index.display()));
            }
        };
        // A source that was repacked has one new pack of nothing but old objects.
        if ids.is_some_and(|ids| ids.iter().all(|oid| odb.exists_ext(*oid, OdbLookupFlags::NO_REFRESH))) {
            continue;
        }
        let name = index.file_stem().unwrap_or_default();
        for ending in ["pack", "idx"] {
            let final_path = to.join("pack").join(name).with_extension(ending);
            if !copy_in(&index.with_extension(ending), to, &final_path, Durability::Synced)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Returns the object names in a pack index of version 2; `None` for any other.
fn pack_objects(index: &[u8]) -> Option<Vec<Oid>> {
    const HEADER: usize = 8;
    const FAN_OUT: usize = 256 * 4;
    if index.get(..HEADER)? != b"\xfftOc\0\0\0\x02" {
        return None;
    }
    let last = index.get(HEADER + FAN_OUT - 4..HEADER + FAN_OUT)?;
    let count = usize::try_from(u32::from_be_bytes(last.try_into().ok()?)).ok()?;
    let names = index.get(HEADER + FAN_OUT..(HEADER + FAN_OUT).checked_add(count.checked_mul(20)?)?)?;
    names.chunks_exact(20).map(|name| Oid::from_bytes(name).ok()).collect()
}

/// Copies one file to its final name in one step; `false` when the source's file has vanished.
fn copy_in(from: &Path, objects: &Path, to: &Path, durability: Durability) -> Result<bool> {
    let name = to.file_name().unwrap_or_default();
    let temporary = objects.join("pack").join(format!("{TEMPORARY}{}", name.to_string_lossy()));
    if to.exists() {
        return Ok(true);
    }
    if let Err(error) = fs::copy_file(from, &temporary) {
        return if from.exists() { Err(error) } else { Ok(false) };
    }
    fs::publish(&temporary, to, durability)?;
    Ok(true)
}

fn sweep_temporary(objects: &Path) -> Result<()> {
    let packs = objects.join("pack");
    let entries = std::fs::read_dir(&packs).with_context(|| format!("cannot read `{}`", packs.display()))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            let path = entry.path();
            std::fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
    }
    Ok(())
}
