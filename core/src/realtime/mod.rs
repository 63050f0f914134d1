//! The Realtime API as values: server events in, client events out.
//!
//! The interface is OpenAI's GA one over WebSocket; servers that speak it a little differently are the
//! [`Dialect`]s. A dialect is what stands between bytes and values: it reads, it writes, and it says what cannot
//! be asked for. The call knows values only, so that a quite different protocol can stand beside these as one
//! more dialect.
//!
//! Unknown events and fields are ignored; absent fields, `null` and values of another kind are alike, so that one
//! field does not cost an event.

mod client;
mod server;
mod session;

pub use client::ClientEvent;
pub use server::{Item, ItemKind, SERVER_EVENTS, ServerEvent};

pub use crate::settings::Dialect;

use crate::format::ModelFormat;
use crate::json::{Text, lenient, object};
use crate::observe::Label;
use crate::time::Duration;
use serde::Deserialize;

/// The longest message that is looked at, in bytes. OpenAI takes and gives at most 15 MiB of audio in one event;
/// LocalAI sends a whole utterance in one.
pub const MAX_MESSAGE_BYTES: usize = 32 * 1024 * 1024;

/// What the `event_id` of each of our events begins with; its number follows.
const EVENT_ID: &str = "ari-bridge-";

/// The field of a response's metadata that holds the number of the event that asked for it: a server tells in
/// `response.created` nothing else by which its answers could be told apart.
const METADATA_KEY: &str = "ari_bridge";

/// What the server does by itself when it hears the caller (`turn_detection`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turns {
    /// Whether it answers each turn.
    pub create_response: bool,
    /// Whether it stops its answer when the caller begins to speak.
    pub interrupt_response: bool,
}

impl Dialect {
    /// Reads a message; `None` if it is not one, or longer than [`MAX_MESSAGE_BYTES`].
    #[must_use]
    pub fn read(self, bytes: &[u8]) -> Option<ServerEvent<'_>> {
        // The names of all of them differ so little that one reader understands them.
        if bytes.len() > MAX_MESSAGE_BYTES { None } else { server::parse(bytes) }
    }

    /// Appends `event` to `out`. `number` tells it from all others on its link.
    pub fn write(self, event: ClientEvent<'_>, number: u32, out: &mut Vec<u8>) {
        client::write(self, event, number, out);
    }

    /// Appends the message that gives the server so much of the caller's audio. Once `out` has grown, it does not
    /// allocate.
    pub fn write_append(self, audio: &[u8], out: &mut Vec<u8>) {
        client::write_append(audio, out);
    }

    /// Whether the settings are sent as soon as the socket is open. Otherwise they follow the server's first word.
    #[must_use]
    pub const fn client_begins(self) -> bool {
        // xAI's first word is `session.created` on some days and `conversation.created` on others.
        matches!(self, Self::Xai)
    }

    /// The format in which a server hears that speaks in `spoken`.
    #[must_use]
    pub const fn hears(self, spoken: ModelFormat) -> ModelFormat {
        match (self, spoken) {
            (Self::Qwen, _) => ModelFormat::Pcm16,
            (Self::OpenAi | Self::Azure | Self::Xai | Self::Beta, spoken) => spoken,
        }
    }

    /// How long a session of such a server lasts at most, if that is known.
    #[must_use]
    pub const fn session_life(self) -> Option<Duration> {
        match self {
            Self::OpenAi | Self::Beta => Some(Duration::from_secs(60 * 60)),
            Self::Azure => Some(Duration::from_secs(30 * 60)),
            Self::Qwen => Some(Duration::from_secs(120 * 60)),
            Self::Xai => None,
        }
    }

    /// Whether the server can be told how much of an item was heard.
    #[must_use]
    pub const fn truncates(self) -> bool {
        matches!(self, Self::OpenAi | Self::Azure | Self::Beta)
    }

    /// Whether a response may be given metadata, which come back with it.
    #[must_use]
    pub const fn knows_metadata(self) -> bool {
        matches!(self, Self::OpenAi | Self::Azure | Self::Beta)
    }
}

