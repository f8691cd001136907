//! `stead sync`.

use std::path::PathBuf;

use serde::Serialize;

use crate::cmd;
use crate::cmd::changes::{self, ChangeObject};
use crate::config::Config;
use crate::error::{Exit, Failure, Kind, Result};
use crate::git::agentdir;
use crate::git::pool::Pool;
use crate::git::source::Source;
use crate::git::sync::join::Way;
use crate::git::transport::Net;
use crate::store::beneath::Dir;
use crate::store::lease::Wait;
use crate::store::name::WorkspaceName;
use crate::store::root::UserRoot;
use crate::ui::text::{JsonPath, Page, quote, times};
use crate::ui::{Report, Ui};
use crate::workspace::agentgit::Running;
use crate::workspace::sync::{self, Outline, Said, State, apply, branch, from, push, upstream};
use crate::workspace::{LeasedWorkspace, Workspace};

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("direction").args(["to", "from", "push"])))]
pub(crate) struct Args {
    /// The workspace
    name: String,
    /// Bring the work to the project, or to the one at PATH, as branch `stead/NAME`
    ///
    /// Head's history comes over, and one commit more for uncommitted work. Nothing is checked out. The branch moves only from
    /// where stead last put it.
    #[arg(long, value_name = "PATH", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "a flag whose value may be left out")]
    to: Option<Option<PathBuf>>,
    /// With --to: bring the work into the working tree or plain folder itself
    ///
    /// It is merged with what is there, all or nothing. What is replaced is kept.
    #[arg(long, requires = "to", conflicts_with_all = ["from", "push"])]
    apply: bool,
    /// Bring the new commits and the uncommitted work of the project at PATH into the workspace
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,
    /// Push the work to origin as branch `stead/NAME`
    #[arg(long)]
    push: bool,
    /// With --push: push to this branch
    #[arg(long = "as", value_name = "BRANCH", requires = "push", conflicts_with_all = ["from", "to"])]
    branch: Option<String>,
    /// Merge a branch that has diverged from upstream
    #[arg(long, conflicts_with_all = ["rebase", "to", "push"])]
    merge: bool,
    /// Rebase a branch that has diverged from upstream
    #[arg(long, conflicts_with_all = ["to", "push"])]
    rebase: bool,
    /// Go on only if the tree is still the snapshot that `diff` printed
    #[arg(long, value_name = "ID")]
    snapshot: Option<String>,
    /// The message of the commit for uncommitted work
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Let files across that run code when opened, and links that lead outside
    #[arg(long)]
    allow_exec: bool,
    /// Leave in `.git` what would run commands
    #[arg(long, conflicts_with_all = ["to", "push"])]
    keep_git_config: bool,
    /// Show what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    workspace: String,
    direction: &'static str,
    target: String,
    dry_run: bool,
    up_to_date: bool,
    snapshot: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_commit: Option<String>,
    /// Commits that come over.
    commits: usize,
    /// One of them, or the change as a whole, is uncommitted work.
    uncommitted: bool,
    changes: Vec<ChangeObject>,
    #[serde(skip)]
    lines: Vec<String>,
    /// What is never part of it, with the reason.
    left_out: Vec<Named>,
    /// Whether all of the work that is to come over could be read.
    complete: bool,
    /// What needs `--allow-exec`, with the reason.
    runs_code: Vec<Named>,
    other_refs: Vec<OtherRef>,
    /// Stash entries, not part of it, newest first.
    stashes: Vec<String>,
    /// What in the workspace's `.git` would run commands, where that was taken out or kept.
    git_config_held: Vec<String>,
    /// Whether that was left in place.
    git_config_kept: bool,
}

#[derive(Debug, Serialize)]
struct Named {
    #[serde(flatten)]
    path: JsonPath,
    reason: String,
    #[serde(skip)]
    shown: String,
}

