//! Channels that come into the application by other ways than the dialplan.

use super::io::CallerState;
use super::media::Mouth;
use super::world::{Channel, MAX_OBJECTS, Party, Place, State, World};
use serde_json::json;
use std::collections::BTreeMap;

impl World {
    /// An attended transfer, done by the telephone of `caller`: another channel takes its place in its bridge.
    /// `StasisStart` names whose place it is, and `StasisEnd` of the old channel comes last. The new one is
    /// in the application without arguments, because no dialplan has given any (not measured).
    pub(super) fn replace(&mut self, caller: u64, by: u64, number: &str) {
        let Some(old) = self.callers.get(&caller).and_then(|id| self.channels.get(id)) else { return };
        let (Some(bridge), Some(app)) = (old.bridge.clone(), old.app.clone()) else { return };
        if self.callers.contains_key(&by) || self.channels.len() >= MAX_OBJECTS {
            return;
        }
        let old = old.id.clone();
        let id = self.answered_telephone(by, number, Place::Stasis { args: Vec::new() }, false);
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.app = Some(app);
        }
        let replaced = self.channel_json(&old);
        self.tell_channel(&id, "StasisStart", json!({ "args": [], "replace_channel": replaced }));
        self.leave_bridge(&old);
        self.enter_bridge(&id, &bridge);
        self.tell_channel(&old, "StasisEnd", json!({}));
        self.destroyed(&old);
    }

    /// Another client of ARI calls somebody (`POST /channels`), who answers and is in our application from then on.
    pub(super) fn originate(&mut self, caller: u64, number: &str) {
        if self.callers.contains_key(&caller) || self.channels.len() >= MAX_OBJECTS {
            return;
        }
        let app = self.settings.app.clone();
        let id = self.answered_telephone(caller, number, Place::Dialing, true);
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.app = Some(app.clone());
        }
        let dial = |status: &str| json!({ "dialstatus": status, "forward": "", "dialstring": "phone" });
        self.tell_as("peer", &id, "Dial", dial(""));
        self.tell_channel(&id, "ChannelStateChange", json!({}));
        self.tell_as("peer", &id, "Dial", dial("ANSWER"));
        if !self.enter_stasis(&id, &app, Vec::new()) {
            self.remove(&id);
        }
    }

    fn answered_telephone(&mut self, caller: u64, number: &str, place: Place, is_originated: bool) -> String {
        let id = self.unique_id();
        let channel = Channel {
            id: id.clone(),
            name: format!("PJSIP/phone-{:08x}", self.made),
            state: State::Up,
            protocol_id: format!("{caller}@phone"),
            number: number.to_owned(),
            connected: String::new(),
            context: "inbound",
            exten: "s".into(),
            place,
            app: None,
            bridge: None,
            variables: BTreeMap::new(),
            created: self.now,
            is_originated,
            party: Party::Caller { caller, mouth: Mouth::default() },
        };
        self.channels.insert(id.clone(), channel);
        self.callers.insert(caller, id.clone());
        self.caller_state(caller, CallerState::Answered);
        id
    }
}
