//! `stead undo`: put a workspace back to where it was before a run.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::cmd;
use crate::cmd::changes::{self, ChangeObject};
use crate::config::Config;
use crate::error::{Exit, Failure, Kind, Result};
use crate::git::change::Change;
use crate::git::ignore;
use crate::git::repository::{Access, Store};
use crate::git::snapshot::Snapshot;
use crate::run::RunId;
use crate::run::record::{self, End, Outcome as How, RunRecord};
use crate::store::beneath::Dir;
use crate::store::fs::{Durability, write_atomic};
use crate::store::lease::Wait;
use crate::store::name::WorkspaceName;
use crate::ui::text::{JsonPath, Page, quote};
use crate::ui::{Report, Ui};
use crate::workspace::agentgit::Running;
use crate::workspace::sync;
use crate::workspace::sync::revert::{self, Applied};
use crate::workspace::undo::{self, Asked, Before, Outline, RefChange, UndoPlan, Undone};
use crate::workspace::{LeasedWorkspace, Workspace, keep};

/// Put a workspace back to where it was before a run
///
/// Files and directories with their modes, links, and the whole `.git`: branches, HEAD, index, stash and logs. What was
/// ignored and never recorded stays as it is. The state that is replaced is recorded first, so that an undo can be undone:
/// without a RUN it takes back what was done last, another undo included.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspace
    name: String,
    /// The run, the last one unless named; then paths in the tree, to put back only these
    ///
    /// With paths, `.git` stays as it is.
    #[arg(value_name = "RUN|PATH")]
    what: Vec<OsString>,
    /// Take back what was last applied to the project, or to the directory at PATH, instead
    ///
    /// Each path gets what was there before `sync --to PATH --apply`. Where somebody has gone on with it, the two are merged;
    /// when that is not clean nothing is written.
    #[arg(long, value_name = "PATH", num_args = 0..=1, conflicts_with_all = ["what", "keep_git_config"])]
    #[expect(clippy::option_option, reason = "a flag whose value may be left out")]
    apply: Option<Option<PathBuf>>,
    /// Show what would be put back
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Leave in `.git` what would run commands
    #[arg(long)]
    keep_git_config: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    workspace: String,
    dry_run: bool,
    /// The run, or the apply, that was taken back.
    undoes: String,
    /// Where the apply had gone to.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// The id of the undo among the runs, or the applies; none when there was nothing to do.
    run: Option<String>,
    changes: Vec<ChangeObject>,
    refs: Vec<Ref>,
    /// Repositories whose `.git` was put back; the tree's own is empty.
    repositories: Vec<JsonPath>,
    /// What in these `.git` would run commands; put back only where `git_config_kept` is true.
    git_config_held: Vec<String>,
    git_config_kept: bool,
    /// Whether nothing stays that should have gone, and could not be recorded.
    complete: bool,
    /// What is not as it was.
    left: Vec<Left>,
    /// Refs that could not be brought back.
    lost: Vec<String>,
    /// What is only in a `.git` that was put aside, into the directory of the run.
    not_taken_over: Vec<Left>,
    /// What came meanwhile and was moved aside, into the directory of the run.
    aside: Vec<JsonPath>,
    #[serde(skip)]
    lines: Vec<String>,
    #[serde(skip)]
    has_git: bool,
}

#[derive(Debug, Serialize)]
struct Ref {
    name: String,
    old: Option<String>,
    new: Option<String>,
}

#[derive(Debug, Serialize)]
struct Left {
    #[serde(flatten)]
    path: JsonPath,
    reason: String,
    #[serde(skip)]
    shown: String,
}

