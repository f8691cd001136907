//! `stead path`.

use std::os::unix::ffi::OsStrExt;

use serde::Serialize;

use crate::cmd;
use crate::config::Config;
use crate::error::Result;
use crate::git::agentdir;
use crate::store::beneath::Dir;
use crate::store::name::WorkspaceName;
use crate::ui::text::{JsonPath, Page};
use crate::ui::{Report, Ui};
use crate::workspace::Workspace;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspace
    name: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    workspace: String,
    #[serde(flatten)]
    path: JsonPath,
    /// What in its `.git` would run commands for whoever uses git there.
    git_config_held: Vec<String>,
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        page.line(&self.path.path);
    }
}

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Answer> {
    let name = WorkspaceName::parse(&args.name)?;
    let at = cmd::existing(config, name.as_str())?;
    let (tree, held) = cmd::settled(&at, &name, Workspace::open, |workspace| {
        let tree = workspace.tree();
        let held = agentdir::held_config(&Dir::open(&tree)?);
        Ok((tree, held))
    })?;
    if !held.is_empty() {
        ui.warn(&format!("using git there runs commands that the workspace has set: {}", held.join(", ")));
    }
    Ok(Answer { workspace: name.to_string(), path: JsonPath::of(tree.as_os_str().as_bytes()), git_config_held: held })
}
