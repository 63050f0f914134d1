//! Channels, bridges and applications, as ARI shows them.

use super::Settings;
use super::io::{CallerState, Output};
use super::media::{Endpoint, MediaStats, Mouth};
use crate::rng::Rng;
use crate::time::{Instant, UtcNanos};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How many channels, and how many bridges, there may be at once.
pub(super) const MAX_OBJECTS: usize = 2000;
/// How many variables a channel may have.
pub(super) const MAX_VARIABLES: usize = 100;
/// What tells this Asterisk from others in its events.
const ENTITY_ID: &str = "02:00:00:00:00:01";

/// `Channel.state`, as far as it comes up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Down,
    Ring,
    Up,
}

impl State {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Down => "Down",
            Self::Ring => "Ring",
            Self::Up => "Up",
        }
    }
}

/// Which application runs on a channel, as its dialplan entry shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// An originated channel before Stasis and after it.
    Dialing,
    /// In Stasis, with these arguments.
    Stasis { args: Vec<String> },
    /// Somewhere in the dialplan.
    Dialplan,
}

/// Who is at the far end of a channel.
#[derive(Debug)]
pub(super) enum Party {
    Caller { caller: u64, mouth: Mouth },
    Media(Box<Endpoint>),
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: State,
    pub(super) protocol_id: String,
    pub(super) number: String,
    pub(super) connected: String,
    pub(super) context: &'static str,
    pub(super) exten: String,
    pub(super) place: Place,
    /// Who gets the events of the channel: the application it is in, or was made by.
    pub(super) app: Option<String>,
    pub(super) bridge: Option<String>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) created: Instant,
    /// A caller whom a client of ARI has called.
    pub(super) is_originated: bool,
    pub(super) party: Party,
}

impl Channel {
    pub(super) const fn in_stasis(&self) -> bool {
        matches!(self.place, Place::Stasis { .. })
    }

    /// Whether ARI made it: then its events go on after `StasisEnd`, and the last one is `ChannelDestroyed`.
    pub(super) const fn is_of_ari(&self) -> bool {
        self.is_originated || matches!(self.party, Party::Media(_))
    }

    fn json(&self, clock: Clock) -> Value {
        let (app_name, app_data) = match &self.place {
            Place::Dialing => ("AppDial2", "(Outgoing Line)".to_owned()),
            Place::Dialplan => ("Wait", "60".to_owned()),
            Place::Stasis { args } => {
                let app = self.app.iter().map(String::as_str);
                ("Stasis", app.chain(args.iter().map(String::as_str)).collect::<Vec<_>>().join(","))
            }
        };
        json!({
            "id": self.id,
            "name": self.name,
            "state": self.state.name(),
            "protocol_id": self.protocol_id,
            "caller": { "name": "", "number": self.number },
            "connected": { "name": "", "number": self.connected },
            "accountcode": "",
            "dialplan": {
                "context": self.context,
                "exten": self.exten,
                "priority": if self.place == Place::Dialplan { 3 } else { 1 },
                "app_name": app_name,
                "app_data": app_data,
            },
            "creationtime": clock.text(self.created),
            "language": "en",
        })
    }
}

#[derive(Debug)]
pub(super) struct Bridge {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) members: BTreeSet<String>,
    /// Applications whose channels entered. An application hears nothing of a bridge before that, so there is
    /// no `BridgeCreated` for its maker (measured).
    pub(super) subscribers: BTreeSet<String>,
    pub(super) created: Instant,
}

impl Bridge {
    fn json(&self, clock: Clock) -> Value {
        json!({
            "id": self.id,
            "technology": if self.members.len() > 2 { "softmix" } else { "simple_bridge" },
            "bridge_type": "mixing",
            "bridge_class": "stasis",
            "creator": "Stasis",
            "name": self.name,
            "channels": self.members,
            "creationtime": clock.text(self.created),
            "video_mode": "talker",
        })
    }
}

/// A caller who went on in the dialplan.
#[derive(Debug)]
pub(super) struct Continued {
    /// Context, extension and priority.
    pub(super) at: String,
    /// What the channel's variables were at that moment.
    pub(super) variables: BTreeMap<String, String>,
}

