//! Collecting: what is expired, orphaned or half-made, decided first and done by value.
//!
//! A plan holds the leases of the workspaces that it would move and the locks of the pools that it would remove, so that
//! what it shows is what [`GcPlan::apply`] does. It never waits: what is in use is kept and named.

mod clock;
mod code;
mod pools;

use std::time::Duration;

use jiff::Timestamp;

use crate::config::Config;
use crate::error::{Kind, Result};
use crate::progress::{self, Progress};
use crate::store::lease::{Lease, Wait};
use crate::store::name::WorkspaceName;
use crate::store::root::{Root, UserRoot};
use crate::store::{staging, walk};
use crate::workspace::ignored::Ignored;
use crate::workspace::journal;
use crate::workspace::trash::{self, Entry, RemovalPlan};
use crate::workspace::unsaved::{self, Looked, Unsaved, Walk};
use crate::workspace::{Listed, Workspace};
pub(crate) use clock::Clock;
pub(crate) use code::{CODES, Code};

/// So many workspaces are taken in one plan: each holds a descriptor.
const AT_ONCE: usize = 400;

/// What to collect.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Since the last use, for workspaces without a ttl of their own.
    pub(crate) max_age: Duration,
    /// In the trash, for what was saved.
    pub(crate) trash_age: Duration,
    /// Bytes of everything under the root.
    pub(crate) max_size: Option<u64>,
    /// Take idle workspaces of any age.
    pub(crate) all: bool,
    /// Empty the trash, unsaved work included.
    pub(crate) purge: bool,
}

/// What is to be collected; nothing is done before it is applied.
#[must_use = "nothing is collected before it is applied"]
pub(crate) struct GcPlan {
    root: Root,
    pub(crate) removals: Vec<Removal>,
    pub(crate) kept: Vec<Kept>,
    /// What earlier commands had left half done and was finished, in sentences.
    pub(crate) finished: Vec<String>,
    pub(crate) emptied: Vec<Emptied>,
    /// What restores have left.
    spent: Vec<Entry>,
    /// Dead directories in `staging/`.
    pub(crate) staging: usize,
    /// Keys of pools that nothing refers to.
    pub(crate) pools: Vec<String>,
    /// The clock, which decides whether anything in the trash is old.
    pub(crate) clock: Clock,
    /// More workspaces than one plan takes are due.
    pub(crate) more: bool,
}

/// A workspace, or half of one, on its way to the trash.
pub(crate) struct Removal {
    pub(crate) user: String,
    pub(crate) name: WorkspaceName,
    pub(crate) code: Code,
    pub(crate) reason: String,
    /// What git ignores in it.
    pub(crate) ignored: Ignored,
    /// It does not stay in the trash: space is short.
    pub(crate) for_good: bool,
    plan: RemovalPlan,
}

/// A workspace that stays.
pub(crate) struct Kept {
    pub(crate) user: String,
    pub(crate) name: WorkspaceName,
    pub(crate) why: Why,
}

pub(crate) enum Why {
    /// It is due when this has passed without a use of it.
    NotDue(Duration),
    Pinned,
    /// By which subcommand, as far as it is known.
    InUse(Option<String>),
    Damaged(String),
    Unsaved(Vec<Unsaved>),
    /// A command was cut off in it.
    Unfinished(String),
    /// It could not be looked at.
    Failed(String),
}

/// An entry of the trash on its way out.
pub(crate) struct Emptied {
    pub(crate) entry: Entry,
    pub(crate) code: Code,
    pub(crate) reason: String,
}

/// What was done of a plan.
#[derive(Default)]
pub(crate) struct Done {
    /// The id in the trash of each removal, `None` where it failed or went for good.
    pub(crate) trash: Vec<Option<String>>,
    /// Whether each entry of the trash is gone.
    pub(crate) emptied: Vec<bool>,
    pub(crate) staging: usize,
    pub(crate) pools: Vec<String>,
    pub(crate) faults: Vec<String>,
}

