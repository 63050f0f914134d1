//! URLs, as far as settings need them: `scheme://[userinfo@]host[:port][/path][?query]` (RFC 3986 §3).
//!
//! Only two schemes are known at a time, a plain one and one over TLS, and a host is a DNS name in ASCII, an
//! IPv4 address, or an IPv6 address in brackets. What goes beyond is refused rather than guessed at.

use super::secret::Secret;
use crate::uri::{authority, bracketed};
use core::net::{IpAddr, Ipv6Addr};

/// The longest DNS name, in bytes (RFC 1035 §2.3.4).
const MAX_HOST_BYTES: usize = 253;

/// Where a peer listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Whether it is reached over TLS.
    pub tls: bool,
    /// A DNS name or an IP address; an IPv6 address stands without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The path: empty, or beginning with `/`.
    pub path: String,
    /// What follows the `?`. Some servers want a key there, so it counts as secret.
    pub query: Option<Secret>,
}

impl Endpoint {
    /// `host:port`, for `CONNECT` and for people; an IPv6 address is in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        authority(&self.host, self.port)
    }

    /// The value of the `Host` header: the port only if it is not the scheme's own (RFC 9110 §7.2).
    #[must_use]
    pub fn host_header(&self) -> String {
        let own = if self.tls { 443 } else { 80 };
        if self.port == own { bracketed(&self.host) } else { self.authority() }
    }

    /// Whether what is sent there stays on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }
}

/// The schemes that a setting takes: the plain one, the one over TLS.
#[derive(Clone, Copy)]
pub(super) struct Schemes {
    pub(super) plain: &'static str,
    pub(super) tls: Option<&'static str>,
}

/// A URL in its parts.
pub(super) struct Url {
    pub(super) endpoint: Endpoint,
    /// `user[:password]`, still percent-encoded.
    pub(super) userinfo: Option<Secret>,
}

/// Splits `text`; the error says what is wrong with it, to follow "because".
pub(super) fn parse(text: &str, schemes: Schemes) -> Result<Url, &'static str> {
    if text.bytes().any(|b| !b.is_ascii_graphic()) {
        return Err("it holds a space or a character outside ASCII");
    }
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
    let tls = if scheme.eq_ignore_ascii_case(schemes.plain) {
        false
    } else if schemes.tls.is_some_and(|name| scheme.eq_ignore_ascii_case(name)) {
        true
    } else {
        return Err("its scheme is another");
    };
    if rest.contains('#') {
        return Err("it has a fragment (#)");
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end).ok_or("it cannot be read")?;
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let (userinfo, host_port) = match authority.rsplit_once('@') {
        Some((userinfo, host_port)) => (Some(Secret::new(userinfo)), host_port),
        None => (None, authority),
    };
    let (host, port) = split_port(host_port)?;
    let port = match port {
        Some(port) => parse_port(port).ok_or("its port is not a number from 1 to 65535")?,
        None if tls => 443,
        None => 80,
    };
    let query = query.filter(|q| !q.is_empty()).map(Secret::new);
    Ok(Url { endpoint: Endpoint { tls, host, port, path: path.to_owned(), query }, userinfo })
}

/// Splits `host[:port]`, and checks the host.
fn split_port(text: &str) -> Result<(String, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, port) = rest.split_once(']').ok_or("the bracket of its IPv6 address is not closed")?;
        let ip: Ipv6Addr = ip.parse().map_err(|_| "what stands in brackets is not an IPv6 address")?;
        return match port.strip_prefix(':') {
            Some(port) => Ok((ip.to_string(), Some(port))),
            None if port.is_empty() => Ok((ip.to_string(), None)),
            None => Err("something stands between its host and its port"),
        };
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    if is_host_name(host) { Ok((host.to_owned(), port)) } else { Err("its host is not a host name") }
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

