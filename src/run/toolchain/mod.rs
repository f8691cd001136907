//! The toolchains and package caches that this user has: what a run reads outside the system's own directories, and what it
//! must not read of it.
//!
//! Found by the variables that name them, in the usual places and on the PATH. Nothing here is started or asked. What holds
//! credentials is never part of it: a directory on the PATH that would show some is left out, and files with credentials
//! beside a toolchain are hidden.

mod table;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make files by hand")]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::config::Environment;
use crate::run::toolchain::table::{CERTIFICATES, CREDENTIALS, POINTED, SECRETS, TOOLS, Tool};
use crate::run::warm::{Cache, Warm};

/// What was found; paths that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Toolchains {
    /// Read and executed.
    pub(crate) read: BTreeSet<PathBuf>,
    /// Not even read, although below something that is.
    pub(crate) hidden: BTreeSet<PathBuf>,
    /// Read, and changed beside the host's.
    pub(crate) caches: BTreeSet<PathBuf>,
    /// Directories on the PATH that are not shown.
    pub(crate) refused: BTreeSet<PathBuf>,
    /// Variables by which a program that is shown finds the rest of its toolchain, wherever HOME is.
    pub(crate) pointers: BTreeMap<&'static str, PathBuf>,
    /// Where those are that cannot be read and changed in one place behind every wall.
    pub(crate) warm: Warm,
}

/// Finds what there is. `programs` are looked for on the PATH, and shown with the packages that they are part of; nothing
/// of `root` is.
pub(crate) fn find(environment: &Environment, home: &Path, root: &Path, programs: &[&Path]) -> Toolchains {
    let bounds = Bounds::new(home, root);
    let mut found = Toolchains::default();
    for tool in TOOLS {
        for base in bases(tool, environment, home) {
            let parts = |parts: &[&str]| parts.iter().map(|part| base.join(part)).collect::<Vec<_>>();
            for path in parts(tool.read) {
                found.show(&path, &bounds);
            }
            found.caches.extend(parts(tool.caches).into_iter().filter(|path| path.is_dir() && bounds.allow(path)));
            let warm = match tool.variable {
                "CARGO_HOME" => Some((Cache::Cargo, base.clone())),
                // The first of the list.
                "GOPATH" if !found.warm.0.contains_key(&Cache::Modules) => Some((Cache::Modules, base.join("pkg/mod"))),
                "GOMODCACHE" if environment.get(tool.variable).is_some() => Some((Cache::Modules, base.clone())),
                "GOCACHE" => Some((Cache::Builds, base.clone())),
                "npm_config_cache" => Some((Cache::Npm, base.clone())),
                "PIP_CACHE_DIR" => Some((Cache::Pip, base.clone())),
                _ => None,
            };
            found.warm.0.extend(warm);
            if POINTED.contains(&tool.variable) && base.is_dir() && bounds.allow(&base) {
                found.pointers.entry(tool.variable).or_insert(base);
            }
        }
    }
    for directory in on_path(environment) {
        if is_system(&directory) {
            // The links of the system's own lead to its own, but for those that somebody has made by hand.
            if directory.starts_with("/usr/local") {
                found.follow_links(&directory, &bounds);
            }
        } else if bounds.allow(&directory) {
            found.show(&directory, &bounds);
            found.follow_links(&directory, &bounds);
        } else if directory.is_dir() {
            found.refused.insert(directory);
        }
    }
    for directory in [".local/bin", "bin"] {
        found.follow_links(&home.join(directory), &bounds);
    }
    for name in CERTIFICATES {
        if let Some(path) = environment.get(name).map(Path::new).filter(|path| path.is_absolute()) {
            found.show(path, &bounds);
        }
    }
    for program in programs {
        if let Some(path) = which(environment, program) {
            found.show_program(&path, &bounds);
        }
    }
    // What is changed beside the host's is not read from it as well.
    let caches = found.caches.clone();
    found.read.retain(|path| !caches.iter().any(|cache| path.starts_with(cache)));
    found.hide(&bounds);
    found
}

/// Returns the file that `program` names, looked for on the PATH unless it is a path.
pub(crate) fn which(environment: &Environment, program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| environment.current_dir().join(program));
    }
    on_path(environment).into_iter().map(|directory| directory.join(program)).find(|path| path.is_file())
}

impl Toolchains {
    /// Shows a path, and where it really is.
    fn show(&mut self, path: &Path, bounds: &Bounds) {
        let Some(real) = bounds.real(path) else { return };
        if !bounds.allow(path) || !bounds.allow(&real) || (real.is_file() && tells_secrets(&real)) {
            return;
        }
        self.read.insert(path.to_owned());
        self.read.insert(real);
    }

