//! Which of the caller's turns are real, and who answers them.
//!
//! A server that hears the agent's own voice come back over the line takes it for a caller. Left to itself it
//! then stops the agent, and answers what the agent has said. Where the operator asked for a guard
//! (`BARGE_IN=guarded`) or for no interruption at all (`off`), the server is told to do neither, and both are
//! decided here.

use crate::meter::ECHO_MS;
use crate::playout::bounded;
use crate::realtime::Turns;
use crate::settings::{BargeIn, SessionSettings};

/// What becomes of a turn that has become an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The caller has spoken.
    Caller {
        /// The server does not answer it by itself, and it was not known.
        is_to_be_asked_for: bool,
    },
    /// It was the agent's own voice: the item is taken back and not answered.
    Echo,
}

/// How far the server's account of a turn's begin and end may lie behind what it was given, in milliseconds. What it
/// tells beyond that is not believed: some servers count from the last turn on, or tell nothing.
const BELIEVED_MS: u64 = 10_000;

/// A turn that has begun and whose end is not told lasts so long at most, in milliseconds, as far as answers that
/// wait for it are concerned.
const LONGEST_TURN_MS: u64 = 30_000;

#[derive(Debug)]
pub(super) struct CallerTurns {
    barge_in: BargeIn,
    interrupt_response: bool,
    prefix_padding_ms: u64,
    silence_duration_ms: u64,
    /// How much audio the server had been given when the agent was heard last, in milliseconds.
    last_heard_ms: Option<u64>,
    /// Somebody speaks, since so many milliseconds of what the server was given.
    speaks_since_ms: Option<u64>,
    /// Somebody speaks who may be the agent's echo.
    is_in_doubt: bool,
    /// The item of a turn that was found to be an echo and has not been taken back.
    echo: Option<String>,
    /// The item of the turn that was committed last.
    committed: String,
}

impl CallerTurns {
    pub(super) fn new(barge_in: BargeIn, session: &SessionSettings) -> Self {
        Self {
            barge_in,
            interrupt_response: session.interrupt_response,
            prefix_padding_ms: u64::from(session.turn_detection.prefix_padding_ms()),
            silence_duration_ms: u64::from(session.turn_detection.silence_duration_ms()),
            last_heard_ms: None,
            speaks_since_ms: None,
            is_in_doubt: false,
            echo: None,
            committed: String::new(),
        }
    }

    /// What the server is to do by itself.
    pub(super) fn of_the_server(&self) -> Turns {
        let is_on = self.barge_in == BargeIn::On;
        Turns { create_response: is_on, interrupt_response: is_on && self.interrupt_response }
    }

    /// Somebody began to speak, so many milliseconds into the `given_ms` that the server was given; the audio before
    /// the speech that belongs to its turn is part of it. Returns whether the agent is interrupted at once.
    pub(super) fn begin(&mut self, agent_is_heard: bool, audio_start_ms: Option<u64>, given_ms: u64) -> bool {
        let told = audio_start_ms.map(|start| start.saturating_add(self.prefix_padding_ms));
        let began = believed(told, given_ms);
        let may_be_echo = agent_is_heard || self.is_echo_time(began);
        self.echo = None;
        self.speaks_since_ms = Some(began);
        self.is_in_doubt = self.barge_in != BargeIn::On && may_be_echo;
        match self.barge_in {
            BargeIn::On => true,
            BargeIn::Guarded => !may_be_echo,
            BargeIn::Off => false,
        }
    }

    /// Notes whether the agent is heard, and looks at a turn that is in doubt; `was_loud` says whether the bridge
    /// itself heard a caller in the last so many milliseconds. Returns whether it has turned out to be the caller,
    /// who interrupts.
    pub(super) fn weigh(
        &mut self,
        agent_is_heard: bool,
        was_loud: impl FnOnce(u32) -> bool,
        given_ms: u64,
    ) -> bool {
        if agent_is_heard {
            self.last_heard_ms = Some(given_ms);
        }
        // The server takes its time to tell, and by then a short word is over: what counts is since it began.
        let since = given_ms.saturating_sub(self.speaks_since_ms.unwrap_or(given_ms));
        let is_caller = self.is_in_doubt && was_loud(u32::try_from(since).unwrap_or(u32::MAX));
        self.is_in_doubt &= !is_caller;
        is_caller && self.barge_in == BargeIn::Guarded
    }

