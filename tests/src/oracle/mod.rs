//! What holds of every call, whatever happens to it: looked at after every step, in a [`world`](crate::world), where a call
//! is alone, and in a [`scene`](crate::scene), where all of the bridge is there.

mod ledger;
mod links;
mod requests;

pub(crate) use links::Links;
pub(crate) use requests::Requests;

use ari_bridge_core::call::{Action, Actions, MAX_ACTIONS_PER_STEP, Next, Outcome, Record};
use ari_bridge_core::format::{Encoding, MediaFormat};
use ari_bridge_core::id::LinkId;
use ari_bridge_core::observe::{Observation, Recovery};
use ari_bridge_core::realtime::Dialect;
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::settings::{CallSettings, Fallback, Prompt, RtpSource};
use ari_bridge_core::sim::realtime::check_client_event;
use ari_bridge_core::time::{Duration, Instant};
use core::net::SocketAddr;
use ledger::Ledger;

/// The most bytes that one step writes: one uplink fill, one frame and some requests.
const MAX_BYTES_PER_STEP: usize = 64 * 1024;

/// How long a call may take for its end once it is decided that there is no other session: a last sound, and what was to be
/// heard before it.
const PARTS_WITHIN: Duration = Duration::from_secs(12);

/// A call that was given nothing for so long stood still with its machine.
const STANDS_STILL: Duration = Duration::from_secs(2);

/// What holds of one call.
#[derive(Debug)]
pub(crate) struct Oracle {
    encoding: Encoding,
    dialect: Dialect,
    source: RtpSource,
    /// Where the caller may be sent in the dialplan: what follows `/continue`.
    places: Vec<String>,
    /// Sequence number, timestamp and time of the last packet.
    last_packet: Option<(u16, u32, Instant)>,
    packets_out: usize,
    session_updated: bool,
    links: Links,
    ledger: Ledger,
    /// An attempt to open a session was announced for this moment, and was not made yet.
    attempt_at: Option<Instant>,
    /// When the call was last told that it is late.
    timer_at: Option<Instant>,
    stepped_at: Option<Instant>,
    finished: Option<Outcome>,
    digest: u64,
}

impl Oracle {
    /// For a call with these settings.
    pub(crate) fn new(settings: &CallSettings, format: MediaFormat) -> Self {
        let named = settings
            .transfers
            .iter()
            .map(|to| format!("?context={}&extension={}&priority={}", to.context, to.extension, to.priority));
        let mut places: Vec<String> = named.collect();
        match &settings.fallback {
            Fallback::HangUp => {}
            Fallback::Dialplan(place) => {
                let mut query = Vec::new();
                query.extend(place.context.iter().map(|context| format!("context={context}")));
                query.extend(place.extension.iter().map(|extension| format!("extension={extension}")));
                query.extend(place.priority.iter().map(|priority| format!("priority={priority}")));
                let mark = if query.is_empty() { "" } else { "?" };
                places.push(format!("{mark}{}", query.join("&")));
            }
        }
        Self {
            encoding: format.to_asterisk(),
            dialect: settings.session.dialect,
            source: settings.rtp_source,
            places,
            last_packet: None,
            packets_out: 0,
            session_updated: false,
            links: Links::default(),
            ledger: Ledger::new(settings, format),
            attempt_at: None,
            timer_at: None,
            stepped_at: None,
            finished: None,
            digest: 0xcbf2_9ce4_8422_2325,
        }
    }

    pub(crate) fn finished(&self) -> Option<Outcome> {
        self.finished
    }

