//! [`RunSpec`]: everything that a run is, decided before it starts.

mod call;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{Config, Environment};
use crate::confine::container::Engine;
use crate::confine::landlock::Enforced;
use crate::confine::spawn::Group;
use crate::error::{Failure, Kind, Result};
use crate::run::RunId;
use crate::run::agent::{AgentPreset, PromptBy};
use crate::run::behind::{self, View};
use crate::run::container::{self, Container};
use crate::run::environment::{self, Built, Parts};
use crate::run::limits::Limits;
use crate::run::policy::{self, Isolation, NetAccess, Policy, Wall, Walls};
use crate::run::record::{self, RunRecord};
use crate::run::redact::{Hidden, Redactor};
use crate::run::secret::{self, Wanted};
use crate::run::share::{self, Share};
use crate::run::spec::call::{Called, call};
use crate::run::supervise::{Request, Stdin, Streams};
use crate::run::toolchain::{self, Toolchains};
use crate::run::warm::Warm;
use crate::workspace::record::Record;

/// How long a run with a prompt may take when nobody said otherwise.
const PROMPT_TIMEOUT: Duration = Duration::from_mins(5);

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) agent: Option<String>,
    /// Empty: the agent.
    pub(crate) command: Vec<OsString>,
    pub(crate) prompt: Option<String>,
    /// Zero: none.
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) pass_env: Vec<String>,
    pub(crate) identity: Option<String>,
    pub(crate) isolation: Option<Isolation>,
    pub(crate) net: Option<NetAccess>,
    pub(crate) secrets: Vec<Wanted>,
    pub(crate) limits: BTreeMap<String, String>,
    pub(crate) share: Vec<Share>,
}

/// Where the run takes place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around<'a> {
    pub(crate) name: &'a str,
    /// `None` for a workspace that is not made yet.
    pub(crate) record: Option<&'a Record>,
    pub(crate) tree: &'a Path,
    /// The workspace's private directories, `home` and `tmp`.
    pub(crate) homes: &'a Path,
    /// The objects that the agent's repository borrows.
    pub(crate) pool: Option<&'a Path>,
    /// `Name <mail>` from the user's git configuration.
    pub(crate) identity: Option<&'a str>,
    pub(crate) terminals: Terminals,
    /// What this host can do.
    pub(crate) walls: &'a Walls,
    /// The user's toolchains, once they are looked for.
    pub(crate) tools: &'a OnceCell<Toolchains>,
}

/// What stead's own streams are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terminals {
    None,
    /// Only stdin.
    Stdin,
    /// stdin and stdout.
    Both,
    /// stdin, perhaps stdout too, but the answer is one JSON object.
    Json {
        stdin: bool,
    },
}

/// Everything that a run is: a pure function of what was asked for, the configuration and the record.
#[derive(Clone, Debug)]
pub(crate) struct RunSpec {
    pub(crate) id: RunId,
    /// The preset's name; `None` for a command.
    pub(crate) agent: Option<String>,
    /// The agent whose login and settings the run gets behind a wall.
    pub(crate) preset: Option<AgentPreset>,
    /// How to get the agent when it is not installed.
    pub(crate) install: Option<String>,
    pub(crate) argv: Vec<OsString>,
    /// [`Self::argv`] without the prompt.
    pub(crate) shown: Vec<String>,
    pub(crate) prompt: Option<String>,
    /// The file that the agent reads its prompt from.
    pub(crate) prompt_file: Option<PathBuf>,
    pub(crate) stdin: Stdin,
    pub(crate) streams: Streams,
    pub(crate) group: Group,
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) limits: Limits,
    /// The cgroup that will be made for the run.
    pub(crate) cgroup: Option<PathBuf>,
    /// Without the secrets.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The names of the secrets that the run gets as well.
    pub(crate) secrets: Vec<String>,
    /// What is taken out of the output beside the secrets.
    hidden: Vec<Hidden>,
    pub(crate) dropped: Vec<String>,
    pub(crate) policy: Policy,
    /// What of the user's own it gets.
    pub(crate) shared: Vec<Share>,
    /// What of the user's toolchains is linked to behind Landlock.
    pub(crate) warm: Warm,
    /// The engine and the image of a container.
    pub(crate) image: Option<(Engine, String)>,
    /// stead's own environment, for the engine's client.
    client_environment: Vec<(OsString, OsString)>,
    /// Whether the wall is less than what could be had with more of a host or a version, and nobody said that it is fine.
    pub(crate) wall_is_news: bool,
}