impl Left {
    fn new((path, reason): (Vec<u8>, String)) -> Self {
        Self { path: JsonPath::of(&path), reason, shown: quote(&path).into_owned() }
    }
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        let Self { workspace, undoes, .. } = self;
        if let Some(target) = &self.target {
            let verb = if self.dry_run { "Would take" } else { "Took" };
            let target = quote(target.as_bytes());
            page.line(format!("{verb} back what workspace `{workspace}` had applied to `{target}`."));
            self.lines.iter().for_each(|line| page.line(format!("  {line}")));
            return;
        }
        let is_empty = self.lines.is_empty() && self.refs.is_empty() && self.repositories.is_empty();
        match &self.run {
            None if is_empty && !self.complete => {
                page.line(format!("Nothing of `{workspace}` can be put back to before the run {undoes}."));
            }
            _ if self.dry_run && is_empty => page.line(format!("`{workspace}` is as it was before the run {undoes}.")),
            _ if self.dry_run => page.line(format!("Would put `{workspace}` back to before the run {undoes}.")),
            None => page.line(format!("`{workspace}` is as it was before the run {undoes}.")),
            Some(_) => page.line(format!("Put `{workspace}` back to before the run {undoes}.")),
        }
        for line in &self.lines {
            page.line(format!("  {line}"));
        }
        for Ref { name, old, new } in &self.refs {
            let short = |value: &Option<String>| match value.as_deref() {
                None => "nothing".to_owned(),
                Some(value) if value.len() == 40 => value[..7].to_owned(),
                Some(value) => quote(value.as_bytes()).into_owned(),
            };
            page.line(format!("  {}: {} -> {}", quote(name.as_bytes()), short(old), short(new)));
        }
        if self.has_git && self.refs.is_empty() {
            page.line("  the rest of `.git`");
        }
        changes::not_put_back(page, &self.git_config_held, self.git_config_kept);
        for left in &self.left {
            page.line(format!("Left as it is: {} ({})", left.shown, left.reason));
        }
        for name in &self.lost {
            page.line(format!("Not brought back: {} (its objects are gone)", quote(name.as_bytes())));
        }
        for left in &self.not_taken_over {
            page.line(format!("Only in the `.git` that was put aside: {} ({})", left.shown, left.reason));
        }
        for path in &self.aside {
            page.line(format!("Moved aside, because it came meanwhile: {}", quote(path.path.as_bytes())));
        }
        if self.run.is_some() {
            page.hint(&format!("`stead undo {workspace}` takes this back"));
        }
    }

    fn exit(&self) -> Exit {
        if self.complete || self.dry_run { Exit::DONE } else { Kind::Failed.exit() }
    }
}

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Answer> {
    let name = WorkspaceName::parse(&args.name)?;
    let (run, paths) = what(&args.what)?;
    let workspace = Workspace::open(&cmd::existing(config, name.as_str())?, &name)?;
    if let Some(path) = &args.apply {
        return revert(args, path.as_deref(), workspace, config, ui);
    }
    let excludes = ignore::global_excludes(&config.environment).and_then(|path| std::fs::read(path).ok());
    let keep = args.keep_git_config || config.exec.keep_git_config;
    let asked = Asked { paths: &paths, excludes: &excludes.unwrap_or_default() };
    if args.dry_run {
        let store = workspace.store(Access::Read)?;
        let (run, then) = target(&workspace, &store, run, config)?;
        let now = workspace.look(&store, config, 1)?;
        let plan = undo::plan(&workspace, &store, &now, &then, asked)?;
        let also = obstacles(&workspace, &plan)?;
        let plan = if also.is_empty() {
            plan
        } else {
            let now = workspace.look_also(&store, config, &also)?;
            undo::plan(&workspace, &store, &now, &then, asked)?
        };
        check(&workspace, &plan)?;
        return Ok(answer(&workspace, &run, None, plan.into_outline(), Did { dry_run: true, keep }));
    }
    let mut workspace = cmd::lease(workspace, "undo", Wait::No, ui)?;
    let store = workspace.store(Access::Write)?;
    let (run, then) = target(&workspace, &store, run, config)?;
    let (plan, now) = prepare(&mut workspace, &store, &then, asked, config, ui)?;
    if plan.is_empty() {
        return Ok(answer(&workspace, &run, None, plan.into_outline(), Did { dry_run: false, keep }));
    }
    let running = if keep { Running::Kept } else { Running::Dropped };
    let id = RunId::new(Timestamp::now());
    let outline = apply(&mut workspace, &store, plan, (&id, &run, &now), running)?;
    let after = workspace.capture(&store, config, ui.progress())?;
    store.set_ref(&id.refs().1, after.commit)?;
    workspace.touch()?;
    Ok(answer(&workspace, &run, Some(&id), outline, Did { dry_run: false, keep }))
}

