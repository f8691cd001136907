//! What is looked at under the root.

use std::collections::BTreeSet;

use crate::cmd::doctor::objects::Objects;
use crate::cmd::doctor::{Args, Check, Status, runs};
use crate::config::Config;
use crate::error::{Failure, Result};
use crate::store::fs::{self, Durability};
use crate::store::lease::Lease;
use crate::store::name::WorkspaceName;
use crate::store::root::{Root, UserRoot, private};
use crate::store::staging;
use crate::ui::Ui;
use crate::ui::text::bytes;
use crate::workspace::repair::{self, Problem};
use crate::workspace::trash;

/// Bytes below which free space is worth a warning.
const LITTLE_SPACE: u64 = 1 << 30;
/// Files below which their number is worth a warning.
const FEW_FILES: u64 = 10_000;

pub(super) fn checks(config: &Config, args: &Args, ui: &Ui) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    checks.push(space(config));
    // Why it cannot be repaired is said by what opens it.
    if args.repair && Root::repair_format(&config.root).unwrap_or(false) {
        let message = format!("{} did not say its format; it does again", config.root.display());
        checks.push(Check::new("root", Status::Repaired, message));
    }
    match Root::open(&config.root) {
        Ok(Some(root)) => {
            checks.insert(
                0,
                Check::new("root", Status::Ok, format!("{} is private and of format 1", root.path().display())),
            );
            if let Err(error) = inside(&root, args, config, ui, &mut checks) {
                crate::progress::check(ui.progress())?;
                checks.push(failed("root", &error));
            }
        }
        Ok(None) => {
            let message = format!("{} is not there yet; the first workspace makes it", config.root.display());
            checks.insert(0, Check::new("root", Status::Ok, message));
        }
        Err(error) => checks.insert(0, failed("root", &error)),
    }
    Ok(checks)
}

fn inside(root: &Root, args: &Args, config: &Config, ui: &Ui, checks: &mut Vec<Check>) -> Result<()> {
    let repair = args.repair;
    let mut used = BTreeSet::new();
    let mut known = true;
    let mut whole = 0;
    let mut objects = Objects::new(args, config, ui);
    for at in root.users()? {
        // Before the workspaces, which may lack no more than what is fetched here.
        let pools = objects.pools(&at)?;
        checks.extend(pools.checks);
        used.extend(pools.used);
        known &= pools.known;
        checks.extend(locks(&at, repair)?);
        for name in at.names_of_any_part()? {
            crate::progress::check(ui.progress())?;
            let mut found = workspace(&at, &name, repair)?;
            if args.deep && found.is_empty() {
                found.extend(objects.store(&at, &name)?);
            }
            let is_whole = found.iter().all(|check| check.status == Status::Repaired);
            whole += usize::from(is_whole);
            checks.extend(found);
            if is_whole {
                checks.extend(runs::checks(&at, &name, repair).unwrap_or_else(|error| vec![failed("run", &error)]));
            }
        }
    }
    checks.push(Check::new("workspaces", Status::Ok, format!("{whole} whole")));
    let dead = if repair { staging::sweep(root)? } else { staging::dead(root)?.len() };
    checks.push(match (dead, repair) {
        (0, _) => Check::new("staging", Status::Ok, "nothing dead"),
        (_, true) => {
            Check::new("staging", Status::Repaired, format!("{dead} left by commands that never ended, removed"))
        }
        (_, false) => Check::new("staging", Status::Warning, format!("{dead} left by commands that never ended"))
            .hint("`stead gc` or `stead doctor --repair` removes them"),
    });
    checks.push(permissions(root, repair)?);
    checks.extend(trash(root, repair)?);
    if known {
        let keys: BTreeSet<&str> = used.iter().map(String::as_str).collect();
        let pools = fs::entries(&root.pools())?;
        let unused = pools.iter().filter(|path| path.extension().is_some_and(|extension| extension == "git"));
        let unused =
            unused.filter(|path| path.file_stem().and_then(|key| key.to_str()).is_none_or(|key| !keys.contains(key)));
        match unused.count() {
            0 => {}
            count => checks.push(Check::new("pools", Status::Info, format!("{count} that no workspace uses"))),
        }
    }
    Ok(())
}

/// Looks whether others could read what is stead's own.
fn permissions(root: &Root, repair: bool) -> Result<Check> {
    let loose = private::loose(root)?;
    let Some(first) = loose.iter().find(|loose| loose.foreign).or(loose.first()) else {
        return Ok(Check::new("permissions", Status::Ok, "nobody else can read or enter"));
    };
    let more = if loose.len() > 1 { format!(", and {} more", loose.len() - 1) } else { String::new() };
    if first.foreign {
        let message = format!("`{}` belongs to somebody else{more}", first.path.display());
        return Ok(Check::new("permissions", Status::Problem, message).hint("give it back to yourself with `chown`"));
    }
    let message = format!("others may read or enter `{}`{more}", first.path.display());
    if !repair {
        return Ok(Check::new("permissions", Status::Problem, message).hint("`stead doctor --repair` mends it"));
    }
    loose.iter().try_for_each(|loose| private::tighten(&loose.path))?;
    Ok(Check::new("permissions", Status::Repaired, format!("{message}; not any more")))
}

