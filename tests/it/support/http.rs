//! A small HTTP server that runs git's own `git http-backend`, and misbehaves on demand. It is a proxy too.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

/// How the server treats its callers.
#[derive(Clone, Default)]
pub(crate) struct Manners {
    /// User and password that every request must bring.
    pub(crate) login: Option<(String, String)>,
    pub(crate) tls: Option<Tls>,
    pub(crate) gzip: bool,
    /// Every GET is sent to this URL with its own path behind it.
    pub(crate) redirect: Option<String>,
    pub(crate) post: Post,
    /// Answers every request with this status.
    pub(crate) status: Option<u16>,
}

/// What becomes of the answer to a POST.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Post {
    #[default]
    Whole,
    /// Half of the answer, then the connection closes.
    Cut,
    /// Half of the answer, then silence for as long as the caller stays.
    Stall,
    /// Silence.
    Silent,
}

/// Certificate and key of a server, in PEM and DER.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<rustls::ServerConfig>,
    pub(crate) authority: String,
}

impl Tls {
    /// Makes an authority and with it a certificate for `localhost` and `127.0.0.1`.
    pub(crate) fn new() -> Self {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("a server of the test works");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "authority of the test");
        let issuer = rcgen::CertifiedIssuer::self_signed(
            authority,
            rcgen::KeyPair::generate().expect("a server of the test works"),
        )
        .expect("a server of the test works");
        let key = rcgen::KeyPair::generate().expect("a server of the test works");
        let mut leaf = rcgen::CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])
            .expect("a server of the test works");
        leaf.is_ca = rcgen::IsCa::ExplicitNoCa;
        let leaf = leaf.signed_by(&key, &issuer).expect("a server of the test works");
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a server of the test works");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("a server of the test works")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("a server of the test works");
        Self { config: Arc::new(config), authority: issuer.pem() }
    }
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// As in the first line: absolute for a proxy.
    pub(crate) target: String,
    /// By names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: usize,
}

pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// One message for each answer that stalled.
    stalled: Mutex<Receiver<()>>,
}

struct Shared {
    root: PathBuf,
    manners: Manners,
    seen: Mutex<Vec<Seen>>,
    ended: AtomicBool,
    stalled: SyncSender<()>,
}

impl Server {
    /// Serves the repositories below `root`.
    pub(crate) fn start(root: &Path, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a server of the test works");
        let address = listener.local_addr().expect("a server of the test works");
        let (sender, stalled) = sync_channel(64);
        let shared = Arc::new(Shared {
            root: root.to_path_buf(),
            manners,
            seen: Mutex::default(),
            ended: AtomicBool::new(false),
            stalled: sender,
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // A caller that goes away in the middle is part of the tests.
                std::thread::spawn(move || drop(shared.connection(stream)));
            }
        });
        Self { address, shared, stalled: Mutex::new(stalled) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        match self.shared.manners.tls {
            Some(_) => format!("https://localhost:{}/{path}", self.port()),
            None => format!("http://127.0.0.1:{}/{path}", self.port()),
        }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("no panic elsewhere").clone()
    }

    /// Waits until an answer has stalled.
    pub(crate) fn wait_for_stall(&self) {
        let stalled = self.stalled.lock().expect("no panic elsewhere");
        stalled.recv_timeout(std::time::Duration::from_mins(1)).expect("a request that stalls");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn empty(status: u16, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { status, headers, body: Vec::new() }
    }
}

impl Shared {
    fn connection(&self, stream: TcpStream) -> io::Result<()> {
        match &self.manners.tls {
            None => self.serve(BufReader::new(stream.try_clone()?), stream.try_clone()?, Some(&stream)),
            Some(tls) => {
                let session = rustls::ServerConnection::new(Arc::clone(&tls.config)).map_err(io::Error::other)?;
                let stream = Arc::new(Mutex::new(rustls::StreamOwned::new(session, stream)));
                self.serve(BufReader::new(Half(Arc::clone(&stream))), Half(stream), None)
            }
        }
    }

