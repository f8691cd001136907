//! A run in a container: the policy as arguments of an engine's client.
//!
//! The tree is where it is on the host; HOME and `/tmp` are the workspace's own; everything else is the image's. No socket of
//! the host is there unless it is shared. Values of variables are never arguments: the client takes them from its own
//! environment.
//!
//! Limits: the CPU time and the memory of what runs inside are the engine's to know, not reported; a network that is on is the
//! engine's own, not the host's.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::confine::container::{Engine, Named, Owner};
use crate::run::limits::Limits;
use crate::run::policy::Policy;
use crate::run::supervise::{Stdin, Streams};

/// Returns whether the engine's client must have a variable of its own, whatever the run has: the value for the run is then an
/// argument. A secret's never is.
pub(crate) fn is_clients(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let leads = ["CONTAINER", "DBUS_", "DOCKER_", "LD_", "PODMAN_", "REGISTRY_", "XDG_"];
    ["HOME", "PATH", "PWD", "TMPDIR"].iter().any(|own| name == own.as_bytes())
        || leads.iter().any(|lead| name.starts_with(lead.as_bytes()))
}

/// Where in the directory of a run its container's id is written.
pub(crate) const ID: &str = "container";
/// What podman's monitor leaves where it was started when the kernel has killed for memory.
pub(crate) const KILLED: &str = "oom";

/// Removes what the engine has written into the directory of a run: others may read it.
pub(crate) fn forget(directory: &Path) {
    for name in [ID, KILLED] {
        rustix::fs::unlink(directory.join(name)).ok();
    }
}

/// What a supervisor needs of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Container {
    pub(crate) named: Named,
    /// The client and its arguments, up to the image.
    pub(crate) client: Vec<OsString>,
    /// Variables whose values are among the arguments.
    pub(crate) literal: Vec<OsString>,
    /// Where the client writes the container's id once there is one.
    pub(crate) id_file: OsString,
}

/// What the arguments are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) image: &'a str,
    pub(crate) name: &'a str,
    pub(crate) policy: &'a Policy,
    pub(crate) limits: &'a Limits,
    pub(crate) tree: &'a Path,
    pub(crate) stdin: &'a Stdin,
    pub(crate) streams: Streams,
    /// Names of the variables inside.
    pub(crate) variables: &'a [String],
    /// Variables that the client must not have itself.
    pub(crate) literal: &'a [(OsString, OsString)],
    pub(crate) id_file: &'a Path,
    pub(crate) user: (u32, u32),
}

/// Makes the command line of a run.
pub(crate) fn container(parts: &Parts<'_>) -> Container {
    let Parts { engine, policy, limits, .. } = parts;
    let mut client: Vec<OsString> = vec![engine.program.clone().into()];
    let mut add = |words: &[&OsStr]| client.extend(words.iter().map(|word| (*word).to_owned()));
    let flags = "run --rm --init --cap-drop ALL --security-opt no-new-privileges --log-driver none";
    add(&flags.split(' ').map(OsStr::new).collect::<Vec<_>>());
    add(&["--name".as_ref(), parts.name.as_ref(), "--cidfile".as_ref(), parts.id_file.as_os_str()]);
    match engine.owner {
        Owner::Same => {}
        Owner::Root => add(&["--user".as_ref(), "0:0".as_ref()]),
        Owner::Keep => add(&["--userns".as_ref(), "keep-id".as_ref()]),
    }
    if engine.owner != Owner::Root {
        add(&["--user".as_ref(), format!("{}:{}", parts.user.0, parts.user.1).as_ref()]);
    }
    if *parts.stdin != Stdin::Null {
        add(&["--interactive".as_ref()]);
    }
    if parts.streams == Streams::Terminal {
        add(&["--tty".as_ref()]);
    }
    if !policy.net {
        add(&["--network".as_ref(), "none".as_ref()]);
    }
    for (flag, value) in [
        ("--memory", limits.memory.map(|bytes| bytes.to_string())),
        // As much as without: no swap.
        ("--memory-swap", limits.memory.map(|bytes| bytes.to_string())),
        ("--cpus", limits.cpus.map(|thousandths| format!("{}.{:03}", thousandths / 1000, thousandths % 1000))),
        ("--pids-limit", limits.pids.map(|count| count.to_string())),
        ("--ulimit", limits.file_size.map(|bytes| format!("fsize={bytes}"))),
        ("--ulimit", limits.open_files.map(|count| format!("nofile={count}"))),
    ] {
        if let Some(value) = value {
            add(&[flag.as_ref(), value.as_ref()]);
        }
    }
    let private = policy.home.iter().chain(&policy.temporary);
    let written = policy.write.iter().map(|place| (place.as_ref(), place.as_ref()));
    let written = written.chain(private.map(|private| (private.from.as_ref(), private.at.as_ref())));
    let sockets = policy.sockets.iter().map(|place| (place.as_ref(), place.as_ref()));
    for (from, at) in written.chain(sockets) {
        add(&["--mount".as_ref(), &mount(from, at, false)]);
    }
    for path in policy.read.iter().map(AsRef::<Path>::as_ref).filter(|path| path.exists()) {
        add(&["--mount".as_ref(), &mount(path, path, true)]);
    }
    for (name, value) in parts.literal {
        let mut text = name.clone();
        text.push("=");
        text.push(value);
        add(&["--env".as_ref(), &text]);
    }
    for name in parts.variables.iter().filter(|name| parts.literal.iter().all(|(other, _)| other != name.as_str())) {
        add(&["--env".as_ref(), name.as_ref()]);
    }
    // The command is the user's, not what the image would make of it.
    add(&["--entrypoint".as_ref(), "".as_ref(), "--workdir".as_ref(), parts.tree.as_os_str(), parts.image.as_ref()]);
    Container {
        named: Named { engine: engine.program.clone(), name: parts.name.to_owned() },
        client,
        literal: parts.literal.iter().map(|(name, _)| name.clone()).collect(),
        id_file: parts.id_file.into(),
    }
}

