//! `stead config`: the settings with where they come from, and trust in a project's own.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use crate::config::closest::closest;
use crate::config::project::{self, Project, Trust};
use crate::config::{Config, Origin, Setting, dotted, names};
use crate::error::{Failure, Kind, Result};
use crate::store::fs::{self, Durability};
use crate::ui::text::{JsonPath, Page, quote};
use crate::ui::{Report, Ui};

/// Show settings and where they come from
///
/// A later one covers an earlier one: defaults, `/etc/stead/config.toml`, the user's `config.toml`, the project's
/// `.stead.toml`, environment variables, flags. What a project's file may not set by itself is passed by until
/// `stead config trust`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show all settings, one, or one table
    Show {
        /// A key (`gc.max_age`) or a table (`gc`)
        #[arg(value_name = "KEY")]
        key: Option<String>,
    },
    /// Agree to everything that a project's `.stead.toml` sets
    ///
    /// It holds for the file as it is now and is asked for again when the file changes.
    Trust {
        /// A directory in the project; the current one when left out
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Shown {
        settings: Vec<Shown>,
        #[serde(skip_serializing_if = "Option::is_none")]
        project: Option<Passed>,
    },
    Trusted {
        #[serde(flatten)]
        path: JsonPath,
        trusted: bool,
        settings: Vec<Shown>,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    key: String,
    value: Option<toml::Value>,
    /// `default`, `system`, `user`, `project`, `environment`, `flag`.
    origin: Option<&'static str>,
    /// The file, variable or flag.
    from: Option<String>,
}

/// A project's file of which something is passed by.
#[derive(Debug, Serialize)]
pub(crate) struct Passed {
    #[serde(flatten)]
    path: JsonPath,
    ignored: Vec<String>,
}

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        match self {
            Self::Shown { settings, project } => {
                page.table(
                    &["KEY", "VALUE", "FROM"],
                    &settings
                        .iter()
                        .map(|shown| vec![shown.key.clone(), shown.value(), shown.from()])
                        .collect::<Vec<_>>(),
                );
                if let Some(project) = project {
                    page.line(format!(
                        "{} also sets what a project may not by itself: {}.",
                        quote(project.path.path.as_bytes()),
                        project.ignored.join(", ")
                    ));
                    page.hint("read it, then `stead config trust`");
                }
            }
            Self::Trusted { path, trusted, settings } => {
                let verb = if *trusted { "Trusted" } else { "Not trusted" };
                page.line(format!("{verb}: {} ({} settings).", quote(path.path.as_bytes()), settings.len()));
            }
        }
    }
}

impl Shown {
    fn of(key: &str, setting: Option<&Setting>) -> Self {
        Self {
            key: key.to_owned(),
            value: setting.map(|setting| setting.value.clone()),
            origin: setting.map(|setting| match setting.origin {
                Origin::Default => "default",
                Origin::System(_) => "system",
                Origin::User(_) => "user",
                Origin::Project(_) => "project",
                Origin::Environment(_) => "environment",
                Origin::Flag(_) => "flag",
            }),
            from: setting.filter(|setting| setting.origin != Origin::Default).map(|setting| setting.origin.to_string()),
        }
    }

    fn value(&self) -> String {
        self.value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)
    }

    fn from(&self) -> String {
        self.from.clone().unwrap_or_else(|| self.origin.unwrap_or("-").to_owned())
    }
}

pub(crate) fn run(args: &Args, config: &Config, ui: &Ui) -> Result<Answer> {
    match &args.what {
        What::Show { key } => show(key.as_deref(), config),
        What::Trust { dir, yes } => trust(dir.as_deref(), *yes, config, ui),
    }
}

fn show(key: Option<&str>, config: &Config) -> Result<Answer> {
    let of = |name: &str| Shown::of(name, config.settings.get(name));
    let settings: Vec<Shown> = match key {
        None => config.settings.keys().map(|name| of(name)).collect(),
        Some(key) => {
            let table = format!("{key}.");
            let mut all: Vec<String> = names().chain(config.settings.keys().cloned()).collect();
            all.sort_unstable();
            all.dedup();
            let chosen: Vec<Shown> =
                all.iter().filter(|name| *name == key || name.starts_with(&table)).map(|name| of(name)).collect();
            if chosen.is_empty() && !matches!(key, "agents" | "users") {
                let mut failure = Failure::new(Kind::Usage, format!("there is no setting `{key}`"));
                failure.hint =
                    closest(key, all.iter().map(String::as_str)).map(|name| format!("did you mean `{name}`?"));
                return Err(failure.into());
            }
            chosen
        }
    };
    let project = config
        .project
        .as_ref()
        .filter(|project| !project.ignored.is_empty())
        .map(|project| Passed { path: path_of(project), ignored: project.ignored.clone() });
    Ok(Answer::Shown { settings, project })
}

fn trust(dir: Option<&Path>, yes: bool, config: &Config, ui: &Ui) -> Result<Answer> {
    let at = config
        .trust
        .as_ref()
        .ok_or_else(|| Failure::new(Kind::Failed, "there is no home directory to keep trust in").hint("set `HOME`"))?;
    let mut trust = Trust::read(at)?;
    let dir = config.environment.current_dir().join(dir.unwrap_or(Path::new(".")));
    let dir = dir.canonicalize().with_context(|| format!("cannot find `{}`", dir.display()))?;
    let top = project::top(&dir)
        .ok_or_else(|| Failure::new(Kind::NotFound, format!("`{}` is not in a git working tree", dir.display())))?;
    let found = project::read(top, &trust)?
        .ok_or_else(|| Failure::new(Kind::NotFound, format!("`{}` has no `{}`", top.display(), project::FILE)))?;
    let settings: Vec<Shown> = found
        .entries
        .iter()
        .map(|(key, value)| {
            let origin = Origin::Project(found.path.clone());
            Shown::of(&dotted(key), Some(&Setting { value: value.clone(), origin }))
        })
        .collect();
    let mut trusted = found.trusted;
    if !trusted {
        for shown in &settings {
            ui.status(&format!("{} = {}", shown.key, shown.value()));
        }
        trusted = yes || ui.confirm(&format!("Trust `{}`?", found.path.display()), "--yes")?;
        if trusted {
            let parent = at.parent().expect("a file in the configuration directory");
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
            trust.add(&found.path, &found.content)?;
            fs::write_atomic(at, trust.to_toml().as_bytes(), Durability::Synced)?;
        }
    }
    Ok(Answer::Trusted { path: path_of(&found), trusted, settings })
}

fn path_of(project: &Project) -> JsonPath {
    use std::os::unix::ffi::OsStrExt as _;
    JsonPath::of(project.path.as_os_str().as_bytes())
}
