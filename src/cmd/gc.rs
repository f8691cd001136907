//! `stead gc`.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cmd;
use crate::cmd::rm::{Along, Reason};
use crate::config::{Config, units};
use crate::error::{Exit, Failure, Kind, Result};
use crate::progress;
use crate::store::lease::{Lease, Wait};
use crate::store::root::{Root, UserRoot};
use crate::ui::text::{self, Page};
use crate::ui::{Report, Ui};
use crate::workspace::gc::{CODES, Code, Done, GcPlan, Rules, Why};
use crate::workspace::prune;
use crate::workspace::{Listed, Workspace};

/// Collect what is expired, orphaned or half-made
///
/// Work is never lost by it: only what is delivered, or unchanged since its creation, goes, and into the trash. From there it
/// goes for good after `[gc] trash_age` (7 days), or when space is short; work that was saved nowhere else (`rm --force`)
/// after 30 days and not for space. While the clock is in doubt nothing leaves the trash, until a second run finds it going on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say what would be done and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Take workspaces that were not used for this long (`24h`, `7d`)
    ///
    /// A workspace with a ttl of its own goes by that.
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    max_age: Option<Duration>,
    /// Take idle workspaces of any age
    ///
    /// Pinned ones and those with unsaved work stay.
    #[arg(long, conflicts_with = "max_age")]
    all: bool,
    /// Take those unused for the longest time until the root is no larger than this (`512M`, `4G`)
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    max_size: Option<u64>,
    /// Empty the trash now
    ///
    /// This is the end of all that is in it, unsaved work included.
    #[arg(long)]
    purge: bool,
    /// Collect again and again, with a pause of this length
    #[arg(long, value_name = "DURATION", value_parser = units::duration, conflicts_with_all = ["dry_run", "purge"])]
    watch: Option<Duration>,
    /// Collect for all users of this root, not only for the one that `--user` names
    #[arg(long)]
    all_users: bool,
    /// Answer every question with yes
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Answer {
    dry_run: bool,
    workspaces: Vec<Item>,
    /// What leaves the trash.
    trash: Vec<Emptied>,
    /// Dead directories of what was under construction.
    staging: usize,
    /// Keys of pools that nothing refers to.
    pools: Vec<String>,
    /// Why nothing was taken out of the trash by its age.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<String>,
    /// More workspaces are due than were taken at once.
    more: bool,
    /// What could not be done.
    faults: Vec<String>,
    /// Whether those are named too that stay for no other reason than that they are not due.
    #[serde(skip)]
    verbose: bool,
    #[serde(skip)]
    of_all_users: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Remove,
    Keep,
}

#[derive(Debug, Serialize)]
struct Item {
    name: String,
    user: String,
    action: Action,
    code: Code,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trash: Option<String>,
    /// It did not stay in the trash.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    for_good: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unsaved: Vec<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignored: Option<Along>,
}

