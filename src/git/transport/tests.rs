//! Transfers between real repositories: over http by git's own backend, over ssh by a stand-in that runs git's programs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::progress::Silent;

#[path = "../../../tests/it/support/http.rs"]
mod server;

use server::{Manners, Post, Server, Tls};

const MIRROR: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// A place with `served/x.git`: a branch `trunk` with two commits, another branch and a tag.
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(place.path().join("home")).unwrap();
        std::fs::create_dir_all(place.path().join("served")).unwrap();
        place.git("served", &["init", "-q", "-b", "trunk", "work"]);
        place.commit("one");
        place.commit("two");
        place.git("served/work", &["branch", "other", "HEAD~1"]);
        place.git("served/work", &["tag", "-a", "-m", "x", "v1"]);
        place.git("served", &["clone", "-q", "--bare", "work", "x.git"]);
        place
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn git(&self, dir: &str, args: &[&str]) -> String {
        let mut git = crate::git::oracle::git();
        environment_of_git(&mut git, &self.net(&[]));
        let done = git.args(["-c", "user.name=x", "-c", "user.email=x@y"]).args(args);
        let done = done.current_dir(self.path().join(dir)).output().unwrap();
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, text: &str) {
        let script = format!("echo {text} > file-{text} && git add .");
        let status = Command::new("sh").args(["-c", &script]).current_dir(self.path().join("served/work")).status();
        assert!(status.unwrap().success());
        self.git("served/work", &["commit", "-q", "-m", text]);
    }

    fn net(&self, more: &[(&str, &str)]) -> Net {
        let path = std::env::var("PATH").unwrap();
        let home = self.path().join("home");
        let mut all = vec![("PATH", path.as_str()), ("HOME", home.to_str().unwrap()), ("GIT_CONFIG_NOSYSTEM", "1")];
        all.extend(more);
        Net { environment: Arc::new(Environment::of(&all, "/")), interactive: false, git: false }
    }

    fn server(&self, manners: Manners) -> Server {
        Server::start(&self.path().join("served"), manners)
    }

    fn source(&self, url: &str) -> Source {
        Source::parse(url, self.path(), &self.path().join("root")).unwrap()
    }

    /// Makes an empty pool.
    fn pool(&self, name: &str) -> git2::Repository {
        git2::Repository::init_bare(self.path().join(name)).unwrap()
    }

    fn fetch(&self, pool: &git2::Repository, url: &str, depth: Option<u32>, net: &Net) -> Result<RemoteRefs> {
        fetch(pool, &self.source(url), &MIRROR.map(str::to_owned), depth, net, &Silent)
    }

    fn refs(&self, dir: &str) -> String {
        self.git(dir, &["for-each-ref", "--format=%(objectname) %(refname)"])
    }

    /// Writes a stand-in for ssh that notes its arguments and runs the remote command here.
    fn ssh(&self) -> PathBuf {
        self.script("ssh", "printf '%s\\n' \"$@\" > ARGS\nenv > ENV\nfor last; do :; done\nexec sh -c \"$last\"\n")
    }

    fn script(&self, name: &str, body: &str) -> PathBuf {
        let file = self.path().join(name);
        let body = body.replace("ARGS", &format!("'{}'", self.path().join("args").display()));
        let body = body.replace("ENV", &format!("'{}'", self.path().join("env").display()));
        // Not by `std::fs::write` here: another test may fork while the file is open for writing, and then it is busy.
        let status = Command::new("sh")
            .args(["-c", "printf '#!/bin/sh\\n%s' \"$2\" > \"$1\"", "sh", file.to_str().unwrap(), &body])
            .status();
        assert!(status.unwrap().success());
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }
}

