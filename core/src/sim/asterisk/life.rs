//! What happens to channels, in the order in which a real Asterisk tells of it.

use super::io::{CallerState, Output};
use super::media::{Endpoint, Mouth};
use super::world::{Channel, Continued, MAX_OBJECTS, Party, Place, State, World, object};
use crate::format::MediaFormat;
use core::net::SocketAddr;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Who ends a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HangupBy {
    /// The far end: `ChannelHangupRequest` has no cause then.
    Caller,
    /// `DELETE /channels/{id}`.
    Application,
}

/// What `externalMedia` asks for.
pub(super) struct MediaRequest {
    pub(super) id: Option<String>,
    pub(super) app: String,
    pub(super) external_host: String,
    pub(super) remote: SocketAddr,
    pub(super) format: MediaFormat,
    pub(super) args: Vec<String>,
    pub(super) variables: BTreeMap<String, String>,
}

/// Of how many callers it is remembered where they went on, and of how many why they were hung up.
const MAX_REMEMBERED: usize = 1000;

impl World {
    /// A caller comes through the dialplan into `Stasis(app, number, exten)`.
    pub(super) fn dial(&mut self, caller: u64, number: &str, exten: &str, answered: bool) {
        if self.callers.contains_key(&caller) || self.channels.len() >= MAX_OBJECTS {
            return;
        }
        let id = self.unique_id();
        let app = self.settings.app.clone();
        let channel = Channel {
            id: id.clone(),
            name: format!("PJSIP/phone-{:08x}", self.made),
            state: if answered { State::Up } else { State::Ring },
            protocol_id: format!("{caller}@phone"),
            number: number.to_owned(),
            connected: String::new(),
            context: "inbound",
            exten: exten.to_owned(),
            place: Place::Dialplan,
            app: None,
            bridge: None,
            variables: BTreeMap::new(),
            created: self.now,
            is_originated: false,
            party: Party::Caller { caller, mouth: Mouth::default() },
        };
        self.channels.insert(id.clone(), channel);
        self.callers.insert(caller, id.clone());
        self.caller_state(caller, if answered { CallerState::Answered } else { CallerState::Ringing });
        let args = vec![number.to_owned(), exten.to_owned()];
        if !self.enter_stasis(&id, &app, args) {
            self.caller_state(caller, CallerState::InDialplan);
        }
    }

    /// Runs `Stasis()`; `false` if nobody listens for the application (`STASISSTATUS=FAILED`).
    pub(super) fn enter_stasis(&mut self, id: &str, app: &str, args: Vec<String>) -> bool {
        if !self.sockets.contains_key(app) {
            return false;
        }
        let Some(channel) = self.channels.get_mut(id) else { return false };
        channel.app = Some(app.to_owned());
        channel.place = Place::Stasis { args: args.clone() };
        // A channel of the dialplan is subscribed to only now, too late for this variable.
        if channel.is_of_ari() {
            self.set_variable(id, "STASISSTATUS", "");
        }
        self.tell_channel(id, "StasisStart", json!({ "args": args }));
        true
    }

    /// `POST /channels/externalMedia`. `None` where Asterisk answers 500: the id is taken, or no port is left.
    /// The reply shows the channel as it was made, before what is told of it here.
    pub(super) fn external_media(&mut self, request: MediaRequest) -> Option<Value> {
        let id = request.id.clone().unwrap_or_else(|| self.unique_id());
        let free = |port: &&u16| !self.ports_in_use.contains(port);
        let port = *self.settings.rtp_ports.iter().find(free)?;
        if self.find(&id).is_some() || self.channels.len() >= MAX_OBJECTS {
            return None;
        }
        let mut variables = request.variables;
        variables.insert("UNICASTRTP_LOCAL_PORT".into(), port.to_string());
        variables.insert("UNICASTRTP_LOCAL_ADDRESS".into(), self.settings.rtp_host.to_string());
        let name = format!("UnicastRTP/{}-0x7f{:010x}", request.external_host, self.rng.next_u32());
        let endpoint =
            Endpoint::new(port, request.remote, request.format, self.settings.is_quick, &mut self.rng);
        let channel = Channel {
            id: id.clone(),
            name,
            state: State::Down,
            protocol_id: String::new(),
            number: String::new(),
            connected: String::new(),
            context: "default",
            exten: "s".into(),
            place: Place::Dialing,
            app: Some(request.app.clone()),
            bridge: None,
            variables,
            created: self.now,
            is_originated: false,
            party: Party::Media(Box::new(endpoint)),
        };
        self.channels.insert(id.clone(), channel);
        self.ports_in_use.insert(port);
        self.effects.push(Output::BindRtp { port });
        let mut made = object(self.channel_json(&id));
        let vars = ["UNICASTRTP_LOCAL_PORT", "UNICASTRTP_LOCAL_ADDRESS"]
            .map(|name| (name.to_owned(), self.variable(&id, name).unwrap_or_default().into()));
        made.insert("channelvars".into(), Value::Object(vars.into_iter().collect()));

        let dialstring = format!("{}/c({})", request.external_host, request.format);
        let dial = |status: &str| json!({ "dialstatus": status, "forward": "", "dialstring": dialstring });
        self.tell_as("peer", &id, "Dial", dial(""));
        self.set_state(&id, State::Up);
        self.tell_as("peer", &id, "Dial", dial("ANSWER"));
        if !self.enter_stasis(&id, &request.app, request.args) {
            self.remove(&id);
        }
        Some(Value::Object(made))
    }

