//! One answer at a time: which is being made, which was asked for, and what still is to be answered.
//!
//! A server makes one response at a time and refuses a second one. It begins some by itself, when a turn of the
//! caller is over, and those race with the ones that are asked for here: a function's result may come in the moment
//! in which the server answers a turn. So nothing is asked for because of what happened once, but because of what is
//! *owed*: a turn, keys, results. Whatever the conversation held when a response began, that response answers; what
//! came later is asked for when it is done.

/// The longest response id that is told from others, in bytes; OpenAI's have about 30.
const MAX_RESPONSE_ID_BYTES: usize = 128;

/// An answer of which nothing was heard for so much of the caller's audio, in milliseconds, is taken to have ended
/// without a word: what waits for it must not wait for ever.
pub(super) const LOST_ANSWER_MS: u64 = 10_000;

/// A server that answers turns by itself begins to within so much of the caller's audio, in milliseconds. What is
/// asked for meanwhile would be refused.
const BEGINS_WITHIN_MS: u64 = 1_500;

/// How much may be owed at once. It is what two responses' functions, keys and a turn come to; what is beyond it is
/// in the conversation all the same and is answered with the rest.
const MAX_OWED: usize = 32;

/// How often an answer to the same thing is asked for. One that is refused that often will not be made.
const MAX_TRIES: u8 = 3;

/// Why the agent is asked to speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// The first words.
    Greeting,
    /// To answer what is owed.
    Answer,
    /// To ask whether the caller is still there.
    AskIdle,
    /// The last words.
    Goodbye,
}

/// What is to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Debt {
    /// The caller has spoken, and the server does not answer by itself.
    Turn,
    /// The caller has keyed something in.
    Keys,
    /// A function, or a tool of an MCP server, has answered.
    Result,
}

#[derive(Clone, Copy, Debug)]
struct Owed {
    debt: Debt,
    /// The number of the event that put it into the conversation, or of the last one before it got there.
    number: u32,
    /// The server has it in its conversation: it said so.
    is_known: bool,
    /// An answer has begun of which it is not known whether it is the one that was asked for.
    is_in_doubt: bool,
    tries: u8,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    number: u32,
    purpose: Purpose,
    at_ms: u64,
    /// The caller has cut it off before it began.
    is_muted: bool,
}

/// What stands in the way of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// The caller is speaking, or keying something in, and is not answered into.
    pub(super) caller_is_busy: bool,
    /// What the caller says is not answered while the agent is heard, and it is.
    pub(super) waits_for_agent: bool,
    /// Functions of the last answer are still under way: their results are answered together.
    pub(super) results_are_due: bool,
}

#[derive(Debug, Default)]
pub(super) struct Answers {
    is_active: bool,
    /// Why the active one was asked for; `None` if the server began it by itself.
    purpose: Option<Purpose>,
    /// How much audio the server had been given when something of it came last, in milliseconds.
    seen_ms: u64,
    /// The id of the one that is being made, or was made last, if the server names its answers.
    response: String,
    /// The one that has ended last, so that its end is not taken for another's if it is told again.
    ended: String,
    /// The one that the caller cut off: nothing that still comes of it is to be heard.
    muted: String,
    asked: Option<Asked>,
    /// The server is about to begin one by itself; since so much audio, in milliseconds.
    expected_ms: Option<u64>,
    /// What is to be asked for beside what is owed.
    wanted: Option<Purpose>,
    owed: Vec<Owed>,
    /// How many have failed since the caller spoke last, or since one was complete.
    failures: u8,
    /// The server repeats our numbers, so an answer without one is not ours.
    repeats_numbers: bool,
}

impl Answers {
    /// Something is to be answered. `number` is that of the event that put it into the conversation; `is_known` says
    /// whether the server has it there already.
    pub(super) fn owe(&mut self, debt: Debt, number: u32, is_known: bool) {
        if self.owed.len() < MAX_OWED {
            self.owed.push(Owed { debt, number, is_known, is_in_doubt: false, tries: 0 });
        }
    }

