//! The listener of `/metrics`, `/healthz`, `/readyz` and `/captures`.

use ari_bridge_host::Shared;
use ari_bridge_host::admin::{AFTER_ERROR, Exchange, MAX_CONNECTIONS, REQUEST_TIMEOUT};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use crate::tasks::{Tasks, within};

/// Serves until it is dropped.
pub(crate) async fn serve(listener: Async<TcpListener>, tasks: Tasks) {
    // One strong reference for each connection that is open, and this one.
    let open = Arc::new(());
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            Timer::after(AFTER_ERROR).await;
            continue;
        };
        if Arc::strong_count(&open) > MAX_CONNECTIONS {
            continue;
        }
        let (open, its_tasks) = (open.clone(), tasks.clone());
        tasks.spawn(async move {
            // A peer that goes away or is too slow is not worth a line.
            let _ = within(REQUEST_TIMEOUT, converse(stream, peer, its_tasks.shared())).await;
            drop(open);
        });
    }
}

async fn converse(mut stream: Async<TcpStream>, peer: SocketAddr, shared: &Shared) -> io::Result<()> {
    let (mut exchange, mut chunk) = (Exchange::from(peer), [0; 1024]);
    loop {
        let n = stream.read(&mut chunk).await?;
        let received = chunk.get(..n).unwrap_or_default();
        if let Some(answer) = exchange.take(received, shared) {
            return stream.write_all(&answer).await;
        }
        if n == 0 {
            return Ok(());
        }
    }
}