#[derive(Debug, Serialize)]
struct Emptied {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    code: Code,
    reason: String,
    /// Unsaved work that ends with it.
    unsaved: Vec<String>,
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        let (moved, removed) = if self.dry_run { ("Would move", "Would remove") } else { ("Moved", "Removed") };
        for item in self.workspaces.iter().filter(|item| self.verbose || !item.is_quiet()) {
            let Item { reason, .. } = item;
            let name = &self.shown(item);
            match item.action {
                Action::Remove if item.for_good => page.line(format!("{removed} `{name}` for good: {reason}.")),
                Action::Remove => page.line(format!("{moved} `{name}` to the trash: {reason}.")),
                Action::Keep => page.line(format!("Kept `{name}`: {reason}.")),
            }
            for unsaved in &item.unsaved {
                page.line(format!("  {}", unsaved.shown()));
            }
            if let Some(along) = &item.ignored {
                page.line(format!("  {}", along.shown()));
            }
        }
        for Emptied { id, name, user, reason, unsaved, .. } in &self.trash {
            let name = match (name, user) {
                (Some(name), Some(user)) if self.of_all_users => format!("{user}/{name}"),
                _ => name.as_ref().unwrap_or(id).clone(),
            };
            page.line(format!("{removed} `{name}` from the trash: {reason}."));
            for unsaved in unsaved {
                page.line(format!("  unsaved: {unsaved}"));
            }
        }
        if self.staging > 0 {
            page.line(format!("{removed} what was left of {} that never ended.", text::times(self.staging, "command")));
        }
        if !self.pools.is_empty() {
            page.line(format!("{removed} {} that nothing refers to.", text::times(self.pools.len(), "pool")));
        }
        if let Some(reason) = &self.clock {
            page.line(format!("Nothing was taken out of the trash by its age: {reason}."));
            page.hint("if the clock is right, run it again");
        }
        for fault in &self.faults {
            page.line(format!("Not done: {fault}."));
        }
        if self.more {
            page.hint("more workspaces are due; run it again");
        }
    }

    fn exit(&self) -> Exit {
        if self.faults.is_empty() { Exit::DONE } else { Kind::Failed.exit() }
    }
}

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Answer> {
    let Some(root) = Root::open(&config.root)? else {
        ui.status("Nothing to collect.");
        return Ok(Answer { dry_run: args.dry_run, ..Answer::default() });
    };
    if args.purge && !args.dry_run && !args.yes {
        let question = "Remove everything in the trash for good, unsaved work included?";
        if !ui.confirm(question, "--yes")? {
            return Err(Failure::new(Kind::Refused, "the trash is kept").into());
        }
    }
    let rules = Rules {
        max_age: args.max_age.unwrap_or(config.gc.max_age),
        trash_age: config.gc.trash_age,
        max_size: args.max_size.or(config.gc.max_size),
        all: args.all,
        purge: args.purge,
    };
    let Some(pause) = args.watch else {
        let answer = once(args, &root, &rules, config, ui)?;
        if let (false, Some(line)) = (ui.json(), answer.rest()) {
            ui.status(&line);
        }
        return Ok(answer);
    };
    let lock = if args.all_users { root.watch_lock() } else { cmd::writer(config)?.watch_lock() };
    let _one = Lease::acquire(&lock, "the watch of this root", "gc --watch", Wait::No)?;
    loop {
        match once(args, &root, &rules, config, ui) {
            Ok(answer) if ui.json() || answer.says_something() => drop(ui.answer(&answer)?),
            Ok(_) => {}
            Err(error) => {
                progress::check(ui.progress())?;
                // What is wrong now may be mended by the next time.
                ui.warn(&format!("{error:#}"));
            }
        }
        let until = Instant::now() + pause;
        while Instant::now() < until {
            progress::check(ui.progress())?;
            std::thread::sleep(Duration::from_millis(100).min(until.saturating_duration_since(Instant::now())));
        }
    }
}

fn once(args: &Args, root: &Root, rules: &Rules, config: &Config, ui: &Ui) -> Result<Answer> {
    let users = if args.all_users { root.users()? } else { cmd::reader(config)?.into_iter().collect() };
    if !args.dry_run {
        Root::open_or_create(root.path())?;
        for at in &users {
            at.ensure()?;
        }
    }
    let plan = GcPlan::new(root, &users, rules, config, ui.progress())?;
    plan.finished.iter().for_each(|finished| ui.status(finished));
    let mut answer = Answer::of(&plan);
    answer.verbose = args.dry_run || ui.verbose();
    answer.of_all_users = args.all_users;
    if args.dry_run {
        answer.dry_run = true;
        return Ok(answer);
    }
    answer.done(plan.apply(ui.progress())?);
    for at in &users {
        prune_all(at, config, ui)?;
    }
    Ok(answer)
}

/// Lets go of old snapshots in the workspaces that stay and that nobody uses now.
fn prune_all(at: &UserRoot, config: &Config, ui: &Ui) -> Result<()> {
    for listed in Workspace::all(at)? {
        progress::check(ui.progress())?;
        let Listed::Whole(workspace) = listed else { continue };
        if !prune::has_much(&workspace, config) {
            continue;
        }
        let name = workspace.name().clone();
        let Ok(leased) = workspace.lease("gc", Wait::No) else { continue };
        match prune::prune(&leased, config.capture.keep_size, jiff::Timestamp::now()) {
            Ok(pruned) if pruned.snapshots > 0 => ui.status(&format!(
                "Let go of {} old snapshots of `{name}`, {}.",
                pruned.snapshots,
                text::bytes(pruned.bytes)
            )),
            Ok(_) => {}
            Err(error) => ui.warn(&format!("cannot let go of old snapshots of `{name}`: {error:#}")),
        }
    }
    Ok(())
}

impl Item {
    /// There is nothing more to say of it than how many there are.
    fn is_quiet(&self) -> bool {
        matches!(self.code, Code::NotDue | Code::Pinned)
    }
}

