//! An open WebSocket as a driver wants it: polled, never waited for, bounded in what it holds back.

use ari_bridge_core::call::IoFault;
use async_tungstenite::WebSocketStream;
use async_tungstenite::bytes::ByteWriter;
use async_tungstenite::tungstenite::protocol::CloseFrame;
use async_tungstenite::tungstenite::protocol::frame::Frame;
use async_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use async_tungstenite::tungstenite::{Bytes, Message};
use bytes::BytesMut;
use futures_lite::io::AsyncWrite;
use futures_lite::stream::{Stream as _, StreamExt};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::check::Greeting;
use crate::socket::{Stream, websocket_fault};

/// How much a peer may leave unread before the link is given up. At 64 KiB/s of base64 audio this is a stall of
/// 16 s.
pub(crate) const MAX_UNSENT_BYTES: usize = 1024 * 1024;

/// How long a closing handshake may take.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// One WebSocket.
pub struct WebSocket {
    /// Always there, but for the moment in which [`ByteWriter`] borrows it.
    stream: Option<WebSocketStream<Box<dyn Stream>>>,
    /// Messages are built in here; the memory comes back once the library has copied them.
    scratch: BytesMut,
    /// Bytes given to the library since it last had nothing left to write.
    unsent: usize,
}

/// What came of a poll.
pub enum Incoming {
    /// A message, text or binary.
    Message(Bytes),
    /// A pong, or another sign of life without content.
    Alive,
    /// The peer closed.
    Closed { code: Option<u16>, reason: Bytes },
    /// It broke.
    Broken(IoFault),
}

impl WebSocket {
    pub(crate) fn new(stream: WebSocketStream<Box<dyn Stream>>) -> Self {
        Self { stream: Some(stream), scratch: BytesMut::new(), unsent: 0 }
    }

    /// What the peer sent. After `Closed` or `Broken` the socket is of no use.
    pub(crate) fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        if self.unsent > 0
            && let Err(fault) = self.flush(cx)
        {
            return Poll::Ready(Incoming::Broken(fault));
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(Incoming::Broken(IoFault::Reset)) };
        Pin::new(stream).poll_next(cx).map(|message| match message {
            Some(Ok(Message::Text(text))) => Incoming::Message(text.into()),
            Some(Ok(Message::Binary(bytes))) => Incoming::Message(bytes),
            Some(Ok(Message::Close(frame))) => match frame {
                Some(CloseFrame { code, reason }) => {
                    Incoming::Closed { code: Some(code.into()), reason: reason.into() }
                }
                None => Incoming::Closed { code: None, reason: Bytes::new() },
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Incoming::Alive,
            Some(Err(error)) => Incoming::Broken(websocket_fault(&error)),
            None => Incoming::Broken(IoFault::Reset),
        })
    }

    /// Sends a text message, or as much of it as the peer takes now; the rest goes when the peer reads.
    ///
    /// # Errors
    /// [`IoFault::Backlog`] once more than [`MAX_UNSENT_BYTES`] are held back, else what broke.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, text: &[u8]) -> Result<(), IoFault> {
        if self.unsent.saturating_add(text.len()) > MAX_UNSENT_BYTES {
            return Err(IoFault::Backlog);
        }
        self.scratch.extend_from_slice(text);
        let payload = self.scratch.split().freeze();
        // A frame instead of a text message: the machines write UTF-8, it need not be checked again.
        self.write(cx, Message::Frame(Frame::message(payload, OpCode::Data(Data::Text), true)), text.len())
    }

    /// Sends a ping.
    pub(crate) fn ping(&mut self, cx: &mut Context<'_>) -> Result<(), IoFault> {
        self.write(cx, Message::Ping(Bytes::new()), 0)
    }

    fn write(&mut self, cx: &mut Context<'_>, message: Message, bytes: usize) -> Result<(), IoFault> {
        let Some(stream) = &mut self.stream else { return Err(IoFault::Reset) };
        // The first poll takes the message in, because the library's own buffer is larger (`limits`) than what
        // is ever left unsent, and is therefore ready; what is left to wait for is the flush, which need not be this future's.
        match pin!(stream.send(message)).poll(cx) {
            Poll::Ready(Ok(())) => self.unsent = 0,
            Poll::Ready(Err(error)) => return Err(websocket_fault(&error)),
            Poll::Pending => self.unsent = self.unsent.saturating_add(bytes).max(1),
        }
        Ok(())
    }

    /// Writes what is held back. The library offers a bare flush only through its byte writer.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), IoFault> {
        let Some(stream) = self.stream.take() else { return Err(IoFault::Reset) };
        let mut writer = ByteWriter::new(stream);
        let flushed = Pin::new(&mut writer).poll_flush(cx);
        self.stream = Some(writer.into_inner());
        match flushed {
            Poll::Ready(Ok(())) => self.unsent = 0,
            Poll::Ready(Err(error)) => return Err(crate::socket::fault(&error)),
            Poll::Pending => {}
        }
        Ok(())
    }

    /// The first thing that the peer says.
    pub async fn greeting(&mut self) -> Greeting {
        loop {
            match poll_fn(|cx| self.poll_incoming(cx)).await {
                Incoming::Alive => {}
                other => return Greeting::Said(other),
            }
        }
    }

    /// Says goodbye and waits for the peer to say it too, however long that takes; see [`CLOSE_TIMEOUT`]. To be run in
    /// the background.
    pub async fn close(self, code: u16, reason: &str) {
        let Some(mut stream) = self.stream else { return };
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        if stream.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = stream.next().await {}
        }
    }
}
