//! What the model calls: functions of the program around the bridge, and the two that every call has.
//!
//! A call is taken once, by its `call_id`, when it is complete; what a cancelled answer had written of one is not
//! taken. The result goes to the server at once, and the answer to it is asked for when all results of one response
//! are there. Whatever the model writes is untrusted: it can name a function and a destination that the operator
//! named, and nothing else.

mod schema;

use super::io::{Action, Actions, IoFault, Record, ToolAsk};
use super::talk::{Brief, Talk};
use crate::id::ToolId;
use crate::observe::{Label, Observation, ToolFault};
use crate::realtime::{Item, ItemKind};
use crate::settings::{CallSettings, Function, SessionSettings, Tool};
use crate::time::{Duration, Instant};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// The longest arguments of a call, in bytes.
const MAX_ARGUMENTS_BYTES: usize = 64 * 1024;

/// The longest name and id, in bytes; OpenAI's have at most 64.
const MAX_NAME_BYTES: usize = 128;

/// The longest result that the model is told, in bytes.
const MAX_OUTPUT_BYTES: usize = 32 * 1024;

/// The most calls that may be under way at once.
const MAX_PENDING: usize = 16;

/// How many calls that were told of by their arguments alone are taken in one step. Each is four actions at most.
const MAX_TAKEN_AT_ONCE: usize = 2;

/// How many calls are remembered, so that none is taken twice.
const MAX_TAKEN: usize = 64;

pub(crate) const HANG_UP: &str = "hang_up";
pub(crate) const TRANSFER: &str = "transfer";

/// How the caller leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leaving {
    /// The call is ended.
    HangUp,
    /// The caller goes to this place of [`CallSettings::transfers`].
    Transfer(usize),
}

/// What is to be done about a call.
enum Decision {
    Perform,
    Leave(Leaving),
}

#[derive(Debug)]
struct Pending {
    id: ToolId,
    asks: ToolAsk,
    /// The `call_id`, or the id of the item that asks for an approval.
    reference: String,
    name: String,
    since: Instant,
}

/// A call whose arguments have come, and that is not known to be complete.
#[derive(Debug)]
struct Candidate {
    response_id: String,
    call_id: String,
    name: String,
    arguments: String,
}

#[derive(Debug)]
pub(super) struct Tools {
    /// All that the session is told of.
    all: Vec<Tool>,
    has_hang_up: bool,
    /// The names of the places; none if the model cannot transfer.
    places: Vec<String>,
    timeout: Duration,
    candidates: Vec<Candidate>,
    /// Those of them that are complete, in their order.
    complete: VecDeque<Candidate>,
    taken: VecDeque<String>,
    pending: Vec<Pending>,
    last_id: u32,
    leaving: Option<(Leaving, String)>,
}

impl Tools {
    pub(super) fn new(settings: &CallSettings) -> Self {
        let theirs = &settings.session.tools;
        let is_free =
            |name: &str| !theirs.iter().any(|tool| matches!(tool, Tool::Function(f) if f.name == name));
        let has_hang_up = settings.hang_up && is_free(HANG_UP);
        let may_transfer = is_free(TRANSFER);
        let places: Vec<_> =
            settings.transfers.iter().filter(|_| may_transfer).map(|place| place.name.clone()).collect();
        let own =
            [has_hang_up.then(hang_up_function), (!places.is_empty()).then(|| transfer_function(&places))];
        Self {
            all: own.into_iter().flatten().map(Tool::Function).chain(theirs.iter().cloned()).collect(),
            has_hang_up,
            places,
            timeout: settings.tool_timeout,
            candidates: Vec::new(),
            complete: VecDeque::new(),
            taken: VecDeque::new(),
            pending: Vec::new(),
            last_id: 0,
            leaving: None,
        }
    }

    /// What a session is told at its beginning.
    pub(super) fn brief<'a>(&'a self, settings: &'a SessionSettings) -> Brief<'a> {
        Brief { settings, tools: &self.all }
    }

    /// Whether functions are under way, or about to be.
    pub(super) fn is_busy(&self) -> bool {
        !self.pending.is_empty() || !self.complete.is_empty()
    }

    /// How the caller leaves, as soon as what is being said has been heard.
    pub(super) fn leaving(&self) -> Option<Leaving> {
        self.leaving.as_ref().map(|(leaving, _)| *leaving)
    }

