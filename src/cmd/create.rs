//! `stead create`, and what `clone` and `exec` share with it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::cmd::exec::set_up;
use crate::cmd::{self, Problem};
use crate::config::{Config, units};
use crate::error::{Exit, Failure, Kind, Result};
use crate::git::pool::Pool;
use crate::git::source::Source;
use crate::progress::Progress;
use crate::run::environment::{assignment, identity_parts};
use crate::run::limits;
use crate::store::lease::Wait;
use crate::store::name::WorkspaceName;
use crate::store::root::UserRoot;
use crate::ui::text::{JsonPath, Page, quote};
use crate::ui::{Report, Ui};
use crate::workspace::Workspace;
use crate::workspace::create::{self, BranchChoice, CreateSpec, Created};
use crate::workspace::files::Pair;

/// Make new workspaces
///
/// Of SOURCE, of the repository around the current directory, or empty. Each gets a branch of its own, `stead/NAME`. Several
/// are made at once; each succeeds or fails by itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names of the workspaces: letters, digits, `-`, `_` and `.`
    #[arg(required = true, value_name = "NAME")]
    name: Vec<String>,
    /// Make them of this repository: a URL, `user@host:path` or a path
    ///
    /// Of a local project they get its committed state.
    #[arg(long, value_name = "SOURCE")]
    from: Option<String>,
    /// Make them without a repository
    #[arg(long, conflicts_with_all = ["from", "base", "depth", "with_changes"])]
    empty: bool,
    #[command(flatten)]
    options: Options,
    /// Take a workspace that exists as it is
    #[arg(long, conflicts_with = "ephemeral")]
    reuse: bool,
    /// Make this many at once; as many as there are processors when left out
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: Option<u16>,
}

/// What `create` and `clone` have in common.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Check out this branch, tag or request (`pr/123`, `mr/123`); a name that is new becomes a branch
    #[arg(short, long, value_name = "NAME")]
    pub(crate) branch: Option<String>,
    /// Start a new branch at this branch, tag or commit
    #[arg(long, value_name = "REV")]
    pub(crate) base: Option<String>,
    /// Fetch only the last N commits of each branch
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) depth: Option<u32>,
    /// Add the time to the name and collect it as soon as it is idle and its work delivered
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Let it expire this long after its last use (`24h`, `7d`)
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    pub(crate) ttl: Option<Duration>,
    /// Make the directories of this layout: `workspace`, `imports`, `repos` and `.claude` for `agent`
    #[arg(long, value_name = "LAYOUT", value_parser = ["agent"])]
    pub(crate) layout: Option<String>,
    /// Copy this file or folder into the tree; repeatable
    #[arg(long, value_name = "SRC[:DEST]")]
    pub(crate) import: Vec<OsString>,
    /// Commit as this author and committer
    #[arg(long, value_name = "NAME <MAIL>")]
    pub(crate) identity: Option<String>,
    /// Set this variable in every run; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// Limit what every run consumes: `memory=4G,cpus=2,pids=512`; see `exec`
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) limit: Vec<String>,
    /// Bring the uncommitted changes of a local project along
    #[arg(long)]
    pub(crate) with_changes: bool,
    /// Reserve this many ports; runs find them in PORT and `STEAD_PORT_n`
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=100))]
    pub(crate) ports: u16,
}

impl Options {
    /// Checks everything that can be wrong and puts it into a specification.
    pub(crate) fn spec(&self, name: WorkspaceName, source: Source, config: &Config) -> Result<CreateSpec> {
        let mut spec = CreateSpec::new(name, source);
        if let Some(branch) = self.branch.as_ref().or(config.create.branch.as_ref()) {
            spec.branch = BranchChoice::Named(branch.clone());
        }
        spec.base.clone_from(&self.base);
        spec.depth = self.depth;
        spec.ttl = self.ttl;
        spec.ephemeral = self.ephemeral;
        spec.layout.clone_from(&self.layout);
        spec.imports = self
            .import
            .iter()
            .map(|text| Pair::parse(text, config.environment.current_dir()))
            .collect::<Result<_>>()?;
        if let Some(pair) = spec.imports.iter().find(|pair| !pair.source.exists()) {
            return Err(
                Failure::new(Kind::NotFound, format!("there is no `{}` to import", pair.source.display())).into()
            );
        }
        if let Some(identity) = &self.identity {
            identity_parts(identity)?;
            spec.identity = Some(identity.clone());
        }
        spec.env = self.env.iter().map(|text| assignment(text)).collect::<Result<_>>()?;
        spec.limits = limits::parse(&self.limit)?;
        spec.with_changes = self.with_changes;
        if spec.with_changes && !matches!(spec.source, Source::Local(_)) {
            return Err(Failure::new(Kind::Usage, "`--with-changes` needs a local project as the source").into());
        }
        spec.ports = usize::from(self.ports);
        Ok(spec)
    }
}

/// Returns what a workspace is to be made of: the source that was named, else the repository around the current directory,
/// else nothing.
pub(crate) fn source(from: Option<&str>, empty: bool, config: &Config) -> Result<Source> {
    let current_dir = config.environment.current_dir();
    match from {
        Some(text) => named_source(text, config),
        None if empty || current_dir.as_os_str().is_empty() => Ok(Source::Empty),
        None => Ok(Source::around(current_dir, &config.root)?.unwrap_or(Source::Empty)),
    }
}

