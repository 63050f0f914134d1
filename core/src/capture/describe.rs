//! What machines do, in words: a line for each action that steers something. Audio and what is counted many times a
//! second have none; the digest holds them.

use super::{MAX_GAVE_BYTES, Machine};
use crate::actions::{self, Span};
use crate::call::{self, Action, Record};
use crate::observe::{Observation, Severity};
use crate::switchboard;
use core::fmt::Write as _;
use twox_hash::XxHash64;

/// How much of a text stands in a line, in bytes. Of what is longer the begin stands there, and a digest of the rest.
const SHOWN_BYTES: usize = 400;

/// How a message begins that carries the caller's audio: the model is sent fifty of them each second.
const APPEND: &[u8] = br#"{"type":"input_audio_buffer.append""#;

/// Puts into words what a step gave. Whether there is something to say.
pub(crate) fn describe<M: Machine>(out: &actions::Actions<M::Action>, words: &mut String) -> bool {
    words.clear();
    for action in out.iter().filter(|action| M::is_told(action, out)) {
        let before = words.len();
        M::describe(&action, out, words);
        words.push('\n');
        if words.len() > MAX_GAVE_BYTES {
            words.truncate(before);
            break;
        }
    }
    !words.is_empty()
}

/// Whether [`call`] has something to say.
pub(super) fn is_told_of_call(action: &Action, out: &call::Actions) -> bool {
    match action {
        Action::SendMedia { .. } => false,
        Action::SendRealtime { bytes, .. } => !out.bytes(*bytes).starts_with(APPEND),
        Action::Observe(observation) => is_told(observation),
        _ => true,
    }
}

/// Whether [`switchboard`] has something to say.
pub(super) fn is_told_of_switchboard(action: &switchboard::Action) -> bool {
    if let switchboard::Action::Observe(observation) = action { is_told(observation) } else { true }
}

fn is_told(observation: &Observation) -> bool {
    observation.severity() > Severity::Count
}

/// An action of a call.
pub(super) fn call(action: &Action, out: &call::Actions, line: &mut String) {
    // Writing into a string cannot fail, here and below.
    let _ = match *action {
        Action::Ari { id, method, path, body, .. } => {
            let _ = write!(line, "ARI request {id}: {} ", method.as_str());
            text(out.bytes(path), line);
            if body.is_empty() { Ok(()) } else { labelled(" ", out.bytes(body), line) }
        }
        Action::OpenMedia { leg, plan } => write!(line, "open media leg {leg}: {}", plan.format),
        Action::SendMedia { leg, to, bytes } => {
            write!(line, "send {} bytes from media leg {leg} to {to}", bytes.len())
        }
        Action::CloseMedia { leg } => write!(line, "close media leg {leg}"),
        Action::OpenRealtime { link, safety_identifier } => {
            let _ = write!(line, "open Realtime link {link}");
            named(" for ", safety_identifier, out, line)
        }
        Action::SendRealtime { link, bytes } => {
            let _ = write!(line, "send on Realtime link {link}: ");
            labelled("", out.bytes(bytes), line)
        }
        Action::PingRealtime { link } => write!(line, "ping Realtime link {link}"),
        Action::CloseRealtime { link, code } => write!(line, "close Realtime link {link} with {code}"),
        Action::Tool { id, asks, name, arguments, .. } => {
            let _ = write!(line, "tool {id}, {asks:?}: ");
            text(out.bytes(name), line);
            named(" ", arguments, out, line)
        }
        Action::Record(record) => recorded(&record, out, line),
        Action::Tell(news) => write!(line, "tell the switchboard: {news:?}"),
        Action::Observe(observation) => write!(line, "observe: {observation}"),
        Action::Finish(outcome) => write!(line, "finish: {outcome:?}"),
    };
}

fn recorded(record: &Record, out: &call::Actions, line: &mut String) -> core::fmt::Result {
    match *record {
        Record::CallerSaid { item_id, text } => {
            named("record: the caller said in ", item_id, out, line)?;
            named(": ", text, out, line)
        }
        Record::CallerKeyed { keys } => named("record: the caller keyed ", keys, out, line),
        Record::Called { call_id, name, arguments } => {
            named("record: called ", name, out, line)?;
            named(" as ", call_id, out, line)?;
            named(" with ", arguments, out, line)
        }
        Record::Returned { call_id, name, output } => {
            named("record: returned ", name, out, line)?;
            named(" as ", call_id, out, line)?;
            named(": ", output, out, line)
        }
        Record::Answered { caller_item, response_id, agent_item, latency } => {
            named("record: answered ", caller_item, out, line)?;
            named(" by ", response_id, out, line)?;
            named(", ", agent_item, out, line)?;
            write!(line, ", first packet after {} ms", latency.first_packet.as_millis())
        }
        Record::AgentSaid { item_id, content_index, text, heard_ms, received_ms, .. } => {
            named("record: the agent said in ", item_id, out, line)?;
            write!(line, " part {content_index}, heard {heard_ms} of {received_ms} ms")?;
            named(": ", text, out, line)
        }
    }
}

/// An action of a switchboard.
pub(super) fn switchboard(action: &switchboard::Action, out: &switchboard::Actions, line: &mut String) {
    use switchboard::Action;
    let _ = match *action {
        Action::OpenAri => write!(line, "open the event socket"),
        Action::PingAri => write!(line, "ping the event socket"),
        Action::CloseAri => write!(line, "drop the event socket"),
        Action::Ari { id, method, path, .. } => {
            let _ = write!(line, "ARI request {id}: {} ", method.as_str());
            labelled("", out.bytes(path), line)
        }
        // What these carry has just come in as an event.
        Action::StartCall { call, ids, entry, about, .. } => {
            write!(line, "start call {call} as {ids}, {entry:?}, by {} bytes", about.len())
        }
        Action::ToCall { call, event } => write!(line, "hand {} bytes to call {call}", event.len()),
        Action::ToAll(state) => write!(line, "tell all calls: events {state:?}"),
        Action::StopCall { call, reason } => write!(line, "stop call {call}: {reason:?}"),
        Action::Observe(observation) => write!(line, "observe: {observation}"),
        Action::Finish => write!(line, "finish"),
    };
}

/// A text that may be empty, with what introduces it.
fn named(label: &str, span: Span, out: &call::Actions, line: &mut String) -> core::fmt::Result {
    if span.is_empty() { Ok(()) } else { labelled(label, out.bytes(span), line) }
}

fn labelled(label: &str, bytes: &[u8], line: &mut String) -> core::fmt::Result {
    line.push_str(label);
    text(bytes, line);
    Ok(())
}

/// Whether a terminal only shows a character: it is no control, and does not turn the direction of what is around it
/// (Unicode Standard Annex 9).
pub(crate) fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// A text in one line. What a peer has put into it cannot end the line.
pub(crate) fn text(bytes: &[u8], line: &mut String) {
    let shown = bytes.get(..SHOWN_BYTES).unwrap_or(bytes);
    for chunk in shown.utf8_chunks() {
        line.extend(chunk.valid().chars().map(|c| if is_plain(c) { c } else { ' ' }));
    }
    if bytes.len() > SHOWN_BYTES {
        let digest = XxHash64::oneshot(0, bytes) as u32;
        let _ = write!(line, "… ({} bytes, {digest:08x})", bytes.len());
    }
}
