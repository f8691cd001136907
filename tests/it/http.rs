//! Sources over http(s): git's own backend behind a server that asks for logins, sends elsewhere, breaks off and falls silent.

use std::path::Path;
use std::process::{Output, Stdio};

use snapbox::{assert_data_eq, str};

use crate::support::http::{Manners, Post, Server, Tls};
use crate::support::{Place, describe, write};

/// Serves `projects/`, in which `api` is a project.
pub(crate) fn serve(place: &Place, manners: Manners) -> Server {
    place.project("api");
    Server::start(&place.path().join("projects"), manners)
}

pub(crate) fn login() -> Manners {
    Manners { login: Some(("me".into(), "pass word".into())), ..Manners::default() }
}

/// Runs `stead clone URL x` with more variables.
fn clone(place: &Place, url: &str, variables: &[(&str, &str)]) -> Output {
    place.stead(["clone", url, "x"]).envs(variables.iter().copied()).output().expect("stead starts")
}

#[track_caller]
fn assert_cloned(place: &Place, output: &Output) {
    assert!(output.status.success(), "{}", describe(output));
    let api = place.path().join("projects/api");
    let tree = place.tree("x");
    assert_eq!(place.git(&tree, ["rev-parse", "HEAD"]), place.git(&api, ["rev-parse", "main"]));
    assert_eq!(place.git(&tree, ["status", "--porcelain"]), "");
}

/// Asserts that nothing was made, and returns the first line on stderr.
#[track_caller]
fn assert_nothing(place: &Place, output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", describe(output));
    for directory in ["staging", "workspaces/local", "state/local", "homes/local"] {
        let names = names(&place.root().join(directory));
        assert!(names.iter().all(|name| name.starts_with('.')), "{directory}: {names:?}\n{}", describe(output));
    }
    assert!(pools(place).is_empty(), "{:?}\n{}", pools(place), describe(output));
    String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned()
}

/// Returns what is in `pools/` besides locks.
fn pools(place: &Place) -> Vec<String> {
    let names = names(&place.root().join("pools"));
    names.into_iter().filter(|name| Path::new(name).extension().is_none_or(|end| end != "lock")).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Asserts that no file under `directory` holds `text`.
#[track_caller]
fn assert_nowhere(directory: &Path, text: &str) {
    for entry in walkdir::WalkDir::new(directory) {
        let entry = entry.expect("an entry");
        if entry.file_type().is_file() {
            let content = std::fs::read(entry.path()).expect("a file");
            let found = content.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!found, "`{text}` is in {}", entry.path().display());
        }
    }
}

#[test]
fn a_second_clone_takes_only_what_is_new() {
    let place = Place::new();
    let server = serve(&place, Manners::default());
    assert_cloned(&place, &clone(&place, &server.url("api"), &[]));
    let requests = server.seen().len();
    let again = place.stead(["clone", &server.url("api/"), "y"]).output().unwrap();
    assert!(again.status.success(), "{}", describe(&again));
    assert_eq!(server.seen().len(), requests + 1, "nothing is new");
    let api = place.path().join("projects/api");
    write(&api, "new", "new\n");
    place.git(&api, ["add", "."]);
    place.git(&api, ["commit", "-q", "-m", "third"]);
    let again = place.stead(["clone", &server.url("api"), "z"]).output().unwrap();
    assert!(again.status.success(), "{}", describe(&again));
    assert_eq!(place.git(&place.tree("z"), ["rev-parse", "HEAD"]), place.git(&api, ["rev-parse", "HEAD"]));
    place.git(&place.tree("z"), ["fsck", "--strict"]);
    assert_eq!(pools(&place).len(), 1, "{:?}", pools(&place));
}

#[test]
fn a_request_is_fetched_by_its_number() {
    let place = Place::new();
    let server = serve(&place, Manners::default());
    let api = place.path().join("projects/api");
    let work = place.git(&api, ["commit-tree", "-p", "HEAD", "-m", "asked for", "HEAD^{tree}"]);
    place.git(&api, ["update-ref", "refs/pull/3/head", work.trim_end()]);
    let create =
        |name: &str, request: &str| place.json(["create", name, "--from", &server.url("api"), "--branch", request]);
    let (code, answer) = create("missing", "pr/9");
    assert_eq!((code, answer["error"]["kind"].as_str()), (3, Some("not-found")), "{answer}");
    assert!(pools(&place).is_empty(), "{:?}", pools(&place));
    let (code, answer) = create("x", "pr/3");
    assert_eq!(code, 0, "{answer}");
    assert_eq!(place.git(&place.tree("x"), ["rev-parse", "HEAD"]), work);
    let (code, answer) = create("missing", "mr/3");
    assert_eq!((code, answer["error"]["kind"].as_str()), (3, Some("not-found")), "{answer}");
    // One that was fetched before is in nobody's way.
    let output = place.stead(["clone", &server.url("api"), "y"]).output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
    assert_eq!(place.git(&place.tree("y"), ["status", "-b", "--porcelain"]), "## main...origin/main\n");
}

