//! What listeners of `/metrics`, `/healthz`, `/readyz` and `/captures` have in common.

use ari_bridge_core::admin::Asker;
use ari_bridge_core::http::{self, Parse};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::shared::Shared;

/// How many connections are served at once; further ones are closed.
pub const MAX_CONNECTIONS: usize = 32;

/// How long a request and its answer may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the listener rests after an error, such as no file descriptor being free.
pub const AFTER_ERROR: Duration = Duration::from_millis(100);

/// A listener that does not block.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// One request as it comes in.
#[derive(Debug)]
pub struct Exchange {
    received: Vec<u8>,
    is_local: bool,
}

impl Exchange {
    /// One that comes from this address.
    #[must_use]
    pub fn from(peer: SocketAddr) -> Self {
        Self { received: Vec::new(), is_local: peer.ip().to_canonical().is_loopback() }
    }

    /// Takes in what was received, and tells the answer once there is one. It says that the connection is closed
    /// afterwards.
    pub fn take(&mut self, received: &[u8], shared: &Shared) -> Option<Vec<u8>> {
        self.received.extend_from_slice(received);
        match http::parse(&self.received) {
            Parse::Incomplete => None,
            Parse::Request { request, .. } => {
                let asker = Asker { is_local: self.is_local, is_page: request.header("origin").is_some() };
                Some(shared.respond(request.method, request.target, asker))
            }
            Parse::Bad(why) => {
                let mut answer = Vec::new();
                http::write_response(400, "text/plain", why.as_bytes(), false, &mut answer);
                Some(answer)
            }
        }
    }
}
