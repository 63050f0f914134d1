//! Every input of both machines, with whatever it may hold.

use super::{Logged, in_words};
use crate::call::{self, IoFault, LinkState, News, Outcome, StopReason};
use crate::capture::{Capture, Log, Record, SwitchboardStart, open};
use crate::id::{CallId, InstanceNonce, LegId, LinkId, RequestId, ToolId};
use crate::outcome::EndReason;
use crate::settings::{CallSettings, SwitchboardSettings};
use crate::switchboard::{self, Switchboard};
use crate::time::{Duration, Instant, UtcNanos};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use proptest::prelude::*;
use proptest::sample::select;

/// How many kinds of input a call has, and a switchboard.
const CALL_KINDS: usize = 15;
const SWITCHBOARD_KINDS: usize = 13;

const FAULTS: [IoFault; 9] = [
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

const STOPS: [StopReason; 4] =
    [StopReason::Shutdown, StopReason::AtOnce, StopReason::AsteriskRestarted, StopReason::CallerLeft];

/// What inputs are made of.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    later: u64,
    kind: usize,
    id: u32,
    long: u64,
    status: u16,
    maybe: [bool; 4],
    fault: IoFault,
    stop: StopReason,
    ended: EndReason,
    wait: Duration,
    address: SocketAddr,
    bytes: Vec<u8>,
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    let v4 = (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| (Ipv4Addr::from(ip), port).into());
    let v6 = (any::<[u8; 16]>(), any::<u16>(), any::<u32>(), any::<u32>())
        .prop_map(|(ip, port, flow, scope)| SocketAddrV6::new(Ipv6Addr::from(ip), port, flow, scope).into());
    // Mostly the same one, as on the line.
    prop_oneof![3 => Just(SocketAddr::from(([192, 0, 2, 1], 4000))), 1 => v4, 1 => v6]
}

prop_compose! {
    /// Time goes on by anything between a nanosecond and a week.
    pub(crate) fn parts()(
        (later, kind, id, long) in (
            prop_oneof![Just(1), Just(20_000_000), 1_u64..10_000_000_000, 1_u64..604_800_000_000_000],
            any::<usize>(),
            prop_oneof![Just(1_u32), any::<u32>()],
            any::<u64>(),
        ),
        (status, maybe, address) in (any::<u16>(), any::<[bool; 4]>(), addresses()),
        (fault, stop, ended) in (select(&FAULTS), select(&STOPS), select(&EndReason::ALL)),
        (seconds, nanos) in (any::<u64>(), 0_u32..1_000_000_000),
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) -> Parts {
        let wait = Duration::new(seconds, nanos);
        Parts { later, kind, id, long, status, maybe, fault, stop, ended, wait, address, bytes }
    }
}

impl Parts {
    pub(crate) const fn later(&self) -> Duration {
        Duration::from_nanos(self.later)
    }

