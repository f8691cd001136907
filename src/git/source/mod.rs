//! Sources: where a workspace comes from, checked before anything else looks at them.
//!
//! Owns the list of accepted forms; everything that is not on it is refused here, so that no helper program, option or
//! unknown scheme can be reached through a URL. Credentials leave the text here and are neither stored nor printed.

mod address;
mod local;

use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) use address::{Address, Scheme, percent_decode};

use crate::error::{Failure, Kind, Result};
use crate::store::name::{UserId, WorkspaceName};

/// What is accepted, for hints.
const ACCEPTED: &str = "accepted are https://, http://, ssh://, user@host:path, file:// and a path";

/// A checked source. Its text (`Display`) never holds credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `https://`, `http://`, `ssh://` or `user@host:path`.
    Remote { url: String, login: Option<Login> },
    /// A local repository (`file://` or a path), canonical: its working tree, or the repository itself when bare.
    Local(PathBuf),
    /// The tree of a workspace inside the root: a fork of that workspace's store.
    Workspace(PathBuf),
    /// No repository: an empty workspace.
    Empty,
}

/// User and password that were typed in a URL; used for the transfer, never stored or printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(…)")
    }
}

impl Source {
    /// Reads what a user typed. A relative path is taken from `current_dir`. Anything that is not on the list of accepted
    /// forms (`ext::`, a leading `-`, control bytes, unknown schemes) is a usage failure; a path with no repository is
    /// `not-found`; a repository that libgit2 cannot read is `unsupported`.
    pub(crate) fn parse(text: &str, current_dir: &Path, root: &Path) -> Result<Self> {
        if text.is_empty() {
            return Err(Failure::new(Kind::Usage, "the source is empty").hint(ACCEPTED).into());
        }
        if text.chars().any(char::is_control) {
            return Err(Failure::new(Kind::Usage, "the source holds control characters").hint(ACCEPTED).into());
        }
        if text.starts_with('-') {
            let failure = Failure::new(Kind::Usage, format!("the source `{text}` starts with a dash"));
            return Err(failure.hint(format!("for a directory of that name write `./{text}`")).into());
        }
        if let Some(rest) = file_url(text) {
            return local::source(&local::decode_path(rest)?, text, root);
        }
        if address::is_remote(text) && !(address::is_scp(text) && current_dir.join(text).exists()) {
            let (address, login) = Address::parse(text)?;
            return Ok(Self::Remote { url: address.to_string(), login });
        }
        local::source(&current_dir.join(text), text, root)
    }

    /// Reads the source of a record back (already stripped and canonical). A local repository need not be there any more.
    pub(crate) fn of_record(text: &str, root: &Path) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::Empty);
        }
        let path = match file_url(text) {
            Some(rest) => local::decode_path(rest)?,
            None if address::is_remote(text) => {
                let (address, login) = Address::parse(text)?;
                return Ok(Self::Remote { url: address.to_string(), login });
            }
            None => PathBuf::from(text),
        };
        Ok(match local::tree_of_workspace(&path, root) {
            Some(tree) => Self::Workspace(tree),
            None => Self::Local(path),
        })
    }

    /// Returns the repository around `directory`, `None` when there is none.
    pub(crate) fn around(directory: &Path, root: &Path) -> Result<Option<Self>> {
        local::around(directory, root)
    }

    /// Returns the name of a workspace of this source: `acme__api` for `https://github.com/acme/api`.
    pub(crate) fn workspace_name(&self) -> WorkspaceName {
        let text = match self {
            Self::Remote { url, .. } => Address::parse(url).map_or_else(|_| url.clone(), |(address, _)| address.name()),
            Self::Local(path) => {
                let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
                name.strip_suffix(".git").filter(|stem| !stem.is_empty()).unwrap_or(&name).to_owned()
            }
            Self::Workspace(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Empty => "workspace".to_owned(),
        };
        WorkspaceName::derive(&text)
    }

    /// Returns the pool's KEY: a hex digest of user, normalised URL and depth.
    pub(crate) fn pool_key(&self, user: &UserId, depth: Option<u32>) -> String {
        let url = match self {
            Self::Remote { url, .. } => {
                Address::parse(url).map_or_else(|_| url.clone(), |(address, _)| address.normalised())
            }
            // Linked worktrees share the objects of their repository.
            Self::Local(path) => local::encode_path(&local::shared(path)),
            Self::Workspace(_) | Self::Empty => self.url(),
        };
        let depth = depth.map_or_else(String::new, |depth| depth.to_string());
        let text = format!("{}\0{url}\0{depth}", user.as_str());
        git2::Oid::hash_object(git2::ObjectType::Blob, text.as_bytes())
            .expect("hashing bytes in memory does not fail")
            .to_string()
    }

    /// Returns the URL for libgit2 (a local path becomes `file://`, since one with a colon would count as ssh).
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Remote { url, .. } => url.clone(),
            Self::Local(path) | Self::Workspace(path) => local::encode_path(path),
            Self::Empty => String::new(),
        }
    }

    /// Returns the login that was typed in the URL.
    pub(crate) fn login(&self) -> Option<&Login> {
        match self {
            Self::Remote { login, .. } => login.as_ref(),
            Self::Local(_) | Self::Workspace(_) | Self::Empty => None,
        }
    }
}