impl RunSpec {
    pub(crate) fn new(id: RunId, ask: &Ask, config: &Config, around: &Around<'_>) -> Result<Self> {
        let isolation = isolation(ask, config, around.record)?;
        let wall = isolation.wall(around.walls)?;
        let net = net(ask, config)?;
        net.enforce(wall)?;
        let none = BTreeMap::new();
        let limits = Limits::of(&[&config.limits, around.record.map_or(&none, |record| &record.limits), &ask.limits])?;
        limits.enforce(wall, around.walls.engine.as_ref())?;
        let image = image(wall, config, around.walls)?;
        let shared = shares(ask, config)?;
        let share = share::find(&shared, &config.environment)?;
        let named = ask.agent.as_deref().or(ask.command.is_empty().then_some(config.agent.as_str()));
        let preset = match named {
            Some(name) => Some(AgentPreset::find(name, &config.agents)?),
            None => AgentPreset::of_program(Path::new(&ask.command[0]), &config.agents),
        };
        let pass = [config.exec.pass_env.as_slice(), &ask.pass_env].concat();
        let temporary = policy::seen_temporary(wall, around.homes);
        let mut built = environment::build(
            &config.environment,
            &Parts {
                preset: preset.as_ref(),
                identity: ask.identity.as_deref().or(around.record.and_then(|record| record.identity.as_deref())),
                usual_identity: around.identity,
                workspace: around.record.map_or(&none, |record| &record.env),
                ports: around.record.map_or(&[], |record| &record.ports),
                temporary: &temporary,
                tree: around.tree,
                name: around.name,
                run: id.as_str(),
                base: around.record.and_then(|record| record.base.as_deref()),
                pass: &pass,
                given: &ask.env,
            },
        )?;
        let called = if ask.command.is_empty() {
            let preset = preset.as_ref().expect("without a command there is an agent");
            let prompt_file = temporary.join(format!("prompt-{id}"));
            call(preset, ask.prompt.as_deref(), &prompt_file, std::mem::take(&mut built.arguments), isolation, wall)?
        } else {
            Called::command(&ask.command)
        };
        let none = Toolchains::default();
        let home = config.environment.get("HOME").map(Path::new);
        let tools = match home {
            Some(home) if matches!(wall, Wall::Namespaces | Wall::Landlock) => {
                around.tools.get_or_init(|| find_tools(home, &called.argv[0], config))
            }
            _ => &none,
        };
        let policy = policy::decide(&policy::Parts {
            wall,
            tree: around.tree,
            homes: around.homes,
            home,
            pool: around.pool,
            read: &config.exec.read.iter().chain(&tools.read).chain(&share.read).cloned().collect::<Vec<_>>(),
            hidden: &tools.hidden,
            caches: &tools.caches,
            sockets: &share.sockets,
            net,
        });
        if let (Some(home), true) = (&policy.home, wall != Wall::None) {
            let home = home.at.as_ref().as_os_str().to_owned();
            match built.variables.iter_mut().find(|(name, _)| name == "HOME") {
                Some((_, value)) => *value = home,
                None => built.variables.push(("HOME".into(), home)),
            }
            for (name, value) in preset.iter().flat_map(|preset| &preset.walled_set) {
                if !built.variables.iter().any(|(other, _)| other == name.as_str()) {
                    built.variables.push((name.into(), value.into()));
                }
            }
        }
        built.variables.extend(share.variables);
        if let (Some(home), true) = (home, wall != Wall::None) {
            let mut given: Vec<&str> = pass.iter().map(String::as_str).collect();
            given.extend(around.record.iter().flat_map(|record| record.env.keys()).map(String::as_str));
            given.extend(ask.env.iter().map(|(name, _)| name.as_str()));
            point(&mut built, tools, &policy, home, &config.environment, &given, preset.as_ref());
        }
        built.variables.sort();
        let headless = ask.prompt.is_some();
        let streams = match around.terminals {
            Terminals::Json { .. } => Streams::Captured,
            Terminals::Both if !headless => Streams::Terminal,
            _ => Streams::Live,
        };
        let idle_timeout = ask.idle_timeout.or(config.exec.idle_timeout).filter(|idle| !idle.is_zero());
        if streams == Streams::Terminal && ask.idle_timeout.is_some() {
            return Err(Failure::new(
                Kind::Usage,
                "`--idle-timeout` cannot see a command that has the terminal itself",
            )
            .hint("give it a prompt with `-m`, or send its output into a pipe")
            .into());
        }
        let secrets: Vec<String> = ask.secrets.iter().map(|secret| secret.name.clone()).collect();
        let timeout = ask.timeout.or(if headless { config.exec.timeout.or(Some(PROMPT_TIMEOUT)) } else { None });
        Ok(Self {
            cgroup: limits.cgroup().filter(|_| wall != Wall::Container).map(|place| place.join(format!("stead-{id}"))),
            limits,
            id,
            stdin: match &ask.prompt {
                Some(prompt) if called.by == PromptBy::Stdin => Stdin::Text(prompt.clone()),
                Some(_) => Stdin::Null,
                None if ask.command.is_empty() && streams != Streams::Terminal => Stdin::Null,
                None => Stdin::Inherit,
            },
            agent: named.map(str::to_owned),
            argv: called.argv,
            shown: called.shown,
            prompt: ask.prompt.clone(),
            prompt_file: called.prompt_file,
            streams,
            group: match around.terminals {
                Terminals::None | Terminals::Json { stdin: false } => Group::Own,
                _ => Group::Shared,
            },
            timeout: timeout.filter(|timeout| !timeout.is_zero()),
            idle_timeout: idle_timeout.filter(|_| streams != Streams::Terminal),
            hidden: preset.as_ref().map(|preset| secret::known(preset, &built.variables)).unwrap_or_default(),
            install: preset.as_ref().filter(|_| named.is_some()).and_then(|preset| preset.install.clone()),
            preset: preset.filter(|_| wall != Wall::None),
            environment: built.variables,
            dropped: built.dropped.into_iter().filter(|name| !secrets.contains(name)).collect(),
            secrets,
            warm: if wall == Wall::Landlock { tools.warm.clone() } else { Warm::default() },
            policy,
            shared,
            client_environment: config
                .environment
                .iter()
                .filter(|_| image.is_some())
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            image,
            wall_is_news: isolation == Isolation::Auto && wall != Wall::Namespaces,
        })
    }

