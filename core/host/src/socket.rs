//! From a TCP connection to an open WebSocket: an HTTP proxy, TLS, the upgrade.

use ari_bridge_core::call::IoFault;
use ari_bridge_core::realtime::MAX_MESSAGE_BYTES;
use ari_bridge_core::uri::authority;
use async_tungstenite::tungstenite;
use async_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Request};
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use futures_lite::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use futures_rustls::rustls::pki_types::ServerName;
use futures_rustls::rustls::{self, ClientConfig};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::websocket::WebSocket;

/// How long it may take until a WebSocket is open.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer head of a proxy.
const MAX_PROXY_HEAD_BYTES: usize = 8 * 1024;

/// How much of the body of a refused upgrade is kept.
const MAX_REFUSAL_BYTES: usize = 512;

/// What the library holds back for a peer at the most, twice: more than [`WebSocket::send`] ever leaves unsent, so
/// that only the pongs to a flood of pings come near it, and then the link breaks.
const WRITE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// How long one address of a host may take to answer before the next is tried.
pub const ADDRESS_TIMEOUT: Duration = Duration::from_secs(2);

/// What is read from a socket at once. A second of the model's audio is about 64 KiB of base64.
const READ_BUFFER_BYTES: usize = 32 * 1024;

/// Where a WebSocket is opened, and what is said there. It holds secrets, so its `Debug` names the host alone.
#[derive(Clone)]
pub struct Target {
    /// Spoken if there is one.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// A DNS name or an IP address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Host`.
    pub(crate) host_header: String,
    /// The path and the query.
    pub(crate) path: String,
    /// Further headers.
    pub(crate) headers: Vec<(HeaderName, String)>,
    /// Through which proxy, if not straight.
    pub(crate) proxy: Option<Proxy>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.host_header)
    }
}

/// An HTTP proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(crate) authorization: Option<String>,
}

/// Why a WebSocket could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The upgrade was answered with something else than 101.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `Retry-After`.
        retry_after: Option<Duration>,
        /// The first bytes of the body.
        body: Vec<u8>,
    },
    /// No answer came.
    Fault(IoFault),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Fault(fault(&error))
    }
}

/// A byte stream, with or without TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Target {
    /// Whom to connect to: the server, or the proxy on the way to it.
    #[must_use]
    pub fn first_hop(&self) -> (&str, u16) {
        self.proxy.as_ref().map_or((&self.host, self.port), |proxy| (&proxy.host, proxy.port))
    }
}

/// Opens a WebSocket over a connection to [`Target::first_hop`]. It waits as long as the peer does; see
/// [`OPEN_TIMEOUT`].
///
/// # Errors
///
/// What the peer answered instead, or what broke.
pub async fn establish(target: &Target, mut tcp: impl Stream + 'static) -> Result<WebSocket, OpenError> {
    if let Some(proxy) = &target.proxy {
        tunnel(&mut tcp, proxy, target).await?;
    }
    let stream: Box<dyn Stream> = match &target.tls {
        None => Box::new(tcp),
        Some(config) => {
            let name =
                ServerName::try_from(target.host.clone()).map_err(|_| OpenError::Fault(IoFault::Tls))?;
            Box::new(futures_rustls::TlsConnector::from(config.clone()).connect(name, tcp).await?)
        }
    };
    let upgraded =
        async_tungstenite::client_async_with_config(request(target)?, stream, Some(limits())).await;
    upgraded.map(|(socket, _)| WebSocket::new(socket)).map_err(refusal)
}

/// What both ends of every WebSocket here keep to. Writes are only buffered by `write`, so that a flush tells
/// how much the peer has not taken; see [`WebSocket::send`].
pub(crate) fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(2 * WRITE_BUFFER_BYTES)
}

fn request(target: &Target) -> Result<Request<()>, OpenError> {
    // The scheme is only looked at by the library; it is not sent.
    let mut builder = Request::builder()
        .uri(format!("ws://{}{}", target.host_header, target.path))
        .header("Host", &target.host_header)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", tungstenite::handshake::client::generate_key());
    for (name, value) in &target.headers {
        let mut value = HeaderValue::from_str(value).map_err(|_| OpenError::Fault(IoFault::Other))?;
        value.set_sensitive(true);
        builder = builder.header(name, value);
    }
    builder.body(()).map_err(|_| OpenError::Fault(IoFault::Other))
}

fn refusal(error: tungstenite::Error) -> OpenError {
    let tungstenite::Error::Http(answer) = error else { return OpenError::Fault(websocket_fault(&error)) };
    let (head, body) = (*answer).into_parts();
    let retry_after =
        head.headers.get("retry-after").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let mut body = body.unwrap_or_default();
    body.truncate(MAX_REFUSAL_BYTES);
    OpenError::Refused {
        status: head.status.as_u16(),
        retry_after: retry_after.map(Duration::from_secs),
        body,
    }
}

