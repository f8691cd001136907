//! Directories of stead's own that a run could change as it liked: taken back for the next one.

use std::ffi::OsString;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat, chmod};

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
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // By way of /proc it is this very directory, whatever the name has become meanwhile.
        open_beneath(std::os::fd::AsFd::as_fd(self.fd()), name, flags, Mode::empty())
            .and_then(|fd| {
                let mode = Mode::from_raw_mode((stat.st_mode & 0o777) | USABLE);
                chmod(format!("/proc/self/fd/{}", fd.as_raw_fd()), mode)
            })
            .map_err(|error| fault("make usable", name, error))?;
        Ok(true)
    }
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
}
