//! The toolchains and package caches that this user has: what a run reads outside the system's own directories, and what it
//! must not read of it.
//!
//! Found by the variables that name them, in the usual places and on the PATH. Nothing here is started or asked. What holds
//! credentials is never part of it: a directory on the PATH that would show some is left out, and files with credentials
//! beside a toolchain are hidden.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::config::Environment;

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
}

/// A toolchain: the variable that names its directory, where it is otherwise (below HOME unless absolute), and what of it.
struct Tool {
    variable: &'static str,
    usual: &'static str,
    /// Read; an empty text stands for all of it.
    read: &'static [&'static str],
    caches: &'static [&'static str],
}

const fn tool(
    variable: &'static str,
    usual: &'static str,
    read: &'static [&'static str],
    caches: &'static [&'static str],
) -> Tool {
    Tool { variable, usual, read, caches }
}

const ALL: &[&str] = &[""];

const TOOLS: &[Tool] = &[
    tool("CARGO_HOME", ".cargo", &["bin", "env", "config.toml", "config"], &["registry", "git"]),
    tool("RUSTUP_HOME", ".rustup", &["toolchains", "settings.toml", "update-hashes"], &[]),
    tool("NVM_DIR", ".nvm", ALL, &[]),
    tool("VOLTA_HOME", ".volta", ALL, &[]),
    tool("FNM_DIR", ".local/share/fnm", ALL, &[]),
    tool("FNM_DIR", ".fnm", ALL, &[]),
    tool("PYENV_ROOT", ".pyenv", ALL, &[]),
    tool("RBENV_ROOT", ".rbenv", ALL, &[]),
    tool("ASDF_DIR", ".asdf", ALL, &[]),
    tool("ASDF_DATA_DIR", ".asdf", ALL, &[]),
    tool("", ".tool-versions", ALL, &[]),
    tool("MISE_DATA_DIR", ".local/share/mise", ALL, &[]),
    tool("", ".config/mise/config.toml", ALL, &[]),
    tool("SDKMAN_DIR", ".sdkman", ALL, &[]),
    tool("GOROOT", ".local/go", ALL, &[]),
    tool("GOPATH", "go", &["bin"], &["pkg/mod"]),
    tool("GOMODCACHE", "go/pkg/mod", &[], ALL),
    tool("GOCACHE", ".cache/go-build", &[], ALL),
    tool("", "sdk", ALL, &[]),
    tool("DENO_INSTALL", ".deno", &["bin"], &[]),
    tool("DENO_DIR", ".cache/deno", &[], ALL),
    tool("BUN_INSTALL", ".bun", &["bin", "install/global"], &["install/cache"]),
    tool("PNPM_HOME", ".local/share/pnpm", ALL, &["store"]),
    tool("NPM_CONFIG_PREFIX", ".npm-global", &["bin", "lib"], &[]),
    tool("npm_config_cache", ".npm", &[], &["_cacache", "_npx"]),
    tool("", ".node-gyp", ALL, &[]),
    tool("", ".cache/node-gyp", ALL, &[]),
    tool("", ".cache/node", ALL, &[]),
    tool("YARN_CACHE_FOLDER", ".cache/yarn", &[], ALL),
    tool("", ".yarn/berry", &[], &["cache"]),
    tool("PIP_CACHE_DIR", ".cache/pip", &[], ALL),
    tool("UV_CACHE_DIR", ".cache/uv", &[], ALL),
    tool("", ".cache/pypoetry", &[], ALL),
    tool("", ".local/share/uv", &["tools", "python"], &[]),
    tool("PIPX_HOME", ".local/share/pipx", ALL, &[]),
    tool("PIPX_HOME", ".local/pipx", ALL, &[]),
    tool("", ".local/bin", ALL, &[]),
    tool("", ".local/lib", ALL, &[]),
    tool("", "bin", ALL, &[]),
    tool("HOMEBREW_PREFIX", "/home/linuxbrew/.linuxbrew", ALL, &[]),
    tool("HOMEBREW_PREFIX", ".linuxbrew", ALL, &[]),
    tool("", ".nix-profile", ALL, &[]),
    tool("", ".local/state/nix/profiles", ALL, &[]),
    tool("CONDA_PREFIX", "miniconda3", ALL, &[]),
    tool("CONDA_PREFIX", "anaconda3", ALL, &[]),
    tool("CONDA_PREFIX", "miniforge3", ALL, &[]),
    tool("CONDA_PREFIX", "mambaforge", ALL, &[]),
    tool("VIRTUAL_ENV", "", ALL, &[]),
    tool("JAVA_HOME", "", ALL, &[]),
    tool("ANDROID_HOME", "Android/Sdk", ALL, &[]),
    tool("DOTNET_ROOT", ".dotnet", ALL, &[]),
    tool("GEM_HOME", ".gem", &["ruby"], &[]),
    tool("GRADLE_USER_HOME", ".gradle", &["wrapper"], &["caches"]),
    tool("M2_HOME", "", ALL, &[]),
    tool("MAVEN_HOME", "", ALL, &[]),
    tool("", ".m2", &["wrapper"], &["repository"]),
    tool("GHCUP_INSTALL_BASE_PREFIX", ".ghcup", ALL, &[]),
    tool("OPAMROOT", ".opam", ALL, &[]),
    tool("ELAN_HOME", ".elan", ALL, &[]),
    tool("", ".claude/local", ALL, &[]),
    tool("", ".local/share/claude/versions", ALL, &[]),
];

