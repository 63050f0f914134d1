//! Whether a machine does the same again, but for what people said and who they are.
//!
//! What steers something is compared as it is: which actions there are, in which order, to what, when and how long. Texts
//! are compared by their shape, which is what filler has in common with what it stands for.

use super::json::{self, Exchange, Kind, Place};
use super::rules;
use super::text::{fill, fill_address};
use crate::actions::{Actions, Span};
use crate::call::{self, Record};
use crate::observe::Observation;
use crate::rtp::HEADER_BYTES;
use crate::switchboard;

/// An action of a call before, and now.
pub(super) fn is_call_alike(
    (was, old): (&call::Action, &call::Actions),
    (is, new): (&call::Action, &call::Actions),
) -> bool {
    use call::Action as A;
    match (*was, *is) {
        (
            A::Ari { id, method, path, body, timeout },
            A::Ari { id: new_id, method: new_method, path: new_path, body: new_body, timeout: new_timeout },
        ) => {
            (id, method, timeout) == (new_id, new_method, new_timeout)
                && is_path_alike(old.bytes(path), new.bytes(new_path))
                && shape(old.bytes(body)) == shape(new.bytes(new_body))
        }
        (A::SendMedia { leg, to, bytes }, A::SendMedia { leg: new_leg, to: new_to, bytes: new_bytes }) => {
            let (was, is) = (old.bytes(bytes), new.bytes(new_bytes));
            leg == new_leg
                && (fill_address(to.ip()), to.port()) == (new_to.ip(), new_to.port())
                && was.len() == is.len()
                && was.get(..HEADER_BYTES) == is.get(..HEADER_BYTES)
        }
        (
            A::OpenRealtime { link, safety_identifier },
            A::OpenRealtime { link: new_link, safety_identifier: new_identifier },
        ) => link == new_link && safety_identifier.len() == new_identifier.len(),
        (A::SendRealtime { link, bytes }, A::SendRealtime { link: new_link, bytes: new_bytes }) => {
            link == new_link && is_message_alike(old.bytes(bytes), new.bytes(new_bytes))
        }
        (
            A::Tool { id, asks, name, arguments, timeout },
            A::Tool {
                id: new_id,
                asks: new_asks,
                name: new_name,
                arguments: new_arguments,
                timeout: new_timeout,
            },
        ) => {
            (id, asks, timeout) == (new_id, new_asks, new_timeout)
                && is_text_alike((name, old), (new_name, new))
                && is_text_alike((arguments, old), (new_arguments, new))
        }
        (A::Record(was), A::Record(is)) => is_record_alike((was, old), (is, new)),
        (A::Observe(was), A::Observe(is)) => is_told_alike(&was, &is),
        (was, is) => format!("{was:?}") == format!("{is:?}"),
    }
}

/// An action of a switchboard before, and now.
pub(super) fn is_switchboard_alike(
    (was, old): (&switchboard::Action, &switchboard::Actions),
    (is, new): (&switchboard::Action, &switchboard::Actions),
) -> bool {
    use switchboard::Action as A;
    match (*was, *is) {
        (
            A::Ari { id, method, path, timeout },
            A::Ari { id: new_id, method: new_method, path: new_path, timeout: new_timeout },
        ) => {
            (id, method, timeout) == (new_id, new_method, new_timeout)
                && is_path_alike(old.bytes(path), new.bytes(new_path))
        }
        (
            A::StartCall { call, ids, seed, entry, about, caller },
            A::StartCall {
                call: new_call,
                ids: new_ids,
                seed: new_seed,
                entry: new_entry,
                about: new_about,
                caller: new,
            },
        ) => {
            (call, ids, seed, entry) == (new_call, new_ids, new_seed, new_entry)
                && (about.len(), caller.len()) == (new_about.len(), new.len())
        }
        (A::ToCall { call, event }, A::ToCall { call: new_call, event: new_event }) => {
            call == new_call && event.len() == new_event.len()
        }
        (A::Observe(was), A::Observe(is)) => is_told_alike(&was, &is),
        (was, is) => format!("{was:?}") == format!("{is:?}"),
    }
}

