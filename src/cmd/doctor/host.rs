//! What is looked at on the host.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cmd::doctor::{Check, Status, features};
use crate::config::{Config, Environment};
use crate::confine::spawn;
use crate::run::policy::{self, Enforced, Isolation, NetAccess, Wall, Walls};
use crate::run::toolchain;
use crate::ui::text::quote;

/// The agents that have a preset.
const AGENTS: [&str; 6] = ["claude", "codex", "gemini", "opencode", "pi", "aider"];
/// The oldest git that the tests are run against.
const GIT: (u32, u32) = (2, 39);
/// The year in which this version was made, in seconds since 1970.
const MADE: i64 = 1_767_225_600;

pub(super) fn checks(config: &Config) -> Vec<Check> {
    let mut checks = vec![git(&config.environment), agents(config)];
    checks.push(toolchains(config));
    checks.extend(features::checks());
    checks.push(wall(config));
    checks.push(container(config));
    checks.push(clock(Timestamp::now()));
    checks
}

/// Says what `--isolation auto` takes here.
fn wall(config: &Config) -> Check {
    let walls = Walls::probe(Isolation::Auto, NetAccess::On, config, || ());
    match Isolation::Auto.wall(&walls) {
        Ok(Wall::Namespaces) => Check::new("wall", Status::Ok, "runs are kept behind namespaces, Landlock and seccomp"),
        Ok(wall) => {
            let reason = walls.namespaces.as_deref().unwrap_or("untried");
            let message = format!("`--isolation auto` is `{wall}` here: no namespaces ({reason})");
            Check::new("wall", Status::Warning, message)
                .hint(policy::news(wall, Enforced::possible(), policy::gives_terminals()).unwrap_or_default())
        }
        Err(error) => Check::new("wall", Status::Warning, format!("{error:#}")),
    }
}

/// Says whether `--isolation container` can be had.
fn container(config: &Config) -> Check {
    match policy::find_engine(config) {
        Err(reason) => Check::new("container", Status::Info, format!("no engine answers: {reason}")),
        Ok(engine) => {
            let check = Check::new("container", Status::Ok, format!("{} answers", engine.program.display()));
            match config.container.image {
                Some(_) => check,
                None => {
                    check.hint("`--isolation container` takes an image: `image` in `[container]` of the configuration")
                }
            }
        }
    }
}

fn git(environment: &Environment) -> Check {
    let Some(program) = on_path(environment, "git") else {
        return Check::new("git", Status::Info, "not found: stead needs none, but credential helpers and agents do");
    };
    let output = spawn::command(&program).arg("--version").output();
    let text = output.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    let version = text.trim().trim_start_matches("git version ").to_owned();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let found = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if found < GIT {
        let message = format!("{version} at {}; {}.{} is the oldest that is tested", program.display(), GIT.0, GIT.1);
        return Check::new("git", Status::Warning, message);
    }
    Check::new("git", Status::Ok, format!("{version} at {}", program.display()))
}

fn agents(config: &Config) -> Check {
    let mut names: Vec<&str> = AGENTS.into_iter().chain(config.agents.keys().map(String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    let (found, missing): (Vec<&str>, Vec<&str>) =
        names.into_iter().partition(|name| on_path(&config.environment, name).is_some());
    let default = &config.agent;
    if found.is_empty() {
        return Check::new("agents", Status::Info, format!("none found on PATH; looked for {}", missing.join(", ")));
    }
    let message = format!("{} found; not found: {}", found.join(", "), missing.join(", "));
    if found.contains(&default.as_str()) {
        Check::new("agents", Status::Ok, message)
    } else {
        Check::new("agents", Status::Info, message).hint(format!(
            "`{default}` is what `exec` runs by default; choose with `STEAD_AGENT` or `agent` in the settings"
        ))
    }
}

/// What a confined run would see of this user's toolchains.
fn toolchains(config: &Config) -> Check {
    let Some(home) = config.environment.home() else {
        return Check::new("toolchains", Status::Info, "there is no HOME to look for them in");
    };
    let found = toolchain::find(&config.environment, &home, &config.root, &[]);
    let message = format!(
        "{} places outside the system and {} caches; {} files beside them hold credentials",
        found.read.len(),
        found.caches.len(),
        found.hidden.len()
    );
    let check = Check::new("toolchains", Status::Ok, message);
    if found.refused.is_empty() {
        return check;
    }
    let refused: Vec<_> = found.refused.iter().map(|path| quote(path.as_os_str().as_bytes()).into_owned()).collect();
    check
        .hint(format!("on the PATH, and not for a run, since they are or hold what is private: {}", refused.join(", ")))
}

fn clock(now: Timestamp) -> Check {
    if now.as_second() < MADE {
        return Check::new("clock", Status::Warning, "it is in the past; nothing that expires is emptied by it")
            .hint("set it, by a time service for instance");
    }
    Check::new("clock", Status::Ok, now.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// Returns the program that a shell would start for `name`.
fn on_path(environment: &Environment, name: &str) -> Option<PathBuf> {
    let path = environment.get("PATH")?.as_bytes();
    path.split(|&byte| byte == b':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| Path::new(std::ffi::OsStr::from_bytes(dir)).join(name))
        .find(|path| path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_this_version_is_warned_of() {
        let at = |second| clock(Timestamp::from_second(second).unwrap()).status;
        assert_eq!((at(MADE - 1), at(MADE)), (Status::Warning, Status::Ok));
    }
}
