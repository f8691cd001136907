//! Agent presets as data: how a named agent CLI is called and what it needs. Six are built in; `[agents.NAME]` in the
//! configuration changes one or adds another, field by field.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::error::{Failure, Kind, Result};

/// How an agent gets its prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PromptBy {
    Stdin,
    /// As the last argument.
    Argument,
    /// As a file, whose path is the last argument.
    File,
}

/// A setting under another name that the agent is to get as well.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum PassedOn {
    /// As this variable, unless that is set.
    Variable { env: String },
    /// As this option's value.
    Option { option: String },
}

/// How a named agent CLI is called.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AgentPreset {
    #[serde(skip)]
    pub(crate) name: String,
    /// Program and arguments of every call.
    pub(crate) command: Vec<String>,
    pub(crate) prompt: PromptBy,
    /// Arguments of a call with a prompt, before everything else.
    pub(crate) headless: Vec<String>,
    /// The last arguments of a call with a prompt.
    pub(crate) prompt_args: Vec<String>,
    /// Arguments with a prompt behind a wall: the agent's own questions and sandbox off.
    pub(crate) walled: Vec<String>,
    /// Arguments with a prompt and without a wall: edits are allowed, the rest is not. Missing: there is no such middle.
    pub(crate) open: Option<Vec<String>>,
    /// Variables that the agent reads; a `*` at the end stands for the rest of the name.
    pub(crate) env: Vec<String>,
    /// Variables that are set for the agent.
    pub(crate) set: BTreeMap<String, String>,
    /// Variables that are set for it behind a wall.
    pub(crate) walled_set: BTreeMap<String, String>,
    pub(crate) passed_on: BTreeMap<String, PassedOn>,
    /// Files under HOME that hold its login.
    pub(crate) credentials: Vec<String>,
    /// Keys of such a file that may be new in it when it is refreshed; those that it has must stay.
    pub(crate) keys: BTreeMap<String, Vec<String>>,
    /// Of these files only so many keys are the login: only they go behind a wall, and nothing comes back.
    pub(crate) parts: BTreeMap<String, Vec<String>>,
    /// Files and folders under HOME that hold its settings.
    pub(crate) settings: Vec<String>,
    /// Variables that name a directory: what is usually at the first path below HOME is at the second below that directory.
    pub(crate) places: BTreeMap<String, BTreeMap<String, String>>,
    /// How to get it.
    pub(crate) install: Option<String>,
}

impl Default for AgentPreset {
    fn default() -> Self {
        Self {
            name: String::new(),
            command: Vec::new(),
            prompt: PromptBy::Stdin,
            headless: Vec::new(),
            prompt_args: Vec::new(),
            walled: Vec::new(),
            open: None,
            env: Vec::new(),
            set: BTreeMap::new(),
            walled_set: BTreeMap::new(),
            passed_on: BTreeMap::new(),
            credentials: Vec::new(),
            keys: BTreeMap::new(),
            parts: BTreeMap::new(),
            settings: Vec::new(),
            places: BTreeMap::new(),
            install: None,
        }
    }
}

/// Read once: every run of a plain command is compared with all of them.
static BUILT_IN: LazyLock<BTreeMap<String, toml::Table>> = LazyLock::new(|| {
    toml::from_str(include_str!("agents.toml")).expect("the built-in presets are valid, as a test shows")
});

impl AgentPreset {
    /// Returns the preset `name` with what the configuration says of it; `not-found` with the names that there are.
    pub(crate) fn find(name: &str, configured: &BTreeMap<String, toml::Table>) -> Result<Self> {
        let mut table = BUILT_IN.get(name).cloned().unwrap_or_default();
        let own = configured.get(name);
        if table.is_empty() && own.is_none() {
            let mut names: Vec<String> = BUILT_IN.keys().cloned().collect();
            names.extend(configured.keys().cloned());
            names.sort();
            names.dedup();
            return Err(Failure::new(Kind::NotFound, format!("no agent is called `{name}`"))
                .hint(format!("there are {}; `[agents.{name}]` in the configuration adds one", names.join(", ")))
                .into());
        }
        for (key, value) in own.into_iter().flatten() {
            let value = match (key.as_str(), value) {
                // `command = "my-agent"` for the usual case of no arguments.
                ("command", toml::Value::String(program)) => toml::Value::Array(vec![program.clone().into()]),
                _ => value.clone(),
            };
            table.insert(key.clone(), value);
        }
        let mut preset: Self = table.try_into().map_err(|error: toml::de::Error| {
            Failure::new(Kind::Usage, format!("`[agents.{name}]` is wrong: {}", error.message()))
                .hint("`stead config show` says which file it stands in")
        })?;
        name.clone_into(&mut preset.name);
        if preset.command.is_empty() {
            preset.command.push(name.into());
        }
        Ok(preset)
    }

