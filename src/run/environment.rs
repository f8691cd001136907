//! The environment of a run: cleared, then an allow-list.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::config::Environment;
use crate::error::{Failure, Kind, Result};
use crate::run::agent::{AgentPreset, PassedOn};

/// Variables that every run gets when they are set; a `*` at the end stands for the rest of the name. The man page prints
/// this list.
///
/// Deliberately absent: the SSH agent, tokens of clouds and forges, sockets of the desktop, git's own variables.
pub(crate) const ALLOWED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TERM",
    "TERMINFO",
    "COLORTERM",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "TZ",
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_*",
    "NIX_SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "ANDROID_HOME",
    "ASDF_DATA_DIR",
    "ASDF_DIR",
    "BUN_INSTALL",
    "CARGO_HOME",
    "CONDA_PREFIX",
    "DENO_DIR",
    "DOTNET_ROOT",
    "FNM_DIR",
    "GEM_HOME",
    "GEM_PATH",
    "GOCACHE",
    "GOFLAGS",
    "GOMODCACHE",
    "GOPATH",
    "GOPRIVATE",
    "GOROOT",
    "GRADLE_HOME",
    "GRADLE_USER_HOME",
    "HOMEBREW_PREFIX",
    "JAVA_HOME",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "M2_HOME",
    "MAVEN_HOME",
    "MISE_DATA_DIR",
    "NIX_PATH",
    "NIX_PROFILES",
    "NVM_BIN",
    "NVM_DIR",
    "PKG_CONFIG_PATH",
    "PIP_CACHE_DIR",
    "PNPM_HOME",
    "PYENV_ROOT",
    "RBENV_ROOT",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SDKMAN_DIR",
    "UV_CACHE_DIR",
    "VIRTUAL_ENV",
    "VOLTA_HOME",
    "YARN_CACHE_FOLDER",
    "npm_config_cache",
];

/// What the environment of a run is made of; what stands further down wins.
#[derive(Clone, Debug)]
pub(crate) struct Parts<'a> {
    /// The agent whose names are passed on as well.
    pub(crate) preset: Option<&'a AgentPreset>,
    /// `Name <mail>` for git.
    pub(crate) identity: Option<&'a str>,
    /// The user's own, for what nothing else says.
    pub(crate) usual_identity: Option<&'a str>,
    /// The workspace's own variables.
    pub(crate) workspace: &'a BTreeMap<String, String>,
    pub(crate) ports: &'a [u16],
    pub(crate) temporary: &'a Path,
    pub(crate) tree: &'a Path,
    pub(crate) name: &'a str,
    pub(crate) run: &'a str,
    pub(crate) base: Option<&'a str>,
    /// Names that are passed on because the user asked for it.
    pub(crate) pass: &'a [String],
    /// Values that the user gave.
    pub(crate) given: &'a [(String, String)],
}

/// The environment of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Built {
    /// Sorted by name.
    pub(crate) variables: Vec<(OsString, OsString)>,
    /// Names that are set and not passed on, sorted.
    pub(crate) dropped: Vec<String>,
    /// Arguments that carry a setting to the agent.
    pub(crate) arguments: Vec<OsString>,
}

/// Makes the environment of a run out of stead's own.
pub(crate) fn build(own: &Environment, parts: &Parts<'_>) -> Result<Built> {
    let mut variables: BTreeMap<OsString, OsString> = BTreeMap::new();
    let mut built = Built::default();
    for (name, value) in own.iter() {
        let text = name.to_str();
        let allowed = text.is_some_and(|name| {
            ALLOWED.iter().any(|pattern| matches(pattern, name))
                || parts.preset.is_some_and(|preset| preset.reads(name))
                || parts.pass.iter().any(|pattern| matches(pattern, name))
        });
        if allowed {
            variables.insert(name.into(), value.into());
        } else {
            built.dropped.push(name.to_string_lossy().into_owned());
        }
    }
    if let Some(preset) = parts.preset {
        for (name, passed_on) in &preset.passed_on {
            let Some(value) = own.get(name) else { continue };
            built.dropped.retain(|dropped| dropped != name);
            match passed_on {
                PassedOn::Variable { env } => drop(variables.entry(env.into()).or_insert_with(|| value.into())),
                PassedOn::Option { option } => built.arguments.extend([option.into(), value.into()]),
            }
        }
        variables.extend(preset.set.iter().map(|(name, value)| (name.into(), value.into())));
    }
    for (identity, wins) in [(parts.identity, true), (parts.usual_identity, false)] {
        let Some(identity) = identity else { continue };
        let (name, mail) = identity_parts(identity)?;
        for (variable, value) in [
            ("GIT_AUTHOR_NAME", name),
            ("GIT_AUTHOR_EMAIL", mail),
            ("GIT_COMMITTER_NAME", name),
            ("GIT_COMMITTER_EMAIL", mail),
        ] {
            if wins || !variables.contains_key(OsStr::new(variable)) {
                variables.insert(variable.into(), value.into());
            }
        }
    }
    variables.insert("TMPDIR".into(), parts.temporary.into());
    variables.insert("PWD".into(), parts.tree.into());
    for (index, port) in parts.ports.iter().enumerate() {
        if index == 0 {
            variables.insert("PORT".into(), port.to_string().into());
        }
        variables.insert(format!("STEAD_PORT_{}", index + 1).into(), port.to_string().into());
    }
    variables.extend(parts.workspace.iter().map(|(name, value)| (name.into(), value.into())));
    variables.extend(parts.given.iter().map(|(name, value)| (name.into(), value.into())));
    // Last of all: a run is found again by these.
    variables.insert("STEAD_WORKSPACE".into(), parts.name.into());
    variables.insert("STEAD_RUN".into(), parts.run.into());
    if let Some(base) = parts.base {
        variables.insert("STEAD_BASE".into(), base.into());
    }
    built
        .dropped
        .retain(|name| !variables.contains_key(OsStr::new(name)) && name != "_" && name != "OLDPWD" && name != "SHLVL");
    built.dropped.sort();
    built.variables = variables.into_iter().collect();
    Ok(built)
}

