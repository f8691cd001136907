//! Plain http through a proxy, as proxies expect it: `GET http://host/path`. `ureq` knows CONNECT alone, which many proxies
//! allow for port 443 and nothing else.

use std::fmt;

use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};

/// Makes an agent that sends every request to `proxy`; `authorization` is the value of `Proxy-Authorization`.
pub(super) fn agent(config: ureq::config::Config, proxy: &Uri, authorization: Option<String>) -> ureq::Agent {
    let forward = Forward { authorization };
    let resolver = ToProxy { proxy: proxy.clone(), resolver: DefaultResolver::default() };
    ureq::Agent::with_parts(config, DefaultConnector::new().chain(forward), resolver)
}

/// Finds the proxy in place of every host.
#[derive(Debug)]
struct ToProxy {
    proxy: Uri,
    resolver: DefaultResolver,
}

impl Resolver for ToProxy {
    fn resolve(
        &self,
        _uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.resolver.resolve(&self.proxy, config, timeout)
    }
}

struct Forward {
    authorization: Option<String>,
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forward(…)")
    }
}

impl<In: Transport> Connector<In> for Forward {
    type Out = Connection<In>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let authority = details.uri.authority().map(ToString::to_string).unwrap_or_default();
        let authorization = self.authorization.as_ref();
        let header = authorization.map_or_else(String::new, |value| format!("Proxy-Authorization: {value}\r\n"));
        Ok(chained.map(|inner| Connection { inner, origin: format!("http://{authority}"), header, first: true }))
    }
}

struct Connection<In> {
    inner: In,
    origin: String,
    header: String,
    /// Whether the next bytes begin a request.
    first: bool,
}

impl<In> fmt::Debug for Connection<In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.origin)
    }
}

impl<In: Transport> Transport for Connection<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if !std::mem::take(&mut self.first) {
            return self.inner.transmit_output(amount, timeout);
        }
        let output = self.inner.buffers().output();
        let text = rewritten(&output[..amount], &self.origin, &self.header);
        // In pieces, should the longer text not fit.
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let output = self.inner.buffers().output();
            let length = rest.len().min(output.len());
            output[..length].copy_from_slice(&rest[..length]);
            self.inner.transmit_output(length, timeout)?;
            rest = &rest[length..];
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        // An answer ends a request: what is sent next begins another one.
        self.first = true;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}

/// Puts `origin` in front of the path of a request's first line and `header` behind the line.
fn rewritten(request: &[u8], origin: &str, header: &str) -> Vec<u8> {
    let path = request.iter().position(|byte| *byte == b' ').map(|blank| blank + 1);
    let end = request.windows(2).position(|pair| pair == b"\r\n").map(|end| end + 2);
    let (Some(path), Some(end)) = (path, end) else { return request.to_vec() };
    [&request[..path], origin.as_bytes(), &request[path..end], header.as_bytes(), &request[end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_the_host() {
        let text = rewritten(b"GET /x?y HTTP/1.1\r\nHost: a\r\n\r\nbody", "http://a", "P: q\r\n");
        assert_eq!(text, b"GET http://a/x?y HTTP/1.1\r\nP: q\r\nHost: a\r\n\r\nbody");
    }
}
