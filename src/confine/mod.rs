//! Starting processes with less, and ending them: the only place that makes a `Command`, and that names Landlock and
//! seccomp.

pub(crate) mod cgroup;
pub(crate) mod container;
pub(crate) mod etc;
pub(crate) mod handover;
pub(crate) mod held;
pub(crate) mod helper;
#[expect(dead_code, reason = "parts of what is enforced are for whoever asks")]
pub(crate) mod landlock;
pub(crate) mod namespaces;
pub(crate) mod policy;
mod privileges;
pub(crate) mod processes;
pub(crate) mod report;
pub(crate) mod rlimit;
pub(crate) mod seccomp;
pub(crate) mod signals;
pub(crate) mod spawn;
pub(crate) mod terminal;