/// Takes back what was applied to a project or a folder.
fn revert(args: &Args, path: Option<&Path>, workspace: Workspace, config: &Config, ui: &Ui) -> Result<Answer> {
    let target = match path {
        Some(path) => config.environment.current_dir().join(path),
        None => sync::project_of(&workspace)?,
    };
    if args.dry_run {
        let plan = revert::plan(&workspace, &target, None)?;
        return Ok(reverted(&workspace, &plan.applied.clone(), None, plan.changes));
    }
    let mut workspace = cmd::lease(workspace, "undo", Wait::No, ui)?;
    let mut plan = revert::plan(&workspace, &target, None)?;
    let (applied, changes) = (plan.applied.clone(), std::mem::take(&mut plan.changes));
    let id = plan.apply(&mut workspace)?;
    Ok(reverted(&workspace, &applied, Some(id), changes))
}

fn reverted(workspace: &Workspace, applied: &Applied, id: Option<String>, changes: Vec<Change>) -> Answer {
    Answer {
        workspace: workspace.name().to_string(),
        dry_run: id.is_none(),
        undoes: applied.id.clone(),
        target: Some(applied.target.clone()),
        run: id,
        lines: changes.iter().map(changes::line).collect(),
        changes: changes.into_iter().map(ChangeObject::new).collect(),
        refs: Vec::new(),
        repositories: Vec::new(),
        git_config_held: Vec::new(),
        git_config_kept: false,
        complete: true,
        left: Vec::new(),
        lost: Vec::new(),
        not_taken_over: Vec::new(),
        aside: Vec::new(),
        has_git: false,
    }
}

/// Records the present state, also what stands in the way and is ignored, and plans from it.
fn prepare(
    workspace: &mut LeasedWorkspace,
    store: &Store,
    then: &Before,
    asked: Asked<'_>,
    config: &Config,
    ui: &Ui,
) -> Result<(UndoPlan, Snapshot)> {
    let mut now = workspace.capture(store, config, ui.progress())?;
    let mut plan = undo::plan(workspace, store, &now, then, asked)?;
    let also = obstacles(workspace, &plan)?;
    if !also.is_empty() {
        now = workspace.capture_also(store, config, &also, ui.progress())?;
        plan = undo::plan(workspace, store, &now, then, asked)?;
    }
    check(workspace, &plan)?;
    let imported = keep::commits(workspace, store)?;
    for (id, reason) in imported.failed.iter().take(3) {
        ui.warn(&format!("cannot keep the commit {id}: {reason}; it stays in the `.git` that is put aside"));
    }
    if let left @ 1.. = keep::nested(workspace, store, &now.meta)? {
        ui.warn(&format!("{left} nested repositories were not looked at for commits: there are too many"));
    }
    store.flush()?;
    Ok((plan, now))
}

fn obstacles(workspace: &Workspace, plan: &UndoPlan) -> Result<Vec<PathBuf>> {
    let found = plan.obstacles(&Dir::open(&workspace.tree())?)?;
    Ok(found.into_iter().map(|path| PathBuf::from(OsString::from_vec(path))).collect())
}

/// Refuses what would take away something that could not be recorded.
fn check(workspace: &Workspace, plan: &UndoPlan) -> Result<()> {
    let obstacles = obstacles(workspace, plan)?;
    if obstacles.is_empty() {
        return Ok(());
    }
    let names: Vec<String> =
        obstacles.iter().take(5).map(|path| format!("`{}`", quote(path.as_os_str().as_bytes()))).collect();
    let more = if obstacles.len() > 5 { ", …" } else { "" };
    Err(Failure::new(
        Kind::Refused,
        format!("cannot record what stands in the way, and it would be lost: {}{more}", names.join(", ")),
    )
    .hint("move it away first, or name the paths that are to be put back")
    .into())
}

