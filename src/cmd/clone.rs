//! `stead clone`.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cmd;
use crate::cmd::create::{Made, Options, named_source};
use crate::cmd::exec::set_up;
use crate::config::Config;
use crate::error::{Failure, Kind, Result};
use crate::git::pool::Pool;
use crate::git::source::Source;
use crate::git::sync::join::Way;
use crate::store::lease::Wait;
use crate::store::name::WorkspaceName;
use crate::ui::text::{JsonPath, Page, quote, times};
use crate::ui::{Report, Ui};
use crate::workspace::create::{self, BranchChoice, extra};
use crate::workspace::sync::{State, upstream};
use crate::workspace::{LeasedWorkspace, Workspace};

/// Make a workspace of a repository, or bring it up to date
///
/// Checks out the source's default branch, as `git clone` does. When the workspace is there already and has no uncommitted
/// changes, it is brought up to date. With `--into` the repository becomes a directory of another workspace.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A URL, `user@host:path`, a path, or the name of a project below `CODE_SOURCE_DIR` or `~/src`
    source: String,
    /// Name of the workspace; made of the source when left out
    #[arg(conflicts_with = "into")]
    name: Option<String>,
    #[command(flatten)]
    options: Options,
    /// Put the repository into this workspace instead of making one
    #[arg(long, value_name = "NAME", conflicts_with_all = ["ephemeral", "ttl", "layout", "import", "env", "with_changes", "ports"])]
    into: Option<String>,
    /// Where it goes in the tree; `repos/` and the source's name when left out
    #[arg(long, value_name = "DEST", requires = "into")]
    dest: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    workspaces: Vec<Item>,
}

#[derive(Debug, Serialize)]
struct Item {
    name: String,
    #[serde(flatten)]
    done: Done,
}

#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
enum Done {
    Created(Box<Made>),
    Updated(Updated),
    Added(Added),
}

/// A workspace that was there already.
#[derive(Debug, Serialize)]
struct Updated {
    #[serde(flatten)]
    path: JsonPath,
    source: String,
    branch: Option<String>,
    commit: Option<String>,
    old_commit: Option<String>,
    /// Commits that came in.
    commits: usize,
    up_to_date: bool,
}

/// An extra repository in a workspace.
#[derive(Debug, Serialize)]
struct Added {
    #[serde(flatten)]
    path: JsonPath,
    source: String,
    commit: Option<String>,
    branch: Option<String>,
    files: u64,
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        for item in &self.workspaces {
            match &item.done {
                Done::Created(made) => made.text(page),
                Done::Updated(updated) if updated.up_to_date => {
                    page.line(format!("Workspace `{}` is up to date with `{}`.", item.name, updated.source));
                }
                Done::Updated(updated) => {
                    let commits = times(updated.commits, "commit");
                    page.line(format!("Brought workspace `{}` up to `{}`: {commits}.", item.name, updated.source));
                }
                Done::Added(added) => {
                    let commit = added.commit.as_deref().map_or("no commit", |commit| &commit[..10]);
                    page.line(format!(
                        "Put {commit} of `{}` into `{}` of workspace `{}`.",
                        added.source,
                        quote(added.path.path.as_bytes()),
                        item.name
                    ));
                }
            }
        }
    }
}

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Answer> {
    let name = args.name.as_deref().or(args.into.as_deref()).map(WorkspaceName::parse).transpose()?;
    let source = named_source(&args.source, config)?;
    match (&args.into, name) {
        (Some(_), Some(name)) => add(args, &name, &source, config, ui),
        (_, name) => {
            let name = name.unwrap_or_else(|| source.workspace_name());
            clone(args, &name, source, config, ui)
        }
    }
}

