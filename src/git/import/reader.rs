//! Asking [`super::helper`] for objects: started at the first question, killed when its time is over, believed in nothing.
//!
//! Limits: whether an object is what it is asked for by, and is well formed, is for the caller to check.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use git2::ObjectType;
use rustix::event::{PollFd, PollFlags, Timespec};

use super::{Bounds, helper};
use crate::git::Oid;
use crate::store::beneath::Dir;

pub(super) type Answer = Result<Option<(ObjectType, Vec<u8>)>, String>;

/// What comes of unpacking is worth less the smaller the packed form is: nothing that was written as files is so large.
const LARGEST: u64 = 512 << 20;
/// Objects above this size are looked for as files, which say what they took to make.
const LARGE: u64 = 1 << 20;
/// Unpacked bytes for each one on disk. zlib makes at most a thousand of one, and deltas any number.
const RATIO: u64 = 64;
/// Bytes on disk that are worth a second.
const PER_SECOND: u64 = 2 << 20;
/// Questions asked ahead; their answers wait in memory.
const AHEAD: usize = 32;
const WAITING: usize = 16 << 20;
/// So often is a helper started again that died of what it read.
const STARTS: usize = 4;

/// Where objects come from.
pub(super) struct Reader<'a> {
    git: &'a Dir,
    bounds: Bounds,
    /// Bytes that have come, here and before.
    taken: u64,
    deadline: Instant,
    helper: Option<Helper>,
    starts: usize,
    /// What was asked for and is not answered, in order.
    asked: VecDeque<Oid>,
    answered: HashMap<Oid, Answer>,
    waiting: usize,
    is_late: bool,
}

impl<'a> Reader<'a> {
    /// Takes a git directory, and the bytes that have been used up before. The clock starts now.
    pub(super) fn new(git: &'a Dir, bounds: Bounds, taken: u64) -> Self {
        let deadline = Instant::now() + bounds.time.min(bounds.longest);
        Self {
            git,
            bounds,
            taken,
            deadline,
            helper: None,
            starts: 0,
            asked: VecDeque::new(),
            answered: HashMap::new(),
            waiting: 0,
            is_late: false,
        }
    }

    /// Returns how many bytes have come, here and before.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns whether there is no time left for more.
    pub(super) fn is_late(&mut self) -> bool {
        self.is_late = self.is_late || Instant::now() > self.deadline;
        self.is_late
    }

    /// Reads an object; `None` when it is not here. `ahead` are others that will be asked for, the soonest first.
    pub(super) fn read(&mut self, id: Oid, ahead: impl Iterator<Item = Oid>) -> Answer {
        if let Some(answer) = self.answered.remove(&id) {
            self.waiting -= answer.as_ref().ok().and_then(Option::as_ref).map_or(0, |(_, content)| content.len());
            return answer;
        }
        let mut ahead: Vec<Oid> = if self.waiting < WAITING && self.starts < 2 {
            ahead.filter(|other| *other != id && !self.answered.contains_key(other)).take(AHEAD).collect()
        } else {
            Vec::new()
        };
        loop {
            match self.exchange(id, &ahead) {
                Ok(answer) => return answer,
                Err(error) => {
                    self.helper = None;
                    self.asked.clear();
                    if self.is_late() || error.kind() == io::ErrorKind::TimedOut {
                        self.is_late = true;
                        return Err(late());
                    }
                    // It may have been another object that did it, so this one is asked for alone.
                    if ahead.is_empty() {
                        return Err(format!("the helper that reads it ended: {error}"));
                    }
                    ahead.clear();
                }
            }
        }
    }

    fn exchange(&mut self, id: Oid, ahead: &[Oid]) -> io::Result<Answer> {
        if self.is_late() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if self.helper.is_none() {
            if self.starts == STARTS {
                return Err(io::Error::other("too often"));
            }
            self.starts += 1;
            if self.starts == 1 {
                self.earn(packed(self.git));
            }
            self.helper = Some(Helper::start(self.git)?);
        }
        let mut questions = Vec::new();
        for id in std::iter::once(&id).chain(ahead).filter(|id| !self.asked.contains(id)) {
            questions.extend_from_slice(id.as_bytes());
        }
        self.asked.extend(questions.chunks(20).filter_map(|id| Oid::from_bytes(id).ok()));
        let helper = self.helper.as_mut().expect("it was started above");
        helper.answers.get_ref().stream.set_write_timeout(Some(Duration::from_secs(1)))?;
        (&helper.answers.get_ref().stream).write_all(&questions)?;
        loop {
            let next = self.asked.front().copied().ok_or(io::ErrorKind::InvalidData)?;
            let answer = self.answer(next)?;
            self.asked.pop_front();
            if next == id {
                return Ok(answer);
            }
            self.waiting += answer.as_ref().ok().and_then(Option::as_ref).map_or(0, |(_, content)| content.len());
            self.answered.insert(next, answer);
        }
    }

