//! What is counted, and under which names.

use super::*;
use crate::call::Outcome;
use crate::observe::{ToolFault, TurnLatency, Usage};
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
        "ari_bridge_active_calls",
        "ari_bridge_call_duration_seconds_sum",
        "ari_bridge_call_duration_seconds_count",
        "ari_bridge_call_duration_seconds_bucket{le=\"+Inf\"}",
        "ari_bridge_rtp_packets_in_total",
        "ari_bridge_rtp_packets_out_total",
        "ari_bridge_openai_latency_seconds_count",
        "ari_bridge_rtp_packets_dropped_total{reason=\"stranger\"}",
        "ari_bridge_rtp_packets_lost_total",
        "ari_bridge_rtp_ssrc_changes_total",
        "ari_bridge_barge_ins_total",
        "ari_bridge_bad_input_total{what=\"audio_delta\"}",
        "ari_bridge_echoes_ignored_total",
        "ari_bridge_concealed_seconds_total",
        "ari_bridge_playout_dropped_seconds_total",
        "ari_bridge_playout_late_slots_total",
        "ari_bridge_ari_connected",
        "ari_bridge_tasks",
        "ari_bridge_rtp_port_busy_total",
        "ari_bridge_tokens_total{kind=\"audio_out\"}",
        "ari_bridge_spent_dollars_total",
        "ari_bridge_reconnects_total",
        "ari_bridge_sessions_renewed_total",
        "ari_bridge_answers_retried_total",
        "ari_bridge_dead_air_total{step=\"filler\"}",
        "ari_bridge_prompts_total{prompt=\"moment\"}",
        "ari_bridge_call_records_lost_total",
    ] {
        assert_eq!(seen.get(name), Some(&0.0), "{name} in {seen:#?}");
    }
    for status in EndReason::ALL.map(EndReason::label).into_iter().chain(Refusal::ALL.map(Refusal::label)) {
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
        Observation::SsrcChanged,
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
        ("rtp_ssrc_changes_total", 1.0),
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
fn what_sessions_cost_and_how_they_were_kept_going_is_counted() {
    let metrics = Metrics::new();
    let mut usage = Usage::default();
    usage.add(UsageKind::AudioIn, 600);
    usage.add(UsageKind::TextCached, 40);
    for observation in [
        Observation::Used { usage, cost: Some(6_002_400) },
        Observation::Used { usage, cost: None },
        Observation::Recovery(Recovery::Retry { attempt: 1, wait: Duration::ZERO }),
        Observation::Recovery(Recovery::Resumed { after: Duration::from_secs(2), items: 7 }),
        Observation::Recovery(Recovery::Renewed { items: 7 }),
        Observation::Recovery(Recovery::Renewed { items: 9 }),
        Observation::Recovery(Recovery::AnswerAgain { wait: Duration::ZERO }),
        Observation::Recovery(Recovery::DeadAir { step: DeadAirStep::Ask }),
        Observation::Recovery(Recovery::Prompt(Prompt::Sorry)),
    ] {
        metrics.observe(&observation);
    }
    let count_lost_record = metrics.count_lost_records();
    count_lost_record();
    let seen = samples(&metrics);
    for (name, expected) in [
        ("tokens_total{kind=\"audio_in\"}", 1200.0),
        ("tokens_total{kind=\"text_cached\"}", 80.0),
        ("tokens_total{kind=\"text_out\"}", 0.0),
        ("spent_dollars_total", 0.006_002_4),
        ("reconnects_total", 1.0),
        ("sessions_renewed_total", 2.0),
        ("answers_retried_total", 1.0),
        ("dead_air_total{step=\"ask\"}", 1.0),
        ("dead_air_total{step=\"filler\"}", 0.0),
        ("prompts_total{prompt=\"sorry\"}", 1.0),
        ("call_records_lost_total", 1.0),
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

#[test]
fn tasks_are_counted_while_they_live() {
    let metrics = Metrics::new();
    let tasks = [metrics.task(), metrics.task()];
    assert_eq!(samples(&metrics)["ari_bridge_tasks"], 2.0);
    drop(tasks);
    assert_eq!(samples(&metrics)["ari_bridge_tasks"], 0.0);
}
