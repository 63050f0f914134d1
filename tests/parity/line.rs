//! The bridge as a service inside the test, and what is on both sides of it.

use ari_bridge_core::call::Outcome;
use ari_bridge_core::config::Config;
use ari_bridge_core::id::CallId;
use ari_bridge_core::observe::{Observation, Recovery, Severity, Upkeep};
use ari_bridge_core::sim::asterisk::{CallerState, Settings};
use ari_bridge_core::sim::realtime::{self, Agent, Answer, Speech};
use ari_bridge_host::standin::{
    AsteriskServer, CallerSeen, RealtimeSeen, RealtimeServer, parrot, serve_asterisk, serve_realtime,
};
use ari_bridge_host::{Options, Runtime, Service, ToolAnswer, ToolCall, Watch};
use ari_bridge_tests::measure::{self, RATE};
use ari_bridge_tests::process::{self, PATIENCE};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::logs::{LOG_BYTES, Log, live_again};
use crate::trace::{Told, Trace};

/// How often it is looked.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// From this correlation on a piece of so many samples, a quarter of a second, was heard. Half of them make an utterance:
/// on a busy machine a frame may come so late that a slot is left out, and the piece with it.
const HEARD: f64 = 0.9;
const PIECE: usize = RATE / 4;

/// A frame that is louder is sound: RMS of 16-bit samples.
pub(crate) const SOUND_RMS: u16 = 300;

/// Who calls, in most stories.
pub(crate) const CALLER: u64 = 1;

/// An address where no Realtime server listens.
pub(crate) const NOBODY: (&str, &str) = ("OPENAI_REALTIME_URL", "ws://127.0.0.1:1/v1/realtime");

/// Settings for these two; `set` are variables that differ from what is usual here.
pub(crate) fn config(ari_url: &str, realtime_url: &str, set: &[(&str, &str)]) -> Config {
    let (usual, key) = (process::usual(ari_url, realtime_url), realtime::Settings::default().key);
    let usual = usual.iter().map(|(name, value)| (*name, &**value));
    let ours = [("OPENAI_API_KEY", &*key), ("DRAIN_SECONDS", "0"), ("VOLUME_BOOST", "1")];
    let all = usual.chain(ours).chain(set.iter().copied());
    Config::from_variables(all).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Tells what happens, in its order, and does what the story does meanwhile.
struct Teller {
    tell: Mutex<Sender<Told>>,
    keep: Mutex<Sender<Log>>,
    also: Arc<dyn Watch>,
}

impl Watch for Teller {
    fn observe(&self, call: Option<CallId>, observation: &Observation) {
        let _ = self.tell.lock().unwrap().send((call, *observation));
        self.also.observe(call, observation);
    }

    fn log(&self, call: Option<CallId>, log: Vec<u8>) {
        let _ = self.keep.lock().unwrap().send((call, log));
    }

    fn tool(&self, tool: ToolCall, answer: ToolAnswer) {
        self.also.tool(tool, answer);
    }
}

/// Who does nothing.
struct Nobody;

impl Watch for Nobody {}

/// What a story may have otherwise than usual.
pub(crate) struct Setting<'a> {
    /// Variables.
    pub(crate) set: &'a [(&'a str, &'a str)],
    /// The Realtime server.
    pub(crate) model: realtime::Settings,
    /// Who answers: for each session one.
    pub(crate) agent: Box<dyn Fn() -> Box<dyn Agent> + Send + Sync>,
    /// Who sees what happens, and performs functions.
    pub(crate) watch: Arc<dyn Watch>,
    /// A last look at the settings.
    pub(crate) change: fn(&mut Config),
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self {
            set: &[],
            model: realtime::Settings::default(),
            agent: Box::new(parrot),
            watch: Arc::new(Nobody),
            change: |_| {},
        }
    }
}

impl<'a> Setting<'a> {
    pub(crate) fn set(set: &'a [(&'a str, &'a str)]) -> Self {
        Self { set, ..Self::default() }
    }

