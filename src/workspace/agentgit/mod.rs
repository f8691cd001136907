//! The agent's `.git`: the one function that builds it, in staging, and the one that swaps it in.
//!
//! A new one is made of plain files only. What the old one holds and nobody here needs to understand (index, logs, objects,
//! submodules, a merge under way) comes over as opaque files by hard links: both sides are the agent's. The exchange is a
//! rename, so a `.git` is whole at every moment; the old one is kept where the caller says.
//!
//! Configuration comes over key by key from an allow-list; hooks, includes and whatever else runs commands does not.

mod carry;
pub(crate) mod nested;
pub(crate) mod rebuild;
mod settings;

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::error::Result;
use crate::git::agentdir::{self, Head};
use crate::git::repository::Store;
use crate::git::{Oid, pack};
use crate::store::beneath::Dir;
use crate::store::fs::{self, Durability};
use crate::store::staging::Staging;
use crate::workspace::{LeasedWorkspace, Workspace};

pub(crate) use carry::Left;
pub(crate) use settings::{Setting, harmless};

/// Whether hooks and settings that run commands come over to a new `.git`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Running {
    Kept,
    #[default]
    Dropped,
}

/// Returns the configuration file of the `.git` in `tree` as it is, if it can be read.
pub(crate) fn whole_config(tree: &Dir) -> Option<Vec<u8>> {
    let git = agentdir::git_dir(tree, &mut Vec::new())?;
    git.read(Path::new("config"), settings::MAX_CONFIG).ok().flatten()
}

/// Everything that a new `.git` is made of.
#[derive(Default)]
pub(crate) struct AgentGit<'a> {
    pub(crate) head: Head,
    /// Full names, without HEAD and symbolic ones.
    pub(crate) refs: Vec<(String, Oid)>,
    /// The short name of the branch that `refs/remotes/origin/HEAD` is on.
    pub(crate) origin_head: Option<String>,
    /// The directory of the pool whose objects are borrowed.
    pub(crate) pool: Option<&'a Path>,
    /// The whole configuration file, as it was; the settings are not used then.
    pub(crate) config: Option<Vec<u8>>,
    /// Settings in their order; see [`AgentGit::set`] for those that every workspace has.
    pub(crate) settings: Vec<Setting>,
    /// The index file; `None` takes the old one over.
    pub(crate) index: Option<&'a [u8]>,
    pub(crate) shallow: Option<Vec<u8>>,
    /// Commits that refs name and that are in the store: what they need and the pool lacks is packed.
    pub(crate) objects: Option<(&'a Store, &'a [Oid])>,
}

impl AgentGit<'_> {
    /// Adds a setting unless it is there.
    pub(crate) fn set(&mut self, section: &str, subsection: Option<&str>, key: &str, value: &str) {
        let new = Setting::new(section, subsection, key, value);
        if !self.settings.iter().any(|old| old.is_same_key(&new)) {
            self.settings.push(new);
        }
    }

    /// Adds the remote `origin`.
    pub(crate) fn set_origin(&mut self, url: &str) {
        self.set("remote", Some("origin"), "url", url);
        self.set("remote", Some("origin"), "fetch", "+refs/heads/*:refs/remotes/origin/*");
    }

    /// Makes `branch` follow the branch `upstream` of origin.
    pub(crate) fn set_upstream(&mut self, branch: &str, upstream: &str) {
        self.set("branch", Some(branch), "remote", "origin");
        self.set("branch", Some(branch), "merge", &format!("refs/heads/{upstream}"));
    }

    /// Sets author and committer to `Name <mail>`.
    pub(crate) fn set_identity(&mut self, identity: &str) {
        if let Some((name, mail)) = split_identity(identity) {
            self.set("user", None, "name", name);
            self.set("user", None, "email", mail);
        }
    }
}

/// Splits `Name <mail>`; `None` for anything else.
pub(crate) fn split_identity(identity: &str) -> Option<(&str, &str)> {
    let (name, rest) = identity.trim().split_once('<')?;
    let mail = rest.strip_suffix('>')?;
    let (name, mail) = (name.trim(), mail.trim());
    let clean = |text: &str| !text.is_empty() && !text.contains(['<', '>', '\n', '\0']);
    (clean(name) && clean(mail)).then_some((name, mail))
}

/// Builds a `.git` directory at `into`, where nothing is yet.
pub(crate) fn build(spec: &AgentGit<'_>, into: &Path) -> Result<()> {
    fill(spec, into).with_context(|| format!("cannot build `{}`", into.display()))
}

