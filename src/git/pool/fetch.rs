//! Bringing a pool up to date: what the source advertises, the objects that are missing, and the refs last.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::error::{Failure, Kind, Result};
use crate::git::pool::{Advertised, DETACHED, SourceHead, open_bare, read_refs, read_shallow};
use crate::git::source::Source;
use crate::git::transport::{self, Net};
use crate::git::{Oid, agentdir, local, pack};
use crate::progress::Progress;
use crate::store::beneath::Dir;
use crate::store::fs::{self, Durability};
use crate::store::name::WorkspaceName;
use crate::store::root::UserRoot;

/// One update of one pool, under its lock.
pub(super) struct Fetch<'a> {
    pub(super) at: &'a UserRoot,
    pub(super) source: &'a Source,
    pub(super) depth: Option<u32>,
    pub(super) requests: &'a [String],
    pub(super) net: &'a Net,
    pub(super) progress: &'a dyn Progress,
}

impl Fetch<'_> {
    pub(super) fn update(&self, pool: &Path) -> Result<()> {
        match self.source {
            Source::Local(path) => {
                let source = local::open(path)?;
                let advertised = local::advertised(&source, self.requests)?;
                self.check_requests(&advertised)?;
                if !knows_all(pool, &advertised)? {
                    let tips: Vec<Oid> = advertised.tips().collect();
                    local::check_complete(&source, &tips)?;
                    local::copy_objects(&source, pool, self.progress)?;
                }
                write_refs(pool, &advertised, self.requests)
            }
            Source::Workspace(path) => self.fork(path, pool),
            Source::Remote { .. } => self.remote(pool),
            Source::Empty => anyhow::bail!("an empty workspace has no source to fetch from"),
        }
    }

    /// Fetches over the network; asks a source that was fetched before for its refs alone first.
    fn remote(&self, pool: &Path) -> Result<()> {
        let shallow = read_shallow(pool)?;
        // Cut at `depth` once more, new commits would not reach the old ones, and nothing could be fast-forwarded.
        let is_new = read_refs(pool)?.is_empty();
        let depth = self.depth.filter(|_| is_new);
        if !is_new {
            let listed = transport::list(self.source, self.net, self.progress)?;
            let advertised = self.mirrored(listed, shallow);
            self.check_requests(&advertised)?;
            if knows_all(pool, &advertised)? {
                return write_refs(pool, &advertised, self.requests);
            }
        }
        let mut refspecs = vec!["+refs/heads/*:refs/heads/*".to_owned(), "+refs/tags/*:refs/tags/*".to_owned()];
        refspecs.extend(self.requests.iter().map(|request| format!("+{request}:{request}")));
        let repository = open_bare(pool).with_context(|| format!("cannot open `{}`", pool.display()))?;
        let fetched = transport::fetch(&repository, self.source, &refspecs, depth, self.net, self.progress)?;
        let advertised = self.mirrored(fetched, read_shallow(pool)?);
        self.check_requests(&advertised)?;
        write_refs(pool, &advertised, self.requests)?;
        // All refs are in one file now; a loose one would win over it the next time.
        for name in std::fs::read_dir(pool.join("refs")).context("cannot list the pool's refs")?.flatten() {
            fs::remove_tree(&name.path(), &crate::progress::Silent)?;
        }
        Ok(())
    }

    /// Keeps of what a remote has what a pool mirrors.
    fn mirrored(&self, listed: transport::RemoteRefs, shallow: Option<Vec<u8>>) -> Advertised {
        let mut refs = listed.refs;
        refs.retain(|(name, _)| {
            name.starts_with("refs/heads/") || name.starts_with("refs/tags/") || self.requests.contains(name)
        });
        refs.sort();
        let head = match (listed.head_branch, listed.head) {
            (Some(branch), _) => Some(SourceHead::Branch(branch)),
            // An old server does not tell the branch: take the one that git would.
            (None, Some(commit)) => {
                let mut branches: Vec<&str> = refs
                    .iter()
                    .filter(|(name, oid)| *oid == commit && name.starts_with("refs/heads/"))
                    .map(|(name, _)| name.as_str())
                    .collect();
                branches.sort_by_key(|name| (*name != "refs/heads/main", *name != "refs/heads/master"));
                Some(
                    branches
                        .first()
                        .map_or(SourceHead::Detached(commit), |name| SourceHead::Branch((*name).to_owned())),
                )
            }
            (None, None) => None,
        };
        Advertised { refs, head, shallow }
    }

    /// Takes the branches of the workspace at `directory` from its store and from that store's pool; the agent's own
    /// `.git` is only asked for names.
    fn fork(&self, directory: &Path, pool: &Path) -> Result<()> {
        let name = workspace_around(self.at, directory)?;
        let refs = agentdir::refs(&Dir::open(&self.at.tree(&name))?);
        let store = local::open(&self.at.state(&name).join("store.git"))?;
        let odb = store.odb().context("cannot open the store's objects")?;
        let mut advertised = Advertised::default();
        let refs_head = refs.head_commit();
        for (name, oid) in refs.refs {
            if (name.starts_with("refs/heads/") || name.starts_with("refs/tags/")) && odb.exists(oid) {
                advertised.refs.push((name, oid));
            }
        }
        let head = match &refs.head {
            agentdir::Head::Branch(branch) => refs_head.map(|oid| (branch.as_str(), oid)),
            agentdir::Head::Detached(oid) => Some(("HEAD", *oid)),
            agentdir::Head::Missing => None,
        };
        if let Some((head, oid)) = head.filter(|(_, oid)| !odb.exists(*oid)) {
            return Err(Failure::new(
                Kind::Refused,
                format!("commit `{oid}` of workspace `{name}` (`{head}`) could not be taken over"),
            )
            .hint(format!("see `stead status {name}`"))
            .into());
        }
        advertised.head = match refs.head {
            agentdir::Head::Branch(name) => Some(SourceHead::Branch(name)),
            agentdir::Head::Detached(oid) if odb.exists(oid) => Some(SourceHead::Detached(oid)),
            agentdir::Head::Detached(_) | agentdir::Head::Missing => None,
        };
        if !knows_all(pool, &advertised)? {
            let lender = std::fs::read_to_string(store.path().join("objects/info/alternates")).unwrap_or_default();
            if let Some(lender) = lender.lines().next().and_then(|objects| Path::new(objects).parent()) {
                advertised.shallow = std::fs::read(lender.join("shallow")).ok().filter(|content| !content.is_empty());
                local::copy_objects(&local::open(lender)?, pool, self.progress)?;
            }
            let tips: Vec<Oid> = advertised.tips().collect();
            pack::write_missing(&store, &tips, pool)?;
        }
        write_refs(pool, &advertised, self.requests)
    }

    fn check_requests(&self, advertised: &Advertised) -> Result<()> {
        let missing = self.requests.iter().find(|request| !advertised.refs.iter().any(|(name, _)| name == *request));
        missing.map_or(Ok(()), |request| {
            Err(Failure::new(Kind::NotFound, format!("the source `{}` has no `{request}`", self.source)).into())
        })
    }
}

