//! The stand-in for the Realtime server behind WebSockets: one machine for each. What goes wrong with the session is
//! the machine's affair ([`Fault`]), what goes wrong with the connection is here.

use ari_bridge_core::http::Request;
use ari_bridge_core::sim::realtime::{
    Actions, Agent, Fault, Input, Output, Parrot, Realtime, Settings, check_client_message,
};
use ari_bridge_core::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::http::{Answer, target};
use super::lock;
use super::server::{Order, Server, Service};
use crate::clock::{Clock, utc};

/// How many messages other than audio are kept for tests to look at.
const MAX_KEPT: usize = 1000;

/// The first bytes of a message, in which its type is looked for.
const TYPE_WITHIN: usize = 200;

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
    let hub = Arc::<Hub>::default();
    let sessions = Sessions {
        hub: hub.clone(),
        settings,
        agent: Box::new(agent),
        open: BTreeMap::new(),
        out: Actions::new(),
        orders: Vec::new(),
    };
    let server = Server::start("standin-realtime", [], sessions)?;
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
        lock(&self.hub).seen.clone()
    }

    /// How many sockets are open.
    #[must_use]
    pub fn open(&self) -> usize {
        lock(&self.hub).open.len()
    }

    /// From now on answers upgrades like this.
    pub fn answer(&self, answered: Answered) {
        lock(&self.hub).answered = answered;
    }

    /// Closes every socket.
    pub fn close_all(&self, code: u16, reason: &str) {
        self.trouble(&Trouble::Close(code, reason.to_owned()));
    }

    /// Breaks every connection in the middle of a message.
    pub fn break_all(&self) {
        self.trouble(&Trouble::Break);
    }

    /// Something goes wrong in every session.
    pub fn fail_all(&self, fault: &Fault) {
        self.trouble(&Trouble::Fail(fault.clone()));
    }

    /// For so long nothing is read from any connection, nothing is written, and no upgrade is answered; nothing is
    /// closed either. Afterwards everything goes on where it was.
    pub fn vanish(&self, duration: Duration) {
        lock(&self.hub).vanished_until = std::time::Instant::now().checked_add(duration);
        self.server.wake();
    }

    fn trouble(&self, trouble: &Trouble) {
        let mut state = lock(&self.hub);
        let State { open, troubles, .. } = &mut *state;
        troubles.extend(open.iter().map(|id| (*id, trouble.clone())));
        drop(state);
        self.server.wake();
    }
}

/// What a test does to a session.
#[derive(Clone, Debug)]
enum Trouble {
    Close(u16, String),
    Break,
    Fail(Fault),
}

/// What tests see and change while the thread of the server owns the sessions.
type Hub = Mutex<State>;

#[derive(Debug, Default)]
struct State {
    seen: RealtimeSeen,
    answered: Answered,
    /// The sessions that are not over.
    open: BTreeSet<u64>,
    troubles: Vec<(u64, Trouble)>,
    vanished_until: Option<std::time::Instant>,
}

struct Sessions {
    hub: Arc<Hub>,
    settings: Settings,
    agent: Box<dyn Fn() -> Box<dyn Agent> + Send>,
    open: BTreeMap<u64, Session>,
    out: Actions,
    orders: Vec<(u64, Order)>,
}

/// The machine behind one socket, which is not over before the session is.
struct Session {
    machine: Realtime,
    clock: Clock,
    deadline: Option<Instant>,
}

impl Sessions {
    fn step(&mut self, id: u64, input: Input<'_>) {
        let Some(session) = self.open.get_mut(&id) else { return };
        self.out.clear();
        session.deadline = session.machine.step(session.clock.tick(), input, &mut self.out).deadline;
        let out = mem::take(&mut self.out);
        for output in out.iter() {
            match output {
                Output::Send(text) => self.orders.push((id, Order::Text(out.bytes(text).to_vec()))),
                Output::Close { code, reason } => {
                    self.end(id, Some(Order::Close(code, out.text(reason).to_owned())));
                }
            }
        }
        self.out = out;
    }

