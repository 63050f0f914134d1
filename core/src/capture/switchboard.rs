//! How a switchboard is written down.

use super::call::{read_reply, write_failed, write_reply};
use super::describe;
use super::head::{read_json, write_json};
use super::machine::format::Format;
use super::machine::{Kind, Machine};
use super::wire::{Bad, Cursor, Sink};
use crate::call::{News, Outcome};
use crate::id::{CallId, InstanceNonce, RequestId};
use crate::realtime::MAX_MESSAGE_BYTES;
use crate::settings::SwitchboardSettings;
use crate::switchboard::{Action, Actions, Input, Next, Switchboard};
use crate::time::{Duration, Instant, UtcNanos};
use serde::{Deserialize, Serialize};

const ARI_UP: u8 = 1;
const ARI_DOWN: u8 = 2;
const ARI: u8 = 3;
const ARI_PONG: u8 = 4;
const ARI_REPLY: u8 = 5;
const ARI_FAILED: u8 = 6;
const CALL_TOLD: u8 = 7;
const CALL_FINISHED: u8 = 8;
const CALL_PANICKED: u8 = 9;
const DRAIN: u8 = 10;
const STOP_NOW: u8 = 11;
const SETTINGS: u8 = 12;
const TIMER: u8 = 13;

/// Which parts of `AriDown` are there.
const HTTP_STATUS: u8 = 1;
const FAULT: u8 = 2;

/// What a call tells.
const IS_WELL: u8 = 1;
const FAILS: u8 = 2;
const SPENT: u8 = 3;

/// What is true of an outcome.
const ANSWERED: u8 = 1;
const LEFT_BEHIND: u8 = 2;

/// All that is ambient about a switchboard, as [`Switchboard::new`] takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SwitchboardStart {
    /// What tells this run of the bridge from every other.
    pub nonce: InstanceNonce,
    /// Where the jitter of retries and the seeds of calls come from.
    pub seed: u64,
    /// What the time was when it was made.
    pub utc: UtcNanos,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartJson {
    nonce: u32,
    seed: u64,
    utc: u64,
}

impl Machine for Switchboard {
    const KIND: Kind = Kind::Switchboard;
    type Settings = SwitchboardSettings;
    type Start<'a> = SwitchboardStart;
    type Input<'a> = Input<'a>;
    type Action = Action;
    type Next = Next;

    fn begin(
        settings: &SwitchboardSettings,
        start: SwitchboardStart,
        now: Instant,
        out: &mut Actions,
    ) -> (Self, Next) {
        Self::new(settings, start.nonce, start.seed, start.utc, now, out)
    }

    fn step(&mut self, now: Instant, input: Input<'_>, out: &mut Actions) -> Next {
        Self::step(self, now, input, out)
    }

    fn deadline(next: &Next) -> Option<Instant> {
        next.deadline.map(|(at, _)| at)
    }
}

impl Format for Switchboard {
    /// The settings that were read last, while they are lent to the machine.
    type Memory = Option<SwitchboardSettings>;
    type Held = SwitchboardStart;

    fn write_head(settings: &SwitchboardSettings, start: &SwitchboardStart, sink: &mut Sink) {
        let SwitchboardStart { nonce, seed, utc } = *start;
        write_json(&StartJson { nonce: nonce.bits(), seed, utc: utc.0 }, sink);
        write_json(settings, sink);
    }

    fn read_head(cursor: &mut Cursor<'_>) -> Result<(SwitchboardSettings, SwitchboardStart), Bad> {
        let StartJson { nonce, seed, utc } = read_json("start", cursor)?;
        let settings = read_json("settings", cursor)?;
        Ok((settings, SwitchboardStart { nonce: InstanceNonce::new(nonce), seed, utc: UtcNanos(utc) }))
    }

    fn start(held: &SwitchboardStart) -> SwitchboardStart {
        *held
    }

    fn kind_of(input: &Input<'_>, _: &Self::Memory) -> u8 {
        match input {
            Input::AriUp => ARI_UP,
            Input::AriDown { .. } => ARI_DOWN,
            Input::Ari(_) => ARI,
            Input::AriPong => ARI_PONG,
            Input::AriReply { .. } => ARI_REPLY,
            Input::AriFailed { .. } => ARI_FAILED,
            Input::CallTold { .. } => CALL_TOLD,
            Input::CallFinished { .. } => CALL_FINISHED,
            Input::CallPanicked { .. } => CALL_PANICKED,
            Input::Drain => DRAIN,
            Input::StopNow => STOP_NOW,
            Input::Settings(_) => SETTINGS,
            Input::Timer => TIMER,
        }
    }

