//! The list of all that went back and forth, but for audio: events and requests of ARI, events of the Realtime API,
//! functions, and what the bridge told about itself.

use super::millis;
use crate::call::{Action, Actions, Input, LinkState};
use crate::id::{LinkId, RequestId, ToolId};
use crate::json::Text;
use crate::observe::Severity;
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The most events of a list; an hour of a lively conversation has a quarter of that.
const MAX_EVENTS: usize = 20_000;

/// How much is shown of one message, in bytes.
const MAX_DETAIL_BYTES: usize = 4 * 1024;

/// How much is shown of all messages, in bytes. What comes later stands in the list with its name only.
const MAX_DETAILS_BYTES: usize = 6 * 1024 * 1024;

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 160;

/// Pieces of the same thing that are not further apart than this are one row.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// How many things come in pieces at once: the audio and the words of an answer, the caller's audio, and a few more.
const MAX_OPEN_ROWS: usize = 8;

/// The list.
#[derive(Debug, Serialize)]
pub(super) struct Events {
    list: Vec<Event>,
    /// How many more there were.
    left_out: u64,
    #[serde(skip)]
    room: usize,
    #[serde(skip)]
    requests: BTreeMap<RequestId, usize>,
    #[serde(skip)]
    tools: BTreeMap<ToolId, usize>,
    #[serde(skip)]
    open: Vec<Open>,
}

/// A row of the list.
#[derive(Debug, Serialize)]
struct Event {
    at_ms: f64,
    /// When it was answered, or when the last of its pieces came.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_ms: Option<f64>,
    kind: Kind,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    /// Of how many pieces it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pieces: Option<u64>,
    /// How long the message is, or all of them are.
    #[serde(skip_serializing_if = "is_zero")]
    bytes: u64,
}

/// Between whom it passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// From the Realtime server.
    RealtimeIn,
    /// To it.
    RealtimeOut,
    /// From Asterisk.
    AriIn,
    /// To it, and what it answered.
    AriOut,
    /// To the program around the bridge, and what it answered.
    Tool,
    /// What the bridge told.
    Bridge,
}

/// A row that is still being added to.
#[derive(Debug)]
struct Open {
    row: usize,
    link: LinkId,
    item: String,
    last: Instant,
}

/// What the messages of both sides say of themselves.
#[derive(Default, Deserialize)]
struct Named<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    item_id: Text<'a>,
}

impl Events {
    pub(super) const fn new() -> Self {
        Self {
            list: Vec::new(),
            left_out: 0,
            room: MAX_DETAILS_BYTES,
            requests: BTreeMap::new(),
            tools: BTreeMap::new(),
            open: Vec::new(),
        }
    }

    /// What the call was given.
    pub(super) fn given(&mut self, at: Instant, input: &Input<'_>) {
        match *input {
            Input::Ari(bytes) => {
                self.message(at, Kind::AriIn, named(bytes).kind.as_ref(), bytes);
            }
            Input::AriReply { id, status, body } => {
                let row = self.requests.remove(&id);
                self.answered(at, row, &status.to_string(), body);
            }
            Input::AriFailed { id, fault } => {
                let row = self.requests.remove(&id);
                self.answered(at, row, &format!("no reply: {fault}"), b"");
            }
            Input::AriLink(LinkState::Down) => self.told(at, "ARI events have stopped", Some("warn")),
            Input::AriLink(LinkState::Up) => self.told(at, "ARI events flow", None),
            Input::RealtimeUp { link } => self.told(at, &format!("Realtime link {link} is up"), None),
            Input::Realtime { link, bytes } => self.realtime(at, link, Kind::RealtimeIn, bytes),
            Input::RealtimeDown { link, reason, .. } => {
                let row = self.row(at, Kind::RealtimeIn, &format!("link {link} closed"));
                self.show(row, reason);
            }
            Input::ToolReply { id, status, body } => {
                let row = self.tools.remove(&id);
                self.answered(at, row, &status.to_string(), body);
            }
            Input::ToolFailed { id, fault } => {
                let row = self.tools.remove(&id);
                self.answered(at, row, &format!("no answer: {fault}"), b"");
            }
            // The bridge tells what it makes of these itself.
            Input::MediaUp { .. }
            | Input::Media { .. }
            | Input::MediaDown { .. }
            | Input::RealtimePong { .. }
            | Input::Timer
            | Input::Stop(_) => {}
        }
    }

    /// What the call did.
    pub(super) fn acted(&mut self, at: Instant, action: &Action, out: &Actions) {
        match *action {
            Action::Ari { id, method, path, body, .. } => {
                let path = out.text(path);
                let (place, _) = path.split_once('?').unwrap_or((path, ""));
                let row = self.row(at, Kind::AriOut, &format!("{} {place}", method.as_str()));
                let mut request = format!("{} {path}", method.as_str()).into_bytes();
                if !body.is_empty() {
                    request.extend(b"\n\n");
                    request.extend(out.bytes(body));
                }
                self.show(row, &request);
                if let Some(row) = row {
                    self.requests.insert(id, row);
                }
            }
            Action::SendRealtime { link, bytes } => {
                self.realtime(at, link, Kind::RealtimeOut, out.bytes(bytes));
            }
            Action::Tool { id, name, arguments, .. } => {
                let row = self.row(at, Kind::Tool, out.text(name));
                self.show(row, out.bytes(arguments));
                if let Some(row) = row {
                    self.tools.insert(id, row);
                }
            }
            Action::Observe(observation) => {
                let level = match observation.severity() {
                    Severity::Count => return,
                    Severity::Debug | Severity::Info => None,
                    Severity::Warn => Some("warn"),
                    Severity::Error => Some("error"),
                };
                self.told(at, &observation.to_string(), level);
            }
            // What becomes of them is told, and what is said in them stands in the turns.
            Action::OpenMedia { .. }
            | Action::SendMedia { .. }
            | Action::CloseMedia { .. }
            | Action::OpenRealtime { .. }
            | Action::PingRealtime { .. }
            | Action::CloseRealtime { .. }
            | Action::Record(_)
            | Action::Tell(_)
            | Action::Finish(_) => {}
        }
    }

