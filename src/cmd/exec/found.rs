//! The workspace of a run: found, or made when it is missing.

use crate::cmd;
use crate::cmd::exec::{Args, set_up};
use crate::config::Config;
use crate::config::closest::distance;
use crate::error::{Failure, Kind, Result};
use crate::git::source::Source;
use crate::store::name::WorkspaceName;
use crate::ui::Ui;
use crate::workspace::create::{self, CreateSpec};
use crate::workspace::{self, LeasedWorkspace, Workspace};

/// Opens the workspace; `None` when it is missing and may be made.
pub(super) fn find(args: &Args, name: &WorkspaceName, config: &Config) -> Result<Option<Workspace>> {
    let Some(at) = cmd::reader(config)? else {
        if args.no_create {
            let failure = Failure::new(Kind::NotFound, format!("there is no workspace `{name}`"));
            return Err(failure.hint("without `--no-create` it is made").into());
        }
        return Ok(None);
    };
    match Workspace::open(&at, name) {
        Ok(workspace) => {
            check_source(args, &workspace, config)?;
            Ok(Some(workspace))
        }
        Err(error) if Kind::of(&error) != Kind::NotFound || args.no_create => Err(error),
        Err(error) => match workspace::close_name(&at, name) {
            Some(close) if !args.create && looks_mistyped(name, &close) => {
                let message = error.to_string();
                Err(Failure::new(Kind::NotFound, message)
                    .hint(format!("did you mean `{close}`? `--create` makes `{name}`"))
                    .into())
            }
            _ => Ok(None),
        },
    }
}

/// Returns whether `name` is one edit away from the name of a workspace. Very short names and those that only count on
/// (`fix-1`, `fix-2`) are meant as they are.
fn looks_mistyped(name: &WorkspaceName, close: &WorkspaceName) -> bool {
    let (name, close) = (name.folded(), close.folded());
    let letters = |text: &str| text.chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>();
    name.len().min(close.len()) > 3 && letters(&name) != letters(&close) && distance(&name, &close) == 1
}

/// Fails when the flags ask for a workspace of something else than it is of.
fn check_source(args: &Args, workspace: &Workspace, config: &Config) -> Result<()> {
    let name = workspace.name();
    let source = workspace.record.source.as_deref();
    if args.empty && source.is_some() {
        let message = format!("workspace `{name}` exists and is not empty: it is of `{}`", source.unwrap_or_default());
        return Err(Failure::new(Kind::Exists, message).hint("leave `--empty` out to use it").into());
    }
    if let Some(from) = &args.from {
        let asked = Source::parse(from, config.environment.current_dir(), &config.root)?.to_string();
        if source != Some(asked.as_str()) {
            let of = source.map_or("no repository".to_owned(), |source| format!("`{source}`"));
            return Err(Failure::new(Kind::Exists, format!("workspace `{name}` exists, and is of {of}"))
                .hint("leave `--from` out to use it, or choose another name")
                .into());
        }
    }
    Ok(())
}

/// Returns what a missing workspace is made of.
pub(super) fn source(args: &Args, config: &Config) -> Result<Source> {
    let current_dir = config.environment.current_dir();
    match &args.from {
        Some(from) => Source::parse(from, current_dir, &config.root),
        None if args.empty => Ok(Source::Empty),
        None => Ok(Source::around(current_dir, &config.root)?.unwrap_or(Source::Empty)),
    }
}

/// Makes a missing workspace.
pub(super) fn make(args: &Args, name: &WorkspaceName, config: &Config, ui: &Ui) -> Result<LeasedWorkspace> {
    let at = cmd::writer(config)?;
    let spec = CreateSpec::new(name.clone(), source(args, config)?);
    let created = create::create(&at, &spec, &cmd::net(config, ui), config, ui.progress())?;
    ui.status(&created.line());
    let mut workspace = created.workspace;
    set_up(&mut workspace, config, ui)?;
    workspace.sign("exec");
    Ok(workspace)
}
