//! Which fields of a message stay, and what the others become.
//!
//! What is not known here to be harmless is filled: a field that a newer Asterisk or another server has is, whatever it
//! holds.

use super::json::{Exchange, Kind, Place};
use super::text::{fill, fill_number, fill_value};
use super::voice::AgentVoice;
use crate::call::{HANG_UP, TRANSFER};
use crate::switchboard::WITHHELD;
use std::collections::BTreeSet;

/// The longest name that stays, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// The longest number in a name that stays, in digits: a year has four.
const MAX_DIGITS_IN_NAME: usize = 4;

/// Names of the operator's own by which machines steer, with the numbers that tools may be called with. Of all the words
/// in a message only these may stay, and the names of the functions that every call has.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeSet<Vec<u8>>);

impl Known {
    fn has(&self, name: &[u8]) -> bool {
        let is_own = [HANG_UP, TRANSFER].iter().any(|own| own.as_bytes() == name);
        is_own || self.0.contains(name)
    }
}

/// What a message is.
pub(super) enum Message<'a> {
    /// The operator's settings, whose names become known.
    Settings,
    /// An event of Asterisk's. A key that is pressed becomes what this says.
    Ari(&'a dyn Fn(u8) -> u8),
    /// A reply of Asterisk's.
    AriReply,
    /// From the Realtime server. A piece of the agent's voice becomes what this makes of it.
    Realtime(Option<&'a mut AgentVoice>),
    /// What a function was called with, or what it gave.
    Tool,
}

/// Scrubs a message.
pub(super) struct Rules<'a> {
    pub(super) message: Message<'a>,
    pub(super) known: &'a mut Known,
}

/// What becomes of a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    /// Filler, letter by letter.
    Text,
    /// Filler, but numbers become numbers and addresses addresses.
    Value,
    /// An id that another message may name.
    Id,
    /// A word that the protocol knows.
    Code,
    /// A moment.
    Time,
    /// A name of the operator's.
    Name,
    /// `<technology>/<resource>-<unique part>`.
    Channel,
    /// The name of an application and its arguments, with commas between.
    Application,
    /// JSON in a string.
    Json,
    /// A key of a telephone.
    Key,
    /// A port, an address.
    Address,
    /// The agent's voice.
    Voice,
}

impl Exchange for Rules<'_> {
    fn exchange(&mut self, place: &Place<'_>, text: &[u8], out: &mut Vec<u8>) {
        match place.kind {
            Kind::Key => self.key(place, text, out),
            Kind::Number => self.number(place, text, out),
            Kind::String => {
                let rule = self.rule(place);
                self.string(rule, text, out);
            }
        }
    }
}

