//! Every order of what can happen while the switchboard asks Asterisk what there is: a caller comes and goes, the event
//! socket breaks or falls silent, requests are carried out and answered now or later, one of them with an error or not
//! at all, and calls end. Beside the switchboard stands a model of an Asterisk with one caller, a stray media channel and
//! a stray bridge. Each run makes other choices than all before it, until there are none left.

use ari_bridge_core::call::{EndReason, IoFault, LinkState, Origin, Outcome, StopReason};
use ari_bridge_core::id::{CallId, InstanceNonce, RequestId};
use ari_bridge_core::settings::SwitchboardSettings;
use ari_bridge_core::switchboard::{Action, Actions, Input, Next, Switchboard, Wake};
use ari_bridge_core::time::{Duration, Instant, UtcNanos};
use std::collections::{BTreeMap, VecDeque};

const CALLER: &str = "17.1";
const MEDIA: &str = "arib0badcafe-1-1";
const BRIDGE: &str = "arib0badcafe-1-2";
const START: &str =
    r#"{"type":"StasisStart","args":[],"channel":{"id":"17.1","name":"PJSIP/a-1","state":"Up"}}"#;
const END: &str = r#"{"type":"StasisEnd","channel":{"id":"17.1","name":"PJSIP/a-1","state":"Up"}}"#;
const INFO: &str = r#"{"system":{"entity_id":"1"},"status":{"startup_time":"2026-11-24T00:00:00.000+0000"}}"#;

/// After so many steps a run is taken for one that never ends.
const MAX_STEPS: usize = 300;

/// What may happen in a run, and what there is at its start.
#[derive(Clone, Copy, Debug)]
struct Plot {
    /// The caller waits in the application from the start.
    waits: bool,
    /// A media channel and a bridge of an earlier run are there.
    strays: bool,
    /// How often the caller comes.
    comes: usize,
    /// How often it goes.
    goes: usize,
    /// It goes into the dialplan, and does not hang up.
    stays_on_asterisk: bool,
    /// How often the event socket breaks.
    breaks: usize,
    /// How often it falls silent without breaking.
    falls_silent: usize,
    /// How many requests are not answered as they should be.
    faults: usize,
    adopt: bool,
}

const PLOT: Plot = Plot {
    waits: false,
    strays: false,
    comes: 0,
    goes: 0,
    stays_on_asterisk: false,
    breaks: 0,
    falls_silent: 0,
    faults: 0,
    adopt: true,
};

/// The choices of a run, and how many there were each time.
#[derive(Default)]
struct Choices {
    made: Vec<(usize, usize)>,
    at: usize,
}

impl Choices {
    fn choose(&mut self, options: usize) -> usize {
        if self.at == self.made.len() {
            self.made.push((0, options));
        }
        let (choice, known) = self.made[self.at];
        assert_eq!(known, options, "the same choices lead to the same state");
        self.at += 1;
        choice
    }

    /// Makes the choices of the next run; `false` if all were made.
    fn go_on(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, options)) = self.made.pop() {
            if choice + 1 < options {
                self.made.push((choice + 1, options));
                return true;
            }
        }
        false
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Move {
    Opened,
    Breaks,
    FallsSilent,
    Comes,
    Goes,
    /// The next event arrives.
    Event,
    /// A request is carried out.
    Executed(RequestId),
    /// Its reply arrives.
    Replied(RequestId),
    /// It is answered with an error, and had no effect. That something is not there is no error, but the truth.
    Refused(RequestId),
    /// It had no effect, and no reply comes.
    Lost(RequestId),
    /// It was carried out, and no reply comes.
    Unanswered(RequestId),
    Ended(CallId),
    Timer,
}

struct Request {
    line: String,
    /// What it is answered, once it is carried out.
    reply: Option<(u16, String)>,
}

/// A call, as far as the switchboard deals with it.
struct Live {
    channel: String,
    /// It was told to end, or knows that its caller is gone.
    is_ending: bool,
}

struct Run {
    plot: Plot,
    switchboard: Switchboard,
    now: Instant,
    next: Next,
    out: Actions,
    is_opening: bool,
    is_up: bool,
    is_silent: bool,
    in_application: bool,
    in_dialplan: bool,
    media: bool,
    bridge: bool,
    events: VecDeque<&'static str>,
    requests: BTreeMap<RequestId, Request>,
    calls: BTreeMap<CallId, Live>,
    moves: Vec<Move>,
}

