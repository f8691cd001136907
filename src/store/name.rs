//! Names that become directories: [`WorkspaceName`] and [`UserId`].

use std::fmt;

use crate::error::Result;

/// A valid workspace name: letters, digits, `-`, `_`, `.` inside, no leading dot or dash, at most 100 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkspaceName(String);

impl WorkspaceName {
    /// Checks a typed name; a bad one is a usage failure with a suggestion.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let _ = text;
        todo!("store")
    }

    /// Makes a name out of any text.
    pub(crate) fn derive(text: &str) -> Self {
        let _ = text;
        todo!("store")
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkspaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The namespace a workspace belongs to: a mail address or a plain name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct UserId(String);

impl UserId {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let _ = text;
        todo!("store")
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the sanitised directory name, `nick_example_com` for `nick@example.com`.
    pub(crate) fn directory(&self) -> String {
        todo!("store")
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
