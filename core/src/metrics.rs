//! Observations become counters, and counters become text for Prometheus.

use crate::call::EndReason;
use crate::observe::{BadInput, Guard, Observation, Refusal, RtpDrop};
use crate::switchboard::PANICKED;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

/// The media type of what [`Metrics::encode`] gives (OpenMetrics 1.0 §"Text format").
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The upper bounds of the buckets for the length of a call, in seconds.
const DURATION_BUCKETS: [f64; 11] = [1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0];

/// The upper bounds of the buckets for the wait until the agent answers, in seconds: fine where a caller
/// begins to notice.
const LATENCY_BUCKETS: [f64; 13] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0];

type Labels = [(&'static str, &'static str); 1];

/// What is counted about all calls of a process. It is shared by reference: everything in it is atomic.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<Labels, Counter>,
    active: Gauge,
    duration: Histogram,
    latency: Histogram,
    begun: Histogram,
    first_delta: Histogram,
    rtp_in: Counter,
    rtp_out: Counter,
    rtp_lost: Counter,
    rtp_dropped: Dropped,
    port_busy: Counter,
    bad_input: Family<Labels, Counter>,
    concealed: Counter<f64, AtomicU64>,
    barge_ins: Counter,
    echoes: Counter,
    keys: Counter,
    tools: Family<Labels, Counter>,
    late_slots: Counter,
    playout_dropped: Counter<f64, AtomicU64>,
    ari_connected: Gauge,
    breaker_open: Gauge,
}