impl Rules<'_> {
    /// The name of a field.
    fn key(&mut self, place: &Place<'_>, name: &[u8], out: &mut Vec<u8>) {
        let stays = match self.message {
            Message::Settings => {
                let stays = is_name(name);
                if stays && place.key == b"properties" {
                    self.known.0.insert(name.to_vec());
                }
                stays
            }
            Message::Ari(_) | Message::AriReply | Message::Realtime(_) => is_name(name),
            Message::Tool => self.known.has(name) || name == b"destination",
        };
        if stays { out.extend_from_slice(name) } else { fill(name, out) }
    }

    fn number(&mut self, place: &Place<'_>, number: &[u8], out: &mut Vec<u8>) {
        let stays = match self.message {
            Message::Settings => {
                if matches!(place.key, b"enum" | b"const") {
                    self.known.0.insert(number.to_vec());
                }
                true
            }
            Message::Ari(_) | Message::AriReply => is_count(place.key) && !is_operators(place.parent),
            Message::Realtime(_) => is_count(place.key),
            Message::Tool => self.known.has(number),
        };
        if stays {
            return out.extend_from_slice(number);
        }
        let mantissa = number.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(number.len());
        let (mantissa, exponent) = number.split_at(mantissa);
        let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
        let (whole, fraction) = mantissa.split_at(point);
        whole.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).for_each(|run| fill_number(run, out));
        // 1.0 is an integer, and a schema may ask for one.
        let is_integer = fraction.iter().all(|byte| matches!(byte, b'.' | b'0'));
        if is_integer {
            out.extend_from_slice(fraction)
        } else {
            fill(fraction, out)
        }
        out.extend_from_slice(exponent);
    }

    fn rule(&self, place: &Place<'_>) -> Rule {
        let Place { key, parent, depth, .. } = *place;
        match &self.message {
            Message::Settings => of_settings(parent, key),
            Message::AriReply if key == b"value" => Rule::Address,
            Message::Ari(_) | Message::AriReply => of_ari(parent, key),
            Message::Realtime(Some(_)) if key == b"delta" && depth == 1 => Rule::Voice,
            Message::Realtime(_) => of_realtime(parent, key),
            Message::Tool => Rule::Value,
        }
    }

    fn string(&mut self, rule: Rule, text: &[u8], out: &mut Vec<u8>) {
        match rule {
            Rule::Text => fill(text, out),
            Rule::Value if self.known.has(text) || is_withheld(text) => out.extend_from_slice(text),
            Rule::Value => fill_value(text, out),
            Rule::Id if is_id(text) => out.extend_from_slice(text),
            Rule::Time if is_time(text) => out.extend_from_slice(text),
            Rule::Code if is_code(text) => out.extend_from_slice(text),
            Rule::Id | Rule::Time | Rule::Code => fill(text, out),
            Rule::Name => self.name(text, out),
            Rule::Channel => {
                let Some(slash) = text.iter().position(|byte| *byte == b'/') else {
                    return self.name(text, out);
                };
                let (technology, resource) = text.split_at(slash);
                if is_name(technology) {
                    out.extend_from_slice(technology)
                } else {
                    fill(technology, out)
                }
                fill_value(resource, out);
            }
            Rule::Application => {
                for (n, part) in text.split(|byte| *byte == b',').enumerate() {
                    if n == 0 {
                        self.name(part, out);
                    } else {
                        out.push(b',');
                        self.string(Rule::Value, part, out);
                    }
                }
            }
            Rule::Json if super::json::is_json(text) => {
                let mut rules = Rules { message: Message::Tool, known: &mut *self.known };
                super::json::exchange(text, &mut rules, out);
            }
            Rule::Json => fill(text, out),
            Rule::Key => match (&self.message, text) {
                (Message::Ari(key), [pressed]) => out.push(key(*pressed)),
                _ => fill(text, out),
            },
            Rule::Address if core::str::from_utf8(text).is_ok_and(|text| text.parse::<u16>().is_ok()) => {
                out.extend_from_slice(text);
            }
            Rule::Address => fill_value(text, out),
            Rule::Voice => {
                if let Message::Realtime(Some(voice)) = &mut self.message {
                    voice.replace(text, out);
                }
            }
        }
    }

    fn name(&mut self, name: &[u8], out: &mut Vec<u8>) {
        let is_settings = matches!(self.message, Message::Settings);
        if is_settings && is_name(name) {
            self.known.0.insert(name.to_vec());
        }
        if self.known.has(name) { out.extend_from_slice(name) } else { fill(name, out) }
    }
}

/// A text of the settings.
fn of_settings(parent: &[u8], key: &[u8]) -> Rule {
    match (parent, key) {
        (_, b"rtp_source" | b"barge_in" | b"resume" | b"steps" | b"failed_answer" | b"fallback" | b"hot")
        | (_, b"dialect" | b"audio_format" | b"turn_detection" | b"eagerness" | b"noise_reduction")
        | (_, b"approval" | b"tool_choice" | b"max_output_tokens" | b"truncation" | b"reasoning_effort")
        | (_, b"tracing" | b"type" | b"format" | b"voice" | b"language") => Rule::Code,
        (_, b"ari_app" | b"name" | b"context" | b"model" | b"label" | b"allowed_tools" | b"function")
        | (_, b"enum" | b"const" | b"required") => Rule::Name,
        (_, b"extension" | b"advertise_host") => Rule::Value,
        _ => Rule::Text,
    }
}

/// Whether the names of what is in there are the operator's: what is called like something of Asterisk's need not be it.
fn is_operators(parent: &[u8]) -> bool {
    matches!(parent, b"channelvars" | b"userevent" | b"variables")
}

