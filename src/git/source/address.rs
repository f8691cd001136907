//! Addresses of repositories on other hosts: `https://`, `http://`, `ssh://` and `user@host:path`.

use std::fmt;

use crate::error::{Failure, Kind, Result};
use crate::git::source::{ACCEPTED, Login};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Https,
    Http,
    Ssh,
    /// `user@host:path`: the path is relative to the user's home.
    Scp,
}

/// A remote repository, without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) scheme: Scheme,
    /// The user at the other host, for ssh.
    pub(crate) user: Option<String>,
    /// In lower case; an IPv6 address without brackets.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    /// As typed, with its leading slash for the URL forms.
    pub(crate) path: String,
}

/// Returns whether `text` has the form of an address (right or wrong) rather than that of a path.
pub(crate) fn is_remote(text: &str) -> bool {
    match text.find([':', '/']) {
        Some(at) => text.as_bytes()[at] == b':',
        None => false,
    }
}

/// Returns whether `text` has the form `host:path`.
pub(crate) fn is_scp(text: &str) -> bool {
    is_remote(text) && !text.contains("://") && !text.contains("::")
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<(Self, Option<Login>)> {
        match text.split_once("://") {
            Some((scheme, rest)) => Self::parse_url(text, scheme, rest),
            None => Ok((Self::parse_scp(text)?, None)),
        }
    }

    fn parse_url(text: &str, scheme: &str, rest: &str) -> Result<(Self, Option<Login>)> {
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            "ssh" | "git+ssh" | "ssh+git" => Scheme::Ssh,
            _ if scheme.contains("::") => return Err(helper(scheme)),
            _ => return Err(usage(format!("sources of the form `{}://` are not supported", shown(scheme)))),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        // A `/` in a password ends the authority, and what is before it would be told as a host and a port.
        let is_cut = userinfo.is_none() && path.contains('@');
        let (host, port) = host_and_port(host).map_err(|error| if is_cut { cut_password() } else { error })?;
        if path.trim_matches('/').is_empty() || !path.starts_with('/') {
            return Err(usage(format!("`{}` names no repository", shown(&without_userinfo(text)))));
        }
        check_path(path)?;
        let (user, login) = match (scheme, userinfo) {
            (_, None) => (None, None),
            (Scheme::Ssh | Scheme::Scp, Some(userinfo)) => {
                let user = userinfo.split_once(':').map_or(userinfo, |(user, _)| user);
                (Some(checked_user(&percent_decode(user)?)?), None)
            }
            (Scheme::Https | Scheme::Http, Some(userinfo)) => {
                let (user, password) = match userinfo.split_once(':') {
                    Some((user, password)) => (percent_decode(user)?, Some(percent_decode(password)?)),
                    None => (percent_decode(userinfo)?, None),
                };
                (None, Some(Login { user, password }))
            }
        };
        let path = path.trim_end_matches('/').to_owned();
        if scheme == Scheme::Ssh && path.starts_with("/-") {
            return Err(usage("the path of the source starts with a dash"));
        }
        Ok((Self { scheme, user, host, port, path }, login))
    }

    fn parse_scp(text: &str) -> Result<Self> {
        let before = text.split(':').next().unwrap_or_default();
        let start = before.rfind('@').map_or(0, |at| at + 1);
        let (host, path) = match bracketed(&text[start..]) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => match text[start..].split_once(':') {
                Some((host, path)) => (host, Some(path)),
                None => (&text[start..], None),
            },
        };
        let Some(path) = path else {
            return Err(usage(format!("`{}` names no repository", shown(text))));
        };
        if path.starts_with(':') {
            return Err(helper(text.split("::").next().unwrap_or_default()));
        }
        let user = if start == 0 { None } else { Some(checked_user(&text[..start - 1])?) };
        check_host(host)?;
        if path.trim_matches('/').is_empty() {
            return Err(usage(format!("`{}` names no repository", shown(text))));
        }
        if path.starts_with('-') {
            return Err(usage("the path of the source starts with a dash"));
        }
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        Ok(Self { scheme: Scheme::Scp, user, host: host.to_ascii_lowercase(), port: None, path: path.to_owned() })
    }

    pub(crate) fn is_http(&self) -> bool {
        matches!(self.scheme, Scheme::Http | Scheme::Https)
    }

    /// Returns the text that is equal for all spellings of one source.
    pub(super) fn normalised(&self) -> String {
        let default = match self.scheme {
            Scheme::Https => 443,
            Scheme::Http => 80,
            Scheme::Ssh | Scheme::Scp => 22,
        };
        let path = self.path.strip_suffix(".git").unwrap_or(&self.path).trim_end_matches('/');
        let port = self.port.filter(|port| *port != default);
        Self { port, path: path.to_owned(), ..self.clone() }.to_string()
    }

    /// Returns owner and repository with `__` between.
    pub(super) fn name(&self) -> String {
        let path = self.path.split(['?', '#']).next().unwrap_or_default();
        let path = path.strip_suffix(".git").unwrap_or(path);
        let parts: Vec<&str> =
            path.split('/').map(|part| part.trim_start_matches('~')).filter(|part| !part.is_empty()).collect();
        parts.join("__")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Scheme::Https => f.write_str("https://")?,
            Scheme::Http => f.write_str("http://")?,
            Scheme::Ssh => f.write_str("ssh://")?,
            Scheme::Scp => {}
        }
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if self.scheme == Scheme::Scp {
            f.write_str(":")?;
        }
        f.write_str(&self.path)
    }
}

