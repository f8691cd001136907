//! What attributes do to contents: eol, ident and working-tree-encoding, in both directions, by the attributes of one commit
//! and the user's own settings (`core.autocrlf`, `core.eol`, `core.attributesFile`).
//!
//! The rules are git's (`convert.c`); its own command is the oracle of the tests. Filters (`filter=…`) are never run. An encoding
//! that cannot be read or written leaves the content as it is, where git would refuse the file.

mod content;
mod encoding;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context;
use git2::{ObjectType, Repository, TreeWalkMode, TreeWalkResult};

use crate::error::Result;
use crate::git::{Oid, local, userconfig};
use content::Stats;
use rules::{Rules, State};

/// The attributes of one commit.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    rules: Rules,
    user: Settings,
    /// Where the committed contents are: what is committed with CRLF stays so.
    committed: Option<(PathBuf, Oid)>,
}

/// What the user's configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Settings {
    autocrlf: AutoCrlf,
    /// `core.eol` is `crlf`.
    eol_crlf: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum AutoCrlf {
    #[default]
    False,
    True,
    Input,
}

const NAME: &[u8] = b".gitattributes";

/// What happens to the ends of lines of one path, as git names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Binary,
    TextInput,
    TextCrlf,
    Auto,
    AutoInput,
    AutoCrlf,
}

impl Attributes {
    /// Reads the `.gitattributes` files of a tree.
    pub(crate) fn of_tree(repository: &Repository, tree: Oid) -> Result<Self> {
        Self::of_files(repository, tree, files_of(repository, tree)?)
    }

    /// The same with `changed` files on top of the tree, paths and what is there now; `None` when no attributes are among them.
    pub(crate) fn changed<'a>(
        repository: &Repository,
        tree: Oid,
        changed: impl Iterator<Item = (&'a [u8], Option<Oid>)>,
    ) -> Result<Option<Self>> {
        let is_one = |path: &[u8]| path.strip_suffix(NAME).is_some_and(|top| top.is_empty() || top.ends_with(b"/"));
        let changed: HashMap<&[u8], Option<Oid>> = changed.filter(|(path, _)| is_one(path)).collect();
        if changed.is_empty() {
            return Ok(None);
        }
        let mut files = files_of(repository, tree)?;
        files.retain(|(path, _)| !changed.contains_key(path.as_slice()));
        files.extend(changed.into_iter().filter_map(|(path, id)| Some((path.to_vec(), id?))));
        Self::of_files(repository, tree, files).map(Some)
    }

    /// The same where the `.gitattributes` files are known already: their paths and contents.
    pub(crate) fn of_files(repository: &Repository, tree: Oid, mut files: Vec<(Vec<u8>, Oid)>) -> Result<Self> {
        userconfig::check()?;
        let config = git2::Config::open_default().context("cannot open the user's git configuration")?;
        let mut rules = Rules::default();
        if let Some(content) = users_attributes(&config) {
            rules.add(None, &content);
        }
        files.sort_by_key(|(path, _)| path.len());
        for (path, id) in files {
            let blob = repository.find_blob(id).with_context(|| format!("cannot read the attributes `{id}`"))?;
            let directory = path.strip_suffix(NAME).unwrap_or(&path);
            rules.add(Some(directory), blob.content());
        }
        Ok(Self { rules, user: Settings::of(&config), committed: Some((repository.path().to_owned(), tree)) })
    }

    /// Returns whether no path can be converted: the usual case, found without looking at each path.
    pub(crate) fn is_trivial(&self) -> bool {
        self.user.autocrlf == AutoCrlf::False && !self.rules.convert()
    }

    /// Returns whether some path has a filter, such as `lfs`.
    pub(crate) fn has_filters(&self) -> bool {
        self.rules.filters()
    }

    /// Returns whether every path goes into the working tree as it is committed.
    pub(crate) fn smudges_nothing(&self) -> bool {
        self.user == Settings::default() && !self.rules.smudge()
    }

    /// Returns the bytes as they belong into the working tree; `None` when they stay as they are.
    pub(crate) fn smudge(&self, path: &[u8], content: &[u8]) -> Option<Vec<u8>> {
        if self.smudges_nothing() {
            return None;
        }
        let found = self.of_path(path);
        let mut result = None;
        if found.ident
            && let Some(expanded) = content::expand_ident(content)
        {
            result = Some(expanded);
        }
        let current = result.as_deref().unwrap_or(content);
        if self.writes_crlf(found.ends)
            && let Some(converted) = content::to_crlf(current, found.ends.is_auto())
        {
            result = Some(converted);
        }
        if let Some(name) = &found.encoding
            && let Some(encoded) = encoding::encode(result.as_deref().unwrap_or(content), name)
        {
            result = Some(encoded);
        }
        result
    }

    /// Returns the bytes as they belong into git; `None` when they stay as they are.
    pub(crate) fn clean(&self, path: &[u8], content: &[u8]) -> Option<Vec<u8>> {
        if self.is_trivial() {
            return None;
        }
        let found = self.of_path(path);
        let mut result = found.encoding.as_ref().and_then(|name| encoding::decode(content, name));
        let current = result.as_deref().unwrap_or(content);
        if found.ends != Ends::Binary {
            let stats = Stats::of(current);
            let guessed = found.ends.is_auto();
            let keep = guessed && (stats.is_binary() || (stats.crlf > 0 && self.is_committed_with_crlf(path)));
            if stats.crlf > 0 && !keep {
                result = Some(content::to_lf(current));
            }
        }
        let current = result.as_deref().unwrap_or(content);
        if found.ident
            && let Some(collapsed) = content::collapse_ident(current)
        {
            result = Some(collapsed);
        }
        result.filter(|result| result != content)
    }

