use std::os::unix::fs::symlink;

use super::*;

/// A host with caches, and the directories of a workspace.
struct Host {
    dir: tempfile::TempDir,
    warm: Warm,
}

impl Host {
    fn new(caches: &[Cache], files: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let warm = Warm(caches.iter().map(|cache| (*cache, dir.path().join(cache.name()))).collect());
        let host = Self { dir, warm };
        std::fs::create_dir_all(host.at("homes/home")).unwrap();
        for file in files {
            host.write(file);
        }
        host
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, file: &str) {
        std::fs::create_dir_all(self.at(file).parent().unwrap()).unwrap();
        std::fs::write(self.at(file), file).unwrap();
    }

    fn fill(&self, may_read: impl Fn(&Path) -> bool) -> Result<()> {
        let homes = Dir::open(&self.at("homes")).unwrap();
        self.warm.fill(&homes, &homes.dir(Path::new("home")).unwrap(), may_read)
    }

    /// Returns where the link at a path of the private HOME leads.
    fn link(&self, path: &str) -> PathBuf {
        self.at("homes/home").join(path).read_link().unwrap()
    }

    /// Returns what has a name in the private HOME, links that lead nowhere too.
    fn has(&self, path: &str) -> bool {
        self.at("homes/home").join(path).symlink_metadata().is_ok()
    }
}

#[test]
fn what_is_there_is_linked_and_what_is_added_stays_apart() {
    let host = Host::new(
        &[Cache::Cargo],
        &[
            "cargo/registry/src/r/a-1/lib.rs",
            "cargo/registry/cache/r/a-1.crate",
            "cargo/credentials.toml",
            "cargo/config.toml",
        ],
    );
    let own = host.at("homes/home/.cargo/registry");
    std::fs::create_dir_all(own.join("src/r/a-2")).unwrap();
    for _ in 0..2 {
        host.fill(|path| !path.ends_with("config.toml")).unwrap();
    }
    assert_eq!(host.link(".cargo/registry/src/r/a-1"), host.at("cargo/registry/src/r/a-1"));
    assert_eq!(std::fs::read_to_string(own.join("cache/r/a-1.crate")).unwrap(), "cargo/registry/cache/r/a-1.crate");
    std::fs::write(own.join("cache/r/b-1.crate"), "").unwrap();
    assert!(!host.at("cargo/registry/cache/r/b-1.crate").exists());
    assert!(!host.has(".cargo/credentials.toml") && !host.has(".cargo/config.toml"));
}

#[test]
fn modules_of_go_are_linked_whole_and_downloads_by_the_file() {
    let downloads = "cache/download/a.org/b/@v";
    let at = |name: &str| format!("go-modules/{downloads}/{name}");
    let [zip, info, lock, list] = ["v1.0.0.zip", "v1.0.0.info", "v1.0.0.lock", "list"].map(at);
    let files = ["go-modules/a.org/b@v1.0.0/b.go", "go-modules/cache/lock", "go-modules/cache/vcs/0a/config"];
    let host = Host::new(&[Cache::Modules], &[&files[..], &[&zip, &info, &lock, &list]].concat());
    host.fill(|_| false).unwrap();
    assert!(!host.has("go"));
    host.fill(|_| true).unwrap();
    assert_eq!(host.link("go/pkg/mod/a.org/b@v1.0.0"), host.at("go-modules/a.org/b@v1.0.0"));
    let own = host.at("homes/home/go/pkg/mod");
    let mut names: Vec<_> = own.join(downloads).read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["v1.0.0.info", "v1.0.0.zip"]);
    assert!(!own.join("cache/lock").exists() && !own.join("cache/vcs").exists());
}

