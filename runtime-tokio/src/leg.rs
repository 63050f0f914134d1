//! A media socket of a call.

use ari_bridge_core::call::IoFault;
use ari_bridge_core::id::LegId;
use ari_bridge_host::media::{Bound, Datagram, Lease, as_seen_from, receive_fault};
use ari_bridge_host::socket::fault;
use socket2::SockRef;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// A bound UDP socket.
pub(crate) struct Leg {
    pub(crate) id: LegId,
    pub(crate) local: SocketAddr,
    socket: UdpSocket,
    /// Given back after the socket is closed: fields are dropped in their order.
    _lease: Lease,
}

impl Leg {
    /// Gives the socket to the runtime that this is called in.
    pub(crate) fn new(id: LegId, Bound { socket, local, lease }: Bound) -> Result<Self, IoFault> {
        let socket = UdpSocket::from_std(socket).map_err(|error| fault(&error))?;
        Ok(Self { id, local, socket, _lease: lease })
    }

    /// Sends now or not at all: when the system has no room, a frame that waits would only be late. It goes past the
    /// runtime, which sends nothing before it was told that it may.
    pub(crate) fn send(&self, to: SocketAddr, datagram: &[u8]) {
        let to = as_seen_from(self.local, to).into();
        if let Err(error) = SockRef::from(&self.socket).send_to(datagram, &to) {
            tracing::debug!("a packet could not be sent: {error}");
        }
    }

    /// Receives into `buffer`: how many bytes, and from whom.
    pub(crate) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut Datagram,
    ) -> Poll<Result<(usize, SocketAddr), IoFault>> {
        let mut room = ReadBuf::new(&mut buffer[..]);
        loop {
            match ready!(self.socket.poll_recv_from(cx, &mut room)) {
                Ok(from) => return Poll::Ready(Ok((room.filled().len(), from))),
                Err(error) => {
                    if let Some(fault) = receive_fault(&error) {
                        return Poll::Ready(Err(fault));
                    }
                }
            }
        }
    }
}
