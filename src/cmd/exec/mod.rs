//! `stead exec`: run an agent or a command in a workspace and tell what it changed.

mod args;
mod carried;
mod conclude;
mod found;
mod plan;
mod private;
mod report;
mod sweep;

use std::cell::OnceCell;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args as _, FromArgMatches as _};
use jiff::Timestamp;

use crate::cmd;
pub(crate) use crate::cmd::exec::args::Args;
use crate::cmd::exec::args::{ask, wait};
use crate::cmd::exec::found::{find, make};
use crate::cmd::exec::plan::plan;
use crate::cmd::exec::report::Answer;
use crate::config::Config;
use crate::error::{Exit, Failure, Kind, Result};
use crate::git::identity;
use crate::git::repository::Access;
use crate::progress;
use crate::run::policy::{self, Enforced, Walls};
use crate::run::record;
use crate::run::supervise::{self, Supervisor};
use crate::run::toolchain::Toolchains;
use crate::run::{Around, Ask, Hidden, RunId, RunSpec, Terminals};
use crate::store::beneath::Dir;
use crate::store::fs::remove_tree;
use crate::store::name::WorkspaceName;
use crate::ui::text::quote;
use crate::ui::{Ui, text};
use crate::workspace::files::{self, Pair};
use crate::workspace::record::Record;
use crate::workspace::{LeasedWorkspace, Workspace, passed, prune};

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Answer> {
    let name = WorkspaceName::parse(&args.name)?;
    let ask = ask(args, config)?;
    let context = args
        .context
        .iter()
        .map(|text| Pair::parse(text, config.environment.current_dir()))
        .collect::<Result<Vec<_>>>()?;
    // Ahead of all that is decided, which takes as long as its start.
    let is_walled = crate::run::isolation(&ask, config, None)?.may_be_built();
    let supervisor = if args.dry_run { None } else { Some(Supervisor::start(is_walled)?) };
    let found = find(args, &name, config)?;
    let record = found.as_ref().map(|workspace| &workspace.record);
    let mut asked = Asked::new(&ask, &name, record, config, ui)?;
    asked.supervisor = supervisor;
    // Checked before anything is made; what the record adds cannot make it wrong.
    let draft = asked.spec(config, found.as_ref())?;
    if args.dry_run {
        return plan(args, &draft, found.as_ref(), config).map(|plan| Answer::Plan(Box::new(plan)));
    }
    if draft.wall_is_news
        && let Some(news) = policy::news(draft.policy.wall, Enforced::possible(), policy::gives_terminals())
    {
        ui.status(&news);
    }
    asked.secrets = ask.secrets.iter().map(|secret| secret.get(&config.environment)).collect::<Result<_>>()?;
    // Nothing is made before there is the lease: until then a signal just ends this process.
    let mut workspace = if let Some(workspace) = found {
        cmd::lease(workspace, "exec", wait(args), ui)?
    } else {
        ui.catch_interrupts()?;
        make(args, &name, config, ui)?
    };
    ui.catch_interrupts()?;
    asked.run(args, &mut workspace, &context, config, ui)
}

/// Runs the configured set-up command in a new workspace, as a run like any other.
pub(crate) fn set_up(workspace: &mut LeasedWorkspace, config: &Config, ui: &Ui) -> Result<()> {
    if config.create.setup.is_empty() {
        return Ok(());
    }
    let name = workspace.name().clone();
    let line =
        ["exec", name.as_str(), "--no-create", "--"].into_iter().chain(config.create.setup.iter().map(String::as_str));
    let matches = Args::augment_args(clap::Command::new("exec")).try_get_matches_from(line);
    let args = matches.and_then(|matches| Args::from_arg_matches(&matches)).context("cannot read `create.setup`")?;
    let ask = ask(&args, config)?;
    let asked = Asked::new(&ask, &name, Some(&workspace.record), config, ui)?;
    workspace.sign("exec");
    let exit = asked.run(&args, workspace, &[], config, ui)?.exit();
    if exit == Exit::DONE {
        return Ok(());
    }
    Err(Failure::new(Kind::Failed, format!("the set-up of workspace `{name}` ended with {}", exit.0))
        .hint(format!("the workspace is there; see `stead log {name}`"))
        .into())
}

