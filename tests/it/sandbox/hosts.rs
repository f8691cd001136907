//! Hosts that have less: what they lack is refused by a filter that stead is started under, as containers do it.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::scene::{PROBE, User, ready, start};
use crate::support::{Place, describe};

/// What a host lacks, and what is started on it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Host {
    namespaces: bool,
    landlock: bool,
    argv: Vec<String>,
}

impl Host {
    /// Becomes the command on such a host.
    pub(super) fn enter(&self) -> ! {
        if !self.namespaces {
            let flag = u64::from(libc::CLONE_NEWUSER.cast_unsigned());
            let operator = SeccompCmpOp::MaskedEq(flag);
            let asks = SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, flag).expect("a condition");
            let rules = || vec![SeccompRule::new(vec![asks.clone()]).expect("a rule")];
            refuse(BTreeMap::from([(libc::SYS_unshare, rules()), (libc::SYS_clone, rules())]), libc::EPERM);
            refuse(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS);
        }
        if !self.landlock {
            let calls =
                [libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule, libc::SYS_landlock_restrict_self];
            refuse(calls.map(|call| (call, Vec::new())).into_iter().collect(), libc::ENOSYS);
        }
        let error = Command::new(&self.argv[0]).args(&self.argv[1..]).env_remove(PROBE).exec();
        panic!("cannot become {:?}: {error}", self.argv);
    }

    fn run(&self, place: &Place, user: User) -> Output {
        let stead = start(place, user);
        let mut command = Command::new(place.path().join("tools/it"));
        command.env_clear().envs(stead.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env(PROBE, serde_json::to_string(&super::Told::Host::<&Self, &Self>(self)).expect("plain data"));
        command.args(["--exact", "sandbox::the_probe", "--nocapture", "--test-threads=1"]);
        command.current_dir(stead.get_current_dir().expect("a directory"));
        user.start(&mut command);
        command.output().expect("the probe starts")
    }
}

fn refuse(rules: BTreeMap<i64, Vec<SeccompRule>>, answer: i32) {
    let answer = SeccompAction::Errno(answer.cast_unsigned());
    let architecture = std::env::consts::ARCH.try_into().expect("known");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, architecture).expect("a filter");
    seccompiler::apply_filter(&BpfProgram::try_from(filter).expect("a program")).expect("filtered");
}

/// Runs stead as an ordinary user on a host that lacks something.
struct Lacking {
    place: Place,
    user: User,
    namespaces: bool,
    landlock: bool,
}

impl Lacking {
    fn new(namespaces: bool, landlock: bool) -> Self {
        let user = User::ordinary();
        Self { place: ready(user), user, namespaces, landlock }
    }

    fn stead(&self, args: &[&str]) -> Output {
        let program = self.place.path().join("tools/stead");
        let argv = [program.to_str().expect("UTF-8")].into_iter().chain(args.iter().copied()).map(Into::into).collect();
        Host { namespaces: self.namespaces, landlock: self.landlock, argv }.run(&self.place, self.user)
    }

    /// Returns the object that `stead --json ARGS` answers with, and its exit code.
    fn json(&self, args: &[&str]) -> (i32, Value) {
        let output = self.stead(&[&["--json"], args].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // What the test harness says is before it.
        let object = text.find('{').and_then(|start| serde_json::from_str(&text[start..]).ok());
        (output.status.code().expect("a code"), object.unwrap_or_else(|| panic!("{}", describe(&output))))
    }

    /// Demands that a wall is refused before anything is made.
    fn refuses(&self, options: &[&str], kind: &str) {
        let (code, answer) = self.json(&[&["exec", "refused", "--empty"], options].concat());
        assert_eq!((code, answer["error"]["kind"].as_str()), (125, Some(kind)), "{options:?}: {answer}");
        assert!(!self.place.tree("refused").exists() && !self.place.root().join("locks/local/refused").exists());
    }
}

const NO_NAMESPACES: &str = "This host has no user namespaces: the run is held by Landlock, which cannot stop ";
const NO_WALL: &str = "There is no wall on this host: the command may do whatever you may ";

fn said(output: &Output, line: &str) -> usize {
    String::from_utf8_lossy(&output.stderr).lines().filter(|other| other.starts_with(line)).count()
}

#[test]
fn without_user_namespaces_landlock_is_taken_and_that_is_said() {
    if super::walls::who_can_have("landlock").is_empty() {
        return;
    }
    let host = Lacking::new(false, true);
    host.refuses(&["--isolation", "namespaces", "--", "true"], "unsupported");
    let output = host.stead(&["exec", "x", "--empty", "--", "cat", "/etc/shadow"]);
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    assert_eq!(said(&output, NO_NAMESPACES), 1, "{}", describe(&output));
    // It was accepted by name.
    let output = host.stead(&["exec", "x", "--isolation", "landlock", "--", "true"]);
    assert_eq!((output.status.code(), said(&output, NO_NAMESPACES)), (Some(0), 0), "{}", describe(&output));
    let (code, answer) = host.json(&["exec", "x", "--", "grep", "-E", "^(NoNewPrivs|Seccomp):", "/proc/self/status"]);
    assert_eq!((code, answer["wall"].as_str()), (0, Some("landlock")), "{answer}");
    assert_eq!(
        answer["output"]["stdout"].as_str().or(answer["output"].as_str()),
        Some("NoNewPrivs:\t1\nSeccomp:\t2\n"),
        "{answer}"
    );
    let (_, doctor) = host.json(&["doctor"]);
    let wall = doctor["checks"].as_array().and_then(|checks| checks.iter().find(|check| check["name"] == "wall"));
    assert!(wall.is_some_and(|wall| wall["status"] == "warning"), "{doctor}");
}

#[test]
fn without_landlock_namespaces_are_taken() {
    if super::walls::who_can_have("namespaces").is_empty() {
        return;
    }
    let host = Lacking::new(true, false);
    host.refuses(&["--isolation", "landlock", "--", "true"], "unsupported");
    let (code, answer) = host.json(&["exec", "x", "--empty", "--", "sh", "-c", "! cat /etc/shadow"]);
    assert_eq!((code, answer["wall"].as_str()), (0, Some("namespaces")), "{answer}");
}

#[test]
fn without_both_there_is_no_wall_and_that_is_said() {
    let host = Lacking::new(false, false);
    for wall in super::walls::WALLS {
        host.refuses(&["--isolation", wall, "--", "true"], "unsupported");
    }
    host.refuses(&["--net", "off", "--", "true"], "unsupported");
    // It knows nothing between asking for everything and doing everything.
    host.refuses(&["-a", "opencode", "-m", "prompt"], "refused");
    let output = host.stead(&["exec", "x", "--empty", "--", "sh", "-c", "echo made > file"]);
    assert_eq!((output.status.code(), said(&output, NO_WALL)), (Some(0), 1), "{}", describe(&output));
    assert!(host.place.tree("x").join("file").exists());
    let output = host.stead(&["exec", "x", "--isolation", "none", "--", "true"]);
    assert_eq!((output.status.code(), said(&output, NO_WALL)), (Some(0), 0), "{}", describe(&output));
    let (code, answer) = host.json(&["exec", "x", "--", "true"]);
    assert_eq!((code, answer["wall"].as_str()), (0, Some("none")), "{answer}");
}
