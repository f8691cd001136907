//! One workspace from its beginning to its end, over every way to a source.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::http::{Manners, Server, Tls};
use crate::support::{Place, describe, succeed, write};

/// What a run does; a clone in which the same is done is the oracle.
const EDITS: &str = "echo more >> README.md && rm docs/guide.md && mkdir bin && printf 'a\\0b' > bin/data && \
                     git add -A && git commit -q -m work && git mv src/main.rs src/lib.rs && chmod +x src/lib.rs && \
                     ln -s src/lib.rs link";

/// A source that is a bare repository, and a project beside it that others push from.
struct Journey {
    place: Place,
    origin: PathBuf,
    others: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Journey {
    fn new() -> Self {
        let place = Place::new();
        let others = place.project("others");
        let origin = place.path().join("projects/api");
        place.git(&others, ["clone", "-q", "--bare", ".", origin.to_str().expect("UTF-8")]);
        place.git(&others, ["remote", "add", "origin", origin.to_str().expect("UTF-8")]);
        Self { place, origin, others, variables: Vec::new() }
    }

    /// Runs `stead ARGS`, which must succeed, and returns what it printed.
    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let variables = self.variables.iter().map(|(name, value)| (*name, value));
        let output = self.place.stead(args).envs(variables).output().expect("stead starts");
        assert!(output.status.success(), "{args:?}\n{}", describe(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Has others put a commit on the default branch.
    fn upstream(&self, file: &str) {
        write(&self.others, file, "theirs\n");
        self.place.git(&self.others, ["add", "."]);
        self.place.git(&self.others, ["commit", "-q", "-m", file]);
        self.place.git(&self.others, ["push", "-q", "origin", "main"]);
    }

    /// Clones `url`, keeps the clone up to date, runs edits there, pushes them and collects the workspace.
    #[track_caller]
    fn go(&self, url: &str) {
        let (place, git) = (&self.place, |dir: &Path, args: &[&str]| self.place.git(dir, args));
        self.ok(&["clone", url, "x"]);
        let tree = place.tree("x");
        // A `file://` URL is a path like any other from then on.
        let known_as = if url.starts_with("file:") { self.origin.to_str().expect("UTF-8") } else { url };
        assert_eq!(git(&tree, &["remote", "get-url", "origin"]).trim(), known_as);

        self.upstream("theirs-1");
        self.ok(&["sync", "x"]);
        assert_eq!(git(&tree, &["rev-parse", "HEAD"]), git(&self.origin, &["rev-parse", "main"]));
        assert!(tree.join("theirs-1").exists());

        let clone = place.path().join("projects/clone");
        git(&self.others, &["clone", "-q", self.origin.to_str().expect("UTF-8"), clone.to_str().expect("UTF-8")]);
        self.ok(&["exec", "x", "--isolation", "none", "--", "sh", "-c", EDITS]);
        let mut by_hand = Command::new("sh");
        place.isolate(&mut by_hand);
        succeed(by_hand.args(["-c", EDITS]).current_dir(&clone));
        git(&clone, &["add", "-A"]);
        let raw = git(&clone, &["diff", "--raw", "--no-abbrev", "--no-renames", "--cached", "origin/main"]);
        let theirs: Vec<String> = raw
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                format!("{} {} {}", words[4], words[1], words[5])
            })
            .collect();
        let answer: serde_json::Value = serde_json::from_str(&self.ok(&["--json", "diff", "x"])).expect("JSON");
        let text = |change: &serde_json::Value, key: &str| change[key].as_str().unwrap_or("000000").to_owned();
        let mut ours = Vec::new();
        for change in answer["changes"].as_array().expect("changes") {
            let (path, mode) = (text(change, "path"), text(change, "mode"));
            match change["operation"].as_str() {
                Some("create") => ours.push(format!("A {mode} {path}")),
                Some("delete") => ours.push(format!("D 000000 {path}")),
                Some("rename") => {
                    ours.push(format!("D 000000 {}", text(change, "old_path")));
                    ours.push(format!("A {mode} {path}"));
                }
                _ => ours.push(format!("M {mode} {path}")),
            }
        }
        ours.sort_by(|one, other| one.rsplit(' ').next().cmp(&other.rsplit(' ').next()));
        assert_eq!(ours, theirs, "{answer}");
        std::fs::remove_dir_all(&clone).expect("removed");

        assert!(self.ok(&["gc", "--all"]).starts_with("Kept `x`"));
        self.ok(&["sync", "x", "--push"]);
        assert_eq!(git(&self.origin, &["show", "stead/x:README.md"]), "# project\nmore\n");
        assert_eq!(git(&self.origin, &["log", "--format=%s", "main..stead/x"]).lines().count(), 2);
        git(&self.origin, &["fsck", "--strict"]);
        let project = self.others.to_str().expect("UTF-8");
        self.ok(&["sync", "x", "--to", project]);
        let tree_of = |dir: &Path| git(dir, &["rev-parse", "stead/x^{tree}"]);
        assert_eq!(tree_of(&self.others), tree_of(&self.origin));
        assert!(self.ok(&["gc", "--all"]).starts_with("Moved `x` to the trash"));
        assert!(!tree.exists());
    }
}

fn percent(path: &Path) -> String {
    path.display().to_string().replace(' ', "%20").replace('é', "%C3%A9")
}

#[test]
fn over_a_path() {
    let journey = Journey::new();
    journey.go(journey.origin.to_str().expect("UTF-8"));
}

#[test]
fn over_a_file_url() {
    let journey = Journey::new();
    journey.go(&format!("file://{}", percent(&journey.origin)));
}

#[test]
fn over_http() {
    let journey = Journey::new();
    // Only who logs in may push.
    let login = Some(("me".into(), "pass word".into()));
    let server =
        Server::start(&journey.place.path().join("projects"), Manners { login, gzip: true, ..Manners::default() });
    write(&journey.place.home(), ".netrc", "machine 127.0.0.1 login me password \"pass word\"\n");
    journey.go(&server.url("api"));
    assert!(server.seen().iter().any(|seen| seen.target.ends_with("/git-receive-pack")));
}

#[test]
fn over_https() {
    let mut journey = Journey::new();
    let tls = Tls::new();
    write(&journey.place.home(), "authority.pem", &tls.authority);
    let authority = journey.place.home().join("authority.pem");
    journey.variables.push(("SSL_CERT_FILE", authority.to_str().expect("UTF-8").to_owned()));
    let login = Some(("me".into(), "word".into()));
    let manners = Manners { login, tls: Some(tls), ..Manners::default() };
    let server = Server::start(&journey.place.path().join("projects"), manners);
    write(&journey.place.home(), ".netrc", "machine localhost login me password word\n");
    journey.go(&server.url("api"));
}

#[test]
fn over_ssh() {
    let mut journey = Journey::new();
    // Whatever host is named, the remote command runs here.
    write(journey.place.path(), "bin/ssh", "for last; do :; done\nexec sh -c \"$last\"\n");
    let ssh = journey.place.path().join("bin/ssh");
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).expect("mode");
    journey.variables.push(("GIT_SSH_COMMAND", format!("sh '{}'", ssh.display())));
    journey.go(&format!("ssh://me@host.example{}", percent(&journey.origin)));
}
