//! HTTP/1.1 for small servers (RFC 9112): bytes in, a request out; a response in, bytes out.
//!
//! It serves the admin listener and the stand-in for Asterisk. The driver owns the socket: it collects bytes,
//! calls [`parse`], and writes what [`write_response`] made. A body has a known length (`Content-Length`);
//! a chunked request is refused, because no peer of ours sends one.

use httparse::{EMPTY_HEADER, Header, Status};
use std::borrow::Cow;
use std::io::Write as _;

/// The longest request line and header block that is taken, in bytes.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;
/// The longest request body that is taken, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// The most header lines that are taken.
pub const MAX_HEADERS: usize = 64;

/// What the bytes that have come so far amount to.
#[derive(Debug)]
pub enum Parse<'a> {
    /// Not yet a whole request: read on. A peer that stays here is the driver's to time out.
    Incomplete,
    /// A whole request.
    Request {
        /// The request.
        request: Request<'a>,
        /// How many bytes it took; what follows belongs to the next one.
        consumed: usize,
    },
    /// Not HTTP, or beyond a limit: answer 400 with this text and close.
    Bad(&'static str),
}

/// A request, borrowed from the bytes it came in.
#[derive(Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// The path, still percent-encoded.
    pub target: &'a str,
    /// What stands after the `?`, still percent-encoded; empty if nothing does.
    pub query: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// Whether the connection may serve another request afterwards.
    pub keep_alive: bool,
    /// Whether the peer asks for a WebSocket (RFC 6455 §4.1).
    pub is_upgrade: bool,
    headers: Vec<Header<'a>>,
}

impl<'a> Request<'a> {
    /// The value of the first header of that name, in any case; `None` if there is none or it is not UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        find(&self.headers, name)
    }
}

fn find<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    core::str::from_utf8(header.value).ok().map(str::trim)
}

/// Whether a comma-separated header value holds `token`, in any case.
fn has_token(value: Option<&str>, token: &str) -> bool {
    value.is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
}

/// Reads the request at the front of `bytes`. Looks at no more than the limits above allow.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parse<'_> {
    let mut lines = [EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut lines);
    let head_len = match head.parse(bytes) {
        Ok(Status::Complete(len)) if len <= MAX_HEAD_BYTES => len,
        Ok(Status::Partial) if bytes.len() < MAX_HEAD_BYTES => return Parse::Incomplete,
        Ok(_) => return Parse::Bad("header block too long"),
        Err(httparse::Error::TooManyHeaders) => return Parse::Bad("too many headers"),
        Err(_) => return Parse::Bad("not an HTTP/1.1 request"),
    };
    let (Some(method), Some(path), Some(version)) = (head.method, head.path, head.version) else {
        return Parse::Bad("not an HTTP/1.1 request");
    };
    let headers: Vec<Header<'_>> = head.headers.to_vec();
    if find(&headers, "transfer-encoding").is_some() {
        return Parse::Bad("a body needs a Content-Length");
    }
    let body_len = match headers.iter().filter(|h| h.name.eq_ignore_ascii_case("content-length")).count() {
        0 => 0,
        1 => match find(&headers, "content-length").and_then(decimal) {
            Some(len) if len <= MAX_BODY_BYTES => len,
            Some(_) => return Parse::Bad("body too long"),
            None => return Parse::Bad("bad Content-Length"),
        },
        // Two lengths are how one request is smuggled inside another.
        _ => return Parse::Bad("more than one Content-Length"),
    };
    let consumed = head_len + body_len;
    let Some(body) = bytes.get(head_len..consumed) else { return Parse::Incomplete };
    let (target, query) = path.split_once('?').unwrap_or((path, ""));
    let connection = find(&headers, "connection");
    let keep_alive =
        if version == 0 { has_token(connection, "keep-alive") } else { !has_token(connection, "close") };
    let is_upgrade = has_token(connection, "upgrade") && has_token(find(&headers, "upgrade"), "websocket");
    Parse::Request {
        request: Request { method, target, query, body, keep_alive, is_upgrade, headers },
        consumed,
    }
}