    /// The session is over, by this order unless the client has ended it. Whether there was one.
    fn end(&mut self, id: u64, order: Option<Order>) -> bool {
        lock(&self.hub).open.remove(&id);
        let was_open = self.open.remove(&id).is_some();
        if was_open {
            self.orders.extend(order.map(|order| (id, order)));
        }
        was_open
    }

    fn note(&self, text: &[u8]) {
        // The machine answers what no server would take with an `error`, which a test may overlook.
        debug_assert_eq!(check_client_message(self.settings.dialect, text), Ok(()));
        let head = text.get(..TYPE_WITHIN).unwrap_or(text);
        let seen = &mut lock(&self.hub).seen;
        if head.windows(b"buffer.append".len()).any(|window| window == b"buffer.append") {
            seen.appends += 1;
        } else if seen.messages.len() < MAX_KEPT {
            seen.messages.push(String::from_utf8_lossy(text).into_owned());
        }
    }
}

impl Service for Sessions {
    fn request(&mut self, id: u64, request: &Request<'_>) {
        let mut state = lock(&self.hub);
        let is_silent = match state.answered.clone() {
            Answered::Refused { status, retry_after, body } => {
                let answer = Answer { status, retry_after, body: body.into_bytes() };
                self.orders.push((id, Order::Answer(answer)));
                return;
            }
            Answered::Served | Answered::Silent if !request.is_upgrade => {
                self.orders.push((id, Order::Answer(Answer { status: 426, ..Answer::default() })));
                return;
            }
            Answered::Served => false,
            Answered::Silent => true,
        };
        state.seen.opened += 1;
        let seed = state.seen.opened;
        if state.seen.safety_identifiers.len() < MAX_KEPT {
            let identifier = request.header("OpenAI-Safety-Identifier").map(str::to_owned);
            state.seen.safety_identifiers.push(identifier);
        }
        state.open.insert(id);
        drop(state);
        let settings = Settings { seed, utc: utc(), ..self.settings.clone() };
        let machine = Realtime::new(settings, (self.agent)());
        self.open.insert(id, Session { machine, clock: Clock::start(), deadline: None });
        self.orders.push((id, Order::Upgrade));
        // A machine that was not opened takes everything and says nothing.
        if !is_silent {
            let opened = Input::Opened {
                target: &target(request),
                authorization: request.header("Authorization"),
                api_key: request.header("api-key"),
                beta: request.header("OpenAI-Beta").is_some(),
            };
            self.step(id, opened);
        }
    }

    fn message(&mut self, id: u64, text: &[u8]) {
        if self.open.contains_key(&id) {
            self.note(text);
            self.step(id, Input::Message(text));
        }
    }

    fn closed(&mut self, id: u64, code: Option<u16>) {
        if self.end(id, None) {
            lock(&self.hub).seen.closed.push(code);
        }
    }

    fn turn(&mut self, orders: &mut Vec<(u64, Order)>) -> Option<std::time::Instant> {
        let troubles = mem::take(&mut lock(&self.hub).troubles);
        for (id, trouble) in troubles {
            match trouble {
                Trouble::Close(code, reason) => drop(self.end(id, Some(Order::Close(code, reason)))),
                Trouble::Break => drop(self.end(id, Some(Order::Break))),
                Trouble::Fail(fault) => self.step(id, Input::Fault(&fault)),
            }
        }
        let is_due = |session: &Session| session.deadline.is_some_and(|at| session.clock.is_due(at));
        let due: Vec<u64> = self.open.iter().filter(|(_, s)| is_due(s)).map(|(id, _)| *id).collect();
        for id in due {
            self.step(id, Input::Timer);
        }
        orders.append(&mut self.orders);
        self.open.values().filter_map(|session| session.clock.at(session.deadline?)).min()
    }

    fn vanished_until(&self) -> Option<std::time::Instant> {
        lock(&self.hub).vanished_until.filter(|until| *until > std::time::Instant::now())
    }
}
