//! `stead import`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use crate::cmd;
use crate::config::Config;
use crate::error::{Kind, Result};
use crate::git::change;
use crate::git::repository::Access;
use crate::run::RunId;
use crate::run::record::{self, End, Outcome, RunRecord};
use crate::store::beneath::Dir;
use crate::store::fs::{Durability, write_atomic};
use crate::store::lease::Wait;
use crate::store::name::WorkspaceName;
use crate::ui::text::{JsonPath, Page, quote};
use crate::ui::{Report, Ui};
use crate::workspace::files::{self, Pair};
use crate::workspace::{LeasedWorkspace, Workspace};

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
    /// The new file or folder is swapped in whole; nothing of the old one stays. What it was is recorded first, ignored
    /// files too, and `stead undo` brings it back; what cannot be recorded is not replaced.
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    workspace: String,
    imported: Vec<Imported>,
    /// What was there before, at these paths.
    replaced: Vec<JsonPath>,
    /// The id under which that can be undone.
    run: Option<String>,
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
        if self.run.is_some() {
            page.hint(&format!("`stead undo {}` brings back what was replaced", self.workspace));
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
    let tree = Dir::open(&workspace.tree())?;
    let replaced = if args.replace { files::existing(&tree, &pairs)? } else { Vec::new() };
    let run = if replaced.is_empty() {
        bring(&mut workspace, &pairs, args.replace)?;
        None
    } else {
        Some(replace(&mut workspace, &pairs, &replaced, config, ui)?)
    };
    ui.detail(&format!("Imported into `{}`.", workspace.tree().display()));
    let path = |path: &PathBuf| JsonPath::of(path.as_os_str().as_bytes());
    let imported = pairs
        .iter()
        .map(|pair| Imported {
            path: path(&pair.destination),
            shown: quote(pair.destination.as_os_str().as_bytes()).into_owned(),
            source: pair.source.display().to_string(),
        })
        .collect();
    Ok(Answer { workspace: name.to_string(), imported, replaced: replaced.iter().map(path).collect(), run })
}

/// Copies everything in and puts on record that it was brought.
fn bring(workspace: &mut LeasedWorkspace, pairs: &[Pair], replace: bool) -> Result<()> {
    let brought = files::import(&Dir::open(&workspace.tree())?, pairs, replace)?;
    remember(&mut workspace.record_mut().brought, &brought);
    workspace.record_mut().last_used = Timestamp::now();
    workspace.save()
}

/// The same where it takes the place of what is at `replaced`: recorded like a run, so that it can be undone. Returns the id.
fn replace(
    workspace: &mut LeasedWorkspace,
    pairs: &[Pair],
    replaced: &[PathBuf],
    config: &Config,
    ui: &Ui,
) -> Result<String> {
    let started = Timestamp::now();
    let store = workspace.store(Access::Write)?;
    let before = workspace.capture_also(&store, config, replaced, ui.progress())?;
    files::check_recorded(&before.meta, replaced)?;
    store.flush()?;
    let sources = pairs.iter().map(|pair| pair.source.display().to_string());
    let words = ["stead", "import", workspace.name().as_str(), "--replace"].map(str::to_owned);
    let mut record = RunRecord::new(RunId::new(started), started, words.into_iter().chain(sources).collect());
    record.before = Some(before.id.to_string());
    let directory = record::directory(&workspace.runs(), &record.id);
    cmd::exec::make_directory(&directory)?;
    write_atomic(&directory.join(record::FILE), record.text().as_bytes(), Durability::Synced)?;
    let refs = record.id.refs();
    store.set_ref(&refs.0, before.commit)?;
    let brought = bring(workspace, pairs, true);
    let after = workspace.capture(&store, config, ui.progress())?;
    store.set_ref(&refs.1, after.commit)?;
    let code = brought.as_ref().map_or_else(|error| Kind::of(error).exit().0, |()| 0);
    record.end = Some(End {
        after: Some(after.id.to_string()),
        changes: change::between(&store, &before, &after)?.len() as u64,
        ..End::unmeasured(Timestamp::now(), Outcome::Exited, code)
    });
    record.write(&directory)?;
    brought.map(|()| record.id.to_string())
}

fn remember(known: &mut Vec<PathBuf>, brought: &[PathBuf]) {
    for path in brought {
        if !known.contains(path) {
            known.push(path.clone());
        }
    }
}
