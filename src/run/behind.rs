//! Variables that would lead behind the wall: of each that names a place which the run does not see.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::run::policy::{Policy, Wall};

/// Where programs keep what is their user's: a run keeps that in its own HOME, in the usual places.
const PLACES: &[&str] = &["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"];
/// Directories that are written to beside what is read: the run has them below its own HOME where that is elsewhere.
const WRITTEN: &[&str] = &[
    "CARGO_HOME",
    "GOCACHE",
    "GOMODCACHE",
    "GOPATH",
    "PIP_CACHE_DIR",
    "UV_CACHE_DIR",
    "YARN_CACHE_FOLDER",
    "npm_config_cache",
];
/// Lists of places; what is not there is passed by.
const LISTS: &[&str] = &["GEM_PATH", "LD_LIBRARY_PATH", "LIBRARY_PATH", "NIX_PATH", "NIX_PROFILES", "PKG_CONFIG_PATH"];
/// Commands with arguments.
const COMMANDS: &[&str] = &["EDITOR", "PAGER", "VISUAL"];

/// What a run sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) policy: &'a Policy,
    /// The user's HOME.
    pub(crate) home: &'a Path,
}

/// Mends variables for a run that has a wall, but for those that `given` says the user has chosen; returns the names of those
/// that are left out.
pub(crate) fn mend(
    variables: &mut Vec<(OsString, OsString)>,
    view: View<'_>,
    given: impl Fn(&str) -> bool,
    places: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut dropped = Vec::new();
    variables.retain_mut(|(name, value)| {
        let Some(text) = name.to_str().filter(|text| !given(text)) else { return true };
        let mended = if PLACES.contains(&text) || places(text) { None } else { view.mended(text, value) };
        let kept = mended.is_some();
        match mended {
            Some(mended) => *value = mended,
            None => dropped.push(text.to_owned()),
        }
        kept
    });
    dropped
}

impl View<'_> {
    /// Returns a value as the run is to have it; `None` for no variable at all.
    fn mended(&self, name: &str, value: &OsStr) -> Option<OsString> {
        let wall = self.policy.wall;
        if matches!(name, "HOME" | "TMPDIR" | "PWD") || name.starts_with("STEAD_") {
            return Some(value.to_owned());
        }
        // An image has programs and libraries of its own.
        if wall == Wall::Container && (name == "PATH" || LISTS.contains(&name)) {
            return None;
        }
        if wall == Wall::Landlock && WRITTEN.contains(&name) {
            return None;
        }
        if name == "PATH" || LISTS.contains(&name) {
            return Some(value.to_owned());
        }
        let text = value.to_str();
        let path = match text {
            Some(text) if COMMANDS.contains(&name) => Path::new(text.split_whitespace().next().unwrap_or_default()),
            _ => Path::new(value),
        };
        if !path.is_absolute() || self.sees(path) {
            return Some(value.to_owned());
        }
        let seen_home = self.policy.home.as_ref().map(|home| home.at.as_ref());
        if let (Ok(below), Some(seen), false) = (path.strip_prefix(self.home), seen_home, wall == Wall::Container) {
            // The same place in the run's own HOME.
            let moved: PathBuf = if below.as_os_str().is_empty() { seen.into() } else { seen.join(below) };
            return Some(if COMMANDS.contains(&name) { value.to_owned() } else { moved.into() });
        }
        // A value that only looks like a path leads nowhere.
        (path.symlink_metadata().is_err()).then(|| value.to_owned())
    }

    fn sees(&self, path: &Path) -> bool {
        let policy = self.policy;
        let caches = policy.caches.iter().map(|cache| cache.at.as_ref());
        let sockets = policy.sockets.iter().map(AsRef::as_ref);
        let read = policy.read.iter().map(AsRef::as_ref);
        let written = policy.write.iter().map(AsRef::as_ref);
        // Its HOME and its `/tmp` have the names of others, and nothing of them.
        read.chain(written).chain(caches).chain(sockets).any(|seen: &Path| path.starts_with(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::policy::{Place, Private};

    fn mended(wall: Wall, home: &Path, variables: &[(&str, &str)]) -> (Vec<(String, String)>, Vec<String>) {
        let seen = if wall == Wall::Landlock { Path::new("/private/home") } else { home };
        let policy = Policy {
            wall,
            read: vec![Place::from("/usr"), Place::from(home.join(".nvm"))],
            home: Some(Private { at: Place::from(seen), from: Place::from("/private/home") }),
            ..Policy::default()
        };
        let mut variables: Vec<(OsString, OsString)> =
            variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let dropped =
            mend(&mut variables, View { policy: &policy, home }, |name| name == "GIVEN", |name| name == "CODEX_HOME");
        let text = |text: OsString| text.into_string().unwrap();
        (variables.into_iter().map(|(name, value)| (text(name), text(value))).collect(), dropped)
    }

    #[test]
    fn a_place_is_moved_kept_or_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        let outside = dir.path().join("outside");
        std::fs::create_dir_all(&outside).unwrap();
        let under = |path: &str| home.join(path).to_str().unwrap().to_owned();
        let outside = outside.to_str().unwrap();
        let (gem, nvm, cargo) = (under(".gem"), under(".nvm/x"), under(".cargo"));
        let variables = [
            ("CODEX_HOME", "/x"),
            ("XDG_CONFIG_HOME", gem.as_str()),
            ("GEM_HOME", &gem),
            ("NVM_BIN", &nvm),
            ("CARGO_HOME", &cargo),
            ("JAVA_HOME", outside),
            ("GIVEN", outside),
            ("LANG", "C"),
            ("EDITOR", "/usr/bin/vi -x"),
            ("ODD", "/not/a/path"),
            ("PATH", outside),
        ];
        let names = |list: &[(String, String)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>().join(" ");
        let (kept, dropped) = mended(Wall::Namespaces, &home, &variables);
        assert_eq!(names(&kept), "GEM_HOME NVM_BIN CARGO_HOME GIVEN LANG EDITOR ODD PATH");
        assert_eq!(kept[0].1, gem);
        assert_eq!(dropped, ["CODEX_HOME", "XDG_CONFIG_HOME", "JAVA_HOME"]);
        let (kept, dropped) = mended(Wall::Landlock, &home, &variables);
        assert_eq!(names(&kept), "GEM_HOME NVM_BIN GIVEN LANG EDITOR ODD PATH");
        assert_eq!((kept[0].1.as_str(), kept[1].1.as_str()), ("/private/home/.gem", nvm.as_str()));
        assert_eq!(dropped, ["CODEX_HOME", "XDG_CONFIG_HOME", "CARGO_HOME", "JAVA_HOME"]);
        let (kept, _) = mended(Wall::Container, &home, &variables);
        assert!(!names(&kept).contains("PATH"), "{kept:?}");
    }
}
