//! The command line: parse, dispatch, exit code, broken pipe, audit.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use jiff::Timestamp;

use crate::cmd;
use crate::config::{Config, Environment, Overrides};
use crate::error::{Exit, Failure, Kind, Result};
use crate::git::{import, userconfig};
use crate::run::enter;
use crate::run::supervisor;
use crate::store::audit::{self, Event};
use crate::ui::{Color, Form, Level, Ui};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// A place of its own for every coding agent
#[derive(Debug, Parser)]
#[command(name = "stead", version, propagate_version = true, styles = STYLES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// Keep everything in this directory
    #[arg(long, global = true, help_heading = "Global options", value_name = "DIR")]
    root: Option<PathBuf>,
    /// Act for this user (a mail address or a plain name)
    #[arg(long, global = true, help_heading = "Global options", value_name = "ID")]
    user: Option<String>,
    /// Answer with one JSON object
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// Say only what went wrong
    #[arg(short, long, global = true, help_heading = "Global options", conflicts_with = "verbose")]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true, help_heading = "Global options")]
    verbose: bool,
    /// When to use colours
    #[arg(long, global = true, help_heading = "Global options", value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(cmd::create::Args),
    Clone(cmd::clone::Args),
    /// Run an agent or a command in a workspace, then print what changed
    Exec(cmd::exec::Args),
    #[command(visible_alias = "ls")]
    Status(cmd::status::Args),
    Sync(cmd::sync::Args),
    Gc(cmd::gc::Args),
    Diff(cmd::diff::Args),
    Log(cmd::log::Args),
    Undo(cmd::undo::Args),
    /// Move workspaces to the trash
    Rm(cmd::rm::Args),
    Restore(cmd::restore::Args),
    /// Copy files or folders into a workspace
    Import(cmd::import::Args),
    /// Print the path of a workspace's tree
    Path(cmd::path::Args),
    Config(cmd::config::Args),
    Doctor(cmd::doctor::Args),
    Completions(cmd::completions::Args),
    Man(cmd::man::Args),
}

/// Runs the program.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let hidden = supervisor::entry(&args).or_else(|| enter::entry(&args)).or_else(|| import::helper::entry(&args));
    if let Some(exit) = hidden {
        return exit;
    }
    let environment = Environment::of_process();
    let parsed =
        command().try_get_matches_from(&args).and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    match parsed {
        Ok((cli, matches)) => run(&cli, &matches, environment),
        Err(error) => refuse(&error, &args, &environment),
    }
    .into()
}

/// Returns the command line's definition, for completions and man pages.
pub fn command() -> clap::Command {
    Cli::command().mut_subcommands(|subcommand| {
        let examples = cmd::man::examples(subcommand.get_name());
        match subcommand.get_name() {
            "gc" => subcommand.after_long_help(format!("{}\n\n{examples}", cmd::gc::codes())).after_help(examples),
            _ if examples.is_empty() => subcommand,
            _ => subcommand.after_help(examples),
        }
    })
}

fn run(cli: &Cli, matches: &ArgMatches, environment: Environment) -> Exit {
    // Here, where there is no other thread yet; parsing, help and the version need no git.
    userconfig::keep_out_if_broken();
    let global = &cli.global;
    let ui = Ui::new(global.form(), global.level(), global.color, &environment);
    let exec = matches!(cli.command, Command::Exec(_));
    let exit = answer(cli, environment, matches, &ui).unwrap_or_else(|error| {
        ui.fail(&error);
        ui.interrupted().unwrap_or_else(|| if exec { Exit::EXEC_FAILURE } else { Kind::of(&error).exit() })
    });
    // What was interrupted after the command's own end is told with its changes.
    ui.interrupted().filter(|_| exec && exit == Exit::EXEC_FAILURE).unwrap_or(exit)
}

