//! A media socket of a call.

use ari_bridge_core::call::IoFault;
use ari_bridge_core::id::LegId;
use ari_bridge_host::media::{Bound, Datagram, Lease, as_seen_from, receive_fault};
use ari_bridge_host::socket::fault;
use smol::Async;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::task::{Context, Poll};

/// A bound UDP socket.
pub(crate) struct Leg {
    pub(crate) id: LegId,
    pub(crate) local: SocketAddr,
    socket: Async<UdpSocket>,
    /// Given back after the socket is closed: fields are dropped in their order.
    _lease: Lease,
}

impl Leg {
    /// Gives the socket to the reactor.
    pub(crate) fn new(id: LegId, bound: Bound) -> Result<Self, IoFault> {
        let socket = Async::new_nonblocking(bound.socket).map_err(|error| fault(&error))?;
        Ok(Self { id, local: bound.local, socket, _lease: bound.lease })
    }

    /// Sends now or not at all: when the system has no room, a frame that waits would only be late.
    pub(crate) fn send(&self, to: SocketAddr, datagram: &[u8]) {
        if let Err(error) = self.socket.get_ref().send_to(datagram, as_seen_from(self.local, to)) {
            tracing::debug!("a packet could not be sent: {error}");
        }
    }

    /// Receives into `buffer`: how many bytes, and from whom.
    pub(crate) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut Datagram,
    ) -> Poll<Result<(usize, SocketAddr), IoFault>> {
        loop {
            match self.socket.get_ref().recv_from(&mut buffer[..]) {
                Ok(received) => return Poll::Ready(Ok(received)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.socket.poll_readable(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Err(error) => {
                    if let Some(fault) = receive_fault(&error) {
                        return Poll::Ready(Err(fault));
                    }
                }
            }
        }
    }
}
