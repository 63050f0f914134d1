//! What listeners of `/metrics`, `/healthz` and `/readyz` have in common.

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
#[derive(Debug, Default)]
pub struct Exchange(Vec<u8>);

impl Exchange {
    /// Takes in what was received, and tells the answer once there is one. It says that the connection is closed
    /// afterwards.
    pub fn take(&mut self, received: &[u8], shared: &Shared) -> Option<Vec<u8>> {
        self.0.extend_from_slice(received);
        match http::parse(&self.0) {
            Parse::Incomplete => None,
            Parse::Request { request, .. } => Some(shared.respond(request.method, request.target)),
            Parse::Bad(why) => {
                let mut answer = Vec::new();
                http::write_response(400, "text/plain", why.as_bytes(), false, &mut answer);
                Some(answer)
            }
        }
    }
}