fn answer(cli: &Cli, environment: Environment, matches: &ArgMatches, ui: &Ui) -> Result<Exit> {
    // These work whatever the settings are.
    match &cli.command {
        Command::Completions(args) => return cmd::completions::run(args, command(), ui),
        Command::Man(args) => return cmd::man::run(args, command(), ui),
        // Treats signals in its own way.
        Command::Exec(_) => {}
        _ => ui.catch_interrupts()?,
    }
    let overrides = Overrides { root: cli.global.root.clone(), user: cli.global.user.clone() };
    let config = Config::load(environment, &overrides)?;
    if matches!(cli.command, Command::Create(_) | Command::Clone(_) | Command::Exec(_))
        && let Some(project) = config.project.as_ref().filter(|project| !project.ignored.is_empty())
    {
        let (path, keys) = (project.path.display(), project.ignored.join("`, `"));
        ui.warn(&format!("`{path}` sets `{keys}`, which counts only after `stead config trust`"));
    }
    let started = Instant::now();
    let result = dispatch(&cli.command, &config, ui);
    if let Some(event) = event(matches, &config, &result, started) {
        audit::append(&config.root, &event);
    }
    result
}

/// Returns the line of the audit trail for a command that may have changed something.
fn event(matches: &ArgMatches, config: &Config, result: &Result<Exit>, started: Instant) -> Option<Event> {
    let (command, matches) = matches.subcommand()?;
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let definition = crate::command();
    let definition = definition.find_subcommand(command)?;
    let options: Vec<String> = definition
        .get_arguments()
        .filter(|argument| given(argument.get_id().as_str()))
        .filter_map(|argument| argument.get_long().map(str::to_owned))
        .collect();
    let has = |option: &str| options.iter().any(|given| given == option);
    let changes = match command {
        "create" | "clone" | "exec" | "sync" | "undo" | "gc" | "rm" | "restore" | "import" => !has("dry-run"),
        "doctor" => has("repair"),
        "config" => matches.subcommand_name() == Some("trust"),
        _ => false,
    };
    let names = definition
        .get_arguments()
        .map(|argument| argument.get_id().as_str())
        .filter(|id| matches!(*id, "name" | "names" | "workspace") && given(id));
    let (exit, kind) = match result {
        Ok(exit) => (*exit, None),
        Err(error) if command == "exec" => (Exit::EXEC_FAILURE, Some(Kind::of(error))),
        Err(error) => (Kind::of(error).exit(), Some(Kind::of(error))),
    };
    changes.then(|| Event {
        at: Timestamp::now(),
        user: config.user.clone(),
        command: command.to_owned(),
        workspaces: names
            .filter_map(|id| matches.get_raw(id))
            .flatten()
            .map(|name| name.to_string_lossy().into_owned())
            .collect(),
        options,
        exit: exit.0,
        kind: kind.map(|kind| kind.to_string()),
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        pid: std::process::id(),
    })
}

impl Global {
    fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }

    fn level(&self) -> Level {
        match (self.quiet, self.verbose) {
            (true, _) => Level::Quiet,
            (_, true) => Level::Verbose,
            _ => Level::Normal,
        }
    }
}

/// Answers a command line that clap did not take: help and version are answers, the rest is a usage failure.
fn refuse(error: &clap::Error, args: &[OsString], environment: &Environment) -> Exit {
    let given = Given::of(args);
    let ui = Ui::new(given.form, Level::Normal, given.color, environment);
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return ui.help(&error.render()).unwrap_or_else(|error| {
            ui.fail(&error);
            Kind::Failed.exit()
        });
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && given.form == Form::Text {
        ui.usage(&error.render());
        return Kind::Usage.exit();
    }
    ui.fail(&usage(error, given.subcommand.as_deref()).into());
    if given.subcommand.as_deref() == Some("exec") { Exit::EXEC_FAILURE } else { Kind::Usage.exit() }
}