    /// The value of a variable, or of one of the functions that a bridge may ask for.
    pub(super) fn variable(&self, id: &str, name: &str) -> Option<String> {
        let channel = self.find(id)?;
        match name {
            "CHANNEL(state)" => Some(channel.state.name().to_owned()),
            "CALLERID(num)" => Some(channel.number.clone()),
            _ => channel.variables.get(name).cloned(),
        }
    }

    fn set_state(&mut self, id: &str, state: State) {
        if let Some(channel) = self.channels.get_mut(id)
            && channel.state != state
        {
            channel.state = state;
            self.tell_channel(id, "ChannelStateChange", json!({}));
        }
    }

    /// `POST /channels/{id}/answer`.
    pub(super) fn answer(&mut self, id: &str) {
        let Some(channel) = self.channels.get(id) else { return };
        if channel.state == State::Up {
            return;
        }
        if let Party::Caller { caller, .. } = channel.party {
            self.caller_state(caller, CallerState::Answered);
        }
        self.set_state(id, State::Up);
    }

    pub(super) fn enter_bridge(&mut self, id: &str, bridge_id: &str) {
        if let Some(old) = self.channels.get(id).and_then(|channel| channel.bridge.clone()) {
            self.leave_bridge(id);
            self.unsubscribe_if_empty(&old, bridge_id);
        }
        let (Some(channel), Some(bridge)) = (self.channels.get_mut(id), self.bridges.get_mut(bridge_id))
        else {
            return;
        };
        channel.bridge = Some(bridge_id.to_owned());
        bridge.members.insert(id.to_owned());
        bridge.subscribers.extend(channel.app.clone());
        self.tell_membership("ChannelEnteredBridge", id, bridge_id);
        self.introduce_peers(bridge_id);
    }

    /// Two channels in a bridge learn who the other is.
    fn introduce_peers(&mut self, bridge_id: &str) {
        let Some(bridge) = self.bridges.get(bridge_id) else { return };
        let mut members = bridge.members.iter().cloned();
        let (Some(a), Some(b), None) = (members.next(), members.next(), members.next()) else { return };
        let pairs = [(&a, &b), (&b, &a)];
        for (own, peer) in pairs {
            let name = self.channels.get(peer).map(|peer| peer.name.clone()).unwrap_or_default();
            self.set_variable(own, "BRIDGEPEER", &name);
        }
        for (own, peer) in pairs {
            let Some((pvt, number)) =
                self.channels.get(peer).map(|p| (p.protocol_id.clone(), p.number.clone()))
            else {
                continue;
            };
            if !pvt.is_empty() {
                self.set_variable(own, "BRIDGEPVTCALLID", &pvt);
            }
            if let Some(channel) = self.channels.get_mut(own)
                && !number.is_empty()
                && channel.connected != number
            {
                channel.connected = number;
                self.tell_channel(own, "ChannelConnectedLine", json!({}));
            }
        }
    }

    pub(super) fn leave_bridge(&mut self, id: &str) {
        let Some(bridge_id) = self.channels.get(id).and_then(|channel| channel.bridge.clone()) else {
            return;
        };
        for name in ["BRIDGEPEER", "BRIDGEPVTCALLID"] {
            if self.channels.get(id).and_then(|c| c.variables.get(name)).is_some_and(|peer| !peer.is_empty())
            {
                self.set_variable(id, name, "");
            }
        }
        if let Some(channel) = self.channels.get_mut(id) {
            channel.bridge = None;
        }
        if let Some(bridge) = self.bridges.get_mut(&bridge_id) {
            bridge.members.remove(id);
        }
        self.tell_membership("ChannelLeftBridge", id, &bridge_id);
    }

    /// An application whose last channel was *taken* out of a bridge hears no more of it; one whose channels
    /// hung up does (measured).
    pub(super) fn unsubscribe_if_empty(&mut self, bridge_id: &str, unless: &str) {
        if let Some(bridge) = self.bridges.get_mut(bridge_id)
            && bridge_id != unless
            && bridge.members.is_empty()
        {
            bridge.subscribers.clear();
        }
    }

