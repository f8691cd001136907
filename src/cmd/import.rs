//! `stead import`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde::Serialize;

use crate::cmd;
use crate::config::Config;
use crate::error::Result;
use crate::store::beneath::Dir;
use crate::store::lease::Wait;
use crate::store::name::WorkspaceName;
use crate::ui::text::{JsonPath, Page, quote};
use crate::ui::{Report, Ui};
use crate::workspace::Workspace;
use crate::workspace::files::{self, Pair};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspace
    name: String,
    /// Copy this file or folder, to DEST in the tree when one is given
    ///
    /// Modes and times are kept, links inside a folder are copied as links. A DEST that ends in `/` gets the source's
    /// name. What was brought in counts as the agent's to change, also where a `.gitignore` names it.
    #[arg(required = true, value_name = "SRC[:DEST]")]
    source: Vec<OsString>,
    /// Replace what is there already
    ///
    /// The new file or folder is swapped in whole; nothing of the old one stays.
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    workspace: String,
    imported: Vec<Imported>,
}

#[derive(Debug, Serialize)]
struct Imported {
    #[serde(flatten)]
    path: JsonPath,
    #[serde(skip)]
    shown: String,
    source: String,
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        for imported in &self.imported {
            page.line(&imported.shown);
        }
    }
}

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Answer> {
    let name = WorkspaceName::parse(&args.name)?;
    let pairs = args
        .source
        .iter()
        .map(|text| Pair::parse(text, config.environment.current_dir()))
        .collect::<Result<Vec<_>>>()?;
    let workspace = Workspace::open(&cmd::writer(config)?, &name)?;
    let mut workspace = cmd::lease(workspace, "import", Wait::No, ui)?;
    let brought = files::import(&Dir::open(&workspace.tree())?, &pairs, args.replace)?;
    remember(&mut workspace.record_mut().brought, &brought);
    workspace.record_mut().last_used = jiff::Timestamp::now();
    workspace.save()?;
    ui.detail(&format!("Imported into `{}`.", workspace.tree().display()));
    let imported = brought
        .iter()
        .zip(&pairs)
        .map(|(path, pair)| Imported {
            path: JsonPath::of(path.as_os_str().as_bytes()),
            shown: quote(path.as_os_str().as_bytes()).into_owned(),
            source: pair.source.display().to_string(),
        })
        .collect();
    Ok(Answer { workspace: name.to_string(), imported })
}

fn remember(known: &mut Vec<PathBuf>, brought: &[PathBuf]) {
    for path in brought {
        if !known.contains(path) {
            known.push(path.clone());
        }
    }
}
