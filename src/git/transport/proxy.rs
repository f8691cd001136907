//! Which proxy a request takes: `http.proxy` of the user's git configuration, then the environment, less `no_proxy`.

use crate::error::{Failure, Kind};
use crate::git::source::{Address, Scheme};
use crate::git::transport::transfer::Transfer;

/// Returns the proxy for requests to `address`.
pub(super) fn of(transfer: &Transfer, address: &Address) -> Result<Option<ureq::Proxy>, Failure> {
    let environment = &transfer.net.environment;
    let variable = |name: &str| environment.text(name).or_else(|| environment.text(&name.to_uppercase()));
    if variable("no_proxy").is_some_and(|list| is_exempt(list, address)) {
        return Ok(None);
    }
    let own = if address.scheme == Scheme::Https { "https_proxy" } else { "http_proxy" };
    let configured = transfer.config.http("proxy", address).last().copied();
    // An empty value in the configuration means: no proxy.
    let text = match configured {
        Some(text) => text,
        None => variable(own).or_else(|| variable("all_proxy")).unwrap_or_default(),
    };
    if text.is_empty() {
        return Ok(None);
    }
    // The text may hold a password: it is never shown.
    let scheme = text.split_once("://").map_or("http", |(scheme, _)| scheme);
    if !matches!(scheme, "http" | "https") {
        let failure = Failure::new(Kind::Unsupported, format!("proxies of the kind `{scheme}` are not supported"));
        return Err(failure.hint("`git = true` under `[net]` fetches with git instead"));
    }
    let proxy = ureq::Proxy::new(text);
    proxy.map(Some).map_err(|_| {
        Failure::new(Kind::Failed, "the proxy's URL is not valid").hint("it is `http://[USER:PASSWORD@]HOST[:PORT]`")
    })
}

/// Returns whether `list` (`host`, `.domain`, `host:port`, `*`, separated by commas or blanks) covers `address`.
fn is_exempt(list: &str, address: &Address) -> bool {
    let default = if address.scheme == Scheme::Https { 443 } else { 80 };
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse::<u16>() {
                Ok(port) => (name, Some(port)),
                Err(_) => (entry.as_str(), None),
            },
            _ => (entry.as_str(), None),
        };
        let name = name.trim_matches(['[', ']']).trim_start_matches("*.").trim_start_matches('.');
        let inside = address.host == name
            || address.host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.') && !name.is_empty());
        entry == "*" || inside && port.is_none_or(|port| port == address.port.unwrap_or(default))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exemptions_are_hosts_and_their_subdomains() {
        let is_exempt = |list: &str, url: &str| is_exempt(list, &Address::parse(url).unwrap().0);
        for list in ["example.com", ".example.com", "*.example.com", "x, example.com", "*", "git.example.com:443"] {
            assert!(is_exempt(list, "https://git.example.com/x"), "{list}");
        }
        for list in ["ample.com", "example.org", "git.example.com:80", "", "com.example"] {
            assert!(!is_exempt(list, "https://git.example.com/x"), "{list}");
        }
        assert!(is_exempt("::1", "http://[::1]:8080/x"));
        assert!(is_exempt("127.0.0.1", "http://127.0.0.1:8080/x"));
    }
}