    /// The arguments of a call have come; it is taken when it, or all of its response, is complete.
    pub(super) fn arguments(&mut self, response_id: &str, call: &Item<'_>) {
        if self.candidates.len() >= MAX_PENDING {
            // Of an answer of whose end nothing was heard.
            self.candidates.retain(|call| call.response_id == response_id);
        }
        let is_short = call.call_id.len().max(response_id.len()) <= MAX_NAME_BYTES
            && call.name.len() <= MAX_NAME_BYTES
            && call.arguments.len() <= MAX_ARGUMENTS_BYTES;
        let is_known = self.candidates.iter().any(|known| *known.call_id == *call.call_id);
        if is_short && !is_known && self.candidates.len() < MAX_PENDING {
            self.candidates.push(Candidate {
                response_id: response_id.to_owned(),
                call_id: call.call_id.to_string(),
                name: call.name.to_string(),
                arguments: call.arguments.to_string(),
            });
        }
    }

    /// A part of an answer is complete, or will not be. `is_cut_off` says whether the caller has interrupted it.
    pub(super) fn item_done(
        &mut self,
        now: Instant,
        item: &Item<'_>,
        is_cut_off: bool,
        talk: &mut Talk,
        out: &mut Actions,
    ) {
        match (item.kind, &*item.status) {
            (ItemKind::McpApprovalRequest, _) => self.approval(now, item, talk, out),
            (ItemKind::FunctionCall, "completed" | "") => {
                self.take(now, [&item.call_id, &item.name, &item.arguments], is_cut_off, talk, out);
            }
            (ItemKind::FunctionCall, "incomplete") => {
                self.candidates.retain(|call| *call.call_id != *item.call_id);
            }
            (ItemKind::FunctionCall | ItemKind::Other, _) => {}
        }
    }

    /// An answer is complete, or not. What it has called and no other event has told of is to be taken if it is.
    pub(super) fn response_done(&mut self, response_id: &str, is_complete: bool) {
        let is_of_it = |call: &mut Candidate| {
            response_id.is_empty() || call.response_id.is_empty() || call.response_id == response_id
        };
        let of_it = self.candidates.extract_if(.., is_of_it);
        self.complete.extend(of_it.filter(|_| is_complete));
        self.complete.truncate(MAX_PENDING);
    }

    /// Takes what is complete, at most [`MAX_TAKEN_AT_ONCE`] in one step.
    pub(super) fn go_on(&mut self, now: Instant, talk: &mut Talk, out: &mut Actions) {
        for _ in 0..MAX_TAKEN_AT_ONCE {
            let Some(call) = self.complete.pop_front() else { return };
            let Candidate { response_id, call_id, name, arguments } = call;
            let is_cut_off = talk.is_muted(&response_id);
            self.take(now, [&call_id, &name, &arguments], is_cut_off, talk, out);
        }
    }

    /// Takes a call, once.
    fn take(
        &mut self,
        now: Instant,
        [call_id, name, arguments]: [&str; 3],
        is_cut_off: bool,
        talk: &mut Talk,
        out: &mut Actions,
    ) {
        self.candidates.retain(|call| call.call_id != call_id);
        // Without an id it could not be answered.
        if call_id.is_empty() || !self.is_news(call_id) {
            return;
        }
        let record = Record::Called {
            call_id: put(shortened(call_id), out),
            name: put(name, out),
            arguments: put(arguments, out),
        };
        out.push(Action::Record(record));
        // An id that was shortened would be nobody's.
        if call_id.len() <= MAX_NAME_BYTES {
            talk.called([call_id, shortened(name), or_empty(arguments)]);
        }
        match self.decide([call_id, name, arguments]) {
            Err(why) => {
                out.observe(Observation::ToolRefused { why });
                self.answer(call_id, name, &error(&why.to_string()), talk, out);
            }
            Ok(Decision::Leave(_)) if is_cut_off => self.stays(call_id, name, talk, out),
            Ok(Decision::Leave(leaving)) => {
                out.observe(Observation::ToolCalled { name: Label::new(name) });
                self.leaving = Some((leaving, call_id.to_owned()));
            }
            Ok(Decision::Perform) => {
                self.perform(now, ToolAsk::Function, [call_id, name, arguments], out);
            }
        }
    }

