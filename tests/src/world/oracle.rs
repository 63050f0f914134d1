//! What holds of every call, whatever happens to it.

use ari_bridge_core::call::{Action, Actions, MAX_ACTIONS_PER_STEP, Next, Outcome};
use ari_bridge_core::format::Encoding;
use ari_bridge_core::realtime::{Dialect, ServerEvent};
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::settings::RtpSource;
use ari_bridge_core::sim::realtime::check_client_event;
use ari_bridge_core::time::{Duration, Instant};
use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};

/// The most bytes that one step of this world writes: one uplink fill, one frame and some requests.
const MAX_BYTES_PER_STEP: usize = 64 * 1024;

/// The context of the only place where the caller may be sent.
pub(super) const CONTEXT: &str = "the-only-place";

#[derive(Debug)]
pub(super) struct Oracle {
    encoding: Encoding,
    dialect: Dialect,
    source: RtpSource,
    /// Sequence number, timestamp and time of the last packet.
    last_packet: Option<(u16, u32, Instant)>,
    packets_out: usize,
    session_updated: bool,
    received_bytes: BTreeMap<String, u64>,
    /// Of the format that the server was last asked for.
    bytes_per_ms: u64,
    /// Which function calls were answered.
    answered_calls: BTreeSet<String>,
    finished: Option<Outcome>,
    digest: u64,
}

impl Oracle {
    pub(super) fn new(encoding: Encoding, source: RtpSource, dialect: Dialect) -> Self {
        Self {
            encoding,
            dialect,
            source,
            last_packet: None,
            packets_out: 0,
            session_updated: false,
            received_bytes: BTreeMap::new(),
            bytes_per_ms: 48,
            answered_calls: BTreeSet::new(),
            finished: None,
            digest: 0xcbf2_9ce4_8422_2325,
        }
    }

    pub(super) fn finished(&self) -> Option<Outcome> {
        self.finished
    }

    pub(super) fn packets_out(&self) -> usize {
        self.packets_out
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Takes note of what the Realtime server says, as it is read: what is no event tells nothing.
    pub(super) fn server_said(&mut self, message: &[u8]) {
        match Dialect::OpenAi.read(message) {
            Some(ServerEvent::SessionUpdated { .. }) => self.session_updated = true,
            Some(ServerEvent::AudioDelta { item_id, delta, .. }) => {
                let padding = delta.bytes().rev().take_while(|&byte| byte == b'=').count();
                let bytes = (delta.len() / 4 * 3).saturating_sub(padding) as u64;
                *self.received_bytes.entry(item_id.to_string()).or_default() += bytes;
            }
            _ => {}
        }
    }

    pub(super) fn check_step(&mut self, now: Instant, is_timer: bool, next: &Next, out: &Actions) {
        assert!(out.len() <= MAX_ACTIONS_PER_STEP, "{} actions in one step", out.len());
        assert!(out.byte_len() <= MAX_BYTES_PER_STEP, "{} bytes in one step", out.byte_len());
        let frames = out.iter().filter(|action| matches!(action, Action::SendMedia { .. })).count();
        assert!(frames <= 1, "{frames} frames in one step");
        if let Some((at, wake)) = next.deadline {
            assert!(
                at > now || (!is_timer && !wake.is_pacing()),
                "a deadline in the past: {at} {wake:?} at {now}"
            );
            assert!(!next.finished, "a deadline after the end");
        }
        assert!(self.finished.is_none() || out.is_empty(), "actions after Finish");
    }

    pub(super) fn check_action(&mut self, now: Instant, action: Action, out: &Actions, told: SocketAddr) {
        assert!(self.finished.is_none(), "Finish is the last action");
        match action {
            Action::SendMedia { to, bytes, .. } => {
                assert!(self.source == RtpSource::Learn || to == told, "media sent to {to}, told was {told}");
                self.check_packet(now, out.bytes(bytes));
                self.note(out.bytes(bytes));
            }
            Action::SendRealtime { bytes, .. } => {
                self.check_client_event(out.text(bytes));
                self.note(out.bytes(bytes));
            }
            Action::Ari { path, .. } => {
                let (_, place) = out.text(path).split_once("/continue").unwrap_or_default();
                let named = format!("?context={CONTEXT}&extension=1001&priority=1");
                assert!(place.is_empty() || place == named, "the caller is sent to {place}");
                assert!(self.session_updated || !out.text(path).ends_with("/answer"), "answered too early");
                self.note(out.bytes(path));
            }
            Action::Finish(outcome) => self.finished = Some(outcome),
            other => self.note(format!("{other:?}").as_bytes()),
        }
    }

    /// Sequence numbers go up by one; the timestamp is that of a 20 ms slot that no other packet was in.
    fn check_packet(&mut self, now: Instant, datagram: &[u8]) {
        let packet = Packet::parse(datagram).expect("what is sent is RTP");
        assert_eq!(packet.payload_type, self.encoding.payload_type());
        assert_eq!(packet.payload.len(), self.encoding.frame_bytes());
        if let Some((sequence, timestamp, at)) = self.last_packet {
            assert_eq!(packet.sequence, sequence.wrapping_add(1), "sequence");
            let ticks = packet.timestamp.wrapping_sub(timestamp);
            assert!(ticks > 0 && ticks % self.encoding.frame_ticks() == 0, "timestamp moved by {ticks}");
            let slots = Duration::from_millis(20) * (ticks / self.encoding.frame_ticks());
            let passed = now.since(at);
            let off = passed.max(slots) - passed.min(slots);
            assert!(off < Duration::from_millis(20), "{slots:?} of audio time in {passed:?}");
        }
        self.last_packet = Some((packet.sequence, packet.timestamp, now));
        self.packets_out += 1;
    }

    /// What the server is told was heard is more than nothing, and at most what was received and was sent.
    fn check_client_event(&mut self, text: &str) {
        let event: serde_json::Value = serde_json::from_str(text).expect("what is sent is JSON");
        check_client_event(self.dialect, &event).unwrap_or_else(|why| panic!("{why}: {text}"));
        let nested = event.pointer("/session/audio/output/format/type");
        if let Some(format) = nested.or_else(|| event.pointer("/session/output_audio_format")) {
            let is_pcm =
                format.as_str().is_some_and(|format| format.contains("pcm") && !format.ends_with(['u', 'a']));
            self.bytes_per_ms = if is_pcm { 48 } else { 8 };
        }
        if let Some(call_id) = event.pointer("/item/call_id").and_then(|id| id.as_str()) {
            assert!(self.answered_calls.insert(call_id.to_owned()), "{call_id} is answered twice");
        }
        if event["type"] == "conversation.item.truncate" {
            let heard = event["audio_end_ms"].as_u64().expect("an integer");
            let item = event["item_id"].as_str().expect("a string");
            let received = self.received_bytes.get(item).copied().unwrap_or_default() / self.bytes_per_ms;
            assert!(heard > 0 && heard <= received, "{heard} ms heard of {received} ms received");
            let sent = self.packets_out as u64 * 20;
            assert!(heard <= sent, "{heard} ms heard of {sent} ms sent");
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
