//! What this program would do otherwise than the one that wrote a capture, grouped.

use super::show::at;
use crate::time::Instant;
use core::fmt;
use std::collections::BTreeMap;

/// The most kinds of change that are told apart. Another program may do everything otherwise.
const MAX_KINDS: usize = 500;

/// How much of a line tells its kind, in characters.
const KIND_CHARS: usize = 60;

/// What has changed, over one capture or many.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    kinds: BTreeMap<(String, String), Kind>,
    /// Steps that did something else.
    steps: u64,
    /// Changes of which the kind is not told, because there are too many kinds.
    others: u64,
}

/// What has changed in the same way.
#[derive(Clone, Debug)]
struct Kind {
    times: u64,
    /// Where it was first.
    capture: String,
    step: u64,
    at: Instant,
    recorded: Option<String>,
    replayed: Option<String>,
}

impl Changes {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps == 0
    }

    /// Takes in a step of the capture of this name: what it gave in words when it was recorded, and what now.
    pub fn step(&mut self, capture: &str, step: u64, at: Instant, recorded: &str, replayed: &str) {
        if recorded == replayed {
            return;
        }
        self.steps += 1;
        let (gone, new) = differing(recorded, replayed);
        for n in 0..gone.len().max(new.len()) {
            let (was, is) = (gone.get(n).copied(), new.get(n).copied());
            let key = (was.map(kind).unwrap_or_default(), is.map(kind).unwrap_or_default());
            if let Some(kind) = self.kinds.get_mut(&key) {
                kind.times += 1;
            } else if self.kinds.len() < MAX_KINDS {
                let (recorded, replayed) = (was.map(str::to_owned), is.map(str::to_owned));
                let kind = Kind { times: 1, capture: capture.to_owned(), step, at, recorded, replayed };
                self.kinds.insert(key, kind);
            } else {
                self.others += 1;
            }
        }
    }

    /// Adds those of other captures.
    pub fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.others += other.others;
        for (key, kind) in other.kinds {
            if let Some(known) = self.kinds.get_mut(&key) {
                known.times += kind.times;
            } else if self.kinds.len() < MAX_KINDS {
                self.kinds.insert(key, kind);
            } else {
                self.others += kind.times;
            }
        }
    }
}

/// The lines that are in one and not in the other, in their order; all of them, if it is the order that differs.
#[must_use]
pub fn differing<'a>(recorded: &'a str, replayed: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let mut new: Vec<_> = replayed.lines().collect();
    let mut gone = Vec::new();
    for line in recorded.lines() {
        match new.iter().position(|other| *other == line) {
            Some(place) => drop(new.remove(place)),
            None => gone.push(line),
        }
    }
    if gone.is_empty() && new.is_empty() {
        // The same in another order.
        return (recorded.lines().collect(), replayed.lines().collect());
    }
    (gone, new)
}

/// What lines of the same kind have in common: how they begin, whatever the numbers in them.
fn kind(line: &str) -> String {
    let mut kind = String::new();
    let mut in_number = false;
    for c in line.chars() {
        let is_digit = c.is_ascii_digit();
        if !(is_digit && in_number) {
            kind.push(if is_digit { '#' } else { c });
        }
        in_number = is_digit;
        if kind.len() >= KIND_CHARS {
            break;
        }
    }
    kind
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kinds, steps, others } = self;
        if self.is_empty() {
            return f.write_str("every action that has words would be the same\n");
        }
        let many = kinds.len();
        writeln!(f, "{steps} steps would do something else, in {many} ways:")?;
        let mut sorted: Vec<_> = kinds.values().collect();
        sorted.sort_by_key(|kind| core::cmp::Reverse(kind.times));
        for Kind { times, capture, step, at: when, recorded, replayed } in sorted {
            writeln!(f, "\n{times:>6} x  first in {capture}, step {step}, at {} s", at(*when))?;
            writeln!(f, "    was: {}", recorded.as_deref().unwrap_or("nothing"))?;
            writeln!(f, "    now: {}", replayed.as_deref().unwrap_or("nothing"))?;
        }
        if *others > 0 {
            writeln!(f, "\n{others:>6} x  in more ways than are told apart")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(steps: &[(&str, &str)]) -> Changes {
        let mut changes = Changes::default();
        for (n, (recorded, replayed)) in steps.iter().enumerate() {
            changes.step("a.capture", n as u64, Instant::from_millis(n as u64), recorded, replayed);
        }
        changes
    }

    #[test]
    fn what_is_the_same_is_no_change() {
        let changes = changes(&[("ping\nclose\n", "ping\nclose\n"), ("", "")]);
        assert!(changes.is_empty());
        assert_eq!(changes.to_string(), "every action that has words would be the same\n");
    }

    #[test]
    fn changes_that_differ_in_numbers_alone_are_of_one_kind() {
        let changes = changes(&[
            ("close link 1 with 1000\n", "close link 1 with 1001\n"),
            ("close link 22 with 1000\n", "close link 22 with 1001\n"),
            ("ping\nsend x\n", "ping\n"),
        ]);
        let told = changes.to_string();
        assert!(told.starts_with("3 steps would do something else, in 2 ways:\n"), "{told}");
        assert!(
            told.contains(
                "2 x  first in a.capture, step 0, at 0.000000 s\n    was: close link 1 with 1000\n"
            ),
            "{told}"
        );
        assert!(told.contains("    was: send x\n    now: nothing\n"), "{told}");
    }

    #[test]
    fn another_order_is_a_change() {
        assert!(!changes(&[("a\nb\n", "b\na\n")]).is_empty());
    }

    #[test]
    fn kinds_beyond_the_bound_are_counted() {
        let mut changes = Changes::default();
        for n in 0..600_u32 {
            let name: String = n.to_string().bytes().map(|b| char::from(b - b'0' + b'a')).collect();
            changes.step("a", 1, Instant::START, &name, "");
        }
        assert!(changes.to_string().ends_with("   100 x  in more ways than are told apart\n"), "{changes}");
    }
}
