//! User names and passwords for http: tokens of the environment, `.netrc`, then `git credential` with the user's own
//! configuration; never the configuration of a tree.
//!
//! Nothing of it is stored or printed. `git credential` runs in `/`, so that no repository's configuration counts.

use std::fmt;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::confine::spawn;
use crate::git::source::{Address, Login, Scheme};
use crate::git::transport::{Net, Transfer, environment_of_git};

/// Credentials that are offered to one server before giving up.
const TRIES: u32 = 2;

/// How long a credential helper may take when no person is asked.
const HELPER: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) origin: Origin,
}

/// Where a credential came from, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Url,
    Variable(&'static str),
    Netrc,
    Helper,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("the URL"),
            Self::Variable(name) => write!(f, "`{name}`"),
            Self::Netrc => f.write_str("`~/.netrc`"),
            Self::Helper => f.write_str("`git credential`"),
        }
    }
}

/// The credentials for one server, best first.
pub(crate) struct Candidates {
    login: Option<Login>,
    step: u32,
    tries: u32,
}

impl Candidates {
    /// Begins with the login that was typed in the URL.
    pub(crate) fn new(login: Option<Login>) -> Self {
        Self { login, step: 0, tries: 0 }
    }

    /// Returns the next credential for `address`; `None` when there is no other or enough were refused.
    pub(crate) fn next(&mut self, address: &Address, transfer: &Transfer) -> Option<Credential> {
        let environment = &transfer.net.environment;
        while self.tries < TRIES {
            self.step += 1;
            let user = self.login.as_ref().map(|login| login.user.as_str()).filter(|user| !user.is_empty());
            let found = match self.step {
                1 => self.login.as_ref().and_then(|login| {
                    let password = login.password.clone()?;
                    Some(Credential { user: login.user.clone(), password, origin: Origin::Url })
                }),
                2 if user.is_none() => token(address, |name| environment.text(name)),
                3 => {
                    let file = environment.home().map(|home| home.join(".netrc"));
                    let text = file.filter(|file| file.is_file()).and_then(|file| std::fs::read_to_string(file).ok());
                    text.and_then(|text| netrc(&text, &address.host, user))
                }
                4 => fill(address, user, transfer),
                // A token alone in place of the user.
                5 => {
                    user.map(|user| Credential { user: user.to_owned(), password: String::new(), origin: Origin::Url })
                }
                2 => None,
                _ => return None,
            };
            if found.is_some() {
                self.tries += 1;
                return found;
            }
        }
        None
    }
}

/// Tells git's helpers that a credential was accepted, when it came from there.
pub(crate) fn approve(credential: &Credential, address: &Address, net: &Net) {
    tell("approve", credential, address, net);
}

/// Tells git's helpers that a credential was refused, when it came from there.
pub(crate) fn reject(credential: &Credential, address: &Address, net: &Net) {
    tell("reject", credential, address, net);
}

/// Returns the token of the environment, which is for one host and for https alone.
fn token<'a>(address: &Address, variable: impl Fn(&str) -> Option<&'a str>) -> Option<Credential> {
    let host = variable("GH_HOST").unwrap_or("github.com");
    if address.scheme != Scheme::Https || !address.host.eq_ignore_ascii_case(host) {
        return None;
    }
    let named = |name: &'static str| variable(name).map(|token| (name, token));
    let (name, token) = named("GH_TOKEN").or_else(|| named("GITHUB_TOKEN"))?;
    let (user, password) = ("x-access-token".to_owned(), token.trim().to_owned());
    Some(Credential { user, password, origin: Origin::Variable(name) })
}

/// Finds a host (and user, when one is named) in the text of a `.netrc`.
fn netrc(text: &str, host: &str, user: Option<&str>) -> Option<Credential> {
    // A macro goes on up to an empty line.
    let mut macro_body = false;
    let lines = text.lines().filter(|line| {
        let body = macro_body;
        macro_body = (macro_body && !line.trim().is_empty()) || line.trim_start().starts_with("macdef");
        !body && !macro_body && !line.trim_start().starts_with('#')
    });
    let mut words = lines.flat_map(words);
    let mut matches = false;
    let (mut login, mut password) = (None, None);
    let found = |login: &Option<String>, password: &Option<String>| {
        let (login, password) = (login.clone().or_else(|| user.map(str::to_owned))?, password.clone()?);
        let wanted = user.is_none_or(|user| user == login);
        wanted.then_some(Credential { user: login, password, origin: Origin::Netrc })
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "machine" | "default" => {
                if let Some(credential) = found(&login, &password).filter(|_| matches) {
                    return Some(credential);
                }
                (login, password) = (None, None);
                matches = word == "default" || words.next().is_some_and(|name| name.eq_ignore_ascii_case(host));
            }
            "login" => login = words.next(),
            "password" => password = words.next(),
            "account" => drop(words.next()),
            _ => {}
        }
    }
    found(&login, &password).filter(|_| matches)
}

