//! What comes on the Realtime links of a call, or of nobody's: sockets that open, end and show signs of life, and
//! messages of a server that says anything in any order.

use super::World;
use crate::choices::Choices;
use ari_bridge_core::call::{Input, IoFault};
use ari_bridge_core::format::ModelFormat;
use ari_bridge_core::id::LinkId;
use ari_bridge_core::time::{Duration, UtcNanos};

/// The wall clock when the world begins.
pub(super) const UTC: UtcNanos = UtcNanos(1_795_000_000_000_000_000);

impl World {
    /// Something comes on some link: mostly on the newest, now and then on the first, on one that may have ended, or
    /// on one that never was.
    pub(super) fn realtime(&mut self, choices: &mut Choices<'_>) {
        let links = self.oracle.links();
        let link = match choices.below(12) {
            0..=8 => links.newest(),
            9 => LinkId(1),
            10 => links.any(usize::from(choices.byte())),
            _ => LinkId(u32::from(choices.byte())),
        };
        match choices.below(22) {
            11 if choices.one_in(8) => self.link_ends(link, choices),
            12 => {
                let garbage = choices.blob();
                self.server_sends(link, garbage);
            }
            13 if choices.one_in(2) => self.step(Input::RealtimePong { link }),
            13 | 14 => {
                self.oracle.realtime_up(link);
                self.step(Input::RealtimeUp { link });
            }
            kind => {
                let message = self.message(kind, choices);
                self.server_sends(link, message.as_bytes());
            }
        }
    }

    fn link_ends(&mut self, link: LinkId, choices: &mut Choices<'_>) {
        let http_status = [None, Some(401), Some(403), Some(404), Some(429), Some(503), Some(200)];
        let code = [None, Some(1000), Some(1001), Some(1011), Some(1013), Some(3000), Some(4004)];
        let (http_status, code) = (http_status[choices.below(7)], code[choices.below(7)]);
        let reasons = ["", "insufficient_quota.insufficient_quota", "server_error.internal", "Bye."];
        let reason = if choices.one_in(4) { choices.blob() } else { reasons[choices.below(4)].as_bytes() };
        let retry_after = [None, Some(0), Some(7), Some(u64::MAX)][choices.below(4)].map(Duration::from_secs);
        let fault = [None, Some(IoFault::Reset), Some(IoFault::TimedOut), Some(IoFault::Refused)];
        let fault = fault[choices.below(4)];
        self.oracle.realtime_down(link);
        self.step(Input::RealtimeDown { link, http_status, retry_after, code, reason, fault });
    }

