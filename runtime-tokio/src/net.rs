//! From a target to an open WebSocket.

use ari_bridge_core::call::IoFault;
use ari_bridge_host::link::Attempt;
use ari_bridge_host::socket::{ADDRESS_TIMEOUT, OPEN_TIMEOUT, OpenError, Target, establish};
use ari_bridge_host::{CLOSE_TIMEOUT, GREETING_TIMEOUT, Greeting, WebSocket};
use async_tungstenite::tokio::TokioAdapter;
use std::io;
use std::sync::Arc;
use tokio::net::{TcpStream, lookup_host};

use crate::service::own_thread;
use crate::tasks::within;

/// Opens a WebSocket, in the time that this may take.
pub(crate) fn open(target: Arc<Target>) -> Attempt {
    Box::pin(async move { open_in_time(&target).await })
}

async fn open_in_time(target: &Target) -> Result<WebSocket, OpenError> {
    let (host, port) = target.first_hop();
    let opening = async {
        let tcp = connect(host, port).await?;
        establish(target, TokioAdapter::new(tcp)).await
    };
    within(OPEN_TIMEOUT, opening).await.unwrap_or(Err(OpenError::Fault(IoFault::TimedOut)))
}

/// Connects to the first address of a host that answers.
async fn connect(host: &str, port: u16) -> Result<TcpStream, OpenError> {
    let mut last = OpenError::Fault(IoFault::Resolve);
    let Ok(addresses) = lookup_host((host, port)).await else { return Err(last) };
    for address in addresses {
        last = match within(ADDRESS_TIMEOUT, TcpStream::connect(address)).await {
            Some(Ok(stream)) => {
                // A frame of 20 ms must not wait for the acknowledgement of the one before it.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Some(Err(error)) => error.into(),
            None => io::Error::from(io::ErrorKind::TimedOut).into(),
        };
    }
    Err(last)
}

/// Says goodbye, in the time that this may take.
pub(crate) async fn close(socket: WebSocket, code: u16) {
    let _ = within(CLOSE_TIMEOUT, socket.close(code, "")).await;
}

/// Opens a WebSocket and waits for the first thing that is said on it.
pub(crate) fn greet(target: &Target) -> Greeting {
    let Ok(runtime) = own_thread() else { return Greeting::Refused(OpenError::Fault(IoFault::Other)) };
    runtime.block_on(async {
        match open_in_time(target).await {
            Err(error) => Greeting::Refused(error),
            Ok(mut socket) => {
                let greeting = within(GREETING_TIMEOUT, socket.greeting()).await;
                close(socket, 1000).await;
                greeting.unwrap_or(Greeting::Nothing)
            }
        }
    })
}
