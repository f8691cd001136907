//! `--push`: head's history and at most one commit for uncommitted work, as a branch of origin.

use std::path::Path;

use super::branch::{self, Tip};
use super::{Outline, Said, State};
use crate::error::{Failure, Kind, Result};
use crate::git::Oid;
use crate::git::source::Source;
use crate::git::transport::{self, Net};
use crate::progress::Progress;
use crate::workspace::{LeasedWorkspace, Workspace};

/// What `--push` would do.
pub(crate) struct PushPlan {
    source: Source,
    refname: String,
    tip: Option<Tip>,
    /// The branch holds commits that go away: those of an earlier push.
    force: bool,
    outline: Outline,
}

/// What a push needs beside the workspace.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) net: &'a Net,
    pub(crate) progress: &'a dyn Progress,
}

/// Asks origin for its branches and plans a push to `branch`, `stead/NAME` when none is named.
pub(crate) fn plan(
    workspace: &Workspace,
    state: &State,
    branch: Option<&str>,
    said: &Said,
    way: Way<'_>,
    dry: bool,
) -> Result<PushPlan> {
    let Some(origin) = &workspace.record.source else {
        return Err(Failure::new(Kind::Usage, format!("workspace `{}` has no origin", workspace.name()))
            .hint("bring its work to a project with `--to PATH`")
            .into());
    };
    let source = Source::of_record(origin, workspace.at().root().path())?;
    if matches!(source, Source::Workspace(_) | Source::Empty) {
        return Err(Failure::new(Kind::Refused, format!("`{origin}` is a workspace and cannot be pushed to"))
            .hint("bring the work to a project with `--to PATH`")
            .into());
    }
    let name = branch.map_or_else(|| format!("stead/{}", workspace.name()), str::to_owned);
    let refname = format!("refs/heads/{name}");
    if !crate::git::Reference::is_valid_name(&refname) {
        return Err(Failure::new(Kind::Usage, format!("`{name}` is not a name for a branch")).into());
    }
    if let Source::Local(path) = &source {
        check_local(workspace, path, &refname, &name)?;
    }
    let own = super::own_commits(workspace, &state.store, origin, &refname);
    let tip = branch::tip(workspace, state, said, &own, dry)?;
    let listed = transport::list(&source, way.net, way.progress)?;
    if branch.is_none() && listed.head_branch.as_ref() == Some(&refname) {
        return Err(Failure::new(Kind::Refused, format!("`{name}` is the default branch of `{origin}`"))
            .hint(format!("to push to it all the same say `--as {name}`"))
            .into());
    }
    let there = listed.refs.into_iter().find(|(other, _)| *other == refname).map(|(_, id)| id);
    let mut outline = Outline {
        target: origin.clone(),
        branch: Some(name.clone()),
        commit: tip.as_ref().map(|tip| tip.commit),
        old_commit: there,
        left_out: state.left_out(),
        unread: state.work.unread,
        ..Outline::default()
    };
    outline.up_to_date = tip.is_none() || outline.commit == there;
    let mut force = false;
    if let Some(tip) = &tip {
        if !outline.up_to_date {
            outline.changes.clone_from(&tip.changes);
        }
        outline.runs_code.clone_from(&tip.runs_code);
        outline.uncommitted = tip.uncommitted;
        outline.commits = beyond(state, tip.commit, there.or(workspace.base()))?;
        let forward = there.is_none_or(|there| branch::holds(state, tip.commit, there));
        if !forward && !there.is_some_and(|there| own.contains(&there)) {
            return Err(Failure::new(
                Kind::Conflict,
                format!("branch `{name}` of `{origin}` has commits that the workspace lacks"),
            )
            .hint("push to another branch with `--as BRANCH`")
            .into());
        }
        force = !forward;
    }
    Ok(PushPlan { source, refname, tip, force, outline })
}

/// Refuses a push to a path where it would go behind a working tree's back.
fn check_local(workspace: &Workspace, path: &Path, refname: &str, name: &str) -> Result<()> {
    let project = crate::git::sync::branch::open(path)?;
    if let Some(directory) = crate::git::sync::branch::checked_out(&project, refname)? {
        return Err(Failure::new(
            Kind::Refused,
            format!("branch `{name}` is checked out in `{}`", directory.display()),
        )
        .hint("push to another branch with `--as BRANCH`")
        .into());
    }
    if !project.is_bare() {
        return Err(Failure::new(
            Kind::Unsupported,
            format!("`{}` has a working tree, and only a bare repository can be pushed to by its path", path.display()),
        )
        .hint(format!("bring the work there as a branch: `stead sync {} --to`", workspace.name()))
        .into());
    }
    Ok(())
}

fn beyond(state: &State, commit: Oid, other: Option<Oid>) -> Result<usize> {
    let repository = state.store.repository();
    let other = other.filter(|other| repository.find_commit(*other).is_ok());
    crate::git::sync::join::commits_beyond(repository, commit, other)
}

impl PushPlan {
    pub(crate) fn into_outline(self) -> Outline {
        self.outline
    }

    pub(crate) fn apply(self, workspace: &mut LeasedWorkspace, state: &State, way: Way<'_>) -> Result<Outline> {
        let Some(tip) = &self.tip else { return Ok(self.outline) };
        let (target, there) = (&self.outline.target, self.outline.old_commit);
        super::announce(workspace, &state.store, target, &self.refname, there, tip.commit)?;
        if !self.outline.up_to_date {
            let name = format!("refs/kept/{}", tip.commit);
            let refspec = format!("{}{name}:{}", if self.force { "+" } else { "" }, self.refname);
            transport::push(state.store.repository(), &self.source, &refspec, way.net, way.progress)?;
        }
        super::remember(workspace, &self.outline.target, Some(&self.refname), tip.commit)?;
        Ok(self.outline)
    }
}
