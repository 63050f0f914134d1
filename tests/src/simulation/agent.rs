//! Who speaks behind the Realtime links of a simulation: an agent that says anything, and knows when to be sensible.

use ari_bridge_core::codec::Decoder;
use ari_bridge_core::format::Encoding;
use ari_bridge_core::rng::Rng;
use ari_bridge_core::sim::realtime::{Agent, Answer, FunctionCall, Prompt, Speech};
use ari_bridge_core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// At what rate it speaks, in samples per second: that of G.711, so that what it says goes through unchanged.
const RATE: u32 = 8_000;

/// The bytes that mark what it says, one for each answer: those of G.711 µ-law that are loud.
const MARKS: [core::ops::Range<u8>; 2] = [0x00..0x30, 0x80..0xB0];

/// What all agents of a life know.
#[derive(Clone, Debug, Default)]
pub(super) struct Mind(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_sensible: AtomicBool,
    said: AtomicUsize,
}

impl Mind {
    /// From now on every prompt is answered, with a second of speech.
    pub(super) fn come_to_reason(&self) {
        self.0.is_sensible.store(true, Ordering::Relaxed);
    }
}

/// An agent whose answers a seed decides.
#[derive(Debug)]
pub(super) struct Talker {
    pub(super) rng: Rng,
    pub(super) mind: Mind,
    /// Whether its answers may fail.
    pub(super) may_fail: bool,
}

impl Talker {
    /// So much of one sound, which no other answer has.
    fn speech(&self, millis: u32) -> Speech {
        let said = self.mind.0.said.fetch_add(1, Ordering::Relaxed);
        let marks: Vec<u8> = MARKS.into_iter().flatten().collect();
        let mark = marks[said % marks.len()];
        let mut samples = Vec::new();
        Decoder::new(Encoding::Pcmu).decode(&[mark], &mut samples);
        let sample = samples.first().copied().unwrap_or_default();
        let samples = vec![sample; (RATE / 1000 * millis) as usize];
        Speech { samples, rate: RATE, transcript: "I am told to say this.".into() }
    }

    fn called(&mut self) -> FunctionCall {
        let calls = [
            ("hang_up", "{}"),
            ("transfer", r#"{"destination":"operator"}"#),
            ("transfer", r#"{"destination":"0900123456"}"#),
            ("look_up", r#"{"q":1}"#),
            ("look_up", r#"{"q":2}"#),
            ("look_up", "[1"),
            ("made_up", "{}"),
        ];
        let (name, arguments) = calls[self.rng.below(calls.len() as u32) as usize];
        FunctionCall { name: name.into(), arguments: arguments.into() }
    }

    fn failure(&mut self) -> Answer {
        let code = ["server_error", "inappropriate"][self.rng.below(2) as usize].to_owned();
        let millis = 20 * self.rng.below(100);
        let speech = self.speech(millis);
        match self.rng.below(6) {
            0 => Answer::Failure { code },
            1 => Answer::RateLimited { reset: Duration::from_millis(u64::from(self.rng.below(3000))) },
            2 => Answer::Broken { speech, code },
            3 => Answer::Incomplete { speech: Some(speech), reason: "content_filter".into() },
            4 => Answer::Incomplete { speech: None, reason: "max_output_tokens".into() },
            _ => Answer::Nothing,
        }
    }
}

impl Agent for Talker {
    fn answer(&mut self, _prompt: Prompt<'_>) -> Answer {
        if self.mind.0.is_sensible.load(Ordering::Relaxed) {
            return Answer::Speech(self.speech(1000));
        }
        match self.rng.below(16) {
            0 | 1 if self.may_fail => self.failure(),
            2 => {
                let says = self.rng.below(2) == 0;
                let speech = says.then(|| self.speech(400));
                let calls = (0..1 + self.rng.below(2)).map(|_| self.called()).collect();
                Answer::Calls { speech, calls }
            }
            3 => Answer::Speech(self.speech(20)),
            _ => {
                let millis = 100 + self.rng.below(3_000);
                Answer::Speech(self.speech(millis))
            }
        }
    }

    fn write_down(&mut self, _samples: &[i16], _rate: u32) -> Option<String> {
        Some("This is what I said.".to_owned())
    }
}
