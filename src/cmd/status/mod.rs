//! `stead status`: the state of one, some or all workspaces. Takes no lease and writes nothing.

mod form;

use std::os::unix::ffi::OsStrExt as _;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::cmd::{self, Problem};
use crate::config::Config;
use crate::error::{Exit, Kind, Result};
use crate::git::pool::Pool;
use crate::progress;
use crate::run::live::{self, Live};
use crate::store::name::WorkspaceName;
use crate::store::root::UserRoot;
use crate::store::walk::{self, Usage};
use crate::ui::text::{JsonPath, whole_second};
use crate::ui::{Report, Ui};
use crate::workspace::ignored;
use crate::workspace::journal;
use crate::workspace::record::State;
use crate::workspace::unsaved;
use crate::workspace::work::Work;
use crate::workspace::{Listed, Workspace};

/// Show the state of one, some or all workspaces
///
/// Nothing is written, and a workspace in use can be looked at too.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspaces; all of them when none is named
    ///
    /// Only of those named the directories that git ignores are searched for repositories with work in them, as `rm` and `gc` do.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Add sizes, numbers of files, and what a run uses now
    #[arg(long)]
    stats: bool,
    /// Show totals over all workspaces instead of each
    #[arg(long, conflicts_with_all = ["names", "porcelain", "null"])]
    summary: bool,
    /// Print one line of fields separated by tabs for each, which stays the same between versions
    ///
    /// Name, state, branch, head, dirty, changes, ahead, behind, delivered (`yes`, `no`), running, last used, expires,
    /// source; `-` for what there is not.
    #[arg(long)]
    porcelain: bool,
    /// Like `--porcelain`, but end each line with a NUL byte and quote nothing
    #[arg(short = 'z', long = "null")]
    null: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    workspaces: Vec<Item>,
    #[serde(skip)]
    now: Timestamp,
    /// Whether they were asked for by their names.
    #[serde(skip)]
    named: bool,
}

/// Totals over all workspaces of a user.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    total: usize,
    /// In use now, or not expired.
    active: usize,
    inactive: usize,
    damaged: usize,
    running: usize,
    total_size_mb: f64,
    oldest_access: Option<Timestamp>,
    limits: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct Item {
    name: String,
    /// `creating`, `ready`, `error`, `damaged`, `missing`, or `unfinished …` where a command was cut off.
    state: &'static str,
    #[serde(flatten)]
    path: JsonPath,
    running: Option<Running>,
    branch: Option<String>,
    head: Option<String>,
    base: Option<String>,
    upstream: Option<String>,
    /// Paths that differ from the head.
    dirty: Option<usize>,
    /// Paths that differ from the base.
    changes: Option<usize>,
    /// Commits that the upstream branch, as last fetched, lacks.
    ahead: Option<usize>,
    behind: Option<usize>,
    /// Whether all work is reachable from outside, or there is none.
    delivered: Option<bool>,
    /// Why not.
    unsaved: Vec<String>,
    /// A merge, rebase or the like that is under way.
    operation: Option<String>,
    created: Option<Timestamp>,
    last_used: Option<Timestamp>,
    expires: Option<Timestamp>,
    pinned: bool,
    ephemeral: bool,
    source: Option<String>,
    ports: Vec<u16>,
    #[serde(flatten)]
    stats: Option<Stats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// Who works in it now.
#[derive(Debug, Serialize)]
struct Running {
    command: String,
    pid: u32,
    since: Timestamp,
}

#[derive(Debug, Serialize)]
struct Stats {
    /// Bytes on disk that go with the workspace.
    size_bytes: u64,
    /// Bytes of the pool, which other workspaces may share.
    shared_bytes: u64,
    file_count: u64,
    subdirectories: u64,
    #[serde(flatten)]
    live: Option<Live>,
}

/// Returns the porcelain of a workspace with `source` as its source.
#[cfg(any(test, fuzzing))]
pub(crate) fn porcelain_of(source: &str, raw: bool) -> Vec<u8> {
    let (branch, source) = (Some("main".into()), Some(source.to_owned()));
    let item = Item { state: "ready", branch, source, dirty: Some(0), delivered: Some(true), ..empty("x") };
    form::porcelain(&[item], raw)
}

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Exit> {
    let now = Timestamp::now();
    let listed = match cmd::reader(config)? {
        Some(at) => listed(&at, &args.names)?,
        None => match args.names.first() {
            Some(name) => return Err(cmd::no_workspace(&WorkspaceName::parse(name)?)),
            None => Vec::new(),
        },
    };
    if let ([_], [Err((_, _))]) = (&args.names[..], &listed[..]) {
        let Some(Err((_, error))) = listed.into_iter().next() else { unreachable!("there is one, and it failed") };
        return Err(error);
    }
    if args.summary {
        return ui.answer(&summary(&listed, config, now));
    }
    let workspaces = look(&listed, args, config, now, ui)?;
    let answer = Answer { workspaces, now, named: !args.names.is_empty() };
    if answer.workspaces.is_empty() && !ui.json() {
        ui.status("There is no workspace yet; `stead create NAME` or `stead clone SOURCE` makes one.");
    }
    if (args.porcelain || args.null) && !ui.json() {
        ui.raw(&form::porcelain(&answer.workspaces, args.null))?;
        return Ok(Report::exit(&answer));
    }
    ui.answer(&answer)
}

type Found = Result<Workspace, (String, anyhow::Error)>;

/// Returns the workspaces that are asked for; one that cannot be opened as its name and why.
fn listed(at: &UserRoot, names: &[String]) -> Result<Vec<Found>> {
    if names.is_empty() {
        let all = Workspace::all(at)?;
        return Ok(all
            .into_iter()
            .map(|listed| match listed {
                Listed::Whole(workspace) => Ok(workspace),
                Listed::Damaged { name, reason } => {
                    let failure = crate::error::Failure::new(Kind::Damaged, reason);
                    let hint = format!("`stead doctor --repair` rebuilds what it can of `{name}`");
                    Err((name.to_string(), failure.hint(hint).into()))
                }
            })
            .collect());
    }
    let names: Vec<WorkspaceName> = names.iter().map(|name| WorkspaceName::parse(name)).collect::<Result<_>>()?;
    Ok(names.iter().map(|name| Workspace::open(at, name).map_err(|error| (name.to_string(), error))).collect())
}

/// Looks at all of them: one in several threads, many in one thread each.
fn look(listed: &[Found], args: &Args, config: &Config, now: Timestamp, ui: &Ui) -> Result<Vec<Item>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = (cores / listed.len().max(1)).max(1);
    let (next, items) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..cores.min(listed.len()) {
            scope.spawn(|| {
                while let Some(found) = listed.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if ui.progress().cancelled() {
                        return;
                    }
                    let item = match found {
                        Ok(workspace) => settled(workspace, args, config, now, threads),
                        Err((name, error)) => Some(not_opened(name, error)),
                    };
                    items.lock().unwrap_or_else(PoisonError::into_inner).extend(item);
                }
            });
        }
    });
    progress::check(ui.progress())?;
    let mut items = items.into_inner().unwrap_or_else(PoisonError::into_inner);
    items.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(items)
}

