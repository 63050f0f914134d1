//! What there is to tell of sessions that come and go, and of what is done about silence.

use super::Severity;
use crate::settings::{DeadAirStep, Prompt};
use crate::time::Duration;
use core::fmt;

/// How a conversation is kept going.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Recovery {
    /// A Realtime session is opened, after so long a wait.
    Retry {
        /// The how manieth attempt since the session was lost.
        attempt: u32,
        /// How long it is waited before it.
        wait: Duration,
    },
    /// The conversation goes on in a new session, after the old one was lost.
    Resumed {
        /// How long there was none.
        after: Duration,
        /// How many items of the conversation the new one was told.
        items: u32,
    },
    /// The session is about to expire, and the next one is being opened.
    Expires {
        /// How long it still lasts.
        left: Duration,
    },
    /// The conversation goes on in a new session, which was ready before the old one ended.
    Renewed {
        /// How many items of the conversation the new one was told.
        items: u32,
    },
    /// What the caller said while there was no session is given to the new one.
    Delivered {
        /// How much, in milliseconds.
        millis: u64,
    },
    /// More of it was kept than may be; the oldest is lost.
    Dropped {
        /// How much, in milliseconds.
        millis: u64,
    },
    /// An answer has failed and is asked for once more.
    AnswerAgain {
        /// How long it is waited before that.
        wait: Duration,
    },
    /// An answer has failed again, and is given up.
    AnswerGivenUp,
    /// Nothing has happened for too long since the caller spoke.
    DeadAir {
        /// What is done about it.
        step: DeadAirStep,
    },
    /// A sound of the bridge's own is played.
    Prompt(Prompt),
}

impl Recovery {
    /// How loud the line in the log is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Retry { .. }
            | Self::Dropped { .. }
            | Self::AnswerAgain { .. }
            | Self::AnswerGivenUp
            | Self::DeadAir { .. } => Severity::Warn,
            Self::Resumed { .. }
            | Self::Expires { .. }
            | Self::Renewed { .. }
            | Self::Delivered { .. }
            | Self::Prompt(_) => Severity::Info,
        }
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Retry { attempt, wait } => {
                write!(f, "a new Realtime session is opened in {} ms (attempt {attempt})", wait.as_millis())
            }
            Self::Resumed { after, items } => write!(
                f,
                "the conversation goes on in a new session after {} ms ({items} items carried over)",
                after.as_millis()
            ),
            Self::Expires { left } => {
                write!(f, "the session expires in {} s; the next one is being opened", left.as_secs())
            }
            Self::Renewed { items } => {
                write!(f, "the conversation goes on in the next session ({items} items carried over)")
            }
            Self::Delivered { millis } => {
                write!(f, "{millis} ms of the caller that were kept are given to the new session")
            }
            Self::Dropped { millis } => {
                write!(f, "{millis} ms of the caller are lost: there was no session for too long")
            }
            Self::AnswerAgain { wait } => {
                write!(f, "the answer failed; it is asked for again in {} ms", wait.as_millis())
            }
            Self::AnswerGivenUp => f.write_str("the answer failed again and is given up"),
            Self::DeadAir { step } => {
                write!(f, "nothing has happened since the caller spoke: {}", step.name())
            }
            Self::Prompt(prompt) => write!(f, "the caller hears the prompt {}", prompt.name()),
        }
    }
}
