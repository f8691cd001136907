//! One transfer: what its streams share with the function that started it, which libgit2 offers no way to pass.
//!
//! libgit2 makes transports on the thread that asks for the transfer, so a [`Current`] names it there, and only there, for
//! as long as it lasts; nothing of a login is left afterwards.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Failure, Kind, Result};
use crate::git::source::{Address, Login, Source};
use crate::git::transport::Net;
use crate::git::userconfig::UserConfig;
use crate::progress::Progress;

/// How often a blocked read looks whether it shall stop.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// How long the other side may be silent. A server that counts the objects of a large repository sends nothing for a while.
const IDLE: Duration = Duration::from_mins(5);

pub(crate) struct Transfer {
    pub(crate) net: Net,
    pub(super) config: UserConfig,
    /// The URL as typed and the login that was in it.
    pub(super) login: Option<(Address, Login)>,
    pub(super) idle: Duration,
    cancelled: AtomicBool,
    failure: Mutex<Option<Failure>>,
}

impl Transfer {
    pub(super) fn new(source: &Source, net: &Net) -> Result<Arc<Self>> {
        let config = UserConfig::load(&net.environment)?;
        let address = Address::parse(&source.url()).ok().map(|(address, _)| address);
        let login = address.zip(source.login().cloned());
        // git's own knob for the same thing.
        let seconds = net.environment.text("GIT_HTTP_LOW_SPEED_TIME").or_else(|| config.get("http.lowspeedtime"));
        let seconds = seconds.and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0);
        Ok(Arc::new(Self {
            net: net.clone(),
            login,
            idle: seconds.map_or(IDLE, Duration::from_secs),
            config,
            cancelled: AtomicBool::new(false),
            failure: Mutex::new(None),
        }))
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Keeps the first failure: libgit2 hands on its text at best.
    pub(super) fn fail(&self, failure: Failure) -> Failure {
        lock(&self.failure).get_or_insert(failure).clone()
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        lock(&self.failure).clone()
    }

    /// Returns the failure of a wait that began at `since`, when it has to end.
    pub(super) fn over(&self, since: Instant, host: &str) -> Option<Failure> {
        if self.cancelled() {
            return Some(interrupted());
        }
        (since.elapsed() > self.idle).then(|| {
            let message = format!("`{host}` sent nothing for {} s", self.idle.as_secs());
            Failure::new(Kind::Failed, message).hint("`http.lowSpeedTime` of git's configuration sets how long to wait")
        })
    }

    /// Runs `work` on this thread with this as the current transfer, while another thread watches for the user's wish to
    /// stop.
    pub(super) fn run<T>(self: &Arc<Self>, progress: &dyn Progress, work: impl FnOnce() -> T) -> T {
        let watch = Watch::default();
        std::thread::scope(|scope| {
            // Where no thread is to be had, the wish is seen only when something arrives.
            let watcher = std::thread::Builder::new().spawn_scoped(scope, || {
                while !watch.ended_within(TICK) {
                    if progress.cancelled() {
                        self.cancel();
                    }
                }
            });
            drop(watcher);
            // Both end with this block, also when `work` panics; else the scope would wait for ever.
            let _end = End(&watch);
            let _current = Current::set(self);
            work()
        })
    }

    /// Returns the transfer that runs on this thread.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }
}

pub(super) fn interrupted() -> Failure {
    Failure::new(Kind::Failed, "interrupted")
}

/// Returns `failure` in the form in which it passes through libgit2.
pub(super) fn to_git(failure: &Failure) -> git2::Error {
    git2::Error::new(git2::ErrorCode::GenericError, git2::ErrorClass::Net, failure.message.replace('\0', "\u{fffd}"))
}

/// Returns `failure` in the form in which it passes through a stream.
pub(super) fn to_io(failure: &Failure) -> std::io::Error {
    std::io::Error::other(failure.message.replace('\0', "\u{fffd}"))
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Transfer>>> = const { RefCell::new(None) };
}

#[must_use = "the transfer is current for as long as this lives"]
struct Current(Option<Arc<Transfer>>);

impl Current {
    fn set(transfer: &Arc<Transfer>) -> Self {
        Self(CURRENT.replace(Some(Arc::clone(transfer))))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

#[derive(Default)]
struct Watch {
    ended: Mutex<bool>,
    condition: Condvar,
}

impl Watch {
    fn ended_within(&self, time: Duration) -> bool {
        let ended = lock(&self.ended);
        let waited = self.condition.wait_timeout_while(ended, time, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

struct End<'a>(&'a Watch);

impl Drop for End<'_> {
    fn drop(&mut self) {
        *lock(&self.0.ended) = true;
        self.0.condition.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
