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

    /// The model calls a function that the settings describe, or an MCP server's tool that must be approved. Take
    /// the work elsewhere: this is called from the task of the call. Without an answer in time the model is told
    /// that it failed.
    fn tool(&self, tool: ToolCall, answer: ToolAnswer) {
        let _ = (tool, answer);
    }
}