/// Looks at one without a lease: what goes wrong because it is removed or comes back meanwhile is looked at again. `None`
/// when it is gone and nobody has asked for it by name.
fn settled(workspace: &Workspace, args: &Args, config: &Config, now: Timestamp, threads: usize) -> Option<Item> {
    const TRIES: usize = 4;
    let mut workspace = workspace.clone();
    let mut looked = item(&workspace, args, config, now, threads);
    for _ in 1..TRIES {
        if looked.error.is_none() {
            break;
        }
        match Workspace::open(workspace.at(), workspace.name()) {
            Ok(again) => workspace = again,
            Err(error) if Kind::of(&error) == Kind::NotFound && args.names.is_empty() => return None,
            Err(error) => return Some(not_opened(workspace.name().as_str(), &error)),
        }
        looked = item(&workspace, args, config, now, threads);
    }
    Some(looked)
}

fn item(workspace: &Workspace, args: &Args, config: &Config, now: Timestamp, threads: usize) -> Item {
    let record = &workspace.record;
    // Read before the holder: what is under way while somebody works in it was not cut off.
    let unfinished = journal::unfinished(&workspace.state());
    let holder = workspace.holder().ok().flatten();
    let mut item = Item {
        state: match (unfinished, record.state) {
            (Some(unfinished), _) if holder.is_none() => unfinished,
            (_, State::Creating) => "creating",
            (_, State::Ready) => "ready",
            (_, State::Error) => "error",
        },
        path: JsonPath::of(workspace.tree().as_os_str().as_bytes()),
        running: holder.map(|holder| Running {
            command: holder.command,
            pid: holder.pid,
            since: whole_second(holder.since),
        }),
        base: record.base.clone(),
        upstream: record.upstream.clone(),
        created: Some(whole_second(record.created)),
        last_used: Some(whole_second(record.last_used.min(now))),
        expires: expires(workspace, config, now).map(whole_second),
        pinned: record.pinned,
        ephemeral: record.ephemeral,
        source: record.source.clone(),
        ports: record.ports.clone(),
        ..empty(workspace.name().as_str())
    };
    if args.stats {
        item.stats = Some(stats(workspace, &item, threads));
    }
    if let Err(error) = measure(workspace, args, config, threads, &mut item) {
        item.error = Some(Problem::of(&error));
    }
    item
}

