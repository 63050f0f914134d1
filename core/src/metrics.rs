//! Observations become counters, and counters become text for Prometheus.

mod captures;

pub use captures::{CaptureLoss, Captures};

use crate::call::EndReason;
use crate::observe::{BadInput, Guard, Observation, Recovery, Refusal, RtpDrop, Upkeep, UsageKind};
use crate::outcome::PANICKED;
use crate::settings::{DeadAirStep, Prompt};
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
    rtp_ssrc_changes: Counter,
    rtp_dropped: Dropped,
    port_busy: Counter,
    bad_input: Family<Labels, Counter>,
    concealed: Counter<f64, AtomicU64>,
    barge_ins: Counter,
    echoes: Counter,
    keys: Counter,
    tools: Family<Labels, Counter>,
    tokens: Family<Labels, Counter>,
    spent: Counter<f64, AtomicU64>,
    reconnects: Counter,
    sessions_renewed: Counter,
    answers_retried: Counter,
    dead_air: Family<Labels, Counter>,
    prompts: Family<Labels, Counter>,
    records_lost: Counter,
    captures: Captures,
    late_slots: Counter,
    playout_dropped: Counter<f64, AtomicU64>,
    ari_connected: Gauge,
    adopted: Counter,
    orphans: Counter,
    restarts: Counter,
    breaker_open: Gauge,
    tasks: Gauge,
}