    /// A turn of the caller is to be answered. An answer that was asked for before and never began does not stand in
    /// the way of this one.
    pub(super) fn owe_turn(&mut self, number: u32) {
        self.asked = self.asked.filter(|asked| asked.purpose != Purpose::Answer);
        self.expected_ms = None;
        self.owed.retain(|owed| owed.debt != Debt::Turn);
        self.owe(Debt::Turn, number, true);
    }

    /// A turn of the caller is over, and the server is about to answer it by itself.
    pub(super) fn expect(&mut self, now_ms: u64) {
        self.failures = 0;
        self.expected_ms = Some(now_ms);
    }

    /// It was no turn.
    pub(super) fn expect_none(&mut self) {
        self.expected_ms = None;
    }

    /// The server has put into its conversation what event `number` brought.
    pub(super) fn is_known(&mut self, number: u32) {
        for owed in self.owed.iter_mut().filter(|owed| owed.number == number) {
            owed.is_known = true;
        }
    }

    /// The agent is to speak for this reason, when it can.
    pub(super) fn want(&mut self, purpose: Purpose) {
        self.wanted = Some(purpose);
    }

    /// Whether one is being made, asked for, or owed.
    pub(super) fn is_busy(&self) -> bool {
        self.is_active || self.asked.is_some() || self.wanted.is_some() || !self.owed.is_empty()
    }

    /// Whether one is being made.
    pub(super) const fn is_being_made(&self) -> bool {
        self.is_active
    }

    /// Whether one is being made or was asked for.
    pub(super) const fn is_under_way(&self) -> bool {
        self.is_active || self.asked.is_some()
    }

    /// Whether one was asked for that has not begun and is to be heard, and none is being made.
    pub(super) fn is_awaited(&self) -> bool {
        !self.is_active && self.asked.is_some_and(|asked| !asked.is_muted)
    }

    /// What is to be asked for now, if anything. [`Answers::is_asked`] follows if it is.
    pub(super) fn next(&self, now: Circumstances) -> Option<Purpose> {
        // Before the goodbye the server is given no more audio, by which the wait for its own answer could be counted.
        let is_expected = self.expected_ms.is_some() && self.wanted != Some(Purpose::Goodbye);
        if self.is_active || self.asked.is_some() || is_expected {
            return None;
        }
        let caller_waits = self.owed.iter().any(|owed| owed.debt != Debt::Result);
        let owed = if caller_waits {
            !now.caller_is_busy && !now.waits_for_agent
        } else {
            !self.owed.is_empty() && !now.caller_is_busy && !now.results_are_due
        };
        self.wanted.or(owed.then_some(Purpose::Answer))
    }

    /// An answer was asked for, by event `number`.
    pub(super) fn is_asked(&mut self, purpose: Purpose, number: u32, now_ms: u64) {
        if self.wanted == Some(purpose) {
            self.wanted = None;
        }
        if purpose == Purpose::Answer {
            self.owed.iter_mut().for_each(|owed| owed.tries += 1);
        }
        self.asked = Some(Asked { number, purpose, at_ms: now_ms, is_muted: false });
    }

    /// The server begins an answer, which is the one that event `number` asked for, if it says so.
    pub(super) fn begins(&mut self, response_id: &str, number: Option<u32>, now_ms: u64) {
        self.repeats_numbers |= number.is_some();
        let ours = self.take_asked(number);
        self.expected_ms = None;
        self.is_active = true;
        self.seen(response_id, now_ms);
        if self.ended == response_id {
            // Some servers may give all their answers one name.
            self.ended.clear();
        }
        self.purpose = ours.map(|asked| asked.purpose);
        if ours.is_some_and(|asked| asked.is_muted) {
            self.mute();
        }
        self.settle(ours, number.is_some());
    }

    /// The asked one, if it is this one: by its number, or else by its place in the order of things.
    fn take_asked(&mut self, number: Option<u32>) -> Option<Asked> {
        let is_ours = |asked: &mut Asked| match number {
            Some(number) => asked.number == number,
            None => !self.repeats_numbers,
        };
        self.asked.take_if(is_ours)
    }