impl Run {
    fn new(plot: Plot) -> Self {
        let mut out = Actions::new();
        let settings = SwitchboardSettings { adopt: plot.adopt, ..SwitchboardSettings::default() };
        let nonce = InstanceNonce::new(0xD35C);
        let (switchboard, next) =
            Switchboard::new(&settings, nonce, 1, UtcNanos(0), Instant::START, &mut out);
        let mut run = Self {
            plot,
            switchboard,
            now: Instant::START,
            next,
            out,
            is_opening: false,
            is_up: false,
            is_silent: false,
            in_application: plot.waits,
            in_dialplan: false,
            media: plot.strays,
            bridge: plot.strays,
            events: VecDeque::new(),
            requests: BTreeMap::new(),
            calls: BTreeMap::new(),
            moves: Vec::new(),
        };
        run.perform();
        run
    }

    /// What can happen now.
    fn possible(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        let mut may = |condition: bool, what: Move| {
            if condition {
                moves.push(what);
            }
        };
        may(self.is_opening, Move::Opened);
        may(self.is_up && !self.is_silent && !self.events.is_empty(), Move::Event);
        may(self.plot.comes > 0 && self.is_up && !self.in_application, Move::Comes);
        may(self.plot.goes > 0 && self.in_application, Move::Goes);
        may(self.plot.breaks > 0 && self.is_up && !self.is_silent, Move::Breaks);
        may(self.plot.falls_silent > 0 && self.is_up && !self.is_silent, Move::FallsSilent);
        for (id, request) in &self.requests {
            may(request.reply.is_none(), Move::Executed(*id));
            may(request.reply.is_some(), Move::Replied(*id));
            if self.plot.faults > 0 {
                let is_open = request.reply.is_none();
                may(is_open, Move::Refused(*id));
                may(is_open, Move::Lost(*id));
                may(!is_open, Move::Unanswered(*id));
            }
        }
        for (id, call) in &self.calls {
            may(call.is_ending, Move::Ended(*id));
        }
        moves
    }

    fn make(&mut self, what: Move) {
        self.moves.push(what);
        match what {
            Move::Opened => {
                (self.is_opening, self.is_up, self.is_silent) = (false, true, false);
                self.gives(Input::AriUp);
            }
            Move::Breaks => {
                self.plot.breaks -= 1;
                self.is_up = false;
                self.events.clear();
                self.gives(Input::AriDown { http_status: None, fault: Some(IoFault::Reset) });
            }
            Move::FallsSilent => {
                self.plot.falls_silent -= 1;
                self.is_silent = true;
                self.events.clear();
            }
            Move::Comes => {
                self.plot.comes -= 1;
                (self.in_application, self.in_dialplan) = (true, false);
                self.tells(START);
            }
            Move::Goes => {
                self.plot.goes -= 1;
                self.leaves();
                self.in_dialplan = self.plot.stays_on_asterisk;
            }
            Move::Event => {
                let event = self.events.pop_front().expect("one waits");
                self.gives(Input::Ari(event.as_bytes()));
            }
            Move::Executed(id) => self.executes(id),
            Move::Replied(id) => {
                let reply = self.requests.remove(&id).and_then(|request| request.reply);
                let (status, body) = reply.expect("it was carried out");
                self.gives(Input::AriReply { id, status, body: body.as_bytes() });
            }
            Move::Refused(id) => {
                self.plot.faults -= 1;
                self.requests.remove(&id);
                self.gives(Input::AriReply { id, status: 500, body: b"" });
            }
            Move::Lost(id) | Move::Unanswered(id) => {
                self.plot.faults -= 1;
                self.requests.remove(&id);
                self.gives(Input::AriFailed { id, fault: IoFault::TimedOut });
            }
            Move::Ended(call) => {
                self.calls.remove(&call);
                let outcome = Outcome {
                    ended: EndReason::CallerHungUp,
                    answered: true,
                    duration: Duration::ZERO,
                    left_behind: false,
                };
                self.gives(Input::CallFinished { call, outcome });
            }
            Move::Timer => {
                let (at, _) = self.next.deadline.expect("something is due");
                self.now = self.now.max(at);
                self.gives(Input::Timer);
            }
        }
    }