    /// Returns whether `filter=lfs` is set for the path.
    pub(crate) fn is_lfs(&self, path: &[u8]) -> bool {
        self.rules.filters() && self.rules.of(path).get("filter") == Some(&State::Value("lfs".to_owned()))
    }

    fn of_path(&self, path: &[u8]) -> OfPath {
        let found = self.rules.of(path);
        let text = ends_by(found.get("text")).or_else(|| ends_by(found.get("crlf")));
        let eol = match found.get("eol") {
            Some(State::Value(value)) if value == "lf" => Some(false),
            Some(State::Value(value)) if value == "crlf" => Some(true),
            _ => None,
        };
        let ends = match (text, eol) {
            (Some(Text::No), _) => Ends::Binary,
            (Some(Text::Auto), Some(true)) => Ends::AutoCrlf,
            (Some(Text::Auto), Some(false)) => Ends::AutoInput,
            (Some(Text::Auto), None) => Ends::Auto,
            (_, Some(true)) => Ends::TextCrlf,
            (Some(Text::Yes), None) if self.user.text_is_crlf() => Ends::TextCrlf,
            (_, Some(false)) | (Some(Text::Yes | Text::Input), None) => Ends::TextInput,
            (None, None) => match self.user.autocrlf {
                AutoCrlf::False => Ends::Binary,
                AutoCrlf::True => Ends::AutoCrlf,
                AutoCrlf::Input => Ends::AutoInput,
            },
        };
        let encoding = match found.get("working-tree-encoding") {
            Some(State::Value(name)) if !name.is_empty() && !encoding::is_utf8(name) => Some(name.clone()),
            _ => None,
        };
        OfPath { ends, ident: found.get("ident") == Some(&State::Set), encoding }
    }

    fn writes_crlf(&self, ends: Ends) -> bool {
        match ends {
            Ends::TextCrlf | Ends::AutoCrlf => true,
            Ends::Auto => self.user.text_is_crlf(),
            Ends::Binary | Ends::TextInput | Ends::AutoInput => false,
        }
    }

    fn is_committed_with_crlf(&self, path: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
        let read = || {
            let (repository, tree) = self.committed.as_ref()?;
            let repository = local::open(repository).ok()?;
            let entry = repository.find_tree(*tree).ok()?.get_path(path).ok()?;
            let stats = Stats::of(repository.find_blob(entry.id()).ok()?.content());
            Some(!stats.is_binary() && stats.crlf > 0)
        };
        read().unwrap_or(false)
    }
}

/// Returns the `.gitattributes` files of a tree: their paths and contents.
fn files_of(repository: &Repository, tree: Oid) -> Result<Vec<(Vec<u8>, Oid)>> {
    let mut files = Vec::new();
    let walked = repository.find_tree(tree).with_context(|| format!("cannot read tree `{tree}`"))?;
    walked
        .walk(TreeWalkMode::PreOrder, |directory, entry| {
            let regular = entry.kind() == Some(ObjectType::Blob) && entry.filemode() != 0o120_000;
            if regular && entry.name_bytes() == NAME {
                files.push(([directory.as_bytes(), NAME].concat(), entry.id()));
            }
            TreeWalkResult::Ok
        })
        .with_context(|| format!("cannot list tree `{tree}`"))?;
    Ok(files)
}

/// What is to be done to one path.
struct OfPath {
    ends: Ends,
    ident: bool,
    encoding: Option<String>,
}

impl Ends {
    fn is_auto(self) -> bool {
        matches!(self, Self::Auto | Self::AutoInput | Self::AutoCrlf)
    }
}

/// The `text` attribute, or the older `crlf`.
enum Text {
    Yes,
    No,
    Auto,
    Input,
}

fn ends_by(state: Option<&State>) -> Option<Text> {
    match state? {
        State::Set => Some(Text::Yes),
        State::Unset => Some(Text::No),
        State::Value(value) if value == "auto" => Some(Text::Auto),
        State::Value(value) if value == "input" => Some(Text::Input),
        State::Value(_) | State::Unspecified => None,
    }
}

impl Settings {
    fn of(config: &git2::Config) -> Self {
        let autocrlf = match config.get_string("core.autocrlf") {
            Ok(text) if text.eq_ignore_ascii_case("input") => AutoCrlf::Input,
            Ok(_) if config.get_bool("core.autocrlf").unwrap_or(false) => AutoCrlf::True,
            _ => AutoCrlf::False,
        };
        let eol_crlf = config.get_string("core.eol").is_ok_and(|text| text.eq_ignore_ascii_case("crlf"));
        Self { autocrlf, eol_crlf }
    }

    fn text_is_crlf(self) -> bool {
        match self.autocrlf {
            AutoCrlf::True => true,
            AutoCrlf::Input => false,
            AutoCrlf::False => self.eol_crlf,
        }
    }
}

/// Returns the user's own attributes file.
fn users_attributes(config: &git2::Config) -> Option<Vec<u8>> {
    let path = config.get_path("core.attributesfile").ok().or_else(|| {
        let beside = git2::Config::find_xdg().ok()?;
        Some(beside.parent()?.join("attributes"))
    })?;
    std::fs::read(path).ok()
}
