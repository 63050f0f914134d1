//! What of a record may stand in a log: no word, no key, no argument, and of a number its last two digits.

use super::shape::{CallRecord, Turn};
use crate::observe::Label;
use core::mem;
use serde::Serialize;

/// The longest line, in bytes. What carries logs splits lines, the tightest of it at 16 KiB (the log drivers of
/// container runtimes), and each puts a little in front.
pub const MAX_LINE_BYTES: usize = 15 * 1024;

/// A number that is shorter shows nothing of itself; its last two digits would be most of it.
const MIN_SHOWN_CHARS: usize = 4;

impl CallRecord {
    /// The record without what people said and without whole numbers.
    #[must_use]
    pub fn masked(mut self) -> Self {
        self.masked = true;
        for number in [&mut self.from, &mut self.to].into_iter().flatten() {
            *number = masked_number(number);
        }
        for turn in &mut self.turns {
            match turn {
                Turn::Caller { text, .. } => *text = None,
                Turn::Agent { text, said, .. } => (*text, *said) = (None, None),
                Turn::Keys { keys, .. } => *keys = None,
                Turn::Tool { name, arguments, output, is_known, .. } => {
                    (*arguments, *output) = (None, None);
                    let label = name.take().map(|name| Label::new(&name));
                    *name = label
                        .map(|label| label.as_str().to_owned())
                        .filter(|name| *is_known && !name.is_empty());
                }
            }
        }
        self
    }

    /// The line for the log: the masked record as JSON without line breaks, at most [`MAX_LINE_BYTES`]. Of a long
    /// call it has the first turns; the counts are of all of them.
    #[must_use]
    pub fn line(&self) -> String {
        let mut record = self.clone().masked();
        let turns = mem::take(&mut record.turns);
        let mut room = MAX_LINE_BYTES.saturating_sub(json(&record).len());
        for turn in turns {
            // With the comma.
            let len = json(&turn).len() + 1;
            if len > room {
                record.truncated = true;
                break;
            }
            room -= len;
            record.turns.push(turn);
        }
        json(&record)
    }

    /// The text of the file: JSON with line breaks, for people and for programs.
    #[must_use]
    pub fn file(&self) -> String {
        // Nothing in a record can fail to be written.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

fn json(value: &impl Serialize) -> String {
    // Nothing in a record can fail to be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// `…56`; of a number that is short, or that ends in something else than digits, `…` alone.
fn masked_number(number: &str) -> String {
    let digits = number.get(number.len().saturating_sub(2)..);
    let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let is_long = number.chars().count() >= MIN_SHOWN_CHARS;
    format!("…{}", digits.filter(|_| is_long).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_number_its_last_two_digits_are_shown() {
        for (number, shown) in [
            ("+4930123456", "…56"),
            ("1234", "…34"),
            ("100", "…"),
            ("7", "…"),
            ("", "…"),
            ("alice", "…"),
            ("alice42", "…42"),
            ("alice4", "…"),
            ("anonymous@äöü", "…"),
            ("4930123456\n", "…"),
            ("٠١٢٣٤٥", "…"),
        ] {
            assert_eq!(masked_number(number), shown, "{number}");
        }
    }
}
