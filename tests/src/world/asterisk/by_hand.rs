//! An Asterisk of which every single thing is decided from outside: which request is executed, which reply and which
//! event comes next.

use super::{Asterisk, BRIDGE, CALLER, MEDIA, Request};
use ari_bridge_core::id::RequestId;
use ari_bridge_core::time::Instant;

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::world) enum What {
    CreateBridge,
    CreateMedia,
    MediaAddress,
    MediaPort,
    FillBridge,
    Answer,
    Look,
    SetStatus,
    LetGoCaller,
    LetGoMedia,
    LetGoBridge,
}

impl What {
    /// What this request is for.
    pub(in crate::world) fn of(method: &str, path: &str) -> Self {
        let is_of = |thing: &str| path.contains(thing);
        match method {
            "DELETE" if is_of(BRIDGE) => Self::LetGoBridge,
            "DELETE" if is_of(MEDIA) => Self::LetGoMedia,
            "DELETE" => Self::LetGoCaller,
            "GET" if path.ends_with("=UNICASTRTP_LOCAL_ADDRESS") => Self::MediaAddress,
            "GET" if path.ends_with("=UNICASTRTP_LOCAL_PORT") => Self::MediaPort,
            "GET" => Self::Look,
            _ if is_of("/addChannel") => Self::FillBridge,
            _ if path.starts_with("/bridges") => Self::CreateBridge,
            _ if is_of("/externalMedia") => Self::CreateMedia,
            _ if path.ends_with("/answer") => Self::Answer,
            _ if is_of("/variable?") => Self::SetStatus,
            _ => Self::LetGoCaller,
        }
    }

    /// Whether it makes something.
    pub(in crate::world) fn creates(self) -> bool {
        matches!(self, Self::CreateBridge | Self::CreateMedia)
    }

    /// Whether it is a part of the clean-up, so that its failure ends no call.
    pub(in crate::world) fn lets_go(self) -> bool {
        self >= Self::SetStatus
    }
}

/// What an event is about. The events of one thing come in order; those of two come from two threads of Asterisk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::world) enum Thing {
    Caller,
    Media,
    Bridge,
}

impl Thing {
    pub(in crate::world) const ALL: [Self; 3] = [Self::Caller, Self::Media, Self::Bridge];

    fn id(self) -> &'static str {
        match self {
            Self::Caller => CALLER,
            Self::Media => MEDIA,
            Self::Bridge => BRIDGE,
        }
    }
}

impl Request {
    pub(in crate::world) fn what(&self) -> What {
        What::of(&self.method, &self.path)
    }
}

impl Asterisk {
    fn at(&self, id: RequestId) -> usize {
        let at = self.requests.iter().position(|request| request.id == id);
        at.unwrap_or_else(|| panic!("request {id} is not under way"))
    }

    /// What this request would tell of if it were executed now.
    fn would_tell(&self, request: &Request) -> Option<Thing> {
        let (thing, tells) = match request.what() {
            What::CreateMedia => (Thing::Media, true),
            What::LetGoCaller => (Thing::Caller, self.caller),
            What::LetGoMedia => (Thing::Media, self.media),
            What::LetGoBridge => (Thing::Bridge, self.bridge),
            _ => return None,
        };
        (tells && request.done.is_none() && request.abandoned.is_none()).then_some(thing)
    }

    fn first_event(&self, thing: Thing) -> Option<usize> {
        // The caller's id is in no other event, and ours are in none of the caller's.
        self.events.iter().position(|event| event.contains(&format!("\"{}\"", thing.id())))
    }

    /// Whether an event of this thing may come now, also before the reply to what causes it.
    pub(in crate::world) fn may_tell_of(&self, thing: Thing) -> bool {
        let would = |request: &Request| self.would_tell(request) == Some(thing);
        self.first_event(thing).is_some() || self.requests.iter().any(would)
    }

    /// The next event of this thing. What causes it is executed, if it is not yet.
    pub(in crate::world) fn take_event_of(
        &mut self,
        thing: Thing,
        without_vars: bool,
        now: Instant,
    ) -> String {
        if self.first_event(thing).is_none() {
            let cause = self.requests.iter().position(|request| self.would_tell(request) == Some(thing));
            self.execute(cause.expect("something causes it"), None, without_vars, now);
        }
        let at = self.first_event(thing).expect("it was caused");
        self.events.remove(at)
    }

    /// The events that are under way do not come.
    pub(in crate::world) fn events_are_lost(&mut self) {
        self.events.clear();
    }

    /// Somebody else removes this.
    pub(in crate::world) fn is_taken_away(&mut self, thing: Thing) {
        let method = "DELETE";
        let path = match thing {
            Thing::Caller => return self.caller_hangs_up(),
            Thing::Media => format!("/channels/{MEDIA}"),
            Thing::Bridge => format!("/bridges/{BRIDGE}"),
        };
        self.carry_out(method, &path, false);
    }

    pub(in crate::world) fn is_there(&self, thing: Thing) -> bool {
        match thing {
            Thing::Caller => self.caller,
            Thing::Media => self.media,
            Thing::Bridge => self.bridge,
        }
    }

    /// The answer to this request. It is executed first, if it is not yet; with `refusal` it does nothing.
    pub(in crate::world) fn take_reply(
        &mut self,
        id: RequestId,
        refusal: Option<u16>,
        without_vars: bool,
        now: Instant,
    ) -> (u16, String) {
        self.is_executed(id, refusal, without_vars, now);
        let at = self.at(id);
        self.requests.remove(at).done.expect("it was executed")
    }

    /// This request is executed, if it is not yet.
    pub(in crate::world) fn is_executed(
        &mut self,
        id: RequestId,
        refusal: Option<u16>,
        without_vars: bool,
        now: Instant,
    ) {
        let at = self.at(id);
        if self.requests[at].done.is_none() {
            self.execute(at, refusal, without_vars, now);
        }
    }

    /// This request never comes here, or its reply goes nowhere.
    pub(in crate::world) fn forget(&mut self, id: RequestId) {
        let at = self.at(id);
        self.requests.remove(at);
    }

    /// This request is on its way, and its reply will go nowhere.
    pub(in crate::world) fn abandon(&mut self, id: RequestId, now: Instant) {
        let at = self.at(id);
        self.requests[at].abandoned = Some(now);
    }
}
