//! The stand-in for the Realtime server behind WebSockets: one machine for each. What goes wrong with the session is
//! the machine's affair ([`Fault`]), what goes wrong with the connection is here.

use ari_bridge_core::http;
use ari_bridge_core::sim::Next;
use ari_bridge_core::sim::realtime::{
    Actions, Agent, Fault, Input, Output, Parrot, Realtime, Settings, check_client_message,
};
use ari_bridge_core::time::UtcNanos;
use smol::io::AsyncWriteExt;
use smol::{Async, Executor, Timer};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::mem;
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Server, acceptance, answer, lock, read_request, response, target, upgrade};
use crate::clock::{Alarm, Clock};
use crate::mailbox::{Mailbox, Post, mailbox};
use crate::websocket::{Incoming, WebSocket};

/// How many messages other than audio are kept for tests to look at.
const MAX_KEPT: usize = 1000;

/// The first bytes of a message, in which its type is looked for.
const TYPE_WITHIN: usize = 200;

/// The beginning of a text frame of 4 KiB (RFC 6455 §5.2), of which no more comes.
const HALF_A_FRAME: &[u8] = b"\x81\x7e\x10\x00{\"type\":\"response.output_audio.delta\",\"delta\":\"AAAA";

/// How long a connection that breaks is not read before: a socket that is closed with something unread sends a reset.
const UNREAD_BEFORE_BREAK: Duration = Duration::from_millis(200);

/// How upgrades are answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Answered {
    /// They succeed, and somebody is there.
    #[default]
    Served,
    /// They succeed, and nobody says anything. Pings are answered.
    Silent,
    /// They are refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `Retry-After`, in seconds.
        retry_after: Option<u64>,
        /// The body, JSON.
        body: String,
    },
}

impl Answered {
    /// A refusal with nothing but its status.
    #[must_use]
    pub const fn refused(status: u16) -> Self {
        Self::Refused { status, retry_after: None, body: String::new() }
    }
}

/// What clients did so far.
#[derive(Clone, Debug, Default)]
pub struct RealtimeSeen {
    /// Sockets that were opened.
    pub opened: u64,
    /// Who the callers are, as each socket was told; nothing where it was not.
    pub safety_identifiers: Vec<Option<String>>,
    /// `input_audio_buffer.append` events.
    pub appends: u64,
    /// Every other message, the first `MAX_KEPT` of them.
    pub messages: Vec<String>,
    /// The codes with which clients closed; `None` for a connection that broke.
    pub closed: Vec<Option<u16>>,
}

/// A running stand-in. It stops when this is dropped.
#[derive(Debug)]
pub struct RealtimeServer {
    server: Server,
    hub: Arc<Hub>,
}

/// Starts a stand-in for the Realtime server on a free port of loopback; behind each socket a new agent speaks.
///
/// # Errors
///
/// If the system gives no socket or thread.
pub fn serve_realtime<F>(settings: Settings, agent: F) -> io::Result<RealtimeServer>
where
    F: Fn() -> Box<dyn Agent> + Send + Sync + 'static,
{
    let executor: Arc<Executor<'static>> = Arc::default();
    let hub = Arc::new(Hub { settings, agent: Box::new(agent), state: Mutex::default() });
    let serving = hub.clone();
    let server =
        Server::start("standin-realtime", executor, move |stream| converse(serving.clone(), stream))?;
    Ok(RealtimeServer { server, hub })
}

/// An agent that repeats what it hears.
#[must_use]
pub fn parrot() -> Box<dyn Agent> {
    Box::new(Parrot::new())
}

