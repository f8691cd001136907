//! An agent's login and settings behind a wall: copied into the private home of the workspace before a run, and of the
//! login what was refreshed copied back after it.
//!
//! ```text
//! HOME/.claude/.credentials.json  <->  homes/USER/NAME/home/.claude/.credentials.json    login: in, and back by rules
//! HOME/.claude.json                ->  …/.claude.json                                    some of its keys: in
//! HOME/.claude/settings.json       ->  …/.claude/settings.json                           settings: in
//! ```
//!
//! The private home is hostile: it is read and written beneath, and no link in it is followed. What comes back must be a
//! regular file of at most 64 KB, an object of JSON that has the keys that the preset or the user's own file says, newer than the
//! user's, which must not have changed meanwhile. So a planted hook, server or setting never gets to the user's HOME; what a
//! hostile agent can do is to replace one login by another of the same form.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, Timespec, Timestamps};
use serde_json::{Map, Value};

use crate::config::Environment;
use crate::error::Result;
use crate::run::agent::AgentPreset;
use crate::store::beneath::Dir;
use crate::store::fs::{Durability, write_atomic};

/// Bytes of the largest login.
const LOGIN: u64 = 64 << 10;
/// Bytes of the largest file of settings, and of the largest file that a login is only a part of.
const SETTINGS: u64 = 8 << 20;
/// So many files of settings are copied.
const FILES: usize = 2000;
/// How far a clock may be ahead.
const AHEAD: Duration = Duration::from_mins(1);

/// Where the user's own files are: below HOME, or where a variable of the agent says.
#[derive(Debug)]
pub(crate) struct Own {
    home: PathBuf,
    /// What is below the first is below the second instead.
    moved: Vec<(PathBuf, PathBuf)>,
}

impl Own {
    pub(crate) fn of(preset: &AgentPreset, home: PathBuf, environment: &Environment) -> Self {
        let mut moved = Vec::new();
        for (variable, places) in &preset.places {
            let Some(directory) = environment.get(variable).map(Path::new).filter(|path| path.is_absolute()) else {
                continue;
            };
            moved.extend(places.iter().map(|(usual, below)| (PathBuf::from(usual), directory.join(below))));
        }
        Self { home, moved }
    }

    fn at(&self, name: &Path) -> PathBuf {
        let moved = self.moved.iter().find_map(|(usual, place)| {
            let below = name.strip_prefix(usual).ok()?;
            Some(if below.as_os_str().is_empty() { place.clone() } else { place.join(below) })
        });
        moved.unwrap_or_else(|| self.home.join(name))
    }
}

/// What was copied in, to know afterwards whether the user's own has changed meanwhile.
#[derive(Debug, Default)]
pub(crate) struct CarriedIn {
    logins: Vec<Login>,
    /// What could not be copied.
    pub(crate) problems: Vec<String>,
}

#[derive(Debug)]
struct Login {
    /// Below HOME.
    name: PathBuf,
    /// The user's content; `None` when there was none.
    before: Option<Vec<u8>>,
}

/// Copies login and settings of `preset` from the user's `home` into the `private` one, where they are newer or missing.
pub(crate) fn carry_in(preset: &AgentPreset, own: &Own, private: &Dir) -> CarriedIn {
    let mut carried = CarriedIn::default();
    for name in &preset.credentials {
        let name = PathBuf::from(name);
        let keys = preset.parts.get(name.to_str().unwrap_or_default());
        let result = match keys {
            Some(keys) => merge_in(own, &name, keys, private),
            None => copy_login_in(own, &name, private, &mut carried.logins),
        };
        carried.note(&name, result);
    }
    let mut left = FILES;
    for name in &preset.settings {
        let name = Path::new(name);
        let result = copy_settings(own, name, private, &mut left);
        carried.note(name, result);
    }
    carried
}

/// Copies refreshed logins back; returns what was refused and why.
pub(crate) fn carry_back(preset: &AgentPreset, own: &Own, private: &Dir, carried: &CarriedIn) -> Vec<String> {
    let mut refused = Vec::new();
    for login in &carried.logins {
        let expected = preset.keys.get(login.name.to_str().unwrap_or_default());
        match copy_login_back(own, login, expected.map_or(&[], Vec::as_slice), private) {
            Ok(None) => {}
            Ok(Some(reason)) => refused.push(format!("the login `~/{}` of the run {reason}", login.name.display())),
            Err(error) => {
                refused.push(format!("cannot keep the login `~/{}` of the run: {error:#}", login.name.display()));
            }
        }
    }
    refused
}

impl CarriedIn {
    fn note(&mut self, name: &Path, result: Result<()>) {
        if let Err(error) = result {
            self.problems.push(format!("cannot give the run `~/{}`: {error:#}", name.display()));
        }
    }
}

