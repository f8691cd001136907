//! Making a workspace: built in staging, captured, published by rename with the record last.
//!
//! The pool is brought up to date first and its lock released; then comes the lease. Whatever fails before the record is in
//! place leaves nothing.

mod bring;
pub(crate) mod extra;
pub(super) mod ports;
mod start;

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;

use crate::config::Config;
use crate::error::{Failure, Kind, Result};
use crate::git::agentdir::Head;
use crate::git::checkout::{self, Checkout};
use crate::git::import;
use crate::git::pool::{self, Pool};
use crate::git::repository::{Access, Store};
use crate::git::snapshot::{self, CaptureSpec};
use crate::git::source::Source;
use crate::git::sync::{list, shown};
use crate::git::transport::Net;
use crate::git::{ignore, seen, uncommitted};
use crate::progress::Progress;
use crate::store::beneath::Dir;
use crate::store::fs::{self, Durability};
use crate::store::lease::Wait;
use crate::store::name::WorkspaceName;
use crate::store::root::UserRoot;
use crate::store::staging::Staging;
use crate::workspace::agentgit::{self, AgentGit};
use crate::workspace::files::{self, Pair};
use crate::workspace::record::{self, Record, SCHEMA, State};
use crate::workspace::{self, LeasedWorkspace, Workspace};

pub(crate) use start::Start;

/// Directories of the layout `agent`.
const AGENT_LAYOUT: [&str; 4] = ["workspace", "imports", "repos", ".claude"];

/// What to make.
#[derive(Clone, Debug)]
pub(crate) struct CreateSpec {
    pub(crate) name: WorkspaceName,
    pub(crate) source: Source,
    pub(crate) branch: BranchChoice,
    /// Where a new branch starts; the source's default branch when `None`.
    pub(crate) base: Option<String>,
    pub(crate) depth: Option<u32>,
    pub(crate) ephemeral: bool,
    /// The configuration's when `None`.
    pub(crate) ttl: Option<Duration>,
    pub(crate) layout: Option<String>,
    pub(crate) imports: Vec<Pair>,
    /// `Name <mail>`.
    pub(crate) identity: Option<String>,
    pub(crate) env: BTreeMap<String, String>,
    /// Of every run, as `exec --limit` takes them.
    pub(crate) limits: BTreeMap<String, String>,
    /// Bring the uncommitted changes of a local project along.
    pub(crate) with_changes: bool,
    /// How many ports to reserve.
    pub(crate) ports: usize,
}

/// Which branch is checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BranchChoice {
    /// A new one, `stead/NAME`.
    Own,
    /// The source's default branch, as `git clone` does.
    Default,
    /// An existing one (branch, tag, `pr/N`, `mr/N`), or a new one of that name.
    Named(String),
}

impl CreateSpec {
    /// Returns what `create NAME --from SOURCE` makes when no other flag is given.
    pub(crate) fn new(name: WorkspaceName, source: Source) -> Self {
        Self {
            name,
            source,
            branch: BranchChoice::Own,
            base: None,
            depth: None,
            ephemeral: false,
            ttl: None,
            layout: None,
            imports: Vec::new(),
            identity: None,
            env: BTreeMap::new(),
            limits: BTreeMap::new(),
            with_changes: false,
            ports: 0,
        }
    }

    /// Returns the refs of requests that its revisions name.
    pub(crate) fn requests(&self) -> Vec<String> {
        let branch = match &self.branch {
            BranchChoice::Named(name) => Some(name.as_str()),
            BranchChoice::Own | BranchChoice::Default => None,
        };
        branch.into_iter().chain(self.base.as_deref()).filter_map(pool::request).collect()
    }
}

/// A new workspace and what there is to say of it.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) workspace: LeasedWorkspace,
    pub(crate) start: Start,
    /// Uncommitted files of the local project that did not come along.
    pub(crate) left_out: usize,
    /// Why nobody knows how many these are.
    pub(crate) unread: Option<Failure>,
    /// Submodules of the project with new commits or changes, which never come along.
    pub(crate) left_out_submodules: Vec<PathBuf>,
    /// FIFOs and the like among what `.worktreeinclude` names.
    pub(crate) left_out_special: Vec<PathBuf>,
    /// What came along that is not in the commit: destinations below the tree.
    pub(crate) brought: Vec<PathBuf>,
    pub(crate) checkout: Checkout,
}

