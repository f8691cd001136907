//! Which walls the tests can have here, and what must be said where one is missing.

use std::process::Command;

use serde_json::Value;

use super::kernel;
use super::scene::{User, ready, start};
use super::table::Host;
use crate::support::{Place, describe};

pub(crate) const WALLS: [&str; 2] = ["namespaces", "landlock"];

/// Returns the users that can have a wall. Where one cannot, that is said, and is a failure of the tests when
/// `STEAD_REQUIRE_WALLS` names the wall.
pub(crate) fn who_can_have(wall: &str) -> Vec<User> {
    User::all().into_iter().filter(|user| can_have(*user, wall)).collect()
}

fn can_have(user: User, wall: &str) -> bool {
    let place = ready(user);
    let (code, answer) = plan(&place, user, wall);
    if code == 0 {
        assert_eq!(answer["wall"], wall);
        return true;
    }
    let required = std::env::var("STEAD_REQUIRE_WALLS").unwrap_or_default();
    let is_required = required.split(',').any(|required| required == wall);
    // It is required of who runs the tests; some hosts keep namespaces to root.
    let may = || user == User::Own || wall != "namespaces" || can_unshare(user);
    assert!(!is_required || !may(), "{wall} is required: {answer}");
    assert_eq!((code, answer["error"]["kind"].as_str()), (125, Some("unsupported")), "{answer}");
    assert!(!place.root().exists(), "nothing is made for a run that cannot be");
    if wall == "namespaces" {
        let (code, answer) = plan(&place, user, "auto");
        assert!(code == 0 && answer["wall"] != wall, "{answer}");
        let output = start(&place, user).args(["exec", "x", "--empty", "--", "true"]).output().expect("stead starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let said = ["This host has no user namespaces", "There is no wall on this host"];
        assert!(said.iter().any(|said| stderr.contains(said)), "{}", describe(&output));
    }
    false
}

fn can_unshare(user: User) -> bool {
    let mut unshare = Command::new("unshare");
    user.start(unshare.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "true"]));
    unshare.output().is_ok_and(|output| output.status.success())
}

fn plan(place: &Place, user: User, wall: &str) -> (i32, Value) {
    let args = ["--json", "exec", "x", "--empty", "--isolation", wall, "--dry-run", "--", "true"];
    let output = start(place, user).args(args).output().expect("stead starts");
    let answer =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", describe(&output)));
    (output.status.code().expect("an exit code"), answer)
}

/// Returns what answers depend on, but for the user.
pub(super) fn host() -> Host {
    let (_, doctor) = Place::new().json(["doctor"]);
    let landlock =
        doctor["checks"].as_array().and_then(|checks| checks.iter().find(|check| check["name"] == "landlock"));
    let version = landlock.and_then(|check| check["message"].as_str()?.strip_prefix("ABI ")?.parse::<u32>().ok());
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    Host {
        is_root: false,
        is_bare: kernel::is_bare(),
        may_trace: kernel::is_bare() && matches!(scope.trim(), "" | "0"),
        has_scopes: version.is_some_and(|version| version >= 6),
    }
}
