//! What the call makes of a message of the Realtime server.

use super::talk::Heard;
use super::{Action, Actions, Call, EndReason, News, Record};
use crate::id::LinkId;
use crate::observe::{BadInput, Observation, Usage};
use crate::realtime::Verdict;
use crate::time::Instant;
use crate::transcript::MAX_TRANSCRIPT_BYTES;

impl Call {
    /// Hands a message to the session, and what it means to the other parts.
    pub(super) fn message(
        &mut self,
        now: Instant,
        link: LinkId,
        bytes: &[u8],
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        if self.is_leaving_realtime() {
            return Ok(());
        }
        let is_live = self.talk.is_heard(now, link, true);
        let Some(event) = self.settings.session.dialect.read(bytes) else {
            out.observe_bad(BadInput::RealtimeEvent, &mut self.bad_told);
            return Ok(());
        };
        if !is_live {
            return self.coming_message(now, &event, out);
        }
        match self.talk.message(now, &event, out) {
            Heard::Nothing => {}
            Heard::AnswerGivenUp => return self.answer_given_up(now, out),
            Heard::SessionIsOver => return self.change_session(now, Verdict::Expired, out),
            // The goodbye is said to the end, whatever the caller still says.
            Heard::SpeechStarted { .. } if self.talk.is_saying_goodbye() => {}
            Heard::SpeechStarted { audio_start_ms } => {
                if self.talk.speech_begins(self.voice.is_playing(), audio_start_ms) {
                    self.interrupt(false, out);
                }
            }
            Heard::SpeechStopped { item_id } => self.voice.caller_stopped(now, item_id),
            Heard::Committed => self.idle.caller_is_there(),
            Heard::Echo => self.voice.caller_did_not_speak(),
            Heard::CallerSaid { item_id, transcript } => {
                self.talk.caller_said(item_id, transcript);
                let text = transcript.get(..transcript.floor_char_boundary(MAX_TRANSCRIPT_BYTES));
                let text = out.put(text.unwrap_or_default().as_bytes());
                let item_id = out.put(crate::playout::bounded(item_id).as_bytes());
                out.push(Action::Record(Record::CallerSaid { item_id, text }));
            }
            Heard::Created => self.voice.agent_begins(now),
            Heard::Unwanted { item_id } => {
                if self.voice.is_news_unwanted(item_id) {
                    self.talk.take_back(item_id, out);
                }
            }
            Heard::Audio { response_id, item_id, content_index, delta } => {
                self.voice.agent_speaks(now, [response_id, item_id, delta], content_index, out);
            }
            Heard::AudioDone { item_id, content_index } => {
                self.voice.agent_is_done(now, item_id, content_index);
            }
            Heard::Text { item_id, content_index, delta } => {
                self.voice.agent_says(item_id, content_index, delta);
            }
            Heard::TextDone { item_id, content_index, transcript } => {
                self.voice.agent_said(item_id, content_index, transcript);
            }
            Heard::Arguments { response_id, call } => self.tools.arguments(response_id, call),
            Heard::ItemDone { item, is_cut_off } => {
                self.tools.item_done(now, item, is_cut_off, &mut self.talk, out);
            }
            Heard::ResponseDone { response_id, is_complete, usage, is_given_up } => {
                self.voice.response_is_done(now);
                self.tools.response_done(response_id, is_complete);
                if let Some(usage) = usage.filter(|usage| !usage.is_empty()) {
                    self.used(usage, out);
                }
                if is_given_up {
                    return self.answer_given_up(now, out);
                }
            }
            Heard::End(reason) => return Err(reason),
        }
        Ok(())
    }

    /// An answer has used this up.
    fn used(&mut self, usage: Usage, out: &mut Actions) {
        let cost = self.settings.prices.map(|prices| prices.cost(&usage));
        out.observe(Observation::Used { usage, cost });
        if let Some(cost) = cost {
            out.push(Action::Tell(News::Spent(cost)));
        }
    }
}
