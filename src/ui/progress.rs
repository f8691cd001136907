//! Progress bars on stderr by `indicatif`, and the question whether the user pressed Ctrl-C.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Exit, Result};
use crate::progress::{Phase, Progress};
use crate::sys;

pub(super) struct Bars {
    /// `None` where nobody is looking.
    multi: Option<MultiProgress>,
    bars: Mutex<HashMap<Phase, Bar>>,
    interrupted: Arc<AtomicBool>,
    /// The exit code that the signal asks for; 0 before there was one.
    code: Arc<AtomicUsize>,
    /// What is registered for the signals; empty while nothing is caught.
    caught: Mutex<Vec<SigId>>,
}

/// Work that is over sooner shows no bar: it would only flash.
const PATIENCE: Duration = Duration::from_millis(300);

struct Bar {
    since: Instant,
    /// `None` as long as the work is young.
    shown: Option<ProgressBar>,
    /// 0 as long as it is not known.
    total: u64,
}

const KNOWN: &str = "{msg:>9} [{bar:32}] {pos}/{len} {eta}";
const UNKNOWN: &str = "{msg:>9} {spinner} {pos}";

impl Bars {
    pub(super) fn new(visible: bool) -> Self {
        Self {
            multi: visible.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr())),
            bars: Mutex::default(),
            interrupted: Arc::default(),
            code: Arc::default(),
            caught: Mutex::default(),
        }
    }

    /// From now on SIGINT and SIGTERM ask the work to stop at a point where it leaves nothing behind; a second one
    /// ends the process at once. What the process ignored when it started stays ignored.
    pub(super) fn catch_interrupts(&self) -> Result<()> {
        let mut caught = self.caught.lock().unwrap_or_else(PoisonError::into_inner);
        if !caught.is_empty() {
            return Ok(());
        }
        for signal in [SIGINT, SIGTERM].into_iter().filter(|&signal| !sys::ignores_signal(signal)) {
            let code = 128 + signal;
            // In this order: the first signal finds the flag still down.
            let interrupted = || Arc::clone(&self.interrupted);
            caught.push(signal_hook::flag::register_conditional_shutdown(signal, code, interrupted())?);
            let value = code.unsigned_abs() as usize;
            caught.push(signal_hook::flag::register_usize(signal, Arc::clone(&self.code), value)?);
            caught.push(signal_hook::flag::register(signal, interrupted())?);
        }
        Ok(())
    }

    /// Leaves the signals to whoever else watches for them; nobody means that they do nothing.
    pub(super) fn release_interrupts(&self) {
        for id in self.caught.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }

    /// Returns the exit code that a caught signal asks for.
    pub(super) fn interrupted(&self) -> Option<Exit> {
        let code = self.code.load(Ordering::Relaxed);
        u8::try_from(code).ok().filter(|&code| code != 0).map(Exit)
    }

    /// Does something to the terminal while the bars are out of the way.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.multi {
            Some(multi) => multi.suspend(write),
            None => write(),
        }
    }
}

impl Progress for Bars {
    fn report(&self, phase: Phase, done: u64, total: u64) {
        let Some(multi) = &self.multi else { return };
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(phase).or_insert_with(|| Bar { since: Instant::now(), shown: None, total: 0 });
        if bar.shown.is_none() && bar.since.elapsed() < PATIENCE {
            return;
        }
        let shown = bar.shown.get_or_insert_with(|| {
            // Styled before it is added, which draws it.
            multi.add(ProgressBar::no_length().with_style(style(UNKNOWN)).with_message(words(phase)))
        });
        if bar.total != total {
            shown.set_style(style(if total == 0 { UNKNOWN } else { KNOWN }));
            shown.set_length(total);
            bar.total = total;
        }
        shown.set_position(done);
    }

    fn finish(&self, phase: Phase) {
        let bar = self.bars.lock().unwrap_or_else(PoisonError::into_inner).remove(&phase);
        if let Some(Bar { shown: Some(shown), .. }) = bar {
            shown.finish_and_clear();
        }
    }

    fn cancelled(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        for (_, bar) in self.bars.get_mut().unwrap_or_else(PoisonError::into_inner).drain() {
            if let Some(shown) = bar.shown {
                shown.finish_and_clear();
            }
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are right").progress_chars("=> ")
}

fn words(phase: Phase) -> &'static str {
    match phase {
        Phase::Receive => "receiving",
        Phase::Resolve => "resolving",
        Phase::Checkout => "writing",
        Phase::Scan => "reading",
        Phase::Remove => "removing",
    }
}
