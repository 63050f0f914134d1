//! The thread of a server: one loop for everything that can be read or written, and for the next deadline.

use ari_bridge_core::http::Request;
use polling::{Events, Poller};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::mem;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use super::http::{Answer, Http};
use super::socket::Socket;
use super::watched::Watched;

/// How much is taken from one socket before it is the turn of the others: messages, datagrams or new connections.
pub(super) const BUDGET: usize = 32;

/// How the poller names the listener; then come the ports for media and the connections.
const LISTENER: u64 = 0;

/// What a server does about what happens at its sockets. It names connections by numbers that are not used twice.
pub(super) trait Service: Send + 'static {
    /// A request came. Until it is answered nothing more is read from the connection.
    fn request(&mut self, id: u64, request: &Request<'_>);

    /// A message came on a WebSocket.
    fn message(&mut self, id: u64, text: &[u8]);

    /// A WebSocket is over that no order has closed; `code` is with what the client did so, if it did.
    fn closed(&mut self, id: u64, code: Option<u16>);

    /// A datagram came for this port.
    fn datagram(&mut self, _local_port: u16, _from: SocketAddr, _bytes: &[u8]) {}

    /// Does what is due, adds what the connections are to do since the last time, and says when to come back.
    fn turn(&mut self, orders: &mut Vec<(u64, Order)>) -> Option<Instant>;

    /// Until when nothing is read, written or closed, and nothing is done, if that is not over.
    fn vanished_until(&self) -> Option<Instant> {
        None
    }
}

/// What a connection is to do. One that is gone, or not so far, does nothing.
#[derive(Debug)]
pub(super) enum Order {
    /// Answer the request.
    Answer(Answer),
    /// Answer it by becoming a WebSocket.
    Upgrade,
    /// Send a text message.
    Text(Vec<u8>),
    /// Close the WebSocket.
    Close(u16, String),
    /// Break in the middle of a message.
    Break,
}

