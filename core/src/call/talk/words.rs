//! What the agent is told about single answers, in words.

use super::Talk;
use crate::call::answers::Purpose;
use crate::call::io::EndReason;
use crate::settings::{Resume, SessionSettings};
use std::borrow::Cow;

/// What the agent is told when the longest allowed time is reached.
const TIME_IS_UP: &str = "The longest time that this call may last has been reached. In the language of the \
                          conversation, tell the caller so in one short sentence and say goodbye. Ask nothing.";

/// What the agent is told when the caller has said nothing for long.
const ASK_IDLE: &str = "The caller has said nothing for a while. In the language of the conversation, ask in one \
                        short sentence whether somebody is still there.";

/// What the agent is told when the caller has said nothing to that either.
const NOBODY_THERE: &str = "The caller does not answer. In the language of the conversation, say in one short \
                            sentence that you are ending the call, and say goodbye. Ask nothing.";

/// What the agent is told when its session was lost while it spoke.
const GO_ON: &str = "The line to you broke while you were speaking. The caller has heard you up to the end of your \
                     last message. Go on from exactly there, in the same language. Greet nobody, and say nothing \
                     again that was said.";

/// The same, where the operator wants it said once more.
const SAY_AGAIN: &str = "The line to you broke while you were speaking, and your last message has no end. Say it once \
                         more from its beginning, and complete it, in the same language. Greet nobody.";

impl Talk {
    /// What the agent is told for one answer.
    pub(super) fn instructions(
        &self,
        purpose: Purpose,
        settings: &SessionSettings,
    ) -> Option<Cow<'static, str>> {
        let is_idle = self.goodbye.is_some_and(|goodbye| goodbye.reason == EndReason::CallerIdle);
        match purpose {
            Purpose::Answer => None,
            Purpose::AskIdle => Some(ASK_IDLE.into()),
            Purpose::Resume if self.recovery.resume == Resume::Repeat => Some(SAY_AGAIN.into()),
            Purpose::Resume => Some(GO_ON.into()),
            Purpose::Goodbye => Some(if is_idle { NOBODY_THERE } else { TIME_IS_UP }.into()),
            Purpose::Greeting => {
                let words = settings.greeting.as_deref().unwrap_or_default();
                Some(format!("Begin the call. Say exactly this and nothing else: {words}").into())
            }
        }
    }
}