    /// `DELETE /bridges/{id}`: its channels stay where they are, in Stasis.
    pub(super) fn destroy_bridge(&mut self, bridge_id: &str) {
        let Some(bridge) = self.bridges.get(bridge_id) else { return };
        let (members, subscribers) = (bridge.members.clone(), bridge.subscribers.clone());
        for id in members {
            self.leave_bridge(&id);
        }
        for app in subscribers {
            let fields = json!({ "bridge": self.bridge_json(bridge_id) });
            self.tell(&app, "BridgeDestroyed", object(fields));
        }
        self.bridges.remove(bridge_id);
    }

    /// `POST /channels/{id}/continue` to a context, an extension and a priority, of which each may be empty. A media
    /// channel has no dialplan to go on in, and ends.
    pub(super) fn continue_in_dialplan(&mut self, id: &str, to: [&str; 3]) {
        self.leave_bridge(id);
        self.tell_channel(id, "StasisEnd", json!({}));
        match self.channels.get_mut(id) {
            Some(Channel {
                party: Party::Caller { caller, .. },
                place,
                app,
                variables,
                context,
                exten,
                is_originated,
                ..
            }) => {
                let caller = *caller;
                *place = Place::Dialplan;
                if !*is_originated {
                    *app = None;
                }
                if self.continued.len() < MAX_REMEMBERED {
                    let at = goes_on_at(context, exten, to).join(",");
                    self.continued.insert(caller, Continued { at, variables: variables.clone() });
                }
                self.caller_state(caller, CallerState::InDialplan);
            }
            Some(_) => self.destroyed(id),
            None => {}
        }
    }

    /// `DELETE /channels/{id}`, for one of the reasons that ARI knows.
    pub(super) fn hang_up_for(&mut self, id: &str, reason: &str) {
        let caller = self.channels.get(id).and_then(|channel| match channel.party {
            Party::Caller { caller, .. } => Some(caller),
            Party::Media(_) => None,
        });
        if let Some(caller) = caller.filter(|_| self.hung_up.len() < MAX_REMEMBERED) {
            self.hung_up.insert(caller, reason.to_owned());
        }
        self.hangup(id, HangupBy::Application);
    }

    /// A channel ends.
    pub(super) fn hangup(&mut self, id: &str, by: HangupBy) {
        let Some(channel) = self.channels.get(id) else { return };
        if !channel.in_stasis() {
            self.gone(id);
            return;
        }
        match by {
            HangupBy::Caller => {
                self.set_variable(id, "RTPAUDIOQOS", "lp=0;rxjitter=0.000000;rlp=0;txjitter=0.000000");
                self.tell_channel(id, "ChannelHangupRequest", json!({}));
            }
            HangupBy::Application => {
                self.tell_channel(id, "ChannelHangupRequest", json!({ "soft": true, "cause": 32 }));
            }
        }
        self.leave_bridge(id);
        self.tell_channel(id, "StasisEnd", json!({}));
        self.destroyed(id);
    }

    /// What follows `StasisEnd` at the end of a channel. The subscription to a dialplan caller has ended with
    /// it, so there is no `ChannelDestroyed` for one.
    pub(super) fn destroyed(&mut self, id: &str) {
        if self.channels.get(id).is_some_and(Channel::is_of_ari) {
            self.set_variable(id, "STASISSTATUS", "SUCCESS");
            if let Some(channel) = self.channels.get_mut(id) {
                channel.place = Place::Dialing;
            }
        }
        self.gone(id);
    }

    /// A channel is no more, and whoever hears of it still is told.
    fn gone(&mut self, id: &str) {
        if self.channels.get(id).is_some_and(Channel::is_of_ari) {
            self.tell_channel(id, "ChannelDestroyed", json!({ "cause": 16, "cause_txt": "Normal Clearing" }));
        }
        self.remove(id);
    }

    /// Takes a channel away, with its port or caller.
    pub(super) fn remove(&mut self, id: &str) {
        let Some(channel) = self.channels.remove(id) else { return };
        match channel.party {
            Party::Caller { caller, .. } => {
                self.callers.remove(&caller);
                self.caller_state(caller, CallerState::Gone);
            }
            Party::Media(endpoint) => {
                self.ports_in_use.remove(&endpoint.port);
                self.effects.push(Output::UnbindRtp { port: endpoint.port });
            }
        }
    }
}

/// Where a channel goes on that is at priority 1 of this extension in this context, and is sent to a place of which not
/// all need be named (measured).
fn goes_on_at<'a>(context: &'a str, exten: &'a str, to: [&'a str; 3]) -> [&'a str; 3] {
    match to {
        ["", "", ""] => [context, exten, "2"],
        ["", "", priority] => [context, exten, priority],
        [to_context, to_exten, to_priority] => {
            let or = |named: &'a str, otherwise: &'a str| if named.is_empty() { otherwise } else { named };
            let exten = or(to_exten, "s");
            [or(to_context, context), exten, or(to_priority, "1")]
        }
    }
}
