//! What has a place on the time axis beside the turns: speech, loss, hold, barge-ins, sessions, and how the call was set
//! up and ended.

use super::millis;
use crate::call::{Action, Input};
use crate::observe::Observation;
use crate::realtime::close_code;
use crate::time::Instant;
use serde::Serialize;

/// The most moments of a kind. A call of an hour has some hundred.
const MAX_MOMENTS: usize = 5_000;

/// All of them, in order of time.
#[derive(Debug, Default, Serialize)]
pub(super) struct Moments {
    /// When the server heard the caller speak.
    speech: Vec<Stretch>,
    /// When the caller had put the call on hold.
    held: Vec<Stretch>,
    /// When there were no events of Asterisk's.
    unlinked: Vec<Stretch>,
    /// Packets of the caller that never came.
    lost: Vec<Lost>,
    barge_ins: Vec<BargeIn>,
    sessions: Vec<Session>,
    media_ready_ms: Option<f64>,
    session_ready_ms: Option<f64>,
    answered_ms: Option<f64>,
    ending_ms: Option<f64>,
}

/// From when to when; to the end of the call if it has no end.
#[derive(Debug, Serialize)]
struct Stretch {
    at_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Lost {
    at_ms: f64,
    packets: u32,
}

#[derive(Debug, Serialize)]
struct BargeIn {
    at_ms: f64,
    heard_ms: u64,
    dropped_ms: u64,
}

/// A Realtime link: from when to when, and since when it was up.
#[derive(Debug, Serialize)]
struct Session {
    link: u32,
    at_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    up_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_ms: Option<f64>,
    /// Why it ended, if it was not the bridge that closed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<String>,
}

impl Moments {
    /// What the call was given.
    pub(super) fn given(&mut self, at: Instant, input: &Input<'_>) {
        use crate::call::LinkState;
        match *input {
            Input::AriLink(LinkState::Down) => begin(&mut self.unlinked, at),
            Input::AriLink(LinkState::Up) => end(&mut self.unlinked, at),
            Input::RealtimeUp { link } => {
                if let Some(session) = self.session(link.0) {
                    session.up_ms = Some(millis(at));
                }
            }
            Input::RealtimeDown { link, http_status, code, reason, fault, .. } => {
                let code_in_words = close_code(reason);
                let parts = [
                    http_status.map(|status| format!("HTTP {status}")),
                    code.map(|code| format!("closed with {code}")),
                    Some(code_in_words.as_str().to_owned()).filter(|code| !code.is_empty()),
                    fault.map(|fault| fault.to_string()),
                ];
                let why = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
                if let Some(session) = self.session(link.0) {
                    session.to_ms = Some(millis(at));
                    session.lost = Some(why);
                }
            }
            _ => {}
        }
    }

    /// What the call did.
    pub(super) fn acted(&mut self, at: Instant, action: &Action) {
        match *action {
            Action::OpenRealtime { link, .. } if self.sessions.len() < MAX_MOMENTS => {
                let at_ms = millis(at);
                self.sessions.push(Session { link: link.0, at_ms, up_ms: None, to_ms: None, lost: None });
            }
            Action::CloseRealtime { link, .. } => {
                if let Some(session) = self.session(link.0) {
                    session.to_ms = Some(millis(at));
                }
            }
            _ => {}
        }
    }

    /// What the call told.
    pub(super) fn observed(&mut self, at: Instant, observation: &Observation) {
        let at_ms = millis(at);
        match *observation {
            Observation::SpeechStarted => begin(&mut self.speech, at),
            Observation::SpeechStopped => end(&mut self.speech, at),
            Observation::Held { is_held: true } => begin(&mut self.held, at),
            Observation::Held { is_held: false } => end(&mut self.held, at),
            Observation::RtpLost { packets } if self.lost.len() < MAX_MOMENTS => {
                self.lost.push(Lost { at_ms, packets });
            }
            Observation::BargeIn { heard_ms, dropped_ms } if self.barge_ins.len() < MAX_MOMENTS => {
                self.barge_ins.push(BargeIn { at_ms, heard_ms, dropped_ms });
            }
            Observation::MediaReady { .. } => self.media_ready_ms = Some(at_ms),
            Observation::SessionReady { .. } => self.session_ready_ms = self.session_ready_ms.or(Some(at_ms)),
            Observation::Answered { .. } => self.answered_ms = Some(at_ms),
            Observation::Ending(_) => self.ending_ms = self.ending_ms.or(Some(at_ms)),
            _ => {}
        }
    }

    /// The link of this number that has not ended.
    fn session(&mut self, link: u32) -> Option<&mut Session> {
        self.sessions.iter_mut().rev().find(|session| session.link == link && session.to_ms.is_none())
    }
}

fn begin(stretches: &mut Vec<Stretch>, at: Instant) {
    let is_open = stretches.last().is_some_and(|stretch| stretch.to_ms.is_none());
    if !is_open && stretches.len() < MAX_MOMENTS {
        stretches.push(Stretch { at_ms: millis(at), to_ms: None });
    }
}

fn end(stretches: &mut [Stretch], at: Instant) {
    if let Some(stretch) = stretches.last_mut() {
        stretch.to_ms = stretch.to_ms.or(Some(millis(at)));
    }
}
