//! Starting processes with less, and ending them: the only place that makes a `Command`, and that names Landlock and
//! seccomp.

pub(crate) mod cgroup;
pub(crate) mod helper;
#[expect(dead_code, reason = "the wall that uses all of it is being built")]
pub(crate) mod landlock;
pub(crate) mod policy;
pub(crate) mod processes;
pub(crate) mod rlimit;
pub(crate) mod seccomp;
pub(crate) mod signals;
pub(crate) mod spawn;
pub(crate) mod terminal;