/// Digits only: `parse::<usize>` would also take a plus sign.
fn decimal(text: &str) -> Option<usize> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Appends a response to `out`. An empty `content_type` leaves that header out.
pub fn write_response(status: u16, content_type: &str, body: &[u8], keep_alive: bool, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reason(status));
    // A 204 has no body and must not tell a length (RFC 9110 §8.6).
    let body = if status == 204 { b"" } else { body };
    if status != 204 {
        let _ = write!(out, "Content-Length: {}\r\n", body.len());
    }
    if !content_type.is_empty() {
        let _ = write!(out, "Content-Type: {content_type}\r\n");
    }
    out.extend_from_slice(if keep_alive {
        b"Connection: keep-alive\r\n\r\n"
    } else {
        b"Connection: close\r\n\r\n"
    });
    out.extend_from_slice(body);
}

/// The reason phrase of the statuses that our servers use (RFC 9110 §15).
#[must_use]
pub const fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        412 => "Precondition Failed",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

/// The pairs of a query, decoded, in their order. A name without `=` has an empty value.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name, true), decode(value, true))
    })
}

/// Undoes percent-encoding in a path segment (RFC 3986 §2.1).
#[must_use]
pub fn percent_decode(text: &str) -> Cow<'_, str> {
    decode(text, false)
}

/// Undoes percent-encoding, and `+` for a space where a form says so. A `%` without two hexadecimal digits
/// stands for itself; what is not UTF-8 afterwards becomes U+FFFD.
fn decode(text: &str, plus_is_space: bool) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || (plus_is_space && b == b'+')) {
        return Cow::Borrowed(text);
    }
    let hex = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, hex(tail.first()), hex(tail.get(1))) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high << 4 | low) as u8);
                rest = tail.get(2..).unwrap_or_default();
            }
            (b'+', ..) if plus_is_space => plain.push(b' '),
            (byte, ..) => plain.push(*byte),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> (Request<'_>, usize) {
        match parse(bytes) {
            Parse::Request { request, consumed } => (request, consumed),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_comes_byte_by_byte() {
        let wire = b"POST /ari/bridges?type=mixing&name=a%20b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbodyGET ";
        for cut in 0..wire.len() - 4 {
            assert!(matches!(parse(&wire[..cut]), Parse::Incomplete), "cut at {cut}");
        }
        let (request, consumed) = whole(wire);
        assert_eq!((request.method, request.target), ("POST", "/ari/bridges"));
        assert_eq!((request.body, consumed), (&b"body"[..], wire.len() - 4));
        assert_eq!(request.header("HOST"), Some("x"));
        assert!(request.keep_alive && !request.is_upgrade);
        let pairs: Vec<_> = query_pairs(request.query).collect();
        assert_eq!(pairs, [("type".into(), "mixing".into()), ("name".into(), "a b".into())]);
    }

    #[test]
    fn an_upgrade_is_told_from_a_plain_get() {
        let (request, _) = whole(
            b"GET /ari/events HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        assert!(request.is_upgrade);
        let (request, _) = whole(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
        assert!(!request.is_upgrade && !request.keep_alive);
        let (request, _) = whole(b"GET / HTTP/1.0\r\n\r\n");
        assert!(!request.keep_alive);
    }

    #[test]
    fn what_is_not_http_or_too_long_is_bad() {
        let long_head = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(MAX_HEAD_BYTES));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
        let long_body = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", MAX_BODY_BYTES + 1);
        for bytes in [
            long_head.as_bytes(),
            &long_head.as_bytes()[..MAX_HEAD_BYTES],
            many.as_bytes(),
            long_body.as_bytes(),
            b"\x16\x03\x01\x00\xa5\x01\x00\x00",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        ] {
            assert!(matches!(parse(bytes), Parse::Bad(_)), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_response_has_its_length_and_says_whether_the_connection_stays() {
        let mut out = Vec::new();
        write_response(404, "application/json", b"{}", true, &mut out);
        write_response(204, "", b"", false, &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\
             Connection: keep-alive\r\n\r\n{}HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn percent_encoding_is_undone_once_and_never_panics() {
        assert_eq!(percent_decode("Local%2Fa%40b%25"), "Local/a@b%");
        assert_eq!(percent_decode("a+b%2%zz%"), "a+b%2%zz%");
        assert_eq!(percent_decode("%ff"), "\u{fffd}");
        assert_eq!(
            query_pairs("a+b=c%2Bd&&e").collect::<Vec<_>>(),
            [("a b".into(), "c+d".into()), ("e".into(), "".into())]
        );
    }
}