/// Fetches whole, again, the new work, and after a branch went away.
fn follow(place: &Place, url: &str, net: &Net) {
    let pool = place.pool("pool");
    let refs = place.fetch(&pool, url, None, net).unwrap();
    assert_eq!(refs.head_branch.as_deref(), Some("refs/heads/trunk"));
    assert_eq!(refs.head.unwrap().to_string(), place.git("served/x.git", &["rev-parse", "HEAD"]));
    assert_eq!(place.refs("pool"), place.refs("served/x.git"));
    place.fetch(&pool, url, None, net).unwrap();
    place.commit("three");
    place.git("served/work", &["push", "-q", "../x.git", "trunk", "trunk:new", ":other"]);
    assert_eq!(place.fetch(&pool, url, None, net).unwrap(), list(&place.source(url), net, &Silent).unwrap());
    assert_eq!(place.refs("pool"), place.refs("served/x.git"));
    place.git("pool", &["fsck", "--strict"]);
}

/// Fetches one commit, then more.
fn shallow(place: &Place, url: &str, net: &Net) {
    let pool = place.pool("shallow");
    place.fetch(&pool, url, Some(1), net).unwrap();
    assert_eq!(place.git("shallow", &["rev-list", "--count", "trunk"]), "1");
    place.commit("later");
    place.git("served/work", &["push", "-q", "../x.git", "trunk"]);
    place.fetch(&pool, url, Some(1), net).unwrap();
    assert_eq!(place.git("shallow", &["show", "-s", "--format=%s", "trunk"]), "later");
    place.git("shallow", &["fsck", "--strict"]);
}

/// Pushes a new branch, refuses what would lose work, and pushes more than is held back.
fn push_all(place: &Place, url: &str, net: &Net) {
    place.git(".", &["clone", "-q", "served/x.git", "mine"]);
    let mine = git2::Repository::open(place.path().join("mine")).unwrap();
    let push = |refspec: &str| push(&mine, &place.source(url), refspec, net, &Silent);
    push("refs/heads/trunk:refs/heads/stead/x").unwrap();
    assert_eq!(
        place.git("served/x.git", &["rev-parse", "stead/x"]),
        place.git("served/x.git", &["rev-parse", "trunk"])
    );
    place.commit("theirs");
    place.git("served/work", &["push", "-q", "../x.git", "trunk:stead/x"]);
    let noise = "head -c 3000000 /dev/urandom > noise && git add noise";
    let status = Command::new("sh").args(["-c", noise]).current_dir(place.path().join("mine")).status();
    assert!(status.unwrap().success());
    place.git("mine", &["commit", "-q", "-m", "noise"]);
    let error = push("refs/heads/trunk:refs/heads/stead/x").unwrap_err();
    assert_eq!(Kind::of(&error), Kind::Conflict, "{error:#}");
    push("+refs/heads/trunk:refs/heads/stead/x").unwrap();
    assert_eq!(place.git("served/x.git", &["rev-parse", "stead/x"]), place.git("mine", &["rev-parse", "HEAD"]));
    place.git("served/x.git", &["fsck", "--strict"]);
    push(":refs/heads/stead/x").unwrap();
    assert!(!place.refs("served/x.git").contains("stead/x"));
}

#[test]
fn http_follows_a_repository() {
    let place = Place::new();
    let server = place.server(Manners::default());
    follow(&place, &server.url("x.git"), &place.net(&[]));
    shallow(&place, &server.url("x.git"), &place.net(&[]));
    assert!(server.seen().iter().all(|seen| !seen.headers.contains_key("git-protocol")));
    assert!(server.seen().iter().all(|seen| seen.headers["user-agent"].starts_with("git/2 (stead ")));
}

#[test]
fn http_pushes() {
    let place = Place::new();
    let server = place.server(Manners::default());
    push_all(&place, &server.url("x.git"), &place.net(&[]));
    let chunked = |seen: &server::Seen| seen.body > 1024 * 1024 && seen.headers.contains_key("transfer-encoding");
    assert!(server.seen().iter().any(chunked), "{:?}", server.seen());
}