    pub(crate) fn packets_out(&self) -> usize {
        self.packets_out
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    pub(crate) fn realtime_up(&mut self, link: LinkId) {
        self.links.is_up(link);
    }

    pub(crate) fn realtime_down(&mut self, link: LinkId) {
        self.links.is_down(link);
    }

    /// Takes note of what a Realtime server says.
    pub(crate) fn server_said(&mut self, link: LinkId, message: &[u8]) {
        self.session_updated |= self.links.server_said(link, message);
        self.ledger.server_said(message);
    }

    pub(crate) fn check_step(&mut self, now: Instant, is_timer: bool, next: &Next, out: &Actions) {
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
        if let (Some(due), Some(timer_at)) = (self.attempt_at, self.timer_at) {
            let late = timer_at.since(due);
            assert!(late < PARTS_WITHIN, "an attempt to open a session was announced and is not made");
        }
        // Who stood still does first what lay unread.
        let stood_still = self.stepped_at.is_some_and(|at| now.since(at) > STANDS_STILL);
        self.attempt_at = self.attempt_at.map(|at| if stood_still { at.max(now) } else { at });
        self.stepped_at = Some(now);
        if is_timer {
            self.timer_at = Some(now);
        }
    }

    /// Takes note of what is told of sessions: one that is announced is opened, or the call ends.
    fn note_attempts(&mut self, now: Instant, action: Action) {
        match action {
            Action::Observe(Observation::Recovery(Recovery::Retry { wait, .. })) => {
                self.attempt_at = Some(now + wait);
            }
            // The last sound may have begun, and may be heard to its end.
            Action::Observe(Observation::Recovery(Recovery::Prompt(Prompt::Moment))) => {
                self.attempt_at = self.attempt_at.map(|at| at.max(now));
            }
            Action::OpenRealtime { .. }
            | Action::Observe(
                Observation::Ending(_)
                | Observation::Recovery(
                    Recovery::Prompt(Prompt::Goodbye) | Recovery::Renewed { .. } | Recovery::Resumed { .. },
                ),
            ) => self.attempt_at = None,
            _ => {}
        }
    }

    /// `is_told` says whether Asterisk has told that it takes this call's media there.
    pub(crate) fn check_action(
        &mut self,
        now: Instant,
        action: Action,
        out: &Actions,
        is_told: impl Fn(SocketAddr) -> bool,
    ) {
        assert!(self.finished.is_none(), "Finish is the last action");
        self.note_attempts(now, action);
        match action {
            Action::SendMedia { to, bytes, .. } => {
                assert!(
                    self.source == RtpSource::Learn || is_told(to),
                    "media sent to {to}, told was another"
                );
                self.check_packet(now, out.bytes(bytes));
                self.note(out.bytes(bytes));
            }
            Action::SendRealtime { link, bytes } => {
                self.check_client_event(link, out.text(bytes));
                self.note(out.bytes(bytes));
            }
            Action::Ari { path, .. } => {
                if let Some((_, place)) = out.text(path).split_once("/continue") {
                    let is_known = place.is_empty() || self.places.iter().any(|known| known == place);
                    assert!(is_known, "the caller is sent to {place}");
                }
                assert!(self.session_updated || !out.text(path).ends_with("/answer"), "answered too early");
                self.note(out.bytes(path));
            }
            Action::Finish(outcome) => self.finished = Some(outcome),
            other => {
                match other {
                    Action::OpenRealtime { link, .. } => self.links.open(link),
                    Action::PingRealtime { link } => self.links.ping(link),
                    Action::CloseRealtime { link, .. } => self.links.close(link),
                    Action::Observe(Observation::FormatRefused { .. }) => self.ledger.is_not_passed_on(),
                    Action::Record(Record::AgentSaid { item_id, heard_ms, received_ms, .. }) => {
                        assert!(heard_ms <= received_ms, "{heard_ms} ms heard of {received_ms} ms received");
                        self.ledger.is_recorded(out.text(item_id), heard_ms);
                    }
                    _ => {}
                }
                self.note(format!("{other:?}").as_bytes());
            }
        }
    }

    /// Sequence numbers go up by one; the timestamp is that of a 20 ms slot that no other packet was in.
    pub(crate) fn check_packet(&mut self, now: Instant, datagram: &[u8]) {
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
        self.ledger.is_sent(packet.payload);
    }

    /// What the server is told was heard is at most what was sent; the rest holds of each link.
    pub(crate) fn check_client_event(&mut self, link: LinkId, text: &str) {
        // Fifty of these come in a second, and who opens a string of a thousand letters learns nothing of them.
        if is_plain_append(text) {
            return self.links.is_written_to(link, text);
        }
        let event: serde_json::Value = serde_json::from_str(text).expect("what is sent is JSON");
        check_client_event(self.dialect, &event).unwrap_or_else(|why| panic!("{why}: {text}"));
        self.links.client_said(link, &event);
        if let Some(heard) = event["audio_end_ms"].as_u64() {
            let sent = self.packets_out as u64 * 20;
            assert!(heard <= sent, "{heard} ms heard of {sent} ms sent");
            self.ledger.is_truncated(event["item_id"].as_str().unwrap_or_default(), heard);
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// Whether a message gives the server audio, and has nothing else in it.
fn is_plain_append(text: &str) -> bool {
    let audio = text.strip_prefix(r#"{"type":"input_audio_buffer.append","audio":""#);
    let audio = audio.and_then(|rest| rest.strip_suffix(r#""}"#));
    audio
        .is_some_and(|audio| audio.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)))
}
