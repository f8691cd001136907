//! `stead diff`: the changes of a workspace as a list, a stat or a patch.

use anyhow::Context as _;
use serde::Serialize;

use crate::cmd;
use crate::cmd::changes::ChangeObject;
use crate::config::Config;
use crate::error::{Exit, Failure, Kind, Result};
use crate::git::Oid;
use crate::git::change::{self, Change, ChangeKind};
use crate::git::meta::Meta;
use crate::git::repository::{Access, Store};
use crate::git::snapshot;
use crate::run::RunId;
use crate::run::record;
use crate::store::name::WorkspaceName;
use crate::ui::text::{JsonPath, Page, quote};
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
    unrecorded: Unrecorded,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip)]
    stat: bool,
}

/// What is in the tree but not among the changes.
#[derive(Debug, Serialize)]
pub(crate) struct Unrecorded {
    /// Nested repositories.
    pub(crate) nested: Vec<JsonPath>,
    /// What only rules newer than the base ignore.
    pub(crate) newly_ignored: Vec<JsonPath>,
    pub(crate) special: Vec<JsonPath>,
    pub(crate) too_large: Vec<JsonPath>,
    pub(crate) unreadable: Vec<JsonPath>,
}

impl Unrecorded {
    pub(crate) fn of(meta: &Meta) -> Self {
        fn paths<'a>(paths: impl Iterator<Item = &'a Vec<u8>>) -> Vec<JsonPath> {
            paths.map(|path| JsonPath::of(path)).collect()
        }
        Self {
            nested: paths(meta.nested.iter().map(|(path, _)| path)),
            newly_ignored: paths(meta.newly_ignored.iter()),
            special: paths(meta.special.iter().map(|(path, _)| path)),
            too_large: paths(meta.too_large.iter().map(|(path, _)| path)),
            unreadable: paths(meta.unreadable.iter().map(|(path, _)| path)),
        }
    }

    /// Adds a line for each kind that there is any of.
    pub(crate) fn text(&self, page: &mut Page) {
        for (what, paths) in [
            ("nested repositories, not part of the changes", &self.nested),
            ("ignored only by new rules, not recorded", &self.newly_ignored),
            ("special files, not recorded", &self.special),
            ("too large, not recorded", &self.too_large),
            ("not readable", &self.unreadable),
        ] {
            if !paths.is_empty() {
                let names: Vec<_> = paths.iter().map(|path| quote(path.path.as_bytes())).collect();
                page.line(format!("{what}: {}", names.join(", ")));
            }
        }
    }
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        if self.stat {
            stat(page, &self.changes);
        } else {
            for item in &self.changes {
                page.line(line(&item.change));
            }
        }
        self.unrecorded.text(page);
        page.line(format!("snapshot {}", self.snapshot));
    }
}

/// Returns one change as a line of a list: a letter, the path, and what else is to be known.
pub(crate) fn line(change: &Change) -> String {
    let mut line = match &change.old_path {
        Some(old) => format!("{} {} -> {}", letter(change.kind), quote(old), quote(&change.path)),
        None => format!("{} {}", letter(change.kind), quote(&change.path)),
    };
    if let (Some(old), Some(new)) = (change.old_mode, change.mode)
        && old != new
    {
        line = format!("{line} (mode {old:o} -> {new:o})");
    }
    line
}

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
    let workspace = Workspace::open(&at, &name)?;
    let found = match &args.run {
        Some(run) => of_run(&workspace, run)?,
        None => of_now(&workspace, args, config)?,
    };
    let patch = if args.patch { Some(found.patch()?) } else { None };
    if !ui.json() {
        if let Some(patch) = patch {
            ui.status(&format!("Snapshot {}.", found.snapshot));
            return ui.raw(&patch);
        }
        if args.name_only || args.null {
            return ui.raw(&names(&found.changes, args));
        }
    }
    let mut changes = Vec::new();
    let (additions, deletions) = found
        .changes
        .iter()
        .fold((0, 0), |(added, deleted), change| (added + change.additions, deleted + change.deletions));
    for change in found.changes {
        changes.push(if args.content {
            ChangeObject::with_content(change, &found.store)?
        } else {
            ChangeObject::new(change)
        });
    }
    ui.answer(&Answer {
        workspace: name.to_string(),
        snapshot: found.snapshot.to_string(),
        against: found.against,
        from: found.sides.before.map(|id| id.to_string()),
        run: found.run.map(|run| run.to_string()),
        running: workspace.holder()?.is_some(),
        additions,
        deletions,
        changes,
        unrecorded: Unrecorded::of(&found.meta),
        patch: patch.map(|patch| String::from_utf8_lossy(&patch).into_owned()),
        stat: args.stat,
    })
}

/// What is to be shown.
struct Found {
    store: Store,
    snapshot: Oid,
    meta: Meta,
    against: &'static str,
    sides: Sides,
    changes: Vec<Change>,
    run: Option<RunId>,
}

impl Found {
    fn patch(&self) -> Result<Vec<u8>> {
        change::patch(&self.store, self.sides.before, Some(self.sides.after))
    }
}

fn of_now(workspace: &Workspace, args: &Args, config: &Config) -> Result<Found> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = Work::look(workspace, config, threads)?;
    if !args.dirty && work.base.is_none() && workspace.base().is_some() {
        return Err(Failure::new(Kind::Damaged, format!("the base of `{}` is not in its pool", workspace.name()))
            .hint("`--dirty` compares with the head")
            .into());
    }
    let (commit, against) = if args.dirty { (work.head, "head") } else { (work.base, "base") };
    let (changes, sides) = work.since(commit)?;
    let Work { store, snapshot, .. } = work;
    Ok(Found { store, snapshot: snapshot.id, meta: snapshot.meta, against, sides, changes, run: None })
}

fn of_run(workspace: &Workspace, run: &str) -> Result<Found> {
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
    let sides = Sides { before: Some(before.files), after: after.files };
    Ok(Found { snapshot: after.id, meta: after.meta, against: "run", sides, changes, run: Some(run), store })
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

fn stat(page: &mut Page, changes: &[ChangeObject]) {
    const WIDTH: u64 = 40;
    let names: Vec<String> = changes
        .iter()
        .map(|item| match &item.change.old_path {
            Some(old) => format!("{} => {}", quote(old), quote(&item.change.path)),
            None => quote(&item.change.path).into_owned(),
        })
        .collect();
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let most = changes.iter().map(|item| item.change.additions + item.change.deletions).max().unwrap_or_default();
    let (mut added, mut deleted) = (0, 0);
    for (item, name) in changes.iter().zip(names) {
        let Change { additions, deletions, binary, .. } = item.change;
        let scale = |count: u64| if most <= WIDTH { count } else { (count * WIDTH).div_ceil(most) };
        let bar = |sign: &str, count: u64| sign.repeat(usize::try_from(scale(count)).unwrap_or_default());
        if binary {
            page.line(format!(" {name:widest$} | Bin"));
        } else {
            let sum = additions + deletions;
            let bars = format!(" {name:widest$} | {sum:>5} {}{}", bar("+", additions), bar("-", deletions));
            page.line(bars.trim_end());
        }
        added += additions;
        deleted += deletions;
    }
    if !changes.is_empty() {
        let files = if changes.len() == 1 { "file" } else { "files" };
        page.line(format!(" {} {files} changed, {added} insertions(+), {deleted} deletions(-)", changes.len()));
    }
}