#[test]
fn only_the_asked_depth_is_fetched() {
    let place = Place::new();
    let server = serve(&place, Manners::default());
    let output = place.stead(["clone", "--depth", "1", &server.url("api"), "x"]).output().unwrap();
    assert_cloned(&place, &output);
    assert_eq!(place.git(&place.tree("x"), ["rev-list", "--count", "HEAD"]).trim(), "1");
}

#[test]
fn compressed_answers_are_read() {
    let place = Place::new();
    let server = serve(&place, Manners { gzip: true, ..Manners::default() });
    assert_cloned(&place, &clone(&place, &server.url("api"), &[]));
}

#[test]
fn a_login_comes_from_netrc() {
    let place = Place::new();
    let server = serve(&place, login());
    write(&place.home(), ".netrc", "machine 127.0.0.1\n  login me\n  password \"pass word\"\n");
    assert_cloned(&place, &clone(&place, &server.url("api"), &[]));
    assert!(!server.seen()[0].headers.contains_key("authorization"));
    assert!(server.seen()[1..].iter().all(|seen| seen.headers.contains_key("authorization")));
    assert_nowhere(&place.root(), "pass word");
}

#[test]
fn a_login_comes_from_the_users_credential_helper_which_is_told_the_end() {
    let place = Place::new();
    let server = serve(&place, login());
    let log = place.home().join("log");
    let helper = |password: &str| {
        let script = format!(
            "!f() {{ echo $1 >> '{}'; test $1 != get || printf 'username=me\\npassword={password}\\n'; }}; f",
            log.display()
        );
        place.git(&place.home(), ["config", "--global", "credential.helper", &script]);
    };
    helper("wrong");
    let output = clone(&place, &server.url("api"), &[]);
    let error = assert_nothing(&place, &output, 1);
    assert_eq!(error, "error: `127.0.0.1` does not accept the credentials from `git credential`");
    assert_eq!(server.seen().len(), 2);
    helper("pass word");
    assert_cloned(&place, &clone(&place, &server.url("api"), &[]));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "get\nerase\nget\nstore\n");
}