impl GcPlan {
    /// Decides what is to be collected of `users`, and of what belongs to nobody.
    pub(crate) fn new(
        root: &Root,
        users: &[UserRoot],
        rules: &Rules,
        config: &Config,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let now = Timestamp::now();
        let mut plan = Self {
            root: root.clone(),
            removals: Vec::new(),
            kept: Vec::new(),
            finished: Vec::new(),
            emptied: Vec::new(),
            spent: Vec::new(),
            staging: staging::dead(root)?.len(),
            pools: Vec::new(),
            clock: Clock::read(root, now)?,
            more: false,
        };
        let mut idle = Vec::new();
        for at in users {
            plan.halves(at)?;
            for listed in Workspace::all(at)? {
                progress::check(progress)?;
                plan.workspace(at, listed, rules, config, now, &mut idle)?;
            }
        }
        plan.trash(users, rules, now)?;
        if let Some(most) = rules.max_size {
            plan.shrink(most, users, idle, config, progress)?;
        }
        plan.pools = pools::unreferenced(root, &plan.leaving())?;
        Ok(plan)
    }

    /// Does it. What fails is named and the rest is done.
    pub(crate) fn apply(self, progress: &dyn Progress) -> Result<Done> {
        let mut done = Done::default();
        for removal in self.removals {
            progress::check(progress)?;
            let name = removal.name;
            let trash = match removal.plan.apply() {
                Ok(id) => Some(id),
                Err(error) => {
                    done.faults.push(format!("{error:#}"));
                    None
                }
            };
            if let (true, Some(id)) = (removal.for_good, &trash) {
                let entry = trash::entries(&self.root)?.into_iter().find(|entry| entry.id == *id);
                if let Some(Err(error)) = entry.map(|entry| entry.purge(&self.root, progress)) {
                    done.faults.push(format!("workspace `{name}` is in the trash: {error:#}"));
                }
            }
            done.trash.push(trash);
        }
        for entry in &self.spent {
            if let Err(error) = entry.remove_spent() {
                done.faults.push(format!("{error:#}"));
            }
        }
        for emptied in &self.emptied {
            progress::check(progress)?;
            done.emptied.push(emptied.entry.purge(&self.root, progress).unwrap_or_else(|error| {
                done.faults.push(format!("{error:#}"));
                false
            }));
        }
        match staging::sweep(&self.root) {
            Ok(count) => done.staging = count,
            Err(error) => done.faults.push(format!("{error:#}")),
        }
        // Last but for the pools: on a full disk there is room for it only now.
        if let Err(error) = self.clock.write(&self.root) {
            done.faults.push(format!("{error:#}"));
        }
        for key in self.pools {
            progress::check(progress)?;
            match pools::remove(&self.root, &key, progress) {
                Ok(true) => done.pools.push(key),
                Ok(false) => {}
                Err(error) => done.faults.push(format!("{error:#}")),
            }
        }
        Ok(done)
    }

    /// Finishes what a crash has left of one half of a workspace.
    fn halves(&mut self, at: &UserRoot) -> Result<()> {
        for name in at.names_of_any_part()? {
            if at.state(&name).symlink_metadata().is_ok() {
                continue;
            }
            let Some(lease) = Lease::try_acquire(&at.lock(&name), "gc")? else { continue };
            if let Some(plan) = RemovalPlan::of_half(at, &name, lease, "gc")? {
                let user = at.user().to_string();
                let reason = "half-made or half-removed".to_owned();
                let (code, ignored) = (Code::HalfMade, Ignored::default());
                self.removals.push(Removal { user, name, code, reason, ignored, for_good: false, plan });
            }
        }
        Ok(())
    }

    fn workspace(
        &mut self,
        at: &UserRoot,
        listed: Listed,
        rules: &Rules,
        config: &Config,
        now: Timestamp,
        idle: &mut Vec<Workspace>,
    ) -> Result<()> {
        let workspace = match listed {
            Listed::Whole(workspace) => workspace,
            Listed::Damaged { name, reason } => {
                self.kept.push(Kept { user: at.user().to_string(), name, why: Why::Damaged(reason) });
                return Ok(());
            }
        };
        self.clock.see(workspace.record.last_used, now);
        if workspace.record.pinned {
            self.keep(&workspace, Why::Pinned);
        } else if self.removals.len() >= AT_ONCE {
            self.more |= expired(&workspace, rules, now).is_some();
        } else if let Some(due) = expired(&workspace, rules, now) {
            self.take(workspace, due, false, config)?;
        } else {
            self.keep(&workspace, Why::NotDue(left(&workspace, rules, now)));
            idle.push(workspace);
        }
        Ok(())
    }

