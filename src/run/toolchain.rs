//! Toolchains that live in a user's HOME: what of them a run reads behind a wall, and the caches that it starts with.
//!
//! Only what is listed crosses. Credentials lie beside it and are on no list: `~/.cargo/credentials.toml`, `~/.npmrc`,
//! `~/.gem/credentials`.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use crate::confine::policy::{Cache, Place};

/// A toolchain: the variable that says where it is, its usual place under HOME, and what of it is read ("" is all).
type Toolchain = (&'static str, &'static str, &'static [&'static str]);

const TOOLCHAINS: &[Toolchain] = &[
    ("CARGO_HOME", ".cargo", &["bin", "env", "config.toml", "config"]),
    ("RUSTUP_HOME", ".rustup", &[""]),
    ("NVM_DIR", ".nvm", &[""]),
    ("VOLTA_HOME", ".volta", &[""]),
    ("FNM_DIR", ".local/share/fnm", &[""]),
    ("PYENV_ROOT", ".pyenv", &[""]),
    ("RBENV_ROOT", ".rbenv", &[""]),
    ("ASDF_DATA_DIR", ".asdf", &[""]),
    ("MISE_DATA_DIR", ".local/share/mise", &[""]),
    ("SDKMAN_DIR", ".sdkman", &["bin", "candidates", "etc", "libexec", "var"]),
    ("BUN_INSTALL", ".bun", &["bin"]),
    ("DENO_INSTALL", ".deno", &["bin"]),
    ("GOPATH", "go", &["bin"]),
    ("PNPM_HOME", ".local/share/pnpm", &[""]),
    ("CONDA_PREFIX", "miniconda3", &[""]),
    ("JAVA_HOME", "", &[""]),
    ("GOROOT", "", &[""]),
    ("DOTNET_ROOT", ".dotnet", &[""]),
    ("ANDROID_HOME", "", &[""]),
    ("VIRTUAL_ENV", "", &[""]),
    ("HOMEBREW_PREFIX", ".linuxbrew", &[""]),
];

/// Places of programs under HOME that no variable names.
const PROGRAMS: &[&str] = &[
    ".local/bin",
    ".local/lib",
    ".local/pipx",
    ".local/share/pipx",
    ".local/share/uv",
    ".local/share/claude",
    ".claude/local",
    ".npm-global",
    ".npm-packages",
    ".gem/ruby",
    ".nix-profile",
    ".local/state/nix",
];

/// Caches of packages: the variable and the place as above, the directory below it, and a name for what the run writes.
const CACHES: &[(&str, &str, &str, &str)] = &[
    ("CARGO_HOME", ".cargo", "registry", "cargo-registry"),
    ("CARGO_HOME", ".cargo", "git", "cargo-git"),
    ("GOPATH", "go", "pkg/mod", "go-mod"),
    ("GOCACHE", ".cache/go-build", "", "go-build"),
    ("", ".npm/_cacache", "", "npm"),
    ("PIP_CACHE_DIR", ".cache/pip", "", "pip"),
    ("", ".cache/uv", "", "uv"),
    ("", ".cache/yarn", "", "yarn"),
    ("", ".yarn/berry/cache", "", "yarn-berry"),
];

