//! [`Policy`]: what a run may read, write, reach and consume, as data. `run::policy` decides it; the walls enforce it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a policy is enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wall {
    /// It is not: the run may do whatever the user may.
    #[default]
    None,
    /// Namespaces of its own with a root of its own, and Landlock and seccomp inside.
    Namespaces,
    /// Landlock and seccomp.
    Landlock,
    /// A container of an engine.
    Container,
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Namespaces => "namespaces",
            Self::Landlock => "landlock",
            Self::Container => "container",
        })
    }
}

/// An allow-list: what is not on it does not exist for the run, or cannot be opened. A path that is not there on the host is
/// passed by, so that one list fits hosts of all kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) wall: Wall,
    /// Read and executed, with all that is below.
    pub(crate) read: Vec<Place>,
    /// Not even that, although it is below something that is read.
    pub(crate) hidden: Vec<Place>,
    /// Read and written in place, with all that is below: the tree.
    pub(crate) write: Vec<Place>,
    /// Read from the host, and written beside it.
    pub(crate) caches: Vec<Cache>,
    /// The run's HOME.
    pub(crate) home: Option<Private>,
    /// The run's `/tmp`.
    pub(crate) temporary: Option<Private>,
    /// Whether it may use the network: the host's own, localhost included.
    pub(crate) net: bool,
    /// Sockets of the host that it may connect to.
    pub(crate) sockets: Vec<Place>,
}

impl Policy {
    /// Returns what the run can write, as it sees it.
    pub(crate) fn writable(&self) -> impl Iterator<Item = &Path> {
        let private = self.home.iter().chain(&self.temporary).map(|private| private.at.as_ref());
        self.write.iter().map(AsRef::as_ref).chain(private).filter(|path: &&Path| !path.as_os_str().is_empty())
    }
}

/// A directory that is the run's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Private {
    /// Where the run sees it.
    pub(crate) at: Place,
    /// Where it is on the host; hostile.
    pub(crate) from: Place,
}

/// A directory of the host whose changes are the run's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cache {
    /// The host's, and where the run sees it.
    pub(crate) at: Place,
    /// Where what the run writes is kept: a directory of the workspace's own, hostile, made when it is missing.
    pub(crate) changes: Place,
}

/// An absolute path, whatever its bytes are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(PathBuf);

impl<T: Into<PathBuf>> From<T> for Place {
    fn from(path: T) -> Self {
        Self(path.into())
    }
}

impl AsRef<Path> for Place {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As bytes: serde refuses a path that is not UTF-8.
        OsStr::serialize(self.0.as_os_str(), serializer)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        OsString::deserialize(deserializer).map(|path| Self(path.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn a_policy_crosses_to_another_process_as_it_is() {
        let place = |bytes: &[u8]| Place::from(Path::new(OsStr::from_bytes(bytes)));
        let policy = Policy {
            read: vec![place(b"/usr")],
            write: vec![place(b"/w \xff")],
            home: Some(Private { at: place(b"/home/u"), from: place(b"/root/homes/u") }),
            net: true,
            ..Policy::default()
        };
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    }
}