fn apply(
    workspace: &mut LeasedWorkspace,
    store: &Store,
    plan: UndoPlan,
    (id, run, now): (&RunId, &RunId, &Snapshot),
    running: Running,
) -> Result<Outline> {
    let started = Timestamp::now();
    let directory = record::directory(&workspace.runs(), id);
    cmd::exec::make_directory(&directory)?;
    let command = ["stead", "undo", workspace.name().as_str(), run.as_str()].map(str::to_owned).to_vec();
    let mut record = RunRecord::new(id.clone(), started, command);
    record.undoes = Some(run.clone());
    record.before = Some(now.id.to_string());
    write_atomic(&directory.join("run.toml"), record.text().as_bytes(), Durability::Synced)?;
    store.set_ref(&id.refs().0, now.commit)?;
    let changes = plan.outline().changes.len() as u64;
    record.end = Some(End { changes, ..End::unmeasured(Timestamp::now(), How::Exited, 0) });
    plan.apply(workspace, store, (id.as_str(), record.text()), running)
}

/// Returns the run that is meant, and the state before it.
fn target(workspace: &Workspace, store: &Store, run: Option<RunId>, config: &Config) -> Result<(RunId, Before)> {
    let name = workspace.name();
    let has_before = |id: &RunId| store.repository().refname_to_id(&id.refs().0).ok();
    let id = if let Some(id) = run {
        id
    } else {
        let ids = record::ids(&workspace.runs())?;
        ids.into_iter().rev().find(|id| has_before(id).is_some()).ok_or_else(|| {
            Failure::new(Kind::NotFound, format!("workspace `{name}` has no run that can be undone"))
                .hint(format!("`stead log {name}` lists its runs"))
        })?
    };
    let Some(commit) = has_before(&id) else {
        let known = record::directory(&workspace.runs(), &id).exists();
        let message = if known {
            format!("the state before the run {id} is not kept any more")
        } else {
            format!("workspace `{name}` has no run {id}")
        };
        return Err(Failure::new(Kind::NotFound, message)
            .hint(format!("`stead log {name}` lists its runs, and says which can be undone"))
            .into());
    };
    let directory = record::directory(&workspace.runs(), &id);
    let is_undo = RunRecord::read(&directory).is_ok_and(|record| record.undoes.is_some());
    let undone = Undone { id: id.to_string(), directory, is_undo };
    let before = Before::of(store, undone, commit, config)?;
    Ok((id, before))
}

/// Tells the run from the paths.
fn what(words: &[OsString]) -> Result<(Option<RunId>, Vec<Vec<u8>>)> {
    let run = words.first().and_then(|word| RunId::parse(word.to_str()?).ok());
    let paths = &words[usize::from(run.is_some())..];
    Ok((run, paths.iter().map(|path| inside(Path::new(path))).collect::<Result<_>>()?))
}

/// Returns a path in the tree without `.` and a slash at the end.
fn inside(path: &Path) -> Result<Vec<u8>> {
    let mut names: Vec<&[u8]> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.as_bytes()),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Failure::new(Kind::Usage, format!("`{}` is not a path in the tree", path.display()))
                    .hint("paths count from the top of the tree")
                    .into());
            }
        }
    }
    anyhow::ensure!(!names.is_empty(), Failure::new(Kind::Usage, "a path is empty"));
    Ok(names.join(&b'/'))
}

/// How it was gone about.
#[derive(Clone, Copy)]
struct Did {
    dry_run: bool,
    /// Whether what would run commands is put back too.
    keep: bool,
}

fn answer(workspace: &Workspace, run: &RunId, id: Option<&RunId>, outline: Outline, did: Did) -> Answer {
    Answer {
        workspace: workspace.name().to_string(),
        dry_run: did.dry_run,
        complete: outline.is_complete(),
        undoes: run.to_string(),
        target: None,
        run: id.map(ToString::to_string),
        lines: outline.changes.iter().map(changes::line).collect(),
        changes: outline.changes.into_iter().map(ChangeObject::new).collect(),
        refs: outline.refs.into_iter().map(|RefChange { name, now, then }| Ref { name, old: now, new: then }).collect(),
        has_git: !outline.repositories.is_empty(),
        repositories: outline.repositories.iter().map(|path| JsonPath::of(path)).collect(),
        git_config_held: outline.held,
        git_config_kept: did.keep,
        left: outline.left.into_iter().map(Left::new).collect(),
        not_taken_over: outline.not_taken_over.into_iter().map(Left::new).collect(),
        lost: outline.lost,
        aside: outline.aside.iter().map(|path| JsonPath::of(path)).collect(),
    }
}
