//! The command line of `stead exec`, and what it asks for.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::{Config, units};
use crate::error::{Failure, Kind, Result};
use crate::run::limits;
use crate::run::policy::{Isolation, NetAccess};
use crate::run::secret::Wanted;
use crate::run::share::Share;
use crate::run::{Ask, environment};
use crate::store::lease::Wait;
use crate::ui::text::quote;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workspace
    ///
    /// A missing one is made of the repository around the current directory, else empty.
    pub(super) name: String,
    /// Run the command of this agent
    ///
    /// One of `claude`, `codex`, `gemini`, `opencode`, `pi`, `aider`, or one of your `[agents.NAME]`. With a command of
    /// your own after `--` it only says whose variables are passed on.
    #[arg(short, long)]
    pub(super) agent: Option<String>,
    /// Give this text as the prompt; `-` reads it from stdin
    #[arg(short, long, visible_alias = "prompt", value_name = "TEXT")]
    pub(super) message: Option<String>,
    /// Give the content of this file as the prompt
    #[arg(long, value_name = "FILE", conflicts_with = "message")]
    pub(super) message_file: Option<PathBuf>,
    /// Copy this file or folder into the tree before the start
    ///
    /// To DEST in the tree when one is given; parents are made, and what is there is replaced.
    #[arg(long, value_name = "SRC[:DEST]")]
    pub(super) context: Vec<OsString>,
    /// End the run after this long
    ///
    /// Five minutes unless said otherwise when there is a prompt, no limit for a command; `0` is no limit.
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    pub(super) timeout: Option<Duration>,
    /// End the run when it prints nothing for this long
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    pub(super) idle_timeout: Option<Duration>,
    /// Wait until nobody else works in the workspace, at most this long
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = units::duration)]
    #[expect(clippy::option_option, reason = "absent, without a duration, with one")]
    pub(super) wait: Option<Option<Duration>>,
    /// Make a missing workspace of this source
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["empty", "no_create"])]
    pub(super) from: Option<String>,
    /// Make a missing workspace empty
    #[arg(long, conflicts_with = "no_create")]
    pub(super) empty: bool,
    /// Make a missing workspace although its name looks like a typing error
    #[arg(long, conflicts_with = "no_create")]
    pub(super) create: bool,
    /// Fail when the workspace is missing
    #[arg(long)]
    pub(super) no_create: bool,
    /// Set a variable for the command
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) env: Vec<String>,
    /// Pass a variable of yours on; `*` at the end stands for the rest of its name
    #[arg(long, value_name = "NAME")]
    pub(super) pass_env: Vec<String>,
    /// Pass a secret on, and take it out of the output and of all records
    ///
    /// From the variable of that name, from another one (`NAME=env:OTHER`), from a command that is run on the host
    /// (`NAME=cmd:COMMAND`), or from where `[secrets]` in the configuration says that NAME is.
    #[arg(long, value_name = "NAME")]
    pub(super) secret: Vec<String>,
    /// Author and committer of the commits that the run makes
    #[arg(long, value_name = "NAME <MAIL>")]
    pub(super) identity: Option<String>,
    /// Limit what the run consumes: `memory=4G,cpus=2,pids=512,file-size=1G,open-files=1024,disk-free=1G`
    ///
    /// `none` as the value lifts a limit of the workspace or of the configuration.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) limit: Vec<String>,
    /// Choose how the run is kept from everything else
    ///
    /// Naming a wall makes it a requirement; `auto` takes the best that the host can do.
    #[arg(long, value_name = "WALL")]
    pub(super) isolation: Option<Isolation>,
    /// Choose whether the command may use the network
    #[arg(long, value_name = "on|off")]
    pub(super) net: Option<NetAccess>,
    /// Give the run something of yours: `ssh-agent`, `ssh-keys`
    ///
    /// The agent's socket lets it use keys without reading them; the keys are `~/.ssh`, to read. Behind Landlock a kernel
    /// before version 9 of it cannot tell sockets apart: with one shared the run may connect to all of yours.
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub(super) share: Vec<Share>,
    /// Add the contents of changed files to the JSON answer
    #[arg(long)]
    pub(super) content: bool,
    /// Leave in `.git` what would run commands
    #[arg(long)]
    pub(super) keep_git_config: bool,
    /// Show what would be run
    #[arg(short = 'n', long)]
    pub(super) dry_run: bool,
    /// The command and its arguments, instead of an agent
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

/// Returns what is asked for, the prompt read.
pub(super) fn ask(args: &Args, config: &Config) -> Result<Ask> {
    let prompt = match (args.message.as_deref(), &args.message_file) {
        (Some("-"), _) => Some(std::io::read_to_string(std::io::stdin()).context("cannot read the prompt from stdin")?),
        (Some(text), _) => Some(text.to_owned()),
        (None, Some(path)) => Some(
            std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the prompt from `{}`", path.display()))?,
        ),
        (None, None) => None,
    };
    if prompt.as_ref().is_some_and(|prompt| prompt.trim().is_empty()) {
        return Err(Failure::new(Kind::Usage, "the prompt is empty").into());
    }
    if let Some(identity) = &args.identity {
        environment::identity_parts(identity)?;
    }
    Ok(Ask {
        agent: args.agent.clone(),
        command: args.command.clone(),
        prompt,
        timeout: args.timeout,
        idle_timeout: args.idle_timeout,
        env: args.env.iter().map(|text| environment::assignment(text)).collect::<Result<_>>()?,
        pass_env: args.pass_env.clone(),
        identity: args.identity.clone(),
        isolation: args.isolation,
        net: args.net,
        limits: limits::parse(&args.limit)?,
        share: args.share.clone(),
        secrets: args.secret.iter().map(|text| Wanted::parse(text, &config.secrets)).collect::<Result<_>>()?,
    })
}

/// Returns what is asked for by `--context` as text; what is not UTF-8 is quoted as git does.
pub(super) fn context(args: &Args) -> Vec<String> {
    let text = |asked: &OsString| match asked.to_str() {
        Some(text) => text.to_owned(),
        None => quote(asked.as_bytes()).into_owned(),
    };
    args.context.iter().map(text).collect()
}

pub(super) fn wait(args: &Args) -> Wait {
    match args.wait {
        None => Wait::No,
        Some(None) => Wait::Forever,
        Some(Some(duration)) => Wait::For(duration),
    }
}
