//! Which toolchains and caches there are, and what beside them holds credentials: data alone.

/// A toolchain: the variable that names its directory, where it is otherwise (below HOME unless absolute), and what of it.
pub(super) struct Tool {
    pub(super) variable: &'static str,
    pub(super) usual: &'static str,
    /// Read; an empty text stands for all of it.
    pub(super) read: &'static [&'static str],
    pub(super) caches: &'static [&'static str],
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

pub(super) const TOOLS: &[Tool] = &[
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
pub(super) const SECRETS: &[&str] = &[
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
pub(super) const CREDENTIALS: &[&str] =
    &["credentials", "credentials.toml", "credentials.json", ".npmrc", ".netrc", ".pypirc", ".env", "auth.json"];

/// Variables that name a toolchain which is only read: a run gets them where its HOME is not that of the toolchain.
pub(super) const POINTED: &[&str] = &[
    "RUSTUP_HOME",
    "NVM_DIR",
    "VOLTA_HOME",
    "FNM_DIR",
    "PYENV_ROOT",
    "RBENV_ROOT",
    "ASDF_DIR",
    "ASDF_DATA_DIR",
    "MISE_DATA_DIR",
    "SDKMAN_DIR",
    "DOTNET_ROOT",
    "ANDROID_HOME",
    "PIPX_HOME",
    "GHCUP_INSTALL_BASE_PREFIX",
    "OPAMROOT",
    "ELAN_HOME",
];

/// Variables that name certificates to trust.
pub(super) const CERTIFICATES: &[&str] = &[
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
];
