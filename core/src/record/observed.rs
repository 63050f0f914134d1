//! What a record learns of the observations of its call.

use super::shape::{CallRecord, Fault, FaultKind, ToolResult};
use super::{Recorder, millis};
use crate::fault::IoFault;
use crate::observe::{Label, Observation, Recovery, RtpDrop};
use crate::settings::{DeadAirStep, Prompt};
use crate::time::Instant;

/// The most faults that a record holds.
const MAX_FAULTS: usize = 32;

impl Recorder {
    /// Takes an observation, so long after the call began. What comes with every packet costs next to nothing.
    pub fn observe(&mut self, at: Instant, observation: &Observation) {
        self.last = at;
        let record = &mut self.record;
        match *observation {
            Observation::RtpIn | Observation::RtpOut => {}
            Observation::RtpDropped(RtpDrop::Early | RtpDrop::Held) => {}
            Observation::RtpDropped(_) => record.media.dropped_packets += 1,
            Observation::RtpLost { packets } => record.media.lost_packets += u64::from(packets),
            Observation::Concealed { millis } => record.media.concealed_ms += u64::from(millis),
            Observation::PlayoutLate { slots } => record.media.late_slots += u64::from(slots),
            Observation::PlayoutFull { dropped_ms } => record.media.dropped_ms += dropped_ms,
            Observation::SessionReady { .. } => self.had_session = true,
            Observation::Answered { .. } => self.answered_at = Some(at),
            Observation::SpeechStopped => {
                record.counts.caller_turns += 1;
                self.caller_stopped_ms = Some(at.as_millis());
            }
            Observation::EchoIgnored => {
                record.counts.caller_turns = record.counts.caller_turns.saturating_sub(1);
            }
            Observation::BargeIn { .. } => record.barge_ins += 1,
            Observation::Used { usage, cost } => {
                self.usage.add_all(&usage);
                self.cost = match (self.cost, cost) {
                    (Some(before), Some(more)) => Some(before.saturating_add(more)),
                    (before, more) => before.or(more),
                };
            }
            Observation::Recovery(recovery) => self.recovery(&recovery),
            Observation::ToolCalled { name } => self.tool_called(name),
            Observation::ToolDone { name, .. } => self.tools.answered(name, ToolResult::Done),
            Observation::ToolFailed { name, .. } => self.tools.answered(name, ToolResult::Failed),
            Observation::ToolRefused { why } => self.tool_refused(why),
            Observation::StaysOnTheLine => self.tool_put_off(),
            _ => self.observe_fault(at.as_millis(), observation),
        }
    }

    fn recovery(&mut self, recovery: &Recovery) {
        let CallRecord { sessions, failed_answers, dead_air, prompts, .. } = &mut self.record;
        let counter = match *recovery {
            Recovery::Retry { .. } => &mut sessions.attempts,
            Recovery::Resumed { after, .. } => {
                sessions.longest_gap_ms = sessions.longest_gap_ms.max(millis(after));
                &mut sessions.reconnects
            }
            Recovery::Renewed { .. } => &mut sessions.renewals,
            Recovery::Delivered { millis } => {
                sessions.delivered_ms += millis;
                return;
            }
            Recovery::Dropped { millis } => {
                sessions.lost_ms += millis;
                return;
            }
            Recovery::Expires { .. } => return,
            Recovery::AnswerAgain { .. } => &mut failed_answers.asked_again,
            Recovery::AnswerGivenUp => &mut failed_answers.given_up,
            Recovery::DeadAir { step: DeadAirStep::Filler } => &mut dead_air.filler,
            Recovery::DeadAir { step: DeadAirStep::Ask } => &mut dead_air.ask,
            Recovery::DeadAir { step: DeadAirStep::Reconnect } => &mut dead_air.reconnect,
            Recovery::DeadAir { step: DeadAirStep::Fallback } => &mut dead_air.fallback,
            Recovery::Prompt(Prompt::Moment) => &mut prompts.moment,
            Recovery::Prompt(Prompt::Sorry) => &mut prompts.sorry,
            Recovery::Prompt(Prompt::Goodbye) => &mut prompts.goodbye,
            Recovery::Prompt(Prompt::Comfort) => &mut prompts.comfort,
        };
        *counter += 1;
    }

    /// Notes what went wrong; what is no fault is passed over.
    fn observe_fault(&mut self, at_ms: u64, observation: &Observation) {
        let blank = |what| Fault { at_ms, what, code: None, close_code: None, http_status: None, io: None };
        let io = |fault: Option<IoFault>| fault.map(IoFault::label);
        let fault = match *observation {
            Observation::RealtimeError { code: label, .. } => {
                Fault { code: code(label), ..blank(FaultKind::RealtimeError) }
            }
            Observation::RealtimeDown { code: label, close, http_status, fault } => Fault {
                code: code(label),
                close_code: close,
                http_status,
                io: io(fault),
                ..blank(FaultKind::RealtimeDown)
            },
            Observation::ResponseDone { status, detail }
                if matches!(status.as_str(), "failed" | "incomplete") =>
            {
                self.record.failed_answers.failed += 1;
                Fault { code: code(detail), ..blank(FaultKind::AnswerFailed) }
            }
            Observation::TranscriptFailed { code: label } => {
                Fault { code: code(label), ..blank(FaultKind::TranscriptFailed) }
            }
            Observation::AriRefused { status, .. } => {
                Fault { http_status: Some(status), ..blank(FaultKind::AriRefused) }
            }
            Observation::AriNoReply { fault, .. } => {
                Fault { io: io(Some(fault)), ..blank(FaultKind::AriNoReply) }
            }
            Observation::MediaDown { fault } => Fault { io: io(Some(fault)), ..blank(FaultKind::MediaDown) },
            _ => return,
        };
        if self.record.faults.len() < MAX_FAULTS {
            self.record.faults.push(fault);
        } else {
            self.record.truncated = true;
        }
    }
}

fn code(label: Label) -> Option<String> {
    Some(label.as_str()).filter(|code| !code.is_empty()).map(str::to_owned)
}