impl RealtimeServer {
    /// The value for `OPENAI_REALTIME_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/v1/realtime", self.server.address)
    }

    /// What clients did so far.
    #[must_use]
    pub fn seen(&self) -> RealtimeSeen {
        lock(&self.hub.state).seen.clone()
    }

    /// How many sockets are open.
    #[must_use]
    pub fn open(&self) -> usize {
        lock(&self.hub.state).sockets.len()
    }

    /// From now on answers upgrades like this.
    pub fn answer(&self, answered: Answered) {
        lock(&self.hub.state).answered = answered;
    }

    /// Closes every socket.
    pub fn close_all(&self, code: u16, reason: &str) {
        self.order(&Order::Close(code, reason.to_owned()));
    }

    /// Breaks every connection in the middle of a message.
    pub fn break_all(&self) {
        self.order(&Order::Break);
    }

    /// Something goes wrong in every session.
    pub fn fail_all(&self, fault: &Fault) {
        self.order(&Order::Fail(fault.clone()));
    }

    /// For so long nothing is read from any connection, nothing is written, and no upgrade is answered; nothing is
    /// closed either. Afterwards everything goes on where it was.
    pub fn vanish(&self, duration: Duration) {
        lock(&self.hub.state).vanished_until = Instant::now().checked_add(duration);
    }

    fn order(&self, order: &Order) {
        for post in lock(&self.hub.state).sockets.values() {
            post.send(order.clone());
        }
    }
}

/// What a test does to a session.
#[derive(Clone, Debug)]
enum Order {
    Close(u16, String),
    Break,
    Fail(Fault),
}

struct Hub {
    settings: Settings,
    agent: Box<dyn Fn() -> Box<dyn Agent> + Send + Sync>,
    state: Mutex<State>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("settings", &self.settings)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    seen: RealtimeSeen,
    answered: Answered,
    sockets: BTreeMap<u64, Post<Order>>,
    vanished_until: Option<Instant>,
}

impl Hub {
    /// Until when nothing passes, if that is not over.
    fn vanished_until(&self) -> Option<Instant> {
        lock(&self.state).vanished_until.filter(|until| *until > Instant::now())
    }
}

/// One socket and the machine behind it.
struct Session {
    hub: Arc<Hub>,
    socket: WebSocket,
    /// The same connection, for what no WebSocket does.
    raw: TcpStream,
    outbox: Mailbox<Order>,
    machine: Realtime,
    clock: Clock,
    alarm: Alarm,
    /// Until the vanished server is back.
    pause: Timer,
    out: Actions,
    next: Next,
}

/// Who ended a session.
enum End {
    Theirs(Option<u16>),
    Ours(u16, String),
    Broken,
}

impl Session {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if let Some(until) = self.hub.vanished_until() {
                self.pause.set_at(until);
                if Future::poll(Pin::new(&mut self.pause), cx).is_pending() {
                    return Poll::Pending;
                }
            }
            let end = match self.outbox.poll_next(cx) {
                Poll::Ready(Order::Close(code, reason)) => Some(End::Ours(code, reason)),
                Poll::Ready(Order::Break) => Some(End::Broken),
                Poll::Ready(Order::Fail(fault)) => self.step(cx, Input::Fault(&fault)),
                Poll::Pending => None,
            };
            if let Some(end) = end {
                return Poll::Ready(end);
            }
            let end = match self.socket.poll_incoming(cx) {
                Poll::Ready(Incoming::Message(text)) => {
                    self.note(&text);
                    self.step(cx, Input::Message(&text))
                }
                Poll::Ready(Incoming::Alive) => None,
                Poll::Ready(Incoming::Closed { code, .. }) => Some(End::Theirs(code)),
                Poll::Ready(Incoming::Broken(_)) => Some(End::Theirs(None)),
                Poll::Pending if self.alarm.poll(cx, &self.clock, self.next.deadline).is_pending() => {
                    return Poll::Pending;
                }
                Poll::Pending => self.step(cx, Input::Timer),
            };
            if let Some(end) = end {
                return Poll::Ready(end);
            }
        }
    }

    /// The first step, if anybody is there to make it: a machine that was not opened takes everything and says nothing.
    fn begin(&mut self, cx: &mut Context<'_>, opened: Input<'_>, answered: &Answered) -> Option<End> {
        if *answered == Answered::Silent { None } else { self.step(cx, opened) }
    }

    fn step(&mut self, cx: &mut Context<'_>, input: Input<'_>) -> Option<End> {
        self.out.clear();
        self.next = self.machine.step(self.clock.tick(), input, &mut self.out);
        let out = mem::take(&mut self.out);
        let mut end = None;
        for output in out.iter() {
            match output {
                Output::Send(text) if self.socket.send(cx, out.bytes(text)).is_ok() => {}
                Output::Send(_) => end = Some(End::Theirs(None)),
                Output::Close { code, reason } => end = Some(End::Ours(code, out.text(reason).to_owned())),
            }
        }
        self.out = out;
        end
    }

    fn note(&self, text: &[u8]) {
        // The machine answers what no server would take with an `error`, which a test may overlook.
        debug_assert_eq!(check_client_message(self.hub.settings.dialect, text), Ok(()));
        let head = text.get(..TYPE_WITHIN).unwrap_or(text);
        let seen = &mut lock(&self.hub.state).seen;
        if head.windows(b"buffer.append".len()).any(|window| window == b"buffer.append") {
            seen.appends += 1;
        } else if seen.messages.len() < MAX_KEPT {
            seen.messages.push(String::from_utf8_lossy(text).into_owned());
        }
    }
}

