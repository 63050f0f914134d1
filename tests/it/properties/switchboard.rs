//! Whose event goes to whom: the switchboard against two maps and a list of times.

use super::{bytes, cases};
use crate::desk::{Desk, ENDED};
use ari_bridge_core::call::{Entry, IoFault, Outcome, StopReason};
use ari_bridge_core::id::{CallId, InstanceNonce, RequestId};
use ari_bridge_core::ports::REST;
use ari_bridge_core::settings::SwitchboardSettings;
use ari_bridge_core::switchboard::{Action, Input};
use ari_bridge_core::time::{Duration, Instant};
use ari_bridge_tests::choices::Choices;
use ari_bridge_tests::generators::events::{self, CALLERS, Event};
use ari_bridge_tests::generators::{pick, up_to};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// That of a [`Desk`].
const NONCE: InstanceNonce = InstanceNonce::new(0xD35C);

/// A call that is under way.
#[derive(Debug)]
struct Known {
    channel: String,
    /// It was told that its caller has left.
    is_left: bool,
}

struct Story {
    desk: Desk,
    settings: SwitchboardSettings,
    calls: BTreeMap<u64, Known>,
    by_channel: BTreeMap<String, u64>,
    last: u64,
    /// When calls have ended whose ports rest.
    ended: Vec<Instant>,
    is_stopping: bool,
    /// Asterisk was asked what there is: callers may be found before their event comes.
    has_looked: bool,
    requests: Vec<RequestId>,
    /// What was given, and what followed from it.
    trace: Vec<String>,
}

/// The live call that this name says that it is of.
fn owner(calls: &BTreeMap<u64, Known>, id: &str) -> Option<u64> {
    let live = calls.keys().copied();
    // A name of ours is just one text, so it is compared with all that there could be.
    live.into_iter().find(|call| (1..=9).any(|n| id == format!("{NONCE}-{call}-{n}")))
}

/// Whether it is a name that some run of the bridge gives.
fn is_a_name_of_ours(id: &str) -> bool {
    let plain = |number: &str| number.parse::<u64>().is_ok_and(|read| read.to_string() == number);
    match *id.split('-').collect::<Vec<_>>() {
        [nonce, call, n] => InstanceNonce::parse(nonce).is_some() && plain(call) && plain(n),
        _ => false,
    }
}

impl Story {
    fn new(choices: &mut Choices<'_>) -> Self {
        let settings = SwitchboardSettings {
            max_calls: choices.one_in(2).then(|| choices.below(4)),
            ports: 1 + choices.below(5),
            adopt: choices.one_in(2),
            breaker: None,
            ..SwitchboardSettings::default()
        };
        Self {
            desk: Desk::with(&settings),
            settings,
            calls: BTreeMap::new(),
            by_channel: BTreeMap::new(),
            last: 0,
            ended: Vec::new(),
            is_stopping: false,
            has_looked: false,
            requests: Vec::new(),
            trace: Vec::new(),
        }
    }

