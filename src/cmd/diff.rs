//! `stead diff`: the changes of a workspace as a list, a stat or a patch.

use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use crate::cmd;
use crate::cmd::changes::{Beside, ChangeObject, line, shown};
use crate::config::Config;
use crate::error::{Exit, Failure, Kind, Result};
use crate::git::Oid;
use crate::git::change::{self, Change, ChangeKind};
use crate::git::gone::{self, Gone};
use crate::git::linked;
use crate::git::meta::Meta;
use crate::git::repository::{Access, Store};
use crate::git::snapshot;
use crate::git::sync::work::HIDDEN;
use crate::run::RunId;
use crate::run::record;
use crate::store::name::WorkspaceName;
use crate::ui::text::{Page, quote, times};
use crate::ui::{Report, Ui};
use crate::workspace::Workspace;
use crate::workspace::work::{Sides, Work};

/// Show the changes of a workspace
///
/// By default everything since the base: commits and uncommitted work alike, untracked files included. Nothing is
/// written, and a workspace in use can be looked at too.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspace
    #[arg(value_name = "NAME")]
    name: String,
    /// Compare with the workspace's head rather than with its base
    #[arg(long, conflicts_with = "run")]
    dirty: bool,
    /// Show what one run changed (`last` for the last one)
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Show a patch that `git apply` takes
    #[arg(short, long, group = "form")]
    patch: bool,
    /// Show how much changed in each file
    #[arg(long, group = "form")]
    stat: bool,
    /// Show paths only
    #[arg(long, group = "form")]
    name_only: bool,
    /// End each field with a NUL byte and quote nothing
    #[arg(short = 'z', long = "null", conflicts_with_all = ["patch", "stat"])]
    null: bool,
    /// Add the contents of changed files to the JSON answer
    ///
    /// As text, or in base64 where it is not UTF-8; none above 1 MiB.
    #[arg(long)]
    content: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    workspace: String,
    /// The id of the snapshot, for `sync --snapshot`.
    snapshot: String,
    /// `base`, `head` or `run`.
    against: &'static str,
    /// What it is compared with: a commit, or the first snapshot of the run; `null` for nothing at all.
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    /// Whether somebody works in the workspace now.
    running: bool,
    additions: u64,
    deletions: u64,
    changes: Vec<ChangeObject>,
    #[serde(flatten)]
    beside: Beside,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    /// The list or stat for people.
    #[serde(skip)]
    shown: Vec<String>,
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        for line in &self.shown {
            page.line(line);
        }
        self.beside.text(page);
        page.line(format!("snapshot {}", self.snapshot));
    }
}

/// As git names it where a flag asks for git's form.
fn letter(kind: ChangeKind) -> char {
    match kind {
        ChangeKind::Create => 'A',
        ChangeKind::Update => 'M',
        ChangeKind::Delete => 'D',
        ChangeKind::Rename => 'R',
    }
}

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Exit> {
    let name = WorkspaceName::parse(&args.name)?;
    let at = cmd::reader(config)?.ok_or_else(|| cmd::no_workspace(&name))?;
    let found = cmd::settled(&at, &name, Workspace::open, |workspace| find(workspace, args, config))?;
    if !ui.json() {
        if let Some(patch) = &found.patch {
            ui.status(&format!("Snapshot {}.", found.snapshot));
            return ui.raw(patch);
        }
        if args.name_only || args.null {
            return ui.raw(&names(&found.changes, args));
        }
    }
    let (additions, deletions) = found
        .changes
        .iter()
        .fold((0, 0), |(added, deleted), change| (added + change.additions, deleted + change.deletions));
    ui.answer(&Answer {
        workspace: name.to_string(),
        snapshot: found.snapshot.to_string(),
        against: found.against,
        from: found.before.map(|id| id.to_string()),
        run: found.run.map(|run| run.to_string()),
        running: found.running,
        additions,
        deletions,
        changes: found.objects,
        beside: Beside::between(&Meta::default(), &found.meta).with_gone(found.gone).with_linked(&found.linked),
        patch: found.patch.map(|patch| String::from_utf8_lossy(&patch).into_owned()),
        shown: if args.stat { stat(&found.changes) } else { found.changes.iter().map(line).collect() },
    })
}

/// What is to be shown.
struct Found {
    snapshot: Oid,
    meta: Meta,
    against: &'static str,
    before: Option<Oid>,
    changes: Vec<Change>,
    gone: Gone,
    linked: Vec<PathBuf>,
    objects: Vec<ChangeObject>,
    patch: Option<Vec<u8>>,
    run: Option<RunId>,
    running: bool,
}

/// What is compared.
struct Compared {
    store: Store,
    snapshot: Oid,
    meta: Meta,
    against: &'static str,
    sides: Sides,
    changes: Vec<Change>,
    /// What else a run took away.
    gone: Gone,
    /// Linked worktrees that it made where nothing is recorded.
    linked: Vec<PathBuf>,
    run: Option<RunId>,
}