impl Answer {
    fn of(plan: &GcPlan) -> Self {
        let mut workspaces: Vec<Item> = plan
            .removals
            .iter()
            .map(|removal| Item {
                name: removal.name.to_string(),
                user: removal.user.clone(),
                action: Action::Remove,
                code: removal.code,
                reason: removal.reason.clone(),
                trash: None,
                for_good: removal.for_good,
                unsaved: Vec::new(),
                ignored: Along::of(&removal.ignored),
            })
            .collect();
        workspaces.extend(plan.kept.iter().map(|kept| {
            let (code, reason) = match &kept.why {
                Why::NotDue(left) => (Code::NotDue, format!("it is due {}", text::due(*left))),
                Why::Pinned => (Code::Pinned, "it is pinned".to_owned()),
                Why::InUse(Some(by)) => (Code::InUse, format!("it is in use by `{by}`")),
                Why::InUse(None) => (Code::InUse, "it is in use".to_owned()),
                Why::Damaged(reason) => (Code::Damaged, format!("it is damaged: {reason}")),
                Why::Failed(reason) => (Code::Failed, reason.clone()),
                Why::Unsaved(_) => (Code::Unsaved, "it has unsaved work".to_owned()),
                Why::Unfinished(reason) => (Code::Unfinished, reason.clone()),
            };
            let unsaved = match &kept.why {
                Why::Unsaved(unsaved) => unsaved.iter().map(Reason::of).collect(),
                _ => Vec::new(),
            };
            Item {
                name: kept.name.to_string(),
                user: kept.user.clone(),
                action: Action::Keep,
                code,
                reason,
                trash: None,
                for_good: false,
                unsaved,
                ignored: None,
            }
        }));
        let trash = plan.emptied.iter().map(|emptied| {
            let why = emptied.entry.why.as_ref();
            Emptied {
                id: emptied.entry.id.clone(),
                name: why.map(|why| why.name.clone()),
                user: why.map(|why| why.user.clone()),
                code: emptied.code,
                reason: emptied.reason.clone(),
                unsaved: why.map(|why| why.unsaved.clone()).unwrap_or_default(),
            }
        });
        Self {
            dry_run: false,
            workspaces,
            trash: trash.collect(),
            staging: plan.staging,
            pools: plan.pools.clone(),
            clock: plan.clock.reason(),
            more: plan.more,
            faults: Vec::new(),
            verbose: false,
            of_all_users: false,
        }
    }

    /// Returns the name of a workspace, with its user where it may be any.
    fn shown(&self, item: &Item) -> String {
        if self.of_all_users { format!("{}/{}", item.user, item.name) } else { item.name.clone() }
    }

    /// Says that there was nothing to do, and how many workspaces stay that were not named.
    fn rest(&self) -> Option<String> {
        let count = |code: Code| self.workspaces.iter().filter(|item| item.code == code).count();
        let kept: Vec<String> = [(Code::NotDue, "not due yet"), (Code::Pinned, "pinned")]
            .into_iter()
            .filter(|(code, _)| !self.verbose && count(*code) > 0)
            .map(|(code, words)| format!("{} {words}", count(code)))
            .collect();
        let nothing = !self.says_something();
        match (nothing, kept.is_empty()) {
            (true, true) => Some("Nothing to collect.".to_owned()),
            (true, false) => Some(format!("Nothing to collect: {}. `stead gc -n` tells of each.", kept.join(", "))),
            (false, true) => None,
            (false, false) => Some(format!("Also kept: {}.", kept.join(", "))),
        }
    }

    /// Takes over what was done of the plan.
    fn done(&mut self, done: Done) {
        let mut trash = done.trash.into_iter();
        self.workspaces.retain_mut(|item| {
            if item.action == Action::Keep {
                return true;
            }
            item.trash = trash.next().flatten();
            // Its fault is named.
            item.trash.is_some()
        });
        let mut emptied = done.emptied.into_iter();
        self.trash.retain(|_| emptied.next().unwrap_or(false));
        self.staging = done.staging;
        self.pools = done.pools;
        self.faults = done.faults;
    }

    fn says_something(&self) -> bool {
        self.workspaces.iter().any(|item| !item.is_quiet())
            || !self.trash.is_empty()
            || self.staging > 0
            || !self.pools.is_empty()
            || self.clock.is_some()
            || !self.faults.is_empty()
    }
}

/// Lists what `code` says in JSON, for the help.
pub(crate) fn codes() -> String {
    let lines = CODES.iter().map(|(word, meaning)| format!("  {word:<10}  {meaning}"));
    ["Codes in JSON:".to_owned()].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}
