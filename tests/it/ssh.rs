//! Sources over ssh: a stand-in for `ssh` that checks its arguments and runs git's own programs.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use snapbox::{assert_data_eq, str};

use crate::support::{Place, describe, write};

/// Writes a stand-in that notes its arguments and then does what `end` says; `$last` is the remote command.
fn stand_in(place: &Place, end: &str) -> PathBuf {
    let args = place.path().join("args");
    let body = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{}'\nfor last; do :; done\n{end}\n", args.display());
    let file = place.path().join("bin/ssh");
    // Made under another name by another process: a fork elsewhere in this one must not hold it open for writing.
    write(place.path(), "bin/text", body);
    let copied = Command::new("cp").arg(place.path().join("bin/text")).arg(&file).status();
    assert!(copied.expect("cp").success());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("mode");
    file
}

fn clone(place: &Place, url: &str, variables: &[(&str, &str)]) -> Output {
    place.stead(["clone", url, "x"]).envs(variables.iter().copied()).output().expect("stead starts")
}

fn assert_nothing(place: &Place, output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", describe(output));
    assert!(!place.tree("x").exists());
    let pools = std::fs::read_dir(place.root().join("pools")).into_iter().flatten();
    for entry in pools {
        let name = entry.expect("an entry").file_name();
        assert!(name.to_string_lossy().ends_with(".lock"), "{}", name.display());
    }
}

#[test]
fn a_repository_is_cloned_with_the_users_own_ssh() {
    let place = Place::new();
    let api = place.project("api");
    let ssh = stand_in(&place, "exec sh -c \"$last\"");
    let command = format!("'{}' -F none", ssh.display());
    let url = format!("me@host.example:{}", api.display());
    let output = clone(&place, &url, &[("GIT_SSH_COMMAND", &command)]);
    assert!(output.status.success(), "{}", describe(&output));
    assert_eq!(place.git(&place.tree("x"), ["rev-parse", "HEAD"]), place.git(&api, ["rev-parse", "HEAD"]));
    assert_eq!(place.git(&place.tree("x"), ["config", "remote.origin.url"]).trim(), url);
    let expected = format!("-F\nnone\n-o\nBatchMode=yes\nme@host.example\ngit-upload-pack '{}'\n", api.display());
    assert_eq!(std::fs::read_to_string(place.path().join("args")).unwrap(), expected);
}

#[test]
fn a_url_with_port_and_depth_goes_over_git_ssh() {
    let place = Place::new();
    let api = place.project("api");
    let ssh = stand_in(&place, "exec sh -c \"$last\"");
    let path = api.display().to_string().replace(' ', "%20").replace('é', "%C3%A9");
    let url = format!("ssh://me@host.example:2222{path}");
    let mut command = place.stead(["clone", "--depth", "1", &url, "x"]);
    let output = command.env("GIT_SSH", &ssh).output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
    assert_eq!(place.git(&place.tree("x"), ["rev-list", "--count", "HEAD"]).trim(), "1");
    let args = std::fs::read_to_string(place.path().join("args")).unwrap();
    let expected = format!("-o\nBatchMode=yes\n-p\n2222\nme@host.example\ngit-upload-pack '{}'\n", api.display());
    assert_eq!(args, expected);
}

#[test]
fn work_is_pushed_with_the_users_own_ssh() {
    let place = Place::new();
    let api = place.project("api");
    let ssh = stand_in(&place, "exec sh -c \"$last\"");
    let output = clone(&place, &format!("host.example:{}", api.display()), &[("GIT_SSH", ssh.to_str().unwrap())]);
    assert!(output.status.success(), "{}", describe(&output));
    let tree = place.tree("x");
    write(&tree, "new", "new\n");
    let output = place.stead(["sync", "x", "--push", "--as", "mine"]).env("GIT_SSH", &ssh).output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
    assert_eq!(place.git(&api, ["show", "mine:new"]), "new\n");
    let args = std::fs::read_to_string(place.path().join("args")).unwrap();
    assert!(args.contains(&format!("git-receive-pack '{}'\n", api.display())), "{args}");
}

#[test]
fn what_ssh_says_is_the_failure() {
    let place = Place::new();
    let ssh = stand_in(&place, "echo 'me@host.example: Permission denied (publickey).' >&2; exit 255");
    let output = clone(&place, "me@host.example:api", &[("GIT_SSH", ssh.to_str().unwrap())]);
    assert_nothing(&place, &output, 1);
    assert_data_eq!(
        output.stderr.as_slice(),
        str![[r#"
error: cannot reach `me@host.example:api`: me@host.example: Permission denied (publickey).
  hint: `ssh host.example` must work without a question; `ssh-add` loads a key

"#]]
    );
}

#[test]
fn a_missing_ssh_is_named() {
    let place = Place::new();
    for variable in ["GIT_SSH", "GIT_SSH_COMMAND"] {
        let output = clone(&place, "me@host.example:api", &[(variable, "/nowhere/ssh")]);
        assert_nothing(&place, &output, 1);
        assert_data_eq!(
            output.stderr.as_slice(),
            str![[r#"
error: cannot start `/nowhere/ssh`: no such program
  hint: install an ssh client, or name one with `GIT_SSH_COMMAND`

"#]]
        );
    }
}

#[test]
fn a_repository_that_is_not_there_is_not_found() {
    let place = Place::new();
    let ssh = stand_in(&place, "exec sh -c \"$last\"");
    let output = clone(&place, "host.example:/nowhere/at/all", &[("GIT_SSH", ssh.to_str().unwrap())]);
    assert_nothing(&place, &output, 3);
}

#[test]
fn no_option_or_command_reaches_ssh_through_a_url() {
    let place = Place::new();
    let ssh = stand_in(&place, "exit 1");
    for url in ["ssh://-oProxyCommand=x/y", "-oProxyCommand=x:y", "host.example:-x", "ext::sh -c x", "me@-x:y"] {
        let output = place.stead(["clone", "--", url, "x"]).env("GIT_SSH", &ssh).output().unwrap();
        assert_nothing(&place, &output, 2);
    }
    let url = "host.example:x'$(touch y)";
    clone(&place, url, &[("GIT_SSH", ssh.to_str().unwrap())]);
    let args = std::fs::read_to_string(place.path().join("args")).unwrap();
    assert_eq!(args, "-o\nBatchMode=yes\nhost.example\ngit-upload-pack 'x'\\''$(touch y)'\n");
}

#[test]
fn an_interrupt_ends_ssh_and_leaves_nothing() {
    let place = Place::new();
    let fifo = place.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let ssh = stand_in(&place, &format!("echo $$ > '{}'; exec sleep 600", fifo.display()));
    let mut command = place.stead(["clone", "host.example:api", "x"]);
    command.env("GIT_SSH", &ssh).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    // Opening waits for the stand-in.
    let ssh = std::fs::read_to_string(&fifo).unwrap();
    let process = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    assert_nothing(&place, &child.wait_with_output().unwrap(), 130);
    let ssh = rustix::process::Pid::from_raw(ssh.trim().parse().unwrap()).unwrap();
    assert!(rustix::process::test_kill_process(ssh).is_err(), "the stand-in is alive");
}