#[test]
fn ssh_follows_a_repository_and_pushes() {
    let place = Place::new();
    let ssh = place.ssh();
    let net = place.net(&[("GIT_SSH", ssh.to_str().unwrap()), ("GIT_DIR", "/nowhere"), ("GIT_PROTOCOL", "version=2")]);
    let path = place.path().join("served/x.git").display().to_string();
    follow(&place, &format!("ssh://me@example.com:2222{path}"), &net);
    let expected = format!("-o\nBatchMode=yes\n-p\n2222\nme@example.com\ngit-upload-pack '{path}'\n");
    assert_eq!(place.read("args"), expected);
    assert!(!place.read("env").contains("GIT_DIR=") && !place.read("env").contains("GIT_PROTOCOL="));
    shallow(&place, &format!("me@example.com:{path}"), &net);
    push_all(&place, &format!("example.com:{path}"), &net);
    assert_eq!(place.read("args"), format!("-o\nBatchMode=yes\nexample.com\ngit-receive-pack '{path}'\n"));
}

#[test]
fn the_users_git_does_the_same() {
    let place = Place::new();
    let server = place.server(Manners { login: Some(("me".into(), "secret".into())), ..Manners::default() });
    let net = Net { git: true, ..place.net(&[]) };
    let url = server.url("x.git").replace("http://", "http://me:secret@");
    follow(&place, &url, &net);
    shallow(&place, &url, &net);
    push_all(&place, &url, &net);
    let error = place.fetch(&place.pool("other"), &server.url("x.git"), None, &net).unwrap_err();
    assert_eq!(Kind::of(&error), Kind::Failed, "{error:#}");
}

#[test]
fn an_empty_repository_has_no_refs() {
    let place = Place::new();
    place.git("served", &["init", "-q", "--bare", "empty.git"]);
    let server = place.server(Manners::default());
    let ssh = place.ssh();
    let net = place.net(&[("GIT_SSH", ssh.to_str().unwrap())]);
    let path = place.path().join("served/empty.git").display().to_string();
    for url in [server.url("empty.git"), format!("host:{path}")] {
        let refs = place.fetch(&place.pool(&format!("pool-{}", url.len())), &url, None, &net).unwrap();
        assert_eq!((refs.refs.len(), refs.head), (0, None), "{url}");
    }
}

#[test]
fn what_ssh_says_is_the_error() {
    let place = Place::new();
    let failing = place.script("failing", "echo 'Permission denied (publickey).' >&2\nexit 255\n");
    let holding = place.script("holding", "sleep 60 >/dev/null </dev/null &\necho 'cannot resolve' >&2\nexit 255\n");
    let path = place.path().join("served/no.git").display().to_string();
    let ssh = place.ssh();
    for (command, kind, text) in [
        (failing.to_str().unwrap(), Kind::Failed, "Permission denied (publickey)."),
        // A master connection keeps stderr open: nobody waits for its end.
        (holding.to_str().unwrap(), Kind::Failed, "cannot resolve"),
        ("/nowhere/ssh", Kind::Failed, "cannot start `/nowhere/ssh`: no such program"),
        ("exit 3;", Kind::Failed, "ended with 3"),
        (ssh.to_str().unwrap(), Kind::NotFound, "does not appear to be a git repository"),
    ] {
        let net = place.net(&[("GIT_SSH_COMMAND", command)]);
        let error = list(&place.source(&format!("host:{path}")), &net, &Silent).unwrap_err();
        assert_eq!(Kind::of(&error), kind, "{error:#}");
        assert!(error.to_string().contains(text), "{command}: {error:#}");
    }
    let net = place.net(&[("GIT_SSH", "/nowhere/ssh")]);
    let error = list(&place.source("host:x"), &net, &Silent).unwrap_err();
    assert_eq!(error.to_string(), "cannot start `/nowhere/ssh`: no such program");
}