    pub(crate) fn to_call(&self) -> call::Input<'_> {
        use call::Input;
        let &Self { id, status, fault, .. } = self;
        let bytes = &self.bytes[..];
        match self.kind % CALL_KINDS {
            0 => Input::Ari(bytes),
            1 => Input::AriReply { id: RequestId(id), status, body: bytes },
            2 => Input::AriFailed { id: RequestId(id), fault },
            3 => Input::AriLink(if self.maybe[0] { LinkState::Up } else { LinkState::Down }),
            4 => Input::MediaUp { leg: LegId(id), local: self.address },
            5 => Input::Media { leg: LegId(id), from: self.address, bytes },
            6 => Input::MediaDown { leg: LegId(id), fault },
            7 => Input::RealtimeUp { link: LinkId(id) },
            8 => Input::Realtime { link: LinkId(id), bytes },
            9 => Input::RealtimePong { link: LinkId(id) },
            10 => Input::RealtimeDown {
                link: LinkId(id),
                http_status: self.maybe[0].then_some(status),
                retry_after: self.maybe[1].then_some(self.wait),
                code: self.maybe[2].then_some(status),
                reason: bytes,
                fault: self.maybe[3].then_some(fault),
            },
            11 => Input::ToolReply { id: ToolId(id), status, body: bytes },
            12 => Input::ToolFailed { id: ToolId(id), fault },
            13 => Input::Timer,
            _ => Input::Stop(self.stop),
        }
    }

    pub(crate) fn to_switchboard<'a>(&'a self, settings: &'a SwitchboardSettings) -> switchboard::Input<'a> {
        use switchboard::Input;
        let &Self { id, long, status, fault, maybe: [first, second, ..], .. } = self;
        let call = CallId(long);
        match self.kind % SWITCHBOARD_KINDS {
            0 => Input::AriUp,
            1 => Input::AriDown { http_status: first.then_some(status), fault: second.then_some(fault) },
            2 => Input::Ari(&self.bytes),
            3 => Input::AriPong,
            4 => Input::AriReply { id: RequestId(id), status, body: &self.bytes },
            5 => Input::AriFailed { id: RequestId(id), fault },
            6 if first => Input::CallTold { call, news: News::RealtimeIsWell },
            6 if second => Input::CallTold { call, news: News::RealtimeFails },
            6 => Input::CallTold { call, news: News::Spent(long) },
            7 => {
                let duration = Duration::from_nanos(long);
                let outcome = Outcome { ended: self.ended, answered: first, duration, left_behind: second };
                Input::CallFinished { call, outcome }
            }
            8 => Input::CallPanicked { call },
            9 => Input::Drain,
            10 => Input::StopNow,
            11 => Input::Settings(settings),
            _ => Input::Timer,
        }
    }
}

fn record<I: core::fmt::Debug>(now: Instant, input: I) -> String {
    format!("Input {{ now: {now:?}, input: {input:?} }}")
}

proptest! {
    #[test]
    fn every_input_of_a_call_is_read_as_it_was_given(all in proptest::collection::vec(parts(), 1..60)) {
        let mut logged = Logged::begin(&CallSettings::default(), 1 << 20);
        let mut given = Vec::new();
        let mut out = call::Actions::new();
        for parts in &all {
            logged.now = logged.now + parts.later();
            out.clear();
            given.push(record(logged.now, parts.to_call()));
            let _next = logged.log.step(&mut logged.call, logged.now, parts.to_call(), &mut out);
        }
        let mut words = in_words(&logged.log.finish());
        words.retain(|word| word.starts_with("Input"));
        prop_assert_eq!(words, given);
    }

    #[test]
    fn every_input_of_a_switchboard_is_read_as_it_was_given(all in proptest::collection::vec(parts(), 1..60)) {
        let settings = SwitchboardSettings { max_calls: Some(3), ..SwitchboardSettings::default() };
        let start =
            SwitchboardStart { nonce: InstanceNonce::new(7), seed: 8, utc: UtcNanos(1_800_000_000_000_000_000) };
        let (mut out, mut now) = (switchboard::Actions::new(), Instant::START);
        let (mut log, mut switchboard, _next) =
            Log::<Switchboard>::begin(&settings, start, now, 1 << 20, &mut out);
        let mut given = Vec::new();
        for parts in &all {
            now = now + parts.later();
            out.clear();
            given.push(record(now, parts.to_switchboard(&settings)));
            let _next = log.step(&mut switchboard, now, parts.to_switchboard(&settings), &mut out);
        }
        let bytes = log.finish();
        let Ok(Capture::Switchboard(head, mut records)) = open(&bytes) else { panic!("it is of a switchboard") };
        prop_assert_eq!((head.start(), &head.settings), (start, &settings));
        let mut read = Vec::new();
        loop {
            match records.next().unwrap() {
                Record::Input { now, input } => read.push(record(now, input)),
                Record::Gave(_) | Record::Digest(_) => {}
                Record::End(_) => break,
            }
        }
        prop_assert_eq!(read, given);
    }
}
