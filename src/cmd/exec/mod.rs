//! `stead exec`: run an agent or a command in a workspace and tell what it changed.

mod carried;
mod conclude;
mod report;
mod sweep;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args as _, FromArgMatches as _};
use jiff::Timestamp;

use crate::cmd;
use crate::config::closest::distance;
use crate::config::{Config, units};
use crate::error::{Exit, Failure, Kind, Result};
use crate::git::identity;
use crate::git::repository::Access;
use crate::git::source::Source;
use crate::progress;
use crate::run::limits;
use crate::run::policy::{self, Isolation, NetAccess, Walls};
use crate::run::record;
use crate::run::secret::Wanted;
use crate::run::supervise;
use crate::run::{Around, Ask, Hidden, RunId, RunSpec, Terminals, environment};
use crate::store::beneath::Dir;
use crate::store::lease::Wait;
use crate::store::name::WorkspaceName;
use crate::ui::text::quote;
use crate::ui::{Ui, text};
use crate::workspace::create::{self, CreateSpec};
use crate::workspace::files::{self, Pair};
use crate::workspace::record::Record;
use crate::workspace::{self, LeasedWorkspace, Workspace, prune};
use report::{Answer, Plan};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspace
    ///
    /// A missing one is made of the repository around the current directory, else empty.
    name: String,
    /// Run the command of this agent
    ///
    /// One of `claude`, `codex`, `gemini`, `opencode`, `pi`, `aider`, or one of your `[agents.NAME]`. With a command of
    /// your own after `--` it only says whose variables are passed on.
    #[arg(short, long)]
    agent: Option<String>,
    /// Give this text as the prompt; `-` reads it from stdin
    #[arg(short, long, visible_alias = "prompt", value_name = "TEXT")]
    message: Option<String>,
    /// Give the content of this file as the prompt
    #[arg(long, value_name = "FILE", conflicts_with = "message")]
    message_file: Option<PathBuf>,
    /// Copy this file or folder into the tree before the start
    ///
    /// To DEST in the tree when one is given; parents are made, and what is there is replaced.
    #[arg(long, value_name = "SRC[:DEST]")]
    context: Vec<String>,
    /// End the run after this long
    ///
    /// Five minutes unless said otherwise when there is a prompt, no limit for a command; `0` is no limit.
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    timeout: Option<Duration>,
    /// End the run when it prints nothing for this long
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    idle_timeout: Option<Duration>,
    /// Wait until nobody else works in the workspace, at most this long
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = units::duration)]
    #[expect(clippy::option_option, reason = "absent, without a duration, with one")]
    wait: Option<Option<Duration>>,
    /// Make a missing workspace of this source
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["empty", "no_create"])]
    from: Option<String>,
    /// Make a missing workspace empty
    #[arg(long, conflicts_with = "no_create")]
    empty: bool,
    /// Make a missing workspace although its name looks like a typing error
    #[arg(long, conflicts_with = "no_create")]
    create: bool,
    /// Fail when the workspace is missing
    #[arg(long)]
    no_create: bool,
    /// Set a variable for the command
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Pass a variable of yours on; `*` at the end stands for the rest of its name
    #[arg(long, value_name = "NAME")]
    pass_env: Vec<String>,
    /// Pass a secret on, and take it out of the output and of all records
    ///
    /// From the variable of that name, from another one (`NAME=env:OTHER`), from a command that is run on the host
    /// (`NAME=cmd:COMMAND`), or from where `[secrets]` in the configuration says that NAME is.
    #[arg(long, value_name = "NAME")]
    secret: Vec<String>,
    /// Author and committer of the commits that the run makes
    #[arg(long, value_name = "NAME <MAIL>")]
    identity: Option<String>,
    /// Limit what the run consumes: `memory=4G,cpus=2,pids=512,file-size=1G,open-files=1024,disk-free=1G`
    ///
    /// `none` as the value lifts a limit of the workspace or of the configuration.
    #[arg(long, value_name = "NAME=VALUE")]
    limit: Vec<String>,
    /// Choose how the run is kept from everything else
    ///
    /// Naming a wall makes it a requirement; `auto` takes the best that the host can do.
    #[arg(long, value_name = "WALL")]
    isolation: Option<Isolation>,
    /// Choose whether the command may use the network
    #[arg(long, value_name = "on|off")]
    net: Option<NetAccess>,
    /// Add the contents of changed files to the JSON answer
    #[arg(long)]
    content: bool,
    /// Leave in `.git` what would run commands
    #[arg(long)]
    keep_git_config: bool,
    /// Show what would be run
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// The command and its arguments, instead of an agent
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Answer> {
    let name = WorkspaceName::parse(&args.name)?;
    let ask = ask(args, config)?;
    let context = args
        .context
        .iter()
        .map(|text| Pair::parse(text, config.environment.current_dir()))
        .collect::<Result<Vec<_>>>()?;
    let found = find(args, &name, config)?;
    let record = found.as_ref().map(|workspace| &workspace.record);
    let mut asked = Asked::new(&ask, &name, record, config, ui)?;
    // Checked before anything is made; what the record adds cannot make it wrong.
    let draft = asked.spec(config, found.as_ref())?;
    if args.dry_run {
        return plan(args, &draft, found.as_ref(), config).map(|plan| Answer::Plan(Box::new(plan)));
    }
    if let Some(news) = policy::news(draft.policy.wall).filter(|_| draft.wall_is_news) {
        ui.status(news);
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

fn ask(args: &Args, config: &Config) -> Result<Ask> {
    let prompt = match (args.message.as_deref(), &args.message_file) {
        (Some("-"), _) => Some(std::io::read_to_string(std::io::stdin()).context("cannot read the prompt from stdin")?),
        (Some(text), _) => Some(text.to_owned()),
        (None, Some(path)) => Some(
            std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the prompt from `{}`", path.display()))?,
        ),
        (None, None) => None,
    };
    if prompt.as_ref().is_some_and(|prompt| prompt.trim().is_empty()) {
        return Err(Failure::new(Kind::Usage, "the prompt is empty").into());
    }
    if let Some(identity) = &args.identity {
        environment::identity_parts(identity)?;
    }
    Ok(Ask {
        agent: args.agent.clone(),
        command: args.command.clone(),
        prompt,
        timeout: args.timeout,
        idle_timeout: args.idle_timeout,
        env: args.env.iter().map(|text| environment::assignment(text)).collect::<Result<_>>()?,
        pass_env: args.pass_env.clone(),
        identity: args.identity.clone(),
        isolation: args.isolation,
        net: args.net,
        limits: limits::parse(&args.limit)?,
        secrets: args.secret.iter().map(|text| Wanted::parse(text, &config.secrets)).collect::<Result<_>>()?,
    })
}

fn wait(args: &Args) -> Wait {
    match args.wait {
        None => Wait::No,
        Some(None) => Wait::Forever,
        Some(Some(duration)) => Wait::For(duration),
    }
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

/// Opens the workspace; `None` when it is missing and may be made.
fn find(args: &Args, name: &WorkspaceName, config: &Config) -> Result<Option<Workspace>> {
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

fn source(args: &Args, config: &Config) -> Result<Source> {
    let current_dir = config.environment.current_dir();
    match &args.from {
        Some(from) => Source::parse(from, current_dir, &config.root),
        None if args.empty => Ok(Source::Empty),
        None => Ok(Source::around(current_dir, &config.root)?.unwrap_or(Source::Empty)),
    }
}

fn make(args: &Args, name: &WorkspaceName, config: &Config, ui: &Ui) -> Result<LeasedWorkspace> {
    let at = cmd::writer(config)?;
    let spec = CreateSpec::new(name.clone(), source(args, config)?);
    let created = create::create(&at, &spec, &cmd::net(config, ui), config, ui.progress())?;
    ui.status(&created.line());
    let mut workspace = created.workspace;
    set_up(&mut workspace, config, ui)?;
    workspace.sign("exec");
    Ok(workspace)
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
}

impl<'a> Asked<'a> {
    fn new(ask: &'a Ask, name: &'a WorkspaceName, record: Option<&Record>, config: &Config, ui: &Ui) -> Result<Self> {
        let walls = Walls::probe(crate::run::isolation(ask, config, record)?, crate::run::net(ask, config)?);
        let (terminals, identity) = (terminals(ui), users_identity(ask, ui));
        Ok(Self { ask, name, terminals, identity, secrets: Vec::new(), walls })
    }

    fn run(
        &self,
        args: &Args,
        workspace: &mut LeasedWorkspace,
        context: &[Pair],
        config: &Config,
        ui: &Ui,
    ) -> Result<Answer> {
        sweep::sweep(workspace, ui)?;
        let mut spec = self.spec(config, Some(&*workspace))?;
        spec.hide(&self.secrets);
        announce(&spec, ui);
        execute(args, workspace, &spec, &self.secrets, context, config, ui).map(|ran| Answer::Ran(Box::new(ran)))
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
        };
        RunSpec::new(RunId::new(Timestamp::now()), self.ask, config, &around)
    }
}

fn plan(args: &Args, spec: &RunSpec, found: Option<&Workspace>, config: &Config) -> Result<Plan> {
    let create_from = match found {
        Some(_) => None,
        None => Some(match source(args, config)? {
            Source::Empty => String::new(),
            source => source.to_string(),
        }),
    };
    let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs_f64());
    Ok(Plan {
        workspace: args.name.clone(),
        create_from,
        agent: spec.agent.clone(),
        command: spec.shown.clone(),
        prompt: spec.prompt.clone(),
        context: args.context.clone(),
        wall: spec.policy.wall.to_string(),
        net: if spec.policy.net { "on" } else { "off" }.into(),
        read: spec.policy.read.iter().map(|place| place.as_ref().to_string_lossy().into_owned()).collect(),
        write: spec.policy.writable().map(|path| path.to_string_lossy().into_owned()).collect(),
        timeout: seconds(spec.timeout),
        idle_timeout: seconds(spec.idle_timeout),
        limits: spec.limits.shown(),
        environment: spec.variables(),
        dropped: spec.dropped.clone(),
    })
}

fn announce(spec: &RunSpec, ui: &Ui) {
    if let Some(timeout) = spec.timeout {
        let what = quote(spec.shown.first().map_or(&[], |word| word.as_bytes())).into_owned();
        ui.status(&format!("Running `{what}` for at most {} (`--timeout`).", text::duration(timeout)));
    }
    if !spec.dropped.is_empty() {
        ui.detail(&format!("Not passed on: {}.", spec.dropped.join(", ")));
    }
}

fn execute(
    args: &Args,
    workspace: &mut LeasedWorkspace,
    spec: &RunSpec,
    secrets: &[Hidden],
    context: &[Pair],
    config: &Config,
    ui: &Ui,
) -> Result<report::Ran> {
    let tree = workspace.tree();
    let store = workspace.store(Access::Write)?;
    let before = workspace.capture(&store, config, ui.progress())?;
    let unkept = conclude::keep_before(workspace, &store, &before.meta, ui);
    store.flush()?;
    if !context.is_empty() {
        bring(workspace, context)?;
    }
    let homes = Dir::open(&workspace.at().homes(workspace.name()))?;
    let temporary = homes.create_dir_all(Path::new("tmp"))?;
    let private = homes.create_dir_all(Path::new("home"))?;
    let login = carried::Carried::in_for(spec, config, private, ui);
    let prompt_file = spec.prompt_file.as_deref().and_then(Path::file_name);
    if let (Some(file), Some(prompt)) = (prompt_file, &spec.prompt) {
        temporary.replace(Path::new(file), prompt.as_bytes(), 0o600)?;
    }

    // From here on a signal is for the run; one that came before means that there is none.
    let signals = supervise::signals()?;
    ui.release_interrupts();
    progress::check(ui.progress())?;
    let started = Timestamp::now();
    let directory = record::directory(&workspace.runs(), &spec.id);
    make_directory(&directory)?;
    let mut record = spec.record(started, args.context.clone());
    record.before = Some(before.id.to_string());
    record.write(&directory)?;
    store.set_ref(&spec.id.refs().0, before.commit)?;

    let outcome = supervise::supervise(&spec.request(&tree, &directory, secrets), workspace.lease(), &signals)?;
    // From here on a signal is for stead again.
    ui.catch_interrupts()?;
    drop(signals);
    if let Some(file) = prompt_file {
        temporary.unlink(Path::new(file))?;
    }
    login.back(ui);
    let keep = args.keep_git_config || config.exec.keep_git_config;
    let conclusion =
        conclude::Conclusion { spec, outcome: &outcome, before: &before, unkept: &unkept, keep, content: args.content };
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
