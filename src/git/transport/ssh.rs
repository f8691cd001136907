//! ssh for git2 by the user's own `ssh`, started just as git does: `GIT_SSH_COMMAND`, `core.sshCommand` of the user's
//! configuration, `GIT_SSH`, else `ssh`.
//!
//! One process carries a whole transfer. It ends with the stream: its stdin is closed, and after two seconds it is killed.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::confine::spawn;
use crate::error::{Failure, Kind};
use crate::git::source::{Address, Scheme, percent_decode};
use crate::git::transport::transfer::{TICK, Transfer, interrupted, to_git, to_io};

/// How much of the end of stderr goes into an error.
const STDERR_TAIL: usize = 64 * 1024;

/// How long `ssh` may take to end when its work is over.
const GRACE: Duration = Duration::from_secs(2);

pub(super) struct Ssh {
    pub(super) transfer: Arc<Transfer>,
}

impl SmartSubtransport for Ssh {
    fn action(&self, url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let program = match action {
            Service::UploadPackLs | Service::UploadPack => "git-upload-pack",
            Service::ReceivePackLs | Service::ReceivePack => "git-receive-pack",
        };
        self.open(url, program).map_err(|failure| to_git(&self.transfer.fail(failure)))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

impl Ssh {
    fn open(&self, url: &str, program: &str) -> Result<Box<dyn SmartSubtransportStream>, Failure> {
        let failed = |error: anyhow::Error| Failure::new(Kind::Usage, format!("{error:#}"));
        let (address, _) = Address::parse(url).map_err(failed)?;
        let path = match (address.scheme, address.path.strip_prefix("/~")) {
            (Scheme::Scp, _) => address.path.clone(),
            (_, Some(home)) => percent_decode(&format!("~{home}")).map_err(failed)?,
            (_, None) => percent_decode(&address.path).map_err(failed)?,
        };
        let mut command = ssh_command(&self.transfer);
        if let Some(port) = address.port {
            command.ssh.arg(command.port_flag).arg(port.to_string());
        }
        let host = match &address.user {
            Some(user) => format!("{user}@{}", address.host),
            None => address.host.clone(),
        };
        command.ssh.arg(host).arg(format!("{program} {}", quote(&path)));
        let mut stream = Stream::start(command, &self.transfer, &address)?;
        // A failure to connect keeps its kind and text only when it comes out of `action`.
        stream.wait_for_first_byte()?;
        Ok(Box::new(stream))
    }
}

struct SshCommand {
    ssh: Command,
    name: String,
    port_flag: &'static str,
}

/// Returns the command of the user's ssh with its options, to which port, host and remote command are added.
fn ssh_command(transfer: &Transfer) -> SshCommand {
    let environment = &transfer.net.environment;
    let line = environment.text("GIT_SSH_COMMAND").or_else(|| transfer.config.get("core.sshcommand"));
    let (mut ssh, name) = match (line, environment.get("GIT_SSH")) {
        (Some(line), _) => {
            // As git does: the shell splits the line and appends the arguments.
            let mut shell = spawn::command("/bin/sh");
            shell.args(["-c", &format!("{line} \"$@\""), line]);
            let line = line.trim_start();
            let first = match line.chars().next() {
                Some(quote @ ('"' | '\'')) => line[1..].split(quote).next(),
                _ => line.split_whitespace().next(),
            };
            (shell, first.unwrap_or_default().to_owned())
        }
        (None, Some(program)) => (spawn::command(program), program.to_string_lossy().into_owned()),
        (None, None) => (spawn::command("ssh"), "ssh".to_owned()),
    };
    super::environment_of_git(&mut ssh, &transfer.net);
    let stem = name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let stem = stem.strip_suffix(".exe").unwrap_or(&stem);
    let variant = environment.text("GIT_SSH_VARIANT").or_else(|| transfer.config.get("ssh.variant"));
    let variant = variant.filter(|variant| *variant != "auto").unwrap_or(stem);
    // Another program than these may not know the option.
    match variant {
        "ssh" if !transfer.net.interactive => _ = ssh.args(["-o", "BatchMode=yes"]),
        "plink" | "tortoiseplink" if !transfer.net.interactive => _ = ssh.arg("-batch"),
        _ => {}
    }
    let port_flag = if matches!(variant, "plink" | "putty" | "tortoiseplink") { "-P" } else { "-p" };
    SshCommand { ssh, name, port_flag }
}

/// Quotes a path for the shell of the other host, as git does.
fn quote(path: &str) -> String {
    let mut quoted = String::from("'");
    for character in path.chars() {
        match character {
            '\'' | '!' => quoted.extend(["'\\", character.encode_utf8(&mut [0; 4]), "'"]),
            _ => quoted.push(character),
        }
    }
    quoted.push('\'');
    quoted
}

struct Stream {
    transfer: Arc<Transfer>,
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    stderr: Arc<Mutex<VecDeque<u8>>>,
    stderr_reader: Option<JoinHandle<()>>,
    /// Read while waiting for the first byte.
    first: Vec<u8>,
    /// Whether the other side has said anything.
    begun: bool,
    failed: bool,
    host: String,
    url: String,
    name: String,
}

impl Stream {
    fn start(command: SshCommand, transfer: &Arc<Transfer>, address: &Address) -> Result<Self, Failure> {
        let SshCommand { mut ssh, name, .. } = command;
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = ssh.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => missing(&name),
            _ => Failure::new(Kind::Failed, format!("cannot start `{name}`: {error}")),
        })?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(mut errors)) = pipes else {
            unreachable!("all three streams are piped");
        };
        // A full pipe must not block, or nothing would look for a wish to stop.
        for descriptor in [input.as_fd(), output.as_fd()] {
            rustix::io::ioctl_fionbio(descriptor, true)
                .map_err(|error| Failure::new(Kind::Failed, format!("cannot set up the pipes of `{name}`: {error}")))?;
        }
        let stderr = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&stderr);
        let reader = std::thread::Builder::new().spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = errors.read(&mut buffer) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&buffer[..length]);
                let excess = kept.len().saturating_sub(STDERR_TAIL);
                kept.drain(..excess);
            }
        });
        Ok(Self {
            transfer: Arc::clone(transfer),
            child,
            input: Some(input),
            output,
            stderr,
            // Without it the process is merely not quoted.
            stderr_reader: reader.ok(),
            first: Vec::new(),
            begun: false,
            failed: false,
            host: address.host.clone(),
            url: address.to_string(),
            name,
        })
    }

    fn wait_for_first_byte(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 1];
        match self.receive(&mut buffer) {
            Ok(0) => Err(self.ended()),
            Ok(_) => {
                self.first.push(buffer[0]);
                self.begun = true;
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Reads what is there; 0 when the other side has closed.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        let since = Instant::now();
        loop {
            match self.output.read(buffer) {
                Ok(length) => return Ok(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Failure::new(Kind::Failed, format!("cannot read from `{}`: {error}", self.name)));
                }
            }
            self.wait(PollFlags::IN, since)?;
        }
    }

    fn send(&mut self, buffer: &[u8]) -> Result<usize, Failure> {
        let since = Instant::now();
        loop {
            let Some(input) = &mut self.input else { return Ok(buffer.len()) };
            match input.write(buffer) {
                Ok(length) => return Ok(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // It ended: what it said is worth more than "broken pipe".
                Err(_) => return Err(self.ended()),
            }
            self.wait(PollFlags::OUT, since)?;
        }
    }

    fn wait(&self, events: PollFlags, since: Instant) -> Result<(), Failure> {
        // A person who types a passphrase takes the time that it takes.
        let asked = self.transfer.net.interactive && !self.begun;
        if let Some(failure) = self.transfer.over(if asked { Instant::now() } else { since }, &self.host) {
            return Err(failure);
        }
        let tick = Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
        let descriptor = match (&self.input, events) {
            (Some(input), PollFlags::OUT) => input.as_fd(),
            _ => self.output.as_fd(),
        };
        match poll(&mut [PollFd::from_borrowed_fd(descriptor, events)], Some(&tick)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(Failure::new(Kind::Failed, format!("cannot wait for `{}`: {error}", self.name))),
        }
    }

    /// Returns why the process ended before its work was done.
    fn ended(&mut self) -> Failure {
        let status = self.end();
        if self.transfer.cancelled() || status.and_then(|status| status.signal()) == Some(libc::SIGINT) {
            self.transfer.cancel();
            return interrupted();
        }
        // The reader sees the end of stderr a moment later, unless a master connection holds it open.
        let since = Instant::now();
        while self.stderr_reader.as_ref().is_some_and(|reader| !reader.is_finished()) && since.elapsed() < GRACE / 4 {
            std::thread::sleep(TICK / 10);
        }
        let stderr: Vec<u8> = self.stderr.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let text = String::from_utf8_lossy(&stderr);
        let text = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        describe(status, &text, &self.name, &self.host, &self.url)
    }

    /// Closes stdin and makes sure that the process is gone.
    fn end(&mut self) -> Option<ExitStatus> {
        drop(self.input.take());
        let since = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if since.elapsed() < GRACE && !self.transfer.cancelled() => std::thread::sleep(TICK / 10),
                Ok(None) | Err(_) => break,
            }
        }
        // An error means that it is gone.
        drop(self.child.kill());
        self.child.wait().ok()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.first.is_empty() && !buffer.is_empty() {
            buffer[0] = self.first.remove(0);
            return Ok(1);
        }
        let failure = match self.receive(buffer) {
            Ok(0) if !buffer.is_empty() => self.ended(),
            Ok(length) => return Ok(length),
            Err(failure) => failure,
        };
        self.failed = true;
        Err(to_io(&self.transfer.fail(failure)))
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        // libgit2 says goodbye after a failed read; an error then would take the place of the real one.
        if self.failed {
            return Ok(buffer.len());
        }
        self.send(buffer).map_err(|failure| {
            self.failed = true;
            to_io(&self.transfer.fail(failure))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end();
    }
}

