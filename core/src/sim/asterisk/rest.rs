//! The part of ARI's REST interface that a voice bridge uses, with the errors of 22.10.1.

use super::life::MediaRequest;
use super::world::{Bridge, MAX_OBJECTS, World};
use crate::format::MediaFormat;
use crate::http;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The longest id that Asterisk takes, in characters.
const MAX_ID_CHARS: usize = 149;
/// What Asterisk says when it does not want to say more.
const INTERNAL: &str = "An internal error prevented this request from being handled";
/// What a bridge may be asked to be.
const BRIDGE_TYPES: [&str; 7] =
    ["mixing", "holding", "dtmf_events", "proxy_media", "video_sfu", "video_single", "sdp_label"];

/// Modules that are loaded: those that a call with external media needs.
const MODULES: [&str; 7] = [
    "app_stasis.so",
    "chan_rtp.so",
    "codec_alaw.so",
    "codec_g722.so",
    "codec_ulaw.so",
    "res_rtp_asterisk.so",
    "res_rtp_multicast.so",
];

/// For which reasons a channel may be hung up; the first is meant if none is named.
const HANGUP_REASONS: [&str; 13] = [
    "normal",
    "busy",
    "congestion",
    "no_answer",
    "timeout",
    "rejected",
    "unallocated",
    "normal_unspecified",
    "number_incomplete",
    "codec_mismatch",
    "interworking",
    "failure",
    "answered_elsewhere",
];

/// An HTTP status and a body.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Reply {
    fn ok(body: &Value) -> Self {
        Self { status: 200, body: body.to_string() }
    }

    const fn no_content() -> Self {
        Self { status: 204, body: String::new() }
    }

    pub(super) fn error(status: u16, message: &str) -> Self {
        Self { status, body: json!({ "message": message }).to_string() }
    }
}

/// A request that was let in.
#[derive(Debug, Default)]
struct Request {
    params: Vec<(String, String)>,
    variables: BTreeMap<String, String>,
}

impl Request {
    /// Query first, then the fields of a JSON body, which count more.
    fn new(query: &str, body: &[u8]) -> Self {
        let mut request = Self::default();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if let Ok(Value::Object(fields)) = serde_json::from_slice(body) {
            for (name, value) in fields {
                match value {
                    Value::Object(inner) if name == "variables" => {
                        request
                            .variables
                            .extend(inner.iter().map(|(name, value)| (name.clone(), text(value))));
                    }
                    Value::Array(list) => {
                        let values = list.iter().map(|value| (name.clone(), text(value)));
                        request.params.extend(values);
                    }
                    value => request.params.push((name, text(&value))),
                }
            }
        }
        let pairs = http::query_pairs(query);
        request.params.extend(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())));
        request
    }

    /// A parameter; empty if it is missing, which Asterisk does not tell apart.
    fn get(&self, name: &str) -> &str {
        self.params.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    fn or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        Some(self.get(name)).filter(|value| !value.is_empty()).unwrap_or(default)
    }

    /// A parameter that may come several times, or with commas.
    fn list(&self, name: &str) -> Vec<&str> {
        let values = self.params.iter().filter(|(n, _)| n == name);
        values.flat_map(|(_, value)| value.split(',')).filter(|value| !value.is_empty()).collect()
    }
}

/// Whether these credentials are the settings': HTTP Basic, or `api_key=user:password`.
pub(super) fn authorized(world: &World, authorization: Option<&str>, query: &str) -> bool {
    use base64::Engine as _;
    let expected = format!("{}:{}", world.settings.user, world.settings.password);
    let basic = authorization.and_then(|value| value.strip_prefix("Basic "));
    let decoded = basic.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text.trim()).ok());
    decoded.is_some_and(|pair| pair == expected.as_bytes())
        || http::query_pairs(query).any(|(name, value)| name == "api_key" && value == expected)
}

/// The path below `/ari` and the query.
pub(super) fn split(target: &str) -> (&str, &str) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (path.strip_prefix("/ari").filter(|rest| rest.starts_with('/')).unwrap_or(path), query)
}