impl Created {
    /// Says of what it was made, in one sentence.
    pub(crate) fn line(&self) -> String {
        let name = self.workspace.name();
        let Some(source) = &self.workspace.record.source else {
            return format!("Made the empty workspace `{name}`.");
        };
        let mut line = match &self.start.commit {
            Some(commit) => format!("Made workspace `{name}` from commit {} of `{source}`", &commit.to_string()[..10]),
            None => format!("Made workspace `{name}` of `{source}`, which has no commits yet"),
        };
        match self.left_out {
            0 => {
                if let Some(unread) = &self.unread {
                    line.extend(["; its uncommitted files were not looked for: ", &unread.message]);
                }
            }
            1 => line += "; 1 uncommitted file was left out (`--with-changes` brings it)",
            count => {
                line.extend([
                    "; ",
                    &count.to_string(),
                    " uncommitted files were left out (`--with-changes` brings them)",
                ]);
            }
        }
        for (what, paths) in [
            ("changes in submodules were left out", &self.left_out_submodules),
            ("special files were left out", &self.left_out_special),
        ] {
            if !paths.is_empty() {
                let paths = list(paths.iter().map(|path| shown(path.as_os_str().as_encoded_bytes())));
                line.extend(["; ", what, ": ", &paths]);
            }
        }
        line.push('.');
        line
    }
}

/// Makes a workspace: brings the pool up to date, then makes the tree, its `.git`, the store with the first snapshot, the record.
pub(crate) fn create(
    at: &UserRoot,
    spec: &CreateSpec,
    net: &Net,
    config: &Config,
    progress: &dyn Progress,
) -> Result<Created> {
    check_free(at, &final_name(spec, Timestamp::now()))?;
    let pool = fetch(at, &spec.source, spec.depth, &spec.requests(), net, progress)?;
    make(at, spec, pool.as_ref(), config, progress)
}

/// Brings the pool of `source` up to date; `None` for an empty workspace.
pub(crate) fn fetch(
    at: &UserRoot,
    source: &Source,
    depth: Option<u32>,
    requests: &[String],
    net: &Net,
    progress: &dyn Progress,
) -> Result<Option<Pool>> {
    match source {
        Source::Empty => return Ok(None),
        Source::Workspace(tree) => take_commits(at, tree)?,
        Source::Remote { .. } | Source::Local(_) => {}
    }
    Pool::update(at, source, depth, requests, net, progress).map(Some)
}

/// Takes the agent's commits into the store of the workspace that is to be forked: its store is what the fork is made of.
fn take_commits(at: &UserRoot, tree: &Path) -> Result<()> {
    let name = pool::workspace_around(at, tree)?;
    let forked = Workspace::open(at, &name)?.lease("create", Wait::No)?;
    let store = forked.store(Access::Write)?;
    import::import(&store, &Dir::open(&forked.tree())?)?;
    store.flush()
}