/// What under HOME is nobody's business, whatever else is read.
const SECRETS: &[&str] = &[
    ".ssh",
    ".aws",
    ".azure",
    ".gnupg",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".vault-token",
    ".terraform.d",
    ".password-store",
    ".mozilla",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".m2/settings.xml",
    ".gradle/gradle.properties",
    ".config/gh",
    ".config/glab-cli",
    ".config/hub",
    ".config/gcloud",
    ".config/git/credentials",
    ".config/op",
    ".config/pip",
    ".config/google-chrome",
    ".config/chromium",
    ".config/stead",
    ".local/share/keyrings",
    ".local/share/uv/credentials",
    ".claude",
    ".claude.json",
    ".codex",
    ".gemini",
    ".pi",
    ".config/opencode",
    ".local/share/opencode",
];

/// Names that hold credentials wherever they are beside a toolchain.
const CREDENTIALS: &[&str] =
    &["credentials", "credentials.toml", "credentials.json", ".npmrc", ".netrc", ".pypirc", ".env", "auth.json"];

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
        }
    }
    for directory in on_path(environment) {
        if bounds.allow(&directory) {
            found.show(&directory, &bounds);
            // The links of the system's own lead to its own.
            if !is_system(&directory) || directory.starts_with("/usr/local") {
                found.follow_links(&directory, &bounds);
            }
        } else if directory.is_dir() {
            found.refused.insert(directory);
        }
    }
    for directory in [".local/bin", "bin"] {
        found.follow_links(&home.join(directory), &bounds);
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
        let Ok(real) = path.canonicalize() else { return };
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
                self.show_program(&entry.path(), bounds);
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
        if let Ok(real) = program.canonicalize()
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
}

impl Bounds {
    fn new(home: &Path, root: &Path) -> Self {
        let secrets = SECRETS.iter().map(|name| home.join(name)).filter(|path| path.symlink_metadata().is_ok());
        Self { home: home.to_owned(), root: root.to_owned(), secrets: secrets.collect() }
    }

