//! What the machines of a scene send each other, and how it is put to the machine that gets it.

use ari_bridge_core::call::{self, IoFault, LinkState, News, Outcome, StopReason};
use ari_bridge_core::id::{CallId, LegId, LinkId, RequestId, ToolId};
use ari_bridge_core::switchboard;
use core::net::SocketAddr;

/// Something on its way.
#[derive(Debug)]
pub(super) enum Parcel {
    Switchboard(Note),
    Call(CallId, Letter),
    Asterisk(Knock),
    Server(CallId, Vec<u8>),
}

#[derive(Debug)]
pub(super) enum Note {
    Up,
    Down(Option<u16>, Option<IoFault>),
    Event(Vec<u8>),
    Reply(RequestId, u16, Vec<u8>),
    Told(CallId, News),
    Finished(CallId, Outcome),
    Drain,
}

#[derive(Debug)]
pub(super) enum Letter {
    Event(Vec<u8>),
    Reply(RequestId, u16, Vec<u8>),
    Link(LinkState),
    MediaUp(LegId, SocketAddr),
    MediaDown(LegId, IoFault),
    Media(LegId, SocketAddr, Vec<u8>),
    RealtimeUp(LinkId),
    Realtime(LinkId, Vec<u8>),
    RealtimePong(LinkId),
    RealtimeDown(LinkId, Option<u16>, Option<u16>, Vec<u8>, Option<IoFault>),
    Tool(ToolId, Result<(u16, String), IoFault>),
    Stop(StopReason),
}

#[derive(Debug)]
pub(super) enum Knock {
    Events,
    Request(u64, &'static str, String),
    Datagram(u16, SocketAddr, Vec<u8>),
}

impl Note {
    pub(super) fn input(&self) -> switchboard::Input<'_> {
        match self {
            Note::Up => switchboard::Input::AriUp,
            Note::Down(http_status, fault) => {
                switchboard::Input::AriDown { http_status: *http_status, fault: *fault }
            }
            Note::Event(event) => switchboard::Input::Ari(event),
            Note::Reply(id, status, body) => switchboard::Input::AriReply { id: *id, status: *status, body },
            Note::Told(call, news) => switchboard::Input::CallTold { call: *call, news: *news },
            Note::Finished(call, outcome) => {
                switchboard::Input::CallFinished { call: *call, outcome: *outcome }
            }
            Note::Drain => switchboard::Input::Drain,
        }
    }
}

impl Letter {
    pub(super) fn input(&self) -> call::Input<'_> {
        match self {
            Letter::Event(event) => call::Input::Ari(event),
            Letter::Reply(id, status, body) => call::Input::AriReply { id: *id, status: *status, body },
            Letter::Link(state) => call::Input::AriLink(*state),
            Letter::MediaUp(leg, local) => call::Input::MediaUp { leg: *leg, local: *local },
            Letter::MediaDown(leg, fault) => call::Input::MediaDown { leg: *leg, fault: *fault },
            Letter::Media(leg, from, bytes) => call::Input::Media { leg: *leg, from: *from, bytes },
            Letter::RealtimeUp(link) => call::Input::RealtimeUp { link: *link },
            Letter::Realtime(link, bytes) => call::Input::Realtime { link: *link, bytes },
            Letter::RealtimePong(link) => call::Input::RealtimePong { link: *link },
            Letter::RealtimeDown(link, http_status, code, reason, fault) => call::Input::RealtimeDown {
                link: *link,
                http_status: *http_status,
                retry_after: None,
                code: *code,
                reason,
                fault: *fault,
            },
            Letter::Tool(id, Ok((status, body))) => {
                call::Input::ToolReply { id: *id, status: *status, body: body.as_bytes() }
            }
            Letter::Tool(id, Err(fault)) => call::Input::ToolFailed { id: *id, fault: *fault },
            Letter::Stop(reason) => call::Input::Stop(*reason),
        }
    }
}
