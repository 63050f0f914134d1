//! Events of ARI, about channels and bridges of ours, of callers, and of strangers.

use super::{pick, text, word};
use crate::choices::Choices;
use ari_bridge_core::id::InstanceNonce;
use serde_json::{Map, Value, json};

/// How many callers there are.
pub const CALLERS: usize = 5;

/// An event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its type.
    pub kind: &'static str,
    /// The channel that it is about.
    pub channel: Option<String>,
    /// The technology of that channel, and what follows.
    pub name: String,
    /// The channel whose place that one takes.
    pub replaces: Option<String>,
    /// The bridge that it is about.
    pub bridge: Option<String>,
}

/// The id of a channel or a bridge: of something that one of the first `calls` calls of this run of the bridge may have
/// made, of a caller, of another run, or of something that only looks like ours.
pub fn id(choices: &mut Choices<'_>, nonce: InstanceNonce, calls: u64) -> String {
    let call = choices.below(calls.clamp(1, 255) as usize + 1);
    let n = choices.below(3) + 1;
    match choices.below(16) {
        0..=5 => format!("{nonce}-{call}-{n}"),
        6 => format!("{}-{call}-{n}", InstanceNonce::new(0x0BAD_CAFE)),
        7 => match choices.below(6) {
            0 => format!("{nonce}-{call}-{n}-1"),
            1 => format!("{}-{call}-{n}", nonce.to_string().to_uppercase()),
            2 => format!("{nonce}-0{call}-{n}"),
            3 => format!("{nonce}-{call}-0{n}"),
            4 => format!("{nonce}-{call}-+{n}"),
            _ => format!(" {nonce}-{call}-{n}"),
        },
        8 => word(choices),
        9 => text(choices),
        _ => caller(choices),
    }
}

/// The id of a caller's channel.
pub fn caller(choices: &mut Choices<'_>) -> String {
    format!("17.{}", choices.below(CALLERS))
}

/// Any event.
pub fn event(choices: &mut Choices<'_>, nonce: InstanceNonce, calls: u64) -> Event {
    let kind = match choices.below(12) {
        0..=3 => "StasisStart",
        4 => "StasisEnd",
        5 => "ChannelDestroyed",
        6 => "BridgeDestroyed",
        _ => *pick(
            choices,
            &["ChannelHold", "ChannelUnhold", "ChannelDtmfReceived", "ChannelEnteredBridge", "Dial"],
        ),
    };
    let may = |choices: &mut Choices<'_>, n: usize| (!choices.one_in(n)).then(|| id(choices, nonce, calls));
    let is_start = kind == "StasisStart";
    let channel = match choices.below(4) {
        0 | 1 if is_start => Some(caller(choices)),
        _ => may(choices, if kind == "BridgeDestroyed" { 2 } else { 12 }),
    };
    let technology = *pick(choices, &["PJSIP", "PJSIP", "PJSIP", "PJSIP", "Local", "UnicastRTP"]);
    let name = format!("{technology}/{}", word(choices));
    let replaces = (is_start && choices.one_in(5)).then(|| caller(choices));
    let bridge = if choices.one_in(3) { may(choices, 8) } else { None };
    Event { kind, channel, name, replaces, bridge }
}

impl Event {
    /// As Asterisk writes it, with fields that nobody asks for.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let channel = |id: &str| {
            let caller = json!({ "name": "", "number": "100" });
            json!({ "accountcode": "", "caller": caller, "id": id, "name": self.name, "state": "Ring" })
        };
        let mut event = Map::new();
        event.insert("application".to_owned(), "voice-agent".into());
        event.insert("args".to_owned(), json!([]));
        if let Some(id) = &self.bridge {
            event.insert(
                "bridge".to_owned(),
                json!({ "bridge_type": "mixing", "id": id, "name": "voice-agent" }),
            );
        }
        if let Some(id) = &self.channel {
            event.insert("channel".to_owned(), channel(id));
        }
        if let Some(id) = &self.replaces {
            event.insert("replace_channel".to_owned(), channel(id));
        }
        event.insert("type".to_owned(), self.kind.into());
        Value::Object(event).to_string().into_bytes()
    }
}
