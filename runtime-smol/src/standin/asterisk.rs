//! The stand-in for Asterisk behind HTTP, WebSocket and UDP sockets.

use ari_bridge_core::http;
use ari_bridge_core::sim::asterisk::{Actions, Asterisk, CallerState, Input, MediaStats, Output, Settings};
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::time::Instant;
use smol::channel::Sender;
use smol::{Async, Executor, Task};
use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use super::{Outgoing, Server, acceptance, answer, lock, read_request, target, upgrade};
use crate::clock::{Alarm, Clock};
use crate::mailbox::{Mailbox, Post, mailbox};
use crate::websocket::{Incoming, WebSocket};

/// How many UnicastRTP channels there may be if the settings do not say.
const RTP_PORTS: usize = 16;

/// What a caller went through, and when, since the server was started.
#[derive(Clone, Debug, Default)]
pub struct CallerSeen {
    /// Every state of its line.
    pub states: Vec<(Instant, CallerState)>,
    /// What came out of its receiver, from [`CallerSeen::hears_since`] on.
    pub ear: Caller,
    /// When its first frame came.
    pub hears_since: Option<Instant>,
}

/// A running stand-in. It stops when this is dropped.
#[derive(Debug)]
pub struct AsteriskServer {
    server: Server,
    hub: Arc<Hub>,
}

/// Starts a stand-in for Asterisk on a free port of loopback. Its RTP ports are free ones of the system, as many
/// as `settings` lists.
///
/// # Errors
///
/// If the system gives no socket or thread.
pub fn serve_asterisk(mut settings: Settings) -> io::Result<AsteriskServer> {
    let wanted = if settings.rtp_ports == Settings::default().rtp_ports {
        RTP_PORTS
    } else {
        settings.rtp_ports.len()
    };
    let mut media = BTreeMap::new();
    for _ in 0..wanted {
        let socket = Async::<UdpSocket>::bind((Ipv4Addr::LOCALHOST, 0))?;
        media.insert(socket.get_ref().local_addr()?.port(), Arc::new(socket));
    }
    settings.rtp_ports = media.keys().copied().collect();
    let executor: Arc<Executor<'static>> = Arc::default();
    let (rescheduled, reschedule) = smol::channel::bounded(1);
    let hub = Arc::new(Hub {
        media,
        executor: Arc::downgrade(&executor),
        rescheduled,
        state: Mutex::new(State {
            machine: Asterisk::new(settings),
            clock: Clock::start(),
            out: Actions::new(),
            deadline: None,
            last_id: 0,
            replies: BTreeMap::new(),
            sockets: BTreeMap::new(),
            listening: BTreeMap::new(),
            callers: BTreeMap::new(),
        }),
        changed: Condvar::new(),
    });
    executor.spawn(keep_time(hub.clone(), reschedule)).detach();
    let serving = hub.clone();
    let server =
        Server::start("standin-asterisk", executor, move |stream| converse(serving.clone(), stream))?;
    Ok(AsteriskServer { server, hub })
}

impl AsteriskServer {
    /// The value for `ARI_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// How long it has been running.
    #[must_use]
    pub fn now(&self) -> Instant {
        lock(&self.hub.state).clock.tick()
    }

    /// Lets somebody call.
    pub fn dial(&self, caller: u64, number: &str, exten: &str) {
        lock(&self.hub.state).callers.entry(caller).or_default();
        self.hub.step(Input::Dial { caller, number, exten, answered: false });
    }

    /// Lets the caller say this, 16 kHz, and tells when.
    pub fn speak(&self, caller: u64, pcm: &[i16]) -> Instant {
        self.hub.step(Input::Speak { caller, pcm })
    }

    /// Lets the caller hang up.
    pub fn hang_up(&self, caller: u64) {
        self.hub.step(Input::Hangup { caller });
    }

    /// What the caller went through so far.
    #[must_use]
    pub fn seen(&self, caller: u64) -> CallerSeen {
        lock(&self.hub.state).callers.get(&caller).cloned().unwrap_or_default()
    }