    fn answer(&mut self, id: Oid) -> io::Result<Answer> {
        const LONGEST_REASON: u64 = 4096;
        let deadline = self.deadline;
        let helper = self.helper.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        helper.answers.get_mut().deadline = deadline;
        let mut header = [0; 10];
        helper.answers.read_exact(&mut header)?;
        let [what, kind, length @ ..] = header;
        let length = u64::from_be_bytes(length);
        if what == helper::FOUND && length > LARGE {
            let hex = id.to_string();
            let path = Path::new("objects").join(&hex[..2]).join(&hex[2..]);
            let file = self.git.stat(&path).ok().flatten();
            self.earn(file.map_or(0, |stat| allocated(&stat)));
        }
        let is_object = what == helper::FOUND;
        let left = self.bounds.bytes.min(self.bounds.most).saturating_sub(self.taken);
        let most = if is_object { left.min(LARGEST) } else { LONGEST_REASON };
        if length > most {
            // What comes next would be its content: the stream is of no use any more, but no fault of the helper's.
            self.helper = None;
            self.asked = VecDeque::from([id]);
            self.starts = self.starts.saturating_sub(1).max(1);
            let most = if most == LARGEST { most } else { self.bounds.bytes };
            return Ok(Err(format!("more than {most} bytes to import")));
        }
        let deadline = self.deadline;
        let helper = self.helper.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        helper.answers.get_mut().deadline = deadline;
        let mut content = Vec::with_capacity(usize::try_from(length.min(LARGE)).unwrap_or_default());
        (&mut helper.answers).take(length).read_to_end(&mut content)?;
        if content.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(match what {
            helper::FOUND => {
                self.taken += length;
                Ok(Some((helper::kind(kind).ok_or(io::ErrorKind::InvalidData)?, content)))
            }
            helper::MISSING => Ok(None),
            _ => Err(String::from_utf8_lossy(&content).into_owned()),
        })
    }

    /// Allows for bytes that somebody had to write: they are worth time and more bytes.
    fn earn(&mut self, on_disk: u64) {
        let (time, bytes) = (Duration::from_secs(on_disk / PER_SECOND), on_disk.saturating_mul(RATIO));
        let longest = self.bounds.longest.saturating_sub(self.bounds.time);
        let time = time.min(longest);
        self.bounds.time += time;
        self.deadline += time;
        let bytes = bytes.min(self.bounds.most.saturating_sub(self.bounds.bytes));
        self.bounds.bytes += bytes;
    }
}

pub(super) fn late() -> String {
    "it took too long to read".to_owned()
}

/// Returns how many bytes the packs take on disk.
fn packed(git: &Dir) -> u64 {
    const MOST: usize = 2048;
    let Ok(packs) = git.dir(Path::new("objects/pack")) else { return 0 };
    let names = packs.names().unwrap_or_default();
    let stats = names.iter().take(MOST).filter_map(|name| packs.stat(Path::new(name)).ok().flatten());
    stats.map(|stat| allocated(&stat)).sum()
}

/// Returns the bytes that a file takes on disk; one with holes takes few.
fn allocated(stat: &rustix::fs::Stat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or_default() * 512
}

struct Helper {
    answers: BufReader<Timed>,
    #[cfg(not(test))]
    child: std::process::Child,
}

/// A stream that is read until a deadline.
struct Timed {
    stream: UnixStream,
    deadline: Instant,
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut polled = [PollFd::new(&self.stream, PollFlags::IN)];
        loop {
            match rustix::event::poll(&mut polled, Some(&left)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => return self.stream.read(into),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Helper {
    #[cfg(not(test))]
    fn start(git: &Dir) -> io::Result<Self> {
        use std::os::fd::AsFd as _;
        use std::os::unix::process::CommandExt as _;
        use std::process::Stdio;

        let (ours, theirs) = UnixStream::pair()?;
        let mut command = crate::confine::spawn::stead(helper::WORD, &[git.fd().as_fd(), theirs.as_fd()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Keys on the terminal are not for it: the import would be cut short by them.
        let child = command.process_group(0).current_dir("/").spawn()?;
        Ok(Self { answers: answers(ours), child })
    }

    /// The same conversation with a thread: the program is not itself in a test.
    #[cfg(test)]
    fn start(git: &Dir) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let git = Dir::from(git.fd().try_clone()?);
        std::thread::spawn(move || helper::serve(&git, &theirs));
        Ok(Self { answers: answers(ours) })
    }
}

fn answers(stream: UnixStream) -> BufReader<Timed> {
    BufReader::with_capacity(64 << 10, Timed { stream, deadline: Instant::now() })
}

#[cfg(not(test))]
impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