    /// Shows what the links in a directory of programs lead to, with the packages around it.
    fn follow_links(&mut self, directory: &Path, bounds: &Bounds) {
        for entry in directory.read_dir().into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                let path = entry.path();
                // What a link beside it leads to is shown with the directory, and looked at by itself.
                if !path.read_link().is_ok_and(|target| target.parent() == Some(Path::new(""))) {
                    self.show_program(&path, bounds);
                }
            }
        }
    }

    /// Shows a program with every link on the way to it and the package that it is part of.
    fn show_program(&mut self, program: &Path, bounds: &Bounds) {
        let mut at = program.to_owned();
        // As many as the kernel follows.
        for _ in 0..40 {
            if !is_system(&at) {
                self.show(&package(&at), bounds);
            }
            let Ok(target) = at.read_link() else { break };
            at = plain(&at.parent().unwrap_or(Path::new("/")).join(target));
        }
        if let Some(real) = bounds.real(program)
            && !is_system(&real)
        {
            self.show(&package(&real), bounds);
        }
    }

    fn hide(&mut self, bounds: &Bounds) {
        let shown: Vec<&PathBuf> = self.read.iter().chain(&self.caches).collect();
        for secret in &bounds.secrets {
            if shown.iter().any(|shown| secret.starts_with(shown)) {
                self.hidden.insert(secret.clone());
            }
        }
        for shown in shown {
            self.hidden.extend(CREDENTIALS.iter().map(|name| shown.join(name)).filter(|path| path.is_file()));
        }
    }
}

/// What must not be shown.
struct Bounds {
    home: PathBuf,
    root: PathBuf,
    /// Those that are there.
    secrets: Vec<PathBuf>,
    /// Where paths really are, as far as it was asked.
    real: RefCell<HashMap<PathBuf, Option<PathBuf>>>,
}

impl Bounds {
    fn new(home: &Path, root: &Path) -> Self {
        let secrets = SECRETS.iter().map(|name| home.join(name)).filter(|path| path.symlink_metadata().is_ok());
        Self { home: home.to_owned(), root: root.to_owned(), secrets: secrets.collect(), real: RefCell::default() }
    }

    /// Returns where a path really is, if it is there.
    fn real(&self, path: &Path) -> Option<PathBuf> {
        let mut known = self.real.borrow_mut();
        known.entry(path.to_owned()).or_insert_with(|| path.canonicalize().ok()).clone()
    }

    /// Returns whether a path may be shown whole: it is not around HOME or the root, not in the root, and neither holds
    /// nor is part of what is secret, but for the programs that agents keep beside their logins.
    fn allow(&self, path: &Path) -> bool {
        let real = self.real(path);
        [Some(path), real.as_deref()].into_iter().flatten().all(|path| {
            let apart = |other: &Path| !other.starts_with(path);
            let programs = [self.home.join(".claude/local")];
            path.is_absolute()
                && path.parent().is_some()
                && apart(&self.home)
                && apart(&self.root)
                && !path.starts_with(&self.root)
                && (programs.iter().any(|program| path.starts_with(program))
                    || self.secrets.iter().all(|secret| apart(secret) && !path.starts_with(secret)))
        })
    }
}

/// Returns where a toolchain is: what its variable names, else the usual place.
fn bases(tool: &Tool, environment: &Environment, home: &Path) -> Vec<PathBuf> {
    let named = if tool.variable.is_empty() { None } else { environment.get(tool.variable) };
    match named {
        // GOPATH may be a list.
        Some(value) => std::env::split_paths(value).filter(|path| path.is_absolute()).collect(),
        None if tool.usual.is_empty() => Vec::new(),
        None if tool.usual.starts_with(".local/share/") && environment.get("XDG_DATA_HOME").is_some() => {
            let data = environment.get("XDG_DATA_HOME").map(Path::new).filter(|path| path.is_absolute());
            let below = tool.usual.trim_start_matches(".local/share/");
            vec![data.map_or_else(|| home.join(tool.usual), |data| data.join(below))]
        }
        None => vec![home.join(tool.usual)],
    }
}

fn on_path(environment: &Environment) -> Vec<PathBuf> {
    let path = environment.get("PATH").unwrap_or_default();
    std::env::split_paths(path).filter(|directory| directory.is_absolute()).collect()
}

/// Returns whether every run reads a path anyway.
fn is_system(path: &Path) -> bool {
    ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/nix", "/etc"].iter().any(|system| path.starts_with(system))
}

/// Returns the directory that a program needs to run: the outermost `node_modules` that it is in, what its `bin` is in,
/// else the program alone.
fn package(program: &Path) -> PathBuf {
    let modules = program.ancestors().filter(|path| path.file_name().is_some_and(|name| name == "node_modules")).last();
    if let Some(modules) = modules {
        return modules.to_owned();
    }
    let parent = program.parent().unwrap_or(program);
    match parent.parent() {
        // A virtual environment or a prefix of its own; a `bin` for everything is shown by itself.
        Some(around) if parent.ends_with("bin") && around.join("pyvenv.cfg").exists() => around.to_owned(),
        _ => program.to_owned(),
    }
}

/// Returns a path without `.` and `..`, taken by their names.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => drop(plain.pop()),
            std::path::Component::CurDir => {}
            component => plain.push(component),
        }
    }
    plain
}

/// Returns whether a settings file of a toolchain holds a credential, as far as its words tell.
fn tells_secrets(path: &Path) -> bool {
    const LARGEST: u64 = 1 << 20;
    let is_settings = path.extension().is_some_and(|end| end == "toml") || path.ends_with("config");
    if !is_settings || path.metadata().is_ok_and(|file| file.len() > LARGEST) {
        return false;
    }
    let bytes = std::fs::read(path).unwrap_or_default().to_ascii_lowercase();
    [&b"token"[..], b"password", b"secret"].iter().any(|word| bytes.windows(word.len()).any(|part| part == *word))
}