fn copy_login_in(own: &Own, name: &Path, private: &Dir, logins: &mut Vec<Login>) -> Result<()> {
    let before = read_own(&own.at(name), LOGIN)?;
    if let Some((content, modified)) = &before
        && is_older(private, name, *modified)?
    {
        write_in(private, name, content, 0o600, *modified)?;
    }
    logins.push(Login { name: name.to_owned(), before: before.map(|(content, _)| content) });
    Ok(())
}

/// Puts some keys of a file, and nothing else of it, into the private one of that name.
fn merge_in(own: &Own, name: &Path, keys: &[String], private: &Dir) -> Result<()> {
    let Some((content, _)) = read_own(&own.at(name), SETTINGS)? else { return Ok(()) };
    let Some(users) = object(&content) else { return Ok(()) };
    let there = private.read(name, SETTINGS)?;
    let mut merged = there.as_deref().and_then(object).unwrap_or_default();
    merged.extend(users.into_iter().filter(|(key, _)| keys.contains(key)));
    let merged = serde_json::to_vec_pretty(&Value::Object(merged))?;
    if there.as_ref() == Some(&merged) {
        return Ok(());
    }
    private.replace(name, &merged, 0o600)
}

fn copy_settings(own: &Own, name: &Path, private: &Dir, left: &mut usize) -> Result<()> {
    let path = own.at(name);
    // The user's own: links lead where the user has them lead.
    let Ok(metadata) = path.metadata() else { return Ok(()) };
    if metadata.is_dir() {
        for entry in path.read_dir().with_context(|| format!("cannot read `{}`", path.display()))? {
            let file = entry.with_context(|| format!("cannot read `{}`", path.display()))?.file_name();
            // Packages, which an agent installs by itself, are no settings.
            if file != "node_modules" && file != ".git" {
                copy_settings(own, &name.join(file), private, left)?;
            }
        }
        return Ok(());
    }
    if !metadata.is_file() {
        return Ok(());
    }
    *left = left.checked_sub(1).with_context(|| format!("there are more than {FILES} files of settings"))?;
    let Some((content, modified)) = read_own(&path, SETTINGS)? else { return Ok(()) };
    if !is_older(private, name, modified)? {
        return Ok(());
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
    write_in(private, name, &content, if mode & 0o100 == 0 { 0o600 } else { 0o700 }, modified)
}

/// Returns why a login is not copied back, if it has changed and is not.
fn copy_login_back(own: &Own, login: &Login, expected: &[String], private: &Dir) -> Result<Option<String>> {
    let name = &login.name;
    let Some(file) = private.file(name)? else { return Ok(None) };
    let metadata = file.metadata()?;
    if metadata.len() > LOGIN {
        return Ok(Some(format!("has more than {} KiB and is not kept", LOGIN >> 10)));
    }
    let mut content = Vec::new();
    file.take(LOGIN).read_to_end(&mut content)?;
    if login.before.as_ref() == Some(&content) {
        return Ok(None);
    }
    // A first login behind the wall stays there: nobody has said that it is to be everywhere.
    let Some(before) = &login.before else { return Ok(None) };
    if let Some(reason) = wrong_form(before, &content, expected) {
        return Ok(Some(reason.to_owned()));
    }
    // Where a link of the user's leads to.
    let path = own.at(name).canonicalize().with_context(|| format!("cannot read `{}`", own.at(name).display()))?;
    let parent = path.parent().context("a file is in a directory")?;
    let directory = File::open(parent).with_context(|| format!("cannot open `{}`", parent.display()))?;
    // Held until the end of this function: two runs that end at once write one after the other.
    rustix::fs::flock(&directory, FlockOperation::LockExclusive)?;
    let Some((now, modified)) = read_own(&path, LOGIN)? else { return Ok(Some("has no place any more".into())) };
    let newer = metadata.modified()?;
    if now != *before || newer <= modified {
        return Ok(Some("is older than yours, and not kept".into()));
    }
    if newer > SystemTime::now() + AHEAD {
        return Ok(Some("is of the future, and not kept".into()));
    }
    write_atomic(&path, &content, Durability::Synced)?;
    Ok(None)
}

/// Returns what is wrong with the form of a login.
fn wrong_form(before: &[u8], content: &[u8], expected: &[String]) -> Option<&'static str> {
    let Some(after) = object(content) else { return Some("is no object of JSON, and not kept") };
    // Every key that the user's has, and none that nobody has heard of: it may mean more than a login.
    let before = object(before).unwrap_or_default();
    let has_all = before.keys().all(|key| after.contains_key(key));
    let knows_all = after.keys().all(|key| before.contains_key(key) || expected.contains(key));
    let has_one = expected.is_empty() || expected.iter().any(|key| after.contains_key(key));
    (!has_all || !knows_all || !has_one).then_some("is not of the form that yours has, and not kept")
}