    /// They stopped, so many milliseconds into the `given_ms` that the server was given; the silence by which the
    /// server knew is part of them.
    pub(super) fn stop(&mut self, item_id: &str, audio_end_ms: Option<u64>, given_ms: u64) {
        let end = believed(audio_end_ms, given_ms);
        let spoke_until = end.saturating_sub(self.silence_duration_ms);
        self.speaks_since_ms = None;
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
        self.speaks_since_ms = None;
        let was_in_doubt = core::mem::take(&mut self.is_in_doubt);
        let is_echo = self.echo.take().is_some_and(|echo| echo == bounded(item_id));
        if was_in_doubt || is_echo {
            return Verdict::Echo;
        }
        let is_news = item_id.is_empty() || self.committed != bounded(item_id);
        bounded(item_id).clone_into(&mut self.committed);
        Verdict::Caller { is_to_be_asked_for: is_news && self.barge_in != BargeIn::On }
    }

    /// Since when the caller has been speaking, in milliseconds of what the server was given. A turn whose end is never
    /// told counts as over after [`LONGEST_TURN_MS`].
    pub(super) fn speaks_since(&self, given_ms: u64) -> Option<u64> {
        self.speaks_since_ms.filter(|since| given_ms.saturating_sub(*since) < LONGEST_TURN_MS)
    }

    /// It is the caller who speaks, whatever is heard now.
    pub(super) const fn trust(&mut self) {
        self.is_in_doubt = false;
    }

    /// Whether who speaks, or has spoken and is not known to have become an item, may be the agent's echo.
    pub(super) const fn may_be_echo(&self) -> bool {
        self.is_in_doubt || self.echo.is_some()
    }

    /// The session is over: of the turns that it was hearing nothing more is told.
    pub(super) fn session_ends(&mut self) {
        (self.speaks_since_ms, self.is_in_doubt, self.echo) = (None, false, None);
        // Of what was heard last, what comes next is no echo: it is an earlier part of the call, or a later one.
        self.last_heard_ms = None;
        self.committed.clear();
    }

    /// Whether what the caller says is answered only when the agent has ended.
    pub(super) fn wait_for_the_agent(&self) -> bool {
        self.barge_in == BargeIn::Off
    }
}