/// Looks for what restores have left, and for entries that do not say what they are.
fn trash(root: &Root, repair: bool) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    let (spent, entries): (Vec<_>, Vec<_>) = trash::entries(root)?.into_iter().partition(trash::Entry::is_spent);
    if !spent.is_empty() {
        let message = format!("{} that a restore has left empty", spent.len());
        checks.push(if repair {
            for entry in &spent {
                entry.remove_spent()?;
            }
            Check::new("trash", Status::Repaired, format!("{message}, removed"))
        } else {
            Check::new("trash", Status::Warning, message).hint("`stead gc` or `stead doctor --repair` removes them")
        });
    }
    let unknown = entries.iter().filter(|entry| entry.why.is_none()).count();
    if unknown > 0 {
        let message = format!("{unknown} entries do not say what they are; they are kept");
        checks.push(Check::new("trash", Status::Warning, message));
    }
    if checks.is_empty() {
        checks.push(Check::new("trash", Status::Ok, format!("{} kept", entries.len())));
    }
    Ok(checks)
}

/// Looks for what is in the place of a lock and is none; no lease of that name can be taken.
fn locks(at: &UserRoot, repair: bool) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    for name in at.names_of_locks()? {
        let path = at.lock(&name);
        if std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        let message = format!("`{}` is not a file, and nobody can work in `{name}`", path.display());
        checks.push(if repair {
            let aside = path.with_file_name(format!(".{name}.damaged-{}", fs::unique_id()));
            fs::publish(&path, &aside, Durability::Lazy)?;
            Check::new("lock", Status::Repaired, format!("{message}; it is put aside"))
        } else {
            Check::new("lock", Status::Problem, message).hint("`stead doctor --repair` puts it aside")
        });
    }
    Ok(checks)
}

fn workspace(at: &UserRoot, name: &WorkspaceName, repair: bool) -> Result<Vec<Check>> {
    let found = match repair::examine(at, name) {
        Ok(found) => found,
        Err(error) => return Ok(vec![failed("workspace", &error)]),
    };
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut checks = Vec::new();
    // In use, it may be half-way on purpose.
    let Some(lease) = Lease::try_acquire(&at.lock(name), "doctor")? else {
        return Ok(vec![Check::new("workspace", Status::Info, format!("`{name}` is in use"))]);
    };
    let mut lease = Some(lease);
    // Again, now that nobody else changes it.
    for problem in repair::examine(at, name)? {
        let words = format!("`{name}`: {}", problem.words());
        let check = if !problem.can_be_repaired() {
            let status = if matches!(problem, Problem::Clock { .. }) { Status::Warning } else { Status::Problem };
            let check = Check::new("workspace", status, words);
            problem.advice(at, name).into_iter().fold(check, Check::hint)
        } else if !repair {
            Check::new("workspace", Status::Problem, words).hint("`stead doctor --repair` mends it")
        } else {
            let held = match lease.take() {
                Some(lease) => Some(lease),
                None => Lease::try_acquire(&at.lock(name), "doctor")?,
            };
            let mended = held.map(|lease| repair::repair(at, name, &problem, lease)).transpose();
            match mended {
                Ok(Some(how)) => Check::new("workspace", Status::Repaired, format!("{words}; {how}")),
                Ok(None) => Check::new("workspace", Status::Problem, format!("{words}; it is in use")),
                Err(error) => Check::new("workspace", Status::Problem, format!("{words}; {error:#}")),
            }
        };
        checks.push(check);
    }
    drop(lease);
    Ok(checks)
}

fn space(config: &Config) -> Check {
    // The root may not be there yet; the file system it will be on is.
    let place = config.root.ancestors().find(|path| path.exists()).unwrap_or(&config.root);
    match rustix::fs::statvfs(place) {
        Ok(stat) => free(
            stat.f_bavail.saturating_mul(stat.f_frsize),
            // Some file systems have no end of files.
            Some(stat.f_favail).filter(|_| stat.f_files > 0),
        ),
        Err(_) => Check::new("space", Status::Warning, format!("cannot tell for {}", place.display())),
    }
}

/// Judges free bytes and how many more files there may be.
fn free(free: u64, files: Option<u64>) -> Check {
    if free < LITTLE_SPACE {
        Check::new("space", Status::Warning, format!("only {} are free", bytes(free)))
            .hint("`stead gc` collects what is old and safe elsewhere; `stead gc --purge` empties the trash")
    } else if let Some(files @ ..FEW_FILES) = files {
        Check::new("space", Status::Warning, format!("only {files} more files can be made"))
            .hint("`stead gc` collects what is old and safe elsewhere; `stead gc --purge` empties the trash")
    } else {
        Check::new("space", Status::Ok, format!("{} are free", bytes(free)))
    }
}

pub(super) fn failed(name: &'static str, error: &anyhow::Error) -> Check {
    let check = Check::new(name, Status::Problem, format!("{error:#}"));
    let own = "run `stead doctor --repair`";
    match Failure::of(error).and_then(|failure| failure.hint.clone()).filter(|hint| hint != own) {
        Some(hint) => check.hint(hint),
        None => check,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_space_and_few_files_are_warned_of() {
        assert_eq!(free(LITTLE_SPACE, None).status, Status::Ok);
        assert_eq!(free(LITTLE_SPACE, Some(FEW_FILES)).status, Status::Ok);
        let bytes = free(LITTLE_SPACE - 1, None);
        assert_eq!((bytes.status, bytes.message.as_str()), (Status::Warning, "only 1.1 GB are free"));
        let files = free(LITTLE_SPACE, Some(7));
        assert_eq!((files.status, files.message.as_str()), (Status::Warning, "only 7 more files can be made"));
        assert!(files.hint.is_some() && bytes.hint.is_some());
    }
}
