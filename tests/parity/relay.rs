//! Something between the bridge and Asterisk that passes everything on, until it stops in the middle of a word.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often a connection that is silent looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The beginning of a text of 1024 bytes (RFC 6455 §5.2), and two of those bytes.
const HALF_A_FRAME: [u8; 6] = [0x81, 126, 0x04, 0x00, b'{', b'"'];

/// A running relay.
pub(crate) struct Relay {
    url: String,
    /// Of each connection that carries events: whether it has stopped.
    events: Arc<Mutex<Vec<Arc<AtomicBool>>>>,
}

impl Relay {
    /// Stands before the server at `url`.
    pub(crate) fn before(url: &str) -> Self {
        let server = url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let events = Arc::<Mutex<Vec<_>>>::default();
        let told = events.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (server, told) = (server.clone(), told.clone());
                std::thread::spawn(move || pass_on(client, &server, &told));
            }
        });
        Self { url, events }
    }

    /// What the bridge is told as the address of Asterisk.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sends half a frame of an event on the event sockets that are open, and nothing more, either way. They stay
    /// open; new ones are passed on.
    pub(crate) fn stop_in_the_middle(&self) {
        for stopped in self.events.lock().unwrap().drain(..) {
            stopped.store(true, Ordering::Release);
        }
    }
}

/// Passes a connection on in both directions, to its end.
fn pass_on(mut client: TcpStream, server: &str, events: &Mutex<Vec<Arc<AtomicBool>>>) {
    let mut head = vec![0; 4096];
    let Ok(n) = client.read(&mut head) else { return };
    let Ok(mut server) = TcpStream::connect(server) else { return };
    let stopped = Arc::new(AtomicBool::new(false));
    if head.starts_with(b"GET /ari/events") {
        events.lock().unwrap().push(stopped.clone());
    }
    if server.write_all(&head[..n]).is_err() {
        return;
    }
    let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let up = stopped.clone();
    let upward = std::thread::spawn(move || pump(from_client, to_server, &up));
    pump(server, client.try_clone().unwrap(), &stopped);
    if !stopped.load(Ordering::Acquire) {
        let _ = client.shutdown(Shutdown::Both);
    }
    let _ = upward.join();
    if stopped.load(Ordering::Acquire) && client.write_all(&HALF_A_FRAME).is_ok() {
        // The bridge ends it.
        client.set_read_timeout(None).unwrap();
        while client.read(&mut head).is_ok_and(|n| n > 0) {}
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, stopped: &AtomicBool) {
    let mut buffer = vec![0; 16 * 1024];
    from.set_read_timeout(Some(LOOK_EVERY)).unwrap();
    while !stopped.load(Ordering::Acquire) {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                if to.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    if !stopped.load(Ordering::Acquire) {
        let _ = to.shutdown(Shutdown::Write);
    }
}
