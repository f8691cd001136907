//! `stead restore`: back from the trash, and what is in it.

use std::os::unix::ffi::OsStrExt;

use jiff::Timestamp;
use serde::Serialize;

use crate::cmd;
use crate::config::Config;
use crate::error::{Failure, Kind, Result};
use crate::store::name::WorkspaceName;
use crate::ui::text::{JsonPath, Page, age, quote, until, whole_second};
use crate::ui::{Report, Ui};
use crate::workspace::trash::{self, Entry};

/// Bring a workspace back from the trash
///
/// Everything comes back as it was: the tree with its `.git`, the runs, the home. Without a name, lists what is in the
/// trash and when each of it goes: what was saved elsewhere after `[gc] trash_age` (7 days), other work after 30 days.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspace, or an id of the trash; of several that had this name, the one removed last is meant
    name: Option<String>,
    /// Give it this name
    #[arg(long = "as", value_name = "NEW", requires = "name")]
    new: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Restored(Restored),
    Listed {
        trash: Vec<Line>,
        #[serde(skip)]
        now: Timestamp,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct Restored {
    workspace: String,
    /// The name it had.
    was: String,
    /// The id it had in the trash.
    id: String,
    removed: Timestamp,
    /// Ids of others of that name that are still in the trash, latest first.
    others: Vec<String>,
    /// It was ephemeral, and is not any more.
    stays: bool,
    /// Ports that another workspace has got meanwhile.
    lost_ports: Vec<u16>,
    /// There was no tree any more when it was removed.
    lost_tree: bool,
    #[serde(flatten)]
    path: JsonPath,
}

/// What is in the trash.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    id: String,
    name: String,
    removed: Timestamp,
    /// The subcommand.
    command: String,
    reason: String,
    unsaved: Vec<String>,
    /// When `gc` may take it for good; safe work also when space is short.
    goes: Option<Timestamp>,
    /// Whether all of it was saved elsewhere.
    safe: bool,
    /// Whether a workspace can be restored from it; otherwise it is half of one, or its record is lost.
    whole: bool,
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        match self {
            Self::Restored(restored) => restored.text(page),
            Self::Listed { trash, .. } if trash.is_empty() => page.line("The trash is empty."),
            Self::Listed { trash, now } => {
                let rows: Vec<Vec<String>> = trash.iter().map(|line| line.row(*now)).collect();
                page.table(&["NAME", "REMOVED", "BY", "GOES", "UNSAVED", "ID"], &rows);
                page.hint("`stead restore NAME` brings back the latest of a name, `stead restore ID` any");
            }
        }
    }
}

impl Restored {
    fn text(&self, page: &mut Page) {
        let Self { workspace, was, others, .. } = self;
        if workspace == was {
            page.line(format!("Restored `{workspace}`."));
        } else {
            page.line(format!("Restored `{was}` as `{workspace}`."));
        }
        page.line(format!("  {}", quote(self.path.path.as_bytes())));
        if !others.is_empty() {
            let noun = if others.len() == 1 { "one" } else { "ones" };
            page.line(format!("  It is the one removed last; {} older {noun} of the name in the trash.", others.len()));
            page.hint(&format!("the next is `stead restore {} --as NEW`", others[0]));
        }
        if self.stays {
            page.line("  It was ephemeral; now it stays until it expires.");
        }
        if self.lost_tree {
            page.line("  Its tree was gone already when it was removed; what it had recorded is in its store.");
        }
        if !self.lost_ports.is_empty() {
            let ports: Vec<String> = self.lost_ports.iter().map(u16::to_string).collect();
            page.line(format!("  It has got other ports; another workspace has {}.", ports.join(", ")));
        }
    }
}

impl Line {
    fn of(entry: &Entry, config: &Config) -> Option<Self> {
        let why = entry.why.as_ref()?;
        Some(Self {
            id: entry.id.clone(),
            name: why.name.clone(),
            removed: whole_second(why.removed),
            command: why.command.clone(),
            reason: why.reason.clone(),
            unsaved: why.unsaved.clone(),
            goes: entry.goes(config.gc.trash_age).map(whole_second),
            safe: entry.is_safe(),
            whole: entry.has_record(),
        })
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let unsaved = match &self.unsaved[..] {
            [] => "-".to_owned(),
            unsaved => unsaved.join(", "),
        };
        let name = if self.whole { self.name.clone() } else { format!("{} (half)", self.name) };
        let goes = self.goes.map_or_else(|| "never".to_owned(), |goes| until(goes, now));
        vec![name, age(self.removed, now), self.command.clone(), goes, unsaved, self.id.clone()]
    }
}

pub(crate) fn run(args: &Args, config: &Config, _ui: &Ui) -> Result<Answer> {
    let at = cmd::reader(config)?;
    let Some(name) = &args.name else {
        let mut lines = Vec::new();
        if let Some(at) = at {
            let mut entries = trash::entries(at.root())?;
            entries.retain(|entry| entry.is_of(&at) && !entry.is_spent());
            lines.extend(entries.iter().rev().filter_map(|entry| Line::of(entry, config)));
        }
        return Ok(Answer::Listed { trash: lines, now: Timestamp::now() });
    };
    let target = args.new.as_deref().map(WorkspaceName::parse).transpose()?;
    let at = at.ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("there is no workspace `{name}` in the trash")).hint("the trash is empty")
    })?;
    at.ensure()?;
    let found = trash::find(&at, name)?;
    let target = target.unwrap_or_else(|| found.name.clone());
    let restored = trash::restore(&at, &found, &target, config.create.ports)?;
    let path = JsonPath::of(restored.workspace.tree().as_os_str().as_bytes());
    Ok(Answer::Restored(Restored {
        workspace: target.to_string(),
        was: found.name.to_string(),
        id: found.entry.id,
        removed: restored.removed,
        others: found.others,
        stays: restored.stays,
        lost_ports: restored.lost_ports,
        lost_tree: !restored.workspace.tree().is_dir(),
        path,
    }))
}
