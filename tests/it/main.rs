//! The tests that go through the binary: one file per subcommand and a few that cut across.

#![expect(clippy::disallowed_methods, reason = "tests start processes and read the environment")]

mod checkout;
mod cli;
mod clone;
mod concurrency;
mod config;
mod crash;
mod create;
mod diff;
mod doctor;
mod errors;
mod exec;
mod gc;
mod generated;
mod generated_files;
mod hostile;
mod http;
mod import;
mod index;
mod interactive;
mod journey;
mod keeping;
mod last_copy;
mod log;
mod mutants;
mod oracle;
mod progress;
mod readme;
mod restore;
mod rm;
mod sandbox;
mod ssh;
mod status;
mod store;
mod support;
mod sync;
mod tidy;
mod uncommitted;
mod undo;