#[test]
fn what_a_tool_writes_into_is_copied_and_kept() {
    let host = Host::new(
        &[Cache::Builds, Cache::Npm, Cache::Pip],
        &[
            "go-builds/0a/1-a",
            "go-builds/0a/1-d",
            "npm/_cacache/content-v2/sha512/0a/1b/2c",
            "npm/_cacache/index-v5/0a/1b/2c",
            "npm/_logs/log",
            "pip/http-v2/0/a/1/b/2/0a1b2.body",
            "pip/wheels/0a/1b/2c/3d/origin.json",
        ],
    );
    let large = host.at("npm/_cacache/index-v5/0a/1b/large");
    std::fs::File::create(large).unwrap().set_len(1 << 20).unwrap();
    // Links of the user's are read by nobody for the run.
    symlink(host.at("npm/_logs/log"), host.at("npm/_cacache/index-v5/0a/1b/link")).unwrap();
    host.fill(|_| true).unwrap();
    let (npm, pip) = (".npm/_cacache", ".cache/pip");
    assert_eq!(host.link(".cache/go-build/0a/1-d"), host.at("go-builds/0a/1-d"));
    assert_eq!(
        host.link(&format!("{npm}/content-v2/sha512/0a/1b/2c")),
        host.at("npm/_cacache/content-v2/sha512/0a/1b/2c")
    );
    assert_eq!(host.link(&format!("{pip}/http-v2/0/a/1/b/2/0a1b2.body")), host.at("pip/http-v2/0/a/1/b/2/0a1b2.body"));
    let copies = [
        (".cache/go-build/0a/1-a".to_owned(), "go-builds/0a/1-a"),
        (format!("{npm}/index-v5/0a/1b/2c"), "npm/_cacache/index-v5/0a/1b/2c"),
        (format!("{pip}/wheels/0a/1b/2c/3d/origin.json"), "pip/wheels/0a/1b/2c/3d/origin.json"),
    ];
    for (own, from) in &copies {
        let own = host.at("homes/home").join(own);
        assert!(!own.is_symlink());
        assert_eq!(std::fs::read_to_string(&own).unwrap(), *from);
        std::fs::write(own, "mine").unwrap();
    }
    assert!(!host.has(&format!("{npm}/index-v5/0a/1b/large")) && !host.has(&format!("{npm}/index-v5/0a/1b/link")));
    assert!(!host.has(".npm/_logs"));
    for file in ["go-builds/0a/2-a", "npm/_cacache/index-v5/0a/1b/3d", "pip/wheels/0a/1b/2c/3d/x.whl"] {
        host.write(file);
    }
    host.fill(|_| true).unwrap();
    assert!(host.has(&format!("{npm}/index-v5/0a/1b/3d")) && host.has(".cache/go-build/0a/2-a"));
    for (own, from) in copies {
        assert_eq!(std::fs::read_to_string(host.at("homes/home").join(own)).unwrap(), "mine");
        assert_eq!(std::fs::read_to_string(host.at(from)).unwrap(), from);
    }
}

#[test]
fn an_unchanged_cache_is_not_filled_again() {
    let host = Host::new(&[Cache::Builds], &["go-builds/0a/1-d", "go-builds/0b/1-d"]);
    host.fill(|_| true).unwrap();
    let own = host.at("homes/home/.cache/go-build");
    std::fs::remove_file(own.join("0a/1-d")).unwrap();
    host.fill(|_| true).unwrap();
    assert!(!host.has(".cache/go-build/0a/1-d"), "what the run has thrown away stays away");
    host.write("go-builds/0b/2-d");
    host.fill(|_| true).unwrap();
    assert!(host.has(".cache/go-build/0a/1-d") && host.has(".cache/go-build/0b/2-d"));
    // Another directory in its place is filled.
    std::fs::rename(&own, own.with_extension("old")).unwrap();
    host.fill(|_| true).unwrap();
    assert!(host.has(".cache/go-build/0a/1-d"));
}

#[test]
fn links_that_lead_nowhere_any_more_are_removed() {
    let host = Host::new(&[Cache::Builds], &["go-builds/0a/1-d", "go-builds/0a/2-d", "go-builds/0b/1-d"]);
    host.fill(|_| true).unwrap();
    let own = host.at("homes/home/.cache/go-build");
    symlink("/nowhere", own.join("0a/own-d")).unwrap();
    std::fs::remove_file(host.at("go-builds/0a/1-d")).unwrap();
    std::fs::remove_dir_all(host.at("go-builds/0b")).unwrap();
    host.fill(|_| true).unwrap();
    let has = |name: &str| host.has(&format!(".cache/go-build/{name}"));
    assert!(!has("0a/1-d") && has("0a/2-d") && !has("0b/1-d") && has("0a/own-d"));
    std::fs::remove_dir_all(host.at("go-builds")).unwrap();
    host.fill(|_| true).unwrap();
    assert!(!has("0a/2-d") && has("0a/own-d"));
}