    fn message(&self, kind: usize, choices: &mut Choices<'_>) -> String {
        let item = choices.below(6);
        // Some servers name their answers, and some do not.
        let answer = ["", "answer0", "answer1", "answer2"][choices.below(4)];
        let kind = if self.answers_fail && choices.one_in(2) { [6, 10][choices.below(2)] } else { kind };
        match kind {
            0 | 1 => self.session_created(choices),
            2 => r#"{"type":"session.updated"}"#.to_owned(),
            3 => {
                let format = ModelFormat::ALL[choices.below(3)].media_type();
                let side = format!(r#"{{"format":{{"type":"{format}"}}}}"#);
                format!(
                    r#"{{"type":"session.updated","session":{{"audio":{{"input":{side},"output":{side}}}}}}}"#
                )
            }
            4 => {
                let start = [0, 300, 2_000, 60_000][choices.below(4)];
                let kind = r#""type":"input_audio_buffer.speech_started""#;
                format!(r#"{{{kind},"item_id":"user{item}","audio_start_ms":{start}}}"#)
            }
            5 => {
                let end = u64::from(choices.byte()) * 20;
                format!(
                    r#"{{"type":"input_audio_buffer.speech_stopped","item_id":"user{item}","audio_end_ms":{end}}}"#
                )
            }
            6 => format!(r#"{{"type":"response.created","response":{{"id":"{answer}"}}}}"#),
            7 | 8 => delta(choices, answer, item),
            9 => {
                format!(r#"{{"type":"response.output_audio.done","item_id":"item{item}","content_index":0}}"#)
            }
            10 => response_done(choices, answer, self.answers_fail),
            11 => failure(choices),
            15 | 16 => {
                let kind = r#""type":"response.output_audio_transcript.delta""#;
                format!(r#"{{{kind},"item_id":"item{item}","content_index":0,"delta":" some words"}}"#)
            }
            17 => {
                r#"{"type":"error","error":{"code":"conversation_already_has_active_response"}}"#.to_owned()
            }
            18 | 19 => function_call(choices, answer),
            20 => numbered(choices, answer),
            _ => {
                let kinds = [
                    "response.mcp_call.completed",
                    "response.mcp_call.failed",
                    "input_audio_buffer.timeout_triggered",
                    "input_audio_buffer.committed",
                    "input_audio_buffer.committed",
                ];
                let kind = kinds[choices.below(5)];
                let of = if kind.ends_with("committed") { "user" } else { "item" };
                format!(r#"{{"type":"{kind}","item_id":"{of}{item}"}}"#)
            }
        }
    }

    /// A session that ends never, ended long ago, ends now, in minutes, or when nobody lives any more.
    fn session_created(&self, choices: &mut Choices<'_>) -> String {
        let now = (UTC.0 + self.now.as_nanos()) / 1_000_000_000;
        let expires_at = match choices.below(8) {
            0..=2 => return r#"{"type":"session.created"}"#.to_owned(),
            3 => "null".to_owned(),
            4 => ["1", "-1", "\"soon\"", "18446744073709551615", "1e300"][choices.below(5)].to_owned(),
            5 => now.saturating_sub(u64::from(choices.byte())).to_string(),
            6 => (now + u64::from(choices.byte())).to_string(),
            _ => (now + 60 * u64::from(choices.byte())).to_string(),
        };
        format!(r#"{{"type":"session.created","session":{{"id":"s","expires_at":{expires_at}}}}}"#)
    }
}

fn delta(choices: &mut Choices<'_>, answer: &str, item: usize) -> String {
    // Six bytes each: an odd number of them ends in the middle of a sample.
    let amount = [160, 160, 1, 533][choices.below(4)];
    let kind = r#""type":"response.output_audio.delta","content_index":0"#;
    let audio = "AAAB/wEC".repeat(amount) + ["", "AA==", "AAAA"][amount % 3];
    format!(r#"{{{kind},"response_id":"{answer}","item_id":"item{item}","delta":"{audio}"}}"#)
}

fn response_done(choices: &mut Choices<'_>, answer: &str, fails: bool) -> String {
    let of = |status: &str, details: &str| {
        format!(r#"{{"type":"response.done","response":{{"id":"{answer}","status":"{status}"{details}}}}}"#)
    };
    let reason = |reason: &str| format!(r#","status_details":{{"reason":"{reason}"}}"#);
    let code = |code: &str| format!(r#","status_details":{{"error":{{"code":"{code}"}}}}"#);
    match if fails { 6 + choices.below(2) } else { choices.below(8) } {
        0..=2 => of("completed", ""),
        3 | 4 => of("cancelled", ["", &reason("turn_detected")][choices.below(2)]),
        5 => of("incomplete", &reason(["content_filter", "max_output_tokens"][choices.below(2)])),
        6 => of("failed", &code(["rate_limit_exceeded", "server_error"][choices.below(2)])),
        _ => of("failed", ""),
    }
}

/// What a server says when something is not as it should be.
fn failure(choices: &mut Choices<'_>) -> String {
    let limits = |remaining: u8, reset: &str| {
        format!(
            r#"{{"type":"rate_limits.updated","rate_limits":[{{"name":"tokens","remaining":{remaining},"reset_seconds":{reset}}}]}}"#
        )
    };
    match choices.below(8) {
        0..=2 => limits(0, ["0.5", "7", "1e9"][choices.below(3)]),
        3 => limits(9, "-1"),
        4 => r#"{"type":"error","error":{"type":"server_error"}}"#.to_owned(),
        5 => r#"{"type":"error","error":{"code":"session_expired"}}"#.to_owned(),
        6 => r#"{"type":"error","error":{"code":"invalid_tool_call_id"}}"#.to_owned(),
        _ => r#"{"type":"error","error":{"code":"server_error"}}"#.to_owned(),
    }
}

/// Something that names what the call has made.
fn numbered(choices: &mut Choices<'_>, answer: &str) -> String {
    let number = choices.below(6);
    match choices.below(3) {
        0 => format!(r#"{{"type":"conversation.item.added","item":{{"id":"ari-bridge-{number}"}}}}"#),
        1 => format!(
            r#"{{"type":"response.created","response":{{"id":"{answer}","metadata":{{"ari_bridge":"{number}"}}}}}}"#
        ),
        _ => format!(
            r#"{{"type":"error","error":{{"code":"conversation_already_has_active_response","event_id":"ari-bridge-{number}"}}}}"#
        ),
    }
}

/// A function call of the model's, in one of the events that tell of it.
fn function_call(choices: &mut Choices<'_>, answer: &str) -> String {
    let name = ["hang_up", "hang_up", "transfer", "look_up", "look_up", "made_up"][choices.below(6)];
    let arguments = [
        r#"{\"q\":1}"#,
        "",
        "{}",
        r#"{\"destination\":\"operator\"}"#,
        r#"{\"destination\":\"0900123456\"}"#,
        "[1",
    ][choices.below(6)];
    let call = format!("call{}", choices.below(8));
    let what = format!(r#""call_id":"{call}","name":"{name}","arguments":"{arguments}""#);
    if choices.one_in(3) {
        return format!(
            r#"{{"type":"response.function_call_arguments.done","response_id":"{answer}","item_id":"f",{what}}}"#
        );
    }
    let kind = ["function_call", "function_call", "mcp_approval_request"][choices.below(3)];
    let status = ["completed", "completed", "incomplete", "in_progress"][choices.below(4)];
    format!(
        r#"{{"type":"response.output_item.done","response_id":"{answer}","item":{{"id":"{call}","type":"{kind}","status":"{status}",{what}}}}}"#
    )
}
