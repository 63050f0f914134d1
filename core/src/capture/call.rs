//! How a call is written down.

use super::describe;
use super::head::{read_json, write_json};
use super::machine::format::Format;
use super::machine::{Kind, Machine};
use super::wire::{Bad, Cursor, Sink};
use crate::ari::MAX_REPLY_BYTES;
use crate::call::{Action, Actions, Call, Entry, Input, IoFault, Next, Origin, Outcome, Start};
use crate::id::{CallId, IdPrefix, InstanceNonce, LegId, LinkId, RequestId, ToolId};
use crate::pcm;
use crate::realtime::MAX_MESSAGE_BYTES;
use crate::rtp::MAX_DATAGRAM_BYTES;
use crate::settings::{CallSettings, MAX_PROMPT_SECONDS, MediaPlan, PROMPT_RATE, Prompt, Prompts};
use crate::time::{Duration, Instant, UtcNanos};
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The longest close reason, or body of a refused upgrade, in bytes; drivers give less.
const MAX_REASON_BYTES: usize = 64 * 1024;

const ARI: u8 = 1;
const ARI_REPLY: u8 = 2;
const ARI_FAILED: u8 = 3;
const ARI_LINK: u8 = 4;
const MEDIA_UP: u8 = 5;
const MEDIA: u8 = 6;
const MEDIA_DOWN: u8 = 7;
const REALTIME_UP: u8 = 8;
const REALTIME: u8 = 9;
const REALTIME_PONG: u8 = 10;
const REALTIME_DOWN: u8 = 11;
const TOOL_REPLY: u8 = 12;
const TOOL_FAILED: u8 = 13;
const TIMER: u8 = 14;
const STOP: u8 = 15;
/// As [`MEDIA`], on the same leg and from the same address as the one before.
const MEDIA_AGAIN: u8 = 16;

/// Which parts of `RealtimeDown` are there.
const HTTP_STATUS: u8 = 1;
const RETRY_AFTER: u8 = 2;
const CODE: u8 = 4;
const FAULT: u8 = 8;

/// [`Start`], with all that it borrows.
#[derive(Debug)]
pub struct Held {
    start: StartJson,
    about: Vec<u8>,
}

/// [`Start`] without what it borrows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartJson {
    nonce: u32,
    call: u64,
    seed: u64,
    utc: u64,
    caller_tag: Option<[u8; 32]>,
    media: MediaPlan,
    entry: Entry,
}

impl Machine for Call {
    const KIND: Kind = Kind::Call;
    type Settings = CallSettings;
    type Start<'a> = Start<'a>;
    type Input<'a> = Input<'a>;
    type Action = Action;
    type Next = Next;

    fn begin(settings: &CallSettings, start: Start<'_>, now: Instant, out: &mut Actions) -> (Self, Next) {
        Self::new(settings, start, now, out)
    }

    fn step(&mut self, now: Instant, input: Input<'_>, out: &mut Actions) -> Next {
        Self::step(self, now, input, out)
    }

    fn deadline(next: &Next) -> Option<Instant> {
        next.deadline.map(|(at, _)| at)
    }
}

impl Format for Call {
    /// On which leg, and from whom, the last datagram came.
    type Memory = Option<(LegId, SocketAddr)>;
    type Held = Held;

    fn write_head(settings: &CallSettings, start: &Start<'_>, sink: &mut Sink) {
        let entry = start.origin.entry();
        let IdPrefix { nonce, call } = start.ids;
        let json = StartJson {
            nonce: nonce.bits(),
            call: call.0,
            seed: start.seed,
            utc: start.utc.0,
            caller_tag: start.caller_tag,
            media: start.media,
            entry,
        };
        write_json(&json, sink);
        write_json(settings, sink);
        let (Origin::Arrived { event: about } | Origin::Adopted { channel: about }) = start.origin;
        sink.block(about, MAX_MESSAGE_BYTES);
        write_prompts(&settings.prompts, sink);
    }

    fn read_head(cursor: &mut Cursor<'_>) -> Result<(CallSettings, Held), Bad> {
        let start: StartJson = read_json("start", cursor)?;
        let mut settings: CallSettings = read_json("settings", cursor)?;
        let about = cursor.block(MAX_MESSAGE_BYTES)?.to_vec();
        settings.prompts = Arc::new(read_prompts(cursor)?);
        Ok((settings, Held { start, about }))
    }

