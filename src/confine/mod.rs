//! Starting processes with less, and ending them: the only place that makes a `Command`, and that names Landlock and
//! seccomp.

#[expect(dead_code, reason = "the wall that uses all of it is being built")]
pub(crate) mod landlock;
pub(crate) mod processes;
#[cfg_attr(not(test), expect(dead_code, reason = "the wall that uses all of it is being built"))]
pub(crate) mod seccomp;
pub(crate) mod signals;
pub(crate) mod spawn;
pub(crate) mod terminal;