    pub(crate) fn agent(agent: impl Fn() -> Box<dyn Agent> + Send + Sync + 'static) -> Self {
        Self { agent: Box::new(agent), ..Self::default() }
    }
}

/// One caller or some, the bridge, and what is on both sides of it.
pub(crate) struct Line {
    pub(crate) asterisk: AsteriskServer,
    pub(crate) realtime: RealtimeServer,
    pub(crate) service: Service,
    told: Receiver<Told>,
    logs: Receiver<Log>,
    /// What was told so far.
    past: Vec<Told>,
    callers: BTreeSet<u64>,
}

impl Line {
    /// A bridge that has begun, between two stand-ins.
    pub(crate) fn begun(on: &Runtime, setting: Setting<'_>) -> Self {
        let asterisk = serve_asterisk(Settings::default()).unwrap();
        let url = asterisk.url();
        Self::between(on, asterisk, &url, setting)
    }

    /// The same, with this address for that Asterisk.
    pub(crate) fn between(
        on: &Runtime,
        asterisk: AsteriskServer,
        ari_url: &str,
        setting: Setting<'_>,
    ) -> Self {
        let Setting { set, model, agent, watch, change } = setting;
        let realtime = serve_realtime(model, agent).unwrap();
        let mut config = config(ari_url, &realtime.url(), set);
        change(&mut config);
        let ((tell, told), (keep, logs)) = (channel(), channel());
        let teller = Teller { tell: Mutex::new(tell), keep: Mutex::new(keep), also: watch };
        let options = Options { log_bytes: Some(LOG_BYTES), ..Options::watched(Arc::new(teller)) };
        let service = (on.start)(config, options).unwrap();
        Self { asterisk, realtime, service, told, logs, past: Vec::new(), callers: BTreeSet::new() }
    }

    /// A bridge that is ready for calls.
    pub(crate) fn with(on: &Runtime, setting: Setting<'_>) -> Self {
        let mut line = Self::begun(on, setting);
        line.is_ready();
        line
    }

    /// Waits until events flow, and what there was on Asterisk before is settled.
    pub(crate) fn is_ready(&mut self) {
        self.until(|o| matches!(o, Observation::AriUp));
        self.until(|o| matches!(o, Observation::Upkeep(Upkeep::Resynced { .. })));
    }

    /// The same with a parrot, and a caller who has been answered.
    pub(crate) fn answered(on: &Runtime) -> Self {
        let mut line = Self::with(on, Setting::default());
        line.calls(CALLER);
        line.until(|o| matches!(o, Observation::Answered { .. }));
        line
    }

    /// Somebody calls.
    pub(crate) fn calls(&mut self, caller: u64) {
        self.callers.insert(caller);
        self.asterisk.dial(caller, "+4930123456", "100");
    }

