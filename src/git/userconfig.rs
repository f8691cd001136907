//! The user's own git configuration (system, global, `GIT_CONFIG_COUNT`), read for proxies, certificates, headers and
//! `core.sshCommand`. Never a repository's, which an agent may have written.
//!
//! libgit2 reads it too, whenever it opens a repository, and opens none while it is broken; see [`keep_out_if_broken`].

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Context as _;

use crate::config::Environment;
use crate::error::{Failure, Kind, Result};
use crate::sys;

/// What is wrong with the configuration that libgit2 was kept from.
static BROKEN: OnceLock<String> = OnceLock::new();

/// Keeps libgit2 from the user's configuration when it cannot be read: stead's own repositories need nothing of it. What
/// does need it asks [`check`].
///
/// For the start of the program, before there is another thread.
pub(crate) fn keep_out_if_broken() {
    if let Err(error) = git2::Config::open_default().and_then(|mut config| config.snapshot())
        && sys::forget_user_git_configuration().is_ok()
    {
        // A second call finds nothing that is broken.
        BROKEN.get_or_init(|| error.message().to_owned());
    }
}

/// Fails when the user's configuration cannot be read: for whoever would decide wrongly without it.
pub(crate) fn check() -> Result<()> {
    BROKEN.get().map_or(Ok(()), |reason| Err(broken(reason)))
}

fn broken(reason: impl std::fmt::Display) -> anyhow::Error {
    Failure::new(Kind::Failed, format!("cannot read your git configuration: {reason}"))
        .hint("git itself says where it is wrong: `git config --list --show-origin`")
        .into()
}
use crate::git::source::Address;

/// Keys and values in the order in which git reads them: the last one counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserConfig {
    entries: Vec<(String, String)>,
}

impl UserConfig {
    /// Reads the files that git would read for this environment; fails for one that git could not read.
    pub(crate) fn load(environment: &Environment) -> Result<Self> {
        let mut entries = Vec::new();
        for file in files(environment) {
            entries_of(&file, &mut entries)
                .map_err(|error| broken(error.message()))
                .with_context(|| format!("cannot read `{}`", file.display()))?;
        }
        let count = environment.text("GIT_CONFIG_COUNT").and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
        for at in 0..count.min(1000) {
            let text = |name: &str| environment.text(&format!("{name}_{at}"));
            if let Some(key) = text("GIT_CONFIG_KEY") {
                entries.push((normal_key(key), text("GIT_CONFIG_VALUE").unwrap_or_default().to_owned()));
            }
        }
        Ok(Self { entries })
    }

    /// Returns the value of a key such as `core.sshcommand` (lower case).
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Returns the values of `http.NAME` and of `http.URL.NAME` for every URL that covers `address`; the most particular one
    /// last.
    pub(crate) fn http(&self, name: &str, address: &Address) -> Vec<&str> {
        let mut found: Vec<(usize, &str)> = Vec::new();
        for (key, value) in &self.entries {
            let Some(middle) = key.strip_prefix("http.").and_then(|rest| rest.strip_suffix(name)) else { continue };
            if middle.is_empty() {
                found.push((0, value));
            } else if let Some(score) = middle.strip_suffix('.').and_then(|pattern| covers(pattern, address)) {
                found.push((score, value));
            }
        }
        found.sort_by_key(|(score, _)| *score);
        found.into_iter().map(|(_, value)| value).collect()
    }

    /// Applies `url.BASE.insteadOf` (for a push `pushInsteadOf` first), the longest prefix of all.
    pub(crate) fn rewrite(&self, url: &str, direction: git2::Direction) -> String {
        let by = |name: &str| {
            let rules = self.entries.iter().filter_map(|(key, prefix)| {
                let base = key.strip_prefix("url.")?.strip_suffix(name)?.strip_suffix('.')?;
                Some((prefix, base, url.strip_prefix(prefix.as_str())?))
            });
            rules.max_by_key(|(prefix, ..)| prefix.len()).map(|(_, base, rest)| format!("{base}{rest}"))
        };
        let pushed = if direction == git2::Direction::Push { by("pushinsteadof") } else { None };
        pushed.or_else(|| by("insteadof")).unwrap_or_else(|| url.to_owned())
    }
}

fn files(environment: &Environment) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if environment.get("GIT_CONFIG_NOSYSTEM").is_none() {
        files.push(environment.get("GIT_CONFIG_SYSTEM").map_or_else(|| "/etc/gitconfig".into(), PathBuf::from));
    }
    if let Some(file) = environment.get("GIT_CONFIG_GLOBAL") {
        files.push(file.into());
        return files;
    }
    match (environment.get("XDG_CONFIG_HOME"), environment.home()) {
        (Some(xdg), _) => files.push(Path::new(xdg).join("git/config")),
        (None, Some(home)) => files.push(home.join(".config/git/config")),
        (None, None) => {}
    }
    files.extend(environment.home().map(|home| home.join(".gitconfig")));
    files
}

