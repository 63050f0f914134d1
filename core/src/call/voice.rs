//! The media of a call: the caller's packets to the model, the agent's voice to the caller.

use super::io::{Action, Actions, Record, Wake};
use super::ledger::Ledger;
use super::talk::Talk;
use crate::downlink::{Downlink, Pushed};
use crate::format::ModelFormat;
use crate::id::LegId;
use crate::observe::{BadInput, Observation, Once, Recovery, RtpDrop, TurnLatency};
use crate::rng::Rng;
use crate::settings::{CallSettings, MediaPlan, Prompt, Prompts, RtpSource};
use crate::time::Instant;
use crate::uplink::Uplink;
use core::net::SocketAddr;

/// How many lines of the record one step writes: a frame ends one item, or two. More than that comes from a
/// server that sends items of a few samples, and waits for the next step.
const MAX_RECORDS: usize = 4;

/// A pause has lasted so long at least, in milliseconds.
const RECENT_MS: u32 = 700;

#[derive(Debug)]
pub(super) struct Voice {
    leg: LegId,
    is_open: bool,
    source: RtpSource,
    /// Whom packets are taken from and sent to: the address that Asterisk told, or the first sender.
    peer: Option<SocketAddr>,
    /// The address that Asterisk told. Who sends from there is no stranger, whoever was learned before.
    told: Option<SocketAddr>,
    is_learned: bool,
    /// When a packet came last from whom they are taken.
    heard_at: Option<Instant>,
    runs: bool,
    is_held: bool,
    /// Nobody listens to the caller any more: the goodbye is being said, or the call is over.
    is_deaf: bool,
    uplink: Uplink,
    downlink: Downlink,
    /// The first slot of 20 ms of which the uplink was not told what the caller heard in it.
    untold_slot: u64,
    /// The kinds of drop that a line in the log was written about.
    drops_told: Once,
    bad_told: Once,
    is_full_told: bool,
    /// What is heard is a sound of the bridge's own, to its last fading.
    is_prompt: bool,
    ledger: Ledger,
    /// What the model is given in this step, in its format.
    bytes: Vec<u8>,
}

impl Voice {
    pub(super) fn new(leg: LegId, plan: MediaPlan, settings: &CallSettings, rng: &mut Rng) -> Self {
        let mut uplink = Uplink::new(plan.format.from_asterisk(), settings.volume_boost);
        if settings.echo_canceller {
            uplink.cancel_echo();
        }
        Self {
            leg,
            is_open: true,
            source: settings.rtp_source,
            peer: None,
            told: None,
            is_learned: false,
            heard_at: None,
            runs: false,
            is_held: false,
            is_deaf: false,
            uplink,
            downlink: Downlink::new(plan.format.to_asterisk(), settings.cushion, rng),
            untold_slot: 0,
            drops_told: Once::default(),
            bad_told: Once::default(),
            is_full_told: false,
            is_prompt: false,
            ledger: Ledger::default(),
            bytes: Vec::new(),
        }
    }

    pub(super) const fn leg(&self) -> LegId {
        self.leg
    }

    /// Asterisk told where its media channel is. Returns whether that is news.
    pub(super) fn told(&mut self, address: SocketAddr) -> bool {
        let is_news = self.told.is_none();
        if is_news {
            (self.told, self.peer) = (Some(address), Some(address));
        }
        is_news
    }

    /// When a packet came last, whether or not anybody listens.
    pub(super) const fn heard_at(&self) -> Option<Instant> {
        self.heard_at
    }

    /// The session stands, and this is the format in which the model hears and speaks.
    pub(super) fn model_speaks(&mut self, format: ModelFormat) {
        self.downlink.set_model_format(format);
    }

    /// The caller is answered: audio flows from now on, on the 20 ms grid that begins here.
    pub(super) fn start(&mut self, now: Instant, format: ModelFormat) {
        self.runs = true;
        self.uplink.start(now, format);
        self.uplink.hold(now, self.is_held);
        self.downlink.start(now);
    }

    /// Nothing is sent any more; the port is kept until Asterisk sends nothing to it.
    pub(super) fn stop(&mut self, talk: &mut Talk, out: &mut Actions) {
        self.is_deaf |= self.runs;
        self.runs = false;
        self.record(true, talk, out);
    }

    /// Nobody listens to the caller any more; what is queued is heard to its end.
    pub(super) fn turn_deaf(&mut self) {
        self.is_deaf = true;
    }

    /// Whether audio flows.
    pub(super) const fn runs(&self) -> bool {
        self.runs
    }

    /// The caller hears a sound of the bridge's own, behind what is being heard.
    pub(super) fn prompt(&mut self, now: Instant, prompt: Prompt, prompts: &Prompts, out: &mut Actions) {
        out.observe(Observation::Recovery(Recovery::Prompt(prompt)));
        self.is_prompt |= !self.is_playing();
        self.downlink.push_prompt(now, &prompts.get(prompt), prompt == Prompt::Comfort);
    }

