//! Messages as packets: what came as JSON stays as it is, and what has no such form is put into JSON.

use super::file::{Message, Packets, Way};
use crate::call::{IoFault, Method};
use crate::id::RequestId;
use crate::tools::input::{Body, kind};
use core::fmt;
use serde::Serialize;
use serde::de::IgnoredAny;
use std::io::{self, Write};

/// What stands in the column for the protocol.
pub(super) const ARI: &str = "ARI";
pub(super) const REALTIME: &str = "Realtime";
pub(super) const TOOL: &str = "Tool";

/// The longest part of a comment, in bytes, that somebody else has chosen.
const MAX_WORD_BYTES: usize = 400;

/// A request to ARI.
#[derive(Serialize)]
struct Request<'a> {
    id: u32,
    method: &'static str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Body<'a>>,
}

/// An answer, of ARI or of a tool.
#[derive(Serialize)]
struct Reply<'a> {
    id: u32,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Body<'a>>,
}

/// That there is none.
#[derive(Serialize)]
struct Failed {
    id: u32,
    fault: String,
}

/// An answer to something that was asked, or none.
#[derive(Clone, Copy)]
pub(super) enum Answer<'a> {
    Came { status: u16, body: &'a [u8] },
    Failed(IoFault),
}

impl<W: Write> Packets<W> {
    /// Writes a message that is JSON, or should be, as it came.
    pub(super) fn as_it_is(
        &mut self,
        way: Way,
        protocol: &str,
        whose: impl fmt::Display,
        bytes: &[u8],
    ) -> io::Result<()> {
        let kind = kind(bytes);
        let is_json = || kind.is_some() || serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
        let dissector = if is_json() {
            "json"
        } else if core::str::from_utf8(bytes).is_ok() {
            "data-text-lines"
        } else {
            "data"
        };
        let shown = kind.as_ref().map_or("not readable", |kind| word(kind));
        let comment = format!("{whose}: {shown}");
        self.message(Message { way, dissector, protocol, comment: &comment, bytes })
    }

    /// Writes something that has a form of its own, as JSON.
    pub(super) fn as_json(
        &mut self,
        way: Way,
        protocol: &str,
        comment: impl fmt::Display,
        value: &impl Serialize,
    ) -> io::Result<()> {
        let (comment, bytes) = (comment.to_string(), serde_json::to_vec(value)?);
        self.message(Message { way, dissector: "json", protocol, comment: &comment, bytes: &bytes })
    }

    /// Writes a request to ARI.
    pub(super) fn request(
        &mut self,
        id: RequestId,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> io::Result<()> {
        let (method, shown) = (method.as_str(), word(path));
        let value = Request { id: id.0, method, path, body: Body::of(body) };
        self.as_json(Way::Out, ARI, format_args!("request {} to Asterisk: {method} {shown}", id.0), &value)
    }

    /// Writes what came of something that was asked; `what` names both.
    pub(super) fn answer(
        &mut self,
        protocol: &str,
        what: impl fmt::Display,
        id: u32,
        answer: Answer<'_>,
    ) -> io::Result<()> {
        match answer {
            Answer::Came { status, body } => {
                let value = Reply { id, status, body: Body::of(body) };
                self.as_json(Way::In, protocol, format_args!("reply to {what} {id}: {status}"), &value)
            }
            Answer::Failed(fault) => {
                let value = Failed { id, fault: fault.to_string() };
                self.as_json(Way::In, protocol, format_args!("no reply to {what} {id}: {fault}"), &value)
            }
        }
    }
}

/// The beginning of what may be long.
pub(super) fn word(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_WORD_BYTES)).unwrap_or_default()
}