    /// Returns the preset whose program `program` is, whatever its directory.
    pub(crate) fn of_program(program: &Path, configured: &BTreeMap<String, toml::Table>) -> Option<Self> {
        let file = program.file_name()?.to_str()?;
        let names = configured.keys().cloned().chain(BUILT_IN.keys().cloned());
        names
            .filter_map(|name| Self::find(&name, configured).ok())
            .find(|preset| Path::new(&preset.command[0]).file_name().and_then(|name| name.to_str()) == Some(file))
    }

    /// Returns whether the agent gets the variable `name` because it is this agent.
    pub(crate) fn knows(&self, name: &str) -> bool {
        let renamed = |passed_on: &PassedOn| matches!(passed_on, PassedOn::Variable { env } if env == name);
        self.reads(name) || self.passed_on.values().any(renamed)
    }

    /// Returns whether the agent reads the variable `name`.
    pub(crate) fn reads(&self, name: &str) -> bool {
        self.env.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(text: &str) -> BTreeMap<String, toml::Table> {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn every_built_in_preset_can_be_read() {
        for name in ["aider", "claude", "codex", "gemini", "opencode", "pi"] {
            let preset = AgentPreset::find(name, &BTreeMap::new()).unwrap();
            assert_eq!(preset.command[0], name);
            assert!(preset.install.is_some());
        }
        assert_eq!(BUILT_IN.len(), 6);
    }

    #[test]
    fn no_preset_skips_all_permissions_without_a_wall() {
        for name in BUILT_IN.keys() {
            let preset = AgentPreset::find(name, &BTreeMap::new()).unwrap();
            let words: Vec<&String> =
                preset.command.iter().chain(&preset.headless).chain(preset.open.iter().flatten()).collect();
            for word in words {
                assert!(
                    !word.contains("dangerously") && word != "--yolo" && word != "bypassPermissions",
                    "{name}: {word}"
                );
            }
        }
    }

    #[test]
    fn the_configuration_changes_a_preset_field_by_field() {
        let configured = configured("[claude]\ncommand = '/opt/claude'\n");
        let preset = AgentPreset::find("claude", &configured).unwrap();
        assert_eq!(preset.command, ["/opt/claude"]);
        assert_eq!(preset.open.unwrap(), ["--permission-mode", "acceptEdits"]);
    }

    #[test]
    fn the_configuration_adds_an_agent() {
        let configured = configured("[mine]\nprompt = 'file'\nopen = []\nenv = ['MY_*']\n");
        let preset = AgentPreset::find("mine", &configured).unwrap();
        assert_eq!((preset.command.as_slice(), preset.prompt), (&["mine".to_owned()][..], PromptBy::File));
        assert!(preset.reads("MY_KEY") && !preset.reads("YOUR_KEY"));
    }

    #[test]
    fn a_wrong_field_names_its_table() {
        let error = AgentPreset::find("claude", &configured("[claude]\npromt = 'file'\n")).unwrap_err();
        assert!(error.to_string().contains("`[agents.claude]`"), "{error}");
        assert_eq!(Kind::of(&error), Kind::Usage);
        let error = AgentPreset::find("nobody", &BTreeMap::new()).unwrap_err();
        assert_eq!(Kind::of(&error), Kind::NotFound);
    }

    #[test]
    fn a_command_is_recognised_by_its_file_name() {
        let preset = AgentPreset::of_program(Path::new("/usr/local/bin/codex"), &BTreeMap::new()).unwrap();
        assert_eq!(preset.name, "codex");
        assert!(AgentPreset::of_program(Path::new("bash"), &BTreeMap::new()).is_none());
    }
}
