//! What a machine was given, in words.

use crate::call::{self, Call, IoFault};
use crate::capture::{Machine, text};
use crate::json::Text;
use crate::rtp::Packet;
use crate::switchboard::{self, Switchboard};
use core::fmt::Write as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A machine whose inputs can be looked at.
pub trait Seen: Machine {
    /// What an input is one of many of, such as the packets of a call, of which fifty come in a second; nothing if each of
    /// them tells something.
    fn stream(input: &Self::Input<'_>) -> Option<&'static str>;

    /// Puts it into words, in one line: what it is, and of messages what kind and how long.
    fn line(input: &Self::Input<'_>, line: &mut String);

    /// The message that came with it, if one did.
    fn message<'i>(input: &'i Self::Input<'_>) -> Option<&'i [u8]>;
}

/// The kind of a message that is JSON, by its field `type`.
pub(super) fn kind(message: &[u8]) -> Option<Text<'_>> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, default, rename = "type")]
        kind: Text<'a>,
    }
    serde_json::from_slice(message).ok().map(|Typed { kind }| kind)
}

/// Whether a message of the Realtime server carries the agent's voice.
fn is_voice(message: &[u8]) -> bool {
    matches!(kind(message).as_deref(), Some("response.output_audio.delta" | "response.audio.delta"))
}

