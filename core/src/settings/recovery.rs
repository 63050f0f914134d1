//! What is done when the Realtime side fails: patience, sounds, the way back into the dialplan, and money.

use crate::observe::{Usage, UsageKind};
use crate::time::Duration;
use core::fmt;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a conversation is carried over from one Realtime session to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recovery {
    /// How long a lost session is tried to be replaced, since it was lost; zero means that a call ends with its
    /// session.
    pub retry_for: Duration,
    /// What becomes of an answer that the loss cut off.
    pub resume: Resume,
    /// How much of the conversation a new session is told, in tokens as they are estimated here.
    pub history_tokens: u32,
}

/// What becomes of an answer that was being heard when its session was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Resume {
    /// The agent is asked to go on where it was cut off.
    #[default]
    Continue,
    /// The agent is asked to say it once more.
    Repeat,
    /// Nothing: the caller speaks next.
    Off,
}

impl Resume {
    /// All of them, for help texts and tests.
    pub const ALL: [Self; 3] = [Self::Continue, Self::Repeat, Self::Off];

    /// The name in `RECONNECT_RESUME`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Repeat => "repeat",
            Self::Off => "off",
        }
    }
}

/// What follows when the caller has spoken and nothing happens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadAir {
    /// How long nothing may happen; `None` means for ever, and then there are no steps.
    pub after: Option<Duration>,
    /// What is done then, one step each time that so long has passed again: one or more, of which the last one is
    /// repeated.
    pub steps: Vec<DeadAirStep>,
}

/// A step out of dead air.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DeadAirStep {
    /// The caller hears [`Prompt::Moment`] the first time, and then [`Prompt::Comfort`].
    Filler,
    /// The agent is asked to answer once more.
    Ask,
    /// The session is given up, and the conversation goes on in a new one.
    Reconnect,
    /// The call goes where [`Fallback`] says.
    Fallback,
}

impl DeadAirStep {
    /// All of them, for help texts and tests.
    pub const ALL: [Self; 4] = [Self::Filler, Self::Ask, Self::Reconnect, Self::Fallback];

    /// The name in `DEAD_AIR_STEPS`, and the value of the label `step` in the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filler => "filler",
            Self::Ask => "ask",
            Self::Reconnect => "reconnect",
            Self::Fallback => "fallback",
        }
    }
}

/// What follows when an answer has failed and failed again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FailedAnswer {
    /// The caller hears [`Prompt::Sorry`] and may speak again; after three such turns in a row, as [`Self::Fallback`].
    #[default]
    Prompt,
    /// The call goes where [`Fallback`] says.
    Fallback,
}

impl FailedAnswer {
    /// All of them, for help texts and tests.
    pub const ALL: [Self; 2] = [Self::Prompt, Self::Fallback];

    /// The name in `FAILED_ANSWER`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Fallback => "fallback",
        }
    }
}

/// Where a caller goes with whom no conversation is possible.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fallback {
    /// On in the dialplan; one who was answered hears [`Prompt::Moment`] first.
    Dialplan(Place),
    /// Nowhere: one who was answered hears [`Prompt::Goodbye`] and is hung up; one who was not hears congestion.
    HangUp,
}

impl Default for Fallback {
    fn default() -> Self {
        Self::Dialplan(Place::default())
    }
}

/// A place in the dialplan, as `POST /channels/{id}/continue` takes it. What is not named is as Asterisk has it
/// (`res/ari/resource_channels.c`); without any of them it is the next priority.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Place {
    /// The context; without it that of the channel.
    pub context: Option<String>,
    /// The extension in it; without it `s` if a context is named, else that of the channel.
    pub extension: Option<String>,
    /// The priority in that, 1 or more; without it 1 if a context or an extension is named, else the next one.
    pub priority: Option<u32>,
}

/// When a Realtime side that fails for every call is left in peace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// After so many calls in a row that it failed for; one or more.
    pub calls: u32,
    /// For so long no call tries it; after that one at a time does.
    pub wait: Duration,
}

impl Default for Recovery {
    fn default() -> Self {
        Self { retry_for: Duration::from_secs(20), resume: Resume::Continue, history_tokens: 8000 }
    }
}

impl Default for DeadAir {
    fn default() -> Self {
        Self { after: Some(Duration::from_millis(5000)), steps: DeadAirStep::ALL.to_vec() }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { calls: 3, wait: Duration::from_secs(15) }
    }
}

/// A sound of the bridge's own, for when the model does not speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Prompt {
    /// One moment, please.
    Moment,
    /// It is not going well; please say it again.
    Sorry,
    /// Goodbye.
    Goodbye,
    /// Something is going on; heard again and again.
    Comfort,
}

impl Prompt {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Moment, Self::Sorry, Self::Goodbye, Self::Comfort];

    /// Its name, in small letters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Moment => "moment",
            Self::Sorry => "sorry",
            Self::Goodbye => "goodbye",
            Self::Comfort => "comfort",
        }
    }
}

/// Samples per second of a prompt: those of the model's PCM.
pub const PROMPT_RATE: u32 = 24_000;

/// The longest prompt, in seconds: a caller who hears it waits.
pub const MAX_PROMPT_SECONDS: u32 = 10;

/// What each [`Prompt`] sounds like: mono, [`PROMPT_RATE`], 16 bits. Built in are short tones, which are made when they
/// are asked for.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Prompts([Option<Arc<[i16]>>; 4]);

impl Prompts {
    /// The sound.
    #[must_use]
    pub fn get(&self, prompt: Prompt) -> Arc<[i16]> {
        self.own(prompt).cloned().unwrap_or_else(|| built_in(prompt))
    }