    /// What the conversation held when an answer began is answered by it.
    fn settle(&mut self, ours: Option<Asked>, is_certain: bool) {
        self.owed.retain_mut(|owed| {
            let was_asked_for = ours.is_some_and(|asked| owed.number < asked.number);
            owed.is_in_doubt = was_asked_for && !is_certain;
            !owed.is_known && (!was_asked_for || owed.is_in_doubt)
        });
    }

    /// Something of an answer has come. Allocates only when an id is longer than any before.
    pub(super) fn seen(&mut self, response_id: &str, now_ms: u64) {
        self.seen_ms = now_ms;
        let is_new = response_id.len() <= MAX_RESPONSE_ID_BYTES && self.response != response_id;
        if is_new && !response_id.is_empty() {
            self.response.clear();
            self.response.push_str(response_id);
        }
    }

    /// An answer has come to its end, perhaps without a word of its beginning. Returns why it was made, if that was
    /// decided here.
    pub(super) fn ends(&mut self, response_id: &str, number: Option<u32>) -> Option<Purpose> {
        if !response_id.is_empty() && self.ended == response_id {
            return None;
        }
        let is_other = !response_id.is_empty() && !self.response.is_empty() && self.response != response_id;
        if self.is_active && !is_other {
            self.ended.clone_from(&self.response);
            self.is_over();
            return self.purpose.take();
        }
        if response_id.len() <= MAX_RESPONSE_ID_BYTES {
            response_id.clone_into(&mut self.ended);
        }
        let ours = self.take_asked(number);
        self.expected_ms = None;
        self.settle(ours, true);
        ours.map(|asked| asked.purpose)
    }

    /// Nothing more comes of the one that is being made. No refusal has come, so it was the one that was asked for.
    fn is_over(&mut self) {
        self.is_active = false;
        self.owed.retain(|owed| !owed.is_in_doubt);
    }

    /// The one that has just ended, which was made for this reason, has failed: it is asked for again after a pause, but
    /// not for ever. `number` is that of the last event.
    pub(super) fn failed(&mut self, purpose: Option<Purpose>, number: u32, now_ms: u64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= MAX_TRIES {
            return;
        }
        match purpose {
            Some(purpose @ (Purpose::Greeting | Purpose::AskIdle)) => {
                self.wanted.get_or_insert(purpose);
            }
            Some(Purpose::Goodbye) => return,
            Some(Purpose::Answer) | None => self.owe(Debt::Turn, number, true),
        }
        self.expected_ms = Some(now_ms);
    }

    /// The one that has just ended is complete.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The server complains of event `number`, if it says of which; `for_another` says whether that is because it is
    /// making another answer. Returns what will not be made, if it was an answer that was asked for.
    pub(super) fn refused(&mut self, number: Option<u32>, for_another: bool, now_ms: u64) -> Option<Purpose> {
        if for_another {
            if !self.is_active {
                // It has another name than the one that was made last, and that was not told.
                self.response.clear();
            }
            self.is_active = true;
            self.seen_ms = now_ms;
            // So the one that has begun was not the one that was asked for.
            self.owed.iter_mut().for_each(|owed| owed.is_in_doubt = false);
        }
        let is_it = |asked: &mut Asked| number.map_or(for_another, |number| number == asked.number);
        let refused = self.asked.take_if(is_it)?;
        if refused.purpose == Purpose::Answer {
            // What was refused for itself will be refused again.
            self.owed.retain(|owed| owed.number >= refused.number || (for_another && owed.tries < MAX_TRIES));
        }
        Some(refused.purpose)
    }

    /// Gives up on what nothing was heard of for too long.
    pub(super) fn give_up_on_lost(&mut self, now_ms: u64) {
        let is_lost = |since: u64| now_ms.saturating_sub(since) > LOST_ANSWER_MS;
        self.expected_ms.take_if(|since| now_ms.saturating_sub(*since) > BEGINS_WITHIN_MS);
        if self.is_active && is_lost(self.seen_ms) {
            self.is_over();
        }
        if self.asked.take_if(|asked| is_lost(asked.at_ms)).is_some() {
            self.owed.retain(|owed| owed.tries < MAX_TRIES);
        }
    }

