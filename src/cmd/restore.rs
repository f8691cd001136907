//! `stead restore`.

use std::os::unix::ffi::OsStrExt;

use jiff::Timestamp;
use serde::Serialize;

use crate::cmd;
use crate::config::Config;
use crate::error::{Failure, Kind, Result};
use crate::store::name::WorkspaceName;
use crate::ui::text::{JsonPath, Page, quote};
use crate::ui::{Report, Ui};
use crate::workspace::trash;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspace; of several that had this name, the one removed last
    name: String,
    /// Give it this name
    #[arg(long = "as", value_name = "NEW")]
    new: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    workspace: String,
    /// The name it had.
    was: String,
    removed: Timestamp,
    #[serde(flatten)]
    path: JsonPath,
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        if self.workspace == self.was {
            page.line(format!("Restored `{}`.", self.workspace));
        } else {
            page.line(format!("Restored `{}` as `{}`.", self.was, self.workspace));
        }
        page.line(format!("  {}", quote(self.path.path.as_bytes())));
    }
}

pub(crate) fn run(args: &Args, config: &Config, _ui: &Ui) -> Result<Answer> {
    let name = WorkspaceName::parse(&args.name)?;
    let target = args.new.as_deref().map(WorkspaceName::parse).transpose()?.unwrap_or_else(|| name.clone());
    let at = cmd::reader(config)?.ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("there is no workspace `{name}` in the trash")).hint("the trash is empty")
    })?;
    at.ensure()?;
    let restored = trash::restore(&at, &name, &target)?;
    let path = JsonPath::of(restored.workspace.tree().as_os_str().as_bytes());
    Ok(Answer { workspace: target.to_string(), was: name.to_string(), removed: restored.removed, path })
}
