//! What the machines of a scene send each other, and how it is put to the machine that gets it.

use ari_bridge_core::call::{self, IoFault, LinkState, News, Outcome, StopReason};
use ari_bridge_core::id::{CallId, LegId, LinkId, RequestId, ToolId};
use ari_bridge_core::switchboard;
use ari_bridge_core::time::Duration;
use core::net::SocketAddr;

/// Something on its way.
#[derive(Debug)]
pub(super) enum Parcel {
    Switchboard(Note),
    /// To the switchboard, on an event socket.
    Events(u64, Note),
    /// No reply to a request has come in time.
    Overdue(u64),
    Call(CallId, Letter),
    Asterisk(Knock),
    /// A message of the bridge's to the server at the other end of a link.
    Server(CallId, LinkId, Vec<u8>),
    /// A ping of the bridge's.
    Ping(CallId, LinkId),
    /// The bridge wants to open a link.
    Opening(CallId, LinkId),
    /// What Asterisk holds goes on.
    Release,
    /// Events come again.
    EventsFlow,
    /// What is nowhere any more.
    Lost,
}

impl Parcel {
    /// The link that it is on its way on or about.
    pub(super) fn link(&self) -> Option<(CallId, LinkId)> {
        match self {
            Parcel::Call(call, letter) => letter.link().map(|link| (*call, link)),
            Parcel::Server(call, link, _) | Parcel::Ping(call, link) | Parcel::Opening(call, link) => {
                Some((*call, *link))
            }
            Parcel::Switchboard(_)
            | Parcel::Events(..)
            | Parcel::Overdue(_)
            | Parcel::Asterisk(_)
            | Parcel::Release
            | Parcel::EventsFlow
            | Parcel::Lost => None,
        }
    }

    /// Whether it is the bridge that it comes to.
    pub(super) fn is_for_the_bridge(&self) -> bool {
        match self {
            Parcel::Switchboard(_) | Parcel::Events(..) | Parcel::Overdue(_) | Parcel::Call(..) => true,
            Parcel::Asterisk(_)
            | Parcel::Server(..)
            | Parcel::Ping(..)
            | Parcel::Opening(..)
            | Parcel::Release
            | Parcel::EventsFlow
            | Parcel::Lost => false,
        }
    }
}

/// How a link ended.
#[derive(Debug, Default)]
pub(super) struct Down {
    pub(super) http_status: Option<u16>,
    pub(super) retry_after: Option<Duration>,
    pub(super) code: Option<u16>,
    pub(super) reason: Vec<u8>,
    pub(super) fault: Option<IoFault>,
}

impl Down {
    pub(super) fn fault(fault: IoFault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }
}

#[derive(Debug)]
pub(super) enum Note {
    Up,
    Pong,
    Down(Option<u16>, Option<IoFault>),
    Event(Vec<u8>),
    Reply(RequestId, u16, Vec<u8>),
    Failed(RequestId, IoFault),
    Told(CallId, News),
    Finished(CallId, Outcome),
    Drain,
    StopNow,
}

#[derive(Debug)]
pub(super) enum Letter {
    Event(Vec<u8>),
    Reply(RequestId, u16, Vec<u8>),
    Failed(RequestId, IoFault),
    Link(LinkState),
    MediaUp(LegId, SocketAddr),
    MediaDown(LegId, IoFault),
    Media(LegId, SocketAddr, Vec<u8>),
    RealtimeUp(LinkId),
    Realtime(LinkId, Vec<u8>),
    RealtimePong(LinkId),
    RealtimeDown(LinkId, Down),
    Tool(ToolId, Result<(u16, String), IoFault>),
    Stop(StopReason),
}

#[derive(Debug)]
pub(super) enum Knock {
    Events(u64),
    CloseEvents(u64),
    /// On an event socket.
    Ping(u64),
    Request(u64, &'static str, String),
    Datagram(u16, SocketAddr, Vec<u8>),
}

impl Note {
    pub(super) fn input(&self) -> switchboard::Input<'_> {
        match self {
            Note::Up => switchboard::Input::AriUp,
            Note::Pong => switchboard::Input::AriPong,
            Note::Down(http_status, fault) => {
                switchboard::Input::AriDown { http_status: *http_status, fault: *fault }
            }
            Note::Event(event) => switchboard::Input::Ari(event),
            Note::Reply(id, status, body) => switchboard::Input::AriReply { id: *id, status: *status, body },
            Note::Told(call, news) => switchboard::Input::CallTold { call: *call, news: *news },
            Note::Finished(call, outcome) => {
                switchboard::Input::CallFinished { call: *call, outcome: *outcome }
            }
            Note::Failed(id, fault) => switchboard::Input::AriFailed { id: *id, fault: *fault },
            Note::Drain => switchboard::Input::Drain,
            Note::StopNow => switchboard::Input::StopNow,
        }
    }
}

impl Letter {
    /// The Realtime link that it is about.
    fn link(&self) -> Option<LinkId> {
        match self {
            Letter::RealtimeUp(link)
            | Letter::Realtime(link, _)
            | Letter::RealtimePong(link)
            | Letter::RealtimeDown(link, _) => Some(*link),
            _ => None,
        }
    }

    pub(super) fn input(&self) -> call::Input<'_> {
        match self {
            Letter::Event(event) => call::Input::Ari(event),
            Letter::Reply(id, status, body) => call::Input::AriReply { id: *id, status: *status, body },
            Letter::Failed(id, fault) => call::Input::AriFailed { id: *id, fault: *fault },
            Letter::Link(state) => call::Input::AriLink(*state),
            Letter::MediaUp(leg, local) => call::Input::MediaUp { leg: *leg, local: *local },
            Letter::MediaDown(leg, fault) => call::Input::MediaDown { leg: *leg, fault: *fault },
            Letter::Media(leg, from, bytes) => call::Input::Media { leg: *leg, from: *from, bytes },
            Letter::RealtimeUp(link) => call::Input::RealtimeUp { link: *link },
            Letter::Realtime(link, bytes) => call::Input::Realtime { link: *link, bytes },
            Letter::RealtimePong(link) => call::Input::RealtimePong { link: *link },
            Letter::RealtimeDown(link, down) => call::Input::RealtimeDown {
                link: *link,
                http_status: down.http_status,
                retry_after: down.retry_after,
                code: down.code,
                reason: &down.reason,
                fault: down.fault,
            },
            Letter::Tool(id, Ok((status, body))) => {
                call::Input::ToolReply { id: *id, status: *status, body: body.as_bytes() }
            }
            Letter::Tool(id, Err(fault)) => call::Input::ToolFailed { id: *id, fault: *fault },
            Letter::Stop(reason) => call::Input::Stop(*reason),
        }
    }
}