/// The form that a record keeps: the URL without credentials, or the path (as `file://` URL where a path is no plain text).
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote { url, .. } => f.write_str(url),
            Self::Local(path) | Self::Workspace(path) => match path.to_str() {
                Some(text) if !text.chars().any(char::is_control) => f.write_str(text),
                _ => f.write_str(&local::encode_path(path)),
            },
            Self::Empty => Ok(()),
        }
    }
}

/// Returns what follows `file://` and the (empty or `localhost`) host.
fn file_url(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_at_checked("file://".len())?;
    if !scheme.eq_ignore_ascii_case("file://") {
        return None;
    }
    Some(rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(text: &str) -> Source {
        Source::parse(text, Path::new("/nowhere"), Path::new("/nowhere/root")).unwrap()
    }

    fn key(text: &str) -> String {
        remote(text).pool_key(&UserId::parse("local").unwrap(), None)
    }

    #[test]
    fn what_is_not_on_the_list_is_refused_as_usage() {
        for text in [
            "",
            "-x",
            "--upload-pack=touch /tmp/x",
            "ext::sh -c whoami",
            "fd::17/foo",
            "EXT::x",
            "http::https://example.com/x",
            "git://example.com/x",
            "ftp://example.com/x",
            "rsync://example.com/x",
            "javascript://x/y",
            "file://server/share",
            "https://",
            "https:///path",
            "https://example.com",
            "https://example.com/",
            "https://exa mple.com/x",
            "https://example.com:0/x",
            "https://example.com:70000/x",
            "https://example.com:a/x",
            "https://-x.com/y",
            "https://example.com/x y",
            "https://example.com/x\ny",
            "https://example.com/\u{1b}[31m",
            "https://user:pa\0ss@example.com/x",
            "ssh://-oProxyCommand=x/y",
            "ssh://-oProxyCommand=x@host/y",
            "ssh://host",
            "ssh://host/-x",
            "ssh://ho$(st)/x",
            "ssh://host`id`/x",
            "git+ssh://-x/y",
            "-user@host:path",
            "user@-host:path",
            "user@host:-path",
            "user@host:",
            "us;er@host:x",
            "@host:x",
            "user@ho st:x",
            ":x",
        ] {
            let error = Source::parse(text, Path::new("/"), Path::new("/nowhere/root")).expect_err(text);
            assert_eq!(Kind::of(&error), Kind::Usage, "{text:?}: {error:#}");
            assert!(Failure::of(&error).unwrap().hint.is_some(), "{text:?} has no hint");
            assert!(!format!("{error:#}").contains("pa\0ss"));
        }
    }

    #[test]
    fn accepted_urls_are_kept_without_credentials() {
        for (text, url) in [
            ("https://github.com/acme/api", "https://github.com/acme/api"),
            ("HTTPS://GitHub.com/acme/api.git/", "https://github.com/acme/api.git"),
            ("http://example.com:8080/x?y=1", "http://example.com:8080/x?y=1"),
            ("https://me:secret@example.com/x", "https://example.com/x"),
            ("https://token@example.com/x", "https://example.com/x"),
            ("https://me:p%40ss:w@example.com/x@y", "https://example.com/x@y"),
            ("https://[::1]:8443/x", "https://[::1]:8443/x"),
            ("ssh://git@example.com:2222/~/x", "ssh://git@example.com:2222/~/x"),
            ("ssh://git:secret@example.com/x", "ssh://git@example.com/x"),
            ("git+ssh://git@example.com/x", "ssh://git@example.com/x"),
            ("ssh+git://git@example.com/x", "ssh://git@example.com/x"),
            ("git@github.com:acme/api.git", "git@github.com:acme/api.git"),
            ("work:acme/api", "work:acme/api"),
            ("git@[::1]:x", "git@[::1]:x"),
            ("https://example.com/ä/x", "https://example.com/ä/x"),
            ("https://example.com/50%/%+1", "https://example.com/50%/%+1"),
        ] {
            let source = remote(text);
            assert_eq!(source.url(), url, "{text}");
            assert_eq!(source.to_string(), url, "{text}");
            assert!(!format!("{source:?}").contains("secret"), "{text}");
        }
    }

    #[test]
    fn no_part_of_a_password_that_ends_too_early_is_told() {
        for text in ["https://me:sec/ret@example.com/x", "https://me:sec?ret@example.com/x", "http://me:sec#ret@h/x"] {
            let error = Source::parse(text, Path::new("/"), Path::new("/nowhere/root")).expect_err(text);
            assert!(!format!("{error:#}").contains("sec"), "{error:#}");
            assert!(Failure::of(&error).unwrap().hint.as_deref().is_some_and(|hint| hint.contains("%2F")), "{text}");
        }
    }

    #[test]
    fn a_login_is_taken_out_of_the_url_and_decoded() {
        let login = |text| remote(text).login().cloned();
        let some = |user: &str, password: Option<&str>| {
            Some(Login { user: user.to_owned(), password: password.map(str::to_owned) })
        };
        assert_eq!(login("https://me:p%40s%2Fs@example.com/x"), some("me", Some("p@s/s")));
        assert_eq!(login("https://token@example.com/x"), some("token", None));
        assert_eq!(login("https://me:@example.com/x"), some("me", Some("")));
        assert_eq!(login("https://example.com/x"), None);
        assert_eq!(login("ssh://git@example.com/x"), None);
    }

    #[test]
    fn names_come_from_owner_and_repository() {
        for (text, name) in [
            ("https://github.com/acme/api", "acme__api"),
            ("https://github.com/acme/api.git", "acme__api"),
            ("git@github.com:acme/api.git", "acme__api"),
            ("https://gitlab.com/group/sub/api", "group__sub__api"),
            ("ssh://host/~me/api.git", "me__api"),
            ("https://example.com/api.git", "api"),
        ] {
            assert_eq!(remote(text).workspace_name().as_str(), name, "{text}");
        }
    }

    #[test]
    fn one_pool_for_all_spellings_of_one_source() {
        for same in [
            "https://GITHUB.com/acme/api",
            "https://github.com:443/acme/api",
            "https://github.com/acme/api/",
            "https://github.com/acme/api.git",
            "https://me:pw@github.com/acme/api.git/",
        ] {
            assert_eq!(key("https://github.com/acme/api"), key(same), "{same}");
        }
        assert_eq!(key("ssh://git@h/x"), key("git+ssh://git@h:22/x.git"));
        for other in ["http://github.com/acme/api", "https://github.com/acme/API", "git@github.com:acme/api"] {
            assert_ne!(key("https://github.com/acme/api"), key(other), "{other}");
        }
        // A relative path over ssh lies in the home of the user.
        assert_ne!(key("one@host:repo"), key("two@host:repo"));
    }

    #[test]
    fn a_pool_belongs_to_one_user_and_one_depth() {
        let source = remote("https://github.com/acme/api");
        let one = UserId::parse("one").unwrap();
        let keys = [
            source.pool_key(&one, None),
            source.pool_key(&one, Some(1)),
            source.pool_key(&UserId::parse("two").unwrap(), None),
        ];
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
        assert_eq!(keys[0].len(), 40);
    }

    #[test]
    fn a_record_is_read_back_as_it_was() {
        let root = Path::new("/data/root");
        for source in [
            remote("https://github.com/acme/api"),
            remote("git@github.com:acme/api.git"),
            remote("ssh://git@[::1]:22/x"),
            Source::Local("/home/me/a project: ä%41".into()),
            Source::Local("/home/me/new\nline".into()),
            Source::Workspace("/data/root/workspaces/local/x".into()),
            Source::Empty,
        ] {
            assert_eq!(Source::of_record(&source.to_string(), root).unwrap(), source, "{source}");
        }
    }
}
