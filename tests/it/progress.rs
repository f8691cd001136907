//! Progress bars on a terminal, none elsewhere; and what Ctrl-C does.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::support::{Place, write};

/// Runs `stead ARGS` on a terminal of its own and returns what it showed there.
fn on_a_terminal(place: &Place, args: &[&str], variables: &[(&str, &str)]) -> (u32, String) {
    let pty = native_pty_system().openpty(PtySize { rows: 24, cols: 100, ..PtySize::default() }).expect("a pty");
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_stead"));
    command.env_clear();
    command.args(args);
    command.cwd(place.path());
    command.env("PATH", std::env::var_os("PATH").expect("PATH"));
    command.env("HOME", place.home());
    command.env("STEAD_ROOT", place.root());
    command.env("TERM", "xterm");
    for (name, value) in variables {
        command.env(name, value);
    }
    let mut child = pty.slave.spawn_command(command).expect("stead starts");
    drop(pty.slave);
    let mut reader = pty.master.try_clone_reader().expect("a reader");
    let mut shown = Vec::new();
    // The end of a terminal is an error on Linux.
    drop(reader.read_to_end(&mut shown));
    let code = child.wait().expect("an end").exit_code();
    (code, String::from_utf8_lossy(&shown).into_owned())
}

fn project(place: &Place) -> String {
    let project = place.project("api");
    // More than fits into one packet of git's protocol, however well it is compressed.
    let mut noise = 1_u64;
    for number in 0..400 {
        let content: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            noise.to_le_bytes()[7]
        })
        .take(1000)
        .collect();
        write(&project, &format!("files/{number}.bin"), content);
    }
    place.git(&project, ["add", "."]);
    place.git(&project, ["commit", "-q", "-m", "many"]);
    project.to_str().expect("UTF-8").to_owned()
}

#[test]
fn bars_are_seen_on_a_terminal_when_it_takes_long_and_gone_at_the_end() {
    let place = Place::new();
    let source = project(&place);
    // A line so slow that the answer comes in three parts.
    let slow = place.path().join("slow");
    write(
        place.path(),
        "slow",
        "#!/bin/sh\nshift\nsh -c \"$*\" | { for part in 1 2; do dd bs=1 count=150000 2>/dev/null; sleep 0.6; done; cat; }\n",
    );
    std::fs::set_permissions(&slow, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let command = format!("'{}'", slow.display());
    let url = format!("ssh://host{}", source.replace(' ', "%20"));
    let variables = [("GIT_SSH_COMMAND", command.as_str()), ("GIT_SSH_VARIANT", "simple")];
    let (code, shown) = on_a_terminal(&place, &["create", "one", "--from", &url], &variables);
    assert_eq!(code, 0, "{shown}");
    let last = shown.rfind("receiving").unwrap_or_else(|| panic!("no bar: {shown:?}"));
    // The line is cleared before the answer comes.
    assert!(shown[last..].contains("\x1b[2K"), "{shown:?}");
}

#[test]
fn work_of_a_moment_shows_no_bar() {
    let place = Place::new();
    let source = place.project("api");
    let (code, shown) = on_a_terminal(&place, &["create", "one", "--from", source.to_str().expect("UTF-8")], &[]);
    assert_eq!((code, shown.contains("\x1b[2K")), (0, false), "{shown:?}");
}

#[test]
fn there_are_no_bars_where_nobody_could_see_them() {
    let place = Place::new();
    let source = project(&place);
    for (name, args, variables) in
        [("one", &["-q"][..], &[][..]), ("two", &["--json"], &[]), ("three", &[], &[("TERM", "dumb")])]
    {
        let args: Vec<&str> = args.iter().copied().chain(["create", name, "--from", &source]).collect();
        let (code, shown) = on_a_terminal(&place, &args, variables);
        assert_eq!(code, 0, "{shown}");
        assert!(!shown.contains("writing") && !shown.contains("\x1b[2K"), "{name}: {shown:?}");
    }
    let output = place.stead(["create", "four", "--from", &source]).output().expect("stead starts");
    assert!(!output.stderr.contains(&b'\x1b'));
}

#[test]
fn a_question_is_asked_on_a_terminal() {
    let place = Place::new();
    let project = place.project("api");
    write(&project, ".stead.toml", "create.setup = ['true']\n");
    let pty = native_pty_system().openpty(PtySize::default()).expect("a pty");
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_stead"));
    command.env_clear();
    command.env("HOME", place.home());
    command.args(["config", "trust"]);
    command.cwd(&project);
    let mut child = pty.slave.spawn_command(command).expect("stead starts");
    drop(pty.slave);
    let mut reader = pty.master.try_clone_reader().expect("a reader");
    let mut shown = Vec::new();
    while !shown.ends_with(b"[y/N] ") {
        let mut byte = [0];
        assert_eq!(reader.read(&mut byte).expect("more"), 1, "{}", String::from_utf8_lossy(&shown));
        shown.push(byte[0]);
    }
    std::io::Write::write_all(&mut pty.master.take_writer().expect("a writer"), b"y\n").expect("written");
    drop(reader.read_to_end(&mut shown));
    assert_eq!(child.wait().expect("an end").exit_code(), 0);
    assert!(String::from_utf8_lossy(&shown).contains("Trusted: "), "{}", String::from_utf8_lossy(&shown));
}

#[test]
fn an_interrupted_transfer_ends_with_130_and_leaves_nothing() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/x.git", listener.local_addr().expect("an address"));
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let child = place
            .stead(["create", "one", "--from", &url])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("stead starts");
        // From here on it waits for an answer that never comes.
        let (connection, _) = listener.accept().expect("a connection");
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill starts");
        assert!(killed.success());
        let output = child.wait_with_output().expect("an end");
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "));
        drop(connection);
    }
    assert!(!place.tree("one").exists());
    assert_eq!(place.root().join("staging").read_dir().expect("directory").count(), 0);
}
