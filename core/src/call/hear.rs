//! What the call makes of a message of the Realtime server.

use super::talk::Heard;
use super::{Action, Actions, Call, EndReason, Record};
use crate::observe::Observation;
use crate::time::Instant;
use crate::transcript::MAX_TRANSCRIPT_BYTES;

impl Call {
    /// Hands a message to the session, and what it means to the other parts.
    pub(super) fn message(&mut self, now: Instant, bytes: &[u8], out: &mut Actions) -> Result<(), EndReason> {
        if self.ending.is_some() {
            return Ok(());
        }
        let session = &self.settings.session;
        let event = session.dialect.read(bytes);
        match self.talk.message(&event, session, self.tools.all(), out) {
            Heard::Nothing => {}
            Heard::SessionReady => {
                self.voice.model_speaks(self.talk.speaks());
                out.observe(Observation::SessionReady { after: now.since(self.started) });
            }
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
            Heard::ResponseDone { response_id, is_complete } => {
                self.voice.response_is_done(now);
                self.tools.response_done(response_id, is_complete);
            }
            Heard::End(reason) => return Err(reason),
        }
        Ok(())
    }
}