impl Seen for Call {
    fn stream(input: &call::Input<'_>) -> Option<&'static str> {
        match input {
            call::Input::Media { .. } => Some("media"),
            call::Input::Timer => Some("timer"),
            call::Input::RealtimePong { .. } => Some("pong"),
            call::Input::Realtime { bytes, .. } if is_voice(bytes) => Some("audio delta"),
            _ => None,
        }
    }

    fn line(input: &call::Input<'_>, line: &mut String) {
        use call::Input;
        // Writing into a string cannot fail, here and below.
        let _ = match *input {
            Input::Ari(event) => told("ARI", event, line),
            Input::AriReply { id, status, body } => replied("ARI reply", id.0, status, body, line),
            Input::AriFailed { id, fault } => failed("ARI reply", id, fault, line),
            Input::AriLink(state) => write!(line, "ARI events {state:?}"),
            Input::MediaUp { leg, local } => write!(line, "media leg {leg} is bound at {local}"),
            Input::Media { leg, from, bytes } => {
                let _ = write!(line, "media on leg {leg} from {from}, {} bytes", bytes.len());
                if let Some(rtp) = Packet::parse(bytes) {
                    let Packet { payload_type, sequence, timestamp, marker, .. } = rtp;
                    let marker = if marker { ", marker" } else { "" };
                    write!(line, ": payload type {payload_type}, number {sequence}, time {timestamp}{marker}")
                } else {
                    write!(line, ", not RTP")
                }
            }
            Input::MediaDown { leg, fault } => write!(line, "media leg {leg} is down: {fault}"),
            Input::RealtimeUp { link } => write!(line, "Realtime link {link} is up"),
            Input::Realtime { link, bytes } => {
                let _ = write!(line, "link {link} ");
                told("Realtime", bytes, line)
            }
            Input::RealtimePong { link } => write!(line, "Realtime link {link} shows a sign of life"),
            Input::RealtimeDown { link, http_status, retry_after, code, reason, fault } => {
                let _ = write!(line, "Realtime link {link} is down");
                maybe(", HTTP ", http_status, line);
                maybe(", retry after s: ", retry_after.map(|wait| wait.as_secs_f64()), line);
                maybe(", close code ", code, line);
                maybe(", ", fault, line);
                if !reason.is_empty() {
                    line.push_str(": ");
                    text(reason, line);
                }
                Ok(())
            }
            Input::ToolReply { id, status, body } => replied("tool reply", id.0, status, body, line),
            Input::ToolFailed { id, fault } => failed("tool reply", id, fault, line),
            Input::Timer => write!(line, "timer"),
            Input::Stop(reason) => write!(line, "told to stop: {reason:?}"),
        };
    }

    fn message<'i>(input: &'i call::Input<'_>) -> Option<&'i [u8]> {
        use call::Input;
        match *input {
            Input::Ari(bytes)
            | Input::AriReply { body: bytes, .. }
            | Input::Realtime { bytes, .. }
            | Input::ToolReply { body: bytes, .. } => Some(bytes),
            _ => None,
        }
    }
}

impl Seen for Switchboard {
    fn stream(input: &switchboard::Input<'_>) -> Option<&'static str> {
        match input {
            switchboard::Input::Timer => Some("timer"),
            switchboard::Input::AriPong => Some("pong"),
            _ => None,
        }
    }

    fn line(input: &switchboard::Input<'_>, line: &mut String) {
        use switchboard::Input;
        let _ = match *input {
            Input::AriUp => write!(line, "the event socket is up"),
            Input::AriDown { http_status, fault } => {
                let _ = write!(line, "the event socket is down");
                maybe(", HTTP ", http_status, line);
                maybe(", ", fault, line);
                Ok(())
            }
            Input::Ari(event) => told("ARI", event, line),
            Input::AriPong => write!(line, "the event socket shows a sign of life"),
            Input::AriReply { id, status, body } => replied("ARI reply", id.0, status, body, line),
            Input::AriFailed { id, fault } => failed("ARI reply", id, fault, line),
            Input::CallTold { call, news } => write!(line, "call {call} tells: {news:?}"),
            Input::CallFinished { call, outcome } => write!(line, "call {call} has finished: {outcome:?}"),
            Input::CallPanicked { call } => write!(line, "call {call} has panicked"),
            Input::Drain => write!(line, "told to drain"),
            Input::StopNow => write!(line, "told to stop now"),
            Input::Settings(_) => write!(line, "new settings"),
            Input::Timer => write!(line, "timer"),
        };
    }

    fn message<'i>(input: &'i switchboard::Input<'_>) -> Option<&'i [u8]> {
        match *input {
            switchboard::Input::Ari(bytes) | switchboard::Input::AriReply { body: bytes, .. } => Some(bytes),
            _ => None,
        }
    }
}

/// What may be there, with what introduces it.
fn maybe(label: &str, value: Option<impl core::fmt::Display>, line: &mut String) {
    if let Some(value) = value {
        let _ = write!(line, "{label}{value}");
    }
}

/// A message, by whom and of what kind. One that complains is shown whole.
fn told(whose: &str, message: &[u8], line: &mut String) -> core::fmt::Result {
    let Some(kind) = kind(message) else {
        let _ = write!(line, "{whose} sends {} bytes that cannot be read: ", message.len());
        text(message, line);
        return Ok(());
    };
    let _ = write!(line, "{whose} ");
    text(kind.as_bytes(), line);
    let _ = write!(line, ", {} bytes", message.len());
    if kind.contains("error") || kind.contains("failed") {
        line.push_str(": ");
        text(message, line);
    }
    Ok(())
}

/// An answer. One that refuses is shown whole.
fn replied(what: &str, id: u32, status: u16, body: &[u8], line: &mut String) -> core::fmt::Result {
    write!(line, "{what} {id}: {status}, {} bytes", body.len())?;
    if status >= 300 && !body.is_empty() {
        line.push_str(": ");
        text(body, line);
    }
    Ok(())
}

fn failed(what: &str, id: impl core::fmt::Display, fault: IoFault, line: &mut String) -> core::fmt::Result {
    write!(line, "no {what} {id}: {fault}")
}

/// Bytes as a value in JSON: what is JSON stays it, and the rest becomes a string.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub(super) enum Body<'a> {
    /// They are JSON.
    Json(&'a RawValue),
    /// They are not.
    Text(Cow<'a, str>),
}

impl<'a> Body<'a> {
    /// The value that these bytes are; nothing if there are none.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        Some(
            serde_json::from_slice(bytes)
                .map_or_else(|_| Self::Text(String::from_utf8_lossy(bytes)), Self::Json),
        )
    }
}
