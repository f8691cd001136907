//! What is different at the end of a run in a container: its client has ended, and what is left are processes of the engine,
//! which have the container to clear away.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Phase, Supervision, not_started};
use crate::confine::container;
use crate::run::container::{Container, KILLED, forget};
use crate::run::limits::Bound;
use crate::run::supervise::{Ended, Outcome, Request, Stop};

/// How long the engine may take to clear up by itself: making a container is never left half way, and its image may be large.
const CLEARING: Duration = Duration::from_secs(20);

impl Supervision<'_> {
    /// Returns whether the engine has not been given its time yet.
    pub(super) fn has_client_to_clear_up(&self) -> bool {
        self.request.container.is_some() && !self.left_is_told
    }

    /// Gives the engine its time.
    pub(super) fn clear_up(&mut self, now: Instant) -> Phase {
        self.left_is_told = true;
        if let (Some(container), Some((Ended::Signaled(_), _))) = (&self.request.container, &self.ended) {
            // A client that was killed has not told its container.
            container::end(&container.named);
        }
        Phase::Stopping(now + CLEARING)
    }
}

/// Makes sure of the end of a container when no process of its client is left, and says how its command has ended.
pub(super) fn conclude(outcome: &mut Outcome, request: &Request, container: &Container) {
    if !container::end(&container.named) {
        outcome.alive += 1;
    }
    // What was measured is the client's.
    (outcome.user, outcome.system, outcome.peak_memory) = (Duration::ZERO, Duration::ZERO, 0);
    not_made(outcome, container);
    not_executed(outcome, request);
    let directory = Path::new(&request.logs);
    if outcome.stop.is_none() && directory.join(KILLED).exists() {
        outcome.stop = Some(Stop::Limit(Bound::Memory));
    }
    forget(directory);
}

/// Takes an end of the engine's client for one of the engine where no container was ever made.
fn not_made(outcome: &mut Outcome, container: &Container) {
    /// What clients exit with for what they cannot do themselves.
    const CANNOT: i32 = 125;
    if outcome.ended == Ended::Exited(CANNOT) && !Path::new(&container.id_file).exists() {
        outcome.ended = Ended::NoWall("the engine makes no container, and has said why".into());
    }
}

/// Takes an end of the engine's process 1 for that of a command which it could not execute: podman's exits with 1 then,
/// docker's as a shell does.
fn not_executed(outcome: &mut Outcome, request: &Request) {
    let said = || std::fs::read_to_string(Path::new(&request.logs).join("err")).unwrap_or_default();
    if let Ended::Exited(1 | 126 | 127) = outcome.ended
        && let Some(reason) = container::not_executed(&said())
    {
        outcome.ended = not_started(request, &reason);
    }
}