/// What is looked at to find toolchains.
#[derive(Clone, Copy)]
pub(crate) struct Host<'a> {
    /// The user's HOME.
    pub(crate) home: &'a Path,
    /// stead's own root.
    pub(crate) root: &'a Path,
    /// The value of a variable of the user's.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl<'a> Host<'a> {
    /// Returns the host of a user who has a HOME.
    pub(crate) fn of(
        home: Option<&'a Path>,
        root: &'a Path,
        variable: &'a dyn Fn(&str) -> Option<OsString>,
    ) -> Option<Self> {
        home.map(|home| Self { home, root, variable })
    }

    /// Returns what has to be read to run `program`: toolchains, the directories of the PATH, the program's own packages.
    pub(crate) fn read(&self, program: &OsStr) -> Vec<PathBuf> {
        let path = (self.variable)("PATH").unwrap_or_default();
        let directories: Vec<PathBuf> = std::env::split_paths(&path).filter(|path| self.is_narrow(path)).collect();
        let found = if Path::new(program).components().count() > 1 {
            Some(PathBuf::from(program))
        } else {
            directories.iter().map(|directory| directory.join(program)).find(|path| path.exists())
        };
        let package = found.and_then(|program| self.package(&program));
        self.toolchains().into_iter().chain(directories).chain(package).collect()
    }

    fn toolchains(&self) -> Vec<PathBuf> {
        let parts = TOOLCHAINS.iter().flat_map(|(variable, usual, parts)| {
            let at = self.place(variable, usual);
            parts.iter().filter_map(move |part| Some(join(at.as_deref()?, part)))
        });
        let programs = PROGRAMS.iter().map(|place| self.home.join(place));
        parts.chain(programs).filter(|path| self.is_narrow(path) && path.exists()).collect()
    }

    /// Returns the caches that are there, with what a run writes kept in directories below `homes`.
    pub(crate) fn caches(&self, homes: &Path) -> Vec<Cache> {
        let places = CACHES.iter().filter_map(|(variable, usual, below, name)| {
            let at = join(&self.place(variable, usual)?, below);
            Some((at, homes.join(format!("cache-{name}"))))
        });
        places
            .filter(|(at, _)| self.is_narrow(at) && at.is_dir())
            .map(|(at, changes)| Cache { at: Place::from(at), changes: Place::from(changes) })
            .collect()
    }

    /// Returns the variables that lead to toolchains under the user's HOME for a run whose HOME is another one. Where a
    /// toolchain is written to as well, it is left out: the run has one of its own.
    pub(crate) fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        let whole = TOOLCHAINS.iter().filter(|(_, usual, parts)| !usual.is_empty() && *parts == [""]);
        let found = whole.map(|(variable, usual, _)| (*variable, self.home.join(usual)));
        found.filter(|(variable, path)| (self.variable)(variable).is_none() && path.is_dir()).collect()
    }

    /// Returns what belongs to a program that is found through links: the packages around it, or its own directory.
    fn package(&self, program: &Path) -> Option<PathBuf> {
        let program = program.canonicalize().ok()?;
        let mut packages = PathBuf::new();
        for component in program.components() {
            packages.push(component);
            if component == Component::Normal("node_modules".as_ref()) {
                return Some(packages).filter(|path| self.is_narrow(path));
            }
        }
        program.parent().map(Path::to_owned).filter(|path| self.is_narrow(path))
    }

    /// Returns whether a path shows neither the HOME as a whole nor anything of stead's root.
    fn is_narrow(&self, path: &Path) -> bool {
        path.is_absolute()
            && path.parent().is_some()
            && !self.home.starts_with(path)
            && !self.root.starts_with(path)
            && !path.starts_with(self.root)
    }

    fn place(&self, variable: &str, usual: &str) -> Option<PathBuf> {
        let named = if variable.is_empty() { None } else { (self.variable)(variable) };
        match named.filter(|value| !value.is_empty()) {
            Some(value) => Some(PathBuf::from(value)),
            None if usual.is_empty() => None,
            None => Some(self.home.join(usual)),
        }
    }
}

fn join(at: &Path, below: &str) -> PathBuf {
    if below.is_empty() { at.to_owned() } else { at.join(below) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        for path in [".cargo/bin", ".cargo/registry", ".rustup/toolchains", ".local/bin", ".ssh", "stead/x"] {
            std::fs::create_dir_all(home.join(path)).unwrap();
        }
        std::fs::File::create(home.join(".cargo/credentials.toml")).unwrap();
        (dir, home)
    }

    #[test]
    fn toolchains_are_read_and_nothing_beside_them() {
        let (_dir, home) = place();
        let none = |_: &str| None;
        let host = Host { home: &home, root: &home.join("stead"), variable: &none };
        assert_eq!(host.toolchains(), [".cargo/bin", ".rustup", ".local/bin"].map(|path| home.join(path)));
        let caches = host.caches(Path::new("/homes/x"));
        let at: Vec<&Path> = caches.iter().map(|cache| cache.at.as_ref()).collect();
        assert_eq!(at, [home.join(".cargo/registry")]);
        assert_eq!(caches[0].changes.as_ref(), Path::new("/homes/x/cache-cargo-registry"));
        assert_eq!(host.variables(), [("RUSTUP_HOME", home.join(".rustup"))]);
    }

    #[test]
    fn a_variable_cannot_show_the_home_or_the_root() {
        let (dir, home) = place();
        let root = home.join("stead");
        for wide in [&home, dir.path(), &root, &root.join("x"), Path::new("/")] {
            let value = |name: &str| (name == "NVM_DIR").then(|| wide.as_os_str().to_owned());
            let host = Host { home: &home, root: &root, variable: &value };
            assert!(!host.toolchains().contains(&wide.to_path_buf()), "{}", wide.display());
        }
        let value = |name: &str| (name == "RUSTUP_HOME").then(|| home.join(".ssh/../.rustup").into_os_string());
        let host = Host { home: &home, root: &root, variable: &value };
        assert!(host.variables().is_empty());
    }

    #[test]
    fn a_program_behind_links_brings_its_packages() {
        let (dir, home) = place();
        let packages = dir.path().join("tools/node_modules");
        std::fs::create_dir_all(packages.join("agent/bin")).unwrap();
        std::fs::create_dir_all(packages.join(".bin")).unwrap();
        std::fs::File::create(packages.join("agent/bin/agent.js")).unwrap();
        std::os::unix::fs::symlink("../agent/bin/agent.js", packages.join(".bin/agent")).unwrap();
        let none = |_: &str| None;
        let host = Host { home: &home, root: &home.join("stead"), variable: &none };
        assert_eq!(host.package(&packages.join(".bin/agent")), Some(packages.canonicalize().unwrap()));
    }
}