/// Returns the user's own identity for the commits of a run that was told of no other.
fn users_identity(ask: &Ask, ui: &Ui) -> Option<String> {
    let identity = if ask.identity.is_some() { Ok(None) } else { identity::of_user() };
    identity.unwrap_or_else(|error| {
        ui.warn(&format!("{error:#}; the command's commits get no identity from it"));
        None
    })
}

fn terminals(ui: &Ui) -> Terminals {
    let stdin = std::io::stdin().is_terminal();
    match (ui.json(), stdin, std::io::stdout().is_terminal()) {
        (true, stdin, _) => Terminals::Json { stdin },
        (false, true, true) => Terminals::Both,
        (false, true, false) => Terminals::Stdin,
        (false, false, _) => Terminals::None,
    }
}

/// What the command line and the terminal say of a run.
struct Asked<'a> {
    ask: &'a Ask,
    name: &'a WorkspaceName,
    terminals: Terminals,
    identity: Option<String>,
    /// With their values.
    secrets: Vec<Hidden>,
    walls: Walls,
    tools: OnceCell<Toolchains>,
    /// Where it is started already.
    supervisor: Option<Supervisor>,
}

impl<'a> Asked<'a> {
    fn new(ask: &'a Ask, name: &'a WorkspaceName, record: Option<&Record>, config: &Config, ui: &Ui) -> Result<Self> {
        let isolation = crate::run::isolation(ask, config, record)?;
        let (tools, mut identity) = (OnceCell::new(), None);
        let walls = Walls::probe(isolation, crate::run::net(ask, config)?, config, || {
            identity = users_identity(ask, ui);
            crate::run::look_for_tools(&tools, isolation, ask, config);
        });
        let (terminals, secrets) = (terminals(ui), Vec::new());
        Ok(Self { ask, name, terminals, identity, secrets, walls, tools, supervisor: None })
    }

    fn run(
        mut self,
        args: &Args,
        workspace: &mut LeasedWorkspace,
        context: &[Pair],
        config: &Config,
        ui: &Ui,
    ) -> Result<Answer> {
        let supervisor = self.supervisor.take().map_or_else(|| Supervisor::start(true), Ok)?;
        self.walls.settle();
        sweep::sweep(workspace, config, ui)?;
        let mut spec = self.spec(config, Some(&*workspace))?;
        spec.hide(&self.secrets);
        announce(&spec, ui);
        let with = With { spec: &spec, secrets: &self.secrets, context };
        execute(args, workspace, supervisor, &with, config, ui).map(|ran| Answer::Ran(Box::new(ran)))
    }

    /// Decides everything about the run, for a workspace or (as a draft) for one that is not made yet.
    fn spec(&self, config: &Config, workspace: Option<&Workspace>) -> Result<RunSpec> {
        let at = workspace.map(Workspace::at);
        let pool = workspace.and_then(Workspace::borrowed_objects);
        let around = Around {
            name: self.name.as_str(),
            record: workspace.map(|workspace| &workspace.record),
            tree: &at.map_or_else(PathBuf::new, |at| at.tree(self.name)),
            homes: &at.map_or_else(PathBuf::new, |at| at.homes(self.name)),
            pool: pool.as_deref(),
            identity: self.identity.as_deref(),
            terminals: self.terminals,
            walls: &self.walls,
            tools: &self.tools,
        };
        RunSpec::new(RunId::new(Timestamp::now()), self.ask, config, &around)
    }
}

fn announce(spec: &RunSpec, ui: &Ui) {
    if let Some(timeout) = spec.timeout {
        let what = quote(spec.shown.first().map_or(&[], |word| word.as_bytes())).into_owned();
        ui.status(&format!("Running `{what}` for at most {} (`--timeout`).", text::duration(timeout)));
    }
    if let Some(news) = spec.socket_news() {
        ui.status(news);
    }
    if !spec.dropped.is_empty() {
        ui.detail(&format!("Not passed on: {}.", spec.dropped.join(", ")));
    }
}

/// What a run is started with.
struct With<'a> {
    spec: &'a RunSpec,
    /// With their values.
    secrets: &'a [Hidden],
    /// Brought in before the command.
    context: &'a [Pair],
}