/// Makes a workspace of a pool as it is.
pub(crate) fn make(
    at: &UserRoot,
    spec: &CreateSpec,
    pool: Option<&Pool>,
    config: &Config,
    progress: &dyn Progress,
) -> Result<Created> {
    let now = Timestamp::now();
    let name = final_name(spec, now);
    check_free(at, &name)?;
    let start = start::choose(spec, &name, pool)?;
    let lease = workspace::lease(at, &name, "create", Wait::No)?;
    check_free(at, &name)?;

    let staging = Staging::create(at.root())?;
    let built = Built {
        tree: staging.path().join("tree"),
        homes: staging.path().join("homes"),
        state: staging.path().join("state"),
    };
    built.make_directories()?;
    let (checkout, uncommitted) = std::thread::scope(|scope| {
        // The project is read meanwhile: neither touches what the other looks at.
        let uncommitted = match &spec.source {
            Source::Local(project) => Some(scope.spawn(|| uncommitted::of(project))),
            _ => None,
        };
        let checkout =
            match (pool, start.commit) {
                (Some(pool), Some(commit)) => checkout::checkout(pool.path(), commit, &built.tree, progress).map_err(
                    |error| match Failure::of(&error) {
                        Some(_) => error,
                        None => error.context(format!("cannot write the files below `{}`", built.tree.display())),
                    },
                )?,
                _ => Checkout::default(),
            };
        let uncommitted = uncommitted.map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        Ok::<_, anyhow::Error>((checkout, uncommitted.transpose()?.flatten()))
    })?;
    let git = agent_git(spec, pool, &start, &checkout)?;
    agentgit::build(&git, &built.tree.join(".git"))?;

    let mut record = new_record(at, spec, pool, &start, &name, now, config);
    let tree = Dir::open(&built.tree)?;
    if record.layout.as_deref() == Some("agent") {
        for directory in AGENT_LAYOUT {
            tree.create_dir_all(Path::new(directory))?;
        }
    }
    let project = match (&spec.source, uncommitted) {
        (Source::Local(project), Some(state)) => bring::from_project(project, state, &tree, spec.with_changes)?,
        _ => bring::Brought::default(),
    };
    record.brought = project.brought;
    let imported = files::import(&tree, &spec.imports, false)?;
    record.imports = bring::origins(&spec.imports, &imported);
    record.brought.extend(imported);

    let store = Store::create(&built.state.join("store.git"), pool.map(Pool::path))?;
    drop(store);
    let store = Store::open(&built.state.join("store.git"), Access::Write)?;
    let seen = built.state.join("seen");
    if checkout.verbatim && !checkout.index.is_empty() {
        seen::prefill(&seen, &checkout.index)?;
    }
    let captured = snapshot::capture(
        &store,
        &CaptureSpec {
            tree: &built.tree,
            seen: &seen,
            base: start.base,
            limits: &config.capture,
            excludes: ignore::global_excludes(&config.environment).as_deref(),
            brought: &record.brought,
            alone: true,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        },
        progress,
    )?;
    store.flush()?;
    store.set_ref("refs/created", captured.commit)?;
    record.created_snapshot = Some(captured.commit.to_string());
    drop(store);

    // Held until the record is in place, so that nobody else takes the same ports.
    let _ports = ports::reserve(at, spec.ports, config, &mut record)?;
    record.write(&built.state.join(record::FILE))?;
    record.write_as(&built.state.join("store.git").join(record::COPY), Durability::Lazy)?;
    built.publish(at, &name)?;
    Ok(Created {
        start,
        left_out: project.left_out,
        unread: project.unread,
        left_out_submodules: project.submodules,
        left_out_special: project.special,
        brought: record.brought.clone(),
        checkout,
        workspace: LeasedWorkspace::new(Workspace::of(at.clone(), name, record), lease),
    })
}

/// Returns the name with the time stamp of an ephemeral workspace.
fn final_name(spec: &CreateSpec, now: Timestamp) -> WorkspaceName {
    if !spec.ephemeral {
        return spec.name.clone();
    }
    WorkspaceName::derive(&format!("{}_{}", spec.name, now.strftime("%Y%m%d_%H%M%S")))
}

/// Fails as `exists` when the name is taken; names that differ only in case are the same on some file systems.
fn check_free(at: &UserRoot, name: &WorkspaceName) -> Result<()> {
    if let Some(taken) = at.names()?.into_iter().find(|taken| taken.folded() == name.folded()) {
        let failure = Failure::new(Kind::Exists, format!("workspace `{taken}` exists"));
        return Err(failure.hint(format!("use it with `stead exec {taken}`, or choose another name")).into());
    }
    Ok(())
}

/// The three directories of a workspace under construction.
struct Built {
    tree: PathBuf,
    homes: PathBuf,
    state: PathBuf,
}

impl Built {
    fn make_directories(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        for path in [
            &self.tree,
            &self.homes,
            &self.homes.join("home"),
            &self.homes.join("tmp"),
            &self.state,
            &self.state.join("runs"),
        ] {
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(path)
                .with_context(|| format!("cannot make `{}`", path.display()))?;
        }
        Ok(())
    }

