//! Which answer belongs to which call of a function.
//!
//! What becomes of a call is observed behind the record of it and before that of its answer.

use super::shape::{ToolResult, Turn};
use super::{MAX_TURNS, Recorder};
use crate::observe::{Label, ToolFault};
use std::collections::VecDeque;

/// The longest name of a function and of a call, in bytes; OpenAI's have at most 64.
const MAX_NAME_BYTES: usize = 128;

/// How many calls of functions may be without an answer. More are recorded as if none came.
const MAX_OPEN: usize = 64;

/// What is known of the calls under way.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// The calls without an answer and their turns.
    open: VecDeque<(String, usize)>,
    /// The call of which it is not known yet whether it can be performed.
    undecided: Option<usize>,
    /// What became of the call whose answer comes next.
    result: Option<(Label, ToolResult)>,
}

impl Tools {
    /// A function was performed, or was not; its answer is recorded next.
    pub(super) const fn answered(&mut self, name: Label, result: ToolResult) {
        self.result = Some((name, result));
    }
}

impl Recorder {
    pub(super) fn called(&mut self, at_ms: u64, [call_id, name, arguments]: [&str; 3]) {
        self.record.counts.tool_calls += 1;
        let turn = self.record.turns.len();
        let is_kept = turn < MAX_TURNS && self.tools.open.len() < MAX_OPEN;
        self.tools.undecided = is_kept.then_some(turn);
        if is_kept {
            self.tools.open.push_back((bounded(call_id).to_owned(), turn));
        }
        // The name is kept also where other texts are not: what may be shown of it is known later.
        let name = bounded(name).to_owned();
        let (arguments, arguments_chars) = self.words(arguments);
        self.push(Turn::Tool {
            at_ms,
            name: Some(name),
            arguments,
            arguments_chars,
            output: None,
            output_chars: None,
            duration_ms: None,
            result: ToolResult::Called,
            is_known: false,
        });
    }

    /// A function that the settings know is being performed. Tools of MCP servers are observed, too, and not recorded.
    pub(super) fn tool_called(&mut self, label: Label) {
        self.decide(|name, _| Label::new(name) == label);
    }

    pub(super) fn tool_refused(&mut self, why: ToolFault) {
        self.decide(|_, result| {
            *result = ToolResult::Refused;
            // What is refused for another reason was found first.
            !matches!(why, ToolFault::Unknown | ToolFault::TooLong)
        });
    }

    /// The call was not to be ended or transferred after all: one that is known, called now or before.
    pub(super) fn tool_put_off(&mut self) {
        self.decide(|_, result| {
            *result = ToolResult::Refused;
            true
        });
    }

    /// Notes what is known of the last call: `decide` says whether it is of a function that the settings know.
    fn decide(&mut self, decide: impl FnOnce(&str, &mut ToolResult) -> bool) {
        let undecided = self.tools.undecided.take();
        let turn = undecided.and_then(|turn| self.record.turns.get_mut(turn));
        if let Some(Turn::Tool { name, is_known, result, .. }) = turn {
            *is_known = decide(name.as_deref().unwrap_or_default(), result);
        }
    }

    pub(super) fn returned(&mut self, at_ms: u64, [call_id, name, output]: [&str; 3]) {
        self.tools.undecided = None;
        let observed = self.tools.result.take();
        let found = self.tools.open.iter().position(|(id, _)| id == bounded(call_id));
        let Some((_, turn)) = found.and_then(|at| self.tools.open.remove(at)) else { return };
        let told = self.words(output);
        if let Some(Turn::Tool { at_ms: since, output, output_chars, duration_ms, result, .. }) =
            self.record.turns.get_mut(turn)
        {
            (*output, *output_chars) = (told.0, Some(told.1));
            *duration_ms = Some(at_ms.saturating_sub(*since));
            if *result == ToolResult::Called {
                // Without a word of it, the call was put off.
                let performed = observed.filter(|(label, _)| *label == Label::new(name));
                *result = performed.map_or(ToolResult::Refused, |(_, result)| result);
            }
        }
    }
}

/// As much of a name as is kept.
fn bounded(name: &str) -> &str {
    name.get(..name.floor_char_boundary(MAX_NAME_BYTES)).unwrap_or_default()
}
