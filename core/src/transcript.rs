//! What an agent said, in letters, beside how much of its audio had come when each letter did: so that the
//! record of a conversation can be cut where the playout was cut.
//!
//! The Realtime API does not say which words lie where in the audio. It sends both interleaved, the words a
//! little ahead, so where a piece of text arrived is where it begins, and it lasts until the next piece begins.

/// The longest transcript of one part of an item, in bytes: what a fast speaker says in five minutes, twice.
pub const MAX_TRANSCRIPT_BYTES: usize = 16 * 1024;

/// How many places in the audio are told apart; pieces of text that come later count to the last of them.
pub const MAX_PLACES: usize = 1024;

/// The transcript of one part of one item.
#[derive(Debug, Default)]
pub struct Transcript {
    text: String,
    /// In ascending order, no two with the same `samples`.
    places: Vec<Place>,
}

/// A piece of the text: from the end of the piece before to `end`.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// How much audio had come when it came, in samples.
    samples: u64,
    /// Where it ends, in bytes.
    end: usize,
}

impl Transcript {
    /// Appends a piece of text that came when `received` samples of its audio had come. What is longer than
    /// [`MAX_TRANSCRIPT_BYTES`] in all is left out.
    pub fn push(&mut self, received: u64, text: &str) {
        let room = MAX_TRANSCRIPT_BYTES.saturating_sub(self.text.len());
        self.text.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
        let end = self.text.len();
        let is_full = self.places.len() >= MAX_PLACES;
        match self.places.last_mut() {
            Some(last) if last.samples >= received || is_full => last.end = end,
            _ => self.places.push(Place { samples: received, end }),
        }
    }

    /// All that was said.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What of it lies in the first `heard` of the `received` samples, up to the last word that lies there as
    /// a whole: rather too little than a word that nobody heard. Whether all of the audio has come says
    /// `is_complete`; while it has not, text without audio behind it is text ahead of its audio.
    #[must_use]
    pub fn heard(&self, heard: u64, received: u64, is_complete: bool) -> &str {
        if received == 0 {
            return "";
        }
        if heard >= received && is_complete {
            return &self.text;
        }
        let reached = self.reached(heard, received, is_complete);
        if reached >= self.text.len() {
            return &self.text;
        }
        let before = self.text.get(..self.text.floor_char_boundary(reached)).unwrap_or_default();
        let is_between_words = self.text.get(before.len()..).is_some_and(|rest| rest.starts_with(' '));
        if is_between_words {
            return before;
        }
        // Some languages are written without spaces.
        let is_spaceless = !self.text.is_ascii() && !self.text.contains(char::is_whitespace);
        if is_spaceless {
            return before;
        }
        before.rfind(char::is_whitespace).and_then(|space| before.get(..space)).unwrap_or_default()
    }

