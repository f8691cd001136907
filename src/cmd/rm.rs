//! `stead rm`.

use serde::Serialize;

use crate::cmd::{self, Problem};
use crate::config::Config;
use crate::error::{Exit, Failure, Kind, Result};
use crate::store::lease::Wait;
use crate::store::name::WorkspaceName;
use crate::store::root::UserRoot;
use crate::ui::text::{self, JsonPath, Page, quote};
use crate::ui::{Report, Ui};
use crate::workspace::ignored::Ignored;
use crate::workspace::journal;
use crate::workspace::trash::RemovalPlan;
use crate::workspace::unsaved::{self, Code, Looked, Unsaved, Walk};
use crate::workspace::{self, Workspace};

/// So many paths of one reason are named in text.
const NAMED: usize = 3;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspaces
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Remove it although it holds unsaved work
    ///
    /// The work is kept in the trash for 30 days, as all that is removed is kept for a while.
    #[arg(short, long)]
    force: bool,
    /// Say what would be done and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Answer every question with yes
    ///
    /// Never implies `--force`.
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    dry_run: bool,
    workspaces: Vec<Item>,
}

#[derive(Debug, Serialize)]
struct Item {
    name: String,
    removed: bool,
    /// The id in the trash.
    #[serde(skip_serializing_if = "Option::is_none")]
    trash: Option<String>,
    unsaved: Vec<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignored: Option<Along>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// What git ignores and goes along.
#[derive(Debug, Serialize)]
pub(crate) struct Along {
    /// On disk.
    bytes: u64,
    /// False when there is more than was looked at.
    complete: bool,
    /// The topmost ones.
    paths: Vec<JsonPath>,
    #[serde(skip)]
    shown: String,
}

impl Along {
    pub(crate) fn of(ignored: &Ignored) -> Option<Self> {
        if ignored.paths.is_empty() {
            return None;
        }
        let least = if ignored.complete { "" } else { "at least " };
        let size = text::bytes(ignored.bytes);
        Some(Self {
            bytes: ignored.bytes,
            complete: ignored.complete,
            paths: ignored.paths.iter().map(|path| JsonPath::of(path)).collect(),
            shown: format!("with {least}{size} that git ignores: {}", named(&ignored.paths)),
        })
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }
}

/// One reason why a workspace holds unsaved work.
#[derive(Debug, Serialize)]
pub(crate) struct Reason {
    code: Code,
    count: usize,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths: Vec<JsonPath>,
    #[serde(skip)]
    shown: String,
}

impl Reason {
    pub(crate) fn of(unsaved: &Unsaved) -> Self {
        let mut shown = unsaved.to_string();
        if !unsaved.paths.is_empty() {
            shown = format!("{shown}: {}", named(&unsaved.paths));
        }
        Self {
            code: unsaved.code,
            count: unsaved.count,
            message: unsaved.to_string(),
            paths: unsaved.paths.iter().map(|path| JsonPath::of(path)).collect(),
            shown,
        }
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }
}

/// Names the first of some paths.
fn named(paths: &[Vec<u8>]) -> String {
    let mut named: Vec<String> = paths.iter().take(NAMED).map(|path| format!("`{}`", quote(path))).collect();
    if paths.len() > NAMED {
        named.push("…".into());
    }
    named.join(", ")
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        for item in &self.workspaces {
            let name = &item.name;
            if let Some(problem) = &item.error {
                page.line(format!("Workspace `{name}` was not removed: {}", problem.message));
                if let Some(hint) = &problem.hint {
                    page.hint(hint);
                }
                continue;
            }
            if self.dry_run {
                page.line(format!("Would remove `{name}`."));
            } else {
                page.line(format!("Removed `{name}`; `stead restore {name}` brings it back."));
            }
            for reason in &item.unsaved {
                page.line(format!("  unsaved: {}", reason.shown));
            }
            if let Some(along) = &item.ignored {
                page.line(format!("  {}", along.shown));
            }
        }
    }

