//! The switchboard and one caller, in every order: the caller comes, leaves and comes again, the event socket opens and
//! breaks, Asterisk is asked what there is and answers early, late or not at all, calls end, the process is to stop.
//!
//! An [`Odometer`] leads through all of it, depth first, as in [`crate::world::every_end`]; each leaf is a switchboard of its
//! own. What it tells the driver is done as a call does it, in as much as the switchboard can see: a call that is told that
//! its caller has left, or is stopped, ends; one that is told that events flow again looks for its caller.

use crate::odometer::Odometer;
use crate::oracle::Requests;
use ari_bridge_core::call::{EndReason, Entry, IoFault, LinkState, Outcome, StopReason};
use ari_bridge_core::id::{CallId, InstanceNonce, RequestId};
use ari_bridge_core::settings::SwitchboardSettings;
use ari_bridge_core::switchboard::{Action, Actions, Input, Next, Switchboard, Wake};
use ari_bridge_core::time::{Duration, Instant, UtcNanos};
use std::collections::VecDeque;

const CALLER: &str = "1795346951.0";

/// How often the caller may come.
const MAX_ARRIVALS: usize = 2;

/// How many deeds it takes at most until all is quiet, once all goes well.
const MAX_DEEDS_TO_REST: usize = 200;

/// How far a tree goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// What the switchboard has come through when the orders begin.
    pub from: At,
    /// So many deeds come in any order.
    pub free: usize,
    /// So many replies among them do not come, or are of no use.
    pub faults: usize,
}

/// Where a switchboard stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// It has just been made.
    Start,
    /// It has asked Asterisk what there is, and nobody calls.
    Rest,
    /// It has one call.
    Call,
}

/// What an enumeration came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// How many lives it was.
    pub leaves: u64,
    /// How many inputs they got.
    pub steps: u64,
    /// How many calls began.
    pub calls: u64,
    /// How many of them with a caller who was found waiting.
    pub adopted: u64,
}

/// Every order of what can happen, within these bounds. Behind it all goes well: what is under way arrives, and time passes
/// until nothing is to be done. Then a caller who waits is in one call, and one who is gone in none; and when the process is
/// to stop, nobody is left.
///
/// # Panics
///
/// If the switchboard does what it must not; what has happened to it is printed.
#[must_use]
pub fn every_order(bounds: Bounds) -> Count {
    let (mut count, mut odometer) = (Count::default(), Odometer::new());
    loop {
        let mut board = Board::new(odometer, bounds.faults);
        board.comes_to(bounds.from);
        for _ in 0..bounds.free {
            let deeds = board.deeds();
            if board.next.finished || deeds.is_empty() {
                break;
            }
            board.one_of(&deeds);
        }
        board.ends_well();
        count.leaves += 1;
        count.steps += board.steps;
        count.calls += board.calls_begun;
        count.adopted += board.adopted;
        odometer = core::mem::take(&mut board.odometer);
        if !odometer.advance() {
            return count;
        }
    }
}

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    SocketOpens,
    SocketBreaks,
    CallerComes,
    CallerLeaves,
    /// The next event arrives.
    Event,
    /// A request is executed, and its reply is under way.
    Executed(RequestId),
    /// A request is answered.
    Reply(RequestId),
    /// A request is answered with 503, and has done nothing.
    Broken(RequestId),
    /// A request is executed, and its reply is lost.
    Lost(RequestId),
    /// A call looks for its caller.
    Looks(CallId),
    /// A call ends: it was told to, or its caller is gone, or the agent has hung up.
    Ends(CallId),
    Drain,
    Timer,
}

#[derive(Clone, Debug)]
struct Request {
    id: RequestId,
    line: String,
    /// Status and body, once it is executed.
    done: Option<(u16, String)>,
}

#[derive(Clone, Copy, Debug)]
struct Live {
    id: CallId,
    /// It knows that its caller has left.
    has_lost_caller: bool,
    is_stopped: bool,
    /// Another call has its caller.
    is_succeeded: bool,
    is_to_look: bool,
}