/// A counter for each reason: looking one up in a family takes a lock, and a flood of bad packets should not
/// have calls wait for each other.
#[derive(Debug)]
struct Dropped {
    malformed: Counter,
    stranger: Counter,
    payload_type: Counter,
    duplicate: Counter,
    late: Counter,
    early: Counter,
    held: Counter,
    flood: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let dropped = Family::<Labels, Counter>::default();
        let metrics = Self {
            registry: Registry::with_prefix("ari_bridge"),
            calls: Family::default(),
            active: Gauge::default(),
            duration: Histogram::new(DURATION_BUCKETS),
            latency: Histogram::new(LATENCY_BUCKETS),
            begun: Histogram::new(LATENCY_BUCKETS),
            first_delta: Histogram::new(LATENCY_BUCKETS),
            rtp_in: Counter::default(),
            rtp_out: Counter::default(),
            rtp_lost: Counter::default(),
            rtp_dropped: Dropped::new(&dropped),
            port_busy: Counter::default(),
            bad_input: Family::default(),
            concealed: Counter::default(),
            barge_ins: Counter::default(),
            echoes: Counter::default(),
            keys: Counter::default(),
            tools: Family::default(),
            late_slots: Counter::default(),
            playout_dropped: Counter::default(),
            ari_connected: Gauge::default(),
            breaker_open: Gauge::default(),
        };
        // Every status is there with a zero before it first happens: Prometheus does not see an increase from
        // nothing to one.
        let refused = Refusal::ALL.map(Refusal::label);
        for status in EndReason::ALL.map(EndReason::label).into_iter().chain(refused).chain([PANICKED]) {
            drop(metrics.calls.get_or_create(&[("status", status)]));
        }
        for what in ["called", "done", "failed", "refused"] {
            drop(metrics.tools.get_or_create(&[("what", what)]));
        }
        for what in BadInput::ALL.map(BadInput::label) {
            drop(metrics.bad_input.get_or_create(&[("what", what)]));
        }
        metrics.registered(dropped)
    }

    /// Names them. The encoder adds `_total` to the name of a counter, and a full stop to the help.
    fn registered(mut self, dropped: Family<Labels, Counter>) -> Self {
        let r = &mut self.registry;
        r.register("calls", "Calls that are over, by how they ended", self.calls.clone());
        r.register("active_calls", "Calls under way", self.active.clone());
        r.register(
            "call_duration_seconds",
            "From StasisStart until the end was decided",
            self.duration.clone(),
        );
        r.register(
            "openai_latency_seconds",
            "From the end of the caller's turn to the first audio of the answer",
            self.latency.clone(),
        );
        r.register(
            "openai_begun_seconds",
            "From the end of the caller's turn until the server began the answer",
            self.begun.clone(),
        );
        r.register(
            "openai_first_delta_seconds",
            "From the end of the caller's turn until the first audio of the answer came",
            self.first_delta.clone(),
        );
        r.register("rtp_packets_in", "Packets from Asterisk that were used", self.rtp_in.clone());
        r.register("rtp_packets_out", "Packets sent to Asterisk", self.rtp_out.clone());
        r.register("rtp_packets_lost", "Packets of callers that never came", self.rtp_lost.clone());
        r.register("rtp_packets_dropped", "Datagrams that came and were not used", dropped);
        r.register("rtp_port_busy", "Media ports that another process was found on", self.port_busy.clone());
        r.register(
            "concealed_seconds",
            "Audio of callers that was missing and was made up",
            self.concealed.clone(),
        );
        r.register("bad_input", "What a peer sent that could not be read", self.bad_input.clone());
        r.register(
            "echoes_ignored",
            "Turns that were found to be the agent's own voice (BARGE_IN=guarded)",
            self.echoes.clone(),
        );
        r.register(
            "playout_dropped_seconds",
            "Audio of the agent that exceeded what a call may hold",
            self.playout_dropped.clone(),
        );
        r.register(
            "keys",
            "Keys that callers have pressed, but for those that act by themselves",
            self.keys.clone(),
        );
        r.register("tools", "Functions that models called, by what became of it", self.tools.clone());
        r.register("barge_ins", "Times that a caller interrupted the agent", self.barge_ins.clone());
        r.register(
            "playout_late_slots",
            "Slots of 20 ms in which a frame was due and none was sent, because the bridge was late",
            self.late_slots.clone(),
        );
        r.register("ari_connected", "1 while the ARI event socket is open", self.ari_connected.clone());
        r.register(
            "breaker_open",
            "1 while new calls are refused because the Realtime side has failed for those before them",
            self.breaker_open.clone(),
        );
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        r.register("build", "The version of the bridge", version);
        self
    }

    /// Counts what a call or the switchboard told.
    pub fn observe(&self, observation: &Observation) {
        match *observation {
            Observation::RtpIn => bump(&self.rtp_in, 1),
            Observation::RtpOut => bump(&self.rtp_out, 1),
            Observation::RtpDropped(why) => bump(self.rtp_dropped.of(why), 1),
            Observation::RtpLost { packets } => bump(&self.rtp_lost, packets),
            Observation::Concealed { millis } => {
                self.concealed.inc_by(f64::from(millis) / 1000.0);
            }
            Observation::PlayoutLate { slots } => bump(&self.late_slots, slots),
            Observation::PlayoutFull { dropped_ms } => {
                self.playout_dropped.inc_by(dropped_ms as f64 / 1000.0);
            }
            Observation::BadInput(what) => bump(&self.bad_input.get_or_create(&[("what", what.label())]), 1),
            Observation::BargeIn { .. } => bump(&self.barge_ins, 1),
            Observation::EchoIgnored => bump(&self.echoes, 1),
            Observation::KeyedIn { keys } => bump(&self.keys, u32::try_from(keys).unwrap_or(u32::MAX)),
            Observation::ToolCalled { .. } => self.tool("called"),
            Observation::ToolDone { .. } => self.tool("done"),
            Observation::ToolFailed { .. } => self.tool("failed"),
            Observation::ToolRefused { .. } => self.tool("refused"),
            Observation::FirstAudio(latency) => {
                self.latency.observe(latency.first_packet.as_secs_f64());
                self.first_delta.observe(latency.first_delta.as_secs_f64());
                if let Some(created) = latency.created {
                    self.begun.observe(created.as_secs_f64());
                }
            }
            Observation::CallStarted => {
                self.active.inc();
            }
            Observation::CallEnded(outcome) => {
                self.active.dec();
                self.duration.observe(outcome.duration.as_secs_f64());
                self.call(outcome.ended.label());
            }
            Observation::CallPanicked => {
                self.active.dec();
                self.call(PANICKED);
            }
            Observation::CallRefused(why) => self.call(why.label()),
            Observation::AriUp => {
                self.ari_connected.set(1);
            }
            Observation::AriDown { .. } => {
                self.ari_connected.set(0);
            }
            Observation::Guard(Guard::BreakerOpened { .. }) => {
                self.breaker_open.set(1);
            }
            Observation::Guard(Guard::BreakerClosed) => {
                self.breaker_open.set(0);
            }
            Observation::Guard(Guard::BreakerProbe | Guard::CostWarning { .. } | Guard::CostReached)
            | Observation::MediaReady { .. }
            | Observation::SessionReady { .. }
            | Observation::Answered { .. }
            | Observation::RtpDropBegan(_)
            | Observation::SpeechStarted
            | Observation::SpeechStopped
            | Observation::ResponseDone { .. }
            | Observation::Used { .. }
            | Observation::Recovery(_)
            | Observation::PlayoutFullBegan
            | Observation::HotKey
            | Observation::StaysOnTheLine
            | Observation::Mcp(_)
            | Observation::TranscriptFailed { .. }
            | Observation::CallerIdle
            | Observation::FormatRefused { .. }
            | Observation::Held { .. }
            | Observation::BadInputBegan(_)
            | Observation::RealtimeError { .. }
            | Observation::RealtimeDown { .. }
            | Observation::AriRefused { .. }
            | Observation::AriNoReply { .. }
            | Observation::MediaDown { .. }
            | Observation::Ending(_)
            | Observation::LeftBehind
            | Observation::AppReplaced
            | Observation::NotACaller
            | Observation::Orphan => {}
        }
    }

    /// Counts a media port that could not be bound because another process has it.
    pub fn port_busy(&self) {
        bump(&self.port_busy, 1);
    }

    /// The text of `/metrics`, in the format of [`CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn tool(&self, what: &'static str) {
        bump(&self.tools.get_or_create(&[("what", what)]), 1);
    }

    fn call(&self, status: &'static str) {
        bump(&self.calls.get_or_create(&[("status", status)]), 1);
    }
}

