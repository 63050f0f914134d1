//! From a target to an open WebSocket.

use ari_bridge_core::call::IoFault;
use ari_bridge_host::link::Attempt;
use ari_bridge_host::socket::{ADDRESS_TIMEOUT, OPEN_TIMEOUT, OpenError, Target, establish};
use ari_bridge_host::{CLOSE_TIMEOUT, GREETING_TIMEOUT, Greeting, WebSocket};
use smol::Async;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use crate::tasks::within;

/// Opens a WebSocket, in the time that this may take.
pub(crate) fn open(target: Arc<Target>) -> Attempt {
    Box::pin(async move { open_in_time(&target).await })
}

async fn open_in_time(target: &Target) -> Result<WebSocket, OpenError> {
    let opening = async { establish(target, connect(target.first_hop()).await?).await };
    within(OPEN_TIMEOUT, opening).await.unwrap_or(Err(OpenError::Fault(IoFault::TimedOut)))
}

/// Connects to the first address of a host that answers.
async fn connect((host, port): (&str, u16)) -> Result<Async<TcpStream>, OpenError> {
    let addresses = smol::net::resolve((host, port)).await.map_err(|_| OpenError::Fault(IoFault::Resolve))?;
    let mut last = OpenError::Fault(IoFault::Resolve);
    for address in addresses {
        let connected = within(ADDRESS_TIMEOUT, Async::<TcpStream>::connect(address)).await;
        match connected.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                // A frame of 20 ms must not wait for the acknowledgement of the one before it.
                stream.get_ref().set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

/// Says goodbye, in the time that this may take.
pub(crate) async fn close(socket: WebSocket, code: u16) {
    let _ = within(CLOSE_TIMEOUT, socket.close(code, "")).await;
}

/// Opens a WebSocket and waits for the first thing that is said on it.
pub(crate) fn greet(target: &Target) -> Greeting {
    smol::block_on(async {
        let mut socket = match open_in_time(target).await {
            Ok(socket) => socket,
            Err(error) => return Greeting::Refused(error),
        };
        let greeting = within(GREETING_TIMEOUT, socket.greeting()).await.unwrap_or(Greeting::Nothing);
        close(socket, 1000).await;
        greeting
    })
}