/// What a server tells of its audio clock if it can be right, and otherwise now.
fn believed(told_ms: Option<u64>, given_ms: u64) -> u64 {
    told_ms.filter(|&told| given_ms.saturating_sub(told) <= BELIEVED_MS).unwrap_or(given_ms).min(given_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(barge_in: BargeIn) -> CallerTurns {
        CallerTurns::new(barge_in, &SessionSettings::default())
    }

    #[test]
    fn the_server_does_it_all_only_where_the_first_sound_counts() {
        let of = |barge_in| turns(barge_in).of_the_server();
        assert_eq!(of(BargeIn::On), Turns { create_response: true, interrupt_response: true });
        for barge_in in [BargeIn::Guarded, BargeIn::Off] {
            assert_eq!(of(barge_in), Turns { create_response: false, interrupt_response: false });
        }
    }

    /// The caller's, and the server does not answer it.
    const ASKED_FOR: Verdict = Verdict::Caller { is_to_be_asked_for: true };

    /// Nobody was loud, or somebody so many milliseconds ago.
    const QUIET: fn(u32) -> bool = |_| false;
    const LOUD: fn(u32) -> bool = |_| true;

    #[test]
    fn an_echo_interrupts_nobody_and_is_not_answered() {
        for barge_in in [BargeIn::Guarded, BargeIn::Off] {
            let mut turns = turns(barge_in);
            assert!(!turns.begin(true, Some(500), 1000));
            assert!(!turns.weigh(true, QUIET, 2000));
            // The agent ends at 2000 ms; its echo is heard until 2200, and the server knows at 2700.
            assert!(!turns.weigh(false, QUIET, 2700));
            turns.stop("u", Some(2700), 2700);
            assert_eq!(turns.commit("u"), Verdict::Echo);
        }
    }

    #[test]
    fn a_caller_who_is_loud_interrupts_and_is_answered() {
        let mut turns = turns(BargeIn::Guarded);
        assert!(!turns.begin(true, Some(600), 1000));
        assert!(turns.weigh(true, LOUD, 1000));
        assert!(!turns.weigh(true, LOUD, 1020), "once");
        turns.stop("u", Some(2700), 2700);
        assert_eq!(turns.commit("u"), ASKED_FOR);
    }

    #[test]
    fn where_nobody_can_interrupt_a_loud_caller_is_answered_all_the_same() {
        let mut turns = turns(BargeIn::Off);
        assert!(!turns.begin(true, Some(600), 1000));
        assert!(!turns.weigh(true, LOUD, 1000));
        turns.stop("u", Some(1700), 1700);
        assert_eq!(turns.commit("u"), ASKED_FOR);
        assert!(turns.wait_for_the_agent());
    }

    #[test]
    fn a_word_that_is_over_when_the_server_tells_of_it_is_looked_for_since_it_began() {
        let mut turns = turns(BargeIn::Guarded);
        assert!(!turns.begin(true, Some(700), 1500));
        let mut asked = 0;
        assert!(turns.weigh(
            true,
            |past_ms| {
                asked = past_ms;
                true
            },
            1520
        ));
        assert_eq!(asked, 520, "the speech began 300 ms behind the begin of its turn");
    }

    #[test]
    fn a_server_that_tells_no_time_or_counts_from_the_last_turn_is_not_believed() {
        for told in [None, Some(0), Some(u64::MAX)] {
            let mut turns = turns(BargeIn::Guarded);
            turns.weigh(true, QUIET, 5_000);
            assert!(turns.begin(false, told, 60_000), "the agent has been silent for long: {told:?}");
            turns.stop("u", told, 61_000);
            assert_eq!(turns.commit("u"), ASKED_FOR);
        }
    }

    #[test]
    fn a_quiet_caller_who_speaks_on_when_the_agent_has_ended_is_answered() {
        let mut turns = turns(BargeIn::Guarded);
        turns.begin(true, Some(1200), 1500);
        turns.weigh(true, QUIET, 2000);
        turns.stop("u", Some(3400), 3400);
        assert_eq!(turns.commit("u"), ASKED_FOR);
    }

    #[test]
    fn while_the_agent_is_silent_nothing_is_guarded() {
        let mut turns = turns(BargeIn::Guarded);
        turns.weigh(true, QUIET, 2000);
        assert!(turns.begin(false, Some(2100), 2500));
        turns.stop("u", Some(2900), 2900);
        assert_eq!(turns.commit("u"), ASKED_FOR);
    }

    #[test]
    fn a_turn_without_an_end_does_not_last_for_ever() {
        let mut turns = turns(BargeIn::Off);
        turns.begin(false, Some(9_500), 9_800);
        assert_eq!(turns.speaks_since(10_000), Some(9_800));
        assert_eq!(turns.speaks_since(9_800 + LONGEST_TURN_MS), None);
        turns.begin(false, Some(50_000), 50_300);
        turns.commit("u");
        assert_eq!(turns.speaks_since(50_400), None);
    }

    #[test]
    fn what_is_committed_twice_is_answered_once_and_by_the_server_where_it_does() {
        let mut turns = turns(BargeIn::Guarded);
        turns.begin(false, Some(0), 300);
        assert_eq!(turns.commit("u"), ASKED_FOR);
        assert_eq!(turns.commit("u"), Verdict::Caller { is_to_be_asked_for: false });
        let mut of_the_server = CallerTurns::new(BargeIn::On, &SessionSettings::default());
        of_the_server.begin(false, Some(0), 300);
        assert_eq!(of_the_server.commit("u"), Verdict::Caller { is_to_be_asked_for: false });
    }

    #[test]
    fn an_echo_that_the_server_tells_of_when_the_agent_has_ended_is_an_echo() {
        let mut turns = turns(BargeIn::Guarded);
        turns.weigh(true, QUIET, 2000);
        // It began at 2200 ms, of which the server takes 300 ms more into the turn.
        assert!(!turns.begin(false, Some(1900), 2300));
        turns.stop("u", Some(2750), 2750);
        assert_eq!(turns.commit("u"), Verdict::Echo);
    }
}
