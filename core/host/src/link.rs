//! A WebSocket as a client has it, from the first attempt to the last message: a call's Realtime socket, and the
//! event socket of ARI.

use ari_bridge_core::call::{self, IoFault};
use ari_bridge_core::id::LinkId;
use ari_bridge_core::switchboard;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::socket::OpenError;
use crate::websocket::{Incoming, WebSocket};

/// A WebSocket that is being opened.
pub type Attempt = Pin<Box<dyn Future<Output = Result<WebSocket, OpenError>> + Send>>;

/// One link.
pub struct Link {
    /// Its name.
    pub id: LinkId,
    state: State,
}

enum State {
    Opening(Attempt),
    Open(Box<WebSocket>),
    /// A send failed; the next poll tells.
    Failed(IoFault),
    Gone,
}

/// What came of a poll.
pub enum LinkEvent {
    /// It is open.
    Up,
    /// A ping or a pong.
    Alive,
    /// A message, text or binary.
    Message(async_tungstenite::tungstenite::Bytes),
    /// It could not be opened, or ended. Nothing comes after this.
    Down(Down),
}

impl LinkEvent {
    /// What a call is told, whose Realtime socket this is.
    #[must_use]
    pub fn of_realtime(&self, link: LinkId) -> call::Input<'_> {
        match self {
            Self::Up => call::Input::RealtimeUp { link },
            Self::Alive => call::Input::RealtimePong { link },
            Self::Message(bytes) => call::Input::Realtime { link, bytes },
            Self::Down(down) => call::Input::RealtimeDown {
                link,
                http_status: down.http_status,
                retry_after: down.retry_after,
                code: down.code,
                reason: &down.reason,
                fault: down.fault,
            },
        }
    }

    /// What the switchboard is told, whose event socket this is.
    #[must_use]
    pub fn of_ari(&self) -> switchboard::Input<'_> {
        match self {
            Self::Up => switchboard::Input::AriUp,
            Self::Alive => switchboard::Input::AriPong,
            Self::Message(bytes) => switchboard::Input::Ari(bytes),
            Self::Down(down) => {
                switchboard::Input::AriDown { http_status: down.http_status, fault: down.fault }
            }
        }
    }
}

/// How a link ended.
#[derive(Default)]
pub struct Down {
    http_status: Option<u16>,
    retry_after: Option<Duration>,
    code: Option<u16>,
    reason: Vec<u8>,
    fault: Option<IoFault>,
}

impl Down {
    fn fault(fault: IoFault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }
}

impl From<OpenError> for Down {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Refused { status, retry_after, body } => {
                Self { http_status: Some(status), retry_after, reason: body, ..Self::default() }
            }
            OpenError::Fault(fault) => Self::fault(fault),
        }
    }
}

impl Link {
    /// Begins to open it; nothing happens until it is polled.
    #[must_use]
    pub fn open(id: LinkId, attempt: Attempt) -> Self {
        Self { id, state: State::Opening(attempt) }
    }

    /// The next event. Nothing comes after `Down`.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<LinkEvent> {
        let down = match &mut self.state {
            State::Opening(attempt) => match attempt.as_mut().poll(cx) {
                Poll::Ready(Ok(socket)) => {
                    self.state = State::Open(Box::new(socket));
                    return Poll::Ready(LinkEvent::Up);
                }
                Poll::Ready(Err(error)) => Down::from(error),
                Poll::Pending => return Poll::Pending,
            },
            State::Open(socket) => match socket.poll_incoming(cx) {
                Poll::Ready(Incoming::Message(bytes)) => return Poll::Ready(LinkEvent::Message(bytes)),
                Poll::Ready(Incoming::Alive) => return Poll::Ready(LinkEvent::Alive),
                Poll::Ready(Incoming::Closed { code, reason }) => {
                    Down { code, reason: reason.to_vec(), ..Down::default() }
                }
                Poll::Ready(Incoming::Broken(fault)) => Down::fault(fault),
                Poll::Pending => return Poll::Pending,
            },
            State::Failed(fault) => Down::fault(*fault),
            State::Gone => return Poll::Pending,
        };
        self.state = State::Gone;
        Poll::Ready(LinkEvent::Down(down))
    }

    /// Sends a message; whatever goes wrong comes out of the next poll. Returns whether a poll is due.
    pub fn send(&mut self, cx: &mut Context<'_>, text: &[u8]) -> bool {
        let State::Open(socket) = &mut self.state else { return false };
        match socket.send(cx, text) {
            Ok(()) => false,
            Err(fault) => {
                self.state = State::Failed(fault);
                true
            }
        }
    }

    /// Sends a ping; whatever goes wrong comes out of the next poll. Returns whether a poll is due.
    pub fn ping(&mut self, cx: &mut Context<'_>) -> bool {
        let State::Open(socket) = &mut self.state else { return false };
        match socket.ping(cx) {
            Ok(()) => false,
            Err(fault) => {
                self.state = State::Failed(fault);
                true
            }
        }
    }

    /// The open socket, for a farewell in the background.
    #[must_use]
    pub fn into_socket(self) -> Option<WebSocket> {
        match self.state {
            State::Open(socket) => Some(*socket),
            State::Opening(_) | State::Failed(_) | State::Gone => None,
        }
    }
}
