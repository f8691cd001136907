//! Directories of stead's own that a run could change as it liked: taken back for the next one.

use std::ffi::OsString;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat, chmod, fstat};
use rustix::io::Errno;

use super::beneath::{Dir, fault, open_beneath};
use super::fs::temporary_name;
use crate::error::Result;

/// What the owner of a directory has to be allowed.
const USABLE: u32 = 0o700;

impl Dir {
    /// Opens the directory `name`, and makes it when it is missing. One that its owner may not use becomes usable again; what
    /// is no directory is moved aside, and what it is called now is returned as well.
    pub(crate) fn reclaim(&self, name: &Path) -> Result<(Self, Option<OsString>)> {
        let mut moved = None;
        match self.stat(name)? {
            Some(stat) if !FileType::from_raw_mode(stat.st_mode).is_dir() => {
                let mut aside = name.as_os_str().to_owned();
                aside.push(".aside");
                aside.push(temporary_name());
                self.rename(name, self, Path::new(&aside))?;
                moved = Some(aside);
            }
            _ => drop(self.make_usable(name)?),
        }
        Ok((self.create_dir_all(name)?, moved))
    }

    /// Returns whether `name` is a directory that its owner may not use.
    pub(crate) fn is_closed(&self, name: &Path) -> Result<bool> {
        Ok(self.stat(name)?.is_some_and(|stat| is_closed(&stat)))
    }

    /// Makes a directory usable for its owner again; returns whether it was not.
    pub(crate) fn make_usable(&self, name: &Path) -> Result<bool> {
        let Some(stat) = self.stat(name)?.filter(is_closed) else { return Ok(false) };
        self.open_up(name, &stat).map_err(|error| fault("make usable", name, error))?;
        Ok(true)
    }

    /// Does something with `path`. Where a directory on the way, or `path` itself, is closed to its owner, it is opened for as
    /// long as that takes.
    pub(crate) fn with_access<T>(&self, path: &Path, act: impl Fn() -> Result<T>) -> Result<T> {
        let denied = match act() {
            Err(error) if error.downcast_ref() == Some(&Errno::ACCESS) => error,
            done => return done,
        };
        let mut opened = Vec::new();
        let mut places: Vec<&Path> = path.ancestors().filter(|place| !place.as_os_str().is_empty()).collect();
        places.reverse();
        for place in places {
            match self.stat(place) {
                Ok(Some(stat)) if is_closed(&stat) => opened.extend(self.open_up(place, &stat).map(|fd| (fd, stat))),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        if opened.is_empty() {
            return Err(denied);
        }
        let done = act();
        for (fd, stat) in opened.iter().rev() {
            // It may be gone; what was to be done is what counts.
            set_mode(fd, stat.st_mode & 0o7777).ok();
        }
        done
    }

    /// Gives the directory `path`, or this one itself when that is empty, the permission bits `mode` where it has others; what is
    /// no directory is left alone.
    pub(crate) fn set_dir_mode(&self, path: &Path, mode: u32) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let fd = match open_beneath(self.fd().as_fd(), place, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(()),
            Err(error) => return Err(fault("open", place, error)),
        };
        let stat = fstat(&fd).map_err(|error| fault("read", place, error))?;
        if stat.st_mode & 0o7777 == mode {
            return Ok(());
        }
        set_mode(&fd, mode).map_err(|error| fault("change the mode of", place, error))
    }

    fn open_up(&self, name: &Path, stat: &Stat) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = open_beneath(self.fd().as_fd(), name, flags, Mode::empty())?;
        set_mode(&fd, (stat.st_mode & 0o777) | USABLE)?;
        Ok(fd)
    }
}

/// By way of /proc it is this very directory, whatever its name has become meanwhile.
fn set_mode(fd: &OwnedFd, mode: u32) -> Result<(), Errno> {
    chmod(format!("/proc/self/fd/{}", fd.as_raw_fd()), Mode::from_raw_mode(mode))
}

fn is_closed(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_dir() && stat.st_mode & USABLE != USABLE
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make files by hand")]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn what_is_in_the_way_is_kept_and_a_directory_is_usable_again() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let dir = Dir::open(place.path()).unwrap();
        let reclaim = |name: &str| dir.reclaim(Path::new(name)).unwrap().1;
        assert_eq!(reclaim("new"), None);
        std::fs::write(at("new/kept"), "x").unwrap();
        chmod(at("new"), Mode::from_raw_mode(0o050)).unwrap();
        assert_eq!(reclaim("new"), None);
        assert_eq!(at("new").metadata().unwrap().mode() & 0o777, 0o750);
        assert!(at("new/kept").exists());

        std::fs::create_dir(at("elsewhere")).unwrap();
        symlink(at("elsewhere"), at("link")).unwrap();
        std::fs::write(at("file"), "content").unwrap();
        for name in ["link", "file"] {
            let aside = reclaim(name).unwrap();
            assert!(aside.to_str().unwrap().starts_with(&format!("{name}.aside")));
            assert!(at(name).symlink_metadata().unwrap().is_dir());
            assert!(place.path().join(aside).symlink_metadata().is_ok());
        }
        assert_eq!(std::fs::read_dir(at("elsewhere")).unwrap().count(), 0);
    }

    #[test]
    fn only_a_directory_gets_another_mode_and_no_link_is_followed() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let mode = |name: &str| at(name).metadata().unwrap().mode() & 0o7777;
        std::fs::create_dir_all(at("tree/dir")).unwrap();
        std::fs::create_dir_all(at("outside/in")).unwrap();
        std::fs::write(at("tree/file"), "x").unwrap();
        symlink("../outside", at("tree/link")).unwrap();
        for name in ["outside", "outside/in", "tree/file"] {
            chmod(at(name), Mode::from_raw_mode(0o755)).unwrap();
        }
        // What its owner may not even list.
        chmod(at("tree/dir"), Mode::from_raw_mode(0)).unwrap();
        let dir = Dir::open(&at("tree")).unwrap();
        for name in ["", "dir", "file", "link", "link/in", "../outside", "gone", "file/x"] {
            dir.set_dir_mode(Path::new(name), 0o1700).unwrap();
        }
        assert_eq!((mode("tree"), mode("tree/dir")), (0o1700, 0o1700));
        assert_eq!([mode("outside"), mode("outside/in"), mode("tree/file")], [0o755; 3]);
    }
}