/// Reads a source; a plain name that is no path may also be a project below `CODE_SOURCE_DIR` or `~/src`.
pub(crate) fn named_source(text: &str, config: &Config) -> Result<Source> {
    let parsed = Source::parse(text, config.environment.current_dir(), &config.root);
    let missing = parsed.as_ref().is_err_and(|error| Kind::of(error) == Kind::NotFound);
    let plain = !text.contains(['/', ':']) && !text.starts_with('.');
    if !missing || !plain {
        return parsed;
    }
    let environment = &config.environment;
    let projects = match environment.get("CODE_SOURCE_DIR") {
        Some(directory) => directory.into(),
        None => match environment.home() {
            Some(home) => home.join("src"),
            None => return parsed,
        },
    };
    if projects.join(text).is_dir() { Source::parse(text, &projects, &config.root) } else { parsed }
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    workspaces: Vec<Item>,
}

/// One workspace that was made, or why not.
#[derive(Debug, Serialize)]
pub(crate) struct Item {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    made: Option<Made>,
}

/// What there is to say of a new workspace.
#[derive(Debug, Serialize)]
pub(crate) struct Made {
    #[serde(skip)]
    line: String,
    #[serde(flatten)]
    path: JsonPath,
    /// It was there already.
    reused: bool,
    source: Option<String>,
    commit: Option<String>,
    branch: Option<String>,
    upstream: Option<String>,
    base: Option<String>,
    /// Uncommitted files of the local project that did not come along.
    left_out: usize,
    /// Why nobody knows how many these are.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out_unread: Option<String>,
    /// Submodules of the project with new commits or changes, which never come along.
    left_out_submodules: Vec<JsonPath>,
    /// FIFOs and the like among what `.worktreeinclude` names.
    left_out_special: Vec<JsonPath>,
    brought: Vec<JsonPath>,
    ports: Vec<u16>,
    files: u64,
    lfs_pointers: u64,
    submodules: Vec<JsonPath>,
    refused: Vec<JsonPath>,
}

impl Made {
    pub(crate) fn of(created: &Created) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let record = &created.workspace.record;
        let paths = |paths: &[Vec<u8>]| paths.iter().map(|path| JsonPath::of(path)).collect();
        let own = |paths: &[PathBuf]| paths.iter().map(|path| JsonPath::of(path.as_os_str().as_bytes())).collect();
        Self {
            line: created.line(),
            path: JsonPath::of(created.workspace.tree().as_os_str().as_bytes()),
            reused: false,
            source: record.source.clone(),
            commit: created.start.commit.map(|commit| commit.to_string()),
            branch: record.branch.clone(),
            upstream: record.upstream.clone(),
            base: record.base.clone(),
            left_out: created.left_out,
            left_out_unread: created.unread.as_ref().map(|unread| unread.message.clone()),
            left_out_submodules: own(&created.left_out_submodules),
            left_out_special: own(&created.left_out_special),
            brought: own(&created.brought),
            ports: record.ports.clone(),
            files: created.checkout.files,
            lfs_pointers: created.checkout.lfs_pointers,
            submodules: paths(&created.checkout.submodules),
            refused: paths(&created.checkout.refused),
        }
    }

    /// Returns the same for a workspace that is there already.
    fn reused(workspace: &Workspace) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let record = &workspace.record;
        Self {
            line: format!("Workspace `{}` is there already.", workspace.name()),
            path: JsonPath::of(workspace.tree().as_os_str().as_bytes()),
            reused: true,
            source: record.source.clone(),
            commit: None,
            branch: record.branch.clone(),
            upstream: record.upstream.clone(),
            base: record.base.clone(),
            left_out: 0,
            left_out_unread: None,
            left_out_submodules: Vec::new(),
            left_out_special: Vec::new(),
            brought: Vec::new(),
            ports: record.ports.clone(),
            files: 0,
            lfs_pointers: 0,
            submodules: Vec::new(),
            refused: Vec::new(),
        }
    }

    pub(crate) fn text(&self, page: &mut Page) {
        page.line(&self.line);
        if let Some(branch) = self.branch.as_ref().filter(|_| self.source.is_some()) {
            page.line(format!("  branch {}", quote(branch.as_bytes())));
        }
        page.line(format!("  {}", quote(self.path.path.as_bytes())));
        if !self.ports.is_empty() {
            let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
            page.line(format!("  ports {}", ports.join(", ")));
        }
        let list = |page: &mut Page, what: &str, paths: &[JsonPath]| {
            if !paths.is_empty() {
                page.line(format!("  {what}:"));
                for path in paths {
                    page.line(format!("    {}", quote(path.path.as_bytes())));
                }
            }
        };
        list(page, "brought along", &self.brought);
        list(page, "submodules, left empty", &self.submodules);
        list(page, "paths that git refuses, not written", &self.refused);
        if self.lfs_pointers > 0 {
            page.line(format!("  Git LFS pointers: {}", self.lfs_pointers));
            page.hint("`git lfs pull` in the tree fetches their contents");
        }
    }
}