fn describe(status: Option<ExitStatus>, stderr: &str, name: &str, host: &str, url: &str) -> Failure {
    let code = status.and_then(|status| status.code());
    // 127 is the shell's answer; the text behind it is its own.
    if code == Some(127) && (stderr.is_empty() || stderr.contains("not found")) && !stderr.contains("git-") {
        return missing(name);
    }
    let known = ["not found", "does not appear to be a git repository", "does not exist", "not a git repository"];
    let lower = stderr.to_lowercase();
    if code != Some(255) && known.iter().any(|text| lower.contains(text)) {
        return Failure::new(Kind::NotFound, format!("no repository at `{url}`: {stderr}"))
            .hint("check the path, and that your key may read it");
    }
    let why = match (stderr.is_empty(), code) {
        (false, _) => stderr.to_owned(),
        (true, Some(code)) => format!("`{name}` ended with {code}"),
        (true, None) => format!("`{name}` was killed"),
    };
    let failure = Failure::new(Kind::Failed, format!("cannot reach `{url}`: {why}"));
    if lower.contains("host key verification failed") {
        return failure.hint(format!("`ssh {host}` once, to check and accept the key of the host"));
    }
    if lower.contains("permission denied") {
        return failure.hint(format!("`ssh {host}` must work without a question; `ssh-add` loads a key"));
    }
    failure
}