#[test]
fn core_ssh_command_of_the_user_counts_and_other_programs_get_no_options() {
    let place = Place::new();
    let wrapper = std::fs::canonicalize(place.ssh()).unwrap();
    let wrapper = wrapper.with_file_name("wrapper");
    std::os::unix::fs::symlink("ssh", &wrapper).unwrap();
    let status = crate::git::oracle::git()
        .args(["config", "-f"])
        .arg(place.path().join("home/.gitconfig"))
        .args(["core.sshCommand", &format!("{} -F none", wrapper.display())])
        .status();
    assert!(status.unwrap().success());
    let path = place.path().join("served/x.git").display().to_string();
    list(&place.source(&format!("ssh://host:22{path}")), &place.net(&[]), &Silent).unwrap();
    assert_eq!(place.read("args"), format!("-F\nnone\n-p\n22\nhost\ngit-upload-pack '{path}'\n"));
    // A person can answer ssh's questions.
    let ssh = place.path().join("ssh");
    let net = Net { interactive: true, ..place.net(&[("GIT_SSH_COMMAND", ssh.to_str().unwrap())]) };
    list(&place.source(&format!("host:{path}")), &net, &Silent).unwrap();
    assert_eq!(place.read("args"), format!("host\ngit-upload-pack '{path}'\n"));
}

/// Wants to stop as soon as told.
struct Stop(AtomicBool);

impl Progress for Stop {
    fn report(&self, _phase: Phase, _done: u64, _total: u64) {}
    fn finish(&self, _phase: Phase) {}
    fn cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn a_blocked_transfer_ends_at_the_users_wish() {
    let place = Place::new();
    for post in [Post::Silent, Post::Stall] {
        let server = place.server(Manners { post, ..Manners::default() });
        let stop = Stop(AtomicBool::new(false));
        let pool = place.pool(&format!("{post:?}"));
        let source = place.source(&server.url("x.git"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                server.wait_for_stall();
                stop.0.store(true, Ordering::SeqCst);
            });
            let error = fetch(&pool, &source, &MIRROR.map(str::to_owned), None, &place.net(&[]), &stop).unwrap_err();
            assert_eq!(error.to_string(), "interrupted");
        });
    }
    let silent = place.script("silent", "exec sleep 60\n");
    let net = place.net(&[("GIT_SSH", silent.to_str().unwrap())]);
    let stop = Stop(AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| stop.0.store(true, Ordering::SeqCst));
        let error = list(&place.source("host:x"), &net, &stop).unwrap_err();
        assert_eq!(error.to_string(), "interrupted");
    });
}

#[test]
fn a_connection_that_breaks_off_is_said_so() {
    let place = Place::new();
    let server = place.server(Manners { post: Post::Cut, ..Manners::default() });
    let error = place.fetch(&place.pool("pool"), &server.url("x.git"), None, &place.net(&[])).unwrap_err();
    assert!(error.to_string().starts_with("the connection to `127.0.0.1`"), "{error:#}");
    assert_eq!(place.refs("pool"), "");
}

#[test]
fn silence_ends_after_the_time_that_git_is_configured_for() {
    let place = Place::new();
    let server = place.server(Manners { post: Post::Stall, ..Manners::default() });
    let silent = place.script("silent", "exec sleep 60\n");
    let net = place.net(&[("GIT_HTTP_LOW_SPEED_TIME", "1"), ("GIT_SSH", silent.to_str().unwrap())]);
    for url in [server.url("x.git"), "127.0.0.1:x".to_owned()] {
        let error = place.fetch(&place.pool(&format!("p{}", url.len())), &url, None, &net).unwrap_err();
        assert!(error.to_string().ends_with("`127.0.0.1` sent nothing for 1 s"), "{error:#}");
    }
}

