//! What a run gets of the user's own beyond its policy, because the user said so: the SSH agent, the SSH keys.

use std::ffi::OsString;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::config::Environment;
use crate::error::{Failure, Kind, Result};

/// Something to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Share {
    /// The socket of the SSH agent: the run can use its keys, not read them
    SshAgent,
    /// `~/.ssh`, to read: settings, known hosts and keys
    SshKeys,
}

/// What comes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) read: Vec<PathBuf>,
    pub(crate) sockets: Vec<PathBuf>,
    pub(crate) variables: Vec<(OsString, OsString)>,
}

impl Share {
    /// Reads one of the setting `exec.share`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        clap::ValueEnum::from_str(text, false).map_err(|_| {
            Failure::new(Kind::Usage, format!("`{text}` is nothing to share"))
                .hint("`exec.share` takes `ssh-agent` and `ssh-keys`")
                .into()
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SshAgent => "ssh-agent",
            Self::SshKeys => "ssh-keys",
        }
    }
}

/// Finds what is to be shared; what is not there is a failure.
pub(crate) fn find(shares: &[Share], environment: &Environment) -> Result<Shared> {
    let mut shared = Shared::default();
    for share in shares {
        match share {
            Share::SshAgent => {
                let socket = agent(environment)?;
                shared.variables.push(("SSH_AUTH_SOCK".into(), socket.clone().into()));
                shared.sockets.push(socket);
            }
            Share::SshKeys => shared.read.extend(keys(environment)?),
        }
    }
    Ok(shared)
}

/// Returns the agent's socket, where it really is.
fn agent(environment: &Environment) -> Result<PathBuf> {
    let failure = |message: String| Failure::new(Kind::Usage, message).hint("start one with `eval $(ssh-agent)`");
    let Some(path) = environment.get("SSH_AUTH_SOCK").map(Path::new) else {
        return Err(failure("there is no SSH agent to share: `SSH_AUTH_SOCK` is not set".into()).into());
    };
    let socket = path
        .canonicalize()
        .ok()
        .filter(|path| path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket()));
    socket.ok_or_else(|| {
        failure(format!("there is no SSH agent to share: `SSH_AUTH_SOCK` is `{}`, which is no socket", path.display()))
            .into()
    })
}

/// Returns the directory of the user's keys, and where the links in it lead.
fn keys(environment: &Environment) -> Result<Vec<PathBuf>> {
    let directory = environment.home().unwrap_or_default().join(".ssh");
    let Ok(entries) = directory.read_dir() else {
        return Err(Failure::new(Kind::Usage, format!("there are no SSH keys to share: no `{}`", directory.display()))
            .hint("`--share ssh-agent` shares keys that an agent holds")
            .into());
    };
    let mut paths: Vec<PathBuf> = directory.canonicalize().into_iter().collect();
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink())) {
        // A file only: a link to a directory may show anything.
        paths.extend(entry.path().canonicalize().ok().filter(|path| path.is_file()));
    }
    paths.push(directory);
    paths.sort();
    paths.dedup();
    Ok(paths)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make files by hand")]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_socket_is_an_agent() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().canonicalize().unwrap().join(name);
        let of = |value: &str| find(&[Share::SshAgent], &Environment::of(&[("SSH_AUTH_SOCK", value)], "/"));
        let _listener = UnixListener::bind(path("agent")).unwrap();
        std::os::unix::fs::symlink("agent", path("link")).unwrap();
        let shared = of(path("link").to_str().unwrap()).unwrap();
        assert_eq!(shared.sockets, [path("agent")]);
        assert_eq!(shared.variables, [("SSH_AUTH_SOCK".into(), path("agent").into_os_string())]);
        std::fs::write(path("file"), "").unwrap();
        for wrong in ["", "/nowhere", path("file").to_str().unwrap(), dir.path().to_str().unwrap()] {
            assert_eq!(Kind::of(&of(wrong).unwrap_err()), Kind::Usage, "{wrong}");
        }
    }

    #[test]
    fn keys_are_shared_with_the_files_that_links_lead_to() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap();
        let of = || find(&[Share::SshKeys], &Environment::of(&[("HOME", home.to_str().unwrap())], "/"));
        assert_eq!(Kind::of(&of().unwrap_err()), Kind::Usage);
        std::fs::create_dir_all(home.join(".ssh")).unwrap();
        std::fs::create_dir_all(home.join("dotfiles")).unwrap();
        std::fs::write(home.join("dotfiles/config"), "").unwrap();
        std::os::unix::fs::symlink("../dotfiles/config", home.join(".ssh/config")).unwrap();
        std::os::unix::fs::symlink("../dotfiles", home.join(".ssh/all")).unwrap();
        assert_eq!(of().unwrap().read, [home.join(".ssh"), home.join("dotfiles/config")]);
    }
}