    fn write_input(input: &Input<'_>, _: &mut Self::Memory, sink: &mut Sink) {
        match *input {
            Input::AriDown { http_status, fault } => {
                let status_there = if http_status.is_some() { HTTP_STATUS } else { 0 };
                let fault_there = if fault.is_some() { FAULT } else { 0 };
                sink.byte(status_there | fault_there);
                http_status.into_iter().for_each(|status| sink.number(status));
                fault.into_iter().for_each(|fault| sink.code(fault));
            }
            Input::Ari(bytes) => sink.block(bytes, MAX_MESSAGE_BYTES),
            Input::AriReply { id, status, body } => write_reply(id, status, body, sink),
            Input::AriFailed { id, fault } => write_failed(id.0, fault, sink),
            Input::CallTold { call, news } => {
                sink.number(call.0);
                match news {
                    News::RealtimeIsWell => sink.byte(IS_WELL),
                    News::RealtimeFails => sink.byte(FAILS),
                    News::Spent(amount) => {
                        sink.byte(SPENT);
                        sink.number(amount);
                    }
                }
            }
            Input::CallFinished { call, outcome } => {
                let Outcome { ended, answered, duration, left_behind } = outcome;
                sink.number(call.0);
                sink.code(ended);
                let answered = if answered { ANSWERED } else { 0 };
                sink.byte(answered | if left_behind { LEFT_BEHIND } else { 0 });
                sink.number(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
            }
            Input::CallPanicked { call } => sink.number(call.0),
            Input::Settings(settings) => write_json(settings, sink),
            Input::AriUp | Input::AriPong | Input::Drain | Input::StopNow | Input::Timer => {}
        }
    }

    fn read_input<'s, 'a: 's>(
        kind: u8,
        cursor: &mut Cursor<'a>,
        memory: &'s mut Self::Memory,
    ) -> Result<Input<'s>, Bad> {
        Ok(match kind {
            ARI_UP => Input::AriUp,
            ARI_DOWN => {
                let there = cursor.byte()?;
                if there & !(HTTP_STATUS | FAULT) != 0 {
                    return Err(Bad::Wrong(
                        "it tells more of the end of the event socket than is known here",
                    ));
                }
                let http_status = (there & HTTP_STATUS != 0).then(|| cursor.small()).transpose()?;
                Input::AriDown {
                    http_status,
                    fault: (there & FAULT != 0).then(|| cursor.code()).transpose()?,
                }
            }
            ARI => Input::Ari(cursor.block(MAX_MESSAGE_BYTES)?),
            ARI_PONG => Input::AriPong,
            ARI_REPLY => {
                let (id, status, body) = read_reply(cursor)?;
                Input::AriReply { id, status, body }
            }
            ARI_FAILED => Input::AriFailed { id: RequestId(cursor.small()?), fault: cursor.code()? },
            CALL_TOLD => {
                let call = CallId(cursor.number()?);
                let news = match cursor.byte()? {
                    IS_WELL => News::RealtimeIsWell,
                    FAILS => News::RealtimeFails,
                    SPENT => News::Spent(cursor.number()?),
                    _ => return Err(Bad::Wrong("what a call tells is unknown")),
                };
                Input::CallTold { call, news }
            }
            CALL_FINISHED => {
                let (call, ended, is) = (CallId(cursor.number()?), cursor.code()?, cursor.byte()?);
                if is & !(ANSWERED | LEFT_BEHIND) != 0 {
                    return Err(Bad::Wrong("it tells more of the end of a call than is known here"));
                }
                let (answered, left_behind) = (is & ANSWERED != 0, is & LEFT_BEHIND != 0);
                let duration = Duration::from_nanos(cursor.number()?);
                Input::CallFinished { call, outcome: Outcome { ended, answered, duration, left_behind } }
            }
            CALL_PANICKED => Input::CallPanicked { call: CallId(cursor.number()?) },
            DRAIN => Input::Drain,
            STOP_NOW => Input::StopNow,
            SETTINGS => Input::Settings(memory.insert(read_json("settings", cursor)?)),
            TIMER => Input::Timer,
            _ => return Err(Bad::Wrong("its kind is unknown")),
        })
    }

    fn bytes_of(input: &Input<'_>) -> usize {
        match *input {
            Input::Ari(bytes) | Input::AriReply { body: bytes, .. } => bytes.len(),
            Input::AriUp
            | Input::AriDown { .. }
            | Input::AriPong
            | Input::AriFailed { .. }
            | Input::CallTold { .. }
            | Input::CallFinished { .. }
            | Input::CallPanicked { .. }
            | Input::Drain
            | Input::StopNow
            | Input::Settings(_)
            | Input::Timer => 0,
        }
    }

    fn describe(action: &Action, out: &Actions, line: &mut String) {
        describe::switchboard(action, out, line);
    }

    fn is_told(action: &Action, _: &Actions) -> bool {
        describe::is_told_of_switchboard(action)
    }

    fn outcome(_: &Action) -> Option<Outcome> {
        None
    }
}
