//! The listener of `/metrics`, `/healthz` and `/readyz`.

use ari_bridge_core::http::{self, Parse};
use smol::Async;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::shared::Shared;

/// How many connections are served at once; further ones are closed.
const MAX_CONNECTIONS: usize = 32;

/// How long a request and its answer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the listener rests after an error, such as no file descriptor being free.
const AFTER_ERROR: Duration = Duration::from_millis(100);

pub(crate) fn bind(address: SocketAddr) -> io::Result<Async<TcpListener>> {
    Async::<TcpListener>::bind(address)
}

/// Serves until it is dropped.
pub(crate) async fn serve(listener: Async<TcpListener>, shared: Arc<Shared>) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            smol::Timer::after(AFTER_ERROR).await;
            continue;
        };
        if open.load(Ordering::Relaxed) >= MAX_CONNECTIONS {
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (open, shared_for_task) = (open.clone(), shared.clone());
        let task = async move {
            // A peer that goes away or is too slow is not worth a line.
            let _ = converse(stream, &shared_for_task).await;
            open.fetch_sub(1, Ordering::Relaxed);
        };
        shared.spawn(task);
    }
}

async fn converse(mut stream: Async<TcpStream>, shared: &Shared) -> io::Result<()> {
    let exchange = async {
        let answer = answer(&mut stream, shared).await?;
        stream.write_all(&answer).await
    };
    let late = async {
        smol::Timer::after(REQUEST_TIMEOUT).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    smol::future::or(exchange, late).await
}

/// Reads one request; what it is answered says that the connection is closed afterwards.
async fn answer(stream: &mut Async<TcpStream>, shared: &Shared) -> io::Result<Vec<u8>> {
    let (mut received, mut chunk) = (Vec::new(), [0; 1024]);
    loop {
        match http::parse(&received) {
            Parse::Incomplete => {}
            Parse::Request { request, .. } => return Ok(shared.respond(request.method, request.target)),
            Parse::Bad(why) => {
                let mut answer = Vec::new();
                http::write_response(400, "text/plain", why.as_bytes(), false, &mut answer);
                return Ok(answer);
            }
        }
        match stream.read(&mut chunk).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => received.extend_from_slice(chunk.get(..n).unwrap_or_default()),
        }
    }
}