#[derive(Debug, Serialize)]
struct OtherRef {
    #[serde(rename = "ref")]
    name: String,
    commits: usize,
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        page.line(self.headline());
        for line in &self.lines {
            page.line(format!("  {line}"));
        }
        list(page, "Needs --allow-exec:", &self.runs_code);
        list(page, "Left out:", &self.left_out);
        if !self.complete {
            page.line("Not done: what could not be read is left out, and is work; sync again when it can be read.");
        }
        let stashed = times(self.stashes.len(), "stash entry");
        match (self.other_refs.is_empty(), self.stashes.is_empty()) {
            (true, true) => {}
            (true, false) => page.line(format!("Not brought over: {stashed}.")),
            (false, true) => page.line("Not brought over: other refs with commits of their own:"),
            (false, false) => {
                page.line(format!("Not brought over: {stashed}, and other refs with commits of their own:"));
            }
        }
        for other in &self.other_refs {
            page.line(format!("  {} ({})", quote(other.name.as_bytes()), times(other.commits, "commit")));
        }
        changes::held(page, &self.git_config_held, self.git_config_kept);
        if let (false, false, "to", Some(branch)) = (self.dry_run, self.up_to_date, self.direction, &self.branch) {
            page.line(format!("Next: `git merge {branch}` in `{}`", quote(self.target.as_bytes())));
        }
    }

    fn exit(&self) -> Exit {
        if self.complete || self.dry_run { Exit::DONE } else { Kind::Failed.exit() }
    }
}

impl Answer {
    fn headline(&self) -> String {
        let target = format!("`{}`", quote(self.target.as_bytes()));
        let branch = format!("`{}`", self.branch.as_deref().unwrap_or_default());
        let name = format!("`{}`", self.workspace);
        if self.up_to_date {
            return match self.direction {
                "upstream" | "from" => format!("Workspace {name} is up to date with {target}."),
                "apply" => format!("{target} is up to date with workspace {name}."),
                _ if self.commit.is_none() => format!("Workspace {name} has no work to bring to {target}."),
                _ => format!("Branch {branch} of {target} is up to date with workspace {name}."),
            };
        }
        let verb = |planned: &str, done: &str| if self.dry_run { format!("Would {planned}") } else { done.to_owned() };
        let work = match (self.commits, self.uncommitted) {
            (0, _) => String::new(),
            (count, true) => format!(" ({}, the last of uncommitted work)", times(count, "commit")),
            (count, false) => format!(" ({})", times(count, "commit")),
        };
        match self.direction {
            "upstream" => format!("{} workspace {name} up to {target}{work}.", verb("bring", "Brought")),
            "from" => format!("{} the work of {target} into workspace {name}{work}.", verb("bring", "Brought")),
            "apply" => format!("{} the work of workspace {name} to {target}.", verb("apply", "Applied")),
            "push" => format!("{} workspace {name} to branch {branch} of {target}{work}.", verb("push", "Pushed")),
            _ => format!("{} workspace {name} to branch {branch} of {target}{work}.", verb("bring", "Brought")),
        }
    }

    fn new(name: &WorkspaceName, direction: &'static str, snapshot: String, dry_run: bool, outline: Outline) -> Self {
        let named = |list: Vec<(Vec<u8>, String)>| {
            list.into_iter()
                .map(|(path, reason)| Named { path: JsonPath::of(&path), reason, shown: quote(&path).into_owned() })
                .collect()
        };
        Self {
            workspace: name.to_string(),
            direction,
            target: outline.target,
            dry_run,
            up_to_date: outline.up_to_date,
            snapshot,
            branch: outline.branch,
            commit: outline.commit.map(|id| id.to_string()),
            old_commit: outline.old_commit.map(|id| id.to_string()),
            commits: outline.commits,
            uncommitted: outline.uncommitted,
            lines: outline.changes.iter().map(changes::line).collect(),
            changes: outline.changes.into_iter().map(ChangeObject::new).collect(),
            left_out: named(outline.left_out),
            complete: outline.unread == 0,
            runs_code: named(outline.runs_code),
            other_refs: outline.other_refs.into_iter().map(|(name, commits)| OtherRef { name, commits }).collect(),
            stashes: outline.stashes.iter().map(ToString::to_string).collect(),
            git_config_held: Vec::new(),
            git_config_kept: false,
        }
    }
}