    /// The session is over: what has come of it is heard to its end, and nothing more comes.
    pub(super) fn session_ends(&mut self, now: Instant) {
        self.ledger.forget();
        self.downlink.session_ends(now);
    }

    /// Whether somebody as loud as a caller was heard of late.
    pub(super) fn caller_was_loud(&self) -> bool {
        self.uplink.caller_was_loud(RECENT_MS)
    }

    /// Whether the agent is heard, and not a sound of the bridge's own.
    pub(super) fn agent_is_heard(&self) -> bool {
        self.is_playing() && !self.is_prompt
    }

    /// Whether the caller has put the call on hold. Asterisk sends music then, which the model is spared.
    pub(super) fn hold(&mut self, now: Instant, is_held: bool, out: &mut Actions) {
        if is_held != self.is_held {
            self.is_held = is_held;
            self.uplink.hold(now, is_held);
            out.observe(Observation::Held { is_held });
        }
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
            (RtpSource::Strict, _) | (RtpSource::Learn, true) => [self.peer, self.told].contains(&Some(from)),
            // Before the channel was told there is none of ours: what comes is late, and an earlier call's.
            (RtpSource::Learn, false) => self.told.is_some(),
        };
        if is_welcome {
            self.heard_at = Some(now);
        }
        let received = match (is_welcome, self.peer) {
            (false, None) => Err(RtpDrop::Early),
            (false, Some(_)) => Err(RtpDrop::Stranger),
            (true, _) if self.is_deaf => Ok(()),
            (true, _) => self.uplink.receive(now, bytes),
        };
        match received {
            Ok(()) => {
                // Whoever is not listened to has proved nothing.
                if self.source == RtpSource::Learn && !self.is_deaf {
                    (self.peer, self.is_learned) = (Some(from), true);
                }
                out.observe(Observation::RtpIn);
                if self.uplink.take_new_ssrc() {
                    out.observe(Observation::SsrcChanged);
                }
            }
            Err(why) => {
                if self.drops_told.is_first(why as u32) {
                    out.observe(Observation::RtpDropBegan(why));
                }
                out.observe(Observation::RtpDropped(why));
            }
        }
    }

    /// Gives the model what is due to it: the caller's voice, and on `timer` silence where there is none.
    pub(super) fn feed_model(&mut self, now: Instant, timer: bool, talk: &mut Talk, out: &mut Actions) {
        self.is_deaf |= talk.is_saying_goodbye();
        if !self.runs || self.is_deaf {
            return;
        }
        self.bytes.clear();
        let report = self.uplink.poll(now, timer, &mut self.bytes);
        if report.lost_packets > 0 {
            out.observe(Observation::RtpLost { packets: report.lost_packets });
        }
        if report.concealed_ms > 0 {
            out.observe(Observation::Concealed { millis: report.concealed_ms });
        }
        if !self.bytes.is_empty() {
            talk.take_audio(&self.bytes, self.uplink.caller_was_loud(0), out);
        }
    }

    /// Looks whether the one who speaks while the agent is being heard is the caller.
    /// Returns whether that is so, and interrupts the agent now.
    pub(super) fn weigh(&self, talk: &mut Talk) -> bool {
        let was_loud = |past_ms| self.uplink.caller_was_loud(past_ms);
        !talk.is_saying_goodbye() && talk.weigh(self.is_playing(), was_loud)
    }

    /// Sends the frame that is due to the caller, if one is.
    pub(super) fn play(&mut self, now: Instant, out: &mut Actions) {
        let due = self.runs && self.downlink.deadline().is_some_and(|at| at <= now);
        let (true, Some(to)) = (due, self.peer) else { return };
        let was_prompt = self.downlink.plays_prompt();
        let mut sent = None;
        let bytes = out.write(|arena| sent = self.downlink.poll(now, arena));
        let Some(sent) = sent else { return };
        // Where nobody to send to was known until now, the slot was told as quiet already; it stays one slot.
        if let Some(slot) = self.downlink.slot(now).filter(|&slot| slot >= self.untold_slot) {
            self.uplink.quiet(slot - self.untold_slot);
            self.uplink.played(self.downlink.sent_samples());
            self.untold_slot = slot + 1;
        }
        out.push(Action::SendMedia { leg: self.leg, to, bytes });
        out.observe(Observation::RtpOut);
        if sent.skipped_slots > 0 {
            out.observe(Observation::PlayoutLate { slots: sent.skipped_slots });
        }
        if let Some(latency) = if was_prompt { None } else { self.ledger.packet(now) } {
            self.tell_latency(latency, out);
        }
    }

    fn tell_latency(&self, latency: TurnLatency, out: &mut Actions) {
        out.observe(Observation::FirstAudio(latency));
        let [caller_item, response_id, agent_item] = self.ledger.names().map(|name| out.put(name.as_bytes()));
        out.push(Action::Record(Record::Answered { caller_item, response_id, agent_item, latency }));
    }

    /// Tells the uplink what the caller heard up to now, before it hears what may be the echo of that.
    pub(super) fn mind_the_echo(&mut self, now: Instant) {
        self.uplink.agent_speaks(self.runs && self.downlink.is_playing());
        // What is due was sent, so in a slot that has begun without a packet nothing is heard.
        if let Some(slot) = self.downlink.slot(now).filter(|&slot| slot >= self.untold_slot) {
            self.uplink.quiet(slot + 1 - self.untold_slot);
            self.untold_slot = slot + 1;
        }
    }

    /// Records what has been heard to the end that it has, at most [`MAX_RECORDS`] of it in one step; if the
    /// call `is_over`, that end is now.
    pub(super) fn record(&mut self, is_over: bool, talk: &mut Talk, out: &mut Actions) {
        for _ in 0..MAX_RECORDS {
            let Some(said) = self.downlink.next_said(is_over) else { return };
            let record = Record::AgentSaid {
                item_id: out.put(said.item_id.as_bytes()),
                content_index: said.content_index,
                text: out.put(said.text.as_bytes()),
                said: out.put(said.said.as_bytes()),
                heard_ms: said.heard_ms,
                received_ms: said.received_ms,
            };
            out.push(Action::Record(record));
            talk.agent_said(said.text, said.is_former, out);
        }
    }

    /// An answer begins.
    pub(super) fn agent_begins(&mut self, now: Instant) {
        self.ledger.created(now);
    }

    /// A piece of the agent's voice came.
    pub(super) fn agent_speaks(
        &mut self,
        now: Instant,
        [response_id, item_id, delta]: [&str; 3],
        content_index: u32,
        out: &mut Actions,
    ) {
        self.ledger.delta(now, response_id, item_id);
        match self.downlink.push_base64(now, item_id, content_index, delta.as_bytes()) {
            Pushed::Queued => self.is_prompt = false,
            Pushed::Muted => {}
            Pushed::Full { dropped_ms } => {
                if !core::mem::replace(&mut self.is_full_told, true) {
                    out.observe(Observation::PlayoutFullBegan);
                }
                out.observe(Observation::PlayoutFull { dropped_ms });
            }
            Pushed::BadBase64 => out.observe_bad(BadInput::AudioDelta, &mut self.bad_told),
        }
    }

    /// All of an item's audio has come.
    pub(super) fn agent_is_done(&mut self, now: Instant, item_id: &str, content_index: u32) {
        self.downlink.item_done(now, item_id, content_index);
    }

    /// A piece of what the agent says, in letters.
    pub(super) fn agent_says(&mut self, item_id: &str, content_index: u32, text: &str) {
        self.downlink.push_text(item_id, content_index, text);
    }

    /// All of a part of an item in letters.
    pub(super) fn agent_said(&mut self, item_id: &str, content_index: u32, text: &str) {
        self.downlink.text_done(item_id, content_index, text);
    }

    /// Nothing more comes of the agent's answer.
    pub(super) fn response_is_done(&mut self, now: Instant) {
        self.downlink.response_done(now);
    }

    pub(super) fn caller_stopped(&mut self, now: Instant, item_id: &str) {
        self.ledger.caller_stopped(now, item_id, self.is_playing());
    }

    pub(super) fn caller_did_not_speak(&mut self) {
        self.ledger.forget();
    }

    /// Nothing of this item is to be heard. Returns whether that was not known.
    pub(super) fn is_news_unwanted(&mut self, item_id: &str) -> bool {
        self.downlink.mute(item_id)
    }

    /// The caller speaks: what is queued for the caller is thrown away, and the server is told how much of it
    /// was heard.
    pub(super) fn interrupt(&mut self, talk: &mut Talk, out: &mut Actions) {
        self.ledger.forget();
        talk.mute_answer();
        self.record(true, talk, out);
        let Some(cut) = self.downlink.barge_in() else { return };
        out.observe(Observation::BargeIn { heard_ms: cut.heard_ms, dropped_ms: cut.dropped_ms });
        talk.interrupted(&cut, out);
    }

    pub(super) fn deadlines(&self, talk: &Talk) -> [Option<(Instant, Wake)>; 2] {
        if !self.runs {
            return [None, None];
        }
        let uplink = if self.is_deaf || talk.is_saying_goodbye() { None } else { self.uplink.deadline() };
        let downlink = self.peer.and_then(|_| self.downlink.deadline());
        [uplink, downlink.map(|at| (at, Wake::Playout))]
    }
}
