//! A connection that asks one thing after the other, until it becomes a WebSocket.

use ari_bridge_core::http::{self, Parse, Request};
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use super::server::Service;
use super::socket::Socket;
use super::watched::Watched;

/// How a request is answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// The `Retry-After`, in seconds.
    pub(super) retry_after: Option<u64>,
    /// The body, JSON or nothing.
    pub(super) body: Vec<u8>,
}

/// The connection. While a request is not answered nothing more is read.
#[derive(Debug)]
pub(super) struct Http {
    stream: Watched<TcpStream>,
    received: Vec<u8>,
    asked: Option<Asked>,
    /// What is left of the answer; the client takes no more for now.
    unsent: Vec<u8>,
    /// The next request may be there already.
    pub(super) has_more: bool,
}

/// What has to be known of a request when its answer comes.
#[derive(Debug)]
struct Asked {
    bytes: usize,
    keep_alive: bool,
    /// The key of an upgrade, made into its acceptance (RFC 6455 §4.2.2).
    acceptance: String,
    is_answered: bool,
}

impl Http {
    pub(super) const fn new(stream: Watched<TcpStream>) -> Self {
        Self { stream, received: Vec::new(), asked: None, unsent: Vec::new(), has_more: false }
    }

    /// Writes what is left of an answer, or reads at most one request. `None` once the client is gone, talks nonsense,
    /// or has had its last answer.
    pub(super) fn turn(self, id: u64, service: &mut impl Service) -> Option<Self> {
        let mut this = self.write()?;
        this.has_more = false;
        let mut chunk = [0; 4096];
        while this.asked.is_none() {
            match http::parse(&this.received) {
                Parse::Request { request, consumed } => {
                    let key = request.header("Sec-WebSocket-Key").unwrap_or_default();
                    this.asked = Some(Asked {
                        bytes: consumed,
                        keep_alive: request.keep_alive && !request.is_upgrade,
                        acceptance: derive_accept_key(key.as_bytes()),
                        is_answered: false,
                    });
                    service.request(id, &request);
                    return Some(this);
                }
                Parse::Incomplete => {}
                Parse::Bad(_) => return None,
            }
            match this.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(n) => this.received.extend_from_slice(chunk.get(..n).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return None,
            }
        }
        Some(this)
    }

    /// Answers the request.
    pub(super) fn answer(mut self, answer: &Answer) -> Option<Self> {
        let Some(asked) = self.asked.as_mut().filter(|asked| !asked.is_answered) else { return Some(self) };
        asked.is_answered = true;
        self.unsent = response(answer, asked.keep_alive);
        self.write()
    }

    fn write(mut self) -> Option<Self> {
        let Some(asked) = self.asked.take_if(|asked| asked.is_answered) else { return Some(self) };
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(0) => return None,
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.asked = Some(asked);
                    return Some(self);
                }
                Err(_) => return None,
            }
        }
        self.received.drain(..asked.bytes);
        self.has_more = !self.received.is_empty();
        asked.keep_alive.then_some(self)
    }

    /// Completes an upgrade. `None` also for a client that has not read its earlier answers, so that not even this
    /// goes out at once.
    pub(super) fn upgrade(mut self) -> Option<Socket> {
        let asked = self.asked?;
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            asked.acceptance
        );
        let is_whole = self.stream.write(head.as_bytes()).is_ok_and(|n| n == head.len());
        is_whole.then(|| Socket::new(self.stream, self.received.split_off(asked.bytes)))
    }

    pub(super) fn arm(&mut self, anew: bool) -> io::Result<()> {
        self.stream.arm(self.asked.is_none(), !self.unsent.is_empty(), anew)
    }
}

/// The path and the query of a request.
pub(super) fn target(request: &Request<'_>) -> String {
    let mark = if request.query.is_empty() { "" } else { "?" };
    format!("{}{mark}{}", request.target, request.query)
}

fn response(answer: &Answer, keep_alive: bool) -> Vec<u8> {
    let mut response = Vec::new();
    let kind = if answer.body.is_empty() { "" } else { "application/json" };
    http::write_response(answer.status, kind, &answer.body, keep_alive, &mut response);
    if let Some(seconds) = answer.retry_after {
        let behind_status = response.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
        response.splice(behind_status..behind_status, format!("Retry-After: {seconds}\r\n").into_bytes());
    }
    response
}
