//! The settings of a call.

use super::super::reader::Reader;
use super::{families, recovery};
use crate::settings::{BargeIn, CallSettings, Keys, RtpSource, SessionSettings};
use crate::time::Duration;

/// The settings of a call but for those that other parts decide: application name, advertised host and prices.
pub(super) fn call(reader: &mut Reader<'_>, session: Option<SessionSettings>) -> Option<CallSettings> {
    let rtp_source = reader.parse("RTP_SOURCE", "strict or learn", |text| match text {
        "strict" => Some(RtpSource::Strict),
        "learn" => Some(RtpSource::Learn),
        _ => None,
    });
    let volume_boost = reader.fraction("VOLUME_BOOST", 0.1..=20.0);
    let cushion = reader.number("PLAYOUT_CUSHION_MS", 0..=1000, " milliseconds");
    let barge_in = reader.parse("BARGE_IN", "on, guarded or off", |text| {
        BargeIn::ALL.into_iter().find(|barge_in| barge_in.name() == text)
    });
    let echo_canceller = reader.on_off("ECHO_CANCELLER");
    let answer_within = reader.number("ANSWER_WITHIN_MS", 500..=60_000, " milliseconds");
    let max_call = reader.number("MAX_CALL_SECONDS", 10..=86_400, " seconds");
    let idle = reader.optional_number("IDLE_SECONDS", 5..=3600, " seconds");
    let hang_up = reader.on_off("AGENT_HANG_UP");
    let tool_timeout = reader.number("TOOL_TIMEOUT_MS", 500..=60_000, " milliseconds");
    let (recovery, dead_air) = (recovery::recovery(reader), recovery::dead_air(reader));
    let (failed_answer, fallback) = (recovery::failed_answer(reader), recovery::fallback(reader));
    let transfers = families::transfers(reader);
    let hot = families::hot_keys(reader, transfers.as_deref());
    let pause = reader.number("DTMF_PAUSE_MS", 500..=20_000, " milliseconds");
    Some(CallSettings {
        rtp_source: rtp_source?,
        volume_boost: volume_boost?,
        cushion: Duration::from_millis(cushion?),
        barge_in: barge_in?,
        echo_canceller: echo_canceller?,
        answer_within: Duration::from_millis(answer_within?),
        max_call: Duration::from_secs(max_call?),
        idle: idle?.map(Duration::from_secs),
        hang_up: hang_up?,
        transfers: transfers?,
        tool_timeout: Duration::from_millis(tool_timeout?),
        keys: Keys { pause: Duration::from_millis(pause?), hot: hot? },
        recovery: recovery?,
        dead_air: dead_air?,
        failed_answer: failed_answer?,
        fallback: fallback?,
        session: session?,
        ..CallSettings::default()
    })
}
