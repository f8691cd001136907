//! The process that reads untrusted objects: stead itself once more, with nothing but the git directory to read and one
//! socket to answer on.
//!
//! ```text
//! asked      an id, 20 bytes; any number before the answers are read
//! answered   what, kind (1 byte each), length (8 bytes, big endian), then the content or the reason
//! ```
//!
//! It is a second wall around what inflates and follows deltas. The first is that [`super::reader`] trusts nothing it says.

use std::ffi::OsString;
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use git2::ObjectType;

use super::objects::Objects;
use crate::confine::helper::{self, Share};
use crate::confine::spawn;
use crate::git::Oid;
use crate::store::beneath::Dir;

/// The hidden first argument that makes stead such a process.
pub(super) const WORD: &str = "__read-objects";

pub(super) const FOUND: u8 = 0;
pub(super) const MISSING: u8 = 1;
pub(super) const REFUSED: u8 = 2;

/// A base, a delta and what they make, each as large as an object may be, and the indexes of the packs.
const SHARE: Share = Share { memory: 4 << 30, cpu: 150 };

/// Bytes of all objects, unpacked; the parent has its own, lower bound.
const MOST: u64 = 8 << 30;

/// Runs as the helper if `arguments` (the program's name first) ask for it.
pub(crate) fn entry(arguments: &[OsString]) -> Option<ExitCode> {
    let [_, word, git, socket] = arguments else { return None };
    if word != WORD {
        return None;
    }
    let done = (|| {
        let git = Dir::from(spawn::adopt(git)?);
        let socket = UnixStream::from(spawn::adopt(socket)?);
        helper::hold(git.fd(), SHARE)?;
        serve(&git, &socket)
    })();
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Answers until the other side has no more questions.
pub(super) fn serve(git: &Dir, socket: &UnixStream) -> io::Result<()> {
    let objects = Objects::open(git, MOST);
    let (mut asked, mut answers) = (BufReader::new(socket), BufWriter::with_capacity(64 << 10, socket));
    let mut id = [0; 20];
    loop {
        if asked.buffer().len() < id.len() {
            answers.flush()?;
        }
        match asked.read_exact(&mut id) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let id = Oid::from_bytes(&id).map_err(io::Error::other)?;
        let (what, kind, content) = match objects.read(id) {
            Ok(Some((kind, content))) => (FOUND, number(kind), content),
            Ok(None) => (MISSING, 0, Vec::new()),
            Err(reason) => (REFUSED, 0, reason.into_bytes()),
        };
        answers.write_all(&[what, kind])?;
        answers.write_all(&(content.len() as u64).to_be_bytes())?;
        answers.write_all(&content)?;
    }
}

/// Returns the number that git's own packs have for a kind.
pub(in crate::git) fn number(kind: ObjectType) -> u8 {
    match kind {
        ObjectType::Commit => 1,
        ObjectType::Tree => 2,
        ObjectType::Blob => 3,
        ObjectType::Tag => 4,
        ObjectType::Any => 0,
    }
}

/// Returns the kind of a number.
pub(super) fn kind(number: u8) -> Option<ObjectType> {
    [ObjectType::Commit, ObjectType::Tree, ObjectType::Blob, ObjectType::Tag]
        .get(usize::from(number).checked_sub(1)?)
        .copied()
}