    fn is_news(&mut self, id: &str) -> bool {
        // What is too long to be remembered is refused anyway.
        let id = id.get(..id.floor_char_boundary(MAX_NAME_BYTES)).unwrap_or_default();
        if self.taken.iter().any(|taken| taken == id) {
            return false;
        }
        if self.taken.len() >= MAX_TAKEN {
            self.taken.pop_front();
        }
        self.taken.push_back(id.to_owned());
        true
    }

    fn decide(&self, [call_id, name, arguments]: [&str; 3]) -> Result<Decision, ToolFault> {
        if call_id.len().max(name.len()) > MAX_NAME_BYTES || arguments.len() > MAX_ARGUMENTS_BYTES {
            return Err(ToolFault::TooLong);
        }
        let named = self.all.iter().find_map(|tool| match tool {
            Tool::Function(function) if function.name == name => Some(function),
            _ => None,
        });
        let function = named.ok_or(ToolFault::Unknown)?;
        let arguments: Value =
            serde_json::from_str(or_empty(arguments)).map_err(|_| ToolFault::NotAnObject)?;
        let fields = arguments.as_object().ok_or(ToolFault::NotAnObject)?;
        if !schema::fits(&function.parameters, &arguments) {
            return Err(ToolFault::DoesNotFit);
        }
        if self.leaving.is_some() {
            return Err(ToolFault::Leaving);
        }
        if self.has_hang_up && name == HANG_UP {
            return Ok(Decision::Leave(Leaving::HangUp));
        }
        if !self.places.is_empty() && name == TRANSFER {
            let wanted = fields.get("destination").and_then(Value::as_str);
            let place = self.places.iter().position(|place| Some(place.as_str()) == wanted);
            return place.map(|place| Decision::Leave(Leaving::Transfer(place))).ok_or(ToolFault::DoesNotFit);
        }
        if self.pending.len() >= MAX_PENDING { Err(ToolFault::TooMany) } else { Ok(Decision::Perform) }
    }

    /// The Realtime server asks whether it may call a tool.
    fn approval(&mut self, now: Instant, item: &Item<'_>, talk: &mut Talk, out: &mut Actions) {
        if item.id.is_empty() || !self.is_news(&item.id) {
            return;
        }
        let name = format!("{}/{}", &*item.server_label, &*item.name);
        let is_long = item.id.len() > MAX_NAME_BYTES
            || name.len() > 2 * MAX_NAME_BYTES
            || item.arguments.len() > MAX_ARGUMENTS_BYTES;
        if is_long || self.pending.len() >= MAX_PENDING {
            let why = if is_long { ToolFault::TooLong } else { ToolFault::TooMany };
            out.observe(Observation::ToolRefused { why });
            if item.id.len() <= MAX_NAME_BYTES {
                talk.approve(&item.id, false, out);
            }
            return;
        }
        self.perform(now, ToolAsk::Approval, [&item.id, &name, &item.arguments], out);
    }

    fn perform(&mut self, now: Instant, asks: ToolAsk, call: [&str; 3], out: &mut Actions) {
        let [reference, name, arguments] = call;
        self.last_id = self.last_id.wrapping_add(1);
        let id = ToolId(self.last_id);
        out.observe(Observation::ToolCalled { name: Label::new(name) });
        self.pending.push(Pending {
            id,
            asks,
            reference: reference.to_owned(),
            name: name.to_owned(),
            since: now,
        });
        let (name, arguments) = (put(name, out), put(or_empty(arguments), out));
        out.push(Action::Tool { id, asks, name, arguments, timeout: self.timeout });
    }

    /// The program around the bridge has answered.
    pub(super) fn reply(
        &mut self,
        now: Instant,
        id: ToolId,
        status: u16,
        body: &[u8],
        talk: &mut Talk,
        out: &mut Actions,
    ) {
        let Some(pending) = self.take_pending(id) else { return };
        let name = Label::new(&pending.name);
        let is_done = matches!(status, 200..=299);
        out.observe(match is_done {
            true => Observation::ToolDone { name, after: now.since(pending.since) },
            false => Observation::ToolFailed { name, status: Some(status), fault: None },
        });
        let output = if is_done {
            let text = String::from_utf8_lossy(body.get(..MAX_OUTPUT_BYTES).unwrap_or(body));
            text.into_owned()
        } else {
            error(&format!("it failed with status {status}"))
        };
        self.close(&pending, is_done, &output, talk, out);
    }