/// Returns a mount as `--mount` takes it: fields of CSV, a quote doubled.
fn mount(from: &Path, at: &Path, read_only: bool) -> OsString {
    let mut text = OsString::from("type=bind");
    for (key, path) in [("source", from), ("target", at)] {
        let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
        let mut quoted: Vec<u8> = Vec::new();
        for &byte in bytes {
            quoted.extend(std::iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }));
        }
        text.push(format!(",\"{key}="));
        text.push(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&quoted));
        text.push("\"");
    }
    if read_only {
        text.push(",readonly");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::confine::container::Enforced;
    use crate::run::policy::{Place, Private};

    #[test]
    fn a_policy_becomes_arguments() {
        let policy = Policy {
            read: vec![Place::from("/usr"), Place::from("/nowhere")],
            write: vec![Place::from("/w/a,\"b\"")],
            home: Some(Private { at: Place::from("/home/u"), from: Place::from("/h/home") }),
            ..Policy::default()
        };
        let limits = crate::run::limits::parse(&["memory=1M,cpus=1.5,pids=9,file-size=1K".to_owned()]).unwrap();
        let made = container(&Parts {
            engine: &Engine { program: "/bin/docker".into(), owner: Owner::Same, limits: Enforced::default() },
            image: "debian",
            name: "stead-x",
            policy: &policy,
            limits: &Limits::of(&[&limits]).unwrap(),
            tree: Path::new("/w/a,\"b\""),
            stdin: &Stdin::Null,
            streams: Streams::Live,
            variables: &["HOME".into(), "TOKEN".into()],
            literal: &[("HOME".into(), "/home/u".into())],
            id_file: Path::new("/r/cid"),
            user: (1000, 100),
        });
        let words: Vec<&str> = made.client.iter().map(|word| word.to_str().unwrap()).collect();
        let expected = "/bin/docker run --rm --init --cap-drop ALL --security-opt no-new-privileges --log-driver none \
                        --name stead-x --cidfile /r/cid --user 1000:100 --network none --memory 1048576 --memory-swap \
                        1048576 --cpus 1.500 --pids-limit 9 --ulimit fsize=1024 \
                        --mount type=bind,\"source=/w/a,\"\"b\"\"\",\"target=/w/a,\"\"b\"\"\" \
                        --mount type=bind,\"source=/h/home\",\"target=/home/u\" \
                        --mount type=bind,\"source=/usr\",\"target=/usr\",readonly \
                        --env HOME=/home/u --env TOKEN --entrypoint  --workdir /w/a,\"b\" debian";
        assert_eq!(words.join(" "), expected);
    }

    #[test]
    fn what_would_lead_the_client_astray_is_not_in_its_environment() {
        let is = |name: &str| is_clients(OsStr::new(name));
        for name in ["HOME", "PATH", "TMPDIR", "DOCKER_HOST", "CONTAINER_HOST", "XDG_RUNTIME_DIR", "LD_PRELOAD"] {
            assert!(is(name), "{name}");
        }
        for name in ["HOMEBREW_PREFIX", "LANG", "ANTHROPIC_API_KEY", "HTTP_PROXY"] {
            assert!(!is(name), "{name}");
        }
    }
}