/// Everything that there is, and what is to be told about it.
#[derive(Debug)]
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) now: Instant,
    pub(super) started: Instant,
    pub(super) rng: Rng,
    pub(super) channels: BTreeMap<String, Channel>,
    pub(super) bridges: BTreeMap<String, Bridge>,
    /// Who listens, by application.
    pub(super) sockets: BTreeMap<String, u64>,
    pub(super) callers: BTreeMap<u64, String>,
    /// Callers who were sent on in the dialplan by `continue`.
    pub(super) continued: BTreeMap<u64, Continued>,
    /// Callers whom the application hung up, and for which reason.
    pub(super) hung_up: BTreeMap<u64, String>,
    pub(super) ports_in_use: BTreeSet<u16>,
    pub(super) made: u64,
    pub(super) stats: MediaStats,
    /// Outputs without bytes, in order: they go out first.
    pub(super) effects: Vec<Output>,
    /// Events in order, with the socket that they are for.
    pub(super) events: Vec<(u64, String)>,
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            rng: Rng::new(settings.seed),
            settings,
            now: Instant::START,
            started: Instant::START,
            channels: BTreeMap::new(),
            bridges: BTreeMap::new(),
            sockets: BTreeMap::new(),
            callers: BTreeMap::new(),
            continued: BTreeMap::new(),
            hung_up: BTreeMap::new(),
            ports_in_use: BTreeSet::new(),
            made: 0,
            stats: MediaStats::default(),
            effects: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Nothing is left but what is remembered of callers.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        for channel in core::mem::take(&mut self.channels).into_values() {
            self.effects.push(match channel.party {
                Party::Caller { caller, .. } => Output::CallerState { caller, state: CallerState::Gone },
                Party::Media(endpoint) => Output::UnbindRtp { port: endpoint.port },
            });
        }
        self.bridges.clear();
        self.callers.clear();
        self.ports_in_use.clear();
        self.made = 0;
    }

    pub(super) const fn clock(&self) -> Clock {
        Clock(self.settings.utc)
    }

    /// An id in the manner of Asterisk: seconds of the epoch, and a counter.
    pub(super) fn unique_id(&mut self) -> String {
        self.made += 1;
        format!("{}.{}", self.clock().nanos(self.now) / 1_000_000_000, self.made)
    }

    /// The channel of that id or name: ARI takes both.
    pub(super) fn find(&self, id: &str) -> Option<&Channel> {
        self.channels.get(id).or_else(|| self.channels.values().find(|channel| channel.name == id))
    }

    pub(super) fn channel_json(&self, id: &str) -> Value {
        self.channels.get(id).map_or(Value::Null, |channel| channel.json(self.clock()))
    }

    pub(super) fn bridge_json(&self, id: &str) -> Value {
        self.bridges.get(id).map_or(Value::Null, |bridge| bridge.json(self.clock()))
    }

    /// The applications that somebody listens for or that something is subscribed for.
    pub(super) fn applications(&self) -> BTreeSet<&str> {
        let of_channels = self.channels.values().filter_map(|channel| channel.app.as_deref());
        let of_bridges = self.bridges.values().flat_map(|bridge| bridge.subscribers.iter());
        self.sockets.keys().chain(of_bridges).map(String::as_str).chain(of_channels).collect()
    }

    pub(super) fn application_json(&self, name: &str) -> Value {
        let channels = self.channels.values().filter(|channel| channel.app.as_deref() == Some(name));
        let bridges = self.bridges.values().filter(|bridge| bridge.subscribers.contains(name));
        json!({
            "name": name,
            "channel_ids": channels.map(|channel| &channel.id).collect::<Vec<_>>(),
            "bridge_ids": bridges.map(|bridge| &bridge.id).collect::<Vec<_>>(),
            "endpoint_ids": [],
            "device_names": [],
            "events_allowed": [],
            "events_disallowed": [],
        })
    }

    /// Tells one application, if somebody listens for it.
    pub(super) fn tell(&mut self, app: &str, kind: &str, mut fields: Map<String, Value>) {
        let Some(socket) = self.sockets.get(app) else { return };
        fields.insert("type".into(), kind.into());
        fields.insert("timestamp".into(), self.clock().text(self.now).into());
        fields.insert("asterisk_id".into(), ENTITY_ID.into());
        fields.insert("application".into(), app.into());
        self.events.push((*socket, Value::Object(fields).to_string()));
    }

    /// Tells of a channel, under the name `channel`.
    pub(super) fn tell_channel(&mut self, id: &str, kind: &str, fields: Value) {
        self.tell_as("channel", id, kind, fields);
    }

    /// Tells of a channel under another name: `Dial` calls it `peer`.
    pub(super) fn tell_as(&mut self, role: &str, id: &str, kind: &str, fields: Value) {
        let Some(app) = self.channels.get(id).and_then(|channel| channel.app.clone()) else { return };
        let mut fields = object(fields);
        fields.insert(role.into(), self.channel_json(id));
        self.tell(&app, kind, fields);
    }

    /// Tells of a channel and a bridge whoever is subscribed to either.
    pub(super) fn tell_membership(&mut self, kind: &str, channel: &str, bridge: &str) {
        let mut apps = self.bridges.get(bridge).map(|bridge| bridge.subscribers.clone()).unwrap_or_default();
        apps.extend(self.channels.get(channel).and_then(|channel| channel.app.clone()));
        for app in apps {
            let fields = json!({ "channel": self.channel_json(channel), "bridge": self.bridge_json(bridge) });
            self.tell(&app, kind, object(fields));
        }
    }

    /// Sets a variable and tells of it.
    pub(super) fn set_variable(&mut self, id: &str, name: &str, value: &str) {
        let Some(channel) = self.channels.get_mut(id) else { return };
        if channel.variables.len() < MAX_VARIABLES || channel.variables.contains_key(name) {
            channel.variables.insert(name.to_owned(), value.to_owned());
            self.tell_channel(id, "ChannelVarset", json!({ "variable": name, "value": value }));
        }
    }

    pub(super) fn caller_state(&mut self, caller: u64, state: CallerState) {
        self.effects.push(Output::CallerState { caller, state });
    }

    /// `GET /asterisk/info`.
    pub(super) fn info_json(&self) -> Value {
        let started = self.clock().text(self.started);
        json!({
            "build": {
                "os": "Linux", "kernel": "unknown", "machine": "unknown", "options": "OPTIONAL_API",
                "date": "2026-07-20 00:00:00 UTC", "user": "nobody",
            },
            "system": { "version": "22.10.1", "entity_id": ENTITY_ID },
            "config": { "name": "", "default_language": "en", "setid": { "user": "", "group": "" } },
            "status": { "startup_time": started, "last_reload_time": started },
        })
    }
}

/// The fields of an object; none of anything else.
pub(super) fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

/// The wall clock at the machine's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(UtcNanos);

impl Clock {
    fn nanos(self, now: Instant) -> u64 {
        self.0.0.saturating_add(now.as_nanos())
    }

    /// As ARI writes a time: milliseconds, and an offset without colon, which is not RFC 3339.
    pub(super) fn text(self, at: Instant) -> String {
        let millis = self.nanos(at) / 1_000_000;
        let (days, in_day) = (millis / 86_400_000, millis % 86_400_000);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}+0000", millis % 1000)
    }
}

/// The Gregorian date `days` after 1970-01-01. Counted in eras of 400 years that begin on the 1st of March, so
/// that the leap day comes last.
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + if month <= 2 { 1 } else { 0 }, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_ari_writes_them() {
        let clock = Clock(UtcNanos(1_795_346_951_000_000_000));
        assert_eq!(clock.text(Instant::from_millis(573)), "2026-11-22T11:29:11.573+0000");
        assert_eq!(Clock(UtcNanos(0)).text(Instant::START), "1970-01-01T00:00:00.000+0000");
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(20_088), (2024, 12, 31));
    }
}