/// Asks a proxy for a tunnel (RFC 9110 §9.3.6).
async fn tunnel(stream: &mut impl Stream, proxy: &Proxy, target: &Target) -> Result<(), OpenError> {
    let authority = authority(&target.host, target.port);
    let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(value) = &proxy.authorization {
        head.push_str("Proxy-Authorization: ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    // Read byte by byte: what follows the head belongs to the tunnel.
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == MAX_PROXY_HEAD_BYTES {
            return Err(OpenError::Fault(IoFault::Protocol));
        }
        stream.read_exact(&mut byte).await?;
        answer.extend(byte);
    }
    let status =
        answer.split(|b| *b == b' ').nth(1).and_then(|s| str::from_utf8(s).ok()).and_then(|s| s.parse().ok());
    match status {
        _ if !answer.starts_with(b"HTTP/1.") => Err(OpenError::Fault(IoFault::Protocol)),
        Some(200..=299) => Ok(()),
        Some(status) => {
            Err(OpenError::Refused { status, retry_after: None, body: b"the proxy refused".to_vec() })
        }
        None => Err(OpenError::Fault(IoFault::Protocol)),
    }
}

/// Sorts an error of the system.
pub fn fault(error: &io::Error) -> IoFault {
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return IoFault::Tls;
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => IoFault::Refused,
        io::ErrorKind::TimedOut => IoFault::TimedOut,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => IoFault::Reset,
        _ => IoFault::Other,
    }
}

/// Sorts an error of the WebSocket library.
pub(crate) fn websocket_fault(error: &tungstenite::Error) -> IoFault {
    use tungstenite::Error;
    use tungstenite::error::ProtocolError;
    match error {
        Error::Io(error) => fault(error),
        Error::Tls(_) => IoFault::Tls,
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete) => {
            IoFault::Reset
        }
        Error::WriteBufferFull(_) => IoFault::Backlog,
        _ => IoFault::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::Incoming;
    use smol::Async;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::mpsc;

    /// Answers the first connection with `answer`, after a whole head has come, and tells that head.
    fn server(answer: &'static str) -> (u16, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.extend(byte);
            }
            tell.send(String::from_utf8(head).unwrap()).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        (port, told)
    }

    fn target(port: u16, proxy: Option<Proxy>) -> Target {
        Target {
            tls: None,
            host: "127.0.0.1".into(),
            port,
            host_header: format!("127.0.0.1:{port}"),
            path: "/v1/realtime?model=m".into(),
            headers: vec![(HeaderName::from_static("authorization"), "Bearer k".into())],
            proxy,
        }
    }

    async fn open(target: &Target) -> Result<WebSocket, OpenError> {
        let (host, port) = target.first_hop();
        let address = SocketAddr::new(host.parse().unwrap(), port);
        establish(target, Async::<TcpStream>::connect(address).await?).await
    }

    fn refused(target: &Target) -> OpenError {
        smol::block_on(open(target)).err().expect("nobody here opens a WebSocket")
    }

    #[test]
    fn a_refused_upgrade_tells_status_body_and_when_to_come_back() {
        let (port, head) =
            server("HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nlate");
        let OpenError::Refused { status, retry_after, body } = refused(&target(port, None)) else { panic!() };
        assert_eq!((status, retry_after, &body[..]), (429, Some(Duration::from_secs(7)), &b"late"[..]));
        let head = head.recv().unwrap();
        assert!(head.starts_with("GET /v1/realtime?model=m HTTP/1.1\r\n"), "{head}");
        assert!(
            head.contains("authorization: Bearer k\r\n") && !head.to_lowercase().contains("openai-beta"),
            "{head}"
        );
    }

    #[test]
    fn a_proxy_is_asked_for_a_tunnel_with_its_password() {
        let (port, head) = server("HTTP/1.1 407 Who Are You\r\n\r\n");
        let proxy = Proxy { host: "127.0.0.1".into(), port, authorization: Some("Basic eDp5".into()) };
        let error = refused(&target(443, Some(proxy)));
        assert!(matches!(error, OpenError::Refused { status: 407, .. }), "{error:?}");
        assert_eq!(
            head.recv().unwrap(),
            "CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: 127.0.0.1:443\r\nProxy-Authorization: Basic eDp5\r\n\r\n"
        );
    }

    #[test]
    fn through_a_tunnel_the_server_is_reached() {
        let behind = crate::standin::serve_realtime(Default::default(), crate::standin::parrot).unwrap();
        let port = behind.url().split(['/', ':']).find_map(|part| part.parse().ok()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy_port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut inside, _) = listener.accept().unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && inside.read(&mut byte).is_ok_and(|n| n == 1) {
                head.extend(byte);
            }
            inside.write_all(b"HTTP/1.1 200 Connection Established\r\n\r\n").unwrap();
            let mut outside = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut from, mut to) = (inside.try_clone().unwrap(), outside.try_clone().unwrap());
            std::thread::spawn(move || io::copy(&mut from, &mut to));
            let _ = io::copy(&mut outside, &mut inside);
        });
        let proxy = Proxy { host: "127.0.0.1".into(), port: proxy_port, authorization: None };
        let through = Target {
            path: "/v1/realtime?model=gpt-realtime-2.1-mini".into(),
            headers: vec![(HeaderName::from_static("authorization"), "Bearer sk-sim".into())],
            ..target(port, Some(proxy))
        };
        let first = smol::block_on(async {
            let mut socket = open(&through).await.unwrap();
            smol::future::poll_fn(|cx| socket.poll_incoming(cx)).await
        });
        let Incoming::Message(first) = first else { panic!("the server says session.created first") };
        assert!(str::from_utf8(&first).unwrap().contains("session.created"));
    }

    #[test]
    fn what_does_not_answer_is_sorted() {
        let error = refused(&target(1, None));
        assert!(matches!(error, OpenError::Fault(IoFault::Refused)), "{error:?}");
        let (port, _head) = server("220 mail.example ESMTP\r\n\r\n");
        let error = refused(&target(port, None));
        assert!(matches!(error, OpenError::Fault(IoFault::Protocol)), "{error:?}");
        let (port, _head) = server("");
        let error = refused(&target(port, None));
        assert!(matches!(error, OpenError::Fault(IoFault::Reset)), "{error:?}");
    }
}
