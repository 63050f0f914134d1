//! What a program around the bridge sees of it.

use ari_bridge_core::call::{Actions, Record};
use ari_bridge_core::id::CallId;
use ari_bridge_core::observe::Observation;

use crate::tool::{ToolAnswer, ToolCall};

/// Sees what happens, beside logs and metrics. It is called from the tasks of the calls and must not wait.
pub trait Watch: Send + Sync {
    /// Something happened in a call, or, without one, in the switchboard.
    fn observe(&self, call: Option<CallId>, observation: &Observation) {
        let _ = (call, observation);
    }

    /// A line of the record of a conversation: what people said. Its spans lie in `out`.
    fn record(&self, call: CallId, record: &Record, out: &Actions) {
        let _ = (call, record, out);
    }

    /// A call, or, without one, the switchboard, is over, and this is what it was given and what it did: a capture
    /// ([`ari_bridge_core::capture`]), if [`Options::log_bytes`](crate::Options::log_bytes) asks for it. What people
    /// said is in it.
    fn log(&self, call: Option<CallId>, log: Vec<u8>) {
        let _ = (call, log);
    }

    /// The model calls a function that the settings describe, or an MCP server's tool that must be approved. Take
    /// the work elsewhere: this is called from the task of the call. Without an answer in time the model is told
    /// that it failed.
    fn tool(&self, tool: ToolCall, answer: ToolAnswer) {
        let _ = (tool, answer);
    }
}
