//! Which of the caller's turns are real, and who answers them.
//!
//! A server that hears the agent's own voice come back over the line takes it for a caller. Left to itself it
//! then stops the agent, and answers what the agent has said. Where the operator asked for a guard
//! (`BARGE_IN=guarded`) or for no interruption at all (`off`), the server is told to do neither, and both are
//! decided here.

use crate::meter::ECHO_MS;
use crate::playout::bounded;
use crate::realtime::Turns;
use crate::settings::{BargeIn, VadSettings};

/// What becomes of a turn that has become an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The caller has spoken.
    Caller,
    /// It was the agent's own voice: the item is taken back and not answered.
    Echo,
}

#[derive(Debug)]
pub(super) struct CallerTurns {
    barge_in: BargeIn,
    vad: VadSettings,
    /// How much audio the server had been given when the agent was heard last, in milliseconds.
    last_heard_ms: Option<u64>,
    /// Somebody speaks who may be the agent's echo.
    is_in_doubt: bool,
    /// The item of a turn that was found to be an echo and has not been taken back.
    echo: Option<String>,
    /// A turn is to be answered as soon as no other answer is being made.
    is_wanted: bool,
    /// An answer was asked for and has not begun.
    is_asked: bool,
}

impl CallerTurns {
    pub(super) fn new(barge_in: BargeIn, vad: &VadSettings) -> Self {
        Self {
            barge_in,
            vad: vad.clone(),
            last_heard_ms: None,
            is_in_doubt: false,
            echo: None,
            is_wanted: false,
            is_asked: false,
        }
    }

    /// What the server is to do by itself.
    pub(super) fn of_the_server(&self) -> Turns {
        let is_on = self.barge_in == BargeIn::On;
        Turns { create_response: is_on, interrupt_response: is_on && self.vad.interrupt_response }
    }

    /// Somebody began to speak, so many milliseconds into what the server was given; the audio before the speech
    /// that belongs to its turn is part of it. Returns whether the agent is interrupted at once.
    pub(super) fn begin(&mut self, agent_is_heard: bool, audio_start_ms: u64) -> bool {
        let began = audio_start_ms.saturating_add(u64::from(self.vad.prefix_padding_ms));
        let may_be_echo = agent_is_heard || self.is_echo_time(began);
        self.echo = None;
        self.is_in_doubt = self.barge_in == BargeIn::Guarded && may_be_echo;
        match self.barge_in {
            BargeIn::On => true,
            BargeIn::Guarded => !may_be_echo,
            BargeIn::Off => false,
        }
    }

    /// Notes whether the agent is heard, and looks at a turn that is in doubt. Returns whether it has turned out
    /// to be the caller, who interrupts.
    pub(super) fn weigh(&mut self, agent_is_heard: bool, caller_is_loud: bool, given_ms: u64) -> bool {
        if agent_is_heard {
            self.last_heard_ms = Some(given_ms);
        }
        self.is_in_doubt && core::mem::replace(&mut self.is_in_doubt, !caller_is_loud) && caller_is_loud
    }

    /// They stopped, so many milliseconds into what the server was given; the silence by which the server knew
    /// is part of them.
    pub(super) fn stop(&mut self, item_id: &str, audio_end_ms: u64) {
        let spoke_until = audio_end_ms.saturating_sub(u64::from(self.vad.silence_duration_ms));
        if core::mem::take(&mut self.is_in_doubt) && self.is_echo_time(spoke_until) {
            self.echo = Some(bounded(item_id).to_owned());
        }
    }

    /// Whether the agent was heard then, or so shortly before that its echo may have been.
    fn is_echo_time(&self, audio_ms: u64) -> bool {
        self.last_heard_ms.is_some_and(|heard| audio_ms <= heard.saturating_add(u64::from(ECHO_MS)))
    }

    /// A turn has become an item.
    pub(super) fn commit(&mut self, item_id: &str) -> Verdict {
        let was_in_doubt = core::mem::take(&mut self.is_in_doubt);
        let is_echo = self.echo.take().is_some_and(|echo| echo == bounded(item_id));
        if was_in_doubt || is_echo {
            return Verdict::Echo;
        }
        // One that was asked for and never began does not stand in the way of this one.
        (self.is_wanted, self.is_asked) = (self.barge_in != BargeIn::On, false);
        Verdict::Caller
    }