    fn told(&mut self, at: Instant, what: &str, level: Option<&'static str>) {
        if let Some(event) = self.row(at, Kind::Bridge, what).and_then(|row| self.list.get_mut(row)) {
            event.level = level;
        }
    }

    /// A message of the Realtime API. What comes in pieces is one row.
    fn realtime(&mut self, at: Instant, link: LinkId, kind: Kind, bytes: &[u8]) {
        let Named { kind: name, item_id } = named(bytes);
        let is_piece = name.ends_with(".delta") || *name == *"input_audio_buffer.append";
        if !is_piece {
            if let Some(event) = self.message(at, kind, &name, bytes)
                && *name == *"error"
            {
                event.level = Some("warn");
            }
            return;
        }
        let list = &self.list;
        let is_of_it = |open: &&mut Open| {
            let row = list.get(open.row);
            row.is_some_and(|row| row.kind == kind && row.name == *name)
                && (open.link, open.item.as_str()) == (link, &*item_id)
                && at.since(open.last) <= MAX_PAUSE
        };
        let row = match self.open.iter_mut().find(is_of_it) {
            Some(open) => {
                open.last = at;
                Some(open.row)
            }
            None => self.open_row(at, link, kind, &name, &item_id),
        };
        if let Some(event) = row.and_then(|row| self.list.get_mut(row)) {
            event.to_ms = Some(millis(at));
            event.pieces = Some(event.pieces.unwrap_or_default() + 1);
            event.bytes += bytes.len() as u64;
        }
    }

    fn open_row(&mut self, at: Instant, link: LinkId, kind: Kind, name: &str, item: &str) -> Option<usize> {
        let row = self.row(at, kind, name)?;
        if self.open.len() >= MAX_OPEN_ROWS {
            let oldest = self.open.iter().enumerate().min_by_key(|(_, open)| open.last);
            if let Some((n, _)) = oldest {
                self.open.swap_remove(n);
            }
        }
        let item = shortened(item, MAX_NAME_BYTES).into_owned();
        self.open.push(Open { row, link, item, last: at });
        Some(row)
    }

    fn message(&mut self, at: Instant, kind: Kind, name: &str, bytes: &[u8]) -> Option<&mut Event> {
        let row = self.row(at, kind, if name.is_empty() { "(unreadable)" } else { name });
        self.show(row, bytes);
        row.and_then(|row| self.list.get_mut(row))
    }

    /// A new row; nothing if the list is full.
    fn row(&mut self, at: Instant, kind: Kind, name: &str) -> Option<usize> {
        if self.list.len() >= MAX_EVENTS {
            self.left_out += 1;
            return None;
        }
        self.list.push(Event {
            at_ms: millis(at),
            to_ms: None,
            kind,
            name: shortened(name, MAX_NAME_BYTES).into_owned(),
            detail: String::new(),
            level: None,
            pieces: None,
            bytes: 0,
        });
        Some(self.list.len() - 1)
    }

    fn answered(&mut self, at: Instant, row: Option<usize>, answer: &str, body: &[u8]) {
        let Some(event) = row.and_then(|row| self.list.get_mut(row)) else { return };
        event.to_ms = Some(millis(at));
        event.name.push_str(" → ");
        event.name.push_str(answer);
        self.show(row, body);
    }

    /// Shows a message with a row, behind what is there already.
    fn show(&mut self, row: Option<usize>, bytes: &[u8]) {
        let Some(event) = row.and_then(|row| self.list.get_mut(row)) else { return };
        event.bytes += bytes.len() as u64;
        let shown = bytes.get(..MAX_DETAIL_BYTES.min(self.room)).unwrap_or(bytes);
        // What is cut off within a letter or is no text at all is replaced by the mark for that.
        let text = String::from_utf8_lossy(shown);
        let before = event.detail.len();
        if !event.detail.is_empty() && !text.is_empty() {
            event.detail.push_str("\n\n");
        }
        event.detail.push_str(&text);
        if shown.len() < bytes.len() {
            event.detail.push_str(&format!("… ({} bytes)", bytes.len()));
        }
        self.room = self.room.saturating_sub(event.detail.len() - before);
    }
}

/// What a message says of itself: nothing if it cannot be read.
fn named(bytes: &[u8]) -> Named<'_> {
    serde_json::from_slice(bytes).unwrap_or_default()
}

fn shortened(text: &str, bytes: usize) -> Cow<'_, str> {
    match text.get(..text.floor_char_boundary(bytes)) {
        Some(begin) if begin.len() < text.len() => Cow::Owned(format!("{begin}…")),
        _ => Cow::Borrowed(text),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde lends what it asks about")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}