impl Dropped {
    fn new(family: &Family<Labels, Counter>) -> Self {
        let counter = |why: RtpDrop| family.get_or_create_owned(&[("reason", why.label())]);
        Self {
            malformed: counter(RtpDrop::Malformed),
            stranger: counter(RtpDrop::Stranger),
            payload_type: counter(RtpDrop::PayloadType),
            duplicate: counter(RtpDrop::Duplicate),
            late: counter(RtpDrop::Late),
            early: counter(RtpDrop::Early),
            held: counter(RtpDrop::Held),
            flood: counter(RtpDrop::Flood),
        }
    }

    const fn of(&self, why: RtpDrop) -> &Counter {
        match why {
            RtpDrop::Malformed => &self.malformed,
            RtpDrop::Stranger => &self.stranger,
            RtpDrop::PayloadType => &self.payload_type,
            RtpDrop::Duplicate => &self.duplicate,
            RtpDrop::Late => &self.late,
            RtpDrop::Early => &self.early,
            RtpDrop::Held => &self.held,
            RtpDrop::Flood => &self.flood,
        }
    }
}

fn bump(counter: &Counter, by: u32) {
    counter.inc_by(u64::from(by));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Outcome;
    use crate::observe::{ToolFault, TurnLatency};
    use crate::time::Duration;
    use std::collections::BTreeMap;

    /// The samples of the text, by name and labels. Reading fails on a line that is not of the format.
    fn samples(metrics: &Metrics) -> BTreeMap<String, f64> {
        let text = metrics.encode();
        let lines = text.strip_suffix("# EOF\n").expect("OpenMetrics ends with # EOF").lines();
        lines
            .filter(|line| !line.starts_with("# "))
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').unwrap();
                (name.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    fn ended(ended: EndReason, seconds: u64) -> Observation {
        let duration = Duration::from_secs(seconds);
        Observation::CallEnded(Outcome { ended, answered: true, duration, left_behind: false })
    }

    #[test]
    fn every_name_is_there_before_anything_happened() {
        let seen = samples(&Metrics::new());
        for name in [
            "ari_bridge_calls_total{status=\"caller_hung_up\"}",
            "ari_bridge_calls_total{status=\"refused_too_many_calls\"}",
            "ari_bridge_calls_total{status=\"panicked\"}",
            "ari_bridge_breaker_open",
            "ari_bridge_active_calls",
            "ari_bridge_call_duration_seconds_sum",
            "ari_bridge_call_duration_seconds_count",
            "ari_bridge_call_duration_seconds_bucket{le=\"+Inf\"}",
            "ari_bridge_rtp_packets_in_total",
            "ari_bridge_rtp_packets_out_total",
            "ari_bridge_openai_latency_seconds_count",
            "ari_bridge_rtp_packets_dropped_total{reason=\"stranger\"}",
            "ari_bridge_rtp_packets_lost_total",
            "ari_bridge_barge_ins_total",
            "ari_bridge_bad_input_total{what=\"audio_delta\"}",
            "ari_bridge_echoes_ignored_total",
            "ari_bridge_concealed_seconds_total",
            "ari_bridge_playout_dropped_seconds_total",
            "ari_bridge_playout_late_slots_total",
            "ari_bridge_ari_connected",
            "ari_bridge_rtp_port_busy_total",
        ] {
            assert_eq!(seen.get(name), Some(&0.0), "{name} in {seen:#?}");
        }
        for status in EndReason::ALL.map(EndReason::label).into_iter().chain(Refusal::ALL.map(Refusal::label))
        {
            let name = format!("ari_bridge_calls_total{{status=\"{status}\"}}");
            assert_eq!(seen.get(&name), Some(&0.0), "{name}");
        }
        let build = format!("ari_bridge_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        assert_eq!(seen.get(&build), Some(&1.0));
    }

    #[test]
    fn a_call_is_active_from_start_to_end_and_counted_by_how_it_ended() {
        let metrics = Metrics::new();
        let active = || samples(&metrics)["ari_bridge_active_calls"];
        for _ in 0..3 {
            metrics.observe(&Observation::CallStarted);
        }
        assert_eq!(active(), 3.0);
        metrics.observe(&ended(EndReason::CallerHungUp, 42));
        metrics.observe(&ended(EndReason::RealtimeLost, 4));
        metrics.observe(&Observation::CallPanicked);
        metrics.observe(&Observation::CallRefused(Refusal::Stopping));
        let seen = samples(&metrics);
        assert_eq!(active(), 0.0);
        for status in ["caller_hung_up", "realtime_lost", "panicked", "refused_stopping"] {
            assert_eq!(seen[&format!("ari_bridge_calls_total{{status=\"{status}\"}}")], 1.0, "{status}");
        }
        assert_eq!(seen["ari_bridge_call_duration_seconds_sum"], 46.0);
        assert_eq!(seen["ari_bridge_call_duration_seconds_bucket{le=\"5.0\"}"], 1.0);
        assert_eq!(seen["ari_bridge_call_duration_seconds_bucket{le=\"60.0\"}"], 2.0);
    }

    #[test]
    fn packets_and_turns_are_counted() {
        let metrics = Metrics::new();
        for observation in [
            Observation::RtpIn,
            Observation::RtpIn,
            Observation::RtpOut,
            Observation::RtpDropped(RtpDrop::PayloadType),
            Observation::RtpDropBegan(RtpDrop::PayloadType),
            Observation::RtpLost { packets: 7 },
            Observation::PlayoutLate { slots: 3 },
            Observation::BargeIn { heard_ms: 100, dropped_ms: 900 },
            Observation::EchoIgnored,
            Observation::KeyedIn { keys: 4 },
            Observation::ToolRefused { why: ToolFault::Unknown },
            Observation::Concealed { millis: 250 },
            Observation::BadInput(BadInput::AudioDelta),
            Observation::BadInputBegan(BadInput::AudioDelta),
            Observation::PlayoutFull { dropped_ms: 1500 },
            Observation::PlayoutFullBegan,
            Observation::FirstAudio(TurnLatency {
                created: None,
                first_delta: Duration::from_millis(430),
                first_packet: Duration::from_millis(450),
            }),
        ] {
            metrics.observe(&observation);
        }
        metrics.port_busy();
        let seen = samples(&metrics);
        for (name, expected) in [
            ("rtp_packets_in_total", 2.0),
            ("rtp_packets_out_total", 1.0),
            ("rtp_packets_dropped_total{reason=\"payload_type\"}", 1.0),
            ("rtp_packets_dropped_total{reason=\"late\"}", 0.0),
            ("rtp_packets_lost_total", 7.0),
            ("playout_late_slots_total", 3.0),
            ("barge_ins_total", 1.0),
            ("echoes_ignored_total", 1.0),
            ("keys_total", 4.0),
            ("tools_total{what=\"refused\"}", 1.0),
            ("tools_total{what=\"called\"}", 0.0),
            ("concealed_seconds_total", 0.25),
            ("bad_input_total{what=\"audio_delta\"}", 1.0),
            ("playout_dropped_seconds_total", 1.5),
            ("rtp_port_busy_total", 1.0),
            ("openai_latency_seconds_sum", 0.45),
            ("openai_first_delta_seconds_sum", 0.43),
            ("openai_begun_seconds_count", 0.0),
            ("openai_latency_seconds_bucket{le=\"0.4\"}", 0.0),
            ("openai_latency_seconds_bucket{le=\"0.5\"}", 1.0),
        ] {
            assert_eq!(seen[&format!("ari_bridge_{name}")], expected, "{name}");
        }
    }

    #[test]
    fn the_link_to_asterisk_shows() {
        let metrics = Metrics::new();
        let connected = || samples(&metrics)["ari_bridge_ari_connected"];
        metrics.observe(&Observation::AriUp);
        assert_eq!(connected(), 1.0);
        let retry_in = Duration::from_secs(1);
        metrics.observe(&Observation::AriDown { http_status: None, fault: None, retry_in });
        assert_eq!(connected(), 0.0);
    }
    #[test]
    fn an_open_breaker_shows_until_it_closes() {
        let metrics = Metrics::new();
        let shown = |guard| {
            metrics.observe(&Observation::Guard(guard));
            samples(&metrics)["ari_bridge_breaker_open"]
        };
        assert_eq!(shown(Guard::BreakerOpened { calls: 3 }), 1.0);
        assert_eq!(shown(Guard::BreakerProbe), 1.0, "nobody knows yet");
        assert_eq!(shown(Guard::BreakerClosed), 0.0);
    }
}
