//! What a message of the server means for the session, and what it asks of the rest of the call.

use super::{Session, Talk};
use crate::call::answers::{Debt, Purpose};
use crate::call::io::{Actions, EndReason};
use crate::call::turns::Verdict;
use crate::format::ModelFormat;
use crate::observe::{BadInput, Label, McpEvent, Observation};
use crate::realtime::{Item, ServerEvent, is_refusal};
use crate::settings::{SessionSettings, Tool};

/// The codes of the error that says that a response was asked for while another one was being made: OpenAI's, and
/// that of servers of the same kind.
pub(super) const ALREADY_ANSWERING: [&str; 2] =
    ["conversation_already_has_active_response", "response_already_active"];

/// What a message asks of the rest of the call.
#[derive(Debug)]
pub(in crate::call) enum Heard<'a> {
    Nothing,
    SessionReady,
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
    },
    End(EndReason),
}

impl Talk {
    /// Reads a message and does what concerns the session alone.
    pub(in crate::call) fn message<'a>(
        &mut self,
        event: &'a Option<ServerEvent<'a>>,
        settings: &SessionSettings,
        tools: &[Tool],
        out: &mut Actions,
    ) -> Heard<'a> {
        let Some(event) = event else {
            out.observe_bad(BadInput::RealtimeEvent, &mut self.told);
            return Heard::Nothing;
        };
        match event {
            ServerEvent::SessionCreated { .. } => self.begin(settings, tools, out),
            ServerEvent::SessionUpdated { format } => {
                return self.session_updated(*format, settings, tools, out);
            }
            ServerEvent::Error { code, param, number } => {
                out.observe(Observation::RealtimeError { code: Label::new(code), param: Label::new(param) });
                return self.error(code, *number, settings, tools, out);
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
            | ServerEvent::ResponseDone { .. } => return self.answer_event(event, out),
            ServerEvent::RateLimits { .. } | ServerEvent::Ignored | ServerEvent::Unknown => {}
        }
        Heard::Nothing
    }

    fn session_updated(
        &mut self,
        format: Option<ModelFormat>,
        settings: &SessionSettings,
        tools: &[Tool],
        out: &mut Actions,
    ) -> Heard<'static> {
        if self.session != Session::Updating {
            return Heard::Nothing;
        }
        // PCM needs no confirmation: every server speaks it, and not every one shows its format.
        if self.format != ModelFormat::Pcm24 && format != Some(self.format) {
            self.fall_back_to_pcm(settings, tools, out);
            return Heard::Nothing;
        }
        self.session = Session::Ready;
        Heard::SessionReady
    }

    fn error(
        &mut self,
        code: &str,
        number: Option<u32>,
        settings: &SessionSettings,
        tools: &[Tool],
        out: &mut Actions,
    ) -> Heard<'static> {
        // Before the session stands, an error is the answer to our settings: they are lost whole, and no
        // confirmation will come.
        match self.session {
            Session::Updating if self.format != ModelFormat::Pcm24 => {
                self.fall_back_to_pcm(settings, tools, out);
            }
            Session::Opening | Session::Updating => return Heard::End(EndReason::RealtimeRefused),
            Session::Ready | Session::Closed => {
                self.refused(number, ALREADY_ANSWERING.contains(&code), out);
            }
        }
        Heard::Nothing
    }

    /// What the server has heard of the caller.
    fn caller_event<'a>(&mut self, event: &'a ServerEvent<'a>, out: &mut Actions) -> Heard<'a> {
        match event {
            ServerEvent::SpeechStarted { audio_start_ms } => {
                out.observe(Observation::SpeechStarted);
                return Heard::SpeechStarted { audio_start_ms: *audio_start_ms };
            }
            ServerEvent::SpeechStopped { item_id, audio_end_ms } => {
                self.turns.stop(item_id, *audio_end_ms, self.given_ms());
                // Its item comes next, and where the server answers by itself, the answer.
                self.answers.expect(self.given_ms());
                out.observe(Observation::SpeechStopped);
                return Heard::SpeechStopped { item_id };
            }
            ServerEvent::Committed { item_id } => match self.turns.commit(item_id) {
                Verdict::Echo => {
                    self.answers.expect_none();
                    out.observe(Observation::EchoIgnored);
                    self.take_back(item_id, out);
                    return Heard::Echo;
                }
                Verdict::Caller { is_to_be_asked_for } => {
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
    fn answer_event<'a>(&mut self, event: &'a ServerEvent<'a>, out: &mut Actions) -> Heard<'a> {
        let now_ms = self.given_ms();
        match event {
            ServerEvent::ResponseCreated { response_id, number } => {
                self.answers.begins(response_id, *number, now_ms);
                return Heard::Created;
            }
            ServerEvent::AudioDelta { response_id, item_id, .. } if self.is_muted(response_id) => {
                return Heard::Unwanted { item_id };
            }
            ServerEvent::AudioDelta { response_id, item_id, content_index, delta } => {
                self.answers.seen(response_id, now_ms);
                return Heard::Audio { response_id, item_id, content_index: *content_index, delta };
            }
            ServerEvent::AudioDone { item_id, content_index } => {
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
            ServerEvent::ResponseDone { response_id, number, status, detail, .. } => {
                let was_made = self.answers.is_being_made();
                let purpose = self.answers.ends(response_id, *number);
                if purpose == Some(Purpose::Goodbye) {
                    self.goodbye_ends(&**status == "cancelled");
                }
                out.observe(Observation::ResponseDone {
                    status: Label::new(status),
                    detail: Label::new(detail),
                });
                // No credit, a key that was withdrawn: every further answer would fail like this one.
                if &**status == "failed" && is_refusal(detail, None, None) {
                    return Heard::End(EndReason::RealtimeRefused);
                }
                match &**status {
                    "completed" => self.answers.succeeded(),
                    "failed" if was_made && !self.is_muted(response_id) && !self.is_saying_goodbye() => {
                        self.answers.failed(purpose, self.events_sent, now_ms);
                    }
                    _ => {}
                }
                return Heard::ResponseDone { response_id, is_complete: &**status == "completed" };
            }
            _ => {}
        }
        Heard::Nothing
    }
}