fn fill(spec: &AgentGit<'_>, into: &Path) -> Result<()> {
    for directory in ["", "objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "hooks"] {
        let path = into.join(directory);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
    }
    let dir = Dir::open(into)?;
    let head = match &spec.head {
        Head::Branch(name) => format!("ref: {name}\n"),
        Head::Detached(commit) => format!("{commit}\n"),
        Head::Missing => "ref: refs/heads/main\n".to_owned(),
    };
    put(&dir, "HEAD", head.as_bytes())?;
    match &spec.config {
        Some(config) => put(&dir, "config", config)?,
        None => put(&dir, "config", settings::text(&spec.settings).as_bytes())?,
    }
    put(&dir, "info/exclude", b"")?;
    let mut refs: Vec<&(String, Oid)> =
        spec.refs.iter().filter(|(name, _)| name != "refs/remotes/origin/HEAD" && name.starts_with("refs/")).collect();
    refs.sort();
    if !refs.is_empty() {
        let mut text = String::from("# pack-refs with: sorted \n");
        for (name, oid) in refs {
            text.extend([oid.to_string().as_str(), " ", name, "\n"]);
        }
        put(&dir, "packed-refs", text.as_bytes())?;
    }
    if let Some(branch) = &spec.origin_head {
        put(&dir, "refs/remotes/origin/HEAD", format!("ref: refs/remotes/origin/{branch}\n").as_bytes())?;
    }
    if let Some(pool) = spec.pool {
        use std::os::unix::ffi::OsStrExt;
        let objects = pool.join("objects");
        put(&dir, "objects/info/alternates", &[objects.as_os_str().as_bytes(), b"\n"].concat())?;
    }
    if let Some(index) = spec.index {
        put(&dir, "index", index)?;
    }
    if let Some(shallow) = &spec.shallow {
        put(&dir, "shallow", shallow)?;
    }
    if let Some((store, tips)) = spec.objects {
        pack::write_beyond_alternates(store.repository(), tips, into)?;
    }
    Ok(())
}

/// Puts the `.git` at `built` in the place of the workspace's; the old one, if there was one, is at `built` afterwards. What is
/// opaque comes over first, and all of it, or the old one stays as it was. The exchange is the last step, and on disk.
pub(crate) fn exchange(workspace: &LeasedWorkspace, built: &Path, running: Running) -> Result<()> {
    if let Some((path, reason)) = carry_over(workspace, built, running)?.first() {
        anyhow::bail!("cannot take `.git/{}` over: {reason}", path.display());
    }
    put_in_place(workspace, built)
}

/// A `.git` that is a file or a link is kept as it is, and nothing is taken from where it points.
fn carry_over(workspace: &LeasedWorkspace, built: &Path, running: Running) -> Result<Left> {
    match agentdir::git_dir(&Dir::open(&workspace.tree())?, &mut Vec::new()) {
        Some(old) => carry::over(&old, &Dir::open(built)?, running),
        None => Ok(Left::new()),
    }
}

fn put_in_place(workspace: &LeasedWorkspace, built: &Path) -> Result<()> {
    let place = workspace.tree().join(".git");
    if Dir::open(&workspace.tree())?.stat(Path::new(".git"))?.is_none() {
        return fs::publish(built, &place, Durability::Synced);
    }
    fs::exchange(built, &place)?;
    fs::sync_dir(&workspace.tree())
}

/// Takes out of the workspace's `.git` what would run commands, by building it anew; the old one is moved to `keep`.
///
/// A `.git` that is no directory is moved away and nothing takes its place: a new one would look as if all work were there.
/// Returns what did not come over.
pub(crate) fn clean(workspace: &LeasedWorkspace, keep: &Path) -> Result<Left> {
    let tree = Dir::open(&workspace.tree())?;
    let Some(git) = agentdir::git_dir(&tree, &mut Vec::new()) else {
        return match tree.stat(Path::new(".git"))? {
            Some(_) => fs::publish(&workspace.tree().join(".git"), keep, Durability::Lazy).map(|()| Left::new()),
            None => Ok(Left::new()),
        };
    };
    let refs = agentdir::refs_in(&git);
    let opaque = !refs.bad.is_empty();
    let pool = pool_path(workspace);
    let shallow = git.read(Path::new("shallow"), carry::MAX_FILE)?;
    let record = &workspace.record;
    let mut spec = AgentGit {
        head: match refs.head {
            Head::Missing => Head::Branch(format!("refs/heads/{}", record.branch.as_deref().unwrap_or("main"))),
            head => head,
        },
        refs: refs.refs,
        origin_head: record.upstream.clone(),
        pool: pool.as_deref(),
        settings: harmless(&tree),
        shallow,
        ..AgentGit::default()
    };
    if let Some(source) = &record.source {
        spec.set_origin(source);
    }
    let staging = Staging::create(workspace.at().root())?;
    let built = staging.path().join("git");
    build(&spec, &built)?;
    let mut left = Left::new();
    if opaque {
        carry::refs(&git, &Dir::open(&built)?, &mut left)?;
    }
    left.extend(carry_over(workspace, &built, Running::Dropped)?);
    put_in_place(workspace, &built)?;
    if built.symlink_metadata().is_ok() {
        fs::publish(&built, keep, Durability::Lazy)?;
    }
    Ok(left)
}

/// Returns the directory of the pool that the workspace borrows from.
pub(crate) fn pool_path(workspace: &Workspace) -> Option<PathBuf> {
    workspace.record.pool.as_ref().map(|key| workspace.at().root().pool(key))
}

fn put(dir: &Dir, path: &str, content: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut file = dir.create_file(Path::new(path), 0o644)?;
    file.write_all(content).with_context(|| format!("cannot write `{path}`"))
}
