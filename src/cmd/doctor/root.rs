//! What is looked at under the root.

use std::collections::BTreeSet;

use crate::cmd::doctor::{Check, Status};
use crate::config::Config;
use crate::error::{Failure, Result};
use crate::git::pool::Pool;
use crate::store::fs;
use crate::store::lease::Lease;
use crate::store::name::WorkspaceName;
use crate::store::root::{Root, UserRoot, private};
use crate::store::staging;
use crate::ui::Ui;
use crate::ui::text::bytes;
use crate::workspace::repair::{self, Problem};
use crate::workspace::{Listed, Workspace, trash};

/// Bytes below which free space is worth a warning.
const LITTLE_SPACE: u64 = 1 << 30;

pub(super) fn checks(config: &Config, repair: bool, ui: &Ui) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    checks.push(space(config));
    match Root::open(&config.root) {
        Ok(Some(root)) => {
            checks.insert(
                0,
                Check::new("root", Status::Ok, format!("{} is private and of format 1", root.path().display())),
            );
            if let Err(error) = inside(&root, repair, ui, &mut checks) {
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

fn inside(root: &Root, repair: bool, ui: &Ui, checks: &mut Vec<Check>) -> Result<()> {
    let mut used = BTreeSet::new();
    let mut known = true;
    let mut whole = 0;
    for at in root.users()? {
        for name in at.names_of_any_part()? {
            crate::progress::check(ui.progress())?;
            let found = workspace(&at, &name, repair)?;
            whole += usize::from(found.iter().all(|check| check.status == Status::Repaired));
            checks.extend(found);
        }
        for listed in Workspace::all(&at)? {
            match listed {
                Listed::Whole(workspace) => used.extend(workspace.record.pool.map(|key| (at.user().clone(), key))),
                Listed::Damaged { .. } => known = false,
            }
        }
        checks.extend(pools(&at, &used));
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
        let keys: BTreeSet<&str> = used.iter().map(|(_, key)| key.as_str()).collect();
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
            Check::new("workspace", status, words)
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

/// Looks whether every pool in use has the objects that its refs name and an index for each pack.
fn pools(at: &UserRoot, used: &BTreeSet<(crate::store::name::UserId, String)>) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut whole = 0;
    for (_, key) in used.iter().filter(|(user, _)| user == at.user()) {
        match pool(at, key) {
            Ok(None) => whole += 1,
            Ok(Some(problem)) => checks.push(
                Check::new("pool", Status::Problem, format!("{key}: {problem}"))
                    .hint("`stead sync` of a workspace that uses it fetches what is missing"),
            ),
            Err(error) => checks.push(failed("pool", &error)),
        }
    }
    if whole > 0 {
        checks.push(Check::new("pools", Status::Ok, format!("{whole} in use, whole")));
    }
    checks
}

fn pool(at: &UserRoot, key: &str) -> Result<Option<String>> {
    let pool = Pool::open(at, key)?;
    let objects = pool.repository().odb()?;
    for (name, id) in pool.refs()? {
        if !objects.exists(id) {
            return Ok(Some(format!("`{name}` names {id}, which is missing")));
        }
    }
    for path in fs::entries(&pool.path().join("objects/pack"))? {
        if path.extension().is_some_and(|extension| extension == "pack") && !path.with_extension("idx").exists() {
            return Ok(Some(format!("`{}` has no index", path.display())));
        }
    }
    Ok(None)
}

fn space(config: &Config) -> Check {
    // The root may not be there yet; the file system it will be on is.
    let place = config.root.ancestors().find(|path| path.exists()).unwrap_or(&config.root);
    let Ok(stat) = rustix::fs::statvfs(place) else {
        return Check::new("space", Status::Warning, format!("cannot tell for {}", place.display()));
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < LITTLE_SPACE {
        Check::new("space", Status::Warning, format!("only {} are free", bytes(free)))
            .hint("`stead gc` collects what is old and safe elsewhere")
    } else if stat.f_files > 0 && stat.f_favail < 10_000 {
        Check::new("space", Status::Warning, format!("only {} more files can be made", stat.f_favail))
    } else {
        Check::new("space", Status::Ok, format!("{} are free", bytes(free)))
    }
}

fn failed(name: &'static str, error: &anyhow::Error) -> Check {
    let check = Check::new(name, Status::Problem, format!("{error:#}"));
    let own = "run `stead doctor --repair`";
    match Failure::of(error).and_then(|failure| failure.hint.clone()).filter(|hint| hint != own) {
        Some(hint) => check.hint(hint),
        None => check,
    }
}