    /// Gives an input, of which these calls must be told, and which may begin a call if `fresh` says so.
    fn gives(
        &mut self,
        input: Input<'_>,
        told: Option<u64>,
        fresh: Option<&str>,
    ) -> Result<(), TestCaseError> {
        let resting = |now: Instant| self.ended.iter().filter(|ended| **ended + REST > now).count();
        let was_finished = self.desk.next.finished;
        let may_start = fresh.is_some();
        let lines = self.desk.gives(input);
        self.trace.push(match input {
            Input::Ari(bytes) => format!("{} -> {lines:?}", String::from_utf8_lossy(bytes)),
            other => format!("{other:?} -> {lines:?}"),
        });
        let now = self.desk.now;
        let room = self
            .settings
            .max_calls
            .unwrap_or(usize::MAX)
            .min(self.settings.ports.saturating_sub(resting(now)));
        let is_full = self.is_stopping || self.calls.len() >= room;
        let (mut handed_to, mut started) = (Vec::new(), 0);
        for action in self.desk.out.iter() {
            match action {
                Action::ToCall { call, event } => {
                    if let Input::Ari(bytes) = input {
                        prop_assert_eq!(self.desk.out.bytes(event), bytes);
                    }
                    handed_to.push(call.0);
                }
                Action::StopCall { call, reason } => {
                    let known = self.calls.get_mut(&call.0);
                    prop_assert!(known.is_some(), "{} does not live, and is told to stop", call);
                    if let (Some(known), StopReason::CallerLeft) = (known, reason) {
                        known.is_left = true;
                    }
                }
                Action::StartCall { call, ids, entry, about, .. } => {
                    started += 1;
                    prop_assert!(call.0 > self.last, "{} was the name of another call", call);
                    prop_assert_eq!((ids.nonce, ids.call), (NONCE, call));
                    prop_assert!(!self.is_stopping, "a call begins at the end of the process");
                    let about: Value = serde_json::from_slice(self.desk.out.bytes(about)).expect("JSON");
                    let channel =
                        if entry == Entry::Arrived { &about["channel"]["id"] } else { &about["id"] };
                    let channel = channel.as_str().expect("a channel").to_owned();
                    let twice = self.calls.values().any(|known| known.channel == channel && !known.is_left);
                    prop_assert!(!twice, "{} has two calls", channel);
                    self.last = call.0;
                    self.by_channel.insert(channel.clone(), call.0);
                    self.calls.insert(call.0, Known { channel, is_left: false });
                    prop_assert!(self.calls.len() <= room, "more calls than there may be");
                }
                Action::Ari { id, .. } => {
                    prop_assert!(!self.requests.contains(&id), "{} is in flight", id);
                    self.requests.push(id);
                }
                _ => {}
            }
        }
        prop_assert!(!was_finished || lines.is_empty(), "{:?} after the end", lines);
        if !was_finished {
            prop_assert_eq!(handed_to, told.into_iter().collect::<Vec<_>>(), "{:?}", lines);
            if may_start && !self.has_looked {
                prop_assert_eq!(started, usize::from(!is_full), "{:?}", lines);
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), TestCaseError> {
        let bytes = event.to_bytes();
        let Event { kind, channel, name, replaces, bridge } = event;
        let channel = channel.as_deref();
        if *kind != "StasisStart" || channel.is_none() {
            let mut named = [channel, bridge.as_deref()].into_iter().flatten();
            let by_name = named.find_map(|id| owner(&self.calls, id));
            let told = by_name.or_else(|| self.by_channel.get(channel?).copied());
            return self.gives(Input::Ari(&bytes), told, None);
        }
        let channel = channel.unwrap_or_default();
        if is_a_name_of_ours(channel) {
            return self.gives(Input::Ari(&bytes), owner(&self.calls, channel), None);
        }
        if let Some(&call) = replaces.as_ref().and_then(|old| self.by_channel.get(old)) {
            self.gives(Input::Ari(&bytes), Some(call), None)?;
            if let Some(known) = self.calls.get_mut(&call).filter(|_| !self.desk.next.finished) {
                let old = core::mem::replace(&mut known.channel, channel.to_owned());
                self.by_channel.remove(&old);
                self.by_channel.insert(channel.to_owned(), call);
            }
            return Ok(());
        }
        let is_caller = !name.starts_with("UnicastRTP/") && !channel.is_empty();
        self.gives(Input::Ari(&bytes), None, is_caller.then_some(channel))
    }

    /// A call is over.
    fn ends(&mut self, choices: &mut Choices<'_>) -> Result<(), TestCaseError> {
        let call = up_to(choices, self.last + 1);
        let id = CallId(call);
        let outcome = Outcome { left_behind: choices.one_in(8), ..ENDED };
        let input = if choices.one_in(6) {
            Input::CallPanicked { call: id }
        } else {
            Input::CallFinished { call: id, outcome }
        };
        // It is over before anything else follows from it.
        if let Some(known) = self.calls.remove(&call) {
            self.ended.push(self.desk.now + Duration::from_millis(1));
            if self.by_channel.get(&known.channel) == Some(&call) {
                self.by_channel.remove(&known.channel);
            }
        }
        self.gives(input, None, None)
    }

    /// Asterisk answers a request with something, or not at all.
    fn reply(&mut self, choices: &mut Choices<'_>) -> Result<(), TestCaseError> {
        let Some(last) = self.requests.len().checked_sub(1) else { return Ok(()) };
        let id = self.requests.swap_remove(up_to(choices, last as u64) as usize);
        if choices.one_in(6) {
            return self.gives(Input::AriFailed { id, fault: IoFault::TimedOut }, None, None);
        }
        let channel = |n: usize| {
            let dialplan = json!({ "app_name": "Stasis", "app_data": "voice-agent,100,200" });
            json!({ "id": format!("17.{n}"), "name": "PJSIP/a", "dialplan": dialplan })
        };
        let n = choices.below(CALLERS);
        let body = match choices.below(6) {
            0 => json!({ "status": { "startup_time": choices.below(2).to_string() } }),
            1 => json!({ "channel_ids": (0..=n).map(|n| format!("17.{n}")).collect::<Vec<_>>() }),
            2 => json!({ "channel_ids": [format!("{NONCE}-{n}-1"), "arib0badcafe-1-1", format!("17.{n}")] }),
            3 => {
                json!([{ "id": format!("{NONCE}-{n}-2"), "name": "voice-agent" }, { "id": "x", "name": "y" }])
            }
            4 => channel(n),
            _ => json!({}),
        };
        let status = *pick(choices, &[200, 200, 200, 204, 404, 409, 500]);
        self.gives(Input::AriReply { id, status, body: body.to_string().as_bytes() }, None, None)
    }

    fn one_thing(&mut self, choices: &mut Choices<'_>) -> Result<(), TestCaseError> {
        match choices.below(64) {
            0..=31 => {
                let event = events::event(choices, NONCE, self.last);
                self.event(&event)
            }
            32..=39 => self.ends(choices),
            40..=49 => self.reply(choices),
            50..=52 => {
                self.has_looked = true;
                self.gives(Input::AriUp, None, None)
            }
            53 => self.gives(Input::AriDown { http_status: None, fault: Some(IoFault::Reset) }, None, None),
            54 => {
                // Settings hold for new calls.
                self.settings.max_calls = choices.one_in(2).then(|| choices.below(4));
                let settings = self.settings.clone();
                self.gives(Input::Settings(&settings), None, None)
            }
            55 if choices.one_in(4) => {
                self.is_stopping = true;
                self.gives(Input::Drain, None, None)
            }
            56 if choices.one_in(8) => {
                self.is_stopping = true;
                self.gives(Input::StopNow, None, None)
            }
            57 if choices.one_in(4) => {
                let event = br#"{"type":"ApplicationReplaced","application":"voice-agent"}"#;
                self.gives(Input::Ari(event), None, None)
            }
            58 | 59 => {
                self.desk.now = self.desk.now + Duration::from_millis(up_to(choices, 4_000));
                Ok(())
            }
            _ => {
                self.desk.now =
                    self.desk.next.deadline.map_or(self.desk.now, |(at, _)| self.desk.now.max(at));
                self.has_looked |= self.desk.next.deadline.is_some();
                self.gives(Input::Timer, None, None)
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(700))]

    /// Whatever comes in whatever order: what bears a name of a live call of ours goes to that call and to no other,
    /// what is about a caller to the call that the caller is in, everything else to nobody; no caller has two calls, no
    /// name is used twice, and there are never more calls than may be.
    #[test]
    fn each_event_goes_to_the_call_that_it_is_of(bytes in bytes(1200)) {
        let mut choices = Choices::new(&bytes);
        let mut story = Story::new(&mut choices);
        while !choices.is_empty() {
            let told = story.one_thing(&mut choices);
            told.map_err(|why| TestCaseError::fail(format!("{why} in {:#?}", story.trace)))?;
        }
    }
}
