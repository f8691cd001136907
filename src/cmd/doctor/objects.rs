//! What is looked at in pools and stores: whether their objects are all there, and what they were.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::cmd;
use crate::cmd::doctor::root::failed;
use crate::cmd::doctor::{Args, Check, Status};
use crate::config::Config;
use crate::error::Result;
use crate::git::Oid;
use crate::git::pool::{Mended, Pool};
use crate::git::repository::Access;
use crate::git::source::Source;
use crate::git::whole;
use crate::store::lease::Lease;
use crate::store::name::WorkspaceName;
use crate::store::root::UserRoot;
use crate::ui::Ui;
use crate::workspace::{Listed, Workspace};

/// What the checks of one run share.
pub(super) struct Objects<'a> {
    args: &'a Args,
    config: &'a Config,
    ui: &'a Ui,
    /// Those that have been read and are what their names say.
    read: HashSet<Oid>,
}

/// What there is to say of a user's pools.
#[derive(Default)]
pub(super) struct Pools {
    pub(super) checks: Vec<Check>,
    /// The keys of those in use.
    pub(super) used: BTreeSet<String>,
    /// Whether every record can be read, and so all that are in use are known.
    pub(super) known: bool,
}

impl<'a> Objects<'a> {
    pub(super) fn new(args: &'a Args, config: &'a Config, ui: &'a Ui) -> Self {
        Self { args, config, ui, read: HashSet::new() }
    }

    /// Looks whether every pool in use is whole, and mends those that are not.
    pub(super) fn pools(&mut self, at: &UserRoot) -> Result<Pools> {
        let mut pools = Pools { known: true, ..Pools::default() };
        let mut users: BTreeMap<String, Vec<Workspace>> = BTreeMap::new();
        for listed in Workspace::all(at)? {
            match listed {
                Listed::Whole(workspace) => {
                    if let Some(key) = workspace.record.pool.clone() {
                        users.entry(key).or_default().push(workspace);
                    }
                }
                Listed::Damaged { .. } => pools.known = false,
            }
        }
        let mut whole = 0;
        for (key, workspaces) in &users {
            crate::progress::check(self.ui.progress())?;
            match self.pool(at, key, workspaces) {
                Ok(None) => whole += 1,
                Ok(Some(check)) => pools.checks.push(check),
                Err(error) => {
                    crate::progress::check(self.ui.progress())?;
                    pools.checks.push(failed("pool", &error));
                }
            }
        }
        if whole > 0 {
            pools.checks.push(Check::new("pools", Status::Ok, format!("{whole} in use, whole")));
        }
        pools.used = users.into_keys().collect();
        Ok(pools)
    }

    fn pool(&mut self, at: &UserRoot, key: &str, workspaces: &[Workspace]) -> Result<Option<Check>> {
        let Some(fault) = self.fault(at, key, workspaces)? else { return Ok(None) };
        if Lease::holder(&at.root().pool_lock(key))?.is_some() {
            return Ok(Some(Check::new("pool", Status::Info, format!("{key} is being fetched"))));
        }
        let message = format!("{key}: {fault}");
        if !self.args.repair {
            let hint = "`stead doctor --repair` keeps what can be read and fetches the rest once more";
            return Ok(Some(Check::new("pool", Status::Problem, message).hint(hint)));
        }
        let mended = self.mend(at, key, workspaces).and_then(|how| Ok((how, self.fault(at, key, workspaces)?)));
        crate::progress::check(self.ui.progress())?;
        Ok(Some(match mended {
            Ok((Mended::Kept, None)) => {
                Check::new("pool", Status::Repaired, format!("{message}; it is put aside, and nothing is missing"))
            }
            Ok((Mended::Fetched, None)) => {
                Check::new("pool", Status::Repaired, format!("{message}; it is fetched once more"))
            }
            Ok((_, Some(left))) => Check::new(
                "pool",
                Status::Problem,
                format!("{message}; what can be had was kept and fetched, and still {left}"),
            )
            .hint("look for the missing commit where it may still be, and fetch it into the source"),
            Err(error) => Check::new("pool", Status::Problem, format!("{message}; {error:#}"))
                .hint("run `stead doctor --repair` again when the source can be reached"),
        }))
    }

    /// Says what is wrong with a pool.
    fn fault(&mut self, at: &UserRoot, key: &str, workspaces: &[Workspace]) -> Result<Option<String>> {
        let path = at.root().pool(key);
        if !path.exists() {
            return Ok(Some("it is not there".to_owned()));
        }
        let pool = match Pool::open(at, key) {
            Ok(pool) => pool,
            Err(error) => return Ok(Some(format!("{error:#}"))),
        };
        let found = whole::outside(&path.join("objects"))?;
        if found.is_some() {
            return Ok(found);
        }
        let objects = pool.repository().odb()?;
        for (name, id) in pool.refs()? {
            if !objects.exists(id) {
                return Ok(Some(format!("`{name}` names {id}, which is missing")));
            }
        }
        for workspace in workspaces {
            let Some(base) = workspace.base().filter(|base| !objects.exists(*base)) else { continue };
            // What the work begins with may have come from a project.
            let is_own = workspace.store(Access::Read).is_ok_and(|store| store.repository().find_commit(base).is_ok());
            if !is_own {
                return Ok(Some(format!("it lacks {base}, which `{}` is based on", workspace.name())));
            }
        }
        if !self.args.deep {
            return Ok(None);
        }
        let found = whole::objects(&path.join("objects"), &mut self.read, self.ui.progress())?;
        if found.is_some() { Ok(found) } else { whole::connections(&path, self.ui.progress()) }
    }

    fn mend(&self, at: &UserRoot, key: &str, workspaces: &[Workspace]) -> Result<Mended> {
        let net = cmd::net(self.config, self.ui);
        let mut last = Err(anyhow::anyhow!("no workspace knows its source"));
        for workspace in workspaces {
            let Some(source) = &workspace.record.source else { continue };
            let source = Source::of_record(source, at.root().path())?;
            last = Pool::mend(at, key, &source, workspace.record.depth, &net, self.ui.progress());
            if last.is_ok() {
                break;
            }
        }
        last
    }

    /// Reads everything in the store of a workspace.
    pub(super) fn store(&mut self, at: &UserRoot, name: &WorkspaceName) -> Result<Option<Check>> {
        let path = at.state(name).join("store.git");
        let found = match whole::objects(&path.join("objects"), &mut self.read, self.ui.progress())? {
            None => whole::connections(&path, self.ui.progress())?,
            found => found,
        };
        Ok(found.map(|reason| {
            let check = Check::new("workspace", Status::Problem, format!("`{name}`: {reason}"));
            let advice = crate::workspace::repair::Problem::Store { reason }.advice(at, name);
            advice.into_iter().fold(check, Check::hint)
        }))
    }
}
