//! A function call: an item whose arguments are sent piece by piece, as a model writes them.

use super::agent::FunctionCall;
use super::response::Place;
use super::{Actions, Realtime};
use crate::time::Duration;
use serde_json::{Value, json};

/// How many characters there are in a piece.
const PIECE_CHARS: usize = 8;
/// How long a piece takes.
pub(super) const PIECE_TIME: Duration = Duration::from_millis(20);

/// A text that is written piece by piece.
#[derive(Debug)]
pub(super) struct Written {
    text: String,
    /// So many bytes of it are.
    written: usize,
}

impl Written {
    pub(super) const fn new(text: String) -> Self {
        Self { text, written: 0 }
    }

    /// What is written so far.
    pub(super) fn so_far(&self) -> &str {
        self.text.get(..self.written).unwrap_or_default()
    }

    /// Whether it is all.
    pub(super) const fn is_complete(&self) -> bool {
        self.written == self.text.len()
    }

    /// Writes on.
    pub(super) fn next_piece(&mut self) -> String {
        let rest = self.text.get(self.written..).unwrap_or_default();
        let piece: String = rest.chars().take(PIECE_CHARS).collect();
        self.written += piece.len();
        piece
    }
}

/// A call that is being sent.
#[derive(Debug)]
pub(super) struct Call {
    call_id: String,
    name: String,
    arguments: Written,
}

impl Call {
    pub(super) fn new(call: FunctionCall, call_id: String) -> Self {
        Self { call_id, name: call.name, arguments: Written::new(call.arguments) }
    }

    pub(super) fn item(&self, item_id: &str, status: &str) -> Value {
        json!({
            "id": item_id, "object": "realtime.item", "type": "function_call", "status": status,
            "call_id": self.call_id, "name": self.name, "arguments": self.arguments.so_far(),
        })
    }
}

impl Realtime {
    /// Sends a piece. Gives the time until the next one; `None` if it was the last.
    pub(super) fn send_call(
        &mut self,
        place: &Place,
        call: &mut Call,
        out: &mut Actions,
    ) -> Option<Duration> {
        let piece = call.arguments.next_piece();
        if !piece.is_empty() {
            let delta = json!({ "call_id": call.call_id, "delta": piece });
            self.emit_part(place, "response.function_call_arguments.delta", delta, out);
        }
        (!call.arguments.is_complete()).then_some(PIECE_TIME)
    }

    /// The arguments are told once more as a whole; if the call was cut short, as far as they came.
    pub(super) fn end_call(&mut self, place: &Place, call: &Call, out: &mut Actions) {
        let Call { call_id, name, arguments } = call;
        let done = json!({ "call_id": call_id, "name": name, "arguments": arguments.so_far() });
        self.emit_part(place, "response.function_call_arguments.done", done, out);
    }
}