impl Advertised {
    fn tips(&self) -> impl Iterator<Item = Oid> {
        let detached = match &self.head {
            Some(SourceHead::Detached(oid)) => Some(*oid),
            _ => None,
        };
        self.refs.iter().map(|(_, oid)| *oid).chain(detached)
    }
}

/// Returns the workspace that a directory under the root belongs to.
pub(crate) fn workspace_around(at: &UserRoot, directory: &Path) -> Result<WorkspaceName> {
    let holds =
        |own: PathBuf| directory.starts_with(&own) || own.canonicalize().is_ok_and(|own| directory.starts_with(own));
    let mut names = at.names()?.into_iter();
    names.find(|name| holds(at.tree(name)) || holds(at.state(name))).ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("`{}` is not in one of your workspaces", directory.display())).into()
    })
}

/// Returns whether every advertised object is one that a ref of the pool names: then it is there with all that it needs.
fn knows_all(pool: &Path, advertised: &Advertised) -> Result<bool> {
    if read_shallow(pool)? != advertised.shallow {
        return Ok(false);
    }
    let known: std::collections::HashSet<Oid> = read_refs(pool)?.into_iter().map(|(_, oid)| oid).collect();
    Ok(advertised.tips().all(|tip| known.contains(&tip)))
}

/// Makes the pool's refs those of the source; requests that were fetched earlier stay.
fn write_refs(pool: &Path, advertised: &Advertised, requests: &[String]) -> Result<()> {
    let old = read_refs(pool)?;
    let mut refs = advertised.refs.clone();
    refs.extend(
        old.iter()
            .filter(|(name, _)| {
                !name.starts_with("refs/heads/")
                    && !name.starts_with("refs/tags/")
                    && name != DETACHED
                    && !requests.contains(name)
                    && !advertised.refs.iter().any(|(new, _)| new == name)
            })
            .cloned(),
    );
    let head = match &advertised.head {
        Some(SourceHead::Branch(name)) => name.clone(),
        Some(SourceHead::Detached(commit)) => {
            refs.push((DETACHED.to_owned(), *commit));
            DETACHED.to_owned()
        }
        None => "refs/heads/main".to_owned(),
    };
    // A file of any name may lie below a project's `refs`; a line in one would be a ref more here.
    refs.retain(|(name, _)| git2::Reference::is_valid_name(name));
    refs.sort();
    refs.dedup_by(|one, other| one.0 == other.0);
    let shallow = pool.join("shallow");
    match &advertised.shallow {
        Some(content) => fs::write_atomic(&shallow, content, Durability::Synced)?,
        None if shallow.exists() => {
            std::fs::remove_file(&shallow).with_context(|| format!("cannot remove `{}`", shallow.display()))?;
        }
        None => {}
    }
    if refs != old {
        let mut text = String::from("# pack-refs with: sorted \n");
        for (name, oid) in &refs {
            text.extend([oid.to_string().as_str(), " ", name, "\n"]);
        }
        fs::write_atomic(&pool.join("packed-refs"), text.as_bytes(), Durability::Synced)?;
    }
    let head = format!("ref: {head}\n");
    let path = pool.join("HEAD");
    if std::fs::read_to_string(&path).ok().as_deref() != Some(&head) {
        fs::write_atomic(&path, head.as_bytes(), Durability::Synced)?;
    }
    Ok(())
}