    /// Nothing that still comes of the answer that is being made is to be heard.
    pub(super) fn mute(&mut self) {
        self.muted.clone_from(&self.response);
    }

    /// Nor of the one that was asked for and has not begun.
    pub(super) fn mute_asked(&mut self) {
        if let Some(asked) = &mut self.asked {
            asked.is_muted = !self.is_active;
        }
    }

    /// Whether nothing of this answer is to be heard.
    pub(super) fn is_muted(&self, response_id: &str) -> bool {
        !response_id.is_empty() && self.muted == response_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAR: Circumstances =
        Circumstances { caller_is_busy: false, waits_for_agent: false, results_are_due: false };

    /// A server that repeats numbers, as OpenAI's does.
    fn answers() -> Answers {
        Answers { repeats_numbers: true, ..Answers::default() }
    }

    #[test]
    fn a_result_that_came_before_the_servers_own_answer_is_answered_by_it() {
        let mut answers = answers();
        answers.owe(Debt::Result, 1, false);
        answers.is_asked(Purpose::Answer, 2, 0);
        answers.is_known(1);
        answers.begins("theirs", None, 0);
        assert_eq!(answers.refused(Some(2), true, 0), Some(Purpose::Answer));
        answers.ends("theirs", None);
        assert_eq!(answers.next(CLEAR), None);
    }

    #[test]
    fn a_result_that_came_too_late_for_it_is_asked_for_again_when_it_is_done() {
        let mut answers = answers();
        answers.begins("theirs", None, 0);
        answers.owe(Debt::Result, 1, false);
        answers.is_known(1);
        assert_eq!(answers.next(CLEAR), None, "one answer at a time");
        answers.ends("theirs", None);
        assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
        answers.is_asked(Purpose::Answer, 2, 0);
        answers.begins("theirs too", None, 0);
        answers.refused(None, true, 0);
        answers.ends("theirs too", None);
        assert_eq!(answers.next(CLEAR), None, "the second of theirs has answered it");
    }

    #[test]
    fn without_numbers_a_refusal_tells_that_the_answer_that_began_was_another() {
        let mut answers = Answers::default();
        answers.owe(Debt::Result, 1, false);
        answers.is_asked(Purpose::Answer, 2, 0);
        answers.begins("r", None, 0);
        answers.refused(None, true, 0);
        answers.ends("r", None);
        assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
        answers.is_asked(Purpose::Answer, 3, 0);
        answers.begins("s", None, 0);
        answers.ends("s", None);
        assert_eq!(answers.next(CLEAR), None);
    }

    #[test]
    fn results_wait_for_each_other_but_a_caller_does_not_wait_for_them() {
        let mut answers = answers();
        answers.owe(Debt::Result, 1, true);
        let due = Circumstances { results_are_due: true, ..CLEAR };
        assert_eq!(answers.next(due), None);
        assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
        answers.owe(Debt::Keys, 2, true);
        assert_eq!(answers.next(due), Some(Purpose::Answer));
        assert_eq!(answers.next(Circumstances { caller_is_busy: true, ..CLEAR }), None);
        assert_eq!(answers.next(Circumstances { waits_for_agent: true, ..CLEAR }), None);
    }

    #[test]
    fn what_is_refused_again_and_again_is_given_up() {
        for for_another in [false, true] {
            let mut answers = answers();
            answers.owe(Debt::Turn, 0, true);
            let mut asked = 0;
            while answers.next(CLEAR).is_some() {
                asked += 1;
                answers.is_asked(Purpose::Answer, asked, 0);
                answers.refused(Some(asked), for_another, 0);
                answers.ends("", None);
                assert!(asked < 10, "it asks for ever");
            }
            assert_eq!(asked, if for_another { u32::from(MAX_TRIES) } else { 1 });
        }
    }

    #[test]
    fn what_came_behind_the_question_is_not_refused_with_it() {
        let mut answers = answers();
        answers.owe(Debt::Keys, 1, true);
        answers.is_asked(Purpose::Answer, 2, 0);
        // A tool of an MCP server answers, for which no event of ours stands.
        answers.owe(Debt::Result, 2, true);
        answers.refused(Some(2), false, 0);
        assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
    }

    #[test]
    fn an_answer_of_which_nothing_more_is_heard_stands_in_nobodys_way() {
        let mut answers = answers();
        answers.begins("r", None, 1_000);
        answers.owe(Debt::Keys, 1, true);
        answers.give_up_on_lost(11_000);
        assert_eq!(answers.next(CLEAR), None);
        answers.give_up_on_lost(11_001);
        assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
        answers.is_asked(Purpose::Answer, 2, 11_001);
        answers.give_up_on_lost(21_002);
        assert_eq!(answers.next(CLEAR), Some(Purpose::Answer), "nor one that never begins");
    }

    #[test]
    fn what_the_server_is_about_to_answer_is_not_asked_for() {
        let mut answers = answers();
        answers.owe(Debt::Keys, 1, true);
        answers.expect(1_000);
        answers.give_up_on_lost(2_500);
        assert_eq!(answers.next(CLEAR), None);
        answers.give_up_on_lost(2_501);
        assert_eq!(answers.next(CLEAR), Some(Purpose::Answer), "it does not, after all");
        answers.expect(3_000);
        answers.begins("theirs", None, 3_000);
        answers.ends("theirs", None);
        assert_eq!(answers.next(CLEAR), None, "it did");
        answers.expect(4_000);
        answers.want(Purpose::Goodbye);
        assert_eq!(answers.next(CLEAR), Some(Purpose::Goodbye), "which waits for nobody");
    }

    #[test]
    fn the_end_of_another_answer_is_not_the_end_of_the_one_that_was_asked_for() {
        let mut answers = answers();
        answers.is_asked(Purpose::Goodbye, 5, 0);
        answers.begins("theirs", None, 0);
        assert_eq!(answers.ends("theirs", None), None);
        assert!(answers.is_under_way());
        answers.begins("ours", Some(5), 0);
        assert_eq!(answers.ends("ours", Some(5)), Some(Purpose::Goodbye));
    }

    #[test]
    fn an_end_that_is_told_twice_settles_nothing_that_came_in_between() {
        let mut answers = answers();
        answers.begins("r", None, 0);
        answers.ends("r", None);
        answers.owe_turn(1);
        answers.ends("r", None);
        assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
        answers.begins("s", None, 0);
        answers.owe_turn(2);
        answers.ends("r", None);
        assert_eq!(answers.next(CLEAR), None, "another one is being made");
        answers.ends("s", None);
        assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
        // Nor is it the end of one that was asked for since, also where a server repeats no numbers.
        let mut answers = Answers::default();
        answers.begins("r", None, 0);
        answers.ends("r", None);
        answers.is_asked(Purpose::Goodbye, 5, 0);
        assert_eq!(answers.ends("r", None), None);
        assert!(answers.is_under_way());
    }

    #[test]
    fn the_end_of_an_answer_of_which_only_a_refusal_told_is_its_end() {
        let mut answers = answers();
        answers.begins("r", None, 0);
        answers.ends("r", None);
        answers.owe_turn(1);
        answers.is_asked(Purpose::Answer, 2, 0);
        answers.refused(Some(2), true, 0);
        answers.ends("theirs", None);
        assert_eq!(answers.next(CLEAR), Some(Purpose::Answer));
    }

    #[test]
    fn an_answer_may_end_without_a_word_of_its_beginning() {
        let mut answers = answers();
        answers.is_asked(Purpose::Goodbye, 5, 0);
        assert_eq!(answers.ends("ours", Some(5)), Some(Purpose::Goodbye));
        assert!(!answers.is_under_way());
    }
}