    /// Plans the removal of a workspace unless it is in use or holds unsaved work; returns whether it did.
    fn take(&mut self, workspace: Workspace, (code, reason): Due, for_good: bool, config: &Config) -> Result<bool> {
        let stale = workspace.clone();
        let leased = match workspace.lease("gc", Wait::No) {
            // Somebody has used or pinned it since it was listed.
            Ok(leased) if leased.record.last_used > stale.record.last_used || leased.record.pinned => {
                self.keep(&stale, Why::InUse(None));
                return Ok(false);
            }
            Ok(leased) => leased,
            Err(error) => {
                let why = match Kind::of(&error) {
                    // Removed since it was listed.
                    Kind::NotFound => return Ok(false),
                    Kind::Busy => Why::InUse(stale.holder()?.filter(|holder| holder.pid != 0).map(|by| by.command)),
                    _ if journal::unfinished(&stale.state()).is_some() => Why::Unfinished(format!("{error:#}")),
                    _ => Why::Failed(format!("{error:#}")),
                };
                self.keep(&stale, why);
                return Ok(false);
            }
        };
        self.finished.extend(leased.finished().map(str::to_owned));
        let Looked { unsaved, ignored } = unsaved::look(&leased, config, Walk::UnlessUnsaved);
        if !unsaved.is_empty() {
            self.keep(&leased, Why::Unsaved(unsaved));
            return Ok(false);
        }
        let (user, name) = (leased.at().user().to_string(), leased.name().clone());
        let dropped = unsaved::dropped(&leased);
        let for_good = for_good && dropped.is_none();
        let plan = RemovalPlan::of(leased, "gc", &reason, dropped.into_iter().collect());
        self.removals.push(Removal { user, name, code, reason, ignored, for_good, plan });
        Ok(true)
    }

    /// Plans what leaves the trash by its age, or all of it.
    fn trash(&mut self, users: &[UserRoot], rules: &Rules, now: Timestamp) -> Result<()> {
        for entry in trash_of(&self.root, users)? {
            if entry.is_spent() {
                self.spent.push(entry);
                continue;
            }
            if let Some(why) = &entry.why {
                self.clock.see(why.removed, now);
            }
            let age = entry.why.as_ref().map(|why| elapsed(why.removed, now));
            let limit = entry.least_age(rules.trash_age);
            let (code, reason) = match age {
                _ if rules.purge => (Code::Purged, "purged".to_owned()),
                Some(age) if age >= limit => (Code::Expired, format!("removed {} ago", days(age))),
                _ => continue,
            };
            self.emptied.push(Emptied { entry, code, reason });
        }
        self.clock.decides(!rules.purge && !self.emptied.is_empty());
        if self.clock.is_suspect() && !rules.purge {
            self.emptied.clear();
        }
        Ok(())
    }

    /// Takes saved work out of the trash, then the workspaces unused for the longest time, until the root fits.
    fn shrink(
        &mut self,
        most: u64,
        users: &[UserRoot],
        mut idle: Vec<Workspace>,
        config: &Config,
        progress: &dyn Progress,
    ) -> Result<()> {
        let mut total = walk::usage(self.root.path(), 2).bytes;
        for emptied in &self.emptied {
            total = total.saturating_sub(walk::usage(&emptied.entry.path, 2).bytes);
        }
        if !self.clock.is_suspect() {
            for entry in trash_of(&self.root, users)? {
                let leaving = self.emptied.iter().any(|emptied| emptied.entry.id == entry.id);
                if total <= most {
                    return Ok(());
                }
                if entry.is_safe() && !leaving && !entry.is_spent() {
                    total = total.saturating_sub(walk::usage(&entry.path, 2).bytes);
                    let reason = "space is short".to_owned();
                    self.emptied.push(Emptied { entry, code: Code::NoSpace, reason });
                }
            }
        }
        idle.sort_by_key(|workspace| workspace.record.last_used);
        for workspace in idle {
            progress::check(progress)?;
            if total <= most || self.removals.len() >= AT_ONCE {
                break;
            }
            let size = [workspace.tree(), workspace.state(), workspace.at().homes(workspace.name())]
                .iter()
                .map(|part| walk::usage(part, 2).bytes)
                .sum();
            // What was said of it before is no longer true.
            self.kept.retain(|kept| kept.name != *workspace.name() || kept.user != workspace.at().user().as_str());
            if self.take(workspace, (Code::NoSpace, "space is short".to_owned()), !self.clock.is_suspect(), config)? {
                total = total.saturating_sub(size);
            }
        }
        Ok(())
    }

