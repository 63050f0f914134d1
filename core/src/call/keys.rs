//! The keys of the caller's telephone: gathered until `#` or a pause, and kept in order with what is said.

use crate::settings;
use crate::time::Instant;
use std::collections::VecDeque;

/// The longest entry; one that is full counts as complete. A card number has 19 digits.
const MAX_KEYS: usize = 32;

/// How many entries may wait for the caller to end a sentence; what is keyed in beyond them is joined to the last.
const MAX_WAITING: usize = 8;

/// How long a joined entry may grow.
const MAX_JOINED: usize = 256;

/// What a key does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Press {
    /// It is no key.
    None,
    /// It belongs to an entry.
    Key,
    /// It acts by itself: the caller goes to this place.
    Hot(usize),
}

/// An entry, and how much of the caller's audio the server had been given when it began, in milliseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    keys: String,
    began_ms: u64,
}

#[derive(Debug)]
pub(super) struct Keys {
    settings: settings::Keys,
    gathering: Option<Entry>,
    last: Instant,
    /// Complete, and not handed over.
    waiting: VecDeque<Entry>,
}

impl Keys {
    pub(super) fn new(settings: &settings::Keys) -> Self {
        Self { settings: settings.clone(), gathering: None, last: Instant::START, waiting: VecDeque::new() }
    }

    /// A key was pressed, and let go.
    pub(super) fn press(&mut self, now: Instant, digit: &str, given_ms: u64) -> Press {
        let mut chars = digit.chars();
        let (Some(key @ ('0'..='9' | 'A'..='D' | '*' | '#')), None) = (chars.next(), chars.next()) else {
            return Press::None;
        };
        let begins = self.gathering.is_none();
        let hot = self.settings.hot.iter().find(|(hot, _)| *hot == key);
        if let (true, Some((_, place))) = (begins, hot) {
            return Press::Hot(*place);
        }
        self.last = now;
        let entry = self.gathering.get_or_insert_with(|| Entry { keys: String::new(), began_ms: given_ms });
        let ends = key == '#';
        // A `#` ends an entry and is not part of it, unless there is nothing else.
        if !ends || entry.keys.is_empty() {
            entry.keys.push(key);
        }
        if ends || entry.keys.len() >= MAX_KEYS {
            self.complete();
        }
        Press::Key
    }

    /// The pause is over, if it is.
    pub(super) fn time_out(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.complete();
        }
    }

    /// When an entry is complete although no `#` has ended it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.gathering.as_ref().map(|_| self.last + self.settings.pause)
    }

    fn complete(&mut self) {
        let Some(entry) = self.gathering.take() else { return };
        let is_full = self.waiting.len() >= MAX_WAITING;
        match self.waiting.back_mut() {
            Some(last) if is_full => {
                if last.keys.len() + entry.keys.len() < MAX_JOINED {
                    last.keys.push(' ');
                    last.keys.push_str(&entry.keys);
                }
            }
            _ => self.waiting.push_back(entry),
        }
    }

    /// The next complete entry. While the caller speaks, since `speaks_since_ms` of the audio that the server was
    /// given, one that was begun later waits: the sentence comes first.
    pub(super) fn take(&mut self, speaks_since_ms: Option<u64>) -> Option<String> {
        let began = self.waiting.front()?.began_ms;
        if speaks_since_ms.is_some_and(|since| since <= began) {
            return None;
        }
        self.waiting.pop_front().map(|entry| entry.keys)
    }

    /// Whether the caller is keying something in.
    pub(super) const fn are_coming(&self) -> bool {
        self.gathering.is_some()
    }

    /// Whether the caller is keying something in, or has, and it is not handed over.
    pub(super) fn is_busy(&self) -> bool {
        self.are_coming() || !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn keys() -> Keys {
        Keys::new(&settings::Keys { pause: Duration::from_millis(3000), hot: vec![('0', 7), ('*', 8)] })
    }

    fn press(keys: &mut Keys, at_ms: u64, digits: &str) {
        for (n, digit) in digits.chars().enumerate() {
            let at = Instant::from_millis(at_ms + n as u64 * 200);
            let mut utf8 = [0; 4];
            keys.press(at, digit.encode_utf8(&mut utf8), at_ms + n as u64 * 200);
        }
    }

    #[test]
    fn an_entry_ends_with_a_hash_that_is_not_part_of_it() {
        let mut keys = keys();
        press(&mut keys, 0, "1203#");
        assert_eq!(keys.take(None).as_deref(), Some("1203"));
        assert_eq!(keys.take(None), None);
        press(&mut keys, 0, "#");
        assert_eq!(keys.take(None).as_deref(), Some("#"), "alone it means itself");
    }

    #[test]
    fn or_with_a_pause_behind_its_last_key() {
        let mut keys = keys();
        press(&mut keys, 1000, "12");
        let deadline = Instant::from_millis(4200);
        assert_eq!(keys.deadline(), Some(deadline));
        keys.time_out(Instant::from_millis(4199));
        assert_eq!(keys.take(None), None);
        keys.time_out(deadline);
        assert_eq!(keys.take(None).as_deref(), Some("12"));
        assert_eq!((keys.deadline(), keys.is_busy()), (None, false));
    }

    #[test]
    fn a_hot_key_acts_if_it_comes_first_and_is_a_digit_otherwise() {
        let mut keys = keys();
        assert_eq!(keys.press(Instant::START, "0", 0), Press::Hot(7));
        assert!(!keys.is_busy());
        assert_eq!(keys.press(Instant::START, "1", 0), Press::Key);
        assert_eq!(keys.press(Instant::START, "0", 0), Press::Key);
        keys.press(Instant::START, "#", 0);
        assert_eq!(keys.take(None).as_deref(), Some("10"));
    }

    #[test]
    fn what_is_no_key_is_none() {
        let mut keys = keys();
        for digit in ["", "12", "e", "a", "ä", " "] {
            assert_eq!(keys.press(Instant::START, digit, 0), Press::None, "{digit}");
        }
    }

    #[test]
    fn a_sentence_that_began_before_the_keys_comes_before_them() {
        let mut keys = keys();
        press(&mut keys, 5000, "1#");
        assert_eq!(keys.take(Some(4000)), None, "the caller is still in it");
        assert_eq!(keys.take(Some(5200)).as_deref(), Some("1"), "this one began later");
    }

    #[test]
    fn a_caller_who_never_stops_costs_no_memory() {
        let mut keys = keys();
        press(&mut keys, 1, &"1".repeat(100_000));
        assert!(keys.waiting.len() <= MAX_WAITING);
        assert!(keys.waiting.iter().all(|entry| entry.keys.len() <= MAX_JOINED));
    }
}