/// A text of Asterisk's.
fn of_ari(parent: &[u8], key: &[u8]) -> Rule {
    match (parent, key) {
        (_, b"UNICASTRTP_LOCAL_ADDRESS" | b"UNICASTRTP_LOCAL_PORT") => Rule::Address,
        (parent, _) if is_operators(parent) => Rule::Value,
        (b"caller" | b"connected", b"name") => Rule::Text,
        (_, b"id" | b"channels" | b"channel_ids" | b"bridge_ids" | b"channel_id" | b"bridge_id") => Rule::Id,
        (_, b"type" | b"state" | b"language" | b"technology" | b"bridge_type" | b"bridge_class")
        | (_, b"creator" | b"video_mode" | b"variable" | b"dialstatus" | b"app_name" | b"direction") => {
            Rule::Code
        }
        (_, b"timestamp" | b"creationtime" | b"startup_time" | b"last_reload_time") => Rule::Time,
        (_, b"application" | b"context") => Rule::Name,
        (_, b"app_data") => Rule::Application,
        (_, b"name") => Rule::Channel,
        (_, b"digit") => Rule::Key,
        _ => Rule::Value,
    }
}

/// A text of the Realtime server's.
fn of_realtime(parent: &[u8], key: &[u8]) -> Rule {
    match (parent, key) {
        (b"metadata", b"ari_bridge") => Rule::Id,
        (b"error", b"message") => Rule::Text,
        (b"rate_limits", b"name") => Rule::Code,
        (_, b"event_id" | b"item_id" | b"response_id" | b"call_id" | b"id" | b"previous_item_id")
        | (_, b"conversation_id" | b"approval_request_id") => Rule::Id,
        (_, b"type" | b"object" | b"status" | b"role" | b"reason" | b"code" | b"param" | b"voice")
        | (_, b"input_audio_format" | b"output_audio_format" | b"output_modalities" | b"modalities")
        | (_, b"eagerness" | b"effort" | b"max_output_tokens" | b"max_response_output_tokens" | b"model")
        | (_, b"require_approval") => Rule::Code,
        (_, b"name" | b"server_label") => Rule::Name,
        (_, b"arguments" | b"output") => Rule::Json,
        _ => Rule::Text,
    }
}

/// Whether a number under this name counts or measures something, and is nobody's.
fn is_count(key: &[u8]) -> bool {
    const COUNTS: [&[u8]; 19] = [
        b"priority",
        b"cause",
        b"code",
        b"status",
        b"rate",
        b"threshold",
        b"speed",
        b"limit",
        b"remaining",
        b"duration",
        b"seconds",
        b"retention_ratio",
        b"post_instructions",
        b"ratio",
        b"start",
        b"end",
        b"content_index",
        b"output_index",
        b"tech_cause",
    ];
    const ENDS: [&[u8]; 4] = [b"_ms", b"_at", b"tokens", b"_seconds"];
    COUNTS.contains(&key) || ENDS.iter().any(|end| key.ends_with(end))
}

fn is_withheld(value: &[u8]) -> bool {
    WITHHELD.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(value))
}

/// Whether it is one word, as programs name things, without a long number.
pub(super) fn is_name(text: &[u8]) -> bool {
    let digits = |run: &[u8]| run.first().is_some_and(u8::is_ascii_digit) && run.len() > MAX_DIGITS_IN_NAME;
    is_id(text) && !text.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).any(digits)
}

/// The same with what codes and paths to fields have.
fn is_code(text: &[u8]) -> bool {
    let (mut word, is_short) = (Vec::new(), text.len() <= MAX_NAME_BYTES);
    word.extend(text.iter().filter(|byte| !matches!(byte, b'[' | b']' | b'/' | b':')));
    is_short && (is_name(&word) || word.is_empty())
}

/// Whether it can be an id: long numbers are.
pub(super) fn is_id(text: &[u8]) -> bool {
    let is_of_id = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.iter().all(is_of_id)
}

fn is_time(text: &[u8]) -> bool {
    let is_of_time =
        |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'+' | b'T' | b'Z');
    text.len() <= 40 && text.contains(&b'T') && text.iter().all(is_of_time)
}