fn list(page: &mut Page, heading: &str, list: &[Named]) {
    if list.is_empty() {
        return;
    }
    page.line(heading);
    for one in list {
        page.line(format!("  {} ({})", one.shown, one.reason));
    }
}

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Answer> {
    let name = WorkspaceName::parse(&args.name)?;
    let at = cmd::reader(config)?.ok_or_else(|| cmd::no_workspace(&name))?;
    let workspace = Workspace::open(&at, &name)?;
    let sync = Sync { args, config, ui, net: cmd::net(config, ui) };
    if args.from.is_none() && args.to.is_none() && !args.push {
        return sync.upstream(&at, workspace);
    }
    if args.dry_run {
        let state = State::look(&workspace, config)?;
        sync.check(&state)?;
        return sync.shown(&workspace, &state);
    }
    let mut workspace = cmd::lease(workspace, "sync", Wait::No, ui)?;
    let state = sync.take(&mut workspace)?;
    sync.applied(&mut workspace, &state)
}

struct Sync<'a> {
    args: &'a Args,
    config: &'a Config,
    ui: &'a Ui,
    net: Net,
}

impl Sync<'_> {
    fn said(&self) -> Said {
        Said { message: self.args.message.clone(), allow_exec: self.args.allow_exec }
    }

    fn way(&self) -> Way {
        match (self.args.merge, self.args.rebase) {
            (true, _) => Way::Merge,
            (_, true) => Way::Rebase,
            _ => Way::FastForward,
        }
    }

    fn running(&self) -> Running {
        if self.args.keep_git_config || self.config.exec.keep_git_config { Running::Kept } else { Running::Dropped }
    }

    /// Records the state of a workspace before it is changed.
    fn take(&self, workspace: &mut LeasedWorkspace) -> Result<State> {
        let mut state = State::take(workspace, self.config, self.ui.progress())?;
        state.running = self.running();
        self.check(&state)?;
        Ok(state)
    }

    fn push(&self) -> push::Way<'_> {
        push::Way { net: &self.net, progress: self.ui.progress() }
    }

    fn check(&self, state: &State) -> Result<()> {
        self.args.snapshot.as_deref().map_or(Ok(()), |id| state.check_snapshot(id))
    }

    fn answer(&self, workspace: &Workspace, state: &State, direction: &'static str, outline: Outline) -> Answer {
        Answer::new(workspace.name(), direction, state.snapshot.id.to_string(), self.args.dry_run, outline)
    }

    /// A path as typed, or the project that the workspace came from.
    fn target(&self, workspace: &Workspace) -> Result<PathBuf> {
        match &self.args.to {
            Some(Some(path)) => Ok(self.config.environment.current_dir().join(path)),
            _ => sync::project_of(workspace),
        }
    }

    fn source(&self, path: &std::path::Path) -> PathBuf {
        self.config.environment.current_dir().join(path)
    }

    fn shown(&self, workspace: &Workspace, state: &State) -> Result<Answer> {
        let said = self.said();
        let (direction, outline) = if let Some(path) = &self.args.from {
            let plan = from::plan(workspace, state, &self.source(path), self.way(), self.config)?;
            ("from", plan.into_outline())
        } else if self.args.push {
            let plan = push::plan(workspace, state, self.args.branch.as_deref(), &said, self.push(), true)?;
            ("push", plan.into_outline())
        } else if self.args.apply {
            ("apply", apply::plan(workspace, state, &self.target(workspace)?, &said, true)?.into_outline())
        } else {
            let plan = branch::plan(workspace, state, &self.target(workspace)?, &said, true)?;
            ("to", plan.into_outline())
        };
        Ok(self.answer(workspace, state, direction, outline))
    }

    fn applied(&self, workspace: &mut LeasedWorkspace, state: &State) -> Result<Answer> {
        let said = self.said();
        let held = agentdir::held_config(&Dir::open(&workspace.tree())?);
        let (direction, outline) = if let Some(path) = &self.args.from {
            let plan = from::plan(workspace, state, &self.source(path), self.way(), self.config)?;
            ("from", plan.apply(workspace, state)?)
        } else if self.args.push {
            let plan = push::plan(workspace, state, self.args.branch.as_deref(), &said, self.push(), false)?;
            let outline = plan.apply(workspace, state, self.push())?;
            self.refresh(workspace);
            ("push", outline)
        } else if self.args.apply {
            let plan = apply::plan(workspace, state, &self.target(workspace)?, &said, false)?;
            ("apply", plan.apply(workspace, state)?)
        } else {
            let plan = branch::plan(workspace, state, &self.target(workspace)?, &said, false)?;
            ("to", plan.apply(workspace, state)?)
        };
        let mut answer = self.answer(workspace, state, direction, outline);
        self.tell_held(&mut answer, workspace, held)?;
        Ok(answer)
    }

    /// Says what of `before` was taken out, or what was kept where the `.git` was to be built anew.
    fn tell_held(&self, answer: &mut Answer, workspace: &Workspace, before: Vec<String>) -> Result<()> {
        if before.is_empty() || !matches!(answer.direction, "upstream" | "from") {
            return Ok(());
        }
        let now = agentdir::held_config(&Dir::open(&workspace.tree())?);
        answer.git_config_kept = self.running() == Running::Kept;
        answer.git_config_held =
            if answer.git_config_kept { now } else { before.into_iter().filter(|held| !now.contains(held)).collect() };
        Ok(())
    }

    /// Looks at origin once more, so that what was pushed counts as delivered. The push itself is done already.
    fn refresh(&self, workspace: &Workspace) {
        if let Err(error) = self.fetch(workspace.at(), workspace) {
            self.ui.warn(&format!("The push is done, but origin could not be looked at afterwards: {error:#}."));
        }
    }

    fn fetch(&self, at: &UserRoot, workspace: &Workspace) -> Result<Pool> {
        let name = workspace.name();
        let source = match &workspace.record.source {
            Some(text) => Source::of_record(text, at.root().path())?,
            None => Source::Empty,
        };
        if source == Source::Empty {
            return Err(Failure::new(
                Kind::Usage,
                format!("workspace `{name}` has no source to bring it up to date from"),
            )
            .hint("bring a project's work in with `--from PATH`")
            .into());
        }
        Pool::update(at, &source, workspace.record.depth, &[], &self.net, self.ui.progress())
    }

    fn upstream(&self, at: &UserRoot, workspace: Workspace) -> Result<Answer> {
        if self.args.dry_run {
            // The pool is no part of a workspace: bringing it up to date changes nothing that counts.
            let pool = self.fetch(at, &workspace)?;
            let state = State::look(&workspace, self.config)?;
            self.check(&state)?;
            let plan = upstream::plan(&workspace, &state, pool, self.way())?;
            return Ok(self.answer(&workspace, &state, "upstream", plan.into_outline()));
        }
        // Fetched before the lease is taken: no command waits for a second lock.
        let pool = self.fetch(at, &workspace)?;
        let mut workspace = cmd::lease(workspace, "sync", Wait::No, self.ui)?;
        let state = self.take(&mut workspace)?;
        let held = agentdir::held_config(&Dir::open(&workspace.tree())?);
        let plan = upstream::plan(&workspace, &state, pool, self.way())?;
        let outline = plan.apply(&mut workspace, &state)?;
        let mut answer = self.answer(&workspace, &state, "upstream", outline);
        self.tell_held(&mut answer, &workspace, held)?;
        Ok(answer)
    }
}