#[test]
fn a_login_in_the_url_is_used_and_kept_nowhere() {
    let place = Place::new();
    let server = serve(&place, login());
    let url = server.url("api").replace("http://", "http://me:pass%20word@");
    let output = place.stead(["-v", "clone", &url, "x"]).output().unwrap();
    assert_cloned(&place, &output);
    for text in ["pass%20word", "pass word", "me:pass"] {
        assert_nowhere(&place.root(), text);
        assert!(!describe(&output).contains(text), "{}", describe(&output));
    }
    let origin = place.git(&place.tree("x"), ["config", "remote.origin.url"]);
    assert_eq!(origin.trim(), server.url("api"));
    let wrong = server.url("api").replace("http://", "http://me:wr0ng@");
    let output = place.stead(["-v", "clone", &wrong, "y"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    assert!(!describe(&output).contains("wr0ng"), "{}", describe(&output));
}

#[test]
fn without_a_login_the_failure_says_how_to_give_one() {
    let place = Place::new();
    let server = serve(&place, login());
    let output = clone(&place, &server.url("api"), &[]);
    assert_nothing(&place, &output, 1);
    assert_data_eq!(
        output.stderr.as_slice(),
        str![[r#"
error: `127.0.0.1` asks for credentials for `http://127.0.0.1:[..]/api`
  hint: use `GITHUB_TOKEN`, `~/.netrc` or a credential helper of git

"#]]
    );
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_redirect_is_followed_but_gets_no_login() {
    let place = Place::new();
    let redirecting = |to: &Server| {
        let manners = Manners { redirect: Some(format!("http://127.0.0.1:{}", to.port())), ..login() };
        Server::start(&place.path().join("projects"), manners)
    };
    let with_login = |server: &Server| server.url("api").replace("http://", "http://me:pass%20word@");
    let asking = serve(&place, login());
    let server = redirecting(&asking);
    let error = assert_nothing(&place, &clone(&place, &with_login(&server), &[]), 1);
    assert!(error.starts_with("error: `127.0.0.1` asks for credentials for"), "{error}");
    assert!(server.seen()[1].headers.contains_key("authorization"));
    let open = Server::start(&place.path().join("projects"), Manners::default());
    let server = redirecting(&open);
    assert_cloned(&place, &clone(&place, &with_login(&server), &[]));
    assert_eq!(server.seen().len(), 2);
    for target in [open, asking] {
        assert!(!target.seen().is_empty());
        assert!(target.seen().iter().all(|seen| !seen.headers.contains_key("authorization")));
    }
}

#[test]
fn redirects_in_a_circle_and_from_https_to_http_are_refused() {
    let place = Place::new();
    let plain = serve(&place, Manners::default());
    let tls = Tls::new();
    write(&place.home(), "authority.pem", &tls.authority);
    let authority = place.home().join("authority.pem");
    let down = Manners { redirect: Some(plain.url("")), tls: Some(tls), ..Manners::default() };
    let server = Server::start(&place.path().join("projects"), down);
    let output = clone(&place, &server.url("api"), &[("SSL_CERT_FILE", authority.to_str().unwrap())]);
    let error = assert_nothing(&place, &output, 1);
    assert!(error.ends_with("from https to http"), "{error}");
    assert!(plain.seen().is_empty());
    let circle =
        Server::start(&place.path().join("projects"), Manners { redirect: Some(String::new()), ..Manners::default() });
    let output = clone(&place, &circle.url("api"), &[]);
    assert_eq!(assert_nothing(&place, &output, 1), "error: `127.0.0.1` redirects too often");
    assert_eq!(circle.seen().len(), 11);
}

#[test]
fn a_private_authority_is_trusted_when_named() {
    let place = Place::new();
    let tls = Tls::new();
    write(&place.home(), "authority.pem", &tls.authority);
    let authority = place.home().join("authority.pem");
    let server = serve(&place, Manners { tls: Some(tls), ..Manners::default() });
    let output = clone(&place, &server.url("api"), &[("SSL_CERT_FILE", "/nowhere/authority.pem")]);
    let error = assert_nothing(&place, &output, 1);
    assert!(error.starts_with("error: cannot read the certificates in `/nowhere/authority.pem`"), "{error}");
    let other = Tls::new();
    write(&place.home(), "other.pem", &other.authority);
    let other = place.home().join("other.pem");
    let output = clone(&place, &server.url("api"), &[("SSL_CERT_FILE", other.to_str().unwrap())]);
    let error = assert_nothing(&place, &output, 1);
    assert!(error.starts_with("error: the certificate of `localhost` is not trusted"), "{error}");
    assert!(server.seen().is_empty());
    assert_cloned(&place, &clone(&place, &server.url("api"), &[("SSL_CERT_FILE", authority.to_str().unwrap())]));
}

#[test]
fn the_proxy_of_the_users_configuration_is_used() {
    let place = Place::new();
    let server = serve(&place, Manners::default());
    let proxy = Server::start(&place.path().join("projects"), Manners::default());
    place.git(&place.home(), ["config", "--global", "http.proxy", &proxy.url("")]);
    assert_cloned(&place, &clone(&place, &server.url("api"), &[]));
    assert!(server.seen().is_empty());
    assert!(proxy.seen()[0].target.starts_with(&server.url("api/info/refs")));
}

#[test]
fn a_repository_that_is_not_there_is_not_found() {
    let place = Place::new();
    let server = serve(&place, Manners::default());
    let output = clone(&place, &server.url("none"), &[]);
    let error = assert_nothing(&place, &output, 3);
    assert_eq!(error, format!("error: no repository at `{}`", server.url("none")));
    let (code, object) = place.json(["clone", &server.url("none"), "x"]);
    assert_eq!((code, object["error"]["kind"].as_str()), (3, Some("not-found")));
}

#[test]
fn statuses_and_unreachable_hosts_are_told_apart() {
    let place = Place::new();
    let server =
        |status| Server::start(&place.path().join("projects"), Manners { status: Some(status), ..Manners::default() });
    for (status, text) in
        [(403, "does not allow access to"), (503, "answered with status 503"), (200, "smart protocol")]
    {
        let server = server(status);
        let output = clone(&place, &server.url("api"), &[]);
        let error = assert_nothing(&place, &output, if status == 200 { 8 } else { 1 });
        assert!(error.contains(text), "{error}");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = clone(&place, &format!("http://127.0.0.1:{port}/x"), &[]);
    let error = assert_nothing(&place, &output, 1);
    assert!(error.starts_with("error: cannot reach `127.0.0.1`: "), "{error}");
}

#[test]
fn a_connection_that_breaks_off_leaves_nothing() {
    let place = Place::new();
    let server = serve(&place, Manners { post: Post::Cut, ..Manners::default() });
    let output = clone(&place, &server.url("api"), &[]);
    let error = assert_nothing(&place, &output, 1);
    assert!(error.contains("the connection to `127.0.0.1`"), "{error}");
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let place = Place::new();
    let server = serve(&place, Manners { post: Post::Stall, ..Manners::default() });
    let output = clone(&place, &server.url("api"), &[("GIT_HTTP_LOW_SPEED_TIME", "1")]);
    assert_eq!(assert_nothing(&place, &output, 1), "error: `127.0.0.1` sent nothing for 1 s");
}

#[test]
fn an_interrupted_transfer_leaves_nothing() {
    let place = Place::new();
    for post in [Post::Stall, Post::Silent] {
        let place = Place::new();
        let server = serve(&place, Manners { post, ..Manners::default() });
        let mut command = place.stead(["clone", &server.url("api"), "x"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        server.wait_for_stall();
        let process = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_nothing(&place, &output, 130);
    }
    drop(place);
}

#[test]
fn the_users_instead_of_counts_for_every_request() {
    let place = Place::new();
    let server = serve(&place, Manners::default());
    place.git(
        &place.home(),
        ["config", "--global", &format!("url.{}.insteadOf", server.url("")), "https://forge.invalid/"],
    );
    assert_cloned(&place, &clone(&place, "https://forge.invalid/api", &[]));
    let again = place.stead(["clone", "https://forge.invalid/api", "y"]).output().unwrap();
    assert!(again.status.success(), "{}", describe(&again));
    assert_eq!(place.git(&place.tree("x"), ["config", "remote.origin.url"]).trim(), "https://forge.invalid/api");
}

#[test]
fn the_configuration_of_a_repository_counts_for_nothing() {
    let place = Place::new();
    let server = serve(&place, login());
    let evil = place.project("evil");
    let marker = place.path().join("marker");
    let run = format!("!touch '{}'", marker.display());
    for (key, value) in [
        ("credential.helper", run.as_str()),
        ("core.askPass", &run[1..]),
        ("core.sshCommand", &run[1..]),
        ("http.proxy", "http://127.0.0.1:1"),
        ("url.http://127.0.0.1:1/.insteadOf", &server.url("")),
    ] {
        place.git(&evil, ["config", key, value]);
    }
    let output = place.stead(["clone", &server.url("api"), "x"]).current_dir(&evil).output().unwrap();
    let error = assert_nothing(&place, &output, 1);
    assert!(error.contains("asks for credentials"), "{error}");
    let output =
        place.stead(["clone", "host.invalid:api", "x"]).env("PATH", "/nowhere").current_dir(&evil).output().unwrap();
    let error = assert_nothing(&place, &output, 1);
    assert_eq!(error, "error: cannot start `ssh`: no such program");
    assert!(!marker.exists());
}

#[test]
fn the_users_git_fetches_when_configured() {
    let place = Place::new();
    let server = serve(&place, login());
    write(&place.home(), ".netrc", "machine 127.0.0.1 login me password \"pass word\"\n");
    write(&place.home(), ".config/stead/config.toml", "[net]\ngit = true\n");
    assert_cloned(&place, &clone(&place, &server.url("api"), &[]));
    assert!(!server.seen()[0].headers["user-agent"].contains("stead"));
    let output = place.stead(["clone", &server.url("none"), "y"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", describe(&output));
}

#[test]
fn work_is_pushed_with_the_users_login() {
    let place = Place::new();
    let server = serve(&place, login());
    write(&place.home(), ".netrc", "machine 127.0.0.1 login me password \"pass word\"\n");
    assert_cloned(&place, &clone(&place, &server.url("api"), &[]));
    let tree = place.tree("x");
    write(&tree, "new", "new\n");
    place.git(&tree, ["add", "."]);
    place.git(&tree, ["commit", "-q", "-m", "work"]);
    place.ok(["sync", "x", "--push"]);
    let api = place.path().join("projects/api");
    assert_eq!(place.git(&api, ["rev-parse", "stead/x"]), place.git(&tree, ["rev-parse", "HEAD"]));
    assert!(server.seen().iter().any(|seen| seen.target.ends_with("/git-receive-pack")));
}