    /// Whether an answer is to be asked for now. It counts as asked for then. A caller who cannot interrupt is
    /// answered when the agent has ended.
    pub(super) fn ask(&mut self, is_answering: bool, agent_is_heard: bool) -> bool {
        let waits = is_answering || self.is_asked || (self.barge_in == BargeIn::Off && agent_is_heard);
        let now = self.is_wanted && !waits;
        if now {
            (self.is_wanted, self.is_asked) = (false, true);
        }
        now
    }

    /// The agent was asked to speak for another reason.
    pub(super) fn asked_otherwise(&mut self) {
        self.is_asked = true;
    }

    /// Whether an answer was asked for that has not begun.
    pub(super) fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// An answer begins, or has ended without a word of its beginning.
    pub(super) fn answer_begins(&mut self) {
        self.is_asked = false;
    }

    /// The server could not make an answer. If that was because it is making another one, ours is asked for
    /// again behind that one.
    pub(super) fn refused(&mut self, for_another: bool) {
        self.is_asked = false;
        self.is_wanted |= for_another && self.barge_in != BargeIn::On;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(barge_in: BargeIn) -> CallerTurns {
        CallerTurns::new(barge_in, &VadSettings::default())
    }

    #[test]
    fn the_server_does_it_all_only_where_the_first_sound_counts() {
        let of = |barge_in| turns(barge_in).of_the_server();
        assert_eq!(of(BargeIn::On), Turns { create_response: true, interrupt_response: true });
        for barge_in in [BargeIn::Guarded, BargeIn::Off] {
            assert_eq!(of(barge_in), Turns { create_response: false, interrupt_response: false });
        }
    }

    #[test]
    fn an_echo_interrupts_nobody_and_is_not_answered() {
        let mut turns = turns(BargeIn::Guarded);
        assert!(!turns.begin(true, 500));
        assert!(!turns.weigh(true, false, 2000));
        // The agent ends at 2000 ms; its echo is heard until 2200, and the server knows at 2700.
        assert!(!turns.weigh(false, false, 2700));
        turns.stop("u", 2700);
        assert_eq!(turns.commit("u"), Verdict::Echo);
        assert!(!turns.ask(false, false));
    }

    #[test]
    fn a_caller_who_is_loud_interrupts_and_is_answered() {
        let mut turns = turns(BargeIn::Guarded);
        assert!(!turns.begin(true, 900));
        assert!(turns.weigh(true, true, 1000));
        assert!(!turns.weigh(true, true, 1020), "once");
        turns.stop("u", 2700);
        assert_eq!(turns.commit("u"), Verdict::Caller);
        assert!(turns.ask(false, false));
    }

    #[test]
    fn a_quiet_caller_who_speaks_on_when_the_agent_has_ended_is_answered() {
        let mut turns = turns(BargeIn::Guarded);
        turns.begin(true, 1500);
        turns.weigh(true, false, 2000);
        turns.stop("u", 3400);
        assert_eq!(turns.commit("u"), Verdict::Caller);
    }

    #[test]
    fn while_the_agent_is_silent_nothing_is_guarded() {
        let mut turns = turns(BargeIn::Guarded);
        turns.weigh(true, false, 2000);
        assert!(turns.begin(false, 2100));
        turns.stop("u", 2900);
        assert_eq!(turns.commit("u"), Verdict::Caller);
    }

    #[test]
    fn one_answer_at_a_time_and_a_refused_one_is_asked_for_again() {
        let mut turns = turns(BargeIn::Off);
        assert!(!turns.begin(true, 0));
        turns.commit("u");
        assert!(!turns.ask(false, true), "the agent is still being heard");
        assert!(!turns.ask(true, false), "another one is being made");
        assert!(turns.ask(false, false));
        assert!(!turns.ask(false, false), "it is asked for");
        turns.refused(true);
        assert!(turns.ask(false, false));
        turns.answer_begins();
        assert!(!turns.ask(false, false));
    }

    #[test]
    fn an_echo_that_the_server_tells_of_when_the_agent_has_ended_is_an_echo() {
        let mut turns = turns(BargeIn::Guarded);
        turns.weigh(true, false, 2000);
        // It began at 2200 ms, of which the server takes 300 ms more into the turn.
        assert!(!turns.begin(false, 1900));
        turns.stop("u", 2750);
        assert_eq!(turns.commit("u"), Verdict::Echo);
    }

    #[test]
    fn an_answer_that_never_begins_does_not_silence_the_next_one() {
        let mut turns = turns(BargeIn::Guarded);
        turns.begin(false, 0);
        turns.commit("u");
        assert!(turns.ask(false, false));
        turns.begin(false, 0);
        turns.commit("v");
        assert!(turns.ask(false, false));
    }
}
