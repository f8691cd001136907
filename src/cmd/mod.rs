//! One file per subcommand: its arguments with their help text, its report, `run()`.

pub(crate) mod changes;
pub(crate) mod clone;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod create;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod gc;
pub(crate) mod import;
pub(crate) mod log;
pub(crate) mod man;
pub(crate) mod path;
pub(crate) mod restore;
pub(crate) mod rm;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod undo;

use std::sync::Arc;

use serde::Serialize;

use crate::config::Config;
use crate::error::{Failure, Kind, Result};
use crate::git::transport::Net;
use crate::store::lease::Wait;
use crate::store::name::{UserId, WorkspaceName};
use crate::store::root::{Root, UserRoot};
use crate::ui::Ui;
use crate::workspace::{LeasedWorkspace, Workspace};

/// Opens the user's part of the root for reading; `None` when there is no root yet.
pub(crate) fn reader(config: &Config) -> Result<Option<UserRoot>> {
    let user = UserId::parse(&config.user)?;
    Root::open(&config.root)?.map(|root| root.user(&user)).transpose()
}

/// Returns the failure for a named workspace where there is no root yet.
pub(crate) fn no_workspace(name: &WorkspaceName) -> anyhow::Error {
    Failure::new(Kind::NotFound, format!("there is no workspace `{name}`"))
        .hint(format!("make it with `stead create {name}`"))
        .into()
}

/// Opens the user's part of the root for writing, making what is missing.
pub(crate) fn writer(config: &Config) -> Result<UserRoot> {
    let user = UserId::parse(&config.user)?;
    let at = Root::open_or_create(&config.root)?.user(&user)?;
    at.ensure()?;
    Ok(at)
}

/// Opens the user's part of a root that must be there for `name` to be.
pub(crate) fn existing(config: &Config, name: &str) -> Result<UserRoot> {
    reader(config)?.ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("there is no workspace `{name}`"))
            .hint(format!("there is nothing at `{}` yet; `stead create` makes it", config.root.display()))
            .into()
    })
}

/// Takes the lease of a workspace that is to be changed, and says what of an earlier command was finished first. Refused for
/// one that a newer stead has written: its record could not be kept up.
pub(crate) fn lease(workspace: Workspace, command: &str, wait: Wait, ui: &Ui) -> Result<LeasedWorkspace> {
    let leased = lease_as_it_is(workspace, command, wait, ui)?;
    leased.record.check_writable()?;
    Ok(leased)
}

/// The same for a workspace that only goes elsewhere, whatever stead has written it.
pub(crate) fn lease_as_it_is(workspace: Workspace, command: &str, wait: Wait, ui: &Ui) -> Result<LeasedWorkspace> {
    let leased = workspace.lease(command, wait)?;
    if let Some(finished) = leased.finished() {
        ui.status(finished);
    }
    Ok(leased)
}

/// Opens a workspace without a lease and looks at it. What goes wrong because it is removed or comes back meanwhile is
/// looked at again; once it is gone, that is the failure.
pub(crate) fn settled<T>(
    at: &UserRoot,
    name: &WorkspaceName,
    open: fn(&UserRoot, &WorkspaceName) -> Result<Workspace>,
    look: impl Fn(&Workspace) -> Result<T>,
) -> Result<T> {
    const TRIES: usize = 4;
    let mut result = look(&open(at, name)?);
    for _ in 1..TRIES {
        match &result {
            Err(error) if matches!(Kind::of(error), Kind::Failed | Kind::Damaged) => result = look(&open(at, name)?),
            _ => break,
        }
    }
    result
}

/// Why one of several items failed.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        Self {
            kind: Kind::of(error),
            message: format!("{error:#}"),
            hint: Failure::of(error).and_then(|failure| failure.hint.clone()),
        }
    }
}

/// Returns what transfers of this command may use.
pub(crate) fn net(config: &Config, ui: &Ui) -> Net {
    Net { environment: Arc::new(config.environment.clone()), interactive: ui.interactive(), git: config.net.git }
}