impl World {
    pub(super) fn rest(&mut self, method: &str, path: &str, query: &str, body: &[u8]) -> Reply {
        let segments: Vec<_> = path.trim_start_matches('/').split('/').map(http::percent_decode).collect();
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let request = Request::new(query, body);
        match (method, segments.as_slice()) {
            (_, [.., ""]) => Reply::error(404, "ARI URLs do not end with a slash"),
            ("GET", ["asterisk", "info"]) => self.info(&request),
            ("GET", ["asterisk", "modules", name]) if MODULES.contains(name) => {
                Reply::ok(&json!({ "name": name, "status": "Running", "support_level": "core" }))
            }
            ("GET", ["asterisk", "modules", _]) => {
                Reply::error(404, "Module could not be found in running modules")
            }
            ("GET", ["applications"]) => {
                let names = self.applications();
                Reply::ok(&names.iter().map(|name| self.application_json(name)).collect())
            }
            ("GET", ["applications", name]) if self.applications().contains(name) => {
                Reply::ok(&self.application_json(name))
            }
            ("GET", ["applications", _]) => Reply::error(404, "Application not found"),
            ("GET", ["channels"]) => {
                Reply::ok(&self.channels.keys().map(|id| self.channel_json(id)).collect())
            }
            ("GET", ["bridges"]) => Reply::ok(&self.bridges.keys().map(|id| self.bridge_json(id)).collect()),
            ("POST", ["channels", "externalMedia"]) => self.post_external_media(&request),
            ("GET" | "DELETE", ["channels", id]) | ("POST", ["channels", id, "answer" | "continue"]) => {
                self.on_channel(method, id, segments.get(2), &request)
            }
            ("GET" | "POST", ["channels", id, "variable"]) => self.on_variable(method, id, &request),
            ("POST", ["bridges"]) => self.post_bridge(request.get("bridgeId"), &request),
            ("POST", ["bridges", id]) => self.post_bridge(id, &request),
            ("GET" | "DELETE", ["bridges", id]) => self.on_bridge(method, id),
            ("POST", ["bridges", id, verb @ ("addChannel" | "removeChannel")]) => {
                self.move_channels(id, *verb == "addChannel", &request)
            }
            ("GET", ["events"]) => Reply::error(426, "Upgrade Required"),
            (
                _,
                ["asterisk", "info"]
                | ["applications" | "channels" | "bridges" | "events"]
                | ["applications" | "channels" | "bridges", _]
                | ["channels", _, "answer" | "continue" | "variable"]
                | ["bridges", _, "addChannel" | "removeChannel"],
            ) => Reply::error(405, "Invalid method"),
            _ => Reply::error(404, "Resource not found"),
        }
    }

    fn info(&self, request: &Request) -> Reply {
        let mut info = super::world::object(self.info_json());
        let only = request.list("only");
        if !only.is_empty() {
            info.retain(|part, _| only.contains(&part.as_str()));
        }
        Reply::ok(&Value::Object(info))
    }

    fn on_channel(&mut self, method: &str, id: &str, verb: Option<&&str>, request: &Request) -> Reply {
        let Some(channel) = self.find(id) else { return Reply::error(404, "Channel not found") };
        let (id, in_stasis) = (channel.id.clone(), channel.in_stasis());
        match (method, verb) {
            ("GET", _) => return Reply::ok(&self.channel_json(&id)),
            ("DELETE", _) => {
                let reason = request.or("reason", HANGUP_REASONS[0]);
                if !HANGUP_REASONS.contains(&reason) {
                    return Reply::error(400, "Invalid reason for hangup reason provided");
                }
                self.hang_up_for(&id, reason);
            }
            _ if !in_stasis => return Reply::error(409, "Channel not in Stasis application"),
            (_, Some(&"answer")) => self.answer(&id),
            _ if !request.get("label").is_empty() => {
                return Reply::error(404, "Requested label can not be found");
            }
            _ => {
                let place = ["context", "extension", "priority"].map(|part| request.get(part));
                self.continue_in_dialplan(&id, place);
            }
        }
        Reply::no_content()
    }

    fn on_variable(&mut self, method: &str, id: &str, request: &Request) -> Reply {
        let name = request.get("variable");
        if name.is_empty() {
            return Reply::error(400, "Variable name is required");
        }
        let Some(channel) = self.find(id) else { return Reply::error(404, "Provided channel was not found") };
        let (id, in_stasis) = (channel.id.clone(), channel.in_stasis());
        if method == "GET" {
            return match self.variable(&id, name) {
                Some(value) => Reply::ok(&json!({ "value": value })),
                None => Reply::error(404, "Provided variable was not found"),
            };
        }
        if !in_stasis {
            return Reply::error(409, "Channel not in Stasis application");
        }
        self.set_variable(&id, name, request.get("value"));
        Reply::no_content()
    }

    /// The checks of `resource_channels.c`, in the order in which 22.10.1 was seen to make them.
    fn post_external_media(&mut self, request: &Request) -> Reply {
        let bad = |text: &str| Reply::error(400, text);
        let host = request.get("external_host");
        let transport = request.or("transport", "udp");
        let encapsulation = request.or("encapsulation", "rtp");
        if request.get("app").is_empty() {
            return bad("app cannot be empty");
        }
        if host.is_empty() {
            return bad("external_host is required for all but websocket server connections");
        }
        if !host.contains(':') && transport != "websocket" {
            return bad("external_host must be <host>:<port> for all transports other than websocket");
        }
        if request.get("format").is_empty() {
            return bad("format cannot be empty");
        }
        if !matches!(request.or("direction", "both"), "both" | "in" | "out") {
            return bad("Invalid direction specified");
        }
        if request.or("connection_type", "client") == "server" && transport != "websocket" {
            return bad("'server' connection_type can only be used with the websocket transport");
        }
        match (encapsulation, transport) {
            ("rtp", "udp") => {}
            ("rtp", _) => return bad("transport must be 'udp' for rtp encapsulation"),
            ("audiosocket", "tcp") if request.get("data").is_empty() => return bad("data can not be empty"),
            ("audiosocket", "udp") => return bad("transport must be 'tcp' for audiosocket encapsulation"),
            _ => return Reply::error(501, "The encapsulation and/or transport is not supported"),
        }
        let id = Some(request.get("channelId")).filter(|id| !id.is_empty());
        let format = MediaFormat::from_name(request.get("format"));
        let (Some(remote), Some(format)) = (resolve(host), format) else {
            return Reply::error(500, INTERNAL);
        };
        if id.is_some_and(|id| id.chars().count() > MAX_ID_CHARS) {
            return Reply::error(500, INTERNAL);
        }
        let data = request.get("data");
        let made = self.external_media(MediaRequest {
            id: id.map(str::to_owned),
            app: request.get("app").to_owned(),
            external_host: host.to_owned(),
            remote,
            format,
            args: if data.is_empty() { Vec::new() } else { data.split(',').map(str::to_owned).collect() },
            variables: request.variables.clone(),
        });
        made.map_or_else(|| Reply::error(500, INTERNAL), |channel| Reply::ok(&channel))
    }

