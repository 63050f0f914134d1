//! Everything that can be given to a call and to a switchboard, with whatever it may hold.

use super::{bits, pick, up_to};
use crate::choices::Choices;
use ari_bridge_core::call::{self, EndReason, IoFault, LinkState, News, Outcome, StopReason};
use ari_bridge_core::id::{CallId, LegId, LinkId, RequestId, ToolId};
use ari_bridge_core::settings::SwitchboardSettings;
use ari_bridge_core::switchboard;
use ari_bridge_core::time::Duration;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// All faults.
pub const FAULTS: [IoFault; 9] = [
    IoFault::Resolve,
    IoFault::Refused,
    IoFault::TimedOut,
    IoFault::Reset,
    IoFault::Tls,
    IoFault::Protocol,
    IoFault::Backlog,
    IoFault::NoPort,
    IoFault::Other,
];

/// All reasons to stop a call.
pub const STOPS: [StopReason; 4] =
    [StopReason::Shutdown, StopReason::AtOnce, StopReason::AsteriskRestarted, StopReason::CallerLeft];

/// Time that goes on by anything between a nanosecond and a week; mostly a frame.
pub fn wait(choices: &mut Choices<'_>) -> Duration {
    Duration::from_nanos(match choices.below(6) {
        0 => 1,
        1 => 1 + bits(choices, 34),
        2 => 1 + up_to(choices, 604_800_000_000_000),
        _ => 20_000_000,
    })
}

/// An address; mostly the same one, as on the line.
pub fn address(choices: &mut Choices<'_>) -> SocketAddr {
    match choices.below(5) {
        0 => (Ipv4Addr::from(bits(choices, 32) as u32), bits(choices, 16) as u16).into(),
        1 => {
            let ip = u128::from(bits(choices, 64)) << 64 | u128::from(bits(choices, 64));
            let (port, flow) = (bits(choices, 16) as u16, up_to(choices, u32::MAX.into()) as u32);
            SocketAddrV6::new(Ipv6Addr::from(ip), port, flow, bits(choices, 32) as u32).into()
        }
        _ => SocketAddr::from(([192, 0, 2, 1], 4000)),
    }
}

/// A small number, mostly.
fn id(choices: &mut Choices<'_>) -> u32 {
    if choices.one_in(6) { bits(choices, 32) as u32 } else { choices.below(4) as u32 }
}

/// An input of a call.
pub fn to_call<'a>(choices: &mut Choices<'a>) -> call::Input<'a> {
    use call::Input;
    let (kind, id) = (choices.below(15), id(choices));
    let (status, fault) = (bits(choices, 16) as u16, *pick(choices, &FAULTS));
    match kind {
        0 => Input::Ari(choices.blob()),
        1 => Input::AriReply { id: RequestId(id), status, body: choices.blob() },
        2 => Input::AriFailed { id: RequestId(id), fault },
        3 => Input::AriLink(if choices.one_in(2) { LinkState::Up } else { LinkState::Down }),
        4 => Input::MediaUp { leg: LegId(id), local: address(choices) },
        5 => Input::Media { leg: LegId(id), from: address(choices), bytes: choices.blob() },
        6 => Input::MediaDown { leg: LegId(id), fault },
        7 => Input::RealtimeUp { link: LinkId(id) },
        8 => Input::Realtime { link: LinkId(id), bytes: choices.blob() },
        9 => Input::RealtimePong { link: LinkId(id) },
        10 => Input::RealtimeDown {
            link: LinkId(id),
            http_status: choices.one_in(2).then_some(status),
            retry_after: choices.one_in(2).then(|| {
                let seconds = up_to(choices, u64::MAX);
                Duration::new(seconds, up_to(choices, 999_999_999) as u32)
            }),
            code: choices.one_in(2).then(|| bits(choices, 16) as u16),
            fault: choices.one_in(2).then_some(fault),
            reason: choices.blob(),
        },
        11 => Input::ToolReply { id: ToolId(id), status, body: choices.blob() },
        12 => Input::ToolFailed { id: ToolId(id), fault },
        13 => Input::Stop(*pick(choices, &STOPS)),
        _ => Input::Timer,
    }
}

/// An input of a switchboard; `settings` are those that it may be told anew.
pub fn to_switchboard<'a>(
    choices: &mut Choices<'a>,
    settings: &'a SwitchboardSettings,
) -> switchboard::Input<'a> {
    use switchboard::Input;
    let (kind, id) = (choices.below(13), id(choices));
    let (status, fault) = (bits(choices, 16) as u16, *pick(choices, &FAULTS));
    let call = CallId(if choices.one_in(6) { bits(choices, 64) } else { id.into() });
    match kind {
        0 => Input::AriUp,
        1 => Input::AriDown {
            http_status: choices.one_in(2).then_some(status),
            fault: choices.one_in(2).then_some(fault),
        },
        2 => Input::Ari(choices.blob()),
        3 => Input::AriPong,
        4 => Input::AriReply { id: RequestId(id), status, body: choices.blob() },
        5 => Input::AriFailed { id: RequestId(id), fault },
        6 => {
            let news = [News::RealtimeIsWell, News::RealtimeFails, News::Spent(up_to(choices, u64::MAX))];
            Input::CallTold { call, news: *pick(choices, &news) }
        }
        7 => {
            let (answered, left_behind) = (choices.one_in(2), choices.one_in(2));
            let (ended, duration) = (*pick(choices, &EndReason::ALL), wait(choices));
            Input::CallFinished { call, outcome: Outcome { ended, answered, duration, left_behind } }
        }
        8 => Input::CallPanicked { call },
        9 => Input::Drain,
        10 => Input::StopNow,
        11 => Input::Settings(settings),
        _ => Input::Timer,
    }
}
