//! What can happen to a call, one thing at a time.

use crate::world::asterisk::{Thing, What};
use ari_bridge_core::call::StopReason;
use ari_bridge_core::id::RequestId;

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    /// The media socket is bound.
    MediaUp,
    /// The Realtime server goes on: its socket opens, it says `session.created`, and then `session.updated`.
    Realtime,
    /// A request is answered, or not.
    Reply(RequestId, What, Reply),
    /// A request is executed, and its reply is under way.
    Executed(RequestId),
    /// An event comes.
    Event(Thing),
    /// A request that was given up on is executed after all.
    Late(RequestId),
    /// The deadline comes.
    Timer,
    Trouble(Trouble),
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    /// It is executed, and answered as it deserves.
    Honest,
    /// It does nothing, and is answered with 4xx.
    Refused,
    /// It does nothing, and is answered with 503.
    Broken,
    /// It has never left us.
    NotSent,
    /// The connection breaks, and it is never executed.
    Never,
    /// It is executed, and the connection breaks before the reply.
    Before,
    /// The connection breaks, and it is executed later.
    Later,
}

impl Reply {
    /// The ways in which a request for this can go wrong that make a difference. One of which an event has told is
    /// executed.
    pub(super) fn failures(what: What, is_executed: bool) -> &'static [Self] {
        match what {
            What::CreateBridge | What::CreateMedia if is_executed => &[Self::Before],
            What::CreateBridge | What::CreateMedia => {
                &[Self::Refused, Self::Broken, Self::NotSent, Self::Never, Self::Before, Self::Later]
            }
            What::MediaAddress | What::MediaPort | What::Look | What::SetStatus => {
                &[Self::Refused, Self::Never]
            }
            What::FillBridge | What::Answer => &[Self::Refused, Self::Never, Self::Before],
            What::LetGoCaller | What::LetGoMedia | What::LetGoBridge if is_executed => &[Self::Before],
            What::LetGoCaller | What::LetGoMedia | What::LetGoBridge => {
                &[Self::Broken, Self::Never, Self::Before]
            }
        }
    }

    /// The status of a refusal.
    pub(super) fn refusal(self, what: What) -> Option<u16> {
        match (self, what) {
            (Self::Refused, What::FillBridge) => Some(422),
            (Self::Refused, What::Answer) => Some(412),
            // A look that is answered with 404 shows something.
            (Self::Refused, What::Look) | (Self::Broken, _) => Some(503),
            (Self::Refused, _) => Some(400),
            _ => None,
        }
    }

    pub(super) fn is_lost(self) -> bool {
        matches!(self, Self::NotSent | Self::Never | Self::Before | Self::Later)
    }
}

/// What nobody has asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// The caller hangs up; so far no request that is under way is executed, or each is.
    CallerHangsUp { all_executed: bool },
    /// The agent ends the call.
    AgentHangsUp,
    /// The caller presses the key that leads elsewhere.
    HotKey,
    /// The process, or Asterisk, goes away.
    Stop(StopReason),
    /// The Realtime side refuses the call.
    RealtimeRefuses,
    /// The Realtime socket breaks.
    RealtimeBreaks,
    /// The media socket breaks.
    MediaBreaks,
    /// Somebody else removes what the call has made.
    TakenAway(Thing),
    /// The event socket breaks and is back, and no event of before comes; the caller has hung up meanwhile, or not.
    Gap { caller_hangs_up: bool },
}
