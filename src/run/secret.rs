//! Secrets of a run: values that reach the command's environment and nothing else.
//!
//! A value travels in the memory file of the request; it is never in an argument, a record, a log or an error text, and what
//! the command prints of it is replaced ([`crate::run::redact`]). Where it comes from is said by `--secret` or `[secrets]`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::Stdio;

use crate::config::Environment;
use crate::confine::spawn;
use crate::error::{Failure, Kind, Result};
use crate::run::agent::AgentPreset;
use crate::run::redact::{Hidden, SHORTEST};

/// Bytes below which the value of an agent's own variable is not hidden: stand-ins such as `x` and `dummy` are words.
const SHORTEST_KNOWN: usize = 8;
/// Bytes of the longest value.
const LONGEST: usize = 64 << 10;

/// Where a secret's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In a variable of stead's own environment.
    Variable(String),
    /// What this command of a shell prints, without the line end.
    Command(String),
}

/// A secret that a run is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The variable that the command finds it in.
    pub(crate) name: String,
    pub(crate) origin: Origin,
}

impl Wanted {
    /// Reads `NAME`, `NAME=env:VARIABLE` or `NAME=cmd:COMMAND`; a bare name is looked up in `[secrets]`, then it is a variable.
    pub(crate) fn parse(text: &str, configured: &BTreeMap<String, String>) -> Result<Self> {
        let (name, origin) = match text.split_once('=') {
            Some((name, origin)) => (name, Some(origin)),
            None => (text, configured.get(text).map(String::as_str)),
        };
        let first = name.as_bytes().first();
        let is_name = first.is_some_and(|first| !first.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name || name.starts_with("STEAD_") {
            // What follows may be the value itself, given by mistake.
            return Err(Failure::new(Kind::Usage, "the name of a secret must be that of a variable")
                .hint("write `--secret NAME`, or `--secret NAME=cmd:COMMAND`")
                .into());
        }
        let origin = match origin {
            None => Origin::Variable(name.into()),
            Some(origin) => Self::origin(name, origin)?,
        };
        Ok(Self { name: name.into(), origin })
    }

    fn origin(name: &str, text: &str) -> Result<Origin> {
        match text.split_once(':') {
            Some(("env", variable)) if !variable.is_empty() => Ok(Origin::Variable(variable.into())),
            Some(("cmd", command)) if !command.trim().is_empty() => Ok(Origin::Command(command.into())),
            _ => Err(Failure::new(Kind::Usage, format!("the secret `{name}` must be `env:VARIABLE` or `cmd:COMMAND`"))
                .hint("a value itself would be seen by everybody who lists processes; put it into a variable")
                .into()),
        }
    }

    /// Gets the value, by running the command that prints it if need be.
    pub(crate) fn get(&self, environment: &Environment) -> Result<Hidden> {
        let name = &self.name;
        let value = match &self.origin {
            Origin::Variable(variable) => {
                environment.get(variable).map(OsStr::as_bytes).map(<[u8]>::to_vec).ok_or_else(|| {
                    Failure::new(
                        Kind::Usage,
                        format!("the secret `{name}` is not set: there is no variable `{variable}`"),
                    )
                    .hint("set it, or say what prints it with `--secret NAME=cmd:COMMAND`")
                })?
            }
            Origin::Command(command) => printed(name, command)?,
        };
        let bad = |reason: String| Failure::new(Kind::Usage, format!("the value of the secret `{name}` {reason}"));
        if value.len() < SHORTEST {
            return Err(bad(format!(
                "has less than {SHORTEST} bytes: it could not be told from other text in the output"
            ))
            .hint("pass what is no secret with `--pass-env` or `--env`")
            .into());
        }
        if value.len() > LONGEST {
            return Err(bad(format!("has more than {} KiB", LONGEST >> 10)).hint("import a file instead").into());
        }
        if value.contains(&0) {
            return Err(bad("has a zero byte, which no variable can hold".into()).into());
        }
        Ok(Hidden { name: name.clone(), value })
    }
}

/// Returns the credentials among the variables that a run gets for its agent: they are hidden in its output as well.
pub(crate) fn known(preset: &AgentPreset, variables: &[(OsString, OsString)]) -> Vec<Hidden> {
    let is_credential = |name: &str| {
        ["_KEY", "_TOKEN", "_SECRET", "_PASSWORD"].iter().any(|end| name.ends_with(end)) && preset.knows(name)
    };
    let known = variables.iter().filter_map(|(name, value)| {
        let name = name.to_str().filter(|name| is_credential(name))?;
        (value.len() >= SHORTEST_KNOWN).then(|| Hidden { name: name.into(), value: value.clone().into_vec() })
    });
    known.collect()
}

/// Runs a command on the host; what it asks and complains goes to the user.
fn printed(name: &str, command: &str) -> Result<Vec<u8>> {
    let mut shell = spawn::command("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::inherit()).stderr(Stdio::inherit()).stdout(Stdio::piped());
    let failed = |reason: String| {
        Failure::new(Kind::Failed, format!("the command of the secret `{name}` {reason}")).hint("it is run by `sh -c`")
    };
    let output = shell.output().map_err(|error| failed(format!("cannot be run: {error}")))?;
    if !output.status.success() {
        return Err(failed(format!("ended with {}", output.status)).into());
    }
    let mut value = output.stdout;
    for end in [b'\n', b'\r'] {
        if value.last() == Some(&end) {
            value.pop();
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured() -> BTreeMap<String, String> {
        BTreeMap::from([("DEPLOY".to_owned(), "cmd:printf 'from-a-command\\n'".to_owned())])
    }

    fn value(text: &str, variables: &[(&str, &str)]) -> Result<String> {
        let environment = Environment::of(variables, "/");
        let hidden = Wanted::parse(text, &configured())?.get(&environment)?;
        Ok(String::from_utf8(hidden.value).unwrap())
    }

    #[test]
    fn a_value_comes_from_a_variable_a_command_or_the_configuration() {
        assert_eq!(value("TOKEN", &[("TOKEN", "from-here")]).unwrap(), "from-here");
        assert_eq!(value("TOKEN=env:OTHER", &[("OTHER", "from-there")]).unwrap(), "from-there");
        assert_eq!(value("TOKEN=cmd:echo a=b:c d", &[]).unwrap(), "a=b:c d");
        assert_eq!(value("DEPLOY", &[("DEPLOY", "from-here")]).unwrap(), "from-a-command");
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_said_without_its_value() {
        for (text, kind) in [
            ("TOKEN", Kind::Usage),
            ("TOKEN=s3cret-value", Kind::Usage),
            ("s3cret-value", Kind::Usage),
            ("STEAD_RUN=cmd:echo s3cret-value", Kind::Usage),
            ("=cmd:s3cret-value", Kind::Usage),
            ("TOKEN=cmd:", Kind::Usage),
            ("TOKEN=cmd:echo s3cret-value; exit 3", Kind::Failed),
            ("SHORT", Kind::Usage),
            ("TOKEN=cmd:printf 's3cret-value\\0'", Kind::Usage),
        ] {
            let error = value(text, &[("SHORT", "s3cre")]).unwrap_err();
            assert_eq!(Kind::of(&error), kind, "{text}");
            assert!(!format!("{error:#}{:?}", Failure::of(&error)).contains("s3cre"), "{text}: {error:#}");
        }
    }

    #[test]
    fn an_agents_keys_are_hidden_and_its_addresses_are_not() {
        let preset = AgentPreset::find("claude", &BTreeMap::new()).unwrap();
        let variable = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let variables = [
            variable("ANTHROPIC_API_KEY", "sk-ant-0123"),
            variable("ANTHROPIC_AUTH_TOKEN", "dummy"),
            variable("ANTHROPIC_BASE_URL", "https://example.com"),
            variable("GITHUB_TOKEN", "ghp_0123456789"),
        ];
        let names: Vec<String> = known(&preset, &variables).into_iter().map(|hidden| hidden.name).collect();
        assert_eq!(names, ["ANTHROPIC_API_KEY"]);
    }
}