fn execute(
    args: &Args,
    workspace: &mut LeasedWorkspace,
    supervisor: Supervisor,
    with: &With<'_>,
    config: &Config,
    ui: &Ui,
) -> Result<report::Ran> {
    let spec = with.spec;
    let tree = workspace.tree();
    let homes = Dir::open(&workspace.at().homes(workspace.name()))?;
    let (private, temporary) = private::ready(&homes, &spec.policy, ui)?;
    // Before the wall is built: what is mounted in the private home is put beside what is there.
    carried::warm(spec, &tree, (&homes, &private), ui);
    let login = carried::Carried::in_for(spec, config, private, ui);
    let prompt_file = spec.prompt_file.as_deref().and_then(Path::file_name);
    if let (Some(file), Some(prompt)) = (prompt_file, &spec.prompt) {
        temporary.replace(Path::new(file), prompt.as_bytes(), 0o600)?;
    }
    let directory = Made::directory(record::directory(&workspace.runs(), &spec.id))?;
    let request = spec.request(&tree, &directory.0, with.secrets);
    let mut waiting = supervisor.prepare(&request, workspace.lease())?;

    let store = workspace.store(Access::Write)?;
    let replaced = files::existing(&Dir::open(&tree)?, with.context)?;
    let before = if replaced.is_empty() {
        workspace.capture(&store, config, ui.progress())?
    } else {
        // What is ignored there is to be in the state before, too.
        workspace.capture_also(&store, config, &replaced, ui.progress())?
    };
    files::check_recorded(&before.meta, &replaced)?;
    let unkept = conclude::keep_before(workspace, &store, &before.meta, ui);
    store.flush()?;
    if !with.context.is_empty() {
        bring(workspace, with.context)?;
    }
    let passed = passed::repositories(workspace, &before, config);
    // From here on a signal is for the run; one that came before means that there is none.
    let signals = supervise::signals()?;
    ui.release_interrupts();
    progress::check(ui.progress())?;
    let mut record = spec.record(Timestamp::now(), args::context(args));
    record.before = Some(before.id.to_string());
    record.write(&directory.0)?;
    let directory = directory.keep();

    let outcome = store
        .set_ref(&spec.id.refs().0, before.commit)
        .and_then(|()| waiting.go(&request, &signals))
        .inspect_err(|_| sweep::not_started(record.clone(), &directory))?;
    // From here on a signal is for stead again.
    ui.catch_interrupts()?;
    drop(signals);
    // What the run has put in its place must not keep anybody from being told what the run did.
    if let Some(file) = prompt_file
        && let Err(error) = temporary.unlink(Path::new(file))
    {
        ui.warn(&format!("the file of the prompt stays: {error:#}"));
    }
    login.back(ui);
    let keep = args.keep_git_config || config.exec.keep_git_config;
    let (outcome, before, content) = (&outcome, &before, args.content);
    let conclusion = conclude::Conclusion { spec, outcome, before, passed: &passed, unkept: &unkept, keep, content };
    let ran = conclusion.report(workspace, &store, record, config, ui);
    drop(store);
    if prune::is_due(workspace, config)
        && let Err(error) = prune::prune(workspace, config.capture.keep_size, Timestamp::now())
    {
        ui.warn(&format!("cannot let go of old snapshots: {error:#}"));
    }
    Ok(ran)
}

/// Copies the context files in, also over what is there.
fn bring(workspace: &mut LeasedWorkspace, context: &[Pair]) -> Result<()> {
    let brought = files::import(&Dir::open(&workspace.tree())?, context, true)?;
    let known = &mut workspace.record_mut().brought;
    let new: Vec<PathBuf> = brought.into_iter().filter(|path| !known.contains(path)).collect();
    known.extend(new);
    workspace.save()
}

/// The directory of a run that may not come to be; removed unless it is kept.
struct Made(PathBuf);

impl Made {
    fn directory(path: PathBuf) -> Result<Self> {
        make_directory(&path)?;
        Ok(Self(path))
    }

    fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            // What is left is a directory without a record, which is no run.
            remove_tree(&self.0, &progress::Silent).ok();
        }
    }
}

/// Makes the directory of a run.
pub(crate) fn make_directory(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot make `{}`", directory.display()))
}

/// Returns the last `cap` bytes of a file as text, and whether that is not all.
fn tail(path: &Path, cap: u64) -> Result<(String, bool)> {
    use std::io::{Seek as _, SeekFrom};
    let failed = || format!("cannot read `{}`", path.display());
    let mut file = std::fs::File::open(path).with_context(failed)?;
    let length = file.metadata().with_context(failed)?.len();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(cap))).with_context(failed)?;
    file.take(cap).read_to_end(&mut bytes).with_context(failed)?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), length > cap))
}
