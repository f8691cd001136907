//! Signals as something to poll for.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::SigId;

use crate::sys;

/// Signals that are noted instead of doing what they do by default, for as long as the value lives.
///
/// What a process ignored when it started (`nohup`, `&` in a script) stays ignored. Afterwards a signal does nothing:
/// the handler cannot be taken back.
#[must_use = "signals are no longer noted when the value is dropped"]
#[derive(Debug)]
pub(crate) struct Signals {
    noted: Vec<(i32, SigId, UnixStream)>,
}

impl Signals {
    pub(crate) fn note(signals: &[i32]) -> io::Result<Self> {
        let mut noted = Vec::new();
        for &signal in signals {
            if sys::ignores_signal(signal) && signal != libc::SIGCHLD {
                continue;
            }
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            noted.push((signal, signal_hook::low_level::pipe::register(signal, write)?, read));
        }
        Ok(Self { noted })
    }

    /// Returns what becomes readable when a signal arrives.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.noted.iter().map(|(_, _, stream)| stream.as_fd())
    }

    /// Returns the signals since the last call, each with how often it has come: a second Ctrl-C may follow at once.
    pub(crate) fn take(&self) -> Vec<(i32, usize)> {
        let arrived = |(signal, _, stream): &(i32, SigId, UnixStream)| {
            // The handler writes one byte each time.
            let mut buffer = [0; 64];
            let mut times = 0;
            while let Ok(count) = (&*stream).read(&mut buffer)
                && count > 0
            {
                times += count;
            }
            (times > 0).then_some((*signal, times))
        };
        self.noted.iter().filter_map(arrived).collect()
    }
}

/// A signal that this process ignores for as long as the value lives.
#[must_use = "the signal does what it does by default when the value is dropped"]
#[derive(Debug)]
pub(crate) struct Ignored(Option<i32>);

impl Ignored {
    pub(crate) fn new(signal: i32) -> Self {
        let was_ignored = sys::ignores_signal(signal);
        sys::ignore_signal(signal);
        Self((!was_ignored).then_some(signal))
    }
}

impl Drop for Ignored {
    fn drop(&mut self) {
        if let Some(signal) = self.0 {
            sys::default_signal(signal);
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (_, id, _) in &self.noted {
            signal_hook::low_level::unregister(*id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_comes_twice_at_once_is_taken_twice() {
        let signals = Signals::note(&[libc::SIGURG, libc::SIGWINCH]).expect("signals are noted");
        for signal in [libc::SIGURG, libc::SIGURG, libc::SIGWINCH] {
            signal_hook::low_level::raise(signal).expect("the signal is sent");
        }
        assert_eq!(signals.take(), [(libc::SIGURG, 2), (libc::SIGWINCH, 1)]);
        assert_eq!(signals.take(), []);
    }
}
