//! As much of Asterisk as a call's clean-up can see: what is there, and requests that are executed, answered
//! or lost in any order.

mod by_hand;

pub(super) use by_hand::{Thing, What};

use crate::choices::Choices;
use ari_bridge_core::id::RequestId;
use ari_bridge_core::time::{Duration, Instant};
use core::net::SocketAddr;

/// How long after the bridge gave up on it a request may still be executed: just below what the bridge waits.
pub(super) const EXECUTED_WITHIN: Duration = Duration::from_millis(29_900);

pub(super) const CALLER: &str = "1795346951.0";
const MEDIA: &str = "arib00000007-1-1";
const BRIDGE: &str = "arib00000007-1-2";

/// A request on its way.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) id: RequestId,
    method: String,
    path: String,
    /// Status and body, once it is executed.
    pub(super) done: Option<(u16, String)>,
    /// The bridge was told that no reply comes.
    abandoned: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Asterisk {
    caller: bool,
    caller_is_up: bool,
    media: bool,
    bridge: bool,
    created: Vec<String>,
    requests: Vec<Request>,
    events: Vec<String>,
    /// The dialplan was told why the caller goes on.
    told: bool,
}

impl Asterisk {
    pub(super) fn new(caller_is_up: bool) -> Self {
        Self {
            caller: true,
            caller_is_up,
            media: false,
            bridge: false,
            created: Vec::new(),
            requests: Vec::new(),
            events: Vec::new(),
            told: false,
        }
    }

    pub(super) fn caller_arrives(&self) -> Vec<u8> {
        let state = if self.caller_is_up { "Up" } else { "Ring" };
        channel_event("StasisStart", CALLER, "PJSIP/phone-00000001", state).into_bytes()
    }

