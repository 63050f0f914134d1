//! Servers of tools. There are none behind the stand-in: what they answer is the agent's to say.

use super::agent::McpCall;
use super::call::{PIECE_TIME, Written};
use super::conversation::Item;
use super::response::Place;
use super::shape::{Refusal, echo};
use super::{Actions, Realtime};
use crate::time::Duration;
use serde_json::{Value, json};

/// How long a tool takes.
const CALL_TIME: Duration = Duration::from_millis(100);

/// What the session knows of tools on servers.
#[derive(Debug, Default)]
pub(super) struct Mcp {
    /// The servers whose tools were listed, as the session named them.
    listed: Vec<Value>,
    /// The calls that were asked for: the item that asks, and what for.
    asked: Vec<(String, McpCall)>,
    /// Those that may be made, with the next response.
    pub(super) approved: Vec<ToolCall>,
}

impl Mcp {
    /// Whether a call may be made. It is made by the server itself; the client is told what came of it, and asks for
    /// the answer.
    pub(super) fn may_call(&self) -> bool {
        !self.approved.is_empty()
    }
}

/// A call of a tool that is being sent, and made.
#[derive(Debug)]
pub(super) struct ToolCall {
    call: McpCall,
    arguments: Written,
    approval_request_id: Option<String>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Written,
    Called,
    Answered,
}

impl ToolCall {
    pub(super) fn new(call: McpCall, approval_request_id: Option<String>) -> Self {
        let arguments = Written::new(call.arguments.clone());
        Self { call, arguments, approval_request_id, state: State::Written }
    }

    pub(super) fn item(&self, item_id: &str) -> Value {
        let result = (self.state == State::Answered).then_some(&self.call.output);
        let error = |message: &String| json!({ "type": "tool_execution_error", "message": message });
        json!({
            "id": item_id, "type": "mcp_call",
            "server_label": self.call.server_label, "name": self.call.name,
            "arguments": self.arguments.so_far(), "approval_request_id": self.approval_request_id,
            "output": result.and_then(|result| result.as_ref().ok()),
            "error": result.and_then(|result| result.as_ref().err()).map(error),
        })
    }
}

/// The item that asks whether a tool may be called.
pub(super) fn approval_request(call: &McpCall, item_id: &str) -> Value {
    json!({
        "id": item_id, "type": "mcp_approval_request",
        "server_label": call.server_label, "name": call.name, "arguments": call.arguments,
    })
}

impl Realtime {
    /// Lists the tools of the servers that the session has come to name.
    pub(super) fn list_tools(&mut self, out: &mut Actions) {
        let tools = self.session.as_ref().and_then(|session| session.json().get("tools")?.as_array());
        let servers: Vec<Value> =
            tools.into_iter().flatten().filter(|tool| tool.get("server_label").is_some()).cloned().collect();
        for server in &servers {
            if self.mcp.listed.contains(server) {
                continue;
            }
            let item_id = self.id("item");
            let item = json!({
                "id": item_id, "type": "mcp_list_tools",
                "server_label": server.get("server_label"), "tools": tools_of(server),
            });
            self.emit(json!({ "type": "mcp_list_tools.in_progress", "item_id": item_id }), out);
            let previous = self.remember(Item::new(&item_id, &item));
            self.added_and_done(&item, previous.as_deref(), out);
            self.emit(json!({ "type": "mcp_list_tools.completed", "item_id": item_id }), out);
        }
        self.mcp.listed = servers;
    }

    /// Whether this call must be asked for first. So it is unless the session says otherwise.
    pub(super) fn asks_first(&self, call: &McpCall) -> bool {
        let tools = self.session.as_ref().and_then(|session| session.json().get("tools")?.as_array());
        let server = tools
            .into_iter()
            .flatten()
            .find(|tool| tool.get("server_label").is_some_and(|label| *label == call.server_label));
        let approval = server.and_then(|server| server.get("require_approval"));
        let names = |when: &str| approval?.get(when)?.get("tool_names")?.as_array();
        approval.is_none_or(|approval| approval != "never")
            && !names("never").is_some_and(|names| names.iter().any(|name| *name == call.name))
    }

    /// Remembers what was asked for, as long as the conversation knows it.
    pub(super) fn ask(&mut self, item_id: &str, call: McpCall) {
        let Self { mcp, items, .. } = self;
        mcp.asked.retain(|(asked, _)| items.iter().any(|item| item.id == *asked));
        self.mcp.asked.push((item_id.to_owned(), call));
    }

    /// Takes the answer: what may be called is called as soon as no response is active.
    pub(super) fn note_approval(&mut self, item: &Value) -> Result<(), Refusal> {
        if item.get("type").is_none_or(|kind| kind != "mcp_approval_response") {
            return Ok(());
        }
        let id = item.get("approval_request_id").and_then(Value::as_str).unwrap_or_default();
        let Some(at) = self.mcp.asked.iter().position(|(asked, _)| asked == id) else {
            let text = format!("Approval request '{}' not found in conversation.", echo(id));
            return Err(Refusal::new("invalid_value", text, Some("item.approval_request_id")));
        };
        let (id, call) = self.mcp.asked.remove(at);
        if item.get("approve") == Some(&Value::Bool(true)) {
            self.mcp.approved.push(ToolCall::new(call, Some(id)));
        }
        Ok(())
    }

    /// Sends a piece, or makes the call. Gives the time until the next one; `None` if the tool has answered.
    pub(super) fn send_tool_call(
        &mut self,
        place: &Place,
        tool: &mut ToolCall,
        out: &mut Actions,
    ) -> Option<Duration> {
        if tool.state == State::Called {
            tool.state = State::Answered;
            return None;
        }
        let piece = tool.arguments.next_piece();
        if !piece.is_empty() {
            self.emit_part(place, "response.mcp_call_arguments.delta", json!({ "delta": piece }), out);
        }
        if !tool.arguments.is_complete() {
            return Some(PIECE_TIME);
        }
        tool.state = State::Called;
        let done = json!({ "arguments": tool.arguments.so_far() });
        self.emit_part(place, "response.mcp_call_arguments.done", done, out);
        self.emit_state(place, "in_progress", out);
        Some(CALL_TIME)
    }

    /// What becomes of a call is told without the response's id.
    fn emit_state(&mut self, place: &Place, state: &str, out: &mut Actions) {
        let kind = format!("response.mcp_call.{state}");
        let (item_id, output_index) = (&place.item_id, place.output_index);
        self.emit(json!({ "type": kind, "item_id": item_id, "output_index": output_index }), out);
    }

    /// Tells what became of the call; of one that was cut short, how far it had come.
    pub(super) fn end_tool_call(&mut self, place: &Place, tool: &ToolCall, out: &mut Actions) {
        match tool.state {
            State::Written => {
                let done = json!({ "arguments": tool.arguments.so_far() });
                self.emit_part(place, "response.mcp_call_arguments.done", done, out);
            }
            State::Answered if tool.call.output.is_ok() => {
                self.emit_state(place, "completed", out);
            }
            State::Called | State::Answered => {
                self.emit_state(place, "failed", out);
            }
        }
    }
}

/// The tools of a server: those that the session allows, or one.
fn tools_of(server: &Value) -> Value {
    let allowed = server.get("allowed_tools");
    let names = allowed.map(|allowed| allowed.get("tool_names").unwrap_or(allowed)).and_then(Value::as_array);
    let tool = |name: &Value| json!({ "name": name, "input_schema": { "type": "object" } });
    names.map_or_else(|| json!([tool(&"look_up".into())]), |names| names.iter().map(tool).collect())
}