/// Splits a line of a `.netrc` at blanks; a word in double quotes may hold some.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut word = String::new();
            let mut characters = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, character)) = characters.next() {
                match character {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => word.extend(characters.next().map(|(_, escaped)| escaped)),
                    _ => word.push(character),
                }
            }
            words.push(word);
            rest = quoted[end..].trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
    }
    words
}

/// Asks git's credential helpers, and a person where there is one.
fn fill(address: &Address, user: Option<&str>, transfer: &Transfer) -> Option<Credential> {
    let mut input = description(address);
    if let Some(user) = user {
        input += "username=";
        input += user;
        input.push('\n');
    }
    let limit = if transfer.net.interactive { Duration::MAX } else { HELPER };
    let answer = run("fill", &input, &transfer.net, limit, || transfer.cancelled())?;
    let text = |key: &str| {
        answer.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| *name == key).map(|(_, value)| value)
    };
    let (user, password) = (text("username")?.to_owned(), text("password")?.to_owned());
    Some(Credential { user, password, origin: Origin::Helper })
}

fn tell(verb: &str, credential: &Credential, address: &Address, net: &Net) {
    if credential.origin == Origin::Helper {
        let login = format!("username={}\npassword={}\n", credential.user, credential.password);
        // Whether a helper keeps it is its own business.
        drop(run(verb, &(description(address) + &login), net, HELPER / 3, || false));
    }
}

fn description(address: &Address) -> String {
    let scheme = if address.scheme == Scheme::Https { "https" } else { "http" };
    let host = if address.host.contains(':') { format!("[{}]", address.host) } else { address.host.clone() };
    let port = address.port.map_or_else(String::new, |port| format!(":{port}"));
    let path = address.path.trim_start_matches('/');
    format!("protocol={scheme}\nhost={host}{port}\npath={path}\n")
}

/// Runs `git credential VERB`; `None` when it fails, is not there, or does not end in time.
fn run(verb: &str, input: &str, net: &Net, limit: Duration, cancelled: impl Fn() -> bool) -> Option<String> {
    let mut git: Command = spawn::command("git");
    environment_of_git(&mut git, net);
    git.args(["credential", verb]).current_dir("/");
    let mut child = git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    // It may end before it has read everything.
    drop(child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes())));
    let mut stdout = child.stdout.take()?;
    let (sender, receiver) = channel();
    // A helper that stays behind as a daemon may hold the pipe: nobody waits for this thread.
    std::thread::spawn(move || {
        let mut text = String::new();
        drop(stdout.by_ref().take(64 * 1024).read_to_string(&mut text));
        drop(sender.send(text));
    });
    let since = Instant::now();
    let answer = loop {
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(text) => break Some(text),
            Err(RecvTimeoutError::Timeout) if since.elapsed() < limit && !cancelled() => {}
            Err(_) => break None,
        }
    };
    if answer.is_none() {
        drop(child.kill());
    }
    let status = child.wait().ok()?;
    answer.filter(|_| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(found: Option<Credential>) -> Option<(String, String)> {
        found.map(|credential| (credential.user, credential.password))
    }

    #[test]
    fn netrc_is_read_by_host_and_user() {
        let text = "# comment\nmachine other login o password p\nmacdef init\nmachine example.com login evil password x\n\n\
                    machine example.com login me password \"a \\\"b\"\nmachine example.com\n  login you\n  password q\n\
                    default login anonymous password guest\n";
        let find = |host, user| pair(netrc(text, host, user));
        let some = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(find("example.com", None), some("me", "a \"b"));
        assert_eq!(find("EXAMPLE.com", Some("you")), some("you", "q"));
        assert_eq!(find("elsewhere", None), some("anonymous", "guest"));
        assert_eq!(find("elsewhere", Some("x")), None);
        assert_eq!(pair(netrc("machine a password p", "a", Some("u"))), some("u", "p"));
        assert_eq!(pair(netrc("machine a login u", "a", None)), None);
        assert_eq!(pair(netrc("", "a", None)), None);
    }

    #[test]
    fn a_token_goes_to_its_host_and_over_https_alone() {
        let token = |url: &str, variables: &[(&str, &'static str)]| {
            let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            pair(token(&Address::parse(url).unwrap().0, find)).map(|(_, password)| password)
        };
        let both = [("GITHUB_TOKEN", "one"), ("GH_TOKEN", "two")];
        assert_eq!(token("https://github.com/a/b", &both), Some("two".to_owned()));
        assert_eq!(token("https://github.com/a/b", &both[..1]), Some("one".to_owned()));
        assert_eq!(token("http://github.com/a/b", &both), None);
        assert_eq!(token("https://github.com.evil.org/a/b", &both), None);
        let own = [("GH_TOKEN", "two"), ("GH_HOST", "git.acme.org")];
        assert_eq!(token("https://git.acme.org/a/b", &own), Some("two".to_owned()));
        assert_eq!(token("https://github.com/a/b", &own), None);
    }
}