/// Fills in what is read from the tree and the agent's `.git`.
fn measure(workspace: &Workspace, args: &Args, config: &Config, threads: usize, item: &mut Item) -> Result<()> {
    let work = Work::look(workspace, config, threads)?;
    item.branch = work.branch().map(str::to_owned);
    item.head = work.refs.head_commit().map(|head| head.to_string());
    item.operation.clone_from(&work.refs.operation);
    if work.head.is_some() || work.refs.head_commit().is_none() {
        item.dirty = Some(work.count_since(work.head)?);
    }
    if work.base.is_some() || workspace.base().is_none() {
        item.changes =
            Some(if work.base == work.head { item.dirty.unwrap_or_default() } else { work.count_since(work.base)? });
    }
    if let (Some(head), Some(key), Some(upstream)) = (work.head, &workspace.record.pool, &workspace.record.upstream)
        && let Ok(pool) = Pool::open(workspace.at(), key)
        && let Ok(tip) = pool.repository().refname_to_id(&format!("refs/heads/{upstream}"))
        && let Ok((ahead, behind)) = work.store.repository().graph_ahead_behind(head, tip)
    {
        (item.ahead, item.behind) = (Some(ahead), Some(behind));
    }
    let mut reasons = unsaved::unsaved(workspace, &work.store, &work.snapshot)?;
    // In a list of all it would take longer than all else.
    if !args.names.is_empty() {
        let ignored = ignored::measure(&workspace.tree(), work.snapshot.ignored);
        reasons.extend(unsaved::of_ignored(workspace, &ignored.gits));
    }
    item.delivered = Some(reasons.is_empty());
    item.unsaved = reasons.iter().map(ToString::to_string).collect();
    Ok(())
}

fn empty(name: &str) -> Item {
    Item {
        name: name.to_owned(),
        state: "damaged",
        path: JsonPath::of(b""),
        running: None,
        branch: None,
        head: None,
        base: None,
        upstream: None,
        dirty: None,
        changes: None,
        ahead: None,
        behind: None,
        delivered: None,
        unsaved: Vec::new(),
        operation: None,
        created: None,
        last_used: None,
        expires: None,
        pinned: false,
        ephemeral: false,
        source: None,
        ports: Vec::new(),
        stats: None,
        error: None,
    }
}

fn not_opened(name: &str, error: &anyhow::Error) -> Item {
    let state = if Kind::of(error) == Kind::NotFound { "missing" } else { "damaged" };
    Item { state, error: Some(Problem::of(error)), ..empty(name) }
}

/// Returns when `gc` may take it: a time after its last use, by its own ttl or the setting; a time in the future counts
/// as now.
fn expires(workspace: &Workspace, config: &Config, now: Timestamp) -> Option<Timestamp> {
    let record = &workspace.record;
    if record.pinned {
        return None;
    }
    let age = record.ttl.map_or(config.gc.max_age, Duration::from_secs);
    record.last_used.min(now).checked_add(SignedDuration::try_from(age).ok()?).ok()
}

fn stats(workspace: &Workspace, item: &Item, threads: usize) -> Stats {
    let tree = walk::usage(&workspace.tree(), threads);
    let more = [workspace.state(), workspace.at().homes(workspace.name())].map(|path| walk::usage(&path, threads));
    let pool = workspace.record.pool.as_deref().and_then(|key| Pool::open(workspace.at(), key).ok());
    Stats {
        size_bytes: tree.bytes + more.iter().map(|usage| usage.bytes).sum::<u64>(),
        shared_bytes: pool.map_or_else(Usage::default, |pool| walk::usage(pool.path(), threads)).bytes,
        file_count: tree.files,
        subdirectories: tree.directories,
        live: item.running.as_ref().filter(|running| running.pid != 0).map(|running| live::below(running.pid)),
    }
}

fn summary(listed: &[Found], config: &Config, now: Timestamp) -> Summary {
    let whole: Vec<&Workspace> = listed.iter().filter_map(|found| found.as_ref().ok()).collect();
    let is_running = |workspace: &Workspace| workspace.holder().is_ok_and(|holder| holder.is_some());
    let running: Vec<bool> = whole.iter().map(|workspace| is_running(workspace)).collect();
    let active = whole
        .iter()
        .zip(&running)
        .filter(|(workspace, running)| **running || expires(workspace, config, now).is_none_or(|time| time > now))
        .count();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let size: u64 = whole
        .iter()
        .flat_map(|workspace| [workspace.tree(), workspace.state(), workspace.at().homes(workspace.name())])
        .map(|path| walk::usage(&path, threads).bytes)
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "sizes are below 2^52 bytes, and shown in hundredths of a MB")]
    let megabytes = (size as f64 / 10_000.0).round() / 100.0;
    Summary {
        total: listed.len(),
        active,
        inactive: listed.len() - active,
        damaged: listed.len() - whole.len(),
        running: running.iter().filter(|running| **running).count(),
        total_size_mb: megabytes,
        oldest_access: whole.iter().map(|workspace| whole_second(workspace.record.last_used)).min(),
        limits: config.limits.clone(),
    }
}
