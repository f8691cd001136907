//! The tests that go through the binary: one file per subcommand and a few that cut across.

mod support;
