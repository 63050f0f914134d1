//! What a network, an Asterisk and a machine do to a scene by chance, all the time that they are told to: how often, and how
//! badly. What the chances come to is decided by a seed.

use super::Scene;
use super::mail::Parcel;
use crate::faults::{Fault, Tally};
use ari_bridge_core::rng::Rng;
use ari_bridge_core::sim::asterisk as pbx;
use ari_bridge_core::time::{Duration, Instant};
use core::net::SocketAddr;

/// How far behind the others a packet may be that they have overtaken.
const OVERTAKEN_BY: Duration = Duration::from_millis(45);

/// Where the SSRC stands in a packet (RFC 3550 §5.1).
const SSRC: core::ops::Range<usize> = 8..12;

/// How many packets are lost in a row in a burst, at most.
const LONGEST_BURST: u32 = 40;

/// What befalls the packets in one direction. Chances are of a thousand.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// One is lost.
    pub loss: u32,
    /// A burst of losses begins.
    pub burst: u32,
    /// One is overtaken by those behind it.
    pub reorder: u32,
    /// One comes twice.
    pub duplicate: u32,
    /// One comes otherwise than it was sent.
    pub corrupt: u32,
    /// By how much each is late, at most. They keep their order.
    pub jitter: Duration,
    /// How much slower the sender's clock is, in millionths.
    pub drift: u32,
    /// None comes.
    pub mute: bool,
    /// What the SSRC is changed by.
    pub ssrc: u32,
    /// By how much the port is another one than they are expected from.
    pub port: u16,
    memory: Memory,
}

/// What a way remembers of the packets so far.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    in_burst: u32,
    last: Option<Instant>,
}

/// What befalls requests to ARI. Chances are of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requests {
    /// The reply is late.
    pub late: u32,
    /// The reply is lost.
    pub reply_lost: u32,
    /// The request is lost.
    pub lost: u32,
    /// It is refused with a status of 4xx.
    pub refused_4xx: u32,
    /// It is refused with a status of 5xx.
    pub refused_5xx: u32,
    /// The reply comes twice.
    pub twice: u32,
    /// It is carried out after later ones.
    pub overtaken: u32,
    /// It never leaves the bridge.
    pub queue_full: u32,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) up: Way,
    pub(super) down: Way,
    pub(super) requests: Requests,
    pub(super) stalled_until: Instant,
    since: Instant,
    rng: Rng,
}

impl Weather {
    pub(super) fn fine() -> Self {
        Self {
            up: Way::default(),
            down: Way::default(),
            requests: Requests::default(),
            stalled_until: Instant::START,
            since: Instant::START,
            rng: Rng::new(0),
        }
    }

    fn happens(&mut self, chance: u32) -> bool {
        chance > 0 && self.rng.below(1000) < chance
    }
}

/// A packet on its way: how late it is, and what it is.
type Late = (Duration, Vec<u8>);

impl Way {
    /// What becomes of a packet.
    fn pass(
        &mut self,
        (now, since): (Instant, Instant),
        mut packet: Vec<u8>,
        rng: &mut Rng,
        tally: &mut Tally,
    ) -> [Option<Late>; 2] {
        let mut happens = |chance: u32, fault: Fault, tally: &mut Tally| {
            let happens = chance > 0 && rng.below(1000) < chance;
            if happens {
                tally.add(fault);
            }
            happens
        };
        if self.mute {
            tally.add(Fault::OneWay);
            return [None, None];
        }
        if happens(self.burst, Fault::BurstLoss, tally) {
            self.memory.in_burst = 3 + packet.len() as u32 % LONGEST_BURST;
        }
        if self.memory.in_burst > 0 {
            self.memory.in_burst -= 1;
            return [None, None];
        }
        if happens(self.loss, Fault::Loss, tally) {
            return [None, None];
        }
        let is_overtaken = happens(self.reorder, Fault::Reorder, tally);
        let comes_twice = happens(self.duplicate, Fault::Duplicate, tally);
        if happens(self.corrupt, Fault::Corruption, tally) {
            corrupt(&mut packet, rng);
        }
        if self.ssrc != 0
            && let Some(ssrc) = packet.get_mut(SSRC)
        {
            ssrc.iter_mut().zip(self.ssrc.to_be_bytes()).for_each(|(byte, change)| *byte ^= change);
            tally.add(Fault::NewSsrc);
        }
        let mut lag = Duration::ZERO;
        if self.jitter > Duration::ZERO {
            tally.add(Fault::Jitter);
            lag = Duration::from_micros(u64::from(rng.below(self.jitter.as_micros() as u32)));
        }
        if self.drift > 0 {
            tally.add(Fault::ClockDrift);
            lag += now.since(since) * self.drift / 1_000_000;
        }
        // Each on its own way would be overtaken all the time.
        let at = (now + lag).max(self.memory.last.unwrap_or(now));
        lag = at.since(now);
        if is_overtaken {
            lag += OVERTAKEN_BY;
        } else {
            self.memory.last = Some(at);
        }
        [comes_twice.then(|| (lag, packet.clone())), Some((lag, packet))]
    }
}

/// Another byte, or fewer of them.
fn corrupt(packet: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.below(packet.len().max(1) as u32) as usize;
    if rng.below(4) == 0 {
        packet.truncate(at);
    } else if let Some(byte) = packet.get_mut(at) {
        *byte ^= 1 << rng.below(8);
    }
}

