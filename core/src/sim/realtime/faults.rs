//! What goes wrong on the server's side while a session stands, at the word of a test.

use super::agent::Answer;
use super::shape::Refusal;
use super::{Actions, Realtime};
use crate::time::Duration;
use serde_json::{Value, json};

/// Something that goes wrong in a session. It changes nothing where there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The session ends at once, as if its time were up: `session_expired`, and the close with 1001.
    Expired,
    /// An `error` event that no client event has caused.
    Error {
        /// Its `type`, e.g. `server_error`.
        kind: String,
        /// Its `code`; the real server may leave it out.
        code: Option<String>,
    },
    /// The server takes everything, does what it does, and says nothing of it any more.
    Silent,
    /// The next answer is this one, whatever the agent would say.
    Answer(Answer),
    /// Nothing goes wrong any more: the server speaks, and the agent answers.
    Over,
}

/// How a response ends when all its parts are made.
#[derive(Debug)]
pub(super) struct End {
    pub(super) status: &'static str,
    pub(super) details: Value,
}

impl End {
    pub(super) const fn completed() -> Self {
        Self { status: "completed", details: Value::Null }
    }

    pub(super) fn incomplete(reason: &str) -> Self {
        Self { status: "incomplete", details: json!({ "type": "incomplete", "reason": reason }) }
    }

    pub(super) fn failed(kind: &str, code: &str, message: &str) -> Self {
        let error = json!({ "type": kind, "code": code, "message": message });
        Self { status: "failed", details: json!({ "type": "failed", "error": error }) }
    }

    /// What a response says whose limit is reached.
    pub(super) fn rate_limited(reset: Duration) -> Self {
        let text = format!("Rate limit reached. Please try again in {:.3}s.", reset.as_secs_f64());
        Self::failed("invalid_request_error", "rate_limit_exceeded", &text)
    }
}

impl Realtime {
    pub(super) fn fail(&mut self, fault: &Fault, out: &mut Actions) {
        match fault {
            _ if self.session.is_none() => {}
            Fault::Expired => self.expire(out),
            Fault::Error { kind, code } => {
                let message = "The server had an error while processing your request.";
                let error = json!({
                    "type": kind, "code": code, "message": message, "param": null, "event_id": null,
                });
                self.emit(json!({ "type": "error", "error": error }), out);
            }
            Fault::Silent => self.is_silent = true,
            Fault::Answer(answer) => self.next_answers.push_back(answer.clone()),
            Fault::Over => {
                self.is_silent = false;
                self.next_answers.clear();
            }
        }
    }

    /// The session's time is up.
    pub(super) fn expire(&mut self, out: &mut Actions) {
        let minutes = self.settings.session_limit.as_secs() / 60;
        let text = format!("Your session hit the maximum duration of {minutes} minutes.");
        self.error(&Refusal::new("session_expired", text.clone(), None), &Value::Null, out);
        self.close(1001, &text, out);
    }

    /// The limits as they stand before a response; of one that is reached, when it is reset.
    pub(super) fn tell_limits(&mut self, reached: Option<Duration>, out: &mut Actions) {
        let (remaining, reset) = match reached {
            Some(reset) => (0, reset.as_secs_f64()),
            None => (249_000, 0.24),
        };
        let limits = json!([
            { "name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 0.06 },
            { "name": "tokens", "limit": 250_000, "remaining": remaining, "reset_seconds": reset },
        ]);
        self.emit(json!({ "type": "rate_limits.updated", "rate_limits": limits }), out);
    }
}