impl Live {
    fn is_ending(&self) -> bool {
        self.has_lost_caller || self.is_stopped
    }
}

struct Board {
    switchboard: Switchboard,
    odometer: Odometer,
    now: Instant,
    next: Next,
    out: Actions,
    oracle: Requests,
    story: Vec<String>,
    steps: u64,
    faults_left: usize,
    breaks_left: usize,
    agents_left: usize,
    is_draining: bool,
    socket_is_up: bool,
    socket_is_asked_for: bool,
    /// The caller is in the application.
    caller_is_there: bool,
    arrivals: usize,
    /// The switchboard was told that the caller has come this time.
    arrival_is_told: bool,
    events: VecDeque<String>,
    requests: Vec<Request>,
    /// The last deed has only executed this one.
    just_executed: Option<RequestId>,
    live: Vec<Live>,
    calls_begun: u64,
    adopted: u64,
}

impl Board {
    fn new(odometer: Odometer, faults: usize) -> Self {
        let mut out = Actions::new();
        let (now, nonce) = (Instant::START, InstanceNonce::new(7));
        let settings = SwitchboardSettings::default();
        let (switchboard, next) = Switchboard::new(&settings, nonce, 1, UtcNanos(0), now, &mut out);
        let mut board = Self {
            switchboard,
            odometer,
            now,
            next,
            out,
            oracle: Requests::default(),
            story: Vec::new(),
            steps: 0,
            faults_left: faults,
            breaks_left: 1,
            agents_left: 1,
            is_draining: false,
            socket_is_up: false,
            socket_is_asked_for: false,
            caller_is_there: false,
            arrivals: 0,
            arrival_is_told: false,
            events: VecDeque::new(),
            requests: Vec::new(),
            just_executed: None,
            live: Vec::new(),
            calls_begun: 0,
            adopted: 0,
        };
        board.look();
        board
    }

    fn comes_to(&mut self, from: At) {
        if from == At::Start {
            return;
        }
        self.happens(Deed::SocketOpens);
        self.rests();
        if from == At::Call {
            self.happens(Deed::CallerComes);
            self.happens(Deed::Event);
            assert_eq!(self.live.len(), 1, "a caller is taken on");
        }
    }

    fn one_of(&mut self, deeds: &[Deed]) {
        let deed = deeds[self.odometer.below(deeds.len())];
        self.faults_left -= usize::from(matches!(deed, Deed::Broken(_) | Deed::Lost(_)));
        self.happens(deed);
    }

    /// All that can happen next.
    fn deeds(&self) -> Vec<Deed> {
        let mut deeds = self.good_deeds();
        for request in self.requests.iter().filter(|request| request.done.is_none()) {
            // What is executed at once, with nothing in between, is executed in the order in which it was asked.
            if self.just_executed.is_none_or(|before| before.0 < request.id.0) {
                deeds.push(Deed::Executed(request.id));
            }
            if self.faults_left > 0 {
                deeds.extend([Deed::Broken(request.id), Deed::Lost(request.id)]);
            }
        }
        if self.socket_is_up && self.breaks_left > 0 {
            deeds.push(Deed::SocketBreaks);
        }
        if self.caller_is_there {
            deeds.push(Deed::CallerLeaves);
        } else if self.arrivals < MAX_ARRIVALS {
            deeds.push(Deed::CallerComes);
        }
        if self.agents_left > 0 {
            let content = self.live.iter().filter(|live| !live.is_ending());
            deeds.extend(content.map(|live| Deed::Ends(live.id)));
        }
        if !self.is_draining {
            deeds.push(Deed::Drain);
        }
        deeds.extend(self.time_out());
        deeds
    }

    /// What happens next when all goes well.
    fn good_deeds(&self) -> Vec<Deed> {
        let mut deeds = Vec::new();
        if self.socket_is_asked_for {
            deeds.push(Deed::SocketOpens);
        }
        if !self.events.is_empty() {
            deeds.push(Deed::Event);
        }
        // Executed and answered at once is what comes of it without the first of these.
        let replies = self.requests.iter().map(|request| request.id);
        deeds.extend(replies.filter(|id| self.just_executed != Some(*id)).map(Deed::Reply));
        for live in &self.live {
            if live.is_to_look {
                deeds.push(Deed::Looks(live.id));
            }
            if live.is_ending() {
                deeds.push(Deed::Ends(live.id));
            }
        }
        deeds
    }