/// What a test does to the weather.
impl Scene {
    /// From now on this seed decides what the chances come to.
    pub fn weather_begins(&mut self, seed: u64) {
        (self.weather.rng, self.weather.since) = (Rng::new(seed), self.now);
    }

    /// What befalls the caller's packets.
    pub fn weather_up(&mut self) -> &mut Way {
        &mut self.weather.up
    }

    /// What befalls the agent's packets.
    pub fn weather_down(&mut self) -> &mut Way {
        &mut self.weather.down
    }

    /// What befalls requests to ARI.
    pub fn weather_of_requests(&mut self) -> &mut Requests {
        &mut self.weather.requests
    }

    /// No more faults by chance: what the network and Asterisk hold comes, what was late is not any more.
    pub fn weather_clears(&mut self) {
        self.weather.up = Way { memory: self.weather.up.memory, ..Way::default() };
        self.weather.down = Way { memory: self.weather.down.memory, ..Way::default() };
        self.weather.requests = Requests::default();
        self.asterisk.faults = pbx::Faults::default();
        self.events_flow();
        self.release_asterisk();
    }

    /// For so long events wait, and then come all at once.
    pub fn events_come_late(&mut self, by: Duration) {
        let mut out = pbx::Actions::new();
        self.asterisk.set_event_flow(pbx::EventFlow::Hold, &mut out);
        self.perform_asterisk(&out);
        self.send_after(by, Parcel::EventsFlow);
    }

    /// The machine of the bridge stands still for so long. What comes meanwhile it finds when it goes on.
    pub fn bridge_stands_still(&mut self, duration: Duration) {
        self.tally.add(Fault::ClockJump);
        self.weather.stalled_until = self.weather.stalled_until.max(self.now + duration);
        let until = self.weather.stalled_until;
        for parcel in self.take_parcels(|at, parcel| at < until && parcel.is_for_the_bridge()) {
            self.send(parcel);
        }
    }
}

impl Scene {
    pub(super) fn events_flow(&mut self) {
        let mut out = pbx::Actions::new();
        self.asterisk.set_event_flow(pbx::EventFlow::Flow, &mut out);
        self.perform_asterisk(&out);
    }

    /// When the bridge, which wants to be woken then, is.
    pub(super) fn awake(&self, at: Instant) -> Instant {
        at.max(self.weather.stalled_until)
    }

    /// A packet of the caller's, as it comes to the bridge, if it does.
    pub(super) fn passes_up(&mut self, from: SocketAddr, packet: Vec<u8>) -> (SocketAddr, [Option<Late>; 2]) {
        let Weather { up, rng, since, .. } = &mut self.weather;
        let from = SocketAddr::new(from.ip(), from.port().wrapping_add(up.port));
        if up.port != 0 {
            self.tally.add(Fault::NewPort);
        }
        (from, up.pass((self.now, *since), packet, rng, &mut self.tally))
    }

    /// A packet of the bridge's, as it comes to Asterisk.
    pub(super) fn passes_down(&mut self, packet: Vec<u8>) -> [Option<Late>; 2] {
        let Weather { down, rng, since, .. } = &mut self.weather;
        down.pass((self.now, *since), packet, rng, &mut self.tally)
    }

    /// Whether a request never leaves the bridge.
    pub(super) fn queue_is_full(&mut self) -> bool {
        let is_full = self.weather.happens(self.weather.requests.queue_full);
        if is_full {
            self.tally.add(Fault::QueueFull);
        }
        is_full
    }

    /// Whether a reply comes twice.
    pub(super) fn comes_twice(&mut self) -> bool {
        let twice = self.weather.happens(self.weather.requests.twice);
        if twice {
            self.tally.add(Fault::ReplyTwice);
        }
        twice
    }

    /// Decides what befalls the request that is about to come to Asterisk.
    pub(super) fn befalls_a_request(&mut self, method: &str, target: &str) {
        let Requests { late, reply_lost, lost, refused_4xx, refused_5xx, overtaken, .. } =
            self.weather.requests;
        // Who is told that something is not there, or is there already, takes it for done.
        let lets_go = method == "DELETE" || target.contains("/continue");
        let refusals: &[u16] = if lets_go { &[400, 412, 422] } else { &[400, 404, 409, 412, 422] };
        let errors = [500, 502, 503];
        let wait = Duration::from_millis(u64::from(self.weather.rng.below(8_000)));
        let pick = self.weather.rng.next_u32() as usize;
        let (fault, kind) = if self.weather.happens(late) {
            (Fault::ReplyLate, pbx::Fault::HoldReply)
        } else if self.weather.happens(reply_lost) {
            (Fault::ReplyLost, pbx::Fault::LoseReply)
        } else if self.weather.happens(lost) {
            (Fault::RequestLost, pbx::Fault::LoseRequest)
        } else if self.weather.happens(refused_4xx) {
            (Fault::Refused4xx, pbx::Fault::Refuse(refusals[pick % refusals.len()]))
        } else if self.weather.happens(refused_5xx) {
            (Fault::Refused5xx, pbx::Fault::Refuse(errors[pick % errors.len()]))
        } else if self.weather.happens(overtaken) {
            (Fault::Overtaken, pbx::Fault::HoldRequest)
        } else {
            return;
        };
        self.tally.add(fault);
        self.asterisk.faults.next("*", kind);
        if matches!(kind, pbx::Fault::HoldReply | pbx::Fault::HoldRequest) {
            self.send_after(wait, Parcel::Release);
        }
    }
}