/// Reads all that is to be shown, so that a workspace that goes meanwhile is noticed before anything is printed.
fn find(workspace: &Workspace, args: &Args, config: &Config) -> Result<Found> {
    let running = workspace.holder()?.is_some();
    let compared = match &args.run {
        Some(run) => of_run(workspace, run)?,
        None => of_now(workspace, args, config)?,
    };
    let Compared { store, snapshot, meta, against, sides, changes, gone, linked, run } = compared;
    let object = |change| {
        if args.content { ChangeObject::with_content(change, &store) } else { Ok(ChangeObject::new(change)) }
    };
    let objects = changes.iter().cloned().map(object).collect::<Result<_>>()?;
    let patch = args.patch.then(|| change::patch(&store, sides.before, Some(sides.after))).transpose()?;
    Ok(Found { snapshot, meta, against, before: sides.before, changes, gone, linked, objects, patch, run, running })
}

fn of_now(workspace: &Workspace, args: &Args, config: &Config) -> Result<Compared> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = Work::look(workspace, config, threads)?;
    if !args.dirty && work.base.is_none() && workspace.base().is_some() {
        return Err(Failure::new(Kind::Damaged, format!("the base of `{}` is not in its pool", workspace.name()))
            .hint("`--dirty` compares with the head")
            .into());
    }
    let (commit, against) = if args.dirty { (work.head, "head") } else { (work.base, "base") };
    let (changes, sides) = work.since(commit)?;
    let Work { store, mut snapshot, skipped, hidden, .. } = work;
    // The agent's index says so, and may be wrong.
    let skipped = skipped.into_iter().map(|path| (path, "not checked out, by its index".to_owned()));
    let hidden = hidden.into_iter().map(|path| (path, HIDDEN.to_owned()));
    snapshot.meta.special.extend(skipped.chain(hidden));
    let (gone, linked, run) = (Gone::default(), Vec::new(), None);
    Ok(Compared { store, snapshot: snapshot.id, meta: snapshot.meta, against, sides, changes, gone, linked, run })
}

fn of_run(workspace: &Workspace, run: &str) -> Result<Compared> {
    let not_found = |what: String| {
        Failure::new(Kind::NotFound, what).hint(format!("`stead log {}` lists its runs", workspace.name()))
    };
    let ids = record::ids(&workspace.runs())?;
    let run = if run == "last" {
        // Ids tell runs of one second apart, not in which order they came.
        let last = record::all(&workspace.runs())?.into_iter().max_by_key(|run| run.started);
        last.ok_or_else(|| not_found(format!("there was no run in `{}` yet", workspace.name())))?.id
    } else {
        let run = RunId::parse(run)?;
        let known = ids.contains(&run);
        known
            .then_some(run.clone())
            .ok_or_else(|| not_found(format!("there is no run `{run}` in `{}`", workspace.name())))?
    };
    let store = workspace.store(Access::Read)?;
    let load = |which: &str| {
        let name = format!("refs/runs/{run}/{which}");
        let commit = store
            .repository()
            .refname_to_id(&name)
            .map_err(|_| not_found(format!("the snapshots of run `{run}` are not kept any more, or not there yet")))?;
        snapshot::load(&store, commit)
    };
    let (before, after) = (load("before")?, load("after")?);
    let changes = change::between(&store, &before, &after).context("cannot compare the snapshots of the run")?;
    let gone = gone::between(&store, &before, &after).context("cannot compare the snapshots of the run")?;
    let linked = linked::between(store.repository(), &workspace.top(), &before, &after)?;
    let (sides, run) = (Sides { before: Some(before.files), after: after.files }, Some(run));
    Ok(Compared { snapshot: after.id, meta: after.meta, against: "run", sides, changes, gone, linked, run, store })
}

/// Returns the paths (and letters) for programs, as `git diff --name-only` and `--name-status` do.
fn names(changes: &[Change], args: &Args) -> Vec<u8> {
    let mut out = Vec::new();
    let mut field = |bytes: &[u8]| {
        if args.null {
            out.extend_from_slice(bytes);
            out.push(0);
        } else {
            out.extend_from_slice(quote(bytes).as_bytes());
            out.push(b'\n');
        }
    };
    for change in changes {
        if !args.name_only {
            field(&[letter(change.kind) as u8]);
            if let Some(old) = &change.old_path {
                field(old);
            }
        }
        field(&change.path);
    }
    out
}

fn stat(changes: &[Change]) -> Vec<String> {
    const WIDTH: u64 = 40;
    let names: Vec<String> = changes
        .iter()
        .map(|change| match &change.old_path {
            Some(old) => format!("{} => {}", quote(old), quote(&change.path)),
            None => shown(change),
        })
        .collect();
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let most = changes.iter().map(|change| change.additions + change.deletions).max().unwrap_or_default();
    let mut lines = Vec::new();
    let (mut added, mut deleted) = (0, 0);
    for (change, name) in changes.iter().zip(names) {
        let Change { additions, deletions, binary, .. } = change;
        let scale = |count: u64| if most <= WIDTH { count } else { (count * WIDTH).div_ceil(most) };
        let bar = |sign: &str, count: u64| sign.repeat(usize::try_from(scale(count)).unwrap_or_default());
        if *binary {
            lines.push(format!(" {name:widest$} | Bin"));
        } else {
            let sum = additions + deletions;
            let bars = format!(" {name:widest$} | {sum:>5} {}{}", bar("+", *additions), bar("-", *deletions));
            lines.push(bars.trim_end().to_owned());
        }
        added += additions;
        deleted += deletions;
    }
    if !changes.is_empty() {
        lines.push(format!(
            " {} changed, {}(+), {}(-)",
            times(changes.iter().filter(|change| !change.is_of_directory()).count(), "file"),
            times(added, "insertion"),
            times(deleted, "deletion")
        ));
    }
    lines
}
