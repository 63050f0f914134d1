//! The Realtime links of a call: what holds of each, whatever is said on it.

use ari_bridge_core::id::LinkId;
use ari_bridge_core::realtime::{Dialect, ServerEvent};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The most links that may be open at once, or on their way to it.
const MAX_AT_ONCE: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Opening,
    Open,
    /// The call knows that it has ended.
    Down,
    /// The call has closed it.
    Closed,
}

/// A link, and the conversation on it as the call can know it.
#[derive(Debug)]
struct Link {
    state: State,
    /// How much audio came of each item, in bytes.
    received_bytes: BTreeMap<String, u64>,
    /// Of the format that the server was last asked for.
    bytes_per_ms: u64,
    /// Items that the server has named, or the call.
    items: BTreeSet<String>,
    created: BTreeSet<String>,
    /// Functions that were called in this conversation, with the items that did it, and tools that were to be approved.
    calls: BTreeMap<String, BTreeSet<String>>,
    approvals: BTreeSet<String>,
    /// How often each was answered. A call may have the name of another one that this conversation was told of.
    answered: BTreeMap<String, usize>,
    /// Whether the session on it has our settings.
    is_ready: bool,
}

impl Link {
    fn is_live(&self) -> bool {
        matches!(self.state, State::Opening | State::Open)
    }
}

/// All links that the call has asked for.
#[derive(Debug, Default)]
pub(crate) struct Links(BTreeMap<LinkId, Link>);

impl Links {
    /// The newest link that has not ended; the newest of all, if all have.
    pub(crate) fn newest(&self) -> LinkId {
        let live = self.0.iter().rev().find(|(_, link)| link.is_live());
        live.or_else(|| self.0.iter().next_back()).map_or(LinkId(1), |(id, _)| *id)
    }

    /// Whether a session stands on one of them.
    pub(crate) fn is_one_ready(&self) -> bool {
        self.0.values().any(|link| link.is_live() && link.is_ready)
    }

    /// One of all links, by a number.
    pub(crate) fn any(&self, number: usize) -> LinkId {
        self.0.keys().nth(number % self.0.len().max(1)).map_or(LinkId(1), |id| *id)
    }

    fn live_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.0.get_mut(&id).filter(|link| link.is_live())
    }

    pub(crate) fn open(&mut self, id: LinkId) {
        let link = Link {
            state: State::Opening,
            received_bytes: BTreeMap::new(),
            bytes_per_ms: 48,
            items: BTreeSet::new(),
            created: BTreeSet::new(),
            calls: BTreeMap::new(),
            approvals: BTreeSet::new(),
            answered: BTreeMap::new(),
            is_ready: false,
        };
        assert!(self.0.insert(id, link).is_none(), "link {id} was opened twice");
        let live = self.0.values().filter(|link| link.is_live()).count();
        assert!(live <= MAX_AT_ONCE, "{live} links at once");
    }

    pub(crate) fn close(&mut self, id: LinkId) {
        let link = self.live_mut(id).unwrap_or_else(|| panic!("link {id} was closed and is not open"));
        link.state = State::Closed;
    }

    pub(crate) fn ping(&mut self, id: LinkId) {
        assert!(self.live_mut(id).is_some(), "a ping on link {id}, which is not open");
    }

    pub(crate) fn is_up(&mut self, id: LinkId) {
        self.live_mut(id).into_iter().for_each(|link| link.state = State::Open);
    }

    pub(crate) fn is_down(&mut self, id: LinkId) {
        self.live_mut(id).into_iter().for_each(|link| link.state = State::Down);
    }

    /// Takes note of what the server says, as it is read: what is no event tells nothing. Returns whether the session
    /// has our settings now. Who says something is there, whether or not the call was told so before.
    pub(crate) fn server_said(&mut self, id: LinkId, message: &[u8]) -> bool {
        let Some(link) = self.live_mut(id) else { return false };
        link.state = State::Open;
        match Dialect::OpenAi.read(message) {
            Some(ServerEvent::SessionUpdated { .. }) => {
                link.is_ready = true;
                return true;
            }
            Some(ServerEvent::AudioDelta { item_id, delta, .. }) => {
                let digits = delta.trim_end_matches('=').len() as u64;
                let bytes = digits * 3 / 4;
                *link.received_bytes.entry(item_id.to_string()).or_default() += bytes;
                link.items.insert(item_id.to_string());
            }
            Some(ServerEvent::TranscriptDelta { item_id, .. } | ServerEvent::Committed { item_id }) => {
                link.items.insert(item_id.to_string());
            }
            Some(ServerEvent::ArgumentsDone { call, .. } | ServerEvent::ItemDone { item: call, .. }) => {
                link.calls.entry(call.call_id.to_string()).or_default().insert(call.id.to_string());
                link.approvals.insert(call.id.to_string());
                link.items.insert(call.id.to_string());
            }
            _ => {}
        }
        false
    }

    /// Only an open link is written to.
    pub(crate) fn is_written_to(&self, id: LinkId, what: impl core::fmt::Display) {
        let state = self.0.get(&id).map(|link| link.state);
        assert_eq!(state, Some(State::Open), "link {id} was sent {what}");
    }

    /// What is said on a link makes sense in the conversation on it: what was heard is more than nothing and at most
    /// what was received, what is answered was asked, and once, what is deleted was there.
    pub(crate) fn client_said(&mut self, id: LinkId, event: &Value) {
        self.is_written_to(id, event);
        let Some(link) = self.live_mut(id) else { return };
        let nested = event.pointer("/session/audio/output/format/type");
        if let Some(format) = nested.or_else(|| event.pointer("/session/output_audio_format")) {
            let is_pcm =
                format.as_str().is_some_and(|format| format.contains("pcm") && !format.ends_with(['u', 'a']));
            link.bytes_per_ms = if is_pcm { 48 } else { 8 };
        }
        let text = |place: &str| event.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
        match text("/type").as_str() {
            "conversation.item.create" => link.creates(&event["item"]),
            "conversation.item.truncate" => {
                let (heard, item) = (event["audio_end_ms"].as_u64().expect("an integer"), text("/item_id"));
                let received =
                    link.received_bytes.get(&item).copied().unwrap_or_default() / link.bytes_per_ms;
                assert!(heard > 0 && heard <= received, "{heard} ms heard of {received} ms received");
            }
            "conversation.item.delete" => {
                let item = text("/item_id");
                let known = link.items.contains(&item) || link.created.contains(&item);
                assert!(known, "{item} is deleted, of which nobody has heard");
            }
            _ => {}
        }
    }
}

