//! git's own command, which the tests compare with.

use std::io::Write as _;
use std::process::Command;
use std::sync::OnceLock;

/// Returns `git`. Where it is missing or too old the tests end here with one sentence: none says anything without it.
pub(crate) fn git() -> Command {
    static FOUND: OnceLock<()> = OnceLock::new();
    FOUND.get_or_init(require);
    Command::new("git")
}

#[expect(clippy::exit, reason = "a panic would be told once for each test")]
fn require() {
    let version = Command::new("git").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version).trim().to_owned();
    let mut numbers = version.split([' ', '.']).filter_map(|word| word.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) >= (Some(2), Some(39)) {
        return;
    }
    let found = if version.is_empty() { "there is none on the PATH".to_owned() } else { format!("this is {version}") };
    // Not through the macros, whose output the harness keeps to itself.
    writeln!(std::io::stderr(), "\nerror: the tests need git 2.39 or later; {found}").expect("stderr");
    std::process::exit(1);
}
