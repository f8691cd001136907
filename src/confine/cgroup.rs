//! A cgroup (version 2) for one run: made below one that is delegated to this user, and removed when nothing is in it.
//!
//! Which one is asked of the file system alone: the own cgroup or the nearest around it in which this process may make
//! others and whose controllers are there for them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::Access;

use crate::sys;

/// How long the kernel may take to let go of what was killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Returns the cgroup in which one with these controllers can be made.
pub(crate) fn place(controllers: &[&str]) -> Option<PathBuf> {
    let mount = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    let mount = mount.into_iter().find(|mount| mount.join("cgroup.controllers").exists())?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    place_below(mount, own, controllers)
}

fn place_below(mount: &Path, own: &str, controllers: &[&str]) -> Option<PathBuf> {
    let own = mount.join(own.trim_start_matches('/'));
    let may = |path: &Path| rustix::fs::access(path, Access::WRITE_OK).is_ok();
    own.ancestors()
        .take_while(|path| path.starts_with(mount))
        .find(|path| {
            let control = path.join("cgroup.subtree_control");
            let has = |file: &Path| {
                let text = fs::read_to_string(file).unwrap_or_default();
                controllers.iter().all(|controller| text.split_ascii_whitespace().any(|word| word == *controller))
            };
            // With processes of its own a cgroup cannot hand controllers on.
            let can_enable = || {
                has(&path.join("cgroup.controllers"))
                    && may(&control)
                    && fs::read_to_string(path.join("cgroup.procs")).is_ok_and(|processes| processes.is_empty())
            };
            may(path) && may(&path.join("cgroup.procs")) && (has(&control) || can_enable())
        })
        .map(Path::to_owned)
}

/// The cgroup of a run.
#[derive(Debug)]
pub(crate) struct Cgroup {
    path: PathBuf,
    procs: File,
}

impl Cgroup {
    /// Makes the cgroup `path` with these settings (files and values).
    pub(crate) fn make(path: &Path, settings: &[(String, String)]) -> io::Result<Self> {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let enabled = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap_or_default();
        for (file, _) in settings {
            let controller = file.split('.').next().unwrap_or_default();
            if !enabled.split_ascii_whitespace().any(|word| word == controller) {
                set(&parent.join("cgroup.subtree_control"), &format!("+{controller}"))?;
            }
        }
        fs::create_dir(path)?;
        let made = (|| {
            for (file, value) in settings {
                match set(&path.join(file), value) {
                    // A kernel without swap accounting has no such file.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && file == "memory.swap.max" => {}
                    written => written?,
                }
            }
            OpenOptions::new().write(true).open(path.join("cgroup.procs"))
        })();
        match made {
            Ok(procs) => Ok(Self { path: path.to_owned(), procs }),
            Err(error) => {
                end(path);
                Err(error)
            }
        }
    }

    /// Has a command start in it.
    pub(crate) fn take(&self, command: &mut Command) -> io::Result<()> {
        let procs = self.procs.as_fd().try_clone_to_owned()?;
        sys::before_exec(command, move || {
            // `0` is whoever writes it.
            rustix::io::write(&procs, b"0").map(drop).map_err(Into::into)
        });
        Ok(())
    }

    /// Puts a process into it.
    pub(crate) fn add(&self, process: u32) -> io::Result<()> {
        Ok(rustix::io::write(&self.procs, process.to_string().as_bytes()).map(drop)?)
    }

    /// Returns how often something was killed for lack of memory.
    pub(crate) fn killed_for_memory(&self) -> u64 {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or_default()
    }

    /// Returns the most bytes that all of it had at once, if the kernel knows.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        fs::read_to_string(self.path.join("memory.peak")).ok()?.trim().parse().ok()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        end(&self.path);
    }
}

/// Kills what is in a cgroup and removes it; one that is not there is fine.
pub(crate) fn end(path: &Path) {
    let until = Instant::now() + PATIENCE;
    while let Err(error) = fs::remove_dir(path) {
        if error.kind() == io::ErrorKind::NotFound || Instant::now() >= until {
            return;
        }
        // Busy: something is alive in it.
        drop(set(&path.join("cgroup.kill"), "1"));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn set(file: &Path, value: &str) -> io::Result<()> {
    use std::io::Write as _;
    OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make files by hand")]
mod tests {
    use super::*;

    fn hierarchy(parts: &[(&str, &str, &str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, controllers, enabled, processes) in parts {
            let at = dir.path().join(path);
            fs::create_dir_all(&at).unwrap();
            fs::write(at.join("cgroup.controllers"), controllers).unwrap();
            fs::write(at.join("cgroup.subtree_control"), enabled).unwrap();
            fs::write(at.join("cgroup.procs"), processes).unwrap();
        }
        dir
    }

    #[test]
    fn the_nearest_cgroup_that_hands_controllers_on_is_taken() {
        let dir = hierarchy(&[
            ("", "cpu memory pids", "cpu memory pids", ""),
            ("user", "cpu memory pids", "memory pids", ""),
            ("user/shell", "memory pids", "", "1\n2\n"),
        ]);
        let place = |controllers: &[&str]| place_below(dir.path(), "/user/shell", controllers);
        assert_eq!(place(&["memory", "pids"]), Some(dir.path().join("user")));
        // It has none of its own, and could have: nothing runs in it.
        assert_eq!(place(&["memory", "cpu"]), Some(dir.path().join("user")));
        assert_eq!(place(&["io"]), None);
    }

    #[test]
    fn a_cgroup_is_given_its_settings_or_is_not_made() {
        let dir = hierarchy(&[("", "cpu memory", "memory", "")]);
        let path = dir.path().join("run");
        // Here nobody makes the files of a new cgroup.
        assert!(Cgroup::make(&path, &[("memory.max".into(), "1".into())]).is_err());
        assert!(!path.exists());
        assert!(Cgroup::make(&path, &[("cpu.max".into(), "1".into())]).is_err());
        assert_eq!(fs::read_to_string(dir.path().join("cgroup.subtree_control")).unwrap(), "+cpury");
        end(&path);
    }
}
