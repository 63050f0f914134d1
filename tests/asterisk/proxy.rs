//! What lies between the bridge and Asterisk's HTTP server, and what may go wrong there.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use crate::pbx::Pbx;
use crate::process::Outcome;

/// The first line of a request for the event socket begins so.
const EVENTS: &str = "GET /ari/events?";

/// The largest head of a request that is passed on, in bytes; Asterisk allows less.
const MAX_HEAD_BYTES: usize = 65_536;

/// How long a connection stays open after its client has gone, so that Asterisk answers a request that was held.
const LINGER: Duration = Duration::from_secs(1);

/// What happens to what goes through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// It passes.
    Pass,
    /// All connections are closed, and new ones at once.
    Cut,
    /// Nothing passes and nobody is told: connections stay open, and what comes on them is swallowed. Those that have
    /// seen this never recover, as when a firewall has forgotten them.
    HalfOpen,
}

/// A proxy in front of Asterisk's ARI, until it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    released: Condvar,
}

struct State {
    mode: Mode,
    /// Requests whose first lines begin so wait.
    held: Option<String>,
    /// How many have waited.
    waited: usize,
    /// How many event sockets were asked for.
    events: usize,
    connections: Vec<Arc<Connection>>,
    ends: bool,
}

struct Connection {
    client: TcpStream,
    /// `None` if the connection was opened while nothing passed.
    server: Option<TcpStream>,
    is_deaf: AtomicBool,
    is_over: AtomicBool,
}

impl Connection {
    fn close(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        if let Some(server) = &self.server {
            let _ = server.shutdown(Shutdown::Both);
        }
        self.is_over.store(true, Ordering::Release);
    }

    fn is_deaf(&self) -> bool {
        self.is_deaf.load(Ordering::Acquire)
    }
}

impl Proxy {
    pub(crate) fn start(pbx: &Pbx) -> Outcome<Self> {
        let fault = |e: io::Error| format!("the proxy: {e}");
        let listener = TcpListener::bind("127.0.0.1:0").map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        let target = SocketAddr::from(([127, 0, 0, 1], pbx.ari_port));
        let state = State {
            mode: Mode::Pass,
            held: None,
            waited: 0,
            events: 0,
            connections: Vec::new(),
            ends: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), released: Condvar::new() });
        let own = shared.clone();
        let thread = spawn(move || {
            for client in listener.incoming().flatten() {
                if own.state().ends {
                    return;
                }
                own.take(client, target);
            }
        });
        Ok(Self { address, shared, listener: Some(thread) })
    }

    /// The bridge's `ARI_URL`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, mode: Mode) {
        let mut state = self.shared.state();
        state.mode = mode;
        for connection in &state.connections {
            match mode {
                Mode::Cut => connection.close(),
                Mode::HalfOpen => connection.is_deaf.store(true, Ordering::Release),
                Mode::Pass => {}
            }
        }
    }

    /// Lets requests wait whose first lines begin so, until they are released.
    pub(crate) fn hold(&self, beginning: &str) {
        self.shared.state().held = Some(beginning.to_owned());
    }

    /// Lets pass what has waited.
    pub(crate) fn release(&self) {
        self.shared.state().held = None;
        self.shared.released.notify_all();
    }

    /// How many requests have waited so far.
    pub(crate) fn waited(&self) -> usize {
        self.shared.state().waited
    }

    /// How many event sockets were asked for so far.
    pub(crate) fn events(&self) -> usize {
        self.shared.state().events
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.release();
        {
            let mut state = self.shared.state();
            state.ends = true;
            state.connections.iter().for_each(|connection| connection.close());
        }
        // The listener is woken by one connection more.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.listener.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection of the bridge on, as the mode says.
    fn take(self: &Arc<Self>, client: TcpStream, target: SocketAddr) {
        let mut state = self.state();
        let server = match state.mode {
            Mode::Cut => return,
            Mode::HalfOpen => None,
            Mode::Pass => match TcpStream::connect(target) {
                Ok(server) => Some(server),
                Err(_) => return,
            },
        };
        let _ = client.set_nodelay(true);
        if let Some(server) = &server {
            let _ = server.set_nodelay(true);
        }
        let is_deaf = server.is_none();
        let connection = Arc::new(Connection {
            client,
            server,
            is_deaf: AtomicBool::new(is_deaf),
            is_over: AtomicBool::new(false),
        });
        state.connections.retain(|other| !other.is_over.load(Ordering::Acquire));
        state.connections.push(connection.clone());
        drop(state);
        if !is_deaf {
            let back = connection.clone();
            spawn(move || answers(&back));
        }
        let shared = self.clone();
        spawn(move || {
            let _ = shared.requests(&connection);
        });
    }

    /// Passes on what the bridge asks, request by request.
    fn requests(&self, connection: &Connection) -> io::Result<()> {
        let mut reader = BufReader::new(connection.client.try_clone()?);
        let mut was_held = false;
        while let Some(request) = request(&mut reader)? {
            let is_events = request.starts_with(EVENTS.as_bytes());
            was_held = self.admit(&request, is_events);
            if connection.is_over.load(Ordering::Acquire) {
                return Ok(());
            }
            if let (Some(mut server), false) = (connection.server.as_ref(), connection.is_deaf()) {
                server.write_all(&request)?;
            }
            if is_events {
                break;
            }
        }
        // The frames of an event socket, or the end of the connection.
        let mut buffer = [0; 8192];
        loop {
            let length = reader.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            if let (Some(mut server), false) = (connection.server.as_ref(), connection.is_deaf()) {
                server.write_all(&buffer[..length])?;
            }
        }
        if was_held {
            sleep(LINGER);
        }
        // Where nothing passes, Asterisk does not see the bridge go either.
        if !connection.is_deaf() {
            connection.close();
        }
        Ok(())
    }

    /// Counts a request, and waits while it is held; whether it was.
    fn admit(&self, request: &[u8], is_events: bool) -> bool {
        let mut state = self.state();
        state.events += usize::from(is_events);
        let held = |state: &State| {
            state.held.as_ref().is_some_and(|beginning| request.starts_with(beginning.as_bytes()))
        };
        let is_held = held(&state);
        state.waited += usize::from(is_held);
        while held(&state) && !state.ends {
            state = self.released.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        is_held
    }
}

/// The next request, head and body; `None` at the end of the connection.
fn request(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let (mut request, mut length) = (Vec::new(), 0);
    loop {
        let begin = request.len();
        if reader.read_until(b'\n', &mut request)? == 0 {
            return Ok(None);
        }
        if request.len() > MAX_HEAD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let line = String::from_utf8_lossy(&request[begin..]).trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        }
        if line.is_empty() {
            break;
        }
    }
    reader.take(length).read_to_end(&mut request)?;
    Ok(Some(request))
}

/// Passes on what Asterisk says.
fn answers(connection: &Connection) {
    let (Some(mut server), mut client) = (connection.server.as_ref(), &connection.client) else { return };
    let mut buffer = [0; 8192];
    while let Ok(length) = server.read(&mut buffer) {
        if length == 0 {
            break;
        }
        // Asterisk is read on even if the bridge has gone: it must not be slowed down.
        if !connection.is_deaf() {
            let _ = client.write_all(&buffer[..length]);
        }
    }
    if !connection.is_deaf() {
        connection.close();
    }
}
