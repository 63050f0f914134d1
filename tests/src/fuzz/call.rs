//! The records of a capture of a call.

use crate::choices::Choices;
use crate::oracle::Oracle;
use crate::taped::{Encore, LIMIT_BYTES, Taped};
use crate::world::some_settings;
use ari_bridge_core::ari::{media_address, variable_address, variable_port};
use ari_bridge_core::call::{Action, Actions, Call, Input, LinkState, Next, Origin, Start, StopReason};
use ari_bridge_core::capture::{Capture, Log, Note, Record, open};
use ari_bridge_core::format::MediaFormat;
use ari_bridge_core::id::{CallId, IdPrefix, InstanceNonce, RequestId};
use ari_bridge_core::observe::Observation;
use ari_bridge_core::settings::{CallSettings, MediaPlan, Transport};
use ari_bridge_core::time::{Duration, Instant, UtcNanos};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};

/// How many bytes decide the settings and the beginning of the call; the records follow them. What is not used of them
/// has no meaning.
pub const CHOSEN_BYTES: usize = 32;

/// The latest moment of a record: the timestamps of RTP go round in three days, and no call lasts as long.
const LATEST: Instant = Instant::from_millis(48 * 60 * 60 * 1000);

/// How long after a call was told to stop its end is decided at the latest, whatever the server says.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

/// How long after that everything is settled with Asterisk, which answers at once.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);

/// The most steps that a call may need to end once nothing more comes.
const MAX_STEPS_TO_END: usize = 3_000;

const CALLER: &str = "1795346951.0";

/// Bytes as the settings of a call, and as the records of its capture behind a head that they are given: what comes in
/// no peer's order, in no peer's words, and at any time.
///
/// What the oracle of the [world](crate::world) demands of a call holds in each step. When nothing more comes and the
/// call is told to stop, it ends. And what was recorded of it replays.
pub fn call(bytes: &[u8]) {
    live(bytes, Encore::Always(None));
}

/// The same; what becomes of the capture is said.
pub(super) fn live(bytes: &[u8], encore: Encore) {
    let (head, records) = bytes.split_at_checked(CHOSEN_BYTES).unwrap_or((bytes, &[]));
    let begin = Begin::new(&mut Choices::new(head));
    let mut capture = begin.head();
    capture.extend_from_slice(records);
    // The head is whole, so it is a capture of a call.
    let Ok(Capture::Call(_, mut records)) = open(&capture) else { panic!("a head that was just written") };
    let mut life = Life::new(&begin, encore);
    while !life.next.finished
        && let Ok(record) = records.next()
    {
        match record {
            Record::Input { now, input } => life.takes(now, input),
            Record::Gave(_) | Record::Digest(_) => {}
            Record::End(_) => break,
        }
    }
    life.ends();
}

/// How a call begins.
struct Begin {
    settings: CallSettings,
    format: MediaFormat,
    event: String,
    seed: u64,
}

impl Begin {
    /// As a world begins from the same bytes.
    fn new(choices: &mut Choices<'_>) -> Self {
        let settings = some_settings(choices);
        let format = MediaFormat::ALL[choices.below(4)];
        let state = if choices.one_in(4) { "Up" } else { "Ring" };
        let event = format!(
            r#"{{"type":"StasisStart","args":["+41315550101","1001"],"channel":{{"id":"{CALLER}","name":"PJSIP/phone-00000001","state":"{state}"}}}}"#
        );
        Self { settings, format, event, seed: u64::from(choices.byte()) }
    }

    fn start(&self) -> Start<'_> {
        Start {
            ids: IdPrefix { nonce: InstanceNonce::new(7), call: CallId(1) },
            seed: self.seed,
            utc: UtcNanos(1_795_000_000_000_000_000),
            caller_tag: None,
            media: MediaPlan { transport: Transport::Rtp, format: self.format },
            origin: Origin::Arrived { event: self.event.as_bytes() },
        }
    }

    /// The head of a capture of such a call.
    fn head(&self) -> Vec<u8> {
        let mut log =
            Log::<Call>::new(&self.settings, &self.start(), Note::default(), Instant::START, LIMIT_BYTES);
        log.take()
    }
}

/// A call and who watches it.
struct Life {
    call: Taped<Call>,
    now: Instant,
    next: Next,
    out: Actions,
    oracle: Oracle,
    /// The requests that have no answer yet, with their methods and paths.
    in_flight: BTreeMap<RequestId, String>,
    /// What Asterisk may have told of where it listens.
    hosts: BTreeSet<IpAddr>,
    ports: BTreeSet<u16>,
    ended_at: Option<Instant>,
}

