//! `stead doctor`: the health of the root, the host and the wall.

mod features;
mod host;
mod objects;
mod root;
mod runs;

use jiff::Timestamp;
use serde::Serialize;

use crate::config::Config;
use crate::error::{Exit, Kind, Result};
use crate::ui::text::{JsonPath, Page};
use crate::ui::{Report, Ui};

/// Check the root, the host and the wall
///
/// With `--repair` it mends what is simple: dead staging goes, halves of workspaces go to the trash, records are made anew
/// from their stores, journals that cannot be read are put aside, what is left of runs
/// that never began goes, what borrows from a root that moved borrows from where it
/// is now, what is damaged in a pool is fetched once more, and what is private is so again. Nothing is lost by it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Mend what is simple
    #[arg(long)]
    repair: bool,
    /// Read every object of all pools and stores too; takes long
    #[arg(long)]
    deep: bool,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    /// Worth knowing; nothing is wrong.
    Info,
    Warning,
    Problem,
    /// It was a problem.
    Repaired,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) status: Status,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    healthy: bool,
    timestamp: Timestamp,
    /// The root, under the name that health checks of workspaces look for.
    workspace_dir: String,
    #[serde(flatten)]
    root: JsonPath,
    version: &'static str,
    checks: Vec<Check>,
}

impl Check {
    pub(super) fn new(name: &'static str, status: Status, message: impl Into<String>) -> Self {
        Self { name, status, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
        for check in &self.checks {
            let status = match check.status {
                Status::Ok => "ok",
                Status::Info => "info",
                Status::Warning => "warning",
                Status::Problem => "PROBLEM",
                Status::Repaired => "repaired",
            };
            page.line(format!("{status:<8}  {:<width$}  {}", check.name, check.message));
            if let Some(hint) = &check.hint {
                page.hint(hint);
            }
        }
        let problems = self.checks.iter().filter(|check| check.status == Status::Problem).count();
        page.line(match problems {
            0 => "Healthy.".to_owned(),
            1 => "1 problem.".to_owned(),
            count => format!("{count} problems."),
        });
    }

    fn exit(&self) -> Exit {
        if self.healthy { Exit::DONE } else { Kind::Damaged.exit() }
    }
}

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Answer> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut checks = root::checks(config, args, ui)?;
    checks.extend(host::checks(config));
    Ok(Answer {
        healthy: checks.iter().all(|check| check.status != Status::Problem),
        timestamp: Timestamp::now(),
        workspace_dir: config.root.to_string_lossy().into_owned(),
        root: JsonPath::of(config.root.as_os_str().as_bytes()),
        version: env!("CARGO_PKG_VERSION"),
        checks,
    })
}
