//! The listener of `/metrics`, `/healthz`, `/readyz` and `/captures`.

use ari_bridge_host::Shared;
use ari_bridge_host::admin::{AFTER_ERROR, Exchange, MAX_CONNECTIONS, REQUEST_TIMEOUT};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::tasks::{Tasks, within};

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, tasks: Tasks) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(AFTER_ERROR).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let its_tasks = tasks.clone();
        tasks.spawn(async move {
            // A peer that goes away or is too slow is not worth a line.
            let _ = within(REQUEST_TIMEOUT, converse(stream, peer, its_tasks.shared())).await;
            drop(place);
        });
    }
}

async fn converse(mut stream: TcpStream, peer: SocketAddr, shared: &Shared) -> io::Result<()> {
    let (mut exchange, mut received) = (Exchange::from(peer), Vec::with_capacity(1024));
    while stream.read_buf(&mut received).await? > 0 {
        if let Some(answer) = exchange.take(&received, shared) {
            return stream.write_all(&answer).await;
        }
        received.clear();
    }
    Ok(())
}