/// Whether `text` can be a DNS name or an IPv4 address. Underscores are not of the standard, but container
/// networks hand them out.
pub(super) fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_HOST_BYTES
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// Undoes percent-encoding; `None` if an escape is broken or the result is not UTF-8.
pub(super) fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        out.push(if b == b'%' {
            let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
            digit(bytes.next()?)? << 4 | digit(bytes.next()?)?
        } else {
            b
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::Encoded;

    const WEB: Schemes = Schemes { plain: "http", tls: Some("https") };

    fn endpoint(text: &str) -> Endpoint {
        parse(text, WEB).map(|url| url.endpoint).unwrap()
    }

    #[test]
    fn a_url_falls_into_its_parts() {
        let url = parse("https://me:p%40ss@pbx.example:8089/asterisk/ari?x=1&y=2", WEB).unwrap();
        let Endpoint { tls, host, port, path, query } = url.endpoint;
        assert_eq!((tls, host.as_str(), port, path.as_str()), (true, "pbx.example", 8089, "/asterisk/ari"));
        assert_eq!(query.unwrap().expose(), "x=1&y=2");
        assert_eq!(percent_decode(url.userinfo.unwrap().expose()).unwrap(), "me:p@ss");
    }

    #[test]
    fn ports_and_paths_may_be_missing() {
        let http = endpoint("HTTP://localhost");
        assert_eq!((http.tls, http.port, http.path.as_str(), http.query), (false, 80, "", None));
        let https = endpoint("https://pbx?");
        assert_eq!((https.tls, https.port, https.path.as_str(), https.query), (true, 443, "", None));
    }

    #[test]
    fn an_ipv6_address_loses_its_brackets_and_gets_them_back() {
        let url = endpoint("http://[::1]:8088/");
        assert_eq!((url.host.as_str(), url.port), ("::1", 8088));
        assert_eq!((url.authority(), url.host_header()), ("[::1]:8088".into(), "[::1]:8088".into()));
        assert!(url.is_loopback());
        assert_eq!(endpoint("https://[2001:db8::1]").host_header(), "[2001:db8::1]");
    }

    #[test]
    fn the_host_header_names_only_an_unusual_port() {
        assert_eq!(endpoint("http://a.b:80").host_header(), "a.b");
        assert_eq!(endpoint("https://a.b:80").host_header(), "a.b:80");
        assert_eq!(endpoint("https://a.b").authority(), "a.b:443");
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, expected) in [
            ("http://localhost", true),
            ("http://LOCALHOST", true),
            ("http://127.9.9.9", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(endpoint(url).is_loopback(), expected, "{url}");
        }
    }

    #[test]
    fn what_is_not_such_a_url_is_refused() {
        for bad in [
            "",
            "localhost:8088",
            "ws://localhost",
            "http://",
            "http://:8088",
            "http:///ari",
            "http://a b",
            "http://bücher.example",
            "http://pbx:0",
            "http://pbx:65536",
            "http://pbx:",
            "http://pbx:+80",
            "http://pbx:80:80",
            "http://::1:80",
            "http://[::1",
            "http://[::1]8088",
            "http://[pbx]",
            "http://pbx/#top",
            "http://pbx\n",
        ] {
            assert!(parse(bad, WEB).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_prefix_of_a_url_is_read_without_a_panic() {
        let whole = "https://me:p%40ss@[2001:db8::1]:8089/asterisk/ari?x=%zz&ü";
        for (end, _) in whole.char_indices() {
            let _ = parse(&whole[..end], WEB);
            let _ = percent_decode(&whole[..end]);
        }
    }

    #[test]
    fn percent_encoding_reads_back() {
        assert_eq!(Encoded("gpt-realtime-2.1-mini").to_string(), "gpt-realtime-2.1-mini");
        assert_eq!(Encoded("a/b c&d=ü").to_string(), "a%2Fb%20c%26d%3D%C3%BC");
        assert_eq!(percent_decode("a%2Fb%20c%26d%3D%C3%BC").as_deref(), Some("a/b c&d=ü"));
        assert_eq!([percent_decode("%"), percent_decode("%4"), percent_decode("%ff")], [None, None, None]);
    }
}
