//! Whether a machine does the same again, but for what people said and who they are.
//!
//! What steers something is compared as it is: which actions there are, in which order, to what, when and how long. Texts
//! are compared by their shape, which is what filler has in common with what it stands for.

use super::json::{self, Exchange, Kind, Place};
use super::rules;
use super::text::{fill, fill_address, fill_value};
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

/// A path with its query. Ids and words of the protocol are the same; the operator's own words, and addresses, are filler.
fn is_path_alike(was: &[u8], is: &[u8]) -> bool {
    let is_mark = |byte: &u8| matches!(byte, b'/' | b'?' | b'&' | b'=' | b',');
    let mut before: &[u8] = b"";
    was.split(is_mark).count() == is.split(is_mark).count()
        && was.split(is_mark).zip(is.split(is_mark)).all(|(was, is)| {
            let name = core::mem::replace(&mut before, was);
            was == is
                || match name {
                    // An address of IPv6 may have a letter where another one has a digit.
                    b"external_host" => was.len() == is.len(),
                    // Two numbers of the operator's are not one another.
                    b"extension" if !was.contains(&b'%') => {
                        let mut filler = Vec::with_capacity(was.len());
                        fill_value(was, &mut filler);
                        filler == is
                    }
                    b"extension" | b"context" | b"app" | b"name" | b"applications" => {
                        path_shape(was) == path_shape(is)
                    }
                    _ => was.contains(&b'%') && path_shape(was) == path_shape(is),
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{LegId, LinkId, RequestId};
    use crate::time::Duration;

    /// Whether two calls that do this have done the same.
    fn are_alike(was: impl Fn(&mut call::Actions), is: impl Fn(&mut call::Actions)) -> bool {
        let (mut old, mut new) = (call::Actions::new(), call::Actions::new());
        was(&mut old);
        is(&mut new);
        let [was, is] = [&old, &new].map(|out| out.iter().next().unwrap());
        is_call_alike((&was, &old), (&is, &new))
    }

    fn request(path: &str) -> impl Fn(&mut call::Actions) {
        move |out| {
            let (path, body) = (out.put(path.as_bytes()), out.put(b""));
            let (id, method) = (RequestId(1), call::Method::Post);
            out.push(call::Action::Ari { id, method, path, body, timeout: Duration::from_secs(1) });
        }
    }

    fn message(text: &str) -> impl Fn(&mut call::Actions) {
        move |out| {
            let bytes = out.put(text.as_bytes());
            out.push(call::Action::SendRealtime { link: LinkId(1), bytes });
        }
    }

    #[test]
    fn a_request_to_another_channel_or_place_is_another() {
        let place = "/channels/1.1/continue?context=in%20side&extension=4711&priority=1";
        let mut number = Vec::new();
        fill_value(b"4711", &mut number);
        let number = String::from_utf8(number).unwrap();
        let scrubbed = place.replace("in%20side", "xx%20xxxx").replace("4711", &number);
        assert!(are_alike(request(place), request(&scrubbed)));
        for (from, to) in
            [("1.1", "1.2"), (&*number, "5500"), ("priority=1", "priority=2"), ("continue", "answer")]
        {
            assert!(!are_alike(request(place), request(&scrubbed.replace(from, to))), "{to}");
        }
        let media = |host| {
            format!("/channels/externalMedia?app=voice-agent&external_host={host}%3A30000&format=g722")
        };
        assert!(are_alike(request(&media("10.1.2.3")), request(&media("10.0.2.9"))));
        assert!(!are_alike(request(&media("10.1.2.3")), request(&media("10.0.2.99"))));
    }

    #[test]
    fn a_message_with_another_id_number_or_field_is_another() {
        let was = r#"{"type":"conversation.item.truncate","item_id":"item_1","audio_end_ms":120,"text":"Ja, Anna."}"#;
        let is = was.replace("Ja, Anna.", "Xx, Xxxx.");
        assert!(are_alike(message(was), message(&is)));
        for (from, to) in [
            ("item_1", "item_2"),
            ("120", "130"),
            ("text", "note"),
            ("Xxxx.", "Xxxxx."),
            ("truncate", "xxxxxxxx"),
        ] {
            assert!(!are_alike(message(was), message(&is.replace(from, to))), "{to}");
        }
        let append = |audio| format!(r#"{{"type":"input_audio_buffer.append","audio":"{audio}"}}"#);
        assert!(are_alike(message(&append("AAAA")), message(&append("BBBB"))));
        assert!(!are_alike(message(&append("AAAA")), message(&append("BBBBBBBB"))));
    }

    #[test]
    fn a_packet_with_another_header_receiver_or_length_is_another() {
        let packet = |to: &'static str, bytes: &'static [u8]| {
            move |out: &mut call::Actions| {
                let bytes = out.put(bytes);
                out.push(call::Action::SendMedia { leg: LegId(1), to: to.parse().unwrap(), bytes });
            }
        };
        let was = packet("127.0.0.1:4000", b"twelve bytes, and audio");
        assert!(are_alike(was, packet("127.0.0.1:4000", b"twelve bytes, and AUDIO")));
        assert!(!are_alike(was, packet("127.0.0.1:4001", b"twelve bytes, and audio")));
        assert!(!are_alike(was, packet("127.0.0.1:4000", b"Twelve bytes, and audio")));
        assert!(!are_alike(was, packet("127.0.0.1:4000", b"twelve bytes, and audio.")));
        assert!(!are_alike(was, request("/bridges")));
    }
}