fn object(content: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(content) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// Reads a regular file of the user's with its time; `None` when there is none.
fn read_own(path: &Path, largest: u64) -> Result<Option<(Vec<u8>, SystemTime)>> {
    let context = || format!("cannot read `{}`", path.display());
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(context),
    }
    let file = File::open(path).with_context(context)?;
    let modified = file.metadata().and_then(|metadata| metadata.modified()).with_context(context)?;
    let mut content = Vec::new();
    file.take(largest + 1).read_to_end(&mut content).with_context(context)?;
    anyhow::ensure!(content.len() as u64 <= largest, "it has more than {} KiB", largest >> 10);
    Ok(Some((content, modified)))
}

/// Returns whether the private file is missing or older than the user's.
fn is_older(private: &Dir, name: &Path, own: SystemTime) -> Result<bool> {
    let Some(file) = private.file(name)? else { return Ok(true) };
    Ok(file.metadata()?.modified()? < own)
}

/// Writes a private file with the time that the user's has, so that a change of either is seen.
fn write_in(private: &Dir, name: &Path, content: &[u8], mode: u32, modified: SystemTime) -> Result<()> {
    private.replace(name, content, mode)?;
    let Some(file) = private.file(name)? else { return Ok(()) };
    let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = Timespec { tv_sec: since.as_secs().cast_signed(), tv_nsec: since.subsec_nanos().into() };
    rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time })?;
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make files by hand")]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const CREDENTIALS: &str = ".claude/.credentials.json";
    const OLD: &str = r#"{"claudeAiOauth":{"accessToken":"old"}}"#;
    const NEW: &str = r#"{"claudeAiOauth":{"accessToken":"new"}}"#;

    struct Homes {
        dir: tempfile::TempDir,
        preset: AgentPreset,
    }

    impl Homes {
        fn new(agent: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for name in ["own", "private"] {
                std::fs::create_dir(dir.path().join(name)).unwrap();
            }
            Self { dir, preset: AgentPreset::find(agent, &BTreeMap::new()).unwrap() }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.dir.path().join(path)
        }

        /// Writes a file, `seconds` after a moment in the past.
        fn write(&self, path: &str, content: &str, seconds: u64) {
            let path = self.at(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
            File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        }

        fn read(&self, path: &str) -> String {
            std::fs::read_to_string(self.at(path)).unwrap_or_default()
        }

        fn own(&self) -> Own {
            Own::of(&self.preset, self.at("own"), &Environment::default())
        }

        fn carry_in(&self) -> CarriedIn {
            carry_in(&self.preset, &self.own(), &Dir::open(&self.at("private")).unwrap())
        }

        fn carry_back(&self, carried: &CarriedIn) -> Vec<String> {
            carry_back(&self.preset, &self.own(), &Dir::open(&self.at("private")).unwrap(), carried)
        }
    }

    #[test]
    fn a_login_goes_in_and_comes_back_when_it_was_refreshed() {
        let homes = Homes::new("claude");
        homes.write("own/.claude/.credentials.json", OLD, 0);
        let carried = homes.carry_in();
        assert!(carried.problems.is_empty(), "{carried:?}");
        assert_eq!(homes.read("private/.claude/.credentials.json"), OLD);
        let mode = homes.at("private").join(CREDENTIALS).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(homes.carry_back(&carried).is_empty());

        homes.write("private/.claude/.credentials.json", NEW, 1);
        assert!(homes.carry_back(&carried).is_empty());
        assert_eq!(homes.read("own/.claude/.credentials.json"), NEW);
        let mode = homes.at("own").join(CREDENTIALS).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(homes.at("own/.claude")).unwrap().count(), 1);
    }

    #[test]
    fn a_variable_says_where_the_users_files_are() {
        let homes = Homes::new("claude");
        homes.write("moved/.credentials.json", OLD, 0);
        homes.write("moved/.claude.json", r#"{"theme":"dark"}"#, 0);
        homes.write("own/.claude/.credentials.json", NEW, 0);
        let moved = homes.at("moved");
        let own = Own::of(
            &homes.preset,
            homes.at("own"),
            &Environment::of(&[("CLAUDE_CONFIG_DIR", moved.to_str().unwrap())], "/"),
        );
        let private = Dir::open(&homes.at("private")).unwrap();
        let carried = carry_in(&homes.preset, &own, &private);
        assert_eq!(homes.read("private/.claude/.credentials.json"), OLD);
        assert!(homes.read("private/.claude.json").contains("dark"));
        homes.write("private/.claude/.credentials.json", NEW, 1);
        assert!(carry_back(&homes.preset, &own, &private, &carried).is_empty());
        assert_eq!(homes.read("moved/.credentials.json"), NEW);
    }

    #[test]
    fn what_is_not_of_the_form_of_a_login_does_not_come_back() {
        let large = format!(r#"{{"claudeAiOauth":"{}"}}"#, "x".repeat(64 << 10));
        for (content, seconds) in [
            ("not JSON", 1),
            ("[]", 1),
            ("{}", 1),
            (r#"{"claudeAiOauth":{},"hooks":{"Stop":[]}}"#, 1),
            (r#"{"mcpServers":{}}"#, 1),
            (large.as_str(), 1),
            (NEW, 0),
            (NEW, 3_000_000_000),
        ] {
            let homes = Homes::new("claude");
            homes.write("own/.claude/.credentials.json", OLD, 0);
            let carried = homes.carry_in();
            homes.write("private/.claude/.credentials.json", content, seconds);
            assert_eq!(homes.carry_back(&carried).len(), 1, "{content:.40}");
            assert_eq!(homes.read("own/.claude/.credentials.json"), OLD, "{content:.40}");
        }
    }

    #[test]
    fn a_login_that_the_user_renewed_meanwhile_stays() {
        let homes = Homes::new("claude");
        homes.write("own/.claude/.credentials.json", OLD, 0);
        let carried = homes.carry_in();
        homes.write("private/.claude/.credentials.json", NEW, 5);
        homes.write("own/.claude/.credentials.json", r#"{"claudeAiOauth":1}"#, 2);
        assert_eq!(homes.carry_back(&carried).len(), 1);
        assert_eq!(homes.read("own/.claude/.credentials.json"), r#"{"claudeAiOauth":1}"#);
    }

    #[test]
    fn a_link_in_the_private_home_is_not_followed() {
        let homes = Homes::new("claude");
        homes.write("own/.claude/.credentials.json", OLD, 0);
        homes.write("own/.claude/settings.json", "{}", 0);
        homes.write("outside/.credentials.json", NEW, 9);
        let carried = homes.carry_in();
        std::fs::remove_dir_all(homes.at("private/.claude")).unwrap();
        symlink(homes.at("outside"), homes.at("private/.claude")).unwrap();
        homes.carry_back(&carried);
        assert_eq!(homes.read("own/.claude/.credentials.json"), OLD);
        let carried = homes.carry_in();
        assert_eq!(carried.problems.len(), 2, "{carried:?}");
        assert!(!homes.at("outside/settings.json").exists());
        assert_eq!(homes.read("outside/.credentials.json"), NEW);
    }

    #[test]
    fn of_a_file_that_holds_more_only_the_login_goes_in_and_nothing_comes_back() {
        let homes = Homes::new("claude");
        let own = r#"{"oauthAccount":{"a":1},"projects":{"/secret/project":{}},"mcpServers":{"x":{}}}"#;
        homes.write("own/.claude.json", own, 0);
        homes.write("private/.claude.json", r#"{"mine":1,"oauthAccount":2}"#, 5);
        let carried = homes.carry_in();
        let there: Value = serde_json::from_str(&homes.read("private/.claude.json")).unwrap();
        assert_eq!(there, serde_json::json!({"mine": 1, "oauthAccount": {"a": 1}}));
        homes.write("private/.claude.json", r#"{"oauthAccount":{"a":2},"mcpServers":{"evil":{}}}"#, 9);
        assert!(homes.carry_back(&carried).is_empty());
        assert_eq!(homes.read("own/.claude.json"), own);
    }

    #[test]
    fn settings_go_in_with_what_is_in_their_folders_and_never_back() {
        let homes = Homes::new("claude");
        homes.write("own/.claude/settings.json", "{\"model\":1}", 0);
        homes.write("own/.claude/skills/a/run.sh", "#!/bin/sh\n", 0);
        homes.write("own/.claude/projects/history.jsonl", "private", 0);
        std::fs::set_permissions(homes.at("own/.claude/skills/a/run.sh"), std::fs::Permissions::from_mode(0o755))
            .unwrap();
        let carried = homes.carry_in();
        assert_eq!(homes.read("private/.claude/settings.json"), "{\"model\":1}");
        let mode = homes.at("private/.claude/skills/a/run.sh").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(!homes.at("private/.claude/projects").exists());
        homes.write("private/.claude/settings.json", r#"{"hooks":{"Stop":"evil"}}"#, 9);
        assert!(homes.carry_back(&carried).is_empty());
        assert_eq!(homes.read("own/.claude/settings.json"), "{\"model\":1}");
        // What is newer there stays, what is newer here replaces it.
        homes.carry_in();
        assert!(homes.read("private/.claude/settings.json").contains("evil"));
        homes.write("own/.claude/settings.json", "{\"model\":2}", 20);
        homes.carry_in();
        assert_eq!(homes.read("private/.claude/settings.json"), "{\"model\":2}");
    }
}