    /// Returns the ids of the entries that leave the trash with this plan.
    fn leaving(&self) -> Vec<String> {
        self.emptied.iter().map(|emptied| emptied.entry.id.clone()).collect()
    }

    fn keep(&mut self, workspace: &Workspace, why: Why) {
        self.kept.push(Kept { user: workspace.at().user().to_string(), name: workspace.name().clone(), why });
    }
}

/// Returns what is in the trash of `users`; what has lost its owner only for all of them together.
fn trash_of(root: &Root, users: &[UserRoot]) -> Result<Vec<Entry>> {
    let all = root.users()?.len() <= users.len();
    let mut entries = trash::entries(root)?;
    entries.retain(|entry| match &entry.why {
        Some(why) => users.iter().any(|at| at.user().as_str() == why.user),
        None => all,
    });
    Ok(entries)
}

/// A code for programs, and the reason for people.
type Due = (Code, String);

/// Returns why a workspace is due; `None` when it is not.
fn expired(workspace: &Workspace, rules: &Rules, now: Timestamp) -> Option<Due> {
    if workspace.record.ephemeral {
        return Some((Code::Ephemeral, "ephemeral and idle".to_owned()));
    }
    if rules.all {
        return Some((Code::Idle, "idle".to_owned()));
    }
    let age = elapsed(workspace.record.last_used, now);
    (age >= limit(workspace, rules)).then(|| (Code::Expired, format!("not used for {}", days(age))))
}

/// Returns for how long a workspace must be left alone until it is due.
fn left(workspace: &Workspace, rules: &Rules, now: Timestamp) -> Duration {
    limit(workspace, rules).saturating_sub(elapsed(workspace.record.last_used, now))
}

fn limit(workspace: &Workspace, rules: &Rules) -> Duration {
    workspace.record.ttl.map_or(rules.max_age, Duration::from_secs)
}

/// Returns the time since `then`; a time in the future counts as now.
fn elapsed(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}

/// Returns a duration in the largest unit that is worth saying.
fn days(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::tests::{place, plain};

    fn rules() -> Rules {
        Rules {
            max_age: Duration::from_hours(7 * 24),
            trash_age: Duration::from_hours(7 * 24),
            max_size: None,
            all: false,
            purge: false,
        }
    }

    #[test]
    fn a_workspace_is_due_by_its_ttl_the_general_age_or_at_once() {
        let (_dir, at) = place();
        let mut workspace = plain(&at, "x");
        let used: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        workspace.record.last_used = used;
        let after = |days: i64| used + jiff::SignedDuration::from_secs(days * 86_400);
        assert_eq!(expired(&workspace, &rules(), after(6)), None);
        assert_eq!(expired(&workspace, &rules(), after(7)).unwrap().1, "not used for 7 days");
        assert_eq!(expired(&workspace, &rules(), after(-3)), None);
        assert_eq!(expired(&workspace, &Rules { all: true, ..rules() }, after(0)).unwrap().1, "idle");
        workspace.record.ttl = Some(3600);
        assert_eq!(expired(&workspace, &rules(), after(1)).unwrap().1, "not used for 24 hours");
        workspace.record.ttl = Some(86_400 * 30);
        assert_eq!(expired(&workspace, &rules(), after(29)), None);
        workspace.record.ephemeral = true;
        assert_eq!(expired(&workspace, &rules(), after(0)).unwrap().1, "ephemeral and idle");
    }

    #[test]
    fn durations_are_said_in_their_largest_unit() {
        for (seconds, text) in [(1, "1 second"), (119, "1 minute"), (7_200, "2 hours"), (172_800, "2 days")] {
            assert_eq!(days(Duration::from_secs(seconds)), text);
        }
    }
}
