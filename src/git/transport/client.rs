//! HTTP requests: the agent with the user's proxy, certificates and headers, and one exchange on a thread of its own, so
//! that a blocked connection never keeps anybody from stopping.

use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::error::{Failure, Kind};
use crate::git::source::{Address, Scheme};
use crate::git::transport::transfer::{TICK, Transfer};
use crate::git::transport::{forward, proxy};

const CONNECT: Duration = Duration::from_secs(30);

/// Bytes of one piece of an answer.
const PIECE: usize = 64 * 1024;

/// Pieces on their way between the threads.
const PIECES: usize = 16;

/// The body of a request.
pub(super) enum Upload {
    Bytes(Vec<u8>),
    Chunks(Receiver<Vec<u8>>),
}

/// What is asked of the other side.
pub(super) struct Ask {
    /// A GET without, a POST with it.
    pub(super) upload: Option<Upload>,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
}

/// The first lines of an answer.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) content_type: String,
    pub(super) challenges: Vec<String>,
}

enum Event {
    Head(Head),
    Data(Vec<u8>),
    End,
    Failed(Failure),
}

/// An exchange under way.
pub(super) struct Exchange {
    events: Receiver<Event>,
    piece: Cursor<Vec<u8>>,
    ended: bool,
}

impl Exchange {
    /// Sends a request from a new thread; when this is dropped, the thread ends at its next step.
    pub(super) fn start(agent: &ureq::Agent, ask: Ask, host: String) -> Result<Self, Failure> {
        let (sender, events) = sync_channel(PIECES);
        let agent = agent.clone();
        let thread = std::thread::Builder::new().spawn(move || {
            if let Err(failure) = exchange(&agent, ask, &host, &sender) {
                // Nobody listens any more: nobody to tell.
                drop(sender.send(Event::Failed(failure)));
            }
        });
        thread.map_err(|error| Failure::new(Kind::Failed, format!("cannot start a thread: {error}")))?;
        Ok(Self { events, piece: Cursor::new(Vec::new()), ended: false })
    }

    pub(super) fn head(&self, transfer: &Transfer, host: &str) -> Result<Head, Failure> {
        match self.next(transfer, host)? {
            Event::Head(head) => Ok(head),
            Event::Data(_) | Event::End => Err(early(host)),
            Event::Failed(failure) => Err(failure),
        }
    }

    /// Reads from the body; 0 at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8], transfer: &Transfer, host: &str) -> Result<usize, Failure> {
        loop {
            let length = self.piece.read(buffer).unwrap_or(0);
            if length > 0 || self.ended || buffer.is_empty() {
                return Ok(length);
            }
            match self.next(transfer, host)? {
                Event::Data(piece) => self.piece = Cursor::new(piece),
                Event::End => self.ended = true,
                Event::Head(_) => {}
                Event::Failed(failure) => return Err(failure),
            }
        }
    }

    /// Waits a moment for the end of an answer of which everything of use was read, so that its connection can be used again.
    pub(super) fn finish(&mut self) {
        while !self.ended {
            match self.events.recv_timeout(TICK) {
                Ok(Event::Data(piece)) if piece.len() < PIECE => {}
                _ => self.ended = true,
            }
        }
    }

    fn next(&self, transfer: &Transfer, host: &str) -> Result<Event, Failure> {
        let since = Instant::now();
        loop {
            match self.events.recv_timeout(TICK) {
                Ok(event) => return Ok(event),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(failure) = transfer.over(since, host) {
                        return Err(failure);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(early(host)),
            }
        }
    }
}

/// Hands a piece of a body to the thread that sends it.
pub(super) fn send(
    sender: &SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    transfer: &Transfer,
    host: &str,
) -> Result<bool, Failure> {
    let since = Instant::now();
    let mut piece = piece;
    loop {
        match sender.try_send(piece) {
            Ok(()) => return Ok(true),
            // The thread ended: its answer says why.
            Err(TrySendError::Disconnected(_)) => return Ok(false),
            Err(TrySendError::Full(back)) => piece = back,
        }
        if let Some(failure) = transfer.over(since, host) {
            return Err(failure);
        }
        std::thread::sleep(TICK / 10);
    }
}

/// Returns the two ends of a body that is sent while it is made.
pub(super) fn chunks() -> (SyncSender<Vec<u8>>, Upload) {
    let (sender, receiver) = sync_channel(PIECES);
    (sender, Upload::Chunks(receiver))
}

fn exchange(agent: &ureq::Agent, ask: Ask, host: &str, sender: &SyncSender<Event>) -> Result<(), Failure> {
    let failed = |error: ureq::Error| failure_of(&error, host);
    let answer = match ask.upload {
        None => {
            let request =
                ask.headers.iter().fold(agent.get(&ask.url), |request, (name, value)| request.header(name, value));
            request.call()
        }
        Some(upload) => {
            let request =
                ask.headers.iter().fold(agent.post(&ask.url), |request, (name, value)| request.header(name, value));
            match upload {
                Upload::Bytes(bytes) => request.send(&bytes),
                Upload::Chunks(receiver) => {
                    let reader = Chunks { receiver, piece: Cursor::new(Vec::new()) };
                    request.send(ureq::SendBody::from_owned_reader(reader))
                }
            }
        }
    };
    let mut answer = answer.map_err(failed)?;
    let text = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let challenges = answer.headers().get_all("www-authenticate");
    let head = Head {
        status: answer.status().as_u16(),
        location: text("location"),
        content_type: text("content-type").unwrap_or_default(),
        challenges: challenges.iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect(),
    };
    if sender.send(Event::Head(head)).is_err() {
        return Ok(());
    }
    let mut body = answer.body_mut().as_reader();
    loop {
        let mut piece = vec![0; PIECE];
        let length = body.read(&mut piece).map_err(|error| match error.downcast::<ureq::Error>() {
            Ok(error) => failure_of(&error, host),
            Err(error) => Failure::new(Kind::Failed, format!("the connection to `{host}` broke: {error}")),
        })?;
        piece.truncate(length);
        let event = if length == 0 { Event::End } else { Event::Data(piece) };
        if sender.send(event).is_err() || length == 0 {
            return Ok(());
        }
    }
}