    /// The sound if it is not the built-in one.
    #[must_use]
    pub fn own(&self, prompt: Prompt) -> Option<&Arc<[i16]>> {
        let [moment, sorry, goodbye, comfort] = &self.0;
        let slot = match prompt {
            Prompt::Moment => moment,
            Prompt::Sorry => sorry,
            Prompt::Goodbye => goodbye,
            Prompt::Comfort => comfort,
        };
        slot.as_ref()
    }

    /// Sets the sound; what is longer than [`MAX_PROMPT_SECONDS`] is cut.
    pub fn set(&mut self, prompt: Prompt, samples: &[i16]) {
        let longest = (PROMPT_RATE * MAX_PROMPT_SECONDS) as usize;
        let samples = samples.get(..longest).unwrap_or(samples);
        let [moment, sorry, goodbye, comfort] = &mut self.0;
        let slot = match prompt {
            Prompt::Moment => moment,
            Prompt::Sorry => sorry,
            Prompt::Goodbye => goodbye,
            Prompt::Comfort => comfort,
        };
        *slot = Some(samples.into());
    }
}

fn built_in(prompt: Prompt) -> Arc<[i16]> {
    match prompt {
        Prompt::Moment => tones(&[(440, 180), (660, 240)]),
        Prompt::Sorry => tones(&[(440, 160), (370, 160), (311, 240)]),
        Prompt::Goodbye => tones(&[(660, 180), (440, 300)]),
        Prompt::Comfort => tones(&[(440, 120)]),
    }
}

impl fmt::Debug for Prompts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |prompt: Prompt| self.get(prompt).len() as f64 / f64::from(PROMPT_RATE);
        f.debug_map().entries(Prompt::ALL.map(|prompt| (prompt, seconds(prompt)))).finish()
    }
}

/// Tones one behind the other, each of so many hertz for so many milliseconds: triangles, made of integers alone, so
/// that they are the same on every machine.
fn tones(tones: &[(i32, i32)]) -> Arc<[i16]> {
    const RATE: i32 = PROMPT_RATE as i32;
    const FADE: i32 = RATE / 100;
    const PEAK: i32 = 5_000;
    let tone = |&(hertz, millis): &(i32, i32)| {
        let samples = RATE / 1000 * millis;
        (0..samples).map(move |n| {
            let phase = n * hertz % RATE;
            let triangle = (phase - RATE / 2).abs() * 2 * PEAK / (RATE / 2) - PEAK;
            let fade = n.min(samples - 1 - n).min(FADE);
            (triangle * fade / FADE) as i16
        })
    };
    tones.iter().flat_map(tone).collect()
}

/// What a model costs, in billionths of a US dollar for each token: dollars for a million tokens, times a thousand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// Text that goes in.
    pub text_in: u64,
    /// Text that goes in and was there before.
    pub text_cached: u64,
    /// Text that comes out.
    pub text_out: u64,
    /// Audio that goes in.
    pub audio_in: u64,
    /// Audio that goes in and was there before.
    pub audio_cached: u64,
    /// Audio that comes out.
    pub audio_out: u64,
}

impl Prices {
    /// What a model of OpenAI's costs by OpenAI's list as it was in November 2026: text in, cached and out, then
    /// audio. Such a list changes, and what an account pays may be another; `None` for a model that is not on it.
    #[must_use]
    pub fn of_model(model: &str) -> Option<Self> {
        let [text_in, text_cached, text_out, audio_in, audio_cached, audio_out] = match model {
            "gpt-realtime-2.1" | "gpt-realtime-2" => [4_000, 400, 24_000, 32_000, 400, 64_000],
            "gpt-realtime-1.5" => [4_000, 400, 16_000, 32_000, 400, 64_000],
            "gpt-realtime-2.1-mini" | "gpt-realtime-mini" | "gpt-realtime-mini-2025-12-15" => {
                [600, 60, 2_400, 10_000, 300, 20_000]
            }
            _ => return None,
        };
        Some(Self { text_in, text_cached, text_out, audio_in, audio_cached, audio_out })
    }

    /// What this costs, in billionths of a US dollar.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> u64 {
        let price = |kind| match kind {
            UsageKind::TextIn => self.text_in,
            UsageKind::TextCached => self.text_cached,
            UsageKind::TextOut => self.text_out,
            UsageKind::AudioIn => self.audio_in,
            UsageKind::AudioCached => self.audio_cached,
            UsageKind::AudioOut => self.audio_out,
        };
        let costs = UsageKind::ALL.map(|kind| usage.of(kind).saturating_mul(price(kind)));
        costs.into_iter().fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_prompts_are_short_and_begin_and_end_softly() {
        let prompts = Prompts::default();
        for prompt in Prompt::ALL {
            let samples = prompts.get(prompt);
            assert!((2_000..24_000).contains(&samples.len()), "{prompt:?}");
            assert_eq!((samples.first(), samples.last()), (Some(&0), Some(&0)), "{prompt:?}");
            assert!(samples.iter().any(|sample| *sample > 4_000), "{prompt:?}");
        }
    }

    #[test]
    fn a_minute_of_the_small_model_costs_what_its_page_says() {
        let mini = Prices::of_model("gpt-realtime-2.1-mini").unwrap();
        // 600 tokens of the caller's voice and 1,200 of the agent's: 0.6 and 2.4 cents.
        let mut usage = Usage::default();
        usage.add(UsageKind::AudioIn, 600);
        usage.add(UsageKind::AudioOut, 1_200);
        assert_eq!(mini.cost(&usage), 6_000_000 + 24_000_000);
    }
}