    fn exit(&self) -> Exit {
        if self.workspaces.iter().any(|item| item.error.is_some()) { Kind::Failed.exit() } else { Exit::DONE }
    }
}

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Answer> {
    let mut names: Vec<WorkspaceName> = Vec::new();
    for text in &args.names {
        let name = WorkspaceName::parse(text)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let at = cmd::existing(config, names[0].as_str())?;
    if let [name] = &names[..] {
        return Ok(Answer { dry_run: args.dry_run, workspaces: vec![remove(args, &at, name, config, ui)?] });
    }
    let mut workspaces = Vec::new();
    for name in &names {
        crate::progress::check(ui.progress())?;
        workspaces.push(remove(args, &at, name, config, ui).unwrap_or_else(|error| Item {
            name: name.to_string(),
            removed: false,
            trash: None,
            unsaved: Vec::new(),
            ignored: None,
            error: Some(Problem::of(&error)),
        }));
    }
    Ok(Answer { dry_run: args.dry_run, workspaces })
}

fn remove(args: &Args, at: &UserRoot, name: &WorkspaceName, config: &Config, ui: &Ui) -> Result<Item> {
    let Planned { plan, reasons, ignored } = plan(args, at, name, config, ui)?;
    if args.force && !reasons.is_empty() && !args.yes && !args.dry_run && ui.interactive() {
        let what = reasons.iter().map(Reason::shown).collect::<Vec<_>>().join("; ");
        if !ui.confirm(&format!("Move `{name}` with its unsaved work ({what}) to the trash?"), "--yes")? {
            return Err(Failure::new(Kind::Refused, format!("workspace `{name}` is kept")).into());
        }
    }
    let trash = if args.dry_run { None } else { Some(plan.apply()?) };
    Ok(Item { name: name.to_string(), removed: trash.is_some(), trash, unsaved: reasons, ignored, error: None })
}

/// A removal, and what goes with it.
struct Planned {
    plan: RemovalPlan,
    reasons: Vec<Reason>,
    ignored: Option<Along>,
}

/// Takes the lease and decides; refused when work would be lost and `--force` was not given.
fn plan(args: &Args, at: &UserRoot, name: &WorkspaceName, config: &Config, ui: &Ui) -> Result<Planned> {
    const REASON: &str = "removed by hand";
    let as_it_is = |damage: String| {
        let lease = workspace::lease(at, name, "rm", Wait::No)?;
        let plan = RemovalPlan::of_damaged(at, name, lease, ("rm", REASON), damage);
        Ok(Planned { plan, reasons: Vec::new(), ignored: None })
    };
    let found = match Workspace::find(at, name) {
        Err(error) if args.force && Kind::of(&error) == Kind::Damaged => {
            return as_it_is("its record is damaged".to_owned());
        }
        found => found?,
    };
    let found = match cmd::lease_as_it_is(found, "rm", Wait::No, ui) {
        // What was cut off goes along, and whoever brings it back finishes it.
        Err(error) if args.force && journal::unfinished(&at.state(name)).is_some() => {
            return as_it_is(format!("{error:#}"));
        }
        leased => leased?,
    };
    let Looked { unsaved, ignored } = unsaved::look(&found, config, Walk::Always);
    let reasons: Vec<Reason> = unsaved.iter().map(Reason::of).collect();
    if !reasons.is_empty() && !args.force {
        let what = reasons.iter().map(Reason::shown).collect::<Vec<_>>().join("; ");
        return Err(Failure::new(Kind::Refused, format!("workspace `{name}` has unsaved work: {what}"))
            .hint(format!(
                "see it with `stead diff {name}`, take it over with `stead sync {name} --to{}`, or remove it with `--force`",
                if found.record.source.is_some() { "" } else { " PATH" }
            ))
            .into());
    }
    let ignored = Along::of(&ignored);
    let dropped = if unsaved.is_empty() { unsaved::dropped(&found) } else { None };
    let unsaved = unsaved.iter().map(ToString::to_string).chain(dropped).collect();
    Ok(Planned { plan: RemovalPlan::of(found, "rm", REASON, unsaved), reasons, ignored })
}
