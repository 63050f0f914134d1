//! Calls that outlive their Realtime sessions, over real sockets and in real time: the service between the stand-ins.
//!
//! What is decided, and when, the simulated calls of `tests/it/sessions.rs` hold to the millisecond. Here it is the
//! order of things that counts, and that the runtime does them: each call is waited for, and none is timed.

mod relay;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ari_bridge_core::call::{EndReason, Outcome};
use ari_bridge_core::config::Config;
use ari_bridge_core::id::CallId;
use ari_bridge_core::observe::{Observation, Recovery, Severity, Upkeep};
use ari_bridge_core::settings::Prompt;
use ari_bridge_core::sim::asterisk::{CallerState, Settings};
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::sim::realtime::{self, Agent, Answer, Script, Speech};
use ari_bridge_host::standin::{
    Answered, AsteriskServer, CallerSeen, RealtimeSeen, RealtimeServer, parrot, serve_asterisk,
    serve_realtime,
};
use ari_bridge_smol::{Options, Service, Watch, start};
use ari_bridge_tests::measure::{self, RATE};
use ari_bridge_tests::speech::utterance;
use relay::Relay;
use serde_json::Value;

/// How long anything may take that is waited for. A test waits for several things, one of them slow.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// From this correlation on a piece of so many samples, half a second, was heard. Three of four make an utterance.
const HEARD: f64 = 0.9;
const PIECE: usize = RATE / 2;

/// A frame that is louder is sound: RMS of 16-bit samples.
const SOUND_RMS: u16 = 300;

const CALLER: u64 = 1;

/// Tells what happens, in its order.
struct Teller(Mutex<Sender<Observation>>);

impl Watch for Teller {
    fn observe(&self, _: Option<CallId>, observation: &Observation) {
        let _ = self.0.lock().unwrap().send(*observation);
    }
}

/// One caller, the bridge, and what is on both sides of it.
struct Line {
    asterisk: AsteriskServer,
    realtime: RealtimeServer,
    service: Service,
    told: Receiver<Observation>,
    /// What was told so far.
    past: Vec<Observation>,
}

impl Line {
    /// A bridge that is ready for calls, with a model of which each session has an agent of its own.
    fn with<F>(model: realtime::Settings, agent: F) -> Self
    where
        F: Fn() -> Box<dyn Agent> + Send + Sync + 'static,
    {
        let asterisk = serve_asterisk(Settings::default()).unwrap();
        let url = asterisk.url();
        Self::between(asterisk, &url, model, agent)
    }

    /// The same, with this address for that Asterisk.
    fn between<F>(asterisk: AsteriskServer, ari_url: &str, model: realtime::Settings, agent: F) -> Self
    where
        F: Fn() -> Box<dyn Agent> + Send + Sync + 'static,
    {
        let standin = Settings::default();
        let key = model.key.clone();
        let realtime = serve_realtime(model, agent).unwrap();
        let config = Config::from_variables([
            ("OPENAI_API_KEY", key.as_str()),
            ("OPENAI_REALTIME_URL", &realtime.url()),
            ("ARI_URL", ari_url),
            ("ARI_USER", &standin.user),
            ("ARI_PASSWORD", &standin.password),
            ("ARI_APP", &standin.app),
            ("ADMIN_BIND", "127.0.0.1:0"),
            ("DRAIN_SECONDS", "0"),
            ("VOLUME_BOOST", "1"),
        ]);
        let config = config.unwrap_or_else(|faults| panic!("{faults}"));
        let (tell, told) = channel();
        let watch = Arc::new(Teller(Mutex::new(tell)));
        let service = start(config, Options::watched(watch)).unwrap();
        let mut line = Self { asterisk, realtime, service, told, past: Vec::new() };
        line.until(|o| matches!(o, Observation::AriUp));
        line
    }

    /// The same with a parrot.
    fn new() -> Self {
        Self::with(realtime::Settings::default(), parrot)
    }

    fn dial(&self) {
        self.asterisk.dial(CALLER, "+4930123456", "100");
    }

