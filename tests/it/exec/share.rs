//! What of the user's own is shared: the SSH agent, the SSH keys.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use super::{code, text};
use crate::support::{Place, describe, write};

/// Asks whoever listens at the socket, by the one program at hand that connects to any.
const ASK: &str = "git credential-cache --socket \"$SOCKET\" get < /dev/null";

/// Answers everybody, as long as the test goes on.
fn listen(place: &Place, name: &str) -> String {
    let path = place.path().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            connection.read_to_string(&mut String::new()).unwrap();
            connection.write_all(b"username=agent\n").unwrap();
        }
    });
    path.to_str().unwrap().to_owned()
}

fn run(place: &Place, wall: &str, share: &[&str], environment: &[(&str, &str)], script: &str) -> std::process::Output {
    let mut command = place.stead(["exec", "x", "--isolation", wall]);
    if !place.tree("x").exists() {
        command.arg("--empty");
    }
    command.args(share).args(["--", "sh", "-c", script]).envs(environment.iter().copied()).output().unwrap()
}

#[test]
fn an_agent_is_reached_behind_each_wall_when_it_is_shared() {
    for wall in ["namespaces", "landlock"] {
        let place = Place::new();
        let agent = listen(&place, "agent");
        let variables = [("SSH_AUTH_SOCK", agent.as_str())];
        let script = format!("SOCKET=$SSH_AUTH_SOCK; {ASK}");
        let output = run(&place, wall, &["--share", "ssh-agent"], &variables, &script);
        assert_eq!((code(&output), text(&output.stdout).as_str()), (0, "username=agent\n"), "{}", describe(&output));
        // Where the kernel cannot tell sockets apart, that is said.
        let stderr = text(&output.stderr);
        let (_, doctor) = place.json(["doctor"]);
        let checks = doctor["checks"].as_array().unwrap();
        let landlock = checks.iter().find(|check| check["name"] == "landlock").unwrap();
        let version: u32 = landlock["message"].as_str().unwrap().trim_start_matches("ABI ").parse().unwrap_or(0);
        assert_eq!(stderr.contains("cannot tell sockets apart"), wall == "landlock" && version < 9, "{stderr}");

        let script = format!("echo \"${{SSH_AUTH_SOCK-none}}\"; SOCKET='{agent}'; {ASK}");
        let output = run(&place, wall, &[], &variables, &script);
        assert!(!text(&output.stdout).contains("username"), "{wall}: {}", describe(&output));
        assert!(text(&output.stdout).starts_with("none\n"), "{wall}: {}", describe(&output));
    }
}

#[test]
fn only_the_socket_that_is_shared_is_reached_in_namespaces() {
    let place = Place::new();
    let (agent, other) = (listen(&place, "agent"), listen(&place, "other"));
    let script = format!("SOCKET='{other}'; {ASK}");
    let output = run(&place, "namespaces", &["--share", "ssh-agent"], &[("SSH_AUTH_SOCK", &agent)], &script);
    assert!(!text(&output.stdout).contains("username"), "{}", describe(&output));
}

#[test]
fn keys_are_read_and_not_written_when_they_are_shared() {
    for wall in ["namespaces", "landlock"] {
        let place = Place::new();
        write(&place.home(), ".ssh/id_ed25519", "key\n");
        let keys = place.home().join(".ssh");
        let read = format!("cat '{}/id_ed25519'", keys.display());
        let output = run(&place, wall, &[], &[], &read);
        assert!(code(&output) != 0 && text(&output.stdout).is_empty(), "{wall}: {}", describe(&output));
        let script = format!("{read} && ! (echo x >> '{0}/id_ed25519') && ! (echo x > '{0}/config')", keys.display());
        let output = run(&place, wall, &["--share", "ssh-keys"], &[], &script);
        assert_eq!((code(&output), text(&output.stdout).as_str()), (0, "key\n"), "{wall}: {}", describe(&output));
        assert!(!keys.join("config").exists());
    }
}

#[test]
fn what_is_to_be_shared_and_is_not_there_is_said_before_anything_is_made() {
    let place = Place::new();
    for what in ["ssh-agent", "ssh-keys"] {
        let (code, object) = place.json(["exec", "x", "--empty", "--share", what, "--", "true"]);
        assert_eq!((code, object["error"]["kind"].as_str()), (125, Some("usage")), "{object}");
    }
    assert!(!place.root().exists());
    write(&place.home(), ".config/stead/config.toml", "[exec]\nshare = ['ssh-keys']\n");
    write(&place.home(), ".ssh/id", "key\n");
    let (code, plan) = place.json(["exec", "x", "--empty", "-n", "--isolation", "landlock", "--", "true"]);
    assert_eq!((code, &plan["shared"]), (0, &serde_json::json!(["ssh-keys"])), "{plan}");
    let keys = place.home().join(".ssh");
    assert!(plan["read"].as_array().unwrap().iter().any(|path| path == keys.to_str().unwrap()), "{plan}");
    let text = place.ok(["exec", "x", "--empty", "-n", "--isolation", "landlock", "--", "true"]);
    assert!(text.contains("shares       ssh-keys\n"), "{text}");
}