struct Chunks {
    receiver: Receiver<Vec<u8>>,
    piece: Cursor<Vec<u8>>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let length = self.piece.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            match self.receiver.recv() {
                Ok(piece) => self.piece = Cursor::new(piece),
                Err(_) => return Ok(0),
            }
        }
    }
}

/// Makes the agent for requests to `address`.
pub(super) fn agent(transfer: &Transfer, address: &Address) -> Result<ureq::Agent, Failure> {
    // Longer than the wait of the reader, which says what happened.
    let idle = transfer.idle + Duration::from_secs(5);
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT.min(idle)))
        .timeout_per_read(Some(idle))
        .timeout_per_write(Some(idle))
        .user_agent(concat!("git/2 (stead ", env!("CARGO_PKG_VERSION"), ")"))
        .accept("");
    let proxy = proxy::of(transfer, address)?;
    if address.scheme == Scheme::Https {
        return Ok(config.tls_config(tls(transfer, address)?).proxy(proxy).build().new_agent());
    }
    match proxy {
        Some(proxy) if proxy.protocol() == ureq::ProxyProtocol::Http => {
            let login = proxy.username().or(proxy.password()).map(|_| {
                let text = format!("{}:{}", proxy.username().unwrap_or(""), proxy.password().unwrap_or(""));
                format!("Basic {}", BASE64_STANDARD.encode(text))
            });
            Ok(forward::agent(config.proxy(None).build(), proxy.uri(), login))
        }
        proxy => Ok(config.proxy(proxy).build().new_agent()),
    }
}

fn tls(transfer: &Transfer, address: &Address) -> Result<TlsConfig, Failure> {
    let environment = &transfer.net.environment;
    let last = |name: &str| transfer.config.http(name, address).last().copied().filter(|value| !value.is_empty());
    let no_verify = environment.get("GIT_SSL_NO_VERIFY").is_some()
        || last("sslverify").is_some_and(|value| matches!(value.to_lowercase().as_str(), "false" | "no" | "off" | "0"));
    let home = |path: &str| match (path.strip_prefix("~/"), environment.home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => path.into(),
    };
    let file = environment
        .get("GIT_SSL_CAINFO")
        .map(Into::into)
        .or_else(|| last("sslcainfo").map(home))
        .or_else(|| environment.get("SSL_CERT_FILE").map(Into::into));
    let directory = environment
        .get("GIT_SSL_CAPATH")
        .map(Into::into)
        .or_else(|| last("sslcapath").map(home))
        .or_else(|| environment.get("SSL_CERT_DIR").map(Into::into));
    let mut certificates = Vec::new();
    if let Some(file) = &file {
        certificates.extend(certificates_of(file)?);
    }
    if let Some(directory) = &directory {
        let entries = std::fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
        for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
            certificates.extend(certificates_of(&entry.path()).unwrap_or_default());
        }
    }
    let roots = match (&file, &directory) {
        (None, None) => RootCerts::PlatformVerifier,
        _ => RootCerts::new_with_certs(&certificates),
    };
    Ok(TlsConfig::builder().root_certs(roots).disable_verification(no_verify).build())
}

fn certificates_of(file: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let text = std::fs::read(file).map_err(|error| unreadable(file, &error))?;
    Ok(parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Failed, format!("cannot read the certificates in `{}`: {error}", path.display()))
}

fn early(host: &str) -> Failure {
    Failure::new(Kind::Failed, format!("the connection to `{host}` ended too early"))
}

fn failure_of(error: &ureq::Error, host: &str) -> Failure {
    let text = error.to_string();
    let failed = |message: String| Failure::new(Kind::Failed, message);
    if text.to_lowercase().contains("certificate") {
        return failed(format!("the certificate of `{host}` is not trusted: {text}"))
            .hint("`SSL_CERT_FILE` or `http.sslCAInfo` of git's configuration names the certificates to trust");
    }
    match error {
        ureq::Error::HostNotFound => failed(format!("no host `{host}`")).hint("check the name and the network"),
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
            failed(format!("cannot connect to `{host}`: no answer in {} s", CONNECT.as_secs()))
        }
        ureq::Error::Timeout(_) => failed(format!("`{host}` was silent for too long")),
        ureq::Error::ConnectProxyFailed(reason) if reason.contains("407") => {
            failed(format!("the proxy asks for credentials to connect to `{host}`"))
                .hint("give them in the proxy's URL, `http://USER:PASSWORD@HOST:PORT`")
        }
        ureq::Error::ConnectProxyFailed(reason) => {
            failed(format!("the proxy refuses to connect to `{host}`: {reason}"))
        }
        ureq::Error::Io(error) => match error.kind() {
            std::io::ErrorKind::UnexpectedEof => early(host),
            std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => {
                failed(format!("the connection to `{host}` broke: {error}"))
            }
            _ if text.contains("lookup address") => {
                failed(format!("no host `{host}`: {error}")).hint("check the name and the network")
            }
            _ => failed(format!("cannot reach `{host}`: {error}")),
        },
        _ => failed(format!("cannot talk to `{host}`: {text}")),
    }
}