fn clone(args: &Args, name: &WorkspaceName, source: Source, config: &Config, ui: &Ui) -> Result<Answer> {
    let mut spec = args.options.spec(name.clone(), source, config)?;
    if spec.branch == BranchChoice::Own {
        spec.branch = BranchChoice::Default;
    }
    let at = cmd::writer(config)?;
    let net = cmd::net(config, ui);
    let existing = match Workspace::open(&at, name) {
        Ok(workspace) if !spec.ephemeral => Some(workspace),
        Err(error) if Kind::of(&error) != Kind::NotFound => return Err(error),
        _ => None,
    };
    let Some(existing) = existing else {
        let mut created = create::create(&at, &spec, &net, config, ui.progress())?;
        set_up(&mut created.workspace, config, ui)?;
        let (name, made) = (created.workspace.name().clone(), Made::of(&created));
        return Ok(Answer { workspaces: vec![Item { name: name.to_string(), done: Done::Created(Box::new(made)) }] });
    };
    let text = spec.source.to_string();
    if existing.record.source.as_deref() != Some(text.as_str()) {
        let of =
            existing.record.source.as_deref().map_or_else(|| "empty".to_owned(), |source| format!("of `{source}`"));
        return Err(Failure::new(Kind::Exists, format!("workspace `{name}` exists and is {of}"))
            .hint("give the new one another name: `stead clone SOURCE NAME`")
            .into());
    }
    if let Some(branch) = &args.options.branch
        && existing.record.branch.as_ref() != Some(branch)
    {
        let on = existing.record.branch.as_deref().unwrap_or("no branch");
        return Err(Failure::new(Kind::Exists, format!("workspace `{name}` exists and was made on `{on}`"))
            .hint("give the new one another name: `stead clone SOURCE NAME`")
            .into());
    }
    let pool = create::fetch(&at, &spec.source, existing.record.depth, &[], &net, ui.progress())?;
    let updated = update(cmd::lease(existing, "clone", Wait::No, ui)?, pool, config, ui)?;
    Ok(Answer { workspaces: vec![Item { name: name.to_string(), done: Done::Updated(updated) }] })
}

fn update(mut workspace: LeasedWorkspace, pool: Option<Pool>, config: &Config, ui: &Ui) -> Result<Updated> {
    let pool = pool.ok_or_else(|| Failure::new(Kind::Usage, "there is nothing to clone"))?;
    let state = State::take(&mut workspace, config, ui.progress())?;
    let outline = upstream::plan(&workspace, &state, pool, Way::FastForward)?.apply(&mut workspace, &state)?;
    Ok(Updated {
        path: JsonPath::of(workspace.tree().as_os_str().as_bytes()),
        source: outline.target,
        branch: outline.branch,
        commit: outline.commit.map(|commit| commit.to_string()),
        old_commit: outline.old_commit.map(|commit| commit.to_string()),
        commits: outline.commits,
        up_to_date: outline.up_to_date,
    })
}

fn add(args: &Args, name: &WorkspaceName, source: &Source, config: &Config, ui: &Ui) -> Result<Answer> {
    let at = cmd::writer(config)?;
    let workspace = Workspace::open(&at, name)?;
    let destination = match &args.dest {
        Some(destination) => destination.clone(),
        None => Path::new("repos").join(source.workspace_name().as_str()),
    };
    let mut spec = args.options.spec(source.workspace_name(), source.clone(), config)?;
    if spec.branch == BranchChoice::Own {
        spec.branch = BranchChoice::Default;
    }
    let net = cmd::net(config, ui);
    let progress = ui.progress();
    let pool = create::fetch(&at, &spec.source, spec.depth, &spec.requests(), &net, progress)?;
    let pool = pool.ok_or_else(|| Failure::new(Kind::Usage, "there is nothing to clone"))?;
    let mut workspace = cmd::lease(workspace, "clone", Wait::No, ui)?;
    let added = extra::add(&mut workspace, &spec, &pool, &destination, progress)?;
    let done = Done::Added(Added {
        path: JsonPath::of(added.destination.as_os_str().as_bytes()),
        source: spec.source.to_string(),
        commit: added.start.commit.map(|commit| commit.to_string()),
        branch: added.start.branch,
        files: added.checkout.files,
    });
    Ok(Answer { workspaces: vec![Item { name: name.to_string(), done }] })
}