impl Item {
    fn of(name: &WorkspaceName, result: Result<Made>) -> Self {
        match result {
            Ok(made) => Self { name: made_name(&made, name), error: None, made: Some(made) },
            Err(error) => Self { name: name.to_string(), error: Some(Problem::of(&error)), made: None },
        }
    }
}

/// Returns the name as it became: an ephemeral one has the time behind it.
fn made_name(made: &Made, name: &WorkspaceName) -> String {
    made.path.path.rsplit('/').next().map_or_else(|| name.to_string(), str::to_owned)
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        for item in &self.workspaces {
            match (&item.made, &item.error) {
                (Some(made), _) => made.text(page),
                (None, Some(problem)) => {
                    page.line(format!("Workspace `{}` was not made: {}", item.name, problem.message));
                    if let Some(hint) = &problem.hint {
                        page.hint(hint);
                    }
                }
                (None, None) => {}
            }
        }
    }

    fn exit(&self) -> Exit {
        let mut kinds = self.workspaces.iter().map(|item| item.error.as_ref().map(|problem| problem.kind));
        let Some(first) = kinds.next().flatten() else {
            return if kinds.any(|kind| kind.is_some()) { Kind::Failed.exit() } else { Exit::DONE };
        };
        if kinds.all(|kind| kind == Some(first)) { first.exit() } else { Kind::Failed.exit() }
    }
}

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Answer> {
    let mut names: Vec<WorkspaceName> = Vec::new();
    for text in &args.name {
        let name = WorkspaceName::parse(text)?;
        if names.iter().any(|other| other.folded() == name.folded()) {
            return Err(Failure::new(Kind::Usage, format!("`{name}` is named twice")).into());
        }
        names.push(name);
    }
    let source = source(args.from.as_deref(), args.empty, config)?;
    let specs =
        names.into_iter().map(|name| args.options.spec(name, source.clone(), config)).collect::<Result<Vec<_>>>()?;
    if source == Source::Empty && (args.options.base.is_some() || args.options.depth.is_some()) {
        return Err(Failure::new(Kind::Usage, "there is no repository around the current directory")
            .hint("name one with `--from SOURCE`")
            .into());
    }
    let at = cmd::writer(config)?;
    let net = cmd::net(config, ui);
    let progress = ui.progress();
    let one = |spec: &CreateSpec, pool: Option<&Pool>| -> Result<Made> {
        if args.reuse
            && let Some(made) = reuse(&at, spec, ui)?
        {
            return Ok(made);
        }
        let mut created = match pool {
            None => create::create(&at, spec, &net, config, progress)?,
            pool => create::make(&at, spec, pool, config, progress)?,
        };
        set_up(&mut created.workspace, config, ui)?;
        let made = Made::of(&created);
        Ok(made)
    };
    if let [spec] = specs.as_slice() {
        let made = one(spec, None)?;
        return Ok(Answer { workspaces: vec![Item::of(&spec.name, Ok(made))] });
    }
    // All have the same source: it is asked once.
    let pool = create::fetch(&at, &source, args.options.depth, &specs[0].requests(), &net, progress)?;
    let key = pool.as_ref().map(|pool| pool.key().to_owned());
    let jobs =
        args.jobs.map_or_else(|| std::thread::available_parallelism().map_or(2, std::num::NonZero::get), usize::from);
    let made = in_parallel(&specs, jobs, progress, |spec| {
        let pool = key.as_deref().map(|key| Pool::open(&at, key)).transpose()?;
        one(spec, pool.as_ref())
    });
    // Held until all of them have a record that keeps it.
    drop(pool);
    Ok(Answer { workspaces: specs.iter().zip(made).map(|(spec, made)| Item::of(&spec.name, made)).collect() })
}

/// Returns the workspace that is there already, touched; one that somebody works in is as good.
fn reuse(at: &UserRoot, spec: &CreateSpec, ui: &Ui) -> Result<Option<Made>> {
    let workspace = match Workspace::open(at, &spec.name) {
        Ok(workspace) => workspace,
        Err(error) if Kind::of(&error) == Kind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let made = Made::reused(&workspace);
    match cmd::lease(workspace, "create", Wait::No, ui) {
        Ok(mut workspace) => workspace.touch()?,
        Err(error) if Kind::of(&error) == Kind::Busy => {}
        Err(error) => return Err(error),
    }
    Ok(Some(made))
}

/// Does the work for each item in at most `jobs` threads; the results are in the order of the items.
fn in_parallel<I: Sync, T: Send>(
    items: &[I],
    jobs: usize,
    progress: &dyn Progress,
    work: impl Fn(&I) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<T>>>> = items.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(items.len()) {
            scope.spawn(|| {
                while let Some(position) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < items.len()) {
                    let result = crate::progress::check(progress).and_then(|()| work(&items[position]));
                    *results[position].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(result);
                }
            });
        }
    });
    results
        .into_iter()
        .map(|result| {
            let result = result.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            result.expect("every position was taken by a thread that ended")
        })
        .collect()
}
