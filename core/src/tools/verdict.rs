//! A replay that can be shown: what came of it, and what happened around the first difference.

use super::Seen;
use super::explain::{Changes, differing};
use super::show::at;
use super::timings::{Timed, Timings};
use crate::call::Call;
use crate::capture::{Capture, Fault};
use crate::replay::{Difference, Player, Replayed, Step};
use crate::switchboard::Switchboard;
use core::fmt::Write as _;
use std::collections::VecDeque;
use std::io::Read;

/// How many steps are shown before a difference, and how many after it.
const BEFORE: usize = 6;
const AFTER: usize = 3;

/// What a replay is asked for, beside whether it is the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wish {
    /// What would be done otherwise.
    pub changes: bool,
    /// How long everything took.
    pub timings: bool,
}

/// What came of a replay.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What came of it.
    pub replayed: Replayed,
    /// The steps around the first difference, in words.
    pub around: Vec<String>,
    /// What would be done otherwise, if it was asked for.
    pub changes: Changes,
    /// How long everything took, if it was asked for.
    pub timings: Timings,
}

impl Verdict {
    /// The first difference in words, if there is one: what was recorded, what was replayed, and the steps around it.
    #[must_use]
    pub fn difference(&self) -> Option<String> {
        let Difference { from_step, to_step, at: when, words } = self.replayed.difference.as_ref()?;
        let mut told = format!("  the first difference is in step {to_step}, at {} s\n", at(*when));
        // Writing into a string cannot fail, here and below.
        let mut line = |label: &str, line: &str| writeln!(told, "    {label}{line}");
        match words {
            Some(words) => {
                let (gone, new) = differing(&words.recorded, &words.replayed);
                for (label, lines) in [("recorded: ", gone), ("replayed: ", new)] {
                    let lines = if lines.is_empty() { vec!["nothing"] } else { lines };
                    lines.iter().for_each(|words| _ = line(label, words));
                }
            }
            None => {
                _ = line(
                    "the same actions, but other audio, another count or another deadline, in a step from ",
                    &format!("{from_step} on"),
                )
            }
        }
        told.push_str("  around it:\n");
        for step in self.around.iter().flat_map(|step| step.lines()) {
            let _ = writeln!(told, "  {step}");
        }
        Some(told)
    }
}

/// Replays a capture under this name.
///
/// # Errors
///
/// If it cannot be read on; the fault says where and why.
///
/// # Panics
///
/// If the machine does, which is a bug of ours; the capture of a crash may bring it about.
pub fn verdict<R: Read>(name: &str, capture: Capture<R>, wish: Wish) -> Result<Verdict, Fault> {
    match capture {
        Capture::Call(head, records) => play::<R, Call>(name, Player::new(head, records), wish),
        Capture::Switchboard(head, records) => play::<R, Switchboard>(name, Player::new(head, records), wish),
    }
}

fn play<R: Read, M: Seen + Timed>(
    name: &str,
    mut player: Player<R, M>,
    wish: Wish,
) -> Result<Verdict, Fault> {
    let (mut changes, mut timings) = (Changes::default(), Timings::default());
    let mut around = Around::default();
    loop {
        let was_same = player.difference().is_none();
        let Some(step) = player.step()? else { break };
        around.step(&step);
        if wish.changes
            && let Some(recorded) = step.recorded
        {
            changes.step(name, step.number, step.now, recorded, step.given);
        }
        if wish.timings {
            timings.step(&step);
        }
        around.is_over |= !was_same;
        // Without words the difference lies some steps back, and those are what is kept.
        around.left = if around.is_over { around.left } else { AFTER };
    }
    let replayed = player.finish();
    let around = if replayed.difference.is_some() { around.lines() } else { Vec::new() };
    Ok(Verdict { replayed, around, changes, timings })
}

/// The steps that have something to tell, of late.
#[derive(Debug)]
struct Around {
    steps: VecDeque<(u64, String)>,
    /// The first difference was found.
    is_over: bool,
    /// How many steps are still taken up.
    left: usize,
}

impl Default for Around {
    fn default() -> Self {
        Self { steps: VecDeque::new(), is_over: false, left: AFTER }
    }
}

impl Around {
    fn step<M: Seen>(&mut self, step: &Step<'_, M>) {
        let has_other_words = step.recorded.is_some_and(|recorded| recorded != step.given);
        let is_told = step.input.is_none_or(|input| M::stream(&input).is_none());
        if self.left == 0 || !(is_told || has_other_words || !step.given.is_empty()) {
            return;
        }
        if self.is_over {
            self.left -= 1;
        } else if self.steps.len() > BEFORE {
            self.steps.pop_front();
        }
        self.steps.push_back((step.number, words(step)));
    }

    fn lines(self) -> Vec<String> {
        self.steps.into_iter().map(|(_, words)| words).collect()
    }
}

/// A step in words: what came, and what was done about it then and now.
fn words<M: Seen>(step: &Step<'_, M>) -> String {
    let mut words = format!("{:>12} {:>6}  ", at(step.now), step.number);
    match &step.input {
        Some(input) => M::line(input, &mut words),
        None => words.push_str("made"),
    }
    let recorded = step.recorded.unwrap_or(step.given);
    if recorded == step.given {
        if !recorded.is_empty() {
            push(&mut words, "->", recorded);
        }
        return words;
    }
    push(&mut words, "was", recorded);
    push(&mut words, "now", step.given);
    words
}

/// Adds what a step gave, a line for each action.
fn push(words: &mut String, label: &str, gave: &str) {
    let lines = if gave.is_empty() { "nothing" } else { gave };
    for line in lines.lines() {
        // Writing into a string cannot fail.
        let _ = write!(words, "\n{:>18}{label:>4} {line}", "");
    }
}