    /// Waits until `ready` says so of the caller, at most `patience`; whether it did.
    pub fn wait(&self, caller: u64, patience: Duration, ready: impl Fn(&CallerSeen) -> bool) -> bool {
        let state = lock(&self.hub.state);
        let not_yet = |state: &mut State| !state.callers.get(&caller).is_some_and(&ready);
        let waited = self.hub.changed.wait_timeout_while(state, patience, not_yet);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// How many channels and bridges there are.
    #[must_use]
    pub fn objects(&self) -> (usize, usize) {
        let state = lock(&self.hub.state);
        (state.machine.channel_count(), state.machine.bridge_count())
    }

    /// What became of the packets so far.
    #[must_use]
    pub fn media_stats(&self) -> MediaStats {
        lock(&self.hub.state).machine.media_stats()
    }

    /// Reaches the machine itself: to arm faults, or to let go what they hold.
    pub fn with<T>(&self, act: impl FnOnce(&mut Asterisk, Instant, &mut Actions) -> T) -> T {
        let mut state = lock(&self.hub.state);
        let State { machine, clock, out, .. } = &mut *state;
        out.clear();
        let result = act(machine, clock.tick(), out);
        self.hub.perform(&mut state);
        drop(state);
        // What `act` did may have moved the deadline.
        self.hub.step(Input::Timer);
        result
    }
}

#[derive(Debug)]
struct Hub {
    media: BTreeMap<u16, Arc<Async<UdpSocket>>>,
    executor: Weak<Executor<'static>>,
    rescheduled: Sender<()>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    machine: Asterisk,
    clock: Clock,
    out: Actions,
    deadline: Option<Instant>,
    last_id: u64,
    replies: BTreeMap<u64, Sender<(u16, Vec<u8>)>>,
    sockets: BTreeMap<u64, Post<Outgoing>>,
    listening: BTreeMap<u16, Task<()>>,
    callers: BTreeMap<u64, CallerSeen>,
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

impl Hub {
    /// Steps the machine, performs what it says, and tells when that was.
    fn step(self: &Arc<Self>, input: Input<'_>) -> Instant {
        let mut state = lock(&self.state);
        let State { machine, clock, out, deadline, .. } = &mut *state;
        out.clear();
        let now = clock.tick();
        let next = machine.step(now, input, out);
        if mem::replace(deadline, next.deadline) != next.deadline {
            let _ = self.rescheduled.try_send(());
        }
        self.perform(&mut state);
        now
    }

    fn perform(self: &Arc<Self>, state: &mut State) {
        let out = mem::take(&mut state.out);
        for output in out.iter() {
            match output {
                Output::Reply { id, status, body } => {
                    if let Some(reply) = state.replies.remove(&id) {
                        let _ = reply.try_send((status, out.bytes(body).to_vec()));
                    }
                }
                Output::Accepted { socket } => {
                    if let Some(reply) = state.replies.remove(&socket) {
                        let _ = reply.try_send((101, Vec::new()));
                    }
                }
                Output::Refused { socket, status } => {
                    state.sockets.remove(&socket);
                    if let Some(reply) = state.replies.remove(&socket) {
                        let _ = reply.try_send((status, Vec::new()));
                    }
                }
                Output::Event { socket, text } => {
                    if let Some(post) = state.sockets.get(&socket) {
                        post.send(Outgoing::Text(out.bytes(text).to_vec()));
                    }
                }
                Output::CloseSocket { socket } => {
                    if let Some(post) = state.sockets.remove(&socket) {
                        post.send(Outgoing::Close(1000, String::new()));
                    }
                }
                Output::BindRtp { port } => self.listen(state, port),
                Output::UnbindRtp { port } => drop(state.listening.remove(&port)),
                Output::SendRtp { from_port, to, bytes } => {
                    if let Some(socket) = self.media.get(&from_port) {
                        let _ = socket.get_ref().send_to(out.bytes(bytes), to);
                    }
                }
                Output::Heard { caller, pcm } => {
                    let now = state.clock.tick();
                    let seen = state.callers.entry(caller).or_default();
                    seen.hears_since.get_or_insert(now);
                    seen.ear.hear(out.bytes(pcm));
                    self.changed.notify_all();
                }
                Output::CallerState { caller, state: line } => {
                    let now = state.clock.tick();
                    state.callers.entry(caller).or_default().states.push((now, line));
                    self.changed.notify_all();
                }
            }
        }
        state.out = out;
    }

