//! The media of a call: the caller's packets to the model, the agent's voice to the caller.

use super::io::{Action, Actions, Wake};
use super::talk::Talk;
use crate::downlink::{Downlink, Pushed};
use crate::id::LegId;
use crate::observe::{Label, Observation, Peer, RtpDrop};
use crate::pcm;
use crate::realtime::write_append;
use crate::rng::Rng;
use crate::settings::{MediaPlan, RtpSource};
use crate::time::Instant;
use crate::uplink::Uplink;
use core::net::SocketAddr;

#[derive(Debug)]
pub(super) struct Voice {
    leg: LegId,
    is_open: bool,
    source: RtpSource,
    /// Whom packets are taken from and sent to: the address that Asterisk told, or the first sender.
    peer: Option<SocketAddr>,
    is_told: bool,
    is_learned: bool,
    runs: bool,
    uplink: Uplink,
    downlink: Downlink,
    /// The kinds of drop that a line in the log was written about.
    drops_told: u32,
    /// When the caller stopped, until the first audio of the answer has left.
    stopped_at: Option<Instant>,
    samples: Vec<i16>,
    bytes: Vec<u8>,
}

impl Voice {
    pub(super) fn new(leg: LegId, plan: MediaPlan, source: RtpSource, gain: f64, rng: &mut Rng) -> Self {
        Self {
            leg,
            is_open: true,
            source,
            peer: None,
            is_told: false,
            is_learned: false,
            runs: false,
            uplink: Uplink::new(plan.format.from_asterisk(), gain),
            downlink: Downlink::new(plan.format.to_asterisk(), rng),
            drops_told: 0,
            stopped_at: None,
            samples: Vec::new(),
            bytes: Vec::new(),
        }
    }

    pub(super) const fn leg(&self) -> LegId {
        self.leg
    }

    /// Asterisk told where its media channel is. Returns whether that is news.
    pub(super) fn told(&mut self, address: SocketAddr) -> bool {
        let is_news = !core::mem::replace(&mut self.is_told, true);
        if is_news && !self.is_learned {
            self.peer = Some(address);
        }
        is_news
    }

    /// The caller is answered: audio flows from now on, on the 20 ms grid that begins here.
    pub(super) fn start(&mut self, now: Instant) {
        self.runs = true;
        self.uplink.start(now);
        self.downlink.start(now);
    }

    /// Nothing is sent any more; the port is kept until Asterisk sends nothing to it.
    pub(super) fn stop(&mut self) {
        self.runs = false;
    }

    pub(super) fn close(&mut self, out: &mut Actions) {
        if core::mem::take(&mut self.is_open) {
            out.push(Action::CloseMedia { leg: self.leg });
        }
    }

    pub(super) fn is_playing(&self) -> bool {
        self.runs && self.downlink.is_playing()
    }

    /// A datagram came.
    pub(super) fn datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8], out: &mut Actions) {
        // On a socket that is bound to `::`, an IPv4 peer appears as an IPv6 one (RFC 4291 §2.5.5.2).
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let is_welcome = match (self.source, self.is_learned) {
            (RtpSource::Strict, _) | (RtpSource::Learn, true) => self.peer == Some(from),
            (RtpSource::Learn, false) => true,
        };
        let received = match (is_welcome, self.peer) {
            (false, None) => Err(RtpDrop::Early),
            (false, Some(_)) => Err(RtpDrop::Stranger),
            (true, _) => self.uplink.receive(now, bytes),
        };
        match received {
            Ok(()) => {
                if self.source == RtpSource::Learn {
                    (self.peer, self.is_learned) = (Some(from), true);
                }
                out.observe(Observation::RtpIn);
            }
            Err(why) => {
                let kind = 1 << (why as u32);
                if self.drops_told & kind == 0 {
                    self.drops_told |= kind;
                    out.observe(Observation::RtpDropBegan(why));
                }
                out.observe(Observation::RtpDropped(why));
            }
        }
    }

    /// Gives the model what is due to it: the caller's voice, and on `timer` silence where there is none.
    pub(super) fn feed_model(&mut self, now: Instant, timer: bool, talk: &Talk, out: &mut Actions) {
        if !self.runs || talk.is_saying_goodbye() {
            return;
        }
        self.samples.clear();
        let lost = self.uplink.poll(now, timer, &mut self.samples).lost_packets;
        if lost > 0 {
            out.observe(Observation::RtpLost { packets: lost });
        }
        if !self.samples.is_empty() {
            self.bytes.clear();
            pcm::to_le_bytes(&self.samples, &mut self.bytes);
            let bytes = out.write(|arena| write_append(&self.bytes, arena));
            out.push(Action::SendRealtime { link: talk.link(), bytes });
        }
    }

    /// Sends the frame that is due to the caller, if one is.
    pub(super) fn play(&mut self, now: Instant, out: &mut Actions) {
        let due = self.runs && self.downlink.deadline().is_some_and(|at| at <= now);
        let (true, Some(to)) = (due, self.peer) else { return };
        let mut sent = None;
        let bytes = out.write(|arena| sent = self.downlink.poll(now, arena));
        let Some(sent) = sent else { return };
        out.push(Action::SendMedia { leg: self.leg, to, bytes });
        out.observe(Observation::RtpOut);
        if sent.skipped_slots > 0 {
            out.observe(Observation::PlayoutLate { slots: sent.skipped_slots });
        }
        if let Some(stopped) = self.stopped_at.take() {
            out.observe(Observation::FirstAudio { latency: now.since(stopped) });
        }
    }

    /// A piece of the agent's voice came.
    pub(super) fn agent_speaks(
        &mut self,
        now: Instant,
        item_id: &str,
        content_index: u32,
        delta: &str,
        out: &mut Actions,
    ) {
        match self.downlink.push_base64(now, item_id, content_index, delta.as_bytes()) {
            Pushed::Queued | Pushed::Muted => {}
            Pushed::Full { dropped_ms } => out.observe(Observation::PlayoutFull { dropped_ms }),
            Pushed::BadBase64 => {
                let what = Label::new("audio.delta");
                out.observe(Observation::BadInput { peer: Peer::Realtime, what });
            }
        }
    }

    /// All of an item's audio has come.
    pub(super) fn agent_is_done(&mut self, now: Instant, item_id: &str, content_index: u32) {
        self.downlink.item_done(now, item_id, content_index);
    }

    /// Nothing more comes of the agent's answer.
    pub(super) fn response_is_done(&mut self, now: Instant) {
        self.downlink.response_done(now);
    }

    pub(super) fn caller_stopped(&mut self, now: Instant) {
        self.stopped_at = Some(now);
    }

    /// The caller speaks: what is queued for the caller is thrown away, and the server is told how much of it
    /// was heard.
    pub(super) fn interrupt(&mut self, talk: &mut Talk, out: &mut Actions) {
        self.stopped_at = None;
        talk.mute_answer();
        let Some(cut) = self.downlink.barge_in() else { return };
        out.observe(Observation::BargeIn { heard_ms: cut.heard_ms, dropped_ms: cut.dropped_ms });
        talk.interrupted(&cut, out);
    }

    pub(super) fn deadlines(&self, talk: &Talk) -> [Option<(Instant, Wake)>; 2] {
        if !self.runs {
            return [None, None];
        }
        let uplink = if talk.is_saying_goodbye() { None } else { self.uplink.deadline() };
        let downlink = self.peer.and_then(|_| self.downlink.deadline());
        [uplink, downlink.map(|at| (at, Wake::Playout))]
    }
}
