//! Asterisk and a Realtime server on loopback: the sans-I/O machines of `ari_bridge_core::sim` behind real
//! sockets, each on a thread of its own.
//!
//! ```no_run
//! let asterisk = ari_bridge_smol::standin::serve_asterisk(Default::default()).unwrap();
//! asterisk.dial(1, "+4930123456", "100");
//! ```

mod asterisk;
mod realtime;
#[cfg(test)]
mod tests;

pub use asterisk::{AsteriskServer, CallerSeen, serve_asterisk};
pub use realtime::{Answered, RealtimeSeen, RealtimeServer, parrot, serve_realtime};

use ari_bridge_core::http::{self, Parse, Request};
use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::Role;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Executor};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::socket::{Stream, limits};
use crate::websocket::WebSocket;

/// A server's thread. It stops when this is dropped.
#[derive(Debug)]
struct Server {
    address: SocketAddr,
    stop: Option<smol::channel::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Server {
    /// Listens on any free port of loopback, and gives each connection to `serve`.
    fn start<F, C>(name: &str, executor: Arc<Executor<'static>>, serve: F) -> io::Result<Self>
    where
        F: Fn(Async<TcpStream>) -> C + Send + 'static,
        C: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.get_ref().local_addr()?;
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        // Not a strong reference: the executor owns its tasks, and ends them when the server is dropped.
        let spawner = Arc::downgrade(&executor);
        let accept = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.get_ref().set_nodelay(true);
                let conversation = serve(stream);
                // A client that goes away is not worth a line.
                let Some(executor) = spawner.upgrade() else { break };
                executor.spawn(async move { drop(conversation.await) }).detach();
            }
        };
        let main = move || {
            let accepting = executor.spawn(accept);
            let _ = smol::block_on(executor.run(stopped.recv()));
            drop(accepting);
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(main)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }
}

/// Reads one whole request into `received`, and tells how long it is; `None` if the client is gone or talks
/// nonsense.
async fn read_request(stream: &mut Async<TcpStream>, received: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut chunk = [0; 4096];
    loop {
        match http::parse(received) {
            Parse::Incomplete => {}
            Parse::Request { consumed, .. } => return Ok(Some(consumed)),
            Parse::Bad(_) => return Ok(None),
        }
        match stream.read(&mut chunk).await? {
            0 => return Ok(None),
            n => received.extend_from_slice(chunk.get(..n).unwrap_or_default()),
        }
    }
}

/// Answers a request without upgrading.
async fn answer(stream: &mut Async<TcpStream>, status: u16, body: &[u8], keep_alive: bool) -> io::Result<()> {
    stream.write_all(&response(status, body, keep_alive)).await
}

fn response(status: u16, body: &[u8], keep_alive: bool) -> Vec<u8> {
    let mut response = Vec::new();
    let kind = if body.is_empty() { "" } else { "application/json" };
    http::write_response(status, kind, body, keep_alive, &mut response);
    response
}

/// The key of an upgrade, made into its acceptance (RFC 6455 §4.2.2).
fn acceptance(request: &Request<'_>) -> String {
    derive_accept_key(request.header("Sec-WebSocket-Key").unwrap_or_default().as_bytes())
}

/// Completes an upgrade; `rest` is what came after the request.
async fn upgrade(mut stream: Async<TcpStream>, acceptance: &str, rest: Vec<u8>) -> io::Result<WebSocket> {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {acceptance}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let stream: Box<dyn Stream> = Box::new(stream);
    let socket = WebSocketStream::from_partially_read(stream, rest, Role::Server, Some(limits())).await;
    Ok(WebSocket::new(socket))
}

/// The path and the query of a request.
fn target(request: &Request<'_>) -> String {
    let mark = if request.query.is_empty() { "" } else { "?" };
    format!("{}{mark}{}", request.target, request.query)
}

/// What is to be done with a WebSocket.
#[derive(Debug)]
enum Outgoing {
    Text(Vec<u8>),
    Close(u16, String),
}

/// A panic of another thread leaves a machine as it was after its last whole step, which is good enough here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