    pub(super) fn media_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 12_000))
    }

    /// A request has been sent.
    pub(super) fn request(&mut self, id: RequestId, method: &str, path: &str) {
        let lets_go = |method: &str, path: &str| method == "DELETE" || path.ends_with("/continue");
        let twin = |other: &&Request| {
            other.abandoned.is_none() && lets_go(&other.method, &other.path) && other.path == path
        };
        let tells = |path: &str| path.contains("/variable?variable=ARI_BRIDGE_STATUS&");
        if path.ends_with("/continue") {
            let waits = self.requests.iter().any(|other| other.abandoned.is_none() && tells(&other.path));
            assert!(!waits, "the caller goes on while the dialplan is being told");
        }
        if tells(path) {
            assert!(!core::mem::replace(&mut self.told, true), "the dialplan is told twice: {path}");
        }
        if lets_go(method, path) {
            assert!(self.requests.iter().find(twin).is_none(), "two in flight to let go of {path}");
        }
        if method == "POST" && (path.contains("channelId=") || path.contains("bridgeId=")) {
            assert!(!self.created.contains(&path.to_owned()), "a create was sent twice: {path}");
            self.created.push(path.to_owned());
        }
        let (method, path) = (method.to_owned(), path.to_owned());
        self.requests.push(Request { id, method, path, done: None, abandoned: None });
    }

    pub(super) fn in_flight(&self) -> Vec<&Request> {
        self.requests.iter().filter(|request| request.abandoned.is_none()).collect()
    }

    pub(super) fn is_in_flight(&self, id: RequestId) -> bool {
        self.in_flight().iter().any(|request| request.id == id)
    }

    /// Executes one request, with the status that it deserves or, now and then, another.
    pub(super) fn execute_one(&mut self, choices: &mut Choices<'_>, now: Instant) {
        let waiting: Vec<_> =
            (0..self.requests.len()).filter(|&at| self.requests[at].done.is_none()).collect();
        if !waiting.is_empty() {
            let refusal = choices.one_in(12).then(|| [400, 404, 409, 412, 422, 500, 503][choices.below(7)]);
            self.execute(waiting[choices.below(waiting.len())], refusal, choices.one_in(4), now);
        }
    }

    /// Executes everything, honestly.
    pub(super) fn execute_all(&mut self, now: Instant) {
        while let Some(at) = self.requests.iter().position(|request| request.done.is_none()) {
            self.execute(at, None, false, now);
        }
    }

    fn execute(&mut self, at: usize, refusal: Option<u16>, without_vars: bool, now: Instant) {
        let Request { method, path, abandoned, .. } = self.requests[at].clone();
        let lost = abandoned.is_some_and(|at| now.since(at) > EXECUTED_WITHIN);
        // Only a request that changes nothing may be refused at will: a refusal means that it did nothing.
        let done = match refusal.filter(|status| *status != 404 && *status != 409 || method != "DELETE") {
            _ if lost => (503, String::new()),
            Some(status) => (status, r#"{"message":"no"}"#.to_owned()),
            None => self.carry_out(&method, &path, without_vars),
        };
        self.requests[at].done = Some(done);
        if abandoned.is_some() {
            self.requests.remove(at);
        }
    }

    fn carry_out(&mut self, method: &str, path: &str, without_vars: bool) -> (u16, String) {
        let nothing = |status| (status, String::new());
        let caller = format!("/channels/{CALLER}");
        match (method, path) {
            ("POST", path) if path.starts_with("/channels/externalMedia?") => {
                self.media = true;
                self.events.push(channel_event("StasisStart", MEDIA, "UnicastRTP/127.0.0.1:30000-0x1", "Up"));
                let vars = r#","channelvars":{"UNICASTRTP_LOCAL_PORT":"12000","UNICASTRTP_LOCAL_ADDRESS":"127.0.0.1"}"#;
                (200, format!(r#"{{"id":"{MEDIA}"{}}}"#, if without_vars { "" } else { vars }))
            }
            ("POST", path) if path.starts_with("/bridges?") => {
                self.bridge = true;
                (200, format!(r#"{{"id":"{BRIDGE}"}}"#))
            }
            ("POST", path) if path.contains("/addChannel?") => {
                assert!(path.starts_with(&format!("/bridges/{BRIDGE}/")), "{path}");
                nothing(if !self.bridge {
                    404
                } else if self.caller && self.media {
                    204
                } else {
                    400
                })
            }
            ("POST", path) if path == format!("{caller}/answer") => {
                nothing(if self.caller { 204 } else { 404 })
            }
            ("POST", path) if path.split('?').next() == Some(&*format!("{caller}/continue")) => {
                nothing(self.caller_goes())
            }
            ("DELETE", path) if path == caller || path == format!("{caller}?reason=congestion") => {
                nothing(self.caller_goes())
            }
            ("POST", path) if path.starts_with(&format!("{caller}/variable?")) => {
                nothing(if self.caller { 204 } else { 404 })
            }
            ("DELETE", path) if path == format!("/channels/{MEDIA}") => {
                let there = core::mem::take(&mut self.media);
                if there {
                    self.events.push(channel_event("ChannelDestroyed", MEDIA, "UnicastRTP/x", "Up"));
                }
                nothing(if there { 204 } else { 404 })
            }
            ("DELETE", path) if path == format!("/bridges/{BRIDGE}") => {
                let there = core::mem::take(&mut self.bridge);
                if there {
                    self.events.push(format!(r#"{{"type":"BridgeDestroyed","bridge":{{"id":"{BRIDGE}"}}}}"#));
                }
                nothing(if there { 204 } else { 404 })
            }
            ("GET", path) if path == caller => shown(CALLER, self.caller),
            ("GET", path) if path == format!("/channels/{MEDIA}") => shown(MEDIA, self.media),
            ("GET", path) if path.ends_with("=UNICASTRTP_LOCAL_ADDRESS") => {
                (200, r#"{"value":"127.0.0.1"}"#.to_owned())
            }
            ("GET", path) if path.ends_with("=UNICASTRTP_LOCAL_PORT") => {
                (200, r#"{"value":"12000"}"#.to_owned())
            }
            // A caller whose StasisStart could not be read has no channel to speak of.
            _ => nothing(404),
        }
    }

    fn caller_goes(&mut self) -> u16 {
        if !core::mem::take(&mut self.caller) {
            return 404;
        }
        self.events.push(channel_event("StasisEnd", CALLER, "PJSIP/phone-00000001", "Up"));
        204
    }

    /// Another Asterisk takes the place of this one. It has nothing, and may yet execute what makes something; no reply to
    /// anything else is waited for.
    pub(super) fn restart(&mut self) {
        (self.caller, self.media, self.bridge) = (false, false, false);
        self.events.clear();
        self.requests.retain(|request| request.abandoned.is_some() || self.created.contains(&request.path));
    }

    pub(super) fn caller_hangs_up(&mut self) {
        self.caller_goes();
    }

    /// A request that was executed and is answered now.
    pub(super) fn take_executed(&mut self, choices: &mut Choices<'_>) -> Option<Request> {
        let done: Vec<_> = (0..self.requests.len())
            .filter(|&at| self.requests[at].done.is_some() && self.requests[at].abandoned.is_none())
            .collect();
        let at = *done.get(choices.below(done.len()))?;
        Some(self.requests.remove(at))
    }

    /// A request whose reply is lost. It may have been executed, or be executed later.
    pub(super) fn abandon_one(&mut self, choices: &mut Choices<'_>, now: Instant) -> Option<RequestId> {
        let open: Vec<_> =
            (0..self.requests.len()).filter(|&at| self.requests[at].abandoned.is_none()).collect();
        let at = *open.get(choices.below(open.len()))?;
        let id = self.requests[at].id;
        if self.requests[at].done.is_some() {
            self.requests.remove(at);
        } else {
            self.requests[at].abandoned = Some(now);
        }
        Some(id)
    }

    /// A request that has never come here: nobody listened.
    pub(super) fn refuse_one(&mut self, choices: &mut Choices<'_>) -> Option<RequestId> {
        let fresh = |at: &usize| {
            let request: &Request = &self.requests[*at];
            request.abandoned.is_none() && request.done.is_none()
        };
        let fresh: Vec<_> = (0..self.requests.len()).filter(fresh).collect();
        let at = *fresh.get(choices.below(fresh.len()))?;
        Some(self.requests.remove(at).id)
    }

    /// An event, in order mostly; some never come.
    pub(super) fn take_event(&mut self, choices: &mut Choices<'_>) -> Option<String> {
        if self.events.is_empty() {
            return None;
        }
        let at = if choices.one_in(4) { choices.below(self.events.len()) } else { 0 };
        let event = self.events.remove(at);
        (!choices.one_in(8)).then_some(event)
    }

    pub(super) fn assert_nothing_is_left(&self) {
        assert!(!self.media, "the media channel is left on Asterisk");
        assert!(!self.bridge, "the bridge is left on Asterisk");
    }
}

/// What `GET /channels/{id}` shows.
fn shown(id: &str, is_there: bool) -> (u16, String) {
    let dialplan = r#"{"app_name":"Stasis","app_data":"voice-agent"}"#;
    let status = if is_there { 200 } else { 404 };
    (status, if is_there { format!(r#"{{"id":"{id}","dialplan":{dialplan}}}"#) } else { String::new() })
}

fn channel_event(kind: &str, id: &str, name: &str, state: &str) -> String {
    format!(
        r#"{{"type":"{kind}","channel":{{"id":"{id}","name":"{name}","state":"{state}"}},"application":"voice-agent"}}"#
    )
}
