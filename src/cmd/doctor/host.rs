//! What is looked at on the host.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::cmd::doctor::{Check, Status};
use crate::config::{Config, Environment};
use crate::confine::spawn;
use crate::sys;

/// The agents that have a preset.
const AGENTS: [&str; 6] = ["claude", "codex", "gemini", "opencode", "pi", "aider"];
/// The oldest git that the tests are run against.
const GIT: (u32, u32) = (2, 39);

pub(super) fn checks(config: &Config) -> Vec<Check> {
    let mut checks = vec![git(&config.environment), agents(config)];
    checks.extend(features());
    checks.push(Check::new("wall", Status::Warning, "this version has none: a run may do whatever you may").hint(
        "it reaches localhost and the metadata address of a cloud, and all your files; confine stead itself where \
             that is too much",
    ));
    checks.push(clock());
    checks
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

/// What a wall could be made of.
fn features() -> Vec<Check> {
    let yes_no = |name, on: bool, yes: String, no: &str| {
        if on { Check::new(name, Status::Ok, yes) } else { Check::new(name, Status::Info, no.to_owned()) }
    };
    let number = |path: &str| read(path).and_then(|text| text.trim().parse::<u64>().ok());
    let namespaces = number("/proc/sys/user/max_user_namespaces").is_some_and(|max| max > 0)
        && number("/proc/sys/kernel/unprivileged_userns_clone").is_none_or(|on| on != 0)
        && number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").is_none_or(|on| on == 0);
    let landlock = sys::landlock_abi();
    let overlay = read("/proc/filesystems").is_some_and(|text| text.lines().any(|line| line.ends_with("\toverlay")));
    let cgroup = delegated_cgroup();
    vec![
        yes_no(
            "namespaces",
            namespaces,
            "the kernel's settings allow user namespaces".to_owned(),
            "the kernel's settings forbid user namespaces",
        ),
        yes_no(
            "landlock",
            landlock.is_some(),
            format!("ABI {}", landlock.unwrap_or_default()),
            "the kernel has none, or it is off",
        ),
        yes_no("overlayfs", overlay, "the kernel has it".to_owned(), "the kernel has none loaded"),
        yes_no(
            "cgroup",
            cgroup.is_some(),
            format!("{} is delegated", cgroup.unwrap_or_default().display()),
            "none is delegated: limits of memory and processors cannot be enforced as a whole",
        ),
    ]
}

/// Returns the cgroup of this process if it may make others below it.
fn delegated_cgroup() -> Option<PathBuf> {
    let text = read("/proc/self/cgroup")?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let path = Path::new("/sys/fs/cgroup").join(own.trim_start_matches('/'));
    let may = |name: &str| rustix::fs::access(path.join(name), rustix::fs::Access::WRITE_OK).is_ok();
    (may("") && may("cgroup.procs") && may("cgroup.subtree_control")).then_some(path)
}

fn clock() -> Check {
    // The year in which this version was made.
    if jiff::Timestamp::now().as_second() < 1_767_225_600 {
        return Check::new("clock", Status::Warning, "it is in the past; nothing that expires is emptied by it");
    }
    Check::new("clock", Status::Ok, jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Returns the program that a shell would start for `name`.
fn on_path(environment: &Environment, name: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = environment.get("PATH")?.as_bytes();
    path.split(|&byte| byte == b':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| Path::new(std::ffi::OsStr::from_bytes(dir)).join(name))
        .find(|path| path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0))
}
