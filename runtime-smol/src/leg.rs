//! A media socket of a call.

use ari_bridge_core::call::IoFault;
use ari_bridge_core::id::LegId;
use ari_bridge_core::rtp::MAX_DATAGRAM_BYTES;
use smol::Async;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::task::{Context, Poll};

use crate::shared::Lease;
use crate::socket::fault;

/// What a datagram is received into: one byte more than is looked at, so that a longer one is known as such.
pub(crate) type Datagram = Box<[u8; MAX_DATAGRAM_BYTES + 1]>;

/// A bound UDP socket.
pub(crate) struct Leg {
    pub(crate) id: LegId,
    socket: Async<UdpSocket>,
    /// Whether an IPv4 address has to be written as an IPv6 one (RFC 4291 §2.5.5.2).
    is_v6: bool,
    /// Given back after the socket is closed: fields are dropped in their order.
    _lease: Lease,
}

impl Leg {
    pub(crate) fn new(id: LegId, socket: Async<UdpSocket>, lease: Lease) -> Self {
        let is_v6 = socket.get_ref().local_addr().is_ok_and(|local| local.is_ipv6());
        Self { id, socket, is_v6, _lease: lease }
    }

    /// Sends now or not at all: when the system has no room, a frame that waits would only be late.
    pub(crate) fn send(&self, mut to: SocketAddr, datagram: &[u8]) {
        if let (true, IpAddr::V4(v4)) = (self.is_v6, to.ip()) {
            to.set_ip(v4.to_ipv6_mapped().into());
        }
        if let Err(error) = self.socket.get_ref().send_to(datagram, to) {
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
                // An ICMP answer to something sent: the peer's port is not open yet, or not any more.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionRefused | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Poll::Ready(Err(fault(&error))),
            }
        }
    }
}
