//! What a message of the server means for the session, and what it asks of the rest of the call.

use super::Talk;
use crate::call::answers::{Debt, Failed, Purpose};
use crate::call::io::{Actions, EndReason};
use crate::call::turns::Verdict as Whose;
use crate::observe::{Label, McpEvent, Observation, Usage};
use crate::realtime::{Item, ServerEvent, Verdict, is_fatal, verdict};
use crate::settings::Resume;
use crate::time::Instant;

/// The codes of the error that says that a response was asked for while another one was being made: OpenAI's, and
/// that of servers of the same kind.
pub(super) const ALREADY_ANSWERING: [&str; 2] =
    ["conversation_already_has_active_response", "response_already_active"];

/// What a message asks of the rest of the call.
#[derive(Debug)]
pub(in crate::call) enum Heard<'a> {
    Nothing,
    SpeechStarted {
        audio_start_ms: Option<u64>,
    },
    SpeechStopped {
        item_id: &'a str,
    },
    /// The caller's turn has become an item.
    Committed,
    /// What was taken for a turn of the caller was the agent's echo.
    Echo,
    CallerSaid {
        item_id: &'a str,
        transcript: &'a str,
    },
    /// An answer begins.
    Created,
    /// A piece of an answer that is not to be heard.
    Unwanted {
        item_id: &'a str,
    },
    Audio {
        response_id: &'a str,
        item_id: &'a str,
        content_index: u32,
        delta: &'a str,
    },
    AudioDone {
        item_id: &'a str,
        content_index: u32,
    },
    Text {
        item_id: &'a str,
        content_index: u32,
        delta: &'a str,
    },
    TextDone {
        item_id: &'a str,
        content_index: u32,
        transcript: &'a str,
    },
    /// The arguments of a function call have come.
    Arguments {
        response_id: &'a str,
        call: &'a Item<'a>,
    },
    /// A part of an answer is complete, or will not be.
    ItemDone {
        item: &'a Item<'a>,
        /// The caller has interrupted the answer.
        is_cut_off: bool,
    },
    ResponseDone {
        response_id: &'a str,
        is_complete: bool,
        usage: Option<Usage>,
        /// It has failed, and will not be asked for again.
        is_given_up: bool,
    },
    /// An answer that was asked for will not be made.
    AnswerGivenUp,
    /// The session has lasted as long as one may.
    SessionIsOver,
    End(EndReason),
}