    /// It will not answer.
    pub(super) fn failed(&mut self, id: ToolId, fault: IoFault, talk: &mut Talk, out: &mut Actions) {
        let Some(pending) = self.take_pending(id) else { return };
        let name = Label::new(&pending.name);
        out.observe(Observation::ToolFailed { name, status: None, fault: Some(fault) });
        self.close(&pending, false, &error(&fault.to_string()), talk, out);
    }

    fn take_pending(&mut self, id: ToolId) -> Option<Pending> {
        let at = self.pending.iter().position(|pending| pending.id == id)?;
        Some(self.pending.swap_remove(at))
    }

    fn close(&mut self, pending: &Pending, is_done: bool, output: &str, talk: &mut Talk, out: &mut Actions) {
        let Pending { reference, name, .. } = pending;
        match pending.asks {
            ToolAsk::Function => self.answer(reference, name, output, talk, out),
            // The server calls an approved tool by itself, and says when it has answered.
            ToolAsk::Approval => talk.approve(reference, is_done, out),
        }
    }

    fn answer(&self, call_id: &str, name: &str, output: &str, talk: &mut Talk, out: &mut Actions) {
        let record = Record::Returned {
            call_id: put(shortened(call_id), out),
            name: put(name, out),
            output: put(output, out),
        };
        out.push(Action::Record(record));
        // An id that was shortened would answer nobody.
        if call_id.len() <= MAX_NAME_BYTES {
            talk.returned([call_id, shortened(name), output], out);
        }
    }

    /// The session is over. What it has called and was not known to be complete is not called, and what it asked to be
    /// allowed nobody wants any more.
    pub(super) fn session_ends(&mut self) {
        self.candidates.clear();
        self.complete.clear();
        // The next one may begin to count its calls anew.
        self.taken.clear();
        self.pending.retain(|pending| pending.asks == ToolAsk::Function);
    }

    /// The caller has interrupted the agent: whoever speaks on is not sent away.
    pub(super) fn stay(&mut self, talk: &mut Talk, out: &mut Actions) {
        if let Some((leaving, call_id)) = self.leaving.take() {
            let name = match leaving {
                Leaving::HangUp => HANG_UP,
                Leaving::Transfer(_) => TRANSFER,
            };
            self.stays(&call_id, name, talk, out);
        }
    }

    fn stays(&self, call_id: &str, name: &str, talk: &mut Talk, out: &mut Actions) {
        out.observe(Observation::StaysOnTheLine);
        self.answer(call_id, name, &error("the caller spoke on and is still on the line"), talk, out);
    }
}

/// A function without parameters is called with nothing, or with an empty object.
fn or_empty(arguments: &str) -> &str {
    if arguments.trim().is_empty() { "{}" } else { arguments }
}

/// As much of a name or an id as one may have.
fn shortened(name: &str) -> &str {
    name.get(..name.floor_char_boundary(MAX_NAME_BYTES)).unwrap_or_default()
}

/// What the model is told of something that went wrong.
fn error(text: &str) -> String {
    json!({ "error": text }).to_string()
}

/// What a model wrote, into the arena, as far as it may be long.
fn put(text: &str, out: &mut Actions) -> super::io::Span {
    out.put(text.get(..text.floor_char_boundary(MAX_ARGUMENTS_BYTES)).unwrap_or_default().as_bytes())
}

fn hang_up_function() -> Function {
    Function {
        name: HANG_UP.to_owned(),
        description:
            "Ends the telephone call. Say goodbye first: the call ends when what you have said was heard."
                .to_owned(),
        parameters: json!({ "type": "object", "properties": {}, "additionalProperties": false }),
    }
}

fn transfer_function(places: &[String]) -> Function {
    Function {
        name: TRANSFER.to_owned(),
        description:
            "Transfers the caller, who leaves this conversation. Say so first: the caller leaves when what \
                      you have said was heard."
                .to_owned(),
        parameters: json!({
            "type": "object",
            "properties": { "destination": { "type": "string", "enum": places } },
            "required": ["destination"],
            "additionalProperties": false,
        }),
    }
}