/// A task of the runtime, counted as long as this lives.
#[derive(Debug)]
pub struct Task(Gauge);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.dec();
    }
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
            rtp_ssrc_changes: Counter::default(),
            rtp_dropped: Dropped::new(&dropped),
            port_busy: Counter::default(),
            bad_input: Family::default(),
            concealed: Counter::default(),
            barge_ins: Counter::default(),
            echoes: Counter::default(),
            keys: Counter::default(),
            tools: Family::default(),
            tokens: Family::default(),
            spent: Counter::default(),
            reconnects: Counter::default(),
            sessions_renewed: Counter::default(),
            answers_retried: Counter::default(),
            dead_air: Family::default(),
            prompts: Family::default(),
            records_lost: Counter::default(),
            captures: Captures::new(),
            late_slots: Counter::default(),
            playout_dropped: Counter::default(),
            ari_connected: Gauge::default(),
            adopted: Counter::default(),
            orphans: Counter::default(),
            restarts: Counter::default(),
            breaker_open: Gauge::default(),
            tasks: Gauge::default(),
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
        for kind in UsageKind::ALL.map(UsageKind::name) {
            drop(metrics.tokens.get_or_create(&[("kind", kind)]));
        }
        for step in DeadAirStep::ALL.map(DeadAirStep::name) {
            drop(metrics.dead_air.get_or_create(&[("step", step)]));
        }
        for prompt in Prompt::ALL.map(Prompt::name) {
            drop(metrics.prompts.get_or_create(&[("prompt", prompt)]));
        }
        metrics.registered(dropped)
    }

    /// Names them. The encoder adds `_total` to the name of a counter, and a full stop to the help.
    fn registered(mut self, dropped: Family<Labels, Counter>) -> Self {
        self.register_sessions();
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
        r.register(
            "rtp_ssrc_changes",
            "Times that the packets of a call came with another SSRC than before",
            self.rtp_ssrc_changes.clone(),
        );
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
            "calls_adopted",
            "Callers who were found waiting for a call that is lost, and were taken on",
            self.adopted.clone(),
        );
        r.register(
            "orphans",
            "Channels and bridges of ours that no call owned and that were removed",
            self.orphans.clone(),
        );
        r.register("asterisk_restarts", "Times that Asterisk was found restarted", self.restarts.clone());
        r.register(
            "breaker_open",
            "1 while new calls are refused because the Realtime side has failed for those before them",
            self.breaker_open.clone(),
        );
        r.register(
            "tasks",
            "Tasks of the runtime under way: calls, and what they leave to do",
            self.tasks.clone(),
        );
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        r.register("build", "The version of the bridge", version);
        self
    }

    /// Names what is counted about Realtime sessions and their cost.
    fn register_sessions(&mut self) {
        let r = &mut self.registry;
        r.register("tokens", "Tokens that answers have used up", self.tokens.clone());
        r.register(
            "spent_dollars",
            "What those cost in US dollars, as far as prices are known: an estimate",
            self.spent.clone(),
        );
        r.register(
            "reconnects",
            "Conversations that went on in a new session after theirs was lost",
            self.reconnects.clone(),
        );
        r.register(
            "sessions_renewed",
            "Conversations that went on in a new session before theirs expired",
            self.sessions_renewed.clone(),
        );
        r.register(
            "answers_retried",
            "Answers that failed and were asked for again",
            self.answers_retried.clone(),
        );
        r.register(
            "dead_air",
            "Times that nothing followed what a caller said, by what was done about it",
            self.dead_air.clone(),
        );
        r.register("prompts", "Sounds of the bridge's own that callers heard", self.prompts.clone());
        r.register(
            "call_records_lost",
            "Records of calls that could not be written to CALL_RECORD_DIR",
            self.records_lost.clone(),
        );
        self.captures.register(r);
    }

    fn upkeep(&self, upkeep: &Upkeep) {
        match upkeep {
            Upkeep::Adopted => bump(&self.adopted, 1),
            Upkeep::AsteriskRestarted { .. } => bump(&self.restarts, 1),
            Upkeep::LinkSilent
            | Upkeep::Resynced { .. }
            | Upkeep::ResyncAgain { .. }
            | Upkeep::Draining { .. }
            | Upkeep::DrainOver { .. }
            | Upkeep::GaveUp { .. } => {}
        }
    }

    /// Counts what a call or the switchboard told.
    pub fn observe(&self, observation: &Observation) {
        match *observation {
            Observation::RtpIn => bump(&self.rtp_in, 1),
            Observation::RtpOut => bump(&self.rtp_out, 1),
            Observation::RtpDropped(why) => bump(self.rtp_dropped.of(why), 1),
            Observation::RtpLost { packets } => bump(&self.rtp_lost, packets),
            Observation::SsrcChanged => bump(&self.rtp_ssrc_changes, 1),
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
            Observation::Used { usage, cost } => {
                for kind in UsageKind::ALL {
                    self.tokens.get_or_create(&[("kind", kind.name())]).inc_by(usage.of(kind));
                }
                self.spent.inc_by(cost.unwrap_or(0) as f64 / 1e9);
            }
            Observation::Recovery(recovery) => self.recovery(&recovery),
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
            Observation::AriDown { .. } | Observation::AppReplaced => {
                self.ari_connected.set(0);
            }
            Observation::Guard(Guard::BreakerOpened { .. }) => {
                self.breaker_open.set(1);
            }
            Observation::Upkeep(upkeep) => self.upkeep(&upkeep),
            Observation::Orphan => bump(&self.orphans, 1),
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
            | Observation::NotACaller => {}
        }
    }

    /// Counts a media port that could not be bound because another process has it.
    pub fn port_busy(&self) {
        bump(&self.port_busy, 1);
    }

    /// What counts the record of a call that could not be written. It is made for another thread.
    pub fn count_lost_records(&self) -> impl Fn() + Send + Sync + 'static {
        let records_lost = self.records_lost.clone();
        move || bump(&records_lost, 1)
    }

    /// What counts captures. It is made for other threads.
    #[must_use]
    pub fn captures(&self) -> Captures {
        self.captures.clone()
    }

    /// Counts a task that begins.
    #[must_use]
    pub fn task(&self) -> Task {
        self.tasks.inc();
        Task(self.tasks.clone())
    }

    /// The text of `/metrics`, in the format of [`CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn recovery(&self, recovery: &Recovery) {
        match recovery {
            Recovery::Resumed { .. } => bump(&self.reconnects, 1),
            Recovery::Renewed { .. } => bump(&self.sessions_renewed, 1),
            Recovery::AnswerAgain { .. } => bump(&self.answers_retried, 1),
            Recovery::DeadAir { step } => bump(&self.dead_air.get_or_create(&[("step", step.name())]), 1),
            Recovery::Prompt(prompt) => bump(&self.prompts.get_or_create(&[("prompt", prompt.name())]), 1),
            Recovery::Retry { .. }
            | Recovery::Expires { .. }
            | Recovery::Delivered { .. }
            | Recovery::Dropped { .. }
            | Recovery::AnswerGivenUp => {}
        }
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
mod tests;