    /// Somebody calls, and is answered.
    fn answered(&mut self) {
        self.dial();
        self.until(|o| matches!(o, Observation::Answered { .. }));
    }

    /// Waits until something is told.
    fn until(&mut self, wanted: impl Fn(&Observation) -> bool) -> Observation {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let Ok(observation) = self.told.recv_timeout(left) else {
                panic!("it never came; told: {:#?}", self.lines());
            };
            self.past.push(observation);
            if wanted(&observation) {
                return observation;
            }
        }
    }

    /// Waits until a conversation is kept going like this.
    fn until_recovery(&mut self, wanted: impl Fn(&Recovery) -> bool) {
        self.until(|o| matches!(o, Observation::Recovery(told) if wanted(told)));
    }

    fn recoveries(&self) -> Vec<Recovery> {
        let told = self.past.iter();
        told.filter_map(|o| if let Observation::Recovery(told) = o { Some(*told) } else { None }).collect()
    }

    /// What was told, as the log has it, without what is only counted.
    fn lines(&self) -> Vec<String> {
        let is_said = |o: &&Observation| o.severity() > Severity::Count;
        self.past.iter().filter(is_said).map(ToString::to_string).collect()
    }

    /// How many samples the caller has heard so far.
    fn heard_samples(&self) -> usize {
        self.asterisk.seen(CALLER).ear.heard().len()
    }

    /// Waits until the caller has heard this behind so many samples, and tells where it begins there.
    fn hears(&mut self, said: &[i16], behind: usize) -> usize {
        let mut pieces = Vec::new();
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            let seen = self.asterisk.seen(CALLER);
            pieces = heard_pieces(seen.ear.heard().get(behind..).unwrap_or_default(), said);
            if pieces.iter().flatten().count() * 4 >= pieces.len() * 3 {
                return pieces.iter().flatten().min().copied().unwrap_or_default();
            }
            std::thread::sleep(LOOK_EVERY * 10);
        }
        self.past.extend(self.told.try_iter());
        panic!("it is not heard: {pieces:?}; {:#?}", self.lines());
    }

    /// The caller speaks, and hears it said back in full.
    fn is_understood(&mut self, said: &[i16]) {
        let before = self.heard_samples();
        self.asterisk.speak(CALLER, said);
        self.hears(said, before);
    }

    fn outcome(&mut self) -> Outcome {
        match self.until(|o| matches!(o, Observation::CallEnded(_))) {
            Observation::CallEnded(outcome) => outcome,
            other => unreachable!("{other:?}"),
        }
    }

    /// The caller hangs up after all, and nothing is left: not on Asterisk, and no session.
    fn ends_well(mut self) -> (Vec<Observation>, RealtimeSeen) {
        self.asterisk.hang_up(CALLER);
        let outcome = self.outcome();
        assert!(outcome.answered && !outcome.left_behind, "{outcome:?}");
        assert_eq!(outcome.ended, EndReason::CallerHungUp);
        self.leaves_nothing()
    }

    fn leaves_nothing(mut self) -> (Vec<Observation>, RealtimeSeen) {
        self.service.drain();
        self.service.join().unwrap();
        self.past.extend(self.told.try_iter());
        // Every session is over soon: it was closed, or its connection is gone.
        let give_up = Instant::now() + PATIENCE;
        while self.realtime.open() > 0 && Instant::now() < give_up {
            std::thread::sleep(LOOK_EVERY);
        }
        assert_eq!((self.realtime.open(), self.asterisk.objects().1), (0, 0), "a link or a bridge is left");
        (self.past, self.realtime.seen())
    }
}

/// Where each piece of `said` begins in `heard`, where it does. In real time a busy machine may leave out a moment, so
/// that the whole of it need not be found at one place.
fn heard_pieces(heard: &[i16], said: &[i16]) -> Vec<Option<usize>> {
    let pieces = said.chunks_exact(PIECE).map(|piece| measure::find(heard, piece));
    pieces.map(|found| (found.correlation >= HEARD).then_some(found.lag.max(0.0) as usize)).collect()
}