fn is_record_alike((was, old): (Record, &call::Actions), (is, new): (Record, &call::Actions)) -> bool {
    // All of it but the texts, whose lengths are in it.
    let shapes = |spans: &[Span], out: &call::Actions| -> Vec<_> {
        spans.iter().map(|span| shape(out.bytes(*span))).collect()
    };
    let numbers = |record: Record| match record {
        Record::Answered { latency, .. } => format!("{latency:?}"),
        Record::AgentSaid { content_index, heard_ms, received_ms, .. } => {
            format!("{content_index} {heard_ms} {received_ms}")
        }
        Record::CallerSaid { .. }
        | Record::CallerKeyed { .. }
        | Record::Called { .. }
        | Record::Returned { .. } => String::new(),
    };
    let spans = |record: Record| match record {
        Record::CallerSaid { item_id, text } => vec![item_id, text],
        Record::CallerKeyed { keys } => vec![keys],
        Record::Called { call_id, name, arguments } => vec![call_id, name, arguments],
        Record::Returned { call_id, name, output } => vec![call_id, name, output],
        Record::Answered { caller_item, response_id, agent_item, .. } => {
            vec![caller_item, response_id, agent_item]
        }
        Record::AgentSaid { item_id, text, said, .. } => vec![item_id, text, said],
    };
    core::mem::discriminant(&was) == core::mem::discriminant(&is)
        && numbers(was) == numbers(is)
        && shapes(&spans(was), old) == shapes(&spans(is), new)
}

/// What is told to those who watch may name what a peer has made up.
fn is_told_alike(was: &Observation, is: &Observation) -> bool {
    let shape_of = |observation: &Observation| shape(format!("{observation:?}").as_bytes());
    was == is || core::mem::discriminant(was) == core::mem::discriminant(is) && shape_of(was) == shape_of(is)
}

fn is_text_alike<A: Copy>((was, old): (Span, &Actions<A>), (is, new): (Span, &Actions<A>)) -> bool {
    let (was, is) = (old.bytes(was), new.bytes(is));
    was == is || shape(was) == shape(is)
}

fn shape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    fill(text, &mut out);
    out
}

/// A path with its query. What is not a word is percent-encoded, and filler is another word.
fn is_path_alike(was: &[u8], is: &[u8]) -> bool {
    let parts = |path: &'_ [u8]| -> Vec<Vec<u8>> {
        path.split(|byte| matches!(byte, b'/' | b'?' | b'&' | b'=' | b',')).map(<[u8]>::to_vec).collect()
    };
    let (old, new) = (parts(was), parts(is));
    // Behind these come the operator's own words, and addresses.
    let is_free = |name: Option<&Vec<u8>>| {
        name.is_some_and(|name| {
            matches!(&name[..], b"external_host" | b"context" | b"extension" | b"app" | b"name")
        })
    };
    let mut before = None;
    old.len() == new.len()
        && old.iter().zip(&new).all(|(was, is)| {
            let name = before.replace(was);
            let may_differ =
                is_free(name) || was.contains(&b'%') || name.is_some_and(|name| name == b"applications");
            // An address of IPv6 may have a letter where another one has a digit.
            let is_host = name.is_some_and(|name| name == b"external_host") && was.len() == is.len();
            was == is || is_host || may_differ && path_shape(was) == path_shape(is)
        })
}

/// The shape of a part of a path, in which two digits behind each percent sign are whatever they are.
fn path_shape(part: &[u8]) -> Vec<u8> {
    let mut encoded = 0;
    let masked = part.iter().map(|byte| {
        if *byte == b'%' {
            encoded = 4;
        }
        encoded = usize::saturating_sub(encoded, 1);
        if *byte != b'%' && encoded > 0 { b'%' } else { *byte }
    });
    shape(&masked.collect::<Vec<_>>())
}

/// A message to the Realtime server.
fn is_message_alike(was: &[u8], is: &[u8]) -> bool {
    if was == is {
        return true;
    }
    const APPEND: &[u8] = br#"{"type":"input_audio_buffer.append""#;
    if was.starts_with(APPEND) && is.starts_with(APPEND) {
        return was.len() == is.len();
    }
    let shape = |message: &[u8]| {
        let mut out = Vec::with_capacity(message.len());
        json::exchange(message, &mut Shape, &mut out);
        out
    };
    json::is_json(was) && json::is_json(is) && shape(was) == shape(is)
}

/// Makes of a message what it has in common with its scrubbed twin.
struct Shape;

impl Exchange for Shape {
    fn exchange(&mut self, place: &Place<'_>, text: &[u8], out: &mut Vec<u8>) {
        let stays = match place.kind {
            Kind::Key => place.key != b"properties",
            Kind::Number => true,
            Kind::String => {
                let is_id = matches!(
                    place.key,
                    b"event_id" | b"item_id" | b"call_id" | b"id" | b"approval_request_id"
                );
                matches!(place.key, b"type" | b"role" | b"ari_bridge") || is_id && rules::is_id(text)
            }
        };
        if stays { out.extend_from_slice(text) } else { fill(text, out) }
    }
}