    fn post_bridge(&mut self, id: &str, request: &Request) -> Reply {
        let id = if id.is_empty() { self.unique_id() } else { id.to_owned() };
        if self.bridges.contains_key(&id) {
            return Reply::error(409, &format!("Bridge with id '{id}' already exists"));
        }
        let known = request.list("type").iter().all(|kind| BRIDGE_TYPES.contains(kind));
        if !known || self.bridges.len() >= MAX_OBJECTS {
            return Reply::error(
                500,
                &format!("Unable to create bridge. Possible duplicate bridge id '{id}'"),
            );
        }
        let bridge = Bridge {
            id: id.clone(),
            name: request.get("name").to_owned(),
            members: BTreeSet::new(),
            subscribers: BTreeSet::new(),
            created: self.now,
        };
        self.bridges.insert(id.clone(), bridge);
        Reply::ok(&self.bridge_json(&id))
    }

    fn on_bridge(&mut self, method: &str, id: &str) -> Reply {
        if !self.bridges.contains_key(id) {
            return Reply::error(404, "Bridge not found");
        }
        if method == "GET" {
            return Reply::ok(&self.bridge_json(id));
        }
        self.destroy_bridge(id);
        Reply::no_content()
    }

    /// `addChannel` and `removeChannel`: every channel is looked at before the first is moved.
    fn move_channels(&mut self, bridge: &str, add: bool, request: &Request) -> Reply {
        if !self.bridges.contains_key(bridge) {
            return Reply::error(404, "Bridge not found");
        }
        let mut ids = Vec::new();
        let names = request.list("channel");
        if names.is_empty() {
            return Reply::error(400, "Missing parameter channel");
        }
        for name in names {
            let Some(channel) = self.find(name) else { return Reply::error(400, "Channel not found") };
            if !channel.in_stasis() {
                return Reply::error(422, "Channel not in Stasis application");
            }
            if !add && channel.bridge.as_deref() != Some(bridge) {
                return Reply::error(422, "Channel not in this bridge");
            }
            ids.push(channel.id.clone());
        }
        for id in ids {
            if add {
                self.enter_bridge(&id, bridge);
            } else {
                self.leave_bridge(&id);
                self.unsubscribe_if_empty(bridge, "");
            }
        }
        Reply::no_content()
    }
}

/// An address out of `host:port`. Names are not looked up, but for `localhost`; Asterisk cuts a port that is
/// too large down to 16 bits, and so does this.
fn resolve(external_host: &str) -> Option<SocketAddr> {
    let (host, port) = external_host.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = if host == "localhost" { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { host.parse().ok()? };
    Some(SocketAddr::new(ip, port.parse::<u32>().ok()? as u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_counts_more_than_the_query() {
        let request = Request::new(
            "app=q&channel=a,b&channel=c",
            br#"{"app":"b","n":1,"variables":{"X":"1"},"l":["x","y"]}"#,
        );
        assert_eq!((request.get("app"), request.get("n"), request.get("none")), ("b", "1", ""));
        assert_eq!(request.list("channel"), ["a", "b", "c"]);
        assert_eq!(request.list("l"), ["x", "y"]);
        assert_eq!(request.variables["X"], "1");
    }

    #[test]
    fn the_prefix_may_be_there_or_not() {
        assert_eq!(split("/ari/channels?a=b"), ("/channels", "a=b"));
        assert_eq!(split("/channels"), ("/channels", ""));
        assert_eq!(split("/ariel"), ("/ariel", ""));
    }

    #[test]
    fn hosts_are_not_looked_up() {
        assert_eq!(resolve("127.0.0.1:99999"), "127.0.0.1:34463".parse().ok());
        assert_eq!(resolve("[::1]:5"), "[::1]:5".parse().ok());
        assert_eq!(resolve("localhost:5"), "127.0.0.1:5".parse().ok());
        assert_eq!(resolve("bridge.invalid:5"), None);
    }
}