/// Splits `Name <mail>`.
pub(crate) fn identity_parts(identity: &str) -> Result<(&str, &str)> {
    let parts = identity.trim().strip_suffix('>').and_then(|rest| rest.rsplit_once('<'));
    match parts.map(|(name, mail)| (name.trim(), mail.trim())) {
        Some((name, mail)) if !name.is_empty() && !mail.is_empty() && !identity.contains(['\n', '\0']) => {
            Ok((name, mail))
        }
        _ => Err(Failure::new(Kind::Usage, format!("`{identity}` is not an identity"))
            .hint("it looks like `Ada Lovelace <ada@example.com>`")
            .into()),
    }
}

/// Splits `NAME=value`, as `--env` takes it.
pub(crate) fn assignment(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => Ok((name.into(), value.into())),
        _ => Err(Failure::new(Kind::Usage, format!("`{text}` is not `NAME=VALUE`")).into()),
    }
}

/// Returns whether a pattern, whose `*` at the end stands for the rest, means a name.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(built: &'a Built, name: &str) -> Option<&'a str> {
        built.variables.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.to_str())
    }

    fn parts() -> Parts<'static> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        Parts {
            preset: None,
            identity: None,
            usual_identity: None,
            workspace: &NONE,
            ports: &[],
            temporary: Path::new("/t"),
            tree: Path::new("/w"),
            name: "x",
            run: "20260131-154500-0f3a",
            base: None,
            pass: &[],
            given: &[],
        }
    }

    #[test]
    fn only_the_list_comes_through() {
        let own = Environment::of(
            &[("PATH", "/bin"), ("LC_ALL", "C"), ("SSH_AUTH_SOCK", "/s"), ("GITHUB_TOKEN", "t"), ("TMPDIR", "/var/t")],
            "/",
        );
        let built = build(&own, &parts()).unwrap();
        assert_eq!(built.dropped, ["GITHUB_TOKEN", "SSH_AUTH_SOCK"]);
        assert_eq!(value(&built, "LC_ALL"), Some("C"));
        assert_eq!(value(&built, "TMPDIR"), Some("/t"));
        assert_eq!(value(&built, "STEAD_RUN"), Some("20260131-154500-0f3a"));
        assert_eq!(value(&built, "GITHUB_TOKEN"), None);
    }

    #[test]
    fn what_is_asked_for_comes_through_and_what_is_given_wins() {
        let own = Environment::of(&[("GITHUB_TOKEN", "t"), ("AWS_REGION", "r"), ("LANG", "C")], "/");
        let pass = ["GITHUB_TOKEN".to_owned(), "AWS_*".to_owned()];
        let workspace = BTreeMap::from([("LANG".to_owned(), "de".to_owned()), ("A".to_owned(), "1".to_owned())]);
        let given = [("A".to_owned(), "2".to_owned()), ("STEAD_RUN".to_owned(), "forged".to_owned())];
        let parts = Parts { pass: &pass, workspace: &workspace, given: &given, ports: &[10000, 10001], ..parts() };
        let built = build(&own, &parts).unwrap();
        assert_eq!((value(&built, "GITHUB_TOKEN"), value(&built, "AWS_REGION")), (Some("t"), Some("r")));
        assert_eq!((value(&built, "LANG"), value(&built, "A")), (Some("de"), Some("2")));
        assert_eq!((value(&built, "PORT"), value(&built, "STEAD_PORT_2")), (Some("10000"), Some("10001")));
        assert_eq!(value(&built, "STEAD_RUN"), Some("20260131-154500-0f3a"));
    }

    #[test]
    fn claude_gets_its_model_and_its_key_as_it_expects_them() {
        let preset = AgentPreset::find("claude", &BTreeMap::new()).unwrap();
        let own = Environment::of(&[("CLAUDE_MODEL", "opus"), ("CLAUDE_API_KEY", "k"), ("OPENAI_API_KEY", "o")], "/");
        let built = build(&own, &Parts { preset: Some(&preset), ..parts() }).unwrap();
        assert_eq!(built.arguments, ["--model", "opus"]);
        assert_eq!(value(&built, "ANTHROPIC_API_KEY"), Some("k"));
        assert_eq!(built.dropped, ["OPENAI_API_KEY"]);
    }

    #[test]
    fn an_identity_becomes_author_and_committer() {
        let built = build(&Environment::default(), &Parts { identity: Some("A B <a@b>"), ..parts() }).unwrap();
        assert_eq!(value(&built, "GIT_COMMITTER_NAME"), Some("A B"));
        assert_eq!(value(&built, "GIT_AUTHOR_EMAIL"), Some("a@b"));
        let own = Environment::of(&[("GIT_AUTHOR_NAME", "C")], "/");
        let built = build(&own, &Parts { usual_identity: Some("A B <a@b>"), ..parts() }).unwrap();
        assert_eq!(value(&built, "GIT_AUTHOR_NAME"), Some("C"));
        assert_eq!(value(&built, "GIT_AUTHOR_EMAIL"), Some("a@b"));
        for wrong in ["", "A", "<a@b>", "A <>", "A <a@b> x"] {
            assert!(identity_parts(wrong).is_err(), "{wrong}");
        }
    }
}
