//! The only `unsafe` of the tests: system calls that no library makes, since they are what a wall refuses.

use std::io;

/// What a system call is given.
pub(super) enum Given<'a> {
    /// A number or flags; never an address.
    Number(i64),
    /// The address of these bytes.
    Bytes(&'a mut [u8]),
}

impl From<i32> for Given<'_> {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl<'a> From<&'a mut [u8]> for Given<'a> {
    fn from(bytes: &'a mut [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

/// Makes a system call and returns its answer.
pub(super) fn call<const COUNT: usize>(number: i64, given: [Given<'_>; COUNT]) -> io::Result<i64> {
    let mut words = [0_i64; 6];
    for (word, given) in words.iter_mut().zip(given) {
        *word = match given {
            Given::Number(number) => number,
            Given::Bytes(bytes) => i64::try_from(bytes.as_mut_ptr().expose_provenance()).map_err(io::Error::other)?,
        };
    }
    // SAFETY: addresses are of live, exclusively borrowed bytes, which every caller makes as long as the call may fill; what
    // else a number could stand for is asked for with values that the kernel answers by an error.
    let answer = unsafe { libc::syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]) };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Asks for the number of this process as programs of 32 bits do; a system call of another architecture than this one.
#[cfg(target_arch = "x86_64")]
pub(super) fn number_by_32_bits() -> i64 {
    let answer: i64;
    // SAFETY: the call takes no arguments and changes nothing; the registers that old kernels clear are named.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => answer, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    answer
}

/// Attempts something in a copy of this process, which must have one thread; what it changes of itself ends with it.
pub(super) fn in_copy(attempt: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    // SAFETY: with one thread nobody else holds a lock when memory is copied; the copy ends without destructors.
    let copy = unsafe { libc::fork() };
    match copy {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = attempt().err().map_or(0, |error| error.raw_os_error().unwrap_or(255));
            // SAFETY: nothing of the copy runs afterwards.
            unsafe { libc::_exit(code) }
        }
        copy => {
            let pid = rustix::process::Pid::from_raw(copy);
            let (_, status) = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty())?
                .ok_or_else(|| io::Error::other("nobody was waited for"))?;
            match status.exit_status() {
                Some(0) => Ok(()),
                Some(code) => Err(io::Error::from_raw_os_error(code)),
                // A filter's way of refusing what it cannot answer.
                None if status.terminating_signal() == Some(libc::SIGSYS) => Err(rustix::io::Errno::PERM.into()),
                None => Err(io::Error::other(format!("ended by signal {:?}", status.terminating_signal()))),
            }
        }
    }
}