#[test]
fn a_token_is_for_its_host_and_never_shown() {
    let place = Place::new();
    let tls = Tls::new();
    let login = Some(("x-access-token".to_owned(), "t0ken".to_owned()));
    let server = place.server(Manners { login, tls: Some(tls.clone()), ..Manners::default() });
    let file = place.script("authority.pem", &tls.authority);
    let mut variables =
        vec![("SSL_CERT_FILE", file.to_str().unwrap()), ("GH_TOKEN", "t0ken"), ("GH_HOST", "localhost")];
    list(&place.source(&server.url("x.git")), &place.net(&variables), &Silent).unwrap();
    variables[1] = ("GH_TOKEN", "wr0ng");
    let error = list(&place.source(&server.url("x.git")), &place.net(&variables), &Silent).unwrap_err();
    assert_eq!(error.to_string(), "`localhost` does not accept the credentials from `GH_TOKEN`");
    variables.pop();
    let before = server.seen().len();
    list(&place.source(&server.url("x.git")), &place.net(&variables), &Silent).unwrap_err();
    assert!(server.seen()[before..].iter().all(|seen| !seen.headers.contains_key("authorization")));
}

#[test]
fn a_proxy_gets_whole_urls_for_http_and_connect_for_https() {
    let place = Place::new();
    let tls = Tls::new();
    let plain = place.server(Manners::default());
    let secure = place.server(Manners { tls: Some(tls.clone()), ..Manners::default() });
    let file = place.script("authority.pem", &tls.authority);
    let file = file.to_str().unwrap();
    let proxy = place.server(Manners::default());
    let url = format!("http://me:pr%6Fxy@127.0.0.1:{}", proxy.port());
    let net = place.net(&[("http_proxy", &url), ("https_proxy", &url), ("SSL_CERT_FILE", file)]);
    place.fetch(&place.pool("one"), &plain.url("x.git"), None, &net).unwrap();
    assert!(plain.seen().is_empty());
    let seen = proxy.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.iter().all(|seen| seen.target.starts_with(&plain.url("x.git/"))), "{seen:?}");
    assert!(seen.iter().all(|seen| seen.headers["proxy-authorization"] == "Basic bWU6cHJveHk="), "{seen:?}");
    place.fetch(&place.pool("two"), &secure.url("x.git"), None, &net).unwrap();
    assert!(proxy.seen().len() > 2 && proxy.seen()[2..].iter().all(|seen| seen.method == "CONNECT"));
    assert_eq!(secure.seen().len(), 2);
    assert!(secure.seen().iter().all(|seen| !seen.headers.contains_key("proxy-authorization")));
    let before = proxy.seen().len();
    // `no_proxy` and an empty `http.proxy` go past it.
    for more in [("no_proxy", "127.0.0.1"), ("GIT_CONFIG_COUNT", "1")] {
        let direct = [("http_proxy", url.as_str()), ("GIT_CONFIG_KEY_0", "http.proxy"), more];
        list(&place.source(&plain.url("x.git")), &place.net(&direct), &Silent).unwrap();
    }
    assert_eq!(plain.seen().len(), 2);
    assert_eq!(proxy.seen().len(), before);
}

#[test]
fn headers_and_certificates_of_the_users_configuration_count() {
    let place = Place::new();
    let tls = Tls::new();
    let server = place.server(Manners { tls: Some(tls.clone()), ..Manners::default() });
    let file = place.script("authority.pem", &tls.authority);
    let net = place.net(&[
        ("GIT_CONFIG_COUNT", "3"),
        ("GIT_CONFIG_KEY_0", "http.sslCAInfo"),
        ("GIT_CONFIG_VALUE_0", file.to_str().unwrap()),
        ("GIT_CONFIG_KEY_1", "http.extraHeader"),
        ("GIT_CONFIG_VALUE_1", "X-One: 1"),
        ("GIT_CONFIG_KEY_2", "http.https://elsewhere.extraHeader"),
        ("GIT_CONFIG_VALUE_2", "X-Two: 2"),
    ]);
    list(&place.source(&server.url("x.git")), &net, &Silent).unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].headers["x-one"], "1");
    assert!(!seen[0].headers.contains_key("x-two"));
    let error = list(&place.source(&server.url("x.git")), &place.net(&[]), &Silent).unwrap_err();
    assert!(error.to_string().contains("the certificate of `localhost` is not trusted"), "{error:#}");
    list(&place.source(&server.url("x.git")), &place.net(&[("GIT_SSL_NO_VERIFY", "1")]), &Silent).unwrap();
}