#[test]
fn what_the_run_puts_in_the_way_is_not_followed_and_keeps_no_other_cache_from_being_filled() {
    let host = Host::new(
        &[Cache::Builds, Cache::Npm, Cache::Pip],
        &[
            "go-builds/0a/1-a",
            "npm/_cacache/content-v2/sha512/0a/1b/2c",
            "npm/_cacache/index-v5/0a/1b/2c",
            "pip/http-v2/0/a/1/b/2/0a1b2",
        ],
    );
    std::fs::create_dir(host.at("elsewhere")).unwrap();
    for path in [".cache/go-build/0a", ".npm/_cacache/content-v2/sha512", ".npm/_cacache/index-v5/0a/1b"] {
        let path = host.at("homes/home").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(host.at("elsewhere"), path).unwrap();
    }
    host.write("homes/home/.cache/pip/http-v2/0/a");
    host.fill(|_| true).unwrap();
    assert_eq!(std::fs::read_dir(host.at("elsewhere")).unwrap().count(), 0);
    let kept = "homes/home/.cache/pip/http-v2/0/a";
    assert_eq!(std::fs::read_to_string(host.at(kept)).unwrap(), kept);
    // Nor is a link above them all, and what is said of it keeps nothing else cold.
    std::fs::remove_dir_all(host.at("homes/home/.npm")).unwrap();
    std::fs::remove_dir_all(host.at("homes/home/.cache/pip")).unwrap();
    symlink(host.at("elsewhere"), host.at("homes/home/.npm")).unwrap();
    host.fill(|_| true).unwrap_err();
    assert_eq!(std::fs::read_dir(host.at("elsewhere")).unwrap().count(), 0);
    assert!(host.has(".cache/pip/http-v2/0/a/1/b/2/0a1b2"));
}

#[test]
fn what_is_large_is_for_projects_of_its_kind() {
    let caches = [Cache::Cargo, Cache::Modules, Cache::Builds, Cache::Npm, Cache::Pip];
    let host = Host::new(&caches, &["npm/a", "tree/web/package.json", "tree/deep/down/go.mod", "go-builds/0a/1-d"]);
    let tree = Dir::open(&host.at("tree")).unwrap();
    let wanted = |program: &str| host.warm.wanted(&tree, OsStr::new(program)).0.into_keys().collect::<Vec<_>>();
    assert_eq!(wanted("make"), [Cache::Cargo, Cache::Modules, Cache::Npm]);
    assert_eq!(wanted("/usr/local/bin/go"), [Cache::Cargo, Cache::Modules, Cache::Builds, Cache::Npm]);
    host.write("tree/requirements.txt");
    assert_eq!(wanted("make"), [Cache::Cargo, Cache::Modules, Cache::Npm, Cache::Pip]);
    // One that is not wanted this time is not filled again the next.
    host.fill(|_| true).unwrap();
    let marks = std::fs::read_to_string(host.at("homes/warm")).unwrap();
    assert!(marks.contains("go-builds "), "{marks}");
    let homes = Dir::open(&host.at("homes")).unwrap();
    let private = homes.dir(Path::new("home")).unwrap();
    host.warm.wanted(&tree, OsStr::new("make")).fill(&homes, &private, |_| true).unwrap();
    assert_eq!(std::fs::read_to_string(host.at("homes/warm")).unwrap(), marks);
}

#[test]
fn the_newest_is_there_when_there_is_no_room_for_all() {
    let host = Host::new(&[Cache::Builds], &["go-builds/0a/1-d", "go-builds/0a/2-d", "go-builds/0b/3-d"]);
    for (file, days) in [("0a/1-d", 3), ("0a/2-d", 1), ("0b/3-d", 2)] {
        let at = std::time::SystemTime::now() - std::time::Duration::from_hours(24 * days);
        std::fs::File::open(host.at("go-builds").join(file)).unwrap().set_modified(at).unwrap();
    }
    for (most, expected) in [(2, [false, true, true]), (1, [false, true, false]), (3, [true; 3])] {
        let own = host.at("homes/home").join(most.to_string());
        std::fs::create_dir(&own).unwrap();
        fill::fill(Cache::Builds, &host.at("go-builds"), &Dir::open(&own).unwrap(), most).unwrap();
        let has = ["0a/1-d", "0a/2-d", "0b/3-d"].map(|file| own.join(file).exists());
        assert_eq!(has, expected, "{most}");
        assert_eq!(own.join("0b").exists(), expected[2], "a directory is not made for nothing");
    }
}