    /// Takes the values of secrets out of the command line as it is shown and recorded.
    pub(crate) fn hide(&mut self, secrets: &[Hidden]) {
        let hidden = [secrets, &self.hidden].concat();
        for word in &mut self.shown {
            let mut redactor = Redactor::new(&hidden);
            let shown = [redactor.push(word.as_bytes()), redactor.finish()].concat();
            *word = String::from_utf8_lossy(&shown).into_owned();
        }
    }

    /// Returns what the supervisor is told, the values of the secrets among it.
    pub(crate) fn request(&self, tree: &Path, logs: &Path, secrets: &[Hidden]) -> Request {
        let is_secret = |name: &OsString| secrets.iter().any(|secret| name == secret.name.as_str());
        let plain = self.environment.iter().filter(|(name, _)| !is_secret(name)).cloned();
        let secret =
            secrets.iter().map(|secret| (secret.name.clone().into(), OsString::from_vec(secret.value.clone())));
        let environment: Vec<(OsString, OsString)> = plain.chain(secret).collect();
        let container = self.container(tree, logs);
        Request {
            argv: self.argv.clone(),
            environment,
            client_environment: if container.is_some() { self.client_environment.clone() } else { Vec::new() },
            container,
            limits: self.limits.clone(),
            cgroup: self.cgroup.clone().map(Into::into),
            hidden: [secrets, &self.hidden].concat(),
            directory: tree.into(),
            stdin: self.stdin.clone(),
            streams: self.streams,
            group: self.group,
            policy: self.policy.clone(),
            timeout: self.timeout,
            idle_timeout: self.idle_timeout,
            logs: logs.into(),
        }
    }

    /// Returns how the run's container is started, if it is to be in one.
    fn container(&self, tree: &Path, logs: &Path) -> Option<Container> {
        let (engine, image) = self.image.as_ref()?;
        Some(container::container(&container::Parts {
            engine,
            image,
            name: &self.container_name(),
            policy: &self.policy,
            limits: &self.limits,
            tree,
            stdin: &self.stdin,
            streams: self.streams,
            variables: &self.variables(),
            literal: &self
                .environment
                .iter()
                .filter(|(name, _)| container::is_clients(name) && !self.secrets.iter().any(|secret| *name == **secret))
                .cloned()
                .collect::<Vec<_>>(),
            id_file: &logs.join(container::ID),
            user: (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()),
        }))
    }

    fn container_name(&self) -> String {
        format!("stead-{}", self.id)
    }

    /// Returns the record of the run before it starts.
    pub(crate) fn record(&self, started: jiff::Timestamp, context: Vec<String>) -> RunRecord {
        let mut record = RunRecord::new(self.id.clone(), started, self.shown.clone());
        record.agent.clone_from(&self.agent);
        record.prompt.clone_from(&self.prompt);
        record.context = context;
        record.timeout = self.timeout.map(|timeout| timeout.as_secs_f64());
        record.idle_timeout = self.idle_timeout.map(|timeout| timeout.as_secs_f64());
        record.wall = self.policy.wall.to_string();
        record.limits = self.limits.shown();
        record.cgroup.clone_from(&self.cgroup);
        record.container = self
            .image
            .as_ref()
            .map(|(engine, _)| record::Container { engine: engine.program.clone(), name: self.container_name() });
        record.terminal = self.streams == Streams::Terminal;
        record.environment = self.variables();
        record
    }