/// A server's thread. It stops when this is dropped, and all its sockets are closed.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    poller: Arc<Poller>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on any free port of loopback, and lets `service` see to what comes there and on the `media` ports.
    pub(super) fn start<'a>(
        name: &str,
        media: impl IntoIterator<Item = (&'a u16, &'a Arc<UdpSocket>)>,
        service: impl Service,
    ) -> io::Result<Self> {
        let poller = Arc::new(Poller::new()?);
        let mut listener = Watched::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, &poller, LISTENER)?;
        listener.arm(true, false, true)?;
        let address = listener.socket().local_addr()?;
        let (mut ports, mut last_id) = (BTreeMap::new(), LISTENER);
        for (port, socket) in media {
            last_id += 1;
            let mut socket = Watched::new(socket.clone(), &poller, last_id)?;
            socket.arm(true, false, true)?;
            ports.insert(last_id, (*port, socket));
        }
        let stopped = Arc::<AtomicBool>::default();
        let connections = Connections {
            poller: poller.clone(),
            stopped: stopped.clone(),
            listener,
            media: ports,
            last_id,
            open: BTreeMap::new(),
            ready: BTreeSet::new(),
            service,
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || connections.run())?;
        Ok(Self { address, poller, stopped, thread: Some(thread) })
    }

    /// Lets the service have its turn, because another thread has given it something to do.
    pub(super) fn wake(&self) {
        let _ = self.poller.notify();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Connections<S> {
    poller: Arc<Poller>,
    stopped: Arc<AtomicBool>,
    listener: Watched<TcpListener>,
    media: BTreeMap<u64, (u16, Watched<Arc<UdpSocket>>)>,
    last_id: u64,
    open: BTreeMap<u64, Connection>,
    /// Whom the poller has told of, and who has more than was taken at its last turn.
    ready: BTreeSet<u64>,
    service: S,
}

enum Connection {
    Http(Http),
    Socket(Box<Socket>),
}

impl<S: Service> Connections<S> {
    fn run(mut self) {
        let mut events = Events::new();
        while !self.stopped.load(Ordering::Acquire) {
            // The poller tells of each socket once, so that a server that has vanished sleeps while clients send.
            let deadline = match self.service.vanished_until() {
                Some(until) => Some(until),
                None => self.turn(),
            };
            events.clear();
            let waited = match deadline {
                Some(deadline) => self.poller.wait_deadline(&mut events, deadline),
                None => self.poller.wait(&mut events, None),
            };
            if let Err(error) = waited {
                tracing::error!("a stand-in ends: {error}");
                return;
            }
            self.ready.extend(events.iter().map(|event| event.key as u64));
        }
    }

    /// Sees to every socket that is ready, then to what is due, and says when to come back.
    fn turn(&mut self) -> Option<Instant> {
        for key in mem::take(&mut self.ready) {
            if key == LISTENER {
                self.accept();
            } else if self.media.contains_key(&key) {
                self.receive(key);
            } else if let Some(connection) = self.open.remove(&key) {
                let left = connection.turn(key, &mut self.service);
                self.keep(key, left, true);
            }
        }
        let mut orders = Vec::new();
        let due = loop {
            let due = self.service.turn(&mut orders);
            if orders.is_empty() {
                break due;
            }
            for (id, order) in orders.drain(..) {
                if let Some(connection) = self.open.remove(&id) {
                    let left = connection.obey(order, id, &mut self.service);
                    self.keep(id, left, false);
                }
            }
        };
        let now = Instant::now();
        self.open.retain(|_, connection| connection.until().is_none_or(|until| until > now));
        let given_up = self.open.values().filter_map(Connection::until).min();
        let more = (!self.ready.is_empty()).then_some(now);
        [due, given_up, more].into_iter().flatten().min()
    }

    /// Keeps what is left of a connection; `anew` if the poller may have told of it.
    fn keep(&mut self, id: u64, left: Option<Connection>, anew: bool) {
        let Some(mut connection) = left else { return };
        if connection.arm(anew).is_ok() {
            if connection.has_more() {
                self.ready.insert(id);
            }
            self.open.insert(id, connection);
        }
    }

    fn accept(&mut self) {
        for _ in 0..BUDGET {
            match self.listener.socket().accept() {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    self.last_id += 1;
                    let stream = Watched::new(stream, &self.poller, self.last_id);
                    let connection = stream.ok().map(|stream| Connection::Http(Http::new(stream)));
                    self.keep(self.last_id, connection, true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    tracing::error!("a stand-in takes no more connections: {error}");
                    return;
                }
            }
        }
        let _ = self.listener.arm(true, false, true);
    }

    fn receive(&mut self, key: u64) {
        let Some((port, socket)) = self.media.get_mut(&key) else { return };
        let mut buffer = [0; 2048];
        for _ in 0..BUDGET {
            // An error is that of a datagram sent before, to which nobody listened.
            match socket.socket().recv_from(&mut buffer) {
                Ok((n, from)) => {
                    self.service.datagram(*port, from, buffer.get(..n).unwrap_or_default());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {}
            }
        }
        let _ = socket.arm(true, false, true);
    }
}

impl Connection {
    fn turn(self, id: u64, service: &mut impl Service) -> Option<Self> {
        match self {
            Self::Http(http) => http.turn(id, service).map(Self::Http),
            Self::Socket(socket) => socket.turn(id, service).map(Self::socket),
        }
    }

    fn obey(self, order: Order, id: u64, service: &mut impl Service) -> Option<Self> {
        match (self, order) {
            (Self::Http(http), Order::Answer(answer)) => http.answer(&answer).map(Self::Http),
            (Self::Http(http), Order::Upgrade) => {
                let socket = http.upgrade();
                if socket.is_none() {
                    service.closed(id, None);
                }
                socket.map(Self::socket)
            }
            (Self::Socket(socket), Order::Text(text)) => socket.send(id, text, service).map(Self::socket),
            (Self::Socket(socket), Order::Close(code, reason)) => {
                socket.close(code, &reason).map(Self::socket)
            }
            (Self::Socket(socket), Order::Break) => Some(Self::socket(socket.break_off())),
            (connection, _) => Some(connection),
        }
    }

    fn socket(socket: Socket) -> Self {
        Self::Socket(Box::new(socket))
    }

    fn until(&self) -> Option<Instant> {
        match self {
            Self::Http(_) => None,
            Self::Socket(socket) => socket.until(),
        }
    }

    fn has_more(&self) -> bool {
        match self {
            Self::Http(http) => http.has_more,
            Self::Socket(socket) => socket.has_more,
        }
    }

    fn arm(&mut self, anew: bool) -> io::Result<()> {
        match self {
            Self::Http(http) => http.arm(anew),
            Self::Socket(socket) => socket.arm(anew),
        }
    }
}