fn was(state: CallerState) -> impl Fn(&CallerSeen) -> bool {
    move |seen| seen.states.iter().any(|(_, seen)| *seen == state)
}

fn is_down(observation: &Observation) -> bool {
    matches!(observation, Observation::RealtimeDown { .. })
}

/// The messages of one type.
fn of_type(seen: &RealtimeSeen, wanted: &str) -> Vec<Value> {
    let messages = seen.messages.iter().map(|message| serde_json::from_str::<Value>(message).unwrap());
    messages.filter(|message| message["type"] == wanted).collect()
}

#[test]
fn a_caller_who_speaks_while_the_session_has_to_be_left_is_answered_and_no_session_ends_by_itself() {
    // The server tells an end in whole seconds: the session is renewed in its sixth or seventh second and left in its
    // seventh or eighth.
    let model = realtime::Settings { session_limit: Duration::from_secs(8), ..realtime::Settings::default() };
    let mut line = Line::with(model, parrot);
    let said = utterance(1, 5.0);
    line.answered();
    std::thread::sleep(Duration::from_millis(3_800));
    let before = line.heard_samples();
    line.asterisk.speak(CALLER, &said);
    line.until_recovery(|told| matches!(told, Recovery::Expires { .. }));
    line.until_recovery(|told| matches!(told, Recovery::Renewed { .. }));
    assert_eq!(line.realtime.seen().opened, 2, "{:#?}", line.lines());
    // The second may have to be left, too, before all of it is said back.
    line.hears(&said, before);
    let (told, seen) = line.ends_well();
    assert!(!told.iter().any(is_down), "{told:#?}");
    assert!(seen.closed.iter().all(|code| *code == Some(1000)), "by the bridge: {:?}", seen.closed);
}

#[test]
fn an_agent_that_a_reset_cuts_off_goes_on_and_knows_what_was_heard() {
    const WORDS: &str = "Our opening hours are nine to five, and on Saturdays we close at noon.";
    let (story, rest) = (utterance(11, 8.0), utterance(12, 1.5));
    let speech = |samples: &[i16], transcript: &str| {
        let (samples, rate, transcript) = (samples.to_vec(), RATE as u32, transcript.to_owned());
        Answer::Speech(Speech { samples, rate, transcript })
    };
    let answers = [speech(&story, WORDS), speech(&rest, "Close at noon.")];
    let sessions = Mutex::new(answers.into_iter());
    let mut line = Line::with(realtime::Settings::default(), move || {
        let answer = sessions.lock().unwrap().next();
        Box::new(Script::new(answer))
    });
    line.answered();
    line.asterisk.speak(CALLER, &utterance(1, 1.0));
    // The server sends four times faster than the caller hears.
    let a_second = |seen: &CallerSeen| seen.ear.loud_frames(SOUND_RMS) >= 50;
    assert!(line.asterisk.wait(CALLER, PATIENCE, a_second), "the agent is not heard: {:#?}", line.lines());
    let before = line.heard_samples();
    line.realtime.break_all();
    line.until(is_down);
    line.until_recovery(|told| matches!(told, Recovery::Resumed { .. }));
    line.hears(&rest, before);
    assert!(
        !line.recoveries().iter().any(|told| matches!(told, Recovery::Prompt(_))),
        "what had come of the answer was heard meanwhile: {:#?}",
        line.lines()
    );
    let (_, seen) = line.ends_well();
    assert_eq!(seen.opened, 2);
    let told = of_type(&seen, "conversation.item.create");
    let heard = told.iter().find(|event| event["item"]["role"] == "assistant").expect("it was told");
    let heard = heard["item"]["content"][0]["text"].as_str().unwrap();
    // The stand-in sends all words before their audio, so that those which nobody heard are in doubt.
    assert!(WORDS.starts_with(heard) && heard.len() > 10, "{heard}");
    let asked = of_type(&seen, "response.create");
    assert!(asked.len() == 1 && asked[0].to_string().contains("Go on from exactly there"), "{asked:?}");
}