    fn listen(self: &Arc<Self>, state: &mut State, local_port: u16) {
        let (Some(socket), Some(executor)) = (self.media.get(&local_port).cloned(), self.executor.upgrade())
        else {
            return;
        };
        let hub = self.clone();
        let receive = async move {
            let mut buffer = [0; 2048];
            while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
                hub.step(Input::Datagram { local_port, from, bytes: buffer.get(..len).unwrap_or_default() });
            }
        };
        state.listening.insert(local_port, executor.spawn(receive));
    }
}

/// Gives the machine its timer.
async fn keep_time(hub: Arc<Hub>, reschedule: smol::channel::Receiver<()>) {
    let mut alarm = Alarm::new();
    loop {
        let due = smol::future::poll_fn(|cx| {
            let state = lock(&hub.state);
            alarm.poll(cx, &state.clock, state.deadline)
        });
        let due = async {
            due.await;
            true
        };
        let moved = async {
            let _ = reschedule.recv().await;
            false
        };
        if smol::future::or(due, moved).await {
            hub.step(Input::Timer);
        }
    }
}

/// Serves a connection: requests one after the other, or an event socket.
async fn converse(hub: Arc<Hub>, mut stream: Async<TcpStream>) -> io::Result<()> {
    let mut received = Vec::new();
    while let Some(consumed) = read_request(&mut stream, &mut received).await? {
        let http::Parse::Request { request, .. } = http::parse(&received) else { break };
        let (tell, told) = smol::channel::bounded(1);
        let id = {
            let mut state = lock(&hub.state);
            let id = state.next_id();
            state.replies.insert(id, tell);
            id
        };
        let target = target(&request);
        let authorization = request.header("Authorization");
        if request.is_upgrade {
            let (post, outbox) = mailbox();
            lock(&hub.state).sockets.insert(id, post);
            hub.step(Input::EventsOpened { socket: id, target: &target, authorization });
            let (status, _) = told.recv().await.unwrap_or((500, Vec::new()));
            if status != 101 {
                return answer(&mut stream, status, b"", false).await;
            }
            let acceptance = acceptance(&request);
            let socket = upgrade(stream, &acceptance, received.split_off(consumed)).await?;
            send_events(socket, outbox).await;
            lock(&hub.state).sockets.remove(&id);
            hub.step(Input::EventsClosed { socket: id });
            return Ok(());
        }
        hub.step(Input::Request {
            id,
            method: request.method,
            target: &target,
            authorization,
            body: request.body,
        });
        // A reply that a test holds back may come much later, or never.
        let Ok((status, body)) = told.recv().await else { break };
        let keep_alive = request.keep_alive;
        answer(&mut stream, status, &body, keep_alive).await?;
        if !keep_alive {
            break;
        }
        received.drain(..consumed);
    }
    Ok(())
}

/// Sends what is in the outbox, until either side closes.
async fn send_events(mut socket: WebSocket, mut outbox: Mailbox<Outgoing>) {
    let (code, reason) = smol::future::poll_fn(|cx| {
        while let Poll::Ready(outgoing) = outbox.poll_next(cx) {
            match outgoing {
                Outgoing::Text(text) if socket.send(cx, &text).is_ok() => {}
                // Asterisk cuts off a client that does not read.
                Outgoing::Text(_) => return Poll::Ready((1011, String::new())),
                Outgoing::Close(code, reason) => return Poll::Ready((code, reason)),
            }
        }
        while let Poll::Ready(incoming) = socket.poll_incoming(cx) {
            match incoming {
                Incoming::Message(_) | Incoming::Alive => {}
                Incoming::Closed { .. } | Incoming::Broken(_) => return Poll::Ready((1000, String::new())),
            }
        }
        Poll::Pending
    })
    .await;
    socket.close(code, &reason).await;
}
