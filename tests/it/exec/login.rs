//! An agent's login and settings behind each wall, and what of them comes back.

use super::{code, text};
use crate::support::{Place, describe, write};

const AGENT: &str = "#!/bin/sh\ncd \"$HOME\" || exit 9\n\
    cat .claude/.credentials.json .claude/settings.json .claude.json; cat .claude/state; ls .ssh 2>&1 | grep -c id\n\
    echo '{\"claudeAiOauth\":{\"accessToken\":\"new\"}}' > .claude/.credentials.json\n\
    echo '{\"hooks\":\"evil\"}' > .claude/settings.json\n\
    echo '{\"oauthAccount\":{},\"mcpServers\":\"evil\"}' > .claude.json\n\
    mkdir -p .config/stead; echo evil > .config/stead/config.toml; echo logged in > .claude/state\n";

#[test]
fn an_agent_behind_a_wall_is_logged_in_and_plants_nothing_in_the_users_home() {
    for wall in ["namespaces", "landlock"] {
        let place = Place::new();
        let path = place.program("claude", AGENT);
        let home = place.home();
        write(&home, ".claude/.credentials.json", "{\"claudeAiOauth\":{\"accessToken\":\"old\"}}\n");
        write(&home, ".claude/settings.json", "{\"model\":\"opus\"}\n");
        write(&home, ".claude.json", "{\"oauthAccount\":{\"name\":\"ada\"},\"projects\":{\"/private\":{}}}\n");
        write(&home, ".ssh/id_ed25519", "key");
        let run = || {
            let mut command = place.stead(["exec", "x", "--isolation", wall, "-m", "hi"]);
            if !place.tree("x").exists() {
                command.arg("--empty");
            }
            command.env("PATH", &path).output().unwrap()
        };
        let output = run();
        let stdout = text(&output.stdout);
        assert_eq!(code(&output), 0, "{wall}: {}", describe(&output));
        for there in ["\"old\"", "\"opus\"", "\"ada\""] {
            assert!(stdout.contains(there), "{wall}: no {there} in {stdout}");
        }
        assert!(!stdout.contains("/private") && stdout.ends_with("0\n"), "{wall}: {stdout}");
        assert!(!text(&output.stderr).contains("cannot"), "{wall}: {}", describe(&output));

        let own = |path: &str| std::fs::read_to_string(home.join(path)).unwrap_or_default();
        assert!(own(".claude/.credentials.json").contains("\"new\""), "{wall}: {}", describe(&output));
        assert_eq!(own(".claude/settings.json"), "{\"model\":\"opus\"}\n", "{wall}");
        assert!(own(".claude.json").contains("\"ada\"") && !own(".claude.json").contains("evil"), "{wall}");
        assert!(!home.join(".config/stead").exists() && !home.join(".claude/state").exists(), "{wall}");

        // What it keeps in its own home is there again.
        let stdout = text(&run().stdout);
        assert!(stdout.contains("logged in") && stdout.contains("\"new\""), "{wall}: {stdout}");
    }
}

#[test]
fn what_is_no_login_stays_behind_the_wall_and_is_said() {
    let place = Place::new();
    let script = "#!/bin/sh\necho '{\"claudeAiOauth\":{},\"hooks\":\"evil\"}' > \"$HOME/.claude/.credentials.json\"\n";
    let path = place.program("claude", script);
    let login = "{\"claudeAiOauth\":{\"accessToken\":\"old\"}}\n";
    write(&place.home(), ".claude/.credentials.json", login);
    let mut command = place.stead(["exec", "x", "--empty", "--isolation", "namespaces", "-m", "hi"]);
    let output = command.env("PATH", &path).output().unwrap();
    assert_eq!(code(&output), 0, "{}", describe(&output));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("the login `~/.claude/.credentials.json` of the run is not of the form"), "{stderr}");
    assert_eq!(std::fs::read_to_string(place.home().join(".claude/.credentials.json")).unwrap(), login);
}

#[test]
fn without_a_wall_nothing_is_copied() {
    let place = Place::new();
    let path = place.program("claude", "#!/bin/sh\necho \"$HOME\"\n");
    write(&place.home(), ".claude/.credentials.json", "{}");
    let mut command = place.stead(["exec", "x", "--empty", "--isolation", "none", "-m", "hi"]);
    let output = command.env("PATH", &path).output().unwrap();
    assert_eq!(text(&output.stdout).trim_end(), place.home().to_str().unwrap(), "{}", describe(&output));
    assert!(!place.root().join("homes/local/x/home/.claude").exists());
}
