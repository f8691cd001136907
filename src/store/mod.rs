//! Everything under the root: its layout and names, leases, and how files are written, walked and removed there.
//!
//! ```text
//! ROOT/
//!   stead.toml                   format = 1
//!   locks/USER/NAME              lease files, never unlinked
//!   workspaces/USER/NAME/        the tree: hostile for ever
//!   state/USER/NAME/             workspace.toml (the record, the commit point), store.git, seen, runs/RUN/…
//!   homes/USER/NAME/{home,tmp}   private HOME and TMPDIR of runs: hostile
//!   homes/USER/NAME/warm         which caches the private HOME was filled from
//!   pools/KEY.git/               bare, append-only; itself locked while used without a record; pools/KEY.lock beside it
//!   staging/ID/                  under construction; not leased = garbage
//!   trash/ID/{tree,state,homes,why.toml}
//!   audit.jsonl                  one line per event
//! ```

pub(crate) mod audit;
pub(crate) mod beneath;
pub(crate) mod directory_lock;
pub(crate) mod dotgit;
pub(crate) mod fs;
pub(crate) mod lease;
pub(crate) mod name;
mod reclaim;
mod remove;
pub(crate) mod root;
pub(crate) mod staging;
pub(crate) mod swap;
pub(crate) mod walk;
