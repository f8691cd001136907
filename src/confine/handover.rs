//! Descriptors that one process of stead hands to another over a socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};

/// The most that is handed over at once.
const MOST: usize = 4;

/// Makes both ends of such a socket, as closed on execution as all else.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// Says one byte. One that is gone is noticed otherwise.
pub(crate) fn say(socket: impl AsFd, byte: u8) {
    rustix::net::send(socket, &[byte], SendFlags::NOSIGNAL).ok();
}

/// Hands over `files` (at most four) with one byte.
pub(crate) fn give(socket: impl AsFd, byte: u8, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(&[byte])], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for what is handed over.
///
/// # Errors
///
/// `UnexpectedEof` when the other end is gone.
pub(crate) fn take(socket: impl AsFd) -> io::Result<(u8, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
    })?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut files = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(handed) = message {
            files.extend(handed);
        }
    }
    Ok((byte[0], files))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn what_is_given_is_taken_and_an_end_is_no_message() {
        let (one, other) = pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        give(&one, 7, &[write.as_fd()]).unwrap();
        drop(write);
        say(&one, 8);
        let (byte, files) = take(&other).unwrap();
        assert_eq!(byte, 7);
        for file in files {
            File::from(file).write_all(b"x").unwrap();
        }
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        assert_eq!(take(&other).unwrap().0, 8);
        drop(one);
        assert_eq!(take(&other).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
