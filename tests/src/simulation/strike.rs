//! How a life is struck by each fault.

use super::{Life, settings};
use crate::faults::Fault;
use crate::scene::{Attempt, Way};
use ari_bridge_core::call::IoFault;
use ari_bridge_core::sim::realtime::{self as server, Answer};
use ari_bridge_core::time::Duration;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use core::net::SocketAddr;

const SECOND: Duration = Duration::from_secs(1);

/// Where a stranger's packets come from.
const STRANGER: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST), 9);

/// How attempts to reach the Realtime server go wrong for a while.
const REFUSED: [fn() -> Attempt; 8] = [
    || Attempt::http(401),
    || Attempt::http(503),
    || Attempt::Http { status: 429, retry_after: Some(Duration::from_secs(2)), body: "slow down" },
    || Attempt::Refused(IoFault::Refused),
    || Attempt::Refused(IoFault::Resolve),
    || Attempt::Hang,
    || Attempt::Silent,
    || Attempt::Mute,
];

impl Life<'_> {
    /// Sets up what goes wrong all the time.
    pub(super) fn weather_begins(&mut self) {
        let seed = u64::from(self.choices.byte()) << 8 | u64::from(self.choices.byte());
        self.scene.weather_begins(seed);
        let is_up = !self.choices.one_in(3);
        let is_down = !is_up || self.choices.one_in(2);
        let mut some = |fault, chances: [u32; 4]| {
            if self.faults.has(fault) { chances[self.choices.below(4)] } else { 0 }
        };
        let mut way = Way::default();
        way.loss = some(Fault::Loss, [5, 20, 100, 300]);
        way.burst = some(Fault::BurstLoss, [2, 5, 10, 20]);
        way.reorder = some(Fault::Reorder, [5, 20, 100, 300]);
        way.duplicate = some(Fault::Duplicate, [5, 20, 100, 500]);
        way.corrupt = some(Fault::Corruption, [5, 20, 100, 300]);
        way.jitter = Duration::from_millis(u64::from(some(Fault::Jitter, [10, 30, 60, 150])));
        way.drift = some(Fault::ClockDrift, [100, 500, 2_000, 10_000]);
        if is_up {
            *self.scene.weather_up() = way.clone();
        }
        if is_down {
            *self.scene.weather_down() = way;
        }
        let requests = self.scene.weather_of_requests();
        requests.late = some(Fault::ReplyLate, [30, 100, 300, 800]);
        requests.reply_lost = some(Fault::ReplyLost, [30, 100, 200, 400]);
        requests.lost = some(Fault::RequestLost, [30, 100, 200, 400]);
        requests.refused_4xx = some(Fault::Refused4xx, [30, 100, 200, 400]);
        requests.refused_5xx = some(Fault::Refused5xx, [30, 100, 200, 400]);
        requests.twice = some(Fault::ReplyTwice, [100, 300, 600, 1000]);
        requests.overtaken = some(Fault::Overtaken, [30, 100, 200, 400]);
        requests.queue_full = some(Fault::QueueFull, [30, 100, 200, 400]);
        if self.faults.has(Fault::EventsFirst) {
            self.scene.asterisk.faults.events_first = true;
            self.scene.tally.add(Fault::EventsFirst);
        }
        if self.faults.has(Fault::ReplyLate) {
            self.scene.asterisk.faults.reply_delay =
                Duration::from_millis([0, 20, 200, 1_500][self.choices.below(4)]);
        }
    }

    /// Lets a fault happen now that does not happen all the time.
    pub(super) fn strikes(&mut self, fault: Fault) {
        let amount = self.choices.below(4);
        let a_while = Duration::from_millis([100, 700, 3_000, 9_000][amount]);
        let has_struck = match fault {
            Fault::OneWay | Fault::NewSsrc | Fault::NewPort => {
                self.changes_a_way(fault);
                false
            }
            Fault::Stranger => {
                for _ in 0..1 + amount * 10 {
                    let packet =
                        [0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7].map(|byte: u8| byte ^ amount as u8);
                    self.scene.forge_datagram(STRANGER, &packet);
                }
                true
            }
            Fault::ClockJump => {
                self.scene.bridge_stands_still(a_while);
                false
            }
            Fault::EventsLate => {
                self.scene.events_come_late(a_while);
                true
            }
            Fault::AriReset => {
                self.scene.cut_event_socket();
                true
            }
            Fault::AriHalfOpen => self.scene.event_socket_goes_half_open(),
            Fault::AriAway if self.choices.one_in(2) => {
                self.scene.event_socket_goes_away(a_while);
                true
            }
            Fault::AriAway => {
                self.scene.ari_goes_away(a_while);
                true
            }
            Fault::AsteriskRestart if self.scene.asterisk.is_running() => {
                self.scene.asterisk_restarts(a_while);
                true
            }
            Fault::Replaced => {
                self.scene.another_client_registers();
                self.is_replaced = true;
                true
            }
            Fault::ChannelGone if self.scene.asterisk.is_running() => self.a_channel_goes(),
            Fault::ToolFails => {
                let functions = settings::failing_functions(&mut self.choices);
                self.scene.functions_become(functions);
                true
            }
            Fault::NoPort => {
                if self.choices.one_in(2) {
                    self.scene.ports_are_gone(true);
                } else {
                    self.scene.ports_are_others(amount as u16 + 1);
                }
                true
            }
            Fault::Drain if self.scene.is_running() => {
                self.scene.drain();
                true
            }
            Fault::StopNow if self.scene.is_running() => {
                self.scene.stop_now();
                true
            }
            Fault::Crash if self.scene.is_running() => {
                (self.drains, self.is_replaced) = (false, false);
                self.scene.bridge_crashes();
                // A bridge that Asterisk makes after the next run has looked is found only when that looks again, which may
                // be never: of a bridge nobody is told.
                self.scene.release_asterisk();
                self.scene.run_for(a_while);
                self.scene.bridge_starts();
                true
            }
            _ => self.strikes_realtime(fault, amount, a_while),
        };
        if has_struck {
            self.scene.tally.add(fault);
        }
    }

    fn changes_a_way(&mut self, fault: Fault) {
        let number = self.choices.byte();
        let is_up = self.choices.one_in(2) || fault != Fault::OneWay;
        let way = if is_up { self.scene.weather_up() } else { self.scene.weather_down() };
        match fault {
            Fault::OneWay => way.mute = !way.mute,
            Fault::NewSsrc => way.ssrc = u32::from(number) << 8 | 1,
            _ => way.port = u16::from(number) * 2 + 1,
        }
    }

    /// Somebody else removes a channel or a bridge of ours, or of a caller.
    fn a_channel_goes(&mut self) -> bool {
        let ids: Vec<String> = self.scene.asterisk.ids().map(str::to_owned).collect();
        let Some(id) = ids.get(self.choices.below(ids.len().min(256))) else { return false };
        let _ = self.scene.ask_asterisk("DELETE", &format!("/ari/channels/{id}"));
        let _ = self.scene.ask_asterisk("DELETE", &format!("/ari/bridges/{id}"));
        true
    }

    fn strikes_realtime(&mut self, fault: Fault, amount: usize, a_while: Duration) -> bool {
        let has_link = !self.scene.links_open().is_empty();
        match fault {
            Fault::RealtimeRefused => {
                self.scene.realtime_becomes(REFUSED[self.choices.below(REFUSED.len())]);
                if self.choices.one_in(2) {
                    self.scene.cut_realtime(IoFault::Reset);
                }
                true
            }
            Fault::RealtimeReset if has_link && self.choices.one_in(3) => {
                let faults = [IoFault::Reset, IoFault::TimedOut, IoFault::Protocol, IoFault::Other];
                self.scene.cut_realtime(faults[amount]);
                true
            }
            Fault::RealtimeReset if has_link => {
                let bytes = usize::from(self.choices.byte()) * [1, 7, 31, 255][amount];
                self.scene.cut_realtime_at_byte(bytes);
                true
            }
            Fault::RealtimeVanished => {
                self.scene.realtime_vanishes(a_while);
                true
            }
            Fault::RealtimeError if has_link => {
                let codes = [None, Some("server_error"), Some("invalid_value"), Some("session_expired")];
                let code = codes[amount].map(str::to_owned);
                self.scene.realtime_fails(&server::Fault::Error { kind: "server_error".into(), code });
                true
            }
            Fault::RateLimit if has_link => {
                let answer = Answer::RateLimited { reset: a_while };
                self.scene.realtime_fails(&server::Fault::Answer(answer));
                true
            }
            Fault::ResponseRefused if has_link => {
                let answer = [
                    Answer::Failure { code: "server_error".into() },
                    Answer::Nothing,
                    Answer::Incomplete { speech: None, reason: "content_filter".into() },
                    Answer::Failure { code: "inappropriate".into() },
                ];
                self.scene.realtime_fails(&server::Fault::Answer(answer[amount].clone()));
                true
            }
            Fault::DeltaAfterCancel => self.a_cancelled_item_goes_on(),
            Fault::HugeDelta if has_link => {
                // More than may wait, once in a life.
                let seconds =
                    if amount == 3 && !core::mem::replace(&mut self.was_huge, true) { 310 } else { 20 };
                let item = format!("item_huge_{}", self.story.len());
                self.forges_delta(&item, 0xB0 + self.story.len() as u8 % 32, seconds * 8_000);
                true
            }
            Fault::UnknownEvent if has_link => {
                let texts: [&[u8]; 4] = [
                    br#"{"type":"response.image.delta","delta":"AAAA"}"#,
                    br#"{"type":"session.paused","session":{"id":7}}"#,
                    b"not JSON at all",
                    br#"{"type":["response.done"],"response":null}"#,
                ];
                self.scene.forge_message(texts[amount]);
                true
            }
            Fault::Expiry if has_link => {
                self.scene.realtime_fails(&server::Fault::Expired);
                true
            }
            Fault::RealtimeSilent if has_link && self.choices.one_in(2) => {
                self.scene.realtime_falls_mute();
                true
            }
            Fault::RealtimeSilent if has_link => {
                self.scene.realtime_falls_silent();
                true
            }
            Fault::SlowReading if has_link => {
                self.scene.realtime_falls_mute();
                self.scene.run_for(a_while.min(2 * SECOND));
                self.scene.cut_realtime(IoFault::Backlog);
                true
            }
            _ => false,
        }
    }

    /// More audio of the item that was truncated last.
    fn a_cancelled_item_goes_on(&mut self) -> bool {
        let truncated = self.scene.sent("conversation.item.truncate");
        let Some(item) = truncated.last().and_then(|event| event["item_id"].as_str()) else { return false };
        self.forges_delta(item, 0x55, 4_000);
        true
    }

    fn forges_delta(&mut self, item: &str, byte: u8, length: usize) {
        let delta = BASE64_STANDARD.encode(vec![byte; length]);
        let kind = r#""type":"response.output_audio.delta","response_id":"resp_forged","content_index":0"#;
        self.scene.forge_message(format!(r#"{{{kind},"item_id":"{item}","delta":"{delta}"}}"#).as_bytes());
    }
}
