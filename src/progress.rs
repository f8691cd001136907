//! How long work tells that it goes on, and learns that it shall stop.

/// A stretch of work that a person may have to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Objects arriving from a source; counted in objects.
    Receive,
    /// Deltas being resolved; counted in deltas.
    Resolve,
    /// Files being written; counted in files.
    Checkout,
    /// Files being read; counted in files.
    Scan,
    /// Files being removed; counted in files.
    Remove,
}

/// Takes reports of progress from any thread and answers whether the user has asked to stop.
pub(crate) trait Progress: Send + Sync {
    /// Says that `done` of `total` (0: not known) items of `phase` are done; the first call shows the phase.
    fn report(&self, phase: Phase, done: u64, total: u64);

    /// Says that `phase` is over.
    fn finish(&self, phase: Phase);

    /// Returns whether the work shall stop at the next point where it leaves nothing behind.
    fn cancelled(&self) -> bool;
}

/// Nobody is looking.
pub(crate) struct Silent;

impl Progress for Silent {
    fn report(&self, _phase: Phase, _done: u64, _total: u64) {}

    fn finish(&self, _phase: Phase) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// Fails when the user has asked to stop. `cli` turns the exit code into 130.
pub(crate) fn check(progress: &dyn Progress) -> crate::error::Result<()> {
    if progress.cancelled() {
        return Err(crate::error::Failure::new(crate::error::Kind::Failed, "interrupted").into());
    }
    Ok(())
}
