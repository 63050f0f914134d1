//! What was said, keyed in and looked up so far, so that another session can be told.
//!
//! A session cannot be taken up again once it has ended; a new one knows nothing. What it is told is text: the words
//! of the agent that were *heard*, the words of the caller where somebody writes them down, and what functions
//! have brought. The oldest is forgotten first.

use crate::playout::bounded;
use crate::transcript::MAX_TRANSCRIPT_BYTES;
use std::collections::VecDeque;

/// The most that is remembered, in entries; a call of an hour has some hundred.
const MAX_ENTRIES: usize = 1000;

/// The longest text of one entry, in bytes. It is some minutes of speech.
pub(super) const MAX_TEXT_BYTES: usize = 8 * 1024;

/// How many bytes of text a token is taken to have. English has four and other languages have fewer, so this errs on
/// the safe side.
const BYTES_PER_TOKEN: usize = 3;

/// What an item costs beside its text, in tokens.
const TOKENS_PER_ENTRY: usize = 5;

/// What stands in the place of a caller's words that nobody has written down.
pub(super) const NOT_WRITTEN_DOWN: &str = "(The caller said something here that was not written down.)";

/// Something that happened in the conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// The caller has spoken: the item that the turn became, and the words if they are known.
    Caller { item_id: String, text: Option<String> },
    /// The caller has told something without speaking.
    Told(String),
    /// What was heard of what the agent said.
    Agent(String),
    /// The agent has called a function.
    Called { call_id: String, name: String, arguments: String },
    /// What came of it.
    Returned { call_id: String, name: String, output: String },
    /// A turn of the caller that is given to the next session as it was heard, and not in words.
    GivenAgain,
}

impl Entry {
    fn text(&self) -> &str {
        match self {
            Self::Caller { text, .. } => text.as_deref().unwrap_or(NOT_WRITTEN_DOWN),
            Self::Told(text) | Self::Agent(text) => text,
            Self::Called { arguments, .. } => arguments,
            Self::Returned { output, .. } => output,
            Self::GivenAgain => "",
        }
    }

    fn tokens(&self) -> usize {
        self.text().len() / BYTES_PER_TOKEN + TOKENS_PER_ENTRY
    }
}

#[derive(Debug)]
pub(super) struct History {
    max_tokens: usize,
    tokens: usize,
    entries: VecDeque<Entry>,
    /// The number of the first of them: so many were forgotten before it.
    first: u64,
    /// Nothing from this number on is forgotten before it was told: there is no session.
    untold: Option<u64>,
}

impl History {
    pub(super) fn new(max_tokens: u32) -> Self {
        Self { max_tokens: max_tokens as usize, tokens: 0, entries: VecDeque::new(), first: 0, untold: None }
    }

    /// Remembers this behind all others.
    pub(super) fn push(&mut self, entry: Entry) {
        self.tokens += entry.tokens();
        self.entries.push_back(entry);
        self.forget_oldest();
    }

    /// The words of a turn of the caller are known now.
    pub(super) fn caller_said(&mut self, item_id: &str, words: &str) {
        let is_it =
            |entry: &&mut Entry| matches!(entry, Entry::Caller { item_id: id, .. } if id == bounded(item_id));
        let Some(entry) = self.entries.iter_mut().rev().find(is_it) else { return };
        let before = entry.tokens();
        if let Entry::Caller { text, .. } = entry {
            *text = Some(shortened(words).to_owned());
        }
        self.tokens = (self.tokens + entry.tokens()).saturating_sub(before);
        self.forget_oldest();
    }

    /// The caller's turns from this number on are given to the next session as they were heard, and not in words.
    pub(super) fn give_turns_again(&mut self, from: u64) {
        let at = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        for entry in self.entries.iter_mut().skip(at).filter(|entry| matches!(entry, Entry::Caller { .. })) {
            let before = entry.tokens();
            *entry = Entry::GivenAgain;
            self.tokens = (self.tokens + entry.tokens()).saturating_sub(before);
        }
    }

    /// Whether there is a session, which is told of everything when it happens.
    pub(super) fn has_session(&mut self, has_session: bool) {
        self.untold = (!has_session).then(|| self.end());
        self.forget_oldest();
    }

    /// The number behind the last entry.
    pub(super) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The entry of this number, or the first behind it that is remembered, and its own number.
    pub(super) fn at(&self, number: u64) -> Option<(u64, &Entry)> {
        let number = number.max(self.first);
        let entry = self.entries.get(usize::try_from(number - self.first).ok()?)?;
        Some((number, entry))
    }

    fn forget_oldest(&mut self) {
        while self.tokens > self.max_tokens || self.entries.len() > MAX_ENTRIES {
            if self.untold.is_some_and(|untold| untold <= self.first) {
                return;
            }
            let Some(entry) = self.entries.pop_front() else { return };
            self.tokens = self.tokens.saturating_sub(entry.tokens());
            self.first += 1;
        }
    }
}

/// The leading part of a text that is carried over.
pub(super) fn shortened(text: &str) -> &str {
    const LONGEST: usize =
        if MAX_TRANSCRIPT_BYTES < MAX_TEXT_BYTES { MAX_TRANSCRIPT_BYTES } else { MAX_TEXT_BYTES };
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(text: &str) -> Entry {
        Entry::Agent(text.to_owned())
    }

    fn caller(item_id: &str) -> Entry {
        Entry::Caller { item_id: item_id.to_owned(), text: None }
    }

    fn texts(history: &History) -> Vec<&str> {
        history.entries.iter().map(Entry::text).collect()
    }

    #[test]
    fn words_that_are_written_down_late_stand_where_they_were_said() {
        let mut history = History::new(1000);
        history.push(caller("u1"));
        history.push(agent("We open at nine."));
        history.push(caller("u2"));
        history.caller_said("u1", "When do you open?");
        history.caller_said("nobody", "?");
        assert_eq!(texts(&history), ["When do you open?", "We open at nine.", NOT_WRITTEN_DOWN]);
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many_tokens() {
        let mut history = History::new(100);
        for n in 0..50 {
            history.push(agent(&format!("{n:>30}")));
        }
        // Each has 10 tokens of text and 5 of its own.
        assert_eq!((history.entries.len(), history.first, history.end()), (6, 44, 50));
        assert_eq!(history.at(0).unwrap().0, 44);
        assert_eq!(history.at(50), None);
        assert_eq!(history.tokens, 90);
    }

    #[test]
    fn who_wants_no_history_has_none() {
        let mut history = History::new(0);
        history.push(agent("Hello."));
        assert_eq!((history.at(0), history.end()), (None, 1));
    }

    #[test]
    fn turns_whose_audio_is_given_again_are_not_told_too() {
        let mut history = History::new(1000);
        history.push(caller("u1"));
        history.push(agent("Hello."));
        let from = history.end();
        history.push(caller("u2"));
        history.push(agent("Good day."));
        history.give_turns_again(from);
        assert_eq!(texts(&history), [NOT_WRITTEN_DOWN, "Hello.", "", "Good day."]);
        history.give_turns_again(u64::MAX);
    }

    #[test]
    fn what_happens_without_a_session_is_kept_until_there_is_one_whatever_it_costs() {
        let mut history = History::new(0);
        history.push(agent("Hello."));
        history.has_session(false);
        history.push(Entry::Told("40".into()));
        history.push(agent("Hm."));
        assert_eq!((texts(&history), history.end()), (vec!["40", "Hm."], 3));
        history.has_session(true);
        assert_eq!(history.at(0), None);
    }
}
