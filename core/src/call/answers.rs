//! One answer at a time: which is being made, which was asked for, and what still is to be answered.
//!
//! A server makes one response at a time and refuses a second one. It begins some by itself, when a turn of the
//! caller is over, and those race with the ones that are asked for here: a function's result may come in the moment
//! in which the server answers a turn. So nothing is asked for because of what happened once, but because of what is
//! *owed*: a turn, keys, results. Whatever the conversation held when a response began, that response answers; what
//! came later is asked for when it is done.

use crate::time::{Duration, Instant};

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

/// How often an answer to the same thing is asked for while the server makes others. One that is refused that often
/// will not be made.
const MAX_TRIES: u8 = 3;

/// How long it is waited before an answer that has failed is asked for again, if the server does not say how long.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The longest such wait. A caller waits no longer for an answer than for a session.
const LONGEST_AGAIN: Duration = Duration::from_secs(8);

/// Why the agent is asked to speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// The first words.
    Greeting,
    /// The first words to a caller whose call was lost and who is taken on again.
    GreetAgain,
    /// To answer what is owed.
    Answer,
    /// To ask whether the caller is still there.
    AskIdle,
    /// To go on with what the loss of a session has cut off.
    Resume,
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

/// What becomes of an answer that has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failed {
    /// It is asked for again after this.
    Again { wait: Duration },
    /// It is not.
    GivenUp,
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
    /// Something that the agent has said is still being heard.
    pub(super) agent_is_heard: bool,
    /// Functions of the last answer are still under way: their results are answered together.
    pub(super) results_are_due: bool,
    pub(super) now: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Answers {
    is_active: bool,
    /// Why the active one was asked for; `None` if the server began it by itself.
    purpose: Option<Purpose>,
    /// How much audio the server had been given when something of it came last, in milliseconds.
    seen_ms: u64,
    /// Audio of it has come that is heard, and more may.
    is_cut_short: bool,
    /// Audio of it has come that is heard.
    has_spoken: bool,
    /// It has called a function, whose result is answered.
    has_called: bool,
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
    /// One has failed, and may be asked for again then.
    again_at: Option<Instant>,
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
        let is_too_early = self.again_at.is_some_and(|at| at > now.now);
        if self.is_active || self.asked.is_some() || is_expected || is_too_early {
            return None;
        }
        let must_wait = match self.wanted {
            Some(Purpose::Resume) => now.caller_is_busy || now.agent_is_heard,
            Some(Purpose::AskIdle) => now.caller_is_busy,
            Some(Purpose::Greeting | Purpose::GreetAgain | Purpose::Answer | Purpose::Goodbye) | None => {
                false
            }
        };
        if must_wait {
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
        self.again_at = None;
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
        (self.expected_ms, self.again_at) = (None, None);
        (self.is_active, self.has_spoken, self.is_cut_short, self.has_called) = (true, false, false, false);
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

    /// Audio of the one that is being made has come, and is heard.
    pub(super) fn speaks(&mut self) {
        (self.has_spoken, self.is_cut_short) = (true, true);
    }

    /// It has called a function.
    pub(super) fn calls(&mut self) {
        self.has_called = true;
    }

    /// All audio of its item has come.
    pub(super) fn has_spoken_out(&mut self) {
        self.is_cut_short = false;
    }

    /// Whether the end of this answer was told before.
    pub(super) fn has_ended(&self, response_id: &str) -> bool {
        !response_id.is_empty() && self.ended == response_id
    }

    /// Whether the one that is being made was asked for with this purpose.
    pub(super) fn makes(&self, purpose: Purpose) -> bool {
        self.is_active && self.purpose == Some(purpose)
    }

    /// Whether audio of the one that was made last has come and is heard.
    pub(super) const fn has_spoken(&self) -> bool {
        self.has_spoken
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

    /// An answer that was made for this reason has failed, or will not be made: it is asked for once more, after as long
    /// as the server asks for, if it does. `number` is that of the last event.
    pub(super) fn failed(
        &mut self,
        purpose: Option<Purpose>,
        number: u32,
        now: Instant,
        reset: Option<Duration>,
    ) -> Failed {
        self.failures = self.failures.saturating_add(1);
        if self.failures > 1 || purpose == Some(Purpose::Goodbye) {
            // A new turn of the caller has its own chance.
            self.failures = 0;
            return Failed::GivenUp;
        }
        match purpose {
            Some(
                purpose @ (Purpose::Greeting | Purpose::GreetAgain | Purpose::AskIdle | Purpose::Resume),
            ) => {
                self.wanted.get_or_insert(purpose);
            }
            Some(Purpose::Answer | Purpose::Goodbye) | None => self.owe(Debt::Turn, number, true),
        }
        let wait = reset.unwrap_or(AGAIN_AFTER).clamp(AGAIN_AFTER, LONGEST_AGAIN);
        self.again_at = Some(now + wait);
        Failed::Again { wait }
    }

    /// When one that has failed may be asked for again.
    pub(super) const fn again_at(&self) -> Option<Instant> {
        self.again_at
    }

    /// The caller speaks, or presses a key, and is not spoken to about what was before.
    pub(super) fn speech_begins(&mut self) {
        self.wanted.take_if(|wanted| matches!(wanted, Purpose::Resume | Purpose::AskIdle));
    }

    /// The session is over. What is owed is owed still, and so is what was being made or asked for; if something of it
    /// was heard and it `resumes`, to go on with that is.
    pub(super) fn session_ends(&mut self, resumes: bool) {
        let purpose = if self.is_active { self.purpose } else { self.asked.map(|asked| asked.purpose) };
        let is_wanted = !self.is_muted(&self.response);
        let was_heard = self.is_active && self.has_spoken;
        let was_cut = self.is_active && self.is_cut_short && is_wanted;
        if was_heard {
            if was_cut && resumes {
                self.wanted.get_or_insert(Purpose::Resume);
            }
        } else if self.is_active && self.has_called {
            // The result is owed an answer, when it comes.
        } else if let Some(purpose) = purpose.filter(|purpose| *purpose != Purpose::Answer) {
            self.wanted.get_or_insert(purpose);
        } else if self.is_active || self.asked.is_some() || self.expected_ms.is_some() {
            self.owe(Debt::Turn, 0, true);
        }
        self.start_over();
        self.muted.clear();
        self.repeats_numbers = false;
        for owed in &mut self.owed {
            *owed = Owed { number: 0, is_known: true, is_in_doubt: false, tries: 0, ..*owed };
        }
    }

    /// Nothing is being made, asked for or expected.
    pub(super) fn start_over(&mut self) {
        (self.is_active, self.has_spoken, self.is_cut_short) = (false, false, false);
        (self.purpose, self.asked, self.expected_ms) = (None, None, None);
        for name in [&mut self.response, &mut self.ended] {
            name.clear();
        }
    }

    /// The caller's turns are heard anew, so they need not be answered before.
    pub(super) fn forget_turns(&mut self) {
        self.owed.retain(|owed| owed.debt != Debt::Turn);
        self.wanted.take_if(|wanted| *wanted == Purpose::Resume);
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
        if let Some(lost) = self.asked.take_if(|asked| is_lost(asked.at_ms)) {
            self.owed.retain(|owed| owed.tries < MAX_TRIES);
            // What is not owed is wanted once more.
            let is_owed = matches!(lost.purpose, Purpose::Answer | Purpose::Goodbye);
            if !is_owed && !lost.is_muted && self.failures == 0 {
                self.failures = 1;
                self.wanted.get_or_insert(lost.purpose);
            }
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
mod tests;