fn entries_of(file: &Path, entries: &mut Vec<(String, String)>) -> Result<(), git2::Error> {
    // A device or FIFO would hang the parser; `/dev/null` is how people say "none".
    if !file.is_file() {
        return Ok(());
    }
    let config = git2::Config::open(file)?;
    let mut found = config.entries(None)?;
    while let Some(entry) = found.next() {
        let entry = entry?;
        if let Ok(name) = entry.name() {
            // A key without `=` is true.
            let value = if entry.has_value() { entry.value().unwrap_or_default() } else { "true" };
            entries.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(())
}

/// Puts section and variable into lower case; what is between them keeps its case.
fn normal_key(key: &str) -> String {
    match (key.find('.'), key.rfind('.')) {
        (Some(first), Some(last)) => {
            key[..first].to_ascii_lowercase() + &key[first..last] + &key[last..].to_ascii_lowercase()
        }
        _ => key.to_ascii_lowercase(),
    }
}

/// Returns how closely the URL `pattern` describes `address`; `None` when it does not cover it. Host labels may be `*`.
fn covers(pattern: &str, address: &Address) -> Option<usize> {
    let (scheme, rest) = pattern.split_once("://")?;
    let text = address.to_string();
    let (own_scheme, own_rest) = text.split_once("://")?;
    if !scheme.eq_ignore_ascii_case(own_scheme) {
        return None;
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (own_authority, own_path) = own_rest.split_at(own_rest.find('/').unwrap_or(own_rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let default = if own_scheme == "https" { ":443" } else { ":80" };
    let bare = |host: &str| host.strip_suffix(default).unwrap_or(host).to_owned();
    let (host, own_host) = (bare(&host), bare(own_authority));
    let labels: Vec<&str> = host.split('.').collect();
    let own_labels: Vec<&str> = own_host.split('.').collect();
    let same = labels.len() == own_labels.len()
        && labels.iter().zip(&own_labels).all(|(label, own)| *label == "*" || label == own);
    if !same {
        return None;
    }
    let path = path.trim_end_matches('/');
    let below = own_path.strip_prefix(path)?;
    if !(below.is_empty() || below.starts_with('/')) {
        return None;
    }
    Some(1 + 2 * path.len() + usize::from(!host.contains('*')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fs::{Durability, write_atomic};

    fn config(variables: &[(&str, &str)]) -> UserConfig {
        let names: Vec<(String, String)> = variables
            .iter()
            .enumerate()
            .flat_map(|(at, (key, value))| {
                [
                    (format!("GIT_CONFIG_KEY_{at}"), (*key).to_owned()),
                    (format!("GIT_CONFIG_VALUE_{at}"), (*value).to_owned()),
                ]
            })
            .collect();
        let count = variables.len().to_string();
        let mut all = vec![("GIT_CONFIG_COUNT", count.as_str()), ("GIT_CONFIG_NOSYSTEM", "1")];
        all.extend(names.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        UserConfig::load(&Environment::of(&all, "/")).unwrap()
    }

    #[test]
    fn the_most_particular_url_counts_last() {
        let config = config(&[
            ("http.https://example.com/acme.proxy", "path"),
            ("http.proxy", "all"),
            ("http.https://example.com.proxy", "host"),
            ("http.https://*.com.proxy", "star"),
            ("http.http://example.com.proxy", "other scheme"),
            ("http.https://example.com/ac.proxy", "no directory"),
            ("http.https://example.com:444.proxy", "other port"),
            ("HTTP.sslCAInfo", "ca"),
        ]);
        let address = Address::parse("https://example.com:443/acme/api").unwrap().0;
        assert_eq!(config.http("proxy", &address), ["all", "star", "host", "path"]);
        assert_eq!(config.http("sslcainfo", &address), ["ca"]);
    }

    #[test]
    fn the_longest_prefix_is_rewritten() {
        let config = config(&[
            ("url.git@github.com:.insteadOf", "https://github.com/"),
            ("url.https://mirror/acme/.insteadOf", "https://github.com/acme/"),
            ("url.ssh://push/.pushInsteadOf", "https://github.com/"),
            ("url.https://github.com/.insteadOf", "gh:"),
        ]);
        let fetch = |url| config.rewrite(url, git2::Direction::Fetch);
        assert_eq!(fetch("https://github.com/other/x"), "git@github.com:other/x");
        assert_eq!(fetch("https://github.com/acme/x"), "https://mirror/acme/x");
        assert_eq!(fetch("gh:a/b"), "https://github.com/a/b");
        assert_eq!(fetch("https://elsewhere/x"), "https://elsewhere/x");
        assert_eq!(config.rewrite("https://github.com/acme/x", git2::Direction::Push), "ssh://push/acme/x");
    }

    #[test]
    fn the_files_of_the_environment_are_read_and_the_last_value_counts() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        let content = "[core]\n\tsshCommand = first\n[core]\n\tsshcommand = from file\n";
        write_atomic(&file, content.as_bytes(), Durability::Lazy).unwrap();
        let file = file.to_str().unwrap();
        let of = |more: &[(&str, &str)]| {
            let mut all = vec![("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", file)];
            all.extend(more);
            UserConfig::load(&Environment::of(&all, "/")).unwrap()
        };
        assert_eq!(of(&[]).get("core.sshcommand"), Some("from file"));
        let more = [
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "core.sshCommand"),
            ("GIT_CONFIG_VALUE_0", "from variable"),
        ];
        assert_eq!(of(&more).get("core.sshcommand"), Some("from variable"));
        assert_eq!(of(&[("GIT_CONFIG_GLOBAL", "/dev/null")]).get("core.sshcommand"), None);
    }

    #[test]
    fn a_file_that_is_broken_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        write_atomic(&file, b"[core\n", Durability::Lazy).unwrap();
        let file = file.to_str().unwrap();
        let environment = Environment::of(&[("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", file)], "/");
        let error = UserConfig::load(&environment).unwrap_err();
        assert!(format!("{error:#}").contains(file), "{error:#}");
    }
}
