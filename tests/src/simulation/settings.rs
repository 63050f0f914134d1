//! How an operator may have set up the bridge of a life.

use crate::choices::Choices;
use crate::generators;
use crate::scene::{Performance, Stage};
use crate::world::{look_up, operator};
use ari_bridge_core::call::IoFault;
use ari_bridge_core::format::{MediaFormat, ModelFormat};
use ari_bridge_core::settings::{
    BargeIn, Breaker, CallSettings, DeadAir, Dialect, FailedAnswer, Fallback, Keys, MediaPlan, Place, Prices,
    Prompt, Prompts, Recovery, Resume, RtpSource, SessionSettings, TurnDetection,
};
use ari_bridge_core::sim::realtime as server;
use ari_bridge_core::time::Duration;
use std::sync::Arc;

/// What a million tokens cost, in millionths of a dollar.
const PRICES: Prices = Prices {
    text_in: 600_000,
    text_cached: 60_000,
    text_out: 2_400_000,
    audio_in: 10_000_000,
    audio_cached: 300_000,
    audio_out: 20_000_000,
};

/// A stage for one life. Mostly the line and the model speak the same G.711, where an oracle can hear what is heard.
pub(super) fn stage(choices: &mut Choices<'_>, g711: bool) -> Stage {
    let (format, audio_format) = match choices.below(if g711 { 13 } else { 16 }) {
        0..=10 => (MediaFormat::Ulaw, ModelFormat::Pcmu),
        11 => (MediaFormat::Alaw, ModelFormat::Pcma),
        12 => (MediaFormat::Alaw, ModelFormat::Pcmu),
        13 => (MediaFormat::Ulaw, ModelFormat::Pcm24),
        14 => (MediaFormat::G722, ModelFormat::Pcm24),
        _ => (MediaFormat::Slin16, ModelFormat::Pcm24),
    };
    let call = call(choices, audio_format);
    let mut stage = Stage {
        call,
        media: MediaPlan { format, ..MediaPlan::default() },
        max_calls: [10, 10, 2, 1][choices.below(4)],
        ports: [101, 101, 4, 1][choices.below(4)],
        adopt: !choices.one_in(4),
        drain: Duration::from_secs([60, 5, 1, 0][choices.below(4)]),
        server: server::Settings {
            speed: [4, 4, 16, 1][choices.below(4)],
            latency: Duration::from_millis([100, 100, 400, 1_500][choices.below(4)]),
            session_limit: Duration::from_secs([3600, 3600, 3600, 200][choices.below(4)]),
            ..server::Settings::default()
        },
        server_lag: Duration::from_millis([0, 0, 30, 200][choices.below(4)]),
        safety: choices.one_in(4),
        breaker: [Some(Breaker::default()), None, Some(Breaker { calls: 1, wait: Duration::from_secs(2) })]
            [choices.below(3)],
        max_cost_per_day: choices.one_in(6).then_some(2_000),
        functions: functions(choices),
        ..Stage::default()
    };
    stage.asterisk.phones_send_silence = choices.one_in(2);
    stage.asterisk.is_quick = true;
    stage
}

fn functions(choices: &mut Choices<'_>) -> Vec<Performance> {
    let after = Duration::from_millis([50, 50, 700, 3_000][choices.below(4)]);
    vec![Performance { name: "look_up", after, reply: Ok((200, r#"{"found":1}"#)) }]
}

/// The functions of a life whose tools fail.
pub(super) fn failing_functions(choices: &mut Choices<'_>) -> Vec<Performance> {
    let after = Duration::from_millis([50, 700, 3_000, 60_000][choices.below(4)]);
    let reply = match choices.below(4) {
        0 => Err(IoFault::Refused),
        1 => Err(IoFault::TimedOut),
        2 => Ok((500, "out of order")),
        _ => Ok((404, "")),
    };
    vec![Performance { name: "look_up", after, reply }]
}

fn call(choices: &mut Choices<'_>, audio_format: ModelFormat) -> CallSettings {
    CallSettings {
        rtp_source: if choices.one_in(3) { RtpSource::Learn } else { RtpSource::Strict },
        volume_boost: if choices.one_in(3) { 2.5 } else { 1.0 },
        cushion: Duration::from_millis(if choices.one_in(4) { 0 } else { 40 }),
        barge_in: BargeIn::ALL[choices.below(3)],
        echo_canceller: choices.one_in(64) && choices.one_in(4),
        idle: choices.one_in(6).then(|| Duration::from_secs(3)),
        max_call: Duration::from_secs(if choices.one_in(8) { 6 } else { 3600 }),
        transfers: vec![operator()],
        fallback: match choices.below(4) {
            0 => Fallback::HangUp,
            1 => Fallback::Dialplan(Place { context: Some("failed".to_owned()), ..Place::default() }),
            _ => Fallback::default(),
        },
        recovery: Recovery {
            resume: Resume::ALL[choices.below(3)],
            retry_for: Duration::from_secs([20, 20, 3, 0][choices.below(4)]),
            ..Recovery::default()
        },
        dead_air: DeadAir {
            after: [Some(5_000), Some(5_000), Some(1_000), None][choices.below(4)].map(Duration::from_millis),
            ..DeadAir::default()
        },
        failed_answer: FailedAnswer::ALL[choices.below(2)],
        keys: Keys { hot: vec![('0', 0)], ..Keys::default() },
        prompts: own_prompts(if choices.one_in(4) { 2_400 } else { 9_600 }),
        prices: choices.one_in(3).then_some(PRICES),
        session: session(choices, audio_format),
        ..CallSettings::default()
    }
}

/// What a session is asked for: mostly little, now and then anything that it can be, but for how turns are found.
fn session(choices: &mut Choices<'_>, audio_format: ModelFormat) -> SessionSettings {
    let dialect = if choices.one_in(8) { Dialect::ALL[choices.below(5)] } else { Dialect::OpenAi };
    let (asks, interrupt_response) = (choices.one_in(3), choices.one_in(4));
    let base = if choices.one_in(8) {
        generators::session::settings(choices, dialect)
    } else {
        SessionSettings { dialect, ..SessionSettings::default() }
    };
    SessionSettings {
        greeting: asks.then(|| "Good day.".to_owned()),
        audio_format,
        interrupt_response,
        turn_detection: TurnDetection::default(),
        tools: vec![look_up()],
        ..base
    }
}

/// Prompts of so many samples each, in a voice that is none of an agent's.
pub(super) fn own_prompts(samples: usize) -> Arc<Prompts> {
    let mut prompts = Prompts::default();
    let samples: Vec<i16> = (0..samples).map(|n| if n % 60 < 30 { 150 } else { -150 }).collect();
    Prompt::ALL.into_iter().for_each(|prompt| prompts.set(prompt, &samples));
    Arc::new(prompts)
}