    /// Time does not run out for who is about to do what it is waited for.
    fn time_out(&self) -> Option<Deed> {
        let (_, wake) = self.next.deadline?;
        let is_busy = !self.requests.is_empty() || self.live.iter().any(Live::is_ending);
        let waits = match wake {
            Wake::Ping => false,
            Wake::Drain => !is_busy,
            Wake::Reconnect | Wake::CleanUp | Wake::Resync => true,
        };
        // The end of the drain lies behind many pings.
        let later = wake == Wake::Ping && !is_busy && self.is_draining;
        (waits || later).then_some(Deed::Timer)
    }

    fn happens(&mut self, deed: Deed) {
        let number = |request: RequestId| {
            let at = self.requests.iter().position(|known| known.id == request);
            at.map_or(String::new(), |at| format!(": {}", self.requests[at].line))
        };
        let about = match deed {
            Deed::Executed(id) | Deed::Reply(id) | Deed::Broken(id) | Deed::Lost(id) => number(id),
            Deed::Event => format!(": {}", self.events.front().map_or("", |event| &event[..30])),
            _ => String::new(),
        };
        self.story.push(format!("{}  {deed:?}{about}", self.now));
        self.just_executed = None;
        match deed {
            Deed::SocketOpens => {
                (self.socket_is_up, self.socket_is_asked_for) = (true, false);
                self.gives(Input::AriUp);
            }
            Deed::SocketBreaks => {
                self.breaks_left -= 1;
                self.socket_is_up = false;
                self.events.clear();
                self.gives(Input::AriDown { http_status: None, fault: Some(IoFault::Reset) });
            }
            Deed::CallerComes => {
                self.caller_is_there = true;
                self.arrival_is_told = false;
                self.arrivals += 1;
                self.event("StasisStart");
            }
            Deed::CallerLeaves => self.caller_goes(),
            Deed::Event => self.event_arrives(),
            Deed::Executed(id) => {
                self.execute(id);
                self.just_executed = Some(id);
            }
            Deed::Reply(id) => {
                self.execute(id);
                let (status, body) = self.take(id).done.expect("it is executed");
                self.gives(Input::AriReply { id, status, body: body.as_bytes() });
            }
            Deed::Broken(id) => {
                self.take(id);
                self.gives(Input::AriReply { id, status: 503, body: b"" });
            }
            Deed::Lost(id) => {
                self.execute(id);
                self.take(id);
                self.gives(Input::AriFailed { id, fault: IoFault::Reset });
            }
            Deed::Looks(id) => {
                let is_gone = !self.caller_is_there;
                let live = self.live_mut(id);
                live.is_to_look = false;
                live.has_lost_caller |= is_gone;
            }
            Deed::Ends(id) => self.call_ends(id),
            Deed::Drain => {
                self.is_draining = true;
                self.gives(Input::Drain);
            }
            Deed::Timer => self.time_passes(),
        }
    }

    fn live_mut(&mut self, id: CallId) -> &mut Live {
        self.live.iter_mut().find(|live| live.id == id).expect("a call that is under way")
    }

    fn take(&mut self, id: RequestId) -> Request {
        let at = self.requests.iter().position(|request| request.id == id).expect("it is under way");
        self.oracle.settled(None, id);
        self.requests.remove(at)
    }

    fn event(&mut self, kind: &str) {
        // Without a socket nobody is told.
        if self.socket_is_up {
            self.events.push_back(format!(
                r#"{{"type":"{kind}","args":[],"channel":{{"id":"{CALLER}","name":"PJSIP/trunk-00000001","state":"Ring"}}}}"#
            ));
        }
    }

    fn caller_goes(&mut self) {
        if core::mem::take(&mut self.caller_is_there) {
            self.event("StasisEnd");
        }
    }