    /// Waits until something is told.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Observation) -> bool) -> Observation {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let Ok((call, observation)) = self.told.recv_timeout(left) else {
                panic!("it never came; told: {:#?}", self.lines());
            };
            self.past.push((call, observation));
            if wanted(&observation) {
                return observation;
            }
        }
    }

    /// Waits until both are told, in whichever order.
    pub(crate) fn until_both(
        &mut self,
        one: impl Fn(&Observation) -> bool,
        other: impl Fn(&Observation) -> bool,
    ) {
        let first = self.until(|o| one(o) || other(o));
        self.until(|o| if one(&first) { other(o) } else { one(o) });
    }

    /// Waits until a conversation is kept going like this.
    pub(crate) fn until_recovery(&mut self, wanted: impl Fn(&Recovery) -> bool) {
        self.until(|o| matches!(o, Observation::Recovery(told) if wanted(told)));
    }

    /// Waits until a call is over.
    pub(crate) fn outcome(&mut self) -> Outcome {
        match self.until(|o| matches!(o, Observation::CallEnded(_))) {
            Observation::CallEnded(outcome) => outcome,
            other => unreachable!("{other:?}"),
        }
    }

    /// Waits until a caller was in this state.
    pub(crate) fn until_caller(&mut self, caller: u64, state: CallerState) {
        let was = self.asterisk.wait(caller, PATIENCE, was(state));
        assert!(was, "not {state:?}: {:?}; {:#?}", self.asterisk.seen(caller).states, self.lines());
    }

    pub(crate) fn was(&self, caller: u64, state: CallerState) -> bool {
        was(state)(&self.asterisk.seen(caller))
    }

    /// What was told so far, as far as somebody has waited for it.
    pub(crate) fn past(&self) -> impl Iterator<Item = &Observation> {
        self.past.iter().map(|(_, observation)| observation)
    }

    pub(crate) fn recoveries(&self) -> Vec<Recovery> {
        self.past()
            .filter_map(|o| if let Observation::Recovery(told) = o { Some(*told) } else { None })
            .collect()
    }

    /// What was told, as the log has it, without what is only counted.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        self.past.extend(self.told.try_iter());
        let is_said = |o: &&Observation| o.severity() > Severity::Count;
        self.past().filter(is_said).map(ToString::to_string).collect()
    }

    /// How many samples the caller has heard so far.
    pub(crate) fn heard_samples(&self) -> usize {
        self.asterisk.seen(CALLER).ear.heard().len()
    }

    /// Waits until the caller has heard this behind so many samples, and tells where it begins there.
    pub(crate) fn hears(&mut self, said: &[i16], behind: usize) -> usize {
        self.caller_hears(CALLER, said, behind)
    }

    /// As [`Line::hears`], of any caller.
    pub(crate) fn caller_hears(&mut self, caller: u64, said: &[i16], behind: usize) -> usize {
        let mut pieces = Vec::new();
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            let seen = self.asterisk.seen(caller);
            pieces = heard_pieces(seen.ear.heard().get(behind..).unwrap_or_default(), said);
            if is_most(&pieces) {
                return pieces.iter().flatten().min().copied().unwrap_or_default();
            }
            std::thread::sleep(LOOK_EVERY * 10);
        }
        panic!("it is not heard: {pieces:?}; {:#?}", self.lines());
    }

    /// Whether a caller has heard this.
    pub(crate) fn has_heard(&self, caller: u64, said: &[i16]) -> bool {
        is_most(&heard_pieces(self.asterisk.seen(caller).ear.heard(), said))
    }

    /// The caller speaks, and hears it said back in full.
    pub(crate) fn is_understood(&mut self, said: &[i16]) {
        let before = self.heard_samples();
        self.asterisk.speak(CALLER, said);
        self.until(is_completed);
        self.hears(said, before);
    }

    /// What the admin listener answers.
    pub(crate) fn get(&self, path: &str) -> String {
        get(self.service.admin_addr(), path)
    }

    /// Everybody hangs up, the service is drained, and nothing is left: not on Asterisk, and no session.
    pub(crate) fn ends(mut self) -> Ended {
        self.callers.iter().for_each(|caller| self.asterisk.hang_up(*caller));
        let mut trace = Trace::default();
        while self.under_way() > 0 {
            let _ = self.outcome();
        }
        trace.metrics(&self.get("/metrics"));
        // A goodbye to the model that is on its way would be cut short by the end of the service.
        until_no_session(&self.realtime);
        self.service.drain();
        self.stops(trace)
    }

    /// The service, which is to end, ends.
    pub(crate) fn stops(mut self, mut trace: Trace) -> Ended {
        self.callers.iter().for_each(|caller| self.asterisk.hang_up(*caller));
        self.service.join().unwrap();
        self.past.extend(self.told.try_iter());
        until_no_session(&self.realtime);
        assert_eq!(self.asterisk.objects(), (0, 0), "a channel or a bridge is left");
        let logs: Vec<_> = self.logs.try_iter().collect();
        assert_eq!(logs.len(), 1 + started(&self.past), "one of each call, and one of the switchboard");
        live_again(&logs, &self.past);
        trace.told(&self.past);
        for caller in &self.callers {
            trace.callers(&self.asterisk, *caller);
        }
        let seen = self.realtime.seen();
        trace.note("realtime: opened", seen.opened);
        trace.note("realtime: closed", &seen.closed);
        Ended { trace, told: self.past, realtime: seen, logs }
    }

    /// How many calls are under way, as far as it was told.
    fn under_way(&mut self) -> usize {
        self.past.extend(self.told.try_iter());
        started(&self.past) - self.past().filter(|o| matches!(o, Observation::CallEnded(_))).count()
    }

    /// What was told so far, and what the callers went through, of a service that is left as it is with its calls over.
    pub(crate) fn left(mut self) -> Trace {
        self.past.extend(self.told.try_iter());
        let logs: Vec<_> = self.logs.try_iter().collect();
        assert_eq!(logs.len(), started(&self.past), "one of each call");
        live_again(&logs, &self.past);
        let mut trace = Trace::default();
        trace.metrics(&self.get("/metrics"));
        trace.told(&self.past);
        for caller in &self.callers {
            trace.callers(&self.asterisk, *caller);
        }
        trace
    }
}

