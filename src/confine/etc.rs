//! The secrets of `/etc`: what a run does not read although it reads the rest.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What is secret whatever its mode says; a `*` at the end stands for the rest of the name.
const SECRETS: &[&str] =
    &["shadow*", "gshadow*", "sudoers*", "krb5.keytab", "security/opasswd", "ssl/private", "ssh/ssh_host_*"];
/// Directories below `/etc` that are looked into as well; elsewhere only their own mode counts.
const LOOKED_INTO: &[&str] =
    &["", "ssh", "ssl", "security", "default", "ppp", "mysql", "cups", "NetworkManager", "pki", "cron.d"];

/// Returns what others may not read (uid 0 reads its own files even without a capability), and what is secret by its name;
/// looked for once in a process.
pub(crate) fn secrets() -> &'static [PathBuf] {
    static FOUND: OnceLock<Vec<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(find_secrets)
}

fn find_secrets() -> Vec<PathBuf> {
    let etc = Path::new("/etc");
    let mut found = Vec::new();
    for below in LOOKED_INTO {
        let directory = if below.is_empty() { etc.to_owned() } else { etc.join(below) };
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(etc).unwrap_or(&path).to_string_lossy().into_owned();
            let listed = SECRETS.iter().any(|secret| match secret.strip_suffix('*') {
                Some(start) => name.starts_with(start) && path.extension().is_none_or(|extension| extension != "pub"),
                None => name == *secret,
            });
            let private = || {
                entry.metadata().is_ok_and(|metadata| {
                    !metadata.is_symlink() && metadata.mode() & if metadata.is_dir() { 0o005 } else { 0o004 } == 0
                })
            };
            if listed || private() {
                found.push(path);
            }
        }
    }
    found
}

/// Returns the file that `/etc/resolv.conf` is a link to, when it is somewhere else.
pub(crate) fn resolver() -> Option<PathBuf> {
    let target = Path::new("/etc/resolv.conf").canonicalize().ok()?;
    (!target.starts_with("/etc") && !target.starts_with("/usr")).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_passwords_are_secret_and_the_names_are_not() {
        let secrets = secrets();
        assert!(secrets.contains(&PathBuf::from("/etc/shadow")));
        assert!(!secrets.contains(&PathBuf::from("/etc/passwd")));
    }
}