    fn event_arrives(&mut self) {
        let event = self.events.pop_front().expect("an event is under way");
        if event.contains("StasisStart") {
            // Of an earlier time, if the caller has left since.
            self.arrival_is_told = !self.events.iter().any(|later| later.contains("StasisStart"));
        }
        self.gives(Input::Ari(event.as_bytes()));
    }

    /// A call ends. A caller of whose leaving it does not know it lets go.
    fn call_ends(&mut self, id: CallId) {
        let at = self.live.iter().position(|live| live.id == id).expect("a call that is under way");
        let live = self.live.remove(at);
        if !live.is_ending() {
            self.agents_left -= 1;
        }
        if !live.has_lost_caller {
            self.caller_goes();
        }
        let ended = if live.has_lost_caller { EndReason::CallerHungUp } else { EndReason::AgentHungUp };
        let outcome = Outcome { ended, answered: true, duration: Duration::ZERO, left_behind: false };
        self.gives(Input::CallFinished { call: id, outcome });
    }

    /// A request is executed, if it is not yet.
    fn execute(&mut self, id: RequestId) {
        let at = self.requests.iter().position(|request| request.id == id).expect("it is under way");
        if self.requests[at].done.is_some() {
            return;
        }
        let line = self.requests[at].line.clone();
        let caller = format!("/channels/{CALLER}");
        let done = match line.split_once(' ').expect("method and path") {
            ("GET", "/asterisk/info") => {
                (200, r#"{"system":{"entity_id":"a"},"status":{"startup_time":"1"}}"#.to_owned())
            }
            ("GET", path) if path.starts_with("/applications/") => {
                let channels = if self.caller_is_there { format!("\"{CALLER}\"") } else { String::new() };
                (200, format!(r#"{{"channel_ids":[{channels}]}}"#))
            }
            ("GET", "/bridges") => (200, "[]".to_owned()),
            ("GET", path) if path == caller && self.caller_is_there => {
                let dialplan = r#"{"context":"default","exten":"200","priority":3,"app_name":"Stasis","app_data":"voice-agent,100,200"}"#;
                let body = format!(
                    r#"{{"id":"{CALLER}","name":"PJSIP/trunk-00000001","state":"Up","caller":{{"name":"","number":"100"}},"dialplan":{dialplan}}}"#
                );
                (200, body)
            }
            ("POST", path) if path.starts_with(&caller) && self.caller_is_there => {
                if path.contains("/continue") {
                    self.caller_goes();
                }
                (204, String::new())
            }
            (_, path) if path.starts_with(&caller) => (404, String::new()),
            other => panic!("nobody should ask {other:?}"),
        };
        self.requests[at].done = Some(done);
    }

    /// Time passes until a deadline has come that is no ping. Each ping is answered.
    fn time_passes(&mut self) {
        loop {
            let (at, wake) = self.next.deadline.expect("it is waited for something");
            self.now = self.now.max(at);
            self.gives(Input::Timer);
            if self.out.iter().any(|action| matches!(action, Action::PingAri)) {
                self.gives(Input::AriPong);
            }
            if wake != Wake::Ping || self.next.finished {
                return;
            }
        }
    }

    /// All that is under way arrives, and time passes, until nothing is to be done.
    fn rests(&mut self) {
        self.just_executed = None;
        for _ in 0..MAX_DEEDS_TO_REST {
            if self.next.finished {
                return;
            }
            let timer = self.next.deadline.filter(|(_, wake)| *wake != Wake::Ping).map(|_| Deed::Timer);
            let later = self.is_draining.then_some(Deed::Timer);
            let Some(deed) = self.good_deeds().first().copied().or(timer).or(later) else { return };
            self.happens(deed);
        }
        panic!("it does not come to rest: {:?}", self.next);
    }

    /// From here on all goes well. Whoever is in the application is in a call; and then the process is to stop.
    fn ends_well(&mut self) {
        let was_draining = self.is_draining;
        self.rests();
        let running = self.live.iter().filter(|live| !live.is_ending()).count();
        if !was_draining {
            assert_eq!(running, usize::from(self.caller_is_there), "calls of a caller");
            self.happens(Deed::Drain);
            self.rests();
        }
        assert!(self.next.finished, "it does not stop: {:?}", self.next);
        assert!(self.live.is_empty(), "calls are left: {:?}", self.live);
        // Of one who has come in the last moment nobody has told.
        let is_known = self.caller_is_there && self.arrival_is_told;
        assert!(!is_known, "a caller is left in the application");
        assert!(was_draining || !self.caller_is_there, "a caller is left in the application");
    }

    fn gives(&mut self, input: Input<'_>) {
        self.steps += 1;
        self.now = self.now + Duration::from_nanos(1);
        let is_timer = matches!(input, Input::Timer);
        self.out.clear();
        let was_finished = self.next.finished;
        self.next = self.switchboard.step(self.now, input, &mut self.out);
        assert!(!was_finished || self.out.is_empty(), "something is done after Finish");
        if let Some((at, wake)) = self.next.deadline {
            assert!(at > self.now || !is_timer, "{wake:?} lies in the past, and no Timer settles it");
        }
        self.look();
    }

    /// Looks at what the last step gave.
    fn look(&mut self) {
        let actions: Vec<_> = self.out.iter().collect();
        let finish = actions.iter().position(|action| matches!(action, Action::Finish));
        assert!(finish.is_none_or(|at| at + 1 == actions.len()), "Finish is the last action");
        assert!(finish.is_none() || self.next.finished, "Finish, and no end");
        for action in actions {
            match action {
                Action::OpenAri => {
                    assert!(!self.socket_is_up && !self.socket_is_asked_for, "a second event socket");
                    self.socket_is_asked_for = true;
                }
                Action::CloseAri => self.socket_is_up = false,
                Action::Ari { id, method, path, .. } => {
                    self.asks(id, method.as_str(), self.out.text(path).to_owned());
                }
                Action::StartCall { call, entry, .. } => self.call_begins(call, entry),
                Action::ToCall { call, event } => {
                    let has_left = self.out.text(event).contains("StasisEnd");
                    self.live_mut(call).has_lost_caller |= has_left;
                }
                Action::ToAll(LinkState::Up) => self.live.iter_mut().for_each(|live| live.is_to_look = true),
                Action::StopCall { call, reason } => {
                    let live = self.live_mut(call);
                    live.is_stopped = true;
                    live.is_succeeded |= reason == StopReason::CallerLeft;
                    live.has_lost_caller |= reason != StopReason::Shutdown && reason != StopReason::AtOnce;
                }
                Action::PingAri | Action::ToAll(LinkState::Down) | Action::Observe(_) | Action::Finish => {}
            }
        }
    }

    fn asks(&mut self, id: RequestId, method: &'static str, path: String) {
        let line = format!("{method} {path}");
        self.story.push(format!("        asks {line}"));
        self.oracle.sent(None, id, method, &path);
        let has_caller = self.live.iter().any(|live| !live.is_ending());
        assert!(method == "GET" || !has_caller, "a caller who is in a call is sent away");
        self.requests.push(Request { id, line, done: None });
    }

    fn call_begins(&mut self, id: CallId, entry: Entry) {
        self.story.push(format!("        begins {id}, {entry:?}"));
        let others = self.live.iter().filter(|live| !live.is_succeeded && !live.has_lost_caller);
        assert_eq!(others.count(), 0, "a second call of one caller");
        self.calls_begun += 1;
        self.adopted += u64::from(entry == Entry::Adopted);
        // An event that is older than the look by which a caller was found may end that call, and the next one begins it
        // once more.
        assert!(self.calls_begun <= self.arrivals as u64 + self.adopted, "more calls than callers");
        assert!(!self.is_draining, "a call begins although the process is to stop");
        self.live.push(Live {
            id,
            has_lost_caller: false,
            is_stopped: false,
            is_succeeded: false,
            is_to_look: false,
        });
    }
}

impl Drop for Board {
    /// Whoever finds a switchboard that does what it must not knows nothing of what led there.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("leaf {:?}:\n{}", self.odometer.reading(), self.story.join("\n"));
        }
    }
}