/// The code in a close reason, which is `<type>.<code>`, or in the body of a refused upgrade, which is JSON with an
/// `error`; empty if there is none.
#[must_use]
pub fn close_code(reason: &[u8]) -> Label {
    #[derive(Default, Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default, deserialize_with = "lenient")]
        error: Fault<'a>,
    }
    #[derive(Default, Deserialize)]
    struct Fault<'a> {
        #[serde(borrow, default)]
        code: Text<'a>,
        #[serde(rename = "type", borrow, default)]
        kind: Text<'a>,
    }

    if reason.trim_ascii_start().starts_with(b"{") {
        let Fault { code, kind } = object::<Body<'_>>(reason).unwrap_or_default().error;
        return Label::new(if code.is_empty() { &kind } else { &code });
    }
    let text = core::str::from_utf8(reason).unwrap_or_default();
    Label::new(text.rsplit('.').next().unwrap_or(text))
}

/// What the end of a session, or the refusal of one, means for the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Trying again cannot help.
    Fatal,
    /// The session has lasted as long as one may; the next one can be had at once.
    Expired,
    /// Trying again may help.
    Retry,
}

/// Decides by the code first, because "no credit" comes with a close code that says "try again later"; then by the
/// close code, then by the HTTP status of a refused upgrade.
#[must_use]
pub fn verdict(code: &str, close: Option<u16>, http_status: Option<u16>) -> Verdict {
    if code == "session_expired" {
        return Verdict::Expired;
    }
    // OpenAI closes an expired session with 1001 and a reason in prose.
    let is_fatal = is_fatal(code)
        || matches!(close, Some(3000 | 4000 | 4004))
        // What a server says of the request itself; it is no better the next time. The others ask for patience.
        || http_status.is_some_and(|status| matches!(status, 300..=499) && !matches!(status, 408 | 409 | 425 | 429));
    if is_fatal { Verdict::Fatal } else { Verdict::Retry }
}

/// Whether this code says that trying again cannot help, whatever it comes with.
#[must_use]
pub fn is_fatal(code: &str) -> bool {
    const FATAL_CODES: [&str; 6] = [
        "invalid_api_key",
        "insufficient_quota",
        "account_deactivated",
        "billing_hard_limit_reached",
        "model_not_found",
        "beta_api_shape_disabled",
    ];
    FATAL_CODES.contains(&code)
}

/// Whether an error that settings were answered with may be another one the next time.
#[must_use]
pub fn is_passing(code: &str) -> bool {
    const PASSING: [&str; 5] =
        ["server_error", "internal_error", "rate_limit_exceeded", "session_expired", "service_unavailable"];
    PASSING.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_may_be_long_but_not_endless() {
        let mut message = br#"{"type":"response.output_audio.delta","item_id":"i","delta":""#.to_vec();
        message.resize(20 * 1024 * 1024, b'A');
        message.extend_from_slice(br#""}"#);
        assert!(matches!(Dialect::OpenAi.read(&message), Some(ServerEvent::AudioDelta { .. })));
        assert_eq!(Dialect::OpenAi.read(&vec![b' '; MAX_MESSAGE_BYTES + 1]), None);
    }

    #[test]
    fn no_credit_is_a_refusal_although_its_close_code_says_try_again() {
        let code = close_code(b"insufficient_quota.insufficient_quota");
        assert_eq!(verdict(code.as_str(), Some(1013), None), Verdict::Fatal);
        let body =
            br#"{"error":{"message":"You exceeded your quota.","type":"x","code":"insufficient_quota"}}"#;
        assert_eq!(verdict(close_code(body).as_str(), None, Some(429)), Verdict::Fatal);
        assert_eq!(close_code(b"{\"error\":7").as_str(), "");
        assert_eq!(verdict("", Some(1013), None), Verdict::Retry);
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
        for close in [1001, 1005, 1006, 1011, 1012] {
            assert_eq!(verdict("", Some(close), None), Verdict::Retry, "{close}");
        }
        for close in [3000, 4000, 4004] {
            assert_eq!(verdict("", Some(close), None), Verdict::Fatal, "{close}");
        }
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(verdict("", None, Some(status)), Verdict::Retry, "{status}");
        }
        for status in [400, 401, 403, 404] {
            assert_eq!(verdict("", None, Some(status)), Verdict::Fatal, "{status}");
        }
        assert_eq!(verdict("session_expired", Some(1001), None), Verdict::Expired);
        assert_eq!(verdict("", None, None), Verdict::Retry);
    }
}