    fn tells(&mut self, event: &'static str) {
        if self.is_up && !self.is_silent {
            self.events.push_back(event);
        }
    }

    fn leaves(&mut self) {
        self.in_application = false;
        self.tells(END);
    }

    fn executes(&mut self, id: RequestId) {
        let line = self.requests[&id].line.clone();
        let line = line.split('?').next().unwrap_or_default();
        let takes_away = |there: &mut bool| (if core::mem::take(there) { 204 } else { 404 }, String::new());
        let channel = |app: &str, data: &str| {
            format!(
                r#"{{"id":"17.1","name":"PJSIP/a-1","state":"Up","dialplan":{{"app_name":"{app}","app_data":"{data}"}}}}"#
            )
        };
        let reply = match line.split_once(' ').expect("a method and a path") {
            ("GET", "/asterisk/info") => (200, INFO.to_owned()),
            ("GET", "/applications/voice-agent") => {
                let caller = self.in_application.then_some(CALLER);
                let ids: Vec<_> = caller.into_iter().chain(self.media.then_some(MEDIA)).collect();
                (200, format!(r#"{{"name":"voice-agent","channel_ids":{ids:?}}}"#))
            }
            ("GET", "/bridges") if self.bridge => {
                (200, format!(r#"[{{"id":"{BRIDGE}","name":"voice-agent","channels":[]}}]"#))
            }
            ("GET", "/bridges") => (200, "[]".to_owned()),
            ("GET", "/channels/17.1") if self.in_application => (200, channel("Stasis", "voice-agent,1,2")),
            ("GET", "/channels/17.1") if self.in_dialplan => (200, channel("Wait", "60")),
            ("GET", "/channels/17.1") => (404, String::new()),
            ("DELETE", path) if path.ends_with(MEDIA) => takes_away(&mut self.media),
            ("DELETE", path) if path.ends_with(BRIDGE) => takes_away(&mut self.bridge),
            ("POST", "/channels/17.1/variable" | "/channels/17.1/continue") if !self.in_application => {
                (if self.in_dialplan { 409 } else { 404 }, String::new())
            }
            ("POST", "/channels/17.1/variable") => (204, String::new()),
            ("POST", "/channels/17.1/continue") => {
                self.leaves();
                self.in_dialplan = true;
                (204, String::new())
            }
            _ => panic!("{line} was not expected: {:?}", self.moves),
        };
        self.requests.get_mut(&id).expect("it is there").reply = Some(reply);
    }

    fn gives(&mut self, input: Input<'_>) {
        self.now = self.now + Duration::from_micros(10);
        self.out.clear();
        self.next = self.switchboard.step(self.now, input, &mut self.out);
        self.perform();
    }

    fn perform(&mut self) {
        let out = core::mem::take(&mut self.out);
        for action in out.iter() {
            match action {
                Action::OpenAri => self.is_opening = true,
                Action::PingAri => assert!(self.is_silent, "the others are not waited for"),
                Action::CloseAri => {
                    self.is_up = false;
                    self.events.clear();
                }
                Action::Ari { id, method, path, .. } => {
                    let line = format!("{} {}", method.as_str(), out.text(path));
                    self.check_request(&line);
                    self.requests.insert(id, Request { line, reply: None });
                }
                Action::StartCall { call, entry, about, .. } => {
                    let event = Origin::new(entry, out.bytes(about)).event().expect("an event");
                    let channel = event.channel.expect("a channel").id.to_string();
                    let others = self.calls.values().filter(|call| call.channel == channel);
                    let living = others.filter(|call| !call.is_ending).count();
                    assert_eq!(living, 0, "two calls for {channel}: {:?}", self.moves);
                    self.calls.insert(call, Live { channel, is_ending: false });
                }
                Action::ToCall { call, event } => {
                    if out.bytes(event) == END.as_bytes() {
                        self.calls.entry(call).and_modify(|call| call.is_ending = true);
                    }
                }
                // Each call looks whether its caller is still there.
                Action::ToAll(LinkState::Up) if !self.in_application => {
                    self.calls.values_mut().for_each(|call| call.is_ending = true);
                }
                Action::StopCall { call, reason } => {
                    assert_eq!(reason, StopReason::CallerLeft, "{:?}", self.moves);
                    self.calls.entry(call).and_modify(|call| call.is_ending = true);
                }
                Action::ToAll(_) | Action::Observe(_) => {}
                Action::Finish => panic!("nobody has said that it is to end: {:?}", self.moves),
            }
        }
        self.out = out;
    }

    /// Nothing that a live call owns is taken from it.
    fn check_request(&self, line: &str) {
        if line.starts_with("GET") {
            return;
        }
        for (id, call) in &self.calls {
            let takes_caller = !call.is_ending && line.contains(&format!("/{}", call.channel));
            let takes_ours = line.contains(&format!("arib0000d35c-{id}-"));
            assert!(!takes_caller && !takes_ours, "{line} takes it from call {id}: {:?}", self.moves);
        }
    }

    /// Goes on until nothing can happen any more.
    fn play(&mut self, choices: &mut Choices) {
        for _ in 0..MAX_STEPS {
            let possible = self.possible();
            if possible.is_empty() {
                match self.next.deadline {
                    Some((_, Wake::Ping)) if !self.is_silent => return self.check_rest(),
                    None => return self.check_rest(),
                    Some(_) => self.make(Move::Timer),
                }
            } else {
                let choice = if possible.len() == 1 { 0 } else { choices.choose(possible.len()) };
                self.make(possible[choice]);
            }
        }
        panic!("it does not come to rest: {:?}", self.moves);
    }

    fn check_rest(&self) {
        let living: Vec<_> = self.calls.keys().collect();
        let context = format!("{:?}, {:?}", self.plot, self.moves);
        assert!(self.is_up, "without an event socket: {context}");
        assert_eq!(living.len(), usize::from(self.in_application), "calls for the caller: {context}");
        assert!(!self.media && !self.bridge, "strays are left: {context}");
    }
}

/// Plays all orders of a plot, and gives how many there are.
fn orders(plot: Plot) -> usize {
    let mut choices = Choices::default();
    for run in 1.. {
        Run::new(plot).play(&mut choices);
        if !choices.go_on() {
            return run;
        }
    }
    unreachable!("there is a last one")
}

#[test]
fn in_every_order_each_caller_has_one_call_or_is_let_go_of() {
    let plots = [
        ("strays", Plot { strays: true, faults: 1, ..PLOT }),
        ("a caller waits", Plot { waits: true, faults: 2, ..PLOT }),
        ("a caller waits among strays", Plot { waits: true, strays: true, faults: 1, ..PLOT }),
        ("it goes on", Plot { waits: true, faults: 1, adopt: false, ..PLOT }),
        ("it waits and goes", Plot { waits: true, goes: 1, faults: 1, ..PLOT }),
        ("it waits and goes on", Plot { waits: true, goes: 1, stays_on_asterisk: true, faults: 1, ..PLOT }),
        ("it comes", Plot { comes: 1, faults: 1, ..PLOT }),
        ("it comes and goes", Plot { comes: 1, goes: 1, faults: 1, ..PLOT }),
        (
            "it waits, goes and comes",
            Plot { waits: true, goes: 1, comes: 1, stays_on_asterisk: true, ..PLOT },
        ),
        ("it comes, goes and comes", Plot { comes: 2, goes: 1, stays_on_asterisk: true, ..PLOT }),
        ("the socket breaks", Plot { waits: true, breaks: 1, faults: 1, ..PLOT }),
        ("it comes, and the socket breaks", Plot { comes: 1, breaks: 1, faults: 1, ..PLOT }),
        ("it comes and goes, and the socket breaks", Plot { comes: 1, goes: 1, breaks: 1, ..PLOT }),
        ("the socket falls silent", Plot { comes: 1, falls_silent: 1, ..PLOT }),
        (
            "it comes and goes, and the socket falls silent",
            Plot { comes: 1, goes: 1, falls_silent: 1, ..PLOT },
        ),
        ("it goes on, and the socket breaks", Plot { waits: true, breaks: 1, adopt: false, ..PLOT }),
    ];
    let mut all = 0;
    for (name, plot) in plots {
        let count = orders(plot);
        println!("{name}: {count} orders");
        all += count;
    }
    println!("{all} orders in all");
    assert!(all > 10_000, "{all}: there are more");
}