impl Life {
    fn new(begin: &Begin, encore: Encore) -> Self {
        let (mut out, now) = (Actions::new(), Instant::START);
        let (call, next) = Taped::begin(&begin.settings, begin.start(), now, &mut out, LIMIT_BYTES, encore);
        let oracle = Oracle::new(&begin.settings, begin.format);
        let mut life = Self {
            call,
            now,
            next,
            out,
            oracle,
            in_flight: BTreeMap::new(),
            hosts: BTreeSet::new(),
            ports: BTreeSet::new(),
            ended_at: None,
        };
        life.look(true);
        life
    }

    /// An input comes, at that moment or at the latest that there is.
    fn takes(&mut self, at: Instant, input: Input<'_>) {
        self.now = (self.now + Duration::from_nanos(1)).max(at.min(LATEST));
        match input {
            Input::AriReply { id, body, .. } => {
                self.in_flight.remove(&id);
                self.hosts.extend(media_address(body).map(|address| address.ip()).or(variable_address(body)));
                self.ports.extend(media_address(body).map(|address| address.port()).or(variable_port(body)));
            }
            Input::AriFailed { id, .. } => drop(self.in_flight.remove(&id)),
            // Another Asterisk answers none of what was asked of the old one, and may have got a create.
            Input::Stop(StopReason::AsteriskRestarted) => {
                self.in_flight.retain(|_, request| creates(request))
            }
            Input::RealtimeUp { link } => self.oracle.realtime_up(link),
            Input::RealtimeDown { link, .. } => self.oracle.realtime_down(link),
            Input::Realtime { link, bytes } => self.oracle.server_said(link, bytes),
            _ => {}
        }
        self.out.clear();
        self.next = self.call.step(self.now, input, &mut self.out);
        self.look(matches!(input, Input::Timer));
    }

    /// Looks at what the call does.
    fn look(&mut self, is_timer: bool) {
        self.oracle.check_step(self.now, is_timer, &self.next, &self.out);
        for action in self.out.iter() {
            let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
            let told = match action {
                Action::SendMedia { to, .. } if self.was_told(to) => to,
                _ => nowhere,
            };
            self.oracle.check_action(self.now, action, &self.out, |to| to == told);
            match action {
                Action::Ari { id, method, path, .. } => {
                    let request = format!("{} {}", method.as_str(), self.out.text(path));
                    let is_twin = lets_go(&request) && self.in_flight.values().any(|other| *other == request);
                    assert!(!is_twin, "two in flight: {request}");
                    assert!(self.in_flight.insert(id, request).is_none(), "request {id} was sent twice");
                }
                Action::Observe(Observation::Ending(_)) => self.ended_at = Some(self.now),
                _ => {}
            }
        }
        assert!(!self.next.finished || self.in_flight.is_empty(), "finished with requests open");
    }

    fn was_told(&self, address: SocketAddr) -> bool {
        self.hosts.contains(&address.ip()) && self.ports.contains(&address.port())
    }

    /// Nothing more comes of anybody but of Asterisk, on which nothing is left; the call is told to stop.
    fn ends(&mut self) {
        let told_at = self.now;
        if !self.next.finished {
            self.takes(told_at, Input::AriLink(LinkState::Up));
        }
        if !self.next.finished {
            self.takes(told_at, Input::Stop(StopReason::Shutdown));
        }
        for _ in 0..MAX_STEPS_TO_END {
            if self.next.finished {
                let ended_at = self.ended_at.expect("a finished call has ended");
                let late = ended_at.since(told_at.min(ended_at));
                assert!(late < STOPS_WITHIN, "its end was decided after {late:?}");
                let settled = self.now.since(told_at);
                assert!(settled < SETTLES_WITHIN, "it took {settled:?} to settle with Asterisk");
                assert!(self.oracle.finished().is_some(), "finished without saying so");
                return;
            }
            if let Some(id) = self.in_flight.keys().next().copied() {
                self.takes(self.now, Input::AriReply { id, status: 404, body: b"" });
            } else if let Some((at, _)) = self.next.deadline {
                self.step_at(at);
            } else {
                break;
            }
        }
        panic!("the call does not end: {:?}", self.next);
    }

    fn step_at(&mut self, at: Instant) {
        // Past the latest moment of a record, too.
        self.now = self.now.max(at);
        self.takes(self.now, Input::Timer);
    }
}

fn creates(request: &str) -> bool {
    request.starts_with("POST ") && (request.contains("channelId=") || request.contains("bridgeId="))
}

fn lets_go(request: &str) -> bool {
    request.starts_with("DELETE ") || request.contains("/continue")
}
