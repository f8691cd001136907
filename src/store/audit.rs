//! The audit trail: one line of JSON for each command that changed something, in `audit.jsonl` under the root.
//!
//! Appended in one write, rotated at a size, read newest last. It never fails a command: what cannot be written is lost.
//! It holds names of commands, workspaces and options, never a value that could be a secret.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Deserialize, Serialize};

/// Bytes after which the file becomes `audit.1.jsonl`, in place of the one before.
const ROTATE_AT: u64 = 8 << 20;

/// What one command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    pub(crate) user: String,
    pub(crate) command: String,
    pub(crate) workspaces: Vec<String>,
    /// The long names of the options that were given, without their values.
    pub(crate) options: Vec<String>,
    pub(crate) exit: u8,
    /// The kind of the failure, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    pub(crate) duration_ms: u64,
    pub(crate) pid: u32,
}

/// Appends an event if there is a root at `root`.
pub(crate) fn append(root: &Path, event: &Event) {
    // An audit trail must never be the reason why a command fails.
    drop(try_append(root, event, ROTATE_AT));
}

fn try_append(root: &Path, event: &Event, rotate_at: u64) -> io::Result<()> {
    root.join("stead.toml").symlink_metadata()?;
    let path = current(root);
    let flags =
        OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?);
    if file.metadata()?.len() >= rotate_at
        // Whoever is first renames; the others go on in the file that they have open.
        && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        && same(&file, &path)
    {
        rustix::fs::rename(&path, earlier(root))?;
        file = File::from(rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?);
    }
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    file.write_all(&line)
}

fn same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Returns the events on record, oldest first; lines that are none (a torn last one) are passed by.
pub(crate) fn read(root: &Path) -> Vec<Event> {
    let files = [earlier(root), current(root)].into_iter().filter_map(|path| File::open(path).ok());
    files
        .flat_map(|file| BufReader::new(file).split(b'\n').map_while(Result::ok))
        .filter_map(|line| serde_json::from_slice(&line).ok())
        .collect()
}

fn current(root: &Path) -> PathBuf {
    root.join("audit.jsonl")
}

fn earlier(root: &Path) -> PathBuf {
    root.join("audit.1.jsonl")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn event(pid: u32) -> Event {
        Event {
            at: Timestamp::UNIX_EPOCH,
            user: "local".into(),
            command: "rm".into(),
            workspaces: vec!["a".into()],
            options: vec!["force".into()],
            exit: 0,
            kind: None,
            duration_ms: 1,
            pid,
        }
    }

    #[test]
    fn events_are_appended_and_rotated() {
        let root = tempfile::tempdir().expect("temporary directory");
        append(root.path(), &event(0));
        assert_eq!(root.path().read_dir().expect("directory").count(), 0, "no root, no file");

        File::create(root.path().join("stead.toml")).expect("file");
        for pid in 0..4 {
            try_append(root.path(), &event(pid), 200).expect("written");
        }
        let pids: Vec<u32> = read(root.path()).iter().map(|event| event.pid).collect();
        assert_eq!(pids, [0, 1, 2, 3]);
        assert!(earlier(root.path()).exists());
        let mode = current(root.path()).metadata().expect("file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_torn_line_hides_no_other() {
        let root = tempfile::tempdir().expect("temporary directory");
        File::create(root.path().join("stead.toml")).expect("file");
        append(root.path(), &event(1));
        File::options()
            .append(true)
            .open(current(root.path()))
            .and_then(|mut file| file.write_all(b"{\"at\n"))
            .expect("written");
        append(root.path(), &event(2));
        assert_eq!(read(root.path()).len(), 2);
    }
}