#[test]
fn a_server_that_vanishes_is_found_out_and_what_was_said_meanwhile_is_answered() {
    let mut line = Line::new();
    line.answered();
    line.is_understood(&utterance(21, 1.0));
    // Found out within some eight seconds of a caller who speaks for more than three.
    line.realtime.vanish(Duration::from_secs(12));
    let (said, before) = (utterance(22, 3.5), line.heard_samples());
    line.asterisk.speak(CALLER, &said);
    line.until_recovery(|told| *told == Recovery::Prompt(Prompt::Moment));
    let opened = line.realtime.seen().opened;
    line.until_recovery(|told| matches!(told, Recovery::Resumed { .. }));
    let answer = line.hears(&said, before);
    assert_eq!(opened, 1, "the prompt comes before the next session: {:#?}", line.lines());
    let seen = line.asterisk.seen(CALLER);
    let prompt = Caller::loud_frames_of(&seen.ear.heard()[before..before + answer], SOUND_RMS);
    assert!(prompt >= 10, "the prompt is sound at the caller's ear: {prompt} frames");
    line.ends_well();
}

#[test]
fn a_server_that_is_busy_for_a_moment_is_asked_again_while_the_caller_rings() {
    let mut line = Line::new();
    line.realtime.answer(Answered::refused(503));
    line.dial();
    let down = line.until(is_down);
    assert!(matches!(down, Observation::RealtimeDown { http_status: Some(503), .. }), "{down:?}");
    assert!(!was(CallerState::Answered)(&line.asterisk.seen(CALLER)), "it still rings");
    line.realtime.answer(Answered::Served);
    line.until_recovery(|told| matches!(told, Recovery::Retry { .. }));
    line.until(|o| matches!(o, Observation::Answered { .. }));
    line.is_understood(&utterance(31, 1.0));
    let (_, seen) = line.ends_well();
    assert_eq!(seen.opened, 1);
}

#[test]
fn a_server_that_does_not_know_the_key_is_asked_once_and_the_dialplan_knows_why() {
    let mut line = Line::new();
    line.realtime.answer(Answered::refused(401));
    line.dial();
    let down = line.until(is_down);
    assert!(matches!(down, Observation::RealtimeDown { http_status: Some(401), .. }), "{down:?}");
    let outcome = line.outcome();
    assert_eq!((outcome.ended, outcome.answered), (EndReason::RealtimeRefused, false));
    assert!(line.asterisk.wait(CALLER, PATIENCE, was(CallerState::InDialplan)));
    let status = line
        .asterisk
        .with(|machine, _, _| machine.continued_with(CALLER, "ARI_BRIDGE_STATUS").map(str::to_owned));
    assert_eq!(status.as_deref(), Some("realtime_refused"));
    assert_eq!(line.recoveries(), [], "nothing was tried again, and nobody had answered to hear anything");
    line.leaves_nothing();
}

#[test]
fn an_event_socket_that_stops_after_half_a_frame_is_replaced_within_ten_seconds_and_the_call_talks_on() {
    let asterisk = serve_asterisk(Settings::default()).unwrap();
    let relay = Relay::before(&asterisk.url());
    let mut line = Line::between(asterisk, relay.url(), realtime::Settings::default(), parrot);
    line.answered();
    relay.stop_in_the_middle();
    let stopped = Instant::now();
    line.is_understood(&utterance(41, 1.0));
    line.until(|o| matches!(o, Observation::Upkeep(Upkeep::LinkSilent)));
    line.until(|o| matches!(o, Observation::AriUp));
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}: {:#?}", stopped.elapsed(), line.lines());
    line.until(|o| matches!(o, Observation::Upkeep(Upkeep::Resynced { kept: 1, callers: 0, orphans: 0 })));
    line.is_understood(&utterance(42, 1.0));
    line.ends_well();
}
