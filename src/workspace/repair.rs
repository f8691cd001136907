//! What can be wrong with a workspace under the root, and how the simple part of it is mended.
//!
//! Looks at what stead keeps, and at one file of the agent's `.git` (its alternates); the rest of the tree is the agent's.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;

use crate::error::{Kind, Result};
use crate::git::agentdir;
use crate::git::pool::Pool;
use crate::git::repository::{Access, Store};
use crate::git::source::Source;
use crate::git::whole;
use crate::store::beneath::Dir;
use crate::store::fs::{self, Durability};
use crate::store::lease::Lease;
use crate::store::name::WorkspaceName;
use crate::store::root::{UserRoot, read_small};
use crate::workspace::journal;
use crate::workspace::record::{self, Record, State};
use crate::workspace::trash::RemovalPlan;
use crate::workspace::usable;
use crate::workspace::{LeasedWorkspace, Workspace};

const ALTERNATES: &str = "objects/info/alternates";
/// More than any list of alternates that stead writes.
const MAX_ALTERNATES: u64 = 64 << 10;

/// One thing that is wrong with a workspace.
#[derive(Debug)]
pub(crate) enum Problem {
    /// A tree or a home without a state.
    Half,
    /// The state has no record, or one that cannot be read.
    Record { reason: String, newer: bool },
    /// The record is there and the tree is not; something else may be in its place.
    Tree { replaced: bool },
    /// Its owner may not enter the tree, or the `.git` in it.
    Closed,
    /// The private home is not there.
    Home,
    /// The store cannot be opened or lacks its first snapshot.
    Store { reason: String },
    /// The store or the agent's `.git` borrows from a pool that is not there.
    Alternate { of: Borrower, missing: PathBuf, pool: Option<PathBuf> },
    /// What a command was doing when it was cut off cannot be read.
    Journal { reason: String, newer: bool },
    /// A command was cut off, and the next one in it has something to finish; the word of `status` for it.
    Unfinished(&'static str),
    /// A stored time is in the future.
    Clock { time: Timestamp },
}

/// Who borrows objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Borrower {
    Store,
    Agent,
}

impl Problem {
    /// Says what is wrong.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Half => "it is half-made or half-removed".to_owned(),
            Self::Tree { replaced: false } => "its tree is gone".to_owned(),
            Self::Tree { replaced: true } => "its tree is not a directory any more".to_owned(),
            Self::Closed => "nobody may enter its tree, or its `.git`".to_owned(),
            Self::Home => "its home is gone".to_owned(),
            Self::Record { reason, .. } | Self::Journal { reason, .. } | Self::Store { reason } => reason.clone(),
            Self::Alternate { of: Borrower::Store, missing, .. } => {
                format!("its store borrows from `{}`, which is not there", missing.display())
            }
            Self::Alternate { of: Borrower::Agent, missing, .. } => {
                format!("its `.git` borrows from `{}`, which is not there", missing.display())
            }
            Self::Unfinished(word) => format!("a command in it was cut off ({word})"),
            Self::Clock { time } => format!("it was last used in the future, at {time}"),
        }
    }

    /// Returns whether [`repair`] has something to do.
    pub(crate) fn can_be_repaired(&self) -> bool {
        match self {
            Self::Half | Self::Closed | Self::Home | Self::Unfinished(_) => true,
            Self::Record { newer, .. } | Self::Journal { newer, .. } => !newer,
            Self::Alternate { pool, .. } => pool.is_some(),
            Self::Tree { .. } | Self::Store { .. } | Self::Clock { .. } => false,
        }
    }
}

impl Problem {
    /// Says what somebody can do about what [`repair`] cannot mend.
    pub(crate) fn advice(&self, at: &UserRoot, name: &WorkspaceName) -> Option<String> {
        match self {
            Self::Record { newer: true, .. } | Self::Journal { newer: true, .. } => {
                Some("use the stead that wrote it, or a newer one".to_owned())
            }
            Self::Tree { .. } => Some(format!("`stead rm -f {name}` moves the rest of it to the trash")),
            Self::Store { .. } => Some(format!(
                "what runs had before cannot be put back; its files are untouched: copy them from `{}`, then `stead rm -f {name}`",
                at.tree(name).display()
            )),
            Self::Alternate { .. } => Some("its source has to be fetched once more, and could not be".to_owned()),
            Self::Clock { .. } => Some("look at the clock; such a time counts as now".to_owned()),
            _ => None,
        }
    }
}

