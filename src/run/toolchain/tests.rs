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
    let mut host = Host::new(&["tools/x", "~/tools/y", "~/.aws/credentials", "~/.cargo/credentials", "root/tree/z"]);
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

#[test]
fn a_program_is_looked_for_in_every_directory_of_the_path() {
    let host = Host::new(&["tools/env"]);
    let (own, tools) = (host.at("tools/env"), host.at("tools"));
    let found = |path: &str| which(&Environment::of(&[("PATH", path)], "/"), Path::new("env"));
    assert_eq!(found("/usr/bin"), Some("/usr/bin/env".into()), "the system's own directories are among them");
    assert_eq!(found(&format!("{}:/usr/bin", tools.display())), Some(own));
    assert_eq!(found(&format!("/usr/bin:{}", tools.display())), Some("/usr/bin/env".into()));
    assert_eq!(found("relative:"), None);
}

#[test]
fn modules_of_go_are_where_go_looks_for_them() {
    let host = Host::new(&["a/x", "b/x", "c/x"]);
    let [a, b, c] = ["a", "b", "c"].map(|name| host.at(name));
    let gopath = format!("{}:{}", a.display(), b.display());
    let found = |variables: &[(&str, &str)]| host.find(variables, &[]).warm.0[&Cache::Modules].clone();
    assert_eq!(found(&[]), host.at("~/go/pkg/mod"));
    assert_eq!(found(&[("GOPATH", &gopath)]), a.join("pkg/mod"));
    assert_eq!(found(&[("GOPATH", &gopath), ("GOMODCACHE", c.to_str().unwrap())]), c);
}