/// Decodes `%41` and the like; the result must be text without control characters.
pub(crate) fn percent_decode(text: &str) -> Result<String> {
    let decoded = String::from_utf8(percent_decode_bytes(text)).map_err(|_| usage("the source is not UTF-8"))?;
    if decoded.chars().any(char::is_control) {
        return Err(usage("the source holds control characters"));
    }
    Ok(decoded)
}

pub(super) fn percent_decode_bytes(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|pair| std::str::from_utf8(pair).ok());
        let escaped = digits.filter(|_| bytes[at] == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        decoded.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    decoded
}

/// Splits `[host]rest`.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('[')?.split_once(']')
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>)> {
    let (host, port) = match bracketed(text) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or("?"))),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    check_host(host)?;
    let port = match port {
        None | Some("") => None,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(port),
            _ => return Err(usage(format!("`{}` is no port", shown(digits)))),
        },
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// Fails unless `host` can be nothing but a host for `ssh`, its `ProxyCommand` and an HTTP client.
fn check_host(host: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:%".contains(&byte);
    if host.is_empty() {
        return Err(usage("the source names no host"));
    }
    if host.starts_with('-') {
        return Err(usage("the host of the source starts with a dash"));
    }
    if !host.bytes().all(plain) {
        return Err(usage(format!("`{}` is no host name", shown(host))));
    }
    Ok(())
}

fn checked_user(user: &str) -> Result<String> {
    if user.is_empty() || user.starts_with('-') {
        return Err(usage("the user of the source is empty or starts with a dash"));
    }
    if user.chars().any(|c| c.is_whitespace() || c.is_control() || "'\"`$\\;&|<>(){}@:/?#".contains(c)) {
        return Err(usage("the user of the source holds characters that a user name cannot have"));
    }
    Ok(user.to_owned())
}

fn check_path(path: &str) -> Result<()> {
    if path.contains(char::is_whitespace) {
        return Err(Failure::new(Kind::Usage, "the URL holds a blank").hint("write it as `%20`").into());
    }
    percent_decode(path).map(drop)
}

fn usage(message: impl fmt::Display) -> anyhow::Error {
    Failure::new(Kind::Usage, message).hint(ACCEPTED).into()
}

fn cut_password() -> anyhow::Error {
    Failure::new(Kind::Usage, "the source names neither a host nor a port before its path")
        .hint("in a password write `/` as `%2F`, `?` as `%3F`, `#` as `%23` and `@` as `%40`")
        .into()
}

fn helper(name: &str) -> anyhow::Error {
    usage(format!("sources of the form `{}::` start other programs and are not supported", shown(name)))
}

/// Returns `text` with what may be a password left out, for messages.
fn without_userinfo(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => text.to_owned(),
    }
}

/// Returns what of a bad text goes into a message.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
