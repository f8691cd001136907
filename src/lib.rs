//! `stead` gives every coding agent a place of its own: isolated workspaces of git repositories, in which it runs an
//! agent CLI, tells exactly what the run changed, brings the work back and cleans up without losing any of it.
//!
//! # Layers
//!
//! A module uses only what stands to its right; `tests/it/tidy.rs` checks it:
//!
//! ```text
//! cli > cmd > ui > run > workspace > git > confine > store > config, progress, error, sys
//! ```
//!
//! | module | owns |
//! | --- | --- |
//! | [`cli`] | the command line: parse, dispatch, exit code, broken pipe, audit |
//! | [`cmd`] | one file per subcommand: its arguments, its report, `run()` |
//! | [`ui`] | stdout and stderr: reports, status lines, progress bars, quoting |
//! | [`run`] | runs in a workspace: specification, supervisor, environment, agent presets, records |
//! | [`workspace`] | workspaces: create, open, list, record, trash, the agent's `.git` |
//! | [`git`] | git2: sources, transports, pools, checkout, import, snapshots, changes, sync |
//! | [`confine`] | starting processes with less: namespaces, Landlock, seccomp, limits |
//! | [`store`] | everything under the root: names, leases, files beneath, walking, removal |
//! | [`config`] | settings and the environment |
//! | [`progress`], [`error`], [`sys`] | progress reports; failures and exit codes; the only `unsafe` |
//!
//! # Words
//!
//! | word | type | meaning |
//! | --- | --- | --- |
//! | root | [`store::root::Root`] | the directory that holds everything |
//! | user | [`store::name::UserId`] | the namespace a workspace belongs to |
//! | source | [`git::source::Source`] | where a workspace comes from: a URL, a path, another workspace |
//! | pool | [`git::pool::Pool`] | the git objects of one source, shared by its workspaces; append-only |
//! | workspace | [`workspace::Workspace`] | a named tree and its record |
//! | tree | | the directory that the agent works in |
//! | store | [`git::repository::Store`] | the trusted repository of one workspace |
//! | lease | [`store::lease::Lease`] | an exclusive hold for as long as the value lives |
//! | snapshot | [`git::snapshot::Snapshot`] | the state of a tree at one moment, as a commit in the store |
//! | change | [`git::change::Change`] | one difference between two snapshots |
//! | base | | the commit that the workspace's work is measured against |
//! | dirty, changes | | tree against head; tree against base |
//! | delivered | | work that is reachable from a ref outside |
//! | run | [`run::RunSpec`] | one execution of a command in a workspace |
//! | agent | [`run::agent::AgentPreset`] | how a named agent CLI is called and what it needs |
//! | policy, wall | [`confine::policy::Policy`] | what a run may read, write and reach; how that is enforced |
//! | journal | [`workspace::journal::Journal`] | what has been begun in a workspace, for whoever comes next to finish |
//! | plan | | what would be done; shown by `--dry-run` or applied, the same value |
//! | report, failure | [`ui::Report`], [`error::Failure`] | the answer of a command; an error that a reader can act on |
//!
//! # Invariants
//!
//! 1. Only `ui` writes to stdout or stderr.
//! 2. A command returns a value; it prints nothing but status lines.
//! 3. A workspace is changed only through [`workspace::LeasedWorkspace`]; starting a run takes one as a witness.
//! 4. A workspace exists if and only if its record is in place; tree and home are published before it, and it is
//!    moved away first.
//! 5. Whether someone is alive is asked of the kernel (a lock, a pidfd), never of a process id.
//! 6. Records, stores, pools, locks and logs are outside what a run can write.
//! 7. The agent's `.git` is never opened as a repository; `git::import` copies what it needs out of it.
//! 8. The agent's `.git` is never written in place; `workspace::agentgit` builds a new one and swaps it by rename.
//! 9. Destroying is a plan first; `--dry-run` prints the value that `apply(self)` consumes.
//! 10. What was asked for and not enforced is a failure, never a warning.
//! 11. libgit2 never checks out, resets or stashes into a tree that an agent has touched; writing goes through
//!     [`store::beneath`].
//! 12. A name from outside is printed only through the quoting of `ui::text`; raw bytes only with `-z`.

mod cli;
mod cmd;
mod config;
mod confine;
mod error;
#[cfg(all(test, not(fuzzing)))]
mod fuzzing;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod git;
mod progress;
mod run;
mod store;
#[expect(unsafe_code, reason = "the one place for calls that the compiler cannot check")]
mod sys;
mod ui;
mod workspace;

pub use cli::{command, main};
