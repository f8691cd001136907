//! Starting processes and ending them: the only place that makes a `Command`.

pub(crate) mod processes;
pub(crate) mod signals;
pub(crate) mod spawn;
pub(crate) mod terminal;
