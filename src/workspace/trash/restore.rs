//! Bringing a workspace back from the trash, under its own or another name.
//!
//! Everything comes back as it was but for the name, the time of the last use, ports that somebody else has got meanwhile,
//! and that an ephemeral workspace stays: what was brought back is wanted.

use jiff::Timestamp;

use super::{Entry, WHY, busy, entries, exists, move_directory};
use crate::error::{Failure, Kind, Result};
use crate::git::pool::Pool;
use crate::store::directory_lock::DirectoryLock;
use crate::store::lease::Wait;
use crate::store::name::WorkspaceName;
use crate::store::root::UserRoot;
use crate::workspace::create::ports;
use crate::workspace::record::{self, Record};
use crate::workspace::{LeasedWorkspace, Workspace};

use anyhow::Context as _;

/// A workspace that has come back.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) workspace: LeasedWorkspace,
    pub(crate) removed: Timestamp,
    /// It was ephemeral.
    pub(crate) stays: bool,
    /// Ports that it had and that another workspace has now.
    pub(crate) lost_ports: Vec<u16>,
}

/// What a name or an id finds in the trash.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) entry: Entry,
    pub(crate) name: WorkspaceName,
    /// Ids of the others of that name, latest first.
    pub(crate) others: Vec<String>,
}

/// Finds what `text` names in the user's trash: the id of an entry, or a name, of which the one removed last is meant.
///
/// `refused` for the id of what another user has removed, `not-found` when there is nothing.
pub(crate) fn find(at: &UserRoot, text: &str) -> Result<Found> {
    let all = entries(at.root())?;
    if let Some(entry) = all.iter().find(|entry| entry.id == text) {
        let why = entry.why.as_ref().filter(|why| why.user == at.user().as_str());
        let why = why.ok_or_else(|| {
            Failure::new(Kind::Refused, format!("`{text}` in the trash is not of user `{}`", at.user()))
                .hint("name its user with `--user`")
        })?;
        if !entry.has_record() {
            return Err(Failure::new(Kind::Damaged, format!("`{text}` in the trash has no record"))
                .hint(format!("what there is of it is in `{}`", entry.path.display()))
                .into());
        }
        return Ok(Found { name: WorkspaceName::parse(&why.name)?, entry: entry.clone(), others: Vec::new() });
    }
    let name = WorkspaceName::parse(text)?;
    let mut of_name = all.into_iter().filter(|entry| {
        let named = |why: &super::Why| why.user == at.user().as_str() && why.name == name.as_str();
        entry.has_record() && (entry.why.as_ref().is_some_and(named) || entry.names(at, &name))
    });
    let entry = of_name.next_back().ok_or_else(|| not_in_trash(at, &name))?;
    let others = of_name.rev().map(|entry| entry.id).collect();
    Ok(Found { entry, name, others })
}

/// Brings back what was found, as `target`; `exists` when that name is taken. `ports` is the range for new ones.
pub(crate) fn restore(at: &UserRoot, found: &Found, target: &WorkspaceName, ports: (u16, u16)) -> Result<Restored> {
    let Found { entry, name, .. } = found;
    let lease = crate::workspace::lease(at, target, "restore", Wait::No)?;
    if let Some(other) = at.taken(target)? {
        return Err(Failure::new(Kind::Exists, format!("there is already a workspace `{other}`"))
            .hint(format!("restore it under another name with `stead restore {name} --as NEW`"))
            .into());
    }
    let lock = DirectoryLock::try_take(&entry.path)?.ok_or_else(|| busy(&entry.path))?;
    let path = entry.path.join("state").join(record::FILE);
    let mut record = Record::read(&path)?.ok_or_else(|| busy(&entry.path))?;
    if record.user != at.user().as_str() {
        let message = format!("`{}` in the trash is not of user `{}`", entry.id, at.user());
        return Err(Failure::new(Kind::Refused, message).hint("name its user with `--user`").into());
    }
    check_halves(at, entry, target)?;
    // Who looks for records that name it may look where the record goes before it comes, and where it was when it is gone.
    let pool = record.pool.as_ref().map(|key| Pool::hold(at, key)).transpose()?;
    let mut why = entry.why.clone().expect("only entries with a reason are found");
    let removed = why.removed;
    why.restoring_as = Some(target.as_str().to_owned());
    why.write(&entry.path.join(WHY))?;
    target.as_str().clone_into(&mut record.name);
    // Otherwise one that had expired would be collected again at once.
    record.last_used = Timestamp::now();
    let stays = std::mem::take(&mut record.ephemeral);
    let had = record.ports.clone();
    // Held until the record is in place, so that nobody else takes the same ports.
    let ports = ports::renew(at, ports, &mut record)?;
    let lost_ports = had.into_iter().filter(|port| !record.ports.contains(port)).collect();
    record.write(&path)?;
    for (part, to) in [("tree", at.tree(target)), ("homes", at.homes(target)), ("state", at.state(target))] {
        move_directory(&entry.path.join(part), &to).with_context(|| format!("cannot restore workspace `{name}`"))?;
    }
    drop((pool, ports, lock));
    // What stays behind is spent, and collected.
    let _removed: Result<bool> = entry.remove_spent();
    let workspace = LeasedWorkspace::new(Workspace::of(at.clone(), target.clone(), record), lease);
    Ok(Restored { workspace, removed, stays, lost_ports })
}

/// Refuses what is in the way: something else at the target, or the entry's own tree under another name.
fn check_halves(at: &UserRoot, entry: &Entry, target: &WorkspaceName) -> Result<()> {
    for (part, to) in [("tree", at.tree(target)), ("homes", at.homes(target))] {
        // A restore or removal that was cut off has left it there already.
        let half = !entry.path.join(part).exists() && entry.names(at, target);
        if exists(&to)? && !half {
            return Err(Failure::new(Kind::Exists, format!("`{}` is in the way", to.display()))
                .hint("`stead gc` collects what is half-made")
                .into());
        }
    }
    let Some(why) = &entry.why else { return Ok(()) };
    let half = WorkspaceName::parse(why.restoring_as.as_ref().unwrap_or(&why.name))?;
    let elsewhere = half != *target && !exists(&at.state(&half))?;
    for (part, there) in [("tree", at.tree(&half)), ("homes", at.homes(&half))] {
        if elsewhere && !entry.path.join(part).exists() && exists(&there)? {
            return Err(Failure::new(Kind::Refused, format!("the {part} of `{half}` is only half removed"))
                .hint("`stead gc` finishes what was cut off")
                .into());
        }
    }
    Ok(())
}

fn not_in_trash(at: &UserRoot, name: &WorkspaceName) -> anyhow::Error {
    let mut names: Vec<String> = entries(at.root())
        .unwrap_or_default()
        .into_iter()
        .filter(Entry::has_record)
        .filter_map(|entry| entry.why)
        .filter(|why| why.user == at.user().as_str())
        .map(|why| format!("`{}`", why.name))
        .collect();
    names.sort();
    names.dedup();
    let failure = Failure::new(Kind::NotFound, format!("there is no workspace `{name}` in the trash"));
    if names.is_empty() {
        return failure.hint("the trash is empty").into();
    }
    failure.hint(format!("the trash has {}", names.join(", "))).into()
}