fn missing(name: &str) -> Failure {
    Failure::new(Kind::Failed, format!("cannot start `{name}`: no such program"))
        .hint("install an ssh client, or name one with `GIT_SSH_COMMAND`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_the_other_shell() {
        assert_eq!(quote("/a b"), "'/a b'");
        assert_eq!(quote("it's!"), r"'it'\''s'\!''");
        assert_eq!(quote("$(id)`x`"), "'$(id)`x`'");
    }

    #[test]
    fn the_end_of_ssh_is_described_by_what_it_said() {
        let describe = |code: i32, stderr: &str| {
            describe(Some(ExitStatus::from_raw(code << 8)), stderr, "ssh", "host", "ssh://host/x")
        };
        let missing = describe(127, "sh: 1: ssh: not found");
        assert_eq!(missing.message, "cannot start `ssh`: no such program");
        let refused = describe(255, "git@host: Permission denied (publickey).");
        assert_eq!((refused.kind, refused.hint.is_some()), (Kind::Failed, true));
        assert!(refused.message.ends_with("Permission denied (publickey)."));
        assert_eq!(describe(1, "ERROR: Repository not found.").kind, Kind::NotFound);
        assert_eq!(describe(255, "ssh: Could not resolve hostname host: Name or service not found").kind, Kind::Failed);
        assert_eq!(describe(3, "").message, "cannot reach `ssh://host/x`: `ssh` ended with 3");
        assert_eq!(describe(127, "sh: git-upload-pack: not found").kind, Kind::NotFound);
    }
}