impl Talk {
    /// Takes a message of the live session and does what concerns the conversation alone.
    pub(in crate::call) fn message<'a>(
        &mut self,
        now: Instant,
        event: &'a ServerEvent<'a>,
        out: &mut Actions,
    ) -> Heard<'a> {
        match event {
            ServerEvent::Error { code, param, number } => {
                out.observe(Observation::RealtimeError { code: Label::new(code), param: Label::new(param) });
                return self.error(now, code, *number, out);
            }
            ServerEvent::Mcp(event) => {
                out.observe(Observation::Mcp(*event));
                if matches!(event, McpEvent::Answered | McpEvent::CallFailed) {
                    // The server has called the tool by itself; it does not go on by itself.
                    self.answers.owe(Debt::Result, self.events_sent, true);
                }
            }
            ServerEvent::ItemAdded { number } => {
                if let Some(number) = number {
                    self.answers.is_known(*number);
                }
            }
            ServerEvent::SpeechStarted { .. }
            | ServerEvent::SpeechStopped { .. }
            | ServerEvent::Committed { .. }
            | ServerEvent::IdleTimeout
            | ServerEvent::CallerTranscript { .. }
            | ServerEvent::CallerTranscriptFailed { .. } => return self.caller_event(event, out),
            ServerEvent::ResponseCreated { .. }
            | ServerEvent::AudioDelta { .. }
            | ServerEvent::AudioDone { .. }
            | ServerEvent::TranscriptDelta { .. }
            | ServerEvent::TranscriptDone { .. }
            | ServerEvent::ArgumentsDone { .. }
            | ServerEvent::ItemDone { .. }
            | ServerEvent::ResponseDone { .. } => return self.answer_event(now, event, out),
            ServerEvent::RateLimits { reset } => self.reset = *reset,
            ServerEvent::SessionCreated { .. }
            | ServerEvent::SessionUpdated { .. }
            | ServerEvent::Ignored
            | ServerEvent::Unknown => {}
        }
        Heard::Nothing
    }

    fn error(&mut self, now: Instant, code: &str, number: Option<u32>, out: &mut Actions) -> Heard<'static> {
        match verdict(code, None, None) {
            // No credit, a key that was withdrawn: nothing more comes of this session.
            Verdict::Fatal => Heard::End(EndReason::RealtimeRefused),
            Verdict::Expired => Heard::SessionIsOver,
            Verdict::Retry => {
                let failed = self.refused(now, number, ALREADY_ANSWERING.contains(&code), out);
                if failed == Some(Failed::GivenUp) { Heard::AnswerGivenUp } else { Heard::Nothing }
            }
        }
    }

    /// What the server has heard of the caller.
    fn caller_event<'a>(&mut self, event: &'a ServerEvent<'a>, out: &mut Actions) -> Heard<'a> {
        match event {
            ServerEvent::SpeechStarted { audio_start_ms } => {
                out.observe(Observation::SpeechStarted);
                return Heard::SpeechStarted { audio_start_ms: *audio_start_ms };
            }
            ServerEvent::SpeechStopped { item_id, audio_end_ms } => {
                let told_ms = audio_end_ms.map(|end| end.saturating_add(self.base_ms));
                self.turns.stop(item_id, told_ms, self.given_ms());
                self.is_waited_for |= !self.turns.may_be_echo();
                // Its item comes next, and where the server answers by itself, the answer.
                self.answers.expect(self.given_ms());
                out.observe(Observation::SpeechStopped);
                return Heard::SpeechStopped { item_id };
            }
            ServerEvent::Committed { item_id } => match self.turns.commit(item_id) {
                Whose::Echo => {
                    self.answers.expect_none();
                    self.speech_ms = None;
                    out.observe(Observation::EchoIgnored);
                    self.take_back(item_id, out);
                    return Heard::Echo;
                }
                Whose::Caller { is_to_be_asked_for } => {
                    self.turn_is_complete(item_id);
                    if is_to_be_asked_for {
                        self.answers.owe_turn(self.events_sent);
                    } else if self.turns.of_the_server().create_response {
                        self.answers.expect(self.given_ms());
                    }
                    return Heard::Committed;
                }
            },
            ServerEvent::IdleTimeout => out.observe(Observation::CallerIdle),
            ServerEvent::CallerTranscript { item_id, transcript } => {
                return Heard::CallerSaid { item_id, transcript };
            }
            ServerEvent::CallerTranscriptFailed { code } => {
                out.observe(Observation::TranscriptFailed { code: Label::new(code) });
            }
            _ => {}
        }
        Heard::Nothing
    }

    /// The goodbye has come to its end. One that was cut off is said once more: the caller is not listened to any more.
    fn goodbye_ends(&mut self, is_cut: bool) {
        let Some(goodbye) = &mut self.goodbye else { return };
        if is_cut && !goodbye.was_cut {
            goodbye.was_cut = true;
            self.answers.want(Purpose::Goodbye);
        } else {
            goodbye.is_said = true;
        }
    }

    /// What comes of an answer.
    fn answer_event<'a>(&mut self, now: Instant, event: &'a ServerEvent<'a>, out: &mut Actions) -> Heard<'a> {
        let now_ms = self.given_ms();
        match event {
            ServerEvent::ResponseCreated { response_id, number } => {
                self.answers.begins(response_id, *number, now_ms);
                self.answers_turn = self.caller_speaks_since().is_none();
                return Heard::Created;
            }
            ServerEvent::AudioDelta { response_id, item_id, .. } if self.is_muted(response_id) => {
                return Heard::Unwanted { item_id };
            }
            ServerEvent::AudioDelta { response_id, item_id, content_index, delta } => {
                self.answers.seen(response_id, now_ms);
                self.answers.speaks();
                if let Some(goodbye) = self.goodbye.as_mut().filter(|_| self.answers.makes(Purpose::Goodbye))
                {
                    goodbye.is_heard = true;
                }
                self.turn_is_answered_by(delta.len());
                return Heard::Audio { response_id, item_id, content_index: *content_index, delta };
            }
            ServerEvent::AudioDone { item_id, content_index } => {
                self.answers.has_spoken_out();
                return Heard::AudioDone { item_id, content_index: *content_index };
            }
            ServerEvent::TranscriptDelta { response_id, .. } if self.is_muted(response_id) => {}
            ServerEvent::TranscriptDelta { item_id, content_index, delta, .. } => {
                return Heard::Text { item_id, content_index: *content_index, delta };
            }
            ServerEvent::TranscriptDone { item_id, content_index, transcript } => {
                return Heard::TextDone { item_id, content_index: *content_index, transcript };
            }
            // Who is being said goodbye to is not sent anywhere any more.
            ServerEvent::ArgumentsDone { .. } | ServerEvent::ItemDone { .. } if self.is_saying_goodbye() => {}
            ServerEvent::ArgumentsDone { response_id, call } => {
                return Heard::Arguments { response_id, call };
            }
            ServerEvent::ItemDone { response_id, item } => {
                return Heard::ItemDone { item, is_cut_off: self.is_muted(response_id) };
            }
            ServerEvent::ResponseDone { .. } => return self.response_done(now, event, out),
            _ => {}
        }
        Heard::Nothing
    }
    fn response_done<'a>(
        &mut self,
        now: Instant,
        event: &'a ServerEvent<'a>,
        out: &mut Actions,
    ) -> Heard<'a> {
        let ServerEvent::ResponseDone { response_id, number, status, detail, usage } = event else {
            return Heard::Nothing;
        };
        let is_told_again = self.answers.has_ended(response_id);
        let was_made = self.answers.is_being_made();
        let purpose = self.answers.ends(response_id, *number);
        let is_news = purpose.is_some() || was_made && !self.answers.is_being_made();
        if purpose == Some(Purpose::Goodbye) {
            self.goodbye_ends(&**status == "cancelled");
        }
        let (told, why) = (Label::new(status), Label::new(detail));
        out.observe(Observation::ResponseDone { status: told, detail: why });
        // No credit, a key that was withdrawn: every further answer would fail like this one.
        if &**status == "failed" && is_fatal(detail) {
            return Heard::End(EndReason::RealtimeRefused);
        }
        // An answer that ends early has said what it has said; one that has said nothing is none.
        let has_failed = match &**status {
            "failed" => true,
            "incomplete" => !self.answers.has_spoken(),
            _ => false,
        };
        let is_complete = &**status == "completed";
        if is_complete {
            self.answers.succeeded();
            self.turns_given_up = 0;
        }
        if is_complete && self.answers_turn && self.answers.has_spoken() {
            self.turn_is_settled();
        }
        let matters = has_failed && is_news && !self.is_muted(response_id) && !self.is_saying_goodbye();
        // What was heard of it is not said again, unless the operator wants it so.
        let failed = match (matters, self.answers.has_spoken()) {
            (true, false) => self.failed(now, purpose, out),
            (true, true) if self.recovery.resume != Resume::Off => {
                self.failed(now, Some(Purpose::Resume), out)
            }
            _ => None,
        };
        let is_given_up = failed == Some(Failed::GivenUp);
        Heard::ResponseDone { response_id, is_complete, usage: usage.filter(|_| !is_told_again), is_given_up }
    }
}