async fn converse(hub: Arc<Hub>, mut stream: Async<TcpStream>) -> io::Result<()> {
    let mut received = Vec::new();
    let Some(consumed) = read_request(&mut stream, &mut received).await? else { return Ok(()) };
    let http::Parse::Request { request, .. } = http::parse(&received) else { return Ok(()) };
    if let Some(until) = hub.vanished_until() {
        Timer::at(until).await;
    }
    let answered = lock(&hub.state).answered.clone();
    if let Answered::Refused { status, retry_after, body } = &answered {
        return stream.write_all(&refusal(*status, *retry_after, body)).await;
    }
    if !request.is_upgrade {
        return answer(&mut stream, 426, b"", false).await;
    }
    let header = |name| request.header(name).map(str::to_owned);
    let (target, authorization, api_key) = (target(&request), header("Authorization"), header("api-key"));
    let beta = request.header("OpenAI-Beta").is_some();
    let safety_identifier = header("OpenAI-Safety-Identifier");
    let acceptance = acceptance(&request);
    let raw = stream.get_ref().try_clone()?;
    let socket = upgrade(stream, &acceptance, received.split_off(consumed)).await?;
    let (post, outbox) = mailbox();
    let seed = {
        let mut state = lock(&hub.state);
        state.seen.opened += 1;
        if state.seen.safety_identifiers.len() < MAX_KEPT {
            state.seen.safety_identifiers.push(safety_identifier);
        }
        let socket = state.seen.opened;
        state.sockets.insert(socket, post);
        socket
    };
    let settings = Settings { seed, utc: utc(), ..hub.settings.clone() };
    let mut session = Session {
        socket,
        raw,
        outbox,
        machine: Realtime::new(settings, (hub.agent)()),
        clock: Clock::start(),
        alarm: Alarm::new(),
        pause: Timer::never(),
        out: Actions::new(),
        next: Next { deadline: None },
        hub,
    };
    let opened = Input::Opened {
        target: &target,
        authorization: authorization.as_deref(),
        api_key: api_key.as_deref(),
        beta,
    };
    let end = match smol::future::poll_fn(|cx| Poll::Ready(session.begin(cx, opened, &answered))).await {
        Some(end) => end,
        None => smol::future::poll_fn(|cx| session.poll(cx)).await,
    };
    let Session { hub, socket, mut raw, .. } = session;
    lock(&hub.state).sockets.remove(&seed);
    match end {
        End::Theirs(code) => {
            lock(&hub.state).seen.closed.push(code);
            socket.close(1000, "").await;
        }
        End::Ours(code, reason) => socket.close(code, &reason).await,
        End::Broken => {
            let _ = raw.write(HALF_A_FRAME);
            Timer::after(UNREAD_BEFORE_BREAK).await;
        }
    }
    Ok(())
}

/// The answer to an upgrade that does not succeed.
fn refusal(status: u16, retry_after: Option<u64>, body: &str) -> Vec<u8> {
    let mut response = response(status, body.as_bytes(), false);
    if let Some(seconds) = retry_after {
        let behind_status = response.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
        response.splice(behind_status..behind_status, format!("Retry-After: {seconds}\r\n").into_bytes());
    }
    response
}

/// The wall clock, by which a session says when it ends.
fn utc() -> UtcNanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcNanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
