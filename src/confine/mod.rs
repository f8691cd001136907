//! Starting processes: the only place that makes a `Command`.

pub(crate) mod spawn;