    fn serve(&self, mut input: impl BufRead, mut output: impl Write, socket: Option<&TcpStream>) -> io::Result<()> {
        while let Some((mut seen, body)) = read_request(&mut input)? {
            seen.body = body.len();
            self.seen.lock().expect("no panic elsewhere").push(seen.clone());
            if let (true, Some(socket)) = (seen.method == "CONNECT", socket) {
                return tunnel(socket, &seen.target, &mut output);
            }
            let reply = self.reply(&seen, &body);
            let post = if seen.method == "POST" { self.manners.post } else { Post::Whole };
            let mut head = format!("HTTP/1.1 {} x\r\nContent-Length: {}\r\n", reply.status, reply.body.len());
            for (name, value) in &reply.headers {
                head.extend([name, ": ", value, "\r\n"]);
            }
            if post != Post::Silent {
                output.write_all((head + "\r\n").as_bytes())?;
                let length = if post == Post::Whole { reply.body.len() } else { reply.body.len() / 2 };
                output.write_all(&reply.body[..length])?;
                output.flush()?;
            }
            match post {
                Post::Whole => {}
                Post::Cut => return socket.map_or(Ok(()), |socket| socket.shutdown(Shutdown::Both)),
                Post::Stall | Post::Silent => {
                    self.stalled.send(()).ok();
                    // Up to the caller's end.
                    io::copy(&mut input, &mut io::sink())?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn reply(&self, seen: &Seen, body: &[u8]) -> Reply {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        // A proxy gets the whole URL.
        let path = path.split_once("://").map_or(path, |(_, rest)| &rest[rest.find('/').unwrap_or(rest.len())..]);
        if let Some(status) = self.manners.status {
            return Reply::empty(status, &[]);
        }
        if let Some((user, password)) = &self.manners.login {
            use base64::Engine;
            let login = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
            if seen.headers.get("authorization") != Some(&format!("Basic {login}")) {
                return Reply::empty(401, &[("WWW-Authenticate", "Basic realm=\"test\"")]);
            }
        }
        if let (Some(to), "GET") = (&self.manners.redirect, seen.method.as_str()) {
            return Reply::empty(301, &[("Location", &format!("{to}{path}?{query}"))]);
        }
        let mut reply = self.backend(seen, path, query, body);
        let accepts = seen.headers.get("accept-encoding").is_some_and(|value| value.contains("gzip"));
        if self.manners.gzip && accepts {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&reply.body).expect("a server of the test works");
            reply.body = encoder.finish().expect("a server of the test works");
            reply.headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
        }
        reply
    }

    /// Runs `git http-backend` as a CGI program.
    fn backend(&self, seen: &Seen, path: &str, query: &str, body: &[u8]) -> Reply {
        let mut git = Command::new("git");
        git.arg("http-backend").env_clear().env("PATH", std::env::var_os("PATH").expect("PATH"));
        let variables: [(&str, &str); 11] = [
            ("GIT_HTTP_EXPORT_ALL", "1"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "http.receivepack"),
            ("GIT_CONFIG_VALUE_0", "true"),
            ("HOME", "/nowhere"),
            ("PATH_INFO", path),
            ("QUERY_STRING", query),
            ("REQUEST_METHOD", &seen.method),
            ("REMOTE_ADDR", "127.0.0.1"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
        ];
        git.envs(variables).env("GIT_PROJECT_ROOT", &self.root).env("CONTENT_LENGTH", body.len().to_string());
        let known = [("content-type", "CONTENT_TYPE"), ("content-encoding", "HTTP_CONTENT_ENCODING")];
        for (name, variable) in known.into_iter().chain([("git-protocol", "GIT_PROTOCOL")]) {
            if let Some(value) = seen.headers.get(name) {
                git.env(variable, value);
            }
        }
        let mut child = git
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a server of the test works");
        let mut stdin = child.stdin.take().expect("a server of the test works");
        let body = body.to_vec();
        // It may end without reading all of it.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&body)));
        let output = child.wait_with_output().expect("a server of the test works").stdout;
        writer.join().expect("a server of the test works");
        let at = output.windows(4).position(|window| window == b"\r\n\r\n").expect("the head of a CGI answer");
        let mut reply = Reply { status: 200, headers: Vec::new(), body: output[at + 4..].to_vec() };
        for line in String::from_utf8_lossy(&output[..at]).lines() {
            let (name, value) = line.split_once(": ").expect("a server of the test works");
            match name {
                "Status" => reply.status = value[..3].parse().expect("a server of the test works"),
                _ => reply.headers.push((name.to_owned(), value.to_owned())),
            }
        }
        reply
    }
}

/// Reads a request; `None` where the connection ends.
fn read_request(input: &mut impl BufRead) -> io::Result<Option<(Seen, Vec<u8>)>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
        loop {
            let mut size = String::new();
            input.read_line(&mut size)?;
            let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            input.take(size).read_to_end(&mut body)?;
            input.read_line(&mut String::new())?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = headers.get("content-length").and_then(|value| value.parse().ok()) {
        input.take(length).read_to_end(&mut body)?;
    }
    Ok(Some((Seen { method, target, headers, body: 0 }, body)))
}

/// Carries bytes both ways, as a proxy does for CONNECT.
fn tunnel(socket: &TcpStream, target: &str, output: &mut impl Write) -> io::Result<()> {
    let far = TcpStream::connect(target)?;
    output.write_all(b"HTTP/1.1 200 x\r\n\r\n")?;
    output.flush()?;
    let (mut near_in, mut far_out) = (socket.try_clone()?, far.try_clone()?);
    let there = std::thread::spawn(move || {
        drop(io::copy(&mut near_in, &mut far_out));
        drop(far_out.shutdown(Shutdown::Both));
    });
    drop(io::copy(&mut &far, &mut &*socket));
    drop(socket.shutdown(Shutdown::Both));
    there.join().map_err(|_| io::Error::other("the tunnel broke"))
}

/// Reading and writing of one TLS stream, which take turns.
struct Half(Arc<Mutex<rustls::StreamOwned<rustls::ServerConnection, TcpStream>>>);

impl Read for Half {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic elsewhere").read(buffer)
    }
}

impl Write for Half {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic elsewhere").write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().expect("no panic elsewhere").flush()
    }
}
