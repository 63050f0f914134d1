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

/// What the agent is told when the process is going away.
const STOPPING: &str = "This telephone service is being stopped for maintenance and cannot go on with this call. In the \
                        language of the conversation, tell the caller so in one short sentence, apologise, and say \
                        goodbye. Ask nothing.";

/// What the agent is told about a caller whose call was lost and who is taken on again. It has no memory of the caller.
const INTERRUPTED: &str = "The line to a caller who was already speaking with you was interrupted for a moment, and what \
                           was said before is lost. In the language of the conversation so far, or else of your \
                           instructions, say in one or two short sentences that the line was interrupted, apologise, \
                           and ask how you can go on helping.";

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
        match purpose {
            Purpose::Answer => None,
            Purpose::AskIdle => Some(ASK_IDLE.into()),
            Purpose::Resume if self.recovery.resume == Resume::Repeat => Some(SAY_AGAIN.into()),
            Purpose::Resume => Some(GO_ON.into()),
            Purpose::Goodbye => Some(self.last_words().into()),
            Purpose::Greeting => {
                let words = settings.greeting.as_deref().unwrap_or_default();
                Some(format!("Begin the call. Say exactly this and nothing else: {words}").into())
            }
            Purpose::GreetAgain => Some(match &settings.adopted_greeting {
                Some(words) => format!("Begin to speak. Say exactly this and nothing else: {words}").into(),
                None => INTERRUPTED.into(),
            }),
        }
    }

    /// What the agent is told about its goodbye.
    fn last_words(&self) -> &'static str {
        match self.goodbye.map(|goodbye| goodbye.reason) {
            Some(EndReason::CallerIdle) => NOBODY_THERE,
            Some(EndReason::Shutdown) => STOPPING,
            _ => TIME_IS_UP,
        }
    }
}