    /// Says what sharing a socket opens beside it; `None` when it is that socket alone.
    pub(crate) fn socket_news(&self) -> Option<&'static str> {
        let open = self.policy.wall == Wall::Landlock && !self.policy.sockets.is_empty();
        (open && !Enforced::possible().sockets()).then_some(
            "This kernel's Landlock cannot tell sockets apart: with the SSH agent shared, the run may connect to every socket \
             of yours.",
        )
    }

    /// Returns the names of the variables that the command gets.
    pub(crate) fn variables(&self) -> Vec<String> {
        let plain = self.environment.iter().map(|(name, _)| name.to_string_lossy().into_owned());
        let mut names: Vec<String> = plain.chain(self.secrets.iter().cloned()).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Looks for the toolchains that a run will be shown if it has a wall.
pub(crate) fn look_for_tools(tools: &OnceCell<Toolchains>, isolation: Isolation, ask: &Ask, config: &Config) {
    let Some(home) = config.environment.home() else { return };
    if matches!(isolation, Isolation::None | Isolation::Container) {
        return;
    }
    let name = ask.agent.as_deref().unwrap_or(&config.agent);
    let program = match ask.command.first() {
        Some(program) => Some(program.clone()),
        None => AgentPreset::find(name, &config.agents).ok().map(|preset| preset.command[0].clone().into()),
    };
    if let Some(program) = program {
        tools.get_or_init(|| find_tools(&home, &program, config));
    }
}

fn find_tools(home: &Path, program: &OsString, config: &Config) -> Toolchains {
    toolchain::find(&config.environment, home, &config.root, &[Path::new(program)])
}

/// Returns engine and image of a run in a container.
fn image(wall: Wall, config: &Config, walls: &Walls) -> Result<Option<(Engine, String)>> {
    let Some(engine) = walls.engine.clone().filter(|_| wall == Wall::Container) else { return Ok(None) };
    let Some(image) = config.container.image.clone().filter(|image| !image.starts_with('-')) else {
        return Err(Failure::new(Kind::Usage, "nobody has said which image a container of a run is made of")
            .hint("name one in the configuration: `image` in `[container]`")
            .into());
    };
    Ok(Some((engine, image)))
}

/// Returns what is to be shared, each once.
fn shares(ask: &Ask, config: &Config) -> Result<Vec<Share>> {
    let mut shares = config.exec.share.iter().map(|text| Share::parse(text)).collect::<Result<Vec<_>>>()?;
    shares.extend(&ask.share);
    shares.sort();
    shares.dedup();
    Ok(shares)
}

/// Lets variables lead to what is there behind the wall.
fn point(
    built: &mut Built,
    tools: &Toolchains,
    policy: &Policy,
    home: &Path,
    own: &Environment,
    given: &[&str],
    preset: Option<&AgentPreset>,
) {
    let seen = policy.home.as_ref().map(|home| home.at.as_ref());
    let given = |name: &str| given.iter().any(|given| environment::matches(given, name));
    let places = |name: &str| preset.is_some_and(|preset| preset.places.contains_key(name));
    let dropped = behind::mend(&mut built.variables, View { policy, home }, given, places);
    built.dropped.extend(dropped);
    for (name, place) in &tools.pointers {
        // Where HOME is the same, what is in its usual place is found there.
        if (seen != Some(home) || own.get(name).is_some()) && !given(name) {
            built.variables.retain(|(other, _)| other != name);
            built.dropped.retain(|other| other != name);
            built.variables.push((name.into(), place.into()));
        }
    }
    built.dropped.sort();
}

/// Returns which wall was asked for.
pub(crate) fn isolation(ask: &Ask, config: &Config, record: Option<&Record>) -> Result<Isolation> {
    if let Some(isolation) = ask.isolation {
        return Ok(isolation);
    }
    match record.and_then(|record| record.isolation.as_deref()) {
        Some(text) => Isolation::parse(text),
        None => Isolation::parse(&config.exec.isolation),
    }
}

/// Returns whether the network was asked for.
pub(crate) fn net(ask: &Ask, config: &Config) -> Result<NetAccess> {
    match ask.net {
        Some(net) => Ok(net),
        None => NetAccess::parse(&config.exec.net),
    }
}