    /// How many bytes of the text the first `heard` samples reach to.
    fn reached(&self, heard: u64, received: u64, is_complete: bool) -> usize {
        let (mut from, mut begin) = (0, 0);
        for (n, place) in self.places.iter().enumerate() {
            let next = self.places.get(n + 1).map_or(u64::MAX, |next| next.samples);
            let (mut until, mut end) = (next.min(received), place.end);
            if is_complete && next >= received {
                // What came behind all of the audio has none of its own and shares what this piece has.
                end = self.text.len();
            } else if place.samples >= received {
                return begin;
            }
            until = until.max(from);
            if heard < until {
                // The letters are taken to lie evenly in the audio of their piece.
                let (into, whole) = (heard.saturating_sub(from), until.saturating_sub(from).max(1));
                let bytes = end.saturating_sub(begin) as u64;
                return begin + (bytes.saturating_mul(into) / whole) as usize;
            }
            (from, begin) = (until, end);
        }
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An agent that says this, a word ahead of 100 samples of audio each.
    fn interleaved() -> Transcript {
        let mut transcript = Transcript::default();
        for (n, word) in ["Our", " opening", " hours", " are", " nine", " to", " five."].iter().enumerate() {
            transcript.push(n as u64 * 100, word);
        }
        transcript
    }

    #[test]
    fn what_was_cut_off_is_not_in_the_text() {
        let transcript = interleaved();
        for (heard, text) in [
            (0, ""),
            (99, ""),
            (100, "Our"),
            (199, "Our"),
            (200, "Our opening"),
            (350, "Our opening hours"),
            (699, "Our opening hours are nine to"),
            (700, "Our opening hours are nine to five."),
        ] {
            assert_eq!(transcript.heard(heard, 700, true), text, "{heard} of 700");
        }
    }

    #[test]
    fn a_text_that_comes_at_once_is_cut_where_its_audio_is() {
        let said = "one two three four five six seven eight nine ten";
        let mut ahead = Transcript::default();
        ahead.push(0, said);
        let mut behind = Transcript::default();
        behind.push(1000, said);
        for transcript in [ahead, behind] {
            assert_eq!(transcript.heard(0, 1000, true), "");
            assert_eq!(transcript.heard(500, 1000, true), "one two three four five");
            assert_eq!(transcript.heard(999, 1000, true), "one two three four five six seven eight nine");
            assert_eq!(transcript.heard(1000, 1000, true), said);
        }
    }

    #[test]
    fn a_last_word_behind_the_audio_shares_what_is_left() {
        let mut transcript = Transcript::default();
        transcript.push(0, "one two");
        transcript.push(100, " three four");
        assert_eq!(transcript.heard(50, 100, true), "one two");
        assert_eq!(transcript.heard(99, 100, true), "one two three");
    }

    #[test]
    fn text_whose_audio_has_not_come_was_not_heard() {
        let mut transcript = interleaved();
        transcript.push(700, " On Sundays we are");
        assert_eq!(transcript.heard(700, 700, false), "Our opening hours are nine to five.");
        assert_eq!(transcript.heard(700, 700, true), transcript.text(), "nothing more comes: it was said");
    }

    #[test]
    fn a_language_without_spaces_is_cut_between_letters() {
        let mut transcript = Transcript::default();
        transcript.push(0, "営業時間はABC九時から五時までです");
        assert_eq!(transcript.heard(500, 1000, true), "営業時間はABC九時");
    }

    #[test]
    fn a_word_is_not_cut_because_it_stands_alone_or_has_an_umlaut() {
        for (said, text) in [("Certainly", ""), ("Schöne Grüße", "Schöne")] {
            let mut transcript = Transcript::default();
            transcript.push(0, said);
            assert_eq!(transcript.heard(700, 1000, true), text);
        }
    }

    #[test]
    fn without_audio_nothing_was_heard() {
        let mut transcript = Transcript::default();
        transcript.push(0, "never spoken");
        assert_eq!((transcript.heard(0, 0, true), transcript.text()), ("", "never spoken"));
    }

    #[test]
    fn a_flood_of_text_is_bounded() {
        let mut transcript = Transcript::default();
        for n in 0..100_000 {
            transcript.push(n, "äöü ");
        }
        assert!(transcript.text().len() <= MAX_TRANSCRIPT_BYTES);
        assert_eq!(transcript.places.len(), MAX_PLACES);
        assert!(transcript.heard(50_000, 100_000, true).len() <= transcript.text().len());
    }

    proptest! {
        /// What was heard is a beginning of what was said, grows with what was heard, and ends between words.
        #[test]
        fn more_audio_is_more_text(
            pieces in proptest::collection::vec((0u64..50, "[a-zé ]{0,8}"), 0..40), extra in 0u64..100,
            is_complete: bool,
        ) {
            let (mut transcript, mut received) = (Transcript::default(), 0);
            for (audio, text) in pieces {
                received += audio;
                transcript.push(received, &text);
            }
            received += extra;
            let mut last = 0;
            for heard in 0..=received {
                let text = transcript.heard(heard, received, is_complete);
                prop_assert!(transcript.text().starts_with(text) && text.len() >= last);
                last = text.len();
            }
        }
    }
}
