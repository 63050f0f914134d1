//! The stand-in for the Realtime server behind WebSockets: one machine for each.

use ari_bridge_core::http;
use ari_bridge_core::sim::Next;
use ari_bridge_core::sim::realtime::{
    Actions, Agent, Input, Output, Parrot, Realtime, Settings, check_client_message,
};
use smol::{Async, Executor};
use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use super::{Outgoing, Server, acceptance, answer, lock, read_request, target, upgrade};
use crate::clock::{Alarm, Clock};
use crate::mailbox::{Mailbox, Post, mailbox};
use crate::websocket::{Incoming, WebSocket};

/// How many messages other than audio are kept for tests to look at.
const MAX_KEPT: usize = 1000;

/// The first bytes of a message, in which its type is looked for.
const TYPE_WITHIN: usize = 200;

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

    /// From now on answers upgrades with this status and body; `None` lets them in again.
    pub fn refuse(&self, answer: Option<(u16, String)>) {
        lock(&self.hub.state).refusal = answer;
    }

    /// Closes every socket.
    pub fn close_all(&self, code: u16, reason: &str) {
        for post in lock(&self.hub.state).sockets.values() {
            post.send(Outgoing::Close(code, reason.to_owned()));
        }
    }
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
    refusal: Option<(u16, String)>,
    sockets: BTreeMap<u64, Post<Outgoing>>,
}

/// One socket and the machine behind it.
struct Session {
    hub: Arc<Hub>,
    socket: WebSocket,
    outbox: Mailbox<Outgoing>,
    machine: Realtime,
    clock: Clock,
    alarm: Alarm,
    out: Actions,
    next: Next,
}

/// Who ended a session.
enum End {
    Theirs(Option<u16>),
    Ours(u16, String),
}

impl Session {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if let Poll::Ready(Outgoing::Close(code, reason)) = self.outbox.poll_next(cx) {
                return Poll::Ready(End::Ours(code, reason));
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
    let refusal = lock(&hub.state).refusal.clone();
    if let Some((status, body)) = refusal {
        return answer(&mut stream, status, body.as_bytes(), false).await;
    }
    if !request.is_upgrade {
        return answer(&mut stream, 426, b"", false).await;
    }
    let header = |name| request.header(name).map(str::to_owned);
    let (target, authorization, api_key) = (target(&request), header("Authorization"), header("api-key"));
    let beta = request.header("OpenAI-Beta").is_some();
    let safety_identifier = header("OpenAI-Safety-Identifier");
    let acceptance = acceptance(&request);
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
    let machine = Realtime::new(Settings { seed, ..hub.settings.clone() }, (hub.agent)());
    let (clock, alarm) = (Clock::start(), Alarm::new());
    let next = Next { deadline: None };
    let mut session = Session { hub, socket, outbox, machine, clock, alarm, out: Actions::new(), next };
    let opened = Input::Opened {
        target: &target,
        authorization: authorization.as_deref(),
        api_key: api_key.as_deref(),
        beta,
    };
    let mut end = smol::future::poll_fn(|cx| Poll::Ready(session.step(cx, opened))).await;
    let end = match end.take() {
        Some(end) => end,
        None => smol::future::poll_fn(|cx| session.poll(cx)).await,
    };
    let Session { hub, socket, .. } = session;
    lock(&hub.state).sockets.remove(&seed);
    match end {
        End::Theirs(code) => {
            lock(&hub.state).seen.closed.push(code);
            socket.close(1000, "").await;
        }
        End::Ours(code, reason) => socket.close(code, &reason).await,
    }
    Ok(())
}