impl Link {
    fn creates(&mut self, item: &Value) {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let (id, call_id, request) = (text("id"), text("call_id"), text("approval_request_id"));
        assert!(id.is_empty() || self.created.insert(id.clone()), "{id} is created twice");
        match text("type").as_str() {
            "function_call" => drop(self.calls.entry(call_id).or_default().insert(id)),
            "function_call_output" => {
                let asked = self.calls.get(&call_id).map_or(0, BTreeSet::len);
                assert!(asked > 0, "{call_id} was never called here");
                self.answers(call_id, asked);
            }
            "mcp_approval_response" => {
                assert!(self.approvals.contains(&request), "{request} was never asked here");
                self.answers(request, 1);
            }
            _ => {}
        }
    }

    fn answers(&mut self, what: String, asked: usize) {
        let answers = self.answered.entry(what.clone()).or_default();
        *answers += 1;
        assert!(*answers <= asked, "{what} is answered twice");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    const ONE: LinkId = LinkId(1);
    const TWO: LinkId = LinkId(2);
    const DELTA: &[u8] =
        br#"{"type":"response.output_audio.delta","item_id":"a","content_index":0,"delta":"AAAA"}"#;
    const CALL: &[u8] =
        br#"{"type":"response.output_item.done","item":{"id":"f","type":"function_call","call_id":"c"}}"#;

    /// What is done on links, with the texts that there are.
    type Deed = fn(&mut Links, &[&str; 4]);

    fn say(links: &mut Links, link: LinkId, text: &str) {
        links.client_said(link, &serde_json::from_str(text).expect("JSON"));
    }

    /// Two open links; on the first an item with audio has come and a function was called.
    fn two() -> Links {
        let mut links = Links::default();
        for link in [ONE, TWO] {
            links.open(link);
            links.is_up(link);
        }
        links.server_said(ONE, DELTA);
        links.server_said(ONE, CALL);
        links
    }

    #[test]
    fn what_breaks_a_rule_of_the_links_is_noticed() {
        let output =
            r#"{"type":"conversation.item.create","item":{"type":"function_call_output","call_id":"c"}}"#;
        let called =
            r#"{"type":"conversation.item.create","item":{"id":"x","type":"function_call","call_id":"c"}}"#;
        let delete = r#"{"type":"conversation.item.delete","item_id":"a"}"#;
        let truncate = r#"{"type":"conversation.item.truncate","item_id":"a","audio_end_ms":1}"#;
        let fine: [Deed; 4] = [
            |links, [output, ..]| say(links, ONE, output),
            |links, [output, called, ..]| [called, output].iter().for_each(|text| say(links, TWO, text)),
            |links, [.., delete, _]| say(links, ONE, delete),
            |links, _| {
                links.is_down(ONE);
                links.open(LinkId(3));
                links.close(TWO);
                links.open(LinkId(4));
            },
        ];
        let broken: [(&str, Deed); 11] = [
            ("an output of a call on another link", |links, [output, ..]| say(links, TWO, output)),
            ("a second output", |links, [output, ..]| {
                [output; 2].iter().for_each(|text| say(links, ONE, text))
            }),
            ("an item twice", |links, [_, called, ..]| {
                [called; 2].iter().for_each(|text| say(links, TWO, text))
            }),
            ("deleted on another link", |links, [.., delete, _]| say(links, TWO, delete)),
            ("truncated beyond what came", |links, [.., truncate]| say(links, ONE, truncate)),
            ("three at once", |links, _| links.open(LinkId(3))),
            ("a link twice", |links, _| links.open(ONE)),
            ("sent after the close", |links, [.., delete, _]| {
                links.close(ONE);
                say(links, ONE, delete);
            }),
            ("sent after the end", |links, [.., delete, _]| {
                links.is_down(ONE);
                say(links, ONE, delete);
            }),
            ("sent before it is open", |links, [.., delete, _]| {
                links.close(TWO);
                links.open(LinkId(3));
                say(links, LinkId(3), delete);
            }),
            ("closed twice", |links, _| [ONE; 2].into_iter().for_each(|link| links.close(link))),
        ];
        let texts = [output, called, delete, truncate];
        fine.into_iter().for_each(|what| what(&mut two(), &texts));
        for (rule, what) in broken {
            assert!(catch_unwind(|| what(&mut two(), &texts)).is_err(), "not noticed: {rule}");
        }
    }

    #[test]
    fn what_comes_on_a_link_that_has_ended_tells_nothing() {
        let mut links = two();
        links.is_down(TWO);
        assert!(!links.server_said(TWO, br#"{"type":"session.updated"}"#));
        assert!(links.server_said(ONE, br#"{"type":"session.updated"}"#));
        assert_eq!((links.newest(), links.any(0), links.any(3)), (ONE, ONE, TWO));
    }
}
