//! Who answers the caller.

use crate::time::Duration;
use core::fmt;

/// What an agent answers to.
#[derive(Clone, Copy, Debug)]
pub enum Prompt<'a> {
    /// The caller said this: the committed turn, sample for sample.
    Turn {
        /// Mono.
        samples: &'a [i16],
        /// Samples per second.
        rate: u32,
    },
    /// The client has put something into the conversation since the last response, with or without a turn of the
    /// caller.
    Items {
        /// What came of function calls: their ids and outputs.
        outputs: &'a [(String, String)],
        /// What the user wrote.
        texts: &'a [String],
        /// What the caller said, as in [`Prompt::Turn`]: the samples and their rate.
        turn: Option<(&'a [i16], u32)>,
    },
    /// The client asks for a response (`response.create`) to nothing, or says what it wants: a greeting.
    Create {
        /// What the client wants said.
        instructions: Option<&'a str>,
    },
}

/// What an agent says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Speech {
    /// Mono.
    pub samples: Vec<i16>,
    /// Samples per second.
    pub rate: u32,
    /// The same in words.
    pub transcript: String,
}

/// A function that an agent calls.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FunctionCall {
    /// Which. It need not be one that the session knows: models are mistaken, too.
    pub name: String,
    /// Its arguments, JSON if the agent is careful.
    pub arguments: String,
}

/// A tool of an MCP server that an agent has called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct McpCall {
    /// The server, as the session calls it.
    pub server_label: String,
    /// The tool.
    pub name: String,
    /// Its arguments, JSON.
    pub arguments: String,
    /// What it answers, once it may be called, or why it cannot.
    pub output: Result<String, String>,
}

/// What an agent answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It speaks.
    Speech(Speech),
    /// It calls functions, perhaps after it has said something, all in one response.
    Calls {
        /// What it says first.
        speech: Option<Speech>,
        /// The calls, in this order.
        calls: Vec<FunctionCall>,
    },
    /// It calls a tool of an MCP server, or asks whether it may, if the session wants to be asked. What it is told
    /// it may do is done with the next response, and the agent is not asked for that one.
    Mcp(McpCall),
    /// The response fails with this code, e.g. `server_error`.
    Failure {
        /// The code in `status_details.error`.
        code: String,
    },
    /// The response fails because a limit is reached: `rate_limit_exceeded`. `rate_limits.updated` says that nothing
    /// remains, and until when.
    RateLimited {
        /// After how long the limit is reset.
        reset: Duration,
    },
    /// The response fails with this code after something was said.
    Broken {
        /// What was said.
        speech: Speech,
        /// The code in `status_details.error`.
        code: String,
    },
    /// The response ends `incomplete`.
    Incomplete {
        /// What was said before it ended.
        speech: Option<Speech>,
        /// Why: `content_filter` or `max_output_tokens`.
        reason: String,
    },
    /// No response is begun, and nobody says why.
    Nothing,
}

impl Answer {
    /// Whether there is nothing in it for the caller.
    pub(super) const fn says_nothing(&self) -> bool {
        match self {
            Self::Failure { .. } | Self::RateLimited { .. } | Self::Nothing => true,
            Self::Incomplete { speech, .. } => speech.is_none(),
            Self::Speech(_) | Self::Calls { .. } | Self::Mcp(_) | Self::Broken { .. } => false,
        }
    }
}

/// Who speaks behind a [`super::Realtime`] socket.
pub trait Agent: fmt::Debug + Send {
    /// The next response.
    fn answer(&mut self, prompt: Prompt<'_>) -> Answer;

    /// Reads the conversation so far, before each [`Agent::answer`]: all of its items in words, as
    /// [`in_words`](super::in_words) has them.
    fn read(&mut self, _conversation: &[String]) {}

    /// What the caller said in a turn, in letters, if the agent understands it.
    fn write_down(&mut self, _samples: &[i16], _rate: u32) -> Option<String> {
        None
    }
}

/// Repeats exactly what the caller said. Asked to speak first, it plays its greeting.
#[derive(Clone, Debug)]
pub struct Parrot {
    greeting: Vec<i16>,
    rate: u32,
}

impl Parrot {
    /// A parrot that greets with two tones.
    #[must_use]
    pub fn new() -> Self {
        Self::greeting_with(two_tones(), crate::format::MODEL_RATE)
    }

    /// A parrot that greets with these samples.
    #[must_use]
    pub const fn greeting_with(greeting: Vec<i16>, rate: u32) -> Self {
        Self { greeting, rate }
    }
}

impl Default for Parrot {
    fn default() -> Self {
        Self::new()
    }
}

impl Agent for Parrot {
    fn answer(&mut self, prompt: Prompt<'_>) -> Answer {
        Answer::Speech(match prompt {
            Prompt::Turn { samples, rate } | Prompt::Items { turn: Some((samples, rate)), .. } => {
                Speech { samples: samples.to_vec(), rate, transcript: "What you said.".into() }
            }
            Prompt::Items { turn: None, .. } | Prompt::Create { .. } => {
                Speech { samples: self.greeting.clone(), rate: self.rate, transcript: "Ding, dong.".into() }
            }
        })
    }
}

/// Agents that give prepared answers, one after the other, and then fail.
#[derive(Clone, Debug)]
pub struct Script(std::collections::VecDeque<Answer>);

impl Script {
    /// An agent with these answers.
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self(answers.into_iter().collect())
    }
}

impl Agent for Script {
    fn answer(&mut self, _prompt: Prompt<'_>) -> Answer {
        self.0.pop_front().unwrap_or(Answer::Failure { code: "script_at_end".into() })
    }
}

/// 600 ms of 660 Hz, then 600 ms of 440 Hz, at 24 kHz: triangles, made of integers alone, so that they are the
/// same on every machine.
#[must_use]
pub fn two_tones() -> Vec<i16> {
    const SAMPLES: i32 = 14_400;
    const FADE: i32 = 480;
    const PEAK: i32 = 9_000;
    let tone = |hertz: i32| {
        (0..SAMPLES).map(move |n| {
            let phase = n * hertz % 24_000;
            let triangle = (phase - 12_000).abs() * 2 * PEAK / 12_000 - PEAK;
            let fade = n.min(SAMPLES - 1 - n).min(FADE);
            (triangle * fade / FADE) as i16
        })
    };
    tone(660).chain(tone(440)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_is_audible_and_starts_and_ends_softly() {
        let tones = two_tones();
        assert_eq!(tones.len(), 28_800);
        assert_eq!((tones[0], tones[28_799]), (0, 0));
        assert!(tones.iter().all(|s| s.abs() <= 9_000) && tones.iter().any(|s| *s > 8_900));
    }
}