/// Looks at everything that `name` has under the root. Writes nothing.
pub(crate) fn examine(at: &UserRoot, name: &WorkspaceName) -> Result<Vec<Problem>> {
    let state = at.state(name);
    if !exists(&state) {
        return Ok(if exists(&at.tree(name)) || exists(&at.homes(name)) { vec![Problem::Half] } else { Vec::new() });
    }
    let mut problems = Vec::new();
    let mut last_used = None;
    match Record::read(&state.join(record::FILE)) {
        Ok(Some(record)) if record.name == name.as_str() => last_used = Some(record.last_used),
        Ok(Some(record)) => {
            let reason = format!("its record is of another workspace, `{}`", record.name);
            problems.push(Problem::Record { reason, newer: false });
        }
        Ok(None) => problems.push(Problem::Record { reason: "it has no record".to_owned(), newer: false }),
        Err(error) if Kind::of(&error) == Kind::Damaged => {
            let reason = error.to_string();
            problems.push(Problem::Record { newer: reason.contains("it has schema"), reason });
        }
        Err(error) => return Err(error),
    }
    if let Some(time) = last_used.filter(|time| time.as_second() > Timestamp::now().as_second() + 60) {
        problems.push(Problem::Clock { time });
    }
    if !at.tree(name).symlink_metadata().is_ok_and(|tree| tree.is_dir()) {
        problems.push(Problem::Tree { replaced: exists(&at.tree(name)) });
    }
    if usable::is_closed(&at.tree(name)) {
        problems.push(Problem::Closed);
    }
    if !exists(&at.homes(name)) {
        problems.push(Problem::Home);
    }
    match journal::look(&state) {
        Ok(word) => problems.extend(word.map(Problem::Unfinished)),
        Err(error) => match Kind::of(&error) {
            kind @ (Kind::Damaged | Kind::Refused) => {
                problems.push(Problem::Journal { reason: error.to_string(), newer: kind == Kind::Refused });
            }
            _ => return Err(error),
        },
    }
    let alternates = read_small(&state.join("store.git").join(ALTERNATES))?.unwrap_or_default();
    let mut borrows: Vec<Problem> = dangling(at, Borrower::Store, alternates.as_bytes());
    if let Ok(tree) = Dir::open(&at.tree(name)) {
        let path = Path::new(".git").join(ALTERNATES);
        // What the agent has made of it is the agent's business; only a plain file counts.
        let list = tree.read(&path, MAX_ALTERNATES).ok().flatten().unwrap_or_default();
        borrows.extend(dangling(at, Borrower::Agent, &list));
    }
    if borrows.is_empty() {
        match Store::open(&state.join("store.git"), Access::Read) {
            Ok(store) => {
                let lacks_first =
                    || first_snapshot(&store).is_none().then(|| "its store lacks the first snapshot".into());
                let fault = whole::outside(&store.path().join("objects"))?.or_else(lacks_first);
                problems.extend(fault.map(|reason| Problem::Store { reason }));
            }
            Err(error) => problems.push(Problem::Store { reason: format!("{error:#}") }),
        }
    }
    problems.extend(borrows);
    Ok(problems)
}

/// Mends one problem and says how; the caller holds the lease of the name.
pub(crate) fn repair(at: &UserRoot, name: &WorkspaceName, problem: &Problem, lease: Lease) -> Result<String> {
    match problem {
        Problem::Half => match RemovalPlan::of_half(at, name, lease, "doctor")? {
            Some(plan) => Ok(format!("what is left of it is in the trash as {}", plan.apply()?)),
            None => Ok("nothing is left of it".to_owned()),
        },
        Problem::Record { .. } => {
            let path = at.state(name).join(record::FILE);
            let record = rebuild(at, name)?;
            if exists(&path) {
                let aside = path.with_file_name(format!("{}.damaged-{}", record::FILE, fs::unique_id()));
                fs::publish(&path, &aside, Durability::Synced)?;
            }
            record.write(&path)?;
            Ok("its record is made anew; look at it with `stead status`".to_owned())
        }
        Problem::Alternate { of, missing, pool: Some(pool) } => {
            let place = |line: &[u8]| {
                if line == missing.as_os_str().as_bytes() {
                    pool.as_os_str().as_bytes().to_vec()
                } else {
                    line.to_vec()
                }
            };
            let mend = |list: &[u8]| -> Vec<u8> {
                list.split(|&byte| byte == b'\n')
                    .filter(|line| !line.is_empty())
                    .flat_map(|line| [place(line), b"\n".to_vec()].concat())
                    .collect()
            };
            match of {
                Borrower::Store => {
                    let path = at.state(name).join("store.git").join(ALTERNATES);
                    let list = read_small(&path)?.unwrap_or_default();
                    fs::write_atomic(&path, &mend(list.as_bytes()), Durability::Synced)?;
                }
                Borrower::Agent => {
                    let tree = Dir::open(&at.tree(name))?;
                    let path = Path::new(".git").join(ALTERNATES);
                    let list = tree.read(&path, MAX_ALTERNATES)?.unwrap_or_default();
                    tree.replace(&path, &mend(&list), 0o644)?;
                }
            }
            Ok(format!("it borrows from `{}` now", pool.display()))
        }
        Problem::Unfinished(_) => {
            let mut leased = LeasedWorkspace::new(Workspace::find(at, name)?, lease);
            Ok(journal::finish(&mut leased)?.unwrap_or_else(|| "it is finished already".to_owned()))
        }
        Problem::Closed => {
            usable::make(&at.tree(name))?;
            Ok("you may again".to_owned())
        }
        Problem::Home => {
            let home = at.homes(name);
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(&home)
                .with_context(|| format!("cannot make `{}`", home.display()))?;
            Ok("there is an empty one now".to_owned())
        }
        Problem::Journal { .. } => {
            journal::set_aside(&at.state(name))?;
            Ok(format!("it is set aside; what was under way may be half done: look at `stead diff {name}`"))
        }
        Problem::Alternate { .. } | Problem::Tree { .. } | Problem::Store { .. } | Problem::Clock { .. } => {
            anyhow::bail!("cannot be mended")
        }
    }
}

