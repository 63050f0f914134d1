//! A connection that has become a WebSocket.

use async_tungstenite::tungstenite::protocol::Role;
use async_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use async_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use async_tungstenite::tungstenite::{self, Error, Message, WebSocket};
use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::server::{BUDGET, Service};
use super::watched::Watched;
use crate::socket::limits;
use crate::websocket::{CLOSE_TIMEOUT, MAX_UNSENT_BYTES};

/// The beginning of a text frame of 4 KiB (RFC 6455 §5.2), of which no more comes.
const HALF_A_FRAME: &[u8] = b"\x81\x7e\x10\x00{\"type\":\"response.output_audio.delta\",\"delta\":\"AAAA";

/// How long a connection that breaks is not read before: a socket that is closed with something unread sends a reset.
const UNREAD_BEFORE_BREAK: Duration = Duration::from_millis(200);

/// The connection.
#[derive(Debug)]
pub(super) struct Socket {
    socket: WebSocket<Watched<TcpStream>>,
    phase: Phase,
    /// Bytes given to the library since it last had nothing left to write.
    unsent: usize,
    /// Something was received that has not been looked at.
    pub(super) has_more: bool,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Open,
    /// Since one side has closed; until when the other may do so, too.
    Closing(Instant),
    /// Nothing is read or written until the connection is dropped.
    Broken(Instant),
}

impl Socket {
    /// An open WebSocket; `rest` is what came after the request.
    pub(super) fn new(stream: Watched<TcpStream>, rest: Vec<u8>) -> Self {
        let has_more = !rest.is_empty();
        let socket = WebSocket::from_partially_read(stream, rest, Role::Server, Some(limits()));
        Self { socket, phase: Phase::Open, unsent: 0, has_more }
    }

    /// Writes what is left, and reads at most [`BUDGET`] messages. `None` once it is over.
    pub(super) fn turn(mut self, id: u64, service: &mut impl Service) -> Option<Self> {
        self.has_more = false;
        if let Phase::Broken(_) = self.phase {
            return Some(self);
        }
        if self.unsent > 0 && self.flush().is_err() {
            return self.ended(id, None, 1000, service);
        }
        for _ in 0..BUDGET {
            match (self.socket.read(), self.phase) {
                (Ok(Message::Text(text)), Phase::Open) => service.message(id, text.as_bytes()),
                (Ok(Message::Binary(bytes)), Phase::Open) => service.message(id, &bytes),
                (Ok(Message::Close(frame)), Phase::Open) => {
                    let code = frame.map(|frame| frame.code.into());
                    self = self.ended(id, code, 1000, service)?;
                }
                (Ok(_), _) => {}
                (Err(error), _) if would_block(&error) => return Some(self),
                (Err(_), Phase::Open) => self = self.ended(id, None, 1000, service)?,
                (Err(_), _) => return None,
            }
        }
        self.has_more = true;
        Some(self)
    }

    /// Sends a text message, or as much of it as the client takes now; the rest goes when it reads. A client that does
    /// not read is cut off.
    pub(super) fn send(mut self, id: u64, text: Vec<u8>, service: &mut impl Service) -> Option<Self> {
        if !matches!(self.phase, Phase::Open) {
            return Some(self);
        }
        self.unsent = self.unsent.saturating_add(text.len());
        if self.unsent > MAX_UNSENT_BYTES {
            return self.ended(id, None, 1011, service);
        }
        // A frame instead of a text message: the machines write UTF-8, it need not be checked again.
        let message = Message::Frame(Frame::message(text, OpCode::Data(Data::Text), true));
        let written = self.socket.write(message).or_else(unless_it_would_block);
        if written.is_err() || self.flush().is_err() {
            return self.ended(id, None, 1000, service);
        }
        Some(self)
    }

    /// Says goodbye, and waits a moment for the client to say it too.
    pub(super) fn close(mut self, code: u16, reason: &str) -> Option<Self> {
        if !matches!(self.phase, Phase::Open) {
            return Some(self);
        }
        self.phase = Phase::Closing(Instant::now() + CLOSE_TIMEOUT);
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        let closed = self.socket.close(Some(frame));
        // Whether all of it went is asked of the next flush.
        self.unsent = self.unsent.max(1);
        closed.or_else(unless_it_would_block).and_then(|()| self.flush()).is_ok().then_some(self)
    }

    /// Breaks the connection in the middle of a message.
    pub(super) fn break_off(mut self) -> Self {
        self.phase = Phase::Broken(Instant::now() + UNREAD_BEFORE_BREAK);
        let _ = self.socket.get_mut().write(HALF_A_FRAME);
        self
    }

    /// The client has closed, with this code, or is gone, or is cut off; it is told so if it can be.
    fn ended(self, id: u64, theirs: Option<u16>, ours: u16, service: &mut impl Service) -> Option<Self> {
        if matches!(self.phase, Phase::Open) {
            service.closed(id, theirs);
        }
        self.close(ours, "")
    }

    /// When it is dropped at the latest.
    pub(super) const fn until(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open => None,
            Phase::Closing(until) | Phase::Broken(until) => Some(until),
        }
    }

    fn flush(&mut self) -> tungstenite::Result<()> {
        match self.socket.flush() {
            Ok(()) => self.unsent = 0,
            Err(error) => unless_it_would_block(error)?,
        }
        Ok(())
    }

    pub(super) fn arm(&mut self, anew: bool) -> io::Result<()> {
        let is_broken = matches!(self.phase, Phase::Broken(_));
        self.socket.get_mut().arm(!is_broken, !is_broken && self.unsent > 0, anew)
    }
}

fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}

/// What could not be written now stays in the library.
fn unless_it_would_block(error: Error) -> tungstenite::Result<()> {
    if would_block(&error) { Ok(()) } else { Err(error) }
}
