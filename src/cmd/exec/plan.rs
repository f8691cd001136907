//! What `stead exec --dry-run` answers: what a run would be.

use std::time::Duration;

use serde::Serialize;

use crate::cmd::exec::Args;
use crate::cmd::exec::found::source;
use crate::config::Config;
use crate::confine::etc;
use crate::error::Result;
use crate::git::source::Source;
use crate::run::RunSpec;
use crate::run::policy::{self, Enforced, Place, Wall};
use crate::ui::Report;
use crate::ui::text::{self, Page, quote};
use crate::workspace::Workspace;

/// What a run would be.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) workspace: String,
    /// What a missing workspace would be made of; empty for no repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) create_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    pub(crate) command: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt: Option<String>,
    pub(crate) context: Vec<String>,
    pub(crate) wall: String,
    pub(crate) net: String,
    /// What the command could read besides, and write; all of the user's files without a wall.
    pub(crate) read: Vec<String>,
    pub(crate) write: Vec<String>,
    /// What of the user's the wall would not keep it from.
    pub(crate) left_open: Vec<&'static str>,
    /// What it would have without that wall, and not behind it.
    pub(crate) withheld: Vec<&'static str>,
    /// What of that it could not read nevertheless.
    pub(crate) hidden: Vec<String>,
    /// Directories of the host whose changes would be the workspace's own.
    pub(crate) caches: Vec<String>,
    /// Sockets of the host that it could connect to.
    pub(crate) sockets: Vec<String>,
    /// What of the user's own it would get.
    pub(crate) shared: Vec<&'static str>,
    /// The image of its container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_timeout: Option<f64>,
    /// `NAME=VALUE`.
    pub(crate) limits: Vec<String>,
    /// Names of the variables that the command would get.
    pub(crate) environment: Vec<String>,
    /// Names of those that it would not.
    pub(crate) dropped: Vec<String>,
}

impl Report for Plan {
    fn text(&self, page: &mut Page) {
        match self.create_from.as_deref() {
            None => page.line(format!("workspace    {}", self.workspace)),
            Some("") => page.line(format!("workspace    {} (would be made, empty)", self.workspace)),
            Some(source) => page.line(format!("workspace    {} (would be made of {source})", self.workspace)),
        }
        if let Some(agent) = &self.agent {
            page.line(format!("agent        {agent}"));
        }
        let words: Vec<_> = self.command.iter().map(|word| quote(word.as_bytes())).collect();
        page.line(format!("command      {}", words.join(" ")));
        if let Some(prompt) = &self.prompt {
            page.line(format!("prompt       {}", text::bytes(prompt.len() as u64)));
        }
        for context in &self.context {
            page.line(format!("context      {context}"));
        }
        for (name, limit) in [("timeout", self.timeout), ("idle timeout", self.idle_timeout)] {
            if let Some(limit) = limit {
                page.line(format!("{name:<12} {}", text::duration(Duration::from_secs_f64(limit))));
            }
        }
        if !self.limits.is_empty() {
            page.line(format!("limits       {}", self.limits.join(" ")));
        }
        page.line(format!("wall         {}", self.wall));
        if self.wall != "none" {
            if let Some(image) = &self.image {
                page.line(format!("image        {}", quote(image.as_bytes())));
            }
            for (name, paths) in [
                ("reads", &self.read),
                ("hidden", &self.hidden),
                ("writes", &self.write),
                ("caches", &self.caches),
                ("connects to", &self.sockets),
            ] {
                if paths.is_empty() {
                    continue;
                }
                let paths: Vec<_> = paths.iter().map(|path| quote(path.as_bytes())).collect();
                page.line(format!("{name:<12} {}", paths.join(" ")));
            }
        }
        if !self.left_open.is_empty() {
            page.line(format!("not stopped  {}", self.left_open.join("; ")));
        }
        if !self.withheld.is_empty() {
            page.line(format!("not given    {}", self.withheld.join("; ")));
        }
        if !self.shared.is_empty() {
            page.line(format!("shares       {}", self.shared.join(" ")));
        }
        page.line(match self.net.as_str() {
            "on" if self.wall == "container" => "network      on: the engine's own",
            "on" => "network      on: localhost and the cloud's metadata address are reachable too",
            _ => "network      off: nothing is reachable",
        });
        page.line(format!("environment  {}", self.environment.join(" ")));
        if !self.dropped.is_empty() {
            page.line(format!("not passed   {}", self.dropped.join(" ")));
        }
    }
}

/// Says what a run would be.
pub(super) fn plan(args: &Args, spec: &RunSpec, found: Option<&Workspace>, config: &Config) -> Result<Plan> {
    let create_from = match found {
        Some(_) => None,
        None => Some(match source(args, config)? {
            Source::Empty => String::new(),
            source => source.to_string(),
        }),
    };
    let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs_f64());
    Ok(Plan {
        workspace: args.name.clone(),
        create_from,
        agent: spec.agent.clone(),
        command: spec.shown.clone(),
        prompt: spec.prompt.clone(),
        context: super::args::context(args),
        wall: spec.policy.wall.to_string(),
        net: if spec.policy.net { "on" } else { "off" }.into(),
        read: paths(&spec.policy.read),
        left_open: policy::left_open(spec.policy.wall, Enforced::possible()),
        withheld: policy::withheld(spec.policy.wall, policy::gives_terminals()),
        hidden: hidden(spec),
        caches: spec.policy.caches.iter().map(|cache| cache.at.as_ref().to_string_lossy().into_owned()).collect(),
        sockets: paths(&spec.policy.sockets),
        shared: spec.shared.iter().map(|share| share.name()).collect(),
        image: spec.image.as_ref().map(|(_, image)| image.clone()),
        write: spec.policy.writable().map(|path| path.to_string_lossy().into_owned()).collect(),
        timeout: seconds(spec.timeout),
        idle_timeout: seconds(spec.idle_timeout),
        limits: spec.limits.shown(),
        environment: spec.variables(),
        dropped: spec.dropped.clone(),
    })
}

fn paths(places: &[Place]) -> Vec<String> {
    places.iter().map(|place| place.as_ref().to_string_lossy().into_owned()).collect()
}

/// Returns what is hidden of what is read, the system's secrets among it.
fn hidden(spec: &RunSpec) -> Vec<String> {
    let mut hidden = paths(&spec.policy.hidden);
    if matches!(spec.policy.wall, Wall::Namespaces | Wall::Landlock) {
        hidden.extend(etc::secrets().iter().map(|path| path.to_string_lossy().into_owned()));
    }
    hidden.sort();
    hidden
}