/// Returns the problems of a list of alternates; a pool of the same key under this root is the cure (a root that moved).
fn dangling(at: &UserRoot, of: Borrower, list: &[u8]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for line in list.split(|&byte| byte == b'\n').filter(|line| line.first() == Some(&b'/')) {
        let missing = PathBuf::from(OsStr::from_bytes(line));
        if missing.is_dir() {
            continue;
        }
        let pool = missing.parent().and_then(Path::file_name).map(|key| at.root().pools().join(key).join("objects"));
        let pool = pool.filter(|pool| pool.is_dir());
        problems.push(Problem::Alternate { of, missing, pool });
    }
    problems
}

/// Makes a record of what the store, the pool and the agent's `.git` tell. Nothing in it makes the work collectable that was
/// not: what cannot be known is left out.
fn rebuild(at: &UserRoot, name: &WorkspaceName) -> Result<Record> {
    let path = at.state(name).join("store.git");
    let store = Store::open(&path, Access::Read)?;
    let (snapshot, created) = first_snapshot(&store).context("the store lacks the first snapshot")?;
    // What has been delivered since is looked for anew, and ports may be somebody else's by now.
    if let Ok(Some(copy)) = Record::read(&path.join(record::COPY))
        && copy.created_snapshot.as_ref() == Some(&snapshot)
        && copy.schema <= record::SCHEMA
    {
        let name = name.as_str().to_owned();
        let user = at.user().as_str().to_owned();
        return Ok(Record { name, user, last_used: Timestamp::now(), ports: Vec::new(), ..copy });
    }
    let list = read_small(&path.join(ALTERNATES))?.unwrap_or_default();
    let key = Path::new(list.trim_end()).parent().and_then(Path::file_stem).and_then(OsStr::to_str).map(str::to_owned);
    let mut record = Record {
        schema: record::SCHEMA,
        name: name.as_str().to_owned(),
        user: at.user().as_str().to_owned(),
        state: State::Ready,
        created,
        last_used: Timestamp::now(),
        ttl: None,
        pinned: false,
        ephemeral: false,
        source: None,
        depth: None,
        branch: None,
        upstream: None,
        base: None,
        created_snapshot: Some(snapshot),
        pool: key.clone(),
        ports: Vec::new(),
        identity: None,
        layout: None,
        isolation: None,
        brought: Vec::new(),
        imports: Vec::new(),
        env: std::collections::BTreeMap::new(),
        limits: std::collections::BTreeMap::new(),
        deliveries: Vec::new(),
        unknown: toml::Table::new(),
    };
    let Some(key) = key else { return Ok(record) };
    let pool = Pool::open(at, &key)?;
    record.upstream = pool.head_branch()?;
    let Ok(tree) = Dir::open(&at.tree(name)) else { return Ok(record) };
    let head = agentdir::refs(&tree).head_commit();
    if let Some(tip) = pool.head()? {
        let base = head.and_then(|head| pool.merge_base(head, tip.commit)).unwrap_or(tip.commit);
        record.base = Some(base.to_string());
    }
    let config = tree.read(Path::new(".git/config"), 1 << 20)?.unwrap_or_default();
    let (entries, _) = agentdir::config::parse(&config);
    let urls = entries
        .iter()
        .filter(|entry| entry.section == "remote" && entry.key == "url")
        .filter_map(|entry| entry.value.as_deref());
    for url in urls {
        // The agent may have written anything there; only the source of this very pool is believed.
        if let Ok(source) = Source::of_record(url, at.root().path())
            && source.pool_key(at.user(), None) == key
        {
            record.source = Some(source.to_string());
        }
    }
    Ok(record)
}

/// Returns the first snapshot's commit and its time.
fn first_snapshot(store: &Store) -> Option<(String, Timestamp)> {
    let commit = store.repository().find_reference("refs/created").ok()?.peel_to_commit().ok()?;
    let time = Timestamp::from_second(commit.time().seconds()).ok()?;
    Some((commit.id().to_string(), time))
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
