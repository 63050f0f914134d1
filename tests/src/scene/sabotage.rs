//! What a scene breaks on purpose between a call and the world, so that an oracle can show that it notices: each stands for a
//! bug that a call could have.

use crate::oracle::Oracle;
use ari_bridge_core::call::{Action, Actions, Method};
use ari_bridge_core::id::LinkId;
use ari_bridge_core::time::Instant;

/// Something that is broken on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// The clean-up: a deletion of a bridge is not sent, and counts as done.
    CleanUp,
    /// The playout ledger: the server is told of 40 ms more than were heard.
    Ledger,
    /// The reconnect: the session after a lost one is given nothing of what the caller says.
    Reconnect,
    /// An answer to a function call is given twice.
    AnsweredTwice,
    /// A packet comes twice, with the same sequence number.
    Sequence,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::CleanUp, Self::Ledger, Self::Reconnect, Self::AnsweredTwice, Self::Sequence];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CleanUp => "clean-up",
            Self::Ledger => "ledger",
            Self::Reconnect => "reconnect",
            Self::AnsweredTwice => "answered-twice",
            Self::Sequence => "sequence",
        }
    }

    /// Whether this action is lost.
    pub(super) fn loses(self, action: Action, out: &Actions) -> bool {
        match action {
            Action::Ari { method: Method::Delete, path, .. } => {
                self == Self::CleanUp && out.text(path).starts_with("/bridges/")
            }
            Action::SendRealtime { link, bytes } => {
                let is_audio = || out.text(bytes).contains("input_audio_buffer.append");
                self == Self::Reconnect && link != LinkId(1) && is_audio()
            }
            _ => false,
        }
    }

    /// Shows the oracle what the world would see of this action beside the action itself.
    pub(super) fn shows(self, oracle: &mut Oracle, now: Instant, action: Action, out: &Actions) {
        match (self, action) {
            (Self::Ledger, Action::SendRealtime { link, bytes })
                if out.text(bytes).contains("audio_end_ms") =>
            {
                let mut event: serde_json::Value =
                    serde_json::from_str(out.text(bytes)).expect("what is sent is JSON");
                event["audio_end_ms"] = (event["audio_end_ms"].as_u64().unwrap_or_default() + 40).into();
                oracle.check_client_event(link, &event.to_string());
            }
            (Self::AnsweredTwice, Action::SendRealtime { link, bytes })
                if out.text(bytes).contains("function_call_output") =>
            {
                oracle.check_client_event(link, out.text(bytes));
            }
            (Self::Sequence, Action::SendMedia { bytes, .. }) => oracle.check_packet(now, out.bytes(bytes)),
            _ => {}
        }
    }
}
