//! A WebSocket as a client has it, from the first attempt to the last message: a call's Realtime socket, and the
//! event socket of ARI.

use ari_bridge_core::call::IoFault;
use ari_bridge_core::id::LinkId;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::socket::{OpenError, Target, open};
use crate::websocket::{Incoming, WebSocket};

/// One link.
pub(crate) struct Link {
    pub(crate) id: LinkId,
    state: State,
}

enum State {
    Opening(Pin<Box<dyn Future<Output = Result<WebSocket, OpenError>> + Send>>),
    Open(Box<WebSocket>),
    /// A send failed; the next poll tells.
    Failed(IoFault),
    Gone,
}

/// What came of a poll.
pub(crate) enum LinkEvent {
    Up,
    /// A ping or a pong.
    Alive,
    Message(async_tungstenite::tungstenite::Bytes),
    Down(Down),
}

/// How a link ended.
#[derive(Default)]
pub(crate) struct Down {
    pub(crate) http_status: Option<u16>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) code: Option<u16>,
    pub(crate) reason: Vec<u8>,
    pub(crate) fault: Option<IoFault>,
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
    pub(crate) fn open(id: LinkId, target: Arc<Target>) -> Self {
        Self { id, state: State::Opening(Box::pin(async move { open(&target).await })) }
    }

    /// The next event. Nothing comes after `Down`.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<LinkEvent> {
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
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, text: &[u8]) -> bool {
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
    pub(crate) fn ping(&mut self, cx: &mut Context<'_>) -> bool {
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
    pub(crate) fn into_socket(self) -> Option<WebSocket> {
        match self.state {
            State::Open(socket) => Some(*socket),
            State::Opening(_) | State::Failed(_) | State::Gone => None,
        }
    }
}
