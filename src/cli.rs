//! The command line: parse, dispatch, exit code, broken pipe, audit.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::cmd;
use crate::config::Config;
use crate::error::{Exit, Result};
use crate::ui::{Color, Ui};

/// A place of its own for every coding agent
#[derive(Debug, Parser)]
#[command(name = "stead", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// Keep everything in this directory
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Act for this user (a mail address or a plain name)
    #[arg(long, global = true, value_name = "ID")]
    user: Option<String>,
    /// Answer with one JSON object
    #[arg(long, global = true)]
    json: bool,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    verbose: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make new workspaces
    Create(cmd::create::Args),
    /// Make a workspace of a repository, or bring it up to date
    Clone(cmd::clone::Args),
    /// Run an agent or a command in a workspace, then print what changed
    Exec(cmd::exec::Args),
    /// Show the state of one, some or all workspaces
    #[command(visible_alias = "ls")]
    Status(cmd::status::Args),
    /// Bring work from upstream to a workspace, or from it to the project
    Sync(cmd::sync::Args),
    /// Collect what is expired, orphaned or half-made
    Gc(cmd::gc::Args),
    /// Show the changes of a workspace
    Diff(cmd::diff::Args),
    /// Show runs and events
    Log(cmd::log::Args),
    /// Move workspaces to the trash
    Rm(cmd::rm::Args),
    /// Bring a workspace back from the trash
    Restore(cmd::restore::Args),
    /// Copy files or folders into a workspace
    Import(cmd::import::Args),
    /// Print the path of a workspace's tree
    Path(cmd::path::Args),
    /// Show settings and where they come from
    Config(cmd::config::Args),
    /// Check the root, the host and the wall
    Doctor(cmd::doctor::Args),
    /// Print the completion script of a shell
    Completions(cmd::completions::Args),
    /// Print or write the man pages
    Man(cmd::man::Args),
}

/// Runs the program.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _ = Cli::parse_from(args);
    todo!("front")
}

/// Returns the command line's definition, for completions and man pages.
pub fn command() -> clap::Command {
    Cli::command()
}

fn dispatch(command: &Command, config: &Config, ui: &Ui) -> Result<Exit> {
    match command {
        Command::Create(args) => ui.answer(&cmd::create::run(args, config, ui)?),
        Command::Clone(args) => ui.answer(&cmd::clone::run(args, config, ui)?),
        Command::Exec(args) => ui.answer(&cmd::exec::run(args, config, ui)?),
        Command::Status(args) => ui.answer(&cmd::status::run(args, config, ui)?),
        Command::Sync(args) => ui.answer(&cmd::sync::run(args, config, ui)?),
        Command::Gc(args) => ui.answer(&cmd::gc::run(args, config, ui)?),
        Command::Diff(args) => ui.answer(&cmd::diff::run(args, config, ui)?),
        Command::Log(args) => ui.answer(&cmd::log::run(args, config, ui)?),
        Command::Rm(args) => ui.answer(&cmd::rm::run(args, config, ui)?),
        Command::Restore(args) => ui.answer(&cmd::restore::run(args, config, ui)?),
        Command::Import(args) => ui.answer(&cmd::import::run(args, config, ui)?),
        Command::Path(args) => ui.answer(&cmd::path::run(args, config, ui)?),
        Command::Config(args) => ui.answer(&cmd::config::run(args, config, ui)?),
        Command::Doctor(args) => ui.answer(&cmd::doctor::run(args, config, ui)?),
        Command::Completions(args) => ui.answer(&cmd::completions::run(args, config, ui)?),
        Command::Man(args) => ui.answer(&cmd::man::run(args, config, ui)?),
    }
}