    fn start(Held { start, about }: &Held) -> Start<'_> {
        Start {
            ids: IdPrefix { nonce: InstanceNonce::new(start.nonce), call: CallId(start.call) },
            seed: start.seed,
            utc: UtcNanos(start.utc),
            caller_tag: start.caller_tag,
            media: start.media,
            origin: Origin::new(start.entry, about),
        }
    }

    fn kind_of(input: &Input<'_>, memory: &Self::Memory) -> u8 {
        match *input {
            Input::Ari(_) => ARI,
            Input::AriReply { .. } => ARI_REPLY,
            Input::AriFailed { .. } => ARI_FAILED,
            Input::AriLink(_) => ARI_LINK,
            Input::MediaUp { .. } => MEDIA_UP,
            Input::Media { leg, from, .. } if *memory == Some((leg, from)) => MEDIA_AGAIN,
            Input::Media { .. } => MEDIA,
            Input::MediaDown { .. } => MEDIA_DOWN,
            Input::RealtimeUp { .. } => REALTIME_UP,
            Input::Realtime { .. } => REALTIME,
            Input::RealtimePong { .. } => REALTIME_PONG,
            Input::RealtimeDown { .. } => REALTIME_DOWN,
            Input::ToolReply { .. } => TOOL_REPLY,
            Input::ToolFailed { .. } => TOOL_FAILED,
            Input::Timer => TIMER,
            Input::Stop(_) => STOP,
        }
    }

    fn write_input(input: &Input<'_>, memory: &mut Self::Memory, sink: &mut Sink) {
        match *input {
            Input::Ari(bytes) => sink.block(bytes, MAX_MESSAGE_BYTES),
            Input::AriReply { id, status, body } => write_reply(id, status, body, sink),
            Input::AriFailed { id, fault } => write_failed(id.0, fault, sink),
            Input::AriLink(state) => sink.code(state),
            Input::MediaUp { leg, local } => {
                sink.number(leg.0);
                sink.address(local);
            }
            Input::Media { leg, from, bytes } => {
                if *memory != Some((leg, from)) {
                    sink.number(leg.0);
                    sink.address(from);
                    *memory = Some((leg, from));
                }
                sink.block(bytes, MAX_DATAGRAM_BYTES + 1);
            }
            Input::MediaDown { leg, fault } => write_failed(leg.0, fault, sink),
            Input::RealtimeUp { link } | Input::RealtimePong { link } => sink.number(link.0),
            Input::Realtime { link, bytes } => {
                sink.number(link.0);
                sink.block(bytes, MAX_MESSAGE_BYTES);
            }
            Input::RealtimeDown { link, http_status, retry_after, code, reason, fault } => {
                sink.number(link.0);
                let there = [
                    (http_status.is_some(), HTTP_STATUS),
                    (retry_after.is_some(), RETRY_AFTER),
                    (code.is_some(), CODE),
                    (fault.is_some(), FAULT),
                ];
                sink.byte(there.iter().filter(|(is, _)| *is).fold(0, |all, (_, bit)| all | bit));
                http_status.into_iter().for_each(|status| sink.number(status));
                if let Some(wait) = retry_after {
                    sink.number(wait.as_secs());
                    sink.number(wait.subsec_nanos());
                }
                code.into_iter().for_each(|code| sink.number(code));
                fault.into_iter().for_each(|fault| sink.code(fault));
                sink.block(reason, MAX_REASON_BYTES);
            }
            Input::ToolReply { id, status, body } => {
                sink.number(id.0);
                sink.number(status);
                sink.block(body, MAX_MESSAGE_BYTES);
            }
            Input::ToolFailed { id, fault } => write_failed(id.0, fault, sink),
            Input::Timer => {}
            Input::Stop(reason) => sink.code(reason),
        }
    }

    fn read_input<'s, 'a: 's>(
        kind: u8,
        cursor: &mut Cursor<'a>,
        memory: &'s mut Self::Memory,
    ) -> Result<Input<'s>, Bad> {
        Ok(match kind {
            ARI => Input::Ari(cursor.block(MAX_MESSAGE_BYTES)?),
            ARI_REPLY => {
                let (id, status, body) = read_reply(cursor)?;
                Input::AriReply { id, status, body }
            }
            ARI_FAILED => Input::AriFailed { id: RequestId(cursor.small()?), fault: cursor.code()? },
            ARI_LINK => Input::AriLink(cursor.code()?),
            MEDIA_UP => Input::MediaUp { leg: LegId(cursor.small()?), local: cursor.address()? },
            MEDIA => {
                *memory = Some((LegId(cursor.small()?), cursor.address()?));
                read_datagram(cursor, *memory)?
            }
            MEDIA_AGAIN => read_datagram(cursor, *memory)?,
            MEDIA_DOWN => Input::MediaDown { leg: LegId(cursor.small()?), fault: cursor.code()? },
            REALTIME_UP => Input::RealtimeUp { link: LinkId(cursor.small()?) },
            REALTIME => {
                let link = LinkId(cursor.small()?);
                Input::Realtime { link, bytes: cursor.block(MAX_MESSAGE_BYTES)? }
            }
            REALTIME_PONG => Input::RealtimePong { link: LinkId(cursor.small()?) },
            REALTIME_DOWN => read_down(cursor)?,
            TOOL_REPLY => {
                let (id, status) = (ToolId(cursor.small()?), cursor.small()?);
                Input::ToolReply { id, status, body: cursor.block(MAX_MESSAGE_BYTES)? }
            }
            TOOL_FAILED => Input::ToolFailed { id: ToolId(cursor.small()?), fault: cursor.code()? },
            TIMER => Input::Timer,
            STOP => Input::Stop(cursor.code()?),
            _ => return Err(Bad::Wrong("its kind is unknown")),
        })
    }

    fn bytes_of(input: &Input<'_>) -> usize {
        match *input {
            Input::Ari(bytes)
            | Input::AriReply { body: bytes, .. }
            | Input::Media { bytes, .. }
            | Input::Realtime { bytes, .. }
            | Input::RealtimeDown { reason: bytes, .. }
            | Input::ToolReply { body: bytes, .. } => bytes.len(),
            Input::AriFailed { .. }
            | Input::AriLink(_)
            | Input::MediaUp { .. }
            | Input::MediaDown { .. }
            | Input::RealtimeUp { .. }
            | Input::RealtimePong { .. }
            | Input::ToolFailed { .. }
            | Input::Timer
            | Input::Stop(_) => 0,
        }
    }

    fn describe(action: &Action, out: &Actions, line: &mut String) {
        describe::call(action, out, line);
    }

    fn is_told(action: &Action, out: &Actions) -> bool {
        describe::is_told_of_call(action, out)
    }

    fn outcome(action: &Action) -> Option<Outcome> {
        if let Action::Finish(outcome) = action { Some(*outcome) } else { None }
    }
}