    /// Moves all three into place, the record's last; takes the others back when that fails.
    fn publish(&self, at: &UserRoot, name: &WorkspaceName) -> Result<()> {
        let steps = [(&self.tree, at.tree(name)), (&self.homes, at.homes(name)), (&self.state, at.state(name))];
        for (done, (from, to)) in steps.iter().enumerate() {
            let Err(error) = fs::publish(from, to, Durability::Synced) else { continue };
            // The last may be in place too, and only not durable. The record goes first: without it there is no workspace.
            for (from, to) in steps[..=done].iter().rev().filter(|(from, _)| from.symlink_metadata().is_err()) {
                fs::publish(to, from, Durability::Lazy)?;
            }
            if Kind::of(&error) == Kind::Exists {
                return Err(Failure::new(
                    Kind::Exists,
                    format!("something of an older workspace `{name}` is left at `{}`", to.display()),
                )
                .hint("see what it is with `stead doctor`, or collect it with `stead gc`")
                .into());
            }
            return Err(error);
        }
        Ok(())
    }
}

/// Describes the `.git` of the new workspace: the source's branches as origin's, its tags, and the branch that is checked out.
fn agent_git<'a>(
    spec: &CreateSpec,
    pool: Option<&'a Pool>,
    start: &Start,
    checkout: &'a Checkout,
) -> Result<AgentGit<'a>> {
    let mut git = AgentGit {
        head: match (&start.branch, start.commit) {
            (Some(branch), _) => Head::Branch(format!("refs/heads/{branch}")),
            (None, Some(commit)) => Head::Detached(commit),
            (None, None) => Head::Branch("refs/heads/main".to_owned()),
        },
        pool: pool.map(Pool::path),
        index: (!checkout.index.is_empty()).then_some(&checkout.index),
        ..AgentGit::default()
    };
    if let Some(pool) = pool {
        for (name, oid) in pool.refs()? {
            if let Some(branch) = name.strip_prefix("refs/heads/") {
                git.refs.push((format!("refs/remotes/origin/{branch}"), oid));
            } else if name.starts_with("refs/tags/") {
                git.refs.push((name, oid));
            }
        }
        git.shallow = pool.shallow()?;
        git.origin_head = pool.head_of(&spec.source)?.0.and_then(|tip| tip.branch);
        git.set_origin(&spec.source.to_string());
    }
    if let (Some(branch), Some(commit)) = (&start.branch, start.commit) {
        git.refs.push((format!("refs/heads/{branch}"), commit));
    }
    if let (Some(branch), Some(upstream)) = (&start.branch, &start.upstream) {
        git.set_upstream(branch, upstream);
    }
    if let Some(identity) = &spec.identity {
        git.set_identity(identity);
    }
    Ok(git)
}

fn new_record(
    at: &UserRoot,
    spec: &CreateSpec,
    pool: Option<&Pool>,
    start: &Start,
    name: &WorkspaceName,
    now: Timestamp,
    config: &Config,
) -> Record {
    Record {
        schema: SCHEMA,
        name: name.to_string(),
        user: at.user().to_string(),
        state: State::Ready,
        created: now,
        last_used: now,
        ttl: spec.ttl.or(config.create.ttl).map(|ttl| ttl.as_secs()),
        pinned: false,
        ephemeral: spec.ephemeral,
        source: pool.map(|_| spec.source.to_string()),
        depth: spec.depth,
        branch: start.branch.clone(),
        upstream: start.upstream.clone(),
        base: start.base.map(|base| base.to_string()),
        created_snapshot: None,
        pool: pool.map(|pool| pool.key().to_owned()),
        ports: Vec::new(),
        identity: spec.identity.clone(),
        layout: spec.layout.clone().or_else(|| config.create.layout.clone()),
        isolation: None,
        brought: Vec::new(),
        imports: Vec::new(),
        env: spec.env.clone(),
        limits: spec.limits.clone(),
        deliveries: Vec::new(),
        unknown: toml::Table::new(),
    }
}
