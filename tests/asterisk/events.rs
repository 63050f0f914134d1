//! Asterisk's events, as it sends them: a WebSocket of the harness beside the bridge's.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, spawn};
use std::time::Instant;

use serde_json::Value;

use crate::pbx::{ARI_PASSWORD, ARI_USER, Pbx};
use crate::process::Outcome;

/// Reads events until it is dropped.
pub(crate) struct Watch {
    stream: TcpStream,
    events: Arc<Mutex<Vec<(Instant, Value)>>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Subscribes to all events of all channels, under the name of an application that gets no call.
    pub(crate) fn start(pbx: &Pbx) -> Outcome<Self> {
        Self::start_as(pbx, "harness&subscribeAll=true")
    }

    /// Takes the events of this application.
    pub(crate) fn start_as(pbx: &Pbx, app: &str) -> Outcome<Self> {
        let fault = |e: std::io::Error| format!("the harness' event socket: {e}");
        let mut stream = TcpStream::connect(("127.0.0.1", pbx.ari_port)).map_err(fault)?;
        // The key is the example of RFC 6455 §1.3: Asterisk is not on trial here.
        let request = format!(
            "GET /ari/events?app={app}&api_key={ARI_USER}:{ARI_PASSWORD} HTTP/1.1\r\n\
             Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).map_err(fault)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).map_err(fault)?;
            head.extend(byte);
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(format!("the harness' event socket: {}", String::from_utf8_lossy(&head)));
        }
        let events = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, noted) = (stream.try_clone().map_err(fault)?, events.clone());
        let thread = spawn(move || {
            while let Some(text) = message(&mut reader) {
                if let Ok(event) = serde_json::from_slice(&text) {
                    noted.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), event));
                }
            }
        });
        Ok(Self { stream, events, thread: Some(thread) })
    }

    /// The events of this type so far.
    pub(crate) fn of_type(&self, kind: &str) -> Vec<Value> {
        self.timed(kind).into_iter().map(|(_, event)| event).collect()
    }

    /// The same, with the times at which they came.
    pub(crate) fn timed(&self, kind: &str) -> Vec<(Instant, Value)> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|(_, event)| event["type"] == kind).cloned().collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The payload of the next frame (RFC 6455 §5.2); Asterisk does not fragment, and a server does not mask.
fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let length = match head[1] {
        126 => {
            let mut bytes = [0; 2];
            stream.read_exact(&mut bytes).ok()?;
            u64::from(u16::from_be_bytes(bytes))
        }
        127 => {
            let mut bytes = [0; 8];
            stream.read_exact(&mut bytes).ok()?;
            u64::from_be_bytes(bytes)
        }
        length => u64::from(length),
    };
    let mut payload = Vec::new();
    stream.take(length).read_to_end(&mut payload).ok()?;
    (payload.len() as u64 == length).then_some(payload)
}