/// Every session is over soon: it was closed, or its connection is gone.
fn until_no_session(realtime: &RealtimeServer) {
    let give_up = Instant::now() + PATIENCE;
    while realtime.open() > 0 {
        assert!(Instant::now() < give_up, "a link is left");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// How many calls have begun.
fn started(told: &[Told]) -> usize {
    told.iter().filter(|(_, told)| matches!(told, Observation::CallStarted)).count()
}

/// What there is when all is over.
pub(crate) struct Ended {
    pub(crate) trace: Trace,
    pub(crate) told: Vec<Told>,
    pub(crate) realtime: RealtimeSeen,
    /// The captures of the calls, and of the switchboard.
    pub(crate) logs: Vec<Log>,
}

/// Where each piece of `said` begins in `heard`, where it does. In real time a busy machine may leave out a moment, so
/// that the whole of it need not be found at one place.
fn heard_pieces(heard: &[i16], said: &[i16]) -> Vec<Option<usize>> {
    let pieces = said.chunks_exact(PIECE).map(|piece| measure::find(heard, piece));
    pieces.map(|found| (found.correlation >= HEARD).then_some(found.lag.max(0.0) as usize)).collect()
}

/// Whether those that were heard make an utterance.
fn is_most(pieces: &[Option<usize>]) -> bool {
    pieces.iter().flatten().count() * 2 >= pieces.len()
}

/// What the admin listener at this address answers.
pub(crate) fn get(admin: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(crate) fn was(state: CallerState) -> impl Fn(&CallerSeen) -> bool {
    move |seen| seen.states.iter().any(|(_, seen)| *seen == state)
}

pub(crate) fn is_down(observation: &Observation) -> bool {
    matches!(observation, Observation::RealtimeDown { .. })
}

/// An answer was made to its end.
pub(crate) fn is_completed(observation: &Observation) -> bool {
    matches!(observation, Observation::ResponseDone { status, .. } if status.as_str() == "completed")
}

/// An agent says this.
pub(crate) fn speech(samples: &[i16], transcript: &str) -> Answer {
    let (samples, rate, transcript) = (samples.to_vec(), RATE as u32, transcript.to_owned());
    Answer::Speech(Speech { samples, rate, transcript })
}

/// The messages of one type.
pub(crate) fn of_type(seen: &RealtimeSeen, wanted: &str) -> Vec<Value> {
    let messages = seen.messages.iter().map(|message| serde_json::from_str::<Value>(message).unwrap());
    messages.filter(|message| message["type"] == wanted).collect()
}