/// The answer to a request to ARI, as both machines get it.
pub(super) fn write_reply(id: RequestId, status: u16, body: &[u8], sink: &mut Sink) {
    sink.number(id.0);
    sink.number(status);
    sink.block(body, MAX_REPLY_BYTES);
}

/// Reads it.
pub(super) fn read_reply<'a>(cursor: &mut Cursor<'a>) -> Result<(RequestId, u16, &'a [u8]), Bad> {
    Ok((RequestId(cursor.small()?), cursor.small()?, cursor.block(MAX_REPLY_BYTES)?))
}

/// That something failed, as both machines are told.
pub(super) fn write_failed(id: u32, fault: IoFault, sink: &mut Sink) {
    sink.number(id);
    sink.code(fault);
}

fn read_datagram<'a>(cursor: &mut Cursor<'a>, last: Option<(LegId, SocketAddr)>) -> Result<Input<'a>, Bad> {
    let (leg, from) = last.ok_or(Bad::Wrong("it is a datagram like the one before, and there was none"))?;
    Ok(Input::Media { leg, from, bytes: cursor.block(MAX_DATAGRAM_BYTES + 1)? })
}

fn read_down<'a>(cursor: &mut Cursor<'a>) -> Result<Input<'a>, Bad> {
    let link = LinkId(cursor.small()?);
    let there = cursor.byte()?;
    if there & !(HTTP_STATUS | RETRY_AFTER | CODE | FAULT) != 0 {
        return Err(Bad::Wrong("it tells more of the end of a Realtime socket than is known here"));
    }
    let has = |part: u8| there & part != 0;
    let http_status = has(HTTP_STATUS).then(|| cursor.small()).transpose()?;
    let retry_after = has(RETRY_AFTER).then(|| read_wait(cursor)).transpose()?;
    let code = has(CODE).then(|| cursor.small()).transpose()?;
    let fault = has(FAULT).then(|| cursor.code()).transpose()?;
    let reason = cursor.block(MAX_REASON_BYTES)?;
    Ok(Input::RealtimeDown { link, http_status, retry_after, code, reason, fault })
}

fn read_wait(cursor: &mut Cursor<'_>) -> Result<Duration, Bad> {
    let (seconds, nanos) = (cursor.number()?, cursor.small()?);
    // More than a second of nanoseconds could overflow the seconds.
    if nanos >= 1_000_000_000 {
        return Err(Bad::Wrong("a second has more than a billion nanoseconds"));
    }
    Ok(Duration::new(seconds, nanos))
}

fn write_prompts(prompts: &Prompts, sink: &mut Sink) {
    let mut bytes = Vec::new();
    for prompt in Prompt::ALL {
        let Some(samples) = prompts.own(prompt) else {
            sink.number(0_u8);
            continue;
        };
        sink.number(samples.len() as u64 + 1);
        bytes.clear();
        pcm::to_le_bytes(samples, &mut bytes);
        sink.put(&bytes);
    }
}

fn read_prompts(cursor: &mut Cursor<'_>) -> Result<Prompts, Bad> {
    let (mut prompts, mut samples) = (Prompts::default(), Vec::new());
    for prompt in Prompt::ALL {
        let Some(len) = cursor.number()?.checked_sub(1) else { continue };
        if len > u64::from(PROMPT_RATE * MAX_PROMPT_SECONDS) {
            return Err(Bad::Wrong("a prompt is longer than it can be"));
        }
        samples.clear();
        pcm::from_le_bytes(cursor.take(2 * len as usize)?, &mut samples);
        prompts.set(prompt, &samples);
    }
    Ok(prompts)
}
