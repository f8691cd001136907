//! Smart HTTP for git2 over `ureq`: redirects of the first request, credentials on demand, requests of any size.

use std::io::{self, Read, Write};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};

use crate::error::{Failure, Kind};
use crate::git::credential::{self, Candidates, Credential};
use crate::git::source::{Address, Login, Scheme};
use crate::git::transport::client::{self, Ask, Exchange, Head, Upload};
use crate::git::transport::transfer::{Transfer, interrupted, to_git, to_io};

/// Up to here a request is held back and sent with its length; above it is sent in chunks.
const BUFFERED: usize = 1024 * 1024;

const REDIRECTS: u32 = 10;

pub(super) struct Http {
    transfer: Arc<Transfer>,
    connection: Arc<Mutex<Connection>>,
}

/// What the first request of a transfer finds out for the ones after it.
#[derive(Default)]
struct Connection {
    /// The repository after redirects.
    address: Option<Address>,
    agent: Option<(String, ureq::Agent)>,
    credential: Option<Credential>,
}

impl Http {
    pub(super) fn new(transfer: Arc<Transfer>) -> Self {
        Self { transfer, connection: Arc::default() }
    }

    fn open(&self, url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, Failure> {
        let mut connection = lock(&self.connection);
        match action {
            Service::UploadPackLs => self.advertised(&mut connection, url, "git-upload-pack"),
            Service::ReceivePackLs => self.advertised(&mut connection, url, "git-receive-pack"),
            Service::UploadPack => Ok(self.request("git-upload-pack")),
            Service::ReceivePack => Ok(self.request("git-receive-pack")),
        }
    }

    fn request(&self, service: &'static str) -> Box<dyn SmartSubtransportStream> {
        Box::new(Stream {
            transfer: Arc::clone(&self.transfer),
            connection: Arc::clone(&self.connection),
            service,
            state: State::Writing(Vec::new()),
        })
    }

    /// Asks for the refs: the request that is redirected and that asks for credentials.
    fn advertised(
        &self,
        connection: &mut Connection,
        url: &str,
        service: &'static str,
    ) -> Result<Box<dyn SmartSubtransportStream>, Failure> {
        let parsed = Address::parse(url).map_err(|error| Failure::new(Kind::Usage, format!("{error:#}")))?;
        let (mut address, mut login) = parsed;
        if login.is_none() {
            login = typed_login(&self.transfer, &address);
        }
        let mut candidates = Candidates::new(login);
        let mut redirects = 0;
        loop {
            connection.address = Some(address.clone());
            let (path, query) = split_query(&address.path);
            let more = if query.is_empty() { String::new() } else { format!("&{query}") };
            let target = Address { path: format!("{path}/info/refs?service={service}{more}"), ..address.clone() };
            let headers = vec![("Accept".to_owned(), format!("application/x-{service}-advertisement"))];
            let exchange = connection.start(&self.transfer, &target, headers, None)?;
            let head = exchange.head(&self.transfer, &address.host)?;
            match head.status {
                200 => {
                    check_kind(&head, service, &address)?;
                    if let Some(credential) = &connection.credential {
                        credential::approve(credential, &address, &self.transfer.net);
                    }
                    return Ok(Box::new(Stream {
                        transfer: Arc::clone(&self.transfer),
                        connection: Arc::clone(&self.connection),
                        service,
                        state: State::Reading(exchange, address.host),
                    }));
                }
                301 | 302 | 303 | 307 | 308 if redirects < REDIRECTS => {
                    redirects += 1;
                    let next = redirected(&address, &target, &head)?;
                    if origin(&next) != origin(&address) {
                        // Whoever sends us elsewhere does not say who gets the password.
                        connection.credential = None;
                        candidates = Candidates::new(None);
                    }
                    address = next;
                }
                401 => connection.next_credential(&mut candidates, &self.transfer, &address, &head)?,
                _ => return Err(refused(&head, &address, connection.credential.as_ref())),
            }
        }
    }
}

impl SmartSubtransport for Http {
    fn action(&self, url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        self.open(url, action).map_err(|failure| to_git(&self.transfer.fail(failure)))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

impl Connection {
    fn start(
        &mut self,
        transfer: &Transfer,
        target: &Address,
        mut headers: Vec<(String, String)>,
        upload: Option<Upload>,
    ) -> Result<Exchange, Failure> {
        let agent = match &self.agent {
            Some((known, agent)) if *known == origin(target) => agent.clone(),
            _ => self.agent.insert((origin(target), client::agent(transfer, target)?)).1.clone(),
        };
        for line in extra_headers(transfer, target) {
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        if let Some(credential) = &self.credential {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
            let text = BASE64_STANDARD.encode(format!("{}:{}", credential.user, credential.password));
            headers.push(("Authorization".to_owned(), format!("Basic {text}")));
        }
        Exchange::start(&agent, Ask { upload, url: ascii(target), headers }, target.host.clone())
    }

    /// Takes the next credential for a server that asks for one, or fails.
    fn next_credential(
        &mut self,
        candidates: &mut Candidates,
        transfer: &Transfer,
        address: &Address,
        head: &Head,
    ) -> Result<(), Failure> {
        let offered = self.credential.take();
        if let Some(credential) = &offered {
            credential::reject(credential, address, &transfer.net);
        }
        let basic = head.challenges.is_empty()
            || head.challenges.iter().any(|challenge| challenge.to_ascii_lowercase().contains("basic"));
        if !basic {
            let kinds: Vec<&str> = head.challenges.iter().filter_map(|text| text.split(' ').next()).collect();
            let message = format!("`{}` asks for a login by `{}`", address.host, kinds.join(", "));
            return Err(
                Failure::new(Kind::Unsupported, message).hint("`git = true` under `[net]` fetches with git instead")
            );
        }
        self.credential = candidates.next(address, transfer);
        if transfer.cancelled() {
            return Err(interrupted());
        }
        if self.credential.is_none() {
            return Err(refused(head, address, offered.as_ref()));
        }
        Ok(())
    }
}

enum State {
    Writing(Vec<u8>),
    Sending(Option<SyncSender<Vec<u8>>>, Exchange, String),
    Reading(Exchange, String),
    Failed,
}

/// One request and its answer.
struct Stream {
    transfer: Arc<Transfer>,
    connection: Arc<Mutex<Connection>>,
    service: &'static str,
    state: State,
}

impl Stream {
    fn start(&self, upload: Upload) -> Result<(Exchange, String), Failure> {
        let mut connection = lock(&self.connection);
        let Some(address) = connection.address.clone() else {
            return Err(Failure::new(Kind::Failed, "a request came before the list of refs"));
        };
        let (path, query) = split_query(&address.path);
        let more = if query.is_empty() { String::new() } else { format!("?{query}") };
        let target = Address { path: format!("{path}/{}{more}", self.service), ..address.clone() };
        let headers = vec![
            ("Content-Type".to_owned(), format!("application/x-{}-request", self.service)),
            ("Accept".to_owned(), format!("application/x-{}-result", self.service)),
        ];
        Ok((connection.start(&self.transfer, &target, headers, Some(upload))?, address.host))
    }

    /// Waits for an answer that says yes.
    fn answer(&self, exchange: Exchange, host: String) -> Result<State, Failure> {
        let head = exchange.head(&self.transfer, &host)?;
        if head.status != 200 {
            let connection = lock(&self.connection);
            let address = connection.address.clone().ok_or_else(interrupted)?;
            return Err(refused(&head, &address, connection.credential.as_ref()));
        }
        Ok(State::Reading(exchange, host))
    }

    /// Sends what is held back; a server that asks for credentials only now gets them.
    fn send(&self, body: Vec<u8>) -> Result<State, Failure> {
        let (exchange, host) = self.start(Upload::Bytes(body.clone()))?;
        let head = exchange.head(&self.transfer, &host)?;
        if head.status == 401 && lock(&self.connection).credential.is_none() {
            {
                let mut connection = lock(&self.connection);
                let address = connection.address.clone().ok_or_else(interrupted)?;
                let mut candidates = Candidates::new(typed_login(&self.transfer, &address));
                connection.next_credential(&mut candidates, &self.transfer, &address, &head)?;
            }
            let (exchange, host) = self.start(Upload::Bytes(body))?;
            return self.answer(exchange, host);
        }
        if head.status != 200 {
            let connection = lock(&self.connection);
            let address = connection.address.clone().ok_or_else(interrupted)?;
            return Err(refused(&head, &address, connection.credential.as_ref()));
        }
        Ok(State::Reading(exchange, host))
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Writing(body) => self.send(body)?,
            State::Sending(sender, exchange, host) => {
                drop(sender);
                self.answer(exchange, host)?
            }
            state => state,
        };
        match &mut self.state {
            State::Reading(exchange, host) => exchange.read(buffer, &self.transfer, host),
            _ => Ok(0),
        }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), Failure> {
        match &mut self.state {
            State::Writing(body) => {
                body.extend_from_slice(piece);
                if body.len() > BUFFERED {
                    let body = std::mem::take(body);
                    let (sender, upload) = client::chunks();
                    let (exchange, host) = self.start(upload)?;
                    client::send(&sender, body, &self.transfer, &host)?;
                    self.state = State::Sending(Some(sender), exchange, host);
                }
                Ok(())
            }
            State::Sending(sender, _, host) => {
                if let Some(open) = sender
                    && !client::send(open, piece.to_vec(), &self.transfer, host)?
                {
                    *sender = None;
                }
                Ok(())
            }
            State::Reading(..) | State::Failed => Ok(()),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let (State::Reading(exchange, _), false) = (&mut self.state, self.transfer.cancelled()) {
            exchange.finish();
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next(buffer).map_err(|failure| {
            self.state = State::Failed;
            to_io(&self.transfer.fail(failure))
        })
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.take(buffer).map(|()| buffer.len()).map_err(|failure| {
            self.state = State::Failed;
            to_io(&self.transfer.fail(failure))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the headers of `http.extraHeader`; an empty value drops the ones before it.
fn extra_headers(transfer: &Transfer, target: &Address) -> Vec<String> {
    let mut headers: Vec<String> = Vec::new();
    for value in transfer.config.http("extraheader", target) {
        if value.is_empty() {
            headers.clear();
        } else {
            headers.push(value.to_owned());
        }
    }
    headers
}

/// Returns the login that was typed in the URL, for the server that it was typed for.
fn typed_login(transfer: &Transfer, address: &Address) -> Option<Login> {
    transfer.login.as_ref().filter(|(typed, _)| origin(typed) == origin(address)).map(|(_, login)| login.clone())
}

fn split_query(path: &str) -> (&str, &str) {
    let path = path.split('#').next().unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    (path.trim_end_matches('/'), query)
}

/// Returns the URL with everything but ASCII percent-encoded.
fn ascii(address: &Address) -> String {
    use std::fmt::Write as _;
    let mut url = String::new();
    for byte in address.to_string().bytes() {
        if byte.is_ascii() {
            url.push(char::from(byte));
        } else {
            write!(url, "%{byte:02X}").expect("a string takes all text");
        }
    }
    url
}

fn origin(address: &Address) -> String {
    let scheme = if address.scheme == Scheme::Https { "https" } else { "http" };
    let port = address.port.unwrap_or(if address.scheme == Scheme::Https { 443 } else { 80 });
    format!("{scheme}://{}:{port}", address.host)
}

/// Returns the repository's address after a redirect of the request for its refs.
fn redirected(from: &Address, target: &Address, head: &Head) -> Result<Address, Failure> {
    let failed = |why: &str| {
        Failure::new(Kind::Failed, format!("`{}` redirects `{from}` {why}", from.host))
            .hint("use the URL that the repository has now")
    };
    let location = head.location.as_deref().ok_or_else(|| failed("without saying where to"))?;
    let location = match location.strip_prefix("//") {
        Some(rest) => format!("{}://{rest}", if from.scheme == Scheme::Https { "https" } else { "http" }),
        None if location.starts_with('/') => Address { path: location.to_owned(), ..target.clone() }.to_string(),
        None => location.to_owned(),
    };
    let Ok((mut next, _)) = Address::parse(&location) else {
        return Err(failed("to something that is no URL"));
    };
    if !next.is_http() {
        return Err(failed("to something that is not http"));
    }
    if from.scheme == Scheme::Https && next.scheme == Scheme::Http {
        return Err(failed("from https to http"));
    }
    let (_, tail) = target.path.split_once("/info/refs").unwrap_or(("", ""));
    let base = next.path.strip_suffix(tail).and_then(|path| path.strip_suffix("/info/refs"));
    next.path = base.ok_or_else(|| failed("to something that is no repository"))?.to_owned();
    Ok(next)
}

fn check_kind(head: &Head, service: &str, address: &Address) -> Result<(), Failure> {
    let kind = head.content_type.split(';').next().unwrap_or_default().trim();
    if kind == format!("application/x-{service}-advertisement") {
        return Ok(());
    }
    if kind == "text/html" {
        let failure = Failure::new(Kind::NotFound, format!("`{address}` is a web page and no git repository"));
        return Err(failure.hint("use the URL that `git clone` takes"));
    }
    let failure = Failure::new(Kind::Unsupported, format!("`{address}` does not speak git's smart protocol"));
    Err(failure.hint("`git = true` under `[net]` fetches with git instead"))
}

/// Returns what an answer that says no means.
fn refused(head: &Head, address: &Address, offered: Option<&Credential>) -> Failure {
    let host = &address.host;
    let how = "use `GITHUB_TOKEN`, `~/.netrc` or a credential helper of git";
    match (head.status, offered) {
        (404 | 410, _) => Failure::new(Kind::NotFound, format!("no repository at `{address}`"))
            .hint("check the name; a private one may need credentials"),
        (401, None) => Failure::new(Kind::Failed, format!("`{host}` asks for credentials for `{address}`")).hint(how),
        (401, Some(credential)) => {
            Failure::new(Kind::Failed, format!("`{host}` does not accept the credentials from {}", credential.origin))
                .hint(how)
        }
        (403, _) => Failure::new(Kind::Failed, format!("`{host}` does not allow access to `{address}`"))
            .hint("check that your credentials may do this"),
        (407, _) => Failure::new(Kind::Failed, "the proxy asks for credentials")
            .hint("give them in the proxy's URL, `http://USER:PASSWORD@HOST:PORT`"),
        (301..=308, _) => Failure::new(Kind::Failed, format!("`{host}` redirects too often")),
        (429 | 500..=599, _) => {
            Failure::new(Kind::Failed, format!("`{host}` answered with status {} for `{address}`", head.status))
                .hint("try again later")
        }
        (status, _) => Failure::new(Kind::Failed, format!("`{host}` answered with status {status} for `{address}`")),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