fn usage(error: &clap::Error, subcommand: Option<&str>) -> Failure {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let first = text.split("\n\n").next().unwrap_or_default();
    let message: Vec<&str> = first.lines().map(str::trim).collect();
    let message = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            "no command was named".to_owned()
        }
        _ => message.join(" "),
    };
    let close = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue]
        .into_iter()
        .find_map(|kind| match error.get(kind)? {
            ContextValue::String(word) => Some(word.clone()),
            ContextValue::Strings(words) => words.first().cloned(),
            _ => None,
        });
    let hint = match (close, subcommand) {
        (Some(word), _) => format!("did you mean `{word}`?"),
        (None, Some(name)) => format!("see `stead {name} --help`"),
        (None, None) => "see `stead --help`".to_owned(),
    };
    Failure::new(Kind::Usage, message).hint(hint)
}

/// What can be told of a command line that is wrong somewhere.
struct Given {
    form: Form,
    color: Color,
    subcommand: Option<String>,
}

impl Given {
    fn of(args: &[OsString]) -> Self {
        let mut given = Self { form: Form::Text, color: Color::Auto, subcommand: None };
        let mut args = args.iter().skip(1).filter_map(|arg| arg.to_str()).take_while(|&arg| arg != "--");
        while let Some(arg) = args.next() {
            let (flag, value) = arg.split_once('=').map_or((arg, None), |(flag, value)| (flag, Some(value)));
            match flag {
                "--json" => given.form = Form::Json,
                "--color" => {
                    let when = value.or_else(|| args.next()).unwrap_or_default();
                    given.color = clap::ValueEnum::from_str(when, false).unwrap_or_default();
                }
                "--root" | "--user" if value.is_none() => drop(args.next()),
                _ if given.subcommand.is_none() && !arg.starts_with('-') => {
                    let known = command().get_subcommands().any(|command| {
                        command.get_name() == arg || command.get_all_aliases().any(|alias| alias == arg)
                    });
                    given.subcommand = known.then(|| arg.to_owned());
                    if !known {
                        break;
                    }
                }
                _ => {}
            }
        }
        given
    }
}

fn dispatch(subcommand: &Command, config: &Config, ui: &Ui) -> Result<Exit> {
    match subcommand {
        Command::Create(args) => ui.answer(&cmd::create::run(args, config, ui)?),
        Command::Clone(args) => ui.answer(&cmd::clone::run(args, config, ui)?),
        Command::Exec(args) => cmd::exec::run(args, config, ui)?.give(ui),
        Command::Status(args) => cmd::status::run(args, config, ui),
        Command::Sync(args) => ui.answer(&cmd::sync::run(args, config, ui)?),
        Command::Gc(args) => ui.answer(&cmd::gc::run(args, config, ui)?),
        Command::Diff(args) => cmd::diff::run(args, config, ui),
        Command::Log(args) => ui.answer(&cmd::log::run(args, config, ui)?),
        Command::Undo(args) => ui.answer(&cmd::undo::run(args, config, ui)?),
        Command::Rm(args) => ui.answer(&cmd::rm::run(args, config, ui)?),
        Command::Restore(args) => ui.answer(&cmd::restore::run(args, config, ui)?),
        Command::Import(args) => ui.answer(&cmd::import::run(args, config, ui)?),
        Command::Path(args) => ui.answer(&cmd::path::run(args, config, ui)?),
        Command::Config(args) => ui.answer(&cmd::config::run(args, config, ui)?),
        Command::Doctor(args) => ui.answer(&cmd::doctor::run(args, config, ui)?),
        Command::Completions(args) => cmd::completions::run(args, command(), ui),
        Command::Man(args) => cmd::man::run(args, command(), ui),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn what_a_wrong_command_line_asks_for_is_still_seen() {
        let given = |line: &str| {
            let given = Given::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
            (given.form, given.color, given.subcommand)
        };
        assert_eq!(given("stead --json exec x"), (Form::Json, Color::Auto, Some("exec".into())));
        assert_eq!(given("stead --root exec --color=never ls --json"), (Form::Json, Color::Never, Some("ls".into())));
        assert_eq!(given("stead exec x -- --json"), (Form::Text, Color::Auto, Some("exec".into())));
        assert_eq!(given("stead --color always exce exec"), (Form::Text, Color::Always, None));
    }
}