    /// Returns whether a path may be shown whole: it is not around HOME or the root, not in the root, and neither holds
    /// nor is part of what is secret, but for the programs that agents keep beside their logins.
    fn allow(&self, path: &Path) -> bool {
        let real = path.canonicalize();
        [Some(path), real.as_deref().ok()].into_iter().flatten().all(|path| {
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
        None => vec![home.join(tool.usual)],
    }
}

fn on_path(environment: &Environment) -> Vec<PathBuf> {
    let path = environment.get("PATH").unwrap_or_default();
    std::env::split_paths(path).filter(|directory| directory.is_absolute() && !is_system(directory)).collect()
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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make files by hand")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Host {
        dir: tempfile::TempDir,
        path: String,
    }

    impl Host {
        fn new(files: &[&str]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let host = Self { path: String::new(), dir };
            for file in files {
                let path = host.at(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "x").unwrap();
            }
            host
        }

        /// Returns a path on the host; `~` is HOME.
        fn at(&self, path: &str) -> PathBuf {
            let dir = self.dir.path().canonicalize().unwrap();
            dir.join(path.replace('~', "home"))
        }

        fn link(&self, target: &str, path: &str) {
            std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
            symlink(target, self.at(path)).unwrap();
        }

        fn find(&self, variables: &[(&str, &str)], programs: &[&str]) -> Toolchains {
            std::fs::create_dir_all(self.at("~")).unwrap();
            let mut own = vec![("PATH", self.path.as_str())];
            own.extend(variables);
            let programs: Vec<&Path> = programs.iter().map(Path::new).collect();
            find(&Environment::of(&own, "/"), &self.at("~"), &self.at("root"), &programs)
        }
    }

    #[test]
    fn a_toolchain_is_shown_without_its_credentials() {
        let host = Host::new(&[
            "~/.cargo/bin/cargo",
            "~/.cargo/credentials.toml",
            "~/.cargo/registry/cache/x.crate",
            "~/.rustup/toolchains/stable/bin/rustc",
            "~/.nvm/nvm.sh",
            "~/.nvm/.npmrc",
            "~/.ssh/id_ed25519",
        ]);
        let found = host.find(&[], &[]);
        for path in ["~/.cargo/bin", "~/.rustup/toolchains", "~/.nvm"] {
            assert!(found.read.contains(&host.at(path)), "{path}: {found:?}");
        }
        for path in ["~", "~/.cargo", "~/.ssh", "~/.rustup", "~/.cargo/registry", "~/.cargo/credentials.toml"] {
            assert!(!found.read.contains(&host.at(path)), "{path}: {found:?}");
        }
        assert_eq!(found.caches, BTreeSet::from([host.at("~/.cargo/registry")]));
        assert_eq!(found.hidden, BTreeSet::from([host.at("~/.nvm/.npmrc")]));
    }

    #[test]
    fn a_variable_says_where_a_toolchain_is() {
        let host = Host::new(&["data/cargo/bin/cargo", "~/.cargo/bin/cargo", "a/pkg/mod/x", "b/pkg/mod/y"]);
        let gopath = format!("{}:{}", host.at("a").display(), host.at("b").display());
        let found = host.find(&[("CARGO_HOME", host.at("data/cargo").to_str().unwrap()), ("GOPATH", &gopath)], &[]);
        assert_eq!(found.read, BTreeSet::from([host.at("data/cargo/bin")]));
        assert_eq!(found.caches, BTreeSet::from([host.at("a/pkg/mod"), host.at("b/pkg/mod")]));
    }

    #[test]
    fn settings_with_a_token_are_not_shown() {
        let host = Host::new(&["~/.cargo/bin/cargo", "~/.cargo/config.toml"]);
        assert!(host.find(&[], &[]).read.contains(&host.at("~/.cargo/config.toml")));
        std::fs::write(host.at("~/.cargo/config.toml"), "[registries.x]\nToken = 'y'\n").unwrap();
        assert!(!host.find(&[], &[]).read.contains(&host.at("~/.cargo/config.toml")));
    }

    #[test]
    fn a_directory_on_the_path_is_shown_unless_it_holds_what_is_secret() {
        let mut host =
            Host::new(&["tools/x", "~/tools/y", "~/.aws/credentials", "~/.cargo/credentials", "root/tree/z"]);
        let names = ["tools", "~/tools", "~", ".", "~/.cargo", "~/.aws", "root/tree", "gone"];
        host.path = names.map(|name| host.at(name).display().to_string()).join(":") + ":/usr/bin:relative";
        let found = host.find(&[], &[]);
        assert_eq!(found.read, BTreeSet::from([host.at("tools"), host.at("~/tools")]));
        let refused = ["~", ".", "~/.cargo", "~/.aws", "root/tree"].map(|name| host.at(name));
        assert_eq!(found.refused, BTreeSet::from(refused));
    }

    #[test]
    fn a_link_to_what_is_secret_shows_nothing_of_it() {
        let mut host = Host::new(&["~/.ssh/id_ed25519", "tools/x"]);
        host.link("../home/.ssh", "tools/keys");
        host.link("../home/.ssh/id_ed25519", "tools/key");
        host.link("home/.ssh", "linked");
        host.path = format!("{}:{}", host.at("tools").display(), host.at("linked").display());
        let found = host.find(&[], &[]);
        assert_eq!(found.read, BTreeSet::from([host.at("tools")]));
    }

    #[test]
    fn a_program_is_shown_with_its_package_and_the_links_to_it() {
        let mut host = Host::new(&[
            "prefix/lib/node_modules/@a/agent/cli.js",
            "prefix/lib/node_modules/dep/index.js",
            "~/.local/share/venvs/tool/pyvenv.cfg",
            "~/.local/share/venvs/tool/bin/tool",
            "~/other/versions/1.2.3",
        ]);
        host.link("../lib/node_modules/@a/agent/cli.js", "prefix/bin/agent");
        host.link("../share/venvs/tool/bin/tool", "~/.local/bin/tool");
        host.link("../../hop", "~/.local/bin/hopper");
        host.link("other/versions/1.2.3", "~/hop");
        host.path = host.at("prefix/bin").display().to_string();
        let found = host.find(&[], &["agent", "missing"]);
        let expected = [
            "prefix/bin",
            "prefix/bin/agent",
            "prefix/lib/node_modules",
            "~/.local/bin",
            "~/.local/bin/hopper",
            "~/.local/bin/tool",
            "~/.local/share/venvs/tool",
            "~/hop",
            "~/other/versions/1.2.3",
        ];
        let read: Vec<&PathBuf> = found.read.iter().collect();
        for path in expected {
            assert!(found.read.contains(&host.at(path)), "{path}: {read:?}");
        }
        assert!(found.read.iter().all(|path| path.starts_with(host.at("prefix")) || path.starts_with(host.at("~"))));
        assert!(!found.read.contains(&host.at("~")) && !found.read.contains(&host.at("~/.local/share")));
    }
}
