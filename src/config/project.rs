//! The project's own file, `.stead.toml` at the top of the git working tree around the current directory, and whether
//! its user trusts it.
//!
//! What is trusted is one content at one path; the store keeps the content itself, so that nothing else passes for it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::config::file;
use crate::error::{Failure, Kind, Result};

pub(crate) const FILE: &str = ".stead.toml";

/// A project's file as it is now.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    pub(crate) path: PathBuf,
    pub(crate) content: String,
    pub(crate) trusted: bool,
    /// What it sets: keys by their parts, and values.
    pub(crate) entries: Vec<(Vec<String>, toml::Value)>,
    /// The keys that are passed by because the file is not trusted.
    pub(crate) ignored: Vec<String>,
}

/// The contents that the user has agreed to.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Trust {
    #[serde(default, rename = "project")]
    projects: Vec<Trusted>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Trusted {
    path: String,
    content: String,
}

impl Trust {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let Some(text) = file::read(path)? else { return Ok(Self::default()) };
        toml::from_str(&text).with_context(|| format!("cannot read `{}`", path.display()))
    }

    pub(crate) fn holds(&self, path: &Path, content: &str) -> bool {
        path.to_str()
            .is_some_and(|path| self.projects.iter().any(|trusted| trusted.path == path && trusted.content == content))
    }

    /// Agrees to one content of the file at `path`, instead of any earlier one.
    pub(crate) fn add(&mut self, path: &Path, content: &str) -> Result<()> {
        let text =
            path.to_str().ok_or_else(|| Failure::new(Kind::Usage, format!("`{}` is not UTF-8", path.display())))?;
        self.projects.retain(|trusted| trusted.path != text);
        self.projects.push(Trusted { path: text.to_owned(), content: content.to_owned() });
        Ok(())
    }

    pub(crate) fn to_toml(&self) -> String {
        toml::to_string(self).expect("two lists of texts are TOML")
    }
}

/// Returns the top of the git working tree around `dir`.
pub(crate) fn top(dir: &Path) -> Option<&Path> {
    dir.ancestors().find(|dir| dir.is_absolute() && dir.join(".git").symlink_metadata().is_ok())
}

/// Reads the file of the project whose top is `top`.
pub(crate) fn read(top: &Path, trust: &Trust) -> Result<Option<Project>> {
    let path = top.join(FILE);
    let Some(content) = file::read(&path)? else { return Ok(None) };
    let entries = file::parse(&path, &content)?;
    let trusted = trust.holds(&path, &content);
    Ok(Some(Project { path, content, trusted, entries, ignored: Vec::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_for_one_content_at_one_path() {
        let mut trust = Trust::default();
        trust.add(Path::new("/p/.stead.toml"), "a = 1").expect("UTF-8");
        assert!(trust.holds(Path::new("/p/.stead.toml"), "a = 1"));
        assert!(!trust.holds(Path::new("/q/.stead.toml"), "a = 1"));
        assert!(!trust.holds(Path::new("/p/.stead.toml"), "a = 2"));
        trust.add(Path::new("/p/.stead.toml"), "a = 2").expect("UTF-8");
        assert!(!trust.holds(Path::new("/p/.stead.toml"), "a = 1"));
        let again: Trust = toml::from_str(&trust.to_toml()).expect("what it wrote");
        assert!(again.holds(Path::new("/p/.stead.toml"), "a = 2"));
    }
}
