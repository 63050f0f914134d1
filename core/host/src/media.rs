//! The ports for media, and what every media socket has to mind.

use ari_bridge_core::call::IoFault;
use ari_bridge_core::config::RtpConfig;
use ari_bridge_core::ports::PortPool;
use ari_bridge_core::rtp::MAX_DATAGRAM_BYTES;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use crate::clock::Clock;
use crate::{lock, socket};

/// What a datagram is received into: one byte more than is looked at, so that a longer one is known as such.
pub type Datagram = Box<[u8; MAX_DATAGRAM_BYTES + 1]>;

/// An empty [`Datagram`].
#[must_use]
pub fn datagram() -> Datagram {
    Box::new([0; MAX_DATAGRAM_BYTES + 1])
}

/// A socket bound to a port of the range, not blocking, and the right to that port.
#[derive(Debug)]
pub struct Bound {
    /// The socket.
    pub socket: UdpSocket,
    /// Where it is bound.
    pub local: SocketAddr,
    /// To be dropped after the socket.
    pub lease: Lease,
}

/// A port of the range that nobody else takes as long as this lives, and for a while after.
#[derive(Debug)]
pub struct Lease {
    ports: Arc<Mutex<State>>,
    port: u16,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let State { pool, clock } = &mut *lock(&self.ports);
        pool.release(self.port, clock.tick());
    }
}

/// All ports of the range.
#[derive(Debug)]
pub(crate) struct Ports {
    ip: IpAddr,
    state: Arc<Mutex<State>>,
}

/// The ports, and the clock by which they rest.
#[derive(Debug)]
struct State {
    pool: PortPool,
    clock: Clock,
}

impl Ports {
    pub(crate) fn new(config: &RtpConfig) -> Self {
        let pool = PortPool::new(config.port_start, config.port_end);
        Self { ip: config.bind, state: Arc::new(Mutex::new(State { pool, clock: Clock::start() })) }
    }

    /// Binds a socket to a free port. One that is free here but not in the system belongs to another program: it is
    /// passed over, and `busy` is told.
    pub(crate) fn bind(&self, busy: impl Fn()) -> Result<Bound, IoFault> {
        let State { pool, clock } = &mut *lock(&self.state);
        let now = clock.tick();
        while let Some(port) = pool.next(now) {
            let local = SocketAddr::new(self.ip, port);
            match UdpSocket::bind(local).and_then(|socket| socket.set_nonblocking(true).map(|()| socket)) {
                Ok(socket) => {
                    pool.taken(port);
                    return Ok(Bound { socket, local, lease: Lease { ports: self.state.clone(), port } });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    pool.busy(port);
                    busy();
                }
                Err(error) => {
                    pool.unused(port);
                    return Err(socket::fault(&error));
                }
            }
        }
        Err(IoFault::NoPort)
    }
}

/// `to` as a socket that is bound to `local` can reach it: an IPv6 socket wants an IPv4 address written as an IPv6 one
/// (RFC 4291 §2.5.5.2).
#[must_use]
pub fn as_seen_from(local: SocketAddr, mut to: SocketAddr) -> SocketAddr {
    if let (true, IpAddr::V4(v4)) = (local.is_ipv6(), to.ip()) {
        to.set_ip(v4.to_ipv6_mapped().into());
    }
    to
}

/// What an error of receiving means for the socket; `None` if it is as good as before. An ICMP answer to something
/// sent comes out here: the peer's port is not open yet, or not any more.
#[must_use]
pub fn receive_fault(error: &io::Error) -> Option<IoFault> {
    let harmless = [io::ErrorKind::ConnectionRefused, io::ErrorKind::Interrupted];
    (!harmless.contains(&error.kind())).then(|| socket::fault(error))
}
