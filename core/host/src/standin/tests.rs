//! The stand-ins as a client of their sockets has them: one that blocks, and has nothing of theirs.

mod asterisk;
mod realtime;

use async_tungstenite::tungstenite::client::IntoClientRequest;
use async_tungstenite::tungstenite::handshake::HandshakeError;
use async_tungstenite::tungstenite::http::{HeaderValue, Response};
use async_tungstenite::tungstenite::{self, Error, Message, WebSocket};
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a test waits for what must come, and for what must not.
const PATIENCE: Duration = Duration::from_secs(10);
const A_WHILE: Duration = Duration::from_millis(400);

/// A connection to the server at this URL.
fn connect(url: &str) -> TcpStream {
    let address = url.split('/').nth(2).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

type Refusal = Box<Response<Option<Vec<u8>>>>;

/// Opens a WebSocket, or tells how that was refused.
fn upgrade(stream: TcpStream, url: &str, authorization: &str) -> Result<WebSocket<TcpStream>, Refusal> {
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", HeaderValue::from_str(authorization).unwrap());
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(Error::Http(response))) => Err(response),
        Err(other) => panic!("{other}"),
    }
}

/// What comes next, in words; `None` if nothing does.
fn next(client: &mut WebSocket<TcpStream>, within: Duration) -> Option<String> {
    client.get_ref().set_read_timeout(Some(within)).unwrap();
    match client.read() {
        Ok(Message::Text(text)) => Some(text.as_str().to_owned()),
        Ok(Message::Close(frame)) => Some(format!("closed {:?}", frame.map(|frame| u16::from(frame.code)))),
        Ok(Message::Pong(_)) => Some("pong".to_owned()),
        Ok(other) => panic!("{other:?}"),
        Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => Some(format!("over: {error}")),
    }
}

/// The next in which this is found.
fn wait_for(client: &mut WebSocket<TcpStream>, what: &str) -> String {
    loop {
        let event = next(client, PATIENCE).unwrap_or_else(|| panic!("{what} never came"));
        if event.contains(what) {
            return event;
        }
        assert!(!event.starts_with("closed") && !event.starts_with("over"), "{event} instead of {what}");
    }
}

/// Reads to the end of the connection, and tells what came and whether the end was a reset.
fn read_to_end(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut received = Vec::new();
    let ended = stream.read_to_end(&mut received);
    let is_reset = ended.is_err_and(|error| {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        true
    });
    (received, is_reset)
}

/// Waits until it is so.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < give_up, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
